# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content comes from archives and directories: in few transfers, in order, and what cannot be had is told."""

from __future__ import annotations

import gzip
import random
import threading
import typing as t
from contextlib import contextmanager
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel import source as source_module
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.limits import KIB, MIB
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.source import open_source
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    MissingError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.stretches import Stretch
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path, Reader

PATH = PurePosixPath("2026-11-20/accounts/web01")
CONTENT = random.Random(1).randbytes(5 * MIB)
FORMS = ("tar", "tar.gz", "directory")


def nothing(_path: Path, _offset: int) -> None:
    """Let a transfer be."""


class Watched(FakeStorage):
    """A storage that notes each transfer and how many there are at a time; *hook* is called before each one."""

    def __init__(self) -> None:
        super().__init__()
        self.transfers: list[tuple[str, int, int | None]] = []
        self.asked: list[int] = []
        self.most = self.now = 0
        self.hook: Callable[[Path, int], None] = nothing
        self.counting = threading.Lock()

    def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        with self.counting:
            self.asked.append(len(paths))
        return super().sizes(paths)

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        self.hook(path, offset)
        with self.counting:
            self.transfers.append((path.name, offset, length))
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            with super().open(path, offset, length) as reader:
                yield reader
        finally:
            with self.counting:
                self.now -= 1


class Brought:
    """What came of *stretches*; it may stop what brings them by raising *stop* after so many pieces."""

    def __init__(self, stretches: Iterable[Stretch], stop: BackupError | None = None, after: int = 0) -> None:
        self.content: dict[Stretch, bytearray] = {}
        self.lost: dict[Stretch, str] = {}
        self.threads: set[int] = set()
        self._stretches = list(stretches)
        self._stop = stop
        self._after = after

    def take(self, stretch: Stretch, piece: memoryview) -> None:
        self.threads.add(threading.get_ident())
        if self._stop is not None and len(self.content) >= self._after:
            raise self._stop
        assert piece
        self.content.setdefault(stretch, bytearray()).extend(piece)

    def lose(self, stretch: Stretch, reason: BackupError) -> None:
        assert stretch not in self.lost
        self.threads.add(threading.get_ident())
        self.lost[stretch] = str(reason)

    def bring(
        self, storage: FakeStorage, form: str = "tar", side_by_side: int = 3, *, restarts: bool = True
    ) -> Brought:
        source = open_source(storage, PATH, form, side_by_side, restarts=restarts)
        source.bring(iter(self._stretches), self.take, self.lose)
        return self

    def assert_right(self, content: Callable[[Stretch], bytes]) -> None:
        for stretch in self._stretches:
            if stretch not in self.lost:
                assert self.content[stretch] == content(stretch), stretch


def of_archive(stretch: Stretch) -> bytes:
    return CONTENT[stretch.offset : stretch.offset + stretch.size]


def of_directory(stretch: Stretch) -> bytes:
    begin = int(stretch.volume[1:]) * 1000
    return CONTENT[begin : begin + stretch.size]


def laid(form: str) -> tuple[Watched, list[Stretch], Callable[[Stretch], bytes]]:
    """Lay a backup, and return some stretches of it and what their content is."""
    storage = Watched()
    if form == "directory":
        stretches = [Stretch(f"f{n:03d}", 0, 100 + n) for n in range(40)]
        storage.directories |= {*PATH.parents, PATH}
        for stretch in stretches:
            storage.files[PATH / stretch.volume] = of_directory(stretch)
        return storage, stretches, of_directory
    storage.files[PATH] = gzip.compress(CONTENT, 1) if form == "tar.gz" else CONTENT
    return storage, [Stretch("", 512 + n * 320_000, 50 + n * 2000) for n in range(16)], of_archive


# -- what is right


@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_all_that_is_wanted_comes_and_nothing_else(form: str, side_by_side: int) -> None:
    storage, stretches, content = laid(form)

    brought = Brought(stretches).bring(storage, form, side_by_side)

    brought.assert_right(content)
    assert (list(brought.content) == stretches) or side_by_side > 1
    assert set(brought.content) == set(stretches)
    assert brought.lost == {}
    assert brought.threads == {threading.get_ident()}
    assert storage.now == 0


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_asked_of_the_storage_if_nothing_is_wanted(form: str) -> None:
    storage, _stretches, _content = laid(form)

    assert Brought([]).bring(storage, form).content == {}
    assert (storage.transfers, storage.asked) == ([], [])


