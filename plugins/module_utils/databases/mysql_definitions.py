# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger's dump defines: views, triggers, routines and events, whose definers are settled when all is read.

Their heads are written anew, their bodies copied as they are: a body ends where its statement does.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .mysql_bodies import Body
from .mysql_client import identifier
from .mysql_phrases import encoded
from .mysql_tokens import NAME, SIGN

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .mysql_edits import Edits
    from .mysql_phrases import Phrases
    from .mysql_tokens import Token

    Account = tuple[str, str]
    # Gives the definer for what an account has defined, or nobody, and tells whether it may run with that one's rights.
    Settle = Callable[[t.Optional[Account]], tuple[Account, bool]]

_OF_TYPES = ("UNSIGNED", "SIGNED", "ZEROFILL", "ASCII", "UNICODE", "BINARY", "BYTE", "VARYING")
_CHARACTERISTICS = (
    ("NOT", "DETERMINISTIC"),
    ("DETERMINISTIC",),
    ("LANGUAGE", "SQL"),
    ("CONTAINS", "SQL"),
    ("NO", "SQL"),
    ("READS", "SQL", "DATA"),
    ("MODIFIES", "SQL", "DATA"),
)


@dataclass(frozen=True)
class Definition:
    """A view, trigger, routine or event: what stands before its definer, behind it, and what its body is.

    *security* tells whether it can be executed with the rights of who uses it.
    """

    kind: str
    before: bytes
    definer: Account | None
    behind: bytes
    security: str
    body: bytes

    def text(self, settle: Settle) -> bytes:
        """Return the statement with the definer that *settle* gives, and with no more rights than that one may have."""
        (user, host), is_trusted = settle(self.definer)
        definer = f"DEFINER={identifier(user)}@{identifier(host)}".encode("utf-8", "surrogateescape")
        security = self.security if is_trusted or not self.security else "SQL SECURITY INVOKER"
        words = [self.before, definer]
        if self.kind == "VIEW":
            return b" ".join([*words, security.encode(), self.behind, self.body])
        return b" ".join([*words, self.behind, *([security.encode()] if security else []), self.body])


def definition_of(words: Phrases, edits: Edits) -> Definition:
    """Return what a statement defines, from the word behind CREATE on."""
    before = b"CREATE"
    if words.take("ALGORITHM"):
        words.take_sign("=")
        before += f" ALGORITHM={words.plain_word()}".encode()
    definer = _definer(words)
    security = _security(words)
    aggregate = "AGGREGATE " if words.take("AGGREGATE") else ""
    kind = words.word
    words.step()
    words.take("IF", "NOT", "EXISTS")
    if kind in ("FUNCTION", "PROCEDURE"):
        return _routine(words, edits, f"{aggregate}{kind}", definer)
    heads = {"VIEW": _view, "TRIGGER": _trigger, "EVENT": _event}
    if kind not in heads:
        words.refuse_kind()
    name = identifier(words.object())
    behind = encoded(f"{kind} {name} {heads[kind](words)}")
    security = (security or "SQL SECURITY DEFINER") if kind == "VIEW" else ""
    return Definition(kind, before, definer, behind, security, edits.body(words))


def stands_in(definition: Definition, tokens: Sequence[Token]) -> bool:
    """Tell whether a view of literals stands in for another one, as programs write them that dump several views."""
    return definition.kind == "VIEW" and all(
        token.kind == NAME or token.word in ("SELECT", "AS", "NULL", "1") or token.text == b"," for token in tokens
    )


def _definer(words: Phrases) -> Account | None:
    if not words.take("DEFINER"):
        return None
    words.take_sign("=")
    if words.take("CURRENT_USER"):
        if words.take_sign("(") and not words.take_sign(")"):
            words.refuse_kind()
        return None
    user = words.name() or words.text()
    if not words.take_sign("@"):
        return None if user else words.refuse_kind()  # of MariaDB's roles, which have no host
    return user, words.name() or words.text()


