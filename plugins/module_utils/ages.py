# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages as users write them: a whole number with a unit."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import UsageError

_AGE = re.compile(r"(?P<count>[0-9]+)\s*(?P<unit>[smhdw])")
_OLDEST = timedelta(days=36525)  # so far before any moment there still is a date
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_age(text: str, what: str = "The age") -> timedelta:
    """Return the time span that *text* names: a whole number with s, m, h, d or w.

    *what* begins the sentence that tells that it names none.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{what} {text!r} cannot be read: give a whole number with s, m, h, d or w, such as 12h.")
    try:
        age = int(found["count"]) * _UNITS[found["unit"]]
    except (OverflowError, ValueError) as error:  # newer Pythons refuse numbers of thousands of digits
        raise UsageError(f"{what} {_shortened(text)!r} is more than anything can be old.") from error
    return min(age, _OLDEST)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def age_text(age: timedelta) -> str:
    """Return *age* as :func:`parse_age` reads it, in days if it has no hours, and so on."""
    unit = next(unit for unit in "dhms" if not age % _UNITS[unit] or unit == "s")
    return f"{age // _UNITS[unit]}{unit}"
