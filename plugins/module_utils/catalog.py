# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index: the restore points of a destination and the versions of files that they show, in SQLite on this host.

It is a cache: ``reindex`` makes it anew from the destination alone. A version is a path in one state, kept once, with
the first and the last restore point that shows it; while the newest one shows it, it has no last. So what did not
change costs nothing, and a run of restore points is one range of sequence numbers.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, fields

from .errors import DamageError
from .index_file import (
    UnusableIndexError,
    connected,
    create,
    discard,
    discard_others,
    has_index,
    keep,
    writer_lock,
)
from .native.entries import FILE, HARD_LINK, Part, Problem, order_key, parse_time, path_bytes, path_text, time_text

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from .globs import PathFilter
    from .native.entries import Trailer
    from .native.manifest import ManifestReader
    from .native.points import ReadPoint, StoredPoint

    OpenReader = Callable[[StoredPoint], ManifestReader]
    Row = tuple[bytes, str, int, int, bytes]

_BATCH = 5000
_PROBLEMS_KEPT = 20
_INTEGER_LIMIT = 2**63 - 1
_COPY_JOBS = """
INSERT INTO main.jobs SELECT id + :jobs, client, job, structure FROM other.jobs WHERE client <> :client
"""
_COPY_POINTS = """
INSERT INTO main.points
SELECT id + :points, job_id + :jobs, seq, run, pool, created, is_complete, is_protected, is_damaged, entries, size,
  stored_size, problem_count, problems, blocks, tree
FROM other.points WHERE job_id IN (SELECT id FROM other.jobs WHERE client <> :client)
"""
_COPY_PARTS = """
INSERT INTO main.parts SELECT point_id + :points, kind, name, entries, size FROM other.parts
WHERE point_id IN (SELECT points.id FROM other.points JOIN other.jobs ON jobs.id = job_id WHERE client <> :client)
"""
_COPY_VERSIONS = """
INSERT INTO main.versions SELECT job_id + :jobs, key, first, last, kind, size, mtime, content FROM other.versions
WHERE job_id IN (SELECT id FROM other.jobs WHERE client <> :client)
"""


@dataclass(frozen=True)
class IndexedPoint:
    """A restore point as the index knows it; of a damaged one, not all entries could be read."""

    id: int
    client: str
    job: str
    structure: str
    seq: int
    run: str
    pool: str
    created: datetime
    is_complete: bool
    is_protected: bool
    is_damaged: bool
    entries: int
    size: int
    stored_size: int
    problem_count: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Version:
    """One state of a path, and the restore points that show it, newest first; *mtime* in microseconds since 1970.

    *content* is the SHA-256 of a file, and the target of a symbolic link.
    """

    client: str
    job: str
    path: bytes
    kind: str
    size: int
    mtime: int
    content: bytes
    points: tuple[IndexedPoint, ...]


def update_job(
    index: Path, client: str, job: str, structure: str, points: Sequence[ReadPoint], open_reader: OpenReader
) -> tuple[str, ...]:
    """Bring the *index* in line with the *points* that a job has now, and return what the user should know of it."""
    stored = [point.stored for point in points]

    def update() -> list[str]:
        with _opened(index) as catalog, catalog.transaction():
            return catalog.update_job(client, job, structure, stored, open_reader)

    begun_anew = f"It was begun anew with the job {job!r} alone: reindex finds all others again."
    with writer_lock(index):
        if not has_index(index):
            was_elsewhere = discard_others(index)
            create(index)
            elsewhere = f"The index described where the destination lay before. {begun_anew}"
            return (*([elsewhere] if was_elsewhere else []), *update())
        try:
            return tuple(update())
        except UnusableIndexError as error:
            discard(index)
            create(index)
            return (f"{error} {begun_anew}", *update())


@contextmanager
def reading(index: Path) -> Iterator[Catalog]:
    """Open the *index* as it is now, and stays for as long as the block lasts, whatever is written meanwhile."""
    with _opened(index) as catalog, catalog.transaction("DEFERRED"):
        yield catalog


@contextmanager
def making(new: Path) -> Iterator[Catalog]:
    """Make an index in the file *new*, which is gone again if the block fails."""
    discard(new)
    create(new)
    try:
        with _opened(new, is_new=True) as catalog:
            yield catalog
        keep(new)
    except BaseException:
        discard(new)
        raise


@contextmanager
def _opened(index: Path, *, is_new: bool = False) -> Iterator[Catalog]:
    with connected(index, is_new=is_new) as connection:
        yield Catalog(connection)


