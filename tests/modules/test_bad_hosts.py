# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts whose configuration or state is in a bad way: it is told in a sentence, and can be mended by the modules."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import typing as t

import pytest

from . import running
from .hosts import DESTINATION
from .refusals import assert_sentence
from .running import Result
from .snapshots import contents

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from .hosts import Host
    from .running import Task

# Root keeps its files but loses its power over modes, so that they hold for it as for anybody else.
_WITHOUT_POWER = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()
# No file can grow, as on a disk that is full.
_WITHOUT_SPACE = ("prlimit", "--fsize=0")
_MODULE = "ansible_collections.stowage.ftp_backup.plugins.modules"


def _call(host: Host, task: Task, *wrapper: str) -> Result:
    """Run a module as a process that *wrapper* starts."""
    ended = _ended(host, task, *wrapper, sys.executable, "-m", f"{_MODULE}.{task.module}")
    assert ended.stdout, ended.stderr
    return Result(json.loads(ended.stdout), ended.stdout + ended.stderr)


def _ended(host: Host, task: Task, *command: str) -> subprocess.CompletedProcess[str]:
    options = {**task.options, "_ansible_check_mode": task.check_mode, "_ansible_diff": False}
    return subprocess.run(
        command,
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        env={**running.environment(host.home), "PYTHONPATH": str(running.COLLECTIONS), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=host.home,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _declaration(host: Host) -> Path:
    (path,) = host.config.joinpath("destinations").iterdir()
    return path


# -- who may read what


@pytest.mark.parametrize("closed", [".", "destinations"])
def test_destinations_that_this_user_may_not_read_are_told_from_none(declared: Host, closed: str) -> None:
    (declared.config / closed).chmod(0)
    result = _call(declared, declared.destination_info(), *_WITHOUT_POWER)

    assert_sentence(declared, result, "local", declared.config / "destinations", "Permission denied")


_NEEDING_STATE: dict[str, Callable[[Host], Task]] = {
    "backup": lambda host: host.backup(),
    "backup in check mode": lambda host: host.backup().in_check_mode(),
    "backup_info": lambda host: host.backup_info(),
    "reindex": lambda host: host.reindex(),
    "reindex in check mode": lambda host: host.reindex().in_check_mode(),
    "restore": lambda host: host.restore(),
}


@pytest.mark.parametrize("task", _NEEDING_STATE.values(), ids=_NEEDING_STATE.keys())
def test_a_state_directory_that_is_somebody_elses_is_told(declared: Host, task: Callable[[Host], Task]) -> None:
    declared.do(declared.backup())
    (state,) = declared.state.iterdir()
    state.chmod(0)
    result = _call(declared, task(declared), *_WITHOUT_POWER)

    assert_sentence(declared, result, "local", state, "Permission denied")


@pytest.mark.parametrize("module", ["backup", "reindex"])
def test_a_full_disk_under_the_state_directory_is_told(declared: Host, module: str) -> None:
    declared.do(declared.backup())
    result = _call(declared, getattr(declared, module)(), *_WITHOUT_SPACE)

    assert_sentence(declared, result, "local", declared.state, "File too large")


def test_a_full_disk_under_the_configuration_costs_no_declaration_and_keeps_nothing_half_written(
    declared: Host,
) -> None:
    before = contents(declared.config)
    result = _call(declared, declared.destination(timeout=11), *_WITHOUT_SPACE)

    assert_sentence(declared, result, "local", _declaration(declared), "File too large")
    assert contents(declared.config) == before


# -- declarations


@pytest.fixture(params=["", "{", "[]", "{}", '{"name": "Provider storage", "colour": "green"}', '{"name": 5}'])
def damaged(declared: Host, request: pytest.FixtureRequest) -> Host:
    """Return a host whose one declaration is damaged."""
    _declaration(declared).write_text(request.param)
    return declared


def test_a_damaged_declaration_is_mended_by_declaring_again_with_a_warning(damaged: Host) -> None:
    before = damaged.seen()
    foretold = damaged.do(damaged.destination().in_check_mode())
    assert damaged.seen() == before
    done, again = damaged.do(damaged.destination()), damaged.do(damaged.destination())

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    assert [len(result.warnings) for result in (foretold, done, again)] == [1, 1, 0]
    assert str(_declaration(damaged)) in done.warnings[0]
    assert damaged.do(damaged.backup()).changed


def test_a_damaged_declaration_is_forgotten_like_any_other_with_a_warning(damaged: Host) -> None:
    task = damaged.destination(state="absent", host=None, username=None, password=None)
    foretold, done, again = damaged.do(task.in_check_mode()), damaged.do(task), damaged.do(task)

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    assert [len(result.warnings) for result in (foretold, done, again)] == [1, 1, 0]
    assert done.values["declaration"] == {"name": DESTINATION}
    assert list(damaged.config.joinpath("destinations").iterdir()) == []


def test_a_damaged_declaration_is_listed_with_what_is_wrong_and_hides_no_other(damaged: Host) -> None:
    path = _declaration(damaged)
    damaged.do(damaged.destination(name="another"))
    result = damaged.do(damaged.destination_info())

    (broken,) = (found for found in result.values["destinations"] if "failure" in found)
    (whole,) = (found for found in result.values["destinations"] if "failure" not in found)
    assert broken["name"] in (DESTINATION, path.name)
    assert broken["failure"]["kind"] == "local"
    assert str(path) in broken["failure"]["msg"]
    assert whole["name"] == "another"


def test_what_needs_a_damaged_declaration_says_that_it_must_be_declared_again(damaged: Host) -> None:
    for task in (damaged.backup(), damaged.destination_info(name=DESTINATION)):
        result = damaged.call(task)

        advice = f"Declare the destination '{DESTINATION}' again."
        assert_sentence(damaged, result, "local", _declaration(damaged), advice)


@pytest.mark.parametrize("option", ["password_file", "ca_path"])
def test_a_probe_tells_what_is_wrong_on_the_host_and_asks_all_others(declared: Host, option: str) -> None:
    missing = declared.home / "missing"
    changes = {"password": None, option: str(missing)} if option == "password_file" else {option: str(missing)}
    declared.do(declared.destination(name="second", validate=False, **changes))
    result = declared.do(declared.destination_info(probe=True))

    first, second = result.values["destinations"]
    assert first["server"]["verdict"] == "unix"
    assert str(missing) in second["failure"]["msg"]
    assert "server" not in second


@pytest.mark.parametrize("end", ["present", "absent"])
def test_the_password_that_a_killed_declaration_left_goes_with_the_next_one(declared: Host, end: str) -> None:
    killed = (
        "import os, runpy, signal\n"
        "os.fsync = lambda _file: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"runpy.run_module('{_MODULE}.destination', run_name='__main__')\n"
    )
    ended = _ended(declared, declared.destination(timeout=11), sys.executable, "-c", killed)
    assert ended.returncode == -signal.SIGKILL
    files = declared.config / "destinations"
    assert len(list(files.iterdir())) == 2
    declared.do(declared.destination(state=end, timeout=12))

    assert len(list(files.iterdir())) == (1 if end == "present" else 0)


# -- where a destination lies


_ELSEWHERE: dict[str, Callable[[Host], list[Task]]] = {
    "declared again": lambda host: [host.destination(directory=f"{_directory(host)}/elsewhere")],
    "forgotten first": lambda host: [
        host.destination(state="absent"),
        host.destination(directory=f"{_directory(host)}/elsewhere"),
    ],
    "another host": lambda host: [host.destination(host="localhost", validate=False)],
    "another user": lambda host: [host.destination(username="somebody", validate=False)],
}


def _directory(host: Host) -> PurePosixPath:
    return host.server.directory.relative_to("/")


@pytest.mark.parametrize("moving", _ELSEWHERE.values(), ids=_ELSEWHERE.keys())
def test_a_destination_that_is_declared_elsewhere_has_no_index_yet(
    declared: Host, moving: Callable[[Host], list[Task]]
) -> None:
    declared.do(declared.backup())
    for task in moving(declared):
        declared.do(task)
    result = declared.call(declared.backup_info())

    assert_sentence(declared, result, "usage", f"'{DESTINATION}'", "reindex")


def test_what_lies_elsewhere_is_found_by_reindex_and_again_once_it_lies_there_again(declared: Host) -> None:
    point = declared.do(declared.backup()).values["point"]["id"]
    declared.do(declared.destination(directory=f"{_directory(declared)}/elsewhere"))
    declared.do(declared.reindex())
    assert declared.do(declared.backup_info()).values["points"] == []
    declared.do(declared.destination())
    declared.do(declared.reindex())

    assert [found["id"] for found in declared.do(declared.backup_info()).values["points"]] == [point]
    (state,) = declared.state.iterdir()
    assert len(list(state.glob("*.sqlite"))) == 1


def test_a_backup_to_elsewhere_begins_the_index_anew_and_tells_it(declared: Host) -> None:
    declared.do(declared.backup())
    declared.do(declared.destination(directory=f"{_directory(declared)}/elsewhere"))
    result = declared.do(declared.backup())

    assert len(result.warnings) == 1
    assert "reindex" in result.warnings[0]
    points = declared.do(declared.backup_info()).values["points"]
    assert [found["id"] for found in points] == [result.values["point"]["id"]]


def test_what_is_declared_anew_in_the_same_place_keeps_its_index(declared: Host) -> None:
    declared.do(declared.backup())
    declared.do(declared.destination(state="absent"))
    declared.do(declared.destination(timeout=11, directory=f"./{_directory(declared)}/"))

    assert len(declared.do(declared.backup_info()).values["points"]) == 1


def test_a_manifest_of_a_day_that_never_was_is_passed_over(declared: Host) -> None:
    point = declared.do(declared.backup()).values["point"]["id"]
    (manifest,) = declared.server.root.rglob("*.manifest.gz")
    shutil.copy(manifest, manifest.with_name("000009-20261399t990000z-abcdef.manifest.gz"))

    assert declared.do(declared.restore(point="9999-12-31")).values["point"]["id"] == point
