# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the index answers: restore points, their parts, and the versions of paths and parts that they show.

Whatever is asked for is yielded a piece at a time, and never more of it than was read so far is held.
"""

from __future__ import annotations

import bisect
import itertools
import json
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, fields

from .index_file import NonsenseError
from .moments import utc_text
from .native.entries import Part, Problem, order_key, parse_time, path_text

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .globs import PathFilter, Stretch
    from .part_globs import PartFilter

SHOWN = 100  # how many of the restore points that show a version are told
_WHOSE = "(:client IS NULL OR client = :client) AND (:job IS NULL OR job = :job)"
_POINTS = "SELECT * FROM told_points WHERE"
_KEPT = """
SELECT key, first, last, kind, size, mtime, content FROM versions WHERE job_id = :job AND key >= :key AND key < :end
"""
_POINT = (int, str, str, str, int, str, str, str, int, int, int, int, int, int, int, str, int, int)
_PART = (str, str, str, str, bytes, int, int)
_VERSION = (int, str, int, int, bytes)


@dataclass(frozen=True)
class Whose:
    """The client and the job that is asked for; None is any."""

    client: str | None = None
    job: str | None = None

    def values(self) -> dict[str, t.Any]:
        return {"client": self.client, "job": self.job}


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
    job_id: int
    generation: int


class Totals(t.NamedTuple):
    """How many restore points a job has, when the oldest was made, and how much is stored of it at least.

    The least is what the largest restore point of each pool needs: they share what lies in one.
    """

    points: int
    oldest: datetime | None
    stored_size: int


class Showing(t.NamedTuple):
    """A restore point that shows a version."""

    seq: int
    run: str
    created: datetime


@dataclass(frozen=True)
class Version:
    """One state of a path, and the newest restore points that show it; *mtime* in microseconds since 1970.

    *content* is the SHA-256 of a file, and the target of a symbolic link. *point_count* is how many show it in all.
    """

    client: str
    job: str
    structure: str
    path: bytes
    kind: str
    size: int
    mtime: int
    content: bytes
    points: tuple[Showing, ...]
    point_count: int


@dataclass(frozen=True)
class PartVersion:
    """One state of a part, and the newest restore points that show it, which are *point_count* in all."""

    client: str
    job: str
    structure: str
    part: Part
    points: tuple[Showing, ...]
    point_count: int


class Answers:
    """An open index, for those who ask."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def jobs(self, whose: Whose = Whose()) -> list[tuple[int, str, str, str]]:
        """Return id, client, job and structure of each job in order."""
        query = _query("SELECT id, client, job, structure FROM jobs WHERE", _WHOSE, "ORDER BY client, job")
        return self._db.execute(query, whose.values()).fetchall()

    # restore points

    def points(self, whose: Whose = Whose(), limit: int = -1, offset: int = 0) -> Iterator[IndexedPoint]:
        """Yield restore points, newest first: those of one job by their number, those of several by their date."""
        query = _query(
            *(_POINTS, _WHOSE, "ORDER BY CASE WHEN :client IS NULL OR :job IS NULL THEN created END DESC,"),
            "seq DESC, client, job LIMIT :limit OFFSET :offset",
        )
        return map(_point_of, self._db.execute(query, {**whose.values(), "limit": limit, "offset": offset}))

    def point(self, run: str, whose: Whose = Whose()) -> Iterator[IndexedPoint]:
        """Yield the restore point with the id *run*; it takes a stroke of luck for two jobs to have one each."""
        query = _query(_POINTS, _WHOSE, "AND run = :run ORDER BY client, job")
        return map(_point_of, self._db.execute(query, {**whose.values(), "run": run}))

    def newest_points(self, until: datetime | None = None, whose: Whose = Whose()) -> Iterator[IndexedPoint]:
        """Yield of each job the newest restore point that is not after *until*, the newest ones first.

        Damaged ones are passed over, unless a job has no others.
        """
        query = _query(
            *(_POINTS, _WHOSE),
            "AND id IN (SELECT (SELECT id FROM points WHERE job_id = jobs.id AND (:until IS NULL OR created <= :until)",
            "ORDER BY is_damaged, seq DESC LIMIT 1) FROM jobs) ORDER BY created DESC, client, job",
        )
        values = {**whose.values(), "until": None if until is None else utc_text(until)}
        return map(_point_of, self._db.execute(query, values))

    def oldest(self, whose: Whose = Whose()) -> datetime | None:
        """Return when the oldest restore point was made, or None if there is none."""
        query = _query("SELECT min(created) FROM told_points WHERE", _WHOSE)
        (created,) = self._db.execute(query, whose.values()).fetchone()
        with nonsense_told():
            return None if created is None else parse_time(created)

    def parts(self, point: IndexedPoint, limit: int = -1) -> list[Part]:
        """Return the parts of the restore point *point*, up to *limit* of them."""
        rows = self._db.execute(
            "SELECT kind, name, entries, size FROM parts WHERE point_id = ? ORDER BY kind, name LIMIT ?",
            (point.id, limit),
        )
        with nonsense_told():
            return [Part(kind, path_text(name), entries, size) for kind, name, entries, size in rows]

    def part_count(self, point: IndexedPoint) -> int:
        """Return how many parts the restore point *point* has."""
        (count,) = self._db.execute("SELECT count(*) FROM parts WHERE point_id = ?", (point.id,)).fetchone()
        return int(count)

    # one job, by its id

    def points_of(self, job_id: int, limit: int = -1, *, only_sound: bool = False) -> Iterator[IndexedPoint]:
        """Yield the restore points of a job, newest first, or those of them that are complete and not damaged."""
        query = _query(
            *(_POINTS, "job_id = :job_id AND (NOT :only_sound OR is_complete AND NOT is_damaged)"),
            "ORDER BY seq DESC LIMIT :limit",
        )
        values = {"job_id": job_id, "only_sound": only_sound, "limit": limit}
        return map(_point_of, self._db.execute(query, values))

    def totals_of(self, job_id: int) -> Totals:
        """Return what there is of a job in all."""
        rows = self._db.execute(
            "SELECT count(*), min(created), max(stored_size) FROM points WHERE job_id = ? GROUP BY pool", (job_id,)
        ).fetchall()
        with nonsense_told():
            created = [parse_time(oldest) for _count, oldest, _size in rows]
            points, stored_size = (sum(row[column] for row in rows) for column in (0, 2))
        return Totals(points, min(created, default=None), stored_size)

    # versions

    def versions(
        self, paths: PathFilter, whose: Whose = Whose(), at: Mapping[int, int] | None = None
    ) -> Iterator[Version]:
        """Yield the versions of what *paths* match that restore points show, by job and path, newest first.

        With *at*, only those that one restore point of each job shows: it has its number by the job's id.
        """
        for job_id, client, job, structure in self.jobs(whose):
            points = self._sound_points(job_id)
            seqs = [point.seq for point in points]
            seq = None if at is None else at.get(job_id)
            if at is not None and seq not in seqs:
                continue
            for stretch in paths.stretches:
                for key, first, last, kind, size, mtime, content in self._kept(job_id, stretch, seq):
                    with nonsense_told():
                        path = key.replace(b"\0", b"/")
                        if not paths.matches(path):
                            continue
                        start = bisect.bisect_left(seqs, first)
                        end = len(seqs) if last is None else bisect.bisect_right(seqs, last)
                    if start < end:
                        _require_types((first, kind, size, mtime, content), _VERSION)
                        shown = tuple(reversed(points[max(start, end - SHOWN) : end]))
                        yield Version(client, job, structure, path, kind, size, mtime, content, shown, end - start)

    def _sound_points(self, job_id: int) -> list[Showing]:
        """Return the restore points of a job whose entries were all read, oldest first."""
        rows = self._db.execute(
            "SELECT seq, run, created FROM points WHERE job_id = ? AND NOT is_damaged ORDER BY seq", (job_id,)
        )
        with nonsense_told():
            return [Showing(seq, run, parse_time(created)) for seq, run, created in rows]

    def _kept(self, job_id: int, stretch: Stretch, seq: int | None) -> Iterator[tuple[t.Any, ...]]:
        """Yield what is kept of versions in *stretch*, or of those that the restore point *seq* shows.

        What lies below a path has a key that goes on with NUL, the smallest byte.
        """
        key = order_key(stretch.prefix)
        values: dict[str, t.Any] = {"job": job_id, "key": key, "end": key + b"\1", "seq": seq}
        values.update((f"literal{number}", order_key(literal)) for number, literal in enumerate(stretch.literals))
        holding = " OR ".join(f"instr(key, :literal{number})" for number in range(len(stretch.literals)))
        query = _query(
            *(_KEPT, "AND (", holding or "1", ")"),
            *("AND (:seq IS NULL OR first <= :seq AND (last IS NULL OR last >= :seq))", "ORDER BY key, first DESC"),
        )
        return self._db.execute(query, values)

    def part_versions(
        self, parts: PartFilter, whose: Whose = Whose(), at: Mapping[int, int] | None = None
    ) -> Iterator[PartVersion]:
        """Yield the versions of the parts that *parts* match, by job, kind and name, newest first; *at* as above."""
        query = _query(
            *("SELECT * FROM told_parts WHERE NOT is_damaged AND", _WHOSE),
            "ORDER BY client, job, kind, name, seq DESC",
        )
        rows = self._db.execute(query, whose.values())
        with nonsense_told():
            for (job_id, *_names), same in itertools.groupby(rows, lambda row: row[:7]):
                found = _part_version(same, parts, None if at is None else at.get(job_id, 0))  # 0: none
                if found is not None:
                    yield found


