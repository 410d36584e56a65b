# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers are what the other tests take them for."""

from __future__ import annotations

import contextlib
import ftplib
import hashlib
import importlib
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped] # it has no annotations

from tests.servers import embedded
from tests.servers.certificates import Authority, Certificate, self_signed
from tests.servers.process import free_port, sessions_of
from tests.servers.server import ODD_USER, FtpServer, FtpUser

MakeServer = Callable[..., FtpServer]
LogIn = Callable[..., ftplib.FTP_TLS]

# Starts a server, says which, and then waits to be killed.
DOOMED = """
import sys, time
from pathlib import Path
from tests.servers.pure_ftpd import pure_ftpd
with pure_ftpd(Path(sys.argv[1])) as server:
    print(server.pid, server.port, flush=True)
    time.sleep(60)
"""


class Client(ftplib.FTP_TLS):
    """The standard library's client, but for the session reuse that two of the servers require."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[ssl.SSLSocket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        session = t.cast("ssl.SSLSocket", self.sock).session
        return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size


class ClearClient(ftplib.FTP_TLS):
    """A client that sends its data in the clear, whatever was agreed on."""

    ntransfercmd = ftplib.FTP.ntransfercmd


@pytest.fixture
def log_in() -> Iterator[LogIn]:
    """Return a function that gives a client inside the server's directory, with verified TLS on both connections."""
    with contextlib.ExitStack() as stack:

        def connect(server: FtpServer, kind: type[ftplib.FTP_TLS] = Client) -> ftplib.FTP_TLS:
            client = kind(context=ssl.create_default_context(cafile=server.ca_path), encoding="utf-8", timeout=20)
            stack.callback(client.close)
            client.connect(server.host, server.port)
            client.login(server.username, server.password)
            client.prot_p()
            client.cwd(str(server.directory))
            client.voidcmd("TYPE I")
            return client

        yield connect


def read(client: ftplib.FTP, name: str, rest: int | None = None) -> bytes:
    chunks: list[bytes] = []
    client.retrbinary(f"RETR {name}", chunks.append, rest=rest)
    return b"".join(chunks)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_goes_up_is_renamed_listed_read_and_deleted(each_server: FtpServer, log_in: LogIn) -> None:
    client = log_in(each_server)

    client.storbinary("STOR one", io.BytesIO(b"0123456789"))
    assert client.size("one") == 10
    assert (each_server.root / "one").read_bytes() == b"0123456789"

    client.rename("one", "two")
    assert set(client.nlst()) - {".", ".."} == {"two"}
    assert read(client, "two") == b"0123456789"
    assert read(client, "two", rest=7) == b"789"

    client.delete("two")
    assert list(each_server.root.iterdir()) == []


def test_a_directory_can_be_made_only_once(each_server: FtpServer, log_in: LogIn) -> None:
    client = log_in(each_server)
    client.mkd("taken")

    with pytest.raises(ftplib.error_perm, match="550"):
        client.mkd("taken")


def test_every_test_has_an_empty_directory(each_server: FtpServer) -> None:
    assert list(each_server.root.iterdir()) == []
    assert len(each_server.directory.parts) > 1


def test_a_login_without_tls_is_refused(each_server: FtpServer) -> None:
    with ftplib.FTP(encoding="utf-8", timeout=20) as client:
        client.connect(each_server.host, each_server.port)

        with pytest.raises((ftplib.error_perm, ftplib.error_temp)):
            client.login(each_server.username, each_server.password)


def test_clear_data_is_refused(each_server: FtpServer, log_in: LogIn) -> None:
    client = log_in(each_server, ClearClient)

    with contextlib.suppress(ftplib.error_perm):
        client.prot_c()
    with pytest.raises(ftplib.Error):
        client.storbinary("STOR clear", io.BytesIO(b"secret"))

    assert not any(path.stat().st_size for path in each_server.root.iterdir())


