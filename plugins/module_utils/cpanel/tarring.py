# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading tar archives while they come: their members in order, and every damage that can be seen.

Sources: POSIX.1-2017, pax (ustar and extended headers); the GNU tar manual, "Tar Internals" (long names, sparse files,
base-256 numbers). The library's own reader takes an archive that is cut at a member's boundary for a whole one, keeps
all members in memory, and reads extended headers of any size.

A header has no more than a checksum of its own, content has none: only an archive that is packed shows all damage.
"""

from __future__ import annotations

import re
import typing as t
import zlib
from functools import lru_cache

from ..errors import DamageError
from ..native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Problem,
    path_text,
)
from .limits import LIMITS, MIB
from .unpacking import Unpacked

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .limits import Limits
    from .remote import ByteStream

    Extents = tuple[tuple[int, int], ...]
    Records = dict[bytes, bytes]

OTHER = "?"  # the kind of what tar has besides
BLOCK = 512
_ZEROS = bytes(BLOCK)
_READ = MIB
_MOST = 2**63 - 1
_NOBODY = 65534
_OWNERS = 2**32 - 1  # numbers of users and groups are below that
_SHOWN = 200  # so many bytes of a name stand in a note

_KINDS = {
    b"\0": FILE,
    b"0": FILE,
    b"7": FILE,  # contiguous
    b"S": FILE,  # sparse, as old versions of GNU tar have it
    b"1": HARD_LINK,
    b"2": SYMLINK,
    b"3": CHARACTER_DEVICE,
    b"4": BLOCK_DEVICE,
    b"5": DIRECTORY,
    b"6": FIFO,
}
_EXTENSIONS = frozenset(b"LKxXg")  # of GNU tar, of pax, and of Solaris, whose are those of pax
_LABEL, _OLD_SPARSE = b"V", b"S"
_RECORDS = frozenset((b"path", b"linkpath", b"size", b"mtime", b"uid", b"gid", b"uname", b"gname"))
_MAPS = frozenset((b"GNU.sparse.major", b"GNU.sparse.map"))
_OCTAL = re.compile(rb"[ \t]*(-?[0-7]+|)(?:[ \0].*)?", re.DOTALL)
_SECONDS = re.compile(rb"(-?)([0-9]{1,12})(?:\.([0-9]{0,30}))?")
_NESTED = re.compile(rb"(?:(?!homedir/)[^/]+/)?homedir\.tar")

#: What names of metadata, which name parts, never hold: control characters, and the backslash.
_ODD = re.compile(rb"[\x00-\x1f\x7f\\]")
_HOME = b"homedir"
_METADATA = frozenset(
    b"authnlinks apache_tls bandwidth bandwidth_db counters cp cron ccs customizations dnssec_keys dnszones domainkeys"
    b" httpfiles ips locale logs mm mma mms mysql mysql-timestamps psql resellerconfig resellerfeatures"
    b" resellerpackages ssl sslcerts sslkeys suspended suspendinfo userconfig userdata va vad vf team meta".split()
)


class Member(t.NamedTuple):
    """One member of an archive.

    *name* has no ``./`` in front and no slash at its end; that of the archive's own top is empty. What is in a nested
    ``homedir.tar`` is called as if it were a directory ``homedir``. *kind* is one of an entry's, or :data:`OTHER`.
    Nothing but names is judged here: devices and FIFOs are members as well, and a *target* may point anywhere; that of
    a hard link is a safe name in the same form as *name*.

    *mtime* is in nanoseconds since 1970. *size* is that of the content, with its holes; *stored* of its bytes lie in
    the stream, from *offset* on. *extents* are those of an :class:`~..native.entries.Entry`.
    """

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int
    size: int
    stored: int
    target: bytes
    offset: int
    extents: tuple[tuple[int, int], ...]


def safe_name(name: bytes, limits: Limits = LIMITS) -> bytes | None:
    """Return *name* without ``.`` and needless slashes, or None if no restore may follow it.

    Absolute names are not safe, nor are those with ``..``, with NUL, or longer or deeper than the limits, and in
    metadata control characters and backslashes are not.
    """
    clean, refusal = _judged(name, limits)
    return None if refusal else clean


def _judged(name: bytes, limits: Limits) -> tuple[bytes, str]:
    """Return *name* in its plain form, and why it is refused, if it is."""
    if len(name) > 2 * limits.path:
        return name, "its name is too long"
    parts = [part for part in name.split(b"/") if part and part != b"."]
    clean = b"/".join(parts)
    refusal = ""
    if name[:1] == b"/":
        refusal = "its name is absolute"
    elif b".." in parts:
        refusal = "its name leads out of the archive"
    elif len(clean) > limits.path or (parts and len(max(parts, key=len)) > limits.component):
        refusal = "its name is too long"
    elif len(parts) > limits.levels:
        refusal = "it lies too deep"
    elif _ODD.search(clean) and (b"\0" in clean or _is_metadata(parts)):
        refusal = "its name has characters that no such name has"
    return clean, refusal


def _is_metadata(parts: Sequence[bytes]) -> bool:
    """Tell whether a name is that of something that cPanel tells of an account, below a top directory or not."""
    return _HOME not in parts[:2] and not _METADATA.isdisjoint(parts[:2])


class _BrokenError(DamageError):
    """An archive is damaged, and if it lies within another one, that may still be whole."""


class _Blocks:
    """A stream as tar sees it: blocks of 512 bytes, and content between them; *end* is where they must end."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._view = memoryview(b"")
        self._base = 0
        self._at = 0
        self.end = _MOST

    @property
    def position(self) -> int:
        """Where in the stream the next byte is."""
        return self._base + self._at

    def _fill(self) -> bool:
        """Get more of the stream once all is used up, and tell whether there was more."""
        self._base += len(self._view)
        self._at = 0
        self._view = memoryview(b"")
        self._view = memoryview(self._stream.read(_READ))  # whole blocks, so no header lies in two of them
        return len(self._view) > 0

    def block(self) -> bytes:
        """Return the next block."""
        block = self.peek()
        if len(block) < BLOCK:
            where = f"byte {self.position + len(block):,}"
            if block:
                raise _BrokenError(f"it is cut off at {where}, within a header")
            raise _BrokenError(f"it ends at {where} without the two blocks of zeros that mark the end: it is cut off")
        self._at += BLOCK
        return block

    def peek(self) -> bytes:
        """Return the next block without taking it, or less where there is no more."""
        if self._at == len(self._view) and not self._fill():
            return b""
        end = min(self._at + BLOCK, self.end - self._base)
        return bytes(self._view[self._at : end])

    def piece(self, most: int) -> memoryview:
        """Return up to *most* bytes, and none only where there are no more."""
        if self._at == len(self._view) and not self._fill():
            return self._view
        begin = self._at
        self._at = max(begin, min(begin + most, len(self._view), self.end - self._base))
        return self._view[begin : self._at]

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes, and pass over what fills them up to whole blocks."""
        following = self.position + size + -size % BLOCK
        content = bytearray()
        while len(content) < size:
            piece = self.piece(size - len(content))
            if not piece:
                raise _BrokenError(f"it is cut off at byte {self.position:,}, within a header")
            content += piece
        self.skip_to(following)
        return bytes(content)

    def skip_to(self, position: int) -> None:
        """Pass over all that lies before *position*."""
        if position > self.end:
            raise _BrokenError(f"it is cut off at byte {self.end:,}, within the content of a member")
        at = position - self._base
        while at > len(self._view):
            at -= len(self._view)
            if not self._fill():
                raise _BrokenError(f"it is cut off at byte {self._base:,}, within the content of a member")
        self._at = at

    def count_rest(self) -> int:
        """Pass over all that is left, and return how many bytes of it are not zero."""
        others = 0
        while piece := bytes(self.piece(_READ)):
            others += len(piece) - piece.count(0)
        return others


class _Extended(t.NamedTuple):
    """What extended headers tell of the member behind them: *own* is what pax tells of it alone, *records* of all.

    *is_any* tells whether there were such headers, *has_pax* whether one of them was of pax.
    """

    records: Records
    own: Records
    name: bytes | None = None
    link: bytes | None = None
    is_any: bool = False
    has_pax: bool = False


class TarReader:
    """Reads the tar archive that *stream* holds, once.

    Names that no restore may follow are passed over. *notes* tells of what was passed over and of what is strange, at
    most :attr:`~.limits.Limits.notes` times, and *further_notes* counts the rest. *damage* is what is wrong inside of
    the archive, in a clause, where the archive itself goes on behind it; only its first damage is told. *trailing* is
    how many bytes other than zeros stand behind the archive's end.

    A file ``homedir.tar`` at the top or one level below is gone into, once; if it is no archive, it is a file. Where
    *stream* itself is such a file, *above* is what its members are below, with a slash at its end.
    """

    def __init__(self, stream: ByteStream, limits: Limits = LIMITS, *, above: bytes = b"") -> None:
        self._above = above
        self._packed = stream if isinstance(stream, Unpacked) else None
        self._blocks = _Blocks(stream)
        self._limits = limits
        self._number = 0  # of the member
        self._content_end = 0
        self._next = 0  # where the next header is
        self._holes = 0
        self.notes: list[Problem] = []
        self.further_notes = 0
        self.damage: str | None = None
        self.trailing = 0

    def members(self) -> Iterator[Member]:
        """Yield all members, read the stream to its end, and raise DamageError unless the archive is whole.

        What is raised is a clause about the archive, ``it is …``, in which there are no names.
        """
        yield from self._archive(self._above)
        self.trailing = self._blocks.count_rest()
        if self.trailing:
            self._note(b"", f"{self.trailing:,} bytes that are not zero stand behind the end of the archive")
        content = self._blocks.position + self._holes
        stored = self._packed.packed_size if self._packed is not None else self._blocks.position
        if content > max(self._limits.expansion_free, self._limits.expansion * stored):
            times = self._limits.expansion
            raise DamageError(
                f"it is a bomb: it tells of {content:,} bytes of files, over {times:,} times its own size"
            )

    def content(self) -> Iterator[memoryview]:
        """Yield the stored bytes of the member that was yielded last; each piece is overwritten by the next step."""
        return self._content(self._number)

    def _content(self, number: int) -> Iterator[memoryview]:
        blocks = self._blocks
        while number == self._number and (left := self._content_end - blocks.position) > 0:
            piece = blocks.piece(left)
            if not piece:
                raise _BrokenError(f"it is cut off at byte {blocks.position:,}, within the content of a member")
            yield piece

    # -- members

    def _archive(self, prefix: bytes) -> Iterator[Member]:
        """Yield the members of an archive up to its end mark, with *prefix* before all names."""
        shared: Records = {}
        while (found := self._header(shared)) is not None:
            self._number += 1
            if self._number > self._limits.members:
                raise DamageError(f"it has more than {self._limits.members:,} members")
            member = self._member(*found, prefix)
            if member is None:
                self._content_end = 0
                continue
            if not prefix and member.kind == FILE and not member.extents and _NESTED.fullmatch(member.name):
                yield from self._nested(member)
            else:
                yield member

    def _nested(self, member: Member) -> Iterator[Member]:
        """Yield what the archive *member* holds, or itself if it is none."""
        blocks = self._blocks
        following = self._next
        first = blocks.peek() if member.stored >= BLOCK else b""
        if len(first) < BLOCK or (first != _ZEROS and not _is_header(first)):
            if first[257:262] == b"ustar":
                self._damaged("its homedir.tar is damaged from its first header on")
            yield member
            return
        self._content_end = 0
        self._next = member.offset
        blocks.end = member.offset + member.stored
        try:
            yield from self._archive(member.name[:-4] + b"/")
            others = blocks.count_rest()
            if others:
                self._note(member.name, f"{others:,} bytes that are not zero stand behind the end of this archive")
        except _BrokenError as error:
            self._damaged(f"its homedir.tar is damaged: {error}")
        blocks.end = _MOST
        self._content_end = 0
        self._next = following

    def _header(self, shared: Records) -> tuple[bytes, _Extended] | None:
        """Return the header of the next member and what extends it, or None where the end mark is.

        *shared* is what pax tells of all members that follow.
        """
        blocks = self._blocks
        blocks.skip_to(self._next)
        extended = _Extended(shared, {})
        while True:
            at = blocks.position
            block = blocks.block()
            if block == _ZEROS:
                self._require_end(at, extended)
                return None
            if not _is_header(block):
                raise _BrokenError(f"the header at byte {at:,} is damaged")
            if block[156] not in _EXTENSIONS:
                return block, extended
            size = _size(block[124:136], at)
            if size > self._limits.extended_header:
                raise _BrokenError(f"the extended header at byte {at:,} has {size:,} bytes, which is too much")
            extended = _extended_by(extended, block[156:157], blocks.read(size), at, shared)

    def _require_end(self, at: int, extended: _Extended) -> None:
        """Raise unless a second block of zeros follows the one at *at*, and no header waits for its member."""
        second = self._blocks.peek()
        if extended.is_any:
            raise _BrokenError(f"at byte {at:,} it has an end mark where a member was announced")
        if len(second) < BLOCK:
            raise _BrokenError(f"it ends at byte {at:,} with one block of zeros where two belong: it may be cut off")
        if second != _ZEROS:
            raise _BrokenError(f"a single block of zeros at byte {at:,} is followed by something else")

    def _member(self, block: bytes, extended: _Extended, prefix: bytes) -> Member | None:
        """Return the member that *block* begins, or None if it is passed over; set where its content and it end."""
        records = extended.records
        flag = block[156:157]
        name = _name(block, extended)
        kind = _KINDS.get(flag, OTHER)
        if kind == FILE and name[-1:] == b"/":
            kind = DIRECTORY  # so it was before there was a flag for them
        stored = self._stored_size(block, extended, kind)
        size = stored
        extents: Extents = ()
        if kind == FILE and (flag == _OLD_SPARSE or not _MAPS.isdisjoint(records)):
            sparse = self._sparse(block, records, stored)
            if sparse is None:
                return None
            size, stored, extents = sparse
            self._holes += size - stored
        else:
            self._frame(stored)
        if flag == _LABEL:
            self._note(name, "it is the label of a tape, and no file")
            return None
        clean = self._clean_name(name, kind, prefix)
        target = self._target(block, extended, clean, kind, prefix)
        if clean is None or target is None:
            return None
        mode, uid, gid, are_understood = _owner(block[100:124])
        mtime = _mtime(block[136:148])
        user, group = _names(block[265:329]) if block[257:262] == b"ustar" else ("", "")
        if records:
            uid, gid = _owner_number(records.get(b"uid"), uid), _owner_number(records.get(b"gid"), gid)
            mtime = _pax_mtime(records[b"mtime"]) if b"mtime" in records else mtime
            user = _text(records[b"uname"]) if b"uname" in records else user
            group = _text(records[b"gname"]) if b"gname" in records else group
        if mtime is None or not are_understood:
            self._note(clean, "its mode, its owner or its time cannot be read")
        offset = self._content_end - stored
        return Member(clean, kind, mode, uid, gid, user, group, mtime or 0, size, stored, target, offset, extents)

    def _stored_size(self, block: bytes, extended: _Extended, kind: str) -> int:
        """Return how many bytes follow, in whole blocks."""
        at = self._blocks.position - BLOCK
        size = extended.records.get(b"size")
        stored = _size(block[124:136], at) if size is None else _decimal(size, at)
        if not stored or kind in (FILE, OTHER):
            return stored
        if kind != HARD_LINK:
            return 0  # some tell a size of what has no content
        # Links of pax may have a content. Older archives may tell the size of the file here: then a header follows.
        following = b"" if extended.has_pax else self._blocks.peek()
        return 0 if following == _ZEROS or (following and _is_header(following)) else stored

    def _frame(self, stored: int) -> None:
        """Set where the content of the member ends that begins here, and where the next header is."""
        blocks = self._blocks
        self._content_end = blocks.position + stored
        self._next = self._content_end + -stored % BLOCK
        if self._next > blocks.end:
            raise _BrokenError(f"it is cut off at byte {blocks.end:,}, within the content of a member")

    def _clean_name(self, name: bytes, kind: str, prefix: bytes) -> bytes | None:
        """Return the *name* of a member, with *prefix*, or None and a note if it is not to be taken."""
        clean, refusal = _judged(_below(prefix, name), self._limits)
        if not refusal and kind != DIRECTORY and len(clean) < len(prefix or b"x"):
            refusal = "it has no name"
        if refusal:
            self._note(name, refusal)
            return None
        return clean

    def _target(self, block: bytes, extended: _Extended, name: bytes | None, kind: str, prefix: bytes) -> bytes | None:
        """Return where a link points to, or None and a note if it is not to be taken."""
        if kind not in (SYMLINK, HARD_LINK) or name is None:
            return b""
        target = extended.records.get(b"linkpath", extended.link)
        if target is None:
            target = block[157:257].partition(b"\0")[0]
        if kind == SYMLINK:
            if target and b"\0" not in target and len(target) <= self._limits.path:
                return target
            self._note(name, "it is a link whose target no link can have")
            return None
        clean, refusal = _judged(_below(prefix, target), self._limits)
        if refusal or not clean:
            self._note(name, "it is a hard link to a name that no restore may follow")
            return None
        return clean

    # -- sparse files

    def _sparse(self, block: bytes, records: Records, stored: int) -> tuple[int, int, Extents] | None:
        """Return size, stored size and extents of a sparse member, or None if it is passed over."""
        blocks = self._blocks
        at = blocks.position - BLOCK
        numbers: list[int] | None
        if b"GNU.sparse.major" in records:
            self._frame(stored)
            numbers = self._map_in_content(stored) if records[b"GNU.sparse.major"] == b"1" else None
            size = _numbers([records.get(b"GNU.sparse.realsize", b"")])
        elif b"GNU.sparse.map" in records:
            self._frame(stored)
            numbers = _numbers(records[b"GNU.sparse.map"].split(b","))
            size = _numbers([records.get(b"GNU.sparse.size", b"")])
        else:
            numbers = self._old_map(block)
            size = [_size(block[483:495], at)]
            self._frame(stored)
        if numbers is not None and len(numbers) > 2 * self._limits.extents:
            self._note(b"", f"the sparse file at byte {at:,} has more than {self._limits.extents:,} pieces")
            return None
        stored = self._content_end - blocks.position
        extents = _extents(numbers, size[0], stored) if numbers is not None and size is not None else None
        if extents is None or size is None:
            self._damaged(f"the map of the sparse file at byte {at:,} cannot be that of its content")
            return None
        return size[0], stored, extents

    def _map_in_content(self, stored: int) -> list[int] | None:
        """Return the numbers of the map that stands before the content, or None if it cannot be read."""
        text, lines, wanted = bytearray(), 0, 1
        while lines < wanted:
            if len(text) + BLOCK > min(stored, self._limits.extended_header):
                return None
            block = self._blocks.block()
            text += block
            lines += block.count(b"\n")
            if wanted == 1:
                count = _numbers([bytes(text[: text.find(b"\n")])]) if lines else None
                if count is None:
                    return None
                wanted += 2 * count[0]
        return _numbers(bytes(text).split(b"\n", wanted)[1:wanted])

    def _old_map(self, block: bytes) -> list[int]:
        """Return the numbers of the map in a header of old GNU tar, and in the blocks that extend it."""
        at = self._blocks.position
        numbers = _old_numbers(block[386:482], at)
        goes_on = block[482] != 0
        while goes_on:
            at = self._blocks.position
            block = self._blocks.block()
            if len(numbers) <= 2 * self._limits.extents:
                numbers += _old_numbers(block[:504], at)
            goes_on = block[504] != 0
        return numbers

    # -- notes

    def _note(self, name: bytes, problem: str) -> None:
        if len(self.notes) < self._limits.notes:
            self.notes.append(Problem(path_text(name[:_SHOWN]), problem))
        else:
            self.further_notes += 1

    def _damaged(self, sentence: str) -> None:
        self.damage = self.damage or sentence


# headers


def _is_header(block: bytes) -> bool:
    """Tell whether the checksum of *block* is right: the sum of its bytes, its own counted as spaces."""
    match = _OCTAL.fullmatch(block[148:156])
    if match is None or not match[1]:
        return False
    told = int(match[1], 8)
    # The lower half of Adler-32 is 1 and the sum of the bytes, as long as that is below 65,521: it is, of 256 bytes.
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    total += 8 * 0x20 - sum(block[148:156])
    if told == total:
        return True
    counted = block[:148] + block[156:]
    return told == total - 256 * sum(byte > 127 for byte in counted)  # some take bytes for signed ones


def _size(field: bytes, at: int) -> int:
    """Return the size in *field* of the header at *at*."""
    size = _number(field)
    if size is None or not 0 <= size < _MOST:
        raise _BrokenError(f"the header at byte {at:,} tells of an impossible size")
    return size


def _decimal(value: bytes, at: int) -> int:
    numbers = _numbers([value])
    if numbers is None:
        raise _BrokenError(f"the header at byte {at:,} tells of an impossible size")
    return numbers[0]


def _number(field: bytes) -> int | None:
    """Return the number in *field*, which is octal, or base 256 with a first byte of 0x80 or 0xFF; None if neither."""
    if field[0] & 0x80:
        if field[0] not in (0x80, 0xFF):
            return None
        value = int.from_bytes(field[1:], "big")
        return value if field[0] == 0x80 else value - (1 << 8 * (len(field) - 1))
    match = _OCTAL.fullmatch(field)
    if match is None:
        return None
    return int(match[1] or b"0", 8)


def _numbers(values: Sequence[bytes]) -> list[int] | None:
    """Return *values*, which are decimal, or None if one of them is not, is negative, or is more than any size."""
    if not all(value.isdigit() and len(value) <= 19 for value in values):
        return None
    numbers = [int(value) for value in values]
    return numbers if not numbers or max(numbers) < _MOST else None


def _below(prefix: bytes, name: bytes) -> bytes:
    """Return *name* below *prefix*; what is absolute stays so, and is refused."""
    return name if name[:1] == b"/" else prefix + name


def _name(block: bytes, extended: _Extended) -> bytes:
    """Return the name as the headers have it; of several, pax counts most."""
    records = extended.records
    name = records.get(b"GNU.sparse.name", records.get(b"path", extended.name))
    return _name_field(block) if name is None else name


def _name_field(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:  # GNU tar has other things in that place
        return block[345:500].partition(b"\0")[0] + b"/" + name
    return name


@lru_cache(maxsize=1024)
def _owner(fields: bytes) -> tuple[int, int, int, bool]:
    """Return mode, uid and gid, and whether they could be read; what could not is nobody's."""
    mode, uid, gid = _number(fields[:8]), _number(fields[8:16]), _number(fields[16:])
    are_understood = mode is not None and _is_owner(uid) and _is_owner(gid)
    return (
        0o700 if mode is None else mode & 0o7777,
        uid if uid is not None and _is_owner(uid) else _NOBODY,
        gid if gid is not None and _is_owner(gid) else _NOBODY,
        are_understood,
    )


