# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport on its way to a test server: addresses, sessions, and storages whose pauses take no time."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.control import Address, make_context
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.known import Known
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.pool import ConnectionPool, Patience
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.session import Session, connect
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.bandwidth import Bandwidth
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.places import Places
    from tests.servers.server import FtpServer

MARK = "20260101t000000z-abcdef"


def address_of(server: FtpServer, **changes: t.Any) -> Address:  # noqa: ANN401 # each is of its own type
    """Return where *server* is, as a client that trusts it sees it, with *changes*."""
    address = Address(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        timeout=5.0,
        tls=server.ca_path is not None,
        ca_path=str(server.ca_path) if server.ca_path else None,
    )
    return replace(address, **changes)


def context_of(address: Address, version: ssl.TLSVersion | None = None) -> ssl.SSLContext | None:
    """Return the TLS context for *address*, which speaks *version* alone if one is given."""
    if not address.tls:
        return None
    context = make_context(address)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@contextlib.contextmanager
def session_on(
    server: FtpServer,
    *,
    known: Known | None = None,
    bandwidth: Bandwidth | None = None,
    tls_version: ssl.TLSVersion | None = None,
    **changes: t.Any,  # noqa: ANN401 # those of an address
) -> Iterator[Session]:
    """Log in to *server*, inside its directory, and leave in the end."""
    address = address_of(server, **changes)
    session = connect(address, context_of(address, tls_version), known, bandwidth)
    try:
        session.enter(PurePosixPath(server.directory).relative_to("/"))
        yield session
    finally:
        session.quit()


@dataclass
class Line:
    """A storage on a server and the pool below it; *pauses* are those that were made, none of which took any time."""

    storage: FtpStorage
    pool: ConnectionPool
    known: Known
    pauses: list[float] = field(default_factory=list)


@contextlib.contextmanager
def line_to(
    server: FtpServer,
    *,
    limit: int = 4,
    retries: int = 1,
    deadline: float = 3600.0,
    known: Known | None = None,
    bandwidth: Bandwidth | None = None,
    places: Places | None = None,
    tls_version: ssl.TLSVersion | None = None,
    **changes: t.Any,  # noqa: ANN401 # those of an address
) -> Iterator[Line]:
    """Open a storage in the directory of *server*, as a run does; *changes* are those of its address."""
    address = address_of(server, **changes)
    context = context_of(address, tls_version)
    known = known if known is not None else Known()
    pauses: list[float] = []
    patience = Patience(retries, deadline=deadline, pause=pauses.append, jitter=lambda: 1.0, clock=lambda: sum(pauses))
    pool = ConnectionPool(lambda: connect(address, context, known, bandwidth), limit, patience, places)
    directory = str(PurePosixPath(server.directory).relative_to("/"))
    try:
        yield Line(FtpStorage(pool, directory, MARK, pause=pauses.append, jitter=lambda: 1.0), pool, known, pauses)
    finally:
        pool.close()
