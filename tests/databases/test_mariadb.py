# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of a real MariaDB, dumped and loaded: nothing is lost, and nothing half is ever taken for whole."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.mysql import MySqlServer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.cuts import Cutter
from tests.databases import mariadb_child
from tests.databases.mariadb_content import NAME, fill, remembered
from tests.servers.guardian import children_of
from tests.servers.server import ServerError

if t.TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Dump
    from tests.servers.mariadb import MariaDb

ODD_PASSWORD = " #p'q\"r\\s\\nt;=ü ß!$`%[x] "
ITS_PASSWORD = "its"
SMALL = "CREATE TABLE one (id INT PRIMARY KEY, word VARCHAR(100)); INSERT INTO one VALUES (1, 'old'), (2, 'older');"


@dataclass(frozen=True)
class Whole:
    """A dump that was read."""

    content: bytes
    facts: dict[str, t.Any]
    warnings: list[str]


def login_for(server: MariaDb, **others: str | int | None) -> Login:
    login = Login(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        programs=str(server.programs),
    )
    return replace(login, **t.cast("dict[str, t.Any]", others))


def ours(server: MariaDb, **others: str | int | None) -> MySqlServer:
    return MySqlServer(login_for(server, **others))


def read(dump: Dump) -> bytes:
    view = memoryview(bytearray(1024 * 1024))
    pieces = []
    while count := dump.read_into(view):
        pieces.append(bytes(view[:count]))
    return b"".join(pieces)


def dumped(server: MySqlServer, name: str) -> Whole:
    with server.dump(name) as dump:
        content = read(dump)
    return Whole(content, dump.facts, dump.warnings)


def load(server: MySqlServer, name: str, whole: Whole, *, replace: bool = False) -> None:
    server.load(name, whole.facts, [whole.content], replace=replace)


def scratches(server: MariaDb) -> list[str]:
    return server.run("SHOW DATABASES LIKE 'ftp\\_backup\\_%';").split()


