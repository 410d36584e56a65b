# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore point consists of: its header, its entries and its trailer, and how they stand in JSON.

Source: ``docs/format.md``, section 3.
"""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone

FORMAT = 1
FILE, DIRECTORY, SYMLINK, HARD_LINK = "f", "d", "l", "h"
CHARACTER_DEVICE, BLOCK_DEVICE, FIFO = "c", "b", "p"

DUMPS = b"parts:/"
FILES, DATABASE, DATABASE_USERS = "files", "database", "database_users"  # kinds of parts

_encode = json.JSONEncoder(separators=(",", ":")).encode
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Place(t.NamedTuple):
    """Where one segment's content lies: in a frame of a volume, *size* bytes from *start* on once it is unpacked.

    *digest* is the segment's SHA-256 in hex, empty where the file has but one segment.
    """

    volume: str
    offset: int
    length: int
    start: int
    size: int
    digest: str = ""


class Entry(t.NamedTuple):
    """One name of a restore point; times in nanoseconds since 1970, sizes in bytes.

    *extents* are the offset and length of each piece of a sparse file that is no hole, in order; its content is what
    lies in them, strung together. Of a file without holes there are none. *facts* is the JSON of what belongs to a dump
    and does not stand in it.
    """

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int
    size: int = 0
    digest: str = ""
    inode: str = ""
    ctime: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()
    target: bytes = b""
    device: tuple[int, int] | None = None
    places: tuple[Place, ...] = ()
    is_stale: bool = False
    is_racy: bool = False
    extents: tuple[tuple[int, int], ...] = ()
    facts: str = ""

    @property
    def has_content(self) -> bool:
        return self.kind in (FILE, HARD_LINK)


@dataclass(frozen=True)
class Rules:
    """What was left out on purpose: *exclude* as in a .gitignore, directories with a CACHEDIR.TAG or the *marker*."""

    exclude: tuple[str, ...] = ()
    one_file_system: bool = False
    caches: bool = False
    marker: str | None = None

    def to_json(self) -> dict[str, t.Any]:
        return {**asdict(self), "exclude": list(self.exclude)}

    @classmethod
    def from_json(cls, values: dict[str, t.Any]) -> Rules:
        return cls(tuple(values["exclude"]), values["one_file_system"], values["caches"], values["marker"])


@dataclass(frozen=True)
class Header:
    """What a run knew when it began; *generation* counts how often a manifest was published anew."""

    run: str
    seq: int
    client: str
    job: str
    structure: str
    pool: str
    started: datetime
    paths: tuple[str, ...]
    definition: str
    tool: str
    rules: Rules = Rules()
    generation: int = 1

    def to_line(self) -> bytes:
        values = {
            "format": FORMAT,
            "run": self.run,
            "seq": self.seq,
            "client": self.client,
            "job": self.job,
            "structure": self.structure,
            "pool": self.pool,
            "started": time_text(self.started),
            "paths": list(self.paths),
            "definition": self.definition,
            "tool": self.tool,
            "rules": self.rules.to_json(),
            "generation": self.generation,
            "encryption": None,
        }
        return _encode(values).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, values: dict[str, t.Any]) -> Header:
        return cls(
            run=values["run"],
            seq=values["seq"],
            client=values["client"],
            job=values["job"],
            structure=values["structure"],
            pool=values["pool"],
            started=parse_time(values["started"]),
            paths=tuple(values["paths"]),
            definition=values["definition"],
            tool=values["tool"],
            rules=Rules.from_json(values["rules"]),
            generation=values["generation"],
        )


class Problem(t.NamedTuple):
    """Something that could not be taken into the restore point."""

    path: str
    problem: str


class Part(t.NamedTuple):
    """A piece of a restore point that can be asked for by name; *size* in bytes."""

    kind: str
    name: str
    entries: int
    size: int


class VolumeUse(t.NamedTuple):
    """What a restore point needs of one volume, each segment counted once: how many, and how many bytes they hold.

    *stored* is the size of the volume on the storage, *content* the size of all segments that were packed into it, and
    *checksum* the CRC-32 of its bytes, 0 if that is not known.
    """

    segments: int
    stored: int
    live: int
    content: int
    checksum: int = 0


class Block(t.NamedTuple):
    """One gzip member of a manifest; *digest* is the SHA-256 of its stored bytes."""

    offset: int
    length: int
    first: bytes
    digest: str


@dataclass(frozen=True)
class Trailer:
    """What a run knew when it ended; *size* is that of all files, in bytes."""

    entries: int
    size: int
    complete: bool
    problems: tuple[Problem, ...]
    parts: tuple[Part, ...]
    volumes: dict[str, VolumeUse]
    blocks: tuple[Block, ...] = field(repr=False)

    def to_line(self) -> bytes:
        values = {
            "entries": self.entries,
            "bytes": self.size,
            "complete": self.complete,
            "problems": [list(problem) for problem in self.problems],
            "parts": [list(part) for part in self.parts],
            "volumes": {name: list(use) for name, use in self.volumes.items()},
            "blocks": [[b.offset, b.length, path_text(b.first), b.digest] for b in self.blocks],
        }
        return _encode({"trailer": values}).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, values: dict[str, t.Any]) -> Trailer:
        return cls(
            entries=values["entries"],
            size=values["bytes"],
            complete=values["complete"],
            problems=tuple(Problem(*problem) for problem in values["problems"]),
            parts=tuple(Part(*part) for part in values["parts"]),
            volumes={name: VolumeUse(*use) for name, use in values["volumes"].items()},
            blocks=tuple(
                Block(offset, length, path_bytes(first), sha) for offset, length, first, sha in values["blocks"]
            ),
        )


def entry_lines(entry: Entry, places_a_line: int) -> t.Iterator[bytes]:
    """Yield the lines of *entry*: one, and more where it has more than *places_a_line* places."""
    values: dict[str, object] = {
        "p": path_text(entry.path),
        "t": entry.kind,
        "m": entry.mode,
        "u": entry.uid,
        "g": entry.gid,
        "un": entry.user,
        "gn": entry.group,
        "mt": entry.mtime,
    }
    if entry.kind in (FILE, HARD_LINK):
        values.update(s=entry.size, h=entry.digest, ino=entry.inode, ct=entry.ctime)
        values["at"] = [_place_values(place) for place in entry.places[:places_a_line]]
    if entry.extents:
        values["map"] = [list(extent) for extent in entry.extents]
    if entry.target:
        values["to"] = path_text(entry.target)
    if entry.device is not None:
        values["dev"] = list(entry.device)
    if entry.xattrs:
        values["x"] = {name: base64.b64encode(value).decode("ascii") for name, value in entry.xattrs}
    if entry.is_stale:
        values["stale"] = True
    if entry.is_racy:
        values["racy"] = True
    if entry.facts:
        values["dump"] = json.loads(entry.facts)
    yield _encode(values).encode("ascii") + b"\n"
    for number, start in enumerate(range(places_a_line, len(entry.places), places_a_line), 1):
        more = {
            "p": values["p"],
            "n": number,
            "at": [_place_values(place) for place in entry.places[start : start + places_a_line]],
        }
        yield _encode(more).encode("ascii") + b"\n"


def entry_from_json(values: dict[str, t.Any]) -> Entry:
    """Return the entry of a line that is no continuation."""
    device = values.get("dev")
    xattrs = values.get("x")
    return Entry(
        path_bytes(values["p"]),
        values["t"],
        values["m"],
        values["u"],
        values["g"],
        values["un"],
        values["gn"],
        values["mt"],
        values.get("s", 0),
        values.get("h", ""),
        values.get("ino", ""),
        values.get("ct", 0),
        tuple((name, base64.b64decode(value)) for name, value in xattrs.items()) if xattrs else (),
        path_bytes(values.get("to", "")),
        (device[0], device[1]) if device else None,
        places_from_json(values.get("at", ())),
        values.get("stale", False),
        values.get("racy", False),
        tuple([(extent[0], extent[1]) for extent in values["map"]]) if "map" in values else (),
        _encode(values["dump"]) if "dump" in values else "",
    )


def places_from_json(values: t.Iterable[list[t.Any]]) -> tuple[Place, ...]:
    """Return the places of an `at`."""
    return tuple([Place(*place) for place in values])


def _place_values(place: Place) -> list[object]:
    return list(place if place.digest else place[:5])


def digest_of_segments(digests: list[str]) -> str:
    """Return the digest of a file from those of its segments: of one its own, of several the digest of them all."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def order_key(path: bytes) -> bytes:
    """Return what sorts paths component by component: the order of a manifest's entries."""
    return path.replace(b"/", b"\0")


