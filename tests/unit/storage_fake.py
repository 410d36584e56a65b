# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage in memory, which keeps what it is given and refuses what a server refuses."""

from __future__ import annotations

import threading
import typing as t
from contextlib import contextmanager
from pathlib import PurePosixPath

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import MissingError, RefusedError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.listing import seconds_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import (
    DIRECTORY,
    FILE,
    LINK,
    RemoteDetails,
    RemoteEntry,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Chunks, Path, Reader

ROOT = PurePosixPath()
_FIRST_TIME = 20260101000000


class FakeStorage:
    """A tree of files in memory; *files* and *directories* are open to tests, *reads* lists what was read.

    *links* and *modified* are open to tests as well: where links lead, and when a file was modified, as MDTM has it.
    Where servers differ, it is the strictest of them: nothing is renamed onto a name that exists.
    """

    def __init__(self, mark: str = "20261122t030000z-0000aa") -> None:
        self.files: dict[Path, bytes] = {}
        self.directories: set[Path] = {ROOT}
        self.links: dict[Path, str] = {}
        self.modified: dict[Path, str] = {}
        self.reads: list[Path] = []
        self.bytes_sent = 0
        self.bytes_received = 0
        self._mark = mark
        self._attempts = 0
        self._guard = threading.RLock()

    def reports(self) -> tuple[str, ...]:
        return ()

    # looking

    def list_directory(self, directory: Path) -> list[RemoteEntry]:
        with self._guard:
            directories = [path for path in self.directories if path != ROOT and path.parent == directory]
            files = {path: len(content) for path, content in self.files.items() if path.parent == directory}
        inside = [RemoteEntry(path.name, is_directory=True, size=0) for path in directories]
        inside += [RemoteEntry(path.name, is_directory=False, size=size) for path, size in files.items()]
        return sorted(inside, key=lambda entry: entry.name, reverse=True)  # a server promises no order

    def list_details(self, directory: Path, *, thorough: bool = False) -> list[RemoteDetails]:  # noqa: ARG002 - they are
        details = []
        for entry in self.list_directory(directory):
            modified = self._time_of(directory / entry.name)
            kind = DIRECTORY if entry.is_directory else FILE
            details.append(
                RemoteDetails(
                    entry.name,
                    kind,
                    size=entry.size,
                    mode=0o755 if entry.is_directory else 0o644,
                    modified=modified,
                    mtime=seconds_of(modified),
                )
            )
        links = {path: target for path, target in self.links.items() if path.parent == directory}
        return details + [RemoteDetails(path.name, LINK, mode=0o777, target=target) for path, target in links.items()]

    def _time_of(self, path: Path) -> str:
        return self.modified.get(path, str(_FIRST_TIME))

    def marks(self, paths: Sequence[Path]) -> list[str | None]:
        return [f"{len(self.files[path])} {self._time_of(path)}" if path in self.files else None for path in paths]

    def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        return [len(self.files[path]) if path in self.files else None for path in paths]

    def has_directory(self, directory: Path) -> bool:
        return directory in self.directories

    # directories

    def ensure_directories(self, directories: Sequence[Path]) -> list[bool]:
        return [self.take_directory(directory) for directory in directories]

    def take_directory(self, directory: Path) -> bool:
        with self._guard:
            if directory in self.directories:
                return False
            self._require_free(directory)
            self.directories.add(directory)
            return True

    def remove_directories(self, directories: Sequence[Path]) -> list[bool]:
        with self._guard:
            return [self._remove_directory(directory) for directory in directories]

    def _remove_directory(self, directory: Path) -> bool:
        if directory not in self.directories or self.list_directory(directory):
            return False
        self.directories.discard(directory)
        return True

    def _require_free(self, path: Path) -> None:
        if path.parent not in self.directories:
            raise RefusedError(f"Cannot make {path}: there is no directory {path.parent}.", code=550)
        if path in self.files or path in self.directories:
            raise RefusedError(f"Cannot make {path}: it exists already.", code=550)

    # contents

    def write(self, path: Path, chunks: Chunks) -> int:
        self.publish(self.stage(path, chunks), path, chunks)
        return len(self.files[path])

    def stage(self, path: Path, chunks: Chunks) -> Path:
        content = b"".join(bytes(chunk) for chunk in chunks())
        with self._guard:
            self._attempts += 1
            staged = path.with_name(f"{path.name}.{self._mark}-{self._attempts}.tmp")
            self._require_free(staged)
            self.files[staged] = content
            self.modified[staged] = str(_FIRST_TIME + self._attempts % 60)
            self.bytes_sent += len(content)
        return staged

    def publish(self, staged: Path, path: Path, chunks: Chunks) -> None:  # noqa: ARG002 - it can rename
        self.rename(staged, path)

    def rename(self, source: Path, target: Path) -> None:
        with self._guard:
            if source not in self.files and source not in self.directories - {ROOT}:
                raise MissingError(f"Cannot rename {source}: there is no such file or directory.", code=550)
            self._require_free(target)
            self.files = {_moved(path, source, target): content for path, content in self.files.items()}
            self.modified = {_moved(path, source, target): modified for path, modified in self.modified.items()}
            self.directories = {_moved(path, source, target) for path in self.directories}

    def read(self, path: Path, offset: int = 0, length: int | None = None) -> bytes:
        with self.open(path, offset) as reader:
            return bytes(reader.read(len(self.files[path]) if length is None else length))

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:  # noqa: ARG002 - a hint
        with self._guard:
            if path not in self.files:
                raise MissingError(f"Cannot download {path}: there is no such file.", code=550)
            self.reads.append(path)
            content = self.files[path]
        reader = _FakeReader(content[offset:])
        yield reader
        with self._guard:
            self.bytes_received += reader.position

    def delete(self, paths: Sequence[Path]) -> None:
        with self._guard:
            for path in paths:
                if path in self.directories:
                    raise RefusedError(f"Cannot delete {path}: it is a directory.", code=550)
                self.files.pop(path, None)


class _FakeReader:
    """Reads like one that has a single buffer: what was returned before is gone."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._buffer = bytearray()
        self.position = 0

    def read(self, size: int) -> memoryview:
        self._buffer[:] = bytes(len(self._buffer))
        self._buffer = bytearray(self._content[self.position : self.position + size])
        self.position += len(self._buffer)
        return memoryview(self._buffer)


def _moved(path: Path, source: Path, target: Path) -> Path:
    return target / path.relative_to(source) if path == source or source in path.parents else path
