# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, one class for each thing a user can do about it.

::

    BackupError                     the one base: ``str(error)`` is the whole sentence the user reads
    ├── UsageError                  an option cannot work as it was given
    ├── LocalError                  the host's own files or state
    ├── StorageError                the FTP storage, or the way to it
    │   ├── UnreachableError        no connection could be made
    │   ├── TrustError              TLS was refused, or the certificate is not to be trusted
    │   ├── LoginError              the server does not let this user in
    │   ├── BusyError               too many connections at the moment
    │   ├── InterruptedTransferError   a connection or a transfer broke; the same may work a moment later
    │   ├── SpaceError              no space or no quota is left
    │   ├── MissingError            there is no such file or directory, or none this user may see
    │   └── RefusedError            the server says no, and will say no again
    ├── DatabaseError               a database server, or the program that speaks to it
    ├── CommandError                a command of the user's, before or after the backup, failed
    ├── DamageError                 what is stored is not what was stored once
    ├── AbandonedError              the work this belonged to was given up; what stopped it is told elsewhere
    ├── ShrunkError                 the tree has lost so much that something must be missing
    ├── PartialError                a restore point was made, and lacks what could not be read
    ├── LockedError                 another run is at work on the job
    └── ForeignError                the job belongs to another host
"""

from __future__ import annotations

import typing as t
from contextlib import contextmanager

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .outcome import Outcome


class BackupError(Exception):
    """The one base: ``str(error)`` is the whole sentence the user reads."""

    kind = "backup"
    #: What became of the run all the same: a failure tells it beside what failed.
    outcome: Outcome | None = None

    def details(self) -> dict[str, object]:
        """Return what else the result's ``failure`` should hold, as RETURN documents it."""
        return {}


class UsageError(BackupError):
    """An option cannot work as it was given."""

    kind = "usage"


class LocalError(BackupError):
    """The host's own files, directories or state are in the way."""

    kind = "local"


class StorageError(BackupError):
    """The storage, or the way to it, did not do what was asked; *code* is the FTP reply's, if there was one."""

    kind = "storage"
    #: Whether this is no trouble of one file: no connection could be had, and enough has been tried.
    is_final = False

    def __init__(self, sentence: str, *, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code

    def details(self) -> dict[str, object]:
        return {} if self.code is None else {"code": self.code}


class UnreachableError(StorageError):
    """No connection could be made."""

    kind = "unreachable"


class TrustError(StorageError):
    """TLS was refused, or the server's certificate is not to be trusted."""

    kind = "trust"


class LoginError(StorageError):
    """The server does not let this user in."""

    kind = "login"


class BusyError(StorageError):
    """The server takes no more connections at the moment."""

    kind = "busy"


class InterruptedTransferError(StorageError):
    """A connection or a transfer broke; the same may work a moment later.

    *lacks_reuse*: the server may have refused the data connection because it did not resume the control's session.
    """

    kind = "interrupted"

    def __init__(self, sentence: str, *, code: int | None = None, lacks_reuse: bool = False) -> None:
        super().__init__(sentence, code=code)
        self.lacks_reuse = lacks_reuse


class SpaceError(StorageError):
    """No space or no quota is left on the server."""

    kind = "space"


class MissingError(StorageError):
    """There is no such file or directory, or none that this user may see."""

    kind = "missing"


class RefusedError(StorageError):
    """The server says no, and will say no again."""

    kind = "refused"


class DatabaseError(BackupError):
    """A database server, or the client program that speaks to it, did not do what was asked."""

    kind = "database"


class CommandError(BackupError):
    """A command that the user wants to be run before or after the backup did not do what it should."""

    kind = "command"


class DamageError(BackupError):
    """What is stored is not what was stored once."""

    kind = "damage"


class AbandonedError(BackupError):
    """The work this belonged to was given up; what stopped it is told elsewhere."""

    kind = "abandoned"


class ShrunkError(BackupError):
    """The tree has lost so much since the last restore point that something must be missing."""

    kind = "shrunk"


class PartialError(BackupError):
    """A restore point was made, and lacks what could not be read; the *outcome* has it."""

    kind = "partial"

    def __init__(self, sentence: str, outcome: Outcome) -> None:
        super().__init__(sentence)
        self.outcome = outcome


class LockedError(BackupError):
    """Another run is at work on the job."""

    kind = "locked"


class ForeignError(BackupError):
    """The job belongs to another host."""

    kind = "foreign"


@contextmanager
def told_as(deed: str) -> Iterator[None]:
    """Turn what the host's file system raises into the sentence that *deed* begins."""
    try:
        yield
    except OSError as error:
        raise LocalError(f"{deed}: {error.strerror or error}.") from error
