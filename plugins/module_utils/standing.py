# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the backups of a host's jobs stand: how old the newest good one is, and may be, and what is known besides.

It answers from what the host keeps, without a connection: the index, and its records of what became of each job.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta

from .catalog import reading
from .errors import BackupError, UsageError
from .index_file import has_index
from .moments import UNDATED
from .native.entries import time_text
from .outcome import Outcome
from .registry import CPANEL, DestinationState, require
from .words import age_text, counted

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from .answers import Answers, IndexedPoint
    from .records import BackupRecord, JobRecords, RestoreRecord, VerificationRecord
    from .registry import Destination, Host, Registry

#: What can be said of a job, from the worst to the best.
NEVER, OVERDUE, DAMAGED, PARTIAL, UNKNOWN, FRESH = "never", "overdue", "damaged", "partial", "unknown", "fresh"
MOST_POINTS = 1000
_ALL_POINTS = 50_000  # of all jobs together
_FUTURE = timedelta(hours=1)  # clocks differ by less, unless one is wrong


@dataclass(frozen=True)
class Failure:
    """Why a run failed that *ended* then; *kind* is that of the error, where it is known."""

    ended: str
    message: str
    kind: str | None = None

    def shown(self) -> dict[str, str | None]:
        return {"ended": self.ended, "kind": self.kind, "msg": self.message}


@dataclass(frozen=True)
class Expected:
    """A job that should have backups, or an account of cPanel: *max_age* is how old the newest good one may be.

    *failure* is what is known of its last run from elsewhere than the records. One that *is_named* is told of
    whoever's jobs are meant.
    """

    destination: str
    job: str | None
    client: str | None = None
    account: str | None = None
    max_age: timedelta | None = None
    failure: Failure | None = None
    is_named: bool = False


@dataclass(frozen=True)
class Wish:
    """Whose standing is asked for: that of the *client*, or of all clients, and of all accounts of cPanel.

    *max_age* holds where none of the *expected* jobs says otherwise; *points* is how many of each job are listed.
    *problems* are sentences on what of the host is known to be wrong already.
    """

    max_age: timedelta
    destination: str | None = None
    client: str | None = None
    all_clients: bool = False
    expected: tuple[Expected, ...] = ()
    points: int = 60
    problems: tuple[str, ...] = ()

    def require_sense(self) -> None:
        """Raise if what is asked for cannot be answered, whatever the host knows."""
        if self.all_clients and self.client is not None:
            raise UsageError("With all_clients the jobs of all clients are meant: give no client.")
        if not 1 <= self.points <= MOST_POINTS:
            raise UsageError(f"points is {self.points}, and must be from 1 to {MOST_POINTS}.")
        for expected in self.expected:
            if (expected.job is None) == (expected.account is None):
                raise UsageError(f"Of {expected.destination!r}, either a job or an account is meant, not both.")


@dataclass(frozen=True)
class Judgement:
    """One of the states, and the sentences that say why."""

    state: str
    reason: str


@dataclass(frozen=True)
class _Key:
    """What tells a job from all others: an account has no *client*."""

    destination: str
    client: str | None
    name: str

    @property
    def whose(self) -> dict[str, str | None]:
        is_account = self.client is None
        return {
            "destination": self.destination,
            "client": self.client,
            "job": None if is_account else self.name,
            "account": self.name if is_account else None,
        }


@dataclass(frozen=True)
class _Place:
    """A destination, how it is declared, and what is in the way of looking at what it has."""

    name: str
    declared: Destination | None = None
    failure: BackupError | None = None

    def shown(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "engine": None if self.declared is None else self.declared.engine,
            "host": None if self.declared is None else self.declared.host,
            "failure": None if self.failure is None else {"kind": self.failure.kind, "msg": str(self.failure)},
        }


@dataclass
class _Standings:
    """What was found out so far."""

    places: list[_Place] = field(default_factory=list)
    jobs: list[dict[str, t.Any]] = field(default_factory=list)


def judge(
    newest: IndexedPoint | None,
    sound: IndexedPoint | None,
    verification: VerificationRecord | None,
    max_age: timedelta,
    now: datetime,
) -> Judgement:
    """Judge a job by its *newest* restore point, and the newest *sound* one, which is complete and not damaged."""
    if newest is None:
        return Judgement(NEVER, "There is no restore point yet.")
    if sound is None:
        return Judgement(
            DAMAGED if newest.is_damaged else PARTIAL,
            f"No restore point is complete and whole; {_flaw_of('the newest', newest)}",
        )
    return _judge_dated(newest, sound, verification, max_age, now)


