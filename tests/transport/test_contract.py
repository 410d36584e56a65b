# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport does the same on every server, in every way there is to reach it.

A way is a product, plain or with one version of TLS, passive or active, over IPv4 or IPv6. No server here refuses any
of them. What some cannot do lies below that: it stands in CANNOT_RESUME and CANNOT_OVER with the reason, and tests show
it. That pyftpdlib cannot serve two active sessions at once is shown as well, and is mended for this suite: see _Spent.
"""

from __future__ import annotations

import contextlib
import ftplib
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # type: ignore[import-untyped] # it has no annotations

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    MissingError,
    RefusedError,
    StorageError,
    TrustError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp import doors
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import RemoteEntry
from tests.conftest import PRODUCTS, _context_of, _scratch
from tests.servers import embedded
from tests.servers.process import PASSIVE_PORTS, free_port
from tests.servers.server import LOOPBACK
from tests.transport.reach import MARK, line_to, session_on
from tests.unit.storage_contract import StorageContract, write

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import Session
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Buffer, Storage
    from tests.servers.server import FtpServer
    from tests.transport.reach import Line

    class Serve(t.Protocol):
        """Gives the one server of a product on a loopback address, plain or with TLS."""

        def __call__(self, product: str, host: str, *, tls: bool) -> FtpServer: ...


LOOPBACK6 = "::1"
PLAIN = None
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

FILE, OTHER, MISSING = PurePosixPath("file"), PurePosixPath("other"), PurePosixPath("missing")
# Twelve slices of it, three million bytes the longest, all end well before its own end.
TEN = b"0123456789"
LARGE = os.urandom(1_000_003) * 12
SLICES = (1_000, 100_000, 3_000_000)
_LISTENING = "0A"


@dataclass(frozen=True)
class Way:
    """One way to reach a server."""

    product: str
    host: str
    tls: ssl.TLSVersion | None
    passive: bool

    def __str__(self) -> str:
        version, direction = 6 if self.is_ipv6 else 4, "passive" if self.passive else "active"
        return f"{self.product}-ipv{version}-{self.tls_name or 'plain'}-{direction}"

    @property
    def is_ipv6(self) -> bool:
        return self.host == LOOPBACK6

    @property
    def tls_name(self) -> str | None:
        """The version as OpenSSL spells it."""
        return self.tls.name.replace("_", ".") if self.tls else None


WAYS = [
    Way(product, host, tls, passive)
    for product in PRODUCTS
    for host in (LOOPBACK, LOOPBACK6)
    for tls in (PLAIN, TLS_1_2, TLS_1_3)
    for passive in (True, False)
]
TLS_WAYS = [way for way in WAYS if way.tls]

# Everything else resumes: ProFTPD and vsftpd with both versions, which they demand, Pure-FTPd with 1.2, and pyftpdlib
# with both, whose connections share a context of OpenSSL's.
CANNOT_RESUME = {
    ("pure_ftpd", TLS_1_3): "It sends no session ticket with TLS 1.3, and without one there is nothing to resume.",
}


@dataclass(frozen=True)
class Refusal:
    """How a server says that it cannot do what *command* asks: *answer* matches its words, and *why* is the reason."""

    product: str
    host: str
    command: str
    answer: str
    why: str


_NO_ADDRESS = "It squeezes an IPv6 address into the form of RFC 959, which has room for four numbers only."
_OTHER_ADDRESS = "It connects to nobody but the client, who is not at an address of the other kind."
_OTHER_FAMILY = "Its data connections are of the same IP version as the control connection."

CANNOT_OVER = [
    Refusal("pure_ftpd", LOOPBACK6, "PASV", "425 .*Use EPSV", "RFC 959 cannot tell an IPv6 address, and it says so."),
    Refusal("proftpd", LOOPBACK6, "PASV", r"227 .*\(1,\d+,\d+\)", _NO_ADDRESS),
    Refusal("embedded", LOOPBACK6, "PASV", r"227 .*\(::1,\d+,\d+\)", _NO_ADDRESS),
    Refusal("vsftpd", LOOPBACK6, "PASV", r"227 .*\(0,0,0,0,\d+,\d+\)", "It names no address; the port alone is good."),
    Refusal("pure_ftpd", LOOPBACK6, "PORT 127,0,0,1,200,10", "500 I won't open a connection", _OTHER_ADDRESS),
    Refusal("proftpd", LOOPBACK6, "PORT 127,0,0,1,200,10", "500 Illegal PORT", _OTHER_ADDRESS),
    Refusal("embedded", LOOPBACK6, "PORT 127,0,0,1,200,10", "501 Rejected data connection", _OTHER_ADDRESS),
    Refusal("vsftpd", LOOPBACK6, "PORT 127,0,0,1,200,10", "500 Illegal PORT", _OTHER_ADDRESS),
    Refusal("pure_ftpd", LOOPBACK, "EPRT |2|::1|50001|", "500 I won't open a connection", _OTHER_ADDRESS),
    Refusal("proftpd", LOOPBACK, "EPRT |2|::1|50001|", "500 Illegal EPRT", _OTHER_FAMILY),
    Refusal("embedded", LOOPBACK, "EPRT |2|::1|50001|", r"522 .*\(use 1\)", _OTHER_FAMILY),
    Refusal("vsftpd", LOOPBACK, "EPRT |2|::1|50001|", "500 Bad EPRT protocol", _OTHER_FAMILY),
]


# -- servers, and the way to them


@pytest.fixture(scope="module")
def serve_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return a function that gives the one server of a product, plain or with TLS, on one address."""
    servers: dict[tuple[str, str, bool], FtpServer] = {}
    with contextlib.ExitStack() as stack:

        def serve(product: str, host: str, *, tls: bool) -> FtpServer:
            key = (product, host, tls)
            if key not in servers:
                _require(host)
                context = _context_of(product)
                servers[key] = stack.enter_context(
                    context(tmp_path_factory.mktemp(product), host=host, **_options(product, tls=tls))
                )
            return servers[key]

        yield serve


