# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a database costs to back up and to load, beside what people do without the collection.

Usage: benchmarks/run databases, see README.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import typing as t
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.servers.server import ServerError

from .database_engine import PASSWORD
from .host import Host
from .measure import Command, FailedError, Figure, run, shortened
from .networks import NETWORKS, why_unavailable
from .race import CHANGED, FULL, UNCHANGED, Failure, Measurement
from .rows import SITES, Rows
from .stage import stage
from .surroundings import surroundings
from .table import COSTS, costs, markdown, seconds, span
from .workshop import add_place

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .rows import MariaDbSite, Pipe, PostgreSqlSite, Site
    from .stage import Stage

_MB = 1_000_000
_SIZE = 1_000 * _MB
_ORIGINAL, _OTHER = "shop", "shop_copy"
_LOAD = "load as another"
_JOB = "databases"
_WORKS = (FULL, UNCHANGED, CHANGED, _LOAD)
_HEADER = ("server", "work", "program", "seconds", "range", *COSTS)


class Contestant(t.Protocol):
    """A way to back up a database to an FTP server that requires TLS, and to load it from there."""

    @property
    def name(self) -> str: ...

    def back_up(self, database: str) -> Command:
        """Return what backs up *database*."""

    def load(self, database: str, other: str) -> Command:
        """Return what makes *other*, which is empty, what *database* was when it was backed up last."""


@dataclass(frozen=True)
class Piped:
    """A *pipe* of programs with curl at its end, which a *netrc* file tells the login."""

    pipe: Pipe
    site: Site
    at: Stage
    netrc: Path

    @property
    def name(self) -> str:
        return f"{self.pipe.name} | curl"

    def back_up(self, database: str) -> Command:
        pack = [("gzip", "-1")] if self.pipe.is_packed else []
        return self._command((*self.pipe.dump, database), *pack, (*self._curl, "--upload-file", "-"))

    def load(self, database: str, other: str) -> Command:  # noqa: ARG002 - it has backed up only one
        unpack = [("gzip", "-d")] if self.pipe.is_packed else []
        return self._command(self._curl, *unpack, (*self.pipe.load, other))

    @property
    def _curl(self) -> Sequence[str]:
        server = self.at.server
        file = self.pipe.name.replace(" | ", "-").replace(" ", "")
        url = f"ftp://{server.host}:{server.port}/{file}"
        return ("curl", "-sS", "--ssl-reqd", "--cacert", str(server.ca_path), "--netrc-file", str(self.netrc), url)

    def _command(self, *commands: Sequence[str]) -> Command:
        script = " | ".join(map(shlex.join, commands))
        return Command(("bash", "-o", "pipefail", "-c", script), self.site.environment)


class DatabaseHost(Host):
    """A host with the collection on it that has databases."""

    def use(self, site: Site, call: str, options: dict[str, object]) -> Command:
        """Return what makes one *call* of a use case for a database of *site*."""
        where = {"kind": site.kind, "login": dict(site.login)}
        command = self._call(call, {**options, **where}, program="benchmarks.database_engine")
        return replace(command, environment={**command.environment, PASSWORD: site.password})


@dataclass(frozen=True)
class Engine:
    """The collection's use cases without Ansible, in a process that times the call alone."""

    compression: str
    site: Site
    host: DatabaseHost

    @property
    def name(self) -> str:
        return f"ftp_backup {self.compression}"

    def back_up(self, database: str) -> Command:
        manner = {"structure": "deduplicated", "compression": self.compression}
        return self.host.use(self.site, "back_up", {"job": _JOB, "database": database, **manner})

    def load(self, database: str, other: str) -> Command:
        return self.host.use(self.site, "load", {"job": _JOB, "database": database, "other": other})


def contestants(at: Stage, site: Site) -> list[Contestant]:
    """Return all, each ready for its first backup; raises FailedError."""
    netrc = at.directory / "netrc"
    netrc.touch(mode=0o600)
    server = at.server
    netrc.write_text(f"machine {server.host} login {server.username} password {server.password}\n", encoding="ascii")
    found: list[Contestant] = [Piped(pipe, site, at, netrc) for pipe in site.pipes]
    for compression in ("none", "gzip"):
        host = DatabaseHost(server.below(compression), at.empty(compression))
        run(host.declare(), at.directory, at.network.listen)
        found.append(Engine(compression, site, host))
    return found


