# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: tar streams whose every segment is found where its place says, however it was packed, in bounded memory."""

from __future__ import annotations

import gc
import hashlib
import io
import itertools
import os
import random
import resource
import stat
import subprocess
import tarfile
import threading
import typing as t
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError, LocalError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import tar
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.frames import unpack
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.uploads import Uploads
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import (
    MEMORY_BUDGET,
    SUFFIXES,
    Budget,
    PackedVolume,
    Packer,
    PendingPlace,
    Volume,
)
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KIB = 1024
MIB = 1024 * KIB
CHANCE = random.Random(5)
NOISE = CHANCE.randbytes(9 * MIB)
TEXT = b"all work and no play " * 200_000
SIZES = st.one_of(
    st.integers(1, 2000), st.sampled_from([511, 512, 513, 4096, 100_000, MIB - 512, MIB, MIB + 1, 3 * MIB, 8 * MIB])
)
UNPACKERS = {"none": ["cat"], "gzip": ["gzip", "-d", "-c"], "zstd": ["zstd", "-d", "-c", "-q"]}

each_compression = pytest.mark.parametrize("compression", SUFFIXES)


def entry(number: int, name: bytes = b"") -> Entry:
    return Entry(name or b"/srv/%d" % number, "f", 0o640, 1000, 2**31, "root", "root", 1_700_000_000 * 10**9 + 5)


def name_of(compression: str) -> t.Callable[[int], str]:
    return lambda number: f"v00/{number:06d}{SUFFIXES[compression]}"


def stored_bytes(volume: Volume) -> bytes:
    return b"".join(bytes(piece) for piece in volume.chunks())


def packed(
    compression: str, contents: Sequence[bytes], volume_size: int = 32 * MIB, spool: Path | None = None
) -> tuple[dict[str, bytes], list[PendingPlace]]:
    """Pack *contents* and return the bytes of every volume, and where each content lies."""
    started: list[Volume] = []
    packer = Packer(
        compression,
        name_of(compression),
        started.append,
        Budget(MEMORY_BUDGET),
        volume_size=volume_size,
        spool=spool,
        with_digests=True,
    )
    places = [
        packer.add(entry(number), content, hashlib.sha256(content).hexdigest())
        for number, content in enumerate(contents)
    ]
    packer.close_volume()
    stored = {volume.name: stored_bytes(volume) for volume in started}
    assert stored == {volume.name: stored_bytes(volume) for volume in started}
    assert [volume.size for volume in started] == [len(content) for content in stored.values()]
    assert [volume.digest for volume in started] == [hashlib.sha256(c).hexdigest() for c in stored.values()]
    packer.stop()
    assert [volume.checksum for volume in started] == [zlib.crc32(content) for content in stored.values()]
    assert packer.volumes == [PackedVolume(v.name, v.size, v.content, v.checksum) for v in started]
    assert packer.content == sum(volume.content for volume in started) == sum(map(len, contents))
    return stored, places


@each_compression
@pytest.mark.parametrize("is_spooled", [False, True])
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=12),
    repeats=st.booleans(),
    volume_size=st.sampled_from([2 * MIB, 32 * MIB]),
)
@settings(max_examples=20, deadline=None)
def test_every_content_lies_where_its_place_says(
    tmp_path_factory: pytest.TempPathFactory,
    compression: str,
    is_spooled: bool,  # noqa: FBT001 - given by pytest
    sizes: list[int],
    repeats: bool,  # noqa: FBT001 - given by hypothesis
    volume_size: int,
) -> None:
    contents = [(b"text " * size)[:size] if repeats else NOISE[size % 7 : size % 7 + size] for size in sizes]
    spool = tmp_path_factory.getbasetemp() if is_spooled else None

    stored, places = packed(compression, contents, 64 * MIB if is_spooled else volume_size, spool)

    for content, pending in zip(contents, places):
        place = pending.place(with_digest=True)
        frame = stored[place.volume][place.offset : place.offset + place.length]
        assert unpack(place.volume, memoryview(frame))[place.start : place.start + place.size] == content
        assert place.digest == hashlib.sha256(content).hexdigest()


