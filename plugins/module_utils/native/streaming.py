# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of one entry as a stream, from its beginning to its end: the next stretch is fetched meanwhile.

Source: ``docs/format.md``, sections 2 and 3.
"""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .fetch import Fetcher, Piece

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from ..errors import BackupError
    from ..storage import Path, Storage
    from .entries import Entry, Place

_STRETCH = 24 * 1024 * 1024  # bytes that are fetched together, of which two are held at a time


def content_of(storage: Storage, pool: Path, entry: Entry, side_by_side: int) -> Iterator[bytes]:
    """Yield the content of *entry*, each segment of it proved; what cannot be had is raised where it should come."""
    with Fetcher(storage, pool, side_by_side) as fetcher, ThreadPoolExecutor(1, "ahead") as ahead:
        try:
            coming: Future[list[bytes]] | None = None
            for stretch in _stretches(entry.places):
                before, coming = coming, ahead.submit(_fetched, fetcher, stretch, entry.digest)
                if before is not None:
                    yield from before.result()
            if coming is not None:
                yield from coming.result()
        finally:
            fetcher.stop()


def _stretches(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Yield *places* in pieces of which each can be held in memory."""
    stretch: list[Place] = []
    size = 0
    for place in places:
        if stretch and size + place.size > _STRETCH:
            yield stretch
            stretch, size = [], 0
        stretch.append(place)
        size += place.size
    if stretch:
        yield stretch


def _fetched(fetcher: Fetcher, stretch: list[Place], digest: str) -> list[bytes]:
    """Return the content of each place, in order; *digest* is that of a content of one segment."""
    gathered = _Gathered()
    wanted: dict[str, list[Piece]] = {}
    for number, place in enumerate(stretch):
        piece = Piece(place.offset, place.length, place.start, place.size, place.digest or digest, 0, number)
        wanted.setdefault(place.volume, []).append(piece)
    fetcher.fetch(wanted, gathered)
    if gathered.reason is not None:
        raise gathered.reason
    return [gathered.contents[number] for number in range(len(stretch))]


class _Gathered:
    """Keeps what was fetched by its position, and why the first of what could not be had could not."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.contents: dict[int, bytes] = {}
        self.reason: BackupError | None = None

    def put(self, piece: Piece, content: memoryview) -> None:
        self.contents[piece.position] = bytes(content)

    def fail(self, piece: Piece, reason: BackupError) -> None:  # noqa: ARG002 - the seam has it
        with self._guard:
            self.reason = self.reason or reason
