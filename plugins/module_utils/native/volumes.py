# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: tar members packed into frames, frames strung into volumes that are uploaded while they grow.

Source: ``docs/format.md``, section 2. What a volume holds is kept until the storage has confirmed it, so that a broken
upload starts again at the first frame: in memory, or in a file where volumes are too large for that.

That nothing waits for ever rests on two things. Whoever waits for memory has at most one open volume, which holds no
more than half of the budget; and all other volumes are closed, so that their uploads come to an end without anybody's
help, the oldest first, and give back what they hold.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
import threading
import time
import typing as t
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..errors import AbandonedError, LocalError, told_as
from ..private_files import make_private_directory
from . import frames, tar
from .entries import Entry, Place

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path as LocalPath

    from ..storage import Buffer

SUFFIXES = frames.SUFFIXES
VOLUME_SIZE = 32 * 1024 * 1024
FRAME_SIZE = 1024 * 1024
MEMORY_BUDGET = 192 * 1024 * 1024
_START_AT = 1024 * 1024
_STALL = 5.0
_LOOK = 0.25
_PACKERS = 2
_TO_PACK = 8  # the part of the budget that may wait to be packed: of 192 MiB, one large segment beside those at work
_IN_FLIGHT = 4  # volumes of which not as many fit into memory are spooled, and no more than these at a time
_SLAB_SIZE = 1024 * 1024
_READ_SIZE = 256 * 1024
_CLOSED = -1
_PIECES_STORED_ALONE = 3  # head, content and padding of one large segment; many small ones are faster joined


