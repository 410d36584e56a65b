# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading databases: dumps are streamed from the storage into a server, under the same or another name."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..databases.servers import MYSQL, SQLITE, TYPES, Login
from ..dumps import server_of
from ..errors import DamageError, UsageError
from ..native.entries import DATABASE, DATABASE_USERS, DUMPS, dump_part, is_dump, path_text
from ..native.streaming import content_of
from ..native.wellformed import require_entry
from .selection import WantedPart

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..databases.servers import Facts, Server
    from ..native.entries import Entry
    from ..progress import Meter
    from ..storage import Path as RemotePath
    from ..storage import Storage
    from .choosing import Surveyed
    from .windows import Tally

_LOGIN = Login()


@dataclass(frozen=True)
class Load:
    """How databases are loaded: by a *login*, some under other *names*; only with *replace* where there is something.

    Users and grants are loaded only where their part is asked for by its name.
    """

    login: Login = field(default=_LOGIN, repr=False)
    replace: bool = False
    names: Mapping[WantedPart, str] = field(default_factory=dict)


class _Wanted(t.NamedTuple):
    """A dump that is to be loaded as *name*."""

    entry: Entry
    facts: Facts
    server: Server
    name: str
    is_users: bool


class Loader:
    """Loads what is wanted of a restore point, each dump once, however often the restore is begun again.

    *meter* is told how far that has come.
    """

    def __init__(self, load: Load, storage: Storage, scratch: Path, tally: Tally, meter: Meter) -> None:
        self._load = load
        self._storage = storage
        self._scratch = scratch
        self._tally = tally
        self._meter = meter
        self._wanted: list[_Wanted] = []
        self._done: set[bytes] = set()

    def require_room(self, surveyed: Surveyed) -> None:
        """Find what is to be loaded, and raise unless all of it can be: before anything is written anywhere."""
        self._wanted = [self._look_at(entry) for entry in _entries_of(surveyed) if self._is_meant(entry, surveyed)]
        if not self._wanted:
            raise UsageError(f"The restore point {surveyed.point.header.run} holds no database that could be loaded.")
        places: dict[tuple[str, str], bytes] = {}
        for wanted in self._wanted:
            if wanted.is_users or wanted.entry.path in self._done:
                continue
            other = places.setdefault((wanted.facts["type"], wanted.name), wanted.entry.path)
            if other != wanted.entry.path:
                raise UsageError(
                    f"Both {_told(other)} and {_told(wanted.entry.path)} would be loaded as {wanted.name!r}: load one"
                    " of them into another name."
                )
            wanted.server.require_room(wanted.name, replace=self._load.replace)

    def load(self, surveyed: Surveyed, directory: RemotePath, side_by_side: int, *, check_mode: bool) -> None:
        """Load all that was found."""
        pool = directory / PurePosixPath(surveyed.point.header.pool)
        left = [wanted for wanted in self._wanted if wanted.entry.path not in self._done]
        self._meter.expect(self._meter.done + sum(wanted.entry.size for wanted in left))
        for wanted in sorted(left, key=_rank):
            entry = wanted.entry
            self._meter.add(item=wanted.name)
            if not check_mode:
                content = self._meter.through(content_of(self._storage, pool, entry, side_by_side))
                if wanted.is_users:
                    wanted.server.load_users(content)
                else:
                    wanted.server.load(wanted.name, wanted.facts, content, replace=self._load.replace)
            self._done.add(entry.path)
            self._meter.add(entries=1)
            self._tally.count_database(entry.path, wanted.name, entry.size, replaces=self._load.replace)
        self._meter.finish()

    def _is_meant(self, entry: Entry, surveyed: Surveyed) -> bool:
        """Tell whether *entry* is to be loaded: of users, only what was named is."""
        if not surveyed.selection.matches(entry.path):
            return False
        return dump_part(entry.path)[0] == DATABASE or surveyed.selection.dumps is not None

    def _look_at(self, entry: Entry) -> _Wanted:
        kind, name = dump_part(entry.path)
        facts = _facts_of(entry)
        other = self._load.names.get(WantedPart(kind, name))
        if kind not in (DATABASE, DATABASE_USERS) or (kind == DATABASE_USERS and other is not None):
            raise UsageError(f"The part {kind} {name!r} can be loaded under no other name than its own.")
        wanted = other if other is not None else facts["name"]
        if facts["type"] == SQLITE and not wanted.startswith("/"):
            raise UsageError(f"A database of SQLite is loaded into a file: {wanted!r} is no absolute path.")
        server = server_of(facts["type"], self._load.login, self._scratch, wanted)
        return _Wanted(entry, facts, server, wanted, kind == DATABASE_USERS)


def _rank(wanted: _Wanted) -> int:
    """Return when *wanted* is loaded: PostgreSQL's databases belong to users, and MySQL's grants name tables."""
    if not wanted.is_users:
        return 1
    return 2 if wanted.facts["type"] == MYSQL else 0


def _entries_of(surveyed: Surveyed) -> list[Entry]:
    entries = [entry for entry in surveyed.reader.entries(DUMPS) if is_dump(entry.path)]
    for entry in entries:
        require_entry(entry, surveyed.point.trailer.volumes)
    return entries


def _facts_of(entry: Entry) -> Facts:
    """Return what the manifest tells of a dump."""
    try:
        facts = json.loads(entry.facts)
        if facts["type"] in TYPES and isinstance(facts["name"], str):
            return t.cast("Facts", facts)
    except (ValueError, TypeError, KeyError):
        pass
    raise DamageError(f"The manifest does not tell what the dump {_told(entry.path)} is of, so it cannot be loaded.")


def _told(path: bytes) -> str:
    return repr(path_text(path[len(DUMPS) :]))
