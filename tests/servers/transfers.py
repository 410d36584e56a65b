# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted server's transfers: data connections either way, and the course they take."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import typing as t

from .disk import RefusedError, said
from .faults import EARNED, Course, DeadPort, LyingAddress, Outcome, Struck, encoded
from .wires import DataWire, GoneError

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from .disk import Disk
    from .wires import ControlWire, Sockets

_CHUNK = 256 * 1024
_SECONDS_TO_CONNECT = 30.0
_COMPLETE = "226 Transfer complete."

# How the bytes of a transfer came to their end: as they should, without TLS's close_notify, by an error of the
# connection, or because the course says so.
Ending = t.Literal["closed", "cut", "reset", "limit"]


class Transfers:
    """The commands of one session that move contents, and those that say where and how."""

    def __init__(
        self,
        wire: ControlWire,
        sockets: Sockets,
        disk: Disk,
        context: ssl.SSLContext | None,
        *,
        requires_close_notify: bool,
        on_data: Callable[[], None],
        on_upload: Callable[[str, int, Ending], None],
    ) -> None:
        self._wire = wire
        self._sockets = sockets
        self._disk = disk
        self._context = context
        self._requires_close_notify = requires_close_notify
        self._on_data = on_data
        self._on_upload = on_upload
        self._listeners: list[socket.socket] = []
        self._active: tuple[str, int] | None = None
        self._left_open: list[DataWire] = []
        self._rest = 0
        self._buffer = memoryview(bytearray(_CHUNK))
        # Of the command being served.
        self.struck = Struck()
        self.is_protected = False

    def close(self) -> None:
        """Close what is open at the session's end."""
        self._forget_port()
        for data in self._left_open:
            data.close()

    # -- where

    def on_epsv(self, argument: str) -> Outcome:
        if argument.upper() == "ALL":
            return said("200 Nothing but EPSV from now on.")
        return said(f"229 Entering Extended Passive Mode (|||{self._listen()}|)")

    def on_pasv(self, _argument: str) -> Outcome:
        if self._wire.family != socket.AF_INET:
            raise RefusedError("522 PASV knows no IPv6: use EPSV.")
        action = self.struck.passive
        address = action.address if isinstance(action, LyingAddress) else self._wire.host
        port = self._listen()
        numbers = ",".join([*re.split(r"[.,]", address), str(port // 256), str(port % 256)])
        return said(f"227 Entering Passive Mode ({numbers})")

    def _listen(self) -> int:
        """Return the port to announce, which is the right one unless a fault says otherwise."""
        self._forget_port()
        address = (self._wire.host, 0)
        listener = socket.create_server(address, family=self._wire.family)
        self._sockets.add(listener)
        self._listeners.append(listener)
        if isinstance(self.struck.passive, DeadPort):
            dead = socket.socket(self._wire.family)
            self._sockets.add(dead)
            self._listeners.append(dead)
            dead.bind(address)
            return int(dead.getsockname()[1])
        return int(listener.getsockname()[1])

    def on_port(self, argument: str) -> Outcome:
        if re.fullmatch(r"\d{1,3}(,\d{1,3}){5}", argument) is None:
            raise RefusedError("501 No address.")
        *address, high, low = argument.split(",")
        return self._connect_to(".".join(address), int(high) * 256 + int(low))

    def on_eprt(self, argument: str) -> Outcome:
        found = re.fullmatch(r"([!-~])[12]\1(.+)\1(\d{1,5})\1", argument)
        if found is None:
            raise RefusedError("501 No address.")
        return self._connect_to(found[2], int(found[3]))

    def _connect_to(self, host: str, port: int) -> Outcome:
        if host != self._wire.peer or not 0 < port < 65536:
            raise RefusedError("500 That is not your address.")
        self._forget_port()
        self._active = (host, port)
        return said("200 I shall connect there.")

    def _forget_port(self) -> None:
        self._active = None
        while self._listeners:
            self._sockets.close(self._listeners.pop())

    def _open(self) -> DataWire:
        """Return the connection, accepted or made; raise if there is none within a while."""
        if self._active:
            try:
                connection = socket.create_connection(
                    self._active, _SECONDS_TO_CONNECT, source_address=(self._wire.host, 0)
                )
            except OSError as error:
                raise RefusedError("425 Cannot connect to your port.") from error
            connection.settimeout(None)
        elif self._listeners:
            if not self._wire.wait_for(self._listeners[0], _SECONDS_TO_CONNECT):
                raise RefusedError("425 Nobody came to the passive port.")
            try:
                connection, _address = self._listeners[0].accept()
            except OSError as error:
                raise GoneError from error
        else:
            raise RefusedError("425 Use EPSV or EPRT first.")
        self._on_data()
        return DataWire(connection, self._sockets)

    # -- what

    def on_rest(self, argument: str) -> Outcome:
        if not argument.isdecimal():
            raise RefusedError("501 No number.")
        self._rest = int(argument)
        return said(f"350 Restarting at {argument}.")

    def on_stor(self, argument: str) -> Outcome:
        with self._transfer() as planned, self._disk.open_for_writing(argument, planned[1]) as file:
            course, _offset = planned

            def move(data: DataWire) -> tuple[int, Ending]:
                moved, ending = self._receive(data, file, course)
                if ending == "closed" and course.lost_tail:
                    file.truncate(max(0, file.tell() - course.lost_tail))
                return moved, ending

            def tidy() -> None:
                if not course.keeps_partial:
                    self._disk.named(argument).unlink(missing_ok=True)

            outcome, moved, ending = self._carry(course, move, tidy)
            self._on_upload(argument, moved, ending)
            return outcome

    def on_retr(self, argument: str) -> Outcome:
        with self._transfer() as planned, self._disk.open_for_reading(argument, planned[1]) as file:
            course, _offset = planned
            return self._carry(course, lambda data: self._send(data, file, course))[0]

    def on_mlsd(self, argument: str) -> Outcome:
        return self._list("MLSD", argument)

    def on_list(self, argument: str) -> Outcome:
        return self._list("LIST", argument)

    def on_nlst(self, argument: str) -> Outcome:
        return self._list("NLST", argument)

    def _list(self, verb: str, argument: str) -> Outcome:
        with self._transfer() as (course, _offset):
            lines = self._disk.listing(verb, argument)
            listing = self.struck.listing
            content = io.BytesIO(b"".join(listing.lines(lines) if listing else lines))
            success = (listing.reply() if listing else None) or f"226 {len(lines)} matches total"
            return self._carry(course, lambda data: self._send(data, content, course), success=success)[0]

    @contextlib.contextmanager
    def _transfer(self) -> Iterator[tuple[Course, int]]:
        """Give the course of one transfer and where it begins; REST and a port serve for one only."""
        offset, self._rest = self._rest, 0
        course = self.struck.data.course() if self.struck.data else Course()
        try:
            if self._context is not None and not self.is_protected:
                raise RefusedError("521 Data connections must be protected: use PROT P.")
            yield course, 0 if course.ignores_rest else offset
        finally:
            self._forget_port()

    def _carry(
        self,
        course: Course,
        move: Callable[[DataWire], tuple[int, Ending]],
        tidy: Callable[[], None] = lambda: None,
        *,
        success: str = _COMPLETE,
    ) -> tuple[Outcome, int, Ending]:
        """Open the data connection, *move* the bytes and end as the *course* says; then *tidy* what was cut."""
        data = self._open()
        try:
            self._wire.say(encoded("150 Here it goes."))
            self._wire.flush()
            try:
                if self._context is not None:
                    data.secure(self._context)
            except GoneError:
                return said("425 The TLS handshake failed."), 0, "reset"
            if course.delay:
                self._wire.wait(course.delay)
            if course.is_early:
                self._wire.say(encoded(success))
                self._wire.flush()
            moved, ending = move(data)
            if ending == "limit" and course.stalls:
                self._wire.flush()
                self._wire.wait(None)
            if ending == "limit":
                tidy()
            if ending == "closed" and course.is_left_open:
                self._left_open.append(data)
            else:
                is_clean = ending == "closed" and course.answers_close
                data.close("clean" if is_clean else course.end if ending != "cut" else "fin")
        except BaseException:
            data.close()
            raise
        return self._told(course, ending, success), moved, ending

    def _told(self, course: Course, ending: Ending, success: str) -> Outcome:
        """Return the final reply."""
        if course.is_early or (ending == "limit" and course.reply is None):
            return Outcome(None)
        if ending == "limit" and course.reply is not None and course.reply != EARNED:
            return said(course.reply)
        if ending == "reset" or (ending == "cut" and self._requires_close_notify):
            return said("426 The data connection broke.")
        return said(success)

    def _receive(self, data: DataWire, file: io.FileIO, course: Course) -> tuple[int, Ending]:
        moved = 0
        try:
            while room := course.first_of(_CHUNK, moved):
                count = data.receive_into(self._buffer[:room])
                if not count:
                    return moved, "closed"
                course.mar(self._buffer[:count], moved)
                file.write(self._buffer[:count])
                moved += count
        except GoneError:
            return moved, "cut"
        except OSError:
            return moved, "reset"
        return moved, "limit"

    def _send(self, data: DataWire, source: io.FileIO | io.BytesIO, course: Course) -> tuple[int, Ending]:
        moved = 0
        try:
            while room := course.first_of(_CHUNK, moved):
                count = source.readinto(self._buffer[:room])
                if not count:
                    return moved, "closed"
                course.mar(self._buffer[:count], moved)
                data.send(self._buffer[:count])
                moved += count
        except OSError:
            return moved, "reset"
        return moved, "limit"
