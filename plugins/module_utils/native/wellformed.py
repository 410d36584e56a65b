# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manifest may say: whatever ``docs/format.md`` does not allow is damage, and nobody acts on it.

A digest proves that something is as it was written, not that whoever wrote it meant well. So before anything is done
for an entry, each of its fields is looked at.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from contextlib import contextmanager

from ..errors import DamageError
from . import names
from .entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Entry,
    Header,
    Trailer,
    order_key,
    path_bytes,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .entries import Place, VolumeUse
    from .manifest import ManifestReader, OnDamage

LARGEST_FRAME = 16 * 1024 * 1024  # unpacked
_LARGEST_STORED = LARGEST_FRAME + 1024 * 1024  # what cannot be compressed grows a little
_MOST_EXTENTS = 6000
_NUMBERS = 2**63
_IDS = 2**32 - 1  # chown takes the last one for "leave it"
_DEVICES = 2**32
_KINDS = frozenset((FILE, HARD_LINK, DIRECTORY, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO))
_PATH = re.compile(rb"/|(?:/(?!\.{1,2}(?:/|\Z))[^/\0]+)+")
_DUMP = re.compile(rb"parts:(?:/(?!\.{1,2}(?:/|\Z))[^/\0]+){2,}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_VOLUME = re.compile(r"v[0-9]{2,8}/[a-z0-9][a-z0-9._-]{0,99}")
_POOL = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_RUN = re.compile(r"[0-9]{8}t[0-9]{6}z-[0-9a-f]{6}")
_NONSENSE = (RecursionError, MemoryError, OverflowError, IndexError, TypeError, ValueError)


@contextmanager
def told_of_nonsense(name: str) -> Iterator[None]:
    """Turn what reading a manifest raises that tells of what cannot be into the sentence that names it."""
    try:
        yield
    except _NONSENSE as error:
        raise DamageError(f"The manifest {name} is damaged: it tells of what cannot be.") from error


def entries_of(reader: ManifestReader, prefix: bytes, on_damage: OnDamage) -> Iterator[Entry]:
    """Yield the entries that a manifest has of *prefix* and what lies below it."""
    with told_of_nonsense(reader.header.run):
        yield from reader.entries(prefix, on_damage=on_damage)


def is_volume(name: object) -> bool:
    """Tell whether *name* can be that of a volume in its pool."""
    return isinstance(name, str) and _VOLUME.fullmatch(name) is not None


def is_path(path: bytes) -> bool:
    """Tell whether *path* is absolute and no component of it is empty, ``.`` or ``..``."""
    return _PATH.fullmatch(path) is not None


def is_entry_path(path: bytes) -> bool:
    """Tell whether an entry can have *path*: one on a disk, or that of a dump."""
    return is_path(path) or _DUMP.fullmatch(path) is not None


def require_entry(entry: Entry, volumes: Mapping[str, VolumeUse]) -> None:
    """Raise unless a restore can follow *entry*, whose content lies in some of *volumes*."""
    if not _is_string(entry.kind) or entry.kind not in _KINDS:
        raise _malformed("kind")
    _require_metadata(entry)
    if entry.has_content:
        _require_content(entry, volumes)
    elif entry.kind == SYMLINK and (not entry.target or b"\0" in entry.target):
        raise _malformed("target")
    elif entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE) and not _are_numbers(entry.device or ("",), _DEVICES):
        raise _malformed("device number")


def _require_metadata(entry: Entry) -> None:
    if not _is_number(entry.mode, 0o10000):
        raise _malformed("mode")
    if not (_is_number(entry.uid, _IDS) and _is_number(entry.gid, _IDS)):
        raise _malformed("owner")
    if not (_is_string(entry.user) and _is_string(entry.group)):
        raise _malformed("owner")
    if not _is_number(entry.mtime, _NUMBERS, least=-_NUMBERS):
        raise _malformed("time")
    if entry.xattrs and not all(_is_attribute(name) for name, _value in entry.xattrs):
        raise _malformed("extended attributes")


def _require_content(entry: Entry, volumes: Mapping[str, VolumeUse]) -> None:
    if not _is_number(entry.size, _NUMBERS):
        raise _malformed("size")
    if not _is_string(entry.digest):
        raise _malformed("digest")
    if entry.kind == HARD_LINK and not (is_path(entry.target) and order_key(entry.target) < order_key(entry.path)):
        raise _malformed("first name")
    for place in entry.places:
        _require_place(place, volumes)
    if sum(place.size for place in entry.places) != content_size(entry):
        raise _malformed("size")
    if len(entry.places) > 1:
        _require_digest(entry)


