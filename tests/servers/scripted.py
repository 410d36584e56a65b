# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An FTP server that keeps what it is given, and misbehaves where a test tells it to: see `faults`.

Files lie on disk, so a backup and a restore through it work. It plays servers that no laboratory has (`personalities`),
counts its connections exactly, and remembers what it was told. One thread serves one connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import typing as t
from collections import Counter
from dataclasses import dataclass

from .certificates import issued, told_of_cuts
from .conversation import Conversation
from .faults import Plan
from .personalities import UNIX
from .server import LOOPBACK, FtpServer, FtpUser, ServerError, seen_by_first
from .wires import ControlWire, Sockets, shut_down

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from .certificates import Certificate
    from .faults import End, Fault
    from .personalities import Personality
    from .transfers import Ending

_BACKLOG = 128
_SECONDS_TO_END = 5.0
_BUSY_USER = "530 Sorry, the maximum number of clients (%d) for this user are already connected."


def why_unavailable() -> str | None:
    """Return None: whoever can import this file can run the server."""
    return None


@dataclass(frozen=True)
class Heard:
    """One command, as it came, on the connection with this number; the first one's is 1."""

    connection: int
    line: str

    @property
    def verb(self) -> str:
        return self.line.partition(" ")[0].upper()

    @property
    def argument(self) -> str:
        return self.line.partition(" ")[2]


@dataclass(frozen=True)
class Upload:
    """How many bytes of an upload came, and how they ended.

    "closed" is an end as it should be, "cut" one without TLS's close_notify, "reset" one by RST; at its "limit" it was
    the server that stopped reading.
    """

    connection: int
    name: str
    size: int
    ending: Ending


@dataclass(frozen=True)
class Places:
    """How many clients there may be at once (0: any number), when one too many is told so, and how."""

    count: int
    busy_at: t.Literal["greeting", "login"]
    busy_reply: str

    def refusal(self, taken: int, *, at_login: bool) -> str | None:
        """Return what one more client is told now, if there is no place for it."""
        is_time = at_login == (self.busy_at == "login")
        return self.busy_reply.replace("%d", str(self.count)) if is_time and 0 < self.count <= taken else None


class ScriptedServer:
    """One running server: its *facts*, what it has seen, and the faults that await its clients.

    A connection counts from the moment it is accepted until either side has closed it. It has a place, of which there
    may be few, from the greeting or from its login on, as the server was told.
    """

    def __init__(
        self,
        directory: Path,
        users: Sequence[FtpUser],
        *,
        personality: Personality,
        faults: Sequence[Fault],
        contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
        places: Places,
        idle_seconds: float | None,
        refused: Collection[str],
        requires_close_notify: bool,
    ) -> None:
        self.directory = directory
        self.users = {user.username: user for user in users}
        self.personality = personality
        self.faults = Plan(faults)
        self.context, self.data_context = contexts
        self.idle_seconds = idle_seconds
        self.refused = frozenset(verb.upper() for verb in refused)
        self.requires_close_notify = requires_close_notify
        self.sockets = Sockets()
        self.renaming = threading.Lock()
        self.facts: FtpServer
        self._places = places
        self._lock = threading.Lock()
        self._wires: dict[int, ControlWire] = {}
        self._seats: dict[int, str | None] = {}
        self._heard: list[Heard] = []
        self._uploads: list[Upload] = []
        self._turns: Counter[int] = Counter()
        self._accepted = 0
        self._data_connections = 0
        self._turned_away = 0
        self._most_connections = 0
        self._most_sessions = 0

    # -- what a test sees

    @property
    def heard(self) -> list[Heard]:
        """Every command so far, PASS with its password."""
        with self._lock:
            return list(self._heard)

    def commands(self, verb: str) -> list[str]:
        """Return the argument of each command with *verb* so far."""
        return [heard.argument for heard in self.heard if heard.verb == verb.upper()]

    @property
    def logins(self) -> int:
        """How often a password was sent."""
        return len(self.commands("PASS"))

    @property
    def connections(self) -> int:
        """How many control connections are open now."""
        with self._lock:
            return len(self._present())

    @property
    def accepted(self) -> int:
        """How many control connections there were."""
        with self._lock:
            return self._accepted

    @property
    def most_connections(self) -> int:
        """How many control connections were open at the same time, those that were turned away among them."""
        with self._lock:
            return self._most_connections

    @property
    def most_sessions(self) -> int:
        """How many were logged in at the same time."""
        with self._lock:
            return self._most_sessions

    @property
    def turned_away(self) -> int:
        """How often there was no place."""
        with self._lock:
            return self._turned_away

    @property
    def turns(self) -> Mapping[int, int]:
        """By connection: how often the client began to speak after the server had; a missing one never did."""
        with self._lock:
            return Counter(self._turns)

    @property
    def data_connections(self) -> int:
        """How many data connections there were."""
        with self._lock:
            return self._data_connections

    @property
    def uploads(self) -> list[Upload]:
        """Every upload that has come to an end."""
        with self._lock:
            return list(self._uploads)

    # -- what a test does

    def plan(self, fault: Fault) -> None:
        """Let *fault* strike, too; it comes after those planned before."""
        self.faults.add(fault)

    def forget_faults(self) -> None:
        """Behave from now on."""
        self.faults.forget()

    @property
    def faults_left(self) -> tuple[Fault, ...]:
        """Those that have not struck as often as they should; one that has no end, if it never did."""
        return self.faults.left()

    # -- what conversations need

    def arrive(self, connection: socket.socket) -> tuple[int, ControlWire]:
        """Count a connection that was accepted."""
        with self._lock:
            self._accepted += 1
            number = self._accepted
            wire = ControlWire(connection, self.sockets, lambda: self._note_turn(number))
            self._wires[number] = wire
            self._most_connections = max(self._most_connections, len(self._present()))
            return number, wire

    def seat(self, number: int, user: FtpUser | None) -> str | None:
        with self._lock:
            present = self._present()
            self._seats = {seated: name for seated, name in self._seats.items() if seated in present}
            taken = len(self._seats.keys() - {number})
            refusal = self._places.refusal(taken, at_login=user is not None)
            sessions = Counter(self._seats.values())
            if user and user.max_sessions is not None and sessions[user.username] >= user.max_sessions:
                refusal = _BUSY_USER.replace("%d", str(user.max_sessions))
            if refusal is not None:
                self._turned_away += 1
                return refusal
            if user or self._places.busy_at == "greeting":
                self._seats[number] = user.username if user else None
            self._most_sessions = max(self._most_sessions, sum(name is not None for name in self._seats.values()))
            return None

    def leave(self, number: int, how: End) -> None:
        with self._lock:
            # A client that sees the end and comes again must find the place free.
            wire = self._wires.pop(number, None)
            self._seats.pop(number, None)
            if wire is not None:
                wire.close(how)

    def _present(self) -> set[int]:
        """Return the connections that are open on both sides, whatever their threads have yet to notice."""
        return {number for number, wire in self._wires.items() if not wire.has_hung_up()}

    def note_command(self, number: int, line: str) -> None:
        with self._lock:
            self._heard.append(Heard(number, line))

    def _note_turn(self, number: int) -> None:
        with self._lock:
            self._turns[number] += 1

    def note_data(self) -> None:
        with self._lock:
            self._data_connections += 1

    def note_upload(self, number: int, name: str, size: int, ending: Ending) -> None:
        with self._lock:
            self._uploads.append(Upload(number, name, size, ending))


