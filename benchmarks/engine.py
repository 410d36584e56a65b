# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one use case of the collection in a process of its own, and print the seconds of the call alone.

Usage: python -m benchmarks.engine REQUEST, which is the JSON that a host of ours writes.
"""

from __future__ import annotations

import json
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.destination import ensure_present
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import Destination, FileRegistry, Host
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_account import AccountWish, restore_account
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import parse_policy

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome


def use_case(request: dict[str, t.Any]) -> Callable[[], Outcome]:
    """Return the call that *request* names, with everything ready but the call itself."""
    registry = FileRegistry(Path(request["config_directory"]))
    host = Host(Path(request["config_directory"]), Path(request["state_directory"]))
    options = request["options"]
    if request["call"] == "declare":
        destination = Destination(**options)
        return lambda: ensure_present(registry, host.state_directory, destination, validate=True, check_mode=False)
    if request["call"] == "back_up":
        typed = {"paths": tuple(options["paths"]), "retention": parse_policy(options["retention"])}
        wanted = Request(**{**options, **typed})
        return lambda: back_up(registry, host, wanted, check_mode=False)
    if request["call"] == "reindex":
        return lambda: reindex(registry, host.state_directory, options["destination"], check_mode=False)
    if request["call"] == "restore_account":
        parts = tuple(WantedPart(*part) for part in options["parts"])
        asked = AccountWish(**{**options, "parts": parts, "target": Path(options["target"])})
        return lambda: restore_account(registry, host, asked, check_mode=False)
    wish = Wish(**{**options, "paths": tuple(options["paths"]), "target": Path(options["target"])})
    return lambda: restore(registry, host, wish, check_mode=False)


def main(text: str) -> None:
    """Do what *text* asks for."""
    call = use_case(json.loads(text))
    started = time.monotonic()
    outcome = call()
    print(json.dumps({"seconds": time.monotonic() - started, "warnings": outcome.warnings}))


if __name__ == "__main__":
    main(sys.argv[1])
