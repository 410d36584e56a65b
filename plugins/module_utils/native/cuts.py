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
_READ_SIZE = 256 * 1024
_PAIRS = 11
#: What text has little of and other bytes have much of: else text, where the digit is frequent, would be cut too often.
_SELDOM_IN_TEXT = b"[^2-8e-oE-O -)]" * 4
_EVEN = b"[%s]" % b"".join(b"\\x%02x" % byte for byte in range(0, 256, 2))
_ODD = b"[%s]" % b"".join(b"\\x%02x" % byte for byte in range(1, 256, 2))


def _gaps(number: int) -> tuple[int, int]:
    """Return how many bytes stand between the two of a pair, and how many behind them."""
    return 3 * number % 7, 5 * number % 11


def _pair(number: int) -> bytes:
    """Return what matches two bytes of the same lowest bit, some way from one another, and some bytes behind them.

    That two such bytes are alike is as likely as not in any data, whatever is frequent there; and the ways differ, so
    that what a format repeats cannot meet all pairs alike.
    """
    between, behind = (b".{%d}" % gap for gap in _gaps(number))
    return b"(?:" + _EVEN + between + _EVEN + b"|" + _ODD + between + _ODD + b")" + behind


#: A cut falls behind a match: a digit 1, which the search leaps to, four bytes, and pairs that all have to be alike.
CUT = re.compile(b"1" + _SELDOM_IN_TEXT + b"".join(_pair(number) for number in range(_PAIRS)), re.DOTALL)
_CUT_LENGTH = 5 + sum(2 + sum(_gaps(number)) for number in range(_PAIRS))


class Cutter:
    """Cuts contents into segments, one content after the other, in the same piece of memory for them all."""

    def __init__(self) -> None:
        self._buffer = bytearray(MAX_SEGMENT + _READ_SIZE)

    def segments(self, read_into: Callable[[memoryview], int]) -> Iterator[memoryview]:
        """Yield the segments of what ``read_into(view)`` reads, which returns how many bytes, and 0 at the end.

        They are the same however much is read at a time. Each is there until the next one is asked for.
        """
        view = memoryview(self._buffer)
        filled = 0
        search_from = MIN_SEGMENT
        while True:
            end = self._end_of_segment(search_from, filled)
            if end is None:
                count = read_into(view[filled : filled + _READ_SIZE])
                if count:
                    search_from = max(MIN_SEGMENT, filled - _CUT_LENGTH + 1)  # whatever begins before was searched
                    filled += count
                    continue
                end = filled
            if not end:
                return
            yield view[:end]
            filled -= end
            view[:filled] = view[end : end + filled]
            search_from = MIN_SEGMENT

    def _end_of_segment(self, search_from: int, filled: int) -> int | None:
        """Return where the segment at the beginning of the buffer ends, if the *filled* part of it tells."""
        found = CUT.search(self._buffer, search_from, min(filled, MAX_SEGMENT))
        if found:
            return found.end()
        return MAX_SEGMENT if filled >= MAX_SEGMENT else None
