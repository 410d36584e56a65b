# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore points a policy keeps and for which reasons, as tables, and what must hold whatever the table."""

from __future__ import annotations

import re
import typing as t
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import (
    Candidate,
    Policy,
    Verdict,
    parse_policy,
    plan_policy,
)

if t.TYPE_CHECKING:
    import random
    from collections.abc import Iterable

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def points_of(text: str) -> list[Candidate]:
    """Return the points of ``11-24 11-24T15:30- 2025-01-01*`` in that order, ``-`` is partial and ``*`` protected."""
    points = []
    for seq, word in enumerate(text.split(), 1):
        moment = word.rstrip("*-")
        full = moment if re.match(r"\d{4}", moment) else f"2026-{moment}"
        created = datetime.fromisoformat(full).replace(tzinfo=timezone.utc)
        points.append(Candidate(seq, f"full-{seq}", word[-1] != "-", word[-1] == "*", created))
    return points


def staying(verdicts: Iterable[Verdict]) -> list[int]:
    return [verdict.seq for verdict in verdicts if verdict.stays]


# -- tables

KEPT = [
    pytest.param("", Policy(last=3), [], id="nothing is kept of nothing"),
    pytest.param("11-20 11-21- 2031-01-01", Policy(), [1, 2, 3], id="an empty policy keeps everything"),
    pytest.param("11-24 11-23 11-22", Policy(last=2), [2, 3], id="last counts by number and not by clock"),
    pytest.param("2031-01-01 11-23 11-24", Policy(last=2), [2, 3], id="last alone asks nobody when it was"),
    pytest.param("11-24* 11-24 11-24", Policy(last=1), [1, 3], id="protected ones stay"),
    pytest.param("11-22 11-23- 11-24- 11-25-", Policy(last=2), [1, 3, 4], id="the latest complete one stays"),
    pytest.param("11-22- 11-23- 11-24-", Policy(last=2), [2, 3], id="there may be no complete one"),
    pytest.param("11-24T02:59 11-24T03:00 11-24T03:59 11-24T04:00", Policy(hourly=2), [3, 4], id="hourly"),
    pytest.param("11-23T03 11-24T03 11-25T03:00", Policy(hourly=2), [2, 3], id="the same hour of two days is two"),
    pytest.param("11-23T23:59:59 11-24T00:00 11-24T23:59 11-25", Policy(daily=2), [3, 4], id="daily"),
    pytest.param("11-15 11-16 11-22 11-23 11-26", Policy(weekly=2), [3, 5], id="weeks begin on Monday"),
    pytest.param(
        "2025-12-28 2025-12-29 2026-01-01 2026-01-04 2026-01-05",
        Policy(weekly=4),
        [1, 4, 5],
        id="the week of New Year's Day is one",
    ),
    pytest.param("2025-12-31 2026-01-01 2026-01-31 2026-02-01", Policy(monthly=2), [3, 4], id="monthly"),
    pytest.param("2025-01-01 2025-11-24 2026-11-24", Policy(monthly=2), [2, 3], id="a month of two years is two"),
    pytest.param("2024-05-05 2025-01-01 2025-12-31 2026-01-01", Policy(yearly=2), [3, 4], id="yearly"),
    pytest.param("2019-03-01 2022-05-05 11-24", Policy(daily=2), [2, 3], id="a period without any does not count"),
    pytest.param(
        "11-23 11-24T15 11-24T14", Policy(daily=2), [1, 3], id="the newest of a period has the highest number"
    ),
    pytest.param("11-24 11-25 11-25T01-", Policy(daily=2), [1, 2, 3], id="complete ones go before partial ones"),
    pytest.param(
        "11-24 11-24T01- 11-25", Policy(daily=2), [1, 3], id="a partial one of a period with a complete one goes"
    ),
    pytest.param(
        "11-23- 11-24- 11-24T01- 11-25", Policy(daily=2), [3, 4], id="a period of partial ones keeps the newest"
    ),
    pytest.param(
        "11-20 11-21 11-22 11-23- 11-24- 11-25-",
        Policy(daily=2),
        [2, 3, 5, 6],
        id="periods of partial ones take no place from complete ones",
    ),
    pytest.param(
        "11-20 11-21T12 11-21T12:00:01 11-22", Policy(within=5 * DAY), [3, 4], id="younger than, not as old as"
    ),
    pytest.param(
        "2001-01-01 2002-02-02", Policy(within=DAY), [2], id="the latest complete one stays however old it is"
    ),
    pytest.param("2001-01-01 2002-02-02- 2003-03-03-", Policy(within=DAY), [1, 3], id="the latest one stays, too"),
    pytest.param("11-24 11-24T01 11-24T02-", Policy(daily=1), [2, 3], id="what a run has just made stays"),
    pytest.param(
        "2031-01-01 2031-01-02 11-24 11-25", Policy(daily=1), [1, 2, 4], id="no day of the future takes a place"
    ),
    pytest.param("2031-01-01 11-01 11-25", Policy(within=2 * DAY), [1, 3], id="no age is known in the future"),
    pytest.param(
        "2031-01-01 11-01 11-25", Policy(last=1, yearly=1), [1, 3], id="one rule with a clock is enough for that"
    ),
    pytest.param("11-24 11-26T12 11-26T12", Policy(daily=1), [3], id="this very moment is not the future"),
    pytest.param(
        "2025-06-01 11-01 11-20 11-23 11-24 11-25", Policy(last=2, monthly=1, yearly=2), [1, 5, 6], id="rules add"
    ),
]


