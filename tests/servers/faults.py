# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scripted server can be told to do wrong, as values: which command is struck, and how.

There are four families: what goes wrong with a reply, with the bytes of a transfer, with a passive port, and with the
lines of a listing. One command can be struck by one fault of each.
"""

from __future__ import annotations

import re
import threading
import typing as t
from dataclasses import dataclass, field, replace

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# In place of a verb: the moment a client has connected, and every command.
CONNECT = "(connect)"
ANY = "(any)"

# In place of a reply: the one that the transfer has earned.
EARNED = ""

# A second text for FullDisk, as Pure-FTPd words it.
PURE_FTPD_QUOTA = "Quota exceeded: [file] won't be saved\n1024 Kbytes used (100%) - authorized: 1024 Kb"

_LINES_AT_ONCE = 100

# How a data connection ends: with TCP's FIN alone, with RST, or as it should, with close_notify and then FIN.
End = t.Literal["fin", "rst", "clean"]


@dataclass(frozen=True)
class Outcome:
    """What a command came to: the reply still to be said, if any, and what happens once it is on its way."""

    reply: bytes | None
    then: Callable[[], None] | None = None


class Talk(t.Protocol):
    """The server's side of one control connection. Every method raises OSError once the client is gone."""

    def say(self, content: bytes) -> None:
        """Put *content* behind what is still to be sent."""

    def flush(self) -> None:
        """Send what was said."""

    def wait(self, seconds: float | None) -> None:
        """Let *seconds* pass, or all time until either side ends the connection."""

    def fall_silent(self) -> t.NoReturn:
        """Hear the client out and answer nothing."""

    def drop(self, *, rst: bool) -> t.NoReturn:
        """Close without a word, not even TLS's, perhaps with RST."""


def encoded(text: str | bytes) -> bytes:
    """Return *text* as it is sent: bytes as they are, and the lines of a string as UTF-8 with CR LF."""
    if isinstance(text, bytes):
        return text
    return b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in text.split("\n"))


def lines_of_reply(code: int, text: str) -> str:
    """Return a reply whose every line but the last has the *code* and a dash."""
    *opening, last = text.split("\n")
    return "\n".join([*(f"{code}-{line}" for line in opening), f"{code} {last}"])


# -- replies


class ReplyAction:
    """What goes wrong with a reply."""

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:
        """Do the *deed* or not, and return what is to be said."""
        raise NotImplementedError


@dataclass(frozen=True)
class Answer(ReplyAction):
    """Say *text* instead; what was asked is not done, unless it *does* say so."""

    text: str | bytes
    does: bool = False

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # other actions talk
        return replace(deed(), reply=encoded(self.text)) if self.does else Outcome(encoded(self.text))


@dataclass(frozen=True)
class LostRename(Answer):
    """Say that the renaming was done."""

    text: str | bytes = "250 Rename successful."


@dataclass(frozen=True)
class BadEpsv(Answer):
    """Say something else than where the passive port is."""

    text: str | bytes = "229 Entering Extended Passive Mode (port 2121)"


@dataclass(frozen=True)
class Endless(ReplyAction):
    """Repeat *line* until the client leaves."""

    line: bytes = b"211-And there is more.\r\n"

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # nothing is done
        while True:
            talk.say(self.line * _LINES_AT_ONCE)
            talk.flush()


@dataclass(frozen=True)
class Silence(ReplyAction):
    """Do nothing and say nothing from now on; the connection stays."""

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # nothing is done
        talk.flush()
        talk.fall_silent()


@dataclass(frozen=True)
class Late(ReplyAction):
    """Do it, and say so *seconds* later; of a transfer, it is the final reply that is late."""

    seconds: float

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:
        outcome = deed()
        talk.flush()
        talk.wait(self.seconds)
        return outcome


@dataclass(frozen=True)
class Split(ReplyAction):
    """Do it, and send the reply byte by byte, with a *pause* after each."""

    pause: float = 0.0

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:
        outcome = deed()
        for byte in outcome.reply or b"":
            talk.say(bytes([byte]))
            talk.flush()
            talk.wait(self.pause)
        return replace(outcome, reply=None)


@dataclass(frozen=True)
class Extra(ReplyAction):
    """Do it and say so, and then say *text*, which nobody asked for."""

    text: str | bytes

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # other actions talk
        outcome = deed()
        return replace(outcome, reply=(outcome.reply or b"") + encoded(self.text))


