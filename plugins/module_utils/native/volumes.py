# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: tar members packed into frames, frames strung into volumes that are uploaded while they grow.

Source: ``docs/format.md``, section 2. A volume's frames stay in memory until the storage has confirmed it, so that a
broken upload starts again at the first one.
"""

from __future__ import annotations

import threading
import time
import typing as t
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from ..errors import AbandonedError
from . import tar
from .entries import Entry, Place

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage import Buffer

VOLUME_SIZE = 32 * 1024 * 1024
FRAME_SIZE = 1024 * 1024
SEGMENT_SIZE = 4 * 1024 * 1024
WHOLE_FILE_LIMIT = 8 * 1024 * 1024
MEMORY_BUDGET = 192 * 1024 * 1024
_START_AT = 1024 * 1024
_STALL = 5.0
_LEVEL = 1  # on source text and programs 71 MB/s and a factor of 0.49; level 3 takes a fifth longer for 0.48
_SAMPLE = 32 * 1024
_WORTH_IT = 0.9
_PIECES_SENT_ALONE = 3  # head, content and padding of one large segment; more are joined, a TLS record each is slow

SUFFIXES = {"none": ".tar", "gzip": ".tar.gz"}


class Budget:
    """Bytes that may be held in memory at one time, shared by threads."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._changed = threading.Condition()
        self._error: BaseException | None = None

    def take(self, count: int) -> None:
        """Wait until *count* bytes are free, and take them; raise what :meth:`fail` was given."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._free >= count)
            if self._error is not None:
                raise self._error
            self._free -= count

    def give(self, count: int) -> None:
        with self._changed:
            self._free += count
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Make whoever waits, or comes later, raise *error*."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()


class Frame:
    """A piece of a volume that can be fetched alone; *offset* and *length* are known once it is packed.

    Without compression that is each content by itself, known at once; what is sent as one piece is larger.
    """

    __slots__ = ("length", "offset", "pieces", "volume")

    def __init__(self, volume: Volume, offset: int = -1, length: int = -1) -> None:
        self.volume = volume
        self.offset = offset
        self.length = length
        self.pieces: list[Buffer] = []


class PendingPlace(t.NamedTuple):
    """A place whose frame may still be on its way."""

    frame: Frame
    start: int
    size: int
    digest: str

    @property
    def is_known(self) -> bool:
        return self.frame.offset >= 0

    def place(self, *, with_digest: bool) -> Place:
        frame = self.frame
        digest = self.digest if with_digest else ""
        return Place(frame.volume.name, frame.offset, frame.length, self.start, self.size, digest)


class Volume:
    """One volume of this run: frames are appended by one thread and read by another, as often as an upload needs."""

    def __init__(self, name: str, budget: Budget) -> None:
        self.name = name
        self.size = 0
        self._budget = budget
        self._changed = threading.Condition()
        self._packed: list[Frame] = []
        self._waiting: list[tuple[Frame, Future[list[Buffer]] | None]] = []
        self._is_closed = False
        self._error: BaseException | None = None
        self._held = 0

    def append(self, frame: Frame, packing: Future[list[Buffer]] | None, held: int) -> None:
        """Append *frame*, whose pieces are there, or come out of *packing*; it holds *held* bytes of the budget."""
        with self._changed:
            self._waiting.append((frame, packing))
            self._held += held
        if packing is None:
            self._settle()
        else:
            packing.add_done_callback(lambda _done: self._settle())

    def _settle(self) -> None:
        """Give their places to the frames that are packed, in order."""
        with self._changed:
            while self._waiting and (self._waiting[0][1] is None or self._waiting[0][1].done()):
                frame, packing = self._waiting.pop(0)
                if packing is not None:
                    error = packing.exception()
                    if error is not None:
                        self._error = error
                        break
                    frame.pieces = packing.result()
                frame.length = sum(len(piece) for piece in frame.pieces)
                frame.offset = self.size
                self.size += frame.length
                self._packed.append(frame)
            self._changed.notify_all()

    def wait_for(self, frame: Frame) -> None:
        """Wait until *frame* has its place; raise what stopped its producer."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or frame.offset >= 0)
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Say that no frame follows."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Make whoever reads the volume raise *error*: its producer has given up."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def chunks(self) -> Iterator[Buffer]:
        """Yield the volume's bytes, waiting for frames that are not packed yet."""
        number = 0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._has, number))
                if self._error is not None:
                    # Not the error itself: it may be one that is worth another try, and this is not.
                    raise AbandonedError("The volume was given up before it was complete.") from self._error
                if number == len(self._packed):
                    return
                frame = self._packed[number]
            yield from frame.pieces
            number += 1

    def _has(self, number: int) -> bool:
        """Tell whether it is known what the frame of this *number* is, or that there is none."""
        return self._error is not None or number < len(self._packed) or (self._is_closed and not self._waiting)

    def release(self) -> None:
        """Forget the content: the storage has it."""
        with self._changed:
            for frame in self._packed:
                frame.pieces = []
            held, self._held = self._held, 0
        self._budget.give(held)


