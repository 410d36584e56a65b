# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job is judged by its newest good restore point, and each judgement says why."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import records as records_module
from ansible_collections.stowage.ftp_backup.plugins.module_utils.answers import IndexedPoint
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    LockedError,
    LoginError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.moments import UNDATED
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Problem
from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
from ansible_collections.stowage.ftp_backup.plugins.module_utils.records import (
    SENT_KEPT,
    BackupRecord,
    JobRecords,
    RestoreRecord,
    VerificationRecord,
    note_restore,
    noted_backup,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
    Host,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.standing import (
    Expected,
    Failure,
    Wish,
    judge,
    last_failure,
    list_standings,
)

if t.TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
GOOD = IndexedPoint(
    id=1,
    client="web01",
    job="etc",
    structure="incremental",
    seq=7,
    run="20261126t030000z-1f9c2a",
    pool="s01",
    created=NOW - timedelta(hours=9),
    is_complete=True,
    is_protected=False,
    is_damaged=False,
    entries=10,
    size=1000,
    stored_size=500,
    problem_count=0,
    problems=(),
    job_id=1,
    generation=1,
)
PARTIAL = replace(
    GOOD, id=2, seq=8, is_complete=False, problem_count=3, problems=(Problem("/etc/shadow", "Permission denied"),)
)
DAMAGED = replace(GOOD, id=3, seq=8, is_damaged=True)
VERIFIED = VerificationRecord("2026-11-26T11:00:00Z", 100, 7, 800, 10**9, 0, 0)


@pytest.mark.parametrize(
    ("newest", "sound", "state", "reason"),
    [
        (GOOD, GOOD, "fresh", "The newest complete restore point is 9 h old, within its limit of 24 h."),
        (None, None, "never", "There is no restore point yet."),
        (
            *(replace(GOOD, created=NOW - 3 * DAY),) * 2,
            *("overdue", "The newest complete restore point is 3 d old, and 24 h is the limit."),
        ),
        (
            *(PARTIAL, GOOD, "partial"),
            "A later restore point is partial, with 3 problems, the first: /etc/shadow (Permission denied).",
        ),
        (DAMAGED, GOOD, "damaged", "A later restore point is damaged."),
        (
            *(DAMAGED, replace(GOOD, created=NOW - 3 * DAY), "overdue"),
            "The newest complete restore point is 3 d old, and 24 h is the limit. A later restore point is damaged.",
        ),
        (DAMAGED, None, "damaged", "No restore point is complete and whole; the newest is damaged."),
        (
            *(replace(PARTIAL, problems=()), None, "partial"),
            "No restore point is complete and whole; the newest is partial, with 3 problems.",
        ),
        (
            *(replace(GOOD, created=UNDATED),) * 2,
            *("unknown", "What cPanel has made tells no date, so nobody knows how old it is."),
        ),
        (
            *(replace(GOOD, created=NOW + DAY),) * 2,
            "unknown",
            "The newest restore point is of 2026-11-27T12:00:00Z, which is yet to come: a clock is wrong.",
        ),
    ],
)
def test_the_judgement_says_why(
    newest: IndexedPoint | None, sound: IndexedPoint | None, state: str, reason: str
) -> None:
    judgement = judge(newest, sound, VERIFIED, DAY, NOW)

    assert (judgement.state, judgement.reason) == (state, reason)


@pytest.mark.parametrize(
    ("created", "doubt"),
    [
        (UNDATED, "What cPanel has made tells no date, so nobody knows how old it is."),
        (NOW + DAY, "The newest restore point is of 2026-11-27T12:00:00Z, which is yet to come: a clock is wrong."),
    ],
)
def test_where_no_age_is_known_what_is_wrong_is_told_all_the_same(created: datetime, doubt: str) -> None:
    sound, found = replace(GOOD, created=created), replace(VERIFIED, damaged_files=2, message="Damaged is s01/x.")

    damaged = judge(DAMAGED, sound, None, DAY, NOW)
    verified = judge(sound, sound, found, DAY, NOW)
    partial = judge(PARTIAL, sound, None, DAY, NOW)

    assert (damaged.state, damaged.reason) == ("damaged", f"{doubt} A later restore point is damaged.")
    assert verified.state == "damaged"
    assert verified.reason == f"{doubt} The verification of 2026-11-26T11:00:00Z found damage. Damaged is s01/x."
    assert (partial.state, partial.reason.startswith(f"{doubt} A later restore point is partial")) == ("unknown", True)


def test_the_limit_is_still_young_enough() -> None:
    point = replace(GOOD, created=NOW - DAY)

    assert judge(point, point, None, DAY, NOW).state == "fresh"
    assert judge(point, point, None, DAY - timedelta(seconds=1), NOW).state == "overdue"


def test_what_a_verification_found_counts_until_there_is_a_newer_good_restore_point() -> None:
    found = replace(VERIFIED, damaged_files=2, message="Damaged is s01/x.")

    judgement = judge(GOOD, GOOD, found, DAY, NOW)
    healed = replace(GOOD, created=NOW - timedelta(minutes=30))

    assert judgement.state == "damaged"
    assert judgement.reason == "The verification of 2026-11-26T11:00:00Z found damage. Damaged is s01/x."
    assert judge(healed, healed, found, DAY, NOW).state == "fresh"


# -- why the last run failed


def test_a_failure_lasts_until_a_run_goes_well() -> None:
    failed = BackupRecord("2026-11-26T03:00:00Z", "login", "No.", last_success="2026-11-25T03:00:00Z")

    assert last_failure(failed, None) == Failure("2026-11-26T03:00:00Z", "No.", "login")
    assert last_failure(BackupRecord("2026-11-26T03:00:00Z", last_success="2026-11-26T03:00:00Z"), None) is None
    assert last_failure(None, None) is None


def test_the_later_one_of_two_failures_is_told_and_none_that_came_before_a_success() -> None:
    scheduled = Failure("2026-11-26T04:00:00Z", "It was killed.")
    record = BackupRecord("2026-11-26T03:00:00Z", "login", "No.", last_success=None)

    assert last_failure(record, scheduled) == scheduled
    assert last_failure(replace(record, last_success="2026-11-26T05:00:00Z", message=None), scheduled) is None


# -- the records


def _at(moment: datetime) -> t.Callable[[], datetime]:
    return lambda: moment


def _made(run: str, sent: int) -> Outcome:
    return Outcome(changed=True, values={"point": {"id": run}, "bytes_sent": sent})


def test_it_is_recorded_how_a_backup_ends_and_what_it_has_sent(tmp_path: Path) -> None:
    records = JobRecords(tmp_path / "job")

    with noted_backup(records, _at(NOW), check_mode=False) as note:
        note.tell(_made("20261126t030000z-1f9c2a", 77))
    with pytest.raises(LoginError), noted_backup(records, _at(NOW + DAY), check_mode=False):
        raise LoginError("The server lets nobody in.")

    assert records.backup() == BackupRecord(
        *("2026-11-27T12:00:00Z", "login", "The server lets nobody in.", "2026-11-26T12:00:00Z"),
        sent={"20261126t030000z-1f9c2a": 77},
    )


def test_a_run_that_changes_nothing_is_recorded_only_after_a_failure(tmp_path: Path) -> None:
    records = JobRecords(tmp_path)
    nothing = Outcome(changed=False, values={"point": {"id": "x"}, "bytes_sent": 0})

    for moment, message in ((NOW, None), (NOW + DAY, None), (NOW + 2 * DAY, "No."), (NOW + 3 * DAY, None)):
        if message:
            with pytest.raises(LoginError), noted_backup(records, _at(moment), check_mode=False):
                raise LoginError(message)
        else:
            with noted_backup(records, _at(moment), check_mode=False) as note:
                note.tell(nothing)
        if moment == NOW + DAY:
            assert records.backup() == BackupRecord("2026-11-26T12:00:00Z", last_success="2026-11-27T12:00:00Z")

    assert records.backup() == BackupRecord("2026-11-29T12:00:00Z", last_success="2026-11-29T12:00:00Z")


def test_a_run_that_changes_nothing_ends_an_older_failure_and_writes_nothing(tmp_path: Path) -> None:
    records = JobRecords(tmp_path)
    written = []
    for moment in (NOW, NOW + 2 * DAY):
        with noted_backup(records, _at(moment), check_mode=False) as note:
            note.tell(Outcome(changed=False, values={"point": {"id": "x"}, "bytes_sent": 0}))
        written.append([path.read_bytes() for path in tmp_path.glob("*.json")])

    assert written[0] == written[1] != []
    assert last_failure(records.backup(), Failure("2026-11-27T12:00:00Z", "It was killed.")) is None
    assert last_failure(records.backup(), Failure("2026-11-28T12:00:01Z", "It was killed.")) is not None


def test_a_run_that_finds_another_one_at_work_records_nothing(tmp_path: Path) -> None:
    records = JobRecords(tmp_path / "job")

    with pytest.raises(LockedError), noted_backup(records, _at(NOW), check_mode=False) as note, note.void_if_locked():
        raise LockedError("The job is already being backed up on this host.")
    assert records.backup() is None

    with pytest.raises(LockedError), noted_backup(records, _at(NOW), check_mode=False):
        raise LockedError("Another host is at work on the job.")
    assert records.backup() == BackupRecord("2026-11-26T12:00:00Z", "locked", "Another host is at work on the job.")


def test_records_are_changed_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "_PATIENCE", 0.0)
    records = JobRecords(tmp_path)

    with records.alone(), noted_backup(records, _at(NOW), check_mode=False) as note:
        note.tell(_made("20261126t030000z-1f9c2a", 77))

    assert records.backup() is None


