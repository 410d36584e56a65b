# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deciding what a restore has to do, window by window; nothing in the target is touched for that.

Entries come in order, so all that has to be kept is the way down to the present one.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ..errors import DamageError, LocalError
from ..native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FILE,
    HARD_LINK,
    Entry,
    is_dump,
    order_key,
    path_text,
    place_below,
)
from ..native.wellformed import entries_of, is_entry_path, require_entry
from .windows import File, Link, OpenDirectory, Window

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..native.entries import VolumeUse
    from ..native.manifest import ManifestReader
    from .comparison import Comparison
    from .selection import Selection
    from .target import Target
    from .windows import Tally

# How many things and segments a window has: about as many as may be, if that ends it where a volume ends; at most; and
# at most where something is in the way of a directory and no content has come for it yet.
_ENOUGH, _MOST, _MOST_IN_DOUBT = 8_000, 20_000, 60_000
AND_MORE = b" and what follows it in the manifest"


class FileDecider:
    """Decides what becomes of a file, by what lies there and what is to be overwritten."""

    def __init__(self, target: Target, comparison: Comparison, overwrite: str) -> None:
        self._target = target
        self._comparison = comparison
        self._overwrite = overwrite

    def decide(self, window: Window, entry: Entry, status: os.stat_result | None) -> File | None:
        """Note in *window* what is to be done for the file *entry*; return it if its content is fetched."""
        if status is None:
            window.count(entry, status, "files")
            return window.want(entry)
        self.require_no_directory(entry, status)
        if self._overwrite != "always" and self._comparison.has_content(entry, status):
            if not self._comparison.is_dressed(entry, status):
                window.count(entry, status, "files")
                window.dressed.append(entry)
            return None
        window.count(entry, status, "files")
        return window.want(entry)

    def require_no_directory(self, entry: Entry, status: os.stat_result) -> None:
        """Raise if *entry* would have to replace a directory."""
        if stat.S_ISDIR(status.st_mode):
            where = path_text(entry.path[1:])
            raise LocalError(f"Below {self._target.root}, {where} is a directory where a file is to be restored.")


class EntryOrder:
    """Tells whether entries stand where they belong: what follows one may only lie below it or come after it.

    *last* is the key of the last one that did.
    """

    def __init__(self) -> None:
        self.last = b""
        self._last_file = b"\0"

    def problem_of(self, entry: Entry) -> str | None:
        """Return what is wrong with where *entry* stands, behind all that was asked about before."""
        if not is_entry_path(entry.path):
            return "no restore may follow that path"
        key = order_key(entry.path)
        if key <= self.last:
            return "its entry does not stand where it belongs in the manifest"
        if entry.path.startswith(self._last_file):
            return "its entry is damaged: it lies below what is no directory"
        self.last = key
        if entry.kind != DIRECTORY:
            self._last_file = entry.path + b"/"
        return None


