# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: tar streams whose every segment is found where its place says, however it was packed."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import threading
import typing as t
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import volumes
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.frames import unpack
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import (
    MEMORY_BUDGET,
    SUFFIXES,
    Budget,
    Packer,
    PendingPlace,
    Volume,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

KIB = 1024
MIB = 1024 * KIB
CHANCE = random.Random(5)
NOISE = CHANCE.randbytes(9 * MIB)
SIZES = st.one_of(
    st.integers(0, 2000), st.sampled_from([511, 512, 513, 4096, 100_000, MIB - 512, MIB, MIB + 1, 3 * MIB])
)


def entry(number: int, name: bytes = b"") -> Entry:
    return Entry(name or b"/srv/%d" % number, "f", 0o640, 1000, 2**31, "root", "root", 1_700_000_000 * 10**9 + 5)


def packed(
    compression: str, contents: Sequence[bytes], volume_size: int = 32 * MIB
) -> tuple[dict[str, bytes], list[PendingPlace]]:
    """Pack *contents* and return the bytes of every volume, and where each content lies."""
    started: list[Volume] = []
    packer = Packer(
        compression,
        lambda n: f"v00/{n}{SUFFIXES[compression]}",
        started.append,
        Budget(MEMORY_BUDGET),
        volume_size=volume_size,
    )
    places = [
        packer.add(entry(number), content, hashlib.sha256(content).hexdigest())
        for number, content in enumerate(contents)
    ]
    packer.close_volume()
    stored = {volume.name: b"".join(bytes(piece) for piece in volume.chunks()) for volume in started}
    assert stored == {volume.name: b"".join(bytes(piece) for piece in volume.chunks()) for volume in started}
    assert [volume.size for volume in started] == [len(content) for content in stored.values()]
    packer.stop()
    assert started == packer.volumes
    return stored, places


def plain(name: str, stored: bytes) -> bytes:
    """Return the tar stream of a volume."""
    content = b""
    while name.endswith(".gz") and stored:
        unpacker = zlib.decompressobj(31)
        content += unpacker.decompress(stored)
        stored = unpacker.unused_data
    return content or stored


@pytest.mark.parametrize("compression", ["none", "gzip"])
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=12),
    repeats=st.booleans(),
    volume_size=st.sampled_from([2 * MIB, 32 * MIB]),
)
@settings(max_examples=20, deadline=None)
def test_every_content_lies_where_its_place_says(
    compression: str,
    sizes: list[int],
    repeats: bool,  # noqa: FBT001 - given by hypothesis
    volume_size: int,
) -> None:
    contents = [b"text " * (size // 5) if repeats else NOISE[size % 7 : size % 7 + size] for size in sizes]

    stored, places = packed(compression, contents, volume_size)

    for content, pending in zip(contents, places):
        place = pending.place(with_digest=True)
        frame = stored[place.volume][place.offset : place.offset + place.length]
        assert unpack(place.volume, memoryview(frame))[place.start : place.start + place.size] == content
        assert place.digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_volumes_strung_together_are_one_tar_archive(compression: str) -> None:
    contents = [NOISE[: 300 * KIB * number] for number in range(1, 12)]

    stored, _places = packed(compression, contents, 2 * MIB)

    assert len(stored) > 3
    stream = b"".join(plain(name, content) for name, content in stored.items())
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [f"srv/{number}" for number in range(11)]
        assert [archive.extractfile(member).read() for member in members] == contents  # type: ignore[union-attr] # all are files
    assert {(m.mode, m.uid, m.gid, m.mtime, m.uname) for m in members} == {(0o640, 1000, 2**31, 1_700_000_000, "root")}


@pytest.mark.parametrize(
    "name", [b"/short", b"/" + b"x" * 99, b"/" + b"x" * 100, b"/" + b"d/" * 300 + b"x", b"/\xff\n"]
)
def test_names_of_any_length_stand_in_the_tar_stream(name: bytes) -> None:
    started: list[Volume] = []
    packer = Packer("none", lambda _number: "v00/0.tar", started.append, Budget(MEMORY_BUDGET))

    packer.add(entry(0, name), b"content", "", part=0)
    packer.add(entry(0, name), b"piece", "", part=12)
    packer.close_volume()

    stream = b"".join(bytes(piece) for piece in started[0].chunks())
    with tarfile.open(fileobj=io.BytesIO(stream), errors="surrogateescape", encoding="utf-8") as archive:
        found = [member.name.encode("utf-8", "surrogateescape") for member in archive.getmembers()]
    assert found == [name[1:], name[1:] + b".part-000012"]


def test_what_cannot_be_compressed_is_stored_and_what_can_is_not() -> None:
    noise, _places = packed("gzip", [NOISE[: 4 * MIB]])
    text, _places = packed("gzip", [b"all work and no play " * 200_000])

    assert 4 * MIB < sum(map(len, noise.values())) < 4 * MIB + 64 * KIB
    assert sum(map(len, text.values())) < 100 * KIB


def test_a_volume_is_uploaded_from_its_first_mebibyte_on_and_ends_near_its_size() -> None:
    started: list[Volume] = []
    packer = Packer("none", lambda n: f"v00/{n}.tar", started.append, Budget(MEMORY_BUDGET), volume_size=4 * MIB)

    packer.add(entry(0), NOISE[: 512 * KIB], "")
    assert started == []
    packer.add(entry(1), NOISE[: 512 * KIB], "")
    assert len(started) == 1
    for number in range(7):
        packer.add(entry(number), NOISE[: 512 * KIB], "")
    packer.close_volume()

    assert [4 * MIB <= volume.size < 5 * MIB for volume in started] == [True, False]


def test_a_volume_that_gets_nothing_for_a_while_is_ended() -> None:
    now = [0.0]
    started: list[Volume] = []
    packer = Packer("none", lambda n: f"v00/{n}.tar", started.append, Budget(MEMORY_BUDGET), clock=lambda: now[0])
    packer.add(entry(0), b"content", "")

    packer.tick()
    assert started == []
    now[0] = 60.0
    packer.tick()

    assert len(started) == 1
    assert b"content" in b"".join(bytes(piece) for piece in started[0].chunks())


def test_no_more_than_the_budget_is_held_and_released_bytes_are_free_again() -> None:
    budget = Budget(4 * MIB)
    uploads = threading.Semaphore(0)
    started: list[Volume] = []

    def start(volume: Volume) -> None:
        started.append(volume)
        uploads.release()

    packer = Packer("none", lambda n: f"v00/{n}.tar", start, budget, volume_size=2 * MIB)
    added: list[int] = []

    def produce() -> None:
        for number in range(20):
            packer.add(entry(number), NOISE[:MIB], "")
            added.append(number)
        packer.close_volume()

    producer = threading.Thread(target=produce)
    producer.start()
    sent = 0
    for number in range(10):
        uploads.acquire()
        sent += sum(len(piece) for piece in started[number].chunks())
        assert len(added) <= 2 * number + 4
        started[number].release()
    producer.join()

    assert sent == sum(volume.size for volume in started) > 20 * MIB


def test_a_failed_upload_frees_who_waits_for_memory() -> None:
    budget = Budget(MIB)
    budget.take(MIB)
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            budget.take(1)
        except ZeroDivisionError as error:
            failed.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    budget.fail(ZeroDivisionError())
    waiting.join(timeout=10)

    assert len(failed) == 1


def test_who_gives_up_stops_whoever_reads_a_volume() -> None:
    started: list[Volume] = []
    packer = Packer("gzip", lambda n: f"v00/{n}.tar.gz", started.append, Budget(MEMORY_BUDGET))
    packer.add(entry(0), NOISE[: 2 * MIB], "")
    failed: list[BaseException | None] = []

    def read() -> None:
        try:
            list(started[0].chunks())
        except BackupError as error:
            failed.append(error.__cause__)

    reader = threading.Thread(target=read)
    reader.start()
    reason = ZeroDivisionError()
    packer.give_up(reason)
    reader.join(timeout=10)

    assert failed == [reason]


def test_a_segment_always_fits_into_memory() -> None:
    assert volumes.WHOLE_FILE_LIMIT + 64 * KIB < MEMORY_BUDGET
    assert volumes.SEGMENT_SIZE <= volumes.WHOLE_FILE_LIMIT
