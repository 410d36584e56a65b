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
import time
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from ..errors import InterruptedTransferError, RefusedError, StorageError, TrustError, UnreachableError, UsageError
from .replies import Reply, can_answer, error_for, out_of_step, quota_in, shown

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOW = 50  # commands sent before their replies are read; 60 at once worked on every server tried
# Pure-FTPd reads 4 KiB at a time and then waits for the socket: what TLS had unpacked beyond that is never looked at.
_RECORD = 2048
_REPLY_LINES = 10_000
_REPLY_LINE = 8192
_REPLY_SIZE = 1024 * 1024
_REPLY_SECONDS = 60.0  # for one reply from its first byte to its last, so that none drips for ever
_RECEIVE = 16 * 1024
_LOGIN_SECONDS = 60.0  # a server may take its time to refuse a password, and must not be asked twice for that
_REFUSAL_WAIT = 0.5
_GOODBYE = 421
_GOODBYE_SECONDS = 1.0
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
    passive: bool = True
    validate_certs: bool = True
    ca_path: str | None = None
    certificate_fingerprints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def make_context(address: Address, *, quick: bool = False) -> ssl.SSLContext:
    """Return the one TLS context that all connections to *address* share, so that sessions can be resumed.

    A *quick* one offers the curve P-256 alone, which every server of TLS 1.3 should have (RFC 8446, 9.1). OpenSSL would
    bet on X25519, which Pure-FTPd and vsftpd do not take: each handshake then costs them another round trip.
    """
    try:
        context = ssl.create_default_context(cafile=address.ca_path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"Cannot read the certificates of ca_path {address.ca_path}: {error}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not address.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.options &= ~ssl.Options(_IGNORE_UNEXPECTED_EOF)
    if quick and hasattr(context, "set_ecdh_curve"):
        context.set_ecdh_curve("prime256v1")
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


def is_cut_off(error: OSError) -> bool:
    """Tell whether TLS ended without a farewell; Python 3.9 has no class of its own for that."""
    if isinstance(error, ssl.SSLEOFError):
        return True
    return isinstance(error, ssl.SSLError) and (error.reason or "").startswith("UNEXPECTED_EOF")


class _BoundedReplies(ftplib.FTP):
    """ftplib's control connection with a reader of its own.

    ftplib bounds a line, but neither their number, nor what they begin with, nor how long they may take; its buffered
    file refuses to go on after one time-out, and hides from ``select`` what it has read ahead.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout=timeout, encoding="latin-1")
        self._buffer = bytearray()
        self._deadline: float | None = None

    @property
    def has_read_ahead(self) -> bool:
        """Whether something came in that nobody has asked for yet."""
        return bool(self._buffer)

    def getline(self) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _REPLY_LINE:
                raise ftplib.error_proto(f"a line of more than {_REPLY_LINE} bytes")
            self._receive()
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        if len(line) > _REPLY_LINE:
            raise ftplib.error_proto(f"a line of more than {_REPLY_LINE} bytes")
        return line.decode(self.encoding)

    def _receive(self) -> None:
        if self.sock is None:
            raise EOFError
        content = self.sock.recv(_RECEIVE)
        if not content:
            raise EOFError
        self._buffer += content
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + max(_REPLY_SECONDS, float(self.timeout or 0))
        elif now > self._deadline:
            raise TimeoutError

    def getmultiline(self) -> str:
        self._deadline = None
        line = self.getline()
        if not line[:3].isdigit():
            raise ftplib.error_proto(line)
        if line[3:4] != "-":
            return line
        code, lines, size = line[:3], [line], len(line)
        while len(lines) < _REPLY_LINES and size < _REPLY_SIZE:
            line = self.getline()
            lines.append(line)
            size += len(line)
            if line[:3] == code and line[3:4] != "-":
                return "\n".join(lines)
        raise ftplib.error_proto(f"a reply of more than {len(lines) - 1} lines")


class Control:
    """One control connection; usable until :attr:`is_broken` says otherwise.

    Every method raises :class:`~..errors.StorageError`, and only that.
    """

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        self.address = address
        self.is_broken = False
        #: The quickest answer so far, in seconds.
        self.round_trip = address.timeout
        #: The bytes that are used and those that are allowed, as the last reply said that told.
        self.quota: tuple[int, int] | None = None
        self._ftp = _BoundedReplies(address.timeout)
        self.greeting = self._connect()
        if context is not None:
            self._secure(context)

    # -- connecting

    def _connect(self) -> Reply:
        address = self.address
        with self._told_as(f"Cannot connect to {address}"):
            try:
                text = self._ftp.connect(address.host, address.port)
                while text.startswith("1"):  # 120: it will be ready in a moment, and says so then
                    text = self._ftp.getresp()
                greeting = _parsed(text)
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
        return greeting

    def _secure(self, context: ssl.SSLContext) -> None:
        deed = f"Cannot start TLS with {self.address}"
        reply = self.command("AUTH TLS")
        if reply.code == _GOODBYE:
            raise error_for(reply, deed, at_login=True)
        if reply.code != 234:
            self.close()
            raise TrustError(
                f"{deed}: the server answered '{reply}' to AUTH TLS. Nothing was sent in plain text;"
                " a server without TLS can only be used with tls: false.",
                code=reply.code,
            )
        with self._told_as(deed):
            # Nothing that came in plain text before the handshake is ever read as a reply.
            if self._ftp.has_read_ahead:
                self.close()
                raise TrustError(f"{deed}: the server sent plain text where TLS was expected.")
            self._ftp.sock = self.wrap(self._socket, context, deed)

    def wrap(
        self, connection: socket.socket, context: ssl.SSLContext, deed: str, session: ssl.SSLSession | None = None
    ) -> ssl.SSLSocket:
        """Do the TLS handshake on *connection* and return it once the peer's certificate is found good."""
        try:
            connection.getpeername()  # Python wraps one whose peer is gone without a handshake, and reads an empty end
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
                self.close()
                raise TrustError(f"{deed}: the server sent plain text where TLS was expected.") from error
            raise
        if wrapped.version() is None:
            wrapped.close()
            raise ConnectionResetError(f"{deed}: the connection ended before TLS began.")
        self._check_fingerprint(wrapped, deed)
        return wrapped

    def _check_fingerprint(self, wrapped: ssl.SSLSocket, deed: str) -> None:
        accepted = self.address.certificate_fingerprints
        if not accepted:
            return
        seen = _fingerprint(wrapped)
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
    def local(self) -> str:
        """Our own address on the way to the server."""
        return str(self._socket.getsockname()[0])

    def at_peer(self, port: int) -> tuple[str | int, ...]:
        """Return the address of *port* on the server's machine, with the scope that one of IPv6 may need."""
        host, _port, *scope = self._socket.getpeername()
        return (host, port, *scope)

    def at_local(self, port: int) -> tuple[str | int, ...]:
        """Return the address of *port* at our own end of the connection."""
        host, _port, *scope = self._socket.getsockname()
        return (host, port, *scope)

    @property
    def family(self) -> socket.AddressFamily:
        return self._socket.family

    @property
    def tls_version(self) -> str | None:
        connection = self._ftp.sock
        return connection.version() if isinstance(connection, ssl.SSLSocket) else None

    @property
    def fingerprint(self) -> str | None:
        """The SHA-256 of the server's certificate, in hexadecimal digits; None without TLS."""
        connection = self._ftp.sock
        return _fingerprint(connection) if isinstance(connection, ssl.SSLSocket) else None

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        connection = self._ftp.sock
        return connection.session if isinstance(connection, ssl.SSLSocket) else None

    # -- talking

    def command(self, line: str) -> Reply:
        """Send one command and return its reply, whatever it says."""
        return self.exchange([line])[0]

    def exchange(self, lines: Sequence[str]) -> list[Reply]:
        """Send *lines* at once, at most a window at a time, and return one reply to each.

        None of them moves data. A reply that cannot be meant for its command ends the connection: it is out of step.
        """
        replies: list[Reply] = []
        with self._told_as(f"Cannot send {_verb(lines[0])} to {self.address}"):
            for start in range(0, len(lines), WINDOW):
                window = lines[start : start + WINDOW]
                began = time.monotonic()
                self._send(window)
                replies += self._answers_to(window)
                if self.is_broken:
                    # The session is over; whatever else was sent was answered by the last words as well.
                    return replies + [replies[-1]] * (len(lines) - len(replies))
                self.round_trip = min(self.round_trip, time.monotonic() - began)
        return replies

    def _answers_to(self, lines: Sequence[str]) -> list[Reply]:
        """Read a reply to each of *lines*, or to as many as there are before the server says goodbye."""
        replies = []
        for line in lines:
            replies.append(self._answer_to(line))
            if replies[-1].code == _GOODBYE:
                self.close()
                break
        return replies

    def _answer_to(self, line: str) -> Reply:
        reply = self._read()
        if not can_answer(line, reply.code):
            self.close()
            raise out_of_step(reply, f"Cannot go on after {_verb(line)} with {self.address}")
        return reply

    def _read(self) -> Reply:
        text = self._ftp.getmultiline()
        self.quota = quota_in(text) or self.quota
        return _parsed(text, self.address.password)

    @contextmanager
    def _waiting(self, timeout: float | None) -> Iterator[None]:
        """Wait up to *timeout* seconds for each next byte, instead of as long as the address says."""
        if timeout is not None:
            self._socket.settimeout(timeout)
        try:
            yield
        finally:
            if timeout is not None and self._ftp.sock is not None:
                self._ftp.sock.settimeout(self.address.timeout)

    def give_password(self, *behind: str) -> list[Reply]:
        """Send the password, and what comes *behind* it at once; return the replies, the password's first.

        That one may take longer than others: whoever asked again would try a wrong password twice.
        """
        lines = [f"PASS {self.address.password}", *behind]
        with self._told_as(f"Cannot send PASS to {self.address}"):
            self._send(lines)
            with self._waiting(max(_LOGIN_SECONDS, self.address.timeout)):
                replies = self._answers_to(lines[:1])
            if replies[0].is_success and not self.is_broken:
                return replies + self._answers_to(behind)
        if behind:  # those who are not let in are answered by nobody, or are told why at last
            with suppress(StorageError), self._told_as(""):
                for line in behind:
                    if self.has_pending(_REFUSAL_WAIT):
                        replies.append(self._answer_to(line))
            self.close()
        return replies

    def send(self, *lines: str) -> None:
        """Send commands at once whose replies the caller reads."""
        with self._told_as(f"Cannot send {_verb(lines[0])} to {self.address}"):
            self._send(lines)

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
        with self._told_as(f"Cannot read the reply of {self.address}"), self._waiting(timeout):
            reply = self._read()
        if reply.code == _GOODBYE:
            self.close()  # whatever it answers, the session is over
        return reply

    def pending_reply(self, wait: float) -> Reply | None:
        """Return the reply that comes within *wait* seconds, or None."""
        return self.reply() if self.has_pending(wait) else None

    def has_pending(self, wait: float, other: socket.socket | None = None) -> bool:
        """Tell whether the server says something within *wait* seconds; what comes in on *other* ends the wait."""
        if self._ftp.has_read_ahead:
            return True
        connection = self._socket
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        watched = [connection] if other is None else [connection, other]
        ready, _writable, _failed = select.select(watched, [], [], wait)
        return connection in ready

    def is_stale(self) -> bool:
        """Tell whether the idle connection has ended, or the server has said something unasked, without waiting."""
        if self.is_broken or not self.has_pending(0):
            return self.is_broken
        connection = self._socket
        connection.settimeout(0)
        try:
            connection.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            connection.settimeout(self.address.timeout)  # TLS has renewed its session, and nothing was said
            return False
        except OSError:
            pass  # it is gone, as it is when there is something to read
        self.close()
        return True

    def acknowledge(self) -> None:
        """Tell the server's machine at once that its last words have come."""
        acknowledge(self._socket)

    def close(self) -> None:
        """Close without a word; the server sees the connection end."""
        self.is_broken = True
        self._ftp.close()

    def say_goodbye(self) -> None:
        """Send the last command; :meth:`end` waits until the server has heard it."""
        if not self.is_broken:
            try:
                self._send(["QUIT"])
            except OSError:
                self.close()  # the connection ended first, which is what was wanted

    def end(self) -> None:
        """Close once the server has closed, for a moment at most: until then it counts us as connected."""
        if not self.is_broken:
            connection = self._socket
            deadline = time.monotonic() + _GOODBYE_SECONDS
            # The end of TLS is not yet that of the connection, which comes when the server has let go of it.
            for receive in (connection.recv, partial(socket.socket.recv, connection)):
                with suppress(OSError):  # however it ends, it has ended
                    while (wait := deadline - time.monotonic()) > 0:
                        connection.settimeout(wait)
                        if not receive(_RECEIVE):
                            break
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
            words = shown(str(error), _as_read(self.address.password))
            # Not from the error: its own words may hold the password, and a traceback would show them.
            raise InterruptedTransferError(f"{deed}: what came back is no FTP reply: '{words}'.") from None
        except OSError as error:
            self.close()
            words = "the server closed the connection" if is_cut_off(error) else error.strerror or shown(str(error))
            raise InterruptedTransferError(f"{deed}: {words}.") from error


def seconds(count: float) -> str:
    """Return *count* seconds in words."""
    return f"{count:g} second" if count == 1 else f"{count:g} seconds"


def _parsed(text: str, secret: str = "") -> Reply:
    """Return the reply that stands in *text*; RFC 959 gives its first line three digits."""
    code = text[:3]
    if not (len(code) == 3 and code.isascii() and code.isdigit() and "1" <= code[0] <= "5"):
        raise ftplib.error_proto(text)
    return Reply(int(code), text, _as_read(secret))


def _as_read(text: str) -> str:
    """Return *text* as it looks when it was sent as UTF-8 and came back read byte by byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _verb(line: str) -> str:
    return line.split(" ", 1)[0]


def _fingerprint(connection: ssl.SSLSocket) -> str:
    return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
