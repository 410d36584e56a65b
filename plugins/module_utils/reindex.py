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
from .answers import Whose
from .catalog import making, reading
from .errors import BackupError, DamageError, MissingError, UsageError
from .index_file import (
    WRITER_PATIENCE,
    UnusableIndexError,
    discard,
    has_index,
    replace_index,
    stamp_of,
    writer_lock,
)
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
from .native.wellformed import require_manifest, told_of_nonsense
from .outcome import Outcome
from .private_files import locked
from .registry import DestinationState, check_name, require

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from .answers import IndexedPoint
    from .catalog import Catalog, PointKey
    from .native.manifest import ManifestReader
    from .registry import Registry
    from .storage import Path as RemotePath
    from .storage import Storage

    OpenStorage = Callable[..., AbstractContextManager[Storage]]
    _Copies = dict[StoredPoint, "Path | None"]
    _Copying = dict[StoredPoint, Future["Path | None"]]

_SIDE_BY_SIDE = 4
_CLIENTS = PurePosixPath("clients")


def reindex(
    registry: Registry,
    state_directory: Path,
    destination_name: str,
    *,
    client: str | None = None,
    rebuild: bool = False,
    check_mode: bool,
    open_storage: OpenStorage | None = None,
) -> Outcome:
    """Make the index of a destination, or a *client*'s part of it, say what lies on the storage.

    What the index holds is not read again, unless it is damaged or *rebuild* says so.
    """
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
        task = _Reindex(storage, executor, state, client, scratch)
        return connections.reported(task.do(from_nothing=rebuild), storage)


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


