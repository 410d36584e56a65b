# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what is stored, down to every byte, and records what is damaged so that the next backup heals it."""

from __future__ import annotations

import shutil
import tempfile
import time
import typing as t
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path

from . import connections
from .errors import LocalError, UsageError, told_as
from .jobs import Job
from .native import names
from .native.entries import time_text
from .native.inventory import CLIENTS, find_jobs, look_at
from .outcome import Outcome, bounded
from .private_files import locked, make_private_directory
from .progress import VERIFYING, Meter
from .records import VerificationRecord
from .registry import DestinationState, LivingRuns, check_name, require_native
from .reporting import Reporter
from .verifying.findings import SHOWN, DamageFoundError, summary_of, warnings_of
from .verifying.job_proof import JobProof, Verified, Workers
from .verifying.ledger import open_ledger

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from .native.damage import Damage
    from .native.inventory import FoundJob
    from .registry import Host, Registry
    from .storage import Storage
    from .verifying.findings import Finding
    from .verifying.ledger import Ledger

    OpenStorage = Callable[..., AbstractContextManager[Storage]]
    Recorder = Callable[[FoundJob, Verified, Sequence[Finding]], None]

_SIDE_BY_SIDE = 4


@dataclass(frozen=True)
class Request:
    """What is to be verified: of *sample* of a hundred volumes every byte, and everything else always."""

    destination: str
    job: str | None = None
    client: str | None = None
    all_clients: bool = False
    sample: int = 100
    max_duration: timedelta | None = None
    fails_on_damage: bool = True

    def require_sense(self) -> None:
        """Raise if what is asked for cannot work, whatever the destination has."""
        if self.all_clients and (self.client is not None or self.job is not None):
            raise UsageError("With all_clients everything on the destination is meant: give neither client nor job.")
        if not 1 <= self.sample <= 100:
            raise UsageError(f"sample is {self.sample}, and must be from 1 to 100.")
        if self.job is not None:
            check_name(self.job, "job")


