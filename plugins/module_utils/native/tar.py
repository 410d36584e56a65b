# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar members as they stand in volumes: ustar headers, with GNU long names (POSIX.1-1988; GNU tar manual).

A header is made for every file there is, of which there may be millions: what many have in common is kept.
"""

from __future__ import annotations

import struct
import typing as t
import zlib
from functools import lru_cache

BLOCK = 512
_NAME_LIMIT = 100
_OCTAL_LIMIT = 8**7
_TIME_LIMIT = 8**11
_FRONT = struct.Struct("100s24s12s12s")
_REST = struct.Struct("c100s8s32s32s8s8s155s12x")
_PADDING = bytes(BLOCK)
_EMPTY_SUM = 8 * 0x20  # the checksum counts as spaces where it will stand itself


class _Owner(t.NamedTuple):
    """What headers have in common: the fields before the size, those behind the checksum, and the latters' sum."""

    front: bytes
    rest: bytes
    rest_sum: int


def header(name: bytes, size: int, *, mode: int, uid: int, gid: int, mtime: int, user: str, group: str) -> bytes:
    """Return what stands before *size* bytes of content called *name*; *mtime* in whole seconds."""
    block = _block(name, size, mtime, _owner(b"0", mode, uid, gid, user, group))
    return block if len(name) <= _NAME_LIMIT else _long_name(name) + block


def padding(size: int) -> bytes:
    """Return what fills *size* bytes of content up to whole blocks."""
    return _PADDING[: -size % BLOCK]


def _long_name(name: bytes) -> bytes:
    """Return the member that tells the name of the next one."""
    content = name + b"\0"
    block = _block(b"././@LongLink", len(content), 0, _owner(b"L", 0, 0, 0, "", ""))
    return block + content + padding(len(content))


def _block(name: bytes, size: int, mtime: int, owner: _Owner) -> bytes:
    time = mtime if 0 <= mtime < _TIME_LIMIT else 0
    front = _FRONT.pack(name, owner.front, b"%011o\0" % size, b"%011o\0" % time)
    # The lower half of Adler-32 is 1 and the sum of the bytes, as long as that is below 65,521: it is, of 148 bytes.
    total = (zlib.adler32(front) & 0xFFFF) - 1 + owner.rest_sum
    return front + b"%06o\0 " % total + owner.rest


@lru_cache(maxsize=1024)
def _owner(kind: bytes, mode: int, uid: int, gid: int, user: str, group: str) -> _Owner:
    front = b"%07o\0" % (mode & 0o7777) + _number(uid) + _number(gid)
    numbers = b"0000000\0"  # of a device, which no member is
    rest = _REST.pack(kind, b"", b"ustar\00000", _name(user), _name(group), numbers, numbers, b"")
    return _Owner(front, rest, sum(rest) + _EMPTY_SUM)


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:31]


def _number(value: int) -> bytes:
    """Return an owner's number in octal, or in GNU's base 256 where octal has no room."""
    if 0 <= value < _OCTAL_LIMIT:
        return b"%07o\0" % value
    return b"\x80" + value.to_bytes(7, "big", signed=True)
