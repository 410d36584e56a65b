# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host keeps for itself: its identity, its declared destinations, and its state for each job."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import socket
import typing as t
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import PurePosixPath

from .errors import LocalError, LockedError, UsageError, told_as
from .native.names import slug
from .private_files import UnusableFileError, locked, read_json, remove_json, write_json
from .progress import SILENT
from .records import JobRecords

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .progress import Progress

NAME_LIMIT = 40
#: Who makes the backups on a destination: this collection, or cPanel, whose backups are only read.
NATIVE, CPANEL = "native", "cpanel"
_PATIENCE = 10.0
_NUMBERS = {"port": (1, 65535), "timeout": (1, 3600), "max_retries": (0, 1000), "max_connections": (0, 100)}
_LEAST_BANDWIDTH, _MOST_BANDWIDTH = 1024, 10**12  # below, a connection would stand still for longer than servers wait
_FINGERPRINT = re.compile(r"(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}")


@dataclass(frozen=True)
class Destination:
    """One place backups go to, as it was declared."""

    name: str
    host: str
    username: str
    directory: str = "."
    port: int = 21
    password: str | None = field(default=None, repr=False)
    password_file: str | None = None
    timeout: int = 30
    max_retries: int = 5
    max_connections: int = 4
    tls: bool = True
    passive: bool = True
    validate_certs: bool = True
    ca_path: str | None = None
    certificate_fingerprints: tuple[str, ...] = ()
    bandwidth_limit: int = 0
    accept_unidentified_server: bool = False
    read_only: bool = False
    engine: str = NATIVE

    @property
    def place(self) -> str:
        """Tell this place on the network, and who makes its backups, from all others, in eight hexadecimal digits."""
        place = [self.host.lower(), self.port, self.username, str(PurePosixPath(self.directory))]
        if self.engine != NATIVE:
            place.append(self.engine)
        return hashlib.sha256(json.dumps(place).encode("ascii")).hexdigest()[:8]

    @property
    def is_only_read(self) -> bool:
        """Whether nothing is ever written there."""
        return self.read_only or self.engine == CPANEL

    def shown(self) -> dict[str, t.Any]:
        """Return what may be shown: everything but the password."""
        values = asdict(self)
        del values["password"]
        values["certificate_fingerprints"] = list(self.certificate_fingerprints)
        return values


def check_name(name: str, what: str, limit: int | None = None) -> None:
    """Raise unless *name* can be the name of a *what*: printable, without ``/``, and no longer than *limit*."""
    if not name or not name.isprintable() or "/" in name:
        raise UsageError(
            f"The {what} name {name!r} cannot be used: it is empty, or holds a '/' or a control character."
        )
    if limit is not None and len(name) > limit:
        raise UsageError(f"The {what} name {name!r} has {len(name)} characters, and {limit} is the limit.")


def check_destination(destination: Destination) -> None:
    """Raise unless every option of *destination* can work."""
    check_name(destination.name, "destination", NAME_LIMIT)
    for option in ("host", "username", "directory", "password"):
        text = getattr(destination, option)
        if any(mark in (text or "") for mark in "\r\n\0"):
            raise UsageError(f"The {option} holds a line break or a NUL, which FTP cannot send.")
    for option in ("host", "username"):
        if not getattr(destination, option):
            raise UsageError(f"The {option} is empty.")
    if destination.engine not in (NATIVE, CPANEL):
        raise UsageError(f"engine is {destination.engine!r}, and must be {NATIVE} or {CPANEL}.")
    for option, (least, most) in _NUMBERS.items():
        number = getattr(destination, option)
        if not least <= number <= most:
            raise UsageError(f"{option} is {number}, and must be from {least} to {most}.")
    if not (destination.bandwidth_limit == 0 or _LEAST_BANDWIDTH <= destination.bandwidth_limit <= _MOST_BANDWIDTH):
        raise UsageError(
            f"bandwidth_limit is {destination.bandwidth_limit}, and must be 0 for no limit, or from"
            f" {_LEAST_BANDWIDTH} to {_MOST_BANDWIDTH} bytes a second."
        )
    for fingerprint in destination.certificate_fingerprints:
        _check_fingerprint(fingerprint)


def _check_fingerprint(fingerprint: str) -> None:
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise UsageError(
            f"certificate_fingerprints holds {fingerprint!r}, which is no SHA-256 fingerprint: 64 hexadecimal"
            " digits, with or without colons."
        )


class Registry(t.Protocol):
    """The declared destinations of a host."""

    def get(self, name: str) -> Destination | None:
        """Return the destination called *name*, or None; raise UnusableFileError if its declaration is damaged."""

    def put(self, destination: Destination) -> None:
        """Keep *destination* under its name."""

    def remove(self, name: str) -> None:
        """Forget the destination called *name*, if there is one."""

    def names(self) -> list[str]:
        """Return the names of all destinations in order, but for those whose declaration is damaged."""

    def unusable(self) -> dict[str, UnusableFileError]:
        """Return what is wrong with each damaged declaration, by its name, or that of its file where it tells none."""


