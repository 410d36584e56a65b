# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a destination is on this host, and what it takes to make it what was asked."""

from __future__ import annotations

import json
import secrets
import typing as t
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from inspect import getsource
from pathlib import Path, PurePosixPath

from .errors import BackupError, LocalError, RefusedError, StorageError, UsageError, told_as
from .ftp.control import Address, make_context
from .ftp.pool import ConnectionPool, Patience
from .ftp.profile import Profile, read_profile
from .ftp.session import connect
from .ftp.storage import FtpStorage, checked_directory, root_of
from .native import recover
from .native.readme import README
from .outcome import Outcome
from .private_files import UnusableFileError
from .registry import NAME_LIMIT, Destination, check_destination, check_name, require
from .version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .ftp.session import Session
    from .registry import Registry
    from .storage import Storage

    Prove = Callable[..., "Proof"]

FORMAT_FILES = ("destination.json", "readme.txt", "recover.py")


@dataclass(frozen=True)
class Proof:
    """What was seen of a server, and which of our own files lie in the directory."""

    profile: Profile
    has_files: bool


def ensure_present(
    registry: Registry, wanted: Destination, *, validate: bool, check_mode: bool, prove: Prove | None = None
) -> Outcome:
    """Make the registry hold *wanted* under its name, after proving that it works."""
    check_destination(wanted)
    checked_directory(wanted.directory)
    if wanted.password is not None and wanted.password_file is not None:
        raise UsageError("Give either password or password_file, not both.")
    current, damaged = _current(registry, wanted.name)
    proof = (prove or prove_on_server)(wanted, check_mode=check_mode) if validate else None
    changed = current != wanted or (proof is not None and not proof.has_files)
    if changed and not check_mode:
        registry.put(wanted)
    values: dict[str, t.Any] = {"destination": wanted.shown()}
    if proof is not None:
        values["server"] = _shown_profile(proof.profile)
    before, after = _side(current), _side(wanted)
    if current is not None and current.password != wanted.password and "password" in before:
        before["password"] = "(set, another one)"  # noqa: S105 - it says so instead of the password
    warnings = (*_damage_warnings(wanted.name, damaged), *_warnings(wanted, proof))
    return Outcome(changed, values, before, after, warnings)


def ensure_absent(registry: Registry, name: str, *, check_mode: bool) -> Outcome:
    """Make the registry forget *name*; what lies on the storage stays there."""
    check_name(name, "destination", NAME_LIMIT)
    current, damaged = _current(registry, name)
    changed = current is not None or damaged is not None
    if changed and not check_mode:
        registry.remove(name)
    shown = {"name": name} if current is None else current.shown()
    before = {"name": name} if damaged is not None else _side(current)
    return Outcome(changed, {"destination": shown if changed else None}, before, {}, _damage_warnings(name, damaged))


def _current(registry: Registry, name: str) -> tuple[Destination | None, UnusableFileError | None]:
    """Return the destination called *name*, and what is wrong with its declaration: then it counts as another one."""
    try:
        return registry.get(name), None
    except UnusableFileError as error:
        return None, error


def _damage_warnings(name: str, damaged: UnusableFileError | None) -> tuple[str, ...]:
    if damaged is None:
        return ()
    return (f"What was declared as {name!r} is not known any more and counts as another destination. {damaged}",)


def list_destinations(registry: Registry, name: str | None, *, probe: bool) -> Outcome:
    """Return the declared destinations, or the one called *name*; with *probe*, what each server is, too."""
    destinations = [require(registry, known) for known in ([name] if name is not None else registry.names())]
    described = [_described(destination, probe=probe) for destination in destinations]
    if name is None:
        described += [{"name": its_name, "failure": _failure(error)} for its_name, error in registry.unusable().items()]
    return Outcome(changed=False, values={"destinations": sorted(described, key=lambda values: str(values["name"]))})


def _described(destination: Destination, *, probe: bool) -> dict[str, t.Any]:
    values = destination.shown()
    if probe:
        try:
            with open_pool(destination, Patience(1)) as pool, pool.session() as session:
                values["server"] = _shown_profile(read_profile(session))
        except BackupError as error:
            values["failure"] = _failure(error)
    return values


def _failure(error: BackupError) -> dict[str, t.Any]:
    return {"kind": error.kind, "msg": str(error), **error.details()}


def _side(destination: Destination | None) -> dict[str, t.Any]:
    """Return one side of the diff; of the password it tells only that there is one."""
    if destination is None:
        return {}
    values = destination.shown()
    if destination.password is not None:
        values["password"] = "(set)"  # noqa: S105 - it says so instead of the password
    return values


def _shown_profile(profile: Profile) -> dict[str, t.Any]:
    return {**asdict(profile), "feat": list(profile.feat)}


def _warnings(wanted: Destination, proof: Proof | None) -> tuple[str, ...]:
    warnings = []
    if not wanted.tls:
        warnings.append(
            f"The destination {wanted.name!r} does not use TLS: its password and all files travel in plain text."
        )
    elif not wanted.validate_certs and not wanted.certificate_fingerprints:
        warnings.append(
            f"The destination {wanted.name!r} does not verify the server's certificate: anybody can pose as it."
        )
    if wanted.username == "root":
        warnings.append(f"The destination {wanted.name!r} logs in as root: make a user for backups alone.")
    if proof is not None and proof.profile.verdict == "unidentified":
        warnings.append(
            f"The server of {wanted.name!r} does not tell its system: servers hosted on Windows do not work."
        )
    return tuple(warnings)


