# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted server serves well, limits its clients and counts what they do."""

from __future__ import annotations

import contextlib
import ftplib
import io
import os
import socket
import ssl
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.servers.certificates import Authority, fingerprint_of
from tests.servers.faults import Drop, Fault, Late, Silence, StallData
from tests.servers.guests import (
    A_MOMENT,
    LARGE,
    TEN,
    TLS_VERSIONS,
    MakeScripted,
    connection_of,
    log_in,
    logged_in,
    reset,
    store,
    wait_until,
)
from tests.servers.personalities import UNIX
from tests.servers.process import free_port
from tests.servers.scripted import Upload, scripted, why_unavailable
from tests.servers.server import ODD_USER, FtpUser
from tests.servers.test_servers import read

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("tls", [True, False])
def test_a_file_goes_up_is_renamed_listed_read_and_deleted(serve: MakeScripted, *, tls: bool) -> None:
    server = serve(tls=tls)
    with logged_in(server) as client:
        assert store(client, "one").startswith("226")
        assert client.size("one") == 10
        assert (server.facts.root / "one").read_bytes() == TEN

        client.rename("one", "two")
        assert client.nlst() == ["two"]
        assert [name for name, facts in client.mlsd() if facts["size"] == "10"] == ["two"]
        assert read(client, "two") == TEN
        assert read(client, "two", rest=7) == b"789"

        client.delete("two")
        assert list(server.facts.root.iterdir()) == []


@pytest.mark.parametrize("version", [None, *TLS_VERSIONS])
def test_much_goes_up_and_down_unchanged(version: ssl.TLSVersion | None, serve: MakeScripted) -> None:
    server = serve(tls_version=version)
    with logged_in(server) as client:
        store(client, "large", LARGE)

        assert (server.facts.root / "large").read_bytes() == LARGE
        assert read(client, "large") == LARGE
        assert server.uploads == [Upload(1, "large", len(LARGE), "closed")]
        assert server.data_connections == 2


@pytest.mark.parametrize("version", TLS_VERSIONS)
def test_a_data_connection_resumes_the_session_of_the_control_connection(
    version: ssl.TLSVersion, serve: MakeScripted
) -> None:
    with logged_in(serve(tls_version=version)) as client:
        connection = t.cast("ssl.SSLSocket", client.transfercmd("STOR one"))

        assert connection.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        assert connection.session_reused
        connection.unwrap()
        connection.close()
        assert client.voidresp().startswith("226")


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("is_passive", [True, False])
def test_either_side_connects_on_either_protocol(
    host: str, serve: MakeScripted, *, is_passive: bool, tls: bool
) -> None:
    try:
        free_port(host)
    except OSError as error:
        pytest.skip(f"This machine has no IPv6 loopback: {error.strerror}.")
    server = serve(host=host, tls=tls)
    with logged_in(server) as client:
        client.set_pasv(is_passive)
        store(client, "one")

        assert read(client, "one") == TEN
        verb = ("PASV" if host == "127.0.0.1" else "EPSV") if is_passive else "PORT" if "." in host else "EPRT"
        assert len(server.commands(verb)) == 2


def test_epsv_serves_ipv4_and_ports_of_others_are_refused(serve: MakeScripted) -> None:
    with logged_in(serve(tls=False)) as client:
        port = int(client.sendcmd("EPSV").split("|")[-2])
        client.putcmd("STOR one")
        with socket.create_connection((client.host, port)) as connection:
            assert client.getresp().startswith("150")
            connection.sendall(TEN)
        assert client.voidresp().startswith("226")

        for command in ("PORT 10,0,0,1,8,8", "EPRT |1|10.0.0.1|2056|", "PORT nonsense", "EPRT nonsense"):
            with pytest.raises(ftplib.error_perm, match=r"50[01]"):
                client.sendcmd(command)
        with pytest.raises(ftplib.error_temp, match="425"):
            client.sendcmd("STOR two")


def test_what_is_there_is_not_taken_again(serve: MakeScripted) -> None:
    with logged_in(serve()) as client:
        client.mkd("full")
        store(client, "full/one")
        store(client, "full/two")

        for refused in (
            lambda: client.mkd("full"),
            lambda: client.rmd("full"),
            lambda: client.rename("full/one", "full/two"),
            lambda: client.rename("full/three", "full/four"),
            lambda: client.delete("full/three"),
            lambda: client.size("full"),
            lambda: client.cwd("full/one"),
            lambda: store(client, "missing/one"),
            lambda: store(client, "full"),
            lambda: read(client, "missing"),
        ):
            with pytest.raises(ftplib.error_perm, match="550"):
                refused()
        client.rename("full", "moved")
        assert sorted(client.nlst("moved")) == ["one", "two"]


