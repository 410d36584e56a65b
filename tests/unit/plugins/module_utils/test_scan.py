# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below some paths, in the order of a manifest."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Rules, order_key
from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import (
    UNKNOWN,
    entry_of,
    entry_of_open,
    inode_of,
    is_below,
    is_racy,
    open_found,
    roots_of,
    scan,
    told,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import Found

component = st.binary(min_size=1, max_size=4).filter(lambda name: not {0, 47} & set(name))
paths = st.lists(component, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts))


NOBODY = 65534
VANISHED = "it vanished during the run"
SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"


@pytest.fixture
def closed() -> Iterator[Path]:
    """Give a directory of an ordinary user, who may go into it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own are closed to others
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """Give a directory where many files are made fast."""
    if not os.access("/dev/shm", os.W_OK):  # noqa: S108 - a directory of its own is made there
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
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


@contextmanager
def mounted(place: Path) -> Iterator[None]:
    """Mount a file system of its own at *place* for a while."""
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"What is mounted below a root is NOT tested, for nothing can be mounted here: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


class Scanned(t.NamedTuple):
    """What a scan has found, and what it has noted, with paths relative to the top."""

    found: list[Found]
    names: list[str]
    problems: list[tuple[str, str]]


def scanned(top: Path, rules: Rules | None = None, *, meanwhile: t.Callable[[str], object] | None = None) -> Scanned:
    """Scan *top*; *meanwhile* is called with each name that was found before the scan goes on."""
    result = Scanned([], [], [])
    root = os.fsencode(top)

    def relative(path: bytes) -> str:
        return os.fsdecode(os.path.relpath(path, root))

    def note(path: bytes, problem: str) -> None:
        result.problems.append((relative(path), problem))

    for found in scan([root], note, rules or Rules()):
        result.found.append(found)
        result.names.append(relative(found.path))
        if meanwhile is not None:
            meanwhile(result.names[-1])
    return result


def entries_below(*roots: Path) -> dict[bytes, Entry]:
    problems: list[bytes] = []
    entries = [
        entry_of(found) for found in scan([os.fsencode(root) for root in roots], lambda path, _: problems.append(path))
    ]
    assert problems == []
    assert [order_key(entry.path) for entry in entries] == sorted(order_key(entry.path) for entry in entries)
    return {entry.path: entry for entry in entries}


def found_at(path: Path) -> Found:
    """Return what a scan finds at *path*, seen from the directory above it."""
    return next(found for found in scanned(path.parent).found if found.path == os.fsencode(path))


def make_tree(top: Path, *names: str) -> None:
    """Make empty files, and directories where a name ends with a slash."""
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (top / name).mkdir(exist_ok=True)
        else:
            (top / name).touch()


@contextmanager
def chain(top: Path, depth: int, name: str = "d") -> Iterator[None]:
    """Make a chain of directories below *top*, and in each, but the last one, a file and a link that come behind it."""
    place = os.open(top, os.O_RDONLY)
    for _level in range(depth):
        os.mkdir(name, dir_fd=place)
        os.close(os.open("e", os.O_CREAT | os.O_WRONLY, dir_fd=place))
        os.symlink("target", "f", dir_fd=place)
        inside = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inside
    os.close(place)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", str(top / name)], check=True)  # too deep for Python's own


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@given(st.lists(paths, max_size=8, unique=True))
def test_the_order_is_that_of_the_components_as_bytes(found: list[bytes]) -> None:
    assert sorted(found, key=order_key) == sorted(found, key=lambda path: path.split(b"/"))


def test_a_directory_comes_right_before_all_that_is_in_it(tmp_path: Path) -> None:
    make_tree(
        tmp_path, "a-b/", "a.b/", "a/b/c/", "ab/", "a/z", "A", os.fsdecode(b"a\xff"), "a\N{LATIN SMALL LETTER AE}"
    )

    found = [os.path.relpath(path, os.fsencode(tmp_path)) for path in entries_below(tmp_path)]

    assert found == [
        b".",
        b"A",
        b"a",
        b"a/b",
        b"a/b/c",
        b"a/z",
        b"a-b",
        b"a.b",
        b"ab",
        "a\N{LATIN SMALL LETTER AE}".encode(),
        b"a\xff",
    ]


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
    file, status = found[b"file"], (tmp_path / "file").stat()
    assert (file.mode, file.size, file.mtime) == (0o4751, 7, 1_700_000_000_123_456_789)
    assert (file.uid, file.gid, file.ctime) == (os.geteuid(), status.st_gid, status.st_ctime_ns)
    assert file.user == (tmp_path / "file").owner()
    assert file.inode == found[b"other name"].inode == f"{status.st_dev}:{status.st_ino}"
    assert found[b"link"].target == b"to \xff"
    assert found[b"fifo"].mode == 0o640


def test_what_is_found_has_its_status_and_its_root(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/file")

    found = scanned(tmp_path).found[-1]

    assert (found.path, found.kind, found.root, found.is_closed) == (
        os.fsencode(tmp_path / "a/file"),
        "f",
        os.fsencode(tmp_path),
        False,
    )
    assert found.status == (tmp_path / "a/file").lstat()


def test_what_is_open_is_told_like_what_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    os.utime(tmp_path / "file", (0, 0))
    found = found_at(tmp_path / "file")
    with (tmp_path / "file").open("rb") as file:
        status = os.fstat(file.fileno())

        entry = entry_of_open(found.path, found.kind, status, file.fileno())

    assert entry._replace(is_racy=False) == entry_of(found)._replace(is_racy=False)
    assert entry.size == 7


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


def test_a_file_may_be_a_root(tmp_path: Path) -> None:
    make_tree(tmp_path, "file")

    assert list(entries_below(tmp_path / "file")) == [os.fsencode(tmp_path / "file")]


# what it costs


_COUNTED = """
import collections, os, resource, sys

