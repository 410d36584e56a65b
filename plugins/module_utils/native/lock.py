# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a job: directories only, no file and no clock of the server.

Source: ``docs/format.md``, section 4.
"""

from __future__ import annotations

import re
import threading
import time
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ..errors import InterruptedTransferError, LockedError, RefusedError, StorageError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..storage import Path, Storage

BEAT = 60.0
DEAD_AFTER = 600.0
_LOOK = 20.0
_OWN_EMPTY = 2.0  # long enough for another host that is just between its two MKDs
_HOLDER = re.compile(r"(?P<owner>[0-9a-z]+)\.(?P<run>[0-9a-z-]+)\.(?P<beats>\d+)")


@dataclass(frozen=True)
class Holder:
    """Whose run holds a lock; every beat, a minute apart, is a sign of life."""

    owner: str
    run: str
    beats: int

    @property
    def name(self) -> str:
        return f"{self.owner}.{self.run}.{self.beats}"


@contextmanager
def unmarked() -> Iterator[bool]:
    """Stand in for a host that notes nothing."""
    yield False


def none_lives(_run: str) -> bool:
    """Stand in for a host that has no other run."""
    return False


class JobLock:
    """The lock of the job in *directory*, for one run of *owner*.

    *lives* tells whether a run of this host is alive; a lock that bears *owner* is else that of a dead run. While the
    lock stands empty, between the two steps of taking it and of giving it back, *marked* notes so on the host; it
    yields whether a run of this host was broken off there, and so left the lock empty.
    """

    def __init__(
        self,
        storage: Storage,
        directory: Path,
        owner: str,
        run: str,
        *,
        marked: Callable[[], AbstractContextManager[bool]] = unmarked,
        lives: Callable[[str], bool] = none_lives,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._marked = marked
        self._lives = lives
        self._storage = storage
        self._directory = directory
        self._me = Holder(owner, run, 0)
        self._clock = clock
        self._pause = pause
        self._beating = threading.Lock()
        self._ended = threading.Event()
        self._may_have_made_it = False
        self._may_be_held = False
        self._died_here = False
        self.took_over = False
        self.is_held = False

    @property
    def _path(self) -> Path:
        return self._directory / "lock"

    def acquire(self) -> None:
        """Take the lock; a dead run's is taken over, a living one's raises :class:`~..errors.LockedError`."""
        with self._marked() as died_here:
            while not (self.is_held or self._take()):
                holder = self._holder()
                if holder is not None and holder.owner == self._me.owner and holder.run == self._me.run:
                    break  # the reply to our own MKD was lost
                is_dead = holder is not None and holder.owner == self._me.owner and self._is_dead_here(holder)
                left_here = holder is None and (died_here or self._died_here or self._may_have_made_it)
                is_dead = is_dead or self._is_found_dead(holder, _OWN_EMPTY if left_here else DEAD_AFTER)
                if is_dead and holder is not None and self._succeed(holder):
                    break
                if is_dead and holder is None:
                    self._clear_away()
        self.is_held = True

    def take_at_once(self) -> None:
        """Take the lock if it is free; :attr:`is_held` tells whether it was, and else :meth:`acquire` is needed."""
        with self._marked() as died_here:
            self._died_here = died_here
            self.is_held = self._take()

    def _take(self) -> bool:
        self._may_be_held = True
        try:
            if not self._storage.take_directory(self._path):
                self._may_be_held = False
                return False
            self._storage.ensure_directories([self._path / self._me.name])
        except InterruptedTransferError:
            self._may_have_made_it = True
            return False
        return True

    def _is_dead_here(self, holder: Holder) -> bool:
        """Tell that *holder*, a run of this host, is dead; raise :class:`~..errors.LockedError` if it lives."""
        if self._lives(holder.run):
            raise LockedError(f"The job is already being backed up on this host, by run {holder.run}.")
        return True

    def _holder(self, path: Path | None = None) -> Holder | None:
        """Return who holds the lock at *path*, or None if it stands empty or is gone."""
        for entry in self._storage.list_directory(path or self._path):
            found = _HOLDER.fullmatch(entry.name)
            if found:
                return Holder(found["owner"], found["run"], int(found["beats"]))
        return None

    def _is_found_dead(self, first: Holder | None, dead_after: float) -> bool:
        """Tell that the lock stood unchanged for so long that its run must be dead, or False once it is gone.

        Raises :class:`~..errors.LockedError` if its run lives.
        """
        began = self._clock()
        while self._clock() - began < dead_after:
            if not self._storage.has_directory(self._path):
                return False
            self._pause(min(_LOOK, dead_after))
            current = self._holder()
            if current is None or current == first:
                continue
            raise LockedError(
                f"The job is being backed up by run {current.run} of another host (client id {current.owner}),"
                f" which gave its last sign of life less than {_LOOK:.0f} seconds ago."
            )
        return True

    def _succeed(self, dead: Holder) -> bool:
        """Take the place of *dead* in the lock, and tell whether it was this call that did.

        Only one of many can, and none if the holder has given a sign of life since: it bears another name then.
        """
        self._may_be_held = True
        try:
            self._storage.rename(self._path / dead.name, self._path / self._me.name)
        except StorageError:
            return False  # another run was faster, or the holder lives: the next attempt to take the lock shows
        self.took_over = True
        return True

    def _clear_away(self) -> None:
        """Move a lock that stands empty out of the way; one that is not empty any more is given back."""
        aside = self._directory / f"lock-{self._me.run}"
        with suppress(StorageError):
            self._storage.rename(self._path, aside)
            if self._holder(aside) is None:
                self._storage.remove_directories([aside])
                self.took_over = True
            else:  # if a third has taken the lock by now, the one that lost it finds out before it commits
                self._storage.rename(aside, self._path)

    def give_up(self) -> None:
        """Leave no lock of ours where taking it was broken off, so that nobody was told whether it was taken."""
        if self.is_held or not self._may_be_held:
            return
        with suppress(StorageError, LockedError):
            holder = self._holder()
            if holder is not None and (holder.owner, holder.run) == (self._me.owner, self._me.run):
                self.release()
            elif holder is None and self._is_found_dead(None, _OWN_EMPTY):
                self._clear_away()

    def beat(self) -> None:
        """Give a sign of life; one whose reply was lost is settled by looking."""
        with self._beating:
            after = Holder(self._me.owner, self._me.run, self._me.beats + 1)
            try:
                self._storage.rename(self._path / self._me.name, self._path / after.name)
            except StorageError:
                if not self._is_ours() or self._me != after:
                    raise
            self._me = after

    def start_beating(self) -> None:
        """Give a sign of life every minute until the lock is released."""
        threading.Thread(target=self._keep_beating, name="lock", daemon=True).start()

    def _keep_beating(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                self.beat()
            except StorageError:
                continue  # proved before the commit; a lock that is lost stops the run there

    def prove(self, consequence: str = "") -> None:
        """Raise :class:`~..errors.LockedError` unless the lock is still ours; *consequence* ends its sentence."""
        with self._beating:
            if self._is_ours():
                return
        raise LockedError(
            f"The lock of the job is no longer that of this run ({self._me.run}), which stood still for so long"
            f" that it was taken over. {consequence}"
        )

    def _is_ours(self) -> bool:
        after = Holder(self._me.owner, self._me.run, self._me.beats + 1)
        for holder in (self._me, after):  # the reply to a beat may have been lost
            if self._storage.has_directory(self._path / holder.name):
                self._me = holder
                return True
        return False

    def release(self) -> None:
        """Give the lock back; where that fails, the next run of this host knows that the lock is a dead run's."""
        self._ended.set()
        try:
            self._give_back()
        except BaseException:  # who interrupts a run may do so right here, and nobody wants to wait for a dead lock
            self._give_back()
            raise

    def _give_back(self) -> None:
        with suppress(StorageError), self._beating, self._marked():
            if not all(self._storage.remove_directories([self._path / self._me.name, self._path])):
                raise RefusedError("The lock may stand empty.")  # so that the mark stays
