# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a server process on a free port, know when it is ready, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import guardian
from .server import LOOPBACK, ServerError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Below the range from which Linux takes ports for outgoing connections.
PASSIVE_PORTS = (20000, 31999)

_ATTEMPTS = 3
_SECONDS_TO_START = 20.0
_LISTENING = "0A"


@dataclass(frozen=True)
class Started:
    """A server that listens and has greeted."""

    pid: int
    port: int


def free_port(host: str = LOOPBACK) -> int:
    """Return a port nobody listens on at this moment; whoever binds it must be ready to lose the race."""
    with socket.create_server((host, 0), family=_family(host)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def started(
    command: Callable[[int], Sequence[str]],
    *,
    log: Path,
    is_greeting: Callable[[bytes], bool] = bool,
    is_up: Callable[[int], bool] | None = None,
    host: str = LOOPBACK,
) -> Iterator[Started]:
    """Run *command* of a free port until the block ends; what it prints goes to *log*.

    A server that is spoken to first, and always has processes of its own, cannot be known by its greeting: *is_up*
    tells of its port whether it serves. Raises ServerError with the end of the log when it does not come to greet.
    """
    with contextlib.ExitStack() as running:
        yield _start(command, running, log=log, is_greeting=is_greeting, is_up=is_up, host=host)


def _start(
    command: Callable[[int], Sequence[str]],
    running: contextlib.ExitStack,
    *,
    log: Path,
    is_greeting: Callable[[bytes], bool],
    is_up: Callable[[int], bool] | None,
    host: str,
) -> Started:
    """Start the server, which ends with *running*; one that loses the race for its port gets another."""
    for _attempt in range(_ATTEMPTS):
        port = free_port(host)
        with contextlib.ExitStack() as attempt:
            pid, has_ended = attempt.enter_context(_guarded(command(port), log))
            if _comes_up(pid, (host, port), has_ended, is_greeting, is_up):
                running.push(attempt.pop_all())
                return Started(pid, port)
    raise ServerError(f"{command(0)[0]} did not start; the end of its log: {_tail(log)}")


def sessions_of(pid: int) -> int:
    """Count the processes a server has started for its connections at this moment."""
    return len(list(guardian.children_of(pid)))


@contextlib.contextmanager
def _guarded(command: Sequence[str], log: Path) -> Iterator[tuple[int, Callable[[], bool]]]:
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-I", guardian.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        first_line = keeper.stdout.readline().strip()
        if not first_line:
            raise ServerError(f"{command[0]} could not be run; the end of its log: {_tail(log)}")
        yield int(first_line), lambda: keeper.poll() is not None
    finally:
        # Closing the pipe would do, were it not for a forked child of ours that may hold it open.
        keeper.terminate()
        keeper.stdin.close()
        keeper.wait()
        keeper.stdout.close()


def _comes_up(
    pid: int,
    address: tuple[str, int],
    has_ended: Callable[[], bool],
    is_greeting: Callable[[bytes], bool],
    is_up: Callable[[int], bool] | None,
) -> bool:
    """Wait until the server itself, not a stranger on the same port, listens and greets."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and not has_ended():
        if _listens(pid, address[1]):
            if is_up is not None:
                if is_up(address[1]):
                    return True
            elif is_greeting(_greeting(address)):
                return _is_idle(pid, deadline)
        time.sleep(0.01)
    return False


def _listens(pid: int, port: int) -> bool:
    """Tell whether a listening socket on *port* belongs to the process."""
    try:
        held = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return False
    return any(f"socket:[{inode}]" in held for inode in _listening_inodes(port))


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                column = line.split()
                if column[3] == _LISTENING and int(column[1].rpartition(":")[2], 16) == port:
                    yield column[9]


def _greeting(address: tuple[str, int]) -> bytes:
    """Return what the server says to a newcomer who leaves at once."""
    try:
        with socket.create_connection(address, timeout=_SECONDS_TO_START) as connection:
            connection.sendall(b"QUIT\r\n")
            return b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return b""


def _is_idle(pid: int, deadline: float) -> bool:
    """Wait until our own visit no longer counts among the server's connections."""
    while sessions_of(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-2000:] or "(empty)"
