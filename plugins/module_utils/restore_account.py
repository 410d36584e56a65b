# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back an account, or some of its parts or paths, from a backup that cPanel made."""

from __future__ import annotations

import stat
import tempfile
import typing as t
import zlib
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .answers import Whose
from .catalog import reading
from .connections import ServerMemory, open_storage
from .cpanel.generated import generated_files
from .cpanel.listing import hold_listing, listing_name
from .cpanel.naming import Backup
from .cpanel.parts import DATABASE_USER
from .cpanel.rebuilding import archive_name, require_restorable, write_archive
from .cpanel.source import open_source
from .cpanel.tree import marks_of
from .errors import BackupError, DamageError, MissingError, UsageError, told_as
from .index_file import has_index
from .moments import LATEST, UNDATED, is_id, parse_date, utc_text
from .native import names
from .native.entries import DATABASE, FILE, Entry, path_bytes, path_text, time_text
from .outcome import Outcome
from .progress import LOADING, RESTORING, Meter
from .records import note_restore
from .registry import DestinationState, check_name, require, require_fitting
from .reporting import Reporter
from .restoring.account_loading import AccountLoader
from .restoring.account_selection import account_selection
from .restoring.comparison import Comparison
from .restoring.differences import Differences
from .restoring.failures import Failures
from .restoring.owners import owner_of
from .restoring.streamed import StreamedRestoration
from .restoring.target import Target
from .restoring.windows import Tally
from .results import described_content

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from .answers import IndexedPoint
    from .cpanel.listing import Listing
    from .registry import Destination, Host, Registry
    from .restoring.account_selection import AccountSelection
    from .restoring.loading import Load
    from .restoring.selection import WantedPart
    from .storage import Storage

_SIDE_BY_SIDE = 4
_MADE_KEPT = 8
_DONE = "could not be restored, everything else was"
_FORETOLD = "cannot be restored, everything else can"
_KINDS = ("files", "directories", "links", "others", "databases", "deleted")


@dataclass(frozen=True)
class AccountWish:
    """What is to be brought back of an *account*, and where to; a *target* is not needed where all of it is loaded."""

    destination: str
    account: str
    target: Path | None
    point: str = LATEST
    paths: tuple[str, ...] = ()
    parts: tuple[WantedPart, ...] = ()
    overwrite: str = "changed"
    owner: str = "keep"
    checksum: bool = False
    load: Load | None = None
    rebuild: str | None = None

    def require_sense(self) -> None:
        """Raise if what is asked for cannot work, whatever the destination has."""
        check_name(self.account, "account")
        if self.paths and self.parts:
            raise UsageError("Either paths or parts can be asked for, not both.")
        if self.target is None and (self.load is None or not self.parts):
            raise UsageError(
                "It is not said where to: give a target. What cPanel has backed up has no place on another host, so"
                " in_place is not possible."
            )
        if self.target is not None and not self.target.is_absolute():
            raise UsageError(f"The target {self.target} is no absolute path.")
        if self.rebuild is not None and (self.paths or self.parts or self.load is not None):
            raise UsageError("What is rebuilt is the archive of a whole account: leave out paths, parts and load.")


def restore_account(
    registry: Registry, host: Host, wish: AccountWish, *, check_mode: bool, shows: bool = False
) -> Outcome:
    """Make the target hold what the backup of the account holds, as far as *wish* asks; *shows* each difference."""
    reporter = Reporter(wish.destination)
    wish.require_sense()
    destination = require(registry, wish.destination)
    require_fitting(destination, None, None, wish.account)
    state = DestinationState(host.state_directory, destination.name, destination.place)
    point, warnings = _chosen(state, destination, wish)
    run = names.run_id(host.now(), host.chance())
    with ExitStack() as stack:
        listing = _listing_of(state, point, stack)
        selection = account_selection(wish.paths, wish.parts, listing.trailer.parts, listing.origin.cut)
        storage = stack.enter_context(open_storage(destination, run, state, may_write=not check_mode, warm=1))
        _require_unchanged(storage, listing)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftp-backup-")))
        restarts = ServerMemory(state).may_restart()
        meter = Meter(host.progress, RESTORING)
        target = None
        if wish.target is not None:
            target = stack.enter_context(closing(Target(wish.target, run, owner_of(wish.owner))))
        tally = Tally(Differences(target) if shows else None)
        deed = _Deed(wish, listing, selection, storage, meter, scratch, tally, check_mode=check_mode)
        side_by_side = destination.max_connections or _SIDE_BY_SIDE
        loader = None
        if wish.load is not None:
            loader = AccountLoader(
                *(wish.load, storage, listing, selection, state.directory, deed.tally, deed.make),
                has_parts=bool(wish.parts),
            )
            loader.require_room()
        if target is not None:
            with told_as(f"The target {wish.target} cannot be used"):
                target.require_usable()
            warnings += deed.rebuild(target) if wish.rebuild else deed.restore(target, side_by_side, restarts=restarts)
        if loader is not None:
            warnings += loader.load(Meter(host.progress, LOADING), check_mode=check_mode)
        warnings += _shortcomings(listing, selection)
        outcome = reporter.told(lambda: deed.outcome(point, warnings), storage)
        is_whole = not (wish.paths or wish.parts or selection.left)
        records = state.records(None, wish.account)
        return note_restore(records, host.now, outcome, is_whole=is_whole, check_mode=check_mode)