def make(server: MariaDb, name: str, *statements: str) -> None:
    """Make the database *name*, in the place of one that is there, by *statements*, or by some of no importance."""
    server.run(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4;")
    server.run("\n".join(statements or [SMALL]), database=name)


def make_account(server: MariaDb, name: str, grants: str, password: str = ITS_PASSWORD) -> Login:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    server.run(f"CREATE OR REPLACE USER {name}@'%' IDENTIFIED BY '{quoted}'; {grants}")
    return login_for(server, username=name, password=password)


@pytest.fixture(scope="module")
def large(mariadb: MariaDb) -> str:
    """Return the name of a database that does not fit into the pipes and sockets between us and the server."""
    make(
        mariadb,
        "large",
        "CREATE TABLE rows_ (id INT PRIMARY KEY, body VARCHAR(2000));"
        "INSERT INTO rows_ SELECT seq, REPEAT(MD5(seq), 40) FROM seq_1_to_20000; ANALYZE TABLE rows_;",
    )
    return "large"


@pytest.fixture(scope="module")
def rich(mariadb: MariaDb) -> Whole:
    """Return the dump of the database with all that is hard to bring back."""
    fill(mariadb)
    return dumped(ours(mariadb), NAME)


# What comes back


def test_all_that_a_database_holds_comes_back_under_its_name(mariadb: MariaDb, rich: Whole) -> None:
    before = remembered(mariadb, NAME)
    mariadb.run(f"DROP DATABASE `{NAME.replace('`', '``')}`;")

    load(ours(mariadb), NAME, rich)

    assert remembered(mariadb, NAME) == before
    assert dumped(ours(mariadb), NAME).content == rich.content
    assert scratches(mariadb) == []


def test_all_that_a_database_holds_comes_back_under_another_name(mariadb: MariaDb, rich: Whole) -> None:
    before = remembered(mariadb, NAME)

    load(ours(mariadb), "-- ein 'Name'", rich)

    assert remembered(mariadb, "-- ein 'Name'") == before
    mariadb.run(
        "INSERT INTO numbered (word) VALUES ('c'); INSERT INTO person (id) VALUES (3);", database="-- ein 'Name'"
    )
    assert mariadb.run("SELECT COUNT(*) FROM log;", database="-- ein 'Name'") == "2\n"
    assert remembered(mariadb, NAME) == before


def test_a_database_comes_back_on_another_server_once_the_one_beside_it_is_there(
    mariadb: MariaDb, rich: Whole, make_mariadb: Callable[..., MariaDb]
) -> None:
    other = make_mariadb()
    with pytest.raises(DatabaseError, match=r"Table 'beside\.other' doesn't exist"):
        load(ours(other), NAME, rich)
    load(ours(other), "beside", dumped(ours(mariadb), "beside"))

    load(ours(other), NAME, rich)

    assert remembered(other, NAME) == remembered(mariadb, NAME)


def test_the_sections_are_one_ordinary_dump(mariadb: MariaDb, rich: Whole) -> None:
    before = remembered(mariadb, NAME)
    quoted = f"`{NAME.replace('`', '``')}`"
    mariadb.run(f"DROP DATABASE {quoted}; CREATE DATABASE {quoted} CHARACTER SET latin2 COLLATE latin2_czech_cs;")

    mariadb.run(rich.content.decode("utf-8", "surrogateescape"), database=NAME)

    assert sum(rich.facts["sections"]) == len(rich.content)
    assert remembered(mariadb, NAME) == before


def test_a_view_whose_definer_is_gone_comes_back_under_another_name(mariadb: MariaDb) -> None:
    make(mariadb, "orphans", SMALL, "CREATE DEFINER = gone@nowhere VIEW seen AS SELECT id FROM one;")

    load(ours(mariadb), "orphans2", dumped(ours(mariadb), "orphans"))

    assert "gone" in mariadb.run("SHOW CREATE VIEW seen;", database="orphans2")
    mariadb.run("CREATE USER gone@nowhere; GRANT SELECT ON orphans2.* TO gone@nowhere;")
    assert mariadb.run("SELECT * FROM seen;", database="orphans2") == "1\n2\n"


def test_an_empty_database_comes_back_with_its_character_set(mariadb: MariaDb) -> None:
    make(mariadb, "empty", "ALTER DATABASE CHARACTER SET koi8r COLLATE koi8r_bin;")
    make(mariadb, "prepared", "")

    load(ours(mariadb), "prepared", dumped(ours(mariadb), "empty"))

    assert "koi8r_bin" in mariadb.run("SHOW CREATE DATABASE prepared;")


def test_events_begin_to_happen_only_in_what_is_whole(make_mariadb: Callable[..., MariaDb]) -> None:
    server = make_mariadb(events=True)
    event = "CREATE EVENT often ON SCHEDULE EVERY 1 SECOND DO INSERT INTO one (word) VALUES (DATABASE());"
    make(server, "clock", f"CREATE TABLE one (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(100)); {event}")

    load(ours(server), "clock2", dumped(ours(server), "clock"))

    assert server.run("SELECT event_schema, status FROM information_schema.events ORDER BY 1;") == (
        "clock\tENABLED\nclock2\tENABLED\n"
    )
    while not server.run("SELECT 1 FROM clock2.one WHERE word = 'clock2' LIMIT 1;"):
        continue


# How little changes


@pytest.mark.parametrize("length", ["60", "20 + seq % 80"])
def test_a_row_in_the_middle_leaves_nearly_all_segments_as_they_were(mariadb: MariaDb, length: str) -> None:
    make(
        mariadb,
        "many",
        "CREATE TABLE many (id INT PRIMARY KEY, body VARCHAR(200)) CHARACTER SET latin1;"
        "INSERT INTO many SELECT 1000000 + 2 * seq, REPEAT(LEFT(MD5(seq), 2), @) FROM seq_1_to_200000;".replace(
            "@", length
        ),
    )
    before = segments(dumped(ours(mariadb), "many").content)
    mariadb.run("INSERT INTO many VALUES (1200001, REPEAT('ab', 60));", database="many")

    after = segments(dumped(ours(mariadb), "many").content)

    assert len(after) > 6
    assert len(set(after) - set(before)) <= 2


def segments(content: bytes) -> list[bytes]:
    rest = memoryview(content)

    def read_into(view: memoryview) -> int:
        nonlocal rest
        count = min(len(view), len(rest))
        view[:count] = rest[:count]
        rest = rest[count:]
        return count

    return [bytes(segment) for segment in Cutter().segments(read_into)]


# What is listed, and told


def test_databases_are_listed_with_their_sizes_and_without_the_servers_own(mariadb: MariaDb, large: str) -> None:
    make(mariadb, "ftp_backup_0123456789abcdef", "")

    found = {database.name: database.size for database in ours(mariadb).databases()}

    assert found[large] > 20_000_000
    assert not {"mysql", "sys", "information_schema", "performance_schema", "ftp_backup_0123456789abcdef"} & set(found)
    mariadb.run("DROP DATABASE ftp_backup_0123456789abcdef;")


def test_tables_that_no_transaction_covers_are_told(rich: Whole) -> None:
    (warning,) = rich.warnings

    assert warning == (
        f"The database {NAME!r} has 2 table(s) that no transaction covers, the first is plain_aria (Aria): what was"
        " written to them during the dump may be in it in part."
    )


def test_a_view_over_what_is_gone_is_told_and_left_out(mariadb: MariaDb) -> None:
    make(
        mariadb,
        "stale",
        SMALL,
        "CREATE TABLE two (id INT); CREATE VIEW over_two AS SELECT * FROM two; DROP TABLE two;",
    )

    whole = dumped(ours(mariadb), "stale")

    assert len(whole.warnings) == 1
    assert "1 view(s) over things that are not there, the first is 'over_two'" in whole.warnings[0]
    load(ours(mariadb), "stale2", whole)
    assert mariadb.run("SHOW TABLES;", database="stale2") == "one\n"


def test_a_dump_that_waits_for_a_lock_says_so(mariadb: MariaDb) -> None:
    make(mariadb, "held")
    with mariadb.session("LOCK TABLES one WRITE;", database="held"), ours(mariadb).dump("held") as dump:
        while dump.wait(0.05):
            assert dump.read_into(memoryview(bytearray(1024 * 1024)))
        is_held = not dump.wait(0.05)

    assert is_held


# Users


def test_users_come_back_on_another_server_with_their_passwords(
    mariadb: MariaDb, make_mariadb: Callable[..., MariaDb]
) -> None:
    make(mariadb, "shop", SMALL, "CREATE PROCEDURE count_() SELECT COUNT(*) FROM one;")
    mariadb.run(
        "CREATE ROLE reader; CREATE ROLE `chef``s`; GRANT SELECT ON shop.* TO reader; GRANT reader TO `chef``s`;"
        "CREATE USER anna@'%' IDENTIFIED BY 'anna''s'; CREATE USER `o'n`@'127.0.0.1' IDENTIFIED BY 'x' REQUIRE SSL;"
        "CREATE USER locked@'%' IDENTIFIED BY 'y' ACCOUNT LOCK; GRANT USAGE ON *.* TO anna@'%' WITH GRANT OPTION;"
        "GRANT `chef``s` TO anna@'%' WITH ADMIN OPTION; SET DEFAULT ROLE `chef``s` FOR anna@'%';"
        "GRANT SELECT (word), UPDATE (word) ON shop.one TO locked@'%'; GRANT EXECUTE ON PROCEDURE shop.count_ TO"
        " `o'n`@'127.0.0.1'; GRANT SELECT ON shop.* TO PUBLIC;"
    )
    other = make_mariadb()
    with ours(mariadb).dump_users() as dump:
        users = read(dump)
    load(ours(other), "shop", dumped(ours(mariadb), "shop"))

    ours(other).load_users([users[:100], users[100:]])

    with ours(other).dump_users() as again:
        assert statements(read(again)) == statements(users)
    assert ours(mariadb).users_size() == len(users)
    as_anna = ours(other, username="anna", password="anna's")
    assert [database.name for database in as_anna.databases()] == ["shop"]


def statements(users: bytes) -> list[str]:
    """Return the statements but for those on the administrator, to whom every role belongs that she has made."""
    return sorted(line for line in users.decode().splitlines() if "`root`" not in line)


def test_a_user_who_is_there_keeps_the_password(mariadb: MariaDb, make_mariadb: Callable[..., MariaDb]) -> None:
    other = make_mariadb()
    mariadb.run("CREATE USER berta@'%' IDENTIFIED BY 'old'; GRANT PROCESS ON *.* TO berta@'%' WITH GRANT OPTION;")
    other.run("CREATE USER berta@'%' IDENTIFIED BY 'new';")
    with ours(mariadb).dump_users() as dump:
        users = read(dump)

    with contextlib.suppress(DatabaseError):  # some are for databases that are not there
        ours(other).load_users([users])

    ours(other, username="berta", password="new").databases()
    assert "GRANT PROCESS ON *.* TO `berta`@`%`" in other.run("SHOW GRANTS FOR berta@'%';")
    assert "WITH GRANT OPTION" in other.run("SHOW GRANTS FOR berta@'%';")


def test_a_grant_that_cannot_be_made_is_told_and_all_others_are(mariadb: MariaDb) -> None:
    statements = (
        b"CREATE USER IF NOT EXISTS c1@x;\nGRANT SELECT ON nowhere.t TO c1@x;\nCREATE USER IF NOT EXISTS c2@x;\n"
    )

    with pytest.raises(DatabaseError, match=r"one statement failed, the others are done; the first said: .*nowhere\.t"):
        ours(mariadb).load_users([statements])

    assert mariadb.run("SELECT user FROM mysql.user WHERE host = 'x' ORDER BY 1;") == "c1\nc2\n"


# Consistency


def test_a_dump_under_load_is_of_one_moment(mariadb: MariaDb) -> None:
    make(
        mariadb,
        "bank",
        "CREATE TABLE a_first (id INT PRIMARY KEY, n BIGINT); CREATE TABLE z_last LIKE a_first;"
        "CREATE TABLE between_ (id INT PRIMARY KEY, body VARCHAR(1000));"
        "INSERT INTO a_first SELECT seq, 1000 FROM seq_0_to_9; INSERT INTO z_last SELECT seq, 1000 FROM seq_0_to_9;"
        "INSERT INTO between_ SELECT seq, REPEAT('x', 900) FROM seq_1_to_20000;\nDELIMITER $$\n"
        "CREATE PROCEDURE busy() BEGIN WHILE TRUE DO START TRANSACTION;"
        "UPDATE a_first SET n = n - 1 WHERE id = CONNECTION_ID() % 10;"
        "UPDATE z_last SET n = n + 1 WHERE id = CONNECTION_ID() % 10; COMMIT; END WHILE; END$$\n",
    )
    total = "SELECT (SELECT SUM(n) FROM a_first) + (SELECT SUM(n) FROM z_last);"
    moved = "SELECT SUM(n) FROM z_last;"
    with contextlib.ExitStack() as writers:
        for _writer in range(2):
            session = writers.enter_context(mariadb.session("SELECT 1;", database="bank"))
            assert session.stdin is not None
            session.stdin.write("CALL busy();\n")
            session.stdin.flush()
        while mariadb.run(moved, database="bank") == "10000\n":
            continue
        before = int(mariadb.run(moved, database="bank"))
        whole = dumped(ours(mariadb), "bank")
        after = int(mariadb.run(moved, database="bank"))
    # A procedure goes on when its client is gone, and what the server tells of it is the statement it is at.
    busy = mariadb.run("SELECT id FROM information_schema.processlist WHERE db = 'bank';").split()
    assert len(busy) == 2
    mariadb.run("".join(f"KILL {number};" for number in busy))

    load(ours(mariadb), "bank2", whole)

    assert mariadb.run(total, database="bank2") == "20000\n"
    assert before <= int(mariadb.run(moved, database="bank2")) < after


def connections(server: MariaDb, statement: str) -> list[str]:
    listed = server.run("SELECT id, info FROM information_schema.processlist WHERE info IS NOT NULL;").splitlines()
    return [line.partition("\t")[0] for line in listed if statement in line]


# What breaks a dump


def kill_program(_server: MariaDb) -> None:
    for child in children_of(os.getpid()):
        if b"mariadb-dump" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)


