# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup needs of databases: how a server is reached, and what every kind of server must be able to do."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from ..storage import Buffer

    # What a load needs to know that does not stand in the dump, as JSON has it: character set, locale, owner ...
    Facts = dict[str, t.Any]


MYSQL, POSTGRESQL, SQLITE = TYPES = ("mysql", "postgresql", "sqlite")


@dataclass(frozen=True)
class Login:
    """How a server is reached; what is None is left to its client programs.

    *host* and *port*, or *socket* (of PostgreSQL the directory in which it lies). *option_file* is a file of options
    (MySQL) or of passwords (PostgreSQL). *programs* is the directory of the client programs, else they are found on
    PATH. *run_as* is the user of the system who runs them, which only root can choose. The password reaches them in a
    file or an environment that is theirs alone.
    """

    host: str | None = None
    port: int | None = None
    socket: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    option_file: str | None = None
    programs: str | None = None
    run_as: str | None = None


class Database(t.NamedTuple):
    """A database on a server; *size* is what the server tells of it, in bytes, and no dump is just as large."""

    name: str
    size: int


class Dump(t.Protocol):
    """A dump while it is made.

    *facts* are whole once everything was read. *warnings* are sentences on what is not as good as it could be, such as
    tables that no transaction covers.
    """

    @property
    def facts(self) -> Facts: ...

    @property
    def warnings(self) -> list[str]: ...

    def wait(self, seconds: float) -> bool:
        """Wait up to some *seconds* for something to read, and tell whether there is; raise after too many of them."""

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into *view* and return how many; 0 only once the dump is whole.

        Raises :class:`~..errors.DatabaseError` if it did not become whole.
        """


class Server(t.Protocol):
    """A server of databases; every method raises :class:`~..errors.DatabaseError`, and only that.

    A sentence names the server, what was tried and what it said.
    """

    def databases(self) -> list[Database]:
        """Return the databases that can be dumped, by name, without those that the server has for itself."""

    def dump(self, name: str) -> AbstractContextManager[Dump]:
        """Dump the database *name*, as it is at one moment; leaving the block early ends the dump."""

    def dump_users(self) -> AbstractContextManager[Dump]:
        """Dump who may log in, with passwords as the server keeps them, roles and grants, as statements."""

    def users_size(self) -> int:
        """Return about how many bytes :meth:`dump_users` gives; raise if they cannot be had."""

    def require_room(self, name: str, *, replace: bool) -> None:
        """Raise unless *name* is no database yet, or an empty one, or may be replaced; and where nobody can log in."""

    def load(self, name: str, facts: Facts, content: Iterable[Buffer], *, replace: bool) -> None:
        """Make the database *name* what the dump *content* with its *facts* tells.

        It is loaded aside and gets its name at the end, so that what fails on the way leaves what was there. What
        *content* raises goes through, and leaves nothing either. Raises as :meth:`require_room` does.
        """

    def load_foreign(self, name: str, content: Iterable[Buffer], *, replace: bool) -> list[str]:
        """Make the database *name* what a dump tells that somebody else made, and return warnings.

        The dump is a stranger's: mysqldump's or mariadb-dump's, or of pg_dump in the form of tar. What does more than
        make one database is refused. It is loaded aside, and all else is as with :meth:`load`.
        """

    def load_users(self, content: Iterable[Buffer]) -> None:
        """Make the users, roles and grants that *content* tells; those that are there keep their passwords."""