def _require(host: str) -> None:
    try:
        free_port(host)
    except OSError as error:
        pytest.skip(f"This machine has no {host}: {error.strerror}.")


class _Spent(FTPHandler.active_dtp):  # type: ignore[misc] # it has no annotations
    """A connector of pyftpdlib that is done once its connection is open.

    pyftpdlib closes it when the session asks for the next one, and with it forgets whichever connection has got the
    same file descriptor by then, perhaps the control connection of another session.
    """

    def handle_connect(self) -> None:
        super().handle_connect()
        self._closed = True


def _options(product: str, *, tls: bool) -> dict[str, t.Any]:
    if product == "pure_ftpd":
        return {"tls": 3 if tls else 0}
    if product == "embedded":
        # The others have a range of passive ports already.
        settings = {"passive_ports": range(*PASSIVE_PORTS), "active_dtp": _Spent}
        return {"tls": tls, "handler": type("Mended", (TLS_FTPHandler if tls else FTPHandler,), settings)}
    return {"tls": tls}


@pytest.fixture(scope="module", params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    return t.cast("Way", request.param)


@pytest.fixture(scope="module")
def line(way: Way, serve_on: Serve) -> Iterator[Line]:
    """Return the way's own pool, which lends the same sessions to one test after the other."""
    server = serve_on(way.product, way.host, tls=way.tls is not None)
    with line_to(server, tls_version=way.tls, passive=way.passive) as line:
        yield line

        assert line.pauses == [], "a login had to be repeated"


@pytest.fixture
def scratch(way: Way, serve_on: Serve) -> Iterator[FtpServer]:
    """Return the way's server with an empty directory of this test's own."""
    with _scratch(serve_on(way.product, way.host, tls=way.tls is not None)) as server:
        yield server


@pytest.fixture
def storage(line: Line, scratch: FtpServer) -> Storage:
    """Return a storage that does everything at the first attempt, or fails."""
    return FtpStorage(
        line.pool, str(_inside(scratch)), MARK, pause=lambda _seconds: pytest.fail("the first attempt failed")
    )


@pytest.fixture
def session(line: Line, scratch: FtpServer) -> Iterator[Session]:
    """Return a session that is still in step when the test ends."""
    with _entered(line, scratch) as session:
        yield session

        assert not session.is_broken


@contextlib.contextmanager
def _entered(line: Line, scratch: FtpServer) -> Iterator[Session]:
    with line.pool.session() as session:
        session.enter(_inside(scratch))
        yield session


def _inside(server: FtpServer) -> PurePosixPath:
    return server.directory.relative_to("/")


# -- what the kernel knows of connections


@dataclass(frozen=True)
class Connection:
    """A TCP connection as /proc/net has it: its two ends, in no order, and the IP version of the table it stands in."""

    version: int
    ends: frozenset[tuple[str, int]]

    @property
    def ports(self) -> set[int]:
        return {port for _address, port in self.ends}


def connections_of_ours() -> set[Connection]:
    """Return the connections this process has an end of at this moment."""
    held = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was the directory itself, or is closed by now
            held.add(str(entry.readlink()))
    return {
        Connection(version, frozenset((_end(row[1]), _end(row[2]))))
        for version, table in ((4, "tcp"), (6, "tcp6"))
        for row in (line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:])
        if row[3] != _LISTENING and f"socket:[{row[9]}]" in held
    }


