# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted server misbehaves as it is told."""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
import time
import typing as t

import pytest

from tests.servers.certificates import told_of_cuts
from tests.servers.faults import (
    ANY,
    CONNECT,
    PURE_FTPD_QUOTA,
    Action,
    Answer,
    BadEpsv,
    CutData,
    DataOnlyAfter,
    DeadPort,
    Drop,
    EarlySuccess,
    Endless,
    Extra,
    Fault,
    FlipByte,
    FullDisk,
    IgnoreRest,
    Late,
    ListingLines,
    LoseTail,
    LostRename,
    LyingAddress,
    NoCloseNotify,
    RefuseData,
    Silence,
    Split,
    StallData,
    Swallow,
    Truncated,
)
from tests.servers.guests import (
    A_MOMENT,
    LARGE,
    TEN,
    TLS_VERSIONS,
    MakeScripted,
    connection_of,
    log_in,
    logged_in,
    store,
    until_end,
    wait_until,
)
from tests.servers.test_servers import read

# -- faults of replies


def test_faults_strike_the_commands_they_are_for(serve: MakeScripted) -> None:
    first, second = Fault("NOOP", Answer("200 first"), after=1, times=2), Fault("NOOP", Answer("200 second"))
    by_name = Fault("mkd", Answer("550 Not that one."), pattern=r"^b\d$", times=0)
    server = serve(first, by_name)
    with logged_in(server) as client:
        server.plan(second)
        assert list(server.faults_left) == [first, by_name, second]

        # What the first lets pass unharmed is not hidden from the second.
        answers = [client.voidcmd("NOOP") for _number in range(4)]
        assert answers == ["200 second", "200 first", "200 first", "200 Nothing was done."]
        client.mkd("a1")
        for _number in range(3):
            with pytest.raises(ftplib.error_perm, match="Not that one"):
                client.mkd("b1")
        assert not server.faults_left

        server.forget_faults()
        client.mkd("b1")
        server.plan(Fault(ANY, Answer("200 anything")))
        assert client.sendcmd("PWD") == "200 anything"


@pytest.mark.parametrize(
    "text",
    [
        b"200 bare line feed\n",
        b"200\r\n",
        b"200 \xe4\xff\x00 broken\r\n",
        b"200-one\r\n two\r\n200 three\r\n",
        b"no reply at all\r\n",
        b"2" * 100_000 + b"\r\n",
        b"200 without an end",
    ],
)
def test_a_reply_can_be_any_bytes(text: bytes, serve: MakeScripted) -> None:
    with logged_in(serve(Fault("NOOP", Answer(text)), Fault("PWD", Drop()), tls=False)) as client:
        connection_of(client).sendall(b"NOOP\r\nPWD\r\n")

        assert until_end(connection_of(client)) == text


def test_an_answer_is_given_with_or_without_the_deed(serve: MakeScripted) -> None:
    server = serve(Fault("MKD", Answer("250-And\n250 done")), Fault("MKD", Answer("550 no", does=True)))
    with logged_in(server) as client:
        assert client.voidcmd("MKD one") == "250-And\n250 done"
        with pytest.raises(ftplib.error_perm, match="550 no"):
            client.mkd("two")
    assert [path.name for path in server.facts.root.iterdir()] == ["two"]


def test_an_answer_takes_the_place_of_a_transfers_final_reply(serve: MakeScripted) -> None:
    server = serve(Fault("STOR", Answer("250 Kept.", does=True)), Fault("STOR", Answer("553 No.")))
    with logged_in(server) as client:
        assert store(client, "one") == "250 Kept."
        with pytest.raises(ftplib.error_perm, match="553"):
            store(client, "two")
    assert [path.name for path in server.facts.root.iterdir()] == ["one"]


def test_tls_can_be_promised_and_not_begun(serve: MakeScripted) -> None:
    server = serve(Fault("AUTH", Answer("234 Go on.")), Fault("AUTH", Answer("502 No."), after=0))
    with pytest.raises(ssl.SSLError):
        log_in(server.facts)
    with pytest.raises(ftplib.error_perm, match="502"):
        log_in(server.facts)
    assert server.logins == 0


