# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts a test needs of a running FTP server, whichever product it is."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .certificates import Certificate

LOOPBACK = "127.0.0.1"
LOGIN = PurePosixPath("/")


class ServerError(Exception):
    """A server did not start, or did not behave while it started."""


class UnavailableError(ServerError):
    """A server cannot run on this machine at all: ``str(error)`` is one sentence that says why."""


@dataclass(frozen=True)
class FtpUser:
    """One account; two users with the same *home* see the same files."""

    username: str = "backup"
    password: str = field(default="correct horse", repr=False)
    home: str = "home"
    max_sessions: int | None = None


# What a URL, a shell, a configuration file or a C format string could trip over.
ODD_USER = FtpUser('büro 100%s "o\'neil"', "pässwörd %41 \"q'u\\o;t#e$HOME & <ü>")


@dataclass(frozen=True)
class FtpServer:
    """One running server, and the login a test uses.

    *root* is where on disk the *directory* of the server lies: at first where the login lands, ``/``.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    root: Path
    ca_path: Path | None
    fingerprint: str | None
    pid: int
    log: Path | None
    directory: PurePosixPath = LOGIN

    def as_user(self, user: FtpUser) -> FtpServer:
        """Return the same server as another of its users sees it."""
        homes = self.root.parents[len(self.directory.parts) - 1]
        return replace(
            self,
            username=user.username,
            password=user.password,
            root=homes / user.home,
            directory=LOGIN,
        )

    def below(self, name: str) -> FtpServer:
        """Return the same server with the subdirectory *name* as its directory, which need not exist yet."""
        return replace(self, root=self.root / name, directory=self.directory / name)


def greeting_says(text: str) -> Callable[[bytes], bool]:
    """Return a test of a greeting: it lets us in (220) and contains *text*."""
    return lambda greeting: greeting.startswith(b"220") and text.encode() in greeting


def seen_by_first(
    users: Sequence[FtpUser],
    directory: Path,
    certificate: Certificate | None,
    *,
    address: tuple[str, int],
    pid: int,
    log: Path | None = None,
) -> FtpServer:
    """Return what there is to know of a server whose homes lie in *directory*, for the first of its *users*."""
    user = users[0]
    return FtpServer(
        host=address[0],
        port=address[1],
        username=user.username,
        password=user.password,
        root=directory / user.home,
        ca_path=certificate.ca_path if certificate else None,
        fingerprint=certificate.fingerprint if certificate else None,
        pid=pid,
        log=log,
    )
