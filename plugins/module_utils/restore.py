# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back a whole restore point, or some of its paths."""

from __future__ import annotations

import grp
import hashlib
import itertools
import os
import pwd
import re
import stat
import tempfile
import threading
import typing as t
from collections import Counter
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path, PurePosixPath

from .destination import open_storage
from .errors import DamageError, LocalError, UsageError, told_as
from .globs import PathFilter
from .native import names
from .native.entries import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, HARD_LINK, SYMLINK, Entry, path_text
from .native.fetch import Piece, fetch
from .native.points import (
    ManifestCache,
    ReadPoint,
    StoredPoint,
    list_points,
    open_manifest,
    open_remote_manifest,
    read_job_file,
)
from .outcome import Outcome
from .registry import DestinationState, Host, check_name, require
from .results import describe
from .scan import is_below
from .target import Target, components_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .native.manifest import ManifestReader
    from .registry import Registry
    from .storage import Storage

_SIDE_BY_SIDE = 4
_SHOWN = 100
_REASONS_TOLD, _PATHS_TOLD = 3, 5
_FORMATS = {FILE: stat.S_IFREG, HARD_LINK: stat.S_IFREG, DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK}
_FORMATS.update({CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO})
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Wish:
    """What is to be brought back, and where to; a *target* of ``/`` is the place it came from."""

    destination: str
    job: str
    target: Path
    client: str | None = None
    point: str = "latest"
    paths: tuple[str, ...] = ()
    overwrite: str = "changed"
    owner: str = "keep"
    checksum: bool = False


def restore(registry: Registry, host: Host, wish: Wish, *, check_mode: bool) -> Outcome:
    """Make the target hold what the restore point holds, as far as *wish* asks for it."""
    destination = require(registry, wish.destination)
    if not wish.target.is_absolute():
        raise UsageError(f"The target {wish.target} is no absolute path.")
    _identity, client, _is_new = host.client_of(wish.client)
    check_name(wish.job, "job")
    check_name(client, "client")
    run = names.run_id(host.now(), host.chance())
    state = DestinationState(host.state_directory, destination.name).job(client, wish.job)
    directory = names.job_directory(client, wish.job)
    with ExitStack() as stack:
        storage = stack.enter_context(open_storage(destination, run, warm=2))
        if read_job_file(storage, directory) is None:
            raise UsageError(
                f"There is no job {wish.job!r} of client {client!r} on the destination {destination.name!r}."
            )
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftp-backup-")))
        source = _Source(storage, directory, ManifestCache(scratch, state.manifests), wish)
        point, reader, warnings = source.choose()
        target = Target(wish.target, run, _owner_of(wish.owner))
        try:
            restoration = _Restoration(target, wish, check_mode=check_mode)
            with told_as(f"The target {wish.target} cannot be used"):
                restoration.decide(reader, PathFilter(wish.paths) if wish.paths else None)
                if not check_mode:
                    pool = directory / PurePosixPath(point.header.pool)
                    restoration.write(storage, pool, destination.max_connections or _SIDE_BY_SIDE)
        finally:
            target.close()
        return restoration.outcome(point, storage.bytes_received, warnings)


# -- the restore point