def test_a_silent_server_hears_everything_and_says_nothing(serve: MakeScripted) -> None:
    server = serve(Fault("MKD", Silence()))
    with logged_in(server, timeout=A_MOMENT) as client:
        client.putcmd("MKD one")
        client.putcmd("NOOP")
        with pytest.raises(TimeoutError):
            client.getresp()
        wait_until(lambda: server.heard[-1].line == "NOOP")
        assert server.connections == 1
    assert list(server.facts.root.iterdir()) == []


def test_a_greeting_can_be_withheld_changed_or_end_at_once(serve: MakeScripted) -> None:
    server = serve(Fault(CONNECT, Silence()), Fault(CONNECT, Answer("500 OOPS")), Fault(CONNECT, Drop(rst=True)))
    address = (server.facts.host, server.facts.port)
    with socket.create_connection(address, A_MOMENT) as connection, pytest.raises(TimeoutError):
        connection.recv(1)
    with socket.create_connection(address, 20) as connection:
        assert connection.recv(100) == b"500 OOPS\r\n"
    # The reset may be quicker than the client.
    with pytest.raises(ConnectionResetError), socket.create_connection(address, 20) as connection:
        connection.recv(1)


@pytest.mark.parametrize("verb", ["NOOP", "STOR"])
def test_a_reply_can_be_late(verb: str, serve: MakeScripted) -> None:
    server = serve(Fault(verb, Late(A_MOMENT)))
    with logged_in(server) as client:
        started = time.monotonic()
        reply = client.voidcmd("NOOP") if verb == "NOOP" else store(client, "one")

        assert time.monotonic() - started >= A_MOMENT
        assert reply.startswith("2")


def test_a_reply_can_come_byte_by_byte(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("PWD", Split(pause=0.001)), tls=False)) as client:
        client.putcmd("PWD")
        pieces = [connection_of(client).recv(100)]
        while not pieces[-1].endswith(b"\n"):
            pieces.append(connection_of(client).recv(100))
    assert b"".join(pieces) == b'257 "/" is the current directory.\r\n'
    assert len(pieces) > 1


def test_there_can_be_one_reply_too_many_or_too_few(serve: MakeScripted) -> None:
    server = serve(Fault("MKD", Extra("200 Who is there?")), Fault("MKD", Swallow()))
    with logged_in(server) as client:
        assert client.voidcmd("MKD one").startswith("257")
        assert client.getresp() == "200 Who is there?"

        client.putcmd("MKD two")
        client.putcmd("NOOP")
        assert client.getresp() == "200 Nothing was done."
    assert sorted(path.name for path in server.facts.root.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("action", [Drop(), Drop(before=False), Drop(rst=True), Drop(before=False, rst=True)])
def test_the_connection_can_break_before_or_after_the_deed(action: Drop, serve: MakeScripted, *, tls: bool) -> None:
    server = serve(Fault("MKD", action), tls=tls)
    with logged_in(server) as client:
        # Before Python 3.13 TLS takes a reset for an end, and builds differ in how they tell one without a farewell.
        with pytest.raises(
            (ConnectionResetError, EOFError, ssl.SSLError) if tls else ConnectionResetError if action.rst else EOFError
        ):
            client.mkd("one")
        assert server.connections == 0
    assert (server.facts.root / "one").exists() == (not action.before)


def test_the_connection_can_break_after_an_upload(serve: MakeScripted) -> None:
    server = serve(Fault("STOR", Drop(before=False)), Fault("STOR", CutData(4, reply=None)))
    with logged_in(server) as client, pytest.raises((EOFError, OSError)):
        store(client, "one", LARGE)
    assert (server.facts.root / "one").read_bytes() == LARGE[:4]


def test_a_reply_can_have_no_end(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("NOOP", Endless(b"200-More.\r\n")))) as client:
        client.putcmd("NOOP")
        assert {client.getline() for _number in range(20_000)} == {"200-More."}


# -- faults of transfers


@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
@pytest.mark.parametrize("tls", [True, False])
def test_an_upload_can_be_cut_and_called_complete(
    how: t.Literal["fin", "rst", "clean"], serve: MakeScripted, *, tls: bool
) -> None:
    server = serve(Fault("STOR", CutData(1000, how)), tls=tls)
    with logged_in(server) as client:
        with contextlib.suppress(OSError):
            store(client, "one", LARGE)
            pytest.fail("the client has not noticed")
        assert client.getresp() == "226 Transfer complete."
        assert client.size("one") == 1000
        assert server.uploads[0].ending == "limit"


