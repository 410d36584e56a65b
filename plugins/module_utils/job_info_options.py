# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``job_info``, and what they ask for.

It stands above the other options, as what the command ``ftp-backup`` has been told of its jobs is expected as well.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .agent.health import stale_after
from .agent.runs import BACKUP, REINDEX, Runs
from .agent.settings import Declarations
from .ages import parse_age
from .native.entries import time_text
from .options import backup
from .options.shared import STATE_OPTIONS
from .registry import FileRegistry, Host
from .spec import Spec
from .standing import Expected, Failure, Wish, list_standings

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .agent.runs import Run
    from .agent.settings import BackupJob
    from .outcome import Outcome

_DEFAULT_AGE = timedelta(hours=36)
SPEC = Spec(
    options={
        **STATE_OPTIONS,
        "destination": {"type": "str"},
        "client": {"type": "str"},
        "all_clients": {"type": "bool", "default": False},
        "max_age": {"type": "str"},
        "jobs": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "destination": {"type": "str", "required": True},
                "client": {"type": "str"},
                "job": {"type": "str"},
                "account": {"type": "str"},
                "max_age": {"type": "str"},
            },
            "mutually_exclusive": [("job", "account"), ("client", "account")],
            "required_one_of": [("job", "account")],
        },
        "points": {"type": "int", "default": 60},
    },
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool) -> Outcome:  # noqa: ARG001 - called as all others are
    """Tell how the jobs stand that *params* mean, and those that the command on this host has been told of."""
    config, state = Path(params["config_directory"]), Path(params["state_directory"])
    max_age = None if params["max_age"] is None else parse_age(params["max_age"], "The max_age")
    declared, runs = Declarations(config).jobs(), Runs(state)
    wish = Wish(
        max_age=_DEFAULT_AGE if max_age is None else max_age,
        destination=params["destination"],
        client=params["client"],
        all_clients=params["all_clients"],
        expected=(*(_of_command(job, max_age, runs) for job in declared.found), *map(_expected, params["jobs"])),
        points=params["points"],
        problems=(*map(str, declared.errors), *_failed_reindexes(Declarations(config), runs)),
    )
    return list_standings(FileRegistry(config), Host(config, state), wish)


def _expected(values: Mapping[str, t.Any]) -> Expected:
    max_age = values["max_age"]
    return Expected(
        destination=values["destination"],
        client=values["client"],
        job=values["job"],
        account=values["account"],
        max_age=None if max_age is None else parse_age(max_age, "The max_age"),
        is_named=True,
    )


def _of_command(job: BackupJob, max_age: timedelta | None, runs: Runs) -> Expected:
    """Return what is expected of a *job* of the command; its own word on its age counts more than *max_age*."""
    limit = max_age
    if job.stale_after is not None:
        limit = timedelta(seconds=job.stale_after)
    elif max_age is None:
        between = parse_age(backup.SPEC.checked(job.options)["max_age"]).total_seconds()
        limit = timedelta(seconds=stale_after(between))
    failure = _failure_of(runs.last(BACKUP, job.slug))
    return Expected(job.destination, job.job, job.client, max_age=limit, failure=failure)


def _failure_of(run: Run | None) -> Failure | None:
    if run is None or run.ended is None or not run.is_failure:
        return None
    return Failure(time_text(datetime.fromtimestamp(run.ended, timezone.utc)), run.message)


def _failed_reindexes(declarations: Declarations, runs: Runs) -> Iterator[str]:
    """Yield a sentence on each destination whose last scheduled reindex has failed."""
    for reindexing in declarations.reindexings().found:
        failure = _failure_of(runs.last(REINDEX, reindexing.slug))
        if failure is not None:
            yield f"The scheduled reindex of {reindexing.name!r} failed at {failure.ended}: {failure.message}"
