# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays restore points with content in a directory: as a backup would, or as nobody should.

It writes JSON and gzip by itself, so that what no backup writes can be laid as well.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import order_key, path_bytes
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import footer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import JOB_FILE, JobFile

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What may stand in JSON, and in the options of tests.
Value = t.Any
Json = dict[str, Value]

MTIME = 1_700_000_000_123_456_789
SEGMENT = 8 * 1024 * 1024


class Volume:
    """A volume that is being packed: frames of one segment each, behind a block where a tar header would be."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stored = bytearray()
        self.segments = 0
        self.content = 0

    def put(self, segment: bytes, *, with_digest: bool) -> list[t.Any]:
        """Pack *segment* and return its place."""
        self.segments += 1
        self.content += len(segment)
        digest = [hashlib.sha256(segment).hexdigest()] if with_digest else []
        offset = len(self.stored)
        if self.name.endswith(".tar"):
            self.stored += bytes(512) + segment + bytes(-len(segment) % 512)
            return [self.name, offset + 512, len(segment), 0, len(segment), *digest]
        frame = gzip.compress(bytes(512) + segment + bytes(-len(segment) % 512), 1, mtime=0)
        self.stored += frame
        return [self.name, offset, len(frame), 512, len(segment), *digest]

    @property
    def use(self) -> list[int]:
        return [self.segments, len(self.stored), self.content, self.content]


class LaidJob:
    """A job in the *directory* of a server's disk; each restore point has a pool of its own."""

    def __init__(self, directory: Path, client: str = "web01", job: str = "nightly") -> None:
        self.directory = directory / names.job_directory(client, job)
        self.client = client
        self.job = job
        self.seq = 0
        self.volumes: dict[str, Volume] = {}
        self.begin()
        self._write(JOB_FILE, JobFile(client, job, "c0ffee", "incremental").to_json())

    def begin(self) -> None:
        """Begin another restore point."""
        self.seq += 1
        self.run = f"202611{self.seq:02d}t030000z-{self.seq:06x}"
        self.pool = names.slot_name(self.seq)
        self.volumes = {}

    def _write(self, name: str, content: bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    # -- entries

    def volume(self, number: int = 0, suffix: str = ".tar.gz") -> Volume:
        name = f"v00/{self.run}-{number:06d}{suffix}"
        return self.volumes.setdefault(name, Volume(name))

    def file(
        self, path: str, content: bytes = b"", volume: Volume | None = None, segment: int = SEGMENT, **more: Value
    ) -> Json:
        """Return the entry of a file with this *content*, in segments of that size."""
        segments = [content[start : start + segment] for start in range(0, len(content), segment)]
        packed = volume or self.volume()
        many = len(segments) > 1
        at = [packed.put(piece, with_digest=many) for piece in segments]
        total = b"".join(hashlib.sha256(piece).digest() for piece in segments) if many else content
        digest = hashlib.sha256(total).hexdigest()
        return {**entry(path, "f"), "s": len(content), "h": digest, "ino": "1:1", "ct": MTIME, "at": at, **more}

    # -- restore points

    def add(
        self,
        entries: Iterable[Json],
        *,
        in_order: bool = False,
        a_block: int = 1000,
        header: Json | None = None,
        trailer: Json | None = None,
    ) -> Path:
        """Lay a restore point that shows *entries*, as they come where they are *in_order*; return its manifest.

        *header* and *trailer* are what stands there instead of what should.
        """
        shown = list(entries)
        if not in_order:
            shown.sort(key=lambda values: order_key(path_bytes(values["p"])))
        head = {**self.header_of(self.run, self.seq, self.client, self.job), **(header or {})}
        paths = head["paths"] if isinstance(head["paths"], list) else []
        blocks = [shown[start : start + a_block] for start in range(0, len(shown), a_block)]
        members = [_member([head]), *(_member(block) for block in blocks)]
        firsts = ["", *(block[0]["p"] for block in blocks)]
        offset, table = 0, []
        for member, first in zip(members, firsts):
            table.append([offset, len(member), first, hashlib.sha256(member).hexdigest()])
            offset += len(member)
        tail = {
            "entries": len(shown),
            "bytes": sum(values["s"] for values in shown if values["t"] == "f" and isinstance(values["s"], int)),
            "complete": True,
            "problems": [],
            "parts": [["files", path, len(shown), 0] for path in paths],
            "volumes": {volume.name: volume.use for volume in self.volumes.values()},
            "blocks": table,
            **(trailer or {}),
        }
        manifest = b"".join([*members, _member([{"trailer": tail}]), footer(offset, 0)])
        for volume in self.volumes.values():
            self._write(f"{self.pool}/{volume.name}", bytes(volume.stored))
        name = names.manifest_path(PurePosixPath(), self.seq, self.run)
        self._write(str(name), manifest)
        return self.directory / name

    @staticmethod
    def header_of(run: str, seq: int, client: str = "web01", job: str = "nightly") -> Json:
        """Return a header as a backup would write it."""
        return {
            "format": 1,
            "run": run,
            "seq": seq,
            "client": client,
            "job": job,
            "structure": "incremental",
            "pool": names.slot_name(seq),
            "started": f"2026-11-{seq:02d}T03:00:00Z",
            "paths": ["/srv"],
            "definition": "d",
            "tool": "0.1.0",
            "rules": {"exclude": [], "one_file_system": False, "caches": False, "marker": None},
            "generation": 1,
            "encryption": None,
        }


def entry(path: str, kind: str = "d", **more: Value) -> Json:
    """Return an entry without content, which belongs to whoever runs the test."""
    mode = 0o755 if kind == "d" else 0o644
    owner = {"m": mode, "u": os.geteuid(), "g": os.getegid(), "un": "", "gn": "", "mt": MTIME}
    return {"p": path, "t": kind, **owner, **more}


def link(path: str, target: str, **more: Value) -> Json:
    return entry(path, "l", to=target, **more)


def hard_link(path: str, first: Json) -> Json:
    """Return the entry of another name of the file *first*."""
    return {**first, "p": path, "t": "h", "to": first["p"]}


def attributes(**values: bytes) -> Json:
    """Return what an entry says of extended attributes; two underscores stand for a dot."""
    return {"x": {name.replace("__", "."): base64.b64encode(value).decode() for name, value in values.items()}}


def _member(lines: Sequence[Json]) -> bytes:
    return gzip.compress(b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines), 4, mtime=0)
