# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a run, as an exit code and a sentence."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import errors
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent import results
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.pool import Reports
from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome

POINT = {
    "id": "20261122t030000z-1f9c2a",
    "created": "2026-11-22T03:00:00Z",
    "complete": True,
    "entries": 18211,
    "bytes": 734003200,
    "problems": [],
}
RESTORED = {"files": 18, "directories": 3, "links": 0, "others": 1, "databases": 0, "deleted": 0}


def backup_outcome(*, changed: bool = True, pruned: int = 0, **point: object) -> Outcome:
    moved = {"bytes_sent": 1048576, "duration": 3.2}
    return Outcome(changed, {**moved, "point": {**POINT, **point}, "pruned": [{}] * pruned})


def restore_outcome(*warnings: str, changed: bool = True, complete: bool = True, **restored: int) -> Outcome:
    point = {**POINT, "complete": complete}
    values = {"point": point, "restored": {**RESTORED, **restored}, "bytes": 734003200, "bytes_received": 294912000}
    return Outcome(changed, values, warnings=warnings)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BackupError("x"), 1),
        (errors.LocalError("x"), 1),
        (errors.LoginError("x"), 1),
        (errors.TrustError("x"), 1),
        (errors.SpaceError("x"), 1),
        (errors.DamageError("x"), 1),
        (errors.PartialError("x", backup_outcome()), 1),
        (errors.UsageError("x"), 2),
        (errors.LockedError("x"), 4),
        (errors.UnreachableError("x"), 5),
        (errors.BusyError("x"), 5),
        (errors.InterruptedTransferError("x"), 5),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: errors.BackupError, code: int) -> None:
    assert results.of_error(error).exit_code == code
    assert results.of_error(error).is_failure


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 4], 4), ([4, 5], 5), ([5, 2], 2), ([2, 1, 0], 1)],
)
def test_of_several_runs_the_worst_decides(codes: list[int], code: int) -> None:
    assert results.worst(codes) == code


def told(outcome: Outcome, **options: bool) -> results.Result:
    return results.of_backup("web sites", outcome, lambda _created: 30_600.0, **{"check_mode": False, **options})


def test_a_backup_says_what_it_made() -> None:
    result = told(backup_outcome(pruned=1))

    assert result.exit_code == 0
    assert result.summary == (
        "web sites: restore point 20261122t030000z-1f9c2a made in 3.2 s: 18,211 entries with 700.0 MiB, 1.0 MiB sent;"
        " 1 older one removed."
    )


def test_a_backup_that_was_not_needed_says_why() -> None:
    result = told(backup_outcome(changed=False))

    assert result.summary == "web sites: nothing to do, 20261122t030000z-1f9c2a is 8 h old."


def test_a_partial_restore_point_is_no_failure_and_not_all_is_well() -> None:
    result = told(backup_outcome(complete=False))

    assert result.exit_code == 3
    assert not result.is_failure
    assert "partial restore point" in result.summary


def test_check_mode_speaks_of_what_would_be() -> None:
    assert told(backup_outcome(pruned=2), check_mode=True).summary == (
        "web sites: a restore point would be made: 18,211 entries with 700.0 MiB, of which up to 1.0 MiB to send;"
        " 2 older ones would go."
    )


def test_a_restore_says_what_came_back() -> None:
    result = results.of_restore(restore_outcome(deleted=2), check_mode=False)

    assert result.exit_code == 0
    assert result.summary == (
        "Restored from 20261122t030000z-1f9c2a of 2026-11-22T03:00:00Z: 18 files, 3 directories, 1 other thing;"
        " 2 extra things deleted; 700.0 MiB, 281.2 MiB received."
    )


def test_a_restore_that_was_warned_about_lacks_something() -> None:
    assert results.of_restore(restore_outcome("Links were skipped."), check_mode=False).exit_code == 3
    assert results.of_restore(restore_outcome(complete=False), check_mode=False).exit_code == 3


def test_trouble_on_the_way_to_the_server_costs_a_restore_nothing() -> None:
    reports = Reports()
    reports.failed, reports.last_failure = 2, "it broke"
    reports.cap, reports.busy_answer = 1, "421 busy"
    sentences = reports.sentences(4)

    assert len(sentences) == 2
    assert results.of_restore(restore_outcome(*sentences), check_mode=False).exit_code == 0


def test_a_reindex_counts_accounts_where_cpanel_made_the_backups() -> None:
    values: dict[str, t.Any] = {
        "new": 2,
        "updated": 0,
        "gone": 1,
        "unreadable": [],
        "job_count": 1,
        "point_count": 7,
        "ignored": [],
    }

    result = results.of_reindex("cPanel", Outcome(changed=True, values=values), check_mode=False)

    assert result.summary == "cPanel: 7 restore points of 1 account: 2 new, 0 updated, 1 gone."


def test_a_reindex_that_could_not_read_everything_says_so() -> None:
    values: dict[str, t.Any] = {
        "new": 0,
        "updated": 0,
        "gone": 0,
        "unreadable": ["x"],
        "job_count": 2,
        "point_count": 7,
    }

    result = results.of_reindex("offsite", Outcome(changed=False, values=values, warnings=("x",)), check_mode=False)

    assert result.exit_code == 3
    assert result.summary.endswith("0 gone, 1 damaged.")


def test_damage_that_is_only_to_be_warned_about_is_told_and_no_failure() -> None:
    verified = {"manifests": 1, "volumes": 2, "bytes": 1024, "volumes_left": 3}
    outcome = Outcome(
        changed=True, values={"verified": verified, "whole": False, "damaged_files": [{}], "damaged_file_count": 1}
    )

    result = results.of_verify("nightly", outcome)

    assert result.exit_code == 3
    assert result.summary == "nightly: 1 file is damaged, 1 manifest and 2 volumes with 1.0 KiB read, 3 volumes left."