def _end(column: str) -> tuple[str, int]:
    """Return the address and port that stand in one column, words of the machine's own byte order."""
    address, _colon, port = column.partition(":")
    words = [bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)


def require_way(way: Way, server: FtpServer, before: set[Connection]) -> None:
    """Require that since *before* just one connection came to be, one of this *way*.

    Where the server listened, its end has one of its passive ports, and these are no ports that a kernel gives to
    whoever connects or listens without a wish.
    """
    ours = connections_of_ours()
    (fresh,) = ours - before
    version = 6 if way.is_ipv6 else 4
    passive = [port for port in fresh.ports if PASSIVE_PORTS[0] <= port <= PASSIVE_PORTS[1]]

    assert {address for address, _port in fresh.ends} == {way.host}
    assert fresh.version == version
    assert len(passive) == (1 if way.passive else 0)
    assert {each.version for each in ours if server.port in each.ports} == {version}


# -- the contract of a storage


class TestStorage(StorageContract):
    """The whole contract; the fixture is the module's."""


# -- the contract of a session


@pytest.mark.parametrize("size", [0, 1, 2_048, 16_384, 16_385, 1_000_003])
def test_what_is_uploaded_lies_on_the_disk_of_the_server_and_reads_back(
    session: Session, scratch: FtpServer, size: int
) -> None:
    path = session.path_of(FILE)

    assert session.upload(path, _pieces(LARGE[:size])) == size
    assert session.sizes([path]) == [size]

    assert (scratch.root / "file").read_bytes() == LARGE[:size]
    assert session.read(path) == LARGE[:size]


def _pieces(content: bytes) -> Iterator[Buffer]:
    for start in range(0, len(content), 300_000):
        yield memoryview(content)[start : start + 300_000]


def test_renaming_moves_a_file_and_tells_its_size(session: Session, scratch: FtpServer) -> None:
    session.upload(session.path_of(FILE), [b"0123456789"])

    assert session.rename(session.path_of(FILE), session.path_of(OTHER)) == 10

    assert {path.name: path.read_bytes() for path in scratch.root.iterdir()} == {"other": b"0123456789"}
    assert session.sizes([session.path_of(path) for path in (FILE, OTHER, MISSING)]) == [None, 10, None]


