# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of PostgreSQL: dumped by pg_dump, loaded aside by pg_restore, and put into their place at once.

A dump is an archive in pg_dump's own format, without compression, in which content that did not change is found again.
What pg_restore does not bring belongs to the facts of the dump and is read in the same snapshot.

A load makes a database of a name of its own. It is marked by a comment while a connection to it is held, which ends
with our process: one with the mark and without a connection was left behind. The place is taken in one transaction, so
there is no moment without the old database or the new one.
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import replace as changed
from functools import partial

from ..errors import DatabaseError, told_as
from . import postgresql_statements as sql
from .postgresql_archive import chosen, is_whole
from .programs import Programs, shown
from .servers import Database

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage import Buffer
    from .programs import Input, Output
    from .servers import Dump, Facts, Login

_LOCK_WAIT = 10 * 60 * 1000  # milliseconds that a dump waits for a table that somebody has locked
_CONNECT_WAIT = 60  # seconds
_TURN = 0.1  # seconds between two looks at a rename that waits
_USERS_LIMIT = 256 * 1024 * 1024
_BYTES_OF_A_ROLE = 400
_MAINTENANCE = ("postgres", "template1")
_PREFIX = "ftp_backup_"
_ASIDE = re.compile(r"ftp_backup_.*_([0-9a-f]{16})", re.DOTALL)
_STEM = 32  # letters of the name of a database in that of the one aside
_MARK = "A load of ftp_backup left this behind: "
_HASH = re.compile(r"(?:SCRAM-SHA-256\$|md5)[^'\"\s]+")  # of a password
_END = "ftp_backup: end of the answer"
_PSQL = ("--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
# Whatever the role or the database has set: no name is looked up elsewhere, and nothing of ours ends by a clock.
_PREAMBLE = """\\set VERBOSITY terse
SET client_encoding = 'UTF8';
SET search_path = '';
SET client_min_messages = error;
SET default_transaction_read_only = off;
SET statement_timeout = 0;
SET lock_timeout = 0;
SELECT set_config(name, '0', false) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout') \\g /dev/null
"""
_DATABASES = """
SELECT coalesce(json_agg(json_build_array(
  datname, CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END,
  shobj_description(oid, 'pg_database'))), '[]')
FROM pg_database WHERE datallowconn AND NOT datistemplate;
"""
_USERS = """
SELECT json_build_array(
  current_setting('server_version'),
  has_table_privilege('pg_authid', 'SELECT'),
  (SELECT count(*) FROM pg_roles) + (SELECT count(*) FROM pg_auth_members) + (SELECT count(*) FROM pg_tablespace));
"""
_SITE = """
SELECT json_build_array(json_build_object(
  'version', current_setting('server_version_num')::int,
  'may_create', (SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user),
  'roles', (SELECT json_agg(rolname) FROM pg_roles),
  'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace),
  'existing', (
    SELECT json_build_object('template', datistemplate, 'open', datallowconn, 'own', pg_has_role(datdba, 'USAGE'))
    FROM pg_database WHERE datname = {name}),
  'left', (
    SELECT coalesce(json_agg(d.datname), '[]') FROM pg_database d
    WHERE shobj_description(d.oid, 'pg_database') = {mark} || right(d.datname, 16)
      AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid))));
"""
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name} \\g /dev/null\n"


