# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a timer runs: a backup or a reindex as a person would run it, and then word of how it ended.

The word goes to three places: a file that this host keeps, the metrics, and the ping. None of them changes the outcome.
There is none of a run that found another one at work: whoever watches for what does not happen will notice.
"""

from __future__ import annotations

import os
import time
import typing as t
from contextlib import suppress
from dataclasses import replace

from ..errors import BackupError
from ..native.entries import parse_time
from ..native.names import slug
from ..stopping import StoppedError
from . import results
from .deeds import run_backup, run_reindex
from .metrics import write_metrics
from .ping import Ping, send
from .runs import BACKUP, REINDEX, Point, Run, Runs
from .settings import JOBS, REINDEXES

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .deeds import Call
    from .results import Result

    Values = Mapping[str, t.Any]


DIRECTORIES = {BACKUP: JOBS, REINDEX: REINDEXES}


def run_scheduled(call: Call) -> int:
    """Do what the timer asks for; return the exit code of that."""
    kind, name = call.arguments.kind, call.arguments.name
    teller = Teller(call)
    try:
        do, run, ping_url = _planned(call, kind, name)
    except BackupError as error:
        result = results.of_error(error)
        _end(call, teller, _unknown(call, teller.runs, kind, name), result, None)
        return result.exit_code
    before = teller.runs.last(run.kind, run.slug)
    run = _begun(before, run)
    teller.keep(run)
    try:
        result = do()
    except StoppedError as stopped:
        teller.tell(_ended(run, stopped.exit_code, stopped.words), ping_url)
        raise
    if result.exit_code == results.LOCKED:
        call.tell(result, run.name)
        call.terminal.document(result.values)
        teller.take_back(run, before)
        return result.exit_code
    _end(call, teller, run, result, ping_url)
    return result.exit_code


def _planned(call: Call, kind: str, name: str) -> tuple[Callable[[], Result], Run, str | None]:
    """Return what is to be done, what it is called, and the address to be called afterwards."""
    now = time.time()
    if kind == BACKUP:
        job = call.declarations.job(name)
        run = Run(kind, job.name, job.slug, now, destination=job.destination, job=job.job)
        return (lambda: run_backup(call, job)), run, job.ping_url
    declared = call.declarations.reindexing(name)
    run = Run(kind, declared.name, declared.slug, now, destination=declared.name)
    return (lambda: run_reindex(call, declared.name)), run, declared.ping_url


def _unknown(call: Call, runs: Runs, kind: str, name: str) -> Run:
    """Return the run of what is not declared, or not so that it can be read, as far as an earlier one tells of it."""
    stem = slug(name)
    with suppress(BackupError):
        stem = name if call.declarations.has(DIRECTORIES[kind], name) else stem
    last = runs.last(kind, stem)
    if last is None:
        return Run(kind, name, stem, time.time())
    return _begun(last, replace(last, started=time.time(), ended=None, exit_code=None, message="", sent=0))


def ping_url_of(call: Call, kind: str, name: str) -> str | None:
    """Return the address of its own that the run *name* calls, if it has one and its declaration can be read."""
    with suppress(BackupError):
        declared = call.declarations.job(name) if kind == BACKUP else call.declarations.reindexing(name)
        return declared.ping_url
    return None


def _begun(last: Run | None, run: Run) -> Run:
    """Return *run* with what is kept of the *last* one, and with what systemd calls it."""
    begun = replace(run, invocation=os.environ.get("INVOCATION_ID", ""))
    return begun if last is None else replace(begun, last_success=last.last_success, point=last.point)


def _ended(run: Run, exit_code: int, message: str) -> Run:
    return replace(run, ended=time.time(), exit_code=exit_code, message=message)


def _end(call: Call, teller: Teller, run: Run, result: Result, ping_url: str | None) -> None:
    """Tell how *run* has ended: to whoever reads the journal, and to all others."""
    call.tell(result, run.name if run.destination else "")
    call.terminal.document(result.values)
    ended = _ended(run, result.exit_code, result.summary)
    if not result.is_failure:
        ended = replace(ended, last_success=ended.ended, **_seen(result.values))
    teller.tell(ended, ping_url)


def _seen(values: Values) -> dict[str, t.Any]:
    """Return what a backup tells of its restore point; nothing of a reindex."""
    point = values.get("point")
    if point is None:
        return {}
    created = parse_time(point["created"]).timestamp()
    seen = Point(created, point["complete"], point["bytes"], point["entries"], point["problem_count"])
    return {"point": seen, "sent": values["bytes_sent"]}


class Teller:
    """Tells of runs to those who look after this host; what fails of that is a warning."""

    def __init__(self, call: Call) -> None:
        self._terminal = call.terminal
        self.runs = Runs(call.directories.state)
        self._declarations = call.declarations
        declared = call.declarations.settings()
        self.settings = declared.usable
        for error in declared.errors:
            self._terminal.fail(str(error))

    def _is_declared(self, run: Run) -> bool:
        """Tell whether there is a file for *run*, whatever it holds."""
        try:
            return self._declarations.has(DIRECTORIES[run.kind], run.slug)
        except BackupError:
            return True

    def keep(self, run: Run) -> None:
        """Keep *run* on this host."""
        try:
            self.runs.keep(run)
        except BackupError as error:
            self._terminal.fail(f"The run cannot be remembered: {error}")

    def take_back(self, run: Run, before: Run | None) -> None:
        """Remember the run *before* it again, if there was one, as if *run* had never been."""
        try:
            if before is None:
                self.runs.forget(run.kind, run.slug)
            else:
                self.runs.keep(before)
        except BackupError as error:
            self._terminal.fail(f"The run cannot be remembered: {error}")

    def tell(self, run: Run, ping_url: str | None = None) -> None:
        """Tell everybody of *run*, which has ended; *ping_url* is its own, else there may be one for all.

        Of what is not declared here any more nothing is told: whoever removed it, meanwhile perhaps, wants none of it.
        """
        if not self._is_declared(run):
            self.take_back(run, None)
            return
        self.keep(run)
        settings = self.settings
        if settings.metrics_directory is not None:
            try:
                write_metrics(settings.metrics_directory, run)
            except BackupError as error:
                self._terminal.fail(str(error))
        url = ping_url or settings.ping_url
        if url is not None:
            failure = send(Ping(url, settings.ping_timeout, run.message if run.is_failure else None))
            if failure is not None:
                self._terminal.fail(f"The ping of {run.name!r} failed: {failure}.")
