# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as cPanel gives them to backups, and those it gives to nothing of the kind."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.naming import (
    DIRECTORY,
    METADATA,
    NO_BACKUP,
    SPLIT,
    TAR,
    TAR_GZ,
    WEEKLY,
    Backup,
    backup_named,
    day_named,
    is_servers_own,
    why_no_backup,
)

DAY = datetime(2021, 2, 20, tzinfo=timezone.utc)
MOMENT = datetime(2024, 7, 29, 13, 2, 32, tzinfo=timezone.utc)
STEMS = {
    "stefan": ("stefan", None),
    "0day": ("0day", None),
    "a": ("a", None),
    "a-b_c": ("a-b_c", None),
    "sixteenlettersab": ("sixteenlettersab", None),
    "cpmove-stefan": ("stefan", None),
    "package-stefan": ("stefan", None),
    "backup-7.29.2024_13-02-32_stefan": ("stefan", MOMENT),
    "backup-07.29.2024_13-2-32_stefan": ("stefan", MOMENT),
    "backup-7.29.2024_13-02-32stefan": ("stefan", MOMENT),
    "backup-7.29.202413-02-32stefan": ("stefan", MOMENT),
    "backup-7.29.2024_13-02-32_a_b": ("a_b", MOMENT),
    "backup-7.29.2024_13-02-32_9to5": ("9to5", MOMENT),
    "backup-29.7.2024_13-02-32_stefan": ("stefan", None),
}
OTHERS = [
    "seventeenlettersa",
    "cpmove-seventeenlettersa",
    "-stefan",
    "_stefan",
    "stefan-",
    ".stefan",
    "",
    "ste fan",
    "stef\xe4n",
    "stefan\n",
    "\u0663stefan",
    "wordpress-4.9",
    "backup-7.29.2024_13-02-32_",
    "backup-7.29.24_13-02-32_stefan",
    "old-cpmove-stefan-and-more",
]


@pytest.mark.parametrize(("stem", "told"), STEMS.items())
@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY])
def test_names_that_cpanel_gives_tell_the_account_and_when(
    stem: str, told: tuple[str, datetime | None], form: str
) -> None:
    name = stem if form == DIRECTORY else f"{stem}.{form}"
    path = PurePosixPath("weekly/2021-02-20/accounts") / name

    backup = backup_named(path, is_directory=form == DIRECTORY, cycle=WEEKLY)

    assert backup == Backup(path, form, *told, WEEKLY)
    assert backup.id == f"weekly/2021-02-20/accounts/{stem}"


def test_the_day_of_the_directory_counts_more_than_the_name() -> None:
    path = PurePosixPath("2021-02-20/backup-7.29.2024_13-02-32_stefan.tar")

    backup = backup_named(path, is_directory=False, day=DAY)

    assert backup is not None
    assert backup.created == DAY


@pytest.mark.parametrize("stem", OTHERS)
def test_other_names_are_no_backups(stem: str) -> None:
    names = [(f"{stem}.tar", False), (f"{stem}.tar.gz", False), (stem, True)]

    assert [backup_named(PurePosixPath("d") / name, is_directory=is_one) for name, is_one in names if name] == [
        None for name, _is_one in names if name
    ]


@pytest.mark.parametrize("name", ["stefan", "stefan.gz", "stefan.tgz", "stefan.TAR", "stefan.tar.gz.part00001", ".tar"])
def test_a_file_is_a_backup_only_with_the_ending_of_an_archive(name: str) -> None:
    assert backup_named(PurePosixPath(name), is_directory=False) is None


@given(st.text(max_size=60), st.booleans())
def test_any_name_is_a_backup_of_a_short_account_or_none(name: str, is_directory: bool) -> None:  # noqa: FBT001 - drawn
    backup = backup_named(PurePosixPath("x") / name.replace("/", ""), is_directory=is_directory)

    if backup is not None:
        assert 1 <= len(backup.account) <= 16
        assert backup.account in backup.path.name
        assert backup.account.isascii()


def test_an_id_keeps_its_ending_where_another_backup_has_the_same_stem() -> None:
    path = PurePosixPath("x/stefan.tar.gz")

    assert Backup(path, TAR_GZ, "stefan", None, "").id == "x/stefan"
    assert Backup(path, TAR_GZ, "stefan", None, "", is_one_of_several=True).id == "x/stefan.tar.gz"
    assert Backup(path.with_name("stefan"), DIRECTORY, "stefan", None, "", is_one_of_several=True).id == "x/stefan"


def test_a_directory_may_be_called_after_a_day() -> None:
    names = ["2021-02-20", "2021-2-20", "2021-02-30", "2021-02-20 ", "x2021-02-20", "\u0662\u0660\u0662\u0661-02-20"]

    assert [day_named(name) for name in names] == [DAY, None, None, None, None, None]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".master.meta", METADATA),
        (".meta", METADATA),
        ("transports.db", METADATA),
        ("stefan.tar.gz.part00001", SPLIT),
        ("cpmove-stefan.part2.tar.gz", SPLIT),
        (".htaccess", NO_BACKUP),
        ("stefan.meta", NO_BACKUP),
        ("wordpress-4.9.tar.gz", NO_BACKUP),
    ],
)
def test_what_is_no_backup_is_told_by_its_name(name: str, why: str) -> None:
    assert why_no_backup(name) == why


def test_the_servers_own_backups_have_names_of_their_own() -> None:
    names = ["system", "dirs", "files", "system.tar", "files.tar.gz", "system.zip", "systems", "stefan"]

    assert [name for name in names if is_servers_own(name)] == names[:5]
