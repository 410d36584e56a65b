# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: how a piece of a tar stream is packed so that it can be fetched and unpacked alone.

Source: ``docs/format.md``, section 2; RFC 1952 for gzip; RFC 8878 for zstd.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
import typing as t
import zlib
from functools import lru_cache

from ..errors import BackupError, DamageError, LocalError, UsageError, told_as

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage import Buffer

SUFFIXES = {"none": ".tar", "gzip": ".tar.gz", "zstd": ".tar.zst"}
UNPACKED_LIMIT = 16 * 1024 * 1024

_GZIP = 31  # zlib's number for deflate with the largest window in a gzip member
_GZIP_LEVEL = 1  # on programs 90 MB for a second of CPU and a factor of 0.46; level 3 has 63 MB and 0.44
_PIECE = 256 * 1024  # what is packed at a time: in one go, there would be twice the result for a moment
_SAMPLES = 8
_SAMPLE = 4 * 1024
_WORTH_IT = 0.9

_ZSTD_LEVEL = 3  # the same: 258 MB and a factor of 0.41; level 1 has 462 MB and 0.47, level 5 has 155 MB and 0.40
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_RUN_LENGTH, _RESERVED = 1, 3  # types of blocks
_PROOF = b"what is packed comes back"
_NO_ZSTD = (
    "The compression zstd is asked for or was used, and this host has no zstd: install the library libzstd.so.1, the"
    " program zstd or Python's module zstandard."
)


class Codec(t.Protocol):
    """Packs and unpacks the frames of one kind of volume, in many threads at once."""

    def pack(self, content: bytes) -> list[bytes]:
        """Return *content* as one frame, in pieces."""

    def unpack(self, stored: Buffer) -> Buffer:
        """Return what the one frame *stored* holds.

        A :class:`DamageError` only says what is wrong, as if the frame's name stood before it.
        """


def codec_of(compression: str) -> Codec:
    """Return what packs for the option *compression*; raise UsageError if this host has nothing for it."""
    return _CODECS[compression]()


def require_codec(compression: str) -> None:
    """Raise UsageError if this host cannot pack for the option *compression*."""
    codec_of(compression)


def unpack(name: str, stored: Buffer) -> memoryview:
    """Return what the frame *stored* of the volume *name* holds."""
    for compression, suffix in SUFFIXES.items():
        if name.endswith(suffix):
            codec = codec_of(compression)
            break
    else:
        raise DamageError(f"The volume {name} is packed in a way that this version does not know.")
    try:
        return memoryview(codec.unpack(stored))
    except DamageError as error:
        raise DamageError(f"a frame of volume {name} {error}") from error


class _Plain:
    """A frame that is its content."""

    def pack(self, content: bytes) -> list[bytes]:
        return [content]

    def unpack(self, stored: Buffer) -> Buffer:
        return stored


class _Gzip:
    """A frame that is one gzip member, stored where compressing is not worth it."""

    def pack(self, content: bytes) -> list[bytes]:
        packer = zlib.compressobj(_GZIP_LEVEL if _is_compressible(content) else 0, zlib.DEFLATED, _GZIP)
        view = memoryview(content)
        packed = [packer.compress(view[start : start + _PIECE]) for start in range(0, len(content), _PIECE)]
        return [piece for piece in (*packed, packer.flush()) if piece]

    def unpack(self, stored: Buffer) -> Buffer:
        unpacker = zlib.decompressobj(_GZIP)
        try:
            content = unpacker.decompress(stored, UNPACKED_LIMIT)
        except zlib.error as error:
            raise DamageError(f"cannot be unpacked ({error})") from error
        if not unpacker.eof or unpacker.unused_data:
            raise DamageError("does not end where it should")
        return content


def _is_compressible(content: bytes) -> bool:
    """Judge by samples from all over *content*, which may be many files of all kinds; what is small always is."""
    if len(content) < 2 * _SAMPLES * _SAMPLE:
        return True
    step = len(content) // _SAMPLES
    sample = b"".join([content[start : start + _SAMPLE] for start in range(0, _SAMPLES * step, step)])
    return len(zlib.compress(sample, 1)) < _WORTH_IT * len(sample)


class Zstd(t.Protocol):
    """One way to have zstd. Making one raises what is not caught elsewhere, if the host does not have it."""

    def pack(self, content: bytes) -> list[bytes]:
        """Return *content* as one frame with its size in the header and a checksum, in pieces."""

    def unpack(self, stored: bytes, size: int) -> Buffer:
        """Return what *stored* holds, one frame that says it is *size* bytes; more need not be unpacked."""


