# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this host reaches a destination: the password, the connections, and what is known of the server beforehand."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from .errors import InterruptedTransferError, LocalError, RefusedError, told_as
from .ftp.bandwidth import Bandwidth, Traffic
from .ftp.control import Address, make_context
from .ftp.known import Known
from .ftp.places import places_at
from .ftp.pool import ConnectionPool, Patience
from .ftp.profile import UNIDENTIFIED, WINDOWS, Profile, Verdict, profile_from, read_profile
from .ftp.session import connect
from .ftp.storage import FtpStorage, ReadOnlyStorage
from .private_files import read_json, write_json

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .ftp.session import Session
    from .registry import Destination, DestinationState


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
        passive=destination.passive,
        validate_certs=destination.validate_certs,
        ca_path=destination.ca_path,
        certificate_fingerprints=tuple(
            fingerprint.replace(":", "").lower() for fingerprint in destination.certificate_fingerprints
        ),
    )


class ServerMemory:
    """What this host remembers of the server of a destination: it saves round trips, and decides nothing alone.

    It counts only for a server that greets as the one that was remembered did.
    """

    def __init__(self, state: DestinationState) -> None:
        self._path = state.server

    def read(self) -> tuple[Known, Profile | None]:
        """Return what is known of the server; nothing where there is no memory, or none that can be read."""
        with suppress(LocalError, KeyError, TypeError, ValueError):
            values = read_json(self._path)
            known = values["known"]
            return Known(**{**known, "features": frozenset(known["features"])}), profile_from(values["profile"])
        return Known(), None

    def may_restart(self) -> bool:
        """Tell whether a download may begin in the middle of a file, as far as is known: FEAT lists ``REST STREAM``."""
        known, profile = self.read()
        is_listed = not known.features or any(feature.startswith("REST") for feature in known.features)
        return known.restarts and is_listed and (profile is None or profile.restart is not False)

    def keep(self, known: Known, profile: Profile) -> None:
        """Remember *known* and *profile*, unless that is what is remembered already, but for what always changes."""
        older_known, older = self.read()
        if older is None or (older_known, _lasting(older)) != (known, _lasting(profile)):
            values = {"known": {**asdict(known), "features": sorted(known.features)}, "profile": profile.shown()}
            write_json(self._path, values)


def _lasting(profile: Profile) -> Profile:
    """Return *profile* without what differs from one look to the next; a greeting may hold the time of day."""
    return replace(profile, banner="", time_skew=None, quota=None, connections=None)


@contextmanager
def open_pool(
    destination: Destination,
    patience: Patience,
    state: DestinationState,
    *,
    may_write: bool,
    known: Known | None = None,
) -> Iterator[ConnectionPool]:
    """Open a pool of connections to *destination*; they are made when they are needed.

    A server that greets otherwise than the one that was judged is judged before it is used, unless the caller wants
    to judge it, who gives what is *known* of it. One that may not *write* leaves no trace on this host.
    """
    address = address_of(destination)
    judges = known is None
    if known is None:
        known, profile = ServerMemory(state).read()
        judged = {known.greeting} if profile is not None else set()
    else:
        judged = set()
    traffic = Traffic()
    bandwidth = Bandwidth(destination.bandwidth_limit, traffic)
    context_for = cache(lambda quick: make_context(address, quick=quick) if address.tls else None)
    context_for(known.quick_tls)  # what is wrong with its options is told before anybody connects

    def log_in() -> Session:
        try:
            session = connect(address, context_for(known.quick_tls), known, bandwidth, pool.before_login)
        except InterruptedTransferError:
            known.quick_tls = False  # if that was the reason, the next attempt shows it
            raise
        if judges and known.greeting not in judged:
            try:
                require_unix(destination, read_profile(session))
            except BaseException:
                session.close()
                raise
            judged.add(known.greeting)
        return session

    places = places_at(state.connections, destination.max_connections, may_write=may_write)
    pool = ConnectionPool(log_in, destination.max_connections, patience, places, traffic)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def open_storage(
    destination: Destination, mark: str, state: DestinationState, *, may_write: bool, warm: int = 0
) -> Iterator[FtpStorage]:
    """Open the storage of *destination* for a run; *warm* connections are made before they are asked for."""
    with open_pool(destination, Patience(destination.max_retries), state, may_write=may_write) as pool:
        kind = ReadOnlyStorage if destination.is_only_read else FtpStorage
        storage = kind(pool, destination.directory, mark)
        known, _profile = ServerMemory(state).read()
        pool.open_early(warm, is_known=bool(known.home))
        yield storage


def require_unix(destination: Destination, profile: Profile) -> None:
    """Raise if the server is hosted on Windows, or may be and nobody has accepted that."""
    shown = f"greeting '{profile.banner}', SYST '{profile.syst}'"
    if profile.verdict == WINDOWS:
        raise RefusedError(
            f"The server {destination.host}:{destination.port} is hosted on Windows ({profile.evidence}; {shown}), and"
            " such servers are not supported."
        )
    if profile.verdict == UNIDENTIFIED and not destination.accept_unidentified_server:
        raise RefusedError(
            f"The server {destination.host}:{destination.port} may be hosted on Windows, where backups do not work:"
            f" {profile.evidence} ({shown}). If it is not, say accept_unidentified_server: true."
        )


def verdict_of(profile: Profile) -> Verdict:
    """Return what *profile* says of where the server is hosted."""
    return Verdict(profile.verdict, profile.rule, profile.evidence)
