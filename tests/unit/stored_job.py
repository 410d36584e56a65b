# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays restore points on a storage as a backup does, but without volumes."""

from __future__ import annotations

import hashlib
import itertools
import typing as t
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    DIRECTORY,
    FILE,
    Entry,
    Header,
    Part,
    Place,
    Problem,
    order_key,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import (
    ManifestReader,
    ManifestWriter,
    VolumeSize,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import (
    JOB_FILE,
    JobFile,
    ReadPoint,
    StoredPoint,
    list_points,
    open_remote_manifest,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path
    from tests.unit.storage_fake import FakeStorage

BEGINNING = datetime(2026, 11, 1, 3, tzinfo=timezone.utc)


def file(path: str | bytes, content: str = "", *, kind: str = FILE, mtime: int = 10**18, target: bytes = b"") -> Entry:
    """Return the entry of a file with this *content*."""
    raw = path if isinstance(path, bytes) else path.encode()
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Entry(raw, kind, 0o644, 0, 0, "root", "root", mtime, len(content), digest, target=target)


def other(path: str, kind: str = DIRECTORY, *, target: bytes = b"", mtime: int = 10**18) -> Entry:
    """Return the entry of something without content."""
    return Entry(path.encode(), kind, 0o755, 0, 0, "root", "root", mtime, target=target)


class StoredJob:
    """A job on *storage*, a restore point a day; there is no backup at work, so nothing has to be locked."""

    def __init__(self, storage: FakeStorage, client: str = "web01", job: str = "nightly") -> None:
        self.storage = storage
        self.client = client
        self.job = job
        self.structure = "incremental"
        self._runs = itertools.count(1)
        self.directory = names.job_directory(client, job)
        file = JobFile(client, job, "c0ffee", self.structure)
        self._write(self.directory / JOB_FILE, file.to_json())

    def _write(self, path: Path, content: bytes) -> None:
        self.storage.ensure_directories([parent for parent in reversed(path.parents) if parent.name])
        self.storage.delete([path])
        self.storage.write(path, lambda: [content])

    def add(
        self,
        *entries: Entry,
        seq: int | None = None,
        problems: Iterable[Problem] = (),
        parts: Sequence[Part] | None = None,
    ) -> StoredPoint:
        """Store a restore point that shows *entries*, and return it; without *parts* it has one, ``/srv``."""
        number = seq or list_points(self.storage, self.directory).next_seq
        started = BEGINNING + timedelta(days=number)
        run = names.run_id(started, f"{next(self._runs):06x}")
        pool = names.slot_name(number)
        header = Header(run, number, self.client, self.job, self.structure, pool, started, ("/srv",), "d", "0.1.0")
        self._publish(header, entries, tuple(problems), parts, {})
        return self.stored(number)

    def publish_anew(self, seq: int) -> StoredPoint:
        """Publish the next generation of a restore point, whose content lies in a volume of 4,096 bytes now."""
        before = self.stored(seq)
        reader = self.reader(before)
        volume = f"v00/{before.run}-000001.tar"
        entries = [
            entry._replace(places=(Place(volume, 0, entry.size, 0, entry.size),)) if entry.size else entry
            for entry in reader.entries()
        ]
        header = replace(reader.header, generation=before.generation + 1)
        trailer = reader.trailer
        self._publish(header, entries, trailer.problems, trailer.parts, {volume: VolumeSize(4096, 4096)})
        self.storage.delete([before.path])
        return self.stored(seq)

    def _publish(
        self,
        header: Header,
        entries: Sequence[Entry],
        listed: tuple[Problem, ...],
        parts: Sequence[Part] | None,
        volumes: dict[str, VolumeSize],
    ) -> None:
        pieces: list[bytes] = []
        writer = ManifestWriter(pieces.append, header)
        for entry in sorted(entries, key=lambda entry: order_key(entry.path)):
            writer.add(entry)
        had = (Part("files", "/srv", writer.entries, 7),) if parts is None else tuple(parts)
        writer.finish(complete=not listed, problems=listed, parts=had, volumes=volumes)
        path = names.manifest_path(self.directory, header.seq, header.run, header.generation)
        self._write(path, b"".join(pieces))

    def stored(self, seq: int) -> StoredPoint:
        (found,) = (point for point in list_points(self.storage, self.directory).points if point.seq == seq)
        return found

    def remove(self, *seqs: int) -> None:
        self.storage.delete([self.stored(seq).path for seq in seqs])

    def protect(self, seq: int) -> None:
        self._write(self.stored(seq).path.with_name(f"{seq:06d}.keep"), b"")

    def spoil(self, path: Path, at: int, content: bytes = b"????") -> None:
        """Overwrite what the file *path* holds *at* that byte."""
        before = self.storage.read(path)
        self._write(path, before[:at] + content + before[at + len(content) :])

    def points(self) -> list[ReadPoint]:
        """Return the restore points, as a backup reads them."""
        return [self._read(stored) for stored in list_points(self.storage, self.directory).points]

    def _read(self, stored: StoredPoint) -> ReadPoint:
        reader = self.reader(stored)
        return ReadPoint(stored, reader.header, reader.trailer)

    def reader(self, stored: StoredPoint) -> ManifestReader:
        return open_remote_manifest(self.storage, stored)