def test_records_are_those_of_the_place_where_the_destination_is(tmp_path: Path) -> None:
    record = BackupRecord("2026-11-26T03:00:00Z", "login", "The old server lets nobody in.")
    here, there = (Destination("NAS", host=name, username="web01") for name in ("old.example.com", "new.example.com"))
    DestinationState(tmp_path / "var", "NAS", here.place).records("web01", "etc").keep(record)
    wish = Wish(DAY, expected=(Expected("NAS", "etc"),))

    FileRegistry(tmp_path / "etc").put(here)
    (before,) = _told(tmp_path, wish)["jobs"]
    FileRegistry(tmp_path / "etc").put(there)
    (after,) = _told(tmp_path, wish)["jobs"]

    assert before["last_failure"]["msg"] == "The old server lets nobody in."
    assert after["last_failure"] is None


def test_only_the_newest_runs_are_remembered(tmp_path: Path) -> None:
    records = JobRecords(tmp_path)

    for number in range(SENT_KEPT + 3):
        with noted_backup(records, _at(NOW), check_mode=False) as note:
            note.tell(_made(f"20261126t0300{number:02}z-1f9c2a", 1))

    found = records.backup()
    assert found is not None
    assert min(found.sent) == "20261126t030003z-1f9c2a"
    assert len(found.sent) == SENT_KEPT


