# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below some paths, in the order of a manifest."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils import scan as subject
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import order_key
from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import is_below, is_racy, roots_of, scan

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry

component = st.binary(min_size=1, max_size=4).filter(lambda name: not {0, 47} & set(name))
paths = st.lists(component, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts))


def entries_below(*roots: Path) -> dict[bytes, Entry]:
    problems: list[bytes] = []
    found = [
        found.entry for found in scan([os.fsencode(root) for root in roots], lambda path, _why: problems.append(path))
    ]
    assert problems == []
    assert [order_key(entry.path) for entry in found] == sorted(order_key(entry.path) for entry in found)
    return {entry.path: entry for entry in found}


@given(st.lists(paths, max_size=8, unique=True))
def test_the_order_is_that_of_the_components_as_bytes(found: list[bytes]) -> None:
    assert sorted(found, key=order_key) == sorted(found, key=lambda path: path.split(b"/"))


def test_a_directory_comes_right_before_all_that_is_in_it(tmp_path: Path) -> None:
    for name in ("a", "a-b", "a.b", "a/b", "a/b/c", "ab", "a/z", "A"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / os.fsdecode(b"a\xff")).touch()

    found = [os.path.relpath(path, os.fsencode(tmp_path)) for path in entries_below(tmp_path)]

    assert found == [b".", b"A", b"a", b"a/b", b"a/b/c", b"a/z", b"a-b", b"a.b", b"ab", b"a\xff"]


def test_every_kind_of_thing_is_told_with_all_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(0o4751)
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(os.fsdecode(b"to \xff"))
    os.mkfifo(tmp_path / "fifo", 0o640)
    os.link(tmp_path / "file", tmp_path / "other name")
    os.utime(tmp_path / "file", ns=(0, 1_700_000_000_123_456_789))

    found = {os.path.basename(path): entry for path, entry in entries_below(tmp_path).items()}  # noqa: PTH119 - bytes

    assert {name: entry.kind for name, entry in found.items() if name != os.fsencode(tmp_path.name)} == {
        b"file": "f",
        b"directory": "d",
        b"link": "l",
        b"fifo": "p",
        b"other name": "f",
    }
    file = found[b"file"]
    assert (file.mode, file.size, file.mtime) == (0o4751, 7, 1_700_000_000_123_456_789)
    assert (file.uid, file.gid) == (os.geteuid(), (tmp_path / "file").stat().st_gid)
    assert file.inode == found[b"other name"].inode
    assert found[b"link"].target == b"to \xff"
    assert found[b"fifo"].mode == 0o640


def test_devices_are_told_with_their_numbers(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("Only root can make devices, and the tests run as an ordinary user.")

    device = entries_below(tmp_path)[os.fsencode(tmp_path / "null")]

    assert (device.kind, device.device) == ("c", (1, 3))


def test_sockets_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is limited to some 100 characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")

        assert list(entries_below(tmp_path)) == [os.fsencode(tmp_path)]


def test_attributes_are_told_where_the_file_system_has_them(tmp_path: Path) -> None:
    try:
        os.setxattr(tmp_path, "user.comment", b"\0\xff")
    except OSError:
        pytest.skip("This file system has no extended attributes.")

    assert entries_below(tmp_path)[os.fsencode(tmp_path)].xattrs == (("user.comment", b"\0\xff"),)


def test_a_tree_may_be_deeper_than_python_recurses(tmp_path: Path) -> None:
    depth = 1500
    place = os.open(tmp_path, os.O_RDONLY)
    for _level in range(depth):
        os.mkdir("d", dir_fd=place)
        inside = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inside
    os.close(place)

    found = list(scan([os.fsencode(tmp_path)], lambda _path, _why: None))

    assert len(found) == depth + 1
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # too deep for Python's own


# roots


def test_paths_below_others_are_merged_and_all_come_in_order(tmp_path: Path) -> None:
    for name in ("srv/www/site", "srv-old", "etc"):
        (tmp_path / name).mkdir(parents=True)
    given_paths = ["srv/www", "srv-old", "srv", "srv/", "srv/www/site", "etc", "./etc/../srv"]

    roots = roots_of(f"{tmp_path}/{path}" for path in given_paths)

    assert roots == [os.fsencode(tmp_path / name) for name in ("etc", "srv", "srv-old")]
    entries_below(*(Path(os.fsdecode(root)) for root in roots))


def test_a_path_that_begins_with_two_slashes_is_the_same_path(tmp_path: Path) -> None:
    assert roots_of([f"/{tmp_path}", str(tmp_path)]) == [os.fsencode(tmp_path)]


@pytest.mark.parametrize("path", ["relative", "", ".", "~/x", "/surely/not/there"])
def test_a_path_that_is_relative_or_missing_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be backed up"):
        roots_of([path])


def test_a_path_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")

    with pytest.raises(UsageError, match="symbolic link to /etc"):
        roots_of([str(tmp_path / "link")])


def test_below_is_by_components() -> None:
    assert is_below(b"/srv", b"/srv")
    assert is_below(b"/srv/a", b"/srv")
    assert is_below(b"/srv", b"/")
    assert not is_below(b"/srv-old", b"/srv")
    assert not is_below(b"/srv", b"/srv/a")


# what cannot be read, and clocks


def test_what_vanishes_is_told_and_the_scan_goes_on(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    problems: list[bytes] = []
    found = []
    for item in scan([os.fsencode(tmp_path)], lambda path, _why: problems.append(path)):
        found.append(item.entry.path)
        if item.entry.path.endswith(b"/a"):
            (tmp_path / "b").rmdir()

    assert os.fsencode(tmp_path / "c") in found
    assert problems == [os.fsencode(tmp_path / "b")]


def test_a_file_is_racy_as_long_as_its_times_could_hide_a_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status = (tmp_path / "file").stat()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)

    assert is_racy(status, changed)
    assert is_racy(status, changed + 10**6)
    assert not is_racy(status, changed + 3 * 10**9)


def test_only_regular_files_are_racy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")

    racy = {path for path, entry in entries_below(tmp_path).items() if entry.is_racy}

    assert racy <= {os.fsencode(tmp_path / "file")}
    assert subject.is_racy((tmp_path / "file").stat(), 0)
