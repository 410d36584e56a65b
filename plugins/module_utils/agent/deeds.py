# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that do something: backup, restore, reindex, verify; each as the module of that name does it."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import BackupError, UsageError
from ..native.entries import parse_time
from ..options import backup, reindex, restore, verify
from ..registry import FileRegistry
from ..stopping import StoppedError, remains
from . import results
from .progress_bar import watched
from .settings import Declarations

if t.TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ..progress import Progress
    from ..stopping import Stopper
    from .results import Result
    from .settings import BackupJob, Directories
    from .terminal import Terminal

_FILES = "files"


@dataclass(frozen=True)
class Call:
    """What every command works with."""

    arguments: argparse.Namespace
    directories: Directories
    terminal: Terminal
    stopper: Stopper

    @property
    def declarations(self) -> Declarations:
        return Declarations(self.directories.config)

    def run(self, title: str, command: str, deed: Callable[[Progress], Result]) -> Result:
        """Return what *deed* makes of the run *title*, or its error as a result; what stops it is raised.

        An error that comes of being stopped is none of the run.
        """
        phase = ""
        try:
            with watched(self.terminal, title) as progress:
                try:
                    return deed(progress)
                finally:
                    phase = progress.phase
        except BackupError as error:
            if self.stopper.stopped is None:
                return results.of_error(error)
            raise StoppedRunError(self.stopper.stopped.number, title, remains(command, phase)) from error
        except StoppedError as stopped:
            raise StoppedRunError(stopped.number, title, remains(command, phase)) from stopped

    def tell(self, result: Result, title: str = "") -> None:
        """Tell the warnings and the summary, or the error, of a run; *title* is said before an error."""
        for warning in result.warnings:
            self.terminal.warn(warning)
        if result.is_failure:
            self.terminal.fail(f"{title}: {result.summary}" if title else result.summary)
        else:
            self.terminal.say(result.summary, *result.foretold)


class StoppedRunError(StoppedError):
    """A run was stopped, and *remains* tells what is left of it."""

    def __init__(self, number: int, title: str, remains: str) -> None:
        super().__init__(number)
        self._title = title
        self._remains = remains

    @property
    def words(self) -> str:
        return f"{self._title}: {super().words}. {self._remains}".rstrip()


def _age(created: str) -> float:
    return (datetime.now(timezone.utc) - parse_time(created)).total_seconds()


# -- several runs


def _each(call: Call, titles: Sequence[str], errors: Sequence[BackupError], run: Callable[[str], Result]) -> int:
    """Do *run* for each of *titles*, whatever becomes of the others, and tell *errors* of declarations beforehand.

    What stops one stops all. The document holds one result each, under the name of the run.
    """
    codes, documents = [], []
    for error in errors:
        result = results.of_error(error)
        call.tell(result)
        codes.append(results.FAILED)
        documents.append(dict(result.values))
    for title in titles:
        result = run(title)
        call.tell(result, title)
        codes.append(result.exit_code)
        documents.append({"name": title, **result.values})
    changed = any(document.get("changed") for document in documents)
    failed = {"failed": True} if any(document.get("failed") for document in documents) else {}
    call.terminal.document({"changed": changed, **failed, "results": documents})
    return results.worst(codes)


def _single(call: Call, result: Result) -> int:
    """Tell the result of the only run there is; return its exit code."""
    call.tell(result)
    call.terminal.document(result.values)
    return result.exit_code


def _wanted_jobs(call: Call) -> tuple[tuple[BackupJob, ...], tuple[BackupError, ...]]:
    """Return the jobs that are meant, and what is wrong with the declarations of the others."""
    arguments, declarations = call.arguments, call.declarations
    if arguments.all and arguments.names:
        raise UsageError("Either give names, or say --all, not both.")
    if arguments.names:
        return tuple({job.name: job for job in map(declarations.job, arguments.names)}.values()), ()
    jobs = declarations.jobs()
    if not arguments.all and len(jobs.found) + len(jobs.errors) != 1:
        known = ", ".join(repr(job.name) for job in jobs.found) or "none"
        raise UsageError(f"It is not said which job: give its name, or say --all; there are: {known}.")
    return jobs.found, jobs.errors


