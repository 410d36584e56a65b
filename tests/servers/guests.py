# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of the scripted server, for the tests that show what it does."""

from __future__ import annotations

import contextlib
import ftplib
import io
import os
import socket
import ssl
import struct
import time
import typing as t
from collections.abc import Callable, Iterator

from tests.servers.certificates import told_of_cuts
from tests.servers.scripted import ScriptedServer
from tests.servers.test_servers import Client

if t.TYPE_CHECKING:
    from tests.servers.server import FtpServer

MakeScripted = Callable[..., ScriptedServer]
TEN = b"0123456789"
# More than a socket's buffers hold, so that who does not read is noticed.
LARGE = os.urandom(1024) * 16 * 1024
A_MOMENT = 0.2
TLS_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@contextlib.contextmanager
def logged_in(server: ScriptedServer, *, timeout: float = 20) -> Iterator[ftplib.FTP]:
    """Give a client that has logged in, over TLS if the server has a certificate, and leave it without a word."""
    client = log_in(server.facts, timeout=timeout)
    try:
        yield client
    finally:
        client.close()


def log_in(facts: FtpServer, *, timeout: float = 20) -> ftplib.FTP:
    if facts.ca_path is None:
        client = ftplib.FTP(encoding="utf-8", timeout=timeout)
    else:
        context = told_of_cuts(ssl.create_default_context(cafile=facts.ca_path))
        client = Client(context=context, encoding="utf-8", timeout=timeout)
    try:
        client.connect(facts.host, facts.port)
        client.login(facts.username, facts.password)
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        client.voidcmd("TYPE I")
    except BaseException:
        client.close()
        raise
    return client


def store(client: ftplib.FTP, name: str, content: bytes = TEN) -> str:
    return client.storbinary(f"STOR {name}", io.BytesIO(content))


def connection_of(client: ftplib.FTP) -> socket.socket:
    assert client.sock is not None
    return client.sock


def until_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def reset(connection: socket.socket) -> None:
    """Let *connection* end as the kernel ends one whose process was killed with something unread."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
