# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore points stay and which go, and why: decided purely, from what exists.

Restore points that share nothing, or one pool, are kept by a :class:`Policy`; a ring only knows how many slots it has.
Either way what is protected stays, and so do the latest complete restore point and the latest of all: its run has just
made it, and the next one counts on from its number.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .ages import age_text, parse_age
from .errors import UsageError
from .native.names import slot_name, slot_number

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

DEFAULT_LAST = 7
LAST_LIMIT = 750  # servers cut listings short, and each restore point may have a directory of its own
_PERIODS_LIMIT = 10_000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)

# What the period of a moment is called, and these names sort like the periods.
_PERIODS: dict[str, Callable[[datetime], str]] = {
    "hourly": lambda moment: f"{moment.isoformat(' ')[:13]}:00",
    "daily": lambda moment: moment.isoformat()[:10],
    "weekly": lambda moment: "{:04d}-W{:02d}".format(*moment.isocalendar()[:2]),
    "monthly": lambda moment: moment.isoformat()[:7],
    "yearly": lambda moment: moment.isoformat()[:4],
}
_LIMITS = {"last": LAST_LIMIT, **dict.fromkeys(_PERIODS, _PERIODS_LIMIT)}
_RULES = (*_LIMITS, "within")


@dataclass(frozen=True)
class Candidate:
    """What retention needs to know of a restore point; *seq* orders them, never a clock. *created* is in UTC."""

    seq: int
    pool: str
    is_complete: bool
    is_protected: bool
    created: datetime = _LONG_AGO


@dataclass(frozen=True)
class Verdict:
    """Whether a restore point stays, and the reason."""

    seq: int
    stays: bool
    reason: str


@dataclass(frozen=True)
class Slot:
    """Where the next run of a ring goes, and the restore point whose content it starts from, if there is one."""

    pool: str
    base: int | None


# -- policies


@dataclass(frozen=True)
class Policy:
    """The rules that keep restore points; what none of them keeps goes. Without a rule everything stays."""

    last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within: timedelta | None = None

    @property
    def is_empty(self) -> bool:
        return self == Policy()

    @property
    def periods(self) -> dict[str, int]:
        """How many periods each rule that keeps one restore point a period is about."""
        counts = {rule: getattr(self, rule) for rule in _PERIODS}
        return {rule: count for rule, count in counts.items() if count is not None}

    @property
    def has_clock(self) -> bool:
        """Whether any rule asks when a restore point was made."""
        return bool(self.periods) or self.within is not None

    def __str__(self) -> str:
        last = [] if self.last is None else [f"last {self.last}"]
        periods = [f"{rule} {count}" for rule, count in self.periods.items()]
        within = [] if self.within is None else [f"within {age_text(self.within)}"]
        return ", ".join((*last, *periods, *within))


def parse_policy(values: Mapping[str, object]) -> Policy:
    """Return the policy that the option ``retention`` names; what is None there is no rule."""
    unknown = sorted(set(values).difference(_RULES))
    if unknown:
        raise UsageError(f"retention.{unknown[0]} is unknown: there are {', '.join(_RULES)}.")
    counts = {rule: _parse_count(rule, values.get(rule)) for rule in _LIMITS}
    return Policy(**counts, within=_parse_within(values.get("within")))


def _parse_count(rule: str, value: object) -> int | None:
    if value is None:
        return None
    limit = _LIMITS[rule]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
        raise UsageError(
            f"retention.{rule} is {value!r}, and must be from 1 to {limit}: leave it out where it is to keep nothing."
        )
    return value


def _parse_within(value: object) -> timedelta | None:
    if value is None:
        return None
    within = parse_age(str(value), "retention.within")
    if not within:
        raise UsageError(
            f"retention.within is {value!r}, and must be 1s or more: leave it out where it is to keep nothing."
        )
    return within


def plan_policy(points: Iterable[Candidate], policy: Policy, now: datetime) -> list[Verdict]:
    """Return a verdict on each of *points*, oldest first; the reason of one that stays tells every rule that keeps it.

    No rule but ``last`` lets a complete restore point go for the sake of a partial one.
    """
    ordered = _ordered(points)
    reasons: dict[int, list[str]] = {}
    for seq, reason in _reasons(ordered, policy, now):
        reasons.setdefault(seq, []).append(reason)

    def judge(point: Candidate) -> Verdict:
        if point.is_protected:
            return Verdict(point.seq, stays=True, reason="protected")
        if point.seq in reasons:
            return Verdict(point.seq, stays=True, reason=", ".join(reasons[point.seq]))
        return Verdict(point.seq, stays=False, reason=f"kept by none of {policy}")

    return [judge(point) for point in ordered]


