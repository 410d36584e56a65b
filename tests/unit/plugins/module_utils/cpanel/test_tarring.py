# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading tar archives as they come: what others write is read alike, and what is damaged or hostile is seen."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import tarfile
import tracemalloc
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.limits import LIMITS, MIB
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.tarring import (
    OTHER,
    Member,
    TarReader,
    safe_name,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.unpacking import Unpacked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.remote import ByteStream

NOISE = random.Random(1).randbytes(3 * MIB)
END = bytes(1024)
KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.CONTTYPE: FILE,
    tarfile.GNUTYPE_SPARSE: FILE,
    tarfile.DIRTYPE: DIRECTORY,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.LNKTYPE: HARD_LINK,
    tarfile.CHRTYPE: CHARACTER_DEVICE,
    tarfile.BLKTYPE: BLOCK_DEVICE,
    tarfile.FIFOTYPE: FIFO,
}
PROGRAM_FORMATS = {
    "v7": ["--format=v7"],
    "oldgnu": ["--format=oldgnu", "--sparse"],
    "gnu": ["--format=gnu", "--sparse"],
    "ustar": ["--format=ustar"],
    "pax": ["--format=pax"],
    "pax 0.0": ["--format=pax", "--sparse", "--sparse-version=0.0"],
    "pax 0.1": ["--format=pax", "--sparse", "--sparse-version=0.1"],
    "pax 1.0": ["--format=pax", "--sparse", "--sparse-version=1.0"],
}


def header(name: bytes = b"file", size: int | bytes = 0, flag: bytes = b"0", **fields: bytes) -> bytes:
    """Return a header by hand; *fields* are those that are not as usual."""
    parts = {
        "name": name.ljust(100, b"\0"),
        "mode": b"0000644\0",
        "uid": b"0001750\0",
        "gid": b"0001751\0",
        "size": b"%011o\0" % size if isinstance(size, int) else size,
        "mtime": b"%011o\0" % 1_700_000_000,
        "checksum": b" " * 8,
        "flag": flag,
        "link": b"",
        "magic": b"ustar\00000",
        "user": b"web",
        "group": b"users",
        "numbers": b"",
        "rest": b"",
    }
    lengths = {"link": 100, "user": 32, "group": 32, "numbers": 16, "rest": 167}
    parts.update(fields)
    block = b"".join(value.ljust(lengths.get(key, 0), b"\0") for key, value in parts.items())
    assert len(block) == 512, name
    return block if "checksum" in fields else with_checksum(block)


def with_checksum(block: bytes) -> bytes:
    bare = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(bare) + block[156:]


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def member(name: bytes = b"file", content: bytes = b"", flag: bytes = b"0", **fields: bytes) -> bytes:
    return header(name, len(content), flag, **fields) + padded(content)


def pax(records: dict[bytes, bytes], flag: bytes = b"x") -> bytes:
    return member(b"PaxHeaders/file", b"".join(record(*one) for one in records.items()), flag)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    return b"%d" % (len(rest) + len(str(length))) + rest


def seen(archive: bytes | ByteStream, **limits: int) -> tuple[list[Member], list[bytes], TarReader]:
    """Read an archive and return its members, the stored bytes of each, and the reader."""
    stream = io.BytesIO(archive) if isinstance(archive, bytes) else archive
    reader = TarReader(stream, replace(LIMITS, **limits))
    members, contents = [], []
    for one in reader.members():
        members.append(one)
        contents.append(b"".join(bytes(piece) for piece in reader.content()))
        assert len(contents[-1]) == one.stored
        if isinstance(archive, bytes):
            assert archive[one.offset : one.offset + one.stored] == contents[-1]
    return members, contents, reader


def members_of(archive: bytes, **limits: int) -> list[Member]:
    return seen(archive, **limits)[0]


def only(archive: bytes) -> Member:
    members, _contents, reader = seen(archive + END)
    assert (reader.notes, reader.damage, len(members)) == ([], None, 1)
    return members[0]


def notes_of(archive: bytes, **limits: int) -> list[tuple[str, str]]:
    return [(note.path, note.problem) for note in seen(archive + END, **limits)[2].notes]


def whole(one: Member, stored: bytes) -> bytes:
    """Return the content of a file with its holes."""
    if not one.extents:
        return stored
    content, at = bytearray(one.size), 0
    for offset, length in one.extents:
        content[offset : offset + length] = stored[at : at + length]
        at += length
    return bytes(content)


