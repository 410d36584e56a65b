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
import json
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass

from .answers import Answers, Whose, nonsense_told
from .errors import DamageError
from .index_file import (
    UnusableIndexError,
    connected,
    copy_index,
    create,
    discard,
    discard_others,
    has_index,
    writer_lock,
)
from .native.entries import path_bytes, path_text, time_text
from .versions import ChangedParts, digest_of_entries, paired, rows_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from .native.entries import Part
    from .native.manifest import ManifestReader
    from .native.points import ReadPoint, StoredPoint
    from .versions import Row

    OpenReader = Callable[[StoredPoint], ManifestReader]
    PartKey = tuple[str, str]

_BATCH = 5000
_PROBLEMS_KEPT = 20
_NONE: frozenset[str] = frozenset()
_INSERT_POINT = """
INSERT INTO points VALUES (
  NULL, :job_id, :seq, :run, :pool, :created, :is_complete, :is_protected, :is_damaged, :entries, :size, :stored_size,
  :problem_count, :problems, :generation, :manifest_size, :blocks, :tree
)
"""
_RENEW_POINT = """
UPDATE points SET
  pool = :pool, created = :created, is_complete = :is_complete, is_damaged = is_damaged OR :is_damaged,
  entries = :entries, size = :size, stored_size = :stored_size, problem_count = :problem_count, problems = :problems,
  generation = :generation, manifest_size = :manifest_size, blocks = :blocks
WHERE job_id = :job_id AND seq = :seq
"""
_INSERT_PART = """
INSERT OR REPLACE INTO parts SELECT id, ?, ?, ?, ?, ? FROM points WHERE job_id = ? AND seq = ?
"""


@dataclass(frozen=True)
class PointKey:
    """What tells the manifest that was read of a restore point from all others, and whether it could be read whole."""

    seq: int
    run: str
    generation: int
    manifest_size: int
    is_damaged: bool

    def is_of(self, stored: StoredPoint) -> bool:
        """Tell whether *stored* is what was read."""
        return self.has_entries_of(stored) and self.generation == stored.generation

    def has_entries_of(self, stored: StoredPoint) -> bool:
        """Tell whether *stored* is what was read, or that published anew, which changes nothing but where all lies."""
        is_same_file = self.generation != stored.generation or self.manifest_size == stored.size
        return (self.seq, self.run) == (stored.seq, stored.run) and is_same_file


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
def making(new: Path, old: Path | None = None) -> Iterator[Catalog]:
    """Make an index in the file *new*, which begins as a copy of the *old* one; it is gone again if the block fails."""
    discard(new)
    try:
        if old is None:
            create(new)
        else:
            copy_index(old, new)
        with connected(new, is_new=True, origin=old) as connection:
            catalog = Catalog(connection)
            yield catalog
    except BaseException:
        discard(new)
        raise


@contextmanager
def _opened(index: Path) -> Iterator[Catalog]:
    with connected(index) as connection:
        yield Catalog(connection)


