# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore point is meant, and whether it can give what is wanted: what is known before anything is written."""

from __future__ import annotations

import itertools
import typing as t
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from ..errors import DamageError, MissingError, UsageError
from ..moments import LATEST, is_id, parse_date
from ..native import names
from ..native.entries import FILES, Header
from ..native.manifest import ManifestReader
from ..native.points import ReadPoint, StoredPoint, list_points, read_job_file
from ..native.salvage import SalvagedManifest
from ..native.wellformed import is_volume, require_manifest, told_of_nonsense
from .selection import selection_of
from .survey import RemoteManifest, Survey, blocks_of, held_copy

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..native.entries import Entry, Trailer
    from ..native.points import ManifestCache
    from ..storage import Path, Storage
    from .selection import Selection, WantedPart

_VOLUMES_TOLD = 5
_VOLUMES_LOOKED_FOR = 100
_FEW = 2 * 1024 * 1024  # bytes of a manifest that are fetched alone; for more, all of it is


@dataclass(frozen=True)
class Wanted:
    """What of a job is wanted: a *point*, and *paths* or *parts* of it, or all."""

    job: str
    point: str
    paths: tuple[str, ...] = ()
    parts: tuple[WantedPart, ...] = ()

    @property
    def is_everything(self) -> bool:
        return not (self.paths or self.parts)

    @property
    def is_exact(self) -> bool:
        """Whether one restore point is meant, and no other will do."""
        return is_id(self.point)


@dataclass(frozen=True)
class Surveyed:
    """A restore point whose manifest was looked through for what is wanted.

    *lost* is what is damaged of it, if anything is, and *volumes* are those that the content lies in. *above* are the
    directories above all that is wanted which stand in blocks of which nothing else is, and *lost_above* are those of
    these blocks that are damaged. *size* is how large all files are that are wanted, and *dumps_size* all dumps, as far
    as that is told.
    """

    point: ReadPoint
    reader: ManifestReader
    selection: Selection
    has_found: bool
    lost: DamageError | None
    volumes: tuple[str, ...]
    above: tuple[Entry, ...] = ()
    lost_above: tuple[tuple[bytes, DamageError], ...] = ()
    size: int = 0
    dumps_size: int = 0

    @property
    def unknown(self) -> str:
        """What of header and trailer cannot be read any more."""
        return self.reader.unknown if isinstance(self.reader, SalvagedManifest) else ""


