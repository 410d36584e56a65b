# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a database, the same in a server of each kind, how it changes, and what people dump and load it with."""

from __future__ import annotations

import contextlib
import random
import typing as t
from dataclasses import dataclass

from tests.servers import mariadb as mariadb_server
from tests.servers import postgresql as postgresql_server

from .trees import Text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.servers.mariadb import MariaDb
    from tests.servers.postgresql import PostgreSql

_ARTICLES, _PICTURES = "articles", "pictures"
_SMALLEST_ARTICLE, _LARGEST_ARTICLE = 500, 3_500
_SMALLEST_PICTURE, _LARGEST_PICTURE = 32_000, 96_000
_TITLE = 40
_STRETCHES = 5
_AT_ONCE = 4_000_000  # characters of statements, which a server takes in one packet


@dataclass(frozen=True)
class Rows:
    """Two tables of about *size* bytes together: articles of text, and pictures of random bytes."""

    size: int
    seed: int = 1

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each table has at first."""
        half = self.size // 2
        return {
            _ARTICLES: half * 2 // (_SMALLEST_ARTICLE + _LARGEST_ARTICLE),
            _PICTURES: half * 2 // (_SMALLEST_PICTURE + _LARGEST_PICTURE),
        }

    def made(self, site: Site) -> Iterator[str]:
        """Yield statements that make both tables and fill them; every second id is left free."""
        fresh = _Fresh(f"{self.seed}", site)
        yield site.tables
        for table, count in self.counts.items():
            rows = (_row(2 * number, fresh.values(table)) for number in range(count))
            for some in _together(rows, ",\n"):
                yield _insertion(table, some)

    def changed(self, site: Site) -> Iterator[str]:
        """Yield statements that change one row of a hundred in five stretches, and insert one of a thousand between."""
        fresh = _Fresh(f"{self.seed} changed", site)
        yield from _together(self._changes(fresh), "\n")

    def _changes(self, fresh: _Fresh) -> Iterator[str]:
        for table, count in self.counts.items():
            length = max(1, count // 100 // _STRETCHES)
            for stretch in range(_STRETCHES):
                first = count * (2 * stretch + 1) // (2 * _STRETCHES)
                for number in range(first, first + length):
                    values = ", ".join(f"{column} = {value}" for column, value in fresh.values(table).items())
                    yield f"UPDATE {table} SET {values} WHERE id = {2 * number};"  # noqa: S608 - nobody else's words
            for number in range(count // 2, count // 2 + max(1, count // 1000)):
                yield _insertion(table, _row(2 * number + 1, fresh.values(table)))


class _Fresh:
    """A seeded source of rows, as a *site* writes them."""

    def __init__(self, seed: str, site: Site) -> None:
        self._chance = random.Random(seed)
        self._text = Text(self._chance)
        self._site = site

    def values(self, table: str) -> dict[str, str]:
        """Return a row of *table* by its columns, without its id."""
        if table == _PICTURES:
            size = self._chance.randint(_SMALLEST_PICTURE, _LARGEST_PICTURE)
            return {"content": self._site.literal(self._chance.randbytes(size))}
        size = self._chance.randint(_SMALLEST_ARTICLE, _LARGEST_ARTICLE)
        body = b"".join(self._text.pieces(size)).decode("ascii")  # letters, digits and spaces
        return {"title": f"'{body[:_TITLE]}'", "body": f"'{body}'"}


def _row(identifier: int, values: Mapping[str, str]) -> str:
    return f"({identifier}, {', '.join(values.values())})"


def _insertion(table: str, rows: str) -> str:
    return f"INSERT INTO {table} VALUES {rows};"  # noqa: S608 - nobody else's words


def _together(texts: Iterable[str], separator: str) -> Iterator[str]:
    """Yield *texts* joined, as many at once as a server takes."""
    some: list[str] = []
    size = 0
    for text in texts:
        if some and size + len(text) > _AT_ONCE:
            yield separator.join(some)
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield separator.join(some)


@dataclass(frozen=True)
class Pipe:
    """What people do: a program that writes a *dump*, one that reads it to *load* it, perhaps with gzip between them.

    Both command lines end before the name of the database.
    """

    name: str
    dump: tuple[str, ...]
    load: tuple[str, ...]
    is_packed: bool = False


class Site(t.Protocol):
    """A server of one kind, and the words that it wants."""

    name: str
    kind: str
    tables: str

    @property
    def login(self) -> Mapping[str, str | int]:
        """How it is reached, through its socket, but for the password."""

    @property
    def password(self) -> str: ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What the client programs need in theirs."""

    @property
    def pipes(self) -> Sequence[Pipe]: ...

    def literal(self, content: bytes) -> str:
        """Return *content* as it stands in a statement."""

    def run(self, statements: str, database: str) -> None:
        """Have *statements* executed in a *database*."""

    def create(self, database: str) -> None: ...

    def drop(self, database: str) -> None:
        """Remove a *database* if there is one of that name."""

    def digest(self, database: str) -> str:
        """Read all of a *database*, and return the number of rows and a checksum for each table.

        What the server had put off until then is done, too.
        """


