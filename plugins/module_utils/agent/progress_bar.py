# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run has come: a bar where a person watches on a terminal, now and then a plain line in a log."""

from __future__ import annotations

import os
import time
import typing as t
from contextlib import contextmanager, nullcontext

from ..progress import SILENT
from ..watching import Remembering, Watch, facts_of, log_line
from ..words import printable, shortened, width_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..progress import Progress
    from ..watching import Now
    from .terminal import Terminal

_DRAWN_EVERY, _LOGGED_EVERY = 0.2, 30.0  # seconds
_WIDTH, _BAR = 80, 20  # columns: of a terminal that does not tell, and of the bar itself
_NARROW = 60


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


class Bar(Watch):
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
            self.over.set()


class Log(Watch):
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
