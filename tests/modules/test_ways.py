# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to the server that options choose, each with a backup and a restore by the modules; and what is told of them."""

from __future__ import annotations

import json
import stat
import typing as t

import pytest

from tests.servers.faults import CONNECT, Answer, Drop, Fault, Late
from tests.servers.personalities import PERSONALITIES
from tests.servers.server import LOOPBACK

from .refusals import refusal

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeServer, Serve
    from tests.servers.server import FtpServer

    from .hosts import Host

    MakeHost = Callable[[FtpServer], Host]

SERVERS = ("make_pure_ftpd", "make_proftpd", "make_vsftpd", "make_embedded")


def _there_and_back(host: Host, **options: object) -> None:
    host.do(host.destination(**options))
    host.do(host.backup())
    host.do(host.restore())
    assert host.restored(host.source).joinpath("below", "b.bin").read_bytes() == bytes(range(256)) * 400


@pytest.mark.parametrize("address", [LOOPBACK, "::1"])
@pytest.mark.parametrize("make", SERVERS)
def test_a_server_that_opens_the_data_connections(
    make: str, address: str, make_host: MakeHost, request: pytest.FixtureRequest
) -> None:
    make_server: MakeServer = request.getfixturevalue(make)
    _there_and_back(make_host(make_server(host=address)), passive=False)


def test_what_was_proved_of_a_server_saves_later_runs_its_questions(make_host: MakeHost, serve: Serve) -> None:
    server = serve()
    host = make_host(server.facts)
    host.do(host.destination())
    asked = {verb: len(server.commands(verb)) for verb in ("FEAT", "SYST", "PWD")}
    host.do(host.backup())

    assert {verb: len(server.commands(verb)) for verb in asked} == asked


def test_what_is_remembered_of_a_server_holds_no_secret_and_is_for_its_owner_only(declared: Host) -> None:
    (state,) = declared.state.iterdir()
    (memory,) = state.glob("server-*.json")

    assert stat.S_IMODE(memory.stat().st_mode) == 0o600
    assert declared.server.password not in memory.read_text()
    assert json.loads(memory.read_text())["profile"]["verdict"] == "unix"


@pytest.mark.parametrize("damage", ["{", "[]", '{"known": {}, "profile": {}}', '{"known": {"colour": 1}}', ""])
def test_a_damaged_memory_of_the_server_is_no_obstacle(declared: Host, damage: str) -> None:
    (state,) = declared.state.iterdir()
    (memory,) = state.glob("server-*.json")
    memory.write_text(damage)

    declared.do(declared.backup())
    declared.do(declared.destination())
    assert json.loads(memory.read_text())["profile"]["verdict"] == "unix"


def test_a_server_that_became_one_on_windows_is_refused_before_anything_is_sent(
    make_host: MakeHost, serve: Serve
) -> None:
    server = serve()
    host = make_host(server.facts)
    host.do(host.destination())
    personality, _expected = PERSONALITIES["IIS 7"]
    other = serve(personality=personality)
    (declaration,) = host.config.joinpath("destinations").iterdir()
    values = json.loads(declaration.read_text())
    declaration.write_text(json.dumps({**values, "port": other.facts.port, "ca_path": str(other.facts.ca_path)}))

    refusal(host, host.backup(), "refused", "Windows", LOOPBACK)
    assert other.commands("MKD") == []
    assert other.commands("STOR") == []


def test_an_unidentified_server_is_refused_unless_it_is_accepted(make_host: MakeHost, serve: Serve) -> None:
    personality, expected = PERSONALITIES["bare greeting"]
    server = serve(personality=personality)
    host = make_host(server.facts)
    assert expected.verdict == "unidentified"

    refusal(host, host.destination(), "refused", "accept_unidentified_server", LOOPBACK)
    refusal(host, host.destination().in_check_mode(), "refused", "accept_unidentified_server", LOOPBACK)
    assert server.commands("MKD") == []

    result = host.do(host.destination(accept_unidentified_server=True))
    assert any("was accepted all the same" in warning for warning in result.warnings)
    assert result.values["server"]["rule"] == 4
    assert len(result.values["server"]["probes"]) == 3
    host.do(host.backup())


