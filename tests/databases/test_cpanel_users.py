# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements made of a cPanel account's grants, run by real servers: who may log in, and what each may do."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.generated import generated_files
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.mysql import MySqlServer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.postgresql import PostgreSQL
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError
from tests.cpanel.accounts import mysql_hash
from tests.servers.server import ServerError

if t.TYPE_CHECKING:
    from collections.abc import Collection

    from tests.servers.mariadb import MariaDb
    from tests.servers.postgresql import PostgreSql

PASSWORD = "old 'secret\\"
DATABASES = ("bob_wp", "bobXwp", "bob_shop")


def login_of(server: MariaDb | PostgreSql) -> Login:
    return Login(server.host, server.port, None, server.username, server.password, programs=str(server.programs))


def script_of(members: dict[bytes, bytes], databases: Collection[str] = DATABASES) -> bytes:
    """Return all statements that are made of *members*."""
    return b"".join(made.content for made in generated_files(members, databases))


def usage(user: str, host: str = "127.0.0.1", password: str = PASSWORD) -> str:
    quoted = user.replace("\\", "\\\\").replace("'", "\\'")
    return f"GRANT USAGE ON *.* TO '{quoted}'@'{host}' IDENTIFIED BY PASSWORD '{mysql_hash(password)}';\n"


@pytest.fixture
def empty(mariadb: MariaDb) -> MariaDb:
    """Give the MariaDB with the databases of the account, and with no user but its own."""
    users = mariadb.run("SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.global_priv;").splitlines()
    for user in users:
        if not user.startswith(("'root'", "'mariadb.sys'", "'PUBLIC'")):
            mariadb.run(f"DROP USER {user};")
    for name in (*DATABASES, "alice"):
        mariadb.run(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}`; CREATE TABLE `{name}`.t (x INT);")
    return mariadb


def grants_of(server: MariaDb, user: str, host: str = "127.0.0.1") -> list[str]:
    """Return what the server says that a user may do beside being there."""
    quoted = user.replace("`", "``")
    answer = server.run(f"SHOW GRANTS FOR `{quoted}`@'{host}';").splitlines()
    return sorted(line.partition(" TO ")[0] for line in answer if not line.startswith("GRANT USAGE ON *.*"))


def users_of(server: MariaDb) -> set[str]:
    answer = server.run("SELECT user FROM mysql.global_priv WHERE user NOT IN ('root', 'mariadb.sys', 'PUBLIC');")
    return set(answer.splitlines())


def why_not(server: MariaDb, user: str, password: str = PASSWORD) -> str:
    """Return what the server says against a login, "" if it lets the user in."""
    try:
        MySqlServer(replace(login_of(server), username=user, password=password)).databases()
    except DatabaseError as error:
        return str(error)
    return ""


def test_users_log_in_with_the_old_password_and_may_do_what_they_could(empty: MariaDb) -> None:
    grants = usage("bob_wp") + (
        "GRANT ALL PRIVILEGES ON `bob\\_wp`.* TO 'bob_wp'@'127.0.0.1';\n"
        "GRANT SELECT, INSERT ON `bob\\_shop`.* TO 'bob_wp'@'127.0.0.1';\n"
        "GRANT SELECT ON `bobXwp`.`t` TO 'bob_wp'@'127.0.0.1';\n"
    )

    MySqlServer(login_of(empty)).load_users([script_of({b"mysql.sql": grants.encode()})])

    assert why_not(empty, "bob_wp") == ""
    assert grants_of(empty, "bob_wp") == [
        "GRANT ALL PRIVILEGES ON `bob\\_wp`.*",
        "GRANT SELECT ON `bobXwp`.`t`",
        "GRANT SELECT, INSERT ON `bob\\_shop`.*",
    ]


def test_a_grant_is_none_on_databases_with_a_name_alike(empty: MariaDb) -> None:
    grants = usage("bob_wp") + "GRANT ALL PRIVILEGES ON `bob\\_wp`.* TO 'bob_wp'@'127.0.0.1';\n"

    MySqlServer(login_of(empty)).load_users([script_of({b"mysql.sql": grants.encode()})])

    as_bob = MySqlServer(replace(login_of(empty), username="bob_wp", password=PASSWORD))
    assert [database.name for database in as_bob.databases()] == ["bob_wp"]


def test_a_user_who_is_there_keeps_the_password(empty: MariaDb) -> None:
    empty.run("CREATE USER bob_wp@'127.0.0.1' IDENTIFIED BY 'new';")

    MySqlServer(login_of(empty)).load_users([script_of({b"mysql.sql": usage("bob_wp").encode()})])

    assert why_not(empty, "bob_wp", "new") == ""
    assert "Access denied" in why_not(empty, "bob_wp")


