# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a run on a host is looked at, and what is said of it when; nothing here knows Ansible.

Many hosts are watched at once, each by a process of its own that knows nothing of the others. So each makes itself
rarer by how many there are, and they take turns by the clock: all together print some lines a second at most.
"""

from __future__ import annotations

import typing as t

from ..module_utils.watching import Pace, place_of
from ..module_utils.words import printable, shortened, span_text, width_of

if t.TYPE_CHECKING:
    from ..module_utils.watching import Now

_FIRST_LINE, _LINES_EVERY, _LINES_EVERY_AT_MOST = 2.0, 5.0, 60.0  # seconds
_SHARE = 20  # the longer a run lasts, the rarer its lines: some twenty by the time it lasts e times as long
_LATE, _OVERDUE = 2.0, 1.0
_LINES_A_SECOND, _LOOKS_A_SECOND = 3.0, 10.0  # of all hosts together
#: Seconds without an answer after which a host counts as unreachable.
PATIENCE = 300.0
_LOST_AT_LEAST = 2  # looks before a word is said: one that is lost is nothing
_RESULT_WITHIN = 10.0  # seconds
#: Seconds without a sign of life after which a run counts as dead, if nobody sees whether its process is there.
BEATS_WITHIN = 180.0
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.2, 2.0, 1.5


class Crowd(t.NamedTuple):
    """How many hosts are watched at once, and which of them this one is, from 0."""

    size: int = 1
    position: int = 0

    def turn_after(self, moment: float) -> float:
        """Return the moment at or after *moment* when it is this one's turn to say something.

        Moments are seconds of one clock that all hosts' processes share, so they take turns whenever each has begun.
        """
        if self.size <= 1:
            return moment
        round_ = self.size / _LINES_A_SECOND
        turn = self.position % self.size / _LINES_A_SECOND
        return moment + (turn - moment) % round_

    @property
    def lines_every(self) -> float:
        """The least seconds between two lines of this one."""
        return max(_LINES_EVERY, self.size / _LINES_A_SECOND)

    @property
    def longest_pause(self) -> float:
        """The most seconds between two looks at this one."""
        return max(_LONGEST_PAUSE, self.size / _LOOKS_A_SECOND)


class Pauses:
    """How many seconds to wait before the next look: few at first, since most runs are short."""

    def __init__(self, crowd: Crowd) -> None:
        self._longest = crowd.longest_pause
        self._next = _FIRST_PAUSE

    def next(self) -> float:
        """Return them."""
        pause, self._next = self._next, min(self._next * _GROWTH, self._longest)
        return pause


class Contact:
    """What is known of a run by looking at it: whether the host answers, and whether the run lives.

    Moments are seconds of one clock.
    """

    def __init__(self, began: float) -> None:
        self._answered = began
        self._lost = 0
        self._beat: int | None = None
        self._beaten = self._lived = began
        self._gone: float | None = None
        self._is_missed = False

    def lose(self, moment: float) -> str | None:
        """Take in that the host could not be asked, and return what is to be said of that: once, and not at once."""
        self._lost += 1
        if self._lost != _LOST_AT_LEAST:
            return None
        return (
            f"the host has not answered for {span_text(moment - self._answered)}, trying again; the run goes on there"
        )

    def is_given_up(self, moment: float) -> bool:
        """Tell whether the host has not answered for so long that nobody should wait any more."""
        return moment - self._answered >= PATIENCE

    def hear(self, moment: float) -> str | None:
        """Take in that the host answers, and return what is to be said of that."""
        was_lost, self._lost = self._lost >= _LOST_AT_LEAST, 0
        since, self._answered = moment - self._answered, moment
        if was_lost:
            self._beaten = self._lived = moment
            self._gone = None
        return f"the host answers again, after {span_text(since)}" if was_lost else None

    def is_dead(self, beat: int | None, moment: float, *, is_alive: bool | None) -> bool:
        """Take in the *beat* of a run without a result, and whether its process is there; tell if none will come.

        *is_alive* is None where nobody knows: then the beat tells. A process that is gone may have left its result,
        which is on its way; one that is there is alive, even if it cannot tell anything any more.
        """
        if beat != self._beat:
            self._beat, self._beaten, self._lived, self._is_missed = beat, moment, moment, False
        if is_alive:
            self._lived = moment
        if is_alive is not False:
            self._gone = None
        elif self._gone is None:
            self._gone = moment
        is_gone = self._gone is not None and moment - self._gone >= _RESULT_WITHIN
        return is_gone or moment - self._lived >= BEATS_WITHIN

    def miss(self, moment: float) -> str | None:
        """Return what is to be said, once, of a run that is not dead, and tells nothing any more."""
        since = moment - self._beaten
        if since < BEATS_WITHIN or self._is_missed:
            return None
        self._is_missed = True
        return f"the run lives, but has not told for {span_text(since)} where it is; the disk there may be full"


class Lines:
    """The lines on one run: each begins with *title*, and is no wider than *width* columns if that can be.

    With *is_secret* nothing is told that has a name. *due* is when the next look may have a line.
    """

    def __init__(self, title: str, crowd: Crowd, began: float, *, width: int, is_secret: bool = False) -> None:
        self._title = printable(title)
        self._crowd = crowd
        self._began = began
        self.due = crowd.turn_after(began + _FIRST_LINE)
        self._width = width
        self._is_secret = is_secret
        self._pace = Pace()
        self._told: Now | None = None
        self._has_waited = False

    def look(self, now: Now, moment: float) -> str | None:
        """Take in where the run is at *moment*, and return the line to print, if it is time for one."""
        rate = self._pace.look(now, moment)
        since = moment - self.due
        if since < 0 or not now.phase or (now == self._told and since < _LINES_EVERY_AT_MOST):
            return None
        if since > _OVERDUE and self._crowd.size > 1 and not self._has_waited:
            # Whatever held up this look held up those at the other hosts as well: they would all print now.
            self._has_waited = True
            self.due = self._crowd.turn_after(moment)
            return None
        self._has_waited = False
        self._told = now
        rarer = min((moment - self._began) / _SHARE, _LINES_EVERY_AT_MOST)
        apart = max(rarer, self._crowd.lines_every)
        # A look comes some time after its turn: so that no turn is missed for that, the next may be a bit earlier.
        self.due = self._crowd.turn_after(moment + apart - min(_LATE, apart / 2))
        return self._line(now, rate)

    def pause(self, longest: float, moment: float) -> float:
        """Return the seconds to wait at *moment* before the next look, so that no turn is missed."""
        return min(longest, self.due - moment) if self.due > moment else longest

    def _line(self, now: Now, rate: float | None) -> str:
        if self._is_secret:
            return self.say(now.phase if now.share is None else f"{now.phase} {int(now.share * 100)} %")
        line = self.say(place_of(now, rate))
        room = self._width - width_of(line) - 2
        item = shortened(printable(now.item), room) if now.item and room > 0 else ""
        return f"{line}: {item}" if item else line

    def say(self, sentence: str) -> str:
        """Return *sentence* as a line on this run."""
        return f"{self._title}: {sentence}"


def title_of(
    host: str, module: str, names: t.Iterable[object], label: object = None, *, is_secret: bool = False
) -> str:
    """Return what the lines on a run begin with: the first of *names* is its own, *label* tells it from its like."""
    if is_secret:
        return f"[{host}] {module}"
    name = next((str(name) for name in names if isinstance(name, str) and name), "")
    told = f"[{host}] {module} {name!r}" if name else f"[{host}] {module}"
    is_text = isinstance(label, (str, int)) and not isinstance(label, bool)
    return f"{told} ({label})" if is_text and str(label) not in ("", name) else told
