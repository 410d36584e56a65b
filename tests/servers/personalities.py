# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How FTP servers of many makes present themselves, for the scripted server to play, and what to make of each."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

_TLS_FEATURES = ("AUTH TLS", "PBSZ", "PROT")
_FEATURES = (*_TLS_FEATURES, "EPRT", "EPSV", "MDTM", "MFMT", "REST STREAM", "SIZE", "TVFS", "UTF8")
_UNIX_TYPE = "215 UNIX Type: L8"


@dataclass(frozen=True)
class Personality:
    """What a server says of itself, and how it takes names; None stands for a command that it does not know.

    Texts are whole replies, of several lines where there are line breaks. *home* is where the login lands, as PWD tells
    it. *facts* are those that MLST and MLSD offer, *features* what FEAT lists apart from them.
    """

    greeting: str = "220 Scripted FTP server ready."
    syst: str | None = _UNIX_TYPE
    features: tuple[str, ...] | None = _FEATURES
    features_title: str = "Features:"
    facts: tuple[str, ...] | None = ("type", "size", "modify", "UNIX.mode", "UNIX.uid", "UNIX.gid")
    help: str | None = "214 Ask in RFC 959."
    stat: str | None = "211-Status of the server\n All is well.\n211 End of status."
    home: str = "/"
    # "{path}" is the directory, with its quotes doubled.
    pwd: str = '257 "{path}" is the current directory.'
    listing: t.Literal["unix", "dos"] = "unix"
    owner: str = "backup   backup"
    folds_case: bool = False
    refuses_colons: bool = False
    trailing_dots: t.Literal["kept", "stripped", "refused"] = "kept"
    has_chmod: bool = True
    absolute_paths: bool = True
    # Pure-FTPd ends a session that stands in a directory which is removed or renamed.
    needs_its_directory: bool = False


@dataclass(frozen=True)
class Expected:
    """What a server is found to be by what it says, and the number of the rule that decides it.

    *signs* counts what an unidentified one shows of Windows by its behaviour: names whose case does not matter, names
    that it refuses or changes, no ``SITE CHMOD``. Two are enough.
    """

    verdict: t.Literal["unix", "windows", "unidentified"]
    rule: int
    signs: int = 0


UNIX = Personality()

_WINDOWS_FILES = Personality(folds_case=True, refuses_colons=True, trailing_dots="stripped", has_chmod=False)
_PLAIN_FACTS = ("type", "size", "modify")
_IIS = replace(
    _WINDOWS_FILES,
    greeting="220 Microsoft FTP Service",
    syst="215 Windows_NT",
    features_title="Extended features supported:",
    features=(
        *("LANG EN*", "UTF8", "AUTH TLS;TLS-C;SSL;TLS-P;", "PBSZ", "PROT C;P;", "CCC", "HOST", "SIZE", "MDTM"),
        "REST STREAM",
    ),
    facts=None,
    help="214-The following commands are recognized (* ==>'s unimplemented).\n ABOR\n214 HELP command successful.",
    stat="211-Microsoft FTP Service status:\n Logged in.\n211 End of status.",
    pwd='257 "{path}" is current directory.',
    listing="dos",
)
_SERV_U = replace(
    _WINDOWS_FILES,
    greeting="220 Serv-U FTP Server v15.1 ready...",
    features=(
        *(*_TLS_FEATURES, "CLNT", "CSID Name; Version;", "DSIZ", "AVBL", "MFCT", "MFMT", "OPTS MLST", "REST STREAM"),
        *("RMDA directoryname", "SIZE", "THMB BMP|JPEG", "UTF8", "XCRC filename;start;end"),
    ),
    facts=(*_PLAIN_FACTS, "perm", "create", "Win32.ea", "Win32.dt", "Win32.dl"),
)

