# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a run: its exit code, its result as a document, and the one line that sums it up."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..errors import BackupError, BusyError, InterruptedTransferError, LockedError, UnreachableError, UsageError
from ..words import age_text, counted, size_text, span_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..outcome import Outcome

DONE, FAILED, USAGE, INCOMPLETE, LOCKED, LATER = range(6)
_WORST_FIRST = (FAILED, USAGE, LATER, LOCKED, INCOMPLETE, DONE)
# Of the way to the server, which costs nothing that was restored; all other warnings tell of something that it cost.
_TROUBLE = re.compile(r"[0-9]+ attempts? to connect failed and had|The server took no more than [0-9]+ connections? ")
_RESTORED = (
    ("files", "file", "files"),
    ("directories", "directory", "directories"),
    ("links", "link", "links"),
    ("others", "other thing", "other things"),
    ("databases", "database", "databases"),
)


@dataclass(frozen=True)
class Result:
    """How a run ended: *summary* is the sentence on it, *values* are what a module would return.

    In check mode, lines tell what is *foretold* in detail.
    """

    exit_code: int
    summary: str
    values: Mapping[str, t.Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    foretold: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Whether an error ended it; one that lacks something has made what it could."""
        return self.exit_code not in (DONE, INCOMPLETE)


def code_of(error: BackupError) -> int:
    """Return the exit code that *error* means."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, LockedError):
        return LOCKED
    if isinstance(error, (UnreachableError, BusyError, InterruptedTransferError)):
        return LATER
    return FAILED


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of several runs: that which asks for most attention."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), max(found, default=DONE))


def of_error(error: BackupError) -> Result:
    """Return the result of a run that *error* ended."""
    failure = {"kind": error.kind, **error.details()}
    told = {} if error.outcome is None else _values_of(error.outcome)
    values = {**told, "failed": True, "msg": str(error), "failure": failure}
    return Result(code_of(error), str(error), values, tuple(told.get("warnings", ())))


def of_outcome(outcome: Outcome, summary: str, *, is_incomplete: bool, check_mode: bool = False) -> Result:
    """Return the result of a run that ended well."""
    foretold = outcome.told() if check_mode and outcome.changed else ()
    code = INCOMPLETE if is_incomplete else DONE
    return Result(code, summary, _values_of(outcome), outcome.warnings, foretold)


def _values_of(outcome: Outcome) -> dict[str, t.Any]:
    """Return what a document holds of *outcome*."""
    values: dict[str, t.Any] = {"changed": outcome.changed, **outcome.values, "warnings": list(outcome.warnings)}
    diff = outcome.diff()
    if diff is not None:
        values["diff"] = diff
    return values


def of_backup(name: str, outcome: Outcome, age: Callable[[str], float], *, check_mode: bool) -> Result:
    """Return the result of a backup; *age* tells how many seconds ago something was made."""
    point, pruned = outcome.values["point"], outcome.values["pruned"]
    is_partial = not point["complete"]
    if not outcome.changed:
        old = age_text(age(point["created"]))
        return of_outcome(outcome, f"{name}: nothing to do, {point['id']} is {old} old.", is_incomplete=is_partial)
    content = f"{counted(point['entries'], 'entry', 'entries')} with {size_text(point['bytes'])}"
    gone = f"; {counted(len(pruned), 'older one', 'older ones')} {'would go' if check_mode else 'removed'}"
    partly = "a partial restore point" if is_partial else "a restore point"
    sent = outcome.values["bytes_sent"]
    if check_mode:
        sentence = f"{name}: {partly} would be made: {content}, of which up to {size_text(sent)} to send"
    else:
        took = span_text(outcome.values["duration"])
        what = f"partial restore point {point['id']}" if is_partial else f"restore point {point['id']}"
        sentence = f"{name}: {what} made in {took}: {content}, {size_text(sent)} sent"
    return of_outcome(outcome, f"{sentence}{gone if pruned else ''}.", is_incomplete=is_partial, check_mode=check_mode)


def of_restore(outcome: Outcome, *, check_mode: bool) -> Result:
    """Return the result of a restore."""
    values = outcome.values
    point, restored = values["point"], values["restored"]
    which = f"{point['id']} of {point['created'] or 'an unknown date'}"
    is_incomplete = not point["complete"] or any(not _TROUBLE.match(warning) for warning in outcome.warnings)
    if not outcome.changed:
        return of_outcome(outcome, f"Nothing to do, everything is as in {which}.", is_incomplete=is_incomplete)
    things = [counted(restored[key], one, many) for key, one, many in _RESTORED if restored[key]]
    told = ", ".join(things) or "nothing new"
    if restored["deleted"]:
        told += f"; {counted(restored['deleted'], 'extra thing', 'extra things')} deleted"
    if check_mode:
        summary = f"Would be restored from {which}: {told}."
        return of_outcome(outcome, summary, is_incomplete=is_incomplete, check_mode=True)
    sizes = f"{size_text(values['bytes'])}, {size_text(values['bytes_received'])} received"
    return of_outcome(outcome, f"Restored from {which}: {told}; {sizes}.", is_incomplete=is_incomplete)


def of_reindex(name: str, outcome: Outcome, *, check_mode: bool) -> Result:
    """Return the result of a reindex."""
    values = outcome.values
    points = counted(values["point_count"], "restore point", "restore points")
    is_cpanel = "ignored" in values
    jobs = counted(values["job_count"], "account" if is_cpanel else "job", "accounts" if is_cpanel else "jobs")
    news = f"{values['new']:,} new, {values['updated']:,} updated, {values['gone']:,} gone"
    damaged = f", {len(values['unreadable']):,} damaged" if values["unreadable"] else ""
    would = " would be" if check_mode else ""
    sentence = f"{name}:{would} {points} of {jobs}: {news}{damaged}."
    return of_outcome(outcome, sentence, is_incomplete=bool(values["unreadable"]), check_mode=check_mode)


def of_verify(name: str, outcome: Outcome) -> Result:
    """Return the result of a verification that is not to fail."""
    values = outcome.values
    verified = values["verified"]
    read = (
        f"{counted(verified['manifests'], 'manifest', 'manifests')} and"
        f" {counted(verified['volumes'], 'volume', 'volumes')} with {size_text(verified['bytes'])} read"
    )
    left = f", {counted(verified['volumes_left'], 'volume', 'volumes')} left" if verified["volumes_left"] else ""
    if values["whole"]:
        return of_outcome(outcome, f"{name}: whole, {read}{left}.", is_incomplete=False)
    files = counted(values["damaged_file_count"], "file is", "files are")
    return of_outcome(outcome, f"{name}: {files} damaged, {read}{left}.", is_incomplete=True)
