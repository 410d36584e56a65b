# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with the collection on it: the commands that make it do something."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .measure import Command

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.server import FtpServer

#: How many connections each program that can be told may use at a time: the collection's own default.
CONNECTIONS = 4

_DESTINATION = "Benchmark"
_CLIENT = "host"


@dataclass(frozen=True)
class Job:
    """What is to be known of a job to make and to restore its backups."""

    name: str
    structure: str
    compression: str

    @property
    def retention(self) -> dict[str, int]:
        """How many restore points are kept: one where each is a copy of its own, and all that share one pool.

        The first run of a ring of one slot is a full copy, as any structure would make; the next ones change it.
        """
        return {} if self.structure == "deduplicated" else {"last": 1}


@dataclass(frozen=True)
class Host:
    """A host that keeps its configuration and its *state* in a directory, and calls the use cases without Ansible."""

    server: FtpServer
    state: Path
    engine: str = "native"

    @property
    def _directories(self) -> dict[str, str]:
        return {"config_directory": str(self.state / "config"), "state_directory": str(self.state / "state")}

    def declare(self) -> Command:
        """Return what makes the server known to this host, which comes before everything else."""
        options = {
            "name": _DESTINATION,
            "host": self.server.host,
            "port": self.server.port,
            "username": self.server.username,
            "password": self.server.password,
            "directory": str(self.server.directory.relative_to("/")),
            "ca_path": str(self.server.ca_path),
            "max_connections": CONNECTIONS,
            "engine": self.engine,
        }
        return self._call("declare", options)

    def back_up(self, job: Job, source: Path) -> Command:
        """Return what makes a restore point of *source*, however fresh the last one is."""
        return self._call("back_up", _backup(job, source))

    def restore(self, job: Job, target: Path, path: Path | None = None) -> Command:
        """Return what brings the latest restore point below *target*, or only one *path* of it."""
        return self._call("restore", _restoration(job, target, path))

    def restore_account(self, account: str, target: Path, parts: Sequence[tuple[str, str]]) -> Command:
        """Return what brings the latest backup of an account of cPanel below *target*, or some *parts* of it."""
        options: dict[str, object] = {"destination": _DESTINATION, "account": account, "target": str(target)}
        return self._call("restore_account", {**options, "parts": list(parts)})

    def reindex(self) -> Command:
        """Return what rebuilds the index of the whole destination."""
        return self._call("reindex", {"destination": _DESTINATION})

    def ask(self, question: dict[str, object]) -> Command:
        """Return what asks the index of the destination one question."""
        return self._call("ask", {"destination": _DESTINATION, "question": question}, program="benchmarks.question")

    def _call(self, call: str, options: dict[str, object], *, program: str = "benchmarks.engine") -> Command:
        request = {"call": call, "options": options, **self._directories}
        words = (sys.executable, "-m", program, json.dumps(request))
        return Command(words, {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}, tells_time=True)


class AnsibleHost(Host):
    """The same host, which does the same by tasks of Ansible."""

    program = Path(sys.executable).with_name("ansible")

    def back_up(self, job: Job, source: Path) -> Command:
        return self._task("backup", _backup(job, source))

    def restore(self, job: Job, target: Path, path: Path | None = None) -> Command:
        return self._task("restore", _restoration(job, target, path))

    def _task(self, module: str, options: dict[str, object]) -> Command:
        arguments = json.dumps({**options, **self._directories})
        return Command((str(self.program), "localhost", "-m", f"stowage.ftp_backup.{module}", "-a", arguments))


def _backup(job: Job, source: Path) -> dict[str, object]:
    return {
        "destination": _DESTINATION,
        "job": job.name,
        "client": _CLIENT,
        "paths": [str(source)],
        "structure": job.structure,
        "compression": job.compression,
        "retention": job.retention,
        "force": True,
    }


def _restoration(job: Job, target: Path, path: Path | None) -> dict[str, object]:
    return {
        "destination": _DESTINATION,
        "job": job.name,
        "client": _CLIENT,
        "target": str(target),
        "paths": [] if path is None else [str(path)],
    }
