# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers with virtual users have in common: homes on disk, and password hashes that are cheap to check."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .server import FtpUser


# Nobody's in /etc/passwd, so that no file of a test ever belongs to a real account.
UID = 54321


def make_homes(directory: Path, users: Iterable[FtpUser], *, owner: int = UID) -> None:
    """Make every user's home below *directory*, all of them owned by *owner*."""
    for user in users:
        home = directory / user.home
        home.mkdir(exist_ok=True)
        os.chown(home, owner, owner)


@contextlib.contextmanager
def reachable_directory() -> Iterator[Path]:
    """Give a directory an ordinary user can reach the inside of, which those that pytest gives are not to."""
    # TMPDIR may be closed to other users.
    with tempfile.TemporaryDirectory(prefix="ftp-homes-", dir="/tmp") as path:
        directory = Path(path)
        directory.chmod(0o711)
        yield directory


def crypt_hash(password: str) -> str:
    """Return a SHA-512 crypt hash, which takes a server milliseconds to check."""
    return subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=password,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.strip()
