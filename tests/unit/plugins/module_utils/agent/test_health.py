# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job is, in words."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.health import health_of, stale_after, state_of

HOUR = 3600
SOUND = {"complete": True, "damaged": False, "protected": False, "age": HOUR, "problem_count": 0}


def point(**changes: t.Any) -> dict[str, t.Any]:  # noqa: ANN401 - of each value its own type
    return {**SOUND, **changes}


def words(*points: dict[str, t.Any], stale: float = 36 * HOUR) -> str:
    health = health_of(points, stale)
    assert health.is_good == (health.words == "good")
    return health.words


def test_a_job_with_a_fresh_restore_point_is_good() -> None:
    assert words(point()) == "good"


def test_a_job_without_any_says_so() -> None:
    assert words() == "no restore point yet"


@pytest.mark.parametrize(("max_age", "limit"), [(10 / 60, 36), (12, 36), (13, 39), (24 * 7, 24 * 21)])
def test_a_job_that_says_nothing_is_stale_after_three_times_max_age_and_not_before_a_day_and_a_half(
    max_age: float, limit: float
) -> None:
    assert stale_after(max_age * HOUR) == limit * HOUR


def test_a_job_is_stale_once_its_newest_good_one_is_older_than_that() -> None:
    assert words(point(age=36 * HOUR)) == "good"
    assert words(point(age=36 * HOUR + 1)) == "stale: no good one for 36 h"


def test_partial_ones_do_not_make_a_job_fresh() -> None:
    partial = point(complete=False, problem_count=3)

    assert words(partial, point(age=100 * HOUR)) == ("the newest is partial (3 problems); stale: no good one for 4 d")
    assert words(partial) == "the newest is partial (3 problems); none of them is complete and whole"


def test_a_damaged_one_is_told() -> None:
    assert words(point(damaged=True), point()) == "the newest is damaged"


def test_what_tells_no_date_is_never_stale() -> None:
    assert words(point(age=None)) == "good"


def test_a_restore_point_has_all_its_marks() -> None:
    assert state_of(point()) == "complete"
    assert state_of(point(complete=False, problem_count=1, damaged=True, protected=True)) == (
        "partial (1 problem), damaged, protected"
    )
