# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree that changes at random in every way that a tree can; a seed repeats it."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import typing as t
from contextlib import suppress

if t.TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

LEFT_OUT = ("*.tmp", "/skipped")  # lines of a .gitignore; `is_left_out` says the same in other words

_NAMES = (
    "a",
    "b",
    "a-b",
    "a.b",
    "deep",
    "data",
    "log.tmp",
    "skipped",
    " blank ",
    "line\nbreak",
    "gr\xfcn",
    "%20",
    "-r",
)
_BYTES = (b"\xff\xfe", b"half \xc3")
_SIZES = (0, 1, 511, 512, 513, 4096, 20_000, 70_000)
_LARGE = 9 * 1024 * 1024
_HOLE = 256 * 1024
_NANOSECONDS = (0, 1, -(10**9) + 5, 1_000_000_000_123_456_789, 4_000_000_000_000_000_001)
_MOST = 120


def is_left_out(name: bytes) -> bool:
    """Tell whether LEFT_OUT leaves *name*, relative to its root, out."""
    parts = name.split(b"/")
    return parts[0] == b"skipped" or any(part.endswith(b".tmp") for part in parts)


class Wilderness:
    """The tree at *top*, which *chance* changes below its *roots*; with *has_large*, some of it in a large file."""

    def __init__(self, top: Path, roots: tuple[str, ...], chance: random.Random, *, has_large: bool) -> None:
        self._roots = [top / root if root else top for root in roots]
        self._chance = chance
        self._has_large = has_large
        self._removed: list[bytes] = []
        for root in self._roots:
            root.mkdir(parents=True, exist_ok=True)
        if has_large:
            (self._roots[0] / "large").write_bytes(chance.randbytes(_LARGE))

    def change(self, count: int) -> None:
        """Change *count* things; what cannot be done as things are is left."""
        for _number in range(count):
            deed = self._chance.choice(self._deeds())
            with suppress(OSError):
                deed()

    def readable_file(self) -> Path | None:
        """Return a file that has one name, or None if there is none."""
        alone = [path for path in self._all() if _is_file(path) and path.lstat().st_nlink == 1 and path.stat().st_size]
        return self._chance.choice(alone) if alone else None

    def _deeds(self) -> list[Callable[[], None]]:
        if len(self._all()) > _MOST:
            return [self._remove]
        content = [self._write, self._write, self._write, self._bring_back, self._copy, self._append, self._overwrite]
        content += [self._make_sparse, self._change_large] if self._has_large else [self._make_sparse]
        shape = [self._rename, self._rename, self._remove, self._remove, self._make_directory, self._turn]
        metadata = [self._change_mode, self._change_owner, self._change_times, self._change_attributes, self._set_acl]
        others = [self._link, self._link_hard, self._make_special]
        return [*content, *shape, *metadata, *others]

    # -- choosing

    def _all(self) -> list[Path]:
        """Return everything below the roots, in an order that does not depend on the file system."""
        return sorted(
            (path for root in self._roots for path in root.rglob("*") if path.name != "large"), key=os.fsencode
        )

    def _directory(self) -> Path:
        return self._chance.choice([*self._roots, *(path for path in self._all() if _is_directory(path))])

    def _new(self) -> Path:
        """Return a path that may be free."""
        name = self._chance.choice((*_NAMES, *map(os.fsdecode, _BYTES), "n" * self._chance.choice((100, 101, 250))))
        return self._directory() / f"{name}{self._chance.choice(('', '', '1', '2'))}"

    def _any(self) -> Path:
        everything = self._all()
        if not everything:
            raise FileNotFoundError("there is nothing that could be changed")
        return self._chance.choice(everything)

    def _file(self) -> Path:
        files = [path for path in self._all() if _is_file(path)]
        return self._chance.choice(files) if files else self._new()

    # -- content

    def _content(self) -> bytes:
        size = self._chance.choice(_SIZES)
        return self._chance.choice([self._chance.randbytes(size), b"text " * (size // 5)])

    def _write(self) -> None:
        _put(self._chance.choice([self._new(), self._file()]), self._content())

    def _append(self) -> None:
        with self._file().open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(self._content())

    def _overwrite(self) -> None:
        """Change content, and nothing that anybody would see but by the time of the inode's change."""
        path = self._file()
        status = path.stat()
        path.write_bytes(self._chance.randbytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _copy(self) -> None:
        _put(self._new(), self._file().read_bytes())

    def _bring_back(self) -> None:
        """Write what was removed once."""
        if self._removed:
            _put(self._new(), self._chance.choice(self._removed))

    def _make_sparse(self) -> None:
        path = self._new()
        with path.open("xb") as file:
            for number in range(self._chance.randrange(3)):
                file.seek(number * _HOLE + self._chance.choice((0, 4096, _HOLE // 2)))
                file.write(self._chance.randbytes(self._chance.choice((10, 5000))))
            file.truncate(3 * _HOLE + self._chance.choice((0, 1)))

    def _change_large(self) -> None:
        with (self._roots[0] / "large").open("r+b") as file:
            file.seek(self._chance.randrange(_LARGE))
            file.write(self._chance.randbytes(self._chance.choice((1, 1000, 100_000))))

    # -- shape

    def _make_directory(self) -> None:
        (self._new() / self._chance.choice(_NAMES)).mkdir(parents=True)

    def _rename(self) -> None:
        self._any().rename(self._new())

    def _remove(self) -> None:
        path = self._any()
        if _is_directory(path):
            shutil.rmtree(path)
            return
        if _is_file(path):
            self._removed = [*self._removed[-10:], path.read_bytes()]
        path.unlink()

    def _turn(self) -> None:
        """Make a file of a directory, or the other way around."""
        path = self._any()
        if _is_directory(path):
            shutil.rmtree(path)
            path.write_bytes(self._content())
        else:
            path.unlink()
            path.mkdir()
            (path / "inside").write_bytes(self._content())

    def _link(self) -> None:
        self._new().symlink_to(self._chance.choice(["a", "../b", "/nowhere", os.fsdecode(b"\xff"), "t" * 300]))

    def _link_hard(self) -> None:
        self._new().hardlink_to(self._file())

    def _make_special(self) -> None:
        kind = self._chance.choice([stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
        os.mknod(self._new(), 0o620 | kind, os.makedev(1, 3) if kind == stat.S_IFCHR else 0)

    # -- metadata

    def _change_mode(self) -> None:
        path = self._any()
        if not path.is_symlink():
            path.chmod(self._chance.choice((0o600, 0o644, 0o755, 0o4755, 0o2770, 0o1777, 0o000)))

    def _change_owner(self) -> None:
        os.chown(self._any(), *self._chance.choice(((0, 0), (12345, 54321), (2_097_152, 1))), follow_symlinks=False)

    def _change_times(self) -> None:
        nanoseconds = self._chance.choice(_NANOSECONDS)
        os.utime(self._any(), ns=(nanoseconds, nanoseconds), follow_symlinks=False)

    def _change_attributes(self) -> None:
        path = self._any()
        name = self._chance.choice(("user.one", "user.two", "trusted.one"))
        if self._chance.random() < 0.3:
            os.removexattr(path, name, follow_symlinks=False)
        else:
            value = self._chance.choice((b"", b"\0\xff", b"v" * 2000))
            os.setxattr(path, name, value, follow_symlinks=False)

    def _set_acl(self) -> None:
        """Let one more user read what is there: version 2, then tag, permissions and number of each entry."""
        nobody = 0xFFFFFFFF
        entries = ((1, 6, nobody), (2, 4, 12345), (4, 4, nobody), (16, 4, nobody), (32, 4, nobody))
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(self._any(), "system.posix_acl_access", value)


def _put(path: Path, content: bytes) -> None:
    """Write *content* to the file *path*, unless something else lies there: nobody reads what is written to a FIFO."""
    if not os.path.lexists(path) or _is_file(path):
        path.write_bytes(content)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _is_directory(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)
