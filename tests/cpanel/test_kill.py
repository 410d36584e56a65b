# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is killed costs nothing: a reindex leaves the old index or the new one, and a restore files that are whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import restore_account as restoring
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import listing_name, open_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.reading import make_listing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    DamageError,
    LockedError,
    MissingError,
    RefusedError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.indexing import accounts as indexing
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import locked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry, Host
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from tests.cpanel import accounts
from tests.cpanel.archives import DIRECTORY_FORM, TAR, TAR_GZ
from tests.cpanel.expected import differences, expected_of
from tests.cpanel.hosting import NAME, Customer, Option, put
from tests.engine.child import Deeds, Strike

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.naming import Backup
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage

DAY = "2026-11-22/accounts"
_MOMENTS = 14


def run_child(home: Path, strike: Strike, target: Path | None = None, account: str = "") -> dict[str, t.Any] | None:
    """Run a reindex, or a restore to *target*, in a process of its own that does *strike* to itself.

    Return what it said, or None.
    """
    to = None if target is None else str(target)
    order = json.dumps({"home": str(home), "strike": strike._asdict(), "target": to, "account": account})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, __file__], input=order, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    return json.loads(ended.stdout) if ended.returncode == 0 else None


def test_a_reindex_that_is_killed_leaves_the_old_index_or_the_new_one(customer: Customer, tmp_path: Path) -> None:
    account = accounts.small()
    put(customer, account, "2026-11-20/accounts", TAR)
    changed = customer.top / put(customer, account, DAY, TAR)
    customer.reindex()
    before = list(customer.points())
    put(customer, account.without(b"homedir/public_html/index.php"), DAY, TAR)
    os.utime(changed, (1_700_000_000, 1_700_000_000))
    put(customer, account, "2026-11-23/accounts", DIRECTORY_FORM)
    shutil.copytree(customer.home, tmp_path / "whole")
    counted = run_child(tmp_path / "whole", Strike())
    assert counted is not None
    after = list(Customer(customer.server, tmp_path / "whole").points())
    step = max(1, counted["deeds"] // _MOMENTS)
    strikes = [Strike(at=moment) for moment in range(counted["deeds"], 0, -step)]

    for moment, strike in enumerate(strikes):
        home = tmp_path / f"killed at {moment}"
        shutil.copytree(customer.home, home)
        assert run_child(home, strike) is None, moment

        survivor = Customer(customer.server, home)
        assert list(survivor.points()) in (before, after), moment
        survivor.reindex()
        assert list(survivor.points()) == after, moment
        assert {path.name for path in survivor.state.listings.iterdir()} == {
            listing_name(point["id"]) for point in after
        }, moment
        assert not [path.name for path in survivor.state.directory.iterdir() if path.name.startswith("index.new")]


@pytest.mark.parametrize("form", [TAR, TAR_GZ])
def test_a_restore_that_is_killed_leaves_whole_files_and_the_next_one_goes_on(
    customer: Customer, tmp_path: Path, form: str
) -> None:
    account = accounts.everything()
    put(customer, account, DAY, form)
    customer.reindex()
    wanted = expected_of(account).tree
    counted = run_child(customer.home, Strike(), tmp_path / "whole", account.user)
    assert counted is not None
    assert differences(tmp_path / "whole", wanted) == []
    step = max(1, counted["deeds"] // _MOMENTS)

    for moment in range(counted["deeds"], 0, -step):
        target = tmp_path / f"killed at {moment}"
        assert run_child(customer.home, Strike(at=moment), target, account.user) is None, moment

        spoilt = [what for what in differences(target, wanted) if "is missing" not in what and "bytes is" in what]
        assert spoilt == [], moment
        customer.restore(account.user, target)
        assert differences(target, wanted) == [], moment


def test_only_one_reindex_runs_at_a_time(customer: Customer) -> None:
    put(customer, accounts.small(), DAY, TAR)

    with locked(customer.state.directory / "reindex.lock", "busy"), pytest.raises(LockedError, match="already being"):
        customer.reindex()


def test_a_restore_goes_on_with_the_listing_that_it_has_while_a_reindex_replaces_it(
    customer: Customer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = accounts.small()
    put(customer, account, DAY, TAR)
    customer.reindex()
    require = restoring._require_unchanged

    def overtaken(*arguments: Option) -> None:
        require(*arguments)
        for listing in customer.state.listings.iterdir():
            listing.with_name("other").write_bytes(b"another listing")
            listing.with_name("other").replace(listing)

    monkeypatch.setattr(restoring, "_require_unchanged", overtaken)
    customer.restore(account.user, tmp_path / "target")

    assert differences(tmp_path / "target", expected_of(account).tree) == []


def test_the_account_of_another_is_not_restored_from_a_listing_that_is_newer_than_the_index(
    customer: Customer, tmp_path: Path
) -> None:
    account = accounts.small()
    path = customer.top / put(customer, account, DAY, TAR)
    customer.reindex()
    index = customer.state.index.read_bytes()
    other = accounts.small(replace(account.who, user="other"))
    put(customer, other, "2026-11-23/accounts", TAR)
    (customer.top / "2026-11-23/accounts/other.tar").replace(path)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    customer.reindex()
    customer.state.index.write_bytes(index)

    with pytest.raises(DamageError, match="is of the account 'other': run reindex"):
        customer.restore(account.user, tmp_path / "target")

    assert not (tmp_path / "target").exists()


def test_a_file_that_vanishes_while_a_directory_is_read_leaves_it_in_the_index_as_it_was(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(customer, accounts.small(), DAY, DIRECTORY_FORM)
    customer.reindex()
    before = list(customer.points())
    (customer.top / path / "version").write_text("pkgacct version: 11\n")

    def vanished(*_arguments: Option) -> None:
        raise MissingError("Cannot download homedir/etc/harbour.example/passwd: there is no such file.")

    monkeypatch.setattr(indexing, "make_listing", vanished)
    result = customer.reindex()

    (sentence,) = result.values["unreadable"]
    assert "changed while it was read" in sentence
    assert list(customer.points()) == before


def test_a_backup_that_the_server_does_not_give_is_told_and_all_others_are_indexed(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = put(customer, accounts.small(), "2026-11-20/accounts", TAR)
    put(customer, accounts.small(), DAY, TAR)

    def refuse(storage: Storage, backup: Backup, *rest: Option) -> None:
        if backup.path == PurePosixPath(refused):
            raise RefusedError(f"Cannot download {refused}: permission denied.", code=550)
        make_listing(storage, backup, *rest)

    monkeypatch.setattr(indexing, "make_listing", refuse)
    result = customer.reindex()

    assert result.values["point_count"] == 1
    assert result.values["unreadable"] == [
        f"The backup {refused} cannot be read: Cannot download {refused}: permission denied."
    ]


def test_a_listing_whose_entries_are_damaged_is_told_and_a_rebuild_makes_it_anew(customer: Customer) -> None:
    put(customer, accounts.small(), DAY, TAR)
    customer.reindex()
    before = list(customer.points())
    (path,) = customer.state.listings.iterdir()
    content = bytearray(path.read_bytes())
    content[open_listing(path).trailer.blocks[1].offset + 100] ^= 1
    path.write_bytes(content)
    customer.state.index.unlink()

    (sentence,) = customer.reindex().values["unreadable"]

    assert sentence.endswith("Reindex with rebuild to have it made anew.")
    assert customer.reindex().values["unreadable"] == [sentence]
    assert customer.reindex(rebuild=True).values["unreadable"] == []
    assert list(customer.points()) == before


def restored(home: Path, target: Path, account: str, strike: Strike) -> dict[str, object]:
    """Restore *account*, and do *strike* right before the change of a file or a directory that it is for."""
    count = 0

    def see(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in ("os.rename", "os.mkdir", "os.chmod", "os.utime", "os.symlink"):
            count += 1
            if count == strike.at:
                os.kill(os.getpid(), strike.number)

    sys.addaudithook(see)
    wish = restoring.AccountWish(NAME, account, target)
    restoring.restore_account(
        FileRegistry(home / "etc"), Host(home / "etc", home / "var", name=lambda: "customer"), wish, check_mode=False
    )
    return {"deeds": count}


def main() -> None:
    order = json.load(sys.stdin)
    home = Path(order["home"])
    if order["target"] is not None:
        json.dump(restored(home, Path(order["target"]), order["account"], Strike(**order["strike"])), sys.stdout)
        return
    deeds = Deeds(Strike(**order["strike"]), str(home / "var"))
    sys.addaudithook(deeds._see)  # what it does to the host's files: it does nothing to the server
    said: dict[str, object]
    try:
        said = dict(reindex(FileRegistry(home / "etc"), home / "var", NAME, check_mode=False).values)
    except BackupError as error:
        said = {"msg": str(error)}
    json.dump({**said, "deeds": deeds.count}, sys.stdout)


if __name__ == "__main__":
    main()