@contextlib.contextmanager
def scripted(
    directory: Path,
    *,
    tls: bool = True,
    users: Sequence[FtpUser] = (FtpUser(),),
    certificate: Certificate | None = None,
    data_certificate: Certificate | None = None,
    tls_version: ssl.TLSVersion | None = None,
    host: str = LOOPBACK,
    personality: Personality = UNIX,
    faults: Sequence[Fault] = (),
    max_clients: int = 0,
    busy_reply: str = "421 Too many connections (%d) from this IP",
    busy_at: t.Literal["greeting", "login"] = "greeting",
    idle_seconds: float | None = None,
    refused: Collection[str] = (),
    requires_close_notify: bool = False,
) -> Iterator[ScriptedServer]:
    """Serve *directory* from threads until the block ends; the first of *users* is the one to log in with.

    With *tls* both connections must use it, in this *tls_version* only if there is one, and data connections may show
    a *data_certificate* of their own. A client that says nothing for *idle_seconds* is told 421. The verbs *refused*
    are answered 502. An upload that ends without TLS's close_notify is answered 226, as most servers do, unless the
    server *requires_close_notify*.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for user in users:
        directory.joinpath(user.home).mkdir(exist_ok=True)
    certificate = issued(directory, certificate, tls=tls)
    context = _context(certificate, tls_version)
    server = ScriptedServer(
        directory,
        users,
        personality=personality,
        faults=faults,
        # A TLS session can only be resumed in the context it began in.
        contexts=(context, _context(data_certificate, tls_version) if tls and data_certificate else context),
        places=Places(max_clients, busy_at, busy_reply),
        idle_seconds=idle_seconds,
        refused=refused,
        requires_close_notify=requires_close_notify,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=_BACKLOG) as listener:
        address = (host, int(listener.getsockname()[1]))
        server.facts = seen_by_first(users, directory, certificate, address=address, pid=os.getpid())
        with _threads(server, listener):
            yield server


def _context(certificate: Certificate | None, version: ssl.TLSVersion | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = told_of_cuts(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(certificate.pem)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@contextlib.contextmanager
def _threads(server: ScriptedServer, listener: socket.socket) -> Iterator[None]:
    """Receive clients while the block runs, and end every thread with it."""
    guests: list[threading.Thread] = []
    porter = threading.Thread(target=_receive_all, args=(server, listener, guests), name="ftp-porter", daemon=True)
    porter.start()
    try:
        yield
    finally:
        shut_down(listener, socket.SHUT_RDWR)
        porter.join()
        server.sockets.shut()
        for guest in guests:
            guest.join(_SECONDS_TO_END)
            if guest.is_alive():
                raise ServerError(f"The thread {guest.name} of the scripted server did not end.")


def _receive_all(server: ScriptedServer, listener: socket.socket, guests: list[threading.Thread]) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return  # the listener was shut down
        try:
            number, wire = server.arrive(connection)
        except OSError:
            connection.close()  # it was left before it was received
            continue
        refusal = server.seat(number, None)
        conversation = Conversation(server, number, wire)
        guests[:] = [guest for guest in guests if guest.is_alive()]
        guests.append(
            threading.Thread(target=conversation.hold, args=(refusal,), name=f"ftp-guest-{number}", daemon=True)
        )
        guests[-1].start()
