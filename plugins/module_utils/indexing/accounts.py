# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups that cPanel has left on a storage, for the index: each is read once, and a listing of it is kept."""

from __future__ import annotations

import hashlib
import threading
import typing as t
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import suppress
from dataclasses import dataclass

from ..cpanel.listing import FORMAT, STRUCTURE, date_of, listing_name, open_listing, open_whole_listing
from ..cpanel.naming import DAILY, DIRECTORY, MONTHLY, WEEKLY
from ..cpanel.reading import make_listing
from ..cpanel.tree import find_backups, marks_of
from ..errors import AbandonedError, BackupError, MissingError, RefusedError, told_as
from ..native.points import StoredPoint

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import ThreadPoolExecutor
    from datetime import datetime
    from pathlib import Path

    from ..catalog import Catalog
    from ..cpanel.listing import Listing
    from ..cpanel.naming import Backup
    from ..cpanel.tree import Ignored
    from ..progress import Meter
    from ..registry import DestinationState
    from ..storage import Storage

_CYCLES = (DAILY, WEEKLY, MONTHLY)
_A_SECOND = 100_000  # restore points of an account that may have one date


@dataclass(frozen=True)
class _Read:
    """A backup that was read, now or before, and its listing in a file of this host."""

    backup: Backup
    mark: str
    account: str
    listing: Path
    damage: str


class Accounts:
    """The accounts whose backups lie on a storage; with *scratch*, all that is written is written there.

    A backup that was read is not read again while its name, its size and its time stay, unless *rebuild* says so.
    *meter* is told how much of what must be read was read.
    """

    def __init__(
        self,
        storage: Storage,
        threads: ThreadPoolExecutor,
        state: DestinationState,
        scratch: Path | None,
        meter: Meter,
        *,
        rebuild: bool,
    ) -> None:
        self._storage = storage
        self._threads = threads
        self._kept = state.listings
        self._place = state.listings if scratch is None else scratch
        self._is_scratch = scratch is not None
        self._meter = meter
        self._rebuild = rebuild
        self._is_over = threading.Event()
        self._found: list[_Read] | None = None
        self._ignored: tuple[Ignored, ...] = ()
        self._unfinished: dict[str, str] = {}
        self.damage: dict[str, str] = {}

    def begin(self) -> None:
        """Look at all again but at the storage, which is looked at once."""
        self.damage.clear()

    def bring_in_line(self, catalog: Catalog) -> None:
        """Make *catalog* say what the storage holds."""
        if self._found is None:
            self._found = self._look()
        self.damage.update(self._unfinished)
        self.damage.update({read.backup.id: read.damage for read in self._found if read.damage})
        accounts: dict[str, list[_Read]] = {}
        for read in self._found:
            accounts.setdefault(read.account, []).append(read)
        catalog.forget_others(None, {("", account) for account in accounts})
        for account, reads in sorted(accounts.items()):
            points = _numbered(reads)
            listings = {point.run: read.listing for point, read in points}

            def opened(stored: StoredPoint, listings: dict[str, Path] = listings) -> Listing:
                return open_whole_listing(listings[stored.run])

            whole = frozenset(read.backup.id for read in reads if not read.damage)
            with catalog.transaction():
                told = catalog.update_job("", account, STRUCTURE, [point for point, _read in points], opened, whole)
            for sentence in set(told).difference(self.damage.values()):  # it is the listing that is damaged
                self.damage[sentence] = f"{sentence} Reindex with rebuild to have it made anew."

    def told(self) -> dict[str, t.Any]:
        """Return what lies there and is no backup of an account, and why."""
        return {"ignored": [{"path": str(ignored.path), "reason": ignored.why} for ignored in self._ignored]}

    def tidy(self) -> None:
        """Remove the listings of backups that are there no more."""
        if self._is_scratch or self._found is None:
            return
        kept = {read.listing.name for read in self._found}
        with told_as(f"Cannot tidy up {self._kept}"), suppress(FileNotFoundError):
            for path in self._kept.iterdir():
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    # -- reading

    def _look(self) -> list[_Read]:
        """Find all backups, and read those that are not known."""
        findings = find_backups(self._storage, self._threads.map)
        self._ignored = findings.ignored
        marks = marks_of(self._storage, findings.backups, self._threads.map)
        known = [(backup, mark) for backup, mark in zip(findings.backups, marks) if mark is not None]
        kept = list(self._threads.map(lambda found: self._as_kept(*found), known))
        to_read = [backup for (backup, _mark), read in zip(known, kept) if read is None]
        self._expect(to_read)
        reading = {backup: self._threads.submit(self._read, backup) for backup in to_read}
        for ended in wait(reading.values(), return_when=FIRST_EXCEPTION).done:
            ended.result()  # else whoever fails would wait for what may take hours
        reads = (read if read is not None else reading[backup].result() for (backup, _mark), read in zip(known, kept))
        return [read for read in reads if read is not None]

    def stop(self) -> None:
        """Have what is still being read end as soon as it can."""
        self._is_over.set()

    def _expect(self, backups: list[Backup]) -> None:
        """Tell how much is to be read; how much of a directory will be is not known."""
        archives = [backup.path for backup in backups if backup.form != DIRECTORY]
        if archives and not self._meter.is_silent:
            self._meter.expect_more(sum(size or 0 for size in self._storage.sizes(archives)))

    def _tell(self, count: int) -> None:
        """Learn that *count* more bytes were read, and raise if nobody wants the rest."""
        if self._is_over.is_set():
            raise AbandonedError("The backups are not read any further: the reindex was broken off.")
        self._meter.add(count)

    def _as_kept(self, backup: Backup, mark: str) -> _Read | None:
        """Return *backup* as it was read before, if it still is in that state."""
        path = self._kept / listing_name(backup.id)
        before = _listing_at(path)
        if before is None or before.origin.mark != mark or self._rebuild:
            return None
        return _read_of(backup, before.origin.mark, path, before)

    def _read(self, backup: Backup) -> _Read | None:
        """Read *backup*; return None if it is gone."""
        name = listing_name(backup.id)
        new = self._place / f"{name}.new"
        try:
            (mark,) = marks_of(self._storage, [backup])  # others may have been read for long since it was asked for
            is_read = mark is not None and self._is_made(backup, mark, new)
            (after,) = marks_of(self._storage, [backup])
        except RefusedError as error:
            return self._unread(backup, f"The backup {backup.path} cannot be read: {error}", new)
        except BaseException:
            _discard(new)
            raise
        self._meter.add(entries=1, item=backup.id)
        if after is None or mark is None:
            _discard(new)
            return None
        if after != mark or not is_read:
            why = (
                f"The backup {backup.path} changed while it was read: it is being written, and stays in the index as it"
                " was. Reindex when cPanel is done."
            )
            return self._unread(backup, why, new)
        with told_as(f"Cannot keep the listing {self._place / name}"):
            new.replace(self._place / name)
        return _read_of(backup, mark, self._place / name, open_listing(self._place / name))

    def _is_made(self, backup: Backup, mark: str, new: Path) -> bool:
        """Make the listing *new*, and tell whether all of *backup* stayed there meanwhile."""
        try:
            make_listing(self._storage, backup, mark, new, self._place, self._tell)
        except MissingError:
            return False
        return True

    def _unread(self, backup: Backup, why: str, new: Path) -> _Read | None:
        """Return *backup* as it was before, and tell *why* it is not read now."""
        self._unfinished[backup.id] = why
        _discard(new)
        kept = self._kept / listing_name(backup.id)
        before = _listing_at(kept)
        return None if before is None else _read_of(backup, before.origin.mark, kept, before)


