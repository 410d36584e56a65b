# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests read back as they were written, in part as well as whole, and damage is never taken for content."""

from __future__ import annotations

import gzip
import json
import typing as t
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    Entry,
    Header,
    Part,
    Place,
    Problem,
    Trailer,
    dump_path,
    entry_lines,
    order_key,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import (
    ManifestReader,
    ManifestWriter,
    VolumeSize,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = Header(
    run="20261122t030000z-1f9c2a",
    seq=42,
    client="web01",
    job="nightly",
    structure="incremental",
    pool="s03",
    started=datetime(2026, 11, 22, 3, tzinfo=timezone.utc),
    paths=("/srv", "/odd\udcff"),
    definition="0" * 64,
    tool="0.1.0",
)
PROBLEMS = (Problem("/srv/secret\udc80", "Permission denied"),)
PARTS = (Part("files", "/srv", 3, 11),)
VOLUMES = [f"v00/20261122t030000z-1f9c2a-{number:06d}.tar.gz" for number in range(3)]

component = st.binary(min_size=1, max_size=12).filter(
    lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
)
path = st.lists(component, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts))
number = st.integers(0, 2**40)
place = st.builds(Place, st.sampled_from(VOLUMES), number, number, number, number, st.just("ab" * 32))
name = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
attributes = st.lists(st.tuples(name, st.binary(max_size=20)), max_size=2, unique_by=lambda pair: pair[0]).map(tuple)
plain: dict[str, st.SearchStrategy[t.Any]] = {
    "mode": st.integers(0, 0o7777),
    "uid": st.integers(0, 2**32 - 2),
    "gid": st.integers(0, 2**32 - 2),
    "user": name,
    "group": name,
    "mtime": st.integers(-(2**62), 2**62),
    "xattrs": attributes,
}
nothing: dict[str, st.SearchStrategy[t.Any]] = {
    "size": st.just(0),
    "digest": st.just(""),
    "inode": st.just(""),
    "ctime": st.just(0),
    "target": st.just(b""),
    "device": st.none(),
    "places": st.just(()),
    "is_stale": st.just(value=False),
    "is_racy": st.just(value=False),
    "facts": st.just(""),
}
#: As JSON has them: ASCII, without a blank.
facts = st.dictionaries(name, name | number | st.lists(number), max_size=3).map(
    lambda values: json.dumps(values, separators=(",", ":"))
)
content: dict[str, st.SearchStrategy[t.Any]] = {
    "size": number,
    "digest": st.just("cd" * 32),
    "inode": st.just("2049:77"),
    "ctime": number,
    "places": st.lists(place, max_size=9).map(tuple),
    "is_stale": st.booleans(),
    "is_racy": st.booleans(),
}
files = st.builds(Entry, path=path, kind=st.just("f"), **{**plain, **nothing, **content})
hard_links = st.builds(Entry, path=path, kind=st.just("h"), **{**plain, **nothing, **content, "target": path})
links = st.builds(Entry, path=path, kind=st.just("l"), **{**plain, **nothing, "target": path})
devices = st.builds(
    Entry, path=path, kind=st.sampled_from("cb"), **{**plain, **nothing, "device": st.tuples(number, number)}
)
dumps = st.builds(
    Entry,
    path=st.text("ab.%", min_size=1, max_size=3).map(lambda text: dump_path("database", text)),
    kind=st.just("f"),
    **{**plain, **nothing, **content, "facts": facts},
)
others = st.builds(Entry, path=path, kind=st.sampled_from("dp"), **{**plain, **nothing})
trees = st.lists(
    files | hard_links | links | devices | others | dumps, max_size=12, unique_by=lambda entry: entry.path
).map(lambda entries: sorted(entries, key=lambda entry: order_key(entry.path)))


def written(entries: Iterable[Entry]) -> tuple[bytes, Trailer]:
    stored: list[bytes] = []
    writer = ManifestWriter(stored.append, HEADER)
    for entry in entries:
        writer.add(entry)
    trailer = writer.finish(
        complete=False, problems=PROBLEMS, parts=PARTS, volumes=dict.fromkeys(VOLUMES, VolumeSize(1000, 900))
    )
    return b"".join(stored), trailer


