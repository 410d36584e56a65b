# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest is proved to its last byte, and so is that it makes sense."""

from __future__ import annotations

import hashlib
import typing as t
import zlib
from collections import defaultdict
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    FILE,
    HARD_LINK,
    Entry,
    Header,
    Place,
    Trailer,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import (
    FOOTER_SIZE,
    ManifestWriter,
    VolumeSize,
    footer,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verifying.manifest_proof import (
    ManifestFlaw,
    ManifestProof,
    system_of,
)
from tests.unit.stored_volumes import BEGINNING, digest_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HEADER = Header(
    "20261122t030000z-1f9c2a", 1, "web01", "nightly", "incremental", "s01", BEGINNING, ("/srv",), "d", "0.1.0"
)
PACKED, PLAIN = "v00/a.tar.gz", "v00/b.tar"
SIZES = {PACKED: VolumeSize(5000, 9000), PLAIN: VolumeSize(5000, 4000)}
SMALL = Entry(
    b"/srv/small", FILE, 0o644, 0, 0, "root", "root", 1, 10, digest_of(b"s"), places=(Place(PACKED, 0, 99, 512, 10),)
)
LINK = SMALL._replace(path=b"/srv/small too", kind=HARD_LINK, target=b"/srv/small")
LARGE = SMALL._replace(
    path=b"/srv/large",
    size=30,
    digest=digest_of(hashlib.sha256(b"1").digest() + hashlib.sha256(b"2").digest()),
    places=(Place(PLAIN, 512, 10, 0, 10, digest_of(b"1")), Place(PACKED, 99, 40, 512, 20, digest_of(b"2"))),
)
SPARSE = SMALL._replace(path=b"/srv/sparse", size=10**9, extents=((4096, 10),))
EMPTY = SMALL._replace(path=b"/srv/empty", size=0, digest=digest_of(b""), places=())
ENTRIES = (EMPTY, LARGE, SMALL, LINK, SPARSE)


def written(local: Path, entries: Sequence[Entry] = ENTRIES) -> Path:
    with local.open("wb") as file:
        writer = ManifestWriter(file.write, HEADER)
        for entry in entries:
            writer.add(entry)
        writer.finish(complete=True, problems=(), parts=(), volumes=SIZES)
    return local


def proved(local: Path) -> tuple[list[ManifestFlaw], int]:
    """Return what is wrong with a manifest, and how many of its entries can be read."""
    named: dict[str, set[Place]] = defaultdict(set)

    def take(entry: Entry) -> None:
        for place in entry.places:
            named[place.volume].add(place._replace(digest=""))

    def count() -> dict[str, tuple[int, int]]:
        return {volume: (len(places), sum(place.size for place in places)) for volume, places in named.items()}

    proof = ManifestProof(open_manifest(local), local)
    return proof.flaws(take, count), proof.entries


def trailer_at(local: Path) -> tuple[int, bytes]:
    """Return where the block of the trailer begins, and its line."""
    blocks = open_manifest(local).trailer.blocks
    offset = blocks[-1].offset + blocks[-1].length
    return offset, zlib.decompress(local.read_bytes()[offset:-FOOTER_SIZE], 31)


def with_trailer(local: Path, change: Callable[[Trailer], Trailer]) -> Path:
    """Write another trailer into the manifest *local*."""
    offset, _line = trailer_at(local)
    packer = zlib.compressobj(4, zlib.DEFLATED, 31)
    line = change(open_manifest(local).trailer).to_line()
    member = packer.compress(line) + packer.flush()
    local.write_bytes(local.read_bytes()[:offset] + member + footer(offset, zlib.crc32(member)))
    return local


def is_found(local: Path) -> bool:
    try:
        flaws, _entries = proved(local)
    except DamageError:
        return True
    return bool(flaws)


def test_a_manifest_as_it_was_written_has_no_flaw(tmp_path: Path) -> None:
    local = written(tmp_path / "manifest")

    assert proved(local) == ([], len(ENTRIES))
    assert system_of(local) == local.read_bytes()[9]


def test_a_manifest_without_entries_has_no_flaw(tmp_path: Path) -> None:
    assert proved(written(tmp_path / "manifest", ())) == ([], 0)


@pytest.mark.parametrize("masks", [(0xFF,), (1, 2, 4, 8, 16, 32, 64, 128)])
def test_every_byte_that_is_flipped_is_found(tmp_path: Path, masks: tuple[int, ...]) -> None:
    local = written(tmp_path / "manifest")
    whole = local.read_bytes()

    for at in range(len(whole)):
        mask = masks[at % len(masks)]
        local.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])

        assert is_found(local)


