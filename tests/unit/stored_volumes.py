# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays volumes on a storage as a backup does, and restore points that name what is in them."""

from __future__ import annotations

import hashlib
import itertools
import typing as t
import zlib
from datetime import datetime, timedelta, timezone

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import frames, names, tar
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    FILE,
    Entry,
    Header,
    Part,
    Place,
    order_key,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import (
    ManifestReader,
    ManifestWriter,
    VolumeSize,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import JOB_FILE, JobFile

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path
    from tests.unit.storage_fake import FakeStorage

BEGINNING = datetime(2026, 11, 1, 3, tzinfo=timezone.utc)
OUR_ID = "c0ffee"


class LaidVolume(t.NamedTuple):
    """A volume: its bytes, where each member's content lies in it, and how much content there is."""

    name: str
    stored: bytes
    places: dict[str, Place]
    content: int


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lay(number: int, compression: str, *packed: Mapping[str, bytes]) -> LaidVolume:
    """Make a volume with a frame for each of *packed*, which has the content of each member by its path."""
    name = f"v00/{names.run_id(BEGINNING, 'abcdef')}-{number:06d}{frames.SUFFIXES[compression]}"
    codec = frames.codec_of(compression)
    stored, places, content = b"", {}, 0
    for members in packed:
        stream = b""
        inside: dict[str, tuple[int, int]] = {}
        for path, member in members.items():
            stream += _head(path, member)
            inside[path] = (len(stream), len(member))
            stream += member + tar.padding(len(member))
            content += len(member)
        frame = b"".join(codec.pack(stream))
        for path, (start, size) in inside.items():
            if compression == "none":
                places[path] = Place(name, len(stored) + start, size, 0, size)
            else:
                places[path] = Place(name, len(stored), len(frame), start, size)
        stored += frame
    return LaidVolume(name, stored, places, content)


def _head(path: str, content: bytes) -> bytes:
    return tar.header(
        path.lstrip("/").encode(), len(content), mode=0o644, uid=0, gid=0, mtime=10**9, user="root", group="root"
    )


def entry_of(path: str, content: bytes, *places: Place) -> Entry:
    """Return the entry of a file with this *content*; several *places* have the digests of their segments."""
    digest = digest_of(content)
    if len(places) > 1:
        digest = digest_of(b"".join(bytes.fromhex(place.digest) for place in places))
    return Entry(path.encode(), FILE, 0o644, 0, 0, "root", "root", 10**18, len(content), digest, places=places)


class JobWithVolumes:
    """A job on *storage*, bound to the host with *client_id*."""

    def __init__(
        self,
        storage: FakeStorage,
        client: str = "web01",
        job: str = "nightly",
        *,
        structure: str = "incremental",
        client_id: str = OUR_ID,
    ) -> None:
        self.storage = storage
        self.client = client
        self.job = job
        self.structure = structure
        self.directory = names.job_directory(client, job)
        self._sizes: dict[str, VolumeSize] = {}
        self._runs = itertools.count(1)
        self.write(self.directory / JOB_FILE, JobFile(client, job, client_id, structure).to_json())

    def write(self, path: Path, content: bytes) -> None:
        self.storage.ensure_directories([parent for parent in reversed(path.parents) if parent.name])
        self.storage.delete([path])
        self.storage.write(path, lambda: [content])

    def put(self, pool: str, volume: LaidVolume) -> Path:
        """Store *volume* in *pool*, and return where."""
        path = self.directory / pool / volume.name
        self.write(path, volume.stored)
        self._sizes[volume.name] = VolumeSize(len(volume.stored), volume.content, zlib.crc32(volume.stored))
        return path

    def add(self, pool: str, entries: Sequence[Entry], *, seq: int = 1, checkpoint: bool = False) -> Path:
        """Store a restore point, or a checkpoint, that shows *entries*, and return where its manifest lies."""
        number = next(self._runs)
        run = names.run_id(BEGINNING + timedelta(days=number), f"{number:06x}")
        started = names.started_of(run)
        header = Header(run, seq, self.client, self.job, self.structure, pool, started, ("/srv",), "d", "0.1.0")
        pieces: list[bytes] = []
        writer = ManifestWriter(pieces.append, header)
        for entry in sorted(entries, key=lambda entry: order_key(entry.path)):
            writer.add(entry)
        parts = (Part("files", "/srv", writer.entries, 7),)
        writer.finish(complete=not checkpoint, problems=(), parts=parts, volumes=self._sizes)
        path = names.manifest_path(self.directory, seq, run)
        if checkpoint:
            path = names.checkpoint_path(self.directory, run, seq)
        self.write(path, b"".join(pieces))
        return path

    def keep_files(
        self, pool: str, compression: str, contents: Mapping[str, bytes], *, seq: int = 1, number: int = 0
    ) -> tuple[Path, Path]:
        """Store one volume and a restore point of all that is in it, and return where each lies."""
        volume = lay(number, compression, contents)
        path = self.put(pool, volume)
        entries = [entry_of(name, content, volume.places[name]) for name, content in contents.items()]
        return path, self.add(pool, entries, seq=seq)

    def reader(self, manifest: Path) -> ManifestReader:
        content = self.storage.files[manifest]
        return ManifestReader(lambda offset, length: content[offset : offset + length], len(content), manifest.name)

    def spoil(self, path: Path, at: int, mask: int = 0xFF) -> None:
        """Flip bits of the byte *at* which the file *path* has."""
        content = bytearray(self.storage.read(path))
        content[at] ^= mask
        self.write(path, bytes(content))
