# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was gathered of the hosts of a fleet, as facts of known types, whatever the hosts have sent.

A host may be broken, or in the hands of a stranger: what is not of its type is taken as not known, and there are bounds
to how much a host can say.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from ...module_utils.words import counted

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

UNREACHABLE, FAILED, MISSING, GATHERED = "unreachable", "failed", "missing", "gathered"
NEVER, OVERDUE, DAMAGED, PARTIAL, UNKNOWN, FAILING, FRESH = (
    *("never", "overdue", "damaged", "partial", "unknown"),
    *("failing", "fresh"),
)
NO_JOBS = "no_jobs"
#: All that can be said of a host or a job, from the worst to the best.
STATES = (UNREACHABLE, FAILED, MISSING, NEVER, OVERDUE, DAMAGED, PARTIAL, UNKNOWN, FAILING, NO_JOBS, FRESH)
IN_ORDER = (NO_JOBS, FRESH)
_TOLD_STATES = (NEVER, OVERDUE, DAMAGED, PARTIAL, UNKNOWN, FRESH)
_LONGEST, _LONGEST_NAME = 500, 200
_MOST_JOBS = 500
_MOST_POINTS, _ALL_POINTS = 1000, 20_000  # of a job, and of all jobs of a host together
_MOST_NOTES = 50
_LARGEST = 10**18
_DIGITS = re.compile(r"([0-9]{1,18})")
_AHEAD, _BEHIND = timedelta(minutes=5), timedelta(hours=1)  # a host may have been asked a while ago
_NONE_NEWER = "No newer good restore point is known of."
_OLD = "The newest good restore point is older than its limit, by the clock of the controller."


@dataclass(frozen=True)
class Point:
    """A restore point; *sent* is None where it is not known what its run has sent."""

    id: str
    created: datetime | None
    is_good: bool
    entries: int
    size: int
    sent: int | None


@dataclass(frozen=True)
class Verification:
    """What the last verification has read, and whether nothing was found to be lost."""

    ended: datetime
    is_whole: bool
    sample: int
    volumes: int
    size: int
    volumes_left: int


@dataclass(frozen=True)
class Restore:
    """What the last restore that went well has brought back."""

    ended: datetime
    is_whole: bool
    entries: int
    size: int


@dataclass(frozen=True)
class Failure:
    """Why the last run failed."""

    ended: datetime | None
    message: str


@dataclass(frozen=True)
class Job:
    """How a job stands, or an account of cPanel; *client* is given where it is another than the host that tells of it.

    *points* come oldest first; *max_age* and ages in seconds.
    """

    name: str
    is_account: bool
    client: str | None
    destination: str
    structure: str
    state: str
    reason: str
    max_age: int
    point: Point | None
    point_count: int
    oldest: datetime | None
    stored_size: int
    points: tuple[Point, ...]
    failure: Failure | None
    verification: Verification | None
    restore: Restore | None


@dataclass(frozen=True)
class HostFacts:
    """What is known of a host: how it was reached, why not, its jobs, and what there is to know besides.

    *concerns* are sentences on what is wrong with it beside its jobs, so that nobody knows whether those are all;
    *notes* are for information alone.
    """

    name: str
    reached: str
    message: str
    jobs: tuple[Job, ...]
    concerns: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def state(self) -> str:
        """The worst of all that is to be said of it."""
        if self.reached != GATHERED:
            return self.reached
        return min(_states_of(self), key=STATES.index)

    @property
    def needs_attention(self) -> bool:
        return self.state not in IN_ORDER