def test_a_byte_between_trailer_and_footer_is_found(tmp_path: Path) -> None:
    local = written(tmp_path / "manifest")
    whole = local.read_bytes()
    local.write_bytes(whole[:-FOOTER_SIZE] + b"\0" + whole[-FOOTER_SIZE:])

    flaws, _entries = proved(local)

    assert [flaw.is_costly for flaw in flaws] == [False]


def test_a_damaged_block_costs_the_entries_in_it_and_tells_their_range(tmp_path: Path) -> None:
    names = [b"/srv/%05d%s" % (number, b"-" * 900) for number in range(3000)]
    local = written(tmp_path / "manifest", [SMALL._replace(path=name) for name in names])
    blocks = open_manifest(local).trailer.blocks
    assert len(blocks) > 3
    whole = bytearray(local.read_bytes())
    whole[blocks[2].offset + 50] ^= 1
    local.write_bytes(whole)

    ((flaw,), entries) = proved(local)

    first, after = names.index(blocks[2].first), names.index(blocks[3].first)
    assert flaw[:2] == (blocks[2].offset, blocks[2].length)
    assert flaw.is_costly
    assert flaw.entries == after - first
    assert entries == len(names) - flaw.entries
    assert names[first].decode() in flaw.problem
    assert names[after].decode() in flaw.problem


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (SMALL._replace(places=(Place(PACKED, 4990, 11, 512, 10),)), "no such place"),
        (SMALL._replace(places=(Place(PLAIN, 512, 10, 1, 10),)), "no such place"),
        (SMALL._replace(size=11), "no such size"),
        (LARGE._replace(digest=SMALL.digest), "no such digest"),
        (SMALL._replace(path=b"/srv/empty"), "not in order"),
        (SMALL._replace(path=b"/srv"), "not in order"),
        (SMALL._replace(path=b"/srv/f/../g"), "no such path"),
    ],
)
def test_an_entry_that_cannot_be_is_found(tmp_path: Path, entry: Entry, reason: str) -> None:
    ((flaw, *_numbers), _entries) = proved(written(tmp_path / "manifest", [EMPTY, entry]))

    assert reason in flaw.problem
    assert (flaw.is_costly, flaw.entries) == (True, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda trailer: replace(trailer, entries=9),
        lambda trailer: replace(trailer, size=9),
        lambda trailer: replace(trailer, volumes={**trailer.volumes, "v00/c.tar": trailer.volumes[PLAIN]}),
        lambda trailer: replace(
            trailer, volumes={**trailer.volumes, PLAIN: trailer.volumes[PLAIN]._replace(segments=2)}
        ),
        lambda trailer: replace(trailer, volumes={**trailer.volumes, PLAIN: trailer.volumes[PLAIN]._replace(live=11)}),
    ],
)
def test_a_trailer_with_other_numbers_than_the_entries_is_found(
    tmp_path: Path, change: Callable[[Trailer], Trailer]
) -> None:
    ((flaw,), _entries) = proved(with_trailer(written(tmp_path / "manifest"), change))

    assert "other numbers" in flaw.problem
    assert not flaw.is_costly


def test_an_entry_in_a_volume_that_the_trailer_does_not_know_is_found(tmp_path: Path) -> None:
    local = with_trailer(written(tmp_path / "manifest"), lambda trailer: replace(trailer, volumes={}))

    flaws, _entries = proved(local)

    assert any("of which the restore point does not tell" in flaw.problem for flaw in flaws)


def test_of_very_many_flaws_the_first_hundred_are_kept(tmp_path: Path) -> None:
    entries = [SMALL._replace(path=b"/srv/%04d" % number, size=11) for number in range(300)]

    flaws, _entries = proved(written(tmp_path / "manifest", entries))

    assert len(flaws) == 101
    assert "201 more" in flaws[-1].problem
