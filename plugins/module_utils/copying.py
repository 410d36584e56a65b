# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making the content of a restore point: from the tree through volumes to a manifest that waits to be published."""

from __future__ import annotations

import heapq
import typing as t
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from . import scan
from .basis import Problems
from .changes import Change, Counts, compare
from .collect import Collector
from .copy_meter import CopyMeter, sizes_to_read
from .errors import BackupError, StorageError, told_as
from .native import names
from .native.commit import Publication
from .native.entries import (
    FILE,
    FILES,
    Header,
    Part,
    Trailer,
    dump_part,
    is_dump,
    order_key,
    path_text,
)
from .native.manifest import ManifestWriter, VolumeSize
from .native.points import ReadPoint, StoredPoint, make_durable, open_manifest
from .native.uploads import Uploads
from .native.volumes import MEMORY_BUDGET, SUFFIXES, VOLUME_SIZE, Budget, Packer
from .private_files import make_private_directory
from .progress import SILENT
from .side_by_side import both

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from .basis import Basis
    from .dumping import Dumping
    from .jobs import OpenJob
    from .native.entries import Entry
    from .native.pool import ContentTable
    from .progress import Progress
    from .storage import Buffer
    from .storage import Path as RemotePath

CHECKPOINT_EVERY = 4 * 1024**3
_VOLUMES_A_SHELF = 400
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Manner:
    """How a copy is made, as its job was asked for; sizes in bytes."""

    compression: str = "gzip"
    checksum: bool = False
    volume_size: int = VOLUME_SIZE
    reads_back: bool = False
    side_by_side: int = 4


def changes(
    open_job: OpenJob,
    roots: list[bytes],
    header: Header,
    basis: Basis,
    problems: Problems,
    *,
    checksum: bool,
    counts: Counts | None = None,
) -> Iterator[Change]:
    """Yield what lies below *roots* beside what the *basis* has of it, and add all of it up in *counts*."""
    found = scan.scan(roots, problems.note, header.rules)
    base = _merged(open_job, basis.manifests)
    return compare(found, base, basis.condition, trusts_times=not checksum, counts=counts)


def _merged(open_job: OpenJob, manifests: tuple[ReadPoint, ...]) -> Iterator[Entry]:
    """Yield the entries of all *manifests* in order; of several with one path, that of the first manifest."""
    streams = [open_manifest(open_job.cache.path_of(point.stored)).entries() for point in manifests]
    if len(streams) == 1:
        yield from streams[0]
        return
    last: bytes | None = None
    for entry in heapq.merge(*streams, key=lambda entry: order_key(entry.path)):  # it is stable
        if entry.path != last:
            last = entry.path
            yield entry