def test_slices_that_are_left_early_are_right_and_so_is_every_size_after_them(
    line: Line, scratch: FtpServer, *, soak: bool
) -> None:
    """A session may be given up, but not every one.

    Of an early end vsftpd and pyftpdlib tell by 426 or 226, ProFTPD too unless it closes the control connection, and
    Pure-FTPd by 150 or not at all, and then by its answer to PWD.
    """
    (scratch.root / "file").write_bytes(LARGE)
    (scratch.root / "other").write_bytes(b"0123456789")
    rounds = 100 if soak else 4
    lost = 0

    for number in range(rounds * len(SLICES)):
        length = SLICES[number % len(SLICES)]
        start = number * 701_003 % (len(LARGE) - length)
        with _entered(line, scratch) as session:
            with session.download(session.path_of(FILE), start, length) as download:
                assert download.read(length) == LARGE[start : start + length]
            lost += session.is_broken
        with _entered(line, scratch) as session:
            assert session.sizes([session.path_of(path) for path in (OTHER, MISSING, FILE)]) == [10, None, len(LARGE)]

    assert lost * 2 < rounds * len(SLICES)


def test_a_slice_up_to_the_end_and_one_beyond_it_are_right(storage: Storage, scratch: FtpServer) -> None:
    (scratch.root / "file").write_bytes(b"0123456789")

    assert [storage.read(FILE, 7, length) for length in (2, 3, 4)] == [b"78", b"789", b"789"]
    with contextlib.suppress(StorageError):  # vsftpd sends nothing and says 226, ProFTPD, Pure-FTPd, pyftpdlib say 554
        assert storage.read(FILE, 11, 1) == b""
    assert storage.sizes([FILE]) == [10]


def test_a_listing_is_what_lies_on_the_disk(session: Session, scratch: FtpServer) -> None:
    for number in range(75):
        (scratch.root / f"file-{number:02d}").write_bytes(b"x" * number)
    for name in ("a", "b"):
        (scratch.root / name).mkdir()

    files = [RemoteEntry(f"file-{number:02d}", is_directory=False, size=number) for number in range(75)]
    directories = [RemoteEntry(name, is_directory=True, size=0) for name in ("a", "b")]
    found = session.list_directory(session.path_of(PurePosixPath()))
    assert sorted(found, key=lambda entry: entry.name) == [*directories, *files]
    assert session.list_directory(session.path_of(PurePosixPath("a"))) == []


def test_more_than_two_windows_of_deletions_and_sizes_are_answered_in_order(
    session: Session, scratch: FtpServer
) -> None:
    paths = [session.path_of(PurePosixPath(f"a-name-of-some-length-{number:03d}")) for number in range(120)]
    for number in range(0, 120, 2):
        (scratch.root / f"a-name-of-some-length-{number:03d}").write_bytes(b"x" * number)
    (scratch.root / "kept").touch()

    assert session.sizes(paths) == [None if number % 2 else number for number in range(120)]
    session.delete(paths[::2])
    session.delete(paths[:3])

    assert [path.name for path in scratch.root.iterdir()] == ["kept"]
    assert session.sizes(paths) == [None] * 120


def test_many_directories_are_ensured_at_once_and_removed_again(session: Session, scratch: FtpServer) -> None:
    paths = [session.path_of(PurePosixPath(f"directory-{number:02d}")) for number in range(60)]

    session.ensure_directories(paths[:30])
    session.ensure_directories(paths)
    assert len(list(scratch.root.iterdir())) == 60

    (scratch.root / "directory-07" / "full").touch()
    session.remove_directories(paths)
    assert [path.name for path in scratch.root.iterdir()] == ["directory-07"]


def test_a_directory_is_taken_by_one_session_and_by_no_other(line: Line, scratch: FtpServer) -> None:
    with _entered(line, scratch) as one, _entered(line, scratch) as another:
        replies = [session.make_directory(session.path_of(OTHER)) for session in (one, another, one)]

        assert [reply.code for reply in replies] == [257, 550, 550]
        assert one.has_directory(one.path_of(OTHER))
        assert not another.is_broken


def test_many_small_transfers_go_over_one_connection(session: Session, scratch: FtpServer, *, soak: bool) -> None:
    count = 400 if soak else 20
    path = session.path_of(FILE)

    for number in range(count):
        content = b"%d " % number * 500
        assert session.upload(path, [content]) == len(content)
        assert session.read(path) == content
        session.delete([path])

    assert list(scratch.root.iterdir()) == []


