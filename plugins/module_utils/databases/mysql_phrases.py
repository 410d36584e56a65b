# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a statement of a stranger's dump: what may be taken from them, and how a statement is refused.

A refusal names the statement by its kind and its number, never by its text.
"""

from __future__ import annotations

import re
import typing as t

from .mysql_tokens import Words, words_of

if t.TYPE_CHECKING:
    from .mysql_tokens import Statement, StatementReader

# What a refusal may call a statement: its first word, if that is one of these, and what it is for.
_KINDS = words_of(
    "ALTER ANALYZE BACKUP BEGIN BINLOG CALL CHANGE CHECK CHECKSUM CLONE COMMIT CREATE DEALLOCATE DELETE DELIMITER DESC"
    " DESCRIBE DO DROP EXECUTE EXPLAIN FLUSH GET GRANT HANDLER HELP IMPORT INSERT INSTALL KILL LOAD LOCK OPTIMIZE"
    " PREPARE PURGE RELEASE RENAME REPAIR REPLACE RESET RESIGNAL RESTART REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW"
    " SHUTDOWN SIGNAL SOURCE START STOP SYSTEM TABLE TEE TRUNCATE UNINSTALL UNLOCK UPDATE USE VALUES WITH XA"
)
_OBJECTS = words_of(
    "AGGREGATE DATABASE DATA EVENT FUNCTION GLOBAL INDEX INSTANCE LOGFILE PACKAGE PASSWORD PERSIST PLUGIN PROCEDURE"
    " RESOURCE ROLE SCHEMA SERVER SONAME SPATIAL TABLE TABLES TABLESPACE TEMPORARY TRIGGER USER VIEW XML"
)
_WITH_OBJECTS = ("ALTER", "CREATE", "DROP", "INSTALL", "LOAD", "RENAME", "SET", "UNINSTALL")
_PLAIN = re.compile(r"[A-Za-z0-9_]+")


class Origin:
    """The dump that *reader* reads, as far as each of its statements must fit it: all are of one *database*."""

    def __init__(self, reader: StatementReader) -> None:
        self.database: str | None = None  # that a statement has named
        self._reader = reader

    @property
    def name(self) -> str | None:
        """The name of the database; if no statement has named it, as the program that dumped was told it."""
        return self.database if self.database is not None else self._reader.told_database

    def own(self, name: str) -> None:
        """Take *name* for that of the database; there is only one."""
        if self.database is None:
            self.database = name
        if not name or self.database != name:
            self.refuse("is for another database than those before: a dump of several cannot be loaded", "USE")

    def require_own(self, database: str) -> None:
        if database != self.name:
            self.refuse("names another database than that of the dump")

    def refuse(self, why: str, kind: str = "") -> t.NoReturn:
        """Raise that the statement read last, which is of that *kind*, is not loaded."""
        self._reader.refuse(f"{kind and f'({kind}) '}{why}")


class Phrases(Words):
    """The words of *statement*, taken one after the other; it is refused if it lacks what is asked for."""

    def __init__(self, statement: Statement, origin: Origin) -> None:
        super().__init__(statement.tokens)
        self.statement = statement
        self.origin = origin

    def refuse(self, why: str, kind: str = "") -> t.NoReturn:
        self.origin.refuse(why, kind)

    def refuse_kind(self) -> t.NoReturn:
        """Refuse the statement because none like it is needed."""
        words = [token.word for token in self.statement.tokens[:8]]
        kind = words[0] if words and words[0] in _KINDS else "of an unknown kind"
        objects = [word for word in words[1:] if word in _OBJECTS]
        if words and words[0] in _WITH_OBJECTS:
            kind = " ".join([kind, *objects[:1]])
        self.refuse("is none that a dump of one database holds, so nothing of the dump is loaded", kind)

    def require(self, *words: str) -> None:
        """Take *words*, which must come next."""
        if not self.take(*words):
            self.refuse_kind()

    def require_sign(self, sign: str) -> None:
        if not self.take_sign(sign):
            self.refuse_kind()

    def require_end(self) -> None:
        if not self.at_end:
            self.refuse_kind()

    def plain_word(self) -> str:
        """Take a word of letters, digits and underscores, which may be in quotes, and return it."""
        token = self.step()
        word = "" if token is None else token.text.decode("ascii", "replace").strip("'\"`")
        if not is_plain(word):
            self.refuse_kind()
        return word

    def object(self) -> str:
        """Take the name of something in the database; the database before it must be the dump's own."""
        name = self.name()
        if self.take_sign("."):
            self.origin.require_own(name)
            name = self.name()
        if not name:
            self.refuse_kind()
        return name

    def pass_brackets(self) -> None:
        """Pass over brackets and all that is in them."""
        depth = 0
        while True:
            depth += self.is_sign("(") - self.is_sign(")")
            if self.step() is None or self.is_sign(";"):
                self.refuse_kind()
            if not depth:
                return

    def here(self) -> int:
        """Return where in the text the rest begins."""
        return self.start(len(self.statement.text))


def is_plain(word: str) -> bool:
    """Tell whether *word* is nothing but letters, digits and underscores."""
    return _PLAIN.fullmatch(word) is not None


def encoded(text: str) -> bytes:
    """Return *text* as the dump has it, bytes that are no letters included."""
    return text.encode("utf-8", "surrogateescape")
