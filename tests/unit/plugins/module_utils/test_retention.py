# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which slot of a ring comes next and which restore points stay there, as tables, and what holds whatever the table."""

from __future__ import annotations

import random
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import (
    Candidate,
    Slot,
    Verdict,
    choose_slot,
    plan_last,
    plan_ring,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def points_of(text: str) -> list[Candidate]:
    """Return the points of ``1:s01 2:s02- 3:s01*``, where ``-`` is partial and ``*`` protected."""
    points = []
    for word in text.split():
        seq, _colon, pool = word.partition(":")
        points.append(Candidate(int(seq), pool.rstrip("*-") or f"full-{seq}", "-" not in word, "*" in word))
    return points


def staying(verdicts: Iterable[Verdict]) -> list[int]:
    return [verdict.seq for verdict in verdicts if verdict.stays]


def left_of(points: Sequence[Candidate], last: int) -> list[Candidate]:
    stays = staying(plan_ring(points, last))
    return [point for point in points if point.seq in stays]


def after_a_run(points: Sequence[Candidate], last: int, *, is_complete: bool = True) -> list[Candidate]:
    """Return what a ring holds after one more run, which was let into the slot of the base it was told."""
    slot = choose_slot(points, last)
    assert slot.base == max((point.seq for point in points if point.pool == slot.pool), default=None)
    seq = max((point.seq for point in points), default=0) + 1
    return left_of([*points, Candidate(seq, slot.pool, is_complete, is_protected=False)], last)


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
    ("1:s01 2:s02 3:s03", 5, Slot("s04", None)),
    ("6:s06 7:s07", 3, Slot("s01", None)),
    ("6:s06 7:s07", 2, Slot("s06", 6)),
    ("1:s01* 2:s02* 3:s03*", 4, Slot("s04", None)),
    ("1:s01* 2:s02* 3:s03 4:s04", 2, Slot("s03", 3)),
    ("3:s03 4:s01- 5:s02-", 3, Slot("s03", 3)),
    ("3:s03 4:s01- 5:s02- 6:s03-", 3, Slot("s01", 4)),
]


@pytest.mark.parametrize(("points", "last", "slot"), SLOTS)
def test_the_next_run_goes_to_an_unused_slot_or_to_the_one_used_longest_ago(points: str, last: int, slot: Slot) -> None:
    assert choose_slot(points_of(points), last) == slot


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_ring_of_protected_points_has_no_slot_to_rotate_over(last: int) -> None:
    with pytest.raises(UsageError, match=r"protected restore point.*raise retention.last above 3, or"):
        choose_slot(points_of("1:s01* 2:s02* 3:s03*"), last)


RINGS = [
    ("1:s01 2:s02 3:s03", 3, [1, 2, 3]),
    ("1:s01 2:s02 3:s03 4:s01", 3, [2, 3, 4]),
    ("1:s01 2:s02 3:s03 4:s01", 1, [4]),
    ("1:s01 2:s02- 3:s03- 4:s01-", 3, [1, 2, 3, 4]),
    ("1:s01 2:s01- 3:s01-", 1, [1, 3]),
    ("1:s01- 2:s01-", 1, [2]),
    ("1:s01* 2:s01 3:s01", 1, [1, 3]),
    ("1:s01 2:s02 3:s03", 2, [2, 3]),
    ("1:s01 2:s02 3:s03 4:s04 5:s01", 2, [4, 5]),
    ("1:s01* 2:s02 3:s03 4:s04 5:s02", 2, [1, 4, 5]),
    ("1:s01- 2:s02- 3:s03-", 2, [2, 3]),
    ("1:s01 2:s02- 3:s03- 4:s04-", 2, [1, 3, 4]),
    ("1:s01 2:s02 3:s02-", 2, [1, 2, 3]),
    ("", 2, []),
]


@pytest.mark.parametrize(("points", "last", "stays"), RINGS)
def test_a_ring_keeps_the_newest_of_its_last_slots(points: str, last: int, stays: list[int]) -> None:
    assert staying(plan_ring(points_of(points), last)) == stays


def test_a_ring_says_why_each_of_its_points_stays_or_goes() -> None:
    points = points_of("1:s01* 2:s02 3:s03 4:s04 5:s05- 6:s02-")

    assert [(verdict.seq, verdict.reason) for verdict in plan_ring(points, 3)] == [
        (1, "protected"),
        (2, "its slot s02 holds a newer one, 6"),
        (3, "not among the last 3"),
        (4, "the latest complete one"),
        (5, "number 2 of the last 3"),
        (6, "number 1 of the last 3"),
    ]


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


@given(rings, lasts, st.randoms(use_true_random=False))
def test_the_order_in_which_the_points_of_a_ring_are_told_does_not_matter(
    points: list[Candidate], last: int, chance: random.Random
) -> None:
    free = [Candidate(point.seq, point.pool, point.is_complete, is_protected=False) for point in points]
    shuffled = chance.sample(free, len(free))

    assert plan_ring(shuffled, last) == plan_ring(free, last)
    assert choose_slot(shuffled, last) == choose_slot(free, last)


