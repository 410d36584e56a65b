# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which databases a backup is to dump, what their parts are called, and what becomes of one that cannot be had."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from .databases.mysql import MySqlServer
from .databases.postgresql import PostgreSQL
from .databases.servers import MYSQL, POSTGRESQL, SQLITE, Database, Login
from .databases.sqlite import SQLite
from .errors import DatabaseError, UsageError
from .native.entries import DATABASE, DATABASE_USERS, dump_path, order_key, path_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from .databases.servers import Dump, Facts, Server

ALL = "all"
_LOGIN = Login()
_LABEL = re.compile(r"[^/\x00-\x1f\x7f]{1,64}")
_QUOTED = re.compile(r"[%/\x00-\x1f\x7f]|\A\.{1,2}\Z")


@dataclass(frozen=True)
class Source:
    """Databases that are to be dumped: some or all of a server's, or the one in the file *path* of SQLite.

    *exclude* are globs on names. *label* stands before the names of the parts. With *users*, who may log in is a part,
    too. Unless it *is_required*, a dump that fails costs only itself.
    """

    type: str
    names: tuple[str, ...] = (ALL,)
    exclude: tuple[str, ...] = ()
    label: str | None = None
    users: bool = True
    is_required: bool = True
    path: str | None = None
    login: Login = field(default=_LOGIN, repr=False)

    @property
    def key(self) -> str:
        """What tells the dumps of this source from those of others."""
        return self.label if self.label is not None else self.type

    def definition(self) -> dict[str, t.Any]:
        """Return what decides the content of its dumps."""
        login = self.login
        where = [login.host, login.port, login.socket, self.path]
        return {
            "type": self.type,
            "where": where,
            "names": sorted(self.names),
            "exclude": sorted(self.exclude),
            "label": self.label,
            "users": self.users,
        }

    def require_sense(self) -> None:
        """Raise if what is asked for cannot work, whatever the server has."""
        if self.label is not None and (_LABEL.fullmatch(self.label) is None or self.label in (".", "..")):
            raise UsageError(f"The label {self.label!r} of databases is none: it has 1 to 64 characters, and no slash.")
        if (self.type == SQLITE) != (self.path is not None):
            raise UsageError("Of databases, those of the type sqlite have a path, and no others do.")
        if self.path is not None and not self.path.startswith("/"):
            raise UsageError(f"The path {self.path!r} of a database is not absolute.")
        if not self.names:
            raise UsageError("Of databases, name is empty: say all, or which ones.")


@dataclass(frozen=True)
class PlannedDump:
    """A dump that is to be made: *path* is that of its entry, *size* about how large it will be, in bytes."""

    path: bytes
    kind: str
    size: int
    source: Source
    begin: t.Callable[[], AbstractContextManager[Dump]]
    database: str = ""

    @contextmanager
    def made(self) -> Iterator[Dump]:
        """Make the dump; its facts tell whose it is, too."""
        with self.begin() as dump:
            yield _Named(dump, {"type": self.source.type, "source": self.source.key, "name": self.database})


class _Named:
    """A dump whose facts have *more* in them."""

    def __init__(self, dump: Dump, more: Facts) -> None:
        self._dump = dump
        self._more = more
        self.warnings = dump.warnings
        self.wait = dump.wait
        self.read_into = dump.read_into

    @property
    def facts(self) -> Facts:
        return {**self._dump.facts, **self._more}


@dataclass(frozen=True)
class MissedDump:
    """Dumps that cannot even be begun: those at *path*, or all those of a *source* without it."""

    source: Source
    problem: str
    path: bytes = b""

    @property
    def place(self) -> bytes:
        """Where the problem is noted."""
        return self.path or dump_path(DATABASE, self.source.key)


@dataclass(frozen=True)
class DumpPlan:
    """All dumps of a run, in the order of a manifest, and what will be missing."""

    dumps: tuple[PlannedDump, ...] = ()
    missed: tuple[MissedDump, ...] = ()


def server_of(kind: str, login: Login, scratch: Path, path: str | None = None) -> Server:
    """Return the server of a *kind*; what does not fit into memory is put into the directory *scratch*."""
    if kind == MYSQL:
        return MySqlServer(login)
    if kind == POSTGRESQL:
        return PostgreSQL(login)
    return SQLite(Path(path or "/"), scratch)


def plan_dumps(sources: Sequence[Source], scratch: Path) -> DumpPlan:
    """Ask all servers what there is, and return what is to be dumped; raise if what is required cannot be had."""
    dumps: dict[bytes, PlannedDump] = {}
    missed: list[MissedDump] = []
    for source in sources:
        try:
            for planned in _planned(source, server_of(source.type, source.login, scratch, source.path), missed):
                _require_unique(planned, dumps)
                dumps[planned.path] = planned
        except DatabaseError as error:
            if source.is_required:
                raise
            missed.append(MissedDump(source, str(error)))
    return DumpPlan(tuple(dumps[path] for path in sorted(dumps, key=order_key)), tuple(missed))


def _planned(source: Source, server: Server, missed: list[MissedDump]) -> Iterator[PlannedDump]:
    for database in _wanted(source, server.databases(), missed):
        path = dump_path(DATABASE, _part_name(source, database.name))
        begin = partial(server.dump, database.name)
        yield PlannedDump(path, DATABASE, database.size, source, begin, database.name)
    if source.users and source.type != SQLITE:
        path = dump_path(DATABASE_USERS, quoted(source.key))
        yield PlannedDump(path, DATABASE_USERS, server.users_size(), source, server.dump_users)


def _wanted(source: Source, there: Sequence[Database], missed: list[MissedDump]) -> list[Database]:
    """Return those of the databases that are *there* that *source* asks for."""
    known = {database.name: database for database in there}
    names = sorted(known) if ALL in source.names or source.type == SQLITE else sorted(set(source.names))
    names = [name for name in names if not any(fnmatchcase(name, glob) for glob in source.exclude)]
    absent = [name for name in names if name not in known]
    for name in absent:
        sentence = f"There is no database {name!r} on the {source.type} server; there are {_told(sorted(known))}."
        if source.is_required:
            raise DatabaseError(sentence)
        missed.append(MissedDump(source, sentence, dump_path(DATABASE, _part_name(source, name))))
    return [known[name] for name in names if name in known]


def _told(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "none"


def _part_name(source: Source, name: str) -> str:
    if source.type == SQLITE:
        return quoted(source.label if source.label is not None else Path(source.path or "").name)
    return quoted(name) if source.label is None else f"{quoted(source.label)}/{quoted(name)}"


def _require_unique(planned: PlannedDump, dumps: dict[bytes, PlannedDump]) -> None:
    """Raise if *planned* would stand where one of *dumps* does, or above or below it."""
    for path in dumps:
        if path == planned.path or path.startswith(planned.path + b"/") or planned.path.startswith(path + b"/"):
            raise UsageError(
                f"Two of the databases would be called {path_text(planned.path)!r}: give one of them a label of its"
                " own."
            )


def quoted(name: str) -> str:
    """Return *name* as one component of the name of a part: what cannot stand there as in a URL."""
    return _QUOTED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8")), name)
