# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's reply means: reply codes and texts as data (RFC 959, 4.2)."""

from __future__ import annotations

import re
import typing as t
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import (
    BusyError,
    InterruptedTransferError,
    LoginError,
    MissingError,
    RefusedError,
    SpaceError,
    StorageError,
    TrustError,
)

_BUSY = re.compile(r"too many|maximum|limit|can't accept more", re.IGNORECASE)
# Pure-FTPd's 421 to a login in plain text, which no patience changes.
_DEMANDS_TLS = re.compile(r"clear ?text|reconnect using TLS", re.IGNORECASE)
_SPACE = re.compile(r"quota|disk full|no space left|not enough (?:free )?space|insufficient", re.IGNORECASE)
_QUOTA = re.compile(r"(\d+) Kbytes used \(\d+%\) - authorized: (\d+) Kb", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_TEXT_LIMIT = 300
_LAST_SERIOUS = 600

# Which replies of success a command may get; 4xx and 5xx answer any. Servers are not strict about 200 and 250.
_DONE = frozenset((200, 202, 250))
_ANSWERS = {
    "AUTH": frozenset((234, 334)),
    "USER": frozenset((230, 232, 331, 332)),
    "PASS": frozenset((202, 230, 232, 332)),
    "FEAT": frozenset((211, *_DONE)),
    "HELP": frozenset((211, 214, *_DONE)),
    "STAT": frozenset((211, 212, 213, *_DONE)),
    "SYST": frozenset((215,)),
    "PWD": frozenset((257,)),
    "MKD": frozenset((257, *_DONE)),
    "SIZE": frozenset((213,)),
    "MLST": frozenset((250,)),
    "MDTM": frozenset((213,)),
    "MFMT": frozenset((213, *_DONE)),
    "AVBL": frozenset((213, *_DONE)),
    "RNFR": frozenset((350,)),
    "REST": frozenset((350,)),
    "EPSV": frozenset((229,)),
    "PASV": frozenset((227,)),
    "QUIT": frozenset((221, *_DONE)),
}
_ABOUT_TRANSFERS = (425, 426)
_OPENING_TRANSFERS = ("EPSV", "PASV", "EPRT", "PORT")


@dataclass(frozen=True)
class Reply:
    """One reply of the server: its code, and its text with line breaks; *secret* is never shown."""

    code: int
    text: str
    secret: str = field(default="", repr=False, compare=False)

    @property
    def is_preliminary(self) -> bool:
        return self.code // 100 == 1

    @property
    def is_success(self) -> bool:
        return self.code // 100 == 2

    @property
    def is_intermediate(self) -> bool:
        return self.code // 100 == 3

    @property
    def harmless_text(self) -> str:
        """The text, line breaks and all, without the secret."""
        return self.text.replace(self.secret, "********") if self.secret else self.text

    def __str__(self) -> str:
        """Return the reply on one line that is safe to print."""
        return shown(self.text, self.secret)


def out_of_step(reply: Reply, deed: str) -> InterruptedTransferError:
    """Return the error that says that *reply* cannot be meant for what was asked last."""
    return InterruptedTransferError(
        f"{deed}: the server's answers are out of step, it said '{reply}'.", code=reply.code
    )


def can_answer(command: str, code: int) -> bool:
    """Tell whether a reply with *code* can be meant for *command*, one that moves no data itself.

    If it cannot, it answers an earlier one, and so would all that follow.
    """
    verb = command.split(" ", 1)[0]
    if code in _ABOUT_TRANSFERS:
        return verb in _OPENING_TRANSFERS
    return 400 <= code < _LAST_SERIOUS or code in _ANSWERS.get(verb, _DONE)


def quota_in(text: str) -> tuple[int, int] | None:
    """Return how many bytes are used and allowed, where Pure-FTPd says so in a reply."""
    found = _QUOTA.search(text) if "authorized" in text else None
    return (int(found[1]) * 1024, int(found[2]) * 1024) if found else None


def shown(text: str, secret: str = "") -> str:
    """Return the words of a stranger on one line without control characters and *secret*, cut where they run on."""
    if secret:
        text = text.replace(secret, "********")
    with suppress(UnicodeError):  # it was read byte by byte, and is UTF-8 if it can be
        text = text.encode("latin-1").decode("utf-8")
    line = _UNSAFE.sub(" ", text).strip()
    return line if len(line) <= _TEXT_LIMIT else f"{line[:_TEXT_LIMIT]}…"


def error_for(
    reply: Reply,
    deed: str,
    *,
    at_login: bool = False,
    in_transfer: bool = False,
    reading: bool = False,
) -> StorageError:
    """Return the error that says *deed* was answered by *reply*, of the class that tells what can be done about it."""
    error_class = _class_of(reply, at_login=at_login, in_transfer=in_transfer, reading=reading)
    return error_class(f"{deed}: the server answered '{reply}'.", code=reply.code)


def _class_of(reply: Reply, *, at_login: bool, in_transfer: bool, reading: bool) -> t.Callable[..., StorageError]:
    code, text = reply.code, reply.text
    is_transient = code in (421, 425, 426) or (
        in_transfer and code in (450, 451) and "not permitted" not in text.lower()
    )
    classes = (
        (code in (452, 552) or (code >= 400 and _SPACE.search(text)), SpaceError),
        (at_login and code == 421 and _DEMANDS_TLS.search(text), TrustError),
        (at_login and (code == 421 or ((code == 530 or code // 100 == 4) and _BUSY.search(text))), BusyError),
        (code == 530, LoginError),
        (code in (534, 536), TrustError),
        (is_transient, InterruptedTransferError),
        (reading and code in (450, 550), MissingError),
    )
    return next((error_class for is_of_class, error_class in classes if is_of_class), RefusedError)