def test_many_clients_at_once_are_served(each_server: FtpServer, log_in: LogIn, *, soak: bool) -> None:
    files = 400 if soak else 25

    def upload(number: int) -> None:
        client = log_in(each_server)
        for index in range(files):
            client.storbinary(f"STOR {number}-{index}", io.BytesIO(b"x" * 3000))
        client.quit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(upload, range(8)))

    sizes = [path.stat().st_size for path in each_server.root.iterdir()]
    assert sizes == [3000] * 8 * files


def test_the_fingerprint_is_the_certificates(each_server: FtpServer, log_in: LogIn) -> None:
    connection = t.cast("ssl.SSLSocket", log_in(each_server).sock)

    assert each_server.fingerprint == hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


@pytest.mark.parametrize("product", ["pure_ftpd", "proftpd", "embedded"])
def test_odd_characters_in_the_login_are_no_obstacle(
    product: str, request: pytest.FixtureRequest, log_in: LogIn
) -> None:
    make: MakeServer = request.getfixturevalue(f"make_{product}")

    assert log_in(make(users=[FtpUser(), ODD_USER]).as_user(ODD_USER)).pwd() == "/"


@pytest.mark.parametrize("product", ["pure_ftpd", "proftpd", "vsftpd", "embedded"])
def test_a_server_without_tls_serves_plain_ftp(product: str, request: pytest.FixtureRequest) -> None:
    make: MakeServer = request.getfixturevalue(f"make_{product}")
    server = make(tls=False)
    with ftplib.FTP(encoding="utf-8", timeout=20) as client:
        client.connect(server.host, server.port)
        client.login(server.username, server.password)
        client.storbinary(f"STOR {server.directory}/plain", io.BytesIO(b"0123456789"))

    assert server.ca_path is None
    assert (server.root / "plain").read_bytes() == b"0123456789"


@pytest.mark.parametrize("product", ["pure_ftpd", "proftpd", "vsftpd", "embedded"])
def test_a_server_listens_on_ipv6_when_told(product: str, request: pytest.FixtureRequest, log_in: LogIn) -> None:
    make: MakeServer = request.getfixturevalue(f"make_{product}")
    try:
        free_port("::1")
    except OSError as error:
        pytest.skip(f"This machine has no IPv6 loopback: {error.strerror}.")

    client = log_in(make(host="::1"))
    client.storbinary("STOR one", io.BytesIO(b"0123456789"))

    assert client.size("one") == 10


@pytest.mark.parametrize("product", ["proftpd", "vsftpd"])
def test_data_without_session_reuse_is_refused_unless_allowed(
    product: str, request: pytest.FixtureRequest, log_in: LogIn
) -> None:
    make: MakeServer = request.getfixturevalue(f"make_{product}")
    client = log_in(make(), ftplib.FTP_TLS)

    with pytest.raises((ftplib.Error, OSError)):
        client.storbinary("STOR one", io.BytesIO(b"0123456789"))

    lenient = log_in(make(requires_session_reuse=False), ftplib.FTP_TLS)
    lenient.storbinary("STOR one", io.BytesIO(b"0123456789"))
    assert lenient.size("one") == 10


@pytest.mark.parametrize("flaw", ["another name", "expired", "self-signed"])
def test_a_bad_certificate_is_not_believed(flaw: str, make_embedded: MakeServer, tmp_path: Path) -> None:
    server = make_embedded(certificate=_flawed(flaw, tmp_path))
    context = ssl.create_default_context(cafile=tmp_path / "good" / "ca.pem")
    with ftplib.FTP_TLS(context=context, timeout=20) as client:
        client.connect(server.host, server.port)

        with pytest.raises(ssl.SSLCertVerificationError):
            client.auth()


def test_a_self_signed_certificate_can_be_its_own_authority(
    make_embedded: MakeServer, tmp_path: Path, log_in: LogIn
) -> None:
    assert log_in(make_embedded(certificate=self_signed(tmp_path))).pwd() == "/"


