# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cap on connections for many threads, and patience with a server that is busy or away."""

from __future__ import annotations

import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BusyError,
    InterruptedTransferError,
    LoginError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.places import HostPlaces
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.pool import ConnectionPool, Patience

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import Session as RealSession


class Session:
    """A session that knows whether it ended, and how."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.is_broken = False

    def is_stale(self) -> bool:
        return self.is_broken

    def close(self) -> None:
        if not self.is_broken:
            self.is_broken = True
            self._server.leave()

    def say_goodbye(self) -> None:
        """The server hears of it when the session ends."""

    end = close


class Server:
    """A server that lets *room* sessions in and refuses every other one; *answers* come before that, in turn."""

    def __init__(self, room: int = 1000, answers: tuple[StorageError | None, ...] = ()) -> None:
        self._room = room
        self._answers = list(answers)
        self._guard = threading.Lock()
        self.attempts = 0
        self.inside = 0
        self.most = 0

    def connect(self) -> RealSession:
        with self._guard:
            self.attempts += 1
            answer = self._answers.pop(0) if self._answers else None
            if answer is not None:
                raise answer
            if self.inside >= self._room:
                raise BusyError("421 Too many connections", code=421)
            self.inside += 1
            self.most = max(self.most, self.inside)
        return t.cast("RealSession", Session(self))

    def leave(self) -> None:
        with self._guard:
            self.inside -= 1


class Waits(list[float]):
    """The pauses somebody made, none of which took any time."""

    def patience(self, retries: int, *, only_busy: bool = False) -> Patience:
        return Patience(retries, only_busy=only_busy, pause=self.append, jitter=lambda: 1.0)


def work(pool: ConnectionPool, count: int, deed: Callable[[RealSession], None] = lambda _session: None) -> None:
    """Let *count* threads each use a session many times."""

    def use(_number: int) -> None:
        for _time in range(20):
            with pool.session() as session:
                deed(session)

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(use, range(count)))


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_cap_is_never_exceeded(limit: int) -> None:
    server = Server()
    pool = ConnectionPool(server.connect, limit, Waits().patience(1))

    work(pool, 16)

    assert server.most <= limit
    assert pool.most_open <= limit
    assert server.attempts <= limit


def test_the_cap_is_never_exceeded_while_sessions_break() -> None:
    server = Server()
    pool = ConnectionPool(server.connect, 3, Waits().patience(1))

    work(pool, 12, lambda session: session.close())

    assert server.most <= 3
    assert server.inside == 0


def test_a_busy_server_lowers_the_cap_and_all_work_is_done() -> None:
    server = Server(room=3)
    waits = Waits()
    pool = ConnectionPool(server.connect, 8, waits.patience(1))
    meet = threading.Barrier(3, timeout=60)
    with ThreadPoolExecutor(3) as threads:

        def hold(_number: int) -> None:
            with pool.session():
                meet.wait()

        list(threads.map(hold, range(3)))
    before = server.attempts

    work(pool, 8)

    assert server.most == 3
    assert waits == []
    assert server.attempts <= before + 8


def test_the_only_session_waits_for_a_busy_server() -> None:
    busy = BusyError("421 Too many connections", code=421)
    server = Server(answers=(busy, busy, busy))
    waits = Waits()

    with ConnectionPool(server.connect, 4, waits.patience(5)).session():
        pass

    assert waits == [0.5, 1.0, 2.0]


def test_waits_grow_up_to_a_minute_and_unlimited_patience_has_no_end() -> None:
    server = Server(answers=tuple(UnreachableError("no route") for _number in range(40)))
    waits = Waits()

    with ConnectionPool(server.connect, 1, waits.patience(0)).session():
        pass

    assert len(waits) == 40
    assert waits[:8] == [0.5, 1, 2, 4, 8, 16, 32, 60]
    assert set(waits[8:]) == {60}


@pytest.mark.parametrize("error", [UnreachableError("no route"), InterruptedTransferError("reset")])
@pytest.mark.parametrize("retries", [1, 2, 5])
def test_retries_count_failed_attempts(error: StorageError, retries: int) -> None:
    server = Server(answers=(error,) * 10)
    waits = Waits()

    with pytest.raises(type(error)), ConnectionPool(server.connect, 4, waits.patience(retries)).session():
        pass

    assert (server.attempts, len(waits)) == (retries, retries - 1)


@pytest.mark.parametrize("retries", [0, 1, 5])
@pytest.mark.parametrize("error", [LoginError("530 Login incorrect.", code=530), RefusedError("500 no", code=500)])
def test_a_wrong_password_is_tried_exactly_once(error: StorageError, retries: int) -> None:
    server = Server(answers=(error,) * 10)
    waits = Waits()

    with pytest.raises(type(error)), ConnectionPool(server.connect, 4, waits.patience(retries)).session():
        pass

    assert (server.attempts, waits) == (1, [])


@pytest.mark.parametrize(("only_busy", "longest"), [(False, 3600), (True, 300)])
def test_a_busy_server_is_waited_for_until_the_deadline_however_few_retries(longest: int, *, only_busy: bool) -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    server = Server(answers=(BusyError("421"),) * 1000)
    patience = Patience(1, only_busy=only_busy, pause=pause, jitter=lambda: 1.0, clock=lambda: now[0])

    with pytest.raises(BusyError, match=r"tried \d+ times"), ConnectionPool(server.connect, 4, patience).session():
        pass

    assert longest - 10 <= now[0] <= longest


def test_waiting_for_a_place_uses_up_no_retries() -> None:
    server = Server(answers=(BusyError("421"), UnreachableError("no route")) * 2 + (UnreachableError("no route"),))
    waits = Waits()

    with pytest.raises(UnreachableError), ConnectionPool(server.connect, 4, waits.patience(3)).session():
        pass

    assert server.attempts == 5


def test_who_waits_only_for_a_busy_server_hears_of_any_other_trouble_at_once() -> None:
    server = Server(answers=(BusyError("421"), UnreachableError("no route")))
    waits = Waits()

    with (
        pytest.raises(UnreachableError),
        ConnectionPool(server.connect, 4, waits.patience(0, only_busy=True)).session(),
    ):
        pass

    assert (server.attempts, len(waits)) == (2, 1)


def test_threads_are_served_in_the_order_they_came() -> None:
    pool = ConnectionPool(Server().connect, 1, Waits().patience(1))
    served: list[int] = []

    def use(number: int) -> None:
        with pool.session():
            served.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    with pool.session():
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(pool._queue) < number:
                pass
    for thread in threads:
        thread.join()

    assert served == list(range(8))


def test_a_session_that_failed_without_breaking_is_used_again_and_one_in_doubt_is_not() -> None:
    server = Server()
    pool = ConnectionPool(server.connect, 1, Waits().patience(1))

    with pytest.raises(RefusedError), pool.session():
        raise RefusedError("550 no")
    with pool.session():
        pass
    assert server.attempts == 1

    with pytest.raises(ZeroDivisionError), pool.session():
        raise ZeroDivisionError
    with pool.session():
        pass
    assert server.attempts == 2


def test_closing_ends_every_idle_session() -> None:
    server = Server()
    pool = ConnectionPool(server.connect, 4, Waits().patience(1))
    work(pool, 4)

    pool.close()

    assert server.inside == 0


def test_a_session_that_is_given_back_after_the_end_is_ended() -> None:
    server = Server()
    pool = ConnectionPool(server.connect, 4, Waits().patience(1))

    with pool.session():
        pool.close()

    assert server.inside == 0


def test_repeated_attempts_and_a_lowered_cap_are_reported() -> None:
    server = Server(answers=(UnreachableError("Cannot connect: no route."),), room=1)
    waits = Waits()
    pool = ConnectionPool(server.connect, 4, waits.patience(3))
    assert pool.reports.sentences(4) == ()

    with ThreadPoolExecutor(1) as threads:
        with pool.session():
            other = threads.submit(work, pool, 1)
            while not pool.reports.cap:
                time.sleep(0.001)
        other.result()

    repeated, lowered = pool.reports.sentences(4)
    assert repeated == "1 attempt to connect failed and had to be repeated; the last one: Cannot connect: no route."
    assert "no more than 1 connection of this host" in lowered
    assert "max_connections (4)" in lowered
    assert "421 Too many connections" in lowered


def test_patience_ends_at_a_deadline_unless_it_is_without_end() -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    def attempts(retries: int) -> int:
        now[0] = 0.0
        server = Server(answers=(UnreachableError("no route"),) * 200)
        patience = Patience(retries, deadline=600, pause=pause, jitter=lambda: 1.0, clock=lambda: now[0])
        with (
            pytest.raises(UnreachableError, match=r"It was tried \d+ times\."),
            ConnectionPool(server.connect, 1, patience).session(),
        ):
            pass
        return server.attempts

    assert attempts(1000) == 16
    assert now[0] <= 600
    server = Server(answers=(UnreachableError("no route"),) * 50)
    endless = Patience(0, deadline=600, pause=pause, clock=lambda: now[0])
    with ConnectionPool(server.connect, 1, endless).session():
        assert server.attempts == 51


# -- the places of a host


def test_two_pools_of_a_host_share_its_places(tmp_path: Path) -> None:
    server = Server()
    pools = [ConnectionPool(server.connect, 3, Waits().patience(1), HostPlaces(tmp_path, 3)) for _number in range(4)]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda pool: work(pool, 4), pools))
    for pool in pools:
        pool.close()

    assert server.most <= 3
    assert server.inside == 0


def test_an_idle_session_is_given_up_for_another_pool_that_waits(tmp_path: Path) -> None:
    server = Server()
    idle, other = (
        ConnectionPool(server.connect, 1, Waits().patience(1), HostPlaces(tmp_path, 1)) for _number in range(2)
    )
    with idle.session():
        pass
    assert server.inside == 1

    with other.session():
        assert server.inside == 1

    assert server.attempts == 2
    with idle.session():
        assert server.most == 1
    for pool in (idle, other):
        pool.close()


def test_a_busy_server_is_no_failure_while_another_pool_of_the_host_has_its_connection(tmp_path: Path) -> None:
    server = Server(room=1)
    waits = Waits()
    first, second = (
        ConnectionPool(server.connect, 4, waits.patience(1), HostPlaces(tmp_path, 4)) for _number in range(2)
    )
    started = threading.Event()

    def use_second() -> None:
        started.set()
        with second.session():
            pass

    with first.session():
        thread = threading.Thread(target=use_second)
        thread.start()
        started.wait()
        while not second.reports.cap:
            time.sleep(0.001)
    thread.join()

    assert waits == []
    assert server.most == 1
    for pool in (first, second):
        pool.close()


def test_who_waits_for_a_place_is_told_when_all_is_over(tmp_path: Path) -> None:
    owner, waiting = (
        ConnectionPool(Server().connect, 1, Waits().patience(1), HostPlaces(tmp_path, 1)) for _number in range(2)
    )
    with owner.session(), ThreadPoolExecutor(1) as threads:

        def wait() -> None:
            with waiting.session():
                pass

        ending = threads.submit(wait)
        while not list(tmp_path.glob("waiting-*")):
            time.sleep(0.001)
        waiting.close()

        assert isinstance(ending.exception(timeout=60), UnreachableError)
    assert list(tmp_path.glob("waiting-*")) == []
    owner.close()


def test_a_session_that_ended_while_it_was_idle_is_not_lent() -> None:
    server = Server()
    pool = ConnectionPool(server.connect, 1, Waits().patience(1))
    with pool.session() as session:
        pass
    session.close()

    with pool.session() as fresh:
        assert fresh is not session
