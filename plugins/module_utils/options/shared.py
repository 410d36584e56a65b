# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that several modules share, and what they mean."""

from __future__ import annotations

import re
import typing as t
from contextlib import suppress

from ..databases.servers import Login
from ..errors import UsageError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..spec import Option

_UNITS = ("byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte", "exabyte", "zetabyte", "yottabyte")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:\s*([A-Za-z]+))?\s*")
STATE_OPTIONS: dict[str, Option] = {
    "config_directory": {"type": "path", "default": "/etc/ftp_backup"},
    "state_directory": {"type": "path", "default": "/var/lib/ftp_backup"},
}
JOB_OPTIONS: dict[str, Option] = {
    **STATE_OPTIONS,
    "destination": {"type": "str", "required": True},
    "client": {"type": "str"},
}
#: Of the modules that can be watched while they run; they are for the controller, and a file on the host has none.
WATCHED_OPTIONS: dict[str, Option] = {"progress": {"type": "bool", "default": True}}
LOGIN_OPTIONS: dict[str, Option] = {
    "host": {"type": "str"},
    "port": {"type": "int"},
    "socket": {"type": "path"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "option_file": {"type": "path"},
    "programs": {"type": "path"},
    "run_as": {"type": "str"},
}


def login_of(values: Mapping[str, t.Any]) -> Login:
    """Return what the LOGIN_OPTIONS in *values* mean."""
    return Login(**{name: values[name] for name in LOGIN_OPTIONS})


def size_of(text: str, option: str) -> int:
    """Return how many bytes *text* means; a unit such as M or MB counts 1024 times 1024 of them.

    It reads what ``human_to_bytes`` of ansible-core does. *option* is what the sentence names that refuses the rest.
    """
    found = _SIZE.fullmatch(text)
    power = _power_of(found[2] or "B") if found else None
    if found is not None and power is not None:
        with suppress(OverflowError):  # a number of hundreds of digits
            return round(float(found[1]) * (1 << 10 * power))
    raise UsageError(f"The {option} {text!r} cannot be read: give a number of bytes, or one such as 64M.")


def _power_of(unit: str) -> int | None:
    """Return which power of 1024 *unit* is: Kb, unlike k, K and KB, means bits and is none."""
    for power, word in enumerate(_UNITS):
        letter = word[0].upper()
        if unit.upper() == letter or unit.lower() == word or (power > 0 and unit == f"{letter}B"):
            return power
    return None
