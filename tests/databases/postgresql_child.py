# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load in a process of its own, which comes halfway, says so, and waits to be killed.

It reads its order as JSON from the first line of standard input: the login, the name of the database, its facts, and
where the dump lies.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.postgresql import PostgreSQL
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 65536


def half_of(content: bytes) -> Iterator[bytes]:
    """Yield the first half of *content*, then nothing for ever."""
    for start in range(0, len(content) // 2, _PIECE):
        yield content[start : start + _PIECE]
    sys.stdout.write("halfway\n")
    sys.stdout.flush()
    sys.stdin.read()


def main() -> None:
    order = json.loads(sys.stdin.readline())
    content = half_of(Path(order["dump"]).read_bytes())
    PostgreSQL(Login(**order["login"])).load(order["name"], order["facts"], content, replace=True)


if __name__ == "__main__":
    main()
