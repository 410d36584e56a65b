# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job on the storage, as every use case works on it: whose it is, which restore points it has, and its lock."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from .catalog import update_job
from .errors import (
    BackupError,
    DamageError,
    ForeignError,
    InterruptedTransferError,
    MissingError,
    RefusedError,
    StorageError,
)
from .native import commit, names
from .native.lock import JobLock
from .native.points import (
    JOB_FILE,
    JobFile,
    ManifestCache,
    PointListing,
    ReadPoint,
    StoredPoint,
    list_points,
    read_job_file,
)
from .native.wellformed import require_manifest, told_of_nonsense
from .retention import Candidate
from .side_by_side import both, each

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from .registry import DestinationState, Identity, JobState, LivingRuns
    from .storage import Chunks, Storage
    from .storage import Path as RemotePath


@dataclass(frozen=True)
class Job:
    """One job of a client on a destination, and the run of this host that works on it."""

    name: str
    client: str
    destination: str
    identity: Identity
    destination_state: DestinationState
    living: LivingRuns
    started: datetime
    run: str

    @property
    def state(self) -> JobState:
        return self.destination_state.job(self.client, self.name)

    @property
    def directory(self) -> RemotePath:
        return names.job_directory(self.client, self.name)


@dataclass(frozen=True)
class Known:
    """What the storage holds of a job: restore points that were read, and sentences on those that could not be."""

    listing: PointListing
    points: tuple[ReadPoint, ...]
    checkpoints: tuple[ReadPoint, ...]
    damaged: tuple[str, ...]
    may_sweep: bool = True

    def point(self, seq: int | None) -> ReadPoint | None:
        return next((point for point in self.points if point.seq == seq), None)

    def of_pool(self, pool: str) -> list[ReadPoint]:
        """Return the restore points whose content lies in *pool*, oldest first."""
        return [point for point in self.points if point.pool == pool]


@dataclass(frozen=True)
class Holding:
    """A job's lock, what the job is bound to, and whether this run has made the job, so that it has nothing yet."""

    lock: JobLock
    file: JobFile | None
    is_new: bool


_WAY_OUT = (
    "Nothing is deleted in this job until that is mended, or the restore point is given up by restore_point with"
    " state: absent and force: true."
)
NOTHING = Known(PointListing((), (), (), ()), (), (), ())