def _chosen(
    state: DestinationState, destination: Destination, wish: AccountWish
) -> tuple[IndexedPoint, tuple[str, ...]]:
    """Return the restore point that is meant, and what the user should know about it."""
    if not has_index(state.index):
        raise UsageError(f"This host has no index of the destination {destination.name!r}: run reindex first.")
    whose = Whose(job=wish.account)
    with reading(state.index) as catalog:
        if not catalog.jobs(whose):
            known = ", ".join(repr(job) for _id, _client, job, _structure in catalog.jobs()[:20]) or "none"
            raise UsageError(
                f"The index of the destination {destination.name!r} has no account {wish.account!r}; it has {known}."
                " What cPanel has left since then is found by reindex."
            )
        if is_id(wish.point):
            found = list(catalog.point(wish.point, whose))
        else:
            until = None if wish.point == LATEST else parse_date(wish.point)
            found = list(catalog.newest_points(until, whose))
        if not found:
            oldest = catalog.oldest(whose)
            which = f"with the id {wish.point!r}" if is_id(wish.point) else f"until {utc_text(parse_date(wish.point))}"
            since = "" if oldest in (None, UNDATED) else f"; the oldest is of {time_text(t.cast('datetime', oldest))}"
            raise UsageError(f"There is no backup of the account {wish.account!r} {which} in the index{since}.")
        point = found[0]
        passed_over = () if is_id(wish.point) else _passed_over(catalog.points(whose), point, wish.point)
    if point.is_damaged and not is_id(wish.point):
        return point, (f"No backup of {wish.account!r} is whole, so {point.run} is used as far as it goes.",)
    return point, passed_over


def _passed_over(points: Iterable[IndexedPoint], chosen: IndexedPoint, wanted: str) -> tuple[str, ...]:
    """Return a sentence on the newest of *points* that would have been meant if it were whole, if there is one."""
    until = None if wanted == LATEST else parse_date(wanted)
    for point in points:
        if point.seq > chosen.seq and (until is None or point.created <= until):
            return (f"A newer backup was passed over, since it is damaged: {point.run}.",)
    return ()


def _listing_of(state: DestinationState, point: IndexedPoint, held: ExitStack) -> Listing:
    """Return the listing of *point*, which stays as it is until *held* is left, whatever a reindex does meanwhile."""
    try:
        listing = hold_listing(state.listings / listing_name(point.run), held)
    except BackupError as error:
        raise DamageError(
            f"What this host has kept of the backup {point.run} cannot be used: run reindex. {error}"
        ) from error
    if (listing.header.run, listing.header.job) != (point.run, point.job):
        raise DamageError(
            f"What this host has kept of the backup {point.run} is of the account {listing.header.job!r}: run reindex."
        )
    return listing


def _require_unchanged(storage: Storage, listing: Listing) -> None:
    """Raise unless the backup is there as it was when it was indexed."""
    origin = listing.origin
    backup = Backup(PurePosixPath(origin.path), origin.form, listing.header.job, None, origin.cycle)
    (mark,) = marks_of(storage, [backup])
    if mark is None:
        raise MissingError(
            f"The backup {origin.path} is gone from the destination since it was indexed: cPanel has pruned it. Run"
            " reindex, and choose among what there is now."
        )
    if mark != origin.mark:
        raise DamageError(
            f"The backup {origin.path} is another one than it was when it was indexed: run reindex, and restore again."
        )


def _shortcomings(listing: Listing, selection: AccountSelection) -> tuple[str, ...]:
    told = []
    if listing.origin.damage:
        told.append(f"{listing.origin.damage} What came before that could be read.")
    if selection.left:
        told.append(
            f"{len(selection.left):,} parts were cut and left out, the first is {selection.left[0]}: name them in parts"
            " to have what there is of them."
        )
    return tuple(told)


class Maker:
    """Makes the files again that were made of members when the backup was indexed; *databases* are those it holds."""

    def __init__(self, databases: Sequence[str]) -> None:
        self._databases = databases
        # The members that were asked for last, and what is made of them; those of one mailbox come in turn.
        self._made: list[tuple[dict[bytes, bytes], dict[tuple[str, str, str], bytes]]] = []

    def __call__(self, entry: Entry, members: Mapping[str, bytes]) -> bytes:
        """Return the content of *entry*, whose path is that below a target, from the *members* it is made of."""
        named = {path_bytes(name): content for name, content in members.items()}
        made = next((made for members_before, made in self._made if members_before == named), None)
        if made is None:
            files = generated_files(named, self._databases)
            made = {(file.kind, file.name, file.rest): file.content for file in files}
            self._made = [(named, made), *self._made[: _MADE_KEPT - 1]]
        kind, name, rest = path_text(entry.path).lstrip("/").split("/", 2)
        return made.get((kind, name, rest), b"")


