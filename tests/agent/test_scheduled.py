# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What timers run: the run itself, and who is told of it afterwards."""

from __future__ import annotations

import contextlib
import json
import signal
import stat
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.runs import Run, Runs
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.names import slug
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import locked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import DestinationState

from .exposition import parse
from .hosts import CLIENT, DESTINATION, JOB
from .services import SECRET, Caught, serving

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .exposition import Sample
    from .hosts import Host
    from .services import Service


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


@pytest.fixture
def metrics(host: Host) -> Path:
    directory = host.home / "metrics"
    directory.mkdir()
    return directory


@pytest.fixture
def hook(host: Host) -> Path:
    """What the hook has written down: its four variables."""
    told = host.home / "told"
    names = "UNIT KIND NAME MESSAGE"
    command = f"for name in {names}; do printenv FTP_BACKUP_$name; done > '{told}'"
    host.settings(on_failure=command)
    return told


def slug_of(path: Path) -> str:
    return path.stem


def samples(directory: Path) -> dict[str, Sample]:
    (path,) = directory.iterdir()
    return parse(path.read_text(encoding="utf-8"))


def broken(host: Host) -> None:
    """Have the job back up what is not there."""
    host.job(paths=[str(host.home / "gone")])


@contextlib.contextmanager
def at_work(host: Host) -> Iterator[None]:
    """Have somebody else work at the job until the block ends."""
    destination = host.registry.get(DESTINATION)
    assert destination is not None
    state = DestinationState(host.state, destination.name, destination.place).job(CLIENT, JOB)
    with locked(state.directory / "lock", "in a test"):
        yield


# -- the run


def test_a_timer_s_backup_does_what_a_person_s_does(host: Host) -> None:
    said = host.do("scheduled", "backup", slug_of(host.job()))

    assert said.line.startswith("web sites: restore point ")


def test_a_timer_s_backup_is_not_made_where_there_is_a_fresh_one_unless_the_job_says_so(host: Host) -> None:
    host.do("backup", JOB)

    assert "nothing to do" in host.do("scheduled", "backup", JOB).line
    host.job(force=True)
    assert " made in " in host.do("scheduled", "backup", JOB).line


def test_a_timer_s_reindex_is_one(host: Host) -> None:
    said = host.do("scheduled", "reindex", slug_of(host.reindexing()))

    assert said.line == "Provider storage: 0 restore points of 0 jobs: 0 new, 0 updated, 0 gone."


def test_a_destination_without_a_schedule_is_wrong_usage(host: Host) -> None:
    said = host.call("scheduled", "reindex", DESTINATION)

    assert said.code == 2
    assert said.error == "There is no destination with a schedule 'Provider storage' on this host; there are: none."


def test_a_failure_has_the_exit_code_of_the_run(host: Host) -> None:
    broken(host)

    said = host.call("scheduled", "backup", JOB)

    assert said.code == 2
    assert said.error.startswith("web sites: The path ")


# -- what is remembered


def test_how_a_run_ended_is_remembered_for_its_owner_only(host: Host) -> None:
    host.do("scheduled", "backup", JOB)

    path = Runs(host.state).path("backup", slug(JOB))
    run = Runs(host.state).last("backup", slug(JOB))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run is not None
    assert run.exit_code == 0
    assert run.message.startswith("web sites: restore point ")
    assert run.last_success == run.ended
    assert run.point is not None
    assert run.point.entries == 5


def test_a_failure_keeps_the_last_success_and_is_shown_in_the_list(host: Host) -> None:
    host.do("scheduled", "backup", JOB)
    good = Runs(host.state).last("backup", slug(JOB))
    broken(host)
    host.call("scheduled", "backup", JOB)

    run = Runs(host.state).last("backup", slug(JOB))

    assert good is not None
    assert run is not None
    assert run.is_failure
    assert (run.last_success, run.point) == (good.last_success, good.point)
    assert "; the last scheduled run failed: The path " in host.do("list").out


