# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving volumes: every byte is what a backup wrote there, as far as anything tells what that was.

Source: ``docs/format.md``, section 2; gzip: RFC 1952; zstd: RFC 8878. A volume is read once from its beginning to its
end. What manifests name is proved by its digest; everything else by the checksums of its frames and tar headers. Of
content in a volume without compression that nothing names, nobody knows any more what it was.
"""

from __future__ import annotations

import hashlib
import struct
import typing as t
import zlib
from contextlib import ExitStack, suppress

from ..errors import AbandonedError, DamageError, InterruptedTransferError, MissingError, RefusedError, StorageError
from . import tar
from .frames import UNPACKED_LIMIT, unpack

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from ..storage import Path, Reader, Storage

    Take = Callable[[int], bytes]

_PIECE = 256 * 1024
_ATTEMPTS = 4
_LOSSES = 3  # so many places in one volume are tried; each takes all attempts
_NAME_LIMIT = 64 * 1024
_GZIP = 31  # zlib's window bits for a gzip member
_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\x04"  # no flags, no time, and what zlib says of its levels 0 and 1
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HAS_CHECKSUM, _UNUSED = 0x04, 0x10  # bits of a zstd frame's descriptor
_RUN_LENGTH = 1  # a type of blocks
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")


class Segment(t.NamedTuple):
    """Content in a frame: *size* bytes from *start* on, once it is unpacked; *digest* is their SHA-256 in hex."""

    start: int
    size: int
    digest: str


class Frame(t.NamedTuple):
    """A frame, as places name it, with the segments in it that are named."""

    offset: int
    length: int
    segments: tuple[Segment, ...]


class Flaw(t.NamedTuple):
    """What is wrong with *length* bytes from *offset* on; without a length, with the volume as a whole.

    One that is *costly* is a frame with content that is lost, all of it or the segments at *starts*. Any other costs
    no content that is named.
    """

    offset: int
    length: int
    problem: str
    is_costly: bool
    starts: tuple[int, ...] = ()


class LostBytesError(DamageError):
    """Bytes of a volume do not come, though the server answers."""


class Source:
    """The bytes of the volume *path* in order, from one transfer unless it breaks.

    *is_over* tells when nobody wants them any more, and *tell* is told of each piece how many there are in it.
    """

    def __init__(
        self,
        storage: Storage,
        path: Path,
        is_over: Callable[[], bool] = lambda: False,
        tell: Callable[[int], object] = lambda _count: None,
    ) -> None:
        self._storage = storage
        self._path = path
        self._is_over = is_over
        self._tell = tell
        self._transfer = ExitStack()
        self._reader: Reader | None = None
        self._ahead = b""
        self.position = 0
        self.received = 0
        self._checksum = 0
        self._is_without_gap = True
        self.losses = 0
        self.refusal: StorageError | None = None

    def close(self) -> None:
        """End the transfer; what the server says to that decides nothing."""
        self._reader = None
        with suppress(StorageError):
            self._transfer.close()

    def pieces(self, count: int) -> Iterator[bytes]:
        """Yield the next *count* bytes; raise LostBytesError where they do not come."""
        while count > 0:
            if self._ahead:
                piece, self._ahead = self._ahead[:count], self._ahead[count:]
            else:
                piece = self._read(min(count, _PIECE))
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def take(self, count: int) -> bytes:
        return b"".join(self.pieces(count))

    def give_back(self, rest: bytes) -> None:
        """Have *rest*, which was taken last, come once more."""
        self._ahead = rest + self._ahead
        self.position -= len(rest)

    def jump_to(self, offset: int) -> None:
        """Go on at *offset*, whatever lies before it."""
        if offset != self.position:
            self._is_without_gap = False
            self.close()
            self._ahead = b""
            self.position = offset

    def can_have(self, checksum: int) -> bool:
        """Tell whether *checksum* can be that of all that was read, if that was everything."""
        return self._checksum == checksum or not self._is_without_gap

    def _read(self, count: int) -> bytes:
        failed = 0
        while not self._is_over():
            try:
                if self._reader is None:
                    self._reader = self._transfer.enter_context(self._storage.open(self._path, self.position))
                view = self._reader.read(count)
            except StorageError as error:
                self.close()
                failed += 1
                self._require_worth(error, failed)
                continue
            self.received += len(view)
            self._checksum = zlib.crc32(view, self._checksum)
            if not view:
                self.losses = _LOSSES
                raise LostBytesError(f"it ends at byte {self.position:,}")
            self._tell(len(view))
            return bytes(view)
        raise AbandonedError("The volume is not read any further: the verification was broken off.")

    def _require_worth(self, error: StorageError, failed: int) -> None:
        """Raise what comes of *error* unless another attempt may help.

        A connection that breaks may be anybody's fault. That these bytes cannot be read is only what the server says.
        """
        if error.is_final or isinstance(error, MissingError):
            raise error
        if not isinstance(error, RefusedError) and failed < _ATTEMPTS:
            return
        is_told = isinstance(error, InterruptedTransferError) and error.code is not None
        if not (is_told or isinstance(error, RefusedError)):
            raise error
        self.losses += 1
        self.refusal = error
        raise LostBytesError(f"it cannot be read at byte {self.position:,}: {error}") from error


class Volume(t.NamedTuple):
    """What is told of a volume: its *name* and size, and the CRC-32 of its bytes, 0 if that is not known."""

    name: str
    size: int
    checksum: int = 0


def prove_volume(
    source: Source, volume: Volume, frames: Iterable[Frame], systems: Collection[int] = (3,)
) -> Iterator[Flaw]:
    """Yield what is wrong with *volume*, of which *frames* are named, in order.

    *systems* are the numbers of systems that stand in gzip headers of the hosts that wrote it; 3 is Unix.
    """
    is_right = True
    for flaw in _flaws(source, volume.name, volume.size, frames, systems):
        is_right = False
        yield flaw
    if is_right and volume.checksum and not source.can_have(volume.checksum):
        yield Flaw(0, 0, "its bytes are not those that were stored, though its content is", is_costly=False)


def _flaws(source: Source, name: str, size: int, frames: Iterable[Frame], systems: Collection[int]) -> Iterator[Flaw]:
    """Yield what is wrong with frames and headers."""
    contents: _Contents
    if name.endswith(".tar"):
        contents = _Plain(source, size)
    elif name.endswith((".tar.gz", ".tar.zst")):
        contents = _Packed(source, name, size, _Gzip(systems) if name.endswith(".gz") else _Zstd())
    else:
        yield Flaw(0, 0, "it is packed in a way that this version does not know", is_costly=True)
        return
    reason = ""
    for frame in frames:
        if source.losses >= _LOSSES:
            yield Flaw(frame.offset, frame.length, reason, is_costly=True)
            continue
        if frame.offset < source.position:
            yield Flaw(frame.offset, frame.length, "manifests tell that it begins within another", is_costly=True)
            continue
        for flaw in contents.before(frame):
            reason = flaw.problem
            yield flaw
        if source.losses >= _LOSSES:
            yield Flaw(frame.offset, frame.length, reason, is_costly=True)
            continue
        for flaw in contents.prove(frame):
            reason = flaw.problem
            yield flaw
    if source.losses < _LOSSES:
        yield from contents.rest()


class _Contents(t.Protocol):
    """What lies in a volume, frame by frame."""

    def before(self, frame: Frame) -> Iterator[Flaw]:
        """Yield what is wrong with what lies before *frame* and was not looked at yet."""

    def prove(self, frame: Frame) -> Iterator[Flaw]:
        """Yield what is wrong with *frame*."""

    def rest(self) -> Iterator[Flaw]:
        """Yield what is wrong with what lies behind all that is named."""


# -- tar


def _read_header(take: Take) -> int:
    """Read what stands before the content of a member, and return how long that is.

    It must be, to the byte, what is written for what it says; else ValueError is raised.
    """
    raw = take(tar.BLOCK)
    fields = _HEADER.unpack(raw)
    name = fields[0].split(b"\0", 1)[0]
    if fields[7] == b"L":
        length = _number(fields[4])
        if not 1 < length <= _NAME_LIMIT:
            raise ValueError("a name that is too long")
        name = take(length + len(tar.padding(length)))[:length]
        block = take(tar.BLOCK)
        fields = _HEADER.unpack(block)
        raw += name + tar.padding(length) + block
        name = name[:-1]
    size = _number(fields[4])
    mode, uid, gid, mtime = _number(fields[1]), _number(fields[2]), _number(fields[3]), _number(fields[5])
    user, group = _text(fields[10]), _text(fields[11])
    if raw != tar.header(name, size, mode=mode, uid=uid, gid=gid, mtime=mtime, user=user, group=group):
        raise ValueError("a header that nobody has written")
    return size


def _number(field: bytes) -> int:
    """Return a number in octal or in GNU's base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big", signed=True)
    return int(field.rstrip(b"\0"), 8)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _require_zeros(padding: bytes) -> None:
    if padding.strip(b"\0"):
        raise ValueError("padding that is not empty")


