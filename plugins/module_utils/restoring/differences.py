# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore changes, path by path: how each thing is now, and how it will be.

Only somebody who wants to see that has it collected, and no more of it than can be looked at.
"""

from __future__ import annotations

import stat
import typing as t
from contextlib import suppress

from ..errors import BackupError
from ..native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    fine_time_text,
    order_key,
    path_text,
)
from ..outcome import LINES_SHOWN
from ..scan import group_name, user_name
from ..words import counted, size_text

if t.TYPE_CHECKING:
    import os

    from ..native.entries import Entry
    from .target import Target

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFIFO: FIFO,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
}
_NAMES = {
    FILE: "file",
    HARD_LINK: "file",
    DIRECTORY: "directory",
    SYMLINK: "symbolic link",
    FIFO: "FIFO",
    CHARACTER_DEVICE: "device",
    BLOCK_DEVICE: "device",
}


class Difference(t.NamedTuple):
    """What lies at a path, and what will: None where nothing does."""

    path: bytes
    before: str | None
    after: str | None


class Differences:
    """The first differences of each sort, in the order in which they were found, and how many there are of all."""

    def __init__(self, target: Target | None = None) -> None:
        self._target = target
        self.created: list[Difference] = []
        self.changed: list[Difference] = []
        self.removed: list[Difference] = []
        self.count = 0

    def like(self) -> Differences:
        """Return differences from the same target, with nothing in them."""
        return Differences(self._target)

    def note(self, entry: Entry, status: os.stat_result | None) -> None:
        """Note that *entry* is made, or put in the place of what has this *status*."""
        self.count += 1
        sort = self.created if status is None else self.changed
        if len(sort) < LINES_SHOWN:
            before, after = (None, _whole(entry)) if status is None else self._facts(entry, status)
            sort.append(Difference(entry.path, before, after))

    def note_removed(self, path: bytes) -> None:
        """Note that what lies at *path* goes."""
        self._add(self.removed, Difference(path, "extra: goes", None))

    def note_database(self, path: bytes, name: str, size: int, *, replaces: bool) -> None:
        """Note that the dump at *path*, of *size* bytes, is loaded into the database *name*."""
        loaded = f"loaded into {name} from {size_text(size)}"
        if replaces:
            self._add(self.changed, Difference(path, f"what is in {name} goes, if it is there", loaded))
        else:
            self._add(self.created, Difference(path, None, loaded))

    def _add(self, sort: list[Difference], difference: Difference) -> None:
        self.count += 1
        if len(sort) < LINES_SHOWN:
            sort.append(difference)

    def take_back(self, path: bytes) -> None:
        """Forget what was noted of *path*."""
        self.count -= 1
        for sort in (self.created, self.changed):
            sort[:] = [difference for difference in sort if difference.path != path]

    def add(self, other: Differences) -> None:
        """Take in what *other* has noted after this."""
        self.count += other.count
        self.created += other.created[: LINES_SHOWN - len(self.created)]
        self.changed += other.changed[: LINES_SHOWN - len(self.changed)]
        self.removed += other.removed[: LINES_SHOWN - len(self.removed)]

    def lines(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the first LINES_SHOWN of all, by path, as they are before and after."""
        shown = sorted((*self.created, *self.changed, *self.removed), key=lambda found: order_key(found.path))
        shown = shown[:LINES_SHOWN]
        before = [f"{path_text(path)}  {was}" for path, was, _will in shown if was is not None]
        after = [f"{path_text(path)}  {will}" for path, _was, will in shown if will is not None]
        return tuple(before), tuple(after)

    def left_out(self) -> tuple[str, ...]:
        """Return a sentence on how many are not shown, if any are not."""
        more = self.count - min(LINES_SHOWN, len(self.created) + len(self.changed) + len(self.removed))
        return (f"{counted(more, 'more difference is', 'more differences are')} not shown.",) if more > 0 else ()

    def _facts(self, entry: Entry, status: os.stat_result) -> tuple[str, str]:
        """Return in what *entry* differs from what lies there: as it is there, and as it will be."""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "")
        if kind != (FILE if entry.kind == HARD_LINK else entry.kind):
            return _NAMES.get(kind, "socket"), _whole(entry)
        current, wanted = self._current(entry, status), self._wanted(entry, status)
        differing = [fact for fact in wanted if current.get(fact) != wanted[fact]]
        if not differing:  # the same size and time, and yet another content, or another file
            return "content as it is there", "content as it was backed up"
        return (
            ", ".join(f"{fact} {current[fact]}" for fact in differing),
            ", ".join(f"{fact} {wanted[fact]}" for fact in differing),
        )

    def _current(self, entry: Entry, status: os.stat_result) -> dict[str, str]:
        facts = {
            "mode": f"{stat.S_IMODE(status.st_mode):04o}",
            "owner": _owner_text(status.st_uid, status.st_gid),
            "mtime": fine_time_text(status.st_mtime_ns),
        }
        if entry.kind in (FILE, HARD_LINK):
            facts = {"size": f"{status.st_size:,} B", **facts}
        elif entry.kind == SYMLINK:
            link = b""
            with suppress(OSError, BackupError):
                link = self._target.link_at(entry.path) if self._target is not None else b""
            facts = {"to": path_text(link), **facts}
        return facts

    def _wanted(self, entry: Entry, status: os.stat_result) -> dict[str, str]:
        facts = {"mtime": fine_time_text(entry.mtime)}
        if self._target is not None:
            current = (status.st_uid, status.st_gid)
            owner = self._target.owner_of(entry)
            facts = {"owner": _owner_text(*(current if owner is None else owner)), **facts}
            if entry.kind != SYMLINK:
                facts = {"mode": f"{self._target.mode_of(entry, current):04o}", **facts}
        if entry.kind in (FILE, HARD_LINK):
            facts = {"size": f"{entry.size:,} B", **facts}
        elif entry.kind == SYMLINK:
            facts = {"to": path_text(entry.target), **facts}
        return facts


def _whole(entry: Entry) -> str:
    """Return what *entry* is."""
    name = _NAMES.get(entry.kind, "file")
    if entry.kind == FILE:
        return f"{name}, {size_text(entry.size)}"
    if entry.kind == SYMLINK:
        return f"{name} to {path_text(entry.target)}"
    if entry.kind == HARD_LINK:
        return f"another name of {path_text(entry.target)}"
    return name


def _owner_text(uid: int, gid: int) -> str:
    return f"{user_name(uid) or uid}:{group_name(gid) or gid}"
