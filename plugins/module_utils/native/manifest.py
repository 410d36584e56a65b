# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: blocks of JSON lines in gzip members, with a footer from which everything is found.

Source: ``docs/format.md``, section 3; gzip members and extra fields: RFC 1952.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import struct
import typing as t
import zlib
from contextlib import contextmanager

from ..errors import DamageError
from .entries import (
    FILE,
    FORMAT,
    Block,
    Entry,
    Header,
    Part,
    Place,
    Problem,
    Trailer,
    VolumeUse,
    entry_from_json,
    entry_lines,
    order_key,
    path_bytes,
    places_from_json,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    OnDamage = Callable[[bytes, DamageError], None]

_BLOCK = 1024 * 1024
_PLACES_A_LINE = 6000
_LEVEL = 4
GZIP = 31  # zlib's window bits for a gzip member
MEMBER_LIMIT = 64 * 1024 * 1024
FOOTER_SIZE = 38
_TAIL = 64 * 1024


def footer(trailer_offset: int, checksum: int) -> bytes:
    """Return the empty gzip member whose extra field ``FB`` tells where the trailer's block is, and its CRC-32."""
    head = struct.pack("<4sIBBH2sHQI", b"\x1f\x8b\x08\x04", 0, 0, 255, 16, b"FB", 12, trailer_offset, checksum)
    return head + b"\x03\x00" + struct.pack("<II", 0, 0)  # an empty deflate stream, its checksum and its size


def trailer_offset(end: bytes, size: int) -> int | None:
    """Return what the footer tells that a manifest of *size* bytes has as its *end*; None if that is no footer."""
    if len(end) == FOOTER_SIZE:
        offset, checksum = struct.unpack_from("<QI", end, 16)
        # Whether the checksum is right, a verification asks: a trailer that can be read is better than none.
        if end == footer(offset, checksum) and offset < size - FOOTER_SIZE:
            return int(offset)
    return None


class VolumeSize(t.NamedTuple):
    """How large a volume is: in bytes as it is *stored*, and in bytes of the *content* that was packed into it.

    *checksum* is the CRC-32 of what is stored, 0 if that is not known.
    """

    stored: int
    content: int
    checksum: int = 0


class _Use:
    """Counts the segments of a volume that a manifest names, each once, however many files have it.

    A segment takes at least one block of the tar stream for itself, so one bit a block tells which were seen.
    """

    __slots__ = ("_is_packed", "_seen", "live", "segments")

    def __init__(self, *, is_packed: bool) -> None:
        self._is_packed = is_packed
        self._seen: dict[int, int] = {}
        self.segments = 0
        self.live = 0

    def count(self, place: Place) -> None:
        """Count the segment at *place* unless it was seen before."""
        if self._is_packed:
            key, bit = place.offset, 1 << (place.start >> 9 & 0xFFFF)
        else:
            key, bit = place.offset >> 20, 1 << (place.offset >> 9 & 2047)
        seen = self._seen.get(key, 0)
        if not seen & bit:
            self._seen[key] = seen | bit
            self.segments += 1
            self.live += place.size


class ManifestWriter:
    """Writes a manifest to *write*, an entry at a time."""

    def __init__(self, write: Callable[[bytes], object], header: Header) -> None:
        self._write = write
        self._offset = 0
        self._blocks: list[Block] = []
        self._lines: list[bytes] = []
        self._pending = 0
        self._first = b""
        self._uses: dict[str, _Use] = {}
        self.entries = 0
        self.size = 0
        self._put(b"", header.to_line())

    def add(self, entry: Entry) -> None:
        """Append *entry*, which comes after all those before it in the order of the manifest."""
        for line in entry_lines(entry, _PLACES_A_LINE):
            if not self._lines:
                self._first = entry.path
            self._lines.append(line)
            self._pending += len(line)
            if self._pending >= _BLOCK:
                self._flush()
        self.entries += 1
        if entry.kind == FILE:
            self.size += entry.size
        for place in entry.places:
            self._count(place)

    def _count(self, place: Place) -> None:
        use = self._uses.get(place.volume)
        if use is None:
            use = self._uses[place.volume] = _Use(is_packed=not place.volume.endswith(".tar"))
        use.count(place)

    def _flush(self) -> None:
        if self._lines:
            self._put(self._first, b"".join(self._lines))
            self._lines.clear()
            self._pending = 0

    def _put(self, first: bytes, lines: bytes) -> None:
        member = _member(lines)
        self._write(member)
        self._blocks.append(Block(self._offset, len(member), first, hashlib.sha256(member).hexdigest()))
        self._offset += len(member)

    def finish(
        self,
        *,
        complete: bool,
        problems: tuple[Problem, ...],
        parts: tuple[Part, ...],
        volumes: Mapping[str, VolumeSize],
    ) -> Trailer:
        """Write the trailer and the footer; *volumes* tells how large every volume is that was named."""
        self._flush()
        trailer = self._trailer(complete, problems, parts, volumes)
        member = _member(trailer.to_line())
        self._write(member + footer(self._offset, zlib.crc32(member)))
        return trailer

    def checkpoint(
        self,
        *,
        complete: bool,
        problems: tuple[Problem, ...],
        parts: tuple[Part, ...],
        volumes: Mapping[str, VolumeSize],
    ) -> bytes:
        """Return what makes a manifest of all that was written so far when it is put behind it; writing goes on."""
        self._flush()
        trailer = self._trailer(complete, problems, parts, volumes)
        member = _member(trailer.to_line())
        return member + footer(self._offset, zlib.crc32(member))

    def _trailer(
        self,
        complete: bool,  # noqa: FBT001 - handed on by name above
        problems: tuple[Problem, ...],
        parts: tuple[Part, ...],
        volumes: Mapping[str, VolumeSize],
    ) -> Trailer:
        return Trailer(self.entries, self.size, complete, problems, parts, self._uses_of(volumes), tuple(self._blocks))

    def _uses_of(self, volumes: Mapping[str, VolumeSize]) -> dict[str, VolumeUse]:
        return {
            name: VolumeUse(use.segments, volumes[name].stored, use.live, volumes[name].content, volumes[name].checksum)
            for name, use in sorted(self._uses.items())
        }

    @property
    def volumes(self) -> set[str]:
        """The volumes that the entries written so far name."""
        return set(self._uses)


class ManifestReader:
    """Reads a manifest of *size* bytes through ``read_at(offset, length)``, no more of it than is asked for.

    Whatever is not as it was written raises :class:`~..errors.DamageError` with *name* in it.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size: int, name: str) -> None:
        self._read_at = read_at
        self._size = size
        self._name = name
        self.trailer = self._read_trailer()
        self.header = self._read_header()

    def _read_trailer(self) -> Trailer:
        start = max(0, self._size - _TAIL)
        tail = self._read_at(start, self._size - start)
        offset = trailer_offset(tail[-FOOTER_SIZE:], self._size)
        if offset is None:
            raise DamageError(f"The manifest {self._name} has no footer: it is cut off or damaged.")
        if offset < start:
            tail = self._read_at(offset, start - offset) + tail
            start = offset
        return self._trailer_of(self._unpacked(tail[offset - start : -FOOTER_SIZE]))

    def _trailer_of(self, lines: bytes) -> Trailer:
        with _damage_told(self._name, "trailer"):
            trailer = Trailer.from_json(json.loads(lines)["trailer"])
            if not trailer.blocks:
                raise ValueError("no block")
            return trailer

    def _read_header(self) -> Header:
        return self._header_of(self._block(self.trailer.blocks[0]))

    def _header_of(self, lines: bytes) -> Header:
        with _damage_told(self._name, "header"):
            values = json.loads(lines)
            if values["format"] != FORMAT:
                raise DamageError(
                    f"The manifest {self._name} has format {values['format']}, which this version does not know."
                )
            if values.get("encryption") is not None:
                raise DamageError(f"The manifest {self._name} is encrypted, which this version cannot read.")
            return Header.from_json(values)

    def _block(self, block: Block) -> bytes:
        return self._unpacked(self._stored(block))

    def _stored(self, block: Block) -> bytes:
        if not 0 <= block.offset <= block.offset + block.length <= self._size:
            raise DamageError(f"The manifest {self._name} is damaged: it tells of a block that lies outside of it.")
        stored = self._read_at(block.offset, block.length)
        if hashlib.sha256(stored).hexdigest() != block.digest:
            raise DamageError(f"The manifest {self._name} is damaged from byte {block.offset:,} on.")
        return stored

    def _unpacked(self, member: bytes) -> bytes:
        unpacker = zlib.decompressobj(GZIP)
        try:
            lines = unpacker.decompress(member, MEMBER_LIMIT)
        except zlib.error as error:
            raise DamageError(f"The manifest {self._name} is damaged: {error}.") from error
        if not unpacker.eof:
            raise DamageError(f"The manifest {self._name} is damaged: a block does not end.")
        return lines

    def prove(self) -> None:
        """Raise unless every block is as it was written; what is in them is not looked at."""
        for block in self.trailer.blocks:
            self._stored(block)

    def entries(self, prefix: bytes = b"", *, on_damage: OnDamage | None = None) -> Iterator[Entry]:
        """Yield the entries in order, from blocks that can hold *prefix* and what lies below it.

        With *on_damage*, which is told the first path and what is wrong, a damaged block is passed over: it costs its
        own entries, and one that goes on from it or into it. That one is never yielded in part.
        """
        entry: Entry | None = None
        for block in self._blocks_of(prefix):
            try:
                complete, entry = self._entries_of(block, entry)
            except DamageError as error:
                if on_damage is None:
                    raise
                if entry is not None and entry.path != block.first:
                    yield entry
                entry = None
                on_damage(block.first, error)
            else:
                yield from complete
        if entry is not None:
            yield entry

    def _entries_of(self, block: Block, entry: Entry | None) -> tuple[list[Entry], Entry | None]:
        """Return the entries that end in *block*, of which *entry* began before, and the one that may go on behind."""
        lines = self._block(block).splitlines()
        complete: list[Entry] = []
        with _damage_told(self._name, f"block at byte {block.offset:,}"):
            for line in lines:
                values = json.loads(line)
                if not values.get("n"):
                    if entry is not None:
                        complete.append(entry)
                    entry = entry_from_json(values)
                elif entry is not None:  # else it goes on from a block that was damaged, or not asked for
                    if path_bytes(values["p"]) != entry.path:
                        raise ValueError("a line that goes on from none before it")
                    entry = entry._replace(places=entry.places + places_from_json(values["at"]))
        return complete, entry

    def _blocks_of(self, prefix: bytes) -> tuple[Block, ...]:
        blocks = self.trailer.blocks[1:]
        if not prefix:
            return blocks
        key = order_key(prefix)
        firsts = [order_key(block.first) for block in blocks]
        # The block before, too, where one begins with what is wanted: a large file's entry may have begun there.
        start = max(0, bisect.bisect_left(firsts, key) - 1)
        end = start
        while end < len(blocks) and (firsts[end] <= key or firsts[end].startswith(key)):
            end += 1
        return blocks[start:end]


@contextmanager
def _damage_told(name: str, where: str) -> Iterator[None]:
    """Turn what a malformed line raises into the sentence that says where."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise DamageError(f"The manifest {name} is damaged: its {where} cannot be read.") from error


def _member(content: bytes) -> bytes:
    """Return *content* as one gzip member, the same bytes for the same content."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, GZIP)
    return packer.compress(content) + packer.flush()
