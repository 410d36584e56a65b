# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of a real PostgreSQL: what is dumped comes back, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.postgresql import PostgreSQL
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError, StorageError
from tests.databases import postgresql_child
from tests.databases.postgresql_content import (
    CLERK,
    GERMAN,
    LATIN,
    OWNER,
    READER,
    make_database,
    make_roles,
    portrait,
    quoted,
)
from tests.servers.guardian import children_of
from tests.servers.server import LOOPBACK, ServerError

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Dump, Facts
    from tests.servers.postgresql import PostgreSql

MakePostgreSql = Callable[[], "PostgreSql"]

PIECE = 65536
SECONDS = 30.0
# Whatever could be taken for an option, a path, a list of words, a connection or a part of a statement.
ODD_NAMES = (
    "Ünï→cödé",
    "with space",
    "quo\"te and 'quote' and \\",
    "a/b",
    "-Fp",
    "--help",
    "host=nowhere dbname=x",
    "postgres://nowhere/x",
    "semi;colon -- :variable $user",
    "x" * 63,
)


@dataclass(frozen=True)
class Dumped:
    """A dump that was read whole."""

    facts: Facts
    content: bytes

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, len(self.content), PIECE):
            yield self.content[start : start + PIECE]

    def half(self) -> Iterator[bytes]:
        for start in range(0, len(self.content) // 2, PIECE):
            yield self.content[start : start + PIECE]


def login_of(server: PostgreSql, **changes: str | int | None) -> Login:
    login = Login(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        programs=str(server.programs),
    )
    return Login(**{**asdict(login), **changes})


def ours(server: PostgreSql, **changes: str | int | None) -> PostgreSQL:
    return PostgreSQL(login_of(server, **changes))


def read(dump: Dump, *, limit: int | None = None) -> bytes:
    """Return what is left of *dump*, or at least *limit* bytes of it."""
    content = bytearray()
    view = memoryview(bytearray(PIECE))
    while (limit is None or len(content) < limit) and (count := dump.read_into(view)):
        content += view[:count]
    return bytes(content)


def dumped(server: PostgreSql, name: str) -> Dumped:
    with ours(server).dump(name) as dump:
        content = read(dump)
        assert dump.warnings == []
        return Dumped(dump.facts, content)


def users_of(server: PostgreSql) -> Dumped:
    with ours(server).dump_users() as dump:
        return Dumped(dump.facts, read(dump))


def make(server: PostgreSql, name: str, statements: str = "CREATE TABLE kept AS SELECT 'old' AS word;") -> None:
    server.run(f"CREATE DATABASE {quoted(name)} TEMPLATE template0;")
    server.run(statements, database=name)


def names_on(server: PostgreSql) -> list[str]:
    return server.run("SELECT datname FROM pg_database ORDER BY 1").split("\n")


def leftovers_on(server: PostgreSql) -> list[str]:
    return [name for name in names_on(server) if name.startswith("ftp_backup_")]


def word_in(server: PostgreSql, name: str) -> str:
    return server.run("SELECT word FROM kept", database=name)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "It never came to hold."
        time.sleep(0.01)


def has_clients(server: PostgreSql, name: str) -> bool:
    return name in server.run("SELECT datname FROM pg_stat_activity").split("\n")


@contextlib.contextmanager
def client_of(server: PostgreSql, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Hold a connection to a database that is ready for anything."""
    psql = subprocess.Popen(
        [str(server.programs / "psql"), "--no-psqlrc", "-At", f"--dbname={name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=server.environment(),
    )
    assert psql.stdin is not None
    assert psql.stdout is not None
    psql.stdin.write(b"SELECT 'ready';\n")
    psql.stdin.flush()
    assert psql.stdout.readline() == b"ready\n"
    try:
        yield psql
    finally:
        psql.kill()
        psql.wait()
        psql.stdin.close()
        psql.stdout.close()


def programs_of_ours(name: str) -> list[int]:
    """Return the process ids of the programs of that *name* that this process has started."""
    children = children_of(os.getpid())
    return [child for child in children if Path(f"/proc/{child}/comm").read_text().strip() == name]


@pytest.fixture(scope="module")
def server(postgresql: PostgreSql) -> PostgreSql:
    """Give the session's server with the roles that the databases of these tests need."""
    make_roles(postgresql)
    return postgresql


@pytest.fixture(scope="module")
def shop(server: PostgreSql) -> Dumped:
    """Give the dump of a small database, whose one table has the word 'new'."""
    make(server, "shop", "CREATE TABLE kept AS SELECT 'new' AS word;")
    return dumped(server, "shop")


@pytest.fixture(scope="module")
def big(server: PostgreSql) -> Dumped:
    """Give the dump of a database that no pipe can hold."""
    make(server, "big", "CREATE TABLE rows AS SELECT repeat(md5(g::text), 4) FROM generate_series(1, 60000) AS g;")
    return dumped(server, "big")


@pytest.fixture(scope="module")
def tenant(server: PostgreSql) -> PostgreSQL:
    """Give the server as somebody sees it who may make databases, and nothing else."""
    server.run("CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'tenant'")
    return ours(server, username="tenant", password="tenant")


def make_rented(server: PostgreSql, name: str) -> None:
    server.run(f"CREATE DATABASE {quoted(name)} OWNER tenant")
    create = "CREATE TABLE kept AS SELECT 'old' AS word"
    server.run(create, database=name, username="tenant", password="tenant")


# what comes back


@pytest.mark.parametrize("options", ["", GERMAN], ids=["like-the-server", "in-german-order"])
def test_a_database_comes_back_the_same_under_its_name_and_under_another(server: PostgreSql, options: str) -> None:
    name = f'rich "{bool(options)}"'
    make_database(server, name, options=options)
    before = portrait(server, name)
    dump = dumped(server, name)
    server.run(f"DROP DATABASE {quoted(name)}")

    for target in (name, f"{name} = copy"):
        ours(server).load(target, dump.facts, dump.pieces(), replace=False)

        assert portrait(server, target) == before
        server.run(f"DROP DATABASE {quoted(target)}")


def test_an_encoding_that_is_not_the_servers_comes_back(server: PostgreSql) -> None:
    server.run(f"CREATE DATABASE latin TEMPLATE template0 {LATIN};")
    server.run("CREATE TABLE kept AS SELECT 'Größe' AS word; COMMENT ON TABLE kept IS 'für';", database="latin")
    before = portrait(server, "latin")
    dump = dumped(server, "latin")

    ours(server).load("latin again", dump.facts, dump.pieces(), replace=False)

    assert dump.facts["encoding"] == "LATIN1"
    assert "Größe".encode("latin-1") in dump.content
    assert portrait(server, "latin again") == before


def test_bytes_that_no_encoding_explains_come_back(server: PostgreSql) -> None:
    server.run("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';")
    server.run(r"CREATE TABLE kept AS SELECT E'\xff\xfe' AS word;", database="ascii")
    dump = dumped(server, "ascii")

    ours(server).load("ascii again", dump.facts, dump.pieces(), replace=False)

    assert server.run("SELECT word::bytea FROM kept", database="ascii again") == r"\xfffe"


def test_a_database_without_the_schema_public_comes_back_without_it(server: PostgreSql) -> None:
    make(server, "private", "DROP SCHEMA public;")
    dump = dumped(server, "private")

    ours(server).load("private again", dump.facts, dump.pieces(), replace=False)

    assert server.run("SELECT count(*) FROM pg_namespace WHERE nspname = 'public'", database="private again") == "0"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_nothing_but_a_name(server: PostgreSql, name: str) -> None:
    make(server, name)

    assert name in [database.name for database in ours(server).databases()]
    dump = dumped(server, name)
    server.run("UPDATE kept SET word = 'newer'", database=name)
    ours(server).load(name, dump.facts, dump.pieces(), replace=True)

    assert word_in(server, name) == "old"
    server.run(f"DROP DATABASE {quoted(name)}")


def test_the_database_for_maintenance_can_be_loaded_itself(make_postgresql: MakePostgreSql, shop: Dumped) -> None:
    other = make_postgresql()

    ours(other).load("postgres", shop.facts, shop.pieces(), replace=False)

    assert word_in(other, "postgres") == "new"
    assert names_on(other) == ["postgres", "template0", "template1"]


def test_all_that_accept_connections_are_told_and_no_templates(server: PostgreSql, shop: Dumped) -> None:
    server.run("CREATE DATABASE closed ALLOW_CONNECTIONS false; CREATE DATABASE model IS_TEMPLATE true;")

    found = {database.name: database.size for database in ours(server).databases()}

    assert {"postgres", "shop"} <= set(found)
    assert not {"closed", "model", "template0", "template1"} & set(found)
    assert found["shop"] > len(shop.content)


def test_what_does_not_change_is_dumped_in_the_same_bytes(server: PostgreSql, big: Dumped) -> None:
    again = dumped(server, "big")

    head = 4096  # with the time of the dump
    assert big.content[head:] == again.content[head:]
    assert big.content.count(b"".join([b"c4ca4238a0b923820dcc509a6f75849b"] * 4)) == 1  # as it is, not compressed


def test_a_dump_is_of_one_moment_though_others_write(server: PostgreSql) -> None:
    make(
        server,
        "busy",
        """
        CREATE TABLE a_first AS SELECT g AS id, 1000 AS amount FROM generate_series(1, 50) AS g;
        CREATE TABLE m_between AS SELECT repeat(md5(g::text), 4) FROM generate_series(1, 60000) AS g;
        CREATE TABLE z_last AS SELECT * FROM a_first;
        CREATE TABLE count (moves integer);
        INSERT INTO count VALUES (0);
        CREATE PROCEDURE move_on() LANGUAGE plpgsql AS $$
        DECLARE
          chosen integer;
        BEGIN
          LOOP
            chosen := 1 + floor(random() * 50);
            UPDATE a_first SET amount = amount - 1 WHERE id = chosen;
            UPDATE z_last SET amount = amount + 1 WHERE id = chosen;
            UPDATE count SET moves = moves + 1;
            COMMIT;
          END LOOP;
        END $$;
        """,
    )

    def moves() -> int:
        return int(server.run("SELECT moves FROM count", database="busy"))

    with contextlib.ExitStack() as writers:
        for _writer in range(2):
            psql = writers.enter_context(client_of(server, "busy"))
            assert psql.stdin is not None
            psql.stdin.write(b"CALL move_on();\n")
            psql.stdin.flush()
        wait_until(lambda: moves() > 10)
        with ours(server).dump("busy") as dump:
            content = read(dump, limit=PIECE)
            # The table in between waits for us: the first has been read, the last has not.
            seen = moves()
            wait_until(lambda: moves() > seen + 50)
            content += read(dump)
            facts = dump.facts
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%'")
    ours(server).load("calm", facts, [content], replace=False)

    sums = server.run("SELECT (SELECT sum(amount) FROM a_first), (SELECT sum(amount) FROM z_last)", database="calm")
    first, last = map(int, sums.split("\t"))
    assert first + last == 100_000
    moved = int(server.run("SELECT moves FROM count", database="calm"))
    assert 50_000 - first == moved
    assert 0 < moved <= seen


def test_what_is_told_of_a_database_is_of_the_moment_of_its_dump(server: PostgreSql, tmp_path: Path) -> None:
    make(server, "moved on")
    server.run("COMMENT ON DATABASE \"moved on\" IS 'old'")
    change = "UPDATE kept SET word = 'newer'; COMMENT ON DATABASE \"moved on\" IS 'newer';"
    (tmp_path / "psql").symlink_to(server.programs / "psql")
    # What is told has been read by the time that this program is called.
    meddling = [str(server.programs / "psql"), "-q", "--dbname=moved on", f"--command={change}"]
    script = f'#!/bin/sh\n{shlex.join(meddling)} && exec {server.programs / "pg_dump"} "$@"\n'
    (tmp_path / "pg_dump").write_text(script)
    (tmp_path / "pg_dump").chmod(0o755)

    with ours(server, programs=str(tmp_path)).dump("moved on") as dump:
        content = read(dump)
    ours(server).load("as it was", dump.facts, [content], replace=False)

    assert dump.facts["comment"] == word_in(server, "as it was") == "old"
    assert word_in(server, "moved on") == "newer"


# who may log in


def test_users_come_back_on_an_empty_server_with_their_passwords(
    server: PostgreSql, make_postgresql: MakePostgreSql
) -> None:
    make_database(server, "away")
    users, dump, before = users_of(server), dumped(server, "away"), portrait(server, "away")
    other = make_postgresql()

    ours(other).load_users(users.pieces())
    ours(other).load("away", dump.facts, dump.pieces(), replace=False)

    assert portrait(other, "away") == before
    assert _roles_in(users_of(other)) == _roles_in(users)
    for role, password in ((READER, "geheim'e Größe"), (CLERK, "clerk")):
        assert other.run("SELECT current_user", database="away", username=role, password=password) == role


def test_users_that_are_there_keep_their_passwords_and_what_they_may_do(
    server: PostgreSql, make_postgresql: MakePostgreSql
) -> None:
    users = users_of(server)
    other = make_postgresql()
    other.run("CREATE ROLE clerk LOGIN PASSWORD 'mine' CONNECTION LIMIT 3")

    for _time in range(2):
        ours(other).load_users(users.pieces())

    assert other.run("SELECT current_user", username=CLERK, password="mine", database="template1") == CLERK
    assert other.run("SELECT rolconnlimit, rolcreatedb FROM pg_roles WHERE rolname = 'clerk'") == "3\tf"
    assert other.run("SELECT pg_has_role('clerk', 'staff', 'MEMBER')") == "t"
    assert "postgres" in names_on(other)  # seen with the password that it had


def test_a_tablespace_that_cannot_be_made_keeps_neither_users_nor_databases_out(
    server: PostgreSql, make_postgresql: MakePostgreSql
) -> None:
    place = server.sockets.with_name("content") / "apart"
    place.mkdir()
    if server.user is not None:
        owner = place.parent.stat()
        os.chown(place, owner.st_uid, owner.st_gid)
    server.run(f"SET client_min_messages = error; CREATE TABLESPACE apart LOCATION '{place}';")
    make(server, "spread", "CREATE TABLE kept TABLESPACE apart AS SELECT 'spread' AS word;")
    users, dump = users_of(server), dumped(server, "spread")
    other = make_postgresql()

    with pytest.raises(DatabaseError, match=r"but for the others: ERROR: directory .* already in use"):
        ours(other).load_users(users.pieces())
    ours(other).load("spread", dump.facts, dump.pieces(), replace=False)

    assert {CLERK, OWNER} <= set(other.run("SELECT rolname FROM pg_roles").split("\n"))
    assert word_in(other, "spread") == "spread"
    server.run("DROP DATABASE spread; DROP TABLESPACE apart;")


def test_who_may_not_read_passwords_cannot_dump_users(server: PostgreSql) -> None:
    clerk = ours(server, username=CLERK, password="clerk")

    with pytest.raises(DatabaseError, match=r"cannot dump its users: only a superuser may read the passwords"):
        clerk.users_size()
    with pytest.raises(DatabaseError, match=r"cannot dump its users: only a superuser"), clerk.dump_users():
        pass
    assert ours(server).users_size() > 1000


@pytest.mark.parametrize(
    "script",
    ["CREATE ROLE intruder;\n\\! touch {file}\n", "CREATE ROLE intruder;\nALTER ROLE intruder WITH PASSWORD 'cut"],
)
def test_a_script_of_users_that_is_none_is_not_run(server: PostgreSql, tmp_path: Path, script: str) -> None:
    file = tmp_path / "touched"

    with pytest.raises(DatabaseError, match=r"What was dumped as users .*; nothing of it was run\."):
        ours(server).load_users([script.format(file=file).encode()])

    assert not file.exists()
    assert server.run("SELECT count(*) FROM pg_roles WHERE rolname = 'intruder'") == "0"


# dumps that do not become whole


def _kill_program(_server: PostgreSql) -> None:
    (program,) = programs_of_ours("pg_dump")
    os.kill(program, signal.SIGKILL)


def _terminate_backend(server: PostgreSql) -> None:
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (_kill_program, r"pg_dump was ended by SIGKILL"),
        (_terminate_backend, r"pg_dump ended with 1 and said: .*rows"),
    ],
    ids=["its-program", "its-connection"],
)
@pytest.mark.usefixtures("big")
def test_a_dump_that_is_killed_never_ends_well(server: PostgreSql, end: Callable[[PostgreSql], None], how: str) -> None:
    with ours(server).dump("big") as dump:
        read(dump, limit=PIECE)
        end(server)

        with pytest.raises(DatabaseError, match=rf"cannot dump the database 'big': {how}"):
            read(dump)


