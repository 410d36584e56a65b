# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the collection side by side with other programs against a real Pure-FTPd over TLS; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.servers.accounts import reachable_directory
from tests.servers.server import ServerError

from .contestants import CONTESTANTS, Contestant, what_is_missing
from .networks import NETWORKS, Network, why_unavailable
from .race import Failure, Measurement, Race
from .table import table
from .trees import TREES, Tree

#: In Debian, each of the programs that may be missing is in the package of its name.
PEERS = ("lftp", "rclone", "restic", "duplicity")

QUICK = 10


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    tree: Tree
    network: Network
    contestants: tuple[Contestant, ...]
    runs: int
    raw: Path | None

    @property
    def missing(self) -> dict[str, list[str]]:
        """The programs that are not installed, by contestant."""
        return {each.name: missing for each in self.contestants if (missing := what_is_missing(each))}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options that *arguments* give."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--runs", type=int, help="how many rounds to take the medians of (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, once, to see whether it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE, after each round")
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="only those with WORD in their name; repeatable"
    )
    parser.add_argument("--tree", choices=TREES, default="mixed", help="what is backed up (default: %(default)s)")
    parser.add_argument("--network", choices=NETWORKS, default="loopback", help="over what (default: %(default)s)")
    parser.add_argument(
        "--install-peers", action="store_true", help=f"first apt-get install {' '.join(PEERS)}, as root"
    )
    return parser.parse_args(arguments)


def plan(options: argparse.Namespace) -> Plan:
    """Return what *options* mean."""
    words = options.only or [""]
    return Plan(
        tree=TREES[options.tree].scaled(QUICK if options.quick else 1),
        network=NETWORKS[options.network](),
        contestants=tuple(each for each in CONTESTANTS if any(word in each.name for word in words)),
        runs=options.runs or (1 if options.quick else 5),
        raw=options.json,
    )


def race(planned: Plan) -> list[Measurement]:
    """Measure what is planned, and write the raw figures after each round."""
    measurements: list[Measurement] = []
    present = [each for each in planned.contestants if each.name not in planned.missing]
    with reachable_directory() as directory, planned.network.open(directory / "server") as server:
        it = Race(present, planned.tree, planned.network, server, directory)
        found = it.make_tree()
        print(f"{planned.tree} ({found.files:,} files, {found.bytes:,} bytes), {planned.network}", file=sys.stderr)
        for turn in range(planned.runs):
            measurements += it.round(turn)
            if planned.raw is not None:
                planned.raw.write_text(raw(planned, measurements), encoding="utf-8")
    return measurements


def raw(planned: Plan, measurements: list[Measurement]) -> str:
    """Return everything that was measured as JSON."""
    facts = {
        "tree": str(planned.tree),
        "network": str(planned.network),
        "runs": planned.runs,
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "congestion control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text("ascii").strip(),
        "python": platform.python_version(),
        "programs": {name: version_of(name) for name in ("curl", *PEERS)},
        "not installed": planned.missing,
        "measurements": [_as_json(measurement) for measurement in measurements],
    }
    return json.dumps(facts, indent=1) + "\n"


def _as_json(measurement: Measurement) -> dict[str, object]:
    facts: dict[str, object] = {
        "round": measurement.turn,
        "work": measurement.work,
        "contestant": measurement.contestant,
    }
    if isinstance(measurement.result, Failure):
        return {**facts, "failure": measurement.result.reason}
    return {**facts, **asdict(measurement.result)} if measurement.result else {**facts, "no such thing": True}


def version_of(program: str) -> str | None:
    """Return the first line that *program* tells of its version, or None if it is not installed."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip().partition("\n")[0]


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
        measurements = race(planned)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"Medians of {planned.runs} runs, {planned.tree}, {planned.network}, {len(os.sched_getaffinity(0))} processors:"
    )
    print()
    print(table(measurements, planned.missing))
    return 1 if any(isinstance(measurement.result, Failure) for measurement in measurements) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
