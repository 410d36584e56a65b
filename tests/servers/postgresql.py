# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL on loopback and on a socket, as Debian builds it, with a data directory of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from . import debian
from .process import started
from .server import LOOPBACK, ServerError, UnavailableError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLIENTS = ("pg_dump", "pg_dumpall", "pg_restore", "psql")
# It refuses to be run by root.
USER = "nobody"
SUPERUSER = "postgres"

_PASSWORD = "correct horse"
_SECONDS_TO_STOP = 20.0
_QUIETLY = (
    *("--no-psqlrc", "--no-password", "--set=ON_ERROR_STOP=1"),
    *("--quiet", "--tuples-only", "--no-align", "--field-separator=\t"),
)
# Nothing that a test writes must outlive a failure of power, and nothing must stay behind in the memory of the host.
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=2GB",
    "autovacuum=off",
    "dynamic_shared_memory_type=mmap",
    "shared_buffers=32MB",
    "max_connections=60",
    "password_encryption=scram-sha-256",
)
# Who runs the tests may log in through the socket as a role of that name, and everybody with a password, whether it is
# kept as MD5 or SCRAM: the method md5 takes both.
_ACCESS = f"local all {USER} peer\nlocal all all scram-sha-256\nhost all all 127.0.0.1/32 md5\n"


@dataclass(frozen=True)
class PostgreSql:
    """One running server; *sockets* is the directory of its socket, *programs* one with clients that work.

    *user* is the user of the system who runs it, or None if that is the one who runs the tests.
    """

    host: str
    port: int
    sockets: Path
    username: str
    password: str = field(repr=False)
    programs: Path
    user: str | None
    pid: int
    log: Path

    def run(self, statements: str, *, database: str = SUPERUSER, **login: str) -> str:
        """Return what *statements* answer, one row a line with tabs between, as the superuser or by another *login*."""
        done = subprocess.run(
            [str(self.programs / "psql"), *_QUIETLY, f"--dbname={connection_to(database)}"],
            input=statements.encode(),
            capture_output=True,
            env=self.environment(**login),
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{done.stderr.decode(errors='replace').strip()} ({statements[:200]})")
        return done.stdout.decode().removesuffix("\n")

    def script_of(self, database: str, *options: str) -> str:
        """Return all of *database* as a script, as the superuser sees it."""
        command = [str(self.programs / "pg_dump"), "--no-password", *options, f"--dbname={connection_to(database)}"]
        done = subprocess.run(command, capture_output=True, env=self.environment(), check=False)
        if done.returncode:
            raise ServerError(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode()

    def environment(self, *, username: str | None = None, password: str | None = None) -> dict[str, str]:
        """Return the variables by which a client program reaches the server."""
        return {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "PGCLIENTENCODING": "UTF8",
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.username if username is None else username,
            "PGPASSWORD": self.password if password is None else password,
        }


def connection_to(database: str) -> str:
    """Return *database* in the form that no client program takes for anything else."""
    return "dbname='{}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))


@functools.cache
def why_unavailable() -> str | None:
    """Say in one sentence why PostgreSQL cannot run here, or return None."""
    try:
        _unpacked()
    except UnavailableError as error:
        return str(error)
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and this machine has no setpriv to become somebody else."
    return None


@contextlib.contextmanager
def postgresql(*, password: str = _PASSWORD, settings: Sequence[str] = ()) -> Iterator[PostgreSql]:
    """Run a server, empty at first, until the block ends; *settings* are added to its own.

    It has a directory of its own that its user can reach, as pytest's are not.
    """
    # A server that was killed has left its files behind for no longer than the host keeps its scratch.
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as scratch:
        directory = Path(scratch)
        directory.chmod(0o755)
        content, sockets = directory / "content", directory / "sockets"
        for own in (content, sockets):
            _make_own(own)
        _make_cluster(content, password)
        programs = _write_programs(directory / "programs")
        options = [f"--{setting}" for setting in (*_SETTINGS, *settings)]
        command = [
            *_as_user(),
            *_command("postgres"),
            *("-D", str(content), "-k", str(sockets), "-h", LOOPBACK, *options),
        ]

        def is_up(port: int) -> bool:
            return _is_up(programs, port)

        log = directory / "server.log"
        with started(lambda port: [*command, "-p", str(port)], log=log, is_up=is_up) as server:
            try:
                yield PostgreSql(
                    host=LOOPBACK,
                    port=server.port,
                    sockets=sockets,
                    username=SUPERUSER,
                    password=password,
                    programs=programs,
                    user=USER if os.geteuid() == 0 else None,
                    pid=server.pid,
                    log=log,
                )
            finally:
                _stop(server.pid)


def _version() -> str:
    """Return the major version that there is here already, or that this release of Debian has."""
    present = sorted(debian.CACHE.glob("postgresql-[0-9]*/"))
    if present:
        return present[-1].name.rpartition("-")[2]
    try:
        depends = subprocess.run(["apt-cache", "depends", "postgresql"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UnavailableError("This machine has no apt-cache, so it cannot unpack PostgreSQL from Debian.") from error
    found = re.search(r"Depends: postgresql-(\d+)$", depends.stdout, re.MULTILINE)
    if found is None:
        raise UnavailableError("The package lists of this machine know of no PostgreSQL.")
    return found.group(1)


def _programs_of(version: str) -> str:
    return f"usr/lib/postgresql/{version}/bin"


def _unpacked() -> debian.Unpacked:
    version = _version()
    binaries = [f"{_programs_of(version)}/{name}" for name in ("postgres", "initdb", *CLIENTS)]
    return debian.unpacked([f"postgresql-{version}", f"postgresql-client-{version}"], binaries)


def _command(program: str) -> list[str]:
    return _unpacked().command(f"{_programs_of(_version())}/{program}")


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(USER)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _make_own(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(USER)
        os.chown(directory, user.pw_uid, user.pw_gid)


def _make_cluster(content: Path, password: str) -> None:
    options = ["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    secret = content.with_name("password")
    secret.write_text(f"{password}\n", encoding="utf-8")
    done = subprocess.run(
        [*_as_user(), *_command("initdb"), *options, f"--pwfile={secret}", "--pgdata", str(content)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if done.returncode:
        raise ServerError(f"PostgreSQL could not make its data directory: {done.stderr[-2000:]}")
    (content / "pg_hba.conf").write_text(_ACCESS, encoding="utf-8")


def _write_programs(directory: Path) -> Path:
    """Write scripts that run the clients with the libraries they need."""
    directory.mkdir()
    for name in CLIENTS:
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(_command(name))} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return directory


def _is_up(programs: Path, port: int) -> bool:
    """Tell whether the server would let somebody in; one that still starts says so instead of asking for a password."""
    done = subprocess.run(
        [str(programs / "psql"), "--no-password", f"--host={LOOPBACK}", f"--port={port}", "--username=nobody at all"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGPASSFILE": "/nonexistent"},
        check=False,
    )
    return b"no password supplied" in done.stderr


def _stop(pid: int) -> None:
    """Have the server end by itself, which alone gives back the memory that it shares."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
            time.sleep(0.01)
