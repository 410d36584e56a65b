# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local tree: what lies below some paths, in the order of a manifest, with everything but the content."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import sys
import time
import typing as t
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from threading import Lock

from .errors import UsageError, told_as
from .ignore import IgnoreRules
from .native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    SYMLINK,
    Entry,
    Rules,
    order_key,
    path_bytes,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Note = Callable[[bytes, str], None]

UNKNOWN = ""  # the kind of what is there and cannot be looked at

_LOOK = getattr(os, "O_PATH", os.O_RDONLY)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PASS_THROUGH = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | _LOOK
_COARSE_CLOCK = 2 * 10**9  # file systems that keep whole seconds
_FINE_CLOCK = 50 * 10**6  # several ticks of the kernel's clock
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_VANISHED = "it vanished during the run"
_NO_RULES = Rules()
_CACHE_TAG = b"CACHEDIR.TAG"  # https://bford.info/cachedir/
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
_ENCODING = sys.getfilesystemencoding()
_CLOSED = -1
_OPEN_LEVELS = 64  # directories that a walk keeps open: the lowest ones, where a tree is deeper
_STEP = 1000  # bytes of a path that are opened at once: every kernel takes so many, and passes them fast
_OPEN_STEPS = 16


class Found(t.NamedTuple):
    """What was found below *root*; its *status* is None where the kind is UNKNOWN.

    Where it *is_closed*, nothing is known of what lies below it, nor of itself if its kind is UNKNOWN.
    """

    path: bytes
    kind: str
    status: os.stat_result | None
    root: bytes
    is_closed: bool = False


def roots_of(paths: Iterable[str]) -> list[bytes]:
    """Return *paths* in order, without those that lie below another, once all of them are found good."""
    paths = list(paths)
    for path in paths:
        if not path.startswith("/"):
            raise UsageError(f"The path {path!r} cannot be backed up: it is not absolute.")
    for path in _in_order(paths):
        _require(Path(path))
    return roots_named(paths)


def roots_named(paths: Iterable[str]) -> list[bytes]:
    """Return *paths* in order, without those that lie below another, whatever is there."""
    roots: list[bytes] = []
    for path in _in_order(paths):
        root = path_bytes(path)
        if not (roots and is_below(root, roots[-1])):
            roots.append(root)
    return roots


def _in_order(paths: Iterable[str]) -> list[str]:
    return sorted({_normal(path) for path in paths}, key=lambda text: order_key(path_bytes(text)))


def _normal(path: str) -> str:
    """Return *path* without `.`, `..` and double slashes; POSIX would keep two of them at the beginning."""
    normal = os.path.normpath(path)
    return f"/{normal.lstrip('/')}" if normal.startswith("/") else normal


def _require(path: Path) -> None:
    with told_as(f"The path {path} cannot be backed up"):
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # a null byte is a ValueError
            raise UsageError(f"The path {path} cannot be backed up: it does not exist on this host.") from error
        if stat.S_ISLNK(mode):
            raise UsageError(
                f"The path {path} is a symbolic link to {path.readlink()}: name what is to be backed up itself."
            )
    if stat.S_ISSOCK(mode):
        raise UsageError(f"The path {path} cannot be backed up: it is a socket, which cannot be restored.")


def is_below(path: bytes, top: bytes) -> bool:
    """Tell whether *path* is *top* or lies below it."""
    return path == top or path.startswith(top.rstrip(b"/") + b"/")


def scan(roots: Iterable[bytes], note: Note, rules: Rules = _NO_RULES) -> Iterator[Found]:
    """Yield what lies at and below *roots* and is not left out by *rules*, each directory before its content.

    *note* is told what could not be read, and the scan goes on. Sockets are passed over: they cannot be restored.
    """
    ignored = IgnoreRules(rules.exclude)
    for root in roots:
        walk = _Walk(root, note, rules, ignored)
        try:
            yield from walk.found()
        finally:
            walk.close()
            _long_way.forget()


