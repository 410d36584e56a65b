# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of databases share: real servers of them."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from tests.servers import mariadb as mariadb_server
from tests.servers import postgresql as postgresql_server

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.mariadb import MariaDb
    from tests.servers.postgresql import PostgreSql


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSql]:
    """Give the PostgreSQL of the file, in which one test may find what another one left."""
    _require(postgresql_server.why_unavailable())
    with postgresql_server.postgresql() as server:
        yield server


@pytest.fixture
def make_postgresql() -> Iterator[Callable[[], PostgreSql]]:
    """Return a function that starts another PostgreSQL, which is empty and ends with the test."""
    _require(postgresql_server.why_unavailable())
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(postgresql_server.postgresql(password="another's"))


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """Give the MariaDB of the file, in which one test may find what another one left."""
    _require(mariadb_server.why_unavailable())
    with mariadb_server.mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def make_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., MariaDb]]:
    """Return a function that starts another MariaDB with the options of `mariadb`, empty, until the test ends."""
    _require(mariadb_server.why_unavailable())
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            mariadb_server.mariadb(tmp_path_factory.mktemp("mariadb"), **options)
        )


def _require(why: str | None) -> None:
    if why is not None:
        pytest.skip(why)