counts = collections.Counter()
sys.addaudithook(lambda event, arguments: counts.update([event]))

from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import entry_of, inode_of, open_found, scan

resource.setrlimit(resource.RLIMIT_NOFILE, (64 + 48, 64 + 48))
problems = []
number = attributes = 0
counts.clear()
for found in scan([os.fsencode(sys.argv[1])], lambda *problem: problems.append(problem)):
    number += 1
    if sys.argv[2] == "whole" and found.kind == "f":
        os.close(open_found(found.path, found.root, inode_of(found.status))[0])
    elif sys.argv[2] == "whole":
        entry = entry_of(found)
        attributes += len(entry.xattrs) + (entry.target == b"target")
print(number, counts["open"], counts["os.listxattr"], attributes, len(problems))
"""


def counted(top: Path, what: str) -> list[int]:
    """Return how many things a scan in a process of its own finds, opens, and asks for attributes, and so on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", _COUNTED, str(top), what]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return [int(number) for number in done.stdout.split()]


def test_files_are_neither_opened_nor_asked_for_attributes(tmp_path: Path) -> None:
    make_tree(tmp_path, *(f"{directory}/{number}" for directory in "ab" for number in range(20)))

    found, opened, asked, _attributes, problems = counted(tmp_path, "scan")

    assert (found, opened, asked, problems) == (43, 3, 0, 0)


def test_a_name_of_a_large_directory_takes_little_memory(in_memory: Path) -> None:
    number = 10_000
    make_tree(in_memory, *(f"a-name-of-usual-length-{i:06d}.txt" for i in range(number)))
    tracemalloc.start()

    found = sum(1 for _found in scan([os.fsencode(in_memory)], lambda *_problem: None))

    assert found == number + 1
    assert tracemalloc.get_traced_memory()[1] < 250 * number
    tracemalloc.stop()


