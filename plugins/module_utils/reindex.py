# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilds the index of a destination from what lies on it: its restore points and nothing else."""

from __future__ import annotations

import secrets
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import connections
from .catalog import making, reading
from .errors import BackupError, DamageError, MissingError, UsageError
from .index_file import WRITER_PATIENCE, has_index, replace_index, writer_lock
from .native import names
from .native.points import (
    JOB_FILE,
    JobFile,
    ManifestCache,
    StoredPoint,
    VanishedCopyError,
    list_points,
    open_manifest,
    read_job_file,
)
from .outcome import Outcome
from .private_files import locked
from .registry import DestinationState, check_name, require

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from .catalog import Catalog, IndexedPoint
    from .native.manifest import ManifestReader
    from .registry import Registry
    from .storage import Path as RemotePath
    from .storage import Storage

    OpenStorage = Callable[..., AbstractContextManager[Storage]]
    _Copies = dict[StoredPoint, Future["Path | None"]]

_SIDE_BY_SIDE = 4
_CLIENTS = PurePosixPath("clients")


def reindex(
    registry: Registry,
    state_directory: Path,
    destination_name: str,
    *,
    client: str | None = None,
    check_mode: bool,
    open_storage: OpenStorage | None = None,
) -> Outcome:
    """Make the index of a destination, or a *client*'s part of it, say what lies on the storage."""
    destination = require(registry, destination_name)
    if client is not None:
        check_name(client, "client")
    state = DestinationState(state_directory, destination.name, destination.place)
    threads = destination.max_connections or _SIDE_BY_SIDE
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftp-backup-"))) if check_mode else None
        if not check_mode:
            refusal = f"The destination {destination.name!r} is already being reindexed on this host"
            stack.enter_context(locked(state.directory / "reindex.lock", refusal))
        mark = f"reindex-{secrets.token_hex(6)}"
        storage = stack.enter_context(
            (open_storage or connections.open_storage)(destination, mark, state, may_write=not check_mode, warm=2)
        )
        executor = ThreadPoolExecutor(threads, "reindex")
        stack.callback(executor.shutdown, cancel_futures=True)
        return connections.reported(_Reindex(storage, executor, state, client, scratch).do(), storage)


@dataclass(frozen=True)
class _Job:
    """A job as it lies on the storage."""

    directory: RemotePath
    file: JobFile
    points: tuple[StoredPoint, ...]


@dataclass(frozen=True)
class _Contents:
    """What an index holds: its jobs, and a line on each restore point by what tells it from all others."""

    jobs: frozenset[tuple[str, str, str]]
    points: dict[tuple[str, str, int, str], str]


