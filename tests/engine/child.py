# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup in a process of its own, which can kill or stop itself at an exact moment.

Moments are counted in deeds: each write to the server (a command, or a piece of data) and each change that the run is
about to make to the host's files. Whoever counts the deeds of one run can strike a second one at each of them, however
fast the machine is. It reads its order from standard input and writes what became of it to standard output.
"""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import sys
import threading
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable

_LARGE = 64 * 1024
_LOCAL_DEEDS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir")


class Strike(t.NamedTuple):
    """What a run does to itself: the signal *number*, right before a deed.

    The deed is the one *at* which as many were done, counted from 1, or the first write that *pattern* is found in once
    it was found in *skipped* others.
    """

    at: int = 0
    pattern: str = ""
    number: int = signal.SIGKILL
    skipped: int = 0


class Deeds:
    """Counts what this process does, and strikes when it is time."""

    def __init__(self, strike: Strike, only_below: str) -> None:
        self.count = 0
        self._at = strike.at
        self._pattern = re.compile(strike.pattern.encode()) if strike.pattern else None
        self._number = strike.number
        self._skipped = strike.skipped
        self._only_below = only_below
        self._guard = threading.Lock()

    def install(self) -> None:
        """See every deed of this process from now on."""
        send: Callable[..., None] = ssl.SSLSocket.sendall

        def sendall(connection: ssl.SSLSocket, content: bytes, *flags: int) -> None:
            if self._is_time(content):
                if len(content) > _LARGE:
                    send(connection, memoryview(content)[: len(content) // 2])
                os.kill(os.getpid(), self._number)
            send(connection, content, *flags)

        ssl.SSLSocket.sendall = sendall  # type: ignore[method-assign,assignment] # this is the point of it
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[t.Any, ...]) -> None:
        if event in _LOCAL_DEEDS and os.fspath(arguments[0]).startswith(self._only_below) and self._is_time(b""):
            os.kill(os.getpid(), self._number)

    def _is_time(self, content: bytes | memoryview) -> bool:
        with self._guard:
            self.count += 1
            if self._pattern is not None and self._pattern.search(content):
                self._skipped -= 1
                return self._skipped == -1
            return self.count == self._at


def main() -> None:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils import copying  # noqa: PLC0415
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up  # noqa: PLC0415 - only here, so that tests can import Strike cheaply
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError  # noqa: PLC0415
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import lock  # noqa: PLC0415
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Rules  # noqa: PLC0415
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry, Host  # noqa: PLC0415
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy  # noqa: PLC0415

    order = json.load(sys.stdin)
    options: dict[str, t.Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in order["request"].items()}
    options.update(retention=Policy(**options["retention"]), rules=Rules.from_json(options["rules"]))
    request = Request(**options)
    host = Host(Path(order["config_directory"]), Path(order["state_directory"]), name=lambda: str(order["client"]))
    copying.CHECKPOINT_EVERY = order["checkpoint_every"]
    lock.BEAT, lock._LOOK = order["beat"], order["beat"] / 4
    deeds = Deeds(Strike(**order["strike"]), order["state_directory"])
    deeds.install()
    try:
        outcome = back_up(FileRegistry(host.config_directory), host, request, check_mode=False)
        said = {**outcome.values, "warnings": outcome.warnings}
    except BackupError as error:
        said = {"kind": error.kind, "msg": str(error)}
    json.dump({**said, "deeds": deeds.count}, sys.stdout)


if __name__ == "__main__":
    main()
