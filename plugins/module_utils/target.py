# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that files are restored into: nothing outside of it is ever touched, whatever lies in it.

Every deed goes through descriptors of directories that were opened component by component without following a
symbolic link, so that neither a manifest nor a link planted in the tree leads out of it.
"""

from __future__ import annotations

import errno
import itertools
import os
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
_OPEN_DIRECTORIES = 32
_SET_ID = stat.S_ISUID | stat.S_ISGID


class Target:
    """The tree below *root*, which is made when the first thing is written; usable by many threads."""

    def __init__(self, root: Path, mark: str, owner: Owner) -> None:
        self.root = root
        self._mark = mark
        self.owner_of = owner
        self._numbers = itertools.count()
        self._local = threading.local()
        self._all_known: list[OrderedDict[tuple[bytes, ...], int]] = []

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
        if parts in known:
            known.move_to_end(parts)
            return known[parts]
        descriptor = self._opened(parts, make=make)
        known[parts] = descriptor
        while len(known) > _OPEN_DIRECTORIES:
            os.close(known.popitem(last=False)[1])
        return descriptor

    def _opened(self, parts: tuple[bytes, ...], *, make: bool) -> int:
        if not parts:
            if make:
                self.root.mkdir(parents=True, exist_ok=True)
            return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        above = self._directory(parts[:-1], make=make)
        try:
            return os.open(parts[-1], _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(parts[-1], 0o755, dir_fd=above)
            return os.open(parts[-1], _DIRECTORY, dir_fd=above)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            where = path_text(b"/".join(parts))
            raise LocalError(
                f"Below {self.root}, {where} is a link or no directory: nothing is written through it."
            ) from error

    def close(self) -> None:
        """Close the directories that are open, once no thread uses them any more."""
        for known in self._all_known:
            while known:
                os.close(known.popitem()[1])

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

    def make_directory(self, path: bytes) -> None:
        """Make the directory *path*, in place of whatever else bears its name; its metadata comes later."""
        if not components_of(path):
            self._directory((), make=True)
            return
        with self._parent(path, make=True) as (directory, name):
            try:
                os.mkdir(name, 0o700, dir_fd=directory)
            except FileExistsError:
                if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    return
                os.unlink(name, dir_fd=directory)
                os.mkdir(name, 0o700, dir_fd=directory)

    def start_file(self, path: bytes) -> tuple[int, bytes]:
        """Open a new file beside *path* and return its descriptor and its temporary name."""
        temporary = b".ftp-backup-%s-%d" % (self._mark.encode("ascii"), next(self._numbers))
        with self._parent(path, make=True) as (directory, _name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(temporary, flags, 0o600, dir_fd=directory), temporary

    def finish_file(self, entry: Entry, descriptor: int, temporary: bytes) -> None:
        """Give the complete file its metadata and its name."""
        self._dress(descriptor, entry)
        os.close(descriptor)
        with self._parent(entry.path, make=True) as (directory, name):
            self._replace(directory, temporary, name)

    def drop_file(self, path: bytes, descriptor: int, temporary: bytes) -> None:
        """Forget a file that could not be completed."""
        os.close(descriptor)
        with self._parent(path, make=True) as (directory, _name), suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)

    def make_special(self, entry: Entry) -> None:
        """Make the symbolic link, FIFO or device *entry*."""
        temporary = b".ftp-backup-%s-%d" % (self._mark.encode("ascii"), next(self._numbers))
        with self._parent(entry.path, make=True) as (directory, name):
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
            self._replace(directory, temporary, name)

    def make_hard_link(self, path: bytes, first: bytes) -> None:
        """Make *path* another name of the file *first*."""
        temporary = b".ftp-backup-%s-%d" % (self._mark.encode("ascii"), next(self._numbers))
        with self._parent(first, make=False) as (first_directory, first_name):
            source = os.dup(first_directory)  # finding the second way may close what the first one opened
        try:
            with self._parent(path, make=True) as (directory, name):
                os.link(first_name, temporary, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
                self._replace(directory, temporary, name)
        finally:
            os.close(source)

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
        for name, value in entry.xattrs:
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
            os.unlink(temporary, dir_fd=directory)
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise LocalError(
                    f"Below {self.root}, {path_text(name)} is a directory where a file is to be restored."
                ) from error
            raise


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
