# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus is told of a run."""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.metrics import text_of, write_metrics
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.runs import Point, Run
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError
from tests.agent.exposition import parse

if t.TYPE_CHECKING:
    from pathlib import Path

POINT = Point(created=1_795_316_400.0, is_complete=True, size=734003200, entries=18211, problems=0)
RUN = Run(
    kind="backup",
    name="web sites",
    slug="web-sites-ec76b858",
    started=1_795_316_400.0,
    ended=1_795_316_403.25,
    exit_code=0,
    message="made",
    destination="Provider storage",
    job="web sites",
    sent=1048576,
    last_success=1_795_316_403.25,
    point=POINT,
)


def test_all_there_is_to_tell_of_a_backup_is_told() -> None:
    samples = parse(text_of(RUN))

    assert {name: sample.value for name, sample in samples.items()} == {
        "ftp_backup_last_run_timestamp_seconds": 1_795_316_403.25,
        "ftp_backup_last_run_success": 1,
        "ftp_backup_last_success_timestamp_seconds": 1_795_316_403.25,
        "ftp_backup_last_run_duration_seconds": 3.25,
        "ftp_backup_restore_point_created_timestamp_seconds": 1_795_316_400,
        "ftp_backup_restore_point_complete": 1,
        "ftp_backup_restore_point_bytes": 734003200,
        "ftp_backup_restore_point_entries": 18211,
        "ftp_backup_problems": 0,
        "ftp_backup_sent_bytes": 1048576,
    }
    labels = {"kind": "backup", "name": "web sites", "destination": "Provider storage", "job": "web sites"}
    assert all(sample.labels == labels for sample in samples.values())


def test_a_failure_keeps_when_all_was_well_last() -> None:
    samples = parse(text_of(replace(RUN, ended=RUN.started + 86400, exit_code=5)))

    assert samples["ftp_backup_last_run_success"].value == 0
    assert samples["ftp_backup_last_success_timestamp_seconds"].value == RUN.last_success


def test_a_partial_restore_point_is_a_success_that_is_not_complete() -> None:
    samples = parse(text_of(replace(RUN, exit_code=3, point=replace(POINT, is_complete=False, problems=21))))

    assert samples["ftp_backup_last_run_success"].value == 1
    assert samples["ftp_backup_restore_point_complete"].value == 0
    assert samples["ftp_backup_problems"].value == 21


def test_what_never_went_well_has_no_moment_when_it_did() -> None:
    samples = parse(text_of(replace(RUN, exit_code=1, last_success=None, point=None)))

    assert "ftp_backup_last_success_timestamp_seconds" not in samples
    assert "ftp_backup_restore_point_bytes" not in samples


def test_a_reindex_has_no_job() -> None:
    samples = parse(text_of(Run("reindex", "offsite", "offsite-0", 1.0, ended=2.0, exit_code=0, destination="offsite")))

    assert samples["ftp_backup_last_run_success"].labels == {
        "kind": "reindex",
        "name": "offsite",
        "destination": "offsite",
    }
    assert "ftp_backup_sent_bytes" not in samples


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "\\n is no line break", "gr\u00fcn", '{a="b"}', "# HELP"])
def test_any_name_survives(name: str) -> None:
    samples = parse(text_of(replace(RUN, name=name)))

    assert {sample.labels["name"] for sample in samples.values()} == {name}


def test_the_file_can_be_read_by_the_collector_and_nothing_else_is_left(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_metrics(tmp_path, RUN)
        write_metrics(tmp_path, RUN)
    finally:
        os.umask(before)

    (path,) = tmp_path.iterdir()
    assert path.name == "ftp_backup_backup_web-sites-ec76b858.prom"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_text(encoding="utf-8") == text_of(RUN)


def planted(tmp_path: Path) -> tuple[Path, Path]:
    """Return where the metrics are, and the name aside of them that could be known."""
    directory = tmp_path / "metrics"
    directory.mkdir()
    return directory, directory / f".ftp_backup_backup_{RUN.slug}.prom.{os.getpid()}"


def test_a_link_that_somebody_has_planted_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    directory, aside = planted(tmp_path)
    aside.symlink_to(victim)

    write_metrics(directory, RUN)

    assert victim.read_text(encoding="utf-8") == "precious"


def test_a_pipe_that_somebody_has_planted_holds_up_nothing(tmp_path: Path) -> None:
    directory, aside = planted(tmp_path)
    os.mkfifo(aside)

    write_metrics(directory, RUN)

    assert (directory / f"ftp_backup_backup_{RUN.slug}.prom").read_text(encoding="utf-8") == text_of(RUN)


def test_what_killed_runs_have_left_goes_and_what_cannot_go_is_no_obstacle(tmp_path: Path) -> None:
    name = f"ftp_backup_backup_{RUN.slug}.prom"
    (tmp_path / f".{name}.0123.tmp").touch()
    (tmp_path / f".{name}.planted.tmp").mkdir()

    write_metrics(tmp_path, RUN)

    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{name}.planted.tmp", name]


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="No such file or directory"):
        write_metrics(tmp_path / "none", RUN)