@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize(
    ("how", "expected"),
    [("fin", ssl.SSLError), ("rst", (ConnectionResetError, ssl.SSLError)), ("clean", None)],
)
def test_a_download_can_be_cut_in_three_ways(
    how: t.Literal["fin", "rst", "clean"],
    expected: type[Exception] | tuple[type[Exception], ...] | None,
    version: ssl.TLSVersion,
    serve: MakeScripted,
) -> None:
    server = serve(Fault("RETR", CutData(1000, how, "226 Complete")), tls_version=version)
    with logged_in(server) as client:
        store(client, "one", LARGE)
        plain, _size = ftplib.FTP.ntransfercmd(client, "RETR one")
        context = told_of_cuts(ssl.create_default_context(cafile=server.facts.ca_path))
        with context.wrap_socket(plain, server_hostname=client.host, suppress_ragged_eofs=False) as connection:
            ended = pytest.raises(expected) if expected else contextlib.nullcontext()
            with ended:
                assert until_end(connection) == LARGE[:1000]
        assert client.getresp() == "226 Complete"


def test_a_cut_can_be_followed_by_nothing(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("RETR", CutData(3, "clean", reply=None)))) as client:
        store(client, "one")
        connection = t.cast("ssl.SSLSocket", client.transfercmd("RETR one"))
        assert until_end(connection) == b"012"
        connection.close()
        assert client.sendcmd("NOOP") == "200 Nothing was done."


@pytest.mark.parametrize(
    ("action", "reply", "left"),
    [
        (FullDisk(1000), "552 Disk full - please upload later", None),
        (FullDisk(1000, 452, keeps_partial=True), "452 Disk full - please upload later", 1000),
        (FullDisk(0, text=PURE_FTPD_QUOTA), "552-Quota exceeded: [file] won't be saved\n552 1024 Kbytes used", None),
        (RefuseData(), "425 Cannot open the data connection.", None),
        (RefuseData("522 Reuse the session", keeps_partial=True), "522 Reuse the session", 0),
    ],
)
def test_an_upload_can_be_broken_off(action: Action, reply: str, left: int | None, serve: MakeScripted) -> None:
    server = serve(Fault("STOR", action))
    with logged_in(server) as client:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            store(client, "one", LARGE)
        assert client.getmultiline().startswith(reply)
    path = server.facts.root / "one"
    assert (path.stat().st_size if path.exists() else None) == left


def test_an_upload_can_lose_its_tail(serve: MakeScripted) -> None:
    server = serve(Fault("STOR", LoseTail(3)), Fault("STOR", LoseTail(30)))
    with logged_in(server) as client:
        assert store(client, "one").startswith("226")
        assert store(client, "two").startswith("226")
    assert (server.facts.root / "one").read_bytes() == TEN[:7]
    assert (server.facts.root / "two").read_bytes() == b""


def test_one_byte_can_change_either_way(serve: MakeScripted) -> None:
    server = serve(Fault("STOR", FlipByte(2)), Fault("RETR", FlipByte(len(LARGE) - 1)))
    with logged_in(server) as client:
        store(client, "one")
        assert (server.facts.root / "one").read_bytes() == b"01\xcd3456789"

        store(client, "two", LARGE)
        received = read(client, "two")
        assert (received[:-1], received[-1]) == (LARGE[:-1], LARGE[-1] ^ 0xFF)
        assert read(client, "two") == LARGE


@pytest.mark.parametrize("verb", ["STOR", "RETR"])
def test_a_transfer_can_stall(verb: str, serve: MakeScripted) -> None:
    server = serve(Fault(verb, StallData(5)))
    with logged_in(server, timeout=A_MOMENT) as client:
        if verb == "RETR":
            (server.facts.root / "one").write_bytes(TEN)
            connection = client.transfercmd("RETR one")
            assert connection.recv(100) == TEN[:5]
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.close()
        else:
            with pytest.raises(TimeoutError):
                store(client, "one", LARGE)
            assert (server.facts.root / "one").read_bytes() == LARGE[:5]
        assert server.connections == 1


