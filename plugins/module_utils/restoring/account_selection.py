# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a backup of cPanel: all of it, some of its parts, or what globs match in the home directory."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..cpanel.parts import HOME, OTHERS, of_home, place_below
from ..errors import UsageError
from ..globs import PathFilter
from ..native.entries import DIRECTORY, DUMPS, FILES, path_bytes, path_text
from ..scan import is_below

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..cpanel.listing import Listing
    from ..native.entries import Entry, Part
    from .selection import WantedPart

_PARTS_TOLD = 20


@dataclass(frozen=True)
class AccountSelection:
    """What is wanted: *parts* by kind and name, or what *paths* match in the home directory.

    *left* are parts that were cut and are left out, since nobody asked for them by name.
    """

    parts: frozenset[tuple[str, str]]
    paths: PathFilter | None = None
    left: tuple[str, ...] = ()

    def matches(self, path: bytes) -> bool:
        """Tell whether the entry at *path* of a listing is wanted."""
        if self.paths is not None:
            return path.startswith(b"/") and self.paths.matches(path)
        return part_of(path) in self.parts

    def without(self, *kinds: str) -> AccountSelection:
        """Return what is left where parts of some *kinds* go elsewhere."""
        return replace(self, parts=frozenset(part for part in self.parts if part[0] not in kinds))

    def only(self, *kinds: str) -> AccountSelection:
        """Return what of this is of some *kinds*."""
        return replace(self, parts=frozenset(part for part in self.parts if part[0] in kinds))

    def entries(self, listing: Listing) -> Iterator[Entry]:
        """Yield what is wanted of *listing*, each where it goes below a target, in the order of these places."""
        kinds = {kind for kind, _name in self.parts}
        tops = {place_below(DUMPS + path_bytes(kind)): DUMPS + path_bytes(kind) for kind in kinds - {FILES}}
        if (FILES, path_text(OTHERS)) in self.parts:
            tops[place_below(OTHERS)] = OTHERS
        if (FILES, HOME) in self.parts:
            tops[place_below(b"/")] = b""
        for _place, prefix in sorted(tops.items()):
            for entry in self._wanted(listing.entries(prefix), prefix):
                yield entry._replace(path=place_below(entry.path))

    def _wanted(self, entries: Iterable[Entry], prefix: bytes) -> Iterator[Entry]:
        """Yield what is wanted of *entries* at and below *prefix*, and the directories above what paths match."""
        above: list[Entry] = []  # not yielded yet, each in the one before
        for entry in entries:
            if not prefix and entry.path.startswith(DUMPS):
                return  # the home directory comes first
            if prefix and not entry.path.startswith(prefix + b"/"):
                continue
            while above and not is_below(entry.path, above[-1].path):
                above.pop()
            if self.matches(entry.path):
                yield from above
                yield entry
                above.clear()
            elif self.paths is not None and entry.kind == DIRECTORY:
                above.append(entry)


def part_of(path: bytes) -> tuple[str, str]:
    """Return kind and name of the part that the entry at *path* of a listing belongs to."""
    if not path.startswith(DUMPS):
        return FILES, HOME
    kind, name = [*path[len(DUMPS) :].split(b"/", 2), b""][:2]
    if path_text(kind) == FILES:
        return FILES, path_text(OTHERS)
    return path_text(kind), path_text(name)


def account_selection(
    paths: Sequence[str], parts: Sequence[WantedPart], there: Sequence[Part], cut: Sequence[str]
) -> AccountSelection:
    """Return what *paths* or *parts* mean in a backup that has the parts *there*, of which some were *cut*."""
    all_parts = frozenset((part.kind, part.name) for part in there)
    if paths:
        return AccountSelection(frozenset({(FILES, HOME)}), PathFilter([of_home(path) for path in paths]))
    meant = frozenset(part for wanted in parts for part in _meant(wanted, all_parts)) if parts else all_parts
    named = {(wanted.kind, wanted.name) for wanted in parts}
    left = tuple(sorted(f"{kind}/{name}" for kind, name in meant - named if f"{kind}/{name}" in cut))
    return AccountSelection(frozenset(part for part in meant if "/".join(part) not in left), None, left)


def _meant(wanted: WantedPart, there: frozenset[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of the parts that are *there* that *wanted* means."""
    meant = [(kind, name) for kind, name in there if kind == wanted.kind and wanted.name in (None, name)]
    if not meant:
        same = sorted(repr(name) for kind, name in there if kind == wanted.kind)
        kinds = ", ".join(sorted({kind for kind, _name in there})) or "none"
        told = (
            f"of that kind there are {', '.join(same[:_PARTS_TOLD])}" if same else f"it has parts of the kinds {kinds}"
        )
        more = f" and {len(same) - _PARTS_TOLD} more" if len(same) > _PARTS_TOLD else ""
        raise UsageError(f"The backup has no part {wanted}; {told}{more}.")
    return meant
