# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run is, as it stands in a small file: for whoever watches it from elsewhere, and can only read files.

::

    DIRECTORY/          made by who watches, for the user of the run only; locked by the kernel while the run lasts
        umask           that of a shell of the user, in octal digits, by who watches: without it no run begins
        status          one line of JSON, replaced as a whole a few times a second at most

``status`` has ``process``, which a signal ends cleanly, or 0 once the run is about to end; ``beat``, which grows for as
long as the run lives; and ``phase``, ``done``, ``total``, ``entries`` and ``item`` as in progress.py, with *item*
written out for a terminal.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
import typing as t
from contextlib import contextmanager, suppress

from .errors import LocalError, told_as
from .watching import Now, Watch
from .words import printable, shortened

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .progress import Progress

#: What a run finds in its environment if it is watched: the directory.
VARIABLE = "FTP_BACKUP_STATUS_DIRECTORY"
#: How the names of such directories begin.
BEGINNING = "ftp_backup-"
FILE = "status"
UMASK = "umask"

_WRITTEN_EVERY, _BEATS_EVERY = 0.25, 5.0  # seconds
_KEPT = 3600.0  # seconds that what a run has left waits for who may still want it
_LENGTH, _PHASE_LENGTH = 300, 40  # columns of an item, and of the name of a phase


class Status(t.NamedTuple):
    """What the file tells."""

    process: int
    beat: int
    now: Now


def read_status(text: str) -> Status | None:
    """Return what *text*, the content of such a file, tells; None if it is none, such as half of one."""
    try:
        values = json.loads(text)
        now = Now(
            shortened(printable(str(values["phase"])), _PHASE_LENGTH),
            int(values["done"]),
            None if values["total"] is None else int(values["total"]),
            int(values["entries"]),
            str(values["item"]),
        )
        return Status(int(values["process"]), int(values["beat"]), now)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


class StatusFile(Watch):
    """Keeps the file in *directory* up to date."""

    def __init__(
        self, directory: Path, *, every: float = _WRITTEN_EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(every, clock)
        self._path = directory / FILE
        self._beat = 0
        self._written: tuple[int, Now] | None = None
        self._moment = 0.0

    def __enter__(self) -> Progress:
        self._write(os.getpid())
        return super().__enter__()

    def look(self) -> None:
        if self._written != (os.getpid(), self.now) or self.clock() - self._moment >= _BEATS_EVERY:
            self._write(os.getpid())

    def end(self) -> None:
        self._write(0)

    def _write(self, process: int) -> None:
        now = self.now
        self._beat += 1
        values = {**now._asdict(), "item": shortened(printable(now.item), _LENGTH)}
        aside = self._path.with_suffix(".new")
        with suppress(OSError):  # a full disk, or a directory that somebody has removed, is no reason to end a run
            aside.write_text(json.dumps({"process": process, "beat": self._beat, **values}), encoding="ascii")
            aside.replace(self._path)
        self._written, self._moment = (process, now), self.clock()


def take_umask(directory: Path) -> None:
    """Make files from now on as a run does that nobody watches; who starts this one in the background has set another.

    Raise LocalError if *directory* is not as it was made by who watches, such as when it was given up meanwhile.
    """
    with told_as(f"Cannot use {directory}"):
        text = (directory / UMASK).read_text(encoding="ascii", errors="replace")
    try:
        os.umask(int(text, 8))
    except ValueError:
        raise LocalError(f"Cannot use {directory}: {UMASK} there is none.") from None


@contextmanager
def status_kept(directory: Path) -> Iterator[Progress]:
    """Tell the run in the block by a file in *directory*; and remove what watched runs that are dead have left there.

    Raise LocalError if *directory* is not there, or is not ours.
    """
    with told_as(f"Cannot use {directory}"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with suppress(OSError):  # some file systems know no locks; ours only keeps others from removing the directory
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        _remove_leftovers(directory)
        with StatusFile(directory) as progress:
            yield progress
    finally:
        os.close(descriptor)


def _remove_leftovers(directory: Path) -> None:
    """Remove the directories beside *directory* of runs that nobody has asked for since they ended."""
    for path in directory.parent.glob(f"{BEGINNING}*"):
        if path != directory and _is_left(path):
            shutil.rmtree(path, ignore_errors=True)  # another run may be removing it as well


def _is_left(path: Path) -> bool:
    with suppress(OSError):
        if time.time() - max(entry.stat().st_mtime for entry in (path, *path.iterdir())) < _KEPT:
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        return True
    return False
