# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays on hosts that are directories of this machine, with runs that take some seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from tests.modules import running
from tests.modules.hosts import CLIENT, DESTINATION, JOB, Host
from tests.modules.running import COLLECTION, COLLECTIONS, Result

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.servers.server import FtpServer

HERE = Path(__file__).parent
CALLBACKS = Path(running.__file__).with_name("callbacks")
SECONDS = 240  # what takes longer hangs, also on a machine that is busy with other things
RATE = 1_000_000  # bytes a second
_FILES = 30

Values = dict[str, t.Any]


@dataclass
class Play:
    """An ansible-playbook that runs, on hosts whose directories lie below *home*."""

    home: Path
    process: subprocess.Popen[str]
    told: Path
    out: str = ""
    err: str = ""

    def read_until(self, text: str) -> None:
        """Take what is printed until a line has *text*."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, f"{text!r} was never printed, but:\n{self.out}"
            self.out += line
            if text in line:
                return

    def end(self) -> Play:
        """Wait until it has ended."""
        try:
            out, self.err = self.process.communicate(timeout=SECONDS)
        finally:
            self.process.kill()
        self.out += out
        return self

    @property
    def lines(self) -> list[str]:
        """What was told of the progress."""
        return [line for line in self.out.splitlines() if line.startswith("[web")]

    @property
    def results(self) -> list[Result]:
        return [Result(json.loads(line), self.out + self.err) for line in self.told.read_text("utf-8").splitlines()]


class Fleet:
    """Hosts that are directories below *home*, and a server that has a directory for each."""

    def __init__(self, home: Path, server: FtpServer) -> None:
        self.home = home
        self._server = server
        self.hosts: dict[str, Host] = {}
        self.lossy = home / "lossy"

    def add(self, name: str, size: int, **changes: object) -> Host:
        """Add a host with a source of *size* bytes, and a destination that takes RATE of them a second."""
        host = Host(self.home / name, self._server.below(f"{self.home.name}-{name}"))
        host.temporary.mkdir(parents=True)
        host.source.mkdir()
        for number in range(_FILES):
            (host.source / f"{number}.bin").write_bytes(os.urandom(size // _FILES))
        host.do(host.destination(**{"bandwidth_limit": RATE, **changes}))
        self.hosts[name] = host
        return host

    @property
    def background(self) -> Path:
        """Where runs in the background leave word, on all hosts."""
        return self.home / "async"

    @property
    def locks(self) -> list[Path]:
        return list(self._server.root.rglob("lock/*"))

    def leftovers(self) -> list[Path]:
        """Return what runs have left on the hosts, once those that are about to end have ended."""
        deadline = time.monotonic() + 20
        while True:
            left = [path for place in ("async", "remote") for path in (self.home / place).glob("*")]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)

    def start(
        self, *tasks: Values, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Play:
        """Start a play of *tasks* on all hosts."""
        play = self.home / f"play{len(list(self.home.glob('play*')))}"
        play.mkdir()
        told = play / "results"
        told.touch()
        inventory: Values = {
            "all": {
                "vars": {"ansible_python_interpreter": sys.executable},
                "hosts": {name: {"home": str(host.home)} for name, host in self.hosts.items()},
            }
        }
        (play / "inventory.json").write_text(json.dumps(inventory), "utf-8")
        playbook = [{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]
        (play / "play.json").write_text(json.dumps(playbook), "utf-8")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ansible", "playbook", str(play / "play.json")),
                *("-i", str(play / "inventory.json"), *(arguments or ("-c", "local"))),
            ],
            env={
                **running.environment(self.home),
                "PYTHONUNBUFFERED": "1",
                "ANSIBLE_HOME": str(self.home / "ansible"),
                "ANSIBLE_REMOTE_TMP": str(self.home / "remote"),
                "ANSIBLE_ASYNC_DIR": str(self.background),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_CALLBACK_PLUGINS": f"{CALLBACKS}:{HERE / 'callbacks'}",
                "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connections"),
                "ANSIBLE_NOCOLOR": "1",
                "TELL_RESULTS_FILE": str(told),
                "LOSSY_FILE": str(self.lossy),
                **(environment or {}),
            },
            cwd=play,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Play(self.home, process, told)

    def play(self, *tasks: Values, **options: t.Any) -> Play:  # noqa: ANN401 - those of start
        return self.start(*tasks, **options).end()


def backup(job: str = JOB, *, task: Values | None = None, **changes: object) -> Values:
    """Return a task that backs up the host's source, with *changes* to its options, and the keywords of *task*."""
    options = {"job": job, "client": CLIENT, "paths": ["{{ home }}/srv"], "compression": "none", **changes}
    return _task("backup", options, task)


def restore(*, task: Values | None = None, **changes: object) -> Values:
    return _task("restore", {"job": JOB, "client": CLIENT, "target": "{{ home }}/restored", **changes}, task)


def _task(module: str, options: Values, task: Values | None) -> Values:
    common = {
        "destination": DESTINATION,
        "config_directory": "{{ home }}/etc",
        "state_directory": "{{ home }}/var",
    }
    return {f"{COLLECTION}.{module}": {**common, **options}, **(task or {})}
