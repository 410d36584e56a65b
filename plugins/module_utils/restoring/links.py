# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with several names: each further name is linked to the first, or to what stands in for it.

A restore point may have millions of them, so no name is kept in memory: whether the first name can be linked to shows
in the target, and the few names that stand in for another lie in a file.
"""

from __future__ import annotations

import errno
import stat
import struct
import typing as t
from dataclasses import dataclass

from ..errors import LocalError, told_as

if t.TYPE_CHECKING:
    import os
    from pathlib import Path

    from ..native.entries import Entry
    from .comparison import Comparison
    from .deciding import FileDecider
    from .failures import Failures
    from .selection import Selection
    from .target import Target
    from .windows import File, Link, Window

_NO_LINKS_HERE = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP)
_LENGTHS = struct.Struct("<II")


class StandIns:
    """Which name stands in for the first one of a file, in a file in *directory*; memory holds two numbers a name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: t.BinaryIO | None = None
        self._offsets: dict[int, int] = {}

    def put(self, first: bytes, path: bytes) -> None:
        """Have *path* stand in for *first*, instead of any other before."""
        with told_as(f"Cannot write in {self._directory}"):
            if self._file is None:
                self._file = (self._directory / "stand-ins").open("w+b")
            self._offsets[hash(first)] = self._file.seek(0, 2)
            self._file.write(_LENGTHS.pack(len(first), len(path)) + first + path)

    def get(self, first: bytes) -> bytes | None:
        """Return what stands in for *first*, or None if nothing does."""
        offset = self._offsets.get(hash(first))
        if offset is None or self._file is None:
            return None
        with told_as(f"Cannot read in {self._directory}"):
            self._file.seek(offset)
            lengths = _LENGTHS.unpack(self._file.read(_LENGTHS.size))
            found, path = (self._file.read(length) for length in lengths)
        return path if found == first else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class Manner:
    """How names are linked: over what, whether at all, and whether a first name that did not fail is trusted."""

    overwrite: str
    check_mode: bool
    trusts_first: bool


class Linker:
    """Decides what becomes of further names once what comes before them is done, and links them.

    In check mode it decides as if that had been done, and links nothing.
    """

    def __init__(
        self,
        target: Target,
        selection: Selection,
        comparison: Comparison,
        files: FileDecider,
        failures: Failures,
        stand_ins: StandIns,
        manner: Manner,
    ) -> None:
        self._target = target
        self._selection = selection
        self._comparison = comparison
        self._files = files
        self._failures = failures
        self._overwrite = manner.overwrite
        self._check_mode = manner.check_mode
        self._trusts_first = manner.trusts_first
        self._stand_ins = stand_ins
        self._pending: dict[bytes, File] = {}

    def begin(self) -> None:
        """Learn that another window begins, in which nothing stands in for anything yet."""
        self._pending.clear()

    def settle(self, window: Window, links: list[Link]) -> list[Link]:
        """Do what can be done of *links*, and return those that wait for content that *window* wants now.

        A name whose first one is of no use here gets the content for itself, and stands in for the first one.
        """
        waiting: list[Link] = []
        for link in links:
            with window.attempt(link.entry.path):
                if not self._settled(window, link):
                    waiting.append(link)
        return waiting

    def _settled(self, window: Window, link: Link) -> bool:
        entry = link.entry
        pending = self._pending.get(entry.target)
        if pending is not None and not self._check_mode:
            if not pending.is_done:
                return False
            if pending.failure is not None and not isinstance(pending.failure, LocalError):
                window.fail(entry.path, pending.failure)
                return True
        status = None if link.is_void else self._target.status(entry.path)
        first = self._first_of(entry)
        if status is not None and self._overwrite == "never":
            if first is None and self._comparison.has_content(entry, status):
                self._stand_ins.put(entry.target, entry.path)
        elif first is None:
            self._stand_in(window, link, status)
        elif status is None or not self._is_linked(entry, status, first):
            self._link(window, link, status, first)
        return True

    def _stand_in(self, window: Window, link: Link, status: os.stat_result | None) -> None:
        entry = link.entry
        file = self._files.decide(window, entry, status)
        self._stand_ins.put(entry.target, entry.path)
        if file is not None:
            self._pending[entry.target] = file
            if link.directory is not None:
                link.directory.touch()

    def _link(self, window: Window, link: Link, status: os.stat_result | None, first: bytes) -> None:
        entry = link.entry
        if status is not None:
            self._files.require_no_directory(entry, status)
        window.count(entry, status, "links")
        if link.directory is not None:
            link.directory.touch()
        if self._check_mode:
            return
        try:
            self._target.make_hard_link(entry.path, first)
        except OSError as error:
            if error.errno not in _NO_LINKS_HERE:
                raise
            window.want(entry)

    # -- the first name

    def _first_of(self, entry: Entry) -> bytes | None:
        """Return the name that *entry* can be linked to, or None if there is none of use."""
        first = self._stand_ins.get(entry.target)
        if first is not None and self._check_mode:
            return first
        if first is None and self._selection.matches(entry.target):
            first = entry.target
        return first if first is not None and self._serves(first, entry) else None

    def _serves(self, first: bytes, entry: Entry) -> bool:
        """Tell whether the file *first* is what *entry* is another name of; in check mode, whether it would be."""
        status = self._status_of(first)
        if self._check_mode and (status is None or self._overwrite != "never"):
            return status is None or not stat.S_ISDIR(status.st_mode)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        if self._failures.may_have(first):
            return False
        if self._overwrite == "never":
            return self._comparison.has_content(entry, status, first)
        return self._trusts_first or self._comparison.has_bytes(entry, first)

    def _status_of(self, path: bytes) -> os.stat_result | None:
        try:
            return self._target.status(path)
        except (OSError, LocalError):
            return None

    def _is_linked(self, entry: Entry, status: os.stat_result, first: bytes) -> bool:
        """Tell whether the two names are of one file now; whatever is written gets a new inode."""
        other = self._status_of(first)
        if other is None or (other.st_dev, other.st_ino) != (status.st_dev, status.st_ino):
            return False
        return not self._check_mode or (
            self._overwrite != "always" and self._comparison.has_content(entry, other, first)
        )