@each_compression
def test_volumes_strung_together_are_one_tar_archive(compression: str, tmp_path: Path) -> None:
    contents = [NOISE[: 300 * KIB * number] if number % 3 else TEXT[: 300 * KIB * number] for number in range(1, 12)]

    stored, _places = packed(compression, contents, 2 * MIB)

    assert len(stored) > 3
    stream = subprocess.run(
        UNPACKERS[compression], input=b"".join(stored.values()), stdout=subprocess.PIPE, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-i", "--no-same-owner", "-C", tmp_path], input=stream, check=True)
    assert [(tmp_path / "srv" / str(number)).read_bytes() for number in range(11)] == contents
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        members = archive.getmembers()
    assert {(m.mode, m.uid, m.gid, m.mtime, m.uname) for m in members} == {(0o640, 1000, 2**31, 1_700_000_000, "root")}


@pytest.mark.parametrize(
    "name", [b"/short", b"/" + b"x" * 99, b"/" + b"\xff" * 100, b"/" + b"d/" * 300 + b"x", b"/\xff\n"]
)
def test_names_of_any_length_stand_in_the_tar_stream(name: bytes) -> None:
    started: list[Volume] = []
    packer = Packer("none", name_of("none"), started.append, Budget(MEMORY_BUDGET))

    packer.add(entry(0, name), b"content", "", part=0)
    packer.add(entry(0, name), b"piece", "", part=12)
    packer.add(entry(0, name)._replace(extents=((4096, 4),)), b"some", "", part=1)
    packer.close_volume()

    with tarfile.open(fileobj=io.BytesIO(stored_bytes(started[0])), errors="surrogateescape") as archive:
        found = [member.name.encode("utf-8", "surrogateescape") for member in archive.getmembers()]
    assert found == [name[1:], name[1:] + b".part-000012", name[1:] + b".sparse-000001"]


@given(
    name=st.binary(min_size=1, max_size=100).filter(lambda name: b"\0" not in name and not name.endswith(b"/")),
    numbers=st.tuples(*[st.sampled_from([0, 1, 1000, 2**21 - 1, 2**21, 2**32 - 1])] * 2),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(-5, 8**11 + 5),
    size=st.integers(0, 8 * MIB),
    user=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=7),
)
@settings(deadline=None)
def test_a_header_says_to_other_programs_what_it_was_made_of(
    name: bytes, numbers: tuple[int, int], mode: int, mtime: int, size: int, user: str
) -> None:
    header = tar.header(name, size, mode=mode, uid=numbers[0], gid=numbers[1], mtime=mtime, user=user, group="wheel")

    found = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")

    assert found.name.encode("utf-8", "surrogateescape") == name
    assert (found.size, found.mode, found.uid, found.gid) == (size, mode, *numbers)
    assert found.mtime == (mtime if 0 <= mtime < 8**11 else 0)
    assert (found.uname, found.gname) == (user, "wheel")


def test_what_cannot_be_compressed_is_stored_and_what_can_is_not() -> None:
    for compression in ("gzip", "zstd"):
        noise, _places = packed(compression, [NOISE[: 4 * MIB]])
        text, _places = packed(compression, [TEXT])

        assert 4 * MIB < sum(map(len, noise.values())) < 4 * MIB + 64 * KIB
        assert sum(map(len, text.values())) < 100 * KIB


def test_a_volume_is_uploaded_from_its_first_mebibyte_on_and_ends_near_its_size() -> None:
    started: list[Volume] = []
    packer = Packer("none", name_of("none"), started.append, Budget(MEMORY_BUDGET), volume_size=4 * MIB)

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
    packer = Packer("none", name_of("none"), started.append, Budget(MEMORY_BUDGET), clock=lambda: now[0])
    packer.add(entry(0), b"content", "")

    packer.tick()
    assert started == []
    now[0] = 60.0
    packer.tick()

    assert len(started) == 1
    assert b"content" in stored_bytes(started[0])


