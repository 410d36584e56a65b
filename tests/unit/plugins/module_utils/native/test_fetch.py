# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching pieces of volumes: in few transfers that end where they should, and again where one broke."""

from __future__ import annotations

import hashlib
import random
import threading
import typing as t
from contextlib import contextmanager
from pathlib import PurePosixPath

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.fetch import Fetcher, Piece
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path, Reader

POOL = PurePosixPath("s01")
VOLUME = "v00/20261122t030000z-1f9c2a-000000.tar"
MIB = 1024 * 1024


class Transfers(FakeStorage):
    """A storage that notes each transfer, and breaks those that *breaks* has, after so many reads."""

    def __init__(self, volumes: dict[str, bytes]) -> None:
        super().__init__()
        self.files = {POOL / name: content for name, content in volumes.items()}
        self.transfers: list[tuple[int, int | None]] = []
        self.breaks: list[int] = []

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        with self._guard:
            self.transfers.append((offset, length))
            left = self.breaks.pop(0) if self.breaks else 10**9
        with super().open(path, offset, length) as reader:
            yield Breaking(reader, left)


class Breaking:
    """A transfer that breaks after *left* reads."""

    def __init__(self, reader: Reader, left: int) -> None:
        self._reader = reader
        self._left = left

    def read(self, size: int) -> memoryview:
        self._left -= 1
        if self._left < 0:
            raise InterruptedTransferError("Cannot download: the transfer broke.")
        return self._reader.read(size)


class Sink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.contents: dict[int, bytes] = {}
        self.failures: dict[int, BackupError] = {}

    def put(self, piece: Piece, content: memoryview) -> None:
        with self._guard:
            assert piece.owner not in self.contents, "it was told twice"
            self.contents[piece.owner] = bytes(content)

    def fail(self, piece: Piece, reason: BackupError) -> None:
        with self._guard:
            self.failures[piece.owner] = reason


def piece_of(content: bytes, owner: int, offset: int, length: int) -> Piece:
    digest = hashlib.sha256(content[offset : offset + length]).hexdigest()
    return Piece(offset, length, 0, length, digest, owner, 0)


def fetched(storage: FakeStorage, wanted: dict[str, list[Piece]], sink: Sink, side_by_side: int = 1) -> None:
    with Fetcher(storage, POOL, side_by_side) as fetcher:
        fetcher.fetch(wanted, sink)


def test_frames_that_lie_close_are_one_transfer_which_ends_with_the_last_of_them() -> None:
    content = random.Random(1).randbytes(5 * MIB)
    storage, sink = Transfers({VOLUME: content}), Sink()
    places = [(0, 100), (100, 50), (400_000, 1000), (3 * MIB, 7), (4 * MIB, 9)]
    pieces = [piece_of(content, owner, *place) for owner, place in enumerate(places)]

    fetched(storage, {VOLUME: pieces[::-1]}, sink)

    assert storage.transfers == [(0, 401_000), (3 * MIB, 7), (4 * MIB, 9)]
    assert sink.contents == {owner: content[o : o + n] for owner, (o, n) in enumerate(places)}
    assert storage.bytes_received == 401_000 + 7 + 9


def test_a_frame_that_many_want_is_read_once() -> None:
    content = b"content"
    storage, sink = Transfers({VOLUME: content}), Sink()

    fetched(storage, {VOLUME: [piece_of(content, owner, 0, 7) for owner in range(9)]}, sink)

    assert storage.transfers == [(0, 7)]
    assert len(sink.contents) == 9


def test_frames_that_overlap_are_each_read_from_where_they_begin() -> None:
    content = bytes(range(100))
    storage, sink = Transfers({VOLUME: content}), Sink()
    places = [(0, 50), (10, 50), (20, 10)]

    fetched(storage, {VOLUME: [piece_of(content, owner, *place) for owner, place in enumerate(places)]}, sink)

    assert sink.contents == {owner: content[o : o + n] for owner, (o, n) in enumerate(places)}