@dataclass(frozen=True)
class Fleet:
    """All hosts, the worst first."""

    hosts: tuple[HostFacts, ...]

    @property
    def in_need(self) -> tuple[HostFacts, ...]:
        return tuple(host for host in self.hosts if host.needs_attention)

    @property
    def in_order(self) -> tuple[HostFacts, ...]:
        return tuple(host for host in self.hosts if host.state == FRESH)

    @property
    def without_jobs(self) -> tuple[HostFacts, ...]:
        return tuple(host for host in self.hosts if host.state == NO_JOBS)

    @property
    def summary(self) -> str:
        """The sentence that says it all."""
        count, need = len(self.hosts), len(self.in_need)
        hosts = counted(count, "host", "hosts")
        if not count:
            return "There are no hosts to report on."
        if not need:
            told = f"None of {hosts} needs attention." if count > 1 else "The host needs no attention."
        else:
            told = f"{need:,} of {hosts} {'needs' if need == 1 else 'need'} attention."
        idle = len(self.without_jobs)
        return f"{told} {counted(idle, 'host has', 'hosts have')} no jobs." if idle else told

    def counts(self) -> dict[str, int]:
        """Return how many hosts and jobs there are of each state that occurs, the worst first."""
        found = [state for host in self.hosts for state in _states_of(host)]
        return {state: found.count(state) for state in STATES if state in found}

    def lines(self) -> list[str]:
        """Return a line on each host and job that needs attention, the worst host first."""
        return [line for host in self.in_need for line in _lines_of(host)]

    def fingerprint(self) -> str:
        """Return what changes whenever anything has happened, other than that time has passed."""
        told = [
            [host.name, host.reached, host.message, host.concerns, host.notes, [_lasting(job) for job in host.jobs]]
            for host in self.hosts
        ]
        return hashlib.sha256(json.dumps(told, default=str).encode("utf-8", "backslashreplace")).hexdigest()


def _states_of(host: HostFacts) -> Iterator[str]:
    """Yield all that is to be said of *host* and its jobs."""
    if host.reached != GATHERED:
        yield host.reached
        return
    yield from (job.state for job in host.jobs)
    if host.concerns:
        yield UNKNOWN
    elif not host.jobs:
        yield NO_JOBS


def _lines_of(host: HostFacts) -> Iterator[str]:
    if host.reached != GATHERED:
        yield f"{host.name}: {host.message}"
    for job in host.jobs:
        if job.state not in IN_ORDER:
            failure = f" The last run failed: {job.failure.message}" if job.failure else ""
            yield f"{host.name}, {job.name}: {job.reason}{failure}"
    if host.reached == GATHERED:
        yield from (f"{host.name}: {note}" for note in (*host.concerns, *host.notes))


def _lasting(job: Job) -> list[object]:
    """Return what of *job* does not change by itself: its reason tells an age."""
    return [
        *(job.name, job.client, job.destination, job.structure, job.state, job.max_age, job.stored_size),
        *(repr(job.points), repr(job.failure), repr(job.verification), repr(job.restore)),
    ]


# -- reading what was gathered


