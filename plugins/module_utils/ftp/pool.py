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
from contextlib import contextmanager, suppress
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

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .session import Session

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_FINAL = (LoginError, RefusedError, TrustError)


@dataclass(frozen=True)
class Patience:
    """How often a failed attempt to connect is repeated, and how long is waited in between.

    *retries* counts failed attempts; 0 is without end, as the seed has it. With *only_busy*, nothing but a busy
    server is worth waiting for: somebody is there to mend the rest.
    """

    retries: int
    only_busy: bool = False
    pause: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def wait(self, failed: int, error: StorageError) -> None:
        """Wait before the next attempt after *failed* ones, or raise *error* when there have been enough."""
        is_worth_it = isinstance(error, BusyError) or (
            not self.only_busy and isinstance(error, (UnreachableError, InterruptedTransferError))
        )
        if not is_worth_it or 0 < self.retries <= failed:
            raise error
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failed - 1, 16))
        self.pause(longest * (0.5 + self.jitter() / 2))


class ConnectionPool:
    """Logged-in sessions for many threads, at most *limit* at a time (0: no cap of ours).

    A thread that waits for a session is served in the order it came. Until the first one is logged in, no other is
    tried: a wrong password is sent once, not once a thread. A busy server lowers the cap for the run as long
    as other sessions are open; only the last one left waits for the server.
    """

    def __init__(self, connect: Callable[[], Session], limit: int, patience: Patience) -> None:
        self._connect = connect
        self._limit = limit
        self._patience = patience
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._idle: list[Session] = []
        self._open = 0
        self.most_open = 0
        self._is_closed = False
        self._is_proved = False
        self._refusal: StorageError | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend one session for as long as the block lasts."""
        session = self._take()
        try:
            yield session
        except StorageError:
            raise
        except BaseException:
            session.close()  # nobody knows what is still on its way there
            raise
        finally:
            self._give_back(session)

    def _take(self) -> Session:
        failed = 0
        while True:
            idle = self._place()
            if idle is not None:
                return idle
            try:
                return self._new_session()
            except StorageError as error:
                failed += 1
                self._give_up_place(error)
                if not (isinstance(error, BusyError) and self._open):
                    self._patience.wait(failed, error)
            except BaseException:
                self._give_up_place(None)
                raise

    def _new_session(self) -> Session:
        session = self._connect()
        with self._changed:
            self._is_proved = True
            self._changed.notify_all()
        return session

    def _place(self) -> Session | None:
        """Wait for our turn; return an idle session, or None with a place kept for a new one."""
        me = object()
        with self._changed:
            self._queue.append(me)
            try:
                self._changed.wait_for(lambda: self._queue[0] is me and (self._refusal or self._has_room()))
                if self._refusal is not None:
                    raise self._refusal
            finally:
                self._queue.remove(me)
                self._changed.notify_all()
            while self._idle:
                session = self._idle.pop()
                if not session.is_broken:
                    return session
                self._open -= 1
            self._open += 1
            self.most_open = max(self.most_open, self._open)
            return None

    def _has_room(self) -> bool:
        may_open = self._open == 0 or (self._is_proved and (not self._limit or self._open < self._limit))
        return bool(self._idle) or may_open

    def _give_up_place(self, error: StorageError | None) -> None:
        with self._changed:
            self._open -= 1
            if isinstance(error, BusyError) and self._open:
                self._limit = self._open
            if isinstance(error, _FINAL) and not self._is_proved:
                self._refusal = error
            self._changed.notify_all()

    def _give_back(self, session: Session) -> None:
        with self._changed:
            is_kept = not (session.is_broken or self._is_closed)
            if is_kept:
                self._idle.append(session)
            else:
                self._open -= 1
            self._changed.notify_all()
        if not is_kept:
            session.quit()

    def open_early(self, count: int) -> None:
        """Log in *count* sessions at once in the background, so that the first work finds them ready."""
        for _number in range(count if not self._limit else min(count, self._limit)):
            threading.Thread(target=self._warm_up, daemon=True).start()

    def _warm_up(self) -> None:
        # What fails here fails again, in sight, for whoever needs the session.
        with suppress(StorageError), self.session():
            pass

    def close(self) -> None:
        """Say goodbye on every idle session, and on each other one when it is given back."""
        with self._changed:
            self._is_closed = True
            sessions, self._idle = self._idle, []
            self._open -= len(sessions)
        for session in sessions:
            session.quit()
