# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One limit on the data of all connections of a run."""

from __future__ import annotations

import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 256 * 1024
_SMALLEST_PIECE = 1024
_PIECES_A_SECOND = 20  # small enough that no connection stands still for long, whatever the limit


class Traffic:
    """How many bytes the data connections have moved so far, in each direction, failed transfers among them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.sent = 0
        self.received = 0

    def add(self, *, sent: int = 0, received: int = 0) -> None:
        with self._guard:
            self.sent += sent
            self.received += received


class Bandwidth:
    """At most *limit* bytes a second (0: as many as there are), however many connections share them.

    What is moved is counted in *traffic*. Each piece is given its time on one common scale, so that the mean is kept
    and nothing is saved up for a burst.
    """

    def __init__(
        self,
        limit: int,
        traffic: Traffic | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.traffic = traffic or Traffic()
        self._limit = limit
        self._clock = clock
        self._pause = pause
        self._guard = threading.Lock()
        self._free_at = clock()

    @property
    def is_limited(self) -> bool:
        return self._limit > 0

    @property
    def piece(self) -> int:
        """How many bytes are best moved between two calls of :meth:`spend`."""
        if not self._limit:
            return _PIECE
        return min(_PIECE, max(_SMALLEST_PIECE, self._limit // _PIECES_A_SECOND))

    def spend(self, count: int) -> None:
        """Wait until *count* more bytes may have been moved."""
        if not self._limit:
            return
        with self._guard:
            now = self._clock()
            self._free_at = max(now, self._free_at) + count / self._limit
            wait = self._free_at - now
        self._pause(wait)