class Round:
    """Every contestant in turn does each work once with the database of one *site*; each *turn*, another begins."""

    def __init__(self, at: Stage, site: Site, rows: Rows, turn: int) -> None:
        self._at = at
        self._site = site
        self._rows = rows
        self._turn = turn
        self._current = ""
        self._failures: dict[str, Failure] = {}

    def measurements(self) -> Iterator[Measurement]:
        """Make the database, and yield what each work cost or why it failed."""
        site = self._site
        everybody = contestants(self._at, site)
        first = self._turn % len(everybody)
        site.create(_ORIGINAL)
        self._execute(self._rows.made(site))
        for work in _WORKS:
            if work == CHANGED:
                self._execute(self._rows.changed(site))
            for contestant in [*everybody[first:], *everybody[:first]]:
                result = self._attempt(contestant, self._load if work == _LOAD else self._back_up)
                yield Measurement(site.name, self._turn, work, contestant.name, result)

    def _execute(self, statements: Iterator[str]) -> None:
        before = self._current
        for some in statements:
            self._site.run(some, _ORIGINAL)
        self._current = self._site.digest(_ORIGINAL)
        assert self._current != before

    def _attempt(self, contestant: Contestant, deed: Callable[[Contestant], Figure]) -> Figure | Failure:
        """Do *deed*; who has failed once in a round has nothing to go on with."""
        if contestant.name not in self._failures:
            try:
                return deed(contestant)
            except FailedError as error:
                self._failures[contestant.name] = Failure(shortened(str(error)))
        return self._failures[contestant.name]

    def _back_up(self, contestant: Contestant) -> Figure:
        return self._at.measure(contestant.back_up(_ORIGINAL))

    def _load(self, contestant: Contestant) -> Figure:
        self._site.create(_OTHER)
        try:
            figure = self._at.measure(contestant.load(_ORIGINAL, _OTHER))
            found = self._site.digest(_OTHER)
        finally:
            self._site.drop(_OTHER)
        if found != self._current:
            message = f"It loaded other rows than were backed up: {found.split()} instead of {self._current.split()}."
            raise FailedError(message)
        return figure


def measured(options: argparse.Namespace, sites: Sequence[type[MariaDbSite | PostgreSqlSite]]) -> list[Measurement]:
    """Measure as *options* want it, everything made anew for each round, and keep the raw figures after each."""
    rows = Rows(int(_SIZE * options.scale))
    found: list[Measurement] = []
    for turn in range(options.runs):
        for kind in sites:
            with stage(options.place, options.network) as at, kind.opened(at.directory / "databases") as site:
                for each in Round(at, site, rows, turn).measurements():
                    print(_told(each), file=sys.stderr, flush=True)
                    found.append(each)
            if options.json is not None:
                asked = {name: getattr(options, name) for name in ("scale", "network", "runs")}
                facts = {**asked, **surroundings(["curl", "gzip"]), "measurements": [asdict(each) for each in found]}
                options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return found


def _told(one: Measurement) -> str:
    cost = f"{one.result.seconds:.2f} s" if isinstance(one.result, Figure) else one.result.reason
    return f"round {one.turn}: {one.course}: {one.work}: {one.contestant}: {cost}"


def table_rows(found: Sequence[Measurement]) -> Iterator[Sequence[str]]:
    """Yield the rows of the table, in the order of the works; a work that failed once has no median."""
    results: dict[tuple[str, str, str], list[Figure | Failure]] = {}
    for each in sorted(found, key=lambda each: (each.course, _WORKS.index(each.work))):
        results.setdefault((each.course, each.work, each.contestant), []).append(each.result)
    for names, those in results.items():
        figures = [result for result in those if isinstance(result, Figure)]
        if len(figures) == len(those):
            yield (*names, f"{seconds(figures):.2f}", span(figures), *costs(figures))
        else:
            reasons = [each.reason for each in those if isinstance(each, Failure)]
            yield (*names, f"failed: {reasons[0]}")


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/run databases", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of 1 GB of rows there is (default: 1)")
    parser.add_argument("--runs", type=int, default=5, help="how many rounds to take the medians of (default: 5)")
    parser.add_argument("--only", choices=[site.kind for site in SITES], help="only the servers of this kind")
    parser.add_argument("--network", choices=NETWORKS, default="loopback", help="over what (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE, after each round")
    add_place(parser)
    options = parser.parse_args(arguments)
    sites = [site for site in SITES if options.only in (None, site.kind)]
    # It also fetches what is not here yet: the measurements' own networks lead nowhere.
    reasons = [why for why in (why_unavailable(), *(site.why_unavailable() for site in sites)) if why is not None]
    if reasons:
        print(*reasons, sep="\n", file=sys.stderr)
        return 1
    try:
        found = measured(options, sites)
    except (ServerError, FailedError) as error:
        print(error, file=sys.stderr)
        return 1
    rounds = "One round" if options.runs == 1 else f"Medians of {options.runs} rounds"
    print(f"{rounds}, {_SIZE * options.scale / _MB:,.0f} MB of rows, over {options.network}:\n")
    print(markdown(_HEADER, list(table_rows(found)), texts=3))
    return 1 if any(isinstance(each.result, Failure) for each in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
