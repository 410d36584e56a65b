# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``restore``, and what they ask for."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..errors import UsageError
from ..progress import SILENT
from ..registry import FileRegistry, Host
from ..restore import Wish, restore
from ..restore_account import AccountWish, restore_account
from ..restoring.loading import Load
from ..restoring.selection import WantedPart
from ..spec import Spec
from .shared import JOB_OPTIONS, LOGIN_OPTIONS, login_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome
    from ..progress import Progress

SPEC = Spec(
    options={
        **JOB_OPTIONS,
        "job": {"type": "str"},
        "account": {"type": "str"},
        "rebuild": {"type": "str", "choices": ["cpmove"]},
        "point": {"type": "str", "default": "latest"},
        "paths": {"type": "list", "elements": "str", "default": []},
        "parts": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "kind": {"type": "str", "default": "files"},
                "name": {"type": "str"},
                "into": {"type": "str"},
            },
            "required_by": {"into": ["name"]},
        },
        "load": {"type": "bool", "default": False},
        "replace": {"type": "bool", "default": False},
        "server": {"type": "dict", "options": LOGIN_OPTIONS, "mutually_exclusive": [("host", "socket")]},
        "target": {"type": "path"},
        "in_place": {"type": "bool", "default": False},
        "overwrite": {"type": "str", "choices": ["changed", "always", "never"], "default": "changed"},
        "delete_extra": {"type": "bool", "default": False},
        "owner": {"type": "str", "choices": ["keep", "map", "current"], "default": "keep"},
        "checksum": {"type": "bool", "default": False},
    },
    mutually_exclusive=[
        ("target", "in_place"),
        ("paths", "parts"),
        ("job", "account"),
        ("client", "account"),
        ("in_place", "account"),
        ("delete_extra", "account"),
    ],
    required_one_of=[("job", "account")],
    required_by={"rebuild": ["account", "target"]},
)


def perform(
    params: Mapping[str, t.Any], *, check_mode: bool, progress: Progress = SILENT, shows: bool = False
) -> Outcome:
    """Bring back what *params* wish; *shows* each difference that this makes."""
    if params["account"] is not None:
        return _bring_back_account(params, check_mode=check_mode, progress=progress, shows=shows)
    config_directory = Path(params["config_directory"])
    wish = Wish(
        destination=params["destination"],
        job=params["job"],
        client=params["client"],
        point=params["point"],
        paths=tuple(params["paths"]),
        parts=tuple(WantedPart(part["kind"], part["name"]) for part in params["parts"]),
        target=Path("/") if params["in_place"] else None if params["target"] is None else Path(params["target"]),
        load=_load_of(params),
        overwrite=params["overwrite"],
        delete_extra=params["delete_extra"],
        owner=params["owner"],
        checksum=params["checksum"],
    )
    host = Host(config_directory, Path(params["state_directory"]), progress=progress)
    return restore(FileRegistry(config_directory), host, wish, check_mode=check_mode, shows=shows)


def _bring_back_account(params: Mapping[str, t.Any], *, check_mode: bool, progress: Progress, shows: bool) -> Outcome:
    config_directory = Path(params["config_directory"])
    wish = AccountWish(
        destination=params["destination"],
        account=params["account"],
        point=params["point"],
        paths=tuple(params["paths"]),
        parts=tuple(WantedPart(part["kind"], part["name"]) for part in params["parts"]),
        target=None if params["target"] is None else Path(params["target"]),
        load=_load_of(params),
        overwrite=params["overwrite"],
        owner=params["owner"],
        checksum=params["checksum"],
        rebuild=params["rebuild"],
    )
    host = Host(config_directory, Path(params["state_directory"]), progress=progress)
    return restore_account(FileRegistry(config_directory), host, wish, check_mode=check_mode, shows=shows)


def _load_of(params: Mapping[str, t.Any]) -> Load | None:
    """Return how databases are to be loaded, or None if they are not."""
    names = {WantedPart(part["kind"], part["name"]): part["into"] for part in params["parts"] if part["into"]}
    if not params["load"]:
        if names or params["replace"] or params["server"]:
            raise UsageError("What is said of databases has a meaning only with load: true.")
        return None
    server = params["server"] or dict.fromkeys(LOGIN_OPTIONS)
    return Load(login_of(server), replace=params["replace"], names=names)
