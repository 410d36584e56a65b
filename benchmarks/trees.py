# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is backed up: trees of files that come out the same on every machine, and how they change."""

from __future__ import annotations

import hashlib
import os
import random
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_MIB = 1024 * 1024
_SMALLEST, _BIGGEST = 512, 12 * 1024
_FILES_A_DIRECTORY = 40
_TINY_FILES_A_DIRECTORY = 100
_LARGEST_TINY = 2048
_STOCK_WORDS = 2_000_000
_PIECE = 32 * 1024


class Tree(t.Protocol):
    """A tree of files that can be made, and changed by one per cent."""

    def __str__(self) -> str:
        """Tell what it holds, in a few words."""

    def scaled(self, divisor: int) -> Tree:
        """Return the same tree with a *divisor*-th of everything."""

    def make(self, root: Path) -> None:
        """Write it below *root*, which is empty."""

    def change(self, root: Path, turn: int) -> None:
        """Change one per cent of it, each *turn* to other content."""

    @property
    def sample(self) -> PurePosixPath:
        """Name the small file that is restored alone."""


@dataclass(frozen=True)
class MixedTree:
    """Many small files of text, and a few large ones: the even ones random bytes, the odd ones text."""

    small_files: int = 10_000
    large_files: int = 8
    large_size: int = 64 * _MIB
    seed: int = 1

    def __str__(self) -> str:
        return f"{self.small_files:,} small files and {self.large_files * self.large_size / _MIB:.0f} MiB of large ones"

    def scaled(self, divisor: int) -> MixedTree:
        return replace(self, small_files=self.small_files // divisor, large_size=self.large_size // divisor)

    @property
    def sample(self) -> PurePosixPath:
        return self._small(self.small_files // 2)

    def make(self, root: Path) -> None:
        chance = random.Random(self.seed)
        text = Text(chance)
        for number in range(self.small_files):
            path = root / self._small(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.fresh(chance.randint(_SMALLEST, _BIGGEST)))
        for number in range(self.large_files):
            path = root / _large(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(text.pieces(self.large_size) if number % 2 else noise(chance, self.large_size))

    def change(self, root: Path, turn: int) -> None:
        """Write every hundredth small file anew, and one per cent of the large ones' bytes, in the middle of one."""
        chance = random.Random(f"{self.seed} {turn}")
        text = Text(chance)
        for number in range(0, self.small_files, 100):
            (root / self._small(number)).write_bytes(text.fresh(chance.randint(_SMALLEST, _BIGGEST)))
        if self.large_files:
            with (root / _large(0)).open("r+b") as file:
                file.seek(self.large_size // 3)
                file.writelines(noise(chance, self.large_files * self.large_size // 100))

    def _small(self, number: int) -> PurePosixPath:
        directory = number // _FILES_A_DIRECTORY
        return PurePosixPath(f"small/{directory // 16:02d}/{directory % 16:02d}/file{number:06d}.txt")


def _large(number: int) -> PurePosixPath:
    return PurePosixPath(f"large/image{number}.bin")


def noise(chance: random.Random, size: int) -> Iterator[bytes]:
    """Yield *size* bytes that nothing can compress."""
    for start in range(0, size, _MIB):
        yield chance.randbytes(min(_MIB, size - start))


class Text:
    """A seeded source of text that compresses about as well as prose and logs do."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words = [f"{chance.getrandbits(8 + number % 20):x}" for number in range(4000)]
        self._stock = b""

    def fresh(self, size: int) -> bytes:
        """Return *size* bytes that were never returned before."""
        text = ""
        while len(text) < size:
            text += " ".join(self._chance.choices(self._words, k=12)) + "\n"
        return text[:size].encode("ascii")

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield *size* bytes, cut at random places from one stock: quick to make, and no long part comes twice."""
        if not self._stock:
            self._stock = " ".join(self._chance.choices(self._words, k=_STOCK_WORDS)).encode("ascii")
        for start in range(0, size, _PIECE):
            offset = self._chance.randrange(len(self._stock) - _PIECE)
            yield self._stock[offset : offset + min(_PIECE, size - start)]


@dataclass(frozen=True)
class TinyTree:
    """So many files of up to 2 KiB that nothing counts but their number; they are made quickly and no two are alike."""

    files: int

    def __str__(self) -> str:
        return f"{self.files:,} tiny files"

    def scaled(self, divisor: int) -> TinyTree:
        return replace(self, files=self.files // divisor)

    @property
    def sample(self) -> PurePosixPath:
        return PurePosixPath(_tiny(self.files // 2))

    @property
    def some(self) -> Iterator[PurePosixPath]:
        """Name files enough to compare where comparing all would take too long, changed ones among them."""
        return (PurePosixPath(_tiny(number)) for number in range(0, self.files, max(1, self.files // 1000)))

    def make(self, root: Path) -> None:
        for directory in range(0, self.files, _TINY_FILES_A_DIRECTORY):
            (root / _tiny(directory)).parent.mkdir(parents=True)
        for number in range(self.files):
            _write(f"{root}/{_tiny(number)}", _tiny_content(number, 0))

    def change(self, root: Path, turn: int) -> None:
        for number in range(0, self.files, 100):
            _write(f"{root}/{_tiny(number)}", _tiny_content(number, turn + 1))


def _tiny(number: int) -> str:
    directory = number // _TINY_FILES_A_DIRECTORY
    return f"{directory // 100:03d}/{directory % 100:02d}/{number:07d}.txt"


def _tiny_content(number: int, version: int) -> bytes:
    """Return content that differs between files and versions; some of it is empty, as some files are."""
    line = b"%07d %d the same as in all others\n" % (number, version)
    size = (number * 7919 + version) % (_LARGEST_TINY + 1)
    return (line * (size // len(line) + 1))[:size]


def _write(path: str, content: bytes) -> None:
    """Write a file with as few calls as can be: there may be a million of them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    if content:
        os.write(descriptor, content)
    os.close(descriptor)


@dataclass(frozen=True)
class Fingerprint:
    """How many files a tree has, how big they are together, and a digest of all names and contents."""

    files: int
    bytes: int
    digest: str


def fingerprint(root: Path) -> Fingerprint:
    """Read all files below *root*, which also brings them into the page cache."""
    paths = sorted(path for path in _files(root))
    digest, size = hashlib.sha256(), 0
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        size += path.stat().st_size
        digest.update(f"{path.relative_to(root)}\0{content}\n".encode())
    return Fingerprint(len(paths), size, digest.hexdigest())


def count(root: Path) -> tuple[int, int]:
    """Return how many files there are below *root*, and how many bytes they have together."""
    sizes = [path.stat().st_size for path in _files(root)]
    return len(sizes), sum(sizes)


def rest() -> None:
    """Wait longer than any file system's clock takes to tick, so that nobody must take a change for a racy one."""
    time.sleep(2)


def only_file(root: Path) -> Path:
    """Return the one file below *root*."""
    (path,) = _files(root)
    return path


def _files(root: Path) -> Iterator[Path]:
    for directory, _directories, names in os.walk(root):
        for name in names:
            yield Path(directory, name)


TREES: dict[str, Tree] = {"mixed": MixedTree(), "small": MixedTree(small_files=1_000, large_files=0, large_size=0)}
