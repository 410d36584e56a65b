# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the index of a destination answers: its restore points, their parts, and the versions of both and of paths.

However large the index is, an answer is not: it comes in pages, and what is listed within each of its items is bounded
as well.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice

from .answers import SHOWN, Whose
from .catalog import reading
from .cpanel.parts import of_home
from .errors import UsageError
from .globs import PathFilter
from .index_file import has_index
from .moments import LATEST, UNDATED, is_id, parse_date, utc_text
from .native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    SYMLINK,
    path_text,
    time_text,
)
from .outcome import Outcome
from .part_globs import PartFilter
from .registry import CPANEL, DestinationState, require, require_fitting
from .reporting import Reporter
from .results import PROBLEMS_SHOWN

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .answers import Answers, IndexedPoint, PartVersion, Version
    from .part_globs import PartGlob
    from .registry import Registry

    Item = t.TypeVar("Item")

_KINDS = {
    FILE: "file",
    DIRECTORY: "directory",
    SYMLINK: "symlink",
    CHARACTER_DEVICE: "character_device",
    BLOCK_DEVICE: "block_device",
    FIFO: "fifo",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LIMIT = 10_000
_PARTS_SHOWN = 1000
_LAST = 10**9
_INSIDE = 100_000  # of what is listed within the items of a page, so many are there in all


@dataclass(frozen=True)
class Question:
    """What is asked of an index: restore points, and versions of *paths* and *parts*; a page of each.

    *point* means one restore point of each job, by the words of a restore. Of cPanel's backups, an *account* has them
    and no job.
    """

    client: str | None = None
    job: str | None = None
    account: str | None = None
    point: str | None = None
    paths: tuple[str, ...] = ()
    parts: tuple[PartGlob, ...] = ()
    limit: int = 100
    offset: int = 0

    @property
    def whose(self) -> Whose:
        return Whose(self.client, self.job if self.account is None else self.account)

    @property
    def words(self) -> str:
        """Whose restore points are asked for."""
        if self.account is not None:
            return f"of the account {self.account!r}"
        if self.job is not None:
            return f"of {self.job!r}" if self.client is None else f"of {self.job!r} of the client {self.client!r}"
        return "of any job" if self.client is None else f"of the client {self.client!r}"

    def filters(self, engine: str) -> tuple[PathFilter, PartFilter]:
        """Return what is asked for of paths and parts; raise if the question makes no sense."""
        if not 1 <= self.limit <= LIMIT:
            raise UsageError(f"limit is {self.limit}, and must be from 1 to {LIMIT}.")
        if not 0 <= self.offset <= _LAST:
            raise UsageError(f"offset is {self.offset}, and must be from 0 to {_LAST}.")
        if self.point is not None and self.point != LATEST and not is_id(self.point):
            parse_date(self.point)
        paths = [of_home(path) for path in self.paths] if engine == CPANEL else self.paths
        return PathFilter(paths), PartFilter(self.parts)

    def share(self, most: int) -> int:
        """Return how much is listed within one item: *most*, or less where there may be very many items."""
        return min(most, _INSIDE // self.limit)


def list_backups(
    registry: Registry, state_directory: Path, destination_name: str, question: Question, *, now: datetime
) -> Outcome:
    """Return what the index of a destination answers, and whether there is more than the pages that are asked for."""
    reporter = Reporter(destination_name)
    destination = require(registry, destination_name)
    require_fitting(destination, question.client, question.job, question.account)
    paths, parts = question.filters(destination.engine)
    index = DestinationState(state_directory, destination.name, destination.place).index
    if not has_index(index):
        raise UsageError(
            f"This host has no index of the destination {destination.name!r} as it is declared now: run reindex, or"
            " make a backup, first."
        )
    with reading(index) as catalog:
        meant = None if question.point is None else _meant(catalog, question, destination.name)
        at = None if meant is None else {point.job_id: point.seq for point in meant}
        whose, limit, offset = question.whose, question.limit, question.offset
        found = catalog.points(whose, limit + 1, offset) if meant is None else iter(meant[offset:])
        pages = {"points": _page(question, (_shown_point(catalog, point, question, now) for point in found))}
        if question.paths:
            versions = islice(catalog.versions(paths, whose, at), offset, None)
            pages["versions"] = _page(question, (_shown_version(version, question) for version in versions))
        if question.parts:
            part_versions = islice(catalog.part_versions(parts, whose, at), offset, None)
            pages["parts"] = _page(question, (_shown_part(version, question) for version in part_versions))
    values: dict[str, t.Any] = {name: shown[:limit] for name, shown in pages.items()}
    values["truncated"] = any(len(shown) > limit for shown in pages.values())
    return Outcome(changed=False, values={**reporter.measured(), **values})


def _page(question: Question, items: Iterable[Item]) -> list[Item]:
    """Return a page of *items*, and one more if there are more."""
    return list(islice(items, question.limit + 1))


def _meant(answers: Answers, question: Question, destination: str) -> list[IndexedPoint]:
    """Return the restore points that are meant, one of each job that has one; raise if none has."""
    point, whose = question.point or LATEST, question.whose
    until = None if point == LATEST or is_id(point) else parse_date(point)
    found = list(answers.point(point, whose) if is_id(point) else answers.newest_points(until, whose))
    if found:
        return found
    oldest = answers.oldest(whose)
    if until is not None and oldest is not None:
        raise UsageError(
            f"There is no restore point {question.words} until {utc_text(until)}; the oldest is of {time_text(oldest)}."
        )
    which = f" {point!r}" if is_id(point) else ""
    raise UsageError(f"There is no restore point{which} {question.words} in the index of {destination!r}.")


def _shown_point(answers: Answers, point: IndexedPoint, question: Question, now: datetime) -> dict[str, t.Any]:
    """Return a restore point by the words that a backup uses."""
    created = _created(point.structure, point.created)
    return {
        "id": point.run,
        "seq": point.seq,
        **_owner(point.structure, point.client, point.job),
        "pool": point.pool,
        "structure": point.structure,
        "created": created,
        "age": None if created is None else int((now - point.created).total_seconds()),
        "complete": point.is_complete,
        "protected": point.is_protected,
        "damaged": point.is_damaged,
        "entries": point.entries,
        "bytes": point.size,
        "stored_bytes": point.stored_size,
        "problem_count": point.problem_count,
        "problems": [problem._asdict() for problem in point.problems[: question.share(PROBLEMS_SHOWN)]],
        "part_count": answers.part_count(point),
        "parts": [
            {"kind": part.kind, "name": part.name, "entries": part.entries, "bytes": part.size}
            for part in answers.parts(point, question.share(_PARTS_SHOWN))
        ],
    }


def _created(structure: str, created: datetime) -> str | None:
    """Return when a restore point was made, or None if what cPanel has made does not tell."""
    return None if structure == CPANEL and created == UNDATED else time_text(created)


def _owner(structure: str, client: str, job: str) -> dict[str, str | None]:
    """Return whose a restore point is: a client's job, or an account of cPanel."""
    if structure == CPANEL:
        return {"account": job, "job": None, "client": None}
    return {"account": None, "job": job, "client": client}


def _shown_version(version: Version, question: Question) -> dict[str, t.Any]:
    return {
        "path": path_text(version.path),
        **_owner(version.structure, version.client, version.job),
        "kind": _KINDS.get(version.kind, version.kind),
        "bytes": version.size,
        "mtime": _moment(version.mtime),
        "digest": version.content.hex() if version.kind == FILE else None,
        "target": path_text(version.content) if version.kind == SYMLINK else None,
        **_shown_showings(version, question),
    }


def _shown_part(version: PartVersion, question: Question) -> dict[str, t.Any]:
    return {
        "kind": version.part.kind,
        "name": version.part.name,
        **_owner(version.structure, version.client, version.job),
        "entries": version.part.entries,
        "bytes": version.part.size,
        **_shown_showings(version, question),
    }


def _shown_showings(version: Version | PartVersion, question: Question) -> dict[str, t.Any]:
    """Return the newest restore points that show *version*, and how many do."""
    shown = version.points[: question.share(SHOWN)]
    return {
        "point_count": version.point_count,
        "points": [
            {
                "id": point.run,
                "seq": point.seq,
                "created": _created(version.structure, point.created),
            }
            for point in shown
        ],
    }


def _moment(microseconds: int) -> str:
    """Return a time of a file in ISO 8601, or in seconds since 1970 where the calendar has no such year."""
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return f"@{microseconds // 10**6}"
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
