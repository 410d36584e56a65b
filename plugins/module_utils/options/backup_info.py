# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``backup_info``, and what they ask for."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone
from pathlib import Path

from ..history import Question, list_backups
from ..part_globs import PartGlob
from ..registry import FileRegistry
from ..spec import Spec
from .shared import JOB_OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome

SPEC = Spec(
    options={
        **JOB_OPTIONS,
        "job": {"type": "str"},
        "account": {"type": "str"},
        "point": {"type": "str"},
        "paths": {"type": "list", "elements": "str", "default": []},
        "parts": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"kind": {"type": "str"}, "name": {"type": "str", "required": True}},
        },
        "limit": {"type": "int", "default": 100},
        "offset": {"type": "int", "default": 0},
    },
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool) -> Outcome:  # noqa: ARG001 - called as all others are
    """Answer what *params* ask of the index."""
    question = Question(
        client=params["client"],
        job=params["job"],
        account=params["account"],
        point=params["point"],
        paths=tuple(params["paths"]),
        parts=tuple(PartGlob(part["name"], part["kind"]) for part in params["parts"]),
        limit=params["limit"],
        offset=params["offset"],
    )
    return list_backups(
        FileRegistry(Path(params["config_directory"])),
        Path(params["state_directory"]),
        params["destination"],
        question,
        now=datetime.now(timezone.utc),
    )
