# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that files are restored into: nothing outside of it is ever touched, whatever lies in it.

Every deed goes through descriptors of directories that were opened component by component without following a
symbolic link, so that neither a manifest nor a link planted in the tree leads out of it.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import stat
import threading
import typing as t
from collections import OrderedDict
from contextlib import contextmanager, suppress

from .errors import LocalError, UsageError
from .native.entries import CHARACTER_DEVICE, DIRECTORY, FIFO, SYMLINK, Entry, path_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Owner = Callable[[Entry], "tuple[int, int] | None"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES, _LEAST_OPEN = 128, 4  # of all threads together, and of each at least
_SET_ID = stat.S_ISUID | stat.S_ISGID
_TEMPORARY = re.compile(r"\.ftp-backup-(?P<mark>\d{8}t\d{6}z-[0-9a-f]{6})-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-\d+")


class Target:
    """The tree below *root*, which is made when the first thing is written; usable by many threads.

    Temporary names carry *mark*, this host and this process, so that a later restore knows what a killed one left.
    """

    def __init__(self, root: Path, mark: str, owner: Owner) -> None:
        self.root = root
        self.owner_of = owner
        self._mark = mark
        self._host = hashlib.sha256(os.fsencode(os.uname().nodename)).hexdigest()[:8]
        self._numbers = itertools.count()
        self._local = threading.local()
        self._all_known: list[OrderedDict[tuple[bytes, ...], int]] = []
        self._expected: dict[bytes, bool] = {}
        self._making = threading.Lock()
        self._tidied: set[bytes] = set()

    # -- finding the way

    @contextmanager
    def _parent(self, path: bytes, *, make: bool) -> Iterator[tuple[int, bytes]]:
        """Yield a descriptor of the directory that holds *path*, and the name in it."""
        *above, name = components_of(path)
        yield self._directory(tuple(above), make=make), name

    def _directory(self, parts: tuple[bytes, ...], *, make: bool) -> int:
        """Return a descriptor of the directory *parts*, which stays open for a while."""
        known: OrderedDict[tuple[bytes, ...], int] | None = getattr(self._local, "known", None)
        if known is None:
            known = self._local.known = OrderedDict()
            self._all_known.append(known)
        depth = len(parts)
        while depth and parts[:depth] not in known:
            depth -= 1
        # Step by step, and not by recursion, so that the depth of a tree does not matter.
        for end in range(depth, len(parts) + 1):
            way = parts[:end]
            if way in known:
                known.move_to_end(way)
                continue
            known[way] = self._entered(known[way[:-1]], way, make=make) if way else self._opened_root(make=make)
            while len(known) > max(_LEAST_OPEN, _OPEN_DIRECTORIES // len(self._all_known)):
                os.close(known.popitem(last=False)[1])
        return known[parts]

    def _opened_root(self, *, make: bool) -> int:
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _entered(self, above: int, parts: tuple[bytes, ...], *, make: bool) -> int:
        """Return a descriptor of the directory *parts*, whose last name lies in the directory *above*."""
        path = b"/" + b"/".join(parts)
        try:
            return os.open(parts[-1], _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            if not (make and self._expected.get(path)):
                where = path_text(path[1:])
                raise LocalError(
                    f"Below {self.root}, {where} is a link or no directory: nothing is written through it."
                ) from error
        with self._making:
            self._make(above, parts[-1], path)
        return os.open(parts[-1], _DIRECTORY, dir_fd=above)

    def _make(self, above: int, name: bytes, path: bytes) -> None:
        """Make the directory *name* at *path*, in place of something else only where that is expected."""
        if self._expected.get(path):
            with suppress(FileNotFoundError):
                if not stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=above)
        with suppress(FileExistsError):  # another thread was here first
            # What has metadata in the restore point is for us alone until it is given them.
            os.mkdir(name, 0o700 if path in self._expected else 0o755, dir_fd=above)
            self._tidied.add(path)

    def close(self) -> None:
        """Close the directories that are open, once no other thread uses them any more."""
        for known in self._all_known:
            while known:
                os.close(known.popitem()[1])
        self._all_known = []
        self._local = threading.local()

    def require_usable(self) -> None:
        """Raise unless the root is a directory, or nothing yet."""
        with suppress(FileNotFoundError):
            self._directory((), make=False)

    # -- looking

    def status(self, path: bytes) -> os.stat_result | None:
        """Return the status of what lies at *path*, itself and not what it links to; None if nothing is there."""
        try:
            if not components_of(path):
                return self.root.stat()
            with self._parent(path, make=False) as (directory, name):
                return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def link_at(self, path: bytes) -> bytes:
        """Return where the symbolic link at *path* points."""
        with self._parent(path, make=False) as (directory, name):
            return os.readlink(name, dir_fd=directory)

    @contextmanager
    def reading(self, path: bytes) -> Iterator[int]:
        """Open the file at *path* for reading."""
        with self._parent(path, make=False) as (directory, name):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    # -- writing

    def expect_directory(self, path: bytes, *, replacing: bool) -> None:
        """Learn that *path* is to be a directory; with *replacing*, in place of what else bears its name.

        Nothing happens yet: it is made, and what is in its place goes, when the first thing is written below it.
        Without *replacing*, what is in its place stays, whatever was said before.
        """
        self._expected[path] = replacing

    def make_directory(self, path: bytes) -> None:
        """Make the directory *path*, in place of whatever else bears its name; its metadata comes later."""
        components_of(path)
        self.expect_directory(path, replacing=True)
        self.make_expected(path)

    def make_expected(self, path: bytes) -> None:
        """Make the directory *path* as it is expected, in place of something else only if that was allowed."""
        self._directory(tuple(components_of(path)), make=True)

    def start_file(self, path: bytes) -> tuple[int, bytes]:
        """Open a new file beside *path* and return its descriptor and its temporary name."""
        temporary = self._temporary()
        with self._parent(path, make=True) as (directory, _name):
            self._tidy(directory, path[: path.rindex(b"/")] or b"/")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(temporary, flags, 0o600, dir_fd=directory), temporary

    def reopen_file(self, path: bytes, temporary: bytes) -> int:
        """Open a file that was started, and closed since then, once more, unless it is not ours any more."""
        with self._parent(path, make=False) as (directory, _name):
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, dir_fd=directory)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and (status.st_uid, status.st_nlink) == (os.geteuid(), 1):
            return descriptor
        os.close(descriptor)
        raise LocalError(f"Below {self.root}, {path_text(path[1:])} was being written, and somebody put another there.")

    def finish_file(self, entry: Entry, descriptor: int, temporary: bytes) -> None:
        """Give the complete file its metadata and its name, or leave nothing of it."""
        try:
            try:
                self._dress(descriptor, entry)
            finally:
                os.close(descriptor)
            with self._parent(entry.path, make=True) as (directory, name):
                self._replace(directory, temporary, name)
        except BaseException:
            self.drop_file(entry.path, -1, temporary)
            raise

    def drop_file(self, path: bytes, descriptor: int, temporary: bytes) -> None:
        """Forget a file that could not be completed; a *descriptor* of -1 is closed already."""
        if descriptor >= 0:
            os.close(descriptor)
        with suppress(FileNotFoundError), self._parent(path, make=False) as (directory, _name):
            os.unlink(temporary, dir_fd=directory)

    @contextmanager
    def _fresh(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield a directory and an unused name in it; what is made there gets the name *path* at the end."""
        temporary = self._temporary()
        with self._parent(path, make=True) as (directory, name):
            try:
                yield directory, temporary
                self._replace(directory, temporary, name)
            finally:
                # Also after a good rename: one of two names of the same file does nothing, and leaves both.
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)

    def make_special(self, entry: Entry) -> None:
        """Make the symbolic link, FIFO or device *entry*."""
        with self._fresh(entry.path) as (directory, temporary):
            if entry.kind == SYMLINK:
                os.symlink(entry.target, temporary, dir_fd=directory)
            elif entry.kind == FIFO:
                os.mkfifo(temporary, 0o600, dir_fd=directory)
            else:
                kind = stat.S_IFCHR if entry.kind == CHARACTER_DEVICE else stat.S_IFBLK
                os.mknod(temporary, kind | 0o600, os.makedev(*(entry.device or (0, 0))), dir_fd=directory)
            owner = self.owner_of(entry)
            if owner is not None:
                os.chown(temporary, *owner, dir_fd=directory, follow_symlinks=False)
            if entry.kind != SYMLINK:
                os.chmod(temporary, entry.mode, dir_fd=directory)
            os.utime(temporary, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def make_hard_link(self, path: bytes, first: bytes) -> None:
        """Make *path* another name of the file *first*."""
        with self._parent(first, make=False) as (first_directory, first_name):
            source = os.dup(first_directory)  # finding the second way may close what the first one opened
        try:
            with self._fresh(path) as (directory, temporary):
                os.link(first_name, temporary, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(source)

    def _temporary(self) -> bytes:
        return f".ftp-backup-{self._mark}-{self._host}-{os.getpid()}-{next(self._numbers)}".encode("ascii")

    def _tidy(self, directory: int, path: bytes) -> None:
        """Remove from the *directory* at *path* what restores left there that were killed.

        A leftover is a file of our own whose name says that it is of this host, and of a process that is no more.
        """
        if path in self._tidied:
            return
        self._tidied.add(path)
        with suppress(OSError):  # what cannot be listed or removed does no harm
            for name in os.listdir(directory):
                match = _TEMPORARY.fullmatch(name)
                if match is None or match["host"] != self._host or _is_alive(int(match["process"])):
                    continue
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    os.unlink(name, dir_fd=directory)

    def dress(self, entry: Entry) -> None:
        """Give the file or directory at *entry*'s path its owner, mode, attributes and times."""
        flags = _DIRECTORY if entry.kind == DIRECTORY else os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if not components_of(entry.path):
            descriptor = os.dup(self._directory((), make=False))
        else:
            with self._parent(entry.path, make=False) as (directory, name):
                descriptor = os.open(name, flags, dir_fd=directory)
        try:
            self._dress(descriptor, entry)
        finally:
            os.close(descriptor)

    def _dress(self, descriptor: int, entry: Entry) -> None:
        owner = self.owner_of(entry)
        if owner is not None:
            os.fchown(descriptor, *owner)
        for name, value in entry.xattrs if hasattr(os, "setxattr") else ():
            with suppress(OSError):  # a file system without them, or an attribute that only root may set
                os.setxattr(descriptor, name, value)
        status = os.fstat(descriptor)
        os.fchmod(descriptor, self.mode_of(entry, (status.st_uid, status.st_gid)))
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))

    def mode_of(self, entry: Entry, owner: tuple[int, int]) -> int:
        """Return the mode that *entry* gets where it belongs to *owner*.

        A program that runs as its owner must not become one that runs as whoever restores it.
        """
        is_given_away = self.owner_of(entry) is not None
        return entry.mode if is_given_away or owner == (entry.uid, entry.gid) else entry.mode & ~_SET_ID

    def _replace(self, directory: int, temporary: bytes, name: bytes) -> None:
        try:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise LocalError(
                    f"Below {self.root}, {path_text(name)} is a directory where a file is to be restored."
                ) from error
            raise


def _is_alive(process: int) -> bool:
    """Tell whether there is a process of this number, as far as can be known."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def components_of(path: bytes) -> list[bytes]:
    """Return the components of the absolute *path* of a manifest, or raise if it leads anywhere else.

    The root has none: it is the target itself.
    """
    parts = path.split(b"/")
    if path == b"/":
        return []
    if parts[0] != b"" or len(parts) == 1 or any(part in (b"", b".", b"..") or b"\0" in part for part in parts[1:]):
        raise UsageError(f"The restore point holds the path {path_text(path)!r}, which no restore may follow.")
    return parts[1:]
