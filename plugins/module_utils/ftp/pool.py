# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool of connections: one cap for all work of a run, and patience with a server that is busy or away."""

from __future__ import annotations

import random
import threading
import time
import typing as t
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import (
    BusyError,
    InterruptedTransferError,
    LoginError,
    RefusedError,
    StorageError,
    TrustError,
    UnreachableError,
)
from .bandwidth import Traffic
from .places import Anywhere

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .places import Place, Places
    from .session import Session

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_LONGEST_PAUSE_FOR_A_PLACE = 10.0  # one that gets free should not lie idle, and asking costs next to nothing
_DEADLINE = 3600.0
_DEADLINE_WHILE_WATCHED = 300.0
_LOOK = 0.05  # how often a free place is looked for while other processes have them all
_JANITOR_LOOK = 0.25
_FAREWELL = 5.0
_TURN = 2.0  # for so long a connection is kept though others wait: a login costs more than many small deeds
_FINAL = (LoginError, RefusedError, TrustError)


@dataclass(frozen=True)
class Patience:
    """How often a failed attempt to connect is repeated, and how long is waited in between.

    *retries* counts failed attempts; 0 is without end, as the seed has it. Any other number also ends at the
    *deadline*, so many seconds after the first one. A server that is busy has answered: to be told to wait is no
    failure but what happens to a fleet every night, so it is waited for until the deadline. With *only_busy*, nothing
    else is worth waiting for, and not for so long: somebody is there to mend the rest.
    """

    retries: int
    only_busy: bool = False
    deadline: float = _DEADLINE
    pause: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def wait(self, tries: Tries, error: StorageError) -> None:
        """Wait before the next attempt after *tries*, which ended in *error*, or raise it if it is enough."""
        is_busy = isinstance(error, BusyError)
        is_worth_it = is_busy or (
            not self.only_busy and isinstance(error, (UnreachableError, InterruptedTransferError))
        )
        pause = self._length(tries, is_busy=is_busy)
        deadline = min(self.deadline, _DEADLINE_WHILE_WATCHED) if self.only_busy else self.deadline
        is_late = self.retries > 0 and self.clock() + pause - tries.began > deadline
        is_spent = 0 < self.retries <= tries.failed
        if not is_worth_it or is_spent or is_late:
            error.is_final = True
            if tries.count > 1:
                error.args = (f"{error} It was tried {tries.count} times.",)
            raise error
        self.pause(pause)

    def _length(self, tries: Tries, *, is_busy: bool) -> float:
        cap = _LONGEST_PAUSE_FOR_A_PLACE if is_busy else _LONGEST_PAUSE
        longest: float = min(cap, _FIRST_PAUSE * 2 ** min(tries.count - 1, 16))
        return longest * (0.5 + self.jitter() / 2)


@dataclass
class Tries:
    """The attempts of one thread to connect, none of which has led to a session: when, how many, how many failed."""

    began: float
    count: int = 0
    failed: int = 0

    def add(self, error: StorageError) -> None:
        self.count += 1
        self.failed += not isinstance(error, BusyError)


@dataclass
class Reports:
    """What happened on the way that a user should know of: nobody should take waiting for hanging."""

    failed: int = 0
    last_failure: str = ""
    cap: int = 0
    busy_answer: str = ""

    def sentences(self, limit: int) -> tuple[str, ...]:
        """Return a sentence for each thing; *limit* is the cap that was asked for, 0 for none."""
        told = []
        if self.failed:
            attempts = "1 attempt" if self.failed == 1 else f"{self.failed} attempts"
            told.append(f"{attempts} to connect failed and had to be repeated; the last one: {self.last_failure}")
        if self.cap:
            wanted = f"max_connections ({limit})" if limit else "this run would have used"
            told.append(
                f"The server took no more than {self.cap} connection{'s' if self.cap > 1 else ''} of this host at a"
                f" time, fewer than {wanted}: {self.busy_answer}"
            )
        return tuple(told)


@dataclass
class _Lent:
    """A session, the place it has, and since when."""

    session: Session
    place: Place
    since: float


