# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that lie on a storage, for the index: what is known already is not read again."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..errors import DamageError, MissingError, UsageError
from ..native import names
from ..native.points import (
    JOB_FILE,
    JobFile,
    ManifestCache,
    StoredPoint,
    VanishedCopyError,
    list_points,
    open_manifest,
    read_job_file,
)
from ..native.wellformed import require_manifest, told_of_nonsense
from ..registry import check_name

if t.TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path

    from ..catalog import Catalog, PointKey
    from ..native.manifest import ManifestReader
    from ..progress import Meter
    from ..registry import DestinationState
    from ..storage import Path as RemotePath
    from ..storage import Storage

    _Copies = dict[StoredPoint, "Path | None"]
    _Copying = dict[StoredPoint, Future["Path | None"]]

_CLIENTS = PurePosixPath("clients")


@dataclass(frozen=True)
class _Job:
    """A job as it lies on the storage."""

    directory: RemotePath
    file: JobFile
    points: tuple[StoredPoint, ...]


class StoredJobs:
    """The jobs of all clients, or of one *client*; with *scratch*, all that is written is written there.

    *meter* is told how much of what must be read was read.
    """

    def __init__(
        self,
        storage: Storage,
        threads: ThreadPoolExecutor,
        state: DestinationState,
        client: str | None,
        scratch: Path | None,
        meter: Meter,
    ) -> None:
        self._storage = storage
        self._threads = threads
        self._state = state
        self._client = client
        self._scratch = scratch
        self._meter = meter
        self._seen_again: set[str] = set()
        self.damage: dict[str, str] = {}

    def begin(self) -> None:
        """Forget what was seen so far, to look at all again."""
        self.damage.clear()
        self._seen_again.clear()

    def bring_in_line(self, catalog: Catalog) -> None:
        """Make *catalog* say what the storage holds now; manifests are fetched while others are read."""
        jobs = self._find_jobs()
        catalog.forget_others(self._client, frozenset((job.file.client, job.file.job) for job in jobs))
        for job, copying in [(job, self._start_copying(catalog, job)) for job in jobs]:
            self._bring_job_in_line(catalog, job, {stored: copy.result() for stored, copy in copying.items()})

    def _find_jobs(self) -> list[_Job]:
        """Return the jobs that can be read, in order; of the others, note what is wrong with them."""
        if self._client is None:
            clients = self._inside(self._inside([_CLIENTS]))
        else:
            clients = [names.client_directory(self._client)]
        looks = self._threads.map(self._look_at, self._inside(clients))
        return sorted((job for job in looks if job is not None), key=lambda job: (job.file.client, job.file.job))

    def told(self) -> dict[str, t.Any]:
        """Return what else the user is told."""
        return {}

    def tidy(self) -> None:
        """Remove nothing: copies of manifests are removed with their restore points, by who removes these."""

    def _inside(self, directories: list[RemotePath]) -> list[RemotePath]:
        """Return the directories in *directories*, which are listed side by side."""
        listings = zip(directories, self._threads.map(self._storage.list_directory, directories))
        return [directory / entry.name for directory, inside in listings for entry in inside if entry.is_directory]

    def _look_at(self, directory: RemotePath) -> _Job | None:
        try:
            file = read_job_file(self._storage, directory)
            points = list_points(self._storage, directory).points
            if file is None and not points:
                return None  # a first run that has only begun, or a directory that is no job's
            return _Job(directory, _checked(file, directory), points)
        except (DamageError, UsageError) as error:
            self.damage[str(directory)] = str(error)
            return None

    # one job

    def _start_copying(self, catalog: Catalog, job: _Job) -> _Copying:
        """Have all manifests copied that *catalog* does not know yet, and those that were found damaged before."""
        keys = catalog.keys(job.file.client, job.file.job)
        wanted = [stored for stored in job.points if self._is_wanted(stored, keys.get(stored.run))]
        if wanted:
            self._meter.expect_more(sum(stored.size for stored in wanted))
        return {stored: self._threads.submit(self._copy_of, job, stored) for stored in wanted}

    def _is_wanted(self, stored: StoredPoint, key: PointKey | None) -> bool:
        if key is None or not key.is_of(stored):
            return str(stored.path) not in self.damage
        return key.is_damaged and stored.run not in self._seen_again

    def _bring_job_in_line(self, catalog: Catalog, job: _Job, copies: _Copies) -> None:
        """Bring *job* in line with its manifests, of which *copies* are those that are needed, as far as one knows."""
        while (damaged := self._updated(catalog, job, copies)) is None:
            copies.update({stored: None for stored, copy in copies.items() if copy is None or not copy.exists()})
        self.damage.update({f"{job.directory}: {sentence}": sentence for sentence in damaged})
        self._seen_again.update(stored.run for stored in copies)

    def _updated(self, catalog: Catalog, job: _Job, copies: _Copies) -> list[str] | None:
        """Bring *catalog* in line with what *copies* show of *job*, and return a sentence on each that is damaged.

        None if a copy has vanished, with its restore point: a backup has pruned it meanwhile.
        """
        client, name = job.file.client, job.file.job

        def opened(stored: StoredPoint) -> ManifestReader:
            if stored not in copies:  # one before it was read again, so it is read again as well
                self._meter.expect_more(stored.size)
                copies[stored] = self._copy_of(job, stored)
            copy = copies[stored]
            if copy is None:
                raise VanishedCopyError(f"There is no copy of the manifest {stored.path.name}.")
            self._meter.add(item=stored.run)
            return open_manifest(copy)

        keys = catalog.keys(client, name)
        points = [stored for stored in job.points if copies.get(stored, stored.run in keys)]
        again = {stored.run for stored in copies}
        try:
            with catalog.transaction():
                return catalog.update_job(client, name, job.file.structure, points, opened, again)
        except VanishedCopyError:
            return None

    def _copy_of(self, job: _Job, stored: StoredPoint) -> Path | None:
        """Return a copy of a manifest on this host, or None if it vanished meanwhile or does not serve."""
        copy = self._copied(job, stored)
        self._meter.add(stored.size, entries=1)
        return copy

    def _copied(self, job: _Job, stored: StoredPoint) -> Path | None:
        kept = self._state.job(job.file.client, job.file.job).manifests
        cache = ManifestCache(kept) if self._scratch is None else ManifestCache(self._scratch / job.directory, kept)
        try:
            _require_own(cache.reader(self._storage, stored), job.file, stored)
        except MissingError:
            return None
        except DamageError as error:
            self.damage[str(stored.path)] = str(error)
            return None
        return cache.path_of(stored)


def _checked(file: JobFile | None, directory: RemotePath) -> JobFile:
    """Return *file*, or raise unless it is that of the job in *directory*."""
    if file is None:
        raise DamageError(f"The job in {directory} on the storage has restore points and no {JOB_FILE}.")
    check_name(file.client, "client")
    check_name(file.job, "job")
    if names.job_directory(file.client, file.job) != directory:
        raise DamageError(f"The file {directory / JOB_FILE} on the storage is that of another job, {file.job!r}.")
    return file


def _require_own(reader: ManifestReader, file: JobFile, stored: StoredPoint) -> None:
    """Raise unless the manifest is what its name and its place say."""
    header = reader.header
    with told_of_nonsense(stored.path.name):
        require_manifest(stored.path.name, header, reader.trailer, stored.size)
    told = (header.client, header.job, header.seq, header.run, header.generation)
    if told != (file.client, file.job, stored.seq, stored.run, stored.generation):
        raise DamageError(
            f"The manifest {stored.path} on the storage is that of another restore point: number {header.seq} of"
            f" {header.job!r} of {header.client!r}, by run {header.run}, generation {header.generation}."
        )
