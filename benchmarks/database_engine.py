# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up one database, or load it under another name, in a process of its own, and print the seconds of that alone.

Usage: python -m benchmarks.database_engine REQUEST, which is the JSON that a host of ours writes. The password of the
database's server stands in the environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
from ansible_collections.stowage.ftp_backup.plugins.module_utils.dumps import Source
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry, Host
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.loading import Load
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome

#: The variable that holds the password of the database's server.
PASSWORD = "BENCHMARK_DATABASE_PASSWORD"  # noqa: S105 - the name of a variable


def use_case(request: dict[str, t.Any]) -> Callable[[], Outcome]:
    """Return the call that *request* names, with everything ready but the call itself."""
    registry = FileRegistry(Path(request["config_directory"]))
    host = Host(Path(request["config_directory"]), Path(request["state_directory"]))
    options = request["options"]
    (destination,) = registry.names()
    login = Login(**options["login"], password=os.environ[PASSWORD])
    if request["call"] == "back_up":
        source = Source(options["kind"], (options["database"],), users=False, login=login)
        manner = {"structure": options["structure"], "compression": options["compression"], "force": True}
        wanted = Request(destination, options["job"], databases=(source,), **manner)
        return lambda: back_up(registry, host, wanted, check_mode=False)
    part = WantedPart("database", options["database"])
    load = Load(login, names={part: options["other"]})
    wish = Wish(destination, options["job"], None, parts=(part,), load=load)
    return lambda: restore(registry, host, wish, check_mode=False)


def main(text: str) -> None:
    """Do what *text* asks for."""
    call = use_case(json.loads(text))
    started = time.monotonic()
    try:
        outcome = call()
    except BackupError as error:
        sys.exit(str(error))
    print(json.dumps({"seconds": time.monotonic() - started, "warnings": outcome.warnings}))


if __name__ == "__main__":
    main(sys.argv[1])
