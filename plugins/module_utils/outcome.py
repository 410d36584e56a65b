# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a use case has to say when it ended well."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Whether something changed, what the result holds, and the two sides of the diff."""

    changed: bool
    values: dict[str, t.Any]
    before: dict[str, t.Any] | None = None
    after: dict[str, t.Any] | None = None
    warnings: tuple[str, ...] = ()
