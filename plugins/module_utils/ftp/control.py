# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control connection: commands out, replies in, TLS around both (RFC 959, RFC 4217).

Built on ``ftplib``, whose reply reader and address parsers are sound; its transfers are not used.
"""

from __future__ import annotations

import ftplib
import hashlib
import select
import socket
import ssl
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ..errors import InterruptedTransferError, RefusedError, TrustError, UnreachableError, UsageError
from .replies import Reply, error_for, shown

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOW = 50  # commands sent before their replies are read; 60 at once worked on every server tried
# Pure-FTPd reads 4 KiB at a time and then waits for the socket: what TLS had unpacked beyond that is never looked at.
_RECORD = 2048
_REPLY_LINES = 10_000
_GOODBYE = 421
_IGNORE_UNEXPECTED_EOF = 0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF; Python 3.9 sets it, which hides a cut-off download
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


@dataclass(frozen=True)
class Address:
    """Where a server is, who we are there, and how its certificate is judged."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    timeout: float = 30.0
    tls: bool = True
    validate_certs: bool = True
    ca_path: str | None = None
    certificate_fingerprints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def make_context(address: Address) -> ssl.SSLContext:
    """Return the one TLS context that all connections to *address* share, so that sessions can be resumed."""
    try:
        context = ssl.create_default_context(cafile=address.ca_path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"Cannot read the certificates of ca_path {address.ca_path}: {error}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not address.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.options &= ~ssl.Options(_IGNORE_UNEXPECTED_EOF)
    return context


def prepare_socket(connection: socket.socket) -> None:
    """Send small things at once, and notice a peer that is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def acknowledge(connection: socket.socket) -> None:
    """Tell the peer's machine at once that its last bytes have come.

    A peer without TCP_NODELAY holds the next ones back until then, and we would wait 40 ms before saying so.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):  # a connection that is gone says so when it is read
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _BoundedReplies(ftplib.FTP):
    """ftplib's control connection, which bounds a line but neither their number nor what they begin with."""

    def getmultiline(self) -> str:
        line = self.getline()
        if not line[:3].isdigit():
            raise ftplib.error_proto(line)
        if line[3:4] != "-":
            return line
        code, lines = line[:3], [line]
        while len(lines) < _REPLY_LINES:
            line = self.getline()
            lines.append(line)
            if line[:3] == code and line[3:4] != "-":
                return "\n".join(lines)
        raise ftplib.error_proto(f"a reply of more than {_REPLY_LINES} lines")


