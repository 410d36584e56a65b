# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many processes of one host share the connections that a destination allows, and all come to their end."""

from __future__ import annotations

import os
import signal
import typing as t

import pytest

from tests.servers.server import FtpUser

from . import running

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeServer, Serve
    from tests.servers.server import FtpServer

    from .hosts import Host
    from .running import Result

    MakeHost = Callable[[FtpServer], Host]

PROCESSES = 10


def _all_at_once(host: Host) -> list[Result]:
    """Back up ten jobs at the same time, each in a process of its own, and then restore them likewise."""
    host.source.joinpath("big.bin").write_bytes(os.urandom(3_000_000))
    backups = [running.start(host.home, host.backup(job=f"job {number}")) for number in range(PROCESSES)]
    results = [running.ended(process) for process in backups]
    targets = [str(host.home / f"restored-{number}") for number in range(PROCESSES)]
    restores = [
        running.start(host.home, host.restore(job=f"job {number}", target=target))
        for number, target in enumerate(targets)
    ]
    results += [running.ended(process) for process in restores]
    assert [result.msg for result in results if result.failed] == []
    for number in range(PROCESSES):
        restored = host.home / f"restored-{number}" / host.source.relative_to("/")
        assert restored.joinpath("big.bin").read_bytes() == host.source.joinpath("big.bin").read_bytes()
    return results


def _waiting(host: Host) -> list[str]:
    (state,) = host.state.iterdir()
    return [path.name for path in state.joinpath("connections").glob("waiting-*")]


def test_ten_processes_never_have_more_connections_than_are_allowed(make_host: MakeHost, serve: Serve) -> None:
    server = serve()
    host = make_host(server.facts)
    host.do(host.destination(max_connections=3))
    results = _all_at_once(host)

    assert server.most_connections == 3
    assert [result.warnings for result in results] == [[]] * len(results)
    assert _waiting(host) == []


@pytest.mark.parametrize(
    ("busy_at", "busy_reply"),
    [
        ("greeting", "421 Too many connections (%d) from this IP"),
        ("login", "530 Sorry, the maximum number of clients (%d) for this user are already connected."),
    ],
)
def test_ten_processes_share_what_a_server_allows_that_takes_fewer(
    make_host: MakeHost, serve: Serve, busy_at: str, busy_reply: str
) -> None:
    server = serve(max_clients=2, busy_at=busy_at, busy_reply=busy_reply)
    host = make_host(server.facts)
    host.do(host.destination(max_connections=3))
    results = _all_at_once(host)

    assert server.most_sessions <= 2
    assert server.turned_away > 0
    assert server.facts.password not in "".join(result.output for result in results)


def test_ten_processes_are_never_refused_by_a_pure_ftpd_that_takes_as_many_as_are_allowed(
    make_host: MakeHost, make_pure_ftpd: MakeServer
) -> None:
    host = make_host(make_pure_ftpd(max_clients_per_ip=3))
    host.do(host.destination(max_connections=3))
    results = _all_at_once(host)

    assert [result.warnings for result in results] == [[]] * len(results)


def test_ten_processes_come_to_their_end_on_a_pure_ftpd_that_takes_two(
    make_host: MakeHost, make_pure_ftpd: MakeServer
) -> None:
    host = make_host(make_pure_ftpd(max_clients_per_ip=2))
    host.do(host.destination(max_connections=3))
    _all_at_once(host)


def test_ten_processes_come_to_their_end_on_a_proftpd_that_takes_two_of_one_user(
    make_host: MakeHost, make_proftpd: MakeServer
) -> None:
    host = make_host(make_proftpd(users=[FtpUser()], max_clients_per_user=2))
    host.do(host.destination(max_connections=3))
    _all_at_once(host)


def test_the_connections_of_a_killed_process_are_free_at_once(make_host: MakeHost, serve: Serve) -> None:
    server = serve()
    host = make_host(server.facts)
    host.do(host.destination(max_connections=1))
    host.source.joinpath("big.bin").write_bytes(os.urandom(3_000_000))
    for number in range(3):
        with running.start(host.home, host.backup(job=f"job {number}")) as process:
            before = server.accepted
            while server.accepted == before and process.poll() is None:
                os.sched_yield()
            process.send_signal(signal.SIGKILL)

    assert host.do(host.backup(job="another")).warnings == []
    assert server.most_connections == 1
    assert _waiting(host) == []
