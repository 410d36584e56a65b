# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deeds that wait for the same far server, done at the same time."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    First = t.TypeVar("First")
    Second = t.TypeVar("Second")
    Item = t.TypeVar("Item")
    Result = t.TypeVar("Result")

_THREADS = 3  # as many as there are connections when a run begins; one more would take longer than waiting


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Return what *first* and *second* do, which run at the same time; what *first* raises comes first."""
    with ThreadPoolExecutor(1, "beside") as thread:
        beside = thread.submit(second)
        done = first()
        return done, beside.result()


def each(deed: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what *deed* makes of each of *items*, in their order; a few at a time."""
    with ThreadPoolExecutor(_THREADS, "beside") as threads:
        return list(threads.map(deed, items))
