# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action does on a host, where that has faults which no play can order; its commands run in a real shell."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.stowage.ftp_backup.plugins.module_utils.status_file import StatusFile
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils import polling, watched_action
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.interruption import Interruption
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.watched_action import WatchedAction, _LostLook, _Run

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHELL = shutil.which("dash") or "sh"
JOB = "j12.34"
RUNNING = {"started": True, "finished": False, "ansible_job_id": JOB}
RESULT = {"changed": True, "invocation": {"module_args": {}}, "warnings": ["a \\ b"]}
OURS = "somewhere/ansible-tmp-1/AnsiballZ_backup.py"
SLEEP = "import time; time.sleep(600)"


class Shell(SimpleNamespace):
    """Ansible's plugin of that kind, as far as the action asks it."""

    tmpdir: str | None = None

    def has_option(self, _name: str) -> bool:
        return True

    def get_option(self, _name: str) -> str:
        return "~/.ansible_async"

    def set_option(self, _name: str, _value: str) -> None:
        pass


class Action(WatchedAction):
    """The action, on a host that is the directory *home*; *deeds* stand for what a host does otherwise."""

    def __init__(self, home: Path, **deeds: Callable[..., t.Any]) -> None:
        self.home = home
        self.deeds = deeds
        self.commands: list[str] = []
        self._used_interpreter = None
        self._task = SimpleNamespace(  # type: ignore[assignment]  # what is asked of it
            timeout=0, async_val=0, environment=[], args={"job": "web"}, action="stowage.ftp_backup.backup",
            run_once=False, throttle=0, no_log=False, delegate_to=None, loop=None, loop_control=None,
        )  # fmt: skip
        self._connection = SimpleNamespace(transport="local", _shell=Shell())  # type: ignore[assignment]  # the same

    def _command(self, command: str) -> str:
        self.commands.append(command)
        if "command" in self.deeds:
            self.deeds["command"](command)
        return subprocess.run([SHELL, "-c", command], stdout=subprocess.PIPE, text=True, check=False).stdout

    def get_shell_option(self, _option: str, default: object = None) -> object:
        return default if default is None else str(self.home / "async")

    def _make_tmp_path(self, *_user: str | None, **_options: object) -> str:
        if "place" in self.deeds:
            self.deeds["place"]()
        path = self.home / "ansible-tmp-1"
        path.mkdir()
        (path / "AnsiballZ_backup.py").write_text("secret", "ascii")
        return str(path)

    def _remove_tmp_path(self, tmp_path: str, *_force: object, **_options: object) -> None:
        shutil.rmtree(tmp_path)

    def _execute_module(self, *_arguments: object, **_options: object) -> dict[str, t.Any]:
        (path,) = (self.home / "async").iterdir()
        return t.cast("dict[str, t.Any]", self.deeds["module"](path))

    @property
    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())


class Task(BaseException):
    """The time of the task is over."""


def run_in(home: Path, result: str = json.dumps(RUNNING)) -> _Run:
    directory = home / "async" / "ftp_backup-1"
    directory.mkdir(parents=True)
    (directory / JOB).write_text(result, "ascii")
    return _Run(str(directory), JOB, "ansible-tmp-1", {})


def status_of(run: _Run, process: int, beat: int = 1, **changes: object) -> None:
    values = {"phase": "uploading", "done": 1, "total": 2, "entries": 1, "item": "/srv", **changes}
    (Path(run.path) / "status").write_text(json.dumps({"process": process, "beat": beat, **values}), "ascii")


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, "-c", SLEEP, *arguments]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_name_with_backslashes_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with StatusFile(Path(run.path), every=1000) as progress:
        progress.report("uploading", item="/srv/a\\nb\\c\udcff\x07")

    look = Action(tmp_path)._look(run, 0)

    assert look.status is not None
    assert look.status.now.item == r"/srv/a\nb\c\xff\x07"
    assert not look.has_result


