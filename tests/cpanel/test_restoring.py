# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An account comes back byte for byte, whole and part by part, from each form that cPanel leaves it in."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.reading import make_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    DamageError,
    MissingError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.indexing import accounts as indexing
from tests.cpanel import accounts
from tests.cpanel.accounts import DIRECTORY, FILE, HARD_LINK, digest_of
from tests.cpanel.archives import DIRECTORY_FORM, TAR, TAR_GZ, shape_for
from tests.cpanel.archives import SHAPES as ARCHIVES
from tests.cpanel.expected import differences, expected_of
from tests.cpanel.hosting import Customer, Option, as_served, put
from tests.cpanel.test_indexing import SHAPES
from tests.servers.faults import Answer, Fault

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.servers.server import FtpServer

DAY = "2026-11-22/accounts"


@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY_FORM])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_account_comes_back_byte_for_byte(customer: Customer, tmp_path: Path, shape: str, form: str) -> None:
    account = as_served(SHAPES[shape](), form)
    put(customer, account, DAY, form)
    customer.reindex()

    result = customer.restore(account.user, tmp_path / "target")

    assert differences(tmp_path / "target", expected_of(account).tree) == []
    assert result.changed
    assert not customer.restore(account.user, tmp_path / "target").changed


@pytest.mark.parametrize(
    ("shape", "form"), [*((shape, TAR) for shape in SHAPES), ("everything", TAR_GZ), ("everything", DIRECTORY_FORM)]
)
def test_each_part_comes_back_alone(customer: Customer, tmp_path: Path, shape: str, form: str) -> None:
    account = as_served(SHAPES[shape](), form)
    put(customer, account, DAY, form)
    customer.reindex()

    for number, (part, tree) in enumerate(expected_of(account).parts.items()):
        target = tmp_path / f"target-{number}"
        customer.restore(account.user, target, parts=[part])
        assert differences(target, tree) == [], part


@pytest.mark.parametrize("form", [TAR, TAR_GZ])
def test_a_home_directory_alone_is_one_part(customer: Customer, tmp_path: Path, form: str) -> None:
    account = accounts.home_only()
    put(customer, account, DAY, form)
    customer.reindex()

    customer.restore(account.user, tmp_path / "target")

    (point,) = customer.points(account=account.user)
    assert [(part["kind"], part["name"]) for part in point["parts"]] == [("files", "/")]
    assert differences(tmp_path / "target", expected_of(account).tree) == []


@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY_FORM])
def test_check_mode_tells_the_same_and_touches_nothing(customer: Customer, tmp_path: Path, form: str) -> None:
    account = as_served(accounts.everything(), form)
    put(customer, account, DAY, form)
    customer.reindex()

    foretold = customer.restore(account.user, tmp_path / "target", check_mode=True)

    assert not (tmp_path / "target").exists()
    done = customer.restore(account.user, tmp_path / "target")
    assert (foretold.values["restored"], foretold.values["bytes"]) == (done.values["restored"], done.values["bytes"])


def test_paths_are_relative_to_the_home_directory(customer: Customer, tmp_path: Path) -> None:
    account = accounts.everything()
    put(customer, account, DAY, TAR)
    customer.reindex()

    customer.restore(account.user, tmp_path / "target", paths=("public_html/index.php",))

    found = [path.relative_to(tmp_path / "target") for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert [str(path) for path in found] == ["files/public_html/index.php"]


@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY_FORM])
def test_a_backup_that_vanished_since_is_told_in_one_sentence(customer: Customer, tmp_path: Path, form: str) -> None:
    account = accounts.small()
    put(customer, account, DAY, form)
    customer.reindex()
    shutil.rmtree(customer.top / DAY)

    with pytest.raises(
        MissingError, match=r"is gone from the destination since it was indexed.*Run reindex"
    ) as refusal:
        customer.restore(account.user, tmp_path / "target")

    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "target").exists()


def test_a_backup_that_is_another_one_by_now_is_not_restored(customer: Customer, tmp_path: Path) -> None:
    account = accounts.small()
    put(customer, account, DAY, TAR)
    customer.reindex()
    (customer.top / DAY / f"{account.user}.tar").write_bytes(b"another one")

    with pytest.raises(DamageError, match="another one than it was when it was indexed: run reindex"):
        customer.restore(account.user, tmp_path / "target")