def test_a_suspended_user_gets_in_once_the_account_is_unlocked(empty: MariaDb) -> None:
    text = "-" + mysql_hash(PASSWORD)[1:]
    auth = {"bob_wp": {"127.0.0.1": {"auth_plugin": "mysql_native_password", "pass_hash": text.encode().hex()}}}
    script = script_of({b"mysql.sql": b"", b"mysql.sql-auth.json": json.dumps(auth).encode()})

    MySqlServer(login_of(empty)).load_users([script])

    assert "locked" in why_not(empty, "bob_wp")
    empty.run("ALTER USER bob_wp@'127.0.0.1' ACCOUNT UNLOCK;")
    assert why_not(empty, "bob_wp") == ""


def test_a_user_without_a_usable_hash_is_there_and_nobody_gets_in(empty: MariaDb) -> None:
    grants = "GRANT USAGE ON *.* TO 'bob_wp'@'127.0.0.1' IDENTIFIED BY PASSWORD '5d2e19393cc5ef67';"

    MySqlServer(login_of(empty)).load_users([script_of({b"mysql.sql": grants.encode()})])

    assert users_of(empty) == {"bob_wp"}
    assert "Access denied" in why_not(empty, "bob_wp", "")


@pytest.mark.parametrize("name", ["it's", 'say "x"', "back`tick", "x'@'%", "`@'%' x", "grün", "a;b", "-- x", "# x"])
@pytest.mark.parametrize("mode", ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"])
def test_a_user_of_any_name_is_made_and_no_other(empty: MariaDb, name: str, mode: str) -> None:
    script = script_of({b"mysql.sql": usage(name).encode()})

    empty.run(f"SET SESSION sql_mode = '{mode}';\n{script.decode()}")

    assert users_of(empty) == {name}
    assert why_not(empty, name) == ""


def test_a_user_with_a_hash_of_mysql_8_is_no_user_of_a_mariadb_and_the_others_are_made(empty: MariaDb) -> None:
    secret = (b"$A$005$" + b"s" * 20 + b"a" * 43).hex()
    grants = f"CREATE USER 'bob_8'@'127.0.0.1' IDENTIFIED WITH caching_sha2_password AS 0x{secret};\n" + usage("bob_wp")

    with pytest.raises(DatabaseError, match="one statement failed, the others are done") as refused:
        MySqlServer(login_of(empty)).load_users([script_of({b"mysql.sql": grants.encode()})])

    assert secret.upper() not in str(refused.value)
    assert users_of(empty) == {"bob_wp"}


HOSTILE = (
    "GRANT ALL ON *.* TO 'bob_wp'@'127.0.0.1' WITH GRANT OPTION;\n"
    "GRANT ALL ON `alice`.* TO 'bob_wp'@'127.0.0.1';\n"
    "GRANT ALL ON `%`.* TO 'bob_wp'@'127.0.0.1';\n"
    "GRANT ALL ON `bob_wp`.* TO 'bob_wp'@'127.0.0.1';\n"
    "GRANT ALL ON mysql.* TO 'bob_wp'@'127.0.0.1';\n"
    "GRANT USAGE ON *.* TO 'bob_wp'@'127.0.0.1'; GRANT SUPER ON *.* TO 'bob_wp'@'127.0.0.1';\n"
    "GRANT SELECT ON `bob\\_wp`.* TO 'bob_wp'@'127.0.0.1' /*! WITH GRANT OPTION */;\n"
    "GRANT SELECT ON `bob\\_wp`.* TO 'bob_wp'@'127.0.0.1\\'; DROP DATABASE alice; --';\n"
    "GRANT SELECT ON `bob\\_wp`.* TO 'x`@''%''; DROP DATABASE alice; -- '@'127.0.0.1';\n"
    "GRANT ALL ON `bob\\_wp``.*; DROP DATABASE alice; --`.* TO 'bob_wp'@'127.0.0.1';\n"
    "CREATE USER 'root'@'%' IDENTIFIED WITH mysql_native_password AS '{hash}';\n"
    "/*!50000 CREATE USER 'eve'@'%' */;\n"
    "DROP DATABASE alice;\n"
    "\\! touch /tmp/owned\n"
)


def test_a_hostile_file_gives_nobody_anything_more(empty: MariaDb) -> None:
    content = usage("bob_wp") + HOSTILE.replace("{hash}", mysql_hash("x"))
    databases = (*DATABASES, "mysql")  # as an archive with a dump that is called so

    MySqlServer(login_of(empty)).load_users([script_of({b"mysql.sql": content.encode()}, databases)])

    odd = "x`@'%'; DROP DATABASE alice; -- "
    assert users_of(empty) <= {"bob_wp", odd.strip()}
    assert grants_of(empty, "bob_wp") == []
    assert "alice" in empty.run("SHOW DATABASES;").split()
    assert empty.run("SELECT COUNT(*) FROM mysql.global_priv WHERE user = 'root' AND host = '%';") == "0\n"


# -- PostgreSQL


@pytest.fixture
def elephant(postgresql: PostgreSql) -> PostgreSql:
    """Give the PostgreSQL with two databases, which nobody else may connect to, and without roles of the account."""
    for name in ("bob_pg", "alice_pg"):
        if name not in postgresql.run("SELECT datname FROM pg_database").splitlines():
            postgresql.run(f"CREATE DATABASE {name}")
            postgresql.run(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    for name in roles_of(postgresql):
        quoted = name.replace('"', '""')
        postgresql.run(f'DROP OWNED BY "{quoted}"; DROP ROLE "{quoted}"')
    return postgresql


def roles_of(server: PostgreSql) -> list[str]:
    return server.run("SELECT rolname FROM pg_roles WHERE rolname ~ '^(bob|alice|eve|odd)'").splitlines()


def secret_of(server: PostgreSql, password: str = PASSWORD) -> str:
    """Return what PostgreSQL keeps of a password."""
    quoted = password.replace("'", "''")
    server.run(f"CREATE ROLE odd_one PASSWORD '{quoted}'")
    secret = server.run("SELECT rolpassword FROM pg_authid WHERE rolname = 'odd_one'")
    server.run("DROP ROLE odd_one")
    return secret


def run_script(server: PostgreSql, members: dict[bytes, bytes]) -> None:
    server.run(script_of(members, ("bob_pg", "postgres")).decode())


def test_roles_log_in_with_the_old_password_and_reach_their_database_alone(elephant: PostgreSql) -> None:
    users = f"CREATE USER \"bob_pg\" WITH PASSWORD '{secret_of(elephant)}';\n"
    members = {b"psql_users.sql": users.encode(), b"psql_grants.sql": b'GRANT ALL ON DATABASE "bob_pg" TO "bob_pg";\n'}

    run_script(elephant, members)

    assert elephant.run("SELECT 1", database="bob_pg", username="bob_pg", password=PASSWORD) == "1"
    with pytest.raises(ServerError, match="permission denied"):
        elephant.run("SELECT 1", database="alice_pg", username="bob_pg", password=PASSWORD)
    with pytest.raises(ServerError, match="authentication failed"):
        elephant.run("SELECT 1", database="bob_pg", username="bob_pg", password="another")


def test_what_is_made_can_be_loaded_like_the_users_of_a_dump(elephant: PostgreSql) -> None:
    users = f"CREATE USER \"bob_pg\" WITH PASSWORD '{secret_of(elephant)}';\n"

    PostgreSQL(login_of(elephant)).load_users([script_of({b"psql_users.sql": users.encode()})])

    assert roles_of(elephant) == ["bob_pg"]


def test_a_role_that_is_there_keeps_its_password(elephant: PostgreSql) -> None:
    users = f"CREATE USER bob_pg WITH PASSWORD '{secret_of(elephant)}';\n"
    elephant.run("CREATE ROLE bob_pg LOGIN PASSWORD 'new'; GRANT CONNECT ON DATABASE bob_pg TO bob_pg")

    run_script(elephant, {b"psql_users.sql": users.encode()})

    assert elephant.run("SELECT 1", database="bob_pg", username="bob_pg", password="new") == "1"


@pytest.mark.parametrize("name", ["odd's", 'odd "x"', "odd'; DROP ROLE x; --", "odd $$ x", "odd grün"])
@pytest.mark.parametrize("conforming", ["on", "off"])
def test_a_role_of_any_name_is_made_and_no_other(elephant: PostgreSql, name: str, conforming: str) -> None:
    doubled = name.replace('"', '""')
    users = f"CREATE USER \"{doubled}\" WITH PASSWORD '{secret_of(elephant)}';\n"
    script = script_of({b"psql_users.sql": users.encode()}).decode()

    elephant.run(f"SET standard_conforming_strings = {conforming};\n{script}")

    assert roles_of(elephant) == [name]


def test_a_hostile_file_gives_no_role_anything_more(elephant: PostgreSql) -> None:
    secret = secret_of(elephant)
    users = (
        f"CREATE USER bob_pg WITH PASSWORD '{secret}';\nALTER ROLE bob_pg SUPERUSER;\n"
        f"ALTER USER postgres WITH PASSWORD '{secret}';\nCREATE ROLE eve SUPERUSER LOGIN PASSWORD '{secret}';\n"
        "GRANT postgres TO bob_pg;\nGRANT ALL ON DATABASE alice_pg TO bob_pg;\n"
        "GRANT ALL ON DATABASE postgres TO bob_pg;\nGRANT ALL ON DATABASE bob_pg TO bob_pg WITH GRANT OPTION;\n"
        "DO $$ BEGIN CREATE ROLE eve; END $$;\nDROP DATABASE alice_pg;\n\\! touch /tmp/owned\n"
    )

    run_script(elephant, {b"psql_users.sql": users.encode()})

    assert roles_of(elephant) == ["bob_pg"]
    powers = elephant.run(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
        " WHERE rolname = 'bob_pg'"
    )
    assert powers == "\t".join("fffff")
    assert elephant.run("SELECT count(*) FROM pg_auth_members WHERE member = 'bob_pg'::regrole") == "0"
    for database in ("bob_pg", "alice_pg"):
        with pytest.raises(ServerError, match="permission denied"):
            elephant.run("SELECT 1", database=database, username="bob_pg", password=PASSWORD)