def fleet_of(gathered: Sequence[Mapping[str, t.Any]], now: datetime) -> Fleet:
    """Return the facts of all hosts, the worst first.

    Each of *gathered* has the name of a ``host``, the ``result`` of ``job_info`` there, or None where there is none,
    the results ``reindexed`` of ``reindex`` that came before, the jobs that are ``expected``, and the result that is
    ``remembered`` from an earlier time.
    """
    hosts = [_host_of(values, now) for values in gathered]
    elsewhere = _known_elsewhere(hosts)
    told = [_with_notes(host, elsewhere.get(host.name, ())) for host in hosts]
    return Fleet(tuple(sorted(told, key=lambda host: (STATES.index(host.state), _natural(host.name)))))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names as people do, by the numbers in them: web9 comes before web10."""
    pieces = _DIGITS.split(name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]


def _known_elsewhere(hosts: Sequence[HostFacts]) -> dict[str, list[str]]:
    """Return sentences on the jobs of clients that other hosts have told, by the client."""
    known: dict[str, list[str]] = {}
    for host in hosts:
        for job in host.jobs:
            if job.client is not None:
                known.setdefault(job.client, []).append(f"{host.name} says of its job {job.name}: {job.reason}")
    return known


def _with_notes(host: HostFacts, more: Sequence[str]) -> HostFacts:
    """Return *host* with what others know of it, if it did not tell anything itself."""
    if host.reached == GATHERED or not more:
        return host
    return replace(host, notes=(*host.notes, *more[:_MOST_NOTES]))


def _host_of(values: Mapping[str, t.Any], now: datetime) -> HostFacts:
    name, result = _text(values.get("host")) or "unknown", _mapping(values.get("result"))
    reindexed = [
        f"The index could not be made anew, so this may be old: {_text(one.get('msg')) or 'nobody knows why'}"
        for one in map(_mapping, _items(values.get("reindexed"), _MOST_NOTES))
        if one.get("failed") or one.get("unreachable") or "failure" in one
    ]
    if not isinstance(result.get("jobs"), (list, tuple)):
        reached, message = _why_nothing(result)
        jobs, remembered = _remembered(_mapping(values.get("remembered")), now)
        notes = remembered or tuple(_expected(values))
        return HostFacts(name, reached, message, jobs, tuple(reindexed), notes)
    jobs = _sorted(_aged(job, now, _OLD) for job in _jobs_of(result))
    reasons = {job.reason for job in jobs}
    concerns = (*reindexed, *(concern for concern, said in _concerns_of(result) if said not in reasons))
    return HostFacts(name, GATHERED, "", jobs, concerns, (*_clock_of(result, now), *_left_out(result)))


def _jobs_of(result: Mapping[str, t.Any]) -> tuple[Job, ...]:
    """Return the jobs that a host has told of, the worst first."""
    own, jobs = _name(result.get("client")), _items(result.get("jobs"), _MOST_JOBS)
    return _sorted(_job_of(_mapping(one), own, _points_each(len(jobs))) for one in jobs)


def _points_each(jobs: int) -> int:
    """Return of how many restore points each of so many *jobs* may tell."""
    return min(_MOST_POINTS, _ALL_POINTS // max(1, jobs))


def _left_out(result: Mapping[str, t.Any]) -> Iterator[str]:
    """Yield a sentence on each kind of thing that a host has told too much of."""
    count = len(result["jobs"])
    if count > _MOST_JOBS:
        yield f"It told of {count:,} jobs; those after the first {_MOST_JOBS:,} are left out."
    jobs = _items(result["jobs"], _MOST_JOBS)
    most = _points_each(len(jobs))
    if any(len(_items(_mapping(job).get("points"), most + 1)) > most for job in jobs):
        yield f"Of a job with more than {most:,} restore points, the plots show the newest ones."


def _sorted(jobs: Iterable[Job]) -> tuple[Job, ...]:
    return tuple(sorted(jobs, key=lambda job: (STATES.index(job.state), job.name, job.destination, job.client or "")))


def _remembered(result: Mapping[str, t.Any], now: datetime) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """Return the jobs that a host told of an earlier time, as they would stand now, and a sentence on when that was."""
    time = _moment(result.get("time"))
    if time is None:
        return (), ()
    jobs = _sorted(_aged(job, now, _NONE_NEWER) for job in _jobs_of(result))
    return jobs, (f"What stands here of its jobs is what it told at {time:%Y-%m-%d %H:%M} UTC.",)


def _aged(job: Job, now: datetime, words: str) -> Job:
    """Return *job* as it stands *now* by what was told before: whatever else it was, it may be overdue.

    The reason then begins with *words*, and goes on with what was told of it, but for an age.
    """
    made = job.point or (job.points[-1] if job.points else None)
    created = None if made is None else made.created
    if STATES.index(job.state) <= STATES.index(OVERDUE) or created is None:
        return job
    if (now - created).total_seconds() <= job.max_age:  # as numbers: a host may tell any
        return job
    reason = words if job.state in (FRESH, FAILING) else f"{words} {job.reason}"
    return replace(job, state=OVERDUE, reason=reason)


def _why_nothing(result: Mapping[str, t.Any]) -> tuple[str, str]:
    """Return how a host was reached that has told of no jobs, and the sentence on it."""
    message = _text(result.get("msg")).removeprefix("Task failed: ")
    if not result:
        return MISSING, "Nothing was gathered here: the host failed before, or could not be reached then."
    if result.get("unreachable"):
        return UNREACHABLE, message or "The host could not be reached."
    return FAILED, message or "The host could not tell how its backups stand, and did not say why."


def _expected(values: Mapping[str, t.Any]) -> Iterator[str]:
    """Yield a sentence on the jobs that the host should have."""
    jobs = [_mapping(one) for one in _items(values.get("expected"), _MOST_NOTES)]
    told = [f"{_text(job.get('job')) or _text(job.get('account'))} on {_text(job.get('destination'))}" for job in jobs]
    if told:
        yield f"It should have backups of: {', '.join(told)}."


def _clock_of(result: Mapping[str, t.Any], now: datetime) -> Iterator[str]:
    """Yield a sentence if the clock of a host is wrong."""
    time = _moment(result.get("time"))
    if time is not None and time - now > _AHEAD:
        yield f"Its clock is ahead: it said {time:%Y-%m-%d %H:%M:%S} UTC."
    if time is not None and now - time > _BEHIND:
        yield f"Its clock is behind, or it was asked long ago: it said {time:%Y-%m-%d %H:%M:%S} UTC."


def _concerns_of(result: Mapping[str, t.Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong besides the jobs, and what the host itself said of it."""
    for destination in map(_mapping, _items(result.get("destinations"), _MOST_NOTES)):
        failure = _text(_mapping(destination.get("failure")).get("msg"))
        if destination.get("failure"):
            yield f"Destination {_name(destination.get('name'))}: {failure or 'nobody knows what is wrong.'}", failure
    yield from ((problem, "") for problem in map(_text, _items(result.get("troubles"), _MOST_NOTES)) if problem)


