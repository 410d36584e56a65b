# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module ``destination``, and what they ask for."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..destination import ensure_absent, ensure_present
from ..registry import CPANEL, NATIVE, Destination, FileRegistry
from ..spec import Spec
from .shared import STATE_OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..outcome import Outcome

SPEC = Spec(
    options={
        **STATE_OPTIONS,
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "engine": {"type": "str", "choices": [NATIVE, CPANEL], "default": NATIVE},
        "directory": {"type": "str", "default": "."},
        "host": {"type": "str"},
        "port": {"type": "int", "default": 21},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "password_file": {"type": "path", "no_log": False},
        "timeout": {"type": "int", "default": 30},
        "max_retries": {"type": "int", "default": 5},
        "max_connections": {"type": "int", "default": 4},
        "tls": {"type": "bool", "default": True},
        "passive": {"type": "bool", "default": True},
        "bandwidth_limit": {"type": "int", "default": 0},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "certificate_fingerprints": {"type": "list", "elements": "str", "default": []},
        "accept_unidentified_server": {"type": "bool", "default": False},
        "read_only": {"type": "bool", "default": False},
        "validate": {"type": "bool", "default": True},
    },
    required_if=[
        ("state", "present", ["host", "username"]),
        ("state", "present", ["password", "password_file"], True),
    ],
    mutually_exclusive=[("password", "password_file")],
)


def perform(params: Mapping[str, t.Any], *, check_mode: bool) -> Outcome:
    """Declare the destination that *params* describe, or forget it."""
    registry = FileRegistry(Path(params["config_directory"]))
    if params["state"] == "absent":
        return ensure_absent(registry, params["name"], check_mode=check_mode)

    wanted = Destination(
        name=params["name"],
        host=params["host"],
        port=params["port"],
        username=params["username"],
        password=params["password"],
        password_file=params["password_file"],
        directory=params["directory"],
        timeout=params["timeout"],
        max_retries=params["max_retries"],
        max_connections=params["max_connections"],
        tls=params["tls"],
        passive=params["passive"],
        bandwidth_limit=params["bandwidth_limit"],
        accept_unidentified_server=params["accept_unidentified_server"],
        read_only=params["read_only"],
        engine=params["engine"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        certificate_fingerprints=tuple(params["certificate_fingerprints"]),
    )
    return ensure_present(
        registry,
        Path(params["state_directory"]),
        wanted,
        validate=params["validate"],
        check_mode=check_mode,
    )
