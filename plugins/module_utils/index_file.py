# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the index: how it is made, opened, locked, replaced and given up; what it holds is the catalog's."""

from __future__ import annotations

import os
import typing as t
from contextlib import closing, contextmanager

from . import tables
from .errors import LocalError, told_as
from .private_files import locked

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path
else:
    try:
        import sqlite3
    except ImportError:  # told by _told(): some systems have it in a package of its own
        sqlite3 = None

SCHEMA_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY, client TEXT NOT NULL, job TEXT NOT NULL, structure TEXT NOT NULL, UNIQUE (client, job)
);
-- blocks: the digest of everything the manifest says of entries; tree: the first point that shows the same versions
CREATE TABLE points (
  id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL, seq INTEGER NOT NULL, run TEXT NOT NULL, pool TEXT NOT NULL,
  created TEXT NOT NULL, is_complete INTEGER NOT NULL, is_protected INTEGER NOT NULL, is_damaged INTEGER NOT NULL,
  entries INTEGER NOT NULL, size INTEGER NOT NULL, stored_size INTEGER NOT NULL, problem_count INTEGER NOT NULL,
  problems TEXT NOT NULL, blocks BLOB NOT NULL, tree INTEGER NOT NULL, UNIQUE (job_id, seq)
);
CREATE TABLE parts (
  point_id INTEGER NOT NULL, kind TEXT NOT NULL, name BLOB NOT NULL, entries INTEGER NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (point_id, kind, name)
) WITHOUT ROWID;
-- key: the path in the order of a manifest; mtime: microseconds; content: SHA-256 of a file, target of a link
CREATE TABLE versions (
  job_id INTEGER NOT NULL, key BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER, kind TEXT NOT NULL,
  size INTEGER NOT NULL, mtime INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (job_id, key, first)
) WITHOUT ROWID;
CREATE INDEX ended_versions ON versions (job_id, last) WHERE last IS NOT NULL;
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
WRITER_PATIENCE = 60.0
_READER_PATIENCE = 60.0
_CACHE_KIB = 16 * 1024


class UnusableIndexError(LocalError):
    """The index is damaged, or another version made it: only a new one helps."""


def has_index(index: Path) -> bool:
    """Tell whether there is an *index*."""
    with told_as(f"Cannot look for the index {index}"):
        try:
            index.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def create(index: Path) -> None:
    """Make an empty *index*, which only its owner can read."""
    with _told(index):
        tables.make(index, _SCHEMA)


@contextmanager
def connected(index: Path, *, is_new: bool = False) -> Iterator[sqlite3.Connection]:
    """Open the *index*; one that *is_new* need not outlive a power failure."""
    with _told(index), closing(tables.connect(index, patience=_READER_PATIENCE)) as connection:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if is_new:
            connection.execute("PRAGMA synchronous = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise UnusableIndexError(f"The index {index} is of another version of this collection, or not finished.")
        yield connection


@contextmanager
def _told(index: Path) -> Iterator[None]:
    """Turn what SQLite raises into sentences."""
    tables.require_sqlite("The index")
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.InterfaceError) as error:
        raise LocalError(f"Cannot use the index {index}: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise UnusableIndexError(f"The index {index} is damaged: {error}; reindex makes it anew.") from error


def keep(index: Path) -> None:
    """Make sure that a new *index*, which was written in haste, is on the disk."""
    with told_as(f"Cannot write {index}"), index.open("rb") as file:
        os.fsync(file.fileno())


def replace_index(index: Path, new: Path) -> None:
    """Put the file *new* in the *index*'s place; the caller holds the writer's lock."""
    with told_as(f"Cannot replace the index {index}"):
        if _journal(index).exists():
            discard(index)  # a killed run's journal must not be played back into another file
        new.replace(index)
    discard_others(index)


@contextmanager
def writer_lock(index: Path, patience: float = WRITER_PATIENCE) -> Iterator[None]:
    """Hold the lock without which nobody writes the *index*, waiting *patience* seconds for it at most."""
    path = index.with_name("index.lock")
    with locked(path, f"The index {index} is being written, and was not waited for any longer", patience):
        yield


def discard_others(index: Path) -> bool:
    """Remove the indexes of where the destination lay before, and tell whether there were any.

    The caller holds the writer's lock, which is one for all of them.
    """
    with told_as(f"Cannot tidy up {index.parent}"):
        others = [other for other in index.parent.glob("index-*.sqlite") if other.name != index.name]
    for other in others:
        discard(other)
    return bool(others)


def discard(index: Path) -> None:
    """Remove the *index* and what a killed run left of it."""
    tables.discard(index)


def _journal(index: Path) -> Path:
    return index.with_name(f"{index.name}-journal")
