# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching content: which frames of which volumes are needed, read in as few transfers as possible.

Source: ``docs/format.md``, sections 2 and 3.
"""

from __future__ import annotations

import hashlib
import itertools
import typing as t
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from ..errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    MissingError,
    StorageError,
    UnreachableError,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage import Path, Reader, Storage

_GAP = 512 * 1024  # reading on over a gap this small is cheaper than a new transfer
_ATTEMPTS = 4
_UNPACKED_LIMIT = 16 * 1024 * 1024


class Piece(t.NamedTuple):
    """One segment that is wanted: where it lies in a volume, and whose it is.

    *digest* is the SHA-256 of its content in hex; *position* is where it belongs in the file of *owner*.
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
    """Fetch all pieces, by the volumes of *pool* that hold them; damage and missing volumes are told to *sink*.

    Once no connection can be had any more, nothing else is tried: each attempt would take all patience once more.
    """
    fetching = _Fetching(storage, pool, sink)
    with ThreadPoolExecutor(side_by_side, "fetch") as threads:
        running = [threads.submit(fetching.fetch_volume, name, pieces) for name, pieces in wanted.items()]
        for volume in running:
            volume.result()


class _Fetching:
    """The volumes that are being fetched; *_given_up* is why no more of them are."""

    def __init__(self, storage: Storage, pool: Path, sink: Sink) -> None:
        self._storage = storage
        self._pool = pool
        self._sink = sink
        self._given_up: BackupError | None = None

    def fetch_volume(self, name: str, pieces: list[Piece]) -> None:
        pieces.sort()
        frames = [(frame, list(group)) for frame, group in itertools.groupby(pieces, key=lambda piece: piece[:2])]
        done = failed = 0
        while done < len(frames):
            reason = self._given_up
            if reason is None:
                try:
                    for group, stored in _read_frames(self._storage, self._pool / name, frames[done:]):
                        _hand_out(name, group, stored, self._sink)
                        done += 1
                        failed = 0
                except BackupError as error:
                    failed += 1
                    reason = self._judged(error, name, failed)
            if reason is not None:
                _fail_all(frames[done:], reason, self._sink)
                return

    def _judged(self, error: BackupError, name: str, failed: int) -> BackupError | None:
        """Return why nothing more of the volume *name* can be had, or None if it is worth another attempt."""
        if isinstance(error, StorageError) and error.is_final:
            self._given_up = self._given_up or error
            return error
        if isinstance(error, MissingError):
            return DamageError(f"The volume {name} is missing: {error}")
        if isinstance(error, (InterruptedTransferError, UnreachableError)) and failed < _ATTEMPTS:
            return None
        return error


def _fail_all(frames: list[tuple[t.Any, list[Piece]]], reason: BackupError, sink: Sink) -> None:
    for _frame, group in frames:
        for piece in group:
            sink.fail(piece, reason)


def _read_frames(
    storage: Storage, path: Path, frames: list[tuple[t.Any, list[Piece]]]
) -> Iterator[tuple[list[Piece], memoryview]]:
    """Yield each frame with its stored bytes, from as few transfers as possible."""
    with ExitStack() as transfer:
        reader: Reader | None = None
        position = 0
        for (offset, length), group in frames:
            if reader is None or not position <= offset <= position + _GAP:
                transfer.close()
                reader = transfer.enter_context(storage.open(path, offset))
                position = offset
            _skip(reader, offset - position)
            stored = reader.read(length)
            position = offset + length
            if len(stored) < length:
                raise DamageError(f"The volume {path.name} ends before byte {position:,}: it is cut off.")
            yield group, stored


def _skip(reader: Reader, count: int) -> None:
    if count:
        reader.read(count)


def _hand_out(name: str, group: list[Piece], stored: memoryview, sink: Sink) -> None:
    try:
        content = unpack(name, stored)
    except DamageError as error:
        for piece in group:
            sink.fail(piece, error)
        return
    for piece in group:
        segment = content[piece.start : piece.start + piece.size]
        if hashlib.sha256(segment).hexdigest() == piece.digest:
            sink.put(piece, segment)
        else:
            where = f"volume {name} at byte {piece.offset:,}"
            sink.fail(piece, DamageError(f"the content in {where} is not what was stored"))


def unpack(name: str, stored: memoryview) -> memoryview:
    """Return what the frame *stored* of the volume *name* holds."""
    if name.endswith(".tar"):
        return stored
    if not name.endswith(".tar.gz"):
        raise DamageError(f"The volume {name} is packed in a way that this version does not know.")
    unpacker = zlib.decompressobj(31)
    try:
        content = unpacker.decompress(stored, _UNPACKED_LIMIT)
    except zlib.error as error:
        raise DamageError(f"a frame of volume {name} cannot be unpacked ({error})") from error
    if not unpacker.eof:
        raise DamageError(f"a frame of volume {name} does not end where it should")
    return memoryview(content)
