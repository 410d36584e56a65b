# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup will do, or has done, in words: why a restore point is made, what has changed, which ones stay and go.

It is decided elsewhere. The same words serve check mode and the real run, so that what was foretold can be compared.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .ages import age_text as span_of
from .native.entries import path_text, time_text
from .native.names import slot_number
from .scan import roots_named
from .words import age_text, counted, size_text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from .changes import Counts
    from .dumps import DumpPlan
    from .jobs import Job
    from .native.entries import Header, Rules
    from .native.points import ReadPoint, StoredPoint
    from .retention import Slot, Verdict

KEPT_SHOWN = 200
DATABASES_SHOWN = 20
FORCED = "force: true asks for one"
FIRST = "it is the first one of the job"
NONE_COMPLETE = "none of the job is complete so far"
NOTHING_GOES = "one of the job cannot be read, and nothing goes until that is mended"
NONE_MADE = "none goes before another one is made"
LOCK_LOST = "another run has taken over the job"
_RULES = {
    "exclude": "exclude",
    "one_file_system": "one_file_system",
    "caches": "exclude_caches",
    "marker": "exclude_marker",
}


# -- why a restore point is made


def why_stale(newest: Header, started: datetime, max_age: timedelta) -> str:
    """Return why a run that *started* makes another one beside the *newest* complete one of its definition."""
    if newest.started > started:
        return "the newest complete one is dated in the future"
    age = age_text((started - newest.started).total_seconds())
    return f"the newest complete one is {age} old, and max_age is {span_of(max_age)}"


def why_fresh(newest: Header, started: datetime, max_age: timedelta) -> str:
    """Return why a run that *started* makes none beside the *newest* one."""
    age = age_text((started - newest.started).total_seconds())
    return f"the newest complete one is {age} old, and max_age is {span_of(max_age)}"


def why_redefined(newest: Header, paths: Sequence[str], rules: Rules) -> str:
    """Return in what the *newest* complete one differs from what is asked for now."""
    differing = [] if tuple(map(path_text, roots_named(paths))) == newest.paths else ["paths"]
    for field, option in _RULES.items():
        if getattr(rules, field) != getattr(newest.rules, field):
            differing.append(option)
    return f"the definition of the job has changed: {', '.join(differing) or 'databases'}"


# -- what it changes


@dataclass(frozen=True)
class Against:
    """The restore point that a run compares the tree with, if any, and whether it goes on from one that broke off."""

    base: ReadPoint | None
    resumes: bool


def shown_changes(counts: Counts, against: Against) -> dict[str, t.Any]:
    """Return the changes as a result shows them."""
    return {
        "base": None if against.base is None else against.base.header.run,
        "new": counts.new,
        "changed": counts.changed,
        "unchanged": counts.unchanged,
        "gone": counts.gone,
        "bytes": counts.size,
    }


def no_changes(newest: Header) -> dict[str, t.Any]:
    """Return the changes of a run that looks at none, because the *newest* restore point is fresh."""
    return {"base": newest.run, "new": 0, "changed": 0, "unchanged": 0, "gone": 0, "bytes": 0}


def told_changes(changes: dict[str, t.Any], against: Against) -> Iterator[str]:
    """Yield sentences on what has changed."""
    named = [
        counted(changes["new"], "new entry", "new entries"),
        f"{changes['changed']:,} changed",
        f"{changes['unchanged']:,} unchanged",
        f"{changes['gone']:,} gone",
    ]
    base = against.base
    since = "nothing to compare with" if base is None else f"compared with {base.seq:06d} {base.header.run}"
    yield f"{', '.join(named)} ({since})."
    if against.resumes:
        yield "What a run that was broken off has sent already counts as unchanged."


def told_databases(plan: DumpPlan) -> Iterator[str]:
    """Yield a sentence on the databases, whose size nobody knows before they are dumped."""
    if not plan.dumps:
        return
    sizes = [
        f"{dump.database or dump.source.key + ' users'} {size_text(dump.size) if dump.size else 'unknown'}"
        for dump in plan.dumps[:DATABASES_SHOWN]
    ]
    more = len(plan.dumps) - len(sizes)
    yield f"Of databases, by their servers' estimates: {', '.join(sizes)}{f' and {more:,} more' if more else ''}."


def told_estimate(size: int) -> str:
    """Return the sentence on how much would be sent."""
    return f"About {size_text(size)} would be uploaded, before compression: an estimate from the scan."


def told_sent(size: int, sent: int) -> str:
    """Return the sentence on how much was sent."""
    return f"{size_text(size)} were read for that, and {size_text(sent)} uploaded."