def test_a_process_is_told_from_another_one_that_has_its_number(
    tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    run, action = run_in(tmp_path), Action(tmp_path)
    ours, foreign, gone = started(OURS), started("foreign"), started()
    gone.kill()
    gone.wait()

    alive = [action._look(run, process).is_alive for process in (ours.pid, foreign.pid, gone.pid, 0)]

    assert alive == [True, None, False, None]


# -- the result


def test_a_result_is_taken_and_nothing_is_left(tmp_path: Path) -> None:
    action = Action(tmp_path)

    more = {"stderr": "x", "deprecations": [], "_ansible_suppress_tmpdir_delete": True}
    told = action._fetch(run_in(tmp_path, json.dumps({**RESULT, **more}))._replace(facts={"found": 1}))

    assert told.pop("_ansible_parsed")
    assert told.pop("ansible_facts") == {"found": 1}
    assert told.keys() == RESULT.keys()
    assert told["changed"]
    assert action.left == []


@pytest.mark.parametrize("text", ["", '{"changed": true, "fil', "[]", "null", "[" * 100_000])
def test_a_result_that_cannot_be_read_is_an_error_and_stays(tmp_path: Path, text: str) -> None:
    action, run = Action(tmp_path), run_in(tmp_path, text)

    told = action._fetch(run)

    assert told["failed"]
    assert told["failure"] == {"kind": "local"}
    assert run.path in told["msg"]
    assert action.left == [f"async/ftp_backup-1/{JOB}"]


def test_what_goes_wrong_behind_a_result_does_not_take_it_back(tmp_path: Path) -> None:
    def fail(command: str) -> None:
        if command.startswith("rm "):
            raise AnsibleConnectionFailure("gone")

    assert Action(tmp_path, command=fail)._fetch(run_in(tmp_path, json.dumps(RESULT)))["changed"]


def test_a_result_that_never_comes_through_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: str) -> None:
        if "<fetched>" in command:
            raise AnsibleConnectionFailure("gone")

    monkeypatch.setattr(polling, "PATIENCE", 1.0)
    monkeypatch.setattr(watched_action, "_LOST_PAUSE", 0.1)
    action = Action(tmp_path, command=fail)

    with Interruption() as interruption, pytest.raises(AnsibleConnectionFailure, match="has not answered"):
        action._watch(run_in(tmp_path, json.dumps(RESULT)), {}, interruption)

    assert action.left == [f"async/ftp_backup-1/{JOB}"]


def test_a_run_that_cannot_be_seen_is_given_up_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "BEATS_WITHIN", 1.0)
    action, run = Action(tmp_path), run_in(tmp_path)

    with Interruption() as interruption:
        told = action._watch(run, {}, interruption)

    assert told["failure"] == {"kind": "killed"}
    assert run.path in told["msg"]
    assert action.left == [f"async/ftp_backup-1/{JOB}"]


# -- how a run is ended


@pytest.mark.parametrize(("proof", "is_ended"), [(OURS, True), ("foreign", False)])
def test_only_a_process_that_is_the_run_is_told_to_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: Callable[..., subprocess.Popen[bytes]],
    proof: str,
    *,
    is_ended: bool,
) -> None:
    monkeypatch.setattr(watched_action, "_WAY_OUT", 2.0)
    process, run = started(proof), run_in(tmp_path)
    action = Action(tmp_path, command=lambda _command: process.poll())
    status_of(run, process.pid)

    action._end(run)

    assert any("kill -TERM" in command for command in action.commands) == is_ended
    assert (process.poll() is not None) == is_ended


def test_a_run_whose_beat_grows_is_told_to_end_where_nothing_else_proves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setattr(watched_action, "_WAY_OUT", 5.0)
    process, run = started("nothing that tells"), run_in(tmp_path)
    beats = iter(range(1000))

    def beat(_command: str) -> None:
        if process.poll() is None:
            status_of(run, process.pid, next(beats))

    Action(tmp_path, command=beat)._end(run)

    assert process.wait(10) == -signal.SIGTERM


def test_the_way_out_has_a_limit_on_a_host_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_action, "_WAY_OUT", 1.0)
    began = time.monotonic()

    Action(tmp_path, command=lambda _command: time.sleep(60))._end(run_in(tmp_path))

    assert time.monotonic() - began < 30