def test_a_large_stretch_of_one_volume_is_shared_among_all_connections() -> None:
    content = random.Random(1).randbytes(40 * MIB)
    storage, sink = Transfers({VOLUME: content}), Sink()
    pieces = [piece_of(content, number, number * MIB, MIB) for number in range(40)]

    fetched(storage, {VOLUME: pieces}, sink, side_by_side=4)

    assert len(storage.transfers) == 4
    assert sorted(length for _offset, length in storage.transfers if length) == [10 * MIB] * 4
    assert sum(map(len, sink.contents.values())) == 40 * MIB


def test_a_transfer_that_breaks_goes_on_behind_what_has_come() -> None:
    content = random.Random(1).randbytes(1000)
    storage, sink = Transfers({VOLUME: content}), Sink()
    storage.breaks = [3, 0, 2, 1, 1, 0]

    fetched(storage, {VOLUME: [piece_of(content, number, number * 100, 100) for number in range(10)]}, sink)

    assert len(sink.contents) == 10
    assert [offset for offset, _length in storage.transfers] == [0, 300, 300, 500, 600, 700, 700]


def test_a_transfer_that_breaks_at_the_same_place_each_time_is_given_up() -> None:
    content = bytes(1000)
    storage, sink = Transfers({VOLUME: content}), Sink()
    storage.breaks = [5] + [0] * 9

    fetched(storage, {VOLUME: [piece_of(content, number, number * 100, 100) for number in range(10)]}, sink)

    assert (sorted(sink.contents), sorted(sink.failures)) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert {type(error) for error in sink.failures.values()} == {InterruptedTransferError}
    assert len(storage.transfers) == 4


def test_a_volume_that_is_cut_off_costs_what_lay_behind_its_end() -> None:
    content = bytes(1000)
    storage, sink = Transfers({VOLUME: content[:450]}), Sink()

    fetched(storage, {VOLUME: [piece_of(content, number, number * 100, 100) for number in range(10)]}, sink)

    assert sorted(sink.contents) == [0, 1, 2, 3]
    assert {type(error) for error in sink.failures.values()} == {DamageError}


class Impatient(Sink):
    """Stops *fetcher* after three pieces."""

    def __init__(self, fetcher: Fetcher) -> None:
        super().__init__()
        self._fetcher = fetcher

    def put(self, piece: Piece, content: memoryview) -> None:
        super().put(piece, content)
        if len(self.contents) == 3:
            self._fetcher.stop()


def test_what_was_stopped_fetches_nothing_more_and_tells_nothing_more() -> None:
    content = bytes(1000)
    storage = Transfers({VOLUME: content})
    pieces = [piece_of(content, number, number * 100, 100) for number in range(10)]

    with Fetcher(storage, POOL, 1) as fetcher:
        sink = Impatient(fetcher)
        fetcher.fetch({VOLUME: pieces, "v00/other.tar": pieces}, sink)
        fetcher.fetch({VOLUME: pieces}, sink)

    assert (len(sink.contents), sink.failures) == (3, {})
    assert len(storage.transfers) == 1


class Away(FakeStorage):
    """A storage that answers with *error*."""

    def __init__(self, error: BackupError) -> None:
        super().__init__()
        self.asked = 0
        self._error = error

    def open(self, path: Path, offset: int = 0, length: int | None = None) -> t.NoReturn:  # noqa: ARG002 - it is a storage's
        self.asked += 1
        raise self._error


def test_a_server_that_is_away_is_not_asked_again_for_the_next_stretch() -> None:
    error = UnreachableError("Cannot connect.")
    error.is_final = True
    storage = Away(error)

    with Fetcher(storage, POOL, 1) as fetcher:
        for number in range(5):
            sink = Sink()
            fetcher.fetch({VOLUME: [piece_of(b"content", number, 0, 7)]}, sink)
            assert sink.failures == {number: error}

    assert storage.asked == 1
