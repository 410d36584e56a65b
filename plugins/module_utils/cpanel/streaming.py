# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of an entry of a listing as a stream, out of a backup of cPanel on the storage."""

from __future__ import annotations

import hashlib
import json
import typing as t
from contextlib import ExitStack
from pathlib import PurePosixPath

from ..errors import DamageError
from ..native.entries import Place
from .naming import TAR_GZ
from .remote import RemoteStream
from .unpacking import Unpacked

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from ..native.entries import Entry
    from ..storage import Storage
    from .listing import Origin
    from .remote import ByteStream

_CHUNK = 1024 * 1024


class Contents:
    """Gives what lies in the backup that has *origin*.

    A packed archive is read in one pass as long as what is asked for comes in its order, and begun anew otherwise.
    """

    def __init__(self, storage: Storage, origin: Origin) -> None:
        self._storage = storage
        self._origin = origin
        self._held = ExitStack()
        self._packed: ByteStream | None = None
        self._position = 0

    def __enter__(self) -> Contents:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def of(self, entry: Entry) -> Iterator[memoryview]:
        """Yield the content of *entry*, a piece at a time, and raise DamageError where it is not what was indexed."""
        for place in entry.places:
            proof = hashlib.sha256()
            left = place.size
            for piece in self._pieces(place):
                proof.update(piece)
                left -= len(piece)
                yield piece
            digest = place.digest or entry.digest
            if left or (digest and proof.hexdigest() != digest):
                raise DamageError(
                    f"The backup {self._origin.path} does not hold what it held when it was indexed: it is damaged, or"
                    " another one by now. Reindex, and restore again."
                )

    def members(self, entry: Entry) -> dict[str, bytes]:
        """Return the members that the generated *entry* is made of, by their names."""
        places = json.loads(entry.facts)["from"]
        return {
            name: b"".join(
                bytes(piece)
                for volume, offset, size in stretches
                for piece in self._pieces(Place(volume, offset, size, 0, size))
            )
            for name, stretches in places.items()
        }

    def _pieces(self, place: Place) -> Iterator[memoryview]:
        if self._origin.form == TAR_GZ:
            yield from _read(self._unpacked_at(place.offset), place.size, self._advance)
            return
        path = PurePosixPath(self._origin.path)
        path = path / place.volume if place.volume else path
        with RemoteStream(self._storage, path, place.offset, place.size) as stream:
            yield from _read(stream, place.size, _nothing)

    def _unpacked_at(self, offset: int) -> ByteStream:
        """Return the unpacked archive from *offset* on."""
        if self._packed is None or offset < self._position:
            self._held.close()
            stream = self._held.enter_context(RemoteStream(self._storage, PurePosixPath(self._origin.path)))
            self._packed, self._position = Unpacked(stream), 0
        for _piece in _read(self._packed, offset - self._position, self._advance):
            pass
        return self._packed

    def _advance(self, count: int) -> None:
        self._position += count


def _read(stream: ByteStream, size: int, count: t.Callable[[int], None]) -> Iterator[memoryview]:
    """Yield the next *size* bytes of *stream*, or what there is of them, and have each piece counted."""
    while size:
        piece = memoryview(stream.read(min(size, _CHUNK)))
        if not piece:
            return
        size -= len(piece)
        count(len(piece))
        yield piece


def _nothing(count: int) -> None:
    """Count nothing."""


def unpacked(pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    """Yield what the gzip stream *pieces* holds."""
    stream = Unpacked(_Strung(pieces))
    while piece := memoryview(stream.read(_CHUNK)):
        yield piece


class _Strung:
    """A stream of pieces that are strung together."""

    def __init__(self, pieces: Iterable[memoryview]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        content = bytearray()
        while len(content) < size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = piece
                continue
            taken = self._rest[: size - len(content)]
            content += taken
            self._rest = self._rest[len(taken) :]
        return bytes(content)
