# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a fleet that backs up to one server at the same time, which takes fewer connections than the fleet wants.

Usage: benchmarks/run fleet, see README.md. Each host is a process with a configuration, a state and a login of its own,
and all begin at the same moment. Every one must make a complete restore point, by itself.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import sys
import time
import typing as t
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.servers.pure_ftpd import pure_ftpd, why_unavailable
from tests.servers.server import FtpUser, ServerError

from .host import Host, Job
from .measure import FailedError, run
from .surroundings import surroundings
from .table import markdown
from .trees import MixedTree, rest
from .workshop import add_place, workshop

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.server import FtpServer

_HEADER = ("hosts", "server takes", "seconds", "first host", "last host", "had to ask again")
_JOB = Job("fleet", "full", "none")


@dataclass(frozen=True)
class Row:
    """What it cost so many *hosts* to back up to a server that takes so many *connections*.

    *seconds* is from the first start to the last end, the start of Python included; *each* has that of each host.
    """

    hosts: int
    connections: int
    seconds: float
    each: tuple[float, ...]
    asked_again: int

    def cells(self) -> Sequence[str]:
        return (
            *(str(self.hosts), str(self.connections), f"{self.seconds:.1f}"),
            *(f"{min(self.each):.1f}", f"{max(self.each):.1f}", str(self.asked_again)),
        )


def measured(place: Path, hosts: int, connections: int, tree: Path) -> Row:
    """Let as many *hosts* back up *tree* at the same moment; raises FailedError if one of them has no restore point."""
    users = [FtpUser(f"web{number:03d}", "correct horse", f"home-{number}") for number in range(hosts)]
    scratches = [place / f"scratch-{number}" for number in range(hosts)]
    with pure_ftpd(place / "server", users=users, max_clients=connections) as server:
        fleet = [_host(server, user, place / f"host-{user.username}") for user in users]
        for host, scratch in zip(fleet, scratches):
            scratch.mkdir()
            run(host.declare(), scratch, _no_look)
        rest()

        def back_up(number: int) -> tuple[float, bool]:
            run(fleet[number].back_up(_JOB, tree), scratches[number], _no_look)
            said = json.loads(scratches[number].joinpath("output").read_text("utf-8").splitlines()[-1])
            return time.monotonic() - started, any("had to be repeated" in warning for warning in said["warnings"])

        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(hosts) as threads:
            ends = list(threads.map(back_up, range(hosts)))
        seconds = time.monotonic() - started
        _require_all(server, users)
    return Row(hosts, connections, seconds, tuple(end for end, _again in ends), sum(again for _end, again in ends))


def _host(server: FtpServer, user: FtpUser, state: Path) -> Host:
    state.mkdir()
    return Host(replace(server, username=user.username, password=user.password), state)


def _no_look() -> None:
    """See nothing between the beginning and the end: the network of all of them is one."""


def _require_all(server: FtpServer, users: Sequence[FtpUser]) -> None:
    for user in users:
        found = list(server.root.parent.joinpath(user.home).rglob("*.manifest.gz"))
        if len(found) != 1:
            message = f"{user.username} has {len(found)} restore points where it should have one."
            raise FailedError(message)


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/run fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=8, help="how many the server takes (default: %(default)s)")
    parser.add_argument("--files", type=int, default=1000, help="small files on each host (default: %(default)s)")
    parser.add_argument("--large", type=int, default=64, help="MiB in large files on each host (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE")
    add_place(parser)
    options = parser.parse_args(arguments)
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    content = MixedTree(options.files, 8, options.large * 1024 * 1024 // 8)
    rows = []
    try:
        with workshop(options.place) as directory:
            tree = directory / "tree"
            tree.mkdir()
            content.make(tree)
            for hosts, connections in (
                (1, options.connections),
                (options.hosts, options.connections),
                (options.hosts, 500),
            ):
                place = directory / f"{hosts}-{connections}"
                place.mkdir()
                rows.append(measured(place, hosts, connections, tree))
                print(
                    f"{hosts} hosts, {connections} connections: {rows[-1].seconds:.1f} s", file=sys.stderr, flush=True
                )
    except (ServerError, FailedError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        facts = {"tree": str(content), **surroundings([]), "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(f"Full backups, each of {content}, on one machine:\n")
    print(markdown(_HEADER, [row.cells() for row in rows], texts=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
