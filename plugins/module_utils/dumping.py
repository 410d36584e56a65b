# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From databases to entries of a restore point: each dump is streamed, and stands there only if it became whole."""

from __future__ import annotations

import json
import os
import time
import typing as t
from dataclasses import dataclass
from functools import partial

from . import scan
from .changes import Change
from .errors import DatabaseError
from .native.entries import DUMPS, FILE, Entry, is_dump, order_key
from .native.points import open_manifest

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .basis import Basis, Problems
    from .collect import Collector
    from .dumps import DumpPlan, MissedDump, PlannedDump
    from .jobs import OpenJob

_PRIVATE = 0o600


@dataclass(frozen=True)
class Dumping:
    """The dumps of one run: those of the *plan*, and in the place of one that cannot be had what it was last."""

    open_job: OpenJob
    plan: DumpPlan
    problems: Problems

    def steps(self, basis: Basis, collector: Collector) -> Iterator[Callable[[], None]]:
        """Yield what has *collector* take in each dump, in order."""
        if not (self.plan.dumps or self.plan.missed):
            return
        bases = dumps_of(self.open_job, basis)
        planned = {dump.path: dump for dump in self.plan.dumps}
        for missed in self.plan.missed:
            self.problems.note(missed.place, missed.problem)
        left = {path for missed in self.plan.missed for path in left_by(missed, bases)} - planned.keys()
        for path in sorted({*planned, *left}, key=order_key):
            base = bases.get(path)
            if path in planned:
                yield partial(self._collect, planned[path], base, basis, collector)
            elif base is not None:
                yield partial(_keep, base, basis, collector)

    def _collect(self, planned: PlannedDump, base: Entry | None, basis: Basis, collector: Collector) -> None:
        try:
            with planned.made() as dump:
                size = collector.collect_dump(_entry_of(planned.path), dump, base)
        except DatabaseError as error:
            if planned.source.is_required:
                raise DatabaseError(f"{error} No restore point was made.") from error
            self.problems.note(planned.path, str(error))
            if base is not None:
                _keep(base, basis, collector)
        else:
            collector.counts.count_dump(base, size)
            self.open_job.warnings.extend(dump.warnings)


def dumps_of(open_job: OpenJob, basis: Basis) -> dict[bytes, Entry]:
    """Return the dumps that the *basis* of a run has, by their paths."""
    found: dict[bytes, Entry] = {}
    for point in basis.manifests:
        for entry in open_manifest(open_job.cache.path_of(point.stored)).entries(DUMPS):
            if is_dump(entry.path):
                found.setdefault(entry.path, entry)
    return found


def left_by(missed: MissedDump, bases: Mapping[bytes, Entry]) -> Iterator[bytes]:
    """Yield the paths of those dumps in *bases* that would have been made anew, had they not been *missed*."""
    for path, base in bases.items():
        is_meant = path == missed.path if missed.path else _source_of(base) == missed.source.key
        if is_meant:
            yield path


def _source_of(entry: Entry) -> object:
    return json.loads(entry.facts or "{}").get("source")


def _keep(base: Entry, basis: Basis, collector: Collector) -> None:
    """Have a dump stand in the restore point as it was last."""
    if not basis.condition.has_lost(base):
        collector.counts.count_dump(base, None)
        collector.collect(Change(None, base, is_same=True))


def _entry_of(path: bytes) -> Entry:
    """Return what a dump is as a file: whoever makes it owns it, and nobody else may read it."""
    uid, gid = os.geteuid(), os.getegid()
    return Entry(path, FILE, _PRIVATE, uid, gid, scan.user_name(uid), scan.group_name(gid), time.time_ns())
