# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could not be restored, and why: told in one sentence, and kept in little memory however much it is."""

from __future__ import annotations

import errno
import threading
import typing as t

from ..errors import LocalError, StorageError
from ..native.entries import path_text

if t.TYPE_CHECKING:
    from pathlib import Path

    from ..errors import BackupError

_NO_MORE = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full, since the quota of its owner is used up",
    errno.EROFS: "cannot be written to any more, since its file system is read-only",
}
_REASONS_TOLD, _PATHS_TOLD = 3, 5
_REASONS_KEPT = 1_000
_PATHS_KEPT = 100_000


def as_told(error: OSError | BackupError) -> BackupError:
    """Return *error* as one of ours."""
    return LocalError(error.strerror or str(error)) if isinstance(error, OSError) else error


def as_no_more(error: OSError | BackupError | None) -> OSError | None:
    """Return *error* if it says that nothing more at all can be written to where it was to go."""
    return error if isinstance(error, OSError) and error.errno in _NO_MORE else None


def shown(path: bytes) -> str:
    """Return *path* for a sentence, with what nobody can print written out."""
    text = path_text(path)
    return text if text.isprintable() else repr(text)[1:-1]


class Failures:
    """Paths that could not be done, by reason: how many, and the first of each; many threads may add some."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: dict[str, int] = {}
        self._paths: dict[str, list[bytes]] = {}
        self._other = 0
        self._known: set[int] = set()
        self._first: BackupError | None = None
        self.count = 0

    def add(self, path: bytes, failure: OSError | BackupError) -> None:
        error = as_told(failure)
        with self._guard:
            self.count += 1
            self._first = self._first or error
            if len(self._known) < _PATHS_KEPT:
                self._known.add(hash(path))
            reason = str(error).rstrip(".")
            if reason not in self._counts and len(self._counts) >= _REASONS_KEPT:
                self._other += 1
                return
            self._counts[reason] = self._counts.get(reason, 0) + 1
            paths = self._paths.setdefault(reason, [])
            if len(paths) < _PATHS_TOLD:
                paths.append(path)

    def may_have(self, path: bytes) -> bool:
        """Tell whether *path* is one of those that failed, or may be."""
        return hash(path) in self._known or len(self._known) >= _PATHS_KEPT

    def told(self, deed: str, otherwise: str = "") -> BackupError:
        """Return the error that names what could not be done, the first few of each reason.

        Its class is that of the first one: the others may well come from the same cause.
        """
        told = []
        for reason, count in list(self._counts.items())[:_REASONS_TOLD]:
            paths = [shown(path) for path in self._paths[reason]]
            more = f" and {count - len(paths):,} more" if count > len(paths) else ""
            told.append(f"{', '.join(paths)}{more} ({reason})")
        reasons = len(self._counts) + self._other - _REASONS_TOLD
        more = f"; and more for {reasons:,} other reasons" if reasons > 0 else ""
        things = "One thing" if self.count == 1 else f"{self.count:,} things"
        sentence = f"{things} {deed}: {'; '.join(told)}{more}.{otherwise}"
        first = self._first
        if first is None:
            raise AssertionError("nothing has failed")
        return type(first)(sentence, code=first.code) if isinstance(first, StorageError) else type(first)(sentence)


def told_no_more(root: Path, error: OSError, completed: int, failures: Failures) -> LocalError:
    """Return the error that says that the target *root* takes nothing more, and what it has."""
    files = "1 file was" if completed == 1 else f"{completed:,} files were"
    earlier = str(failures.told("could not be restored")).rstrip(".") if failures.count else ""
    earlier = f"; before that, {earlier[0].lower()}{earlier[1:]}" if earlier else ""
    return LocalError(
        f"The target {root} {_NO_MORE[error.errno or 0]}: {files} restored, each of them whole, and nothing more"
        f" is{earlier}. A restore that is begun again goes on from there."
    )
