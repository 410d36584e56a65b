# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T07 to T10: how data connections come to be, what bounds every wait, and what becomes of idle connections."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    InterruptedTransferError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp import control, data, doors
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.known import Known
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.profile import read_profile
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import connect
from tests.modules.strangers import black_hole
from tests.servers.conversation import Conversation
from tests.servers.faults import (
    CONNECT,
    Answer,
    BadEpsv,
    DeadPort,
    Drop,
    Fault,
    Late,
    LyingAddress,
    Outcome,
    ReplyAction,
    Silence,
    Split,
    StallData,
    Swallow,
)
from tests.servers.guests import TLS_VERSIONS, wait_until
from tests.servers.process import sessions_of
from tests.servers.server import LOOPBACK, FtpServer
from tests.transport.reach import address_of, line_to, session_on

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import Session
    from tests.conftest import MakeServer, Serve
    from tests.servers.faults import Action, Talk
    from tests.servers.scripted import ScriptedServer

ONE, TWO = PurePosixPath("one"), PurePosixPath("two")
CONTENT = bytes(range(256)) * 40
# More than the buffers of both sides hold.
LARGE = CONTENT * 1600
ANOTHER_LOOPBACK = "127.0.0.2"
DATA_PORTS = ("EPSV", "PASV", "EPRT", "PORT")


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only for a moment for the words of servers that say none."""
    monkeypatch.setattr(doors, "PENDING_REPLY_WAIT", 0.1)


def asked_for_ports(server: ScriptedServer) -> list[str]:
    """Return the verbs by which data connections were arranged for, in their order."""
    return [heard.verb for heard in server.heard if heard.verb in DATA_PORTS]


def use(session: Session) -> None:
    """Move bytes in either direction, and a listing."""
    path = session.path_of(ONE)
    session.upload(path, [CONTENT])
    assert session.read(path) == CONTENT
    assert [(entry.name, entry.size) for entry in session.list_directory(str(PurePosixPath(path).parent))] == [
        ("one", len(CONTENT))
    ]


# -- T07: passive


def test_t07_epsv_comes_first_also_on_ipv4(serve: Serve) -> None:
    server = serve()

    with session_on(server.facts) as session:
        use(session)
        assert read_profile(session).passive_form == "EPSV"

    assert asked_for_ports(server) == ["EPSV"] * 3


def test_t07_passive_transfers_work_on_each_server(each_server: FtpServer) -> None:
    for extended in (True, False):
        with session_on(each_server) as session:
            session.known.extended_passive = extended
            use(session)
            assert session.known.extended_passive is extended


@pytest.mark.parametrize(
    "answer",
    [
        *("500 What?", "501 No.", "502 Not implemented.", "504 Not for that.", "522 No such network."),
        *("229 Entering Extended Passive Mode (port 2121)", "229 Yes.", "229 (|||0|)", "229 (|||65536|)"),
        *("229 (|1|127.0.0.1|2121|)", "229 (|||x|)", "229 (|||)"),
    ],
)
def test_t07_an_epsv_that_does_not_work_is_followed_by_pasv_for_good(answer: str, serve: Serve) -> None:
    server = serve(Fault("EPSV", Answer(answer), times=0), tls=False)
    known = Known()

    for _time in range(2):
        with session_on(server.facts, known=known) as session:
            use(session)
            assert read_profile(session).passive_form == "PASV"

    assert asked_for_ports(server) == ["EPSV", *["PASV"] * 6]


def test_t07_a_bad_229_is_followed_by_pasv_over_tls(serve: Serve) -> None:
    server = serve(Fault("EPSV", BadEpsv()))

    with session_on(server.facts) as session:
        use(session)

    assert asked_for_ports(server) == ["EPSV", "PASV", "PASV", "PASV"]


@pytest.mark.usefixtures("brief")
def test_t07_a_port_that_cannot_be_reached_is_followed_by_pasv_for_good(serve: Serve) -> None:
    server = serve(Fault("EPSV", DeadPort(), times=0))

    with line_to(server.facts) as line:
        line.storage.write(ONE, lambda: [CONTENT])
        assert line.storage.read(ONE) == CONTENT
        with line.pool.session() as session:
            assert read_profile(session).passive_form == "PASV"

    assert asked_for_ports(server) == ["EPSV", "PASV", "PASV"]
    assert (server.facts.root / "one").read_bytes() == CONTENT


def test_t07_a_port_that_swallows_all_is_followed_by_pasv_though_the_server_gives_up_first(serve: Serve) -> None:
    with black_hole() as port:
        server = serve(Fault("EPSV", Answer(f"229 Extended passive (|||{port}|)"), times=0))
        with line_to(server.facts, timeout=1.0) as line:
            line.storage.write(ONE, lambda: [CONTENT])

    assert asked_for_ports(server) == ["EPSV", "PASV"]


@dataclass(frozen=True)
class Together(ReplyAction):
    """Answer once as many clients have asked as the barrier is for."""

    barrier: threading.Barrier

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # other actions talk
        self.barrier.wait(20)
        return deed()


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("count", [2, 3])
def test_t07_ports_that_cannot_be_reached_by_several_at_once_are_followed_by_pasv(count: int, serve: Serve) -> None:
    known = Known()
    server = serve(tls=False)

    def fail(number: int) -> None:
        with session_on(server.facts, known=known) as session:
            logged_in.wait(20)
            with pytest.raises(UnreachableError):
                session.upload(session.path_of(PurePosixPath(f"{number}")), [CONTENT])

    logged_in = threading.Barrier(count)
    server.plan(Fault("EPSV", Together(threading.Barrier(count)), times=count))
    server.plan(Fault("EPSV", DeadPort(), times=0))
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(fail, range(count)))

    assert asked_for_ports(server) == ["EPSV"] * count
    assert known.extended_passive is False


@dataclass(frozen=True)
class Learn(ReplyAction):
    """Answer while another connection of the client learns which way works."""

    known: Known
    extended_passive: bool

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # other actions talk
        self.known.extended_passive = self.extended_passive
        return deed()


@pytest.mark.parametrize("verb", ["EPSV", "PASV"])
def test_t07_an_answer_is_taken_for_what_was_asked_whatever_others_learn_meanwhile(verb: str, serve: Serve) -> None:
    server = serve()

    with session_on(server.facts) as session:
        session.known.extended_passive = verb == "EPSV"
        server.plan(Fault(verb, Learn(session.known, extended_passive=verb == "PASV")))
        session.upload(session.path_of(ONE), [CONTENT])

    assert asked_for_ports(server) == [verb]


@pytest.mark.usefixtures("brief")
def test_t07_ports_that_cannot_be_reached_either_way_are_told_with_what_to_look_for(serve: Serve) -> None:
    server = serve(Fault("EPSV", DeadPort(), times=0), Fault("PASV", DeadPort(), times=0))

    with line_to(server.facts) as line, pytest.raises(UnreachableError, match="passive port range") as caught:
        line.storage.write(ONE, lambda: [CONTENT])

    assert LOOPBACK in str(caught.value)


def test_t07_a_shortage_of_ports_is_no_reason_to_give_up_epsv(serve: Serve) -> None:
    server = serve(Fault("EPSV", Answer("425 All ports are in use.")))

    with line_to(server.facts) as line:
        line.storage.write(ONE, lambda: [CONTENT])

    assert asked_for_ports(server) == ["EPSV", "EPSV"]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("address", ["10.0.0.1", "0.0.0.0", "192.0.2.7", ANOTHER_LOOPBACK, "255.255.255.255"])  # noqa: S104 # announced, not listened on
def test_t07_of_pasv_only_the_port_is_believed(address: str, serve: Serve, *, tls: bool) -> None:
    server = serve(Fault("PASV", LyingAddress(address), times=0), tls=tls)

    with session_on(server.facts, timeout=1.0) as session:
        session.known.extended_passive = False
        use(session)

    assert asked_for_ports(server) == ["PASV"] * 3
    assert not server.faults_left


@pytest.mark.parametrize(
    "answer", ["227 Entering passive mode.", "227 (127,0,0,1,300)", "227 (127,0,0,1,0,0)", "227 (127,0,0,1,999,1)"]
)
def test_t07_a_pasv_that_tells_no_port_breaks_the_connection(answer: str, serve: Serve) -> None:
    server = serve(Fault("PASV", Answer(answer)))

    with session_on(server.facts) as session:
        session.known.extended_passive = False
        with pytest.raises(InterruptedTransferError):
            session.upload(session.path_of(ONE), [CONTENT])
        assert session.is_broken


@pytest.mark.parametrize("product", ["pure_ftpd", "proftpd", "vsftpd"])
def test_t07_and_t08_ipv6_works_either_way(product: str, request: pytest.FixtureRequest) -> None:
    make: MakeServer = request.getfixturevalue(f"make_{product}")
    server = make(host="::1")

    for passive in (True, False):
        with session_on(server, passive=passive) as session:
            use(session)


def test_t07_on_ipv6_it_is_epsv(serve: Serve) -> None:
    server = serve(host="::1")

    with session_on(server.facts) as session:
        use(session)

    assert asked_for_ports(server) == ["EPSV"] * 3


# -- T08: active


@pytest.mark.parametrize("version", TLS_VERSIONS, ids=lambda version: version.name)
def test_t08_active_transfers_work_on_each_server(each_server: FtpServer, version: ssl.TLSVersion) -> None:
    with session_on(each_server, passive=False, tls_version=version) as session:
        use(session)
        session.upload(session.path_of(ONE), [])
        assert session.read(session.path_of(ONE)) == b""


@pytest.mark.parametrize(("host", "verb"), [(LOOPBACK, "PORT"), ("::1", "EPRT")])
@pytest.mark.parametrize("tls", [True, False])
def test_t08_our_own_address_is_told_in_the_form_of_its_family(
    host: str, verb: str, serve: Serve, *, tls: bool
) -> None:
    server = serve(host=host, tls=tls)

    with session_on(server.facts, passive=False) as session:
        use(session)
        assert read_profile(session).passive_form == "active"

    assert asked_for_ports(server) == [verb] * 3
    told = server.commands(verb)
    assert all(each.startswith("|2|::1|" if verb == "EPRT" else "127,0,0,1,") for each in told)


@dataclass(frozen=True)
class Intruders(ReplyAction):
    """Let others connect to the client's port before the server does, and keep what each of them then hears."""

    count: int = 1
    heard: list[bytes] = field(default_factory=list)

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:
        assert isinstance(talk, Conversation)
        assert talk._transfers is not None
        port = talk._transfers._active
        assert port is not None
        with contextlib.ExitStack() as stack:
            intruders = []
            for _number in range(self.count):
                intruder = socket.create_connection(port, 10, source_address=(ANOTHER_LOOPBACK, 0))
                intruders.append(stack.enter_context(intruder))
                intruder.sendall(b"planted")
            outcome = deed()
            for intruder in intruders:
                with contextlib.suppress(ConnectionError):
                    self.heard.append(intruder.recv(100))
        return outcome


