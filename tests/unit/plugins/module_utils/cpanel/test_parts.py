# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a backup stand where they belong, whatever they are called, and there are never too many parts."""

from __future__ import annotations

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel import parts
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.metadata import account_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.parts import Sorter

USER = "harbour"
OTHERS = ("files", "parts:/files")
HOME = ("files", "/")


def sorter_of(*names: str, certificates: tuple[str, ...] = (), read: tuple[str, ...] = ()) -> Sorter:
    """Return what sorts the members of a backup that has *names*, of which *read* are known."""
    known = {name.encode() for name in names}
    account = account_of({}, known)
    contents = {name.encode() for name in read}
    return Sorter(account, USER, certificates, known.__contains__, contents.__contains__, is_home_alone=False)


def parts_of(sorter: Sorter, name: str, *, is_directory: bool = False) -> list[tuple[str, str]]:
    return [(seat.kind, seat.name) for seat in sorter.seats(name.encode(), is_directory=is_directory)]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("dnszones/...db", OTHERS),
        ("dnszones/.db", OTHERS),
        ("mysql/...sql", OTHERS),
        ("mysql/.sql", OTHERS),
        ("psql/...tar", OTHERS),
        ("homedir/.autorespond/info@..", HOME),
        ("homedir/.autorespond/info@..json", HOME),
        ("homedir/.autorespond/info@.json", HOME),
        (f"va/{'a' * 251}", OTHERS),
        (f"homedir/mail/harbour.example/{'a' * 240}/cur/1", HOME),
        ("homedir/mail/harbour.example/a\nb/cur/1", HOME),
    ],
)
def test_what_no_directory_can_be_called_by_gives_no_part(name: str, part: tuple[str, str]) -> None:
    sorter = sorter_of("va/harbour.example")

    seats = sorter.seats(name.encode(), is_directory=False)

    assert [(seat.kind, seat.name) for seat in seats] == [part]
    assert not {b"..", b".", b""} & set(seats[0].path.split(b"/")[1:])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("homedir", b"parts:/files/homedir"),
        ("homedir/mail", b"/mail"),
        ("homedir/mail/harbour.example", b"parts:/mailbox/harbour/Maildir/harbour.example"),
    ],
)
def test_a_link_in_the_place_of_a_directory_is_not_lost(name: str, path: bytes) -> None:
    sorter = sorter_of("va/harbour.example")

    (seat,) = sorter.seats(name.encode(), is_directory=False)

    assert seat.path == path


@pytest.mark.parametrize("name", ["mysql.sql", "proftpdpasswd", "homedir/etc/harbour.example/shadow"])
def test_what_was_not_looked_into_is_a_file_that_only_its_owner_reads(name: str) -> None:
    assert sorter_of(read=(name,)).seats(name.encode(), is_directory=False) == []

    (seat,) = sorter_of().seats(name.encode(), is_directory=False)

    assert seat.mode == 0o600
    assert (seat.kind, seat.name) in (OTHERS, HOME)


def test_domains_are_told_from_longer_and_shorter_ones() -> None:
    sorter = sorter_of("userdata/harbour.example", "userdata/shop.harbour.example")

    assert parts_of(sorter, "userdata/shop.harbour.example_SSL") == [("domain", "shop.harbour.example")]
    assert parts_of(sorter, "userdata/harbour.example.php-fpm.yaml") == [("domain", "harbour.example")]
    assert parts_of(sorter, "mm/news_all_shop.harbour.example") == [("mailing_list", "news_all@shop.harbour.example")]


def test_what_many_parts_share_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_MOST_SHARED", 7)
    sorter = sorter_of(certificates=("a.example", "b.example", "c.example"))

    seats = [seat for number in range(5) for seat in sorter.seats(b"ssl/%d.key" % number, is_directory=False)]

    assert [seat.kind for seat in seats] == ["certificate"] * 6 + ["files"] * 3
    assert {seat.mode for seat in seats} == {0o600}
    assert sorter.is_full


def test_there_are_never_more_parts_than_a_listing_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_ROOM_FOR_PARTS", 300)
    sorter = sorter_of("va/harbour.example")

    found = [
        part for number in range(9) for part in parts_of(sorter, f"homedir/mail/harbour.example/box{number}/cur/1")
    ]

    assert len(set(found)) == 4
    assert found[3:] == [HOME] * 6
    assert sorter.is_full


@pytest.mark.parametrize(
    ("directory", "lacking"),
    [
        ("homedir/mail/harbour.example", {"a@harbour.example", "/"}),
        ("homedir/mail", {"a@harbour.example", "b@other.example", "/"}),
        ("homedir/mail/other.example/b/cur", {"b@other.example", "/"}),
        ("mysql", {"harbour_shop"}),
    ],
)
def test_a_directory_that_could_not_be_listed_leaves_parts_incomplete(directory: str, lacking: set[str]) -> None:
    sorter = sorter_of("va/harbour.example", "va/other.example")
    for name in ("mail/harbour.example/a/cur/1", "mail/other.example/b/cur/1"):
        sorter.seats(b"homedir/" + name.encode(), is_directory=False)
    sorter.seats(b"mysql/harbour_shop.sql", is_directory=False)

    found = sorter.incomplete(directory.encode(), is_directory=True)

    assert {name for _kind, name in found} == lacking
