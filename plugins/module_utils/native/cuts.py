# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the content of a large file is cut into segments, so that an insertion changes one or two of them.

Source: ``docs/format.md``, section 2, Cuts. The expression was chosen by measurement: it finds places in random bytes
and in nearly all kinds of text and tables (dumps, logs, source, numbers, base64), and runs fast on all of them.
"""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIN_SEGMENT = 1024 * 1024
MAX_SEGMENT = 8 * 1024 * 1024
_PAIRS = 11
#: What text has little of and other bytes have much of: else text, where the digit is frequent, would be cut too often.
_SELDOM_IN_TEXT = b"[^2-8e-oE-O -)]" * 4
_EVEN = b"[%s]" % b"".join(b"\\x%02x" % byte for byte in range(0, 256, 2))
_ODD = b"[%s]" % b"".join(b"\\x%02x" % byte for byte in range(1, 256, 2))


def _pair(number: int) -> bytes:
    """Return what matches two bytes of the same lowest bit, some way from one another, and some bytes behind them.

    That two such bytes are alike is as likely as not in any data, whatever is frequent there; and the ways differ, so
    that what a format repeats cannot meet all pairs alike.
    """
    between = b".{%d}" % (3 * number % 7)
    behind = b".{%d}" % (5 * number % 11)
    return b"(?:" + _EVEN + between + _EVEN + b"|" + _ODD + between + _ODD + b")" + behind


#: A cut falls behind a match: a digit 1, which the search leaps to, four bytes, and pairs that all have to be alike.
CUT = re.compile(b"1" + _SELDOM_IN_TEXT + b"".join(_pair(number) for number in range(_PAIRS)), re.DOTALL)


def segments(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the segments of what ``read(size)`` gives, which returns up to *size* bytes and none at the end.

    They are the same however much is returned at a time. No more than twice the longest segment is held.
    """
    rest = b""
    while True:
        buffer = _filled(rest, read)
        is_last = len(buffer) < MAX_SEGMENT
        start = 0
        while start < len(buffer) and (is_last or len(buffer) - start >= MAX_SEGMENT):
            end = _end_of_segment(buffer, start)
            yield buffer[start:end]
            start = end
        if is_last:
            return
        rest = buffer[start:]


def _end_of_segment(buffer: bytes, start: int) -> int:
    """Return where the segment ends that begins at *start*, of which the longest one lies in *buffer* if it goes on."""
    limit = min(start + MAX_SEGMENT, len(buffer))
    found = CUT.search(buffer, start + MIN_SEGMENT, limit)
    return found.end() if found else limit


def _filled(rest: bytes, read: Callable[[int], bytes]) -> bytes:
    """Return *rest* with what follows it, at least one longest segment unless the content ends."""
    pieces, size = [rest], len(rest)
    while size < MAX_SEGMENT:
        piece = read(2 * MAX_SEGMENT - size)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces) if len(pieces) > 1 else rest
