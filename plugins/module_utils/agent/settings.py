# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command finds on the host: its jobs, the destinations that are reindexed by timers, its own settings.

They are files below the configuration directory, which only their owner can read: options may hold passwords, and a
``ping_url`` is a secret as well.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..ages import parse_age
from ..errors import BackupError, UsageError, told_as
from ..native.names import slug
from ..options import backup
from ..private_files import UnusableFileError, read_json
from ..registry import NAME_LIMIT, check_name

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = 1
JOBS, REINDEXES = "jobs", "reindexes"
CONFIG_DIRECTORY, STATE_DIRECTORY = "/etc/ftp_backup", "/var/lib/ftp_backup"
_PING_TIMEOUT = 10
_LONGEST_PING = 300


@dataclass(frozen=True)
class Directories:
    """Where the host keeps what was declared, and what it knows."""

    config: Path
    state: Path
    #: What a command line needs to mean the same ones; nothing where it does without.
    words: tuple[str, ...] = ()

    def options(self) -> dict[str, str]:
        """Return them as the modules take them."""
        return {"config_directory": str(self.config), "state_directory": str(self.state)}

    def require_readable(self) -> None:
        """Raise unless what was declared on this host can be looked at."""
        with told_as(f"Cannot look into {self.config}"):
            try:
                next(self.config.iterdir(), None)
            except FileNotFoundError:
                return


@dataclass(frozen=True)
class BackupJob:
    """A job of this host: the *options* are those of the module ``backup``.

    *stale_after* is how old its newest good restore point may become, in seconds, or None where the file tells nothing.
    """

    name: str
    options: Mapping[str, t.Any] = field(repr=False)
    ping_url: str | None = field(default=None, repr=False)
    stale_after: float | None = None

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def destination(self) -> str:
        return str(self.options["destination"])

    @property
    def job(self) -> str:
        return str(self.options["job"])

    @property
    def client(self) -> str | None:
        """The client that the job is said to be of, or None where that is this host."""
        client = self.options.get("client")
        return None if client is None else str(client)


@dataclass(frozen=True)
class Reindexing:
    """A destination whose index is made anew by a timer."""

    name: str
    ping_url: str | None = field(default=None, repr=False)

    @property
    def slug(self) -> str:
        return slug(self.name)


@dataclass(frozen=True)
class Settings:
    """What holds for all that timers run on this host."""

    metrics_directory: Path | None = None
    ping_url: str | None = field(default=None, repr=False)
    ping_timeout: int = _PING_TIMEOUT
    on_failure: str | None = field(default=None, repr=False)


Found = t.TypeVar("Found")


@dataclass(frozen=True)
class Declared(t.Generic[Found]):
    """What could be read of a directory of declarations, in the order of the names, and what is wrong with the rest."""

    found: tuple[Found, ...]
    errors: tuple[BackupError, ...]


@dataclass(frozen=True)
class DeclaredSettings:
    """What can be used of the settings, and what is wrong with the rest of them."""

    usable: Settings = field(default_factory=Settings)
    errors: tuple[BackupError, ...] = ()


class Declarations:
    """The files below the configuration directory."""

    def __init__(self, config_directory: Path) -> None:
        self._directory = config_directory

    def jobs(self) -> Declared[BackupJob]:
        """Return the jobs of this host."""
        return self._all(JOBS, read_job)

    def job(self, name: str) -> BackupJob:
        """Return the job that is called *name*, or has it as its slug; raise the sentence that lists those there are.

        What is wrong with its file is told instead, where it has one.
        """
        return self._one(JOBS, name, read_job, "job")

    def reindexings(self) -> Declared[Reindexing]:
        """Return the destinations that timers reindex."""
        return self._all(REINDEXES, read_reindexing)

    def reindexing(self, name: str) -> Reindexing:
        """Return the destination called *name*, or with that slug, that a timer reindexes."""
        return self._one(REINDEXES, name, read_reindexing, "destination with a schedule")

    def has(self, directory: str, stem: str) -> bool:
        """Tell whether a file in *directory* is called *stem*, whatever it holds."""
        return any(path.stem == stem for path in self._paths(directory))

    def settings(self) -> DeclaredSettings:
        """Return what holds for all that timers run; there need not be a file, and one that is wrong costs no run."""
        path = self._directory / "agent.json"
        try:
            with told_as(f"Cannot read {path}"):
                try:
                    path.lstat()
                except FileNotFoundError:
                    return DeclaredSettings()
            return usable_settings(path)
        except BackupError as error:
            return DeclaredSettings(errors=(error,))

    def _all(self, directory: str, read: Callable[[Path], Found]) -> Declared[Found]:
        found, errors = [], []
        for path in self._paths(directory):
            try:
                declared = read(path)
                _require_name(path, declared)
                found.append(declared)
            except BackupError as error:
                errors.append(error)
        return Declared(tuple(sorted(found, key=_name_of)), tuple(errors))

    def _one(self, directory: str, name: str, read: Callable[[Path], Found], what: str) -> Found:
        paths = {path.stem: path for path in self._paths(directory)}
        path = paths.get(slug(name)) or paths.get(name)
        if path is None:
            known = ", ".join(repr(_name_of(other)) for other in self._all(directory, read).found) or "none"
            raise UsageError(f"There is no {what} {name!r} on this host; there are: {known}.")
        declared = read(path)
        _require_name(path, declared)
        return declared

    def _paths(self, directory: str) -> list[Path]:
        with told_as(f"Cannot list {self._directory / directory}"):
            try:
                paths = [path for path in (self._directory / directory).iterdir() if path.suffix == ".json"]
            except FileNotFoundError:
                return []
        return sorted(path for path in paths if not path.name.startswith("."))


