# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that a fresh restore point of a job exists, and removes those that retention lets go."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import typing as t
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from . import foresight, scan
from .basis import Basis, Problems
from .changes import Counts
from .commands import Command, Commands
from .connections import open_storage
from .copying import Copy, Manner, changes
from .dumping import Dumping, dumps_of, left_by
from .dumps import DumpPlan, Source, plan_dumps
from .errors import BackupError, CommandError, DamageError, LockedError, PartialError, ShrunkError, UsageError
from .foresight import Against, Review
from .ignore import IgnoreRules
from .jobs import Job, Known, OpenJob, candidates_of
from .moving import Emptying
from .native import commit, names
from .native.damage import Condition, Damage, read_damage, sparse_volumes, write_damage
from .native.emptying import plan_emptying, weigh
from .native.entries import FILE, FILES, Header, Rules, path_text
from .native.frames import require_codec
from .native.points import ManifestCache
from .native.pool import content_table
from .native.volumes import VOLUME_SIZE
from .outcome import Outcome
from .progress import FINISHING, PRUNING, SCANNING, Meter
from .records import noted_backup
from .registry import NAME_LIMIT, DestinationState, Host, LivingRuns, check_name, keep_identity, require_writable
from .reporting import Reporter
from .results import describe, described_content, described_header
from .retention import DEFAULT_LAST, Candidate, Policy, Slot, Verdict, choose_slot, plan_policy, plan_ring
from .side_by_side import both
from .sparse import content_size
from .version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .jobs import Holding
    from .native.entries import Entry, Trailer
    from .native.lock import JobLock
    from .native.points import JobFile, PointListing, ReadPoint
    from .native.pool import ContentTable
    from .progress import Progress
    from .registry import Destination, Registry
    from .storage import Storage

    Frame = tuple[str, int, int]

INCREMENTAL, FULL, DEDUPLICATED = "incremental", "full", "deduplicated"
STRUCTURES = (INCREMENTAL, FULL, DEDUPLICATED)
MIN_VOLUME, MAX_VOLUME = 1024 * 1024, 1024 * 1024 * 1024
_UPLOADS = 4
_EARLY = 3  # for what the run begins with: the job's file, its restore points, those of this month
_EVERYTHING = Policy()
_NO_RULES = Rules()
_UNTOUCHED = "Nothing was committed, and the restore points are as they were."
_NONE_REMOVED = "The restore point was made, and none was removed."
_BROKEN_OFF = "The run was broken off, and older restore points are as they were."


@dataclass(frozen=True)
class Request:
    """One job, as it was asked for; *volume_size* is in bytes."""

    destination: str
    job: str
    paths: tuple[str, ...] = ()
    client: str | None = None
    structure: str = INCREMENTAL
    compression: str = "gzip"
    retention: Policy = _EVERYTHING
    max_age: timedelta = timedelta(hours=12)
    force: bool = False
    adopt: bool = False
    rules: Rules = _NO_RULES
    databases: tuple[Source, ...] = ()
    pre_commands: tuple[Command, ...] = ()
    post_commands: tuple[Command, ...] = ()
    checksum: bool = False
    allow_shrink: bool = False
    fails_if_partial: bool = False
    reads_back: bool = False
    volume_size: int = VOLUME_SIZE

    @property
    def definition(self) -> str:
        """A digest of what decides the content of a restore point."""
        values: dict[str, t.Any] = {"paths": sorted(self.paths), "rules": self.rules.to_json()}
        if self.databases:
            values["databases"] = [source.definition() for source in self.databases]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def require_sense(self) -> None:
        """Raise if what is asked for cannot work, whatever the destination has."""
        check_name(self.job, "job", NAME_LIMIT)
        if not (self.paths or self.databases):
            raise UsageError("There is nothing to back up: paths and databases are empty.")
        for source in self.databases:
            source.require_sense()
        if not MIN_VOLUME <= self.volume_size <= MAX_VOLUME:
            raise UsageError(
                f"volume_size is {self.volume_size:,} bytes, and must be from {MIN_VOLUME:,} to {MAX_VOLUME:,}."
            )
        if self.rules.marker is not None and (not self.rules.marker or "/" in self.rules.marker):
            raise UsageError(f"exclude_marker is {self.rules.marker!r}, which is no name of a file.")
        IgnoreRules(self.rules.exclude)
        require_codec(self.compression)


