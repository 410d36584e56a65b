# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that loads a dump and is killed: it reads what to do as JSON, and waits where it is told to.

Its arguments are the login, the name, the facts, the file of the dump, and after how many bytes of it to wait: it says
so by a line, and goes on only with a line that it gets. A dump without facts is a stranger's.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from dataclasses import asdict
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.mysql import MySqlServer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def loading(login: Login, name: str, facts: object, dump: Path, place: int) -> Iterator[subprocess.Popen[str]]:
    """Run this process, which loads *dump* as *name* and has come to *place*; it is killed in the end."""
    arguments = (json.dumps(asdict(login)), name, json.dumps(facts), str(dump), str(place))
    with subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "waiting\n"
            yield child
        finally:
            child.kill()


def main(login: str, name: str, facts: str, dump: str, wait_after: str) -> None:
    content = Path(dump).read_bytes()
    place = int(wait_after)

    def pieces() -> Iterator[bytes]:
        yield content[:place]
        sys.stdout.write("waiting\n")
        sys.stdout.flush()
        sys.stdin.readline()
        yield content[place:]

    server = MySqlServer(Login(**json.loads(login)))
    if json.loads(facts) is None:
        server.load_foreign(name, pieces(), replace=True)
    else:
        server.load(name, json.loads(facts), pieces(), replace=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