def dump_path(kind: str, name: str) -> bytes:
    """Return the path of the dump *name*, which may have several components: a path that no file has."""
    return DUMPS + path_bytes(f"{kind}/{name}")


def is_dump(path: bytes) -> bool:
    """Tell whether *path* is that of a dump, and of no file that lay on a disk."""
    return path.startswith(DUMPS)


def dump_part(path: bytes) -> tuple[str, str]:
    """Return kind and name of the part that the dump at *path* is."""
    kind, _slash, name = path_text(path[len(DUMPS) :]).partition("/")
    return kind, name


def place_below(path: bytes) -> bytes:
    """Return where below a target the entry at *path* is put: dumps have a directory of their own there."""
    return path if path.startswith(b"/") else b"/" + path


def path_text(path: bytes) -> str:
    """Return *path* for JSON; bytes that are not UTF-8 stand as lone surrogates."""
    return path.decode("utf-8", "surrogateescape")


def path_bytes(text: str) -> bytes:
    """Return the path that :func:`path_text` gave."""
    return text.encode("utf-8", "surrogateescape")


def time_text(moment: datetime) -> str:
    """Return *moment* in ISO 8601, UTC, whole seconds."""
    return moment.astimezone(timezone.utc).strftime(_TIME)


def fine_time_text(nanoseconds: int) -> str:
    """Return a time of a file in ISO 8601, UTC, with as much of a second as it has."""
    seconds, part = divmod(nanoseconds, 10**9)
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime(_TIME)
    return f"{whole[:-1]}.{part:09d}".rstrip("0") + "Z" if part else whole


def parse_time(text: str) -> datetime:
    """Return the moment that :func:`time_text` gave."""
    return datetime.strptime(text, _TIME).replace(tzinfo=timezone.utc)
