# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what lies in the target is what is wanted, with and without holes."""

from __future__ import annotations

import hashlib
import os
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry, Place
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.comparison import Comparison
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.target import Target

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A value of one of Entry's fields.
Field = t.Any

MTIME = 1_700_000_000_123_456_789


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    target = Target(tmp_path, "20260101t000000z-abcdef", lambda _entry: None)
    yield target
    target.close()


def entry_of(content: bytes, cut: int, **more: Field) -> Entry:
    """Return the entry of a file with this *content*, in segments of *cut* bytes."""
    pieces = [content[start : start + cut] for start in range(0, len(content), cut)]
    digests = [hashlib.sha256(piece) for piece in pieces]
    many = len(pieces) > 1
    total = hashlib.sha256(b"".join(digest.digest() for digest in digests) if many else content).hexdigest()
    places = tuple(
        Place("v", 0, 1, 0, len(piece), digest.hexdigest() if many else "") for piece, digest in zip(pieces, digests)
    )
    return Entry(b"/file", "f", 0o644, 0, 0, "", "", MTIME, len(content), total, places=places)._replace(**more)


def is_equal(target: Target, entry: Entry, *, checksum: bool = True) -> bool:
    status = target.status(entry.path)
    assert status is not None
    return Comparison(target, checksum=checksum).has_content(entry, status)


CONTENT = bytes(range(256)) * 9000  # more than is read at once


@pytest.mark.parametrize("cut", [len(CONTENT), 1_000_000, 7_777])
def test_content_is_compared_segment_by_segment(target: Target, tmp_path: Path, cut: int) -> None:
    wanted = entry_of(CONTENT, cut)

    (tmp_path / "file").write_bytes(CONTENT)
    assert is_equal(target, wanted)
    for at in (0, 1_500_000, len(CONTENT) - 1):
        changed = bytearray(CONTENT)
        changed[at] ^= 1
        (tmp_path / "file").write_bytes(changed)
        assert not is_equal(target, wanted)


def test_without_checksum_size_and_time_decide(target: Target, tmp_path: Path) -> None:
    wanted = entry_of(b"content", 7)
    (tmp_path / "file").write_bytes(b"another")

    assert not is_equal(target, wanted, checksum=False)
    os.utime(tmp_path / "file", ns=(0, MTIME))
    assert is_equal(target, wanted, checksum=False)
    (tmp_path / "file").write_bytes(b"longer content")
    os.utime(tmp_path / "file", ns=(0, MTIME))
    assert not is_equal(target, wanted, checksum=False)


def test_what_lies_in_holes_has_to_be_nothing(target: Target, tmp_path: Path) -> None:
    size = 5_000_000
    wanted = entry_of(b"contents", 5, size=size, extents=((100, 3), (4_000_000, 5)))
    right = bytearray(size)
    right[100:103], right[4_000_000:4_000_005] = b"con", b"tents"

    (tmp_path / "file").write_bytes(right)
    assert is_equal(target, wanted)
    with (tmp_path / "file").open("wb") as file:
        for offset, piece in ((100, b"con"), (4_000_000, b"tents")):
            file.seek(offset)
            file.write(piece)
        file.truncate(size)
    assert is_equal(target, wanted)
    for at in (0, 99, 103, 2_500_000, 4_000_005, size - 1):
        wrong = bytearray(right)
        wrong[at] = 1
        (tmp_path / "file").write_bytes(wrong)
        assert not is_equal(target, wanted), at


def test_a_hole_as_large_as_can_be_takes_no_time(target: Target, tmp_path: Path) -> None:
    size = 2**43
    wanted = entry_of(b"", 1, size=size, extents=((0, 0),))
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size)

    assert is_equal(target, wanted)


def test_a_link_differs_by_where_it_points_and_by_its_time(target: Target, tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("there")
    os.utime(tmp_path / "file", ns=(0, MTIME), follow_symlinks=False)
    wanted = Entry(b"/file", "l", 0o777, 0, 0, "", "", MTIME, target=b"there")
    status = target.status(b"/file")
    assert status is not None
    comparison = Comparison(target, checksum=False)

    assert comparison.is_same_special(wanted, status)
    assert not comparison.is_same_special(wanted._replace(target=b"elsewhere"), status)
    assert not comparison.is_same_special(wanted._replace(mtime=0), status)
    assert not comparison.is_same_special(wanted._replace(kind="p"), status)


def test_the_time_of_a_fifo_is_no_difference_and_its_mode_is(target: Target, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file", 0o600)
    wanted = Entry(b"/file", "p", 0o600, 0, 0, "", "", MTIME)
    status = target.status(b"/file")
    assert status is not None
    comparison = Comparison(target, checksum=False)

    assert comparison.is_same_special(wanted, status)
    assert not comparison.is_same_special(wanted._replace(mode=0o640), status)
