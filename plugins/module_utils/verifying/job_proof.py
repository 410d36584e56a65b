# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies one job: its manifests, the sizes of its volumes, and the bytes of those that are chosen.

Nothing is locked meanwhile. So a backup may remove what was found damaged, and what no manifest names in the end is not
told.
"""

from __future__ import annotations

import itertools
import shutil
import threading
import typing as t
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial

from ..errors import DamageError, LockedError, MissingError
from ..jobs import OpenJob
from ..native import names
from ..native.damage import Damage, read_damage, write_damage
from ..native.points import JOB_FILE, ManifestCache, list_points, open_manifest, open_remote_manifest
from ..native.volume_proof import Source, Volume, prove_volume
from ..native.wellformed import entries_of, require_manifest, told_of_nonsense
from .findings import CostCounter, Finding, Loss, problem_of, total
from .manifest_proof import ManifestProof, system_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..errors import StorageError
    from ..jobs import Job
    from ..native.entries import Header, VolumeUse
    from ..native.inventory import FoundJob
    from ..native.points import JobFile, StoredPoint
    from ..native.volume_proof import Flaw
    from ..progress import Meter
    from ..storage import Storage
    from .ledger import Ledger, StoredVolume

    #: The pool and the name of a volume.
    Key = tuple[str, str]
    Result = t.TypeVar("Result")

_ASKED_AT_ONCE = 1000
_ENOUGH_REFUSED = 3
_LATER = "What is damaged in it is not recorded; the next verification does that."


class Workers:
    """*count* threads that read from the storage; :meth:`stop` has them end as soon as they can."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, "verify")
        self._over = threading.Event()

    def is_over(self) -> bool:
        return self._over.is_set()

    def submit(self, deed: Callable[..., Result], *arguments: object) -> Future[Result]:
        return self._threads.submit(deed, *arguments)

    def stop(self) -> None:
        self._over.set()
        self._threads.shutdown(cancel_futures=True)


@dataclass
class Verified:
    """How much was verified, of all jobs."""

    manifests: int = 0
    volumes: int = 0
    bytes: int = 0
    volumes_left: int = 0


@dataclass(frozen=True)
class _Manifest:
    """A manifest that was fetched to the file *local*; its *number* tells it from the others of the job."""

    number: int
    stored: StoredPoint
    local: Path
    header: Header

    @property
    def is_checkpoint(self) -> bool:
        return self.stored.seq == 0

    def volumes(self) -> dict[str, VolumeUse]:
        return open_manifest(self.local).trailer.volumes


class _Reading(t.NamedTuple):
    """What came of reading a volume: its flaws, how many bytes came, and what the server said if it gave none."""

    flaws: list[Flaw]
    received: int
    refusal: StorageError | None


@dataclass(frozen=True)
class Record:
    """What is noted of a job's damage *before* and *after*, by pools, and what the user should know of that."""

    before: dict[str, Damage]
    after: dict[str, Damage]
    warnings: tuple[str, ...] = ()

    def has(self, pool: str, name: str) -> bool:
        """Tell whether it is noted that the volume is damaged."""
        damage = self.after.get(pool, Damage())
        return name in damage.volumes or any(frame[0] == name for frame in damage.frames)


