# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that cPanel made, as users meet them: by tasks of Ansible, first foretold, then done, then ok."""

from __future__ import annotations

import tarfile
import typing as t

import pytest

from tests.cpanel import accounts
from tests.cpanel.archives import TAR, TAR_GZ, write_file
from tests.cpanel.expected import differences, expected_of
from tests.unit.restores import MEASURED

from .refusals import refusal
from .snapshots import contents

if t.TYPE_CHECKING:
    from tests.cpanel.accounts import Account

    from .hosts import Host
    from .running import Task

DAY = "2026-11-22/accounts"
ACCOUNT = accounts.everything()


def restore(host: Host, **changes: object) -> Task:
    return host.restore(job=None, client=None, **{"account": ACCOUNT.user, **changes})


def secrets_of(account: Account) -> list[str]:
    """Return the passwords of *account* in plain text, and their hashes."""
    shadows = [box.shadow.split(b":")[1].decode() for box in account.mailboxes if box.shadow]
    logins = [login.line.split(b":")[1].decode() for login in account.ftp_accounts]
    users = [secret for user in account.database_users for secret in (user.password, user.secret)]
    return [secret for secret in (*shadows, *logins, *users) if len(secret) > 5]


@pytest.fixture
def stored(host: Host) -> Host:
    """Return a host whose server has two backups of an account, and whose destination is declared."""
    for day, form in (("2026-11-21", TAR_GZ), ("2026-11-22", TAR)):
        path = host.server.root / day / "accounts" / f"{ACCOUNT.user}.{form}"
        path.parent.mkdir(parents=True)
        write_file(ACCOUNT, path, form)
    host.do(host.destination(engine="cpanel"))
    return host


def test_an_account_is_found_and_restored_by_one_play_without_a_secret_in_its_output(stored: Host) -> None:
    results = stored.play(
        stored.destination(engine="cpanel"),
        stored.reindex(),
        stored.backup_info(account=ACCOUNT.user, point="latest", parts=[{"name": "**"}]),
        restore(stored),
        restore(stored),
        diff=True,
        verbosity=4,
    )

    assert [result.failed for result in results] == [False] * 5, results[-1].values
    assert [result.changed for result in results] == [False, True, False, True, False]
    assert differences(stored.target, expected_of(ACCOUNT).tree) == []
    for secret in (stored.server.password, *secrets_of(ACCOUNT)):
        assert secret not in results[-1].output


def test_each_deed_is_foretold_then_done_then_ok(stored: Host) -> None:
    for task in (stored.reindex(), restore(stored)):
        before = stored.seen()
        foretold = stored.do(task.in_check_mode())
        assert stored.seen() == before
        done, again = stored.do(task), stored.do(task)

        assert (foretold.changed, done.changed, again.changed) == (True, True, False)
        assert {**foretold.values, **MEASURED} == {**done.values, **MEASURED}
    assert {path for path in contents(stored.server.root) if "accounts" not in path.parts} == set()


def test_the_archive_that_cpanel_restores_comes_back_byte_for_byte(stored: Host) -> None:
    stored.do(stored.reindex())
    task = restore(stored, rebuild="cpmove", point="2026-11-21")

    foretold, done, again = stored.do(task.in_check_mode()), stored.do(task), stored.do(task)

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    archive = stored.target / f"cpmove-{ACCOUNT.user}.tar.gz"
    assert archive.read_bytes() == (stored.server.root / f"2026-11-21/accounts/{ACCOUNT.user}.tar.gz").read_bytes()
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as opened:
        assert f"cpmove-{ACCOUNT.user}/cp/{ACCOUNT.user}" in opened.getnames()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"account": "nobody"}, ("no account 'nobody'", ACCOUNT.user)),
        ({"parts": [{"kind": "mailbox", "name": "no@example.com"}]}, ("no part mailbox 'no@example.com'", "info@")),
        ({"point": "2020-01-01"}, ("no backup of the account", "until 2020-01-01", "the oldest is of 2026-11-21")),
        ({"point": "2020-01-01/accounts/x"}, ("no backup of the account", "2020-01-01/accounts/x")),
        ({"paths": ["/x"], "rebuild": "cpmove"}, ("archive of a whole account",)),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    stored: Host, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    stored.do(stored.reindex())

    refusal(stored, restore(stored, **changes), "usage", *words)


def test_backups_are_not_made_there(stored: Host) -> None:
    refusal(stored, stored.backup(), "usage", "engine: cpanel", "made by cPanel")
