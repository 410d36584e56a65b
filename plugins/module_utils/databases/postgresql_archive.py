# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of pg_dump in the form of tar that a stranger made: whether it is whole, and what of it is restored.

Source: src/bin/pg_dump/pg_backup_tar.c and pg_backup_archiver.c of PostgreSQL.
"""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 512
_FIRST, _LAST = "toc.dat", "restore.sql"
_SIZE = slice(124, 136)
_NAME = slice(0, 100)
_ENTRY = re.compile(r"(?P<number>\d+); \d+ \d+ (?P<what>.+)")
#: What belongs to roles, to the server or to other servers, or what only a superuser may make.
_LEFT_OUT = (
    *("ACL", "DEFAULT ACL", "DATABASE PROPERTIES", "DATABASE", "EVENT TRIGGER", "FOREIGN DATA WRAPPER"),
    *("FOREIGN TABLE", "PUBLICATION TABLE", "PUBLICATION", "SECURITY LABEL", "SERVER", "SUBSCRIPTION", "USER MAPPING"),
)
# They come with every database, and nothing of them can be made anew.
_ALWAYS_THERE = re.compile(
    r"(?:SCHEMA - public|COMMENT - (?:SCHEMA public|EXTENSION .*|PROCEDURAL LANGUAGE .*)|EXTENSION - plpgsql"
    r"|PROCEDURAL LANGUAGE - plpgsql)(?: |\Z)"
)
_LANGUAGE = re.compile(r"PROCEDURAL LANGUAGE - (\S+)")


class Choice(t.NamedTuple):
    """Which entries are restored, as pg_restore reads it, and of which kinds others are left out.

    *languages* are those that the archive makes without an extension.
    """

    listing: str
    left_out: Sequence[str]
    languages: Sequence[str]


def is_whole(archive: t.BinaryIO) -> bool:
    """Tell whether an *archive* has its first member, its last one, and the blocks that end it."""
    names = []
    archive.seek(0)
    while True:
        header = archive.read(_BLOCK)
        if len(header) < _BLOCK:
            return False
        if not header.strip(b"\0"):
            break
        names.append(header[_NAME].rstrip(b"\0").decode("ascii", "replace"))
        try:
            size = _number(header[_SIZE])
        except ValueError:
            return False
        archive.seek(-(-size // _BLOCK) * _BLOCK, 1)
    second = archive.read(_BLOCK)
    return len(second) == _BLOCK and not second.strip(b"\0") and names[:1] == [_FIRST] and names[-1:] == [_LAST]


def chosen(listing: str) -> Choice:
    """Return what is restored of the entries that pg_restore lists."""
    lines = []
    left_out = []
    languages = []
    for line in listing.splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            continue
        what = entry.group("what")
        kind = next((kind for kind in _LEFT_OUT if re.match(rf"{kind} (?:-|\S+) ", what)), None)
        language = _LANGUAGE.match(what)
        if kind is not None:
            left_out.append(kind)
        elif not _ALWAYS_THERE.match(what):
            lines.append(line)
            languages += [language.group(1)] if language is not None else []
    return Choice("\n".join([*lines, ""]), sorted(set(left_out)), languages)


def _number(field: bytes) -> int:
    """Return a number as tar has it: in octal digits, or in bytes where these are too few."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 88) - 1)
    return int(field.strip(b" \0") or b"0", 8)