def told(one: Member) -> tuple[object, ...]:
    return (*one[:7], one.mtime // 10**9, one.size, one.target)


def told_by_tarfile(archive: bytes) -> list[tuple[t.Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as found:
        return [
            (
                # Before Python 3.10, a slash may stay.
                one.name.rstrip("/").encode("utf-8", "surrogateescape").removeprefix(b"./"),
                KINDS[one.type],
                one.mode & 0o7777,
                one.uid,
                one.gid,
                one.uname,
                one.gname,
                int(one.mtime // 1),
                one.size if KINDS[one.type] == FILE else 0,
                one.linkname.encode("utf-8", "surrogateescape") if one.issym() or one.islnk() else b"",
            )
            for one in found.getmembers()
        ]


# what others write


def make_tree(root: Path, *, is_old: bool) -> None:
    """Make a home directory; one for old formats lacks what those cannot hold."""
    (root / "public_html" / "empty").mkdir(parents=True)
    (root / "public_html" / "index.php").write_bytes(b"<?php\n")
    (root / "public_html" / "index.php").chmod(0o4750)
    (root / "public_html" / "block").write_bytes(NOISE[:512])
    (root / "large").write_bytes(NOISE)
    os.link(root / "large", root / "linked")
    (root / "www").symlink_to("public_html")
    Path(os.fsdecode(bytes(root) + b"/caf\xe9 \xff\n")).write_bytes(b"latin")
    os.utime(root / "large", ns=(0, 1_700_000_000_123_456_789))
    with (root / "holes").open("wb") as file:
        file.truncate(9 * MIB)
        for offset in range(MIB, 8 * MIB, 256 * 1024):
            file.seek(offset)
            file.write(NOISE[:4096])
    with (root / "hole").open("wb") as file:
        file.truncate(MIB)
    with (root / "hole first").open("wb") as file:
        file.seek(MIB)
        file.write(b"end")
    if not is_old:
        os.mkfifo(root / "fifo")
        (root / "access-logs").symlink_to("/var/log/" + "l" * 200)
        deep = root / ("d" * 120) / ("e" * 120)
        deep.mkdir(parents=True)
        (deep / ("f" * 120)).write_bytes(b"deep")
        (deep / "\u00fcml\u00e4ut").write_bytes(b"text")
        os.link(deep / ("f" * 120), deep / ("g" * 120))
        os.utime(deep, ns=(0, -1_500_000_001))


@pytest.mark.parametrize("form", PROGRAM_FORMATS)
def test_what_gnu_tar_writes_is_read_as_it_was(form: str, tmp_path: Path) -> None:
    make_tree(tmp_path, is_old=form in ("v7", "ustar"))
    command: list[str | Path] = ["tar", "-c", "-C", tmp_path, "--sort=name", *PROGRAM_FORMATS[form], "."]
    archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    members, contents, reader = seen(archive)

    assert (reader.notes, reader.damage, reader.trailing) == ([], None, 0)
    assert list(map(told, members)) == [
        (
            b"" if name == b"." else name,
            kind,
            *facts,
            target.removeprefix(b"./") if kind == HARD_LINK else target,
        )
        for name, kind, *facts, target in told_by_tarfile(archive)
    ]
    for one, content in zip(members, contents):
        path = os.path.join(bytes(tmp_path), one.name)  # noqa: PTH118 - of bytes
        status = os.lstat(path)
        assert one.mtime == (status.st_mtime_ns if "pax" in form else status.st_mtime_ns // 10**9 * 10**9)
        if one.kind == FILE:
            assert whole(one, content) == Path(os.fsdecode(path)).read_bytes()
            assert one.size == status.st_size
    sparse = {one.name: one for one in members if one.extents}
    assert sorted(sparse) == ([b"hole", b"hole first", b"holes"] if "--sparse" in PROGRAM_FORMATS[form] else [])
    if sparse:
        assert sparse[b"hole"].extents == ((0, 0),)
        assert 4 < len(sparse[b"holes"].extents) <= 28, "it depends on the file system"
        assert sparse[b"holes"].stored < MIB


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes_is_read_as_it_reads_it(form: int) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, errors="surrogateescape") as archive:
        for number in range(300):
            info = tarfile.TarInfo("/".join(["d" * 60] * (number % 3 + 1)) + f"/{number}" + "\udce9" * (number % 2))
            info.size = number * 7
            info.uid, info.gid = 2_000_000 if number % 5 else 7, number
            info.mtime = 1_600_000_000 + number + (0.25 if form == tarfile.PAX_FORMAT else 0)
            info.uname, info.gname = "web" * (number % 4), "\u00fcsers"
            archive.addfile(info, io.BytesIO(NOISE[: info.size]))
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("d" * 60 + "/" + str(kind))
            info.type = kind
            info.linkname = "d" * 60 + "/" + "t" * (39 if form == tarfile.USTAR_FORMAT else 100)
            archive.addfile(info)

    members, contents, _reader = seen(file.getvalue())

    assert list(map(told, members)) == told_by_tarfile(file.getvalue())
    assert contents[:300] == [NOISE[: number * 7] for number in range(300)]
    assert all(one.mtime % 10**9 == (250_000_000 if form == tarfile.PAX_FORMAT else 0) for one in members[:300])


def test_a_packed_archive_is_read_in_one_pass() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for number in range(50):
            info = tarfile.TarInfo(str(number))
            info.size = len(NOISE) // (number + 1)
            archive.addfile(info, io.BytesIO(NOISE))
    file.seek(0)

    members, contents, _reader = seen(Unpacked(file))

    assert [one.name for one in members] == [b"%d" % number for number in range(50)]
    assert contents == [NOISE[: len(NOISE) // (number + 1)] for number in range(50)]


def test_content_that_is_not_asked_for_is_passed_over() -> None:
    archive = b"".join(member(b"%d" % number, NOISE[: number * 300_000]) for number in range(9)) + END
    reader = TarReader(io.BytesIO(archive))

    found = []
    for one in reader.members():
        piece = bytes(next(reader.content(), b""))
        assert len(piece) <= MIB
        found.append((one.name, piece[:9]))

    assert found == [(b"%d" % number, NOISE[:9] if number else b"") for number in range(9)]


def test_content_is_that_of_the_member_that_was_yielded_last() -> None:
    reader = TarReader(io.BytesIO(member(b"one", NOISE[:2000]) + member(b"two", NOISE[:3000]) + END))
    members = reader.members()
    next(members)
    old = reader.content()
    next(members)

    assert list(old) == []
    assert b"".join(bytes(piece) for piece in reader.content()) == NOISE[:3000]


# headers by hand


@pytest.mark.parametrize(
    ("field", "size"),
    [
        (b"00000000005\0", 5),
        (b"000000000005", 5),
        (b"          5\0", 5),
        (b"     5 \0\0\0\0\0", 5),
        (b"5 junk\0 more", 5),
        (b"\0" * 12, 0),
        (b" " * 12, 0),
        (b"\x80" + (5).to_bytes(11, "big"), 5),
    ],
)
def test_numbers_are_read_in_every_form(field: bytes, size: int) -> None:
    assert only(header(size=field) + padded(b"x" * size)).size == size


@pytest.mark.parametrize("field", [b"0000000000x\0", b"0o000000005\0", b"0000_0000_5\0", b"-0000000005\0", b"9" * 12])
def test_a_size_that_is_none_is_damage(field: bytes) -> None:
    with pytest.raises(DamageError, match="the header at byte 0 tells of an impossible size"):
        seen(header(size=field) + padded(b"x" * 5) + END)


@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_size_in_base_256_has_its_limits(number: int) -> None:
    first = b"\xff" if number < 0 else b"\x80"

    with pytest.raises(DamageError, match="impossible size"):
        seen(header(size=first + (number % 2**88).to_bytes(11, "big")) + END)


@pytest.mark.parametrize("size", [9 * 2**30, 2**62])
def test_a_size_beyond_eight_gibibytes_is_understood_in_base_256_and_in_pax(size: int) -> None:
    base_256 = header(size=b"\x80" + size.to_bytes(11, "big"))
    by_pax = pax({b"size": b"%d" % size}) + header()

    for archive in (base_256, by_pax):
        reader = TarReader(io.BytesIO(archive + b"content"))
        members = reader.members()
        one = next(members)
        assert (one.size, one.stored, one.offset) == (size, size, len(archive))
        with pytest.raises(DamageError, match=f"it is cut off at byte {len(archive) + 7:,}, within the content"):
            next(members)


def test_times_may_lie_before_1970() -> None:
    base_256 = only(header(mtime=b"\xff" * 11 + b"\xfe"))
    by_pax = only(pax({b"mtime": b"-1.25"}) + header())

    assert (base_256.mtime, by_pax.mtime) == (-2 * 10**9, -1_250_000_000)


def test_what_pax_tells_counts_more_than_the_header() -> None:
    told_of_all = {b"uname": b"all", b"mtime": b"7", b"gid": b"5", b"comment": b"\xff=\n\n"}
    told_of_one = {
        b"path": b"\xc3\xa9",
        b"size": b"3",
        b"mtime": b"1.5",
        b"uid": b"4000000000",
        b"gname": b"g",
        b"uname": b"",
    }

    archive = pax(told_of_all, b"g") + pax(told_of_one) + header(b"x", 0) + padded(b"abc") + header(b"y") + END
    first, second = members_of(archive)

    assert first[:8] == (b"\xc3\xa9", FILE, 0o644, 4_000_000_000, 5, "web", "g", 1_500_000_000)
    assert (first.size, second.name, second.user, second.mtime, second.uid) == (3, b"y", "all", 7 * 10**9, 1000)


def test_long_names_of_gnu_tar_end_with_nul_and_are_those_of_the_next_member_only() -> None:
    name, link = b"n" * 200 + b"/" + b"m" * 200, b"l" * 3000
    archive = member(b"././@LongLink", link + b"\0", b"K") + member(b"././@LongLink", name + b"\0junk", b"L")

    first, second = members_of(archive + header(b"short", 0, b"2", link=b"short") + header(b"next") + END)

    assert (first.name, first.target, first.kind) == (name, link, SYMLINK)
    assert (second.name, second.target) == (b"next", b"")


def test_an_extended_header_that_lies_in_two_pieces_of_the_stream_is_read() -> None:
    archive = member(b"first", bytes(MIB - 1536)) + pax({b"path": b"p" * 200, b"comment": NOISE[:2000]}) + header()

    assert [one.name for one in members_of(archive + END)] == [b"first", b"p" * 200]


def test_the_prefix_of_ustar_counts_and_what_gnu_tar_has_in_its_place_does_not() -> None:
    rest = b"prefix"

    assert only(header(b"name", rest=rest)).name == b"prefix/name"
    assert only(header(b"name", magic=b"ustar  \0", rest=rest)).name == b"name"
    assert only(header(b"name", magic=bytes(8), rest=rest)).name == b"name"


def test_headers_of_the_seventh_edition_are_understood() -> None:
    old = {"magic": bytes(8), "user": b"junk", "mode": b"100644 \0", "uid": b"   144 \0"}

    file = only(member(b"file", b"abc", b"\0", **old))
    directory = only(header(b"dir/", 0, b"\0", **old))

    assert (file.kind, file.mode, file.uid, file.user, file.size) == (FILE, 0o644, 0o144, "", 3)
    assert (directory.kind, directory.name) == (DIRECTORY, b"dir")


def test_a_checksum_over_signed_bytes_is_right_too() -> None:
    block = bytearray(header(b"caf\xe9"))
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + b" " * 8 + block[156:])
    block[148:156] = b"%06o\0 " % signed

    assert only(bytes(block)).name == b"caf\xe9"


@pytest.mark.parametrize("checksum", [b"", b"-", b"-1", b"0o1234", b"\x80\0\0\0\0\0\x10\0", b"99999999", b" " * 8])
def test_a_checksum_that_is_no_number_is_damage(checksum: bytes) -> None:
    with pytest.raises(DamageError, match="the header at byte 0 is damaged"):
        seen(header(checksum=checksum.ljust(8, b"\0")) + END)


@pytest.mark.parametrize("before", [b"", pax({b"size": b"5000"})])
def test_kinds_without_content_have_none_whatever_size_they_tell(before: bytes) -> None:
    kinds = {b"2": SYMLINK, b"3": CHARACTER_DEVICE, b"4": BLOCK_DEVICE, b"5": DIRECTORY, b"6": FIFO}

    for flag, kind in kinds.items():
        first, second = members_of(before + header(b"x", 5000, flag, link=b"y") + header(b"next") + END)
        assert (first.kind, first.size, first.stored, second.name) == (kind, 0, 0, b"next")


def test_a_hard_link_may_have_a_content_in_pax_and_an_idle_size_elsewhere() -> None:
    file = member(b"./a/file", b"abc")
    link = {"name": b"link", "flag": b"1", "link": b"./a//file"}
    fields = t.cast("dict[str, t.Any]", link)

    with_content = members_of(file + pax({b"size": b"3"}) + header(**fields) + padded(b"abc") + header(b"next") + END)
    without_header = members_of(file + header(size=3, **fields) + padded(b"abc") + header(b"next") + END)
    idle = members_of(file + header(size=3, **fields) + header(b"next") + END)
    idle_at_the_end = members_of(file + header(size=3, **fields) + END)

    for members in (with_content, without_header, idle):
        assert [one.name for one in members] == [b"a/file", b"link", b"next"]
    assert {members[1].target for members in (with_content, without_header, idle, idle_at_the_end)} == {b"a/file"}
    assert [members[1].stored for members in (with_content, without_header, idle, idle_at_the_end)] == [3, 3, 0, 0]


def test_what_tar_has_besides_is_yielded_as_such_and_a_label_is_noted() -> None:
    archive = member(b"dumpdir", b"Yname\0\0", b"D") + member(b"rest", b"abc", b"M") + member(b"new", b"x" * 600, b"Q")

    members, contents, reader = seen(header(b"/tape", 0, b"V") + archive + header(b"next") + END)

    assert [(one.name, one.kind) for one in members] == [
        (b"dumpdir", OTHER),
        (b"rest", OTHER),
        (b"new", OTHER),
        (b"next", FILE),
    ]
    assert contents[:3] == [b"Yname\0\0", b"abc", b"x" * 600]
    assert reader.notes == [("/tape", "it is the label of a tape, and no file")]


@pytest.mark.parametrize(
    "fields",
    [
        {"uid": b"junk\0\0\0\0"},
        {"gid": b"\xff" * 8},
        {"mode": b"\x90" + bytes(7)},
        {"mtime": b"\x80" + b"\x7f" * 11},
        {"mtime": b"x" * 12},
    ],
)
def test_an_owner_a_mode_or_a_time_that_cannot_be_is_nobodys_and_noted(fields: dict[str, bytes]) -> None:
    (one,), _contents, reader = seen(header(**fields) + END)

    assert one.uid == (65534 if "uid" in fields else 1000)
    assert one.gid == (65534 if "gid" in fields else 1001)
    assert one.mode == (0o700 if "mode" in fields else 0o644)
    assert one.mtime == (0 if "mtime" in fields else 1_700_000_000 * 10**9)
    assert [note.problem for note in reader.notes] == ["its mode, its owner or its time cannot be read"]


def test_owners_have_numbers_of_32_bits_of_which_the_last_means_none() -> None:
    numbers = [b"\x80" + number.to_bytes(7, "big") for number in (2**32 - 2, 2**32 - 1)]

    (one,) = members_of(header(uid=numbers[0], gid=numbers[1]) + END)
    (other,) = members_of(pax({b"uid": b"4294967294", b"gid": b"4294967295"}) + header() + END)

    assert (one.uid, one.gid) == (2**32 - 2, 65534)
    assert (other.uid, other.gid) == (2**32 - 2, 1001)


@pytest.mark.parametrize("size", [b"x", b"-1", b"5.0", b"0x5", b"9223372036854775807", b"1" * 5000])
def test_a_size_of_pax_that_is_none_is_damage(size: bytes) -> None:
    with pytest.raises(DamageError, match="tells of an impossible size"):
        seen(pax({b"size": size}) + member(content=b"abc") + END)


def test_owners_and_times_of_pax_that_cannot_be_are_not_taken() -> None:
    records = {b"uid": b"-1", b"gid": b"99999999999", b"uname": b"a\0b", b"gname": b"g" * 300, b"mtime": b"soon"}

    (one,), _contents, reader = seen(pax(records) + header() + END)

    assert (one.uid, one.gid, one.user, one.group, one.mtime) == (1000, 1001, "", "", 0)
    assert len(reader.notes) == 1


# sparse files


def old_sparse(pieces: Sequence[tuple[int, int]], size: int, content: bytes) -> bytes:
    """Return a sparse member as old versions of GNU tar write it."""
    numbers = [b"%011o\0%011o\0" % piece for piece in pieces]
    first, numbers = b"".join(numbers[:4]).ljust(96, b"\0"), numbers[4:]
    rest = bytes(41) + first + (b"\1" if numbers else b"\0") + b"%011o\0" % size
    blocks = [header(b"sparse", len(content), b"S", magic=b"ustar  \0", rest=rest)]
    while numbers:
        block, numbers = b"".join(numbers[:21]).ljust(504, b"\0"), numbers[21:]
        blocks.append(block + (b"\1" if numbers else b"\0") + bytes(7))
    return b"".join(blocks) + padded(content)


def new_sparse(text: bytes, size: bytes, content: bytes) -> bytes:
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"sparse"}
    return pax({**records, b"GNU.sparse.realsize": size}) + member(b"GNUSparseFile.0/sparse", padded(text) + content)


@pytest.mark.parametrize("count", [1, 4, 5, 25, 26, 400])
def test_the_map_of_a_sparse_file_may_go_on_in_further_blocks(count: int) -> None:
    pieces = [(number * 1000, 10) for number in range(1, count + 1)]
    content = NOISE[: 10 * count]
    text = b"%d\n" % count + b"".join(b"%d\n%d\n" % piece for piece in pieces)

    old, old_next = members_of(old_sparse(pieces, 10**6, content) + header(b"next") + END)
    new, new_next = members_of(new_sparse(text, b"1000000", content) + header(b"next") + END)

    for one in (old, new):
        assert (one.name, one.size, one.stored) == (b"sparse", 10**6, 10 * count)
        assert one.extents == tuple(pieces)
    assert old_next.name == new_next.name == b"next"


@pytest.mark.parametrize(
    ("pieces", "size", "content"),
    [
        ([(0, 10), (5, 10)], 100, NOISE[:20]),
        ([(50, 10), (5, 10)], 100, NOISE[:20]),
        ([(0, 10)], 100, NOISE[:9]),
        ([(0, 10)], 100, NOISE[:11]),
        ([(95, 10)], 100, NOISE[:10]),
    ],
)
def test_a_map_that_does_not_fit_costs_its_file_and_is_damage(
    pieces: list[tuple[int, int]], size: int, content: bytes
) -> None:
    text = b"%d\n" % len(pieces) + b"".join(b"%d\n%d\n" % piece for piece in pieces)

    for archive in (old_sparse(pieces, size, content), new_sparse(text, b"%d" % size, content)):
        members, _contents, reader = seen(archive + header(b"next") + END)

        assert [one.name for one in members] == [b"next"]
        assert reader.damage is not None
        assert "the map of the sparse file" in reader.damage


@pytest.mark.parametrize(
    "text", [b"", b"x\n", b"-1\n", b"1\n1\n", b"99999999999999999999\n", b"1" * 600, b"500\n" * 300]
)
def test_a_map_before_the_content_that_cannot_be_read_costs_its_file(text: bytes) -> None:
    members, _contents, reader = seen(new_sparse(text, b"100", b"") + header(b"next") + END)

    assert [one.name for one in members] == [b"next"]
    assert reader.damage is not None


@pytest.mark.parametrize("numbers", [b"0,3,9", b"0,3,x", b"0,-3", b",", b"0,2"])
def test_a_map_in_pax_that_does_not_fit_costs_its_file(numbers: bytes) -> None:
    archive = pax({b"GNU.sparse.map": numbers, b"GNU.sparse.size": b"100"}) + member(b"x", b"abc")

    members, _contents, reader = seen(archive + header(b"next") + END)

    assert ([one.name for one in members], reader.damage is not None) == ([b"next"], True)


def test_a_file_that_could_be_sparse_and_has_no_hole_has_no_extents() -> None:
    whole_file = only(old_sparse([(0, 10), (10, 0)], 10, NOISE[:10]))
    empty_file = only(old_sparse([(0, 0)], 0, b""))
    without_map = only(old_sparse([], 10, b""))

    assert (whole_file.extents, whole_file.size) == ((), 10)
    assert (empty_file.extents, empty_file.size) == ((), 0)
    assert (without_map.extents, without_map.size, without_map.stored) == (((0, 0),), 10, 0)


def test_a_sparse_file_of_an_unknown_version_costs_itself() -> None:
    archive = pax({b"GNU.sparse.major": b"2", b"GNU.sparse.minor": b"0"}) + member(b"x", b"abc") + header(b"next") + END

    members, _contents, reader = seen(archive)

    assert ([one.name for one in members], reader.damage is not None) == ([b"next"], True)


def test_a_sparse_file_of_too_many_pieces_is_passed_over_and_noted() -> None:
    pieces = [(number * 100, 1) for number in range(40)]
    text = b"40\n" + b"".join(b"%d\n%d\n" % piece for piece in pieces)
    by_pax = pax({b"GNU.sparse.map": b",".join(b"%d,%d" % piece for piece in pieces), b"GNU.sparse.size": b"9999"})

    for archive in (
        old_sparse(pieces, 9999, NOISE[:40]),
        new_sparse(text, b"9999", NOISE[:40]),
        by_pax + member(b"sparse", NOISE[:40]),
    ):
        members, _contents, reader = seen(archive + header(b"next") + END, extents=39)
        assert [one.name for one in members] == [b"next"]
        assert len(reader.notes) == 1
        assert reader.damage is None
        assert len(members_of(archive + header(b"next") + END, extents=40)) == 2


def test_holes_count_against_the_limit_of_growth() -> None:
    archive = old_sparse([(0, 10)], 3 * MIB, NOISE[:10]) + END

    with pytest.raises(DamageError, match="bomb"):
        seen(archive, expansion_free=MIB)
    with pytest.raises(DamageError, match="bomb"):
        seen(Unpacked(io.BytesIO(gzip.compress(archive))), expansion_free=MIB, expansion=2000)
    assert len(members_of(archive, expansion_free=MIB, expansion=3000)) == 1
    assert len(members_of(archive)) == 1


# names


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (b"./public_html//a/./b/", b"public_html/a/b"),
        (b"./", b""),
        (b"...", b"..."),
        (b"u/homedir/a\\b\x01", b"u/homedir/a\\b\x01"),
        (b"homedir/cp/a\\b", b"homedir/cp/a\\b"),
        (b"public_html/a\nb", b"public_html/a\nb"),
        (b"u/mysql/caf\xe9.sql", b"u/mysql/caf\xe9.sql"),
        (b"/etc/passwd", None),
        (b"../x", None),
        (b"u/homedir/../../x", None),
        (b"u/..", None),
        (b"u/homedir/a\0b", None),
        (b"u/mysql/a\\b.sql", None),
        (b"mysql/a\nb.sql", None),
        (b"u/dnszones/a\x7f.db", None),
        (b"u/" + b"x" * 255, b"u/" + b"x" * 255),
        (b"u/" + b"x" * 256, None),
        (b"/".join([b"d"] * 128), b"/".join([b"d"] * 128)),
        (b"/".join([b"d"] * 129), None),
        (b"/".join([b"d" * 63] * 64), b"/".join([b"d" * 63] * 64)),
        (b"/".join([b"d" * 63] * 64) + b"/d", None),
        (b"./" * 10**6 + b"x", None),
    ],
)
def test_a_name_is_safe_or_it_is_none(name: bytes, safe: bytes | None) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize("limits", [{"component": 3}, {"path": 5}, {"levels": 1}])
def test_the_limits_of_names_are_those_that_are_given(limits: dict[str, int]) -> None:
    assert safe_name(b"ab/cd") == b"ab/cd"
    assert safe_name(b"ab/cdef", replace(LIMITS, **limits)) is None


def test_members_with_unsafe_names_are_passed_over_and_noted() -> None:
    archive = (
        member(b"/etc/passwd", b"root") + member(b"u/../../x", b"abc") + pax({b"path": b"u/a\0b"}) + member(b"x", b"y")
    )
    archive += member(b"u/cron/a\nb", b"z") + member(b"", b"nameless") + header(b"next")

    members, _contents, reader = seen(archive + END)

    assert [one.name for one in members] == [b"next"]
    assert [note.path for note in reader.notes] == ["/etc/passwd", "u/../../x", "u/a\0b", "u/cron/a\nb", ""]


def test_links_to_nowhere_are_passed_over_and_noted() -> None:
    archive = b"".join(header(b"x", 0, b"1", link=link) for link in (b"/etc/shadow", b"../x", b"", b"./"))
    archive += header(b"x", 0, b"2") + pax({b"linkpath": b"a\0b"}) + header(b"x", 0, b"2")
    archive += pax({b"linkpath": b"a" * 4097}) + header(b"x", 0, b"2")
    archive += header(b"x", 0, b"2", link=b"/var/log/../x")

    members, _contents, reader = seen(archive + END)

    assert [one.target for one in members] == [b"/var/log/../x"]
    assert len(reader.notes) == 7


def test_notes_are_bounded_and_the_rest_of_them_is_counted() -> None:
    archive = pax({b"path": b"/" + b"long" * 1000}) + header() + header(b"/x") * 299 + END

    _members, _contents, reader = seen(archive)

    assert (len(reader.notes), reader.further_notes) == (200, 100)
    assert len(reader.notes[0].path) == 200


def test_more_members_than_the_limit_are_refused() -> None:
    assert len(members_of(header() * 9 + END, members=9)) == 9
    with pytest.raises(DamageError, match="it has more than 9 members"):
        seen(header() * 10 + END, members=9)
    with pytest.raises(DamageError, match="it has more than 9 members"):
        seen(header(b"/refused") * 10 + END, members=9)


@pytest.mark.parametrize("flag", [b"L", b"K", b"x", b"g", b"X"])
def test_an_extended_header_beyond_the_limit_is_refused_before_it_is_read(flag: bytes) -> None:
    content = record(b"comment", b"c" * MIB)
    stream = io.BytesIO(header(b"x", len(content), flag) + padded(content) + header() + END)

    with pytest.raises(DamageError, match=r"the extended header at byte 0 has 1,0\d\d,\d\d\d bytes, which is too much"):
        seen(stream)
    assert stream.tell() <= MIB


@pytest.mark.parametrize(
    "content",
    [b"x", b"5 a=b\n", b"99 path=x\n", b"0 a=b\n", b"7 path\n", b"10 path=x\n\n", b"-1 a=b\n", b" a=b\n", b"8 a=bcd"],
)
def test_an_extended_header_of_pax_that_cannot_be_read_is_damage(content: bytes) -> None:
    with pytest.raises(DamageError, match="the extended header at byte 0 cannot be read"):
        seen(member(b"x", content, b"x") + header() + END)


# damage


def test_an_archive_without_members_is_whole_with_two_blocks_of_zeros_only() -> None:
    assert members_of(END) == []
    for archive in (b"", bytes(511), bytes(512), bytes(1023)):
        with pytest.raises(DamageError, match="cut off"):
            seen(archive)


def small(form: int) -> bytes:
    """Return a small archive without padding behind its end mark."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, kind in (("dir", tarfile.DIRTYPE), ("dir/" + "n" * 120, tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mtime = kind, "dir", 1_700_000_000.5
            content = b"content" * 100 if info.isfile() else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return padded(file.getvalue().rstrip(b"\0")) + END


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_cut_at_any_byte_is_damaged(form: int) -> None:
    archive = small(form)
    packed = gzip.compress(archive)
    assert len(members_of(archive)) == 3

    for length in range(len(archive)):
        with pytest.raises(DamageError, match="cut off"):
            seen(archive[:length])
    for length in range(len(packed)):
        with pytest.raises(DamageError):
            seen(Unpacked(io.BytesIO(packed[:length])))


def test_a_cut_tells_where_and_in_what() -> None:
    archive = member(b"file", b"x" * 700) + END

    for length, said in (
        (100, "it is cut off at byte 100, within a header"),
        (900, "it is cut off at byte 900, within the content of a member"),
        (1400, "it is cut off at byte 1,400, within the content of a member"),
        (1536, "it ends at byte 1,536 without the two blocks of zeros that mark the end: it is cut off"),
        (2048, "it ends at byte 1,536 with one block of zeros where two belong: it may be cut off"),
        (2500, "it ends at byte 1,536 with one block of zeros where two belong: it may be cut off"),
    ):
        with pytest.raises(DamageError, match=said):
            seen(archive[:length])


def test_a_cut_comes_out_of_content_as_well() -> None:
    reader = TarReader(io.BytesIO(header(size=3 * MIB) + NOISE[: 2 * MIB]))
    next(reader.members())

    with pytest.raises(DamageError, match="cut off"):
        list(reader.content())


def test_a_header_that_was_changed_is_told_with_its_place() -> None:
    archive = member(b"file", b"x" * 700) + b"X" + header(b"next")[1:] + END

    with pytest.raises(DamageError, match="the header at byte 1,536 is damaged"):
        seen(archive)


def test_a_single_block_of_zeros_ends_no_archive() -> None:
    with pytest.raises(DamageError, match="a single block of zeros at byte 512 is followed by something else"):
        seen(header() + bytes(512) + header() + END)


@pytest.mark.parametrize("flag", [b"L", b"K", b"x"])
def test_an_extended_header_without_its_member_is_damage(flag: bytes) -> None:
    with pytest.raises(DamageError, match="an end mark where a member was announced"):
        seen(member(b"x", record(b"path", b"x"), flag) + END)


def test_what_stands_behind_the_end_is_read_counted_and_noted() -> None:
    rest = [bytes(9000), bytes(3 * MIB) + b"junk\0", b"\0" * 7 + NOISE[:100], header(b"more")]

    readers = [seen(header() + END + behind)[2] for behind in rest]

    assert [reader.trailing for reader in readers] == [len(behind) - behind.count(0) for behind in rest]
    assert [len(reader.notes) for reader in readers] == [0, 1, 1, 1]


def test_damage_to_what_is_packed_is_seen_behind_the_last_member() -> None:
    packed = bytearray(gzip.compress(member(b"file", NOISE[:2000]) + END))
    packed[-6] ^= 1

    with pytest.raises(DamageError, match="incorrect data check"):
        seen(Unpacked(io.BytesIO(bytes(packed))))


ARCHIVES = [
    small(tarfile.GNU_FORMAT),
    small(tarfile.PAX_FORMAT),
    old_sparse([(number * 100, 10) for number in range(30)], 9999, NOISE[:300]) + END,
    new_sparse(b"2\n0\n5\n50\n5\n", b"100", b"0123456789") + END,
    member(b"u/homedir.tar", small(tarfile.GNU_FORMAT)) + header(b"link", 0, b"1", link=b"u/x") + END,
]


def attempt(archive: bytes | ByteStream) -> tuple[list[Member], list[bytes]] | None:
    """Return what is read, or None if that is damaged."""
    try:
        members, contents, reader = seen(archive)
    except DamageError:
        return None
    return None if reader.damage else (members, contents)


@given(st.sampled_from(ARCHIVES), st.data())
@settings(max_examples=400)
def test_another_byte_in_a_packed_archive_is_damage_or_changes_nothing(archive: bytes, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(archive, mtime=0))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))

    found = attempt(Unpacked(io.BytesIO(bytes(packed))))

    assert found in (None, attempt(archive))


@pytest.mark.parametrize("value", [*b"\0\1 \x80\xff7-_"])
def test_another_byte_in_a_header_is_damage_or_changes_nothing(value: int) -> None:
    archive = header(b"dir/", 0, b"5") + member(b"dir/file", b"x" * 700) + header(b"link", 0, b"2", link=b"file") + END
    expected = attempt(archive)

    for place in (*range(1024), *range(2048, len(archive))):
        changed = bytearray(archive)
        changed[place] = value
        assert attempt(bytes(changed)) in (None, expected), place


@given(st.sampled_from(ARCHIVES), st.data())
@settings(max_examples=400)
def test_whatever_bytes_are_changed_the_end_is_members_or_damage(archive: bytes, data: st.DataObject) -> None:
    changed = bytearray(archive)
    for _number in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(archive) - 1))
        new = data.draw(st.binary(min_size=1, max_size=12))
        changed[place : place + len(new)] = new
    if data.draw(st.booleans()):  # as one who knows how a checksum is made would
        for at in range(0, len(changed) - 511, 512):
            if changed[at + 257 : at + 262] == b"ustar":
                changed[at : at + 512] = with_checksum(bytes(changed[at : at + 512]))

    attempt(bytes(changed))


@given(st.lists(st.sampled_from([header(), bytes(512), NOISE[:512], b"x" * 100, header(b"", 512, b"x")]), max_size=9))
@settings(max_examples=200)
def test_blocks_in_any_order_are_members_or_damage(blocks: list[bytes]) -> None:
    attempt(b"".join(blocks))


# an archive of the home directory within


def nested(content: bytes, name: bytes = b"u/homedir.tar", before: bytes = b"") -> bytes:
    return header(b"u", 0, b"5") + before + member(name, content) + header(b"u/version") + END


@pytest.mark.parametrize("top", [b"", b"u/", b"./u/"])
def test_an_archive_of_the_home_is_gone_into(top: bytes) -> None:
    link = header(b"./link", 0, b"1", link=b"./public_html/index.php")
    home = (
        header(b"./", 0, b"5")
        + member(b"./public_html/index.php", b"<?php")
        + link
        + header(b"s", 0, b"2", link=b"x/y")
    )

    members, contents, reader = seen(nested(home + END + bytes(8192), top + b"homedir.tar"))

    plain = top.removeprefix(b"./")
    assert [one.name for one in members] == [
        b"u",
        *(plain + name for name in (b"homedir", b"homedir/public_html/index.php", b"homedir/link", b"homedir/s")),
        b"u/version",
    ]
    assert contents[2] == b"<?php"
    assert [one.target for one in members[3:5]] == [plain + b"homedir/public_html/index.php", b"x/y"]
    assert (reader.damage, reader.notes, reader.trailing) == (None, [], 0)


@pytest.mark.parametrize(
    "name", [b"homedir/homedir.tar", b"u/homedir/homedir.tar", b"u/x/homedir.tar", b"u/xhomedir.tar"]
)
def test_any_other_archive_is_a_file(name: bytes) -> None:
    members, contents, _reader = seen(nested(header(b"x") + END, name))

    assert [one.name for one in members] == [b"u", name, b"u/version"]
    assert contents[1] == header(b"x") + END


def test_what_is_the_archive_of_the_home_itself_has_its_members_below_what_is_given() -> None:
    home = header(b"./", 0, b"5") + member(b"./homedir.tar", header(b"x") + END) + member(b"ssl/a\\b", b"abc")
    home += header(b"link", 0, b"1", link=b"./ssl/a\\b")
    reader = TarReader(io.BytesIO(home + END), above=b"homedir/")

    members = list(reader.members())

    assert [one.name for one in members] == [b"homedir", b"homedir/homedir.tar", b"homedir/ssl/a\\b", b"homedir/link"]
    assert members[-1].target == members[-2].name


def test_an_archive_within_the_archive_of_the_home_is_a_file() -> None:
    deeper = header(b"x") + END

    members = members_of(nested(member(b"homedir.tar", deeper) + END))

    assert [one.name for one in members] == [b"u", b"u/homedir/homedir.tar", b"u/version"]


@pytest.mark.parametrize("content", [b"", b"x", gzip.compress(NOISE, mtime=0), NOISE, bytes(100), b"x" * 512])
def test_a_home_archive_that_is_none_is_a_file(content: bytes) -> None:
    members, contents, reader = seen(nested(content))

    assert [one.name for one in members] == [b"u", b"u/homedir.tar", b"u/version"]
    assert contents[1] == content
    assert reader.damage is None


def test_a_home_archive_without_members_is_gone_into() -> None:
    assert [one.name for one in members_of(nested(END))] == [b"u", b"u/version"]


@pytest.mark.parametrize("size", range(0, 3072, 128))
def test_a_home_archive_that_is_cut_costs_what_follows_in_it(size: int) -> None:
    home = member(b"first", b"abc") + member(b"second", b"x" * 700) + END

    members, _contents, reader = seen(nested(home[:size]))

    names = [one.name for one in members]
    assert (names[0], names[-1]) == (b"u", b"u/version")
    if size < 512:
        assert names[1:-1] == [b"u/homedir.tar"]
    else:
        assert names[1:-1] == [b"u/homedir/first", b"u/homedir/second"][: (size >= 1024) + (size >= 2560)]
        assert reader.damage is not None
        assert reader.damage.startswith("its homedir.tar is damaged: it ")


@pytest.mark.parametrize("place", [600, 1024, 1600])
def test_a_home_archive_with_a_broken_header_costs_what_follows_in_it(place: int) -> None:
    home = bytearray(header(b"a") + header(b"b") + header(b"c") + header(b"d") + END)
    home[place] ^= 1

    members, _contents, reader = seen(nested(bytes(home)))

    names = [b"u/homedir/" + name for name in (b"a", b"b", b"c", b"d")]
    assert [one.name for one in members] == [b"u", *names[: place // 512], b"u/version"]
    assert reader.damage == f"its homedir.tar is damaged: the header at byte {1024 + place // 512 * 512:,} is damaged"


def test_a_home_archive_whose_first_header_is_broken_is_a_file_and_damage() -> None:
    home = b"X" + header(b"a")[1:] + END

    members, contents, reader = seen(nested(home))

    assert [one.name for one in members] == [b"u", b"u/homedir.tar", b"u/version"]
    assert contents[1] == home
    assert reader.damage == "its homedir.tar is damaged from its first header on"


def test_an_archive_that_is_cut_within_that_of_the_home_is_cut() -> None:
    archive = nested(member(b"file", NOISE) + END)

    for length in (1500, 1024 + 512 + 100, 2 * MIB, 1024 + 512 + len(NOISE) + 100):
        with pytest.raises(DamageError, match="cut off"):
            seen(archive[:length])


def test_limits_of_the_whole_hold_in_the_archive_of_the_home_too() -> None:
    with pytest.raises(DamageError, match="more than 5 members"):
        seen(nested(header() * 5 + END), members=5)
    assert notes_of(nested(header(b"/etc/passwd") + header(b"../x") + header(b"") + END)[:-1024]) == [
        ("/etc/passwd", "its name is absolute"),
        ("../x", "its name leads out of the archive"),
        ("", "it has no name"),
    ]


def test_what_stands_behind_the_end_of_the_home_archive_is_noted() -> None:
    notes = notes_of(nested(header(b"x") + END + b"junk\0junk")[:-1024])

    assert notes == [("u/homedir.tar", "8 bytes that are not zero stand behind the end of this archive")]


def test_what_pax_tells_of_all_members_ends_with_its_archive() -> None:
    members = members_of(
        nested(pax({b"uname": b"inner"}, b"g") + header(b"x") + END, before=pax({b"gname": b"o"}, b"g"))
    )

    assert [(one.user, one.group) for one in members[1:]] == [("inner", "users"), ("web", "o")]


# size


class Endless:
    """An archive of very many members, made while it is read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int) -> bytes:
        pieces, length = [self._rest], len(self._rest)
        while length < size and (block := next(self._blocks, b"")):
            pieces.append(block)
            length += len(block)
        content = b"".join(pieces)
        self._rest = content[size:]
        return content[:size]


def test_memory_stays_flat_however_many_members_there_are() -> None:
    def blocks() -> Iterator[bytes]:
        for number in range(5_000):
            yield pax({b"path": b"u/homedir/%d" % number, b"mtime": b"%d.5" % number}) + member(b"short", b"x")
            yield header(b"/%d" % number)
        yield END

    reader = TarReader(Endless(blocks()))

    tracemalloc.start()
    count = sum(1 for _member in reader.members())
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (count, reader.further_notes) == (5_000, 4_800)
    assert peak < 4 * MIB
