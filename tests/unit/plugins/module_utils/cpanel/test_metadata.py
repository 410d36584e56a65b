# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is learned of an account, from members that are whole, lacking, contradicting or hostile."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.metadata import (
    DomainFacts,
    account_of,
    databases_in,
    is_metadata,
)
from tests.cpanel import accounts

HOME = {b"homedir_paths": b"/home/bob\n"}
MAIN = b"""---
addon_domains:
  example.net: shop.example.com
main_domain: example.com
parked_domains:
  - example.org
sub_domains:
  - shop.example.com
  - my_blog.example.com
  - '*.example.com'
"""
USERDATA = {
    **HOME,
    b"userdata/main": MAIN,
    b"userdata/example.com": b"---\ndocumentroot: /home/bob/public_html\n",
    b"userdata/shop.example.com": b"---\ndocumentroot: /home/bob/public_html/shop\n",
    b"userdata/my_blog.example.com": b"---\ndocumentroot: /srv/blog\n",
}
CACHE = {
    "example.com": ["bob", "root", "main", "example.com", "/home/bob/public_html", "192.0.2.1:80"],
    "example.net": ["bob", "root", "addon", "example.com", "/home/bob/public_html/shop", "192.0.2.1:80"],
    "example.org": ["bob", "root", "parked", "example.com", "/home/bob/public_html", "192.0.2.1:80"],
    "shop.example.com": ["bob", "root", "sub", "example.com", "/home/bob/public_html/shop", "192.0.2.1:80"],
}
FLAT = {
    b"cp/bob": b"USER=bob\nDNS=example.com\n",
    b"addons": b"example.net=shop_example.com\n",
    b"sds": b"shop_example.com\nmy_blog_example.com\n",
    b"sds2": b"shop_example.com=public_html/shop\nmy_blog_example.com=blog\n",
    b"pds": b"example.org *\n",
}


def told(members: dict[bytes, bytes], names: tuple[bytes, ...] = ()) -> list[tuple[str, str]]:
    return [(note.path, note.problem) for note in account_of(members, names).notes]


@pytest.mark.parametrize("name", sorted(set(accounts.ACCOUNTS) - {"home_only"}))
def test_all_that_an_account_has_is_found(name: str) -> None:
    made = accounts.ACCOUNTS[name]()
    files = {member.name: member.content for member in made.members if member.kind == accounts.FILE}
    members = {name: content for name, content in files.items() if is_metadata(name) and isinstance(content, bytes)}

    account = account_of(members, [name for name in files if not name.startswith(b"homedir/")])

    assert account.user == made.user
    assert account.main_domain == made.who.domain
    assert {one.name: one.kind for one in made.domains} == {one.name: one.kind for one in account.domains.values()}
    assert account.mailboxes == {box.address for box in made.mailboxes if box.passwd}
    assert account.mail_domains >= set(made.mail_domains)
    assert set(account.ftp_logins) == {one.login for one in made.ftp_accounts}
    assert set(account.database_users) == {one.name for one in made.database_users}
    assert account.homes == (made.who.home,)
    assert all("all databases of the account" in note.problem for note in account.notes)


def test_domains_come_from_userdata_with_their_roots_below_the_home() -> None:
    account = account_of(USERDATA, ())

    assert account.domains == {
        "_wildcard_.example.com": DomainFacts("_wildcard_.example.com", "sub", "", "example.com"),
        "example.com": DomainFacts("example.com", "main", "public_html"),
        "example.net": DomainFacts("example.net", "addon", "public_html/shop", "example.com"),
        "example.org": DomainFacts("example.org", "parked", "public_html", "example.com"),
        "my_blog.example.com": DomainFacts("my_blog.example.com", "sub", "/srv/blog", "example.com"),
        "shop.example.com": DomainFacts("shop.example.com", "sub", "public_html/shop", "example.com"),
    }
    assert account.notes == ()


def test_the_cache_tells_the_same_where_there_is_no_userdata() -> None:
    account = account_of({**HOME, b"userdata/cache.json": json.dumps(CACHE).encode()}, ())

    assert account.main_domain == "example.com"
    wanted = account_of(USERDATA, ()).domains
    assert account.domains == {name: wanted[name] for name in CACHE}


