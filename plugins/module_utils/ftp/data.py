# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data connection: opened in either direction, protected like the control connection, and ended so that both know.

RFC 959 (STOR, RETR, PASV, PORT), RFC 2428 (EPSV, EPRT), RFC 4217 (TLS on data connections).
"""

from __future__ import annotations

import ftplib
import re
import select
import socket
import ssl
import time
import typing as t
from contextlib import contextmanager, suppress

from ..errors import InterruptedTransferError, StorageError, UnreachableError
from .control import Control, acknowledge, is_cut_off, prepare_socket, seconds
from .replies import Reply, error_for, out_of_step, shown

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage import Buffer
    from .bandwidth import Bandwidth
    from .known import Known

_FINAL_REPLY_TIMEOUT = 60.0  # a server may flush a whole volume to disk before it says 226
_FAREWELL_TIMEOUT = 10.0
_PENDING_REPLY_WAIT = 2.0
_SETTLE_WAIT = 0.3
_NO_EPSV = (500, 501, 502, 504, 522)
_NO_REST = (500, 501, 502, 504)
_SUCCESS = (226, 250)
_LISTING = ("MLSD", "LIST", "NLST")
_READING = ("RETR", *_LISTING)
_RECEIVE = 256 * 1024
_SMALL = 128 * 1024  # a slice up to this size gets a receive buffer no larger than it needs
_LEAST_BUFFER = 16 * 1024
_READ_ON = 64 * 1024  # so close to the end of a file it is cheaper to read on than to break off
_WANTS_REUSE = (425, 450, 522)


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
                while control.has_pending(_PENDING_REPLY_WAIT):
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


class DataChannel:
    """Opens data connections for one control connection."""

    def __init__(self, control: Control, context: ssl.SSLContext | None, known: Known, bandwidth: Bandwidth) -> None:
        self._control = control
        self._context = context
        self._known = known
        self._bandwidth = bandwidth
        self._fences_early_close = "pure-ftpd" in control.greeting.text.lower()
        self.has_resumed: bool | None = None

    # -- opening

    def _open(
        self, command: str, deed: str, *, offset: int = 0, before: Sequence[str] = (), buffer: int | None = None
    ) -> tuple[socket.socket, list[Reply]]:
        """Send *command*, connect while it is on its way, and return the connection once the server said 1xx.

        The commands *before* are asked on the way, and their replies returned as well.
        """
        control = self._control
        door: Door = PassiveDoor(control, self._known) if control.address.passive else ActiveDoor(control)
        try:
            *replies, reply = control.exchange([*before, door.prelude])
            door.prepare(reply)
            expected = [command] if not offset else [f"REST {offset}", command]
            control.send(*expected)
            answers = Answers(control, self._known, expected, deed)
            connection = self._connected(door, deed, answers, buffer)
        finally:
            door.close()
        try:
            prepare_socket(connection)
            while not answers.are_complete:
                answers.hear()
            control.acknowledge()
            return self._protected(connection, deed), replies
        except BaseException:
            connection.close()
            raise

    def _connected(self, door: Door, deed: str, answers: Answers, buffer: int | None) -> socket.socket:
        try:
            return door.open(deed, answers, buffer)
        except UnreachableError:
            # The server still waits for us and will say so some day: this connection is out of step.
            self._control.close()
            raise

    def _protected(self, connection: socket.socket, deed: str) -> socket.socket:
        if self._context is None:
            return connection
        try:
            # Offered, not demanded: Pure-FTPd resumes no session of TLS 1.3, others refuse what is not resumed.
            wrapped = self._control.wrap(connection, self._context, deed, self._control.tls_session)
        except OSError as error:
            raise self._failed(deed, error) from error
        self.has_resumed = wrapped.session_reused
        return wrapped

    def _failed(self, deed: str, error: Exception) -> StorageError:
        """Return why a transfer failed: the server's pending words if there are any, else what the socket said.

        Without such a reply the control connection is out of step, and is closed.
        """
        control = self._control
        words = getattr(error, "strerror", None) or shown(str(error)) or type(error).__name__
        if isinstance(error, (TimeoutError, socket.timeout)):
            words = f"no byte moved for {seconds(control.address.timeout)}"
        if not control.is_broken:
            try:
                reply = control.pending_reply(_PENDING_REPLY_WAIT)
            except StorageError:
                reply = None
            if reply is not None and 400 <= reply.code < 600:
                return self._refusal(reply, deed)
            control.close()
        return InterruptedTransferError(f"{deed}: the transfer broke ({words}).")

    def _refusal(self, reply: Reply, deed: str) -> StorageError:
        """Return the error for what the server said of a transfer that had begun."""
        if reply.code in _WANTS_REUSE and self.has_resumed is False:
            return InterruptedTransferError(
                f"{deed}: the server answered '{reply}'. It did not resume the TLS session of the control connection"
                " on the data connection, and may demand just that: look for its setting of TLS session reuse.",
                code=reply.code,
                lacks_reuse=True,
            )
        return error_for(reply, deed, in_transfer=True)

    # -- transfers

    def upload(self, command: str, chunks: Iterable[Buffer], deed: str) -> int:
        """Send what *chunks* yields and return how many bytes that were, once the server has confirmed them."""
        connection, _replies = self._open(command, deed)
        sent = 0
        try:
            for chunk in chunks:
                self._send(connection, chunk)
                sent += len(chunk)
            self._end_of_data(connection)
        except OSError as error:
            connection.close()
            raise self._failed(deed, error) from error
        except BaseException:
            # Whoever yields the chunks has given up; the server must not take what it has for the whole.
            connection.close()
            self._control.close()
            raise
        connection.close()
        self._confirm(deed)
        return sent

    def _send(self, connection: socket.socket, chunk: Buffer) -> None:
        """Send all of *chunk*; the time limit holds for each stretch in which nothing moves, not for all of it."""
        if self._bandwidth.is_limited or not isinstance(connection, ssl.SSLSocket):
            rest = memoryview(chunk)
            while rest:
                piece = rest[: self._bandwidth.piece]
                self._bandwidth.spend(len(piece))
                rest = rest[connection.send(piece) :]
        else:
            connection.sendall(chunk)  # record by record, each with a limit of its own

    def _end_of_data(self, connection: socket.socket) -> None:
        """Say that the data ends here, and wait for the server's farewell, or for its reply if that is first.

        A failed farewell alone is no error: the size on the server decides.
        """
        if not isinstance(connection, ssl.SSLSocket):
            return
        connection.settimeout(0)
        deadline = time.monotonic() + _FAREWELL_TIMEOUT
        while (wait := deadline - time.monotonic()) > 0:
            try:
                connection.unwrap()
            except ssl.SSLWantReadError:
                if self._control.has_pending(wait, connection):
                    return
            except ssl.SSLWantWriteError:
                select.select([], [connection], [], wait)
            except (OSError, ValueError):
                return
            else:
                return

    def _confirm(self, deed: str) -> Reply:
        reply = self._control.reply(timeout=max(_FINAL_REPLY_TIMEOUT, self._control.address.timeout))
        if reply.code not in _SUCCESS:
            if not 400 <= reply.code < 600:
                self._control.close()
                raise out_of_step(reply, deed)
            raise self._refusal(reply, deed)
        return reply

    @contextmanager
    def download(
        self,
        command: str,
        deed: str,
        *,
        offset: int = 0,
        length: int | None = None,
        before: Sequence[str] = (),
    ) -> Iterator[Download]:
        """Open a transfer towards us, from *offset* on; leaving the block before its end closes it early.

        *length* is how much of it will be read, if that is known. The replies to the commands *before* are in
        :attr:`Download.before`.
        """
        buffer = max(_LEAST_BUFFER, length) if length is not None and length <= _SMALL else None
        connection, replies = self._open(command, deed, offset=offset, before=before, buffer=buffer)
        download = Download(connection, lambda error: self._failed(deed, error), self._bandwidth, replies)
        try:
            yield download
        finally:
            if not (self._control.is_broken or download.has_failed):
                at_end = download.reaches_end(_SETTLE_WAIT)
                connection.close()
                if at_end:
                    download.final = self._confirm(deed)
                else:
                    self._settle()
            connection.close()

    def _settle(self) -> None:
        """Bring the control connection back into step after a download was left early.

        Servers answer 426, 226, even a final 150, or nothing: then Pure-FTPd is asked for PWD, whose reply shows
        where it stands; of any other server the connection is given up.
        """
        control = self._control
        try:
            if control.pending_reply(_SETTLE_WAIT + control.round_trip) is not None:
                return
            if not self._fences_early_close:
                control.close()
                return
            control.send("PWD")
            while control.reply().code != 257:
                pass
        except StorageError:
            control.close()


class Download:
    """The bytes of one transfer towards us; *before* holds the replies to what was asked on the way."""

    def __init__(
        self,
        connection: socket.socket,
        failed: Callable[[Exception], StorageError],
        bandwidth: Bandwidth,
        before: Sequence[Reply] = (),
    ) -> None:
        self._connection = connection
        self._tell = failed
        self._bandwidth = bandwidth
        self._ended = False
        self.has_failed = False
        self._cut_off: Exception | None = None
        self._buffer = bytearray()
        self.before = before
        self.final = Reply(226, "")

    def read(self, size: int) -> memoryview:
        """Return exactly *size* bytes, or fewer where the transfer ends; the next call overwrites them.

        Where TLS ended without a farewell and bytes are missing, nobody knows whether that was the end.
        """
        view = self._read(size)
        if len(view) < size and self._cut_off is not None:
            raise self._failure(self._cut_off) from self._cut_off
        return view

    def _read(self, size: int) -> memoryview:
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)
        filled = 0
        while filled < size and not self._ended:
            filled += self._receive(view[filled : min(size, filled + self._bandwidth.piece)])
        return view[:filled]

    def _receive(self, view: memoryview) -> int:
        try:
            count = self._connection.recv_into(view)
        except OSError as error:
            if not is_cut_off(error):
                raise self._failure(error) from error
            self._cut_off, count = error, 0
        self._ended = count == 0
        self._bandwidth.spend(count)
        return count

    def _failure(self, error: Exception) -> StorageError:
        """Return what to raise for *error*; the server's final words are then read already."""
        self.has_failed = True
        return self._tell(error)

    def skip(self, count: int) -> None:
        """Read *count* bytes for nothing."""
        while count > 0 and (passed := len(self.read(min(count, _RECEIVE)))):
            count -= passed

    def read_all(self, size: int | None = None) -> bytes:
        """Return everything to the end; without the *size* that is expected, TLS must have ended with a farewell."""
        content = bytearray()
        acknowledge(self._connection)
        while piece := self._read(_RECEIVE):
            content += piece
        if self._cut_off is not None and len(content) != size:
            raise self._failure(self._cut_off) from self._cut_off
        return bytes(content)

    def reaches_end(self, wait: float) -> bool:
        """Tell whether the transfer has ended, reading on for a moment if it may be close to that."""
        left = _READ_ON
        deadline = time.monotonic() + wait
        with suppress(OSError, ValueError):  # nothing comes, or it has broken: then it did not end well
            while not self._ended and left > 0 and (rest := deadline - time.monotonic()) > 0:
                self._connection.settimeout(rest)
                count = len(self._connection.recv(left))
                self._ended = count == 0
                left -= count
        return self._ended


def _port_of_epsv(reply: Reply) -> int | None:
    """Return the port of a 229 reply, ``229 … (|||6446|)``, or None where it is malformed."""
    if reply.code != 229:
        return None
    found = re.search(r"\(([!-~])\1\1(\d{1,5})\1\)", reply.text)
    port = int(found.group(2)) if found else 0
    return port if 0 < port < 65536 else None