class _Deed:
    """One restore: it decides and does, or only decides in check mode; *meter* is told how far it has come."""

    def __init__(
        self,
        wish: AccountWish,
        listing: Listing,
        selection: AccountSelection,
        storage: Storage,
        meter: Meter,
        scratch: Path,
        tally: Tally,
        *,
        check_mode: bool,
    ) -> None:
        self._wish = wish
        self._listing = listing
        self._selection = selection
        self._storage = storage
        self._meter = meter
        self._scratch = scratch
        self._check_mode = check_mode
        self.tally = tally
        self.make = Maker([part.name for part in listing.trailer.parts if part.kind == DATABASE])

    def restore(self, target: Target, side_by_side: int, *, restarts: bool) -> tuple[str, ...]:
        """Restore what is wanted as files, return what the user should know, and raise if anything could not be had."""
        wish, failures = self._wish, Failures()
        restoration = StreamedRestoration(
            target,
            Comparison(target, checksum=wish.checksum),
            failures,
            self.tally,
            self._meter,
            self._scratch,
            overwrite=wish.overwrite,
            check_mode=self._check_mode,
        )
        origin = self._listing.origin
        source = open_source(
            *(self._storage, PurePosixPath(origin.path), origin.form, side_by_side, self._meter),
            restarts=restarts,
        )
        self._meter.add()
        selection = self._selection if wish.load is None else self._selection.without(DATABASE, DATABASE_USER)
        notes = restoration.run(selection.entries(self._listing), source, self.make)
        if failures.count:
            raise failures.told(_FORETOLD if self._check_mode else _DONE)
        self._meter.finish()
        return notes

    def rebuild(self, target: Target) -> tuple[str, ...]:
        """Bring back the archive of the whole account, unless it is there; nothing else is known to be that archive."""
        origin = self._listing.origin
        path = path_bytes(f"/{archive_name(self._listing)}")
        mtime = int(self._listing.header.started.timestamp()) * 10**9
        if not origin.size:  # that of a directory is not known before: a part of a second tells which state it was
            mtime += zlib.crc32(origin.mark.encode("utf-8", "surrogateescape")) % 10**9
        entry = Entry(path, FILE, 0o600, 0, 0, "", "", mtime, origin.size)
        status = target.status(path)
        is_same_size = status is not None and origin.size in (0, status.st_size)
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{target.root}{path_text(path)} is a directory, where the archive is to be written.")
        if self._wish.overwrite == "never" and status is not None:
            return ()
        if is_same_size and status is not None and status.st_mtime_ns == mtime and self._wish.overwrite == "changed":
            return ()
        require_restorable(self._listing)
        self.tally.count(entry, status, "files")
        if not self._check_mode:
            self._write_archive(target, entry)
        return ()

    def _write_archive(self, target: Target, entry: Entry) -> None:
        with told_as(f"Cannot write the archive below {target.root}"):
            target.make_directory(b"/")
            descriptor, temporary = target.start_file(entry.path)
            try:
                with open(descriptor, "wb", closefd=False) as file:

                    def write(piece: memoryview) -> None:
                        file.write(piece)
                        self._meter.add(len(piece))

                    self._meter.expect(self._listing.origin.size or None)
                    self._meter.add(item=path_text(entry.path))
                    self.tally.size += write_archive(self._storage, self._listing, write)
            except BaseException:
                target.drop_file(entry.path, descriptor, temporary)
                raise
            target.finish_file(entry, descriptor, temporary)
            self._meter.add(entries=1)
            self._meter.finish()

    def outcome(self, point: IndexedPoint, warnings: tuple[str, ...]) -> Outcome:
        """Return what was done, or what would be."""
        tally, header, trailer = self.tally, self._listing.header, self._listing.trailer
        is_dated = header.started != UNDATED
        content = described_content(
            entries=trailer.entries, size=trailer.size, problems=trailer.problems, is_damaged=point.is_damaged
        )
        values = {
            "point": {
                "id": header.run,
                "seq": point.seq,
                "account": header.job,
                "job": None,
                "client": None,
                "pool": header.pool,
                "structure": header.structure,
                "created": time_text(header.started) if is_dated else None,
                **content,
                "complete": trailer.complete,
                "facts": dict(self._listing.origin.facts),
            },
            "restored": {what: tally.counts[what] for what in _KINDS},
            "bytes": tally.size,
        }
        where = "databases" if self._wish.target is None else self._wish.target
        title = f"{where} as in the backup {header.run} of {header.job}"
        return Outcome(sum(tally.counts.values()) > 0, values, warnings=warnings, **tally.shown(title))
