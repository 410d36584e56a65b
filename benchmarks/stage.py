# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of the collection alone have in common: a server, hosts, works in order, and their figures."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

from .host import Host, Job
from .measure import FailedError, Figure, measure, run, shortened
from .networks import NETWORKS, Network
from .surroundings import surroundings
from .workshop import add_place, workshop

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from tests.servers.server import FtpServer

    from .measure import Command

    #: What each of several runs does, work by work, with what it cost; everything is tidied up behind it.
    Runs = Generator[Iterator[tuple[str, Figure]], None, None]


@dataclass(frozen=True)
class Stage:
    """A server that is reached over a network, and a directory for all else."""

    network: Network
    server: FtpServer
    directory: Path

    def host(self, name: str, *, directory: str = "backups", engine: str = "native") -> Host:
        """Return a new host that knows nothing but how to reach the *directory* of the server."""
        state = self.directory / name
        state.mkdir()
        host = Host(self.server.below(directory), state, engine)
        run(host.declare(), self.directory, self.network.listen)
        return host

    def forget(self, name: str) -> None:
        """Remove the host called *name*."""
        shutil.rmtree(self.directory / name)

    def measure(self, command: Command) -> Figure:
        """Return what a command costs; raises FailedError."""
        return measure(command, self.directory, self.network)

    def empty(self, name: str) -> Path:
        """Return a directory with nothing in it."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


@contextlib.contextmanager
def stage(place: Path, network: str) -> Iterator[Stage]:
    """Set everything up in *place* until the block ends."""
    reached = NETWORKS[network]()
    with workshop(place) as directory, reached.open(directory / "server") as server:
        yield Stage(reached, server, directory)


@dataclass(frozen=True)
class Result:
    """What one work on so much *size* cost, once for each run; or why there is no such figure."""

    work: str
    size: int
    figures: tuple[Figure, ...] = ()
    failure: str | None = None


def results(size: int, runs: Runs) -> list[Result]:
    """Do the works of all *runs* and return what each work cost; the first that fails is the last."""
    by_work: dict[str, list[Figure]] = {}
    failures = []
    try:
        with contextlib.closing(runs):
            for number, works in enumerate(runs):
                for work, figure in works:
                    print(f"{size:,}: run {number}: {work}: {figure.seconds:.2f} s", file=sys.stderr, flush=True)
                    by_work.setdefault(work, []).append(figure)
    except FailedError as error:
        failures = [Result("what follows", size, failure=shortened(str(error)))]
    return [*(Result(work, size, tuple(figures)) for work, figures in by_work.items()), *failures]


# -- what the user says


def options_of(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that all have in common."""
    parser = argparse.ArgumentParser(prog=f"benchmarks/run {program}", description=description)
    parser.add_argument("--structure", choices=["incremental", "full", "deduplicated"], default="incremental")
    parser.add_argument("--compression", choices=["none", "gzip", "zstd"], default="gzip")
    parser.add_argument("--network", choices=NETWORKS, default="loopback", help="over what (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="how many runs to take the medians of (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE")
    add_place(parser)
    return parser


def job_of(options: argparse.Namespace, name: str) -> Job:
    """Return the job *name* as *options* want it."""
    return Job(name, options.structure, options.compression)


def keep(path: Path | None, options: argparse.Namespace, found: Sequence[Result]) -> None:
    """Write everything that was measured to *path*, if there is one."""
    if path is not None:
        asked = {name: getattr(options, name) for name in ("structure", "compression", "network", "runs")}
        facts = {**asked, **surroundings(["zstd"]), "results": [asdict(result) for result in found]}
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def title(options: argparse.Namespace) -> str:
    """Return what stands above the table."""
    runs = "One run" if options.runs == 1 else f"Medians of {options.runs} runs"
    return f"{runs}, structure: {options.structure}, compression: {options.compression}, over {options.network}:\n"
