# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows: where the content of a sparse file belongs, and what is counted."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.differences import Differences
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.links import StandIns
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.windows import File, Tally

if TYPE_CHECKING:
    from pathlib import Path

FILE = Entry(b"/srv/file", "f", 0o644, 0, 0, "", "", 0)


def laid_out(extents: tuple[tuple[int, int], ...], content: bytes, cuts: list[int], size: int) -> bytes:
    """Return the file that comes of *content*, which arrives in pieces that end at *cuts*."""
    file = File(FILE._replace(extents=extents, size=size), 1, nullcontext())
    result = bytearray(size)
    begin = 0
    for end in (*cuts, len(content)):
        for piece, position in file.stretches(memoryview(content)[begin:end], begin):
            result[position : position + len(piece)] = piece
        begin = end
    return bytes(result)


def test_content_comes_to_lie_between_the_holes_however_it_is_cut() -> None:
    chance = random.Random(1)
    for _round in range(200):
        size = chance.randrange(50, 400)
        edges = sorted(chance.sample(range(size), 10))
        extents = tuple((start, end - start) for start, end in zip(edges[::2], edges[1::2]))
        length = sum(piece for _offset, piece in extents)
        content = chance.randbytes(length)
        cuts = sorted(chance.sample(range(length), min(length, chance.randrange(5))))

        expected, position = bytearray(size), 0
        for offset, piece in extents:
            expected[offset : offset + piece] = content[position : position + piece]
            position += piece
        assert laid_out(extents, content, cuts, size) == bytes(expected)


def test_pieces_without_length_change_nothing() -> None:
    assert laid_out(((0, 0), (2, 2), (5, 0), (6, 1)), b"abc", [1], 8) == b"\0\0ab\0\0c\0"


def test_the_first_thousand_differences_of_all_windows_are_shown_in_order_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    total = Tally(Differences())
    for window in range(3):
        tally = total.like()
        for number in range(600):
            entry = FILE._replace(path=b"/%d/%03d" % (window, number), size=number)
            tally.count(entry, tmp_path.stat() if window == 1 else None, "files")
            tally.count_extra(b"/x%d/%03d" % (window, number))
        total.add(tally)

    assert total.counts == {"files": 1800, "deleted": 1800}
    shown = total.shown("the target")
    assert len(shown["after"]) == 1000
    assert (shown["after"][0], shown["after"][-1]) == ("/0/000  file, 0 B", "/1/399  file, 399 B")
    assert (len(shown["before"]), shown["before"][-1]) == (400, "/1/399  directory")
    assert shown["summary"] == ("2,600 more differences are not shown.",)


def test_without_being_asked_no_difference_is_collected(tmp_path: Path) -> None:
    tally = Tally().like()
    tally.count(FILE, tmp_path.stat(), "files")

    assert tally.differences is None
    assert tally.shown("the target") == {}


def test_what_stands_in_for_a_name_is_kept_in_a_file_and_may_change(tmp_path: Path) -> None:
    stand_ins = StandIns(tmp_path)
    assert stand_ins.get(b"/none") is None

    for number in range(1000):
        stand_ins.put(b"/first/%d" % number, b"/second/\xff%d" % number)
    stand_ins.put(b"/first/7", b"/third")

    assert stand_ins.get(b"/first/999") == b"/second/\xff999"
    assert stand_ins.get(b"/first/7") == b"/third"
    assert stand_ins.get(b"/first/1000") is None
    stand_ins.close()