@dataclass(frozen=True)
class _Made:
    """What the old and the new index hold, and whether the new one differs from the old one that had this *stamp*."""

    before: _Contents | None
    after: _Contents
    stamp: object
    is_changed: bool


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
        self._seen_again: set[str] = set()
        self._trouble: str | None = None
        self._has_lock = False

    def do(self, *, from_nothing: bool) -> Outcome:
        """Build the new index aside and swap it in; what fails leaves the old one as it was."""
        index = self._state.index
        with ExitStack() as locks:
            made = self._made(locks, from_nothing=from_nothing)
            if self._client is not None and self._scratch is None and made.stamp != stamp_of(index):
                # All others are as the old index had them, and that is another one by now; it stays as it is from here.
                made = self._made(locks, from_nothing=from_nothing)
            if self._scratch is None:
                if made.is_changed or made.stamp != stamp_of(index):
                    replace_index(index, self._new)
                else:
                    discard(self._new)
        return self._outcome(made.before, made.after)

    def _made(self, locks: ExitStack, *, from_nothing: bool) -> _Made:
        """Make the new index from the old one, or from nothing where that is asked for or the old one is of no use."""
        index = self._state.index
        if has_index(index) and not (from_nothing and self._client is None):
            try:
                return self._attempt(index, locks, forgets=from_nothing)
            except UnusableIndexError as error:
                self._tell_trouble(error)
        return self._attempt(None, locks, forgets=False)

    @property
    def _new(self) -> Path:
        return (self._scratch or self._state.directory) / "index.new"

    def _attempt(self, old: Path | None, locks: ExitStack, *, forgets: bool) -> _Made:
        """Make the new index from a copy of the *old* one; in the end *locks* hold the writer's lock."""
        self._damage.clear()
        self._seen_again.clear()
        stamp = stamp_of(self._state.index)
        with making(self._new, old) as catalog:
            if forgets:
                self._forget_but(catalog, frozenset())
            self._bring_in_line(catalog)
            if self._scratch is None and not self._has_lock:
                locks.enter_context(writer_lock(self._state.index, WRITER_PATIENCE))
                self._has_lock = True
                self._bring_in_line(catalog)  # a backup may have ended since, and nothing can from here on
            before, after = self._contents_before(), _contents_of(catalog, self._client)
            return _Made(before, after, stamp, is_changed=old is None or catalog.is_changed)

    def _contents_before(self) -> _Contents | None:
        """Return what the old index holds, or None if there is none that can be used."""
        if not has_index(self._state.index):
            return None
        try:
            with reading(self._state.index) as catalog:
                return _contents_of(catalog, self._client)
        except BackupError as error:
            self._tell_trouble(error)
            return None

    def _tell_trouble(self, error: BackupError) -> None:
        """Note what is wrong with the old index, the first thing that is."""
        lost = "" if self._client is None else " Of other clients it knows nothing until all are reindexed."
        self._trouble = self._trouble or f"{error} It is replaced.{lost}"

    def _outcome(self, before: _Contents | None, after: _Contents) -> Outcome:
        old, new = before.points if before is not None else {}, after.points
        kept = new.keys() & old.keys()
        changed = [key for key in kept if new[key] != old[key]]
        damaged = [sentence for _where, sentence in sorted(self._damage.items())]
        values = {
            "new": len(new.keys() - old.keys()),
            "updated": len(changed),
            "gone": len(old.keys() - new.keys()),
            "unchanged": len(kept) - len(changed),
            "damaged": damaged,
            "jobs": len(after.jobs),
            "points": len(new),
        }
        old_lines, new_lines = set(old.values()), set(new.values())
        return Outcome(
            changed=before != after,
            values=values,
            before={"points": sorted(old_lines - new_lines)},
            after={"points": sorted(new_lines - old_lines)},
            warnings=(*([self._trouble] if self._trouble is not None else []), *damaged),
        )

    # what lies on the storage

    def _bring_in_line(self, catalog: Catalog) -> None:
        """Make *catalog* say what the storage holds now; manifests are fetched while others are read."""
        jobs = self._find_jobs()
        self._forget_but(catalog, frozenset((job.file.client, job.file.job) for job in jobs))
        for job, copying in [(job, self._start_copying(catalog, job)) for job in jobs]:
            self._bring_job_in_line(catalog, job, {stored: copy.result() for stored, copy in copying.items()})

    def _forget_but(self, catalog: Catalog, jobs: frozenset[tuple[str, str]]) -> None:
        """Remove all other jobs than *jobs* from *catalog*, as far as they are the client's that is looked at."""
        with catalog.transaction():
            for _id, client, name, _structure in catalog.jobs(Whose(self._client)):
                if (client, name) not in jobs:
                    catalog.forget_job(client, name)

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

    def _start_copying(self, catalog: Catalog, job: _Job) -> _Copying:
        """Have all manifests copied that *catalog* does not know yet, and those that were found damaged before."""
        keys = catalog.keys(job.file.client, job.file.job)
        wanted = [stored for stored in job.points if self._is_wanted(stored, keys.get(stored.run))]
        return {stored: self._threads.submit(self._copy_of, job, stored) for stored in wanted}

    def _is_wanted(self, stored: StoredPoint, key: PointKey | None) -> bool:
        if key is None or not key.is_of(stored):
            return str(stored.path) not in self._damage
        return key.is_damaged and stored.run not in self._seen_again

    def _bring_job_in_line(self, catalog: Catalog, job: _Job, copies: _Copies) -> None:
        """Bring *job* in line with its manifests, of which *copies* are those that are needed, as far as one knows."""
        while (damaged := self._updated(catalog, job, copies)) is None:
            copies.update({stored: None for stored, copy in copies.items() if copy is None or not copy.exists()})
        self._damage.update({f"{job.directory}: {sentence}": sentence for sentence in damaged})
        self._seen_again.update(stored.run for stored in copies)

    def _updated(self, catalog: Catalog, job: _Job, copies: _Copies) -> list[str] | None:
        """Bring *catalog* in line with what *copies* show of *job*, and return a sentence on each that is damaged.

        None if a copy has vanished, with its restore point: a backup has pruned it meanwhile.
        """
        client, name = job.file.client, job.file.job

        def opened(stored: StoredPoint) -> ManifestReader:
            if stored not in copies:  # one before it was read again, so it is read again as well
                copies[stored] = self._copy_of(job, stored)
            copy = copies[stored]
            if copy is None:
                raise VanishedCopyError(f"There is no copy of the manifest {stored.path.name}.")
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


def _contents_of(catalog: Catalog, client: str | None) -> _Contents:
    whose = Whose(client)
    jobs = frozenset((its_client, job, structure) for _id, its_client, job, structure in catalog.jobs(whose))
    points = {(p.client, p.job, p.seq, p.run): _line(p) for p in catalog.points(whose)}
    return _Contents(jobs, points)


def _line(point: IndexedPoint) -> str:
    marks = [mark for mark, is_so in (("protected", point.is_protected), ("damaged", point.is_damaged)) if is_so]
    if point.generation > 1:
        marks.append(f"generation {point.generation}")
    return " ".join([point.client, point.job, f"{point.seq:06d}", point.run, *marks])
