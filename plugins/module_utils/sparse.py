# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a sparse file its content lies, and how that is read.

Source: ``docs/format.md``, section 3, `map`.
"""

from __future__ import annotations

import errno
import io
import os
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Extents = tuple[tuple[int, int], ...]

MOST_EXTENTS = 6000
SMALLEST_HOLE = 64 * 1024
_BLOCK = 512  # the unit of st_blocks, whatever that of the file system is


def may_be_sparse(status: os.stat_result) -> bool:
    """Tell whether it is worth looking for holes; room that was set aside for content looks like content here."""
    return status.st_size >= SMALLEST_HOLE and status.st_blocks * _BLOCK < status.st_size


def content_size(status: os.stat_result) -> int:
    """Return about how much content there is in a file, without its holes."""
    return min(status.st_size, status.st_blocks * _BLOCK) if may_be_sparse(status) else status.st_size


def extents_of(descriptor: int, size: int) -> Extents:
    """Return offset and length of each piece of the first *size* bytes of an open file that is no hole.

    There are none if all of it is content, or if the file system does not tell. That the file grows or shrinks
    meanwhile is no error. The position of *descriptor* is another one afterwards.
    """
    if size < SMALLEST_HOLE:
        return ()
    pieces: list[tuple[int, int]] = []
    end = 0
    try:
        for start, stop in _content(descriptor, size):
            if start - end < SMALLEST_HOLE:
                pieces.append((pieces.pop()[0] if pieces else 0, stop))
            elif len(pieces) < MOST_EXTENTS:
                pieces.append((start, stop))
            else:
                pieces.append((pieces.pop()[0], size))
                break
            end = stop
    except OSError:
        return ()
    if pieces and size - end < SMALLEST_HOLE:
        pieces.append((pieces.pop()[0], size))
    if pieces == [(0, size)]:
        return ()
    return tuple([(start, stop - start) for start, stop in pieces]) or ((0, 0),)


def _content(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where each piece of content begins and ends, as the file system has them."""
    stop = 0
    while stop < size:
        try:
            start = os.lseek(descriptor, stop, os.SEEK_DATA)
            if start >= size:
                return
            stop = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # nothing but a hole follows, or the file ends here by now
        if stop <= start:
            raise OSError(errno.EINVAL, "This piece of content is empty")  # it would be found again and again
        stop = min(stop, size)
        yield start, stop


def reader_of(descriptor: int, extents: Extents, size: int) -> Callable[[memoryview], int]:
    """Return what reads the content of an open file from its beginning on: that of its *extents*, if it has any.

    It fills what it is given, or the beginning of that, and returns how many bytes there are: of the first *size* bytes
    of the file, and in the end none. The content of a file that has become shorter ends earlier. The position of
    *descriptor* is another one afterwards.
    """
    return _Reader(descriptor, extents or ((0, size),)).read_into


class _Reader:
    """Reads pieces of a file as if they were one."""

    def __init__(self, descriptor: int, extents: Extents) -> None:
        self._file = io.FileIO(descriptor, closefd=False)
        self._extents = iter(extents)
        self._left = 0

    def read_into(self, view: memoryview) -> int:
        if not self._left:
            offset, self._left = next(self._extents, (0, 0))
            self._file.seek(offset)
        count = self._file.readinto(view[: self._left])
        if not count:
            self._extents = iter(())
        self._left = self._left - count if count else 0
        return count
