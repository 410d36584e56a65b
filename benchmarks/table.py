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
    from collections.abc import Iterator, Sequence

    from .race import Measurement

_MIB = 1024 * 1024
_HEADER = ("work", "program", "seconds", "range", "of tar \\| curl", "processor s", "memory MiB", "network MiB")
_NO_SUCH_THING = "always sends everything"


def table(measurements: Sequence[Measurement], missing: dict[str, list[str]]) -> str:
    """Return the medians of *measurements*, the fastest first; *missing* names what is not installed by contestant."""
    lines = [_row(_HEADER), "|---|---|" + "---:|" * (len(_HEADER) - 2)]
    for work in WORKS:
        rows = list(_rows([measurement for measurement in measurements if measurement.work == work], missing))
        lines += [_row((work if number == 0 else "", *row)) for number, row in enumerate(rows)]
    return "\n".join(lines)


def _rows(measurements: Sequence[Measurement], missing: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of one work: those with figures by their seconds, then those without."""
    by_name: dict[str, list[Figure | Failure | None]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.contestant, []).append(measurement.result)
    figures = {name: found for name, results in by_name.items() if (found := _figures(results))}
    measure = _median(figures.get(TarCurl.name, []))
    for name, found in sorted(figures.items(), key=lambda item: _median(item[1]) or 0):
        yield (_escaped(name), *_cells(found, measure))
    for name in by_name.keys() - figures.keys():
        yield (_escaped(name), _why_not(by_name[name]), *[""] * (len(_HEADER) - 3))
    for name, programs in missing.items():
        yield (_escaped(name), f"not installed: {', '.join(programs)}", *[""] * (len(_HEADER) - 3))


def _figures(results: Sequence[Figure | Failure | None]) -> list[Figure]:
    """Return the figures if every run has one: a work that failed once has no median."""
    figures = [result for result in results if isinstance(result, Figure)]
    return figures if len(figures) == len(results) else []


def _median(figures: Sequence[Figure]) -> float | None:
    return statistics.median(figure.seconds for figure in figures) if figures else None


def _cells(figures: Sequence[Figure], measure: float | None) -> tuple[str, ...]:
    seconds = [figure.seconds for figure in figures]
    median = statistics.median(seconds)
    return (
        f"{median:.2f}",
        f"{min(seconds):.2f} to {max(seconds):.2f}",
        f"{median / measure:.1f} times" if measure else "",
        f"{statistics.median(figure.processor for figure in figures):.2f}",
        f"{statistics.median(figure.memory for figure in figures) / _MIB:.0f}",
        f"{statistics.median(figure.carried for figure in figures) / _MIB:.2f}",
    )


def _why_not(results: Sequence[Figure | Failure | None]) -> str:
    reasons = [result.reason for result in results if isinstance(result, Failure)]
    return f"failed: {_escaped(reasons[0])}" if reasons else _NO_SUCH_THING


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