@pytest.mark.parametrize("size", [1, 7, 4096, 5 * MIB])
@pytest.mark.parametrize("chunk", [1000, MIB])
@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_stretches_come_whole_however_they_are_cut(
    monkeypatch: pytest.MonkeyPatch, form: str, chunk: int, size: int
) -> None:
    monkeypatch.setattr(source_module, "_CHUNK", chunk)
    storage, _stretches, content = laid(form)
    count = min(2000, len(CONTENT) // size)

    brought = Brought([Stretch("", n * size, size) for n in range(count)]).bring(storage, form)

    brought.assert_right(content)
    assert brought.lost == {}


def test_neighbours_come_in_one_transfer_and_others_do_not() -> None:
    storage = Watched()
    storage.files[PATH] = CONTENT
    near = [Stretch("", 0, 100), Stretch("", 100, 50), Stretch("", 150 + 256 * KIB, 10)]
    far = [Stretch("", 150 + 256 * KIB + 10 + 256 * KIB + 1, 1000)]

    Brought([*near, *far]).bring(storage).assert_right(of_archive)

    end = near[-1].offset + near[-1].size
    assert sorted(storage.transfers) == [("web01", 0, end), ("web01", far[0].offset, 1000)]


def test_a_long_run_is_shared_by_several_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_RUN_SIZE", MIB)
    storage = Watched()
    storage.files[PATH] = CONTENT
    meeting = threading.Barrier(2, timeout=60)

    def meet(_path: Path, offset: int) -> None:
        if offset < 2 * MIB:
            meeting.wait()

    storage.hook = meet
    stretches = [Stretch("", offset, 64 * KIB) for offset in range(0, len(CONTENT), 64 * KIB)]
    Brought(stretches).bring(storage, side_by_side=2).assert_right(of_archive)

    assert not meeting.broken  # two were at work at a time
    assert storage.most <= 2
    assert len(storage.transfers) == 5


def test_an_archive_is_read_in_one_pass_where_no_transfer_can_begin_in_the_middle() -> None:
    storage, stretches, content = laid("tar")

    Brought(stretches).bring(storage, restarts=False).assert_right(content)

    assert [offset for _name, offset, _length in storage.transfers] == [0]


@pytest.mark.parametrize("side_by_side", [1, 4])
def test_a_packed_archive_is_read_in_one_pass_that_ends_with_what_is_wanted_last(side_by_side: int) -> None:
    storage, _stretches, content = laid("tar.gz")

    brought = Brought([Stretch("", 1000, 10), Stretch("", 2 * MIB, 1000)]).bring(storage, "tar.gz", side_by_side)

    brought.assert_right(content)
    assert len(storage.transfers) == 1
    assert storage.bytes_received < len(storage.files[PATH]) * 3 // 4


def test_the_sizes_of_many_files_are_asked_for_at_once() -> None:
    storage, stretches, _content = laid("directory")

    Brought(stretches).bring(storage, "directory")

    assert sorted(storage.asked) == [8, 16, 16]
    assert len(storage.transfers) == 40


def test_a_nested_archive_in_a_directory_is_read_in_ranges() -> None:
    storage, _stretches, _content = laid("directory")
    storage.files[PATH / "homedir.tar"] = CONTENT
    stretches = [Stretch("homedir.tar", 512, 1000), Stretch("homedir.tar", 4 * MIB, 1000)]

    brought = Brought(stretches).bring(storage, "directory")

    brought.assert_right(of_archive)
    assert sorted(storage.transfers) == [("homedir.tar", 512, 1000), ("homedir.tar", 4 * MIB, 1000)]


class Measured(Watched):
    """A storage that knows how much was read, and tells where that is more than *limit* bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.read_so_far = 0
        self.has_passed_limit = threading.Event()
        self._limit = limit

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        with super().open(path, offset, length) as reader:
            yield Measuring(reader, self)

    def count(self, size: int) -> None:
        with self.counting:
            self.read_so_far += size
            if self.read_so_far > self._limit:
                self.has_passed_limit.set()


class Measuring:
    def __init__(self, reader: Reader, storage: Measured) -> None:
        self._reader = reader
        self._storage = storage

    def read(self, size: int) -> memoryview:
        content = self._reader.read(size)
        self._storage.count(len(content))
        return content


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_little_is_read_ahead_of_who_takes_it(form: str) -> None:
    storage = Measured(10 * MIB)
    chunk = random.Random(2).randbytes(MIB)
    storage.files[PATH] = gzip.compress(chunk * 40, 0) if form == "tar.gz" else chunk * 40
    stretches = [Stretch("", offset, MIB) for offset in range(0, 40 * MIB, MIB)]
    waited: list[bool] = []

    class Slow(Brought):
        def take(self, stretch: Stretch, piece: memoryview) -> None:
            if not waited:
                waited.append(storage.has_passed_limit.wait(0.5))
            super().take(stretch, piece)

    Slow(stretches).bring(storage, form, 2).assert_right(lambda _stretch: chunk)

    assert waited == [False]
    assert storage.read_so_far >= 40 * MIB


# -- what ends it


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_raised_by_who_takes_it_ends_all_transfers(form: str, after: int) -> None:
    storage, stretches, _content = laid(form)
    brought = Brought(stretches, DamageError("enough"), after)

    with pytest.raises(DamageError, match="enough"):
        brought.bring(storage, form)

    assert len(brought.content) == after
    assert storage.now == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bring")]


@pytest.mark.parametrize("form", FORMS)
def test_a_backup_that_is_gone_is_told_in_one_sentence(form: str) -> None:
    _storage, stretches, _content = laid(form)

    with pytest.raises(MissingError) as raised:
        Brought(stretches).bring(FakeStorage(), form)

    assert str(raised.value) == (
        f"The backup {PATH} is gone from the destination since it was indexed: run reindex, and choose among what there"
        " is now."
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_backup_that_goes_while_it_is_read_is_told_as_well(form: str) -> None:
    storage, stretches, _content = laid(form)

    def vanish(_path: Path, _offset: int) -> None:
        if form == "tar.gz" or len(storage.transfers) > 5:
            storage.files.clear()
            storage.directories.clear()

    storage.hook = vanish
    with pytest.raises(MissingError, match="is gone from the destination since it was indexed"):
        Brought(stretches).bring(storage, form, 1)


@pytest.mark.parametrize("form", FORMS)
def test_a_storage_that_cannot_be_reached_any_more_ends_it(form: str) -> None:
    storage, stretches, _content = laid(form)

    class GivenUpError(UnreachableError):
        is_final = True

    def refuse(_path: Path, _offset: int) -> None:
        raise GivenUpError("No connection could be made.")

    storage.hook = refuse
    with pytest.raises(GivenUpError):
        Brought(stretches).bring(storage, form)


# -- what is lost


def test_a_run_that_cannot_be_read_costs_itself_only() -> None:
    storage = Watched()
    storage.files[PATH] = CONTENT
    stretches = [Stretch("", n * MIB, 1000) for n in range(5)]

    def refuse(_path: Path, offset: int) -> None:
        if offset == 2 * MIB:
            raise RefusedError("Not now.")

    storage.hook = refuse
    brought = Brought(stretches).bring(storage)

    brought.assert_right(of_archive)
    assert brought.lost == {stretches[2]: "Not now."}


def test_an_archive_that_is_shorter_than_it_was_costs_what_is_not_there() -> None:
    storage = Watched()
    storage.files[PATH] = CONTENT[: 2 * MIB + 1500]
    stretches = [Stretch("", 0, 1000), *(Stretch("", 2 * MIB + n * 1000, 1000) for n in range(4))]

    brought = Brought(stretches).bring(storage)

    brought.assert_right(of_archive)
    assert list(brought.lost) == stretches[1:]
    for reason in brought.lost.values():
        assert "it is cut off, or was replaced meanwhile" in reason


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damage_to_a_packed_archive_costs_all_that_was_not_read_yet(damage: str) -> None:
    storage, stretches, content = laid("tar.gz")
    stored = bytearray(storage.files[PATH])
    half = len(stored) // 2
    if damage == "cut":
        del stored[half:]
    else:
        stored = bytearray(gzip.compress(CONTENT[: len(CONTENT) // 2], 1))
    storage.files[PATH] = bytes(stored)

    brought = Brought(stretches).bring(storage, "tar.gz")

    brought.assert_right(content)
    assert 5 < len(brought.lost) < 12
    assert list(brought.lost) == stretches[-len(brought.lost) :]
    assert len(set(brought.lost.values())) == 1
    assert brought.lost[stretches[-1]].startswith("the backup is damaged before it ends: it ")
    assert len(storage.transfers) == 1


def test_a_transfer_of_a_packed_archive_that_breaks_for_good_costs_the_rest() -> None:
    storage, stretches, _content = laid("tar.gz")

    def refuse(_path: Path, _offset: int) -> None:
        raise InterruptedTransferError("It broke.")

    storage.hook = refuse
    brought = Brought(stretches).bring(storage, "tar.gz")

    assert brought.lost == dict.fromkeys(stretches, "It broke.")


def test_a_file_that_is_another_than_it_was_costs_itself_only() -> None:
    storage, stretches, content = laid("directory")
    storage.files[PATH / stretches[3].volume] += b"longer"
    storage.files[PATH / stretches[5].volume] = b"shorter"
    del storage.files[PATH / stretches[7].volume]

    brought = Brought(stretches).bring(storage, "directory")

    brought.assert_right(content)
    changed = "it is not what it was when the backup was indexed: it was changed since; run reindex"
    gone = "it is not in the backup any more, which was changed since it was indexed; run reindex"
    assert brought.lost == {stretches[3]: changed, stretches[5]: changed, stretches[7]: gone}
    assert set(brought.content) == set(stretches) - set(brought.lost)


def test_sizes_that_cannot_be_asked_for_cost_their_files_only() -> None:
    storage, stretches, content = laid("directory")
    refused: list[int] = []

    class Refusing(Watched):
        def sizes(self, paths: Sequence[Path]) -> list[int | None]:
            if not refused:
                refused.append(len(paths))
                raise RefusedError("Not now.")
            return super().sizes(paths)

    refusing = Refusing()
    refusing.files, refusing.directories = storage.files, storage.directories
    brought = Brought(stretches).bring(refusing, "directory", 1)

    brought.assert_right(content)
    assert brought.lost == dict.fromkeys(stretches[:16], "Not now.")
