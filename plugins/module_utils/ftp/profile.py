# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server shows of itself, and whether it may hold backups: servers hosted on Windows are refused.

The rules are numbered, and asked in this order: 1, it runs on Windows; 2, it is a product that runs nowhere else; 3, it
is known to run on Unix; 4, nobody knows.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass, fields, replace

from ..errors import StorageError
from .listing import is_dos_form

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .session import Session

UNIX, WINDOWS, UNIDENTIFIED = "unix", "windows", "unidentified"

_WINDOWS_SYSTEM = re.compile(r"windows|win32", re.IGNORECASE)
_WINDOWS_GREETING = re.compile(r"Microsoft FTP Service|for WinSock ready", re.IGNORECASE)
_WINDOWS_ONLY = re.compile(
    r"FileZilla Server version 0\.9|WS_FTP Server|Titan FTP|Cerberus FTP|Gene6|G6 FTP|GuildFTPd|WarFTPd|BulletProof FTP"
    r"|Golden FTP|Xlight|TYPSoft|Quick 'n Easy|Home Ftp Server|ArGoSoft|ioFTPD|RaidenFTPD|CesarFTP|SlimFTPd",
    re.IGNORECASE,
)
_UNIX_GREETING = re.compile(r"Pure-FTPd|vsFTPd|ProFTPD", re.IGNORECASE)
_DRIVE = re.compile(r"/?[A-Za-z]:[/\\]")
_SIGNS_OF_WINDOWS = 2


@dataclass(frozen=True)
class Verdict:
    """Where a server is hosted, the number of the rule that says so, and the *evidence* for it in words."""

    verdict: str
    rule: int
    evidence: str


@dataclass(frozen=True)
class Profile:
    """What a server shows of itself; what was not tried is None.

    *passive_form* is EPSV, PASV or active; *listing_form* is MLSD or LIST; *listing_limit* is after how many entries
    the server said that it cut a listing. *time_skew* is how many seconds its clock is ahead of ours. *quota* has the
    bytes that are used and allowed, *connections* how many were open at once. *probes* is what was tried to identify
    it, with what was seen.
    """

    banner: str
    syst: str
    feat: tuple[str, ...]
    pwd: str
    verdict: str
    rule: int
    evidence: str
    tls_version: str | None = None
    certificate_fingerprint: str | None = None
    session_reuse: bool | None = None
    passive_form: str | None = None
    listing_form: str | None = None
    listing_limit: int | None = None
    pipelined_login: bool | None = None
    absolute_paths: bool | None = None
    rename: bool | None = None
    exclusive_mkdir: bool | None = None
    restart: bool | None = None
    mfmt: bool | None = None
    site_chmod: bool | None = None
    time_skew: int | None = None
    quota: tuple[int, int] | None = None
    connections: int | None = None
    probes: tuple[str, ...] = ()

    def shown(self) -> dict[str, t.Any]:
        """Return it as a module's result shows it."""
        values = {**asdict(self), "feat": list(self.feat), "probes": list(self.probes)}
        if self.quota is not None:
            values["quota"] = {"used": self.quota[0], "limit": self.quota[1]}
        return values

    def with_memories(self, older: Profile | None) -> Profile:
        """Return it with what an *older* one of the same server had tried and this one has not."""
        if older is None:
            return self
        lacking = [field.name for field in fields(self) if getattr(self, field.name) in (None, ())]
        return replace(self, **{name: getattr(older, name) for name in lacking})


def profile_from(values: Mapping[str, t.Any]) -> Profile:
    """Return the profile that :meth:`Profile.shown` made *values* of; raise TypeError or KeyError if it is none."""
    quota = values["quota"]
    return Profile(
        **{
            **values,
            "feat": tuple(values["feat"]),
            "probes": tuple(values["probes"]),
            "quota": (int(quota["used"]), int(quota["limit"])) if quota is not None else None,
        }
    )


def read_profile(session: Session) -> Profile:
    """Ask the server behind *session* what it is, without writing anything there."""
    banner = str(session.greeting)
    (reply,) = session.ask("SYST")
    syst = str(reply)
    features = tuple(sorted(session.features))
    judged = judge(banner, syst, features, session.home)
    if judged.verdict == UNIDENTIFIED:
        judged = _judge_further(session, judged)
    passive = "EPSV" if session.known.extended_passive else "PASV"
    return Profile(
        banner,
        syst,
        features,
        session.home,
        judged.verdict,
        judged.rule,
        judged.evidence,
        tls_version=session.tls_version,
        certificate_fingerprint=session.fingerprint,
        passive_form=passive if session.address.passive else "active",
        listing_form="MLSD" if session.has_mlst else "LIST",
        mfmt=any(feature.split(" ", 1)[0] == "MFMT" for feature in features),
        quota=session.quota,
    )


def judge(banner: str, syst: str, features: tuple[str, ...], home: str) -> Verdict:
    """Return the verdict on a server and the observation that decided it."""
    facts = " ".join(features).lower()
    rules = (
        (WINDOWS, 1, _WINDOWS_SYSTEM.search(syst), "SYST names Windows"),
        (WINDOWS, 1, _WINDOWS_GREETING.search(banner), "the greeting names a Windows server"),
        (WINDOWS, 1, "auth tls;tls-c;ssl;tls-p;" in facts, "FEAT is that of IIS"),
        (WINDOWS, 1, "win32." in facts, "FEAT lists facts of Windows files"),
        (WINDOWS, 1, _DRIVE.match(home), "the login starts on a drive"),
        (WINDOWS, 2, "unix emulated by filezilla" in syst.lower(), "SYST names FileZilla, which runs on Windows"),
        (WINDOWS, 2, _WINDOWS_ONLY.search(banner), "the greeting names a product for Windows"),
        (UNIX, 3, _UNIX_GREETING.search(banner), "the greeting names a Unix server"),
        (UNIX, 3, "version: bsd-" in syst.lower(), "SYST names BSD"),
        (UNIX, 3, "unix.mode" in facts, "FEAT lists facts of Unix files"),
    )
    for verdict, number, is_seen, evidence in rules:
        if is_seen:
            return Verdict(verdict, number, evidence)
    return Verdict(UNIDENTIFIED, 4, "nothing that the server shows tells its system")


def _judge_further(session: Session, judged: Verdict) -> Verdict:
    """Ask what only few servers need to be asked for: HELP, STAT, and the form of a listing."""
    for verb, reply in zip(("HELP", "STAT"), session.ask("HELP", "STAT")):
        if _WINDOWS_GREETING.search(reply.text):
            return Verdict(WINDOWS, 1, f"{verb} names a Windows server")
    try:
        listing = session.list_raw(session.home)
    except StorageError:
        return judged  # a server that cannot be listed does not tell more of itself
    return Verdict(WINDOWS, 1, "LIST has the form of Windows") if is_dos_form(listing) else judged


def judge_behaviour(judged: Verdict, probes: Mapping[str, bool]) -> Verdict:
    """Judge an unidentified server by how it behaved: *probes* tells of each sign of Windows whether it was seen."""
    signs = [sign for sign, is_seen in probes.items() if is_seen]
    if judged.verdict != UNIDENTIFIED or len(signs) < _SIGNS_OF_WINDOWS:
        return judged
    return Verdict(WINDOWS, 1, f"it behaves like Windows: {', '.join(signs)}")
