# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the restore points of a backup, and bring one back, with this file and Python 3.9 or newer and nothing else.

Download the directory of a job first: the one that holds job.json, points/ and s01/, pool/ or the like. Then::

    python3 recover.py JOBDIRECTORY
    python3 recover.py JOBDIRECTORY --point latest --target DIRECTORY
    python3 recover.py JOBDIRECTORY --point 42 --target DIRECTORY --path '/etc/**/*.conf' --path /home/anna

The first lists the restore points. The others bring one back below DIRECTORY: all of it, or what the globs match
and whatever lies below that. In a glob, ``*`` and ``?`` stop at a slash, ``**`` does not, and a backslash quotes.
A job whose first run never ended has no restore point; ``--point checkpoint`` brings back what that run had stored.

Everything is checked against its SHA-256. What is damaged is named and left out, and the rest is brought back. Run it
as root to get owners, groups and devices back as well. The exit code is 0 when all went well, 1 when something was
damaged or could not be written, and 2 when the command cannot work as it was given.
"""

# This file imports nothing of the collection, and looks like parts of its neighbours, on purpose: it is a second,
# independent reader of the format. The collection uploads this very source, so that it lies beside the backups and
# works where there is neither Ansible nor the collection.

from __future__ import annotations

import argparse
import base64
import errno
import grp
import hashlib
import importlib
import io
import json
import os
import pwd
import re
import secrets
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import typing as t
import zlib
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

if t.TYPE_CHECKING:
    from types import ModuleType

FORMAT = 1
_CHUNK = 64 * 1024
_BLOCK_LIMIT = 64 * 1024 * 1024  # of a manifest's block, unpacked
_FRAME_LIMIT = 64 * 1024 * 1024  # of what is unpacked of a frame; writers stay far below
_FRAMES_KEPT = 64  # neighbours in a manifest are neighbours in a frame, of as many volumes as there were runs
_KEPT_LIMIT = 96 * 1024 * 1024  # of all frames that are kept; the one in use may be larger
_FIRST_NAMES_KEPT = 20_000
_LOSSES_NAMED = 20  # of a restore point's volumes: a pool that was not downloaded has hundreds of thousands
_GZIP = 31  # zlib's window bits for a gzip member
_GZIP_MAGIC = b"\x1f\x8b\x08"
_FOOTER = struct.Struct("<4sIBBH2sHQI10s")
_FOOTER_ENDS = (b"\x1f\x8b\x08\x04", 0, 0, 255, 16, b"FB", 12), b"\x03\x00" + bytes(8)
_RUN = r"(?P<run>[0-9]{8}t[0-9]{6}z-[0-9a-f]{6})"
_MANIFEST = re.compile(rf"(?P<seq>[0-9]{{6,18}})-{_RUN}(?:\.g(?P<generation>[0-9]{{1,18}}))?\.manifest\.gz")
_CHECKPOINT = re.compile(rf"{_RUN}-(?P<number>[0-9]{{6,18}})\.checkpoint\.gz")
_REMOTE_NAME = r"[a-z0-9][a-z0-9._-]*"
_VOLUME = re.compile(rf"{_REMOTE_NAME}/{_REMOTE_NAME}\.tar(?:\.gz|\.zst)?")
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_LIMIT = 2**32 - 1  # this number itself means "leave it as it is"
_GLOB = re.compile(r"(?:(?<![^/])\*\*+/)+|\*+|\\?.", re.DOTALL)
_PARTS = b"parts:"  # what stands first in the path of a database dump and the like
_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_ACLS_OF = {"d": (_ACCESS, _DEFAULT), "l": ()}
_GROUP, _MASK = 0x04, 0x10  # tags of an ACL as it stands in its attribute: linux/posix_acl.h
_SET_ID = stat.S_ISUID | stat.S_ISGID
_NO_RUN_HAS_ENDED = "No run has ended yet. What the last one had stored, --point checkpoint brings back."


class StopError(Exception):
    """What ends the program, as a sentence, with its exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


class DamageError(Exception):
    """What is stored is not what was stored once; or it is nothing that may be written here."""


class UnknownFormatError(DamageError):
    """A restore point is of a kind that was not yet thought of when this file was written."""