@pytest.mark.parametrize("tls", [True, False])
def test_t08_a_stranger_who_connects_first_gets_nothing_and_plants_nothing(serve: Serve, *, tls: bool) -> None:
    stored, read = Intruders(), Intruders(count=3)
    server = serve(Fault("STOR", stored), Fault("RETR", read), tls=tls)

    with session_on(server.facts, passive=False) as session:
        use(session)

    assert (server.facts.root / "one").read_bytes() == CONTENT
    assert set(stored.heard + read.heard) <= {b""}
    assert not server.faults_left


@pytest.mark.timeout(25)
def test_t08_a_server_that_does_not_connect_is_not_waited_for_without_end(serve: Serve) -> None:
    server = serve(Fault("STOR", Silence()))

    with session_on(server.facts, passive=False, timeout=1.0) as session:
        with pytest.raises(UnreachableError, match="passive: true"):
            session.upload(session.path_of(ONE), [CONTENT])
        assert session.is_broken


@pytest.mark.parametrize(("answer", "error"), [("425 Cannot.", InterruptedTransferError), ("553 No.", RefusedError)])
def test_t08_a_server_that_says_no_instead_of_connecting_is_heard(
    answer: str, error: type[StorageError], serve: Serve
) -> None:
    server = serve(Fault("STOR", Answer(answer)))

    with session_on(server.facts, passive=False, timeout=30.0) as session:
        with pytest.raises(error, match=answer):
            session.upload(session.path_of(ONE), [CONTENT])
        assert not session.is_broken
        use(session)


