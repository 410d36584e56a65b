# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of ansible-playbook tells how far runs have come, and what goes wrong meanwhile does no harm."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import typing as t

import pytest

from tests.modules import running

from .fleet import RATE, backup, restore

if t.TYPE_CHECKING:
    from .fleet import Fleet

_LINE = re.compile(
    r"\[web0\d\] backup 'web sites': uploading \d+ %, [\d.]+ [KM]iB of 4\.8 MiB(, [\d.]+ [KM]iB/s, [\d.]+ s left)?"
    r": \S*/srv/\d+\.bin"
)
_LONG = 15 * RATE  # bytes: of a run that something happens to
_LASTING = 5 * RATE  # of a run that has a line or two


def test_each_host_is_told_of_and_the_results_are_those_of_a_run_that_nobody_watches(fleet: Fleet) -> None:
    for name in ("web01", "web02"):
        fleet.add(name, _LASTING)

    play = fleet.play(
        backup(),
        backup("another", progress=False),
        backup("third", task={"check_mode": True, "diff": True}),
        backup("third", task={"check_mode": True, "diff": True}, progress=False),
        backup("no/such", task={"ignore_errors": True}),
        backup("no/such", progress=False),
    )

    told = [line for line in play.lines if "backup 'web sites': uploading " in line]
    assert {line[:7] for line in told} == {"[web01]", "[web02]"}, play.out
    assert any(map(_LINE.fullmatch, told)), play.out
    watched, plain, foretold, plainly, failed, plainly_failed = (result.values for result in play.results[::2])
    assert _shape(watched) == _shape(plain)
    assert _shape(foretold) == _shape(plainly)
    assert foretold["changed"]
    assert failed["failure"] == {"kind": "usage"}
    assert _shape(failed) == _shape(plainly_failed)


def _shape(value: object) -> t.Any:  # noqa: ANN401 - a result can be anything
    """Return what *value* is made of, without what differs from run to run."""
    if isinstance(value, dict):
        is_of_points = any(re.match(r"\d{6} ", key) for key in value)
        return "points" if is_of_points else {key: _shape(value[key]) for key in value.keys() - {"progress"}}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return value if isinstance(value, bool) else type(value).__name__


def test_a_loop_names_its_item_and_a_secret_task_names_nothing(fleet: Fleet) -> None:
    fleet.add("web01", _LASTING)

    play = fleet.play(
        backup("{{ item.job }}", task={"loop": [{"job": "etc"}], "loop_control": {"label": "the first"}}),
        restore(job="etc", task={"no_log": True}),
    )

    assert any(line.startswith("[web01] backup 'etc' (the first): uploading ") for line in play.lines), play.out
    secret = [line for line in play.lines if "restore" in line]
    assert secret
    assert all(re.fullmatch(r"\[web01\] restore: restoring( \d+ %)?", line) for line in secret), secret


def test_with_async_or_without_progress_nothing_is_told(fleet: Fleet) -> None:
    fleet.add("web01", 3 * RATE)

    play = fleet.play(
        backup(task={"async": 60, "poll": 1}), backup("another", progress=False), arguments=["-c", "local"]
    )

    assert play.lines == []
    assert [result.changed for result in play.results] == [True, True]
    for path in fleet.background.iterdir():  # what Ansible itself leaves of an async task
        assert path.name.startswith("j")
        path.unlink()


def test_a_document_on_standard_output_stays_one(fleet: Fleet) -> None:
    fleet.add("web01", _LASTING)

    play = fleet.play(backup(), environment={"ANSIBLE_STDOUT_CALLBACK": "one_document"})

    assert json.loads(play.out) == {"changed": {"web01": 1}}
    assert "[web01] backup 'web sites': uploading " in play.err


def test_ctrl_c_ends_the_run_on_the_host_and_frees_its_lock(fleet: Fleet) -> None:
    host = fleet.add("web01", _LONG)
    play = fleet.start(backup())
    play.read_until("uploading")
    assert fleet.locks
    (directory,) = fleet.background.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert list((fleet.home / "remote").rglob("AnsiballZ*")) == []

    play.process.send_signal(signal.SIGINT)
    play.end()

    assert play.process.returncode == 99
    assert "User interrupted execution" in play.out + play.err
    assert fleet.leftovers() == []
    assert fleet.locks == []
    host.do(host.destination())
    assert host.do(host.backup()).changed


