# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layouts in which cPanel leaves backups, what lies beside them, and what tells that a backup has changed."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.naming import (
    DAILY,
    DIRECTORY,
    METADATA,
    MONTHLY,
    NO_BACKUP,
    OF_THE_SERVER,
    OTHER,
    SPLIT,
    TAR,
    TAR_GZ,
    WEEKLY,
    Backup,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.tree import Findings, find_backups, marks_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import InterruptedTransferError, RefusedError
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import StorageError
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path, RemoteDetails

DAY = datetime(2021, 2, 20, tzinfo=timezone.utc)
MOMENT = datetime(2021, 2, 20, 13, 22, 32, tzinfo=timezone.utc)
# Where an archive may lie, and of which cycle and day it is there.
PLACES: dict[str, tuple[str, datetime | None]] = {
    "": (OTHER, None),
    "accounts": (OTHER, None),
    "manual": (OTHER, None),
    "2021-02-20": (DAILY, DAY),
    "2021-02-20/accounts": (DAILY, DAY),
    "daily/2021-02-20/accounts": (DAILY, DAY),
    "weekly": (WEEKLY, None),
    "weekly/2021-02-20": (WEEKLY, DAY),
    "weekly/2021-02-20/accounts": (WEEKLY, DAY),
    "monthly/2021-02-20": (MONTHLY, DAY),
    "monthly/2021-02-20/accounts": (MONTHLY, DAY),
    "manual/2021-02-20": (OTHER, DAY),
    "incremental/accounts": (OTHER, None),
    "cpbackup/daily": (DAILY, None),
    "cpbackup/weekly": (WEEKLY, None),
    "cpbackup/monthly": (MONTHLY, None),
}
ACCOUNT = ("cp/stefan", "homedir/public_html/index.php", "homedir_paths", "version", "mysql.sql", "quota")


class Tree(FakeStorage):
    """A storage that knows which directories were listed, and how often marks were asked for; *errors* are raised."""

    def __init__(self, *paths: str, errors: dict[str, StorageError] | None = None) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.questions: list[list[str]] = []
        self._errors = errors or {}
        for path in paths:
            self.put(path)

    def put(self, path: str, content: bytes = b"four") -> None:
        """Put a file at *path*, or a directory where it ends with a slash."""
        inside = PurePosixPath(path)
        if not path.endswith("/"):
            self.files[inside] = content
        self.directories.update(inside.parents, [inside] if path.endswith("/") else [])

    def account(self, path: str) -> None:
        for name in ACCOUNT:
            self.put(f"{path}/{name}")

    def list_details(self, directory: Path, *, thorough: bool = False) -> list[RemoteDetails]:
        self.listed.append(str(directory))
        if str(directory) in self._errors:
            raise self._errors[str(directory)]
        return super().list_details(directory, thorough=thorough)

    def marks(self, paths: Sequence[Path]) -> list[str | None]:
        self.questions.append([str(path) for path in paths])
        return super().marks(paths)


def found_in(storage: Tree) -> list[tuple[str, str, str, datetime | None, str]]:
    return [
        (str(one.path), one.form, one.account, one.created, one.cycle) for one in find_backups(storage, map).backups
    ]


def ignored_in(storage: Tree) -> dict[str, str]:
    return {str(ignored.path): ignored.why for ignored in find_backups(storage, map).ignored}


# -- layouts


@pytest.mark.parametrize(("place", "expected"), PLACES.items())
def test_archives_are_found_in_every_layout(place: str, expected: tuple[str, datetime | None]) -> None:
    cycle, day = expected
    directory = PurePosixPath(place)
    storage = Tree(f"{place}/stefan.tar.gz".lstrip("/"), f"{place}/cpmove-anna.tar".lstrip("/"))

    assert found_in(storage) == [
        (str(directory / "cpmove-anna.tar"), TAR, "anna", day, cycle),
        (str(directory / "stefan.tar.gz"), TAR_GZ, "stefan", day, cycle),
    ]
    assert ignored_in(storage) == {}


@pytest.mark.parametrize(("place", "expected"), [*PLACES.items(), ("incremental", (OTHER, None))])
def test_directories_are_found_in_every_layout_and_not_walked_into(
    place: str, expected: tuple[str, datetime | None]
) -> None:
    cycle, day = expected
    path = str(PurePosixPath(place) / "stefan")
    storage = Tree()
    storage.account(path)

    assert found_in(storage) == [(path, DIRECTORY, "stefan", day, cycle)]
    assert storage.listed.count(path) == 1
    assert [listed for listed in storage.listed if listed.startswith(f"{path}/")] == []