def test_what_is_remembered_may_be_nonsense(host: Host) -> None:
    path = Runs(host.state).path("backup", slug(JOB))
    path.parent.mkdir(parents=True)
    for nonsense in ("[]", "{", '{"version": 1}', '{"version": 9, "point": null}', '{"version": 1, "point": 3}'):
        path.write_text(nonsense, encoding="utf-8")
        assert Runs(host.state).last("backup", slug(JOB)) is None

    host.do("scheduled", "backup", JOB)

    assert Runs(host.state).last("backup", slug(JOB)) is not None


# -- metrics


def test_a_success_is_told_to_prometheus(host: Host, metrics: Path) -> None:
    host.settings(metrics_directory=str(metrics))

    host.do("scheduled", "backup", JOB)

    told = samples(metrics)
    assert told["ftp_backup_last_run_success"].value == 1
    assert told["ftp_backup_restore_point_complete"].value == 1
    assert told["ftp_backup_restore_point_entries"].value == 5
    assert told["ftp_backup_sent_bytes"].value > 100_000
    assert told["ftp_backup_last_run_success"].labels == {
        "kind": "backup",
        "name": JOB,
        "destination": DESTINATION,
        "job": JOB,
    }


def test_a_failure_is_told_to_prometheus_with_the_last_success(host: Host, metrics: Path) -> None:
    host.settings(metrics_directory=str(metrics))
    host.do("scheduled", "backup", JOB)
    before = samples(metrics)
    broken(host)

    host.call("scheduled", "backup", JOB)

    told = samples(metrics)
    assert told["ftp_backup_last_run_success"].value == 0
    name = "ftp_backup_last_success_timestamp_seconds"
    assert told[name] == before[name]
    assert told["ftp_backup_restore_point_bytes"] == before["ftp_backup_restore_point_bytes"]


def test_a_corrupt_job_file_is_told_to_prometheus(host: Host, metrics: Path) -> None:
    host.settings(metrics_directory=str(metrics))
    path = host.job()
    path.write_text("{", encoding="utf-8")

    said = host.call("scheduled", "backup", path.stem)

    assert said.code == 1
    assert str(path) in said.error
    assert samples(metrics)["ftp_backup_last_run_success"].value == 0


def test_a_job_file_that_was_corrupted_keeps_what_is_known_of_the_job(host: Host, metrics: Path, hook: Path) -> None:
    settings = json.loads((host.config / "agent.json").read_text(encoding="utf-8"))
    host.settings(**{**settings, "metrics_directory": str(metrics)})
    host.do("scheduled", "backup", JOB)
    before = samples(metrics)
    path = host.job()
    path.write_text("{", encoding="utf-8")

    host.call("scheduled", "backup", path.stem)
    host.do("failed", f"ftp-backup-backup@{path.stem}.service")

    told = samples(metrics)
    assert told["ftp_backup_last_run_success"] == (0, before["ftp_backup_last_run_success"].labels)
    assert told["ftp_backup_last_success_timestamp_seconds"] == before["ftp_backup_last_success_timestamp_seconds"]
    assert hook.read_text(encoding="utf-8").splitlines()[2] == JOB


def test_metrics_that_cannot_be_written_are_told_and_change_nothing(host: Host) -> None:
    host.settings(metrics_directory=str(host.home / "none"))

    said = host.call("scheduled", "backup", JOB)

    assert said.code == 0
    assert said.error.startswith("Cannot write the metrics to ")


# -- pings


def test_a_success_is_told_by_a_ping(host: Host, service: Service) -> None:
    host.settings(ping_url=service.url())

    host.do("scheduled", "backup", JOB)

    assert service.calls == [Caught("GET", SECRET, "")]


def test_a_failure_is_told_by_a_ping_with_its_sentence(host: Host, service: Service) -> None:
    host.settings(ping_url=service.url())
    broken(host)

    host.call("scheduled", "backup", JOB)

    (call,) = service.calls
    assert (call.method, call.path) == ("POST", f"{SECRET}/fail")
    assert "cannot be backed up" in call.body


