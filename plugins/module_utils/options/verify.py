# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``verify``, and what they ask for."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..ages import parse_age
from ..progress import SILENT
from ..registry import FileRegistry, Host
from ..spec import Spec
from ..verify import Request, verify
from .shared import JOB_OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome
    from ..progress import Progress

SPEC = Spec(
    options={
        **JOB_OPTIONS,
        "job": {"type": "str"},
        "all_clients": {"type": "bool", "default": False},
        "sample": {"type": "int", "default": 100},
        "max_duration": {"type": "str"},
        "on_damage": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    },
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool, progress: Progress = SILENT) -> Outcome:
    """Check what is stored as *params* say."""
    config_directory = Path(params["config_directory"])
    max_duration = params["max_duration"]
    request = Request(
        destination=params["destination"],
        job=params["job"],
        client=params["client"],
        all_clients=params["all_clients"],
        sample=params["sample"],
        max_duration=None if max_duration is None else parse_age(max_duration, "The max_duration"),
        fails_on_damage=params["on_damage"] == "fail",
    )
    host = Host(config_directory, Path(params["state_directory"]), progress=progress)
    return verify(FileRegistry(config_directory), host, request, check_mode=check_mode)
