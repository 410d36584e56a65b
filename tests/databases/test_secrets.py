# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The password of a database is nowhere but where it has to be: in no output, no result, and on no disk."""

from __future__ import annotations

import typing as t

import pytest

from tests.databases.engines import Engine, MariaDbEngine, PostgreSqlEngine
from tests.modules.hosts import Host
from tests.modules.running import Task

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.server import FtpServer

LARGE = "large"


@pytest.fixture
def host(ftp_scratch: FtpServer, tmp_path: Path) -> Host:
    """A host whose destination is declared."""
    (tmp_path / "host").mkdir()
    host = Host(tmp_path / "host", ftp_scratch)
    host.do(host.destination())
    return host


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
@pytest.mark.parametrize("is_right", [True, False], ids=["right", "wrong"])
def test_a_password_of_a_database_is_in_no_output_and_on_no_disk(
    host: Host, request: pytest.FixtureRequest, kind: str, *, is_right: bool
) -> None:
    server = request.getfixturevalue(kind)
    engine: Engine = MariaDbEngine(server) if kind == "mariadb" else PostgreSqlEngine(server)
    engine.make_large(LARGE)
    password = str(engine.login().password) if is_right else "nobody's secret"
    login = {"host": "127.0.0.1", "port": server.port, "username": server.username, "programs": str(server.programs)}
    databases = [{"type": engine.kind, "name": [LARGE], "password": password, **login}]
    part = {"kind": "database", "name": LARGE, "into": "its_copy"}
    load = {"parts": [part], "load": True, "replace": True, "server": {"password": password, **login}}

    results = host.play(
        host.backup(paths=None, databases=databases),
        Task("restore", {**host.restore(target=None).options, **load}),
        verbosity=4,
    )

    assert [result.failed for result in results] == ([False, False] if is_right else [True])
    assert password not in results[-1].output
    assert password not in str([result.values for result in results])
    found = [path for top in (host.home, host.server.root) for path in top.rglob("*") if path.is_file()]
    kept = [path for path in found if host.config not in path.parents]  # where the storage's password is the same
    assert kept
    assert [path for path in kept if password.encode() in path.read_bytes()] == []
    engine.drop("its_copy")