def test_sixteen_clients_want_one_directory_and_one_gets_it(serve: MakeScripted) -> None:
    server = serve()
    start = threading.Barrier(16)

    def make(_number: int) -> bool:
        with logged_in(server) as client:
            start.wait()
            try:
                client.mkd("taken")
            except ftplib.error_perm:
                return False
            return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(make, range(16))) == 1
    assert server.most_connections == server.most_sessions == 16
    assert server.connections == 0


def test_paths_are_confined_to_the_home(serve: MakeScripted, tmp_path: Path) -> None:
    server = serve()
    (server.facts.root / "way-out").symlink_to(tmp_path)
    with logged_in(server) as client:
        client.mkd("deep")
        client.cwd("deep")
        store(client, "../../../one")
        store(client, "/deep/../deep/two")
        client.cwd("..")
        assert client.pwd() == "/"
        with pytest.raises(ftplib.error_perm, match="550"):
            store(client, "way-out/three")
        with pytest.raises(ftplib.error_perm, match="501"):
            client.sendcmd("DELE one\0two")

    assert (server.facts.root / "one").read_bytes() == TEN
    assert (server.facts.root / "deep" / "two").read_bytes() == TEN


def test_the_small_commands_do_what_they_say(serve: MakeScripted) -> None:
    server = serve()
    with logged_in(server) as client:
        store(client, "one")
        client.voidcmd("MFMT 20240102030405 one")
        client.voidcmd("SITE CHMOD 640 one")

        assert client.sendcmd("MDTM one") == "213 20240102030405"
        assert "type=file;size=10;modify=20240102030405;UNIX.mode=0640;" in client.sendcmd("MLST one")
        assert "one" in client.sendcmd("STAT one")
        assert client.sendcmd("SYST") == UNIX.syst
        assert client.sendcmd("HELP") == UNIX.help
        assert client.sendcmd("STAT") == UNIX.stat
        for command in ("NOOP", "OPTS UTF8 ON", "TYPE A", "MODE S", "STRU F", "CDUP", "EPSV ALL"):
            assert client.voidcmd(command).startswith("2")
        for command in ("OPTS NONSENSE", "TYPE E", "SITE HELP", "REST x", "RNTO two", "NONSENSE", "MFMT x one"):
            with pytest.raises(ftplib.error_perm):
                client.voidcmd(command)
    assert (server.facts.root / "one").stat().st_mtime == 1704164645
    assert (server.facts.root / "one").stat().st_mode & 0o777 == 0o640


def test_a_restarted_upload_is_cut_where_it_restarts_and_a_download_not_beyond_the_end(serve: MakeScripted) -> None:
    with logged_in(serve()) as client:
        store(client, "one")
        client.storbinary("STOR one", io.BytesIO(b"XY"), rest=5)

        assert read(client, "one") == b"01234XY"
        with pytest.raises(ftplib.error_perm, match="554"):
            read(client, "one", rest=8)


def test_lists_have_unix_lines(serve: MakeScripted) -> None:
    server = serve()
    (server.facts.root / "link").symlink_to("one")
    with logged_in(server) as client:
        store(client, "one")
        client.mkd("two")
        lines: list[str] = []
        client.dir("-a", lines.append)

    assert [line[:10] for line in lines] == ["lrwxrwxrwx", "-rw-r--r--", "drwxr-xr-x"]
    assert [line.split()[4] for line in lines[1:2]] == ["10"]
    assert [line.split()[8:] for line in lines] == [["link", "->", "one"], ["one"], ["two"]]


def test_names_of_any_bytes_survive(serve: MakeScripted) -> None:
    server = serve(tls=False)
    with logged_in(server) as client:
        client.mkd("bücher")
        connection_of(client).sendall(b"MKD \xff\xfe\r\n")
        assert connection_of(client).recv(100) == b'257 "/\xff\xfe" created.\r\n'

    assert {os.fsencode(path.name) for path in server.facts.root.iterdir()} == {"bücher".encode(), b"\xff\xfe"}


