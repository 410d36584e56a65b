# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes one restore point of a job, or protects it from ever being removed.

What is to be is planned from what exists, as the list of restore points that the job has afterwards. Doing it makes the
storage so, under the lock of the job; check mode only tells it.
"""

from __future__ import annotations

import tempfile
import typing as t
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .connections import open_storage
from .errors import DamageError, UsageError
from .foresight import point_line, points_title
from .jobs import Job, OpenJob, candidates_of
from .native import commit, names
from .native.damage import read_damage, write_damage
from .native.points import ManifestCache
from .outcome import Outcome
from .registry import DestinationState, LivingRuns, check_name, require_writable
from .reporting import Reporter
from .results import describe
from .retention import choose_slot

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .jobs import Holding, Known
    from .native.lock import JobLock
    from .native.points import JobFile, PointListing, ReadPoint, StoredPoint
    from .registry import Host, Registry
    from .storage import Storage

    Planner = Callable[[OpenJob, Known], "Plan"]

LATEST = "latest"
_MARK = b"The restore point of this number is kept for as long as this file is here.\n"
_TOLD = 3
_NOTHING_CHANGED = "This run has changed no restore point."


@dataclass(frozen=True)
class Which:
    """One restore point of a job: *point* is its id, or LATEST.

    With *foreign*, the job may belong to another host, of which nothing is believed that asks for more than that.
    """

    destination: str
    job: str
    point: str
    client: str | None = None
    foreign: bool = False


@dataclass(frozen=True)
class Plan:
    """The restore points that a job is to have, the id of the one that is meant, and what the user should know.

    *given_up* is one that cannot be read and is to go, too.
    """

    run: str
    points: tuple[ReadPoint, ...]
    warnings: tuple[str, ...] = ()
    given_up: StoredPoint | None = None

    def changes(self, known: Known) -> bool:
        """Tell whether it is not what is *known*."""
        return self.points != known.points or self.given_up is not None


def ensure_absent(registry: Registry, host: Host, which: Which, *, force: bool, check_mode: bool) -> Outcome:
    """Remove the restore point, with what only it needs.

    It takes *force* to leave the job without any good one, and to give up one whose manifest cannot be read.
    """
    if which.point == LATEST:
        raise UsageError(
            f"The restore point to be removed is not named: {LATEST} may be another one by now, so give its id."
        )
    return _ensured(registry, host, which, partial(_plan_absence, which, force=force), check_mode=check_mode)


def ensure_present(
    registry: Registry, host: Host, which: Which, *, protected: bool | None, check_mode: bool
) -> Outcome:
    """Make sure that the restore point is there, and *protected* or not; None leaves that as it is."""
    return _ensured(registry, host, which, partial(_plan_presence, which, protected=protected), check_mode=check_mode)


def _ensured(registry: Registry, host: Host, which: Which, planner: Planner, *, check_mode: bool) -> Outcome:
    reporter = Reporter(which.destination)
    destination = require_writable(registry, which.destination)
    identity, client, _is_new = host.client_of(which.client)
    check_name(which.job, "job")
    check_name(client, "client")
    if which.point != LATEST and not _is_id(which.point):
        raise UsageError(
            f"The point {which.point!r} is not the id of a restore point, such as 20261122t030000z-1f9c2a."
        )
    started = host.now()
    state = DestinationState(host.state_directory, destination.name, destination.place)
    living = LivingRuns(host.config_directory)
    run = names.run_id(started, host.chance())
    job = Job(which.job, client, destination.name, identity, state, living, started, run)
    with open_storage(destination, run, state, may_write=not check_mode, warm=2) as storage:
        change = _Change(job, storage, planner, foreign=which.foreign)
        return reporter.told(change.foretell if check_mode else change.do, storage)


def _is_id(text: str) -> bool:
    name = names.parse_manifest_name(f"000001-{text}.manifest.gz")
    return name is not None and name.run == text


# -- planning


def _plan_absence(which: Which, open_job: OpenJob, known: Known, *, force: bool) -> Plan:
    """Return what is left without the restore point, which may not be there."""
    job = open_job.job.name
    point = _found(known, which.point)
    if known.damaged:
        stored = next((stored for stored in known.listing.points if stored.run == which.point), None)
        if stored is None:
            return Plan(which.point, known.points)
        damage = " ".join(known.damaged[:_TOLD])
        if point is not None:
            raise DamageError(
                f"{damage} Nothing else is deleted in the job {job!r} until that is mended or given up, so the restore"
                f" point {which.point} stays."
            )
        _require_unprotected(stored, job)
        if not force:
            raise DamageError(
                f"{damage} What the restore point {which.point} of the job {job!r} holds cannot be told: if it is to be"
                " given up, say force: true."
            )
        return Plan(which.point, known.points, given_up=stored)
    if point is None:
        return Plan(which.point, known.points)
    _require_unprotected(point.stored, job)
    others = tuple(other for other in known.points if other is not point)
    if not force:
        _require_another(open_job, known.listing, point, others)
    return Plan(which.point, others)


def _require_unprotected(stored: StoredPoint, job: str) -> None:
    if stored.is_protected:
        raise UsageError(
            f"The restore point {stored.run} of the job {job!r} is protected: take the protection off first, by"
            " protected: false."
        )


def _require_another(open_job: OpenJob, listing: PointListing, point: ReadPoint, others: Sequence[ReadPoint]) -> None:
    """Raise if the job needs *point*, because none of the *others* is as good."""
    if not point.trailer.complete and others:
        return
    if any(_is_good(open_job, listing, other) for other in reversed(others)):
        return
    lack = "complete restore point that is whole" if others else "restore point"
    raise UsageError(
        f"Without the restore point {point.stored.run} the job {open_job.job.name!r} has no {lack}: if it is to go all"
        " the same, say force: true."
    )


def _is_good(open_job: OpenJob, listing: PointListing, point: ReadPoint) -> bool:
    """Tell whether *point* is complete, and nothing that it needs is known to be missing or damaged."""
    if not point.trailer.complete:
        return False
    try:
        open_job.cache.whole(open_job.storage, point.stored)
    except DamageError:
        return False
    pool = open_job.job.directory / point.pool
    return not commit.condition_of(open_job.storage, pool, [point], listing, open_job.warnings.append)


def _plan_presence(which: Which, open_job: OpenJob, known: Known, *, protected: bool | None) -> Plan:
    """Return what there is, with the restore point *protected* or not."""
    point = _required(which, open_job, known)
    if protected is None:
        return Plan(point.stored.run, known.points)
    marked = replace(point, stored=replace(point.stored, is_protected=protected))
    points = tuple(marked if other is point else other for other in known.points)
    return Plan(point.stored.run, points, _warnings_about(points) if protected else ())


def _required(which: Which, open_job: OpenJob, known: Known) -> ReadPoint:
    """Return the restore point that is meant, or raise if it is not there or cannot be read."""
    found = _found(known, which.point)
    if found is not None:
        return found
    for stored in known.listing.points if known.damaged else ():
        if stored.run == which.point:
            return open_job.read(stored)
    if not known.points:
        raise UsageError(f"The job {which.job!r} has no restore point{' that can be read' if known.damaged else ''}.")
    runs = [point.stored.run for point in known.points]
    there = f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else runs[0]
    raise UsageError(f"The job {which.job!r} has no restore point with the id {which.point!r}; there are {there}.")


def _found(known: Known, wanted: str) -> ReadPoint | None:
    if wanted == LATEST:
        return known.points[-1] if known.points else None
    return next((point for point in known.points if point.stored.run == wanted), None)


def _warnings_about(points: Sequence[ReadPoint]) -> tuple[str, ...]:
    """Return what is wrong with a ring that can rotate over none of its restore points any more."""
    slots = {point.pool for point in points if names.slot_number(point.pool) is not None}
    try:
        if slots:
            choose_slot(candidates_of(points), len(slots))
    except UsageError as error:
        return (f"The next backup fails unless its retention.last is larger than {len(slots)}. {error}",)
    return ()


# -- doing


class _Change:
    """One change to a *job* on the *storage*, as *planner* plans it."""

    def __init__(self, job: Job, storage: Storage, planner: Planner, *, foreign: bool) -> None:
        self._job = job
        self._may_be_foreign = foreign
        self._is_foreign = False
        self._storage = storage
        self._open = OpenJob(job, storage)
        self._planner = planner

    def _judge(self, found: JobFile | None) -> None:
        job = self._job
        if found is None:
            raise UsageError(
                f"There is no job {job.name!r} of client {job.client!r} on the destination {job.destination!r}."
            )
        self._is_foreign = self._open.is_foreign(found)
        if not self._may_be_foreign:
            self._open.require_ours(
                found,
                "Only that host changes its restore points, until a backup of this one says adopt: true, or this task"
                " says foreign: true.",
            )

    def foretell(self) -> Outcome:
        """Return the outcome that the change would have, without writing anything anywhere."""
        with tempfile.TemporaryDirectory(prefix="ftp-backup-") as scratch:
            self._open.cache = ManifestCache(Path(scratch), self._open.cache.directory)
            return _outcome(self._job, *self._planned(), self._open.warnings)

    def do(self) -> Outcome:
        """Make the job as it is to be; where it is so already, and nothing was broken off, nobody is locked out."""
        known, plan = self._planned()
        state = self._job.state
        if not plan.changes(known) and state.is_clean():
            return _outcome(self._job, known, plan, self._open.warnings)
        with ExitStack() as stack:
            stack.enter_context(state.lock(self._job.name))
            stack.enter_context(self._job.living.alive(self._job.run))
            is_clean = state.is_clean()
            state.set_clean(is_clean=False)
            with self._open.locked(self._judge) as holding:
                known, plan, is_clean = self._done(holding, is_clean=is_clean)
            state.set_clean(is_clean=is_clean)
        return _outcome(self._job, known, plan, self._open.warnings)

    def _planned(self) -> tuple[Known, Plan]:
        """Return what the job has, and what it is to have once all is gone that a dead run had begun to remove."""
        self._judge(self._open.file())
        known = self._look()
        return known, self._planner(self._open, self._open.without_noted(known))

    def _look(self) -> Known:
        """Return what the job has; raise if another host asks, by what lies there, for more than what is wished here.

        That host may be in the hands of somebody who is only kept from deleting: its notes of removals, and manifests
        that take the place of older ones, would have us delete for them.
        """
        known = self._open.look()
        if self._is_foreign:
            for path in [*known.listing.gone, *(stored.path for stored in known.listing.superseded)]:
                raise UsageError(
                    f"Of the job {self._job.name!r} lies {path} on the storage: the host that it belongs to was about"
                    " to remove or to replace restore points. Nobody can tell here whether it should, so nothing is"
                    " changed. Let that host finish, or remove by hand what is not to be obeyed: a note that ends in"
                    " .gone, or the manifest of a higher generation."
                )
        return known

    def _done(self, holding: Holding, *, is_clean: bool) -> tuple[Known, Plan, bool]:
        """Do under the lock what is planned now; return what there was, what there is, and whether nothing is left."""
        if holding.file is None:
            raise AssertionError("a job that is not there was refused")
        left = known = self._look()
        is_clean = is_clean and not holding.lock.took_over
        if not self._is_foreign:
            left = self._open.finish_removals(known)
            is_clean = self._open.sweep(left, left.checkpoints, is_clean=is_clean)
        plan = self._planner(self._open, left)
        with self._open.lost_lock_told(holding.lock, _NOTHING_CHANGED):
            self._remove(left, plan, holding.lock)
            self._mark(left, plan, holding.lock)
            if plan.given_up is not None:
                is_clean = self._give_up(left, plan.given_up, holding.lock)
        self._open.cache.keep_only([point.stored for point in (*plan.points, *left.checkpoints)])
        self._open.index(holding.file.structure, plan.points)
        return known, plan, is_clean

    def _remove(self, known: Known, plan: Plan, lock: JobLock) -> None:
        """Remove what the *plan* lacks, with what neither another restore point nor a checkpoint needs."""
        doomed = _missing_in(plan.points, known.points)
        if not doomed:
            return
        prove = partial(lock.prove, _NOTHING_CHANGED)
        prove()
        kept = [*known.checkpoints, *plan.points]
        commit.remove_points(self._storage, self._job.directory, doomed, kept, prove)
        in_use = {point.pool for point in plan.points}
        for pool in sorted({point.pool for point in doomed} & in_use & set(known.listing.broken_pools)):
            self._forget_damage(pool, kept)

    def _give_up(self, known: Known, stored: StoredPoint, lock: JobLock) -> bool:
        """Remove a restore point that cannot be read, and tell whether nothing is left of it.

        What it names is known once all others can be read: it is what nothing else names.
        """
        lock.prove(_NOTHING_CHANGED)
        generations = [other.path for other in known.listing.superseded if other.run == stored.run]
        self._storage.delete(generations)
        self._storage.delete([stored.path])
        if self._is_foreign:
            return False  # what only it named stays for the host that the job belongs to
        left = self._open.look()
        return self._open.sweep(left, left.checkpoints, is_clean=False)

    def _forget_damage(self, pool: str, kept: Iterable[ReadPoint]) -> None:
        """Strike from the note of what is broken in *pool* what nothing names any more."""
        directory = self._job.directory / pool
        named = frozenset[str]().union(*(point.trailer.volumes for point in kept if point.pool == pool))
        try:
            damage = read_damage(self._storage, directory)
        except DamageError as error:
            self._open.warnings.append(str(error))
            return
        left = damage.of_volumes(named)
        if left != damage:
            write_damage(self._storage, directory, left)

    def _mark(self, known: Known, plan: Plan, lock: JobLock) -> None:
        """Protect what the *plan* has protected, and take the protection off what it has not."""
        before = {point.stored.run: point.stored.is_protected for point in known.points}
        for point in plan.points:
            if point.stored.is_protected == before[point.stored.run]:
                continue
            mark = names.keep_path(point.stored.path, point.seq)
            lock.prove(_NOTHING_CHANGED)
            if point.stored.is_protected:
                self._storage.write(mark, partial(list, [_MARK]))
            else:
                self._storage.delete([mark])


# -- telling


def _missing_in(there: Iterable[ReadPoint], points: Iterable[ReadPoint]) -> list[ReadPoint]:
    """Return those of *points* that are not *there*."""
    runs = {point.stored.run for point in there}
    return [point for point in points if point.stored.run not in runs]


def _outcome(job: Job, known: Known, plan: Plan, warnings: Sequence[str]) -> Outcome:
    """Return what became of what was *known* by the *plan*."""
    meant = next((p for p in (*plan.points, *known.points) if p.stored.run == plan.run), None)
    pruned = [
        {"id": point.stored.run, "seq": point.seq, "reason": _reason(point, plan)}
        for point in _missing_in(plan.points, known.points)
    ]
    described = None if meant is None else describe(meant)
    before = _lines(known.points, {str(gone["id"]): f"goes: {gone['reason']}" for gone in pruned})
    if plan.given_up is not None:
        pruned.append({"id": plan.given_up.run, "seq": plan.given_up.seq, "reason": "asked for"})
        before.append(f"{plan.given_up.seq:06d} {plan.given_up.run}  cannot be read  goes: asked for")
    return Outcome(
        changed=plan.changes(known),
        values={"point": described, "pruned": pruned},
        before=tuple(sorted(before)),
        after=tuple(_lines(plan.points, {})),
        warnings=(*warnings, *plan.warnings),
        title=points_title(job),
    )


def _reason(point: ReadPoint, plan: Plan) -> str:
    return "asked for" if point.stored.run == plan.run else "a run that was broken off had begun to remove it"


def _lines(points: Iterable[ReadPoint], remarks: Mapping[str, str]) -> list[str]:
    """Return a line on each of *points*, with its remark, if there is one, behind it."""
    return ["  ".join(filter(None, [point_line(point), remarks.get(point.stored.run)])) for point in points]
