# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MariaDB on loopback and on a socket, as Debian builds it, with a data directory of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from . import debian
from .process import started
from .server import LOOPBACK, ServerError, UnavailableError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "usr/sbin/mariadbd"
CLIENTS = {"mariadb": "usr/bin/mariadb", "mariadb-dump": "usr/bin/mariadb-dump"}
OLD_NAMES = {"mariadb": "mysql", "mariadb-dump": "mysqldump"}
PACKAGES = ["mariadb-server-core", "mariadb-server", "mariadb-client", "mariadb-client-core", "mariadb-common"]

PASSWORD = "correct horse"

_SHARE = "usr/share/mysql"
# What mariadb-install-db reads, in its order.
_SYSTEM_TABLES = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
)
# Nothing that a test writes must outlive a failure of power.
_SWIFT = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-log-file-size=32M",
    "--innodb-buffer-pool-size=64M",
    "--skip-innodb-doublewrite",
    "--innodb-use-native-aio=0",
    "--skip-sync-frm",
)


@dataclass(frozen=True)
class MariaDb:
    """One running server; *programs* is a directory with clients that work, under their old names and their new."""

    host: str
    port: int
    socket: Path
    username: str
    password: str = field(repr=False)
    programs: Path
    pid: int
    log: Path

    def run(self, statements: str, *, database: str = "") -> str:
        """Return what *statements* answer, one row a line with tabs between, as the administrator of the server."""
        done = subprocess.run(
            self._client(database),
            input=statements.encode(),
            capture_output=True,
            env={**os.environ, "MYSQL_PWD": self.password},
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{done.stderr.decode(errors='replace').strip()} ({statements[:200]})")
        return done.stdout.decode(errors="backslashreplace")

    @contextlib.contextmanager
    def session(self, statements: str, *, database: str = "") -> Iterator[subprocess.Popen[str]]:
        """Have a client execute *statements*, and keep it until the block ends or its input is closed."""
        with subprocess.Popen(
            [*self._client(database), "--unbuffered"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MYSQL_PWD": self.password},
            text=True,
        ) as client:
            try:
                assert client.stdin is not None
                assert client.stdout is not None
                client.stdin.write(f"{statements}\nSELECT 'done';\n")
                client.stdin.flush()
                while client.stdout.readline() != "done\n":
                    assert client.poll() is None, statements
                yield client
            finally:
                client.kill()

    def _client(self, database: str) -> list[str]:
        return [
            str(self.programs / "mariadb"),
            "--no-defaults",
            f"--socket={self.socket}",
            f"--user={self.username}",
            *([f"--database={database}"] if database else []),
            *("--batch", "--skip-column-names", "--raw", "--default-character-set=utf8mb4"),
        ]


@functools.cache
def why_unavailable() -> str | None:
    """Say in one sentence why MariaDB cannot run here, or return None."""
    try:
        _unpacked()
    except UnavailableError as error:
        return str(error)
    return None


@contextlib.contextmanager
def mariadb(
    directory: Path,
    *,
    events: bool = False,
    arguments: Sequence[str] = (),
) -> Iterator[MariaDb]:
    """Run a server in *directory*, empty at first, until the block ends; *events*: its scheduler runs.

    *arguments* are added to the command line as they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    common = [*_unpacked().command(PROGRAM), "--no-defaults", *_settings(directory)]
    _bootstrap([*common, *_SWIFT, "--bootstrap"], PASSWORD)
    # The path of a socket is short, and pytest's directories are deep.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as short:
        Path(short).chmod(0o755)
        socket = Path(short, "socket")
        command = [
            *common,
            *_SWIFT,
            *(f"--socket={socket}", f"--bind-address={LOOPBACK}", "--skip-name-resolve"),
            f"--pid-file={directory / 'pid'}",
            f"--event-scheduler={'ON' if events else 'OFF'}",
            "--performance-schema=OFF",
            *arguments,
        ]
        log = directory / "server.log"
        # Once it listens, whoever logs in is answered.
        with started(lambda port: [*command, f"--port={port}"], log=log, is_up=lambda _port: True) as server:
            yield MariaDb(
                host=LOOPBACK,
                port=server.port,
                socket=socket,
                username="root",
                password=PASSWORD,
                programs=_write_programs(Path(short, "programs")),
                pid=server.pid,
                log=log,
            )


def _unpacked() -> debian.Unpacked:
    return debian.unpacked(PACKAGES, [PROGRAM, *CLIENTS.values()])


def _settings(directory: Path) -> list[str]:
    root = _unpacked().root
    return [
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={root / _SHARE}",
        f"--character-sets-dir={root / _SHARE / 'charsets'}",
        f"--plugin-dir={root / 'usr/lib/mysql/plugin'}",
        f"--datadir={directory / 'content'}",
        f"--tmpdir={directory}",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]


def _bootstrap(command: Sequence[str], password: str) -> None:
    """Make the system tables and the one account, as mariadb-install-db does; each statement begins a line."""
    directory = next(Path(option.partition("=")[2]) for option in command if option.startswith("--datadir="))
    directory.mkdir(mode=0o700)
    share = _unpacked().root / _SHARE
    statements = [
        "CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n",
        *((share / name).read_text(encoding="utf-8") for name in _SYSTEM_TABLES),
        "\nDELETE FROM global_priv WHERE user NOT IN ('root', 'mariadb.sys') OR host NOT IN ('localhost');\n",
        f"FLUSH PRIVILEGES;\nALTER USER root@localhost IDENTIFIED BY '{password}';\n",
        f"GRANT ALL ON *.* TO root@'{LOOPBACK}' IDENTIFIED BY '{password}' WITH GRANT OPTION;\n",
    ]
    done = subprocess.run(command, input="".join(statements).encode(), capture_output=True, check=False)
    if done.returncode:
        raise ServerError(f"MariaDB could not make its system tables: {done.stderr.decode(errors='replace')[-2000:]}")


def _write_programs(directory: Path) -> Path:
    """Write scripts that run the clients with the libraries they need."""
    directory.mkdir()
    for name, path in CLIENTS.items():
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(_unpacked().command(path))} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        (directory / OLD_NAMES[name]).symlink_to(name)
    return directory
