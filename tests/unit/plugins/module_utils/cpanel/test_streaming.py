# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content is streamed out of a backup as it was indexed, and what is made of members is made the same way twice."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import typing as t
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import open_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.naming import backup_named
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.parts import place_below
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.reading import make_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.streaming import Contents, unpacked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import DATABASE
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_account import Maker
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import Listing
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry

GRANTS = (
    "GRANT USAGE ON *.* TO 'harbour_u'@'localhost' IDENTIFIED BY PASSWORD '*" + "A1" * 20 + "';\n"
    "GRANT ALL PRIVILEGES ON `harbour\\_shop`.* TO 'harbour_u'@'localhost';\n"
    "GRANT ALL PRIVILEGES ON `roundcube`.* TO 'harbour_u'@'localhost';\n"
).encode()
MEMBERS = {
    "cp/harbour": b"USER=harbour\n",
    "mysql/harbour_shop.create": b"CREATE DATABASE harbour_shop;\n",
    "mysql/harbour_shop.sql": b"SELECT 1;\n",
    "mysql/roundcube.sql": b"SELECT 2;\n",
    "mysql.sql": GRANTS,
}


def storage_with(path: PurePosixPath, *, is_packed: bool) -> FakeStorage:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in MEMBERS.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    storage = FakeStorage()
    storage.files[path] = gzip.compress(file.getvalue()) if is_packed else file.getvalue()
    return storage


def listing_of(storage: FakeStorage, path: PurePosixPath, scratch: Path) -> Listing:
    backup = backup_named(path, is_directory=False)
    assert backup is not None
    make_listing(storage, backup, "mark", scratch / "listing", scratch)
    return open_listing(scratch / "listing")


def entry_below(listing: Listing, prefix: bytes) -> Entry:
    (entry,) = (entry for entry in listing.entries(prefix) if entry.path.startswith(prefix))
    return entry


@pytest.mark.parametrize("name", ["harbour.tar", "harbour.tar.gz"])
def test_a_dump_is_its_two_members_strung_together(tmp_path: Path, name: str) -> None:
    path = PurePosixPath(name)
    storage = storage_with(path, is_packed=name.endswith(".gz"))
    listing = listing_of(storage, path, tmp_path)
    entry = entry_below(listing, b"parts:/database/")

    with Contents(storage, listing.origin) as contents:
        twice = [b"".join(map(bytes, contents.of(entry))) for _time in range(2)]

    assert twice == [MEMBERS["mysql/harbour_shop.create"] + MEMBERS["mysql/harbour_shop.sql"]] * 2


def test_content_that_changed_since_it_was_indexed_is_damage(tmp_path: Path) -> None:
    path = PurePosixPath("harbour.tar")
    storage = storage_with(path, is_packed=False)
    listing = listing_of(storage, path, tmp_path)
    entry = entry_below(listing, b"parts:/database/")
    storage.files[path] = storage.files[path].replace(b"SELECT 1", b"SELECT 3")

    with Contents(storage, listing.origin) as contents, pytest.raises(DamageError, match="does not hold what it held"):
        list(contents.of(entry))


def test_grants_on_a_database_that_is_no_part_are_left_out_when_indexed_and_when_restored(tmp_path: Path) -> None:
    path = PurePosixPath("harbour.tar")
    storage = storage_with(path, is_packed=False)
    listing = listing_of(storage, path, tmp_path)
    entry = entry_below(listing, b"parts:/database_user/")
    databases = [part.name for part in listing.trailer.parts if part.kind == DATABASE]

    with Contents(storage, listing.origin) as contents:
        made = Maker(databases)(entry._replace(path=place_below(entry.path)), contents.members(entry))

    assert hashlib.sha256(made).hexdigest() == entry.digest
    assert b"harbour" in made
    assert b"roundcube" not in made


def test_a_packed_stream_comes_unpacked_however_it_is_cut_into_pieces() -> None:
    content = bytes(range(256)) * 100
    packed = gzip.compress(content)

    pieces = unpacked(memoryview(packed[at : at + 7]) for at in range(0, len(packed), 7))

    assert b"".join(map(bytes, pieces)) == content
