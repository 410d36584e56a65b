# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a large file costs, what a small change in it costs, and one small file beside it.

Usage: benchmarks/run large, see README.md.
"""

from __future__ import annotations

import random
import sys
import typing as t
from dataclasses import dataclass

from tests.servers.server import ServerError

from .measure import FailedError
from .networks import why_unavailable
from .stage import Result, job_of, keep, options_of, results, stage, title
from .table import COSTS, costs, markdown, seconds, span
from .trees import MixedTree, Text, fingerprint, noise, only_file, rest

if t.TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .measure import Figure
    from .stage import Runs, Stage

_MB = 1_000_000
_SIZE = 5_000 * _MB
_BETWEEN_DIFFERENCES = 100 * _MB
_SMALL_FILES = MixedTree(small_files=1_000, large_files=0, large_size=0)
_HEADER = ("work", "seconds", "range", *COSTS)


@dataclass(frozen=True)
class LargeFile:
    """A file of *size* bytes in which one MB that nothing can compress and one MB of text take turns."""

    size: int
    seed: int = 1

    def make(self, path: Path) -> None:
        """Write it, a piece at a time."""
        with path.open("wb") as file:
            file.writelines(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        chance = random.Random(self.seed)
        text = Text(chance)
        for number, start in enumerate(range(0, self.size, _MB)):
            length = min(_MB, self.size - start)
            yield from text.pieces(length) if number % 2 else noise(chance, length)

    def overwrite(self, path: Path) -> None:
        """Write one MB in its middle anew."""
        with path.open("r+b") as file:
            file.seek(self.size // 2)
            file.writelines(self._fresh("overwritten"))

    def insert(self, path: Path) -> None:
        """Put one more MB into its middle."""
        new = path.with_name("new")
        with path.open("rb") as old, new.open("wb") as file:
            for number, piece in enumerate(iter(lambda: old.read(_MB), b"")):
                if number == self.size // 2 // _MB:
                    file.writelines(self._fresh("inserted"))
                file.write(piece)
        new.replace(path)

    def copy_with_differences(self, path: Path, copy: Path) -> None:
        """Write a copy in which one MB of each hundred is another."""
        with path.open("rb") as old, copy.open("wb") as file:
            for position in range(0, path.stat().st_size, _MB):
                piece = old.read(_MB)
                if position % _BETWEEN_DIFFERENCES == 0:
                    piece = b"".join(self._fresh(f"copy {position}"))[: len(piece)]
                file.write(piece)

    def _fresh(self, name: str) -> Iterator[bytes]:
        return noise(random.Random(f"{self.seed} {name}"), _MB)


def works(at: Stage, options: argparse.Namespace) -> Iterator[tuple[str, Figure]]:
    """Do every work in turn, and yield what it cost; raises FailedError."""
    large = LargeFile(int(_SIZE * options.scale))
    source, job, host = at.empty("source"), job_of(options, "large"), at.host("host")
    path = source / "large.bin"
    large.make(path)
    rest()
    yield "first backup of a large file", at.measure(host.back_up(job, source))
    for work, change in (("1 MB of it overwritten", large.overwrite), ("1 MB inserted", large.insert)):
        change(path)
        rest()
        yield work, at.measure(host.back_up(job, source))
    target = at.empty("target")
    yield "restore it", at.measure(host.restore(job, target))
    if fingerprint(target / source.relative_to("/")) != fingerprint(source):
        message = "It restored something else than was backed up."
        raise FailedError(message)
    at.empty("target")
    yield from works_beside_small_files(at, options, large, path)


def works_beside_small_files(
    at: Stage, options: argparse.Namespace, large: LargeFile, path: Path
) -> Iterator[tuple[str, Figure]]:
    """Back up the large file at *path* twice, with small ones, and restore one of these where nothing is known."""
    source, job = at.empty("twice"), job_of(options, "twice")
    path.replace(source / "first.bin")
    large.copy_with_differences(source / "first.bin", source / "second.bin")
    _SMALL_FILES.make(source)
    rest()
    yield (
        "first backup of it, twice with differences, and small files",
        at.measure(at.host("other").back_up(job, source)),
    )
    target, sample = at.empty("target"), _SMALL_FILES.sample
    yield (
        "restore one small file on a new host",
        at.measure(at.host("new").restore(job, target, source / sample)),
    )
    if only_file(target).read_bytes() != (source / sample).read_bytes():
        message = f"It restored {sample} with another content than it has."
        raise FailedError(message)


def runs(options: argparse.Namespace) -> Runs:
    """Yield the works of one run after the other, each with everything made anew."""
    for _run in range(options.runs):
        with stage(options.place, options.network) as at:
            yield works(at, options)


def rows(found: Sequence[Result]) -> Iterator[Sequence[str]]:
    """Yield the rows of the table."""
    for result in found:
        if result.failure is not None:
            yield (result.work, f"failed: {result.failure}")
        else:
            yield (result.work, f"{seconds(result.figures):.2f}", span(result.figures), *costs(result.figures))


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    parser = options_of("large", __doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of 5 GB the file has (default: 1)")
    options = parser.parse_args(arguments)
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    try:
        found = results(int(_SIZE * options.scale), runs(options))
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    keep(options.json, options, found)
    print(title(options))
    print(markdown(_HEADER, list(rows(found)), texts=1))
    return 1 if any(result.failure for result in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
