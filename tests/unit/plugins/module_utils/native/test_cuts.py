# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where large files are cut: the same places in the same bytes, whatever stands before, and however they are read."""

from __future__ import annotations

import hashlib
import io
import itertools
import random
import string
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.cuts import MAX_SEGMENT, MIN_SEGMENT, Cutter

if t.TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
#: The sizes of the segments of 20 MiB of noise: they may never change.
PINNED = [1586757, 1720870, 1110252, 2692476, 2561062, 1469190, 1117643, 2296860, 5511306, 905104]
NOISE = random.Random(7).randbytes(48 * MIB)


def cut(content: bytes) -> list[bytes]:
    return copied(io.BytesIO(content).readinto)


def copied(read_into: Callable[[memoryview], int], cutter: Cutter | None = None) -> list[bytes]:
    return [bytes(piece) for piece in (cutter or Cutter()).segments(read_into)]


def digests(pieces: list[bytes]) -> list[str]:
    return [hashlib.sha256(piece).hexdigest() for piece in pieces]


def dump(size: int) -> bytes:
    """Return a dump of a database as many programs write it: rows in lines of a megabyte."""
    chance = random.Random(11)
    names = ["".join(chance.choices(string.ascii_lowercase, k=chance.randrange(4, 12))) for _number in range(3000)]
    lines = []
    length = 0
    for first in itertools.count(1, 5000):
        rows = [
            f"({number},'{chance.choice(names)}','{chance.choice(names)}@example.com',{chance.randrange(10**6)},"
            f"'2026-{number % 12 + 1:02d}-{number % 28 + 1:02d} {chance.randrange(24):02d}:00:00')"
            for number in range(first, first + 5000)
        ]
        lines.append(b"INSERT INTO `orders` VALUES %s;\n" % ",".join(rows).encode())
        length += len(lines[-1])
        if length >= size:
            return b"".join(lines)[:size]
    raise AssertionError("unreachable")


@pytest.mark.parametrize("content", [NOISE, dump(24 * MIB)], ids=["noise", "dump"])
def test_segments_are_of_one_to_eight_mebibytes_and_about_two(content: bytes) -> None:
    pieces = cut(content)

    assert b"".join(pieces) == content
    assert all(MIN_SEGMENT <= len(piece) <= MAX_SEGMENT for piece in pieces[:-1])
    assert MIB < len(content) / len(pieces) < 4 * MIB


def test_the_cuts_are_part_of_the_format() -> None:
    pieces = cut(random.Random(1).randbytes(20 * MIB))

    assert [len(piece) for piece in pieces] == PINNED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content, at: content[:at] + b"inserted" + content[at:], id="insertion"),
        pytest.param(lambda content, at: content[:at] + content[at + 1000 :], id="deletion"),
        pytest.param(lambda content, at: content[:at] + bytes(1000) + content[at + 1000 :], id="replacement"),
    ],
)
@pytest.mark.parametrize("content", [NOISE, dump(24 * MIB)], ids=["noise", "dump"])
def test_a_change_costs_few_segments(content: bytes, change: Callable[[bytes, int], bytes]) -> None:
    before = set(digests(cut(content)))

    after = digests(cut(change(content, len(content) // 2)))

    assert 1 <= len(set(after) - before) <= 3


def test_a_large_insertion_into_a_table_of_numbers_costs_few_segments() -> None:
    chance = random.Random(13)
    table = "".join(f"{number},{chance.randrange(10**9)},{chance.random():.6f}\n" for number in range(900_000)).encode()
    before = digests(cut(table))

    after = digests(cut(table[: len(table) // 3] + chance.randbytes(300_000) + table[len(table) // 3 :]))

    assert len(set(after) - set(before)) <= 6 < len(before) / 2


@pytest.mark.parametrize("most", [4099, 65_536, 3 * MIB + 1])
def test_the_cuts_do_not_depend_on_how_the_content_is_read(most: int) -> None:
    content = NOISE[: 20 * MIB]
    stream = io.BytesIO(content)
    chance = random.Random(most)

    pieces = copied(lambda view: stream.readinto(view[: chance.randrange(1, most)]))

    assert digests(pieces) == digests(cut(content))


@pytest.mark.parametrize("byte", [b"\0", b"1", b"e", b"\xff"])
def test_what_never_changes_is_cut_at_the_limits(byte: bytes) -> None:
    pieces = cut(byte * (20 * MIB))

    assert b"".join(pieces) == byte * (20 * MIB)
    assert {len(piece) for piece in pieces[:-1]} <= set(range(MIN_SEGMENT, MIN_SEGMENT + 200)) | {MAX_SEGMENT}


@pytest.mark.parametrize("size", [0, 1, MIN_SEGMENT, MAX_SEGMENT - 1, MAX_SEGMENT, MAX_SEGMENT + 1])
def test_content_of_any_size_is_all_there(size: int) -> None:
    pieces = cut(NOISE[:size])

    assert b"".join(pieces) == NOISE[:size]
    assert all(pieces)


def test_what_was_read_before_leaves_no_trace() -> None:
    cutter = Cutter()
    for _piece in itertools.islice(cutter.segments(io.BytesIO(NOISE).readinto), 2):
        pass  # and then it is given up

    pieces = copied(io.BytesIO(NOISE[MIB : 20 * MIB]).readinto, cutter)

    assert digests(pieces) == digests(cut(NOISE[MIB : 20 * MIB]))
