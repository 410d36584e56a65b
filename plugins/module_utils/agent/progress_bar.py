# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run has come: a bar where a person watches on a terminal, now and then a plain line in a log.

A run only leaves word of where it is; a thread of its own draws, so that a slow terminal never holds up a backup, and
the rate falls to nothing when nothing goes on.
"""

from __future__ import annotations

import os
import threading
import time
import typing as t
from collections import deque
from contextlib import contextmanager, nullcontext

from ..progress import SILENT
from ..words import printable, shortened, size_text, span_text, width_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..progress import Progress
    from .terminal import Terminal

_DRAWN_EVERY, _LOGGED_EVERY = 0.2, 30.0  # seconds
_PATIENCE = 1.0
_SPAN = 10.0  # seconds over which the rate is taken
_WIDTH, _BAR = 80, 20  # columns: of a terminal that does not tell, and of the bar itself
_NARROW = 60


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
        return [f"{now.entries:,} entries"] if now.entries else []
    facts = [size_text(now.done) if now.total is None else f"{size_text(now.done)} of {size_text(now.total)}"]
    if rate:
        facts.append(f"{size_text(int(rate))}/s")
        if now.total is not None and now.total > now.done:
            facts.append(f"{span_text((now.total - now.done) / rate)} left")
    return facts


def bar_line(now: Now, rate: float | None, width: int) -> str:
    """Return the line that shows where a run is in at most *width* columns."""
    parts = [f"{now.phase:<9}"]
    share = now.share
    if share is not None:
        parts.append(f"{int(share * 100):3d}%")
        if width >= _NARROW:
            full = int(share * _BAR)
            parts.append(f"[{'#' * full}{'-' * (_BAR - full)}]")
    for fact in facts_of(now, rate):
        if width_of("  ".join([*parts, fact])) <= width:
            parts.append(fact)
    line = "  ".join(parts)
    room = width - width_of(line) - 2
    item = shortened(printable(now.item), room) if now.item and room > 0 else ""
    return f"{line}  {item}" if item else line[:width]


def log_line(now: Now, rate: float | None) -> str:
    """Return the line that tells where a run is in a log."""
    share = now.share
    facts = [*([f"{int(share * 100)} %"] if share is not None else []), *facts_of(now, rate)]
    told = f"{now.phase} {', '.join(facts)}" if facts else now.phase
    return f"{told}: {printable(now.item)}" if now.item else told


class _Watch:
    """What a run reports to; :meth:`look` is called now and then by a thread of its own."""

    def __init__(self, every: float, clock: Callable[[], float]) -> None:
        self.now = Now()
        self.pace = Pace()
        self.clock = clock
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, name="progress", daemon=True)

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        self.now = Now(phase, done, total, entries, item)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():  # it may hang, as long as somebody holds the terminal by Ctrl-S
            self.end()

    def _go(self) -> None:
        while not self._over.wait(self._every):
            self.look()

    def look(self) -> None:
        """Tell where the run is."""

    def end(self) -> None:
        """Leave nothing behind that would be in the way of what is said next."""


class Bar(_Watch):
    """Draws over one line of a terminal, and removes it in the end."""

    def __init__(
        self, stream: t.TextIO, *, every: float = _DRAWN_EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(every, clock)
        self._stream = stream
        self._drawn = 0

    def look(self) -> None:
        now = self.now
        if now.phase:
            # The last column stays free: some terminals go on to the next line behind it.
            self._draw(bar_line(now, self.pace.look(now, self.clock()), _columns(self._stream) - 1))

    def end(self) -> None:
        if self._drawn:
            self._draw("")
            self._write("\r")

    def _draw(self, line: str) -> None:
        width = width_of(line)
        self._write(f"\r{line}{' ' * (self._drawn - width)}")
        self._drawn = width

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone, which is no reason to end a backup
            self._over.set()


class Log(_Watch):
    """Writes a line when a phase begins, and one every half a minute."""

    def __init__(
        self,
        tell: Callable[[str], None],
        title: str,
        *,
        every: float = _LOGGED_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(every, clock)
        self._tell = tell
        self._title = title
        self._phases: set[str] = set()

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        super().report(phase, done=done, total=total, entries=entries, item=item)
        if phase not in self._phases:
            self._phases.add(phase)
            self.pace.look(self.now, self.clock())
            self._tell(f"{self._title}: {phase}")

    def look(self) -> None:
        now = self.now
        if now.phase:
            self._tell(f"{self._title}: {log_line(now, self.pace.look(now, self.clock()))}")


def _columns(stream: t.TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


class Remembering:
    """Passes on what is reported, and remembers which phase was reported last."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.phase = ""

    def report(self, phase: str, *, done: int = 0, total: int | None = None, entries: int = 0, item: str = "") -> None:
        self.phase = phase
        self._progress.report(phase, done=done, total=total, entries=entries, item=item)


@contextmanager
def watched(terminal: Terminal, title: str) -> Iterator[Remembering]:
    """Show the run *title* on *terminal* while the block runs."""
    watch: AbstractContextManager[Progress]
    if terminal.is_silent:
        watch = nullcontext(SILENT)
    elif terminal.err.isatty():
        watch = Bar(terminal.err)
    else:
        watch = Log(terminal.tell, title)
    with watch as progress:
        yield Remembering(progress)