def test_a_scan_that_is_broken_off_leaves_nothing_open(tmp_path: Path) -> None:
    before = open_descriptors()
    with chain(tmp_path, 100):
        running = scan([os.fsencode(tmp_path)], lambda *_problem: None)
        for _level in range(90):
            next(running)
        assert len(open_descriptors() - before) > 50

        t.cast("t.Generator[object]", running).close()

        assert open_descriptors() <= before


# deep trees


def test_a_tree_may_be_deeper_than_descriptors_and_paths_reach(in_memory: Path, *, soak: bool) -> None:
    depth = 20_000 if soak else 5_000
    with chain(in_memory, depth):
        found, opened, _asked, links, problems = counted(in_memory, "whole")

    assert (found, links, problems) == (3 * depth + 1, depth, 0)
    assert opened < 10 * depth


def test_a_deep_tree_of_long_names_is_found_in_order_and_read(tmp_path: Path) -> None:
    name = "n" * 200
    with chain(tmp_path, 100, name):
        result = scanned(tmp_path)
        entries = [entry_of(found) for found in result.found]

    assert [order_key(entry.path) for entry in entries] == sorted(order_key(entry.path) for entry in entries)
    assert len(entries) == 301
    assert entries[-1].path == os.fsencode(tmp_path) + 100 * f"/{name}".encode()
    assert {entry.target for entry in entries if entry.kind == "l"} == {b"target"}
    assert result.problems == []


def test_attributes_are_read_however_long_the_path_is(tmp_path: Path) -> None:
    with chain(tmp_path, 30, "n" * 200):
        found = next(found for found in scanned(tmp_path).found if len(found.path) > 5000 and found.kind == "f")
        descriptor, _status = open_found(found.path, found.root, "")
        try:
            os.setxattr(descriptor, "user.comment", b"far down")
        except OSError:
            pytest.skip("This file system has no extended attributes.")
        finally:
            os.close(descriptor)

        assert entry_of(found).xattrs == (("user.comment", b"far down"),)


def test_long_paths_leave_nothing_open_once_the_scan_has_ended(tmp_path: Path) -> None:
    before = open_descriptors()
    with chain(tmp_path, 100, "n" * 200):
        for found in scan([os.fsencode(tmp_path)], lambda *_problem: None):
            entry_of(found)

        assert open_descriptors() <= before


def deep_name(level: int, last: str = "") -> str:
    return "/".join(["d"] * level + [last] * bool(last)) or "."


def test_a_deep_tree_that_is_moved_during_the_scan_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()

    def move(name: str) -> None:
        if name == deep_name(200):
            (tmp_path / "top" / deep_name(20)).rename(tmp_path / "away")

    with chain(tmp_path / "top", 200):
        result = scanned(tmp_path / "top", meanwhile=move)
        shutil.rmtree(tmp_path / "away")

    assert len(result.names) == 3 * 200 + 1
    assert result.problems == []