# -- the server


def password_of(destination: Destination) -> str:
    """Return the password, read from its file where it stands in one."""
    if destination.password_file is None:
        return destination.password or ""
    with told_as(f"Cannot read the password file {destination.password_file}"):
        text = Path(destination.password_file).read_text("utf-8", "surrogateescape")
    password = text.split("\n", 1)[0].rstrip("\r")
    if not password:
        raise LocalError(f"The first line of the password file {destination.password_file} is empty.")
    return password


def address_of(destination: Destination) -> Address:
    """Return what the transport needs of *destination*."""
    return Address(
        host=destination.host,
        port=destination.port,
        username=destination.username,
        password=password_of(destination),
        timeout=float(destination.timeout),
        tls=destination.tls,
        validate_certs=destination.validate_certs,
        ca_path=destination.ca_path,
        certificate_fingerprints=tuple(
            fingerprint.replace(":", "").lower() for fingerprint in destination.certificate_fingerprints
        ),
    )


@contextmanager
def open_pool(destination: Destination, patience: Patience) -> Iterator[ConnectionPool]:
    """Open a pool of connections to *destination*; they are made when they are needed."""
    address = address_of(destination)
    context = make_context(address) if address.tls else None
    pool = ConnectionPool(lambda: connect(address, context), destination.max_connections, patience)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def open_storage(destination: Destination, mark: str, *, warm: int = 0) -> Iterator[FtpStorage]:
    """Open the storage of *destination* for a run; *warm* connections are made before they are asked for."""
    with open_pool(destination, Patience(destination.max_retries)) as pool:
        storage = FtpStorage(pool, destination.directory, mark)
        pool.open_early(warm)
        yield storage


def prove_on_server(destination: Destination, *, check_mode: bool) -> Proof:
    """Connect, log in and judge the server; unless in check mode, make the directory and prove that it can be used."""
    mark = secrets.token_hex(6)
    # Somebody is there to mend a wrong name or port: only a busy server is worth waiting for.
    with open_pool(destination, Patience(destination.max_retries, only_busy=True)) as pool:
        with pool.session() as session:
            profile = read_profile(session)
            _refuse_windows(destination, profile)
            if not check_mode:
                _make_root(session, destination.directory)
        storage = FtpStorage(pool, destination.directory, f"probe-{mark}")
        if not check_mode:
            _prove_directory(storage, destination, mark)
        return Proof(profile, _ensure_files(storage, destination, check_mode=check_mode))


def _refuse_windows(destination: Destination, profile: Profile) -> None:
    if profile.verdict == "windows":
        raise RefusedError(
            f"The server {destination.host}:{destination.port} is hosted on Windows ({profile.rule}; greeting"
            f" '{profile.banner}', SYST '{profile.syst}'), and such servers are not supported."
        )


def _make_root(session: Session, directory: str) -> None:
    home, root = PurePosixPath(session.home), root_of(session.home, checked_directory(directory))
    session.ensure_directories([str(path) for path in (*reversed(root.parents), root) if home in path.parents])


def _prove_directory(storage: Storage, destination: Destination, mark: str) -> None:
    try:
        prove_deeds(storage, mark)
    except StorageError as error:
        what = f"The directory {destination.directory} on {destination.host} cannot be used for backups"
        raise type(error)(f"{what}: {str(error)[0].lower()}{str(error)[1:]}", code=error.code) from error


def prove_deeds(storage: Storage, mark: str) -> None:
    """Prove that everything a backup does works in *storage*, in a scratch directory that is removed again."""
    scratch = PurePosixPath(f"probe-{mark}")
    first, second, content = scratch / "first", scratch / "second", mark.encode("ascii") * 100
    try:
        if not storage.take_directory(scratch):
            raise RefusedError(f"The server says that {scratch} exists already, which nobody can have made.")
        if storage.take_directory(scratch):
            raise RefusedError("The server lets two clients make the same directory, so no job can be locked there.")
        storage.write(first, lambda: [content])
        storage.rename(first, second)
        if storage.read(second) != content or storage.read(second, 12, 12) != content[:12]:
            raise RefusedError("A file does not read back from the server as it was written.")
        storage.delete([second])
        if storage.sizes([second]) != [None]:
            raise RefusedError("The server keeps files that were deleted.")
    finally:
        _tidy(storage, scratch, [first, second])


def _tidy(storage: Storage, scratch: PurePosixPath, files: list[PurePosixPath]) -> None:
    try:
        storage.delete(files)
        storage.remove_directories([scratch])
    except StorageError:
        return  # what stopped the proof stops this, too; the sentence about the proof is the one to read


def _ensure_files(storage: Storage, destination: Destination, *, check_mode: bool) -> bool:
    """Write those of our files that the directory lacks, and tell whether it lacked none."""
    paths = [PurePosixPath(name) for name in FORMAT_FILES]
    description = {"format": 1, "name": destination.name, "tool": VERSION}
    contents = (json.dumps(description, indent=2) + "\n", README, getsource(recover))
    lacking = [(path, text) for path, text, size in zip(paths, contents, storage.sizes(paths)) if size is None]
    for path, text in lacking if not check_mode else ():
        storage.write(path, partial(list, [text.encode("utf-8")]))
    return not lacking