def told_place(seq: int, slot: Slot, replaced: ReadPoint | None, reason: str, *, would: bool) -> str:
    """Return the sentence on where a restore point is made, and why."""
    where = ""
    if slot_number(slot.pool) is not None:
        free, holds = ("is free", "holds") if would else ("was free", "held")
        state = free if replaced is None else f"{holds} {replaced.seq:06d}, the oldest one that may go"
        where = f" in the slot {slot.pool}, which {state}"
    return f"The restore point {seq:06d} {'would be' if would else 'was'} made{where}: {reason}."


def told_gone(count: int, *, would: bool) -> Iterator[str]:
    """Yield a sentence on how many go, if any do."""
    if count:
        done = "was" if count == 1 else "were"
        yield f"{counted(count, 'older one', 'older ones')} {'would be' if would else done} removed."


# -- which ones stay and go


def points_title(job: Job) -> str:
    """Return what the diff is about."""
    return f"restore points of the job {job.name} of {job.client} on {job.destination}"


def point_line(point: ReadPoint, *marks: str) -> str:
    """Return what a line tells of a restore point: its number and id, when it was made, where, and how large it is."""
    all_marks = [
        *([] if point.trailer.complete else ["partial"]),
        *(["protected"] if point.stored.is_protected else []),
        *marks,
    ]
    return _line(point.seq, point.header, point.trailer.size, all_marks)


def new_line(header: Header, size: int, reason: str, *, is_complete: bool) -> str:
    """Return the line of a restore point that is made for this *reason*."""
    return f"{_line(header.seq, header, size, [] if is_complete else ['partial'])}  made: {reason}"


def _line(seq: int, header: Header, size: int, marks: Sequence[str]) -> str:
    slot = [header.pool] if slot_number(header.pool) is not None else []
    told = ", ".join([size_text(size), *marks])
    return "  ".join([f"{seq:06d} {header.run}", time_text(header.started), *slot, told])


@dataclass(frozen=True)
class Review:
    """What becomes of the restore points of a job: of *points*, which could be read, and of those that could not.

    *stored* are all of them where some could not be read, and nothing else.
    *reasons* are by number, and so are those that have *gone*. *definition* is the one that is asked for now.
    """

    stored: Sequence[StoredPoint]
    points: Sequence[ReadPoint]
    reasons: Mapping[int, str]
    gone: t.AbstractSet[int]
    definition: str
    broken_pools: t.AbstractSet[str]

    def kept(self) -> list[dict[str, t.Any]]:
        """Return the newest of those that stay as a result shows them, oldest first."""
        return [{"id": run, "seq": seq, "reason": reason} for seq, run, reason in self._staying()[-KEPT_SHOWN:]]

    def lines(self) -> tuple[list[str], list[str]]:
        """Return a line on each restore point there is before, and after; where many stay, only on the newest."""
        known = {point.seq: point for point in self.points}
        staying = self._staying()
        more = len(staying) - KEPT_SHOWN
        after = {
            seq: f"{self._line(known.get(seq), seq, run)}  stays: {why}" for seq, run, why in staying[-KEPT_SHOWN:]
        }
        gone = [known[seq] for seq in sorted(self.gone & known.keys())]
        going = {point.seq: f"{self._line(point, point.seq, '')}  goes: {self.reasons[point.seq]}" for point in gone}
        before = {**after, **going}
        left_out = [f"... and {more:,} older ones that stay"] if more > 0 else []
        return [*left_out, *(before[seq] for seq in sorted(before))], [*left_out, *after.values()]

    def _staying(self) -> list[tuple[int, str, str]]:
        """Return number, id and reason of each that stays."""
        known = {point.seq for point in self.points}
        read = [(point.seq, point.header.run, self.reasons[point.seq]) for point in self.points]
        unread = [(stored.seq, stored.run, NOTHING_GOES) for stored in self.stored if stored.seq not in known]
        return [found for found in sorted([*read, *unread]) if found[0] not in self.gone]

    def _line(self, point: ReadPoint | None, seq: int, run: str) -> str:
        if point is None:
            return f"{seq:06d} {run}  cannot be read"
        marks = []
        if point.header.definition != self.definition:
            marks.append("of another definition")
        if point.pool in self.broken_pools:
            marks.append("damage noted")
        return point_line(point, *marks)


def reasons_of(verdicts: Iterable[Verdict], gone: t.AbstractSet[int], why_all_stay: str) -> dict[int, str]:
    """Return the reason of each verdict by its number; one that was to go and stays has *why_all_stay* as well."""
    return {
        verdict.seq: verdict.reason
        if verdict.stays or verdict.seq in gone
        else f"{why_all_stay} (else it goes: {verdict.reason})"
        for verdict in verdicts
    }
