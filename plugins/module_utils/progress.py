# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run has come: what is told meanwhile to whoever watches it, such as a bar on a terminal.

A run goes through phases, one after the other; each is told from when it begins, and left for good (only a restore
point that is published anew meanwhile is restored again, and may take a restore back from LOADING). A backup has
SCANNING, UPLOADING (if anything must be read), FINISHING and PRUNING (if anything is removed); a restore RESTORING and
LOADING; a reindex READING; a verification VERIFYING.

===========  ======================================================  ==================================  ============
phase        *done* and *total*, in bytes                            *entries*                           *item*
===========  ======================================================  ==================================  ============
SCANNING     nothing yet: *total* is None                            entries found                       their paths
UPLOADING    content of new and changed files and dumps, which is    entries taken in, unchanged ones    the file that
             done once it is stored, or found to be stored already   and those of SCANNING among them    is read
FINISHING    nothing: the restore point is published                 entries it has                      its id
PRUNING      nothing                                                 restore points that go              the job
RESTORING    content of the files that are not as they should be     files complete                      the last one
LOADING      content of the dumps that go into database servers      databases complete                  the database
READING      manifests and archives that are not in the index yet    restore points read                 its id
VERIFYING    the volumes that are read, as they are stored           volumes read                        the volume
===========  ======================================================  ==================================  ============

So ``done / total`` is a share of the work, the growth of *done* a rate, and ``(total - done) / rate`` the time that is
left. Of what is found unchanged nothing is read or sent, and it counts for neither.

*total* is None as long as nobody knows how much there is. Once it is known it is the best guess so far: it grows where
a file grows, where another job or archive comes in sight, or where more of a database is dumped than its server told;
it shrinks where something vanished, or is found to be unchanged. But in one phase *done* and *entries* never shrink,
*done* is never over *total*, and they are equal in the last report of a phase that went well.
"""

from __future__ import annotations

import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Piece = t.TypeVar("Piece", bytes, memoryview)

SCANNING, UPLOADING, FINISHING, PRUNING = "scanning", "uploading", "finishing", "pruning"
RESTORING, LOADING, READING, VERIFYING = "restoring", "loading", "reading", "verifying"
_BATCH = 256  # entries that are told together, where nothing else is told


class Progress(t.Protocol):
    """Is told how far a run has come."""

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        """Learn where the run is; see the top of this file for what the numbers are.

        It is called often, for each piece of a file at most, by any thread, but by one at a time: so it has to return
        at once, and whoever draws does so now and then. What it raises ends the run, as if it had been raised in the
        middle of the work.
        """


class _Silent:
    """Is told everything, and tells nobody."""

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        """Do nothing."""


SILENT: Progress = _Silent()


class Meter:
    """Counts what is done in one *phase*, by any number of threads, and tells *progress*.

    Where nobody listens it counts nothing. As a context, it tells that the phase begins, and that it ended well.
    """

    def __init__(self, progress: Progress, phase: str, total: int | None = None) -> None:
        self._progress = progress
        self._phase = phase
        self._total = total
        self.done = 0
        self._untold = 0
        self._item = ""
        self._guard = threading.Lock()
        self.entries = 0
        self.is_silent = progress is SILENT

    def __enter__(self) -> Meter:  # noqa: PYI034 - Self is of Python 3.11
        self.add()
        return self

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is None:
            self.finish()

    def add(self, done: int = 0, *, entries: int = 0, item: str = "") -> None:
        """Count so much more as done; an *item* stays the one that is told until there is another."""
        if self.is_silent:
            return
        with self._guard:
            self.done += done
            self.entries += entries
            self._untold += entries
            self._item = item or self._item
            if done or not entries or self._untold >= _BATCH:
                self._tell()

    def expect(self, size: int | None) -> None:
        """Have the total be *size*, or not known; it is told with what is done next."""
        with self._guard:
            self._total = size

    def expect_more(self, size: int) -> None:
        """Have *size* more be the total, or less where that is below 0; it is told with what is done next."""
        with self._guard:
            self._total = (self._total or 0) + size

    def through(self, pieces: Iterable[Piece], item: str = "") -> Iterator[Piece]:
        """Yield *pieces*, and count each as done once the next one is asked for."""
        for piece in pieces:
            yield piece
            self.add(len(piece), item=item)

    def finish(self) -> None:
        """Tell that all is done; what did not come was not there."""
        if self.is_silent:
            return
        with self._guard:
            self._total = self.done if self._total is not None or self.done else None
            self._tell()

    def _tell(self) -> None:
        self._untold = 0
        total = self._total if self._total is None else max(self._total, self.done)
        self._progress.report(self._phase, done=self.done, total=total, entries=self.entries, item=self._item)
