# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a large account of cPanel costs: to index it, and to bring back one mailbox, one database or all of it.

Usage: benchmarks/run cpanel, see README.md. The account lies on the server as a .tar and as a .tar.gz; beside us stands
curl with tar, which knows no parts and needs to be told what the archive has.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import sys
import typing as t
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cpanel.accounts import FILE, Lazy, Member, Who, small
from tests.cpanel.archives import TAR, TAR_GZ, Shape, write_file
from tests.servers.server import ServerError

from .measure import Command, FailedError, Figure
from .networks import NETWORKS, why_unavailable
from .stage import stage
from .surroundings import surroundings
from .table import markdown
from .workshop import add_place

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cpanel.accounts import Account

    from .stage import Stage

_WHO = Who("crowd", uid=1700)
_TOP = f"cpmove-{_WHO.user}"
_MESSAGES, _MESSAGE = 500, 20_000  # in the mailbox that is brought back, and the bytes of each
_PICTURE, _PAGE = 2_000_000, 6_000  # bytes
_PAGES_A_PICTURE = 40
_MB = 1_000_000
_HEADER = ("archive", "work", "program", "seconds", "range", "memory MB", "received MB", "sent MB")


def account_of(size: int) -> Account:
    """Return an account whose home holds about *size* bytes: a mailbox, and web sites of pages and pictures.

    Pages are text; pictures can be packed by about a quarter. So a .tar.gz is a little smaller than the .tar.
    """
    base = small(_WHO)
    rounds = max(1, size // (_PICTURE + _PAGES_A_PICTURE * _PAGE))
    count = _MESSAGES + rounds * (_PAGES_A_PICTURE + 1)

    def make(number: int) -> Member:
        if number < _MESSAGES:
            name = f"homedir/mail/{_WHO.domain}/info/cur/{1_700_000_000 + number}.M1P1.server1:2,S"
            return Member(name.encode(), FILE, _text(number, _MESSAGE), 0o660, _WHO.owner)
        site, page = divmod(number - _MESSAGES, _PAGES_A_PICTURE + 1)
        if page == _PAGES_A_PICTURE:
            name, content = f"picture-{site:05d}.jpg", _text(number, _PICTURE)
        else:
            name, content = f"page-{page:02d}.html", _text(page, _PAGE // 20) * 20
        return Member(f"homedir/public_html/site-{site:05d}/{name}".encode(), FILE, content, 0o644, _WHO.owner)

    return base.__class__(**{**base.__dict__, "members": Lazy(tuple(base.members), count, make)})


def _text(number: int, size: int) -> bytes:
    """Return *size* bytes of letters."""
    return base64.b64encode(random.Random(number).randbytes(size * 3 // 4 + 3))[:size]


@dataclass
class Row:
    """One work on one archive by one program, with what each run cost."""

    archive: str
    work: str
    program: str
    figures: list[Figure] = field(default_factory=list)

    def cells(self) -> Sequence[str]:
        each = [figure.seconds for figure in self.figures]
        memory = statistics.median(figure.memory for figure in self.figures) / _MB
        received = statistics.median(figure.traffic.received for figure in self.figures) / _MB
        sent = statistics.median(figure.traffic.sent for figure in self.figures) / _MB
        return (
            *(self.archive, self.work, self.program, f"{statistics.median(each):.2f}"),
            *(f"{min(each):.2f} to {max(each):.2f}", f"{memory:.0f}", f"{received:.2f}", f"{sent:.3f}"),
        )


def _works(at: Stage, form: str) -> Iterator[tuple[str, str, Command]]:
    """Yield each work on the archive of *form*, the program that does it, and its command."""
    host = at.host(f"host-{form}", directory=form, engine="cpanel")
    mailbox = [("mailbox", f"info@{_WHO.domain}")]
    inside = f"{_TOP}/homedir/mail/{_WHO.domain}/info"
    yield "index", "ftp_backup", host.reindex()
    yield "index, nothing changed", "ftp_backup", host.reindex()
    yield "one mailbox of 10 MB", "ftp_backup", host.restore_account(_WHO.user, at.empty("target"), mailbox)
    yield "one mailbox of 10 MB", "curl | tar", _pipe(at, form, at.empty("target"), inside)
    database = [("database", f"{_WHO.user}_wp")]
    yield "one database of 1 kB", "ftp_backup", host.restore_account(_WHO.user, at.empty("target"), database)
    yield "all of it", "ftp_backup", host.restore_account(_WHO.user, at.empty("target"), [])
    yield "all of it", "curl | tar", _pipe(at, form, at.empty("target"), "")


def _pipe(at: Stage, form: str, target: Path, inside: str) -> Command:
    """Return what brings back a directory of the archive, or all of it, by curl and tar."""
    server = at.server.below(form)
    packed = "z" if form == TAR_GZ else ""
    script = f'curl -sS "${{@:2}}" | tar -C "$1" -xp{packed}f - {inside}'
    url = f"ftp://{server.host}:{server.port}{server.directory}/{_WHO.user}.{form}"
    login = f"{server.username}:{server.password}"
    curl = ("--ssl-reqd", "--cacert", str(server.ca_path), "--user", login, url)
    return Command(("bash", "-o", "pipefail", "-c", script, "bash", str(target), *curl))


def _measured(at: Stage, options: argparse.Namespace) -> tuple[list[Row], dict[str, int]]:
    """Do every work on each archive, and return what it cost, and the sizes of the archives."""
    rows: dict[tuple[str, str, str], Row] = {}
    sizes = {}
    account = account_of(int(options.size * _MB))
    for form in (TAR, TAR_GZ):
        archive = at.server.below(form).root / f"{_WHO.user}.{form}"
        archive.parent.mkdir(parents=True)
        print(f"writing the {form}", file=sys.stderr, flush=True)
        write_file(account, archive, form, Shape(level=1))
        sizes[form] = archive.stat().st_size
        for number in range(options.runs):
            for work, program, command in _works(at, form):
                figure = at.measure(command)
                print(f"{form}: run {number}: {work}, {program}: {figure.seconds:.2f} s", file=sys.stderr, flush=True)
                rows.setdefault((form, work, program), Row(form, work, program)).figures.append(figure)
            at.forget(f"host-{form}")
        archive.unlink()
    return list(rows.values()), sizes


def main(arguments: list[str]) -> int:
    """Do what *arguments* ask for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/run cpanel", description=__doc__)
    parser.add_argument("--size", type=float, default=2700, help="MB in the account (default: %(default)s)")
    parser.add_argument("--network", choices=NETWORKS, default="loopback", help="over what (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="how many runs to take the medians of (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures to FILE")
    add_place(parser)
    options = parser.parse_args(arguments)
    why = why_unavailable()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    try:
        with stage(options.place, options.network) as at:
            rows, sizes = _measured(at, options)
    except (ServerError, FailedError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        facts = {"sizes": sizes, "network": options.network, **surroundings(["curl"])}
        options.json.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n", "utf-8")
    print(f"A .tar of {sizes[TAR] / _MB:,.0f} MB and a .tar.gz of {sizes[TAR_GZ] / _MB:,.0f} MB, {options.network}:\n")
    print(markdown(_HEADER, [row.cells() for row in rows], texts=3))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
