# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that only look: what there is on the host and its destinations, and where a file can be had from."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..ages import parse_age
from ..errors import BackupError, UsageError
from ..history import LIMIT
from ..index_file import has_index
from ..native.names import slug
from ..options import backup, backup_info
from ..registry import CPANEL, DestinationState, FileRegistry, read_identity, require
from ..words import age_text, command_text, counted, glob_of, printable, size_text, table
from . import results
from .deeds import part_of
from .health import health_of, stale_after, state_of
from .runs import BACKUP, REINDEX, Runs
from .terminal import PROGRAM

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..registry import Destination
    from .deeds import Call
    from .settings import BackupJob

    Values = Mapping[str, t.Any]

_COUNTED = 100  # restore points of a job are counted up to here
_JOBS = 1000  # and jobs on a destination
_NOTHING = "-"
_RIGHT_IN_JOBS = (3, 4, 5)
_RIGHT_IN_POINTS = (2, 3, 4, 5)


@dataclass(frozen=True)
class JobView:
    """A job of this host with its newest restore points, newest first."""

    name: str
    destination: str
    points: Sequence[Values]
    has_more: bool
    is_good: bool
    state: str

    def row(self) -> list[str]:
        newest = self.points[0] if self.points else None
        count = f"{len(self.points)}{'+' if self.has_more else ''}" if self.points else _NOTHING
        return [self.name, self.destination, *_newest(newest), count, self.state]

    def shown(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "destination": self.destination,
            "newest": self.points[0] if self.points else None,
            "good": self.is_good,
            "state": self.state,
        }


@dataclass(frozen=True)
class DestinationView:
    """A destination of this host, with what its index tells."""

    name: str
    engine: str
    host: str
    newest: Values | None
    jobs: int
    state: str

    def row(self) -> list[str]:
        return [self.name, self.engine, self.host, *_newest(self.newest)[:2], str(self.jobs or _NOTHING), self.state]

    def shown(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "engine": self.engine,
            "host": self.host,
            "newest": self.newest,
            "jobs": self.jobs,
            "state": self.state,
        }


def _newest(point: Values | None) -> list[str]:
    """Return date, age and size of a restore point for a row."""
    if point is None:
        return [_NOTHING] * 3
    age = _NOTHING if point["age"] is None else age_text(point["age"])
    return [point["created"] or "unknown", age, size_text(point["bytes"])]


def asked_of(call: Call, **question: object) -> dict[str, t.Any]:
    """Return what the index answers to *question*, which has the options of ``backup_info``."""
    given = {name: value for name, value in question.items() if value is not None}
    params = backup_info.SPEC.checked({**given, **call.directories.options()})
    return dict(backup_info.perform(params, check_mode=False).values)


# -- what there is


def list_what_there_is(call: Call) -> int:
    """List the jobs and destinations of this host, or restore points."""
    asked = call.arguments
    given = (asked.name, asked.destination, asked.client, asked.job, asked.account)
    if all(value is None for value in given):
        return show_overview(call)
    return _list_points(call)


def show_overview(call: Call, *more: str) -> int:
    """Show jobs and destinations, each with its newest restore point, and then the lines *more*."""
    declared = call.declarations.jobs()
    registry = FileRegistry(call.directories.config)
    own = _own_client(call)
    runs = Runs(call.directories.state)
    jobs = [_job_view(call, job, own, runs) for job in declared.found]
    names = registry.names()
    destinations = [_destination_view(call, name, registry, runs) for name in names]
    errors = [*declared.errors, *registry.unusable().values()]
    terminal = call.terminal
    if jobs:
        head = ("JOB", "DESTINATION", "NEWEST RESTORE POINT", "AGE", "SIZE", "POINTS", "STATE")
        terminal.say(*table(head, [view.row() for view in jobs], _RIGHT_IN_JOBS))
    else:
        terminal.say("There are no jobs on this host.")
    if destinations:
        head = ("DESTINATION", "ENGINE", "SERVER", "NEWEST RESTORE POINT", "AGE", "JOBS", "STATE")
        terminal.say("", *table(head, [view.row() for view in destinations], (4, 5)))
    else:
        terminal.say("There are no destinations on this host.")
    terminal.say(*more)
    for error in errors:
        terminal.fail(str(error))
    terminal.document(
        {
            "changed": False,
            "jobs": [view.shown() for view in jobs],
            "destinations": [view.shown() for view in destinations],
            "errors": [str(error) for error in errors],
        }
    )
    return results.FAILED if errors else results.DONE


