# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive for cPanel's own restore is what cPanel made, whole, or it is none."""

from __future__ import annotations

import io
import tarfile
import typing as t
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import open_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.naming import backup_named
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.reading import make_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.rebuilding import archive_name, write_archive
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import Listing
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import RemoteDetails

DIRECTORY = PurePosixPath("harbour")
FILES = {
    "cp/harbour": b"USER=harbour\n",
    "homedir/public_html/index.php": b"<?php\n" * 1000,
    "homedir/caf\udce9": b"1",
    "userdata/main": b"main_domain: harbour.example\n",
    "version": b"archive version: 4\n",
}


class Silent(FakeStorage):
    """A storage with a backup in the form of a directory, without modes; *shrunk* files end before they should."""

    def __init__(self) -> None:
        super().__init__()
        self.shrunk: set[str] = set()
        for name, content in FILES.items():
            self.files[DIRECTORY / name] = content
            self.directories |= set((DIRECTORY / name).parents)

    def list_details(self, directory: PurePosixPath, *, thorough: bool = False) -> list[RemoteDetails]:
        listed = super().list_details(directory, thorough=thorough)
        return [replace(one, mode=None, size=one.size + (one.name in self.shrunk)) for one in listed]


def listing_of(storage: FakeStorage, scratch: Path) -> Listing:
    backup = backup_named(DIRECTORY, is_directory=True)
    assert backup is not None
    make_listing(storage, backup, "mark", scratch / "listing", scratch)
    return open_listing(scratch / "listing")


def test_a_directory_becomes_an_archive_in_which_files_are_no_programs(tmp_path: Path) -> None:
    storage = Silent()
    listing = listing_of(storage, tmp_path)
    written = io.BytesIO()

    size = write_archive(storage, listing, written.write)

    assert archive_name(listing) == "cpmove-harbour.tar"
    assert size == len(written.getvalue())
    with tarfile.open(fileobj=io.BytesIO(written.getvalue()), errors="surrogateescape") as tar:
        found = {member.name: member for member in tar}
        for name, content in FILES.items():
            file = tar.extractfile(found[f"cpmove-harbour/{name}"])
            assert file is not None
            assert file.read() == content
    assert {member.mode for member in found.values() if member.isfile()} == {0o644}
    assert {member.mode for member in found.values() if member.isdir()} == {0o755}


def test_a_file_that_ends_before_it_should_ends_the_archive(tmp_path: Path) -> None:
    storage = Silent()
    listing = listing_of(storage, tmp_path)
    storage.shrunk.add("index.php")

    with pytest.raises(DamageError, match=r"index\.php ends at byte 6,000 of the 6,001 that it should have"):
        write_archive(storage, listing, io.BytesIO().write)


def test_what_cpanel_cannot_do_without_is_told(tmp_path: Path) -> None:
    storage = Silent()
    del storage.files[DIRECTORY / "userdata/main"]
    listing = listing_of(storage, tmp_path)

    with pytest.raises(DamageError, match="lacks userdata/main, without which"):
        write_archive(storage, listing, io.BytesIO().write)