class _Source:
    """Finds the restore point that is meant, and opens its manifest."""

    def __init__(self, storage: Storage, directory: PurePosixPath, cache: ManifestCache, wish: Wish) -> None:
        self._storage = storage
        self._directory = directory
        self._cache = cache
        self._wish = wish

    def choose(self) -> tuple[ReadPoint, ManifestReader, tuple[str, ...]]:
        """Return the restore point, a reader of its manifest, and what the user should know about it."""
        stored = list_points(self._storage, self._directory).points
        if not stored:
            raise UsageError(f"The job {self._wish.job!r} has no restore point.")
        warnings: list[str] = []
        for candidate in self._candidates(stored):
            try:
                reader = self._open(candidate)
            except DamageError as error:
                if self._is_exact:
                    raise
                warnings.append(f"A newer restore point was passed over: {error}")
                continue
            if not reader.trailer.complete:
                warnings.append(
                    f"The restore point {candidate.run} is partial: some things could not be read back then."
                )
            return ReadPoint(candidate, reader.header, reader.trailer), reader, tuple(warnings)
        raise DamageError(f"No restore point of the job {self._wish.job!r} can be read: {warnings[0]}")

    @property
    def _is_exact(self) -> bool:
        return self._wish.point != "latest" and not _DATE.match(self._wish.point)

    def _candidates(self, stored: tuple[StoredPoint, ...]) -> list[StoredPoint]:
        """Return the restore points that will do, best first."""
        wanted = self._wish.point
        if wanted == "latest":
            return list(reversed(stored))
        if _DATE.match(wanted):
            until = parse_date(wanted)
            found = [point for point in reversed(stored) if names.started_of(point.run) <= until]
            what = f"that is not after {wanted}"
        else:
            found = [point for point in stored if point.run == wanted]
            what = f"with the id {wanted!r}"
        if not found:
            known = f"{stored[0].run} to {stored[-1].run}" if len(stored) > 1 else stored[0].run
            raise UsageError(f"The job {self._wish.job!r} has no restore point {what}; there are {known}.")
        return found

    def _open(self, stored: StoredPoint) -> ManifestReader:
        """Open the manifest: a copy where there is one, only the blocks that are needed where few are."""
        if self._wish.paths and not self._cache.has(stored):
            return open_remote_manifest(self._storage, stored)
        self._cache.reader(self._storage, stored)
        return open_manifest(self._cache.path_of(stored))


