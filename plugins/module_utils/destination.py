# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a destination is on this host, and what it takes to make it what was asked."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .connections import ServerMemory, open_pool
from .errors import BackupError, UsageError
from .ftp.bandwidth import Traffic
from .ftp.known import Known
from .ftp.paths import checked_directory
from .ftp.places import places_at
from .ftp.pool import Patience
from .ftp.profile import UNIDENTIFIED, Profile, read_profile
from .outcome import Outcome
from .private_files import UnusableFileError
from .proof import Proof, prove_on_server
from .registry import NAME_LIMIT, Destination, DestinationState, check_destination, check_name, require
from .reporting import Reporter

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .registry import Registry

    Prove = Callable[..., Proof]


def ensure_present(
    registry: Registry,
    state_directory: Path,
    wanted: Destination,
    *,
    validate: bool,
    check_mode: bool,
    prove: Prove | None = None,
) -> Outcome:
    """Make the registry hold *wanted* under its name, after proving that it works.

    What the server shows of itself is remembered in the state directory, and never makes a declaration another one.
    """
    reporter = Reporter(wanted.name)
    check_destination(wanted)
    checked_directory(wanted.directory)
    if wanted.password is not None and wanted.password_file is not None:
        raise UsageError("Give either password or password_file, not both.")
    current, damaged = _current(registry, wanted.name)
    state = DestinationState(state_directory, wanted.name, wanted.place)
    proof = (prove or prove_on_server)(wanted, state, check_mode=check_mode) if validate else None
    if current is not None and current.engine != wanted.engine:
        raise UsageError(
            f"The destination {wanted.name!r} was declared with engine: {current.engine}, which stays as it is: declare"
            " it absent first, or give the other one another name."
        )
    changed = current != wanted or (proof is not None and not proof.has_files)
    if not check_mode:
        places_at(state.connections, wanted.max_connections, may_write=True)
        if proof is not None:
            ServerMemory(state).keep(proof.known, proof.profile)
        if changed:
            registry.put(wanted)
    moved = Traffic() if proof is None else proof.traffic
    values: dict[str, t.Any] = {**reporter.measured(moved.sent, moved.received), "declaration": wanted.shown()}
    if proof is not None:
        values["server"] = proof.profile.shown()
    warnings = (*_damage_warnings(wanted.name, damaged), *_warnings(wanted, proof))
    before, after = _lines(current, wanted, "(set)"), _lines(wanted, current, "(changed)")
    return Outcome(changed, values, before, after, warnings, _title(wanted.name))


def ensure_absent(registry: Registry, name: str, *, check_mode: bool) -> Outcome:
    """Make the registry forget *name*; what lies on the storage stays there."""
    reporter = Reporter(name)
    check_name(name, "destination", NAME_LIMIT)
    current, damaged = _current(registry, name)
    changed = current is not None or damaged is not None
    if changed and not check_mode:
        registry.remove(name)
    shown = {"name": name} if current is None else current.shown()
    before = ("a declaration that cannot be read",) if damaged is not None else _lines(current, None, "(set)")
    values = {**reporter.measured(), "declaration": shown if changed else None}
    summary = ("What lies on the storage stays there.",) if changed else ()
    return Outcome(changed, values, before, (), _damage_warnings(name, damaged), _title(name), summary)


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


def list_destinations(registry: Registry, state_directory: Path, name: str | None, *, probe: bool) -> Outcome:
    """Return the declared destinations, or the one called *name*; with *probe*, what each server is, too."""
    reporter, moved = Reporter(name), Traffic()
    destinations = [require(registry, known) for known in ([name] if name is not None else registry.names())]
    described = [_described(destination, state_directory, moved, probe=probe) for destination in destinations]
    if name is None:
        described += [{"name": its_name, "failure": _failure(error)} for its_name, error in registry.unusable().items()]
    described.sort(key=lambda values: str(values["name"]))
    return Outcome(changed=False, values={**reporter.measured(moved.sent, moved.received), "destinations": described})


def _described(destination: Destination, state_directory: Path, moved: Traffic, *, probe: bool) -> dict[str, t.Any]:
    values = destination.shown()
    if probe:
        state = DestinationState(state_directory, destination.name, destination.place)
        try:
            values["server"] = _probed(destination, state, moved).shown()
        except BackupError as error:
            values["failure"] = _failure(error)
    return values


def _probed(destination: Destination, state: DestinationState, moved: Traffic) -> Profile:
    """Return what the server shows now, and what it showed when it was proved, if it is the same one.

    What that took is added to what was *moved*.
    """
    remembered, older = ServerMemory(state).read()
    known = Known()
    with open_pool(destination, Patience(1), state, may_write=False, known=known) as pool, pool.session() as session:
        profile = replace(read_profile(session), connections=pool.most_open)
    moved.add(sent=pool.traffic.sent, received=pool.traffic.received)
    return profile.with_memories(older if remembered.greeting == known.greeting else None)


def _failure(error: BackupError) -> dict[str, t.Any]:
    return {"kind": error.kind, "msg": str(error), **error.details()}


def _title(name: str) -> str:
    return f"the destination {name}"


def _lines(destination: Destination | None, other: Destination | None, told: str) -> tuple[str, ...]:
    """Return one side of the diff, an option a line; *told* of the password if the *other* side has another one."""
    if destination is None:
        return ()
    password = _told_password(destination.password, None if other is None else other.password, told)
    values = {**destination.shown(), "password": password}
    return tuple(f"{option}: {_told(value)}" for option, value in values.items() if value is not None)


def _told_password(password: str | None, other: str | None, told: str) -> str | None:
    """Return what may be said of a *password*: that it is set, or *told* if the *other* side has another one."""
    if password is None or other is None:
        return None if password is None else "(set)"
    return "(unchanged)" if password == other else told


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


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
    if proof is not None:
        warnings += _warnings_about(wanted, proof.profile)
        if proof.shared_mode:
            warnings.append(
                f"Others can write in the directory {wanted.directory} of {wanted.name!r}, whose mode is"
                f" {proof.shared_mode}: whoever can may destroy the backups."
            )
    return tuple(warnings)


def _warnings_about(wanted: Destination, profile: Profile) -> list[str]:
    warnings = []
    if profile.verdict == UNIDENTIFIED:
        warnings.append(
            f"The server of {wanted.name!r} does not tell its system, and was accepted all the same: servers hosted on"
            " Windows do not work."
        )
    if profile.restart is False:
        warnings.append(
            f"The server of {wanted.name!r} cannot begin in the middle of a file, so restoring a single file reads"
            " all of its volume up to there."
        )
    return warnings
