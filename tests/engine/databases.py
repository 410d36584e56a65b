# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of databases that is nothing but memory, and fails where it is told to, as no real one can be made to do.

Real ones are in ``tests/databases``.
"""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Database
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Facts
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Buffer

_PIECE = 60_000  # what a pipe gives at once


@dataclass
class MemoryServer:
    """Databases by name.

    Dumps of what is in *failing* break off after so many bytes, *stands_still* is how often each of them has nothing
    yet when it is asked, and a server that *is_down* does nothing at all.
    """

    contents: dict[str, bytes] = field(default_factory=dict)
    users: bytes = b"CREATE USER shop;\n"
    failing: dict[str, int] = field(default_factory=dict)
    stands_still: int = 0
    is_down: bool = False
    loaded_users: list[bytes] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    left_open: int = 0
    told: list[str] = field(default_factory=list)
    on_begin: Callable[[str], None] = lambda _name: None

    def databases(self) -> list[Database]:
        self._require_up()
        return [Database(name, len(content)) for name, content in self.contents.items()]

    @contextmanager
    def dump(self, name: str) -> Iterator[MemoryDump]:
        self.on_begin(name)
        self._require_up()
        self.left_open += 1
        try:
            content = self.contents[name]
            yield MemoryDump(self, name, content, {"charset": "utf8mb4", "length": len(content)})
        finally:
            self.left_open -= 1

    @contextmanager
    def dump_users(self) -> Iterator[MemoryDump]:
        yield MemoryDump(self, "", self.users, {})

    def users_size(self) -> int:
        return len(self.users)

    def require_room(self, name: str, *, replace: bool) -> None:
        self._require_up()
        if self.contents.get(name) and not replace:
            raise DatabaseError(f"The database {name!r} is not empty.")

    def load(self, name: str, facts: Facts, content: Iterable[Buffer], *, replace: bool) -> None:
        self.require_room(name, replace=replace)
        loaded = b"".join(bytes(piece) for piece in content)
        assert facts["length"] == len(loaded)
        self.contents[name] = loaded
        self.loads.append(name)

    def load_users(self, content: Iterable[Buffer]) -> None:
        self.loads.append("users")
        self.loaded_users.append(b"".join(bytes(piece) for piece in content))

    def _require_up(self) -> None:
        if self.is_down:
            raise DatabaseError("The server cannot be reached: connection refused.")


class MemoryDump:
    """A dump that comes piece by piece."""

    def __init__(self, server: MemoryServer, name: str, content: bytes, facts: Facts) -> None:
        self._name = name
        self._content = content
        self._end = server.failing.get(name)
        self._stands_still = server.stands_still
        self._position = 0
        self._facts = facts
        self.facts: Facts = {}
        self.warnings = server.told

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        self._stands_still -= 1
        return self._stands_still < 0

    def read_into(self, view: memoryview) -> int:
        if self._end is not None and self._position >= self._end:
            raise DatabaseError(f"The dump of {self._name!r} broke off.")
        piece = self._content[self._position : self._position + min(len(view), _PIECE)]
        view[: len(piece)] = piece
        self._position += len(piece)
        if not piece:
            self.facts = self._facts
        return len(piece)
