# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a dump of MySQL, put into statements anew so that an inserted row changes one of them.

The dumping program ends a statement when it is full. Behind an inserted row each would begin elsewhere, for ever where
all rows are of one length: of 100 MB of such rows half was new when one came into the middle, whatever the length of
the statements. Where the rows themselves tell the ends, one segment was new, the dump took a third longer and the load
no longer. A statement a row needs no such care, and took ten times as long to load.
"""

from __future__ import annotations

import re
import typing as t
import zlib

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READ_SIZE = 1024 * 1024
_LIMIT = 2 * 1024 * 1024  # half of what the most sparing server takes
#: A row of n bytes ends a statement by the chance n / 256 KiB, which makes that the usual length.
_CHANCE = 32 - 18
_NAME = rb"`(?:[^`]|``)+`"
_HEAD = re.compile(rb"INSERT INTO %s(?: \(.*?\))? VALUES(?= \(|$)" % _NAME)


def regrouped(read_into: Callable[[memoryview], int], edit: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield the dump that *read_into* gives, its rows in other statements, and *edit* of each line that is none.

    Each read yields something, be it nothing but its being over. Rows stand one a line, each in a statement of its own
    or behind a line that ends with VALUES: that is how the programs write them, and no row holds the end of a line
    unquoted. The longest row is held in memory.
    """
    statements = _Statements()
    for lines in _lines(read_into):
        out: list[bytes] = []
        for line in lines:
            if not statements.put_row(line, out):
                statements.end(out)
                out.append(edit(line) + b"\n")
        yield b"".join(out)
    out = []
    statements.end(out)
    yield b"".join(out)


class _Statements:
    """The statements into which rows are put."""

    def __init__(self) -> None:
        self._head = b""  # INSERT INTO `table` VALUES
        self._size = 0  # of the statement that is not ended yet

    def put_row(self, line: bytes, out: list[bytes]) -> bool:
        """Add to *out* what becomes of the *line* if it is a row, or begins rows, and tell whether it is."""
        if line[:1] == b"(" and self._head:
            row = line[:-1]
        else:
            found = _HEAD.match(line)
            if found is None:
                self._head = b""
                return False
            if found.group() != self._head:
                self.end(out)
                self._head = found.group()
            row = line[found.end() + 1 : -1]
            if not row:
                return True
        size = len(row)
        out.append(b",\n" if self._size else self._head + b"\n")
        out.append(row)
        self._size += size
        if zlib.crc32(row) < size << _CHANCE or self._size > _LIMIT:
            self.end(out)
        return True

    def end(self, out: list[bytes]) -> None:
        """End the statement that is begun, if one is."""
        if self._size:
            out.append(b";\n")
            self._size = 0


def _lines(read_into: Callable[[memoryview], int]) -> Iterator[list[bytes]]:
    """Yield the lines that each read has made whole, without their ends."""
    view = memoryview(bytearray(_READ_SIZE))
    pieces: list[bytes] = []
    while count := read_into(view):
        piece = bytes(view[:count])
        pieces.append(piece)
        lines: list[bytes] = []
        if b"\n" in piece:
            lines = b"".join(pieces).split(b"\n")
            pieces = [lines.pop()]
        yield lines
    rest = b"".join(pieces)
    if rest:
        yield [rest]