class Packer:
    """Packs segments into frames and volumes; *start* is called with each volume that is worth uploading now.

    One thread adds; frames are compressed in threads of their own.
    """

    def __init__(
        self,
        compression: str,
        name_volume: Callable[[int], str],
        start: Callable[[Volume], None],
        budget: Budget,
        *,
        volume_size: int = VOLUME_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name_volume = name_volume
        self._start = start
        self._budget = budget
        self._volume_size = volume_size
        self._clock = clock
        self._threads = ThreadPoolExecutor(2, "pack") if compression == "gzip" else None
        self._volume: Volume | None = None
        self._is_started = False
        self._packed = 0
        self._frame: Frame | None = None
        self._frame_size = 0
        self._last_added = clock()
        self.volumes: list[Volume] = []

    def add(self, entry: Entry, content: Buffer, digest: str, part: int = 0) -> PendingPlace:
        """Append *content*, a segment of *entry* (its *part*, counted from 1, or its whole), and return its place."""
        name = entry.path.lstrip(b"/") + (b".part-%06d" % part if part else b"")
        head = tar.header(
            name,
            len(content),
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime // 10**9,
            user=entry.user,
            group=entry.group,
        )
        pad = tar.padding(len(content))
        size = len(head) + len(content) + len(pad)
        self._last_added = self._clock()
        self._budget.take(size)
        volume = self._open_volume()
        frame = self._open_frame(volume, size)
        frame.pieces += [head, content, pad]
        self._frame_size += size
        if self._threads is None:
            place = PendingPlace(Frame(volume, self._packed + len(head), len(content)), 0, len(content), digest)
        else:
            place = PendingPlace(frame, self._frame_size - len(content) - len(pad), len(content), digest)
        if self._frame_size >= FRAME_SIZE:
            self.close_frame()
        self._packed += size
        if not self._is_started and self._packed >= _START_AT:
            self._start_volume(volume)
        if self._packed >= self._volume_size:
            self.close_volume()
        return place

    def _open_volume(self) -> Volume:
        if self._volume is None:
            self._volume = Volume(self._name_volume(len(self.volumes)), self._budget)
            self.volumes.append(self._volume)
            self._is_started = False
            self._packed = 0
        return self._volume

    def _start_volume(self, volume: Volume) -> None:
        self._is_started = True
        self._start(volume)

    def _open_frame(self, volume: Volume, size: int) -> Frame:
        """Return the frame that *size* more bytes go into."""
        if self._frame is not None and self._frame_size + size > FRAME_SIZE:
            self.close_frame()
        if self._frame is None:
            self._frame = Frame(volume)
            self._frame_size = 0
        return self._frame

    def close_frame(self) -> None:
        """End the open frame and send it to be compressed, so that its places become known."""
        frame, self._frame = self._frame, None
        if frame is None:
            return
        packing = None
        if self._threads is not None:
            packing = self._threads.submit(_compressed, frame.pieces)
        elif len(frame.pieces) > _PIECES_SENT_ALONE:
            frame.pieces = [b"".join(frame.pieces)]
        frame.volume.append(frame, packing, self._frame_size)

    def close_volume(self) -> None:
        """End the open volume, if there is one."""
        self.close_frame()
        volume, self._volume = self._volume, None
        if volume is not None:
            volume.close()
            if not self._is_started:
                self._start_volume(volume)

    def tick(self) -> None:
        """End a volume that has got nothing for a while: its upload must not stand idle until the server hangs up."""
        if self._volume is not None and self._clock() - self._last_added > _STALL:
            self.close_volume()

    def give_up(self, error: BaseException) -> None:
        """End in the middle: whoever reads an unfinished volume raises *error*."""
        for volume in self.volumes:
            volume.fail(error)
        self.stop()

    def stop(self) -> None:
        """Let the threads go."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)


def _compressed(pieces: list[Buffer]) -> list[Buffer]:
    """Return *pieces* as one gzip member, stored where compressing is not worth it."""
    level = _LEVEL if _is_compressible(pieces) else 0
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    packed: list[Buffer] = [packer.compress(piece) for piece in pieces]
    packed.append(packer.flush())
    return [b"".join(packed)]


def _is_compressible(pieces: list[Buffer]) -> bool:
    """Judge by a sample of the largest piece; small frames are always compressed."""
    largest = max(pieces, key=len)
    if len(largest) < 2 * _SAMPLE:
        return True
    start = (len(largest) - _SAMPLE) // 2
    sample = bytes(memoryview(largest)[start : start + _SAMPLE])
    return len(zlib.compress(sample, 1)) < _WORTH_IT * len(sample)
