# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cPanel's backups are found on each server, in all layouts at once, and their marks tell when they change."""

from __future__ import annotations

import os
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.tree import find_backups, marks_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import ReadOnlyStorage
from tests.transport.reach import MARK, line_to

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage
    from tests.servers.server import FtpServer

ARCHIVES = (
    "2021-02-20/accounts/Stefan.tar.gz",
    "2021-02-21/anna_b.tar",
    "weekly/2021-02-20/accounts/stefan.tar",
    "monthly/2021-02-01/cpmove-stefan.tar.gz",
    "cpbackup/daily/stefan.tar.gz",
    "backup-2.20.2021_13-22-32_stefan.tar.gz",
)
ACCOUNT = "2021-02-20/accounts/otto"
OTHERS = (
    ".meta/stefan.db",
    "2021-02-20/accounts/.master.meta",
    "2021-02-20/system/dirs/_etc.tar",
    "My files [1]/x.tar",
)


@pytest.fixture
def storage(each_server: FtpServer) -> Iterator[Storage]:
    account = [f"{ACCOUNT}/{name}" for name in ("cp/otto", "version", "homedir/.htaccess", "homedir/mail/cur/1:2,S")]
    for name in (*ARCHIVES, *OTHERS, *account):
        put(each_server.root / name, b"four")
    directory = str(each_server.directory.relative_to("/"))
    with line_to(each_server) as line:
        yield ReadOnlyStorage(line.pool, directory, MARK, pause=lambda _seconds: pytest.fail("it failed once"))


def put(path: Path, content: bytes) -> None:
    """Write a file that is as old as all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_613_800_000, 1_613_800_000))


def test_all_backups_are_found_and_nothing_else(storage: Storage) -> None:
    with ThreadPoolExecutor(4) as threads:
        findings = find_backups(storage, threads.map)

    assert [str(backup.path) for backup in findings.backups] == sorted((*ARCHIVES, ACCOUNT))
    assert {str(ignored.path) for ignored in findings.ignored} == {
        ".meta",
        "2021-02-20/accounts/.master.meta",
        "2021-02-20/system",
        "My files [1]",
    }


def test_only_what_changes_has_another_mark(storage: Storage, each_server: FtpServer) -> None:
    backups = find_backups(storage).backups
    before = marks_of(storage, backups)

    put(each_server.root / ARCHIVES[0], b"other")
    put(each_server.root / ACCOUNT / "cp" / "otto", b"other")
    (each_server.root / ARCHIVES[1]).unlink()
    changes = {
        str(backup.path): new for backup, old, new in zip(backups, before, marks_of(storage, backups)) if old != new
    }

    assert None not in before
    assert set(changes) == {ARCHIVES[0], ARCHIVES[1], ACCOUNT}
    assert changes[ARCHIVES[1]] is None
    assert before[[backup.path for backup in backups].index(PurePosixPath(ARCHIVES[2]))] == "4 20210220054640"
