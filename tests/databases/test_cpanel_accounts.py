# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases out of a cPanel account, over FTP into real servers: their users log in with their old passwords."""

from __future__ import annotations

import subprocess
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.loading import Load
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from tests.cpanel import accounts
from tests.cpanel.archives import DIRECTORY_FORM, TAR, TAR_GZ
from tests.cpanel.hosting import Customer, put
from tests.databases.engines import MariaDbEngine, PostgreSqlEngine
from tests.servers.postgresql import connection_to

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cpanel.accounts import Account
    from tests.servers.mariadb import MariaDb
    from tests.servers.postgresql import PostgreSql
    from tests.servers.server import FtpServer

DAY = "2026-11-22/accounts"
FORMS = (TAR, TAR_GZ, DIRECTORY_FORM)


@pytest.fixture
def customer(ftp_scratch: FtpServer, tmp_path: Path) -> Customer:
    (tmp_path / "host").mkdir()
    customer = Customer(ftp_scratch, tmp_path / "host")
    customer.declare()
    return customer


def pg_dump_of(server: PostgreSql, database: str) -> bytes:
    """Return *database* as pg_dump writes it for cPanel."""
    command = [str(server.programs / "pg_dump"), "--format=tar", f"--dbname={connection_to(database)}"]
    return subprocess.run(command, env=server.environment(), check=True, capture_output=True).stdout


def assert_mysql(server: MariaDb, database: str, account: Account, *, name: str = "") -> None:
    """See that *database* of *account* is there with every byte, under another *name* perhaps."""
    (wanted,) = [known for known in account.databases if known.name == database]
    for table, count in wanted.rows.items():
        query = f"SELECT count(*) FROM `{table}`;"  # noqa: S608 - a name of ours
        assert server.run(query, database=name or database) == f"{count}\n"
    blob = server.run("SELECT HEX(picture) FROM pictures;", database=name or database).strip()
    assert bytes.fromhex(blob) == wanted.blob
    texts = server.run("SELECT HEX(text) FROM notes ORDER BY id;", database=name or database).split()
    assert bytes.fromhex(texts[3]).decode() == "USE mysql;\nDROP DATABASE x;"
    assert bytes.fromhex(texts[5]).decode() == ") COLLATE=utf8mb4_0900_ai_ci DEFINER=`root`@`localhost`"


@pytest.mark.parametrize("form", FORMS)
def test_a_database_is_loaded_and_its_user_logs_in_with_the_old_password(
    customer: Customer, make_mariadb: Callable[..., MariaDb], form: str
) -> None:
    server = make_mariadb()
    account = accounts.everything()
    put(customer, account, DAY, form)
    customer.reindex()
    (user,) = [known for known in account.database_users if known.name == f"{account.user}_wp"]
    before = set(MariaDbEngine(server).names())

    result = customer.restore(
        account.user,
        None,
        parts=[("database", user.name), ("database_user", user.name)],
        load=Load(MariaDbEngine(server).login()),
    )

    assert set(MariaDbEngine(server).names()) - before == {user.name}
    assert_mysql(server, user.name, account)
    as_user = replace(server, username=user.name, password=user.password)
    assert as_user.run("SELECT count(*) FROM notes;", database=user.name) == "6\n"
    with pytest.raises(Exception, match="denied"):
        as_user.run("SELECT * FROM mysql.user;")
    assert result.values["restored"]["databases"] == 2


@pytest.mark.parametrize("form", FORMS)
def test_all_databases_of_an_account_are_loaded_and_no_user_is(
    customer: Customer, make_mariadb: Callable[..., MariaDb], tmp_path: Path, form: str
) -> None:
    server = make_mariadb()
    account = accounts.everything().without(b"psql/", b"psql_users", b"psql_grants")
    put(customer, account, DAY, form)
    customer.reindex()

    result = customer.restore(account.user, None, parts=[("database",)], load=Load(MariaDbEngine(server).login()))

    names = [known.name for known in account.databases if known.kind == "mysql"]
    for name in names:
        assert_mysql(server, name, account)
    assert account.user not in server.run("SELECT user FROM mysql.user;")
    assert any("utf8mb4_0900_ai_ci" in warning or "collation" in warning for warning in result.warnings)
    assert not (tmp_path / "target").exists()


def test_a_database_is_loaded_under_another_name_and_never_over_another_one(
    customer: Customer, make_mariadb: Callable[..., MariaDb]
) -> None:
    server = make_mariadb()
    account = accounts.everything()
    put(customer, account, DAY, TAR)
    customer.reindex()
    name = f"{account.user}_shop_1"
    load = Load(MariaDbEngine(server).login(), names={WantedPart("database", name): "copy of it"})

    customer.restore(account.user, None, parts=[("database", name)], load=load)

    assert_mysql(server, name, account, name="copy of it")
    with pytest.raises(DatabaseError, match="it is there and not empty"):
        customer.restore(account.user, None, parts=[("database", name)], load=load)
    assert_mysql(server, name, account, name="copy of it")


@pytest.mark.parametrize("form", FORMS)
def test_a_database_of_postgresql_is_loaded_and_its_user_logs_in_with_the_old_password(
    customer: Customer, make_postgresql: Callable[..., PostgreSql], form: str
) -> None:
    old, new = make_postgresql(), make_postgresql()
    shape = accounts.postgres()
    (user,) = [known for known in shape.database_users if known.kind == "postgresql"]
    PostgreSqlEngine(old).make_site(user.name, user.name, user.password)
    account = accounts.postgres(dump=pg_dump_of(old, user.name))
    put(customer, account, DAY, form)
    customer.reindex()

    customer.restore(
        account.user,
        None,
        parts=[("database", user.name), ("database_user", user.name)],
        load=Load(PostgreSqlEngine(new).login()),
    )

    assert new.run("SELECT word FROM orders ORDER BY id;", database=user.name) == "Grün\nTee"
    found = new.run("SELECT current_user;", database=user.name, username=user.name, password=user.password)
    assert found == user.name


def test_without_a_database_there_is_nothing_to_load(customer: Customer, make_mariadb: Callable[..., MariaDb]) -> None:
    account = accounts.everything()
    put(customer, account, DAY, TAR)
    customer.reindex()

    with pytest.raises(UsageError, match="holds no database that could be loaded"):
        customer.restore(account.user, None, parts=[("cron",)], load=Load(MariaDbEngine(make_mariadb()).login()))