class Report:
    """Names on standard error what was lost, and counts it."""

    def __init__(self) -> None:
        self.losses = 0

    def lose(self, what: str, why: object) -> None:
        self.losses += 1
        self.note(f"{what}: {why}")

    def note(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")


# What a manifest says


class Place(t.NamedTuple):
    """Where one segment of a file lies: *size* bytes from *start* on in an unpacked frame of a volume.

    The *digest* is empty where the file has but one segment.
    """

    volume: str
    offset: int
    length: int
    start: int
    size: int
    digest: bytes = b""


class Block(t.NamedTuple):
    """One gzip member of a manifest; *digest* is the SHA-256 of its stored bytes."""

    offset: int
    length: int
    first: bytes
    digest: str


@dataclass(frozen=True)
class Header:
    """What a run knew when it began; *left_out* tells what it was to leave out."""

    client: str
    job: str
    structure: str
    pool: str
    started: str
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """What of a trailer is small."""

    entries: int
    bytes: int
    complete: bool
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Trailer:
    """What a run knew when it ended; *volumes* gives the size of each in bytes."""

    summary: Summary
    volumes: dict[str, int]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Entry:
    """One name of a restore point; *mtime* is in nanoseconds, *places* grows while continuation lines are read.

    *extents* are offset and length of what is content in a sparse file; of any other, that is one piece.
    """

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int
    size: int
    digest: bytes
    xattrs: dict[str, bytes]
    target: bytes
    device: tuple[int, int]
    places: list[Place]
    extents: tuple[tuple[int, int], ...]
    is_sparse: bool

    @property
    def content_size(self) -> int:
        return sum(length for _offset, length in self.extents)


def to_path(text: str) -> bytes:
    """Return the bytes of a name; those that are not UTF-8 stand as lone surrogates in JSON."""
    return text.encode("utf-8", "surrogateescape")


def shown(path: bytes | str) -> str:
    """Return *path* fit for a terminal, whatever is in it."""
    text = path.decode("utf-8", "backslashreplace") if isinstance(path, bytes) else path
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@contextmanager
def _damage_told(sentence: str) -> t.Iterator[None]:
    """Turn what malformed JSON raises into *sentence*."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise DamageError(sentence) from error


def _whole(value: object, limit: int = 2**63) -> int:
    """Return *value* if it is a whole number from 0 to below *limit*."""
    if not isinstance(value, int) or not 0 <= value < limit:
        raise ValueError(value)
    return value


def _parse_header(values: dict[str, t.Any]) -> Header:
    if values["format"] != FORMAT:
        raise UnknownFormatError(f"it has format {values['format']}, which this program does not know")
    if values.get("encryption") is not None:
        raise UnknownFormatError("it is encrypted, which this program does not know")
    pool = str(values["pool"])
    if not re.fullmatch(_REMOTE_NAME, pool):
        raise ValueError(pool)
    client, job, structure, started = (str(values[key]) for key in ("client", "job", "structure", "started"))
    return Header(client, job, structure, pool, started, tuple(_left_out(values.get("rules") or {})))


def _left_out(rules: dict[str, t.Any]) -> t.Iterator[str]:
    """Yield what *rules* left out on purpose."""
    for pattern in rules.get("exclude", ()):
        yield f"what matches {pattern}"
    if rules.get("one_file_system"):
        yield "other file systems"
    if rules.get("caches"):
        yield "caches that say so by a CACHEDIR.TAG"
    if rules.get("marker"):
        yield f"directories with a file {rules['marker']}"


def _parse_trailer(values: dict[str, t.Any]) -> Trailer:
    return Trailer(
        Summary(
            entries=_whole(values["entries"]),
            bytes=_whole(values["bytes"]),
            complete=values["complete"] is True,
            problems=tuple((str(path), str(problem)) for path, problem in values["problems"]),
        ),
        volumes={str(name): _whole(use[1]) for name, use in values["volumes"].items()},
        blocks=tuple(
            Block(_whole(offset), _whole(length, _BLOCK_LIMIT), to_path(first), str(digest))
            for offset, length, first, digest in values["blocks"]
        ),
    )


def _parse_places(values: t.Iterable[t.Any]) -> list[Place]:
    return [_parse_place(*value) for value in values]


def _parse_place(volume: str, offset: int, length: int, start: int, size: int, digest: str = "") -> Place:
    if not _VOLUME.fullmatch(volume):
        raise ValueError(volume)
    _whole(start + _whole(size) - 1, _FRAME_LIMIT)  # no segment is empty
    length = _whole(length, 2 * _FRAME_LIMIT)
    # A large file names the same volumes thousands of times, so each name is kept once.
    return Place(sys.intern(volume), _whole(offset), length, _whole(start), size, bytes.fromhex(digest))


def _parse_extents(values: t.Iterable[t.Any], size: int) -> tuple[tuple[int, int], ...]:
    """Return where the content lies in a sparse file of *size* bytes: in order, apart, and all of it inside."""
    extents = tuple((extent[0], extent[1]) for extent in values)
    end = 0
    for offset, length in extents:
        if not end <= _whole(offset) <= offset + _whole(length) <= size:
            raise DamageError("its map of content and holes cannot be right")
        end = offset + length
    return extents


def _parse_entry(values: dict[str, t.Any]) -> Entry:
    major, minor = values.get("dev") or (0, 0)
    kind, size = str(values["t"]), _whole(values.get("s", 0))
    return Entry(
        path=to_path(values["p"]),
        kind=kind,
        mode=_whole(values["m"], 0o10000),
        uid=_whole(values["u"], _OWNER_LIMIT),
        gid=_whole(values["g"], _OWNER_LIMIT),
        user=str(values["un"]),
        group=str(values["gn"]),
        mtime=int(values["mt"]),
        size=size,
        # Without its digest, no content is taken for that of a file.
        digest=bytes.fromhex(values["h"]) if kind in ("f", "h") else b"",
        xattrs={str(name): base64.b64decode(value) for name, value in values.get("x", {}).items()},
        target=to_path(values.get("to", "")),
        device=(_whole(major), _whole(minor)),
        places=_parse_places(values.get("at", ())),
        extents=_parse_extents(values.get("map", ((0, size),)), size),
        is_sparse="map" in values,
    )


# How a manifest is read


def read_member(file: t.BinaryIO, offset: int, limit: int) -> tuple[bytes, int]:
    """Return what the gzip member at *offset* holds, no more than *limit* bytes, and how long it is itself."""
    unpacker = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    file.seek(offset)
    length = 0
    while not unpacker.eof:
        packed = file.read(_CHUNK)
        if not packed:
            raise DamageError("it is cut off")
        try:
            pieces.append(unpacker.decompress(packed, limit + 1))
        except zlib.error as error:
            raise DamageError("it does not unpack") from error
        length += len(packed)
        limit -= len(pieces[-1])
        if limit < 0:
            raise DamageError("it is far too large")
    return b"".join(pieces), length - len(unpacker.unused_data)


def find_member(file: t.BinaryIO, offset: int) -> int | None:
    """Return where, from *offset* on, something begins that looks like a gzip member."""
    kept = b""
    file.seek(offset)
    while chunk := file.read(_CHUNK):
        found = (kept + chunk).find(_GZIP_MAGIC)
        if found >= 0:
            return offset - len(kept) + found
        offset += len(chunk)
        kept = (kept + chunk)[1 - len(_GZIP_MAGIC) :]
    return None


def scan_members(file: t.BinaryIO) -> t.Iterator[tuple[int, bytes | None]]:
    """Yield offset and content of each gzip member, None as the content of what is broken, from begin to end."""
    size = file.seek(0, os.SEEK_END)
    offset: int | None = 0
    is_broken = False
    while offset is not None and offset < size:
        try:
            content, length = read_member(file, offset, _BLOCK_LIMIT)
        except DamageError:
            if not is_broken:
                yield offset, None
            is_broken = True
            offset = find_member(file, offset + 1)
        else:
            yield offset, content
            is_broken = False
            offset += length


class Manifest:
    """One manifest; what is wrong with it stands in *notes*, and what is left can be read.

    What grows with the number of volumes and of entries is read when it is needed, and not kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.is_unknown = False
        with self._open() as file:
            self._trailer_at, self.summary = self._find_trailer(file)
            self.header = self._find_header(file)

    def _open(self) -> t.BinaryIO:
        return self.path.open("rb")

    def _find_trailer(self, file: t.BinaryIO) -> tuple[int, Summary | None]:
        """Return where the trailer is and what it says, by the footer, or, if that fails, by reading everything."""
        with suppress(DamageError):
            offset = _trailer_offset(file)
            return offset, _read_trailer(file, offset).summary
        self.notes.append("the end of its manifest is damaged")
        for offset, content in scan_members(file):
            if content is not None and content.startswith(b'{"trailer":'):
                with suppress(DamageError):
                    return offset, _as_trailer(content).summary
        self.notes.append("its manifest has no trailer, so entries may be missing that nobody can name")
        return 0, None

    def _trailer(self, file: t.BinaryIO) -> Trailer | None:
        return None if self.summary is None else _read_trailer(file, self._trailer_at)

    def _find_header(self, file: t.BinaryIO) -> Header | None:
        try:
            content, _length = read_member(file, 0, _BLOCK_LIMIT)
            with _damage_told("the header of its manifest is damaged"):
                return _parse_header(json.loads(content))
        except DamageError as error:
            self.is_unknown = isinstance(error, UnknownFormatError)
            self.notes.append(str(error))
            return None

    def find_damage(self) -> tuple[list[str], dict[str, int]]:
        """Read all that is stored, and return what is wrong with it, and the sizes of the volumes that it names."""
        with self._open() as file:
            trailer = self._trailer(file)
            found = list(self.notes)
            for block in trailer.blocks if trailer else ():
                try:
                    _read_stored(file, block)
                except DamageError as error:
                    found.append(f"the block of its manifest at byte {block.offset:,} is damaged: {error}")
            return found, trailer.volumes if trailer else {}

    def entries(self, report: Report) -> t.Iterator[Entry]:
        """Yield the entries in order; what is damaged is reported."""
        entry: Entry | None = None
        for values in self._lines(report):
            if values is not None and values.get("n"):
                entry = self._continued(entry, values, report)
                continue
            if entry is not None:
                yield entry
            entry = self._begun(values, report)
        if entry is not None:
            yield entry

    def _begun(self, values: dict[str, t.Any] | None, report: Report) -> Entry | None:
        if values is None or "p" not in values:
            return None
        try:
            with _damage_told("its line in the manifest cannot be read"):
                return _parse_entry(values)
        except DamageError as error:
            report.lose(shown(str(values["p"])), error)
            return None

    def _continued(self, entry: Entry | None, values: dict[str, t.Any], report: Report) -> Entry | None:
        """Return *entry* with the places of one more line, or None if they do not belong together."""
        try:
            with _damage_told("a line of its in the manifest cannot be read"):
                if entry is None or to_path(values["p"]) != entry.path:
                    raise DamageError("some of its lines in the manifest are lost")
                entry.places.extend(_parse_places(values["at"]))
                if len(entry.places) > entry.content_size:
                    raise DamageError("it has more segments than bytes")
                return entry
        except DamageError as error:
            report.lose(shown(str(values.get("p"))), error)
            return None

    def _lines(self, report: Report) -> t.Iterator[dict[str, t.Any] | None]:
        """Yield every line's values, and None where lines are lost."""
        for content in self._contents(report):
            if content is None:
                yield None
            for line in (content or b"").splitlines():
                try:
                    values = json.loads(line)
                except (ValueError, RecursionError):
                    report.lose(self.path.name, "a line of the manifest cannot be read")
                    values = None
                yield values if isinstance(values, dict) else None

    def _contents(self, report: Report) -> t.Iterator[bytes | None]:
        """Yield what the blocks hold, and None for each that is broken."""
        with self._open() as file:
            trailer = self._trailer(file)
            if trailer is not None:
                yield from self._listed(file, trailer.blocks, report)
                return
            for offset, content in scan_members(file):
                if content is None:
                    report.lose(self.path.name, f"what stands in the manifest from byte {offset:,} on is lost")
                yield content

    def _listed(self, file: t.BinaryIO, blocks: tuple[Block, ...], report: Report) -> t.Iterator[bytes | None]:
        for number, block in enumerate(blocks):
            try:
                content = _read_block(file, block)
            except DamageError as error:
                lost = "the header is lost"
                if number:
                    end = f"up to {shown(blocks[number + 1].first)}" if number + 1 < len(blocks) else "to the end"
                    lost = f"all entries are lost from {shown(block.first)} on, {end}"
                report.lose(self.path.name, f"a block of the manifest is damaged ({error}): {lost}")
                yield None
            else:
                yield content


def _trailer_offset(file: t.BinaryIO) -> int:
    """Return where the trailer begins, as the footer says."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _FOOTER.size))
    end = file.read(_FOOTER.size)
    if len(end) == _FOOTER.size:
        *head, offset, _checksum, tail = _FOOTER.unpack(end)
        if (tuple(head), tail) == _FOOTER_ENDS and offset < size:
            return int(offset)
    raise DamageError("it has no footer")


def _read_trailer(file: t.BinaryIO, offset: int) -> Trailer:
    return _as_trailer(read_member(file, offset, _BLOCK_LIMIT)[0])


def _as_trailer(content: bytes) -> Trailer:
    with _damage_told("its trailer cannot be read"):
        return _parse_trailer(json.loads(content)["trailer"])


def _read_stored(file: t.BinaryIO, block: Block) -> bytes:
    try:
        file.seek(block.offset)
        stored = file.read(block.length)
    except OSError as error:  # a bad sector, or an offset beyond what any file can have
        raise DamageError(f"it cannot be read: {error.strerror}") from error
    if hashlib.sha256(stored).hexdigest() != block.digest:
        raise DamageError("its bytes do not match their checksum")
    return stored


def _read_block(file: t.BinaryIO, block: Block) -> bytes:
    return read_member(io.BytesIO(_read_stored(file, block)), 0, _BLOCK_LIMIT)[0]


# How content is read


class Frame(t.Protocol):
    """A piece of a volume that unpacks by itself."""

    @property
    def held(self) -> int:
        """How many bytes of memory it takes."""

    def read(self, start: int, size: int) -> bytes:
        """Return up to *size* bytes from *start* on."""


class PlainFrame:
    """A piece of a volume without compression."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.held = len(content)

    def read(self, start: int, size: int) -> bytes:
        return self._content[start : start + size]


class GzipFrame:
    """A gzip member, unpacked as far as somebody asked."""

    def __init__(self, stored: bytes) -> None:
        self._rest = stored
        self._unpacker = zlib.decompressobj(_GZIP)
        self._content = bytearray()

    @property
    def held(self) -> int:
        return len(self._rest) + len(self._content)

    def read(self, start: int, size: int) -> bytes:
        missing = start + size - len(self._content)
        if missing > 0 and not self._unpacker.eof:
            try:
                self._content += self._unpacker.decompress(self._rest, missing)
            except zlib.error as error:
                raise DamageError("does not unpack") from error
            self._rest = self._unpacker.unconsumed_tail
        return bytes(self._content[start : start + size])


class ZstdFrame(PlainFrame):
    """A frame of zstd, unpacked as far as it can be."""

    def __init__(self, stored: bytes) -> None:
        super().__init__(_zstd()(stored))


#: Returns what a frame of zstd holds, no more than the limit of frames, and of a damaged one what comes before.
Unzstd = t.Callable[[bytes], bytes]


def _unpacked(stream: t.BinaryIO, errors: tuple[type[Exception], ...]) -> bytes:
    """Return what *stream* gives until it raises one of *errors*."""
    content = bytearray()
    with suppress(*errors):
        while len(content) < _FRAME_LIMIT and (piece := stream.read(_CHUNK)):
            content += piece
    return bytes(content[:_FRAME_LIMIT])


def zstd_of_python() -> Unzstd | None:
    """Return what Python itself has from 3.14 on."""
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError:
        return None
    return lambda stored: _unpacked(zstd.ZstdFile(io.BytesIO(stored)), (zstd.ZstdError, EOFError))


def zstd_of_package() -> Unzstd | None:
    """Return what the package zstandard has."""
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        return None
    reader = zstandard.ZstdDecompressor().stream_reader
    return lambda stored: _unpacked(reader(io.BytesIO(stored)), (zstandard.ZstdError,))


def zstd_of_library() -> Unzstd | None:
    """Return what the library has that most systems need for themselves."""
    try:
        return _Libzstd(importlib.import_module("ctypes")).unpack
    except (ImportError, OSError, AttributeError):
        return None


class _Libzstd:
    """``ZSTD_decompressStream`` of libzstd.so.1, as zstd.h declares it."""

    def __init__(self, ctypes: ModuleType) -> None:
        self._c = ctypes
        self._library = ctypes.CDLL("libzstd.so.1")
        self._library.ZSTD_createDCtx.restype = ctypes.c_void_p
        self._library.ZSTD_freeDCtx.argtypes = [ctypes.c_void_p]
        self._library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p] * 3
        self._library.ZSTD_decompressStream.restype = ctypes.c_size_t
        self._library.ZSTD_isError.argtypes = [ctypes.c_size_t]

    def unpack(self, stored: bytes) -> bytes:
        context = self._library.ZSTD_createDCtx()
        if not context:
            raise MemoryError
        try:
            return b"".join(self._pieces(context, stored))[:_FRAME_LIMIT]
        finally:
            self._library.ZSTD_freeDCtx(context)

    def _pieces(self, context: int, stored: bytes) -> t.Iterator[bytes]:
        word = self._c.c_size_t
        piece = self._c.create_string_buffer(_CHUNK)
        source = (word * 3)(self._c.cast(stored, self._c.c_void_p).value, len(stored), 0)  # address, size, position
        missing = _FRAME_LIMIT
        while missing > 0:
            target = (word * 3)(self._c.addressof(piece), _CHUNK, 0)
            result = self._library.ZSTD_decompressStream(context, target, source)
            yield piece.raw[: target[2]]
            missing -= target[2]
            is_cut_off = not target[2] and source[2] == len(stored)
            if result == 0 or is_cut_off or self._library.ZSTD_isError(result):
                return


