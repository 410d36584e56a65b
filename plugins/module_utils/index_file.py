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

SCHEMA_VERSION = 3
_TABLES = """
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY, client TEXT NOT NULL, job TEXT NOT NULL, structure TEXT NOT NULL, UNIQUE (client, job)
);
-- generation, manifest_size: which manifest was read; blocks: the digest of everything that it says of entries
-- tree: the first point that shows the same versions
CREATE TABLE points (
  id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL, seq INTEGER NOT NULL, run TEXT NOT NULL, pool TEXT NOT NULL,
  created TEXT NOT NULL, is_complete INTEGER NOT NULL, is_protected INTEGER NOT NULL, is_damaged INTEGER NOT NULL,
  entries INTEGER NOT NULL, size INTEGER NOT NULL, stored_size INTEGER NOT NULL, problem_count INTEGER NOT NULL,
  problems TEXT NOT NULL, generation INTEGER NOT NULL, manifest_size INTEGER NOT NULL, blocks BLOB NOT NULL,
  tree INTEGER NOT NULL, UNIQUE (job_id, seq)
);
-- since: the first point that shows the same versions in this part; that point may be gone by now
CREATE TABLE parts (
  point_id INTEGER NOT NULL, kind TEXT NOT NULL, name BLOB NOT NULL, entries INTEGER NOT NULL, size INTEGER NOT NULL,
  since INTEGER NOT NULL, PRIMARY KEY (point_id, kind, name)
) WITHOUT ROWID;
-- key: the path in the order of a manifest; mtime: microseconds; content: SHA-256 of a file, target of a link
CREATE TABLE versions (
  job_id INTEGER NOT NULL, key BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER, kind TEXT NOT NULL,
  size INTEGER NOT NULL, mtime INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (job_id, key, first)
) WITHOUT ROWID;
CREATE INDEX ended_versions ON versions (job_id, last) WHERE last IS NOT NULL;
"""
_VIEWS = """
CREATE VIEW told_points AS
SELECT points.id, client, job, structure, seq, run, pool, created, is_complete, is_protected, is_damaged, entries, size,
  stored_size, problem_count, problems, job_id, generation
FROM points JOIN jobs ON jobs.id = job_id;
CREATE VIEW told_parts AS
SELECT job_id, client, job, structure, kind, name, since, parts.entries, parts.size, seq, run, created, is_damaged
FROM jobs JOIN points ON job_id = jobs.id JOIN parts ON point_id = points.id;
"""
WRITER_PATIENCE = 60.0
_READER_PATIENCE = 60.0
_CACHE_KIB = 16 * 1024
_HEADER = 100  # bytes, in which SQLite counts changes: https://www.sqlite.org/fileformat.html, section 1.3


# What SQLite says as an OperationalError, and what no other try will change: the file is not what we made.
_FOREIGN = ("no such table", "no such column", "could not decode", "has no column", "unsupported file format")


class UnusableIndexError(LocalError):
    """The index is damaged, or another version made it: only a new one helps."""


class NonsenseError(Exception):
    """A row of the index holds what nobody wrote into it; who has opened the index is told that it is damaged."""


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
        tables.make(index, " ".join(("BEGIN;", _TABLES, _VIEWS, f"PRAGMA user_version = {SCHEMA_VERSION};", "COMMIT;")))


@contextmanager
def connected(index: Path, *, is_new: bool = False, origin: Path | None = None) -> Iterator[sqlite3.Connection]:
    """Open the *index*; one that *is_new* need not outlive a power failure.

    Where it is a copy of the one at *origin*, that is the one that it is told of.
    """
    with _told(origin or index), closing(tables.connect(index, patience=_READER_PATIENCE)) as connection:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if is_new:
            connection.execute("PRAGMA synchronous = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise UnusableIndexError(
                f"The index {index} is of another version of this collection, or not finished; reindex makes it anew."
            )
        yield connection


@contextmanager
def _told(index: Path) -> Iterator[None]:
    """Turn what SQLite raises into sentences."""
    tables.require_sqlite("The index")
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.InterfaceError) as error:
        if any(words in str(error).lower() for words in _FOREIGN):
            raise _damaged(index, error) from error
        raise LocalError(f"Cannot use the index {index}: {error}.") from error
    except (sqlite3.DatabaseError, NonsenseError) as error:
        raise _damaged(index, error) from error
    except UnicodeDecodeError as error:  # SQLite's sentence quotes what the index holds
        raise _damaged(index, "its tables have other names than they should") from error


def _damaged(index: Path, why: object) -> UnusableIndexError:
    return UnusableIndexError(f"The index {index} is damaged: {why}; reindex makes it anew.")


def copy_index(index: Path, new: Path) -> None:
    """Make *new*, which is not there, a copy of the *index* as it is at one moment; raise unless it is sound.

    That a value was overwritten by another one that may stand there, SQLite cannot see.
    """
    with connected(index) as source:
        tables.make(new)
        with closing(tables.connect(new)) as target:
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target)
            (said,) = target.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise _damaged(index, " ".join(str(said).split()).rstrip("."))


def stamp_of(index: Path) -> tuple[int, int, bytes] | None:
    """Return what is another one after each change of the *index*, or None if there is none."""
    with told_as(f"Cannot look for the index {index}"):
        try:
            with index.open("rb") as file:
                status = os.fstat(file.fileno())
                return status.st_dev, status.st_ino, file.read(_HEADER)
        except (FileNotFoundError, NotADirectoryError):
            return None


def replace_index(index: Path, new: Path) -> None:
    """Put the file *new*, which was written in haste, in the *index*'s place; the caller holds the writer's lock."""
    with told_as(f"Cannot replace the index {index}"):
        with new.open("rb") as file:
            os.fsync(file.fileno())
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