def test_a_backup_that_a_user_made_tells_its_time_by_its_name() -> None:
    storage = Tree("backup-2.20.2021_13-22-32_stefan.tar.gz", "2021-02-20/backup-2.21.2021_1-2-3_stefan.tar.gz")

    assert [backup.created for backup in find_backups(storage, map).backups] == [DAY, MOMENT]


def test_layouts_may_lie_side_by_side() -> None:
    paths = [f"{place}/stefan.tar.gz".lstrip("/") for place in PLACES]
    storage = Tree(*paths)

    with ThreadPoolExecutor(4) as threads:
        findings = find_backups(storage, threads.map)

    assert [str(backup.path) for backup in findings.backups] == sorted(paths)
    assert len({backup.id for backup in findings.backups}) == len(paths)
    assert findings.ignored == ()


def test_nothing_is_listed_that_no_layout_has() -> None:
    storage = Tree(
        "2021-02-20/accounts/2021-02-20/stefan.tar.gz",
        "2021-02-20/accounts/accounts/stefan.tar.gz",
        "weekly/monthly/stefan.tar.gz",
        "weekly/2021-02-20/accounts/deep/deeper/deepest/stefan.tar.gz",
        "cpbackup/2021-02-20/stefan.tar.gz",
        "incremental/daily/stefan.tar.gz",
        "A folder/stefan.tar.gz",
    )

    assert found_in(storage) == []
    assert set(ignored_in(storage).values()) == {NO_BACKUP}
    assert "A folder" not in storage.listed
    assert not [path for path in storage.listed if "deeper" in path or path.count("/") > 3]


def test_an_empty_storage_has_no_backups() -> None:
    assert find_backups(Tree(), map) == Findings((), ())


# -- accounts that are directories


@pytest.mark.parametrize(
    ("names", "is_account"),
    [
        (["cp/stefan"], True),
        (["homedir/", "version"], True),
        (["homedir.tar", "version"], True),
        (["homedir/"], False),
        (["version"], False),
        (["cp", "version"], False),
        (["homedir.tar/", "version"], False),
        (["homedir/", "version/"], False),
        (["public_html/index.php"], False),
        ([], False),
    ],
)
def test_a_directory_is_an_account_if_its_listing_says_so(names: list[str], *, is_account: bool) -> None:
    storage = Tree("accounts/stefan/", *(f"accounts/stefan/{name}" for name in names))

    findings = find_backups(storage, map)

    assert len(findings.backups) == is_account
    assert [tuple(ignored) for ignored in findings.ignored] == (
        [] if is_account else [(PurePosixPath("accounts/stefan"), NO_BACKUP)]
    )


# -- what is ignored


def test_what_is_no_backup_of_an_account_is_told_with_the_reason() -> None:
    storage = Tree(
        ".meta/stefan.db",
        "2021-02-20/accounts/.master.meta",
        "2021-02-20/system/dirs/_etc.tar.gz",
        "2021-02-20/system.tar",
        "cpbackup/daily/dirs/_etc.tar.gz",
        "cpbackup/daily/files/_etc_passwd.gz",
        "2021-02-20/accounts/anna.tar.gz.part00001",
        "2021-02-20/accounts/wordpress-4.9.tar.gz",
        "destination.json",
        "files.tar.gz",
        "2021-02-20/accounts/files.tar.gz",
    )
    storage.links[PurePosixPath("latest")] = "2021-02-20"

    assert ignored_in(storage) == {
        ".meta": METADATA,
        "2021-02-20/accounts/.master.meta": METADATA,
        "2021-02-20/system": OF_THE_SERVER,
        "2021-02-20/system.tar": OF_THE_SERVER,
        "cpbackup/daily/dirs": OF_THE_SERVER,
        "cpbackup/daily/files": OF_THE_SERVER,
        "2021-02-20/accounts/anna.tar.gz.part00001": SPLIT,
        "2021-02-20/accounts/wordpress-4.9.tar.gz": NO_BACKUP,
        "destination.json": NO_BACKUP,
        "files.tar.gz": OF_THE_SERVER,
        "latest": "a link, which is not followed",
    }
    assert [backup.account for backup in find_backups(storage, map).backups] == ["files"]


def test_of_very_many_names_the_first_are_told_and_how_many_more_there_are() -> None:
    storage = Tree(*(f"{number:05d}.txt" for number in range(1300)))

    ignored = find_backups(storage, map).ignored

    assert [str(one.path) for one in ignored[:-1]] == [f"{number:05d}.txt" for number in range(200)]
    assert ignored[-1] == (PurePosixPath(), "and 1,100 more are no backups of accounts")