def zstd_of_program() -> Unzstd | None:
    """Return what the program zstd does."""
    program = shutil.which("zstd")
    if program is None:
        return None

    def unpack(stored: bytes) -> bytes:
        with tempfile.TemporaryFile() as source:
            source.write(stored)
            source.seek(0)
            command = [program, "-d", "-c", "-q"]
            with subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                content = process.stdout.read(_FRAME_LIMIT) if process.stdout else b""
                process.kill()
        return content

    return unpack


ZSTD_WAYS = (zstd_of_python, zstd_of_package, zstd_of_library, zstd_of_program)


@cache
def _zstd() -> Unzstd:
    for way in ZSTD_WAYS:
        unpack = way()
        if unpack is not None:
            return unpack
    raise StopError("This backup is compressed with zstd: install the program zstd and run this again.", 2)


_FRAMES: dict[str, t.Callable[[bytes], Frame]] = {".tar": PlainFrame, ".gz": GzipFrame, ".zst": ZstdFrame}


class Volumes:
    """The volumes of a job, read piece by piece; a *pool* that nobody knows any more is found by a volume's name.

    Frames are kept for a while: what was packed at the same time lies in the same ones.
    """

    def __init__(self, job: Path, pool: str | None) -> None:
        self._pools = [job / pool] if pool else sorted(path for path in job.iterdir() if path.is_dir())
        self._frames: OrderedDict[tuple[str, int, int], Frame] = OrderedDict()

    def find(self, name: str) -> Path:
        """Return where the volume called *name* lies."""
        for pool in self._pools:
            path = pool / name
            if path.is_file():
                return path
        raise DamageError(f"the volume {shown(name)} is missing")

    def problem_of(self, name: str, size: int) -> str | None:
        """Return what is wrong with the volume called *name*, as far as its *size* tells."""
        try:
            if not _VOLUME.fullmatch(name) or self.find(name).stat().st_size != size:
                return f"the volume {shown(name)} does not have its {size:,} bytes"
        except DamageError as error:
            return str(error)
        return None

    def read(self, place: Place) -> bytes:
        """Return the content at *place*, proved by its digest if it has one of its own."""
        frame = self._frame(place)
        try:
            content = frame.read(place.start, place.size)
        except DamageError as error:
            raise DamageError(f"the volume {place.volume} {error} at byte {place.offset:,}") from error
        self._make_room()
        if len(content) != place.size:
            raise DamageError(f"the volume {place.volume} is cut off or damaged at byte {place.offset:,}")
        if place.digest and hashlib.sha256(content).digest() != place.digest:
            raise _mismatch(place)
        return content

    def _make_room(self) -> None:
        """Forget the frames that were not used for the longest time, if all of them are too much."""
        held = sum(frame.held for frame in self._frames.values())
        while len(self._frames) > 1 and (held > _KEPT_LIMIT or len(self._frames) > _FRAMES_KEPT):
            held -= self._frames.popitem(last=False)[1].held

    def _frame(self, place: Place) -> Frame:
        key = (place.volume, place.offset, place.length)
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        path = self.find(place.volume)
        with path.open("rb") as file:
            file.seek(place.offset)
            frame = _FRAMES[path.suffix](file.read(place.length))
        self._frames[key] = frame
        return frame


