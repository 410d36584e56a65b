# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A remote file as a stream: it goes on where a connection broke, and sees where the file is shorter than it should."""

from __future__ import annotations

import random
import typing as t
from contextlib import contextmanager
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.limits import KIB, MIB
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.remote import RemoteStream
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    DamageError,
    InterruptedTransferError,
    MissingError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path, Reader

PATH = PurePosixPath("2026-11-20/accounts/web01.tar.gz")
CONTENT = random.Random(1).randbytes(3 * MIB + 12_345)


class Transfers(FakeStorage):
    """A storage that notes each transfer, and ends them early.

    *breaks* has after how many bytes each transfer breaks, *ends* where one ends as if that were the file's end; what
    *on_leaving* has is raised where one that ended is left. *size* is told in place of the file's own.
    """

    def __init__(self, content: bytes = CONTENT) -> None:
        super().__init__()
        self.files[PATH] = content
        self.transfers: list[tuple[int, int | None]] = []
        self.opening: list[StorageError] = []
        self.breaks: list[int | None] = []
        self.ends: list[int | None] = []
        self.on_leaving: list[StorageError | None] = []
        self.open_transfers = 0
        self.size: int | None = None

    def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        return super().sizes(paths) if self.size is None else [self.size]

    @contextmanager
    def _closed_by_an_error_of_ours(self) -> Iterator[None]:
        """Count a transfer that is forgotten instead of left as open for ever."""
        try:
            yield
        except StorageError:
            self.open_transfers -= 1
            raise

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        self.transfers.append((offset, length))
        if self.opening:
            raise self.opening.pop(0)
        breaks = self.breaks.pop(0) if self.breaks else None
        end = self.ends.pop(0) if self.ends else None
        with super().open(path, offset, length) as reader:
            self.open_transfers += 1
            with self._closed_by_an_error_of_ours():
                yield Ending(reader, breaks, end)
            self.open_transfers -= 1
        error = self.on_leaving.pop(0) if self.on_leaving else None
        if error is not None:
            raise error


class Ending:
    """A transfer that breaks after so many bytes, or ends there as if all had come."""

    def __init__(self, reader: Reader, breaks: int | None, end: int | None) -> None:
        self._reader = reader
        self._breaks = breaks
        self._end = end
        self._position = 0

    def read(self, size: int) -> memoryview:
        if self._breaks is not None and self._position + size > self._breaks:
            raise broken()
        if self._end is not None:
            size = min(size, self._end - self._position)
        content = self._reader.read(size)
        self._position += len(content)
        return content


def broken() -> InterruptedTransferError:
    return InterruptedTransferError("Cannot download: the transfer broke.")


def read_all(stream: RemoteStream, size: int = MIB) -> bytes:
    pieces = []
    while piece := bytes(stream.read(size)):
        pieces.append(piece)
    assert all(len(piece) == size for piece in pieces[:-1])
    return b"".join(pieces)


@pytest.mark.parametrize(("offset", "length"), [(0, None), (0, len(CONTENT)), (1000, None), (1000, 2 * MIB), (5, 0)])
def test_a_stretch_of_a_file_is_read_in_one_transfer(offset: int, length: int | None) -> None:
    storage = Transfers()
    expected = CONTENT[offset:] if length is None else CONTENT[offset : offset + length]

    with RemoteStream(storage, PATH, offset, length) as stream:
        content = read_all(stream)
        assert storage.open_transfers == 0, "the connection is free for others"

    assert content == expected
    assert stream.position == offset + len(expected)
    assert storage.transfers == ([(offset, len(expected))] if expected else [])


@pytest.mark.parametrize("breaks", [[0], [MIB], [MIB + 5, MIB, 64 * KIB], [1000, 0, 1000, 70_000]])
def test_a_transfer_that_breaks_goes_on_behind_what_has_come(breaks: list[int | None]) -> None:
    storage = Transfers()
    storage.breaks = breaks.copy()

    with RemoteStream(storage, PATH, 0, len(CONTENT)) as stream:
        content = read_all(stream)

    assert content == CONTENT
    assert len(storage.transfers) == 1 + len(breaks)
    assert all(offset + (length or 0) == len(CONTENT) for offset, length in storage.transfers)


def test_what_came_between_two_breaks_is_kept_though_it_is_less_than_was_asked_for() -> None:
    storage = Transfers()
    storage.breaks = [300 * KIB] * 20

    with RemoteStream(storage, PATH) as stream:
        content = read_all(stream)

    assert content == CONTENT