def kill_connection(server: MariaDb) -> None:
    (number,) = connections(server, "FROM `rows_`")
    server.run(f"KILL {number};")


BREAKS = [
    (kill_program, r"mariadb-dump was ended by SIGKILL"),
    (kill_connection, r"Lost connection .*when dumping table"),
]


@pytest.mark.parametrize(("break_it", "said"), BREAKS)
def test_a_dump_that_is_broken_off_never_ends_well(
    mariadb: MariaDb, large: str, break_it: Callable[[MariaDb], None], said: str
) -> None:
    with ours(mariadb).dump(large) as dump:
        dump.read_into(memoryview(bytearray(1024 * 1024)))

        break_it(mariadb)

        with pytest.raises(DatabaseError, match=f"Cannot dump the database 'large' of .*{said}"):
            read(dump)
        with pytest.raises(DatabaseError, match=said):
            dump.read_into(memoryview(bytearray(10)))
        with pytest.raises(DatabaseError, match=said):
            dump.wait(0)
    assert "sections" not in dump.facts


def test_a_dump_whose_server_dies_never_ends_well(make_mariadb: Callable[..., MariaDb]) -> None:
    server = make_mariadb()
    make(
        server,
        "large",
        "CREATE TABLE rows_ (id INT PRIMARY KEY, body VARCHAR(2000));"
        "INSERT INTO rows_ SELECT seq, REPEAT(MD5(seq), 40) FROM seq_1_to_20000;",
    )
    with ours(server).dump("large") as dump:
        dump.read_into(memoryview(bytearray(1024 * 1024)))

        os.kill(server.pid, signal.SIGKILL)

        with pytest.raises(DatabaseError, match=r"Lost connection .*when dumping table"):
            read(dump)


