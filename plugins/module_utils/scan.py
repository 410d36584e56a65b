# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local tree: what lies below some paths, in the order of a manifest, with everything but the content."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import time
import typing as t
from functools import cache
from operator import itemgetter
from pathlib import Path

from .errors import UsageError, told_as
from .native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    SYMLINK,
    Entry,
    order_key,
    path_bytes,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Note = Callable[[bytes, str], None]

UNKNOWN = ""  # the kind of what is there and cannot be looked at

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PASS_THROUGH = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
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


class Found(t.NamedTuple):
    """An entry as it was found below *root*, and how many names its inode has.

    Where it *is_closed*, nothing is known of what lies below it, nor of itself if its kind is UNKNOWN.
    """

    entry: Entry
    links: int
    root: bytes = b"/"
    is_closed: bool = False


def roots_of(paths: Iterable[str]) -> list[bytes]:
    """Return *paths* in order, without those that lie below another, once all of them are found good."""
    paths = list(paths)
    for path in paths:
        if not path.startswith("/"):
            raise UsageError(f"The path {path!r} cannot be backed up: it is not absolute.")
    roots: list[bytes] = []
    for path in sorted({_normal(path) for path in paths}, key=lambda text: order_key(path_bytes(text))):
        _require(Path(path))
        root = path_bytes(path)
        if not (roots and is_below(root, roots[-1])):
            roots.append(root)
    return roots


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


def scan(roots: Iterable[bytes], note: Note) -> Iterator[Found]:
    """Yield what lies at and below *roots*, each directory before its content.

    *note* is told what could not be read, and the scan goes on. Sockets are passed over: they cannot be restored.
    """
    for root in roots:
        try:
            status: os.stat_result | OSError = os.lstat(root)
        except OSError as error:
            note(root, _told(error))
            status = error
        yield from _walk(root, status, note)


# What waits to be looked into: a path, and what it was when its directory was listed, or why that is not known.
_Waiting = tuple[bytes, t.Union[os.stat_result, OSError]]


def _walk(root: bytes, status: os.stat_result | OSError, note: Note) -> Iterator[Found]:
    """Go through a tree without recursion, so that its depth does not matter."""
    waiting: list[_Waiting] = [(root, status)]
    while waiting:
        path, status = waiting.pop()
        if isinstance(status, OSError):
            if not isinstance(status, FileNotFoundError):
                yield _closed(path, root)
            continue
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            continue
        children: list[_Waiting] = []
        try:
            if kind == DIRECTORY:
                found, children = _directory(path, root, status, note)
            else:
                found = Found(entry_of(path, kind, status), status.st_nlink, root)
        except FileNotFoundError as error:
            note(path, _told(error))
            continue
        except OSError as error:
            note(path, _told(error))
            found = _closed(path, root, entry_of(path, kind, status) if kind == DIRECTORY else None)
        yield found
        waiting += children


def _closed(path: bytes, root: bytes, entry: Entry | None = None) -> Found:
    return Found(entry or Entry(path, UNKNOWN, 0, 0, 0, "", "", 0), 1, root, is_closed=True)


def _directory(path: bytes, root: bytes, status: os.stat_result, note: Note) -> tuple[Found, list[_Waiting]]:
    """Return the directory that was found at *path*, and what lies directly in it, last name first."""
    prefix = path if path.endswith(b"/") else path + b"/"
    children: list[_Waiting] = []
    descriptor, status = open_found(path, root, inode_of(status), os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as names:
            for name in names:
                child = prefix + os.fsencode(name.name)
                try:
                    children.append((child, name.stat(follow_symlinks=False)))
                except OSError as error:
                    note(child, _told(error))
                    children.append((child, error))
        found = Found(entry_of(path, DIRECTORY, status, descriptor), status.st_nlink, root)
    finally:
        os.close(descriptor)
    children.sort(key=itemgetter(0), reverse=True)
    return found, children


def open_found(path: bytes, root: bytes, inode: str, flags: int = 0) -> tuple[int, os.stat_result]:
    """Open what was found at *path*, or what replaced it, without following a link that somebody put below *root*.

    A user who could make a link of a directory at the right moment would else get the files of others into the backup.
    What still has its *inode* is what was found there; only the way to something else has to be proved.
    """
    descriptor = os.open(path, flags | _OPEN)
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


def _open_stepwise(path: bytes, root: bytes, flags: int) -> int:
    """Open *path* from *root* on, one component at a time, none of which may be a link."""
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


def inode_of(status: os.stat_result) -> str:
    """Return what tells one inode of this host from all others that exist at the same time."""
    return f"{status.st_dev}:{status.st_ino}"


def entry_of(path: bytes, kind: str, status: os.stat_result, descriptor: int | None = None) -> Entry:
    """Return the entry of what has this *status*; *descriptor* is it, where it is open."""
    is_file = kind == FILE
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        user=_user_name(status.st_uid),
        group=_group_name(status.st_gid),
        mtime=status.st_mtime_ns,
        size=status.st_size if is_file else 0,
        inode=inode_of(status) if is_file else "",
        ctime=status.st_ctime_ns if is_file else 0,
        xattrs=_xattrs(path if descriptor is None else descriptor, kind),
        target=os.readlink(path) if kind == SYMLINK else b"",  # noqa: PTH115 - pathlib knows no paths of bytes
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in "cb" else None,
        is_racy=is_file and is_racy(status, time.time_ns()),
    )


def is_racy(status: os.stat_result, now: int) -> bool:
    """Tell whether a change right after *now* (nanoseconds) could leave the file's times as they are."""
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return now - changed < (_FINE_CLOCK if changed % 10**9 else _COARSE_CLOCK)


def _xattrs(place: bytes | int, kind: str) -> tuple[tuple[str, bytes], ...]:
    if kind not in (FILE, DIRECTORY) or not hasattr(os, "listxattr"):
        return ()
    is_open = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=is_open)
        return tuple((name, os.getxattr(place, name, follow_symlinks=is_open)) for name in sorted(names))
    except OSError:
        return ()  # a file system without them, or an attribute that only another user may read


@cache
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@cache
def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def _told(error: OSError) -> str:
    return error.strerror or str(error)
