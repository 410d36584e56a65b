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

import re
import typing as t
from dataclasses import dataclass

from ..errors import DatabaseError
from .mysql_bodies import Body
from .mysql_collations import nearest_collation
from .mysql_tokens import NAME, SIGN, TEXT, WORD, Reading, StatementReader, Words, words_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage import Buffer

    Account = tuple[str, str]
    # Gives the definer for what an account has defined, or nobody, and tells whether it may run with that one's rights.
    Settle = Callable[[t.Optional[Account]], tuple[Account, bool]]
    from .mysql_tokens import Statement, Token

_LIMIT = 64 * 1024 * 1024  # bytes of all definitions together, which are held in memory
_TOLD = 5  # names in a warning

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
#: Tables of others read files or other servers.
_ENGINES = words_of(
    "ARCHIVE ARIA BLACKHOLE COLUMNSTORE CSV HEAP INNODB MARIA MEMORY MERGE MRG_MYISAM MYISAM NDB NDBCLUSTER ROCKSDB"
    " SEQUENCE TOKUDB XTRADB"
)
#: In a table they would be a query, a file, a server, or a function that reads one.
_OUTSIDE = frozenset({"SELECT", "TABLE", "CONNECTION", "DIRECTORY"})
_READERS = frozenset({"LOAD_FILE", "SLEEP", "BENCHMARK", "GET_LOCK"})
#: A byte of a letter is a quote or a backslash in others, or they cannot be a client's.
_CHARSETS = re.compile(
    r"ascii|armscii8|binary|cp\d{3,4}(?<!cp932)|dec8|eucjpms|euckr|gb2312|geostd8|greek|hebrew|hp8|keybcs2|koi8[ru]"
    r"|latin[1257]|mac(?:ce|roman)|swe7|tis620|ujis|utf8|utf8mb[34]"
)
_WORD = re.compile(r"[A-Za-z0-9_]+")
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
class Tongue:
    """What the server understands: its *collations*, and whether it is a MariaDB."""

    collations: frozenset[str]
    is_mariadb: bool


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
        definer = f"DEFINER={_quoted(user)}@{_quoted(host)}".encode("utf-8", "surrogateescape")
        security = self.security if is_trusted or not self.security else "SQL SECURITY INVOKER"
        words = [self.before, definer]
        if self.kind == "VIEW":
            return b" ".join([*words, security.encode(), self.behind, self.body])
        return b" ".join([*words, self.behind, *([security.encode()] if security else []), self.body])