class PostgreSQL:
    """A server of PostgreSQL, reached by its client programs; *new_token* gives 16 random hexadecimal digits."""

    def __init__(self, login: Login, *, new_token: t.Callable[[], str] = partial(secrets.token_hex, 8)) -> None:
        self._login = login
        self._what = f"PostgreSQL {_place(login)}"
        self._new_token = new_token
        self._programs = Programs(
            self._what,
            directory=login.programs,
            run_as=login.run_as,
            environment=_environment(login),
            secrets=() if not login.password else (login.password,),
        )

    def databases(self) -> list[Database]:
        deed = f"{self._what} cannot tell its databases"
        found = self._look(_DATABASES, deed)
        return sorted(Database(name, size) for name, size, comment in found.answer if not _is_aside(name, comment))

    @contextmanager
    def dump(self, name: str) -> Iterator[Dump]:
        deed = f"{self._what} cannot dump the database {name!r}"
        _require_name(name, deed)
        program = self._programs.find("pg_dump")
        with self._held(name, deed) as session:
            session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;")
            facts = sql.facts_of(json.loads(session.ask(sql.FACTS)))
            snapshot = session.ask("SELECT pg_export_snapshot();")
            options = ["--format=custom", "--compress=0", "--no-password", f"--lock-wait-timeout={_LOCK_WAIT}"]
            command = [program, *options, f"--snapshot={snapshot}", sql.connection_to(name)]
            with self._programs.reading(command, deed) as output:
                yield _Dump(output, facts)

    @contextmanager
    def dump_users(self) -> Iterator[Dump]:
        deed = f"{self._what} cannot dump its users"
        program = self._programs.find("pg_dumpall")
        users = self._look_at_users(deed)
        facts = {"type": "postgresql", "version": users.answer[0]}
        command = [program, "--globals-only", "--encoding=UTF8", "--no-password", f"--database={users.database}"]
        with self._programs.reading(command, deed) as output:
            yield _Dump(output, facts)

    def users_size(self) -> int:
        deed = f"{self._what} cannot dump its users"
        return int(self._look_at_users(deed).answer[2]) * _BYTES_OF_A_ROLE

    def require_room(self, name: str, *, replace: bool) -> None:
        deed = f"{self._what} cannot load the database {name!r}"
        self._require_site(name, deed, replace=replace)

    def load(self, name: str, facts: Facts, content: Iterable[Buffer], *, replace: bool) -> None:
        deed = f"{self._what} cannot load the database {name!r}"
        database, site = self._require_site(name, deed, replace=replace)
        missing = sorted(sql.roles_in(facts).difference(site["roles"]))
        if missing:
            raise DatabaseError(
                f"{deed}: it belongs to or is granted to roles that are not there ({', '.join(missing)}); restore the"
                " part database_users first."
            )
        self._sweep(database, site["left"], deed)
        aside = self._aside(name)
        displaced = self._aside(name) if site["existing"] is not None else None
        is_in_place = False
        try:
            self._fill(database, aside, facts, site, content, deed)
            self._take_place(database, aside, name, displaced, facts, deed, replace=replace)
            is_in_place = True
        finally:
            if not is_in_place:
                with suppress(DatabaseError):
                    self._drop(database, aside, deed)
        if displaced is not None:
            self._drop_displaced(database, name, displaced, replace=replace)

    def load_foreign(self, name: str, content: Iterable[Buffer], *, replace: bool) -> list[str]:
        """Load an archive in the form of tar; see :meth:`~.servers.Server.load_foreign`.

        An archive holds statements, functions and rules that run while it is restored, and no look at it can tell what
        they do. So it is restored by a role that has nothing but the new database, and may not log in afterwards.
        """
        deed = f"{self._what} cannot load the database {name!r}"
        database, site = self._require_site(name, deed, replace=replace)
        with tempfile.TemporaryFile() as archive:
            with told_as(f"{deed}: it needs room for the dump in {tempfile.gettempdir()}"):
                for piece in content:
                    archive.write(piece)
                archive.flush()
            if not is_whole(archive):
                raise DatabaseError(f"{deed}: the dump lacks its end, or is no archive of pg_dump in the form of tar.")
            self._sweep(database, site["left"], deed)
            aside = self._aside(name)
            displaced = self._aside(name) if site["existing"] is not None else None
            is_in_place = False
            try:
                with self._stranger(database, aside, deed) as login:
                    left_out = self._restore(aside, login, archive, deed)
                self._take_place(database, aside, name, displaced, {}, deed, replace=replace)
                is_in_place = True
            finally:
                if not is_in_place:
                    with suppress(DatabaseError):
                        self._drop(database, aside, deed)
                    with suppress(DatabaseError):
                        self._run(database, f"DROP ROLE IF EXISTS {sql.name_of(aside)};\n", deed)
        if displaced is not None:
            self._drop_displaced(database, name, displaced, replace=replace)
        owners = (
            f"Owners and grants of the dump are not kept: all that is in the database {name!r} belongs to the new role"
            f" {aside}, who cannot log in. Hand it over in that database by REASSIGN OWNED BY {aside} TO who it is for."
        )
        rest = f"What reaches beyond one database was left out of {name!r}: {', '.join(left_out)}."
        return [owners, *([rest] if left_out else [])]

    def load_users(self, content: Iterable[Buffer]) -> None:
        deed = f"{self._what} cannot make the users that were dumped"
        statements = list(sql.statements_in(_script(content, deed)))
        database, site = self._look_at_site("", deed)
        wanted = [
            statement
            for statement in statements
            if sql.is_wanted(statement, roles=site["roles"], tablespaces=site["tablespaces"])
        ]
        # One that fails must not keep out those that follow.
        script = "\\set ON_ERROR_STOP 0\n" + "".join(f"{statement};\n" for statement in wanted)
        with self._programs.writing(self._psql(database), deed) as given:
            given.write(_bytes(_PREAMBLE + script))
            given.end()
            complaints = given.complaints.splitlines()
        if complaints:
            shown = "; ".join(_HASH.sub("********", " ".join(line.split())).rstrip(".") for line in complaints[:3])
            more = f" (and {len(complaints) - 3} more)" if len(complaints) > 3 else ""
            raise DatabaseError(f"{deed}, but for the others: {shown}{more}.")

    # how statements get there

    def _psql(self, database: str) -> list[str]:
        return [self._programs.find("psql"), *_PSQL, sql.connection_to(database)]

    def _run(self, database: str, statements: str, deed: str) -> str:
        """Run *statements*, none of them in a transaction with the others, and return what they answer."""
        answer = self._programs.answer(self._psql(database), deed, _bytes(_PREAMBLE + statements))
        return answer.decode("utf-8", "surrogateescape")

    def _ask(self, database: str, question: str, deed: str) -> list[t.Any]:
        """Return the list in JSON that answers a *question*."""
        return t.cast("list[t.Any]", json.loads(self._run(database, question, deed)))

    @contextmanager
    def _held(self, database: str, deed: str) -> Iterator[_Session]:
        """Hold a connection to *database* that ends with the block, or with this process."""
        with self._programs.talking(self._psql(database), deed) as (given, output):
            session = _Session(given, output, deed)
            session.ask(_PREAMBLE)
            yield session

    # what is there

    def _look(self, question: str, deed: str, *, other_than: str = "") -> _Seen:
        """Ask a database that every server has, *other_than* the one of that name."""
        errors: list[DatabaseError] = []
        for name in _MAINTENANCE:
            if name != other_than:
                try:
                    return _Seen(name, self._ask(name, question, deed))
                except DatabaseError as error:
                    errors.append(error)
        raise errors[0]

    def _look_at_users(self, deed: str) -> _Seen:
        """Return the answer to _USERS; raise unless the passwords of users may be read."""
        seen = self._look(_USERS, deed)
        if not seen.answer[1]:
            raise DatabaseError(f"{deed}: only a superuser may read the passwords of all users (pg_authid).")
        return seen

    def _look_at_site(self, name: str, deed: str) -> tuple[str, Facts]:
        """Return a database for maintenance, and what a load of the database *name* has to know of the server."""
        question = _SITE.format(name=sql.text_of(name), mark=sql.text_of(_MARK))
        seen = self._look(question, deed, other_than=name)
        return seen.database, seen.answer[0]

    def _require_site(self, name: str, deed: str, *, replace: bool) -> tuple[str, Facts]:
        """Return a database for maintenance and what the server has; raise as require_room does."""
        _require_name(name, deed)
        database, site = self._look_at_site(name, deed)
        if not site["may_create"]:
            raise DatabaseError(f"{deed}: the user may not create databases there.")
        existing = site["existing"]
        if existing is None:
            return database, site
        if existing["template"]:
            raise DatabaseError(f"{deed}: it is a template for others there.")
        if not existing["own"]:
            raise DatabaseError(f"{deed}: it is there already and belongs to somebody else.")
        if not replace and not (existing["open"] and self._is_empty(name, deed)):
            raise DatabaseError(f"{deed}: it is there already and not empty.")
        return database, site

    def _is_empty(self, name: str, deed: str) -> bool:
        return bool(self._ask(name, sql.IS_EMPTY, deed)[0])

    def _aside(self, name: str) -> str:
        stem = re.sub(r"[^a-z0-9_]+", "_", name.lower())[:_STEM]
        return f"{_PREFIX}{stem}_{self._new_token()}"

    def _sweep(self, database: str, left: list[str], deed: str) -> None:
        """Drop what loads have *left* that were killed; one that cannot be dropped is in nobody's way."""
        for name in left:
            if _ASIDE.fullmatch(name) is not None:
                with suppress(DatabaseError):
                    self._run(database, f"DROP DATABASE IF EXISTS {sql.name_of(name)};\n", deed)
                    self._run(database, f"DROP ROLE IF EXISTS {sql.name_of(name)};\n", deed)

    # a load

    def _fill(self, database: str, aside: str, facts: Facts, site: Facts, content: Iterable[Buffer], deed: str) -> None:
        """Make the database *aside* all that is to be, but for its name and its comment."""
        program = self._programs.find("pg_restore")
        statements = sql.creation(aside, facts, version=site["version"], tablespaces=site["tablespaces"])
        # Who may not connect to the database must not see it while it is loaded.
        self._run(database, statements + sql.granting(aside, facts), deed)
        with self._held(aside, deed) as session:
            session.ask(_marking(aside))
            if not facts.get("public", True):
                session.ask("DROP SCHEMA IF EXISTS public;")
            command = [program, "--exit-on-error", "--no-password", sql.connection_to(aside)]
            if not set(facts.get("tablespaces", ())).issubset(site["tablespaces"]):
                command.append("--no-tablespaces")
            with self._programs.writing(command, deed) as given:
                for piece in content:
                    given.write(piece)
            self._run(database, sql.setting_up(aside, facts), deed)

    @contextmanager
    def _stranger(self, database: str, aside: str, deed: str) -> Iterator[Login]:
        """Make the database *aside* and a role of that name to whom it belongs; give its login while the block lasts.

        The login must be by password, for a role that a superuser only plays can become that one again.
        """
        role = sql.name_of(aside)
        password = secrets.token_urlsafe(32)
        rights = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        self._run(database, f"CREATE ROLE {role} LOGIN {rights} PASSWORD {sql.text_of(password)};\n", deed)
        statements = f"CREATE DATABASE {role} TEMPLATE template0 OWNER {role};\n"
        self._run(database, f"{statements}REVOKE ALL ON DATABASE {role} FROM PUBLIC;\n", deed)
        own = changed(self._login, username=aside, password=password, option_file=None)
        logins = [own, changed(own, host="127.0.0.1", socket=None)]
        accepted = next((login for login in logins if _lets_in(login, aside)), None)
        if accepted is None:
            raise DatabaseError(
                f"{deed}: a stranger's dump is restored by a role of its own, and the server lets none in by a"
                " password: add a line like 'host all all 127.0.0.1/32 scram-sha-256' to its pg_hba.conf,"
                " or restore it by hand."
            )
        yield accepted
        closing = f"ALTER ROLE {role} NOLOGIN PASSWORD NULL;\nALTER ROLE {role} RESET ALL;\n"
        self._run(database, f"{closing}GRANT CONNECT, TEMPORARY ON DATABASE {role} TO PUBLIC;\n", deed)

    def _restore(self, aside: str, login: Login, archive: t.BinaryIO, deed: str) -> list[str]:
        """Restore what is chosen of the *archive* by *login*, and return the kinds that are left out."""
        program = self._programs.find("pg_restore")
        with self._held(aside, deed) as session:
            session.ask(_marking(aside))
            archive.seek(0)
            programs = changed(self._programs, environment=_environment(login), secrets=(login.password or "",))
            listed = programs.answer_of([program, "--list", "--format=tar"], deed, archive)
            choice = chosen(listed.decode("utf-8", "replace"))
            if choice.languages:
                raise DatabaseError(f"{deed}: the dump makes languages of its own: {', '.join(choice.languages)}.")
            options = ["--format=tar", "--exit-on-error", "--no-owner", "--no-acl", "--no-password", "--no-tablespaces"]
            with shown(choice.listing.encode(), login.run_as) as (path, descriptors):
                programs = changed(programs, descriptors=descriptors)
                command = [program, *options, f"--use-list={path}", sql.connection_to(aside)]
                programs.run(command, deed, archive)
            session.ask(f"ALTER DATABASE {sql.name_of(aside)} RESET ALL;")
        return list(choice.left_out)

    def _take_place(
        self, database: str, aside: str, name: str, displaced: str | None, facts: Facts, deed: str, *, replace: bool
    ) -> None:
        """Give *aside* its *name*, and what has it now the name *displaced*, both or neither."""
        with self._held(database, deed) as session:
            session.ask("BEGIN;")
            if displaced is not None:
                self._rename(session, database, name, displaced, deed, force=replace)
                session.ask(_marking(displaced))
                if replace:
                    session.ask(f"ALTER DATABASE {sql.name_of(displaced)} ALLOW_CONNECTIONS false;")
            self._rename(session, database, aside, name, deed, force=True)
            session.ask(f"COMMENT ON DATABASE {sql.name_of(name)} IS {sql.text_of(facts.get('comment'))};")
            session.ask("COMMIT;")

    def _rename(self, session: _Session, database: str, old: str, new: str, deed: str, *, force: bool) -> None:
        """Rename a database, which waits some seconds for its clients to leave while no others get in.

        With *force* those that do not leave are made to.
        """
        session.tell(f"ALTER DATABASE {sql.name_of(old)} RENAME TO {sql.name_of(new)};")
        while not session.wait(_TURN):
            if force:
                self._run(database, _TERMINATE.format(name=sql.text_of(old)), deed)
        session.answer()

    def _drop_displaced(self, database: str, name: str, displaced: str, *, replace: bool) -> None:
        """Drop what was there before; of an empty one, unless somebody has put something into it meanwhile."""
        deed = f"{self._what} has loaded the database {name!r}, but cannot drop the one of that name before"
        where = f"it is called {displaced!r} now"
        if not replace and not self._is_empty(displaced, deed):
            self._run(database, f"COMMENT ON DATABASE {sql.name_of(displaced)} IS NULL;\n", deed)
            raise DatabaseError(f"{deed}: it was empty, and is no more ({where}).")
        self._drop(database, displaced, f"{deed} ({where})")

    def _drop(self, database: str, name: str, deed: str) -> None:
        terminate = _TERMINATE.format(name=sql.text_of(name))
        self._run(database, f"{terminate}DROP DATABASE IF EXISTS {sql.name_of(name)};\n", deed)


