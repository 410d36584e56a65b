# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a tree to the entries of a restore point: what changed is read and packed, what did not is taken over."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t
from collections import deque

from .changes import AS_IT_WAS, Counts
from .copy_meter import CopyMeter
from .native.cuts import MAX_SEGMENT, Cutter
from .native.entries import FILE, HARD_LINK, Entry, Place, digest_of_segments
from .native.volumes import PendingPlace
from .scan import Found, entry_of, entry_of_open, inode_of, open_found, told
from .sparse import content_size, extents_of, may_be_sparse, reader_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .changes import Change
    from .databases.servers import Dump
    from .native.damage import Condition
    from .native.pool import ContentTable
    from .native.volumes import Packer
    from .scan import Note
    from .storage import Buffer

    AnyPlace = t.Union[Place, PendingPlace]

_QUEUE = 20_000
_ATTEMPTS = 3  # to read a small file while nobody writes it
_TICK = 1.0  # seconds between two looks at uploads while a dump stands still
_CHANGED = "it changed while it was read"
_UNSIZED_LIMIT = MAX_SEGMENT  # of what tells no size and yet has a content, as in /proc


def _taken_over(old: Entry) -> Entry:
    """Return *old* as if it had been found; each hard link stands alone, for what it led to may have gone."""
    return _stale(old) if old.has_content else old


def _stale(old: Entry) -> Entry:
    return old._replace(kind=FILE, target=b"", is_stale=True)


