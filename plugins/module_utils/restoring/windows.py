# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done for one stretch of a restore point: a restore goes from window to window, however large it is."""

from __future__ import annotations

import bisect
import itertools
import threading
import typing as t
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from ..errors import BackupError, DamageError, LocalError
from ..native.fetch import Piece

if t.TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from ..native.entries import Entry
    from .differences import Differences


class Tally:
    """How many things are created, replaced or given other metadata, by their kind, and how large they are.

    With *differences*, it is noted what each was and will be.
    """

    def __init__(self, differences: Differences | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.differences = differences
        self.size = 0

    def like(self) -> Tally:
        """Return one for the same, which has counted nothing yet."""
        return Tally(None if self.differences is None else self.differences.like())

    def count(self, entry: Entry, status: os.stat_result | None, what: str) -> None:
        """Count that *entry* is made, or put in the place of what has this *status*."""
        self.counts[what] += 1
        if self.differences is not None:
            self.differences.note(entry, status)

    def count_database(self, path: bytes, name: str, size: int, *, replaces: bool) -> None:
        """Count that the dump at *path*, of *size* bytes, is loaded into the database *name*."""
        self.counts["databases"] += 1
        self.size += size
        if self.differences is not None:
            self.differences.note_database(path, name, size, replaces=replaces)

    def take_back_file(self, path: bytes, size: int) -> None:
        """Forget a file of *size* bytes that was counted and cannot be had."""
        self.counts["files"] -= 1
        self.size -= size
        if self.differences is not None:
            self.differences.take_back(path)

    def count_extra(self, path: bytes) -> None:
        """Count what lies in the target and not in the restore point, and is deleted."""
        self.counts["deleted"] += 1
        if self.differences is not None:
            self.differences.note_removed(path)

    def add(self, other: Tally) -> None:
        """Take in what *other* has counted after this one."""
        self.counts.update(other.counts)
        self.size += other.size
        if self.differences is not None and other.differences is not None:
            self.differences.add(other.differences)

    def shown(self, title: str) -> dict[str, t.Any]:
        """Return what an outcome has of the differences, under *title*; nothing where they were not wanted."""
        if self.differences is None:
            return {}
        before, after = self.differences.lines()
        return {"before": before, "after": after, "title": title, "summary": self.differences.left_out()}


@dataclass
class File:
    """A file that is being restored; *missing* counts the segments that are still to come.

    Only a file of several segments is touched by several threads, and has a real *guard*.
    """

    entry: Entry
    missing: int
    guard: t.ContextManager[object]
    descriptor: int = -1
    temporary: bytes = b""
    failure: BackupError | None = None
    is_done: bool = False

    def stretches(self, content: memoryview, position: int) -> Iterator[tuple[memoryview, int]]:
        """Yield what of the *content* at *position* belongs where in the file: a sparse file's content has holes."""
        extents = self.entry.extents
        if not extents:
            yield content, position
            return
        ends = list(itertools.accumulate(length for _offset, length in extents))
        number = bisect.bisect_right(ends, position)
        while content:
            offset, length = extents[number]
            within = position - (ends[number] - length)
            piece = content[: length - within]
            yield piece, offset + within
            content, position, number = content[len(piece) :], position + len(piece), number + 1


@dataclass
class OpenDirectory:
    """A directory through which a restore goes.

    *prefix* is what the paths below it begin with. *is_new* is one that is not there yet; where it *is_void*, nothing
    below it is. It *needs_dress* once something in it, or its own metadata, is another than before. One that is not
    *looked_at* is not selected itself, and nothing below it has been so far.
    """

    entry: Entry
    prefix: bytes
    is_void: bool
    is_looked_at: bool = True
    is_new: bool = False
    is_above: bool = False
    needs_dress: bool = False
    stays_as_it_is: bool = False
    has_links: bool = False

    def touch(self) -> None:
        """Learn that something in the directory is changed, which changes its times."""
        self.needs_dress = not self.stays_as_it_is


class Link(t.NamedTuple):
    """Another name of a file, in *directory*; where that *is_void*, there is nothing of its name yet."""

    entry: Entry
    is_void: bool
    directory: OpenDirectory | None


@dataclass
class Window:
    """What is to be done for a stretch of entries, and what of that has failed before it was begun.

    *expected* are directories that are to be made, with whether something else is in their way; *left* are those of
    which nothing follows any more, the deepest first, and *entered* are those of which something may. *content* is how
    many bytes are fetched, and *passed* how large all files are that were looked at.
    """

    files: list[File] = field(default_factory=list)
    wanted: dict[str, list[Piece]] = field(default_factory=dict)
    empty: list[File] = field(default_factory=list)
    dressed: list[Entry] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    specials: list[Entry] = field(default_factory=list)
    expected: list[tuple[bytes, bool]] = field(default_factory=list)
    left: list[OpenDirectory] = field(default_factory=list)
    entered: tuple[OpenDirectory, ...] = ()
    failed: list[tuple[bytes, OSError | BackupError]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    weight: int = 0
    content: int = 0
    passed: int = 0

    @property
    def has_work(self) -> bool:
        return bool(self.weight or self.tally.counts)

    @contextmanager
    def attempt(self, path: bytes) -> Iterator[None]:
        """Have what is in the way cost only *path*."""
        try:
            yield
        except (OSError, LocalError, DamageError) as error:
            self.fail(path, error)

    def fail(self, path: bytes, error: OSError | BackupError) -> None:
        self.failed.append((path, error))
        self.weight += 1

    def count(self, entry: Entry, status: os.stat_result | None, what: str) -> None:
        """Count *entry* as something that is made or changed."""
        self.tally.count(entry, status, what)
        self.weight += 1

    def want(self, entry: Entry) -> File:
        """Note that the content of *entry* is to be fetched."""
        self.tally.size += entry.size
        self.weight += len(entry.places)
        number = len(self.files)
        guard = threading.Lock() if len(entry.places) > 1 else nullcontext()
        # Where its content lies is known to the pieces from now on.
        file = File(entry._replace(places=()), len(entry.places), guard)
        self.files.append(file)
        if not entry.places:
            self.empty.append(file)
        position = 0
        for place in entry.places:
            digest = place.digest or entry.digest
            piece = Piece(place.offset, place.length, place.start, place.size, digest, number, position)
            self.wanted.setdefault(place.volume, []).append(piece)
            position += place.size
        self.content += position
        return file
