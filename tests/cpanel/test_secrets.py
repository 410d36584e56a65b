# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No password of an account, in whatever form it is kept, reaches the host's index, a listing or a result."""

from __future__ import annotations

import gzip
import sqlite3
import typing as t

from tests.cpanel import accounts
from tests.cpanel.archives import TAR, TAR_GZ
from tests.cpanel.hosting import Customer, put

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.cpanel.accounts import Account

DAY = "2026-11-22/accounts"


def secrets_of(account: Account) -> set[bytes]:
    """Return the passwords of *account* and their hashes."""
    shadows = [line for box in account.mailboxes for line in (box.shadow,) if line]
    lines = [*shadows, *(login.line for login in account.ftp_accounts)]
    found = {line.split(b":")[1] for line in lines}
    found |= {user.secret.encode() for user in account.database_users}
    found |= {user.password.encode() for user in account.database_users}
    found |= {box.password.encode() for box in account.mailboxes}
    found |= {login.password.encode() for login in account.ftp_accounts}
    return {secret for secret in found if len(secret) > 5}


def texts_below(directory: Path) -> t.Iterator[tuple[Path, bytes]]:
    """Yield all files below *directory*, listings unpacked."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield path, gzip.decompress(content) if path.suffix == ".gz" else content


def test_no_secret_of_an_account_is_kept_on_the_host_or_told(customer: Customer, tmp_path: Path) -> None:
    account = accounts.everything()
    for day, form in enumerate((TAR, TAR_GZ), 1):
        put(customer, account, f"2026-11-0{day}/accounts", form)
    secrets = secrets_of(account)
    assert len(secrets) > 8

    told = [customer.reindex(), customer.restore(account.user, tmp_path / "target")]
    answers = [*customer.points(), customer.ask(parts=(), paths=("/**",), limit=1000)]

    for secret in secrets:
        for path, text in texts_below(customer.home / "var"):
            assert secret not in text, path
        assert secret.decode() not in repr(told) + repr(answers)
    with sqlite3.connect(customer.state.index) as index:
        assert index.execute("SELECT count(*) FROM parts WHERE kind = 'ftp_account'").fetchone() > (0,)


def test_what_holds_secrets_is_restored_for_its_owner_alone(customer: Customer, tmp_path: Path) -> None:
    account = accounts.everything()
    put(customer, account, DAY)
    customer.reindex()

    customer.restore(account.user, tmp_path / "target")

    held = [
        path
        for path, text in texts_below(tmp_path / "target")
        if any(secret in text for secret in secrets_of(account))
        and "files" not in path.relative_to(tmp_path).parts[1:2]
    ]
    assert held
    assert {oct(path.stat().st_mode & 0o777) for path in held} == {"0o600"}
