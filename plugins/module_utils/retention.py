# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore points stay and which go, and why: decided purely, from what exists."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .errors import UsageError
from .native.names import slot_name, slot_number

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_LAST = 7


@dataclass(frozen=True)
class Candidate:
    """What retention needs to know of a restore point; *seq* orders them, never a clock."""

    seq: int
    pool: str
    is_complete: bool
    is_protected: bool


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
            f"All {len(newest)} slots of the ring hold protected restore points, so there is none to rotate over:"
            " raise retention.last, or take the protection off one of them."
        )
    oldest = min(free, key=lambda point: point.seq)
    return Slot(oldest.pool, oldest.seq)


def _newest_of_slots(points: Iterable[Candidate]) -> dict[str, Candidate]:
    newest: dict[str, Candidate] = {}
    for point in sorted(points, key=lambda point: point.seq):
        newest[point.pool] = point
    return newest


def plan_ring(points: Sequence[Candidate], last: int) -> list[Verdict]:
    """Return a verdict on each of *points*, oldest first, for a ring of *last* slots."""
    newest = _newest_of_slots(points)
    ranks = {p.seq: rank for rank, p in enumerate(sorted(newest.values(), key=lambda p: -p.seq), 1)}
    latest = _latest_complete(points)

    def judge(point: Candidate) -> Verdict:
        if point.is_protected:
            return Verdict(point.seq, stays=True, reason="protected")
        if point.seq == latest:
            return Verdict(point.seq, stays=True, reason="the latest complete one")
        if point.seq not in ranks:
            return Verdict(
                point.seq, stays=False, reason=f"its slot {point.pool} holds a newer one, {newest[point.pool].seq}"
            )
        if ranks[point.seq] <= last:
            return Verdict(point.seq, stays=True, reason=f"number {ranks[point.seq]} of the last {last}")
        return Verdict(point.seq, stays=False, reason=f"not among the last {last}")

    return [judge(point) for point in sorted(points, key=lambda point: point.seq)]


def plan_last(points: Sequence[Candidate], last: int | None) -> list[Verdict]:
    """Return a verdict on each of *points*, oldest first, where the *last* ones stay; None keeps everything."""
    ranks = {p.seq: rank for rank, p in enumerate(sorted(points, key=lambda p: -p.seq), 1)}
    latest = _latest_complete(points)

    def judge(point: Candidate) -> Verdict:
        if point.is_protected:
            return Verdict(point.seq, stays=True, reason="protected")
        if last is None:
            return Verdict(point.seq, stays=True, reason="nothing is ever removed without a retention")
        if point.seq == latest:
            return Verdict(point.seq, stays=True, reason="the latest complete one")
        if ranks[point.seq] <= last:
            return Verdict(point.seq, stays=True, reason=f"number {ranks[point.seq]} of the last {last}")
        return Verdict(point.seq, stays=False, reason=f"not among the last {last}")

    return [judge(point) for point in sorted(points, key=lambda point: point.seq)]


def _latest_complete(points: Iterable[Candidate]) -> int | None:
    return max((point.seq for point in points if point.is_complete), default=None)
