# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a database of MySQL or MariaDB is dumped: in sections that can be loaded one after another.

The sections are tables with their rows, definitions (triggers, routines, views), and events. One behind the other they
are an ordinary dump; whoever loads can put the tables aside, and have them move, which they do only without triggers.
"""

from __future__ import annotations

import re
import typing as t
from contextlib import closing, contextmanager

from ..errors import DatabaseError
from .mysql_client import identifier
from .mysql_names import with_short_sequences, with_short_triggers, without_sandbox
from .mysql_rows import regrouped

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from ..storage import Buffer
    from .mysql_client import Client
    from .programs import Output
    from .servers import Facts

_LOOK = 60.0
_LOST = "Lost connection"
# The program sets no such time of its own.
_STALLED = (
    "If the server was up all the time, its dump waited for the storage for longer than its net_write_timeout, which is"
    " 60 seconds unless it is configured."
)
_READ_SIZE = 1024 * 1024
_ALL = ("--single-transaction", "--skip-dump-date", "--tz-utc", "--no-tablespaces")
_ROWS = ("--quick", "--hex-blob", "--skip-triggers", "--skip-routines", "--skip-events", "--skip-add-locks")
_ROUTINES = ("--no-data", "--no-create-info", "--triggers", "--routines", "--skip-events")
_VIEWS = ("--no-data", "--skip-triggers", "--skip-routines", "--skip-events")
_EVENTS = ("--no-data", "--no-create-info", "--skip-triggers", "--skip-routines", "--events")
#: Of MySQL's program only; it asks for statistics that MariaDB lacks, and would tell the transactions of one server.
_OF_MYSQL = {"column-statistics": "--column-statistics=0", "set-gtid-purged": "--set-gtid-purged=OFF"}
# What must be granted on the whole database, or one of it: without, the server shows less of it, and the program leaves
# that out without a word, such as the rows of a table whose columns are hidden. For all else the program fails.
_SEEING = {
    "rows": ("SELECT",),
    "triggers": ("TRIGGER",),
    "routines": ("EXECUTE", "ALTER ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"),
}
#: In one of them MariaDB, and older MySQL, keep routines: who reads it sees them all.
_OF_ROUTINES = ("*.*", "`mysql`.*", "`mysql`.`proc`")
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\*\.\*|`(?:[^`]|``)+`\.(?:\*|`(?:[^`]|``)+`)) TO ")


class StreamedDump:
    """A dump whose content comes in *pieces*, some of them empty; *wait* tells whether the next one comes at once."""

    def __init__(
        self,
        pieces: Iterator[Buffer],
        facts: Facts,
        warnings: list[str],
        wait: Callable[[float], bool] = lambda _seconds: True,
    ) -> None:
        self.facts = facts
        self.warnings = warnings
        self._pieces = pieces
        self._next_comes = wait
        self._rest = memoryview(b"")
        self._is_whole = False
        self._failure: DatabaseError | None = None

    def wait(self, seconds: float) -> bool:
        if self._failure is not None:
            raise self._failure
        try:
            while not self._rest and not self._is_whole:
                if not self._next_comes(seconds):
                    return False
                piece = next(self._pieces, None)
                self._is_whole = piece is None
                self._rest = memoryview(piece or b"")
        except DatabaseError as error:
            self._failure = error
            raise
        return True

    def read_into(self, view: memoryview) -> int:
        while not self.wait(_LOOK):
            continue
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Dumper:
    """The dumping program for the database *name*, which runs once a section."""

    def __init__(self, client: Client, name: str, options: Sequence[str], deed: str) -> None:
        self._client = client
        self._name = name
        self._options = options
        self._deed = deed
        self._output: Output | None = None

    def wait(self, seconds: float) -> bool:
        """Wait up to some *seconds* until the program that runs has written something; none is waited for."""
        return self._output is None or self._output.wait(seconds)

    @contextmanager
    def running(self, options: Sequence[str], *names: str) -> Iterator[Output]:
        """Give what the program writes of the whole database, or of the views *names*."""
        with self._client.dumping(self._deed, [*self._options, *options], self._name, *names) as output:
            self._output = output
            try:
                yield output
            except DatabaseError as error:
                if _LOST in str(error):
                    raise DatabaseError(f"{error} {_STALLED}") from error
                raise
            finally:
                self._output = None

    def gathered(self, options: Sequence[str], *names: str) -> Generator[Buffer, None, bytes]:
        """Return what the program writes, which fits into memory; yield nothing as often as it is waited for."""
        content = bytearray()
        view = memoryview(bytearray(_READ_SIZE))
        with self.running(options, *names) as output:
            yield b""
            while count := output.read_into(view):
                content += view[:count]
                yield b""
        return without_sandbox(bytes(content))


class _Objects(t.NamedTuple):
    """What there is in a database, by its names."""

    views: list[str]
    has_sequences: bool
    has_history: bool
    without_transactions: list[str]


@contextmanager
def dumped_database(client: Client, name: str) -> Iterator[StreamedDump]:
    """Dump the database *name*; see :meth:`~.servers.Server.dump`."""
    deed = f"Cannot dump the database {name!r} of {client.what}"
    facts = _facts(client, name, deed)
    objects = _objects(client, name, deed)
    _require_sight(client, name, deed)
    broken = _broken_views(client, name, objects.views, deed)
    views = [view for view in objects.views if view not in broken]
    has_history = objects.has_history and client.dumper_knows("dump-history")
    warnings = list(_warnings(name, objects, broken, lacks_history=objects.has_history and not has_history))
    options = [*_ALL, *(value for option, value in _OF_MYSQL.items() if client.dumper_knows(option))]
    dumper = _Dumper(client, name, options, deed)

    def pieces() -> Generator[Buffer, None, None]:
        length = 0
        for piece in _rows(client, dumper, name, objects, has_history=has_history):
            length += len(piece)
            yield piece
        definitions = with_short_triggers((yield from dumper.gathered(_ROUTINES)))
        if views:
            definitions += yield from dumper.gathered(_VIEWS, *views)
        yield definitions
        events = yield from dumper.gathered(_EVENTS)
        yield events
        facts["sections"] = [length, len(definitions), len(events)]

    with closing(pieces()) as content:
        yield StreamedDump(content, facts, warnings, dumper.wait)


def _rows(client: Client, dumper: _Dumper, name: str, objects: _Objects, *, has_history: bool) -> Iterator[bytes]:
    options = [*_ROWS, *(f"--ignore-table={name}.{view}" for view in objects.views)]
    options += ["--dump-history"] if has_history else []
    # MariaDB's newer program writes rows one a line in long statements, and is faster so; others need one a row.
    options.append("--net-buffer-length=1M" if client.dumper_knows("dump-history") else "--skip-extended-insert")

    def edit(line: bytes) -> bytes:
        return with_short_sequences(line, name) if objects.has_sequences else line

    is_first = True
    with dumper.running(options) as output:
        yield b""  # what it writes is waited for elsewhere
        for piece in regrouped(output.read_into, edit):
            yield without_sandbox(piece) if is_first else piece
            is_first = is_first and not piece


def _facts(client: Client, name: str, deed: str) -> Facts:
    rows = client.ask(
        "SELECT schema_name, default_character_set_name, default_collation_name, VERSION()"
        " FROM information_schema.schemata WHERE schema_name = {name};",
        deed,
        name=name,
    )
    for found, charset, collation, version in rows:
        if found == name:
            return {"type": "mysql", "name": name, "version": version, "charset": charset, "collation": collation}
    raise DatabaseError(f"{deed}: there is no such database, or none that this user may see.")


def _objects(client: Client, name: str, deed: str) -> _Objects:
    rows = client.ask(
        "SELECT table_name, table_type, IFNULL(engine, ''), (SELECT COUNT(*) FROM information_schema.engines AS e"
        " WHERE e.engine = t.engine AND e.transactions = 'YES') FROM information_schema.tables AS t"
        " WHERE table_schema = {name} AND BINARY table_schema = BINARY {name} ORDER BY table_name;",
        deed,
        name=name,
    )
    return _Objects(
        views=[name for name, kind, _engine, _count in rows if kind == "VIEW"],
        has_sequences=any(kind == "SEQUENCE" for _name, kind, _engine, _count in rows),
        has_history=any(kind == "SYSTEM VERSIONED" for _name, kind, _engine, _count in rows),
        without_transactions=[
            f"{name} ({engine})" for name, kind, engine, count in rows if kind != "VIEW" and engine and count == "0"
        ],
    )


def _warnings(name: str, objects: _Objects, broken: Sequence[str], *, lacks_history: bool) -> Iterator[str]:
    odd = objects.without_transactions
    if odd:
        yield (
            f"The database {name!r} has {len(odd)} table(s) that no transaction covers, the first is {odd[0]}: what was"
            " written to them during the dump may be in it in part."
        )
    if broken:
        yield (
            f"The database {name!r} has {len(broken)} view(s) over things that are not there, the first is"
            f" {broken[0]!r}: no server would make them anew, so they are not in the dump."
        )
    if lacks_history:
        yield f"The dumping program on this host leaves out the history of the versioned tables of {name!r}."


def _broken_views(client: Client, name: str, views: Sequence[str], deed: str) -> list[str]:
    """Return which of *views* cannot be read: the dumping program would give up at them."""
    if not views:
        return []
    wanted = ", ".join(f"{identifier(name)}.{identifier(view)}" for view in views)
    rows = client.ask(f"CHECK TABLE {wanted};", deed)
    bad = {row[0] for row in rows if row[2].lower() == "error" and "references invalid" in row[3]}
    return [view for view in views if f"{name}.{view}" in bad]


def _require_sight(client: Client, name: str, deed: str) -> None:
    """Raise where something would be left out without a word, for want of a grant."""
    grants = [row[0] for row in client.ask("SHOW GRANTS;", deed)]
    using = client.ask("SELECT IF(VERSION() LIKE '%MariaDB%' OR VERSION() < '8', 'NONE', CURRENT_ROLE());", deed)[0][0]
    if using != "NONE":
        grants += [row[0] for row in client.ask(f"SHOW GRANTS FOR CURRENT_USER() USING {using};", deed)]
    matches = filter(None, map(_GRANT.match, grants))
    granted = [(set(found.group("what").split(", ")), found.group("where")) for found in matches]
    for content, sufficient in _SEEING.items():
        is_seen = any(
            kinds & {*sufficient, "ALL", "ALL PRIVILEGES"} and _covers(where, name) for kinds, where in granted
        ) or (content == "routines" and any("SELECT" in kinds and where in _OF_ROUTINES for kinds, where in granted))
        if not is_seen:
            raise DatabaseError(
                f"{deed}: its {content} would be left out, in part at least, because this user may not see them:"
                f" grant {' or '.join(sufficient)} on the whole database."
            )


def _covers(where: str, name: str) -> bool:
    """Tell whether a grant that holds *where* it says, with ``%`` and ``_`` for others, is for the database *name*."""
    if where == "*.*":
        return True
    if not where.endswith(".*"):
        return False
    pieces = re.findall(r"\\.|.", where[1:-3].replace("``", "`"), re.DOTALL)
    signs = {"%": ".*", "_": "."}
    expression = "".join(signs.get(piece) or re.escape(piece[-1]) for piece in pieces)
    return re.fullmatch(expression, name, re.DOTALL) is not None
