# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage that cPanel backs up to is only read: by a login that may do no more, and whatever is asked for."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.destination import ensure_present
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_point import Which, ensure_absent
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import Request as Check
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import verify
from tests.cpanel import accounts
from tests.cpanel.archives import DIRECTORY_FORM, TAR, TAR_GZ
from tests.cpanel.expected import differences, expected_of
from tests.cpanel.hosting import NAME, Customer, as_served, put

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMS = {TAR: "2026-11-20/accounts", TAR_GZ: "2026-11-21/accounts", DIRECTORY_FORM: "2026-11-22/accounts"}


@pytest.fixture
def reader(customer: Customer) -> Iterator[Customer]:
    """A host whose login may write nowhere on the server, with backups in all forms."""
    account = accounts.small()
    for form, day in FORMS.items():
        put(customer, as_served(account, form), day, form)
    # What lies in a directory has its modes from the account, and these are compared.
    above = [customer.top, *customer.top.glob("*"), *customer.top.glob("*/*"), *customer.top.glob("*/*/*.tar*")]
    modes = [(path, path.stat().st_mode) for path in above]
    for path, mode in modes:
        path.chmod(mode & 0o555)
    yield customer
    for path, mode in modes:
        path.chmod(mode)


def seen(customer: Customer) -> list[tuple[str, int, int]]:
    found = sorted(customer.top.rglob("*"))
    return [(str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in found]


def test_a_login_that_may_not_write_is_enough_for_all_there_is(reader: Customer, tmp_path: Path) -> None:
    account = accounts.small()
    before = seen(reader)

    reader.declare()
    reader.reindex()
    for form, day in FORMS.items():
        target = tmp_path / form
        reader.restore(account.user, target, point=f"{day}/{account.user}")
        assert differences(target, expected_of(as_served(account, form)).tree) == []

    assert seen(reader) == before


def test_what_would_write_is_refused_with_the_reason(reader: Customer, tmp_path: Path) -> None:
    before = seen(reader)
    which = Which(NAME, "nightly", "20261122t030000z-1f9c2a")

    refusals: list[t.Callable[[], object]] = [
        lambda: back_up(reader.registry, reader.host, Request(NAME, "nightly", (str(tmp_path),)), check_mode=False),
        lambda: ensure_absent(reader.registry, reader.host, which, force=False, check_mode=False),
        lambda: verify(reader.registry, reader.host, Check(NAME), check_mode=False),
    ]
    for refusal in refusals:
        with pytest.raises(UsageError, match=r"engine: cpanel: the backups there are made by cPanel"):
            refusal()

    assert seen(reader) == before


def test_the_engine_of_a_destination_is_fixed(customer: Customer) -> None:
    current = customer.registry.get(NAME)
    assert current is not None

    with pytest.raises(UsageError, match="was declared with engine: cpanel, which stays as it is"):
        ensure_present(
            customer.registry,
            customer.home / "var",
            replace(current, engine="native"),
            validate=False,
            check_mode=False,
        )

    assert customer.registry.get(NAME) == current


def test_a_job_is_no_account(customer: Customer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give an account, and neither client nor job"):
        restore(customer.registry, customer.host, Wish(NAME, "nightly", tmp_path / "target"), check_mode=False)
