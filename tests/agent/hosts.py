# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as the command ``ftp-backup`` finds it: job files, a declared destination, and the command itself."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent import command
from ansible_collections.stowage.ftp_backup.plugins.module_utils.destination import ensure_present
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.names import slug
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import Destination, FileRegistry
from tests.host_directories import HostDirectories

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.server import FtpServer

DESTINATION = "Provider storage"
JOB = "web sites"
CLIENT = "web01"
# A value of one of Destination's options, or of Popen's: they say of which type each is.
Option = t.Any

_NOBODY = 65534
SECONDS = 120  # what takes longer hangs, also on a machine that is busy with other things


@dataclass(frozen=True)
class Said:
    """What the command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, t.Any]:
        """The one JSON document that standard output holds."""
        return t.cast("dict[str, t.Any]", json.loads(self.out))

    @property
    def line(self) -> str:
        """The one line that standard output holds."""
        (line,) = self.out.splitlines()
        return line

    @property
    def error(self) -> str:
        """The one line of standard error that tells an error."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("ftp-backup: ")]
        return line.split(": ", 1)[1]


@dataclass(frozen=True)
class Host(HostDirectories):
    """A host whose every directory lies below *home*, and the server that keeps its backups."""

    server: FtpServer

    @property
    def registry(self) -> FileRegistry:
        return FileRegistry(self.config)

    # -- what is declared

    def declare(self, name: str = DESTINATION, **changes: Option) -> Destination:
        """Declare the server as the destination *name*, with *changes* to its options."""
        server = self.server
        wanted = Destination(
            name=name,
            host=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            directory=str(server.directory.relative_to("/")),
            ca_path=str(server.ca_path) if server.ca_path else None,
            tls=server.ca_path is not None,
            timeout=10,
        )
        wanted = replace(wanted, **changes)
        ensure_present(self.registry, self.state, wanted, validate=False, check_mode=False)
        return wanted

    def job(
        self, name: str = JOB, *, ping_url: str | None = None, stale_after: str | None = None, **changes: object
    ) -> Path:
        """Write the file of the job *name*, with *changes* to its options; those that are None go."""
        options = {"job": name, "destination": DESTINATION, "client": CLIENT, "paths": [str(self.source)], **changes}
        backup = {option: value for option, value in options.items() if value is not None}
        return self.file(
            f"jobs/{slug(name)}.json",
            {
                "version": 1,
                "name": name,
                "backup": backup,
                "agent": {"ping_url": ping_url, "stale_after": stale_after},
            },
        )

    def reindexing(self, name: str = DESTINATION, *, ping_url: str | None = None) -> Path:
        return self.file(f"reindexes/{slug(name)}.json", {"version": 1, "name": name, "agent": {"ping_url": ping_url}})

    def settings(self, **settings: object) -> Path:
        return self.file("agent.json", {"version": 1, **settings})

    def file(self, name: str, values: object) -> Path:
        """Write *values* as JSON, or a text as it is, below the configuration directory."""
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
        path.chmod(0o600)
        return path

    # -- the command

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which the command means this host's directories."""
        return {
            **os.environ,
            "FTP_BACKUP_CONFIG_DIRECTORY": str(self.config),
            "FTP_BACKUP_STATE_DIRECTORY": str(self.state),
        }

    @property
    def shell_environment(self) -> dict[str, str]:
        """The environment in which a shell runs the command by ``"$PYTHON" -c "$PROGRAM" WORDS``."""
        return {
            **self.environment,
            "PYTHONPATH": _OUR_PATH,
            "PYTHON": sys.executable,
            "PROGRAM": _PROGRAM,
        }

    def call(self, *words: str) -> Said:
        """Run the command in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _number in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), self._directories():
            code = command.main(words)
        for stream in (out, err):
            stream.flush()
        said = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return Said(code, *said)

    def call_as_nobody(self, *words: str) -> Said:
        """Run the command as a user who may do nothing, in a process that only root can make."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            said = self.call(*words)
            os.write(writing, json.dumps([said.code, said.out, said.err]).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            said = Said(*json.loads(told.read()))
        os.waitpid(child, 0)
        return said

    def do(self, *words: str) -> Said:
        """Run a command that must do what it should: what a test starts from."""
        said = self.call(*words)
        assert said.code == 0, said
        return said

    def start(
        self,
        *words: str,
        python: Sequence[str] = (sys.executable,),
        environment: dict[str, str] | None = None,
        **streams: Option,
    ) -> subprocess.Popen[bytes]:
        """Start the command as a process of its own."""
        return subprocess.Popen(
            [*python, "-c", _PROGRAM, *words],
            env={**self.environment, "PYTHONPATH": _OUR_PATH, **(environment or {})},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    def run(self, *words: str, **options: Option) -> Said:
        """Run the command as a process of its own."""
        with self.start(*words, **options) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        return Said(process.returncode, (out or b"").decode("utf-8", "surrogateescape"), (err or b"").decode())

    def interrupt(self, number: int, *words: str) -> Said:
        """Run the command as a process of its own, and send it the signal *number* in the middle of its work."""
        with self.start(*words) as process:
            try:
                assert process.stderr is not None
                begun = b""
                while b": uploading" not in begun and b": restoring" not in begun:
                    line = process.stderr.readline()
                    assert line, begun
                    begun += line
                process.send_signal(number)
                out, err = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        return Said(process.returncode, out.decode(), (begun + err).decode())

    @contextlib.contextmanager
    def _directories(self) -> t.Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


# Where the collection is; what else this interpreter can import is of its own version.
_OUR_PATH = os.pathsep.join(path for path in sys.path if not path.startswith((sys.prefix, sys.base_prefix)))
_PROGRAM = f"import sys; from {command.main.__module__} import main; sys.exit(main(sys.argv[1:]))"