def test_a_dump_that_nobody_reads_for_too_long_fails_and_tells_why(mariadb: MariaDb, large: str) -> None:
    mariadb.run("SET GLOBAL net_write_timeout = 1;")

    with ours(mariadb).dump(large) as dump:
        dump.read_into(memoryview(bytearray(10)))
        while connections(mariadb, "FROM `rows_`"):
            continue

        with pytest.raises(
            DatabaseError, match=r"Lost connection .* waited for the storage for longer than its net_write"
        ):
            read(dump)

    mariadb.run("SET GLOBAL net_write_timeout = DEFAULT;")


def test_a_dump_that_is_left_leaves_no_program_and_no_file_behind(mariadb: MariaDb, large: str) -> None:
    before = set(children_of(os.getpid()))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    with ours(mariadb).dump(large) as dump:
        dump.read_into(memoryview(bytearray(10)))

    assert set(children_of(os.getpid())) == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_table_that_cannot_be_read_fails_the_dump(mariadb: MariaDb) -> None:
    make(mariadb, "crashed", "CREATE TABLE bad (id INT, KEY (id)) ENGINE = MyISAM; INSERT INTO bad VALUES (1), (2);")
    mariadb.run("FLUSH TABLES;")
    Path(mariadb.run("SELECT @@datadir;").strip(), "crashed", "bad.MYI").write_bytes(bytes(2000))

    with pytest.raises(
        DatabaseError, match=r"Cannot dump the database 'crashed' of .*mariadb-dump ended with 2 and said: .*bad"
    ):
        dumped(ours(mariadb), "crashed")

    mariadb.run("DROP DATABASE crashed;")


