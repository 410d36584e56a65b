# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of cPanel holds, in a file on this host that has the form of a manifest: its listing.

It is made by one reading of the backup, and tells of each entry where in the backup its content lies. Of passwords it
holds nothing, whatever form they have.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field

from ..errors import DamageError, told_as
from ..moments import UNDATED
from ..native.entries import Header, VolumeUse, path_bytes
from ..native.manifest import ManifestReader, ManifestWriter
from ..native.points import manifest_of
from ..version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import ExitStack
    from datetime import datetime
    from pathlib import Path

    from ..native.entries import Entry, Place
    from ..native.manifest import OnDamage
    from .naming import Backup

STRUCTURE = "cpanel"
FORMAT = 1  # of what a listing says; one of another is made anew


@dataclass(frozen=True)
class Origin:
    """Which backup was read, and what it says of itself.

    *path* is where it lies, *mark* tells its state from all others, and *size* is that of the archive in bytes, 0 for a
    directory. *damage* is what is wrong with it, in a sentence, and *cut* are the parts that were not read to their end
    for that, as ``kind/name``. *facts* are versions and settings, nothing of which is secret.
    """

    path: str
    form: str
    cycle: str
    mark: str
    size: int = 0
    is_dated: bool = True
    damage: str = ""
    cut: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Origin:
        """Return what :meth:`to_text` gave; raise ValueError for anything else."""
        try:
            values = json.loads(text)
            values["cut"] = tuple(values["cut"])
            origin = cls(**values)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError("no origin of a listing") from error
        if origin.format != FORMAT:
            raise ValueError("the listing has another format")
        return origin


def date_of(backup: Backup) -> datetime:
    """Return the date of *backup*; what tells one that no backup can have counts as what tells none."""
    return UNDATED if backup.created is None else max(backup.created, UNDATED)


def header_of(point: str, account: str, started: datetime, origin: Origin) -> Header:
    """Return the header of the listing of the restore point *point*."""
    return Header(
        run=point,
        seq=0,  # it is numbered among all others when it is indexed
        client="",
        job=account,
        structure=STRUCTURE,
        pool=origin.path,
        started=started,
        paths=("/",),
        definition=origin.to_text(),
        tool=VERSION,
    )


def listing_name(point: str) -> str:
    """Return the name of the file that holds the listing of the restore point *point*."""
    return f"{hashlib.sha256(path_bytes(point)).hexdigest()[:32]}.listing.gz"


class ListingWriter(ManifestWriter):
    """Writes a listing of what has *origin*, in which there are no volumes, and so no places to be counted."""

    def __init__(self, write: Callable[[bytes], object], header: Header, origin: Origin) -> None:
        self._origin = origin
        super().__init__(write, header)

    def _count(self, place: Place) -> None:
        """Count nothing: the backup is one piece."""

    def _uses_of(self, volumes: Mapping[str, t.Any]) -> dict[str, VolumeUse]:  # noqa: ARG002 - there are none
        return {"": VolumeUse(self.entries, self._origin.size or self.size, self.size, self.size)}


class Listing(ManifestReader):
    """Reads a listing; what is wrong with the backup is raised where its entries are asked for as if it were whole."""

    def __init__(self, read_at: Callable[[int, int], bytes], size: int, name: str) -> None:
        super().__init__(read_at, size, name)
        try:
            self.origin = Origin.from_text(self.header.definition)
        except ValueError as error:
            raise DamageError(f"The listing {name} is damaged: {error}.") from error


class WholeListing(Listing):
    """A listing that gives its entries only if they are all that the backup has."""

    def entries(self, prefix: bytes = b"", *, on_damage: OnDamage | None = None) -> Iterator[Entry]:
        """Yield the entries, or raise DamageError with what is wrong with the backup."""
        if self.origin.damage:
            raise DamageError(self.origin.damage)
        yield from super().entries(prefix, on_damage=on_damage)


def open_listing(local: Path) -> Listing:
    """Return a reader of the listing in the file *local*; it raises as that of a manifest does."""
    return manifest_of(local, Listing)


def hold_listing(local: Path, held: ExitStack) -> Listing:
    """Return a reader of the listing in the file *local* as it is now, until *held* is left: others may replace it."""
    sentence = f"Cannot read the listing {local}"
    with told_as(sentence):
        descriptor = os.open(local, os.O_RDONLY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        size = os.fstat(descriptor).st_size

    def read_at(offset: int, length: int) -> bytes:
        with told_as(sentence):
            return os.pread(descriptor, max(0, min(length, size - offset)), offset)

    return Listing(read_at, size, local.name)


def open_whole_listing(local: Path) -> Listing:
    """Return a reader of the listing in the file *local* that refuses to give the entries of a damaged backup."""
    return manifest_of(local, WholeListing)
