# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real sparse files, on the file systems of this host."""

from __future__ import annotations

import os
import random
import tempfile
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.sparse import (
    MOST_EXTENTS,
    SMALLEST_HOLE,
    extents_of,
    may_be_sparse,
    reader_of,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCK = 4096
HOLE = SMALLEST_HOLE
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - each gets a directory of its own
PLACES = [place for place in TEMPORARY if os.access(place, os.W_OK)]


class Sparse(t.NamedTuple):
    """An open file."""

    descriptor: int

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self.descriptor)

    def extents(self) -> tuple[tuple[int, int], ...]:
        return extents_of(self.descriptor, self.status.st_size)


@contextmanager
def sparse(path: Path, pieces: Sequence[tuple[int, int]], size: int = 0) -> Iterator[Sparse]:
    """Make a file that has content in *pieces* and holes elsewhere, up to *size* or the last piece."""
    with path.open("w+b", buffering=0) as file:
        for offset, length in pieces:
            os.pwrite(file.fileno(), content_of(length), offset)
        if size:
            file.truncate(size)
        yield Sparse(file.fileno())


@pytest.fixture(params=PLACES)
def directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a directory of a file system that tells where holes are."""
    place = request.param
    with tempfile.TemporaryDirectory(dir=place) as name:
        with sparse(Path(name) / "probe", [(HOLE, 1)]) as file:
            if os.lseek(file.descriptor, 0, os.SEEK_DATA) == 0:
                pytest.skip(f"Holes are NOT tested in {place}, for the file system does not tell where they are.")
        yield Path(name)


def content_of(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def read_all(descriptor: int, extents: tuple[tuple[int, int], ...], size: int, limit: int = 100_000) -> bytes:
    read_into = reader_of(descriptor, extents, size)
    return b"".join(iter(lambda: read(read_into, limit), b""))


def read(read_into: Callable[[memoryview], int], limit: int) -> bytes:
    content = bytearray(limit)
    count = read_into(memoryview(content))
    return bytes(content[:count])


# where the content lies


def test_content_is_found_between_holes(directory: Path) -> None:
    pieces = [(HOLE, BLOCK), (3 * HOLE, 2 * BLOCK), (6 * HOLE, HOLE)]

    with sparse(directory / "file", pieces, 9 * HOLE) as file:
        assert file.extents() == tuple(pieces)
        assert may_be_sparse(file.status)


def test_a_file_may_begin_and_end_with_content(directory: Path) -> None:
    with sparse(directory / "file", [(0, BLOCK), (5 * HOLE, 100)]) as file:
        assert file.extents() == ((0, BLOCK), (5 * HOLE, 100))


def test_a_file_of_content_alone_has_no_extents(directory: Path) -> None:
    with sparse(directory / "file", [(0, 5 * HOLE + 1)]) as file:
        assert file.extents() == ()
        assert not may_be_sparse(file.status)


@pytest.mark.parametrize("size", [HOLE, 40 * HOLE, 1 << 40])
def test_a_file_of_nothing_but_a_hole_has_one_empty_piece(directory: Path, size: int) -> None:
    with sparse(directory / "file", [], size) as file:
        assert file.extents() == ((0, 0),)
        assert read_all(file.descriptor, file.extents(), size) == b""


@pytest.mark.parametrize("size", [0, 1, BLOCK, HOLE - 1])
def test_a_file_smaller_than_the_smallest_hole_is_not_sparse(directory: Path, size: int) -> None:
    with sparse(directory / "file", [], size) as file:
        assert file.extents() == ()
        assert not may_be_sparse(file.status)


@pytest.mark.parametrize(
    ("pieces", "size", "expected"),
    [
        ([(HOLE - BLOCK, BLOCK)], 3 * HOLE, [(0, HOLE)]),
        ([(HOLE, BLOCK), (2 * HOLE, BLOCK)], 3 * HOLE, [(HOLE, 2 * HOLE)]),
        ([(0, BLOCK), (HOLE + BLOCK, BLOCK)], 2 * HOLE, [(0, BLOCK), (HOLE + BLOCK, HOLE - BLOCK)]),
        ([(BLOCK, BLOCK), (HOLE, BLOCK)], 2 * HOLE - BLOCK, []),
    ],
    ids=["at the beginning", "between and at the end", "at the end alone", "everywhere"],
)
def test_a_hole_that_is_too_small_counts_as_content(
    directory: Path, pieces: list[tuple[int, int]], size: int, expected: list[tuple[int, int]]
) -> None:
    with sparse(directory / "file", pieces, size) as file:
        assert file.extents() == tuple(expected)


def test_the_last_of_too_many_pieces_reaches_to_the_end(directory: Path) -> None:
    pieces = [(2 * HOLE * number, BLOCK) for number in range(MOST_EXTENTS)]

    with sparse(directory / "file", pieces, 2 * HOLE * MOST_EXTENTS) as file:
        exactly = file.extents()
        os.pwrite(file.descriptor, b"x", 2 * HOLE * MOST_EXTENTS)
        size = file.status.st_size
        one_more = file.extents()

    assert exactly == tuple(pieces)
    assert one_more == (*pieces[:-1], (pieces[-1][0], size - pieces[-1][0]))


def test_room_that_was_set_aside_is_a_hole(directory: Path) -> None:
    with sparse(directory / "file", [(0, BLOCK)]) as file:
        try:
            os.posix_fallocate(file.descriptor, 0, 4 * HOLE)
        except OSError as error:
            pytest.skip(f"Room that was set aside is NOT tested: {error.strerror}")

        extents = file.extents()

    assert extents == ((0, BLOCK),)


def test_what_comes_behind_the_size_at_opening_does_not_count(directory: Path) -> None:
    with sparse(directory / "file", [(0, BLOCK), (2 * HOLE, 4 * HOLE), (9 * HOLE, BLOCK)]) as file:
        assert extents_of(file.descriptor, 4 * HOLE) == ((0, BLOCK), (2 * HOLE, 2 * HOLE))
        assert extents_of(file.descriptor, 8 * HOLE) == ((0, BLOCK), (2 * HOLE, 4 * HOLE))
        assert extents_of(file.descriptor, 2 * HOLE) == ((0, BLOCK),)


@pytest.mark.parametrize("left", [0, 1, BLOCK, 3 * HOLE])
def test_a_file_that_has_become_shorter_is_no_error(directory: Path, left: int) -> None:
    with sparse(directory / "file", [(0, BLOCK), (2 * HOLE, 4 * HOLE)], 8 * HOLE) as file:
        os.ftruncate(file.descriptor, left)

        extents = extents_of(file.descriptor, 8 * HOLE)

    assert all(0 <= offset <= offset + length <= 8 * HOLE for offset, length in extents)


def test_what_has_no_places_to_look_for_has_no_extents() -> None:
    reading, writing = os.pipe()
    try:
        assert extents_of(reading, 10 * HOLE) == ()
    finally:
        os.close(reading)
        os.close(writing)


@given(
    pieces=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 20)), max_size=6),
    size=st.integers(0, 130 * 4 * BLOCK),
    limit=st.sampled_from([1000, 65_536, 1 << 20]),
)
def test_extents_and_content_make_the_file_again(pieces: list[tuple[int, int]], size: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file"
        with sparse(path, [(4 * BLOCK * at, 4 * BLOCK * length) for at, length in pieces]) as file:
            os.ftruncate(file.descriptor, size)
            extents = file.extents()
            content = read_all(file.descriptor, extents, size, limit)
        expected = path.read_bytes()

    again = bytearray(size)
    at = 0
    for offset, length in extents or ((0, size),):
        again[offset : offset + length] = content[at : at + length]
        at += length
    assert at == len(content)
    assert bytes(again) == expected
    ends = [(offset, offset + length) for offset, length in extents]
    assert all(after[0] - before[1] >= HOLE for before, after in zip(ends, ends[1:]))


# reading


def test_without_extents_the_first_bytes_are_read(directory: Path) -> None:
    with sparse(directory / "file", [(0, 300_000)]) as file:
        assert read_all(file.descriptor, (), 300_000) == content_of(300_000)
        assert read_all(file.descriptor, (), 250_000) == content_of(300_000)[:250_000]
        assert read_all(file.descriptor, (), 0) == b""


def test_pieces_are_read_as_one_however_much_is_asked_for(directory: Path) -> None:
    extents = ((0, 10), (2 * HOLE, 20), (4 * HOLE, 30))
    expected = content_of(10) + content_of(20) + content_of(30)

    with sparse(directory / "file", extents) as file:
        for limit in (1, 7, 10, 30, 60, 1000):
            assert read_all(file.descriptor, extents, file.status.st_size, limit) == expected


def test_where_the_descriptor_stands_does_not_matter(directory: Path) -> None:
    with sparse(directory / "file", [(0, 100)]) as file:
        os.lseek(file.descriptor, 50, os.SEEK_SET)

        assert read_all(file.descriptor, (), 100) == content_of(100)


@pytest.mark.parametrize("extents", [(), ((0, HOLE), (2 * HOLE, HOLE), (4 * HOLE, HOLE))])
def test_a_file_that_became_shorter_ends_there(directory: Path, extents: tuple[tuple[int, int], ...]) -> None:
    with sparse(directory / "file", [(0, 5 * HOLE)]) as file:
        read_into = reader_of(file.descriptor, extents, 5 * HOLE)
        first = read(read_into, 10)
        os.ftruncate(file.descriptor, 100)

        rest = read(read_into, 10 * HOLE)
        assert read(read_into, 1) == b""
        os.ftruncate(file.descriptor, 5 * HOLE)

        assert first + rest == content_of(5 * HOLE)[:100]
        assert read(read_into, 1) == b""


def test_an_error_of_reading_is_raised(directory: Path) -> None:
    directory_itself = os.open(directory, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            read(reader_of(directory_itself, (), 100), 10)
    finally:
        os.close(directory_itself)
