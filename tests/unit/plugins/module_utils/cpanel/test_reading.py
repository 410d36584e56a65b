# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over a backup gives its listing, whatever its members are called and in whatever order they come."""

from __future__ import annotations

import io
import tarfile
import typing as t
from contextlib import ExitStack
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import tables
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel import reading
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.limits import LIMITS
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import hold_listing, open_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.naming import backup_named, day_named
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.reading import make_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError, RefusedError
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import Listing
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import RemoteDetails

ARCHIVE = PurePosixPath("harbour.tar")
DIRECTORY = PurePosixPath("harbour")
SETTINGS = ("cp/harbour", b"USER=harbour\nDNS=harbour.example\n")
Given = t.Union[tuple[str, bytes], tarfile.TarInfo]


def link(name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def archive_of(*members: Given) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size, header.mode = len(member[1]), 0o644
                tar.addfile(header, io.BytesIO(member[1]))
    return file.getvalue()


def listing_of(
    scratch: Path, *members: Given, storage: FakeStorage | None = None, path: PurePosixPath = ARCHIVE
) -> Listing:
    """Return the listing of an archive of *members*, or of what lies at *path* of a *storage*."""
    if storage is None:
        storage = FakeStorage()
        storage.files[path] = archive_of(*members)
    backup = backup_named(path, is_directory=path == DIRECTORY)
    assert backup is not None
    make_listing(storage, backup, "mark", scratch / "listing", scratch)
    assert [file.name for file in scratch.iterdir()] == ["listing"]
    return open_listing(scratch / "listing")


def entries_of(listing: Listing) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in listing.entries()}


def tree_of(*files: tuple[str, bytes]) -> FakeStorage:
    """Return a storage with a backup in the form of a directory."""
    storage = FakeStorage()
    for name, content in files:
        path = DIRECTORY / name
        storage.files[path] = content
        storage.directories |= set(path.parents)
    return storage


def test_a_dump_whose_other_half_is_a_link_to_nothing_is_listed_without_it(tmp_path: Path) -> None:
    listing = listing_of(
        tmp_path, SETTINGS, ("mysql/harbour_shop.sql", b"SELECT 1;\n"), link("mysql/harbour_shop.create", "nothing")
    )

    assert entries_of(listing)[b"parts:/database/harbour_shop/harbour_shop.sql"].size == 10
    assert any("hard link to nothing" in problem.problem for problem in listing.trailer.problems)


def test_an_owner_whose_name_is_no_text_is_kept_as_it_is(tmp_path: Path) -> None:
    member = tarfile.TarInfo("homedir/file")
    member.uname = member.gname = "caf\udce9"

    entry = entries_of(listing_of(tmp_path, SETTINGS, member))[b"/file"]

    assert (entry.user, entry.group) == ("caf\udce9", "caf\udce9")


@pytest.mark.parametrize("last", [("proftpdpasswd", b"last:x:1:1:harbour:/h:/s\n"), link("proftpdpasswd", "x", b"2")])
def test_of_metadata_with_one_name_the_last_counts(tmp_path: Path, last: Given) -> None:
    first = ("proftpdpasswd", b"first:x:1:1:harbour:/h:/s\n")

    listing = listing_of(tmp_path, SETTINGS, first, last)

    logins = [part.name for part in listing.trailer.parts if part.kind == "ftp_account"]
    assert logins == (["last"] if isinstance(last, tuple) else [])


def test_metadata_that_is_too_much_is_told_and_listed_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MEMBER_COST", LIMITS.metadata_total // 3)
    many = [(f"userdata/{number}.example", b"") for number in range(9)]

    listing = listing_of(tmp_path, SETTINGS, *many, ("mysql.sql", b"-- secret\n"))

    assert entries_of(listing)[b"parts:/files/mysql.sql"].mode == 0o600
    assert any("was not looked into" in problem.problem for problem in listing.trailer.problems)


