# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading the databases of a cPanel account, and their users, into a server: streamed out of the backup."""

from __future__ import annotations

import json
import typing as t

from ..cpanel.parts import DATABASE_USER
from ..cpanel.streaming import Contents, unpacked
from ..databases.servers import MYSQL, POSTGRESQL
from ..dumps import server_of
from ..errors import DamageError, UsageError
from ..native.entries import DATABASE, FILE, path_text
from .selection import WantedPart

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..cpanel.listing import Listing
    from ..databases.servers import Server
    from ..native.entries import Entry
    from ..progress import Meter
    from ..storage import Storage
    from .account_selection import AccountSelection
    from .loading import Load
    from .windows import Tally

    Generate = Callable[[Entry, Mapping[str, bytes]], bytes]

_POSTGRESQL_USERS = ".psql.sql"


class _Wanted(t.NamedTuple):
    """What is loaded as *name*: the dump that *entries* are, one after the other, or the statements of users."""

    entries: tuple[Entry, ...]
    type: str
    name: str
    server: Server
    is_users: bool


class AccountLoader:
    """Loads what is wanted of a *listing*; *generate* makes the statements of users.

    Users are loaded only where their parts were asked for, which *has_parts* says. Nothing that stands in the backup is
    executed but dumps, and of these no more than what dumps consist of.
    """

    def __init__(
        self,
        load: Load,
        storage: Storage,
        listing: Listing,
        selection: AccountSelection,
        scratch: Path,
        tally: Tally,
        generate: Generate,
        *,
        has_parts: bool,
    ) -> None:
        self._load = load
        self._storage = storage
        self._listing = listing
        self._tally = tally
        self._generate = generate
        self._scratch = scratch
        kinds = (DATABASE, DATABASE_USER) if has_parts else (DATABASE,)
        self._wanted = list(self._found(selection.only(*kinds)))

    def require_room(self) -> None:
        """Raise unless all that is wanted can be loaded: before anything is written anywhere."""
        if not self._wanted:
            raise UsageError(f"The backup {self._listing.header.run} holds no database that could be loaded.")
        known: dict[tuple[str, str], str] = {}
        for wanted in self._wanted:
            if wanted.is_users:
                continue
            part = _part_of(wanted.entries[0])[1]
            other = known.setdefault((wanted.type, wanted.name), part)
            if other != part:
                raise UsageError(
                    f"Both {other!r} and {part!r} would be loaded as {wanted.name!r}: load one of them into another"
                    " name."
                )
            wanted.server.require_room(wanted.name, replace=self._load.replace)

    def load(self, meter: Meter, *, check_mode: bool) -> tuple[str, ...]:
        """Load all that is wanted, as it lies in the backup, and return what the user should know.

        *meter* is told how far that has come.
        """
        warnings: list[str] = []
        dumps = [wanted for wanted in self._wanted if not wanted.is_users]
        meter.expect(sum(entry.size for wanted in dumps for entry in wanted.entries))
        with Contents(self._storage, self._listing.origin) as contents:
            for wanted in sorted(self._wanted, key=_rank):
                meter.add(item=wanted.name)
                if not check_mode:
                    warnings += self._loaded(wanted, contents, meter)
                meter.add(entries=1)
                size = sum(entry.size for entry in wanted.entries)
                path = wanted.entries[-1].path
                self._tally.count_database(path, wanted.name, size, replaces=self._load.replace)
        meter.finish()
        return tuple(warnings)

    def _loaded(self, wanted: _Wanted, contents: Contents, meter: Meter) -> list[str]:
        if wanted.is_users:
            (entry,) = wanted.entries
            wanted.server.load_users([self._generate(entry, contents.members(entry))])
            return []
        dump = _dump(wanted.entries, contents, meter)
        return wanted.server.load_foreign(wanted.name, dump, replace=self._load.replace)

    def _found(self, selection: AccountSelection) -> Iterator[_Wanted]:
        """Yield what is to be loaded, as one for each dump."""
        dumps: dict[tuple[str, str], list[Entry]] = {}
        for entry in selection.entries(self._listing):
            kind, part = _part_of(entry)
            if entry.kind != FILE:
                continue
            if kind == DATABASE_USER:
                self._refuse_other_name(part)
                server_type = POSTGRESQL if entry.path.endswith(_POSTGRESQL_USERS.encode()) else MYSQL
                server = server_of(server_type, self._load.login, self._scratch, part)
                yield _Wanted((entry,), server_type, part, server, is_users=True)
            else:
                dumps.setdefault((_type_of(entry), part), []).append(entry)
        for (server_type, part), found in dumps.items():
            plain = [entry for entry in found if entry.path.endswith(b".sql")]
            entries = plain or found  # a dump that is packed as well is loaded once
            name = self._load.names.get(WantedPart(DATABASE, part), part)
            server = server_of(server_type, self._load.login, self._scratch, name)
            yield _Wanted(tuple(entries), server_type, name, server, is_users=False)

    def _refuse_other_name(self, part: str) -> None:
        if WantedPart(DATABASE_USER, part) in self._load.names:
            raise UsageError(f"The user {part!r} can be loaded under no other name than its own.")


def _part_of(entry: Entry) -> tuple[str, str]:
    """Return kind and name of the part of *entry*, whose path is that below a target."""
    kind, name = path_text(entry.path).lstrip("/").split("/", 2)[:2]
    return kind, name


def _type_of(entry: Entry) -> str:
    try:
        return str(json.loads(entry.facts)["type"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError("What this host has kept of the backup does not tell what a dump is of: reindex.") from error


def _rank(wanted: _Wanted) -> tuple[int, int]:
    """Return when *wanted* is loaded: databases as they lie in the backup, then users, whose grants name them."""
    first = min((place.offset for entry in wanted.entries for place in entry.places), default=0)
    return (1 if wanted.is_users else 0), first


def _dump(entries: Iterable[Entry], contents: Contents, meter: Meter) -> Iterator[memoryview]:
    """Yield the dump that *entries* are: the statement that creates the database, and what may be packed."""
    for entry in entries:
        content = meter.through(contents.of(entry))
        yield from unpacked(content) if entry.path.endswith(b".gz") else content
