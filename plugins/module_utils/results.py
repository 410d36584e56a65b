# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How restore points are shown in results: the same words in every module."""

from __future__ import annotations

import typing as t

from .native.entries import time_text

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .native.entries import Header, Problem
    from .native.points import ReadPoint

PROBLEMS_SHOWN = 20


def described_header(header: Header) -> dict[str, t.Any]:
    """Return what a result shows of a restore point before its run has ended."""
    return {
        "id": header.run,
        "seq": header.seq,
        "account": None,
        "job": header.job,
        "client": header.client,
        "pool": header.pool,
        "structure": header.structure,
        "created": time_text(header.started),
    }


def described_content(
    *, entries: int, size: int, problems: Sequence[Problem], is_protected: bool = False, is_damaged: bool = False
) -> dict[str, t.Any]:
    """Return what a result shows of what is in a restore point, which is complete if there are no *problems*."""
    return {
        "complete": not problems,
        "protected": is_protected,
        "damaged": is_damaged,
        "entries": entries,
        "bytes": size,
        "problem_count": len(problems),
        "problems": [problem._asdict() for problem in problems[:PROBLEMS_SHOWN]],
    }


def describe(point: ReadPoint, *, is_damaged: bool = False) -> dict[str, t.Any]:
    """Return a restore point as a module's result shows it; of a damaged one not all entries could be read."""
    trailer = point.trailer
    content = described_content(
        entries=trailer.entries,
        size=trailer.size,
        problems=trailer.problems,
        is_protected=point.stored.is_protected,
        is_damaged=is_damaged,
    )
    return {**described_header(point.header), **content, "complete": trailer.complete}
