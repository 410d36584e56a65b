# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore points stay, as tables, and what must hold whatever the table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import (
    Candidate,
    Slot,
    choose_slot,
    plan_last,
    plan_ring,
)


def points_of(text: str) -> list[Candidate]:
    """Return the points of ``1:s01 2:s02- 3:s01*``, where ``-`` is partial and ``*`` protected."""
    points = []
    for word in text.split():
        seq, _colon, pool = word.partition(":")
        points.append(Candidate(int(seq), pool.rstrip("*-") or f"full-{seq}", "-" not in word, "*" in word))
    return points


def staying(verdicts: object) -> list[int]:
    return [verdict.seq for verdict in verdicts if verdict.stays]  # type: ignore[attr-defined] # a list of verdicts


pools = st.sampled_from(["s01", "s02", "s03", "s04", "s05"])
rings = st.lists(
    st.builds(Candidate, st.integers(1, 60), pools, st.booleans(), st.booleans()),
    max_size=20,
    unique_by=lambda p: p.seq,
)
lasts = st.integers(1, 6)

SLOTS = [
    ("", 3, Slot("s01", None)),
    ("1:s01", 3, Slot("s02", None)),
    ("1:s01 2:s02", 3, Slot("s03", None)),
    ("1:s01 2:s02 3:s03", 3, Slot("s01", 1)),
    ("2:s02 3:s03 4:s01", 3, Slot("s02", 2)),
    ("1:s01", 1, Slot("s01", 1)),
    ("1:s01 2:s02 3:s03", 1, Slot("s01", 1)),
    ("4:s01", 3, Slot("s02", None)),
    ("5:s05", 3, Slot("s01", None)),
    ("1:s01* 2:s02 3:s03", 3, Slot("s02", 2)),
    ("1:s01 2:s01-", 1, Slot("s01", 2)),
    ("1:s01* 2:s01", 1, Slot("s01", 2)),
]


@pytest.mark.parametrize(("points", "last", "slot"), SLOTS)
def test_the_next_run_goes_to_an_unused_slot_or_to_the_one_used_longest_ago(points: str, last: int, slot: Slot) -> None:
    assert choose_slot(points_of(points), last) == slot


def test_a_ring_of_protected_points_has_no_slot_to_rotate_over() -> None:
    with pytest.raises(UsageError, match="protected"):
        choose_slot(points_of("1:s01* 2:s02*"), 2)


RINGS = [
    ("1:s01 2:s02 3:s03", 3, [1, 2, 3]),
    ("1:s01 2:s02 3:s03 4:s01", 3, [2, 3, 4]),
    ("1:s01 2:s02 3:s03 4:s01", 1, [4]),
    ("1:s01 2:s02- 3:s03- 4:s01-", 3, [1, 2, 3, 4]),
    ("1:s01 2:s01- 3:s01-", 1, [1, 3]),
    ("1:s01- 2:s01-", 1, [2]),
    ("1:s01* 2:s01 3:s01", 1, [1, 3]),
    ("1:s01 2:s02 3:s03", 2, [2, 3]),
]


@pytest.mark.parametrize(("points", "last", "stays"), RINGS)
def test_a_ring_keeps_the_newest_of_its_last_slots(points: str, last: int, stays: list[int]) -> None:
    assert staying(plan_ring(points_of(points), last)) == stays


LASTS = [
    ("1: 2: 3:", 2, [2, 3]),
    ("1: 2: 3:", None, [1, 2, 3]),
    ("1: 2:- 3:-", 1, [1, 3]),
    ("1:* 2: 3:", 1, [1, 3]),
    ("1:-", 1, [1]),
    ("", 1, []),
]


@pytest.mark.parametrize(("points", "last", "stays"), LASTS)
def test_of_full_points_the_last_ones_stay(points: str, last: int | None, stays: list[int]) -> None:
    assert staying(plan_last(points_of(points), last)) == stays


def test_seven_days_first_make_seven_full_backups_and_then_rotate_over_the_oldest() -> None:
    points: list[Candidate] = []
    used = []
    for day in range(1, 22):
        slot = choose_slot(points, 7)
        used.append((slot.pool, slot.base))
        points.append(Candidate(day, slot.pool, is_complete=True, is_protected=False))
        stays = staying(plan_ring(points, 7))
        points = [point for point in points if point.seq in stays]
        assert stays == list(range(max(1, day - 6), day + 1))

    assert used[:7] == [(f"s{day:02d}", None) for day in range(1, 8)]
    assert used[7:] == [(f"s{(day - 1) % 7 + 1:02d}", day - 7) for day in range(8, 22)]


@given(rings, lasts)
def test_each_point_of_a_ring_gets_one_verdict_with_a_reason(points: list[Candidate], last: int) -> None:
    verdicts = plan_ring(points, last)

    assert [verdict.seq for verdict in verdicts] == sorted(point.seq for point in points)
    assert all(verdict.reason for verdict in verdicts)


@given(rings, lasts)
def test_a_ring_never_gives_up_the_latest_complete_a_protected_or_the_newest_point(
    points: list[Candidate], last: int
) -> None:
    stays = staying(plan_ring(points, last))

    assert {point.seq for point in points if point.is_protected} <= set(stays)
    assert {max(point.seq for point in points)} <= set(stays) if points else stays == []
    assert {max((point.seq for point in points if point.is_complete), default=0)} - {0} <= set(stays)
    ordinary = {point.pool for point in points if point.seq in stays and not point.is_protected}
    assert len(ordinary) <= last + 1


@given(rings, lasts)
def test_planning_again_changes_nothing(points: list[Candidate], last: int) -> None:
    stays = staying(plan_ring(points, last))
    left = [point for point in points if point.seq in stays]

    assert staying(plan_ring(left, last)) == stays


@given(rings, st.none() | lasts)
def test_full_points_keep_their_invariants_as_well(points: list[Candidate], last: int | None) -> None:
    verdicts = plan_last(points, last)
    stays = staying(verdicts)

    assert [verdict.seq for verdict in verdicts] == sorted(point.seq for point in points)
    assert {point.seq for point in points if point.is_protected} <= set(stays)
    newest = sorted(point.seq for point in points)[-(last or len(points) or 1) :]
    assert set(newest) <= set(stays)


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=30))
def test_whatever_the_runs_a_complete_point_is_never_lost_and_a_slot_is_never_used_twice(
    runs: list[tuple[int, bool]],
) -> None:
    points: list[Candidate] = []
    for seq, (last, is_complete) in enumerate(runs, 1):
        had_complete = any(point.is_complete for point in points)
        slot = choose_slot(points, last)
        newest_of_slot = max((point.seq for point in points if point.pool == slot.pool), default=None)
        assert slot.base == newest_of_slot
        points.append(Candidate(seq, slot.pool, is_complete, is_protected=False))
        stays = staying(plan_ring(points, last))
        points = [point for point in points if point.seq in stays]
        assert any(point.is_complete for point in points) == (had_complete or is_complete)
        assert len(points) <= last + 1
