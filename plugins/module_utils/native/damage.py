# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known to be wrong with the volumes of a pool, and what is to be sent again for it.

Source: ``docs/format.md``, section 5, Emptying and Damage.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass
from functools import partial

from ..errors import DamageError, MissingError, RefusedError
from . import names

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..storage import Chunks, Path, Storage
    from .entries import Entry, Place

_VOLUME = re.compile(r"v\d{2,}/[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Damage:
    """What a verification found broken in a pool: whole *volumes*, and *frames* of others by volume and offset.

    The length of a frame is that which places tell of it.
    """

    volumes: frozenset[str] = frozenset()
    frames: frozenset[tuple[str, int, int]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.volumes or self.frames)

    def to_json(self) -> bytes:
        broken: dict[str, list[list[int]]] = {volume: [] for volume in sorted(self.volumes)}
        for volume, offset, length in sorted(self.frames):
            if volume not in self.volumes:
                broken.setdefault(volume, []).append([offset, length])
        return json.dumps({"volumes": broken}, separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Damage:
        broken = json.loads(text)["volumes"]
        volumes = {str(volume) for volume, frames in broken.items() if not frames}
        frames = {(str(volume), int(at), int(length)) for volume, found in broken.items() for at, length in found}
        if not all(_VOLUME.fullmatch(volume) for volume in broken):
            raise ValueError("a name that no volume has")
        return cls(frozenset(volumes), frozenset(frames))

    def of_volumes(self, names: t.AbstractSet[str]) -> Damage:
        """Return what of this concerns the volumes *names*."""
        return Damage(self.volumes & names, frozenset(frame for frame in self.frames if frame[0] in names))


def read_damage(storage: Storage, pool: Path) -> Damage:
    """Return what is noted to be broken in *pool*; a note that cannot be read is a :class:`~..errors.DamageError`."""
    path = names.damage_path(pool)
    try:
        text = storage.read(path)
    except MissingError:
        return Damage()
    try:
        return Damage.from_json(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamageError(
            f"The file {path} on the storage, which notes what is broken, is damaged: run verify, which writes it anew."
        ) from error


def write_damage(storage: Storage, pool: Path, damage: Damage) -> None:
    """Note *damage* in *pool*, in place of what was noted before; the caller holds the lock of the job."""
    path = names.damage_path(pool)
    if not damage:
        storage.delete([path])
        return
    content: Chunks = partial(list, [damage.to_json()])
    staged = storage.stage(path, content)
    try:
        storage.publish(staged, path, content)
    except RefusedError:
        storage.delete([path])
        storage.publish(staged, path, content)


@dataclass(frozen=True)
class Condition:
    """What of a pool can be relied on: *absent* volumes and *damage* are lost, *doomed* ones are there but to go."""

    absent: frozenset[str] = frozenset()
    damage: Damage = Damage()
    doomed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.absent or self.damage or self.doomed)

    def is_lost(self, place: Place) -> bool:
        """Tell whether the content at *place* cannot be had."""
        return (
            place.volume in self.absent
            or place.volume in self.damage.volumes
            or (bool(self.damage.frames) and (place.volume, place.offset, place.length) in self.damage.frames)
        )

    def is_unwanted(self, place: Place) -> bool:
        """Tell whether the content at *place* is to be sent again."""
        return place.volume in self.doomed or self.is_lost(place)

    def has_lost(self, entry: Entry) -> bool:
        """Tell whether any of the content of *entry* cannot be had."""
        return bool(self) and any(self.is_lost(place) for place in entry.places)

    def wants_again(self, entry: Entry) -> bool:
        """Tell whether any of the content of *entry* is to be sent again."""
        return bool(self) and any(self.is_unwanted(place) for place in entry.places)


def sparse_volumes(live_and_content: Mapping[str, tuple[int, int]]) -> frozenset[str]:
    """Return the volumes of a ring's slot of which less than half is live."""
    return frozenset(volume for volume, (live, content) in live_and_content.items() if live * 2 < content)