class Copy:
    """One copy of a tree on its way into a pool; :meth:`make` leaves it staged, and :meth:`publish` makes it count."""

    def __init__(
        self,
        open_job: OpenJob,
        roots: list[bytes],
        header: Header,
        basis: Basis,
        manner: Manner,
        dumping: Dumping,
        table: ContentTable | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._open = open_job
        self._storage = open_job.storage
        self._roots = roots
        self._header = header
        self._basis = basis
        self._manner = manner
        self._problems = dumping.problems
        self._dumping = dumping
        self._table = table
        self._meter = CopyMeter(progress, self._sizes_to_read)
        self._directory = open_job.job.directory
        self._pool = self._directory / header.pool
        self._checkpoint: RemotePath | None = None
        self._checkpoints = 0
        self._uploads: Uploads | None = None
        self._kept: set[str] = set()
        self._path = names.manifest_path(self._directory, header.seq, header.run)
        self._local = open_job.cache.directory / self._path.name
        # One name, so that what a killed run has left is written over.
        self._aside = self._local.with_name("new.tmp")
        self._publication = Publication(self._storage, self._aside, self._path)
        self._trailer: Trailer | None = None
        self.counts = Counts()

    # -- making

    def make(self, judge: Callable[[Trailer], None]) -> Trailer:
        """Upload what the pool lacks, and stage the manifest once *judge*, who may raise, has seen what it tells."""
        with told_as(f"Cannot write {self._aside}"):
            make_private_directory(self._aside.parent)
            with self._aside.open("w+b") as file:
                return self._made(file, judge)

    def _made(self, file: t.BinaryIO, judge: Callable[[Trailer], None]) -> Trailer:
        budget = Budget(MEMORY_BUDGET)
        manner = self._manner
        meter = self._meter
        uploads = Uploads(
            self._storage,
            self._pool,
            budget,
            manner.side_by_side,
            readback=manner.reads_back,
            tell=None if meter.is_silent else meter.store,
        )
        self._uploads = uploads
        packer = Packer(
            manner.compression,
            VolumeNames(self._header.run, SUFFIXES[manner.compression], self._basis.volumes),
            uploads.start,
            budget,
            volume_size=manner.volume_size,
            spool=self._open.job.state.directory,
            with_digests=manner.reads_back,
        )
        writer = ManifestWriter(file.write, self._header)
        counter = _PartCounter(self._roots, writer.add)
        collector = Collector(
            *(packer, counter, self._problems.note, self._basis.condition, self._table, meter), counts=self.counts
        )
        try:
            meter.begin()
            self._collect(collector, packer, uploads, writer, counter, file)
            meter.collected()
            collector.settle()
            packer.stop()
            trailer = writer.finish(**self._told(counter, self._sizes(packer)))
            judge(trailer)
            make_durable(file)
            stage = partial(self._publication.stage, makes_month=self._path.parent not in self._basis.months)
            both(uploads.finish, stage)
            meter.finish()
        except BaseException as error:
            packer.give_up(error)
            meter.close()
            uploads.give_up()
            self.take_back()
            raise
        self._trailer = trailer
        return trailer

    def _collect(
        self,
        collector: Collector,
        packer: Packer,
        uploads: Uploads,
        writer: ManifestWriter,
        counter: _PartCounter,
        file: t.BinaryIO,
    ) -> None:
        """Collect all changes, with a checkpoint every now and then."""
        noted = 0
        found = changes(
            *(self._open, self._roots, self._header, self._basis, self._problems),
            checksum=self._manner.checksum,
            counts=self.counts,
        )
        for collect in self._steps(found, collector):
            collect()
            if packer.content - noted >= CHECKPOINT_EVERY:
                noted = packer.content
                collector.settle()
                uploads.wait()
                self._kept.update(uploads.sizes)  # before: the reply to the last step may be lost
                self._put_checkpoint(writer, counter, self._sizes(packer), file)

    def _steps(self, found: Iterator[Change], collector: Collector) -> Iterator[Callable[[], None]]:
        """Yield what collects each thing *found*, and then each dump."""
        for change in found:
            yield partial(collector.collect, change)
        yield from self._dumping.steps(self._basis, collector)

    def _sizes_to_read(self) -> Generator[int, None, None]:
        """Yield the size of what there is to be read: of each dump, and of all that was found of the tree."""
        for dump in self._dumping.plan.dumps:
            yield dump.size
        checksum = self._manner.checksum
        # What is wrong is noted when the copy itself comes there.
        yield from sizes_to_read(
            changes(self._open, self._roots, self._header, self._basis, Problems(), checksum=checksum)
        )

    def _told(self, counter: _PartCounter, volumes: Mapping[str, VolumeSize]) -> dict[str, t.Any]:
        return {
            "complete": not self._problems.count,
            "problems": tuple(self._problems.first),
            "parts": counter.parts(),
            "volumes": volumes,
        }

    def _sizes(self, packer: Packer) -> dict[str, VolumeSize]:
        """Return the sizes of all volumes that there are; those that are packed are as large as they will ever be."""
        packed = {volume.name: VolumeSize(volume.size, volume.content, volume.checksum) for volume in packer.volumes}
        return {**self._basis.volumes, **packed}

    def _put_checkpoint(
        self, writer: ManifestWriter, counter: _PartCounter, volumes: Mapping[str, VolumeSize], file: t.BinaryIO
    ) -> None:
        """Upload what the manifest has so far, so that a run after this one need not send it again."""
        tail = writer.checkpoint(**{**self._told(counter, volumes), "complete": False})
        file.flush()
        size = file.tell()
        self._checkpoints += 1
        path = names.checkpoint_path(self._directory, self._header.run, self._checkpoints)
        pieces = partial(_pieces_of, self._aside, size, tail)
        if path.parent not in self._basis.months:
            self._storage.ensure_directories([path.parent])
        staged = self._storage.stage(path, pieces)
        self._storage.publish(staged, path, pieces)
        replaced, self._checkpoint = self._checkpoint, path
        if replaced is not None:
            self._storage.delete([replaced])

    def take_back(self) -> None:
        """Delete what was uploaded and no checkpoint names: the storage may be full, or be another run's now."""
        uploaded = self._uploads.sizes if self._uploads is not None else {}
        self._uploads = None
        with suppress(BackupError):  # the next run sweeps it
            self._publication.withdraw()
            self._storage.delete([self._pool / name for name in uploaded if name not in self._kept])

    # -- publishing

    def publish(self, prove: Callable[[], None]) -> ReadPoint:
        """Make the restore point exist, unless *prove* raises."""
        trailer = self._trailer
        if trailer is None:
            raise AssertionError("what is published was made before")
        sizes = {name: use.stored for name, use in trailer.volumes.items()}
        try:
            self._publication.publish(self._pool, sizes, prove)
        except BaseException:
            if not self._publication.may_exist:  # else others may have built on it
                self.take_back()
            raise
        with told_as(f"Cannot write {self._local}"):
            size = self._aside.stat().st_size
            self._aside.replace(self._local)
        stored = StoredPoint(self._header.seq, self._header.run, self._path, size, is_protected=False)
        if self._table is not None:
            self._table.has_included(self._path.name)
            self._table.keep()
        if self._checkpoint is not None:
            with suppress(StorageError):  # the next run removes it
                self._storage.delete([self._checkpoint])
        return ReadPoint(stored, self._header, trailer)


def _pieces_of(local: Path, size: int, tail: bytes) -> Iterator[Buffer]:
    """Yield the first *size* bytes of *local*, and then *tail*."""
    with local.open("rb") as file:
        while size > 0 and (piece := file.read(min(_PIECE, size))):
            size -= len(piece)
            yield piece
    yield tail


class _PartCounter:
    """Hands entries on and counts what each root holds, and each dump; all come in order."""

    def __init__(self, job_roots: list[bytes], write: Callable[[Entry], None]) -> None:
        self._roots = job_roots
        self._write = write
        self._counts = [[0, 0] for _root in job_roots]
        self._dumps: list[Part] = []
        self._at = 0

    def __call__(self, entry: Entry) -> None:
        if is_dump(entry.path):
            self._dumps.append(Part(*dump_part(entry.path), 1, entry.size))
            self._write(entry)
            return
        while not scan.is_below(entry.path, self._roots[self._at]):
            self._at += 1
        self._counts[self._at][0] += 1
        self._counts[self._at][1] += entry.size if entry.kind == FILE else 0
        self._write(entry)

    def parts(self) -> tuple[Part, ...]:
        files = [Part(FILES, path_text(root), *counts) for root, counts in zip(self._roots, self._counts)]
        return (*files, *self._dumps)


class VolumeNames:
    """Names the volumes of a run so that no directory grows beyond what servers list."""

    def __init__(self, run: str, suffix: str, volumes: Iterable[str]) -> None:
        self._run = run
        self._suffix = suffix
        self._shelves: dict[int, int] = {}
        for name in volumes:
            shelf = int(name[1 : name.index("/")])
            self._shelves[shelf] = self._shelves.get(shelf, 0) + 1

    def __call__(self, number: int) -> str:
        shelf = 0
        while self._shelves.get(shelf, 0) >= _VOLUMES_A_SHELF:
            shelf += 1
        self._shelves[shelf] = self._shelves.get(shelf, 0) + 1
        return f"v{shelf:02d}/{self._run}-{number:06d}{self._suffix}"