class ConnectionPool:
    """Logged-in sessions for many threads, at most *limit* at a time (0: no cap of ours), each with one of *places*.

    A thread that waits for a session is served in the order it came. Until the first one is logged in, no other sends a
    password, for which :meth:`before_login` has it wait: a wrong one is sent once, not once a thread. A busy server
    lowers the cap for the run as long as other sessions are open, of this process or of others on this host; only the
    last one left waits for the server.
    A session that others on this host wait for is given up when its turn is over or it lies idle.
    """

    def __init__(
        self,
        connect: Callable[[], Session],
        limit: int,
        patience: Patience,
        places: Places | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self.traffic = traffic or Traffic()
        self._connect = connect
        self._limit = self.asked_limit = limit
        self._patience = patience
        self._places = places if places is not None else Anywhere()
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._idle: list[_Lent] = []
        self._open = 0
        self.most_open = 0
        self.reports = Reports()
        self._is_closed = threading.Event()
        self._is_proved = False
        self._refusal: StorageError | None = None
        self._janitor: threading.Thread | None = None
        self._early: threading.Thread | None = None
        self._coming = 0
        self._prover: threading.Thread | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend one session for as long as the block lasts."""
        lent = self._take()
        try:
            yield lent.session
        except StorageError:
            raise
        except BaseException:
            lent.session.close()  # nobody knows what is still on its way there
            raise
        finally:
            self._give_back(lent)

    def _take(self) -> _Lent:
        tries: Tries | None = None
        while True:
            found = self._turn()
            if isinstance(found, _Lent):
                return found
            try:
                return self._new(found)
            except StorageError as error:
                if self._gave_up_place(found, error):
                    continue  # there are others to wait for
                tries = tries or Tries(self._patience.clock())
                tries.add(error)
                self._note_failure(error)
                self._patience.wait(tries, error)
            except BaseException:
                self._gave_up_place(found, None)
                raise

    def _note_failure(self, error: StorageError) -> None:
        with self._changed:
            self.reports.failed += 1
            self.reports.last_failure = str(error)

    def before_login(self) -> None:
        """Wait until no other thread is the first to log in; raise if the one that was is not let in."""
        me = threading.current_thread()
        with self._changed:
            self._changed.wait_for(lambda: self._is_proved or self._is_over() or self._prover in (None, me))
            self._require_going_on()
            if not self._is_proved:
                self._prover = me

    def _require_going_on(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        if self._is_closed.is_set():
            error = UnreachableError("The work was given up, and so were all connections.")
            error.is_final = True  # else whoever is still at work goes on trying, and nobody wants what comes of it
            raise error

    def _new(self, place: Place) -> _Lent:
        try:
            session = self._connect()
        finally:
            with self._changed:
                if self._prover is threading.current_thread():
                    self._prover = None
                    self._changed.notify_all()
        with self._changed:
            self._is_proved = True
            if self._janitor is None:
                self._janitor = threading.Thread(target=self._keep_tidy, name="connections", daemon=True)
                self._janitor.start()
            self._changed.notify_all()
        return _Lent(session, place, self._patience.clock())

    def _turn(self) -> _Lent | Place:
        """Wait for our turn; return an idle session, or the place for a new one."""
        me = object()
        with self._changed:
            self._queue.append(me)
            try:
                self._changed.wait_for(lambda: self._queue[0] is me and (self._is_over() or self._has_room()))
                while True:
                    self._require_going_on()
                    idle = self._idle_session()
                    if idle is not None:
                        return idle
                    if self._may_open() and (place := self._places.take()) is not None:
                        self._open += 1
                        self.most_open = max(self.most_open, self._open)
                        return place
                    self._changed.wait(_LOOK)
            finally:
                self._queue.remove(me)
                self._places.give_up()
                self._changed.notify_all()

    def _idle_session(self) -> _Lent | None:
        while self._idle:
            lent = self._idle.pop()
            if not lent.session.is_stale():
                return lent
            lent.place.free()
            self._open -= 1
        return None

    def _may_open(self) -> bool:
        if self._coming:  # one that is on its way is here sooner than a new one
            return self._open == self._coming and not self._is_proved
        return self._open == 0 or (self._is_proved and (not self._limit or self._open < self._limit))

    def _is_over(self) -> bool:
        return self._refusal is not None or self._is_closed.is_set()

    def _has_room(self) -> bool:
        return bool(self._idle) or self._may_open()

    def _gave_up_place(self, place: Place, error: StorageError | None) -> bool:
        """Count one connection less, and tell whether others are open that a busy server can be waited for with."""
        place.free()
        taken = self._places.narrow() if isinstance(error, BusyError) else 0
        with self._changed:
            self._open -= 1
            taken = max(taken, self._open)
            is_narrow = isinstance(error, BusyError) and taken > 0
            if is_narrow:
                self._limit = min(self._limit or taken, max(1, self._open or taken))
                self.reports.cap, self.reports.busy_answer = taken, str(error)
            if isinstance(error, _FINAL) and not self._is_proved:
                error.is_final = True
                self._refusal = error
            self._changed.notify_all()
        return is_narrow

    def _give_back(self, lent: _Lent) -> None:
        is_over = self._patience.clock() - lent.since > _TURN and self._places.are_wanted()
        with self._changed:
            is_kept = not (lent.session.is_broken or self._is_closed.is_set() or is_over)
            if is_kept:
                self._idle.append(lent)
                self._changed.notify_all()
        if not is_kept:
            self._end([lent])

    def _end(self, leaving: list[_Lent]) -> None:
        """Leave the server with all of *leaving*; a place is free when the server has noticed, not before."""
        for lent in leaving:
            lent.session.say_goodbye()
        for lent in leaving:
            lent.session.end()
            lent.place.free()
        with self._changed:
            self._open -= len(leaving)
            self._changed.notify_all()

    def _keep_tidy(self) -> None:
        """Give up what lies idle while others on this host wait for a place."""
        while not self._is_closed.wait(_JANITOR_LOOK):
            if self._idle and self._places.are_wanted():
                self._end(self._taken_idle())

    def _taken_idle(self) -> list[_Lent]:
        with self._changed:
            idle, self._idle = self._idle, []
            return idle

    def open_early(self, count: int, *, is_known: bool = True) -> None:
        """Log in *count* sessions at once in the background, so that the first work finds them ready.

        Of a server that is not known to let us in, the others wait for the first one before they even connect.
        """
        wanted = count if not self._limit else min(count, self._limit)
        if wanted:
            self._early = threading.Thread(target=self._warm_up, args=(wanted, is_known), name="early", daemon=True)
            self._early.start()

    def _warm_up(self, wanted: int, is_known: bool) -> None:  # noqa: FBT001 - a thread takes its arguments so
        others = [threading.Thread(target=self._open_another, daemon=True) for _number in range(wanted - 1)]
        for thread in others if is_known else ():
            thread.start()
        # What fails here fails again, in sight, for whoever needs the session.
        try:
            with self.session():
                pass
        except StorageError:
            others = others if is_known else []
        else:
            for thread in () if is_known else others:
                thread.start()
        for thread in others:
            thread.join()

    def _open_another(self) -> None:
        """Open one session more than the first, if there is a place; it waits with its password for that one."""
        with self._changed:
            has_room = not self._limit or self._open < self._limit - (not self._is_proved)
            place = self._places.take() if has_room and not self._is_over() else None
            self._places.give_up()
            if place is None:
                return
            self._open += 1
            self._coming += 1
            self.most_open = max(self.most_open, self._open)
        try:
            lent = self._new(place)
        except StorageError as error:
            if not self._gave_up_place(place, error):
                self._note_failure(error)
        else:
            self._give_back(lent)
        finally:
            with self._changed:
                self._coming -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Leave the server with every idle session, and with each other one when it is given back."""
        self._is_closed.set()
        with self._changed:
            self._changed.notify_all()
        self._end(self._taken_idle())
        if self._early is not None and self._open:
            self._early.join(_FAREWELL)  # what it has begun to open it also closes
