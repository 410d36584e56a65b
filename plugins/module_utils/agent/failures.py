# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run when a timer's run has failed: the hook of whoever looks after the host learns what, and why."""

from __future__ import annotations

import time
import typing as t
from datetime import timedelta

from ..commands import Command, run
from ..errors import CommandError
from . import results
from .runs import BACKUP, REINDEX, is_of
from .scheduled import Teller, ping_url_of

if t.TYPE_CHECKING:
    from .deeds import Call

_TIMEOUT = timedelta(minutes=5)


def tell_failure(call: Call) -> int:
    """Run the hook, if there is one, for the unit that failed.

    A run that was killed could tell nobody; that is made up for here.
    """
    unit = call.arguments.unit
    teller = Teller(call)
    last = teller.runs.of_unit(unit)
    if last is not None and last.ended is None:
        last = last.killed(time.time())
        teller.tell(last, ping_url_of(call, last.kind, last.name))
    command = call.declarations.settings().on_failure
    if command is None:
        return results.DONE
    kind, name = (last.kind, last.name) if last is not None else _declared(call, unit)
    variables = {
        "FTP_BACKUP_UNIT": unit,
        "FTP_BACKUP_KIND": kind,
        "FTP_BACKUP_NAME": name,
        "FTP_BACKUP_MESSAGE": f"The unit {unit} failed." if last is None else last.message,
    }
    failure = run(Command(command, _TIMEOUT), variables)
    if failure is not None:
        raise CommandError(f"The command on_failure {failure.rstrip('.')}.")
    return results.DONE


def _declared(call: Call, unit: str) -> tuple[str, str]:
    """Return kind and name of what the *unit* runs, if that is declared here; it may have failed before it began."""
    for kind, declared in ((BACKUP, call.declarations.jobs()), (REINDEX, call.declarations.reindexings())):
        for found in declared.found:
            if is_of(unit, kind, found.slug):
                return kind, found.name
    return "", ""
