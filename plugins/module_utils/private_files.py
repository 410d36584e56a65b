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
from contextlib import contextmanager, suppress

from .errors import LocalError, LockedError, told_as

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK = 0.05
_NUMBER_LENGTH = 20


class UnusableFileError(LocalError):
    """A file of ours can be read, and does not hold what it should."""


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
    except (RecursionError, ValueError) as error:
        raise UnusableFileError(f"The file {path} is no JSON: {error}.") from error
    if not isinstance(values, dict):
        raise UnusableFileError(f"The file {path} holds no object.")
    return values


def write_json(path: Path, values: dict[str, t.Any]) -> None:
    """Replace *path* by *values* as JSON, whole or not at all, readable by its owner only."""
    make_private_directory(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with told_as(f"Cannot write {path}"):
        _remove_leftovers(path)
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(values, file, indent=2, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise


def remove_json(path: Path) -> None:
    """Remove *path*, if it is there, and what killed processes left of it."""
    with told_as(f"Cannot remove {path}"):
        path.unlink(missing_ok=True)
        _remove_leftovers(path)


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that are dead wrote aside of *path*: it may hold a password."""
    beginning = f".{path.name}."
    for aside in list(path.parent.iterdir()) if path.parent.is_dir() else ():
        number = aside.name[len(beginning) :]
        if aside.name.startswith(beginning) and number.isdecimal() and not is_alive(int(number)):
            aside.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Tell whether there is a process of that number, whoever's it is."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


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
    try:
        while not _is_taken(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, _NUMBER_LENGTH, 0).decode("ascii", "replace").strip()
                raise LockedError(f"{refusal}, by process {holder or 'unknown'}.")
            time.sleep(_LOOK)
        with told_as(f"Cannot write {path}"):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