def parse_date(text: str) -> datetime:
    """Return the moment that *text* names (ISO 8601, UTC without an offset); a bare date is the end of its day."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise UsageError(
            f"The point {text!r} is neither 'latest' nor an id nor a date such as 2026-11-22T03:00:00Z."
        ) from error
    if _DATE.fullmatch(text):
        moment += timedelta(days=1, seconds=-1)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


# -- owners


def _owner_of(policy: str) -> t.Callable[[Entry], tuple[int, int] | None]:
    """Return what gives each entry its owner; who is not root can give nothing away."""
    if policy == "current" or os.geteuid() != 0:
        return lambda _entry: None
    if policy == "keep":
        return lambda entry: (entry.uid, entry.gid)
    return lambda entry: (_uid(entry.user, entry.uid), _gid(entry.group, entry.gid))


@cache
def _uid(name: str, number: int) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return number


@cache
def _gid(name: str, number: int) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return number


# -- deciding and writing


@dataclass
class _File:
    """A file that is being restored; *missing* counts the segments that are still to come.

    Only a file of several segments is touched by several threads, and has a real *guard*.
    """

    entry: Entry
    missing: int
    guard: t.ContextManager[object]
    descriptor: int = -1
    temporary: bytes = b""
    failure: str = ""


class _Restoration:
    """What one restore has to do and what became of it."""

    def __init__(self, target: Target, wish: Wish, *, check_mode: bool) -> None:
        self._target = target
        self._wish = wish
        self._check_mode = check_mode
        self._files: list[_File] = []
        self._wanted: dict[str, list[Piece]] = {}
        self._empty: list[int] = []
        self._specials: list[Entry] = []
        self._links: list[Entry] = []
        self._first_names: dict[bytes, bytes] = {}
        self._directories: list[Entry] = []
        self._dressed: list[Entry] = []
        self._counts: Counter[str] = Counter()
        self._created: list[str] = []
        self._replaced: list[str] = []
        self._failures: list[tuple[str, str]] = []
        self._to_be_made: bytes | None = None
        self._bytes = 0

    # deciding

    def decide(self, reader: ManifestReader, selection: PathFilter | None) -> None:
        """Compare every selected entry with what lies in the target, and note what is to be done."""
        found = False
        for entry in _selected(reader, selection):
            found = True
            components_of(entry.path)
            self._decide(entry)
        if not found:
            raise UsageError(f"The restore point holds nothing that matches {', '.join(self._wish.paths)}.")

    def _decide(self, entry: Entry) -> None:
        status = None if self._is_foretold_empty(entry.path) else self._target.status(entry.path)
        if entry.kind == HARD_LINK and entry.target in self._first_names:
            if status is None or not self._is_same_file(status, self._first_names[entry.target]):
                self._count(entry, status, "links")
                self._links.append(entry._replace(target=self._first_names[entry.target]))
            return
        if entry.has_content:
            self._first_names[entry.target or entry.path] = entry.path
        if status is not None and self._wish.overwrite == "never":
            return
        if entry.kind == DIRECTORY:
            self._decide_directory(entry, status)
        elif entry.has_content:
            self._decide_file(entry, status)
        elif status is None or not self._is_same_special(entry, status):
            self._count(entry, status, "others")
            self._specials.append(entry)

    def _decide_directory(self, entry: Entry, status: os.stat_result | None) -> None:
        if status is None or not stat.S_ISDIR(status.st_mode):
            self._count(entry, status, "directories")
            if not self._check_mode:
                self._make(entry)
            elif status is not None:
                self._to_be_made = entry.path
        elif not self._is_dressed(entry, status):
            self._count(entry, status, "directories")
        # What is written into a directory changes its times, so they are set again at the end.
        self._directories.append(entry)

    def _is_foretold_empty(self, path: bytes) -> bool:
        """Tell whether *path* lies below what a directory would replace, if this were not check mode."""
        return self._to_be_made is not None and is_below(path, self._to_be_made)

    def _make(self, entry: Entry) -> None:
        with told_as(f"Cannot make the directory {path_text(entry.path)} below {self._target.root}"):
            self._target.make_directory(entry.path)

    def _decide_file(self, entry: Entry, status: os.stat_result | None) -> None:
        if status is not None and self._wish.overwrite != "always" and self._has_content(entry, status):
            if not self._is_dressed(entry, status):
                self._count(entry, status, "files")
                self._dressed.append(entry)
            return
        self._count(entry, status, "files")
        self._bytes += entry.size
        number = len(self._files)
        guard = threading.Lock() if len(entry.places) > 1 else nullcontext()
        self._files.append(_File(entry, len(entry.places), guard))
        if not entry.places:
            self._empty.append(number)
        position = 0
        for place in entry.places:
            digest = place.digest or entry.digest
            piece = Piece(place.offset, place.length, place.start, place.size, digest, number, position)
            self._wanted.setdefault(place.volume, []).append(piece)
            position += place.size

    def _count(self, entry: Entry, status: os.stat_result | None, what: str) -> None:
        self._counts[what] += 1
        shown = self._created if status is None else self._replaced
        if len(shown) < _SHOWN:
            shown.append(path_text(entry.path))

    def _has_content(self, entry: Entry, status: os.stat_result) -> bool:
        """Tell whether the file that is there has the content that is wanted, by its times or by its bytes."""
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        if not self._wish.checksum:
            return status.st_mtime_ns == entry.mtime
        with self._target.reading(entry.path) as descriptor:
            if not entry.places:
                return True
            for place in entry.places:
                content = os.read(descriptor, place.size)
                if hashlib.sha256(content).hexdigest() != (place.digest or entry.digest):
                    return False
        return True

    def _is_dressed(self, entry: Entry, status: os.stat_result) -> bool:
        """Tell whether mode, times and owner are those that are wanted."""
        owner = self._target.owner_of(entry)
        return (
            stat.S_IMODE(status.st_mode) == self._target.mode_of(entry, (status.st_uid, status.st_gid))
            and status.st_mtime_ns == entry.mtime
            and (owner is None or owner == (status.st_uid, status.st_gid))
        )

    def _is_same_special(self, entry: Entry, status: os.stat_result) -> bool:
        if stat.S_IFMT(status.st_mode) != _FORMATS[entry.kind]:
            return False
        if entry.kind == SYMLINK:
            return self._target.link_at(entry.path) == entry.target
        if entry.device is not None and entry.device != (os.major(status.st_rdev), os.minor(status.st_rdev)):
            return False
        return stat.S_IMODE(status.st_mode) == entry.mode

    def _is_same_file(self, status: os.stat_result, first: bytes) -> bool:
        other = self._target.status(first)
        return other is not None and (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino)

    # writing

    def write(self, storage: Storage, pool: PurePosixPath, side_by_side: int) -> None:
        """Do what was decided; what cannot be had is named at the end, and costs nothing else."""
        for entry in self._specials:
            self._try(entry.path, partial(self._target.make_special, entry))
        for number in self._empty:
            self._try(self._files[number].entry.path, partial(self._begin_and_finish, number))
        fetch(storage, pool, self._wanted, self, max(1, min(side_by_side, len(self._wanted))))
        for entry in self._links:
            self._try(entry.path, partial(self._target.make_hard_link, entry.path, entry.target))
        for entry in itertools.chain(self._dressed, reversed(self._directories)):
            self._try(entry.path, partial(self._target.dress, entry))
        if self._failures:
            raise DamageError(_told_failures(self._failures))

    def _try(self, path: bytes, deed: t.Callable[[], None]) -> None:
        try:
            deed()
        except (OSError, LocalError) as error:
            self._failures.append((path_text(path), _told(error)))

    def _begin_and_finish(self, number: int) -> None:
        file = self._files[number]
        file.descriptor, file.temporary = self._target.start_file(file.entry.path)
        self._target.finish_file(file.entry, file.descriptor, file.temporary)

    def put(self, piece: Piece, content: memoryview) -> None:
        """Write a segment into its file, which gets its name once all of them are there."""
        file = self._files[piece.owner]
        reason = ""
        try:
            with file.guard:
                if file.descriptor < 0:
                    file.descriptor, file.temporary = self._target.start_file(file.entry.path)
            _write_all(file.descriptor, content, piece.position)
        except (OSError, LocalError) as error:
            reason = _told(error)
        self._account(file, reason)

    def fail(self, piece: Piece, reason: str) -> None:
        """Learn that a segment cannot be had."""
        self._account(self._files[piece.owner], reason)

    def _account(self, file: _File, reason: str) -> None:
        """Count a segment as dealt with; the last one completes the file, or gives it up."""
        with file.guard:
            file.failure = file.failure or reason
            file.missing -= 1
            is_last = file.missing == 0
        if is_last:
            self._complete(file)

    def _complete(self, file: _File) -> None:
        if not file.failure:
            try:
                self._target.finish_file(file.entry, file.descriptor, file.temporary)
            except (OSError, LocalError) as error:
                file.failure = _told(error)
        elif file.descriptor >= 0:
            self._target.drop_file(file.entry.path, file.descriptor, file.temporary)
        if file.failure:
            self._failures.append((path_text(file.entry.path), file.failure))

    # telling

    def outcome(self, point: ReadPoint, received: int, warnings: tuple[str, ...]) -> Outcome:
        """Return what was done, or what would be."""
        values = {
            "point": describe(point),
            "restored": {what: self._counts[what] for what in ("files", "directories", "links", "others")},
            "bytes": self._bytes,
            "bytes_received": received,
        }
        before = dict.fromkeys(self._replaced, "another")
        after = {**dict.fromkeys(self._created, "created"), **dict.fromkeys(self._replaced, "restored")}
        return Outcome(sum(self._counts.values()) > 0, values, before, after, warnings)


def _told_failures(failures: list[tuple[str, str]]) -> str:
    """Return the sentence that names what could not be restored, by reason, the first few of each."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in failures:
        by_reason.setdefault(reason.rstrip("."), []).append(path)
    told = []
    for reason, paths in list(by_reason.items())[:_REASONS_TOLD]:
        more = f" and {len(paths) - _PATHS_TOLD} more" if len(paths) > _PATHS_TOLD else ""
        told.append(f"{', '.join(paths[:_PATHS_TOLD])}{more} ({reason})")
    count = "One thing" if len(failures) == 1 else f"{len(failures)} things"
    return f"{count} could not be restored, everything else was: {'; '.join(told)}."


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _write_all(descriptor: int, content: memoryview, position: int) -> None:
    while content:
        count = os.pwrite(descriptor, content, position)
        content, position = content[count:], position + count


def _selected(reader: ManifestReader, selection: PathFilter | None) -> Iterator[Entry]:
    """Yield the entries that are asked for, from no more of the manifest than is needed."""
    if selection is None:
        yield from reader.entries()
        return
    for entry in reader.entries(selection.literal_prefix):
        if selection.matches(entry.path):
            yield entry
