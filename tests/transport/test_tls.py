# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T01 to T06: TLS begins or nothing does, on both connections, with the right server, and ends so that it is seen."""

from __future__ import annotations

import json
import os
import select
import socket
import ssl
import struct
import subprocess
import typing as t
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BusyError,
    InterruptedTransferError,
    RefusedError,
    StorageError,
    TrustError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp import data, doors
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import connect
from tests.modules.strangers import stranger
from tests.run import PYTHONS, find_pythons
from tests.servers.certificates import Authority, self_signed
from tests.servers.conversation import Conversation
from tests.servers.faults import (
    Answer,
    Course,
    CutData,
    DataAction,
    Drop,
    Fault,
    Late,
    NoCloseNotify,
    Outcome,
    RefuseData,
    ReplyAction,
    Silence,
    Swallow,
    encoded,
)
from tests.servers.guests import TLS_VERSIONS
from tests.servers.server import LOOPBACK, FtpServer
from tests.transport.reach import address_of, context_of, line_to, session_on

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeServer, Serve
    from tests.servers.certificates import Certificate
    from tests.servers.faults import Talk
    from tests.servers.scripted import ScriptedServer

ROOT = Path(__file__).resolve().parents[2]
ONE, TWO = PurePosixPath("one"), PurePosixPath("two")
CONTENT = bytes(range(256)) * 40
# More than the buffers of both sides hold.
LARGE = CONTENT * 1600
REFUSALS_OF_TLS = ("500 What?", "502 No.", "504 No such mechanism.", "530 Log in first.", "534 Not by our policy.")


def verbs_of(server: ScriptedServer) -> list[str]:
    return [heard.verb for heard in server.heard]


@pytest.fixture(params=TLS_VERSIONS, ids=lambda version: version.name)
def tls_version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return t.cast("ssl.TLSVersion", request.param)


# -- T01: explicit TLS or a clear failure


@pytest.mark.parametrize("answer", [*REFUSALS_OF_TLS, "431 Not now.", "334 A mechanism of ours, please."])
def test_t01_a_refused_tls_is_final_names_the_option_and_tells_the_server_nothing(answer: str, serve: Serve) -> None:
    server = serve(Fault("AUTH", Answer(answer), times=0))

    with pytest.raises(TrustError, match="tls: false") as caught, line_to(server.facts, retries=3) as line:
        line.storage.sizes([ONE])

    assert answer in str(caught.value)
    assert [heard.line for heard in server.heard] == ["AUTH TLS"]
    assert server.accepted == 1


def test_t01_a_server_without_tls_sees_no_user(serve: Serve) -> None:
    server = serve(tls=False)

    with pytest.raises(TrustError, match="tls: false"), line_to(server.facts, retries=3, tls=True) as line:
        line.storage.sizes([ONE])

    assert [heard.line for heard in server.heard] == ["AUTH TLS"]
    assert server.accepted == 1


def test_t01_a_real_server_without_tls_gets_no_login(make_pure_ftpd: MakeServer) -> None:
    server = make_pure_ftpd(tls=0)

    with pytest.raises(TrustError, match="AUTH TLS"):
        connect(address_of(server, tls=True))


@pytest.mark.parametrize("action", [Answer("200 Let us go on as we are."), Drop(), Drop(rst=True), Silence()])
def test_t01_whatever_becomes_of_auth_no_user_follows_it(action: ReplyAction, serve: Serve) -> None:
    server = serve(Fault("AUTH", action))

    with pytest.raises(InterruptedTransferError):
        connect(address_of(server.facts, timeout=1.0))

    assert verbs_of(server) == ["AUTH"]


def test_t01_a_busy_server_that_says_so_to_auth_is_busy(serve: Serve) -> None:
    server = serve(Fault("AUTH", Answer("421 Too many users.")))

    with pytest.raises(BusyError):
        connect(address_of(server.facts))

    assert verbs_of(server) == ["AUTH"]


def test_t01_the_first_command_is_auth_tls_and_all_else_is_said_within_it(serve: Serve) -> None:
    server = serve()

    with session_on(server.facts) as session:
        assert session.tls_version is not None

    assert server.heard[0].line == "AUTH TLS"
    assert verbs_of(server).index("USER") < verbs_of(server).index("PASS")