def test_a_job_may_have_a_ping_of_its_own(host: Host, service: Service) -> None:
    host.settings(ping_url=service.url("/all"))
    host.job(ping_url=service.url("/own"))
    host.reindexing(ping_url=service.url("/reindex"))

    host.do("scheduled", "backup", JOB)
    host.do("scheduled", "reindex", DESTINATION)

    assert [call.path for call in service.calls] == ["/own", "/reindex"]


def test_a_ping_that_fails_is_told_without_its_address_and_changes_nothing(host: Host, service: Service) -> None:
    service.status = 503
    host.settings(ping_url=service.url())

    said = host.call("scheduled", "backup", JOB)

    assert said.code == 0
    assert said.error == "The ping of 'web sites' failed: the answer was the status 503."


def test_a_person_s_backup_pings_nobody(host: Host, service: Service, metrics: Path) -> None:
    host.settings(ping_url=service.url(), metrics_directory=str(metrics))

    host.do("backup", JOB)

    assert service.calls == []
    assert list(metrics.iterdir()) == []


def test_settings_that_make_no_sense_are_told_and_the_backup_is_made(host: Host) -> None:
    path = host.settings(ping_timeout="soon")

    said = host.call("scheduled", "backup", JOB)

    assert said.code == 0
    assert said.error == f"The file {path} cannot be used: ping_timeout must be a number of seconds from 1 to 300."
    assert " made in " in said.line


def test_a_setting_that_makes_no_sense_leaves_metrics_and_ping_as_they_are(
    host: Host, service: Service, metrics: Path
) -> None:
    host.settings(ping_timeout=0, ping_url=service.url(), metrics_directory=str(metrics))

    said = host.call("scheduled", "backup", JOB)

    assert said.error.endswith("ping_timeout must be a number of seconds from 1 to 300.")
    assert service.calls == [Caught("GET", SECRET, "")]
    assert samples(metrics)["ftp_backup_last_run_success"].value == 1


def test_a_setting_that_makes_no_sense_leaves_the_hook_as_it_is(host: Host, hook: Path) -> None:
    settings = json.loads((host.config / "agent.json").read_text(encoding="utf-8"))
    host.settings(**{**settings, "ping_url": "hc.example/uuid"})
    broken(host)
    host.call("scheduled", "backup", JOB)

    host.call("failed", f"ftp-backup-backup@{slug(JOB)}.service")

    assert hook.read_text(encoding="utf-8").splitlines()[2] == JOB


# -- a job that is removed


def test_of_a_job_that_is_removed_while_it_runs_nothing_is_left(host: Host, metrics: Path, service: Service) -> None:
    host.settings(metrics_directory=str(metrics), ping_url=service.url())
    path = host.job(post_commands=[{"command": f"rm '{host.job()}'"}])

    said = host.call("scheduled", "backup", path.stem)

    assert said.code == 0
    assert not path.exists()
    assert Runs(host.state).last("backup", path.stem) is None
    assert list(metrics.iterdir()) == []
    assert service.calls == []


def test_a_timer_of_a_job_that_is_not_there_fails_and_leaves_nothing(host: Host, metrics: Path, hook: Path) -> None:
    settings = json.loads((host.config / "agent.json").read_text(encoding="utf-8"))
    host.settings(**{**settings, "metrics_directory": str(metrics)})
    path = host.job()
    path.unlink()

    said = host.call("scheduled", "backup", path.stem)
    host.do("failed", f"ftp-backup-backup@{path.stem}.service")

    assert said.code == 2
    assert list(metrics.iterdir()) == []
    assert Runs(host.state).last("backup", path.stem) is None
    assert hook.exists()


# -- another run at work