class PointChooser:
    """Finds the restore point that is meant."""

    def __init__(
        self,
        storage: Storage,
        directory: Path,
        cache: ManifestCache,
        wanted: Wanted,
        is_there: Callable[[bytes], bool],
    ) -> None:
        self._storage = storage
        self._directory = directory
        self._cache = cache
        self._wanted = wanted
        self._is_there = is_there
        self._held = ExitStack()

    def close(self) -> None:
        """Close the manifest that was chosen."""
        self._held.close()

    def choose(self, stored: Sequence[StoredPoint]) -> tuple[Surveyed, tuple[str, ...]]:
        """Return the one of the restore points *stored* that is meant, and what the user should know about it.

        Unless one is asked for by its id, damaged ones are passed over; where none is whole, the newest that can be
        read gives what it still has.
        """
        try:
            return self._chosen(stored)
        except MissingError:
            # A backup that runs meanwhile may have removed it, or published it anew.
            return self._chosen(list_points(self._storage, self._directory).points)

    def _chosen(self, stored: Sequence[StoredPoint]) -> tuple[Surveyed, tuple[str, ...]]:
        wanted = self._wanted
        if not stored:
            raise UsageError(f"The job {wanted.job!r} has no restore point.")
        damaged: Surveyed | None = None
        warnings: list[str] = []
        for candidate in _candidates(stored, wanted):
            with ExitStack() as held:
                try:
                    surveyed = self._surveyed(candidate, held)
                    problem = None if wanted.is_exact else surveyed.lost or self._missing(surveyed)
                except DamageError as error:
                    if wanted.is_exact:
                        raise
                    problem = error
                    surveyed = None
                if problem is not None:
                    warnings.append(f"A newer restore point was passed over: {problem}")
                    if damaged is None and surveyed is not None:
                        damaged, self._held = surveyed, held.pop_all()
                elif surveyed is not None and (surveyed.has_found or surveyed.lost):
                    self._held.callback(held.pop_all().close)
                    return surveyed, (*warnings, *_shortcomings(surveyed))
                elif damaged is None and surveyed is not None:
                    raise UsageError(f"The restore point holds nothing that matches {surveyed.selection.words}.")
        if damaged is None:
            raise DamageError(f"No restore point of the job {wanted.job!r} can be read: {warnings[0]}")
        run = damaged.point.stored.run
        return damaged, (f"No restore point is whole, so {run} is used as far as it goes.", *_shortcomings(damaged))

    # -- one restore point

    def _surveyed(self, stored: StoredPoint, held: ExitStack) -> Surveyed:
        """Look through the manifest of *stored*, only the blocks that are needed where few are and there is no copy."""
        if self._wanted.is_everything or self._cache.has(stored):
            return self._of_copy(stored, held)
        try:
            with told_of_nonsense(stored.path.name):
                reader = RemoteManifest(self._storage, stored)
        except DamageError:
            return self._of_copy(stored, held)
        point, selection = self._read(stored, reader)
        wanted = blocks_of(point.trailer, selection.literal_prefix)
        if sum(block.length for block in wanted) > _FEW:
            return self._of_copy(stored, held)
        if wanted:
            stretch = wanted[-1].offset + wanted[-1].length - wanted[0].offset
            reader.read_ahead(wanted[0].offset, min(stretch, _FEW))
        return self._looked_through(point, reader, selection)

    def _of_copy(self, stored: StoredPoint, held: ExitStack) -> Surveyed:
        """Look through a copy on this host, which is made if there is none."""
        with told_of_nonsense(stored.path.name):
            reader, lost = self._copied(stored, held)
        point, selection = self._read(stored, reader)
        if selection.is_everything:
            volumes = tuple(point.trailer.volumes)
            size = sum(part.size for part in point.trailer.parts if part.kind == FILES)
            dumps_size = sum(part.size for part in point.trailer.parts if part.kind != FILES)
            return Surveyed(
                *(point, reader, selection),
                has_found=True,
                lost=lost,
                volumes=volumes,
                size=size,
                dumps_size=dumps_size,
            )
        return self._looked_through(point, reader, selection, lost if isinstance(reader, SalvagedManifest) else None)

    def _read(self, stored: StoredPoint, reader: ManifestReader) -> tuple[ReadPoint, Selection]:
        point = ReadPoint(stored, reader.header, reader.trailer)
        require_manifest(stored.path.name, point.header, point.trailer, stored.size)
        return point, selection_of(self._wanted.paths, self._wanted.parts, point.trailer.parts)

    def _looked_through(
        self, point: ReadPoint, reader: ManifestReader, selection: Selection, lost: DamageError | None = None
    ) -> Surveyed:
        survey = Survey(reader, selection)
        if survey.has_found:
            survey.look_above(self._is_there)
        volumes = tuple(sorted(survey.volumes))
        above, lost_above = tuple(survey.above), tuple(survey.lost_above)
        return Surveyed(
            *(point, reader, selection, survey.has_found, survey.lost or lost, volumes, above, lost_above),
            size=survey.size,
            dumps_size=survey.dumps_size,
        )

    def _copied(self, stored: StoredPoint, held: ExitStack) -> tuple[ManifestReader, DamageError | None]:
        """Return the manifest from a copy on this host, as whole as the storage has it, and what is damaged of it."""
        while True:
            lost: DamageError | None = None
            try:
                self._cache.whole(self._storage, stored)
            except DamageError as error:
                if not self._cache.has(stored):
                    raise
                lost = error
            read_at = held_copy(self._cache.path_of(stored), stored, held)
            if read_at is None:  # a backup has removed it, and it is fetched again
                continue
            try:
                return ManifestReader(read_at, stored.size, stored.path.name), lost
            except DamageError as error:
                if lost is None:
                    raise
                guess = partial(self._guessed_header, stored)
                return _salvaged(read_at, stored, guess, error), lost

    def _guessed_header(self, stored: StoredPoint, trailer: Trailer) -> Header:
        """Return a header for a manifest that has lost its own."""
        job = read_job_file(self._storage, self._directory)
        return Header(
            run=stored.run,
            seq=stored.seq,
            client=job.client if job is not None else "",
            job=self._wanted.job,
            structure=job.structure if job is not None else "",
            pool=self._pool_of(trailer.volumes),
            started=names.started_of(stored.run),
            paths=tuple(part.name for part in trailer.parts if part.kind == FILES),
            definition="",
            tool="",
            generation=stored.generation,
        )

    def _pool_of(self, volumes: Iterable[str]) -> str:
        """Return the pool in which *volumes* lie: no two volumes of a job have the same name."""
        found = self._storage.list_directory(self._directory)
        pools = sorted(entry.name for entry in found if entry.is_directory and names.is_pool(entry.name))
        for volume in itertools.islice(filter(is_volume, volumes), _VOLUMES_LOOKED_FOR):
            sizes = self._storage.sizes([self._directory / pool / volume for pool in pools])
            for pool, size in zip(pools, sizes):
                if size is not None:
                    return pool
        return pools[0] if pools else names.slot_name(1)

    def _missing(self, surveyed: Surveyed) -> str | None:
        """Return what is wrong with the volumes that what is wanted lies in; None if they are there, whole by size."""
        uses = surveyed.point.trailer.volumes
        pool = self._directory / surveyed.point.header.pool
        named = [name for name in surveyed.volumes if name in uses]
        found = dict(zip(named, self._storage.sizes([pool / name for name in named])))
        wrong = [name for name in surveyed.volumes if name not in uses or found[name] != uses[name].stored]
        if not wrong:
            return None
        count = "one of its volumes is" if len(wrong) == 1 else f"{len(wrong):,} of its volumes are"
        return f"of {surveyed.point.stored.run}, {count} missing or cut off ({', '.join(wrong[:_VOLUMES_TOLD])})."


