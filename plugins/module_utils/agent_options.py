# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``agent``, and what they ask for."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

from . import agent_installation
from .agent.arguments import CONFIG_VARIABLE, STATE_VARIABLE
from .agent.command import main
from .agent.settings import CONFIG_DIRECTORY, STATE_DIRECTORY
from .agent_installation import Agent, ensure_absent, ensure_present, read_sources, stable_python
from .errors import UsageError
from .options.shared import STATE_OPTIONS
from .spec import Spec

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .outcome import Outcome

SPEC = Spec(
    options={
        **STATE_OPTIONS,
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "library_directory": {"type": "path", "default": "/usr/local/lib/ftp-backup"},
        "command": {"type": "path", "default": "/usr/local/bin/ftp-backup"},
    },
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool) -> Outcome:
    """Install the command as *params* say, or remove it."""
    agent = Agent(
        library_directory=Path(params["library_directory"]),
        command=Path(params["command"]),
        python=stable_python(sys.executable),
        environment=_environment(params),
    )
    if params["state"] == "absent":
        return ensure_absent(agent, check_mode=check_mode)

    spec = agent_installation.__spec__
    if spec is None:
        raise UsageError("This program was not begun by Ansible, and does not know its own files.")
    return ensure_present(agent, read_sources(spec), main, check_mode=check_mode)


def _environment(params: Mapping[str, t.Any]) -> tuple[tuple[str, str], ...]:
    """Return how the command is told of directories that are not those it looks for by itself."""
    directories = (
        (CONFIG_VARIABLE, params["config_directory"], CONFIG_DIRECTORY),
        (STATE_VARIABLE, params["state_directory"], STATE_DIRECTORY),
    )
    return tuple((variable, wanted) for variable, wanted, known in directories if wanted != known)