@dataclass(frozen=True)
class Swallow(ReplyAction):
    """Do it and do not say so; the next command is answered as if nothing were missing."""

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # other actions talk
        return replace(deed(), reply=None)


@dataclass(frozen=True)
class Drop(ReplyAction):
    """Close the control connection without a word, *before* the deed or after it, perhaps with RST."""

    before: bool = True
    rst: bool = False

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:
        if not self.before:
            deed()
        talk.flush()
        talk.drop(rst=self.rst)


# -- transfers


@dataclass(frozen=True)
class Course:
    """How a transfer goes; as it stands here, well.

    It moves *limit* bytes at most: then it stalls, or ends by *end*, and *reply* is said, or nothing. A download that
    is cut lacks the rest, an upload leaves what came, unless it *keeps_partial* not.
    """

    limit: int | None = None
    stalls: bool = False
    end: End = "clean"
    reply: str | None = EARNED
    keeps_partial: bool = True
    flipped: int | None = None
    lost_tail: int = 0
    is_early: bool = False
    delay: float = 0.0
    answers_close: bool = True
    is_left_open: bool = False
    ignores_rest: bool = False

    def first_of(self, size: int, moved: int) -> int:
        """Return how many of *size* bytes may still be moved after *moved* ones."""
        return size if self.limit is None else min(size, self.limit - moved)

    def mar(self, content: memoryview, moved: int) -> None:
        """Change the one byte, if it is in *content*, which begins *moved* bytes into the transfer."""
        if self.flipped is not None and 0 <= self.flipped - moved < len(content):
            content[self.flipped - moved] ^= 0xFF


class DataAction:
    """What goes wrong with the bytes of a transfer: STOR, RETR, and the listings."""

    def course(self) -> Course:
        """Return how the transfer goes."""
        raise NotImplementedError


@dataclass(frozen=True)
class CutData(DataAction):
    """End the data connection after so many bytes, keep what an upload brought, and say *reply* (None: nothing).

    An upload that is cut by "fin" sees the RST soon after it, as it does with any server that stops reading.
    """

    after_bytes: int
    how: End = "fin"
    reply: str | None = "226 Transfer complete."

    def course(self) -> Course:
        return Course(limit=self.after_bytes, end=self.how, reply=self.reply)


@dataclass(frozen=True)
class FullDisk(DataAction):
    """Break an upload off after so many bytes, and say that there is no room; *text* may have several lines."""

    after_bytes: int
    code: int = 552
    keeps_partial: bool = False
    text: str = "Disk full - please upload later"
    how: End = "fin"

    def course(self) -> Course:
        reply = lines_of_reply(self.code, self.text)
        return Course(limit=self.after_bytes, end=self.how, reply=reply, keeps_partial=self.keeps_partial)


@dataclass(frozen=True)
class RefuseData(DataAction):
    """Say 150, do the handshake, close the data connection and say *reply*."""

    reply: str = "425 Cannot open the data connection."
    keeps_partial: bool = False

    def course(self) -> Course:
        return Course(limit=0, end="fin", reply=self.reply, keeps_partial=self.keeps_partial)


@dataclass(frozen=True)
class StallData(DataAction):
    """Move no more than so many bytes, and keep everything open until the client or the server ends."""

    after_bytes: int = 0

    def course(self) -> Course:
        return Course(limit=self.after_bytes, stalls=True)


@dataclass(frozen=True)
class NoCloseNotify(DataAction):
    """Say 226 without TLS's close_notify; the data connection stays open, unless it *closes*, by FIN alone."""

    closes: bool = False

    def course(self) -> Course:
        return Course(answers_close=False, end="fin", is_left_open=not self.closes)


@dataclass(frozen=True)
class FlipByte(DataAction):
    """Change the byte *at* that place of what is transferred."""

    at: int = 0

    def course(self) -> Course:
        return Course(flipped=self.at)


@dataclass(frozen=True)
class LoseTail(DataAction):
    """Read a whole upload, store it without its last *count* bytes, and say 226."""

    count: int = 1

    def course(self) -> Course:
        return Course(lost_tail=self.count)


