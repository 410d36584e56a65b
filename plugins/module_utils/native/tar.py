# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar members as they stand in volumes: ustar headers, with GNU long names (POSIX.1-1988; GNU tar manual)."""

from __future__ import annotations

import struct
import typing as t

BLOCK = 512
_NAME_LIMIT = 100
_OCTAL_LIMIT = 8**7
_TIME_LIMIT = 8**11
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_PADDING = bytes(BLOCK)
_SUM_PLACE = slice(148, 156)


class _Owner(t.NamedTuple):
    """Whose a member is, and the rest of what its header says beside name, size and kind."""

    mode: int
    uid: int
    gid: int
    mtime: int
    user: bytes
    group: bytes


_NOBODY = _Owner(0, 0, 0, 0, b"", b"")


def header(name: bytes, size: int, *, mode: int, uid: int, gid: int, mtime: int, user: str, group: str) -> bytes:
    """Return what stands before *size* bytes of content called *name*; *mtime* in whole seconds."""
    long_name = b""
    if len(name) > _NAME_LIMIT:
        content = name + b"\0"
        long_name = _block(b"././@LongLink", len(content), b"L", _NOBODY) + content + padding(len(content))
    owner = _Owner(mode, uid, gid, mtime, _name(user), _name(group))
    return long_name + _block(name[:_NAME_LIMIT], size, b"0", owner)


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:31]


def padding(size: int) -> bytes:
    """Return what fills *size* bytes of content up to whole blocks."""
    return _PADDING[: -size % BLOCK]


def _block(name: bytes, size: int, kind: bytes, owner: _Owner) -> bytes:
    raw = bytearray(
        _HEADER.pack(
            name,
            b"%07o\0" % (owner.mode & 0o7777),
            _number(owner.uid),
            _number(owner.gid),
            b"%011o\0" % size,
            b"%011o\0" % (owner.mtime if 0 <= owner.mtime < _TIME_LIMIT else 0),
            b"        ",
            kind,
            b"",
            b"ustar\00000",
            owner.user,
            owner.group,
            b"0000000\0",
            b"0000000\0",
            b"",
        )
    )
    raw[_SUM_PLACE] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def _number(value: int) -> bytes:
    """Return an owner's number in octal, or in GNU's base 256 where octal has no room."""
    if 0 <= value < _OCTAL_LIMIT:
        return b"%07o\0" % value
    return b"\x80" + value.to_bytes(7, "big", signed=True)
