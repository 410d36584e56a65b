# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T11 to T15: whatever a server says becomes a reply or an error that tells what to do, and patience has a budget."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BusyError,
    InterruptedTransferError,
    LoginError,
    MissingError,
    RefusedError,
    SpaceError,
    StorageError,
    TrustError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp import data, doors
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.known import Known
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.pool import ConnectionPool, Patience
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import connect
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage
from tests.servers.faults import (
    CONNECT,
    PURE_FTPD_QUOTA,
    Answer,
    CutData,
    Drop,
    Endless,
    Extra,
    Fault,
    FullDisk,
    RefuseData,
    Split,
    Swallow,
)
from tests.servers.server import LOOPBACK, FtpServer
from tests.transport.reach import MARK, address_of, context_of, line_to, session_on

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import Session
    from tests.conftest import MakeServer, Serve
    from tests.servers.faults import Action

ONE, TWO = PurePosixPath("one"), PurePosixPath("two")
CONTENT = bytes(range(256)) * 40
# More than the buffers of both sides hold.
LARGE = CONTENT * 1600


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only for a moment for the words of servers that say none."""
    monkeypatch.setattr(doors, "PENDING_REPLY_WAIT", 0.1)


# -- T11: replies are bytes from a stranger

GOOD_REPLIES = [
    (b"200 Fine.\r\n", "200 Fine."),
    (b"200 bare line feed\n", "200 bare line feed"),
    (b"200\r\n", "200"),
    (b"200\n", "200"),
    (b"200 \r\n", "200 "),
    (
        b"200-one\r\ntwo\r\n 200 not the end\r\n200-nor this\r\n2000\r\n",
        "200-one\ntwo\n 200 not the end\n200-nor this\n2000",
    ),
    (b"200-one\n230 of another kind\n\n200 three\n", "200-one\n230 of another kind\n\n200 three"),
    (b"200-\r\n200\r\n", "200-\n200"),
    (b"200 /b\xfcro/\xe4\xff\r\n", "200 /b\xfcro/\xe4\xff"),
    ("200 /büro/日本\r\n".encode(), "200 /büro/日本".encode().decode("latin-1")),
    (b"200 a\0b\x1b[31mc\r\n", "200 a\0b\x1b[31mc"),
    (b"200 one\rtwo\r\n", "200 one\rtwo"),
    (b"200-" + b"x" * 8000 + b"\r\n200 y\r\n", "200-" + "x" * 8000 + "\n200 y"),
    (b"200-a\r\n" * 9000 + b"200 b\r\n", "200-a\n" * 9000 + "200 b"),
    (b"550 No.\r\n", "550 No."),
    (b"421 Goodbye.\r\n", "421 Goodbye."),
]
NO_REPLIES = [
    *(b"no reply at all\r\n", b"\r\n", b"\n", b"20\r\n", b"OK 200\r\n", b" 200 indented\r\n", b"2OO oh\r\n"),
    *(
        b"\0\0\0\r\n",
        b"\xb2\xb3\xb9 not digits of ours\r\n",
        b"2\xb20 nor here\r\n",
        b"099 no such class\r\n",
        b"600 no such class\r\n",
    ),
    *(b"999\r\n", b"-200 negative\r\n", b"\x16\x03\x01\x00\x00\r\n", b"<html>\r\n"),
    *(b"2" * 100_000 + b"\r\n", b"200 " + b"x" * 100_000 + b"\r\n", b"200-" + b"x" * 100_000, b"x" * 100_000),
    b"200-a\r\n" * 11_000 + b"200 b\r\n",
    (b"200-" + b"x" * 4000 + b"\r\n") * 300 + b"200 y\r\n",
]


@pytest.mark.parametrize(("text", "expected"), GOOD_REPLIES, ids=lambda value: repr(value)[:30])
def test_t11_an_odd_reply_is_a_reply(text: bytes, expected: str, serve: Serve) -> None:
    server = serve(Fault("NOOP", Answer(text)), tls=False)

    with session_on(server.facts) as session:
        (reply,) = session.ask("NOOP")
        assert (reply.code, reply.text) == (int(expected[:3]), expected)
        assert str(reply).isprintable()
        assert session.is_broken == (reply.code == 421)
        if not session.is_broken:
            assert session.ask("PWD")[0].code == 257


@pytest.mark.timeout(25)
@pytest.mark.parametrize("text", NO_REPLIES, ids=lambda text: repr(text)[:30])
def test_t11_what_is_no_reply_is_an_error_and_ends_the_connection(text: bytes, serve: Serve) -> None:
    server = serve(Fault("NOOP", Answer(text)), tls=False)

    with session_on(server.facts) as session:
        with pytest.raises(InterruptedTransferError) as caught:
            session.ask("NOOP")
        assert session.is_broken

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.timeout(25)
@pytest.mark.parametrize("text", NO_REPLIES, ids=lambda text: repr(text)[:30])
def test_t11_what_is_no_reply_is_no_greeting_either(text: bytes, serve: Serve) -> None:
    server = serve(Fault(CONNECT, Answer(text)), tls=False)

    with pytest.raises(StorageError) as caught:
        connect(address_of(server.facts))

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert server.heard == []


@pytest.mark.timeout(25)
@pytest.mark.parametrize("line", [b"200-And there is more.\r\n", b"200-\r\n", b"\xff\r\n", b"x", b"200-" + b"y" * 900])
@pytest.mark.parametrize("verb", ["NOOP", CONNECT])
def test_t11_an_endless_reply_has_an_end(line: bytes, verb: str, serve: Serve) -> None:
    server = serve(Fault(verb, Endless(line)), tls=False)

    with pytest.raises(StorageError), session_on(server.facts) as session:
        session.ask("NOOP")


@pytest.mark.parametrize("tls", [True, False])
def test_t11_a_reply_may_come_byte_by_byte(serve: Serve, *, tls: bool) -> None:
    many = Fault("FEAT", Split()), Fault("PWD", Split()), Fault("EPSV", Split()), Fault("MLSD", Split())
    server = serve(*many, *(Fault("NOOP", Split()) for _number in range(3)), tls=tls)

    with session_on(server.facts) as session:
        assert [reply.code for reply in session.ask("NOOP", "NOOP", "PWD", "NOOP")] == [200, 200, 257, 200]
        assert session.list_directory("/") == []

    assert not server.faults_left


@pytest.mark.parametrize(
    ("pwd", "home"),
    [
        (b'257 "/b\xfcro" is it\r\n', "/b\udcfcro"),
        ('257 "/büro/日本" is it\r\n'.encode(), "/büro/日本"),
        (b'257 "/a ""b""" is it\r\n', '/a "b"'),
    ],
)
def test_t11_names_in_any_encoding_come_back_as_they_are(pwd: bytes, home: str, serve: Serve) -> None:
    server = serve(Fault("PWD", Answer(pwd)), Fault("CWD", Answer("250 It is there.")), tls=False)

    with session_on(server.facts) as session:
        assert session.home == home
        session.make_directory(session.path_of(ONE))

    assert server.commands("MKD") == [f"{home}/one"]


