# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files made of one account's lines: byte for byte its own, and no other's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.generated import Generated, generated_files
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.metadata import account_of

ETC = b"homedir/etc/example.com/"
INFO = b"info:x:1:1::/home/bob/mail/example.com/info:/home/bob\n"
SHADOW = b"info:$6$salt$hash:18500::::::\n"
LOCKED = b"sales:*LOCKED*$6$salt$other:18500::::::\n"
HASH = b"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
GRANT = b"GRANT USAGE ON *.* TO 'bob'@'localhost' IDENTIFIED BY PASSWORD '%s';\n" % HASH
ROLE = b"CREATE USER bob WITH PASSWORD 'md58bc7cbcb776c6724730b18f0f45f6b64';\n"


def contents(files: list[Generated]) -> dict[tuple[str, str, str], bytes]:
    return {(file.kind, file.name, file.rest): file.content for file in files}


def test_each_mailbox_gets_its_own_lines_as_they_are() -> None:
    members = {
        ETC + b"passwd": b"sales:x:1:1::/home/bob/mail/example.com/sales:/home/bob\r\n" + INFO,
        ETC + b"shadow": SHADOW + LOCKED,
        ETC + b"quota": b"info:1000",
    }

    files = generated_files(members, ())

    assert contents(files) == {
        ("mailbox", "info@example.com", "passwd"): INFO,
        ("mailbox", "info@example.com", "quota"): b"info:1000",
        ("mailbox", "info@example.com", "shadow"): SHADOW,
        ("mailbox", "sales@example.com", "passwd"): b"sales:x:1:1::/home/bob/mail/example.com/sales:/home/bob\r\n",
        ("mailbox", "sales@example.com", "shadow"): LOCKED,
    }
    assert [file.sources for file in files[:3]] == [(ETC + b"passwd",), (ETC + b"quota",), (ETC + b"shadow",)]


def test_a_mailbox_is_called_by_its_directory_and_made_again_of_its_sources() -> None:
    members = {
        ETC + b"passwd": b"login:x:1:1::/home/bob/mail/example.com/box:/home/bob\n" + INFO,
        ETC + b"shadow": b"login:$6$a$b:\nbox:$6$c$d:\n" + SHADOW,
    }

    files = generated_files(members, ())

    (shadow,) = [file for file in files if (file.name, file.rest) == ("box@example.com", "shadow")]
    assert shadow.content == b"login:$6$a$b:\n"
    again = generated_files({name: members[name] for name in shadow.sources}, ())
    assert shadow in again


def test_each_ftp_login_gets_its_own_line_and_those_for_logs_none() -> None:
    lines = [b"bob:h:1:1:bob:/home/bob:/bin/sh\n", b"up@example.com:h:1:1:bob:/home/bob/up:/bin/ftpsh\n"]

    files = generated_files({b"proftpdpasswd": b"".join(lines) + b"bob_logs:h:1:1:bob:/logs:/bin/ftpsh\n"}, ())

    assert contents(files) == {
        ("ftp_account", "bob", "proftpdpasswd"): lines[0],
        ("ftp_account", "up@example.com", "proftpdpasswd"): lines[1],
    }


def test_users_of_one_name_on_two_kinds_of_servers_get_a_file_each() -> None:
    files = generated_files({b"mysql.sql": GRANT, b"psql_users.sql": ROLE}, ())

    assert [(file.name, file.rest, file.sources) for file in files] == [
        ("bob", "bob.psql.sql", (b"psql_users.sql",)),
        ("bob", "bob.sql", (b"mysql.sql",)),
    ]


def test_nothing_secret_is_shown() -> None:
    members = {b"mysql.sql": GRANT, b"psql_users.sql": ROLE, ETC + b"shadow": SHADOW, b"proftpdpasswd": b"bob:$6$x\n"}

    files = generated_files(members, ())

    assert len(files) == 4
    assert not any(secret in repr(files) for secret in (HASH.decode(), "md58bc", "$6$"))


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b":x",
        b"../../etc/cron.d/x:y",
        b"a/b:x",
        b"..:x",
        b"a\\b:x",
        b"a\0b:x",
        b"\x1b[2J:x",
        b"\xff:x",
        b" info:x",
        b"i" * 250 + b":x",
        b"x" * 10_000_000,
        b"info:another",
        b"long:" + b"x" * 70_000,
    ],
)
def test_a_line_without_a_name_that_can_be_one_costs_itself(line: bytes) -> None:
    members = {ETC + b"shadow": SHADOW + line + b"\n" + LOCKED, b"cp/bob": b"USER=bob\n"}

    assert contents(generated_files(members, ())) == {
        ("mailbox", "info@example.com", "shadow"): SHADOW,
        ("mailbox", "sales@example.com", "shadow"): LOCKED,
    }
    (note,) = account_of(members, ()).notes
    assert note.path == "homedir/etc/example.com/shadow"
    assert note.problem.startswith("line 2 is left out: ")


@pytest.mark.parametrize("domain", [b"..", b".hidden", b"a\\b", b"\xff", b"x" * 256, b"a b", b"-x"])
def test_a_directory_that_is_called_as_no_domain_has_no_mailboxes(domain: bytes) -> None:
    members = {b"homedir/etc/" + domain + b"/passwd": INFO}

    assert generated_files(members, ()) == []
    assert account_of(members, ()).mailboxes == frozenset()
    assert len(account_of(members, ()).notes) == 1


def test_a_user_of_databases_whose_name_no_file_can_have_is_told() -> None:
    members = {b"mysql.sql": GRANT.replace(b"'bob'", b"'a/b'")}

    assert generated_files(members, ()) == []
    assert account_of(members, ()).database_users == ()
    assert "no file can have that name" in account_of(members, ()).notes[0].problem


LINES = st.lists(
    st.sampled_from([b"info", b"a_logs", b":", b"x", b"/", b"\n", b"\0", b"\xff", b"#", b"$6$"]), max_size=30
)


@given(LINES.map(b"".join), LINES.map(b"".join))
def test_each_file_is_one_line_of_the_member_and_its_name_has_one_component(passwd: bytes, shadow: bytes) -> None:
    members = {ETC + b"passwd": passwd, ETC + b"shadow": shadow, b"proftpdpasswd": shadow}

    for file in generated_files(members, ()):
        assert file.content in members[file.sources[0]].splitlines(keepends=True)
        assert "/" not in file.name
        assert file.name.isprintable()