class ZstdOfPython:
    """What Python itself has from 3.14 on."""

    def __init__(self) -> None:
        self._zstd = importlib.import_module("compression.zstd")
        known = self._zstd.CompressionParameter
        self._options = {known.compression_level: _ZSTD_LEVEL, known.checksum_flag: 1, known.content_size_flag: 1}

    def pack(self, content: bytes) -> list[bytes]:
        return [self._zstd.compress(content, options=self._options)]

    def unpack(self, stored: bytes, size: int) -> Buffer:
        try:
            # One more than there is, for else the checksum would not be looked at.
            content: bytes = self._zstd.ZstdDecompressor().decompress(stored, size + 1)
        except self._zstd.ZstdError as error:
            raise _broken(error) from error
        return content


class ZstdOfModule:
    """What the module zstandard has."""

    def __init__(self) -> None:
        self._zstandard = importlib.import_module("zstandard")

    def pack(self, content: bytes) -> list[bytes]:
        packer = self._zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True, write_content_size=True)
        return [packer.compress(content)]

    def unpack(self, stored: bytes, size: int) -> Buffer:  # noqa: ARG002 - it goes by the header itself
        try:
            content: bytes = self._zstandard.ZstdDecompressor().decompress(stored)
        except self._zstandard.ZstdError as error:
            raise _broken(error) from error
        return content


class ZstdOfLibrary:
    """The library that most systems need for themselves, as its ``zstd.h`` declares it; other threads run meanwhile."""

    _LEVEL, _HAS_SIZE, _HAS_CHECKSUM = 100, 200, 201
    _END = 2

    def __init__(self) -> None:
        self._ctypes = ctypes = importlib.import_module("ctypes")
        self._library = library = ctypes.CDLL("libzstd.so.1")
        address, size, content = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
        self._buffer = size * 3  # what zstd.h calls ZSTD_inBuffer and ZSTD_outBuffer: address, size, position
        library.ZSTD_createCCtx.restype = address
        library.ZSTD_CCtx_setParameter.argtypes = [address, ctypes.c_int, ctypes.c_int]
        library.ZSTD_CCtx_setPledgedSrcSize.argtypes = [address, ctypes.c_ulonglong]
        library.ZSTD_compressStream2.argtypes = [address, address, address, ctypes.c_int]
        library.ZSTD_compressStream2.restype = size
        library.ZSTD_decompress.argtypes = [address, size, content, size]
        library.ZSTD_decompress.restype = size
        library.ZSTD_isError.argtypes = [size]
        library.ZSTD_getErrorName.argtypes = [size]
        library.ZSTD_getErrorName.restype = content
        # As many as ever packed at the same time, each with room for a piece; they last as long as the process.
        self._idle: list[tuple[int, bytearray]] = []

    def pack(self, content: bytes) -> list[bytes]:
        try:
            context, room = self._idle.pop()
        except IndexError:
            context, room = self._context(), bytearray(_PIECE)
        self._library.ZSTD_CCtx_setPledgedSrcSize(context, len(content))
        source = self._buffer(self._ctypes.cast(content, self._ctypes.c_void_p).value, len(content), 0)
        packed = []
        left = 1
        while left:
            target = self._buffer(self._address(room), len(room), 0)
            left = self._library.ZSTD_compressStream2(context, target, source, self._END)
            error = self._error(left)
            if error:
                raise LocalError(f"The library of zstd cannot compress: {error}.")
            packed.append(bytes(memoryview(room)[: target[2]]))
        self._idle.append((context, room))
        return packed

    def unpack(self, stored: bytes, size: int) -> Buffer:
        content = bytearray(size)
        error = self._error(self._library.ZSTD_decompress(self._address(content), size, stored, len(stored)))
        if error:
            raise _broken(error)
        return content

    def _context(self) -> int:
        context: int | None = self._library.ZSTD_createCCtx()
        if context is None:
            raise MemoryError
        for name, value in ((self._LEVEL, _ZSTD_LEVEL), (self._HAS_SIZE, 1), (self._HAS_CHECKSUM, 1)):
            self._library.ZSTD_CCtx_setParameter(context, name, value)
        return context

    def _address(self, room: bytearray) -> int:
        """Return where the bytes of *room* are; they stay there, for nobody changes its size."""
        address: int = self._ctypes.addressof(self._ctypes.c_char.from_buffer(room))
        return address

    def _error(self, result: int) -> str:
        if not self._library.ZSTD_isError(result):
            return ""
        name: bytes = self._library.ZSTD_getErrorName(result)
        return name.decode("ascii", "replace")