def test_a_dump_of_a_server_that_dies_never_ends_well(make_postgresql: MakePostgreSql) -> None:
    other = make_postgresql()
    make(other, "big", "CREATE TABLE rows AS SELECT repeat(md5(g::text), 4) FROM generate_series(1, 60000) AS g;")

    with ours(other).dump("big") as dump:
        read(dump, limit=PIECE)
        os.kill(other.pid, signal.SIGQUIT)

        with pytest.raises(DatabaseError, match=r"cannot dump the database 'big': pg_dump ended with 1 and said: "):
            read(dump)
    with pytest.raises(DatabaseError, match=r"Connection refused|is shutting down|closed the connection unexpectedly"):
        ours(other).databases()


@pytest.mark.usefixtures("big")
def test_a_dump_that_is_given_up_leaves_no_program_and_no_connection(server: PostgreSql) -> None:
    with ours(server).dump("big") as dump:
        read(dump, limit=PIECE)

    assert programs_of_ours("pg_dump") == programs_of_ours("psql") == []
    wait_until(lambda: not has_clients(server, "big"))


# loads that do not come to their end


def test_a_load_whose_content_breaks_off_leaves_what_was_there(server: PostgreSql, big: Dumped) -> None:
    make(server, "dear")

    def broken() -> Iterator[bytes]:
        yield from big.half()
        assert len(leftovers_on(server)) == 1
        raise StorageError("The storage is gone.")

    with pytest.raises(StorageError, match=r"^The storage is gone\.$"):
        ours(server).load("dear", big.facts, broken(), replace=True)
    with pytest.raises(StorageError):
        ours(server).load("new", big.facts, broken(), replace=False)

    assert word_in(server, "dear") == "old"
    assert leftovers_on(server) == []
    assert "new" not in names_on(server)