class Budget:
    """How much may be held at one time, shared by threads: bytes in memory, where nothing else is said."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._beside: list[Budget] = []

    def beside(self, size: int) -> Budget:
        """Return another budget, which fails when this one does."""
        other = Budget(size)
        self._beside.append(other)
        return other

    def take(self, count: int, patience: float | None = None) -> bool:
        """Wait until *count* is free, and take it; raise what :meth:`fail` was given.

        Where nothing is taken, more than there is may be. After *patience* seconds, give it up and tell so.
        """
        with self._changed:
            is_free = self._changed.wait_for(partial(self._is_free, count), patience)
            if self._error is not None:
                raise self._error
            if is_free:
                self._free -= count
            return is_free

    def _is_free(self, count: int) -> bool:
        return self._error is not None or self._free >= min(count, self.size)

    def give(self, count: int) -> None:
        """Give *count* back; less than nothing is taken, without a wait."""
        with self._changed:
            self._free += count
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Make whoever waits, or comes later, raise *error*."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
        for other in self._beside:
            other.fail(error)


class Frame:
    """A piece of a volume that can be fetched alone; *offset* and *length* are known once it is packed.

    Without compression that is each content by itself, known at once; what is sent as one piece is larger.
    """

    __slots__ = ("length", "offset", "volume")

    def __init__(self, volume: Volume, offset: int = -1, length: int = -1) -> None:
        self.volume = volume
        self.offset = offset
        self.length = length


class _Parcel(Frame):
    """A frame on its way: its *pieces* before and after it *is_packed*, and how much memory is *reserved* for it."""

    __slots__ = ("is_packed", "pieces", "reserved")

    def __init__(self, volume: Volume, reserved: int) -> None:
        super().__init__(volume)
        self.pieces: list[Buffer] = []
        self.reserved = reserved
        self.is_packed = False


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


class _Store(t.Protocol):
    """Where the bytes of one volume are kept: one thread appends, others read what is there already."""

    def append(self, pieces: list[Buffer]) -> int:
        """Keep *pieces*, and return how many bytes of memory that takes."""

    def read(self, start: int, end: int) -> Iterator[Buffer]:
        """Yield the bytes from *start* to *end*; between two calls of :meth:`append` lies each of them."""

    def close(self) -> None:
        """Forget all; nobody reads any more."""


class _Slabs:
    """Keeps in memory copies of what it is given, in pieces of one size that serve one volume after another.

    What comes has all sizes. Keeping that as it is scatters the memory so much that it takes up to twice as much of it,
    and every page that is new costs more time than the copy.
    """

    def __init__(self, idle: list[mmap.mmap]) -> None:
        self._idle = idle
        self._slabs: list[mmap.mmap] = []
        self._size = 0

    def append(self, pieces: list[Buffer]) -> int:
        before = len(self._slabs)
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                start = self._size % _SLAB_SIZE
                if start == 0:
                    self._slabs.append(self._slab())
                part = rest[: _SLAB_SIZE - start]
                self._slabs[-1][start : start + len(part)] = part
                self._size += len(part)
                rest = rest[len(part) :]
        return (len(self._slabs) - before) * _SLAB_SIZE

    def _slab(self) -> mmap.mmap:
        try:
            return self._idle.pop()
        except IndexError:
            return mmap.mmap(-1, _SLAB_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def read(self, start: int, end: int) -> Iterator[Buffer]:
        while start < end:
            number, first = divmod(start, _SLAB_SIZE)
            piece = memoryview(self._slabs[number])[first : first + end - start]
            yield piece
            start += len(piece)

    def close(self) -> None:
        self._idle.extend(self._slabs)
        self._slabs = []


class _Spool:
    """Keeps what it is given in a file of *directory* that has no name, so that nothing of it outlives the process.

    There may be as many at a time as *places* has.
    """

    def __init__(self, directory: LocalPath, places: Budget) -> None:
        self._deed = f"Cannot keep a volume in {directory} until it is uploaded"
        self._places = places
        self._descriptor = _CLOSED
        make_private_directory(directory)
        with told_as(self._deed), tempfile.TemporaryFile(buffering=0, dir=directory) as file:
            self._descriptor = os.dup(file.fileno())

    def append(self, pieces: list[Buffer]) -> int:
        with told_as(self._deed):
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        return 0

    def read(self, start: int, end: int) -> Iterator[Buffer]:
        while start < end:
            with told_as(self._deed):
                piece = os.pread(self._descriptor, min(_READ_SIZE, end - start), start)
            if not piece:
                raise LocalError(f"{self._deed}: it is shorter than it was.")
            yield piece
            start += len(piece)

    def close(self) -> None:
        self._forget()
        self._places.give(1)

    def __del__(self) -> None:
        # Where work is given up, others may still read: whoever is the last to let go closes it.
        self._forget()

    def _forget(self) -> None:
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)


class Volume:
    """One volume of this run: frames are appended by one thread and read by another, as often as an upload needs.

    *content* is how many bytes of content are in its segments, and *checksum* the CRC-32 of what is there so far.
    """

    def __init__(self, name: str, budget: Budget, store: _Store, *, has_digest: bool = False) -> None:
        self.name = name
        self.size = 0
        self.content = 0
        self.checksum = 0
        self.is_released = False
        self._budget = budget
        self._store = store
        self._hash = hashlib.sha256() if has_digest else None
        self._changed = threading.Condition()
        self._waiting: deque[_Parcel] = deque()
        self._is_settling = False
        self._is_closed = False
        self._starving = 0
        self._error: BaseException | None = None
        self._held = 0

    @property
    def held(self) -> int:
        """How many bytes of memory are taken for it."""
        return self._held

    @property
    def is_starved(self) -> bool:
        """Whether somebody waits for more of it."""
        return self._starving > 0

    @property
    def has_digest(self) -> bool:
        """Whether it has a digest once it is complete."""
        return self._hash is not None

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes in hex, once it is complete."""
        if self._hash is None or not self._is_complete():
            raise AssertionError("whoever wants a digest asks for it before, and waits for the end")
        return self._hash.hexdigest()

    def hold(self, count: int) -> None:
        """Count *count* more bytes of the budget as held by the volume."""
        with self._changed:
            self._held += count

    def shrink(self, parcel: _Parcel) -> None:
        """Give back what *parcel* no longer takes now that it is packed: its turn may come much later."""
        size = sum(map(len, parcel.pieces))
        spared, parcel.reserved = parcel.reserved - size, size
        self.hold(-spared)
        self._budget.give(spared)

    def append(self, parcel: _Parcel) -> None:
        """Let *parcel* be the next frame; :meth:`settle` follows."""
        with self._changed:
            self._waiting.append(parcel)

    def settle(self, parcel: _Parcel) -> None:
        """Take in *parcel*, which is packed, and what waited for it; another thread may be doing just that."""
        parcel.is_packed = True
        with self._changed:
            if self._is_settling:
                return
            self._is_settling = True
        while (parcel_in_turn := self._in_turn()) is not None:
            self._store_frame(parcel_in_turn)

    def _in_turn(self) -> _Parcel | None:
        """Return the next frame if it is packed, or leave the settling to whoever comes next."""
        with self._changed:
            if self._waiting and self._waiting[0].is_packed and self._error is None:
                return self._waiting[0]
            self._is_settling = False
            return None

    def _store_frame(self, parcel: _Parcel) -> None:
        pieces, parcel.pieces = parcel.pieces, []
        for piece in pieces:
            self.checksum = zlib.crc32(piece, self.checksum)
            if self._hash is not None:
                self._hash.update(piece)
        taken = self._store.append(pieces) - parcel.reserved
        with self._changed:
            self._waiting.popleft()
            parcel.length = sum(map(len, pieces))
            parcel.offset = self.size
            self.size += parcel.length
            self._held += taken
            self._changed.notify_all()
        self._budget.give(-taken)

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
        position = 0
        while True:
            with self._changed:
                self._starving += 1
                self._changed.wait_for(partial(self._has_more_than, position))
                self._starving -= 1
                end = self.size
            self._require_going_on()
            if position == end:
                return
            for piece in self._store.read(position, end):
                self._require_going_on()  # what is there already may be a lot, and the connection slow
                yield piece
            position = end

    def _require_going_on(self) -> None:
        if self._error is not None:
            # Not the error itself: it may be one that is worth another try, and this is not.
            raise AbandonedError("The volume was given up before it was complete.") from self._error

    def _has_more_than(self, position: int) -> bool:
        """Tell whether it is known what comes at *position*, or that there is nothing."""
        return self._error is not None or self.size > position or self._is_complete()

    def _is_complete(self) -> bool:
        return self._is_closed and not self._waiting

    def release(self) -> None:
        """Forget the content: the storage has it."""
        with self._changed:
            self.is_released = True
            held, self._held = self._held, 0
        self._store.close()
        self._budget.give(held)


