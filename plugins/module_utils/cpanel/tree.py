# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where cPanel's backups lie on a storage: its layouts are walked, never deeper, and no account's own tree.

Source: cPanel's documentation, "Backup Configuration"; what importers accept besides.
"""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from .. import storage as kinds
from ..errors import RefusedError
from ..native.entries import path_bytes
from .naming import (
    DAILY,
    DIRECTORY,
    MONTHLY,
    NO_BACKUP,
    OF_THE_SERVER,
    OTHER,
    WEEKLY,
    Backup,
    backup_named,
    day_named,
    is_servers_own,
    why_no_backup,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ..storage import RemoteDetails, Storage

_IGNORED_KEPT = 200
_LINK = "a link, which is not followed"
_STRANGE = "neither a file nor a directory"
_UNLISTED = "the server does not list it"

# Levels of the layouts; an account is none: it is looked at, and not walked.
_TOP, _CYCLE, _DATE, _ACCOUNTS, _INCREMENTAL, _LEGACY, _ACCOUNT = "top", "cycle", "date", "accounts", "inc", "old", ""
_A_DAY = ""  # stands for all directories that are called after one
_CYCLES: Mapping[str, str] = {DAILY: _CYCLE, WEEKLY: _CYCLE, MONTHLY: _CYCLE}
#: The directories that each level may have, by their names, and of which level they are.
_LAYOUT: Mapping[str, Mapping[str, str]] = {
    _TOP: {
        **_CYCLES,
        _A_DAY: _DATE,
        "accounts": _ACCOUNTS,
        "incremental": _INCREMENTAL,
        "cpbackup": _LEGACY,
        "manual": _CYCLE,
    },
    _CYCLE: {_A_DAY: _DATE, "accounts": _ACCOUNTS},
    _DATE: {"accounts": _ACCOUNTS},
    _INCREMENTAL: {"accounts": _ACCOUNTS},
    _LEGACY: _CYCLES,
    _ACCOUNTS: {},
}

#: What every new backup of an account writes anew, whatever of it is a hard link to the one before.
_WRITTEN_ANEW = (
    "version",
    "homedir_paths",
    "mysql.sql",
    "quota",
    "shadow",
    "mysql-timestamps/mysql",
    "meta/homedir_paths",
)


class Ignored(t.NamedTuple):
    """What lies on the storage and is no backup of an account, and why not."""

    path: PurePosixPath
    why: str


@dataclass(frozen=True)
class Findings:
    """All backups on a storage, by their paths, and what else lies there: so much of it as can be shown.

    The last of *ignored* has no path if there is more: it tells how much.
    """

    backups: tuple[Backup, ...]
    ignored: tuple[Ignored, ...]


class _Place(t.NamedTuple):
    """A directory to be looked into; *cycle* and *day* are those of what lies there."""

    path: PurePosixPath
    level: str
    cycle: str
    day: datetime | None
    backup: Backup | None = None  # which it is, if it is an account


def find_backups(storage: Storage, map_: Callable[..., Iterable[t.Any]] = map) -> Findings:
    """Return the backups on *storage*; directories are listed side by side by *map_*, that of an executor.

    A directory of a layout that cannot be listed whole is raised; one that may be an account is told as ignored.
    """
    backups: list[Backup] = []
    ignored: list[Ignored] = []
    waiting = [_Place(PurePosixPath(), _TOP, OTHER, None)]
    while waiting:
        listings: Iterable[Sequence[RemoteDetails] | None] = map_(lambda place: _listed(storage, place), waiting)
        inner: list[_Place] = []
        for place, details in zip(waiting, listings):
            if place.backup is not None:
                if details is not None and is_account(details):
                    backups.append(place.backup)
                else:
                    ignored.append(Ignored(place.path, _UNLISTED if details is None else NO_BACKUP))
                continue
            for found in _found_in(place, details or ()):
                if isinstance(found, Backup):
                    backups.append(found)
                elif isinstance(found, Ignored):
                    ignored.append(found)
                else:
                    inner.append(found)
        waiting = inner
    return Findings(tuple(_with_own_ids(backups)), tuple(_shown(ignored)))


def _listed(storage: Storage, place: _Place) -> list[RemoteDetails] | None:
    try:
        return storage.list_details(place.path)
    except RefusedError:
        if place.backup is None:
            raise
        return None


def _found_in(place: _Place, listing: Iterable[RemoteDetails]) -> Iterator[_Place | Backup | Ignored]:
    """Yield what each name in *place* is, as far as names tell: a directory must be looked into."""
    for details in listing:
        path = place.path / details.name
        if details.kind not in (kinds.FILE, kinds.DIRECTORY):
            yield Ignored(path, _LINK if details.kind == kinds.LINK else _STRANGE)
            continue
        inner = _inner(place, details.name) if details.kind == kinds.DIRECTORY else None
        if inner is not None:
            yield inner
        elif place.level != _ACCOUNTS and is_servers_own(details.name):
            yield Ignored(path, OF_THE_SERVER)
        else:
            yield _named(place, path, details.kind)


def _inner(place: _Place, name: str) -> _Place | None:
    """Return the directory *name* in *place* if a layout has it there."""
    day = day_named(name)
    level = _LAYOUT[place.level].get(name if day is None else _A_DAY)
    if level is None:
        return None
    cycle = name if name in _CYCLES else place.cycle
    if place.level == _TOP and level == _DATE:
        cycle = DAILY
    return _Place(place.path / name, level, cycle, day or place.day)


def _named(place: _Place, path: PurePosixPath, kind: str) -> _Place | Backup | Ignored:
    is_directory = kind == kinds.DIRECTORY
    backup = backup_named(path, is_directory=is_directory, cycle=place.cycle, day=place.day)
    if backup is None:
        return Ignored(path, why_no_backup(path.name))
    return _Place(path, _ACCOUNT, place.cycle, place.day, backup) if is_directory else backup


def is_account(listing: Iterable[RemoteDetails]) -> bool:
    """Tell whether a directory with this *listing* is the backup of an account."""
    found = {(details.name, details.kind) for details in listing}
    has_home = ("homedir", kinds.DIRECTORY) in found or ("homedir.tar", kinds.FILE) in found
    return ("cp", kinds.DIRECTORY) in found or (has_home and ("version", kinds.FILE) in found)


def _with_own_ids(backups: Iterable[Backup]) -> list[Backup]:
    """Return *backups* by their paths, each with an id that no other one has."""
    ordered = sorted(backups, key=lambda backup: path_bytes(str(backup.path)))
    counts = Counter(backup.id for backup in ordered)
    return [replace(backup, is_one_of_several=counts[backup.id] > 1) for backup in ordered]


def _shown(ignored: Iterable[Ignored]) -> Iterator[Ignored]:
    """Yield the first of *ignored* by their paths, and how many are left."""
    ordered = sorted(ignored, key=lambda one: path_bytes(str(one.path)))
    yield from ordered[:_IGNORED_KEPT]
    if len(ordered) > _IGNORED_KEPT:
        yield Ignored(PurePosixPath(), f"and {len(ordered) - _IGNORED_KEPT:,} more are no backups of accounts")


def marks_of(
    storage: Storage, backups: Sequence[Backup], map_: Callable[..., Iterable[t.Any]] = map
) -> list[str | None]:
    """Return a text for each of *backups* that stays while it stays as it is, or None for each that is gone.

    For an archive it is the storage's own mark. A directory has none: its top listing and the marks of what every
    backup writes anew stand for all of it.
    """
    directories = [backup for backup in backups if backup.form == DIRECTORY]
    listings = dict(zip(directories, map_(lambda backup: storage.list_details(backup.path), directories)))
    asked = {
        backup: _written_anew(backup, listings[backup]) if backup in listings else [backup.path] for backup in backups
    }
    paths = [path for backup in backups for path in asked[backup]]
    answers = iter(storage.marks(paths))
    marks: list[str | None] = []
    for backup in backups:
        own = [next(answers, None) for _path in asked[backup]]
        marks.append(_digest(listings[backup], own) if backup in listings else own[0])
    return marks


def _written_anew(backup: Backup, listing: Iterable[RemoteDetails]) -> list[PurePosixPath]:
    """Return the files to be asked for, so far as the directories are there in which they would lie."""
    there = {details.name for details in listing}
    names = (*_WRITTEN_ANEW, f"cp/{backup.account}")
    return [backup.path / name for name in names if name.partition("/")[0] in there]


def _digest(listing: Sequence[RemoteDetails], marks: Iterable[str | None]) -> str | None:
    """Return what tells the state of a directory; a time counts only in a form that does not change with its age."""
    if not listing:
        return None
    told = sorted(
        (one.name, one.kind, one.size, one.mode or 0, one.modified if one.modified[:14].isdecimal() else "", one.target)
        for one in listing
    )
    return hashlib.sha256(repr((told, list(marks))).encode("utf-8", "surrogateescape")).hexdigest()
