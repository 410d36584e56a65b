# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that cPanel made, as the command lists, finds and restores them."""

from __future__ import annotations

import shlex
import typing as t

import pytest

from tests.cpanel.archives import TAR_GZ, write_file
from tests.cpanel.hosting import PLAIN
from tests.cpanel.test_indexing import SHAPES

if t.TYPE_CHECKING:
    from .hosts import Host

DESTINATION = "cPanel backups"


@pytest.fixture
def account(bare_host: Host) -> str:
    """The name of an account whose backup lies on the destination."""
    bare_host.declare(DESTINATION, engine="cpanel")
    account = SHAPES["everything"]()
    path = bare_host.server.root / "2026-11-22" / "accounts" / f"{account.user}.tar.gz"
    path.parent.mkdir(parents=True)
    write_file(account, path, TAR_GZ, PLAIN)
    return str(account.user)


@pytest.fixture
def customer(bare_host: Host, account: str) -> Host:
    """A host that has an index of that destination."""
    assert account
    bare_host.call("reindex", DESTINATION)
    return bare_host


def test_a_reindex_counts_accounts(bare_host: Host, account: str) -> None:
    said = bare_host.do("reindex", DESTINATION)

    assert account
    assert said.line == "cPanel backups: 1 restore point of 1 account: 1 new, 0 updated, 0 gone."


def test_a_list_shows_the_account_and_how_to_bring_it_back(customer: Host, account: str) -> None:
    lines = customer.do("list", "--destination", DESTINATION).out.splitlines()

    assert lines[1].split()[0] == f"2026-11-22/accounts/{account}"
    assert (
        lines[-1].strip().startswith(f"ftp-backup restore --destination '{DESTINATION}' --account {account} --point ")
    )
    overview = customer.do("list").out
    assert "2026-11-22T00:00:00Z" in overview
    assert "There are no jobs on this host." in overview


def test_a_part_of_an_account_is_found_and_comes_back_by_the_command_that_is_proposed(
    customer: Host, account: str
) -> None:
    lines = customer.do("find", "--part", "mailbox", "--account", account).out.splitlines()

    assert lines[0].startswith("mailbox:")
    words = shlex.split(lines[2])
    assert words[-1].startswith("mailbox:")
    words[words.index("restored")] = str(customer.target)
    said = customer.call(*words[1:])
    assert said.code in (0, 3), said
    assert any((customer.target / "mailbox").rglob("*"))


def test_a_file_of_an_account_is_found_by_its_path_below_the_home_directory(customer: Host, account: str) -> None:
    versions = customer.do("find", "public_html/**", "--json").document["versions"]

    assert versions
    assert {version["account"] for version in versions} == {account}
    assert all("--account" in version["restore"] for version in versions)


def test_a_job_is_not_looked_for_where_there_are_accounts(customer: Host) -> None:
    said = customer.call("find", "x", "--job", "web sites")

    assert (said.code, said.line) == (0, "Nothing was found.")
