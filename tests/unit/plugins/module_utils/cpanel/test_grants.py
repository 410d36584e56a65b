# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grants of strangers: which are understood, what is made of them, and that nothing gets in besides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.grants import DatabaseUsers, database_users

HASH = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
OTHER_HASH = "*0123456789ABCDEF0123456789ABCDEF01234567"
NOBODYS = "*" + "0" * 40
USAGE = f"GRANT USAGE ON *.* TO 'bob_wp'@'localhost' IDENTIFIED BY PASSWORD '{HASH}';\n"
CREATION = f"CREATE USER IF NOT EXISTS `bob_wp`@'localhost' IDENTIFIED WITH mysql_native_password AS '{HASH}';"
GRANT = "GRANT ALL PRIVILEGES ON `bob\\_wp`.* TO `bob_wp`@'localhost';"
SHA2 = b"$A$005$" + bytes(range(20)) + b"a" * 43
DATABASES = ("bob_wp", "bob_shop", "bobXwp")
SECRETS = (HASH[1:], OTHER_HASH[1:], HASH[1:].lower())


def read(text: str | bytes, auth: object = None) -> DatabaseUsers:
    members = {b"mysql.sql": text.encode() if isinstance(text, str) else text}
    if auth is not None:
        members[b"mysql.sql-auth.json"] = auth if isinstance(auth, bytes) else json.dumps(auth).encode()
    return database_users(members, DATABASES, "bob")


def read_roles(text: str | bytes) -> DatabaseUsers:
    content = text.encode() if isinstance(text, str) else text
    return database_users({b"psql_users.sql": content}, ("bob_pg", "Bob Pg"), "bob")


def statements(users: DatabaseUsers) -> list[str]:
    """Return all statements that were made."""
    lines = [line for user in users.users for line in user.statements.decode().splitlines()]
    return [line for line in lines if not line.startswith("--")]


def told(users: DatabaseUsers) -> str:
    """Return all that is told, in which no hash may stand."""
    text = "\n".join([*(note.problem for note in users.notes), *(note for user in users.users for note in user.notes)])
    assert not any(secret in text for secret in SECRETS)
    assert not any(secret in repr(users) for secret in SECRETS)
    return text


def test_users_and_their_databases_become_statements_of_our_own() -> None:
    users = read("-- cPanel mysql backup\n" + USAGE + "GRANT ALL PRIVILEGES ON `bob\\_wp`.* TO 'bob_wp'@'localhost';\n")

    assert statements(users) == [CREATION, GRANT]
    assert users.users[0].sources == (b"mysql.sql",)
    assert told(users) == ""


@pytest.mark.parametrize(
    "how",
    [
        f"IDENTIFIED BY PASSWORD '{HASH}'",
        f"IDENTIFIED BY PASSWORD '{HASH.lower()}'",
        f"IDENTIFIED WITH mysql_native_password AS '{HASH}'",
        f"IDENTIFIED WITH 'mysql_native_password' AS \"{HASH}\" REQUIRE NONE PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK",
        f"IDENTIFIED VIA mysql_native_password USING '{HASH}'",
        f"IDENTIFIED VIA unix_socket OR mysql_native_password USING '{HASH}'",
        f"IDENTIFIED WITH mysql_native_password AS X'{HASH.encode().hex()}'",
        f"identified /* a comment */ by password '{HASH}' -- another\n",
    ],
)
def test_each_form_of_a_hash_is_carried_over(how: str) -> None:
    assert statements(read(f"GRANT USAGE ON *.* TO 'bob_wp'@'localhost' {how};")) == [CREATION]