@pytest.mark.parametrize("verb", ["PORT", "EPRT"])
def test_t08_a_refused_port_is_an_error_and_no_data_moves(verb: str, serve: Serve) -> None:
    server = serve(Fault(verb, Answer("500 Illegal PORT command.")), host="::1" if verb == "EPRT" else LOOPBACK)

    with session_on(server.facts, passive=False) as session:
        with pytest.raises(RefusedError, match="500"):
            session.upload(session.path_of(ONE), [CONTENT])
        use(session)

    assert len(server.uploads) == 1


def test_t08_the_port_is_closed_once_the_server_has_come(serve: Serve) -> None:
    server = serve()

    with session_on(server.facts, passive=False) as session:
        use(session)

    for told in server.commands("PORT"):
        high, low = told.split(",")[-2:]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, int(high) * 256 + int(low)), 5)


# -- T09: sockets


def option(connection: socket.socket, level: int, name: int) -> int:
    return connection.getsockopt(level, name)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("passive", [True, False])
def test_t09_no_connection_waits_for_more_to_send_and_control_is_kept_alive(
    serve: Serve, *, tls: bool, passive: bool
) -> None:
    server = serve(tls=tls)
    (server.facts.root / "one").write_bytes(CONTENT)

    with session_on(server.facts, passive=passive) as session, session.download(session.path_of(ONE)) as download:
        for connection in (session._control._socket, download._connection):
            assert option(connection, socket.IPPROTO_TCP, socket.TCP_NODELAY)
        kept = session._control._socket
        assert option(kept, socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert option(kept, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert option(kept, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15


def nowhere(port: int) -> FtpServer:
    return FtpServer(LOOPBACK, port, "backup", "correct horse", Path("/nowhere"), None, None, 0, None)


@pytest.mark.timeout(25)
def test_t09_a_server_that_takes_no_connection_is_unreachable_in_time() -> None:
    with black_hole() as port, pytest.raises(UnreachableError, match="within 1 second"):
        connect(address_of(nowhere(port), timeout=1.0))


@pytest.mark.timeout(25)
@pytest.mark.parametrize("verb", [CONNECT, "USER", "PWD", "SIZE", "EPSV", "STOR"])
def test_t09_a_server_that_falls_silent_is_left_in_time(verb: str, serve: Serve) -> None:
    server = serve(Fault(verb, Silence(), times=0), tls=False)

    with pytest.raises((UnreachableError, InterruptedTransferError), match=r"within 0\.5 seconds"):  # noqa: PT012, SIM117 # either may raise
        with session_on(server.facts, timeout=0.5) as session:
            session.upload(session.path_of(ONE), [CONTENT])
            session.sizes([session.path_of(ONE)])


@pytest.mark.timeout(25)
def test_t09_a_password_is_given_more_time_and_that_is_bounded_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Fault("PASS", Late(1.5)), Fault("PASS", Silence()))

    with session_on(server.facts, timeout=1.0) as session:
        use(session)
    monkeypatch.setattr(control, "_LOGIN_SECONDS", 0.1)
    with pytest.raises(InterruptedTransferError, match="no answer"):
        connect(address_of(server.facts, timeout=1.0))


@pytest.mark.timeout(25)
@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(("verb", "tls"), [("STOR", True), ("RETR", True), ("STOR", False), ("MLSD", False)])
def test_t09_data_that_stands_still_is_given_up_in_time(verb: str, serve: Serve, *, tls: bool) -> None:
    server = serve(Fault(verb, StallData(5)), tls=tls)
    (server.facts.root / "one").write_bytes(CONTENT)

    with session_on(server.facts, timeout=1.0) as session:
        deeds: dict[str, Callable[[], object]] = {
            "STOR": lambda: session.upload(session.path_of(TWO), [LARGE]),
            "RETR": lambda: session.read(session.path_of(ONE)),
            "MLSD": lambda: session.list_directory("/"),
        }
        with pytest.raises(InterruptedTransferError, match="no byte moved for 1 second"):
            deeds[verb]()
        assert session.is_broken


@pytest.mark.timeout(25)
def test_t09_data_that_moves_slowly_is_not_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(tls=False)

    def slow_read(self: t.Any, data: t.Any, source: t.Any, course: t.Any) -> tuple[int, str]:  # noqa: ANN401, ARG001 # of the server
        for _piece in range(6):
            self._wire.wait(0.3)
            data.send(memoryview(b"12345"))
        return 30, "closed"

    monkeypatch.setattr("tests.servers.transfers.Transfers._send", slow_read)
    (server.facts.root / "one").write_bytes(b"12345" * 6)
    with session_on(server.facts, timeout=1.0) as session:
        assert session.read(session.path_of(ONE)) == b"12345" * 6


def test_t09_the_final_reply_of_an_upload_may_be_late(serve: Serve, tls_or_not: bool) -> None:  # noqa: FBT001 # a fixture
    server = serve(Fault("STOR", Late(1.5)), tls=tls_or_not)

    with line_to(server.facts, timeout=1.0) as line:
        assert line.storage.write(ONE, lambda: [CONTENT]) == len(CONTENT)
        assert line.pauses == []

    assert len(server.uploads) == 1


@pytest.fixture(params=[True, False], ids=["tls", "clear"])
def tls_or_not(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_t09_a_final_reply_has_a_minute_whatever_the_timeout(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data._FINAL_REPLY_TIMEOUT >= 60
    monkeypatch.setattr(data, "_FINAL_REPLY_TIMEOUT", 0.1)
    server = serve(Fault("STOR", Swallow()))

    with session_on(server.facts, timeout=1.0) as session:
        with pytest.raises(InterruptedTransferError, match="no answer"):
            session.upload(session.path_of(ONE), [CONTENT])
        assert session.is_broken


@pytest.mark.timeout(25)
def test_t09_a_reply_may_drip_but_not_for_ever(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(Fault("MKD", Split(pause=0.04)), Fault("MKD", Split(pause=0.04)), tls=False)

    with session_on(server.facts, timeout=1.0) as session:
        assert session.make_directory("/1").is_success
        monkeypatch.setattr(control, "_REPLY_SECONDS", 0.1)
        session._control._ftp.timeout = 0.1
        with pytest.raises(InterruptedTransferError, match="no answer"):
            session.make_directory("/2")
        assert session.is_broken


# -- T10: no NOOP while data flows, and idle connections


def test_t10_nothing_is_said_while_data_flows(serve: Serve) -> None:
    server = serve()

    def chunks(verb: str) -> Iterator[bytes]:
        for _number in range(5):
            yield LARGE[:1_000_000]
            assert server.heard[-1].verb == verb

    with line_to(server.facts) as line:
        line.storage.write(ONE, lambda: chunks("STOR"))
        with line.storage.open(ONE) as reader:
            while reader.read(500_000):
                assert server.heard[-1].verb == "RETR"

    assert not {"NOOP", "ABOR", "STAT"} & {heard.verb for heard in server.heard}


def test_t10_replies_are_in_step_after_transfers_that_take_their_time(each_server: FtpServer) -> None:
    def chunks() -> Iterator[bytes]:
        for _number in range(3):
            yield CONTENT
            select.select([], [], [], 0.1)  # the next piece is not read from disk yet

    with line_to(each_server) as line:
        line.storage.write(ONE, chunks)
        assert line.storage.sizes([ONE, TWO]) == [3 * len(CONTENT), None]
        assert line.pauses == []


def test_t10_a_connection_that_was_closed_while_idle_is_replaced_before_it_is_used(serve: Serve) -> None:
    server = serve(idle_seconds=0.3)

    with line_to(server.facts) as line:
        for number in range(2):
            line.storage.write(PurePosixPath(f"{number}"), lambda: [CONTENT])
            wait_until(lambda: server.connections == 0)
        assert line.storage.take_directory(TWO)
        assert line.pauses == []
        assert line.pool.reports.failed == 0

    assert server.logins == 3


@pytest.mark.parametrize("goodbye", [Drop(), Drop(rst=True), Answer("421 No transfer for too long.")])
@pytest.mark.parametrize("verb", ["MKD", "EPSV", "SIZE"])
def test_t10_a_connection_that_ends_as_it_is_used_is_replaced(verb: str, goodbye: Action, serve: Serve) -> None:
    server = serve(Fault(verb, goodbye, after=1))

    with line_to(server.facts) as line:
        for number in range(3):
            line.storage.ensure_directories([PurePosixPath(f"d{number}")])
            line.storage.write(PurePosixPath(f"d{number}/one"), lambda: [CONTENT])
            assert line.storage.sizes([PurePosixPath(f"d{number}/one")]) == [len(CONTENT)]

    assert server.logins == 2
    assert not server.faults_left


@pytest.mark.parametrize("product", ["proftpd", "vsftpd"])
def test_t10_a_real_server_that_closes_what_is_idle_is_met_again(product: str, request: pytest.FixtureRequest) -> None:
    make: MakeServer = request.getfixturevalue(f"make_{product}")
    is_vsftpd = product == "vsftpd"
    server = make(settings={"idle_session_timeout": "1"}) if is_vsftpd else make(directives=["TimeoutIdle 1"])

    with line_to(server) as line:
        line.storage.write(ONE, lambda: [CONTENT])
        wait_until(lambda: not sessions_of(server.pid))
        assert line.storage.sizes([ONE, TWO]) == [len(CONTENT), None]
        assert line.pauses == []


def test_t10_words_that_nobody_asked_for_end_an_idle_connection(serve: Serve) -> None:
    server = serve(tls=False)

    with line_to(server.facts) as line:
        line.storage.write(ONE, lambda: [CONTENT])
        with line.pool.session() as session:
            server.plan(Fault("NOOP", Answer("200 Yes.\n200 And another thing.")))
            session.ask("NOOP")
        assert line.storage.sizes([ONE, TWO]) == [len(CONTENT), None]

    assert server.logins == 2
