# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification has found damaged, what that costs, and how it is told."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import DamageError
from ..native.entries import path_text

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..native.entries import Entry, Place
    from ..native.volume_proof import Flaw
    from ..outcome import Outcome

SHOWN = 100
_TOLD = 20
_FLAWS_SHOWN = 20


class DamageFoundError(DamageError):
    """What is stored was verified, and is damaged as the *outcome* tells."""

    def __init__(self, sentence: str, outcome: Outcome) -> None:
        super().__init__(sentence)
        self.outcome = outcome


class Loss(t.NamedTuple):
    """How many *entries* of a restore point cannot be had; None if that cannot be told, and may be all."""

    run: str
    seq: int
    entries: int | None


@dataclass(frozen=True)
class Finding:
    """A damaged *file* of a job, as its path below the job's directory.

    *frames* are those that are lost, by offset and length; none of a volume that is lost as a whole, or costs nothing.
    """

    client: str
    job: str
    file: str
    flaws: tuple[str, ...]
    is_costly: bool
    frames: tuple[tuple[int, int], ...] = ()
    losses: tuple[Loss, ...] = ()
    paths: tuple[str, ...] = ()
    is_recorded: bool = False

    @property
    def entries(self) -> int | None:
        """How many entries are lost, each counted once for each restore point."""
        return total(loss.entries for loss in self.losses)

    @property
    def told(self) -> str:
        """What is damaged, whose it is and why, as a part of a sentence."""
        more = f", and {len(self.flaws) - 1:,} more" if len(self.flaws) > 1 else ""
        return f"{self.file} of the job {self.job!r} of {self.client!r} ({self.flaws[0]}{more})"

    @property
    def warning(self) -> str:
        """The sentence that a user reads, with what the damage costs."""
        if not self.losses:
            return f"Damaged is {self.told}; no restore point lacks anything for it."
        points = _counted(len(self.losses), "restore point", "restore points")
        return f"Damaged is {self.told}, which costs {_entries(self.entries)} of {points}."

    def shown(self) -> dict[str, object]:
        return {
            "client": self.client,
            "job": self.job,
            "file": self.file,
            "flaws": list(self.flaws[:_FLAWS_SHOWN]),
            "frames": [{"offset": offset, "length": length} for offset, length in self.frames[:SHOWN]],
            "points": [{"id": loss.run, "seq": loss.seq, "entries": loss.entries} for loss in self.losses],
            "entries": self.entries,
            "paths": list(self.paths),
            "recorded": self.is_recorded,
        }


def total(numbers: Iterable[int | None]) -> int | None:
    """Return the sum of *numbers*, or None if one is not known."""
    known = 0
    for number in numbers:
        if number is None:
            return None
        known += number
    return known


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def warnings_of(findings: Sequence[Finding]) -> list[str]:
    """Return a sentence on each of the first *findings*, and one on how many more there are."""
    told = [finding.warning for finding in findings[:_TOLD]]
    if len(findings) > _TOLD:
        told.append(f"{_counted(len(findings) - _TOLD, 'more file is', 'more files are')} damaged.")
    return told


def summary_of(findings: Sequence[Finding], destination: str) -> str:
    """Return what is to be said of *findings*, each of which costs something, in one go."""
    files = _counted(len(findings), "file is", "files are")
    points = {(finding.client, finding.job, loss.run) for finding in findings for loss in finding.losses}
    lacking = _counted(len(points), "restore point lacks", "restore points lack")
    entries = _entries(total(finding.entries for finding in findings))
    sequel = " The next backup sends again what the host still has of it." if _can_heal(findings) else ""
    return (
        f"Of what is stored on {destination!r}, {files} damaged, for which {lacking} {entries}; the first is"
        f" {findings[0].told}.{sequel}"
    )


def _can_heal(findings: Iterable[Finding]) -> bool:
    return any(finding.is_recorded for finding in findings)


def _entries(count: int | None) -> str:
    return "an unknown number of entries" if count is None else _counted(count, "entry", "entries")


# -- volumes


def problem_of(flaw: Flaw) -> str:
    """Return what is wrong, with where that is."""
    return flaw.problem if not flaw.length else f"at byte {flaw.offset:,}, {flaw.problem}"


@dataclass
class _Costs:
    """What the damage of one volume costs: entries by the number of their manifest, and the first paths."""

    entries: dict[int, int] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)


class CostCounter:
    """Counts what is lost with the *flawed* volumes of a pool, an entry at a time."""

    def __init__(self, flawed: dict[str, list[Flaw]]) -> None:
        self._lost = {name: _lost_frames(flaws) for name, flaws in flawed.items()}
        self._costs = {name: _Costs() for name in flawed}

    def count(self, manifest: int, entry: Entry) -> None:
        """Count *entry*, which the *manifest* of that number tells."""
        for name in {place.volume for place in entry.places if self._is_lost(place)}:
            costs = self._costs[name]
            costs.entries[manifest] = costs.entries.get(manifest, 0) + 1
            if len(costs.paths) < SHOWN:
                costs.paths[path_text(entry.path)] = None

    def _is_lost(self, place: Place) -> bool:
        frames = self._lost.get(place.volume)
        if frames is None:
            return place.volume in self._lost
        starts = frames.get((place.offset, place.length))
        return starts is not None and (not starts or place.start in starts)

    def entries_of(self, name: str) -> dict[int, int]:
        """Return how many entries are lost with the volume *name*, by the numbers of their manifests."""
        return self._costs[name].entries

    def paths_of(self, name: str) -> tuple[str, ...]:
        return tuple(self._costs[name].paths)


def _lost_frames(flaws: Iterable[Flaw]) -> dict[tuple[int, int], Collection[int]] | None:
    """Return where in each lost frame what is lost begins, nothing for all that is in it; None for a whole volume."""
    frames: dict[tuple[int, int], Collection[int]] = {}
    for flaw in flaws:
        if flaw.is_costly and not flaw.length:
            return None
        if flaw.is_costly:
            frames[flaw.offset, flaw.length] = flaw.starts
    return frames