def _name_of(declared: object) -> str:
    return str(getattr(declared, "name", ""))


def _require_name(path: Path, declared: object) -> None:
    """Raise unless the file is called as what it declares: so no two of them can declare the same."""
    name = _name_of(declared)
    if path.stem != slug(name):
        raise UnusableFileError(f"The file {path} declares {name!r}, so it should be called {slug(name)}.json.")


def read_job(path: Path) -> BackupJob:
    """Return the job that *path* declares; raise one sentence, with the file, on what is wrong with it."""
    values = _read(path, {"version", "name", "backup", "agent"})
    name, options = values.get("name"), values.get("backup")
    if not isinstance(options, dict):
        raise UnusableFileError(f"The file {path} is no job: 'backup' has no options.")
    name = options.get("job") if name is None else name
    for directory in ("config_directory", "state_directory"):
        if directory in options:
            raise UnusableFileError(
                f"The file {path} is no job: {directory} is an option of the command, not of a job."
            )
    try:
        if not isinstance(name, str):
            raise UsageError("it has no name.")
        check_name(name, "job", NAME_LIMIT)
        checked = backup.SPEC.checked(options)
        backup.request_of(checked).require_sense()
        agent = _agent(values)
        return BackupJob(name, options, _ping_url(agent), _stale_after(agent))
    except BackupError as error:
        raise UnusableFileError(f"The file {path} is no job: {error}") from error


def read_reindexing(path: Path) -> Reindexing:
    """Return the destination that *path* declares to be reindexed by a timer."""
    values = _read(path, {"version", "name", "agent"})
    try:
        name = values.get("name")
        if not isinstance(name, str):
            raise UsageError("it names no destination.")
        check_name(name, "destination", NAME_LIMIT)
        return Reindexing(name, _ping_url(_agent(values)))
    except UsageError as error:
        raise UnusableFileError(f"The file {path} does not say what to reindex: {error}") from error


def read_settings(path: Path) -> Settings:
    """Return the settings that stand in *path*; raise the first sentence on what is wrong with them."""
    settings = usable_settings(path)
    for error in settings.errors:
        raise error
    return settings.usable


def usable_settings(path: Path) -> DeclaredSettings:
    """Return what can be used of the settings in *path*: one that cannot be meant leaves the others as they are."""
    values = _read(path)
    used: dict[str, t.Any] = {}
    errors: list[BackupError] = list(_unknown(path, values, set(_SETTINGS)))
    for name, read in _SETTINGS.items():
        try:
            used[name] = read(values)
        except UsageError as error:
            unusable = UnusableFileError(f"The file {path} cannot be used: {error}")
            unusable.__cause__ = error
            errors.append(unusable)
    return DeclaredSettings(Settings(**used), tuple(errors))


def _metrics_directory(values: Mapping[str, t.Any]) -> Path | None:
    text = _text(values, "metrics_directory")
    if text is not None and not text.startswith("/"):
        raise UsageError("metrics_directory is no absolute path.")
    return None if text is None else Path(text)


def _ping_timeout(values: Mapping[str, t.Any]) -> int:
    timeout = values.get("ping_timeout", _PING_TIMEOUT)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or not 1 <= timeout <= _LONGEST_PING:
        raise UsageError(f"ping_timeout must be a number of seconds from 1 to {_LONGEST_PING}.")
    return timeout


def _on_failure(values: Mapping[str, t.Any]) -> str | None:
    return _text(values, "on_failure")


def _read(path: Path, known: set[str] | None = None) -> dict[str, t.Any]:
    """Return what stands in *path*; raise if that is of another version, or has more than what is *known*."""
    values = read_json(path)
    if values.get("version") != VERSION:
        raise UnusableFileError(
            f"The file {path} is of version {values.get('version')!r}, and this program reads version {VERSION}."
        )
    for error in () if known is None else _unknown(path, values, known):
        raise error
    return values


def _unknown(path: Path, values: Mapping[str, object], known: set[str]) -> list[UnusableFileError]:
    unknown = sorted(values.keys() - known - {"version"})
    return [UnusableFileError(f"The file {path} holds {name!r}, which means nothing here.") for name in unknown]


def _text(values: Mapping[str, object], name: str) -> str | None:
    """Return the text *name* of *values*, or None where there is none; an empty one is none."""
    text = values.get(name)
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{name} is no text.")
    return text or None


def _agent(values: Mapping[str, t.Any]) -> Mapping[str, t.Any]:
    """Return what a declaration says of its scheduled run."""
    agent = values.get("agent") or {}
    if not isinstance(agent, dict):
        raise UsageError("'agent' holds no options.")
    return agent


def _stale_after(agent: Mapping[str, t.Any]) -> float | None:
    """Return up to which age, in seconds, the newest good restore point of a job is no reason to worry."""
    text = _text(agent, "stale_after")
    return None if text is None else parse_age(text, "stale_after").total_seconds()


def _ping_url(values: Mapping[str, t.Any]) -> str | None:
    """Return the address that is called after a run, if there is one; it stands in no sentence."""
    url = _text(values, "ping_url")
    if url is not None and not is_address(url):
        raise UsageError("ping_url is no address that begins with https:// or http://.")
    return url


def is_address(url: str) -> bool:
    """Tell whether *url* can be called: http or https, with a host, and without a user or what no address has."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_clean = url.isascii() and url.isprintable() and " " not in url
    return (
        is_clean
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and port != 0
    )


# How each setting is read; the others are used where one of them cannot be.
_SETTINGS: Mapping[str, Callable[[Mapping[str, t.Any]], t.Any]] = {
    "metrics_directory": _metrics_directory,
    "ping_url": _ping_url,
    "ping_timeout": _ping_timeout,
    "on_failure": _on_failure,
}