def verify(
    registry: Registry,
    host: Host,
    request: Request,
    *,
    check_mode: bool,
    open_storage: OpenStorage | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Read what *request* asks for, see whether it is as it was stored, and record what of it is lost."""
    reporter = Reporter(request.destination)
    destination = require_native(registry, request.destination)
    request.require_sense()
    identity, own, _is_new = host.client_of(request.client)
    client = None if request.all_clients else own
    if client is not None:
        check_name(client, "client")
    started = host.now()
    run = names.run_id(started, host.chance())
    state = DestinationState(host.state_directory, destination.name, destination.place)
    kept = state.directory / f"verified-{destination.place}.sqlite"
    deadline = None if request.max_duration is None else clock() + request.max_duration.total_seconds()
    with ExitStack() as stack:
        reach = open_storage or connections.open_storage
        storage = stack.enter_context(reach(destination, run, state, may_write=not check_mode, warm=2))
        jobs = _jobs(storage, request, client)
        scratch = stack.enter_context(_scratch(state.directory, destination.name, check_mode=check_mode))
        kept = _copied(kept, scratch / kept.name) if check_mode else kept
        ledger = stack.enter_context(open_ledger(kept, scratch))

        def job_of(found: FoundJob) -> Job:
            living = LivingRuns(host.config_directory)
            return Job(found.name, found.client, destination.name, identity, state, living, started, run)

        def is_late() -> bool:
            return deadline is not None and clock() >= deadline

        meter = stack.enter_context(Meter(host.progress, VERIFYING))
        verification = _Verification(
            storage, ledger, scratch, request, job_of, meter, is_late=is_late, is_read_only=destination.read_only
        )
        side_by_side = destination.max_connections or _SIDE_BY_SIDE
        record = _recorder(state, host, sample=request.sample, check_mode=check_mode)
        do = partial(verification.do, jobs, client, side_by_side, record, check_mode=check_mode)
        return reporter.told(do, storage)


def _jobs(storage: Storage, request: Request, client: str | None) -> list[FoundJob]:
    """Return the jobs that are to be verified: those of *client*, or of all clients."""
    if client is None or request.job is None:
        return find_jobs(storage, client)
    found = look_at(storage, names.job_directory(client, request.job))
    if found is None:
        raise UsageError(
            f"There is no job {request.job!r} of client {client!r} on the destination {request.destination!r}."
        )
    return [found]


@contextmanager
def _scratch(directory: Path, destination: str, *, check_mode: bool) -> Iterator[Path]:
    """Give a directory for what this run alone needs; of a destination there is one verification at a time."""
    if check_mode:
        with told_as("Cannot make a directory for what is temporary"):
            temporary = tempfile.TemporaryDirectory(prefix="ftp-backup-")
        with temporary as name:
            yield Path(name)
        return
    with locked(directory / "verify.lock", f"The destination {destination!r} is already being verified on this host"):
        scratch = directory / "verifying"
        with told_as(f"Cannot remove {scratch}"):
            if scratch.exists():  # a killed run's
                shutil.rmtree(scratch)
        make_private_directory(scratch)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)  # else the next run does it


def _copied(kept: Path, scratch: Path) -> Path:
    """Return a copy of what is *kept*, which may be written to."""
    with told_as(f"Cannot copy {kept}"):
        if kept.exists():
            shutil.copyfile(kept, scratch)
    return scratch


class _Verification:
    """One verification; *job_of* makes of a job that was found one that this host's run can work on.

    *meter* is told how far it has come.
    """

    def __init__(
        self,
        storage: Storage,
        ledger: Ledger,
        scratch: Path,
        request: Request,
        job_of: Callable[[FoundJob], Job],
        meter: Meter,
        *,
        is_late: Callable[[], bool],
        is_read_only: bool,
    ) -> None:
        self._storage = storage
        self._ledger = ledger
        self._scratch = scratch
        self._request = request
        self._job_of = job_of
        self._meter = meter
        self._is_late = is_late
        self._is_read_only = is_read_only
        self._verified = Verified()
        self._warnings: list[str] = []
        self._findings: list[Finding] = []
        self._before: list[str] = []
        self._after: list[str] = []

    def do(
        self, jobs: list[FoundJob], client: str | None, side_by_side: int, record: Recorder, *, check_mode: bool
    ) -> Outcome:
        """Verify *jobs*, which are those of *client*, or of all clients, one after another.

        *record* is told of each what was read and found.
        """
        scope = f"{client or ''}/{self._request.job or ''}"
        self._ledger.begin(scope)
        if self._request.job is None:
            below = CLIENTS if client is None else names.client_directory(client)
            self._ledger.keep_only_jobs({str(found.directory) for found in jobs}, str(below))
        if not jobs:
            whose = "" if client is None else f" of client {client!r}"
            self._warnings.append(f"There are no backups{whose} on the destination {self._request.destination!r}.")
        with ExitStack() as stack:
            workers = Workers(side_by_side)
            stack.callback(workers.stop)
            for number, found in enumerate(jobs):
                # What was listed first may be days old when it is its turn.
                current = look_at(self._storage, found.directory) if number else found
                if current is not None:
                    before, known = replace(self._verified), len(self._findings)
                    self._do_job(current, workers, check_mode=check_mode)
                    record(current, _difference(self._verified, before), self._findings[known:])
        if not self._verified.volumes_left:
            self._ledger.end(scope)
        return self._outcome()

    def _do_job(self, found: FoundJob, workers: Workers, *, check_mode: bool) -> None:
        proof = JobProof(
            *(self._storage, self._ledger, found, self._scratch, workers, self._verified, self._meter),
            is_late=self._is_late,
        )
        proof.prove(self._request.sample)
        job = self._job_of(found)
        is_ours = found.file is not None and found.file.client_id == job.identity.client_id
        record = proof.record(job, is_ours=is_ours, is_read_only=self._is_read_only, check_mode=check_mode)
        self._findings += proof.findings(record)
        self._warnings += record.warnings
        self._before += _lines(found, record.before)
        self._after += _lines(found, record.after)
        proof.forget()

    def _outcome(self) -> Outcome:
        costly = [finding for finding in self._findings if finding.is_costly]
        harmless = [finding for finding in self._findings if not finding.is_costly]
        findings = [*costly, *harmless]
        values = {
            "verified": asdict(self._verified),
            "whole": not findings,
            "damaged_files": [finding.shown() for finding in findings[:SHOWN]],
            "damaged_file_count": len(findings),
        }
        is_changed = self._before != self._after
        title = f"what is recorded as damaged on {self._request.destination}"
        before, after = tuple(bounded(self._before)), tuple(bounded(self._after))
        if costly and self._request.fails_on_damage:
            outcome = Outcome(is_changed, values, before, after, tuple(self._warnings), title)
            raise DamageFoundError(summary_of(costly, self._request.destination), outcome)
        return Outcome(is_changed, values, before, after, (*warnings_of(findings), *self._warnings), title)


def _recorder(state: DestinationState, host: Host, *, sample: int, check_mode: bool) -> Recorder:
    """Return what records on this host what was found of a job; nothing does in check mode."""

    def record(found: FoundJob, verified: Verified, findings: Sequence[Finding]) -> None:
        costly = [finding for finding in findings if finding.is_costly]
        message = costly[0].warning if costly else None
        kept = VerificationRecord(
            *(time_text(host.now()), sample, verified.manifests, verified.volumes, verified.bytes),
            *(verified.volumes_left, len(costly), message),
        )
        with suppress(LocalError):  # what was found is told all the same, and the next verification records again
            if not check_mode:
                state.records(found.client, found.name).keep(kept)

    return record


def _difference(after: Verified, before: Verified) -> Verified:
    return Verified(*(value - earlier for value, earlier in zip(astuple(after), astuple(before))))


def _lines(found: FoundJob, noted: dict[str, Damage]) -> list[str]:
    """Return a line on everything that is *noted* to be broken."""
    lines = []
    for pool, damage in sorted(noted.items()):
        lines += [f"{found.client} {found.name} {pool}/{name}" for name in sorted(damage.volumes)]
        lines += [
            f"{found.client} {found.name} {pool}/{name} {length} bytes at {offset}"
            for name, offset, length in sorted(damage.frames)
        ]
    return lines
