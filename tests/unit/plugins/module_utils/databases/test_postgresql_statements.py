# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that PostgreSQL is told, also those for versions that the tests have no server of."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.postgresql_statements import (
    connection_to,
    creation,
    facts_of,
    granting,
    is_wanted,
    name_of,
    roles_in,
    setting_up,
    statements_in,
    text_of,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Facts

V14, V15, V17 = 140012, 150020, 170002


def answer_of(**columns: object) -> Facts:
    """Return what a server of some version answers to FACTS."""
    return {
        "version": "17.2",
        "columns": {"datcollate": "C", "datctype": "C", "datconnlimit": -1, **columns},
        "encoding": "UTF8",
        "owner": "shop",
        "tablespace": None,
        "comment": None,
        "public": True,
        "settings": [],
        "privileges": None,
        "roles": [],
        "tablespaces": [],
    }


def created(answer: Facts, version: int) -> str:
    return creation("x", facts_of(answer), version=version, tablespaces=["fast"])


def test_names_and_texts_are_quoted() -> None:
    assert name_of('a"b') == '"a""b"'
    assert text_of("it's") == "'it''s'"
    assert text_of("a\\'b") == " E'a\\\\''b'"
    assert text_of(None) == "NULL"
    assert connection_to("a' b\\") == "--dbname=dbname='a\\' b\\\\'"


@pytest.mark.parametrize(
    ("columns", "version", "statement"),
    [
        ({}, V14, "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
        ({}, V17, "LOCALE_PROVIDER \"libc\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
        (
            {"datlocprovider": "i", "daticulocale": "de"},
            V15,
            "LOCALE_PROVIDER \"icu\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' ICU_LOCALE 'de'",
        ),
        (
            {"datlocprovider": "i", "datlocale": "de", "daticurules": "&a < b"},
            V17,
            "LOCALE_PROVIDER \"icu\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' ICU_LOCALE 'de' ICU_RULES '&a < b'",
        ),
        (
            {"datlocprovider": "b", "datlocale": "C.UTF-8"},
            V17,
            "LOCALE_PROVIDER \"builtin\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' BUILTIN_LOCALE 'C.UTF-8'",
        ),
    ],
    ids=["before-providers", "libc", "icu", "icu-with-rules", "builtin"],
)
def test_each_version_is_told_the_locale_in_its_words(columns: dict[str, str], version: int, statement: str) -> None:
    assert (
        created(answer_of(**columns), version) == f'CREATE DATABASE "x" TEMPLATE template0 {statement} OWNER "shop";\n'
    )


def test_a_tablespace_is_only_named_where_it_is() -> None:
    assert ' TABLESPACE "fast" ' in created({**answer_of(), "tablespace": "fast"}, V15)
    assert "TABLESPACE" not in created({**answer_of(), "tablespace": "slow"}, V15)


def test_facts_that_are_lost_leave_the_choice_to_the_server() -> None:
    assert creation("x", {}, version=V15, tablespaces=[]) == 'CREATE DATABASE "x" TEMPLATE template0;\n'
    assert granting("x", {}) == ""
    assert setting_up("x", {}) == 'ALTER DATABASE "x" CONNECTION LIMIT -1;\n'
    assert roles_in({}) == set()


def test_lists_of_names_are_set_name_by_name_and_other_values_as_they_are() -> None:
    settings = [
        [None, 'search_path="$user", "a, ""b""", public'],
        [None, 'temp_tablespaces=""'],
        ["clerk", "DateStyle=ISO, DMY"],
    ]

    statements = setting_up("x", facts_of({**answer_of(), "settings": settings})).splitlines()[1:]

    assert statements == [
        "ALTER DATABASE \"x\" SET \"search_path\" TO '$user', 'a, \"b\"', 'public';",
        'ALTER DATABASE "x" SET "temp_tablespaces" TO \'\';',
        'ALTER ROLE "clerk" IN DATABASE "x" SET "DateStyle" TO \'ISO, DMY\';',
    ]


def test_privileges_are_granted_by_those_who_granted_them() -> None:
    privileges = [
        ["shop", None, "CONNECT", False],
        ["shop", "clerk", "CREATE", True],
        ["clerk", "guest", "CREATE", False],
    ]

    facts = facts_of({**answer_of(), "privileges": privileges})

    assert granting("x", facts).splitlines() == [
        'REVOKE ALL ON DATABASE "x" FROM PUBLIC;',
        'REVOKE ALL ON DATABASE "x" FROM "shop";',
        'GRANT CONNECT ON DATABASE "x" TO PUBLIC;',
        'GRANT CREATE ON DATABASE "x" TO "clerk" WITH GRANT OPTION;',
        'SET SESSION AUTHORIZATION "clerk";',
        'GRANT CREATE ON DATABASE "x" TO "guest";',
        "RESET SESSION AUTHORIZATION;",
    ]
    assert roles_in(facts) == {"shop", "clerk", "guest"}


def test_a_script_falls_into_statements() -> None:
    script = """--
-- it's a "comment"; really

\\restrict abc123

SET client_encoding = 'UTF8';
CREATE ROLE "semi;colon -- ""x"" y";
ALTER ROLE e WITH PASSWORD 'it''s; -- \\ not';
COMMENT ON ROLE e IS E'a\\'b;\\\\'; \\unrestrict abc123
"""

    assert list(statements_in(script)) == [
        "SET client_encoding = 'UTF8'",
        'CREATE ROLE "semi;colon -- ""x"" y"',
        "ALTER ROLE e WITH PASSWORD 'it''s; -- \\ not'",
        "COMMENT ON ROLE e IS E'a\\'b;\\\\'",
    ]


@pytest.mark.parametrize(
    "script", ["\\! id\n", "SELECT 1; \\! id\n", "SELECT 1 \\restrict x\n", "SELECT 'cut", 'SELECT "cut', "SELECT 1"]
)
def test_what_is_not_made_of_statements_is_refused(script: str) -> None:
    with pytest.raises(DatabaseError, match=r"nothing of it was run\.$"):
        list(statements_in(script))


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("CREATE ROLE old", False),
        ("CREATE ROLE new", True),
        ('CREATE ROLE "od ""d"', False),
        ("ALTER ROLE old WITH NOSUPERUSER LOGIN PASSWORD 'x'", False),
        ("ALTER ROLE new WITH NOSUPERUSER LOGIN PASSWORD 'x'", True),
        ("ALTER ROLE old SET search_path TO 'WITH'", True),
        ("GRANT old TO new GRANTED BY old", True),
        ("COMMENT ON ROLE old IS 'x'", True),
        ("CREATE TABLESPACE fast OWNER old LOCATION '/x'", False),
        ("CREATE TABLESPACE old OWNER old LOCATION '/x'", True),
        ("ALTER TABLESPACE fast SET (random_page_cost=1)", True),
        ("SET client_encoding = 'UTF8'", True),
    ],
)
def test_of_a_role_that_is_there_only_what_is_added_is_run(statement: str, *, wanted: bool) -> None:
    assert is_wanted(statement, roles=["old", 'od "d'], tablespaces=["fast"]) is wanted
