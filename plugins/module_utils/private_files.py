# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that this host keeps for itself: readable by their owner only, replaced as a whole, locked by the kernel."""

from __future__ import annotations

import fcntl
import json
import os
import time
import typing as t
from contextlib import contextmanager

from .errors import LocalError, LockedError, told_as

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK = 0.05


def make_private_directory(directory: Path) -> None:
    """Make *directory* and those above it, each for its owner only where it is not there yet."""
    with told_as(f"Cannot make the directory {directory}"):
        for path in (*reversed(directory.parents), directory):
            path.mkdir(exist_ok=True, mode=0o700)


def read_json(path: Path) -> dict[str, t.Any]:
    """Return the object that stands in *path*."""
    with told_as(f"Cannot read {path}"):
        text = path.read_text("utf-8", "replace")
    try:
        values = json.loads(text)
    except ValueError as error:
        raise LocalError(f"The file {path} is no JSON: {error}.") from error
    if not isinstance(values, dict):
        raise LocalError(f"The file {path} holds no object.")
    return values


def write_json(path: Path, values: dict[str, t.Any]) -> None:
    """Replace *path* by *values* as JSON, whole or not at all, readable by its owner only."""
    make_private_directory(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with told_as(f"Cannot write {path}"):
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)


@contextmanager
def locked(path: Path, refusal: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock on the file *path*, which tells the process that holds it.

    After *patience* seconds *refusal* is raised, and ends with that process's number. The kernel frees a dead run's
    lock.
    """
    make_private_directory(path.parent)
    deadline = time.monotonic() + patience
    with told_as(f"Cannot open {path}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as file:
        while not _is_taken(descriptor):
            if time.monotonic() >= deadline:
                raise LockedError(f"{refusal}, by process {file.read(20).strip() or 'unknown'}.")
            time.sleep(_LOOK)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
