# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a data connection comes to be: we connect to the server, or the server connects to us.

RFC 959 (PASV, PORT), RFC 2428 (EPSV, EPRT).
"""

from __future__ import annotations

import ftplib
import re
import socket
import time
import typing as t
from contextlib import suppress

from ..errors import InterruptedTransferError, StorageError, UnreachableError
from .control import seconds
from .replies import Reply, error_for, out_of_step

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .control import Control
    from .known import Known

PENDING_REPLY_WAIT = 2.0
_NO_EPSV = (500, 501, 502, 504, 522)
_NO_REST = (500, 501, 502, 504)
_LISTING = ("MLSD", "LIST", "NLST")
_READING = ("RETR", *_LISTING)


class Answers:
    """The server's answers to the command of a transfer and to the REST before it, read as they come."""

    def __init__(self, control: Control, known: Known, commands: Sequence[str], deed: str) -> None:
        self._control = control
        self._known = known
        self._commands = list(commands)
        self._deed = deed
        self._reading = commands[-1].startswith(_READING)
        self._in_transfer = not commands[-1].startswith(_LISTING)  # before a listing, 450 may say that it is missing

    @property
    def are_complete(self) -> bool:
        return not self._commands

    def hear(self) -> None:
        """Read the next answer, and raise unless it says that the transfer begins."""
        reply = self._control.reply()
        command = self._commands.pop(0) if self._commands else ""
        if command.startswith("REST "):
            self._require_restart(reply)
        elif not command or not reply.is_preliminary:
            if not 400 <= reply.code < 600:
                self._control.close()
                raise out_of_step(reply, self._deed)
            raise error_for(reply, self._deed, in_transfer=self._in_transfer, reading=self._reading)

    def _require_restart(self, reply: Reply) -> None:
        if reply.code == 350:
            return
        # What was asked for after it comes from the beginning of the file.
        self._control.close()
        self._known.restarts = self._known.restarts and reply.code not in _NO_REST
        raise InterruptedTransferError(f"{self._deed}: the server answered '{reply}' to REST.", code=reply.code)


class Door(t.Protocol):
    """How a data connection comes to be."""

    @property
    def prelude(self) -> str:
        """The command that arranges for the connection."""

    def prepare(self, reply: Reply) -> None:
        """Take the server's answer to the prelude."""

    def open(self, deed: str, answers: Answers, buffer: int | None) -> socket.socket:
        """Return the connection, once the command that needs it is on its way.

        Of the *answers* to it, what does not come first is left to the caller. *buffer* bounds what the kernel receives
        ahead, in bytes.
        """

    def close(self) -> None:
        """Let nobody in any more."""


class PassiveDoor:
    """The server listens, and has told its port; we connect."""

    def __init__(self, control: Control, known: Known) -> None:
        self._control = control
        self._known = known
        self._port = 0
        # Decided here, once: others may learn something else before the server has answered. PASV is for IPv4 alone.
        self._is_extended = known.extended_passive or control.family != socket.AF_INET

    @property
    def prelude(self) -> str:
        return "EPSV" if self._is_extended else "PASV"

    def prepare(self, reply: Reply) -> None:
        if self._is_extended:
            port = _port_of_epsv(reply)
            if port is not None:
                self._port = port
                return
            if self._control.family != socket.AF_INET or (reply.code != 229 and reply.code not in _NO_EPSV):
                raise self._refused(reply)
            self._is_extended = self._known.extended_passive = False
            reply = self._control.command("PASV")
        self._port = self._port_of_pasv(reply)

    def _port_of_pasv(self, reply: Reply) -> int:
        """Return the port of a 227 reply.

        The port only: the address that a server behind NAT announces is wrong, or a trap (CVE-2021-4189).
        """
        if reply.code != 227:
            raise self._refused(reply)
        with suppress(ftplib.Error):
            port = ftplib.parse227(reply.text.splitlines()[-1])[1]
            if 0 < port < 65536:
                return port
        self._control.close()
        raise InterruptedTransferError(f"The server's answer to PASV cannot be read: '{reply}'.")

    def _refused(self, reply: Reply) -> StorageError:
        return error_for(reply, f"Cannot open a passive data connection to {self._control.address}", in_transfer=True)

    def open(self, deed: str, answers: Answers, buffer: int | None) -> socket.socket:
        control = self._control
        connection = socket.socket(control.family, socket.SOCK_STREAM)
        try:
            if buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            connection.settimeout(control.address.timeout)
            connection.connect(control.at_peer(self._port))
        except OSError as error:
            connection.close()
            try:
                while control.has_pending(PENDING_REPLY_WAIT):
                    answers.hear()  # a server that says no may close its port at once
            except InterruptedTransferError as refusal:
                if refusal.code is not None:  # else the control connection has broken, and that was the reason
                    self._turn()
                raise
            self._turn()
            raise UnreachableError(
                f"{deed}: cannot open the data connection to {control.address.host}:{self._port}"
                f" ({error.strerror or error}). Is the server's passive port range open in the firewall?"
            ) from error
        return connection

    def _turn(self) -> None:
        """Have the next attempt ask in the other way: some firewalls know only that one."""
        self._known.extended_passive = not self._is_extended

    def close(self) -> None:
        return


class ActiveDoor:
    """We listen, on the one address that the server knows of us, and the server connects."""

    def __init__(self, control: Control) -> None:
        self._control = control
        try:
            self._listener = socket.create_server(control.at_local(0), family=control.family, backlog=4)
        except OSError as error:
            raise UnreachableError(
                f"Cannot listen on {control.local} for data connections: {error.strerror or error}."
            ) from error

    @property
    def prelude(self) -> str:
        host, port = self._listener.getsockname()[:2]
        if self._control.family == socket.AF_INET6:
            return f"EPRT |2|{host.partition('%')[0]}|{port}|"
        return f"PORT {host.replace('.', ',')},{port >> 8},{port & 0xFF}"

    def prepare(self, reply: Reply) -> None:
        if not reply.is_success:
            deed = f"Cannot arrange for {self._control.address} to open data connections"
            raise error_for(reply, deed, in_transfer=True)

    def open(self, deed: str, answers: Answers, buffer: int | None) -> socket.socket:
        control = self._control
        if buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._listener.settimeout(0)
        deadline = time.monotonic() + control.address.timeout
        while (wait := deadline - time.monotonic()) > 0:
            if control.has_pending(wait, self._listener):
                answers.hear()
            with suppress(BlockingIOError):
                connection, peer = self._listener.accept()
                if peer[0] == control.peer:
                    connection.settimeout(control.address.timeout)
                    return connection
                connection.close()  # a stranger who was faster
        raise UnreachableError(
            f"{deed}: {control.address.host} did not open the data connection to {control.local} within"
            f" {seconds(control.address.timeout)}. Behind a firewall or NAT only passive: true works."
        )

    def close(self) -> None:
        self._listener.close()


def _port_of_epsv(reply: Reply) -> int | None:
    """Return the port of a 229 reply, ``229 … (|||6446|)``, or None where it is malformed."""
    if reply.code != 229:
        return None
    found = re.search(r"\(([!-~])\1\1(\d{1,5})\1\)", reply.text)
    port = int(found.group(2)) if found else 0
    return port if 0 < port < 65536 else None
