# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data connection: protected like the control connection, and ended so that both sides know.

RFC 959 (STOR, RETR), RFC 4217 (TLS on data connections).
"""

from __future__ import annotations

import select
import socket
import ssl
import time
import typing as t
from contextlib import contextmanager, suppress

from ..errors import InterruptedTransferError, StorageError, UnreachableError
from . import doors
from .control import Control, acknowledge, is_cut_off, prepare_socket, seconds
from .doors import ActiveDoor, Answers, PassiveDoor
from .replies import Reply, error_for, out_of_step, shown

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage import Buffer
    from .bandwidth import Bandwidth
    from .doors import Door
    from .known import Known

_FINAL_REPLY_TIMEOUT = 60.0  # a server may flush a whole volume to disk before it says 226
_FAREWELL_TIMEOUT = 10.0
_SETTLE_WAIT = 0.3
_SUCCESS = (226, 250)
_RECEIVE = 256 * 1024
_SMALL = 1280 * 1024  # of a slice up to this size, little more is to come than it has
_LEAST_BUFFER, _MOST_BUFFER = 16 * 1024, 128 * 1024  # more than that is as fast with a slice of this size
_READ_ON = 64 * 1024  # so close to the end of a file it is cheaper to read on than to break off
_WANTS_REUSE = (425, 450, 522)


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
                reply = control.pending_reply(doors.PENDING_REPLY_WAIT)
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
                self._bandwidth.traffic.add(sent=len(chunk))
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
        is_small = length is not None and length <= _SMALL
        buffer = min(max(_LEAST_BUFFER, length or 0), _MOST_BUFFER) if is_small else None
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
        self._bandwidth.traffic.add(received=count)
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
                self._bandwidth.traffic.add(received=count)
                left -= count
        return self._ended
