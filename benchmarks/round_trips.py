# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the round trips of one upload: log in over TLS, upload a volume, check it, rename it, and leave.

Usage: python -m benchmarks.round_trips. The server is so far away that nothing but round trips takes time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.control import Address, make_context
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.known import Known
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import connect
from tests.servers.accounts import reachable_directory

from .networks import Far, why_unavailable

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.server import FtpServer

_ROUND_TRIP = 0.25
_ROUNDS = 5
_SIZE = 8 * 1024  # small enough that no window of TCP has to open for it
_HERE = PurePosixPath()


class Ours:
    """The transport of the collection; *known* is what a run remembers of the server, if anything."""

    def __init__(self, server: FtpServer, known: Known | None) -> None:
        self._address = Address(server.host, server.port, server.username, server.password, ca_path=str(server.ca_path))
        self._known = known

    def __call__(self, name: str) -> None:
        context = make_context(self._address, quick=self._known is not None and self._known.quick_tls)
        session = connect(self._address, context, self._known)
        session.enter(_HERE)
        staged, final = session.path_of(_HERE / f"{name}.tmp"), session.path_of(_HERE / name)
        session.upload(staged, [bytes(_SIZE)])
        (size,) = session.sizes([staged])
        if (size, session.rename(staged, final)) != (_SIZE, _SIZE):
            message = "The upload did not arrive."
            raise SystemExit(message)
        session.quit()


class Curl:
    """curl, which checks no size; with *rename* it renames as well, by commands that it is given."""

    def __init__(self, server: FtpServer, content: Path, *, rename: bool) -> None:
        self._server = server
        self._content = content
        self._rename = rename

    def __call__(self, name: str) -> None:
        server = self._server
        quote = ["-Q", f"-RNFR {name}.tmp", "-Q", f"-RNTO {name}"] if self._rename else []
        target = f"ftp://{server.host}:{server.port}/{name}.tmp"
        login = f"{server.username}:{server.password}"
        tls = ["--ssl-reqd", "--cacert", str(server.ca_path)]
        subprocess.run(["curl", "-sS", *tls, "-u", login, "-T", str(self._content), *quote, target], check=True)


def known_to(server: FtpServer) -> Known:
    """Return what a run knows of *server* once it was declared."""
    known = Known()
    address = Address(server.host, server.port, server.username, server.password, ca_path=str(server.ca_path))
    connect(address, make_context(address), known).quit()
    known.pipelines_login = known.quick_tls = known.absolute_paths = True
    return known


def main() -> int:
    """Print how many round trips everybody takes, and return the exit code."""
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    far = Far(_ROUND_TRIP)
    with (
        reachable_directory() as directory,
        far.open(directory / "server") as server,
        tempfile.TemporaryDirectory() as d,
    ):
        content = Path(d, "volume")
        content.write_bytes(bytes(_SIZE))
        contestants: dict[str, Callable[[str], None]] = {
            "stowage.ftp_backup: log in, upload, check, rename, check, leave": Ours(server, known_to(server)),
            "the same, to a server of which nothing is known": Ours(server, None),
            "curl: log in, upload, rename, leave": Curl(server, content, rename=True),
            "curl: log in, upload, leave": Curl(server, content, rename=False),
        }
        counted: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(_ROUNDS):
            for number, (name, upload) in enumerate(contestants.items()):
                began = time.monotonic()
                upload(f"volume-{turn}-{number}")
                counted[name].append((time.monotonic() - began) / _ROUND_TRIP)
    print(f"Medians of {_ROUNDS} runs, {far}, TLS 1.3, {_SIZE // 1024} KiB:\n")
    print("| what | round trips |", "|---|---:|", sep="\n")
    for name, figures in counted.items():
        print(f"| {name} | {statistics.median(figures):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