def test_a_run_that_finds_another_one_at_work_is_neither_a_failure_nor_a_success(
    host: Host, metrics: Path, service: Service
) -> None:
    host.settings(metrics_directory=str(metrics), ping_url=service.url())
    host.do("scheduled", "backup", JOB)
    host.job(force=True)
    before, run = samples(metrics), Runs(host.state).last("backup", slug(JOB))

    with at_work(host):
        said = host.call("scheduled", "backup", JOB)

    assert said.code == 4
    assert samples(metrics) == before
    assert Runs(host.state).last("backup", slug(JOB)) == run
    assert len(service.calls) == 1
    assert "failed" not in host.do("list").out


def test_the_first_run_that_finds_another_one_at_work_leaves_nothing(host: Host, metrics: Path) -> None:
    host.settings(metrics_directory=str(metrics))

    with at_work(host):
        said = host.call("scheduled", "backup", JOB)

    assert said.code == 4
    assert list(metrics.iterdir()) == []
    assert Runs(host.state).last("backup", slug(JOB)) is None


# -- the hook


@pytest.mark.parametrize("unit", ["ftp-backup-backup-SLUG.service", "ftp-backup-backup@SLUG.service", "backup-SLUG"])
def test_the_hook_learns_what_failed_and_why(host: Host, hook: Path, unit: str) -> None:
    broken(host)
    said = host.call("scheduled", "backup", JOB)
    named = unit.replace("SLUG", host.job().stem)

    host.do("failed", named)

    told = hook.read_text(encoding="utf-8").splitlines()
    assert told == [named, "backup", JOB, said.error.removeprefix("web sites: ")]


def test_the_hook_is_run_for_a_unit_that_nobody_remembers(host: Host, hook: Path) -> None:
    host.do("failed", "other.service")

    assert hook.read_text(encoding="utf-8").splitlines() == ["other.service", "", "", "The unit other.service failed."]


def test_the_hook_is_told_whose_unit_it_is_that_never_came_to_run(host: Host, hook: Path) -> None:
    job, reindexing = host.job().stem, host.reindexing().stem

    host.do("failed", f"ftp-backup-reindex@{reindexing}.service")
    assert hook.read_text(encoding="utf-8").splitlines()[1:3] == ["reindex", DESTINATION]
    host.do("failed", f"ftp-backup-backup@{job}.service")
    assert hook.read_text(encoding="utf-8").splitlines()[1:3] == ["backup", JOB]


@pytest.mark.parametrize("ran", [True, False])
def test_a_unit_that_failed_before_its_run_began_is_told_to_everybody(
    host: Host, hook: Path, metrics: Path, service: Service, *, ran: bool
) -> None:
    settings = json.loads((host.config / "agent.json").read_text(encoding="utf-8"))
    host.settings(**{**settings, "metrics_directory": str(metrics)})
    if ran:
        host.do("scheduled", "backup", JOB)
    unit = f"ftp-backup-backup@{host.job(ping_url=service.url()).stem}.service"

    host.do("failed", unit)

    message = f"The unit {unit} failed before its run began."
    assert hook.read_text(encoding="utf-8").splitlines() == [unit, "backup", JOB, message]
    assert service.calls == [Caught("POST", f"{SECRET}/fail", message)]
    told = samples(metrics)
    assert told["ftp_backup_last_run_success"].value == 0
    assert ("ftp_backup_last_success_timestamp_seconds" in told) is ran
    assert f"; the last scheduled run failed: {message}" in host.do("list").out