class Catalog:
    """An open index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """Do what the block does as a whole, or not at all."""
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # SQLite may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # asking

    def jobs(self, client: str | None = None, job: str | None = None) -> list[tuple[int, str, str, str]]:
        """Return id, client, job and structure of each job in order."""
        return self._db.execute(
            "SELECT id, client, job, structure FROM jobs"
            " WHERE (:client IS NULL OR client = :client) AND (:job IS NULL OR job = :job) ORDER BY client, job",
            {"client": client, "job": job},
        ).fetchall()

    def points(
        self, client: str | None = None, job: str | None = None, limit: int | None = None
    ) -> Iterator[IndexedPoint]:
        """Yield restore points, newest first: those of one job by their number, those of several by their date."""
        rows = self._db.execute(
            "SELECT points.id, client, job, structure, seq, run, pool, created, is_complete, is_protected, is_damaged,"
            " entries, size, stored_size, problem_count, problems FROM points JOIN jobs ON jobs.id = job_id"
            " WHERE (:client IS NULL OR client = :client) AND (:job IS NULL OR job = :job)"
            " ORDER BY CASE WHEN :client IS NULL OR :job IS NULL THEN created END DESC, seq DESC, client, job"
            " LIMIT :limit",
            {"client": client, "job": job, "limit": -1 if limit is None else limit},
        )
        return map(_point_of, rows)

    def parts(self, point: IndexedPoint) -> list[Part]:
        """Return the parts of the restore point *point*."""
        rows = self._db.execute(
            "SELECT kind, name, entries, size FROM parts WHERE point_id = ? ORDER BY kind, name", (point.id,)
        )
        return [Part(kind, path_text(name), entries, size) for kind, name, entries, size in rows]

    def versions(self, paths: PathFilter, client: str | None = None, job: str | None = None) -> Iterator[Version]:
        """Yield the versions of what *paths* match that restore points show, by job and path, newest first."""
        for job_id, its_client, its_job, _structure in self.jobs(client, job):
            points = sorted(self.points(its_client, its_job), key=lambda point: point.seq)
            seqs = [point.seq for point in points]
            for key, first, last, kind, size, mtime, content in self._ranges(job_id, paths.literal_prefix):
                path = key.replace(b"\0", b"/")
                if not paths.matches(path):
                    continue
                until = len(seqs) if last is None else bisect.bisect_right(seqs, last)
                shown = [point for point in points[bisect.bisect_left(seqs, first) : until] if not point.is_damaged]
                if shown:
                    yield Version(its_client, its_job, path, kind, size, mtime, content, tuple(reversed(shown)))

    def _ranges(self, job_id: int, prefix: bytes) -> Iterator[tuple[t.Any, ...]]:
        """Yield what is kept of versions at and below *prefix*: their keys go on with NUL, the smallest byte."""
        key = order_key(prefix)
        return self._db.execute(
            "SELECT key, first, last, kind, size, mtime, content FROM versions"
            " WHERE job_id = ? AND key >= ? AND key < ? ORDER BY key, first DESC",
            (job_id, key, key + b"\1"),
        )

    # writing

    def update_job(
        self, client: str, job: str, structure: str, points: Iterable[StoredPoint], open_reader: OpenReader
    ) -> list[str]:
        """Bring the job in line with the *points* it has now; return a sentence on each that cannot be read whole."""
        job_id = self._job_id(client, job, structure)
        wanted = {point.seq: point for point in points}
        self._rewind(job_id, wanted)
        known = self._runs(job_id)
        damaged = [
            sentence
            for seq in sorted(wanted.keys() - known.keys())
            for sentence in self._add(job_id, wanted[seq], open_reader)
        ]
        # Only now: the restore point that a slot of a ring held is what tells that its new one shows nothing new.
        self._remove(job_id, known.keys() - wanted.keys())
        self._db.executemany(
            "UPDATE points SET is_protected = :mark WHERE job_id = :job AND seq = :seq AND is_protected <> :mark",
            [{"mark": point.is_protected, "job": job_id, "seq": point.seq} for point in wanted.values()],
        )
        return damaged

    def runs(self, client: str, job: str) -> set[str]:
        """Return the ids of the restore points that a job has here."""
        return {run for job_id, *_names in self.jobs(client, job) for run in self._runs(job_id).values()}

    def forget_job(self, client: str, job: str) -> None:
        """Remove a job and everything it has."""
        for job_id, *_names in self.jobs(client, job):
            self._remove(job_id, self._runs(job_id).keys())
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def take_others(self, index: Path, client: str) -> None:
        """Copy from *index*, which is another one, everything that is not *client*'s."""
        self._db.execute("ATTACH ? AS other", (f"{index.absolute().as_uri()}?mode=rw",))
        try:
            with self.transaction():
                self._copy_others(client)
        finally:
            self._db.execute("DETACH other")

    def _copy_others(self, client: str) -> None:
        """Copy jobs, points, parts and versions under new ids: ours may be taken by now."""
        (jobs,) = self._db.execute("SELECT coalesce(max(id), 0) FROM main.jobs").fetchone()
        (points,) = self._db.execute("SELECT coalesce(max(id), 0) FROM main.points").fetchone()
        values = {"client": client, "jobs": jobs, "points": points}
        for statement in (_COPY_JOBS, _COPY_POINTS, _COPY_PARTS, _COPY_VERSIONS):
            self._db.execute(statement, values)

    # one restore point

    def _job_id(self, client: str, job: str, structure: str) -> int:
        self._db.execute(
            "INSERT INTO jobs (client, job, structure) VALUES (?, ?, ?)"
            " ON CONFLICT (client, job) DO UPDATE SET structure = excluded.structure",
            (client, job, structure),
        )
        ((job_id, *_names),) = self.jobs(client, job)
        return job_id

    def _runs(self, job_id: int) -> dict[int, str]:
        """Return the ids of the runs that made the job's restore points, by sequence number and in its order."""
        return dict(self._db.execute("SELECT seq, run FROM points WHERE job_id = ? ORDER BY seq", (job_id,)))

    def _rewind(self, job_id: int, wanted: dict[int, StoredPoint]) -> None:
        """Forget what came after a restore point that is to be added: versions are told from one point to the next."""
        known = self._runs(job_id)
        first = min((seq for seq, point in wanted.items() if known.get(seq) != point.run), default=None)
        if first is not None:
            self._remove(job_id, [seq for seq in known if seq >= first])

    def _add(self, job_id: int, stored: StoredPoint, open_reader: OpenReader) -> list[str]:
        """Add a restore point newer than all others; return what is wrong with its manifest."""
        reader = open_reader(stored)
        blocks = _digest_of_entries(reader.trailer)
        newest, tree = self._newest(job_id)
        damaged: list[str] = []
        if not self._shows_same(job_id, blocks, tree):
            self._db.execute("SAVEPOINT versions_of_point")
            try:
                tree = stored.seq if self._merge(job_id, newest, stored.seq, reader) else tree
            except DamageError as error:
                self._db.execute("ROLLBACK TO versions_of_point")
                damaged.append(str(error))
            self._db.execute("RELEASE versions_of_point")
        self._insert_point(job_id, stored, reader, {"is_damaged": bool(damaged), "blocks": blocks, "tree": tree})
        return damaged

    def _newest(self, job_id: int) -> tuple[int, int]:
        """Return the number of the job's newest restore point, and the first one that shows the same; 0 for none."""
        row = self._db.execute("SELECT seq, tree FROM points WHERE job_id = ? ORDER BY seq DESC LIMIT 1", (job_id,))
        seq, tree = row.fetchone() or (0, 0)
        return seq, tree

    def _shows_same(self, job_id: int, blocks: bytes, tree: int) -> bool:
        """Tell whether an earlier manifest says just what *blocks* is the digest of, and nothing changed since."""
        found = self._db.execute(
            "SELECT 1 FROM points WHERE job_id = ? AND blocks = ? AND tree = ? AND NOT is_damaged LIMIT 1",
            (job_id, blocks, tree),
        )
        return found.fetchone() is not None

    def _insert_point(self, job_id: int, stored: StoredPoint, reader: ManifestReader, facts: dict[str, t.Any]) -> None:
        header, trailer = reader.header, reader.trailer
        values = {
            "job_id": job_id,
            "seq": stored.seq,
            "run": stored.run,
            "pool": header.pool,
            "created": time_text(header.started),
            "is_complete": trailer.complete,
            "is_protected": stored.is_protected,
            "entries": trailer.entries,
            "size": trailer.size,
            "stored_size": sum(use.stored for use in trailer.volumes.values()),
            "problem_count": len(trailer.problems),
            "problems": json.dumps(trailer.problems[:_PROBLEMS_KEPT]),
            **facts,
        }
        cursor = self._db.execute(
            "INSERT INTO points VALUES (NULL, :job_id, :seq, :run, :pool, :created, :is_complete, :is_protected,"
            " :is_damaged, :entries, :size, :stored_size, :problem_count, :problems, :blocks, :tree)",
            values,
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)",
            [(cursor.lastrowid, part.kind, path_bytes(part.name), part.entries, part.size) for part in trailer.parts],
        )

    def _merge(self, job_id: int, newest: int, seq: int, reader: ManifestReader) -> bool:
        """Note where the restore point *seq* differs from the *newest* one so far, and tell whether it does."""
        is_changed = False
        ended: list[bytes] = []
        begun: list[Row] = []
        for old, new in _paired(self._open_versions(job_id), _rows(reader)):
            if old == new:
                continue
            is_changed = True
            if old is not None:
                ended.append(old[0])
            if new is not None:
                begun.append(new)
            if len(ended) + len(begun) >= _BATCH:
                self._write_changes(job_id, newest, seq, ended, begun)
        self._write_changes(job_id, newest, seq, ended, begun)
        return is_changed

    def _open_versions(self, job_id: int) -> Iterator[Row]:
        """Yield what the newest restore point shows, in order; a page at a time: it is written meanwhile."""
        last = b""
        while True:
            page = self._db.execute(
                "SELECT key, kind, size, mtime, content FROM versions"
                " WHERE job_id = ? AND key > ? AND last IS NULL ORDER BY key LIMIT ?",
                (job_id, last, _BATCH),
            ).fetchall()
            yield from page
            if len(page) < _BATCH:
                return
            last = page[-1][0]

    def _write_changes(self, job_id: int, newest: int, seq: int, ended: list[bytes], begun: list[Row]) -> None:
        self._db.executemany(
            "UPDATE versions SET last = ? WHERE job_id = ? AND key = ? AND last IS NULL",
            [(newest, job_id, key) for key in ended],
        )
        self._db.executemany(
            "INSERT INTO versions (job_id, first, key, kind, size, mtime, content) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(job_id, seq, *row) for row in begun],
        )
        ended.clear()
        begun.clear()

    # removing

    def _remove(self, job_id: int, seqs: Iterable[int]) -> None:
        """Remove restore points and the versions that no other one shows."""
        gone = sorted(seqs)
        if not gone:
            return
        for statement in (
            "DELETE FROM parts WHERE point_id = (SELECT id FROM points WHERE job_id = ? AND seq = ?)",
            "DELETE FROM points WHERE job_id = ? AND seq = ?",
        ):
            self._db.executemany(statement, [(job_id, seq) for seq in gone])
        kept = list(self._runs(job_id))
        if not kept or gone[-1] > kept[-1]:
            self._reopen(job_id, kept[-1] if kept else 0)
        places = {bisect.bisect(kept, seq) for seq in gone if kept and seq < kept[-1]}
        self._db.executemany(
            "DELETE FROM versions WHERE job_id = :job AND last > :before AND last < :after AND first > :before",
            [{"job": job_id, "before": kept[at - 1] if at else 0, "after": kept[at]} for at in places],
        )

    def _reopen(self, job_id: int, newest: int) -> None:
        """Make what the restore point *newest* shows the newest again."""
        self._db.execute("DELETE FROM versions WHERE job_id = ? AND first > ?", (job_id, newest))
        self._db.execute("UPDATE versions SET last = NULL WHERE job_id = ? AND last >= ?", (job_id, newest))


