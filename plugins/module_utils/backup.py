# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that a fresh restore point of a job exists, and removes those that retention lets go."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
import typing as t
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from . import scan
from .catalog import update_job
from .collect import Collector, compare
from .connections import open_storage, reported
from .errors import (
    BackupError,
    DamageError,
    ForeignError,
    InterruptedTransferError,
    LockedError,
    MissingError,
    RefusedError,
    StorageError,
    UsageError,
    told_as,
)
from .native import commit, names
from .native.entries import FILE, Header, Part, Problem, path_text
from .native.lock import JobLock
from .native.manifest import ManifestWriter
from .native.points import (
    JOB_FILE,
    JobFile,
    ManifestCache,
    PointListing,
    ReadPoint,
    StoredPoint,
    list_points,
    make_durable,
    open_manifest,
    read_job_file,
)
from .native.uploads import Uploads
from .native.volumes import MEMORY_BUDGET, SUFFIXES, Budget, Packer
from .outcome import Outcome
from .private_files import make_private_directory
from .registry import (
    NAME_LIMIT,
    DestinationState,
    Host,
    Identity,
    JobState,
    LivingRuns,
    check_name,
    keep_identity,
    require,
)
from .results import PROBLEMS_SHOWN, describe, described_header
from .retention import DEFAULT_LAST, Candidate, Slot, Verdict, choose_slot, plan_last, plan_ring
from .version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .native.entries import Entry
    from .registry import Destination, Registry
    from .storage import Chunks, Storage
    from .storage import Path as RemotePath

LAST_LIMIT = 750  # servers cut listings short, and each restore point may have a directory of its own
_UPLOADS = 4
_VOLUMES_A_SHELF = 400
_PROBLEMS_KEPT = 1000