class Collector:
    """Turns changes into entries, in order; *write* gets each once the places of its content are known.

    With a *table*, content that it knows is not packed, wherever it stood; without, what its path had before is not.
    *meter* is told what is taken in, and what must be read for that; *counts* what of the changes it comes to.
    """

    def __init__(
        self,
        packer: Packer,
        write: Callable[[Entry], None],
        note: Note,
        condition: Condition,
        table: ContentTable | None = None,
        meter: CopyMeter | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._packer = packer
        self._meter = meter if meter is not None else CopyMeter()
        self.counts = counts if counts is not None else Counts()
        self._write = write
        self._note = note
        self._condition = condition
        self._table = table
        self._cutter = Cutter()
        self._queue: deque[tuple[Entry, list[AnyPlace]]] = deque()
        self._pending: dict[str, PendingPlace] = {}
        self._linked: dict[str, tuple[Entry, list[AnyPlace]]] = {}

    def collect(self, change: Change) -> None:
        """Take *change* into the restore point."""
        found, base = change.found, change.base
        if found is None:
            if base is not None:
                self._meter.turn_to(base.path)
                self._append(_taken_over(base), list(base.places))
            return
        self._meter.turn_to(found.path)
        if found.kind != FILE or found.status is None:
            self._append_special(found, change)
            return
        links = found.status.st_nlink
        first = self._linked.get(inode_of(found.status)) if links > 1 else None
        if first is not None and _is_other_name(found.status, first[0]):
            self._append(_linked_to(first[0], found.path), first[1])
            return
        taken = self._taken(found, change)
        if taken is not None:
            self._append(*taken)
            if links > 1:
                self._linked[taken[0].inode] = taken

    def _append_special(self, found: Found, change: Change) -> None:
        try:
            entry = entry_of(found)
        except OSError as error:
            self.counts.lose(change, stays=False)
            self._note(found.path, told(error))
        else:
            self._append(entry, [])

    def _append(self, entry: Entry, places: list[AnyPlace]) -> None:
        self._queue.append((entry, places))
        self._meter.take_in()
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
            self._write(self._settled(entry, places) if places else entry)
            self._queue.popleft()

    def _settled(self, entry: Entry, places: list[AnyPlace]) -> Entry:
        several = len(places) > 1
        settled = []
        for place in places:
            if not isinstance(place, PendingPlace):
                settled.append(place)
                continue
            settled.append(place.place(with_digest=several))
            if self._table is not None and self._pending.pop(place.digest, None) is not None:
                self._table.add(place.digest, place.place(with_digest=True))
        return entry._replace(places=tuple(settled))

    def settle(self) -> None:
        """End the open volume and write everything that was collected so far."""
        self._packer.close_volume()
        self._drain(wait=True)

    def collect_dump(self, entry: Entry, dump: Dump, base: Entry | None) -> int:
        """Take what *dump* gives into the restore point as *entry*, once it is whole; *base* is what it was last.

        Return how large it is. If it is not, what it raises goes through, and nothing of it is in the restore point.
        """

        def read_into(view: memoryview) -> int:
            while not dump.wait(_TICK):
                self._packer.tick()
            return dump.read_into(view)

        self._meter.turn_to(entry.path)
        places, digests, size = self._packed(entry, read_into, base)
        digest = digest_of_segments(digests)
        if base is not None and base.digest == digest:
            entry = entry._replace(mtime=base.mtime)  # nothing has changed since
        facts = json.dumps(dump.facts, separators=(",", ":"))
        self._append(entry._replace(size=size, digest=digest, facts=facts), places)
        return size

    # -- content

    def _taken(self, found: Found, change: Change) -> tuple[Entry, list[AnyPlace]] | None:
        """Return the entry of the file *found* with its places; None if it cannot be read and never could."""
        base = change.base
        if change.is_same and base is not None:
            return (base if base.kind == FILE else base._replace(kind=FILE, target=b"")), list(base.places)
        try:
            stored = self._stored(found, base)
        except OSError as error:
            self._note(found.path, told(error))
            stays = not (isinstance(error, FileNotFoundError) or base is None or self._condition.has_lost(base))
            self.counts.lose(change, stays=stays)
            return (_stale(base), list(base.places)) if stays and base is not None else None
        if change.looks != AS_IT_WAS:
            self.counts.size += content_size(t.cast("os.stat_result", found.status))
        return stored

    def _stored(self, found: Found, base: Entry | None) -> tuple[Entry, list[AnyPlace]]:
        """Read the file *found* and pack those of its segments that are not known.

        If it changed since it was found, its entry tells what it was when it was opened, as its content does.
        """
        status = t.cast("os.stat_result", found.status)
        descriptor, status = open_found(found.path, found.root, inode_of(status))
        try:
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "it is no regular file any more")
            if status.st_size <= MAX_SEGMENT and not may_be_sparse(status):
                return self._stored_whole(found, base, descriptor, status)
            return self._stored_in_segments(found, base, descriptor, status)
        finally:
            os.close(descriptor)

    def _stored_whole(
        self, found: Found, base: Entry | None, descriptor: int, status: os.stat_result
    ) -> tuple[Entry, list[AnyPlace]]:
        """Store a file that is one segment."""
        entry, content, has_moved = _read_calmly(found.path, descriptor, status)
        if has_moved:
            self._note(found.path, _CHANGED)
        digest = hashlib.sha256(content).hexdigest()
        places = [self._place_of(entry, content, digest, 0, self._known_segments(base))] if content else []
        if places and isinstance(places[0], Place):
            places[0] = places[0]._replace(digest="")
        return entry._replace(size=len(content), digest=digest, is_racy=entry.is_racy or has_moved), places

    def _stored_in_segments(
        self, found: Found, base: Entry | None, descriptor: int, status: os.stat_result
    ) -> tuple[Entry, list[AnyPlace]]:
        entry = entry_of_open(found.path, FILE, status, descriptor)
        extents = extents_of(descriptor, status.st_size) if may_be_sparse(status) else ()
        read_into = reader_of(descriptor, extents, status.st_size)
        places, digests, size = self._packed(entry._replace(extents=extents), read_into, base)
        has_moved = _moment(os.fstat(descriptor)) != _moment(status)
        if size != (sum(length for _offset, length in extents) if extents else status.st_size):
            if extents:
                raise OSError(0, _CHANGED)
            has_moved = True
        if has_moved:
            self._note(found.path, _CHANGED)
        return (
            entry._replace(
                size=status.st_size if extents else size,
                digest=digest_of_segments(digests),
                extents=extents,
                is_racy=entry.is_racy or has_moved,
            ),
            places,
        )

    def _packed(
        self, entry: Entry, read_into: Callable[[memoryview], int], base: Entry | None
    ) -> tuple[list[AnyPlace], list[str], int]:
        """Pack those segments of what *read_into* gives that are not known; return places, digests and total size."""
        known = self._known_segments(base)
        places: list[AnyPlace] = []
        digests: list[str] = []
        size = 0
        for part, content in enumerate(self._cutter.segments(read_into), 1):
            digest = hashlib.sha256(content).hexdigest()
            size += len(content)
            digests.append(digest)
            places.append(self._place_of(entry, content, digest, part, known))
            self._packer.tick()
        if len(places) == 1 and isinstance(places[0], Place):
            places[0] = places[0]._replace(digest="")
        return places, digests, size

    def _place_of(
        self, entry: Entry, content: Buffer, digest: str, part: int, known: dict[tuple[str, int], Place]
    ) -> AnyPlace:
        """Return where *content* lies, or will lie; it is packed unless it is known."""
        place: AnyPlace | None = known.get((digest, len(content)))
        if place is None and self._table is not None:
            place = self._pending.get(digest) or self._table.find(digest, len(content), self._condition)
        # Before it is packed: it may be on its way to the storage before that returns.
        self._meter.read(len(content), is_stored=place is not None)
        if place is not None:
            return place._replace(digest=digest)
        packed = self._packer.add(entry, content, digest, part)
        if self._table is not None:
            self._pending[digest] = packed
        return packed

    def _known_segments(self, base: Entry | None) -> dict[tuple[str, int], Place]:
        """Return the segments of *base* that need not be sent again, by digest and size."""
        if base is None:
            return {}
        return {
            (place.digest or base.digest, place.size): place
            for place in base.places
            if not self._condition.is_unwanted(place)
        }


def _read_calmly(path: bytes, descriptor: int, status: os.stat_result) -> tuple[Entry, bytes, bool]:
    """Return entry and content of a small file as they were at one moment, and whether no such moment was found."""
    attempt = 1
    while True:
        entry = entry_of_open(path, FILE, status, descriptor)
        content = _read_up_to(descriptor, status.st_size or _UNSIZED_LIMIT)
        after = os.fstat(descriptor)
        has_moved = _moment(after) != _moment(status) or len(content) != (status.st_size or len(content))
        if not has_moved or attempt == _ATTEMPTS or after.st_size > MAX_SEGMENT:
            return entry, content, has_moved
        status = after
        attempt += 1
        os.lseek(descriptor, 0, os.SEEK_SET)


def _is_other_name(status: os.stat_result, first: Entry) -> bool:
    """Tell whether what has the inode of *first* also has its content: numbers of inodes are used again."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == (first.size, first.mtime, first.ctime)


def _linked_to(first: Entry, path: bytes) -> Entry:
    """Return the entry of a hard link at *path* to the name that stands *first* in order."""
    return first._replace(path=path, kind=HARD_LINK, target=first.path)


def _moment(status: os.stat_result) -> tuple[int, int, int]:
    """Return what changes whenever a file's content does."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


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
