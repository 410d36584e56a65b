# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON of a stranger's, read within limits: how deep it goes and how many lists and maps it has is counted first."""

from __future__ import annotations

import json
import re
from contextlib import suppress

from .limits import LIMITS

_MOST_COLLECTIONS = 200_000
_SIGNS = re.compile(rb'["\[\]{}]|\\.', re.DOTALL)


def read_json(content: bytes) -> object:
    """Return what *content* says, numbers as text; raise ValueError with a reason that shows nothing of it."""
    _require_bounds(content)
    with suppress(ValueError):  # its own error holds the content, so it must not be the context of ours
        return json.loads(content.decode(), parse_int=str, parse_float=str, parse_constant=str)
    raise ValueError("it is no JSON")


def _require_bounds(content: bytes) -> None:
    if len(content) > LIMITS.metadata_member:
        raise ValueError("it is too large")
    depth, count, is_text = 0, 0, False
    for found in _SIGNS.finditer(content):
        sign = found.group()
        if sign == b'"':
            is_text = not is_text
        elif is_text or len(sign) > 1:
            continue
        elif sign in b"[{":
            depth += 1
            count += 1
            if depth > LIMITS.json_depth or count > _MOST_COLLECTIONS:
                raise ValueError("it is nested too deeply or has too many parts")
        else:
            depth -= 1
