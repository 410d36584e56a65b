# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reindex in a process of its own, which can kill or stop itself at an exact moment.

It reads its order from standard input and writes what became of it to standard output, as `child` does for backups.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from tests.engine.child import Deeds, Strike
from tests.engine.site import NAME, Run

if t.TYPE_CHECKING:
    from tests.engine.site import Site


def start(site: Site, strike: Strike, client: str | None = None) -> Run:
    """Start a reindex of the *site*'s destination, or of one *client* there, which does *strike* to itself."""
    order = {"home": str(site.home), "client": client, "strike": strike._asdict()}
    process = subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    return Run(process)


def main() -> None:
    order = json.load(sys.stdin)
    home = Path(order["home"])
    deeds = Deeds(Strike(**order["strike"]), str(home / "var"))
    deeds.install()
    said: dict[str, object]
    try:
        outcome = reindex(FileRegistry(home / "etc"), home / "var", NAME, client=order["client"], check_mode=False)
        said = {**outcome.values, "changed": outcome.changed, "warnings": outcome.warnings}
    except BackupError as error:
        said = {"kind": error.kind, "msg": str(error)}
    json.dump({**said, "deeds": deeds.count}, sys.stdout)


if __name__ == "__main__":
    main()