def test_destination_info_tells_what_was_tried_when_the_server_was_proved(declared: Host) -> None:
    before = declared.seen()
    (destination,) = declared.do(declared.destination_info(probe=True)).values["destinations"]

    assert declared.seen() == before
    server = destination["server"]
    assert (server["rename"], server["exclusive_mkdir"], server["restart"]) == (True, True, True)
    assert server["certificate_fingerprint"] == declared.server.fingerprint
    assert (server["passive_form"], server["listing_form"], server["mfmt"]) == ("EPSV", "MLSD", True)
    assert abs(server["time_skew"]) <= 1


def test_a_bandwidth_limit_is_kept_to(make_host: MakeHost, serve: Serve) -> None:
    host = make_host(serve().facts)
    host.do(host.destination(bandwidth_limit=200_000))
    host.source.joinpath("more").write_bytes(bytes(300_000))
    result = host.do(host.backup(compression="none"))

    assert result.values["bytes_sent"] > 400_000
    assert result.values["duration"] > 1.5  # a limit can only make it longer, however busy the machine is


@pytest.mark.parametrize("limit", [-1, 1, 1023, 10**13])
def test_a_bandwidth_limit_that_cannot_be_one(host: Host, limit: int) -> None:
    refusal(host, host.destination(bandwidth_limit=limit), "usage", "bandwidth_limit", limit)


def test_a_password_that_is_refused_slowly_is_tried_once_all_the_same(make_host: MakeHost, serve: Serve) -> None:
    server = serve(Fault("PASS", Late(2.5), times=0))
    host = make_host(server.facts)
    result = refusal(host, host.destination(password="not the right one", timeout=1, max_retries=5), "login", "530")

    assert server.logins == 1
    assert "not the right one" not in result.output


def test_attempts_that_had_to_be_repeated_are_told(make_host: MakeHost, serve: Serve) -> None:
    server = serve()
    host = make_host(server.facts)
    host.do(host.destination())
    server.plan(Fault(CONNECT, Drop(), times=2))
    (warning,) = host.do(host.backup()).warnings

    assert "2 attempts to connect failed" in warning
    assert f"{LOOPBACK}:{server.facts.port}" in warning


def test_a_server_that_takes_fewer_connections_is_told(make_host: MakeHost, serve: Serve) -> None:
    server = serve(max_clients=1)
    host = make_host(server.facts)
    host.do(host.destination())
    host.source.joinpath("more").write_bytes(bytes(range(256)) * 200_000)
    (warning,) = host.do(host.backup(compression="none")).warnings

    assert "no more than 1 connection " in warning
    assert "max_connections (4)" in warning
    assert server.most_sessions == 1


def test_a_server_that_is_busy_is_waited_for_whatever_the_retries_and_told_in_its_words(
    make_host: MakeHost, serve: Serve
) -> None:
    server = serve()
    host = make_host(server.facts)
    host.do(host.destination(max_retries=1, max_connections=1))
    server.plan(Fault(CONNECT, Answer("421 Too many connections (3) from this IP"), times=3))

    (warning,) = host.do(host.backup()).warnings

    assert "3 attempts to connect failed" in warning
    assert "Too many connections (3)" in warning


@pytest.mark.parametrize(
    ("mode", "is_shared"), [(0o777, True), (0o775, True), (0o1770, False), (0o755, False), (0o700, False)]
)
def test_a_directory_in_which_others_can_write_is_warned_about(host: Host, mode: int, *, is_shared: bool) -> None:
    host.server.root.chmod(mode)
    for task in (host.destination().in_check_mode(), host.destination()):
        warnings = host.do(task).warnings

        assert len(warnings) == is_shared
        assert all(f"{mode:04o}" in warning and "Others can write" in warning for warning in warnings)
