# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module restore_point: in the order check, do, do again, and what it refuses."""

from __future__ import annotations

import typing as t

import pytest

from .hosts import CLIENT, DESTINATION, JOB
from .refusals import assert_sentence, refusal
from .snapshots import contents

if t.TYPE_CHECKING:
    from .hosts import Host
    from .running import Result, Task

NOBODY = "20200101t000000z-abcdef"


@pytest.fixture
def points(declared: Host) -> list[str]:
    """Make two restore points and return their ids, oldest first."""
    return [declared.do(declared.backup(force=True)).values["point"]["id"] for _number in range(2)]


def _check_do_again(host: Host, task: Task) -> tuple[Result, Result, Result]:
    """Return the results of the three runs, having shown that check mode and the last one touched nothing."""
    before = host.seen()
    foretold = host.do(task.in_check_mode())
    assert host.seen() == before
    done = host.do(task)
    after = host.seen()
    again = host.do(task)
    assert host.seen() == after
    return foretold, done, again


def _listed(host: Host) -> list[tuple[str, bool]]:
    points = host.do(host.backup_info()).values["points"]
    return [(point["id"], point["protected"]) for point in reversed(points)]


# -- check, do, do again


def test_a_protection_is_foretold_then_made_then_ok_by_ansible(declared: Host, points: list[str]) -> None:
    task = declared.restore_point(point=points[0], protected=True)
    before = declared.seen()
    (foretold,) = declared.play(task.in_check_mode(), diff=True)
    assert declared.seen() == before
    done, again = declared.play(task, task, diff=True)

    assert [result.changed for result in (foretold, done, again)] == [True, True, False]
    assert foretold.values["point"] == done.values["point"] == again.values["point"]
    assert foretold.values["diff"] == done.values["diff"]
    point = done.values["point"]
    assert (point["id"], point["job"], point["client"], point["protected"]) == (points[0], JOB, CLIENT, True)
    lines, after = done.diff
    assert [line.split("  ")[0] for line in lines] == [f"000001 {points[0]}", f"000002 {points[1]}"]
    assert after == [f"{lines[0]}, protected", lines[1]]
    assert _listed(declared) == [(points[0], True), (points[1], False)]


def test_a_protection_is_foretold_then_taken_off_then_ok(declared: Host, points: list[str]) -> None:
    declared.do(declared.restore_point(point=points[0], protected=True))
    foretold, done, again = _check_do_again(declared, declared.restore_point(point=points[0], protected=False))

    assert [result.changed for result in (foretold, done, again)] == [True, True, False]
    assert not done.values["point"]["protected"]
    assert _listed(declared) == [(points[0], False), (points[1], False)]


def test_a_removal_is_foretold_then_done_then_ok(declared: Host, points: list[str]) -> None:
    foretold, done, again = _check_do_again(declared, declared.restore_point(point=points[0], state="absent"))

    assert [result.changed for result in (foretold, done, again)] == [True, True, False]
    assert foretold.values["point"] == done.values["point"]
    assert done.values["pruned"] == foretold.values["pruned"] == [{"id": points[0], "seq": 1, "reason": "asked for"}]
    assert (again.values["point"], again.values["pruned"]) == (None, [])
    assert _listed(declared) == [(points[1], False)]
    assert not declared.do(declared.restore(point=points[1])).failed


def test_a_point_that_is_there_is_present_and_nothing_is_touched(untouched: Host) -> None:
    before = untouched.seen()
    result = untouched.do(untouched.restore_point())

    assert not result.changed
    assert result.values["point"].keys() >= {"id", "seq", "pool", "complete", "bytes", "protected"}
    assert untouched.seen() == before


def test_the_next_backup_lets_no_protected_point_go(declared: Host, points: list[str]) -> None:
    declared.do(declared.restore_point(point=points[0], protected=True))
    newest = declared.do(declared.backup(force=True, retention={"last": 2})).values["point"]

    assert newest["pool"] == "s02"
    assert _listed(declared) == [(points[0], True), (newest["id"], False)]


# -- refusals


def test_a_job_that_never_was(untouched: Host) -> None:
    task = untouched.restore_point(job="mail")

    refusal(untouched, task, "usage", "'mail'", repr(CLIENT), repr(DESTINATION))


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_only_point(untouched: Host, *, check_mode: bool) -> None:
    point = untouched.do(untouched.restore_point()).values["point"]["id"]
    task = untouched.restore_point(point=point, state="absent")

    refusal(untouched, task.in_check_mode() if check_mode else task, "usage", point, repr(JOB), "force: true")


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_point_that_is_not_there_is_not_protected(untouched: Host, *, check_mode: bool) -> None:
    task = untouched.restore_point(point=NOBODY, protected=True)

    refusal(untouched, task.in_check_mode() if check_mode else task, "usage", repr(JOB), repr(NOBODY))


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("point", ["", "Latest", "42", "2026-11-22", "../x", "*"])
def test_a_point_that_is_no_id(untouched: Host, state: str, point: str) -> None:
    refusal(untouched, untouched.restore_point(point=point, state=state), "usage", repr(point))


def test_the_latest_point_is_not_removed_by_that_name(untouched: Host) -> None:
    refusal(untouched, untouched.restore_point(state="absent", force=True), "usage", "latest", "id")


@pytest.mark.parametrize("protected", [True, False])
def test_what_is_to_be_absent_cannot_be_protected_or_not(untouched: Host, *, protected: bool) -> None:
    task = untouched.restore_point(point=NOBODY, state="absent", protected=protected)

    refusal(untouched, task, "usage", "protected")


def test_a_protected_point_is_not_removed(declared: Host, points: list[str]) -> None:
    declared.do(declared.restore_point(point=points[0], protected=True))
    task = declared.restore_point(point=points[0], state="absent", force=True)

    refusal(declared, task, "usage", points[0], repr(JOB), "protected: false")


def test_damage_stops_a_removal_and_is_named(declared: Host, points: list[str]) -> None:
    (manifest,) = declared.server.root.glob(f"clients/*/*/*/points/*/*{points[1]}.manifest.gz")
    manifest.write_bytes(manifest.read_bytes()[:-40])
    before = contents(declared.server.root)
    result = declared.call(declared.restore_point(point=points[0], state="absent"))

    assert_sentence(declared, result, "damage", manifest.name, points[0])
    assert contents(declared.server.root) == before