def _own_client(call: Call) -> str | None:
    """Return the client that this host is, or None if it never made a backup."""
    identity = read_identity(call.directories.config)
    return None if identity is None else identity.client


def _job_view(call: Call, job: BackupJob, own: str | None, runs: Runs) -> JobView:
    client = job.client or own
    try:
        max_age = parse_age(backup.SPEC.checked(job.options)["max_age"]).total_seconds()
        points: Sequence[Values] = ()
        has_more = False
        if client is not None and _is_indexed(call, job.destination):
            found = asked_of(call, destination=job.destination, client=client, job=job.job, limit=_COUNTED)
            points, has_more = found["points"], found["truncated"]
        health = health_of(points, stale_after(max_age) if job.stale_after is None else job.stale_after)
        words, is_good = health.words, health.is_good
    except BackupError as error:
        points, has_more, words, is_good = (), False, str(error), False
    run = runs.last(BACKUP, job.slug)
    if run is not None and run.is_failure:
        words, is_good = f"{words}; the last scheduled run failed: {run.message}", False
    return JobView(job.name, job.destination, points, has_more, is_good, words)


def _destination_view(call: Call, name: str, registry: FileRegistry, runs: Runs) -> DestinationView:
    destination = registry.get(name)
    if destination is None:  # it has just been removed
        return DestinationView(name, _NOTHING, _NOTHING, None, 0, "not declared")
    newest, jobs, state = None, 0, "indexed"
    try:
        if _has_index(call, destination):
            points = asked_of(call, destination=name, point="latest", limit=_JOBS)["points"] if _any(call, name) else []
            newest, jobs = (points[0] if points else None), len(points)
        else:
            state = "not indexed yet: run reindex"
    except BackupError as error:
        state = str(error)
    run = runs.last(REINDEX, slug(name))
    if run is not None and run.is_failure:
        state = f"{state}; the last scheduled reindex failed: {run.message}"
    elif run is not None:
        state = f"{state}, by the timer last {age_text(run.age)} ago"
    return DestinationView(name, destination.engine, destination.host, newest, jobs, state)


def _is_indexed(call: Call, name: str) -> bool:
    """Tell whether anything can be known of the destination *name*; raise if it is not declared."""
    return _has_index(call, require(FileRegistry(call.directories.config), name))


def _has_index(call: Call, destination: Destination) -> bool:
    return has_index(DestinationState(call.directories.state, destination.name, destination.place).index)


def _any(call: Call, name: str) -> bool:
    """Tell whether the index of the destination *name* has any restore point."""
    return bool(asked_of(call, destination=name, limit=1)["points"])


# -- restore points


def _list_points(call: Call) -> int:
    asked = call.arguments
    question = {"client": asked.client, "job": asked.job, "account": asked.account, "destination": asked.destination}
    job = None
    if asked.name is not None:
        if asked.destination is not None or asked.job is not None or asked.account is not None:
            raise UsageError("Either give the NAME of a job of this host, or --destination, not both.")
        job = call.declarations.job(asked.name)
        client = asked.client or job.client or _own_client(call)
        question = {"destination": job.destination, "job": job.job, "client": client}
    elif asked.destination is None:
        question["destination"] = _only_destination(call)
    found = asked_of(call, **question, limit=asked.limit)
    points = found["points"]
    terminal = call.terminal
    is_mixed = len({_whose(point) for point in points}) > 1
    head = ("ID", "CREATED", "AGE", "ENTRIES", "SIZE", "STORED", "STATE")
    rows = [[*(_whose(point) if is_mixed else ()), *_point_row(point)] for point in points]
    if not points:
        terminal.say("There are no restore points.")
    elif is_mixed:
        right = tuple(number + 2 for number in _RIGHT_IN_POINTS)
        terminal.say(*table(("CLIENT", "JOB" if points[0]["job"] else "ACCOUNT", *head), rows, right))
    else:
        terminal.say(*table(head, rows, _RIGHT_IN_POINTS))
    if found["truncated"]:
        terminal.say(_more(asked.limit))
    if points and not is_mixed:
        whose = Source(call, str(question["destination"]), job)
        terminal.say("", "To bring one back, say where to, and which paths if not all:")
        terminal.say(f"  {whose.command(points[0], points[0]['id'], None)}")
    terminal.document({"changed": False, **found})
    return results.DONE