def test_t01_implicit_tls_is_never_tried() -> None:
    with stranger() as silent, pytest.raises(UnreachableError, match="greeting"):
        connect(address_of(_somewhere(silent.port), tls=True, timeout=1.0))

    assert silent.heard == []
    assert len(silent.guests) == 1


def _somewhere(port: int) -> FtpServer:
    return FtpServer(LOOPBACK, port, "backup", "correct horse", Path("/nowhere"), None, None, 0, None)


# -- T02: verify


def test_t02_the_chain_and_the_name_are_verified_on_both_connections(
    each_server: FtpServer, tls_version: ssl.TLSVersion
) -> None:
    fingerprints = ("ab" * 32, each_server.fingerprint or "")

    with session_on(each_server, tls_version=tls_version, certificate_fingerprints=fingerprints) as session:
        session.upload(session.path_of(ONE), [CONTENT])
        assert session.read(session.path_of(ONE)) == CONTENT
        assert session.fingerprint == each_server.fingerprint


@dataclass(frozen=True)
class Bad:
    """A certificate that must not be believed, and what is said of it."""

    what: str
    words: str
    make: Callable[[Path], Certificate]
    is_its_own_authority: bool = False

    def __str__(self) -> str:
        return self.what


BAD_CERTIFICATES = [
    Bad("wrong name", "mismatch", lambda place: Authority(place).issue("ftp.example.com")),
    Bad("wrong name, self-signed", "mismatch", lambda place: self_signed(place, "ftp.example.com")),
    Bad("expired", "expired", lambda place: Authority(place).issue(is_expired=True)),
]


@pytest.mark.parametrize("bad", BAD_CERTIFICATES, ids=str)
def test_t02_a_bad_certificate_is_refused_before_the_user_is_named(bad: Bad, serve: Serve, tmp_path: Path) -> None:
    server = serve(certificate=bad.make(tmp_path / "bad"))

    with pytest.raises(TrustError, match=bad.words), line_to(server.facts, retries=3) as line:
        line.storage.sizes([ONE])

    assert verbs_of(server) == ["AUTH"]
    assert server.accepted == 1


@pytest.mark.parametrize("make", [lambda place: Authority(place).issue(), self_signed], ids=["unknown", "self-signed"])
def test_t02_who_vouches_for_nobody_we_know_is_refused(
    make: Callable[[Path], Certificate], serve: Serve, tmp_path: Path
) -> None:
    server = serve(certificate=make(tmp_path / "bad"))

    with pytest.raises(TrustError, match="not trusted"):
        connect(address_of(server.facts, ca_path=None))

    assert verbs_of(server) == ["AUTH"]


@pytest.mark.parametrize("bad", BAD_CERTIFICATES, ids=str)
def test_t02_the_right_fingerprint_does_not_excuse_a_bad_certificate(bad: Bad, serve: Serve, tmp_path: Path) -> None:
    certificate = bad.make(tmp_path / "bad")
    server = serve(certificate=certificate)

    with pytest.raises(TrustError, match=bad.words):
        connect(address_of(server.facts, certificate_fingerprints=(certificate.fingerprint,)))

    assert verbs_of(server) == ["AUTH"]


@pytest.mark.parametrize("validates", [True, False])
def test_t02_another_fingerprint_is_refused_and_the_one_seen_is_shown(serve: Serve, *, validates: bool) -> None:
    server = serve()

    with pytest.raises(TrustError, match=server.facts.fingerprint):
        connect(address_of(server.facts, validate_certs=validates, certificate_fingerprints=("ab" * 32,)))

    assert verbs_of(server) == ["AUTH"]


def test_t02_a_fingerprint_can_stand_instead_of_a_chain(serve: Serve, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "own", "ftp.example.com")
    server = serve(certificate=certificate)
    changes: dict[str, t.Any] = {
        "ca_path": None,
        "validate_certs": False,
        "certificate_fingerprints": (certificate.fingerprint,),
    }

    with session_on(server.facts, **changes) as session:
        session.upload(session.path_of(ONE), [CONTENT])
        assert session.read(session.path_of(ONE)) == CONTENT


