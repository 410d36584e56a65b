# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what an index of many restore points costs: to make it, to make it anew, and to ask it.

Usage: benchmarks/run index, see README.md. The restore points are manifests alone, laid where the server has its files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import typing as t
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    DIRECTORY,
    FILE,
    FILES,
    Entry,
    Header,
    Part,
    Place,
    time_text,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import ManifestWriter, VolumeSize
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import JOB_FILE, JobFile
from tests.servers.server import ServerError

from .measure import FailedError, Figure, run
from .networks import why_unavailable
from .stage import stage
from .surroundings import surroundings
from .table import markdown
from .workshop import add_place

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path as RemotePath

    from .host import Host
    from .stage import Stage

_CLIENT, _JOB, _STRUCTURE, _POOL = "web01", "web sites", "deduplicated", "pool"
_BEGINNING = datetime(2026, 1, 1, 3, tzinfo=timezone.utc)
_IN_A_DIRECTORY = 100
_CHANGING = 100  # from one restore point to the next, one file of so many changes
_SIZE = 20_000
_TOP = "/srv/www"
_LIMIT = 10_000  # the most that can be asked for, so that nothing ends before all was looked at
_HEADER = ("work", "answers", "seconds", "range", "memory MB", "received MB")
_MB = 1_000_000


@dataclass(frozen=True)
class Past:
    """A job with as many restore points as *points*, a day each, of as many files as *files*."""

    files: int
    points: int
    directory: Path

    def make(self) -> None:
        """Lay the job and its restore points into the directory that the server shows."""
        job = JobFile(_CLIENT, _JOB, "0123456789abcdef", _STRUCTURE)
        self._write(names.job_directory(_CLIENT, _JOB) / JOB_FILE, job.to_json())
        for seq in range(1, self.points + 1):
            self.add(seq)
            print(f"{seq} of {self.points} restore points", file=sys.stderr, flush=True)

    def add(self, seq: int) -> None:
        """Lay the restore point *seq* there."""
        started = self.day(seq)
        run_id = names.run_id(started, f"{seq:06x}")
        paths = (_TOP,)
        header = Header(run_id, seq, _CLIENT, _JOB, _STRUCTURE, _POOL, started, paths, "benchmark", "benchmark")
        pieces: list[bytes] = []
        writer = ManifestWriter(pieces.append, header)
        for entry in self._entries(seq):
            writer.add(entry)
        part = Part(FILES, _TOP, writer.entries, writer.size)
        volumes = dict.fromkeys(writer.volumes, VolumeSize(2**40, 2**40))
        writer.finish(complete=True, problems=(), parts=(part,), volumes=volumes)
        self._write(names.manifest_path(names.job_directory(_CLIENT, _JOB), seq, run_id), b"".join(pieces))

    def day(self, seq: int) -> datetime:
        return _BEGINNING + timedelta(days=seq)

    def _entries(self, seq: int) -> Iterator[Entry]:
        yield _directory(_TOP)
        for number in range(self.files):
            inside = number % _IN_A_DIRECTORY
            directory = f"{_TOP}/site-{number // _IN_A_DIRECTORY:06d}"
            if not inside:
                yield _directory(directory)
            # The day it changed last: every day in its turn, and the first one.
            changed = seq - (seq - number) % _CHANGING
            yield _file(f"{directory}/page-{inside:02d}.html", max(1, changed), number)

    def _write(self, path: RemotePath, content: bytes) -> None:
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    @property
    def questions(self) -> dict[str, dict[str, object]]:
        """What is asked, by the words of the table."""
        middle = f"{_TOP}/site-{self.files // _IN_A_DIRECTORY // 2:06d}"
        date = time_text(self.day(self.points // 2) + timedelta(hours=1))
        job = {"client": _CLIENT, "job": _JOB, "limit": _LIMIT}
        return {
            "all restore points": job,
            "newest restore point not after a date": {**job, "point": date},
            "versions of one path": {**job, "paths": [f"{middle}/page-50.html"]},
            "versions of a glob within one directory": {**job, "paths": [f"{middle}/*-5?.html"]},
            "one directory as it was at a date": {**job, "point": date, "paths": [middle]},
            "versions of `**/name`": {**job, "paths": ["/**/page-50.html"]},
            "versions of `**/*`, the first 10,000": {**job, "paths": ["/**/*"]},
            "versions of a glob without a letter": {**job, "paths": ["/**/???????????????"]},
            "versions of parts": {**job, "parts": ["/**"]},
        }


def _directory(path: str) -> Entry:
    return Entry(path.encode(), DIRECTORY, 0o755, 0, 0, "root", "root", 10**18)


def _file(path: str, day: int, number: int) -> Entry:
    digest = hashlib.sha256(f"{path} {day}".encode()).hexdigest()
    volume = f"v00/{names.run_id(_BEGINNING + timedelta(days=day), f'{day:06x}')}-000001.tar.gz"
    place = Place(volume, number // 512 * 2**20, 2**20, number % 512 * 32768 + 512, _SIZE)
    mtime = 10**18 + day * 86400 * 10**9
    return Entry(
        path.encode(), FILE, 0o644, 33, 33, "www-data", "www-data", mtime, _SIZE, digest, "1:2", places=(place,)
    )


@dataclass
class Row:
    """One work, with what each run cost, and how much was answered."""

    work: str
    figures: list[Figure] = field(default_factory=list)
    answers: str = ""

    def cells(self) -> Sequence[str]:
        each = [figure.seconds for figure in self.figures]
        memory = statistics.median(figure.memory for figure in self.figures) / _MB
        received = statistics.median(figure.traffic.received for figure in self.figures) / _MB
        return (
            *(self.work, self.answers, f"{statistics.median(each):.3f}"),
            *(f"{min(each):.3f} to {max(each):.3f}", f"{memory:.0f}", f"{received:.3f}"),
        )


def _ask(at: Stage, host: Host, question: dict[str, object]) -> tuple[Figure, str]:
    """Ask the index of *host*, and return what that cost and how much it answered."""
    figure = run(host.ask(question), at.directory, at.network.listen)
    said = json.loads((at.directory / "output").read_text("utf-8").splitlines()[-1])["answers"]
    return figure, ", ".join(f"{count:,} {name}" for name, count in said.items() if len(said) == 1 or name != "points")


def _measured(at: Stage, options: argparse.Namespace) -> tuple[list[Row], int]:
    """Do every work, and return what it cost, and the size of the index."""
    past = Past(options.files, options.points, at.server.below("backups").root)
    host = at.host("host")
    past.make()
    made = Row("reindex on a new host", [at.measure(host.reindex())])
    (index,) = (at.directory / "host").rglob("index-*.sqlite")
    rows = [Row("reindex, nothing changed")]
    for _run in range(options.runs):
        rows[0].figures.append(at.measure(host.reindex()))
    for words, question in past.questions.items():
        row = Row(words)
        for _run in range(options.runs):
            figure, row.answers = _ask(at, host, question)
            row.figures.append(figure)
        rows.append(row)
    size = index.stat().st_size
    past.add(options.points + 1)
    added = Row("reindex, one more restore point", [at.measure(host.reindex())])
    return [made, rows[0], added, *rows[1:]], size


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/run index", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="files in a restore point (default: %(default)s)")
    parser.add_argument("--points", type=int, default=50, help="how many restore points (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="how often each question is asked (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE")
    add_place(parser)
    options = parser.parse_args(arguments)
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    try:
        with stage(options.place, "loopback") as at:
            rows, size = _measured(at, options)
    except (ServerError, FailedError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        facts = {"files": options.files, "points": options.points, "index": size, **surroundings([])}
        options.json.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n", "utf-8")
    print(f"{options.points} restore points of {options.files:,} files, an index of {size / _MB:.1f} MB:\n")
    print(markdown(_HEADER, [row.cells() for row in rows], texts=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
