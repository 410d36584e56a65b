# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a tree to the entries of a restore point: what changed is read and packed, what did not is taken over."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from collections import deque

from .native.entries import FILE, HARD_LINK, Entry, Place, order_key
from .native.volumes import SEGMENT_SIZE, WHOLE_FILE_LIMIT, PendingPlace
from .scan import UNKNOWN, Found, entry_of, inode_of, is_below, open_found

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .native.volumes import Packer
    from .scan import Note

    AnyPlace = t.Union[Place, PendingPlace]

_QUEUE = 20_000


class Change(t.NamedTuple):
    """Something found, what the base has under the same path, and whether its content is surely the same."""

    found: Found
    base: Entry | None
    is_same: bool


def compare(found: Iterator[Found], base: Iterator[Entry], absent: frozenset[str]) -> Iterator[Change]:
    """Yield each thing *found* beside what *base* has under its path; both come in the order of a manifest.

    Content that lies in one of the *absent* volumes does not count as there. What *base* has below a directory that
    could not be looked into is taken for found, and marked.
    """
    old = next(base, None)
    for new in found:
        path = new.entry.path
        key = order_key(path)
        while old is not None and order_key(old.path) < key:
            old = next(base, None)
        if new.entry.kind != UNKNOWN:
            match = None
            if old is not None and old.path == path:
                match = old if old.has_content else None
                old = next(base, None)
            yield Change(new, match, match is not None and _is_same(new.entry, match, absent))
        while new.is_closed and old is not None and is_below(old.path, path):
            if not _is_in(absent, old):
                yield _carried_over(old)
            old = next(base, None)


def _is_same(new: Entry, old: Entry, absent: frozenset[str]) -> bool:
    return (
        new.kind == FILE
        and new.size == old.size
        and new.mtime == old.mtime
        and new.ctime == old.ctime
        and new.inode == old.inode
        and not old.is_racy
        and not old.is_stale
        and not (absent and _is_in(absent, old))
    )


def _is_in(absent: frozenset[str], old: Entry) -> bool:
    return any(place.volume in absent for place in old.places)


def _carried_over(old: Entry) -> Change:
    """Return *old* as if it had been found; each hard link stands alone, for what it led to may have gone."""
    if not old.has_content:
        return Change(Found(old, 1), None, is_same=False)
    return Change(Found(_stale(old)._replace(places=()), 1), old, is_same=True)


def _stale(old: Entry) -> Entry:
    return old._replace(kind=FILE, target=b"", is_stale=True)


