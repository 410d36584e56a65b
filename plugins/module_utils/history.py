# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the index of a destination answers: which restore points there are, and which versions of a file they show."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone
from itertools import islice

from .catalog import reading
from .errors import UsageError
from .globs import PathFilter
from .index_file import has_index
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
from .registry import DestinationState, require

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .catalog import Catalog, IndexedPoint, Version
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
LIMIT = 1_000_000


def list_backups(
    registry: Registry,
    state_directory: Path,
    destination_name: str,
    *,
    client: str | None,
    job: str | None,
    paths: Sequence[str],
    limit: int,
    now: datetime,
) -> Outcome:
    """Return the restore points of a destination and, with *paths*, the versions of what these globs match.

    Of both no more than *limit* are returned, and it is told whether that left something out.
    """
    destination = require(registry, destination_name)
    if not 1 <= limit <= LIMIT:
        raise UsageError(f"limit is {limit}, and must be from 1 to {LIMIT}.")
    wanted = PathFilter(paths)
    index = DestinationState(state_directory, destination.name, destination.place).index
    if not has_index(index):
        raise UsageError(
            f"This host has no index of the destination {destination.name!r} as it is declared now: run reindex, or"
            " make a backup, first."
        )
    with reading(index) as catalog:
        points, has_more_points = _cut(catalog.points(client, job, limit + 1), limit)
        values: dict[str, t.Any] = {"points": [_shown_point(catalog, point, now) for point in points]}
        has_more_versions = False
        if paths:
            versions, has_more_versions = _cut(catalog.versions(wanted, client, job), limit)
            values["versions"] = [_shown_version(version) for version in versions]
    return Outcome(changed=False, values={**values, "truncated": has_more_points or has_more_versions})


def _cut(items: Iterable[Item], limit: int) -> tuple[list[Item], bool]:
    """Return up to *limit* of *items*, and whether there are more."""
    found = list(islice(items, limit + 1))
    return found[:limit], len(found) > limit


def _shown_point(catalog: Catalog, point: IndexedPoint, now: datetime) -> dict[str, t.Any]:
    """Return a restore point by the words that a backup uses."""
    return {
        "id": point.run,
        "seq": point.seq,
        "job": point.job,
        "client": point.client,
        "pool": point.pool,
        "structure": point.structure,
        "created": time_text(point.created),
        "age": int((now - point.created).total_seconds()),
        "complete": point.is_complete,
        "protected": point.is_protected,
        "damaged": point.is_damaged,
        "entries": point.entries,
        "bytes": point.size,
        "stored_bytes": point.stored_size,
        "problem_count": point.problem_count,
        "problems": [problem._asdict() for problem in point.problems],
        "parts": [
            {"kind": part.kind, "name": part.name, "entries": part.entries, "bytes": part.size}
            for part in catalog.parts(point)
        ],
    }


def _shown_version(version: Version) -> dict[str, t.Any]:
    return {
        "path": path_text(version.path),
        "job": version.job,
        "client": version.client,
        "kind": _KINDS.get(version.kind, version.kind),
        "size": version.size,
        "mtime": _moment(version.mtime),
        "digest": version.content.hex() if version.kind == FILE else None,
        "target": path_text(version.content) if version.kind == SYMLINK else None,
        "points": [
            {"id": point.run, "seq": point.seq, "created": time_text(point.created)} for point in version.points
        ],
    }


def _moment(microseconds: int) -> str:
    """Return a time of a file in ISO 8601, or in seconds since 1970 where the calendar has no such year."""
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return f"@{microseconds // 10**6}"
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