class _Level:
    """A directory on the way down, open as *descriptor*, and the *names* in it that are still to come.

    Where names are whole paths there is no descriptor. *above* is the length of what precedes its name in its path.
    """

    __slots__ = ("above", "descriptor", "inode", "names")

    def __init__(self, descriptor: int | None, inode: str, names: Iterable[bytes], above: int) -> None:
        self.descriptor = descriptor
        self.inode = inode
        self.names = iter(names)
        self.above = above

    @property
    def is_closed(self) -> bool:
        return self.descriptor == _CLOSED

    def close(self) -> None:
        if self.descriptor is not None and not self.is_closed:
            os.close(self.descriptor)
            self.descriptor = _CLOSED


class _Walk:
    """Goes through the tree of a root without recursion, so that its depth does not matter.

    Of a directory it keeps the names alone, and looks at what bears one when its turn comes. It looks from the
    directory itself, so that no path is too long and no link that somebody puts on the way is followed.
    """

    def __init__(self, root: bytes, note: Note, rules: Rules, ignored: IgnoreRules) -> None:
        self._root = root
        self._note = note
        self._rules = rules
        self._ignored = ignored
        self._marker = None if rules.marker is None else path_bytes(rules.marker)
        self._below = len(root.rstrip(b"/")) + 1
        self._device = 0
        self._prefix = b""
        self._levels = [_Level(None, "", [root], 0)]

    def found(self) -> Iterator[Found]:
        """Yield what lies at and below the root."""
        root, has_ignored = self._root, bool(self._ignored)
        while self._levels:
            level, prefix = self._levels[-1], self._prefix
            directory = level.descriptor
            for name in level.names:
                path = prefix + name
                try:
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                except OSError as error:
                    yield from self._unseen(path, error)
                    continue
                kind = _KINDS.get(stat.S_IFMT(status.st_mode))
                if kind is None or (has_ignored and self._excludes(path, is_directory=kind == DIRECTORY)):
                    continue
                if kind == DIRECTORY:
                    yield from self._enter(name, path, status)
                    break
                yield Found(path, kind, status, root)
            else:
                self._leave()

    def close(self) -> None:
        """Close what is still open where the walk was broken off."""
        for level in self._levels:
            level.close()

    def _excludes(self, path: bytes, *, is_directory: bool) -> bool:
        return path != self._root and self._ignored.excludes(path[self._below :], is_directory=is_directory)

    def _unseen(self, path: bytes, error: OSError) -> Iterator[Found]:
        """Tell what was listed and cannot be looked at, unless it is excluded whatever it is.

        Where it has gone, it is enough that it may have been excluded.
        """
        has_gone = isinstance(error, FileNotFoundError)
        excluded = [self._excludes(path, is_directory=is_directory) for is_directory in (False, True)]
        if any(excluded) if has_gone else all(excluded):
            return
        self._note(path, told(error))
        if not has_gone:
            yield Found(path, UNKNOWN, None, self._root, is_closed=True)

    def _enter(self, name: bytes, path: bytes, status: os.stat_result) -> Iterator[Found]:
        """Tell the directory at *path*, after which comes what lies in it."""
        if len(self._levels) == 1:
            self._device = status.st_dev
        if self._is_mounted(status):
            yield Found(path, DIRECTORY, status, self._root)
            return
        try:
            status = self._go_into(name, path)
        except OSError as error:
            self._note(path, told(error))
            if not isinstance(error, FileNotFoundError):
                yield Found(path, DIRECTORY, status, self._root, is_closed=True)
            return
        yield Found(path, DIRECTORY, status, self._root)

    def _is_mounted(self, status: os.stat_result) -> bool:
        """Tell whether what lies in a directory is left out, since another file system holds it."""
        return self._rules.one_file_system and status.st_dev != self._device

    def _go_into(self, name: bytes, path: bytes) -> os.stat_result:
        """Go on with what lies in the directory at *path*, and return what this is now that it is open."""
        descriptor = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=self._levels[-1].descriptor)
        try:
            status = os.fstat(descriptor)
            names = [] if self._is_mounted(status) else self._names(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._levels.append(_Level(descriptor, inode_of(status), names, len(self._prefix)))
        self._prefix = path if path.endswith(b"/") else path + b"/"
        if len(self._levels) > _OPEN_LEVELS:
            self._levels[-1 - _OPEN_LEVELS].close()
        return status

    def _names(self, directory: int) -> list[bytes]:
        """Return the names in *directory* in the order of a manifest, without those that a tag in it leaves out."""
        names = sorted([name.encode(_ENCODING, "surrogateescape") for name in os.listdir(directory)])
        tags = set()
        if self._rules.caches and _CACHE_TAG in names and _is_cache(directory):
            tags.add(_CACHE_TAG)
        if self._marker in names and _is_file(self._marker, directory):
            tags.add(self._marker)
        return sorted(tags) or names

    def _leave(self) -> None:
        """Go back to the directory above."""
        left = self._levels.pop()
        self._prefix = self._prefix[: left.above]
        try:
            if self._levels and self._levels[-1].is_closed:
                self._reopen(self._levels[-1], left.descriptor)
        finally:
            left.close()

    def _reopen(self, level: _Level, inner: int | None) -> None:
        """Open *level* again, which is above *inner* if nobody has moved that, and else at its path.

        If it is neither here nor there, it has vanished, and so has what was to come.
        """
        path = self._prefix.rstrip(b"/") or b"/"
        ways = (
            partial(os.open, "..", _PASS_THROUGH, dir_fd=inner),
            partial(_open_stepwise, path, self._root, _PASS_THROUGH),
        )
        for way in ways:
            try:
                descriptor = way()
            except OSError:
                continue
            if inode_of(os.fstat(descriptor)) == level.inode:
                level.descriptor = descriptor
                return
            os.close(descriptor)
        level.names = iter(())
        self._note(path, _VANISHED)


def _is_file(name: bytes, directory: int) -> bool:
    """Tell whether *name* is a regular file in *directory*; what cannot be looked at leaves nothing out."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _is_cache(directory: int) -> bool:
    """Tell whether the tag in *directory* is one of a cache; one that cannot be read leaves nothing out."""
    if not _is_file(_CACHE_TAG, directory):
        return False
    try:
        descriptor = os.open(_CACHE_TAG, _OPEN, dir_fd=directory)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE
    except OSError:
        return False
    finally:
        os.close(descriptor)


def open_found(path: bytes, root: bytes, inode: str, flags: int = 0) -> tuple[int, os.stat_result]:
    """Open what was found at *path*, or what replaced it, without following a link that somebody put below *root*.

    A user who could make a link of a directory at the right moment would else get the files of others into the backup.
    What still has its *inode* is what was found there; only the way to something else has to be proved.
    """
    descriptor = _open(path, flags | _OPEN)
    try:
        status = os.fstat(descriptor)
        if path == root or inode_of(status) == inode:
            return descriptor, status
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    descriptor = _open_stepwise(path, root, flags)
    return descriptor, os.fstat(descriptor)


def _open(path: bytes, flags: int) -> int:
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return _long_way.open(path, flags)


def _open_stepwise(path: bytes, root: bytes, flags: int) -> int:
    """Open *path* from *root* on, one component at a time, none of which may be a link."""
    if path == root:
        return os.open(root, flags | _OPEN)
    *directories, name = path[len(root) :].strip(b"/").split(b"/")
    place = os.open(root, _PASS_THROUGH)
    try:
        for directory in directories:
            inner = os.open(directory, _PASS_THROUGH, dir_fd=place)
            os.close(place)
            place = inner
        return os.open(name, flags | _OPEN, dir_fd=place)
    finally:
        os.close(place)


class _LongWay:
    """Opens paths that are too long for the kernel, in steps that are not.

    The last steps stay open until the next path, which mostly lies nearby: so the paths of a very deep tree take few
    steps each.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[bytes, int]] = []
        self._lock = Lock()

    def open(self, path: bytes, flags: int) -> int:
        with self._lock:
            while self._steps and not path.startswith(self._steps[-1][0]):
                os.close(self._steps.pop()[1])
            way, place = self._steps[-1] if self._steps else (b"", None)
            while len(path) - len(way) > _STEP:
                end = path.rindex(b"/", 0, len(way) + _STEP)
                place = os.open(path[len(way) : end], _PASS_THROUGH, dir_fd=place)
                way = path[: end + 1]
                self._steps.append((way, place))
                if len(self._steps) > _OPEN_STEPS:
                    os.close(self._steps.pop(0)[1])
            return os.open(path[len(way) :], flags, dir_fd=place)

    def forget(self) -> None:
        """Close the steps."""
        with self._lock:
            while self._steps:
                os.close(self._steps.pop()[1])


