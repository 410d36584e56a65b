# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking gzip while it comes, and seeing every damage to it: wrong content, a wrong length, a missing end.

Source: RFC 1952. zlib itself compares the checksum and the length that stand behind each member.
"""

from __future__ import annotations

import typing as t
import zlib

from ..errors import DamageError
from .limits import KIB, LIMITS

if t.TYPE_CHECKING:
    from .limits import Limits
    from .remote import ByteStream

MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window bits for a gzip member
_READ = 512 * KIB
_BLOCK = 512  # of tar
_FIRST_STEP, _STEP_GROWS = 4 * KIB, 8


class Unpacked:
    """The content of the gzip stream *packed*, which may consist of several members, one behind the other.

    Whatever is wrong with it is raised as a DamageError by the :meth:`read` that meets it, or by the next one where
    some bytes came before it; so the content is proven once one returned nothing. *packed_size* is how many
    bytes of *packed* the content so far was made of, *position* how many bytes of content there were.

    Zeros behind the last member are padding. Of what else stands there, *trailing* is the number of bytes, once the end
    was read: they are no damage, but somebody may want to know.
    """

    def __init__(self, packed: ByteStream, limits: Limits = LIMITS) -> None:
        self._packed = packed
        self._limits = limits
        self._input = memoryview(b"")
        self._at = 0
        self._source_ended = False
        self._unpacker: zlib._Decompress | None = None
        self._step = _FIRST_STEP
        self._members = 0
        self._has_ended = False
        self._damage: DamageError | None = None
        self.packed_size = 0
        self.position = 0
        self.trailing = 0

    def read(self, size: int) -> memoryview | bytes:
        """Return exactly *size* bytes, or fewer where the content ends or the next call will tell of a damage."""
        if self._damage is not None:
            raise self._damage
        pieces: list[bytes] = []
        missing = size
        try:
            while missing and not self._has_ended:
                unpacker = self._unpacker or self._begin_member()
                if unpacker is None:
                    break
                piece = self._unpack(unpacker, missing)
                if piece:
                    pieces.append(piece)
                    missing -= len(piece)
        except DamageError as error:
            # What came before is had first: as whole blocks, so that none looks as if it were the last one.
            came = b"".join(pieces)
            came = came[: len(came) - len(came) % _BLOCK]
            if not came:
                raise
            self._damage = error
            return came
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # -- members

    def _begin_member(self) -> zlib._Decompress | None:
        """Return what unpacks the member that follows; if none does, read on to the end of what is packed."""
        if self._members:
            self._pass_zeros()
        head = self._head()
        if head == MAGIC:
            self._unpacker = zlib.decompressobj(_GZIP)
            self._step = _FIRST_STEP  # the rest of what is handed over behind a member's end is copied, so not too much
            self._members += 1
            return self._unpacker
        if not self._members:
            raise DamageError("it is empty" if not head else "it is no gzip file")
        if head == MAGIC[:1]:
            raise DamageError(f"it is cut off: its {self.packed_size + 1:,} bytes end within a header")
        self._read_out()
        return None

    def _head(self) -> bytes:
        """Return the next two bytes without taking them, or fewer where there are no more."""
        while len(self._input) - self._at < len(MAGIC) and not self._source_ended:
            self._fill()
        return bytes(self._input[self._at : self._at + len(MAGIC)])

    def _pass_zeros(self) -> None:
        while self._next_byte() == 0:
            rest = bytes(self._input[self._at : self._at + _FIRST_STEP])
            self._take(len(rest) - len(rest.lstrip(b"\0")))

    def _next_byte(self) -> int | None:
        if self._at == len(self._input) and not self._source_ended:
            self._fill()
        return self._input[self._at] if self._at < len(self._input) else None

    def _read_out(self) -> None:
        """Count what stands behind the last member, to its end."""
        self._has_ended = True
        while True:
            rest = bytes(self._input[self._at :])
            self.trailing += len(rest) - rest.count(0)
            self._take(len(rest))
            if self._source_ended:
                return
            self._fill()

    # -- content

    def _unpack(self, unpacker: zlib._Decompress, wanted: int) -> bytes:
        """Return up to *wanted* bytes of the member, of which there may be none just now."""
        if self._at == len(self._input) and not self._source_ended:
            self._fill()
        given = self._input[self._at : self._at + self._step]
        self._step = min(_READ, self._step * _STEP_GROWS)
        try:
            piece = unpacker.decompress(given, wanted)
        except zlib.error as error:
            where = f"within the {self.packed_size + len(given):,} bytes"
            raise DamageError(f"it cannot be unpacked ({error}) {where} that were read so far") from error
        # At the end of a member, the tail may be that of an earlier call.
        self._take(len(given) - len(unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail))
        self.position += len(piece)
        if self.position > max(self._limits.expansion_free, self._limits.expansion * self.packed_size):
            raise DamageError(
                f"it is a bomb: {self.packed_size:,} bytes of it hold {self.position:,} bytes of content or more, which"
                f" is over {self._limits.expansion:,} times as much"
            )
        if unpacker.eof:
            self._unpacker = None
        elif not piece and not given and self._source_ended:
            raise DamageError(f"it is cut off: its {self.packed_size:,} bytes end within what is packed")
        return piece

    # -- what is packed

    def _take(self, count: int) -> None:
        self._at += count
        self.packed_size += count

    def _fill(self) -> None:
        """Get more of what is packed; what was not taken yet, a byte at most, stays."""
        left = bytes(self._input[self._at :])
        more = self._packed.read(_READ)
        self._source_ended = len(more) < _READ
        self._input = memoryview(left + bytes(more) if left else more)
        self._at = 0
