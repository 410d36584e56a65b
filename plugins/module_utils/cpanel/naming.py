# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a name on a storage says that cPanel fills: which account it is a backup of, and from when.

Source: cPanel's documentation, "Backup Configuration" and "Transfer or Restore a cPanel Account".
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

if t.TYPE_CHECKING:
    from pathlib import PurePosixPath

TAR, TAR_GZ, DIRECTORY = "tar", "tar.gz", "directory"  # forms
DAILY, WEEKLY, MONTHLY, OTHER = "daily", "weekly", "monthly", ""  # cycles

NO_BACKUP = "no backup of an account"
OF_THE_SERVER = "backups of the server itself"
METADATA = "metadata of cPanel"
SPLIT = "split archives are not supported"

_ENDINGS = {TAR: ".tar", TAR_GZ: ".tar.gz"}
_USER = r"(?P<user>[A-Za-z0-9](?:[A-Za-z0-9_-]{0,14}[A-Za-z0-9_])?)"
_MOMENT = (
    r"(?P<month>\d{1,2})\.(?P<day>\d{1,2})\.(?P<year>\d{4})_?(?P<hour>\d{1,2})-(?P<minute>\d{1,2})-"
    r"(?P<second>\d{2}|\d(?!\d))"
)
_BY_USER = re.compile(rf"backup-{_MOMENT}_?{_USER}", re.ASCII)
_MOVED = re.compile(rf"(?:cpmove|package)-{_USER}", re.ASCII)
_PLAIN = re.compile(_USER, re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_PART = re.compile(r".+\.part\d+(?:\.tar(?:\.gz)?)?", re.ASCII | re.DOTALL)
_SERVERS_OWN = re.compile(r"(?:system|dirs|files)(?:\.tar(?:\.gz)?)?", re.ASCII)
_CPANELS_OWN = re.compile(r"\.meta|\..*\.meta|(?:\.meta|transports)\.db", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Backup:
    """A backup of one account, as its name tells.

    *path* is relative to the destination's directory. *account* is a guess: what stands in ``cp/`` wins. *created* is
    aware and UTC, midnight where only the day is known; cPanel means the server's own time, which nobody tells.
    *is_one_of_several*: what lies beside it would have the same id without the ending.
    """

    path: PurePosixPath
    form: str
    account: str
    created: datetime | None
    cycle: str
    is_one_of_several: bool = False

    @property
    def id(self) -> str:
        """The path without the ending of an archive, which it keeps only where the id would not be its own.

        So ``x/USER.tar`` and ``x/USER.tar.gz`` have the id ``x/USER`` each where it lies alone, and their whole paths
        where both are there, or a directory ``x/USER``, whose id is its path in any case.
        """
        text = str(self.path)
        return text if self.form == DIRECTORY or self.is_one_of_several else text[: -len(_ENDINGS[self.form])]


def backup_named(
    path: PurePosixPath, *, is_directory: bool, cycle: str = OTHER, day: datetime | None = None
) -> Backup | None:
    """Return the backup that is called *path*, if that is how one is called.

    *cycle* and *day* are those of the directories above it; without a day it is the name that may tell when.
    """
    form = DIRECTORY if is_directory else _form_of(path.name)
    if form is None:
        return None
    stem = path.name[: -len(_ENDINGS[form])] if form in _ENDINGS else path.name
    by_user = _BY_USER.fullmatch(stem)
    found = by_user or _MOVED.fullmatch(stem) or _PLAIN.fullmatch(stem)
    if found is None:
        return None
    created = day if day is not None or by_user is None else _moment_of(by_user)
    return Backup(path, form, found["user"], created, cycle)


def _form_of(name: str) -> str | None:
    return next((form for form, ending in _ENDINGS.items() if name.endswith(ending)), None)


def _moment_of(found: re.Match[str]) -> datetime | None:
    """Return the time in the name of a backup that a user has made, None if there is no such time."""
    numbers = [int(found[part]) for part in ("year", "month", "day", "hour", "minute", "second")]
    return _moment(*numbers)


def _moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None


def day_named(name: str) -> datetime | None:
    """Return the beginning of the day that a directory is called after, None if it is called otherwise."""
    found = _DAY.fullmatch(name)
    return _moment(*map(int, found.groups())) if found else None


def is_servers_own(name: str) -> bool:
    """Tell whether what is called *name*, beside the accounts, is a backup of the server itself."""
    return _SERVERS_OWN.fullmatch(name) is not None


def why_no_backup(name: str) -> str:
    """Return what it is that is called *name* and is no backup of an account."""
    if _CPANELS_OWN.fullmatch(name):
        return METADATA
    return SPLIT if _PART.fullmatch(name) else NO_BACKUP