class _Reindex:
    """One rebuilding of an index; with *scratch*, all that is written is written there."""

    def __init__(
        self,
        storage: Storage,
        threads: ThreadPoolExecutor,
        state: DestinationState,
        client: str | None,
        scratch: Path | None,
    ) -> None:
        self._storage = storage
        self._threads = threads
        self._state = state
        self._client = client
        self._scratch = scratch
        self._damage: dict[str, str] = {}
        self._warnings: list[str] = []

    def do(self) -> Outcome:
        """Build the new index aside and swap it in; what fails leaves the old one as it was."""
        index = self._state.index
        new = index.with_name("index.new") if self._scratch is None else self._scratch / "index.new"
        with ExitStack() as stack:
            with making(new) as catalog:
                self._bring_in_line(catalog)
                if self._scratch is None:
                    stack.enter_context(writer_lock(index, WRITER_PATIENCE))
                    self._bring_in_line(catalog)  # a backup may have ended since, and nothing can from here on
                before = self._contents_before()
                if before is not None and self._client is not None:
                    catalog.take_others(index, self._client)
                after = _contents_of(catalog, self._client)
            if self._scratch is None:
                replace_index(index, new)
        return self._outcome(before, after)

    def _contents_before(self) -> _Contents | None:
        """Return what the old index holds, or None if there is none that can be used."""
        if not has_index(self._state.index):
            return None
        try:
            with reading(self._state.index) as catalog:
                return _contents_of(catalog, self._client)
        except BackupError as error:
            self._warnings.append(f"{error} It is replaced.")
            return None

    def _outcome(self, before: _Contents | None, after: _Contents) -> Outcome:
        old = before.points if before is not None else {}
        damaged = [sentence for _where, sentence in sorted(self._damage.items())]
        values = {
            "new": len(after.points.keys() - old.keys()),
            "gone": len(old.keys() - after.points.keys()),
            "unchanged": len(after.points.keys() & old.keys()),
            "damaged": damaged,
            "jobs": len(after.jobs),
            "points": len(after.points),
        }
        old_lines, new_lines = set(old.values()), set(after.points.values())
        return Outcome(
            changed=before != after,
            values=values,
            before={"points": sorted(old_lines - new_lines)},
            after={"points": sorted(new_lines - old_lines)},
            warnings=(*self._warnings, *damaged),
        )

    # what lies on the storage

    def _bring_in_line(self, catalog: Catalog) -> None:
        """Make *catalog* say what the storage holds now; manifests are fetched while others are read."""
        jobs = self._find_jobs()
        found = {(job.file.client, job.file.job) for job in jobs}
        with catalog.transaction():
            for _id, client, name, _structure in catalog.jobs():
                if (client, name) not in found:
                    catalog.forget_job(client, name)
        for job, copies in [(job, self._start_copying(catalog, job)) for job in jobs]:
            self._bring_job_in_line(catalog, job, copies)

    def _find_jobs(self) -> list[_Job]:
        """Return the jobs that can be read, in order; of the others, note what is wrong with them."""
        if self._client is None:
            clients = self._inside(self._inside([_CLIENTS]))
        else:
            clients = [names.client_directory(self._client)]
        looks = self._threads.map(self._look_at, self._inside(clients))
        return sorted((job for job in looks if job is not None), key=lambda job: (job.file.client, job.file.job))

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
            self._damage[str(directory)] = str(error)
            return None

    # one job

    def _start_copying(self, catalog: Catalog, job: _Job) -> _Copies:
        """Have all manifests copied that *catalog* does not know yet."""
        known = catalog.runs(job.file.client, job.file.job)
        missing = [stored for stored in job.points if stored.run not in known and str(stored.path) not in self._damage]
        return {stored: self._threads.submit(self._copy_of, job, stored) for stored in missing}

    def _bring_job_in_line(self, catalog: Catalog, job: _Job, running: _Copies) -> None:
        copies = {stored: copy for stored, copying in running.items() if (copy := copying.result()) is not None}
        while (damaged := _updated(catalog, job, copies)) is None:
            copies = {stored: copy for stored, copy in copies.items() if copy.exists()}
        self._damage.update({f"{job.directory}: {sentence}": sentence for sentence in damaged})

    def _copy_of(self, job: _Job, stored: StoredPoint) -> Path | None:
        """Return a copy of a manifest on this host, or None if it vanished meanwhile or does not serve."""
        kept = self._state.job(job.file.client, job.file.job).manifests
        cache = ManifestCache(kept) if self._scratch is None else ManifestCache(self._scratch / job.directory, kept)
        try:
            _require_own(cache.reader(self._storage, stored), job.file, stored)
        except MissingError:
            return None
        except DamageError as error:
            self._damage[str(stored.path)] = str(error)
            return None
        return cache.path_of(stored)


def _updated(catalog: Catalog, job: _Job, copies: dict[StoredPoint, Path]) -> list[str] | None:
    """Bring *catalog* in line with what *copies* show of *job*, and return a sentence on each that is damaged.

    None if a copy has vanished, with its restore point: a backup has pruned it meanwhile.
    """
    client, name = job.file.client, job.file.job
    known = catalog.runs(client, name)
    points = [stored for stored in job.points if stored.run in known or stored in copies]
    try:
        with catalog.transaction():
            return catalog.update_job(
                client, name, job.file.structure, points, lambda stored: open_manifest(copies[stored])
            )
    except VanishedCopyError:
        return None


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
    if (header.client, header.job, header.seq, header.run) != (file.client, file.job, stored.seq, stored.run):
        raise DamageError(
            f"The manifest {stored.path} on the storage is that of another restore point: number {header.seq} of"
            f" {header.job!r} of {header.client!r}, by run {header.run}."
        )


def _contents_of(catalog: Catalog, client: str | None) -> _Contents:
    jobs = frozenset((its_client, job, structure) for _id, its_client, job, structure in catalog.jobs(client))
    points = {(p.client, p.job, p.seq, p.run): _line(p) for p in catalog.points(client)}
    return _Contents(jobs, points)


def _line(point: IndexedPoint) -> str:
    marks = [mark for mark, is_so in (("protected", point.is_protected), ("damaged", point.is_damaged)) if is_so]
    return " ".join([point.client, point.job, f"{point.seq:06d}", point.run, *marks])
