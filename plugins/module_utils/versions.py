# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How what a manifest says becomes versions of paths: a row for each, and where two manifests differ."""

from __future__ import annotations

import hashlib
import typing as t

from .errors import DamageError
from .native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    FILES,
    HARD_LINK,
    SYMLINK,
    dump_path,
    order_key,
    path_bytes,
    path_text,
)
from .native.wellformed import told_of_nonsense

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .native.entries import Part, Trailer
    from .native.manifest import ManifestReader

    Row = tuple[bytes, str, int, int, bytes]

_INTEGER_LIMIT = 2**63 - 1
_KINDS = {kind: kind for kind in (FILE, DIRECTORY, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO)} | {HARD_LINK: FILE}


def digest_of_entries(trailer: Trailer) -> bytes:
    """Return the digest of all blocks but the first, which is the header."""
    return hashlib.sha256("".join(block.digest for block in trailer.blocks[1:]).encode("ascii")).digest()


def rows_of(reader: ManifestReader) -> Iterator[Row]:
    """Yield the entries of a manifest as versions; a hard link is one more file."""
    previous = b""
    with told_of_nonsense(reader.header.run):
        for entry in reader.entries():
            key = order_key(entry.path)
            if key <= previous:
                path = path_text(entry.path)
                raise DamageError(f"The manifest of run {reader.header.run} is damaged: {path} is out of order.")
            previous = key
            if entry.kind not in _KINDS or not 0 <= entry.size <= _INTEGER_LIMIT:
                raise ValueError("no such kind or size")
            mtime = max(-_INTEGER_LIMIT, min(entry.mtime // 1000, _INTEGER_LIMIT))
            content = bytes.fromhex(entry.digest) if entry.digest else entry.target
            yield key, _KINDS[entry.kind], entry.size, mtime, content


def paired(old_rows: Iterator[Row], new_rows: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Yield what the two have under each path; both come in order of their keys."""
    old = next(old_rows, None)
    for new in new_rows:
        while old is not None and old[0] < new[0]:
            yield old, None
            old = next(old_rows, None)
        if old is not None and old[0] == new[0]:
            yield old, new
            old = next(old_rows, None)
        else:
            yield None, new
    while old is not None:
        yield old, None
        old = next(old_rows, None)


class ChangedParts:
    """Finds out which of the *parts* of a restore point hold a path that changed."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._unchanged: dict[bytes, set[tuple[str, str]]] = {}
        for part in parts:
            path = path_bytes(part.name) if part.kind == FILES else dump_path(part.kind, part.name)
            self._unchanged.setdefault(order_key(path), set()).add((part.kind, part.name))
        self.found: set[tuple[str, str]] = set()

    def note(self, key: bytes) -> None:
        """Note that what stands under *key* changed: with it, the parts at and above it have."""
        if self._unchanged:
            for place in _at_and_above(key):
                self.found |= self._unchanged.pop(place, set())


def _at_and_above(key: bytes) -> Iterator[bytes]:
    yield key
    while b"\0" in key[1:]:
        key = key[: key.rindex(b"\0")]
        yield key
    yield key[:1]  # the root, of what lies below it
