# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of MySQL or MariaDB that a stranger made, made fit to be loaded: its rows first, its definitions later.

Only the kinds of statements that mysqldump and mariadb-dump write are let through, from version 5.1 on. Of these, all
is written anew but for the definitions of columns, rows, and bodies, in which nothing else can be hidden:

- A table is made of columns, and of no query, other database, file or server.
- Rows are literals.
- A body ends where its statement does.

Everything else fails the load, in a sentence that names the statement by its kind and its number, never by its text.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..errors import DatabaseError
from .mysql_definitions import Definition, definition_of, stands_in
from .mysql_edits import Edits
from .mysql_fillings import end_of_rows, insertion, lock, of_rocksdb, selection, sequence_value
from .mysql_phrases import Origin, Phrases, encoded
from .mysql_settings import Settings
from .mysql_tables import alteration, creation, drop
from .mysql_tokens import Reading, StatementReader

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage import Buffer
    from . import mysql_definitions
    from .mysql_definitions import Settle
    from .mysql_tables import Made

    # Whoever gives definers needs no other module than this one.
    Account = mysql_definitions.Account

_LIMIT = 64 * 1024 * 1024  # bytes of all definitions together, which are held in memory
_TOLD = 5  # names in a warning


@dataclass(frozen=True)
class Tongue:
    """What the server understands: its *collations*, and whether it is a MariaDB."""

    collations: frozenset[str]
    is_mariadb: bool