def test_a_hash_of_mysql_8_is_carried_over_in_hexadecimal_with_a_word_of_warning() -> None:
    escaped = SHA2.decode().replace("\0", "\\0").replace("\n", "\\n")
    texts = (f"0x{SHA2.hex()}", f"X'{SHA2.hex()}'", f"'{escaped}'")

    for text in texts:
        users = read(f"CREATE USER 'bob_wp'@'%' IDENTIFIED WITH 'caching_sha2_password' AS {text};")

        wanted = f"IDENTIFIED WITH caching_sha2_password AS 0x{SHA2.hex().upper()};"
        assert statements(users) == [f"CREATE USER IF NOT EXISTS `bob_wp`@'%' {wanted}"]
        assert "MySQL 8" in told(users)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("IDENTIFIED BY PASSWORD '5d2e19393cc5ef67'", "before MySQL 4.1"),
        ("IDENTIFIED WITH mysql_old_password AS '5d2e19393cc5ef67'", "before MySQL 4.1"),
        ("IDENTIFIED WITH auth_socket", "a method"),
        ("IDENTIFIED WITH caching_sha2_password AS 'nonsense'", "a form"),
        (f"IDENTIFIED BY PASSWORD '{HASH}x'", "a form"),
        (f"IDENTIFIED BY PASSWORD '{HASH}'' x'", "a form"),
        ("", "no password"),
    ],
)
def test_who_cannot_log_in_any_more_is_made_locked(how: str, why: str) -> None:
    users = read(f"GRANT USAGE ON *.* TO 'bob_wp'@'localhost' {how};")

    locked = CREATION.replace(HASH, NOBODYS).replace(";", " ACCOUNT LOCK;")
    assert statements(users) == [locked]
    assert why in told(users)


def test_who_was_suspended_is_made_locked_with_the_password_of_old() -> None:
    users = read(USAGE.replace("*2470", "-2470"))

    assert statements(users) == [CREATION.replace(";", " ACCOUNT LOCK;")]
    assert "suspended" in told(users)


@pytest.mark.parametrize("text", [HASH, HASH.encode().hex(), HASH.encode().hex().upper()])
def test_a_hash_in_json_is_plain_or_in_hexadecimal(text: str) -> None:
    users = read("", {"bob_wp": {"localhost": {"auth_plugin": "mysql_native_password", "pass_hash": text}}})

    assert statements(users) == [CREATION]
    assert users.users[0].sources == (b"mysql.sql", b"mysql.sql-auth.json")


def test_json_tells_the_hash_of_who_has_none_among_the_grants_and_wins_where_both_have_one() -> None:
    grants = "GRANT USAGE ON *.* TO 'bob_wp'@'localhost';"
    auth = {"bob_wp": {"localhost": {"auth_plugin": "mysql_native_password", "pass_hash": HASH}}}

    assert statements(read(grants, auth)) == [CREATION]

    contradicting = read(USAGE.replace(HASH, OTHER_HASH), auth)
    assert statements(contradicting) == [CREATION]
    assert "another one" in told(contradicting)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b"[]" * 9,
        b"\xff",
        b'{"a": 1}',
        b'{"a": {"b": []}}',
        b'{"a": {"b": {"pass_hash": [1]}}}',
        b"9" * 1_000_000,
        b"[" + b"[]," * 300_000 + b"[]]",
        b'{"\\ud800": {"h": {}}}',
        b'{"x": {"\\ud800": {"pass_hash": "\\ud800"}}}',
    ],
)
def test_json_that_is_not_understood_costs_no_grant(content: bytes) -> None:
    users = read(USAGE, content)

    assert statements(users) == [CREATION]
    assert told(users)


def test_a_user_at_several_hosts_stays_one_user() -> None:
    hosts = ("%", "10.0.0.0/255.0.0.0", "2001:db8::1", "a.example.com", "localhost")
    text = "".join(USAGE.replace("localhost", host) for host in reversed(hosts))

    (user,) = read(text).users

    assert [line.split("@")[1].split(" ")[0] for line in statements(read(text))] == [f"'{host}'" for host in hosts]
    assert user.name == "bob_wp"


def test_what_is_demanded_of_a_connection_is_kept_and_limits_are_not() -> None:
    users = read(USAGE.replace(";", " REQUIRE SSL WITH MAX_USER_CONNECTIONS 30 MAX_QUERIES_PER_HOUR 0;"))

    assert statements(users) == [CREATION.replace(";", " REQUIRE SSL;")]
    assert "limits" in told(users)