def _query(*pieces: str) -> str:
    """Return the query of these *pieces*, none of which came from outside."""
    return " ".join(pieces)


def _part_version(rows: Iterable[tuple[t.Any, ...]], parts: PartFilter, seq: int | None) -> PartVersion | None:
    """Return the version that *rows* tell of, or None if it is not wanted, or not shown by the restore point *seq*."""
    shown: list[Showing] = []
    count = 0
    is_shown = seq is None
    part, whose = Part("", "", 0, 0), ("", "", "")
    for _job_id, client, job, structure, kind, name, _since, entries, size, its_seq, run, created, _mark in rows:
        if not count:
            _require_types((client, job, structure, kind, name, entries, size), _PART)
            part, whose = Part(kind, path_text(name), entries, size), (client, job, structure)
            if not parts.matches(part.kind, part.name):
                return None
        if len(shown) < SHOWN:
            shown.append(Showing(its_seq, run, parse_time(created)))
        is_shown = is_shown or its_seq == seq
        count += 1
    return PartVersion(*whose, part, tuple(shown), count) if is_shown else None


@contextmanager
def nonsense_told() -> Iterator[None]:
    """Turn what a value raises that nobody wrote into what tells that the index is damaged."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise NonsenseError("it holds what nobody wrote") from error


def _require_types(values: Sequence[object], types: Sequence[type]) -> None:
    """Raise unless *values* are of these *types*: SQLite keeps any type in any column."""
    if not all(isinstance(value, wanted) for value, wanted in zip(values, types)):
        raise NonsenseError("it holds what nobody wrote")


def _point_of(row: tuple[t.Any, ...]) -> IndexedPoint:
    with nonsense_told():
        _require_types(row, _POINT)
        values = dict(zip((field.name for field in fields(IndexedPoint)), row))
        for name in ("is_complete", "is_protected", "is_damaged"):
            values[name] = bool(values[name])
        values["created"] = parse_time(values["created"])
        values["problems"] = tuple(Problem(*problem) for problem in json.loads(values["problems"]))
        return IndexedPoint(**values)
