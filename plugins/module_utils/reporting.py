# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every run tells of itself, whatever it did: of which destination, how much was moved, and how long it took."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from .errors import BackupError

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .outcome import Outcome
    from .storage import Storage


class Reporter:
    """A run that has to do with a destination, from its beginning on: all of them tell the same of themselves."""

    def __init__(self, destination: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._destination = destination
        self._clock = clock
        self._began = clock()

    def told(self, deed: Callable[[], Outcome], storage: Storage, *, made: str | None = None) -> Outcome:
        """Return the outcome of *deed*, on *storage*, with what is told of every run; so has one that an error holds.

        What the run has sent is not what it foretells: there the deed's own figure stands. The value that is named
        *made* tells itself what it has cost, unless it does so already.
        """
        try:
            outcome = deed()
        except BackupError as error:
            if error.outcome is not None:
                error.outcome = self._completed(error.outcome, storage, made)
            raise
        return self._completed(outcome, storage, made)

    def _completed(self, outcome: Outcome, storage: Storage, made: str | None) -> Outcome:
        values = {**self.measured(storage.bytes_sent, storage.bytes_received), **outcome.values}
        if made is not None:
            cost = {name: values[name] for name in ("bytes_sent", "duration")}
            values[made] = {**cost, **values[made]}
        return replace(outcome, values=values, warnings=(*outcome.warnings, *storage.reports()))

    def measured(self, sent: int = 0, received: int = 0) -> dict[str, t.Any]:
        """Return what is told of every run, which has moved so many bytes."""
        return {
            "destination": self._destination,
            "bytes_sent": sent,
            "bytes_received": received,
            "duration": round(self._clock() - self._began, 3),
        }
