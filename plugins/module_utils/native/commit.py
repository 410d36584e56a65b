# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of deeds: how a restore point comes to exist, and how what is no longer needed goes.

Source: ``docs/format.md``, section 5. Nothing is deleted that is not on an explicit list, and the list is made from
manifests that were all read and proved right.
"""

from __future__ import annotations

import json
import typing as t
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from ..errors import DamageError, InterruptedTransferError, LockedError, StorageError
from ..side_by_side import both
from . import names
from .damage import Condition, Damage, read_damage

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path as LocalPath

    from ..storage import Buffer, Path, Storage
    from .points import PointListing, ReadPoint

_PIECE = 1024 * 1024
_TAIL = 4096
_NOTHING_SWEPT = "Until it is removed, what it means to delete stays, and so does what killed runs have left."


def condition_of(
    storage: Storage,
    pool: Path,
    points: Iterable[ReadPoint],
    listing: PointListing,
    warn: Callable[[str], object],
) -> Condition:
    """Return what of the volumes that *points* name in *pool* can be relied on; *listing* tells of a note.

    A note of what is broken that cannot be read is told to *warn*, and stops nothing.
    """
    expected = {name: use.stored for point in points for name, use in point.trailer.volumes.items()}
    absent = frozenset(missing_of(storage, pool, expected))
    damage = Damage()
    if pool.name in listing.broken_pools:
        try:
            damage = read_damage(storage, pool).of_volumes(expected.keys())
        except DamageError as error:
            warn(str(error))
    return Condition(absent, damage)


def absent_volumes(storage: Storage, job: Path, point: ReadPoint) -> frozenset[str]:
    """Return the volumes that *point* names and that do not lie on the storage with their size."""
    pool = job / point.header.pool
    return frozenset(missing_of(storage, pool, {name: use.stored for name, use in point.trailer.volumes.items()}))


def missing_of(storage: Storage, pool: Path, wanted: Mapping[str, int]) -> list[str]:
    """Return those of the volumes *wanted* (with their sizes) that *pool* does not hold with that size."""
    sizes = storage.sizes([pool / name for name in wanted])
    return [name for (name, expected), size in zip(wanted.items(), sizes) if size != expected]


class Publication:
    """A finished *manifest* of this host on its way to its name, *path*, on the storage.

    From the moment that it may have got its name, it :attr:`may_exist`.
    """

    def __init__(self, storage: Storage, manifest: LocalPath, path: Path) -> None:
        self._storage = storage
        self._manifest = manifest
        self._path = path
        self._staged: Path | None = None
        self.may_exist = False

    def _pieces(self) -> Iterable[Buffer]:
        with self._manifest.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def stage(self, *, makes_month: bool) -> None:
        """Upload the manifest under a temporary name; *makes_month* where the directory may not be there."""
        if makes_month:
            self._storage.ensure_directories([self._path.parent])
        self._staged = self._storage.stage(self._path, self._pieces)

    def withdraw(self) -> None:
        """Delete what was staged."""
        if self._staged is not None:
            staged, self._staged = self._staged, None
            self._storage.delete([staged])

    def publish(self, pool: Path, volumes: Mapping[str, int], prove: Callable[[], None]) -> None:
        """Give the manifest its name; the restore point exists when, and only when, this returns.

        *prove* raises if the run's lock is no longer its own; *volumes* gives the size of all that the manifest names.
        """
        if self._staged is None:
            raise AssertionError("what is published was staged before")
        try:
            prove()
        except LockedError:
            with suppress(StorageError):  # the next run sweeps it
                self.withdraw()
            raise
        self.may_exist = True
        self._storage.publish(self._staged, self._path, self._pieces)
        missing, reads_back = both(partial(missing_of, self._storage, pool, volumes), self._reads_back)
        if missing or not reads_back:
            prove()  # a generation that is published by whoever took our lock over bears the same name
            self._storage.delete([self._path])
            what = f"the volume {missing[0]} is not there" if missing else "the manifest does not read back"
            raise InterruptedTransferError(f"The restore point was withdrawn right after it was published: {what}.")

    def _reads_back(self) -> bool:
        """Tell whether the end of the manifest is what was written."""
        with self._manifest.open("rb") as file:
            size = file.seek(0, 2)
            start = file.seek(max(0, size - _TAIL))
            return self._storage.read(self._path, start) == file.read()


def remove_points(
    storage: Storage, job: Path, doomed: Sequence[ReadPoint], kept: Sequence[ReadPoint], prove: Callable[[], None]
) -> None:
    """Delete the restore points *doomed*: first each manifest, then the volumes that only the doomed ones name.

    What goes is noted first, and *prove* then raises if the lock is not ours any more. So whoever takes the lock over
    sees the note, and builds on nothing that may go at any moment; and what a kill leaves is finished by the next run.
    """
    if not doomed:
        return
    needed = frozenset[str]().union(*(point.volumes for point in kept))
    volumes = frozenset[str]().union(*(point.volumes for point in doomed)) - needed
    notes: list[Path] = []
    if volumes:
        newest = [*doomed, *kept][-1]
        notes.append(note_removal(storage, job, newest, [point.stored.path for point in doomed], volumes))
        try:
            prove()
        except LockedError:
            storage.delete(notes)
            raise
    storage.delete([point.stored.path for point in doomed])
    delete_volumes(storage, job, volumes, {point.pool for point in kept})
    storage.delete([*notes, *(names.keep_path(p.stored.path, p.seq) for p in doomed if p.stored.is_protected)])
    used = {point.stored.path.parent for point in kept}
    storage.remove_directories(sorted({point.stored.path.parent for point in doomed} - used))


def note_removal(
    storage: Storage, job: Path, newest: ReadPoint, manifests: Iterable[Path], volumes: Iterable[str]
) -> Path:
    """Note beside the manifest of *newest* what is about to go, and return the note; *volumes* with their pool.

    That is the restore point which the run has made: no other run ever has a note of the same name.
    """
    note = names.gone_path(newest.stored.path, newest.seq)
    going = {"points": sorted(str(path.relative_to(job)) for path in manifests), "volumes": sorted(volumes)}
    storage.write(note, partial(list, [json.dumps(going).encode("ascii")]))
    return note


def delete_volumes(storage: Storage, job: Path, volumes: Iterable[str], pools_in_use: Iterable[str]) -> None:
    """Delete *volumes* (with their pool) and the directories that stand empty afterwards."""
    paths = [job / volume for volume in sorted(volumes)]
    storage.delete(paths)
    emptied = sorted({path.parent for path in paths if path.parent.parent.name not in set(pools_in_use)})
    pools = sorted({path.parent for path in emptied})
    storage.delete([names.damage_path(pool) for pool in pools])
    storage.remove_directories([*emptied, *pools])


@dataclass(frozen=True)
class Removal:
    """What a run had noted that it was about to delete: manifests, and volumes with their pool."""

    points: frozenset[Path]
    volumes: frozenset[str]


def read_removals(storage: Storage, job: Path, listing: PointListing) -> Removal:
    """Return what all notes in the *job* say together."""
    notes = [_read_note(storage, note) for note in listing.gone]
    return Removal(
        frozenset(job / point for note in notes for point in note["points"]),
        frozenset(str(volume) for note in notes for volume in note["volumes"]),
    )


def finish_removals(
    storage: Storage, job: Path, listing: PointListing, removal: Removal, kept: Sequence[ReadPoint]
) -> None:
    """Finish the *removal* that a dead run had noted, but for the volumes that any of *kept* needs."""
    needed = frozenset[str]().union(*(point.volumes for point in kept))
    storage.delete(sorted(removal.points))
    delete_volumes(storage, job, removal.volumes - needed, {point.pool for point in kept})
    storage.delete(listing.gone)
    storage.remove_directories(sorted({path.parent for path in (*listing.gone, *removal.points)}))


def _read_note(storage: Storage, note: Path) -> dict[str, list[PurePosixPath]]:
    try:
        values = json.loads(storage.read(note))
        going = {what: [PurePosixPath(path) for path in values[what]] for what in ("points", "volumes")}
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError(f"The file {note} on the storage is damaged. {_NOTHING_SWEPT}") from error
    for path in going["volumes"]:
        if not (len(path.parts) == 3 and names.is_pool(path.parts[0]) and names.run_of(path.name)):
            raise DamageError(f"The file {note} on the storage names {path}, which is no volume. {_NOTHING_SWEPT}")
    for path in going["points"]:
        is_manifest = names.parse_manifest_name(path.name) or names.parse_checkpoint_name(path.name)
        if not (len(path.parts) == 3 and path.parts[0] == "points" and path.parts[1].isdecimal() and is_manifest):
            raise DamageError(f"The file {note} on the storage names {path}, which is no manifest. {_NOTHING_SWEPT}")
    return going


def sweep(storage: Storage, job: Path, listing: PointListing, kept: Sequence[ReadPoint]) -> int:
    """Delete what killed runs left in the *job*, under its lock, and return how many files that were.

    A leftover is a temporary file, or a volume of a run that has no restore point and that none of *kept* names, which
    are restore points and checkpoints; directories that hold nothing else go with them.
    """
    runs = {point.stored.run for point in kept if not point.is_checkpoint}
    needed = frozenset[str]().union(*(point.volumes for point in kept))
    leftovers: list[Path] = list(listing.temporary)
    emptied: list[Path] = list(listing.empty_months)
    for entry in storage.list_directory(job):
        path = job / entry.name
        if names.is_temporary(entry.name):
            leftovers.append(path)
        elif entry.is_directory and names.is_pool(entry.name):
            for shelf in storage.list_directory(path):
                if not shelf.is_directory:
                    leftovers += [path / shelf.name] if names.is_temporary(shelf.name) else []
                    continue
                inside = [path / shelf.name / volume.name for volume in storage.list_directory(path / shelf.name)]
                left = [volume for volume in inside if _is_leftover(volume, job, runs, needed)]
                leftovers += left
                emptied += [path / shelf.name] if len(left) == len(inside) else []
            emptied.append(path)
        elif entry.is_directory and entry.name.startswith("lock-"):  # taken over by a run that was killed right then
            emptied += [*(path / holder.name for holder in storage.list_directory(path)), path]
    storage.delete(leftovers)
    storage.remove_directories(emptied)  # the server refuses to remove what is not empty
    return len(leftovers)


def _is_leftover(path: Path, job: Path, runs: set[str], needed: frozenset[str]) -> bool:
    if names.is_temporary(path.name):
        return True
    return str(path.relative_to(job)) not in needed and names.run_of(path.name) not in {None, *runs}