ROUTINE = "CREATE FUNCTION f() RETURNS INT RETURN 1;"
VIEW = "CREATE VIEW v AS SELECT * FROM one;"
EVENT = "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SET @y = 1;"
TRIGGER = "CREATE TRIGGER t BEFORE INSERT ON one FOR EACH ROW SET @x = 1;"
LACKS = [
    (
        TRIGGER,
        "SELECT, SHOW VIEW, EVENT, EXECUTE",
        r"its triggers would be left out, .* may not see them: grant TRIGGER",
    ),
    (
        ROUTINE,
        "SELECT, SHOW VIEW, EVENT, TRIGGER",
        r"its routines would be left out, in part at least, because this user may not see them",
    ),
    (ROUTINE, "SELECT, SHOW VIEW, EVENT, TRIGGER, EXECUTE", r"insufficient privileges to SHOW CREATE FUNCTION"),
    (VIEW, "SELECT, EVENT, TRIGGER, ALTER ROUTINE", r"SHOW VIEW command denied"),
    (EVENT, "SELECT, SHOW VIEW, TRIGGER, EXECUTE", r"Access denied for user 'less'@'%' to database"),
    ("", "SHOW VIEW, EVENT, TRIGGER, EXECUTE", r"its rows would be left out, in part at least, .*: grant SELECT on"),
]


@pytest.mark.parametrize(("thing", "grants", "said"), LACKS)
def test_a_dump_that_would_lack_something_fails(mariadb: MariaDb, thing: str, grants: str, said: str) -> None:
    make(mariadb, "seen", SMALL, thing)
    of_a_column = "GRANT SELECT (id) ON seen.one TO less@'%'; GRANT SELECT ON seen.nothing TO less@'%';"
    mariadb.run("CREATE TABLE nothing (id INT);", database="seen")
    login = make_account(mariadb, "less", f"GRANT {grants} ON `se_n`.* TO less@'%'; {of_a_column}")

    with pytest.raises(DatabaseError, match=rf"Cannot dump the database 'seen' of .*{said}"):
        dumped(MySqlServer(login), "seen")