_long_way = _LongWay()


def inode_of(status: os.stat_result) -> str:
    """Return what tells one inode of this host from all others that exist at the same time."""
    return f"{status.st_dev}:{status.st_ino}"


def entry_of(found: Found) -> Entry:
    """Build the entry of what was *found*, or of what replaced it and is of the same kind.

    OSError is raised if there is none any more.
    """
    if found.status is None:
        raise OSError(0, "it cannot be looked at")
    descriptor, status = open_found(found.path, found.root, inode_of(found.status), _LOOK)
    try:
        if _KINDS.get(stat.S_IFMT(status.st_mode)) != found.kind:
            raise FileNotFoundError(errno.ENOENT, _VANISHED)
        target = os.readlink(b"", dir_fd=descriptor) if found.kind == SYMLINK else b""
        return _entry(found.path, found.kind, status, _attributes_of(found.path, descriptor), target)
    finally:
        os.close(descriptor)


def entry_of_open(path: bytes, kind: str, status: os.stat_result, descriptor: int) -> Entry:
    """Build the entry of what is open as *descriptor* and has this *status*."""
    return _entry(path, kind, status, _attributes(descriptor), b"")


Attributes = tuple[tuple[str, bytes], ...]


def _entry(path: bytes, kind: str, status: os.stat_result, xattrs: Attributes, target: bytes) -> Entry:
    is_file = kind == FILE
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        user=user_name(status.st_uid),
        group=group_name(status.st_gid),
        mtime=status.st_mtime_ns,
        size=status.st_size if is_file else 0,
        inode=inode_of(status) if is_file else "",
        ctime=status.st_ctime_ns if is_file else 0,
        xattrs=xattrs,
        target=target,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in "cb" else None,
        is_racy=is_file and is_racy(status, time.time_ns()),
    )


