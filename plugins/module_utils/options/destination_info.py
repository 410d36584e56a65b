# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``destination_info``, and what they ask for."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..destination import list_destinations
from ..registry import FileRegistry
from ..spec import Spec
from .shared import STATE_OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome

SPEC = Spec(
    options={
        **STATE_OPTIONS,
        "name": {"type": "str"},
        "probe": {"type": "bool", "default": False},
    },
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool) -> Outcome:  # noqa: ARG001 - called as all others are
    """List the destinations that *params* mean."""
    registry = FileRegistry(Path(params["config_directory"]))
    state_directory = Path(params["state_directory"])
    return list_destinations(registry, state_directory, params["name"], probe=params["probe"])
