# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a dump of a database of MySQL or MariaDB is loaded: aside, and under its name only once it is whole.

The tables go into a scratch database, and so do the definitions, which proves that they can be loaded. Then one script
makes the database, moves all tables there by a single statement, and has the definitions and the events follow. The
program that runs it has it as a file, and comes to its end also if this process is killed.

A dump is ours, which tells where its sections begin, or a stranger's, which is read for that: both are parts here.

A scratch database is held by a lock on the server: one without is left of a run that was killed, and the next removes
it. A lock is one server's of a cluster, so the name tells the server, too.
"""

from __future__ import annotations

import re
import secrets
import tempfile
import typing as t
from contextlib import contextmanager, suppress

from ..errors import DatabaseError
from .mysql_client import identifier, literal
from .mysql_names import with_moved_views

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage import Buffer
    from .mysql_client import Client
    from .servers import Facts

SCRATCH = re.compile(r"ftp_backup_[0-9a-f]{16}")
RESERVED = frozenset({"information_schema", "performance_schema", "mysql", "sys"})

_SWAP = ".swap"
# The name of this server in those of its scratch databases, and behind it those that no lock holds.
_LEFT = """
SET @server = LPAD(LOWER(HEX(CRC32(CONCAT(@@hostname, ':', @@port, ':', @@datadir)))), 8, '0');
SELECT @server;
SELECT schema_name FROM information_schema.schemata
WHERE schema_name LIKE CONCAT('ftp\\_backup\\_', CONVERT(@server USING utf8), '________')
AND IS_FREE_LOCK(schema_name) AND IS_FREE_LOCK(CONCAT(schema_name, '.swap'));
"""
#: Seconds to wait for those who use what is to be replaced.
_PATIENCE = "SET SESSION lock_wait_timeout = 300;\n"
_TRIGGERS = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = {scratch};"
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = {scratch} AND table_type <> 'VIEW';"
_DEFAULTS = (
    "SELECT table_name, column_name, column_default FROM information_schema.columns"
    " WHERE table_schema = {scratch} AND column_default LIKE {pattern};"
)
# Names are compared once more as bytes: for the server's tables of tables, an accent makes no difference.
_CONTENT = """
SELECT 'tables or views', COUNT(*) FROM information_schema.tables
WHERE table_schema = {name} AND BINARY table_schema = BINARY {name}
UNION ALL SELECT 'routines', COUNT(*) FROM information_schema.routines
WHERE routine_schema = {name} AND BINARY routine_schema = BINARY {name}
UNION ALL SELECT 'events', COUNT(*) FROM information_schema.events
WHERE event_schema = {name} AND BINARY event_schema = BINARY {name};
"""
_WORD = re.compile(r"[A-Za-z0-9_]+")
_LONGEST = 64


class Parts(t.Protocol):
    """A dump taken apart, each part to be read once and after those before it."""

    def rows(self) -> Iterable[Buffer]:
        """Yield what makes the tables, and fills them."""

    def definitions(self, *databases: str) -> list[bytes]:
        """Return what makes the triggers, routines and views, as it is for each of *databases*."""

    def events(self) -> Iterable[Buffer]:
        """Yield what makes the events; raise if the dump is not whole then."""


class _Target(t.NamedTuple):
    """The database that is to be made, of which *kind* of characters, and where it is made ready."""

    name: str
    scratch: str
    kind: str
    replace: bool


def require_room(client: Client, name: str, *, replace: bool) -> None:
    """Raise unless *name* may become a database; see :meth:`~.servers.Server.require_room`."""
    deed = deed_of(client, name)
    if name.lower() in RESERVED or SCRATCH.fullmatch(name):
        raise DatabaseError(f"{deed}: the server, or a load that runs, has it for itself.")
    if not name or len(name) > _LONGEST:
        raise DatabaseError(f"{deed}: a name has 1 to {_LONGEST} characters.")
    content = _content(client, name, deed)
    if content and not replace:
        raise DatabaseError(f"{deed}: it is there and not empty ({content}), and is not to be replaced.")


def load_database(client: Client, name: str, facts: Facts, content: Iterable[Buffer], *, replace: bool) -> None:
    """Make the database *name*; see :meth:`~.servers.Server.load`."""
    deed = deed_of(client, name)
    require_room(client, name, replace=replace)
    lengths = _lengths(facts, deed)
    kind = f"CHARACTER SET {_word(facts, 'charset', deed)} COLLATE {_word(facts, 'collation', deed)}"
    parts = _Sections(content, lengths, str(facts.get("name", name)), deed)
    load_parts(client, name, parts, kind, replace=replace)


def deed_of(client: Client, name: str) -> str:
    """Return how a sentence begins on a load of the database *name* that failed."""
    return f"Cannot load the database {name!r} on {client.what}"


def load_parts(client: Client, name: str, parts: Parts, kind: str, *, replace: bool) -> None:
    """Make the database *name* of that *kind* what *parts* are, once all of them are whole."""
    deed = deed_of(client, name)
    with _scratch(client, deed) as scratch:
        target = _Target(name, scratch, kind, replace)
        client.ask(f"CREATE DATABASE {identifier(scratch)} {kind};", deed)
        with client.loading(deed, scratch) as given:
            for piece in parts.rows():
                given.write(piece)
        with tempfile.TemporaryFile() as script:
            # Whatever they are, they fit into memory where the server has them, and mostly are some kilobytes.
            for_scratch, for_name = parts.definitions(scratch, name)
            with client.loading(f"{deed}, with its triggers, routines and views", scratch) as given:
                given.write(for_scratch)
            script.write(_beginning(client, target, deed).encode())
            script.write(for_name)
            for piece in parts.events():
                script.write(piece)
            script.write(f"\nDROP DATABASE {identifier(scratch)};\n".encode())
            _swap(client, target, script, deed)


@contextmanager
def _scratch(client: Client, deed: str) -> Iterator[str]:
    """Give the name for a scratch database, hold its lock, and remove what is left under it, unless told to keep it."""
    (server,), *left = client.ask(_LEFT, deed)
    for (name,) in left:
        if SCRATCH.fullmatch(name):
            client.ask(f"{_PATIENCE}DROP DATABASE IF EXISTS {identifier(name)};", f"Cannot remove what is left: {deed}")
    scratch = f"ftp_backup_{server}{secrets.token_hex(4)}"
    with client.locked(scratch, deed):
        try:
            yield scratch
        except _KeptError:
            raise
        except BaseException:
            with suppress(DatabaseError):
                client.ask(f"DROP DATABASE IF EXISTS {identifier(scratch)};", deed)
            raise


class _KeptError(DatabaseError):
    """A swap that failed when nothing but the scratch database was whole."""


def _beginning(client: Client, target: _Target, deed: str) -> str:
    """Return the statements that bring the tables to their name; the scratch database loses its triggers before.

    A table with triggers does not move, and the default of a sequence does not follow it.
    """
    scratch = identifier(target.scratch)
    triggers = client.ask(_TRIGGERS, deed, scratch=target.scratch)
    if triggers:
        client.ask("\n".join(f"DROP TRIGGER {scratch}.{identifier(name)};" for (name,) in triggers), deed)
    tables = client.ask(_TABLES, deed, scratch=target.scratch)
    defaults = client.ask(_DEFAULTS, deed, scratch=target.scratch, pattern=f"%val({scratch}.%")
    name = identifier(target.name)
    moves = ", ".join(f"{scratch}.{identifier(table)} TO {name}.{identifier(table)}" for (table,) in tables)
    statements = [
        f"DO GET_LOCK({literal(target.scratch + _SWAP)}, 0)",
        "SET SESSION foreign_key_checks = 0",  # other databases may look to the tables that are replaced
        *([f"DROP DATABASE IF EXISTS {name}"] if target.replace else []),
        f"CREATE DATABASE IF NOT EXISTS {name} {target.kind}",
        *([f"ALTER DATABASE {name} {target.kind}"] if target.kind else []),
        *([f"RENAME TABLE {moves}"] if moves else []),
        f"USE {name}",
        *(
            f"ALTER TABLE {identifier(table)} ALTER COLUMN {identifier(column)}"
            f" SET DEFAULT {default.replace(scratch, name)}"
            for table, column, default in defaults
        ),
    ]
    return _PATIENCE + "".join(f"{statement};\n" for statement in statements)


def _swap(client: Client, target: _Target, script: t.BinaryIO, deed: str) -> None:
    """Run the *script*, and tell where all is if that fails."""
    before = _content(client, target.name, deed)
    try:
        client.run(deed, script)
    except DatabaseError as error:
        said = str(error)
        try:
            waiting = client.ask(_TABLES, deed, scratch=target.scratch)
            after = _content(client, target.name, deed)
        except DatabaseError:
            raise _KeptError(f"{said} How much of it was done cannot be told; look for {target.scratch!r}.") from error
        if not waiting:
            raise DatabaseError(
                f"{said} Its tables are whole; triggers, routines, views or events may lack."
            ) from error
        if after == before:
            raise DatabaseError(f"{said} What was there is as it was.") from error
        raise _KeptError(
            f"{said} What was there is gone, wholly or in part; the new tables lie whole in the database"
            f" {target.scratch!r} until the next load."
        ) from error


def _content(client: Client, name: str, deed: str) -> str:
    """Return in words what is in the database *name*, nothing if it is empty or not there."""
    rows = client.ask(_CONTENT, deed, name=name)
    return ", ".join(f"{count} {kind}" for kind, count in rows if count != "0")


def _word(facts: Facts, key: str, deed: str) -> str:
    word = facts.get(key)
    if not isinstance(word, str) or not _WORD.fullmatch(word):
        raise DatabaseError(f"{deed}: what is stored of it tells no {key}.")
    return word


def _lengths(facts: Facts, deed: str) -> tuple[int, int, int]:
    sections = facts.get("sections")
    if facts.get("type") != "mysql" or not isinstance(sections, list) or len(sections) != 3:
        raise DatabaseError(f"{deed}: what is stored is no dump of MySQL or MariaDB.")
    rows, definitions, events = map(int, sections)
    return rows, definitions, events


class _Sections:
    """The parts of a dump of ours, of the database *own*, which have these *lengths*."""

    def __init__(self, content: Iterable[Buffer], lengths: tuple[int, int, int], own: str, deed: str) -> None:
        self._pieces = _Pieces(content, f"{deed}: the dump is not as long as it was made")
        self._rows, self._definitions, self._events = lengths
        self._own = own

    def rows(self) -> Iterator[Buffer]:
        return self._pieces.take(self._rows)

    def definitions(self, *databases: str) -> list[bytes]:
        defined = b"".join(map(bytes, self._pieces.take(self._definitions)))
        return [with_moved_views(defined, self._own, database) for database in databases]

    def events(self) -> Iterator[Buffer]:
        yield from self._pieces.take(self._events)
        self._pieces.require_end()


class _Pieces:
    """A content of which so and so much is taken; *refusal* begins the sentence if it is too short or too long."""

    def __init__(self, content: Iterable[Buffer], refusal: str) -> None:
        self._content = iter(content)
        self._refusal = refusal
        self._rest = memoryview(b"")

    def take(self, length: int) -> Iterator[memoryview]:
        while length:
            if not self._more():
                raise DatabaseError(f"{self._refusal}: it lacks its end.")
            piece = self._rest[:length]
            self._rest = self._rest[len(piece) :]
            length -= len(piece)
            yield piece

    def require_end(self) -> None:
        if self._more():
            raise DatabaseError(f"{self._refusal}: it goes on behind its end.")

    def _more(self) -> bool:
        while not self._rest:
            piece = next(self._content, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        return True
