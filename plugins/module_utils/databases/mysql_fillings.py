# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fills the tables and sequences of a stranger's dump, written anew, and what stands around it and is left out.

The rows themselves are none of this: they are literals, and are copied as they are.
"""

from __future__ import annotations

import typing as t

from .mysql_client import identifier
from .mysql_phrases import encoded

if t.TYPE_CHECKING:
    from .mysql_phrases import Phrases


def insertion(words: Phrases) -> bytes:
    """Return what stands before rows."""
    verb = words.word
    words.step()
    while words.word in ("IGNORE", "DELAYED", "LOW_PRIORITY"):
        verb = "INSERT IGNORE" if verb.startswith("INSERT") and words.word == "IGNORE" else verb
        words.step()
    words.require("INTO")
    table = words.object()
    columns = _columns(words)
    words.require("VALUES")
    words.require_end()
    listed = f" ({', '.join(map(identifier, columns))})" if columns else ""
    return encoded(f"{verb} INTO {identifier(table)}{listed} VALUES ")


def _columns(words: Phrases) -> list[str]:
    columns: list[str] = []
    if words.take_sign("("):
        while not words.take_sign(")"):
            columns.append(words.name())
            if not columns[-1] or not (words.take_sign(",") or words.is_sign(")")):
                words.refuse_kind()
    return columns


def end_of_rows(words: Phrases) -> bytes:
    """Return what commits rows, as programs write it that turn autocommit off."""
    words.take("COMMIT")
    words.require_end()
    return b"COMMIT"


def lock(words: Phrases) -> bytes:
    """Nobody else sees the tables while they are filled, so locks are left out."""
    if words.take("UNLOCK", "TABLES"):
        words.require_end()
        return b""
    words.require("LOCK", "TABLES")
    while True:
        words.object()
        if not (words.take("WRITE") or words.take("READ")):
            words.refuse_kind()
        words.take("LOCAL")
        if not words.take_sign(","):
            words.require_end()
            return b""


def sequence_value(words: Phrases) -> bytes:
    """Return what sets a sequence to a value: DO SETVAL(name, 1, 0)."""
    words.step()
    words.require("SETVAL")
    words.require_sign("(")
    name = words.object()
    numbers = ""
    while words.take_sign(","):
        sign = "-" if words.take_sign("-") else ""
        number = words.step()
        if number is None or not number.text.isdigit():
            words.refuse_kind()
        numbers += f", {sign}{number.text.decode()}"
    words.require_sign(")")
    words.require_end()
    return encoded(f"DO SETVAL({identifier(name)}{numbers})")


def selection(words: Phrases) -> bytes:
    """Older programs of MariaDB set a sequence by SELECT; Percona's ask for an engine, which nobody needs here."""
    if words.word_at(1) == "SETVAL":
        return sequence_value(words)
    if not any(token.text.lower().startswith(b"rocksdb_") for token in words.statement.tokens[:9]):
        words.refuse_kind()
    return b""


def of_rocksdb(words: Phrases) -> bytes:
    """Percona's programs prepare what sets up an engine: that is left out, and so nothing else is executed."""
    if words.take("EXECUTE") or words.take("DEALLOCATE", "PREPARE"):
        words.name()
        words.require_end()
        return b""
    words.take("PREPARE")
    words.name()
    if not (words.take("FROM") and words.take_sign("@") and words.word.startswith("ROCKSDB_")):
        words.refuse_kind()
    words.step()
    words.require_end()
    return b""