def test_after_some_attempts_that_brought_nothing_the_last_error_is_raised() -> None:
    storage = Transfers()
    storage.breaks = [2 * MIB, *[10] * 100]

    with RemoteStream(storage, PATH) as stream, pytest.raises(InterruptedTransferError):
        read_all(stream)

    assert len(storage.transfers) == 4
    assert storage.open_transfers == 0


def test_a_connection_that_cannot_be_had_for_a_moment_is_tried_again() -> None:
    storage = Transfers()
    storage.opening = [UnreachableError("Cannot connect."), broken()]

    with RemoteStream(storage, PATH) as stream:
        assert read_all(stream) == CONTENT


def test_once_enough_was_tried_to_connect_nothing_more_is() -> None:
    final = UnreachableError("Cannot connect, after 5 attempts.")
    final.is_final = True
    storage = Transfers()
    storage.opening = [final]

    with RemoteStream(storage, PATH) as stream, pytest.raises(UnreachableError):
        stream.read(1)

    assert len(storage.transfers) == 1


def vanish(storage: Transfers) -> None:
    del storage.files[PATH]


def refuse(storage: Transfers) -> None:
    storage.opening = [RefusedError("Cannot download.", code=550)]


@pytest.mark.parametrize(("deed", "error"), [(vanish, MissingError), (refuse, RefusedError)])
@pytest.mark.parametrize("length", [None, len(CONTENT)])
def test_what_will_not_pass_is_raised_at_once(
    deed: Callable[[Transfers], None], error: type[StorageError], length: int | None
) -> None:
    storage = Transfers()
    deed(storage)

    with RemoteStream(storage, PATH, 0, length) as stream, pytest.raises(error):
        stream.read(MIB)

    assert len(storage.transfers) <= 1


def test_a_file_that_vanishes_half_way_is_missing() -> None:
    storage = Transfers()
    storage.breaks = [MIB]

    with RemoteStream(storage, PATH) as stream:
        stream.read(MIB)
        vanish(storage)
        with pytest.raises(MissingError):
            stream.read(MIB)


def test_a_file_that_ends_before_its_length_is_cut() -> None:
    with RemoteStream(Transfers(), PATH, 0, len(CONTENT) + 1) as stream:
        assert bytes(stream.read(3 * MIB)) == CONTENT[: 3 * MIB]
        with pytest.raises(DamageError, match=r"web01\.tar\.gz ends at byte 3,158,073 of the 3,158,074 .* is cut off"):
            stream.read(MIB)


def test_a_file_that_shrinks_while_it_is_read_is_cut() -> None:
    storage = Transfers()

    with RemoteStream(storage, PATH) as stream:
        stream.read(1)
        storage.files[PATH] = CONTENT[:MIB]
        storage.ends = [MIB]
        stream._leave(None)
        with pytest.raises(DamageError, match="cut off"):
            read_all(stream)


def test_a_transfer_that_ends_early_as_if_all_had_come_goes_on() -> None:
    storage = Transfers()
    storage.ends = [MIB, 100, 1, None]

    with RemoteStream(storage, PATH) as stream:
        content = read_all(stream)

    assert content == CONTENT
    assert [offset for offset, _length in storage.transfers] == [0, MIB, MIB + 100, MIB + 101]


def test_a_server_that_tells_of_more_than_it_gives_has_a_cut_file() -> None:
    storage = Transfers()
    storage.size = len(CONTENT) + 1

    with RemoteStream(storage, PATH) as stream, pytest.raises(DamageError, match="cut off: the server tells of"):
        read_all(stream)

    assert len(storage.transfers) == 4


def test_a_reply_that_the_transfer_broke_is_heard_where_it_ended_early() -> None:
    storage = Transfers()
    storage.ends = [MIB, MIB, None]
    storage.on_leaving = [broken(), RefusedError("Cannot download.", code=550)]

    with RemoteStream(storage, PATH) as stream:
        assert bytes(stream.read(MIB + 1)) == CONTENT[: MIB + 1]
        with pytest.raises(RefusedError):
            read_all(stream)


def test_a_reply_that_the_transfer_broke_is_no_news_where_all_has_come() -> None:
    storage = Transfers()
    storage.on_leaving = [broken()]

    with RemoteStream(storage, PATH) as stream:
        assert read_all(stream) == CONTENT

    assert len(storage.transfers) == 1


def test_a_stream_that_is_left_early_ends_its_transfer() -> None:
    storage = Transfers()

    with RemoteStream(storage, PATH) as stream:
        stream.read(10)
        assert storage.open_transfers == 1

    assert storage.open_transfers == 0
