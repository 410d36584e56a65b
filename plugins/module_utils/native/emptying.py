# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying volumes of a pool that several restore points share: what is live moves, restore points are published anew.

Source: ``docs/format.md``, section 5, Emptying. A run decides before it scans which volumes are to go, so that it sends
again what the host still has of them; what is left is moved when its restore point is there.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import replace

from .manifest import ManifestWriter, VolumeSize

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .entries import Entry, Header, Place, Trailer
    from .manifest import ManifestReader
    from .points import ReadPoint

    Find = Callable[[str, int], "Place | None"]

_WORTH_IT = 16  # less than this part of what is live is not worth that every restore point is published anew


class Weight(t.NamedTuple):
    """How many bytes of *content* were packed into a volume, and how many of them restore points name."""

    live: int
    content: int

    @property
    def dead(self) -> int:
        return self.content - self.live


def weigh(points: Iterable[ReadPoint]) -> dict[str, Weight]:
    """Return the weight of every volume that *points*, which share a pool, name.

    Of several restore points that name a volume, the oldest one names most of it, as a rule: what goes from a tree
    seldom comes back. So what the one that names most of it names is taken for all that is live.
    """
    live: dict[str, int] = defaultdict(int)
    content: dict[str, int] = {}
    for point in points:
        for name, use in point.trailer.volumes.items():
            live[name] = max(live[name], use.live)
            content[name] = max(content.get(name, 0), use.content)
    return {name: Weight(live[name], max(content[name], live[name])) for name in live}


def plan_emptying(weights: Mapping[str, Weight]) -> frozenset[str]:
    """Return the volumes that are to go: so sparse that it is worth it, or needed to keep the pool within bounds.

    The bound is twice what is live. Volumes of which less than a quarter is live go earlier, once they hold so much
    that is dead that it pays to publish restore points anew for it.
    """
    live = sum(weight.live for weight in weights.values())
    by_share = sorted(weights, key=lambda name: (weights[name].live / max(1, weights[name].content), name))
    sparse = [name for name in by_share if weights[name].live * 4 < weights[name].content]
    if sum(weights[name].dead for name in sparse) * _WORTH_IT < live:
        sparse = []
    doomed = set(sparse)
    size = sum(weight.content for weight in weights.values()) - sum(weights[name].dead for name in doomed)
    for name in by_share:
        if size <= 2 * live:
            break
        if name not in doomed:
            doomed.add(name)
            size -= weights[name].dead
    return frozenset(doomed)


class Move(t.NamedTuple):
    """A segment that must be read from where it lies, as no other copy of it is known; *part* as in a tar member."""

    digest: str
    place: Place
    entry: Entry
    part: int


def moves_of(entries: Iterable[Entry], doomed: frozenset[str], find: Find) -> Iterator[Move]:
    """Yield what *entries* name in *doomed* volumes and *find* knows in no other one; some of it may come twice."""
    for entry in entries:
        several = len(entry.places) > 1
        for part, place in enumerate(entry.places, 1):
            if place.volume in doomed:
                digest = place.digest or entry.digest
                if find(digest, place.size) is None:
                    bare = entry._replace(places=(), xattrs=(), extents=())
                    yield Move(digest, place, bare, part if several or entry.extents else 0)


def moved(entry: Entry, doomed: frozenset[str], find: Find) -> Entry:
    """Return *entry* with its places in *doomed* volumes replaced by those that *find* knows, as far as it does."""
    if not any(place.volume in doomed for place in entry.places):
        return entry
    several = len(entry.places) > 1
    places = []
    for place in entry.places:
        if place.volume in doomed:
            other = find(place.digest or entry.digest, place.size)
            if other is not None:
                place = other._replace(digest=other.digest if several else "")  # noqa: PLW2901 - the same segment
        places.append(place)
    return entry._replace(places=tuple(places))


def write_anew(
    write: Callable[[bytes], object],
    reader: ManifestReader,
    doomed: frozenset[str],
    find: Find,
    volumes: Mapping[str, VolumeSize],
) -> tuple[Header, Trailer]:
    """Write the next generation of the manifest that *reader* reads, and return what stands at its ends."""
    header = replace(reader.header, generation=reader.header.generation + 1)
    trailer = reader.trailer
    writer = ManifestWriter(write, header)
    for entry in reader.entries():
        writer.add(moved(entry, doomed, find))
    return header, writer.finish(
        complete=trailer.complete, problems=trailer.problems, parts=trailer.parts, volumes=volumes
    )


def affected(points: Sequence[ReadPoint], doomed: frozenset[str]) -> list[ReadPoint]:
    """Return those of *points* that name any of the *doomed* volumes."""
    return [point for point in points if not doomed.isdisjoint(point.trailer.volumes)]
