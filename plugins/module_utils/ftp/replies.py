# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's reply means: reply codes and texts as data (RFC 959, 4.2)."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

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
_SPACE = re.compile(r"quota|disk full|no space left|not enough (?:free )?space|insufficient", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_TEXT_LIMIT = 300


@dataclass(frozen=True)
class Reply:
    """One reply of the server: its code, and its text with line breaks."""

    code: int
    text: str

    @property
    def is_preliminary(self) -> bool:
        return self.code // 100 == 1

    @property
    def is_success(self) -> bool:
        return self.code // 100 == 2

    @property
    def is_intermediate(self) -> bool:
        return self.code // 100 == 3

    def __str__(self) -> str:
        """Return the reply on one line that is safe to print."""
        return shown(self.text)


def shown(text: str) -> str:
    """Return the words of a stranger on one line without control characters, cut where they run on."""
    line = _UNSAFE.sub(" ", text).strip()
    return line if len(line) <= _TEXT_LIMIT else f"{line[:_TEXT_LIMIT]}…"


def error_for(
    reply: Reply, deed: str, *, at_login: bool = False, in_transfer: bool = False, reading: bool = False
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
        (at_login and (code == 421 or ((code == 530 or code // 100 == 4) and _BUSY.search(text))), BusyError),
        (code == 530, LoginError),
        (code in (534, 536), TrustError),
        (is_transient, InterruptedTransferError),
        (reading and code in (450, 550), MissingError),
    )
    return next((error_class for is_of_class, error_class in classes if is_of_class), RefusedError)