def test_what_is_still_to_come_of_a_deep_tree_may_vanish(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()

    def move(name: str) -> None:
        if name == deep_name(200):
            (tmp_path / "top" / deep_name(20)).rename(tmp_path / "away")
            (tmp_path / "top" / deep_name(10)).rename(tmp_path / "elsewhere")

    with chain(tmp_path / "top", 200):
        result = scanned(tmp_path / "top", meanwhile=move)
        shutil.rmtree(tmp_path / "away")

    assert result.problems == [(deep_name(level), VANISHED) for level in range(19, 9, -1)]
    assert deep_name(19, "e") not in result.names
    assert deep_name(20, "e") in result.names
    assert result.names[-20:] == [deep_name(level, name) for level in range(9, -1, -1) for name in "ef"]


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


# rules


def test_what_is_excluded_is_passed_over_silently_with_all_that_lies_below_it(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/keep", "a/x.tmp", "b/tmp/file", "b/tmp.txt", "cache/file", "b/cache/file", "x.tmp/file")

    result = scanned(tmp_path, Rules(exclude=("*.tmp", "tmp/", "/cache")))

    assert result.names == [".", "a", "a/keep", "b", "b/cache", "b/cache/file", "b/tmp.txt"]
    assert result.problems == []


def test_a_root_is_never_excluded(tmp_path: Path) -> None:
    make_tree(tmp_path, "root/root/file", "root/file")

    assert scanned(tmp_path / "root", Rules(exclude=("root", "/file"))).names == ["."]


def test_patterns_are_rooted_at_each_root(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/x", "a/b/x", "c/x", "c/y")
    roots = [os.fsencode(tmp_path / name) for name in ("a", "c")]

    found = [item.path for item in scan(roots, lambda *_problem: None, Rules(exclude=("/x",)))]

    assert [os.path.relpath(path, os.fsencode(tmp_path)) for path in found] == [b"a", b"a/b", b"a/b/x", b"c", b"c/y"]


def test_patterns_are_rooted_at_the_root_of_all(tmp_path: Path) -> None:
    top = tmp_path.parts[1]

    found = [item.path for item in scan([b"/"], lambda *_problem: None, Rules(exclude=("/*", f"!/{top}/", "/*/*")))]

    assert found == [b"/", b"/" + os.fsencode(top)]


def test_the_silence_about_what_is_excluded_includes_its_problems(closed: Path) -> None:
    make_tree(closed, "closed/file", "closed/sub/file", "listed/seen", "listed/unseen")
    (closed / "closed").chmod(0)
    (closed / "listed").chmod(0o444)

    with ordinary_user():
        result = scanned(closed, Rules(exclude=("/closed", "unseen", "sub/")))

    assert result.names == [".", "listed", "listed/seen"]
    assert result.problems == [("listed/seen", "Permission denied")]


def test_what_may_have_been_excluded_before_it_vanished_is_no_problem(tmp_path: Path) -> None:
    make_tree(tmp_path, "a", "b-tmp/", "c")

    def remove(name: str) -> None:
        if name == "a":
            (tmp_path / "b-tmp").rmdir()
            (tmp_path / "c").unlink()

    result = scanned(tmp_path, Rules(exclude=("*-tmp/",)), meanwhile=remove)

    assert result.problems == [("c", VANISHED)]


def test_another_file_system_is_entered_unless_the_rules_keep_it_out(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/mount/", "b")
    with mounted(tmp_path / "a/mount"):
        make_tree(tmp_path, "a/mount/inner/file")
        (tmp_path / "a/mount").chmod(0o751)

        wide = scanned(tmp_path)
        narrow = scanned(tmp_path, Rules(one_file_system=True))
        inside = scanned(tmp_path / "a/mount", Rules(one_file_system=True))
        entry = entry_of(narrow.found[2])

    assert wide.names == [".", "a", "a/mount", "a/mount/inner", "a/mount/inner/file", "b"]
    assert narrow.names == [".", "a", "a/mount", "b"]
    assert not any(found.is_closed for found in narrow.found)
    assert (entry.kind, entry.mode) == ("d", 0o751)
    assert inside.names == [".", "inner", "inner/file"]


def test_of_a_cache_only_the_directory_and_its_tag_are_kept(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/cache/BIG", "a/cache/sub/file", "a/z")
    (tmp_path / "a/cache/CACHEDIR.TAG").write_bytes(SIGNATURE + b"\n# more")

    assert scanned(tmp_path, Rules(caches=True)).names == [".", "a", "a/cache", "a/cache/CACHEDIR.TAG", "a/z"]
    assert "a/cache/sub/file" in scanned(tmp_path).names


def test_a_root_may_be_a_cache(tmp_path: Path) -> None:
    make_tree(tmp_path, "file")
    (tmp_path / "CACHEDIR.TAG").write_bytes(SIGNATURE)

    assert scanned(tmp_path, Rules(caches=True)).names == [".", "CACHEDIR.TAG"]


def test_what_is_no_valid_tag_makes_no_cache(tmp_path: Path) -> None:
    make_tree(tmp_path, "directory/CACHEDIR.TAG/", "fifo/", "link/", "other/", "short/")
    (tmp_path / "tag").write_bytes(SIGNATURE)
    os.mkfifo(tmp_path / "fifo/CACHEDIR.TAG")
    (tmp_path / "link/CACHEDIR.TAG").symlink_to("../tag")
    (tmp_path / "other/CACHEDIR.TAG").write_bytes(b"# " + SIGNATURE)
    (tmp_path / "short/CACHEDIR.TAG").write_bytes(SIGNATURE[:-1])
    for directory in ("directory", "fifo", "link", "other", "short"):
        make_tree(tmp_path, f"{directory}/file")

    names = scanned(tmp_path, Rules(caches=True)).names

    assert {name for name in names if name.endswith("/file")} == {
        "directory/file",
        "fifo/file",
        "link/file",
        "other/file",
        "short/file",
    }


def test_a_tag_that_cannot_be_read_makes_no_cache(closed: Path) -> None:
    make_tree(closed, "file")
    (closed / "CACHEDIR.TAG").write_bytes(SIGNATURE)
    (closed / "CACHEDIR.TAG").chmod(0)

    with ordinary_user():
        assert scanned(closed, Rules(caches=True)).names == [".", "CACHEDIR.TAG", "file"]


def test_of_a_directory_with_the_marker_only_it_and_the_marker_are_kept(tmp_path: Path) -> None:
    marker = "no b\N{LATIN SMALL LETTER A WITH DIAERESIS}ckup"
    make_tree(tmp_path, "a/file", "a/sub/file", f"a/{marker}", f"b/{marker}/", "b/file")

    names = scanned(tmp_path, Rules(marker=marker)).names

    assert names == [".", "a", f"a/{marker}", "b", "b/file", f"b/{marker}"]


def test_a_cache_with_the_marker_keeps_both(tmp_path: Path) -> None:
    make_tree(tmp_path, "file", ".nobackup")
    (tmp_path / "CACHEDIR.TAG").write_bytes(SIGNATURE)

    assert scanned(tmp_path, Rules(caches=True, marker=".nobackup")).names == [".", ".nobackup", "CACHEDIR.TAG"]


# extended attributes


def acl(*extra: tuple[int, int, int]) -> bytes:
    """Return a POSIX ACL as the kernel has it, with *extra* entries beside those that each has."""
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), *extra, (4, 4, nobody), (16, 6, nobody), (32, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ACL = acl((2, 6, NOBODY))


def set_attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        pytest.skip(f"The attribute {name} is NOT tested, for it cannot be set here: {error.strerror}")


@pytest.fixture
def with_acls(tmp_path: Path) -> Iterator[Path]:
    """Give a directory of a file system that has POSIX ACLs."""
    try:
        os.setxattr(tmp_path, "system.posix_acl_default", ACL)
        os.removexattr(tmp_path, "system.posix_acl_default")
    except OSError:
        with mounted(tmp_path):
            yield tmp_path
    else:
        yield tmp_path


def test_attributes_are_told_where_the_file_system_has_them(tmp_path: Path) -> None:
    make_tree(tmp_path, "directory/", "file")
    for name in ("directory", "file"):
        set_attribute(tmp_path / name, "user.comment", b"\0\xff")
        set_attribute(tmp_path / name, "user.another", b"")

    entries = entries_below(tmp_path)

    expected = (("user.another", b""), ("user.comment", b"\0\xff"))
    assert entries[os.fsencode(tmp_path)].xattrs == ()
    assert [entries[os.fsencode(tmp_path / name)].xattrs for name in ("directory", "file")] == [expected] * 2


@pytest.mark.parametrize("name", ["trusted.comment", "security.comment"])
def test_attributes_of_links_fifos_and_devices_are_told(tmp_path: Path, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"Only root can set {name}, and the tests run as an ordinary user.")
    make_tree(tmp_path, "file")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    marked = ("dangling", "fifo", "link", "null")
    for path in marked:
        set_attribute(tmp_path / path, name, path.encode())

    entries = entries_below(tmp_path)

    assert [entries[os.fsencode(tmp_path / path)].xattrs for path in marked] == [
        ((name, path.encode()),) for path in marked
    ]
    assert entries[os.fsencode(tmp_path / "file")].xattrs == ()


def test_acls_are_among_the_attributes(with_acls: Path) -> None:
    make_tree(with_acls, "directory/", "file")
    os.mkfifo(with_acls / "fifo")
    for name in ("directory", "fifo", "file"):
        os.setxattr(with_acls / name, "system.posix_acl_access", ACL)
    os.setxattr(with_acls / "directory", "system.posix_acl_default", ACL)

    entries = entries_below(with_acls)

    access = ("system.posix_acl_access", ACL)
    assert entries[os.fsencode(with_acls / "directory")].xattrs == (access, ("system.posix_acl_default", ACL))
    assert entries[os.fsencode(with_acls / "fifo")].xattrs == (access,)
    assert entries[os.fsencode(with_acls / "file")].xattrs == (access,)


def test_attributes_that_this_user_may_not_read_are_left_out_silently_and_the_others_are_not(closed: Path) -> None:
    make_tree(closed, "file")
    set_attribute(closed / "file", "user.comment", b"for who may read the file")
    set_attribute(closed / "file", "security.comment", b"for everybody")
    set_attribute(closed / "file", "trusted.comment", b"for root")
    (closed / "file").chmod(0)

    with ordinary_user():
        found = found_at(closed / "file")

        assert entry_of(found).xattrs == (("security.comment", b"for everybody"),)


def test_a_file_system_without_attributes_is_no_problem() -> None:
    assert [entry.xattrs for entry in entries_below(Path("/proc/version")).values()] == [()]


# what cannot be read, and clocks


def test_what_vanishes_is_told_and_the_scan_goes_on(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/", "b/", "c", "d")

    def remove(name: str) -> None:
        if name == "a":
            (tmp_path / "b").rmdir()
            (tmp_path / "c").unlink()

    result = scanned(tmp_path, meanwhile=remove)

    assert result.names == [".", "a", "d"]
    assert result.problems == [("b", VANISHED), ("c", VANISHED)]


def test_a_root_that_vanishes_is_told(tmp_path: Path) -> None:
    result = scanned(tmp_path / "root")

    assert result == ([], [], [(".", VANISHED)])


def test_what_replaces_something_before_its_turn_is_told_as_what_it_is(tmp_path: Path) -> None:
    make_tree(tmp_path, "a", "b")

    def replace(name: str) -> None:
        if name == "a":
            (tmp_path / "b").unlink()
            make_tree(tmp_path, "b/file")

    assert scanned(tmp_path, meanwhile=replace).names == [".", "a", "b", "b/file"]


def test_a_directory_that_cannot_be_looked_into_is_told_once_and_found_closed(closed: Path) -> None:
    make_tree(closed, "a/file", "b/file", "c/file")
    (closed / "b").chmod(0)

    with ordinary_user():
        result = scanned(closed)
        entry = entry_of(result.found[3])

    assert result.names == [".", "a", "a/file", "b", "c", "c/file"]
    assert [name for name, found in zip(result.names, result.found) if found.is_closed] == ["b"]
    assert result.problems == [("b", "Permission denied")]
    assert (entry.kind, entry.mode) == ("d", 0)


def test_what_is_listed_and_cannot_be_looked_at_is_found_closed_and_of_unknown_kind(closed: Path) -> None:
    make_tree(closed, "inner/file")
    (closed / "inner").chmod(0o444)

    with ordinary_user():
        result = scanned(closed)

    assert [found.kind for found in result.found] == ["d", "d", UNKNOWN]
    last = result.found[-1]
    assert (result.names[-1], last.status, last.is_closed) == ("inner/file", None, True)
    assert result.problems == [("inner/file", "Permission denied")]
    with pytest.raises(OSError, match="cannot be looked at"):
        entry_of(last)


@pytest.mark.parametrize("name", ["a", "a/b"])
def test_a_link_that_takes_the_place_of_a_directory_during_the_scan_is_not_followed(tmp_path: Path, name: str) -> None:
    """The one that is swapped, *name*, was listed as a directory."""
    make_tree(tmp_path, "top/a/b/", "others/secret", "others/b/secret")
    top = tmp_path / "top"

    def swap(seen: str) -> None:
        if top / seen == (top / name).parent:
            (top / name).rename(tmp_path / "away")
            (top / name).symlink_to(tmp_path / "others")

    result = scanned(top, meanwhile=swap)

    assert [found.kind for found, seen in zip(result.found, result.names) if seen == name] == ["l"]
    assert not [seen for seen in result.names if seen.endswith("secret")]


def test_a_link_that_takes_the_place_of_a_directory_above_is_not_followed(tmp_path: Path) -> None:
    make_tree(tmp_path, "top/a/b/mine", "others/b/secret")
    top = tmp_path / "top"

    def swap(seen: str) -> None:
        if seen == "a":
            (top / "a").rename(tmp_path / "away")
            (top / "a").symlink_to(tmp_path / "others")

    result = scanned(top, meanwhile=swap)

    assert result.names == [".", "a", "a/b", "a/b/mine"]


@pytest.mark.parametrize("name", ["a/b", "a/link", "a/fifo", "a/file"])
def test_neither_content_nor_entry_is_read_through_a_link_that_was_put_above(tmp_path: Path, name: str) -> None:
    for directory in ("top/a", "others"):
        make_tree(tmp_path, f"{directory}/b/", f"{directory}/file")
        (tmp_path / directory / "link").symlink_to(directory)
        os.mkfifo(tmp_path / directory / "fifo")
    found = next(found for found in scanned(tmp_path / "top").found if found.path.endswith(name.encode()))
    (tmp_path / "top/a").rename(tmp_path / "away")
    (tmp_path / "top/a").symlink_to(tmp_path / "others")

    with pytest.raises(NotADirectoryError):
        entry_of(found)
    with pytest.raises(OSError, match=r"Not a directory|symbolic link"):
        open_found(found.path, found.root, inode_of(t.cast("os.stat_result", found.status)))


def test_a_directory_that_takes_the_place_of_another_during_the_scan_is_taken_as_it_is(tmp_path: Path) -> None:
    make_tree(tmp_path, "top/a/b/", "new/file")
    (tmp_path / "new").chmod(0o700)

    def replace(seen: str) -> None:
        if seen == "a":
            (tmp_path / "top/a/b").rename(tmp_path / "away")
            (tmp_path / "new").rename(tmp_path / "top/a/b")

    result = scanned(tmp_path / "top", meanwhile=replace)

    assert result.names == [".", "a", "a/b", "a/b/file"]
    assert entry_of(result.found[2]).mode == 0o700
    assert result.problems == []


def test_what_replaces_something_after_it_was_found_gives_its_entry_if_it_is_of_the_same_kind(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("old")
    found = found_at(tmp_path / "link")
    (tmp_path / "new").symlink_to("new")  # beside the other, so that it has another inode
    (tmp_path / "new").replace(tmp_path / "link")

    assert entry_of(found).target == b"new"


def test_what_has_gone_or_become_something_else_has_no_entry(tmp_path: Path) -> None:
    make_tree(tmp_path, "gone", "other")
    gone, other = found_at(tmp_path / "gone"), found_at(tmp_path / "other")
    (tmp_path / "gone").unlink()
    (tmp_path / "other").rename(tmp_path / "kept")
    (tmp_path / "other").symlink_to("kept")

    for found in (gone, other):
        with pytest.raises(FileNotFoundError) as raised:
            entry_of(found)
        assert told(raised.value) == VANISHED


def test_a_problem_is_told_without_numbers() -> None:
    assert told(PermissionError(13, "Permission denied", "/path")) == "Permission denied"
    assert told(OSError("it is odd")) == "it is odd"


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