def _is_owner(number: int | None) -> bool:
    return number is not None and 0 <= number < _OWNERS


def _owner_number(value: bytes | None, otherwise: int) -> int:
    """Return the number in a record of pax, or *otherwise* if there is none, or none that an owner can have."""
    numbers = None if value is None else _numbers([value])
    return numbers[0] if numbers is not None and _is_owner(numbers[0]) else otherwise


@lru_cache(maxsize=1024)
def _names(fields: bytes) -> tuple[str, str]:
    return _text(fields[:32].partition(b"\0")[0]), _text(fields[32:].partition(b"\0")[0])


def _text(name: bytes) -> str:
    """Return the name of an owner, empty if no owner can have it."""
    return "" if b"\0" in name or len(name) > 255 else path_text(name)


@lru_cache(maxsize=1024)
def _mtime(field: bytes) -> int | None:
    """Return the time in *field* in nanoseconds, or None if it cannot be read."""
    seconds = _number(field)
    return _nanoseconds(seconds, b"") if seconds is not None else None


def _pax_mtime(value: bytes) -> int | None:
    match = _SECONDS.fullmatch(value)
    if match is None:
        return None
    nanoseconds = _nanoseconds(int(match[2]), match[3] or b"")
    return -nanoseconds if match[1] and nanoseconds is not None else nanoseconds