def _more(limit: int) -> str:
    """Return what is said where not all is listed."""
    if limit < LIMIT:
        return f"There is more, which --limit {min(10 * limit, LIMIT)} shows."
    return "There is more: ask for less at a time."


def _whose(point: Values) -> tuple[str, str]:
    return (point["client"] or _NOTHING, point["job"] or point["account"])


def _point_row(point: Values) -> list[str]:
    created, age, size = _newest(point)
    return [point["id"], created, age, f"{point['entries']:,}", size, size_text(point["stored_bytes"]), state_of(point)]


def _only_destination(call: Call) -> str:
    """Return the only destination there is, or raise."""
    names = FileRegistry(call.directories.config).names()
    if len(names) != 1:
        known = ", ".join(map(repr, names)) or "none"
        raise UsageError(f"It is not said on which destination: give --destination; there are: {known}.")
    return names[0]


@dataclass(frozen=True)
class Source:
    """A destination as one restores from it; a *job* of this host has a shorter name for it."""

    call: Call
    destination: str
    job: BackupJob | None = None

    def command(self, of: Values, point: str, path: str | None) -> str:
        """Return the command that brings *path*, or all, back from *point*; *of* tells whose that is."""
        words = [PROGRAM, *self.call.directories.words, "restore"]
        if self.job is not None:
            words.append(self.job.name)
        elif of["account"] is not None:
            words += ["--destination", self.destination, "--account", of["account"]]
        else:
            words += ["--destination", self.destination, "--client", of["client"], "--job", of["job"]]
        words += ["--point", point]
        if path is not None:
            words.append(glob_of(path))
        return command_text([*words, "--target", "restored"])


# -- versions of files


def find(call: Call) -> int:
    """List versions of files and parts on the destinations that are meant."""
    asked = call.arguments
    if not (asked.globs or asked.part):
        raise UsageError("It is not said what to find: give a path, a name, or a glob such as '/etc/**/*.conf'.")
    found: dict[str, dict[str, t.Any]] = {}
    warnings = []
    for destination in _searched(call):
        if not _has_index(call, destination):
            if asked.destination is not None:
                raise UsageError(f"The destination {destination.name!r} is not indexed yet: run reindex first.")
            warnings.append(f"The destination {destination.name!r} is not indexed yet, so nothing is found there.")
            continue
        try:
            found[destination.name] = _answer(call, destination)
        except UsageError as error:
            if asked.destination is not None:
                raise
            warnings.append(str(error))
    jobs = call.declarations.jobs().found
    own = _own_client(call)
    versions, parts, lines = [], [], []
    for name, answer in found.items():
        sources = _Sources(call, name, jobs, own)
        lines += _told(answer.get("versions", ()), sources, "path")
        lines += _told(answer.get("parts", ()), sources, "name")
        versions += [sources.shown(version, version["path"]) for version in answer.get("versions", ())]
        parts += [sources.shown(part, None) for part in answer.get("parts", ())]
    is_truncated = any(answer["truncated"] for answer in found.values())
    for warning in warnings:
        call.terminal.warn(warning)
    call.terminal.say(*(lines or ["Nothing was found."]))
    if is_truncated:
        call.terminal.say(_more(asked.limit))
    call.terminal.document(
        {"changed": False, "versions": versions, "parts": parts, "truncated": is_truncated, "warnings": warnings}
    )
    return results.DONE


