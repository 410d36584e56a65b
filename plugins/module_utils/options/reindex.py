# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``reindex``, and what they ask for."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..progress import SILENT
from ..registry import FileRegistry
from ..reindex import reindex
from ..spec import Spec
from .shared import JOB_OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome
    from ..progress import Progress

SPEC = Spec(
    options={**JOB_OPTIONS, "rebuild": {"type": "bool", "default": False}},
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool, progress: Progress = SILENT) -> Outcome:
    """Make the index anew that *params* mean."""
    return reindex(
        FileRegistry(Path(params["config_directory"])),
        Path(params["state_directory"]),
        params["destination"],
        client=params["client"],
        rebuild=params["rebuild"],
        progress=progress,
        check_mode=check_mode,
    )