@dataclass(frozen=True)
class EarlySuccess(DataAction):
    """Say 226 before the first byte has moved."""

    def course(self) -> Course:
        return Course(is_early=True)


@dataclass(frozen=True)
class DataOnlyAfter(DataAction):
    """Move the first byte *seconds* after the handshake."""

    seconds: float

    def course(self) -> Course:
        return Course(delay=self.seconds)


@dataclass(frozen=True)
class IgnoreRest(DataAction):
    """Begin at the beginning, although REST was answered 350."""

    def course(self) -> Course:
        return Course(ignores_rest=True)


# -- passive ports and listings


class PassiveAction:
    """What goes wrong with PASV and EPSV."""


@dataclass(frozen=True)
class LyingAddress(PassiveAction):
    """Announce another address in 227, where the right port is."""

    address: str = "10.0.0.1"


@dataclass(frozen=True)
class DeadPort(PassiveAction):
    """Announce a port where nobody listens, and wait for the client elsewhere."""


class ListingAction:
    """What goes wrong with the lines of MLSD, LIST and NLST."""

    def lines(self, lines: list[bytes]) -> list[bytes]:
        """Return the *lines* to send."""
        return lines

    def reply(self) -> str | None:
        """Return the final reply, if it is not the usual one."""
        return None


@dataclass(frozen=True)
class Truncated(ListingAction):
    """List *count* entries only, and say so in the text of the 226 alone."""

    count: int
    text: str = "226 Output truncated to {count} matches"

    def lines(self, lines: list[bytes]) -> list[bytes]:
        return lines[: self.count]

    def reply(self) -> str:
        return self.text.format(count=self.count)


@dataclass(frozen=True)
class ListingLines(ListingAction):
    """Add *content*, line ends and all, behind the listing, or put it in its place."""

    content: bytes
    replaces: bool = False

    def lines(self, lines: list[bytes]) -> list[bytes]:
        return [*([] if self.replaces else lines), self.content]


# -- which command is struck

Action = t.Union[ReplyAction, DataAction, PassiveAction, ListingAction]
_FAMILIES = (ReplyAction, DataAction, PassiveAction, ListingAction)


@dataclass(frozen=True)
class Fault:
    """*what* happens to *times* commands (0: to all) with *verb*, once *after* others have passed unharmed.

    Only those count whose argument the regular expression *pattern* is found in.
    """

    verb: str
    what: Action
    pattern: str = ""
    after: int = 0
    times: int = 1

    def is_for(self, verb: str, argument: str) -> bool:
        """Tell whether a command is one of those that count."""
        is_verb = self.verb.upper() == verb.upper() or (self.verb == ANY and verb != CONNECT)
        return is_verb and re.search(self.pattern, argument) is not None


@dataclass(frozen=True)
class Struck:
    """What happens to one command, by family."""

    reply: ReplyAction | None = None
    data: DataAction | None = None
    passive: PassiveAction | None = None
    listing: ListingAction | None = None


@dataclass
class _Planned:
    fault: Fault
    seen: int = field(default=0)

    @property
    def struck(self) -> int:
        return max(0, self.seen - self.fault.after)

    @property
    def is_over(self) -> bool:
        return 0 < self.fault.times <= self.struck


class Plan:
    """The faults still to come, for many threads.

    They are looked at in the order they were planned: one that a command was struck by hides it from the later ones of
    its family, so that two faults of one verb follow each other.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._lock = threading.Lock()
        self._planned = [_Planned(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._planned.append(_Planned(fault))

    def forget(self) -> None:
        with self._lock:
            self._planned.clear()

    def left(self) -> tuple[Fault, ...]:
        """Return those that have not struck as often as they should; one without number, if it never did."""
        with self._lock:
            return tuple(each.fault for each in self._planned if each.struck < max(1, each.fault.times))

    def strike(self, verb: str, argument: str) -> Struck:
        """Count a command and return what happens to it."""
        found: dict[type, Action] = {}
        with self._lock:
            for planned in self._planned:
                family = next(family for family in _FAMILIES if isinstance(planned.fault.what, family))
                if family in found or planned.is_over or not planned.fault.is_for(verb, argument):
                    continue
                planned.seen += 1
                if planned.struck:
                    found[family] = planned.fault.what
        return Struck(*(t.cast("t.Any", found.get(family)) for family in _FAMILIES))
