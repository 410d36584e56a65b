# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back a whole restore point, or some of its parts or paths."""

from __future__ import annotations

import tempfile
import typing as t
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .connections import open_storage
from .errors import BackupError, DamageError, UsageError, told_as
from .native import names
from .native.entries import FILES, dump_path
from .native.fetch import Fetcher
from .native.points import ManifestCache, list_points, read_job_file
from .outcome import Outcome
from .progress import LOADING, RESTORING, Meter
from .records import note_restore
from .registry import DestinationState, Host, check_name, require, require_fitting
from .reporting import Reporter
from .restoring.choosing import PointChooser, Wanted
from .restoring.comparison import Comparison
from .restoring.deciding import AND_MORE, Decider, FileDecider
from .restoring.differences import Differences
from .restoring.extra import Extra
from .restoring.failures import Failures
from .restoring.links import Linker, Manner, StandIns
from .restoring.loading import Load, Loader
from .restoring.owners import owner_of
from .restoring.restoration import Restoration
from .restoring.target import Target
from .restoring.windows import Tally
from .results import describe
from .side_by_side import both

if t.TYPE_CHECKING:
    from .native.points import StoredPoint
    from .registry import JobState, Registry
    from .restoring.choosing import Surveyed
    from .restoring.selection import WantedPart
    from .storage import Path as RemotePath
    from .storage import Storage

_SIDE_BY_SIDE = 4
_KINDS = ("files", "directories", "links", "others", "databases", "deleted")
_DONE = "could not be restored, everything else was"
_FORETOLD = "cannot be restored, everything else can"


@dataclass(frozen=True)
class Wish:
    """What is to be brought back, and where to; a *target* of ``/`` is the place it came from.

    With *load*, databases are loaded into a server; a *target* is needed for all else.
    """

    destination: str
    job: str
    target: Path | None
    client: str | None = None
    point: str = "latest"
    paths: tuple[str, ...] = ()
    parts: tuple[WantedPart, ...] = ()
    overwrite: str = "changed"
    delete_extra: bool = False
    owner: str = "keep"
    checksum: bool = False
    load: Load | None = None

    def require_sense(self) -> None:
        """Raise if what is asked for cannot work, whatever the destination has."""
        check_name(self.job, "job")
        if self.paths and self.parts:
            raise UsageError("Either paths or parts can be asked for, not both.")
        if self.target is not None and not self.target.is_absolute():
            raise UsageError(f"The target {self.target} is no absolute path.")
        wants_files = not self.parts or any(part.kind == FILES for part in self.parts)
        if self.target is None and (wants_files or self.load is None):
            raise UsageError("It is not said where to: give a target, or say in_place: true.")

    @property
    def root(self) -> Path:
        """Where files are put; without a target there are none."""
        return self.target or Path("/")

    @property
    def is_whole(self) -> bool:
        """Whether all of a restore point is wanted."""
        return not (self.paths or self.parts)

    @property
    def leaves_dumps(self) -> bool:
        """Whether dumps do not become files: they are loaded, or the place that they came from is no file."""
        return self.load is not None or self.root == Path("/")


def restore(registry: Registry, host: Host, wish: Wish, *, check_mode: bool, shows: bool = False) -> Outcome:
    """Make the target hold what the restore point holds, as far as *wish* asks for it; *shows* each difference."""
    reporter = Reporter(wish.destination)
    wish.require_sense()
    destination = require(registry, wish.destination)
    require_fitting(destination, wish.client, wish.job, None)
    _identity, client, _is_new = host.client_of(wish.client)
    check_name(client, "client")
    run = names.run_id(host.now(), host.chance())
    destination_state = DestinationState(host.state_directory, destination.name, destination.place)
    side_by_side = destination.max_connections or _SIDE_BY_SIDE
    with ExitStack() as stack:
        storage = stack.enter_context(
            open_storage(destination, run, destination_state, may_write=not check_mode, warm=min(2, side_by_side))
        )
        state = destination_state.job(client, wish.job)
        stored = _stored_points(storage, state, wish, client, run)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftp-backup-")))
        target = stack.enter_context(closing(Target(wish.root, run, owner_of(wish.owner))))
        directory = names.job_directory(client, wish.job)
        cache = ManifestCache(scratch, state.manifests)
        wanted = Wanted(wish.job, wish.point, wish.paths, wish.parts)
        chooser = stack.enter_context(closing(PointChooser(storage, directory, cache, wanted, target.is_there)))
        spared = (scratch, host.state_directory, host.config_directory)
        tally, meter = Tally(Differences(target) if shows else None), Meter(host.progress, RESTORING)
        loader = None
        if wish.load is not None:
            loading = Meter(host.progress, LOADING)
            loader = Loader(wish.load, storage, destination_state.directory, tally, loading)
        while True:
            surveyed, warnings = chooser.choose(stored)
            if wish.delete_extra and surveyed.unknown:
                raise DamageError(
                    f"Of the restore point {surveyed.point.stored.run}, the {surveyed.unknown} cannot be read any more,"
                    " so nobody can tell what is extra. Nothing was restored: it can be without delete_extra."
                )
            with told_as(f"The target {wish.root} cannot be used"):
                target.require_usable()
            deed = _Deed(wish, target, surveyed, tally, meter, scratch, spared, check_mode=check_mode)
            try:
                if loader is not None:
                    loader.require_room(surveyed)
                deed.restore(storage, directory, side_by_side)
                if loader is not None:
                    loader.load(surveyed, directory, side_by_side, check_mode=check_mode)
                break
            except BackupError:
                stored = _published_anew(storage, directory, surveyed.point.stored)
                if not stored:
                    raise
        warnings = (*warnings, *deed.delete_extra(), *deed.left_dumps(), *target.attributes.report())
        outcome = reporter.told(partial(deed.outcome, warnings), storage)
        records = destination_state.records(client, wish.job)
        return note_restore(records, host.now, outcome, is_whole=wish.is_whole, check_mode=check_mode)


