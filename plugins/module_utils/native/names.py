# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How things are called on the storage: ``docs/format.md``, section 1."""

from __future__ import annotations

import hashlib
import re
import typing as t
from datetime import datetime, timezone
from pathlib import PurePosixPath

if t.TYPE_CHECKING:
    from ..storage import Path

DAMAGE = ".damage.json"
_SLUG_LENGTH = 24
_OTHER = re.compile(r"[^a-z0-9._-]")
_RUN = r"(?P<run>[0-9]{8}t[0-9]{6}z-[0-9a-f]{6})"
_MANIFEST = re.compile(r"(?P<seq>\d{6,})-" + _RUN + r"(?:\.g(?P<generation>[2-9]|[1-9]\d+))?\.manifest\.gz")
_CHECKPOINT = re.compile(_RUN + r"-(?P<number>\d{6,})\.checkpoint\.gz")
_VOLUME = re.compile(_RUN + r"-\d{6,}\.tar(?:\.gz|\.zst)?")
_TEMPORARY = re.compile(r".+\." + _RUN + r"-\d+\.tmp")
_RUN_TIME = "%Y%m%dt%H%M%Sz"


def slug(name: str) -> str:
    """Return the remote name of the exact *name*; distinct names never meet."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    readable = _OTHER.sub("-", name.lower()).lstrip("._-")[:_SLUG_LENGTH]
    return f"{readable or 'x'}-{digest[:8]}"


def run_id(started: datetime, random_hex: str) -> str:
    """Return the id of a run that *started* then; *random_hex* is six digits of chance."""
    return f"{started.astimezone(timezone.utc).strftime(_RUN_TIME)}-{random_hex}"


def started_of(run: str) -> datetime:
    """Return when the run of this id started, in UTC."""
    # strptime is much slower, and this is asked of every manifest that is listed.
    year, month, day = int(run[:4]), int(run[4:6]), int(run[6:8])
    return datetime(year, month, day, int(run[9:11]), int(run[11:13]), int(run[13:15]), tzinfo=timezone.utc)


def client_directory(client: str) -> Path:
    """Return where the jobs of *client* lie."""
    name = slug(client)
    return PurePosixPath("clients") / name[-8:-6] / name


def job_directory(client: str, job: str) -> Path:
    """Return where the *job* of *client* lies."""
    return client_directory(client) / slug(job)


def manifest_path(job: Path, seq: int, run: str, generation: int = 1) -> Path:
    """Return where the manifest with this sequence number lies in the directory *job*."""
    again = f".g{generation}" if generation > 1 else ""
    return job / "points" / run[:6] / f"{seq:06d}-{run}{again}.manifest.gz"


def checkpoint_path(job: Path, run: str, number: int) -> Path:
    """Return where the checkpoint with this *number*, counted from 1, of a *run* lies in the directory *job*."""
    return job / "points" / run[:6] / f"{run}-{number:06d}.checkpoint.gz"


def damage_path(pool: Path) -> Path:
    """Return where it is noted what is broken in *pool*: where each run looks anyway."""
    return pool.parent / "points" / f"{pool.name}{DAMAGE}"


def keep_path(manifest: Path, seq: int) -> Path:
    """Return what protects a restore point by being there."""
    return manifest.with_name(f"{seq:06d}.keep")


def gone_path(manifest: Path, seq: int) -> Path:
    """Return where the volumes are noted that go with a restore point."""
    return manifest.with_name(f"{seq:06d}.gone")


class ManifestName(t.NamedTuple):
    """What the name of a manifest says: sequence number, run id and generation."""

    seq: int
    run: str
    generation: int


def parse_manifest_name(name: str) -> ManifestName | None:
    """Return what a manifest's *name* says, or None if it is no manifest's."""
    found = _MANIFEST.fullmatch(name)
    if found is None:
        return None
    try:
        started_of(found["run"])
    except ValueError:  # no run ever started on such a date
        return None
    return ManifestName(int(found["seq"]), found["run"], int(found["generation"] or 1))


def parse_checkpoint_name(name: str) -> tuple[str, int] | None:
    """Return run id and number of a checkpoint's *name*, or None if it is no checkpoint's."""
    found = _CHECKPOINT.fullmatch(name)
    return (found["run"], int(found["number"])) if found else None


def run_of(name: str) -> str | None:
    """Return the id of the run that made the volume, manifest, checkpoint or temporary file *name*."""
    for pattern in (_VOLUME, _MANIFEST, _CHECKPOINT, _TEMPORARY):
        found = pattern.fullmatch(name)
        if found:
            return found["run"]
    return None


def is_temporary(name: str) -> bool:
    """Tell whether *name* is that of a file whose upload was not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def slot_name(number: int) -> str:
    """Return the name of the slot with this *number*, counted from 1."""
    return f"s{number:02d}"


def slot_number(pool: str) -> int | None:
    """Return the number of the slot that *pool* names, or None if it is no slot."""
    return int(pool[1:]) if re.fullmatch(r"s\d{2,}", pool) else None


def is_pool(name: str) -> bool:
    """Tell whether a directory of this *name* in a job holds volumes."""
    return slot_number(name) is not None or name == "pool" or name.startswith("full-")
