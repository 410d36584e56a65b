# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of MySQL or MariaDB, as backups need it."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager

from ..errors import DatabaseError
from .mysql_client import Client, identifier
from .mysql_dump import StreamedDump, dumped_database
from .mysql_foreign import load_foreign_dump
from .mysql_load import RESERVED, SCRATCH, load_database, require_room
from .servers import Database

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..storage import Buffer
    from .servers import Dump, Facts, Login

#: Names that the server gives what it cannot take for a database, such as the directory lost+found.
_FOREIGN = "#mysql50#"
_OF_THE_SERVER = frozenset({"mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema"})
_HEX_HASHES = "/*!80017 SET SESSION print_identified_with_as_hex = ON */;\n"
_ACCOUNTS_OF_MARIADB = "SELECT user, host, is_role FROM mysql.user ORDER BY user, host;"
_ACCOUNTS = "SELECT user, host, 'N' FROM mysql.user ORDER BY user, host;"
_DEFAULT_ROLE = re.compile(r" DEFAULT ROLE ((?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+)")
_HASH = re.compile(r"\*[0-9A-Fa-f]{8,}|0x[0-9A-Fa-f]{8,}|\$[A-Z0-9]\$\S+")  # of a password, where a statement is quoted
_FAILED = re.compile(r"^(?:ERROR \d+ \(\w+\) at line \d+.*)$", re.MULTILINE)


class MySqlServer:
    """A server of MySQL or MariaDB.

    The accounts that define views, triggers, routines and events are not asked for when these are loaded, but when they
    are used: load the users, too, where they are not there.
    """

    def __init__(self, login: Login) -> None:
        self._client = Client(login)

    def databases(self) -> list[Database]:
        rows = self._client.ask(
            "/*!80000 SET SESSION information_schema_stats_expiry = 0 */;"
            " SELECT schema_name, 0 FROM information_schema.schemata UNION ALL SELECT table_schema,"
            " IFNULL(data_length, 0) + IFNULL(index_length, 0) FROM information_schema.tables;",
            f"Cannot list the databases of {self._client.what}",
        )
        sizes: dict[str, int] = {}
        for name, size in rows:
            sizes[name] = sizes.get(name, 0) + int(size)
        return [Database(name, sizes[name]) for name in sorted(sizes) if _is_ordinary(name)]

    def dump(self, name: str) -> AbstractContextManager[Dump]:
        return dumped_database(self._client, name)

    @contextmanager
    def dump_users(self) -> Iterator[Dump]:
        deed = f"Cannot dump the users of {self._client.what}"
        version = self._client.ask("SELECT VERSION();", deed)[0][0]
        content = _users(self._client, deed, is_mariadb="MariaDB" in version)
        yield StreamedDump(iter([content]), {"type": "mysql", "version": version}, [])

    def users_size(self) -> int:
        deed = f"Cannot dump the users of {self._client.what}"
        version = self._client.ask("SELECT VERSION();", deed)[0][0]
        return len(_users(self._client, deed, is_mariadb="MariaDB" in version))

    def require_room(self, name: str, *, replace: bool) -> None:
        require_room(self._client, name, replace=replace)

    def load(self, name: str, facts: Facts, content: Iterable[Buffer], *, replace: bool) -> None:
        load_database(self._client, name, facts, content, replace=replace)

    def load_foreign(self, name: str, content: Iterable[Buffer], *, replace: bool) -> list[str]:
        return load_foreign_dump(self._client, name, content, replace=replace)

    def load_users(self, content: Iterable[Buffer]) -> None:
        deed = f"Cannot make the users of {self._client.what}"
        with self._client.loading(deed, "", "--force") as given:
            for piece in content:
                given.write(piece)
            given.end()
            failed = _FAILED.findall(given.complaints)
        if failed:
            said = _HASH.sub("********", failed[0])
            count = "one statement" if len(failed) == 1 else f"{len(failed)} statements"
            raise DatabaseError(f"{deed} wholly: {count} failed, the others are done; the first said: {said}.")


def _is_ordinary(name: str) -> bool:
    return name.lower() not in RESERVED and not name.startswith(_FOREIGN) and not SCRATCH.fullmatch(name)


def _users(client: Client, deed: str, *, is_mariadb: bool) -> bytes:
    """Return the statements that make all accounts, roles first, with what is granted to them.

    Those that are there keep their passwords, so no grant may tell one. The program's own way to dump users would make
    accounts twice and leave out which roles there are.
    """
    rows = client.ask(_ACCOUNTS_OF_MARIADB if is_mariadb else _ACCOUNTS, deed)
    roles = [identifier(user) for user, _host, kind in rows if kind == "Y" and user != "PUBLIC"]
    has_public = any(user == "PUBLIC" and kind == "Y" for user, _host, kind in rows)
    accounts = [
        f"{identifier(user)}@{identifier(host)}"
        for user, host, kind in rows
        if kind != "Y" and user not in _OF_THE_SERVER
    ]
    made = [f"CREATE ROLE IF NOT EXISTS {role}" for role in roles]
    last: list[str] = []
    for account in accounts:
        statement = client.ask(f"{_HEX_HASHES}SHOW CREATE USER {account};", deed)[0][0]
        default = _DEFAULT_ROLE.search(statement)
        if default:
            statement = statement.replace(default.group(), "", 1)
            last.append(f"ALTER USER {account}{default.group()}")
        made.append(statement.replace("CREATE USER ", "CREATE USER IF NOT EXISTS ", 1))
    for account in [*roles, *(["PUBLIC"] if has_public else []), *accounts]:
        for (grant,) in client.ask(f"SHOW GRANTS FOR {account};", deed):
            (made if grant.startswith("GRANT ") else last).append(_without_password(grant, account))
    return "".join(f"{statement};\n" for statement in dict.fromkeys([*made, *last])).encode()


def _without_password(grant: str, account: str) -> str:
    """Return *grant* without what it says of the account's password and limits, which are told where it is made."""
    head = f" ON *.* TO {account}"
    before, found, behind = grant.partition(head)
    if not found:
        return grant
    return before + head + (" WITH GRANT OPTION" if re.search(r" WITH (?:.* )?GRANT OPTION", behind) else "")
