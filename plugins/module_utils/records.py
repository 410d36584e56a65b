# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host records of a job beside its index: how its last backup ended, its last verification and restore.

Nothing depends on it but what is reported: where a record is lost or damaged, there is none.
"""

from __future__ import annotations

import os
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone

from .errors import BackupError, LocalError, LockedError
from .native.entries import parse_time, time_text
from .private_files import locked, read_json, write_json

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .outcome import Outcome

    Now = Callable[[], datetime]

SENT_KEPT = 60  # of so many restore points it is known what their runs have sent
_VERSION = 1
_PATIENCE = 10.0


@dataclass(frozen=True)
class BackupRecord:
    """How the last backup ended, by *kind* and *message* if it failed; times as results have them.

    *sent* has of the newest restore points, by their ids, how many bytes their runs have sent.
    """

    ended: str
    kind: str | None = None
    message: str | None = None
    last_success: str | None = None
    sent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class VerificationRecord:
    """What the last verification of the job has read of a *sample* of a hundred volumes, and what it found.

    *damaged_files* counts those that cost a restore point something; *message* tells of the first of them.
    """

    ended: str
    sample: int
    manifests: int
    volumes: int
    bytes: int
    volumes_left: int
    damaged_files: int
    message: str | None = None


@dataclass(frozen=True)
class RestoreRecord:
    """Which restore point was brought back last, and how much of it: all where it *is_whole*."""

    ended: str
    point: str
    created: str | None
    entries: int
    bytes: int
    is_whole: bool


Kept = t.TypeVar("Kept", BackupRecord, VerificationRecord, RestoreRecord)


class JobRecords:
    """The records of one job, or of an account of cPanel, each in a file of its own in *directory*."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def backup(self) -> BackupRecord | None:
        """Return how the last backup ended, or None if that is not known."""
        record = self._read("backup", BackupRecord)
        if record is None or not all(isinstance(size, int) for size in record.sent.values()):
            return None
        return record if record.message is not None else replace(record, last_success=self._last_success(record))

    def _last_success(self, record: BackupRecord) -> str | None:
        """Return when the last run went well, as the time of the file tells: see :meth:`confirm`."""
        with suppress(OSError, OverflowError, ValueError):
            changed = (self._directory / f"{_FILES[BackupRecord]}.json").stat().st_mtime
            return max(record.last_success or "", time_text(datetime.fromtimestamp(changed, timezone.utc)))
        return record.last_success

    def confirm(self, moment: datetime) -> None:
        """Keep that a run went well at that *moment*, and that nothing else has changed: the time of the file is it.

        So a run that changes nothing writes nothing.
        """
        with suppress(OSError):
            os.utime(self._directory / f"{_FILES[BackupRecord]}.json", (moment.timestamp(),) * 2)

    def alone(self) -> AbstractContextManager[None]:
        """Be the only process that changes these records, or raise LockedError or LocalError."""
        return locked(self._directory / "lock", "The records are being changed", _PATIENCE)

    def verification(self) -> VerificationRecord | None:
        """Return what the last verification found, or None if there was none."""
        return self._read("verification", VerificationRecord)

    def restore(self) -> RestoreRecord | None:
        """Return what the last restore that went well has brought back, or None if there was none."""
        return self._read("restore", RestoreRecord)

    def keep(self, record: BackupRecord | VerificationRecord | RestoreRecord) -> None:
        """Keep *record* instead of the one of its kind that there is; raise LocalError where that cannot be."""
        write_json(self._directory / f"{_FILES[type(record)]}.json", {"version": _VERSION, **asdict(record)})

    def _read(self, name: str, form: type[Kept]) -> Kept | None:
        with suppress(LocalError, TypeError, KeyError, ValueError):
            values = read_json(self._directory / f"{name}.json")
            if values.pop("version") == _VERSION:
                record = form(**values)
                _require_form(record)
                return record
        return None


_FILES = {BackupRecord: "backup", VerificationRecord: "verification", RestoreRecord: "restore"}
_FORMS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "bool": (bool,),
    "Mapping[str, int]": (dict,),
}


def _require_form(record: BackupRecord | VerificationRecord | RestoreRecord) -> None:
    """Raise TypeError unless every value is of the type that its field says, ValueError unless the time is one."""
    parse_time(record.ended)
    for one in fields(record):
        if not isinstance(getattr(record, one.name), _FORMS[str(one.type)]):
            raise TypeError(one.name)


class BackupNote:
    """What is to be recorded of a backup that goes well; :meth:`tell` gives its outcome."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.is_void = False

    @contextmanager
    def void_if_locked(self) -> Iterator[None]:
        """Have nothing recorded where the block finds another run of the job at work: that one tells how it ends."""
        try:
            yield
        except LockedError:
            self.is_void = True
            raise

    def tell(self, outcome: Outcome) -> Outcome:
        """Return *outcome*, of which it is to be recorded what the run has sent."""
        self.outcome = outcome
        return outcome


@contextmanager
def noted_backup(records: JobRecords, now: Now, *, check_mode: bool) -> Iterator[BackupNote]:
    """Record how the backup ends that the block makes; in check mode nothing is recorded.

    What stands in the way of the record is not told: the run has its own end to tell of, and a later one records again.
    """
    note = BackupNote()
    try:
        yield note
    except BackupError as error:
        if not (check_mode or note.is_void):
            _keep_failure(records, error, time_text(now()))
        raise
    if not check_mode:
        _keep_success(records, note.outcome, now())


def _keep_failure(records: JobRecords, error: BackupError, ended: str) -> None:
    with suppress(LocalError, LockedError), records.alone():
        before = records.backup() or BackupRecord(ended)
        records.keep(replace(before, ended=ended, kind=error.kind, message=str(error)))


def _keep_success(records: JobRecords, outcome: Outcome | None, moment: datetime) -> None:
    ended = time_text(moment)
    with suppress(LocalError, LockedError), records.alone():
        known = records.backup()
        before = known or BackupRecord(ended)
        sent = dict(before.sent)
        is_changed = outcome is not None and outcome.changed
        if known is not None and known.message is None and not is_changed:
            records.confirm(moment)  # all is as it was, and so is what every file holds
            return
        point = outcome.values.get("point") if outcome is not None and is_changed else None
        if outcome is not None and point and outcome.values["bytes_sent"]:
            sent[point["id"]] = outcome.values["bytes_sent"]
        newest = dict(sorted(sent.items())[-SENT_KEPT:])  # ids begin with the time of their run
        records.keep(BackupRecord(ended, last_success=ended, sent=newest))
        records.confirm(moment)


def note_restore(records: JobRecords, now: Now, outcome: Outcome, *, is_whole: bool, check_mode: bool) -> Outcome:
    """Record what a restore has brought back, if it has, and return its *outcome*; as above, trouble is not told."""
    if outcome.changed and not check_mode:
        point, restored = outcome.values["point"], outcome.values["restored"]
        entries = sum(count for what, count in restored.items() if what != "deleted")
        record = RestoreRecord(
            time_text(now()), point["id"], point["created"], entries, outcome.values["bytes"], is_whole
        )
        with suppress(LocalError):
            if entries:
                records.keep(record)
    return outcome
