# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a restore point: all of it, some of its parts, or what globs match."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..errors import UsageError
from ..globs import PathFilter

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..native.entries import Part

_PARTS_TOLD = 20
_SPECIAL = re.compile(r"[*?\\]")


class WantedPart(t.NamedTuple):
    """A part of a restore point that is asked for."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass(frozen=True)
class Selection:
    """The paths that are wanted: those that *paths* match, and all of them without it."""

    paths: PathFilter | None = None
    words: str = ""

    @property
    def is_everything(self) -> bool:
        return self.paths is None

    @property
    def literal_prefix(self) -> bytes:
        """The deepest path that all that is wanted is or lies below; empty where that is the root."""
        return self.paths.literal_prefix if self.paths is not None else b""

    def matches(self, path: bytes) -> bool:
        return self.paths is None or self.paths.matches(path)


def selection_of(paths: Sequence[str], parts: Sequence[WantedPart], there: Sequence[Part]) -> Selection:
    """Return what *paths* or *parts* mean in a restore point that has the parts *there*."""
    if parts:
        known = {(part.kind, part.name) for part in there}
        for part in parts:
            if part not in known:
                raise UsageError(f"The restore point has no part {part}; there are {_told(there)}.")
        names = [_SPECIAL.sub(r"\\\g<0>", part.name) for part in parts]
        return Selection(PathFilter(names), ", ".join(map(str, parts)))
    if paths:
        return Selection(PathFilter(paths), ", ".join(paths))
    return Selection()


def _told(parts: Sequence[Part]) -> str:
    told = ", ".join(str(WantedPart(part.kind, part.name)) for part in parts[:_PARTS_TOLD])
    more = f" and {len(parts) - _PARTS_TOLD} more" if len(parts) > _PARTS_TOLD else ""
    return told + more or "none"
