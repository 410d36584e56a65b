# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to believe that a destination works: everything that a backup does there is done once."""

from __future__ import annotations

import json
import re
import secrets
import stat
import time
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from inspect import getsource
from pathlib import PurePosixPath

from .connections import ServerMemory, open_pool, require_unix, verdict_of
from .errors import MissingError, RefusedError, StorageError
from .ftp.bandwidth import Traffic
from .ftp.known import Known
from .ftp.paths import checked_directory, root_of
from .ftp.pool import Patience
from .ftp.profile import UNIDENTIFIED, Profile, judge_behaviour, read_profile
from .ftp.storage import FtpStorage
from .native import recover
from .native.readme import README
from .version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .ftp.pool import ConnectionPool
    from .ftp.session import Session
    from .registry import Destination, DestinationState
    from .storage import Storage

FORMAT_FILES = ("destination.json", "readme.txt", "recover.py")
_MODE = re.compile(r"(?i)unix\.mode=([0-7]+)")
_OTHERS_WRITE = 0o022
_CASE = "the case of names does not count"
_NAMES = "names that Windows does not have are refused or changed"
_MODES = "there is no SITE CHMOD"


@dataclass(frozen=True)
class Proof:
    """What was seen of a server, what later runs need to know of it, and whether our own files lie in the directory.

    *shared_mode* is the mode of the directory where the server tells one that lets others write there, else empty.
    """

    profile: Profile
    known: Known
    has_files: bool
    shared_mode: str = ""
    traffic: Traffic = field(default_factory=Traffic)


def prove_on_server(destination: Destination, state: DestinationState, *, check_mode: bool) -> Proof:
    """Connect, log in and judge the server; unless in check mode, make the directory and prove that it can be used.

    One that is only to be read is only read.
    Raises :class:`~.errors.StorageError` with the sentence that says what cannot be done there.
    """
    mark = secrets.token_hex(6)
    known = Known()
    writes = not (check_mode or destination.is_only_read)
    # Somebody is there to mend a wrong name or port: only a busy server is worth waiting for.
    patience = Patience(destination.max_retries, only_busy=True)
    with open_pool(destination, patience, state, may_write=False, known=known) as pool:
        with pool.session() as session:
            profile = read_profile(session)
            require_unix(destination, profile)
            root_of(session.home, checked_directory(destination.directory))
            if writes:
                _make_root(session, destination.directory)
            elif destination.is_only_read:
                _require_root(session, destination)
            shared_mode = "" if destination.is_only_read else _shared_mode(session, destination.directory)
            session.quit()
        if not check_mode:
            _try_quick_ways(pool, known)
        storage = FtpStorage(pool, destination.directory, f"probe-{mark}")
        if writes:
            with _told_of(destination), _scratch(storage, mark) as scratch:
                prove_deeds(storage, scratch, known)
                with pool.session() as session:
                    session.enter(checked_directory(destination.directory))
                    profile = _with_tries(profile, session, scratch)
            require_unix(destination, profile)
        has_files = destination.is_only_read or _ensure_files(storage, destination, check_mode=check_mode)
        profile = replace(profile, connections=pool.most_open)
    if not writes:
        older_known, older = ServerMemory(state).read()
        if older_known.greeting == known.greeting:
            profile = profile.with_memories(older)
    return Proof(profile, known, has_files, shared_mode, pool.traffic)


def _make_root(session: Session, directory: str) -> None:
    home, root = PurePosixPath(session.home), root_of(session.home, checked_directory(directory))
    wanted = [path for path in (*reversed(root.parents), root) if home in path.parents]
    if session.takes_absolute_paths():
        session.ensure_directories([str(path) for path in wanted])
        return
    for path in wanted:
        session.ensure_directories([path.name])
        session.ask(f"CWD {path.name}")


def _require_root(session: Session, destination: Destination) -> None:
    """Raise unless the directory is there: what is only read has to have been written already."""
    session.enter(checked_directory(destination.directory))
    if not session.has_directory(session.path_of(PurePosixPath())):
        raise MissingError(
            f"There is no directory {destination.directory} on {destination.host} that this user may see; none is made"
            " where nothing is written."
        )


def _shared_mode(session: Session, directory: str) -> str:
    """Return the mode of *directory* if the server tells one that lets others write there, else an empty text.

    Where it is sticky, others can add files, but neither change nor delete what is ours.
    """
    if not session.has_mlst:
        return ""
    path = root_of(session.home, checked_directory(directory)) if session.takes_absolute_paths() else "."
    found = _MODE.search(session.ask(f"MLST {path}")[0].text)
    mode = int(found[1], 8) if found else 0
    return found[1] if found and mode & _OTHERS_WRITE and not mode & stat.S_ISVTX else ""


def _try_quick_ways(pool: ConnectionPool, known: Known) -> None:
    """Log in once more in the way that takes the fewest round trips; what fails here is tried by no run."""
    for known.pipelines_login, known.quick_tls in ((True, True), (False, True), (True, False), (False, False)):
        with suppress(StorageError), pool.session() as session:
            session.quit()
            return


