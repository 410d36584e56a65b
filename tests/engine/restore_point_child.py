# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change to a restore point in a process of its own, which can kill or stop itself at an exact moment.

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
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry, Host
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_point import (
    Which,
    ensure_absent,
    ensure_present,
)
from tests.engine.child import Deeds, Strike

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome


def start(
    config: Path, state: Path, which: Which, strike: Strike, *, protected: bool | None, force: bool
) -> subprocess.Popen[str]:
    """Start the change: *protected* or not, and None removes the restore point, with *force* or without."""
    order = {
        "config_directory": str(config),
        "state_directory": str(state),
        "which": [which.destination, which.job, which.point],
        "protected": protected,
        "force": force,
        "strike": strike._asdict(),
    }
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
    return process


def main() -> None:
    order = json.load(sys.stdin)
    host = Host(Path(order["config_directory"]), Path(order["state_directory"]))
    deeds = Deeds(Strike(**order["strike"]), order["state_directory"])
    deeds.install()
    try:
        outcome = _changed(host, Which(*order["which"]), protected=order["protected"], force=order["force"])
        said = {**outcome.values, "warnings": outcome.warnings}
    except BackupError as error:
        said = {"kind": error.kind, "msg": str(error)}
    json.dump({**said, "deeds": deeds.count}, sys.stdout)


def _changed(host: Host, which: Which, *, protected: bool | None, force: bool) -> Outcome:
    registry = FileRegistry(host.config_directory)
    if protected is None:
        return ensure_absent(registry, host, which, force=force, check_mode=False)
    return ensure_present(registry, host, which, protected=protected, check_mode=False)


if __name__ == "__main__":
    main()