def back_up(registry: Registry, host: Host, request: Request, *, check_mode: bool) -> Outcome:
    """Make sure that a complete restore point of the job exists that is young enough."""
    reporter = Reporter(request.destination)
    destination = require_writable(registry, request.destination)
    request.require_sense()
    identity, client, is_new = host.client_of(request.client)
    check_name(client, "client")

    started = host.now()
    state = DestinationState(host.state_directory, destination.name, destination.place)
    living = LivingRuns(host.config_directory)
    run_id = names.run_id(started, host.chance())
    job = Job(request.job, client, destination.name, identity, state, living, started, run_id)
    with ExitStack() as stack:
        records = state.records(client, request.job)
        note = stack.enter_context(noted_backup(records, host.now, check_mode=check_mode))
        if not request.pre_commands:  # else they may have to make some of the paths
            scan.roots_of(request.paths)
        reach = partial(open_storage, destination, job.run, state, may_write=not check_mode, warm=_EARLY)
        storage = stack.enter_context(reach()) if is_new and not check_mode else None
        if storage is not None:
            job = _introduced(job, request, storage, host.config_directory)
        if not check_mode:
            with note.void_if_locked():
                stack.enter_context(job.state.lock(request.job))
            stack.enter_context(living.alive(job.run))
        storage = storage or stack.enter_context(reach())
        run = _Run(job, request, storage, destination, host.chance, host.progress)
        return note.tell(reporter.told(run.foretell if check_mode else run.do, storage, made="point"))


def _introduced(job: Job, request: Request, storage: Storage, config_directory: Path) -> Job:
    """Keep who this host is, and return *job* as its own.

    First the job must be found free for it: a run that is refused decides no name for life.
    """
    open_job = OpenJob(job, storage)
    _judge(open_job, request, open_job.file())
    identity = keep_identity(config_directory, job.identity)
    return replace(job, identity=identity, client=request.client or identity.client)


def _judge(open_job: OpenJob, request: Request, found: JobFile | None) -> None:
    """Raise if the job is another host's that is not to be adopted, or of another structure."""
    if not request.adopt:
        open_job.require_ours(
            found, "If this host takes its place, say adopt: true; else give this host a client name of its own."
        )
    if found is not None and found.structure != request.structure:
        raise UsageError(
            f"The job {request.job!r} has the structure {found.structure}, which cannot be changed to"
            f" {request.structure}: give the new one another job name."
        )


