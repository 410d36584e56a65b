# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad destinations: each is refused in a sentence, and nothing is declared."""

from __future__ import annotations

import contextlib
import socket
import typing as t

import pytest
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # type: ignore[import-untyped] # it has no annotations

from tests.servers.certificates import Authority, self_signed
from tests.servers.server import LOOPBACK, FtpServer

from .refusals import assert_sentence, refusal
from .strangers import black_hole, stranger

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeServer

    from .hosts import Host

    MakeHost = Callable[[FtpServer], Host]


# The answers to USER, PASS, TYPE, OPTS and FEAT.
_LOGGED_IN = (
    *(b"331 Password required.\r\n", b"230 Logged in.\r\n"),
    *(b"200 Type set to I.\r\n", b"200 UTF8 on.\r\n", b"211 No features.\r\n"),
)


def _recording(base: type[FTPHandler], heard: list[str]) -> type:
    """Return a handler that keeps the verb of each command it gets in *heard*."""

    def pre_process_command(self: FTPHandler, line: str, verb: str, argument: str) -> None:
        heard.append(verb)
        base.pre_process_command(self, line, verb, argument)

    return type("Recording", (base,), {"pre_process_command": pre_process_command})


# -- the way to the server


def test_a_server_that_does_not_answer(host: Host) -> None:
    with black_hole() as port:
        refusal(host, host.destination(port=port, timeout=1), "unreachable", f"{LOOPBACK}:{port}", "1 second")


def test_a_host_name_that_nobody_knows(host: Host) -> None:
    with contextlib.suppress(socket.gaierror):
        socket.getaddrinfo("ftp.invalid", 21)
        pytest.skip("The resolver of this machine answers for names that cannot exist.")
    refusal(host, host.destination(host="ftp.invalid"), "unreachable", "ftp.invalid", "address")


@pytest.mark.parametrize("name", ["two words", "a..b", "x" * 300, "ftp://127.0.0.1", "127.0.0.1:21"])
def test_a_host_name_that_can_be_none(host: Host, name: str) -> None:
    refusal(host, host.destination(host=name, timeout=2), "unreachable", name)


def test_an_empty_host_name(host: Host) -> None:
    refusal(host, host.destination(host=""), "usage", "host")


def test_a_port_where_nobody_listens(host: Host) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can listen there meanwhile
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        refusal(host, host.destination(port=port), "unreachable", f"{LOOPBACK}:{port}", "Connection refused")


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_a_port_that_is_none(host: Host, port: int) -> None:
    refusal(host, host.destination(port=port), "usage", "port", port)


@pytest.mark.parametrize("option", ["timeout", "max_retries", "max_connections"])
def test_a_number_below_zero(host: Host, option: str) -> None:
    refusal(host, host.destination(**{option: -1}), "usage", option, -1)


@pytest.mark.parametrize("option", ["timeout", "max_retries", "max_connections"])
@pytest.mark.parametrize("number", [99_999_999_999, 10**30])
def test_a_number_beyond_all_sense(host: Host, option: str, number: int) -> None:
    refusal(host, host.destination(**{option: number}), "usage", option, number, "must be from")


@pytest.mark.parametrize("number", [0, 1_000_001, 2**63 - 1, 10**30])
def test_a_limit_that_cannot_be_one(declared: Host, number: int) -> None:
    refusal(declared, declared.backup_info(limit=number), "usage", "limit", number, "must be from")


@pytest.mark.parametrize("structure", ["incremental", "full"])
def test_a_retention_of_more_restore_points_than_a_server_lists(declared: Host, structure: str) -> None:
    task = declared.backup(structure=structure, retention={"last": 751})
    refusal(declared, task, "usage", "retention.last", 751, "must be from")


def test_a_timeout_of_nothing(host: Host) -> None:
    refusal(host, host.destination(timeout=0), "usage", "timeout", 0)


# -- no FTP server


