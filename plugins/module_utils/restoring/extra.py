# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the target and not in the restore point, as far as the restore point can tell: deleting it.

A restore point says nothing of what its rules left out, of what could not be read, of other file systems and of
sockets; so all of that stays, and each directory that holds some of it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import typing as t
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import LocalError
from ..ignore import IgnoreRules
from ..native.entries import DIRECTORY, DUMPS, FILES, path_bytes, place_below
from ..scan import is_below

if t.TYPE_CHECKING:
    from ..native.entries import Entry
    from .choosing import Surveyed
    from .failures import Failures
    from .target import Target
    from .windows import Tally

_MOST_PROBLEMS = 1000  # a trailer tells no more
_CACHE_TAG = b"CACHEDIR.TAG"  # https://bford.info/cachedir/
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
_NOWHERE = b"\0"
_DUMPS = place_below(DUMPS.rstrip(b"/"))


class _Place(t.NamedTuple):
    """On which device a directory lies, and by which mount it is seen, if that is known."""

    device: int
    mount: bytes


@dataclass
class _Swept:
    """A directory of the restore point whose *names* in the target are gone through beside its entries."""

    entry: Entry
    prefix: bytes
    root: bytes
    place: _Place
    names: deque[bytes]
    has_changed: bool = False


@dataclass
class _Level:
    """A directory that is to be deleted with all that is in it, unless something in it has to stay."""

    path: bytes
    names: list[bytes]
    stays: bool = False

    @property
    def prefix(self) -> bytes:
        return self.path + b"/"


