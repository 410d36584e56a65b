# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who watches a run: it learns where the run is, and tells it in words now and then, from a thread of its own.

A run only leaves word of where it is, so that whoever reads it slowly never holds up a backup; and the rate falls to
nothing when nothing goes on.
"""

from __future__ import annotations

import threading
import typing as t
from collections import deque

from .words import counted, printable, size_text, span_text

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .progress import Progress

_PATIENCE = 1.0
_SPAN = 10.0  # seconds over which the rate is taken


class Now(t.NamedTuple):
    """Where a run is, as it was reported last."""

    phase: str = ""
    done: int = 0
    total: int | None = None
    entries: int = 0
    item: str = ""

    @property
    def share(self) -> float | None:
        """How much of the work of this phase is done, or None where nobody can tell."""
        return min(1.0, self.done / self.total) if self.total else None


class Pace:
    """How fast a phase goes, from what was done in the last seconds."""

    def __init__(self) -> None:
        self._phase = ""
        self._looks: deque[tuple[float, int]] = deque()

    def look(self, now: Now, moment: float) -> float | None:
        """Take in where the run is at *moment*; return the bytes a second, or None where that is not known yet."""
        if now.phase != self._phase:
            self._phase = now.phase
            self._looks.clear()
        self._looks.append((moment, now.done))
        while len(self._looks) > 2 and moment - self._looks[0][0] > _SPAN:
            self._looks.popleft()
        began, done = self._looks[0]
        return (now.done - done) / (moment - began) if moment > began and now.done > done else None


def facts_of(now: Now, rate: float | None) -> list[str]:
    """Return what is known in numbers: bytes, rate and the time that is left, or entries where no bytes count."""
    if not (now.done or now.total):
        return [counted(now.entries, "entry", "entries")] if now.entries else []
    facts = [size_text(now.done) if now.total is None else f"{size_text(now.done)} of {size_text(now.total)}"]
    if rate:
        facts.append(f"{size_text(int(rate))}/s")
        if now.total is not None and now.total > now.done:
            facts.append(f"{span_text((now.total - now.done) / rate)} left")
    return facts


def place_of(now: Now, rate: float | None) -> str:
    """Return where a run is, in words and numbers, without what it is at."""
    share = now.share
    facts = [*([f"{int(share * 100)} %"] if share is not None else []), *facts_of(now, rate)]
    return f"{now.phase} {', '.join(facts)}" if facts else now.phase


def log_line(now: Now, rate: float | None) -> str:
    """Return the line that tells where a run is in a log."""
    told = place_of(now, rate)
    return f"{told}: {printable(now.item)}" if now.item else told


class Watch:
    """What a run reports to; :meth:`look` is called every so many seconds by a thread of its own."""

    def __init__(self, every: float, clock: Callable[[], float]) -> None:
        self.now = Now()
        self.pace = Pace()
        self.clock = clock
        self._every = every
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._go, name="progress", daemon=True)

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        self.now = Now(phase, done, total, entries, item)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():  # it may hang, as long as somebody holds the terminal by Ctrl-S
            self.end()

    def _go(self) -> None:
        while not self.over.wait(self._every):
            self.look()

    def look(self) -> None:
        """Tell where the run is."""

    def end(self) -> None:
        """Leave nothing behind that would be in the way of what is said next."""


class Remembering:
    """Passes on what is reported, and remembers which phase was reported last."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.phase = ""

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        self.phase = phase
        self._progress.report(phase, done=done, total=total, entries=entries, item=item)
