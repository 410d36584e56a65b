# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``backup``, and what they ask for."""

from __future__ import annotations

import typing as t
from os.path import normpath
from pathlib import Path

from ..ages import parse_age
from ..backup import STRUCTURES, Request, back_up
from ..commands import Command
from ..databases.servers import TYPES
from ..dumps import Source
from ..native.entries import Rules
from ..progress import SILENT
from ..registry import FileRegistry, Host
from ..retention import parse_policy
from ..spec import Spec
from .shared import JOB_OPTIONS, LOGIN_OPTIONS, login_of, size_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..outcome import Outcome
    from ..progress import Progress

_COMMANDS = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {"command": {"type": "str", "required": True}, "timeout": {"type": "str", "default": "1h"}},
}
SPEC = Spec(
    options={
        **JOB_OPTIONS,
        "job": {"type": "str", "required": True},
        "paths": {"type": "list", "elements": "path"},
        "databases": {
            "type": "list",
            "elements": "dict",
            "options": {
                "type": {"type": "str", "choices": list(TYPES), "required": True},
                "name": {"type": "list", "elements": "str", "default": ["all"]},
                "exclude": {"type": "list", "elements": "str", "default": []},
                "path": {"type": "path"},
                "users": {"type": "bool", "default": True},
                "label": {"type": "str"},
                "on_failure": {"type": "str", "choices": ["fail", "partial"], "default": "fail"},
                **LOGIN_OPTIONS,
            },
            "required_if": [("type", "sqlite", ["path"])],
            "mutually_exclusive": [("host", "socket"), ("path", "host"), ("path", "socket")],
        },
        "pre_commands": _COMMANDS,
        "post_commands": _COMMANDS,
        "exclude": {"type": "list", "elements": "str", "default": []},
        "one_file_system": {"type": "bool", "default": False},
        "exclude_caches": {"type": "bool", "default": True},
        "exclude_marker": {"type": "str"},
        "structure": {"type": "str", "choices": list(STRUCTURES), "default": "incremental"},
        "compression": {"type": "str", "choices": ["gzip", "zstd", "none"], "default": "gzip"},
        "retention": {
            "type": "dict",
            "options": {
                "last": {"type": "int"},
                "hourly": {"type": "int"},
                "daily": {"type": "int"},
                "weekly": {"type": "int"},
                "monthly": {"type": "int"},
                "yearly": {"type": "int"},
                "within": {"type": "str"},
            },
        },
        "max_age": {"type": "str", "default": "12h"},
        "force": {"type": "bool", "default": False},
        "adopt": {"type": "bool", "default": False},
        "allow_shrink": {"type": "bool", "default": False},
        "on_problem": {"type": "str", "choices": ["warn", "fail"], "default": "warn"},
        "checksum": {"type": "bool", "default": False},
        "volume_size": {"type": "str", "default": "32M"},
        "verify": {"type": "str", "choices": ["size", "readback"], "default": "size"},
    },
    required_one_of=[("paths", "databases")],
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool, progress: Progress = SILENT) -> Outcome:
    """Make sure that there is a restore point as *params* say."""
    config_directory = Path(params["config_directory"])
    host = Host(config_directory, Path(params["state_directory"]), progress=progress)
    return back_up(FileRegistry(config_directory), host, request_of(params), check_mode=check_mode)


def request_of(params: Mapping[str, t.Any]) -> Request:
    """Return what *params* ask for; raise what is wrong with them whatever the host and the destination are."""
    return Request(
        destination=params["destination"],
        job=params["job"],
        client=params["client"],
        paths=tuple({_without_detours(path): None for path in params["paths"] or ()}),
        databases=tuple(map(_source_of, params["databases"] or ())),
        pre_commands=_commands_of("pre_commands", params["pre_commands"]),
        post_commands=_commands_of("post_commands", params["post_commands"]),
        structure=params["structure"],
        compression=params["compression"],
        retention=parse_policy(params["retention"] or {}),
        max_age=parse_age(params["max_age"]),
        force=params["force"],
        adopt=params["adopt"],
        rules=Rules(
            exclude=tuple(params["exclude"]),
            one_file_system=params["one_file_system"],
            caches=params["exclude_caches"],
            marker=params["exclude_marker"],
        ),
        checksum=params["checksum"],
        allow_shrink=params["allow_shrink"],
        fails_if_partial=params["on_problem"] == "fail",
        reads_back=params["verify"] == "readback",
        volume_size=size_of(params["volume_size"], "volume_size"),
    )


def _without_detours(path: str) -> str:
    """Return *path* as it is called in a restore point: one that is written otherwise asks for nothing else."""
    return f"/{normpath(path).lstrip('/')}" if path.startswith("/") else path


def _source_of(values: Mapping[str, t.Any]) -> Source:
    return Source(
        type=values["type"],
        names=tuple(values["name"]),
        exclude=tuple(values["exclude"]),
        label=values["label"],
        users=values["users"],
        is_required=values["on_failure"] == "fail",
        path=values["path"],
        login=login_of(values),
    )


def _commands_of(option: str, values: Sequence[Mapping[str, t.Any]]) -> tuple[Command, ...]:
    return tuple(Command(value["command"], parse_age(value["timeout"], f"The timeout of {option}")) for value in values)
