# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite files that only their owner reads and that are caches: one that is of no use is made anew.

What SQLite raises is for the caller to tell, who knows what is in them.
"""

from __future__ import annotations

import os
import typing as t
from contextlib import closing, suppress

from .errors import LocalError, told_as
from .private_files import make_private_directory

if t.TYPE_CHECKING:
    import sqlite3
    from pathlib import Path
else:
    try:
        import sqlite3
    except ImportError:  # told by require_sqlite(): some systems have it in a package of its own
        sqlite3 = None


def require_sqlite(what: str) -> None:
    """Raise LocalError for *what* if this host's Python lacks SQLite."""
    if sqlite3 is None:
        raise LocalError(
            f"{what} needs Python's module sqlite3, which the Python of this host lacks: install the package that holds"
            " it (often called python3-sqlite3)."
        )


def connect(path: Path, mode: str = "rw", patience: float = 5.0) -> sqlite3.Connection:
    """Open the file *path*, which is there; *mode* is one of SQLite's. Wait *patience* seconds for who writes it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=patience, isolation_level=None, uri=True)


def make(path: Path, schema: str = "") -> None:
    """Make the file *path*, which is not there, by the statements of *schema*."""
    make_private_directory(path.parent)
    with told_as(f"Cannot make {path}"):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(connect(path)) as connection:
        connection.executescript(schema)


def is_usable(path: Path, version: int) -> bool:
    """Tell whether *path* is a file of SQLite whose ``user_version`` is *version*; its pages may be damaged yet."""
    with told_as(f"Cannot look for {path}"):
        if not path.exists():
            return False
    with suppress(sqlite3.DatabaseError), closing(connect(path)) as connection:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        return bool(found == version)
    return False


def discard(path: Path) -> None:
    """Remove *path*, and what a killed run left of it."""
    with told_as(f"Cannot remove {path}"):
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
