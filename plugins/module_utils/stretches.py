# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that is wanted, and who brings it: the seam between what restores files and what reads a backup."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .errors import BackupError

    Take = Callable[["Stretch", memoryview], None]
    Lose = Callable[["Stretch", BackupError], None]


class Stretch(t.NamedTuple):
    """Content that is wanted: *size* bytes of *volume* from *offset* on; what a volume is, the source knows."""

    volume: str
    offset: int
    size: int


class Source(t.Protocol):
    """Where the content comes from; where it *reads_all*, what lies before what is wanted is read as well."""

    @property
    def reads_all(self) -> bool: ...

    def bring(self, stretches: Iterator[Stretch], take: Take, lose: Lose) -> None:
        """Bring the content of *stretches*, which come in the order of volume and offset, and do not overlap.

        Each is given to *take* in pieces, in order, several of them in turn perhaps; a piece may be overwritten after
        the call. Of one that cannot be had, *lose* is told why, whether or not a part of it was taken. *stretches*,
        *take* and *lose* are only used in the thread that called this; what they raise ends it.

        Raise BackupError where nothing more at all can be had.
        """
