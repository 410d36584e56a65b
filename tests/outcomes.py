# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outcomes without what is another in each run, so that two of them can be compared."""

from __future__ import annotations

import typing as t
from dataclasses import replace

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome

_OF_THE_RUN = ("destination", "bytes_sent", "bytes_received", "duration")


def without_run(values: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return *values* without what they tell of the run itself, such as how long it took."""
    left = {key: value for key, value in values.items() if key not in _OF_THE_RUN}
    if isinstance(left.get("point"), dict):
        left["point"] = without_run(left["point"])
    return left


def told(outcome: Outcome) -> Outcome:
    """Return *outcome* without what its values tell of the run itself."""
    return replace(outcome, values=without_run(outcome.values))
