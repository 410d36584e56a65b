# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing content from a backup of cPanel: a plain archive or a directory in ranges, a packed archive in one pass.

What is wanted comes in the order in which it lies there. Neighbours make up a run, which is read in one go. Threads
read runs, and the thread that has asked for all of it is given their content.
"""

from __future__ import annotations

import itertools
import queue
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

from ..errors import BackupError, DamageError, MissingError, StorageError
from ..progress import SILENT, Meter
from .limits import KIB, MIB
from .naming import DIRECTORY, TAR_GZ
from .remote import RemoteStream
from .unpacking import Unpacked

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

    from ..storage import Path, Storage
    from ..stretches import Lose, Source, Stretch, Take
    from .remote import ByteStream

_GAP = 256 * KIB  # reading on over a gap this small is cheaper than a new transfer
_CHUNK = MIB
_RUN_SIZE, _RUN_LENGTH = 64 * MIB, 4096  # so that several connections have something to do, and memory is bounded
_TASK_LENGTH = 16  # files of a directory, whose sizes are asked for at once
_LOOK = 0.25  # seconds between two looks at threads that may have ended without a word
_UNHEARD = Meter(SILENT, "")
_CHANGED = "it is not what it was when the backup was indexed: it was changed since; run reindex"


def open_source(
    storage: Storage, path: Path, form: str, side_by_side: int, meter: Meter = _UNHEARD, *, restarts: bool = True
) -> Source:
    """Return what brings content from the backup at *path*, by so many transfers *side_by_side* as make sense.

    Where the server cannot begin in the middle of a file, that *restarts* is false makes one pass of all. *meter* is
    told what was brought, and in one pass also what was passed over for that.
    """
    if form == TAR_GZ or (form != DIRECTORY and not restarts):
        return _Bringer(lambda: _OnePass(storage, path, meter, is_packed=form == TAR_GZ), 1, meter, reads_all=True)
    task_length = _TASK_LENGTH if form == DIRECTORY else 1
    return _Bringer(lambda: _Ranges(storage, path), side_by_side, meter, task_length)


@dataclass(eq=False)
class _Run:
    """Neighbours in one volume, which are read from *begin* to *end* in one go; *failure* is why that cannot be.

    *position* is up to where that was done, and *done* how many of *stretches* were complete by then.
    """

    volume: str
    begin: int
    end: int
    stretches: list[Stretch] = field(default_factory=list)
    failure: BackupError | None = None
    position: int = 0
    done: int = 0

    @property
    def is_whole_file(self) -> bool:
        """Whether a whole file of a directory is meant: what lies in an archive begins behind a header."""
        return self.volume != "" and self.begin == 0

    def takes(self, stretch: Stretch) -> bool:
        """Tell whether *stretch* belongs to this run, and have it do so."""
        end = stretch.offset + stretch.size
        is_near = stretch.volume == self.volume and 0 <= stretch.offset - self.end <= _GAP
        is_full = end - self.begin > _RUN_SIZE or len(self.stretches) >= _RUN_LENGTH
        if not self.stretches or (is_near and not is_full):
            self.stretches.append(stretch)
            self.end = end
            return True
        return False

    def hand_out(self, chunk: memoryview, take: Take) -> int:
        """Give each stretch what the next *chunk* of the run holds of it, and return how much that was."""
        begin, end = self.position, self.position + len(chunk)
        self.position = end
        given = 0
        while self.done < len(self.stretches):
            stretch = self.stretches[self.done]
            last = stretch.offset + stretch.size
            if stretch.offset < end:
                piece = chunk[max(stretch.offset, begin) - begin : min(last, end) - begin]
                take(stretch, piece)
                given += len(piece)
            if last > end:
                break
            self.done += 1
        return given

    @property
    def left(self) -> list[Stretch]:
        """The stretches that are not complete."""
        return self.stretches[self.done :]


class _Reach(t.Protocol):
    """Reads runs; each method may be called by several threads at a time, if there are some."""

    def close(self) -> None:
        """End what may still be open; nothing is read any more."""

    def prepare(self, runs: list[_Run]) -> None:
        """Look at what can be known of *runs* before they are read."""

    def chunks(self, run: _Run) -> Generator[bytes, None, None]:
        """Yield all of *run*; an empty chunk is no end.

        Raise MissingError, or a StorageError that is final, where nothing more can be had of any run.
        """


class _Event(t.NamedTuple):
    """What a thread tells of *run*: a *chunk* of it, or that it has ended, by a *failure* perhaps."""

    run: _Run
    chunk: bytes | None
    failure: BackupError | None = None


class _Bringer:
    """Brings stretches, by threads that read *side_by_side*; each is given up to so many runs at a time."""

    def __init__(
        self,
        reach: Callable[[], _Reach],
        side_by_side: int,
        meter: Meter,
        task_length: int = 1,
        *,
        reads_all: bool = False,
    ) -> None:
        self._reach = reach
        self._side_by_side = side_by_side
        self._meter = meter
        self._task_length = task_length
        self.reads_all = reads_all

    def bring(self, stretches: Iterator[Stretch], take: Take, lose: Lose) -> None:
        with closing(self._reach()) as reach, _Crew(reach, self._side_by_side) as crew:
            for event in crew.events(_tasks(_runs(stretches), self._task_length)):
                if event.chunk is not None:
                    given = event.run.hand_out(memoryview(event.chunk), take)
                    if not self.reads_all:  # else it was told when it was read
                        self._meter.add(given)
                elif event.failure is not None:
                    if _is_final(event.failure):
                        raise event.failure
                    for stretch in event.run.left:
                        lose(stretch, event.failure)


def _is_final(error: BackupError) -> bool:
    return isinstance(error, MissingError) or (isinstance(error, StorageError) and error.is_final)


def _runs(stretches: Iterable[Stretch]) -> Iterator[_Run]:
    """Join neighbours."""
    run = None
    for stretch in stretches:
        if run is None or not run.takes(stretch):
            if run is not None:
                yield run
            run = _Run(stretch.volume, stretch.offset, stretch.offset, position=stretch.offset)
            run.takes(stretch)
    if run is not None:
        yield run


def _tasks(runs: Iterable[_Run], length: int) -> Iterator[list[_Run]]:
    """Put together what one thread is given at a time: no more than *length* runs, nor much more than a large one."""
    task: list[_Run] = []
    size = 0
    for run in runs:
        task.append(run)
        size += run.end - run.begin
        if len(task) >= length or size >= _RUN_SIZE:
            yield task
            task, size = [], 0
    if task:
        yield task


class _Crew:
    """Threads that read what they are given, a little ahead of whoever takes it."""

    def __init__(self, reach: _Reach, size: int) -> None:
        self._reach = reach
        self._size = size
        self._threads = ThreadPoolExecutor(size, "bring")
        self._numbers = itertools.count()
        self._running: dict[int, Future[None]] = {}
        # Events, and the number of each task that has ended.
        self._queue: queue.Queue[_Event | int] = queue.Queue(size + 2)
        self._is_stopped = threading.Event()

    def __enter__(self) -> _Crew:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_stopped.set()
        # Whoever waits to tell something has to be heard; what was told last may be lost where this was interrupted.
        while not all(task.done() for task in self._running.values()):
            with suppress(queue.Empty):
                self._queue.get(timeout=_LOOK)
        self._threads.shutdown()

    def events(self, tasks: Iterator[list[_Run]]) -> Iterator[_Event]:
        """Have *tasks* done and yield what comes of it: of each run in order, and of several in turn."""
        self._begin(tasks)
        while self._running:
            event = self._queue.get()
            if isinstance(event, int):
                self._running.pop(event).result()
                self._begin(tasks)
            else:
                yield event

    def _begin(self, tasks: Iterator[list[_Run]]) -> None:
        while len(self._running) < 2 * self._size:
            task = next(tasks, None)
            if task is None:
                return
            number = next(self._numbers)
            self._running[number] = self._threads.submit(self._do, number, task)

    def _do(self, number: int, task: list[_Run]) -> None:
        try:
            self._prepare(task)
            for run in task:
                if not self._is_stopped.is_set():
                    self._queue.put(_Event(run, None, run.failure or self._read(run)))
        finally:
            self._queue.put(number)

    def _prepare(self, task: list[_Run]) -> None:
        try:
            if not self._is_stopped.is_set():
                self._reach.prepare(task)
        except BackupError as error:
            for run in task:
                run.failure = error

    def _read(self, run: _Run) -> BackupError | None:
        """Tell what *run* holds, and return why there is no more of it, if that is so."""
        try:
            with closing(self._reach.chunks(run)) as chunks:
                for chunk in chunks:
                    if self._is_stopped.is_set():
                        break
                    if chunk:
                        self._queue.put(_Event(run, chunk))
        except BackupError as error:
            return error
        return None


class _Ranges:
    """Reads runs from the file *path*, or from files below the directory *path*, each by a transfer of its own."""

    def __init__(self, storage: Storage, path: Path) -> None:
        self._storage = storage
        self._path = path

    def close(self) -> None:
        """End nothing: each transfer was ended by the thread that made it."""

    def _path_of(self, run: _Run) -> Path:
        return self._path / run.volume if run.volume else self._path

    def prepare(self, runs: list[_Run]) -> None:
        """See whether files that are wanted as a whole have the size that they had."""
        whole = [run for run in runs if run.is_whole_file]
        if whole:
            for run, size in zip(whole, self._storage.sizes([self._path_of(run) for run in whole])):
                if size is None:
                    run.failure = self._missing(run)
                elif size != run.end:
                    run.failure = DamageError(_CHANGED)

    def chunks(self, run: _Run) -> Generator[bytes, None, None]:
        try:
            with RemoteStream(self._storage, self._path_of(run), run.begin, run.end - run.begin) as stream:
                left = run.end - run.begin
                while left:
                    chunk = bytes(stream.read(min(left, _CHUNK)))
                    left -= len(chunk)
                    yield chunk
        except MissingError as error:
            raise self._missing(run) from error

    def _missing(self, run: _Run) -> BackupError:
        """Return what to say of a file that is not there: all of a backup may be gone, or only that."""
        if run.volume and self._storage.has_directory(self._path):
            return DamageError("it is not in the backup any more, which was changed since it was indexed; run reindex")
        return _gone(self._path)


class _OnePass:
    """Reads runs, which come in their order, while it reads the file *path* from its beginning; for one thread.

    What goes wrong costs all that was not read by then.
    """

    def __init__(self, storage: Storage, path: Path, meter: Meter, *, is_packed: bool) -> None:
        self._storage = storage
        self._path = path
        self._meter = meter
        self._is_packed = is_packed
        self._held = ExitStack()
        self._stream: ByteStream | None = None
        self._position = 0
        self._failure: BackupError | None = None

    def close(self) -> None:
        self._held.close()

    def prepare(self, runs: list[_Run]) -> None:
        """Look at nothing: the archive is all that there is."""

    def chunks(self, run: _Run) -> Generator[bytes, None, None]:
        if self._failure is not None:
            raise self._failure
        try:
            for _passed in self._pieces(run.begin):
                yield b""
            for piece in self._pieces(run.end):
                yield bytes(piece)
        except MissingError as error:
            self._failure = _gone(self._path)
            raise self._failure from error
        except DamageError as error:
            self._failure = DamageError(f"the backup is damaged before it ends: {error}")
            raise self._failure from error
        except BackupError as error:
            self._failure = error
            raise

    def _pieces(self, until: int) -> Iterator[memoryview | bytes]:
        """Yield what lies between where reading has come to and *until*."""
        stream = self._stream or self._opened()
        while self._position < until:
            wanted = min(_CHUNK, until - self._position)
            piece = stream.read(wanted)
            self._position += len(piece)
            self._meter.add(len(piece))
            yield piece
            if len(piece) < wanted:
                raise DamageError(f"it has only {self._position:,} bytes of content")

    def _opened(self) -> ByteStream:
        stream = self._held.enter_context(RemoteStream(self._storage, self._path))
        self._stream = Unpacked(stream) if self._is_packed else stream
        return self._stream


def _gone(path: Path) -> MissingError:
    return MissingError(
        f"The backup {path} is gone from the destination since it was indexed: run reindex, and choose among what there"
        " is now."
    )