@pytest.mark.parametrize(
    ("grant", "made"),
    [
        ("GRANT SELECT, insert ON `bob\\_wp`.*", "GRANT INSERT, SELECT ON `bob\\_wp`.*"),
        ("GRANT ALL ON bobXwp.*", "GRANT ALL PRIVILEGES ON `bobXwp`.*"),
        (
            "GRANT CREATE TEMPORARY TABLES, SELECT, SELECT ON `bob\\_wp`.*",
            "GRANT CREATE TEMPORARY TABLES, SELECT ON `bob\\_wp`.*",
        ),
        ("GRANT SELECT ON `bob_wp`.`tab``le`", "GRANT SELECT ON `bob_wp`.`tab``le`"),
        ("GRANT SELECT ON TABLE `bob_wp`.x_%", ""),
        ("GRANT USAGE ON `bob\\_wp`.*", ""),
        ("GRANT SELECT, DELETE HISTORY ON `bob\\_wp`.*", "GRANT SELECT ON `bob\\_wp`.*"),
    ],
)
def test_privileges_on_a_database_and_on_a_table_are_carried_over(grant: str, made: str) -> None:
    users = read(f"{USAGE}{grant} TO 'bob_wp'@'localhost';")

    assert statements(users)[1:] == ([f"{made} TO `bob_wp`@'localhost';"] if made else [])


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT ALL ON *.* TO 'bob_wp'@'localhost'",
        "GRANT ALL PRIVILEGES ON *.* TO 'bob_wp'@'localhost' WITH GRANT OPTION",
        "GRANT USAGE, SUPER ON *.* TO 'bob_wp'@'localhost'",
        "GRANT USAGE ON *.* TO 'bob_wp'@'localhost' WITH GRANT OPTION",
        "GRANT USAGE ON *.* TO 'bob_wp'@'localhost' WITH MAX_USER_CONNECTIONS 1 GRANT OPTION",
        "GRANT FILE ON *.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON * TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `%`.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `bob_wp`.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `bob\\_%`.* TO 'eve'@'localhost', 'x'@'y' WITH GRANT OPTION",
        "GRANT ALL ON `alice\\_%`.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `alice`.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON mysql.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `mysql`.`user` TO 'bob_wp'@'localhost'",
        "GRANT SUPER ON `bob\\_wp`.* TO 'bob_wp'@'localhost'",
        "GRANT GRANT OPTION ON `bob\\_wp`.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' WITH GRANT OPTION",
        "GRANT SELECT (a) ON `bob_wp`.t TO 'bob_wp'@'localhost'",
        "GRANT EXECUTE ON PROCEDURE `bob_wp`.p TO 'bob_wp'@'localhost'",
        "GRANT EXECUTE ON `bob_wp`.t TO 'bob_wp'@'localhost'",
        "GRANT admin TO 'bob_wp'@'localhost'",
        "GRANT PROXY ON 'root'@'localhost' TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO bob_wp",
        "GRANT ALL ON `bob\\_wp`.* TO PUBLIC",
        "GRANT ALL ON `bob\\_wp`.* TO ''@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@''",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' AS 'root'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'root'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'root '@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'ro\\0ot'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob\U0001f600'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'local\\'host'",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' /*! WITH GRANT OPTION */",
        "GRANT ALL ON `bob\\_wp`.* /*M!100000 , `x`.* */ TO 'bob_wp'@'localhost'",
        "GRANT ALL ON 'bob_wp'.* TO 'bob_wp'@'localhost'",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' x",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' -x",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost",
        "GRANT ALL ON `bob\\_wp\0`.* TO 'bob_wp'@'localhost'",
        "GRANT USAGE ON *.* TO 'bob_wp'@'localhost' REQUIRE SUBJECT 'x'",
        "GRANT USAGE ON *.* TO 'bob_wp'@'localhost' IDENTIFIED BY 'plain'",
        "GRANT USAGE ON *.* TO 'bob_wp'@'localhost' IDENTIFIED VIA mysql_native_password USING PASSWORD('x')",
        f"GRANT ALL ON *.* TO '{HASH}'@'localhost' IDENTIFIED BY PASSWORD '{HASH}'",
        f"GRANT ALL ON `{HASH}`.* TO 'bob_wp'@'localhost'",
        "REVOKE ALL ON `bob\\_wp`.* FROM 'bob_wp'@'localhost'",
        "DROP DATABASE bob_wp",
        "INSERT INTO mysql.user VALUES ('x')",
        "/*!50000 GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' */",
        "\\! touch /tmp/owned",
        "source /etc/passwd",
        "GRANT",
        "GRANT ALL",
        "GRANT , ON",
        "GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost' IDENTIFIED WITH",
    ],
)
def test_whatever_gives_more_costs_its_statement_and_no_other(statement: str) -> None:
    shop = "GRANT SELECT ON `bob\\_shop`.* TO 'bob_wp'@'localhost';\n"

    users = read(f"{USAGE}{statement};\n{shop}")

    made = [CREATION, "GRANT SELECT ON `bob\\_shop`.* TO `bob_wp`@'localhost';"]
    assert statements(users) == made
    assert told(users)