def _searched(call: Call) -> list[Destination]:
    """Return the destinations to look on: those whose backups can be what is asked for."""
    asked = call.arguments
    registry = FileRegistry(call.directories.config)
    names = registry.names() if asked.destination is None else [asked.destination]
    found = [destination for destination in map(registry.get, names) if destination is not None]
    if not found:
        known = ", ".join(map(repr, registry.names())) or "none"
        raise UsageError(f"There is no destination to look on; declared are: {known}.")
    if asked.destination is not None:
        return found
    if asked.account is not None:
        return [destination for destination in found if destination.engine == CPANEL]
    if asked.job is not None or asked.client is not None:
        return [destination for destination in found if destination.engine != CPANEL]
    return found


def _answer(call: Call, destination: Destination) -> dict[str, t.Any]:
    asked = call.arguments
    parts = [part_of(text) for text in asked.part]
    return asked_of(
        call,
        destination=destination.name,
        client=asked.client,
        job=asked.job,
        account=asked.account,
        point=asked.at,
        paths=[_rooted(glob) for glob in asked.globs],
        parts=[{"name": name, **part} for part in parts for name in (("**",) if "name" in part else ("**", "/**"))],
        limit=asked.limit,
    )


def _rooted(glob: str) -> str:
    """Return *glob* as one on absolute paths: a name is looked for in all directories."""
    return glob if glob.startswith("/") else f"/**/{glob}"


@dataclass(frozen=True)
class _Sources:
    """Knows the jobs of this host by what a version tells of where it is from."""

    call: Call
    destination: str
    jobs: Sequence[BackupJob]
    own: str | None

    def source(self, of: Values) -> Source:
        for job in self.jobs:
            if (job.destination, job.job, job.client or self.own) == (self.destination, of["job"], of["client"]):
                return Source(self.call, self.destination, job)
        return Source(self.call, self.destination)

    def command(self, of: Values, path: str | None) -> str:
        """Return the command that brings back what *of* tells of, as its newest restore point has it."""
        command = self.source(of).command(of, of["points"][0]["id"], path)
        return command if path is not None else f"{command} --part {command_text([_part_text(of)])}"

    def shown(self, of: Values, path: str | None) -> dict[str, t.Any]:
        return {"destination": self.destination, **of, "restore": self.command(of, path)}

    def heading(self, of: Values) -> str:
        """Return what the versions that follow have in common."""
        if of["account"] is not None:
            return f"account {of['account']} on {self.destination}"
        return f"{of['job']} of {of['client']} on {self.destination}"


def _part_text(of: Values) -> str:
    return f"{of['kind']}:{of['name']}"


def _told(found: Iterable[Values], sources: _Sources, key: str) -> list[str]:
    """Return the lines on the versions *found*, which come by what they are of, newest first."""
    lines: list[str] = []
    heading = ""
    for of in found:
        what = of["path"] if key == "path" else _part_text(of)
        next_heading = f"{printable(what)}  ({printable(sources.heading(of))})"
        if next_heading != heading:
            lines.append(next_heading)
            heading = next_heading
        lines.append(f"  {_version(of) if key == 'path' else _part_version(of)}, in {_showings(of)}")
        lines.append(f"      {sources.command(of, of['path'] if key == 'path' else None)}")
    return lines


def _version(of: Values) -> str:
    changed = f"{of['mtime'].split('.')[0]}Z" if "." in of["mtime"] else of["mtime"]
    if of["kind"] == "file":
        return f"{changed}  {size_text(of['bytes'])}"
    target = f" to {printable(of['target'])}" if of["target"] is not None else ""
    return f"{changed}  {of['kind'].replace('_', ' ')}{target}"


def _part_version(of: Values) -> str:
    return f"{counted(of['entries'], 'entry', 'entries')}, {size_text(of['bytes'])}"


def _showings(of: Values) -> str:
    """Return in which restore points something is as it is."""
    dates = [point["created"] or point["id"] for point in of["points"]]
    if of["point_count"] == 1:
        return f"the restore point of {dates[0]}"
    span = f"{dates[-1]} to {dates[0]}" if len(dates) == of["point_count"] else f"the newest of {dates[0]}"
    return f"{of['point_count']:,} restore points, {span}"
