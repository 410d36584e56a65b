# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who is called after a run: a real HTTP server on loopback."""

from __future__ import annotations

import http.server
import threading
import typing as t
from contextlib import contextmanager

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

SECRET = "/1b9c-secret-uuid"


class Caught(t.NamedTuple):
    """A request that came."""

    method: str
    path: str
    body: str


class Service:
    """What the server at *address* was asked; it answers the first request with *status* and *location*."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.calls: list[Caught] = []
        self.status = 200
        self.location = ""

    def url(self, path: str = SECRET) -> str:
        return f"{self.address}{path}"


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Service]:
    """Serve until the block ends, over TLS if there is a *context* for it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            service.calls.append(Caught(self.command, self.path, body))
            is_first = len(service.calls) == 1
            self.send_response(service.status if is_first or service.status >= 400 else 200)
            if service.location and is_first:
                self.send_header("Location", service.location)
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815 - the names are the library's

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    service = Service(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