def test_a_volume_tells_how_much_content_is_in_it_and_how_much_it_takes() -> None:
    started: list[Volume] = []
    packer = Packer("gzip", name_of("gzip"), started.append, Budget(MEMORY_BUDGET), volume_size=MIB)

    for size in (700 * KIB, 600 * KIB, 5):
        packer.add(entry(0), TEXT[:size], "")
    packer.close_volume()
    packer.stop()

    assert [volume.content for volume in packer.volumes] == [1300 * KIB, 5]
    assert [volume.size for volume in packer.volumes] == [len(stored_bytes(volume)) for volume in started]
    assert packer.content == 1300 * KIB + 5


def test_volumes_that_were_released_are_still_known_by_their_sizes() -> None:
    started: list[Volume] = []
    packer = Packer("none", name_of("none"), started.append, Budget(4 * MIB), volume_size=MIB)

    for number in range(20):
        packer.add(entry(number), NOISE[:MIB], "")
        started.pop().release()
    packer.close_volume()

    assert len({volume.name for volume in packer.volumes}) == 20
    assert {volume.content for volume in packer.volumes} == {MIB}
    assert len(packer._unfinished) < 3


@each_compression
@pytest.mark.parametrize("with_digests", [False, True])
@pytest.mark.parametrize("size", [1, 700 * KIB, 2 * MIB])
def test_what_is_no_bytes_may_be_changed_once_it_is_added(
    compression: str,
    with_digests: bool,  # noqa: FBT001 - given by pytest
    size: int,
) -> None:
    started: list[Volume] = []
    packer = Packer(compression, name_of(compression), started.append, Budget(MEMORY_BUDGET), with_digests=with_digests)
    buffer = bytearray(size)

    places = []
    for number in range(4):
        buffer[:] = NOISE[number : number + size]
        places.append(packer.add(entry(number), memoryview(buffer), "").place)
    buffer[:] = bytes(size)
    packer.close_volume()
    packer.stop()

    (volume,) = started
    stored = stored_bytes(volume)
    for number, place in enumerate(pending(with_digest=False) for pending in places):
        frame = stored[place.offset : place.offset + place.length]
        content = unpack(place.volume, memoryview(frame))[place.start : place.start + size]
        assert content == NOISE[number : number + size]


# memory


