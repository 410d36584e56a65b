# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of SQLite: a dump is a copy by its online backup, and a load puts a file in the place of another one.

The copy is made by a process of its own. SQLite keeps others from writing by locks that the kernel drops as soon as the
process that holds them closes the file anywhere (https://sqlite.org/howtocorrupt.html, 2.2), as this one does if it
backs up the very same file. Also, it can be ended at any time.

A load must never let the new file meet the old one's write-ahead log or journal, which SQLite would play back into it.
The order is: the new file is whole on the disk; nobody else uses the old one, and it needs no such file any more; they
are removed; the new file gets the name. Wherever that is broken off, the old one or the new one is there, and whole.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
import time
import typing as t
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from ..errors import DatabaseError
from ..private_files import is_alive
from .servers import Database

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..storage import Buffer
    from .servers import Facts
else:
    try:
        import sqlite3
    except ImportError:  # told by _require_sqlite(): some systems have it in a package of its own
        sqlite3 = None

# https://sqlite.org/fileformat.html, 1.3; an empty file is an empty database.
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_BESIDE = ("-wal", "-shm", "-journal")
_PRIVATE = 0o600
# Seconds: a reader is let in between two writers, but who vacuums is alone for long; and so long without any progress.
_READER_PATIENCE = 60.0
_WRITER_PATIENCE = 10.0
_PATIENCE = 3600.0
_LOOK = 60.0
_SHOWN = 400

# What the process that copies does. It complains and ends with 1, or tells whether the copy is sound and ends with 0.
# One transaction spans it all, so that writers can neither change the copy nor have it begun again without end.
_COPY = """
import os, sqlite3, sys

source, copy, patience, parent = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])

def go_on(status, remaining, total):
    if os.getppid() != parent:
        os._exit(1)

try:
    reading = sqlite3.connect(source + "?mode=rw", timeout=patience, isolation_level=None, uri=True)
    writing = sqlite3.connect(copy + "?mode=rw", isolation_level=None, uri=True)
    writing.execute("PRAGMA journal_mode = OFF")
    writing.execute("PRAGMA synchronous = OFF")
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
    reading.backup(writing, pages=1024, progress=go_on)
    writing.close()
    reading.close()
    copied = sqlite3.connect(copy + "?immutable=1", uri=True)
    copied.execute("PRAGMA ignore_check_constraints = ON")
    sys.stderr.write(copied.execute("PRAGMA quick_check(1)").fetchone()[0])
except sqlite3.Error as error:
    sys.exit(str(error))
"""


class SQLite:
    """The database in the file *path*, whose name is the path; copies of it are put into the directory *scratch*."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path = path
        self._scratch = scratch

    def databases(self) -> list[Database]:
        _require_sqlite()
        size = _require_database(self._path)
        with suppress(OSError):
            size += _beside(self._path, "-wal").stat().st_size
        return [Database(str(self._path), size)]

    @contextmanager
    def dump(self, name: str) -> Iterator[Copy]:
        path = Path(name)
        _require_sqlite()
        _require_database(path)
        deed = f"Cannot copy the SQLite database {path} into {self._scratch}"
        with ExitStack() as stack:
            with _told_as(deed):
                self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
                _tidy(self._scratch, re.compile(r"sqlite-(?P<process>\d+)-.*"))
                mine = tempfile.TemporaryDirectory(prefix=f"sqlite-{os.getpid()}-", dir=self._scratch)
                target = Path(stack.enter_context(mine)) / "copy"
                os.close(_create(target))
            yield stack.enter_context(closing(Copy(path.absolute(), target, deed)))

    def dump_users(self) -> AbstractContextManager[Copy]:
        raise _lack_of_users()

    def users_size(self) -> int:
        raise _lack_of_users()

    def require_room(self, name: str, *, replace: bool) -> None:
        _require_sqlite()
        path = _place(name)
        if not path.parent.is_dir():
            raise DatabaseError(f"Cannot load the SQLite database {path}: there is no directory {path.parent}.")
        if not os.path.lexists(path):
            return
        size = _require_database(path)
        if size and not replace and _seems_to_have_tables(path):
            raise _not_empty(path)

    def load(self, name: str, facts: Facts, content: Iterable[Buffer], *, replace: bool) -> None:
        del facts  # everything stands in the file
        self.require_room(name, replace=replace)
        path = _place(name)
        deed = f"Cannot load the SQLite database {path}"
        if path.exists():
            # It is better refused now than once all has been fetched.
            with _opened(path, deed) as connection, _forgiving_damage(forgives=replace):
                connection.execute("BEGIN EXCLUSIVE")
        with _aside(path, deed) as new:
            _write(new, content, deed)
            _require_sound(new, path)
            with _alone(path, deed, replace=replace) as old, _told_as(deed):
                _dress(new, old)
                _put_in_place(new, path)
                if old is not None:
                    _spoil(old)

    def load_foreign(self, name: str, content: Iterable[Buffer], *, replace: bool) -> list[str]:
        del content, replace
        raise DatabaseError(f"A stranger's dump of {name!r} cannot be loaded: databases of SQLite are files.")

    def load_users(self, content: Iterable[Buffer]) -> None:
        del content
        raise _lack_of_users()


class Copy:
    """A copy of a database while it is made at *target*, which is an empty file, and then read."""

    def __init__(self, source: Path, target: Path, deed: str) -> None:
        self.facts: Facts = {}
        self.warnings: list[str] = []
        self._source = source
        self._target = target
        self._deed = deed
        self._file: t.Any = None
        self._progress = (0, time.monotonic())
        uris = [source.as_uri(), target.as_uri()]
        command = [sys.executable, "-I", "-S", "-c", _COPY, *uris, str(_READER_PATIENCE), str(os.getpid())]
        with _told_as(f"{deed}: {sys.executable} cannot be run"):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,  # for one sentence, which it holds without being read
                cwd="/",
                start_new_session=True,
            )

    def wait(self, seconds: float) -> bool:
        if self._file is None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._require_progress()
                return False
            self._finish()
        return True

    def read_into(self, view: memoryview) -> int:
        while not self.wait(_LOOK):
            pass
        with _told_as(self._deed):
            return int(self._file.readinto(view))

    def close(self) -> None:
        """End what still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        t.cast("t.IO[bytes]", self._process.stderr).close()
        if self._file is not None:
            self._file.close()

    def _require_progress(self) -> None:
        with _told_as(self._deed):
            size = self._target.stat().st_size
        before, since = self._progress
        if size != before:
            self._progress = (size, time.monotonic())
        elif time.monotonic() - since > _PATIENCE:
            raise DatabaseError(f"{self._deed}: nothing has happened for {_PATIENCE / 60:.0f} minutes.")

    def _finish(self) -> None:
        """Open the copy, which from now on has no name any more, or raise why there is none."""
        said = t.cast("t.IO[bytes]", self._process.stderr).read().decode("utf-8", "replace")
        words = " ".join(said.split())[-_SHOWN:].rstrip(".")
        code = self._process.returncode
        if code:
            raise DatabaseError(f"{self._deed}: {words or f'what copies it ended with {code}'}.")
        if words != "ok":
            self.warnings.append(
                f"The SQLite database {self._source} is not sound ({words}); its dump is a copy of it as it is."
            )
        with _told_as(self._deed):
            self._file = self._target.open("rb", buffering=0)
            self._target.unlink()


# -- looking


def _require_sqlite() -> None:
    if sqlite3 is None:
        raise DatabaseError(
            "SQLite needs Python's module sqlite3, which the Python of this host lacks: install the package that holds"
            " it (often called python3-sqlite3)."
        )


def _lack_of_users() -> DatabaseError:
    return DatabaseError("SQLite has no users: who may read the file may read the database.")


def _not_empty(path: Path) -> DatabaseError:
    return DatabaseError(
        f"The SQLite database {path} is not empty, and is left as it is: to lose what it holds, ask for it to be"
        " replaced."
    )


def _place(name: str) -> Path:
    """Return where the file of the database *name* lies, which is what a link to it leads to."""
    return Path(os.path.realpath(name))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def _require_database(path: Path) -> int:
    """Return the size of the file *path* in bytes; raise unless it is a database and can be read."""
    with _told_as(f"Cannot read the SQLite database {path}"):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not be waited for
        try:
            status = os.fstat(descriptor)
            magic = os.read(descriptor, len(_MAGIC)) if stat.S_ISREG(status.st_mode) else b"?"
        finally:
            os.close(descriptor)
    if magic not in (b"", _MAGIC):
        raise DatabaseError(f"{path} is no database of SQLite, or an encrypted one: it does not begin as its files do.")
    return status.st_size


def _seems_to_have_tables(path: Path) -> bool:
    """Tell whether there is anything in the database, as far as that can be seen without touching a thing."""
    for suffix in ("-wal", "-journal"):
        with suppress(OSError):
            if _beside(path, suffix).stat().st_size:
                return True
    with suppress(sqlite3.Error), closing(_connect(path, "immutable=1")) as connection:
        return _has_tables(connection)
    return True


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _connect(path: Path, options: str, patience: float = 0.0) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?{options}", timeout=patience, isolation_level=None, uri=True)


# -- loading


@contextmanager
def _aside(path: Path, deed: str) -> Iterator[Path]:
    """Give the name of a new, empty file beside *path*, which only we can read and which is gone in the end."""
    new = path.with_name(f".{path.name}.ftp-backup-{os.getpid()}")
    with _told_as(deed):
        _tidy(path.parent, re.compile(rf"\.{re.escape(path.name)}\.ftp-backup-(?P<process>\d+)"))
        os.close(_create(new))
    try:
        yield new
    finally:
        with _told_as(deed):
            new.unlink(missing_ok=True)  # it is there unless it got the other's name


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)