def test_a_client_must_protect_itself_and_know_the_password(serve: MakeScripted) -> None:
    server = serve(users=[FtpUser(), ODD_USER])
    facts = server.facts
    with ftplib.FTP(timeout=20) as plain:
        plain.connect(facts.host, facts.port)
        for command in ("USER backup", "PASS x", "PBSZ 0", "PROT P", "PWD", "AUTH KERBEROS"):
            with pytest.raises(ftplib.error_perm):
                plain.sendcmd(command)
    with logged_in(server) as client:
        with pytest.raises(ftplib.error_perm, match="534"):
            client.sendcmd("PROT C")
        with pytest.raises(ftplib.error_perm, match="503"):
            client.sendcmd("AUTH TLS")
    with pytest.raises(ftplib.error_perm, match="530"):
        log_in(replace(facts, password="wrong"))
    log_in(facts.as_user(ODD_USER)).close()

    assert server.logins == 4
    assert server.commands("PASS")[1:] == [facts.password, "wrong", ODD_USER.password]


def test_data_is_refused_before_it_is_protected(serve: MakeScripted) -> None:
    server = serve()
    client = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=server.facts.ca_path), timeout=20)
    with contextlib.closing(client):
        client.connect(server.facts.host, server.facts.port)
        client.login(server.facts.username, server.facts.password)
        with pytest.raises(ftplib.error_perm, match="521"):
            store(client, "one")


def test_a_server_without_tls_does_not_know_it(serve: MakeScripted) -> None:
    with logged_in(serve(tls=False)) as client:
        assert "AUTH" not in client.sendcmd("FEAT")
        with pytest.raises(ftplib.error_perm, match="500"):
            client.sendcmd("AUTH TLS")


