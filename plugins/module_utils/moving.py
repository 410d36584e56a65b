# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying volumes of a pool: what is live in them moves, and the restore points that name them are published anew.

Source: ``docs/format.md``, section 5, Emptying. At every moment each restore point is whole: the old generation of its
manifest goes only when the new one was proved, and a volume only when no manifest names it any more.
"""

from __future__ import annotations

import itertools
import typing as t
from functools import partial
from pathlib import PurePosixPath

from .copying import VolumeNames
from .errors import DamageError, LockedError, told_as
from .native import names
from .native.commit import Publication, delete_volumes, note_removal
from .native.emptying import Move, affected, moves_of, write_anew
from .native.fetch import Fetcher, Piece
from .native.manifest import VolumeSize
from .native.points import ReadPoint, StoredPoint, make_durable
from .native.uploads import Uploads
from .native.volumes import MEMORY_BUDGET, SUFFIXES, Budget, Packer

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .copying import Manner
    from .errors import BackupError
    from .jobs import OpenJob
    from .native.damage import Condition
    from .native.entries import Place
    from .native.lock import JobLock
    from .native.pool import ContentTable
    from .native.volumes import Volume

_MOST_SEGMENTS = 200_000  # what one run moves at most is held in memory; the rest waits for the next
_STEP = 32 * 1024 * 1024
_CONSEQUENCE = "The restore point was made, and no volume was emptied."


class Emptying:
    """Moves what is live out of *doomed* volumes, under a run id of its own, *run*, that has no restore point."""

    def __init__(
        self,
        open_job: OpenJob,
        lock: JobLock,
        table: ContentTable,
        manner: Manner,
        run: str,
        condition: Condition,
        doomed: frozenset[str],
    ) -> None:
        self._open = open_job
        self._storage = open_job.storage
        self._directory = open_job.job.directory
        self._lock = lock
        self._table = table
        self._manner = manner
        self._run = run
        self._condition = condition
        self._doomed = doomed

    def empty(self, points: Sequence[ReadPoint]) -> list[ReadPoint]:
        """Publish those of *points* anew that name a doomed volume, as far as its content can be had; return them all.

        *points* are all restore points of the job, of which none is damaged.
        """
        doomed = self._as_many_as_fit(points)
        naming = affected(points, doomed)
        if not naming:
            return list(points)
        # What only removed restore points named is gone by now, and nothing may be looked for there.
        self._table.sync(points, lambda stored: self._open.cache.reader(self._storage, stored))
        uses = {name: use for point in points for name, use in point.trailer.volumes.items()}
        sizes = {name: VolumeSize(use.stored, use.content, use.checksum) for name, use in uses.items()}
        pool = naming[0].pool
        made = self._move(naming, doomed, sizes)
        try:
            self._lock.prove(_CONSEQUENCE)
        except LockedError:
            self._storage.delete([self._directory / pool / name for name in made])
            raise
        sizes.update(made)
        noted = [f"{pool}/{volume}" for volume in doomed]
        note = note_removal(self._storage, self._directory, points[-1], [], noted)
        anew = {point.seq: self._published_anew(point, doomed, sizes) for point in naming}
        after = [anew.get(point.seq, point) for point in points]
        self._lock.prove(_CONSEQUENCE)
        self._storage.delete([point.stored.path for point in naming if anew[point.seq] is not point])
        named = frozenset[str]().union(*(point.trailer.volumes for point in after))
        delete_volumes(self._storage, self._directory, [f"{pool}/{name}" for name in doomed - named], {pool})
        self._storage.delete([note])
        self._table.sync(after, lambda stored: self._open.cache.reader(self._storage, stored))
        self._table.keep()
        return after

    def _as_many_as_fit(self, points: Sequence[ReadPoint]) -> frozenset[str]:
        """Return as many of the doomed volumes as can be emptied in one run."""
        segments = dict.fromkeys(sorted(self._doomed), 0)
        for point in points:
            for name in segments.keys() & point.trailer.volumes.keys():
                segments[name] = max(segments[name], point.trailer.volumes[name].segments)
        total = itertools.accumulate(segments.values())
        return frozenset(name for name, so_far in zip(segments, total) if so_far <= _MOST_SEGMENTS)

    # -- moving

    def _move(
        self, naming: Sequence[ReadPoint], doomed: frozenset[str], sizes: dict[str, VolumeSize]
    ) -> dict[str, VolumeSize]:
        """Write to new volumes what only doomed ones hold, and return how large the new ones are."""
        moves = self._moves(naming, doomed)
        budget = Budget(MEMORY_BUDGET)
        started: list[Volume] = []
        uploads = Uploads(self._storage, self._directory / naming[0].pool, budget, self._manner.side_by_side)
        packer = Packer(
            self._manner.compression,
            VolumeNames(self._run, SUFFIXES[self._manner.compression], sizes),
            started.append,
            budget,
        )
        try:
            for step in _steps(moves):
                found = self._fetched(naming[0].pool, step)
                # No volume is uploaded while more is fetched: with one connection, each would wait for the other.
                pending = [(move.digest, packer.add(move.entry, found[move.digest], move.digest, move.part))
                           for move in step if move.digest in found]  # fmt: skip
                packer.close_volume()
                for volume in started:
                    uploads.start(volume)
                started.clear()
                uploads.wait()
                for digest, place in pending:
                    self._table.add(digest, place.place(with_digest=True))
            uploads.finish()
        except BaseException as error:
            packer.give_up(error)
            uploads.give_up()
            raise
        packer.stop()
        return {volume.name: VolumeSize(volume.size, volume.content, volume.checksum) for volume in packer.volumes}

    def _moves(self, naming: Sequence[ReadPoint], doomed: frozenset[str]) -> list[Move]:
        """Return what must be read, once each, in the order in which it lies in the volumes."""
        moves: dict[str, Move] = {}
        for point in naming:
            reader = self._open.cache.reader(self._storage, point.stored)
            for move in moves_of(reader.entries(on_damage=lambda _first, _error: None), doomed, self._find):
                if not self._condition.is_lost(move.place):
                    moves.setdefault(move.digest, move)
        return sorted(moves.values(), key=lambda move: move.place[:4])

    def _find(self, digest: str, size: int) -> Place | None:
        return self._table.find(digest, size, self._condition)

    def _fetched(self, pool: str, step: Sequence[Move]) -> dict[str, bytes]:
        """Return the content of what can be had of *step*, by digest."""
        gathered = _Gathered()
        wanted: dict[str, list[Piece]] = {}
        for move in step:
            place = move.place
            piece = Piece(place.offset, place.length, place.start, place.size, move.digest, 0, 0)
            wanted.setdefault(place.volume, []).append(piece)
        with Fetcher(self._storage, self._directory / PurePosixPath(pool), 1) as fetcher:
            fetcher.fetch(wanted, gathered)
        return gathered.contents

    # -- publishing anew

    def _published_anew(self, point: ReadPoint, doomed: frozenset[str], sizes: dict[str, VolumeSize]) -> ReadPoint:
        """Publish the next generation of *point*, and return it; one that would say the same stays as it is."""
        stored = point.stored
        path = names.manifest_path(self._directory, stored.seq, stored.run, stored.generation + 1)
        local = self._open.cache.directory / path.name
        aside = local.with_name("again.tmp")
        try:
            with told_as(f"Cannot write {aside}"), aside.open("wb") as file:
                reader = self._open.cache.whole(self._storage, stored)
                header, trailer = write_anew(file.write, reader, doomed, self._find, sizes)
                make_durable(file)
        except DamageError as error:
            self._open.warnings.append(f"{error} That restore point stays as it is.")
            return point
        if trailer.volumes.keys() == point.trailer.volumes.keys():
            return point
        publication = Publication(self._storage, aside, path)
        publication.stage(makes_month=False)
        volumes = {name: use.stored for name, use in trailer.volumes.items() if name not in self._condition.absent}
        prove = partial(self._lock.prove, _CONSEQUENCE)
        publication.publish(self._directory / point.pool, volumes, prove)
        prove()  # else it may be another run's that has this name now, and the copy here would be none of it
        with told_as(f"Cannot write {local}"):
            size = aside.stat().st_size
            aside.replace(local)
        anew = StoredPoint(stored.seq, stored.run, path, size, stored.is_protected, stored.generation + 1)
        return ReadPoint(anew, header, trailer)


class _Gathered:
    """Keeps what was fetched; what cannot be had is not there."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def is_over(self) -> bool:
        return False

    def put(self, piece: Piece, content: memoryview) -> None:
        self.contents[piece.digest] = bytes(content)

    def fail(self, piece: Piece, reason: BackupError) -> None:
        """Do without *piece*: its restore points keep the place they name."""


def _steps(moves: Iterable[Move]) -> Iterator[list[Move]]:
    """Yield *moves* in pieces of which each can be held in memory."""
    step: list[Move] = []
    size = 0
    for move in moves:
        if step and size + move.place.size > _STEP:
            yield step
            step, size = [], 0
        step.append(move)
        size += move.place.size
    if step:
        yield step