class Producer(threading.Thread):
    """Adds *contents* to *packer*; *added* counts how many, and *error* is what ended it."""

    def __init__(self, packer: Packer, contents: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self.packer = packer
        self.contents = contents
        self.added = 0
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for content in self.contents:
                self.packer.add(entry(self.added), content, "")
                self.added += 1
            self.packer.close_volume()
        except BackupError as error:
            self.error = error

    def ends(self) -> bool:
        self.join(timeout=60)
        return not self.is_alive()


def test_no_more_than_the_budget_is_held_and_released_bytes_are_free_again() -> None:
    uploads = threading.Semaphore(0)
    started: list[Volume] = []

    def start(volume: Volume) -> None:
        started.append(volume)
        uploads.release()

    packer = Packer("none", name_of("none"), start, Budget(8 * MIB), volume_size=2 * MIB)
    producer = Producer(packer, [NOISE[:MIB]] * 20)
    sent = 0
    for number in range(10):
        uploads.acquire()
        sent += sum(len(piece) for piece in started[number].chunks())
        assert producer.added <= 2 * number + 8
        started[number].release()

    assert producer.ends()
    assert sent == sum(volume.size for volume in started) > 20 * MIB


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_is_compressed_takes_no_more_memory_than_that(compression: str) -> None:
    started: list[Volume] = []
    packer = Packer(compression, name_of(compression), started.append, Budget(12 * MIB), volume_size=8 * MIB)

    producer = Producer(packer, [TEXT[:MIB]] * 40)

    assert producer.ends()
    packer.stop()
    assert sum(volume.content for volume in started) == 40 * MIB


@each_compression
def test_without_a_spool_a_large_volume_ends_before_it_holds_all_memory(compression: str) -> None:
    storage, budget = FakeStorage(), Budget(32 * MIB)
    uploads = Uploads(storage, PurePosixPath("s01"), budget, 1)
    packer = Packer(compression, name_of(compression), uploads.start, budget, volume_size=1024 * MIB)

    producer = Producer(packer, [NOISE[: 4 * MIB]] * 20)

    assert producer.ends()
    sizes = uploads.finish()
    assert sum(volume.content for volume in packer.volumes) == 80 * MIB
    assert len(sizes) > 3
    assert max(sizes.values()) <= 16 * MIB


@each_compression
@given(
    sizes=st.lists(st.sampled_from([1000, MIB, 3 * MIB, 8 * MIB]), min_size=4, max_size=14),
    volume_size=st.sampled_from([MIB, 5 * MIB, 32 * MIB, 1024 * MIB]),
    memory=st.sampled_from([1, 9, 20]),
    side_by_side=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_the_largest_segment_always_comes_through_whatever_else_is_held(
    compression: str, sizes: list[int], volume_size: int, memory: int, side_by_side: int
) -> None:
    budget = Budget(memory * MIB)
    uploads = Uploads(FakeStorage(), PurePosixPath("s01"), budget, side_by_side)
    packer = Packer(compression, name_of(compression), uploads.start, budget, volume_size=volume_size)

    producer = Producer(packer, [NOISE[:size] for size in sizes])

    assert producer.ends()
    assert uploads.finish().keys() == {volume.name for volume in packer.volumes}
    assert packer.content == sum(sizes)


def test_a_large_segment_waits_for_volumes_in_flight_and_for_no_other() -> None:
    started: list[Volume] = []
    packer = Packer("none", name_of("none"), started.append, Budget(20 * MIB), volume_size=4 * MIB)
    for number in range(13):
        packer.add(entry(number), NOISE[:MIB], "")
    assert [volume.held > 4 * MIB for volume in started] == [True, True, True, False]

    producer = Producer(packer, [NOISE[: 8 * MIB]])
    for volume in started[:3]:
        assert len(stored_bytes(volume)) == volume.size
        volume.release()

    assert producer.ends()
    assert producer.added == 1


def test_a_volume_whose_upload_has_caught_up_is_ended_when_memory_does_not_come() -> None:
    every_look_is_late = itertools.count(0, 60).__next__
    started: list[Volume] = []
    packer = Packer(
        "none", name_of("none"), started.append, Budget(8 * MIB), volume_size=5 * MIB, clock=every_look_is_late
    )
    for number in range(6):
        packer.add(entry(number), NOISE[: MIB - tar.BLOCK], "")  # with its header, what memory is kept in pieces of
    slow, caught_up = started
    producer = Producer(packer, [NOISE[: 2 * MIB]])

    assert len(stored_bytes(caught_up)) == caught_up.size
    assert producer.added == 0

    slow.release()
    assert producer.ends()
    assert producer.added == 1


def test_a_failed_upload_frees_who_waits_for_memory() -> None:
    budget = Budget(MIB)
    budget.take(MIB)
    beside = budget.beside(1)
    beside.take(1)
    failed: list[BaseException] = []

    def wait(waited_for: Budget) -> None:
        try:
            waited_for.take(1)
        except ZeroDivisionError as error:
            failed.append(error)

    waiting = [threading.Thread(target=wait, args=[waited_for]) for waited_for in (budget, beside)]
    for thread in waiting:
        thread.start()
    budget.fail(ZeroDivisionError())
    for thread in waiting:
        thread.join(timeout=10)

    assert len(failed) == 2


def test_who_has_no_patience_left_is_told_so_and_holds_nothing() -> None:
    budget = Budget(2)
    budget.take(1)

    assert not budget.take(2, patience=0.0)

    assert budget.take(1, patience=0.0)


def test_more_than_there_is_may_be_taken_by_whoever_is_alone() -> None:
    budget = Budget(10)

    assert budget.take(100)
    assert not budget.take(1, patience=0.0)
    budget.give(100)

    assert budget.take(1, patience=0.0)


def test_who_gives_up_stops_whoever_reads_a_volume() -> None:
    started: list[Volume] = []
    packer = Packer("gzip", name_of("gzip"), started.append, Budget(MEMORY_BUDGET))
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


# the spool


def nameless_files(directory: Path) -> list[os.stat_result]:
    """Return the files of *directory* that this process has open and that have no name any more."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that by which the directory is read is closed by now
            name = os.fspath(descriptor.readlink())
            if name.startswith(f"{directory}/") and name.endswith("(deleted)"):
                found.append(descriptor.stat())
    return found


@each_compression
def test_large_volumes_are_kept_in_private_files_that_nobody_can_find(compression: str, tmp_path: Path) -> None:
    started: list[Volume] = []
    spool = tmp_path / "state"
    packer = Packer(
        compression, name_of(compression), started.append, Budget(8 * MIB), volume_size=32 * MIB, spool=spool
    )
    contents = [NOISE[: 3 * MIB]] * 25

    for number, content in enumerate(contents):
        packer.add(entry(number), content, "")
    packer.close_volume()
    packer.stop()

    assert len(started) == 3
    assert list(spool.iterdir()) == []
    files = nameless_files(spool)
    assert {stat.S_IMODE(file.st_mode) for file in files} == {0o600}
    assert sorted(file.st_size for file in files) == sorted(volume.size for volume in started)
    assert {volume.held for volume in started} == {0}
    assert all(len(stored_bytes(volume)) == volume.size for volume in started * 2)
    for volume in started:
        volume.release()
    assert nameless_files(spool) == []


def test_volumes_of_which_several_fit_into_memory_are_not_spooled(tmp_path: Path) -> None:
    packer = Packer(
        "none", name_of("none"), lambda _volume: None, Budget(8 * MIB), volume_size=2 * MIB, spool=tmp_path / "state"
    )

    packer.add(entry(0), b"content", "")
    packer.close_volume()

    assert not (tmp_path / "state").exists()


def test_no_more_than_a_few_volumes_are_spooled_at_a_time(tmp_path: Path) -> None:
    started: list[Volume] = []
    has_started = threading.Semaphore(0)

    def start(volume: Volume) -> None:
        started.append(volume)
        has_started.release()

    packer = Packer("none", name_of("none"), start, Budget(4 * MIB), volume_size=2 * MIB, spool=tmp_path)
    producer = Producer(packer, [NOISE[:MIB]] * 20)

    for number in range(10):
        has_started.acquire()
        assert len(stored_bytes(started[number])) == started[number].size
        assert len(nameless_files(tmp_path)) <= 4
        assert len(started) <= number + 4
        started[number].release()

    assert producer.ends()


def test_a_spool_that_was_given_up_is_closed(tmp_path: Path) -> None:
    packer = Packer("gzip", name_of("gzip"), lambda _volume: None, Budget(MIB), volume_size=2 * MIB, spool=tmp_path)
    packer.add(entry(0), NOISE[: 512 * KIB], "")
    packer.close_frame()
    packer.give_up(ZeroDivisionError())
    assert len(nameless_files(tmp_path)) == 1

    del packer
    gc.collect()

    assert nameless_files(tmp_path) == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let nothing write more than *size* bytes to a file: the kernel's answer to a full disk, but for its words."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@each_compression
def test_a_full_disk_is_told_in_one_sentence_that_names_the_directory(compression: str, tmp_path: Path) -> None:
    budget = Budget(4 * MIB)
    uploads = Uploads(FakeStorage(), PurePosixPath("s01"), budget, 2)
    packer = Packer(
        compression, name_of(compression), uploads.start, budget, volume_size=32 * MIB, spool=tmp_path / "state"
    )
    sentence = f"Cannot keep a volume in {tmp_path}/state until it is uploaded: File too large."

    with files_of_at_most(5 * MIB):
        producer = Producer(packer, [NOISE[:MIB]] * 20)
        assert producer.ends()
    packer.give_up(producer.error or AssertionError())

    with pytest.raises(LocalError) as told:
        uploads.finish()
    assert str(told.value) == str(producer.error) == sentence


def test_a_directory_that_cannot_be_written_to_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    packer = Packer(
        "none", name_of("none"), lambda _volume: None, Budget(MIB), volume_size=MIB, spool=tmp_path / "state"
    )

    with pytest.raises(LocalError, match=rf"^Cannot [a-z ]+ {tmp_path}/state"):
        packer.add(entry(0), b"content", "")