class JobProof:
    """The verification of the job that was *found*; what needs room on this host's disk lies in *scratch*.

    *meter* is told how much of what is to be read was read.
    """

    def __init__(
        self,
        storage: Storage,
        ledger: Ledger,
        found: FoundJob,
        scratch: Path,
        workers: Workers,
        verified: Verified,
        meter: Meter,
        *,
        is_late: Callable[[], bool],
    ) -> None:
        self._storage = storage
        self._ledger = ledger
        self._found = found
        self._scratch = scratch / "manifests" / found.directory
        self._workers = workers
        self._verified = verified
        self._meter = meter
        self._is_late = is_late
        self._manifests: list[_Manifest] = []
        self._of_manifests: dict[StoredPoint, Finding] = {}
        self._others: list[Finding] = []
        self._noted: dict[str, Damage | None] = {}
        self._healed: dict[str, Damage] = {}
        self._lacking: set[str] = set()
        self._refused: list[tuple[StoredVolume, _Reading]] = []
        self._told: dict[int, int] = {}
        self._read_well = 0
        self._expected = 0

    def prove(self, sample: int) -> None:
        """Verify the manifests, and of the volumes so many of a hundred, as far as there is time."""
        if self._found.problem:
            self._others.append(self._finding(JOB_FILE, (_clause(self._found.problem),), is_costly=True))
        self._fetch()
        uses = ((manifest.number, manifest.header.pool, manifest.volumes()) for manifest in self._manifests)
        self._ledger.open_job(str(self._found.directory), uses)
        for pool in self._pools:
            self._compare_sizes(pool)
        noted = ((pool, name) for pool, damage in self._noted.items() for name in _volumes_of(damage or Damage()))
        self._ledger.choose(sample, noted)
        self._meter.expect_more(self._ledger.size_left())
        for pool in self._pools:
            self._ledger.open_pool(pool)
            for manifest in self._manifests:
                if manifest.header.pool == pool:
                    self._prove_manifest(manifest)
            self._heal(pool)
            self._read(pool)
        self._settle_refused()
        self._verified.volumes_left += self._ledger.left()

    @property
    def _pools(self) -> list[str]:
        return sorted({manifest.header.pool for manifest in self._manifests})

    def _finding(
        self,
        file: str,
        problems: tuple[str, ...],
        *,
        is_costly: bool,
        frames: tuple[tuple[int, int], ...] = (),
        losses: tuple[Loss, ...] = (),
        paths: tuple[str, ...] = (),
        is_recorded: bool = False,
    ) -> Finding:
        client, job = self._found.client, self._found.name
        return Finding(client, job, file, problems, is_costly, frames, losses, paths, is_recorded)

    # -- manifests

    def _fetch(self) -> None:
        """Fetch the manifests there are from the storage: the host's own copies prove nothing of what lies there."""
        listing = self._found.listing
        everything = (*listing.points, *listing.checkpoints)
        self._expected = len(everything)
        running = [self._workers.submit(self._fetched, number, stored) for number, stored in enumerate(everything)]
        for stored, fetching in zip(everything, running):
            try:
                self._manifests.append(fetching.result())
            except MissingError:
                self._expected -= 1  # a backup has removed it meanwhile
                continue
            except DamageError as error:
                unknown = "which volumes only it names is not known, and they were not looked at"
                losses = (Loss(stored.run, stored.seq, None),) if stored.seq else ()
                self._of_manifests[stored] = self._finding(
                    self._file(stored), (_clause(str(error)), unknown), is_costly=bool(stored.seq), losses=losses
                )
            self._verified.manifests += 1

    def _file(self, stored: StoredPoint) -> str:
        return str(stored.path.relative_to(self._found.directory))

    def _fetched(self, number: int, stored: StoredPoint) -> _Manifest:
        cache = ManifestCache(self._scratch)
        with told_of_nonsense(stored.path.name):
            point = cache.read(self._storage, stored)
            require_manifest(stored.path.name, point.header, point.trailer, stored.size)
        _require_own(point.header, self._found.file, stored)
        return _Manifest(number, stored, cache.path_of(stored), point.header)

    def _prove_manifest(self, manifest: _Manifest) -> None:
        number = manifest.number
        proof = ManifestProof(open_manifest(manifest.local), manifest.local)
        flaws = proof.flaws(lambda entry: self._ledger.take(number, entry), lambda: self._ledger.counts(number))
        self._ledger.write()
        if not flaws:
            return
        stored = manifest.stored
        if any(flaw.is_costly for flaw in flaws):
            self._lacking.add(manifest.header.pool)
        costly = [flaw for flaw in flaws if flaw.is_costly and stored.seq]
        losses = (Loss(stored.run, stored.seq, total(flaw.entries for flaw in costly)),) if costly else ()
        problems = tuple(flaw.problem for flaw in (*costly, *(flaw for flaw in flaws if flaw not in costly)))
        self._of_manifests[stored] = self._finding(self._file(stored), problems, is_costly=bool(costly), losses=losses)

    def _heal(self, pool: str) -> None:
        """Forget what was damaged of *pool* and is named no more, unless what is named is not known in full."""
        if pool in self._lacking or len(self._manifests) < self._expected:
            return
        self._ledger.heal(pool)
        frames = (self._noted[pool] or Damage()).frames
        self._healed[pool] = Damage(
            frames=frozenset(frame for frame in frames if not self._ledger.names_frame(pool, *frame))
        )

    # -- volumes

    def _compare_sizes(self, pool: str) -> None:
        """See which volumes of *pool* are there with their size, and what is noted to be broken in them."""
        directory = self._found.directory / pool
        volumes = self._ledger.volumes(pool)
        paths = [names.damage_path(directory)]
        while True:
            some = list(itertools.islice(volumes, _ASKED_AT_ONCE))
            sizes = self._storage.sizes([*paths, *(directory / volume.name for volume in some)])
            if paths:
                self._noted[pool] = Damage() if sizes[0] is None else self._read_note(pool)
                sizes, paths = sizes[1:], []
            for volume, size in zip(some, sizes):
                if size is None:
                    self._ledger.has_not(volume, "it is missing")
                elif size != volume.stored:
                    self._ledger.has_not(volume, f"it has {size:,} bytes, and was stored with {volume.stored:,}")
            if len(some) < _ASKED_AT_ONCE:
                return

    def _read_note(self, pool: str) -> Damage | None:
        """Return what is noted to be broken in *pool*, or None if that cannot be read."""
        directory = self._found.directory / pool
        try:
            return read_damage(self._storage, directory)
        except DamageError as error:
            file = names.damage_path(directory).relative_to(self._found.directory)
            self._others.append(self._finding(str(file), (_clause(str(error)),), is_costly=False))
            return None

    def _read(self, pool: str) -> None:
        """Read the volumes of *pool* that were chosen, some side by side, until time is up."""
        systems = {system_of(manifest.local) for manifest in self._manifests}
        running: dict[Future[_Reading], StoredVolume] = {}
        for volume in self._ledger.volumes(pool, wanted=True):
            if self._is_late():
                break
            if len(running) >= self._workers.count:
                self._settle(running)
            running[self._workers.submit(self._reading_of, volume, systems)] = volume
        while running:
            self._settle(running)

    def _reading_of(self, volume: StoredVolume, systems: set[int]) -> _Reading:
        path = self._found.directory / volume.pool / volume.name
        told = Volume(volume.name, volume.stored, volume.checksum)
        with closing(Source(self._storage, path, self._workers.is_over, partial(self._tell, volume))) as source:
            with closing(self._ledger.frames(volume)) as frames:
                flaws = list(prove_volume(source, told, frames, systems))
            return _Reading(flaws, source.received, source.refusal)

    def _tell(self, volume: StoredVolume, count: int) -> None:
        """Learn that *count* bytes of *volume* were read; those that are read twice count once."""
        before = self._told.get(volume.number, 0)
        self._told[volume.number] = min(volume.stored, before + count)
        self._meter.add(self._told[volume.number] - before)

    def _settle(self, running: dict[Future[_Reading], StoredVolume]) -> None:
        """Note what came of those readings that are done, at least of one."""
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            volume = running.pop(done)
            try:
                reading = done.result()
            except MissingError:
                self._ledger.has_not(volume, "it is missing")
                self._tell_end(volume)
                continue
            self._tell_end(volume)
            if reading.refusal is not None and not reading.received:
                self._refused.append((volume, reading))
                self._require_some()
                continue
            self._read_well += 1
            self._note(volume, reading)

    def _tell_end(self, volume: StoredVolume) -> None:
        """Tell that nothing more is read of *volume*, which may not be all that it should have."""
        left = volume.stored - self._told.pop(volume.number, 0)
        self._meter.add(left, entries=1, item=f"{volume.pool}/{volume.name}")

    def _require_some(self) -> None:
        """Raise what the server says if it lets nothing be read: then that is no damage."""
        if len(self._refused) >= _ENOUGH_REFUSED and not self._read_well:
            refusal = self._refused[-1][1].refusal
            if refusal is not None:
                raise refusal

    def _settle_refused(self) -> None:
        for volume, reading in self._refused:
            self._note(volume, reading)

    def _note(self, volume: StoredVolume, reading: _Reading) -> None:
        self._ledger.note(volume, reading.flaws)
        self._verified.volumes += 1
        self._verified.bytes += volume.stored

    # -- what is damaged

    def record(self, job: Job, *, is_ours: bool, is_read_only: bool, check_mode: bool) -> Record:
        """Note on the storage what is lost in the volumes of the job, and what is not any more, if it *is_ours*."""
        before = {pool: damage or Damage() for pool, damage in self._noted.items()}
        wanted = self._damage(self._noted)
        if wanted == self._noted:
            return Record(before, wanted)
        if is_read_only:
            sentence = (
                f"What is damaged in the job {job.name!r} of {job.client!r} is recorded nowhere: read_only: true."
            )
            return Record(before, before, (sentence,))
        if not is_ours:
            theirs = (
                f"The job {job.name!r} of {job.client!r} belongs to another host: what is damaged in it is recorded"
            )
            return Record(before, before, (f"{theirs} only if it is verified there.",))
        if check_mode:
            return Record(before, wanted)
        try:
            return Record(before, self._written(job))
        except LockedError as error:
            return Record(before, before, (f"{error} {_LATER}",))

    def _written(self, job: Job) -> dict[str, Damage]:
        """Record what is damaged under the lock of the *job*, and return it."""
        open_job = OpenJob(job, self._storage)

        def judge(found: JobFile | None) -> None:
            open_job.require_ours(found, "Verify it there.")

        with ExitStack() as stack:
            stack.enter_context(job.state.lock(job.name))
            stack.enter_context(job.living.alive(job.run))
            is_clean = job.state.is_clean()
            job.state.set_clean(is_clean=False)
            holding = stack.enter_context(open_job.locked(judge))
            noted = {pool: self._read_again(pool) for pool in self._pools}
            after = self._damage(noted)
            holding.lock.prove("Nothing was recorded.")
            for pool, damage in after.items():
                if damage != noted[pool]:
                    write_damage(self._storage, self._found.directory / pool, damage)
            job.state.set_clean(is_clean=is_clean and not holding.lock.took_over)
        return after

    def _read_again(self, pool: str) -> Damage | None:
        with suppress(DamageError):
            return read_damage(self._storage, self._found.directory / pool)
        return None

    def _damage(self, noted: dict[str, Damage | None]) -> dict[str, Damage]:
        """Return what is to be noted for each pool, where this is *noted* already."""
        flawed = {pool: self._costly(pool) for pool in self._pools}
        keys = {(pool, name) for pool, found in flawed.items() for name in found}
        keys |= {(pool, name) for pool, damage in noted.items() for name in _volumes_of(damage or Damage())}
        named = self._still_named(keys)
        after = {}
        for pool, found in flawed.items():
            damage = noted[pool] or Damage()
            left = {n for n in _volumes_of(damage) if (pool, n) in named and not self._ledger.is_settled(pool, n)}
            kept = damage.of_volumes(left)
            kept = Damage(kept.volumes, kept.frames - self._healed.get(pool, Damage()).frames)
            new = [(name, flaw) for name, flaws in found.items() if (pool, name) in named for flaw in flaws]
            after[pool] = Damage(
                kept.volumes | {name for name, flaw in new if not flaw.length},
                kept.frames | {(name, flaw.offset, flaw.length) for name, flaw in new if flaw.length},
            )
        return after

    def _costly(self, pool: str) -> dict[str, list[Flaw]]:
        """Return what is lost of the volumes of *pool*."""
        flawed = self._ledger.flawed(pool)
        costly = {name: [flaw for flaw in flaws if flaw.is_costly] for name, flaws in flawed.items()}
        return {name: flaws for name, flaws in costly.items() if flaws}

    def _still_named(self, keys: set[Key]) -> set[Key]:
        """Return those of the volumes *keys* that a manifest names that is there now; all, if one cannot be read."""
        if not keys:
            return set()
        there = self._there()
        known = {manifest.stored: manifest.number for manifest in self._manifests}
        numbers = {known[stored] for stored in there if stored in known}
        named = {key for key in keys if self._ledger.manifests_naming(*key) & numbers}
        for stored in there:
            if stored in known or named == keys:
                continue
            try:
                reader = open_remote_manifest(self._storage, stored)
            except MissingError:
                continue
            except DamageError:
                return keys
            named |= {(reader.header.pool, name) for name in reader.trailer.volumes} & keys
        return named

    def _there(self) -> list[StoredPoint]:
        """Return the manifests that there are now."""
        listing = list_points(self._storage, self._found.directory)
        return [*listing.points, *listing.checkpoints]

    def findings(self, record: Record) -> Iterator[Finding]:
        """Yield what is damaged, with what it costs; *record* tells what of it is recorded."""
        yield from self._others
        if self._of_manifests:
            paths = {stored.path for stored in self._there()}
            yield from (finding for stored, finding in self._of_manifests.items() if stored.path in paths)
        for pool in self._pools:
            flawed = self._ledger.flawed(pool)
            named = self._still_named({(pool, name) for name in flawed})
            flawed = {name: flaws for name, flaws in flawed.items() if (pool, name) in named}
            counter = self._counted(pool, flawed)
            for name, flaws in flawed.items():
                yield self._of_volume(pool, name, flaws, counter, record)

    def _counted(self, pool: str, flawed: dict[str, list[Flaw]]) -> CostCounter:
        """Count what is lost of each restore point."""
        counter = CostCounter(flawed)
        lost = [name for name, flaws in flawed.items() if any(flaw.is_costly for flaw in flaws)]
        numbers = set[int]().union(*(self._ledger.manifests_naming(pool, name) for name in lost))
        for manifest in self._manifests:
            if manifest.number in numbers and not manifest.is_checkpoint:
                with suppress(DamageError):  # it was told
                    for entry in entries_of(open_manifest(manifest.local), b"", lambda _first, _error: None):
                        counter.count(manifest.number, entry)
        return counter

    def forget(self) -> None:
        """Give back the room that the manifests take."""
        shutil.rmtree(self._scratch, ignore_errors=True)  # else it goes when the run ends

    def _of_volume(self, pool: str, name: str, flaws: list[Flaw], counter: CostCounter, record: Record) -> Finding:
        entries = counter.entries_of(name)
        return self._finding(
            f"{pool}/{name}",
            tuple(problem_of(flaw) for flaw in flaws),
            is_costly=any(flaw.is_costly for flaw in flaws),
            frames=tuple((flaw.offset, flaw.length) for flaw in flaws if flaw.is_costly and flaw.length),
            losses=tuple(
                Loss(manifest.stored.run, manifest.stored.seq, entries[manifest.number])
                for manifest in self._manifests
                if manifest.number in entries
            ),
            paths=counter.paths_of(name),
            is_recorded=record.has(pool, name),
        )


def _require_own(header: Header, file: JobFile | None, stored: StoredPoint) -> None:
    """Raise unless the manifest is what its name and its place say."""
    told = (header.run, *((header.seq, header.generation) if stored.seq else ()))
    expected = (stored.run, *((stored.seq, stored.generation) if stored.seq else ()))
    is_of_job = file is None or (header.client, header.job) == (file.client, file.job)
    if told != expected or not is_of_job:
        raise DamageError(
            f"It is the manifest of another restore point: number {header.seq} of {header.job!r} of {header.client!r},"
            f" by run {header.run}."
        )


def _volumes_of(damage: Damage) -> set[str]:
    return {*damage.volumes, *(name for name, _offset, _length in damage.frames)}


def _clause(sentence: str) -> str:
    return sentence.rstrip(".")
