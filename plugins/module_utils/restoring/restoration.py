# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing what a restore has to do, window by window: the next one is decided while the content of one is fetched."""

from __future__ import annotations

import os
import threading
import typing as t
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from ..errors import BackupError, LocalError, told_as
from ..native.entries import path_text
from .failures import Failures, as_no_more, as_told, told_no_more
from .target import write_all
from .windows import File, OpenDirectory, Tally, Window

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..native.fetch import Fetcher, Piece
    from ..progress import Meter
    from .links import Linker
    from .target import Target

_OPEN_FILES = 64


class Restoration:
    """Goes through windows and does what each says; without a *fetcher*, it only counts what that would be.

    *meter* is told how far that has come.
    """

    def __init__(
        self,
        target: Target,
        linker: Linker,
        failures: Failures,
        fetcher: Fetcher | None,
        meter: Meter,
        tally: Tally,
        *,
        spares_obstacles: bool,
    ) -> None:
        self._linker = linker
        self._failures = failures
        self._meter = meter
        self._writer = None
        if fetcher is not None:
            self._writer = _Writer(target, linker, failures, fetcher, meter, spares_obstacles=spares_obstacles)
        self.tally = tally.like()

    def run(self, windows: Iterator[Window], size: int) -> None:
        """Do all that *windows* say, or raise where the target takes nothing more.

        *size* is how large all files are together that they say anything of.
        """
        expected, left = self._meter.done, size
        with ThreadPoolExecutor(1, "decide") as thread:
            coming = thread.submit(next, windows, None)
            while (window := coming.result()) is not None:
                coming = thread.submit(next, windows, None)
                left -= window.passed  # of which what is the same needs not be brought
                if self._writer is not None:
                    self._meter.expect(expected + window.content + max(0, left))
                self._do(window)
                expected += window.content
                self.tally.add(window.tally)

    def _do(self, window: Window) -> None:
        self._linker.begin()
        if self._writer is not None:
            self._writer.write(window)
            return
        self._linker.settle(window, window.links)
        self._meter.add(entries=window.tally.counts["files"])
        for path, error in window.failed:
            self._failures.add(path, error)


