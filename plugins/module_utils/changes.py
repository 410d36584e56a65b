# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed of a tree: each thing that was found, beside what an earlier restore point has under its path."""

from __future__ import annotations

import stat
import typing as t
from dataclasses import dataclass

from .native.entries import FILE, order_key
from .scan import UNKNOWN, inode_of, is_below

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .native.damage import Condition
    from .native.entries import Entry
    from .scan import Found


#: What an entry looks like beside that of the base: there is none, it is another one, or it is as it was.
NEW, ANOTHER, AS_IT_WAS = range(3)


class Change(t.NamedTuple):
    """Something found, what the base has under the same path, and whether its content is surely the same.

    Without *found*, it is *base* that is taken over: nobody could look whether it is still there. What it *looks* like
    is NEW, ANOTHER or AS_IT_WAS, by its times, whether these are trusted or not.
    """

    found: Found | None
    base: Entry | None
    is_same: bool
    looks: int = AS_IT_WAS


@dataclass
class Counts:
    """How many entries are new, changed, unchanged and gone, and how much content the new and changed ones have.

    They are as :func:`compare` has found them. Whoever reads them strikes out what cannot be had, and counts the
    content: that of a file with several names is there once.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    size: int = 0

    def lose(self, change: Change, *, stays: bool) -> None:
        """Learn that *change* cannot be had; what the base has under its path *stays* then, or goes."""
        if change.looks == NEW:
            self.new -= 1
            return
        if change.looks == ANOTHER:
            self.changed -= 1
        else:
            self.unchanged -= 1
        if stays:
            self.unchanged += 1
        else:
            self.gone += 1

    def count_dump(self, base: Entry | None, size: int | None) -> None:
        """Count a dump that the *base* may have, too; without a *size* it is taken over from there.

        What has changed of a database nobody knows before it is dumped, so all of it counts.
        """
        if base is not None:
            self.gone -= 1  # for which it was taken
        if size is None:
            self.unchanged += 1
            return
        self.size += size
        if base is None:
            self.new += 1
        else:
            self.changed += 1


def compare(
    found: Iterator[Found],
    base: Iterator[Entry],
    condition: Condition,
    *,
    trusts_times: bool = True,
    counts: Counts | None = None,
) -> Iterator[Change]:
    """Yield each thing *found* beside what *base* has under its path; both come in the order of a manifest.

    Content that the *condition* of the pool does not let stand is not the same. What *base* has below a directory that
    could not be looked into is taken over. With *trusts_times*, a file whose times, size and inode are the same is.
    When all was found, it is added to *counts*; dumps, of which nothing is found, count as gone.
    """
    as_found, gone = [0, 0, 0], 0
    is_impaired = bool(condition)
    old = next(base, None)
    for new in found:
        path = new.path
        if old is not None and old.path != path:
            key = order_key(path)
            while old is not None and order_key(old.path) < key:
                gone += 1
                old = next(base, None)
        if new.kind != UNKNOWN:
            match, is_same, looks = None, False, NEW
            if old is not None and old.path == path:
                if old.has_content:
                    match = old
                    is_same = _is_same(new, old) and not (is_impaired and condition.wants_again(old))
                    looks = AS_IT_WAS if is_same else ANOTHER
                    is_same = is_same and trusts_times
                else:
                    looks = AS_IT_WAS if _is_alike(new, old) else ANOTHER
                old = next(base, None)
            as_found[looks] += 1
            yield Change(new, match, is_same, looks)
        while new.is_closed and old is not None and is_below(old.path, path):
            if condition.has_lost(old):
                gone += 1
            else:
                as_found[AS_IT_WAS] += 1
                yield Change(None, old, is_same=True)
            old = next(base, None)
    if counts is not None:
        counts.new += as_found[NEW]
        counts.changed += as_found[ANOTHER]
        counts.unchanged += as_found[AS_IT_WAS]
        counts.gone += gone + (old is not None) + sum(1 for _left in base)


def _is_same(new: Found, old: Entry) -> bool:
    status = new.status
    return (
        status is not None
        and new.kind == FILE
        and status.st_mtime_ns == old.mtime
        and status.st_size == old.size
        and status.st_ctime_ns == old.ctime
        and inode_of(status) == old.inode
        and not old.is_racy
        and not old.is_stale
    )


def _is_alike(new: Found, old: Entry) -> bool:
    """Tell whether what has no content of its own is what it was."""
    status = new.status
    return (
        status is not None
        and new.kind == old.kind
        and status.st_mtime_ns == old.mtime
        and stat.S_IMODE(status.st_mode) == old.mode
        and (status.st_uid, status.st_gid) == (old.uid, old.gid)
    )
