# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving manifests: every block is as it was written, and what they tell holds together.

Source: ``docs/format.md``, section 3.
"""

from __future__ import annotations

import struct
import typing as t
import zlib

from ..errors import DamageError, told_as
from ..native.entries import FILE, order_key, path_text
from ..native.manifest import FOOTER_SIZE
from ..native.wellformed import entries_of, is_entry_path, require_entry

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path as LocalPath

    from ..native.entries import Entry, Trailer
    from ..native.manifest import ManifestReader

    #: How many segments of a volume are named, and how many bytes they hold.
    Counts = Mapping[str, tuple[int, int]]

_SHOWN = 100
_HEAD_SIZE = 10
_SYSTEM = 9  # where in the head of a gzip member the system stands


class ManifestFlaw(t.NamedTuple):
    """What is wrong with *length* bytes of a manifest from *offset* on; without a length, with what it tells.

    One that is *costly* costs *entries* of its restore point, or all of them where that is None.
    """

    offset: int
    length: int
    problem: str
    is_costly: bool
    entries: int | None = 0


def system_of(local: LocalPath) -> int:
    """Return the number that the writer of the manifest in the file *local* has in gzip headers for its system."""
    return _bytes_at(local, 0, _HEAD_SIZE)[_SYSTEM]


def _bytes_at(local: LocalPath, offset: int, length: int) -> bytes:
    with told_as(f"Cannot read the copy {local} of a manifest"), local.open("rb") as file:
        file.seek(offset)
        return file.read(length)


class ManifestProof:
    """Proves the manifest in the file *local*, which *reader* reads; *entries* counts what can be read of it."""

    def __init__(self, reader: ManifestReader, local: LocalPath) -> None:
        self._reader = reader
        self._local = local
        self._flaws: list[ManifestFlaw] = []
        self._more = 0
        self.entries = 0

    def flaws(self, take: Callable[[Entry], object], count: Callable[[], Counts]) -> list[ManifestFlaw]:
        """Return what is wrong with the manifest.

        *take* is given each entry whose places can be right; *count* then tells what the places taken name.
        """
        self._prove_frame()
        try:
            size, lost = self._prove_entries(take)
        except DamageError as error:
            self._note(ManifestFlaw(0, 0, str(error).rstrip("."), is_costly=True, entries=None))
            return self._flaws
        trailer = self._reader.trailer
        missing = trailer.entries - self.entries
        if not lost:
            told = {name: (use.segments, use.live) for name, use in trailer.volumes.items()}
            if (trailer.entries, trailer.size) != (self.entries, size) or dict(count()) != told:
                self._note(ManifestFlaw(0, 0, "its trailer tells other numbers than its entries", is_costly=False))
        for offset, length, problem in lost:
            entries, missing = missing, 0
            self._note(ManifestFlaw(offset, length, problem, is_costly=True, entries=entries))
        if self._more:
            self._flaws.append(ManifestFlaw(0, 0, f"{self._more:,} more things in it are wrong", is_costly=False))
        return self._flaws

    def _note(self, flaw: ManifestFlaw) -> None:
        if len(self._flaws) < _SHOWN:
            self._flaws.append(flaw)
        else:
            self._more += 1

    # -- the file

    def _prove_frame(self) -> None:
        """Prove that blocks, trailer and footer follow one another, and what no digest tells of the trailer's block."""
        end = 0
        for block in self._reader.trailer.blocks:
            if block.offset != end:
                self._note(ManifestFlaw(end, 0, f"no block begins at byte {end:,}", is_costly=False))
            end = block.offset + block.length
        with told_as(f"Cannot read the copy {self._local} of a manifest"):
            size = self._local.stat().st_size
        offset, checksum = struct.unpack_from("<QI", _bytes_at(self._local, size - FOOTER_SIZE, FOOTER_SIZE), 16)
        stored = _bytes_at(self._local, offset, size - FOOTER_SIZE - offset)
        if offset != end or zlib.crc32(stored) != checksum:
            problem = "the block of its trailer is not as it was written"
            self._note(ManifestFlaw(offset, len(stored), problem, is_costly=False))

    # -- what it tells

    def _prove_entries(self, take: Callable[[Entry], object]) -> tuple[int, list[tuple[int, int, str]]]:
        """Hand out the entries; return how large their files are together, and the blocks that cannot be read."""
        lost: list[tuple[int, int, str]] = []
        blocks = iter(self._reader.trailer.blocks[1:])

        def on_damage(first: bytes, _error: DamageError) -> None:
            block = next(block for block in blocks if block.first == first)
            after = next((other.first for other in self._reader.trailer.blocks if other.offset > block.offset), b"")
            until = f" to before {path_text(after)!r}" if after else " on"
            problem = f"its entries from {path_text(first)!r}{until} cannot be read"
            lost.append((block.offset, block.length, problem))

        size = 0
        last = b""
        for entry in entries_of(self._reader, b"", on_damage):
            self.entries += 1
            size += entry.size if entry.kind == FILE else 0
            try:
                _require_sense(entry, last, self._reader.trailer)
            except DamageError as error:
                problem = f"what it tells of {path_text(entry.path)!r} cannot be: {error}"
                self._note(ManifestFlaw(0, 0, problem, is_costly=True, entries=1))
            else:
                take(entry)
            last = order_key(entry.path)
        return size, lost


def _require_sense(entry: Entry, last: bytes, trailer: Trailer) -> None:
    """Raise unless *entry* can be, behind the one whose path has the key *last*."""
    if not is_entry_path(entry.path):
        raise DamageError("there is no such path")
    if order_key(entry.path) <= last:
        raise DamageError("its entry is not in order")
    require_entry(entry, trailer.volumes)
