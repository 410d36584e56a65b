# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of a run lies: one directory, which is removed afterwards."""

from __future__ import annotations

import contextlib
import tempfile
import typing as t
from pathlib import Path

from tests.servers.server import ServerError

if t.TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_OTHERS_MAY_PASS = 0o001


def add_place(parser: argparse.ArgumentParser) -> None:
    """Let the user of *parser* say where everything is to lie."""
    parser.add_argument(
        "--place",
        type=Path,
        default=Path(tempfile.gettempdir()),
        metavar="DIRECTORY",
        help="where tree, server and all else lies meanwhile; /dev/shm is memory (default: %(default)s)",
    )


@contextlib.contextmanager
def workshop(place: Path) -> Iterator[Path]:
    """Give a new directory in *place* which the server's user can reach the inside of."""
    place = place.resolve()
    for directory in (place, *place.parents):
        if not directory.stat().st_mode & _OTHERS_MAY_PASS:
            message = (
                f"Nobody but its owner can reach what is in {directory}, so the server cannot: choose another place."
            )
            raise ServerError(message)
    with tempfile.TemporaryDirectory(prefix="ftp-benchmark-", dir=place) as path:
        Path(path).chmod(0o711)
        yield Path(path)
