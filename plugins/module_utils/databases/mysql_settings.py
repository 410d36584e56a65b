# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger's dump may set, how the server is told it, and what it means for how the dump is read.

Only variables of the session are set, and only those that mysqldump and mariadb-dump set. What they set back must be
what they have saved before.

Source: the chapters on SQL modes and on system variables of the manuals of MariaDB and of MySQL.
"""

from __future__ import annotations

import re
import typing as t

from .mysql_phrases import encoded, is_plain
from .mysql_tokens import TEXT, WORD, words_of

if t.TYPE_CHECKING:
    from .mysql_edits import Edits
    from .mysql_phrases import Phrases
    from .mysql_tokens import Reading

#: A byte of a letter is a quote or a backslash in others, or they cannot be a client's.
_CHARSETS = re.compile(
    r"ascii|armscii8|binary|cp\d{3,4}(?<!cp932)|dec8|eucjpms|euckr|gb2312|geostd8|greek|hebrew|hp8|keybcs2|koi8[ru]"
    r"|latin[1257]|mac(?:ce|roman)|swe7|tis620|ujis|utf8|utf8mb[34]"
)
_ZONE = re.compile(r"[A-Za-z0-9_/+:.\-]+")
# Modes that every server knows, and those that only one kind does.
_MODES = words_of(
    "REAL_AS_FLOAT PIPES_AS_CONCAT ANSI_QUOTES IGNORE_SPACE ONLY_FULL_GROUP_BY NO_UNSIGNED_SUBTRACTION NO_DIR_IN_CREATE"
    " ANSI NO_AUTO_VALUE_ON_ZERO NO_BACKSLASH_ESCAPES STRICT_TRANS_TABLES STRICT_ALL_TABLES NO_ZERO_IN_DATE"
    " NO_ZERO_DATE ALLOW_INVALID_DATES ERROR_FOR_DIVISION_BY_ZERO TRADITIONAL HIGH_NOT_PRECEDENCE"
    " NO_ENGINE_SUBSTITUTION PAD_CHAR_TO_FULL_LENGTH"
)
_MODES_OF_MARIADB = words_of(
    "NO_AUTO_CREATE_USER IGNORE_BAD_TABLE_OPTIONS NO_KEY_OPTIONS NO_TABLE_OPTIONS NO_FIELD_OPTIONS EMPTY_STRING_IS_NULL"
    " SIMULTANEOUS_ASSIGNMENT TIME_ROUND_FRACTIONAL"
)
_MODES_OF_MYSQL = frozenset({"TIME_TRUNCATE_FRACTIONAL"})
_ANSI_MODES = frozenset({"ANSI", "ANSI_QUOTES", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"})
# How a variable is let through: as it is, or within the comment that only some versions execute; others only count.
_VARIABLES = {
    "autocommit": "%s",
    "character_set_client": "%s",
    "character_set_results": "%s",
    "collation_connection": "%s",
    "foreign_key_checks": "%s",
    "sql_mode": "%s",
    "system_versioning_insert_history": "/*!101100 %s */",
    "time_zone": "%s",
    "unique_checks": "%s",
    "note_verbosity": "",
    "sql_notes": "",
    "sql_quote_show_create": "",
}
#: They are of the server on which the dump was made, and its transactions.
_OF_REPLICATION = frozenset({"gtid_purged", "sql_log_bin", "mysqldump_temp_log_bin", "gtid_next", "pseudo_slave_mode"})
_SCOPES = ("GLOBAL", "SESSION", "LOCAL")
#: What a program sets at the beginning and sets back in its last statement.
_LAST = frozenset({"old_sql_notes", "old_note_verbosity"})


class Settings:
    """The settings of one dump, which *reading* follows; *edits* knows the collations of the server.

    They begin as those that stand before everything that is loaded.
    """

    def __init__(self, reading: Reading, edits: Edits, *, is_mariadb: bool) -> None:
        self.modes_left_out: set[str] = set()
        self._reading = reading
        self._edits = edits
        self._is_mariadb = is_mariadb
        self._saved: dict[str, tuple[str, str]] = {}  # what a variable of the user's holds: of which variable, and what
        self._values = {"sql_mode": "NO_AUTO_VALUE_ON_ZERO", "character_set_client": "utf8mb4"}
        self._unrestored: set[str] = set()

    @property
    def are_set_back(self) -> bool:
        """Whether the dump has set back what it has set at its beginning."""
        return not self._unrestored

    @property
    def is_of_oracle(self) -> bool:
        """Whether what comes next is in the language of Oracle."""
        return "ORACLE" in self._values["sql_mode"].split(",")

    def made(self, words: Phrases) -> list[bytes]:
        """Return the statements that set what a statement sets and that is let through."""
        words.take("SET")
        if words.is_sign("@") and words.word_at(1).startswith("ROCKSDB_"):
            return []
        if _is_of_replication(words):
            return []
        made: list[bytes] = []
        while True:
            made.append(self._names(words) if words.take("NAMES") else self._assignment(words))
            if not words.take_sign(","):
                break
        words.require_end()
        return [statement for statement in made if statement]

    def _names(self, words: Phrases) -> bytes:
        charset = self._charset(words.plain_word(), words)
        collation = ""
        if words.take("COLLATE"):
            collation = f" COLLATE {self._edits.known(words.plain_word())}"
        return encoded(f"SET NAMES {charset}{collation}")

    def _assignment(self, words: Phrases) -> bytes:
        if words.is_sign("@") and not words.is_sign("@", 1):
            return self._saving(words)
        variable = _variable(words)
        _take_equals(words)
        value = self._restored(variable, words) if words.take_sign("@") else self._value(variable, words)
        return _let_through(variable, f"SET SESSION {variable} = {value}")

    def _saving(self, words: Phrases) -> bytes:
        """Return what keeps a variable of the session in one of the user's."""
        words.take_sign("@")
        name = words.plain_word().lower()
        _take_equals(words)
        variable = _variable(words)
        self._saved[name] = (variable, self._values.get(variable, ""))
        if name in _LAST:
            self._unrestored.add(name)
        return _let_through(variable, f"SET @{name} = @@SESSION.{variable}")

    def _restored(self, variable: str, words: Phrases) -> str:
        """Return the variable of the user's to which one of the session is set back, and hold what it means."""
        name = words.plain_word().lower()
        saved_of, value = self._saved.get(name, ("", ""))
        if saved_of != variable:
            words.refuse("sets a variable back to what was not saved before", "SET")
        self._unrestored.discard(name)
        self._hold(variable, value)
        return f"@{name}"

    def _value(self, variable: str, words: Phrases) -> str:
        """Return the value as a statement has it, and hold what it means for what follows."""
        token = words.step()
        if token is None or token.kind not in (WORD, TEXT):
            words.refuse_kind()
        value = token.text.decode("utf-8", "replace")
        value = value[1:-1] if token.kind == TEXT else value
        if variable == "sql_mode":
            modes = self._modes(value)
            self._hold(variable, modes)
            return f"'{modes}'"
        if variable == "time_zone":
            if not _ZONE.fullmatch(value):
                words.refuse_kind()
            return f"'{value}'"
        if not is_plain(value):
            words.refuse_kind()
        if variable.startswith("character_set_"):
            return self._charset(value, words, holds=variable == "character_set_client")
        return self._edits.known(value) if variable == "collation_connection" else value

    def _hold(self, variable: str, value: str) -> None:
        """Remember that a variable has a *value*, and what it means for how the dump is read."""
        self._values[variable] = value
        if variable == "character_set_client":
            self._reading.is_utf8 = value.startswith("utf8")
        elif variable == "sql_mode":
            modes = set(value.split(","))
            self._reading.has_ansi_quotes = not modes.isdisjoint(_ANSI_MODES)
            self._reading.has_backslashes = "NO_BACKSLASH_ESCAPES" not in modes

    def _charset(self, charset: str, words: Phrases, *, holds: bool = True) -> str:
        charset = charset.lower()
        if charset == "null" and not holds:
            return charset
        if not _CHARSETS.fullmatch(charset):
            words.refuse(f"is followed by text in the character set {charset}, which cannot be read safely", "SET")
        if holds:
            self._hold("character_set_client", charset)
        return charset

    def _modes(self, value: str) -> str:
        """Return those of the SQL modes in *value* that the server knows."""
        modes = [mode for mode in value.upper().replace(" ", "").split(",") if mode]
        known = _MODES | (_MODES_OF_MARIADB if self._is_mariadb else _MODES_OF_MYSQL)
        if "ORACLE" in modes and self._is_mariadb:
            known |= {"ORACLE"}
        kept = [mode for mode in modes if mode in known]
        if not set(modes).isdisjoint(_ANSI_MODES) and set(kept).isdisjoint(_ANSI_MODES):
            kept.append("ANSI_QUOTES")
        unknown = {mode for mode in modes if mode not in known and is_plain(mode)}
        self.modes_left_out |= unknown - {"NO_AUTO_CREATE_USER"}  # which only tells how accounts are made
        return ",".join(kept)


def _is_of_replication(words: Phrases) -> bool:
    """Tell whether the transactions of another server are set, or whether this one logs: both are left out."""
    ahead = 0
    while words.is_sign("@", ahead) or words.is_sign(".", ahead) or words.word_at(ahead) in _SCOPES:
        ahead += 1
    return words.word_at(ahead).lower() in _OF_REPLICATION


def _variable(words: Phrases) -> str:
    words.take_sign("@")
    words.take_sign("@")
    if words.take("SESSION") or words.take("LOCAL"):
        words.take_sign(".")
    variable = words.word.lower()
    words.step()
    if variable not in _VARIABLES:
        words.refuse_kind()
    return variable


def _take_equals(words: Phrases) -> None:
    words.take_sign(":")
    words.require_sign("=")


def _let_through(variable: str, statement: str) -> bytes:
    return encoded(_VARIABLES[variable].replace("%s", statement))
