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
from pathlib import Path

from ..errors import LocalError, UsageError
from ..native.entries import CHARACTER_DEVICE, DIRECTORY, FIFO, SYMLINK, Entry, path_text
from ..native.wellformed import is_path
from ..private_files import is_alive
from .attributes import Attributes

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .owners import Owner

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES, _LEAST_OPEN = 128, 4  # of all threads together, and of each at least
_TIDIED = 10_000  # directories that are known to hold no leftovers; to forget one costs a listing
_SET_ID = stat.S_ISUID | stat.S_ISGID
_TEMPORARY = re.compile(r"\.ftp-backup-(?P<mark>\d{8}t\d{6}z-[0-9a-f]{6})-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-\d+")


class Target:
    """The tree below *root*, which is made when the first thing is written; usable by many threads.

    Temporary names carry *mark*, this host and this process, so that a later restore knows what a killed one left.
    """

    def __init__(self, root: Path, mark: str, owner: Owner) -> None:
        self.root = root
        self.owner_of = owner
        self.attributes = Attributes()
        self._mark = mark
        self._host = hashlib.sha256(os.fsencode(os.uname().nodename)).hexdigest()[:8]
        self._numbers = itertools.count()
        self._local = threading.local()
        self._all_known: list[OrderedDict[bytes, int]] = []
        self._expected: dict[bytes, bool] = {}
        self._making = threading.Lock()
        self._tidied: set[bytes] = set()

    # -- finding the way

    def _parent(self, path: bytes, *, make: bool) -> tuple[int, bytes]:
        """Return a descriptor of the directory that holds *path*, and the name in it.

        It is good until the way to something else is looked for by the same thread.
        """
        require_path(path)
        parent, _slash, name = path.rpartition(b"/")
        return self._directory(parent, make=make), name

    def _directory(self, path: bytes, *, make: bool) -> int:
        """Return a descriptor of the directory *path*, which stays open for a while; the root's path is empty."""
        known: OrderedDict[bytes, int] | None = getattr(self._local, "known", None)
        if known is None:
            known = self._local.known = OrderedDict()
            self._all_known.append(known)
        if path in known:
            known.move_to_end(path)
            return known[path]
        way = path
        while way and way not in known:
            way = way.rpartition(b"/")[0]
        # Step by step, and not by recursion, so that the depth of a tree does not matter.
        if way not in known:
            known[way] = self._opened_root(make=make)
        for name in path[len(way) + 1 :].split(b"/") if path != way else ():
            above, way = known[way], way + b"/" + name
            known[way] = self._entered(above, name, way, make=make)
            while len(known) > max(_LEAST_OPEN, _OPEN_DIRECTORIES // len(self._all_known)):
                os.close(known.popitem(last=False)[1])
        return known[path]

    def _opened_root(self, *, make: bool) -> int:
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _entered(self, above: int, name: bytes, path: bytes, *, make: bool) -> int:
        """Return a descriptor of the directory *path*, which bears *name* in the directory *above*."""
        try:
            return os.open(name, _DIRECTORY, dir_fd=above)
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
            self._make(above, name, path)
        return os.open(name, _DIRECTORY, dir_fd=above)

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
            self._directory(b"", make=False)

    # -- looking

    def status(self, path: bytes) -> os.stat_result | None:
        """Return the status of what lies at *path*, itself and not what it links to; None if nothing is there."""
        try:
            if path == b"/":
                return self.root.stat()
            directory, name = self._parent(path, make=False)
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_there(self, path: bytes) -> bool:
        """Tell whether something lies at *path*; what cannot be looked at is told where something is written."""
        try:
            return self.status(path) is not None
        except (OSError, LocalError):
            return True

    def link_at(self, path: bytes) -> bytes:
        """Return where the symbolic link at *path* points."""
        directory, name = self._parent(path, make=False)
        return os.readlink(name, dir_fd=directory)

    @contextmanager
    def reading(self, path: bytes) -> Iterator[int]:
        """Open the file at *path* for reading."""
        directory, name = self._parent(path, make=False)
        with _closing(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)) as d:
            yield d

    @contextmanager
    def directory(self, path: bytes) -> Iterator[int]:
        """Open the directory at *path*, which may be the root."""
        if path == b"/":
            descriptor = os.dup(self._directory(b"", make=False))
        else:
            above, name = self._parent(path, make=False)
            descriptor = os.open(name, _DIRECTORY, dir_fd=above)
        with _closing(descriptor):
            yield descriptor

    def is_at_work(self, name: bytes) -> bool:
        """Tell whether a file of this *name* may be one that another restore is writing."""
        match = _TEMPORARY.fullmatch(os.fsdecode(name))
        return match is not None and (match["host"] != self._host or is_alive(int(match["process"])))

    # -- writing

    def expect_directory(self, path: bytes, *, replacing: bool) -> None:
        """Learn that *path* is to be a directory; with *replacing*, in place of what else bears its name.

        Nothing happens yet: it is made, and what is in its place goes, when the first thing is written below it.
        Without *replacing*, what is in its place stays, whatever was said before.
        """
        self._expected[path] = replacing

    def forget_directory(self, path: bytes) -> None:
        """Learn that nothing more is written below *path*."""
        self._expected.pop(path, None)

    def make_directory(self, path: bytes) -> None:
        """Make the directory *path*, in place of whatever else bears its name; its metadata comes later."""
        require_path(path)
        self.expect_directory(path, replacing=True)
        self.make_expected(path)

    def make_expected(self, path: bytes) -> None:
        """Make the directory *path* as it is expected, in place of something else only if that was allowed."""
        require_path(path)
        self._directory(b"" if path == b"/" else path, make=True)

    def start_file(self, path: bytes) -> tuple[int, bytes]:
        """Open a new file beside *path* and return its descriptor and its temporary name."""
        temporary = self._temporary()
        directory, _name = self._parent(path, make=True)
        self._tidy(directory, path[: path.rindex(b"/")] or b"/")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(temporary, flags, 0o600, dir_fd=directory), temporary

    def reopen_file(self, path: bytes, temporary: bytes) -> int:
        """Open a file that was started, and closed since then, once more, unless it is not ours any more."""
        directory, _name = self._parent(path, make=False)
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
            with _closing(descriptor):
                if entry.extents:
                    os.ftruncate(descriptor, entry.size)  # what follows the last piece of content is a hole
                self._dress(descriptor, entry)
            directory, name = self._parent(entry.path, make=True)
            self._replace(directory, temporary, name)
        except BaseException:
            self.drop_file(entry.path, -1, temporary)
            raise

    def drop_file(self, path: bytes, descriptor: int, temporary: bytes) -> None:
        """Forget a file that could not be completed; a *descriptor* of -1 is closed already."""
        if descriptor >= 0:
            os.close(descriptor)
        with suppress(FileNotFoundError):
            directory, _name = self._parent(path, make=False)
            os.unlink(temporary, dir_fd=directory)

    @contextmanager
    def _fresh(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield a directory and an unused name in it; what is made there gets the name *path* at the end."""
        temporary = self._temporary()
        directory, name = self._parent(path, make=True)
        self._tidy(directory, path[: path.rindex(b"/")] or b"/")
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
            self._dress_special(directory, temporary, entry)

    def make_hard_link(self, path: bytes, first: bytes) -> None:
        """Make *path* another name of the file *first*."""
        first_directory, first_name = self._parent(first, make=False)
        # Finding the second way may close what the first one opened.
        with _closing(os.dup(first_directory)) as source, self._fresh(path) as fresh:
            directory, temporary = fresh
            os.link(first_name, temporary, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)

    def remove(self, path: bytes, *, is_directory: bool) -> None:
        """Remove the file or the empty directory at *path*; one that is gone already is no error."""
        with suppress(FileNotFoundError):
            directory, name = self._parent(path, make=False)
            if is_directory:
                os.rmdir(name, dir_fd=directory)
                descriptor = self._local.known.pop(path, None)
                if descriptor is not None:
                    os.close(descriptor)
            else:
                os.unlink(name, dir_fd=directory)

    def _temporary(self) -> bytes:
        return f".ftp-backup-{self._mark}-{self._host}-{os.getpid()}-{next(self._numbers)}".encode("ascii")

    def _tidy(self, directory: int, path: bytes) -> None:
        """Remove from the *directory* at *path* what restores left there that were killed.

        A leftover is a file, a link or the like of our own whose name says that it is of this host, and of a process
        that is no more.
        """
        if path in self._tidied:
            return
        if len(self._tidied) >= _TIDIED:
            self._tidied.clear()
        self._tidied.add(path)
        with suppress(OSError):  # what cannot be listed or removed does no harm
            for name in os.listdir(directory):
                if _TEMPORARY.fullmatch(name) is None or self.is_at_work(os.fsencode(name)):
                    continue
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                is_ours = os.geteuid() in (0, status.st_uid)  # root may have given it away already
                if not stat.S_ISDIR(status.st_mode) and is_ours:
                    os.unlink(name, dir_fd=directory)

    def _replace(self, directory: int, temporary: bytes, name: bytes) -> None:
        try:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise LocalError(
                    f"Below {self.root}, {path_text(name)} is a directory where a file is to be restored."
                ) from error
            raise

    # -- metadata

    def dress(self, entry: Entry) -> None:
        """Give the file or directory at *entry*'s path its owner, mode, attributes and times."""
        opened = self.directory if entry.kind == DIRECTORY else self.reading
        with opened(entry.path) as descriptor:
            self._dress(descriptor, entry)

    def _dress(self, descriptor: int, entry: Entry) -> None:
        """Give what is open all of its metadata.

        A new owner costs capabilities and set-id bits, and an ACL brings a mode with it; so they come in this order.
        """
        owner = self.owner_of(entry)
        if owner is not None:
            os.fchown(descriptor, *owner)
        self.attributes.make_exact(descriptor, entry)
        status = os.fstat(descriptor)
        os.fchmod(descriptor, self.mode_of(entry, (status.st_uid, status.st_gid)))
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))

    def _dress_special(self, directory: int, name: bytes, entry: Entry) -> None:
        """Give the link, FIFO or device *name*, which is not to be opened, all of its metadata, as :meth:`_dress`."""
        owner = self.owner_of(entry)
        if owner is not None:
            os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)
        self.attributes.make_exact(b"/proc/self/fd/%d/%b" % (directory, name), entry)
        if entry.kind != SYMLINK:
            self._change_mode(directory, name, entry)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _change_mode(self, directory: int, name: bytes, entry: Entry) -> None:
        """Give the FIFO or device *name* its mode, whatever somebody may have put in its place meanwhile."""
        if os.chmod in os.supports_follow_symlinks:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            mode = self.mode_of(entry, (status.st_uid, status.st_gid))
            os.chmod(name, mode, dir_fd=directory, follow_symlinks=False)
            return
        with _closing(os.open(name, _LOOK, dir_fd=directory)) as descriptor:
            status = os.fstat(descriptor)
            if stat.S_ISLNK(status.st_mode):
                raise LocalError("somebody put a link in its place")
            Path(f"/proc/self/fd/{descriptor}").chmod(self.mode_of(entry, (status.st_uid, status.st_gid)))

    def mode_of(self, entry: Entry, owner: tuple[int, int]) -> int:
        """Return the mode that *entry* gets where it belongs to *owner*.

        A program that runs as its owner must not become one that runs as whoever restores it.
        """
        is_given_away = self.owner_of(entry) is not None
        return entry.mode if is_given_away or owner == (entry.uid, entry.gid) else entry.mode & ~_SET_ID


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    """Close *descriptor* in the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def require_path(path: bytes) -> None:
    """Raise unless *path* is absolute and leads nowhere but down."""
    if not is_path(path):
        raise UsageError(f"The restore point holds the path {path_text(path)!r}, which no restore may follow.")


def write_all(descriptor: int, content: memoryview, position: int) -> None:
    """Write all of *content* at *position* into the open file."""
    while content:
        count = os.pwrite(descriptor, content, position)
        content, position = content[count:], position + count
