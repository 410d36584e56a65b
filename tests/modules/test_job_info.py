# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells of its jobs, from before the first backup to a failure, a verification and a restore."""

from __future__ import annotations

import json
import typing as t

import pytest

from .hosts import CLIENT, DESTINATION, JOB

if t.TYPE_CHECKING:
    from .hosts import Host

_EXPECTED = {"destination": DESTINATION, "client": CLIENT, "job": JOB, "max_age": "8d"}


def _only_job(host: Host, **changes: object) -> dict[str, t.Any]:
    (job,) = host.do(host.job_info(**changes)).values["jobs"]
    return t.cast("dict[str, t.Any]", job)


def test_a_job_from_before_its_first_backup_to_its_last_failure(declared: Host) -> None:
    host = declared

    unknown = _only_job(host, jobs=[_EXPECTED])
    made = host.do(host.backup()).values
    fresh = _only_job(host)
    failed = host.call(host.backup(paths=[str(host.source / "missing")]))
    after_failure = _only_job(host)
    host.do(host.verify())
    host.do(host.restore())
    proved = _only_job(host)
    host.do(host.backup())
    good_again = _only_job(host, jobs=[_EXPECTED])

    assert unknown["state"] == "unknown"
    assert "run reindex, or make a backup, first" in unknown["reason"]
    assert (fresh["state"], fresh["max_age"], fresh["point_count"]) == ("fresh", 129600, 1)
    assert [point["id"] for point in fresh["points"]] == [made["point"]["id"]]
    assert fresh["point"]["bytes_sent"] == made["bytes_sent"] > 0
    assert fresh["point"] == fresh["newest"] == fresh["points"][0]
    assert fresh["stored_bytes"] == fresh["point"]["stored_bytes"] > 0
    assert fresh["last_failure"] is fresh["last_verification"] is fresh["last_restore"] is None
    assert failed.failed
    assert (after_failure["state"], after_failure["last_failure"]["kind"]) == ("fresh", "usage")
    assert after_failure["last_failure"]["msg"] == failed.msg
    assert proved["last_verification"]["whole"] is True
    assert proved["last_verification"]["volumes"] > 0
    assert proved["last_restore"]["id"] == made["point"]["id"]
    assert proved["last_restore"]["whole"] is True
    assert proved["last_restore"]["bytes"] == made["point"]["bytes"]
    assert good_again["last_failure"] is None
    assert good_again["max_age"] == 8 * 86400


def test_what_is_expected_and_has_no_backup_is_told_beside_the_others(untouched: Host) -> None:
    told = untouched.do(untouched.job_info(jobs=[{**_EXPECTED, "job": "forgotten"}])).values

    assert {job["job"]: job["state"] for job in told["jobs"]} == {JOB: "fresh", "forgotten": "never"}
    assert [place["failure"] for place in told["destinations"]] == [None]
    assert told["client"] == CLIENT
    assert told["troubles"] == []


def test_jobs_of_other_clients_are_told_only_where_all_are_asked_for(untouched: Host) -> None:
    assert untouched.do(untouched.job_info(client="another")).values["jobs"] == []
    assert [
        job["client"] for job in untouched.do(untouched.job_info(client=None, all_clients=True)).values["jobs"]
    ] == [CLIENT]


def test_a_short_limit_makes_a_job_overdue(untouched: Host) -> None:
    assert _only_job(untouched, max_age="0s")["state"] == "overdue"


def test_a_damaged_declaration_is_told_and_hides_nothing(declared: Host) -> None:
    declared.do(declared.backup())
    damaged = declared.config / "destinations" / "other.json"
    damaged.write_text("{")
    declared.config.joinpath("jobs").mkdir()
    declared.config.joinpath("jobs", "x.json").write_text(json.dumps({"version": 1}))

    told = declared.do(declared.job_info()).values

    assert [job["state"] for job in told["jobs"]] == ["fresh"]
    assert {place["name"]: place["failure"] is None for place in told["destinations"]} == {
        DESTINATION: True,
        "other.json": False,
    }
    (problem,) = told["troubles"]
    assert "x.json is no job" in problem


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"destination": "elsewhere"}, "There is no destination 'elsewhere' on this host"),
        ({"max_age": "soon"}, "The max_age 'soon' cannot be read"),
        ({"points": 0}, "points is 0, and must be from 1 to 1000."),
        ({"all_clients": True}, "With all_clients the jobs of all clients are meant: give no client."),
    ],
)
def test_what_makes_no_sense_is_refused(untouched: Host, changes: dict[str, object], sentence: str) -> None:
    before = untouched.seen()

    result = untouched.call(untouched.job_info(**changes))

    assert result.failed
    assert sentence in result.msg
    assert untouched.seen() == before
