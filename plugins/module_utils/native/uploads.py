# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploading volumes side by side, each from the moment it is worth a connection."""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath

from ..errors import InterruptedTransferError

if t.TYPE_CHECKING:
    from ..storage import Path, Storage
    from .volumes import Budget, Volume


class Uploads:
    """The uploads of one run into *pool*; what fails one of them stops the run at its next step."""

    def __init__(self, storage: Storage, pool: Path, budget: Budget, side_by_side: int) -> None:
        self._storage = storage
        self._pool = pool
        self._budget = budget
        self._threads = ThreadPoolExecutor(side_by_side, "upload")
        self._running: list[Future[None]] = []
        self._making = threading.Lock()
        self._shelves: set[Path] = set()
        self.sizes: dict[str, int] = {}

    def start(self, volume: Volume) -> None:
        """Upload *volume* as soon as a thread is free."""
        self._running.append(self._threads.submit(self._upload, volume))

    def _upload(self, volume: Volume) -> None:
        try:
            path = self._pool / PurePosixPath(volume.name)
            self._make_shelf(path.parent)
            size = self._storage.write(path, volume.chunks)
            if size != volume.size:
                raise InterruptedTransferError(f"Of the volume {path} {size:,} of {volume.size:,} bytes were uploaded.")
            self.sizes[volume.name] = size
            volume.release()
        except BaseException as error:
            self._budget.fail(error)
            raise

    def _make_shelf(self, shelf: Path) -> None:
        with self._making:
            if shelf not in self._shelves:
                self._storage.ensure_directories([self._pool, shelf])
                self._shelves.add(shelf)

    def finish(self) -> dict[str, int]:
        """Wait for all uploads and return the size of each volume; raise what failed the first of them."""
        self._threads.shutdown(wait=True)
        for upload in self._running:
            upload.result()
        return self.sizes

    def give_up(self) -> None:
        """Wait until no upload is running; whoever gives up has made the volumes fail."""
        for upload in self._running:
            upload.cancel()
        self._threads.shutdown(wait=True)