class Control:
    """One control connection; usable until :attr:`is_broken` says otherwise.

    Every method raises :class:`~..errors.StorageError`, and only that.
    """

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        self.address = address
        self.is_broken = False
        self._context = context
        self._ftp = _BoundedReplies(timeout=address.timeout, encoding="latin-1")
        self.greeting = self._connect()
        if context is not None:
            self._secure(context)

    # -- connecting

    def _connect(self) -> Reply:
        address = self.address
        with self._told_as(f"Cannot connect to {address}"):
            try:
                text = self._ftp.connect(address.host, address.port)
            except ftplib.error_proto as error:
                self.close()
                raise RefusedError(
                    f"Cannot connect to {address}: it does not speak FTP, its first words are '{shown(str(error))}'."
                ) from error
            except (ftplib.error_temp, ftplib.error_perm) as error:
                self.close()
                raise error_for(_parsed(str(error)), f"Cannot connect to {address}", at_login=True) from error
            except socket.gaierror as error:
                raise UnreachableError(f"Cannot find the address of {address.host}: {error.strerror}.") from error
            except UnicodeError as error:
                raise UnreachableError(f"Cannot find the address of {address.host}: it is no host name.") from error
            except (TimeoutError, socket.timeout) as error:
                self.close()
                raise UnreachableError(
                    f"Cannot connect to {address}: no greeting of an FTP server within {seconds(address.timeout)}."
                ) from error
            except OSError as error:
                self.close()
                raise UnreachableError(f"Cannot connect to {address}: {error.strerror or error}.") from error
        prepare_socket(self._socket)
        return _parsed(text)

    def _secure(self, context: ssl.SSLContext) -> None:
        deed = f"Cannot start TLS with {self.address}"
        reply = self.command("AUTH TLS")
        if reply.code != 234:
            self.close()
            raise TrustError(
                f"{deed}: the server answered '{reply}' to AUTH TLS. Nothing was sent in plain text;"
                " a server without TLS can only be used with tls: false.",
                code=reply.code,
            )
        with self._told_as(deed):
            if self._has_read_ahead():
                self.close()
                raise TrustError(f"{deed}: the server sent plain text where TLS was expected.")
            self._ftp.sock = self.wrap(self._socket, context, deed)
            # A new buffer: nothing that came in plain text before the handshake is ever read as a reply.
            self._ftp.file = self._ftp.sock.makefile("r", encoding=self._ftp.encoding)

    def _has_read_ahead(self) -> bool:
        """Tell whether the server said more than it was asked for, which came in plain text."""
        connection = self._socket
        connection.settimeout(0.0)
        try:
            return bool(self._ftp.file is not None and self._ftp.file.read(1))
        except BlockingIOError:
            return False
        finally:
            connection.settimeout(self.address.timeout)

    def wrap(
        self, connection: socket.socket, context: ssl.SSLContext, deed: str, session: ssl.SSLSession | None = None
    ) -> ssl.SSLSocket:
        """Do the TLS handshake on *connection* and return it once the peer's certificate is found good."""
        try:
            wrapped = context.wrap_socket(
                connection, server_hostname=self.address.host, session=session, suppress_ragged_eofs=False
            )
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise TrustError(
                f"{deed}: its certificate is not trusted ({error.verify_message.rstrip('.')})."
                " Give the authority that signed it in ca_path, or its own fingerprint in certificate_fingerprints."
            ) from error
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise TrustError(f"{deed}: the server sent plain text where TLS was expected.") from error
            raise
        self._check_fingerprint(wrapped, deed)
        return wrapped

    def _check_fingerprint(self, wrapped: ssl.SSLSocket, deed: str) -> None:
        accepted = self.address.certificate_fingerprints
        if not accepted:
            return
        seen = hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
        if seen not in accepted:
            wrapped.close()
            self.close()
            raise TrustError(
                f"{deed}: the server's certificate has the SHA-256 fingerprint {seen}, which is not listed."
            )

    @property
    def _socket(self) -> socket.socket:
        connection = self._ftp.sock
        if connection is None:
            raise InterruptedTransferError(f"The connection to {self.address} is closed.")
        return connection

    @property
    def peer(self) -> str:
        """The address of the server's machine, as the control connection reached it."""
        return str(self._socket.getpeername()[0])

    @property
    def family(self) -> int:
        return int(self._socket.family)

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        connection = self._ftp.sock
        return connection.session if isinstance(connection, ssl.SSLSocket) else None

    # -- talking

    def command(self, line: str, *, shown_as: str | None = None) -> Reply:
        """Send one command and return its reply, whatever it says."""
        return self.exchange([line], shown_as=shown_as)[0]

    def exchange(self, lines: Sequence[str], *, shown_as: str | None = None) -> list[Reply]:
        """Send *lines* at once, at most a window at a time, and return one reply to each."""
        replies: list[Reply] = []
        deed = f"Cannot send {shown_as or lines[0].split(' ')[0]} to {self.address}"
        with self._told_as(deed):
            for start in range(0, len(lines), WINDOW):
                window = lines[start : start + WINDOW]
                self._send(window)
                for _line in window:
                    replies.append(_parsed(self._ftp.getmultiline()))
                    if replies[-1].code == _GOODBYE:
                        # The session is over; whatever else was sent was answered by this as well.
                        self.close()
                        return replies + [replies[-1]] * (len(lines) - len(replies))
        return replies

    def send(self, line: str) -> None:
        """Send one command whose replies the caller reads."""
        with self._told_as(f"Cannot send {line.split(' ', maxsplit=1)[0]} to {self.address}"):
            self._send([line])

    def _send(self, lines: Sequence[str]) -> None:
        for line in lines:
            if any(mark in line for mark in "\r\n\0"):
                raise UsageError(
                    "A name, a password or a directory holds a line break or a NUL, which FTP cannot send."
                )
        record = b""
        for line in lines:
            encoded = f"{line}\r\n".encode("utf-8", "surrogateescape")
            if len(record) + len(encoded) > _RECORD:
                self._socket.sendall(record)
                record = b""
            record += encoded
        self._socket.sendall(record)

    def reply(self, *, timeout: float | None = None) -> Reply:
        """Read the next reply; a reply that is none breaks the connection."""
        with self._told_as(f"Cannot read the reply of {self.address}"):
            if timeout is not None:
                self._socket.settimeout(timeout)
            try:
                reply = _parsed(self._ftp.getmultiline())
            finally:
                if timeout is not None and self._ftp.sock is not None:
                    self._ftp.sock.settimeout(self.address.timeout)
        if reply.code == _GOODBYE:
            self.close()  # whatever it answers, the session is over
        return reply

    def pending_reply(self, wait: float) -> Reply | None:
        """Return the reply that comes within *wait* seconds, or None; nothing may have been read ahead before."""
        connection = self._socket
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return self.reply()
        ready, _writable, _failed = select.select([connection], [], [], wait)
        return self.reply() if ready else None

    def acknowledge(self) -> None:
        """Tell the server's machine at once that its last words have come."""
        acknowledge(self._socket)

    def close(self) -> None:
        """Close without a word; the server sees the connection end."""
        self.is_broken = True
        self._ftp.close()

    def quit(self) -> None:
        """Say goodbye and close, without waiting for the answer."""
        if not self.is_broken:
            with suppress(OSError):  # the connection ended first, which is what was wanted
                self._send(["QUIT"])
        self.close()

    @contextmanager
    def _told_as(self, deed: str) -> Iterator[None]:
        """Turn what sockets, TLS and ftplib raise into our errors; whatever it was, the connection is in doubt."""
        try:
            yield
        except (TimeoutError, socket.timeout) as error:
            self.close()
            raise InterruptedTransferError(f"{deed}: no answer within {seconds(self.address.timeout)}.") from error
        except EOFError as error:
            self.close()
            raise InterruptedTransferError(f"{deed}: the server closed the connection.") from error
        except (ftplib.Error, ValueError) as error:
            self.close()
            raise InterruptedTransferError(f"{deed}: what came back is no FTP reply: '{shown(str(error))}'.") from error
        except OSError as error:
            self.close()
            raise InterruptedTransferError(f"{deed}: {error.strerror or shown(str(error))}.") from error


def seconds(count: float) -> str:
    """Return *count* seconds in words."""
    return f"{count:g} second" if count == 1 else f"{count:g} seconds"


def _parsed(text: str) -> Reply:
    """Return the reply that stands in *text*; RFC 959 gives its first line three digits."""
    code = text[:3]
    if not (code.isascii() and code.isdigit() and "1" <= code[0] <= "5"):
        raise ftplib.error_proto(text)
    return Reply(int(code), text)