def _lets_in(login: Login, database: str) -> bool:
    """Tell whether the server lets *login* in."""
    programs = Programs("", directory=login.programs, run_as=login.run_as, environment=_environment(login))
    command = [programs.find("psql"), *_PSQL, "--command=SELECT 1", sql.connection_to(database)]
    try:
        return programs.answer(command, "", b"").strip() == b"1"
    except DatabaseError:
        return False


class _Seen(t.NamedTuple):
    """What was asked in a *database* that every server has, and the *answer*."""

    database: str
    answer: list[t.Any]


class _Session:
    """A connection that is held, and asked one thing after the other."""

    def __init__(self, given: Input, output: Output, deed: str) -> None:
        self._given = given
        self._output = output
        self._deed = deed

    def ask(self, statements: str) -> str:
        """Return what *statements* answer; raise what the server says against them, which ends the connection."""
        self.tell(statements)
        return self.answer()

    def tell(self, statements: str) -> None:
        """Send *statements* without waiting for the answer."""
        self._given.write(_bytes(f"{statements}\n\\echo {_END}\n"))

    def wait(self, seconds: float) -> bool:
        """Wait up to some *seconds* for an answer to come, and tell whether it does."""
        return self._output.wait(seconds)

    def answer(self) -> str:
        """Return the answer to what was told."""
        view = memoryview(bytearray(65536))
        text = b""
        end = f"{_END}\n".encode()
        while not text.endswith(end):
            count = self._output.read_into(view)
            if not count:
                raise DatabaseError(f"{self._deed}: psql ended before it had answered.")
            text += view[:count]
        return text[: -len(end)].decode("utf-8", "surrogateescape").strip()


