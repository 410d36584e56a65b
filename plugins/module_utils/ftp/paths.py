# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names may go to a server: the user's directory, and below it only names of ours.

Source: ``docs/format.md``, section 1. Servers lose, change or refuse what lies outside of this. Where nothing is
written, what others have named may be asked for as well.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ..errors import RefusedError, UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_DEPTH = 8
_LENGTH = 200
_FOREIGN_LENGTH = 4096  # bytes, as Linux has it


def is_ours(name: str) -> bool:
    """Tell whether *name* could be one of ours."""
    return _NAME.fullmatch(name) is not None


def checked_path(path: PurePosixPath) -> PurePosixPath:
    """Return *path*, which is relative to the directory; any that is not of ours is a mistake of this program."""
    text = str(path)
    if len(path.parts) > _DEPTH or len(text) > _LENGTH or not all(map(is_ours, path.parts)):
        raise UsageError(f"The remote name {text!r} is none of ours, and was not sent to the server.")
    return path


def checked_foreign_path(path: PurePosixPath) -> PurePosixPath:
    """Return *path*, which is relative to the directory and may have any names that FTP can carry."""
    text = str(path)
    is_astray = path.is_absolute() or ".." in path.parts or any(mark in text for mark in "\r\n\0")
    if is_astray or len(text.encode("utf-8", "surrogateescape")) > _FOREIGN_LENGTH:
        raise RefusedError(f"The name {text[:_LENGTH]!r} cannot be asked for by FTP.")
    return path


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
