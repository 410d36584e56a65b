# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is, and the restore points that it has: ``docs/format.md``, sections 1 and 3."""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import asdict, dataclass

from ..errors import DamageError, MissingError, told_as
from ..private_files import make_private_directory
from . import names
from .entries import FORMAT
from .manifest import ManifestReader

if t.TYPE_CHECKING:
    from pathlib import Path as LocalPath

    from ..storage import Path, Storage
    from .entries import Header, Trailer

JOB_FILE = "job.json"
_FETCH = 1024 * 1024


@dataclass(frozen=True)
class JobFile:
    """What stands in ``job.json``: the exact names, and the client that the job is bound to."""

    client: str
    job: str
    client_id: str
    structure: str
    format: int = FORMAT

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode("ascii") + b"\n"


def read_job_file(storage: Storage, directory: Path) -> JobFile | None:
    """Return what stands in the ``job.json`` of *directory*, or None if there is no such job."""
    path = directory / JOB_FILE
    try:
        text = storage.read(path)
    except MissingError:
        return None
    try:
        values = json.loads(text)
        texts = {name: values[name] for name in ("client", "job", "client_id", "structure")}
        if not all(isinstance(value, str) for value in texts.values()):
            raise TypeError("a name that is no text")
        job = JobFile(**texts, format=values["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError(f"The file {path} on the storage is damaged: it does not describe a job.") from error
    if job.format != FORMAT:
        raise DamageError(f"The job in {directory} has format {job.format}, which this version does not know.")
    return job


@dataclass(frozen=True)
class StoredPoint:
    """A restore point as it is listed on the storage."""

    seq: int
    run: str
    path: Path
    size: int
    is_protected: bool


@dataclass(frozen=True)
class PointListing:
    """What lies in a job's ``points``: restore points in order, what a run meant to delete, and temporary files."""

    points: tuple[StoredPoint, ...]
    gone: tuple[Path, ...]
    temporary: tuple[Path, ...]

    @property
    def next_seq(self) -> int:
        return self.points[-1].seq + 1 if self.points else 1


def list_points(storage: Storage, job: Path) -> PointListing:
    """Return what lies in the ``points`` of the *job*'s directory."""
    found: list[tuple[int, str, Path, int]] = []
    protected: set[int] = set()
    gone: list[Path] = []
    temporary: list[Path] = []
    for month in storage.list_directory(job / "points"):
        directory = job / "points" / month.name
        for entry in storage.list_directory(directory) if month.is_directory else ():
            parsed = names.parse_manifest_name(entry.name)
            path = directory / entry.name
            if parsed is not None:
                found.append((*parsed, path, entry.size))
            elif entry.name.endswith(".keep") and path.stem.isdigit():
                protected.add(int(path.stem))
            elif entry.name.endswith(".gone") and path.stem.isdigit():
                gone.append(path)
            elif names.is_temporary(entry.name):
                temporary.append(path)
    points = tuple(StoredPoint(seq, run, path, size, seq in protected) for seq, run, path, size in sorted(found))
    return PointListing(points, tuple(gone), tuple(temporary))


@dataclass(frozen=True)
class ReadPoint:
    """A restore point whose manifest was read and proved right."""

    stored: StoredPoint
    header: Header
    trailer: Trailer

    @property
    def seq(self) -> int:
        return self.stored.seq

    @property
    def volumes(self) -> frozenset[str]:
        """The volumes it needs, with their pool: ``s01/v00/NAME``."""
        return frozenset(f"{self.header.pool}/{name}" for name in self.trailer.volumes)


class ManifestCache:
    """Copies of manifests on this host; what bears a run's id never changes, so a copy never ages.

    New copies go to *directory*; those in *older* serve, too, and are left as they are.
    """

    def __init__(self, directory: LocalPath, older: LocalPath | None = None) -> None:
        self.directory = directory
        self._older = older

    def path_of(self, stored: StoredPoint) -> LocalPath:
        """Return where the copy of *stored* lies, or will lie."""
        older = self._older / stored.path.name if self._older is not None else None
        return older if older is not None and _has_size(older, stored.size) else self.directory / stored.path.name

    def has(self, stored: StoredPoint) -> bool:
        """Tell whether there is a copy of *stored*, of its size."""
        return _has_size(self.path_of(stored), stored.size)

    def reader(self, storage: Storage, stored: StoredPoint) -> ManifestReader:
        """Return the manifest of *stored* from the copy, which is fetched first if there is none."""
        local = self.path_of(stored)
        if not self.has(stored):
            local = self.directory / stored.path.name
            self._fetch(storage, stored, local)
        try:
            return open_manifest(local)
        except DamageError:
            if local.parent == self.directory:
                local.unlink()  # our copy, or what it was copied from: the next look fetches it anew
            raise

    def _fetch(self, storage: Storage, stored: StoredPoint, local: LocalPath) -> None:
        aside = local.with_name(f"{local.name}.{os.getpid()}.tmp")
        with told_as(f"Cannot keep a copy of the manifest {stored.path.name} in {self.directory}"):
            make_private_directory(self.directory)
            with aside.open("wb") as file, storage.open(stored.path) as remote:
                while piece := remote.read(_FETCH):
                    file.write(piece)
            aside.replace(local)

    def read(self, storage: Storage, stored: StoredPoint) -> ReadPoint:
        """Return *stored* with its header and trailer."""
        reader = self.reader(storage, stored)
        return ReadPoint(stored, reader.header, reader.trailer)

    def keep_only(self, points: t.Iterable[StoredPoint]) -> None:
        """Forget the copies of all manifests but those of *points*."""
        wanted = {point.path.name for point in points}
        if self.directory.is_dir():
            for local in self.directory.iterdir():
                if names.parse_manifest_name(local.name) is not None and local.name not in wanted:
                    local.unlink()


def _has_size(local: LocalPath, size: int) -> bool:
    return local.exists() and local.stat().st_size == size


def open_manifest(local: LocalPath) -> ManifestReader:
    """Return a reader of the manifest in the file *local*, which is opened anew for each piece."""

    def read_at(offset: int, length: int) -> bytes:
        with told_as(f"Cannot read the manifest {local}"), local.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return ManifestReader(read_at, local.stat().st_size, local.name)


def open_remote_manifest(storage: Storage, stored: StoredPoint) -> ManifestReader:
    """Return a reader that fetches only those pieces of a manifest that are asked for."""
    return ManifestReader(
        lambda offset, length: storage.read(stored.path, offset, length), stored.size, stored.path.name
    )
