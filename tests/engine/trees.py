# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees for backups: one that has a bit of everything, ways to change it, and all that can be known of a tree."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
import typing as t
from collections import defaultdict
from contextlib import suppress

if t.TYPE_CHECKING:
    from pathlib import Path

BIG = 20 * 1024 * 1024
BIG_FILE = "big.img"

_ODD_NAMES = (
    b"not \xff\xfe utf-8",
    b"line\nbreak",
    b" spaces ",
    b"-dash",
    "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n".encode(),
)


class Node(t.NamedTuple):
    """All that can be known of one name; *names* are those of the same inode, and *size* is that of a file."""

    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    digest: str
    target: bytes
    device: int
    xattrs: tuple[tuple[str, bytes], ...]
    names: tuple[bytes, ...]


Tree = dict[bytes, Node]


def tree_of(top: Path) -> Tree:
    """Return everything at and below *top*, by its path relative to it."""
    found: dict[bytes, os.stat_result] = {}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for path in [directory, *(os.path.join(directory, name) for name in (*directories, *files))]:  # noqa: PTH118 - names that are no text
            found[os.path.relpath(path, os.fsencode(top))] = os.lstat(path)
    names: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    for name, status in sorted(found.items()):
        if not stat.S_ISDIR(status.st_mode):
            names[status.st_dev, status.st_ino].append(name)
    return {name: _node(top, name, status, names) for name, status in found.items()}


def _node(top: Path, name: bytes, status: os.stat_result, names: dict[tuple[int, int], list[bytes]]) -> Node:
    path = top / os.fsdecode(name)
    kind = stat.S_IFMT(status.st_mode)
    is_file = kind == stat.S_IFREG
    return Node(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns,
        size=status.st_size if is_file else 0,
        digest=hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "",
        target=os.fsencode(path.readlink()) if kind == stat.S_IFLNK else b"",
        device=status.st_rdev,
        xattrs=_xattrs(path),
        names=tuple(names[status.st_dev, status.st_ino]) if kind != stat.S_IFDIR else (),
    )


def _xattrs(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    except OSError:
        return ()


def room_of(top: Path) -> dict[bytes, int]:
    """Return how many bytes of the disk every file at and below *top* takes, which may have holes."""
    files = [path for path in top.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    return {os.path.relpath(os.fsencode(path), os.fsencode(top)): path.lstat().st_blocks * 512 for path in files}


def contents_of(tree: Tree) -> dict[bytes, str]:
    """Return the digest of every file of *tree* that is not empty."""
    return {name: node.digest for name, node in tree.items() if node.size}


def bytes_to_send(before: Tree, after: Tree) -> tuple[int, int]:
    """Return how much of *after* is not in *before* under the same name: the least that must be sent, and the most.

    A segment is of 8 MiB at most, so one change inside of a larger file costs no more than that.
    """
    least = most = 0
    for name, node in after.items():
        old = before.get(name)
        is_known = old is not None and (old.digest, old.size) == (node.digest, node.size)
        if not node.size or name != node.names[0] or is_known:
            continue
        is_piece = old is not None and old.size == node.size > 8 * 1024 * 1024
        least += 1 if is_piece else node.size
        most += 2048 + (8 * 1024 * 1024 if is_piece else node.size)
    return least, most


def make_tree(top: Path, *, big: int = BIG) -> None:
    """Make a tree at *top* that has everything a tree can have; its contents cannot be compressed."""
    chance = random.Random(1)
    top.mkdir()
    for directory in ("docs/deep/er", "empty", "etc", "odd"):
        (top / directory).mkdir(parents=True)
    for number in range(30):
        (top / "docs" / f"{number:02d}.txt").write_bytes(chance.randbytes(chance.randrange(1, 20_000)))
    (top / "docs/deep/er/one").write_bytes(b"one")
    (top / "docs-beside").write_text("comes after all of docs/ in a manifest")
    (top / "text").write_text("all work and no play\n" * 5000)
    (top / "empty file").touch()
    (top / BIG_FILE).write_bytes(chance.randbytes(big))
    for odd_name in _ODD_NAMES:
        (top / "odd" / os.fsdecode(odd_name)).write_bytes(odd_name)
    (top / "odd" / ("long " * 48)).write_bytes(b"240 characters")
    (top / "link to file").symlink_to("docs/00.txt")
    (top / "link to nowhere").symlink_to(os.fsdecode(b"/nowhere/\xff"))
    (top / "link to directory").symlink_to("docs")
    (top / "first name").write_bytes(chance.randbytes(5000))
    for other in ("second name", "etc/third name"):
        (top / other).hardlink_to(top / "first name")
    os.mkfifo(top / "fifo", 0o640)
    with suppress(PermissionError):  # a container may not be allowed to
        os.mknod(top / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (top / "etc/secret").write_bytes(b"secret")
    (top / "etc/secret").chmod(0o600)
    (top / "etc/program").write_bytes(b"#!/bin/sh\n")
    (top / "etc/program").chmod(0o4755)
    (top / "empty").chmod(0o2770)
    if os.geteuid() == 0:
        os.chown(top / "etc/secret", 12345, 54321)
        os.chown(top / "link to file", 12345, 54321, follow_symlinks=False)
    for name in ("text", "etc"):
        with suppress(OSError):  # not every file system has them
            os.setxattr(top / name, "user.comment", b"\0binary\xff")
    os.utime(top / "docs/01.txt", ns=(0, 1))
    os.utime(top / "docs/02.txt", ns=(0, -(10**9) + 5))
    os.utime(top / "empty", ns=(0, 1_000_000_000_123_456_789))


def change_tree(top: Path, number: int) -> None:
    """Change the tree at *top* in each way that a tree can change; every *number* does it elsewhere."""
    chance = random.Random(1000 + number)
    docs = top / "docs"
    (docs / f"new {number}").write_bytes(chance.randbytes(30_000))
    (docs / f"{number:02d}.txt").write_bytes(chance.randbytes(25_000))
    with (docs / f"{number + 10:02d}.txt").open("ab") as file:
        file.write(b"appended")
    (docs / f"{number + 20:02d}.txt").unlink()
    (docs / "deep").rename(top / f"moved {number}")
    (docs / "deep/er").mkdir(parents=True)
    (docs / "deep/er/one").write_bytes(b"two" * number)
    with (top / BIG_FILE).open("r+b") as file:
        file.seek((top / BIG_FILE).stat().st_size // 2 + 1000)
        file.write(chance.randbytes(100))
    (top / "etc/program").chmod(0o700 + number)
    (top / "text").chmod(0o600 + number)
    (top / "link to file").unlink()
    (top / "link to file").symlink_to(f"docs/{number:02d}.txt")
    os.utime(top / "docs-beside", ns=(0, number * 10**9 + number))
    with suppress(OSError):
        os.setxattr(top / "text", "user.comment", b"%d" % number)
    (top / "etc/third name").unlink()
    (top / "etc/third name").hardlink_to(top / "docs-beside" if number % 2 else top / "first name")
    _swap(top / "etc/changeling", number)
    (top / "empty" / f"{number}").mkdir()


def _swap(path: Path, number: int) -> None:
    """Make *path* a file, a directory, a link and nothing, in turn."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    if number % 4 == 1:
        path.write_bytes(b"a file")
    elif number % 4 == 2:
        (path / "inside").mkdir(parents=True)
        (path / "inside/file").write_bytes(b"inside")
    elif number % 4 == 3:
        path.symlink_to("program")
