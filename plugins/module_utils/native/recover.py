# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the restore points of a backup, and bring one back, with this file and Python 3.9 or newer and nothing else.

Download the directory of a job first: the one that holds job.json, points/ and s01/ or the like. Then::

    python3 recover.py JOBDIRECTORY
    python3 recover.py JOBDIRECTORY --point latest --target DIRECTORY
    python3 recover.py JOBDIRECTORY --point 42 --target DIRECTORY --path '/etc/**/*.conf' --path /home/anna

The first lists the restore points. The others bring one back below DIRECTORY: all of it, or what the globs match
and whatever lies below that. In a glob, ``*`` and ``?`` stop at a slash, ``**`` does not, and a backslash quotes.

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
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

FORMAT = 1
_CHUNK = 64 * 1024
_BLOCK_LIMIT = 64 * 1024 * 1024  # of a manifest's block, unpacked
_FRAME_LIMIT = 64 * 1024 * 1024  # of what is unpacked of a frame; writers stay far below
_FRAMES_KEPT = 4  # neighbours in a manifest are neighbours in a frame, of one volume or of a few
_GZIP = 31  # zlib's window bits for a gzip member
_GZIP_MAGIC = b"\x1f\x8b\x08"
_FOOTER = struct.Struct("<4sIBBH2sHQ10s")
_FOOTER_ENDS = (b"\x1f\x8b\x08\x04", 0, 0, 255, 12, b"FB", 8), b"\x03\x00" + bytes(8)
_MANIFEST = re.compile(r"(?P<seq>\d{6,})-(?P<run>\d{8}t\d{6}z-[0-9a-f]{6})\.manifest\.gz")
_REMOTE_NAME = r"[a-z0-9][a-z0-9._-]*"
_VOLUME = re.compile(rf"{_REMOTE_NAME}/{_REMOTE_NAME}\.tar(?:\.gz|\.zst)?")
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_LIMIT = 2**32 - 1  # this number itself means "leave it as it is"
_GLOB = re.compile(r"(?:(?<![^/])\*\*+/)+|\*+|\\?.", re.DOTALL)
_PARTS = b"parts:"  # what stands first in the path of a database dump and the like


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
    """Where one segment of a file lies: *size* bytes from *start* on in an unpacked frame of a volume."""

    volume: str
    offset: int
    length: int
    start: int
    size: int
    digest: str = ""


class Block(t.NamedTuple):
    """One gzip member of a manifest; *digest* is the SHA-256 of its stored bytes."""

    offset: int
    length: int
    first: bytes
    digest: str


@dataclass(frozen=True)
class Header:
    """What a run knew when it began."""

    client: str
    job: str
    structure: str
    pool: str
    started: str


@dataclass(frozen=True)
class Trailer:
    """What a run knew when it ended; *volumes* gives the size of each in bytes."""

    entries: int
    bytes: int
    complete: bool
    problems: tuple[tuple[str, str], ...]
    volumes: dict[str, int]
    blocks: tuple[Block, ...] = field(repr=False)


@dataclass(frozen=True)
class Entry:
    """One name of a restore point; *mtime* is in nanoseconds, *places* grows while continuation lines are read."""

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int
    size: int
    digest: str
    xattrs: tuple[tuple[str, bytes], ...]
    target: bytes
    device: tuple[int, int]
    places: list[Place]


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
    return Header(str(values["client"]), str(values["job"]), str(values["structure"]), pool, str(values["started"]))