def test_curl_understands_pure_ftpd(ftp_scratch: FtpServer, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(os.urandom(1_000_000))
    url = f"ftp://{ftp_scratch.host}:{ftp_scratch.port}{ftp_scratch.directory}/curled"
    curl = ["curl", "-sS", "--ssl-reqd", "--cacert", str(ftp_scratch.ca_path)]
    curl += ["-u", f"{ftp_scratch.username}:{ftp_scratch.password}"]

    subprocess.run([*curl, "-T", str(tmp_path / "sent"), url], check=True)
    subprocess.run([*curl, "-o", str(tmp_path / "received"), url], check=True)

    assert (tmp_path / "received").read_bytes() == (tmp_path / "sent").read_bytes()


def test_pure_ftpd_refuses_what_exceeds_the_quota(make_pure_ftpd: MakeServer, log_in: LogIn) -> None:
    server = make_pure_ftpd(quota_megabytes=1)
    client = log_in(server)

    client.storbinary("STOR small", io.BytesIO(b"x" * 500_000))
    with pytest.raises((ftplib.error_perm, OSError)):
        client.storbinary("STOR large", io.BytesIO(b"x" * 5_000_000))

    wait_until(lambda: [path.name for path in server.root.glob("[a-z]*")] == ["small"])


def test_pure_ftpd_counts_its_clients(make_pure_ftpd: MakeServer, log_in: LogIn) -> None:
    server = make_pure_ftpd(max_clients_per_ip=2)
    clients = [log_in(server), log_in(server)]

    with pytest.raises(ftplib.error_temp, match="421"):
        log_in(server)

    assert sessions_of(server.pid) >= len(clients)
    for client in clients:
        client.quit()
    wait_until(lambda: sessions_of(server.pid) == 0)


def test_pure_ftpd_counts_one_users_sessions(make_pure_ftpd: MakeServer, log_in: LogIn) -> None:
    # It counts the sessions of every Pure-FTPd on the machine: the name must be nobody else's.
    server = make_pure_ftpd(users=[FtpUser(username=f"limited-{os.getpid()}", max_sessions=2)])
    _clients = [log_in(server), log_in(server)]

    with pytest.raises(ftplib.error_temp, match="421"):
        log_in(server)


def test_pure_ftpd_cuts_listings_where_it_is_told(make_pure_ftpd: MakeServer, log_in: LogIn) -> None:
    server = make_pure_ftpd(listing_limit=(20, 8))
    for number in range(30):
        (server.root / f"file-{number}").touch()

    lines: list[str] = []
    assert "truncated" in log_in(server).retrlines("MLSD", lines.append)
    assert len(lines) == 20


def test_pure_ftpd_keeps_all_files_when_told(make_pure_ftpd: MakeServer, log_in: LogIn) -> None:
    server = make_pure_ftpd(keep_all_files=True)
    client = log_in(server)
    client.storbinary("STOR kept", io.BytesIO(b"0123456789"))

    with pytest.raises(ftplib.error_perm):
        client.delete("kept")

    assert (server.root / "kept").read_bytes() == b"0123456789"


def test_two_users_of_one_home_see_the_same_files(make_pure_ftpd: MakeServer, log_in: LogIn) -> None:
    writer, pruner = FtpUser("writer"), FtpUser("pruner", "another password")
    server = make_pure_ftpd(users=[writer, pruner])
    log_in(server).storbinary("STOR one", io.BytesIO(b"0123456789"))

    log_in(server.as_user(pruner)).delete("one")

    assert list(server.root.iterdir()) == []


@pytest.mark.parametrize("product", ["pure_ftpd", "proftpd", "vsftpd"])
def test_a_server_and_its_sessions_are_gone_after_the_block(
    product: str, request: pytest.FixtureRequest, tmp_path: Path, log_in: LogIn
) -> None:
    request.getfixturevalue(f"make_{product}")
    start = getattr(
        importlib.import_module(f"tests.servers.{product}"),
        product,
    )
    with start(tmp_path) as server:
        client = log_in(server)
        assert sessions_of(server.pid) > 0

    assert not is_alive(server.pid)
    assert _processes_about(tmp_path) == []
    with pytest.raises((ftplib.Error, OSError, EOFError)):
        client.pwd()


@pytest.mark.usefixtures("make_pure_ftpd")
def test_a_server_does_not_survive_a_killed_test(tmp_path: Path) -> None:
    doomed = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert doomed.stdout is not None
    pid, _port = map(int, doomed.stdout.readline().split())
    assert is_alive(pid)

    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    doomed.stdout.close()

    wait_until(lambda: not is_alive(pid) and _processes_about(tmp_path) == [])


def test_embedded_lists_by_mlsd_and_limits_its_clients(make_embedded: MakeServer, log_in: LogIn) -> None:
    server = make_embedded(max_clients_per_ip=1)
    client = log_in(server)
    client.storbinary("STOR one", io.BytesIO(b"0123456789"))

    assert [(name, facts["size"]) for name, facts in client.mlsd() if facts["type"] == "file"] == [("one", "10")]
    with pytest.raises(ftplib.error_temp, match="421"):
        log_in(server)


def test_embedded_takes_a_crippled_handler(make_embedded: MakeServer, log_in: LogIn) -> None:
    commands = {**TLS_FTPHandler.proto_cmds}
    del commands["MLSD"]
    crippled = type("WithoutMlsd", (TLS_FTPHandler,), {"proto_cmds": commands})

    with pytest.raises(ftplib.error_perm, match="500"):
        list(log_in(make_embedded(handler=crippled)).mlsd())


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_until_it_is_told_to_stop(end: signal.Signals, tmp_path: Path, log_in: LogIn) -> None:
    program = subprocess.Popen(_program(tmp_path), stdout=subprocess.DEVNULL)
    server = _announced(tmp_path)
    log_in(server).storbinary("STOR one", io.BytesIO(b"0123456789"))

    program.send_signal(end)

    assert program.wait(timeout=60) == 0
    assert (server.root / "one").read_bytes() == b"0123456789"
    assert not (tmp_path / "ready").exists()
    assert server.ca_path is not None
    assert not server.ca_path.exists()


def test_the_program_ends_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(["sh", "-c", '"$@" & wait', "sh", *_program(tmp_path)], stdout=subprocess.DEVNULL)
    server = _announced(tmp_path)

    parent.kill()
    parent.wait()

    wait_until(lambda: not is_alive(server.pid) or not (tmp_path / "ready").exists())


def _flawed(flaw: str, directory: Path) -> Certificate:
    authority = Authority(directory / "good")
    if flaw == "another name":
        return authority.issue("ftp.example.com")
    return self_signed(directory) if flaw == "self-signed" else authority.issue(is_expired=True)


def _processes_about(directory: Path) -> list[str]:
    """Return the command lines, other than ours, that name *directory*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return [line.decode(errors="replace") for line in found if os.fsencode(directory) in line]


def _program(directory: Path) -> list[str]:
    (directory / "home").mkdir()
    (directory / "password").write_text(f"{ODD_USER.password}\n", encoding="utf-8")
    return [
        sys.executable,
        embedded.__file__,
        *("--directory", str(directory / "home")),
        *("--username", ODD_USER.username),
        *("--password-file", str(directory / "password")),
        *("--ready-file", str(directory / "ready")),
    ]


def _announced(directory: Path) -> FtpServer:
    wait_until((directory / "ready").exists)
    facts = json.loads((directory / "ready").read_text(encoding="utf-8"))
    return FtpServer(
        host=facts["host"],
        port=facts["port"],
        username=facts["username"],
        password=ODD_USER.password,
        root=directory / "home",
        ca_path=Path(facts["ca_path"]),
        fingerprint=facts["fingerprint"],
        pid=facts["pid"],
        log=None,
    )
