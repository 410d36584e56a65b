# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is, and the restore points that it has: ``docs/format.md``, sections 1 and 3."""

from __future__ import annotations

import json
import os
import re
import time
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from ..errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    LocalError,
    MissingError,
    UnreachableError,
    told_as,
)
from ..private_files import is_alive, make_private_directory
from ..side_by_side import each
from . import names
from .entries import FORMAT
from .manifest import ManifestReader

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path as LocalPath

    from ..storage import Path, RemoteEntry, Storage
    from .entries import Header, Trailer

    Manifest = t.TypeVar("Manifest")

JOB_FILE = "job.json"
_FETCH = 1024 * 1024
_ATTEMPTS = 4
_COPY = re.compile(r".+\.manifest\.gz\.(?P<process>\d+)\.tmp")


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
    generation: int = 1


@dataclass(frozen=True)
class PointListing:
    """What lies in a job's ``points``.

    Restore points in order, what a run meant to delete, temporary files, and the months without anything else;
    the pools of which something is noted to be broken; manifests whose restore point was published anew
    since, and checkpoints (without a number of their own), the newest last.
    """

    points: tuple[StoredPoint, ...]
    gone: tuple[Path, ...]
    temporary: tuple[Path, ...]
    empty_months: tuple[Path, ...]
    broken_pools: frozenset[str] = frozenset()
    superseded: tuple[StoredPoint, ...] = ()
    checkpoints: tuple[StoredPoint, ...] = ()

    @property
    def next_seq(self) -> int:
        return self.points[-1].seq + 1 if self.points else 1


def list_points(storage: Storage, job: Path, months: Collection[str] = ()) -> PointListing:
    """Return what lies in the ``points`` of the *job*'s directory; it is quicker where *months* are those there are."""
    found: list[tuple[names.ManifestName, Path, int]] = []
    protected: set[int] = set()
    gone: list[Path] = []
    temporary: list[Path] = []
    empty_months: list[Path] = []
    checkpoints: list[tuple[str, int, Path, int]] = []
    top, listed = _listed(storage, job / "points", months)
    for directory, entries in listed.items():
        if all(names.is_temporary(entry.name) for entry in entries):
            empty_months.append(directory)
        for entry in entries:
            parsed = names.parse_manifest_name(entry.name)
            path = directory / entry.name
            checkpoint = names.parse_checkpoint_name(entry.name)
            if parsed is not None:
                found.append((parsed, path, entry.size))
            elif checkpoint is not None:
                checkpoints.append((*checkpoint, path, entry.size))
            elif entry.name.endswith(".keep") and path.stem.isdecimal():
                protected.add(int(path.stem))
            elif entry.name.endswith(".gone") and path.stem.isdecimal():
                gone.append(path)
            elif names.is_temporary(entry.name):
                temporary.append(path)
    manifests = [
        StoredPoint(name.seq, name.run, path, size, name.seq in protected, name.generation)
        for name, path, size in sorted(found)
    ]
    newest = {(point.seq, point.run): point for point in manifests}  # of several generations, the last one counts
    return PointListing(
        tuple(newest.values()),
        tuple(gone),
        tuple(temporary),
        tuple(empty_months),
        frozenset(entry.name[: -len(names.DAMAGE)] for entry in top if entry.name.endswith(names.DAMAGE)),
        tuple(point for point in manifests if newest[point.seq, point.run] is not point),
        tuple(StoredPoint(0, run, path, size, is_protected=False) for run, _number, path, size in sorted(checkpoints)),
    )


def _listed(
    storage: Storage, points: Path, guessed: Collection[str]
) -> tuple[list[RemoteEntry], dict[Path, list[RemoteEntry]]]:
    """Return what lies in *points*, and in each directory there; those that were *guessed* are listed at once."""
    asked = [points, *(points / month for month in sorted(guessed))]
    listed = dict(zip(asked, each(storage.list_directory, asked)))
    top = listed.pop(points)
    there = [points / month.name for month in top if month.is_directory]
    late = [month for month in there if month not in listed]
    listed.update(zip(late, each(storage.list_directory, late)))
    return top, {month: listed[month] for month in there}


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
    def is_checkpoint(self) -> bool:
        return self.stored.seq == 0

    @property
    def pool(self) -> str:
        return self.header.pool

    @property
    def volumes(self) -> frozenset[str]:
        """The volumes it needs, with their pool: ``s01/v00/NAME``."""
        return frozenset(f"{self.header.pool}/{name}" for name in self.trailer.volumes)


