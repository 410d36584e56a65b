# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted server's connections: the control connection, by lines, and data connections, by how they end."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import struct
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .faults import End

_CHUNK = 64 * 1024
_LONGEST_LINE = 1024 * 1024
# What is this long may be the first piece of a window whose next one is on its way.
_A_PIECE = 1024
_SECONDS_TO_THE_NEXT_PIECE = 0.025
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_HUNG_UP = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class GoneError(ConnectionError):
    """The connection has ended, whoever ended it."""


class Sockets:
    """All that is open, so that the server's end wakes whatever thread waits on one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_over = False

    def add(self, connection: socket.socket) -> None:
        """Keep *connection* in mind; after the end there are no new ones."""
        with self._lock:
            if not self._is_over:
                self._open.add(connection)
                return
        connection.close()
        raise GoneError

    def replace(self, connection: socket.socket, by: socket.socket) -> None:
        """Keep in mind that *by* has taken the place of *connection*, which is no more."""
        with self._lock:
            self._open.discard(connection)
        self.add(by)

    def close(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
            connection.close()

    def shut(self) -> None:
        """End every connection, and refuse those to come; their threads close them."""
        with self._lock:
            self._is_over = True
            for connection in self._open:
                shut_down(connection, socket.SHUT_RDWR)


def shut_down(connection: socket.socket, how: int) -> None:
    """Shut *connection* down below TLS, which may be in use by another thread."""
    with contextlib.suppress(OSError):  # it has ended already
        socket.socket.shutdown(connection, how)


def secured(connection: socket.socket, context: ssl.SSLContext, sockets: Sockets) -> ssl.SSLSocket:
    """Do the handshake on *connection* and return what takes its place; an end without close_notify is an error."""
    wrapped = context.wrap_socket(
        connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    sockets.replace(connection, wrapped)
    try:
        wrapped.do_handshake()
    except (OSError, ValueError) as error:
        sockets.close(wrapped)
        raise GoneError from error
    return wrapped


def close_as(connection: socket.socket, how: End, sockets: Sockets) -> None:
    """Close *connection*, telling the client what *how* stands for; it may be closed already."""
    if how == "rst":
        with contextlib.suppress(OSError):  # it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    else:
        if how == "clean" and isinstance(connection, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):  # nobody waits for the client's close_notify
                connection.settimeout(0.0)
                connection.unwrap()
        shut_down(connection, socket.SHUT_WR)
    sockets.close(connection)


class ControlWire:
    """One control connection, by lines.

    What is said goes out when nothing more is there to be heard, so that all the replies to a window of commands go
    together, and a *turn* is known from a window that came in pieces: it begins with what the client says after that.
    """

    def __init__(self, connection: socket.socket, sockets: Sockets, on_turn: Callable[[], None]) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.add(connection)
        self._connection = connection
        self._sockets = sockets
        self._on_turn = on_turn
        self._has_spoken = False
        self._heard = bytearray()
        self._heard_unanswered = 0
        self._said = bytearray()
        # The number outlives the change of objects when TLS begins.
        self._number = connection.fileno()
        self.host = str(connection.getsockname()[0])
        self.peer = str(connection.getpeername()[0])
        self.family = connection.family

    @property
    def is_secure(self) -> bool:
        return isinstance(self._connection, ssl.SSLSocket)

    def secure(self, context: ssl.SSLContext) -> None:
        """Begin TLS; what came in plain text before it is forgotten."""
        self._heard.clear()
        self._connection = secured(self._connection, context, self._sockets)

    # -- talking

    def say(self, content: bytes) -> None:
        self._said += content

    def flush(self) -> None:
        if self._said:
            content = bytes(self._said)
            self._said.clear()
            self._has_spoken = True
            self._heard_unanswered = 0
            self._connection.sendall(content)

    def line(self, idle_seconds: float | None = None) -> bytes:
        """Return the next line without its end; raise TimeoutError if nothing is heard for so long."""
        while b"\n" not in self._heard:
            if len(self._heard) > _LONGEST_LINE:
                raise GoneError
            self._hear(idle_seconds)
        line, _end, rest = self._heard.partition(b"\n")
        self._heard = bytearray(rest)
        return bytes(line).rstrip(b"\r")

    def _hear(self, idle_seconds: float | None) -> None:
        if not self._is_ready(_SECONDS_TO_THE_NEXT_PIECE if self._heard_unanswered > _A_PIECE else 0.0):
            self.flush()
            if not self._is_ready(idle_seconds):
                raise TimeoutError
        content = self._connection.recv(_CHUNK)
        if not content:
            with contextlib.suppress(OSError):  # it may have closed without listening
                self.flush()
            raise GoneError
        if self._has_spoken:
            self._has_spoken = False
            self._on_turn()
        self._heard += content
        self._heard_unanswered += len(content)

    def _is_ready(self, seconds: float | None) -> bool:
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return True
        return bool(_poll(seconds, {self._number: select.POLLIN}))

    # -- waiting, and the end

    def wait(self, seconds: float | None) -> None:
        """Let *seconds* pass, or all time; raise as soon as the connection ends."""
        self.wait_for(None, seconds)

    def wait_for(self, other: socket.socket | None, seconds: float | None) -> bool:
        """Tell whether *other* has something to read within *seconds*; raise as soon as this connection ends."""
        wanted = {self._number: select.POLLRDHUP}
        if other is not None:
            wanted[other.fileno()] = select.POLLIN
        ready = _poll(seconds, wanted)
        if self._number in ready:
            raise GoneError
        return bool(ready)

    def has_hung_up(self) -> bool:
        """Tell whether either side has ended it; to be asked under the lock under which it is closed."""
        return self._number < 0 or bool(_poll(0.0, {self._number: select.POLLRDHUP}))

    def close(self, how: End = "clean") -> None:
        if self._number >= 0:
            self._number = -1
            close_as(self._connection, how, self._sockets)


class DataWire:
    """One data connection."""

    def __init__(self, connection: socket.socket, sockets: Sockets) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.add(connection)
        self._connection = connection
        self._sockets = sockets

    def secure(self, context: ssl.SSLContext) -> None:
        self._connection = secured(self._connection, context, self._sockets)

    def send(self, content: memoryview) -> None:
        self._connection.sendall(content)

    def receive_into(self, buffer: memoryview) -> int:
        """Return how many bytes came; 0 is an end as it should be, GoneError one without close_notify."""
        try:
            return self._connection.recv_into(buffer)
        except ssl.SSLError as error:
            if not (isinstance(error, ssl.SSLEOFError) or (error.reason or "").startswith("UNEXPECTED_EOF")):
                raise
            # Before Python 3.13 a reset is told like a FIN, but only after a reset there is no way back either.
            if _poll(0.0, {self._connection.fileno(): select.POLLHUP}):
                raise ConnectionResetError from error
            raise GoneError from error

    def close(self, how: End = "fin") -> None:
        close_as(self._connection, how, self._sockets)


def _poll(seconds: float | None, wanted: dict[int, int]) -> set[int]:
    """Return which of the *wanted* sockets, by number, have what is wanted of them, or have ended."""
    poll = select.poll()
    for number, events in wanted.items():
        poll.register(number, events)
    timeout = None if seconds is None else math.ceil(seconds * 1000)
    return {number for number, events in poll.poll(timeout) if events & (wanted[number] | _HUNG_UP)}
