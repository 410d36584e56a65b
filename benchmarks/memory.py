# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a process and all that it started hold together, looked at again and again."""

from __future__ import annotations

import os
import typing as t
from contextlib import suppress
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Descendants:
    """The processes that *root* has started, and those that they have; not *root* itself.

    It is cheap to ask often: of each process it reads once whose child it is, and of *older* ones than *root* never.
    """

    def __init__(self, root: int, older: Iterable[int]) -> None:
        self._root = root
        self._strangers = set(older)
        self._members: set[int] = set()
        self._peak = 0

    @property
    def peak(self) -> int:
        """The most that they were seen to hold at one moment, in bytes."""
        return self._peak

    def look(self) -> None:
        """See what they hold now: the sum of their resident memory, where what several share counts for each."""
        alive = set(processes())
        self._strangers &= alive
        self._members &= alive
        for process in sorted(alive - self._strangers - self._members - {self._root}):
            self._sort_in(process)
        self._peak = max(self._peak, sum(_resident(process) for process in self._members))

    def _sort_in(self, process: int) -> None:
        parent = _parent(process)
        is_member = parent == self._root or parent in self._members
        (self._members if is_member else self._strangers).add(process)


def processes() -> Iterator[int]:
    """Yield the ids of all processes that there are."""
    yield from (int(name) for name in os.listdir(_PROC) if name.isdecimal())  # noqa: PTH208 - it is asked often


def _parent(process: int) -> int | None:
    with suppress(OSError):
        # The name stands in brackets and may hold anything; state and parent follow the last one.
        return int((_PROC / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return None


def _resident(process: int) -> int:
    with suppress(OSError):
        return int((_PROC / str(process) / "statm").read_text("ascii").split()[1]) * _PAGE
    return 0