def test_t02_a_certificate_can_be_rotated_among_several_fingerprints(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    old, new = authority.issue(file="old.pem"), authority.issue(file="new.pem")

    for certificate in (old, new):
        fingerprints = (old.fingerprint, new.fingerprint)
        with session_on(serve(certificate=certificate).facts, certificate_fingerprints=fingerprints) as session:
            assert session.fingerprint == certificate.fingerprint


@pytest.mark.parametrize("bad", BAD_CERTIFICATES, ids=str)
def test_t02_a_bad_certificate_on_the_data_connection_alone_is_refused(
    bad: Bad, serve: Serve, tmp_path: Path, tls_version: ssl.TLSVersion
) -> None:
    server = serve(data_certificate=bad.make(tmp_path / "bad"), tls_version=tls_version)

    with session_on(server.facts) as session:
        with pytest.raises(TrustError, match="not trusted"):
            session.upload(session.path_of(ONE), [CONTENT])
        assert session.is_broken

    assert [upload.size for upload in server.uploads] in ([], [0])


@pytest.mark.parametrize("validates", [True, False])
def test_t02_another_fingerprint_on_the_data_connection_alone_is_refused(
    serve: Serve, tmp_path: Path, tls_version: ssl.TLSVersion, *, validates: bool
) -> None:
    authority = Authority(tmp_path / "authority")
    listed, other = authority.issue(file="listed.pem"), authority.issue(file="other.pem")
    server = serve(certificate=listed, data_certificate=other, tls_version=tls_version)
    changes: dict[str, t.Any] = {"validate_certs": validates, "certificate_fingerprints": (listed.fingerprint,)}

    with session_on(server.facts, **changes) as session:
        with pytest.raises(TrustError, match=other.fingerprint):
            session.upload(session.path_of(ONE), [CONTENT])
        assert session.is_broken

    assert sum(upload.size for upload in server.uploads) == 0


def test_t02_a_distrusted_data_connection_is_not_tried_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(data_certificate=self_signed(tmp_path / "bad"))

    with line_to(server.facts) as line:
        with pytest.raises(TrustError):
            line.storage.write(ONE, lambda: [CONTENT])
        assert line.pauses == []

    assert len(server.commands("STOR")) == 1


# -- T03: data is protected or the transfer does not start


@pytest.mark.parametrize("answer", ["534 Not by our policy.", "536 No such level.", "502 No.", "500 What?", "431 No."])
def test_t03_a_refused_protection_is_final_and_no_password_is_sent(answer: str, serve: Serve) -> None:
    server = serve(Fault("PROT", Answer(answer), times=0))

    with pytest.raises(TrustError, match="PROT P") as caught, line_to(server.facts, retries=3) as line:
        line.storage.write(ONE, lambda: [CONTENT])

    assert answer in str(caught.value)
    assert "PASS" not in verbs_of(server)
    assert (server.accepted, server.data_connections) == (1, 0)


def test_t03_protection_is_asked_for_in_order_and_never_taken_back(serve: Serve) -> None:
    server = serve()

    with session_on(server.facts) as session:
        session.upload(session.path_of(ONE), [CONTENT])
        session.read(session.path_of(ONE))
        session.list_directory(session.home)

    asked = [heard.line for heard in server.heard if heard.verb in ("PBSZ", "PROT", "CCC", "PASS")]
    assert [line.split()[0] for line in asked] == ["PBSZ", "PROT", "PASS"]
    assert asked[:2] == ["PBSZ 0", "PROT P"]


def test_t03_data_that_the_server_would_take_in_clear_is_not_sent(serve: Serve) -> None:
    server = serve()
    server.data_context = None  # it says 200 to PROT P, and then takes what comes as it is

    with session_on(server.facts, timeout=1.0) as session, pytest.raises(StorageError):
        session.upload(session.path_of(ONE), [b"a secret"])

    assert b"secret" not in (server.facts.root / "one").read_bytes()


def test_t03_without_tls_both_connections_are_clear_and_work(serve: Serve, make_vsftpd: MakeServer) -> None:
    scripted = serve(tls=False)
    for server in (scripted.facts, make_vsftpd(tls=False)):
        with line_to(server) as line:
            line.storage.write(ONE, lambda: [CONTENT])
            assert line.storage.read(ONE) == CONTENT

    assert not {"AUTH", "PBSZ", "PROT"} & set(verbs_of(scripted))


# -- T04: the handshake of data connections


def test_t04_many_transfers_on_one_connection(
    each_server: FtpServer, tls_version: ssl.TLSVersion, *, soak: bool
) -> None:
    with session_on(each_server, tls_version=tls_version) as session:
        path = session.path_of(ONE)
        for number in range(200 if soak else 20):
            content = b"%d" % number
            session.upload(path, [content])
            assert session.read(path) == content
        if "pyftpdlib" not in str(session.greeting):
            is_pure_ftpd = "Pure-FTPd" in str(session.greeting)
            assert session.has_resumed == (not is_pure_ftpd or tls_version == ssl.TLSVersion.TLSv1_2)


def test_t04_an_empty_object_is_shaken_hands_for_too(each_server: FtpServer, tls_version: ssl.TLSVersion) -> None:
    with line_to(each_server, tls_version=tls_version) as line:
        assert line.storage.write(ONE, list) == 0
        assert line.storage.sizes([ONE]) == [0]
        assert line.storage.read(ONE) == b""
        assert line.pauses == []


def test_t04_each_connection_offers_its_own_session(each_server: FtpServer, tls_version: ssl.TLSVersion) -> None:
    address = address_of(each_server)
    context = context_of(address, tls_version)
    sessions = [connect(address, context) for _number in range(3)]
    try:
        for session in sessions:
            session.enter(PurePosixPath(each_server.directory).relative_to("/"))
        for _time in range(3):
            for number, session in enumerate(sessions):
                session.upload(session.path_of(PurePosixPath(f"{number}")), [CONTENT])
                assert session.read(session.path_of(PurePosixPath(f"{number}"))) == CONTENT
    finally:
        for session in sessions:
            session.quit()


def test_t04_the_name_of_the_host_is_told_on_both_connections(serve: Serve) -> None:
    server = serve()
    names: list[str | None] = []
    assert server.context is not None
    server.context.sni_callback = lambda _connection, name, _context: names.append(name)
    changes: dict[str, t.Any] = {
        "host": "localhost",
        "validate_certs": False,
        "certificate_fingerprints": (server.facts.fingerprint,),
    }

    with session_on(server.facts, **changes) as session:
        session.upload(session.path_of(ONE), [CONTENT])

    assert names == ["localhost", "localhost"]


@dataclass(frozen=True)
class Eavesdrop(ReplyAction):
    """Take the data connection, listen for a moment to what comes before a word was said, and then say no."""

    heard: list[bytes] = field(default_factory=list)

    def play(self, talk: Talk, deed: Callable[[], Outcome]) -> Outcome:  # noqa: ARG002 # nothing is done
        assert isinstance(talk, Conversation)
        assert talk._transfers is not None
        guest, _address = talk._transfers._listeners[0].accept()
        with guest:
            ready, _writable, _failed = select.select([guest], [], [], 0.3)
            self.heard.append(guest.recv(1) if ready else b"")
        return Outcome(encoded("553 Not here."))


def test_t04_the_handshake_waits_for_the_servers_word(serve: Serve) -> None:
    action = Eavesdrop()
    server = serve(Fault("STOR", action))

    with session_on(server.facts) as session:
        with pytest.raises(RefusedError, match="553 Not here"):
            session.upload(session.path_of(ONE), [CONTENT])
        assert not session.is_broken

    assert action.heard == [b""]


def test_t04_a_session_that_cannot_be_resumed_does_not_matter(
    serve: Serve, tmp_path: Path, tls_version: ssl.TLSVersion
) -> None:
    server = _without_resumption(serve, tmp_path, tls_version)

    with session_on(server.facts) as session:
        session.upload(session.path_of(ONE), [CONTENT])
        assert session.has_resumed is False
        assert session.read(session.path_of(ONE)) == CONTENT


@pytest.mark.parametrize("answer", ["425 Operation not permitted", "450 No.", "522 SSL connection failed"])
def test_t04_who_demands_what_was_not_resumed_twice_is_told_of_by_name(
    answer: str, serve: Serve, tmp_path: Path, tls_version: ssl.TLSVersion
) -> None:
    server = _without_resumption(serve, tmp_path, tls_version, Fault("STOR", RefuseData(answer), times=0))

    with line_to(server.facts) as line, pytest.raises(RefusedError, match="TLS session reuse") as caught:
        line.storage.write(ONE, lambda: [CONTENT])

    assert answer in str(caught.value)
    assert len(server.commands("STOR")) == 2


def test_t04_a_refusal_after_a_resumed_session_says_nothing_of_reuse(serve: Serve) -> None:
    server = serve(Fault("STOR", RefuseData("425 Cannot open the data connection.")))

    with session_on(server.facts) as session:
        with pytest.raises(InterruptedTransferError, match="425") as caught:
            session.upload(session.path_of(ONE), [LARGE])
        assert session.has_resumed is True

    assert "reuse" not in str(caught.value)
    assert caught.value.lacks_reuse is False


@pytest.mark.parametrize("resumes", [True, False])
def test_t04_one_refusal_after_hours_is_mended_by_another_connection(
    serve: Serve, tmp_path: Path, *, resumes: bool
) -> None:
    fault = Fault("STOR", RefuseData("425 Unable to build data connection: Operation not permitted"), after=1)
    version = ssl.TLSVersion.TLSv1_3
    server = serve(fault) if resumes else _without_resumption(serve, tmp_path, version, fault)

    with line_to(server.facts) as line:
        for path in (ONE, TWO):
            line.storage.write(path, lambda: [CONTENT])
            assert line.storage.read(path) == CONTENT

    assert len(server.commands("STOR")) == 3


def _without_resumption(
    serve: Serve, tmp_path: Path, version: ssl.TLSVersion | None = None, *faults: Fault
) -> ScriptedServer:
    """Start a server whose data connections are of another context, in which no session can be resumed."""
    authority = Authority(tmp_path / "authority")
    both = {"certificate": authority.issue(file="one.pem"), "data_certificate": authority.issue(file="two.pem")}
    return serve(*faults, **both, tls_version=version)


# -- T05: the end of TLS


@dataclass(frozen=True)
class ResetAtEnd(DataAction):
    """Move everything, and end by RST."""

    def course(self) -> Course:
        return Course(answers_close=False, end="rst")


@pytest.mark.parametrize("action", [NoCloseNotify(), NoCloseNotify(closes=True), ResetAtEnd()], ids=repr)
def test_t05_an_upload_whose_farewell_fails_is_no_error(
    action: DataAction, serve: Serve, tls_version: ssl.TLSVersion
) -> None:
    server = serve(Fault("STOR", action), tls_version=tls_version)

    with line_to(server.facts) as line:
        assert line.storage.write(ONE, lambda: [LARGE]) == len(LARGE)
        assert line.pauses == []

    assert (server.facts.root / "one").read_bytes() == LARGE
    assert [upload.ending for upload in server.uploads] == ["closed"]


@pytest.mark.parametrize("action", [CutData(1000, "fin"), CutData(1000, "rst"), CutData(1000, "clean")], ids=repr)
def test_t05_the_size_decides_on_an_upload_that_was_called_complete(
    action: DataAction, serve: Serve, tls_version: ssl.TLSVersion
) -> None:
    server = serve(Fault("STOR", action), tls_version=tls_version)

    with line_to(server.facts) as line:
        assert line.storage.write(ONE, lambda: [CONTENT]) == len(CONTENT)

    assert (server.facts.root / "one").read_bytes() == CONTENT
    assert [upload.size for upload in server.uploads] == [1000, len(CONTENT)]


def test_t05_an_upload_ends_with_a_farewell_of_ours(serve: Serve, tls_version: ssl.TLSVersion) -> None:
    server = serve(requires_close_notify=True, tls_version=tls_version)

    with session_on(server.facts) as session:
        for content in (LARGE, CONTENT, b""):
            session.upload(session.path_of(ONE), [content])

    assert [upload.ending for upload in server.uploads] == ["closed"] * 3


@pytest.mark.timeout(25)
@pytest.mark.parametrize("reply", [Late(0.5), Swallow()], ids=repr)
def test_t05_nobody_waits_without_end_for_a_farewell(
    reply: ReplyAction, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_FAREWELL_TIMEOUT", 0.1)
    monkeypatch.setattr(data, "_FINAL_REPLY_TIMEOUT", 0.1)
    server = serve(Fault("STOR", NoCloseNotify()), Fault("STOR", reply))

    with session_on(server.facts, timeout=2.0) as session:
        if isinstance(reply, Late):
            assert session.upload(session.path_of(ONE), [CONTENT]) == len(CONTENT)
            assert session.sizes([session.path_of(ONE)]) == [len(CONTENT)]
        else:
            with pytest.raises(InterruptedTransferError, match="no answer"):
                session.upload(session.path_of(ONE), [CONTENT])
            assert session.is_broken

    assert [upload.ending for upload in server.uploads] == ["closed"]


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("reply", ["226 Transfer complete.", None])
def test_t05_an_end_without_farewell_is_an_error_where_no_length_is_known(
    how: t.Literal["fin", "rst"],
    reply: str | None,
    serve: Serve,
    tls_version: ssl.TLSVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doors, "PENDING_REPLY_WAIT", 0.2)
    server = serve(
        Fault("RETR", CutData(1000, how, reply)), Fault("MLSD", CutData(30, how, reply)), tls_version=tls_version
    )
    for name in ("one", "two"):
        (server.facts.root / name).write_bytes(CONTENT)

    with (
        session_on(server.facts) as session,
        pytest.raises(InterruptedTransferError),
        session.download(session.path_of(ONE)) as download,
    ):
        download.read_all()
    with session_on(server.facts) as session, pytest.raises(InterruptedTransferError):
        session.list_directory(session.home)


@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
def test_t05_a_cut_download_is_noticed_however_it_ends(
    how: t.Literal["fin", "rst", "clean"], serve: Serve, tls_version: ssl.TLSVersion
) -> None:
    server = serve(Fault("RETR", CutData(1000, how), times=0), tls_version=tls_version)
    (server.facts.root / "one").write_bytes(CONTENT)

    with session_on(server.facts) as session, pytest.raises(InterruptedTransferError):
        session.read(session.path_of(ONE))


def test_t05_a_cut_download_is_tried_again(serve: Serve) -> None:
    server = serve(Fault("RETR", CutData(1000), times=2))
    (server.facts.root / "one").write_bytes(CONTENT)

    with line_to(server.facts) as line:
        assert line.storage.read(ONE) == CONTENT

    assert len(server.commands("RETR")) == 3


def test_t05_an_end_without_farewell_is_none_where_the_length_is_right(
    serve: Serve, tls_version: ssl.TLSVersion
) -> None:
    server = serve(Fault("RETR", NoCloseNotify(closes=True), times=0), tls_version=tls_version)
    (server.facts.root / "one").write_bytes(CONTENT)

    with line_to(server.facts) as line:
        assert line.storage.read(ONE) == CONTENT
        assert line.storage.read(ONE, 100, len(CONTENT) - 100) == CONTENT[100:]
        assert line.pauses == []


# Runs on a Python that has nothing but itself; prints what came of each deed.
SCRIPT = """
import json, sys
from pathlib import PurePosixPath
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import StorageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.control import Address
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import connect

def kind(deed):
    try:
        return deed()
    except StorageError as error:
        return error.kind

def log_in(**options):
    session = connect(Address(username="backup", password="correct horse", timeout=10.0, **options))
    session.enter(PurePosixPath())
    return session

def logged_in(**options):
    log_in(**options).quit()
    return "trusted"

def download(name):
    session = log_in(**facts["good"])
    with session.download("/" + name) as transfer:
        return len(transfer.read_all())

facts = json.load(sys.stdin)
outcome = {name: kind(lambda: logged_in(**options)) for name, options in facts.items()}
outcome.update((name, kind(lambda: download(name))) for name in ("whole", "fin", "rst"))
outcome["list"] = kind(lambda: len(log_in(**facts["good"]).list_directory("/")))
session = log_in(**facts["good"])
session.upload("/up", [b"x" * 100_000])
outcome["up"] = session.sizes(["/up"])[0]
session.quit()
print(json.dumps(outcome))
"""
ON_EACH_PYTHON = {
    "good": "trusted",
    "own": "trusted",
    "stranger": "trust",
    "other": "trust",
    "whole": len(CONTENT),
    "fin": "interrupted",
    "rst": "interrupted",
    "list": "interrupted",
    "up": 100_000,
}


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    return find_pythons()


@pytest.fixture
def facts_for_pythons(serve: Serve, tmp_path: Path) -> str:
    good = serve(
        Fault("RETR", CutData(1000, "fin"), pattern="fin", times=0),
        Fault("RETR", CutData(1000, "rst"), pattern="rst", times=0),
        Fault("MLSD", CutData(30, "fin"), times=0),
    )
    for name in ("whole", "fin", "rst"):
        (good.facts.root / name).write_bytes(CONTENT)
    own = serve(certificate=self_signed(tmp_path / "own"))
    places = {"good": good, "own": own, "stranger": good, "other": good}
    roots = {
        **{name: str(server.facts.ca_path) for name, server in places.items()},
        "stranger": None,
        "other": str(own.facts.ca_path),
    }
    return json.dumps(
        {
            name: {"host": server.facts.host, "port": server.facts.port, "ca_path": roots[name]}
            for name, server in places.items()
        }
    )


@pytest.mark.parametrize("version", PYTHONS)
def test_t02_and_t05_trust_and_cut_off_downloads_are_the_same_on_this_python(
    version: str, pythons: dict[str, Path], facts_for_pythons: str
) -> None:
    python = pythons.get(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine, so TLS was not tried on it.")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections"), "PYTHONDONTWRITEBYTECODE": "1"}

    ended = subprocess.run(
        [str(python), "-W", "error", "-c", SCRIPT],
        input=facts_for_pythons,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == ON_EACH_PYTHON


# -- T06: plain text where TLS is expected


def test_t06_plain_text_instead_of_a_handshake_is_called_so() -> None:
    outburst = b"500 OOPS: no certificate\r\n"
    with (
        stranger(b"220 Welcome\r\n", [b"234 Go on.\r\n"], outburst=outburst) as server,
        pytest.raises(TrustError, match="the server sent plain text"),
    ):
        connect(address_of(_somewhere(server.port), tls=True))

    assert not server.has_heard(b"USER")


def test_t06_plain_text_that_comes_along_with_the_answer_is_never_read_as_a_reply(serve: Serve) -> None:
    # Commands could be answered before they were asked, by whoever is on the way (CVE-2021-22947 and its like).
    planted = b"234 Go on.\r\n200 PBSZ=0\r\n200 Protected.\r\n331 And the password?\r\n"
    server = serve(Fault("AUTH", Answer(planted, does=True)))

    with pytest.raises(TrustError, match="the server sent plain text"):
        connect(address_of(server.facts))

    assert "USER" not in verbs_of(server)


@pytest.mark.parametrize("verb", ["RETR", "MLSD"])
def test_t06_plain_text_on_the_data_connection_is_called_so(verb: str, serve: Serve) -> None:
    server = serve()
    (server.facts.root / "one").write_bytes(CONTENT)
    server.data_context = None

    with session_on(server.facts) as session:
        with pytest.raises(TrustError, match="the server sent plain text"):
            session.read(session.path_of(ONE)) if verb == "RETR" else session.list_directory(session.home)
        assert session.is_broken


def test_t06_a_handshake_that_the_server_breaks_off_is_no_plain_text() -> None:
    with (
        stranger(b"220 Welcome\r\n", [b"234 Go on.\r\n"], hangs_up=True) as server,
        pytest.raises(InterruptedTransferError, match="Cannot start TLS"),
    ):
        connect(address_of(_somewhere(server.port), tls=True))

    assert not server.has_heard(b"USER")


def test_t03_nothing_goes_over_a_connection_whose_peer_was_gone_before_the_handshake(serve: Serve) -> None:
    # Python wraps such a one without any handshake, and then reads from it as if it had ended well.
    with socket.create_server((LOOPBACK, 0)) as listener, session_on(serve().facts) as session:
        connection = socket.create_connection(listener.getsockname())
        peer, _address = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        select.select([connection], [], [])
        with connection, pytest.raises(OSError, match=r"ended before TLS began|not connected"):
            session._control.wrap(connection, ssl.create_default_context(), "Cannot list")