def test_check_mode_records_nothing(tmp_path: Path) -> None:
    records = JobRecords(tmp_path / "job")
    restored = Outcome(
        changed=True, values={"point": {"id": "x", "created": None}, "restored": {"files": 1}, "bytes": 1}
    )

    with noted_backup(records, _at(NOW), check_mode=True) as note:
        note.tell(_made("20261126t030000z-1f9c2a", 77))
    note_restore(records, _at(NOW), restored, is_whole=True, check_mode=True)

    assert not list(tmp_path.iterdir())


def test_a_restore_is_recorded_only_if_it_has_brought_something_back(tmp_path: Path) -> None:
    records = JobRecords(tmp_path)
    values = {"point": {"id": "x", "created": None}, "restored": {"files": 0, "deleted": 3}, "bytes": 0}

    note_restore(records, _at(NOW), Outcome(changed=True, values=values), is_whole=True, check_mode=False)
    assert records.restore() is None

    values = {**values, "restored": {"files": 2, "directories": 1, "deleted": 3}, "bytes": 9}
    note_restore(records, _at(NOW), Outcome(changed=True, values=values), is_whole=False, check_mode=False)
    assert records.restore() == RestoreRecord("2026-11-26T12:00:00Z", "x", None, 3, 9, is_whole=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "ended": "2026-11-26T12:00:00Z"}',
        '{"version": 1}',
        '{"version": 1, "ended": "yesterday"}',
        '{"version": 1, "ended": "2026-11-26T12:00:00Z", "message": 5}',
        '{"version": 1, "ended": "2026-11-26T12:00:00Z", "sent": {"x": "much"}}',
        '{"version": 1, "ended": "2026-11-26T12:00:00Z", "unheard": 1}',
        "[" * 200_000,
    ],
)
def test_a_record_that_nobody_wrote_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "backup.json").write_text(text)

    assert JobRecords(tmp_path).backup() is None


