# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through a manifest for what is wanted, of which no more is fetched than that takes."""

from __future__ import annotations

import bisect
import os
import typing as t
from collections import deque

from ..errors import DamageError, told_as
from ..native.entries import DIRECTORY, FILE, Entry, is_dump, order_key, path_bytes
from ..native.manifest import FOOTER_SIZE, ManifestReader
from ..native.wellformed import entries_of, require_entry
from ..scan import is_below
from ..side_by_side import both

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from ..native.entries import Block, Place, Trailer
    from ..native.points import StoredPoint
    from ..storage import Storage
    from .selection import Selection

_TAIL = 64 * 1024
_HEAD = 4 * 1024  # most headers are smaller
_REMEMBERED = 16  # reads


def held_copy(local: Path, stored: StoredPoint, held: ExitStack) -> Callable[[int, int], bytes] | None:
    """Return what reads the copy *local* of a manifest until *held* is left; None if somebody took it away."""
    sentence = f"Cannot read the manifest {local}"
    with told_as(sentence):
        try:
            descriptor = os.open(local, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
    held.callback(os.close, descriptor)

    def read_at(offset: int, length: int) -> bytes:
        with told_as(sentence):
            return os.pread(descriptor, _within(stored, offset, length), offset)

    return read_at


def _within(stored: StoredPoint, offset: int, length: int) -> int:
    """Return how much of *length* bytes a manifest can have from *offset* on, whatever it tells itself."""
    return max(0, min(length, stored.size - offset))


class _Reads:
    """Reads of a manifest on the storage, the last of which are remembered."""

    def __init__(self, storage: Storage, stored: StoredPoint) -> None:
        self._storage = storage
        self._stored = stored
        self._known: deque[tuple[int, bytes]] = deque(maxlen=_REMEMBERED)

    def __call__(self, offset: int, length: int) -> bytes:
        length = _within(self._stored, offset, length)
        for start, content in tuple(self._known):  # another thread may add to it meanwhile
            if start <= offset and offset + length <= start + len(content):
                return content[offset - start : offset - start + length]
        content = self._storage.read(self._stored.path, offset, length)
        self._known.append((offset, content))
        return content

    def both_ends(self) -> None:
        """Read the beginning and the end, where header and trailer are, at the same time."""
        tail = max(0, self._stored.size - _TAIL)
        both(lambda: self(tail, self._stored.size - tail), lambda: self(0, min(tail, _HEAD)) if tail else b"")


class RemoteManifest(ManifestReader):
    """A manifest on the storage, of which only those pieces are fetched that are asked for."""

    def __init__(self, storage: Storage, stored: StoredPoint) -> None:
        self._reads = _Reads(storage, stored)
        if stored.size >= FOOTER_SIZE:
            self._reads.both_ends()
        super().__init__(self._reads, stored.size, stored.path.name)

    def read_ahead(self, offset: int, length: int) -> None:
        """Fetch what will be asked for in several pieces at once."""
        self._reads(offset, length)


def blocks_of(trailer: Trailer, prefix: bytes) -> tuple[Block, ...]:
    """Return the blocks of entries that a reader needs for *prefix* and what lies below it."""
    blocks, key = trailer.blocks[1:], order_key(prefix)
    firsts = [order_key(block.first) for block in blocks]
    start = end = max(0, bisect.bisect_left(firsts, key) - 1)
    while end < len(blocks) and (firsts[end] <= key or firsts[end].startswith(key)):
        end += 1
    return blocks[start:end]


def _volume_of(place: Place) -> str:
    """Return the volume of *place*, or nothing if what stands there is no name at all."""
    volume: object = place.volume
    return volume if isinstance(volume, str) else ""


class Survey:
    """What a manifest holds of a *selection*: whether anything, in which volumes, and what of it is damaged.

    *size* is how large the files are, and *dumps_size* the dumps.
    """

    def __init__(self, reader: ManifestReader, selection: Selection) -> None:
        self._reader = reader
        self._prefix = selection.literal_prefix
        self._known: set[bytes] = set()
        self._lost: set[bytes] = set()
        self.has_found = False
        self.lost: DamageError | None = None
        self.volumes: set[str] = set()
        self.size = self.dumps_size = 0
        self.above: list[Entry] = []
        self.lost_above: list[tuple[bytes, DamageError]] = []
        for entry in entries_of(reader, self._prefix, self._lose):
            if selection.matches(entry.path):
                self.has_found = True
                self._add_size(entry)
                if entry.has_content:
                    self.volumes.update(volume for volume in map(_volume_of, entry.places) if volume)
            elif entry.kind == DIRECTORY and is_below(self._prefix, entry.path):
                self._known.add(entry.path)

    def _add_size(self, entry: Entry) -> None:
        if entry.kind != FILE or not isinstance(t.cast("object", entry.size), int):
            return
        if is_dump(entry.path):
            self.dumps_size += entry.size
        else:
            self.size += entry.size

    def _lose(self, first: bytes, error: DamageError) -> None:
        self._lost.add(first)
        self.lost = self.lost or error

    def look_above(self, is_there: Callable[[bytes], bool]) -> None:
        """Find the directories above what is wanted that are missing and stand in blocks of which nothing else is."""
        roots = [path_bytes(root) for root in self._reader.header.paths]
        parts = self._prefix.split(b"/")
        for depth in range(1, len(parts)):
            path = b"/".join(parts[:depth]) or b"/"
            is_covered = any(is_below(path, root) for root in roots)
            if is_covered and path not in self._known and not is_there(path):
                self._find(path)

    def _find(self, path: bytes) -> None:
        key = order_key(path)
        for entry in entries_of(self._reader, path, self._lose_above):
            if order_key(entry.path) >= key:
                if entry.path == path and entry.kind == DIRECTORY:
                    require_entry(entry, self._reader.trailer.volumes)
                    self.above.append(entry)
                return

    def _lose_above(self, first: bytes, error: DamageError) -> None:
        if first not in self._lost:  # a block may be looked at twice
            self._lose(first, error)
            self.lost_above.append((first, error))
