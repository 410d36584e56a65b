# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all connections of a run share: one limit on bytes a second, and one cap on how many of them there are."""

from __future__ import annotations

import contextlib
import heapq
import os
import queue
import tempfile
import threading
import time
import typing as t
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import SpaceError, StorageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.bandwidth import Bandwidth
from tests.servers.faults import Answer, CutData, Drop, Fault, FullDisk, LoseTail
from tests.servers.guests import wait_until
from tests.servers.scripted import scripted
from tests.transport.reach import line_to, session_on

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import MakeServer, Serve
    from tests.servers.scripted import ScriptedServer
    from tests.servers.server import FtpServer
    from tests.transport.reach import Line

BOX = PurePosixPath("box")
CONTENT = os.urandom(1000) * 100
SECONDS = 10.0
LONGEST = 30.0


# -- T26, bandwidth


class Clock:
    """A virtual clock that stands where it is put; *pause* takes no time and is remembered."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def moved_by(connections: int, limit: int, *, idle_before: float = 0.0) -> list[tuple[float, int]]:
    """Let *connections* move as much as they may for ten seconds of virtual time; return what moved when.

    Each lives in a time of its own, and the one that is behind all others comes next, so that the clock only advances.
    """
    clock = Clock()
    bandwidth = Bandwidth(limit, clock=clock, pause=clock.pause)
    begin = clock.now + idle_before
    waiting = [(begin, number) for number in range(connections)]
    moved = []
    while waiting[0][0] < begin + SECONDS:
        clock.now, number = heapq.heappop(waiting)
        bandwidth.spend(bandwidth.piece)
        ready = clock.now + clock.pauses[-1]
        moved.append((ready - begin, bandwidth.piece))
        assert len(moved) * bandwidth.piece <= 2 * limit * SECONDS + 8 * bandwidth.piece, "there is no limit"
        heapq.heappush(waiting, (ready, number))
    return [(when, count) for when, count in moved if when <= SECONDS]


@pytest.mark.parametrize("idle_before", [0.0, 3600.0])
@pytest.mark.parametrize("limit", [1_024, 50_000, 1_000_000, 100_000_000])
@pytest.mark.parametrize("connections", [1, 8])
def test_t26_the_mean_rate_is_the_limit_however_many_connections_share_it(
    connections: int, limit: int, idle_before: float
) -> None:
    moved = moved_by(connections, limit, idle_before=idle_before)

    assert sum(count for _when, count in moved) / SECONDS == pytest.approx(limit, rel=0.11 if limit == 1_024 else 0.01)
    for begin in range(int(SECONDS)):
        within = sum(count for when, count in moved if begin < when <= begin + 1)
        assert within <= limit + max(1_024, limit // 20) + 1


@pytest.mark.parametrize("limit", [1_024, 50_000, 100_000_000])
def test_t26_no_piece_stands_still_for_long(limit: int) -> None:
    clock = Clock()
    bandwidth = Bandwidth(limit, clock=clock, pause=clock.pause)
    for _piece in range(100):
        bandwidth.spend(bandwidth.piece)
        clock.now += clock.pauses[-1]
    assert max(clock.pauses) <= 1.0


def test_t26_every_byte_of_every_transfer_passes_through_the_limit(each_server: FtpServer) -> None:
    (each_server.root / "file").write_bytes(CONTENT)
    clock, limit = Clock(), 1_000_000
    bandwidth = Bandwidth(limit, clock=clock, pause=clock.pause)

    def spent() -> int:
        """The clock stands still, so that the longest pause is the time of all bytes so far."""
        return round(max(clock.pauses, default=0.0) * limit)

    with session_on(each_server, bandwidth=bandwidth) as session, session_on(each_server, bandwidth=bandwidth) as other:
        session.upload(session.path_of(PurePosixPath("one")), [CONTENT, CONTENT[:1]])
        assert spent() == len(CONTENT) + 1

        other.upload(other.path_of(PurePosixPath("two")), [CONTENT])
        assert spent() == 2 * len(CONTENT) + 1

        assert session.read(session.path_of(PurePosixPath("file"))) == CONTENT
        assert spent() == 3 * len(CONTENT) + 1

        with other.download(other.path_of(PurePosixPath("file")), 10, 1_000) as download:
            download.read(1_000)
        assert 3 * len(CONTENT) + 1_001 <= spent() <= 4 * len(CONTENT) + 1

        before = spent()
        session.list_directory(session.path_of(PurePosixPath()))
        assert spent() > before
    assert (
        max(b - a for a, b in zip([0.0, *sorted(clock.pauses)], sorted(clock.pauses))) <= bandwidth.piece / limit + 1e-6
    )


def test_t26_without_a_limit_nobody_waits(serve: Serve) -> None:
    server = serve()
    clock = Clock()
    with session_on(server.facts, bandwidth=Bandwidth(0, clock=clock, pause=clock.pause)) as session:
        session.upload("/one", [CONTENT])
        assert session.read("/one") == CONTENT
    assert clock.pauses == []


# -- T27, one pool


def all_done(threads: int, deed: Callable[[int], object], count: int) -> None:
    """Do *deed* *count* times with so many *threads*, all of which must come to an end."""
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        numbers.put(number)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                deed(numbers.get_nowait())
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 # it is raised where the test sees it
            failures.append(error)

    # Nobody waits for those that wait for each other.
    workers = [threading.Thread(target=work, daemon=True) for _number in range(threads)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + LONGEST
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    for failure in failures:
        raise failure
    assert not [worker for worker in workers if worker.is_alive()], "they wait for each other"


def write(line: Line, number: int) -> None:
    line.storage.write(BOX / f"file{number}", lambda: [CONTENT])


def boxed(server: ScriptedServer) -> Path:
    box = server.facts.root / "box"
    box.mkdir()
    return box


def names_in(path: Path) -> list[str]:
    return sorted(inside.name for inside in path.iterdir())


def test_t27_uploads_that_fail_end_with_a_cap_of_one(serve: Serve) -> None:
    server = serve(
        *(Fault("STOR", what, after=5) for what in (LoseTail(), Answer("451 Not now."))),
        Fault("STOR", FullDisk(10, keeps_partial=True), pattern="full", times=0),
        Fault("RNFR", Answer("550 In use"), times=2),
    )
    box = boxed(server)
    with line_to(server.facts, limit=1) as line:

        def full(number: int) -> None:
            with pytest.raises(SpaceError):
                line.storage.write(BOX / f"full{number}", lambda: [CONTENT])

        all_done(8, lambda number: full(number) if number % 4 == 0 else write(line, number), 32)

        assert (line.pool.most_open, server.most_connections, server.accepted) == (1, 1, 1)
    assert names_in(box) == sorted(f"file{number}" for number in range(32) if number % 4)


def test_t27_uploads_whose_connections_break_end_with_a_cap_of_one(serve: Serve) -> None:
    server = serve(
        *(Fault("STOR", Drop(before=before), after=3) for before in (True, False)),
        *(Fault(verb, Drop(rst=True), after=7) for verb in ("SIZE", "RNFR", "RNTO", "EPSV")),
    )
    boxed(server)
    with line_to(server.facts, limit=1) as line:
        all_done(8, partial(write, line), 32)
    assert server.most_connections == 1
    assert not server.faults_left


def hold_until(line: Line, is_so: Callable[[], bool], number: int) -> None:
    """Write something, and have it on its way until *is_so*."""

    def chunks() -> Iterator[bytes]:
        yield CONTENT
        wait_until(is_so)

    line.storage.write(BOX / f"held{number}", chunks)


@pytest.mark.parametrize(
    ("busy_at", "busy_reply"),
    [
        ("greeting", "421 Too many connections (3) from this IP"),
        ("greeting", "421 I can't accept more than 3 connections as the same user"),
        ("login", "530 Sorry, the maximum number of clients (3) for this user are already connected."),
        ("login", "421 There are too many connected users, please try later."),
    ],
)
@pytest.mark.parametrize("tls", [True, False])
def test_t27_a_server_that_allows_three_gets_three(busy_at: str, busy_reply: str, serve: Serve, *, tls: bool) -> None:
    server = serve(max_clients=3, busy_at=busy_at, busy_reply=busy_reply, tls=tls)
    box = boxed(server)
    with line_to(server.facts, limit=8) as line:
        all_done(8, partial(hold_until, line, lambda: line.pool.reports.cap > 0), 8)
        all_done(8, partial(write, line), 24)

        assert line.pauses == []
        assert line.pool.reports.cap <= 3
        (told,) = line.storage.reports()
    assert server.most_sessions == 3
    assert server.turned_away <= 5
    assert "no more than 3 connections" in told
    assert "max_connections (8)" in told
    assert busy_reply[4:] in told
    assert len(names_in(box)) == 32


@pytest.mark.parametrize("product", ["pure_ftpd", "proftpd"])
def test_t27_real_servers_that_allow_three_get_three(
    product: str, make_pure_ftpd: MakeServer, make_proftpd: MakeServer
) -> None:
    server = make_pure_ftpd(max_clients_per_ip=3) if product == "pure_ftpd" else make_proftpd(max_clients_per_user=3)
    with line_to(server, limit=8, retries=5) as line:
        line.storage.ensure_directories([BOX])
        all_done(8, partial(hold_until, line, lambda: line.pool.reports.cap > 0), 8)
        all_done(8, partial(write, line), 16)

        assert line.pool.reports.cap <= 3
        assert any("no more than" in sentence for sentence in line.storage.reports())
    assert len(names_in(server.root / "box")) == 24


def test_t27_a_server_that_allows_one_is_enough(serve: Serve) -> None:
    server = serve(max_clients=1)
    boxed(server)
    with line_to(server.facts, limit=4) as line:
        all_done(4, partial(hold_until, line, lambda: line.pool.reports.cap > 0), 4)
        assert line.pool.reports.cap == 1
    assert server.most_sessions == 1


_LOSSES = st.sampled_from([Drop(), Drop(before=False), Drop(rst=True), Answer("421 Bye."), Answer("550 No.")])
_VERBS = st.sampled_from(["STOR", "SIZE", "RNFR", "RNTO", "EPSV", "DELE", "PASS", "USER", "PWD"])
_FAULTS = st.builds(lambda verb, what, after: Fault(verb, what, after=after), _VERBS, _LOSSES, st.integers(0, 6))


@settings(max_examples=20)
@given(
    limit=st.integers(1, 4),
    threads=st.integers(1, 8),
    faults=st.lists(_FAULTS, max_size=6),
    cut=st.lists(st.integers(0, 10), max_size=2),
)
def test_t27_the_cap_is_never_exceeded(limit: int, threads: int, faults: list[Fault], cut: list[int]) -> None:
    cuts = [Fault("STOR", CutData(10, "rst", "426 Broken."), after=after) for after in cut]
    with tempfile.TemporaryDirectory() as place, scripted(Path(place), tls=False, faults=[*faults, *cuts]) as server:
        boxed(server)
        with line_to(server.facts, limit=limit, retries=3) as line:

            def attempt(number: int) -> None:
                with contextlib.suppress(StorageError):
                    write(line, number)

            line.pool.open_early(threads)
            all_done(threads, attempt, 10)
            assert line.pool.most_open <= limit
        assert server.most_connections <= limit


def test_t27_every_step_of_one_object_uses_the_same_connection(serve: Serve) -> None:
    server = serve(
        Fault("STOR", LoseTail(), after=2, times=3),
        Fault("RNFR", Answer("550 In use"), after=4, times=2),
        Fault("STOR", FullDisk(10, keeps_partial=True), pattern="full", times=0),
    )
    boxed(server)
    with line_to(server.facts, limit=4) as line:

        def full(number: int) -> None:
            with pytest.raises(SpaceError):
                line.storage.write(BOX / f"full{number}", lambda: [CONTENT])

        all_done(4, lambda number: full(number) if number % 6 == 0 else write(line, number), 24)
        assert line.pool.most_open == 4

    steps: dict[str, set[int]] = {}
    for heard in server.heard:
        if heard.verb in ("STOR", "SIZE", "RNFR", "RNTO", "DELE"):
            name = PurePosixPath(heard.argument).name
            if name.endswith(".tmp"):
                steps.setdefault(name, set()).add(heard.connection)
    assert {name: len(connections) for name, connections in steps.items()} == dict.fromkeys(steps, 1)
    assert len(steps) >= 24


def test_t27_connections_are_kept_between_objects(serve: Serve) -> None:
    server = serve()
    boxed(server)
    with line_to(server.facts, limit=3) as line:
        all_done(3, partial(write, line), 30)
        assert server.accepted <= 3
        assert server.logins == server.accepted


@pytest.mark.parametrize(("limit", "count", "expected"), [(4, 2, 2), (2, 5, 2), (1, 3, 1), (0, 3, 3)])
def test_t27_connections_are_opened_early_and_never_more_than_there_is_work(
    limit: int, count: int, expected: int, serve: Serve
) -> None:
    server = serve()
    boxed(server)
    meet = threading.Barrier(expected, timeout=LONGEST)
    with line_to(server.facts, limit=limit) as line:
        line.pool.open_early(count)
        for thread in threading.enumerate():
            if thread.name == "early":  # it waits for all that it has begun
                thread.join(LONGEST)
        # Where the others are faster than the first one, it finds one of theirs idle, and there is one less.
        assert max(1, expected - 1) <= server.logins <= expected

        def use(_number: int) -> None:
            with line.pool.session():
                meet.wait()

        all_done(expected, use, expected)
        assert server.logins == expected
        assert server.most_connections == expected
        assert server.accepted == expected


def test_t27_a_session_that_ended_while_idle_is_replaced_by_another(serve: Serve) -> None:
    server = serve(Fault("NOOP", Drop()))
    boxed(server)
    with line_to(server.facts, limit=1) as line:
        with line.pool.session() as session, pytest.raises(StorageError):
            session.ask("NOOP")
        write(line, 1)
    assert (server.accepted, server.most_connections) == (2, 1)
