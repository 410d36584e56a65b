# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on the storage as a stream of bytes, which goes on where it was when a connection breaks."""

from __future__ import annotations

import typing as t
from contextlib import suppress

from ..errors import DamageError, InterruptedTransferError, MissingError, StorageError, UnreachableError
from .limits import KIB

if t.TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..storage import Path, Reader, Storage

_ATTEMPTS = 4
_STEP = 64 * KIB  # after a failure: what comes before the next one is kept


class ByteStream(t.Protocol):
    """Bytes that come one after the other."""

    def read(self, size: int) -> memoryview | bytes:
        """Return exactly *size* bytes, or fewer where the stream ends; the next call may overwrite them."""


class RemoteStream:
    """The *length* bytes of the file *path* from *offset* on, or all to its end, fetched while they are read.

    *position* is where in the file the next byte is. A broken connection is made anew, and the transfer goes on there;
    after some attempts in a row that brought nothing, the last error is raised. A file that ends before it should,
    by its *length* or by its size when the first byte was read, is raised as a DamageError, and one that is missing as
    a MissingError, half-way as well.
    """

    def __init__(self, storage: Storage, path: Path, offset: int = 0, length: int | None = None) -> None:
        self._storage = storage
        self._path = path
        self._end = None if length is None else offset + length
        self._transfer: AbstractContextManager[Reader] | None = None
        self._reader: Reader | None = None
        self._failures = 0
        self.position = offset

    def __enter__(self) -> RemoteStream:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._leave(error)

    def read(self, size: int) -> memoryview | bytes:
        """Return exactly *size* bytes, or fewer where the file or the *length* ends; the next call overwrites them."""
        if self._end is None:
            # Without a size, a transfer over TLS that ends without a farewell cannot be told from a broken one.
            self._end = max(self.position, self._size())
        wanted = min(size, self._end - self.position)
        piece = self._received(wanted)
        if len(piece) == wanted:
            return piece
        gathered = bytearray(piece)
        while len(gathered) < wanted:
            gathered += self._received(min(_STEP, wanted - len(gathered)))
        return memoryview(gathered)

    def _size(self) -> int:
        size = self._storage.sizes([self._path])[0]
        if size is None:
            raise MissingError(f"Cannot download {self._path}: there is no such file.")
        return size

    def _received(self, size: int) -> memoryview:
        """Return up to *size* bytes: fewer, or none, where a transfer ended too early or broke."""
        if not size:
            return memoryview(b"")
        try:
            piece = self._opened().read(size)
        except StorageError as error:
            self._leave(error)
            self._require_hope(error)
            return memoryview(b"")
        if piece:
            self._failures = 0
            self.position += len(piece)
        if self.position == self._end:
            self._leave(None)
        elif len(piece) < size:
            piece = memoryview(bytes(piece))  # a transfer that is left need not keep it
            self._judge_early_end()
        return piece

    def _opened(self) -> Reader:
        if self._reader is None:
            length = None if self._end is None else self._end - self.position
            transfer = self._storage.open(self._path, self.position, length)
            self._reader = transfer.__enter__()
            self._transfer = transfer
        return self._reader

    def _judge_early_end(self) -> None:
        """Raise where the file has ended; without TLS, a transfer that broke may look just so."""
        transfer, self._transfer, self._reader = self._transfer, None, None
        try:
            if transfer is not None:
                transfer.__exit__(None, None, None)
        except StorageError as error:
            self._require_hope(error)
            return
        size = self._size()
        if size <= self.position:
            raise DamageError(
                f"{self._path.name} ends at byte {self.position:,} of the {self._end:,} that it should have: it is cut"
                " off, or was replaced meanwhile"
            )
        self._failures += 1
        if self._failures >= _ATTEMPTS:
            raise DamageError(
                f"{self._path.name} is cut off: the server tells of {size:,} bytes, and gives {self.position:,} of them"
            )

    def _require_hope(self, error: StorageError) -> None:
        """Raise *error* unless it is worth another attempt."""
        self._failures += 1
        may_pass = isinstance(error, (InterruptedTransferError, UnreachableError)) and not error.is_final
        if not may_pass or self._failures >= _ATTEMPTS:
            raise error

    def _leave(self, error: BaseException | None) -> None:
        """End the transfer, if there is one; that this fails as well is no news."""
        transfer, self._transfer, self._reader = self._transfer, None, None
        if transfer is not None:
            with suppress(StorageError):
                transfer.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
