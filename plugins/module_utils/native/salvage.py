# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manifest still tells whose header, trailer or footer is damaged: it is read from its beginning to its end.

Source: ``docs/format.md``, section 3, Damage stays local; gzip members: RFC 1952.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
import zlib

from ..errors import DamageError
from .entries import (
    FILE,
    FILES,
    Block,
    Header,
    Part,
    Trailer,
    VolumeUse,
    dump_part,
    is_dump,
    path_bytes,
    path_text,
)
from .manifest import GZIP, MEMBER_LIMIT, ManifestReader, trailer_offset

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .entries import Entry

    ReadAt = Callable[[int, int], bytes]

_STEP = 256 * 1024
_MAGIC = b"\x1f\x8b\x08"
_MOST_ATTEMPTS = 1000  # to find where the next member begins; in damaged bytes, its mark is there by chance
_MOST_ROOTS = 10_000  # that are guessed
_UNSURE = ""  # the digest of what cannot be told to be a block: nothing has it


class SalvagedManifest(ManifestReader):
    """A damaged manifest, as far as it can be read; where its header is lost, *guess* makes one from the trailer.

    *unknown* names what of header and trailer is lost. Where there may have been more entries, :meth:`entries` tells of
    damage. Raises DamageError if no entry can be read.
    """

    def __init__(self, read_at: ReadAt, size: int, name: str, guess: Callable[[Trailer], Header]) -> None:
        self._guess = guess
        self._found = _Members(read_at, size, name)
        self.unknown = " and ".join(
            what for what, found in (("header", self._found.header), ("trailer", self._found.trailer)) if not found
        )
        super().__init__(read_at, size, name)

    def _read_trailer(self) -> Trailer:
        if self._found.trailer:
            return self._trailer_of(self._found.trailer)
        self.trailer = Trailer(0, 0, complete=False, problems=(), parts=(), volumes={}, blocks=self._found.blocks)
        roots = self._header_of(self._found.header).paths if self._found.header else ()
        counts = _Counts([path_bytes(root) for root in roots])
        for entry in self.entries(on_damage=lambda _first, _error: None):
            counts.add(entry)
        if not counts.count:
            raise DamageError(f"The manifest {self._name} is damaged: no entry can be read.")
        return counts.trailer(self._found.blocks)

    def _read_header(self) -> Header:
        return self._header_of(self._found.header) if self._found.header else self._guess(self.trailer)


class _Members:
    """The gzip members of a manifest: the lines of *header* and *trailer*, and the *blocks* with what may be some."""

    def __init__(self, read_at: ReadAt, size: int, name: str) -> None:
        self._read_at = read_at
        self._size = size
        self._name = name
        self._attempts = 0
        self._last = b"/"
        self._entries: list[Block] = []
        self._gaps: list[Block] = []
        self._trailer_at = -1
        self.header = b""
        self.trailer = b""
        self._find()
        if not self._entries:
            raise DamageError(f"The manifest {name} is damaged: nothing can be read of it.")

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks in order, as a trailer has them: the first one is the header's."""
        header = Block(0, 0, b"", _UNSURE)
        return (header, *sorted((*self._entries, *self._lost), key=lambda block: block.offset))

    @property
    def _lost(self) -> list[Block]:
        """What may have been blocks of entries."""
        return [gap for gap in self._gaps if gap.offset != self._trailer_at]

    def _find(self) -> None:
        position = 0
        while position < self._size:
            member = self._member_at(position)
            if member is None:
                end = self._next_member(position + 1)
                self._gaps.append(Block(position, end - position, self._last, _UNSURE))
                position = end
            else:
                length, lines = member
                self._sort_in(position, length, lines)
                position += length

    def _member_at(self, position: int) -> tuple[int, bytes] | None:
        """Return how long the member is that begins at *position*, and what is in it; None if there is no whole one."""
        unpacker = zlib.decompressobj(GZIP)
        unpacked: list[bytes] = []
        room = MEMBER_LIMIT
        end = position
        while room and (stored := self._read_at(end, min(_STEP, self._size - end))):
            end += len(stored)
            try:
                unpacked.append(unpacker.decompress(stored, room))
            except zlib.error:
                return None
            room -= len(unpacked[-1])
            if unpacker.eof:
                return end - len(unpacker.unused_data) - position, b"".join(unpacked)
        return None

    def _next_member(self, start: int) -> int:
        """Return where from *start* on a whole member begins, or the end if there is none."""
        while start < self._size:
            stored = self._read_at(start, min(_STEP, self._size - start))
            at = stored.find(_MAGIC)
            if at < 0:
                start += max(1, len(stored) - len(_MAGIC) + 1)
                continue
            if self._member_at(start + at) is not None:
                return start + at
            start += at + 1
            self._attempts += 1
            if self._attempts > _MOST_ATTEMPTS:
                raise DamageError(f"The manifest {self._name} is damaged beyond what can be read of it.")
        return self._size

    def _sort_in(self, offset: int, length: int, lines: bytes) -> None:
        stored = self._read_at(offset, length)
        if not lines:
            at = trailer_offset(stored, self._size)
            self._trailer_at = self._trailer_at if at is None else at
            return
        try:
            split = lines.splitlines()
            values, last = json.loads(split[0]), json.loads(split[-1])
            if "trailer" in values:
                self.trailer = lines
            elif "format" in values:
                self.header = lines
            else:
                first, self._last = path_bytes(values["p"]), path_bytes(last["p"])
                self._entries.append(Block(offset, length, first, hashlib.sha256(stored).hexdigest()))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            self._gaps.append(Block(offset, length, self._last, _UNSURE))