def _nanoseconds(seconds: int, fraction: bytes) -> int | None:
    nanoseconds = seconds * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return nanoseconds if -_MOST <= nanoseconds <= _MOST else None


# extended headers


def _extended_by(extended: _Extended, flag: bytes, content: bytes, at: int, shared: Records) -> _Extended:
    """Return *extended* with what the extended header at *at* tells; *shared* keeps what is told of all members."""
    if flag == b"L":
        return extended._replace(is_any=True, name=content.partition(b"\0")[0])
    if flag == b"K":
        return extended._replace(is_any=True, link=content.partition(b"\0")[0])
    own, is_any = extended.own, extended.is_any
    records = _records(content, at)
    if flag == b"g":
        shared.update((key, value) for key, value in records.items() if key in _RECORDS)
    else:
        own, is_any = {**own, **records}, True
    # An empty value takes back what was told before.
    told = {key: value for key, value in {**shared, **own}.items() if value}
    return extended._replace(records=told, own=own, is_any=is_any, has_pax=True)


def _records(content: bytes, at: int) -> Records:
    """Return the records that matter of the extended header of pax at *at*; a sparse file's pieces become one map."""
    records: Records = {}
    pieces: list[bytes] = []
    begin, size = 0, len(content.rstrip(b"\0"))
    while begin < size:
        space = content.find(b" ", begin, begin + 9)
        digits = content[begin : max(begin, space)]
        end = begin + (int(digits) if digits.isdigit() else 0)
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not (begin < space < end <= len(content) and content[end - 1 : end] == b"\n" and equals):
            raise _BrokenError(f"the extended header at byte {at:,} cannot be read")
        begin = end
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pieces.append(value)
        elif key in _RECORDS or key.startswith(b"GNU.sparse."):
            records[key] = value
    if pieces:
        records[b"GNU.sparse.map"] = b",".join(pieces)
    return records


def _extents(numbers: list[int], size: int, stored: int) -> Extents | None:
    """Return the pieces that *numbers* tell of as an entry has them, or None if they do not fit the sizes."""
    if len(numbers) % 2:
        return None
    pieces = [piece for piece in zip(numbers[::2], numbers[1::2]) if piece[1]]
    end = total = 0
    for offset, length in pieces:
        if offset < end:
            return None
        end = offset + length
        total += length
    if end > size or total != stored:
        return None
    if pieces == [(0, size)] or not size:
        return ()
    return tuple(pieces) or ((0, 0),)


def _old_numbers(field: bytes, at: int) -> list[int]:
    """Return the numbers of the map in *field*, of which there are no more behind an empty one."""
    numbers: list[int] = []
    for begin in range(0, len(field), 24):
        if not field[begin]:
            break
        numbers += _size(field[begin : begin + 12], at), _size(field[begin + 12 : begin + 24], at)
    return numbers
