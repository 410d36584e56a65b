# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns what is restored."""

from __future__ import annotations

import grp
import os
import pwd
import typing as t
from functools import cache

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..native.entries import Entry

    # Returns the numbers of owner and group; None leaves it to whoever restores.
    Owner = Callable[[Entry], "tuple[int, int] | None"]


def owner_of(policy: str) -> Owner:
    """Return what gives each entry its owner; who is not root can give nothing away."""
    if policy == "current" or os.geteuid() != 0:
        return lambda _entry: None
    if policy == "keep":
        return lambda entry: (entry.uid, entry.gid)
    return lambda entry: (_uid(entry.user, entry.uid), _gid(entry.group, entry.gid))


@cache
def _uid(name: str, number: int) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # what is no name at all is a ValueError
        return number


@cache
def _gid(name: str, number: int) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return number