def test_a_user_with_what_it_takes_dumps_what_the_administrator_does(mariadb: MariaDb, rich: Whole) -> None:
    grants = "SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE"
    role = f"CREATE OR REPLACE ROLE backups; GRANT {grants} ON *.* TO backups;"
    login = make_account(
        mariadb, "enough", f"{role} GRANT backups TO enough@'%'; SET DEFAULT ROLE backups FOR enough@'%';"
    )

    assert dumped(MySqlServer(login), NAME).content == rich.content


# What a load refuses, and what it leaves when it fails


def test_a_database_that_is_not_empty_is_replaced_only_when_told_to(mariadb: MariaDb) -> None:
    make(mariadb, "first")
    make(mariadb, "second", "CREATE VIEW v AS SELECT 1;")
    whole = dumped(ours(mariadb), "first")

    with pytest.raises(
        DatabaseError, match=r"it is there and not empty \(1 tables or views\), and is not to be replaced"
    ):
        load(ours(mariadb), "second", whole)
    with pytest.raises(DatabaseError, match=r"not empty"):
        ours(mariadb).require_room("second", replace=False)
    ours(mariadb).require_room("second", replace=True)
    load(ours(mariadb), "second", whole, replace=True)

    assert mariadb.run("SHOW TABLES;", database="second") == "one\n"


def test_a_database_to_which_another_one_looks_is_replaced(mariadb: MariaDb) -> None:
    make(mariadb, "parent")
    make(mariadb, "child", "CREATE TABLE two (id INT REFERENCES parent.one (id)); INSERT INTO two VALUES (1);")
    whole = dumped(ours(mariadb), "parent")

    load(ours(mariadb), "parent", whole, replace=True)

    with pytest.raises(ServerError, match=r"foreign key constraint fails"):
        mariadb.run("DELETE FROM one;", database="parent")
    mariadb.run("DROP DATABASE child;")


@pytest.mark.parametrize("name", ["mysql", "SYS", "ftp_backup_0123456789abcdef", "", "x" * 65])
def test_a_name_that_is_no_users_is_never_loaded(mariadb: MariaDb, name: str) -> None:
    with pytest.raises(DatabaseError, match=r"Cannot load the database"):
        ours(mariadb).require_room(name, replace=True)


class ReadError(Exception):
    """The storage did not give what was asked of it."""