def require(registry: Registry, name: str) -> Destination:
    """Return the destination called *name*, or raise the sentence that lists those there are."""
    try:
        destination = registry.get(name)
    except UnusableFileError as error:
        raise UnusableFileError(f"{error} Declare the destination {name!r} again.") from error
    if destination is None:
        known = ", ".join(repr(other) for other in registry.names()) or "none"
        raise UsageError(f"There is no destination {name!r} on this host; declared are: {known}.")
    return destination


def require_fitting(destination: Destination, client: str | None, job: str | None, account: str | None) -> None:
    """Raise unless what is asked for is what the backups on *destination* have: jobs of clients, or accounts."""
    if destination.engine == CPANEL and (client is not None or job is not None):
        raise UsageError(
            f"The destination {destination.name!r} has backups that cPanel made, of accounts: give an account, and"
            " neither client nor job."
        )
    if destination.engine != CPANEL and account is not None:
        raise UsageError(
            f"The destination {destination.name!r} has backups of this collection, of jobs: give a job, and no account."
        )


def require_native(registry: Registry, name: str) -> Destination:
    """Return the destination called *name* as :func:`require` does, or raise if its backups are not made by us."""
    destination = require(registry, name)
    if destination.engine == CPANEL:
        raise UsageError(
            f"The destination {name!r} was declared with engine: cpanel: the backups there are made by cPanel, and can"
            " be indexed and restored, but nothing else; nothing is ever written there. Declare another destination,"
            " with another directory, for backups of this host."
        )
    return destination


def require_writable(registry: Registry, name: str) -> Destination:
    """Return the destination called *name* as :func:`require_native` does, or raise if it is only to be read."""
    destination = require_native(registry, name)
    if destination.read_only:
        raise UsageError(f"The destination {name!r} was declared with read_only: true, so nothing is written there.")
    return destination


class FileRegistry:
    """The destinations as files below *config_directory*, which only their owner can read."""

    def __init__(self, config_directory: Path) -> None:
        self._directory = config_directory / "destinations"

    def _path(self, name: str) -> Path:
        return self._directory / f"{slug(name)}.json"

    def get(self, name: str) -> Destination | None:
        path = self._path(name)
        with told_as(f"Cannot read {path}"):
            if not _is_there(path):
                return None
        return _read_destination(path)

    def put(self, destination: Destination) -> None:
        write_json(self._path(destination.name), asdict(destination))

    def remove(self, name: str) -> None:
        remove_json(self._path(name))

    def names(self) -> list[str]:
        names = []
        for path in self._files():
            with suppress(UnusableFileError):
                names.append(_read_destination(path).name)
        return sorted(names)

    def unusable(self) -> dict[str, UnusableFileError]:
        found = {}
        for path in self._files():
            try:
                _read_destination(path)
            except UnusableFileError as error:
                found[_name_in(path)] = error
        return found

    def _files(self) -> list[Path]:
        with told_as(f"Cannot list {self._directory}"):
            try:
                return sorted(path for path in self._directory.iterdir() if path.suffix == ".json")
            except FileNotFoundError:
                return []


