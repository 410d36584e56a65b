# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pool of a deduplicated job holds, and where: a table on this host's disk, from digests to places.

It is a cache. What it tells comes from manifests that are on the storage, and from nothing else: what a run adds is
kept only after its restore point was published. So a place in it is right as long as its volume exists, and no volume
that a restore point names is ever changed. The table is made anew from the manifests when it is lost.
"""

from __future__ import annotations

import typing as t
from contextlib import closing, contextmanager

from .. import tables
from ..errors import LocalError
from .entries import Place

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from .damage import Condition
    from .entries import Entry
    from .manifest import ManifestReader
    from .points import ReadPoint, StoredPoint

    OpenReader = Callable[[StoredPoint], ManifestReader]
else:
    try:
        import sqlite3
    except ImportError:  # told by content_table(): some systems have it in a package of its own
        sqlite3 = None

_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE manifests (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE volumes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE places (
  digest BLOB PRIMARY KEY, volume INTEGER NOT NULL, at INTEGER NOT NULL, length INTEGER NOT NULL,
  start INTEGER NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_CACHE_KIB = 16 * 1024
_BATCH = 5000


class ContentTable:
    """An open table; whatever is written to it is undone unless :meth:`keep` is called."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._names: dict[int, str] = dict(connection.execute("SELECT id, name FROM volumes"))
        self._ids = {name: number for number, name in self._names.items()}
        self._added: dict[bytes, tuple[int, int, int, int, int]] = {}

    def find(self, digest: str, size: int, condition: Condition) -> Place | None:
        """Return where a segment of this *digest* and *size* lies, with its digest, unless it is to be sent again."""
        key = bytes.fromhex(digest)
        row = self._added.get(key)
        if row is None:
            found = self._db.execute("SELECT volume, at, length, start, size FROM places WHERE digest = ?", (key,))
            row = found.fetchone()
        if row is None or row[4] != size:
            return None
        volume, offset, length, start, _size = row
        place = Place(self._names[volume], offset, length, start, size, digest)
        return None if condition and condition.is_unwanted(place) else place

    def add(self, digest: str, place: Place) -> None:
        """Learn that a segment of this *digest* lies at *place*, in front of what was known of it."""
        volume = self._ids.get(place.volume)
        if volume is None:
            volume = self._new_volume(place.volume)
        self._added[bytes.fromhex(digest)] = (volume, place.offset, place.length, place.start, place.size)
        if len(self._added) >= _BATCH:
            self._write()

    def _new_volume(self, name: str) -> int:
        number = self._db.execute("INSERT INTO volumes (name) VALUES (?)", (name,)).lastrowid
        if number is None:
            raise AssertionError("a row that was inserted has a number")
        self._names[number] = name
        self._ids[name] = number
        return number

    def _write(self) -> None:
        rows = ((key, *row) for key, row in sorted(self._added.items()))
        self._db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._added.clear()

    def sync(self, points: Sequence[ReadPoint], open_reader: OpenReader) -> None:
        """Bring the table in line with the manifests there are: *points*, oldest first."""
        wanted = {point.stored.path.name: point for point in points}
        included = {name for (name,) in self._db.execute("SELECT name FROM manifests")}
        volumes = frozenset[str]().union(*(point.trailer.volumes for point in points))
        self._forget_volumes([number for name, number in self._ids.items() if name not in volumes])
        for name, point in wanted.items():
            if name not in included:
                self.include(name, open_reader(point.stored).entries(on_damage=lambda _first, _error: None))
        self._write()
        self._db.executemany("DELETE FROM manifests WHERE name = ?", [(name,) for name in included - wanted.keys()])

    def _forget_volumes(self, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM gone")
        self._db.executemany("INSERT INTO gone VALUES (?)", [(number,) for number in numbers])
        self._db.execute("DELETE FROM places WHERE volume IN (SELECT id FROM gone)")
        self._db.execute("DELETE FROM volumes WHERE id IN (SELECT id FROM gone)")
        for number in numbers:
            del self._ids[self._names.pop(number)]

    def include(self, name: str, entries: Iterable[Entry]) -> None:
        """Learn the places that the manifest *name* tells in its *entries*."""
        for entry in entries:
            for place in entry.places:
                self.add(place.digest or entry.digest, place)
        self.has_included(name)

    def has_included(self, name: str) -> None:
        """Note that everything in the manifest *name* is known."""
        self._write()
        self._db.execute("INSERT OR IGNORE INTO manifests VALUES (?)", (name,))

    def keep(self) -> None:
        """Have what was written so far stay."""
        self._write()
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")


@contextmanager
def content_table(path: Path) -> Iterator[ContentTable]:
    """Open the table at *path*, which is made where there is none, or none that can be used."""
    tables.require_sqlite("A deduplicated job")
    try:
        with _opened(path) as table:
            yield table
    except sqlite3.OperationalError as error:
        raise LocalError(f"Cannot use the table {path} of what the pool holds: {error}.") from error
    except sqlite3.DatabaseError as error:
        tables.discard(path)
        raise LocalError(
            f"The table {path} of what the pool holds was damaged ({error}): it was removed, and the next run makes it."
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[ContentTable]:
    if not tables.is_usable(path, _VERSION):
        tables.discard(path)
        tables.make(path, _SCHEMA)
    with closing(tables.connect(path)) as connection:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("BEGIN IMMEDIATE")
        yield ContentTable(connection)
