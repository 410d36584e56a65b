# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In what each thing differs that a restore changes."""

from __future__ import annotations

import os
import typing as t
from contextlib import closing

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry, fine_time_text
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.differences import Differences
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.owners import owner_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.target import Target

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MTIME = 1_700_000_000 * 10**9
AT = "2023-11-14T22:13:20Z"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A directory with a file, a link and a directory, all of the same time."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir(mode=0o755)
    for name in ("file", "link", "directory"):
        os.utime(tmp_path / name, ns=(MTIME, MTIME), follow_symlinks=False)
    return tmp_path


@pytest.fixture
def differences(there: Path) -> Iterator[Differences]:
    """What a restore into that directory changes."""
    with closing(Target(there, "mark", owner_of("keep"))) as target:
        yield Differences(target)


def entry(path: str, kind: str, **more: t.Any) -> Entry:  # noqa: ANN401 - any field of an entry
    values = {"mode": 0o600, "uid": os.geteuid(), "gid": os.getegid(), "mtime": MTIME, **more}
    return Entry(path.encode(), kind, user="", group="", **values)


@pytest.mark.parametrize(
    ("wanted", "before", "after"),
    [
        (entry("/file", "f", size=70_000), "size 7 B", "size 70,000 B"),
        (entry("/file", "f", size=7, mode=0o644), "mode 0600", "mode 0644"),
        (entry("/file", "f", size=7, mtime=MTIME + 5), f"mtime {AT}", "mtime 2023-11-14T22:13:20.000000005Z"),
        (entry("/file", "f", size=7), "content as it is there", "content as it was backed up"),
        (entry("/file", "d"), "file", "directory"),
        (entry("/file", "l", target=b"to"), "file", "symbolic link to to"),
        (entry("/link", "l", target=b"other"), "to file", "to other"),
        (entry("/directory", "d", mode=0o700), "mode 0755", "mode 0700"),
        (entry("/file", "h", size=9, target=b"/first"), "size 7 B", "size 9 B"),
    ],
)
def test_only_what_differs_is_told(
    there: Path, differences: Differences, wanted: Entry, before: str, after: str
) -> None:
    path = wanted.path.decode()

    differences.note(wanted, (there / path.lstrip("/")).lstat())

    assert differences.lines() == ((f"{path}  {before}",), (f"{path}  {after}",))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives anything away")
def test_another_owner_is_told_by_name_or_number(there: Path, differences: Differences) -> None:
    differences.note(entry("/file", "f", size=7, uid=54321, gid=0), (there / "file").lstat())

    assert differences.lines() == (("/file  owner root:root",), ("/file  owner 54321:root",))


def test_what_is_made_goes_or_is_loaded_stands_in_order_of_paths(differences: Differences) -> None:
    differences.note(entry("/b", "f", size=2048), None)
    differences.note(entry("/b.d", "h", target=b"/b"), None)
    differences.note(entry("/b/c", "p"), None)
    differences.note_removed(b"/a")
    differences.note_database(b"parts:/database/shop", "shop_old", 10, replaces=False)
    differences.note_database(b"parts:/database/crm", "crm", 10, replaces=True)
    differences.note(entry("/lost", "f"), None)
    differences.take_back(b"/lost")

    before, after = differences.lines()

    assert before == ("/a  extra: goes", "parts:/database/crm  what is in crm goes, if it is there")
    assert after == (
        "/b  file, 2.0 KiB",
        "/b/c  FIFO",
        "/b.d  another name of /b",
        "parts:/database/crm  loaded into crm from 10 B",
        "parts:/database/shop  loaded into shop_old from 10 B",
    )
    assert (differences.count, differences.left_out()) == (6, ())


def test_times_have_as_much_of_a_second_as_they_need() -> None:
    assert fine_time_text(MTIME) == AT
    assert fine_time_text(MTIME + 250_000_000) == "2023-11-14T22:13:20.25Z"
    assert fine_time_text(-1) == "1969-12-31T23:59:59.999999999Z"