# One of each row of the table of Windows servers, and of the servers that run anywhere.
PERSONALITIES: dict[str, tuple[Personality, Expected]] = {
    "IIS 7": (_IIS, Expected("windows", 1)),
    "IIS 7 with Unix listings": (replace(_IIS, listing="unix", owner="owner    group"), Expected("windows", 1)),
    "IIS 5": (
        replace(
            _IIS,
            greeting="220 host Microsoft FTP Service (Version 5.0).",
            syst="215 Windows_NT version 5.0",
            features=None,
        ),
        Expected("windows", 1),
    ),
    "FileZilla 0.9": (
        replace(
            _WINDOWS_FILES,
            greeting=(
                "220-FileZilla Server version 0.9.60 beta\n220-written by Tim Kosse (tim.kosse@filezilla-project.org)\n"
                "220 Please visit https://filezilla-project.org/"
            ),
            syst="215 UNIX emulated by FileZilla",
            features=("MDTM", "REST STREAM", "SIZE", "MLSD", *_TLS_FEATURES, "UTF8", "CLNT", "MFMT", "EPSV", "EPRT"),
            facts=_PLAIN_FACTS,
            owner="ftp ftp",
        ),
        Expected("windows", 2),
    ),
    "FileZilla 1.x": (
        replace(
            _WINDOWS_FILES,
            greeting="220-FileZilla Server 1.8.2\n220 Please visit https://filezilla-project.org/",
            features=("MDTM", "REST STREAM", "SIZE", "MLSD", *_TLS_FEATURES, "UTF8", "TVFS", "EPSV", "EPRT", "MFMT"),
            facts=(*_PLAIN_FACTS, "perm"),
            owner="ftp ftp",
        ),
        Expected("unidentified", 4, signs=3),
    ),
    "Serv-U": (_SERV_U, Expected("windows", 1)),
    "Serv-U old": (
        replace(
            _SERV_U, greeting="220 Serv-U FTP-Server v2.5k for WinSock ready...", features=_TLS_FEATURES, facts=None
        ),
        Expected("windows", 1),
    ),
    "Serv-U without facts of Windows": (
        replace(_SERV_U, facts=(*_PLAIN_FACTS, "perm")),
        Expected("unidentified", 4, signs=3),
    ),
    "WS_FTP": (
        replace(
            _WINDOWS_FILES,
            greeting="220 host X2 WS_FTP Server 6.1(12345678)",
            features=(*_TLS_FEATURES, "SIZE", "MDTM", "REST STREAM", "XQUOTA"),
            facts=None,
        ),
        Expected("windows", 2),
    ),
    "Gene6": (
        replace(
            _WINDOWS_FILES,
            greeting="220 Gene6 FTP Server v3.10.0 (Build 2) ready...",
            features=(*_TLS_FEATURES, "CPSV", "SSCN", "XCRC", "SIZE", "MDTM", "REST STREAM", "UTF8"),
            facts=_PLAIN_FACTS,
        ),
        Expected("windows", 2),
    ),
    "Titan": (
        replace(_WINDOWS_FILES, greeting="220 Titan FTP Server 19.00 Ready.", facts=_PLAIN_FACTS),
        Expected("windows", 2),
    ),
    "GlobalSCAPE": (
        replace(
            _WINDOWS_FILES,
            greeting="220 GlobalSCAPE EFT Server (v. 7.4)",
            facts=_PLAIN_FACTS,
        ),
        Expected("unidentified", 4, signs=3),
    ),
    "CompleteFTP": (
        replace(_WINDOWS_FILES, greeting="220 Complete FTP server", facts=_PLAIN_FACTS),
        Expected("unidentified", 4, signs=3),
    ),
    "Cerberus": (
        replace(
            _WINDOWS_FILES, greeting="220-Welcome to Cerberus FTP Server\n220 Created by Cerberus", facts=_PLAIN_FACTS
        ),
        Expected("windows", 2),
    ),
    "CrushFTP": (
        replace(UNIX, greeting="220 Welcome to CrushFTP10!", facts=_PLAIN_FACTS),
        Expected("unidentified", 4),
    ),
    "pyftpdlib on Unix": (
        replace(
            UNIX,
            greeting="220 pyftpdlib 2.2.0 ready.",
            features_title="Features supported:",
            facts=("type", "perm", "size", "modify", "unique", "unix.mode", "unix.uid", "unix.gid"),
        ),
        Expected("unix", 3),
    ),
    "pyftpdlib on Windows": (
        replace(
            _WINDOWS_FILES,
            greeting="220 pyftpdlib 2.2.0 ready.",
            features_title="Features supported:",
            facts=("type", "perm", "size", "modify", "create"),
            owner="owner    group",
            has_chmod=True,
        ),
        Expected("unidentified", 4, signs=2),
    ),
    "login on a drive": (
        replace(_WINDOWS_FILES, greeting="220 FTP", facts=None, home="C:/ftp"),
        Expected("windows", 1),
    ),
    "bare greeting": (replace(UNIX, greeting="220 FTP", facts=None), Expected("unidentified", 4)),
}
