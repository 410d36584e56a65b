# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed of a tree: each thing that was found, beside what an earlier restore point has under its path."""

from __future__ import annotations

import typing as t

from .native.entries import FILE, order_key
from .scan import UNKNOWN, inode_of, is_below

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .native.damage import Condition
    from .native.entries import Entry
    from .scan import Found


class Change(t.NamedTuple):
    """Something found, what the base has under the same path, and whether its content is surely the same.

    Without *found*, it is *base* that is taken over: nobody could look whether it is still there.
    """

    found: Found | None
    base: Entry | None
    is_same: bool


def compare(
    found: Iterator[Found], base: Iterator[Entry], condition: Condition, *, trusts_times: bool = True
) -> Iterator[Change]:
    """Yield each thing *found* beside what *base* has under its path; both come in the order of a manifest.

    Content that the *condition* of the pool does not let stand is not the same. What *base* has below a directory that
    could not be looked into is taken over. With *trusts_times*, a file whose times, size and inode are the same is.
    """
    old = next(base, None)
    for new in found:
        path = new.path
        if old is not None and old.path != path:
            key = order_key(path)
            while old is not None and order_key(old.path) < key:
                old = next(base, None)
        if new.kind != UNKNOWN:
            match = None
            if old is not None and old.path == path:
                match = old if old.has_content else None
                old = next(base, None)
            is_same = trusts_times and match is not None and _is_same(new, match) and not condition.wants_again(match)
            yield Change(new, match, is_same)
        while new.is_closed and old is not None and is_below(old.path, path):
            if not condition.has_lost(old):
                yield Change(None, old, is_same=True)
            old = next(base, None)


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
