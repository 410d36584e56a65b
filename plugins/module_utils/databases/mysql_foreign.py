# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a dump of MySQL or MariaDB that a stranger made is loaded: as one of ours, once its text is known to be harmless.

It is not loaded by a user who may touch nothing but the scratch database, though that would be the strongest guard. The
definers of what is defined can only be set by somebody who may do nearly everything, the last script is run by the
login in any case, not every login may make accounts, and one of a load that was killed would stay. So the text must be
right, and whatever is not known in it fails the load.

What a stranger has defined must not run with the rights of anybody who may do more than use this one database. So a
definer who may is replaced by one who does not exist. One who is not there stays, for the account may be made later, as
those of the same backup are; until then views and routines run with the rights of whoever uses them, without which a
view that looks to another one could not even be loaded.
"""

from __future__ import annotations

import re
import secrets
import typing as t

from .mysql_client import identifier
from .mysql_load import deed_of, load_parts, require_room
from .mysql_names import with_moved_names
from .mysql_text import DumpText, Tongue

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage import Buffer
    from .mysql_client import Client
    from .mysql_text import Account

_COLLATIONS = "SELECT * FROM information_schema.collation_character_set_applicability;"
_EXISTING = "SELECT user, host FROM mysql.user WHERE user = {user} AND host = {host};"
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?:(?:PROCEDURE|FUNCTION) )?(?P<where>\*\.\*|`(?:[^`]|``)+`\.\S+) TO ")
#: The definer in the place of one whose rights a stranger's definition must not get: nobody has this account.
_NOBODY = ("ftp_backup_nobody", "localhost")
_RUNNING = "views and routines run with the rights of whoever uses them, triggers and events fail"
_TOLD = 5  # accounts in a warning


def load_foreign_dump(client: Client, name: str, content: Iterable[Buffer], *, replace: bool) -> list[str]:
    """Make the database *name*; see :meth:`~.servers.Server.load_foreign`."""
    deed = deed_of(client, name)
    require_room(client, name, replace=replace)
    # The client cuts a delimiter that is longer than 15 characters.
    text = DumpText(content, _tongue(client, deed), f"${secrets.token_hex(7)}", deed)
    text.begin()
    parts = _Read(client, text, name, deed)
    kind = f"CHARACTER SET {text.charset}" if text.charset else ""
    kind += f" COLLATE {text.collation}" if text.collation else ""
    load_parts(client, name, parts, kind, replace=replace)
    return [*text.warnings(), *parts.warnings]


def _tongue(client: Client, deed: str) -> Tongue:
    rows = client.ask(_COLLATIONS, deed)
    ((version,),) = client.ask("SELECT VERSION();", deed)
    # Newer MariaDBs tell the whole name of a collation in another column than the one for all character sets.
    return Tongue(frozenset(value.lower() for row in rows for value in row), is_mariadb="MariaDB" in version)


class _Read:
    """The parts of a stranger's dump that is to be the database *name*."""

    def __init__(self, client: Client, text: DumpText, name: str, deed: str) -> None:
        self.warnings: list[str] = []
        self._client = client
        self._text = text
        self._name = name
        self._deed = deed
        self._trusted: set[Account] = set()
        self._missing: set[Account] = set()

    def rows(self) -> Iterable[Buffer]:
        return self._text.rows()

    def definitions(self, *databases: str) -> list[bytes]:
        self._look_at_definers()

        def for_(database: str) -> bytes:
            def moved(view: bytes, old: str) -> bytes:
                return view if old == database else with_moved_names(view, old, database)

            return self._text.definitions(self._settle, moved)

        return [for_(database) for database in databases]

    def events(self) -> Iterator[Buffer]:
        yield self._text.events(self._settle)

    def _settle(self, definer: Account | None) -> tuple[Account, bool]:
        is_told = definer in self._trusted or definer in self._missing
        return definer if definer is not None and is_told else _NOBODY, definer in self._trusted

    def _look_at_definers(self) -> None:
        """Learn whose definitions may stay theirs, and tell whose may not and who is not there."""
        defined = self._text.definers
        for definer in {definer for _kind, definer in defined if definer is not None}:
            if not self._is_there(definer):
                self._missing.add(definer)
            elif not self._may_do_more(definer):
                self._trusted.add(definer)
        missing = [kind for kind, definer in defined if definer in self._missing]
        if missing:
            self.warnings.append(
                f"{len(missing)} of the views, triggers, routines and events belong to accounts that the server lacks"
                f" ({_shown(self._missing)}): {_RUNNING} until there are such accounts{_count(missing)}. Make only"
                " those of which you know whose they are."
            )
        others = [(kind, definer) for kind, definer in defined if definer not in self._missing | self._trusted]
        if others:
            owners = {definer for _kind, definer in others if definer is not None}
            self.warnings.append(
                f"{len(others)} of the views, triggers, routines and events belonged to nobody, or to accounts that"
                f" may do more on this server than use the database{f' ({_shown(owners)})' if owners else ''}. Not to"
                f" run with their rights, they belong to {_account(_NOBODY)} now, who does not exist: {_RUNNING}"
                f" until they are made anew with another definer{_count(kind for kind, _definer in others)}."
            )

    def _is_there(self, account: Account) -> bool:
        user, host = account
        rows = self._client.ask(
            _EXISTING, f"{self._deed}, because its definers cannot be looked up", user=user, host=host
        )
        return bool(rows)

    def _may_do_more(self, account: Account) -> bool:
        """Tell whether an account that is there has any right that is not one in this database."""
        user, host = map(identifier, account)
        for row in self._client.ask(f"SHOW GRANTS FOR {user}@{host};", self._deed):
            found = _GRANT.match(row[0])
            if found is None or "GRANT OPTION" in row[0][found.end() :]:
                return True
            if found.group("where") == "*.*":
                if found.group("what") != "USAGE":
                    return True
            elif not self._is_own(found.group("where")):
                return True
        return False

    def _is_own(self, where: str) -> bool:
        quoted = t.cast("re.Match[str]", re.match(r"`((?:[^`]|``)+)`", where)).group(1).replace("``", "`")
        plain = re.sub(r"\\([_%\\])", r"\1", quoted)
        has_pattern = re.search(r"(?<!\\)[_%]", quoted) is not None and where.endswith(".*")
        return plain == self._name and not has_pattern


def _count(kinds: Iterable[str]) -> str:
    """Return how many of *kinds* fail, if some do."""
    count = sum(kind in ("TRIGGER", "EVENT") for kind in kinds)
    return f" ({count} fail)" if count else ""


def _account(account: Account) -> str:
    return "@".join(map(identifier, account))


def _shown(accounts: Iterable[Account]) -> str:
    names = sorted(map(_account, accounts))
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