class Collector:
    """Turns changes into entries, in order; *write* gets each once the places of its content are known."""

    def __init__(self, packer: Packer, write: Callable[[Entry], None], note: Note, absent: frozenset[str]) -> None:
        self._packer = packer
        self._write = write
        self._note = note
        self._absent = absent
        self._queue: deque[tuple[Entry, list[AnyPlace]]] = deque()
        self._linked: dict[str, tuple[Entry, list[AnyPlace]]] = {}

    def collect(self, change: Change) -> None:
        """Take *change* into the restore point."""
        entry = change.found.entry
        if entry.kind != FILE:
            self._append(entry, [])
            return
        first = self._linked.get(entry.inode) if change.found.links > 1 else None
        if first is not None and _is_other_name(entry, first[0]):
            self._append(_linked_to(first[0], entry), first[1])
            return
        taken = self._content(entry, change)
        if taken is not None:
            self._append(*taken)
            if change.found.links > 1:
                self._linked[taken[0].inode] = taken

    def _append(self, entry: Entry, places: list[AnyPlace]) -> None:
        self._queue.append((entry, places))
        self._drain()
        if len(self._queue) > _QUEUE:
            self._packer.close_frame()
            self._drain(wait=True)
        self._packer.tick()

    def _drain(self, *, wait: bool = False) -> None:
        """Write the entries at the head of the queue whose places are known, or wait until all are."""
        while self._queue:
            entry, places = self._queue[0]
            for place in places:
                if isinstance(place, PendingPlace) and not place.is_known:
                    if not wait:
                        return
                    place.frame.volume.wait_for(place.frame)
            several = len(places) > 1
            settled = tuple(p.place(with_digest=several) if isinstance(p, PendingPlace) else p for p in places)
            self._write(entry._replace(places=settled) if settled else entry)
            self._queue.popleft()

    def finish(self) -> None:
        """End the last volume and write what is still waiting."""
        self._packer.close_volume()
        self._drain(wait=True)

    # -- content

    def _content(self, entry: Entry, change: Change) -> tuple[Entry, list[AnyPlace]] | None:
        """Return *entry* with its digest and places; None if it cannot be read and never could."""
        base = change.base
        if change.is_same and base is not None:
            return entry._replace(digest=base.digest, is_racy=False), list(base.places)
        try:
            return self._stored(entry, base, change.found.root)
        except OSError as error:
            self._note(entry.path, error.strerror or str(error))
            if isinstance(error, FileNotFoundError):
                return None
        if base is None or _is_in(self._absent, base):
            return None
        return _stale(base), list(base.places)

    def _stored(self, entry: Entry, base: Entry | None, root: bytes) -> tuple[Entry, list[AnyPlace]]:
        """Read the file of *entry* and pack those of its segments that *base* does not have.

        If it changed since it was found, its entry tells what it was when it was opened, as its content does.
        """
        known = self._known_segments(base)
        places: list[AnyPlace] = []
        digests: list[str] = []
        size = 0
        descriptor, before = open_found(entry.path, root, entry.inode)
        try:
            if not stat.S_ISREG(before.st_mode):
                raise OSError(0, "it is no regular file any more")
            has_moved = (before.st_ctime_ns, inode_of(before)) != (entry.ctime, entry.inode)
            if has_moved:
                entry = entry_of(entry.path, FILE, before, descriptor)
            is_whole = before.st_size <= WHOLE_FILE_LIMIT
            for part, content in enumerate(_pieces(descriptor, before.st_size), 1):
                digest = hashlib.sha256(content).hexdigest()
                size += len(content)
                digests.append(digest)
                place = known.get((digest, len(content)))
                if place is not None:
                    places.append(place._replace(digest="" if is_whole else digest))
                else:
                    places.append(self._packer.add(entry, content, digest, 0 if is_whole else part))
                self._packer.tick()
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        has_moved |= (_times(before), size) != (_times(after), after.st_size)
        if len(places) == 1 and isinstance(places[0], Place):
            places[0] = places[0]._replace(digest="")
        return entry._replace(size=size, digest=digest_of(digests), is_racy=entry.is_racy or has_moved), places

    def _known_segments(self, base: Entry | None) -> dict[tuple[str, int], Place]:
        """Return the segments of *base* that still lie on the storage, by digest and size."""
        if base is None:
            return {}
        return {
            (place.digest or base.digest, place.size): place
            for place in base.places
            if place.volume not in self._absent
        }


def _is_other_name(entry: Entry, first: Entry) -> bool:
    """Tell whether *entry*, which has the inode of *first*, also has its content: numbers of inodes are used again."""
    return (entry.size, entry.mtime, entry.ctime) == (first.size, first.mtime, first.ctime)


def _linked_to(first: Entry, entry: Entry) -> Entry:
    """Return *entry* as a hard link to the name that stands *first* in order."""
    return entry._replace(
        kind=HARD_LINK,
        target=first.path,
        digest=first.digest,
        is_racy=first.is_racy,
        is_stale=first.is_stale,
    )


def _times(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_ctime_ns


def _pieces(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield the first *size* bytes in segments, each read completely; a file may grow faster than it is read."""
    size = size or SEGMENT_SIZE  # what tells no size may have a content, as in /proc
    limit = size if size <= WHOLE_FILE_LIMIT else SEGMENT_SIZE
    while size > 0 and (content := _read_up_to(descriptor, min(limit, size))):
        yield content
        size -= len(content)


def _read_up_to(descriptor: int, limit: int) -> bytes:
    """Read until *limit* bytes are there or the file ends."""
    content = os.read(descriptor, limit)
    if len(content) in (0, limit):
        return content
    pieces, size = [content], len(content)
    while size < limit and (piece := os.read(descriptor, limit - size)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def digest_of(digests: list[str]) -> str:
    """Return the digest of a file from those of its segments: of one its own, of several the digest of them all."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()