@given(rings, st.none() | lasts)
def test_full_points_keep_their_invariants_as_well(points: list[Candidate], last: int | None) -> None:
    verdicts = plan_last(points, last)
    stays = staying(verdicts)

    assert [verdict.seq for verdict in verdicts] == sorted(point.seq for point in points)
    assert {point.seq for point in points if point.is_protected} <= set(stays)
    newest = sorted(point.seq for point in points)[-(last or len(points) or 1) :]
    assert set(newest) <= set(stays)


# -- one run after another


def test_a_partial_point_beside_the_last_complete_one_of_its_slot_takes_part_in_the_rotation() -> None:
    points = points_of("3:s03 4:s01- 5:s02-")
    seqs = []
    pools = []

    for is_complete in (False, False, True, True):
        points = after_a_run(points, 3, is_complete=is_complete)
        seqs.append([point.seq for point in points])
        pools.append(points[-1].pool)

    assert pools == ["s03", "s01", "s02", "s03"]
    assert seqs == [[3, 4, 5, 6], [3, 5, 6, 7], [6, 7, 8], [7, 8, 9]]


def test_a_smaller_ring_is_emptied_after_the_next_run_and_a_larger_one_grows_run_by_run() -> None:
    points: list[Candidate] = []
    seqs = []

    for last in (4, 4, 4, 4, 4, 2, 2, 4, 4, 4):
        points = after_a_run(points, last)
        seqs.append([point.seq for point in points])

    assert seqs[4:] == [[2, 3, 4, 5], [5, 6], [6, 7], [6, 7, 8], [6, 7, 8, 9], [7, 8, 9, 10]]


def test_protected_points_hold_their_slots_and_the_others_rotate() -> None:
    points = points_of("1:s01 2:s02* 3:s03 4:s04*")
    pools = []

    for _run in range(4):
        points = after_a_run(points, 4)
        pools.append(points[-1].pool)

    assert pools == ["s01", "s03", "s01", "s03"]
    assert [point.seq for point in points] == [2, 4, 7, 8]


@pytest.mark.parametrize("last", [1, 2, 3, 7])
def test_a_ring_holds_exactly_its_last_runs_and_the_latest_complete_one(last: int) -> None:
    chance = random.Random(last)
    points: list[Candidate] = []
    latest_complete = set[int]()

    for run in range(1, 300):
        is_complete = chance.random() < 0.4
        latest_complete = {run} if is_complete else latest_complete
        points = after_a_run(points, last, is_complete=is_complete)

        assert {point.seq for point in points} == {*range(max(1, run - last + 1), run + 1), *latest_complete}
        assert len({point.pool for point in points}) == min(run, last)


@pytest.mark.parametrize("seed", range(5))
def test_a_ring_that_grows_and_shrinks_keeps_the_newest_each_in_a_slot_of_its_own(seed: int) -> None:
    chance = random.Random(seed)
    points: list[Candidate] = []
    last = 7
    held = 0

    for run in range(1, 400):
        last = chance.randint(1, 9) if chance.random() < 0.1 else last
        points = after_a_run(points, last)
        held = min(held + 1, last)

        assert [point.seq for point in points] == list(range(run - held + 1, run + 1))
        assert len({point.pool for point in points}) == held


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_to_a_ring_it_keeps_what_it_must_and_has_no_more_than_its_slots(seed: int) -> None:
    chance = random.Random(seed)
    points: list[Candidate] = []
    last = 5

    for _step in range(500):
        last = chance.randint(1, 8) if chance.random() < 0.05 else last
        points = [_perhaps_protected(point, chance) for point in points]
        heads = {point.pool: point for point in points}.values()
        if len(heads) >= last and all(point.is_protected for point in heads):
            with pytest.raises(UsageError, match="protected"):
                choose_slot(points, last)
            continue
        before = points
        points = after_a_run(before, last, is_complete=chance.random() < 0.6)

        latest_complete = max((point.seq for point in (*before, points[-1]) if point.is_complete), default=0)
        must_stay = {latest_complete} - {0} | {point.seq for point in before if point.is_protected}
        stays = {point.seq for point in points}
        ordinary = [point for point in points if point.seq not in must_stay]
        assert must_stay <= stays
        assert before == [] or points[-1].seq > before[-1].seq
        assert len({point.pool for point in ordinary}) == len(ordinary) <= last
        # What gives up its slot is older than whatever keeps one without having to.
        gone = [point.seq for point in heads if point.seq not in stays]
        assert max(gone, default=0) < min((point.seq for point in ordinary), default=points[-1].seq)


def _perhaps_protected(point: Candidate, chance: random.Random) -> Candidate:
    is_protected = chance.random() < 0.3 if chance.random() < 0.05 else point.is_protected
    return Candidate(point.seq, point.pool, point.is_complete, is_protected)


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
