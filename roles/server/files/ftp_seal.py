# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal what accounts that only upload have stored, so that they can no longer change it.

A file that is older than a while is given to another user, the keeper. The account may still read it, and nothing else:
it cannot open it for writing, and as the directories are the keeper's too and have the sticky bit, it can neither
remove nor rename it, nor put another in its place. The keeper's own account, which prunes, can.

A directory is sealed as soon as it holds something that is sealed; so the locks of running backups, which are
directories without files, can be taken and given back. Temporary files and checkpoints are left alone: a later run of
the account removes them.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
import typing as t
from pathlib import Path

SEALED_DIRECTORY = 0o1770
SEALED_FILE = 0o640
QUOTA = ".ftpquota"
PASSING = (".tmp", ".checkpoint.gz")


class Sealed(t.TypedDict):
    """What the file of the role holds; *after* is in seconds, and *directories* are those of the accounts."""

    keeper: int
    group: int
    after: int
    directories: dict[str, str]


def seal(top: str, sealed: Sealed, now: float) -> int:
    """Seal what lies below *top* and was there before *now* by long enough; return how many files were."""
    keeper, group = sealed["keeper"], sealed["group"]
    holding: set[str] = set()
    count = 0
    # By descriptors and without following links: the tree belongs to somebody else, and this runs as root.
    for path, directories, files, descriptor in os.fwalk(top, topdown=False):
        holds = any(f"{path}/{name}" in holding for name in directories)
        for name in files:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if status.st_uid == keeper and name != QUOTA:
                holds = True
            elif _is_ripe(name, status, now - sealed["after"]):
                _give(name, descriptor, keeper, group)
                holds = True
                count += 1
        if holds:
            holding.add(path)
            status = os.fstat(descriptor)
            if (status.st_uid, stat.S_IMODE(status.st_mode)) != (keeper, SEALED_DIRECTORY):
                os.fchown(descriptor, keeper, group)
                os.fchmod(descriptor, SEALED_DIRECTORY)
    return count


def _is_ripe(name: str, status: os.stat_result, before: float) -> bool:
    is_passing = name == QUOTA or name.endswith(PASSING)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not is_passing and status.st_ctime <= before


def _give(name: str, directory: int, keeper: int, group: int) -> None:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    try:
        os.fchown(file, keeper, group)
        os.fchmod(file, SEALED_FILE)
    finally:
        os.close(file)


def main(arguments: list[str]) -> int:
    """Seal what the file named by the only argument lists."""
    sealed: Sealed = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    for directory in sealed["directories"].values():
        count = seal(directory, sealed, time.time())
        if count:
            sys.stdout.write(f"Sealed {count} files in {directory}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
