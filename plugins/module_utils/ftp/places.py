# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of a host at a destination: one cap on connections for all processes of the host.

Each place is a file on which the process that has it holds the kernel's lock, so that a dead process has none. Who
waits for one has a file of its own, locked likewise, whose name tells since when: the places are given in that order.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import typing as t
from contextlib import contextmanager, suppress

from ..errors import LocalError, told_as
from ..private_files import make_private_directory

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MEMORY = 600.0  # seconds for which it is remembered how many connections the server took


class Places(t.Protocol):
    """Who may have a connection. Every method is safe to call from many threads."""

    def take(self) -> Place | None:
        """Return a place, or None where there is none now; who asked first gets the next one."""

    def give_up(self) -> None:
        """Ask no more."""

    def are_wanted(self) -> bool:
        """Tell whether another process waits for a place."""

    def narrow(self) -> int:
        """Have no more places than other processes have now, since the server took no more; return how many that is.

        It holds until none is taken, and for ten minutes at most.
        """


class Place(t.Protocol):
    """The right to have one connection."""

    def free(self) -> None:
        """Give it back."""


class Anywhere:
    """There is always a place: nobody else is asked."""

    def take(self) -> Place:
        return self

    def give_up(self) -> None:
        return

    def are_wanted(self) -> bool:
        return False

    def narrow(self) -> int:
        return 0

    def free(self) -> None:
        return


def places_at(directory: Path, limit: int, *, may_write: bool) -> Places:
    """Return the places of this host that *directory* stands for.

    Where it is not there and may not, or cannot, be made, the cap of this process is all there is.
    """
    with suppress(LocalError), told_as(f"Cannot look into {directory}"):
        if may_write or (directory / "guard").exists():
            return HostPlaces(directory, limit, may_write=may_write)
    return Anywhere()


class HostPlaces:
    """At most *limit* places (0: no cap of ours) for all processes that share *directory*.

    One that may not *write* makes no files: it knows of those that are there, and comes after all who wait.
    """

    def __init__(
        self, directory: Path, limit: int, *, may_write: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._limit = limit
        self._may_write = may_write
        self._clock = clock
        self._guard = threading.Lock()
        self._ticket: _LockedFile | None = None
        if may_write:
            make_private_directory(directory)
            for path in (directory / "guard", *self._place_files()):  # all of them, for those who make none
                with told_as(f"Cannot make {path}"):
                    if not path.exists():
                        path.touch(mode=0o600)

    @property
    def _cap_file(self) -> Path:
        return self._directory / "cap"

    def take(self) -> Place | None:
        with self._alone():
            waiting = self._waiting()
            if not waiting or (self._ticket is not None and waiting[0] == self._ticket.path):
                place = self._free_place()
                if place is not None:
                    self._drop_ticket()
                    return place
            if self._ticket is None and self._may_write:
                name = f"waiting-{time.monotonic_ns():020d}-{os.getpid()}"
                self._ticket = _LockedFile.taken(self._directory / name, may_make=True)
            return None

    def give_up(self) -> None:
        if self._ticket is not None:
            with self._alone():
                self._drop_ticket()

    def are_wanted(self) -> bool:
        own = self._ticket
        return any(own is None or path != own.path for path in self._waiting(sweep=False))

    def narrow(self) -> int:
        with self._alone():
            taken = self._count_taken()
            if taken and self._may_write:
                with told_as(f"Cannot write {self._cap_file}"):
                    self._cap_file.write_text(f"{taken} {self._clock():.0f}\n", encoding="ascii")
            return taken

    # -- under the guard

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only thread of the host that looks at the places or changes them."""
        with self._guard, told_as(f"Cannot use {self._directory}"):
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if self._may_write else 0)
            descriptor = os.open(self._directory / "guard", flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _free_place(self) -> Place | None:
        """Return a place if fewer are taken than there may be; one that has no file counts for nobody else."""
        free: _LockedFile | None = None
        taken = 0
        for path in self._place_files():
            place = _LockedFile.taken(path, may_make=self._may_write)
            if place is None:
                taken += path.exists()
            elif free is None:
                free = place
            else:
                place.free()
        cap = self._cap(taken)
        if not cap or taken < cap:
            if free is None:  # without a cap of ours there is always one more
                free = _LockedFile.taken(self._place_file(taken), may_make=self._may_write)
            return free or Anywhere()
        if free is not None:
            free.free()
        return None

    def _place_file(self, number: int) -> Path:
        return self._directory / f"place-{number:03d}"

    def _place_files(self) -> list[Path]:
        """Return the files of all places; without a cap of ours, of those that were ever needed."""
        if self._limit:
            return [self._place_file(number) for number in range(self._limit)]
        return sorted(self._directory.glob("place-*"))

    def _count_taken(self) -> int:
        taken = 0
        for path in self._directory.glob("place-*"):
            place = _LockedFile.taken(path, may_make=False)
            if place is None:
                taken += 1
            else:
                place.free()
        return taken

    def _cap(self, taken: int) -> int:
        """Return how many places there may be at this moment, 0 for no cap."""
        with suppress(OSError, ValueError):
            seen, since = map(int, self._cap_file.read_text("ascii").split())
            if taken and abs(self._clock() - since) < _MEMORY:
                return min(seen, self._limit) if self._limit else seen
        return self._limit

    def _waiting(self, *, sweep: bool = True) -> list[Path]:
        """Return the files of all who wait, the one that waits longest first; those of the dead are removed."""
        waiting = []
        for path in sorted(self._directory.glob("waiting-*")):
            if self._ticket is not None and path == self._ticket.path:
                waiting.append(path)
                continue
            ticket = _LockedFile.taken(path, may_make=False)
            if ticket is not None:
                if sweep and self._may_write:
                    path.unlink(missing_ok=True)
                ticket.free()
            elif path.exists():
                waiting.append(path)
        return waiting

    def _drop_ticket(self) -> None:
        if self._ticket is not None:
            self._ticket.path.unlink(missing_ok=True)
            self._ticket.free()
            self._ticket = None


class _LockedFile:
    """A file on which we hold the kernel's lock."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def taken(cls, path: Path, *, may_make: bool) -> _LockedFile | None:
        """Return the locked file *path*, or None where another process holds it, or it is not there to be locked."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if may_make else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def free(self) -> None:
        os.close(self._descriptor)