def test_an_ssh_server(host: Host) -> None:
    with stranger(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n") as server:
        refusal(
            host, host.destination(port=server.port), "refused", f"{LOOPBACK}:{server.port}", "SSH-2.0-OpenSSH_9.2p1"
        )


def test_an_http_server(host: Host) -> None:
    with stranger(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as server:
        refusal(
            host, host.destination(port=server.port), "refused", f"{LOOPBACK}:{server.port}", "HTTP/1.1 400 Bad Request"
        )


def test_a_server_that_greets_in_binary(host: Host) -> None:
    with stranger(b"\x16\x03\x01\x00\x00\x1b[2J\xff\xfe\r\n") as server:
        refusal(host, host.destination(port=server.port), "refused", f"{LOOPBACK}:{server.port}")


def test_a_server_that_says_nothing(host: Host) -> None:
    with stranger() as server:
        refusal(
            host, host.destination(port=server.port, timeout=1), "unreachable", f"{LOOPBACK}:{server.port}", "greeting"
        )


def test_a_server_that_falls_silent(host: Host) -> None:
    with stranger(b"220 Welcome\r\n") as server:
        refusal(host, host.destination(port=server.port, timeout=5), "interrupted", f"{LOOPBACK}:{server.port}", "AUTH")


def test_a_server_that_hangs_up(host: Host) -> None:
    with stranger(b"220 Welcome\r\n", hangs_up=True) as server:
        refusal(host, host.destination(port=server.port), "interrupted", f"{LOOPBACK}:{server.port}", "AUTH", "closed")


def test_a_server_on_windows(host: Host) -> None:
    with stranger(b"220 Microsoft FTP Service\r\n", [*_LOGGED_IN, b'257 "/"\r\n', b"215 Windows_NT\r\n"]) as server:
        refusal(
            host,
            host.destination(port=server.port, tls=False, ca_path=None),
            "refused",
            f"{LOOPBACK}:{server.port}",
            "Windows",
            "Microsoft FTP Service",
            "215 Windows_NT",
        )
        assert not server.has_heard(b"MKD")
        assert not server.has_heard(b"STOR")


# -- logging in


def test_a_wrong_password_is_tried_once_and_shown_nowhere(make_host: MakeHost, make_embedded: MakeServer) -> None:
    heard: list[str] = []
    host = make_host(make_embedded(handler=_recording(TLS_FTPHandler, heard)))
    secret = "not the right one"
    result = refusal(host, host.destination(password=secret, max_retries=5), "login", "backup", LOOPBACK, "530")

    assert heard.count("PASS") == 1
    assert secret not in result.output


def test_a_wrong_password_told_by_ansible(make_host: MakeHost, make_embedded: MakeServer) -> None:
    host = make_host(make_embedded())
    secret = "not the right one"
    before = host.seen()
    (result,) = host.play(host.destination(password=secret), diff=True, verbosity=3)

    assert_sentence(host, result, "login", host.server.username, f"{LOOPBACK}:{host.server.port}", "530")
    assert secret not in result.output
    assert host.seen() == before


def test_a_wrong_password_stops_a_backup_at_the_first_try(make_host: MakeHost, make_embedded: MakeServer) -> None:
    heard: list[str] = []
    host = make_host(make_embedded(handler=_recording(TLS_FTPHandler, heard)))
    host.do(host.destination(password="not the right one", validate=False))
    result = host.call(host.backup())

    assert_sentence(host, result, "login", host.server.username, f"{LOOPBACK}:{host.server.port}", "530")
    assert heard.count("PASS") == 1
    assert list(host.server.root.iterdir()) == []


@pytest.mark.parametrize("mark", ["\n", "\r", "\0"])
@pytest.mark.parametrize("option", ["username", "password", "directory"])
def test_a_line_break_or_nul_that_would_be_a_command_of_its_own(host: Host, option: str, mark: str) -> None:
    refusal(host, host.destination(**{option: f"one{mark}DELE two"}), "usage", "line break", option)


def test_a_password_file_that_is_not_there(host: Host) -> None:
    path = host.home / "password"
    refusal(host, host.destination(password=None, password_file=str(path)), "local", path, "No such file")


def test_a_password_file_that_is_no_text_is_sent_as_it_is(make_host: MakeHost, make_embedded: MakeServer) -> None:
    host = make_host(make_embedded())
    path = host.home / "password"
    path.write_bytes(b"\xff\xfe\n")
    refusal(host, host.destination(password=None, password_file=str(path)), "login", "530")


def test_a_password_file_that_is_empty(make_host: MakeHost, make_embedded: MakeServer) -> None:
    host = make_host(make_embedded())
    path = host.home / "password"
    path.touch()
    refusal(host, host.destination(password=None, password_file=str(path)), "local", path, "empty")


# -- TLS


def test_a_certificate_of_an_unknown_authority(host: Host) -> None:
    refusal(
        host, host.destination(ca_path=None), "trust", f"{LOOPBACK}:{host.server.port}", "not trusted", "certificate"
    )


def test_a_certificate_that_vouches_for_itself(make_host: MakeHost, make_embedded: MakeServer, tmp_path: Path) -> None:
    host = make_host(make_embedded(certificate=self_signed(tmp_path / "tls")))
    refusal(host, host.destination(ca_path=None), "trust", f"{LOOPBACK}:{host.server.port}", "self-signed certificate")


def test_a_certificate_for_another_name(make_host: MakeHost, make_embedded: MakeServer, tmp_path: Path) -> None:
    host = make_host(make_embedded(certificate=Authority(tmp_path / "tls").issue("ftp.example.com")))
    refusal(host, host.destination(), "trust", f"{LOOPBACK}:{host.server.port}", "mismatch", LOOPBACK)


def test_a_certificate_that_has_expired(make_host: MakeHost, make_embedded: MakeServer, tmp_path: Path) -> None:
    host = make_host(make_embedded(certificate=Authority(tmp_path / "tls").issue(is_expired=True)))
    refusal(host, host.destination(), "trust", f"{LOOPBACK}:{host.server.port}", "expired")


def test_a_fingerprint_that_is_not_the_servers_shows_the_one_that_was_seen(host: Host) -> None:
    for changes in ({}, {"validate_certs": False, "ca_path": None}):
        task = host.destination(certificate_fingerprints=["ab" * 32], **changes)
        refusal(host, task, "trust", f"{LOOPBACK}:{host.server.port}", host.server.fingerprint)


@pytest.mark.parametrize("fingerprint", ["", "abc", "ab" * 20, "zz" * 32])
def test_a_fingerprint_that_is_no_sha_256(host: Host, fingerprint: str) -> None:
    refusal(host, host.destination(certificate_fingerprints=[fingerprint]), "usage", "fingerprint", fingerprint)


def test_the_right_fingerprint_is_enough_without_an_authority(host: Host) -> None:
    fingerprint = host.server.fingerprint or ""
    with_colons = ":".join(fingerprint[n : n + 2] for n in range(0, len(fingerprint), 2)).upper()
    for written in (fingerprint, with_colons):
        result = host.do(
            host.destination(ca_path=None, validate_certs=False, certificate_fingerprints=["ab" * 32, written])
        )
        assert result.warnings == []


def test_a_certificate_that_is_not_verified_is_warned_about(host: Host) -> None:
    result = host.do(host.destination(ca_path=None, validate_certs=False))

    assert len(result.warnings) == 1
    assert "does not verify" in result.warnings[0]


def test_a_server_that_refuses_tls_hears_neither_user_nor_password(
    make_host: MakeHost, make_embedded: MakeServer
) -> None:
    heard: list[str] = []
    host = make_host(make_embedded(tls=False, handler=_recording(FTPHandler, heard)))
    refusal(host, host.destination(tls=True), "trust", f"{LOOPBACK}:{host.server.port}", "AUTH TLS", "tls: false")

    assert heard == ["AUTH"]


@pytest.mark.parametrize("answer", ["500 What?", "502 Not implemented", "504 No", "530 Log in first", "534 No"])
def test_no_way_to_refuse_tls_brings_out_the_user(host: Host, answer: str) -> None:
    with stranger(b"220 Welcome\r\n", [answer.encode() + b"\r\n"]) as server:
        refusal(host, host.destination(port=server.port), "trust", answer, "AUTH TLS")

    assert [line.split() for line in server.heard if line.strip()] in (
        [[b"AUTH", b"TLS"]],
        [[b"AUTH", b"TLS"], [b"QUIT"]],
    )


def test_plain_text_where_tls_should_begin(host: Host) -> None:
    with stranger(b"220 Welcome\r\n", [b"234 Proceed.\r\n"], outburst=b"500 OOPS: no certificate\r\n") as server:
        refusal(host, host.destination(port=server.port), "trust", f"{LOOPBACK}:{server.port}", "plain text")

    assert not server.has_heard(b"USER")


def test_plain_text_that_comes_along_with_the_answer_to_auth_tls(host: Host) -> None:
    with stranger(b"220 Welcome\r\n", [b"234 Proceed.\r\n500 OOPS: no certificate\r\n"]) as server:
        refusal(host, host.destination(port=server.port), "trust", f"{LOOPBACK}:{server.port}", "plain text")

    assert not server.has_heard(b"USER")


def test_a_server_that_will_not_protect_the_data_gets_no_password(
    make_host: MakeHost, make_embedded: MakeServer
) -> None:
    heard: list[str] = []
    refusing = type(
        "NoProtection",
        (_recording(TLS_FTPHandler, heard),),
        {"ftp_PROT": lambda self, _argument: self.respond("534 Request denied for policy reasons.")},
    )
    host = make_host(make_embedded(handler=refusing))
    refusal(host, host.destination(), "trust", f"{LOOPBACK}:{host.server.port}", "PROT P", "534")

    assert "PASS" not in heard


def test_a_ca_path_that_is_not_there(host: Host) -> None:
    path = host.home / "ca.pem"
    refusal(host, host.destination(ca_path=str(path)), "usage", "ca_path", path)


@pytest.mark.parametrize("content", ["", "Good morning.\n"])
def test_a_ca_path_without_a_certificate(host: Host, content: str) -> None:
    path = host.home / "ca.pem"
    path.write_text(content)
    refusal(host, host.destination(ca_path=str(path)), "usage", "ca_path", path)


# -- the directory


def test_a_directory_that_is_not_writable(host: Host) -> None:
    host.server.root.chmod(0o555)
    refusal(host, host.destination(), "refused", host.server.directory.name, LOOPBACK, "Permission denied")


def test_a_directory_that_cannot_be_made(host: Host) -> None:
    host.server.root.chmod(0o555)
    inside = host.server.directory / "backups"
    refusal(host, host.destination(directory=str(inside.relative_to("/"))), "refused", inside)


def test_a_directory_that_is_a_file(host: Host) -> None:
    host.server.root.joinpath("backups").write_text("a file\n")
    inside = host.server.directory / "backups"
    refusal(host, host.destination(directory=str(inside.relative_to("/"))), "refused", inside)


@pytest.mark.parametrize("directory", ["..", "../other", "a/../../b", "/.."])
def test_a_directory_that_leads_out(host: Host, directory: str) -> None:
    refusal(host, host.destination(directory=directory), "usage", directory, "'..'")


def test_an_absolute_directory_outside_of_the_login(host: Host) -> None:
    with stranger(
        b"220 Welcome\r\n", [*_LOGGED_IN, b'257 "/home/backup"\r\n', b"215 UNIX Type: L8 Version: BSD-199506\r\n"]
    ) as server:
        task = host.destination(port=server.port, tls=False, ca_path=None, directory="/somewhere/else")
        refusal(host, task, "usage", "/somewhere/else", "outside", "/home/backup")

    assert not server.has_heard(b"MKD")


# -- names, of which test_names.py knows more


def test_a_bad_name_cannot_be_forgotten_either(host: Host) -> None:
    task = host.destination(name="../x", state="absent", host=None, username=None, password=None)
    refusal(host, task, "usage", "destination name", "'../x'")


def test_describing_a_destination_nobody_declared_lists_those_that_are(declared: Host) -> None:
    refusal(declared, declared.destination_info(name="Nowhere"), "usage", "'Nowhere'", "'Provider storage'")


# -- options that contradict each other


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": None}, ["state is present", "host"]),
        ({"username": None}, ["state is present", "username"]),
        ({"password": None}, ["password", "password_file"]),
        ({"password_file": "/etc/passwd"}, ["mutually exclusive", "password|password_file"]),
        ({"state": "there"}, ["state", "present, absent", "there"]),
        ({"name": None}, ["name"]),
        ({"tls": "perhaps"}, ["tls", "perhaps"]),
        ({"port": "ftp"}, ["port", "ftp"]),
    ],
)
def test_options_that_ansible_itself_refuses(host: Host, changes: dict[str, object], named: list[str]) -> None:
    refusal(host, host.destination(**changes), "", *named)


# -- what lies on the host


def test_a_declaration_that_is_no_json(declared: Host) -> None:
    (path,) = declared.config.joinpath("destinations").iterdir()
    path.write_text("{")
    for task in (declared.destination_info(name="Provider storage"), declared.backup(), declared.reindex()):
        refusal(declared, task, "local", path)


def test_a_declaration_that_names_options_of_a_later_version(declared: Host) -> None:
    (path,) = declared.config.joinpath("destinations").iterdir()
    path.write_text('{"name": "Provider storage", "colour": "green"}')
    refusal(declared, declared.backup(), "local", path)


def test_a_configuration_directory_that_is_a_file(host: Host) -> None:
    host.config.write_text("a file\n")
    result = host.call(host.destination())

    assert_sentence(host, result, "local", host.config)
    assert host.config.read_text() == "a file\n"
