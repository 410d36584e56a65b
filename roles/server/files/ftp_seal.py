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

The tree belongs to somebody who may mean harm, and changes meanwhile. So what is gone is passed over, and what cannot
be sealed is told and stops nothing else, neither beside it nor in other accounts. The exit code is 1 then.
"""

from __future__ import annotations

import fcntl
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
# Below an account's directory; backups need 8. Each level costs a descriptor, and whoever stores chooses how many.
LEVELS = 32
# How many problems of an account are told in words; whoever stores could make a million.
TOLD = 10
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# Without waiting for the other end, should it have become a pipe.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Sealed(t.TypedDict):
    """What the file of the role holds; *after* is in seconds, and *directories* are those of the accounts."""

    keeper: int
    group: int
    after: int
    directories: dict[str, str]


class Seal:
    """One look at what an account has stored: how many files it sealed, and what it could not."""

    def __init__(self, sealed: Sealed, now: float) -> None:
        self.keeper = sealed["keeper"]
        self.group = sealed["group"]
        self.before = now - sealed["after"]
        self.count = 0
        self.problems: list[str] = []
        self.problem_count = 0

    def look(self, top: str) -> None:
        """Seal what lies below *top* and has been there for long enough."""
        try:
            # A missing one is told: an account without its directory is not in order.
            self._look(os.open(top, DIRECTORY), top, LEVELS)
        except OSError as error:
            self._tell(top, error.strerror)

    # By descriptors and without following links: this runs as root.

    def _look(self, directory: int, path: str, levels: int) -> bool:
        """Seal what is in *directory*, then itself if it holds something sealed, and close it; tell whether it does."""
        try:
            # What holds something is sealed after it: a run that is killed in between finds the rest by it.
            holds = [self._holds(name, directory, f"{path}/{name}", levels) for name in os.listdir(directory)]
            status = os.fstat(directory)
            if any(holds) and (status.st_uid, stat.S_IMODE(status.st_mode)) != (self.keeper, SEALED_DIRECTORY):
                os.fchown(directory, self.keeper, self.group)
                os.fchmod(directory, SEALED_DIRECTORY)
            return any(holds)
        finally:
            os.close(directory)

    def _holds(self, name: str, directory: int, path: str, levels: int) -> bool:
        """Seal the entry *name* if it is time; tell whether it is, or holds, something sealed."""
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return self._holds_file(name, directory, status)
            if levels:
                return self._look(os.open(name, DIRECTORY, dir_fd=directory), path, levels - 1)
            self._tell(path, f"More than {LEVELS} levels deep")
        except FileNotFoundError:
            # It was renamed or removed since the directory was listed.
            pass
        except OSError as error:
            self._tell(path, error.strerror)
        return False

    def _holds_file(self, name: str, directory: int, status: os.stat_result) -> bool:
        is_sealed = status.st_uid == self.keeper and name != QUOTA
        is_lone = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        is_passing = name == QUOTA or name.endswith(PASSING)
        is_ripe = not is_sealed and not is_passing and status.st_ctime <= self.before
        is_open = is_sealed and stat.S_IMODE(status.st_mode) != SEALED_FILE
        if not is_lone or not (is_ripe or is_open):
            return is_sealed
        file = os.open(name, FILE, dir_fd=directory)
        try:
            if not os.path.samestat(status, os.fstat(file)):
                # Another took its place; the next look will see to it.
                return False
            # First, so that whoever is stopped here leaves nothing that all may write; and last, as the account could
            # have changed it back as long as the file was its own.
            os.fchmod(file, SEALED_FILE)
            os.fchown(file, self.keeper, self.group)
            os.fchmod(file, SEALED_FILE)
        finally:
            os.close(file)
        self.count += is_ripe
        return True

    def _tell(self, path: str, reason: str | None) -> None:
        self.problem_count += 1
        if len(self.problems) < TOLD:
            # Names are whatever the account chose, line breaks and signs for the terminal included.
            self.problems.append(f"{path!a} is not sealed: {reason}.")


def main(arguments: list[str]) -> int:
    """Seal what the file named by the only argument lists; return 1 if something could not be."""
    path = Path(arguments[0])
    # The role holds it while it gives back what was sealed.
    lock = os.open(path.parent, DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sealed: Sealed = json.loads(path.read_text(encoding="utf-8"))
        # Each of them, also after one that failed.
        are_sealed = [_is_sealed(directory, sealed) for directory in sealed["directories"].values()]
    finally:
        os.close(lock)
    return 0 if all(are_sealed) else 1


def _is_sealed(directory: str, sealed: Sealed) -> bool:
    """Seal what the account of *directory* has stored, and say what was done, and what could not be."""
    seal = Seal(sealed, time.time())
    seal.look(directory)
    if seal.count:
        sys.stdout.write(f"Sealed {seal.count} files in {directory!a}.\n")
    for problem in seal.problems:
        sys.stderr.write(f"{problem}\n")
    if seal.problem_count > len(seal.problems):
        sys.stderr.write(f"Neither are {seal.problem_count - len(seal.problems)} more in {directory!a}.\n")
    return seal.problem_count == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
