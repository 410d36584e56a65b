# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small plots as SVG that needs nothing else: how large the restore points are, and what each run has added."""

from __future__ import annotations

import typing as t

from markupsafe import Markup, escape

from ...module_utils.words import counted, size_text

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .gathered import Job, Point

    Dated = list[tuple[datetime, int]]

_WIDTH, _HEIGHT, _EDGE = 150, 34, 3
_DAY = 86400
_MINUS = "\N{MINUS SIGN}"


def size_plot(job: Job) -> Markup:
    """Return the size of each restore point over time, from zero up; nothing where there are too few with a date."""
    dated = _dated(job.points)
    if len(dated) < 2:
        return Markup("")
    places = _places(dated)
    line = " ".join(f"{x},{y}" for x, y in places)
    area = f"{places[0][0]},{_HEIGHT} {line} {places[-1][0]},{_HEIGHT}"
    end = places[-1]
    sizes = [size for _created, size in dated]
    told = (
        f"Size of {counted(len(dated), 'restore point', 'restore points')} from {_day(dated[0][0])} to"
        f" {_day(dated[-1][0])}: first {size_text(sizes[0])}, last {size_text(sizes[-1])}, smallest"
        f" {size_text(min(sizes))}, largest {size_text(max(sizes))}."
    )
    return _svg(
        told,
        Markup('<polygon class="area" points="{}"/><polyline class="line" points="{}"/>').format(area, line)
        + Markup('<circle class="end" cx="{}" cy="{}" r="2.5"/>').format(*end),
    )


def growth_plot(job: Job) -> tuple[Markup, str]:
    """Return a bar for what each run has sent, and what the bars are.

    Where that is not known of two runs, a bar tells how much larger or smaller a restore point is than the one before.
    """
    sent = [(point.created, point.sent) for point in job.points if point.created and point.sent is not None]
    if len(sent) >= 2:
        told = f"Sent by {counted(len(sent), 'run', 'runs')}: {_range([size for _created, size in sent])}."
        return _bars(told, sent), "sent by each run"
    dated = _dated(job.points)
    changes = [(after[0], after[1] - before[1]) for before, after in zip(dated, dated[1:])]
    if not changes:
        return Markup(""), ""
    told = (
        f"Change of size over {counted(len(changes), 'run', 'runs')}: {_range([size for _created, size in changes])}."
    )
    return _bars(told, changes), "change by each run"


def growth_text(job: Job) -> str:
    """Return how much larger or smaller the newest restore point is than the oldest that is listed."""
    dated = _dated(job.points)
    if len(dated) < 2:
        return ""
    days = max(1, round((dated[-1][0] - dated[0][0]).total_seconds() / _DAY))
    return f"{signed_size(dated[-1][1] - dated[0][1])} in {days:,} d"


def signed_size(size: int) -> str:
    """Return a difference of sizes with its sign."""
    if not size:
        return "no change"
    return f"{'+' if size > 0 else _MINUS}{size_text(abs(size))}"


def meter(age: float, max_age: int) -> Markup:
    """Return a bar that is full at twice *max_age*, with a mark at *max_age*; the text beside it tells the same."""
    share = max(0.0, min(1.0, age / (2 * max_age))) if max_age else 1.0
    kind = "over" if age > max_age else "within"
    return Markup(
        '<svg class="meter {}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="6"/><rect class="fill" width="{}" height="6"/>'
        '<rect class="mark" x="49" width="2" height="6"/></svg>'
    ).format(kind, _short(100 * share))


def _dated(points: Sequence[Point]) -> Dated:
    """Return when restore points were made, and how large they are, in the order of time."""
    return sorted((point.created, point.size) for point in points if point.created is not None)


def _places(dated: Dated) -> list[tuple[str, str]]:
    first, last = dated[0][0], dated[-1][0]
    span = (last - first).total_seconds() or 1.0
    top = max(size for _created, size in dated) or 1
    return [
        (
            _short(_EDGE + (_WIDTH - 2 * _EDGE) * (created - first).total_seconds() / span),
            _short(_HEIGHT - (_HEIGHT - _EDGE) * size / top),
        )
        for created, size in dated
    ]


def _bars(told: str, values: Sequence[tuple[datetime, int]]) -> Markup:
    """Return bars, one beside the other, from a line of zero up, and down where a value is negative."""
    sizes = [size for _created, size in values]
    top, bottom = max(0, *sizes), min(0, *sizes)
    span = (top - bottom) or 1
    step = (_WIDTH - 2 * _EDGE) / len(sizes)
    scale = (_HEIGHT - _EDGE - 1) / span
    zero = 1 + top * scale
    pieces = []
    for number, size in enumerate(sizes):
        height = max(abs(size) * scale, 0.8 if size else 0.0)
        if height:
            x, y = _EDGE + number * step, zero - height if size > 0 else zero
            wide = max(step * 0.75, 0.6)
            pieces.append(f"M{_short(x)} {_short(y)}h{_short(wide)}v{_short(height)}h-{_short(wide)}z")
    zero_line = f"M0 {_short(zero)}H{_WIDTH}"
    return _svg(
        told, Markup('<path class="zero" d="{}"/><path class="bars" d="{}"/>').format(zero_line, "".join(pieces))
    )


def _svg(told: str, content: Markup) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        _WIDTH, _HEIGHT, told, escape(told), content
    )


def _range(sizes: Sequence[int]) -> str:
    return f"last {_told(sizes[-1])}, smallest {_told(min(sizes))}, largest {_told(max(sizes))}"


def _told(size: int) -> str:
    return size_text(size) if size >= 0 else signed_size(size)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _short(number: float) -> str:
    """Return *number* with no more digits than a screen shows."""
    return f"{number:.1f}".rstrip("0").rstrip(".")