class ZstdOfProgram:
    """The program: a process for each frame."""

    def __init__(self) -> None:
        program = shutil.which("zstd")
        if program is None:
            raise FileNotFoundError
        self._program = program

    def pack(self, content: bytes) -> list[bytes]:
        options = ["-q", "-c", "-T1", f"-{_ZSTD_LEVEL}", "--check", f"--stream-size={len(content)}"]
        with told_as(f"Cannot run {self._program}"):
            done = subprocess.run([self._program, *options], input=content, capture_output=True, check=False)
        if done.returncode != 0:
            complaint = " ".join(done.stderr.decode("utf-8", "replace").split())
            raise LocalError(f"{self._program} ended with {done.returncode}: {complaint}.")
        return [done.stdout]

    def unpack(self, stored: bytes, size: int) -> Buffer:
        # From a file, for who reads and writes pipes at the same time may wait for a process that waits for them.
        with told_as(f"Cannot run {self._program}"), tempfile.TemporaryFile() as source:
            source.write(stored)
            source.seek(0)
            with subprocess.Popen(
                [self._program, "-d", "-c", "-q"], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                content = process.stdout.read(size + 1) if process.stdout else b""
                if len(content) > size:
                    process.kill()
        if process.returncode != 0:
            raise _broken(f"zstd ended with {process.returncode}")
        return content


ZSTD_WAYS: tuple[Callable[[], Zstd], ...] = (ZstdOfPython, ZstdOfModule, ZstdOfLibrary, ZstdOfProgram)


class ZstdCodec:
    """A frame of zstd, by the way to have it that is given."""

    def __init__(self, zstd: Zstd) -> None:
        self._zstd = zstd

    def pack(self, content: bytes) -> list[bytes]:
        return self._zstd.pack(content)  # no sample: it passes over what cannot be compressed at 3.7 GB a second

    def unpack(self, stored: Buffer) -> Buffer:
        frame = bytes(stored)
        size = _declared_size(frame)
        content = self._zstd.unpack(frame, size)
        if len(content) != size:
            raise DamageError("does not hold what its header says")
        return content


def usable(way: Callable[[], Zstd]) -> Zstd | None:
    """Return what *way* makes if the host has it and it proves itself: it may be older than what is asked of it."""
    try:
        zstd = way()
        packed = b"".join(zstd.pack(_PROOF))
        is_right = zstd.unpack(packed, _declared_size(packed)) == _PROOF
    except (ImportError, OSError, AttributeError, TypeError, BackupError):
        return None
    return zstd if is_right else None


@lru_cache(maxsize=1)
def _zstd_of_host() -> Zstd | None:
    return next(filter(None, map(usable, ZSTD_WAYS)), None)


def _zstd_codec() -> Codec:
    zstd = _zstd_of_host()
    if zstd is None:
        raise UsageError(_NO_ZSTD)
    return ZstdCodec(zstd)


_CODECS: dict[str, Callable[[], Codec]] = {"none": _Plain, "gzip": _Gzip, "zstd": _zstd_codec}


def _broken(reason: object) -> DamageError:
    return DamageError(f"cannot be unpacked ({reason})")


def _declared_size(stored: bytes) -> int:
    """Return how long the content of the frame of zstd *stored* is by its header; it must be one and end where it does.

    Whoever unpacks it afterwards needs no more memory than that, whatever the frame was made for. Not every way to have
    zstd could be asked for this.
    """
    if stored[:4] != _ZSTD_MAGIC or len(stored) < 6:
        raise DamageError("is none of zstd")
    descriptor = stored[4]
    is_single, has_checksum = bool(descriptor & 0x20), bool(descriptor & 0x04)
    at = 5 if is_single else 6
    at += (0, 1, 2, 4)[descriptor & 0x03]
    length = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    size = int.from_bytes(stored[at : at + length], "little") + (256 if length == 2 else 0)
    window = size if is_single else _window(stored[5])
    if length == 0 or max(size, window) > UNPACKED_LIMIT:
        raise DamageError("does not say how long its content is, or more than any may be")
    if _end_of_blocks(stored, at + length) + (4 if has_checksum else 0) != len(stored):
        raise DamageError("does not end where it should")
    return size


def _window(descriptor: int) -> int:
    """Return how much memory a frame's window takes: the header has a power of two, and eighths of it."""
    base: int = 1 << (10 + (descriptor >> 3))
    return base + base // 8 * (descriptor & 7)


def _end_of_blocks(stored: bytes, start: int) -> int:
    """Return where the last block of a frame ends whose first is at *start*."""
    while start + 3 <= len(stored):
        header = int.from_bytes(stored[start : start + 3], "little")
        kind = header >> 1 & 3
        if kind == _RESERVED:
            raise DamageError("has a block of a kind that is none")
        start += 3 + (1 if kind == _RUN_LENGTH else header >> 3)
        if header & 1:
            return start
    raise DamageError("does not end where it should")
