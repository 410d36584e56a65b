# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run when a timer's run has failed: the hook of whoever looks after the host learns what, and why."""

from __future__ import annotations

import os
import time
import typing as t
from datetime import timedelta

from ..commands import Command, run
from ..errors import CommandError
from . import results
from .runs import BACKUP, REINDEX, Run, is_of
from .scheduled import Teller, ping_url_of

if t.TYPE_CHECKING:
    from .deeds import Call

_TIMEOUT = timedelta(minutes=5)
# What systemd, since 251, calls the start that failed: as INVOCATION_ID did in the environment of the run.
_INVOCATION = "MONITOR_INVOCATION_ID"


def tell_failure(call: Call) -> int:
    """Run the hook, if there is one, for the unit that failed.

    A run that was killed could tell nobody, nor could one that never began; that is made up for here.
    """
    unit = call.arguments.unit
    teller = Teller(call)
    last = teller.runs.of_unit(unit)
    failed = _failed(call, unit, last)
    if failed is not None and failed != last:
        teller.tell(failed, ping_url_of(call, failed.kind, failed.name))
    command = teller.settings.on_failure
    if command is None:
        return results.DONE
    variables = {
        "FTP_BACKUP_UNIT": unit,
        "FTP_BACKUP_KIND": "" if failed is None else failed.kind,
        "FTP_BACKUP_NAME": "" if failed is None else failed.name,
        "FTP_BACKUP_MESSAGE": f"The unit {unit} failed." if failed is None else failed.message,
    }
    failure = run(Command(command, _TIMEOUT), variables)
    if failure is not None:
        raise CommandError(f"The command on_failure {failure.rstrip('.')}.")
    return results.DONE


def _failed(call: Call, unit: str, last: Run | None) -> Run | None:
    """Return the run that failed, of which *last* is what is remembered; None if nobody knows what *unit* runs."""
    now = time.time()
    if last is None:
        declared = _declared(call, unit)
        return None if declared is None else declared.not_begun(now, unit)
    invocation = os.environ.get(_INVOCATION, last.invocation)
    if last.invocation and invocation != last.invocation:
        return last.not_begun(now, unit)
    if last.ended is None:
        return last.killed(now)
    return last if last.is_failure else last.not_begun(now, unit)


def _declared(call: Call, unit: str) -> Run | None:
    """Return a run of what the *unit* runs, if that is declared here and can be read."""
    for job in call.declarations.jobs().found:
        if is_of(unit, BACKUP, job.slug):
            return Run(BACKUP, job.name, job.slug, 0.0, destination=job.destination, job=job.job)
    for reindexing in call.declarations.reindexings().found:
        if is_of(unit, REINDEX, reindexing.slug):
            return Run(REINDEX, reindexing.name, reindexing.slug, 0.0, destination=reindexing.name)
    return None