class _Run:
    """One run against the storage."""

    def __init__(
        self,
        job: Job,
        request: Request,
        storage: Storage,
        destination: Destination,
        chance: t.Callable[[], str],
        progress: Progress,
    ) -> None:
        self._job = job
        self._request = request
        self._roots: list[bytes] = []
        self._storage = storage
        self._chance = chance
        self._progress = progress
        self._open = OpenJob(job, storage)
        self._problems = Problems()
        self._has_left_something = False
        self._is_foreign = False
        self._reason = ""
        self._manner = Manner(
            compression=request.compression,
            checksum=request.checksum,
            volume_size=request.volume_size,
            reads_back=request.reads_back,
            side_by_side=destination.max_connections or _UPLOADS,
        )

    @property
    def _warnings(self) -> list[str]:
        return self._open.warnings

    # -- looking

    def _fresh(self, known: Known) -> ReadPoint | None:
        """Return the latest restore point if it makes another one unnecessary, and keep the reason in any case."""
        started, max_age = self._job.started, self._request.max_age
        if self._request.force:
            self._reason = foresight.FORCED
            return None
        complete = [point for point in known.points if point.trailer.complete]
        alike = [point for point in complete if point.header.definition == self._request.definition]
        oldest = started - max_age
        for point in reversed(alike):
            if oldest < point.header.started <= started:
                if self._has_its_volumes(point, known.listing):
                    self._reason = foresight.why_fresh(point.header, started, max_age)
                    return point
                return None
        if alike:
            self._reason = foresight.why_stale(alike[-1].header, started, max_age)
        elif complete:
            newest = complete[-1].header
            self._reason = foresight.why_redefined(newest, self._request.paths, self._request.rules)
        else:
            self._reason = foresight.NONE_COMPLETE if known.points or known.damaged else foresight.FIRST
        return None

    def _has_its_volumes(self, point: ReadPoint, listing: PointListing) -> bool:
        pool = self._job.directory / point.pool
        condition = commit.condition_of(self._storage, pool, [point], listing, self._warnings.append)
        absent = sorted(condition.absent)
        if condition:
            self._reason = f"healing: content of the newest complete one, {point.header.run}, is damaged or missing"
        if absent:
            self._warnings.append(
                f"The restore point {point.header.run} lacks {len(absent)} of its volumes on the storage, the first is"
                f" {point.pool}/{absent[0]}: it does not count as fresh."
            )
        elif condition.damage:
            self._warnings.append(
                f"Content of the restore point {point.header.run} was found damaged: it does not count as fresh."
            )
        return not condition

    # -- planning

    def _slot(self, known: Known) -> Slot:
        """Return the pool of the next run, and in a ring the restore point that is to be replaced."""
        if self._request.structure == DEDUPLICATED:
            return Slot("pool", None)
        if self._request.structure == FULL:
            begun = [point.pool for point in known.checkpoints if point.header.structure == FULL]
            return Slot(begun[-1] if begun else f"full-{self._job.run}", None)
        return choose_slot(candidates_of(known.points), self._last)

    @property
    def _last(self) -> int:
        return self._request.retention.last or DEFAULT_LAST

    def _verdicts(self, points: Sequence[ReadPoint], new: Candidate | None = None) -> list[Verdict]:
        """Judge *points*, and the *new* one if there is one."""
        candidates = [*candidates_of(points), *([new] if new is not None else [])]
        if self._request.structure == INCREMENTAL:
            verdicts = plan_ring(candidates, self._last)
        else:
            verdicts = plan_policy(candidates, self._request.retention, self._job.started)
        if new is None or new.is_complete or not _losing(verdicts):
            return verdicts
        # No good one goes for the sake of a partial one, nor of one that cannot be read whole.
        last = self._last_whole(points)
        stays = Verdict(last, stays=True, reason="the latest complete one that is not damaged")
        return [stays if verdict.seq == last and not verdict.stays else verdict for verdict in verdicts]

    def _last_whole(self, points: Sequence[ReadPoint]) -> int:
        """Return the number of the latest complete one of *points* whose manifest is whole, or 0."""
        for point in reversed(points):
            if point.trailer.complete and self._is_whole(point):
                return point.seq
        return 0

    def _is_whole(self, point: ReadPoint) -> bool:
        with suppress(DamageError):
            self._open.cache.whole(self._storage, point.stored)
            return True
        return False

    def _basis(self, known: Known, slot: Slot, checkpoints: Sequence[ReadPoint]) -> Basis:
        """Return what the run starts from; a restore point whose manifest is damaged serves nobody."""
        bases = known.points if self._request.structure == DEDUPLICATED else known.of_pool(slot.pool)
        if self._request.structure == INCREMENTAL:
            bases = [point for point in bases if point.seq == slot.base]
            consequence = "Everything is sent anew in the place of that restore point."
        else:
            consequence = "An older one is started from."
        manifests = [point for point in reversed(checkpoints) if self._is_whole(point)]
        for point in reversed(bases):
            try:
                self._open.cache.whole(self._storage, point.stored)
            except DamageError as error:
                self._warnings.append(f"{error} {consequence}")
                continue
            manifests.append(point)
            break
        points = (*known.of_pool(slot.pool), *checkpoints)
        doomed = self._doomed(known, points, manifests)
        pool = self._job.directory / slot.pool
        condition = commit.condition_of(self._storage, pool, points, known.listing, self._warnings.append)
        condition = replace(condition, doomed=doomed)
        months = frozenset(point.stored.path.parent for point in known.points)  # others may just have been swept
        return Basis(slot.pool, tuple(manifests), points, condition, months)

    def _doomed(self, known: Known, points: Sequence[ReadPoint], manifests: Sequence[ReadPoint]) -> frozenset[str]:
        """Return the volumes that are to be emptied."""
        if self._request.structure == INCREMENTAL:
            uses = {name: use for point in manifests for name, use in point.trailer.volumes.items()}
            return sparse_volumes({name: (use.live, use.content) for name, use in uses.items()})
        if self._request.structure == DEDUPLICATED and not known.damaged:
            return plan_emptying(weigh(points))
        return frozenset()

    def _header(self, seq: int, pool: str) -> Header:
        job, request = self._job, self._request
        return Header(
            run=job.run,
            seq=seq,
            client=job.client,
            job=job.name,
            structure=request.structure,
            pool=pool,
            started=job.started,
            paths=tuple(path_text(root) for root in self._roots),
            definition=request.definition,
            tool=VERSION,
            rules=request.rules,
        )

    def _require_size(self, known: Known, entries: int, size: int, *, guessed: int | None = None) -> None:
        """Raise if the tree has shrunk so much that something must be missing, unless that is allowed.

        So many bytes of *size* may be *guessed*: databases, of which a server may tell much less than a dump has.
        """
        alike = [point for point in known.points if point.header.definition == self._request.definition]
        if self._request.allow_shrink or not alike:
            return
        last = alike[-1].trailer
        if guessed is not None:
            size += max(0, sum(part.size for part in last.parts if part.kind != FILES) - guessed)
        if entries * 2 < last.entries or size * 2 < last.size:
            raise ShrunkError(
                f"The paths hold {entries:,} entries with {size:,} bytes, less than half of what the last restore point"
                f" holds ({last.entries:,} with {last.size:,} bytes): is a disk not mounted? {_UNTOUCHED} If that is"
                " as it should be, say allow_shrink: true once."
            )

    # -- foretelling

    def foretell(self) -> Outcome:
        """Return the outcome a run would have, without writing anything anywhere."""
        with tempfile.TemporaryDirectory(prefix="ftp-backup-") as scratch:
            self._open.cache = ManifestCache(Path(scratch), self._open.cache.directory)
            found, known = both(self._open.file, self._open.look)
            _judge(self._open, self._request, found)
            fresh = self._fresh(known)
            self._is_foreign = self._open.is_foreign(found)
            if fresh is not None:
                return self._as_it_is(known, fresh, is_foreign=self._is_foreign)
            known = self._open.without_noted(known)
            return self._foretold(known, self._slot(known), Path(scratch))

    def _foretold(self, known: Known, slot: Slot, scratch: Path) -> Outcome:
        self._roots = scan.roots_of(self._paths_by_now())
        plan = plan_dumps(self._request.databases, scratch)
        checkpoints = [point for point in known.checkpoints if point.pool == slot.pool]
        basis = self._basis(known, slot, checkpoints)
        header = self._header(known.listing.next_seq, slot.pool)
        counts = Counts()
        scanned = self._scanned(header, basis, counts)
        dumped = self._dumps_counted(plan, basis, counts)
        entries, size = scanned[0] + dumped[0], scanned[1] + dumped[1]
        if not self._request.pre_commands:  # else what they make is missing yet
            self._require_size(known, entries, size, guessed=dumped[1])
        against = self._against(basis)
        is_complete = not self._problems.count
        content = described_content(entries=entries, size=size, problems=self._problems.first)
        point = {**described_header(header), **content}
        new = Candidate(header.seq, slot.pool, is_complete=is_complete, is_protected=False, created=self._job.started)
        verdicts = self._verdicts(known.points, new)
        gone = _losing(verdicts) if not known.damaged else set()
        changed = foresight.shown_changes(counts, against)
        summary = (
            foresight.told_place(header.seq, slot, known.point(slot.base), self._reason, would=True),
            *foresight.told_changes(changed, against),
            foresight.told_estimate(counts.size),
            *foresight.told_databases(plan),
            *foresight.told_gone(len(gone), would=True),
        )
        outcome = self._changed_outcome(known, verdicts, gone, header, point, changed, summary)
        outcome = replace(outcome, values={**outcome.values, "bytes_sent": counts.size})
        self._require_complete(outcome)
        return outcome

    def _scanned(self, header: Header, basis: Basis, counts: Counts) -> tuple[int, int]:
        """Return how many entries the tree will give, and how large they are; *counts* learns what has changed."""
        entries = size = 0
        linked: set[str] = set()
        meter = Meter(self._progress, SCANNING)
        seen = changes(self._open, self._roots, header, basis, self._problems, checksum=False, counts=counts)
        for change in seen:
            meter.add(entries=1)
            found, base = change.found, change.base
            if found is not None and not (change.is_same or self._can_be_read(found)):
                stays = base is not None and not basis.condition.has_lost(base)
                counts.lose(change, stays=stays)
                if not stays:
                    continue
                found = None
            entries += 1
            if found is None:  # it stays as it was read last
                size += base.size if base is not None and base.kind == FILE else 0
                continue
            if found.status is None or found.kind != FILE:
                continue
            if found.status.st_nlink > 1:
                inode = scan.inode_of(found.status)
                if inode in linked:
                    continue
                linked.add(inode)
            size += found.status.st_size
            counts.size += 0 if change.is_same else content_size(found.status)
        meter.finish()
        return entries, size

    def _dumps_counted(self, plan: DumpPlan, basis: Basis, counts: Counts) -> tuple[int, int]:
        """Return how many dumps there will be, and how large they are by their servers."""
        if not (plan.dumps or plan.missed):
            return 0, 0
        bases = dumps_of(self._open, basis)
        for dump in plan.dumps:
            counts.count_dump(bases.get(dump.path), dump.size)
        missed = list(self._missed(plan, bases, basis.condition))
        for base in missed:
            counts.count_dump(base, None)
        sizes = [*(dump.size for dump in plan.dumps), *(base.size for base in missed)]
        return len(sizes), sum(sizes)

    def _paths_by_now(self) -> list[str]:
        """Return the paths as far as they can be looked at without pre_commands, which are not run in check mode."""
        if not self._request.pre_commands:
            return list(self._request.paths)
        there = [path for path in self._request.paths if os.path.lexists(path)]
        self._warnings.append("pre_commands are not run in check mode: what they would make is not foretold.")
        return there

    def _against(self, basis: Basis) -> Against:
        """Return what the run compares the tree with."""
        base = next((point for point in basis.manifests if not point.is_checkpoint), None)
        return Against(base, resumes=any(point.is_checkpoint for point in basis.manifests))

    def _missed(self, plan: DumpPlan, bases: Mapping[bytes, Entry], condition: Condition) -> Iterator[Entry]:
        """Note which dumps cannot be had, and yield what stays of them from the last time, which *bases* are."""
        planned = {dump.path for dump in plan.dumps}
        left: set[bytes] = set()
        for missed in plan.missed:
            self._problems.note(missed.place, missed.problem)
            left.update(left_by(missed, bases))
        yield from (bases[path] for path in left - planned if not condition.has_lost(bases[path]))

    def _can_be_read(self, found: scan.Found) -> bool:
        """Tell whether the content of what was *found* can be had, and note it if not."""
        if found.kind != FILE or found.status is None:
            return True
        try:
            descriptor, _status = scan.open_found(found.path, found.root, scan.inode_of(found.status))
        except OSError as error:
            self._problems.note(found.path, scan.told(error))
            return False
        os.close(descriptor)
        return True

    def _as_it_is(self, known: Known, fresh: ReadPoint, *, is_foreign: bool) -> Outcome:
        """Return the outcome of a run that makes no restore point; all it may change is whose job it is."""
        reasons = foresight.reasons_of(self._verdicts(known.points), set(), foresight.NONE_MADE)
        review = self._review(known, reasons, set())
        before, after = self._lines(review, is_foreign=is_foreign)
        values = {
            "point": {**describe(fresh), "bytes_sent": 0, "duration": 0.0},
            "reason": self._reason,
            "changes": foresight.no_changes(fresh.header),
            "pruned": [],
            "kept": review.kept(),
        }
        return Outcome(
            is_foreign,
            values,
            tuple(before),
            tuple(after),
            tuple(self._warnings),
            title=foresight.points_title(self._job),
            summary=(f"No restore point is made: {self._reason}.",),
        )

    @staticmethod
    def _lines(review: Review, *, is_foreign: bool) -> tuple[list[str], list[str]]:
        """Return both sides of the diff, which tell first of a job that is taken over."""
        before, after = review.lines()
        if is_foreign:
            before.insert(0, "the job is another host's")
            after.insert(0, "the job is this host's")
        return before, after

    def _review(self, known: Known, reasons: dict[int, str], gone: t.AbstractSet[int]) -> Review:
        definition, broken = self._request.definition, known.listing.broken_pools
        stored = known.listing.points if known.damaged else ()
        return Review(stored, known.points, reasons, gone, definition, broken)

    def _changed_outcome(
        self,
        known: Known,
        verdicts: list[Verdict],
        gone: set[int],
        header: Header,
        point: dict[str, t.Any],
        changed: dict[str, t.Any],
        summary: Sequence[str],
        why_all_stay: str = foresight.NOTHING_GOES,
    ) -> Outcome:
        reasons = foresight.reasons_of(verdicts, gone, why_all_stay)
        review = self._review(known, reasons, gone)
        pruned = [{"id": p.header.run, "seq": p.seq, "reason": reasons[p.seq]} for p in known.points if p.seq in gone]
        before, after = self._lines(review, is_foreign=self._is_foreign)
        after.append(foresight.new_line(header, point["bytes"], self._reason, is_complete=point["complete"]))
        futile = IgnoreRules(self._request.rules.exclude).futile
        if futile:
            self._warnings.append(f"Of exclude, {futile[0]!r} can match nothing, as in a .gitignore.")
        if self._request.structure == INCREMENTAL and self._request.retention.has_clock:
            self._warnings.append("Of retention, only last applies to an incremental job.")
        if self._problems.count and not self._request.fails_if_partial:
            self._warnings.append(f"The restore point of {self._request.job!r} is partial: {self._told_problems()}")
        values = {
            "point": point,
            "reason": self._reason,
            "changes": changed,
            "pruned": pruned,
            "kept": review.kept(),
        }
        return Outcome(
            changed=True,
            values=values,
            before=tuple(before),
            after=tuple(after),
            warnings=tuple(self._warnings),
            title=foresight.points_title(self._job),
            summary=tuple(summary),
        )

    def _told_problems(self) -> str:
        first = self._problems.first[0]
        count = "one thing" if self._problems.count == 1 else f"{self._problems.count:,} things"
        return f"{count} could not be read as it should, the first is {first.path} ({first.problem})."

    def _require_complete(self, outcome: Outcome) -> None:
        """Raise if something could not be read and the user wants that to be a failure."""
        if self._request.fails_if_partial and self._problems.count:
            run = outcome.values["point"]["id"]
            told = self._told_problems()
            raise PartialError(f"The restore point {run} of {self._request.job!r} is partial: {told}", outcome)

    # -- doing

    def do(self) -> Outcome:
        """Make a restore point unless a fresh one exists, and remove those that retention lets go."""
        if self._may_be_fresh():
            found, known = both(self._open.file, self._open.look)
            _judge(self._open, self._request, found)
            fresh = self._fresh(known) if found is not None and not self._open.is_foreign(found) else None
            if fresh is not None:
                self._open.index(self._request.structure, known.points)
                return self._as_it_is(known, fresh, is_foreign=False)
        state = self._job.state
        is_clean = state.is_clean()
        state.set_clean(is_clean=False)
        judge = partial(_judge, self._open, self._request)
        with self._open.locked(judge, makes=True) as holding:
            is_foreign = self._is_foreign = self._open.is_foreign(holding.file)
            known = self._open.nothing() if holding.is_new else self._open.look()
            fresh = self._fresh(known)  # one that this host had no copy of
            if fresh is not None:
                if is_foreign or holding.file is None:
                    self._open.bind(self._request.structure)
                self._open.index(self._request.structure, known.points)
                outcome = self._as_it_is(known, fresh, is_foreign=is_foreign)
            else:
                is_clean = is_clean and not holding.lock.took_over
                with self._commands() as commands:
                    outcome, is_clean = self._backed_up(known, holding, commands, is_clean=is_clean)
        state.set_clean(is_clean=is_clean and not self._has_left_something)
        self._require_complete(outcome)
        return outcome

    @contextmanager
    def _commands(self) -> Iterator[Commands]:
        """Run the user's own commands before and after the block."""
        job, request = self._job, self._request
        variables = {
            "FTP_BACKUP_JOB": job.name,
            "FTP_BACKUP_CLIENT": job.client,
            "FTP_BACKUP_DESTINATION": job.destination,
            "FTP_BACKUP_RUN": job.run,
        }
        commands = Commands(request.pre_commands, request.post_commands, variables)
        try:
            with commands.surrounding():
                yield commands
        except BackupError as error:
            if commands.failures and not isinstance(error, CommandError):
                error.args = (" ".join([str(error), *commands.failures]),)
            raise

    def _may_be_fresh(self) -> bool:
        """Tell from this host's own copies whether looking for a fresh point is worth a look without the lock."""
        newest = self._open.cache.newest()
        if newest is None or self._request.force:
            return False
        return names.started_of(newest.run) > self._job.started - self._request.max_age

    def _backed_up(self, known: Known, holding: Holding, commands: Commands, *, is_clean: bool) -> tuple[Outcome, bool]:
        """Make a restore point and remove others; return the outcome, and whether nothing was left to be cleaned up."""
        lock = holding.lock
        self._roots = scan.roots_of(self._request.paths)
        plan = plan_dumps(self._request.databases, self._job.state.directory)
        dumping = Dumping(self._open, plan, self._problems)
        known = self._open.finish_removals(known)
        slot = self._slot(known)
        checkpoints = [point for point in known.checkpoints if point.pool == slot.pool]
        is_clean = self._open.sweep(known, checkpoints, is_clean=is_clean or holding.is_new)
        with self._table() as table, self._open.lost_lock_told(lock, _BROKEN_OFF):
            basis = self._basis(known, slot, checkpoints)
            if table is not None:
                table.sync(basis.points, lambda stored: self._open.cache.reader(self._storage, stored))
            header = self._header(known.listing.next_seq, slot.pool)
            copy = Copy(self._open, self._roots, header, basis, self._manner, dumping, table, self._progress)

            def judge(trailer: Trailer) -> None:
                self._require_size(known, trailer.entries, trailer.size)

            def make() -> None:
                trailer = copy.make(judge)
                self._progress.report(FINISHING, entries=trailer.entries, item=self._job.run)

            try:
                if self._open.is_foreign(holding.file) or holding.file is None:
                    both(make, partial(self._open.bind, self._request.structure))
                else:
                    make()
            except BaseException:
                copy.take_back()
                raise
            new = copy.publish(partial(lock.prove, _UNTOUCHED))
            commands.tell_made(f"The restore point {self._job.run} was made all the same.")
            told = (foresight.shown_changes(copy.counts, self._against(basis)), slot, self._against(basis))
            outcome = self._prune(known, new, checkpoints, lock, basis.condition, table, told)
        return outcome, is_clean

    @contextmanager
    def _table(self) -> Iterator[ContentTable | None]:
        """Open the table of what the pool holds, where the structure has one."""
        if self._request.structure != DEDUPLICATED:
            yield None
            return
        with content_table(self._job.state.table) as table:
            yield table

    def _prune(
        self,
        known: Known,
        new: ReadPoint,
        checkpoints: Sequence[ReadPoint],
        lock: JobLock,
        condition: Condition,
        table: ContentTable | None,
        told: tuple[dict[str, t.Any], Slot, Against],
    ) -> Outcome:
        points = [*known.points, new]
        verdicts = self._verdicts(known.points, *candidates_of([new]))
        gone = _losing(verdicts)
        is_noted = new.pool in known.listing.broken_pools
        may_delete = self._may_delete(known, lock, is_needed=bool(gone or checkpoints or condition or is_noted))
        why_all_stay = foresight.NOTHING_GOES if known.damaged else foresight.LOCK_LOST
        if not may_delete:
            gone = set()
        kept = [point for point in points if point.seq not in gone]
        if may_delete:
            doomed = [*(point for point in points if point.seq in gone), *checkpoints]
            kept = self._removed(doomed, kept, lock, condition, table)
            if is_noted:
                self._forget_damage(lock, new.pool, kept)
        self._open.cache.keep_only([point.stored for point in kept])
        self._open.index(self._request.structure, kept)
        changed, slot, against = told
        summary = (
            foresight.told_place(new.seq, slot, known.point(slot.base), self._reason, would=False),
            *foresight.told_changes(changed, against),
            foresight.told_sent(changed["bytes"], self._storage.bytes_sent),
            *foresight.told_gone(len(gone), would=False),
        )
        return self._changed_outcome(known, verdicts, gone, new.header, describe(new), changed, summary, why_all_stay)

    def _removed(
        self,
        doomed: Sequence[ReadPoint],
        kept: list[ReadPoint],
        lock: JobLock,
        condition: Condition,
        table: ContentTable | None,
    ) -> list[ReadPoint]:
        """Remove the restore points *doomed*, and what is not needed of the pool then; return those that are left."""
        prove = partial(lock.prove, _NONE_REMOVED)
        if doomed or table is not None:
            going = sum(not point.is_checkpoint for point in doomed)
            self._progress.report(PRUNING, entries=going, item=self._job.name)
        try:
            commit.remove_points(self._storage, self._job.directory, doomed, kept, prove)
            if table is not None:
                kept = self._emptied(kept, lock, table, condition)
        except LockedError as error:
            self._warnings.append(str(error))
        return kept

    def _may_delete(self, known: Known, lock: JobLock, *, is_needed: bool) -> bool:
        """Tell whether anything may be removed: all restore points could be read, and nobody else works on the job."""
        if known.damaged or not is_needed:
            return False
        try:
            lock.prove(_NONE_REMOVED)
        except LockedError as error:
            self._warnings.append(str(error))
            return False
        return True

    def _emptied(
        self, points: list[ReadPoint], lock: JobLock, table: ContentTable, condition: Condition
    ) -> list[ReadPoint]:
        """Empty what is to go of the pool; its trouble is told, and costs nothing that is there."""
        damaged = condition.damage.volumes | {volume for volume, _offset, _length in condition.damage.frames}
        doomed = condition.doomed | condition.absent | damaged
        if not doomed:
            return points
        run = names.run_id(self._job.started, self._chance())
        emptying = Emptying(self._open, lock, table, self._manner, run, condition, doomed)
        try:
            return emptying.empty(points)
        except BackupError as error:
            self._warnings.append(f"The restore point was made, but volumes could not be emptied: {error}")
            self._has_left_something = True
            return self._open.look_again(points)

    def _forget_damage(self, lock: JobLock, pool: str, points: Sequence[ReadPoint]) -> None:
        """Strike from the pool's note what no restore point names any more, if only since a run that was killed."""
        directory = self._job.directory / pool
        sharing = [point for point in points if point.pool == pool]
        named = frozenset[str]().union(*(point.trailer.volumes for point in sharing))
        with suppress(DamageError, LockedError):  # both were told
            damage = read_damage(self._storage, directory)
            left = damage.of_volumes(named)
            left = Damage(left.volumes, self._named_frames(sharing, left.frames))
            if left != damage:
                lock.prove(_NONE_REMOVED)
                write_damage(self._storage, directory, left)

    def _named_frames(self, points: Sequence[ReadPoint], frames: frozenset[Frame]) -> frozenset[Frame]:
        """Return those of the broken *frames* that any of *points* still needs; all, if that cannot be told."""
        named: set[Frame] = set()
        for point in points if frames else ():
            try:
                for entry in self._open.cache.whole(self._storage, point.stored).entries():
                    named.update((place.volume, place.offset, place.length) for place in entry.places)
                    named &= frames
            except DamageError:
                return frames
        return frozenset(named)


def _losing(verdicts: t.Iterable[Verdict]) -> set[int]:
    return {verdict.seq for verdict in verdicts if not verdict.stays}