@pytest.mark.parametrize("closes", [True, False])
def test_the_end_of_an_upload_can_remain_unanswered(serve: MakeScripted, *, closes: bool) -> None:
    with logged_in(serve(Fault("STOR", NoCloseNotify(closes=closes)))) as client:
        connection = t.cast("ssl.SSLSocket", client.transfercmd("STOR one"))
        connection.sendall(TEN)
        connection.settimeout(20 if closes else A_MOMENT)
        with pytest.raises(OSError, match="EOF|violation|closed" if closes else "timed out"):
            connection.unwrap()
        assert client.getresp().startswith("226")
        connection.close()
        assert client.size("one") == 10


def test_success_can_be_told_before_the_first_byte(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("STOR", EarlySuccess()))) as client:
        connection = t.cast("ssl.SSLSocket", client.transfercmd("STOR one"))
        assert client.getresp().startswith("226")
        connection.sendall(TEN)
        connection.unwrap()
        connection.close()
        assert client.size("one") == 10


def test_the_first_byte_can_be_late(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("RETR", DataOnlyAfter(A_MOMENT)))) as client:
        store(client, "one")
        started = time.monotonic()
        assert read(client, "one") == TEN
        assert time.monotonic() - started >= A_MOMENT


def test_rest_can_be_promised_and_ignored(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("RETR", IgnoreRest()))) as client:
        store(client, "one")
        assert read(client, "one", rest=7) == TEN
        assert read(client, "one", rest=7) == b"789"


def test_a_renaming_can_be_lost(serve: MakeScripted) -> None:
    with logged_in(serve(Fault("RNTO", LostRename()))) as client:
        store(client, "one")
        assert client.rename("one", "two").startswith("250")
        assert client.nlst() == ["one"]


# -- faults of ports and listings


def test_the_announced_port_can_be_wrong(serve: MakeScripted) -> None:
    faults = [Fault("PASV", LyingAddress("10.0.0.1")), Fault("PASV", LyingAddress("0,0,0,0"))]
    with logged_in(serve(*faults, Fault("EPSV", BadEpsv()), Fault("EPSV", DeadPort(), after=1))) as client:
        assert ftplib.parse227(client.sendcmd("PASV"))[0] == "10.0.0.1"
        reply = client.sendcmd("PASV")
        host, port = ftplib.parse227(reply)
        assert host == "0.0.0.0"  # noqa: S104 # it is announced, nobody listens there
        socket.create_connection((client.host, port), 20).close()

        with pytest.raises(ftplib.error_proto):
            ftplib.parse229(client.sendcmd("EPSV"), ("127.0.0.1", 0))
        _host, port = ftplib.parse229(client.sendcmd("EPSV"), ("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((client.host, port), 20)


def test_a_listing_can_be_truncated_or_have_odd_lines(serve: MakeScripted) -> None:
    odd = b"type=file;size=1; \xff\xfe\r\n"
    server = serve(
        *(Fault(verb, Truncated(3)) for verb in ("MLSD", "LIST", "NLST")),
        Fault("NLST", ListingLines(b"more\r\n")),
        Fault("NLST", ListingLines(odd, replaces=True)),
        tls=False,
    )
    for number in range(5):
        (server.facts.root / f"{number}").touch()
    with logged_in(server) as client:
        for verb in ("MLSD", "LIST", "NLST"):
            lines: list[str] = []
            assert client.retrlines(verb, lines.append) == "226 Output truncated to 3 matches"
            assert len(lines) == 3
        assert read_lines(client, "NLST") == b"0\r\n1\r\n2\r\n3\r\n4\r\nmore\r\n"
        assert read_lines(client, "NLST") == odd
        assert read_lines(client, "NLST") == b"0\r\n1\r\n2\r\n3\r\n4\r\n"


def read_lines(client: ftplib.FTP, command: str) -> bytes:
    with client.transfercmd(command) as connection:
        content = until_end(connection)
    client.voidresp()
    return content


def test_one_command_can_be_struck_by_a_fault_of_each_family(serve: MakeScripted) -> None:
    server = serve(Fault("NLST", Extra("200 Extra.")), Fault("NLST", Truncated(1)), Fault("NLST", FlipByte(0)))
    for name in ("0", "1"):
        (server.facts.root / name).touch()
    with logged_in(server) as client:
        connection = client.transfercmd("NLST")
        assert until_end(connection) == b"\xcf\r\n"
        connection.close()
        assert client.getresp().startswith("226 Output truncated")
        assert client.getresp() == "200 Extra."
    assert not server.faults_left
