# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a server for as long as somebody holds the other end of standard input, then end it and all it started.

This is a program of its own, so that a test that is killed, even by SIGKILL, leaves no server behind: the kernel
closes the pipe, and that is the order to end. It prints the server's process id, and ends when the server ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36


def children_of(parent: int) -> Iterator[int]:
    """Yield the process ids whose parent is *parent*, as /proc shows them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name stands in brackets and may hold anything; state and parent follow the last one.
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[1]) == parent:
                yield int(stat.parent.name)


def _adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own, so that none can get away."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _stop_at_end_of_input() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _reap_until(last: int) -> int:
    """Return the status of the process *last*, having reaped every orphan that ended before it."""
    while True:
        child, status = os.waitpid(-1, 0)
        if child == last:
            return abs(os.waitstatus_to_exitcode(status))


def _end_descendants() -> None:
    """Kill and reap until there is nobody left."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in children_of(os.getpid()):
                os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)


def main(command: list[str]) -> int:
    """Run *command* in a session of its own and return its status."""
    _adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    try:
        sys.stdout.write(f"{server.pid}\n")
        sys.stdout.flush()
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        return _reap_until(server.pid)
    finally:
        _end_descendants()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
