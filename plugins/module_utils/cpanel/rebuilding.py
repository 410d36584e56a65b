# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing back the archive of a whole account that cPanel's own restore takes, and seeing that nothing of it lacks."""

from __future__ import annotations

import tarfile
import typing as t
from contextlib import ExitStack
from pathlib import PurePosixPath

from ..errors import DamageError
from ..native.entries import path_bytes, path_text
from ..storage import DIRECTORY as DIRECTORY_KIND
from ..storage import FILE, LINK
from .naming import DIRECTORY, TAR_GZ
from .remote import RemoteStream
from .tarring import TarReader
from .unpacking import Unpacked

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage import RemoteDetails, Storage
    from .listing import Listing
    from .remote import ByteStream

_CHUNK = 1024 * 1024
_BLOCK = 512
#: What cPanel's restore cannot do without: one of each line.
_NEEDED = ((b"cp/",), (b"homedir/", b"homedir.tar"), (b"userdata/main",), (b"version",))


def archive_name(listing: Listing) -> str:
    """Return the name that cPanel's restore knows the archive of the account by."""
    packed = ".gz" if listing.origin.form == TAR_GZ else ""
    return f"cpmove-{listing.header.job}.tar{packed}"


def require_restorable(listing: Listing) -> None:
    """Raise DamageError if what is known of the backup already says that cPanel could not restore it."""
    if listing.origin.damage:
        raise DamageError(f"{listing.origin.damage} It is not brought back as an archive that cPanel could restore.")


def write_archive(storage: Storage, listing: Listing, write: Callable[[memoryview], object]) -> int:
    """Hand the archive of the account over to *write*, byte for byte as cPanel made it; a directory becomes a tar.

    Return its size in bytes. Raises DamageError if it lacks anything; what was written until then is of no use.
    """
    origin = listing.origin
    needed = _Needed()
    counted = _Counted(write)
    with ExitStack() as stack:
        if origin.form == DIRECTORY:
            _write_directory(storage, listing, counted.write, needed)
        else:
            stream = stack.enter_context(RemoteStream(storage, PurePosixPath(origin.path)))
            tee = _Tee(stream, counted.write)
            unpacked: ByteStream = Unpacked(tee) if origin.form == TAR_GZ else tee
            reader = TarReader(unpacked)
            for member in reader.members():
                needed.see(member.name)
            if reader.damage:
                raise DamageError(f"The backup {origin.path} is damaged: {reader.damage.rstrip('.')}.")
            if counted.size != origin.size:
                raise DamageError(
                    f"The backup {origin.path} has {counted.size:,} bytes, and had {origin.size:,} when it was indexed:"
                    " run reindex."
                )
    lacking = needed.lacking()
    if lacking:
        raise DamageError(
            f"The backup {origin.path} lacks {lacking}, without which cPanel's restore makes no account of it: restore"
            " its parts instead."
        )
    return counted.size


class _Needed:
    """Sees which of the members that are needed there are, whatever directory stands above them."""

    def __init__(self) -> None:
        self._missing = dict.fromkeys(_NEEDED)

    def see(self, name: bytes) -> None:
        if not self._missing:
            return
        forms = (name, name.partition(b"/")[2])
        for choices in tuple(self._missing):
            if any(
                form == choice or (choice[-1:] == b"/" and form.startswith(choice))
                for form in forms
                for choice in choices
            ):
                del self._missing[choices]

    def lacking(self) -> str:
        return ", ".join(path_text(choices[0].rstrip(b"/")) for choices in self._missing)


class _Tee:
    """A stream that hands over all that is read from it."""

    def __init__(self, stream: ByteStream, write: Callable[[memoryview], object]) -> None:
        self._stream = stream
        self._write = write

    def read(self, size: int) -> memoryview | bytes:
        piece = self._stream.read(size)
        self._write(memoryview(piece))
        return piece


class _Counted:
    """Hands over what is written, and counts its bytes."""

    def __init__(self, write: Callable[[memoryview], object]) -> None:
        self._write = write
        self.size = 0

    def write(self, piece: memoryview) -> None:
        self.size += len(piece)
        self._write(piece)


def _write_directory(
    storage: Storage, listing: Listing, write: Callable[[memoryview], object], needed: _Needed
) -> None:
    """Write the files of a backup that is a directory as a tar stream."""
    root = PurePosixPath(listing.origin.path)
    top = path_bytes(f"cpmove-{listing.header.job}")
    write(memoryview(_header(top, tarfile.DIRTYPE, 0o755, 0, 0)))
    for name, details in _walk(storage, root):
        needed.see(name)
        kinds = {FILE: tarfile.REGTYPE, DIRECTORY_KIND: tarfile.DIRTYPE, LINK: tarfile.SYMTYPE}
        if details.kind not in kinds or (details.kind == LINK and not details.target):
            raise DamageError(
                f"The server does not tell what {root / path_text(name)} is, so no archive is made of the backup."
            )
        kind, usual = kinds[details.kind], 0o644 if details.kind == FILE else 0o755
        mode = usual if details.mode is None else details.mode
        write(memoryview(_header(top + b"/" + name, kind, mode, details.mtime or 0, details.size, details.target)))
        if details.kind == FILE:
            with RemoteStream(storage, root / path_text(name), 0, details.size) as stream:
                left = details.size
                while left:
                    piece = memoryview(stream.read(min(left, _CHUNK)))
                    left -= len(piece)
                    write(piece)
            write(memoryview(bytes(-details.size % _BLOCK)))
    write(memoryview(bytes(2 * _BLOCK)))


def _walk(storage: Storage, root: PurePosixPath) -> Iterator[tuple[bytes, RemoteDetails]]:
    """Yield all that lies below *root*, a directory before what is in it, with the names below *root*."""
    waiting = [b""]
    while waiting:
        below = waiting.pop()
        for details in storage.list_details(root / path_text(below), thorough=True):
            name = (below + b"/" if below else b"") + path_bytes(details.name)
            if details.kind == DIRECTORY_KIND:
                waiting.append(name)
            yield name, details


def _header(name: bytes, kind: bytes, mode: int, mtime: int, size: int, target: str = "") -> bytes:
    """Return the header of a member as GNU tar writes it."""
    info = tarfile.TarInfo(path_text(name))
    info.type, info.mode, info.mtime, info.linkname = kind, mode, mtime, target
    info.size = size if kind == tarfile.REGTYPE else 0
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