class Catalog(Answers):
    """An open index, for those who write it."""

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

    @property
    def is_changed(self) -> bool:
        """Whether anything was written since it was opened."""
        return self._db.total_changes > 0

    def keys(self, client: str, job: str) -> dict[str, PointKey]:
        """Return what was read of the restore points that a job has here, by their ids."""
        keys = (key for job_id, *_names in self.jobs(Whose(client, job)) for key in self._keys(job_id).values())
        return {key.run: key for key in keys}

    def forget_job(self, client: str, job: str) -> None:
        """Remove a job and everything it has."""
        for job_id, *_names in self.jobs(Whose(client, job)):
            self._remove(job_id, self._keys(job_id).keys())
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def forget_others(self, client: str | None, jobs: Collection[tuple[str, str]]) -> None:
        """Remove all other jobs than *jobs*, which are clients and names, as far as they are the *client*'s."""
        with self.transaction():
            for _id, its_client, name, _structure in self.jobs(Whose(client)):
                if (its_client, name) not in jobs:
                    self.forget_job(its_client, name)

    def update_job(
        self,
        client: str,
        job: str,
        structure: str,
        points: Iterable[StoredPoint],
        open_reader: OpenReader,
        again: Collection[str] = _NONE,
    ) -> list[str]:
        """Bring the job in line with the *points* it has now; return a sentence on each that cannot be read whole.

        What is known is not read again. Of one that was published anew, the entries are not; of one whose id is in
        *again*, it is seen whether it still is damaged.
        """
        job_id = self._job_id(client, job, structure)
        wanted = {point.seq: point for point in points}
        damaged = self._rewind(job_id, wanted, open_reader, again)
        known = self._keys(job_id)
        for seq in sorted(wanted):
            if seq not in known:
                damaged += self._add(job_id, wanted[seq], open_reader)
            elif not known[seq].is_of(wanted[seq]):
                sentences = self._renew(job_id, wanted[seq], open_reader)
                damaged += [] if known[seq].is_damaged else sentences  # else it was told above
        # Only now: the restore point that a slot of a ring held is what tells that its new one shows nothing new.
        self._remove(job_id, known.keys() - wanted.keys())
        self._db.executemany(
            "UPDATE points SET is_protected = :mark WHERE job_id = :job AND seq = :seq AND is_protected <> :mark",
            [{"mark": point.is_protected, "job": job_id, "seq": point.seq} for point in wanted.values()],
        )
        return damaged

    def _job_id(self, client: str, job: str, structure: str) -> int:
        whose = Whose(client, job)
        if not self.jobs(whose):
            self._db.execute("INSERT INTO jobs (client, job, structure) VALUES (?, ?, ?)", (client, job, structure))
        ((job_id, _client, _job, before),) = self.jobs(whose)
        if before != structure:
            self._db.execute("UPDATE jobs SET structure = ? WHERE id = ?", (structure, job_id))
        return job_id

    def _keys(self, job_id: int) -> dict[int, PointKey]:
        """Return what was read of the job's restore points, by sequence number and in its order."""
        rows = self._db.execute(
            "SELECT seq, run, generation, manifest_size, is_damaged FROM points WHERE job_id = ? ORDER BY seq",
            (job_id,),
        )
        with nonsense_told():
            return {
                seq: PointKey(seq, run, number, size, bool(is_damaged)) for seq, run, number, size, is_damaged in rows
            }

    def _rewind(
        self, job_id: int, wanted: dict[int, StoredPoint], open_reader: OpenReader, again: Collection[str]
    ) -> list[str]:
        """Forget what came after a restore point that is to be read: versions are told from one point to the next.

        Return a sentence on each that was looked at *again*, and still is damaged.
        """
        known = self._keys(job_id)
        damaged: list[str] = []
        for seq, point in sorted(wanted.items()):
            key = known.get(seq)
            is_known = key is not None and key.has_entries_of(point)
            if key is not None and is_known and key.is_damaged and (point.run in again or not key.is_of(point)):
                sentence = _damage_of(open_reader(point))
                is_known = sentence is not None
                damaged += [sentence] if sentence is not None else []
            if not is_known:
                self._remove(job_id, [number for number in known if number >= seq])
                break
        return damaged

    # one restore point

    def _add(self, job_id: int, stored: StoredPoint, open_reader: OpenReader) -> list[str]:
        """Add a restore point newer than all others; return what is wrong with its manifest."""
        reader = open_reader(stored)
        blocks = digest_of_entries(reader.trailer)
        newest, tree = self._newest(job_id)
        changed = ChangedParts(reader.trailer.parts)
        damaged: list[str] = []
        if not self._shows_same(job_id, blocks, tree):
            self._db.execute("SAVEPOINT versions_of_point")
            try:
                tree = stored.seq if self._merge(job_id, newest, stored.seq, reader, changed) else tree
            except DamageError as error:
                self._db.execute("ROLLBACK TO versions_of_point")
                damaged.append(str(error))
            self._db.execute("RELEASE versions_of_point")
        before = self._parts_of(job_id, newest)
        facts = _facts_of(job_id, stored, reader, is_damaged=bool(damaged))
        self._db.execute(_INSERT_POINT, {**facts, "is_protected": stored.is_protected, "tree": tree})
        self._insert_parts(job_id, stored.seq, reader.trailer.parts, before, changed)
        return damaged

    def _renew(self, job_id: int, stored: StoredPoint, open_reader: OpenReader) -> list[str]:
        """Note what another generation of a manifest says of the restore point: its entries are the same."""
        reader = open_reader(stored)
        damaged: list[str] = []
        try:
            reader.prove()
        except DamageError as error:
            damaged.append(str(error))
        self._db.execute(_RENEW_POINT, _facts_of(job_id, stored, reader, is_damaged=bool(damaged)))
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

    def _parts_of(self, job_id: int, seq: int) -> dict[PartKey, tuple[int, int, int]]:
        """Return of each part of a restore point the first one that shows the same in it, its entries and its size."""
        rows = self._db.execute(
            "SELECT kind, name, since, parts.entries, parts.size FROM points JOIN parts ON point_id = points.id"
            " WHERE job_id = ? AND seq = ?",
            (job_id, seq),
        )
        with nonsense_told():
            return {(kind, path_text(name)): (since, entries, size) for kind, name, since, entries, size in rows}

    def _insert_parts(
        self,
        job_id: int,
        seq: int,
        parts: Sequence[Part],
        before: dict[PartKey, tuple[int, int, int]],
        changed: ChangedParts,
    ) -> None:
        rows = []
        for part in parts:
            key = (part.kind, part.name)
            since, *same = before.get(key, (seq, part.entries, part.size))
            if key in changed.found or same != [part.entries, part.size]:
                since = seq
            rows.append((part.kind, path_bytes(part.name), part.entries, part.size, since, job_id, seq))
        self._db.executemany(_INSERT_PART, rows)

    def _merge(self, job_id: int, newest: int, seq: int, reader: ManifestReader, parts: ChangedParts) -> bool:
        """Note where the restore point *seq* differs from the *newest* one so far, and tell whether it does."""
        is_changed = False
        ended: list[bytes] = []
        begun: list[Row] = []
        with nonsense_told():
            for old, new in paired(self._open_versions(job_id), rows_of(reader)):
                if old == new:
                    continue
                is_changed = True
                if old is not None:
                    ended.append(old[0])
                    parts.note(old[0])
                if new is not None:
                    begun.append(new)
                    parts.note(new[0])
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
        kept = list(self._keys(job_id))
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


def _facts_of(job_id: int, stored: StoredPoint, reader: ManifestReader, *, is_damaged: bool) -> dict[str, t.Any]:
    """Return what the index holds of a restore point by its manifest alone."""
    header, trailer = reader.header, reader.trailer
    return {
        "job_id": job_id,
        "seq": stored.seq,
        "run": stored.run,
        "is_damaged": is_damaged,
        "pool": header.pool,
        "created": time_text(header.started),
        "is_complete": trailer.complete,
        "entries": trailer.entries,
        "size": trailer.size,
        "stored_size": sum(use.stored for use in trailer.volumes.values()),
        "problem_count": len(trailer.problems),
        "problems": json.dumps(trailer.problems[:_PROBLEMS_KEPT]),
        "generation": stored.generation,
        "manifest_size": stored.size,
        "blocks": digest_of_entries(trailer),
    }


def _damage_of(reader: ManifestReader) -> str | None:
    """Return what keeps the entries of a manifest from being read, or None if nothing does."""
    try:
        for _row in rows_of(reader):
            pass
    except DamageError as error:
        return str(error)
    return None