class ManifestCache:
    """Copies of manifests on this host; what bears a run's id never changes, so a copy never ages.

    New copies go to *directory*; those in *older* serve, too, and are left as they are. A copy that is damaged is
    replaced by a new one, once, so what is damaged then is so on the storage.
    """

    def __init__(
        self,
        directory: LocalPath,
        older: LocalPath | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.directory = directory
        self._older = older
        self._pause = pause
        self._fetched: set[str] = set()

    def path_of(self, stored: StoredPoint) -> LocalPath:
        """Return where the copy of *stored* lies, or will lie."""
        own = self.directory / stored.path.name
        older = self._older / stored.path.name if self._older is not None else own
        return older if _has_size(older, stored.size) and not _has_size(own, stored.size) else own

    def has_any(self) -> bool:
        """Tell whether there is a copy of anything: then the job was known to this host."""
        return any(True for _name in self._names())

    def months(self) -> set[str]:
        """Return the year and month of each restore point that there is a copy of."""
        return {name.run[:6] for name in self._names()}

    def newest(self) -> names.ManifestName | None:
        """Return the name of the newest restore point that there is a copy of."""
        return max(self._names(), default=None)

    def _names(self) -> Iterator[names.ManifestName]:
        with told_as(f"Cannot look into {self.directory}"), suppress(FileNotFoundError):
            for local in self.directory.iterdir():
                name = names.parse_manifest_name(local.name)
                if name is not None:
                    yield name

    def has(self, stored: StoredPoint) -> bool:
        """Tell whether there is a copy of *stored*, of its size."""
        return _has_size(self.path_of(stored), stored.size)

    def read(self, storage: Storage, stored: StoredPoint) -> ReadPoint:
        """Return *stored* with its header and trailer, from the copy, which is fetched first if there is none."""
        reader = self._opened(storage, stored, lambda _reader: None)
        return ReadPoint(stored, reader.header, reader.trailer)

    def whole(self, storage: Storage, stored: StoredPoint) -> ManifestReader:
        """Return the manifest of *stored*, proved to its last block."""
        return self._opened(storage, stored, ManifestReader.prove)

    def reader(self, storage: Storage, stored: StoredPoint) -> ManifestReader:
        """Return the manifest of *stored*, as whole as the storage has it: blocks of entries may be damaged there."""
        try:
            return self.whole(storage, stored)
        except DamageError:
            if not self.has(stored):
                raise
            return open_manifest(self.path_of(stored))

    def _opened(self, storage: Storage, stored: StoredPoint, prove: Callable[[ManifestReader], None]) -> ManifestReader:
        while True:
            if not self.has(stored):
                self._fetch(storage, stored)
            try:
                reader = open_manifest(self.path_of(stored))
                prove(reader)
            except VanishedCopyError:
                continue
            except DamageError:
                if stored.path.name in self._fetched:
                    raise
                self._fetch(storage, stored)
            else:
                return reader

    def _fetch(self, storage: Storage, stored: StoredPoint) -> None:
        """Copy the manifest of *stored* to its place in *directory*."""
        local = self.directory / stored.path.name
        aside = local.with_name(f"{local.name}.{os.getpid()}.tmp")
        with told_as(f"Cannot keep a copy of the manifest {stored.path.name} in {self.directory}"):
            make_private_directory(self.directory)
            self._sweep()
            self._download(storage, stored, aside)
            aside.replace(local)
        self._fetched.add(stored.path.name)

    def _download(self, storage: Storage, stored: StoredPoint, aside: LocalPath) -> None:
        """Bring the manifest of *stored* to *aside*, and again as long as only connections break."""
        for attempt in range(1, _ATTEMPTS + 1):
            problem: BackupError
            try:
                size = _copied(storage, stored.path, aside)
                if size == stored.size:
                    return
                problem = DamageError(
                    f"The manifest {stored.path.name} is damaged: {size:,} of {stored.size:,} bytes came."
                )
            except (InterruptedTransferError, UnreachableError) as error:
                if error.is_final:
                    raise
                problem = error
            if attempt == _ATTEMPTS:
                raise problem
            self._pause(min(8.0, 0.25 * 4**attempt))

    def _sweep(self) -> None:
        """Delete what runs that were killed have left of their copies."""
        for left in list(self.directory.glob("*.tmp")):
            found = _COPY.fullmatch(left.name)
            if found and not is_alive(int(found["process"])):
                left.unlink(missing_ok=True)

    def keep_only(self, points: t.Iterable[StoredPoint]) -> None:
        """Forget the copies of all manifests but those of *points*."""
        wanted = {point.path.name for point in points}
        with told_as(f"Cannot tidy up {self.directory}"):
            self._sweep()
            for local in list(self.directory.glob("*.gz")):
                is_copy = names.parse_manifest_name(local.name) or names.parse_checkpoint_name(local.name)
                if is_copy and local.name not in wanted:
                    local.unlink(missing_ok=True)


def _copied(storage: Storage, path: Path, local: LocalPath) -> int:
    """Copy the remote file *path* to *local* and return how many bytes came."""
    with local.open("wb") as file, storage.open(path) as remote:
        while piece := remote.read(_FETCH):
            file.write(piece)
        make_durable(file)
        return file.tell()


def make_durable(file: t.BinaryIO) -> None:
    """Have what was written to *file* on the disk; before it gets its name, so that no power cut leaves half a copy."""
    file.flush()
    os.fsync(file.fileno())


def _has_size(local: LocalPath, size: int) -> bool:
    with told_as(f"Cannot look for the copy {local} of a manifest"):
        try:
            return local.stat().st_size == size
        except (FileNotFoundError, NotADirectoryError):
            return False


class VanishedCopyError(LocalError):
    """A copy of a manifest was removed while it was needed, as a backup does that prunes its restore point."""


@contextmanager
def _told_of_copy(local: LocalPath) -> t.Iterator[None]:
    with told_as(f"Cannot read the manifest {local}"):
        try:
            yield
        except FileNotFoundError as error:
            raise VanishedCopyError(f"The copy {local} of a manifest was removed while it was read.") from error


def open_manifest(local: LocalPath) -> ManifestReader:
    """Return a reader of the manifest in the file *local*, which is opened anew for each piece."""
    return manifest_of(local, ManifestReader)


def manifest_of(local: LocalPath, kind: Callable[[Callable[[int, int], bytes], int, str], Manifest]) -> Manifest:
    """Return a reader of this *kind* for the file *local*."""

    def read_at(offset: int, length: int) -> bytes:
        with _told_of_copy(local), local.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    with _told_of_copy(local):
        size = local.stat().st_size
    return kind(read_at, size, local.name)


def open_remote_manifest(storage: Storage, stored: StoredPoint) -> ManifestReader:
    """Return a reader that fetches only those pieces of a manifest that are asked for."""
    return ManifestReader(
        lambda offset, length: storage.read(stored.path, offset, length), stored.size, stored.path.name
    )
