# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking gzip: all its members, every damage, and no more than there can honestly be."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.limits import KIB, LIMITS, MIB
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.unpacking import Unpacked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError

NOISE = random.Random(1).randbytes(3 * MIB)
TEXT = b"all work and no play makes a dull page\n" * 100_000
CONTENTS = [b"", b"a", TEXT, NOISE, b"\0" * MIB, NOISE[: 512 * KIB - 18]]
SMALL = gzip.compress(b"one", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"two" * 100, mtime=0) + bytes(7)


def unpacked(packed: bytes, size: int = MIB) -> bytes:
    stream = Unpacked(io.BytesIO(packed))
    pieces = []
    while piece := bytes(stream.read(size)):
        pieces.append(piece)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert stream.position == sum(map(len, pieces))
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 1000, MIB, 64 * MIB])
def test_members_behind_one_another_are_one_content(size: int) -> None:
    contents = [b"one", b"", b"two"] if size < 1000 else CONTENTS

    content = unpacked(b"".join(map(gzip.compress, contents)), size)

    assert content == b"".join(contents)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.lists(st.integers(0, 20), min_size=1, max_size=9))
@settings(max_examples=50)
def test_a_read_returns_just_what_was_asked_for(contents: list[bytes], sizes: list[int]) -> None:
    stream, expected = Unpacked(io.BytesIO(b"".join(map(gzip.compress, contents)))), io.BytesIO(b"".join(contents))

    for size in sizes:
        assert bytes(stream.read(size)) == expected.read(size)


def test_a_stream_cut_at_any_byte_is_damaged() -> None:
    packed = SMALL[:-7]
    ends = [len(gzip.compress(b"one")), len(gzip.compress(b"one") + gzip.compress(b""))]

    for length in range(len(packed)):
        if length not in ends:  # it is whole there, and a tar stream in it is not
            with pytest.raises(DamageError, match=r"cut off|empty|no gzip"):
                unpacked(packed[:length])


def test_an_end_within_what_is_packed_is_told_with_its_place() -> None:
    with pytest.raises(DamageError, match="it is cut off: its 1,000 bytes end within what is packed"):
        unpacked(gzip.compress(NOISE)[:1000])


@pytest.mark.parametrize(("place", "said"), [(-8, "incorrect data check"), (-4, "incorrect length check")])
@pytest.mark.parametrize("rest", [b"", gzip.compress(b"more", mtime=0), bytes(100)])
def test_a_wrong_checksum_or_length_is_damage(place: int, said: str, rest: bytes) -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[place] ^= 1

    with pytest.raises(DamageError, match=said):
        unpacked(bytes(packed) + rest)


@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255))
@settings(max_examples=400)
def test_another_byte_anywhere_is_damage_or_the_same_content(place: int, value: int) -> None:
    packed = bytearray(SMALL)
    packed[place] = value

    try:
        content = unpacked(bytes(packed))
    except DamageError:
        return
    # Where a member's first bytes are others, it is none, and what follows is told as trailing.
    assert content in (b"one" + b"two" * 100, b"one")


def test_zeros_behind_the_end_are_padding_and_other_bytes_are_counted() -> None:
    streams = [
        Unpacked(io.BytesIO(gzip.compress(TEXT) + rest))
        for rest in (bytes(2 * MIB), b"\0\0junk\0" + bytes(MIB), b"x", b"\x1f\x8c")
    ]

    contents = [bytes(stream.read(len(TEXT) + 1)) for stream in streams]

    assert contents == [TEXT] * 4
    assert [stream.trailing for stream in streams] == [0, 4, 1, 2]


def test_a_member_behind_zeros_counts() -> None:
    assert unpacked(gzip.compress(b"one") + bytes(1_000_000) + gzip.compress(b"two")) == b"onetwo"


@pytest.mark.parametrize("packed", [b"\x1f", b"PK\3\4", bytes(99), b""])
def test_what_is_no_gzip_is_told_as_such(packed: bytes) -> None:
    with pytest.raises(DamageError, match="it is no gzip file" if packed else "it is empty"):
        unpacked(packed)


def test_what_grows_too_much_is_a_bomb() -> None:
    bomb = gzip.compress(bytes(3 * MIB))
    stream = Unpacked(io.BytesIO(bomb), replace(LIMITS, expansion=500, expansion_free=2 * MIB))

    assert len(stream.read(2 * MIB)) == 2 * MIB
    with pytest.raises(DamageError, match="bomb"):
        stream.read(MIB)
    assert len(Unpacked(io.BytesIO(bomb), replace(LIMITS, expansion=500)).read(4 * MIB)) == 3 * MIB
    assert len(Unpacked(io.BytesIO(bomb), replace(LIMITS, expansion=1030, expansion_free=MIB)).read(4 * MIB)) == 3 * MIB


def test_the_limits_of_growth_are_a_thousandfold_beyond_a_hundred_mebibytes() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(MIB)) for _number in range(120)]) + packer.flush()
    stream = Unpacked(io.BytesIO(bomb))

    for _number in range(100):
        assert len(stream.read(MIB)) == MIB
    with pytest.raises(DamageError, match=r"bomb: .* over 1,000 times"):
        stream.read(MIB)


def test_memory_stays_flat_however_much_a_stream_grows() -> None:
    packed = io.BytesIO(gzip.compress(bytes(64 * MIB)) + gzip.compress(NOISE))
    stream = Unpacked(packed)

    tracemalloc.start()
    while stream.read(256 * KIB):
        pass
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert stream.position == 64 * MIB + len(NOISE)
    assert peak < 4 * MIB


def test_very_many_members_are_read_in_large_pieces() -> None:
    class Counting(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            return super().read(size)

    packed = Counting(gzip.compress(b"x") * 50_000)

    content = Unpacked(packed).read(MIB)

    assert content == b"x" * 50_000
    assert packed.reads <= 4


def test_a_header_with_a_name_a_comment_and_a_checksum_is_understood() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(TEXT) + packer.flush()
    head = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03" + b"\x02\0xy" + b"name\0" + b"comment\0"
    end = zlib.crc32(TEXT).to_bytes(4, "little") + len(TEXT).to_bytes(4, "little")

    content = unpacked(head + (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") + body + end)

    assert content == TEXT