def _reasons(ordered: Sequence[Candidate], policy: Policy, now: datetime) -> Iterator[tuple[int, str]]:
    """Yield who stays and why, as often as there are reasons."""
    if policy.is_empty:
        yield from ((point.seq, "nothing is ever removed without a retention") for point in ordered)
        return
    yield from _kept_always(ordered)
    past = [point for point in ordered if point.created <= now]
    if policy.has_clock:
        # A clock went wrong. How old they are nobody knows, so no age is a reason that they go.
        yield from ((point.seq, "dated in the future") for point in ordered if point.created > now)
    for rule, count in policy.periods.items():
        yield from _kept_by_periods(past, rule, count)
    if policy.last is not None:
        for rank, point in enumerate(reversed(ordered[-policy.last :]), 1):
            yield point.seq, _rank_text(rank, policy.last)
    if policy.within is not None:
        younger = f"younger than {age_text(policy.within)}"
        yield from ((point.seq, younger) for point in past if now - point.created < policy.within)


def _kept_always(ordered: Sequence[Candidate]) -> Iterator[tuple[int, str]]:
    latest_complete = _latest_complete(ordered)
    if latest_complete is not None:
        yield latest_complete, "the latest complete one"
    if ordered and ordered[-1].seq != latest_complete:
        yield ordered[-1].seq, "the latest one"


def _kept_by_periods(ordered: Sequence[Candidate], rule: str, count: int) -> Iterator[tuple[int, str]]:
    """Yield the newest of each of the *count* newest periods, the newest complete one if the period has any.

    The periods with complete ones are counted by themselves, so that none of them is left out because of partial ones.
    """
    name_period = _PERIODS[rule]
    newest = _newest_of_each(ordered, lambda point: name_period(point.created))
    complete = _newest_of_each((p for p in ordered if p.is_complete), lambda point: name_period(point.created))
    for number, period in enumerate(sorted(complete, reverse=True)[:count], 1):
        seq = complete[period].seq
        which = "the newest" if seq == newest[period].seq else "the newest complete one"
        yield seq, f"{which} of {period} ({rule} {number} of {count})"
    for number, period in enumerate(sorted(newest, reverse=True)[:count], 1):
        if period not in complete:
            yield newest[period].seq, f"the newest of {period}, partial ({rule} {number} of {count})"


def plan_last(points: Iterable[Candidate], last: int | None) -> list[Verdict]:
    """Return a verdict on each of *points*, oldest first, where the *last* ones stay; None keeps everything."""
    return plan_policy(points, Policy(last), _LONG_AGO)


# -- rings


def choose_slot(points: Iterable[Candidate], last: int) -> Slot:
    """Return the slot of the next run: an unused one while there are fewer than *last*, else the one used longest ago.

    A slot whose newest restore point is protected is passed over.
    """
    newest = _newest_of_slots(points)
    if len(newest) < last:
        used = {slot_number(pool) for pool in newest}
        return Slot(next(slot_name(n) for n in range(1, last + 1) if n not in used), None)
    free = [point for point in newest.values() if not point.is_protected]
    if not free:
        raise UsageError(
            "Every slot of the ring holds a protected restore point, so there is none to rotate over:"
            f" raise retention.last above {len(newest)}, or take the protection off one of them."
        )
    oldest = min(free, key=_seq)
    return Slot(oldest.pool, oldest.seq)


def plan_ring(points: Iterable[Candidate], last: int) -> list[Verdict]:
    """Return a verdict on each of *points*, oldest first, for a ring of *last* slots.

    The latest complete one may stay behind a newer one in its slot.
    """
    ordered = _ordered(points)
    newest = _newest_of_slots(ordered)
    ranks = {point.seq: rank for rank, point in enumerate(reversed(_ordered(newest.values())), 1)}
    latest_complete = _latest_complete(ordered)

    def judge(point: Candidate) -> Verdict:
        if point.is_protected:
            return Verdict(point.seq, stays=True, reason="protected")
        if point.seq == latest_complete:
            return Verdict(point.seq, stays=True, reason="the latest complete one")
        if point.seq not in ranks:
            newer = newest[point.pool].seq
            return Verdict(point.seq, stays=False, reason=f"its slot {point.pool} holds a newer one, {newer}")
        if ranks[point.seq] <= last:
            return Verdict(point.seq, stays=True, reason=_rank_text(ranks[point.seq], last))
        return Verdict(point.seq, stays=False, reason=f"not among the last {last}")

    return [judge(point) for point in ordered]


def _newest_of_slots(points: Iterable[Candidate]) -> dict[str, Candidate]:
    return _newest_of_each(points, lambda point: point.pool)


# -- what both need


def _seq(point: Candidate) -> int:
    return point.seq


def _ordered(points: Iterable[Candidate]) -> list[Candidate]:
    return sorted(points, key=_seq)


def _newest_of_each(points: Iterable[Candidate], name: Callable[[Candidate], str]) -> dict[str, Candidate]:
    return {name(point): point for point in _ordered(points)}


def _latest_complete(points: Iterable[Candidate]) -> int | None:
    return max((point.seq for point in points if point.is_complete), default=None)


def _rank_text(rank: int, last: int) -> str:
    return f"number {rank} of the last {last}"
