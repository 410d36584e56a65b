# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real vsftpd on loopback, as Debian builds it, with TLS session reuse required.

Debian's vsftpd asks PAM about every user but the anonymous one, and PAM's services belong to the machine. So the one
login here is anonymous, with a password that is demanded all the same; and as vsftpd never lets the anonymous one write
where it lands, the server's directory is one level below.
"""

from __future__ import annotations

import contextlib
import pwd
import typing as t
from dataclasses import replace
from pathlib import PurePosixPath

from . import debian
from .accounts import make_homes, reachable_directory
from .certificates import issued
from .process import PASSIVE_PORTS, started
from .server import LOOPBACK, FtpUser, greeting_says, seen_by_first

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .certificates import Certificate
    from .server import FtpServer

PROGRAM = "usr/sbin/vsftpd"
USER = FtpUser("ftp", "correct-horse")

# vsftpd enters this account's own home before it enters ours, so it must have one.
_SYSTEM_USER = "daemon"


def why_unavailable() -> str | None:
    """Say in one sentence why vsftpd cannot run here, or return None."""
    return debian.why_unavailable(_unpacked)


@contextlib.contextmanager
def vsftpd(
    directory: Path,
    *,
    tls: bool = True,
    requires_session_reuse: bool = True,
    max_clients_per_ip: int = 0,
    certificate: Certificate | None = None,
    host: str = LOOPBACK,
    settings: dict[str, str] | None = None,
) -> Iterator[FtpServer]:
    """Run a server in *directory* until the block ends.

    With *tls* both connections must use it. *settings* replace those of the configuration, or are added to them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    certificate = issued(directory, certificate, tls=tls)
    configuration, log = directory / "vsftpd.conf", directory / "server.log"
    wanted = _settings(directory, host, max_clients_per_ip)
    if certificate:
        wanted.update(_tls_settings(certificate, requires_session_reuse=requires_session_reuse))
    wanted.update(settings or {})

    def command(port: int) -> list[str]:
        configuration.write_text(
            "".join(f"{name}={value}\n" for name, value in {**wanted, "listen_port": port}.items())
        )
        return [*_unpacked().command(PROGRAM), str(configuration)]

    with reachable_directory() as homes:
        make_homes(homes, [USER], owner=pwd.getpwnam(_SYSTEM_USER).pw_uid)
        wanted["anon_root"] = str(homes)
        with started(command, log=log, is_greeting=greeting_says("vsFTPd"), host=host) as server:
            seen = seen_by_first([USER], homes, certificate, address=(host, server.port), pid=server.pid, log=log)
            yield replace(seen, directory=PurePosixPath("/", USER.home))


def _unpacked() -> debian.Unpacked:
    return debian.unpacked(["vsftpd"], [PROGRAM])


def _settings(directory: Path, host: str, max_clients_per_ip: int) -> dict[str, str]:
    (directory / "passwords").write_text(f"{USER.password}\n")
    (directory / "empty").mkdir(exist_ok=True)
    is_ipv6 = ":" in host
    return {
        "listen": "NO" if is_ipv6 else "YES",
        "listen_ipv6": "YES" if is_ipv6 else "NO",
        "listen_address6" if is_ipv6 else "listen_address": host,
        "background": "NO",
        "max_per_ip": str(max_clients_per_ip),
        "pasv_min_port": str(PASSIVE_PORTS[0]),
        "pasv_max_port": str(PASSIVE_PORTS[1]),
        "nopriv_user": "nobody",
        "ftp_username": _SYSTEM_USER,
        "secure_chroot_dir": str(directory / "empty"),
        "secure_email_list_enable": "YES",
        "email_password_file": str(directory / "passwords"),
        "anon_umask": "022",
        "anon_world_readable_only": "NO",
        "anon_upload_enable": "YES",
        "anon_mkdir_write_enable": "YES",
        "anon_other_write_enable": "YES",
        "write_enable": "YES",
        "xferlog_enable": "NO",
        "vsftpd_log_file": str(directory / "vsftpd.log"),
    }


def _tls_settings(certificate: Certificate, *, requires_session_reuse: bool) -> dict[str, str]:
    return {
        "ssl_enable": "YES",
        "allow_anon_ssl": "YES",
        "force_anon_logins_ssl": "YES",
        "force_anon_data_ssl": "YES",
        "require_ssl_reuse": "YES" if requires_session_reuse else "NO",
        "strict_ssl_read_eof": "YES",
        "ssl_ciphers": "HIGH",
        "rsa_cert_file": str(certificate.pem),
        "rsa_private_key_file": str(certificate.pem),
    }
