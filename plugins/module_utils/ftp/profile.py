# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server shows of itself, and whether it may hold backups: servers hosted on Windows are refused."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from .session import Session

_WINDOWS_GREETING = re.compile(r"Microsoft FTP Service|for WinSock ready", re.IGNORECASE)
_WINDOWS_ONLY = re.compile(
    r"FileZilla Server version 0\.9|WS_FTP Server|Titan FTP|Cerberus FTP|Gene6|G6 FTP|GuildFTPd|WarFTPd|BulletProof FTP"
    r"|Golden FTP|Xlight|TYPSoft|Quick 'n Easy|Home Ftp Server|ArGoSoft|ioFTPD|RaidenFTPD|CesarFTP|SlimFTPd",
    re.IGNORECASE,
)
_UNIX_GREETING = re.compile(r"Pure-FTPd|vsFTPd|ProFTPD", re.IGNORECASE)
_DRIVE = re.compile(r"/?[A-Za-z]:[/\\]")


@dataclass(frozen=True)
class Profile:
    """What a server shows of itself; *rule* is the observation that decided the *verdict*."""

    banner: str
    syst: str
    feat: tuple[str, ...]
    pwd: str
    verdict: str
    rule: str


def read_profile(session: Session) -> Profile:
    """Ask the server behind *session* what it is."""
    banner, syst = str(session.greeting), str(session.system())
    features = tuple(sorted(session.features))
    verdict, rule = judge(banner, syst, features, session.home)
    return Profile(banner, syst, features, session.home, verdict, rule)


def judge(banner: str, syst: str, features: tuple[str, ...], home: str) -> tuple[str, str]:
    """Return the verdict (unix, windows or unidentified) on a server and the observation that decided it."""
    facts = " ".join(features).lower()
    windows = (
        (re.search(r"windows|win32", syst, re.IGNORECASE), "SYST names Windows"),
        (_WINDOWS_GREETING.search(banner), "the greeting names a Windows server"),
        ("auth tls;tls-c;ssl;tls-p;" in facts, "FEAT is that of IIS"),
        ("win32." in facts, "FEAT lists facts of Windows files"),
        (_DRIVE.match(home), "the login starts on a drive"),
        ("unix emulated by filezilla" in syst.lower(), "SYST names FileZilla, which runs on Windows"),
        (_WINDOWS_ONLY.search(banner), "the greeting names a product for Windows"),
    )
    unix = (
        (_UNIX_GREETING.search(banner), "the greeting names a Unix server"),
        ("version: bsd-" in syst.lower(), "SYST names BSD"),
        ("unix.mode" in facts, "FEAT lists facts of Unix files"),
    )
    for verdict, observations in (("windows", windows), ("unix", unix)):
        for is_seen, rule in observations:
            if is_seen:
                return verdict, rule
    return "unidentified", "nothing that the server shows tells its system"
