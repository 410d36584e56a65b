# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's conversation with the scripted server: its commands in order, each with its fault, if it has one."""

from __future__ import annotations

import typing as t
from functools import partial

from .disk import Disk, FileVerbs, RefusedError, said
from .faults import CONNECT, Outcome, encoded
from .transfers import Transfers
from .wires import GoneError

if t.TYPE_CHECKING:
    import ssl
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from .faults import End, Plan
    from .personalities import Personality
    from .server import FtpUser
    from .transfers import Ending
    from .wires import ControlWire, Sockets

_BEFORE_LOGIN = {
    *("AUTH", "PBSZ", "PROT", "USER", "PASS", "FEAT", "OPTS", "SYST", "HELP", "NOOP", "QUIT", "TYPE", "MODE", "STRU"),
}
_AFTER_LOGIN = {
    *("PWD", "CWD", "CDUP", "MKD", "RMD", "DELE", "RNFR", "RNTO", "SIZE", "MDTM", "MFMT", "MLST", "STAT", "SITE"),
    *("EPSV", "PASV", "PORT", "EPRT", "REST", "STOR", "RETR", "MLSD", "LIST", "NLST"),
}
_ABOUT_TLS = {"AUTH", "PBSZ", "PROT"}
# RFC 3659 lets the one line of MLST in FEAT stand for both.
_ABOUT_FACTS = {"MLST", "MLSD"}


class House(t.Protocol):
    """What a conversation knows of the server it takes place in."""

    users: dict[str, FtpUser]
    directory: Path
    personality: Personality
    refused: frozenset[str]
    idle_seconds: float | None
    requires_close_notify: bool
    context: ssl.SSLContext | None
    data_context: ssl.SSLContext | None
    faults: Plan
    sockets: Sockets
    renaming: threading.Lock

    def seat(self, number: int, user: FtpUser | None) -> str | None:
        """Give connection *number* a place, later that of *user*; return the reply if there is none."""

    def leave(self, number: int, how: End) -> None:
        """Close connection *number* and give its place to others, both at once."""

    def note_command(self, number: int, line: str) -> None:
        """Remember a command."""

    def note_data(self) -> None:
        """Remember a data connection."""

    def note_upload(self, number: int, name: str, size: int, ending: Ending) -> None:
        """Remember how an upload ended."""


