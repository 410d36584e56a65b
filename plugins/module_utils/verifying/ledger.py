# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be verified of a job, and what was verified before, in files on this host's disk.

Which volumes there are and which segments are named in them, is found out anew each time; it may be more than fits into
memory. When each volume was read last, when it was whole and what is wrong with it, is kept. That counts the volumes
that were read and asks no clock, and where it is lost, all that comes of it is that more is read.
"""

from __future__ import annotations

import itertools
import json
import math
import typing as t
from contextlib import closing, contextmanager

from .. import tables
from ..errors import LocalError
from ..native.volume_proof import Flaw, Frame, Segment

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..native.entries import Entry, VolumeUse
else:
    try:
        import sqlite3
    except ImportError:  # told by ledger(): some systems have it in a package of its own
        sqlite3 = None

_VERSION = 1
_KEPT = """
BEGIN;
CREATE TABLE rounds (scope TEXT PRIMARY KEY, begun INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE seen (
  job TEXT NOT NULL, pool TEXT NOT NULL, name TEXT NOT NULL, read INTEGER NOT NULL, whole INTEGER NOT NULL,
  PRIMARY KEY (job, pool, name)
) WITHOUT ROWID;
CREATE TABLE flaws (
  job TEXT NOT NULL, pool TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL, length INTEGER NOT NULL,
  is_costly INTEGER NOT NULL, starts TEXT NOT NULL, problem TEXT NOT NULL,
  PRIMARY KEY (job, pool, name, at, length, problem)
) WITHOUT ROWID;
-- where frames lay that were lost until nothing named them any more
CREATE TABLE healed (
  job TEXT NOT NULL, pool TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL, length INTEGER NOT NULL,
  PRIMARY KEY (job, pool, name, at, length)
) WITHOUT ROWID;
CREATE TABLE reads (count INTEGER NOT NULL);
INSERT INTO reads VALUES (0);
PRAGMA user_version = 1;
COMMIT;
"""
# state: what becomes of a volume in this run, see the constants below
_WORK = """
CREATE TABLE volumes (
  id INTEGER PRIMARY KEY, pool TEXT NOT NULL, name TEXT NOT NULL, stored INTEGER NOT NULL, checksum INTEGER NOT NULL,
  state INTEGER NOT NULL,
  UNIQUE (pool, name)
);
CREATE TABLE uses (volume INTEGER NOT NULL, manifest INTEGER NOT NULL, PRIMARY KEY (volume, manifest)) WITHOUT ROWID;
CREATE TABLE noted (pool TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (pool, name)) WITHOUT ROWID;
"""
# In a file of its own, which nobody writes to while volumes are read by it.
_NAMED = """
CREATE TABLE segments (
  volume INTEGER NOT NULL, at INTEGER NOT NULL, length INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL,
  digest BLOB NOT NULL, manifest INTEGER NOT NULL, PRIMARY KEY (volume, at, length, start, size, digest)
) WITHOUT ROWID;
"""
_LEFT, _WANTED, _READ, _ABSENT = range(4)
_CACHE_KIB = 32 * 1024
_BATCH = 5000
_KEPT_TABLES = ("seen", "flaws", "healed")
_MOST_FRAMES = 100  # if all of more frames than these are lost, it is said of the volume
_SEEN = "LEFT JOIN seen AS s ON s.job = :job AND s.pool = v.pool AND s.name = v.name"


class StoredVolume(t.NamedTuple):
    """A volume that manifests name: its *name* below its *pool*, and its size; *number* tells it from all others."""

    number: int
    pool: str
    name: str
    stored: int
    checksum: int


class Ledger:
    """An open ledger, for one job at a time; what was found is on the disk after every volume."""

    def __init__(self, connection: sqlite3.Connection, named: Path) -> None:
        self._db = connection
        self._named = named
        self._job = ""
        self._begun = 0
        self._numbers: dict[str, int] = {}
        self._segments: list[tuple[object, ...]] = []

    # -- verifications

    def begin(self, scope: str) -> None:
        """Begin the verification of *scope*, or go on with one that did not come to its end."""
        self._db.execute("INSERT OR IGNORE INTO rounds SELECT ?, count FROM reads", (scope,))
        ((self._begun,),) = self._db.execute("SELECT begun FROM rounds WHERE scope = ?", (scope,))

    def end(self, scope: str) -> None:
        """Have the next verification of *scope* begin anew."""
        self._db.execute("DELETE FROM rounds WHERE scope = ?", (scope,))

    def keep_only_jobs(self, jobs: Collection[str], below: str) -> None:
        """Forget all jobs in the directory *below* but *jobs*."""
        for table in _KEPT_TABLES:
            known = [job for (job,) in self._db.execute(f"SELECT DISTINCT job FROM {table}")]  # noqa: S608 - a name of ours
            gone = [(job,) for job in known if job.startswith(f"{below}/") and job not in jobs]
            self._db.executemany(f"DELETE FROM {table} WHERE job = ?", gone)  # noqa: S608 - the same

    # -- one job

    def open_job(self, job: str, uses: Iterable[tuple[int, str, Mapping[str, VolumeUse]]]) -> None:
        """Turn to *job*; *uses* has the number of each manifest, its pool, and the volumes that it names."""
        self._job = job
        self._db.execute("BEGIN")
        for table in ("volumes", "uses", "noted", "segments"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
        for manifest, pool, volumes in uses:
            rows = [(pool, name, use.stored, use.checksum) for name, use in sorted(volumes.items())]
            self._db.executemany(
                "INSERT OR IGNORE INTO volumes (pool, name, stored, checksum, state) VALUES (?, ?, ?, ?, 0)", rows
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO uses SELECT id, ? FROM volumes WHERE pool = ? AND name = ?",
                ((manifest, pool, name) for name in volumes),
            )
        for table in _KEPT_TABLES:
            self._db.execute(
                f"DELETE FROM {table} WHERE job = ? AND NOT EXISTS"  # noqa: S608 - a name of ours
                f" (SELECT 1 FROM volumes AS v WHERE v.pool = {table}.pool AND v.name = {table}.name)",
                (job,),
            )
        self._db.execute("COMMIT")

    def volumes(self, pool: str, *, wanted: bool = False) -> Iterator[StoredVolume]:
        """Yield the volumes of *pool* in order, all or those that are *wanted*; meanwhile they may be noted."""
        last = ""
        while True:
            rows = self._db.execute(
                "SELECT id, pool, name, stored, checksum FROM volumes"
                " WHERE pool = ? AND name > ? AND (state = ? OR NOT ?) ORDER BY name LIMIT ?",
                (pool, last, _WANTED, wanted, _BATCH),
            ).fetchall()
            if not rows:
                return
            for row in rows:
                yield StoredVolume(*row)
            last = rows[-1][2]

    # -- what is named

    def open_pool(self, pool: str) -> None:
        """Turn to the segments of *pool*."""
        self._db.execute("DELETE FROM segments")
        self._numbers = {volume.name: volume.number for volume in self.volumes(pool)}

    def take(self, manifest: int, entry: Entry) -> None:
        """Learn where the content of *entry* lies, which the *manifest* of that number tells."""
        for place in entry.places:
            digest = bytes.fromhex(place.digest or entry.digest)
            number = self._numbers[place.volume]
            self._segments.append((number, place.offset, place.length, place.start, place.size, digest, manifest))
        if len(self._segments) >= _BATCH:
            self.write()

    def write(self) -> None:
        """Write down what was taken so far."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
            " (volume, at, length, start, size, digest) DO UPDATE SET manifest = excluded.manifest",
            sorted(self._segments),
        )
        self._db.execute("COMMIT")
        self._segments.clear()

    def counts(self, manifest: int) -> dict[str, tuple[int, int]]:
        """Return how many segments the *manifest* that was taken last names in each volume, and their size."""
        self.write()
        rows = self._db.execute(
            "SELECT v.name, count(*), sum(s.size) FROM segments AS s JOIN volumes AS v ON v.id = s.volume"
            " WHERE s.manifest = ? GROUP BY s.volume",
            (manifest,),
        )
        return {name: (count, size) for name, count, size in rows}

    def names_frame(self, pool: str, name: str, offset: int, length: int) -> bool:
        """Tell whether anything that was taken lies in this frame of the *pool* that was turned to."""
        rows = self._db.execute(
            "SELECT 1 FROM volumes AS v JOIN segments AS s ON s.volume = v.id AND s.at = ? AND s.length = ?"
            " WHERE v.pool = ? AND v.name = ?",
            (offset, length, pool, name),
        )
        return rows.fetchone() is not None

    def heal(self, pool: str) -> None:
        """Forget what was lost of *pool* in frames that nothing names any more; everything was taken that there is."""
        key = (self._job, pool)
        costly = "SELECT name, at, length FROM flaws WHERE job = ? AND pool = ? AND is_costly AND length > 0"
        healed = [(*key, *row) for row in self._db.execute(costly, key).fetchall() if not self.names_frame(pool, *row)]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO healed VALUES (?, ?, ?, ?, ?)", healed)
        self._db.executemany(
            "DELETE FROM flaws WHERE job = ? AND pool = ? AND name = ? AND at = ? AND length = ?", healed
        )
        self._db.execute("COMMIT")

    def frames(self, volume: StoredVolume) -> Generator[Frame, None, None]:
        """Yield the frames of *volume* that are named, in order; in a thread of its own."""
        with closing(tables.connect(self._named, "ro")) as connection:
            rows = connection.execute(
                "SELECT at, length, start, size, digest FROM segments WHERE volume = ? ORDER BY at, length, start",
                (volume.number,),
            )
            for (at, length), group in itertools.groupby(rows, key=lambda row: row[:2]):
                yield Frame(
                    at, length, tuple([Segment(start, size, d.hex()) for _at, _length, start, size, d in group])
                )

    # -- what is to be read

    def has_not(self, volume: StoredVolume, problem: str) -> None:
        """Learn that *volume* is not there as it should be."""
        self._db.execute("BEGIN")
        self._db.execute("UPDATE volumes SET state = ? WHERE id = ?", (_ABSENT, volume.number))
        self._db.execute(
            "DELETE FROM seen WHERE job = ? AND pool = ? AND name = ?", (self._job, volume.pool, volume.name)
        )
        self._replace_flaws(volume, [Flaw(0, 0, problem, is_costly=True)])
        self._db.execute("COMMIT")

    def choose(self, sample: int, noted: Iterable[tuple[str, str]]) -> None:
        """Choose what to read: so many of a hundred volumes, those that were not found whole for the longest time.

        Those that are *noted* to be broken are always among them, unless that was seen in this very verification.
        """
        facts = {"job": self._job, "begun": self._begun}
        self._db.execute("BEGIN")
        self._db.execute(  # what was absent and is there again
            "DELETE FROM flaws WHERE job = :job AND NOT EXISTS"
            " (SELECT 1 FROM seen AS s WHERE s.job = :job AND s.pool = flaws.pool AND s.name = flaws.name) AND EXISTS"
            " (SELECT 1 FROM volumes AS v WHERE v.pool = flaws.pool AND v.name = flaws.name AND v.state = 0)",
            facts,
        )
        self._db.executemany("INSERT OR IGNORE INTO noted VALUES (?, ?)", noted)
        self._db.execute(
            "UPDATE volumes SET state = 1 WHERE state = 0 AND (pool, name) IN (SELECT pool, name FROM noted)"
            " AND NOT EXISTS (SELECT 1 FROM seen AS s WHERE s.job = :job AND s.pool = volumes.pool"
            " AND s.name = volumes.name AND s.read > :begun AND s.whole < s.read)",
            facts,
        )
        ((count, read),) = self._db.execute(
            f"SELECT count(*), count(nullif(s.read > :begun, 0)) FROM volumes AS v {_SEEN} WHERE v.state < 3",  # noqa: S608 - a text of ours
            facts,
        )
        facts["quota"] = max(0, math.ceil(count * sample / 100) - read - self.left())
        self._db.execute(
            f"UPDATE volumes SET state = 1 WHERE id IN (SELECT v.id FROM volumes AS v {_SEEN}"  # noqa: S608 - a text of ours
            " WHERE v.state = 0 AND coalesce(s.read, 0) <= :begun"
            " ORDER BY coalesce(s.whole, 0), v.pool, v.name LIMIT :quota)",
            facts,
        )
        self._db.execute("COMMIT")

    def left(self) -> int:
        """Return how many volumes are still to be read."""
        ((count,),) = self._db.execute("SELECT count(*) FROM volumes WHERE state = ?", (_WANTED,))
        return int(count)

    def size_left(self) -> int:
        """Return how many bytes those volumes have that are still to be read."""
        ((size,),) = self._db.execute("SELECT total(stored) FROM volumes WHERE state = ?", (_WANTED,))
        return int(size)

    # -- what was found

    def note(self, volume: StoredVolume, flaws: list[Flaw]) -> None:
        """Learn that *volume* was read now, and what is wrong with it; what has healed since is told no more."""
        flaws = [
            flaw for flaw in self._as_a_whole(volume, flaws) if flaw.is_costly or not self._has_healed(volume, flaw)
        ]
        is_whole = not any(flaw.is_costly for flaw in flaws)
        self._db.execute("BEGIN")
        self._db.execute("UPDATE reads SET count = count + 1")
        self._db.execute("UPDATE volumes SET state = ? WHERE id = ?", (_READ, volume.number))
        self._db.execute(
            "INSERT OR REPLACE INTO seen SELECT ?, ?, ?, count, CASE WHEN ? THEN count ELSE 0 END FROM reads",
            (self._job, volume.pool, volume.name, is_whole),
        )
        self._replace_flaws(volume, flaws)
        self._db.execute("COMMIT")

    def _has_healed(self, volume: StoredVolume, flaw: Flaw) -> bool:
        """Tell whether a *flaw* that costs nothing is what is left of a frame that was lost."""
        rows = self._db.execute(
            "SELECT 1 FROM healed WHERE job = ? AND pool = ? AND name = ? AND (? = 0 OR (at < ? AND at + length > ?))",
            (self._job, volume.pool, volume.name, flaw.length, flaw.offset + flaw.length, flaw.offset),
        )
        return rows.fetchone() is not None

    def _as_a_whole(self, volume: StoredVolume, flaws: list[Flaw]) -> list[Flaw]:
        """Return *flaws*, or one for the whole *volume* where they cost all that is named in it, and there is much."""
        costly = [flaw for flaw in flaws if flaw.is_costly]
        if len(costly) <= _MOST_FRAMES or any(flaw.starts for flaw in costly):
            return flaws
        rows = self._db.execute("SELECT DISTINCT at, length FROM segments WHERE volume = ?", (volume.number,))
        if sum(1 for _row in rows) > len(costly):
            return flaws
        return [Flaw(0, 0, costly[0].problem, is_costly=True)]

    def _replace_flaws(self, volume: StoredVolume, flaws: Iterable[Flaw]) -> None:
        key = (self._job, volume.pool, volume.name)
        self._db.execute("DELETE FROM flaws WHERE job = ? AND pool = ? AND name = ?", key)
        self._db.executemany(
            "INSERT OR IGNORE INTO flaws VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((*key, f.offset, f.length, f.is_costly, json.dumps(f.starts), f.problem) for f in flaws),
        )

    def flawed(self, pool: str) -> dict[str, list[Flaw]]:
        """Return what is wrong with the volumes of *pool*, whenever that was found."""
        rows = self._db.execute(
            "SELECT name, at, length, problem, is_costly, starts FROM flaws WHERE job = ? AND pool = ?"
            " ORDER BY name, is_costly DESC, at, length",
            (self._job, pool),
        )
        return {
            name: [
                Flaw(at, length, problem, bool(is_costly), tuple(json.loads(starts)))
                for _name, at, length, problem, is_costly, starts in group
            ]
            for name, group in itertools.groupby(rows, key=lambda row: row[0])
        }

    def is_settled(self, pool: str, name: str) -> bool:
        """Tell whether this verification has found out how the volume is."""
        facts = {"job": self._job, "begun": self._begun, "pool": pool, "name": name}
        rows = self._db.execute(
            f"SELECT 1 FROM volumes AS v {_SEEN} WHERE v.pool = :pool AND v.name = :name"  # noqa: S608 - a text of ours
            " AND (v.state > 1 OR (s.read > :begun AND s.whole < s.read))",
            facts,
        )
        return rows.fetchone() is not None

    def manifests_naming(self, pool: str, name: str) -> set[int]:
        """Return the numbers of the manifests that name the volume."""
        rows = self._db.execute(
            "SELECT manifest FROM uses JOIN volumes AS v ON v.id = uses.volume WHERE v.pool = ? AND v.name = ?",
            (pool, name),
        )
        return {manifest for (manifest,) in rows}


@contextmanager
def open_ledger(kept: Path, scratch: Path) -> Iterator[Ledger]:
    """Open the ledger; what is *kept* is made anew only where it cannot be used, and what is in *scratch* always is."""
    tables.require_sqlite("A verification")
    work, named = scratch / "work.sqlite", scratch / "named.sqlite"
    try:
        if not tables.is_usable(kept, _VERSION):
            tables.discard(kept)
            tables.make(kept, _KEPT)
        tables.make(work, _WORK)
        tables.make(named, _NAMED)
        with closing(tables.connect(work)) as connection:
            connection.execute("ATTACH ? AS named", (str(named),))
            connection.execute("ATTACH ? AS kept", (str(kept),))
            for scratched in ("main", "named"):  # none of it outlives this run
                connection.execute(f"PRAGMA {scratched}.cache_size = -{_CACHE_KIB}")
                connection.execute(f"PRAGMA {scratched}.journal_mode = MEMORY")
                connection.execute(f"PRAGMA {scratched}.synchronous = OFF")
            yield Ledger(connection, named)
    except sqlite3.Error as error:
        raise LocalError(f"Cannot keep what was verified in {kept}: {error}.") from error