def test_flat_files_tell_what_they_can_and_underscores_are_understood_by_what_is_known() -> None:
    domains = account_of(FLAT, ()).domains

    assert domains["my_blog.example.com"] == DomainFacts("my_blog.example.com", "sub", "blog", "example.com")
    assert domains["example.net"] == DomainFacts("example.net", "addon", "public_html/shop", "example.com")
    assert domains["example.org"].kind == "parked"
    others = {"example.com", "example.net", "example.org", "shop.example.com"}
    assert set(domains) == {"my_blog.example.com", *others}


def test_contradictions_are_told_and_userdata_counts() -> None:
    cache = {"example.net": ["bob", "root", "sub", "example.com", "/home/bob/elsewhere"]}
    members = {**USERDATA, b"userdata/cache.json": json.dumps(cache).encode(), **FLAT}

    account = account_of(members, ())

    assert account.domains["example.net"] == DomainFacts("example.net", "addon", "public_html/shop", "example.com")
    assert [note for note in told(members) if note[0] == "userdata/cache.json"] == [
        ("userdata/cache.json", "the kind of example.net is 'sub' there; 'addon' counts"),
        ("userdata/cache.json", "the document root of example.net is 'elsewhere' there; 'public_html/shop' counts"),
    ]


def test_domains_are_known_from_whatever_names_one() -> None:
    names = (b"dnszones/zone.example.db", b"va/va.example", b"vf/vf.example", b"userdata/ud.example_SSL", b"va/nodot")

    account = account_of({b"homedir/etc/mail.example/passwd": b""}, names)

    assert set(account.domains) == {"zone.example", "va.example", "vf.example", "ud.example", "mail.example"}
    assert account.mail_domains >= {"va.example", "vf.example", "ud.example", "mail.example"}


def test_the_user_is_who_stands_in_cp() -> None:
    assert account_of({b"cp/bob": b""}, ()).user == "bob"
    assert account_of({}, (b"cp", b"cp/bob")).user == "bob"
    assert account_of({}, ()).user == ""
    assert told({b"cp/bob": b"USER=eve\n"}) == [("cp/bob", "it says that the user is 'eve'")]


def test_of_several_users_the_one_that_is_itself_counts() -> None:
    members = {b"cp/alice": b"USER=bob\n", b"cp/bob": b"USER=bob\n", b"cp/..\x1b": b""}

    assert account_of(members, ()).user == "bob"
    assert ("cp", "2 users have settings there; bob is taken") in told(members)


def test_facts_are_told_and_no_secret_is_among_them() -> None:
    secrets = {
        b"shadow": b"$6$hash",
        b"mysql.sql": b"",
        b"cp/bob": b"IP=192.0.2.1\nPLAN=a \nAPI_KEY=hunter2\nSUSPENDED=1\n",
    }
    members = {
        **secrets,
        b"version": b"pkgacct version: 10\narchive version: 4\n",
        b"packaged_in_version": b"11.110.0.5\n",
        b"quota": b"1024",
        b"suspended/bob": b"Payment is due.\nmore",
    }

    facts = account_of(members, ()).facts

    assert facts == {
        "ip": "192.0.2.1",
        "plan": "a",
        "pkgacct_version": "10",
        "archive_version": "4",
        "cpanel_version": "11.110.0.5",
        "quota": "1024",
        "suspended": "Payment is due.",
    }


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"cp/bob",
            b"userdata/main",
            b"userdata/cache.json",
            b"userdata/example.com",
            b"addons",
            b"sds",
            b"sds2",
            b"pds",
        ),
        *(b"homedir_paths", b"meta/homedir_paths", b"version", b"packaged_in_version", b"mysql.sql", b"proftpdpasswd"),
        *(b"mysql.sql-auth.json", b"psql_users.sql", b"psql_grants.sql", b"psql/1psql_users.sql", b"quota", b"shell"),
        *(b"homedir/etc/example.com/passwd", b"homedir/etc/example.com/shadow", b"homedir/etc/example.com/quota"),
        *(b"mysql/bob_wp.create", b"suspended/bob", b"suspendinfo/bob"),
    ],
)
def test_what_tells_of_the_account_is_kept(name: bytes) -> None:
    assert is_metadata(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"mysql/bob_wp.sql",
            b"psql/bob.tar",
            b"homedir/public_html/mysql.sql",
            b"homedir/etc/example.com/info/passwd",
        ),
        *(b"shadow", b"cp", b"cp/a/b", b"va/example.com", b"userdata/example.com_SSL", b"x/cp/bob", b"cp/bob/", b""),
    ],
)
def test_what_tells_nothing_of_it_is_not(name: bytes) -> None:
    assert not is_metadata(name)


