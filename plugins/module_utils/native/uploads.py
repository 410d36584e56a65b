# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploading volumes side by side, each from the moment it is worth a connection."""

from __future__ import annotations

import hashlib
import threading
import typing as t
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath

from ..errors import AbandonedError, DamageError, InterruptedTransferError, StorageError, UnreachableError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage import Buffer, Path, Storage
    from .volumes import Budget, Volume

_READ_SIZE = 1024 * 1024
_ATTEMPTS = 4


class Uploads:
    """The uploads of one run into *pool*; what fails one of them stops the run at its next step.

    With *readback*, each volume is read from the storage once it is there, and compared with what was sent. *tell* is
    told up to where each volume was sent, and its size once it is stored; where one is tried again, once more.
    """

    def __init__(
        self,
        storage: Storage,
        pool: Path,
        budget: Budget,
        side_by_side: int,
        *,
        readback: bool = False,
        tell: Callable[[Volume, int], None] | None = None,
    ) -> None:
        self._storage = storage
        self._pool = pool
        self._budget = budget
        self._readback = readback
        self._tell = tell
        self._threads = ThreadPoolExecutor(side_by_side, "upload")
        self._making = threading.Lock()
        self._shelves: set[Path] = set()
        self._guard = threading.Lock()
        self._running: set[Future[None]] = set()
        self._sizes: dict[str, int] = {}
        self._failure: BaseException | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each volume that is stored so far, and read back if that is wanted."""
        with self._guard:
            return dict(self._sizes)

    def start(self, volume: Volume) -> None:
        """Upload *volume* as soon as a thread is free."""
        upload = self._threads.submit(self._upload, volume)
        with self._guard:
            self._running.add(upload)
        upload.add_done_callback(self._forget)

    def _forget(self, upload: Future[None]) -> None:
        with self._guard:
            self._running.discard(upload)

    def _upload(self, volume: Volume) -> None:
        try:
            path = self._pool / PurePosixPath(volume.name)
            self._make_shelf(path.parent)
            chunks = volume.chunks if self._tell is None else partial(_told, volume, self._tell)
            size = self._storage.write(path, chunks)
            if size != volume.size:
                raise InterruptedTransferError(f"Of the volume {path} {size:,} of {volume.size:,} bytes were uploaded.")
            volume.release()
            if self._readback:
                self._prove(path, volume)
            with self._guard:
                self._sizes[volume.name] = size
            if self._tell is not None:
                self._tell(volume, size)
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        """Keep why the run cannot go on: the first reason, of which what others meet may only be a consequence."""
        if isinstance(error, AbandonedError) and error.__cause__ is not None:
            error = error.__cause__
        with self._guard:
            self._failure = self._failure or error
        self._budget.fail(error)

    def _make_shelf(self, shelf: Path) -> None:
        with self._making:
            if shelf not in self._shelves:
                self._storage.ensure_directories([self._pool, shelf])
                self._shelves.add(shelf)

    def _prove(self, path: Path, volume: Volume) -> None:
        """Read the volume at *path*, and delete it if it is not what was sent."""
        if self._digest_of(path, volume.size) == volume.digest:
            return
        with suppress(StorageError):  # the next run sweeps it
            self._storage.delete([path])
        raise DamageError(f"The volume {path} was read back, and is not what was sent: the storage has damaged it.")

    def _digest_of(self, path: Path, size: int) -> str:
        """Read *path* to its end; where a connection breaks, or ends before *size*, go on from there on another one."""
        digest = hashlib.sha256()
        position = failed = 0
        while True:
            try:
                with self._storage.open(path, position) as reader:
                    while piece := reader.read(_READ_SIZE):
                        digest.update(piece)
                        position += len(piece)
                        failed = 0
            except (InterruptedTransferError, UnreachableError) as error:
                failed += 1
                if error.is_final or failed == _ATTEMPTS:
                    raise
            else:
                failed += 1
                if position >= size or failed == _ATTEMPTS:
                    return digest.hexdigest()

    def wait(self) -> None:
        """Wait until every volume started so far is stored; raise what failed the first of those that failed.

        The last one must have been ended, or nothing comes of it.
        """
        with self._guard:
            running = list(self._running)
        wait(running, return_when=FIRST_EXCEPTION)
        self._raise_failure()

    def finish(self) -> dict[str, int]:
        """Wait for all uploads and return the size of each volume; raise what failed the first of them."""
        self._threads.shutdown(wait=True)
        self._raise_failure()
        return self.sizes

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def give_up(self) -> None:
        """Wait until no upload is running; whoever gives up has made the volumes fail."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _told(volume: Volume, tell: Callable[[Volume, int], None]) -> Iterator[Buffer]:
    """Yield the bytes of *volume*, and tell of each piece when the next one is asked for."""
    position = 0
    for piece in volume.chunks():
        yield piece
        position += len(piece)
        tell(volume, position)
