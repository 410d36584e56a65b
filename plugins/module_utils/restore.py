# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back a whole restore point, or some of its paths."""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import pwd
import re
import stat
import tempfile
import threading
import typing as t
from collections import Counter, OrderedDict
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path, PurePosixPath

from .connections import open_storage, reported
from .errors import BackupError, DamageError, LocalError, StorageError, UsageError, told_as
from .globs import PathFilter
from .native import names
from .native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Entry,
    order_key,
    path_bytes,
    path_text,
)
from .native.fetch import Piece, fetch
from .native.points import (
    ManifestCache,
    ReadPoint,
    StoredPoint,
    list_points,
    open_remote_manifest,
    read_job_file,
)
from .outcome import Outcome
from .registry import DestinationState, Host, check_name, require
from .results import describe
from .scan import is_below
from .target import Target, components_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .native.manifest import ManifestReader
    from .registry import Registry
    from .storage import Storage

_SIDE_BY_SIDE = 4
_OPEN_FILES = 64
_SHOWN = 100
_REASONS_TOLD, _PATHS_TOLD = 3, 5
_FORMATS = {FILE: stat.S_IFREG, HARD_LINK: stat.S_IFREG, DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK}
_FORMATS.update({CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO})
_AND_MORE = b" and what follows it in the manifest"
_NO_LINKS_HERE = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP)
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
    destination_state = DestinationState(host.state_directory, destination.name, destination.place)
    state = destination_state.job(client, wish.job)
    directory = names.job_directory(client, wish.job)
    with ExitStack() as stack:
        storage = stack.enter_context(
            open_storage(destination, run, destination_state, may_write=not check_mode, warm=2)
        )
        if read_job_file(storage, directory) is None:
            raise UsageError(
                f"There is no job {wish.job!r} of client {client!r} on the destination {destination.name!r}."
            )
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftp-backup-")))
        target = Target(wish.target, run, _owner_of(wish.owner))
        stack.callback(target.close)
        selection = PathFilter(wish.paths) if wish.paths else None

        def decide(reader: ManifestReader) -> _Restoration:
            with told_as(f"The target {wish.target} cannot be used"):
                target.require_usable()
            restoration = _Restoration(target, wish, check_mode=check_mode)
            restoration.decide(reader, selection)
            return restoration

        source = _Source(storage, directory, ManifestCache(scratch, state.manifests), wish)
        point, restoration, warnings = source.choose(decide)
        if not check_mode:
            pool = directory / PurePosixPath(point.header.pool)
            restoration.write(storage, pool, destination.max_connections or _SIDE_BY_SIDE)
        restoration.require_success()
        return reported(restoration.outcome(point, storage.bytes_received, warnings), storage)


# -- the restore point


class _Source:
    """Finds the restore point that is meant, and opens its manifest."""

    def __init__(self, storage: Storage, directory: PurePosixPath, cache: ManifestCache, wish: Wish) -> None:
        self._storage = storage
        self._directory = directory
        self._cache = cache
        self._wish = wish

    def choose(
        self, decide: Callable[[ManifestReader], _Restoration]
    ) -> tuple[ReadPoint, _Restoration, tuple[str, ...]]:
        """Return the restore point, what *decide* makes of its manifest, and what the user should know about it.

        Unless one is asked for by its id, damaged ones are passed over; where none is whole, the newest that can be
        read gives what it still has.
        """
        stored = list_points(self._storage, self._directory).points
        if not stored:
            raise UsageError(f"The job {self._wish.job!r} has no restore point.")
        damaged: list[tuple[ReadPoint, _Restoration]] = []
        warnings: list[str] = []
        for candidate in self._candidates(stored):
            try:
                point, restoration = self._decided(candidate, decide)
                problem = None if self._is_exact else restoration.lost or self._missing(point, restoration)
            except DamageError as error:
                if self._is_exact:
                    raise
                warnings.append(f"A newer restore point was passed over: {error}")
                continue
            if problem is not None:
                damaged.append((point, restoration))
                warnings.append(f"A newer restore point was passed over: {problem}")
            elif restoration.has_found or restoration.lost:
                return point, restoration, (*warnings, *_shortcomings(point))
            elif not damaged:
                raise UsageError(f"The restore point holds nothing that matches {', '.join(self._wish.paths)}.")
        if not damaged:
            raise DamageError(f"No restore point of the job {self._wish.job!r} can be read: {warnings[0]}")
        point, restoration = damaged[0]
        return point, restoration, (f"No restore point is whole, so {point.stored.run} is used as far as it goes.",)

    def _decided(
        self, stored: StoredPoint, decide: Callable[[ManifestReader], _Restoration]
    ) -> tuple[ReadPoint, _Restoration]:
        """Open the manifest, only the blocks that are needed where few are and there is no copy, and decide by it."""
        if self._wish.paths and not self._cache.has(stored):
            reader = open_remote_manifest(self._storage, stored)
        else:
            reader = self._cache.reader(self._storage, stored)
        return ReadPoint(stored, reader.header, reader.trailer), decide(reader)

    def _missing(self, point: ReadPoint, restoration: _Restoration) -> str | None:
        """Return what is wrong with the volumes that what is wanted lies in; None if they are there, whole by size."""
        uses = point.trailer.volumes
        volumes = sorted(restoration.volumes if self._wish.paths else uses)
        pool = self._directory / PurePosixPath(point.header.pool)
        sizes = self._storage.sizes([pool / name for name in volumes])
        wrong = [name for name, size in zip(volumes, sizes) if name not in uses or size != uses[name].stored]
        if not wrong:
            return None
        count = "one of its volumes is" if len(wrong) == 1 else f"{len(wrong):,} of its volumes are"
        return f"of {point.stored.run}, {count} missing or cut off ({', '.join(wrong[:_PATHS_TOLD])})."

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


