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
from functools import partial
from pathlib import PurePosixPath

from ..errors import DamageError, InterruptedTransferError
from . import names

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path as LocalPath

    from ..storage import Buffer, Path, Storage
    from .points import PointListing, ReadPoint

_PIECE = 1024 * 1024
_TAIL = 4096
_NOTHING_SWEPT = "Until it is removed, what it means to delete stays, and so does what killed runs have left."


def absent_volumes(storage: Storage, job: Path, point: ReadPoint) -> frozenset[str]:
    """Return the volumes that *point* names and that do not lie on the storage with their size."""
    pool = job / point.header.pool
    return frozenset(missing_of(storage, pool, {name: use.stored for name, use in point.trailer.volumes.items()}))


def missing_of(storage: Storage, pool: Path, wanted: Mapping[str, int]) -> list[str]:
    """Return those of the volumes *wanted* (with their sizes) that *pool* does not hold with that size."""
    sizes = storage.sizes([pool / name for name in wanted])
    return [name for (name, expected), size in zip(wanted.items(), sizes) if size != expected]


def commit(
    storage: Storage, manifest: LocalPath, path: Path, pool: Path, volumes: Mapping[str, int], prove: Callable[[], None]
) -> None:
    """Publish the finished *manifest* at *path*; the restore point exists when, and only when, this returns.

    *prove* raises if the run's lock is no longer its own; *volumes* gives the size of everything the manifest names.
    """

    def pieces() -> Iterable[Buffer]:
        with manifest.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    storage.ensure_directories([path.parent])
    staged = storage.stage(path, pieces)
    prove()
    storage.publish(staged, path, pieces)
    missing = missing_of(storage, pool, volumes)
    if missing or not _has_same_tail(storage, manifest, path):
        storage.delete([path])
        what = f"the volume {missing[0]} is not there" if missing else "the manifest does not read back"
        raise InterruptedTransferError(f"The restore point was withdrawn right after it was published: {what}.")


def _has_same_tail(storage: Storage, manifest: LocalPath, path: Path) -> bool:
    with manifest.open("rb") as file:
        size = file.seek(0, 2)
        start = file.seek(max(0, size - _TAIL))
        return storage.read(path, start) == file.read()


def remove_points(storage: Storage, job: Path, doomed: Sequence[ReadPoint], kept: Sequence[ReadPoint]) -> None:
    """Delete the restore points *doomed*: first each manifest, then the volumes that only the doomed ones name.

    What goes is noted first, so that the next run can finish what a kill leaves.
    """
    if not doomed:
        return
    needed = frozenset[str]().union(*(point.volumes for point in kept))
    notes: list[Path] = []
    volumes: set[str] = set()
    for point in doomed:
        only = sorted(point.volumes - needed)
        if only:
            note = names.gone_path(point.stored.path, point.seq)
            storage.write(note, partial(list, [json.dumps({"volumes": only}).encode("ascii")]))
            notes.append(note)
            volumes.update(only)
    storage.delete([point.stored.path for point in doomed])
    _delete_volumes(storage, job, volumes, {point.header.pool for point in kept})
    storage.delete(notes)
    storage.remove_directories(sorted({point.stored.path.parent for point in doomed}))  # months that stand empty now


def _delete_volumes(storage: Storage, job: Path, volumes: Iterable[str], pools_in_use: Iterable[str]) -> None:
    """Delete *volumes* (with their pool) and the directories that stand empty afterwards."""
    paths = [job / volume for volume in sorted(volumes)]
    storage.delete(paths)
    emptied = sorted({path.parent for path in paths if path.parent.parent.name not in set(pools_in_use)})
    pools = sorted({path.parent for path in emptied})
    storage.remove_directories([*emptied, *pools])


def finish_removals(storage: Storage, job: Path, listing: PointListing, kept: Sequence[ReadPoint]) -> None:
    """Finish what a killed run had noted to delete, but for what any of *kept* needs."""
    present = {point.seq for point in listing.points}
    needed = frozenset[str]().union(*(point.volumes for point in kept))
    pools = {point.header.pool for point in kept}
    noted = [_noted_volumes(storage, note) for note in listing.gone if int(note.stem) not in present]
    _delete_volumes(storage, job, set[str]().union(*noted) - needed, pools)
    storage.delete(listing.gone)
    storage.remove_directories(sorted({note.parent for note in listing.gone}))


def _noted_volumes(storage: Storage, note: Path) -> list[str]:
    try:
        volumes = json.loads(storage.read(note))["volumes"]
        paths = [PurePosixPath(volume) for volume in volumes]
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError(f"The file {note} on the storage is damaged. {_NOTHING_SWEPT}") from error
    for path in paths:
        if not (len(path.parts) == 3 and names.is_pool(path.parts[0]) and names.run_of(path.name)):
            raise DamageError(f"The file {note} on the storage names {path}, which is no volume. {_NOTHING_SWEPT}")
    return [str(path) for path in paths]


def sweep(storage: Storage, job: Path, listing: PointListing, kept: Sequence[ReadPoint]) -> int:
    """Delete what killed runs left in the *job*, under its lock, and return how many files that were.

    A leftover is a temporary file, or a volume of a run that has no restore point and that no restore point names;
    directories that hold nothing else go with them.
    """
    runs = {point.stored.run for point in kept}
    needed = frozenset[str]().union(*(point.volumes for point in kept))
    leftovers: list[Path] = list(listing.temporary)
    emptied: list[Path] = list(listing.empty_months)
    for entry in storage.list_directory(job):
        path = job / entry.name
        if names.is_temporary(entry.name):
            leftovers.append(path)
        elif entry.is_directory and names.is_pool(entry.name):
            for shelf in storage.list_directory(path):
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