# -- backup


def back_up(call: Call) -> int:
    """Make sure that the jobs that are meant have a fresh restore point."""
    jobs, errors = _wanted_jobs(call)
    by_name = {job.name: job for job in jobs}
    if len(jobs) == 1 and not errors and not call.arguments.all:
        return _single(call, run_backup(call, jobs[0]))
    return _each(call, list(by_name), errors, lambda name: run_backup(call, by_name[name]))


def run_backup(call: Call, job: BackupJob) -> Result:
    """Make sure that *job* has a fresh restore point."""
    check_mode = getattr(call.arguments, "check", False)
    forced = {"force": True} if getattr(call.arguments, "force", False) else {}

    def deed(progress: Progress) -> Result:
        params = backup.SPEC.checked({**job.options, **forced, **call.directories.options()})
        outcome = backup.perform(params, check_mode=check_mode, progress=progress)
        return results.of_backup(job.name, outcome, _age, check_mode=check_mode)

    return call.run(job.name, "backup", deed)


# -- restore


def bring_back(call: Call) -> int:
    """Bring back what is asked for."""
    values = {**_restore_values(call), **call.directories.options()}
    title = str(values.get("job") or values.get("account"))
    check_mode = call.arguments.check

    def deed(progress: Progress) -> Result:
        checked = restore.SPEC.checked(values)
        outcome = restore.perform(checked, check_mode=check_mode, progress=progress, shows=check_mode)
        return results.of_restore(outcome, check_mode=check_mode)

    return _single(call, call.run(title, "restore", deed))


def _restore_values(call: Call) -> dict[str, t.Any]:
    """Return the options of the module that the arguments mean."""
    asked = call.arguments
    origin, paths = _origin(call)
    if asked.target is None and not asked.in_place and not asked.load:
        raise UsageError("It is not said where to: give --target DIR, or --in-place.")
    values = {
        **origin,
        "point": asked.point,
        "paths": paths,
        "parts": _parts(asked),
        "load": asked.load,
        "replace": asked.replace,
        "in_place": asked.in_place,
        "overwrite": asked.overwrite,
        "delete_extra": asked.delete_extra,
        "owner": asked.owner,
        "checksum": asked.checksum,
        **_server(asked),
    }
    if asked.target is not None:
        values["target"] = os.path.abspath(os.path.expanduser(asked.target))  # noqa: PTH100, PTH111 - no link is followed
    if asked.rebuild is not None:
        values["rebuild"] = asked.rebuild
    # What is not asked for is not given: the rules between options hold for what is.
    return {name: value for name, value in values.items() if value not in (None, False, [])}


def _origin(call: Call) -> tuple[dict[str, str | None], list[str]]:
    """Return whose restore points are meant, and the paths that are."""
    asked = call.arguments
    if asked.destination is not None:
        origin = {"destination": asked.destination, "job": asked.job, "client": asked.client, "account": asked.account}
        if asked.job is None and asked.account is None:
            raise UsageError("With --destination, give --job, or --account for a backup that cPanel made.")
        return origin, list(asked.words)
    if asked.job is not None or asked.account is not None:
        raise UsageError("With --job or --account, give --destination, too; or else the NAME of a job of this host.")
    if not asked.words:
        raise UsageError("It is not said what to restore: give the NAME of a job, or --destination. 'list' shows both.")
    name, *paths = asked.words
    job = call.declarations.job(name)
    return {"destination": job.destination, "job": job.job, "client": asked.client or job.client}, paths


def part_of(text: str) -> dict[str, str]:
    """Return the part that *text* means, as KIND or KIND:NAME; a path is a part of files."""
    if text.startswith("/"):
        return {"kind": _FILES, "name": text}
    kind, colon, name = text.partition(":")
    if not kind or (colon and not name):
        raise UsageError(f"The part {text!r} cannot be read: give KIND or KIND:NAME, such as database:shop.")
    return {"kind": kind, "name": name} if name else {"kind": kind}


