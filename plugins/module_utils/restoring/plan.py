# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has decided and not done yet, in a file on this host: there may be millions of things.

It is found in the order in which the content comes, whatever the order was in which it was decided.
"""

from __future__ import annotations

import json
import typing as t
from contextlib import contextmanager

from .. import tables
from ..errors import LocalError
from ..native.entries import entry_from_json, entry_lines, path_bytes, path_text
from ..stretches import Stretch

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ..native.entries import Entry
else:
    try:
        import sqlite3
    except ImportError:  # told by require_sqlite(): some systems have it in a package of its own
        sqlite3 = None

_CACHE_KIB = 16 * 1024
OWNERS_A_PAGE = 256
# files: what has content to come; *missing* is how many places, *temporary* what it is called meanwhile. *entry* is
# empty, and the number negative, for what is only kept in memory.
# places: what is wanted of the content, and by whom; one may be wanted by many.
# later: what is done when all content has come.
_SCHEMA = """
CREATE TABLE files (number INTEGER PRIMARY KEY, entry BLOB NOT NULL, missing INTEGER NOT NULL, temporary BLOB NOT NULL);
CREATE TABLE places (
  volume BLOB NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, file INTEGER NOT NULL,
  position INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (volume, offset, size, file, position)
) WITHOUT ROWID;
CREATE TABLE later (number INTEGER PRIMARY KEY, what TEXT NOT NULL, entry BLOB NOT NULL);
CREATE INDEX later_by_what ON later (what);
"""


class Wanted(t.NamedTuple):
    """A stretch that the file *number* wants for its content at *position*; an empty *digest* is one nobody knows."""

    stretch: Stretch
    number: int
    position: int
    digest: str


class Owner(t.NamedTuple):
    """A file that wants some stretch, and what it wants it for."""

    number: int
    position: int
    digest: str


class Begun(t.NamedTuple):
    """A file of which not all has come: *temporary* is its name so far, if it has one."""

    number: int
    entry: Entry
    missing: int
    temporary: bytes


class Plan:
    """The plan of one restore, in the directory *scratch*; for one thread."""

    def __init__(self, scratch: Path) -> None:
        tables.require_sqlite("A restore")
        self._path = scratch / "plan.sqlite"
        with self._told():
            tables.discard(self._path)
            tables.make(self._path, _SCHEMA)
            self._db = tables.connect(self._path)
            # Nobody needs it after a crash.
            for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
                self._db.execute(f"PRAGMA {setting}").close()
            self._db.execute("BEGIN")

    def close(self) -> None:
        """Forget all of it."""
        with self._told():
            self._db.close()
        tables.discard(self._path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LocalError(f"The plan of the restore cannot be kept in {self._path}: {error}.") from error

    # -- what has content to come

    def add_files(self, files: Iterable[tuple[int, Entry, int]], wanted: Iterable[Wanted]) -> None:
        """Note files by number with how many places each lacks, and what is *wanted* for them."""
        with self._told():
            self._db.executemany(
                "INSERT INTO files VALUES (?, ?, ?, x'')",
                ((number, _packed(entry), missing) for number, entry, missing in files),
            )
            self._add_places(wanted)

    def add_member(self, number: int, wanted: Iterable[Wanted]) -> None:
        """Note that what is *wanted* is only kept in memory, by a *number* below 0."""
        with self._told():
            self._db.execute("INSERT INTO files VALUES (?, x'', 0, x'')", (number,))
            self._add_places(wanted)

    def _add_places(self, wanted: Iterable[Wanted]) -> None:
        # A file may want the same stretch twice, but not for the same position.
        self._db.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)",
            (
                (path_bytes(stretch.volume), stretch.offset, stretch.size, number, position, digest)
                for stretch, number, position, digest in wanted
            ),
        )

    def stretches(self) -> Iterator[Stretch]:
        """Yield what is still wanted, each stretch once, in the order of volume and offset."""
        last = None
        for volume, offset, size in self._rows(
            # What was given up meanwhile is not brought any more.
            "SELECT volume, offset, size FROM places CROSS JOIN files ON number = file ORDER BY volume, offset, size"
        ):
            stretch = Stretch(path_text(volume), offset, size)
            if stretch != last:
                last = stretch
                yield stretch

    def size(self) -> int:
        """Return how many bytes are wanted, each of them once."""
        query = "SELECT total(size) FROM (SELECT DISTINCT volume, offset, size FROM places)"
        return int(self._found(query)[0][0])

    def end(self) -> int:
        """Return how much must be read to have all that is wanted, where what lies before it is read as well."""
        return int(self._found("SELECT coalesce(max(offset + size), 0) FROM places")[0][0])

    def owners(self, stretch: Stretch, after: Owner | None = None) -> list[Owner]:
        """Return who wants *stretch*: the first page of them, or the page that comes *after* one."""
        least = (path_bytes(stretch.volume), stretch.offset, stretch.size)
        beyond = (-(2**63), -1) if after is None else (after.number, after.position)
        query = (
            "SELECT file, position, digest FROM places WHERE volume = ? AND offset = ? AND size = ?"
            " AND (file, position) > (?, ?) ORDER BY file, position LIMIT ?"
        )
        return [Owner(*row) for row in self._found(query, *least, *beyond, OWNERS_A_PAGE)]

    def file(self, number: int) -> Begun | None:
        """Return the file *number*, or None if it was given up or is complete."""
        found = self._found("SELECT number, entry, missing, temporary FROM files WHERE number = ?", number)
        return _begun(found[0]) if found else None

    def keep(self, number: int, missing: int, temporary: bytes) -> None:
        """Note how far the file *number* has come."""
        self._do("UPDATE files SET missing = ?, temporary = ? WHERE number = ?", missing, temporary, number)

    def forget(self, number: int) -> None:
        """Forget the file *number*, which is complete or given up."""
        self._do("DELETE FROM files WHERE number = ?", number)

    def unfinished(self) -> Iterator[Begun]:
        """Yield the files that are not complete; each may be forgotten meanwhile."""
        for row in self._rows("SELECT number, entry, missing, temporary FROM files WHERE number >= 0 ORDER BY number"):
            yield _begun(row)

    def put_aside(self) -> Iterator[Begun]:
        """Yield those of the files that are not complete of which it was noted how far they have come."""
        for row in self._rows("SELECT number, entry, missing, temporary FROM files WHERE temporary <> x''"):
            yield _begun(row)

    # -- what is done later

    def add_later(self, what: str, entries: Iterable[Entry]) -> None:
        """Note *entries* with which *what* is to be done when all content has come."""
        with self._told():
            self._db.executemany(
                "INSERT INTO later (what, entry) VALUES (?, ?)", ((what, _packed(entry)) for entry in entries)
            )

    def later(self, what: str, *, last_first: bool = False) -> Iterator[Entry]:
        """Yield the entries with which *what* is to be done, in the order in which they were noted or backwards."""
        order = "DESC" if last_first else "ASC"
        query = f"SELECT entry FROM later WHERE what = ? ORDER BY number {order}"  # noqa: S608 - one of two words
        for (packed,) in self._rows(query, what):
            yield _unpacked(packed)

    # -- SQLite

    def _rows(self, query: str, *values: object) -> Iterator[tuple[t.Any, ...]]:
        with self._told():
            rows = self._db.execute(query, values)
            # `yield from` would close the rows in the end, which fails once the plan is closed.
            while (row := rows.fetchone()) is not None:
                yield row

    def _found(self, query: str, *values: object) -> list[t.Any]:
        with self._told():
            return self._db.execute(query, values).fetchall()

    def _do(self, statement: str, *values: object) -> None:
        with self._told():
            self._db.execute(statement, values)


def _packed(entry: Entry) -> bytes:
    """Return *entry* without its places, which the plan has apart."""
    return b"".join(entry_lines(entry._replace(places=()), 1))


def _unpacked(packed: bytes) -> Entry:
    return entry_from_json(json.loads(packed))


def _begun(row: tuple[int, bytes, int, bytes]) -> Begun:
    number, packed, missing, temporary = row
    return Begun(number, _unpacked(packed), missing, temporary)
