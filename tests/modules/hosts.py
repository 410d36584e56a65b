# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as the modules see it, and tasks whose options are those that most tests have in common."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tests.host_directories import HostDirectories

from . import running
from .running import Result, Task
from .snapshots import snapshot

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.server import FtpServer

    from .snapshots import Snapshot

DESTINATION = "Provider storage"
JOB = "web sites"
CLIENT = "web01"


@dataclass(frozen=True)
class Host(HostDirectories):
    """A host whose every directory lies below *home*, and the server that keeps its backups."""

    server: FtpServer

    @property
    def temporary(self) -> Path:
        return self.home / "tmp"

    # -- tasks

    @property
    def _directories(self) -> dict[str, object]:
        return {"config_directory": str(self.config), "state_directory": str(self.state)}

    def destination(self, **changes: object) -> Task:
        """Return the task that declares the server, with *changes* to its options; those that are None go."""
        server = self.server
        options = {
            "name": DESTINATION,
            "host": server.host,
            "port": server.port,
            "username": server.username,
            "password": server.password,
            "directory": str(server.directory.relative_to("/")),
            "ca_path": str(server.ca_path) if server.ca_path else None,
            "tls": server.ca_path is not None,
            "timeout": 10,
        }
        return self._task("destination", options, changes)

    def destination_info(self, **changes: object) -> Task:
        return self._task("destination_info", {}, changes)

    def backup(self, **changes: object) -> Task:
        options = {"destination": DESTINATION, "job": JOB, "client": CLIENT, "paths": [str(self.source)]}
        return self._task("backup", options, changes)

    def backup_info(self, **changes: object) -> Task:
        return self._task("backup_info", {"destination": DESTINATION}, changes)

    def job_info(self, **changes: object) -> Task:
        return self._task("job_info", {"client": CLIENT}, changes)

    def verify(self, **changes: object) -> Task:
        return self._task("verify", {"destination": DESTINATION, "client": CLIENT}, changes)

    def reindex(self, **changes: object) -> Task:
        return self._task("reindex", {"destination": DESTINATION}, changes)

    def restore(self, **changes: object) -> Task:
        options = {"destination": DESTINATION, "job": JOB, "client": CLIENT, "target": str(self.target)}
        return self._task("restore", options, changes)

    def restore_point(self, **changes: object) -> Task:
        options = {"destination": DESTINATION, "job": JOB, "client": CLIENT, "point": "latest"}
        return self._task("restore_point", options, changes)

    def _task(self, module: str, options: Mapping[str, object], changes: Mapping[str, object]) -> Task:
        wanted = {**self._directories, **options, **changes}
        return Task(module, {name: value for name, value in wanted.items() if value is not None})

    # -- running them

    def call(self, task: Task, *, diff: bool = False) -> Result:
        """Run a module as a process of its own."""
        return running.call(self.home, task, diff=diff)

    def do(self, task: Task, *, diff: bool = False) -> Result:
        """Run a module that must succeed: what a test starts from."""
        result = self.call(task, diff=diff)
        assert not result.failed, result.msg
        return result

    def play(self, *tasks: Task, diff: bool = False, python: Path | None = None, verbosity: int = 0) -> list[Result]:
        """Run modules by Ansible."""
        return running.play(self.home, *tasks, diff=diff, python=python, verbosity=verbosity)

    # -- looking

    def seen(self) -> Snapshot:
        """Return all that a module could change: on the host and, on its own disk, the server."""
        return snapshot(self.config, self.state, self.source, self.target, self.server.root)