def _point_of(row: tuple[t.Any, ...]) -> IndexedPoint:
    values = dict(zip((field.name for field in fields(IndexedPoint)), row))
    for name in ("is_complete", "is_protected", "is_damaged"):
        values[name] = bool(values[name])
    values["created"] = parse_time(values["created"])
    values["problems"] = tuple(Problem(*problem) for problem in json.loads(values["problems"]))
    return IndexedPoint(**values)


def _digest_of_entries(trailer: Trailer) -> bytes:
    """Return the digest of all blocks but the first, which is the header."""
    return hashlib.sha256("".join(block.digest for block in trailer.blocks[1:]).encode("ascii")).digest()


def _rows(reader: ManifestReader) -> Iterator[Row]:
    """Yield the entries of a manifest as versions; a hard link is one more file."""
    previous = b""
    for entry in reader.entries():
        key = order_key(entry.path)
        if key <= previous:
            path = path_text(entry.path)
            raise DamageError(f"The manifest of run {reader.header.run} is damaged: {path} is out of order.")
        previous = key
        mtime = max(-_INTEGER_LIMIT, min(entry.mtime // 1000, _INTEGER_LIMIT))
        content = bytes.fromhex(entry.digest) if entry.digest else entry.target
        yield key, FILE if entry.kind == HARD_LINK else entry.kind, entry.size, mtime, content


def _paired(old_rows: Iterator[Row], new_rows: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Yield what the two have under each path; both come in order of their keys."""
    old = next(old_rows, None)
    for new in new_rows:
        while old is not None and old[0] < new[0]:
            yield old, None
            old = next(old_rows, None)
        if old is not None and old[0] == new[0]:
            yield old, new
            old = next(old_rows, None)
        else:
            yield None, new
    while old is not None:
        yield old, None
        old = next(old_rows, None)
