# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a declared destination, a tree to back up, and the engine as modules call it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils import copying
from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.connections import open_storage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.destination import ensure_present
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.lock import BEAT
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import SILENT
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
    Host,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy
from tests.engine import child
from tests.engine.tidy import job_directories
from tests.engine.trees import Tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import Progress
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage
    from tests.servers.server import FtpServer

NAME = "offsite"

# A value of one of Request's options, or of Destination's: they say of which type each is.
Option = t.Any


@dataclass(frozen=True)
class Site:
    """One host: its own directories lie below *home*; the tree *source* is what it backs up, and *progress* watches."""

    server: FtpServer
    home: Path
    source: Path
    client: str = "web01"
    now: t.Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    progress: Progress = SILENT

    @property
    def registry(self) -> FileRegistry:
        return FileRegistry(self.home / "etc")

    @property
    def host(self) -> Host:
        return Host(
            self.home / "etc", self.home / "var", now=self.now, name=lambda: self.client, progress=self.progress
        )

    def declare(self, **options: Option) -> Outcome:
        server = self.server
        wanted = Destination(
            name=NAME,
            host=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            directory=str(server.directory.relative_to("/")),
            ca_path=str(server.ca_path),
            **options,
        )
        return ensure_present(self.registry, self.home / "var", wanted, validate=True, check_mode=False)

    def request(self, job: str = "nightly", **options: Option) -> Request:
        """Return what is asked for; *last* is retention's, and a tree may shrink, as it does in most tests."""
        request = Request(NAME, job, (str(self.source),), force=True, allow_shrink=True)
        if "last" in options:
            options["retention"] = Policy(last=options.pop("last"))
        return replace(request, **options)

    def back_up(self, job: str = "nightly", **options: Option) -> Outcome:
        return back_up(self.registry, self.host, self.request(job, **options), check_mode=False)

    def restored(self, point: str = "latest", job: str = "nightly") -> Tree:
        """Restore a point into a new directory and return what then lies where the tree would be."""
        with self.restoring(point, job) as top:
            return tree_of(top)

    @contextmanager
    def restoring(self, point: str = "latest", job: str = "nightly") -> Iterator[Path]:
        """Restore a point into a new directory, and give what lies where the tree would be."""
        with tempfile.TemporaryDirectory(dir=self.home) as directory:
            restore(self.registry, self.host, Wish(NAME, job, Path(directory), point=point), check_mode=False)
            yield Path(directory) / self.source.relative_to("/")

    @property
    def job(self) -> Path:
        """The directory on the server's disk of the one job there is."""
        (directory,) = job_directories(self.server.root)
        return directory

    @contextmanager
    def storage(self, mark: str = "20260101t000000z-abcdef") -> Iterator[Storage]:
        destination = self.registry.get(NAME)
        assert destination is not None
        state = DestinationState(self.home / "var", destination.name, destination.place)
        with open_storage(destination, mark, state, may_write=True) as storage:
            yield storage

    def forget(self) -> None:
        """Lose all this host keeps beside its identity and its destinations."""
        shutil.rmtree(self.home / "var")

    def watched_by(self, progress: Progress) -> Site:
        """Return the same site whose runs tell *progress* how far they have come."""
        return replace(self, progress=progress)

    def later(self, **span: float) -> Site:
        """Return the same site as it is some time later."""
        return replace(self, now=lambda: datetime.now(timezone.utc) + timedelta(**span))

    def as_other_host(self, home: Path) -> Site:
        """Return a site with the same tree and client name on a host of its own."""
        home.mkdir()
        other = replace(self, home=home)
        other.declare()
        return other

    # -- runs in a process of their own

    def start(
        self,
        strike: child.Strike,
        prefix: Sequence[str] = (),
        *,
        checkpoint_every: int = copying.CHECKPOINT_EVERY,
        beat: float = BEAT,
        **options: Option,
    ) -> Run:
        """Start a backup as a process that does *strike* to itself; *prefix* is a program that runs it.

        Every *beat* seconds it gives a sign of life, and expects one of whoever has the lock.
        """
        order = {
            "config_directory": str(self.home / "etc"),
            "state_directory": str(self.home / "var"),
            "client": self.client,
            "request": {k: v for k, v in asdict(self.request(**options)).items() if k != "max_age"},
            "strike": strike._asdict(),
            "checkpoint_every": checkpoint_every,
            "beat": beat,
        }
        process = subprocess.Popen(
            [*prefix, sys.executable, child.__file__],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        return Run(process)

    def kill_run(self, strike: child.Strike, **options: Option) -> None:
        """Run a backup that *strike* must kill."""
        with self.start(strike, **options) as run:
            assert run.wait() == -signal.SIGKILL


class Run:
    """A backup that runs in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait(self) -> int:
        return self._process.wait(timeout=240)

    def wait_until_stopped(self) -> None:
        """Wait until the run has stopped itself."""
        _pid, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "the run ended before it came to where it was to stop"

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def result(self) -> dict[str, t.Any]:
        """Return what the run said when it ended: its outcome's values, or its error."""
        assert self._process.stdout is not None
        said = self._process.stdout.read()
        assert self.wait() == 0, said
        return t.cast("dict[str, t.Any]", json.loads(said))