def _tidy(directory: Path, leftover: re.Pattern[str]) -> None:
    """Remove what processes that were killed have left in *directory*: copies of what others may not read."""
    for path in list(directory.iterdir()):
        found = leftover.fullmatch(path.name)
        if found is None or is_alive(int(found["process"])):
            continue
        if path.is_dir():
            for below in path.iterdir():
                below.unlink()
            path.rmdir()
        else:
            path.unlink()


def _write(new: Path, content: Iterable[Buffer], deed: str) -> None:
    """Have the *content* stand in the file *new*, on the disk; what it raises itself goes through."""
    with _told_as(deed):
        file = new.open("wb", buffering=0)
    with file:
        for piece in content:
            with _told_as(deed):
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]
        with _told_as(deed):
            os.fsync(file.fileno())


def _require_sound(new: Path, path: Path) -> None:
    """Raise unless the file *new*, which is to become *path*, is a sound database."""
    size = _require_database(new)
    try:
        with closing(_connect(new, "immutable=1")) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA ignore_check_constraints = ON")
            words = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if size else "it is empty"
    except sqlite3.Error as error:
        words = str(error)
    if words != "ok":
        raise DatabaseError(
            f"The dump of the SQLite database {path} is not sound ({words}) and was not put in its place: restore it as"
            " a file, without loading it, to see what can be saved."
        )