def _mismatch(place: Place) -> DamageError:
    return DamageError(f"its content in the volume {place.volume} at byte {place.offset:,} does not match its checksum")


def contents(entry: Entry, read: t.Callable[[Place], bytes]) -> t.Iterator[bytes]:
    """Yield the content of *entry* as *read* finds it; what comes last proves that the whole was right.

    The digest of a file of several segments is that of its segments' digests.
    """
    wanted = entry.content_size
    size = sum(place.size for place in entry.places)
    if size != wanted:
        raise DamageError(f"its places hold {size:,} bytes instead of {wanted:,}")
    digest, digests = hashlib.sha256(), hashlib.sha256()
    for place in entry.places:
        content = read(place)
        digest = hashlib.sha256(content)
        digests.update(digest.digest())
        yield content
    if len(entry.places) == 1 and digest.digest() != entry.digest:
        raise _mismatch(entry.places[0])
    if len(entry.places) != 1 and digests.digest() != entry.digest:
        raise DamageError("its content does not match its checksum")


def located(entry: Entry, segments: t.Iterable[bytes]) -> t.Iterator[tuple[int, memoryview]]:
    """Yield *segments* cut into pieces, each with where in the file it belongs."""
    extents = iter(entry.extents)
    offset = room = 0
    for segment in segments:
        rest = memoryview(segment)
        while rest:
            while not room:
                # They have room for all segments: their sizes were compared.
                offset, room = next(extents, (offset, len(rest)))
            piece = rest[:room]
            yield offset, piece
            offset += len(piece)
            room -= len(piece)
            rest = rest[len(piece) :]