class PackedVolume(t.NamedTuple):
    """How large a volume is: in bytes as it is stored, whose CRC-32 *checksum* is, and in bytes of its content."""

    name: str
    size: int
    content: int
    checksum: int


class Packer:
    """Packs segments into frames and volumes; *start* is called with each volume that is worth uploading now.

    One thread adds; frames are packed in threads of their own. Volumes of which only a few fit into memory are kept in
    the directory *spool* until they are uploaded; without one, they end before they hold too much of it.
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
        spool: LocalPath | None = None,
        with_digests: bool = False,
    ) -> None:
        self._codec = frames.codec_of(compression)
        self._is_plain = compression == "none"
        self._name_volume = name_volume
        self._start = start
        self._budget = budget
        self._volume_size = volume_size
        self._clock = clock
        self._spool = spool if volume_size * _IN_FLIGHT > budget.size else None
        self._with_digests = with_digests
        has_work = not self._is_plain or with_digests or self._spool is not None
        self._threads = ThreadPoolExecutor(_PACKERS, "pack") if has_work else None
        # A third is for what is unpacked, for the copies while it is packed, and for what gets lost between blocks.
        self._stored = budget.beside(budget.size * 2 // 3) if has_work else budget
        self._unpacked = budget.beside(budget.size // _TO_PACK)
        self._spooled = budget.beside(_IN_FLIGHT)
        self._idle: list[mmap.mmap] = []
        self._volume: Volume | None = None
        self._is_started = False
        self._packed = 0
        self._parcel: _Parcel | None = None
        self._frame_size = 0
        self._last_added = clock()
        self._unfinished: list[Volume] = []
        self._finished: list[PackedVolume] = []
        self.content = 0

    @property
    def volumes(self) -> list[PackedVolume]:
        """All volumes so far; those that are still packed may grow."""
        return [*self._finished, *map(_facts, self._unfinished)]

    def add(self, entry: Entry, content: Buffer, digest: str, part: int = 0) -> PendingPlace:
        """Append *content*, a segment of *entry* (its *part*, counted from 1, or its whole), and return its place.

        Content that is not bytes may change once this returns.
        """
        length = len(content)
        name = entry.path.lstrip(b"/")
        if part:
            name += (b".sparse-%06d" if entry.extents else b".part-%06d") % part
        head = tar.header(
            name,
            length,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime // 10**9,
            user=entry.user,
            group=entry.group,
        )
        size = len(head) + length + -length % tar.BLOCK
        self._last_added = self._clock()
        parcel = self._parcel
        if parcel is None or self._frame_size + size > FRAME_SIZE:
            parcel = self._open_frame(size)
        volume = parcel.volume
        pieces = (head, content, tar.padding(length))
        if isinstance(content, bytes) or (self._threads is None and self._frame_size + size >= FRAME_SIZE):
            parcel.pieces += pieces  # if not bytes, they are stored before this call returns
        else:
            parcel.pieces.append(b"".join(pieces))
        if self._is_plain:
            place = PendingPlace(Frame(volume, self._packed + len(head), length), 0, length, digest)
        else:
            place = PendingPlace(parcel, self._frame_size + len(head), length, digest)
        self._frame_size += size
        self._packed += size
        volume.content += length
        self.content += length
        if self._frame_size >= FRAME_SIZE:
            self.close_frame()
        if not self._is_started and self._packed >= _START_AT:
            self._start_volume(volume)
        if self._packed >= self._volume_size:
            self.close_volume()
        return place

    def _open_frame(self, size: int) -> _Parcel:
        """Begin the frame that *size* more bytes go into."""
        self.close_frame()
        reserved = max(size, FRAME_SIZE)
        self._reserve(reserved)
        volume = self._open_volume()
        volume.hold(reserved)
        self._frame_size = 0
        self._parcel = _Parcel(volume, reserved)
        return self._parcel

    def _reserve(self, count: int) -> None:
        """Wait until *count* bytes may be held; see the top of this file why that comes to an end."""
        if self._volume is not None and self._spool is None and self._volume.held + count > self._stored.size // 2:
            self.close_volume()
        if self._threads is not None:
            self._unpacked.take(count)
        while not self._stored.take(count, _LOOK):
            if self._volume is not None and self._volume.is_starved and self._has_stalled():
                self.close_volume()

    def _open_volume(self) -> Volume:
        if self._volume is None:
            self._finished += [_facts(volume) for volume in self._unfinished if volume.is_released]
            self._unfinished = [volume for volume in self._unfinished if not volume.is_released]
            name = self._name_volume(len(self._finished) + len(self._unfinished))
            self._volume = Volume(name, self._stored, self._store(), has_digest=self._with_digests)
            self._unfinished.append(self._volume)
            self._is_started = False
            self._packed = 0
        return self._volume

    def _store(self) -> _Store:
        if self._spool is not None:
            self._spooled.take(1)
            return _Spool(self._spool, self._spooled)
        return _Slabs(self._idle)

    def _start_volume(self, volume: Volume) -> None:
        self._is_started = True
        self._start(volume)

    def close_frame(self) -> None:
        """End the open frame and send it to be packed, so that its places become known."""
        parcel, self._parcel = self._parcel, None
        if parcel is None:
            return
        parcel.volume.append(parcel)
        if self._threads is not None:
            self._threads.submit(self._pack, parcel)
        else:
            self._join(parcel)
            parcel.volume.settle(parcel)

    def _pack(self, parcel: _Parcel) -> None:
        """Pack *parcel* and take it in: the work of one thread."""
        try:
            unpacked = parcel.reserved
            self._join(parcel)
            parcel.volume.shrink(parcel)
            self._unpacked.give(unpacked)
            parcel.volume.settle(parcel)
        except BaseException as error:
            self._budget.fail(error)
            parcel.volume.fail(error)
            raise

    def _join(self, parcel: _Parcel) -> None:
        """Make as few pieces of those of *parcel* as is worth it, packed."""
        if not self._is_plain or len(parcel.pieces) > _PIECES_STORED_ALONE:
            content = b"".join(parcel.pieces)
            parcel.pieces.clear()  # not only once it is packed: there are enough copies of it
            parcel.pieces += self._codec.pack(content)

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
        if self._volume is not None and self._has_stalled():
            self.close_volume()

    def _has_stalled(self) -> bool:
        return self._clock() - self._last_added > _STALL

    def give_up(self, error: BaseException) -> None:
        """End in the middle: whoever reads an unfinished volume raises *error*."""
        for volume in self._unfinished:
            volume.fail(error)
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """Let the threads go, once they have packed everything."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)


def _facts(volume: Volume) -> PackedVolume:
    return PackedVolume(volume.name, volume.size, volume.content, volume.checksum)
