# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the collection side by side with other programs against a real Pure-FTPd over TLS; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.servers.server import ServerError

from .contestants import CONTESTANTS, Contestant, what_is_missing
from .networks import NETWORKS, why_not_far, why_unavailable
from .race import Failure, Measurement, Race
from .surroundings import surroundings
from .table import table
from .trees import TREES, Tree
from .workshop import add_place, workshop

if t.TYPE_CHECKING:
    from collections.abc import Iterator

#: In Debian, each of the programs that may be missing is in the package of its name.
PEERS = ("lftp", "rclone", "restic", "duplicity")

QUICK = 10

#: What is run when nothing else is asked for: a tree, and the network it is backed up over.
COURSES = (("mixed", "loopback"), ("small", "far"))


@dataclass(frozen=True)
class Course:
    """What is backed up over what; *name* stands for both in the table."""

    name: str
    tree: Tree
    network: str


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    courses: tuple[Course, ...]
    contestants: tuple[Contestant, ...]
    runs: int
    raw: Path | None
    place: Path

    @property
    def missing(self) -> dict[str, list[str]]:
        """The programs that are not installed, by contestant."""
        return {each.name: missing for each in self.contestants if (missing := what_is_missing(each))}

    @property
    def present(self) -> list[Contestant]:
        """Those that can run."""
        return [each for each in self.contestants if each.name not in self.missing]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options that *arguments* give."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--runs", type=int, help="how many rounds to take the medians of (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, once, to see whether it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE, after each round")
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="only those with WORD in their name; repeatable"
    )
    both = " and ".join(f"{tree} over {network}" for tree, network in COURSES)
    parser.add_argument("--tree", choices=TREES, help=f"what is backed up (default: {both})")
    parser.add_argument("--network", choices=NETWORKS, help="over what (default: the same)")
    add_place(parser)
    parser.add_argument(
        "--install-peers", action="store_true", help=f"first apt-get install {' '.join(PEERS)}, as root"
    )
    return parser.parse_args(arguments)


def plan(options: argparse.Namespace) -> Plan:
    """Return what *options* mean."""
    words = options.only or [""]
    return Plan(
        courses=tuple(courses(options)),
        contestants=tuple(each for each in CONTESTANTS if any(word in each.name for word in words)),
        runs=options.runs or (1 if options.quick else 5),
        raw=options.json,
        place=options.place,
    )


def courses(options: argparse.Namespace) -> Iterator[Course]:
    """Yield the courses that *options* ask for; of those that nobody asked for by name, only what is possible here."""
    wanted: tuple[tuple[str, str], ...] = COURSES
    if options.tree or options.network:
        wanted = ((options.tree or COURSES[0][0], options.network or COURSES[0][1]),)
    for tree, network in wanted:
        if network == "far" and options.network is None and (why := why_not_far()):
            print(f"Nothing is measured over a far network: {why}", file=sys.stderr)
            continue
        yield Course(f"{tree}, {network}", TREES[tree].scaled(QUICK if options.quick else 1), network)


def measure(planned: Plan) -> list[Measurement]:
    """Measure what is planned, and write the raw figures after each round."""
    measurements: list[Measurement] = []
    for course in planned.courses:
        network = NETWORKS[course.network]()
        with workshop(planned.place) as directory, network.open(directory / "server") as server:
            race = Race(planned.present, course.name, course.tree, network, server, directory)
            found = race.make_tree()
            print(f"{course.name}: {course.tree} ({found.files:,} files, {found.bytes:,} bytes), {network}")
            for turn in range(planned.runs):
                measurements += race.round(turn)
                if planned.raw is not None:
                    planned.raw.write_text(raw(planned, measurements), encoding="utf-8")
    return measurements


def raw(planned: Plan, measurements: list[Measurement]) -> str:
    """Return everything that was measured as JSON."""
    facts = {
        "courses": {course.name: str(course.tree) for course in planned.courses},
        "runs": planned.runs,
        **surroundings(("curl", *PEERS)),
        "not installed": planned.missing,
        "measurements": [_as_json(measurement) for measurement in measurements],
    }
    return json.dumps(facts, indent=1) + "\n"


def _as_json(measurement: Measurement) -> dict[str, object]:
    facts: dict[str, object] = {
        "course": measurement.course,
        "round": measurement.turn,
        "work": measurement.work,
        "contestant": measurement.contestant,
    }
    if isinstance(measurement.result, Failure):
        return {**facts, "failure": measurement.result.reason}
    return {**facts, **asdict(measurement.result)}


def install_peers() -> None:
    """Install the other programs as Debian packages."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (("update",), ("install", "--yes", "--no-install-recommends", *PEERS)):
        subprocess.run(["apt-get", "--quiet=2", *words], env=environment, stdout=sys.stderr, check=True)


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    options = parse(arguments)
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    if options.install_peers:
        install_peers()
    planned = plan(options)
    try:
        measurements = measure(planned)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nMedians of {planned.runs} runs, {len(os.sched_getaffinity(0))} processors:\n")
    print(table(measurements, planned.missing))
    return 1 if any(isinstance(measurement.result, Failure) for measurement in measurements) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
