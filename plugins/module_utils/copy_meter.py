# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a copy has come: what is found of the tree, and how much of what must be read has been stored.

Scanning, reading and uploading overlap, so nobody knows at first how much there is to come. Where it is so much that it
takes a while, a thread of its own goes through the tree ahead of the copy and adds it up; where it is less, all of it
is found, and so known, long before it is uploaded.
"""

from __future__ import annotations

import threading
import typing as t
from contextlib import closing, suppress

from .errors import BackupError
from .native.entries import FILE, path_text
from .progress import SCANNING, SILENT, UPLOADING, Meter
from .scan import inode_of
from .sparse import content_size

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from .changes import Change
    from .native.volumes import Volume
    from .progress import Progress

    #: How large each thing is that must be read, and 0 for all others, whenever that is asked.
    Sizes = Callable[[], Generator[int, None, None]]

#: How much has to be read before it is worth looking ahead, in bytes: what is less is read within a second or two.
WORTH_A_LOOK = 64 * 1024 * 1024
_BATCH = 256  # entries that are told together, where nothing must be read of them


def sizes_to_read(changes: Iterable[Change]) -> Generator[int, None, None]:
    """Yield of each of *changes* how much content must be read; what has several names is read once."""
    linked: set[str] = set()
    for found, _base, is_same, _looks in changes:
        status = found.status if found is not None and found.kind == FILE and not is_same else None
        if status is None:
            yield 0
            continue
        if status.st_nlink > 1:
            inode = inode_of(status)
            if inode in linked:
                yield 0
                continue
            linked.add(inode)
        yield content_size(status)


def _nothing() -> Generator[int, None, None]:
    """Know of nothing that is to come."""
    yield from ()


class CopyMeter:
    """Tells *progress* how far a copy has come; *sizes* tells what it will have to read.

    One thread collects, and others store what it has read.
    """

    def __init__(self, progress: Progress = SILENT, sizes: Sizes = _nothing) -> None:
        self._scanned = Meter(progress, SCANNING)
        self._stored = Meter(progress, UPLOADING)
        self._sizes = sizes
        self._path = b""
        self._untold = 0
        self._read = 0
        self._is_reading = False
        self._foreseen: int | None = None
        self._guard = threading.Lock()
        self._of_volumes: dict[str, int] = {}
        self._ahead: threading.Thread | None = None
        self._is_over = threading.Event()
        self.is_silent = progress is SILENT

    # -- the thread that collects

    def begin(self) -> None:
        """Tell that it begins."""
        self._scanned.add()

    def turn_to(self, path: bytes) -> None:
        """Learn that what lies at *path* comes next."""
        self._path = path

    def take_in(self) -> None:
        """Learn that one more entry was taken in."""
        self._untold += 1
        if self._untold == _BATCH:
            self._tell_entries()

    def _tell_entries(self) -> None:
        entries, self._untold = self._untold, 0
        if not self.is_silent:
            meter = self._stored if self._is_reading else self._scanned
            meter.add(entries=entries, item=path_text(self._path))

    def read(self, size: int, *, is_stored: bool) -> None:
        """Learn that so much was read, and whether it *is_stored* already; what is not is packed after this."""
        if self.is_silent:
            return
        if not self._is_reading:
            self._begin_reading()
        entries, self._untold = self._untold, 0
        with self._guard:
            self._read += size
            self._expect(self._foreseen)
        self._stored.add(size if is_stored else 0, entries=entries, item=path_text(self._path))
        if self._ahead is None and self._read >= WORTH_A_LOOK:
            self._ahead = threading.Thread(target=self._look_ahead, name="ahead", daemon=True)
            self._ahead.start()

    def _begin_reading(self) -> None:
        self._tell_entries()
        self._scanned.finish()
        self._stored.add(entries=self._scanned.entries)
        self._is_reading = True

    def collected(self) -> None:
        """Learn that all is read: from here on it is known how much there is."""
        self._end_looking()
        self._tell_entries()
        with self._guard:
            self._expect(self._read)
        if self._is_reading:
            self._stored.add()  # so that a share is told before the first piece is stored

    def finish(self) -> None:
        """Tell that all of it is stored."""
        (self._stored if self._is_reading else self._scanned).finish()

    def close(self) -> None:
        """End what still runs; nothing more is told of what is to come."""
        self._end_looking()

    def _end_looking(self) -> None:
        self._is_over.set()
        if self._ahead is not None:
            self._ahead.join()

    # -- threads that store

    def store(self, volume: Volume, position: int) -> None:
        """Learn that *volume* is stored up to a *position* of what it has so far; where it is tried again, once more.

        How much content that is can be told for the whole volume alone, so of a part of it a like part counts.
        """
        with self._guard:
            before = self._of_volumes.get(volume.name, 0)
            after = max(before, volume.content * position // max(1, volume.size))
            self._of_volumes[volume.name] = after
        self._stored.add(after - before, item=path_text(self._path))

    # -- the thread that looks ahead

    def _look_ahead(self) -> None:
        total = 0
        # What is wrong is told by the copy itself, when it comes there.
        with suppress(BackupError, OSError), closing(self._sizes()) as sizes:
            for size in sizes:
                if self._is_over.is_set():
                    return
                total += size
            with self._guard:
                self._foreseen = total
                self._expect(total)

    def _expect(self, foreseen: int | None) -> None:
        """Have the total be what is *foreseen*, or what was read where that is more."""
        self._stored.expect(None if foreseen is None else max(foreseen, self._read))