class Decider:
    """Compares every selected entry with what lies in the target; windows count in the way of *tally*."""

    def __init__(
        self,
        target: Target,
        selection: Selection,
        comparison: Comparison,
        files: FileDecider,
        volumes: Mapping[str, VolumeUse],
        tally: Tally,
        *,
        overwrite: str,
    ) -> None:
        self._target = target
        self._selection = selection
        self._comparison = comparison
        self._files = files
        self._volumes = volumes
        self._leaves_all = overwrite == "never"
        self._is_root = os.geteuid() == 0
        self._tally = tally
        self._window = Window(tally=tally.like())
        self._way: list[OpenDirectory] = []
        self._obstacle: OpenDirectory | None = None
        self._has_unseen = False
        self._order = EntryOrder()

    def windows(self, reader: ManifestReader, above: Iterable[Entry]) -> Iterator[Window]:
        """Yield what is to be done; *above* are the directories above all that is wanted, if they are to be made."""
        for entry in above:
            self._enter(OpenDirectory(entry, _prefix(entry.path), is_void=False, is_looked_at=False))
        for entry in self._entries(reader):
            is_wanted = self._selection.matches(entry.path)
            problem = self._order.problem_of(entry)
            if problem is not None:
                if is_wanted:
                    self._window.fail(entry.path, DamageError(problem))
                continue
            if self._is_full(entry):
                yield self._ended()
            placed = entry._replace(path=place_below(entry.path)) if is_dump(entry.path) else entry
            self._leave(placed.path)
            if is_wanted:
                self._look_at_way()
                with self._window.attempt(placed.path):
                    self._decide(placed)
            elif placed.kind == DIRECTORY:
                self._enter(OpenDirectory(placed, _prefix(placed.path), is_void=self._is_void, is_looked_at=False))
        self._leave(None)
        yield self._ended()

    def _entries(self, reader: ManifestReader) -> Iterator[Entry]:
        """Yield all entries that may be wanted; what cannot be read is noted."""
        try:
            yield from entries_of(reader, self._selection.literal_prefix, self._lose)
        except DamageError as error:
            self._lose(self._order.last.replace(b"\0", b"/"), error)

    # -- the way

    def _lose(self, first: bytes, error: DamageError) -> None:
        self._window.fail(first + AND_MORE, error)

    def _is_full(self, entry: Entry) -> bool:
        """Tell whether the window is to end before *entry*, best where another volume begins."""
        window = self._window
        if window.weight < _ENOUGH:
            return False
        if self._obstacle is not None:
            return window.weight >= _MOST_IN_DOUBT
        volume: object = entry.places[0].volume if entry.places else None
        begins_volume = isinstance(volume, str) and volume not in window.wanted
        return begins_volume or window.weight >= _MOST

    def _ended(self) -> Window:
        window, self._window = self._window, Window(tally=self._tally.like())
        window.entered = tuple(self._way)
        return window

    @property
    def _is_void(self) -> bool:
        """Whether nothing can be there yet, because a directory above is still to be made."""
        return bool(self._way) and self._way[-1].is_void

    def _enter(self, directory: OpenDirectory) -> None:
        self._way.append(directory)
        self._has_unseen = self._has_unseen or not directory.is_looked_at

    def _leave(self, path: bytes | None) -> None:
        """Leave the directories in which *path* does not lie."""
        while self._way and (path is None or not path.startswith(self._way[-1].prefix)):
            directory = self._way.pop()
            if directory is self._obstacle:
                self._obstacle = None
            if directory.is_new or directory.needs_dress or directory.has_links:
                self._window.left.append(directory)
                self._window.weight += 1

    def _look_at_way(self) -> None:
        """See which directories on the way to what is wanted are missing: they are made as they were."""
        if not self._has_unseen:
            return
        self._has_unseen = False
        is_void = False
        for directory in self._way:
            if not directory.is_looked_at:
                directory.is_looked_at = directory.is_above = directory.stays_as_it_is = True
                if is_void or not self._target.is_there(directory.entry.path):
                    with self._window.attempt(directory.entry.path):
                        self._decide_above(directory)
            is_void = directory.is_void = is_void or directory.is_void

    def _decide_above(self, directory: OpenDirectory) -> None:
        """Have a directory that is only made for what is wanted below it look as it did."""
        require_entry(directory.entry, self._volumes)
        self._window.count(directory.entry, None, "directories")
        self._window.expected.append((directory.entry.path, False))
        directory.is_new = directory.is_void = directory.needs_dress = True
        directory.stays_as_it_is = False

    # -- what is wanted

    def _decide(self, entry: Entry) -> None:
        require_entry(entry, self._volumes)
        if entry.kind == HARD_LINK:
            self._decide_link(entry)
            return
        self._window.passed += entry.size if entry.kind == FILE else 0
        status = None if self._is_void else self._target.status(entry.path)
        if entry.kind == DIRECTORY:
            self._decide_directory(entry, status)
        elif status is not None and self._leaves_all:
            return
        elif entry.kind == FILE:
            self._decide_file(entry, status)
        else:
            self._decide_special(entry, status)

    def _touch(self) -> None:
        """Learn that something is made in the directory that was entered last."""
        if self._way:
            self._way[-1].touch()

    def _decide_file(self, entry: Entry, status: os.stat_result | None) -> None:
        file = self._files.decide(self._window, entry, status)
        if file is not None:
            self._touch()
            if file.missing:
                self._obstacle = None

    def _decide_link(self, entry: Entry) -> None:
        """Note a further name of a file: what becomes of it shows when the first name is done."""
        directory = self._way[-1] if self._way else None
        if directory is not None:
            directory.has_links = True
        self._window.links.append(Link(entry, self._is_void, directory))
        self._window.weight += 1

    def _decide_special(self, entry: Entry, status: os.stat_result | None) -> None:
        if status is not None:
            if self._comparison.is_same_special(entry, status):
                return
            self._files.require_no_directory(entry, status)
        if entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE) and not self._is_root:
            raise LocalError("only root can make devices")
        self._touch()
        self._window.count(entry, status, "others")
        self._window.specials.append(entry)

    def _decide_directory(self, entry: Entry, status: os.stat_result | None) -> None:
        directory = OpenDirectory(entry, _prefix(entry.path), is_void=self._is_void)
        if status is not None and self._leaves_all:
            directory.stays_as_it_is = True
        elif status is None or not stat.S_ISDIR(status.st_mode):
            self._window.count(entry, status, "directories")
            self._touch()
            # What is in the way is only noted. It goes when the first thing is written below the directory, and a file
            # is not begun before a piece of its content has come and was proved; what has no content comes after all
            # that has. So nothing is lost for a restore that cannot bring anything in its place; but what comes next
            # may fail after that, such as a later piece of the same file.
            self._window.expected.append((entry.path, status is not None))
            directory.is_new = directory.is_void = directory.needs_dress = True
            if status is not None:
                self._obstacle = directory
        elif not self._comparison.is_dressed(entry, status):
            self._window.count(entry, status, "directories")
            directory.needs_dress = True
        self._enter(directory)


def _prefix(path: bytes) -> bytes:
    return path if path == b"/" else path + b"/"
