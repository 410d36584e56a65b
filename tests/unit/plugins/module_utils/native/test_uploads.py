# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads: side by side, known one by one as they are confirmed, and read back where that is wanted."""

from __future__ import annotations

import random
import threading
import typing as t
from contextlib import contextmanager
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    DamageError,
    InterruptedTransferError,
    LocalError,
    SpaceError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.uploads import Uploads
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import Budget, Packer
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Chunks, Reader
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path as RemotePath

MIB = 1024 * 1024
NOISE = random.Random(8).randbytes(4 * MIB)
POOL = PurePosixPath("s01")
ENTRY = Entry(b"/srv/file", "f", 0o640, 0, 0, "root", "root", 0)


class Run:
    """A packer and its uploads, with volumes of 1 MiB."""

    def __init__(self, storage: FakeStorage, *, readback: bool = False, memory: int = 32 * MIB) -> None:
        self.storage = storage
        self.budget = Budget(memory)
        self.uploads = Uploads(storage, POOL, self.budget, 2, readback=readback)
        self.packer = Packer(
            "none",
            lambda number: f"v00/{number}.tar",
            self.uploads.start,
            self.budget,
            volume_size=MIB,
            with_digests=readback,
        )

    def add(self, *sizes: int) -> None:
        """Add a segment of each size, and end the volume."""
        for size in sizes:
            self.packer.add(ENTRY, NOISE[:size], "")
        self.packer.close_volume()

    def stored(self) -> set[str]:
        return {path.name for path in self.storage.files}