class Extra:
    """Deletes what does not belong to what was *surveyed* and restored; in check mode it only counts that."""

    def __init__(
        self,
        target: Target,
        surveyed: Surveyed,
        tally: Tally,
        failures: Failures,
        spared: tuple[Path, ...],
        *,
        check_mode: bool,
    ) -> None:
        point = surveyed.point
        self._target = target
        self._surveyed = surveyed
        self._tally = tally
        self._failures = failures
        self._check_mode = check_mode
        self._roots = [path_bytes(root) for root in point.header.paths]
        self._rules = point.header.rules
        self._ignored = IgnoreRules(point.header.rules.exclude)
        self._marker = None if self._rules.marker is None else path_bytes(self._rules.marker)
        self._unread = {path_bytes(problem.path) for problem in point.trailer.problems}
        self._spared = _inodes_of((*spared, *(Path(path) for path in sys.path if path)))
        self._has_dumps = any(part.kind != FILES for part in point.trailer.parts)
        self._way: list[_Swept] = []

    def delete(self, *, dresses: bool) -> tuple[str, ...]:
        """Delete what is extra and return what the user should know; *dresses* directories anew that have changed."""
        point = self._surveyed.point
        if not point.trailer.complete and len(point.trailer.problems) >= _MOST_PROBLEMS:
            sentence = (
                f"Nothing was deleted: the restore point {point.stored.run} lacks more that could not be read back then"
                f" than the {_MOST_PROBLEMS:,} things that it names."
            )
            return (sentence,)
        selection = self._surveyed.selection
        barred = _NOWHERE
        for entry in self._surveyed.reader.entries(selection.literal_prefix):
            if entry.path.startswith(barred):
                continue
            self._leave(entry.path, dresses=dresses)
            if self._way:
                swept = self._way[-1]
                self._sweep(swept, entry.path[len(swept.prefix) :].split(b"/", 1)[0])
            root = self._root_of(entry.path) if entry.kind == DIRECTORY else None
            if root is not None and selection.matches(entry.path):
                found = self._found(entry, root)
                if found is None:
                    barred = entry.path.rstrip(b"/") + b"/"
                else:
                    self._way.append(found)
        self._leave(None, dresses=dresses)
        return ()

    def _leave(self, path: bytes | None, *, dresses: bool) -> None:
        """Leave the directories in which *path* does not lie; what is left of their names is extra."""
        while self._way and (path is None or not path.startswith(self._way[-1].prefix)):
            swept = self._way[-1]
            self._sweep(swept, None)
            self._way.pop()
            if swept.has_changed and dresses and not self._check_mode:
                try:
                    self._target.dress(swept.entry)
                except (OSError, LocalError) as error:
                    self._failures.add(swept.entry.path, error)

    def _sweep(self, swept: _Swept, until: bytes | None) -> None:
        """Delete what comes before the name *until*, which is an entry's."""
        names = swept.names
        while names and (until is None or names[0] <= until):
            name = names.popleft()
            if name != until:
                before = self._tally.counts["deleted"]
                self._clear(swept, swept.prefix + name)
                swept.has_changed = swept.has_changed or self._tally.counts["deleted"] != before

    # -- directories of the restore point

    def _root_of(self, path: bytes) -> bytes | None:
        """Return which of the paths that were backed up *path* is or lies below; what is none of these says nothing."""
        return next((root for root in self._roots if is_below(path, root)), None)

    def _found(self, entry: Entry, root: bytes) -> _Swept | None:
        """Return the directory *entry* as it lies in the target, or None if nothing in it may be touched."""
        if entry.path in self._unread:
            return None
        with suppress(OSError, LocalError), self._target.directory(entry.path) as descriptor:
            place = _place_of(descriptor)
            names = None if _inode_of(os.fstat(descriptor)) in self._spared else self._names_in(descriptor)
            if names is not None and (not self._way or place == self._way[0].place):
                prefix = entry.path if entry.path == b"/" else entry.path + b"/"
                return _Swept(entry, prefix, root, place, deque(names))
        return None

    def _names_in(self, descriptor: int) -> list[bytes] | None:
        """Return the names in an open directory in order, or None if the rules leave out what lies in such a one."""
        names = sorted(map(os.fsencode, os.listdir(descriptor)))
        if self._marker is not None and self._marker in names:
            return None
        if self._rules.caches and _CACHE_TAG in names and _is_cache(descriptor):
            return None
        return names

    # -- what is extra

    def _clear(self, swept: _Swept, top: bytes) -> None:
        """Delete *top* with all that lies in it, but for what has to stay; without recursion, however deep it is."""
        levels: list[_Level] = []
        self._look_at(swept, top, levels)
        while levels:
            level = levels[-1]
            if level.names:
                stays = not self._look_at(swept, level.prefix + level.names.pop(), levels)
                level.stays = level.stays or stays
                continue
            levels.pop()
            is_gone = not level.stays and self._delete(level.path, is_directory=True)
            if levels and not is_gone:
                levels[-1].stays = True

    def _look_at(self, swept: _Swept, path: bytes, levels: list[_Level]) -> bool:
        """Delete *path* unless it has to stay, and tell whether it is gone.

        A directory only goes onto *levels*: whether it stays shows when all that is in it has been looked at.
        """
        try:
            status = self._target.status(path)
            if status is None:
                return True
            if self._has_to_stay(swept, path, status):
                return False
            if not stat.S_ISDIR(status.st_mode):
                return self._delete(path, is_directory=False)
            with self._target.directory(path) as descriptor:
                names = self._names_in(descriptor) if _place_of(descriptor) == swept.place else None
        except (OSError, LocalError) as error:
            self._failures.add(path, error)
            return False
        if names is not None:
            levels.append(_Level(path, names[::-1]))
        return names is not None

    def _has_to_stay(self, swept: _Swept, path: bytes, status: os.stat_result) -> bool:
        is_directory = stat.S_ISDIR(status.st_mode)
        if self._has_dumps and is_below(path, _DUMPS):
            return True
        if path in self._unread or stat.S_ISSOCK(status.st_mode) or _inode_of(status) in self._spared:
            return True
        if status.st_dev != swept.place.device or self._target.is_at_work(path[path.rindex(b"/") + 1 :]):
            return True
        relative = path[len(swept.root.rstrip(b"/")) + 1 :]
        return self._ignored.excludes(relative, is_directory=is_directory)

    def _delete(self, path: bytes, *, is_directory: bool) -> bool:
        """Delete *path*, and tell whether it is gone; where something is mounted it stays."""
        if not self._check_mode:
            try:
                self._target.remove(path, is_directory=is_directory)
            except (OSError, LocalError) as error:
                if not (isinstance(error, OSError) and error.errno == errno.EBUSY):
                    self._failures.add(path, error)
                return False
        self._tally.count_extra(path)
        return True


def _place_of(descriptor: int) -> _Place:
    """Return where an open directory lies: what is mounted there may be of the same device as what is around it."""
    mount = b""
    with suppress(OSError):
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().splitlines()
        mount = next((line for line in lines if line.startswith(b"mnt_id:")), b"")
    return _Place(os.fstat(descriptor).st_dev, mount)


def _is_cache(directory: int) -> bool:
    """Tell whether the tag in an open *directory* is that of a cache; one that cannot be read may be."""
    try:
        descriptor = os.open(_CACHE_TAG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return True
    try:
        return os.read(descriptor, len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _inodes_of(paths: tuple[Path, ...]) -> set[tuple[int, int]]:
    """Return what tells each of *paths* that is there from all else: this program needs them itself."""
    found = set()
    for path in paths:
        with suppress(OSError, ValueError):
            found.add(_inode_of(path.stat()))
    return found


def _inode_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