@contextmanager
def _opened(path: Path, deed: str) -> Iterator[sqlite3.Connection]:
    """Open the database *path* for writing; what SQLite raises is told as *deed*."""
    try:
        with closing(_connect(path, "mode=rw", _WRITER_PATIENCE)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise DatabaseError(f"{deed}: {error}; nobody may use it meanwhile, and it is left as it is.") from error


@contextmanager
def _alone(path: Path, deed: str, *, replace: bool) -> Iterator[int | None]:
    """Have the database *path* for us alone, all of it in its file; give a descriptor of that, None if there is none.

    A database with a write-ahead log is had alone only by leaving that mode, for which SQLite needs everybody else to
    have closed it, and puts the log's content into the file. The new one has the mode in itself again.
    """
    if not os.path.lexists(path):
        yield None
        return
    with _told_as(deed):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        # The descriptor is closed after the connection: its end is that of the connection's locks.
        with _opened(path, deed) as connection:
            if not replace and _has_tables(connection):
                raise _not_empty(path)
            with _forgiving_damage(forgives=replace):
                connection.execute("PRAGMA journal_mode = DELETE")
            with _forgiving_damage(forgives=replace):
                connection.execute("BEGIN EXCLUSIVE")
                if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                    raise sqlite3.OperationalError("another process has just opened it")
                if not replace and _has_tables(connection):
                    raise _not_empty(path)
            yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _forgiving_damage(*, forgives: bool) -> Iterator[None]:
    """Go on if the database is so damaged that SQLite cannot use it, where it *forgives*."""
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        if not forgives:
            raise


def _dress(new: Path, old: int | None) -> None:
    """Give the file *new* the owner and the mode of the *old* one."""
    if old is None:
        return
    status = os.fstat(old)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(new, status.st_uid, status.st_gid)
    new.chmod(stat.S_IMODE(status.st_mode))


def _put_in_place(new: Path, path: Path) -> None:
    """Have *new* be *path*, once nothing of another database lies beside that, after a power failure either."""
    for suffix in _BESIDE:
        _beside(path, suffix).unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
        new.replace(path)
        os.fsync(directory)
    finally:
        os.close(directory)


def _spoil(old: int) -> None:
    """Make the file that was replaced unusable for who still has it open.

    It would go on writing what is lost, and its log would get the name of the new one's.
    """
    if os.fstat(old).st_nlink == 0:
        os.pwrite(old, bytes(_HEADER), 0)


@contextmanager
def _told_as(deed: str) -> Iterator[None]:
    """Turn what the host's file system raises into the sentence that *deed* begins."""
    try:
        yield
    except OSError as error:
        raise DatabaseError(f"{deed}: {error.strerror or error}.") from error
