# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules: by Ansible itself, as users do, or, which is faster, as the bare process that Ansible would start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from .documented import assert_documented

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".collections"
COLLECTION = "stowage.ftp_backup"

_CALLBACKS = Path(__file__).with_name("callbacks")
_SECONDS = 240  # a run that takes longer hangs, also on a machine that is busy with other things


@dataclass(frozen=True)
class Task:
    """One task of a play: a module, of this collection unless its name says another one, and its options."""

    module: str
    options: Mapping[str, object]
    check_mode: bool = False

    @property
    def full_name(self) -> str:
        return self.module if "." in self.module else f"{COLLECTION}.{self.module}"

    def in_check_mode(self) -> Task:
        return replace(self, check_mode=True)


@dataclass(frozen=True)
class Result:
    """What became of a task: its result, and *output*, which is everything that was printed."""

    values: dict[str, t.Any]
    output: str

    @property
    def changed(self) -> bool:
        return bool(self.values.get("changed", False))

    @property
    def failed(self) -> bool:
        return bool(self.values.get("failed", False))

    @property
    def msg(self) -> str:
        return str(self.values["msg"])

    @property
    def kind(self) -> str:
        """The kind of error, empty where Ansible itself refused."""
        return str(self.values.get("failure", {}).get("kind", ""))

    @property
    def warnings(self) -> list[str]:
        """The warnings, which the bare process wraps in what Ansible unwraps."""
        told = self.values.get("warnings", [])
        return [str(warning["event"]["msg"] if isinstance(warning, dict) else warning) for warning in told]

    @property
    def diff(self) -> tuple[list[str], list[str]]:
        """The lines before and after."""
        return self.values["diff"]["before"].splitlines(), self.values["diff"]["after"].splitlines()


def play(home: Path, *tasks: Task, diff: bool = False, python: Path | None = None, verbosity: int = 0) -> list[Result]:
    """Run *tasks* by one ansible-playbook and return their results, at most to the first that failed.

    Everything that Ansible writes goes below *home*. Each result has the output of the whole play.
    """
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        playbook, told = Path(scratch, "play.json"), Path(scratch, "results")
        playbook.touch(mode=0o600)
        playbook.write_text(json.dumps(_play_of(tasks, diff=diff)), encoding="utf-8")
        told.touch()
        return _played(home, playbook, told, python=python, more=["-" + "v" * verbosity] if verbosity else [])


def play_book(home: Path, playbook: Path, variables: Mapping[str, object]) -> list[Result]:
    """Run a *playbook* against this machine and return the results of its tasks, at most to the first that failed.

    Everything that Ansible writes goes below *home*. Each result has the output of the whole play.
    """
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        told, given = Path(scratch, "results"), Path(scratch, "variables.json")
        given.touch(mode=0o600)
        given.write_text(json.dumps(variables), encoding="utf-8")
        told.touch()
        return _played(home, playbook, told, python=None, more=["-e", f"@{given}"])


def _played(home: Path, playbook: Path, told: Path, *, python: Path | None, more: Sequence[str]) -> list[Result]:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", str(playbook)),
            *("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={python or sys.executable}"),
            *more,
        ],
        env=_environment(home, told),
        cwd=told.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    output = ended.stdout + ended.stderr
    results = [Result(json.loads(line), output) for line in told.read_text("utf-8").splitlines()]
    assert results, output
    for result in results:
        collection, _dot, module = result.values["_ansible_action"].rpartition(".")
        for values in result.values.get("results", [result.values]) if collection == COLLECTION else ():
            loop_variable = values.get("ansible_loop_var")
            assert_documented(module, {key: value for key, value in values.items() if key != loop_variable})
    return results


def _play_of(tasks: Sequence[Task], *, diff: bool) -> list[dict[str, object]]:
    written = [
        {"name": task.module, task.full_name: task.options, "check_mode": task.check_mode, "diff": diff}
        for task in tasks
    ]
    return [{"hosts": "all", "gather_facts": False, "tasks": written}]


def _environment(home: Path, told: Path) -> dict[str, str]:
    return {
        **environment(home),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_REMOTE_TMP": str(home / "remote"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        "ANSIBLE_NOCOLOR": "1",
        "TELL_RESULTS_FILE": str(told),
    }


def environment(home: Path) -> dict[str, str]:
    """Return what a process of ours sees: nothing of the developer's own, and a directory for temporary files."""
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home), "TMPDIR": str(temporary)}


def call(home: Path, task: Task, *, diff: bool = False) -> Result:
    """Run the module as a process of its own, without Ansible before it."""
    return ended(start(home, task, diff=diff))


def start(home: Path, task: Task, *, diff: bool = False) -> subprocess.Popen[str]:
    """Start the module as a process of its own; :func:`ended` waits for it."""
    options = {**task.options, "_ansible_check_mode": task.check_mode, "_ansible_diff": diff}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", f"ansible_collections.{COLLECTION}.plugins.modules.{task.module}"],
        env={**environment(home), "PYTHONPATH": str(COLLECTIONS)},
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": options}))
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


def ended(process: subprocess.Popen[str]) -> Result:
    """Wait for a started module and return its result."""
    with process:
        try:
            output, errors = process.communicate(timeout=_SECONDS)
        except BaseException:
            process.kill()
            raise
    assert not errors, errors
    result = Result(json.loads(output), output)
    *_python, name = t.cast("list[str]", process.args)
    assert_documented(name.rpartition(".")[2], result.values)
    return result
