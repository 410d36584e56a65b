# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of SQLite, which real processes use at the same time.

The tests look into a database only while nobody else is to be kept from it, for they are one process with what they
test, and SQLite's locks are those of a process.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import typing as t
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases import sqlite
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.sqlite import SQLite
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Server

MODES = ("delete", "wal")
NOBODY = 65534
MIB = 1024 * 1024

# Moves amounts between two tables, whose sum stays 0, until its input ends; says so once the first is moved. It looks
# away for a moment in between, as a writer in rollback mode must if anybody is ever to read.
WRITER = """
import select, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
number = 0
while not select.select([sys.stdin], [], [], 0.005)[0]:
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO debts VALUES (?, ?)", (number, "x" * 500))
    connection.execute("INSERT INTO credits VALUES (?, ?)", (-number, "x" * 500))
    connection.execute("COMMIT")
    if number == 1:
        print("ready", flush=True)
"""

# Does what it is told to a database, and keeps it so until its input ends.
KEEPER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""

# Is killed in the middle of a transaction, parts of which are in the file already.
KILLED_WRITER = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("UPDATE goods SET name = 'spoilt ' || name")
os.kill(os.getpid(), signal.SIGKILL)
"""

# Loads a dump and is killed right before the first event of a kind.
KILLED_LOADER = """
import os, signal, sys
from pathlib import Path
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.sqlite import SQLite

database, dump, scratch, event, word = sys.argv[1:]

def die(what, arguments):
    if what == event and word in str(arguments[:1]):
        os.kill(os.getpid(), signal.SIGKILL)

def pieces():
    content = Path(dump).read_bytes()
    yield content[:5000]
    sys.audit("half")
    yield content[5000:]

sys.addaudithook(die)
SQLite(Path(database), Path(scratch)).load(database, {}, pieces(), replace=True)
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Give where a database lies: in a directory of its own, so that all that lies beside it is seen."""
    path = tmp_path / "srv" / "shop.db"
    path.parent.mkdir()
    return path


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_READER_PATIENCE", 0.2)
    monkeypatch.setattr(sqlite, "_WRITER_PATIENCE", 0.2)


def make(path: Path, *names: str, mode: str = "delete") -> Path:
    """Make a database with goods of some *names*."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE goods (name TEXT)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO goods VALUES (?)", [(name,) for name in names])
        connection.execute("COMMIT")
    return path


def goods_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in connection.execute("SELECT name FROM goods ORDER BY name")]


def mode_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def dumped(path: Path, scratch: Path, warnings: list[str] | None = None) -> bytes:
    """Return the dump of the database *path*."""
    view = memoryview(bytearray(10_000))
    content = b""
    with SQLite(path, scratch).dump(str(path)) as dump:
        while count := dump.read_into(view):
            content += view[:count]
        if warnings is not None:
            warnings += dump.warnings
    return content


def load(path: Path, scratch: Path, content: Iterable[bytes], *, replace: bool = False) -> None:
    SQLite(path, scratch).load(str(path), {}, content, replace=replace)


def refusal_of(deed: Callable[[], object]) -> str:
    with pytest.raises(DatabaseError) as raised:
        deed()
    return str(raised.value)


def names_beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