def is_racy(status: os.stat_result, now: int) -> bool:
    """Tell whether a change right after *now* (nanoseconds) could leave the file's times as they are."""
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return now - changed < (_FINE_CLOCK if changed % 10**9 else _COARSE_CLOCK)


def _attributes_of(path: bytes, descriptor: int) -> Attributes:
    """Return the extended attributes of what is open, but maybe only to be looked at, which does not do for them."""
    way = b"/proc/self/fd/%d" % descriptor  # leads to what is open even if that is a link, and no further
    return _attributes(way) if os.path.lexists(way) else _attributes(path, follow_symlinks=False)


def _attributes(place: bytes | int, *, follow_symlinks: bool = True) -> Attributes:
    """Return the extended attributes at *place*, without those that this user may not read or nobody can."""
    if not hasattr(os, "listxattr"):
        return ()
    try:
        names = os.listxattr(place, follow_symlinks=follow_symlinks)
    except OSError:
        return ()  # a file system without them
    found = []
    for name in sorted(names):
        with suppress(OSError):
            found.append((name, os.getxattr(place, name, follow_symlinks=follow_symlinks)))
    return tuple(found)


@cache
def user_name(uid: int) -> str:
    """Return the name of the user *uid*, empty if this host knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@cache
def group_name(gid: int) -> str:
    """Return the name of the group *gid*, empty if this host knows none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def told(error: OSError) -> str:
    """Return the problem that *error* is."""
    return _VANISHED if isinstance(error, FileNotFoundError) else error.strerror or str(error)