@pytest.mark.parametrize("missing", [1, PIECE, 1_000_000])
def test_a_dump_that_lacks_its_end_is_not_loaded(server: PostgreSql, big: Dumped, missing: int) -> None:
    with pytest.raises(DatabaseError, match=r"cannot load the database 'cut': pg_restore ended with 1 and said: "):
        ours(server).load("cut", big.facts, [big.content[:-missing]], replace=False)

    assert "cut" not in names_on(server)
    assert leftovers_on(server) == []


def test_a_load_whose_program_is_killed_leaves_what_was_there(server: PostgreSql, big: Dumped) -> None:
    def killing() -> Iterator[bytes]:
        yield from big.half()
        (program,) = programs_of_ours("pg_restore")
        os.kill(program, signal.SIGKILL)
        yield from big.half()

    with pytest.raises(DatabaseError, match=r"cannot load the database 'fresh': pg_restore was ended by SIGKILL"):
        ours(server).load("fresh", big.facts, killing(), replace=False)

    assert "fresh" not in names_on(server)
    assert leftovers_on(server) == []


def test_a_load_into_a_server_that_dies_says_so(make_postgresql: MakePostgreSql, big: Dumped) -> None:
    other = make_postgresql()

    def killing() -> Iterator[bytes]:
        yield from big.half()
        os.kill(other.pid, signal.SIGQUIT)
        while True:
            yield big.content

    with pytest.raises(DatabaseError, match=r"cannot load the database 'fresh': pg_restore ended with 1 and said: "):
        ours(other).load("fresh", big.facts, killing(), replace=False)


