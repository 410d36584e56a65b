# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how the work grows with the number of files, from ten thousand to a million.

Usage: benchmarks/run scale, see README.md.
"""

from __future__ import annotations

import sys
import typing as t

from tests.servers.server import ServerError

from .measure import FailedError
from .networks import why_unavailable
from .stage import Result, job_of, keep, options_of, results, stage, title
from .table import COSTS, costs, markdown, processor, seconds
from .trees import TinyTree, count, only_file, rest

if t.TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .host import Job
    from .measure import Figure
    from .stage import Runs, Stage

SIZES = (10_000, 100_000, 1_000_000)
_HEADER = ("work", "files", "seconds", "µs a file", "processor µs a file", *COSTS)
_MICROSECONDS = 1_000_000


def works(at: Stage, tree: TinyTree, job: Job) -> Iterator[tuple[str, Figure]]:
    """Do every work in turn, and yield what it cost; raises FailedError."""
    source, target = at.empty("source"), at.empty("target")
    tree.make(source)
    rest()
    host = at.host("host")
    yield "first backup", at.measure(host.back_up(job, source))
    yield "nothing changed", at.measure(host.back_up(job, source))
    tree.change(source, 0)
    rest()
    yield "one per cent changed", at.measure(host.back_up(job, source))
    yield "reindex on a new host", at.measure(at.host("new host").reindex())
    for work in ("restore all", "restore all again, everything equal"):
        yield work, at.measure(host.restore(job, target))
        _require_equal(tree, source, target / source.relative_to("/"))
    target = at.empty("target")
    yield "restore one file", at.measure(host.restore(job, target, source / tree.sample))
    if only_file(target).read_bytes() != (source / tree.sample).read_bytes():
        message = f"It restored {tree.sample} with another content than it has."
        raise FailedError(message)


def _require_equal(tree: TinyTree, source: Path, restored: Path) -> None:
    """Raise unless all was restored: as many files and bytes, and the right content in some of them."""
    is_equal = count(restored) == count(source) and all(
        (restored / path).read_bytes() == (source / path).read_bytes() for path in tree.some
    )
    if not is_equal:
        message = "It restored something else than was backed up."
        raise FailedError(message)


def runs(options: argparse.Namespace, files: int) -> Runs:
    """Yield the works of one run after the other, each with everything made anew."""
    for _run in range(options.runs):
        with stage(options.place, options.network) as at:
            yield works(at, TinyTree(files), job_of(options, "tiny"))


def rows(found: Sequence[Result]) -> Iterator[Sequence[str]]:
    """Yield the rows of the table: work by work, so that one sees whether it grows with the files."""
    for work in dict.fromkeys(result.work for result in found):
        for result in found:
            if result.work == work:
                yield _row(result)


def _row(result: Result) -> Sequence[str]:
    if result.failure is not None:
        return (result.work, f"{result.size:,}", f"failed: {result.failure}")
    took, used = seconds(result.figures), processor(result.figures)
    shares = (f"{_MICROSECONDS * amount / result.size:.1f}" for amount in (took, used))
    return (result.work, f"{result.size:,}", f"{took:.2f}", *shares, *costs(result.figures))


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    parser = options_of("scale", __doc__)
    sizes = " ".join(map(str, SIZES))
    parser.add_argument("--files", type=int, nargs="+", default=SIZES, help=f"how many files (default: {sizes})")
    options = parser.parse_args(arguments)
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    found: list[Result] = []
    try:
        for files in options.files:
            found += results(files, runs(options, files))
            keep(options.json, options, found)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    print(title(options))
    print(markdown(_HEADER, list(rows(found)), texts=2))
    return 1 if any(result.failure for result in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