def test_a_directory_that_may_be_an_account_and_is_not_listed_is_told() -> None:
    storage = Tree("accounts/stefan/cp/stefan", "accounts/anna.tar", errors={"accounts/stefan": RefusedError("No.")})

    assert ignored_in(storage) == {"accounts/stefan": "the server does not list it"}
    assert [account for _path, _form, account, _created, _cycle in found_in(storage)] == ["anna"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (".", RefusedError("No.")),
        ("2021-02-20", RefusedError("No.")),
        ("2021-02-20/accounts", RefusedError("No.")),
        ("2021-02-20/accounts/stefan", InterruptedTransferError("No.")),
    ],
)
def test_a_layout_that_is_not_listed_whole_is_no_layout_without_backups(path: str, error: StorageError) -> None:
    storage = Tree("2021-02-20/accounts/stefan/cp/stefan", errors={path: error})

    with pytest.raises(type(error)):
        find_backups(storage, map)


# -- ids


def test_backups_that_lie_beside_each_other_have_ids_of_their_own() -> None:
    storage = Tree("accounts/stefan.tar", "accounts/stefan.tar.gz", "accounts/anna.tar.gz", "accounts/otto.tar")
    storage.account("accounts/otto")

    assert [backup.id for backup in find_backups(storage, map).backups] == [
        "accounts/anna",
        "accounts/otto",
        "accounts/otto.tar",
        "accounts/stefan.tar",
        "accounts/stefan.tar.gz",
    ]


# -- marks


def backups_in(storage: Tree) -> tuple[Backup, ...]:
    storage.account("2021-02-20/accounts/stefan")
    storage.put("2021-02-20/accounts/anna.tar.gz")
    return find_backups(storage, map).backups


def test_a_backup_keeps_its_mark_as_long_as_it_stays() -> None:
    storage = Tree()
    backups = backups_in(storage)

    before = marks_of(storage, backups)

    assert None not in before
    assert before == marks_of(storage, backups) == [*marks_of(storage, backups[:1]), *marks_of(storage, backups[1:])]
    assert marks_of(storage, []) == []


def test_the_mark_of_an_archive_is_that_of_the_storage() -> None:
    storage = Tree()
    backups = backups_in(storage)

    assert marks_of(storage, backups[:1]) == storage.marks([backups[0].path])


@pytest.mark.parametrize(
    "name", ["version", "homedir_paths", "mysql.sql", "quota", "cp/stefan", "shadow", "psql_users.sql", "mysql/new/"]
)
def test_a_directory_has_another_mark_when_a_backup_was_written_anew(name: str) -> None:
    storage = Tree()
    backups = backups_in(storage)
    before = marks_of(storage, backups)

    storage.put(f"2021-02-20/accounts/stefan/{name}", b"other")

    assert [old == new for old, new in zip(before, marks_of(storage, backups))] == [True, False]


@pytest.mark.parametrize("name", ["version", "cp/stefan", "mysql-timestamps/mysql", "meta/homedir_paths"])
def test_a_directory_has_another_mark_when_only_the_time_of_such_a_file_is_another(name: str) -> None:
    storage = Tree(f"2021-02-20/accounts/stefan/{name}")
    backups = backups_in(storage)
    before = marks_of(storage, backups)

    storage.modified[PurePosixPath("2021-02-20/accounts/stefan") / name] = "20260202000000"

    assert before != marks_of(storage, backups)


def test_what_is_gone_has_no_mark() -> None:
    storage = Tree()
    backups = backups_in(storage)
    storage.files.clear()
    storage.directories = {path for path in storage.directories if "stefan" not in path.parts}

    assert marks_of(storage, backups) == [None, None]


def test_all_marks_are_asked_for_at_once_and_only_where_a_file_may_be() -> None:
    storage = Tree()
    backups = backups_in(storage)
    storage.account("2021-02-20/accounts/otto")

    marks_of(storage, find_backups(storage, map).backups)

    (asked,) = storage.questions
    assert len(backups) == 2
    assert len(asked) == 1 + 2 * (4 + 1)
    assert not [path for path in asked if "meta/" in path or "shadow" in path]


def test_the_age_of_a_directory_does_not_change_its_mark() -> None:
    """LIST tells the hour of what is young and the year of what is old."""
    storage = Tree()
    backups = backups_in(storage)
    cp, version = (PurePosixPath("2021-02-20/accounts/stefan") / name for name in ("cp", "homedir"))
    marks = []
    for young_or_old in ("Feb 20 13:22", "Feb 20 2021"):
        storage.modified[cp] = storage.modified[version] = young_or_old
        marks.append(marks_of(storage, backups))

    assert marks[0] == marks[1]