@pytest.mark.parametrize(("points", "policy", "stays"), KEPT)
def test_a_policy_keeps_what_any_of_its_rules_keeps(points: str, policy: Policy, stays: list[int]) -> None:
    assert staying(plan_policy(points_of(points), policy, NOW)) == stays


def test_a_year_of_nightly_points_is_thinned_out() -> None:
    nights = [NOW - night * DAY for night in reversed(range(365))]
    points = points_of(" ".join(f"{night:%Y-%m-%dT%H}" for night in nights))

    verdicts = plan_policy(points, Policy(daily=7, weekly=4, monthly=6), NOW)

    kept = {point.created.date().isoformat()[5:] for point, verdict in zip(points, verdicts) if verdict.stays}
    days = {"11-20", "11-21", "11-22", "11-23", "11-24", "11-25", "11-26"}
    assert kept == days | {"11-08", "11-15"} | {"06-30", "07-31", "08-31", "09-30", "10-31"}


def test_every_verdict_tells_the_rules_it_comes_from() -> None:
    policy = Policy(last=3, hourly=1, daily=3, weekly=1, monthly=2, yearly=1, within=timedelta(hours=61))
    points = points_of("09-01* 10-05 11-20 11-23 11-24- 11-25 2031-01-01 11-25T09:30- 11-26T01-")

    reasons = {verdict.seq: verdict.reason for verdict in plan_policy(points, policy, NOW)}

    assert reasons == {
        1: "protected",
        2: "the newest of 2026-10 (monthly 2 of 2)",
        3: "the newest of 2026-11-20 (daily 3 of 3)",
        4: "the newest of 2026-11-23 (daily 2 of 3)",
        5: "the newest of 2026-11-24, partial (daily 3 of 3), younger than 61h",
        6: "the newest of 2026-11-25 00:00 (hourly 1 of 1), the newest complete one of 2026-11-25 (daily 1 of 3),"
        " the newest complete one of 2026-W48 (weekly 1 of 1), the newest complete one of 2026-11 (monthly 1 of 2),"
        " the newest complete one of 2026 (yearly 1 of 1), younger than 61h",
        7: "the latest complete one, dated in the future, number 3 of the last 3",
        8: "number 2 of the last 3, younger than 61h",
        9: "the latest one, the newest of 2026-11-26 01:00, partial (hourly 1 of 1),"
        " the newest of 2026-11-26, partial (daily 1 of 3), number 1 of the last 3, younger than 61h",
    }


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(last=1), "kept by none of last 1"),
        (Policy(last=1, daily=1), "kept by none of last 1, daily 1"),
        (
            Policy(1, 1, 1, 1, 1, 1, timedelta(minutes=90)),
            "kept by none of last 1, hourly 1, daily 1, weekly 1, monthly 1, yearly 1, within 90m",
        ),
        (Policy(within=28 * DAY), "kept by none of within 28d"),
    ],
)
def test_who_goes_is_told_which_rules_there_were(policy: Policy, reason: str) -> None:
    points = points_of("10-24 11-24")

    assert plan_policy(points, policy, NOW)[0] == Verdict(1, stays=False, reason=reason)


def test_the_latest_complete_one_that_is_the_latest_of_all_is_told_once() -> None:
    verdicts = plan_policy(points_of("11-24 11-25"), Policy(last=3), NOW)

    assert [verdict.reason for verdict in verdicts] == [
        "number 2 of the last 3",
        "the latest complete one, number 1 of the last 3",
    ]