def _parts(asked: argparse.Namespace) -> list[dict[str, str]]:
    parts = [part_of(text) for text in asked.part]
    if asked.into is not None:
        if len(parts) != 1:
            raise UsageError("With --into, give exactly one --part: it is the new name of that database.")
        parts[0]["into"] = asked.into
    return parts


def _server(asked: argparse.Namespace) -> dict[str, t.Any]:
    server = {
        "host": asked.server_host,
        "port": asked.server_port,
        "socket": asked.server_socket,
        "username": asked.server_user,
        "option_file": asked.server_option_file,
        "programs": asked.server_programs,
        "run_as": asked.run_as,
    }
    given = {name: value for name, value in server.items() if value is not None}
    return {"server": given} if given else {}


# -- reindex


def make_index_anew(call: Call) -> int:
    """Find out what lies on the destinations that are meant."""
    asked = call.arguments
    if asked.all and asked.names:
        raise UsageError("Either give destinations, or say --all, not both.")
    registry = FileRegistry(call.directories.config)
    known = registry.names()
    errors = list(registry.unusable().values())
    if asked.names:
        names, errors = list(dict.fromkeys(asked.names)), []
    elif asked.all or len(known) + len(errors) == 1:
        names = known
    else:
        told = ", ".join(map(repr, known)) or "none"
        raise UsageError(f"It is not said which destination: give its name, or say --all; there are: {told}.")
    if len(names) == 1 and not errors and not asked.all:
        return _single(call, run_reindex(call, names[0]))
    return _each(call, names, errors, lambda name: run_reindex(call, name))


def run_reindex(call: Call, destination: str) -> Result:
    """Find out what lies on *destination*."""
    asked = call.arguments
    check_mode = getattr(asked, "check", False)
    values = {
        "destination": destination,
        "client": getattr(asked, "client", None),
        "rebuild": getattr(asked, "rebuild", False),
        **call.directories.options(),
    }

    def deed(progress: Progress) -> Result:
        outcome = reindex.perform(reindex.SPEC.checked(values), check_mode=check_mode, progress=progress)
        return results.of_reindex(destination, outcome, check_mode=check_mode)

    return call.run(destination, "reindex", deed)


# -- verify


def check_what_is_stored(call: Call) -> int:
    """Verify the jobs that are meant, or what lies on a destination."""
    asked = call.arguments
    if asked.destination is not None:
        if asked.names or asked.all:
            raise UsageError("Either give names of jobs, or --destination, not both.")
        whose = {"destination": asked.destination, "job": asked.job, "client": asked.client}
        return _single(call, _run_verify(call, asked.destination, {**whose, "all_clients": asked.all_clients}))
    if asked.job is not None or asked.client is not None or asked.all_clients:
        raise UsageError("With --job, --client or --all-clients, give --destination, too.")
    jobs, errors = _wanted_jobs(call)
    wanted = {job.name: {"destination": job.destination, "job": job.job, "client": job.client} for job in jobs}
    if len(jobs) == 1 and not errors and not asked.all:
        return _single(call, _run_verify(call, jobs[0].name, wanted[jobs[0].name]))
    return _each(call, list(wanted), errors, lambda name: _run_verify(call, name, wanted[name]))


def _run_verify(call: Call, title: str, whose: dict[str, t.Any]) -> Result:
    asked = call.arguments
    values = {
        **whose,
        "sample": asked.sample,
        "max_duration": asked.max_duration,
        "on_damage": asked.on_damage,
        **call.directories.options(),
    }

    def deed(progress: Progress) -> Result:
        outcome = verify.perform(verify.SPEC.checked(values), check_mode=asked.check, progress=progress)
        return results.of_verify(title, outcome)

    return call.run(title, "verify", deed)