class ClosedStorage(FakeStorage):
    """Stores nothing before its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def write(self, path: RemotePath, chunks: Chunks) -> int:
        self.gate.wait()
        return super().write(path, chunks)


class FullStorage(FakeStorage):
    """Has room for one volume."""

    def write(self, path: RemotePath, chunks: Chunks) -> int:
        with self._guard:
            if self.files:
                raise SpaceError(f"Cannot upload {path}: the disk is full.")
            return super().write(path, chunks)


class ForgetfulStorage(FakeStorage):
    """Keeps something else in the place of one byte of the second volume, and tells nobody."""

    def write(self, path: RemotePath, chunks: Chunks) -> int:
        size = super().write(path, chunks)
        if path.name == "1.tar":
            content = bytearray(self.files[path])
            content[size // 2] ^= 1
            self.files[path] = bytes(content)
        return size


class ShakyStorage(FakeStorage):
    """Breaks every download after *stretch* bytes; without *is_told*, that looks like the end of the file."""

    def __init__(self, stretch: int, *, is_told: bool) -> None:
        super().__init__()
        self._stretch = stretch
        self._is_told = is_told

    @contextmanager
    def open(self, path: RemotePath, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        with super().open(path, offset, length) as reader:
            yield _ShakyReader(reader, self._stretch, is_told=self._is_told)


class _ShakyReader:
    def __init__(self, reader: Reader, stretch: int, *, is_told: bool) -> None:
        self._reader = reader
        self._left = stretch
        self._is_told = is_told

    def read(self, size: int) -> memoryview:
        if self._left == 0 and self._is_told:
            raise InterruptedTransferError("Cannot read the volume: the transfer broke.")
        content = self._reader.read(min(size, self._left))
        self._left -= len(content)
        return content


def test_every_volume_is_stored_under_its_name_in_the_pool() -> None:
    run = Run(FakeStorage())

    run.add(MIB, MIB, 5)

    sizes = run.uploads.finish()
    assert sizes == {f"v00/{number}.tar": size for number, size in enumerate([MIB + 512, MIB + 512, 1024])}
    assert sizes == {str(path.relative_to(POOL)): len(content) for path, content in run.storage.files.items()}


def test_what_was_started_is_stored_after_the_wait_and_more_may_follow() -> None:
    run = Run(FakeStorage())

    run.add(MIB, 1000)
    run.uploads.wait()
    assert run.uploads.sizes.keys() == {"v00/0.tar", "v00/1.tar"}
    run.add(2000)
    run.uploads.wait()

    assert run.uploads.sizes.keys() == {"v00/0.tar", "v00/1.tar", "v00/2.tar"}
    assert run.uploads.finish() == run.uploads.sizes


def test_only_what_is_confirmed_is_told() -> None:
    storage = ClosedStorage()
    run = Run(storage)

    run.add(MIB, MIB)
    before = run.uploads.sizes
    storage.gate.set()
    run.uploads.wait()

    assert before == {}
    assert len(run.uploads.sizes) == 2


def test_what_is_told_once_changes_nothing() -> None:
    run = Run(FakeStorage())
    run.add(MIB)
    run.uploads.wait()

    run.uploads.sizes.clear()

    assert run.uploads.finish() == {"v00/0.tar": MIB + 512}


def test_uploads_that_have_ended_leave_nothing_behind() -> None:
    run = Run(FakeStorage(), memory=4 * MIB)

    for _turn in range(50):
        run.add(MIB, 100)
    run.uploads.finish()

    assert run.uploads._running == set()
    assert len(run.uploads.sizes) == 100


@pytest.mark.parametrize("ending", ["wait", "finish"])
def test_what_fails_an_upload_is_raised_at_the_next_step(ending: str) -> None:
    run = Run(FullStorage())
    run.add(MIB, MIB)

    with pytest.raises(SpaceError):
        getattr(run.uploads, ending)()

    with pytest.raises(SpaceError):
        run.budget.take(1)
    assert len(run.uploads.sizes) == 1
    run.uploads.give_up()


def test_what_stopped_the_producer_is_raised_and_not_what_came_of_it() -> None:
    run = Run(FakeStorage())
    run.add(MIB)
    run.uploads.wait()
    run.packer.add(ENTRY, NOISE[:1000], "")
    run.packer._start_volume(run.packer._open_volume())
    run.packer.give_up(LocalError("The disk of the host is full."))

    with pytest.raises(LocalError, match="The disk of the host is full"):
        run.uploads.finish()

    assert "1.tar" not in run.stored()


def test_who_gives_up_waits_for_nothing_that_has_not_begun() -> None:
    storage = ClosedStorage()
    run = Run(storage)
    run.add(*[MIB] * 6)

    run.packer.give_up(LocalError("The disk of the host is full."))
    storage.gate.set()
    run.uploads.give_up()

    assert run.uploads.sizes == {}


# reading back


def test_a_volume_that_is_read_back_is_read_once_and_in_full() -> None:
    run = Run(FakeStorage(), readback=True)

    run.add(4 * MIB, 1000)

    sizes = run.uploads.finish()
    assert sorted(path.name for path in run.storage.reads) == ["0.tar", "1.tar"]
    assert run.storage.bytes_received == sum(sizes.values())


def test_a_volume_that_is_not_what_was_sent_is_deleted_and_told() -> None:
    run = Run(ForgetfulStorage(), readback=True)
    run.add(MIB, MIB)

    with pytest.raises(DamageError) as told:
        run.uploads.finish()

    assert str(told.value) == (
        "The volume s01/v00/1.tar was read back, and is not what was sent: the storage has damaged it."
    )
    assert run.uploads.sizes.keys() == {"v00/0.tar"}
    assert run.stored() == {"0.tar"}


def test_without_reading_back_such_damage_is_nobodys_business_now() -> None:
    run = Run(ForgetfulStorage())
    run.add(MIB, MIB)

    assert run.uploads.finish().keys() == {"v00/0.tar", "v00/1.tar"}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_transfer_that_breaks_goes_on_where_it_broke(*, is_told: bool) -> None:
    run = Run(ShakyStorage(300_000, is_told=is_told), readback=True)
    run.add(4 * MIB)

    assert run.uploads.finish().keys() == {"v00/0.tar"}
    assert len(run.storage.reads) == -(-(4 * MIB + 512) // 300_000)


def test_a_volume_that_cannot_be_read_back_is_no_damage() -> None:
    run = Run(ShakyStorage(0, is_told=True), readback=True)
    run.add(MIB)

    with pytest.raises(InterruptedTransferError):
        run.uploads.finish()

    assert run.stored() == {"0.tar"}
    assert run.uploads.sizes == {}


def test_a_volume_of_which_the_end_is_missing_is_damage() -> None:
    run = Run(ShakyStorage(0, is_told=False), readback=True)
    run.add(MIB)

    with pytest.raises(DamageError):
        run.uploads.finish()

    assert run.stored() == set()


def test_memory_is_free_while_a_volume_is_read_back() -> None:
    run = Run(FakeStorage(), readback=True, memory=3 * MIB)

    for _turn in range(10):
        run.add(MIB, MIB)

    assert len(run.uploads.finish()) == 20