class Conversation:
    """What is said on one control connection, by the thread that serves it."""

    def __init__(self, house: House, number: int, wire: ControlWire) -> None:
        self._house = house
        self._number = number
        self._wire = wire
        self._username: str | None = None
        self._is_protected = False
        self._files: FileVerbs | None = None
        self._transfers: Transfers | None = None
        self._disk: Disk | None = None

    def hold(self, refusal: str | None) -> None:
        """Serve the client until either side ends, or tell it the *refusal*."""
        try:
            if refusal is not None:
                self._wire.say(encoded(refusal))
                self._wire.flush()
            else:
                self._serve()
        except OSError:
            pass  # the client is gone, which is how most conversations end
        finally:
            if self._transfers is not None:
                self._transfers.close()
            self._house.leave(self._number, "clean")

    def _serve(self) -> None:
        self._answer(CONNECT, "", lambda: said(self._house.personality.greeting))
        while True:
            try:
                line = self._line(self._house.idle_seconds)
            except TimeoutError:
                self._wire.say(encoded("421 Nothing was said for too long."))
                self._wire.flush()
                return
            verb, _space, argument = line.partition(" ")
            verb = verb.upper()
            self._answer(verb, argument, partial(self._done, verb, argument))
            if self._disk is not None and self._disk.stands_nowhere():
                self._wire.say(encoded("421 The directory you are in is gone."))
                self._wire.flush()
                return

    def _line(self, idle_seconds: float | None = None) -> str:
        line = self._wire.line(idle_seconds).decode("utf-8", "surrogateescape")
        self._house.note_command(self._number, line)
        return line

    def _answer(self, verb: str, argument: str, deed: Callable[[], Outcome]) -> None:
        """Do the *deed* and tell what came of it, or do what a fault says."""
        struck = self._house.faults.strike(verb, argument)
        if self._transfers is not None:
            self._transfers.struck = struck
        outcome = struck.reply.play(self, deed) if struck.reply else deed()
        if outcome.reply:
            self._wire.say(outcome.reply)
        if outcome.then is not None:
            self._wire.flush()
            outcome.then()

    def _done(self, verb: str, argument: str) -> Outcome:
        """Do what was asked and return what came of it."""
        try:
            return self._handler(verb)(argument)
        except RefusedError as error:
            return said(str(error))

    def _handler(self, verb: str) -> Callable[[str], Outcome]:
        house = self._house
        if verb in house.refused:
            raise RefusedError("502 Command not implemented.")
        is_unknown = (
            (verb in _ABOUT_TLS and house.context is None)
            or (verb in _ABOUT_FACTS and house.personality.facts is None)
            or verb not in _BEFORE_LOGIN | _AFTER_LOGIN
        )
        if is_unknown:
            raise RefusedError("500 Unknown command.")
        if verb not in _BEFORE_LOGIN and self._files is None:
            raise RefusedError("530 Log in with USER and PASS.")
        for part in (self, self._files, self._transfers):
            handler = getattr(part, f"on_{verb.lower()}", None)
            if handler is not None:
                return t.cast("Callable[[str], Outcome]", handler)
        raise AssertionError(verb)

    # -- what faults do

    def say(self, content: bytes) -> None:
        self._wire.say(content)

    def flush(self) -> None:
        self._wire.flush()

    def wait(self, seconds: float | None) -> None:
        self._wire.wait(seconds)

    def fall_silent(self) -> t.NoReturn:
        while True:
            self._line()

    def drop(self, *, rst: bool) -> t.NoReturn:
        self._house.leave(self._number, "rst" if rst else "fin")
        raise GoneError

    # -- beginning and end

    def on_auth(self, argument: str) -> Outcome:
        context = self._house.context
        if argument.upper() not in ("TLS", "TLS-C", "SSL"):
            raise RefusedError("504 Only TLS.")
        if context is None or self._wire.is_secure:
            raise RefusedError("503 It is as secure as it gets.")
        return Outcome(encoded("234 TLS begins."), lambda: self._wire.secure(context))

    def on_pbsz(self, _argument: str) -> Outcome:
        if not self._wire.is_secure:
            raise RefusedError("503 AUTH comes first.")
        return said("200 PBSZ=0")

    def on_prot(self, argument: str) -> Outcome:
        if not self._wire.is_secure:
            raise RefusedError("503 AUTH comes first.")
        if argument.upper() != "P":
            raise RefusedError("534 Nothing but PROT P.")
        self._is_protected = True
        if self._transfers is not None:
            self._transfers.is_protected = True
        return said("200 Data connections are protected.")

    def on_user(self, argument: str) -> Outcome:
        if self._house.context is not None and not self._wire.is_secure:
            raise RefusedError("530 AUTH TLS comes first.")
        self._username = argument
        return said("331 And the password?")

    def on_pass(self, argument: str) -> Outcome:
        if self._username is None:
            raise RefusedError("503 USER comes first.")
        user = self._house.users.get(self._username)
        if user is None or user.password != argument:
            raise RefusedError("530 Login incorrect.")
        busy = self._house.seat(self._number, user)
        if busy is not None:
            return Outcome(encoded(busy), self._end)
        house = self._house
        self._disk = Disk(house.directory / user.home, house.personality)
        self._files = FileVerbs(self._disk, house.personality, house.renaming)
        self._transfers = Transfers(
            self._wire,
            house.sockets,
            self._disk,
            house.data_context,
            requires_close_notify=house.requires_close_notify,
            on_data=house.note_data,
            on_upload=lambda name, size, ending: house.note_upload(self._number, name, size, ending),
        )
        self._transfers.is_protected = self._is_protected
        return said("230 Logged in.")

    def on_quit(self, _argument: str) -> Outcome:
        return Outcome(encoded("221 Goodbye."), self._end)

    def _end(self) -> t.NoReturn:
        raise GoneError

    # -- what it is

    def on_feat(self, _argument: str) -> Outcome:
        house = self._house
        personality = house.personality
        if personality.features is None:
            raise RefusedError("500 Unknown command.")
        missing = house.refused | (_ABOUT_TLS if house.context is None else set())
        features = list(personality.features)
        if personality.facts is not None and not missing & _ABOUT_FACTS:
            features.append(f"MLST {''.join(f'{fact}*;' for fact in personality.facts)}")
        lines = [f" {feature}" for feature in features if feature.split(" ")[0] not in missing]
        return said("\n".join([f"211-{personality.features_title}", *lines, "211 End"]))

    def on_syst(self, _argument: str) -> Outcome:
        return self._told(self._house.personality.syst)

    def on_help(self, _argument: str) -> Outcome:
        return self._told(self._house.personality.help)

    def _told(self, text: str | None) -> Outcome:
        return said("500 Unknown command." if text is None else text)

    def on_opts(self, argument: str) -> Outcome:
        if argument.upper() == "UTF8 ON":
            return said("200 UTF8 is on.")
        raise RefusedError("501 No such option.")

    def on_noop(self, _argument: str) -> Outcome:
        return said("200 Nothing was done.")

    def on_type(self, argument: str) -> Outcome:
        """Take both types; contents are moved as they are in either."""
        if argument.upper() not in ("A", "A N", "I", "L 8"):
            raise RefusedError("504 Only A and I.")
        return said(f"200 TYPE is {argument.upper()}.")

    def on_mode(self, argument: str) -> Outcome:
        return said("200 MODE is S." if argument.upper() == "S" else "504 Only S.")

    def on_stru(self, argument: str) -> Outcome:
        return said("200 STRU is F." if argument.upper() == "F" else "504 Only F.")