def test_a_note_names_the_user_and_the_database() -> None:
    users = read("GRANT ALL ON `alice\\_db`.* TO 'bob_wp'@'localhost';")

    assert users.users == ()
    assert told(users) == ("line 1 is left out: the grant of 'bob_wp' on 'alice_db': the archive has no such database")


def test_the_accounts_own_grant_on_all_its_databases_is_left_out() -> None:
    users = read(USAGE + "GRANT ALL PRIVILEGES ON `bob\\_%`.* TO 'bob_wp'@'localhost';")

    assert statements(users) == [CREATION]
    assert "all databases of the account" in told(users)


@pytest.mark.parametrize("name", ["mysql", "MySQL", "sys", "information_schema", "roundcube"])
def test_a_database_of_the_server_is_none_of_the_archive_whatever_its_dumps_are_called(name: str) -> None:
    members = {b"mysql.sql": f"GRANT ALL ON `{name}`.* TO 'bob'@'localhost';".encode()}

    assert database_users(members, (name,), "bob").users == ()


def test_several_statements_may_stand_on_one_line() -> None:
    text = USAGE.strip() + "GRANT ALL ON *.* TO 'x'@'y';GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost'"

    users = read(text)

    assert statements(users) == [CREATION, GRANT]
    assert "*.*" in told(users)


def test_a_quote_that_is_not_ended_costs_its_line() -> None:
    users = read("GRANT USAGE ON *.* TO 'x\n" + USAGE + "# GRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost';\n")

    assert statements(users) == [CREATION]
    assert told(users) == "line 1 is left out: a quote in it is not ended"


def test_what_stands_in_a_comment_is_no_grant() -> None:
    text = "/*\nGRANT ALL ON `bob\\_wp`.* TO 'bob_wp'@'localhost';\n*/" + USAGE + "/* GRANT"

    users = read(text)

    assert statements(users) == [CREATION]
    assert "a comment is not ended" in told(users)


@pytest.mark.parametrize("line", [b"x" * 10_000_000, b"'" * 9_999_999, b"/*" * 5_000_000, b"GRANT " * 1_700_000])
def test_a_line_of_ten_million_bytes_costs_itself(line: bytes) -> None:
    users = read(USAGE.encode() + line + b"\n" + USAGE.replace("bob_wp", "bob_2").encode())

    assert len(users.users) == 2
    assert "too long" in told(users)