def test_files_of_the_home_are_no_metadata_whatever_they_are_called(tmp_path: Path) -> None:
    storage = tree_of(SETTINGS, ("homedir/cp/other", b"USER=other\n"), ("homedir/version", b"mine\n"))

    listing = listing_of(tmp_path, storage=storage, path=DIRECTORY)

    assert storage.reads == [DIRECTORY / "cp/harbour"]
    assert listing.header.job == "harbour"


def test_a_hard_link_to_what_is_a_duplicate_by_then_has_what_came_last_before_it(tmp_path: Path) -> None:
    listing = listing_of(
        tmp_path,
        SETTINGS,
        ("homedir/a", b"1"),
        ("homedir/a", b"22"),
        link("homedir/b", "homedir/a"),
        ("homedir/a", b""),
    )

    sizes = {path: entry.size for path, entry in entries_of(listing).items() if path.startswith(b"/")}
    assert sizes == {b"/a": 0, b"/b": 2}


@pytest.mark.parametrize("day", ["0001-01-01", "0999-12-31", "1969-12-31"])
def test_a_date_that_no_backup_can_have_counts_as_none(tmp_path: Path, day: str) -> None:
    storage = FakeStorage()
    path = PurePosixPath(day) / "harbour.tar"
    storage.files[path] = archive_of(SETTINGS)
    backup = backup_named(path, is_directory=False, day=day_named(day))
    assert backup is not None

    make_listing(storage, backup, "mark", tmp_path / "listing", tmp_path)

    listing = open_listing(tmp_path / "listing")
    assert (listing.header.started.year, listing.origin.is_dated) == (1970, False)


class Refusing(FakeStorage):
    """A storage that lists no directory of *refused*."""

    refused: t.ClassVar[set[PurePosixPath]] = {DIRECTORY / "homedir/mail/a.example", DIRECTORY / "mysql"}

    def list_details(self, directory: PurePosixPath, *, thorough: bool = False) -> list[RemoteDetails]:
        if directory in self.refused:
            raise RefusedError(f"Cannot list {directory}: permission denied.", code=550)
        return super().list_details(directory, thorough=thorough)


def test_each_part_that_a_directory_was_not_listed_of_is_cut(tmp_path: Path) -> None:
    storage = Refusing()
    tree = tree_of(
        SETTINGS,
        ("homedir/mail/a.example/info/cur/1", b""),
        ("homedir/mail/b.example/info/cur/1", b""),
        ("homedir/etc/a.example/passwd", b"info:x:1:1::/home/harbour/mail/a.example/info:/s\n"),
        ("mysql/harbour_shop.sql", b""),
        ("va/b.example", b""),
    )
    storage.files, storage.directories = tree.files, tree.directories

    listing = listing_of(tmp_path, storage=storage, path=DIRECTORY)

    assert listing.origin.cut == ("files//", "mailbox/info@a.example")
    assert "is damaged: Cannot list" in listing.origin.damage


def test_a_full_disk_is_told_in_one_sentence_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = tables.connect

    def narrow(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(tables, "connect", narrow)
    storage = FakeStorage()
    storage.files[ARCHIVE] = archive_of(SETTINGS, *[(f"homedir/{number:0100}", b"") for number in range(500)])
    backup = backup_named(ARCHIVE, is_directory=False)
    assert backup is not None

    with pytest.raises(LocalError, match=r"cannot be noted in .*: database or disk is full\."):
        make_listing(storage, backup, "mark", tmp_path / "listing", tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_listing_that_is_held_stays_as_it_was_when_another_takes_its_place(tmp_path: Path) -> None:
    listing_of(tmp_path, SETTINGS, ("homedir/old", b"1"))
    with ExitStack() as held:
        listing = hold_listing(tmp_path / "listing", held)
        listing_of(tmp_path, SETTINGS, ("homedir/new", b"1"))

        found = entries_of(listing)

    assert b"/old" in found
