# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual clock, and the lock of a job that goes by one: ten minutes of waiting pass at once."""

from __future__ import annotations

import typing as t

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.lock import JobLock

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path, Storage


class Clock:
    """A virtual clock: whoever pauses moves it; something may happen at each pause."""

    def __init__(self, happens: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self._happens = happens

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self._happens()


def hurried_lock(
    storage: Storage,
    directory: Path,
    owner: str,
    run: str,
    *,
    marked: Callable[[], AbstractContextManager[bool]],
    lives: Callable[[str], bool],
) -> JobLock:
    """Return a lock as runs make it, for which every pause is over at once."""
    clock = Clock()
    return JobLock(storage, directory, owner, run, marked=marked, lives=lives, clock=clock, pause=clock.pause)