class _OpenFiles:
    """The files of several segments that are being written: many are begun at once, and few of them are open.

    Whoever takes one holds its guard; what nobody has taken may be closed, and is opened again by its name.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: OrderedDict[int, File] = OrderedDict()
        self._guard = threading.Lock()

    def take(self, file: File) -> int:
        """Return the descriptor of *file*, which stays open until it is given back."""
        with self._guard:
            self._idle.pop(id(file), None)
        if file.descriptor < 0 and file.temporary:
            file.descriptor = self._target.reopen_file(file.entry.path, file.temporary)
        elif file.descriptor < 0:
            file.descriptor, file.temporary = self._target.start_file(file.entry.path)
        return file.descriptor

    @contextmanager
    def lent(self, file: File) -> Iterator[int]:
        """Lend the descriptor of *file* for as long as the block lasts."""
        descriptor = self.take(file)
        try:
            yield descriptor
        finally:
            with self._guard:
                self._idle[id(file)] = file
                if len(self._idle) > _OPEN_FILES:
                    self._close(self._idle.popitem(last=False)[1])

    def drop(self, file: File) -> None:
        """Forget *file*, which could not be completed."""
        with self._guard:
            self._idle.pop(id(file), None)
        descriptor, file.descriptor = file.descriptor, -1
        if file.temporary:
            self._target.drop_file(file.entry.path, descriptor, file.temporary)

    @staticmethod
    def _close(file: File) -> None:
        descriptor, file.descriptor = file.descriptor, -1
        try:
            os.close(descriptor)
        except OSError as error:  # a network's file system may tell only now what it could not write
            file.failure = file.failure or as_told(error)


class _Writer:
    """Writes what windows say; what cannot be had is noted, and costs nothing else."""

    def __init__(
        self,
        target: Target,
        linker: Linker,
        failures: Failures,
        fetcher: Fetcher,
        meter: Meter,
        *,
        spares_obstacles: bool,
    ) -> None:
        self._target = target
        self._linker = linker
        self._failures = failures
        self._fetcher = fetcher
        self._meter = meter
        self._spares_obstacles = spares_obstacles
        self._open_files = _OpenFiles(target)
        self._window = Window()
        self._obstacles: set[bytes] = set()
        self._threatened: set[bytes] = set()
        self._no_more: OSError | None = None
        self._counting = threading.Lock()
        self._completed = 0
        self._has_root = False

    def write(self, window: Window) -> None:
        """Do what *window* says, or raise where the target takes nothing more."""
        self._window = window
        try:
            self._drain()
            self._expect()
            self._write_contents()
            if not self._is_over():
                self._make_specials()
            self._dress_directories(window.left)
            self._drain()
        except BaseException:
            self._fetcher.end()
            self._leave_nothing_unfinished((*window.left, *reversed(window.entered)))
            raise
        if self._no_more is not None:
            self._give_up(self._no_more)

    def _expect(self) -> None:
        for path, is_replacing in self._window.expected:
            self._target.expect_directory(path, replacing=is_replacing)
            if is_replacing:
                self._obstacles.add(path)
        if self._window.has_work and not self._has_root:
            self._has_root = True
            with told_as(f"The target {self._target.root} cannot be used"):
                self._target.make_directory(b"/")

    def _write_contents(self) -> None:
        window, links = self._window, self._window.links
        while (window.wanted or window.empty or window.dressed or links) and not self._is_over():
            wanted, window.wanted = window.wanted, {}
            if wanted:
                self._fetcher.fetch(wanted, self)
            self._spare_obstacles()
            empty, window.empty = window.empty, []
            for file in empty:
                self._complete(file)
            dressed, window.dressed = window.dressed, []
            for entry in dressed:
                with window.attempt(entry.path):
                    self._target.dress(entry)
            links = self._linker.settle(window, links)
            self._drain()

    def _make_specials(self) -> None:
        self._spare_obstacles()
        for entry in self._window.specials:
            with self._window.attempt(entry.path):
                self._target.make_special(entry)

    def _dress_directories(self, directories: list[OpenDirectory]) -> None:
        """Make the directories of which nothing follows any more, if they are not there yet, and dress them."""
        for directory in directories:
            path = directory.entry.path
            with self._window.attempt(path):
                if directory.is_new and not directory.is_above and not self._is_over():
                    self._target.make_expected(path)
                if directory.needs_dress and not (directory.is_above and not self._target.is_there(path)):
                    self._target.dress(directory.entry)
            self._target.forget_directory(path)
            self._obstacles.discard(path)

    # -- what goes wrong

    def _is_over(self) -> bool:
        return self._no_more is not None

    def _take_no_more(self, error: OSError) -> None:
        """Learn that the target takes nothing more."""
        self._no_more = self._no_more or error
        self._fetcher.stop()

    def _drain(self) -> None:
        """Take note of what has failed in the window."""
        failed, self._window.failed = self._window.failed, []
        for path, error in failed:
            self._fail(path, error)

    def _fail(self, path: bytes, error: OSError | BackupError) -> None:
        """Note that *path* cannot be had; a target that takes nothing more is told once and for all."""
        no_more = as_no_more(error)
        if no_more is not None:
            self._take_no_more(no_more)
            return
        self._failures.add(path, error)
        above = path
        while self._obstacles and above:
            if above in self._obstacles:
                self._threatened.add(above)
                return
            above = above.rpartition(b"/")[0]

    def _spare_obstacles(self) -> None:
        """Let stand what still stands in the way of a directory, where something is missing that belongs below it."""
        spared = self._obstacles if self._spares_obstacles else self._threatened & self._obstacles
        for path in spared:
            self._target.expect_directory(path, replacing=False)
        self._threatened.clear()

    def _give_up(self, error: OSError) -> t.NoReturn:
        """Leave nothing unfinished where the target takes nothing more, and say what it has."""
        self._leave_nothing_unfinished(reversed(self._window.entered))
        raise told_no_more(self._target.root, error, self._completed, self._failures) from error

    def _leave_nothing_unfinished(self, directories: Iterable[OpenDirectory]) -> None:
        """Drop what is not complete, and give *directories* what belongs to them: nothing more comes."""
        for file in self._window.files:
            if not file.is_done:
                with suppress(OSError, LocalError):
                    self._open_files.drop(file)
        for directory in directories:
            if directory.needs_dress:
                with suppress(OSError, LocalError):
                    self._target.dress(directory.entry)

    # -- content

    def put(self, piece: Piece, content: memoryview) -> None:
        """Write a segment into its file, which gets its name once all of them are there."""
        file = self._window.files[piece.owner]
        failure: OSError | BackupError | None = None
        try:
            with file.guard, self._open_files.lent(file) as descriptor:
                for stretch, position in file.stretches(content, piece.position):
                    write_all(descriptor, stretch, position)
        except (OSError, LocalError) as error:
            failure = error
        self._account(file, failure)
        self._meter.add(len(content))

    def fail(self, piece: Piece, reason: BackupError) -> None:
        """Learn that a segment cannot be had."""
        self._account(self._window.files[piece.owner], reason)

    def _account(self, file: File, failure: OSError | BackupError | None) -> None:
        """Count a segment as dealt with; the last one completes the file, or gives it up."""
        with file.guard:
            self._note(file, failure)
            file.missing -= 1
            is_last = file.missing == 0
        if is_last:
            self._complete(file)

    def _note(self, file: File, failure: OSError | BackupError | None) -> None:
        no_more = as_no_more(failure)
        if no_more is not None:
            self._take_no_more(no_more)
        if failure is not None:
            file.failure = file.failure or as_told(failure)

    def _complete(self, file: File) -> None:
        try:
            if file.failure is None:
                descriptor = self._open_files.take(file)
                file.descriptor = -1
                self._target.finish_file(file.entry, descriptor, file.temporary)
                with self._counting:
                    self._completed += 1
                file.is_done = True
                if not self._meter.is_silent:
                    self._meter.add(entries=1, item=path_text(file.entry.path))
        except (OSError, LocalError) as error:
            self._note(file, error)
        file.is_done = True
        if file.failure is not None:
            with suppress(OSError, LocalError):
                self._open_files.drop(file)
            with self._counting:
                self._window.tally.take_back_file(file.entry.path, file.entry.size)
            if not self._is_over():
                self._fail(file.entry.path, file.failure)