def test_the_data_connection_can_show_another_certificate(serve: MakeScripted, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    control, data = authority.issue(), authority.issue(file="data.pem")
    with logged_in(serve(certificate=control, data_certificate=data)) as client:
        # Sessions belong to a context: what began with one certificate cannot go on with another.
        client.__class__ = ftplib.FTP_TLS
        connection = t.cast("ssl.SSLSocket", client.transfercmd("STOR one"))
        shown = connection.getpeercert(binary_form=True)
        connection.unwrap()
        connection.close()

    assert shown is not None
    assert fingerprint_of(ssl.DER_cert_to_PEM_cert(shown).encode()) == data.fingerprint
    assert data.fingerprint != control.fingerprint


@pytest.mark.parametrize("version", TLS_VERSIONS)
def test_the_end_of_an_upload_is_told_from_a_cut(version: ssl.TLSVersion, serve: MakeScripted) -> None:
    lenient, strict = serve(tls_version=version), serve(tls_version=version, requires_close_notify=True)

    for server, reply in ((lenient, "226"), (strict, "426")):
        with logged_in(server) as client:
            connection = client.transfercmd("STOR cut")
            connection.sendall(TEN)
            # The tickets of TLS 1.3 would turn the close into a reset as long as they are unread.
            socket.socket.shutdown(connection, socket.SHUT_WR)
            assert client.getmultiline().startswith(reply)
            connection.close()

            connection = client.transfercmd("STOR reset")
            connection.sendall(TEN)
            reset(connection)
            assert client.getmultiline().startswith("426")
        assert [(upload.name, upload.ending) for upload in server.uploads] == [("cut", "cut"), ("reset", "reset")]
        assert (server.facts.root / "cut").read_bytes() == TEN


def test_a_download_left_early_is_told_426_and_the_next_one_works(serve: MakeScripted) -> None:
    with logged_in(serve()) as client:
        store(client, "large", LARGE)
        connection = client.transfercmd("RETR large")
        connection.recv(100)
        connection.close()

        assert client.getmultiline().startswith("426")
        assert client.size("large") == len(LARGE)


# -- what it counts


def test_turns_are_counted_by_windows(serve: MakeScripted) -> None:
    server = serve()
    with logged_in(server) as client:
        before = server.turns[1]
        connection_of(client).sendall(b"".join(b"MKD %d\r\n" % number for number in range(100)))
        replies = [client.getresp() for _number in range(100)]
        assert [reply.split('"')[1] for reply in replies] == [f"/{number}" for number in range(100)]
        assert server.turns[1] == before + 1

        client.pwd()
        client.pwd()
        assert server.turns[1] == before + 3
    assert [heard.connection for heard in server.heard if heard.verb == "MKD"] == [1] * 100


def test_commands_are_heard_with_the_number_of_their_connection(serve: MakeScripted) -> None:
    server = serve()
    with logged_in(server), logged_in(server) as second:
        second.mkd("one")

        assert {heard.connection for heard in server.heard} == {1, 2}
        assert (server.heard[-1].connection, server.heard[-1].line) == (2, "MKD one")
        assert server.commands("mkd") == ["one"]
        assert server.logins == 2


def test_one_client_too_many_is_turned_away_at_the_greeting(serve: MakeScripted) -> None:
    server = serve(max_clients=2)
    with logged_in(server), logged_in(server):
        assert server.connections == 2
        with pytest.raises(ftplib.error_temp, match=r"421 Too many connections \(2\) from this IP"):
            log_in(server.facts)
        assert server.turned_away == 1
    assert server.connections == 0
    with logged_in(server):
        assert server.connections == server.accepted - 3 == 1
    assert server.most_sessions == 2


def test_one_client_too_many_is_turned_away_at_the_login(serve: MakeScripted) -> None:
    server = serve(max_clients=1, busy_at="login", busy_reply="530 Sorry, the maximum number of clients (%d)")
    with logged_in(server):
        with pytest.raises(ftplib.error_perm, match=r"530 Sorry, the maximum number of clients \(1\)"):
            log_in(server.facts)
        assert len(server.commands("PASS")) == 2
    with logged_in(server):
        pass


def test_a_user_may_have_few_sessions(serve: MakeScripted) -> None:
    server = serve(users=[FtpUser(max_sessions=1), ODD_USER])
    with logged_in(server):
        with pytest.raises(ftplib.error_perm, match="530 Sorry"):
            log_in(server.facts)
        log_in(server.facts.as_user(ODD_USER)).close()


@pytest.mark.parametrize("tls", [True, False])
def test_the_place_of_a_killed_client_is_free_at_once(serve: MakeScripted, *, tls: bool) -> None:
    server = serve(Fault("STOR", StallData(3), times=0), max_clients=1, tls=tls)
    for _number in range(20):
        client = log_in(server.facts)
        data = client.transfercmd("STOR one")
        data.sendall(TEN)
        reset(data)
        reset(connection_of(client))
        client.close()

    assert (server.turned_away, server.accepted, server.most_connections) == (0, 20, 1)


def test_a_place_is_free_again_once_its_client_has_seen_the_end(serve: MakeScripted) -> None:
    server = serve(Fault("NOOP", Drop(), times=0), max_clients=1)
    clients = []
    for _number in range(20):
        clients.append(log_in(server.facts))
        with pytest.raises((EOFError, OSError)):
            clients[-1].voidcmd("NOOP")
    for client in clients:
        client.close()

    assert (server.turned_away, server.most_connections) == (0, 1)


def test_a_client_that_says_nothing_for_too_long_is_sent_away(serve: MakeScripted) -> None:
    server = serve(idle_seconds=A_MOMENT)
    with logged_in(server) as client:
        assert client.getmultiline().startswith("421")
        with pytest.raises(EOFError):
            client.getmultiline()
    assert server.connections == 0


@pytest.mark.parametrize("verb", ["MLSD", "MLST", "EPSV", "SIZE", "FEAT", "AUTH"])
def test_refused_verbs_are_502_and_no_features(verb: str, serve: MakeScripted) -> None:
    server = serve(refused=[verb.lower()], tls=False)
    with logged_in(server) as client:
        with pytest.raises(ftplib.error_perm, match="502"):
            client.sendcmd(f"{verb} x")
        if verb != "FEAT":
            assert verb not in client.sendcmd("FEAT")


# -- the end


def test_the_end_of_the_block_ends_everything_soon(tmp_path: Path) -> None:
    assert why_unavailable() is None
    before = set(threading.enumerate())
    faults = [
        Fault("STOR", StallData(1)),
        Fault("RETR", StallData(1)),
        Fault("NOOP", Late(600)),
        Fault("PWD", Silence()),
    ]
    with contextlib.ExitStack() as clients:
        with scripted(tmp_path, faults=faults) as server:
            (server.facts.root / "one").write_bytes(TEN)
            guests = [clients.enter_context(logged_in(server)) for _number in range(6)]
            clients.enter_context(guests[0].transfercmd("STOR two"))
            clients.enter_context(guests[1].transfercmd("RETR one"))
            guests[2].putcmd("NOOP")
            guests[3].putcmd("PWD")
            guests[4].sendcmd("EPSV")
            guests[4].putcmd("STOR three")
            clients.enter_context(socket.create_connection((server.facts.host, server.facts.port)))
            wait_until(lambda: len(server.heard) >= 7 * 6)
            started = time.monotonic()
        assert time.monotonic() - started < 1.0
        for guest in guests:
            with pytest.raises((EOFError, OSError)):
                guest.getmultiline()
    assert set(threading.enumerate()) == before