def test_there_is_an_end_to_statements_and_to_notes() -> None:
    users = read(b";" * 60_000 + b"\n" + b";" * 60_000 + b"\n" + USAGE.encode())
    assert users.users == ()
    assert "too many" in told(users)

    users = read("\n" * 200_000 + USAGE)
    assert users.users == ()
    assert "too many lines" in told(users)

    users = read("GRANT ALL ON *.* TO 'x'@'y';\n" * 1000)
    assert len(users.notes) < 250
    assert "more were skipped or not understood" in told(users)


@pytest.mark.parametrize("name", ["it's", 'say "x"', "back`tick", "x'@'%", "`@'%' x", "grün", "a;b", "-- x", "/* x"])
def test_no_name_gets_out_of_its_quotes(name: str) -> None:
    quoted = name.replace("'", "''")

    users = read(USAGE.replace("bob_wp", quoted))

    doubled = name.replace("`", "``")
    assert [one.name for one in users.users] == [name]
    assert statements(users)[-1] == CREATION.replace("bob_wp", doubled)


def test_the_order_of_what_is_made_does_not_follow_the_archive() -> None:
    grants = [
        f"GRANT {privilege} ON `{database}`.{table} TO '{user}'@'{host}';\n"
        for privilege in ("SELECT", "INSERT")
        for database, table in (("bob\\_wp", "*"), ("bob_wp", "t"), ("bobXwp", "*"))
        for user in ("b", "a")
        for host in ("h", "g")
    ]

    assert read("".join(grants)).users == read("".join(reversed(grants))).users


# -- PostgreSQL

ALTER = "ALTER ROLE Bob_PG WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS"
MD5 = "md58bc7cbcb776c6724730b18f0f45f6b64"
SCRAM = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0$c3RvcmVk+/=:c2VydmVy="


def role(name: str, options: str) -> str:
    quoted = name.replace("'", "''''")
    double = name.replace('"', '""').replace("'", "''")
    return (
        f"DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ''{quoted}'')"
        f' THEN CREATE ROLE "{double}" {options}; END IF; END\';'
    )


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"CREATE USER \"bob_pg\" WITH PASSWORD '{MD5}';", MD5),
        (f"CREATE ROLE bob_pg WITH ENCRYPTED PASSWORD '{SCRAM}';", SCRAM),
        (
            f"CREATE ROLE bob_pg;\n{ALTER} CONNECTION LIMIT -1 PASSWORD '{SCRAM}' VALID UNTIL 'infinity';",
            SCRAM,
        ),
    ],
)
def test_a_role_is_made_with_its_hash_unless_it_is_there(text: str, secret: str) -> None:
    users = read_roles(f"SET client_encoding = 'UTF8';\n{text}\nGRANT ALL ON DATABASE bob_pg TO bob_pg;")

    assert statements(users) == [
        role("bob_pg", f"LOGIN PASSWORD ''{secret}''"),
        'GRANT ALL ON DATABASE "bob_pg" TO "bob_pg";',
    ]
    assert users.users[0].kind == "postgresql"
    assert told(users) == ""
    assert secret not in repr(users)