def _parse_trailer(values: dict[str, t.Any]) -> Trailer:
    return Trailer(
        entries=_whole(values["entries"]),
        bytes=_whole(values["bytes"]),
        complete=values["complete"] is True,
        problems=tuple((str(path), str(problem)) for path, problem in values["problems"]),
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
    _whole(start + size, _FRAME_LIMIT)
    return Place(volume, _whole(offset), _whole(length, 2 * _FRAME_LIMIT), _whole(start), _whole(size), str(digest))


def _parse_entry(values: dict[str, t.Any]) -> Entry:
    major, minor = values.get("dev") or (0, 0)
    return Entry(
        path=to_path(values["p"]),
        kind=str(values["t"]),
        mode=_whole(values["m"], 0o10000),
        uid=_whole(values["u"], _OWNER_LIMIT),
        gid=_whole(values["g"], _OWNER_LIMIT),
        user=str(values["un"]),
        group=str(values["gn"]),
        mtime=int(values["mt"]),
        size=_whole(values.get("s", 0)),
        digest=str(values.get("h", "")),
        xattrs=tuple((str(name), base64.b64decode(value)) for name, value in values.get("x", {}).items()),
        target=to_path(values.get("to", "")),
        device=(_whole(major), _whole(minor)),
        places=_parse_places(values.get("at", ())),
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
    """The manifest of one restore point; what is wrong with it stands in *notes*, and what is left can be read."""

    def __init__(self, path: Path, seq: int, run: str) -> None:
        self.path = path
        self.seq = seq
        self.run = run
        self.notes: list[str] = []
        self.is_unknown = False
        with self._open() as file:
            self.trailer = self._find_trailer(file)
            self.header = self._find_header(file)

    def _open(self) -> t.BinaryIO:
        return self.path.open("rb")

    def _find_trailer(self, file: t.BinaryIO) -> Trailer | None:
        """Return the trailer by way of the footer, or, if that fails, by reading everything."""
        with suppress(DamageError):
            content, _length = read_member(file, _trailer_offset(file), _BLOCK_LIMIT)
            return _as_trailer(content)
        self.notes.append("the end of its manifest is damaged")
        for _offset, content_or_none in scan_members(file):
            if content_or_none is not None and content_or_none.startswith(b'{"trailer":'):
                with suppress(DamageError):
                    return _as_trailer(content_or_none)
        self.notes.append("its manifest has no trailer, so entries may be missing that nobody can name")
        return None

    def _find_header(self, file: t.BinaryIO) -> Header | None:
        try:
            content, _length = read_member(file, 0, _BLOCK_LIMIT)
            with _damage_told("the header of its manifest is damaged"):
                return _parse_header(json.loads(content))
        except DamageError as error:
            self.is_unknown = isinstance(error, UnknownFormatError)
            self.notes.append(str(error))
            return None

    def find_damage(self) -> list[str]:
        """Return what is wrong with the manifest itself, once each of its blocks is read."""
        with self._open() as file:
            found = list(self.notes)
            for block in self.trailer.blocks if self.trailer else ():
                try:
                    _read_block(file, block)
                except DamageError as error:
                    found.append(f"the block of its manifest at byte {block.offset:,} is damaged: {error}")
            return found

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
            if self.trailer is not None:
                yield from self._listed(file, self.trailer.blocks, report)
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
        *head, offset, tail = _FOOTER.unpack(end)
        if (tuple(head), tail) == _FOOTER_ENDS and offset < size:
            return int(offset)
    raise DamageError("it has no footer")


def _as_trailer(content: bytes) -> Trailer:
    with _damage_told("its trailer cannot be read"):
        return _parse_trailer(json.loads(content)["trailer"])


def _read_block(file: t.BinaryIO, block: Block) -> bytes:
    file.seek(block.offset)
    if hashlib.sha256(file.read(block.length)).hexdigest() != block.digest:
        raise DamageError("its bytes do not match their checksum")
    return read_member(file, block.offset, _BLOCK_LIMIT)[0]


# How content is read


class Frame(t.Protocol):
    """A piece of a volume that unpacks by itself."""

    def read(self, start: int, size: int) -> bytes:
        """Return up to *size* bytes from *start* on, without unpacking more than that takes."""


class PlainFrame:
    """A piece of a volume without compression."""

    def __init__(self, stored: bytes) -> None:
        self._stored = stored

    def read(self, start: int, size: int) -> bytes:
        return self._stored[start : start + size]


class GzipFrame:
    """A gzip member, unpacked as far as somebody asked."""

    def __init__(self, stored: bytes) -> None:
        self._rest = stored
        self._unpacker = zlib.decompressobj(_GZIP)
        self._content = bytearray()

    def read(self, start: int, size: int) -> bytes:
        missing = start + size - len(self._content)
        if missing > 0 and not self._unpacker.eof:
            try:
                self._content += self._unpacker.decompress(self._rest, missing)
            except zlib.error as error:
                raise DamageError("does not unpack") from error
            self._rest = self._unpacker.unconsumed_tail
        return bytes(self._content[start : start + size])


class ZstdFrame:
    """A frame that the program zstd unpacks."""

    def __init__(self, stored: bytes) -> None:
        self._stored = stored

    def read(self, start: int, size: int) -> bytes:
        program = shutil.which("zstd")
        if program is None:
            raise StopError("This backup is compressed with zstd: install the program zstd and run this again.", 2)
        with tempfile.TemporaryFile() as source:
            source.write(self._stored)
            source.seek(0)
            with subprocess.Popen(
                [program, "-d", "-c", "-q"], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                content = process.stdout.read(start + size) if process.stdout else b""
                process.kill()
        return content[start:]


_FRAMES: dict[str, t.Callable[[bytes], Frame]] = {".tar": PlainFrame, ".gz": GzipFrame, ".zst": ZstdFrame}


class Volumes:
    """The volumes of a job, read piece by piece; a *pool* that nobody knows any more is found by a volume's name."""

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

    def read(self, place: Place) -> bytes:
        """Return the content at *place*, proved by its digest if it has one of its own."""
        frame = self._frame(place)
        try:
            content = frame.read(place.start, place.size)
        except DamageError as error:
            raise DamageError(f"the volume {place.volume} {error} at byte {place.offset:,}") from error
        if len(content) != place.size:
            raise DamageError(f"the volume {place.volume} is cut off at byte {place.offset:,}")
        if place.digest and hashlib.sha256(content).hexdigest() != place.digest:
            raise _mismatch(place)
        return content

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
        if len(self._frames) > _FRAMES_KEPT:
            self._frames.popitem(last=False)
        return frame


def _mismatch(place: Place) -> DamageError:
    return DamageError(f"its content in the volume {place.volume} at byte {place.offset:,} does not match its checksum")


def contents(entry: Entry, read: t.Callable[[Place], bytes]) -> t.Iterator[bytes]:
    """Yield the content of *entry* as *read* finds it; what comes last proves that the whole was right.

    The digest of a file of several segments is that of its segments' digests.
    """
    digests: list[bytes] = []
    size = 0
    for place in entry.places:
        content = read(place)
        digests.append(hashlib.sha256(content).digest())
        size += len(content)
        yield content
    if size != entry.size:
        raise DamageError(f"its places hold {size:,} bytes instead of {entry.size:,}")
    whole = digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()
    if entry.digest and whole.hex() != entry.digest:
        if len(digests) == 1:
            raise _mismatch(entry.places[0])
        raise DamageError("its content does not match its checksum")


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


class Restorer:
    """Brings entries back below *target*, in the order of a manifest."""

    def __init__(self, target: Target, volumes: Volumes, owners: Owners, report: Report) -> None:
        self._target = target
        self._volumes = volumes
        self._owners = owners
        self._report = report
        self._above: list[Entry] = []
        self._made_above = 0
        self._directories: list[Entry] = []
        self.count = 0
        self.bytes = 0
        self.xattrs_left_out = 0

    def restore(self, entry: Entry, *, wanted: bool) -> None:
        """Bring *entry* back if it is *wanted*; else remember it for what may be wanted below it."""
        while self._above and not _is_below(entry.path, self._above[-1].path):
            self._above.pop()
        self._made_above = min(self._made_above, len(self._above))
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
            self._put_directory(directory, components(directory.path))

    def _put(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        if entry.kind == "d":
            self._put_directory(entry, parts)
        elif entry.kind == "f" or (entry.kind == "h" and not self._link(entry, parts)):
            self._put_file(entry, parts)
        elif entry.kind in "lcbp":
            self._put_node(entry, parts)
        elif entry.kind != "h":
            raise DamageError(f"entries of the kind {entry.kind!r} are not known")

    def _put_directory(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        self._target.make_directory(parts)
        self._directories.append(entry)
        self._made_above += 1

    def _put_file(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        with self._target.fresh(parts) as (parent, name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
                for content in contents(entry, self._volumes.read):
                    file.write(content)
                file.flush()
                self._dress(file.fileno(), entry)
        self.bytes += entry.size

    def _link(self, entry: Entry, parts: tuple[bytes, ...]) -> bool:
        """Make a hard link to the file that was restored under the first name; False if that is not there."""
        try:
            source = components(entry.target)
            if not source:
                return False
            with self._target.directory(source[:-1]) as directory:
                if not _holds(directory, source[-1], entry):
                    return False
                with self._target.fresh(parts) as (parent, name):
                    os.link(source[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        except (DamageError, OSError):
            return False  # then the content itself is written, or the reason comes up once more
        return True

    def _put_node(self, entry: Entry, parts: tuple[bytes, ...]) -> None:
        """Make a symbolic link, a device or a FIFO."""
        with self._target.fresh(parts) as (parent, name):
            if entry.kind == "l":
                os.symlink(entry.target, name, dir_fd=parent)
            elif entry.kind == "p":
                os.mkfifo(name, 0o600, dir_fd=parent)
            else:
                kind = stat.S_IFCHR if entry.kind == "c" else stat.S_IFBLK
                os.mknod(name, kind | 0o600, os.makedev(*entry.device), dir_fd=parent)
            if self._owners.is_root:
                os.chown(name, *self._owners.of(entry), dir_fd=parent, follow_symlinks=False)
            if entry.kind != "l":
                os.chmod(name, entry.mode, dir_fd=parent)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def finish(self) -> None:
        """Give the directories their owners, modes and times, the deepest first: whatever is made in one changes it."""
        for entry in reversed(self._directories):
            with self._named(entry), self._target.directory(components(entry.path)) as handle:
                self._dress(handle, entry)

    def _dress(self, handle: int, entry: Entry) -> None:
        """Give an open file or directory everything but its content."""
        owner = self._owners.of(entry)
        if self._owners.is_root:
            os.chown(handle, *owner)
        for name, value in entry.xattrs:
            self._set_xattr(handle, name, value)
        status = os.fstat(handle)
        is_owned = (status.st_uid, status.st_gid) == owner
        # To run with the rights of its owner is meant for the owner it had, and for nobody else.
        os.fchmod(handle, entry.mode if is_owned else entry.mode & ~(stat.S_ISUID | stat.S_ISGID))
        os.utime(handle, ns=(entry.mtime, entry.mtime))

    def _set_xattr(self, handle: int, name: str, value: bytes) -> None:
        try:
            if sys.platform == "linux":
                os.setxattr(handle, name, value)
                return
        except (OSError, ValueError):
            pass  # another file system, or not as root: the summary tells
        self.xattrs_left_out += 1


def _is_below(path: bytes, directory: bytes) -> bool:
    return path.startswith(directory.rstrip(b"/") + b"/") and path != directory


def _holds(directory: int, name: bytes, entry: Entry) -> bool:
    """Tell whether the file *name* is what *entry* says, to the last byte."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime):
            return False
        for _content in contents(entry, lambda place: file.read(place.size)):
            pass
    return True


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
    """A restore point and what is wrong with it."""

    def __init__(self, job: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.volumes = Volumes(job, manifest.header.pool if manifest.header else None)
        self.is_protected = manifest.path.with_name(f"{manifest.seq:06d}.keep").exists()

    @cached_property
    def damage(self) -> tuple[str, ...]:
        """What is found wrong by reading all of the manifest, and of the volumes only their sizes."""
        trailer = self.manifest.trailer
        found = self.manifest.find_damage()
        for name, size in trailer.volumes.items() if trailer else ():
            try:
                if not _VOLUME.fullmatch(name) or self.volumes.find(name).stat().st_size != size:
                    found.append(f"the volume {shown(name)} does not have its {size:,} bytes")
            except DamageError as error:
                found.append(str(error))
        return tuple(found)

    @property
    def state(self) -> str:
        trailer = self.manifest.trailer
        states = ["unknown" if trailer is None else "complete" if trailer.complete else "partial"]
        states += ["protected"] if self.is_protected else []
        states += ["DAMAGED"] if self.damage else []
        return ", ".join(states)


def list_points(job: Path) -> list[Point]:
    """Return the restore points in the directory *job*, oldest first."""
    if not (job / "points").is_dir():
        raise StopError(
            f"{job} is not the directory of a job: it has no directory 'points'. Name the one that holds job.json.", 2
        )
    found = []
    for path in (job / "points").glob("*/*"):
        name = _MANIFEST.fullmatch(path.name)
        if name and path.is_file():
            found.append(Point(job, Manifest(path, int(name["seq"]), name["run"])))
    return sorted(found, key=lambda point: (point.manifest.seq, point.manifest.run))


def choose(points: t.Sequence[Point], wanted: str) -> Point:
    """Return the one that *wanted* names: an id, a sequence number, or ``latest``, the newest that is not damaged."""
    if wanted == "latest":
        whole = (point for point in reversed(points) if not point.damage)
        found = [next(whole, points[-1])] if points else []
    else:
        found = [
            p for p in points if p.manifest.run == wanted or (wanted.isdecimal() and p.manifest.seq == int(wanted))
        ]
    if len(found) != 1:
        problem = "several restore points" if found else "no restore point"
        raise StopError(f"There is {problem} called {shown(wanted)} here. Run this without --point for a list.", 2)
    return found[0]


def show_points(points: t.Sequence[Point], report: Report) -> None:
    """Write the list of *points*, and what is wrong with them."""
    rows = [("SEQ", "ID", "DATE", "POOL", "STRUCTURE", "ENTRIES", "BYTES", "STATE"), *map(_row, points)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n")
    sys.stdout.flush()
    for point in points:
        for damage in point.damage:
            report.lose(f"{point.manifest.seq} {point.manifest.run}", damage)


def _row(point: Point) -> tuple[str, ...]:
    header, trailer = point.manifest.header, point.manifest.trailer
    known = (shown(header.started), header.pool, shown(header.structure)) if header else ("?", "?", "?")
    amounts = (f"{trailer.entries:,}", f"{trailer.bytes:,}") if trailer else ("?", "?")
    return (str(point.manifest.seq), point.manifest.run, *known, *amounts, point.state)


def restore_point(point: Point, target: Path, globs: t.Sequence[str], *, numeric: bool) -> int:
    """Bring *point* back below *target*, and return the exit code."""
    report = Report()
    manifest = point.manifest
    if manifest.is_unknown:
        raise StopError(f"{manifest.run} cannot be restored: {manifest.notes[-1]}.", 2)
    selection = Selection(globs)
    _warn(point, report)
    goal = Target(target)
    restorer = Restorer(goal, point.volumes, Owners(numeric=numeric), report)
    try:
        for entry in manifest.entries(report):
            restorer.restore(entry, wanted=selection.has(entry.path))
    finally:
        restorer.finish()
        goal.close()
    if restorer.xattrs_left_out:
        report.note(f"{restorer.xattrs_left_out:,} extended attributes could not be set here.")
    if globs and not restorer.count:
        report.lose(manifest.run, "nothing in this restore point matches --path")
    amount = f"{restorer.count:,} entries with {restorer.bytes:,} bytes of content"
    sys.stdout.write(f"Restored {amount} from {manifest.run} to {target}.\n")
    if report.losses:
        report.note(f"{report.losses:,} problems are named above.")
    return 1 if report.losses else 0


def _warn(point: Point, report: Report) -> None:
    """Say beforehand what this restore point cannot bring back, and what is wrong with it."""
    manifest = point.manifest
    report.note(f"Restoring {manifest.run}, number {manifest.seq}: {point.state}.")
    for note in point.damage:
        report.note(f"Warning: {note}.")
    if manifest.trailer is None:
        report.losses += 1
    elif not manifest.trailer.complete:
        report.note("Warning: not everything could be read when this backup was made.")
    for path, problem in manifest.trailer.problems if manifest.trailer else ():
        report.note(f"Not in this backup: {shown(path)}: {shown(problem)}")


def _arguments(words: t.Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="recover.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", type=Path, metavar="JOBDIRECTORY", help="a downloaded copy of a job's directory")
    parser.add_argument("--point", metavar="ID|SEQ|latest", help="the restore point to bring back")
    parser.add_argument("--target", type=Path, metavar="DIRECTORY", help="what to restore into; made if need be")
    parser.add_argument("--path", action="append", default=[], metavar="GLOB", help="bring back only what matches")
    parser.add_argument("--numeric", action="store_true", help="owners by their numbers, whatever their names")
    arguments = parser.parse_args(words)
    if (arguments.point is None) != (arguments.target is None) or (arguments.path and arguments.point is None):
        parser.error("to restore, give both --point and --target; to list, give neither")
    return arguments


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    points = list_points(arguments.job)
    if arguments.point is not None:
        point = choose(points, arguments.point)
        return restore_point(point, arguments.target, arguments.path, numeric=arguments.numeric)
    report = Report()
    show_points(points, report)
    return 1 if report.losses else 0


def main(words: t.Sequence[str]) -> int:
    """Run the program with the command line *words*, and return the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return run(_arguments(words))
    except StopError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except OSError as error:
        sys.stderr.write(f"Stopped: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What is restored is whole; run this again to get the rest.\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