class _Dump:
    """A dump that a program writes."""

    def __init__(self, output: Output, facts: Facts) -> None:
        self.facts = facts
        self.warnings: list[str] = []
        self.wait = output.wait
        self.read_into = output.read_into


def _place(login: Login) -> str:
    port = "" if login.port is None else f":{login.port}"
    if login.socket is not None:
        return f"at the socket {login.socket}{port}"
    return "of this host" if login.host is None else f"at {login.host}{port}"


def _environment(login: Login) -> dict[str, str]:
    """Return what tells libpq the login; no name in there is taken for anything but what it is."""
    port = None if login.port is None else str(login.port)
    variables = {
        "PGHOST": login.socket if login.socket is not None else login.host,
        "PGPORT": port,
        "PGUSER": login.username,
        "PGPASSWORD": login.password,
        "PGPASSFILE": login.option_file,
        "PGCONNECT_TIMEOUT": str(_CONNECT_WAIT),
        "PGAPPNAME": "ftp_backup",
    }
    return {name: value for name, value in variables.items() if value is not None}


def _bytes(text: str) -> bytes:
    """Return *text* as programs read it; a name in it may be of bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _require_name(name: str, deed: str) -> None:
    try:
        size = len(_bytes(name))
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= sql.MAX_NAME or "\0" in name:
        raise DatabaseError(f"{deed}: a name has 1 to {sql.MAX_NAME} bytes there, and no NUL.")


def _is_aside(name: str, comment: str | None) -> bool:
    """Tell whether a database of that *name* is that of a load under way, or left by one that was killed."""
    aside = _ASIDE.fullmatch(name)
    return aside is not None and comment == _MARK + aside.group(1)


def _marking(aside: str) -> str:
    return f"COMMENT ON DATABASE {sql.name_of(aside)} IS {sql.text_of(_MARK + aside[-16:])};"


def _script(content: Iterable[Buffer], deed: str) -> str:
    """Return *content* as the text it is, which fits into memory."""
    script = bytearray()
    for piece in content:
        script += piece
        if len(script) > _USERS_LIMIT:
            raise DatabaseError(f"{deed}: there is no end of them.")
    try:
        return script.decode()
    except UnicodeDecodeError as error:
        raise DatabaseError(f"{deed}: they are no text in UTF-8.") from error
