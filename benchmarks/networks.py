# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between a contestant and the FTP server, and how many bytes went over it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

from tests.servers.certificates import Authority
from tests.servers.pure_ftpd import pure_ftpd
from tests.servers.server import LOOPBACK, FtpUser, ServerError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.server import FtpServer

#: Nothing that any contestant's configuration would have to quote.
_USER = FtpUser("bench", "bench-password")

#: Where the relay of a far network stands, and the ports that it carries; enough that none is still in use.
_RELAY = "127.0.0.2"
_PASSIVE = (30000, 30999)

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_UP_AND_RUNNING = 0x1 | 0x40


class Network(t.Protocol):
    """A way to reach a Pure-FTPd that requires TLS for both connections."""

    def __str__(self) -> str:
        """Tell what it is, in a few words."""

    def open(self, directory: Path) -> contextlib.AbstractContextManager[FtpServer]:
        """Run the server in *directory*; who is started by this process reaches it until the block ends."""

    def bytes_carried(self) -> int:
        """Return how many bytes have gone over it in both directions, with the headers of TCP and IP."""


class Loopback:
    """The loopback device, one of this process's own where the kernel grants it."""

    def __init__(self) -> None:
        self._is_private = False

    def __str__(self) -> str:
        return "loopback" if self._is_private else "loopback, shared with whatever else runs on the machine"

    @contextlib.contextmanager
    def open(self, directory: Path) -> Iterator[FtpServer]:
        self._is_private = self._is_private or _enter_own_network()
        with pure_ftpd(directory, users=[_USER]) as server:
            yield server

    def bytes_carried(self) -> int:
        for line in Path("/proc/self/net/dev").read_text("ascii").splitlines():
            name, _colon, counters = line.strip().partition(":")
            if name == "lo":
                # What is sent over loopback is received there: one of the two counters is both directions.
                return int(counters.split()[0])
        message = "This machine has no loopback device."
        raise OSError(message)


class Far(Loopback):
    """A server some way off: a relay on this machine gives every byte and every connection its time."""

    def __init__(self, round_trip: float) -> None:
        super().__init__()
        self._round_trip = round_trip

    def __str__(self) -> str:
        return f"a round trip of {self._round_trip * 1000:.0f} ms, by a relay on {super().__str__()}"

    @contextlib.contextmanager
    def open(self, directory: Path) -> Iterator[FtpServer]:
        self._is_private = self._is_private or _enter_own_network()
        certificate = Authority(directory / "tls").issue(LOOPBACK, _RELAY)
        passive = f"{_PASSIVE[0]}:{_PASSIVE[1]}"
        with pure_ftpd(directory, users=[_USER], certificate=certificate, arguments=["-p", passive]) as server:
            spans = [str(server.port), f"{_PASSIVE[0]}-{_PASSIVE[1]}"]
            command = [sys.executable, "-m", "benchmarks.relay", _RELAY, server.host, str(self._round_trip), *spans]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as relay:
                assert relay.stdout is not None
                if relay.stdout.readline() != b"ready\n":
                    message = "The relay did not come up."
                    raise ServerError(message)
                yield replace(server, host=_RELAY)
                assert relay.stdin is not None
                relay.stdin.close()


def _enter_own_network() -> bool:
    """Give this process and those it starts a network with nothing but loopback, and tell whether that was granted.

    The counters there know of nobody else, and a delay laid on it disturbs nobody.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP_AND_RUNNING))
    return True


def why_unavailable() -> str | None:
    """Say in one sentence why nothing can be measured here, or return None."""
    if os.geteuid() != 0:
        return "Only root can start the FTP server that everything is measured against."
    return None


NETWORKS: dict[str, Callable[[], Network]] = {"loopback": Loopback, "far": lambda: Far(0.02)}
