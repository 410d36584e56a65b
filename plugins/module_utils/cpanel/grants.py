# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use the databases of an account, and the statements of our own that let them.

The statements in an archive are a stranger's and are never executed. What is understood of them becomes facts: users,
hashes of passwords, and privileges on databases that are in the same archive. From these, statements are made anew, in
which every name is quoted by us. All else is left out, and a note says so, without any hash.

Source: the chapters on GRANT and CREATE USER of the manuals of MariaDB and of MySQL; for PostgreSQL those on GRANT and
CREATE ROLE of its documentation, and what pg_dumpall writes.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace

from ..databases.mysql_client import identifier
from ..databases.mysql_load import RESERVED
from ..databases.postgresql_statements import MAX_NAME, name_of, text_of
from ..databases.servers import MYSQL, POSTGRESQL
from .bounded_json import read_json
from .grant_tokens import MYSQL_DIALECT, NAME, POSTGRESQL_DIALECT, TEXT, WORD, Cursor, MisreadError, statements_in
from .member_lines import Notes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ..native.entries import Problem
    from .grant_tokens import Dialect

GRANTS, HASHES = b"mysql.sql", b"mysql.sql-auth.json"

_OF_POSTGRESQL = re.compile(rb"psql_users\.sql|psql_grants\.sql|psql/[^/]+\.sql", re.DOTALL)
#: Databases that belong to the panel or the server, and never to an account.
_FOREIGN = RESERVED | {"roundcube", "postgres", "template0", "template1"}
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_NATIVE, _SHA2 = "mysql_native_password", "caching_sha2_password"
_HASH = re.compile(r"\*[0-9A-F]{40}", re.IGNORECASE)
_OLD_HASH = re.compile(r"[0-9A-F]{16}", re.IGNORECASE)
_SHA2_HASH = re.compile(rb"\$A\$[0-9A-F]{3}\$.{20}[./0-9A-Za-z]{43}", re.DOTALL)
_NOBODYS = f"'*{'0' * 40}'"  # a hash of a password that nobody knows
_HOST = re.compile(r"[0-9A-Za-z._:%/-]{1,255}")
_LONGEST_USER = 80  # characters, as MariaDB has it; of a database and a table they are 64
_LONGEST_OBJECT = 64
_SYSTEM_USERS = frozenset(
    ("root", "mysql", "public", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "debian-sys-maint")
)
_SUPERUSER = "postgres"
_MOST_USERS = 20_000

_TABLE_PRIVILEGES = frozenset(
    (
        *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW"),
        *("SHOW VIEW", "TRIGGER"),
    )
)
_DATABASE_PRIVILEGES = _TABLE_PRIVILEGES | {
    *("CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT")
}
#: That only MariaDB has, by each name that it gives them; the others fail at them.
_MARIADB_ONLY = frozenset(("DELETE HISTORY", "DELETE VERSIONING ROWS", "SHOW CREATE ROUTINE"))
_ALL = "ALL PRIVILEGES"
_LIMITS = ("MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS")
#: What MySQL says of each account where nothing is set.
_DEFAULTS = (
    ("PASSWORD", "EXPIRE", "DEFAULT"),
    ("PASSWORD", "EXPIRE", "NEVER"),
    ("PASSWORD", "HISTORY", "DEFAULT"),
    ("PASSWORD", "REUSE", "INTERVAL", "DEFAULT"),
    ("PASSWORD", "REQUIRE", "CURRENT", "DEFAULT"),
    ("ACCOUNT", "UNLOCK"),
)
_ROLE_DEFAULTS = frozenset(
    (
        *("NOSUPERUSER", "NOCREATEDB", "NOCREATEROLE", "NOCREATEUSER", "INHERIT", "NOINHERIT", "NOREPLICATION"),
        *("NOBYPASSRLS", "LOGIN", "ENCRYPTED", "UNENCRYPTED"),
    )
)
_ROLE_HASH = re.compile(r"md5[0-9a-f]{32}|SCRAM-SHA-256\$[0-9]{1,9}:[0-9A-Za-z+/=]+\$[0-9A-Za-z+/=]+:[0-9A-Za-z+/=]+")
_ROLE_PRIVILEGES = ("CREATE", "CONNECT", "TEMPORARY")

