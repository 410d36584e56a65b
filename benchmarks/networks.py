# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between a contestant and the FTP server, and what went over it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from tests.servers import pure_ftpd
from tests.servers.certificates import Authority
from tests.servers.process import PASSIVE_PORTS
from tests.servers.server import FtpUser, ServerError

from .namespaces import current_network, enter_network, enter_new_network, own_network, tun_device
from .wire import Counter, Traffic

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.server import FtpServer

#: Nothing that any contestant's configuration would have to quote.
_USER = FtpUser("bench", "bench-password")

_LOOPBACK = "lo"
#: The two ends of the line to a far server, out of what RFC 2544 keeps for benchmarks.
_NEAR, _FAR = "198.18.0.1", "198.18.0.2"
_LINE = "line0"
_ROUND_TRIP = 0.02

_SECONDS_TO_SETTLE, _SECONDS_OF_SILENCE = 5.0, 0.1


class Network(t.Protocol):
    """A way to reach a Pure-FTPd that requires TLS for both connections."""

    def __str__(self) -> str:
        """Tell what it is, in a few words."""

    def open(self, directory: Path) -> contextlib.AbstractContextManager[FtpServer]:
        """Run the server in *directory*; who is started by this process reaches it until the block ends."""

    def listen(self) -> None:
        """Take in what is being counted, as has to be done often while anything is carried."""

    def traffic(self) -> Traffic:
        """Return what has gone over it until now, once nothing more comes."""

    def bytes_carried(self) -> int:
        """Return how many bytes have gone over it in both directions, with the headers of TCP and IP."""


class _Counted:
    """What all networks have in common: one device that everything goes over, and a counter on it."""

    device: str

    def __init__(self) -> None:
        self._counter: Counter | None = None

    @contextlib.contextmanager
    def counting(self, server: FtpServer) -> Iterator[None]:
        """Count what goes to *server* and comes from it until the block ends."""
        first, last = PASSIVE_PORTS
        with Counter(self.device, server.port, lambda port: first <= port <= last) as self._counter:
            yield
        self._counter = None

    def listen(self) -> None:
        assert self._counter is not None
        self._counter.listen()

    def traffic(self) -> Traffic:
        assert self._counter is not None
        deadline = time.monotonic() + _SECONDS_TO_SETTLE
        before = None
        while before != self._counter.traffic and time.monotonic() < deadline:
            before = self._counter.traffic
            time.sleep(_SECONDS_OF_SILENCE)
            self._counter.listen()
        return self._counter.traffic


class Loopback(_Counted):
    """The loopback device, one of this process's own where the kernel grants it."""

    device = _LOOPBACK

    def __init__(self) -> None:
        super().__init__()
        self._is_private = True

    def __str__(self) -> str:
        return "loopback" if self._is_private else "loopback, shared with whatever else runs on the machine"

    @contextlib.contextmanager
    def open(self, directory: Path) -> Iterator[FtpServer]:
        with (
            own_network() as self._is_private,
            pure_ftpd.pure_ftpd(directory, users=[_USER]) as server,
            self.counting(server),
        ):
            yield server

    def bytes_carried(self) -> int:
        # What is sent over loopback is received there: one of the two counters is both directions.
        received, _sent = _counters_of(self.device)
        return received


class Far(_Counted):
    """A server some way off, in a network of its own: a relay gives every packet its time."""

    device = _LINE

    def __init__(self, round_trip: float = _ROUND_TRIP) -> None:
        super().__init__()
        self._round_trip = round_trip

    def __str__(self) -> str:
        return f"a line with a round trip of {self._round_trip * 1000:.0f} ms"

    @contextlib.contextmanager
    def open(self, directory: Path) -> Iterator[FtpServer]:
        with contextlib.ExitStack() as stack:
            if not stack.enter_context(own_network()):
                message = "The kernel grants no network of our own, which a far server needs."
                raise ServerError(message)
            near = stack.enter_context(tun_device(self.device, _NEAR))
            here = stack.enter_context(current_network())
            enter_new_network()
            far = stack.enter_context(tun_device(self.device, _FAR))
            certificate = Authority(directory / "tls").issue(_FAR)
            server = stack.enter_context(
                pure_ftpd.pure_ftpd(directory, users=[_USER], certificate=certificate, host=_FAR)
            )
            enter_network(here)
            stack.enter_context(_relay(self._round_trip, near, far))
            stack.enter_context(self.counting(server))
            yield server

    def bytes_carried(self) -> int:
        return sum(_counters_of(self.device))


@contextlib.contextmanager
def _relay(round_trip: float, near: int, far: int) -> Iterator[None]:
    """Carry packets between two devices until the block ends."""
    words = [sys.executable, "-m", "benchmarks.relay", str(round_trip), str(near), str(far)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(near, far), start_new_session=True
    ) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        try:
            if relay.stdout.readline() != b"ready\n":
                message = "The relay did not come up."
                raise ServerError(message)
            yield
        finally:
            relay.stdin.close()


def _counters_of(device: str) -> tuple[int, int]:
    """Return the bytes that a device of this network has received and sent, with all headers."""
    for line in Path("/proc/thread-self/net/dev").read_text("ascii").splitlines():
        name, _colon, counters = line.strip().partition(":")
        if name == device:
            columns = counters.split()
            return int(columns[0]), int(columns[8])
    message = f"This machine has no device {device}."
    raise OSError(message)


def why_unavailable() -> str | None:
    """Say in one sentence why nothing can be measured here, or return None."""
    if os.geteuid() != 0:
        return "Only root can start the FTP server that everything is measured against."
    return pure_ftpd.why_unavailable()  # which also fetches it if need be: our own networks lead nowhere


def why_not_far() -> str | None:
    """Say in one sentence why there can be no far server here, or return None."""
    with own_network() as is_granted:
        if not is_granted:
            return "The kernel grants no network of our own."
        try:
            with tun_device(_LINE, _NEAR):
                return None
        except OSError as error:
            return f"There can be no TUN device: {error}."


NETWORKS: dict[str, Callable[[], Network]] = {"loopback": Loopback, "far": Far}