def test_privileges_on_a_database_of_postgresql_are_carried_over() -> None:
    users = read_roles('GRANT CONNECT, TEMP ON DATABASE bob_pg, "Bob Pg" TO "bob x", bob_y;')

    assert statements(users)[:3] == [
        role("bob x", "NOLOGIN"),
        'GRANT CONNECT, TEMPORARY ON DATABASE "Bob Pg" TO "bob x";',
        'GRANT CONNECT, TEMPORARY ON DATABASE "bob_pg" TO "bob x";',
    ]
    assert "without the right to log in" in told(users)


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE ROLE eve SUPERUSER PASSWORD '{MD5}'",
        f"CREATE ROLE eve CREATEDB PASSWORD '{MD5}'",
        f"CREATE USER eve WITH PASSWORD '{MD5}' IN ROLE postgres",
        f"CREATE USER postgres WITH PASSWORD '{MD5}'",
        f"CREATE USER \"pg_read_all_data\" WITH PASSWORD '{MD5}'",
        f"ALTER USER Postgres WITH PASSWORD '{MD5}'",
        f"CREATE USER eve WITH PASSWORD '{MD5}' VALID UNTIL '2000-01-01'",
        f"CREATE USER \"a\\b\" WITH PASSWORD '{MD5}'",
        "GRANT postgres TO eve",
        "GRANT ALL ON DATABASE postgres TO eve",
        "GRANT ALL ON DATABASE bob_pg TO eve WITH GRANT OPTION",
        "GRANT ALL ON DATABASE bob_pg TO PUBLIC",
        "GRANT ALL ON DATABASE bob_pg TO eve GRANTED BY postgres",
        "GRANT ALL ON DATABASE BOB_PG, other TO eve",
        "GRANT SELECT ON DATABASE bob_pg TO eve",
        "GRANT ALL ON SCHEMA public TO eve",
        "GRANT SELECT ON TABLE pg_authid TO eve",
        "GRANT ALL ON DATABASE bob_pg TO GROUP eve",
        "ALTER DATABASE bob_pg OWNER TO eve",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "\\! id",
        "CREATE ROLE",
        "GRANT ALL ON DATABASE",
        "DO $$ BEGIN END $$",
    ],
)
def test_whatever_gives_a_role_more_costs_its_statement_and_no_other(statement: str) -> None:
    users = read_roles(f"{statement};\nCREATE USER bob WITH PASSWORD '{MD5}';")

    assert statements(users) == [role("bob", f"LOGIN PASSWORD ''{MD5}''")]
    assert MD5 not in told(users)
    assert users.notes


@pytest.mark.parametrize("name", ["it's", 'say "x"', "x'; DROP ROLE y; --", "$$ x", "grün"])
def test_no_name_of_a_role_gets_out_of_its_quotes(name: str) -> None:
    doubled = name.replace('"', '""')

    users = read_roles(f"CREATE USER \"{doubled}\" WITH PASSWORD '{MD5}';")

    assert statements(users)[-1] == role(name, f"LOGIN PASSWORD ''{MD5}''")


@pytest.mark.parametrize("member", [b"psql_users.sql", b"psql_grants.sql", b"psql/1psql_users.sql", b"psql/x.sql"])
def test_roles_are_found_wherever_an_archive_has_them(member: bytes) -> None:
    users = database_users({member: f"CREATE USER bob WITH PASSWORD '{MD5}';".encode()}, ())

    assert [(user.name, user.sources) for user in users.users] == [("bob", (member,))]


# -- anything

PIECES = st.sampled_from(
    [
        *(
            "GRANT ",
            "USAGE ",
            "ALL ",
            "ON ",
            "*.*",
            "`bob\\_wp`.*",
            " TO ",
            "'bob_wp'@'localhost'",
            "WITH GRANT OPTION",
        ),
        *(" IDENTIFIED BY PASSWORD ", f"'{HASH}'", "/*", "*/", "/*!", "CREATE USER ", "X'", "0x", "é"),
        *("CREATE ROLE ", "DATABASE ", "bob_pg", "PASSWORD ", f"'{MD5}'", *"'\"`\\;,.*@%_-#\n\0 "),
    ]
)
ALLOWED = (
    "CREATE USER IF NOT EXISTS `",
    "GRANT ALL PRIVILEGES ON `bob\\_wp`.* TO `",
    "DO ",
    'GRANT ALL ON DATABASE "bob_pg" TO "',
    "SET NAMES utf8mb4;",
    "SET client_encoding = 'UTF8';",
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(), st.binary(max_size=50))
def test_whatever_an_archive_says_nothing_but_the_wanted_is_made(text: str, raw: bytes) -> None:
    content = text.encode("utf-8", "replace") + raw
    members = dict.fromkeys((b"mysql.sql", b"mysql.sql-auth.json", b"psql_users.sql"), content)

    users = database_users(members, ("bob_wp", "bob_pg"), "bob")

    assert all(line.startswith(ALLOWED) for line in statements(users))
    assert "GRANT OPTION" not in "".join(line for line in statements(users) if line.startswith("GRANT"))
    told(users)
