# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Pure-FTPd on loopback, as Debian builds it, with virtual users in a PureDB."""

from __future__ import annotations

import contextlib
import subprocess
import typing as t

from . import debian
from .accounts import UID, crypt_hash, make_homes
from .certificates import issued
from .process import PASSIVE_PORTS, started
from .server import LOOPBACK, FtpUser, greeting_says, seen_by_first

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .certificates import Certificate
    from .server import FtpServer

PROGRAM = "usr/sbin/pure-ftpd"
PURE_PW = "usr/bin/pure-pw"
TLS_REQUIRED = 3


def why_unavailable() -> str | None:
    """Say in one sentence why Pure-FTPd cannot run here, or return None."""
    return debian.why_unavailable(_unpacked)


@contextlib.contextmanager
def pure_ftpd(
    directory: Path,
    *,
    tls: int = TLS_REQUIRED,
    users: Sequence[FtpUser] = (FtpUser(),),
    quota_megabytes: int | None = None,
    max_clients: int = 500,
    max_clients_per_ip: int = 500,
    listing_limit: tuple[int, int] = (10000, 8),
    keep_all_files: bool = False,
    certificate: Certificate | None = None,
    host: str = LOOPBACK,
    arguments: Sequence[str] = (),
) -> Iterator[FtpServer]:
    """Run a server in *directory* until the block ends; the first of *users* is the one to log in with.

    *tls* is the server's own number: 0 none, 1 offered, 2 required for control, 3 for data too. *listing_limit* is
    how many files and levels a listing shows. *arguments* are added to the command line as they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    make_homes(directory, users)
    certificate = issued(directory, certificate, tls=tls != 0)
    command = [
        *_unpacked().command(PROGRAM),
        *("-l", f"puredb:{_write_users(directory, users, quota_megabytes)}"),
        *("-g", str(directory / "pure-ftpd.pid")),
        *("-p", ":".join(map(str, PASSIVE_PORTS))),
        *("-c", str(max_clients), "-C", str(max_clients_per_ip)),
        *("-L", ":".join(map(str, listing_limit))),
        *("-A", "-E", "-H", "-u", "1", "-Y", str(tls)),
        *(["-2", str(certificate.pem)] if certificate else []),
        *(["-K"] if keep_all_files else []),
        *arguments,
    ]
    log = directory / "server.log"
    with started(
        lambda port: [*command, "-S", f"{host},{port}"],
        log=log,
        is_greeting=greeting_says("Pure-FTPd"),
        host=host,
    ) as server:
        yield seen_by_first(users, directory, certificate, address=(host, server.port), pid=server.pid, log=log)


def _unpacked() -> debian.Unpacked:
    return debian.unpacked(["pure-ftpd", "pure-ftpd-common"], [PROGRAM, PURE_PW])


def _write_users(directory: Path, users: Sequence[FtpUser], quota_megabytes: int | None) -> Path:
    """Write the PureDB by way of its text form, with a hash of ours: pure-pw's own costs seconds a login."""
    text, database = directory / "users.passwd", directory / "users.pdb"
    text.touch(mode=0o600)
    text.write_text("".join(_line(directory, user, quota_megabytes) for user in users), encoding="utf-8")
    command = _unpacked().command(PURE_PW)
    subprocess.run([*command, "mkdb", str(database), "-f", str(text)], check=True, capture_output=True)
    return database


def _line(directory: Path, user: FtpUser, quota_megabytes: int | None) -> str:
    """Return one line of the text form; ``/./`` after the home asks for a chroot."""
    sessions = "" if user.max_sessions is None else str(user.max_sessions)
    quota = "" if quota_megabytes is None else str(quota_megabytes * 1024 * 1024)
    login = [user.username, crypt_hash(user.password), str(UID), str(UID), "", f"{directory / user.home}/./"]
    bandwidth_and_ratio = ["", "", "", ""]
    return ":".join([*login, *bandwidth_and_ratio, sessions, "", quota, "", "", "", "", ""]) + "\n"
