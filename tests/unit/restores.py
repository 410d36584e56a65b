# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of what was laid by hand, from a storage in memory: no server and no backup is needed."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import restore as restoring
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import Destination, FileRegistry, Host
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_content import LaidJob, Value

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome

NAME = "offsite"
MEASURED = {"bytes_received": 0, "duration": 0.0}  # what is another figure in each run


@dataclass(frozen=True)
class Restores:
    """A host with an empty *target*, and a *job* that is laid in a directory."""

    home: Path
    job: LaidJob
    monkeypatch: pytest.MonkeyPatch
    connections: int = 4

    @property
    def target(self) -> Path:
        return self.home / "target"

    @property
    def srv(self) -> Path:
        """Where what was at ``/srv`` comes to lie."""
        return self.target / "srv"

    @property
    def host(self) -> Host:
        return Host(self.home / "etc", self.home / "var", name=lambda: "web01")

    def storage(self) -> FakeStorage:
        """Return a storage that holds what was laid so far."""
        root = self.home / "server"
        storage = FakeStorage()
        for path in root.rglob("*"):
            if path.is_dir():
                storage.directories.add(PurePosixPath(path.relative_to(root)))
            else:
                storage.files[PurePosixPath(path.relative_to(root))] = path.read_bytes()
        return storage

    def bring_back(self, *, storage: FakeStorage | None = None, check_mode: bool = False, **options: Value) -> Outcome:
        registry = FileRegistry(self.home / "etc")
        registry.put(
            Destination(NAME, "ftp.example.com", "backup", password="secret", max_connections=self.connections)
        )
        used = storage or self.storage()

        @contextmanager
        def opened(*_arguments: object, **_options: object) -> Iterator[FakeStorage]:
            yield used

        self.monkeypatch.setattr(restoring, "open_storage", opened)
        wish = Wish(NAME, "nightly", options.pop("target", self.target), **options)
        before = set(Path("/proc/self/fd").iterdir())
        try:
            return restoring.restore(registry, self.host, wish, check_mode=check_mode, shows=True)
        finally:
            assert set(Path("/proc/self/fd").iterdir()) <= before, "a descriptor was left open"

    def bring_back_in_vain(self, **options: Value) -> str:
        """Return the sentence of a restore that must fail."""
        with pytest.raises(BackupError) as raised:
            self.bring_back(**options)
        return str(raised.value)

    def names(self) -> set[str]:
        """Return what lies below ``/srv`` in the target."""
        return {str(path.relative_to(self.srv)) for path in self.srv.rglob("*")}


def restores_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Restores:
    """Return a host and a job whose directories lie in *home*."""
    return Restores(home, LaidJob(home / "server"), monkeypatch)
