# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How restore points are shown in results: the same words in every module."""

from __future__ import annotations

import typing as t

from .native.entries import time_text

if t.TYPE_CHECKING:
    from .native.entries import Header
    from .native.points import ReadPoint

PROBLEMS_SHOWN = 20


def described_header(header: Header) -> dict[str, t.Any]:
    """Return what a result shows of a restore point before its run has ended."""
    return {
        "id": header.run,
        "seq": header.seq,
        "job": header.job,
        "client": header.client,
        "pool": header.pool,
        "structure": header.structure,
        "created": time_text(header.started),
    }


def describe(point: ReadPoint) -> dict[str, t.Any]:
    """Return a restore point as a module's result shows it."""
    return {
        **described_header(point.header),
        "complete": point.trailer.complete,
        "entries": point.trailer.entries,
        "bytes": point.trailer.size,
        "bytes_sent": 0,
        "duration": 0.0,
        "problems": [problem._asdict() for problem in point.trailer.problems[:PROBLEMS_SHOWN]],
    }
