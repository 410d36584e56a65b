# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables and sequences of a stranger's dump, written anew: each is made of columns, and of nothing from elsewhere.

No query, other database, file or server is in what makes them. Their columns are copied as they are, for in these
nothing else can be hidden.
"""

from __future__ import annotations

import typing as t

from .mysql_client import identifier
from .mysql_phrases import encoded
from .mysql_tokens import NAME, SIGN, WORD, words_of

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .mysql_edits import Edits
    from .mysql_phrases import Phrases
    from .mysql_tokens import Token

#: Tables of others read files or other servers.
_ENGINES = words_of(
    "ARCHIVE ARIA BLACKHOLE COLUMNSTORE CSV HEAP INNODB MARIA MEMORY MERGE MRG_MYISAM MYISAM NDB NDBCLUSTER ROCKSDB"
    " SEQUENCE TOKUDB XTRADB"
)
#: In a table they would be a query, a file, a server, or a function that reads one.
_OUTSIDE = frozenset({"SELECT", "TABLE", "CONNECTION", "DIRECTORY"})
_READERS = frozenset({"LOAD_FILE", "SLEEP", "BENCHMARK", "GET_LOCK"})
_DROPPED = ("TABLE", "VIEW", "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "SEQUENCE")


class Made(t.NamedTuple):
    """A statement that is let through; one that *is_late* is for what stands in for a view until that is made."""

    text: bytes
    is_late: bool


def creation(words: Phrases, edits: Edits) -> Made:
    """Return what makes a table or a sequence, from that word on."""
    statement = words.statement
    kind = words.word
    words.step()
    words.take("IF", "NOT", "EXISTS")
    name = words.object()
    if kind == "TABLE" and not words.is_sign("("):
        words.refuse_kind()
    _require_closed(words)
    copy = statement.plain if statement.is_versioned else statement.part
    columns = edits.edited(words.rest(), words.here(), len(statement.text), copy, words.origin.require_own)
    return Made(encoded(f"CREATE {kind} {identifier(name)} ") + columns, statement.is_versioned)


def _require_closed(words: Phrases) -> None:
    """Refuse a table that is made of more than its columns."""
    tokens = words.rest()
    for place, token in enumerate(tokens):
        behind = tokens[place + 1 : place + 3]
        is_reader = token.kind in (WORD, NAME) and token.name.upper() in _READERS  # a name in quotes is one, too
        if token.word in _OUTSIDE or (is_reader and behind and behind[0].text == b"("):
            words.refuse("makes a table with a query, a file, a server or a function that no table needs")
        if token.kind == SIGN and token.text in b";@":
            words.refuse_kind()
        if token.word == "ENGINE" and behind and _engine(behind) not in _ENGINES:
            words.refuse("makes a table of an engine that reads files or other servers, or is not known")


def _engine(behind: Sequence[Token]) -> str:
    engine = behind[-1] if behind[0].text == b"=" else behind[0]
    return engine.text.decode("utf-8", "replace").strip("'\"`").upper()


def drop(words: Phrases) -> Made:
    """Return what drops a table or a sequence; the rest is made anew in an empty database, but for stand-ins."""
    words.take("DROP")
    kind = words.word
    words.step()
    if kind not in _DROPPED:
        words.refuse_kind()
    words.take("IF", "EXISTS")
    name = words.object()
    words.require_end()
    is_late = kind == "VIEW" or (kind == "TABLE" and words.statement.is_versioned)
    if not is_late and kind not in ("TABLE", "SEQUENCE"):
        return Made(b"", is_late)
    return Made(encoded(f"DROP {kind} IF EXISTS {identifier(name)}"), is_late)


def alteration(words: Phrases) -> bytes:
    """Return what lets a table have its keys before its rows, or only behind them; nothing else is altered."""
    words.require("ALTER", "TABLE")
    table = words.object()
    deed = "DISABLE" if words.take("DISABLE", "KEYS") else "ENABLE" if words.take("ENABLE", "KEYS") else ""
    if not deed:
        words.refuse_kind()
    words.require_end()
    return encoded(f"ALTER TABLE {identifier(table)} {deed} KEYS")