@pytest.mark.parametrize(
    "pwd",
    [b'257 "/a\0b"\r\n', b'257-"/a\r\nDELE b"\r\n257 x\r\n', b'257 "/a\rb"\r\n', b"257 /unquoted\r\n", b"257\r\n"],
)
def test_t11_a_login_directory_that_could_be_a_command_is_an_error_of_the_server(pwd: bytes, serve: Serve) -> None:
    server = serve(Fault("PWD", Answer(pwd)), tls=False)

    with pytest.raises(StorageError), session_on(server.facts) as session:
        session.make_directory(session.path_of(ONE))

    assert not {"MKD", "DELE"} & {heard.verb for heard in server.heard}


@dataclass
class Parrot:
    """Says *payload* to whoever connects, whatever they say, and nothing more."""

    port: int
    payload: bytes = b""

    def receive_all(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as last:  # the listener was shut down
            while True:
                guest, _address = listener.accept()
                last.close()  # whoever was here before, even if a test that failed has kept the connection
                last.enter_context(guest)
                with contextlib.suppress(OSError):  # the guest has heard enough
                    guest.sendall(self.payload)
                    guest.shutdown(socket.SHUT_WR)

    @property
    def facts(self) -> FtpServer:
        return FtpServer(LOOPBACK, self.port, "backup", "correct horse", Path("/nowhere"), None, None, 0, None)


@pytest.fixture(scope="module")
def parrot() -> Iterator[Parrot]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        found = Parrot(listener.getsockname()[1])
        thread = threading.Thread(target=found.receive_all, args=(listener,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


LOGIN = b"".join(
    line + b"\r\n"
    for line in (
        b"220 Hello.",
        b"331 And?",
        b"230 In.",
        b"200 I.",
        b"200 Yes.",
        b"211-\r\n MLST\r\n211 End",
        b'257 "/"',
    )
)
FRAGMENTS = [
    *(b"\r\n", b"\n", b"\r", b" ", b"-", b"\0", b"\xff", b"\xb2", b'"', b'"/"', b"(", b")", b"size=1;", b"type=dir;"),
    *(b"120", b"150", b"200", b"211", b"213", b"220", b"226", b"227", b"229", b"230", b"234", b"250", b"257", b"331"),
    *(b"350", b"421", b"425", b"426", b"450", b"500", b"530", b"550", b"552", b"600", b"1", b"10 Kbytes used"),
    *(
        b"(|||1|)",
        b"(127,0,0,1,0,1)",
        b"213 5\r\n",
        b"250 Done.\r\n",
        b"350 Go on.\r\n",
        b"550 No.\r\n",
        b"200 Yes.\r\n",
    ),
    *(b"229 (|||1|)\r\n", b"150 Here.\r\n", b"226 Done.\r\n", b'257 "/"\r\n', b"250- size=3; x\r\n250 End\r\n"),
]
PAYLOADS = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join))
DEEDS: dict[str, Callable[[Session], object]] = {
    "ask": lambda session: session.ask("NOOP", "PWD", "SIZE /x"),
    "sizes": lambda session: session.sizes(["/x/y", "/x/z"]),
    "directory": lambda session: session.ensure_directories(["/x", "/x/y"]),
    "rename": lambda session: session.rename("/x", "/y"),
    "delete": lambda session: session.delete(["/x", "/y"]),
    "remove": lambda session: session.remove_directories(["/x", "/y"]),
    "upload": lambda session: session.upload("/x", [b"content"]),
    "read": lambda session: session.read("/x", 3),
    "list": lambda session: session.list_directory("/x"),
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("tls", [True, False])
def test_t11_any_bytes_at_login_are_a_session_or_a_storage_error(parrot: Parrot, *, tls: bool, soak: bool) -> None:
    address = address_of(parrot.facts, tls=tls)
    context = context_of(address)

    @settings(max_examples=5000 if soak else 400)
    @given(PAYLOADS, st.integers(0, len(LOGIN)))
    def meet(payload: bytes, known: int) -> None:
        parrot.payload = LOGIN[:known] + payload
        with contextlib.suppress(StorageError):
            session = connect(address, context)
            try:
                session.enter(PurePosixPath("x"))
                session.make_directory(session.path_of(ONE))
            finally:
                session.close()

    meet()


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("brief")
def test_t11_any_bytes_after_the_login_are_an_answer_or_a_storage_error(parrot: Parrot, *, soak: bool) -> None:
    address = address_of(parrot.facts)

    @settings(max_examples=10_000 if soak else 700)
    @given(PAYLOADS, st.lists(st.sampled_from(sorted(DEEDS)), min_size=1, max_size=4))
    def meet(payload: bytes, deeds: list[str]) -> None:
        parrot.payload = LOGIN + payload
        session = connect(address)
        try:
            for deed in deeds:
                with contextlib.suppress(StorageError):
                    DEEDS[deed](session)
            session.is_stale()
        finally:
            session.quit()

    meet()


# -- T12: after a data error, the pending reply


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (552, SpaceError),
        (452, SpaceError),
        (522, RefusedError),
        (426, InterruptedTransferError),
        (451, InterruptedTransferError),
        (553, RefusedError),
    ],
)
def test_t12_the_pending_reply_tells_why_an_upload_broke(
    code: int, error: type[StorageError], serve: Serve, *, tls: bool
) -> None:
    server = serve(tls=tls)

    with session_on(server.facts) as session:
        session.upload(session.path_of(TWO), [CONTENT])
        for _time in range(2):
            server.plan(Fault("STOR", FullDisk(5000, code, text="Words of the server's")))
            with pytest.raises(error, match=f"{code} Words of the server") as caught:
                session.upload(session.path_of(ONE), [LARGE])
            assert caught.value.code == code
            assert session.sizes([session.path_of(ONE), session.path_of(TWO)]) == [None, len(CONTENT)]
            assert session.ask("PWD")[0].code == 257

    assert "ABOR" not in {heard.verb for heard in server.heard}
    assert server.logins == 1


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    ("answer", "error"), [("426 It broke.", InterruptedTransferError), ("451 Cannot read.", InterruptedTransferError)]
)
def test_t12_the_pending_reply_tells_why_a_download_broke(
    answer: str, error: type[StorageError], serve: Serve, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    monkeypatch.setattr(data, "_FINAL_REPLY_TIMEOUT", 1.0)
    server = serve(Fault("RETR", CutData(1000, "fin", answer), times=2), tls=tls)

    with session_on(server.facts, timeout=1.0) as session:
        session.upload(session.path_of(TWO), [CONTENT])
        for read in (_read, _read_all):
            with pytest.raises(error, match=answer):
                read(session, TWO)
            assert not session.is_broken
            assert session.sizes([session.path_of(ONE), session.path_of(TWO)]) == [None, len(CONTENT)]


def _read(session: Session, path: PurePosixPath) -> bytes:
    return session.read(session.path_of(path))


def _read_all(session: Session, path: PurePosixPath) -> bytes:
    with session.download(session.path_of(path)) as download:
        return download.read_all()


@pytest.mark.parametrize("tls", [True, False])
def test_t12_a_transfer_that_is_refused_at_once_leaves_the_answers_in_step(serve: Serve, *, tls: bool) -> None:
    server = serve(Fault("STOR", Answer("553 Not there.")), Fault("RETR", Answer("550 No such file.")), tls=tls)

    with session_on(server.facts) as session:
        with pytest.raises(RefusedError, match="553 Not there"):
            session.upload(session.path_of(ONE), [LARGE])
        with pytest.raises(MissingError, match="550 No such file"):
            session.read(session.path_of(TWO))
        session.upload(session.path_of(TWO), [CONTENT])
        assert session.sizes([session.path_of(ONE), session.path_of(TWO)]) == [None, len(CONTENT)]

    assert server.logins == 1


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("reply", [None, "226 Transfer complete.", "213 5", "150 And again."])
@pytest.mark.parametrize("verb", ["STOR", "RETR"])
def test_t12_without_a_reply_that_belongs_the_connection_is_dropped_and_never_used_again(
    verb: str, reply: str | None, serve: Serve
) -> None:
    server = serve(Fault(verb, CutData(1000, "rst", reply)))

    with line_to(server.facts) as line:
        line.storage.write(ONE, lambda: [LARGE])
        assert line.storage.read(ONE) == LARGE
        assert line.storage.sizes([ONE, TWO]) == [len(LARGE), None]

    struck = next(heard for heard in server.heard if heard.verb == verb)
    assert [heard.verb for heard in server.heard if heard.connection == struck.connection][-1] == verb
    assert server.logins == 2
    assert "ABOR" not in {heard.verb for heard in server.heard}


@pytest.mark.parametrize("reply", ["150 And again.", "213 5", "331 And the password?", "257 Made."])
@pytest.mark.parametrize("verb", ["STOR", "RETR"])
def test_t12_a_final_reply_that_cannot_belong_drops_the_connection(verb: str, reply: str, serve: Serve) -> None:
    server = serve(Fault(verb, CutData(len(CONTENT), "clean", reply)), tls=False)
    (server.facts.root / "two").write_bytes(CONTENT)

    with session_on(server.facts) as session:
        with pytest.raises(InterruptedTransferError):
            session.upload(session.path_of(ONE), [CONTENT]) if verb == "STOR" else session.read(session.path_of(TWO))
        assert session.is_broken


OUT_OF_STEP = [
    *(("MKD", "213 5"), ("MKD", "331 And?"), ("MKD", "150 Here."), ("SIZE", "250 Done."), ("SIZE", "257 Made.")),
    *(("PWD", "200 Yes."), ("PWD", "226 Done."), ("RNFR", "250 Done."), ("RNTO", "350 Go on."), ("DELE", "213 5")),
    *(("EPSV", "227 (127,0,0,1,9,9)"), ("EPSV", "200 Yes."), ("DELE", "426 It broke."), ("SIZE", "425 Cannot.")),
]


@pytest.mark.parametrize(("verb", "answer"), OUT_OF_STEP)
def test_t12_and_t13_an_answer_to_something_else_drops_the_connection(verb: str, answer: str, serve: Serve) -> None:
    server = serve(Fault(verb, Answer(answer), after=1 if verb == "PWD" else 0), tls=False)
    deeds: dict[str, Callable[[Session], object]] = {
        "MKD": lambda session: session.make_directory("/one"),
        "SIZE": lambda session: session.sizes(["/one"]),
        "PWD": lambda session: session.ask("PWD"),
        "RNFR": lambda session: session.rename("/two", "/one"),
        "RNTO": lambda session: session.rename("/two", "/one"),
        "DELE": lambda session: session.delete(["/two"]),
        "EPSV": lambda session: session.upload("/one", [CONTENT]),
    }
    (server.facts.root / "two").write_bytes(CONTENT)

    with session_on(server.facts) as session:
        with pytest.raises(InterruptedTransferError, match=answer[:3]):
            deeds[verb](session)
        assert session.is_broken


@pytest.mark.parametrize("extra", ["200 Who is there?", "226 Transfer complete."])
def test_t12_one_answer_too_many_does_not_shift_those_that_follow(extra: str, serve: Serve) -> None:
    server = serve(Fault("MKD", Extra(extra)), Fault("DELE", Swallow()))

    with line_to(server.facts, timeout=1.0) as line:
        line.storage.write(TWO, lambda: [CONTENT])
        line.storage.ensure_directories([ONE])
        assert line.storage.sizes([TWO, PurePosixPath("three")]) == [len(CONTENT), None]
        line.storage.delete([TWO])
        assert line.storage.sizes([TWO]) == [None]


# -- T13: four classes


@dataclass(frozen=True)
class Said:
    """What a real server said, when, and what is to be made of it."""

    moment: str
    text: str
    error: type[StorageError]
    attempts: int = 1

    def __str__(self) -> str:
        return f"{self.moment} {self.text[:40]}"


BUSY = (
    Said(CONNECT, "421 Too many connections (3) from this IP", BusyError, 3),  # Pure-FTPd
    Said(CONNECT, "421 8 users (the maximum) are already logged in, sorry", BusyError, 3),  # Pure-FTPd
    Said(CONNECT, "421 There are too many connected users, please try later.", BusyError, 3),  # vsftpd
    Said(CONNECT, "421 There are too many connections from your internet address.", BusyError, 3),  # vsftpd
    Said(CONNECT, "530 Sorry, the maximum number of clients (30) are already connected.", BusyError, 3),  # ProFTPD
    Said("PASS", "421 I can't accept more than 3 connections as the same user", BusyError, 3),  # OVH
    Said("PASS", "530 Sorry, the maximum number of clients (3) for this user are already connected.", BusyError, 3),
    Said("PASS", "530 Sorry, the maximum number of hosts (1) for this user are already connected.", BusyError, 3),
    Said("PASS", "450 Too many logins at the moment", BusyError, 3),
    Said("USER", "421 Service not available, closing control connection.", BusyError, 3),
    Said("USER", "530 User limit reached", BusyError, 3),
)
FINAL_AT_LOGIN = (
    Said("PASS", "530 Login incorrect.", LoginError),  # vsftpd, ProFTPD
    Said("PASS", "530 Login authentication failed", LoginError),  # Pure-FTPd
    Said("PASS", "530 User cannot log in.", LoginError),  # IIS
    Said("PASS", "532 Need account for storing files.", RefusedError),
    Said("USER", "530 This FTP server is anonymous only.", LoginError),
    Said("USER", "534 Policy requires SSL.", TrustError),  # IIS
    Said("PASS", "500 OOPS: cannot change directory:/home/backup", RefusedError),  # vsftpd
    Said("PASS", "550 SSL/TLS required on the control channel", RefusedError),  # ProFTPD
    Said(CONNECT, "500 OOPS: could not bind listening IPv4 socket", RefusedError),  # vsftpd
    Said("TYPE", "504 Only A.", RefusedError),
)
TRANSIENT_IN_TRANSFER = tuple(
    Said(moment, text, InterruptedTransferError, 4)
    for moment in ("instead", "amid")
    for text in (
        "425 Unable to build data connection: Operation not permitted",  # ProFTPD
        "425 Failed to establish connection.",  # vsftpd
        "425 No data connection",  # Pure-FTPd
        "426 Failure reading network stream.",  # vsftpd
        "426 Connection closed; transfer aborted.",  # IIS
        "450 one: Device or resource busy",  # ProFTPD
        "451 Error during write to file",  # Pure-FTPd
        "421 Timeout.",  # vsftpd
        "421 Idle timeout (600 seconds): closing control connection",  # ProFTPD
    )
)
FINAL_IN_TRANSFER = (
    Said("instead", "451 one: Append/Restart not permitted, try again", RefusedError),  # ProFTPD
    Said("instead", "553 Can't open that file: Permission denied", RefusedError),  # Pure-FTPd
    Said("instead", "553 Could not create file.", RefusedError),  # vsftpd
    Said("instead", "550 one: Operation not permitted", RefusedError),  # ProFTPD
    Said("instead", "500 Unknown command", RefusedError),
    Said("instead", "501 No file name", RefusedError),
    Said("instead", "502 Command not implemented.", RefusedError),
    Said("instead", "503 Use RETR first", RefusedError),
    Said("instead", "504 Not for that parameter", RefusedError),
    Said("instead", "521 Data connections must be encrypted", RefusedError),  # Pure-FTPd
    Said("amid", "522 SSL connection failed; session reuse required: see require_ssl_reuse option", RefusedError),
    Said("instead", "530 Please login with USER and PASS.", LoginError),  # vsftpd
    Said("instead", "532 Need account for storing files.", RefusedError),
    Said("instead", "534 Unwilling to accept security arguments", TrustError),  # ProFTPD
    Said("instead", "536 Requested PROT level not supported", TrustError),
)


@pytest.mark.parametrize("said", [*BUSY, *FINAL_AT_LOGIN], ids=str)
def test_t13_what_is_said_at_login_is_tried_again_or_not(said: Said, serve: Serve) -> None:
    server = serve(Fault(said.moment, Answer(said.text), times=0), tls=False)

    # A server that is busy uses up no retries, but time.
    with line_to(server.facts, retries=3, deadline=2.0) as line, pytest.raises(StorageError) as caught:
        line.storage.sizes([ONE])

    assert caught.value.kind == said.error.kind
    assert said.text in str(caught.value)
    assert server.accepted == said.attempts


@pytest.mark.parametrize("said", [*TRANSIENT_IN_TRANSFER, *FINAL_IN_TRANSFER], ids=str)
def test_t13_what_is_said_of_a_transfer_is_tried_again_or_not(said: Said, serve: Serve) -> None:
    action: Action = Answer(said.text) if said.moment == "instead" else RefuseData(said.text)
    server = serve(Fault("STOR", action, times=0), tls=False)

    with line_to(server.facts) as line, pytest.raises(StorageError) as caught:
        line.storage.write(ONE, lambda: [LARGE])

    assert caught.value.kind == said.error.kind
    assert said.text in str(caught.value)
    assert len(server.commands("STOR")) == said.attempts
    # Each attempt has a name that was never used before.
    assert len(set(server.commands("STOR"))) == said.attempts


def test_t13_an_account_that_is_asked_for_is_final(serve: Serve) -> None:
    server = serve(Fault("PASS", Answer("332 Need account for login."), times=0), tls=False)

    with line_to(server.facts, retries=3) as line, pytest.raises(LoginError, match="account"):
        line.storage.sizes([ONE])

    assert server.accepted == 1


@pytest.mark.parametrize("text", ["550 Can't open one: No such file or directory", "550 Failed to open file.", "450 x"])
def test_t13_what_cannot_be_read_is_missing_and_asked_for_once(text: str, serve: Serve) -> None:
    server = serve(Fault("RETR", Answer(text), times=0), tls=False)

    with line_to(server.facts) as line, pytest.raises(StorageError) as caught:
        line.storage.read(ONE)

    if text.startswith("550"):
        assert isinstance(caught.value, MissingError)
        assert len(server.commands("RETR")) == 1
    else:
        assert isinstance(caught.value, InterruptedTransferError)


def test_t13_a_real_server_that_is_full_is_busy(make_pure_ftpd: MakeServer, make_proftpd: MakeServer) -> None:
    for server in (make_pure_ftpd(max_clients_per_ip=1), make_proftpd(max_clients_per_user=1)):
        with session_on(server), pytest.raises(BusyError):
            connect(address_of(server))


# -- T14: a budget for patience


@dataclass
class Clock:
    """Time that passes when somebody waits, and in no other way."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert len(self.pauses) < 1000, "it has no end"
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, retries: int, jitter: Callable[[], float] = lambda: 1.0) -> Patience:
        return Patience(retries, pause=self.pause, jitter=jitter, clock=self)


@contextlib.contextmanager
def patient_line(server: FtpServer, patience: Patience, clock: Clock) -> Iterator[tuple[FtpStorage, ConnectionPool]]:
    address, known = address_of(server), Known()
    context = context_of(address)
    pool = ConnectionPool(lambda: connect(address, context, known), 4, patience)
    try:
        yield FtpStorage(pool, "", MARK, pause=clock.pause, jitter=lambda: 1.0, clock=clock), pool
    finally:
        pool.close()


TOO_MANY = Answer("421 Too many connections (3) from this IP")
FAILURES = [Drop(), Drop(rst=True)]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("retries", [1, 2, 5])
def test_t14_max_retries_counts_failed_attempts_to_connect(retries: int, failure: Action, serve: Serve) -> None:
    server = serve(Fault(CONNECT, failure, times=0), tls=False)
    clock = Clock()

    with patient_line(server.facts, clock.patience(retries), clock) as (_storage, pool):
        with pytest.raises(StorageError) as caught, pool.session():
            pass
        assert pool.reports.failed == retries

    assert server.accepted == retries
    assert clock.pauses == [0.5, 1.0, 2.0, 4.0][: retries - 1]
    assert caught.value.is_final
    assert retries == 1 or f"tried {retries} times" in str(caught.value)


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_t14_a_server_that_is_busy_is_no_failure_and_is_asked_often(retries: int, serve: Serve) -> None:
    server = serve(Fault(CONNECT, TOO_MANY, times=100), tls=False)
    clock = Clock()

    with patient_line(server.facts, clock.patience(retries), clock) as (storage, pool):
        storage.write(ONE, lambda: [CONTENT])
        assert pool.reports.failed == 100
        assert "100 attempts to connect failed" in " ".join(storage.reports())

    assert clock.pauses[:6] == [0.5, 1, 2, 4, 8, 10]
    assert set(clock.pauses[6:]) == {10}


def test_t14_a_server_that_stays_busy_is_waited_for_until_the_deadline(serve: Serve) -> None:
    server = serve(Fault(CONNECT, TOO_MANY, times=0), tls=False)
    clock = Clock()

    with patient_line(server.facts, clock.patience(1), clock) as line, pytest.raises(BusyError), line[1].session():
        pass

    assert 3500 < clock.now - 1000 <= 3600


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_t14_without_a_limit_a_server_is_waited_for_however_long_it_takes(failure: Action, serve: Serve) -> None:
    server = serve(Fault(CONNECT, failure, times=100), tls=False)
    clock = Clock()

    with patient_line(server.facts, clock.patience(0), clock) as (storage, pool):
        storage.write(ONE, lambda: [CONTENT])
        assert pool.reports.failed == 100
        assert "100 attempts to connect failed" in " ".join(storage.reports())

    assert clock.pauses[:8] == [0.5, 1, 2, 4, 8, 16, 32, 60]
    assert set(clock.pauses[8:]) == {60}
    assert clock.now > 5000


@pytest.mark.parametrize(
    "said", [Said("PASS", "530 Login incorrect.", LoginError), Said("AUTH", "502 No.", TrustError)], ids=str
)
def test_t14_without_a_limit_what_is_final_is_still_final(said: Said, serve: Serve) -> None:
    server = serve(Fault(said.moment, Answer(said.text), times=0))
    clock = Clock()

    with (
        patient_line(server.facts, clock.patience(0), clock) as (storage, _pool),
        pytest.raises(said.error),
    ):
        storage.sizes([ONE])

    assert (server.accepted, clock.pauses) == (1, [])


def test_t14_pauses_differ_from_client_to_client_and_never_exceed_a_minute(serve: Serve) -> None:
    server = serve(Fault(CONNECT, Drop(), times=0), tls=False)
    seen = []
    for seed in (1, 2):
        clock = Clock()
        patience = clock.patience(40, random.Random(seed).random)
        with (
            patient_line(server.facts, patience, clock) as (_storage, pool),
            pytest.raises(StorageError),
            pool.session(),
        ):
            pass
        seen.append(clock.pauses)

    assert len(set(seen[0] + seen[1])) == len(seen[0] + seen[1])
    for pauses in seen:
        for number, pause in enumerate(pauses):
            whole = min(60, 0.5 * 2**number)
            assert whole / 2 <= pause <= whole


def test_t14_a_limit_that_takes_hours_ends_at_the_deadline(serve: Serve) -> None:
    server = serve(Fault(CONNECT, Drop(), times=0), tls=False)
    clock = Clock()

    with (
        patient_line(server.facts, clock.patience(1_000_000), clock) as line,
        pytest.raises(StorageError),
        line[1].session(),
    ):
        pass

    assert 3000 < clock.now - 1000 <= 3600


def test_t14_a_broken_transfer_is_sent_again_a_few_times_on_top(serve: Serve) -> None:
    server = serve(Fault("STOR", CutData(1000), times=3))
    clock = Clock()

    with patient_line(server.facts, clock.patience(1), clock) as (storage, _pool):
        storage.write(ONE, lambda: [CONTENT])
        assert storage.read(ONE) == CONTENT
        assert clock.pauses == [1.0, 4.0, 8.0]
        server.plan(Fault("STOR", CutData(1000), times=0))
        with pytest.raises(InterruptedTransferError):
            storage.write(TWO, lambda: [CONTENT])

    assert len(server.commands("STOR")) == len(set(server.commands("STOR"))) == 8
    assert [path.name for path in server.facts.root.iterdir()] == ["one"]


def test_t14_patience_with_connections_is_not_used_up_by_transfers(serve: Serve) -> None:
    server = serve(Fault("STOR", Drop(), times=2), Fault(CONNECT, Drop(), after=1, times=2), tls=False)
    clock = Clock()

    with patient_line(server.facts, clock.patience(3), clock) as (storage, pool):
        storage.write(ONE, lambda: [CONTENT])
        assert storage.read(ONE) == CONTENT
        assert pool.reports.failed == 2
        assert "2 attempts to connect failed" in " ".join(storage.reports())


def test_t14_a_port_where_nobody_listens_is_tried_as_often_as_any() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can listen there meanwhile
        taken.bind((LOOPBACK, 0))
        facts = FtpServer(LOOPBACK, taken.getsockname()[1], "backup", "x", Path("/nowhere"), None, None, 0, None)
        clock = Clock()
        with (
            patient_line(facts, clock.patience(3), clock) as line,
            pytest.raises(UnreachableError, match="tried 3 times"),
            line[1].session(),
        ):
            pass

    assert clock.pauses == [0.5, 1.0]


# -- T15: space

FULL = [
    "452 Insufficient storage space in system.",
    "452 Error writing file: No space left on device",
    "552 Requested file action aborted. Exceeded storage allocation.",
    "552-Quota exceeded: [one] won't be saved\n552 1024 Kbytes used (100%) - authorized: 1024 Kb",
    "552 Transfer aborted. Disk quota exceeded",
    "553 Disk full - please upload later",
    "550 one: No space left on device",
    "451 Failure writing to local file: Disk quota exceeded",
    "426 Failure writing to local file: No space left on device",
    "450 one: Quota of this user is used up",
]


@pytest.mark.parametrize("text", FULL, ids=lambda text: text[:30])
@pytest.mark.parametrize("amid", [True, False])
def test_t15_a_lack_of_space_is_final_and_told_in_the_servers_words(text: str, serve: Serve, *, amid: bool) -> None:
    server = serve(Fault("STOR", RefuseData(text) if amid else Answer(text), times=0), tls=False)

    with line_to(server.facts) as line:
        with pytest.raises(SpaceError) as caught:
            line.storage.write(ONE, lambda: [LARGE])
        assert line.pauses == []
        assert line.storage.sizes([ONE]) == [None]

    assert text.replace("\n", " ") in str(caught.value)
    assert caught.value.code == int(text[:3])
    assert len(server.commands("STOR")) == 1
    assert server.logins == 1


@pytest.mark.parametrize("keeps_partial", [True, False])
@pytest.mark.parametrize("code", [452, 552])
def test_t15_what_a_full_disk_left_is_removed(code: int, serve: Serve, *, keeps_partial: bool) -> None:
    server = serve(Fault("STOR", FullDisk(5000, code, keeps_partial=keeps_partial, text=PURE_FTPD_QUOTA)))

    with line_to(server.facts) as line, pytest.raises(SpaceError, match="authorized: 1024 Kb"):
        line.storage.write(ONE, lambda: [LARGE])

    assert list(server.facts.root.iterdir()) == []


def test_t15_a_directory_that_finds_no_room_is_a_lack_of_space(serve: Serve) -> None:
    server = serve(Fault("MKD", Answer("552-1024 Kbytes used (100%) - authorized: 1024 Kb\n552 Quota exceeded")))

    with session_on(server.facts) as session:
        with pytest.raises(SpaceError, match="authorized: 1024 Kb"):
            session.ensure_directories([session.path_of(ONE)])
        assert session.quota == (1024 * 1024, 1024 * 1024)


def test_t15_a_user_of_pure_ftpd_with_a_quota(make_pure_ftpd: MakeServer) -> None:
    server = make_pure_ftpd(quota_megabytes=1)
    half = 512 * 1024

    with line_to(server) as line:
        line.storage.write(ONE, lambda: [bytes(half)])
        with line.pool.session() as session:
            assert session.quota == (half, 2 * half)
        with pytest.raises(SpaceError, match="authorized: 1024 Kb") as caught:
            line.storage.write(TWO, lambda: [bytes(half)] * 4)
        assert caught.value.code == 552
        assert line.pauses == []
        assert line.storage.sizes([ONE, TWO]) == [half, None]
        line.storage.write(TWO, lambda: [CONTENT])
        assert line.storage.read(TWO) == CONTENT
        line.storage.ensure_directories([PurePosixPath("three")])

    assert {path.name for path in server.root.iterdir() if path.name[0] != "."} == {"one", "two", "three"}


def test_t15_figures_that_are_not_offered_are_not_asked_for(serve: Serve) -> None:
    server = serve()

    with session_on(server.facts) as session:
        session.upload(session.path_of(ONE), [CONTENT])
        assert session.quota is None

    assert not {"AVBL", "SITE", "STAT", "XQUOTA"} & {heard.verb for heard in server.heard}
