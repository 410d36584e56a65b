# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a use case has to say when it ended well."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice

from .words import printable

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINES_SHOWN = 1000


@dataclass(frozen=True)
class Outcome:
    """Whether something changed, what the result holds, and the two sides of the diff, line by line.

    *title* names what the lines are about, and *summary* are sentences that stand below them.
    """

    changed: bool
    values: dict[str, t.Any]
    before: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    title: str = ""
    summary: tuple[str, ...] = ()

    def diff(self) -> dict[str, str] | None:
        """Return the diff as Ansible prints it, or None if there is none; no line holds what a terminal obeys."""
        if self.before is None and self.after is None:
            return None
        title = printable(self.title)
        headers = {"before_header": title, "after_header": title} if title else {}
        sides = {"before": _text(self.before or ()), "after": _text(self.after or ())}
        return {**headers, **sides, **({"prepared": _text(self.summary)} if self.summary else {})}

    def told(self) -> tuple[str, ...]:
        """Return the diff as lines that each begin with what becomes of them, and then the summary."""
        compared = unified_diff(self.before or (), self.after or (), lineterm="", n=LINES_SHOWN)
        return (*islice(compared, 3, None), *self.summary)  # the first three say where each side begins


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{printable(line)}\n" for line in lines)


def bounded(lines: Sequence[str]) -> Iterator[str]:
    """Yield the first LINES_SHOWN of *lines*, and how many more there are."""
    yield from lines[:LINES_SHOWN]
    if len(lines) > LINES_SHOWN:
        yield f"... and {len(lines) - LINES_SHOWN:,} more"
