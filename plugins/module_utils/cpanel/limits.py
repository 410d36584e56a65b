# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a stranger's archive is put up with; all figures are here, and none of them is met by a real account."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; sizes in bytes.

    *component* and *path* are lengths of names, *levels* is how deep they go. *expansion* is how many times larger than
    what is stored the content may be, once it has more than *expansion_free* bytes; the holes of sparse files count as
    if they were content. *extents* are the pieces of a sparse file. *outside_home* is how many names are kept in memory
    of what does not lie in the home directory, and *notes* how many things are told one by one.
    """

    members: int = 20_000_000
    component: int = 255
    path: int = 4096
    levels: int = 128
    expansion: int = 1000
    expansion_free: int = 100 * MIB
    extended_header: int = MIB
    extents: int = 50_000
    metadata_member: int = 16 * MIB
    metadata_total: int = 128 * MIB
    json_depth: int = 32
    outside_home: int = 200_000
    notes: int = 200


LIMITS = Limits()