def _security(words: Phrases) -> str:
    return f"SQL SECURITY {words.plain_word().upper()}" if words.take("SQL", "SECURITY") else ""


# what stands between the name and the body


def _view(words: Phrases) -> str:
    columns = ""
    if words.take_sign("("):
        while not words.take_sign(")"):
            columns += f"{', ' if columns else ''}{identifier(words.name())}"
            if not (words.take_sign(",") or words.is_sign(")")):
                words.refuse_kind()
        columns = f"({columns}) "
    words.require("AS")
    if any(token.kind == SIGN and token.text == b";" for token in words.rest()):
        words.refuse_kind()
    return f"{columns}AS"


def _trigger(words: Phrases) -> str:
    moment, event = words.word, words.word_at(1)
    if moment not in ("BEFORE", "AFTER") or event not in ("INSERT", "UPDATE", "DELETE"):
        words.refuse_kind()
    words.take(moment, event)
    words.require("ON")
    table = words.object()
    words.require("FOR", "EACH", "ROW")
    order = ""
    if words.word in ("FOLLOWS", "PRECEDES"):
        order = f" {words.word}"
        words.step()
        order += f" {identifier(words.name())}"
    Body(words.rest(), words.refuse).require_single()
    return f"{moment} {event} ON {identifier(table)} FOR EACH ROW{order}"


def _event(words: Phrases) -> str:
    """Take an event as the server tells it: its times are literals, so no word in them can be another DO."""
    begin = words.here()
    words.require("ON", "SCHEDULE")
    while words.word != "DO":
        if words.at_end or words.is_sign(";") or words.is_sign("(") or words.is_sign("@"):
            words.refuse_kind()
        words.step()
    end = words.here()
    words.step()
    Body(words.rest(), words.refuse).require_single()
    head = words.statement.plain(begin, end).decode("utf-8", "surrogateescape")
    return f"{head.rstrip()} DO"


# routines


def _routine(words: Phrases, edits: Edits, what: str, definer: Account | None) -> Definition:
    """Return the procedure, function or aggregate function *what*, from its name on."""
    kind = what.rpartition(" ")[2]
    name = identifier(words.object())
    signature = _signature(words, edits, has_type=kind == "FUNCTION")
    characteristics, security = _characteristics(words)
    Body(words.rest(), words.refuse).require_single()
    behind = encoded(f"{what} {name}") + signature + encoded(characteristics)
    return Definition(kind, b"CREATE", definer, behind, security or "SQL SECURITY DEFINER", edits.body(words))


def _signature(words: Phrases, edits: Edits, *, has_type: bool) -> bytes:
    begin, tokens = words.here(), words.rest()
    words.pass_brackets()
    if has_type:
        _pass_type(words)
    taken = tokens[: len(tokens) - len(words.rest())]
    return edits.edited(taken, begin, words.here(), words.statement.plain)


def _characteristics(words: Phrases) -> tuple[str, str]:
    """Take what a routine is like, and return it, and apart from it with whose rights it is executed."""
    characteristics = security = ""
    while True:
        taken = next((found for found in _CHARACTERISTICS if words.take(*found)), None)
        if taken is not None:
            characteristics += f" {' '.join(taken)}"
        elif words.take("COMMENT"):
            characteristics += f" COMMENT {words.text_as_it_is()}"
        else:
            told = _security(words)
            if not told:
                return characteristics, security
            security = told


def _pass_type(words: Phrases) -> None:
    """Pass over RETURNS and a type, up to the first word that none has."""
    words.require("RETURNS")
    words.step()
    if words.before == "DOUBLE":
        words.take("PRECISION")
    elif words.before in ("NATIONAL", "LONG"):
        words.step()
    while True:
        if words.is_sign("("):
            words.pass_brackets()
        else:
            has_value = words.take("CHARACTER", "SET") or words.take("CHARSET") or words.take("COLLATE")
            if not has_value and words.word not in _OF_TYPES:
                return
            words.step()