def test_what_the_server_refuses_leaves_the_session_in_step(session: Session, scratch: FtpServer) -> None:
    (scratch.root / "file").write_bytes(b"0123456789")
    (scratch.root / "directory").mkdir()

    for _attempt in range(3):
        with pytest.raises(MissingError):
            session.read(session.path_of(MISSING))
        with pytest.raises(RefusedError):
            session.upload(session.path_of(MISSING / "file"), [LARGE])
        with pytest.raises(RefusedError):
            session.upload(session.path_of(PurePosixPath("directory")), [b"x"])
        assert session.sizes([session.path_of(FILE), session.path_of(MISSING)]) == [10, None]


def test_four_threads_write_and_read_at_once(storage: Storage, line: Line, scratch: FtpServer, *, soak: bool) -> None:
    count = 50 if soak else 4

    def work(thread: int) -> None:
        for number in range(count):
            path = OTHER / f"file-{thread}-{number}"
            content = LARGE[number : number + 20_000 * thread]
            assert write(storage, path, content) == len(content)
            assert storage.read(path) == content

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))

    assert len(list((scratch.root / "other").iterdir())) == 4 * count
    assert line.pool.most_open <= 4


# -- the way is the one that was asked for


def test_the_data_go_the_way_that_was_asked_for(way: Way, session: Session, scratch: FtpServer) -> None:
    path = session.path_of(FILE)
    before = connections_of_ours()

    def chunks() -> Iterator[bytes]:
        require_way(way, scratch, before)
        yield LARGE

    session.upload(path, chunks())
    before = connections_of_ours()
    with session.download(path) as download:
        download.read(1)
        require_way(way, scratch, before)
        download.read_all()  # ProFTPD may end the session of who leaves early


def test_both_connections_have_the_version_of_tls_that_was_asked_for(
    way: Way, session: Session, scratch: FtpServer
) -> None:
    (scratch.root / "file").write_bytes(TEN)
    control = session._control._socket

    with session.download(session.path_of(FILE)) as download:
        versions = [
            connection.version() if isinstance(connection, ssl.SSLSocket) else None
            for connection in (control, download._connection)
        ]
        assert download.read_all() == TEN

    assert versions == [way.tls_name, way.tls_name]
    assert session.tls_version == way.tls_name


def test_the_tls_session_is_resumed_where_the_server_can(way: Way, session: Session) -> None:
    can = None if way.tls is None else (way.product, way.tls) not in CANNOT_RESUME

    for number in range(3):
        path = session.path_of(PurePosixPath(f"file-{number}"))
        session.upload(path, [b"x"])
        assert session.has_resumed is can
        session.read(path)
        assert session.has_resumed is can


@pytest.mark.parametrize("way", TLS_WAYS, ids=str, indirect=True, scope="module")
def test_the_certificate_is_recognised_by_its_fingerprint_on_both_connections(way: Way, scratch: FtpServer) -> None:
    trusted: dict[str, t.Any] = {"validate_certs": False, "ca_path": None, "passive": way.passive}
    with session_on(
        scratch, tls_version=way.tls, certificate_fingerprints=(str(scratch.fingerprint),), **trusted
    ) as session:
        assert session.upload(session.path_of(FILE), [b"0123456789"]) == 10
        assert session.read(session.path_of(FILE)) == b"0123456789"

    with (
        pytest.raises(TrustError, match="fingerprint"),
        session_on(scratch, tls_version=way.tls, certificate_fingerprints=("0" * 64,), **trusted),
    ):
        pass


# -- what a server cannot do


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("refusal", CANNOT_OVER, ids=lambda each: f"{each.product}-{each.command.split()[0]}")
def test_a_server_refuses_the_forms_of_the_other_ip_version(refusal: Refusal, serve_on: Serve, *, tls: bool) -> None:
    with session_on(serve_on(refusal.product, refusal.host, tls=tls)) as session:
        (reply,) = session.ask(refusal.command)

    assert re.match(refusal.answer, reply.text), refusal.why