class DumpText:
    """The dump *content*, of which :meth:`rows` must be read to the end before there are definitions.

    What the dump says of the database is there after :meth:`begin`. *deed* begins the sentence of a refusal. *token* is
    what stands behind each statement: nobody who made the dump can know it, so nothing in there ends a statement.
    """

    def __init__(self, content: Iterable[Buffer], tongue: Tongue, token: str, deed: str) -> None:
        self.charset: str | None = None
        self.collation: str | None = None
        self.definers: list[tuple[str, Account | None]] = []  # of all that is defined
        self._end = f"\n{token}\n".encode()
        self._preamble = f"DELIMITER {token}\n".encode() + b"".join(
            statement + self._end
            for statement in (
                b"SET NAMES utf8mb4",
                b"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
                b"SET SESSION foreign_key_checks = 0",
                b"SET SESSION unique_checks = 0",
            )
        )
        self._deed = deed
        reading = Reading()
        self._reader = StatementReader(content, reading, deed)
        self._origin = Origin(self._reader)
        self._edits = Edits(tongue.collations)
        self._settings = Settings(reading, self._edits, is_mariadb=tongue.is_mariadb)
        self._statements = (Phrases(statement, self._origin) for statement in self._reader)
        self._first: Phrases | None = None
        self._defined: list[bytes | Definition] = []
        self._events: list[bytes | Definition] = []
        self._size = 0

    # what is asked for

    @property
    def database(self) -> str | None:
        """The database that the statements of the dump name, if any does."""
        return self._origin.database

    def begin(self) -> None:
        """Read the dump up to what is in the database."""
        for words in self._statements:
            if words.at_end or self._is_of_database(words):
                continue
            if words.word == "SET":
                self._setting(words)
                continue
            self._first = words
            return

    def rows(self) -> Iterator[Buffer]:
        """Yield the statements that make tables and fill them."""
        yield self._preamble
        yield b"".join(part for part in self._defined if isinstance(part, bytes))
        while self._first is not None:
            words = self._first
            if words.statement.has_rows:
                yield insertion(words)
                yield from self._reader.rows()
                yield self._end
            else:
                yield self._table_part(words)
            self._first = next(self._statements, None)
        if not self._reader.number:
            raise DatabaseError(f"{self._deed}: the dump lacks its end: there is no statement in it.")
        if not self._settings.are_set_back:
            raise DatabaseError(
                f"{self._deed}: the dump lacks its end: it does not set back what it has set at its beginning."
            )

    def definitions(self, settle: Settle, move: Callable[[bytes, str], bytes]) -> bytes:
        """Return what defines views, triggers and routines, with the definers that *settle* gives.

        *move* gives the body of a view that is not the database's of the dump any more.
        """
        return self._rendered(self._defined, settle, move)

    def events(self, settle: Settle) -> bytes:
        """Return what defines the events."""
        return self._rendered(self._events, settle, lambda body, _name: body)

    def warnings(self) -> list[str]:
        """Return what is not as it was in the dump."""
        found = []
        if self._edits.replaced:
            pairs = [f"{old} by {new}" for old, new in sorted(self._edits.replaced.items())]
            found.append(
                f"The server lacks {len(pairs)} collation(s) of the dump, which were replaced in {self._edits.count}"
                f" place(s) of its definitions ({_shown(pairs)}): texts may be sorted and compared otherwise."
            )
        if self._settings.modes_left_out:
            found.append(
                "The server does not know all SQL modes of the dump; these were left out:"
                f" {_shown(sorted(self._settings.modes_left_out))}."
            )
        return found

    # the database itself

    def _is_of_database(self, words: Phrases) -> bool:
        """Take what a statement says of the database itself, and tell whether it is such a one."""
        if words.take("USE"):
            self._origin.own(words.name())
            words.require_end()
            return True
        if words.take("DROP", "DATABASE") or words.take("DROP", "SCHEMA"):
            words.take("IF", "EXISTS")
            self._origin.own(words.name())
            words.require_end()
            return True
        if words.take("CREATE", "DATABASE") or words.take("CREATE", "SCHEMA"):
            words.take("IF", "NOT", "EXISTS")
            self._origin.own(words.name())
            charset, collation = self._defaults(words)
            self.charset = charset or self.charset
            self.collation = collation or self.collation
            return True
        return False

    def _defaults(self, words: Phrases) -> tuple[str | None, str | None]:
        charset = collation = None
        while not words.at_end:
            words.take("DEFAULT")
            if words.take("CHARACTER", "SET") or words.take("CHARSET"):
                words.take_sign("=")
                charset = words.plain_word()
            elif words.take("COLLATE"):
                words.take_sign("=")
                collation = self._edits.known(words.plain_word())
            elif words.take("ENCRYPTION") or words.take("COMMENT"):
                words.take_sign("=")
                words.step()
            else:
                words.refuse_kind()
        return charset, collation

    def _altered_database(self, words: Phrases) -> bytes:
        if words.word not in ("CHARACTER", "COLLATE", "DEFAULT", "CHARSET") or words.is_quoted:
            self._origin.own(words.name())
        charset, collation = self._defaults(words)
        if charset is None and collation is None:
            return b""
        kind = f" CHARACTER SET {charset}" if charset else ""
        kind += f" COLLATE {collation}" if collation else ""
        return encoded(f"ALTER DATABASE{kind}")

    # statements

    def _table_part(self, words: Phrases) -> bytes:
        """Return what a statement without rows is for the tables; keep what it is for the rest."""
        if words.at_end or self._is_of_database(words):
            return b""
        deeds: dict[str, Callable[[Phrases], bytes]] = {
            "ALTER": self._alteration,
            "COMMIT": end_of_rows,
            "CREATE": self._creation,
            "DEALLOCATE": of_rocksdb,
            "DO": sequence_value,
            "DROP": self._drop,
            "EXECUTE": of_rocksdb,
            "LOCK": lock,
            "PREPARE": of_rocksdb,
            "SELECT": selection,
            "SET": self._setting,
            "UNLOCK": lock,
        }
        if words.word not in deeds:
            words.refuse_kind()
        return self._ended(deeds[words.word](words))

    def _setting(self, words: Phrases) -> bytes:
        """Return the settings as they are let through, and keep them for the definitions, too."""
        text = self._end.join(self._settings.made(words))
        self._keep(text, events=True)
        return text

    def _alteration(self, words: Phrases) -> bytes:
        if not (words.take("ALTER", "DATABASE") or words.take("ALTER", "SCHEMA")):
            return alteration(words)
        self._keep(self._altered_database(words), events=True)
        return b""

    def _creation(self, words: Phrases) -> bytes:
        words.take("CREATE")
        words.take("OR", "REPLACE")
        if words.word in ("TABLE", "SEQUENCE"):
            return self._now(creation(words, self._edits))
        if self._settings.is_of_oracle:
            words.refuse("defines something in the language of Oracle, which is not supported")
        self._define(definition_of(words, self._edits), words)
        return b""

    def _drop(self, words: Phrases) -> bytes:
        return self._now(drop(words))

    # what is kept

    def _now(self, made: Made) -> bytes:
        """Return what is for the tables; keep what is late."""
        if not made.is_late:
            return made.text
        self._keep(made.text)
        return b""

    def _ended(self, text: bytes) -> bytes:
        return text + self._end if text else b""

    def _keep(self, text: bytes, *, events: bool = False) -> None:
        """Keep the statement *text* for the definitions, in their order, and for the *events*."""
        kept = self._ended(text)
        if kept:
            self._defined.append(kept)
            if events:
                self._events.append(kept)
            self._count(len(kept))

    def _define(self, definition: Definition, words: Phrases) -> None:
        """Keep a definition, of which *words* are those of its body."""
        if definition.definer is not None or not stands_in(definition, words.rest()):
            self.definers.append((definition.kind, definition.definer))
        (self._events if definition.kind == "EVENT" else self._defined).append(definition)
        self._count(len(definition.body) + len(definition.behind))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > _LIMIT:
            self._origin.refuse(
                f"is one definition too many: together they are longer than {_LIMIT // 1024 // 1024} MiB"
            )

    def _rendered(
        self,
        parts: Sequence[bytes | Definition],
        settle: Settle,
        move: Callable[[bytes, str], bytes],
    ) -> bytes:
        if not any(isinstance(part, Definition) for part in parts):
            return b""
        pieces = [self._preamble]
        own = self._origin.name or ""
        for part in parts:
            if isinstance(part, bytes):
                pieces.append(part)
                continue
            text = part.text(settle)
            pieces.append((move(text, own) if part.kind == "VIEW" else text) + self._end)
        return b"".join([*pieces, b"DELIMITER ;\n"])


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