@dataclass(frozen=True)
class Request:
    """One job, as it was asked for; *last* is retention's, None where it was not given."""

    destination: str
    job: str
    paths: tuple[str, ...]
    client: str | None = None
    structure: str = "incremental"
    compression: str = "gzip"
    last: int | None = None
    max_age: timedelta = timedelta(hours=12)
    force: bool = False
    adopt: bool = False

    @property
    def definition(self) -> str:
        """A digest of what decides the content of a restore point."""
        text = json.dumps({"paths": sorted(self.paths)}, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


_AGE = re.compile(r"(?P<count>\d+)\s*(?P<unit>[smhdw])")
_OLDEST = timedelta(days=36525)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> timedelta:
    """Return the time span that *text* names: a whole number with s, m, h, d or w."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"The age {text!r} cannot be read: give a whole number with s, m, h, d or w, such as 12h.")
    try:
        age = timedelta(**{_UNITS[found["unit"]]: int(found["count"])})
    except OverflowError as error:
        raise UsageError(f"The age {text!r} is more than anything can be old.") from error
    return min(age, _OLDEST)


def back_up(registry: Registry, host: Host, request: Request, *, check_mode: bool) -> Outcome:
    """Make sure that a complete restore point of the job exists that is young enough."""
    destination = require(registry, request.destination)
    check_name(request.job, "job", NAME_LIMIT)
    if request.last is not None and not 1 <= request.last <= LAST_LIMIT:
        raise UsageError(f"retention.last is {request.last}, and must be from 1 to {LAST_LIMIT}.")
    if not request.paths:
        raise UsageError("There is nothing to back up: paths is empty.")
    roots = scan.roots_of(request.paths)
    identity, client, is_new = host.client_of(request.client)
    check_name(client, "client")

    started = host.now()
    state = DestinationState(host.state_directory, destination.name, destination.place)
    living = LivingRuns(host.config_directory)
    job = _Job(request, identity, client, state, living, roots, started, names.run_id(started, host.chance()))
    with ExitStack() as stack:
        reach = partial(open_storage, destination, job.run, state, may_write=not check_mode, warm=2)
        storage = stack.enter_context(reach()) if is_new and not check_mode else None
        if storage is not None:
            job = _introduced(job, storage, destination, host.config_directory)
        if not check_mode:
            stack.enter_context(job.state.lock(request.job))
            stack.enter_context(living.alive(job.run))
        storage = storage or stack.enter_context(reach())
        run = _Run(job, storage, destination)
        return reported(run.foretell() if check_mode else run.do(), storage)


def _introduced(job: _Job, storage: Storage, destination: Destination, config_directory: Path) -> _Job:
    """Keep who this host is, and return *job* as its own.

    First the job must be found free for it: a run that is refused decides no name for life.
    """
    _Run(job, storage, destination).check_binding()
    identity = keep_identity(config_directory, job.identity)
    return replace(job, identity=identity, client=job.request.client or identity.client)


@dataclass(frozen=True)
class _Job:
    """One run of a job: what was asked, by whom, when."""

    request: Request
    identity: Identity
    client: str
    destination_state: DestinationState
    living: LivingRuns
    roots: list[bytes]
    started: datetime
    run: str

    @property
    def state(self) -> JobState:
        return self.destination_state.job(self.client, self.request.job)

    @property
    def directory(self) -> RemotePath:
        return names.job_directory(self.client, self.request.job)

    @property
    def file(self) -> JobFile:
        return JobFile(self.client, self.request.job, self.identity.client_id, self.request.structure)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path_text(root) for root in self.roots)


class _Binding(t.NamedTuple):
    """Whether the job is there, and whether it is another host's, which this one is to adopt."""

    exists: bool
    is_foreign: bool


@dataclass(frozen=True)
class _Known:
    """What the storage holds of the job: restore points that were read, and those that could not be."""

    listing: PointListing
    points: tuple[ReadPoint, ...]
    damaged: tuple[str, ...]

    def base(self, seq: int | None) -> ReadPoint | None:
        return next((point for point in self.points if point.seq == seq), None)


class _Run:
    """One run against the storage."""

    def __init__(self, job: _Job, storage: Storage, destination: Destination) -> None:
        self._job = job
        self._request = job.request
        self._storage = storage
        self._destination = destination
        self._cache = ManifestCache(job.state.manifests)
        self._problems: list[Problem] = []
        self._warnings: list[str] = []

    # -- looking

    def check_binding(self) -> _Binding:
        """Tell whose job it is; raise if it is another host's that is not to be adopted, or of another structure."""
        job = self._job
        found = read_job_file(self._storage, job.directory)
        if found is None:
            return _Binding(exists=False, is_foreign=False)
        is_foreign = found.client_id != job.identity.client_id
        if is_foreign and not self._request.adopt:
            raise ForeignError(
                f"The job {self._request.job!r} of client {job.client!r} on {self._destination.name!r} belongs"
                f" to another host (client id {found.client_id}, ours is {job.identity.client_id})."
                " If this host takes its place, say adopt: true; else give this host a client name of its own."
            )
        if found.structure != self._request.structure:
            raise UsageError(
                f"The job {self._request.job!r} has the structure {found.structure}, which cannot be changed to"
                f" {self._request.structure}: give the new one another job name."
            )
        return _Binding(exists=True, is_foreign=is_foreign)

    def _look(self) -> _Known:
        """List the job's restore points and read each; one that cannot be read stops every deletion."""
        listing = list_points(self._storage, self._job.directory)
        points, damaged = [], []
        for stored in listing.points:
            try:
                points.append(self._read(stored))
            except DamageError as error:
                damaged.append(str(error))
        self._warnings = [f"{sentence} Nothing is deleted in this job until that is mended." for sentence in damaged]
        future = [point for point in points if point.header.started > self._job.started]
        if future:
            self._warnings.append(
                f"The restore point {future[-1].header.run} is dated in the future:"
                " the clock of this host was, or is, wrong."
            )
        return _Known(listing, tuple(points), tuple(damaged))

    def _read(self, stored: StoredPoint) -> ReadPoint:
        return self._cache.read(self._storage, stored)

    def _fresh(self, known: _Known) -> ReadPoint | None:
        """Return the latest restore point if it makes another one unnecessary."""
        if self._request.force:
            return None
        oldest = self._job.started - self._request.max_age
        for point in reversed(known.points):
            is_wanted = point.trailer.complete and point.header.definition == self._request.definition
            if is_wanted and oldest < point.header.started <= self._job.started:
                return point if self._has_its_volumes(point) else None
        return None

    def _has_its_volumes(self, point: ReadPoint) -> bool:
        absent = sorted(commit.absent_volumes(self._storage, self._job.directory, point))
        if absent:
            self._warnings.append(
                f"The restore point {point.header.run} lacks {len(absent)} of its volumes on the storage, the first is"
                f" {point.header.pool}/{absent[0]}: it does not count as fresh."
            )
        return not absent

    # -- planning

    def _slot(self, known: _Known) -> Slot:
        if self._request.structure == "full":
            return Slot(f"full-{self._job.run}", None)
        return choose_slot(_candidates(known.points), self._last)

    @property
    def _last(self) -> int:
        return self._request.last or DEFAULT_LAST

    def _verdicts(self, points: t.Sequence[ReadPoint], new: Candidate | None = None) -> list[Verdict]:
        """Judge *points*, and the *new* one if there is one."""
        candidates = [*_candidates(points), *([new] if new is not None else [])]
        if self._request.structure == "full":
            verdicts = plan_last(candidates, self._request.last)
        else:
            verdicts = plan_ring(candidates, self._last)
        if new is None or new.is_complete or not _losing(verdicts):
            return verdicts
        # No good one goes for the sake of a partial one, nor of one that cannot be read whole.
        last = self._last_whole(points)
        stays = Verdict(last, stays=True, reason="the latest complete one that is not damaged")
        return [stays if verdict.seq == last and not verdict.stays else verdict for verdict in verdicts]

    def _last_whole(self, points: t.Sequence[ReadPoint]) -> int:
        """Return the number of the latest complete one of *points* whose manifest is whole, or 0."""
        for point in reversed(points):
            if point.trailer.complete:
                with suppress(DamageError):
                    self._cache.whole(self._storage, point.stored)
                    return point.seq
        return 0

    def _base(self, known: _Known, slot: Slot) -> ReadPoint | None:
        """Return the restore point to start from; one whose manifest is damaged serves nobody."""
        base = known.base(slot.base)
        if base is not None:
            try:
                self._cache.whole(self._storage, base.stored)
            except DamageError as error:
                self._warnings.append(f"{error} Everything is sent anew in the place of that restore point.")
                return None
        return base

    # -- foretelling

    def foretell(self) -> Outcome:
        """Return the outcome a run would have, without writing anything anywhere."""
        with tempfile.TemporaryDirectory(prefix="ftp-backup-") as scratch:
            self._cache = ManifestCache(Path(scratch), self._cache.directory)
            binding = self.check_binding()
            known = self._look()
            fresh = self._fresh(known)
            if fresh is not None:
                return self._as_it_is(known, fresh, binding)
            return self._foretold(known, self._slot(known))

    def _foretold(self, known: _Known, slot: Slot) -> Outcome:
        base = self._base(known, slot)
        absent = commit.absent_volumes(self._storage, self._job.directory, base) if base else frozenset[str]()
        entries = size = to_send = 0
        linked: set[str] = set()
        for change in compare(scan.scan(self._job.roots, self._note), self._base_entries(base), absent):
            entry = change.found.entry
            if not (change.is_same or self._can_be_read(change.found)):
                if change.base is None:
                    continue
                entry = change.base  # it stays as it was read last
            entries += 1
            if change.found.links > 1 and entry.inode:
                if entry.inode in linked:
                    continue
                linked.add(entry.inode)
            size += entry.size
            to_send += 0 if change.is_same else entry.size
        seq = known.listing.next_seq
        point = {
            **described_header(self._header(seq, slot.pool)),
            "complete": not self._problems,
            "entries": entries,
            "bytes": size,
            "bytes_sent": to_send,
            "duration": 0.0,
            "problems": self._shown_problems(),
        }
        new = Candidate(seq, slot.pool, is_complete=not self._problems, is_protected=False)
        verdicts = self._verdicts(known.points, new)
        return self._changed_outcome(known, verdicts, _losing(verdicts) if not known.damaged else set(), point)

    def _can_be_read(self, found: scan.Found) -> bool:
        """Tell whether the content of what was *found* can be had, and note it if not."""
        if found.entry.kind != FILE:
            return True
        try:
            descriptor, _status = scan.open_found(found.entry.path, found.root, found.entry.inode)
        except OSError as error:
            self._note(found.entry.path, error.strerror or str(error))
            return False
        os.close(descriptor)
        return True

    def _as_it_is(self, known: _Known, fresh: ReadPoint, binding: _Binding) -> Outcome:
        """Return the outcome of a run that makes no restore point; all it may change is whose job it is."""
        shown = _shown_points(known.points, self._verdicts(known.points))
        before, after = dict(shown), dict(shown)
        if binding.is_foreign:
            before["job"], after["job"] = "another host's", "this host's"
        values = {"point": describe(fresh), "pruned": []}
        return Outcome(binding.is_foreign, values, before, after, warnings=tuple(self._warnings))

    def _changed_outcome(
        self, known: _Known, verdicts: list[Verdict], gone: set[int], point: dict[str, t.Any]
    ) -> Outcome:
        reasons = {verdict.seq: verdict for verdict in verdicts}
        doomed = [p for p in known.points if p.seq in gone]
        pruned = [{"id": p.header.run, "seq": p.seq, "reason": reasons[p.seq].reason} for p in doomed]
        before = _shown_points(known.points, verdicts)
        after = _shown_points([p for p in known.points if p not in doomed], verdicts)
        after[f"{point['seq']:06d} {point['id']}"] = f"{point['pool']}: {reasons[point['seq']].reason}"
        if self._problems:
            self._warnings.append(
                f"The restore point of {self._request.job!r} is partial: {len(self._problems)} things could"
                f" not be read, the first is {self._problems[0].path} ({self._problems[0].problem})."
            )
        values = {"point": point, "pruned": pruned}
        return Outcome(changed=True, values=values, before=before, after=after, warnings=tuple(self._warnings))

    # -- doing

    def do(self) -> Outcome:
        """Make a restore point unless a fresh one exists, and remove those that retention lets go."""
        binding = self.check_binding()
        if binding.exists and not binding.is_foreign and self._may_be_fresh():
            known = self._look()
            fresh = self._fresh(known)
            if fresh is not None:
                self._index(known.points)
                return self._as_it_is(known, fresh, binding)
        began = time.monotonic()
        is_clean = self._job.state.is_clean()
        self._job.state.set_clean(is_clean=False)
        with self._locked() as lock:
            if not binding.exists:
                binding = self.check_binding()
            if binding.is_foreign or not binding.exists:
                self._write_job_file()
            known = self._look()
            is_clean = self._clean_up(known, is_clean=is_clean and not lock.took_over)
            fresh = self._fresh(known)  # one that this host had no copy of
            if fresh is not None:
                self._index(known.points)
                outcome = self._as_it_is(known, fresh, binding)
            else:
                with self._lost_lock_told(lock):
                    new = self._make_point(known, lock)
                outcome = self._prune(known, new, lock, began)
        self._job.state.set_clean(is_clean=is_clean)
        return outcome

    def _clean_up(self, known: _Known, *, is_clean: bool) -> bool:
        """Finish what killed runs have left, and tell whether nothing stands in the way of that."""
        if known.damaged:
            return False
        try:
            commit.finish_removals(self._storage, self._job.directory, known.listing, known.points)
            if not is_clean:
                commit.sweep(self._storage, self._job.directory, known.listing, known.points)
        except DamageError as error:
            self._warnings.append(str(error))
            return False
        return True

    def _may_be_fresh(self) -> bool:
        """Tell from this host's own copies whether looking for a fresh point is worth a look without the lock."""
        directory = self._cache.directory
        newest = max(directory.glob("*.manifest.gz"), default=None) if directory.is_dir() else None
        parsed = names.parse_manifest_name(newest.name) if newest is not None else None
        if parsed is None or self._request.force:
            return False
        return names.started_of(parsed[1]) > self._job.started - self._request.max_age

    @contextmanager
    def _locked(self) -> Iterator[JobLock]:
        job = self._job
        directory = job.directory
        above = [parent for parent in reversed(directory.parents) if parent.name]
        self._storage.ensure_directories([*above, directory, directory / "points"])
        owner = job.identity.client_id
        lock = JobLock(self._storage, directory, owner, job.run, marked=job.state.marked, lives=job.living.has)
        lock.acquire()
        lock.start_beating()
        try:
            yield lock
        finally:
            lock.release()

    @contextmanager
    def _lost_lock_told(self, lock: JobLock) -> Iterator[None]:
        """Tell that the lock was lost where that is why the storage fails: who has it now sweeps what lies there."""
        try:
            yield
        except (InterruptedTransferError, MissingError, RefusedError):
            with suppress(StorageError):
                lock.prove("The run was broken off, and older restore points are as they were.")
            raise

    def _write_job_file(self) -> None:
        """Bind the job to this host; where the server renames onto a file, it is bound to one host at any moment."""
        path = self._job.directory / JOB_FILE
        content: Chunks = partial(list, [self._job.file.to_json()])
        staged = self._storage.stage(path, content)
        try:
            self._storage.publish(staged, path, content)
        except RefusedError:
            self._storage.delete([path])
            self._storage.publish(staged, path, content)

    def _header(self, seq: int, pool: str) -> Header:
        job, request = self._job, self._request
        return Header(
            run=job.run,
            seq=seq,
            client=job.client,
            job=request.job,
            structure=request.structure,
            pool=pool,
            started=job.started,
            paths=job.paths,
            definition=request.definition,
            tool=VERSION,
        )

    def _make_point(self, known: _Known, lock: JobLock) -> ReadPoint:
        slot = self._slot(known)
        base = self._base(known, slot)
        header = self._header(known.listing.next_seq, slot.pool)
        path = names.manifest_path(self._job.directory, header.seq, header.run)
        local = self._cache.directory / path.name
        pool = self._job.directory / slot.pool
        with told_as(f"Cannot write {local}"):
            make_private_directory(self._cache.directory)
            aside = local.with_name("new.tmp")  # one name, so that what a killed run left is written over
            with aside.open("wb") as file:
                writer = ManifestWriter(file.write, header)
                parts = _PartCounter(job_roots=self._job.roots, write=writer.add)
                stored = self._store(base, self._volume_names(known.base(slot.base)), pool, parts)
                trailer = writer.finish(
                    complete=not self._problems,
                    problems=tuple(self._problems[:_PROBLEMS_KEPT]),
                    parts=parts.parts(),
                    stored=stored,
                )
                make_durable(file)
        sizes = {name: use.stored for name, use in trailer.volumes.items()}
        prove = partial(lock.prove, "Nothing was committed, and the restore points are as they were.")
        commit.commit(self._storage, aside, path, pool, sizes, prove)
        with told_as(f"Cannot write {local}"):
            size = aside.stat().st_size
            aside.replace(local)
        stored_point = StoredPoint(header.seq, header.run, path, size, is_protected=False)
        return ReadPoint(stored_point, header, trailer)

    def _volume_names(self, current: ReadPoint | None) -> _VolumeNames:
        """Return what names volumes beside those of the *current* restore point of the slot."""
        suffix = SUFFIXES[self._request.compression]
        return _VolumeNames(self._job.run, suffix, current.trailer.volumes if current is not None else ())

    def _store(
        self, base: ReadPoint | None, namer: _VolumeNames, pool: RemotePath, write: t.Callable[[Entry], None]
    ) -> dict[str, int]:
        """Send what *base* does not hold, write all entries, and return the size of every volume that is needed."""
        absent = commit.absent_volumes(self._storage, self._job.directory, base) if base else frozenset[str]()
        budget = Budget(MEMORY_BUDGET)
        uploads = Uploads(self._storage, pool, budget, self._destination.max_connections or _UPLOADS)
        packer = Packer(self._request.compression, namer, uploads.start, budget)
        collector = Collector(packer, write, self._note, absent)
        try:
            for change in compare(scan.scan(self._job.roots, self._note), self._base_entries(base), absent):
                collector.collect(change)
            collector.finish()
            sent = uploads.finish()
        except BaseException as error:
            packer.give_up(error)
            uploads.give_up()
            self._take_back(pool, list(uploads.sizes))
            raise
        packer.stop()
        return {**({name: use.stored for name, use in base.trailer.volumes.items()} if base else {}), **sent}

    def _take_back(self, pool: RemotePath, volumes: list[str]) -> None:
        """Delete what this run has uploaded: it may have failed because the storage is full."""
        try:
            self._storage.delete([pool / name for name in volumes])
        except BackupError:
            return  # the next run sweeps it

    def _base_entries(self, base: ReadPoint | None) -> Iterator[Entry]:
        if base is None:
            return iter(())
        return open_manifest(self._cache.path_of(base.stored)).entries()

    def _note(self, path: bytes, problem: str) -> None:
        self._problems.append(Problem(path_text(path), problem))

    def _shown_problems(self) -> list[dict[str, str]]:
        return [problem._asdict() for problem in self._problems[:PROBLEMS_SHOWN]]

    def _prune(self, known: _Known, new: ReadPoint, lock: JobLock, began: float) -> Outcome:
        points = [*known.points, new]
        verdicts = self._verdicts(known.points, *_candidates([new]))
        gone = _losing(verdicts)
        if gone and not self._may_delete(known, lock):
            gone = set()
        kept = [point for point in points if point.seq not in gone]
        doomed = [point for point in points if point.seq in gone]
        commit.remove_points(self._storage, self._job.directory, doomed, kept)
        self._cache.keep_only([point.stored for point in kept])
        self._index(kept)
        point = describe(new)
        point["bytes_sent"] = self._storage.bytes_sent
        point["duration"] = round(time.monotonic() - began, 3)
        return self._changed_outcome(known, verdicts, gone, point)

    def _may_delete(self, known: _Known, lock: JobLock) -> bool:
        """Tell whether restore points may be removed: all of them could be read, and nobody else works on the job."""
        try:
            lock.prove("The restore point was made, and none was removed.")
        except LockedError as error:
            self._warnings.append(str(error))
            return False
        return not known.damaged

    def _index(self, points: t.Sequence[ReadPoint]) -> None:
        """Bring the host's index in line; it is a cache, so its trouble is told and stops nothing."""
        job = self._job
        try:
            warnings = update_job(
                job.destination_state.index,
                job.client,
                self._request.job,
                self._request.structure,
                points,
                lambda stored: self._cache.reader(self._storage, stored),
            )
            self._warnings.extend(warnings)
        except BackupError as error:
            self._warnings.append(f"The index of this host was not updated: {error}")


class _PartCounter:
    """Hands entries on and counts what each root holds; both come in order."""

    def __init__(self, job_roots: list[bytes], write: t.Callable[[Entry], None]) -> None:
        self._roots = job_roots
        self._write = write
        self._counts = [[0, 0] for _root in job_roots]
        self._at = 0

    def __call__(self, entry: Entry) -> None:
        while not scan.is_below(entry.path, self._roots[self._at]):
            self._at += 1
        self._counts[self._at][0] += 1
        self._counts[self._at][1] += entry.size if entry.kind == FILE else 0
        self._write(entry)

    def parts(self) -> tuple[Part, ...]:
        return tuple(Part("files", path_text(root), *counts) for root, counts in zip(self._roots, self._counts))


class _VolumeNames:
    """Names the volumes of a run so that no directory grows beyond what servers list."""

    def __init__(self, run: str, suffix: str, volumes: t.Iterable[str]) -> None:
        self._run = run
        self._suffix = suffix
        self._shelves: dict[int, int] = {}
        for name in volumes:
            shelf = int(name[1 : name.index("/")])
            self._shelves[shelf] = self._shelves.get(shelf, 0) + 1

    def __call__(self, number: int) -> str:
        shelf = 0
        while self._shelves.get(shelf, 0) >= _VOLUMES_A_SHELF:
            shelf += 1
        self._shelves[shelf] = self._shelves.get(shelf, 0) + 1
        return f"v{shelf:02d}/{self._run}-{number:06d}{self._suffix}"


def _candidates(points: t.Iterable[ReadPoint]) -> list[Candidate]:
    return [Candidate(p.seq, p.header.pool, p.trailer.complete, p.stored.is_protected) for p in points]


def _losing(verdicts: t.Iterable[Verdict]) -> set[int]:
    return {verdict.seq for verdict in verdicts if not verdict.stays}


def _shown_points(points: t.Iterable[ReadPoint], verdicts: t.Iterable[Verdict]) -> dict[str, str]:
    reasons = {verdict.seq: verdict.reason for verdict in verdicts}
    return {f"{p.seq:06d} {p.header.run}": f"{p.header.pool}: {reasons[p.seq]}" for p in points}