def test_a_start_that_failed_after_a_failure_of_before_is_told_as_itself(
    host: Host, hook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(host)
    unit = f"ftp-backup-backup@{slug(JOB)}.service"
    monkeypatch.setenv("INVOCATION_ID", "one")
    host.call("scheduled", "backup", JOB)

    monkeypatch.setenv("MONITOR_INVOCATION_ID", "one")
    host.do("failed", unit)
    assert "cannot be backed up" in hook.read_text(encoding="utf-8").splitlines()[-1]
    monkeypatch.setenv("MONITOR_INVOCATION_ID", "two")
    host.do("failed", unit)
    assert hook.read_text(encoding="utf-8").splitlines()[-1] == f"The unit {unit} failed before its run began."


def test_a_run_that_was_killed_is_told_to_everybody_by_the_hook(
    host: Host, hook: Path, metrics: Path, service: Service
) -> None:
    settings = json.loads((host.config / "agent.json").read_text(encoding="utf-8"))
    host.settings(**{**settings, "version": 1, "metrics_directory": str(metrics)})
    host.job(ping_url=service.url())
    Runs(host.state).keep(Run("backup", JOB, slug(JOB), started=1.0, destination=DESTINATION, job=JOB))

    host.do("failed", f"ftp-backup-backup-{host.job(ping_url=service.url()).stem}.service")

    message = "The run ended before it could tell why: it was killed, or the host went down."
    assert hook.read_text(encoding="utf-8").splitlines()[-1] == message
    assert samples(metrics)["ftp_backup_last_run_success"].value == 0
    assert service.calls == [Caught("POST", f"{SECRET}/fail", message)]


def test_a_run_of_a_timer_that_is_killed_in_the_middle_is_told_by_the_hook(host: Host, hook: Path) -> None:
    host.declare(bandwidth_limit=20_000)
    (host.source / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    host.job(compression="none")
    host.interrupt(signal.SIGKILL, "scheduled", "backup", JOB)

    host.do("failed", f"ftp-backup-backup@{slug(JOB)}.service")

    assert hook.read_text(encoding="utf-8").splitlines()[-1].startswith("The run ended before it could tell why")
    assert "; the last scheduled run failed: The run ended before" in host.do("list").out


def test_a_hook_that_fails_is_told_without_its_command(host: Host) -> None:
    host.settings(on_failure="echo no route to pager >&2; exit 7 # tr0ub4dor")

    said = host.call("failed", "x.service")

    assert said.code == 1
    assert said.error.startswith("The command on_failure ")
    assert "no route to pager" in said.error
    assert "tr0ub4dor" not in said.err


def test_without_a_hook_there_is_nothing_to_do(host: Host) -> None:
    assert host.do("failed", "x.service").out == ""


# -- what stops it


def test_a_timer_s_run_that_is_stopped_is_told_as_a_failure(host: Host, metrics: Path, service: Service) -> None:
    host.settings(metrics_directory=str(metrics), ping_url=service.url())
    host.declare(bandwidth_limit=20_000)
    (host.source / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    host.job(compression="none")

    said = host.interrupt(signal.SIGTERM, "scheduled", "backup", JOB)

    assert said.code == 143
    assert "Stopped by SIGTERM" in said.err
    assert samples(metrics)["ftp_backup_last_run_success"].value == 0
    assert [call.path for call in service.calls] == [f"{SECRET}/fail"]
    run = Runs(host.state).last("backup", slug(JOB))
    assert run is not None
    assert run.exit_code == 143


# -- secrets


def test_no_secret_is_ever_said(host: Host, service: Service, metrics: Path) -> None:
    secret = "tr0ub4dor"
    database = {"type": "mysql", "host": "127.0.0.1", "port": 1, "username": "u", "password": secret}
    host.settings(ping_url=service.url(), metrics_directory=str(metrics))
    host.job(databases=[database])
    host.job("typo", databases=[{**database, "ports": 1}])
    service.status = 500

    orders: list[tuple[str, ...]] = [
        ("list",),
        ("backup", "--all"),
        ("backup", "--all", "--json"),
        ("scheduled", "backup", JOB),
        ("check-job", str(host.job("typo", databases=[{**database, "ports": 1}]))),
        ("failed", "ftp-backup-backup@" + host.job(databases=[database]).stem),
    ]
    said = [host.call(*words) for words in orders]

    everything = "".join(one.out + one.err for one in said)
    assert secret not in everything
    assert SECRET not in everything
    assert host.server.password not in everything
    kept = [path.read_text("utf-8", "replace") for path in (*metrics.iterdir(), *(host.state / "agent").iterdir())]
    assert secret not in "".join(kept)
    assert SECRET not in "".join(kept)