@contextmanager
def other(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Have another process run *program* until the block ends."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("")


def kill(program: str, *arguments: object) -> None:
    """Run *program*, which has itself killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Give the rights of root up for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("A full disk is NOT tested, for nothing can be mounted here.")
    yield place
    subprocess.run(["umount", str(place)], check=True)


# what there is


def test_the_database_is_called_by_its_path(shop: Path, scratch: Path) -> None:
    make(shop, "tea")
    server: Server = SQLite(shop, scratch)

    assert server.databases() == [(str(shop), shop.stat().st_size)]
    assert names_beside(shop) == ["shop.db"]


def test_what_stands_in_the_log_only_counts_for_the_size(shop: Path, scratch: Path) -> None:
    make(shop, mode="wal")

    with other(KEEPER, shop, "PRAGMA wal_autocheckpoint = 0", "INSERT INTO goods VALUES (zeroblob(100000))"):
        (database,) = SQLite(shop, scratch).databases()

    assert database.size > 100_000


def test_a_database_that_is_not_there_is_told(shop: Path, scratch: Path) -> None:
    told = f"Cannot read the SQLite database {shop}: No such file or directory."

    assert refusal_of(SQLite(shop, scratch).databases) == told
    assert refusal_of(lambda: dumped(shop, scratch)) == told


def test_what_is_no_database_is_told(shop: Path, scratch: Path) -> None:
    shop.write_text("name,price\ntea,3\n")

    assert "is no database of SQLite" in refusal_of(SQLite(shop, scratch).databases)
    assert "is no database of SQLite" in refusal_of(lambda: dumped(shop, scratch))


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file_is_told(shop: Path, scratch: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(shop)
    else:
        shop.mkdir()

    assert "is no database of SQLite" in refusal_of(SQLite(shop, scratch).databases)


def test_a_database_that_may_not_be_read_is_told(scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # pytest's own are closed to others
        Path(place).chmod(0o755)
        shop = make(Path(place) / "shop.db")
        shop.chmod(0)
        with ordinary_user():
            told = refusal_of(SQLite(shop, scratch).databases)

    assert told == f"Cannot read the SQLite database {shop}: Permission denied."


def test_there_are_no_users(shop: Path, scratch: Path) -> None:
    server = SQLite(shop, scratch)

    for deed in (server.dump_users, server.users_size, lambda: server.load_users([])):
        assert refusal_of(deed).startswith("SQLite has no users")


# dumping


@pytest.mark.parametrize("mode", MODES)
def test_a_dump_is_a_database_with_the_same_content(shop: Path, scratch: Path, tmp_path: Path, mode: str) -> None:
    make(shop, "milk", "tea", mode=mode)

    (tmp_path / "copy.db").write_bytes(dumped(shop, scratch))

    assert goods_in(tmp_path / "copy.db") == ["milk", "tea"]
    assert mode_of(tmp_path / "copy.db") == mode


@pytest.mark.parametrize("mode", MODES)
def test_a_dump_changes_nothing_beside_the_database(shop: Path, scratch: Path, mode: str) -> None:
    make(shop, "tea", mode=mode)
    before = shop.read_bytes(), shop.stat().st_mtime_ns

    dumped(shop, scratch)

    assert (shop.read_bytes(), shop.stat().st_mtime_ns) == before
    assert names_beside(shop) == ["shop.db"]


def test_an_empty_file_is_an_empty_database(shop: Path, scratch: Path, tmp_path: Path) -> None:
    shop.touch()

    (tmp_path / "copy.db").write_bytes(dumped(shop, scratch))

    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_dump_shows_one_moment_while_others_write(shop: Path, scratch: Path, tmp_path: Path, mode: str) -> None:
    with closing(sqlite3.connect(shop, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE debts (amount INTEGER, text TEXT)")
        connection.execute("CREATE TABLE ballast (content BLOB)")
        connection.execute("INSERT INTO ballast VALUES (zeroblob(4000000))")
        connection.execute("CREATE TABLE credits (amount INTEGER, text TEXT)")

    with other(WRITER, shop):
        contents = [dumped(shop, scratch) for _dump in range(5)]

    counts = []
    for content in contents:
        (tmp_path / "copy.db").write_bytes(content)
        with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            debts, sum_of_debts = connection.execute("SELECT count(*), sum(amount) FROM debts").fetchone()
            assert connection.execute("SELECT count(*), sum(amount) FROM credits").fetchone() == (debts, -sum_of_debts)
            counts.append(debts)
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_dump_stays_one_moment_though_this_process_reads_the_file_meanwhile(
    shop: Path, scratch: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(shop, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE debts (amount INTEGER, text TEXT)")
        connection.execute("CREATE TABLE ballast (content BLOB)")
        connection.execute("INSERT INTO ballast VALUES (zeroblob(20000000))")
        connection.execute("CREATE TABLE credits (amount INTEGER, text TEXT)")

    with other(WRITER, shop), SQLite(shop, scratch).dump(str(shop)) as dump:
        while not dump.wait(0.001):
            shop.open("rb").close()
        content, view = bytearray(), memoryview(bytearray(MIB))
        while count := dump.read_into(view):
            content += view[:count]

    (tmp_path / "copy.db").write_bytes(content)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        debts = connection.execute("SELECT count(*) FROM debts").fetchone()
        assert connection.execute("SELECT count(*) FROM credits").fetchone() == debts


def test_what_stands_in_the_log_only_is_in_the_dump(shop: Path, scratch: Path, tmp_path: Path) -> None:
    make(shop, "tea", mode="wal")

    with other(KEEPER, shop, "PRAGMA wal_autocheckpoint = 0", "INSERT INTO goods VALUES ('salt')"):
        (tmp_path / "copy.db").write_bytes(dumped(shop, scratch))

    assert goods_in(tmp_path / "copy.db") == ["salt", "tea"]


def test_what_a_killed_process_has_not_committed_is_not_in_the_dump(shop: Path, scratch: Path, tmp_path: Path) -> None:
    names = sorted(f"{number:03d}{'x' * 500}" for number in range(100))
    make(shop, *names)
    kill(KILLED_WRITER, shop)
    assert "shop.db-journal" in names_beside(shop)

    (tmp_path / "copy.db").write_bytes(dumped(shop, scratch))

    assert goods_in(tmp_path / "copy.db") == names


@pytest.mark.usefixtures("_impatient")
def test_a_database_that_is_locked_for_too_long_is_told(shop: Path, scratch: Path) -> None:
    make(shop, "tea")

    with other(KEEPER, shop, "BEGIN EXCLUSIVE"):
        told = refusal_of(lambda: dumped(shop, scratch))

    assert told == f"Cannot copy the SQLite database {shop} into {scratch}: database is locked."


def test_a_damaged_database_is_dumped_as_it_is_with_a_warning(shop: Path, scratch: Path) -> None:
    make(shop, *map(str, range(5000)))
    damage(shop)
    warnings: list[str] = []

    content = dumped(shop, scratch, warnings)

    assert content[sqlite._HEADER :] == shop.read_bytes()[sqlite._HEADER :]  # the header counts changes
    assert len(warnings) == 1
    assert warnings[0].startswith(f"The SQLite database {shop} is not sound (")


def damage(path: Path) -> None:
    """Overwrite a page of the database in the middle."""
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 4096)


def test_a_copy_is_private_and_has_no_name_once_it_is_read(shop: Path, scratch: Path) -> None:
    make(shop, "tea")

    with SQLite(shop, scratch).dump(str(shop)) as dump:
        (directory,) = scratch.iterdir()
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (scratch, directory, directory / "copy")]
        while not dump.wait(60):
            pass
        assert list(directory.iterdir()) == []

    assert modes == [0o700, 0o700, 0o600]
    assert list(scratch.iterdir()) == []


def test_a_dump_that_is_left_early_leaves_nothing(shop: Path, scratch: Path) -> None:
    make(shop, "tea")

    with other(KEEPER, shop, "BEGIN EXCLUSIVE"), SQLite(shop, scratch).dump(str(shop)) as dump:
        assert not dump.wait(0)
        process = dump._process

    assert process.returncode == -signal.SIGKILL
    assert list(scratch.iterdir()) == []


def test_what_a_killed_process_has_left_of_a_copy_is_removed(shop: Path, scratch: Path) -> None:
    make(shop, "tea")
    with subprocess.Popen(["true"]) as dead:
        pass
    leftover = scratch / f"sqlite-{dead.pid}-abc"
    leftover.mkdir(parents=True)
    (leftover / "copy").write_text("secret")
    (scratch / "other").touch()

    dumped(shop, scratch)

    assert [path.name for path in scratch.iterdir()] == ["other"]


def test_a_full_disk_ends_a_dump(shop: Path, small_disk: Path) -> None:
    make(shop, "x" * 5 * MIB)

    told = refusal_of(lambda: dumped(shop, small_disk))

    assert told == f"Cannot copy the SQLite database {shop} into {small_disk}: database or disk is full."
    assert list(small_disk.iterdir()) == []


# loading


@pytest.fixture(params=MODES)
def content(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """Give the dump of a database with bread, which is larger than a piece of it."""
    source = make(tmp_path / "source.db", *[f"bread {number:04d}" for number in range(1000)], mode=request.param)
    return dumped(source, tmp_path / "scratch of it")


def is_bread(path: Path) -> bool:
    return goods_in(path)[0] == "bread 0000"


def test_a_database_is_loaded_into_a_new_file_for_its_owner_alone(shop: Path, scratch: Path, content: bytes) -> None:
    load(shop, scratch, [content[:5000], content[5000:]])

    assert names_beside(shop) == ["shop.db"]
    assert stat.S_IMODE(shop.stat().st_mode) == 0o600
    assert is_bread(shop)


@pytest.mark.parametrize("mode", MODES)
def test_a_database_that_holds_something_is_replaced_only_if_that_is_asked_for(
    shop: Path, scratch: Path, content: bytes, mode: str
) -> None:
    make(shop, "tea", mode=mode)

    for deed in (
        lambda: SQLite(shop, scratch).require_room(str(shop), replace=False),
        lambda: load(shop, scratch, [content]),
    ):
        assert refusal_of(deed).startswith(f"The SQLite database {shop} is not empty, and is left as it is")
    assert names_beside(shop) == ["shop.db"]
    assert (goods_in(shop), mode_of(shop)) == (["tea"], mode)

    SQLite(shop, scratch).require_room(str(shop), replace=True)
    load(shop, scratch, [content], replace=True)
    assert is_bread(shop)


@pytest.mark.parametrize("is_empty_file", [True, False])
def test_an_empty_database_is_replaced(shop: Path, scratch: Path, content: bytes, is_empty_file: bool) -> None:  # noqa: FBT001 - a parameter of a test
    shop.touch()
    if not is_empty_file:
        with closing(sqlite3.connect(shop)) as connection:
            connection.execute("VACUUM")

    load(shop, scratch, [content])

    assert is_bread(shop)


def test_what_stands_in_the_log_only_keeps_a_database_from_being_replaced(
    shop: Path, scratch: Path, content: bytes
) -> None:
    statements = ("PRAGMA journal_mode = wal", "PRAGMA wal_autocheckpoint = 0", "CREATE TABLE goods (name TEXT)")
    with other(KEEPER, shop, *statements) as keeper:
        keeper.kill()  # nobody tidies up
        keeper.wait()

    told = refusal_of(lambda: SQLite(shop, scratch).require_room(str(shop), replace=False))

    assert "is not empty" in told
    assert refusal_of(lambda: load(shop, scratch, [content])) == told


def test_the_new_file_gets_the_mode_and_the_owner_of_the_one_it_replaces(
    shop: Path, scratch: Path, content: bytes
) -> None:
    make(shop, "tea").chmod(0o664)
    if os.geteuid() == 0:
        os.chown(shop, NOBODY, NOBODY)
    before = shop.stat()

    load(shop, scratch, [content], replace=True)

    after = shop.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_a_link_stays_and_what_it_leads_to_is_replaced(shop: Path, scratch: Path, content: bytes) -> None:
    make(shop, "tea")
    link = shop.with_name("link.db")
    link.symlink_to("shop.db")

    load(link, scratch, [content], replace=True)

    assert link.is_symlink()
    assert is_bread(shop)


def test_what_is_no_database_is_never_replaced(shop: Path, scratch: Path, content: bytes) -> None:
    shop.write_text("root:x:0:0\n")

    assert "is no database of SQLite" in refusal_of(lambda: load(shop, scratch, [content], replace=True))
    assert shop.read_text() == "root:x:0:0\n"


def test_a_database_needs_a_directory(shop: Path, scratch: Path, content: bytes) -> None:
    shop.parent.rmdir()

    told = f"Cannot load the SQLite database {shop}: there is no directory {shop.parent}."

    assert refusal_of(lambda: load(shop, scratch, [content])) == told


@pytest.mark.parametrize("wrong", [b"", b"no database", None], ids=["empty", "other", "damaged"])
def test_a_dump_that_is_not_sound_is_not_put_in_place(
    shop: Path, scratch: Path, tmp_path: Path, wrong: bytes | None
) -> None:
    make(shop, "tea")
    if wrong is None:
        source = make(tmp_path / "source.db", *map(str, range(5000)))
        damage(source)
        wrong = source.read_bytes()

    told = refusal_of(lambda: load(shop, scratch, [wrong], replace=True))

    assert "is not sound" in told or "is no database" in told
    assert goods_in(shop) == ["tea"]
    assert names_beside(shop) == ["shop.db"]


def test_what_the_content_raises_goes_through_and_leaves_the_old_one(shop: Path, scratch: Path, content: bytes) -> None:
    make(shop, "tea")
    error = OSError("The server is gone.")

    def pieces() -> Iterator[bytes]:
        yield content[:5000]
        raise error

    with pytest.raises(OSError, match="The server is gone") as raised:
        load(shop, scratch, pieces(), replace=True)

    assert raised.value is error
    assert goods_in(shop) == ["tea"]
    assert names_beside(shop) == ["shop.db"]


def test_a_full_disk_ends_a_load_and_leaves_the_old_one(scratch: Path, small_disk: Path) -> None:
    shop = make(small_disk / "shop.db", "tea")

    told = refusal_of(lambda: load(shop, scratch, [bytes(MIB)] * 3, replace=True))

    assert told == f"Cannot load the SQLite database {shop}: No space left on device."
    assert goods_in(shop) == ["tea"]
    assert names_beside(shop) == ["shop.db"]


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("mode", "statements"),
    [
        ("delete", ["BEGIN EXCLUSIVE"]),
        ("delete", ["BEGIN", "SELECT * FROM goods"]),
        ("wal", ["BEGIN IMMEDIATE"]),
        ("wal", ["BEGIN", "SELECT * FROM goods"]),
        ("wal", ["SELECT * FROM goods"]),
    ],
)
def test_a_database_that_is_in_use_is_not_replaced(
    shop: Path, scratch: Path, content: bytes, mode: str, statements: list[str]
) -> None:
    make(shop, "tea", mode=mode)

    with other(KEEPER, shop, *statements):
        told = refusal_of(lambda: load(shop, scratch, [content], replace=True))

    assert told.startswith(f"Cannot load the SQLite database {shop}: database is locked")
    assert (goods_in(shop), mode_of(shop)) == (["tea"], mode)
    assert names_beside(shop) == ["shop.db"]


@pytest.mark.usefixtures("_impatient")
def test_nothing_is_fetched_for_a_database_that_is_locked(shop: Path, scratch: Path) -> None:
    make(shop, "tea")

    pieces = iter([b"something"])

    with other(KEEPER, shop, "BEGIN EXCLUSIVE"):
        assert "database is locked" in refusal_of(lambda: load(shop, scratch, pieces, replace=True))

    assert list(pieces) == [b"something"]


def test_the_log_of_the_old_database_does_not_get_into_the_new_one(shop: Path, scratch: Path, content: bytes) -> None:
    make(shop, "tea", mode="wal")
    with other(KEEPER, shop, "INSERT INTO goods VALUES ('salt')") as keeper:
        keeper.kill()  # nobody tidies up
        keeper.wait()
    assert names_beside(shop) == ["shop.db", "shop.db-shm", "shop.db-wal"]

    load(shop, scratch, [content], replace=True)

    assert names_beside(shop) == ["shop.db"]
    assert is_bread(shop)


def test_the_journal_of_the_old_database_does_not_get_into_the_new_one(
    shop: Path, scratch: Path, content: bytes
) -> None:
    make(shop, *[f"{number:03d}{'x' * 500}" for number in range(100)])
    kill(KILLED_WRITER, shop)
    assert names_beside(shop) == ["shop.db", "shop.db-journal"]

    load(shop, scratch, [content], replace=True)

    assert names_beside(shop) == ["shop.db"]
    assert is_bread(shop)


def test_what_is_left_of_a_database_that_was_removed_does_not_get_into_the_new_one(
    shop: Path, scratch: Path, content: bytes
) -> None:
    make(shop, "tea", mode="wal")
    with other(KEEPER, shop, "INSERT INTO goods VALUES ('salt')") as keeper:
        keeper.kill()
        keeper.wait()
    shop.unlink()

    load(shop, scratch, [content])

    assert names_beside(shop) == ["shop.db"]
    assert is_bread(shop)


def test_a_damaged_database_can_be_replaced(shop: Path, scratch: Path, content: bytes) -> None:
    make(shop, *map(str, range(5000)))
    with shop.open("r+b") as file:
        file.seek(sqlite._HEADER)
        file.write(b"\xff" * 8000)

    assert "is not empty" in refusal_of(lambda: load(shop, scratch, [content]))
    load(shop, scratch, [content], replace=True)

    assert is_bread(shop)


def test_who_still_has_the_old_database_open_cannot_go_on_with_it(shop: Path, scratch: Path, content: bytes) -> None:
    make(shop, "tea")
    with shop.open("rb") as old:
        load(shop, scratch, [content], replace=True)

        assert old.read(16) == bytes(16)


def test_another_name_of_the_old_database_keeps_its_content(shop: Path, scratch: Path, content: bytes) -> None:
    make(shop, "tea")
    os.link(shop, shop.with_name("kept.db"))

    load(shop, scratch, [content], replace=True)

    assert is_bread(shop)
    assert goods_in(shop.with_name("kept.db")) == ["tea"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("event", "word"),
    [("half", ""), ("os.chmod", "ftp-backup"), ("os.remove", "-wal"), ("os.remove", "-journal"), ("os.rename", "")],
)
def test_a_load_that_is_killed_leaves_the_old_database_whole(
    shop: Path, scratch: Path, tmp_path: Path, content: bytes, mode: str, event: str, word: str
) -> None:
    make(shop, "tea", mode=mode)
    with other(KEEPER, shop, "INSERT INTO goods VALUES ('salt')") as keeper:
        keeper.kill()  # so that there is a log to lose
        keeper.wait()
    dump = tmp_path / "dump"
    dump.write_bytes(content)

    kill(KILLED_LOADER, shop, dump, scratch, event, word)

    assert any("ftp-backup" in name for name in names_beside(shop))
    assert goods_in(shop) == ["salt", "tea"]
    load(shop, scratch, [content], replace=True)
    assert names_beside(shop) == ["shop.db"]
    assert is_bread(shop)