def _judge_dated(
    newest: IndexedPoint,
    sound: IndexedPoint,
    verification: VerificationRecord | None,
    max_age: timedelta,
    now: datetime,
) -> Judgement:
    """Judge a job that has a sound restore point by how old that is, and by what is wrong besides."""
    created, age = time_text(sound.created), now - sound.created
    doubt = ""
    if sound.created == UNDATED:
        doubt = "What cPanel has made tells no date, so nobody knows how old it is."
    elif age < -_FUTURE:
        doubt = f"The newest restore point is of {created}, which is yet to come: a clock is wrong."
    flaws = []
    if newest.seq != sound.seq:
        flaws.append((DAMAGED if newest.is_damaged else PARTIAL, _flaw_of("A later restore point", newest)))
    if verification is not None and verification.damaged_files and (doubt or verification.ended >= created):
        found = verification.message or "What is stored was found damaged."
        flaws.append((DAMAGED, f"The verification of {verification.ended} found damage. {found}"))
    told = [sentence for _state, sentence in flaws]
    is_damaged = any(state == DAMAGED for state, _told in flaws)
    if doubt:
        return Judgement(DAMAGED if is_damaged else UNKNOWN, " ".join([doubt, *told]))
    words = f"The newest complete restore point is {age_text(age.total_seconds())} old"
    limit = age_text(max_age.total_seconds())
    if age > max_age:
        return Judgement(OVERDUE, " ".join([f"{words}, and {limit} is the limit.", *told]))
    if flaws:
        return Judgement(DAMAGED if is_damaged else PARTIAL, " ".join(told))
    return Judgement(FRESH, f"{words}, within its limit of {limit}.")


def _flaw_of(beginning: str, point: IndexedPoint) -> str:
    """Return a sentence that *beginning* begins, on what is wrong with *point*."""
    if point.is_damaged:
        return f"{beginning} is damaged."
    problem = f", the first: {point.problems[0].path} ({point.problems[0].problem})" if point.problems else ""
    return f"{beginning} is partial, with {counted(point.problem_count, 'problem', 'problems')}{problem}."


def list_standings(registry: Registry, host: Host, wish: Wish) -> Outcome:
    """Return how each job stands that is meant: those the index has, and those that are expected."""
    wish.require_sense()
    now = host.now()
    identity, own, is_new = host.client_of(wish.client)
    if wish.destination is not None:
        require(registry, wish.destination)
    expected = _by_key(wish, host.name() if is_new else identity.client)
    names = {wish.destination} if wish.destination is not None else {*registry.names(), *registry.unusable()}
    names |= {key.destination for key in expected}
    found = _Standings()
    for name in sorted(names):
        wanted = {key: job for key, job in expected.items() if key.destination == name}
        _Look(registry, host.state_directory, wish, own, now).at(name, wanted, found)
    values = {
        "time": time_text(now),
        "client": own,
        "destinations": [place.shown() for place in found.places],
        "jobs": found.jobs,
        "troubles": list(wish.problems),
    }
    return Outcome(changed=False, values=values)


def _by_key(wish: Wish, ours: str) -> dict[_Key, Expected]:
    """Return what is expected, by what tells it from all others; the last one of a key counts for all it says.

    A job without a client is *ours*. Where another client's jobs are meant, it is left out, unless it is named.
    """
    expected: dict[_Key, Expected] = {}
    for job in wish.expected:
        if wish.destination in (None, job.destination):
            client = None if job.account is not None else job.client or ours
            key = _Key(job.destination, client, str(job.account or job.job))
            before = expected.get(key, job)
            max_age = before.max_age if job.max_age is None else job.max_age
            failure, is_named = job.failure or before.failure, job.is_named or before.is_named
            expected[key] = replace(job, max_age=max_age, failure=failure, is_named=is_named)
    return {key: job for key, job in expected.items() if job.is_named or wish.client in (None, key.client)}


