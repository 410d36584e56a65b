# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that is restored into, with traps in it: nothing outside of it is ever touched."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import subprocess
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError, LocalError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.target import Target

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entry(path: str, kind: str = "f", target: bytes = b"") -> Entry:
    return Entry(
        os.fsencode(path), kind, 0o640, os.geteuid(), os.getegid(), "", "", 1_700_000_000_123_456_789, target=target
    )


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that must look the same afterwards."""
    directory = tmp_path / "outside"
    (directory / "inner").mkdir(parents=True)
    (directory / "file").write_bytes(b"precious")
    before = {path: (path.lstat(), path.read_bytes() if path.is_file() else b"") for path in directory.rglob("*")}
    yield directory
    after = {path: (path.lstat(), path.read_bytes() if path.is_file() else b"") for path in directory.rglob("*")}
    relevant = ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_nlink", "st_ino")
    assert {
        path: [getattr(status, name) for name in relevant] + [content] for path, (status, content) in before.items()
    } == {path: [getattr(status, name) for name in relevant] + [content] for path, (status, content) in after.items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def target(root: Path) -> Iterator[Target]:
    target = Target(root, "20260101t000000z-abcdef", lambda entry: (entry.uid, entry.gid))
    yield target
    target.close()


def put(target: Target, wanted: Entry, content: bytes = b"content") -> None:
    descriptor, temporary = target.start_file(wanted.path)
    os.write(descriptor, content)
    target.finish_file(wanted, descriptor, temporary)


def deeds_at(target: Target, path: str) -> list[t.Callable[[], object]]:
    """Return everything that can be done at *path*."""
    return [
        lambda: put(target, entry(path)),
        lambda: target.make_directory(os.fsencode(path)),
        lambda: target.make_special(entry(path, "l", target=b"/nowhere")),
        lambda: target.make_special(entry(path, "p")),
        lambda: target.dress(entry(path)),
        lambda: target.dress(entry(path, "d")),
    ]


def test_a_file_appears_whole_with_its_metadata_and_its_directories_are_made(target: Target, root: Path) -> None:
    put(target, entry("/srv/deep/file"))

    status = (root / "srv/deep/file").stat()
    assert (root / "srv/deep/file").read_bytes() == b"content"
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert [path.name for path in (root / "srv/deep").iterdir()] == ["file"]


def test_nothing_is_made_before_something_is_written(target: Target, root: Path) -> None:
    assert target.status(b"/srv/file") is None
    assert not root.exists()


@pytest.mark.parametrize("trap", ["trap", "trap/inner", "deep/trap"])
def test_no_deed_follows_a_link_in_the_middle_of_a_path(target: Target, root: Path, outside: Path, trap: str) -> None:
    (root / "deep").mkdir(parents=True)
    (root / "trap").symlink_to(outside)
    (root / "deep/trap").symlink_to("../../outside")

    for deed in deeds_at(target, f"/{trap}/new") + deeds_at(target, f"/{trap}/file"):
        with pytest.raises((BackupError, OSError)):
            deed()


def test_a_link_in_the_way_is_told_with_its_place(target: Target, root: Path, outside: Path) -> None:
    root.mkdir()
    (root / "trap").symlink_to(outside)

    with pytest.raises(LocalError, match="trap is a link or no directory"):
        put(target, entry("/trap/file"))


def test_a_link_at_the_end_of_a_path_is_replaced_and_never_written_through(
    target: Target, root: Path, outside: Path
) -> None:
    root.mkdir()
    for name in ("file", "directory", "link", "fifo"):
        (root / name).symlink_to(outside / "file" if name != "directory" else outside)

    put(target, entry("/file"), b"new")
    target.make_directory(b"/directory")
    target.make_special(entry("/link", "l", target=b"elsewhere"))
    target.make_special(entry("/fifo", "p"))

    assert (root / "file").read_bytes() == b"new"
    assert not (root / "file").is_symlink()
    assert (root / "directory").is_dir()
    assert not (root / "directory").is_symlink()
    assert os.readlink(root / "link") == "elsewhere"  # noqa: PTH115 - Python 3.9's Path is enough, but says less
    assert stat.S_ISFIFO((root / "fifo").lstat().st_mode)


def test_metadata_is_never_given_to_what_a_link_points_to(target: Target, root: Path, outside: Path) -> None:
    root.mkdir()
    (root / "link").symlink_to(outside / "file")
    (root / "directory").symlink_to(outside / "inner")

    for wanted in (entry("/link"), entry("/directory", "d"), entry("/link", "d")):
        with pytest.raises(OSError, match=r"Not a directory|symbolic links|not supported"):
            target.dress(wanted)


def test_a_hard_link_is_not_made_to_what_lies_outside(target: Target, root: Path, outside: Path) -> None:
    root.mkdir()
    (root / "trap").symlink_to(outside)
    (root / "first").symlink_to(outside / "file")

    with pytest.raises((BackupError, OSError)):
        target.make_hard_link(b"/second", b"/trap/file")
    target.make_hard_link(b"/third", b"/first")

    assert (root / "third").is_symlink()


def test_a_file_that_is_a_second_name_of_something_outside_is_replaced_not_overwritten(
    target: Target, root: Path, outside: Path
) -> None:
    (root / "srv").mkdir(parents=True)
    os.link(outside / "file", root / "srv/file")

    put(target, entry("/srv/file"), b"new")

    assert (outside / "file").read_bytes() == b"precious"
    assert (root / "srv/file").read_bytes() == b"new"


@pytest.mark.parametrize(
    "path",
    [
        "/../outside/file",
        "/srv/../../outside/file",
        "/srv/./file",
        "//etc",
        "/srv/",
        "/srv//file",
        "relative",
        "",
        "/a\0b",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_by_every_deed(target: Target, outside: Path, path: str) -> None:
    assert outside.exists()
    for deed in deeds_at(target, path):
        with pytest.raises(UsageError, match="no restore may follow"):
            deed()
    for look in (target.status, target.link_at):
        with pytest.raises(UsageError, match="no restore may follow"):
            look(os.fsencode(path))


def test_what_could_not_be_completed_leaves_nothing(target: Target, root: Path) -> None:
    descriptor, temporary = target.start_file(b"/srv/file")

    target.drop_file(b"/srv/file", descriptor, temporary)

    assert list((root / "srv").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("comes", ["f", "l"])
@pytest.mark.parametrize("left", ["f", "l", "p"])
def test_what_a_killed_restore_left_goes_whoever_it_was_given_to(
    target: Target, root: Path, left: str, comes: str
) -> None:
    (root / "srv").mkdir(parents=True)
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    host = hashlib.sha256(os.fsencode(os.uname().nodename)).hexdigest()[:8]
    leftover = root / "srv" / f".ftp-backup-20260101t000000z-00000a-{host}-{dead.pid}-7"
    if left == "f":
        leftover.touch()
    elif left == "l":
        leftover.symlink_to("/nowhere")
    else:
        os.mkfifo(leftover)
    os.chown(leftover, 1234, 1234, follow_symlinks=False)

    if comes == "f":
        put(target, entry("/srv/new"))
    else:
        target.make_special(entry("/srv/new", "l", target=b"/nowhere"))

    assert [path.name for path in (root / "srv").iterdir()] == ["new"]


def test_a_file_does_not_replace_a_directory_with_something_in_it(target: Target, root: Path) -> None:
    (root / "srv/inside").mkdir(parents=True)

    with pytest.raises(LocalError, match="is a directory"):
        put(target, entry("/srv"))

    assert [path.name for path in root.iterdir()] == ["srv"]


def test_more_directories_than_are_held_open_at_once_are_no_trouble(target: Target, root: Path) -> None:
    for number in range(200):
        put(target, entry(f"/{number % 50}/{number}/file"), b"%d" % number)

    assert all((root / f"{number % 50}/{number}/file").read_bytes() == b"%d" % number for number in range(200))


def test_links_between_far_directories_are_made_whatever_is_held_open(target: Target, root: Path) -> None:
    put(target, entry("/first/file"))
    deep = "/".join(f"d{level}" for level in range(40))

    target.make_hard_link(os.fsencode(f"/{deep}/second"), b"/first/file")

    assert (root / deep / "second").stat().st_ino == (root / "first/file").stat().st_ino


def test_what_is_in_the_way_of_a_directory_stays_unless_something_else_is_expected(target: Target, root: Path) -> None:
    root.mkdir()
    (root / "there").write_bytes(b"precious")

    target.expect_directory(b"/there", replacing=False)
    with pytest.raises(LocalError, match="there is a link or no directory"):
        put(target, entry("/there/file"))
    assert (root / "there").read_bytes() == b"precious"

    target.expect_directory(b"/there", replacing=True)
    assert (root / "there").read_bytes() == b"precious"
    put(target, entry("/there/file"))
    assert (root / "there/file").read_bytes() == b"content"


def test_many_threads_may_need_the_same_new_directory_at_once(target: Target, root: Path) -> None:
    root.mkdir()
    (root / "new").write_bytes(b"in the way")
    target.expect_directory(b"/new", replacing=True)
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        put(target, entry(f"/new/deep/{number}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))

    assert sorted(path.name for path in (root / "new/deep").iterdir()) == [str(number) for number in range(8)]


def test_a_directory_whose_metadata_are_still_to_come_is_for_its_owner_alone(target: Target, root: Path) -> None:
    target.expect_directory(b"/secret", replacing=False)

    put(target, entry("/secret/file"))

    assert stat.S_IMODE((root / "secret").stat().st_mode) == 0o700


def test_a_file_that_was_closed_goes_on_where_it_was(target: Target, root: Path) -> None:
    descriptor, temporary = target.start_file(b"/file")
    os.pwrite(descriptor, b"con", 0)
    os.close(descriptor)

    descriptor = target.reopen_file(b"/file", temporary)
    os.pwrite(descriptor, b"tent", 3)
    target.finish_file(entry("/file"), descriptor, temporary)

    assert (root / "file").read_bytes() == b"content"


def test_what_somebody_put_in_place_of_a_closed_file_is_not_written_to(
    target: Target, root: Path, outside: Path
) -> None:
    descriptor, temporary = target.start_file(b"/file")
    os.close(descriptor)
    unfinished = root / os.fsdecode(temporary)
    for plant in (os.symlink, os.link):
        unfinished.unlink()
        plant(outside / "file", unfinished)

        with pytest.raises((LocalError, OSError)):
            target.reopen_file(b"/file", temporary)

    unfinished.unlink()


def test_a_link_that_is_there_already_leaves_no_other_name(target: Target, root: Path) -> None:
    put(target, entry("/first"))

    target.make_hard_link(b"/second", b"/first")
    target.make_hard_link(b"/second", b"/first")

    assert sorted(path.name for path in root.iterdir()) == ["first", "second"]


# -- metadata


# POSIX ACLs as Linux keeps them: version 2, then tag, permissions and id of each entry.
def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


NOBODY = 2**32 - 1
ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
SOME_ACL = acl((1, 6, NOBODY), (2, 6, 1000), (4, 4, NOBODY), (16, 6, NOBODY), (32, 4, NOBODY))
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep


def attributes_of(path: Path) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names if not name.startswith("security.s")}


def test_owner_mode_acl_capability_and_set_id_bit_all_come_back(target: Target, root: Path) -> None:
    attributes = (("security.capability", CAPABILITY), (ACCESS, SOME_ACL), ("user.comment", b"\0\xff"))
    wanted = entry("/program")._replace(mode=0o4664, xattrs=attributes)
    if os.geteuid() == 0:
        wanted = wanted._replace(uid=12345, gid=54321)

    put(target, wanted)

    status = (root / "program").stat()
    assert stat.S_IMODE(status.st_mode) == 0o4664
    assert (status.st_uid, status.st_gid) == (wanted.uid, wanted.gid)
    expected = dict(attributes) if os.geteuid() == 0 else dict(attributes[1:])
    assert attributes_of(root / "program") == expected
    assert target.attributes.report() == ()


def test_what_is_dressed_loses_the_attributes_that_it_should_not_have(target: Target, root: Path) -> None:
    put(target, entry("/file"))
    target.make_directory(b"/directory")
    for name, path in ((ACCESS, "file"), (DEFAULT, "directory")):
        os.setxattr(root / path, name, SOME_ACL)
        os.setxattr(root / path, "user.since", b"then")

    target.dress(entry("/file"))
    target.dress(entry("/directory", "d"))

    assert attributes_of(root / "file") == attributes_of(root / "directory") == {}
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o640


def test_what_is_made_in_a_directory_does_not_keep_what_it_inherits(target: Target, root: Path) -> None:
    root.mkdir()
    os.setxattr(root, DEFAULT, SOME_ACL)

    put(target, entry("/file"))
    target.make_special(entry("/fifo", "p"))
    target.make_directory(b"/directory")
    target.dress(entry("/directory", "d"))

    for name in ("file", "fifo", "directory"):
        assert attributes_of(root / name) == {}
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o640


def test_a_directory_and_what_is_no_file_bear_attributes_as_well(target: Target, root: Path) -> None:
    directory = entry("/directory", "d")._replace(xattrs=((ACCESS, SOME_ACL), (DEFAULT, SOME_ACL)), mode=0o664)
    target.make_directory(directory.path)
    target.dress(directory)
    target.make_special(entry("/fifo", "p")._replace(xattrs=((ACCESS, SOME_ACL),), mode=0o664))

    assert attributes_of(root / "directory") == dict(directory.xattrs)
    assert attributes_of(root / "fifo") == {ACCESS: SOME_ACL}
    assert stat.S_IMODE((root / "fifo").stat().st_mode) == 0o664


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give links attributes.")
def test_a_link_gets_attributes_of_its_own_and_what_it_points_to_none(target: Target, root: Path) -> None:
    put(target, entry("/file"))

    target.make_special(entry("/link", "l", target=b"file")._replace(xattrs=(("trusted.mark", b"1"),)))

    assert attributes_of(root / "link") == {"trusted.mark": b"1"}
    assert attributes_of(root / "file") == {}


def test_attributes_that_the_target_cannot_have_are_counted_and_told_once(target: Target) -> None:
    too_large = (("user.large", bytes(100_000)),)

    for number in range(3):
        put(target, entry(f"/{number}")._replace(xattrs=too_large))

    (warning,) = target.attributes.report()
    assert warning.startswith("3 things were restored without all of the extended attributes")
    assert "/0 was the first" in warning


def test_the_mode_of_a_fifo_never_goes_to_what_a_link_in_its_place_points_to(
    target: Target, root: Path, outside: Path
) -> None:
    root.mkdir()
    (root / "swapped").symlink_to(outside / "file")
    descriptor = os.open(root, os.O_RDONLY)

    with pytest.raises((LocalError, OSError)):
        target._change_mode(descriptor, b"swapped", entry("/fifo", "p"))

    os.close(descriptor)


def test_a_sparse_file_takes_no_room_for_its_holes(target: Target, root: Path) -> None:
    size = 64 * 1024 * 1024
    wanted = entry("/sparse")._replace(size=size, extents=((4096, 7),))
    descriptor, temporary = target.start_file(wanted.path)
    os.pwrite(descriptor, b"content", 4096)

    target.finish_file(wanted, descriptor, temporary)

    status = (root / "sparse").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 < 1024 * 1024


# -- removing


def test_what_is_removed_may_have_gone_already_but_not_hold_anything(target: Target, root: Path) -> None:
    put(target, entry("/directory/file"))

    target.remove(b"/directory/none", is_directory=False)
    with pytest.raises(OSError, match="not empty"):
        target.remove(b"/directory", is_directory=True)
    target.remove(b"/directory/file", is_directory=False)
    target.remove(b"/directory", is_directory=True)
    put(target, entry("/directory/file"))

    assert (root / "directory/file").exists()


def test_nothing_is_removed_through_a_link(target: Target, root: Path, outside: Path) -> None:
    root.mkdir()
    (root / "trap").symlink_to(outside)

    for path, is_directory in ((b"/trap/file", False), (b"/trap/inner", True), (b"/trap", True)):
        with pytest.raises((LocalError, OSError)):
            target.remove(path, is_directory=is_directory)
    target.remove(b"/trap", is_directory=False)

    assert list(root.iterdir()) == []
