# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every storage does: the contract that the one in memory and those on real servers pass alike."""

from __future__ import annotations

import typing as t
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import MissingError, RefusedError, StorageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.listing import seconds_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import DIRECTORY, RemoteEntry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import FILE as A_FILE

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Buffer, Storage

ROOT = PurePosixPath()
BOX = PurePosixPath("box")
FILE = BOX / "file"
MISSING = BOX / "missing"
CONTENT = bytes(range(256)) * 1000


def write(storage: Storage, path: PurePosixPath, content: bytes = CONTENT) -> int:
    storage.ensure_directories([path.parent])
    return storage.write(path, lambda: [content])


def names(storage: Storage, directory: PurePosixPath) -> set[str]:
    return {entry.name for entry in storage.list_directory(directory)}


class StorageContract:
    """Subclasses have a fixture ``storage``: an empty one."""

    # looking

    def test_a_missing_directory_lists_as_empty(self, storage: Storage) -> None:
        assert storage.list_directory(BOX / "missing") == []

    def test_a_listing_tells_files_and_their_sizes_from_directories(self, storage: Storage) -> None:
        write(storage, FILE)
        storage.ensure_directories([BOX / "inner"])

        assert set(storage.list_directory(BOX)) == {
            RemoteEntry("file", is_directory=False, size=len(CONTENT)),
            RemoteEntry("inner", is_directory=True, size=0),
        }

    def test_details_tell_files_and_their_sizes_from_directories(self, storage: Storage) -> None:
        write(storage, FILE)
        storage.ensure_directories([BOX / "inner"])

        details = storage.list_details(BOX)

        assert {(one.name, one.kind, one.size, one.target) for one in details} == {
            ("file", A_FILE, len(CONTENT), ""),
            ("inner", DIRECTORY, 0, ""),
        }
        assert all(one.modified for one in details)
        assert [one.kind for one in storage.list_details(ROOT) if one.name == BOX.name] == [DIRECTORY]

    def test_there_are_no_details_of_a_missing_or_an_empty_directory(self, storage: Storage) -> None:
        storage.ensure_directories([BOX])

        assert storage.list_details(BOX / "missing") == storage.list_details(BOX) == []

    def test_details_tell_the_time_of_a_file_to_the_second_where_that_is_wanted(self, storage: Storage) -> None:
        write(storage, FILE)

        details = storage.list_details(BOX, thorough=True)

        assert [(one.name, one.mtime) for one in details] == [("file", seconds_of(details[0].modified))]
        assert details[0].mtime is not None

    def test_a_file_keeps_its_mark_until_it_is_another_one(self, storage: Storage) -> None:
        write(storage, FILE)
        write(storage, BOX / "other", b"four")
        before = storage.marks([MISSING, FILE, BOX, BOX / "other"])

        storage.delete([BOX / "other"])
        write(storage, BOX / "other", b"seven..")
        after = storage.marks([MISSING, FILE, BOX, BOX / "other"])

        assert [mark is None for mark in before] == [True, False, True, False]
        assert before[:3] == after[:3]
        assert after[3] is not None
        assert before[3] != after[3]
        assert storage.marks([]) == []

    def test_sizes_come_in_the_order_of_the_question_with_none_for_what_is_not_there(self, storage: Storage) -> None:
        write(storage, FILE)

        assert storage.sizes([MISSING, FILE, BOX / "none" / "at-all"]) == [None, len(CONTENT), None]
        assert storage.sizes([]) == []

    def test_only_a_directory_is_a_directory(self, storage: Storage) -> None:
        write(storage, FILE)

        assert [storage.has_directory(path) for path in (BOX, FILE, MISSING)] == [True, False, False]

    # directories

    def test_directories_are_made_in_order_and_may_be_there_already(self, storage: Storage) -> None:
        wanted = [BOX, BOX / "a", BOX / "a" / "b"]

        storage.ensure_directories(wanted)
        storage.ensure_directories(wanted)

        assert storage.has_directory(BOX / "a" / "b")

    def test_a_directory_is_not_made_without_its_parent(self, storage: Storage) -> None:
        with pytest.raises(RefusedError):
            storage.ensure_directories([BOX / "a" / "b"])

    def test_only_one_call_is_told_that_it_made_a_directory(self, storage: Storage) -> None:
        assert [storage.take_directory(BOX), storage.take_directory(BOX)] == [True, False]

    def test_a_directory_without_a_parent_cannot_be_taken(self, storage: Storage) -> None:
        with pytest.raises(RefusedError):
            storage.take_directory(BOX / "a")

    def test_only_empty_directories_are_removed(self, storage: Storage) -> None:
        write(storage, FILE)
        storage.ensure_directories([BOX / "a", BOX / "a" / "b"])

        removed = storage.remove_directories([BOX / "a" / "b", BOX / "a", MISSING, BOX])

        assert removed == [True, True, False, False]
        assert names(storage, BOX) == {"file"}

    # writing

    def test_what_is_written_reads_back(self, storage: Storage) -> None:
        assert write(storage, FILE) == len(CONTENT)
        assert storage.read(FILE) == CONTENT
        assert names(storage, BOX) == {"file"}

    def test_chunks_may_be_of_any_kind_of_bytes(self, storage: Storage) -> None:
        storage.ensure_directories([BOX])

        chunks: list[Buffer] = [b"one ", bytearray(b"two "), memoryview(b"three")]
        storage.write(FILE, lambda: iter(chunks))

        assert storage.read(FILE) == b"one two three"

    def test_an_empty_file_is_a_file(self, storage: Storage) -> None:
        assert write(storage, FILE, b"") == 0
        assert storage.sizes([FILE]) == [0]
        assert storage.read(FILE) == b""

    def test_nothing_is_written_into_a_directory_that_is_missing(self, storage: Storage) -> None:
        with pytest.raises(StorageError):
            storage.write(FILE, lambda: [CONTENT])

    def test_a_staged_file_gets_its_name_when_it_is_published(self, storage: Storage) -> None:
        storage.ensure_directories([BOX])

        staged = storage.stage(FILE, lambda: [CONTENT])
        before = storage.sizes([FILE, staged])
        storage.publish(staged, FILE, lambda: [CONTENT])

        assert staged.parent == BOX
        assert before == [None, len(CONTENT)]
        assert storage.sizes([FILE, staged]) == [len(CONTENT), None]

    def test_two_stagings_of_one_name_do_not_meet(self, storage: Storage) -> None:
        storage.ensure_directories([BOX])

        first, second = (storage.stage(FILE, lambda: [CONTENT]) for _attempt in range(2))

        assert first != second

    # renaming

    def test_a_directory_is_renamed_with_what_is_in_it(self, storage: Storage) -> None:
        write(storage, FILE)

        storage.rename(BOX, PurePosixPath("other"))

        assert storage.read(PurePosixPath("other/file")) == CONTENT
        assert not storage.has_directory(BOX)

    def test_what_is_missing_cannot_be_renamed(self, storage: Storage) -> None:
        storage.ensure_directories([BOX])

        with pytest.raises(StorageError):
            storage.rename(MISSING, FILE)

    # reading

    def test_a_part_of_a_file_can_be_read(self, storage: Storage) -> None:
        write(storage, FILE)

        assert storage.read(FILE, 1000) == CONTENT[1000:]
        assert storage.read(FILE, 1000, 77) == CONTENT[1000:1077]
        assert storage.read(FILE, len(CONTENT) - 10, 77) == CONTENT[-10:]

    def test_an_open_file_gives_just_what_is_asked_for(self, storage: Storage) -> None:
        write(storage, FILE)

        with storage.open(FILE, 100) as reader:
            pieces = [bytes(reader.read(size)) for size in (3, 100_000, 1_000_000, 10)]

        assert [len(piece) for piece in pieces] == [3, 100_000, len(CONTENT) - 100_103, 0]
        assert b"".join(pieces) == CONTENT[100:]

    def test_an_open_file_may_be_left_before_its_end(self, storage: Storage) -> None:
        write(storage, FILE)

        with storage.open(FILE) as reader:
            reader.read(3)

        assert storage.read(FILE) == CONTENT

    def test_a_missing_file_is_told_as_missing(self, storage: Storage) -> None:
        storage.ensure_directories([BOX])

        with pytest.raises(MissingError):
            storage.read(MISSING)
        with pytest.raises(MissingError), storage.open(MISSING):
            pass

    # deleting

    def test_deleting_what_is_gone_is_no_error(self, storage: Storage) -> None:
        write(storage, FILE)

        storage.delete([MISSING, FILE, FILE])
        storage.delete([])

        assert storage.sizes([FILE]) == [None]
