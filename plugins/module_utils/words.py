# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sizes, ages, names and tables are written for people, on any terminal."""

from __future__ import annotations

import re
import shlex
import typing as t
import unicodedata

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_BYTES = range(0xDC80, 0xDD00)  # how Python tells bytes of a name that are no UTF-8
_GLOB = re.compile(r"([*?\\])")


def printable(text: str) -> str:
    """Return *text* with all that a terminal could obey, or cannot show, written out as escapes."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("ascii", "backslashreplace").decode("ascii") if code > 0x7F else _short(character)


def _short(character: str) -> str:
    return repr(character)[1:-1]


def sendable(value: object) -> object:
    """Return *value* as JSON may hold it: what is not UTF-8 in a name is written out, as the modules do."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {sendable(key): sendable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [sendable(item) for item in value]
    return value


def size_text(size: int) -> str:
    """Return *size*, in bytes, in the unit in which it is read best."""
    if size < 1024:
        return f"{size} B"
    number = float(size)
    for unit in _UNITS[:-1]:
        number /= 1024
        if number < 1000:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:,.1f} {_UNITS[-1]}"


def age_text(seconds: float) -> str:
    """Return a span of time in the one unit in which people think of it."""
    if seconds < _MINUTE:
        return f"{max(0, int(seconds))} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{int(seconds // _HOUR)} h"
    return f"{int(seconds // _DAY)} d"


def span_text(seconds: float) -> str:
    """Return how long something takes: to the tenth of a second where it is short, to the minute where it is long."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    minutes, left = divmod(int(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s"


def counted(number: int, one: str, many: str) -> str:
    """Return *number* with the noun that fits it."""
    return f"{number:,} {one if number == 1 else many}"


def width_of(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, width: int) -> str:
    """Return *text* in no more than *width* columns: its end tells more than its middle."""
    if width_of(text) <= width:
        return text
    if width < 4:
        return ""
    kept = text
    while kept and width_of(kept) > width - 3:
        kept = kept[1:]
    return f"...{kept}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return the lines of a table; the columns with the numbers *right* are set to the right."""
    cells = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(width_of(cell) for cell in column) for column in zip(*cells)]
    return [_line(row, widths, right).rstrip() for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = []
    for number, (cell, width) in enumerate(zip(row, widths)):
        blank = " " * (width - width_of(cell))
        padded.append(blank + cell if number in right else cell + blank)
    return "  ".join(padded)


# -- commands that a person copies


def command_text(words: Iterable[str]) -> str:
    """Return *words* as a command line; what no terminal shows is written as bash, zsh and ksh read it."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_quoted_byte, word.encode("utf-8", "surrogateescape"))) + "'"


def _quoted_byte(byte: int) -> str:
    character = chr(byte)
    if character in "\\'":
        return f"\\{character}"
    return character if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def glob_of(path: str) -> str:
    """Return the glob that matches *path* and nothing beside it."""
    return _GLOB.sub(r"\\\1", path)
