# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that cPanel made are found wherever it puts them, read once each, and told part by part."""

from __future__ import annotations

import os
import shutil
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.part_globs import PartGlob
from tests.cpanel import accounts
from tests.cpanel.accounts import digest_of
from tests.cpanel.archives import DIRECTORY_FORM, TAR, TAR_GZ, layout
from tests.cpanel.expected import FILES, HOME, expected_of
from tests.cpanel.hosting import Customer, as_served, hand_over, put
from tests.outcomes import without_run

if t.TYPE_CHECKING:
    from tests.cpanel.accounts import Account

SHAPES: dict[str, t.Callable[[], Account]] = {
    "everything": accounts.everything,
    "small": accounts.small,
    "old": accounts.old,
    "no mail": accounts.no_mail,
    "postgres": accounts.postgres,
    "reseller": accounts.reseller,
    "suspended": accounts.suspended,
}


def id_of(path: str) -> str:
    """Return the id of the restore point that the backup *path* is."""
    return path.removesuffix(".gz").removesuffix(".tar")


def test_every_backup_is_found_in_every_layout_and_all_else_is_ignored_aloud(customer: Customer) -> None:
    there = layout(customer.top, [accounts.small(), accounts.no_mail(), accounts.postgres()])
    hand_over(customer.server)

    result = customer.reindex()

    points = {(point["account"], point["pool"], point["created"]) for point in customer.points()}
    assert points == {
        (backup.account, backup.path, backup.created and backup.created.strftime("%Y-%m-%dT%H:%M:%SZ"))
        for backup in there.backups
    }
    assert (result.values["point_count"], result.values["job_count"], result.values["unreadable"]) == (
        len(there.backups),
        3,
        [],
    )
    ignored = [item["path"] for item in result.values["ignored"]]
    for path in there.others:
        assert any(path == known or path.startswith(f"{known}/") for known in ignored), path


def test_what_was_read_once_is_not_read_again_and_what_changed_is_read_alone(customer: Customer) -> None:
    there = layout(customer.top, [accounts.small(), accounts.no_mail()])
    hand_over(customer.server)
    customer.reindex()
    assert {path.split(".tar")[0] for path in customer.opened}

    again = customer.reindex()

    assert customer.opened == []
    assert not again.changed
    changed = next(backup for backup in there.backups if backup.form == TAR_GZ)
    os.utime(customer.top / changed.path, (1_700_000_000, 1_700_000_000))
    customer.reindex()
    assert set(customer.opened) == {changed.path}


def test_a_new_backup_is_read_alone_and_one_that_is_gone_is_forgotten(customer: Customer) -> None:
    for day in (1, 2):
        put(customer, accounts.small(), f"2026-11-0{day}/accounts")
    customer.reindex()
    kept = len(list(customer.state.listings.iterdir()))
    shutil.rmtree(customer.top / "2026-11-01")
    path = put(customer, accounts.small(), "2026-11-03/accounts")

    result = customer.reindex()

    assert set(customer.opened) == {path}
    assert (result.values["new"], result.values["gone"], result.values["unchanged"]) == (1, 1, 1)
    assert len(list(customer.state.listings.iterdir())) == kept


@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY_FORM])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_part_is_listed_with_what_it_holds(customer: Customer, shape: str, form: str) -> None:
    account = as_served(SHAPES[shape](), form)
    put(customer, account, "2026-11-22/accounts", form)

    customer.reindex()

    (point,) = customer.points(account=account.user)
    found = {(part["kind"], part["name"]): part["entries"] for part in point["parts"]}
    expected = expected_of(account)
    wanted = {key: len(tree) for key, tree in expected.parts.items()}
    wanted[FILES, HOME] += len(expected.skipped)  # links that no restore makes are listed
    assert found == wanted


def test_accounts_have_no_jobs_and_jobs_no_accounts(customer: Customer) -> None:
    customer.reindex()

    with pytest.raises(UsageError, match="of accounts: give an account"):
        customer.ask(job="small")


def test_a_file_that_stays_the_same_is_one_version_whatever_form_it_is_backed_up_in(customer: Customer) -> None:
    account = accounts.everything()
    for day, form in enumerate((TAR, TAR_GZ), 1):
        put(customer, account, f"2026-11-0{day}/accounts", form)
    put(customer, account.without(b"homedir/public_html/index.php"), "2026-11-03/accounts", TAR)
    customer.reindex()

    answer = customer.ask(
        account=account.user,
        paths=("public_html/index.php",),
        parts=(PartGlob("info@*", "mailbox"),),
        limit=10,
    )

    (version,) = answer["versions"]
    assert (version["path"], version["point_count"]) == ("/public_html/index.php", 2)
    assert version["digest"] == digest_of(account.member(b"homedir/public_html/index.php").content)
    assert [point["id"] for point in version["points"]] == [f"2026-11-0{day}/accounts/{account.user}" for day in (2, 1)]
    (mailbox,) = answer["parts"]
    assert (mailbox["name"], mailbox["point_count"]) == (f"info@{account.who.domain}", 3)


def test_an_older_backup_that_turns_up_later_takes_its_place_in_the_past(customer: Customer) -> None:
    for day in (2, 3):
        put(customer, accounts.small(), f"2026-11-0{day}/accounts")
    customer.reindex()
    path = put(customer, accounts.small(), "weekly/2026-11-01/accounts")

    result = customer.reindex()

    assert set(customer.opened) == {path}
    assert (result.values["new"], result.values["unchanged"]) == (1, 2)
    assert [point["created"][:10] for point in customer.points(account=accounts.small().user)] == [
        "2026-11-03",
        "2026-11-02",
        "2026-11-01",
    ]


def test_check_mode_reads_and_keeps_nothing(customer: Customer) -> None:
    put(customer, accounts.small(), "2026-11-01/accounts")

    foretold = customer.reindex(check_mode=True)

    assert not customer.state.index.exists()
    assert not customer.state.listings.exists()
    assert without_run(foretold.values) == without_run(customer.reindex().values)


def test_all_is_read_again_if_that_is_asked_for(customer: Customer) -> None:
    path = put(customer, accounts.small(), "2026-11-01/accounts")
    customer.reindex()

    again = customer.reindex(rebuild=True)

    assert set(customer.opened) == {path}
    assert not again.changed


def test_a_listing_that_was_lost_or_damaged_is_made_anew(customer: Customer) -> None:
    path = put(customer, accounts.small(), "2026-11-01/accounts")
    customer.reindex()
    (listing,) = customer.state.listings.iterdir()
    content = listing.read_bytes()

    for damaged in (None, content[: len(content) // 2], bytes(100)):
        listing.unlink() if damaged is None else listing.write_bytes(damaged)
        result = customer.reindex()
        assert set(customer.opened) == {path}
        assert result.values["point_count"] == 1
        assert listing.read_bytes() == content
