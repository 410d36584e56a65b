# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ProFTPD on loopback, as Debian builds it, with virtual users in a file and TLS session reuse required."""

from __future__ import annotations

import contextlib
import typing as t

from . import debian
from .accounts import UID, crypt_hash, make_homes, reachable_directory
from .certificates import issued
from .process import PASSIVE_PORTS, started
from .server import LOOPBACK, FtpUser, greeting_says, seen_by_first

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .certificates import Certificate
    from .server import FtpServer

PROGRAM = "usr/sbin/proftpd"
MODULES = "usr/lib/proftpd"

_SETTINGS = """\
ModulePath {modules}
LoadModule mod_tls.c
ServerType standalone
ServerName "A test's own"
DefaultAddress {host}
SocketBindTight on
UseReverseDNS off
User nobody
Group nogroup
Umask 022
PassivePorts {first} {last}
AuthOrder mod_auth_file.c
AuthUserFile {directory}/users.passwd
RequireValidShell off
DefaultRoot ~
AllowOverwrite on
MaxInstances none
MaxClientsPerUser {max_clients_per_user}
PidFile {directory}/proftpd.pid
ScoreboardFile {directory}/proftpd.scoreboard
DelayEngine off
WtmpLog off
TransferLog none
"""

_TLS_SETTINGS = """\
TLSEngine on
TLSRequired on
TLSECCertificateFile {pem}
TLSECCertificateKeyFile {pem}
TLSLog {directory}/tls.log
"""


def why_unavailable() -> str | None:
    """Say in one sentence why ProFTPD cannot run here, or return None."""
    return debian.why_unavailable(_unpacked)


@contextlib.contextmanager
def proftpd(
    directory: Path,
    *,
    tls: bool = True,
    requires_session_reuse: bool = True,
    users: Sequence[FtpUser] = (FtpUser(),),
    max_clients_per_user: int = 500,
    certificate: Certificate | None = None,
    host: str = LOOPBACK,
    directives: Sequence[str] = (),
) -> Iterator[FtpServer]:
    """Run a server in *directory* until the block ends; the first of *users* is the one to log in with.

    With *tls* both connections must use it. *directives* are added to the configuration as they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    certificate = issued(directory, certificate, tls=tls)
    configuration, log = directory / "proftpd.conf", directory / "server.log"
    settings = _settings(directory, host, max_clients_per_user)
    if certificate:
        settings += _tls_settings(directory, certificate, requires_session_reuse=requires_session_reuse)

    def command(port: int) -> list[str]:
        configuration.write_text(settings + "\n".join([*directives, f"Port {port}", ""]))
        return [*_unpacked().command(PROGRAM), "-n", "-c", str(configuration)]

    with reachable_directory() as homes:
        make_homes(homes, users)
        _write_users(directory / "users.passwd", users, homes)
        with started(command, log=log, is_greeting=greeting_says("ProFTPD"), host=host) as server:
            yield seen_by_first(users, homes, certificate, address=(host, server.port), pid=server.pid, log=log)


def _unpacked() -> debian.Unpacked:
    return debian.unpacked(["proftpd-core", "proftpd-mod-crypto"], [PROGRAM, f"{MODULES}/mod_tls.so"])


def _settings(directory: Path, host: str, max_clients_per_user: int) -> str:
    first, last = PASSIVE_PORTS
    return _SETTINGS.format(
        modules=_unpacked().root / MODULES,
        host=host,
        first=first,
        last=last,
        directory=directory,
        max_clients_per_user=max_clients_per_user,
    )


def _tls_settings(directory: Path, certificate: Certificate, *, requires_session_reuse: bool) -> str:
    freedom = "" if requires_session_reuse else "TLSOptions NoSessionReuseRequired\n"
    return _TLS_SETTINGS.format(pem=certificate.pem, directory=directory) + freedom


def _write_users(path: Path, users: Sequence[FtpUser], homes: Path) -> None:
    """Write the users in the form of /etc/passwd, with the hashes in it."""
    path.touch(mode=0o600)
    lines = (
        f"{user.username}:{crypt_hash(user.password)}:{UID}:{UID}::{homes / user.home}:/bin/false\n" for user in users
    )
    path.write_text("".join(lines), encoding="utf-8")