def reader_of(stored: bytes) -> ManifestReader:
    return ManifestReader(lambda offset, length: stored[offset : offset + length], len(stored), "NAME")


def simple(path: bytes, size: int = 0, digest: str = "") -> Entry:
    return Entry(path, "f", 0o644, 0, 0, "root", "root", 0, size, digest)


@given(trees, st.integers(1, 2000), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_what_is_written_reads_back(entries: list[Entry], block: int, places_a_line: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_BLOCK", block)
        patch.setattr(manifest, "_PLACES_A_LINE", places_a_line)
        stored, trailer = written(entries)

    reader = reader_of(stored)

    assert list(reader.entries()) == entries
    assert reader.header == HEADER
    assert reader.trailer == trailer
    assert (trailer.entries, trailer.problems, trailer.parts) == (len(entries), PROBLEMS, PARTS)
    assert set(trailer.volumes) == {place.volume for entry in entries for place in entry.places}


@given(trees, path, st.integers(1, 500))
@settings(max_examples=30, deadline=None)
def test_what_lies_below_a_path_is_found_from_few_blocks(entries: list[Entry], prefix: bytes, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_BLOCK", block)
        stored, _trailer = written(entries)
    prefixes = [
        prefix,
        *(entry.path for entry in entries[:3]),
        *(entry.path.rpartition(b"/")[0] for entry in entries[3:6]),
    ]

    for wanted in prefixes:
        found = list(reader_of(stored).entries(wanted))
        below = [entry for entry in entries if entry.path == wanted or entry.path.startswith(wanted + b"/")]
        assert [entry for entry in found if entry in below] == below
        assert found == [entry for entry in entries if entry in found]


def test_only_blocks_that_can_hold_what_is_asked_for_are_read() -> None:
    entries = [simple(b"/srv/%06d" % index) for index in range(20_000)]
    stored, trailer = written(entries)
    read: list[int] = []

    def read_at(offset: int, length: int) -> bytes:
        read.append(length)
        return stored[offset : offset + length]

    reader = ManifestReader(read_at, len(stored), "NAME")
    opened = len(read)
    found = list(reader.entries(b"/srv/010000"))

    assert len(trailer.blocks) > 3
    assert opened <= 3
    assert len(read) - opened <= 2
    assert entries[10_000] in found


def test_a_manifest_is_gzip_that_anybody_can_read() -> None:
    stored, _trailer = written([simple(b"/srv/\xff", size=1, digest="00" * 32)])

    lines = [json.loads(line) for line in gzip.decompress(stored).splitlines()]

    assert lines[0]["format"] == 1
    assert lines[1]["p"].encode("utf-8", "surrogateescape") == b"/srv/\xff"
    assert lines[-1]["trailer"]["complete"] is False


def test_a_damaged_byte_is_told_or_does_no_harm() -> None:
    entries = [simple(b"/srv/%d" % index, size=3, digest="ab" * 32) for index in range(5)]
    stored, trailer = written(entries)

    def everything(content: bytes) -> object:
        reader = reader_of(content)
        return reader.header, reader.trailer, list(reader.entries())

    for place in range(len(stored)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(stored)
            damaged[place] ^= flip
            try:
                found = everything(bytes(damaged))
            except DamageError:
                continue
            assert found == (HEADER, trailer, entries), f"byte {place} of {len(stored)}"


def test_a_manifest_that_is_cut_anywhere_is_told() -> None:
    stored, _trailer = written([simple(b"/srv/a")])

    for length in range(len(stored)):
        with pytest.raises(DamageError):
            reader_of(stored[:length])


def test_a_damaged_block_costs_its_own_entries_only() -> None:
    entries = [simple(b"/srv/%06d" % index) for index in range(20_000)]
    stored, trailer = written(entries)
    damaged = bytearray(stored)
    block = trailer.blocks[2]
    damaged[block.offset + 100] ^= 1
    reader = reader_of(bytes(damaged))

    assert entries[0] in list(reader.entries(b"/srv/000000"))
    assert entries[-1] in list(reader.entries(b"/srv/019999"))
    with pytest.raises(DamageError, match="NAME"):
        list(reader.entries())


def flipped(stored: bytes, *offsets: int) -> bytes:
    damaged = bytearray(stored)
    for offset in offsets:
        damaged[offset] ^= 1
    return bytes(damaged)


def test_a_damaged_block_is_told_and_passed_over_for_whoever_wants_the_rest() -> None:
    entries = [simple(b"/srv/%06d" % index) for index in range(20_000)]
    stored, trailer = written(entries)
    lost, after = trailer.blocks[2], trailer.blocks[3]
    reader = reader_of(flipped(stored, lost.offset + 100))
    told: list[tuple[bytes, str]] = []

    found = list(reader.entries(on_damage=lambda first, error: told.append((first, str(error)))))

    assert found == [entry for entry in entries if not lost.first <= entry.path < after.first]
    ((first, sentence),) = told
    assert first == lost.first
    assert f"NAME is damaged from byte {lost.offset:,} on" in sentence


def test_a_block_that_is_whole_and_makes_no_sense_is_told_and_passed_over_as_well() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_BLOCK", 1)
        patch.setattr(manifest, "entry_lines", lambda entry, _places: [b'{"p":"%s"}\n' % entry.path])
        stored, _trailer = written([simple(b"/srv/a"), simple(b"/srv/b")])
    told: list[bytes] = []

    assert list(reader_of(stored).entries(on_damage=lambda first, _error: told.append(first))) == []

    assert told == [b"/srv/a", b"/srv/b"]


@pytest.mark.parametrize("lost", range(1, 6))
def test_a_large_entry_of_which_a_block_is_lost_is_never_taken_for_whole(lost: int) -> None:
    places = tuple(Place(VOLUMES[0], offset, 1, 0, 1, "ab" * 32) for offset in range(9))
    large = simple(b"/srv/large", size=9)._replace(places=places)
    entries = [simple(b"/srv/before"), large, simple(b"/srv/later")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_BLOCK", 1)
        patch.setattr(manifest, "_PLACES_A_LINE", 3)
        stored, trailer = written(entries)
    told: list[bytes] = []

    found = list(
        reader_of(flipped(stored, trailer.blocks[lost].offset + 20)).entries(
            on_damage=lambda first, _error: told.append(first)
        )
    )

    first = [b"/srv/before", b"/srv/large", b"/srv/large", b"/srv/large", b"/srv/later"][lost - 1]
    assert told == [first]
    assert found == [entry for entry in entries if entry.path != first]


def test_a_line_that_goes_on_from_another_entry_is_damage() -> None:
    large = simple(b"/srv/large", size=2)._replace(places=(Place(VOLUMES[0], 0, 1, 0, 1, "ab" * 32),) * 2)
    lines = list(entry_lines(large, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "entry_lines", lambda *_arguments: [lines[0], lines[1].replace(b"large", b"other")])
        stored, _trailer = written([large])

    with pytest.raises(DamageError, match="NAME"):
        list(reader_of(stored).entries())


def test_a_manifest_is_proved_to_its_last_block() -> None:
    stored, trailer = written([simple(b"/srv/%06d" % index) for index in range(20_000)])

    reader_of(stored).prove()
    for block in trailer.blocks[1:]:
        with pytest.raises(DamageError, match=f"from byte {block.offset:,} on"):
            reader_of(flipped(stored, block.offset + block.length - 1)).prove()


def test_an_encrypted_manifest_is_refused() -> None:
    line = HEADER.to_line().replace(b'"encryption":null', b'"encryption":"age"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Header, "to_line", lambda _header: line)
        stored, _trailer = written([])

    with pytest.raises(DamageError, match=r"^The manifest NAME is encrypted, which this version cannot read\.$"):
        reader_of(stored)


def test_another_format_is_named() -> None:
    stored, _trailer = written([])
    line = HEADER.to_line().replace(b'"format":1', b'"format":9')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Header, "to_line", lambda _header: line)
        newer, _trailer = written([])

    assert reader_of(stored).header == HEADER
    with pytest.raises(DamageError, match="format 9"):
        reader_of(newer)


def test_the_bytes_of_a_manifest_depend_on_nothing_but_its_content() -> None:
    entries = [simple(b"/srv/%d" % index) for index in range(5)]

    assert written(entries) == written(entries)