class MariaDbSite:
    """A MariaDB."""

    name = "MariaDB"
    kind = "mysql"
    tables = (
        "CREATE TABLE articles (id BIGINT PRIMARY KEY, title VARCHAR(40) NOT NULL, body TEXT NOT NULL, KEY (title));"
        " CREATE TABLE pictures (id BIGINT PRIMARY KEY, content LONGBLOB NOT NULL);"
    )
    why_unavailable = staticmethod(mariadb_server.why_unavailable)

    def __init__(self, server: MariaDb) -> None:
        self._server = server

    @staticmethod
    @contextlib.contextmanager
    def opened(directory: Path) -> Iterator[Site]:
        """Run a server in *directory* until the block ends."""
        memory = ("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=256M")
        with mariadb_server.mariadb(directory, arguments=memory) as server:
            yield MariaDbSite(server)

    @property
    def login(self) -> Mapping[str, str | int]:
        server = self._server
        return {"socket": str(server.socket), "username": server.username, "programs": str(server.programs)}

    @property
    def password(self) -> str:
        return self._server.password

    @property
    def environment(self) -> Mapping[str, str]:
        return {"MYSQL_PWD": self.password}

    @property
    def pipes(self) -> Sequence[Pipe]:
        server = self._server
        where = ("--no-defaults", f"--socket={server.socket}", f"--user={server.username}")
        dump = (str(server.programs / "mariadb-dump"), *where, "--single-transaction", "--quick")
        load = (str(server.programs / "mariadb"), *where)
        return (Pipe("mariadb-dump", dump, load), Pipe("mariadb-dump | gzip -1", dump, load, is_packed=True))

    def literal(self, content: bytes) -> str:
        return f"x'{content.hex()}'"

    def run(self, statements: str, database: str) -> None:
        self._server.run(statements, database=database)

    def create(self, database: str) -> None:
        self._server.run(f"CREATE DATABASE {database};")

    def drop(self, database: str) -> None:
        self._server.run(f"DROP DATABASE IF EXISTS {database};")

    def digest(self, database: str) -> str:
        return self._server.run(
            "SELECT COUNT(*), SUM(CRC32(CONCAT(id, MD5(title), MD5(body)))) FROM articles;"
            " SELECT COUNT(*), SUM(CRC32(CONCAT(id, MD5(content)))) FROM pictures;",
            database=database,
        )


class PostgreSqlSite:
    """A PostgreSQL."""

    name = "PostgreSQL"
    kind = "postgresql"
    tables = (
        "CREATE TABLE articles (id BIGINT PRIMARY KEY, title VARCHAR(40) NOT NULL, body TEXT NOT NULL);"
        " CREATE INDEX ON articles (title);"
        " CREATE TABLE pictures (id BIGINT PRIMARY KEY, content BYTEA NOT NULL);"
    )
    why_unavailable = staticmethod(postgresql_server.why_unavailable)

    def __init__(self, server: PostgreSql) -> None:
        self._server = server

    @staticmethod
    @contextlib.contextmanager
    def opened(directory: Path) -> Iterator[Site]:  # noqa: ARG004 - it chooses one that its user can reach
        """Run a server until the block ends."""
        with postgresql_server.postgresql(settings=("shared_buffers=128MB",)) as server:
            yield PostgreSqlSite(server)

    @property
    def login(self) -> Mapping[str, str | int]:
        server = self._server
        programs = str(server.programs)
        # The port is in the name of the socket.
        return {"socket": str(server.sockets), "port": server.port, "username": server.username, "programs": programs}

    @property
    def password(self) -> str:
        return self._server.password

    @property
    def environment(self) -> Mapping[str, str]:
        return {**self._server.environment(), "PGHOST": str(self._server.sockets)}

    @property
    def pipes(self) -> Sequence[Pipe]:
        programs = self._server.programs
        dump = (str(programs / "pg_dump"), "--no-password", "--format=custom")
        load = (str(programs / "pg_restore"), "--no-password", "--exit-on-error", "--dbname")
        return (Pipe("pg_dump -Fc -Z0", (*dump, "--compress=0"), load), Pipe("pg_dump -Fc", dump, load))

    def literal(self, content: bytes) -> str:
        return f"'\\x{content.hex()}'"

    def run(self, statements: str, database: str) -> None:
        self._server.run(statements, database=database)

    def create(self, database: str) -> None:
        self._server.run(f"CREATE DATABASE {database}")

    def drop(self, database: str) -> None:
        self._server.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def digest(self, database: str) -> str:
        # Who is the first to read a row that was written writes as well, to note that it is valid.
        self._server.run("VACUUM;\nCHECKPOINT;", database=database)
        return self._server.run(
            "SELECT count(*), sum(hashtextextended(concat(id, md5(title), md5(body)), 0)) FROM articles;"
            " SELECT count(*), sum(hashtextextended(concat(id, md5(content)), 0)) FROM pictures;",
            database=database,
        )


SITES: tuple[type[MariaDbSite | PostgreSqlSite], ...] = (MariaDbSite, PostgreSqlSite)
