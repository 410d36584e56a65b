# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a restore point: all of it, some of its parts, or what globs match."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ..errors import UsageError
from ..globs import PathFilter
from ..native.entries import DUMPS, FILES, dump_path, is_dump

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..native.entries import Part

_PARTS_TOLD = 20
_NO_DUMPS: frozenset[bytes] = frozenset()
_SPECIAL = re.compile(r"[*?\\]")


class WantedPart(t.NamedTuple):
    """A part of a restore point that is asked for; without a *name*, all of that *kind* are."""

    kind: str
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" if self.name is not None else f"of the kind {self.kind}"


@dataclass(frozen=True)
class Selection:
    """The paths that are wanted: those that *paths* match, and the *dumps* at some paths; all of them without these."""

    paths: PathFilter | None = None
    dumps: frozenset[bytes] | None = None
    words: str = ""

    @property
    def is_everything(self) -> bool:
        return self.paths is None and self.dumps is None

    @property
    def literal_prefix(self) -> bytes:
        """The deepest path that all that is wanted is or lies below; empty where that is the root."""
        if self.paths is None or self.dumps is None:
            return b""
        if not self.dumps:
            return self.paths.literal_prefix
        if self.paths.globs:
            return b""
        return next(iter(self.dumps)) if len(self.dumps) == 1 else DUMPS.rstrip(b"/")

    def matches(self, path: bytes) -> bool:
        if is_dump(path):
            return self.dumps is None or path in self.dumps
        return self.paths is None or self.paths.matches(path)

    def without_dumps(self) -> Selection:
        """Return what is left where dumps go elsewhere."""
        return replace(self, dumps=frozenset())


def selection_of(paths: Sequence[str], parts: Sequence[WantedPart], there: Sequence[Part]) -> Selection:
    """Return what *paths* or *parts* mean in a restore point that has the parts *there*."""
    if parts:
        meant = [part for wanted in parts for part in _meant(wanted, there)]
        globs = [_SPECIAL.sub(r"\\\g<0>", part.name) for part in meant if part.kind == FILES]
        dumps = frozenset(dump_path(part.kind, part.name) for part in meant if part.kind != FILES)
        return Selection(PathFilter(globs), dumps, ", ".join(map(str, parts)))
    if paths:
        return Selection(PathFilter(paths), _NO_DUMPS, ", ".join(paths))
    return Selection()


def _meant(wanted: WantedPart, there: Sequence[Part]) -> list[Part]:
    """Return those of the parts that are *there* that *wanted* means."""
    meant = [part for part in there if part.kind == wanted.kind and wanted.name in (None, part.name)]
    if not meant:
        raise UsageError(f"The restore point has no part {wanted}; there are {_told(there)}.")
    return meant


def _told(parts: Sequence[Part]) -> str:
    told = ", ".join(str(WantedPart(part.kind, part.name)) for part in parts[:_PARTS_TOLD])
    more = f" and {len(parts) - _PARTS_TOLD} more" if len(parts) > _PARTS_TOLD else ""
    return told + more or "none"
