# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers may hold backups, judged from what they show."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.profile import judge

UNIX_TYPE = "215 UNIX Type: L8"
IIS_FEAT = ("AUTH TLS;TLS-C;SSL;TLS-P;", "HOST", "LANG EN*", "PBSZ", "PROT C;P;", "REST STREAM", "SIZE", "UTF8")


class Shown(t.NamedTuple):
    verdict: str
    banner: str
    syst: str = UNIX_TYPE
    feat: tuple[str, ...] = ()
    home: str = "/"


SERVERS = {
    "IIS 10": Shown("windows", "220 Microsoft FTP Service", "215 Windows_NT", IIS_FEAT),
    "IIS 10 with another greeting": Shown("windows", "220 Welcome", "215 Windows_NT", IIS_FEAT),
    "IIS 10 that hides its name": Shown("windows", "220 Welcome", "500 no", IIS_FEAT),
    "IIS 5": Shown("windows", "220 srv Microsoft FTP Service (Version 5.0).", "215 Windows_NT version 5.0"),
    "FileZilla 0.9": Shown(
        "windows", "220-FileZilla Server version 0.9.60 beta", "215 UNIX emulated by FileZilla", ("MLST type*;size*;",)
    ),
    "FileZilla 0.9 with another greeting": Shown("windows", "220 Hello", "215 UNIX emulated by FileZilla"),
    "FileZilla 1.x": Shown("unidentified", "220-FileZilla Server 1.8.1", feat=("MLST type*;size*;modify*;perm*;",)),
    "Serv-U": Shown("windows", "220 Serv-U FTP Server v15.1 ready...", feat=("MLST Type*;Size*;Win32.ea*;Win32.dt*;",)),
    "Serv-U that hides its facts": Shown("unidentified", "220 Serv-U FTP Server v15.1 ready..."),
    "Serv-U 6": Shown("windows", "220 Serv-U FTP Server v6.4 for WinSock ready..."),
    "WS_FTP": Shown("windows", "220 X2 WS_FTP Server 6.1"),
    "Gene6": Shown("windows", "220 Gene6 FTP Server v3.10.0 (Build 2) ready..."),
    "Titan": Shown("windows", "220 Titan FTP Server 19.00 Ready."),
    "Cerberus": Shown("windows", "220-Welcome to Cerberus FTP Server"),
    "Xlight": Shown("windows", "220 Xlight FTP Server 3.9 ready..."),
    "a drive": Shown("windows", "220 ready", home="C:/Users/backup"),
    "a drive below a slash": Shown("windows", "220 ready", home="/C:/Users/backup"),
    "CrushFTP": Shown("unidentified", "220-Welcome to CrushFTP!"),
    "CompleteFTP": Shown("unidentified", "220-Complete FTP server"),
    "nothing": Shown("unidentified", "220 ready"),
    "pyftpdlib on Windows": Shown(
        "unidentified", "220 pyftpdlib 2.2.0 ready.", feat=("MLST type*;perm*;size*;modify*;create*;unique*;",)
    ),
    "pyftpdlib on Unix": Shown(
        "unix", "220 pyftpdlib 2.2.0 ready.", feat=("MLST type*;perm*;size*;modify*;unix.mode*;unix.uid*;",)
    ),
    "Pure-FTPd": Shown("unix", "220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------"),
    "Pure-FTPd with another greeting": Shown(
        "unix", "220 Willkommen", feat=("MLST type*;size*;sizd*;modify*;UNIX.mode*;UNIX.uid*;UNIX.gid*;unique*;",)
    ),
    "vsftpd": Shown("unix", "220 (vsFTPd 3.0.3)", feat=("EPRT", "EPSV", "MDTM", "PASV", "REST STREAM", "SIZE", "TVFS")),
    "ProFTPD": Shown("unix", "220 ProFTPD Server (Debian) [::ffff:127.0.0.1]"),
    "BSD": Shown("unix", "220 ftp server ready", "215 UNIX Type: L8 Version: BSD-199506"),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
def test_a_server_is_judged_by_what_it_shows(server: Shown) -> None:
    judged = judge(server.banner, server.syst, tuple(feat.upper() for feat in server.feat), server.home)

    assert judged.verdict == server.verdict
    assert judged.rule in {"windows": (1, 2), "unix": (3,), "unidentified": (4,)}[server.verdict]
    assert judged.evidence


def test_windows_wins_over_a_sign_of_unix() -> None:
    assert judge("220 Pure-FTPd", "215 Windows_NT", ("MLST UNIX.MODE*;",), "/").verdict == "windows"