class _Look:
    """A look at the destinations, one after another."""

    def __init__(self, registry: Registry, state_directory: Path, wish: Wish, own: str, now: datetime) -> None:
        self._registry = registry
        self._state_directory = state_directory
        self._wish = wish
        self._own = own
        self._now = now
        self._place = ""  # where the destination is that is looked at

    def at(self, name: str, expected: Mapping[_Key, Expected], found: _Standings) -> None:
        """Add to what was *found* how the jobs stand on the destination *name*, those *expected* among them."""
        declared = None
        self._place = ""
        left = dict(expected)
        jobs: list[dict[str, t.Any]] = []
        try:
            declared = require(self._registry, name)
            self._place = declared.place
            state = DestinationState(self._state_directory, name, declared.place)
            if not has_index(state.index):
                raise UsageError(
                    f"This host has no index of the destination {name!r} as it is declared now: run reindex, or make a"
                    " backup, first."
                )
            with reading(state.index) as answers:
                jobs += self._indexed(answers, name, left)
        except BackupError as error:
            found.places.append(_Place(name, declared, error))
            missed = Judgement(UNKNOWN, str(error))
            left, jobs = dict(expected), []
        else:
            found.places.append(_Place(name, declared))
            missed = judge(None, None, None, self._wish.max_age, self._now)
        jobs += [self._without_points(key, job, missed) for key, job in left.items()]
        found.jobs += sorted(jobs, key=_order)

    def _indexed(self, answers: Answers, name: str, left: dict[_Key, Expected]) -> Iterator[dict[str, t.Any]]:
        """Yield how the jobs stand that the index has, and take those out of *left*."""
        meant = []
        for job_id, client, job, structure in answers.jobs():
            key = _Key(name, None if structure == CPANEL else client, job)
            if key in left or key.client in (None, self._own) or self._wish.all_clients:
                meant.append((job_id, key, structure))
        share = max(1, min(self._wish.points, _ALL_POINTS // max(1, len(meant))))
        for job_id, key, structure in meant:
            expected = left.pop(key, None)
            listed = list(answers.points_of(job_id, limit=share))
            sound = next(answers.points_of(job_id, limit=1, only_sound=True), None)
            records = self._records(key)
            verification, max_age = records.verification(), self._max_age(expected)
            newest = listed[0] if listed else None
            totals = answers.totals_of(job_id)
            sent = getattr(records.backup(), "sent", {})
            yield {
                **self._told(key, expected, judge(newest, sound, verification, max_age, self._now), records),
                "structure": structure,
                "age": self._age(sound),
                "point": None if sound is None else self._shown(sound, sent),
                "newest": None if newest is None else self._shown(newest, sent),
                "oldest": None if totals.oldest in (None, UNDATED) else time_text(t.cast("datetime", totals.oldest)),
                "point_count": totals.points,
                "stored_bytes": totals.stored_size,
                "points": [self._shown(point, sent) for point in listed],
            }

    def _without_points(self, key: _Key, expected: Expected, judgement: Judgement) -> dict[str, t.Any]:
        return {
            **self._told(key, expected, judgement, self._records(key)),
            "structure": None,
            "age": None,
            "point": None,
            "newest": None,
            "oldest": None,
            "point_count": 0,
            "stored_bytes": 0,
            "points": [],
        }

    def _told(
        self, key: _Key, expected: Expected | None, judgement: Judgement, records: JobRecords
    ) -> dict[str, t.Any]:
        """Return what is told of every job, whether it has restore points or not."""
        failure = last_failure(records.backup(), None if expected is None else expected.failure)
        verification, restore = records.verification(), records.restore()
        return {
            **key.whose,
            "state": judgement.state,
            "reason": judgement.reason,
            "max_age": int(self._max_age(expected).total_seconds()),
            "last_failure": None if failure is None else failure.shown(),
            "last_verification": None if verification is None else _shown_verification(verification),
            "last_restore": None if restore is None else _shown_restore(restore),
        }

    def _records(self, key: _Key) -> JobRecords:
        return DestinationState(self._state_directory, key.destination, self._place).records(key.client, key.name)

    def _max_age(self, expected: Expected | None) -> timedelta:
        return self._wish.max_age if expected is None or expected.max_age is None else expected.max_age

    def _age(self, point: IndexedPoint | None) -> int | None:
        if point is None or point.created == UNDATED:
            return None
        return int((self._now - point.created).total_seconds())

    def _shown(self, point: IndexedPoint, sent: Mapping[str, int]) -> dict[str, t.Any]:
        return {
            "id": point.run,
            "seq": point.seq,
            "created": None if point.created == UNDATED else time_text(point.created),
            "complete": point.is_complete,
            "damaged": point.is_damaged,
            "protected": point.is_protected,
            "entries": point.entries,
            "bytes": point.size,
            "stored_bytes": point.stored_size,
            "bytes_sent": sent.get(point.run),
            "problem_count": point.problem_count,
        }


def last_failure(record: BackupRecord | None, scheduled: Failure | None) -> Failure | None:
    """Return why the last run failed by what is recorded and what the scheduled one has told; None if it did not."""
    failures = [] if scheduled is None else [scheduled]
    if record is not None and record.message is not None:
        failures.append(Failure(record.ended, record.message, record.kind))
    success = "" if record is None else record.last_success or ""
    later = [failure for failure in failures if failure.ended >= success]
    return max(later, key=lambda failure: failure.ended, default=None)


def _shown_verification(verification: VerificationRecord) -> dict[str, t.Any]:
    values = asdict(verification)
    message, count = values.pop("message"), values.pop("damaged_files")
    return {**values, "damaged_file_count": count, "whole": not count, "msg": message}


def _shown_restore(restore: RestoreRecord) -> dict[str, t.Any]:
    values = asdict(restore)
    whole, point = values.pop("is_whole"), values.pop("point")
    return {"id": point, **values, "whole": whole}


def _order(job: Mapping[str, t.Any]) -> tuple[str, str]:
    return job["client"] or "", job["job"] or job["account"]
