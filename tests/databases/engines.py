# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers of each kind, as tests see them that are the same for all kinds."""

from __future__ import annotations

import os
import signal
import typing as t
from dataclasses import replace
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
from tests.databases import mariadb_content, postgresql_content
from tests.servers.guardian import children_of

if t.TYPE_CHECKING:
    from tests.servers.mariadb import MariaDb
    from tests.servers.postgresql import PostgreSql


class MariaDbEngine:
    """A MariaDB with a database of nearly everything."""

    kind = "mysql"
    rich = mariadb_content.NAME
    _dumper = b"mariadb-dump"

    def __init__(self, server: MariaDb) -> None:
        self.server = server

    def login(self, **others: str | int) -> Login:
        return _login(self.server, others)

    def fill(self) -> None:
        mariadb_content.fill(self.server)

    def portrait(self, name: str) -> object:
        return mariadb_content.remembered(self.server, name)

    def make_site(self, name: str, user: str, password: str) -> None:
        self.server.run(f"CREATE DATABASE `{name}`; CREATE USER {user}@'%' IDENTIFIED BY '{password}';")
        self.server.run(f"GRANT ALL ON `{name}`.* TO {user}@'%';")
        self.server.run("CREATE TABLE orders (id INT PRIMARY KEY, word TEXT);", database=name)
        self.server.run("INSERT INTO orders VALUES (1, 'Grün'), (2, 'Tee');", database=name)
        self.server.run(f"GRANT SELECT (word) ON `{name}`.orders TO {user}@'%';")  # which needs the table to be there

    def make_large(self, name: str) -> None:
        self.drop(name)
        self.server.run(f"CREATE DATABASE `{name}`;")
        self.server.run("CREATE TABLE rows_ (id INT PRIMARY KEY, body VARCHAR(2000));", database=name)
        self.server.run("INSERT INTO rows_ SELECT seq, REPEAT(MD5(seq), 40) FROM seq_1_to_40000;", database=name)

    def words(self, name: str, user: str, password: str) -> list[str]:
        """Return what stands in the orders of the site's database, as its user sees them."""
        as_user = replace(self.server, username=user, password=password)
        return as_user.run("SELECT word FROM orders ORDER BY id;", database=name).split()

    def names(self) -> list[str]:
        return self.server.run("SHOW DATABASES;").splitlines()

    def drop(self, name: str) -> None:
        quoted = name.replace("`", "``")
        self.server.run(f"DROP DATABASE IF EXISTS `{quoted}`;")

    def kill_dumper(self) -> bool:
        """Kill the program that dumps, and tell whether there was one."""
        return _kill(self._dumper)


class PostgreSqlEngine:
    """A PostgreSQL with a database of nearly everything."""

    kind = "postgresql"
    rich = 'Bücher "shop"'
    _dumper = b"pg_dump"

    def __init__(self, server: PostgreSql) -> None:
        self.server = server

    def login(self, **others: str | int) -> Login:
        return _login(self.server, others)

    def fill(self) -> None:
        postgresql_content.make_roles(self.server)
        self.drop(self.rich)
        postgresql_content.make_database(self.server, self.rich)

    def portrait(self, name: str) -> object:
        return postgresql_content.portrait(self.server, name)

    def make_site(self, name: str, user: str, password: str) -> None:
        self.server.run(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        self.server.run(f'CREATE DATABASE "{name}" OWNER {user}')
        self.server.run("CREATE TABLE orders (id INT PRIMARY KEY, word TEXT)", database=name)
        self.server.run(f"ALTER TABLE orders OWNER TO {user}", database=name)
        self.server.run("INSERT INTO orders VALUES (1, 'Grün'), (2, 'Tee')", database=name)

    def make_large(self, name: str) -> None:
        self.drop(name)
        self.server.run(f'CREATE DATABASE "{name}"')
        self.server.run("CREATE TABLE rows_ (id INT PRIMARY KEY, body TEXT)", database=name)
        self.server.run(
            "INSERT INTO rows_ SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 40000) n", database=name
        )

    def words(self, name: str, user: str, password: str) -> list[str]:
        """Return what stands in the orders of the site's database, as its user sees them."""
        answer = self.server.run("SELECT word FROM orders ORDER BY id", database=name, username=user, password=password)
        return answer.split()

    def names(self) -> list[str]:
        return self.server.run("SELECT datname FROM pg_database").splitlines()

    def drop(self, name: str) -> None:
        self.server.run(f"DROP DATABASE IF EXISTS {postgresql_content.quoted(name)} WITH (FORCE)")

    def kill_dumper(self) -> bool:
        """Kill the program that dumps, and tell whether there was one."""
        return _kill(self._dumper)


Engine = t.Union[MariaDbEngine, PostgreSqlEngine]


def _login(server: MariaDb | PostgreSql, others: dict[str, str | int]) -> Login:
    login = Login(server.host, server.port, None, server.username, server.password, programs=str(server.programs))
    return replace(login, **t.cast("dict[str, t.Any]", others))


def _kill(program: bytes) -> bool:
    for child in children_of(os.getpid()):
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if any(Path(os.fsdecode(word)).name.encode() == program for word in words) and b"--help" not in words:
            os.kill(child, signal.SIGKILL)
            return True
    return False
