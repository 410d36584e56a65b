# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who watches runs in tests: some remember what they were told, and some end the run by what they raise."""

from __future__ import annotations

import itertools
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable


class Told(t.NamedTuple):
    """One report."""

    phase: str
    done: int
    total: int | None
    entries: int
    item: str


class Watcher:
    """Remembers all that it is told, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._is_busy = threading.Lock()

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        assert self._is_busy.acquire(blocking=False), "two threads tell something at once"
        try:
            self.told.append(Told(phase, done, total, entries, item))
        finally:
            self._is_busy.release()

    @property
    def phases(self) -> list[str]:
        """The phases in the order in which they were told; one that was left and told again is there twice."""
        return [phase for phase, _reports in itertools.groupby(self.told, key=lambda told: told.phase)]

    def of(self, phase: str) -> list[Told]:
        return [told for told in self.told if told.phase == phase]

    def last(self, phase: str) -> Told:
        return self.of(phase)[-1]

    def assert_sound(self) -> None:
        """Assert that what was told can be drawn as a bar, of a run that went well."""
        assert len(self.phases) == len(set(self.phases)), self.phases
        for phase in self.phases:
            reports = self.of(phase)
            for before, after in zip(reports, reports[1:]):
                assert before.done <= after.done, (before, after)
                assert before.entries <= after.entries, (before, after)
            for told in reports:
                assert told.total is None or 0 <= told.done <= told.total, told
            assert reports[-1].done == (reports[-1].total or 0), reports[-1]


class Interrupter(Watcher):
    """Ends the run by *error*, from the first report on that *is_time* says yes to."""

    def __init__(self, error: BaseException, is_time: Callable[[Told], bool]) -> None:
        super().__init__()
        self._error = error
        self._is_time = is_time
        self.has_raised = False

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        super().report(phase, done=done, total=total, entries=entries, item=item)
        self.has_raised = self.has_raised or self._is_time(self.told[-1])
        if self.has_raised:
            raise self._error