@pytest.mark.parametrize(("product", "version"), CANNOT_RESUME, ids=lambda each: getattr(each, "name", each))
def test_a_server_gives_nothing_that_could_be_resumed(product: str, version: ssl.TLSVersion, serve_on: Serve) -> None:
    """Shown by the standard library alone, after an answer that came behind the handshake, as tickets do."""
    server = serve_on(product, LOOPBACK, tls=True)
    context = ssl.create_default_context(cafile=server.ca_path)
    context.minimum_version = context.maximum_version = version
    with ftplib.FTP_TLS(context=context, timeout=20) as client:
        client.connect(server.host, server.port)
        client.login(server.username, server.password)
        client.prot_p()
        session = t.cast("ssl.SSLSocket", client.sock).session

    assert session is not None
    assert not session.has_ticket, CANNOT_RESUME[product, version]
    assert not session.id


@pytest.mark.parametrize("host", [LOOPBACK, LOOPBACK6])
def test_pyftpdlib_turns_its_back_on_a_session_when_another_one_is_active(host: str, tmp_path: Path) -> None:
    """Shown by the standard library alone: the newcomer's connection has the number that was free last."""
    with (
        _pyftpdlib_as_it_is(host, tmp_path) as port,
        socket.create_server((host, 0), family=socket.AF_INET6 if host == LOOPBACK6 else socket.AF_INET) as listener,
        ftplib.FTP(timeout=20) as active,
        ftplib.FTP(timeout=20) as newcomer,
    ):
        arrange = active.sendeprt if host == LOOPBACK6 else active.sendport
        active.connect(host, port)
        active.login("backup", "correct horse")
        arrange(host, listener.getsockname()[1])
        with listener.accept()[0]:
            active.sendcmd("NLST")
            active.voidresp()

        newcomer.connect(host, port)
        newcomer.login("backup", "correct horse")
        arrange(host, listener.getsockname()[1])

        listener.accept()[0].close()
        assert newcomer.sock is not None
        newcomer.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            newcomer.voidcmd("NOOP")


@contextlib.contextmanager
def _pyftpdlib_as_it_is(host: str, directory: Path) -> Iterator[int]:
    """Run the program of the test servers, a process of its own, and give its port."""
    (directory / "home").mkdir()
    (directory / "password").write_text("correct horse", encoding="utf-8")
    arguments = ["--directory", str(directory / "home"), "--username", "backup", "--host", host, "--no-tls"]
    files = ["--password-file", str(directory / "password"), "--ready-file", str(directory / "ready")]
    with subprocess.Popen(
        [sys.executable, embedded.__file__, *arguments, *files], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        try:
            yield int(json.loads(program.stdout.readline())["port"])
        finally:
            program.terminate()


@pytest.mark.parametrize(
    "way", [way for way in WAYS if way.passive and not way.tls], ids=str, indirect=True, scope="module"
)
def test_one_data_connection_that_could_not_be_opened_is_forgotten(
    way: Way, scratch: FtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall in the way for a moment; over IPv6 only EPSV can work, whatever happened to it before."""
    monkeypatch.setattr(doors, "PENDING_REPLY_WAIT", 0.1)
    connect = socket.socket.connect
    blocked: list[tuple[str, int]] = []

    def refuse_once(connection: socket.socket, address: tuple[str, int]) -> None:
        if address[1] != scratch.port and not blocked:
            blocked.append(address)
            raise ConnectionRefusedError(111, "Connection refused")
        connect(connection, address)

    with line_to(scratch, passive=way.passive) as line:
        line.storage.ensure_directories([OTHER])
        monkeypatch.setattr(socket.socket, "connect", refuse_once)

        for number in range(3):
            assert line.storage.write(OTHER / f"file-{number}", lambda: [b"0123456789"]) == 10

    assert len(blocked) == 1
    assert len(line.pauses) == 1
