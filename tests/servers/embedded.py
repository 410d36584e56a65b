# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An FTP server of pyftpdlib that needs neither root nor Debian: in a thread of a test, or as a program for the demo.

As a program: ``python tests/servers/embedded.py --directory DIR --username U --password-file F --ready-file R``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import typing as t
import weakref
from pathlib import Path

if not __package__:
    # Run as a program: give relative imports something to be relative to (PEP 366).
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    __package__ = "servers"

from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped] # it has no annotations
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # type: ignore[import-untyped] # the same
from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped] # the same
from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped] # the same

from .certificates import Authority, Certificate, issued
from .server import LOOPBACK, FtpServer, FtpUser, seen_by_first

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_EVERYTHING_ALLOWED = "elradfmwMT"
_MAX_SOCKETS = 4096
_SECONDS_BETWEEN_LOOKS = 0.05

# Any handler is enough to keep the library from setting up a log on standard error.
logging.getLogger("pyftpdlib").addHandler(logging.NullHandler())


def why_unavailable() -> str | None:
    """Return None: whoever can import this file can run the server."""
    return None


@contextlib.contextmanager
def embedded(
    directory: Path,
    *,
    tls: bool = True,
    users: Sequence[FtpUser] = (FtpUser(),),
    certificate: Certificate | None = None,
    max_clients_per_ip: int = 0,
    host: str = LOOPBACK,
    handler: type | None = None,
) -> Iterator[FtpServer]:
    """Serve *directory* from a thread until the block ends; the first of *users* is the one to log in with.

    With *tls* both connections must use it. *handler* is a pyftpdlib handler of the test's own, perhaps a crippled one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for user in users:
        directory.joinpath(user.home).mkdir(exist_ok=True)
    certificate = issued(directory, certificate, tls=tls)
    logins = [(user.username, user.password, directory / user.home) for user in users]
    server = _listen((host, 0), logins, certificate, max_clients_per_ip=max_clients_per_ip, handler=handler)
    with _thread(server):
        yield seen_by_first(users, directory, certificate, address=server.address, pid=os.getpid())


def _listen(
    address: tuple[str, int],
    logins: Sequence[tuple[str, str, Path]],
    certificate: Certificate | None,
    *,
    max_clients_per_ip: int = 0,
    handler: type | None = None,
) -> FTPServer:
    """Return a pyftpdlib server with settings of its own: the library keeps them in classes, so here are new ones."""
    authorizer = DummyAuthorizer()
    for username, password, home in logins:
        authorizer.add_user(username, password, str(home), perm=_EVERYTHING_ALLOWED)
    settings: dict[str, t.Any] = {"authorizer": authorizer, "auth_failed_timeout": 0}
    if certificate:
        settings.update(
            certfile=str(certificate.pem), ssl_context=None, tls_control_required=True, tls_data_required=True
        )
    base = handler or (TLS_FTPHandler if certificate else FTPHandler)
    limits = {"max_cons": _MAX_SOCKETS, "max_cons_per_ip": max_clients_per_ip}
    return type("Server", (FTPServer,), limits)(address, type("Handler", (base,), settings), ioloop=IOLoop.factory())


def _serve(server: FTPServer, is_over: Callable[[], bool]) -> None:
    """Serve until *is_over*, then close every connection."""
    connections: weakref.WeakSet[t.Any] = weakref.WeakSet()
    register = server.ioloop.register

    def remember(descriptor: int, connection: object, events: int) -> None:
        connections.add(connection)
        register(descriptor, connection, events)

    server.ioloop.register = remember
    while not is_over():
        server.ioloop.loop(_SECONDS_BETWEEN_LOOKS, blocking=False)
    server.close_all()
    for connection in connections:  # it forgets those that are just about to end TLS
        if connection.socket is not None:
            connection.socket.close()


@contextlib.contextmanager
def _thread(server: FTPServer) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, over.is_set), name="ftp-server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    """Serve one login until told to stop, or until whoever started the program is gone."""
    asked = _asked()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    parent = os.getppid()
    asked.ready_file.unlink(missing_ok=True)
    _log_to(asked.log_file)
    with tempfile.TemporaryDirectory(prefix="ftp-server-") as scratch:
        certificate = None if asked.no_tls else Authority(Path(scratch)).issue(asked.host, "localhost")
        password = asked.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        server = _listen((asked.host, asked.port), [(asked.username, password, asked.directory)], certificate)
        with _announced(asked.ready_file, _facts(server.address, asked.username, certificate)):
            _serve(server, lambda: over.is_set() or os.getppid() != parent)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a directory by FTP over TLS, for a demonstration.")
    parser.add_argument("--directory", type=Path, required=True, help="where the login lands; must exist")
    parser.add_argument("--username", required=True)
    parser.add_argument("--password-file", type=Path, required=True, help="its first line is the password")
    parser.add_argument("--ready-file", type=Path, required=True, help="is there, as JSON, while the server serves")
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log-file", type=Path, help="gets one line a command; without it there is no log")
    parser.add_argument("--no-tls", action="store_true", help="serve plain FTP")
    return parser.parse_args()


def _log_to(path: Path | None) -> None:
    if path:
        logger = logging.getLogger("pyftpdlib")
        logger.addHandler(logging.FileHandler(path, encoding="utf-8"))
        logger.setLevel(logging.INFO)


def _facts(address: tuple[str, int], username: str, certificate: Certificate | None) -> dict[str, object]:
    return {
        "host": address[0],
        "port": address[1],
        "username": username,
        "ca_path": str(certificate.ca_path) if certificate else None,
        "fingerprint": certificate.fingerprint if certificate else None,
        "pid": os.getpid(),
    }


@contextlib.contextmanager
def _announced(path: Path, facts: dict[str, object]) -> Iterator[None]:
    """Tell *facts* on standard output and, whole or not at all, in the file *path* while the block runs."""
    text = json.dumps(facts)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