def content_size(entry: Entry, most_extents: int = _MOST_EXTENTS) -> int:
    """Return how long the content of *entry* is, or raise if what it tells of its holes cannot be."""
    if not entry.extents:
        return entry.size
    if len(entry.extents) > most_extents:
        raise _malformed("map")
    size = end = 0
    for offset, length in entry.extents:
        if not (_is_number(offset, _NUMBERS) and _is_number(length, _NUMBERS)) or offset < end:
            raise _malformed("map")
        end = offset + length
        size += length
    if end > entry.size:
        raise _malformed("map")
    return size


def _require_place(place: Place, volumes: Mapping[str, VolumeUse]) -> None:
    volume, offset, length, start, size, digest = place
    use = volumes.get(volume) if _is_string(volume) else None
    if use is None:
        raise DamageError(f"it names the volume {volume!r}, of which the restore point does not tell")
    if not (_is_number(offset, _NUMBERS) and _is_number(length, _LARGEST_STORED) and offset + length <= use.stored):
        raise _malformed("place")
    if not (_is_number(start, LARGEST_FRAME) and _is_number(size, LARGEST_FRAME - start + 1) and size > 0):
        raise _malformed("place")
    if volume.endswith(".tar") and (start, size) != (0, length):
        raise _malformed("place")
    if not _is_string(digest):
        raise _malformed("digest")


def _require_digest(entry: Entry) -> None:
    """Raise unless the digest of the file is that of the digests of its segments."""
    total = hashlib.sha256()
    for place in entry.places:
        if _DIGEST.fullmatch(place.digest) is None:
            raise _malformed("digest")
        total.update(bytes.fromhex(place.digest))
    if total.hexdigest() != entry.digest:
        raise _malformed("digest")


def _is_attribute(name: str) -> bool:
    return "." in name and "\0" not in name and _is_text(name)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object, limit: int, least: int = 0) -> bool:
    return isinstance(value, int) and least <= value < limit


def _is_text(value: object) -> bool:
    """Tell whether *value* is text that can be turned into the bytes it stands for."""
    if not isinstance(value, str):
        return False
    try:
        path_bytes(value)
    except UnicodeEncodeError:
        return False
    return True


def _malformed(field: str) -> DamageError:
    return DamageError(f"its entry is damaged: there is no such {field}")


def require_manifest(name: str, header: Header, trailer: Trailer, size: int) -> None:
    """Raise unless *header* and *trailer* of the manifest *name*, a file of *size* bytes, can be followed."""
    for what, problem in (("header", _problem_of_header(header)), ("trailer", _problem_of_trailer(trailer, size))):
        if problem is not None:
            raise DamageError(f"The manifest {name} is damaged: there are no such {problem} as its {what} tells.")


def _problem_of_header(header: Header) -> str | None:
    texts = (header.run, header.client, header.job, header.structure, header.pool, header.tool)
    if not all(map(_is_text, texts)) or _RUN.fullmatch(header.run) is None:
        return "names"
    if _POOL.fullmatch(header.pool) is None or not names.is_pool(header.pool):
        return "pools"
    if not all(_is_text(path) and is_path(path_bytes(path)) for path in header.paths):
        return "paths"
    rules = header.rules
    if not (all(map(_is_text, rules.exclude)) and (rules.marker is None or _is_text(rules.marker))):
        return "rules"
    return None if _are_numbers((header.seq, header.generation)) else "numbers"


def _problem_of_trailer(trailer: Trailer, size: int) -> str | None:
    if not _are_numbers((trailer.complete, trailer.entries, trailer.size)):
        return "counts"
    if not all(_is_text(problem.path) and _is_text(problem.problem) for problem in trailer.problems):
        return "problems"
    if not all(_is_text(p.kind) and _is_text(p.name) and _are_numbers((p.entries, p.size)) for p in trailer.parts):
        return "parts"
    if not all(is_volume(volume) and _are_numbers(use) for volume, use in trailer.volumes.items()):
        return "volumes"
    for block in trailer.blocks:
        if not (_are_numbers((block.offset, block.length)) and block.offset + block.length <= size):
            return "blocks"
    # Where they are not in order, a path is looked for in the wrong ones.
    keys = [order_key(block.first) for block in trailer.blocks]
    return "blocks" if any(after < before for before, after in zip(keys, keys[1:])) else None


def _are_numbers(values: Iterable[object], limit: int = _NUMBERS) -> bool:
    return all(_is_number(value, limit) for value in values)
