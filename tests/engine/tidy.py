# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may lie in a job's directory, judged from the server's disk by a reader of manifests of its own."""

from __future__ import annotations

import gzip
import json
import typing as t
from pathlib import Path, PurePosixPath


class Stored(t.NamedTuple):
    """A restore point as its manifest on the server's disk describes it."""

    seq: int
    run: str
    pool: str
    is_complete: bool
    volumes: dict[PurePosixPath, int]


def job_directories(root: Path) -> list[Path]:
    """Return the directories of all jobs below the destination's directory *root* on the server's disk."""
    return sorted(root.glob("clients/*/*/*"))


def manifests_of(job: Path) -> list[Path]:
    return sorted(job.glob("points/*/*.manifest.gz"))


def points_of(job: Path) -> list[Stored]:
    """Return the restore points of the directory *job*, oldest first."""
    return [_read(path) for path in manifests_of(job)]


def _read(path: Path) -> Stored:
    lines = gzip.decompress(path.read_bytes()).splitlines()
    header, trailer = json.loads(lines[0]), json.loads(lines[-1])["trailer"]
    again = f".g{header['generation']}" if header["generation"] > 1 else ""
    assert path.name == f"{header['seq']:06d}-{header['run']}{again}.manifest.gz"
    volumes = {PurePosixPath(header["pool"], name): use[1] for name, use in trailer["volumes"].items()}
    return Stored(header["seq"], header["run"], header["pool"], trailer["complete"], volumes)


def assert_tidy(job: Path) -> None:
    """Assert that *job* holds its description, its manifests, the volumes they name, and nothing else at all.

    Only a pool that a restore point uses may have a directory that stands empty at the moment.
    """
    expected: dict[PurePosixPath, int] = {}
    for path, point in zip(manifests_of(job), points_of(job)):
        expected[PurePosixPath(path.relative_to(job))] = path.stat().st_size
        expected.update(point.volumes)
    expected[PurePosixPath("job.json")] = (job / "job.json").stat().st_size
    everything = list(job.rglob("*"))
    found = {PurePosixPath(path.relative_to(job)): path.stat().st_size for path in everything if path.is_file()}
    directories = {path.relative_to(job) for path in everything if path.is_dir()}
    needed = {Path(parent) for path in expected for parent in path.parents} - {Path()} | {Path("points")}
    pools = {point.pool for point in points_of(job)}

    assert found == expected
    assert needed <= directories
    assert {path for path in directories - needed if path.parts[0] not in pools} == set()


def sent_by(job: Path, run: str) -> int:
    """Return the size of all that *run* put into *job* and that is still there."""
    return sum(path.stat().st_size for path in job.rglob(f"*{run}*") if path.is_file())
