# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose destination has backups that cPanel made, and what modules do with them."""

from __future__ import annotations

import os
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ansible_collections.stowage.ftp_backup.plugins.module_utils import connections
from ansible_collections.stowage.ftp_backup.plugins.module_utils.destination import ensure_present
from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import Question, list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import SILENT
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
    Host,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_account import AccountWish, restore_account
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from tests.cpanel.archives import DIRECTORY_FORM, TAR_GZ, Shape, write_directory, write_file

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path, PurePosixPath

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import Progress
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Reader, Storage
    from tests.cpanel.accounts import Account
    from tests.servers.server import FtpServer

NAME = "cPanel backups"
PLAIN = Shape()

# A value of one of the options of what is called.
Option = t.Any


@dataclass
class Customer:
    """One host, whose own directories lie below *home*; *opened* are the files that the last reindex looked into.

    *progress* is told how far each run has come.
    """

    server: FtpServer
    home: Path
    opened: list[str] = field(default_factory=list)
    progress: Progress = SILENT

    @property
    def registry(self) -> FileRegistry:
        return FileRegistry(self.home / "etc")

    @property
    def host(self) -> Host:
        return Host(self.home / "etc", self.home / "var", name=lambda: "customer", progress=self.progress)

    @property
    def state(self) -> DestinationState:
        destination = self.registry.get(NAME)
        assert destination is not None
        return DestinationState(self.home / "var", destination.name, destination.place)

    @property
    def top(self) -> Path:
        """The directory of the destination on the server's disk."""
        return self.server.root

    def declare(self, **options: Option) -> Outcome:
        server = self.server
        wanted = Destination(
            name=NAME,
            host=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            directory=str(server.directory.relative_to("/")),
            ca_path=str(server.ca_path),
            engine="cpanel",
            **options,
        )
        return ensure_present(self.registry, self.home / "var", wanted, validate=True, check_mode=False)

    def reindex(self, *, check_mode: bool = False, rebuild: bool = False) -> Outcome:
        """Reindex, and note in *opened* each file whose content was asked for."""
        self.opened.clear()

        return reindex(
            self.registry,
            self.home / "var",
            NAME,
            rebuild=rebuild,
            check_mode=check_mode,
            open_storage=self._watched,
            progress=self.progress,
        )

    @contextmanager
    def _watched(self, *arguments: Option, **options: Option) -> Iterator[Storage]:
        """Open the storage, and note which files are opened and read there."""
        with connections.open_storage(*arguments, **options) as storage:
            open_one, read = storage.open, storage.read

            def opened(path: PurePosixPath, *rest: Option) -> AbstractContextManager[Reader]:
                self.opened.append(str(path))
                return open_one(path, *rest)

            def noted(path: PurePosixPath, *rest: Option) -> bytes:
                self.opened.append(str(path))
                return read(path, *rest)

            storage.open, storage.read = opened, noted  # type: ignore[method-assign,assignment] # this is the point
            yield storage

    def ask(self, **question: Option) -> dict[str, t.Any]:
        """Return what the index answers."""
        now = datetime(2026, 11, 26, tzinfo=timezone.utc)
        return list_backups(self.registry, self.home / "var", NAME, Question(**question), now=now).values

    def restore(self, account: str, target: Path | None, *, check_mode: bool = False, **options: Option) -> Outcome:
        if "parts" in options:
            options["parts"] = tuple(WantedPart(*part) for part in options["parts"])
        return restore_account(
            self.registry, self.host, AccountWish(NAME, account, target, **options), check_mode=check_mode
        )

    def points(self, **question: Option) -> Iterator[dict[str, t.Any]]:
        """Yield all restore points."""
        yield from self.ask(limit=1000, **question)["points"]


def hand_over(server: FtpServer) -> None:
    """Give all that lies in the directory of *server* to the user who serves it, as cPanel's uploads would be."""
    owner = server.root.stat()
    for directory, directories, files in os.walk(os.fsencode(server.root)):
        for name in (*directories, *files):
            os.chown(directory + b"/" + name, owner.st_uid, owner.st_gid, follow_symlinks=False)


def as_served(account: Account, form: str) -> Account:
    """Return what a server shows of *account* in its *form*: of a directory, Pure-FTPd keeps some names to itself.

    It lists no name with a control character, serves none with a backslash, and reads no more than its user may.
    """
    if form != DIRECTORY_FORM:
        return account
    return account.without(
        *(b"homedir/odd/line\n", b"homedir/odd/tab\t", b"homedir/odd/back\\", b"homedir/odd/unreadable")
    )


def put(customer: Customer, account: Account, directory: str, form: str = TAR_GZ, shape: Shape = PLAIN) -> str:
    """Put a backup of *account* into a *directory* of the destination, and return its path there."""
    name = account.user if form == DIRECTORY_FORM else f"{account.user}.{form}"
    path = customer.top / directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == DIRECTORY_FORM:
        write_directory(account, path)
    else:
        write_file(account, path, form, shape)
    hand_over(customer.server)
    return f"{directory}/{name}"
