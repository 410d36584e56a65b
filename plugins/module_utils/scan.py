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
from pathlib import Path

from .errors import UsageError
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
    """An entry as it was found, and how many names its inode has."""

    entry: Entry
    links: int


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
    if path.is_symlink():
        raise UsageError(
            f"The path {path} is a symbolic link to {path.readlink()}: name what is to be backed up itself."
        )
    if not os.path.lexists(path):
        raise UsageError(f"The path {path} cannot be backed up: it does not exist on this host.")
    if path.is_socket():
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
            status = os.lstat(root)
        except OSError as error:
            note(root, _told(error))
            continue
        yield from _walk(root, status, note)


def _walk(root: bytes, status: os.stat_result, note: Note) -> Iterator[Found]:
    """Go through a tree without recursion, so that its depth does not matter."""
    waiting = [(root, status)]
    while waiting:
        path, status = waiting.pop()
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            continue
        try:
            yield Found(_entry(path, kind, status), status.st_nlink)
            if kind == DIRECTORY:
                waiting.extend(_children(path, note))
        except OSError as error:
            note(path, _told(error))


def _children(path: bytes, note: Note) -> list[tuple[bytes, os.stat_result]]:
    """Return what lies directly in *path*, last name first."""
    children = []
    with os.scandir(path) as names:
        for name in names:
            try:
                children.append((name.path, name.stat(follow_symlinks=False)))
            except OSError as error:
                note(name.path, _told(error))
    children.sort(key=lambda child: child[0], reverse=True)
    return children


def _entry(path: bytes, kind: str, status: os.stat_result) -> Entry:
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
        inode=f"{status.st_dev}:{status.st_ino}" if is_file else "",
        ctime=status.st_ctime_ns if is_file else 0,
        xattrs=_xattrs(path, kind),
        target=os.readlink(path) if kind == SYMLINK else b"",  # noqa: PTH115 - pathlib knows no paths of bytes
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in "cb" else None,
        is_racy=is_file and is_racy(status, time.time_ns()),
    )


def is_racy(status: os.stat_result, now: int) -> bool:
    """Tell whether a change right after *now* (nanoseconds) could leave the file's times as they are."""
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return now - changed < (_FINE_CLOCK if changed % 10**9 else _COARSE_CLOCK)


def _xattrs(path: bytes, kind: str) -> tuple[tuple[str, bytes], ...]:
    if kind not in (FILE, DIRECTORY) or not hasattr(os, "listxattr"):
        return ()
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names))
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
