# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FTP storage: what the format needs of a storage, on a pool of FTP sessions."""

from __future__ import annotations

import threading
import time
import typing as t
from contextlib import contextmanager
from pathlib import PurePosixPath

from ..errors import (
    InterruptedTransferError,
    MissingError,
    RefusedError,
    StorageError,
    UnreachableError,
    UsageError,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..storage import Chunks, Path, Reader, RemoteEntry
    from .pool import ConnectionPool
    from .session import Session

    Result = t.TypeVar("Result")

_ATTEMPTS = 4
_WORTH_ANOTHER_TRY = (InterruptedTransferError, UnreachableError)
_RENAME_PAUSES = (0.1, 0.5, 1.0)  # a server may hold a new file for a moment and refuse RNFR
_READ_TO_END = 64 * 1024


class FtpStorage:
    """The tree below *directory* of an FTP login; *mark* tells the temporary names of this run from all others."""

    def __init__(
        self, pool: ConnectionPool, directory: str, mark: str, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._pool = pool
        self._directory = checked_directory(directory)
        self._mark = mark
        self._pause = pause
        self._counting = threading.Lock()
        self._attempts = 0
        self.bytes_sent = 0
        self.bytes_received = 0

    # -- names

    def _absolute(self, session: Session, path: Path) -> str:
        return str(root_of(session.home, self._directory) / path)

    def _temporary(self, path: Path) -> Path:
        """Return a name beside *path* that was never used before."""
        with self._counting:
            self._attempts += 1
            return path.with_name(f"{path.name}.{self._mark}-{self._attempts}.tmp")

    def _again(self, deed: Callable[[Session], Result]) -> Result:
        """Do *deed* on a session, and again on another one as long as only connections break."""
        for attempt in range(1, _ATTEMPTS + 1):
            with self._pool.session() as session:  # where no connection can be had, the pool has tried enough
                try:
                    return deed(session)
                except _WORTH_ANOTHER_TRY:
                    if attempt == _ATTEMPTS:
                        raise
            self._pause(min(8.0, 0.25 * 4**attempt))
        raise AssertionError("unreachable")

    # -- looking

    def list_directory(self, directory: Path) -> list[RemoteEntry]:
        return self._again(lambda session: session.list_directory(self._absolute(session, directory)))

    def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        if not paths:
            return []
        return self._again(lambda session: session.sizes([self._absolute(session, path) for path in paths]))

    def has_directory(self, directory: Path) -> bool:
        return self._again(lambda session: session.has_directory(self._absolute(session, directory)))

    # -- directories

    def ensure_directories(self, directories: Sequence[Path]) -> None:
        if directories:
            self._again(lambda session: session.ensure_directories([self._absolute(session, d) for d in directories]))

    def take_directory(self, directory: Path) -> bool:
        """Make *directory* and tell whether it was this call that made it.

        There is one attempt: when the reply is lost, only the caller can find out whose the directory is.
        """
        with self._pool.session() as session:
            reply = session.make_directory(self._absolute(session, directory))
            if not reply.is_success and not session.has_directory(self._absolute(session, directory)):
                raise RefusedError(
                    f"Cannot make the directory {directory}: the server answered '{reply}'.", code=reply.code
                )
            return reply.is_success

    def remove_directories(self, directories: Sequence[Path]) -> None:
        if directories:
            self._again(lambda session: session.remove_directories([self._absolute(session, d) for d in directories]))

    # -- contents

    def write(self, path: Path, chunks: Chunks) -> int:
        def deed(session: Session) -> int:
            staged, size = self._staged(session, path, chunks)
            self._published(session, staged, path, size)
            return size

        return self._again(deed)

    def stage(self, path: Path, chunks: Chunks) -> Path:
        return self._again(lambda session: self._staged(session, path, chunks)[0])

    def _staged(self, session: Session, path: Path, chunks: Chunks) -> tuple[Path, int]:
        staged = self._temporary(path)
        remote = self._absolute(session, staged)
        try:
            sent = session.upload(remote, chunks())
            self._require_size(session, staged, sent)
        except StorageError:
            self._tidy(session, remote)
            raise
        with self._counting:
            self.bytes_sent += sent
        return staged, sent

    def _tidy(self, session: Session, remote: str) -> None:
        """Delete what a failed upload left, where the connection still allows it; else the next run sweeps it."""
        if not session.is_broken:
            try:
                session.delete([remote])
            except StorageError:
                session.close()

    def _require_size(self, session: Session, path: Path, expected: int) -> None:
        """Raise unless *path* has the size we sent: no server's 226 proves that everything arrived."""
        (size,) = session.sizes([self._absolute(session, path)])
        if size != expected:
            found = "is missing" if size is None else f"has {size:,} bytes"
            raise InterruptedTransferError(
                f"Cannot upload {path}: of {expected:,} bytes sent, the file on the server {found}."
            )

    def publish(self, staged: Path, path: Path) -> None:
        (size,) = self.sizes([staged])
        if size is None:
            raise InterruptedTransferError(f"Cannot publish {path}: the file that was uploaded for it is gone.")
        self._again(lambda session: self._published(session, staged, path, size))

    def _published(self, session: Session, staged: Path, path: Path, size: int) -> None:
        for pause in (*_RENAME_PAUSES, None):
            try:
                session.rename(self._absolute(session, staged), self._absolute(session, path))
                break
            except MissingError:
                # Either the server still holds the file, or an earlier attempt did the rename and its reply was lost.
                if session.sizes([self._absolute(session, path)]) == [size]:
                    break
                if pause is None:
                    raise
                self._pause(pause)
        self._require_size(session, path, size)

    def rename(self, source: Path, target: Path) -> None:
        with self._pool.session() as session:
            session.rename(self._absolute(session, source), self._absolute(session, target))

    def read(self, path: Path, offset: int = 0, length: int | None = None) -> bytes:
        def deed(session: Session) -> bytes:
            with session.download(self._absolute(session, path), offset) as download:
                content = download.read_all() if length is None else bytes(download.read(length))
            with self._counting:
                self.bytes_received += len(content)
            return content

        return self._again(deed)

    @contextmanager
    def open(self, path: Path, offset: int = 0) -> Iterator[Reader]:
        with self._pool.session() as session, session.download(self._absolute(session, path), offset) as download:
            yield _CountingReader(download, self._count_received)

    def _count_received(self, count: int) -> None:
        with self._counting:
            self.bytes_received += count

    def delete(self, paths: Sequence[Path]) -> None:
        if paths:
            self._again(lambda session: session.delete([self._absolute(session, path) for path in paths]))


class _CountingReader:
    """Counts what is read through it."""

    def __init__(self, reader: Reader, count: Callable[[int], None]) -> None:
        self._reader = reader
        self._count = count

    def read(self, size: int) -> memoryview:
        content = self._reader.read(size)
        self._count(len(content))
        return content


def checked_directory(directory: str) -> PurePosixPath:
    """Return *directory* as a path, or raise if it could lead anywhere but below the login's own directory."""
    path = PurePosixPath(directory)
    if any(mark in directory for mark in "\r\n\0") or ".." in path.parts:
        raise UsageError(
            f"The directory {directory!r} cannot be used: '..', line breaks and NUL are not allowed in it."
        )
    return path


def root_of(home: str, directory: PurePosixPath) -> PurePosixPath:
    """Return the absolute path of *directory* for a login that starts in *home*."""
    root = PurePosixPath(home) / directory
    if PurePosixPath(home) not in (root, *root.parents):
        raise UsageError(f"The directory {directory} lies outside of {home}, where the login starts.")
    return root