def test_databases_are_those_that_have_a_dump() -> None:
    names = (b"mysql/a.sql", b"mysql/a.create", b"mysql/b.sql.gz", b"psql/c.tar", b"mysql/d.txt", b"mysql/x/e.sql")

    assert databases_in(names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "members",
    [
        {b"userdata/main": b"main_domain: &a x\n"},
        {b"userdata/main": b"main_domain: ../../etc\n"},
        {b"userdata/main": b"main_domain: .hidden\n"},
        {b"userdata/main": b"main_domain: 'a\x1b[2J.com'\n"},
        {b"userdata/main": b"sub_domains:\n  - " + b"x" * 300 + b"\n"},
        {b"userdata/cache.json": b"[" * 10_000},
        {b"userdata/cache.json": b'{"a.b":' * 10_000},
        {b"userdata/cache.json": b'{"a.b": 1}'},
        {b"userdata/cache.json": b'{"\\ud800.com": []}'},
        {b"userdata/cache.json": b"[]"},
        {b"sds": b"a/b_example.com\n"},
        {b"pds": b"\xff\n"},
        {b"addons": b"=x\n"},
        {b"homedir_paths": b"relative\n/a/../b\n"},
        {b"cp/bob": b"no equals sign\n"},
        {b"cp/bob": b"DNS=a b\n"},
        {b"cp/bob": b"x" * 10_000_000},
        {b"userdata/a b.c": b""},
    ],
)
def test_what_cannot_be_is_told_and_the_rest_is_read(members: dict[bytes, bytes]) -> None:
    account = account_of({b"sds2": b"shop_example.com=shop\n", **members}, ())

    assert set(account.domains) <= {"shop.example.com", "a.b"}
    assert "shop.example.com" in account.domains
    assert account.notes
    assert all(path.isprintable() and problem.isprintable() for path, problem in account.notes)


def test_notes_have_an_end() -> None:
    notes = account_of({b"cp/bob": b"x\n" * 100_000}, ()).notes

    assert len(notes) < 250
    assert notes[-1].problem == "and 99,800 more were skipped or not understood"


MEMBERS = st.sampled_from(
    [
        *(
            b"cp/bob",
            b"userdata/main",
            b"userdata/cache.json",
            b"userdata/example.com",
            b"addons",
            b"sds",
            b"sds2",
            b"pds",
        ),
        *(
            b"homedir_paths",
            b"version",
            b"quota",
            b"suspended/bob",
            b"homedir/etc/example.com/passwd",
            b"proftpdpasswd",
        ),
    ]
)
CONTENT = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [b"example.com", b"=", b"_", b":", b" ", b"\n", b"- ", b"[", b"{", b'"', b"main_domain", b"\0", b"\xff"]
    )
).map(b"".join)


@given(st.dictionaries(MEMBERS | st.binary(max_size=20), CONTENT, max_size=6), st.lists(st.binary(max_size=20)))
def test_whatever_a_backup_says_there_is_an_account_that_can_be_written_down(
    members: dict[bytes, bytes], names: list[bytes]
) -> None:
    account = account_of(members, names)

    texts = [account.user, account.main_domain, *account.domains, *account.mailboxes, *account.mail_domains]
    texts += [
        *account.ftp_logins,
        *account.homes,
        *account.facts.values(),
        *(text for note in account.notes for text in note),
    ]
    assert all(text.isprintable() for text in texts)
    assert all("/" not in name and not name.startswith(".") for name in account.domains)