@contextmanager
def _told_of(destination: Destination) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        what = f"The directory {destination.directory} on {destination.host} cannot be used for backups"
        error.args = (f"{what}: {str(error)[0].lower()}{str(error)[1:]}",)
        raise


@contextmanager
def _scratch(storage: Storage, mark: str) -> Iterator[PurePosixPath]:
    """Give a directory of our own on the server, which is gone afterwards with the files that a proof makes."""
    scratch = PurePosixPath(f"probe-{mark}")
    try:
        if not storage.take_directory(scratch):
            raise RefusedError(f"The server says that {scratch} exists already, which nobody can have made.")
        yield scratch
    finally:
        with suppress(StorageError):  # what stopped the proof stops this, too; its sentence is the one to read
            storage.delete([scratch / "first", scratch / "second"])
            storage.remove_directories([scratch])


def prove_deeds(storage: Storage, scratch: PurePosixPath, known: Known) -> None:
    """Prove that everything a backup does works in the directory *scratch* of *storage*."""
    first, second, content = scratch / "first", scratch / "second", scratch.name.encode("ascii") * 100
    if storage.take_directory(scratch):
        raise RefusedError("The server lets two clients make the same directory, so no job can be locked there.")
    storage.write(first, lambda: [content])
    storage.rename(first, second)
    if storage.read(second) != content:
        raise RefusedError("A file does not read back from the server as it was written.")
    if not _reads_from(storage, second, content):
        known.restarts = False  # some servers take REST and begin at the beginning all the same
        if not _reads_from(storage, second, content):
            raise RefusedError("A part of a file does not read back from the server as it was written.")
    storage.delete([second])
    if storage.sizes([second]) != [None]:
        raise RefusedError("The server keeps files that were deleted.")


def _reads_from(storage: Storage, path: PurePosixPath, content: bytes) -> bool:
    return storage.read(path, 7, 12) == content[7:19]


# -- what else is tried


def _with_tries(profile: Profile, session: Session, scratch: PurePosixPath) -> Profile:
    """Return *profile* with what a session may try in its own directory *scratch*, once the proof has succeeded."""
    known, place = session.known, session.path_of(scratch)
    skew = _time_skew(session, place)  # its upload shows the rest of what data connections are like
    chmod = session.ask(f"SITE CHMOD 750 {place}")[0]
    profile = replace(
        profile,
        session_reuse=session.has_resumed,
        passive_form=("EPSV" if known.extended_passive else "PASV") if session.address.passive else "active",
        pipelined_login=known.pipelines_login,
        absolute_paths=known.absolute_paths,
        rename=True,
        exclusive_mkdir=True,
        restart=known.restarts,
        site_chmod=chmod.code not in (500, 502, 504),
        time_skew=skew,
        quota=session.quota,
    )
    if profile.verdict != UNIDENTIFIED:
        return profile
    probes = {_MODES: not profile.site_chmod, **_signs_in_names(session, place)}
    judged = judge_behaviour(verdict_of(profile), probes)
    seen = tuple(f"{sign}: {'yes' if is_seen else 'no'}" for sign, is_seen in probes.items())
    return replace(profile, verdict=judged.verdict, rule=judged.rule, evidence=judged.evidence, probes=seen)


def _time_skew(session: Session, place: str) -> int | None:
    """Return how many seconds the server's clock is ahead of ours, as the time of a fresh file tells."""
    path = f"{place}/first"
    session.upload(path, [b"."])
    now = time.time()
    reply = session.ask(f"MDTM {path}")[0]
    session.delete([path])
    if reply.code != 213:
        return None
    try:
        changed = datetime.strptime(reply.text[4:18], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return round(changed.timestamp() - int(now))


def _signs_in_names(session: Session, place: str) -> dict[str, bool]:
    """Try names that Windows and Unix treat differently; these alone leave the guard of names, and all are removed."""
    case, other_case, colon, dot, no_dot = (f"{place}/{name}" for name in ("case-x", "Case-X", "a:b", "dot.", "dot"))
    made = [session.make_directory(path).is_success for path in (case, colon, dot)]
    try:
        ignores_case = made[0] and session.has_directory(other_case)
        changes_names = not all(made[1:]) or not session.has_directory(colon) or session.has_directory(no_dot)
        return {_CASE: ignores_case, _NAMES: changes_names}
    finally:
        session.remove_directories([case, colon, dot, no_dot])


# -- our own files


def _ensure_files(storage: Storage, destination: Destination, *, check_mode: bool) -> bool:
    """Write those of our files that the directory lacks, and tell whether it lacked none."""
    paths = [PurePosixPath(name) for name in FORMAT_FILES]
    description = {"format": 1, "name": destination.name, "tool": VERSION}
    contents = (json.dumps(description, indent=2) + "\n", README, getsource(recover))
    lacking = [(path, text) for path, text, size in zip(paths, contents, storage.sizes(paths)) if size is None]
    for path, text in lacking if not check_mode else ():
        storage.write(path, partial(list, [text.encode("utf-8")]))
    return not lacking