class _Plain:
    """A tar stream as it is: each frame is the content of a member."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._size = size

    def before(self, frame: Frame) -> Iterator[Flaw]:
        return self._members_before(frame.offset, frame.length)

    def rest(self) -> Iterator[Flaw]:
        return self._members_before(self._size, None)

    def _members_before(self, until: int, length: int | None) -> Iterator[Flaw]:
        """Prove the members before byte *until*, and the header of the content there, if that has a *length*."""
        source = self._source
        begin = source.position
        try:
            is_announced = length is None
            while source.position < until:
                begin = source.position
                size = _read_header(source.take)
                is_announced = source.position == until and size == length
                if is_announced:
                    break
                padding = len(tar.padding(size))
                if source.position + size + padding > until:
                    raise ValueError("a member that goes on into another")
                for _piece in source.pieces(size):
                    pass
                _require_zeros(source.take(padding))
                is_announced = length is None
            if not is_announced:
                raise ValueError("content without a header")
        except (ValueError, LostBytesError) as error:
            problem = str(error) if isinstance(error, LostBytesError) else "a tar header there is not as it was written"
            yield Flaw(begin, until - begin, problem, is_costly=False)
            source.jump_to(until)

    def prove(self, frame: Frame) -> Iterator[Flaw]:
        source = self._source
        digest = hashlib.sha256()
        padding = frame.offset + frame.length
        end = padding + len(tar.padding(frame.length))
        try:
            for piece in source.pieces(frame.length):
                digest.update(piece)
        except LostBytesError as error:
            yield Flaw(frame.offset, frame.length, str(error), is_costly=True)
            source.jump_to(end)
            return
        found = Segment(0, frame.length, digest.hexdigest())
        if any(segment != found for segment in frame.segments):
            yield Flaw(frame.offset, frame.length, "the content there is not what was stored", is_costly=True)
        try:
            _require_zeros(source.take(end - padding))
        except (ValueError, LostBytesError):
            yield Flaw(padding, end - padding, "the padding there is not as it was written", is_costly=False)
            source.jump_to(end)


# -- frames


class _Packing(t.Protocol):
    """How the frames of a volume are packed."""

    def next(self, source: Source, until: int) -> bytes:
        """Return the frame that begins here and ends at byte *until* at the latest, or raise DamageError."""

    def is_odd(self, stored: bytes) -> bool:
        """Tell whether no backup writes the header of the frame *stored*, though it can be unpacked."""


class _Packed:
    """A sequence of frames, each of which holds whole members of the tar stream."""

    def __init__(self, source: Source, name: str, size: int, packing: _Packing) -> None:
        self._source = source
        self._name = name
        self._size = size
        self._packing = packing

    def before(self, frame: Frame) -> Iterator[Flaw]:
        return self._unnamed(frame.offset)

    def rest(self) -> Iterator[Flaw]:
        return self._unnamed(self._size)

    def _unnamed(self, until: int) -> Iterator[Flaw]:
        """Prove the frames before byte *until*, in which nothing is named."""
        source = self._source
        while source.position < until:
            begin = source.position
            try:
                stored = self._packing.next(source, until)
                content = unpack(self._name, stored)
            except DamageError as error:
                yield Flaw(begin, until - begin, str(error), is_costly=False)
                source.jump_to(until)
                return
            oddity = self._oddity(stored, content)
            if oddity:
                yield Flaw(begin, source.position - begin, oddity, is_costly=False)

    def prove(self, frame: Frame) -> Iterator[Flaw]:
        try:
            stored = self._source.take(frame.length)
            content = unpack(self._name, stored)
        except DamageError as error:
            yield Flaw(frame.offset, frame.length, str(error), is_costly=True)
            self._source.jump_to(frame.offset + frame.length)
            return
        lost = tuple(sorted({segment.start for segment in frame.segments if not _is_there(segment, content)}))
        oddity = self._oddity(stored, content)
        if lost:
            yield Flaw(
                frame.offset, frame.length, "the content there is not what was stored", is_costly=True, starts=lost
            )
        elif oddity:
            yield Flaw(frame.offset, frame.length, oddity, is_costly=False)

    def _oddity(self, stored: bytes, content: memoryview) -> str:
        """Return what is wrong with a frame beside what is named in it; nothing, if it is right."""
        if self._packing.is_odd(stored):
            return "the header of the frame there is not as it was written"
        return "" if _is_tar(content) else "the tar stream in the frame there is not as it was written"


def _is_there(segment: Segment, content: memoryview) -> bool:
    return hashlib.sha256(content[segment.start : segment.start + segment.size]).hexdigest() == segment.digest


class _Cursor:
    """Takes from *content*, from its beginning on."""

    def __init__(self, content: memoryview | bytes) -> None:
        self._content = memoryview(content)
        self.position = 0

    @property
    def left(self) -> int:
        return len(self._content) - self.position

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise ValueError("the end comes too early")
        self.position += count
        return bytes(self._content[self.position - count : self.position])


def _is_tar(content: memoryview) -> bool:
    """Tell whether *content* is whole members with headers and padding as they are written."""
    cursor = _Cursor(content)
    try:
        while cursor.left:
            size = _read_header(cursor.take)
            cursor.take(size)
            _require_zeros(cursor.take(len(tar.padding(size))))
    except ValueError:
        return False
    return True


class _Gzip:
    """Gzip members."""

    def __init__(self, systems: Collection[int]) -> None:
        self._heads = [_GZIP_HEAD + bytes([system]) for system in systems]

    def next(self, source: Source, until: int) -> bytes:
        unpacker = zlib.decompressobj(_GZIP)
        stored: list[bytes] = []
        unpacked = 0
        try:
            while not unpacker.eof and source.position < until and unpacked <= UNPACKED_LIMIT:
                stored.append(source.take(min(_PIECE, until - source.position)))
                unpacked += len(unpacker.decompress(unpacker.unconsumed_tail + stored[-1], UNPACKED_LIMIT))
        except zlib.error as error:
            raise DamageError(f"a frame there cannot be unpacked ({error})") from error
        if not unpacker.eof:
            raise DamageError("a frame there does not end")
        rest = unpacker.unused_data
        source.give_back(rest)
        frame = b"".join(stored)
        return frame[: len(frame) - len(rest)]

    def is_odd(self, stored: bytes) -> bool:
        return stored[: len(_GZIP_HEAD) + 1] not in self._heads


class _Zstd:
    """Zstd frames."""

    def next(self, source: Source, until: int) -> bytes:
        taken: list[bytes] = []
        end = min(until, source.position + 2 * UNPACKED_LIMIT)

        def take(count: int) -> bytes:
            if source.position + count > end:
                raise DamageError("a frame there does not end")
            taken.append(source.take(count))
            return taken[-1]

        descriptor, _window = _read_zstd_head(take)
        is_last = False
        while not is_last:
            block = int.from_bytes(take(3), "little")
            is_last = bool(block & 1)
            take(1 if block >> 1 & 3 == _RUN_LENGTH else block >> 3)
        take(4 if descriptor & _HAS_CHECKSUM else 0)
        return b"".join(taken)

    def is_odd(self, stored: bytes) -> bool:
        descriptor, window = _read_zstd_head(_Cursor(stored).take)
        return bool(descriptor & _UNUSED or window & 7) or not descriptor & _HAS_CHECKSUM


def _read_zstd_head(take: Take) -> tuple[int, int]:
    """Read the header of a frame and return its descriptor and that of its window, 0 if there is none."""
    head = take(5)
    descriptor = head[4]
    if head[:4] != _ZSTD_MAGIC:
        raise DamageError("no frame begins there")
    is_single = bool(descriptor & 0x20)
    window = 0 if is_single else take(1)[0]
    take((0, 1, 2, 4)[descriptor & 3] + (1 if is_single else 0, 2, 4, 8)[descriptor >> 6])
    return descriptor, window
