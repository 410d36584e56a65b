# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and restoring backups of cPanel tells how far it has come, and can be ended by whoever is told."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import READING, RESTORING
from tests.cpanel import accounts
from tests.cpanel.archives import DIRECTORY_FORM, TAR, TAR_GZ
from tests.cpanel.hosting import as_served, put
from tests.engine.watching import Interrupter, Watcher

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cpanel.hosting import Customer
    from tests.engine.watching import Told

DAY = "2026-11-22/accounts"


def interrupted(deed: Callable[[Customer], object], customer: Customer, is_time: Callable[[Told], bool]) -> None:
    """Do *deed*, which must be ended by a watcher, and see that all of its threads have ended."""
    before = set(threading.enumerate())

    with pytest.raises(KeyboardInterrupt):
        deed(replace(customer, progress=Interrupter(KeyboardInterrupt(), is_time)))

    assert [thread for thread in set(threading.enumerate()) - before if not thread.daemon] == []


def test_a_reindex_tells_how_much_of_the_new_archives_was_read(customer: Customer) -> None:
    paths = [put(customer, account, DAY, form) for account in (accounts.small(), accounts.no_mail()) for form in (TAR,)]
    paths.append(put(customer, accounts.postgres(), DAY, TAR_GZ))
    first, again = Watcher(), Watcher()

    replace(customer, progress=first).reindex()
    replace(customer, progress=again).reindex()

    first.assert_sound()
    last = first.last(READING)
    assert (last.done, last.entries) == (sum((customer.top / path).stat().st_size for path in paths), 3)
    assert len({told.done for told in first.of(READING)}) > len(paths)
    again.assert_sound()
    assert (again.last(READING).done, again.last(READING).entries) == (0, 0)


def test_of_a_backup_that_is_a_directory_what_is_read_is_told(customer: Customer) -> None:
    put(customer, as_served(accounts.small(), DIRECTORY_FORM), DAY, DIRECTORY_FORM)
    watcher = Watcher()

    replace(customer, progress=watcher).reindex()

    watcher.assert_sound()
    assert watcher.last(READING).entries == 1
    assert watcher.last(READING).done > 0


@pytest.mark.parametrize("form", [TAR_GZ, TAR, DIRECTORY_FORM])
def test_a_restore_tells_how_much_of_what_must_be_read_was(customer: Customer, tmp_path: Path, form: str) -> None:
    account = as_served(accounts.small(), form)
    put(customer, account, DAY, form)
    customer.reindex()
    watcher, again = Watcher(), Watcher()

    outcome = replace(customer, progress=watcher).restore(account.user, tmp_path / "target")
    replace(customer, progress=again).restore(account.user, tmp_path / "target")

    watcher.assert_sound()
    assert watcher.phases == [RESTORING]
    assert watcher.last(RESTORING).entries == outcome.values["restored"]["files"]
    assert watcher.last(RESTORING).done > 0
    assert {told.total for told in watcher.of(RESTORING)[1:]} == {watcher.last(RESTORING).done}
    again.assert_sound()
    assert (again.last(RESTORING).done, again.last(RESTORING).entries) == (0, 0)


def test_what_is_passed_over_in_a_packed_archive_is_told_as_well(customer: Customer, tmp_path: Path) -> None:
    account = accounts.small()
    put(customer, account, DAY, TAR_GZ)
    customer.reindex()
    watcher = Watcher()

    outcome = replace(customer, progress=watcher).restore(account.user, tmp_path / "target", paths=("public_html/**",))

    watcher.assert_sound()
    assert watcher.last(RESTORING).done > outcome.values["bytes"] > 0


@pytest.mark.parametrize("form", [TAR_GZ, DIRECTORY_FORM])
def test_an_archive_that_is_made_for_cpanel_is_told_byte_by_byte(customer: Customer, tmp_path: Path, form: str) -> None:
    account = as_served(accounts.small(), form)
    put(customer, account, DAY, form)
    customer.reindex()
    watcher = Watcher()

    outcome = replace(customer, progress=watcher).restore(account.user, tmp_path / "target", rebuild="archive")

    watcher.assert_sound()
    assert watcher.last(RESTORING).done == outcome.values["bytes"]
    assert watcher.last(RESTORING).entries == 1


def test_a_reindex_that_is_interrupted_leaves_no_listing_behind(customer: Customer) -> None:
    for account in (accounts.small(), accounts.no_mail(), accounts.postgres()):
        put(customer, account, DAY, TAR)

    interrupted(lambda customer: customer.reindex(), customer, lambda told: told.done > 0)

    assert [path for path in (customer.home / "var").rglob("*") if ".new" in path.name] == []
    assert customer.reindex().values["point_count"] == 3


@pytest.mark.parametrize("form", [TAR_GZ, TAR, DIRECTORY_FORM])
@pytest.mark.parametrize(
    "is_time",
    [lambda _told: True, lambda told: told.done > 0, lambda told: told.entries > 2],
    ids=["begun", "some content", "some files"],
)
def test_a_restore_that_is_interrupted_leaves_no_unfinished_file(
    customer: Customer, tmp_path: Path, form: str, is_time: Callable[[Told], bool]
) -> None:
    account = as_served(accounts.small(), form)
    put(customer, account, DAY, form)
    customer.reindex()
    target = tmp_path / "target"

    interrupted(lambda customer: customer.restore(account.user, target), customer, is_time)

    assert list(target.rglob(".ftp-backup-*")) == []
    assert customer.restore(account.user, target).changed
    assert not customer.restore(account.user, target).changed
