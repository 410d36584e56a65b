# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be seen of some places on disk, to show that nothing there was touched."""

from __future__ import annotations

import hashlib
import stat
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Snapshot = dict[Path, tuple[object, ...]]


def snapshot(*places: Path) -> Snapshot:
    """Return mode, owner, size, times and content of all that lies at and below *places*; what is missing is not in it.

    Times of directories are seen, too: something that was made and removed again shows.
    """
    return {path: _seen(path) for place in places for path in _walk(place)}


def contents(*places: Path) -> dict[Path, str]:
    """Return the digest of every file at and below *places*, for where times and directories may change."""
    return {path: _digest(path) for place in places for path in _walk(place) if path.is_file()}


def _walk(place: Path) -> Iterator[Path]:
    if place.is_symlink() or place.exists():
        yield place
        if place.is_dir() and not place.is_symlink():
            for child in sorted(place.iterdir()):
                yield from _walk(child)


def _seen(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    about = (stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns)
    if stat.S_ISLNK(status.st_mode):
        return (*about, str(path.readlink()))
    return (*about, _digest(path)) if stat.S_ISREG(status.st_mode) else about


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
