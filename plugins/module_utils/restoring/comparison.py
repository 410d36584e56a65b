# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what lies in the target is what a restore point holds."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import typing as t

from ..native.entries import BLOCK_DEVICE, CHARACTER_DEVICE, FIFO, SYMLINK, Entry

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .target import Target

_FORMATS = {SYMLINK: stat.S_IFLNK, CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_CHUNK = 1024 * 1024
_ZEROS = bytes(_CHUNK)


class Comparison:
    """Compares entries with what lies in *target*: by size and time, with *checksum* by content."""

    def __init__(self, target: Target, *, checksum: bool) -> None:
        self._target = target
        self._checksum = checksum

    def has_content(self, entry: Entry, status: os.stat_result, path: bytes | None = None) -> bool:
        """Tell whether the file at *path*, that of *entry* unless it is given, has the content that is wanted."""
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        if not self._checksum:
            return status.st_mtime_ns == entry.mtime
        return self.has_bytes(entry, entry.path if path is None else path)

    def has_bytes(self, entry: Entry, path: bytes) -> bool:
        """Tell, by reading it, whether the file at *path* has the content of *entry*; its size was compared already."""
        try:
            with self._target.reading(path) as descriptor:
                return _holes_are_empty(descriptor, entry) and _segments_are_equal(descriptor, entry)
        except OSError:
            return False  # what cannot be read is not proved equal

    def is_dressed(self, entry: Entry, status: os.stat_result) -> bool:
        """Tell whether mode, time and owner are those that are wanted."""
        return status.st_mtime_ns == entry.mtime and self._has_mode_and_owner(entry, status)

    def _has_mode_and_owner(self, entry: Entry, status: os.stat_result) -> bool:
        current = (status.st_uid, status.st_gid)
        owner = self._target.owner_of(entry)
        return stat.S_IMODE(status.st_mode) == self._target.mode_of(entry, current) and (
            owner is None or owner == current
        )

    def is_same_special(self, entry: Entry, status: os.stat_result) -> bool:
        """Tell whether the link, device or FIFO that is there is the one that is wanted.

        The times of devices and FIFOs tell when they were used, so they are no difference; the mode of a link is none.
        """
        if stat.S_IFMT(status.st_mode) != _FORMATS[entry.kind]:
            return False
        if entry.kind == SYMLINK:
            owner = self._target.owner_of(entry)
            is_same_owner = owner is None or owner == (status.st_uid, status.st_gid)
            is_dressed = is_same_owner and status.st_mtime_ns == entry.mtime
            return is_dressed and self._target.link_at(entry.path) == entry.target
        if entry.device is not None and entry.device != (os.major(status.st_rdev), os.minor(status.st_rdev)):
            return False
        return self._has_mode_and_owner(entry, status)


def _segments_are_equal(descriptor: int, entry: Entry) -> bool:
    content = _content(descriptor, entry)
    piece = memoryview(b"")
    for place in entry.places:
        total, left = hashlib.sha256(), place.size
        while left:
            if not piece:
                piece = next(content, memoryview(b""))
            if not piece:
                return False
            total.update(piece[:left])
            taken = min(left, len(piece))
            left -= taken
            piece = piece[taken:]
        if total.hexdigest() != (place.digest or entry.digest):
            return False
    return True


def _content(descriptor: int, entry: Entry) -> Iterator[memoryview]:
    """Yield the content of an open file; of a sparse one, what lies where *entry* has no hole."""
    for start, length in entry.extents or ((0, entry.size),):
        offset, end = start, start + length
        while offset < end:
            piece = os.pread(descriptor, min(_CHUNK, end - offset), offset)
            if not piece:
                return
            offset += len(piece)
            yield memoryview(piece)


def _holes_are_empty(descriptor: int, entry: Entry) -> bool:
    """Tell whether there is nothing but zeros where *entry* has holes."""
    if not entry.extents:
        return True
    end = 0
    for start, length in (*entry.extents, (entry.size, 0)):
        if not _is_empty(descriptor, end, start):
            return False
        end = start + length
    return True


def _is_empty(descriptor: int, offset: int, end: int) -> bool:
    while offset < end:
        offset = _next_data(descriptor, offset)
        if offset < end:
            piece = os.pread(descriptor, min(_CHUNK, end - offset), offset)
            if not piece or piece != _ZEROS[: len(piece)]:
                return False
            offset += len(piece)
    return True


def _next_data(descriptor: int, offset: int) -> int:
    """Return where from *offset* on the file has anything at all, as far as its file system tells."""
    if not hasattr(os, "SEEK_DATA"):
        return offset
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(descriptor).st_size if error.errno == errno.ENXIO else offset
