# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of an account's metadata: which there are, which names in them can be names, and what is told of the others.

A line that is not understood costs that line. It is told by its number and never shown, for it may hold a password.
"""

from __future__ import annotations

import re
import typing as t

from ..native.entries import Problem
from .limits import LIMITS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 64 * 1024  # bytes; the longest of a real account has a few hundred
LONGEST_NAME = 255  # bytes of what becomes a file's name

_MOST_LINES = 200_000
_DOMAIN = re.compile(r"(?![.-])(?:[a-z0-9._-]|[^\x00-\x7f])+", re.IGNORECASE)


class Notes:
    """What was skipped or not understood: the first of it one by one, and how much there is besides."""

    def __init__(self) -> None:
        self._told: dict[Problem, None] = {}
        self._more = 0

    def add(self, member: bytes | str, sentence: str) -> None:
        """Note a *sentence* about *member*, once."""
        problem = Problem(shown(member), sentence)
        if len(self._told) < LIMITS.notes:
            self._told[problem] = None
        elif problem not in self._told:
            self._more += 1

    def add_line(self, member: bytes, number: int, why: str) -> None:
        """Note *why* the line of that *number* is left out."""
        self.add(member, f"line {number:,} is left out: {why}")

    def add_uncounted(self, count: int) -> None:
        """Count what nobody has kept."""
        self._more += count

    def all(self) -> tuple[Problem, ...]:
        more = [Problem("", f"and {self._more:,} more were skipped or not understood")] if self._more else []
        return (*self._told, *more)


def lines_of(member: bytes, content: bytes, notes: Notes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of *member* that say something, with their numbers and their ends."""
    place, number = 0, 0
    while place < len(content):
        end = content.find(b"\n", place) + 1 or len(content)
        number += 1
        if number > _MOST_LINES:
            notes.add_line(member, number, "there are too many, and so are all that follow")
            return
        if end - place > LONGEST_LINE:
            notes.add_line(member, number, "it is too long")
        else:
            line = content[place:end]
            if line.strip() and not line.lstrip().startswith(b"#"):
                yield number, line
        place = end


def text_of(raw: bytes) -> str | None:
    """Return *raw* as text if it is some that can be shown, None if not."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def file_name(raw: bytes | str) -> str | None:
    """Return *raw* if it may be the name of a part and of a file that is called after it, None if not."""
    text = text_of(raw) if isinstance(raw, bytes) else raw
    if text is None or text in ("", ".", "..") or not text.isprintable() or "/" in text or "\\" in text:
        return None
    return text if text == text.strip() and len(text.encode("utf-8", "replace")) <= LONGEST_NAME else None


def domain_name(raw: bytes | str) -> str | None:
    """Return *raw* as a domain that cPanel may have a file of, None if it is no such name."""
    text = file_name(raw)
    if text is None:
        return None
    if text.startswith("*."):
        text = f"_wildcard_{text[1:]}"  # as cPanel calls the files
    return text if _DOMAIN.fullmatch(text) else None


def shown(member: bytes | str) -> str:
    """Return the name of a *member* as notes have it: without what no terminal should get, and not too long."""
    text = member.decode("utf-8", "backslashreplace") if isinstance(member, bytes) else member
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST_NAME])