def test_without_a_rule_the_reason_is_that_there_is_none() -> None:
    verdicts = plan_policy(points_of("11-24* 11-25"), Policy(), NOW)

    assert [verdict.reason for verdict in verdicts] == ["protected", "nothing is ever removed without a retention"]


def test_a_number_that_two_points_bear_has_one_fate() -> None:
    twins = [replace(point, seq=2) for point in points_of("11-23 11-24")]
    points = [*twins, *(replace(point, seq=3) for point in points_of("11-25"))]

    verdicts = plan_policy(points, Policy(daily=2), NOW)

    assert staying(verdicts) == [2, 2, 3]


# -- what holds for all

moments = st.integers(-24 * 100, 24 * 10).map(lambda hours: NOW + timedelta(hours=hours))
histories = st.lists(
    st.builds(Candidate, st.integers(1, 60), st.just("pool"), st.booleans(), st.booleans(), moments),
    max_size=25,
    unique_by=lambda point: point.seq,
)
counts = st.none() | st.integers(1, 5)
ages = st.none() | st.integers(1, 100).map(lambda days: days * DAY)
policies = st.builds(Policy, counts, counts, counts, counts, counts, counts, ages)
policies_by_clock = policies.map(lambda policy: replace(policy, last=None)).filter(lambda policy: not policy.is_empty)


def widened(policy: Policy, more: Policy) -> Policy:
    """Return *policy* with each rule larger by what *more* has."""
    sums = {}
    for rule in (field.name for field in fields(Policy)):
        numbers = [number for number in (getattr(policy, rule), getattr(more, rule)) if number is not None]
        sums[rule] = sum(numbers[1:], numbers[0]) if numbers else None
    return replace(policy, **sums)


@given(histories, policies)
def test_kept_and_removed_together_are_all_and_each_has_a_reason(points: list[Candidate], policy: Policy) -> None:
    verdicts = plan_policy(points, policy, NOW)

    assert [verdict.seq for verdict in verdicts] == sorted(point.seq for point in points)
    assert all(verdict.reason for verdict in verdicts)


@given(histories, policies)
def test_the_protected_the_latest_complete_and_the_latest_stay(points: list[Candidate], policy: Policy) -> None:
    stays = set(staying(plan_policy(points, policy, NOW)))

    assert {point.seq for point in points if point.is_protected} <= stays
    assert {max((point.seq for point in points if point.is_complete), default=0)} - {0} <= stays
    assert {max((point.seq for point in points), default=0)} - {0} <= stays


@given(histories, policies, policies)
def test_larger_and_further_rules_never_remove_more(points: list[Candidate], policy: Policy, more: Policy) -> None:
    wider = Policy() if policy.is_empty else widened(policy, more)

    assert set(staying(plan_policy(points, policy, NOW))) <= set(staying(plan_policy(points, wider, NOW)))


@given(histories, policies)
def test_without_rules_nothing_more_is_removed_than_with_any(points: list[Candidate], policy: Policy) -> None:
    assert len(staying(plan_policy(points, policy, NOW))) <= len(staying(plan_policy(points, Policy(), NOW)))


@given(histories, policies)
def test_planning_again_on_what_was_kept_changes_nothing(points: list[Candidate], policy: Policy) -> None:
    stays = staying(plan_policy(points, policy, NOW))
    kept = [point for point in points if point.seq in stays]

    assert staying(plan_policy(kept, policy, NOW)) == stays


@given(histories, policies, st.randoms(use_true_random=False))
def test_the_order_in_which_points_are_told_does_not_matter(
    points: list[Candidate], policy: Policy, chance: random.Random
) -> None:
    shuffled = chance.sample(points, len(points))

    assert plan_policy(shuffled, policy, NOW) == plan_policy(points, policy, NOW)


@given(histories, policies_by_clock)
def test_no_rule_with_a_clock_removes_what_is_dated_in_the_future(points: list[Candidate], policy: Policy) -> None:
    stays = set(staying(plan_policy(points, policy, NOW)))

    assert {point.seq for point in points if point.created > NOW} <= stays


@given(histories, policies_by_clock)
def test_no_complete_point_goes_for_the_sake_of_a_partial_one(points: list[Candidate], policy: Policy) -> None:
    complete = [point for point in points if point.is_complete]

    stays = set(staying(plan_policy(points, policy, NOW)))

    assert set(staying(plan_policy(complete, policy, NOW))) == stays & {point.seq for point in complete}


