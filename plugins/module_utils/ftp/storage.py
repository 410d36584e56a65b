# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FTP storage: what the format needs of a storage, on a pool of FTP sessions."""

from __future__ import annotations

import random
import threading
import time
import typing as t
from contextlib import contextmanager, suppress

from ..errors import (
    InterruptedTransferError,
    MissingError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from .paths import checked_directory, checked_foreign_path, checked_path, is_ours

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage import Buffer, Chunks, Path, Reader, RemoteDetails, RemoteEntry
    from .pool import ConnectionPool
    from .session import Session

    Result = t.TypeVar("Result")

_ATTEMPTS = 4
_LONGEST = 3600.0  # seconds after which a deed that failed once is not begun again
_WORTH_ANOTHER_TRY = (InterruptedTransferError, UnreachableError)
_BROKEN = 426
_LOOKS, _BETWEEN_LOOKS = 10, 0.25  # at files that may still grow, and seconds
_RENAME_PAUSES = (0.1, 0.5, 1.0)  # a server may hold a new file for a moment and refuse RNFR


class FtpStorage:
    """The tree below *directory* of an FTP login; *mark* tells the temporary names of this run from all others."""

    _checked = staticmethod(checked_path)

    def __init__(
        self,
        pool: ConnectionPool,
        directory: str,
        mark: str,
        *,
        pause: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._directory = checked_directory(directory)
        self._mark = mark
        self._pause = pause
        self._jitter = jitter
        self._clock = clock
        self._renames = True
        self._counting = threading.Lock()
        self._attempts = 0
        self._staged: dict[Path, int] = {}

    @property
    def bytes_sent(self) -> int:
        return self._pool.traffic.sent

    @property
    def bytes_received(self) -> int:
        return self._pool.traffic.received

    def reports(self) -> tuple[str, ...]:
        """Return a sentence for each thing that a user should know of the connections so far."""
        return self._pool.reports.sentences(self._pool.asked_limit)

    # -- names

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._pool.session() as session:
            session.enter(self._directory, self._checked)
            yield session

    def _temporary(self, path: Path) -> Path:
        """Return a name beside *path* that was never used before."""
        with self._counting:
            self._attempts += 1
            return path.with_name(f"{path.name}.{self._mark}-{self._attempts}.tmp")

    def _again(self, deed: Callable[[Session], Result]) -> Result:
        """Do *deed* on a session, and again on another one as long as only connections break."""
        began = self._clock()
        lacked_reuse = False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._session() as session:
                    return deed(session)
            except _WORTH_ANOTHER_TRY as error:
                if error.is_final or attempt == _ATTEMPTS or self._clock() - began > _LONGEST:
                    raise
                if isinstance(error, InterruptedTransferError) and error.lacks_reuse:
                    if lacked_reuse:  # one may have been refused after hours; two mean that it stays so
                        raise RefusedError(str(error), code=error.code) from error
                    lacked_reuse = True
            self._pause(min(8.0, 0.25 * 4**attempt) * (0.5 + self._jitter() / 2))
        raise AssertionError("unreachable")

    # -- looking

    def list_directory(self, directory: Path) -> list[RemoteEntry]:
        """Return what lies there; names that cannot be ours are nobody's business here."""
        entries = self._again(lambda session: session.list_directory(session.path_of(directory)))
        return [entry for entry in entries if is_ours(entry.name)]

    def list_details(self, directory: Path, *, thorough: bool = False) -> list[RemoteDetails]:
        """Return what lies there, whoever has put it there."""
        return self._again(lambda session: session.list_details(session.path_of(directory), thorough=thorough))

    def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        if not paths:
            return []
        return self._again(lambda session: session.sizes([session.path_of(path) for path in paths]))

    def marks(self, paths: Sequence[Path]) -> list[str | None]:
        if not paths:
            return []
        return self._again(lambda session: session.marks([session.path_of(path) for path in paths]))

    def has_directory(self, directory: Path) -> bool:
        return self._again(lambda session: session.has_directory(session.path_of(directory)))

    # -- directories

    def ensure_directories(self, directories: Sequence[Path]) -> list[bool]:
        if not directories:
            return []
        return self._again(lambda session: session.ensure_directories([session.path_of(d) for d in directories]))

    def take_directory(self, directory: Path) -> bool:
        """Make *directory* and tell whether it was this call that made it.

        There is one attempt: when the reply is lost, only the caller can find out whose the directory is.
        """
        with self._session() as session:
            reply = session.make_directory(session.path_of(directory))
            if not reply.is_success and not session.has_directory(session.path_of(directory)):
                raise RefusedError(
                    f"Cannot make the directory {directory}: the server answered '{reply}'.", code=reply.code
                )
            return reply.is_success

    def remove_directories(self, directories: Sequence[Path]) -> list[bool]:
        if not directories:
            return []
        return self._again(lambda session: session.remove_directories([session.path_of(d) for d in directories]))

    # -- contents

    def write(self, path: Path, chunks: Chunks) -> int:
        def deed(session: Session, staged: Path) -> int:
            if not self._renames:
                return self._sent(session, path, chunks)
            size = self._sent(session, staged, chunks)
            self._published(session, staged, path, size, chunks)
            return size

        return self._staging(path, deed)

    def stage(self, path: Path, chunks: Chunks) -> Path:
        def deed(session: Session, staged: Path) -> Path:
            self._staged[staged] = self._sent(session, staged, chunks)
            return staged

        return self._staging(path, deed)

    def _staging(self, path: Path, deed: Callable[[Session, Path], Result]) -> Result:
        """Do *deed* with a temporary name for *path*, another one in each attempt, and remove what failed ones left."""
        used: list[Path] = []

        def attempt(session: Session) -> Result:
            used.append(self._temporary(path))
            try:
                result = deed(session, used[-1])
            except _WORTH_ANOTHER_TRY:
                raise
            except StorageError:
                if not session.is_broken:  # all that is done for one object is done by one connection
                    self._forget(session, used)
                    used.clear()
                raise
            self._forget(session, used[:-1])
            return result

        try:
            return self._again(attempt)
        except StorageError as error:
            if used and not error.is_final:
                self._forget_elsewhere(used)
            raise
        except BaseException:  # whoever gives the content has given up
            self._forget_elsewhere(used, is_fresh=True)
            raise

    def _forget_elsewhere(self, left: Sequence[Path], *, is_fresh: bool = False) -> None:
        """Delete what attempts have *left*, by another connection than theirs.

        Where that *is_fresh*, the server may still be writing to it. Pure-FTPd refuses to delete a file that grows
        meanwhile, and has then given it a hidden name for ever; so what does not stand still is left to the next run.
        """
        with suppress(StorageError), self._session() as session:
            if not is_fresh or self._stands_still(session, left):
                self._forget(session, left)

    def _stands_still(self, session: Session, paths: Sequence[Path]) -> bool:
        """Tell whether *paths* have come to keep their sizes."""
        remote = [session.path_of(path) for path in paths]
        before = session.sizes(remote)
        for _look in range(_LOOKS):
            self._pause(_BETWEEN_LOOKS)
            after = session.sizes(remote)
            if after == before:
                return True
            before = after
        return False

    def _forget(self, session: Session, left: Sequence[Path]) -> None:
        """Delete what attempts have *left*; what cannot be deleted now is swept by the next run."""
        with suppress(StorageError):
            session.delete([session.path_of(path) for path in left])

    def _sent(self, session: Session, path: Path, chunks: Chunks) -> int:
        """Upload to the unused name *path*, and see by its size that all of it arrived."""
        remote = session.path_of(path)
        counted = _Counted(chunks())
        try:
            try:
                session.upload(remote, counted)
            except InterruptedTransferError as error:
                # Some servers say that the connection broke although everything is there: the size decides.
                if error.code != _BROKEN or not counted.is_exhausted or session.is_broken:
                    raise
            sent = counted.size
            _require_size(path, sent, session.sizes([remote])[0])
        except StorageError:
            self._tidy(session, remote)
            raise
        return sent

    def _tidy(self, session: Session, remote: str) -> None:
        """Delete what a failed upload left, where the connection still allows it; else the next run sweeps it."""
        if not session.is_broken:
            try:
                session.delete([remote])
            except StorageError:
                session.close()

    def publish(self, staged: Path, path: Path, chunks: Chunks) -> None:
        size = self._staged.pop(staged, None) or self.sizes([staged])[0]
        if size is None:
            raise InterruptedTransferError(f"Cannot publish {path}: the file that was uploaded for it is gone.")
        self._again(lambda session: self._published(session, staged, path, size, chunks))

    def _published(self, session: Session, staged: Path, path: Path, size: int, chunks: Chunks) -> None:
        """Give the *staged* file its name; where the server renames nothing, send it once more under that name."""
        if not self._renames:
            self._sent(session, path, chunks)
            session.delete([session.path_of(staged)])
            return
        for pause in (*_RENAME_PAUSES, None):
            try:
                found = session.rename(session.path_of(staged), session.path_of(path))
            except (MissingError, RefusedError) as error:
                # Either the server still holds the file, or an earlier attempt did the rename and its reply was lost.
                at_source, at_target = session.sizes([session.path_of(staged), session.path_of(path)])
                if at_target == size:
                    if at_source is not None:  # that attempt had sent a file of its own
                        session.delete([session.path_of(staged)])
                    return
                if pause is None and (at_source, at_target) == (size, None):
                    self._renames = False
                    self._published(session, staged, path, size, chunks)
                    return
                if pause is None or (isinstance(error, RefusedError) and at_target is not None):
                    raise
                self._pause(pause)
            else:
                _require_size(path, size, found)
                return

    def rename(self, source: Path, target: Path) -> None:
        with self._session() as session:
            session.rename(session.path_of(source), session.path_of(target))

    def read(self, path: Path, offset: int = 0, length: int | None = None) -> bytes:
        def deed(session: Session) -> bytes:
            if length is None:
                content = session.read(session.path_of(path), offset)
            else:
                with session.download(session.path_of(path), offset, length) as download:
                    content = bytes(download.read(length))
            return content

        return self._again(deed)

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        with self._session() as session, session.download(session.path_of(path), offset, length) as download:
            yield download

    def delete(self, paths: Sequence[Path]) -> None:
        if paths:
            self._again(lambda session: session.delete([session.path_of(path) for path in paths]))


class ReadOnlyStorage(FtpStorage):
    """A tree in which nothing is ever written: whatever would is refused here, before the server is asked.

    So what others have named can be read there as well.
    """

    _checked = staticmethod(checked_foreign_path)

    def ensure_directories(self, directories: Sequence[Path]) -> list[bool]:
        raise _refusal(*directories[:1])

    def take_directory(self, directory: Path) -> bool:
        raise _refusal(directory)

    def remove_directories(self, directories: Sequence[Path]) -> list[bool]:
        raise _refusal(*directories[:1])

    def write(self, path: Path, chunks: Chunks) -> int:  # noqa: ARG002 - the seam has it
        raise _refusal(path)

    def stage(self, path: Path, chunks: Chunks) -> Path:  # noqa: ARG002 - the seam has it
        raise _refusal(path)

    def publish(self, staged: Path, path: Path, chunks: Chunks) -> None:  # noqa: ARG002 - the seam has them
        raise _refusal(path)

    def rename(self, source: Path, target: Path) -> None:  # noqa: ARG002 - the seam has it
        raise _refusal(source)

    def delete(self, paths: Sequence[Path]) -> None:
        raise _refusal(*paths[:1])


def _refusal(*paths: Path) -> RefusedError:
    what = f"{paths[0]} is not touched" if paths else "nothing is touched"
    return RefusedError(f"The destination was declared with read_only: true, so {what} there.")


class _Counted:
    """Yields chunks, and knows how many bytes they had and whether that was all."""

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._chunks = chunks
        self.size = 0
        self.is_exhausted = False

    def __iter__(self) -> Iterator[Buffer]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk
        self.is_exhausted = True


def _require_size(path: Path, expected: int, size: int | None) -> None:
    """Raise unless *path* has the size we sent: no server's 226 proves that everything arrived."""
    if size != expected:
        found = "is missing" if size is None else f"has {size:,} bytes"
        raise InterruptedTransferError(
            f"Cannot upload {path}: of {expected:,} bytes sent, the file on the server {found}."
        )
