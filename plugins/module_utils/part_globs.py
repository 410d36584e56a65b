# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Globs on the names of parts: which parts of restore points they match."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .errors import UsageError
from .globs import PathFilter
from .native.entries import path_bytes

if t.TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class PartGlob:
    """Parts that are asked for, by their *name*, which may be a glob; of one *kind*, or of any."""

    name: str
    kind: str | None = None


class PartFilter:
    """The parts that any of some globs matches; without globs there are none.

    A name is matched as a path is, so what lies below one that matches is meant, too. Some names are paths and others
    are none: a glob is for those that begin as it does, with a slash or without. A name that is just what was asked for
    always matches, whatever it has of what a glob would quote.
    """

    def __init__(self, globs: Sequence[PartGlob]) -> None:
        for glob in globs:
            if not glob.name:
                raise UsageError("The name of a part is empty.")
        self._globs = [(glob, PathFilter([_rooted(glob.name)])) for glob in globs]

    def matches(self, kind: str, name: str) -> bool:
        """Tell whether any of the globs matches the part of this *kind* and *name*."""
        return any(
            glob.kind in (None, kind)
            and (name == glob.name or (_is_path(name) == _is_path(glob.name) and paths.matches(_path_of(name))))
            for glob, paths in self._globs
        )


def _is_path(name: str) -> bool:
    return name.startswith("/")


def _path_of(name: str) -> bytes:
    return path_bytes(_rooted(name))


def _rooted(name: str) -> str:
    return name if _is_path(name) else f"/{name}"