@given(histories, st.integers(1, 5))
def test_last_keeps_its_number_of_points_and_the_latest_complete_one(points: list[Candidate], last: int) -> None:
    bare = [replace(point, is_protected=False) for point in points]
    latest_complete = {point.seq for point in bare if point.is_complete and point.seq >= _latest_complete(bare)}

    stays = staying(plan_policy(bare, Policy(last=last), NOW))

    assert set(stays) == {*sorted(point.seq for point in bare)[-last:], *latest_complete}


def _latest_complete(points: Iterable[Candidate]) -> int:
    return max((point.seq for point in points if point.is_complete), default=0)


@given(histories, st.integers(1, 5))
def test_a_day_keeps_no_more_than_one_point_by_the_rule_for_days(points: list[Candidate], daily: int) -> None:
    bare = [replace(point, is_protected=False) for point in points if point.created <= NOW]
    always = {_latest_complete(bare), max((point.seq for point in bare), default=0)}

    stays = staying(plan_policy(bare, Policy(daily=daily), NOW))

    days = [point.created.date() for point in bare if point.seq in stays and point.seq not in always]
    assert len(days) == len(set(days)) <= 2 * daily


# -- the option


def test_a_policy_is_read_from_the_values_of_the_option() -> None:
    values = {
        "last": 750,
        "hourly": 10_000,
        "daily": 7,
        "weekly": 4,
        "monthly": 12,
        "yearly": 1,
        "within": "30d",
    }

    assert parse_policy(values) == Policy(750, 10_000, 7, 4, 12, 1, 30 * DAY)


@pytest.mark.parametrize("values", [{}, {"last": None, "daily": None, "within": None}])
def test_what_is_not_given_is_no_rule(values: dict[str, object]) -> None:
    policy = parse_policy(values)

    assert policy == Policy()
    assert policy.is_empty


@pytest.mark.parametrize("rule", ["last", "hourly", "daily", "weekly", "monthly", "yearly"])
def test_one_rule_makes_a_policy_that_is_not_empty(rule: str) -> None:
    policy = parse_policy({rule: 1})

    assert getattr(policy, rule) == 1
    assert not policy.is_empty
    assert policy.has_clock == (rule != "last")


@pytest.mark.parametrize(
    ("within", "age"),
    [
        ("90s", timedelta(seconds=90)),
        ("45m", timedelta(minutes=45)),
        ("36h", timedelta(hours=36)),
        ("30d", 30 * DAY),
        (" 2 w ", 14 * DAY),
        ("99999999d", 36525 * DAY),
    ],
)
def test_within_is_read_as_ages_are(within: str, age: timedelta) -> None:
    assert parse_policy({"within": within}).within == age
    assert parse_policy({"within": within}).has_clock


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"last": 0}, "retention.last is 0, and must be from 1 to 750: leave it out where it is to keep nothing."),
        ({"last": 751}, "retention.last is 751, and must be from 1 to 750: leave it out where it is to keep nothing."),
        (
            {"daily": -1},
            "retention.daily is -1, and must be from 1 to 10000: leave it out where it is to keep nothing.",
        ),
        ({"yearly": 10_001}, "retention.yearly is 10001, and must be from 1 to 10000"),
        ({"hourly": True}, "retention.hourly is True, and must be from 1 to 10000"),
        ({"weekly": "4"}, "retention.weekly is '4', and must be from 1 to 10000"),
        ({"within": "0d"}, "retention.within is '0d', and must be 1s or more: leave it out"),
        ({"within": "1y6m"}, "retention.within '1y6m' cannot be read: give a whole number with s, m, h, d or w"),
        ({"within": ""}, "retention.within '' cannot be read"),
        ({"within": "-3d"}, "retention.within '-3d' cannot be read"),
        ({"within": "3"}, "retention.within '3' cannot be read"),
        ({"within": "٣d"}, "retention.within '٣d' cannot be read"),
        ({"within": "9" * 39 + "d"}, f"retention.within '{'9' * 39}d' is more than anything can be old."),
        ({"within": "9" * 9999 + "d"}, f"retention.within '{'9' * 37}...' is more than anything can be old."),
        ({"last": 3, "dayly": 7}, "retention.dayly is unknown: there are last, hourly, daily, weekly, monthly, yearly"),
    ],
)
def test_what_no_rule_can_be_is_refused_in_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        parse_policy(values)
