# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching content: which frames of which volumes are needed, read in as few transfers as possible.

Source: ``docs/format.md``, sections 2 and 3.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import typing as t
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from ..errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    MissingError,
    StorageError,
    UnreachableError,
)
from .frames import unpack

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..storage import Path, Storage

_GAP = 512 * 1024  # reading on over a gap this small is cheaper than a new transfer
_WORTH_SPLITTING = 16 * 1024 * 1024
_ATTEMPTS = 4


class Piece(t.NamedTuple):
    """One segment that is wanted: where it lies in a volume, and whose it is.

    *digest* is the SHA-256 of its content in hex; *position* is where it belongs in the content of *owner*.
    """

    offset: int
    length: int
    start: int
    size: int
    digest: str
    owner: int
    position: int


class Sink(t.Protocol):
    """Takes what was fetched; called from many threads, for each piece once."""

    def put(self, piece: Piece, content: memoryview) -> None:
        """Take the *content* of *piece*, which is right; it is overwritten afterwards."""

    def fail(self, piece: Piece, reason: BackupError) -> None:
        """Learn that *piece* cannot be had, and why."""


def fetch(storage: Storage, pool: Path, wanted: dict[str, list[Piece]], sink: Sink, side_by_side: int) -> None:
    """Fetch all pieces once and for all, as :class:`Fetcher` does."""
    with Fetcher(storage, pool, side_by_side) as fetcher:
        fetcher.fetch(wanted, sink)


class _Frame(t.NamedTuple):
    """A frame, and the pieces that are wanted of it."""

    offset: int
    length: int
    pieces: list[Piece]

    @property
    def end(self) -> int:
        return self.offset + self.length


class _Span(t.NamedTuple):
    """Frames of one volume, in order, that one thread fetches."""

    volume: str
    frames: Sequence[_Frame]

    @property
    def size(self) -> int:
        return sum(frame.length for frame in self.frames)

    def halves(self) -> list[_Span]:
        """Return the span in two, about as large as one another."""
        left, at = self.size // 2, 0
        while left > 0 and at < len(self.frames) - 1:
            left -= self.frames[at].length
            at += 1
        return [_Span(self.volume, self.frames[:at]), _Span(self.volume, self.frames[at:])]


class Fetcher:
    """Fetches pieces from the volumes of *pool*, *side_by_side* transfers at a time.

    Once no connection can be had any more, nothing else is tried: each attempt would take all patience once more.
    """

    def __init__(self, storage: Storage, pool: Path, side_by_side: int) -> None:
        self._storage = storage
        self._pool = pool
        self._side_by_side = side_by_side
        self._threads = ThreadPoolExecutor(side_by_side, "fetch")
        self._given_up: BackupError | None = None
        self._is_stopped = threading.Event()

    def __enter__(self) -> Fetcher:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is not None:
            self.stop()
        self._threads.shutdown(cancel_futures=kind is not None)

    def stop(self) -> None:
        """Fetch nothing more, and tell of nothing more either."""
        self._is_stopped.set()

    def end(self) -> None:
        """Fetch nothing more, ever, and wait until nothing is on its way any more."""
        self.stop()
        self._threads.shutdown(cancel_futures=True)

    def fetch(self, wanted: dict[str, list[Piece]], sink: Sink) -> None:
        """Fetch all pieces, by the volumes that hold them; damage and missing volumes are told to *sink*."""
        spans = _spans(wanted, self._side_by_side)
        running = [self._threads.submit(self._fetch_span, span, sink) for span in spans]
        for span in wait(running, return_when=FIRST_EXCEPTION).done:
            span.result()

    def _fetch_span(self, span: _Span, sink: Sink) -> None:
        frames, path = span.frames, self._pool / span.volume
        done = failed = 0
        while done < len(frames) and not self._is_stopped.is_set():
            reason = self._given_up
            if reason is None:
                try:
                    for stored in _stored(self._storage, path, frames[done:]):
                        _hand_out(span.volume, frames[done].pieces, stored, sink)
                        done += 1
                        failed = 0
                        if self._is_stopped.is_set():
                            return
                except BackupError as error:
                    failed += 1
                    reason = self._judged(error, span.volume, failed)
            if reason is not None:
                _fail_all(frames[done:], reason, sink)
                return

    def _judged(self, error: BackupError, volume: str, failed: int) -> BackupError | None:
        """Return why nothing more of *volume* can be had, or None if it is worth another attempt."""
        if isinstance(error, StorageError) and error.is_final:
            self._given_up = self._given_up or error
            return error
        if isinstance(error, MissingError):
            return DamageError(f"The volume {volume} is missing: {error}")
        if isinstance(error, (InterruptedTransferError, UnreachableError)) and failed < _ATTEMPTS:
            return None
        return error


def _spans(wanted: dict[str, list[Piece]], side_by_side: int) -> list[_Span]:
    """Share the pieces out by volume, and large stretches once more where there is less to do than could be done."""
    spans = [_Span(volume, _frames(pieces)) for volume, pieces in wanted.items()]
    while 0 < len(spans) < side_by_side:
        largest = max(spans, key=lambda span: span.size)
        if largest.size < _WORTH_SPLITTING or len(largest.frames) == 1:
            break
        spans.remove(largest)
        spans += largest.halves()
    return spans


def _frames(pieces: list[Piece]) -> list[_Frame]:
    groups = itertools.groupby(sorted(pieces), key=lambda piece: piece[:2])
    return [_Frame(offset, length, list(group)) for (offset, length), group in groups]


def _fail_all(frames: Sequence[_Frame], reason: BackupError, sink: Sink) -> None:
    for frame in frames:
        for piece in frame.pieces:
            sink.fail(piece, reason)


def _stored(storage: Storage, path: Path, frames: Sequence[_Frame]) -> Iterator[memoryview]:
    """Yield the stored bytes of each frame, from as few transfers as possible."""
    begin = 0
    while begin < len(frames):
        end = begin + 1
        while end < len(frames) and 0 <= frames[end].offset - frames[end - 1].end <= _GAP:
            end += 1
        yield from _transferred(storage, path, frames[begin:end])
        begin = end


def _transferred(storage: Storage, path: Path, frames: Sequence[_Frame]) -> Iterator[memoryview]:
    """Yield the stored bytes of *frames* from one transfer."""
    position = frames[0].offset
    with storage.open(path, position, frames[-1].end - position) as reader:
        for frame in frames:
            if frame.offset > position:
                reader.read(frame.offset - position)
            stored = reader.read(frame.length)
            position = frame.end
            if len(stored) < frame.length:
                raise DamageError(f"The volume {path.name} ends before byte {position:,}: it is cut off.")
            yield stored


def _hand_out(volume: str, pieces: list[Piece], stored: memoryview, sink: Sink) -> None:
    try:
        content = unpack(volume, stored)
    except DamageError as error:
        for piece in pieces:
            sink.fail(piece, error)
        return
    for piece in pieces:
        segment = content[piece.start : piece.start + piece.size]
        if hashlib.sha256(segment).hexdigest() == piece.digest:
            sink.put(piece, segment)
        else:
            where = f"volume {volume} at byte {piece.offset:,}"
            sink.fail(piece, DamageError(f"the content in {where} is not what was stored"))