def _candidates(stored: Sequence[StoredPoint], wanted: Wanted) -> list[StoredPoint]:
    """Return the restore points that will do, best first."""
    if wanted.point == LATEST:
        return list(reversed(stored))
    if wanted.is_exact:
        found = [point for point in stored if point.run == wanted.point]
        what = f"with the id {wanted.point!r}"
    else:
        until = parse_date(wanted.point)
        found = [point for point in reversed(stored) if names.started_of(point.run) <= until]
        what = f"that is not after {wanted.point}"
    if not found:
        known = f"{stored[0].run} to {stored[-1].run}" if len(stored) > 1 else stored[0].run
        raise UsageError(f"The job {wanted.job!r} has no restore point {what}; there are {known}.")
    return found


def _salvaged(
    read_at: Callable[[int, int], bytes], stored: StoredPoint, guess: Callable[[Trailer], Header], error: DamageError
) -> SalvagedManifest:
    """Return what can be read of a damaged manifest; of one of which nothing can, *error* says more."""
    try:
        return SalvagedManifest(read_at, stored.size, stored.path.name, guess)
    except DamageError:
        raise error from None


def _shortcomings(surveyed: Surveyed) -> tuple[str, ...]:
    point = surveyed.point
    if surveyed.unknown:
        sentence = (
            f"Of the restore point {point.stored.run}, the {surveyed.unknown} cannot be read any more: what is restored"
            " is what its entries tell."
        )
        return (sentence,)
    told = []
    if isinstance(surveyed.reader, SalvagedManifest) and surveyed.lost is not None:
        told.append(f"{surveyed.lost} What it tells could be read all the same.")
    if not point.trailer.complete:
        told.append(f"The restore point {point.stored.run} is partial: some things could not be read back then.")
    return tuple(told)