def _discard(new: Path) -> None:
    with told_as(f"Cannot remove {new}"):
        new.unlink(missing_ok=True)


def _read_of(backup: Backup, mark: str, path: Path, listing: Listing) -> _Read:
    return _Read(backup, mark, listing.header.job, path, listing.origin.damage)


def _listing_at(path: Path) -> Listing | None:
    """Return the listing in the file *path*; None if there is none that can be used."""
    with suppress(BackupError):
        return open_listing(path)
    return None


def _numbered(reads: Iterable[_Read]) -> list[tuple[StoredPoint, _Read]]:
    """Return the backups of an account as restore points, oldest first: their numbers tell their dates.

    So a number stays what it is, whatever cPanel adds or prunes. Those without a date come before all others.
    """
    ranks: dict[datetime, int] = {}
    points = []
    for read in sorted(
        reads, key=lambda read: (_CYCLES.index(read.backup.cycle) if read.backup.cycle else 3, read.backup.id)
    ):
        created = date_of(read.backup)
        rank = ranks[created] = ranks.get(created, 0) + 1
        seq = int(created.timestamp()) * _A_SECOND + rank
        points.append(
            (StoredPoint(seq, read.backup.id, read.backup.path, _number_of(read.mark), is_protected=False), read)
        )
    return sorted(points, key=lambda point: point[0].seq)


def _number_of(mark: str) -> int:
    """Return a number that is another one for another state of a backup, or for another form of listings."""
    return int.from_bytes(hashlib.sha256(f"{FORMAT} {mark}".encode("utf-8", "surrogateescape")).digest()[:6], "big")