def _shortcomings(point: ReadPoint) -> tuple[str, ...]:
    if point.trailer.complete:
        return ()
    return (f"The restore point {point.stored.run} is partial: some things could not be read back then.",)


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
    failure: BackupError | None = None
    is_done: bool = False


class _OpenFiles:
    """The files of several segments that are being written: many are begun at once, and few of them are open.

    Whoever takes one holds its guard; what nobody has taken may be closed, and is opened again by its name.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: OrderedDict[int, _File] = OrderedDict()
        self._guard = threading.Lock()

    def take(self, file: _File) -> int:
        """Return the descriptor of *file*, which stays open until it is given back."""
        with self._guard:
            self._idle.pop(id(file), None)
        if file.descriptor < 0 and file.temporary:
            file.descriptor = self._target.reopen_file(file.entry.path, file.temporary)
        elif file.descriptor < 0:
            file.descriptor, file.temporary = self._target.start_file(file.entry.path)
        return file.descriptor

    @contextmanager
    def lent(self, file: _File) -> Iterator[int]:
        """Lend the descriptor of *file* for as long as the block lasts."""
        descriptor = self.take(file)
        try:
            yield descriptor
        finally:
            with self._guard:
                self._idle[id(file)] = file
                if len(self._idle) > _OPEN_FILES:
                    self._close(self._idle.popitem(last=False)[1])

    def drop(self, file: _File) -> None:
        """Forget *file*, which could not be completed."""
        with self._guard:
            self._idle.pop(id(file), None)
        if file.temporary:
            self._target.drop_file(file.entry.path, file.descriptor, file.temporary)

    @staticmethod
    def _close(file: _File) -> None:
        descriptor, file.descriptor = file.descriptor, -1
        try:
            os.close(descriptor)
        except OSError as error:  # a network's file system may tell only now what it could not write
            file.failure = file.failure or _as_told(error)


@dataclass
class _First:
    """The name that others of the same inode are linked to: a file that is written, or one that is right already."""

    path: bytes
    file: _File | None


class _Link(t.NamedTuple):
    entry: Entry
    first: _First


class _Restoration:
    """What one restore has to do and what became of it.

    Nothing in the target is touched while it is decided what is to be done.
    """

    def __init__(self, target: Target, wish: Wish, *, check_mode: bool) -> None:
        self._target = target
        self._wish = wish
        self._check_mode = check_mode
        self._files: list[_File] = []
        self._open_files = _OpenFiles(target)
        self._wanted: dict[str, list[Piece]] = {}
        self._empty: list[_File] = []
        self._specials: list[Entry] = []
        self._links: list[_Link] = []
        self._firsts: dict[bytes, _First] = {}
        self._above: dict[bytes, Entry] = {}
        self._made_above: list[Entry] = []
        self._expected: dict[bytes, bool] = {}
        self._new_directories: list[bytes] = []
        self._obstacles: set[bytes] = set()
        self._obstacle: bytes | None = None
        self._directories: list[Entry] = []
        self._dressed: list[Entry] = []
        self._counts: Counter[str] = Counter()
        self._created: list[str] = []
        self._replaced: list[str] = []
        self._failures: list[tuple[bytes, BackupError]] = []
        self._bytes = 0
        self.has_found = False
        self.lost: DamageError | None = None
        self._lost_from: set[bytes] = set()
        self.volumes: set[str] = set()

    # deciding

    def decide(self, reader: ManifestReader, selection: PathFilter | None) -> None:
        """Compare every selected entry with what lies in the target, and note what is to be done."""
        above: list[Entry] = []
        for entry in reader.entries(selection.literal_prefix if selection else b"", on_damage=self._lose):
            while above and not is_below(entry.path, above[-1].path):
                above.pop()
            if selection is None or selection.matches(entry.path):
                self.has_found = True
                components_of(entry.path)
                self._above.update((directory.path, directory) for directory in above)
                self._attempt(entry.path, partial(self._decide, entry))
            elif entry.kind == DIRECTORY:
                above.append(entry)
        if selection is not None and self.has_found:
            self._look_above(reader, selection.literal_prefix)
            for path in sorted(self._above, key=order_key):
                self._decide_above(self._above[path])

    def _look_above(self, reader: ManifestReader, top: bytes) -> None:
        """Find the directories above *top* that stand in blocks which nothing else was wanted of."""
        roots = [path_bytes(root) for root in reader.header.paths]
        parts = top.split(b"/")
        for depth in range(1, len(parts)):
            path = b"/".join(parts[:depth]) or b"/"
            is_known = path in self._above or not any(is_below(path, root) for root in roots)
            if is_known or self._is_there(path):
                continue
            for entry in reader.entries(path, on_damage=self._lose):
                if order_key(entry.path) >= order_key(path):
                    if entry.path == path and entry.kind == DIRECTORY:
                        components_of(path)
                        self._above[path] = entry
                    break

    def _is_there(self, path: bytes) -> bool:
        """Tell whether something lies at *path*; what cannot be looked at is told where something is written."""
        try:
            return self._target.status(path) is not None
        except (OSError, LocalError):
            return True

    def _lose(self, first: bytes, error: DamageError) -> None:
        if first not in self._lost_from:  # a block may be looked at twice
            self._lost_from.add(first)
            self._failures.append((first + _AND_MORE, error))
        self.lost = self.lost or error

    def _fail(self, path: bytes, error: BackupError) -> None:
        self._failures.append((path, error))

    def _attempt(self, path: bytes, deed: Callable[[], None]) -> bool:
        """Do *deed*; what is in its way costs only *path*."""
        try:
            deed()
        except (OSError, LocalError) as error:
            self._fail(path, _as_told(error))
            return False
        return True

    def _decide_above(self, entry: Entry) -> None:
        """Have a directory that is only made for what is wanted below it look as it did."""
        if not self._is_there(entry.path):
            self._count(entry, None, "directories")
            self._expected[entry.path] = False
            self._made_above.append(entry)

    def _decide(self, entry: Entry) -> None:
        if entry.has_content:
            self.volumes.update(place.volume for place in entry.places)
        status = None if self._is_foretold_empty(entry.path) else self._target.status(entry.path)
        if status is not None and self._wish.overwrite == "never":
            self._leave(entry, status)
        elif entry.kind == DIRECTORY:
            self._decide_directory(entry, status)
        elif entry.has_content and _group_of(entry) in self._firsts:
            self._decide_link(entry, status)
        elif entry.has_content:
            self._decide_file(entry, status)
        elif status is None or not self._is_same_special(entry, status):
            self._count(entry, status, "others")
            self._specials.append(entry)

    def _leave(self, entry: Entry, status: os.stat_result) -> None:
        """Leave what is there; other names are linked to it only if it is what the restore point holds."""
        if entry.has_content and _group_of(entry) not in self._firsts and self._has_content(entry, status):
            self._firsts[_group_of(entry)] = _First(entry.path, None)

    def _decide_directory(self, entry: Entry, status: os.stat_result | None) -> None:
        if status is None or not stat.S_ISDIR(status.st_mode):
            self._count(entry, status, "directories")
            self._new_directories.append(entry.path)
            # What is in the way is only noted. It goes when the first thing is written below the directory, and a file
            # is not begun before a piece of its content has come and was proved; what has no content comes after all
            # that has. So nothing is lost for a restore that cannot bring anything in its place; but what comes next
            # may fail after that, such as a later piece of the same file.
            self._expected[entry.path] = status is not None
            if status is not None:
                self._obstacles.add(entry.path)
                self._obstacle = entry.path
        elif not self._is_dressed(entry, status):
            self._count(entry, status, "directories")
        # What is written into a directory changes its times, so they are set again at the end.
        self._directories.append(entry)

    def _is_foretold_empty(self, path: bytes) -> bool:
        """Tell whether *path* lies below what a directory is to replace."""
        return self._obstacle is not None and is_below(path, self._obstacle)

    def _decide_link(self, entry: Entry, status: os.stat_result | None) -> None:
        first = self._firsts[_group_of(entry)]
        # Whatever is written gets a new inode, so a link to what was there before is none to it.
        if status is None or first.file is not None or not self._is_same_file(status, first.path):
            self._count(entry, status, "links")
            self._links.append(_Link(entry, first))

    def _decide_file(self, entry: Entry, status: os.stat_result | None) -> None:
        first = _First(entry.path, None)
        if status is not None and self._wish.overwrite != "always" and self._has_content(entry, status):
            if not self._is_dressed(entry, status):
                self._count(entry, status, "files")
                self._dressed.append(entry)
        else:
            self._count(entry, status, "files")
            first.file = self._want(entry)
        self._firsts[_group_of(entry)] = first

    def _want(self, entry: Entry) -> _File:
        """Note that the content of *entry* is to be fetched."""
        self._bytes += entry.size
        number = len(self._files)
        guard = threading.Lock() if len(entry.places) > 1 else nullcontext()
        file = _File(entry, len(entry.places), guard)
        self._files.append(file)
        if not entry.places:
            self._empty.append(file)
        position = 0
        for place in entry.places:
            digest = place.digest or entry.digest
            piece = Piece(place.offset, place.length, place.start, place.size, digest, number, position)
            self._wanted.setdefault(place.volume, []).append(piece)
            position += place.size
        return file

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
        try:
            with self._target.reading(entry.path) as descriptor:
                return all(
                    hashlib.sha256(os.read(descriptor, place.size)).hexdigest() == (place.digest or entry.digest)
                    for place in entry.places
                )
        except OSError:
            return False  # what cannot be read is not proved equal

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
        """Do what was decided; what cannot be had is noted, and costs nothing else."""
        for path, is_replacing in self._expected.items():
            self._target.expect_directory(path, replacing=is_replacing)
        if self._counts:
            with told_as(f"The target {self._target.root} cannot be used"):
                self._target.make_directory(b"/")
        self._spare_obstacles()
        links = self._links
        while self._wanted or self._empty or links:
            wanted, self._wanted = self._wanted, {}
            if wanted:
                fetch(storage, pool, wanted, self, max(1, min(side_by_side, len(wanted))))
                self._target.close()  # what the threads had open that are no more
            self._spare_obstacles()
            empty, self._empty = self._empty, []
            for file in empty:
                self._complete(file)
            links = self._link(links)
        made = [p for p in self._new_directories if self._attempt(p, partial(self._target.make_expected, p))]
        for entry in self._specials:
            self._attempt(entry.path, partial(self._target.make_special, entry))
        for entry in self._dressed:
            self._attempt(entry.path, partial(self._target.dress, entry))
        self._dress_directories(set(self._new_directories) - set(made))

    def _spare_obstacles(self) -> None:
        """Let stand what still stands in the way of a directory, where something is missing that belongs below it."""
        if not self._obstacles:
            return
        spared = set(self._obstacles) if self.lost else set()
        for path, _error in self._failures:
            above = path
            while above not in self._obstacles and above:
                above = above.rpartition(b"/")[0]
            spared.add(above)
        for path in spared & self._obstacles:
            self._target.expect_directory(path, replacing=False)

    def _dress_directories(self, not_there: set[bytes]) -> None:
        """Give directories their metadata, the deepest first."""
        for entry in reversed(self._directories):
            if entry.path not in not_there:
                self._attempt(entry.path, partial(self._target.dress, entry))
        for entry in reversed(self._made_above):
            if self._is_there(entry.path):
                self._attempt(entry.path, partial(self._target.dress, entry))

    def _link(self, links: Sequence[_Link]) -> list[_Link]:
        """Make what *links* can be made, and return those whose first name is still to be written.

        Where the first name is blocked here, or no link can be made to it, a name gets the content for itself.
        """
        waiting: list[_Link] = []
        for link in links:
            entry, first = link
            if first.file is not None and not first.file.is_done:
                waiting.append(link)
            elif first.file is None or first.file.failure is None:
                self._link_one(entry, first.path)
            elif isinstance(first.file.failure, LocalError):
                first.path, first.file = entry.path, self._want(entry)
            else:
                self._fail(entry.path, first.file.failure)
        return waiting

    def _link_one(self, entry: Entry, first: bytes) -> None:
        try:
            self._target.make_hard_link(entry.path, first)
        except LocalError as error:
            self._fail(entry.path, error)
        except OSError as error:
            if error.errno in _NO_LINKS_HERE:
                self._want(entry)
            else:
                self._fail(entry.path, _as_told(error))

    def put(self, piece: Piece, content: memoryview) -> None:
        """Write a segment into its file, which gets its name once all of them are there."""
        file = self._files[piece.owner]
        failure: BackupError | None = None
        try:
            with file.guard, self._open_files.lent(file) as descriptor:
                _write_all(descriptor, content, piece.position)
        except (OSError, LocalError) as error:
            failure = _as_told(error)
        self._account(file, failure)

    def fail(self, piece: Piece, reason: BackupError) -> None:
        """Learn that a segment cannot be had."""
        self._account(self._files[piece.owner], reason)

    def _account(self, file: _File, failure: BackupError | None) -> None:
        """Count a segment as dealt with; the last one completes the file, or gives it up."""
        with file.guard:
            file.failure = file.failure or failure
            file.missing -= 1
            is_last = file.missing == 0
        if is_last:
            self._complete(file)

    def _complete(self, file: _File) -> None:
        try:
            if file.failure is None:
                descriptor = self._open_files.take(file)
                file.descriptor = -1
                self._target.finish_file(file.entry, descriptor, file.temporary)
        except (OSError, LocalError) as error:
            file.failure = _as_told(error)
        if file.failure is not None:
            with suppress(OSError, LocalError):
                self._open_files.drop(file)
        file.is_done = True
        if file.failure is not None:
            self._fail(file.entry.path, file.failure)

    # telling

    def require_success(self) -> None:
        """Raise if anything could not be restored, or could not be if this were not check mode."""
        if self._failures:
            raise _told_failures(self._failures, check_mode=self._check_mode)

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


def _group_of(entry: Entry) -> bytes:
    """Return the name that all names of the same inode have in common."""
    return entry.target or entry.path


def _as_told(error: OSError | LocalError) -> LocalError:
    return error if isinstance(error, LocalError) else LocalError(error.strerror or str(error))


def _told_failures(failures: Sequence[tuple[bytes, BackupError]], *, check_mode: bool) -> BackupError:
    """Return the error that names what could not be restored, by reason, the first few of each.

    Its class is that of the first one: the others may well come from the same cause.
    """
    by_reason: dict[str, list[str]] = {}
    for path, error in failures:
        by_reason.setdefault(str(error).rstrip("."), []).append(path_text(path))
    told = []
    for reason, paths in list(by_reason.items())[:_REASONS_TOLD]:
        more = f" and {len(paths) - _PATHS_TOLD} more" if len(paths) > _PATHS_TOLD else ""
        told.append(f"{', '.join(paths[:_PATHS_TOLD])}{more} ({reason})")
    count = "One thing" if len(failures) == 1 else f"{len(failures)} things"
    deed = "cannot be restored, everything else can" if check_mode else "could not be restored, everything else was"
    more = f"; and more for {len(by_reason) - _REASONS_TOLD} other reasons" if len(by_reason) > _REASONS_TOLD else ""
    sentence = f"{count} {deed}: {'; '.join(told)}{more}."
    first = failures[0][1]
    return type(first)(sentence, code=first.code) if isinstance(first, StorageError) else type(first)(sentence)


def _write_all(descriptor: int, content: memoryview, position: int) -> None:
    while content:
        count = os.pwrite(descriptor, content, position)
        content, position = content[count:], position + count