def _job_of(values: Mapping[str, t.Any], own: str, most_points: int) -> Job:
    account, client = _name(values.get("account")), _name(values.get("client"))
    failure = _failure_of(values.get("last_failure"))
    state = values.get("state") if values.get("state") in _TOLD_STATES else UNKNOWN
    points = [_point_of(_mapping(point)) for point in _items(values.get("points"), most_points)]
    return Job(
        name=account or _name(values.get("job")) or "unknown",
        is_account=bool(account),
        client=client if client and client != own else None,
        destination=_name(values.get("destination")),
        structure=_name(values.get("structure")),
        state=FAILING if state == FRESH and failure is not None else str(state),
        reason=_text(values.get("reason")) or "The host did not say why.",
        max_age=_number(values.get("max_age")) or 0,
        point=_point_of(values["point"]) if _mapping(values.get("point")) else None,
        point_count=_number(values.get("point_count")) or 0,
        oldest=_moment(values.get("oldest")),
        stored_size=_number(values.get("stored_bytes")) or 0,
        points=tuple(reversed(points)),
        failure=failure,
        verification=_verification_of(_mapping(values.get("last_verification"))),
        restore=_restore_of(_mapping(values.get("last_restore"))),
    )


def _point_of(values: Mapping[str, t.Any]) -> Point:
    return Point(
        id=_name(values.get("id")),
        created=_moment(values.get("created")),
        is_good=values.get("complete") is True and values.get("damaged") is False,
        entries=_number(values.get("entries")) or 0,
        size=_number(values.get("bytes")) or 0,
        sent=_number(values.get("bytes_sent")),
    )


def _failure_of(value: object) -> Failure | None:
    values = _mapping(value)
    if not values:
        return None
    return Failure(_moment(values.get("ended")), _text(values.get("msg")) or "Nobody knows why.")


def _verification_of(values: Mapping[str, t.Any]) -> Verification | None:
    ended = _moment(values.get("ended"))
    if ended is None:
        return None
    sample, volumes, size, left = (
        _number(values.get(name)) or 0 for name in ("sample", "volumes", "bytes", "volumes_left")
    )
    return Verification(ended, values.get("whole") is True, sample, volumes, size, left)


def _restore_of(values: Mapping[str, t.Any]) -> Restore | None:
    ended = _moment(values.get("ended"))
    if ended is None:
        return None
    entries, size = (_number(values.get(name)) or 0 for name in ("entries", "bytes"))
    return Restore(ended, values.get("whole") is True, entries, size)


# -- values of any type


def _text(value: object, longest: int = _LONGEST) -> str:
    if not isinstance(value, str):
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _name(value: object) -> str:
    return _text(value, _LONGEST_NAME)


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        return None
    return int(value)


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00")) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError:
        return None


def _mapping(value: object) -> Mapping[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object, most: int) -> Sequence[t.Any]:
    return value[:most] if isinstance(value, (list, tuple)) else ()
