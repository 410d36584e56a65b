# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extended attributes of what is restored, POSIX ACLs and capabilities among them: those it had, and no others."""

from __future__ import annotations

import errno
import os
import stat
import threading
import typing as t
from contextlib import suppress

from ..native.entries import path_text

if t.TYPE_CHECKING:
    from ..native.entries import Entry

# What a directory gives to all that is made in it, and what makes a program more than it was, must not stay.
_TAKEN_AWAY = ("user.", "system.posix_acl_", "security.capability")
_NOT_OURS = (errno.EPERM, errno.EACCES)


class Attributes:
    """Gives things their extended attributes, and knows of how many there are some that could not be had here.

    Attributes that only another user may set are no loss: nobody expects them of this one.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lost = 0
        self._first = b""

    def make_exact(self, place: int | bytes, entry: Entry) -> None:
        """Have *place*, which is open or a path that is not followed, bear the attributes of *entry* alone."""
        if not hasattr(os, "setxattr"):
            self._note(entry, has_lost=bool(entry.xattrs))
            return
        present = _names_at(place)
        if not entry.xattrs and not present:
            return
        wanted = dict(entry.xattrs)
        _allow_changes(place)
        for name in present:
            if name not in wanted and name.startswith(_TAKEN_AWAY):
                with suppress(OSError):
                    os.removexattr(place, name, follow_symlinks=isinstance(place, int))
        lost = [name for name, value in wanted.items() if not _set(place, name, value)]
        self._note(entry, has_lost=bool(lost))

    def _note(self, entry: Entry, *, has_lost: bool) -> None:
        if has_lost:
            with self._guard:
                self._lost += 1
                self._first = self._first or entry.path

    def report(self) -> tuple[str, ...]:
        """Return a sentence for what was lost, if anything was."""
        if not self._lost:
            return ()
        count = "One thing was" if self._lost == 1 else f"{self._lost:,} things were"
        sentence = (
            f"{count} restored without all of the extended attributes (POSIX ACLs are some) that the restore point"
            f" holds, because the target cannot have them; {path_text(self._first)} was the first."
        )
        return (sentence,)


def _names_at(place: int | bytes) -> list[str]:
    try:
        return os.listxattr(place, follow_symlinks=isinstance(place, int))
    except OSError:
        return []  # a file system without them: what cannot be set will tell


def _allow_changes(place: int | bytes) -> None:
    """Let a user who is not root change the attributes of what is his and write-protected; its mode comes later."""
    if os.geteuid() != 0 and isinstance(place, int):
        with suppress(OSError):
            os.fchmod(place, stat.S_IMODE(os.fstat(place).st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def _set(place: int | bytes, name: str, value: bytes) -> bool:
    """Set the attribute *name*, and tell whether that was done, or is not for this user to do."""
    try:
        os.setxattr(place, name, value, follow_symlinks=isinstance(place, int))
    except OSError as error:
        return error.errno in _NOT_OURS and not name.startswith("user.")
    return True
