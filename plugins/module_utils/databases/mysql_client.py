# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client programs of MySQL and MariaDB: how they learn the login, what they know, what the server answers them."""

from __future__ import annotations

import os
import re
import typing as t
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import DatabaseError
from .programs import Programs, shown

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .programs import Input, Output
    from .servers import Login

CLIENT = ("mariadb", "mysql")
DUMPER = ("mariadb-dump", "mysqldump")
_DEFAULT_FILES = re.compile(r"in the given order:\n(.+)\n")
_OPTION = re.compile(r"--([a-z0-9][a-z0-9-]+)")
#: What fails is not to be shown, for it may hold anything; MySQL's client shows nothing.
_SILENCE = "print-query-on-error"
_ESCAPES = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
#: MySQL's programs read a file of logins last and always, unless they are led elsewhere.
_NO_LOGIN_FILE = {"MYSQL_TEST_LOGIN_FILE": "/var/empty/none"}
_PACKET = "--max-allowed-packet=1G"
_CHARSET = "--default-character-set=utf8mb4"
#: A client that has nothing to say for long, because the storage is slow, is not to be thrown out: a year is the most.
_PATIENCE = "SET SESSION wait_timeout = 31536000;\n"
# A connection made anew halfway would know nothing of what was set, and go on. Comments in what is defined are kept.
_CLIENT_OPTIONS = (
    *("--batch", "--skip-column-names", "--skip-force", "--skip-reconnect", "--binary-mode", "--comments"),
    _CHARSET,
)


def identifier(name: str) -> str:
    """Return *name* as statements have it."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Return *text* as statements have it, whatever the server's rules for quotes are."""
    return f"_utf8mb4 x'{text.encode().hex()}'"


class Client:
    """The client programs, with the login for one server."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self.what = _what(login)
        has_own = login.password is not None or login.option_file is not None
        self._programs = Programs(
            self.what[0].upper() + self.what[1:],
            login.programs,
            login.run_as,
            environment=_NO_LOGIN_FILE if has_own else {},
            secrets=(login.password,) if login.password else (),
        )
        self._helps: dict[str, str] = {}

    def ask(self, statements: str, deed: str, **values: str) -> list[list[str]]:
        """Return the rows that *statements* answer; if there are *values*, in the place of their names in braces."""
        if values:
            statements = statements.format_map({key: literal(value) for key, value in values.items()})
        with self._prepared(CLIENT, *_CLIENT_OPTIONS) as (programs, command):
            answer = programs.answer(command, deed, f"SET SESSION sql_mode = '';\n{statements}\n".encode())
        lines = answer.decode("utf-8", "replace").split("\n")[:-1]
        return [[_unescaped(value) for value in line.split("\t")] for line in lines]

    @contextmanager
    def loading(self, deed: str, database: str = "", *options: str) -> Iterator[Input]:
        """Give what the server executes in *database*."""
        wanted = [*_CLIENT_OPTIONS, *options, _PACKET]
        with ExitStack() as running:
            programs, command = running.enter_context(self._prepared(CLIENT, *wanted, *_chosen(database)))
            given = running.enter_context(programs.writing(command, deed))
            given.write(_PATIENCE.encode())
            yield given

    def run(self, deed: str, script: t.BinaryIO) -> None:
        """Have the server execute the file *script* to its end, also if this process is killed meanwhile."""
        with self._prepared(CLIENT, *_CLIENT_OPTIONS, _PACKET) as (programs, command):
            programs.run(command, deed, script)

    @contextmanager
    def locked(self, name: str, deed: str) -> Iterator[None]:
        """Hold the lock *name* on the server as long as the block lasts and this process lives."""
        with ExitStack() as running:
            programs, command = running.enter_context(self._prepared(CLIENT, *_CLIENT_OPTIONS, "--unbuffered"))
            given, answers = running.enter_context(programs.talking(command, deed))
            given.write(f"{_PATIENCE}SELECT GET_LOCK({literal(name)}, 0);\n".encode())
            answer = bytearray(64)
            if bytes(answer[: answers.read_into(memoryview(answer))]) != b"1\n":
                raise DatabaseError(f"{deed}: the server does not give the lock {name}.")
            yield

    @contextmanager
    def dumping(self, deed: str, options: Sequence[str], *operands: str) -> Iterator[Output]:
        """Give what the dumping program writes."""
        wanted = [*options, _CHARSET, _PACKET, "--skip-force", "--", *operands]
        with ExitStack() as running:
            programs, command = running.enter_context(self._prepared(DUMPER, *wanted))
            yield running.enter_context(programs.reading(command, deed))

    def dumper_knows(self, option: str) -> bool:
        """Tell whether the dumping program has the option of that name."""
        return option in self._known(self._programs.find(*DUMPER))

    @contextmanager
    def _prepared(self, names: Sequence[str], *arguments: str) -> Iterator[tuple[Programs, list[str]]]:
        """Give the programs and the command line of one of them, with the login: the password lies on no disk."""
        path = self._programs.find(*names)
        if _SILENCE in self._known(path):
            arguments = (f"--skip-{_SILENCE}", *arguments)
        login = self._login
        where = [
            *([f"--host={login.host}"] if login.host is not None else []),
            *([f"--port={login.port}", "--protocol=tcp"] if login.port is not None else []),
            *([f"--socket={login.socket}"] if login.socket is not None else []),
            *([f"--user={login.username}"] if login.username is not None else []),
        ]
        if login.password is None and login.option_file is None:
            yield self._programs, [path, *where, *arguments]
            return
        with ExitStack() as held:
            file, descriptors = held.enter_context(shown(self._options(path).encode(), login.run_as))
            programs = replace(self._programs, descriptors=descriptors)
            yield programs, [path, f"--defaults-file={file}", *where, *arguments]

    def _options(self, path: str) -> str:
        """Return a file of options: what the program would read of itself, and then ours, for the last one counts."""
        login = self._login
        found = _DEFAULT_FILES.search(self._help(path))
        home = f"~{login.run_as or ''}/"
        files = [file.replace("~/", home, 1) for file in (found.group(1).split() if found else [])]
        lines = [f"!include {file}" for file in map(os.path.expanduser, files) if Path(file).is_file()]
        if login.option_file is not None:
            if not Path(login.option_file).is_file():
                raise DatabaseError(f"{self._programs.what}: there is no file of options {login.option_file}.")
            lines.append(f"!include {login.option_file}")
        if login.password is not None:
            if not login.password.isprintable():
                raise DatabaseError(f"{self._programs.what}: the password holds a character that no login can have.")
            quoted = login.password.replace("\\", "\\\\").replace('"', '\\"')
            lines += ["[client]", f'password="{quoted}"']
        return "\n".join([*lines, ""])

    def _known(self, path: str) -> list[str]:
        return _OPTION.findall(self._help(path))

    def _help(self, path: str) -> str:
        if path not in self._helps:
            answer = self._programs.answer([path, "--no-defaults", "--help"], f"Cannot learn what {path} can do")
            self._helps[path] = answer.decode("utf-8", "replace")
        return self._helps[path]


def _what(login: Login) -> str:
    if login.socket is not None:
        return f"the MySQL server at the socket {login.socket}"
    if login.host is not None or login.port is not None:
        return f"the MySQL server {login.host or 'localhost'}{'' if login.port is None else f':{login.port}'}"
    return "the MySQL server of this host"


def _chosen(database: str) -> list[str]:
    return [f"--database={database}"] if database else []


def _unescaped(value: str) -> str:
    """Return a value as it was before the client wrote it on a line with others."""
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(1)), value)