def half(content: bytes) -> Iterator[bytes]:
    yield content[: len(content) // 2]
    raise ReadError


def cut(content: bytes) -> Iterator[bytes]:
    yield content[:-1]


def longer(content: bytes) -> Iterator[bytes]:
    yield content + b"x"


def spoilt(content: bytes) -> Iterator[bytes]:
    yield content.replace(b"twice", b"eciwt")


@pytest.mark.parametrize(
    ("source", "raised", "said"),
    [
        (half, ReadError, "^$"),
        (cut, DatabaseError, "it lacks its end"),
        (longer, DatabaseError, "it goes on behind its end"),
        (spoilt, DatabaseError, r"with its triggers, routines and views: .*FUNCTION .*twice does not exist"),
    ],
)
def test_a_load_that_fails_leaves_what_was_there_and_nothing_else(
    mariadb: MariaDb, rich: Whole, source: Callable[[bytes], Iterator[bytes]], raised: type[Exception], said: str
) -> None:
    make(mariadb, "kept")
    if source is spoilt:
        rich = Whole(rich.content.replace(b"FUNCTION `twice`", b"FUNCTION `tw1ce`"), rich.facts, [])
        source = iter_whole

    with pytest.raises(raised, match=said):
        ours(mariadb).load("kept", rich.facts, source(rich.content), replace=True)
    with pytest.raises(raised, match=said):
        ours(mariadb).load("not there", rich.facts, source(rich.content), replace=False)

    assert mariadb.run("SELECT word FROM one;", database="kept") == "old\nolder\n"
    assert "not there" not in mariadb.run("SHOW DATABASES;")
    assert scratches(mariadb) == []


def iter_whole(content: bytes) -> Iterator[bytes]:
    yield content


def loading_child(
    server: MariaDb, name: str, whole: Whole, dump: Path, place: int
) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Run a process that loads and has come to *place*; it is killed in the end."""
    dump.write_bytes(whole.content)
    return mariadb_child.loading(login_for(server), name, whole.facts, dump, place)


def test_a_load_that_is_killed_leaves_what_was_there_and_the_next_removes_the_rest(
    mariadb: MariaDb, large: str, tmp_path: Path
) -> None:
    make(mariadb, "kept")
    whole = dumped(ours(mariadb), large)

    with loading_child(mariadb, "kept", whole, tmp_path / "dump", len(whole.content) // 2) as child:
        child.kill()
        child.wait()
    (left,) = scratches(mariadb)
    mariadb.run(f"SELECT GET_LOCK('{left}', 60);")  # the server knows that nobody holds it

    assert mariadb.run("SELECT word FROM one;", database="kept") == "old\nolder\n"
    load(ours(mariadb), "kept", whole, replace=True)
    assert mariadb.run("SELECT COUNT(*) FROM rows_;", database="kept") == "20000\n"
    assert scratches(mariadb) == []


def test_a_load_that_is_killed_while_it_gives_the_name_comes_to_its_end(
    mariadb: MariaDb, rich: Whole, tmp_path: Path
) -> None:
    make(mariadb, "kept")
    before = remembered(mariadb, NAME)

    with mariadb.session("BEGIN; SELECT * FROM one;", database="kept") as holder:
        with loading_child(mariadb, "kept", rich, tmp_path / "dump", len(rich.content) - 1) as child:
            assert child.stdin is not None
            child.stdin.write("go on\n")
            child.stdin.flush()
            while not connections(mariadb, "DROP DATABASE IF EXISTS `kept`"):
                assert child.poll() is None
            child.kill()
            child.wait()
        (scratch,) = scratches(mariadb)
        assert mariadb.run("SHOW TABLES;", database="kept") == "one\n"
        holder.kill()
    mariadb.run(f"SELECT GET_LOCK('{scratch}.swap', 60);")

    assert remembered(mariadb, "kept") == before
    assert scratches(mariadb) == []


def test_two_loads_at_a_time_leave_each_other_alone(mariadb: MariaDb, large: str, tmp_path: Path) -> None:
    make(mariadb, "first")
    whole = dumped(ours(mariadb), large)

    with loading_child(mariadb, "second", whole, tmp_path / "dump", len(whole.content) // 2) as child:
        load(ours(mariadb), "first", dumped(ours(mariadb), "first"), replace=True)
        child.communicate("go on\n")

    assert child.returncode == 0
    assert mariadb.run("SELECT COUNT(*) FROM rows_;", database="second") == "20000\n"
    assert scratches(mariadb) == []


def test_only_what_a_killed_load_left_is_removed(mariadb: MariaDb) -> None:
    make(mariadb, "first")
    whole = dumped(ours(mariadb), "first")
    server = mariadb.run(
        "SELECT LPAD(LOWER(HEX(CRC32(CONCAT(@@hostname, ':', @@port, ':', @@datadir)))), 8, '0');"
    ).strip()
    held, swapping, left = (f"ftp_backup_{server}{end}" for end in ("00000001", "00000002", "00000003"))
    others = ["ftp_backup_mine", f"ftp_backup_{server}0000000g", "ftp_backup_0123456789abcdef"]
    for name in (held, swapping, left, *others):
        make(mariadb, name)

    with mariadb.session(f"SELECT GET_LOCK('{held}', 0);"), mariadb.session(f"SELECT GET_LOCK('{swapping}.swap', 0);"):
        load(ours(mariadb), "first", whole, replace=True)

    assert sorted(scratches(mariadb)) == sorted([held, swapping, *others])
    for name in (held, swapping, *others):
        mariadb.run(f"DROP DATABASE `{name}`;")


def test_what_fails_while_the_name_is_given_is_told_with_where_all_is(mariadb: MariaDb) -> None:
    make(mariadb, "first")
    whole = dumped(ours(mariadb), "first")
    rows, definitions, _events = whole.facts["sections"]
    broken = whole.content[: rows + definitions] + b"CREATE nonsense;\n"
    facts = {**whole.facts, "sections": [rows, definitions, len(broken) - rows - definitions]}
    datadir = Path(mariadb.run("SELECT @@datadir;").strip())
    make(mariadb, "stuck")
    (datadir / "stuck" / "foreign").mkdir()

    with pytest.raises(DatabaseError, match=r"Its tables are whole; triggers, routines, views or events may lack"):
        ours(mariadb).load("other", facts, [broken], replace=False)
    with pytest.raises(
        DatabaseError, match=r"What was there is gone, wholly or in part; the new tables lie whole in"
    ) as told:
        load(ours(mariadb), "stuck", whole, replace=True)

    assert mariadb.run("SELECT word FROM one;", database="other") == "old\nolder\n"
    (kept,) = scratches(mariadb)
    assert f"the database '{kept}' until the next load" in str(told.value)
    assert mariadb.run("SELECT word FROM one;", database=kept) == "old\nolder\n"
    (datadir / "stuck" / "foreign").rmdir()
    load(ours(mariadb), "stuck", whole, replace=True)
    assert scratches(mariadb) == []


# How a server is reached


def test_any_password_reaches_the_server_by_no_command_line(mariadb: MariaDb, large: str) -> None:
    login = make_account(mariadb, "odd", "GRANT ALL ON *.* TO odd@'%';", ODD_PASSWORD)

    with MySqlServer(login).dump(large) as dump:
        dump.read_into(memoryview(bytearray(1024)))
        shown = [
            Path(f"/proc/{child}/{file}").read_bytes()
            for child in children_of(os.getpid())
            for file in ("cmdline", "environ")
        ]

    assert any(b"mariadb-dump" in line for line in shown)
    assert not any(b"p'q" in line for line in shown)


def test_a_file_of_options_is_read_and_the_login_counts_more(mariadb: MariaDb, tmp_path: Path) -> None:
    make_account(mariadb, "filed", "GRANT ALL ON *.* TO filed@'%';", "from the file")
    file = tmp_path / "my options.cnf"
    file.write_text(f'[client]\nuser=filed\npassword="from the file"\nsocket={mariadb.socket}\n', encoding="utf-8")
    programs = str(mariadb.programs)

    MySqlServer(Login(option_file=str(file), programs=programs)).databases()
    MySqlServer(Login(username="root", password=mariadb.password, option_file=str(file), programs=programs)).databases()
    with pytest.raises(DatabaseError, match=r"there is no file of options /nowhere"):
        MySqlServer(Login(option_file="/nowhere", programs=programs)).databases()


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can become another user.")
def test_the_programs_run_as_another_user_who_reads_the_password(mariadb: MariaDb) -> None:
    found = ours(mariadb, run_as="nobody").databases()

    assert found == ours(mariadb).databases()


def test_the_password_reaches_the_programs_where_no_file_can_be_in_memory(
    mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert ours(mariadb).databases()
    assert list(tmp_path.iterdir()) == []


REFUSALS = [
    ({"password": "wr'ong"}, r"Cannot list the databases of the MySQL server 127.0.0.1:\d+: .*Access denied for user"),
    ({"port": 1}, r"Cannot list the databases of the MySQL server 127.0.0.1:1: .*Can't connect to server"),
    (
        {"host": None, "port": None, "socket": "/nowhere"},
        r"of the MySQL server at the socket /nowhere: .*Can't connect",
    ),
    ({"programs": "/nowhere"}, r"needs the program mariadb or mysql, which is not in the directory /nowhere"),
    ({"run_as": "nobody-there"}, r"as the user 'nobody-there', whom this host lacks"),
    ({"password": "two\nlines"}, r"the password holds a character that no login can have"),
]


@pytest.mark.parametrize(("changed", "said"), REFUSALS)
def test_a_server_that_cannot_be_asked_is_told_in_one_sentence(
    mariadb: MariaDb, changed: dict[str, t.Any], said: str
) -> None:
    with pytest.raises(DatabaseError, match=said) as told:
        ours(mariadb, **changed).databases()

    assert "wr'ong" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_database_that_is_not_there_is_told(mariadb: MariaDb) -> None:
    make(mariadb, "café", SMALL)

    with pytest.raises(DatabaseError, match=r"Cannot dump the database 'cafe' of .*: there is no such database"):
        dumped(ours(mariadb), "cafe")


def test_a_load_without_the_right_to_make_databases_is_told(mariadb: MariaDb) -> None:
    make(mariadb, "first")
    whole = dumped(ours(mariadb), "first")
    login = make_account(mariadb, "guest", "GRANT ALL ON `theirs`.* TO guest@'%';")

    with pytest.raises(
        DatabaseError, match=r"Cannot load the database 'theirs' on .*Access denied for user 'guest'@'%'"
    ):
        load(MySqlServer(login), "theirs", whole)