def test_a_part_that_is_not_there_is_told_with_those_that_are(customer: Customer, tmp_path: Path) -> None:
    account = accounts.everything()
    put(customer, account, DAY, TAR)
    customer.reindex()

    with pytest.raises(UsageError, match=r"has no part database 'nothing'; of that kind there are .*wp") as refusal:
        customer.restore(account.user, tmp_path / "target", parts=[("database", "nothing")])

    assert not (tmp_path / "target").exists()
    assert "\n" not in str(refusal.value)


def test_an_account_that_is_not_known_is_told_with_those_that_are(customer: Customer, tmp_path: Path) -> None:
    put(customer, accounts.small(), DAY)
    customer.reindex()

    with pytest.raises(UsageError, match=f"has no account 'nobody'; it has '{accounts.small().user}'"):
        customer.restore("nobody", tmp_path / "target")


def test_without_an_index_reindex_is_asked_for(customer: Customer, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="run reindex first"):
        customer.restore("anybody", tmp_path / "target")


def test_the_newest_backup_that_is_not_after_a_date_is_meant(customer: Customer, tmp_path: Path) -> None:
    account = accounts.small()
    for day in (1, 8, 15):
        put(customer, account, f"2026-11-{day:02d}/accounts", TAR)
    put(customer, account, ".", TAR)  # without a date: older than all that have one
    customer.reindex()

    meant = {
        point: customer.restore(account.user, tmp_path / point, point=point, check_mode=True).values["point"]["created"]
        for point in ("latest", "2026-11-14", "2026-11-01")
    }

    assert meant == {
        "latest": "2026-11-15T00:00:00Z",
        "2026-11-14": "2026-11-08T00:00:00Z",
        "2026-11-01": "2026-11-01T00:00:00Z",
    }


@pytest.mark.parametrize("form", [TAR, TAR_GZ])
@pytest.mark.parametrize("shape", ARCHIVES)
def test_any_shape_of_archive_gives_the_same(customer: Customer, tmp_path: Path, shape: str, form: str) -> None:
    account = as_served(accounts.everything(), form)
    put(customer, account, DAY, form, shape_for(shape, account))
    customer.reindex()

    customer.restore(account.user, tmp_path / "target")

    assert differences(tmp_path / "target", expected_of(account).tree) == []


def test_an_archive_for_cpanel_is_made_of_a_directory(customer: Customer, tmp_path: Path) -> None:
    account = as_served(accounts.everything(), DIRECTORY_FORM)
    put(customer, account, DAY, DIRECTORY_FORM)
    customer.reindex()

    customer.restore(account.user, tmp_path / "target", rebuild="cpmove")

    with tarfile.open(tmp_path / "target" / f"cpmove-{account.user}.tar") as archive:
        found = {os.fsencode(member.name): member for member in archive}
        for member in account.members:
            made = found[f"cpmove-{account.user}/".encode() + member.name]
            assert (made.isfile(), made.isdir()) == (member.kind in (FILE, HARD_LINK), member.kind == DIRECTORY)
            if member.kind == FILE:
                content = archive.extractfile(made)
                assert content is not None
                assert hashlib.sha256(content.read()).hexdigest() == digest_of(member.content), member.name


@pytest.mark.parametrize("lacking", [b"cp/", b"userdata/main", b"version"])
def test_an_archive_that_cpanel_could_not_restore_is_not_left_behind(
    customer: Customer, tmp_path: Path, lacking: bytes
) -> None:
    account = accounts.small().without(lacking)
    put(customer, account, DAY, TAR_GZ)
    customer.reindex()

    with pytest.raises(DamageError, match=f"lacks {lacking.decode().rstrip('/')}, without which cPanel's restore"):
        customer.restore(account.user, tmp_path / "target", rebuild="cpmove")

    assert list((tmp_path / "target").iterdir()) == []


def test_what_was_cut_is_left_out_unless_it_is_asked_for_by_name(customer: Customer, tmp_path: Path) -> None:
    account = accounts.everything(large_size=3_000_000)
    path = customer.top / put(customer, account, DAY, TAR)
    with tarfile.open(path) as archive:
        large = archive.getmember(f"cpmove-{account.user}/homedir/public_html/large.bin")
    with path.open("rb+") as file:
        file.truncate(large.offset_data + 1_000_000)
    customer.reindex()
    (point,) = customer.points(account=account.user)
    assert point["damaged"]

    result = customer.restore(account.user, tmp_path / "whole")

    assert not (tmp_path / "whole" / "files").exists()
    assert (tmp_path / "whole" / "mailbox").is_dir()
    assert any("were cut and left out, the first is files//" in warning for warning in result.warnings)
    customer.restore(account.user, tmp_path / "named", parts=[("files", "/")])
    assert (tmp_path / "named" / "files" / "public_html" / "index.php").is_file()
    assert not (tmp_path / "named" / "files" / "public_html" / "large.bin").exists()