# How it is written


class Target:
    """The directory that is restored into. Nothing is written outside of it, and no symbolic link in it is followed.

    Every path is opened component by component, each relative to the one before.
    """

    def __init__(self, top: Path) -> None:
        try:
            top.mkdir(parents=True, exist_ok=True)
            self._top = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StopError(f"Nothing can be restored into {top}: {error.strerror or error}.", 2) from error
        self._parts: tuple[bytes, ...] = ()
        self._parent = os.dup(self._top)

    def close(self) -> None:
        os.close(self._top)
        os.close(self._parent)

    @contextmanager
    def directory(self, parts: tuple[bytes, ...], *, make: bool = False) -> t.Iterator[int]:
        """Open the directory at *parts*; what is missing on the way is made if *make* says so."""
        handle = os.dup(self._top)
        try:
            for part in parts:
                below = _enter(handle, part, make=make)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def parent(self, parts: tuple[bytes, ...]) -> int:
        """Return the directory that *parts* lies in, made if need be; it stays open until the next call."""
        if parts[:-1] != self._parts:
            with self.directory(parts[:-1], make=True) as handle:
                os.close(self._parent)
                self._parent = os.dup(handle)
                self._parts = parts[:-1]
        return self._parent

    def make_directory(self, parts: tuple[bytes, ...]) -> None:
        """Make the directory at *parts*, for us alone as long as it is being filled."""
        if not parts:
            return
        parent = self.parent(parts)
        with suppress(FileExistsError):
            os.mkdir(parts[-1], 0o700, dir_fd=parent)
        handle = _enter(parent, parts[-1], make=False)
        try:
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            if mode & 0o700 != 0o700:
                os.fchmod(handle, mode | 0o700)
        finally:
            os.close(handle)

    @contextmanager
    def fresh(self, parts: tuple[bytes, ...]) -> t.Iterator[tuple[int, bytes]]:
        """Yield a directory and an unused name in it; what was made there gets the name *parts* at the end."""
        if not parts:
            raise DamageError("this path can only be a directory")
        parent = self.parent(parts)
        name = f".recover-{secrets.token_hex(6)}.tmp".encode("ascii")
        try:
            yield parent, name
            os.rename(name, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
        finally:
            # Also after a good rename: one of two names of the same file does nothing and leaves both.
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)