class DumpText:
    """The dump *content*, of which :meth:`rows` must be read to the end before there are definitions.

    What the dump says of the database is there after :meth:`begin`. *deed* begins the sentence of a refusal. *token* is
    what stands behind each statement: nobody who made the dump can know it, so nothing in there ends a statement.
    """

    def __init__(self, content: Iterable[Buffer], tongue: Tongue, token: str, deed: str) -> None:
        self.charset: str | None = None
        self.collation: str | None = None
        self.database: str | None = None
        self.definers: list[tuple[str, Account | None]] = []  # of all that is defined
        self._tongue = tongue
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
        self._reading = Reading()
        self._reader = StatementReader(content, self._reading, deed)
        self._statements = iter(self._reader)
        self._first: Statement | None = None
        self._saved: dict[str, tuple[str, str]] = {}  # what a variable of the user's holds: of which variable, and what
        self._values = {"sql_mode": "NO_AUTO_VALUE_ON_ZERO", "character_set_client": "utf8mb4"}
        self._unrestored: set[str] = set()
        self._defined: list[bytes | Definition] = []
        self._events: list[bytes | Definition] = []
        self._size = 0
        self._mapped: dict[str, str] = {}
        self._mapped_count = 0
        self._modes_left_out: set[str] = set()

    # what is asked for

    def begin(self) -> None:
        """Read the dump up to what is in the database."""
        for statement in self._statements:
            if self._of_database(statement):
                continue
            if statement.tokens[0].word == "SET" and not statement.has_rows:
                self._set(statement)
                continue
            self._first = statement
            return

    def rows(self) -> Iterator[Buffer]:
        """Yield the statements that make tables and fill them."""
        yield self._preamble
        yield b"".join(part for part in self._defined if isinstance(part, bytes))
        while self._first is not None:
            statement = self._first
            if statement.has_rows:
                yield self._insertion(statement)
                yield from self._reader.rows()
                yield self._end
            else:
                yield self._table_part(statement)
            self._first = next(self._statements, None)
        if not self._reader.number:
            raise DatabaseError(f"{self._deed}: the dump lacks its end: there is no statement in it.")
        if self._unrestored:
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
        if self._mapped:
            pairs = [f"{old} by {new}" for old, new in sorted(self._mapped.items())]
            found.append(
                f"The server lacks {len(pairs)} collation(s) of the dump, which were replaced in {self._mapped_count}"
                f" place(s) of its definitions ({_shown(pairs)}): texts may be sorted and compared otherwise."
            )
        if self._modes_left_out:
            found.append(
                "The server does not know all SQL modes of the dump; these were left out:"
                f" {_shown(sorted(self._modes_left_out))}."
            )
        return found

    # statements

    def _refuse(self, why: str, kind: str = "") -> t.NoReturn:
        self._reader.refuse(f"{kind and f'({kind}) '}{why}")

    def _refuse_kind(self, statement: Statement) -> t.NoReturn:
        words = [token.word for token in statement.tokens[:8]]
        kind = words[0] if words and words[0] in _KINDS else "of an unknown kind"
        objects = [word for word in words[1:] if word in _OBJECTS]
        if words and words[0] in ("ALTER", "CREATE", "DROP", "INSTALL", "LOAD", "RENAME", "SET", "UNINSTALL"):
            kind = " ".join([kind, *objects[:1]])
        self._refuse("is none that a dump of one database holds, so nothing of the dump is loaded", kind)

    def _of_database(self, statement: Statement) -> bool:
        """Take what a statement says of the database itself, and tell whether it is such a one."""
        words = Words(statement.tokens)
        if words.take("USE"):
            self._own(words.name())
            return self._ended(words, statement)
        if words.take("DROP", "DATABASE") or words.take("DROP", "SCHEMA"):
            words.take("IF", "EXISTS")
            self._own(words.name())
            return self._ended(words, statement)
        if words.take("CREATE", "DATABASE") or words.take("CREATE", "SCHEMA"):
            words.take("IF", "NOT", "EXISTS")
            self._own(words.name())
            charset, collation = self._defaults(words, statement)
            self.charset = charset or self.charset
            self.collation = collation or self.collation
            return True
        return False

    def _own(self, name: str) -> None:
        """Take *name* for that of the database; there is only one."""
        if self.database is None:
            self.database = name
        if not name or self.database != name:
            self._refuse("is for another database than those before: a dump of several cannot be loaded", "USE")

    def _defaults(self, words: Words, statement: Statement) -> tuple[str | None, str | None]:
        charset = collation = None
        while not words.at_end:
            words.take("DEFAULT")
            if words.take("CHARACTER", "SET") or words.take("CHARSET"):
                words.take_sign("=")
                charset = self._word(words, statement)
            elif words.take("COLLATE"):
                words.take_sign("=")
                collation = self._known(self._word(words, statement))
            elif words.take("ENCRYPTION") or words.take("COMMENT"):
                words.take_sign("=")
                words.step()
            else:
                self._refuse_kind(statement)
        return charset, collation

    def _word(self, words: Words, statement: Statement) -> str:
        token = words.step()
        word = "" if token is None else token.text.decode("ascii", "replace").strip("'\"`")
        if not _WORD.fullmatch(word):
            self._refuse_kind(statement)
        return word

    def _ended(self, words: Words, statement: Statement) -> bool:
        if not words.at_end:
            self._refuse_kind(statement)
        return True

    def _table_part(self, statement: Statement) -> bytes:
        """Return what a statement without rows is for the tables; keep what it is for the rest."""
        if not statement.tokens:
            return b""
        if self._of_database(statement):
            return b""
        words = Words(statement.tokens)
        first = statement.tokens[0].word
        deeds: dict[str, Callable[[Statement, Words], bytes]] = {
            "ALTER": self._alteration,
            "COMMIT": self._end_of_rows,
            "CREATE": self._creation,
            "DEALLOCATE": self._of_rocksdb,
            "DO": self._sequence_value,
            "DROP": self._drop,
            "EXECUTE": self._of_rocksdb,
            "LOCK": self._lock,
            "PREPARE": self._of_rocksdb,
            "SELECT": self._selection,
            "UNLOCK": self._lock,
        }
        if first == "SET":
            return self._set(statement)
        if first not in deeds:
            self._refuse_kind(statement)
        return deeds[first](statement, words)

    def _insertion(self, statement: Statement) -> bytes:
        words = Words(statement.tokens)
        verb = statement.tokens[0].word
        words.step()
        while words.take("IGNORE") or words.take("DELAYED") or words.take("LOW_PRIORITY"):
            verb = "INSERT IGNORE" if verb.startswith("INSERT") and words.before == "IGNORE" else verb
        if not words.take("INTO"):
            self._refuse_kind(statement)
        table = self._object(words, statement)
        columns: list[str] = []
        if words.take_sign("("):
            while not words.take_sign(")"):
                columns.append(words.name())
                if not columns[-1] or not (words.take_sign(",") or words.is_sign(")")):
                    self._refuse_kind(statement)
        if not words.take("VALUES"):
            self._refuse_kind(statement)
        self._ended(words, statement)
        listed = f" ({', '.join(map(_quoted, columns))})" if columns else ""
        return _encoded(f"{verb} INTO {_quoted(table)}{listed} VALUES ")

    def _object(self, words: Words, statement: Statement) -> str:
        """Return the name of something in the database; the database before it must be the dump's own."""
        name = words.name()
        if words.take_sign("."):
            self._require_own(name)
            name = words.name()
        if not name:
            self._refuse_kind(statement)
        return name

    def _require_own(self, database: str) -> None:
        own = self.database if self.database is not None else self._reader.told_database
        if database != own:
            self._refuse("names another database than that of the dump")

    def _lock(self, statement: Statement, words: Words) -> bytes:
        """Nobody else sees the tables while they are filled, so locks are left out."""
        if words.take("UNLOCK", "TABLES"):
            self._ended(words, statement)
            return b""
        if not words.take("LOCK", "TABLES"):
            self._refuse_kind(statement)
        while True:
            self._object(words, statement)
            if not (words.take("WRITE") or words.take("READ")):
                self._refuse_kind(statement)
            words.take("LOCAL")
            if not words.take_sign(","):
                self._ended(words, statement)
                return b""

    def _end_of_rows(self, statement: Statement, words: Words) -> bytes:
        words.take("COMMIT")
        self._ended(words, statement)
        return b"COMMIT" + self._end

    def _alteration(self, statement: Statement, words: Words) -> bytes:
        if words.take("ALTER", "DATABASE") or words.take("ALTER", "SCHEMA"):
            if words.word not in ("CHARACTER", "COLLATE", "DEFAULT", "CHARSET") or words.is_quoted:
                self._own(words.name())
            charset, collation = self._defaults(words, statement)
            if charset is None and collation is None:
                return b""
            kind = f" CHARACTER SET {charset}" if charset else ""
            kind += f" COLLATE {collation}" if collation else ""
            self._keep(_encoded(f"ALTER DATABASE{kind}") + self._end, events=True)
            return b""
        if not words.take("ALTER", "TABLE"):
            self._refuse_kind(statement)
        table = self._object(words, statement)
        deed = "DISABLE" if words.take("DISABLE", "KEYS") else "ENABLE" if words.take("ENABLE", "KEYS") else ""
        if not deed:
            self._refuse_kind(statement)
        self._ended(words, statement)
        return _encoded(f"ALTER TABLE {_quoted(table)} {deed} KEYS") + self._end

    def _drop(self, statement: Statement, words: Words) -> bytes:
        """Everything is made anew in an empty database, but what stands in for a view until it is made."""
        words.take("DROP")
        kind = words.step()
        if kind is None or kind.word not in ("TABLE", "VIEW", "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "SEQUENCE"):
            self._refuse_kind(statement)
        words.take("IF", "EXISTS")
        name = self._object(words, statement)
        self._ended(words, statement)
        text = _encoded(f"DROP {kind.word} IF EXISTS {_quoted(name)}") + self._end
        if kind.word == "VIEW" or (kind.word == "TABLE" and statement.is_versioned):
            self._keep(text)
            return b""
        return text if kind.word in ("TABLE", "SEQUENCE") else b""

    def _sequence_value(self, statement: Statement, words: Words) -> bytes:
        """Return what sets a sequence to a value: DO SETVAL(name, 1, 0)."""
        words.step()
        if not (words.take("SETVAL") and words.take_sign("(")):
            self._refuse_kind(statement)
        name = self._object(words, statement)
        numbers = ""
        while words.take_sign(","):
            sign = "-" if words.take_sign("-") else ""
            number = words.step()
            if number is None or not number.text.isdigit():
                self._refuse_kind(statement)
            numbers += f", {sign}{number.text.decode()}"
        if not words.take_sign(")"):
            self._refuse_kind(statement)
        self._ended(words, statement)
        return _encoded(f"DO SETVAL({_quoted(name)}{numbers})") + self._end

    def _selection(self, statement: Statement, words: Words) -> bytes:
        """Older programs of MariaDB set a sequence by SELECT; Percona's ask for an engine, which nobody needs here."""
        if words.word_at(1) == "SETVAL":
            return self._sequence_value(statement, words)
        if not any(token.text.lower().startswith(b"rocksdb_") for token in statement.tokens[:9]):
            self._refuse_kind(statement)
        return b""

    def _of_rocksdb(self, statement: Statement, words: Words) -> bytes:
        """Percona's programs prepare what sets up an engine: that is left out, and so nothing else is executed."""
        if words.take("EXECUTE") or words.take("DEALLOCATE", "PREPARE"):
            words.name()
            self._ended(words, statement)
            return b""
        words.take("PREPARE")
        words.name()
        if not (words.take("FROM") and words.take_sign("@") and words.word.startswith("ROCKSDB_")):
            self._refuse_kind(statement)
        words.step()
        self._ended(words, statement)
        return b""

    # what is set

    def _set(self, statement: Statement) -> bytes:
        """Return the settings as they are let through, and keep them for the definitions, too."""
        words = Words(statement.tokens)
        words.take("SET")
        if words.is_sign("@") and words.word_at(1).startswith("ROCKSDB_"):
            return b""
        made: list[bytes] = []
        if self._is_of_replication(words):
            return b""
        while True:
            if words.take("NAMES"):
                made.append(self._names(words, statement))
            else:
                made.append(self._assignment(words, statement))
            if not words.take_sign(","):
                break
        self._ended(words, statement)
        text = b"".join(line + self._end for line in made if line)
        self._keep(text, events=True)
        return text

    def _is_of_replication(self, words: Words) -> bool:
        """Tell whether the transactions of another server are set, or whether this one logs: both are left out."""
        ahead = 0
        while words.is_sign("@", ahead) or words.is_sign(".", ahead) or words.word_at(ahead) in _SCOPES:
            ahead += 1
        return words.word_at(ahead).lower() in _OF_REPLICATION

    def _names(self, words: Words, statement: Statement) -> bytes:
        charset = self._charset(self._word(words, statement))
        collation = ""
        if words.take("COLLATE"):
            collation = f" COLLATE {self._known(self._word(words, statement))}"
        return _encoded(f"SET NAMES {charset}{collation}")

    def _assignment(self, words: Words, statement: Statement) -> bytes:
        if words.is_sign("@") and not words.is_sign("@", 1):
            return self._saving(words, statement)
        variable = self._variable(words, statement)
        pattern = _VARIABLES[variable]
        self._equals(words, statement)
        if words.is_sign("@"):
            words.take_sign("@")
            name = self._word(words, statement).lower()
            saved_of, value = self._saved.get(name, ("", ""))
            if saved_of != variable:
                self._refuse("sets a variable back to what was not saved before", "SET")
            self._unrestored.discard(name)
            self._hold(variable, value)
            return _encoded(pattern.replace("%s", f"SET SESSION {variable} = @{name}"))
        value = self._value(variable, words, statement)
        return _encoded(pattern.replace("%s", f"SET SESSION {variable} = {value}"))

    def _saving(self, words: Words, statement: Statement) -> bytes:
        """Return what keeps a variable of the session in one of the user's."""
        words.take_sign("@")
        name = self._word(words, statement).lower()
        self._equals(words, statement)
        variable = self._variable(words, statement)
        self._saved[name] = (variable, self._values.get(variable, ""))
        if name in _LAST:
            self._unrestored.add(name)
        return _encoded(_VARIABLES[variable].replace("%s", f"SET @{name} = @@SESSION.{variable}"))

    def _variable(self, words: Words, statement: Statement) -> str:
        words.take_sign("@")
        words.take_sign("@")
        if words.take("SESSION") or words.take("LOCAL"):
            words.take_sign(".")
        variable = words.word.lower()
        words.step()
        if variable not in _VARIABLES:
            self._refuse_kind(statement)
        return variable

    def _equals(self, words: Words, statement: Statement) -> None:
        words.take_sign(":")
        if not words.take_sign("="):
            self._refuse_kind(statement)

    def _value(self, variable: str, words: Words, statement: Statement) -> str:
        """Return the value as a statement has it, and hold what it means for what follows."""
        token = words.step()
        if token is None or token.kind not in (WORD, TEXT):
            self._refuse_kind(statement)
        value = token.text.decode("utf-8", "replace")
        value = value[1:-1] if token.kind == TEXT else value
        if variable == "sql_mode":
            modes = self._modes(value)
            self._hold(variable, modes)
            return f"'{modes}'"
        if variable == "time_zone":
            if not _ZONE.fullmatch(value):
                self._refuse_kind(statement)
            return f"'{value}'"
        if not _WORD.fullmatch(value):
            self._refuse_kind(statement)
        if variable.startswith("character_set_"):
            return self._charset(value, holds=variable == "character_set_client")
        return self._known(value) if variable == "collation_connection" else value

    def _hold(self, variable: str, value: str) -> None:
        """Remember that a variable has a *value*, and what it means for how the dump is read."""
        self._values[variable] = value
        if variable == "character_set_client":
            self._reading.is_utf8 = value.startswith("utf8")
        elif variable == "sql_mode":
            modes = set(value.split(","))
            self._reading.has_ansi_quotes = not modes.isdisjoint(_ANSI_MODES)
            self._reading.has_backslashes = "NO_BACKSLASH_ESCAPES" not in modes

    def _charset(self, charset: str, *, holds: bool = True) -> str:
        charset = charset.lower()
        if charset == "null" and not holds:
            return charset
        if not _CHARSETS.fullmatch(charset):
            self._refuse(f"is followed by text in the character set {charset}, which cannot be read safely", "SET")
        if holds:
            self._hold("character_set_client", charset)
        return charset

    def _modes(self, value: str) -> str:
        """Return those of the SQL modes in *value* that the server knows."""
        modes = [mode for mode in value.upper().replace(" ", "").split(",") if mode]
        known = _MODES | (_MODES_OF_MARIADB if self._tongue.is_mariadb else _MODES_OF_MYSQL)
        if "ORACLE" in modes and self._tongue.is_mariadb:
            known |= {"ORACLE"}
        kept = [mode for mode in modes if mode in known]
        if not set(modes).isdisjoint(_ANSI_MODES) and set(kept).isdisjoint(_ANSI_MODES):
            kept.append("ANSI_QUOTES")
        unknown = {mode for mode in modes if mode not in known and _WORD.fullmatch(mode)}
        self._modes_left_out |= unknown - {"NO_AUTO_CREATE_USER"}  # which only tells how accounts are made
        return ",".join(kept)

    # tables

    def _creation(self, statement: Statement, words: Words) -> bytes:
        words.take("CREATE")
        words.take("OR", "REPLACE")
        if words.word in ("TABLE", "SEQUENCE"):
            return self._table(statement, words)
        definition = self._definition(statement, words)
        if definition.definer is not None or not _stands_in(definition, words.rest()):
            self.definers.append((definition.kind, definition.definer))
        (self._events if definition.kind == "EVENT" else self._defined).append(definition)
        self._count(len(definition.body) + len(definition.behind))
        return b""

    def _table(self, statement: Statement, words: Words) -> bytes:
        """Return what makes a table or a sequence; that of one which stands in for a view is kept for later."""
        kind = words.word
        words.step()
        words.take("IF", "NOT", "EXISTS")
        name = self._object(words, statement)
        if kind == "TABLE" and not words.is_sign("("):
            self._refuse_kind(statement)
        begin = words.start(len(statement.text))
        self._require_closed(statement, words.rest())
        copy = statement.plain if statement.is_versioned else statement.part
        text = self._edited(words.rest(), begin, len(statement.text), copy, is_own=True)
        made = _encoded(f"CREATE {kind} {_quoted(name)} ") + text + self._end
        if statement.is_versioned:
            self._keep(made)
            return b""
        return made

    def _require_closed(self, statement: Statement, tokens: Sequence[Token]) -> None:
        """Refuse a table that is made of more than its columns."""
        for place, token in enumerate(tokens):
            behind = tokens[place + 1 : place + 3]
            is_reader = token.kind in (WORD, NAME) and token.name.upper() in _READERS  # a name in quotes is one, too
            if token.word in _OUTSIDE or (is_reader and behind and behind[0].text == b"("):
                self._refuse("makes a table with a query, a file, a server or a function that no table needs")
            if token.kind == SIGN and token.text in b";@":
                self._refuse_kind(statement)
            if token.word == "ENGINE" and behind:
                engine = behind[-1] if behind[0].text == b"=" else behind[0]
                if engine.text.decode("utf-8", "replace").strip("'\"`").upper() not in _ENGINES:
                    self._refuse("makes a table of an engine that reads files or other servers, or is not known")

    def _edited(
        self, tokens: Sequence[Token], begin: int, end: int, copy: Callable[[int, int], bytes], *, is_own: bool = False
    ) -> bytes:
        """Return what *copy* gives of a statement from *begin* to *end*, with collations that the server knows.

        With *is_own* the database before a name must be the dump's own, and is left out.
        """
        pieces = []
        place = begin
        for number, token in enumerate(tokens):
            if is_own and _is_qualified(tokens, number):
                self._require_own(tokens[number - 1].name)
                pieces.append(copy(place, tokens[number - 1].start))
                place = token.end
            new = self._collation_of(tokens, number)
            if new is not None:
                pieces += [copy(place, token.start), new]
                place = token.end
        return b"".join([*pieces, copy(place, end)])

    def _collation_of(self, tokens: Sequence[Token], number: int) -> bytes | None:
        """Return the collation that is to stand in the place of a token, or None if it may stay."""
        before = number - 1
        if before >= 0 and tokens[before].text == b"=":
            before -= 1
        if before < 0 or tokens[before].word != "COLLATE":
            return None
        old = tokens[number].text.decode("utf-8", "replace").strip("'\"`")
        new = self._known(old) if _WORD.fullmatch(old) else old
        return None if new == old else new.encode()

    def _known(self, collation: str) -> str:
        """Return *collation*, or the one that the server has in its place."""
        if collation.lower() in self._tongue.collations:
            return collation
        new = nearest_collation(collation.lower(), self._tongue.collations)
        if new is None:
            return collation
        self._mapped[collation] = new
        self._mapped_count += 1
        return new

    # definitions

    def _definition(self, statement: Statement, words: Words) -> Definition:
        if "ORACLE" in self._values["sql_mode"].split(","):
            self._refuse("defines something in the language of Oracle, which is not supported")
        before = b"CREATE"
        if words.take("ALGORITHM"):
            words.take_sign("=")
            before += f" ALGORITHM={self._word(words, statement)}".encode()
        definer = self._definer(words, statement)
        security = ""
        if words.take("SQL", "SECURITY"):
            security = f"SQL SECURITY {self._word(words, statement).upper()}"
        kinds = {"VIEW": self._view, "TRIGGER": self._trigger, "EVENT": self._event}
        aggregate = "AGGREGATE " if words.take("AGGREGATE") else ""
        kind = words.word
        words.step()
        words.take("IF", "NOT", "EXISTS")
        if kind in ("FUNCTION", "PROCEDURE"):
            return self._routine(statement, words, kind, aggregate, definer)
        if kind not in kinds:
            self._refuse_kind(statement)
        name = _quoted(self._object(words, statement))
        behind, body = kinds[kind](statement, words)
        security = (security or "SQL SECURITY DEFINER") if kind == "VIEW" else ""
        return Definition(kind, before, definer, _encoded(f"{kind} {name} {behind}"), security, body)

    def _definer(self, words: Words, statement: Statement) -> Account | None:
        if not words.take("DEFINER"):
            return None
        words.take_sign("=")
        if words.take("CURRENT_USER"):
            if words.take_sign("(") and not words.take_sign(")"):
                self._refuse_kind(statement)
            return None
        user = words.name() or words.text()
        if not words.take_sign("@"):
            return None if user else self._refuse_kind(statement)  # of MariaDB's roles, which have no host
        return user, words.name() or words.text()

    def _view(self, statement: Statement, words: Words) -> tuple[str, bytes]:
        columns = ""
        if words.take_sign("("):
            while not words.take_sign(")"):
                columns += f"{', ' if columns else ''}{_quoted(words.name())}"
                if not (words.take_sign(",") or words.is_sign(")")):
                    self._refuse_kind(statement)
            columns = f"({columns}) "
        if not words.take("AS"):
            self._refuse_kind(statement)
        tokens = words.rest()
        if any(token.kind == SIGN and token.text == b";" for token in tokens):
            self._refuse_kind(statement)
        return f"{columns}AS", self._body(statement, words)

    def _trigger(self, statement: Statement, words: Words) -> tuple[str, bytes]:
        moment, event = words.word, words.word_at(1)
        if moment not in ("BEFORE", "AFTER") or event not in ("INSERT", "UPDATE", "DELETE"):
            self._refuse_kind(statement)
        words.take(moment, event)
        if not words.take("ON"):
            self._refuse_kind(statement)
        table = self._object(words, statement)
        if not words.take("FOR", "EACH", "ROW"):
            self._refuse_kind(statement)
        order = ""
        if words.word in ("FOLLOWS", "PRECEDES"):
            order = f" {words.word}"
            words.step()
            order += f" {_quoted(words.name())}"
        Body(words.rest(), self._refuse).require_single()
        return f"{moment} {event} ON {_quoted(table)} FOR EACH ROW{order}", self._body(statement, words)

    def _event(self, statement: Statement, words: Words) -> tuple[str, bytes]:
        """Take an event as the server tells it: its times are literals, so no word in them can be another DO."""
        begin = words.start(len(statement.text))
        if not words.take("ON", "SCHEDULE"):
            self._refuse_kind(statement)
        while words.word != "DO":
            if words.at_end or words.is_sign(";") or words.is_sign("(") or words.is_sign("@"):
                self._refuse_kind(statement)
            words.step()
        end = words.start(len(statement.text))
        words.step()
        Body(words.rest(), self._refuse).require_single()
        head = statement.plain(begin, end).decode("utf-8", "surrogateescape")
        return f"{head.rstrip()} DO", self._body(statement, words)

    def _routine(
        self, statement: Statement, words: Words, kind: str, aggregate: str, definer: Account | None
    ) -> Definition:
        name = _quoted(self._object(words, statement))
        begin = words.start(len(statement.text))
        first = len(statement.tokens) - len(words.rest())
        self._pass_brackets(words, statement)
        if kind == "FUNCTION":
            self._pass_type(words, statement)
        security = ""
        characteristics_begin = words.start(len(statement.text))
        last = len(statement.tokens) - len(words.rest())
        characteristics = ""
        while True:
            taken = next((found for found in _CHARACTERISTICS if words.take(*found)), None)
            if taken is not None:
                characteristics += f" {' '.join(taken)}"
            elif words.take("COMMENT"):
                characteristics += f" COMMENT {words.text_as_it_is()}"
            elif words.take("SQL", "SECURITY"):
                security = f"SQL SECURITY {self._word(words, statement).upper()}"
            else:
                break
        Body(words.rest(), self._refuse).require_single()
        head = self._edited(statement.tokens[first:last], begin, characteristics_begin, statement.plain)
        behind = _encoded(f"{aggregate}{kind} {name}") + head + _encoded(characteristics)
        return Definition(
            kind, b"CREATE", definer, behind, security or "SQL SECURITY DEFINER", self._body(statement, words)
        )

    def _pass_brackets(self, words: Words, statement: Statement) -> None:
        depth = 0
        while True:
            depth += words.is_sign("(") - words.is_sign(")")
            if words.step() is None or words.is_sign(";"):
                self._refuse_kind(statement)
            if not depth:
                return

    def _pass_type(self, words: Words, statement: Statement) -> None:
        """Pass over RETURNS and a type, up to the first word that none has."""
        if not words.take("RETURNS"):
            self._refuse_kind(statement)
        words.step()
        if words.before == "DOUBLE":
            words.take("PRECISION")
        elif words.before in ("NATIONAL", "LONG"):
            words.step()
        while True:
            if words.is_sign("("):
                self._pass_brackets(words, statement)
            else:
                has_value = words.take("CHARACTER", "SET") or words.take("CHARSET") or words.take("COLLATE")
                if not has_value and words.word not in _OF_TYPES:
                    return
                words.step()

    def _body(self, statement: Statement, words: Words) -> bytes:
        """Return the rest of a statement as it is, but for collations."""
        begin, end = words.start(len(statement.text)), len(statement.text)
        return self._edited(words.rest(), begin, end, statement.plain).strip()

    # what is kept

    def _keep(self, text: bytes, *, events: bool = False) -> None:
        """Keep the statement *text* for the definitions, in their order, and for the *events*."""
        if text:
            self._defined.append(text)
            if events:
                self._events.append(text)
            self._count(len(text))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > _LIMIT:
            self._refuse(f"is one definition too many: together they are longer than {_LIMIT // 1024 // 1024} MiB")

    def _rendered(
        self,
        parts: Sequence[bytes | Definition],
        settle: Settle,
        move: Callable[[bytes, str], bytes],
    ) -> bytes:
        if not any(isinstance(part, Definition) for part in parts):
            return b""
        pieces = [self._preamble]
        own = self.database if self.database is not None else self._reader.told_database or ""
        for part in parts:
            if isinstance(part, bytes):
                pieces.append(part)
                continue
            text = part.text(settle)
            pieces.append((move(text, own) if part.kind == "VIEW" else text) + self._end)
        return b"".join([*pieces, b"DELIMITER ;\n"])


def _stands_in(definition: Definition, tokens: Sequence[Token]) -> bool:
    """Tell whether a view of literals stands in for another one, as programs write them that dump several views."""
    return definition.kind == "VIEW" and all(
        token.kind == NAME or token.word in ("SELECT", "AS", "NULL", "1") or token.text == b"," for token in tokens
    )


def _is_qualified(tokens: Sequence[Token], number: int) -> bool:
    """Tell whether a token is the dot between two names, and none within a number."""
    if tokens[number].text != b"." or not 0 < number < len(tokens) - 1:
        return False
    behind = tokens[number + 1]
    return _is_name(tokens[number - 1]) and behind.kind in (WORD, NAME)


def _is_name(token: Token) -> bool:
    return token.kind == NAME or (token.kind == WORD and not token.text.isdigit())


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