_HEAD = {
    MYSQL: "-- For MariaDB and MySQL, once the databases are there. A user who is there already keeps the password.\n",
    POSTGRESQL: "-- For PostgreSQL, once the databases are there. A role that is there already keeps its password.\n",
}
_SUSPENDED = "it was suspended, so it is made locked, with the password of old"
_UNUSABLE = {
    "": "the backup has no password of it",
    "old": "its password is kept in a form from before MySQL 4.1, which no server takes",
    "method": "it logs in by a method that is not carried over",
    "form": "its password is kept in a form that is not known",
}


@dataclass(frozen=True)
class DatabaseUser:
    """A user of databases, and the *statements* that make it; *sources* are the members they are made of."""

    kind: str
    name: str
    statements: bytes = field(repr=False)
    sources: tuple[bytes, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseUsers:
    """All users that the metadata tells of, in order, and what of it is left out."""

    users: tuple[DatabaseUser, ...]
    notes: tuple[Problem, ...]


def database_users(members: Mapping[bytes, bytes], databases: Collection[str], account: str = "") -> DatabaseUsers:
    """Return who may use which of *databases*, those that are in the archive; *account* is whose archive it is."""
    notes = Notes()
    known = {name for name in databases if name.lower() not in _FOREIGN}
    mysql = _MySql(known, account, notes)
    for member in (GRANTS, HASHES):
        if member in members:
            mysql.read(member, members[member])
    users = list(mysql.users(tuple(member for member in (GRANTS, HASHES) if member in members)))
    sources = tuple(sorted(filter(_OF_POSTGRESQL.fullmatch, members)))
    postgresql = _PostgreSql(known, notes)
    for member in sources:
        postgresql.read(member, members[member])
    users += postgresql.users(sources)
    return DatabaseUsers(tuple(users), notes.all())


def has_database_users(member: bytes) -> bool:
    """Tell whether database users stand in *member*."""
    return member in (GRANTS, HASHES) or _OF_POSTGRESQL.fullmatch(member) is not None


def _read_statements(
    member: bytes, content: bytes, dialect: Dialect, notes: Notes, take: Callable[[Cursor], None]
) -> None:
    """Have *take* read each statement of *member*; one that it does not understand is noted."""
    for statement in statements_in(member, content, dialect, notes):
        cursor = Cursor(statement)
        try:
            take(cursor)
        except MisreadError as error:
            notes.add_line(member, statement.line, f"{cursor.subject}{error}")


def _shown(name: str) -> str:
    """Return *name* as a note has it; what stands in its place may be a hash where somebody wrote nonsense."""
    looks_secret = _HASH.search(name) or _ROLE_HASH.search(name) or "$" in name or len(name) > _LONGEST_USER
    return "'********'" if looks_secret or not name.isprintable() else repr(name)


def _is_plain(name: str, longest: int) -> bool:
    """Tell whether servers take *name* for what it is: names of theirs have no letters beyond the first 65,536."""
    return (
        0 < len(name) <= longest
        and name.isprintable()
        and name == name.strip()
        and "\\" not in name
        and max(name) < "\U00010000"
    )


# -- MariaDB and MySQL


def _hashes_in(member: bytes, content: bytes, notes: Notes) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield user, host, method and hash of each that *member* tells of: user, host, ``auth_plugin``, ``pass_hash``."""
    try:
        users = read_json(content)
    except ValueError as error:
        notes.add(member, f"it is left out: {error}")
        return
    if not isinstance(users, dict):
        notes.add(member, "it is left out: it is no map of users")
        return
    for user, hosts in users.items():
        if not isinstance(hosts, dict):
            notes.add(member, f"the user {_shown(user)} is left out: there is no map of hosts")
            continue
        for host, facts in hosts.items():
            method = facts.get("auth_plugin", "") if isinstance(facts, dict) else None
            secret = facts.get("pass_hash", "") if isinstance(facts, dict) else None
            if isinstance(method, str) and isinstance(secret, str):
                yield user, host, method.lower(), _plain_hash(secret)
            else:
                notes.add(member, f"the user {_shown(user)} is left out at a host: what it says is not understood")


def _plain_hash(secret: str) -> bytes:
    """Return the text of a hash, which may stand there in hexadecimal."""
    if _HEX.fullmatch(secret):
        plain = bytes.fromhex(secret)
        if plain[:1] in (b"*", b"-", b"$"):
            return plain
    return secret.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class _Secret:
    """How a user logs in: *clause* is what a statement says of it; *why* it cannot, if so."""

    clause: str = field(repr=False)
    is_locked: bool = False
    why: str = ""


_NO_SECRET = _Secret(f"{_NATIVE} AS {_NOBODYS}", is_locked=True, why=_UNUSABLE[""])


def _secret_of(method: str, secret: bytes) -> _Secret:
    """Return how the user logs in of whom *secret* is kept for *method*."""
    is_suspended = secret.startswith(b"-")
    if method == _SHA2:
        whole = b"$" + secret[1:] if is_suspended else secret
        if _SHA2_HASH.fullmatch(whole):
            return _Secret(f"{_SHA2} AS 0x{whole.hex().upper()}", is_locked=is_suspended)
        return _unusable("form" if secret else "")
    text = secret.decode("latin-1")
    if method not in ("", _NATIVE):
        return _unusable("old" if method == "mysql_old_password" else "method")
    whole_text = f"*{text[1:]}" if is_suspended else text
    if _HASH.fullmatch(whole_text):
        return _Secret(f"{_NATIVE} AS '{whole_text.upper()}'", is_locked=is_suspended)
    if _OLD_HASH.fullmatch(text):
        return _unusable("old")
    return _unusable("form" if text else "")


def _locked(secret: _Secret | None) -> _Secret | None:
    return None if secret is None else replace(secret, is_locked=True)


def _unusable(why: str) -> _Secret:
    return _Secret(_NO_SECRET.clause, is_locked=True, why=_UNUSABLE[why])


class _Account(t.NamedTuple):
    """A user at a host."""

    user: str
    host: str

    @property
    def quoted(self) -> str:
        return f"{identifier(self.user)}@'{self.host}'"


class _MySql:
    """What is understood of the members that tell of users of MySQL; *databases* are those in the archive."""

    def __init__(self, databases: Collection[str], account: str, notes: Notes) -> None:
        self._databases = databases
        self._account = account
        self._notes = notes
        self._secrets: dict[_Account, _Secret] = {}
        self._accounts: dict[_Account, str] = {}  # what each demands of a connection
        self._grants: dict[_Account, dict[tuple[str, str], set[str]]] = {}

    def read(self, member: bytes, content: bytes) -> None:
        if member == GRANTS:
            _read_statements(member, content, MYSQL_DIALECT, self._notes, self._take)
        else:
            self._read_hashes(member, content)

    def _read_hashes(self, member: bytes, content: bytes) -> None:
        for user, host, method, raw in _hashes_in(member, content, self._notes):
            account = _Account(user, host)
            try:
                _require_account(account)
                self._require_room(account)
            except MisreadError as error:
                self._notes.add(member, f"the user {_shown(user)} is left out: {error}")
                continue
            secret = _secret_of(method, raw)
            before = self._secrets.get(account)
            self._accounts.setdefault(account, "")
            if before is None or before.why:
                self._secrets[account] = secret
            elif not secret.why and secret != before:
                self._secrets[account] = secret
                self._notes.add(member, f"the password of {_shown(user)} is another one there than in mysql.sql")

    # the grammar

    def _take(self, cursor: Cursor) -> None:
        if cursor.take("FLUSH", "PRIVILEGES") or cursor.take("SET"):
            return
        if cursor.take("CREATE", "USER"):
            cursor.take("IF", "NOT", "EXISTS")
            self._take_accounts(cursor)
        elif cursor.take("GRANT"):
            self._take_grant(cursor)
        else:
            raise MisreadError("it is no grant")

    def _take_grant(self, cursor: Cursor) -> None:
        privileges = _privileges(cursor)
        aim = _object(cursor)
        cursor.subject = _subject(cursor, aim)
        cursor.require("TO")
        if aim is None:
            if privileges != {"USAGE"}:
                raise MisreadError("it grants more than privileges on databases of the archive")
            self._take_accounts(cursor)
            return
        accounts = self._parsed_accounts(cursor)
        names = self._understood(aim, privileges)
        if names is None:
            who = ", ".join(_shown(account.user) for account, _secret in accounts)
            self._notes.add(GRANTS, f"the grant of {who} on all databases of the account, known or not, is left out")
            return
        privileges -= {"USAGE"}
        extra = privileges & _MARIADB_ONLY
        if extra:
            self._notes.add(GRANTS, f"{cursor.subject}{', '.join(sorted(extra))} is left out: only MariaDB has it")
        self._keep(accounts, "")
        for account, _secret in accounts:
            if privileges - extra:
                self._grants.setdefault(account, {}).setdefault(names, set()).update(privileges - extra)

    def _understood(self, aim: tuple[str, str], privileges: set[str]) -> tuple[str, str] | None:
        """Return database and table that *aim* means; None if it is what each account has on all that is its own."""
        database, is_pattern = _unescaped(aim[0]) if not aim[1] else (aim[0].replace("\\_", "_"), False)
        if is_pattern:
            if self._account and database in (f"{self._account}_%", f"{self._account}%"):
                return None
            raise MisreadError("it names databases by a pattern")
        if database not in self._databases or not _is_plain(database, _LONGEST_OBJECT):
            raise MisreadError("the archive has no such database")
        if aim[1] and not _is_plain(aim[1], _LONGEST_OBJECT):
            raise MisreadError("the name of the table is none")
        known = _TABLE_PRIVILEGES if aim[1] else _DATABASE_PRIVILEGES
        if not privileges <= known | _MARIADB_ONLY | {_ALL, "USAGE"}:
            raise MisreadError("it grants a privilege that is not known for a database")
        return database, aim[1]

    def _take_accounts(self, cursor: Cursor) -> None:
        accounts = self._parsed_accounts(cursor)
        self._keep(accounts, cursor.demand)

    def _parsed_accounts(self, cursor: Cursor) -> list[tuple[_Account, _Secret | None]]:
        """Return the accounts at the end of a statement, which must be understood to its last word."""
        accounts = []
        while True:
            account = _account(cursor)
            if not cursor.subject:
                cursor.subject = f"of the user {_shown(account.user)}: "
            accounts.append((account, _authentication(cursor)))
            if not cursor.take_sign(","):
                break
        is_locked = _tail(cursor)
        if cursor.has_limits:
            self._notes.add(GRANTS, f"{cursor.subject}the limits of how much it may do are left out")
        for account, _secret in accounts:
            _require_account(account)
        return [(account, _locked(secret) if is_locked else secret) for account, secret in accounts]

    def _keep(self, accounts: list[tuple[_Account, _Secret | None]], demand: str) -> None:
        for account, secret in accounts:
            self._require_room(account)
            self._accounts[account] = demand or self._accounts.get(account, "")
            if secret is not None and (account not in self._secrets or self._secrets[account].why):
                self._secrets[account] = secret

    def _require_room(self, account: _Account) -> None:
        if len(self._accounts) >= _MOST_USERS and account not in self._accounts:
            raise MisreadError("there are too many users")

    # what is made of it

    def users(self, sources: tuple[bytes, ...]) -> Iterator[DatabaseUser]:
        """Yield the users in the order of their names, each with all its hosts."""
        by_user: dict[str, list[_Account]] = {}
        for account in sorted(self._accounts):
            by_user.setdefault(account.user, []).append(account)
        for user, accounts in by_user.items():
            lines = [self._creation(account) for account in accounts]
            for account in accounts:
                # A privilege on one table needs the table to be there, so what fails comes last.
                grants = sorted(self._grants.get(account, {}).items(), key=lambda item: (item[0][1] != "", item[0]))
                lines += [_grant(account, names, privileges) for names, privileges in grants]
            yield DatabaseUser(MYSQL, user, _script(MYSQL, lines), sources, tuple(self._user_notes(user, accounts)))

    def _creation(self, account: _Account) -> str:
        secret = self._secrets.get(account, _NO_SECRET)
        demand = f" REQUIRE {self._accounts[account]}" if self._accounts[account] else ""
        lock = " ACCOUNT LOCK" if secret.is_locked else ""
        return f"CREATE USER IF NOT EXISTS {account.quoted} IDENTIFIED WITH {secret.clause}{demand}{lock};\n"

    def _user_notes(self, user: str, accounts: list[_Account]) -> Iterator[str]:
        secrets = [self._secrets.get(account, _NO_SECRET) for account in accounts]
        for why in dict.fromkeys(secret.why for secret in secrets if secret.why):
            yield f"the user {_shown(user)} is made locked: {why}"
        if any(secret.is_locked and not secret.why for secret in secrets):
            yield f"the user {_shown(user)}: {_SUSPENDED}"
        if any(secret.clause.startswith(_SHA2) for secret in secrets):
            yield f"the user {_shown(user)} logs in by {_SHA2}, which few servers but MySQL 8 have"


def _privileges(cursor: Cursor) -> set[str]:
    """Return the privileges that a grant names, up to the word ``ON``."""
    privileges: set[str] = set()
    words: list[str] = []
    while True:
        word = cursor.word()
        if word == "ON" or cursor.take_sign(","):
            name = " ".join(words)
            privileges.add(_ALL if name == "ALL" else name)
            words = []
            if word == "ON":
                cursor.take("ON")
                return privileges
        elif word == "TO":
            raise MisreadError("it grants a role")
        elif not word:
            raise MisreadError("its privileges are not understood")
        else:
            words.append(word)
            cursor.skip()


def _object(cursor: Cursor) -> tuple[str, str] | None:
    """Return the database as it is written and the table, "" for all of them; None for all databases."""
    if cursor.take_sign("*"):
        cursor.require_sign(".")
        cursor.require_sign("*")
        return None
    database = cursor.name((NAME, WORD), "it names no database")
    if not cursor.take_sign("."):
        raise MisreadError("what it grants privileges on is not understood")
    return (database, "") if cursor.take_sign("*") else (database, cursor.name((NAME, WORD), "it names no table"))


def _subject(cursor: Cursor, aim: tuple[str, str] | None) -> str:
    """Return what a note says first of a grant: whose it is and on what."""
    user = cursor.peek_behind("TO")
    whose = f" of {_shown(user)}" if user else ""
    return f"the grant{whose} on {'*.*' if aim is None else _shown(aim[0].replace(chr(92), ''))}: "


def _unescaped(pattern: str) -> tuple[str, bool]:
    r"""Return the name that *pattern* matches, and whether it is one for several names."""
    plain = re.sub(r"\\(.)", r"\1", pattern)
    return plain, re.search(r"[%_]", re.sub(r"\\.", "", pattern)) is not None


def _account(cursor: Cursor) -> _Account:
    # A server takes \_ in the name of a user for two characters, but what writes it means one.
    user = cursor.name((TEXT, NAME, WORD), "it names no user").replace("\\_", "_")
    if not cursor.take_sign("@"):
        raise MisreadError("it names a user without a host, or a role")
    return _Account(user, cursor.name((TEXT, NAME, WORD), "it names no host"))


def _require_account(account: _Account) -> None:
    if not _is_plain(account.user, _LONGEST_USER):
        raise MisreadError("the name is none that a user has")
    if account.user.lower() in _SYSTEM_USERS:
        raise MisreadError("that user belongs to the server")
    if not _HOST.fullmatch(account.host):
        raise MisreadError("the host is none")


def _authentication(cursor: Cursor) -> _Secret | None:
    """Return how the user logs in whose name was read last, None if nothing is said of it."""
    if not cursor.take("IDENTIFIED"):
        return None
    if cursor.take("BY", "PASSWORD"):
        return _secret_of("", cursor.secret())
    if not (cursor.take("WITH") or cursor.take("VIA")):
        raise MisreadError("how it logs in is not understood")
    found: list[tuple[str, bytes]] = []
    while True:
        method = cursor.name((WORD, TEXT, NAME), "how it logs in is not understood").lower()
        found.append((method, cursor.secret() if cursor.take("AS") or cursor.take("USING") else b""))
        if not cursor.take("OR"):
            break
    usable = [_secret_of(method, secret) for method, secret in found]
    return next((secret for secret in usable if not secret.why), usable[0])


def _tail(cursor: Cursor) -> bool:
    """Read what follows the accounts, and return whether they are locked; what else they say is kept in *cursor*."""
    is_locked = False
    while not cursor.is_at_end:
        if cursor.take("REQUIRE"):
            kind = cursor.word()
            if kind not in ("NONE", "SSL", "X509"):
                raise MisreadError("what it demands of a connection is not understood")
            cursor.skip()
            cursor.demand = "" if kind == "NONE" else kind
        elif cursor.take("ACCOUNT", "LOCK"):
            is_locked = True
        elif cursor.take("WITH"):
            _skip_limits(cursor)
        elif not any(cursor.take(*words) for words in _DEFAULTS):
            raise MisreadError("what follows the user is not understood")
    return is_locked


def _skip_limits(cursor: Cursor) -> None:
    """Pass over the limits of how much a user may do, of which there must be some."""
    if cursor.word() not in _LIMITS:
        if cursor.word() == "GRANT":
            raise MisreadError("it would let the user grant to others")
        raise MisreadError("what it adds is not understood")
    while cursor.word() in _LIMITS:
        cursor.has_limits = True
        cursor.skip()
        if not cursor.word().isdigit():
            raise MisreadError("its limits are not understood")
        cursor.skip()


def _grant(account: _Account, names: tuple[str, str], privileges: set[str]) -> str:
    database, table = names
    wanted = _ALL if _ALL in privileges else ", ".join(sorted(privileges))
    if table:
        aim = f"{identifier(database)}.{identifier(table)}"
    else:
        aim = identifier(re.sub(r"([_%])", r"\\\1", database)) + ".*"  # it would be a pattern
    return f"GRANT {wanted} ON {aim} TO {account.quoted};\n"


# -- PostgreSQL


class _PostgreSql:
    """What is understood of the members that tell of roles of PostgreSQL; *databases* are those in the archive."""

    def __init__(self, databases: Collection[str], notes: Notes) -> None:
        self._databases = databases
        self._notes = notes
        self._secrets: dict[str, str] = {}
        self._why: dict[str, str] = {}
        self._grants: dict[str, dict[str, set[str]]] = {}

    def read(self, member: bytes, content: bytes) -> None:
        _read_statements(member, content, POSTGRESQL_DIALECT, self._notes, self._take)

    def _take(self, cursor: Cursor) -> None:
        if cursor.take("SET"):
            return
        if (cursor.take("CREATE") or cursor.take("ALTER")) and (cursor.take("ROLE") or cursor.take("USER")):
            self._take_role(cursor)
        elif cursor.take("GRANT"):
            self._take_grant(cursor)
        else:
            raise MisreadError("it is no grant and makes no role")

    def _take_role(self, cursor: Cursor) -> None:
        role = _role(cursor)
        cursor.subject = f"of the role {_shown(role)}: "
        _require_role(role)
        cursor.take("WITH")
        secret, why = "", ""
        while not cursor.is_at_end:
            if cursor.take("PASSWORD"):
                secret = "" if cursor.take("NULL") else cursor.secret().decode("latin-1")
            elif cursor.take("NOLOGIN"):
                why = "it may not log in"
            else:
                _skip_role_option(cursor)
        self._keep(role)
        if why:
            self._why[role] = why
        if _ROLE_HASH.fullmatch(secret):
            self._secrets[role] = secret
        elif secret and role not in self._secrets:
            self._why.setdefault(role, _UNUSABLE["form"])

    def _take_grant(self, cursor: Cursor) -> None:
        privileges = _privileges(cursor)
        if not cursor.take("DATABASE"):
            raise MisreadError("it grants on something else than a database")
        names = _listed(cursor, _folded)
        cursor.subject = f"the grant of {_shown(cursor.peek_behind('TO'))} on {', '.join(map(_shown, names))}: "
        cursor.require("TO")
        roles = _listed(cursor, _role)
        if not cursor.is_at_end:
            raise MisreadError("it would let the role grant to others, or is not understood")
        privileges = {"TEMPORARY" if privilege == "TEMP" else privilege for privilege in privileges}
        if not privileges <= {*_ROLE_PRIVILEGES, _ALL}:
            raise MisreadError("it grants a privilege that no database has")
        if not all(name in self._databases and _is_plain(name, MAX_NAME) for name in names):
            raise MisreadError("the archive has no such database")
        for role in roles:
            _require_role(role)
        for role in roles:
            self._keep(role)
            for name in names:
                self._grants[role].setdefault(name, set()).update(privileges)

    def _keep(self, role: str) -> None:
        if len(self._grants) >= _MOST_USERS and role not in self._grants:
            raise MisreadError("there are too many roles")
        self._grants.setdefault(role, {})

    def users(self, sources: tuple[bytes, ...]) -> Iterator[DatabaseUser]:
        """Yield the roles in the order of their names."""
        for role in sorted(self._grants):
            why = self._why.get(role, "" if role in self._secrets else _UNUSABLE[""])
            lines = [_role_creation(role, self._secrets.get(role, ""), is_locked=bool(why))]
            for name, privileges in sorted(self._grants[role].items()):
                wanted = "ALL" if _ALL in privileges else ", ".join(sorted(privileges))
                lines.append(f"GRANT {wanted} ON DATABASE {name_of(name)} TO {name_of(role)};\n")
            notes = (f"the role {_shown(role)} is made without the right to log in: {why}",) if why else ()
            yield DatabaseUser(POSTGRESQL, role, _script(POSTGRESQL, lines), sources, notes)


def _role_creation(role: str, secret: str, *, is_locked: bool) -> str:
    """Return what makes *role* where there is none; the body is a text, so nothing in it can end it."""
    options = ("NOLOGIN" if is_locked else "LOGIN") + (f" PASSWORD {text_of(secret)}" if secret else "")
    body = (
        f"BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {text_of(role)})"
        f" THEN CREATE ROLE {name_of(role)} {options}; END IF; END"
    )
    return f"DO {text_of(body)};\n"


def _skip_role_option(cursor: Cursor) -> None:
    """Pass over what gives a role nothing."""
    if cursor.word() in _ROLE_DEFAULTS:
        cursor.skip()
    elif cursor.take("CONNECTION", "LIMIT"):
        cursor.take_sign("-")
        if not cursor.word().isdigit():
            raise MisreadError("its limit is not understood")
        cursor.skip()
    elif not cursor.take("VALID", "UNTIL") or cursor.secret() != b"infinity":
        raise MisreadError("it would give the role more than a password, or is not understood")


def _listed(cursor: Cursor, read: Callable[[Cursor], str]) -> list[str]:
    found = [read(cursor)]
    while cursor.take_sign(","):
        found.append(read(cursor))
    return found


def _folded(cursor: Cursor) -> str:
    """Return a name as PostgreSQL understands it: in small letters, unless it is quoted."""
    word = cursor.word()
    name = cursor.name((NAME, WORD), "a name is missing")
    return name.lower() if word else name


def _role(cursor: Cursor) -> str:
    if cursor.word() == "GROUP":
        raise MisreadError("it grants to a group")
    return _folded(cursor)


def _require_role(role: str) -> None:
    if not _is_plain(role, MAX_NAME) or len(role.encode()) > MAX_NAME:
        raise MisreadError("the name is none that a role has")
    if role.lower() in ("public", _SUPERUSER) or role.startswith("pg_"):
        raise MisreadError("that role belongs to the server")


def _script(kind: str, lines: list[str]) -> bytes:
    """Return *lines* as a script, which says in what the letters are written if some are not ASCII."""
    text = "".join(lines)
    if not text.isascii():
        text = ("SET NAMES utf8mb4;\n" if kind == MYSQL else "SET client_encoding = 'UTF8';\n") + text
    return (_HEAD[kind] + text).encode()