def _enter(parent: int, name: bytes, *, make: bool) -> int:
    """Open the directory *name* in *parent*, which must not be a symbolic link."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    try:
        return os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise DamageError(f"{shown(name)} in the target is no directory, and no link is followed") from error
        raise


def components(path: bytes) -> tuple[bytes, ...]:
    """Return *path* as names below the target; a path that could lead out of it is refused."""
    if path == b"/":
        return ()
    head, *rest = path.split(b"/")
    parts = rest if head == b"" else [head, *rest]
    if head not in (b"", _PARTS) or not rest or any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
        raise DamageError("the manifest names a path that could lead out of the target, so it is refused")
    return tuple(parts)


class Owners:
    """Who is to own what: by name where this host knows the name, else by number, and only if we are root."""

    def __init__(self, *, numeric: bool) -> None:
        self._numeric = numeric
        self.is_root = os.geteuid() == 0

    def of(self, entry: Entry) -> tuple[int, int]:
        if self._numeric:
            return entry.uid, entry.gid
        uid, gid = _uid_of(entry.user), _gid_of(entry.group)
        return (entry.uid if uid is None else uid), (entry.gid if gid is None else gid)


@cache
def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid if name else None
    except (KeyError, ValueError):
        return None


@cache
def _gid_of(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except (KeyError, ValueError):
        return None


class FirstName(t.NamedTuple):
    """Where the content of a file with several names lies, and by what it is known that nobody has touched it since."""

    parts: tuple[bytes, ...]
    digest: bytes
    mark: tuple[int, int, int]


class Restorer:
    """Brings entries back below *target*, in the order of a manifest.

    It holds the directories above the present entry, and a limited number of files that had several names.
    """

    def __init__(self, target: Target, volumes: Volumes, owners: Owners, report: Report) -> None:
        self._target = target
        self._volumes = volumes
        self._owners = owners
        self._report = report
        self._above: list[Entry] = []
        self._made_above = 0
        self._first_names: OrderedDict[bytes, FirstName] = OrderedDict()
        self.count = 0
        self.bytes = 0
        self.xattrs_left_out = 0

    def restore(self, entry: Entry, *, wanted: bool) -> None:
        """Bring *entry* back if it is *wanted*; else remember it for what may be wanted below it."""
        while self._above and not _is_below(entry.path, self._above[-1].path):
            self._leave()
        if not wanted and entry.kind != "d":
            return
        with self._named(entry):
            parts = components(entry.path)
            if wanted:
                self._make_above()
            if entry.kind == "d":
                self._above.append(entry)
            if wanted:
                self._put(entry, parts)
                self.count += 1

    def finish(self) -> None:
        """Leave all directories."""
        while self._above:
            self._leave()

    def _leave(self) -> None:
        """Give the innermost directory its owner, mode and times: whatever is made in it changes it."""
        entry = self._above.pop()
        if self._made_above > len(self._above):
            self._made_above = len(self._above)
            with self._named(entry), self._target.directory(components(entry.path)) as handle:
                self._dress(handle, entry)

    @contextmanager
    def _named(self, entry: Entry) -> t.Iterator[None]:
        """Report what goes wrong with *entry* and let the rest go on, unless the rest cannot."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
            self._report.lose(shown(entry.path), error.strerror or error)
        except (DamageError, ValueError, OverflowError) as error:
            self._report.lose(shown(entry.path), error)

    def _make_above(self) -> None:
        """Make the directories above an entry that were not made yet."""
        for directory in self._above[self._made_above :]:
            self._put_directory(components(directory.path))

    def _put(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        if entry.kind == "d":
            self._put_directory(parts)
        elif entry.kind == "f":
            self._put_file(entry, parts)
        elif entry.kind == "h":
            self._put_other_name(entry, parts)
        elif entry.kind in ("l", "c", "b", "p"):
            self._put_node(entry, parts)
        else:
            raise DamageError(f"entries of the kind {entry.kind!r} are not known")

    def _put_directory(self, parts: tuple[bytes, ...]) -> None:
        self._target.make_directory(parts)
        self._made_above += 1

    def _put_file(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        with self._target.fresh(parts) as (parent, name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                for offset, piece in located(entry, contents(entry, self._volumes.read)):
                    _write_at(handle, offset, piece)
                if entry.is_sparse:
                    os.ftruncate(handle, entry.size)
                self._dress(handle, entry)
            finally:
                os.close(handle)
        self.bytes += entry.content_size

    def _put_other_name(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        """Make a hard link to what has the content of *entry*, or, if nothing has, what later names are linked to."""
        source = self._link(entry, parts)
        if source is None:
            self._put_file(entry, parts)
            source = parts
        with suppress(DamageError, OSError), self._target.directory(source[:-1]) as directory:
            mark = _mark(os.stat(source[-1], dir_fd=directory, follow_symlinks=False))
            self._first_names[entry.target] = FirstName(source, entry.digest, mark)
            self._first_names.move_to_end(entry.target)
            if len(self._first_names) > _FIRST_NAMES_KEPT:
                self._first_names.popitem(last=False)

    def _link(self, entry: Entry, parts: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
        """Make *parts* another name of a file that is there, and return the one it was found by; None if it is not."""
        try:
            first = self._first_names.get(entry.target)
            source = first.parts if first else components(entry.target)
            if not source:
                return None
            with self._target.directory(source[:-1]) as directory:
                mark = _proved(directory, source[-1], entry, first)
                with self._target.fresh(parts) as (parent, name):
                    os.link(source[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
                    if _mark(os.stat(name, dir_fd=parent, follow_symlinks=False))[:2] != mark[:2]:
                        return None  # somebody has put another file there meanwhile
        except (DamageError, OSError):
            return None  # then the content itself is written, or the reason comes up once more
        return source

    def _put_node(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        """Make a symbolic link, a device or a FIFO."""
        with self._target.fresh(parts) as (parent, name):
            if entry.kind == "l":
                os.symlink(entry.target, name, dir_fd=parent)
            else:
                kind = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}[entry.kind]
                with _no_umask():  # it gets its mode now: chmod would follow a link that somebody put in its place
                    os.mknod(name, kind | _mode_without_acl(entry), os.makedev(*entry.device), dir_fd=parent)
            if self._owners.is_root:
                os.chown(name, *self._owners.of(entry), dir_fd=parent, follow_symlinks=False)
            # Python has no other way to an attribute of what cannot be opened and lies in a directory that is.
            self._set_xattrs(b"/proc/self/fd/%d/%s" % (parent, name), entry)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _dress(self, handle: int, entry: Entry) -> None:
        """Give an open file or directory everything but its content.

        The order matters: a new owner ends capabilities and set-id bits, and an ACL changes the mode.
        """
        owner = self._owners.of(entry)
        if self._owners.is_root:
            os.chown(handle, *owner)
        mode = entry.mode if self._set_xattrs(handle, entry) else _mode_without_acl(entry)
        status = os.fstat(handle)
        # To run with the rights of its owner is meant for the owner it had, and for nobody else.
        is_owned = (status.st_uid, status.st_gid) == owner
        os.fchmod(handle, mode if is_owned else mode & ~_SET_ID)
        os.utime(handle, ns=(entry.mtime, entry.mtime))

    def _set_xattrs(self, place: int | bytes, entry: Entry) -> bool:
        """Set what can be set, and tell whether that holds for the ACL."""
        were_set = {name for name, value in entry.xattrs.items() if _set_xattr(place, name, value)}
        self.xattrs_left_out += len(entry.xattrs) - len(were_set)  # another file system, or not as root
        for name in _ACLS_OF.get(entry.kind, (_ACCESS,)):
            if name not in were_set:
                _drop_xattr(place, name)  # it may have one by the directory that it was made in
        return _ACCESS in were_set or _ACCESS not in entry.xattrs


def _set_xattr(place: int | bytes, name: str, value: bytes) -> bool:
    if sys.platform == "linux":
        with suppress(OSError, ValueError):
            os.setxattr(place, name, value, follow_symlinks=isinstance(place, int))
            return True
    return False


def _drop_xattr(place: int | bytes, name: str) -> None:
    if sys.platform == "linux":
        with suppress(OSError):
            os.getxattr(place, name, follow_symlinks=isinstance(place, int))  # to remove what is not there is slow
            os.removexattr(place, name, follow_symlinks=isinstance(place, int))


def _mode_without_acl(entry: Entry) -> int:
    """Return the mode that *entry* has before it gets its ACL, or when it cannot get it.

    With an ACL, the group's bits of a mode are the most that anybody named in the ACL may do, and not the group's own.
    """
    acl = entry.xattrs.get(_ACCESS)
    if acl is None:
        return entry.mode
    pieces = acl[4 : 4 + (len(acl) - 4) // 8 * 8]
    rights: dict[int, int] = {tag: bits & 0o7 for tag, bits, _who in struct.iter_unpack("<HHI", pieces)}
    return entry.mode & ~0o070 | (rights.get(_GROUP, 0) & rights.get(_MASK, 0o7)) << 3


@contextmanager
def _no_umask() -> t.Iterator[None]:
    kept = os.umask(0)
    try:
        yield
    finally:
        os.umask(kept)


def _write_at(handle: int, offset: int, content: memoryview) -> None:
    while content:
        written = os.pwrite(handle, content, offset)
        offset += written
        content = content[written:]


def _is_below(path: bytes, directory: bytes) -> bool:
    return path.startswith(directory.rstrip(b"/") + b"/") and path != directory


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    """Return by what one file is told from all others, and from what it is after a change."""
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _proved(directory: int, name: bytes, entry: Entry, first: FirstName | None) -> tuple[int, int, int]:
    """Return the mark of the file *name*, which is what *entry* says to the last byte; *first* is how it was left."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime):
            raise DamageError("it is another file")
        mark = _mark(status)
        if first is None or (first.digest, first.mark) != (entry.digest, mark):
            reader = _ContentReader(file, entry)
            for _content in contents(entry, reader.read):
                pass
            reader.prove_holes()
    return mark


class _ContentReader:
    """Reads what is content of an *entry* from its *file*, one segment after the other."""

    def __init__(self, file: t.BinaryIO, entry: Entry) -> None:
        self._file = file
        self._entry = entry
        self._extents = iter(entry.extents)
        self._room = 0

    def read(self, place: Place) -> bytes:
        pieces: list[bytes] = []
        missing = place.size
        while missing > 0:
            while not self._room:
                offset, self._room = next(self._extents)
                self._file.seek(offset)
            pieces.append(self._file.read(min(missing, self._room)))
            if not pieces[-1]:
                break
            missing -= len(pieces[-1])
            self._room -= len(pieces[-1])
        return b"".join(pieces)

    def prove_holes(self) -> None:
        """Raise unless there are zeros wherever there is no content."""
        end = 0
        for offset, length in (*self._entry.extents, (self._entry.size, 0)):
            while end < offset:
                try:
                    end = os.lseek(self._file.fileno(), end, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                        return
                    raise
                content = os.pread(self._file.fileno(), max(0, min(_CHUNK, offset - end)), end)
                if content.strip(b"\0"):
                    raise DamageError("there is something in a hole")
                end += len(content) or 1
            end = offset + length


# What is asked for


class Selection:
    """The paths that are wanted: what *globs* match and whatever lies below it; without globs, everything."""

    def __init__(self, globs: t.Sequence[str]) -> None:
        self._patterns = [_pattern(glob) for glob in globs]

    def has(self, path: bytes) -> bool:
        text = path.decode("utf-8", "surrogateescape")
        return not self._patterns or any(pattern.match(text) for pattern in self._patterns)


def _pattern(glob: str) -> re.Pattern[str]:
    """Return the regular expression of *glob*, which is quick whatever the number of its wildcards.

    Where what follows a wildcard fits first, the rest fits, if it fits anywhere; so it is never gone back for. What
    follows, up to the next wildcard of its kind, is a group that is left once and for all: ``(?>...)`` in Python 3.11.
    """
    if not glob.startswith(("/", "**", _PARTS.decode("ascii"))):
        raise StopError(f"The path {shown(glob)} cannot be looked for: paths begin with a slash.", 2)
    pattern, groups = "", list[str]()
    for number, piece in enumerate(_GLOB.findall(glob.rstrip("/"))):
        if not piece.startswith("*"):
            pattern += "[^/]" if piece == "?" else re.escape(piece[-1])
            continue
        is_deep = piece.startswith("**")
        while groups and (is_deep or groups[-1].startswith("star")):
            pattern += f"))(?P={groups.pop()})"
        groups.append(f"{'deep' if is_deep else 'star'}{number}")
        means = ".*?" if is_deep else "[^/]*?"
        pattern += f"(?=(?P<{groups[-1]}>{means}" + ("(?<=/)" if piece.endswith("/") else "")
    closed = "".join(f"))(?P={group})" for group in reversed(groups))
    return re.compile(rf"{pattern}(?=/|\Z){closed}", re.DOTALL)


class Point:
    """A restore point and what is wrong with it; or a checkpoint, which has no number.

    *paths* are its manifests, of which the last that is whole counts: it was published anew when its content was moved
    to other volumes, and whoever copied the directory meanwhile may have the newer one without what it needs.
    """

    def __init__(self, job: Path, run: str, seq: int | None, paths: t.Sequence[Path]) -> None:
        self._job = job
        self._paths = paths
        self.run = run
        self.seq = seq
        self.notes: list[str] = []

    @property
    def name(self) -> str:
        return f"{self.run}, a checkpoint" if self.seq is None else f"{self.run}, number {self.seq}"

    @cached_property
    def _chosen(self) -> tuple[Manifest, tuple[str, ...]]:
        """The manifest that counts, and what is wrong with it."""
        found: list[tuple[Manifest, tuple[str, ...]]] = []
        for path in reversed(self._paths):
            manifest = Manifest(path)
            found.append((manifest, tuple(self._find_damage(manifest))))
            if not found[-1][1]:
                break
        whole = [each for each in found if not each[1]]
        readable = [each for each in found if each[0].header and each[0].summary]
        chosen = (whole or readable or found)[0]
        for manifest, damage in found[: found.index(chosen)]:
            self.notes.append(f"{manifest.path.name} is passed over for {chosen[0].path.name}: {damage[0]}")
        return chosen

    @property
    def manifest(self) -> Manifest:
        return self._chosen[0]

    @property
    def damage(self) -> tuple[str, ...]:
        """What is found wrong by reading all of the manifest, and of the volumes only their sizes."""
        return self._chosen[1]

    def volumes_of(self, manifest: Manifest) -> Volumes:
        return Volumes(self._job, manifest.header.pool if manifest.header else None)

    def _find_damage(self, manifest: Manifest) -> t.Iterator[str]:
        found, sizes = manifest.find_damage()
        yield from found
        volumes = self.volumes_of(manifest)
        count = 0
        for name, size in sizes.items():
            problem = volumes.problem_of(name, size)
            count += problem is not None
            if problem is not None and count <= _LOSSES_NAMED:
                yield problem
        if count > _LOSSES_NAMED:
            yield f"{count - _LOSSES_NAMED:,} more volumes are missing or do not have their size"

    @property
    def state(self) -> str:
        summary = self.manifest.summary
        states = ["unknown" if summary is None else "complete" if summary.complete else "partial"]
        if self.seq is not None and self.manifest.path.with_name(f"{self.seq:06d}.keep").exists():
            states.append("protected")
        states += ["DAMAGED"] if self.damage else []
        return ", ".join(states)


@dataclass(frozen=True)
class Job:
    """What a job's directory holds, each oldest first; checkpoints are no restore points."""

    directory: Path
    points: tuple[Point, ...]
    checkpoints: tuple[Point, ...]


def read_job(directory: Path) -> Job:
    """Return what lies in the *directory* of a job."""
    if not (directory / "points").is_dir():
        problem = "is not the directory of a job: it has no directory 'points'"
        raise StopError(f"{directory} {problem}. Name the one that holds job.json.", 2)
    manifests: dict[tuple[int, str], list[tuple[int, Path]]] = {}
    checkpoints: list[tuple[str, int, Path]] = []
    for path in (directory / "points").glob("*/*"):
        name, checkpoint = _MANIFEST.fullmatch(path.name), _CHECKPOINT.fullmatch(path.name)
        if name and path.is_file():
            generations = manifests.setdefault((int(name["seq"]), name["run"]), [])
            generations.append((int(name["generation"] or 1), path))
        elif checkpoint and path.is_file():
            checkpoints.append((checkpoint["run"], int(checkpoint["number"]), path))
    return Job(
        directory,
        tuple(
            Point(directory, run, seq, [path for _generation, path in sorted(generations)])
            for (seq, run), generations in sorted(manifests.items())
        ),
        tuple(Point(directory, run, None, [path]) for run, _number, path in sorted(checkpoints)),
    )


def choose(job: Job, wanted: str) -> Point:
    """Return the one that *wanted* names: an id, a sequence number, or ``latest``, the newest that is not damaged.

    ``checkpoint`` is the newest of these.
    """
    if wanted in ("latest", "checkpoint"):
        points = job.points if wanted == "latest" else job.checkpoints
        whole = (point for point in reversed(points) if not point.damage)
        found = [next(whole, points[-1])] if points else []
    else:
        number = wanted.lstrip("0")
        found = [point for point in job.points if wanted == point.run or number == str(point.seq)]
    if len(found) != 1:
        problem = "several restore points" if found else "no restore point"
        hint = "Run this without --point for a list."
        if job.checkpoints and not job.points:
            hint = _NO_RUN_HAS_ENDED
        raise StopError(f"There is {problem} called {shown(wanted)} here. {hint}", 2)
    return found[0]


def show_job(job: Job, report: Report) -> None:
    """Write the list of restore points, and what is wrong with them."""
    rows = [("SEQ", "ID", "DATE", "POOL", "STRUCTURE", "ENTRIES", "BYTES", "STATE"), *map(_row, job.points)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n")
    sys.stdout.flush()
    for point in job.points:
        for note in point.notes:
            report.note(f"{point.seq} {point.run}: {note}")
        for damage in point.damage:
            report.lose(f"{point.seq} {point.run}", damage)
    for path in sorted(job.directory.glob("*/damage.json")):
        report.note(f"{path} tells where a check has found broken content; restoring proves everything anyway.")
    if job.checkpoints and not job.points:
        report.note(_NO_RUN_HAS_ENDED)


def _row(point: Point) -> tuple[str, ...]:
    header, summary = point.manifest.header, point.manifest.summary
    known = (shown(header.started), header.pool, shown(header.structure)) if header else ("?", "?", "?")
    amounts = (f"{summary.entries:,}", f"{summary.bytes:,}") if summary else ("?", "?")
    return (str(point.seq), point.run, *known, *amounts, point.state)


def restore_point(point: Point, target: Path, globs: t.Sequence[str], *, numeric: bool) -> int:
    """Bring *point* back below *target*, and return the exit code."""
    report = Report()
    manifest = point.manifest
    if manifest.is_unknown:
        raise StopError(f"{point.run} cannot be restored: {manifest.notes[-1]}.", 2)
    selection = Selection(globs)
    _warn(point, report)
    goal = Target(target)
    restorer = Restorer(goal, point.volumes_of(manifest), Owners(numeric=numeric), report)
    try:
        for entry in manifest.entries(report):
            restorer.restore(entry, wanted=selection.has(entry.path))
    finally:
        restorer.finish()
        goal.close()
    if restorer.xattrs_left_out:
        report.note(f"{restorer.xattrs_left_out:,} extended attributes could not be set here.")
    if globs and not restorer.count:
        report.lose(point.run, "nothing in this restore point matches --path")
    amount = f"{restorer.count:,} entries with {restorer.bytes:,} bytes of content"
    sys.stdout.write(f"Restored {amount} from {point.run} to {target}.\n")
    if report.losses:
        report.note(f"{report.losses:,} problems are named above.")
    return 1 if report.losses else 0


def _warn(point: Point, report: Report) -> None:
    """Say beforehand what this restore point cannot bring back, and what is wrong with it."""
    header, summary = point.manifest.header, point.manifest.summary
    report.note(f"Restoring {point.name}: {point.state}.")
    for note in (*point.notes, *point.damage):
        report.note(f"Warning: {note}.")
    if summary is None:
        report.losses += 1
    elif point.seq is None:
        report.note("Warning: the run did not end, so this is not complete: what comes later in order is missing.")
    elif not summary.complete:
        report.note("Warning: not everything could be read when this backup was made.")
    for left_out in header.left_out if header else ():
        report.note(f"Left out on purpose: {shown(left_out)}")
    for path, problem in summary.problems if summary else ():
        report.note(f"Not in this backup: {shown(path)}: {shown(problem)}")


def _arguments(words: t.Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="recover.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", type=Path, metavar="JOBDIRECTORY", help="a downloaded copy of a job's directory")
    parser.add_argument("--point", metavar="ID|SEQ|latest|checkpoint", help="the restore point to bring back")
    parser.add_argument("--target", type=Path, metavar="DIRECTORY", help="what to restore into; made if need be")
    parser.add_argument("--path", action="append", default=[], metavar="GLOB", help="bring back only what matches")
    parser.add_argument("--numeric", action="store_true", help="owners by their numbers, whatever their names")
    arguments = parser.parse_args(words)
    if (arguments.point is None) != (arguments.target is None) or (arguments.path and arguments.point is None):
        parser.error("to restore, give both --point and --target; to list, give neither")
    return arguments


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    job = read_job(arguments.job)
    if arguments.point is not None:
        point = choose(job, arguments.point)
        return restore_point(point, arguments.target, arguments.path, numeric=arguments.numeric)
    report = Report()
    show_job(job, report)
    return 1 if report.losses else 0


def main(words: t.Sequence[str]) -> int:
    """Run the program with the command line *words*, and return the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return run(_arguments(words))
    except StopError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except (OSError, DamageError) as error:
        sys.stderr.write(f"Stopped: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What is restored is whole; run this again to get the rest.\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
