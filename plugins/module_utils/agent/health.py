# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the restore points of a job are, in the words that a person reads first."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..words import age_text, counted

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Point = Mapping[str, t.Any]

# Where nobody says after what age a job is stale: three times ``max_age``, since that is about half of the time between
# two runs, and no less than a day and a half, since a small ``max_age`` tells nothing of when the next run is.
_AGES = 3
_LEAST = 36 * 3600.0
GOOD = "good"


@dataclass(frozen=True)
class Health:
    """What is to be said of a job, and whether all of it is well."""

    words: str
    is_good: bool


def stale_after(max_age: float) -> float:
    """Return after how many seconds a job is stale whose file does not say so, from its *max_age*."""
    return max(_AGES * max_age, _LEAST)


def health_of(points: Sequence[Point], stale: float) -> Health:
    """Judge *points*, which come newest first; *stale* is how many seconds old the newest good one may be."""
    if not points:
        return Health("no restore point yet", is_good=False)
    wrong = []
    newest = points[0]
    if newest["damaged"]:
        wrong.append("the newest is damaged")
    if not newest["complete"]:
        wrong.append(f"the newest is partial ({_problems(newest)})")
    sound = next((point for point in points if point["complete"] and not point["damaged"]), None)
    if sound is None:
        wrong.append("none of them is complete and whole")
    elif sound["age"] is not None and sound["age"] > stale:
        wrong.append(f"stale: no good one for {age_text(sound['age'])}")
    return Health("; ".join(wrong) or GOOD, is_good=not wrong)


def state_of(point: Point) -> str:
    """Return what is to be said of one restore point."""
    marks = ["complete" if point["complete"] else f"partial ({_problems(point)})"]
    if point["damaged"]:
        marks.append("damaged")
    if point["protected"]:
        marks.append("protected")
    return ", ".join(marks)


def _problems(point: Point) -> str:
    return counted(point["problem_count"], "problem", "problems")