def test_a_look_is_limited_and_the_time_of_the_task_goes_on(tmp_path: Path) -> None:
    def end(_number: int, _frame: object) -> None:
        raise Task

    action = Action(tmp_path, command=lambda _command: time.sleep(60))
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    try:
        with pytest.raises(_LostLook):
            action._look(run_in(tmp_path), 0, 0.2)
        with pytest.raises(Task):
            action._look(_Run(str(tmp_path), JOB, "", {}), 0, 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- how a run is started


def _raise(error: BaseException) -> t.Any:  # noqa: ANN401 - it returns nothing
    raise error


def _begin(path: Path) -> None:
    (path / JOB).write_text(json.dumps(RUNNING), "ascii")


@pytest.mark.parametrize("error", [AnsibleError("no access list"), AnsibleConnectionFailure("no such place")])
def test_without_a_place_for_the_module_it_runs_in_the_foreground(tmp_path: Path, error: AnsibleError) -> None:
    action = Action(tmp_path, place=lambda: _raise(error))

    assert action._start({}) is None
    assert action.left == []
    assert list((tmp_path / "async").iterdir()) == []


def test_what_fails_only_in_the_background_runs_in_the_foreground(tmp_path: Path) -> None:
    action = Action(tmp_path, module=lambda _path: _raise(AnsibleError("no access list")))

    assert action._start({}) is None
    assert action.left == []
    assert list((tmp_path / "async").iterdir()) == []


def test_a_connection_that_is_lost_before_the_run_begins_is_told_as_such(tmp_path: Path) -> None:
    action = Action(tmp_path, module=lambda _path: _raise(AnsibleConnectionFailure("gone")))

    with pytest.raises(AnsibleConnectionFailure, match="gone"):
        action._start({})

    assert action.left == []


@pytest.mark.parametrize("error", [None, AnsibleConnectionFailure("gone"), AnsibleError("what was that?")])
def test_a_run_that_has_begun_is_watched_whatever_is_said_of_it(tmp_path: Path, error: AnsibleError | None) -> None:
    def begin(path: Path) -> dict[str, t.Any]:
        _begin(path)
        return {"failed": True, "msg": "garbage"} if error is None else t.cast("dict[str, t.Any]", _raise(error))

    run = Action(tmp_path, module=begin)._start({})

    assert run is not None
    assert (run.job, run.proof) == (JOB, "ansible-tmp-1")


def test_a_run_that_has_begun_when_the_time_of_the_task_is_over_is_ended(
    tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = started(OURS)

    def begin(path: Path) -> t.Any:  # noqa: ANN401 - it returns nothing
        _begin(path)
        status_of(_Run(str(path), JOB, "", {}), process.pid)
        raise Task

    def reap(_command: str) -> None:
        process.poll()

    action = Action(tmp_path, module=begin, command=reap)

    with pytest.raises(Task):
        action._start({})

    assert process.wait(10) == -signal.SIGTERM
    assert action.left == []


def test_a_host_that_falls_silent_at_the_end_of_the_time_of_the_task_holds_up_nobody(tmp_path: Path) -> None:
    def begin(path: Path) -> t.Any:  # noqa: ANN401 - it returns nothing
        _begin(path)
        raise Task

    def fail(command: str) -> None:
        if "<job>" in command:
            raise AnsibleConnectionFailure("gone")

    action = Action(tmp_path, module=begin, command=fail)

    with pytest.raises(Task):
        action._start({})

    assert len([command for command in action.commands if "<job>" in command]) == 1


def test_the_file_with_the_options_goes_whatever_ends_the_watch(tmp_path: Path) -> None:
    def begin(path: Path) -> dict[str, t.Any]:
        (path / JOB).write_text(json.dumps(RESULT), "ascii")  # it has ended before anybody saw its status
        return {"ansible_job_id": JOB}

    action = Action(tmp_path, module=begin)
    run = action._start({})
    assert run is not None
    assert "ansible-tmp-1/AnsiballZ_backup.py" in action.left

    with Interruption() as interruption:
        action._watch(run, {}, interruption)

    assert action.left == []


def test_the_module_is_told_the_umask_of_the_user(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = Action(tmp_path)._make_directory()
    finally:
        os.umask(before)

    assert path is not None
    assert int((Path(path) / "umask").read_text("ascii"), 8) == 0o027
    assert Path(path).stat().st_mode & 0o777 == 0o700


def test_a_task_that_runs_once_is_alone(tmp_path: Path) -> None:
    action = Action(tmp_path)
    action._task.run_once = True

    assert action._crowd({"ansible_play_batch": ["a", "b"], "inventory_hostname": "b"}) == polling.Crowd()