def _stored_points(storage: Storage, state: JobState, wish: Wish, client: str, run: str) -> tuple[StoredPoint, ...]:
    """Return the restore points of the job that is meant, or raise if there is no such job."""
    directory = names.job_directory(client, wish.job)
    months = {run[:6], *ManifestCache(state.manifests).months()}
    job, listing = both(lambda: read_job_file(storage, directory), lambda: list_points(storage, directory, months))
    if job is None:
        raise UsageError(f"There is no job {wish.job!r} of client {client!r} on the destination {wish.destination!r}.")
    return listing.points


def _published_anew(storage: Storage, directory: RemotePath, stored: StoredPoint) -> tuple[StoredPoint, ...]:
    """Return the restore point *stored* as it is now if a backup has emptied volumes that it lay in; else nothing."""
    with suppress(BackupError):
        points = list_points(storage, directory).points
        return tuple(point for point in points if point.run == stored.run and point.generation > stored.generation)
    return ()


class _Deed:
    """One restore of what was *surveyed*: it decides and does, or only decides in check mode.

    *tally* counts what, and *meter* is told how far it has come.
    """

    def __init__(
        self,
        wish: Wish,
        target: Target,
        surveyed: Surveyed,
        tally: Tally,
        meter: Meter,
        scratch: Path,
        spared: tuple[Path, ...],
        *,
        check_mode: bool,
    ) -> None:
        self._wish = wish
        self._target = target
        self._surveyed = surveyed
        self._scratch = scratch
        self._spared = spared
        self._check_mode = check_mode
        self._failures = Failures()
        self._tally = tally
        self._meter = meter

    def restore(self, storage: Storage, directory: RemotePath, side_by_side: int) -> None:
        """Restore what is wanted, and raise if anything could not be."""
        wish, target, surveyed, failures = self._wish, self._target, self._surveyed, self._failures
        for first, error in surveyed.lost_above:
            failures.add(first + AND_MORE, error)
        selection = surveyed.selection.without_dumps() if wish.leaves_dumps else surveyed.selection
        comparison = Comparison(target, checksum=wish.checksum)
        files = FileDecider(target, comparison, wish.overwrite)
        volumes = surveyed.point.trailer.volumes
        decider = Decider(target, selection, comparison, files, volumes, self._tally, overwrite=wish.overwrite)
        pool = directory / surveyed.point.header.pool
        with ExitStack() as stack:
            stand_ins = stack.enter_context(closing(StandIns(self._scratch)))
            manner = Manner(wish.overwrite, self._check_mode, surveyed.lost is None)
            linker = Linker(target, selection, comparison, files, failures, stand_ins, manner)
            fetcher = None
            if not self._check_mode:
                fetcher = stack.enter_context(Fetcher(storage, pool, side_by_side))
            restoration = Restoration(
                *(target, linker, failures, fetcher, self._meter, self._tally),
                spares_obstacles=surveyed.lost is not None,
            )
            size = surveyed.size + (0 if wish.leaves_dumps else surveyed.dumps_size)
            self._meter.add()
            try:
                restoration.run(decider.windows(surveyed.reader, surveyed.above), size)
            finally:
                self._tally.add(restoration.tally)
        if failures.count:
            otherwise = " Nothing was deleted." if wish.delete_extra and not self._check_mode else ""
            raise failures.told(_FORETOLD if self._check_mode else _DONE, otherwise)
        self._meter.finish()

    def delete_extra(self) -> tuple[str, ...]:
        """Delete what the restore point does not hold, where that is wanted, and return what the user should know."""
        if not self._wish.delete_extra:
            return ()
        failures = Failures()
        extra = Extra(self._target, self._surveyed, self._tally, failures, self._spared, check_mode=self._check_mode)
        warnings = extra.delete(dresses=self._wish.overwrite != "never")
        if failures.count:
            raise failures.told("could not be deleted, everything was restored")
        return warnings

    def left_dumps(self) -> tuple[str, ...]:
        """Return what the user should know of databases that were neither loaded nor written to files."""
        parts = self._surveyed.point.trailer.parts
        dumps = [(part.name, dump_path(part.kind, part.name)) for part in parts if part.kind != FILES]
        left = [name for name, path in dumps if self._surveyed.selection.matches(path)]
        if self._wish.load is not None or not self._wish.leaves_dumps or not left:
            return ()
        sentence = (
            f"Databases were left out, the first is {left[0]}: say load: true to load them into a server, or give a"
            " target for their dumps."
        )
        return (sentence,)

    def outcome(self, warnings: tuple[str, ...]) -> Outcome:
        """Return what was done, or what would be."""
        tally = self._tally
        values = {
            "point": describe(self._surveyed.point, is_damaged=bool(self._surveyed.unknown)),
            "restored": {what: tally.counts[what] for what in _KINDS},
            "bytes": tally.size,
        }
        title = f"{self._wish.root} as in the restore point {self._surveyed.point.stored.run}"
        return Outcome(sum(tally.counts.values()) > 0, values, warnings=warnings, **tally.shown(title))
