# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilds the index of a destination from what lies on it: its restore points and nothing else."""

from __future__ import annotations

import secrets
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import connections
from .answers import Whose
from .catalog import making, reading
from .errors import BackupError, UsageError
from .index_file import (
    WRITER_PATIENCE,
    UnusableIndexError,
    discard,
    has_index,
    replace_index,
    stamp_of,
    writer_lock,
)
from .indexing.accounts import Accounts
from .indexing.stored_jobs import StoredJobs
from .outcome import Outcome, bounded
from .private_files import locked
from .progress import READING, SILENT, Meter
from .registry import CPANEL, DestinationState, check_name, require
from .reporting import Reporter

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from .answers import IndexedPoint
    from .catalog import Catalog
    from .progress import Progress
    from .registry import Destination, Registry
    from .storage import Storage

    OpenStorage = Callable[..., AbstractContextManager[Storage]]

_SIDE_BY_SIDE = 4


def reindex(
    registry: Registry,
    state_directory: Path,
    destination_name: str,
    *,
    client: str | None = None,
    rebuild: bool = False,
    check_mode: bool,
    open_storage: OpenStorage | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Make the index of a destination, or a *client*'s part of it, say what lies on the storage.

    What the index holds is not read again, unless it is damaged or *rebuild* says so. *progress* is told how far it is.
    """
    reporter = Reporter(destination_name)
    destination = require(registry, destination_name)
    if client is not None:
        _check_client(client, destination)
    state = DestinationState(state_directory, destination.name, destination.place)
    threads = destination.max_connections or _SIDE_BY_SIDE
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftp-backup-"))) if check_mode else None
        if not check_mode:
            refusal = f"The destination {destination.name!r} is already being reindexed on this host"
            stack.enter_context(locked(state.directory / "reindex.lock", refusal))
        mark = f"reindex-{secrets.token_hex(6)}"
        storage = stack.enter_context(
            (open_storage or connections.open_storage)(destination, mark, state, may_write=not check_mode, warm=2)
        )
        executor = ThreadPoolExecutor(threads, "reindex")
        stack.callback(executor.shutdown, cancel_futures=True)
        meter = stack.enter_context(Meter(progress, READING))
        contents: _Lying
        if destination.engine == CPANEL:
            accounts = Accounts(storage, executor, state, scratch, meter, rebuild=rebuild)
            stack.callback(accounts.stop)
            contents = accounts
        else:
            contents = StoredJobs(storage, executor, state, client, scratch, meter)
        task = _Reindex(contents, destination.name, state, client, scratch)
        return reporter.told(partial(task.do, from_nothing=rebuild), storage)


def _check_client(client: str, destination: Destination) -> None:
    check_name(client, "client")
    if destination.engine == CPANEL:
        raise UsageError(f"The destination {destination.name!r} has backups of cPanel, which have no client.")


class _Lying(t.Protocol):
    """What lies on the storage; *damage* has a sentence on each thing that cannot be read, by what it is."""

    @property
    def damage(self) -> Mapping[str, str]: ...

    def begin(self) -> None:
        """Forget what was seen so far, to look at all again."""

    def bring_in_line(self, catalog: Catalog) -> None:
        """Make *catalog* say what the storage holds now."""

    def told(self) -> dict[str, t.Any]:
        """Return what else the user is told."""

    def tidy(self) -> None:
        """Remove from this host what only the old index needed."""


@dataclass(frozen=True)
class _Contents:
    """What an index holds: its jobs, and a line on each restore point by what tells it from all others."""

    jobs: frozenset[tuple[str, str, str]]
    points: dict[tuple[str, str, int, str], str]


@dataclass(frozen=True)
class _Made:
    """What the old and the new index hold, and whether the new one differs from the old one that had this *stamp*."""

    before: _Contents | None
    after: _Contents
    stamp: object
    is_changed: bool


class _Reindex:
    """One rebuilding of an index; with *scratch*, all that is written is written there."""

    def __init__(
        self, contents: _Lying, destination: str, state: DestinationState, client: str | None, scratch: Path | None
    ) -> None:
        self._contents = contents
        self._destination = destination
        self._state = state
        self._client = client
        self._scratch = scratch
        self._trouble: str | None = None
        self._has_lock = False

    def do(self, *, from_nothing: bool) -> Outcome:
        """Build the new index aside and swap it in; what fails leaves the old one as it was."""
        index = self._state.index
        with ExitStack() as locks:
            made = self._made(locks, from_nothing=from_nothing)
            if self._client is not None and self._scratch is None and made.stamp != stamp_of(index):
                # All others are as the old index had them, and that is another one by now; it stays as it is from here.
                made = self._made(locks, from_nothing=from_nothing)
            if self._scratch is None:
                if made.is_changed or made.stamp != stamp_of(index):
                    replace_index(index, self._new)
                else:
                    discard(self._new)
                self._contents.tidy()
        return self._outcome(made.before, made.after)

    def _made(self, locks: ExitStack, *, from_nothing: bool) -> _Made:
        """Make the new index from the old one, or from nothing where that is asked for or the old one is of no use."""
        index = self._state.index
        if has_index(index) and not (from_nothing and self._client is None):
            try:
                return self._attempt(index, locks, forgets=from_nothing)
            except UnusableIndexError as error:
                self._tell_trouble(error)
        return self._attempt(None, locks, forgets=False)

    @property
    def _new(self) -> Path:
        return (self._scratch or self._state.directory) / "index.new"

    def _attempt(self, old: Path | None, locks: ExitStack, *, forgets: bool) -> _Made:
        """Make the new index from a copy of the *old* one; in the end *locks* hold the writer's lock."""
        self._contents.begin()
        stamp = stamp_of(self._state.index)
        with making(self._new, old) as catalog:
            if forgets:
                catalog.forget_others(self._client, frozenset())
            self._contents.bring_in_line(catalog)
            if self._scratch is None and not self._has_lock:
                locks.enter_context(writer_lock(self._state.index, WRITER_PATIENCE))
                self._has_lock = True
                self._contents.bring_in_line(catalog)  # a backup may have ended since, and nothing can from here on
            before, after = self._contents_before(), _contents_of(catalog, self._client)
            return _Made(before, after, stamp, is_changed=old is None or catalog.is_changed)

    def _contents_before(self) -> _Contents | None:
        """Return what the old index holds, or None if there is none that can be used."""
        if not has_index(self._state.index):
            return None
        try:
            with reading(self._state.index) as catalog:
                return _contents_of(catalog, self._client)
        except BackupError as error:
            self._tell_trouble(error)
            return None

    def _tell_trouble(self, error: BackupError) -> None:
        """Note what is wrong with the old index, the first thing that is."""
        lost = "" if self._client is None else " Of other clients it knows nothing until all are reindexed."
        self._trouble = self._trouble or f"{error} It is replaced.{lost}"

    def _outcome(self, before: _Contents | None, after: _Contents) -> Outcome:
        old, new = before.points if before is not None else {}, after.points
        kept = new.keys() & old.keys()
        changed = [key for key in kept if new[key] != old[key]]
        damaged = [sentence for _where, sentence in sorted(self._contents.damage.items())]
        values = {
            "new": len(new.keys() - old.keys()),
            "updated": len(changed),
            "gone": len(old.keys() - new.keys()),
            "unchanged": len(kept) - len(changed),
            "unreadable": damaged,
            "job_count": len(after.jobs),
            "point_count": len(new),
            **self._contents.told(),
        }
        old_lines, new_lines = set(old.values()), set(new.values())
        return Outcome(
            changed=before != after,
            values=values,
            before=tuple(bounded(sorted(old_lines - new_lines))),
            after=tuple(bounded(sorted(new_lines - old_lines))),
            warnings=(*([self._trouble] if self._trouble is not None else []), *damaged),
            title=f"restore points in the index of {self._destination}",
            summary=(_summary(values),),
        )


def _summary(values: Mapping[str, t.Any]) -> str:
    news = f"{values['new']:,} new, {values['updated']:,} changed, {values['gone']:,} gone"
    damaged = f", {len(values['unreadable']):,} that cannot be read" if values["unreadable"] else ""
    return f"Restore points: {news}, {values['unchanged']:,} as they were{damaged}."


def _contents_of(catalog: Catalog, client: str | None) -> _Contents:
    whose = Whose(client)
    jobs = frozenset((its_client, job, structure) for _id, its_client, job, structure in catalog.jobs(whose))
    points = {(p.client, p.job, p.seq, p.run): _line(p) for p in catalog.points(whose)}
    return _Contents(jobs, points)


def _line(point: IndexedPoint) -> str:
    marks = [mark for mark, is_so in (("protected", point.is_protected), ("damaged", point.is_damaged)) if is_so]
    if point.generation > 1:
        marks.append(f"generation {point.generation}")
    return " ".join([point.client, point.job, f"{point.seq:06d}", point.run, *marks])