def test_a_load_that_is_killed_leaves_what_was_there_and_the_next_one_sweeps(
    server: PostgreSql, big: Dumped, shop: Dumped, tmp_path: Path
) -> None:
    make(server, "precious")
    (tmp_path / "dump").write_bytes(big.content)
    order = {"login": asdict(login_of(server)), "name": "precious", "facts": big.facts, "dump": str(tmp_path / "dump")}
    with subprocess.Popen(
        [sys.executable, str(Path(postgresql_child.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{json.dumps(order)}\n".encode())
        child.stdin.flush()
        assert child.stdout.readline() == b"halfway\n"
        (aside,) = leftovers_on(server)

        # One that is under way is no leftover, and nobody's database.
        ours(server).load("meanwhile", shop.facts, shop.pieces(), replace=False)
        assert leftovers_on(server) == [aside]
        assert aside not in [database.name for database in ours(server).databases()]

        child.kill()
    wait_until(lambda: not has_clients(server, aside))
    assert word_in(server, "precious") == "old"
    assert leftovers_on(server) == [aside]

    ours(server).load("precious", shop.facts, shop.pieces(), replace=True)

    assert word_in(server, "precious") == "new"
    assert leftovers_on(server) == []


def test_what_only_looks_like_a_leftover_is_left(server: PostgreSql, shop: Dumped) -> None:
    alike = ["ftp_backup_shop_0123456789abcdef", "ftp_backup_shop_fedcba9876543210", "shop_0123456789abcdef"]
    mark = "A load of ftp_backup left this behind: 0123456789abcdef"
    for name in alike:
        make(server, name)
    server.run(f"COMMENT ON DATABASE {alike[1]} IS '{mark}'; COMMENT ON DATABASE {alike[2]} IS '{mark}';")

    ours(server).load("swept", shop.facts, shop.pieces(), replace=False)

    assert set(alike) <= set(names_on(server))
    assert set(alike) <= {database.name for database in ours(server).databases()}
    server.run("".join(f"DROP DATABASE {name};" for name in alike))


def test_a_swap_that_fails_leaves_the_old_one_its_name_and_its_clients(server: PostgreSql, shop: Dumped) -> None:
    make(server, "swapped")
    server.run("COMMENT ON DATABASE swapped IS 'mine'")
    same = PostgreSQL(login_of(server), new_token=lambda: "0" * 16)  # what it makes stands in its own way

    with pytest.raises(DatabaseError, match=r'cannot load the database \'swapped\': .*"ftp_backup_.*already exists'):
        same.load("swapped", shop.facts, shop.pieces(), replace=True)

    assert word_in(server, "swapped") == "old"
    assert leftovers_on(server) == []
    comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'swapped'"
    assert server.run(comment) == "mine"


def test_a_swap_that_stops_halfway_is_taken_back(server: PostgreSql, tenant: PostgreSQL) -> None:
    make_rented(server, "leased")
    with tenant.dump("leased") as dump:
        content = read(dump)
    server.run("UPDATE kept SET word = 'precious'", database="leased")

    with contextlib.ExitStack() as visitors:

        def visited() -> Iterator[bytes]:
            (aside,) = leftovers_on(server)
            visitors.enter_context(client_of(server, aside))  # whom only a superuser may put out
            yield content

        with pytest.raises(DatabaseError, match=r"cannot load the database 'leased': .*superuser"):
            tenant.load("leased", dump.facts, visited(), replace=True)

        assert word_in(server, "leased") == "precious"
        assert len(leftovers_on(server)) == 1
    wait_until(lambda: not has_clients(server, leftovers_on(server)[0]))

    tenant.load("leased", dump.facts, [content], replace=True)
    assert word_in(server, "leased") == "old"
    assert leftovers_on(server) == []


# what stands in the way


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t ()",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SEQUENCE s",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE TYPE e AS ENUM ()",
        "CREATE EXTENSION hstore",
        "SELECT lo_create(0)",
    ],
)
def test_a_database_that_is_not_empty_is_not_replaced_unless_that_is_asked_for(
    server: PostgreSql, shop: Dumped, statement: str
) -> None:
    make(server, "taken", statement)

    with pytest.raises(DatabaseError, match=r"cannot load the database 'taken': it is there already and not empty\."):
        ours(server).require_room("taken", replace=False)
    with pytest.raises(DatabaseError, match=r"not empty"):
        ours(server).load("taken", shop.facts, _not_to_be_read(), replace=False)
    ours(server).require_room("taken", replace=True)

    server.run("DROP DATABASE taken")


def test_an_empty_database_gives_way(server: PostgreSql, shop: Dumped) -> None:
    make(server, "vacant", "CREATE TABLE gone (); DROP TABLE gone; DROP SCHEMA public; CREATE SCHEMA public;")
    ours(server).require_room("vacant", replace=False)

    ours(server).load("vacant", shop.facts, shop.pieces(), replace=False)

    assert word_in(server, "vacant") == "new"
    assert leftovers_on(server) == []


def test_what_was_put_into_an_empty_database_meanwhile_is_kept(server: PostgreSql, shop: Dumped) -> None:
    make(server, "raced", "")

    def racing() -> Iterator[bytes]:
        yield from shop.pieces()
        server.run("CREATE TABLE kept AS SELECT 'raced' AS word", database="raced")

    with pytest.raises(DatabaseError, match=r"it was empty, and is no more \(it is called 'ftp_backup_raced_") as told:
        ours(server).load("raced", shop.facts, racing(), replace=False)

    (kept,) = re.findall(r"'(ftp_backup_\w+)'", str(told.value))
    ours(server).load("another", shop.facts, shop.pieces(), replace=False)
    assert word_in(server, kept) == "raced"
    assert word_in(server, "raced") == "new"
    server.run(f"DROP DATABASE {kept}")


def test_clients_that_hold_on_and_come_back_do_not_keep_a_database_from_being_replaced(
    server: PostgreSql, shop: Dumped
) -> None:
    make(server, "popular")
    is_over = threading.Event()

    def come_back() -> None:
        while not is_over.is_set():
            with contextlib.suppress(ServerError):
                server.run("SELECT pg_sleep(0.2)", database="popular")

    visitors = [threading.Thread(target=come_back) for _visitor in range(4)]
    with client_of(server, "popular"), client_of(server, "popular"):
        for visitor in visitors:
            visitor.start()
        try:
            ours(server).load("popular", shop.facts, shop.pieces(), replace=True)
        finally:
            is_over.set()
            for visitor in visitors:
                visitor.join()

    assert word_in(server, "popular") == "new"
    assert leftovers_on(server) == []


def test_what_belongs_to_roles_that_are_not_there_is_refused_before_anything_is_read(
    server: PostgreSql, make_postgresql: MakePostgreSql
) -> None:
    make_database(server, "owned")
    dump = dumped(server, "owned")
    other = make_postgresql()

    with pytest.raises(DatabaseError, match=r"roles that are not there \(.*clerk.*\); restore the part database_users"):
        ours(other).load("owned", dump.facts, _not_to_be_read(), replace=False)

    assert names_on(other) == ["postgres", "template0", "template1"]


def test_who_may_not_make_databases_is_told_so(server: PostgreSql) -> None:
    with pytest.raises(DatabaseError, match=r"cannot load the database 'x': the user may not create databases there\."):
        ours(server, username=CLERK, password="clerk").require_room("x", replace=True)


def test_who_is_no_superuser_can_dump_and_load_what_is_theirs(server: PostgreSql, tenant: PostgreSQL) -> None:
    make_rented(server, "rented")
    with tenant.dump("rented") as dump:
        content = read(dump)
    server.run("UPDATE kept SET word = 'spoilt'", database="rented")

    tenant.load("rented", dump.facts, [content], replace=True)

    assert word_in(server, "rented") == "old"
    with pytest.raises(DatabaseError, match=r"it is there already and belongs to somebody else"):
        tenant.require_room("shop", replace=True)


# what is told


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b"])
def test_a_name_that_no_database_can_have_is_refused(server: PostgreSql, name: str) -> None:
    with pytest.raises(DatabaseError, match=r"a name has 1 to 63 bytes there, and no NUL\."):
        ours(server).require_room(name, replace=False)


def test_a_database_that_is_not_there_is_named(server: PostgreSql) -> None:
    with pytest.raises(
        DatabaseError, match=r'^PostgreSQL at .* cannot dump the database \'no\'.*"no" does not exist\.$'
    ):
        dumped(server, "no")


def test_a_wrong_password_is_told_and_not_shown(server: PostgreSql) -> None:
    with pytest.raises(DatabaseError, match=r'password authentication failed for user "postgres"\.$') as told:
        ours(server, password="s3cret").databases()

    assert "s3cret" not in str(told.value)


def test_a_password_that_is_asked_for_and_not_given_is_told(server: PostgreSql) -> None:
    with pytest.raises(DatabaseError, match=r"no password supplied"):
        ours(server, password=None).databases()


def test_a_server_that_is_not_there_is_told(server: PostgreSql) -> None:
    with pytest.raises(DatabaseError, match=r"^PostgreSQL at 127\.0\.0\.1:1 cannot tell .*Connection refused"):
        ours(server, port=1).databases()


def test_a_table_that_may_not_be_read_is_told(server: PostgreSql) -> None:
    make(server, "shut")

    with ours(server, username=CLERK, password="clerk").dump("shut") as dump, pytest.raises(DatabaseError) as told:
        read(dump)

    assert "cannot dump the database 'shut': pg_dump ended with 1 and said: " in str(told.value)
    assert "permission denied for table kept" in str(told.value)


def test_a_program_that_is_not_there_is_named(server: PostgreSql, tmp_path: Path) -> None:
    without = ours(server, programs=str(tmp_path)).dump("postgres")

    with pytest.raises(DatabaseError, match=r"needs the program pg_dump, which is not in the directory "), without:
        pass


def test_programs_that_are_older_than_the_server_are_told(server: PostgreSql) -> None:
    with (
        _newer(server) as port,
        ours(server, port=port).dump("postgres") as dump,
        pytest.raises(DatabaseError, match=r"because of server version mismatch .*server version: 99"),
    ):
        read(dump)


# ways to log in


def test_a_file_of_passwords_and_a_socket_lead_to_the_server(server: PostgreSql, tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    file.touch(mode=0o600)
    file.write_text(f"*:{server.port}:*:postgres:{server.password}\n")

    found = ours(server, host=None, socket=str(server.sockets), password=None, option_file=str(file)).databases()

    assert "postgres" in [database.name for database in found]


def test_a_user_of_the_system_needs_no_password(server: PostgreSql) -> None:
    if server.user is None:
        pytest.skip("Only root can become another user.")
    server.run(f"CREATE ROLE {server.user} SUPERUSER LOGIN; CREATE DATABASE peers OWNER {server.user};")
    login = Login(port=server.port, socket=str(server.sockets), programs=str(server.programs), run_as=server.user)

    with PostgreSQL(login).dump("peers") as dump:
        content = read(dump)
    PostgreSQL(login).load("peers again", dump.facts, [content], replace=False)

    assert "peers again" in names_on(server)
    server.run(f'DROP DATABASE peers; DROP DATABASE "peers again"; DROP ROLE {server.user};')


def test_no_variable_of_ours_leads_to_another_server(server: PostgreSql, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PGHOST", "192.0.2.1"), ("PGOPTIONS", "-c nonsense"), ("PGSERVICE", "none")):
        monkeypatch.setenv(name, value)

    assert "postgres" in [database.name for database in ours(server).databases()]


def _roles_in(users: Dumped) -> list[str]:
    """Return what is told of roles, but for that of the superuser, whose password is each server's own."""
    lines = users.content.decode().splitlines()
    return [line for line in lines if re.match(r"(CREATE|ALTER|GRANT|COMMENT) ", line) and "ROLE postgres " not in line]


def _not_to_be_read() -> Iterator[bytes]:
    yield _refused()


def _refused() -> bytes:
    raise AssertionError("The content was read.")


@contextlib.contextmanager
def _newer(server: PostgreSql) -> Iterator[int]:
    """Give the port at which *server* says that it is of a version that is still to come."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(PIECE):
                target.sendall(re.sub(rb"(?<=server_version\x00)\d\d(?=\.)", b"99", content))
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    with contextlib.ExitStack() as open_ones, socket.create_server((LOOPBACK, 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = open_ones.enter_context(listener.accept()[0])
                    there = open_ones.enter_context(socket.create_connection((server.host, server.port)))
                    for ends in ((client, there), (there, client)):
                        threading.Thread(target=pump, args=ends, daemon=True).start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