def _is_there(path: Path) -> bool:
    """Tell whether *path* exists; that it lies below a file is an error and no answer."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _read_destination(path: Path) -> Destination:
    try:
        values = read_json(path)
        values["certificate_fingerprints"] = tuple(values.get("certificate_fingerprints", ()))
        destination = Destination(**values)
        check_destination(destination)
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise UnusableFileError(f"The file {path} does not describe a destination.") from error
    return destination


def _name_in(path: Path) -> str:
    """Return the name that the damaged declaration *path* tells, or that of the file."""
    with suppress(UnusableFileError):
        name = read_json(path).get("name")
        if isinstance(name, str) and path.name == f"{slug(name)}.json":
            return name
    return path.name


@dataclass(frozen=True)
class Identity:
    """Who this host is on its destinations: a random id for life, and the client name it goes by."""

    client_id: str
    client: str


def read_identity(config_directory: Path) -> Identity | None:
    """Return who this host is, or None if it never made a backup."""
    path = config_directory / "client.json"
    if not path.exists():
        return None
    values = read_json(path)
    try:
        return Identity(str(values["id"]), str(values["name"]))
    except KeyError as error:
        raise LocalError(f"The file {path} does not say who this host is: it lacks {error}.") from error


def new_identity(name: str) -> Identity:
    """Return an identity nobody has, for a client called *name*."""
    return Identity(secrets.token_hex(8), name)


def keep_identity(config_directory: Path, identity: Identity) -> Identity:
    """Keep who this host is, and return it: that is who it was already if another run was faster."""
    with _guarded(config_directory):
        kept = read_identity(config_directory)
        if kept is None:
            write_json(config_directory / "client.json", {"id": identity.client_id, "name": identity.client})
        return kept or identity


def _guarded(config_directory: Path) -> AbstractContextManager[None]:
    """Be the only run of this host that changes what lies in *config_directory* for all of them."""
    return locked(config_directory / ".lock", f"What lies in {config_directory} is being changed", _PATIENCE)


class LivingRuns:
    """Which runs of this host are alive, whatever state directory each has.

    Beside ``client.json`` each has a file called after its id, on which it holds the kernel's lock.
    """

    def __init__(self, config_directory: Path) -> None:
        self._config_directory = config_directory
        self._directory = config_directory / "runs"

    @contextmanager
    def alive(self, run: str) -> Iterator[None]:
        """Have *run* known as alive; where nothing can be written beside ``client.json``, none is."""
        with ExitStack() as stack:
            with suppress(LocalError, LockedError), _guarded(self._config_directory):
                self._sweep()
                stack.enter_context(locked(self._directory / run, f"The run {run} is already at work"))
                stack.callback(self._forget, run)
            yield

    def _sweep(self) -> None:
        """Delete the files of dead runs."""
        for path in list(self._directory.glob("*")):
            if not self.has(path.name):
                self._forget(path.name)

    def _forget(self, run: str) -> None:
        with suppress(OSError):  # the next run tries again
            (self._directory / run).unlink()

    def has(self, run: str) -> bool:
        """Tell whether *run* is alive."""
        path = self._directory / run
        if not path.exists():
            return False
        try:
            with locked(path, "The run is alive"):
                return False
        except LockedError:
            return True


@dataclass(frozen=True)
class Host:
    """Where this host keeps what it knows, what it is called, its clock and source of chance, and who watches it."""

    config_directory: Path
    state_directory: Path
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    name: Callable[[], str] = socket.gethostname
    chance: Callable[[], str] = lambda: secrets.token_hex(3)
    progress: Progress = SILENT

    def client_of(self, wanted: str | None) -> tuple[Identity, str, bool]:
        """Return who we are, the client that is meant, and whether this is the first time it is asked."""
        identity = read_identity(self.config_directory)
        is_new = identity is None
        identity = identity or new_identity(self.name() if wanted is None else wanted)
        return identity, identity.client if wanted is None else wanted, is_new


class DestinationState:
    """What this host keeps of one destination: caches, the index, and a lock for each job.

    The index, the records and the memory of the server are those of one *place*: where the destination is declared
    elsewhere, it has others. Copies of manifests bear the id of a run, which is unique wherever they lie.
    """

    def __init__(self, state_directory: Path, destination: str, place: str = "") -> None:
        self.directory = state_directory / slug(destination)
        self._place = place

    @property
    def index(self) -> Path:
        return self.directory / f"index-{self._place}.sqlite"

    @property
    def listings(self) -> Path:
        """The listings of backups that cPanel made."""
        return self.directory / f"listings-{self._place}"

    @property
    def server(self) -> Path:
        """What is remembered of the server."""
        return self.directory / f"server-{self._place}.json"

    @property
    def connections(self) -> Path:
        """Where the processes of this host share out the connections that there may be."""
        return self.directory / "connections"

    def job(self, client: str, job: str) -> JobState:
        return JobState(self.directory / "clients" / slug(client) / slug(job))

    def records(self, client: str | None, job: str) -> JobRecords:
        """Return where this host records what became of a job; without a *client* it is an account of cPanel."""
        whose = "accounts" if client is None else slug(client)
        return JobRecords(self.directory / f"records-{self._place}" / whose / slug(job))


class JobState:
    """What this host keeps of one job."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def manifests(self) -> Path:
        return self.directory / "manifests"

    @property
    def table(self) -> Path:
        """The table of what the pool of a deduplicated job holds."""
        return self.directory / "pool.sqlite"

    @property
    def _clean(self) -> Path:
        return self.directory / "clean"

    def lock(self, job: str) -> AbstractContextManager[None]:
        """Hold the host's own lock on the job; a dead run's is free at once, since the kernel gives it back."""
        return locked(self.directory / "lock", f"The job {job!r} is already being backed up on this host")

    @contextmanager
    def marked(self) -> Iterator[bool]:
        """Note on the host that the job's lock may stand empty; yield whether that was noted already.

        The note stays where the run dies or fails meanwhile, but for a lock that turns out to be another run's.
        """
        mark = self.directory / "locking"
        with told_as(f"Cannot write in {self.directory}"):
            died_here = mark.exists()
            mark.touch(mode=0o600)
        try:
            yield died_here
        except LockedError:
            self._remove(mark)
            raise
        self._remove(mark)

    def _remove(self, mark: Path) -> None:
        with told_as(f"Cannot write in {self.directory}"):
            mark.unlink(missing_ok=True)

    def is_clean(self) -> bool:
        """Tell whether the last run on this host is known to have left nothing behind."""
        return self._clean.exists()

    def set_clean(self, *, is_clean: bool) -> None:
        with told_as(f"Cannot write in {self.directory}"):
            if is_clean:
                self._clean.touch(mode=0o600)
            else:
                self._clean.unlink(missing_ok=True)
