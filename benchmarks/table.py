# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns measurements into one Markdown table."""

from __future__ import annotations

import statistics
import typing as t

from .contestants import TarCurl
from .measure import Figure
from .race import WORKS, Failure

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .race import Measurement

_MB = 1_000_000
#: What :func:`costs` returns.
COSTS = ("processor s", "memory MB", "sent MB", "received MB", "connections")
_HEADER = ("where", "work", "program", "seconds", "range", "of tar | curl", *COSTS)


def table(measurements: Sequence[Measurement], missing: dict[str, list[str]]) -> str:
    """Return the medians of *measurements*, the fastest first; *missing* names what is not installed by contestant."""
    rows: list[Sequence[str]] = []
    for course in dict.fromkeys(measurement.course for measurement in measurements):
        for work in WORKS:
            ours = [each for each in measurements if (each.course, each.work) == (course, work)]
            rows += [(course, work, *row) for row in _rows(ours, missing)]
    return markdown(_HEADER, rows, texts=3)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int) -> str:
    """Return a table whose first *texts* columns are text; what of it is as in the row above is left out.

    The last of them is never left out. A row may be short.
    """
    lines = [_line(header), "|" + "---|" * texts + "---:|" * (len(header) - texts)]
    above: Sequence[str] = [""] * texts
    for row in rows:
        same = next(n for n in range(texts) if n == texts - 1 or row[n] != above[n])
        shown = [*[""] * same, *row[same:], *[""] * (len(header) - len(row))]
        lines.append(_line(shown))
        above = row
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _rows(measurements: Sequence[Measurement], missing: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of one work: those with figures by their seconds, then those without."""
    by_name: dict[str, list[Figure | Failure]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.contestant, []).append(measurement.result)
    figures = {name: found for name, results in by_name.items() if (found := _figures(results))}
    measure = figures.get(TarCurl.name)
    for name, found in sorted(figures.items(), key=lambda item: seconds(item[1])):
        share = f"{seconds(found) / seconds(measure):.1f} times" if measure else ""
        yield (name, f"{seconds(found):.2f}", span(found), share, *costs(found))
    for name, results in by_name.items():
        if name not in figures:
            reasons = [each.reason for each in results if isinstance(each, Failure)]
            yield (name, f"failed: {reasons[0]}")
    for name, programs in missing.items():
        yield (name, f"not installed: {', '.join(programs)}")


def _figures(results: Sequence[Figure | Failure]) -> list[Figure]:
    """Return the figures if every run has one: a work that failed once has no median."""
    figures = [result for result in results if isinstance(result, Figure)]
    return figures if len(figures) == len(results) else []


# -- medians


def seconds(figures: Sequence[Figure]) -> float:
    """Return how long it took."""
    return _median(figures, lambda figure: figure.seconds)


def span(figures: Sequence[Figure]) -> str:
    """Return the fastest and the slowest."""
    each = [figure.seconds for figure in figures]
    return f"{min(each):.2f} to {max(each):.2f}"


def processor(figures: Sequence[Figure]) -> float:
    """Return how long all processors took."""
    return _median(figures, lambda figure: figure.processor)


def costs(figures: Sequence[Figure]) -> tuple[str, ...]:
    """Return what else it took: processors, memory, and what went over the network."""
    control = _median(figures, lambda figure: figure.traffic.control)
    connections = _median(figures, lambda figure: figure.traffic.data)
    return (
        f"{processor(figures):.2f}",
        f"{_median(figures, lambda figure: figure.memory) / _MB:.0f}",
        f"{_median(figures, lambda figure: figure.traffic.sent) / _MB:.3f}",
        f"{_median(figures, lambda figure: figure.traffic.received) / _MB:.3f}",
        f"{control:.0f} + {connections:.0f}",
    )


def _median(figures: Sequence[Figure], of: Callable[[Figure], float]) -> float:
    return statistics.median(of(figure) for figure in figures)
