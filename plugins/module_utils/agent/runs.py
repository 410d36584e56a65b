# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host remembers of the runs that timers started: how the last one ended, and when one went well."""

from __future__ import annotations

import re
import time
import typing as t
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from ..errors import LocalError
from ..private_files import read_json, remove_json, write_json

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BACKUP, REINDEX = "backup", "reindex"
KINDS = (BACKUP, REINDEX)
_VERSION = 1
_UNIT = re.compile(r"\Aftp-backup-|\.service\Z")  # what the names of all units begin and end with
_KILLED = "The run ended before it could tell why: it was killed, or the host went down."


@dataclass(frozen=True)
class Point:
    """What is told of the restore point that a run made or found."""

    created: float
    is_complete: bool
    size: int
    entries: int
    problems: int


@dataclass(frozen=True)
class Run:
    """A scheduled run, whose declaration's file is called *slug*; times are in seconds since 1970.

    *ended* is None while it runs, and stays None when it is killed. *last_success* and *point* are kept over failures.
    *invocation* is what systemd calls this one start of the unit, empty where something else started it.
    """

    kind: str
    name: str
    slug: str
    started: float
    ended: float | None = None
    exit_code: int | None = None
    message: str = ""
    destination: str = ""
    job: str = ""
    sent: int = 0
    last_success: float | None = None
    point: Point | None = None
    invocation: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether it ended, and not well; one that made a partial restore point has not failed."""
        return self.ended is not None and self.exit_code not in (0, 3)

    @property
    def age(self) -> float:
        """How many seconds ago it ended, or began where it has not."""
        return time.time() - (self.started if self.ended is None else self.ended)

    @property
    def duration(self) -> float:
        return 0.0 if self.ended is None else max(0.0, self.ended - self.started)

    def killed(self, now: float) -> Run:
        """Return what is known of the run once somebody else tells that it has failed."""
        return replace(self, ended=now, exit_code=1, message=_KILLED)

    def not_begun(self, now: float, unit: str) -> Run:
        """Return the run that should have followed on this one, whose *unit* failed before there was any."""
        message = f"The unit {unit} failed before its run began."
        return replace(self, started=now, ended=now, exit_code=1, message=message, sent=0, invocation="")


class Runs:
    """The runs that are remembered, one of each kind and slug, below the state directory."""

    def __init__(self, state_directory: Path) -> None:
        self._directory = state_directory / "agent"

    def path(self, kind: str, slug: str) -> Path:
        return self._directory / f"{kind}-{slug}.json"

    def last(self, kind: str, slug: str) -> Run | None:
        """Return the last run, or None if none is remembered, or nothing that makes sense."""
        return self._read(self.path(kind, slug))

    def keep(self, run: Run) -> None:
        """Remember *run* instead of the one before it."""
        write_json(self.path(run.kind, run.slug), {"version": _VERSION, **asdict(run)})

    def forget(self, kind: str, slug: str) -> None:
        """Remember no run."""
        remove_json(self.path(kind, slug))

    def of_unit(self, unit: str) -> Run | None:
        """Return the run that the timer's *unit* has started last."""
        with suppress(OSError):
            for path in self._directory.iterdir():
                kind, _dash, slug = path.stem.partition("-")
                if path.suffix == ".json" and kind in KINDS and is_of(unit, kind, slug):
                    return self._read(path)
        return None

    def _read(self, path: Path) -> Run | None:
        with suppress(LocalError, TypeError, KeyError, ValueError):
            return _run_from(read_json(path))
        return None


def is_of(unit: str, kind: str, slug: str) -> bool:
    """Tell whether *unit* runs what has that *kind* and *slug*: its name is something, then these two."""
    return _UNIT.sub("", unit) in (f"{kind}@{slug}", f"{kind}-{slug}")


def _run_from(values: Mapping[str, t.Any]) -> Run:
    known = {key: value for key, value in values.items() if key != "version"}
    if values["version"] != _VERSION:
        raise ValueError
    point = known.pop("point")
    run = Run(**known, point=None if point is None else Point(**point))
    float(run.started), float(run.ended or 0), float(run.last_success or 0)
    return run