# -- what is asked for


def _told(home: Path, wish: Wish) -> dict[str, t.Any]:
    host = Host(home / "etc", home / "var", now=_at(NOW), name=lambda: "web01")
    return list_standings(FileRegistry(home / "etc"), host, wish).values


def test_an_expected_job_on_a_destination_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    told = _told(tmp_path, Wish(DAY, expected=(Expected("NAS", "etc", max_age=2 * DAY, failure=Failure("x", "No.")),)))

    (job,) = told["jobs"]
    assert (told["time"], told["client"]) == ("2026-11-26T12:00:00Z", "web01")
    assert told["destinations"][0]["failure"]["kind"] == "usage"
    assert (job["state"], job["reason"]) == (
        "unknown",
        "There is no destination 'NAS' on this host; declared are: none.",
    )
    assert (job["client"], job["job"], job["account"], job["max_age"]) == ("web01", "etc", None, 172800)
    assert job["last_failure"]["msg"] == "No."


def test_a_job_that_is_expected_twice_is_one_and_the_later_word_counts(tmp_path: Path) -> None:
    expected = (
        Expected("NAS", "etc", max_age=DAY, failure=Failure("x", "No.")),
        Expected("NAS", "etc", client="web01", max_age=3 * DAY),
    )

    (job,) = _told(tmp_path, Wish(DAY, expected=expected))["jobs"]

    assert (job["max_age"], job["last_failure"]["msg"]) == (3 * 86400, "No.")


def test_jobs_of_this_host_are_not_those_of_another_client(tmp_path: Path) -> None:
    ours, theirs, named = (
        Expected("NAS", "etc", failure=Failure("x", "No.")),
        Expected("NAS", "mail", client="web02"),
        Expected("NAS", "named", is_named=True),
    )

    told = _told(tmp_path, Wish(DAY, client="web02", expected=(ours, theirs, named)))
    first = _told(tmp_path, Wish(DAY, expected=(ours, theirs, named)))

    assert [(job["client"], job["job"]) for job in told["jobs"]] == [("web01", "named"), ("web02", "mail")]
    assert [(job["client"], job["job"]) for job in first["jobs"]] == [
        *(("web01", "etc"), ("web01", "named")),
        ("web02", "mail"),
    ]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish(DAY, all_clients=True, client="web01"), "With all_clients the jobs of all clients are meant"),
        (Wish(DAY, points=0), "points is 0, and must be from 1 to 1000"),
        (Wish(DAY, destination="NAS"), "There is no destination 'NAS' on this host"),
        (Wish(DAY, expected=(Expected("NAS", None),)), "either a job or an account is meant"),
    ],
)
def test_what_makes_no_sense_is_refused(wish: Wish, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        _told(tmp_path, wish)
