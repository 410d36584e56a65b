# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below some paths, in the order of a manifest."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
import time
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import order_key
from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import UNKNOWN, is_below, is_racy, roots_of, scan

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry

component = st.binary(min_size=1, max_size=4).filter(lambda name: not {0, 47} & set(name))
paths = st.lists(component, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts))


NOBODY = 65534


@pytest.fixture
def closed() -> Iterator[Path]:
    """Give a directory of an ordinary user, who may go into it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own are closed to others
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Give the rights of root up for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


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


@pytest.mark.parametrize("path", ["relative", "", ".", "~/x", "/surely/not/there", "/a\0b"])
def test_a_path_that_is_relative_or_missing_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be backed up"):
        roots_of([path])


def test_a_path_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")

    with pytest.raises(UsageError, match="symbolic link to /etc"):
        roots_of([str(tmp_path / "link")])


def test_a_path_whose_name_is_too_long_is_told_in_one_sentence() -> None:
    path = "/" + "a" * 300

    with pytest.raises(LocalError, match=f"^The path {path} cannot be backed up: File name too long\\.$"):
        roots_of([path])


def test_a_path_that_this_user_may_not_look_at_is_told_in_one_sentence(closed: Path) -> None:
    (closed / "inner").mkdir(mode=0)
    path = f"{closed}/inner/x"

    with ordinary_user(), pytest.raises(LocalError, match=f"^The path {path} cannot be backed up: Permission denied"):
        roots_of([path])


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


def test_a_directory_that_cannot_be_looked_into_is_told_once_and_found_closed(closed: Path) -> None:
    for name in ("a", "b", "c"):
        (closed / name).mkdir()
        (closed / name / "file").touch()
    (closed / "b").chmod(0)
    problems: list[tuple[bytes, str]] = []

    with ordinary_user():
        found = list(scan([os.fsencode(closed)], lambda *problem: problems.append(problem)))

    names = [(os.path.relpath(item.entry.path, os.fsencode(closed)), item.is_closed) for item in found]
    assert names == [(b".", False), *((name, name == b"b") for name in (b"a", b"a/file", b"b", b"c", b"c/file"))]
    assert problems == [(os.fsencode(closed / "b"), "Permission denied")]


def test_what_is_listed_and_cannot_be_looked_at_is_found_closed_and_of_unknown_kind(closed: Path) -> None:
    (closed / "inner").mkdir()
    (closed / "inner/file").touch()
    (closed / "inner").chmod(0o444)
    problems: list[bytes] = []

    with ordinary_user():
        found = list(scan([os.fsencode(closed)], lambda path, _why: problems.append(path)))

    assert [item.entry.kind for item in found] == ["d", "d", UNKNOWN]
    assert (found[-1].entry.path, found[-1].is_closed) == (os.fsencode(closed / "inner/file"), True)
    assert problems == [os.fsencode(closed / "inner/file")]


@pytest.mark.parametrize("name", ["a", "a/b"])
def test_a_link_that_takes_the_place_of_a_directory_during_the_scan_is_not_followed(tmp_path: Path, name: str) -> None:
    """The one that is swapped, *name*, was seen as a directory; *a/b* is reached through it or is it."""
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "others/b").mkdir(parents=True)
    for directory in ("others", "others/b"):
        (tmp_path / directory / "secret").touch()
    top = tmp_path / "top"
    last_seen = os.fsencode((top / name).parent)
    problems: list[bytes] = []
    found = []

    for item in scan([os.fsencode(top)], lambda path, _why: problems.append(path)):
        found.append(item)
        if item.entry.path == last_seen:
            (top / name).rename(tmp_path / "away")
            (top / name).symlink_to(tmp_path / "others")

    assert b"secret" not in {os.path.basename(item.entry.path) for item in found}  # noqa: PTH119 - bytes
    assert problems == [os.fsencode(top / name)]
    assert found[-1].is_closed


def test_a_link_that_takes_the_place_of_a_directory_above_is_not_followed(tmp_path: Path) -> None:
    top, others = tmp_path / "top", tmp_path / "others"
    for directory in (top / "a/b", others / "b"):
        directory.mkdir(parents=True)
    (others / "b/secret").touch()
    problems: list[bytes] = []
    found = []

    for item in scan([os.fsencode(top)], lambda path, _why: problems.append(path)):
        found.append(item.entry.path)
        if item.entry.path == os.fsencode(top / "a"):
            (top / "a").rename(tmp_path / "away")
            (top / "a").symlink_to(others)

    assert os.fsencode(top / "a/b/secret") not in found
    assert problems == [os.fsencode(top / "a/b")]


def test_a_directory_that_takes_the_place_of_another_during_the_scan_is_taken_as_it_is(tmp_path: Path) -> None:
    top, new = tmp_path / "top", tmp_path / "new"
    (top / "a/b").mkdir(parents=True)
    new.mkdir(mode=0o700)
    (new / "file").touch()
    problems: list[bytes] = []
    found = {}

    for item in scan([os.fsencode(top)], lambda path, _why: problems.append(path)):
        found[item.entry.path] = item.entry
        if item.entry.path == os.fsencode(top / "a"):
            (top / "a/b").rename(tmp_path / "away")
            new.rename(top / "a/b")

    assert found[os.fsencode(top / "a/b")].mode == 0o700
    assert os.fsencode(top / "a/b/file") in found
    assert problems == []


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
    in_an_hour = time.time() + 3600
    for name in ("file", "link"):
        os.utime(tmp_path / name, (in_an_hour, in_an_hour), follow_symlinks=False)

    racy = {path for path, entry in entries_below(tmp_path).items() if entry.is_racy}

    assert racy == {os.fsencode(tmp_path / "file")}
