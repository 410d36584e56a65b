# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has declared one destination: how it makes its index, and what it asks of it."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from datetime import datetime, timezone

from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import Question, list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from tests.outcomes import without_run

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage

# A value of one of Question's fields; a list stands for a tuple.
Asked = t.Any

FAR = Destination("far", "ftp.example.com", "backup", max_connections=2)
NOW = datetime(2026, 11, 22, 4, tzinfo=timezone.utc)


class Host:
    """A host that has declared one destination, which *storage* stands for."""

    def __init__(self, directory: Path, storage: Storage) -> None:
        self.state_directory = directory / "state"
        self.storage = storage
        self.registry = FileRegistry(directory / "config")
        self.registry.put(FAR)

    @property
    def state(self) -> DestinationState:
        return DestinationState(self.state_directory, FAR.name, FAR.place)

    @contextmanager
    def _open(
        self, destination: Destination, mark: str, state: DestinationState, *, may_write: bool, warm: int = 0
    ) -> Iterator[Storage]:
        assert (destination, bool(mark), warm > 0) == (FAR, True, True)
        assert state.directory == self.state.directory
        assert isinstance(may_write, bool)
        yield self.storage

    def reindex(self, *, client: str | None = None, rebuild: bool = False, check_mode: bool = False) -> Outcome:
        return reindex(
            self.registry,
            self.state_directory,
            FAR.name,
            client=client,
            rebuild=rebuild,
            check_mode=check_mode,
            open_storage=self._open,
        )

    def answer(self, **asked: Asked) -> dict[str, t.Any]:
        """Return what the index answers."""
        fields: dict[str, t.Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in asked.items()}
        question = Question(**fields)
        outcome = list_backups(self.registry, self.state_directory, FAR.name, question, now=NOW)
        assert not outcome.changed
        return without_run(outcome.values)

    def points(self) -> list[tuple[str, str, int]]:
        return [(point["client"], point["job"], point["seq"]) for point in self.answer()["points"]]

    def files(self) -> dict[str, bytes]:
        """Return all that lies in the state directory, with its content."""
        paths = sorted(path for path in self.state_directory.rglob("*") if path.is_file())
        return {str(path.relative_to(self.state_directory)): path.read_bytes() for path in paths}
