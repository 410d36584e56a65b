# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes accounts as backups in all their forms, and the trees in which they lie on a destination.

Nothing is held that an account does not hold itself, so an archive may be larger than memory.

Sources: POSIX.1-2017, pax; the GNU tar manual, "Storing Sparse Files"; RFC 1952; cPanel's documentation of its backups.
"""

from __future__ import annotations

import os
import random
import shutil
import tarfile
import typing as t
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from tests.cpanel.accounts import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Member,
    Owner,
    Sparse,
    pieces_of,
    size_of,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from tests.cpanel.accounts import Account, Content

TAR, TAR_GZ, DIRECTORY_FORM = "tar", "tar.gz", "directory"
DAILY, WEEKLY, MONTHLY, OTHER = "daily", "weekly", "monthly", ""
TarFormat = t.Literal[0, 1, 2]  # the numbers of tarfile
USTAR: TarFormat = 0
GNU: TarFormat = 1
PAX: TarFormat = 2
METADATA_FIRST, METADATA_LAST, SHUFFLED = "metadata first", "metadata last", "shuffled"
OLD_SPARSE, PAX_SPARSE_01, PAX_SPARSE_10 = "old GNU", "pax 0.1", "pax 1.0"

BLOCK = 512
RECORD = 20 * BLOCK  # what tar fills its archives up to
_TYPES = {
    FILE: tarfile.REGTYPE,
    DIRECTORY: tarfile.DIRTYPE,
    SYMLINK: tarfile.SYMTYPE,
    HARD_LINK: tarfile.LNKTYPE,
    CHARACTER_DEVICE: tarfile.CHRTYPE,
    BLOCK_DEVICE: tarfile.BLKTYPE,
    FIFO: tarfile.FIFOTYPE,
}
_BEGINNING = 1_600_000_000


class Sink(t.Protocol):
    """Takes bytes, one after the other."""

    def write(self, piece: bytes, /) -> object: ...


@dataclass(frozen=True)
class Shape:
    """How a backup is written.

    *top* stands before all names: a directory, "" for none, or ``.``; None is ``cpmove-USER``. *is_nested*: the home is
    a ``homedir.tar``. *sparse* says how sparse files are stored; "" stores their holes. *seed* is that of the order.
    *member_size* is after how many bytes a gzip file begins a new member; 0 is never.
    """

    top: str | None = None
    is_nested: bool = False
    order: str = METADATA_FIRST
    tar_format: TarFormat = GNU
    sparse: str = OLD_SPARSE
    seed: int = 1
    level: int = 6
    member_size: int = 0

    def top_of(self, account: Account) -> bytes:
        return (f"cpmove-{account.user}" if self.top is None else self.top).encode()


PLAIN = Shape()
#: One for each thing that may differ, by name; all of them hold for any account but USTAR, whose names are short.
SHAPES = {
    "plain": PLAIN,
    "named as by hand": Shape(top="backup-2.20.2021_13-22-32_{user}"),
    "named as the user": Shape(top="{user}"),
    "no top directory": Shape(top=""),
    "dot in front": Shape(top="."),
    "dot and top directory": Shape(top="./cpmove-{user}"),
    "nested": Shape(is_nested=True),
    "nested, metadata last": Shape(is_nested=True, order=METADATA_LAST),
    "metadata last": Shape(order=METADATA_LAST),
    "shuffled": Shape(order=SHUFFLED),
    "pax": Shape(tar_format=PAX, sparse=PAX_SPARSE_10),
    "pax, older sparse files": Shape(tar_format=PAX, sparse=PAX_SPARSE_01),
    "nested pax": Shape(tar_format=PAX, sparse=PAX_SPARSE_10, is_nested=True, order=SHUFFLED),
    "stored holes": Shape(sparse=""),
    "several gzip members": Shape(member_size=10_000),
    "packed fast": Shape(level=1),
}


def shape_for(name: str, account: Account) -> Shape:
    """Return the shape *name* of SHAPES with the name of *account* in it."""
    shape = SHAPES[name]
    return shape if shape.top is None else replace(shape, top=shape.top.format(user=account.user))


class Counter:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, piece: bytes, /) -> None:
        self.size += len(piece)


class Gzip:
    """A sink that packs into *sink*, with no name and no time in the header; close it, and the stream is whole."""

    def __init__(self, sink: Sink, level: int = 6, member_size: int = 0) -> None:
        self._sink = sink
        self._level = level
        self._member_size = member_size
        self._packer = self._new()
        self._left = member_size

    def _new(self) -> zlib._Compress:
        return zlib.compressobj(self._level, zlib.DEFLATED, 31)

    def write(self, piece: bytes, /) -> None:
        while self._member_size and len(piece) > self._left:
            self._sink.write(self._packer.compress(piece[: self._left]) + self._packer.flush())
            piece = piece[self._left :]
            self._packer, self._left = self._new(), self._member_size
        self._left -= len(piece)
        self._sink.write(self._packer.compress(piece))

    def close(self) -> None:
        self._sink.write(self._packer.flush())


class TarWriter:
    """Writes members to *sink* one after the other; what tarfile cannot write is made here."""

    def __init__(self, sink: Sink, tar_format: TarFormat = GNU, sparse: str = OLD_SPARSE) -> None:
        self._sink = sink
        self._format = tar_format
        self._sparse = sparse
        self.position = 0

    def raw(self, piece: bytes) -> None:
        """Write *piece* as it is."""
        self._sink.write(piece)
        self.position += len(piece)

    def content(self, content: Content) -> None:
        """Write *content*, filled up to whole blocks."""
        for piece in pieces_of(content):
            self.raw(piece)
        self.fill()

    def fill(self) -> None:
        self.raw(bytes(-self.position % BLOCK))

    def add(self, member: Member) -> None:
        """Write *member* under its name as it is."""
        content = member.content
        if isinstance(content, Sparse) and self._sparse:
            self._add_sparse(member, content)
        else:
            self.header(header_of(member))
            self.content(content)

    def header(self, header: tarfile.TarInfo) -> None:
        self.raw(header.tobuf(self._format, "utf-8", "surrogateescape"))

    def _add_sparse(self, member: Member, content: Sparse) -> None:
        """Write a sparse file; its last piece has no bytes where it ends with a hole.

        Each piece is filled up to whole blocks, but for one that reaches the end: GNU tar reads them by blocks.
        """
        filled = [
            (offset, piece.ljust(min(len(piece) + -len(piece) % BLOCK, content.size - offset), b"\0"))
            for offset, piece in content.pieces
        ]
        pieces = [(offset, len(piece)) for offset, piece in filled]
        if not pieces or sum(pieces[-1]) < content.size:
            pieces.append((content.size, 0))
        stored = b"".join(piece for _offset, piece in filled)
        header = header_of(member)
        if self._sparse == OLD_SPARSE:
            header.size = len(stored)
            header.type = tarfile.GNUTYPE_SPARSE
            raw = header.tobuf(GNU, "utf-8", "surrogateescape")
            self.raw(raw[:-BLOCK] + old_sparse_block(raw[-BLOCK:], content.size, pieces))
            for at in range(4, len(pieces), 21):
                numbers = b"".join(_octal(number) for piece in pieces[at : at + 21] for number in piece)
                self.raw(numbers.ljust(504, b"\0") + (b"\1" if at + 21 < len(pieces) else b"\0") + bytes(7))
        else:
            stored = self._pax_sparse(header, content.size, pieces) + stored
            header.size = len(stored)
            self.header(header)
        self.content(stored)

    def _pax_sparse(self, header: tarfile.TarInfo, size: int, pieces: list[tuple[int, int]]) -> bytes:
        """Make *header* that of a sparse file in a pax archive; return what stands before its content."""
        numbers = [str(number) for piece in pieces for number in piece]
        directory, _slash, base = header.name.rpartition("/")
        records = {"GNU.sparse.name": header.name}
        before = b""
        if self._sparse == PAX_SPARSE_10:
            records |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(size)}
            before = "".join(f"{number}\n" for number in (len(pieces), *numbers)).encode()
            before += bytes(-len(before) % BLOCK)
        else:
            records |= {"GNU.sparse.size": str(size), "GNU.sparse.numblocks": str(len(pieces))}
            records["GNU.sparse.map"] = ",".join(numbers)
        header.pax_headers = records
        header.name = f"{directory}/GNUSparseFile.77/{base}"
        return before

    def close(self, *, is_marked: bool = True) -> None:
        """End the archive with its two blocks of zeros, and fill up the record."""
        if is_marked:
            self.raw(bytes(2 * BLOCK))
            self.raw(bytes(-self.position % RECORD))


def header_of(member: Member) -> tarfile.TarInfo:
    """Return the header of *member*; GNU and pax forms take names of any bytes and length."""
    header = tarfile.TarInfo(os.fsdecode(member.name))
    header.type = _TYPES[member.kind]
    header.size = size_of(member.content)
    header.mode = member.mode
    header.mtime = member.mtime
    header.linkname = os.fsdecode(member.target)
    header.uid, header.gid, header.uname, header.gname = member.owner
    if member.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
        header.devmajor, header.devminor = 1, 3
    return header


def _octal(number: int) -> bytes:
    """Return *number* as a header has it: octal, or in base 256 where it is too large for that."""
    return b"%011o\0" % number if number < 8**11 else b"\x80" + number.to_bytes(11, "big")


def old_sparse_block(block: bytes, size: int, pieces: list[tuple[int, int]]) -> bytes:
    """Return the header *block* with the first pieces of a sparse file of *size* bytes in it."""
    numbers = b"".join(_octal(number) for piece in pieces[:4] for number in piece)
    changed = block[:386] + numbers.ljust(96, b"\0") + (b"\1" if len(pieces) > 4 else b"\0") + _octal(size) + bytes(17)
    return with_checksum(changed)


def with_checksum(block: bytes) -> bytes:
    """Return the header *block* with the checksum that belongs to it."""
    return block[:148] + b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:]) + block[156:]


def is_metadata(member: Member) -> bool:
    """Tell whether *member* lies beside the home."""
    return member.name != b"homedir" and not member.name.startswith(b"homedir/")


def in_order(
    members: Collection[Member], order: str, seed: int, keep: Callable[[Member], bool] = lambda _member: True
) -> Iterator[Member]:
    """Yield those *members* that *keep* says, in *order*; a hard link comes after what it points to in each of them."""
    if order == SHUFFLED:
        shuffled = list(filter(keep, members))
        random.Random(f"order {seed}").shuffle(shuffled)
        yield from sorted(shuffled, key=lambda member: member.kind == HARD_LINK)
        return
    for wanted in (True, False) if order == METADATA_FIRST else (False, True):
        yield from (member for member in filter(keep, members) if is_metadata(member) == wanted)


def _is_home(member: Member) -> bool:
    return not is_metadata(member)


def _below(top: bytes, member: Member) -> Member:
    """Return *member* with *top* before its names."""
    if not top:
        return member
    target = top + b"/" + member.target if member.kind == HARD_LINK else member.target
    return replace(member, name=top + b"/" + member.name, target=target)


def write_tar(account: Account, sink: Sink, shape: Shape = Shape()) -> None:
    """Write *account* as a tar archive."""
    writer = TarWriter(sink, shape.tar_format, shape.sparse)
    top = shape.top_of(account)
    owner = Owner(0, 0, "root", "root")
    if top:
        writer.add(Member(top, DIRECTORY, b"", 0o711, owner, _BEGINNING))
    if not shape.is_nested or account.is_home_only:
        for member in in_order(account.members, shape.order, shape.seed):
            writer.add(_below(top, member))
    else:
        _write_around_nested(account, writer, shape, top)
    writer.close()


def _write_around_nested(account: Account, writer: TarWriter, shape: Shape, top: bytes) -> None:
    """Write all beside the home, and the home as an archive in the archive where its turn is."""
    metadata = list(in_order(account.members, shape.order, shape.seed, is_metadata))
    at = {METADATA_FIRST: len(metadata), METADATA_LAST: 0}.get(shape.order, len(metadata) // 2)
    for member in metadata[:at]:
        writer.add(_below(top, member))
    counter = Counter()
    write_home(account, counter, shape)
    header = header_of(_below(top, Member(b"homedir.tar", FILE, b"", 0o600, mtime=_BEGINNING)))
    header.size = counter.size
    writer.header(header)
    write_home(account, _Into(writer), shape)
    writer.fill()
    for member in metadata[at:]:
        writer.add(_below(top, member))


class _Into:
    """A sink that writes into a larger archive."""

    def __init__(self, writer: TarWriter) -> None:
        self._writer = writer

    def write(self, piece: bytes, /) -> None:
        self._writer.raw(piece)


def write_home(account: Account, sink: Sink, shape: Shape) -> None:
    """Write the home of *account* as an archive of its own, whose members are called from ``./`` on."""
    writer = TarWriter(sink, shape.tar_format, shape.sparse)
    begin = len(b"homedir")
    for member in in_order(account.members, shape.order, shape.seed, _is_home):
        target = b"." + member.target[begin:] if member.kind == HARD_LINK else member.target
        writer.add(replace(member, name=b"." + member.name[begin:], target=target))
    writer.close()


def write(account: Account, sink: Sink, form: str = TAR_GZ, shape: Shape = Shape()) -> None:
    """Write *account* to *sink*, as an archive of *form*."""
    if form == TAR:
        write_tar(account, sink, shape)
        return
    packed = Gzip(sink, shape.level, shape.member_size)
    write_tar(account, packed, shape)
    packed.close()


def write_file(account: Account, path: Path, form: str = TAR_GZ, shape: Shape = Shape()) -> None:
    """Write *account* to the file *path*, as an archive of *form*."""
    with path.open("wb") as file:
        write(account, file, form, shape)


def write_directory(account: Account, top: Path) -> None:
    """Write *account* as a tree in the directory *top*, which is made; owners are those of whoever runs this."""
    top.mkdir(parents=True)
    root = os.fsencode(top)
    for member in in_order(account.members, METADATA_FIRST, 0):
        path = os.fsdecode(root + b"/" + member.name)
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - names that are no text
        _write_one(member, path, root)
    for member in account.members:
        if member.kind == DIRECTORY:
            path = os.fsdecode(root + b"/" + member.name)
            os.chmod(path, member.mode)  # noqa: PTH101 - names that are no text
            os.utime(path, (member.mtime, member.mtime))


def _write_one(member: Member, path: str, root: bytes) -> None:
    if member.kind == DIRECTORY:
        os.makedirs(path, exist_ok=True)  # noqa: PTH103 - names that are no text
    elif member.kind == SYMLINK:
        os.symlink(os.fsdecode(member.target), path)  # noqa: PTH211 - names that are no text
        os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
    elif member.kind == HARD_LINK:
        os.link(os.fsdecode(root + b"/" + member.target), path)
    elif member.kind == FILE:
        with open(path, "xb") as file:  # noqa: PTH123 - names that are no text
            _fill(file, member.content)
        os.chmod(path, member.mode)  # noqa: PTH101 - names that are no text
        os.utime(path, (member.mtime, member.mtime))
    else:
        raise ValueError(f"no directory of ours has a member of kind {member.kind!r}")


def _fill(file: t.BinaryIO, content: Content) -> None:
    if isinstance(content, Sparse):
        for offset, piece in content.pieces:
            file.seek(offset)
            file.write(piece)
        file.truncate(content.size)
        return
    for piece in pieces_of(content):
        file.write(piece)


# -- destinations


class Placed(t.NamedTuple):
    """A backup on a destination: its *path* relative to the top, with its ending."""

    path: str
    form: str
    account: str
    created: datetime | None
    cycle: str


class Layout(t.NamedTuple):
    """What lies on a destination: backups, and paths of what is none."""

    backups: list[Placed]
    others: list[str]


def _utc(*numbers: int) -> datetime:
    year, month, day, hour, minute, second = (*numbers, 0, 0, 0)[:6]
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)


_ENDINGS = {TAR: ".tar", TAR_GZ: ".tar.gz", DIRECTORY_FORM: ""}
#: Directories for backups, with or without ``accounts``: their date and their cycle.
_DIRECTORIES: tuple[tuple[str, datetime | None, str], ...] = (
    ("2021-02-20/accounts", _utc(2021, 2, 20), DAILY),
    ("2021-02-21", _utc(2021, 2, 21), DAILY),
    ("weekly/2018-12-16/accounts", _utc(2018, 12, 16), WEEKLY),
    ("weekly/2018-12-23", _utc(2018, 12, 23), WEEKLY),
    ("monthly/2021-02-01/accounts", _utc(2021, 2, 1), MONTHLY),
    ("monthly/2021-03-01", _utc(2021, 3, 1), MONTHLY),
    ("incremental/accounts", None, OTHER),
    ("cpbackup/daily", None, DAILY),
    ("cpbackup/weekly", None, WEEKLY),
    ("cpbackup/monthly", None, MONTHLY),
)
#: Names of backups at the top, with their date; a name with a time is that of one made by hand.
_NAMES: tuple[tuple[str, datetime | None], ...] = (
    ("cpmove-{user}", None),
    ("{user}", None),
    ("backup-2.20.2021_13-22-32_{user}", _utc(2021, 2, 20, 13, 22, 32)),
    ("backup-7.29.2024_1-2-3_{user}", _utc(2024, 7, 29, 1, 2, 3)),
    ("backup-2.21.202113-22-32{user}", _utc(2021, 2, 21, 13, 22, 32)),
    ("package-{user}", None),
)
_OTHERS = (
    "2021-02-20/accounts/.master.meta",
    "2021-02-20/system/files/_etc_passwd.gz",
    "2021-02-20/system/dirs/_var_cpanel.tar",
    "2021-02-21/system.tar",
    "weekly/2018-12-16/system/files/_etc_hosts.gz",
    "cpbackup/daily/files/_etc_passwd.gz",
    "cpbackup/daily/dirs/_var_cpanel.tar.gz",
    ".meta/transports.db",
    ".meta/harbour.db",
    "2021-02-20/accounts/backup_incomplete",
    "split-user.tar.gz.part00001",
    "split-user.tar.gz.part00002",
    "2021-02-20/accounts/split-user.tar.gz.part00001",
    "readme.txt",
    "photos.zip",
    "index.html",
)


def layout(
    root: Path,
    accounts: Sequence[Account],
    shape: Shape = Shape(),
    forms: Sequence[str] = (TAR_GZ, TAR, DIRECTORY_FORM),
) -> Layout:
    """Fill the directory *root* as a destination that has everything, with backups of *accounts* in turn.

    A directory has each account in one of *forms*, another one than the directory before. At the top, where the first
    of *accounts* stands alone, all names are met, as archives.
    """
    stock = _Stock(root, shape)
    backups = []
    for turn, (directory, created, cycle) in enumerate(_DIRECTORIES):
        for number, account in enumerate(accounts):
            form = DIRECTORY_FORM if directory.startswith("incremental") else forms[(turn + number) % len(forms)]
            backups.append(stock.put(account, f"{directory}/{account.user}", form, created, cycle))
    archive_forms = [form for form in forms if form != DIRECTORY_FORM] or [TAR_GZ]
    first = accounts[0]
    for number, (name, created) in enumerate(_NAMES):
        form = archive_forms[number % len(archive_forms)]
        backups.append(stock.put(first, name.format(user=first.user), form, created, OTHER))
    for path in _OTHERS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"not a backup of an account\n")
    return Layout(sorted(backups), sorted(_OTHERS))


class _Stock:
    """Puts backups below *root*; an archive that was written once is copied when it is wanted again."""

    def __init__(self, root: Path, shape: Shape) -> None:
        self._root = root
        self._shape = shape
        self._written: dict[tuple[str, str], Path] = {}

    def put(self, account: Account, name: str, form: str, created: datetime | None, cycle: str) -> Placed:
        path = self._root / (name + _ENDINGS[form])
        path.parent.mkdir(parents=True, exist_ok=True)
        first = self._written.get((account.user, form))
        if form == DIRECTORY_FORM:
            write_directory(account, path)
        elif first is not None:
            shutil.copyfile(first, path)
        else:
            write_file(account, path, form, self._shape)
            self._written[account.user, form] = path
        at = int((created or _utc(2021, 2, 22)).timestamp()) + 3600
        os.utime(path, (at, at))
        return Placed(str(path.relative_to(self._root)), form, account.user, created, cycle)
