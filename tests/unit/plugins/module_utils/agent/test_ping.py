# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How somebody far away is called after a run, by a real HTTP server."""

from __future__ import annotations

import socket
import ssl
import threading
import typing as t
from contextlib import suppress

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.ping import Ping, failing, send
from tests.agent.services import SECRET, Caught, serving
from tests.servers.certificates import Authority

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.services import Service

TIMEOUT = 20


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def test_all_is_well_is_told_by_the_address_itself(service: Service) -> None:
    assert send(Ping(service.url(), TIMEOUT)) is None

    assert service.calls == [Caught("GET", SECRET, "")]


def test_a_failure_is_told_with_its_reason(service: Service) -> None:
    assert send(Ping(service.url(), TIMEOUT, "The disk is füll.")) is None

    assert service.calls == [Caught("POST", f"{SECRET}/fail", "The disk is füll.")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hc.example/uuid", "https://hc.example/uuid/fail"),
        ("https://hc.example/uuid/", "https://hc.example/uuid/fail"),
        ("https://hc.example", "https://hc.example/fail"),
        ("https://hc.example/uuid?create=1", "https://hc.example/uuid/fail?create=1"),
    ],
)
def test_the_address_of_a_failure_is_one_below(url: str, expected: str) -> None:
    assert failing(url) == expected


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_is_told_without_the_address(service: Service, status: int) -> None:
    service.status = status

    assert send(Ping(service.url(), TIMEOUT)) == f"the answer was the status {status}"


def test_a_redirect_within_http_is_followed(service: Service) -> None:
    service.status, service.location = 302, service.url("/elsewhere")

    assert send(Ping(service.url(), TIMEOUT)) is None
    assert [call.path for call in service.calls] == [SECRET, "/elsewhere"]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("ftp://127.0.0.1/x", "the answer leads to where https is not spoken"),
        ("file:///etc/passwd", "the answer was the status 302"),  # the library refuses it itself
    ],
)
def test_a_redirect_to_what_is_no_http_is_not_followed(service: Service, location: str, why: str) -> None:
    service.status, service.location = 302, location

    assert send(Ping(service.url(), TIMEOUT)) == why
    assert len(service.calls) == 1


def test_a_redirect_from_https_to_http_is_not_followed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Authority(tmp_path).issue("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_path))
    with serving(_context(certificate.pem)) as secure:
        secure.status, secure.location = 302, service.url("/elsewhere")

        assert send(Ping(secure.url(), TIMEOUT)) == "the answer leads to where https is not spoken"

    assert service.calls == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("127.0.0.1")
    with serving(_context(certificate.pem)) as secure:
        assert send(Ping(secure.url(), TIMEOUT)) == "the certificate could not be verified"

    assert secure.calls == []


def _context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_nobody_who_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert send(Ping(f"http://127.0.0.1:{port}{SECRET}", TIMEOUT)) == "Connection refused"


def test_one_who_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}{SECRET}"

        assert send(Ping(url, 1)) == "there was no answer within 1 s"


def test_one_who_answers_a_letter_at_a_time_is_not_waited_for() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def answer() -> None:
            connection, _address = slow.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not over.wait(0.05):
                    connection.sendall(b"a")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            told = send(Ping(f"http://127.0.0.1:{slow.getsockname()[1]}{SECRET}", 1))
        finally:
            over.set()
            thread.join()

    assert told == "there was no answer within 1 s"


def test_what_is_no_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def answer() -> None:
            connection, _address = odd.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 ftp.example.com FTP server\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        told = send(Ping(f"http://127.0.0.1:{odd.getsockname()[1]}{SECRET}", TIMEOUT))
        thread.join()

    assert told == "it could not be sent, or what came back is no HTTP"


def test_nothing_that_is_printed_of_a_ping_holds_its_address() -> None:
    assert SECRET not in repr(Ping(f"https://hc.example{SECRET}", 1))