class _Counts:
    """Counts what a trailer tells, from entries in their order; without *roots*, they are whatever lies below none."""

    def __init__(self, roots: list[bytes]) -> None:
        self._knows_roots = bool(roots)
        self._roots = roots
        self._parts = [[0, 0] for _root in roots]
        self._dumps: dict[tuple[str, str], list[int]] = {}
        self._at = 0
        self._ends: dict[str, int] = {}
        self._segments: dict[str, list[int]] = {}

    @property
    def count(self) -> int:
        return sum(entries for entries, _size in (*self._parts, *self._dumps.values()))

    def add(self, entry: Entry) -> None:
        size = entry.size if entry.kind == FILE else 0
        part = self._part_of(entry.path)
        part[0] += 1
        part[1] += size
        for place in entry.places:
            self._ends[place.volume] = max(self._ends.get(place.volume, 0), place.offset + place.length)
            counted = self._segments.setdefault(place.volume, [0, 0])
            counted[0] += 1
            counted[1] += place.size

    def _part_of(self, path: bytes) -> list[int]:
        if is_dump(path):
            if len(self._dumps) == _MOST_ROOTS:
                raise DamageError("The manifest is damaged: it holds more dumps than there can be.")
            return self._dumps.setdefault(dump_part(path), [0, 0])
        while self._at < len(self._roots) and not _is_below(path, self._roots[self._at]):
            self._at += 1
        if self._at == len(self._roots):
            if self._knows_roots or self._at == _MOST_ROOTS:
                raise DamageError(f"The manifest is damaged: {path_text(path)} lies below none of its paths.")
            self._roots.append(path)
            self._parts.append([0, 0])
        return self._parts[self._at]

    def trailer(self, blocks: tuple[Block, ...]) -> Trailer:
        """Return a trailer that tells the least there is: volumes are at least as large as places in them say."""
        parts = [Part(FILES, path_text(root), *counts) for root, counts in zip(self._roots, self._parts)]
        parts += [Part(kind, name, *counts) for (kind, name), counts in self._dumps.items()]
        volumes = {
            name: VolumeUse(segments, self._ends[name], live, live) for name, (segments, live) in self._segments.items()
        }
        return Trailer(
            entries=self.count,
            size=sum(part.size for part in parts),
            complete=False,
            problems=(),
            parts=tuple(parts),
            volumes=volumes,
            blocks=blocks,
        )


def _is_below(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(root.rstrip(b"/") + b"/")
