# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data connection: opened passively, protected like the control connection, and ended so that both sides know.

RFC 959 (STOR, RETR, PASV), RFC 2428 (EPSV), RFC 4217 (TLS on data connections).
"""

from __future__ import annotations

import ftplib
import re
import socket
import ssl
import typing as t
from contextlib import contextmanager

from ..errors import InterruptedTransferError, StorageError, UnreachableError
from .control import Control, acknowledge, prepare_socket, seconds
from .replies import Reply, error_for, shown

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage import Buffer

_FINAL_REPLY_TIMEOUT = 60.0  # a server may flush a whole volume to disk before it says 226
_UNWRAP_TIMEOUT = 10.0
_PENDING_REPLY_WAIT = 2.0
_SETTLE_WAIT = 0.3
_NO_EPSV = (500, 501, 502, 522)
_SUCCESS = (226, 250)
_READING = ("RETR", "MLSD", "LIST")
_RECEIVE = 256 * 1024


class DataChannel:
    """Opens data connections for one control connection, and remembers which passive form works."""

    def __init__(self, control: Control, context: ssl.SSLContext | None) -> None:
        self._control = control
        self._context = context
        self._extended = True
        self._fences_early_close = "pure-ftpd" in control.greeting.text.lower()

    # -- opening

    def _passive_port(self) -> int:
        control = self._control
        if self._extended:
            reply = control.command("EPSV")
            port = _port_of_epsv(reply)
            if port is not None:
                return port
            if reply.code != 229 and reply.code not in _NO_EPSV:
                raise error_for(reply, f"Cannot open a passive data connection to {control.address}", in_transfer=True)
            self._extended = False
        reply = control.command("PASV")
        if reply.code != 227:
            raise error_for(reply, f"Cannot open a passive data connection to {control.address}", in_transfer=True)
        try:
            # The port only: the address that a server behind NAT announces is wrong, or a trap (CVE-2021-4189).
            return ftplib.parse227(reply.text.splitlines()[-1])[1]
        except ftplib.Error as error:
            control.close()
            raise InterruptedTransferError(f"The server's answer to PASV cannot be read: '{reply}'.") from error

    def _open(self, command: str, deed: str) -> socket.socket:
        """Send *command*, connect while it is on its way, and return the connection once the server said 1xx."""
        control = self._control
        port = self._passive_port()
        control.send(command)
        try:
            connection = socket.create_connection((control.peer, port), control.address.timeout)
        except OSError as error:
            reading = command.startswith(_READING)
            refusal = control.pending_reply(_PENDING_REPLY_WAIT)
            if refusal is not None and refusal.code >= 400:  # a server that says no may close its port at once
                raise error_for(refusal, deed, in_transfer=True, reading=reading) from error
            # The server still waits for us and will say so some day: this connection is out of step.
            control.close()
            raise UnreachableError(
                f"{deed}: cannot open the data connection to {control.address.host}:{port}"
                f" ({error.strerror or error}). Is the server's passive port range open in the firewall?"
            ) from error
        try:
            prepare_socket(connection)
            reply = control.reply()
            if not reply.is_preliminary:
                raise error_for(reply, deed, in_transfer=True, reading=command.startswith(_READING))
            control.acknowledge()
            return self._protected(connection, deed)
        except BaseException:
            connection.close()
            raise

    def _protected(self, connection: socket.socket, deed: str) -> socket.socket:
        if self._context is None:
            return connection
        try:
            return self._control.wrap(connection, self._context, deed, self._control.tls_session)
        except OSError as error:
            raise self._failed(deed, error) from error

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
            if reply is not None and reply.code >= 400:
                return error_for(reply, deed, in_transfer=True)
            control.close()
        return InterruptedTransferError(f"{deed}: the transfer broke ({words}).")

    # -- transfers

    def upload(self, command: str, chunks: Iterable[Buffer], deed: str) -> int:
        """Send what *chunks* yields and return how many bytes that were, once the server has confirmed them."""
        connection = self._open(command, deed)
        sent = 0
        try:
            for chunk in chunks:
                connection.sendall(chunk)
                sent += len(chunk)
            _end_of_data(connection)
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

    def _confirm(self, deed: str) -> Reply:
        reply = self._control.reply(timeout=max(_FINAL_REPLY_TIMEOUT, self._control.address.timeout))
        if reply.code not in _SUCCESS:
            if not 400 <= reply.code < 600:
                self._control.close()
            raise error_for(reply, deed, in_transfer=True)
        return reply

    @contextmanager
    def download(self, command: str, deed: str) -> Iterator[Download]:
        """Open a transfer towards us; leaving the block before its end closes it early and settles the control."""
        connection = self._open(command, deed)
        download = Download(connection, lambda error: self._failed(deed, error))
        try:
            yield download
        finally:
            at_end = download.is_at_end()
            connection.close()
            if not self._control.is_broken:
                if at_end:
                    download.final = self._confirm(deed)
                else:
                    self._settle()

    def _settle(self) -> None:
        """Bring the control connection back into step after a download was left early.

        Servers answer 426, 226, even a final 150, or nothing: then Pure-FTPd is asked for PWD, whose reply shows
        where it stands; of any other server the connection is given up.
        """
        control = self._control
        try:
            if control.pending_reply(_SETTLE_WAIT) is not None:
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
    """The bytes of one transfer towards us."""

    def __init__(self, connection: socket.socket, failed: t.Callable[[Exception], StorageError]) -> None:
        self._connection = connection
        self._failed = failed
        self._ended = False
        self._buffer = bytearray()
        self.final = Reply(226, "")

    def read(self, size: int) -> memoryview:
        """Return exactly *size* bytes, or fewer where the transfer ends; the next call overwrites them."""
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)
        filled = 0
        while filled < size and not self._ended:
            try:
                count = self._connection.recv_into(view[filled:], min(size - filled, _RECEIVE))
            except OSError as error:
                self._ended = False
                raise self._failed(error) from error
            self._ended = count == 0
            filled += count
        return view[:filled]

    def read_all(self) -> bytes:
        """Return everything to the end."""
        content = bytearray()
        acknowledge(self._connection)
        while piece := self.read(_RECEIVE):
            content += piece
        return bytes(content)

    def is_at_end(self) -> bool:
        """Tell whether the transfer has ended, looking for the end if all that was sent has been read."""
        if not self._ended:
            try:
                self._connection.settimeout(0.0)
                self._ended = self._connection.recv(1) == b""
            except (OSError, ValueError):
                return False
        return self._ended


def _end_of_data(connection: socket.socket) -> None:
    """Say that the data ends here; a failed farewell alone is no error, the size on the server decides."""
    if not isinstance(connection, ssl.SSLSocket):
        return
    connection.settimeout(_UNWRAP_TIMEOUT)
    try:
        connection.unwrap()
    except (OSError, ValueError):
        return


def _port_of_epsv(reply: Reply) -> int | None:
    """Return the port of a 229 reply, ``229 … (|||6446|)``, or None where it is malformed."""
    if reply.code != 229:
        return None
    found = re.search(r"\(([!-~])\1\1(\d{1,5})\1\)", reply.text)
    port = int(found.group(2)) if found else 0
    return port if 0 < port < 65536 else None
