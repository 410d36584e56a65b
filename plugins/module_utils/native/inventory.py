# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs lie on a storage, whoever's they are: ``docs/format.md``, section 1."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..errors import DamageError
from ..side_by_side import each
from . import names
from .points import JOB_FILE, list_points, read_job_file

if t.TYPE_CHECKING:
    from ..storage import Path, Storage
    from .points import JobFile, PointListing

CLIENTS = PurePosixPath("clients")


@dataclass(frozen=True)
class FoundJob:
    """A job as it lies on the storage; one without its *file*, of which *problem* tells why, has no exact names."""

    directory: Path
    file: JobFile | None
    listing: PointListing
    problem: str = ""

    @property
    def client(self) -> str:
        return self.file.client if self.file is not None else self.directory.parent.name

    @property
    def name(self) -> str:
        return self.file.job if self.file is not None else self.directory.name


def find_jobs(storage: Storage, client: str | None = None) -> list[FoundJob]:
    """Return the jobs of *client*, or of all clients, in order."""
    clients = _inside(storage, _inside(storage, [CLIENTS])) if client is None else [names.client_directory(client)]
    found = each(lambda directory: look_at(storage, directory), _inside(storage, clients))
    return sorted((job for job in found if job is not None), key=lambda job: (job.client, job.name))


def _inside(storage: Storage, directories: list[Path]) -> list[Path]:
    """Return the directories in *directories*."""
    listings = zip(directories, each(storage.list_directory, directories))
    return [directory / entry.name for directory, inside in listings for entry in inside if entry.is_directory]


def look_at(storage: Storage, directory: Path) -> FoundJob | None:
    """Return the job in *directory*, or None if there is none: a first run may have only begun."""
    listing = list_points(storage, directory)
    try:
        file = read_job_file(storage, directory)
        if file is None and not (listing.points or listing.checkpoints):
            return None
        return FoundJob(directory, _checked(file, directory), listing)
    except DamageError as error:
        return FoundJob(directory, None, listing, str(error))


def _checked(file: JobFile | None, directory: Path) -> JobFile:
    """Return *file*, or raise unless it is that of the job in *directory*."""
    if file is None:
        raise DamageError(f"The job in {directory} on the storage has restore points and no {JOB_FILE}.")
    if names.job_directory(file.client, file.job) != directory:
        raise DamageError(f"The file {directory / JOB_FILE} on the storage is that of another job, {file.job!r}.")
    return file
