# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``restore_point``, and what they ask for."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..errors import UsageError
from ..registry import FileRegistry, Host
from ..restore_point import Which, ensure_absent, ensure_present
from ..spec import Spec
from .shared import JOB_OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome

SPEC = Spec(
    options={
        **JOB_OPTIONS,
        "job": {"type": "str", "required": True},
        "point": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "protected": {"type": "bool"},
        "force": {"type": "bool", "default": False},
        "foreign": {"type": "bool", "default": False},
    },
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool) -> Outcome:
    """Make the restore point that *params* mean what they say."""
    config_directory = Path(params["config_directory"])
    registry = FileRegistry(config_directory)
    host = Host(config_directory, Path(params["state_directory"]))
    which = Which(params["destination"], params["job"], params["point"], params["client"], params["foreign"])
    if params["state"] == "present":
        return ensure_present(registry, host, which, protected=params["protected"], check_mode=check_mode)

    # What the option may not be given with is one value of another, which no rule of a specification can tell.
    if params["protected"] is not None:
        raise UsageError("A restore point that is to be absent is neither protected nor not: leave protected out.")
    return ensure_absent(registry, host, which, force=params["force"], check_mode=check_mode)
