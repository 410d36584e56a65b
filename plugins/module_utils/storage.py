# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the format needs of a storage: the seam between ``native/`` and ``ftp/``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import PurePosixPath

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    Buffer = t.Union[bytes, bytearray, memoryview]
    Chunks = Callable[[], Iterable[Buffer]]

Path = PurePosixPath
FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"  # kinds


@dataclass(frozen=True)
class RemoteEntry:
    """One name in a directory; *size* is in bytes, and 0 for a directory."""

    name: str
    is_directory: bool
    size: int


@dataclass(frozen=True)
class RemoteDetails:
    """One name in a directory, with all that the server's listing tells of it.

    *kind* is FILE, DIRECTORY, LINK or OTHER. *size* is in bytes, and 0 for all but files. *mode* are the permissions,
    None where they are not told. *modified* is the time in the server's words, and *mtime* what that means in seconds
    since 1970 (UTC): to the second or to the day as the words have it, None where they lack the year. *target* is where
    a link leads, empty where that is not told.
    """

    name: str
    kind: str
    size: int = 0
    mode: int | None = None
    modified: str = ""
    mtime: int | None = None
    target: str = ""


class Reader(t.Protocol):
    """The bytes of a remote file from some offset on."""

    def read(self, size: int) -> memoryview:
        """Return exactly *size* bytes, or fewer where the file ends; the next call overwrites them."""


class Storage(t.Protocol):
    """A tree of files below one directory; every path is relative to it.

    Every method raises :class:`~.errors.StorageError`, and only that. What is broken by a lost connection is tried
    again inside; what still comes out as an error has been tried enough.
    """

    @property
    def bytes_sent(self) -> int:
        """How many bytes all data connections have sent so far."""

    @property
    def bytes_received(self) -> int:
        """How many bytes all data connections have received so far, listings among them."""

    def reports(self) -> tuple[str, ...]:
        """Return a sentence for each thing so far that a user should know of the way to the storage."""

    def list_directory(self, directory: Path) -> list[RemoteEntry]:
        """Return what lies directly in *directory*; a missing directory is an empty one."""

    def list_details(self, directory: Path, *, thorough: bool = False) -> list[RemoteDetails]:
        """Return what lies directly in *directory*, whatever it is called; a missing directory is an empty one.

        Where one listing leaves open what links there are, where they lead or when files were modified to the second,
        more is asked if that is to be *thorough*.
        """

    def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        """Return the size in bytes of each of *paths*, or None for each that does not exist."""

    def marks(self, paths: Sequence[Path]) -> list[str | None]:
        """Return for each of *paths* a text that stays while the file stays as it is, or None if there is no file.

        It is made of the size and of the time in the server's words, where it tells one, and means nothing else.
        """

    def has_directory(self, directory: Path) -> bool:
        """Tell whether *directory* exists."""

    def ensure_directories(self, directories: Sequence[Path]) -> list[bool]:
        """Make each of *directories*, in this order, unless it is there already; tell which were surely made now."""

    def take_directory(self, directory: Path) -> bool:
        """Make *directory* and tell whether it was this call that made it."""

    def write(self, path: Path, chunks: Chunks) -> int:
        """Store what *chunks* yields at the unused name *path*, whole or not at all, and return its size in bytes.

        *chunks* is called again for each new attempt.
        """

    def stage(self, path: Path, chunks: Chunks) -> Path:
        """Store what *chunks* yields under a temporary name beside *path*, and return that name."""

    def publish(self, staged: Path, path: Path, chunks: Chunks) -> None:
        """Give the *staged* file its name; *chunks* yields its content for a storage that can rename nothing."""

    def rename(self, source: Path, target: Path) -> None:
        """Give the file or directory *source* the unused name *target*."""

    def read(self, path: Path, offset: int = 0, length: int | None = None) -> bytes:
        """Return *length* bytes of *path* from *offset* on, or all to its end."""

    def open(self, path: Path, offset: int = 0, length: int | None = None) -> AbstractContextManager[Reader]:
        """Open *path* for reading from *offset* on; it may be left before its end.

        *length* is how much will be read, if that is known: little more than that is fetched then.

        It is not tried again once it is open: who reads it knows best where to go on.
        """

    def delete(self, paths: Sequence[Path]) -> None:
        """Delete the files *paths*; one that is gone already is no error."""

    def remove_directories(self, directories: Sequence[Path]) -> list[bool]:
        """Remove the empty *directories*, in this order, and tell of each whether that is done.

        One that is gone or not empty is left as it is, and so is one that the server refuses to remove.
        """