class OpenJob:
    """A job on an open storage; *warnings* gathers what the user should know."""

    def __init__(self, job: Job, storage: Storage) -> None:
        self.job = job
        self.storage = storage
        self.cache = ManifestCache(job.state.manifests)
        self.warnings: list[str] = []

    # -- whose it is

    def file(self) -> JobFile | None:
        """Return what the job is bound to, or None if there is no such job."""
        return read_job_file(self.storage, self.job.directory)

    def is_foreign(self, found: JobFile | None) -> bool:
        """Tell whether the job is bound to another host."""
        return found is not None and found.client_id != self.job.identity.client_id

    def require_ours(self, found: JobFile | None, way_out: str) -> None:
        """Raise if the job is bound to another host; *way_out* says what its user can do."""
        if found is not None and self.is_foreign(found):
            job = self.job
            raise ForeignError(
                f"The job {job.name!r} of client {job.client!r} on {job.destination!r} belongs to another host"
                f" (client id {found.client_id}, ours is {job.identity.client_id}). {way_out}"
            )

    def bind(self, structure: str) -> None:
        """Bind the job to this host; where the server renames onto a file, it is bound to one host at any moment."""
        job = self.job
        path = job.directory / JOB_FILE
        file = JobFile(job.client, job.name, job.identity.client_id, structure)
        content: Chunks = partial(list, [file.to_json()])
        staged = self.storage.stage(path, content)
        try:
            self.storage.publish(staged, path, content)
        except RefusedError:
            self.storage.delete([path])
            self.storage.publish(staged, path, content)

    # -- what it has

    def look(self) -> Known:
        """List the job's restore points and read each; one that cannot be read stops every deletion."""
        listing = list_points(self.storage, self.job.directory, {self.job.run[:6], *self.cache.months()})
        points: list[ReadPoint] = []
        damaged: list[str] = []
        found = each(self._tried, [*listing.points, *listing.checkpoints])
        for point in found[: len(listing.points)]:
            if isinstance(point, ReadPoint):
                points.append(point)
            else:
                damaged.append(str(point))
        checkpoints = [point for point in found[len(listing.points) :] if isinstance(point, ReadPoint)]
        self.warnings = [f"{sentence} {_WAY_OUT}" for sentence in damaged]
        future = [point for point in points if point.header.started > self.job.started]
        if future:
            self.warnings.append(
                f"The restore point {future[-1].header.run} is dated in the future:"
                " the clock of this host was, or is, wrong."
            )
        return Known(listing, tuple(points), tuple(checkpoints), tuple(damaged))

    def nothing(self) -> Known:
        """Return what a job has that was made a moment ago."""
        self.warnings = []
        return NOTHING

    def look_again(self, points: Sequence[ReadPoint]) -> list[ReadPoint]:
        """Return *points* as they stand on the storage now, some perhaps published anew; as they are if that fails."""
        with suppress(BackupError):
            current = {stored.seq: stored for stored in list_points(self.storage, self.job.directory).points}
            return [self.read(current[point.seq]) for point in points if point.seq in current]
        return list(points)

    def _tried(self, stored: StoredPoint) -> ReadPoint | DamageError:
        """Read the manifest of *stored*, or return what is wrong with it."""
        try:
            return self.read(stored)
        except DamageError as error:
            return error

    def read(self, stored: StoredPoint) -> ReadPoint:
        """Return *stored* with what its manifest tells, which can be followed: what goes with it is what it names."""
        with told_of_nonsense(stored.path.name):
            point = self.cache.read(self.storage, stored)
            require_manifest(stored.path.name, point.header, point.trailer, stored.size)
        header = point.header
        is_numbered = point.is_checkpoint or (header.seq, header.generation) == (stored.seq, stored.generation)
        if header.run != stored.run or not is_numbered:
            raise DamageError(f"The manifest {stored.path.name} is damaged: it is that of another restore point.")
        return point

    def index(self, structure: str, points: Sequence[ReadPoint]) -> None:
        """Have the host's index show just *points*; it is a cache, so its trouble is told and stops nothing."""
        job = self.job
        try:
            told = update_job(
                job.destination_state.index,
                job.client,
                job.name,
                structure,
                points,
                lambda stored: self.cache.reader(self.storage, stored),
            )
            self.warnings.extend(told)
        except BackupError as error:
            self.warnings.append(f"The index of this host was not updated: {error}")

    # -- its lock

    @contextmanager
    def locked(self, judge: Callable[[JobFile | None], None], *, makes: bool = False) -> Iterator[Holding]:
        """Hold the lock of the job; *judge* is told what the job is bound to, and raises if this run may not have it.

        A lock that is free is taken while that is read, for it saves round trips; who holds one is not waited for by a
        run that may not have it. With *makes*, the job's directories are made where they are missing.
        """
        job = self.job
        directory = job.directory
        above = [parent for parent in reversed(directory.parents) if parent.name]
        directories = [*above, directory, directory / "points"]
        lock = JobLock(
            self.storage,
            directory,
            job.identity.client_id,
            job.run,
            marked=job.state.marked,
            lives=job.living.has,
        )

        def take() -> None:
            """Take the lock if it is free; where the job is missing, make it first."""
            try:
                lock.take_at_once()
            except RefusedError:
                if not makes:
                    raise
                self.storage.ensure_directories(directories)
                lock.take_at_once()

        try:
            # What this host has no copy of may well be missing: then nobody has to look for what is in it.
            is_unknown = makes and not self.cache.has_any()
            is_new = is_unknown and self.storage.ensure_directories(directories)[-2]
            found = None
            if is_new:
                lock.take_at_once()
            else:
                _taken, found = both(take, self.file)
            judge(found)
            lock.acquire()
            lock.start_beating()
            if lock.took_over:
                self._void_what_is_staged()
            yield Holding(lock, found, is_new and not lock.took_over)
        finally:
            if lock.is_held:
                lock.release()
            else:
                lock.give_up()

    def _void_what_is_staged(self) -> None:
        """Delete the manifests that are about to be published; the lock was just taken over.

        Who held it may only stand still, right before a renaming. After this it publishes nothing any more, so what is
        read of the job next is all there will be.
        """
        self.storage.delete(list_points(self.storage, self.job.directory).temporary)

    @contextmanager
    def lost_lock_told(self, lock: JobLock, consequence: str) -> Iterator[None]:
        """Tell that the lock was lost where that is why the storage fails: who has it now sweeps what lies there."""
        try:
            yield
        except (InterruptedTransferError, MissingError, RefusedError):
            with suppress(StorageError):
                lock.prove(consequence)
            raise

    def finish_removals(self, known: Known) -> Known:
        """Finish what a dead run had begun to remove, and return what is left; nothing goes where that is not told."""
        listing = known.listing
        if known.damaged or not (listing.gone or listing.superseded):
            return known
        try:
            removal = commit.read_removals(self.storage, self.job.directory, listing)
        except MissingError:  # the run that wrote it only stood still, and has carried it out by now
            return self.finish_removals(self.look())
        except DamageError as error:
            self.warnings.append(str(error))
            return replace(known, may_sweep=False)
        protected = frozenset(stored.path for stored in listing.points if stored.is_protected)  # since it was noted
        removal = replace(removal, points=removal.points - protected)
        points = tuple(point for point in known.points if point.stored.path not in removal.points)
        checkpoints = tuple(point for point in known.checkpoints if point.stored.path not in removal.points)
        self.storage.delete([stored.path for stored in listing.superseded])
        commit.finish_removals(self.storage, self.job.directory, listing, removal, [*points, *checkpoints])
        return replace(known, points=points, checkpoints=checkpoints)

    def without_noted(self, known: Known) -> Known:
        """Return what :meth:`finish_removals` would leave, and leave that to a run that has the lock."""
        if known.damaged or not known.listing.gone:
            return known
        try:
            noted = commit.read_removals(self.storage, self.job.directory, known.listing).points
        except DamageError as error:
            self.warnings.append(str(error))
            return known
        protected = {stored.path for stored in known.listing.points if stored.is_protected}
        points = tuple(point for point in known.points if point.stored.path not in noted - protected)
        return replace(known, points=points)

    def sweep(self, known: Known, checkpoints: Sequence[ReadPoint], *, is_clean: bool) -> bool:
        """Delete what dead runs have left, and tell whether nothing stands in the way of that.

        Of all checkpoints, *checkpoints* are those that will be gone on from; the others serve nobody.
        """
        if known.damaged or not known.may_sweep:
            return False
        used = [point.stored for point in checkpoints]
        useless = [stored for stored in known.listing.checkpoints if stored not in used]
        self.storage.delete([stored.path for stored in useless])
        if useless or not is_clean:
            commit.sweep(self.storage, self.job.directory, known.listing, [*known.points, *checkpoints])
        return True


def candidates_of(points: Iterable[ReadPoint]) -> list[Candidate]:
    """Return what retention needs to know of *points*."""
    return [Candidate(p.seq, p.pool, p.trailer.complete, p.stored.is_protected, p.header.started) for p in points]