def test_the_latest_is_the_latest_that_is_not_damaged(customer: Customer, tmp_path: Path) -> None:
    account = accounts.small()
    put(customer, account, "2026-11-21/accounts", TAR_GZ)
    path = customer.top / put(customer, account, DAY, TAR_GZ)
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)
    customer.reindex()

    result = customer.restore(account.user, tmp_path / "target")

    assert result.values["point"]["id"] == f"2026-11-21/accounts/{account.user}"
    assert result.warnings[0] == f"A newer backup was passed over, since it is damaged: {DAY}/{account.user}."
    older = customer.restore(account.user, tmp_path / "older", point="2026-11-21", check_mode=True)
    assert not any("passed over" in warning for warning in older.warnings)
    assert differences(tmp_path / "target", expected_of(account).tree) == []


def test_a_backup_that_grows_while_it_is_read_stays_as_it_was(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = accounts.small()
    path = customer.top / put(customer, account, DAY, TAR)
    customer.reindex()
    (before,) = customer.points(account=account.user)
    os.utime(path, (1_700_000_000, 1_700_000_000))

    def while_it_is_written(*arguments: Option) -> None:
        make_listing(*arguments)
        with path.open("ab") as file:
            file.write(bytes(10240))

    monkeypatch.setattr(f"{indexing.__name__}.make_listing", while_it_is_written)
    result = customer.reindex()

    (after,) = customer.points(account=account.user)
    assert after == before
    (sentence,) = result.values["unreadable"]
    assert "changed while it was read: it is being written" in sentence
    monkeypatch.undo()
    assert customer.reindex().values["unreadable"] == []


@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY_FORM])
def test_an_account_comes_back_from_each_server(each_server: FtpServer, tmp_path: Path, form: str) -> None:
    account = accounts.small()
    (tmp_path / "host").mkdir()
    customer = Customer(each_server, tmp_path / "host")
    put(customer, account, DAY, form)
    customer.declare()
    customer.reindex()

    customer.restore(account.user, tmp_path / "target")

    found = differences(tmp_path / "target", expected_of(account).tree)
    if form == DIRECTORY_FORM:  # not each server tells modes, links and times to the second
        found = [what for what in found if "its mode is" not in what and "its time is" not in what]
        found = [what for what in found if b"www" not in what.encode()]
    assert found == []


def test_a_part_is_had_from_a_server_that_begins_no_file_in_the_middle(serve: Serve, tmp_path: Path) -> None:
    server = serve(Fault("REST", Answer("502 REST is not known"), times=0))
    account = accounts.everything()
    (tmp_path / "host").mkdir()
    customer = Customer(server.facts, tmp_path / "host")
    put(customer, account, DAY, TAR)
    customer.declare()
    customer.reindex()
    part = ("mailbox", f"info@{account.who.domain}")

    customer.restore(account.user, tmp_path / "target", parts=[part])

    assert differences(tmp_path / "target", expected_of(account).parts[part]) == []
    assert any(heard.verb == "REST" for heard in server.heard)


@pytest.mark.parametrize("form", [TAR, TAR_GZ, DIRECTORY_FORM])
def test_one_connection_is_enough(customer: Customer, tmp_path: Path, form: str) -> None:
    account = as_served(accounts.everything(), form)
    for day in ("2026-11-20/accounts", "2026-11-21/accounts", DAY):
        put(customer, account, day, form)
    customer.declare(max_connections=1)
    customer.reindex()

    customer.restore(account.user, tmp_path / "target")

    assert differences(tmp_path / "target", expected_of(account).tree) == []


def test_an_archive_made_of_a_directory_is_not_made_again(customer: Customer, tmp_path: Path) -> None:
    account = as_served(accounts.small(), DIRECTORY_FORM)
    put(customer, account, DAY, DIRECTORY_FORM)
    customer.reindex()
    first = customer.restore(account.user, tmp_path / "target", rebuild="cpmove")

    again = customer.restore(account.user, tmp_path / "target", rebuild="cpmove")

    assert (first.changed, again.changed) == (True, False)