def test_a_run_outlives_its_controller_and_what_is_left_of_it_goes_with_the_next(fleet: Fleet) -> None:
    fleet.add("web01", _LASTING)
    play = fleet.start(backup())
    play.read_until("uploading")

    play.process.kill()
    play.end()
    (left,) = fleet.background.iterdir()
    (result,) = left.glob("j*")
    _wait_until(lambda: '"started"' not in result.read_text("utf-8"))
    assert fleet.locks == []

    for path in (*left.iterdir(), left):
        os.utime(path, (0, 0))
    following = fleet.play(backup(compression="none"))
    assert [result.changed for result in following.results] == [False]


def test_a_connection_that_is_lost_for_a_while_costs_nothing_but_a_word(fleet: Fleet) -> None:
    fleet.add("web01", _LONG)
    play = fleet.start(backup(), arguments=["-c", "lossy"])
    play.read_until("uploading")

    fleet.lossy.touch()
    play.read_until("trying again")
    fleet.lossy.unlink()
    play.end()

    told = [line.removeprefix("[web01] backup 'web sites': ") for line in play.lines if "answer" in line]
    assert [re.sub(r"[\d.]+ s", "N s", line) for line in told] == [
        "the host has not answered for N s, trying again; the run goes on there",
        "the host answers again, after N s",
    ]
    assert [(result.changed, result.failed) for result in play.results] == [(True, False)]


def test_a_run_that_is_killed_is_told_as_such(fleet: Fleet) -> None:
    host = fleet.add("web01", _LONG)
    play = fleet.start(backup())
    play.read_until("uploading")
    (status,) = fleet.background.rglob("status")

    os.kill(json.loads(status.read_text("ascii"))["process"], signal.SIGKILL)
    play.end()

    (result,) = play.results
    assert result.failed
    assert result.msg.startswith("The module ended without a result")
    host.do(host.destination())
    host.do(host.backup())  # takes over the lock


def test_without_a_place_on_the_host_the_run_is_not_told_of_but_done(fleet: Fleet) -> None:
    fleet.add("web01", 3 * RATE)
    blocked = fleet.home / "file"
    blocked.touch()

    play = fleet.play(
        backup(), arguments=["-c", "local", "-v"], environment={"ANSIBLE_ASYNC_DIR": str(blocked / "async")}
    )

    assert play.lines == []
    assert [result.changed for result in play.results] == [True]
    assert "has no place to tell the progress" in play.out


def test_where_only_the_background_needs_a_temporary_directory_the_run_is_done_without_it(fleet: Fleet) -> None:
    fleet.add("web01", 3 * RATE)
    blocked = fleet.home / "file"
    blocked.touch()

    play = fleet.play(
        backup(),
        arguments=["-c", "local", "-v"],
        environment={"ANSIBLE_PIPELINING": "1", "ANSIBLE_REMOTE_TMP": str(blocked / "remote")},
    )

    assert [result.changed for result in play.results] == [True]
    assert "starts in the foreground" in play.out


def test_names_that_a_shell_could_read_otherwise_are_told_and_files_are_made_as_by_a_plain_run(fleet: Fleet) -> None:
    host = fleet.add("web01", _LASTING)
    for path in host.source.iterdir():
        path.rename(path.with_name(os.fsdecode(b"\\n\xff") + path.name))
    before = os.umask(0o027)
    try:
        play = fleet.play(backup(pre_commands=[{"command": "touch {{ home }}/made"}]))
    finally:
        os.umask(before)

    assert [result.changed for result in play.results] == [True]
    assert any(re.search(r"uploading .*/srv/\\n\\xff\d+\.bin$", line) for line in play.lines), play.out
    assert (host.home / "made").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_module_by_itself_ends_cleanly_when_it_is_stopped(fleet: Fleet, number: signal.Signals) -> None:
    host = fleet.add("web01", _LONG)
    process = running.start(host.home, host.backup(compression="none"))
    _wait_until(lambda: list(host.server.root.rglob("*.tmp")) != [])

    process.send_signal(number)
    result = running.ended(process)

    assert result.failed
    assert result.kind == "stopped"
    assert result.msg.endswith(
        "The next run goes on from the last checkpoint, if there is one; older restore points are as they were."
    )


def _wait_until(is_so: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
