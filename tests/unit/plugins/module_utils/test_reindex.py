# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reindex finds what lies on the destination, and touches the old index only when it has a better one."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import typing as t
from contextlib import closing, contextmanager

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.catalog import update_job
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    InterruptedTransferError,
    LockedError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.index_file import writer_lock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import FILES, Part
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import locked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from tests.outcomes import told, without_run
from tests.unit.indexing_host import Host
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_job import StoredJob, file, other

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import ManifestReader
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path as RemotePath
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import RemoteEntry

NOTHING = {"new": 0, "updated": 0, "gone": 0, "unchanged": 0, "unreadable": []}


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def host(tmp_path: Path, storage: FakeStorage) -> Host:
    return Host(tmp_path, storage)


def counts(outcome: Outcome) -> tuple[int, int, int, int]:
    """Return how many restore points are new, updated, gone and unchanged."""
    values = outcome.values
    return values["new"], values["updated"], values["gone"], values["unchanged"]


def test_a_host_that_never_saw_the_destination_finds_everything(host: Host, storage: FakeStorage) -> None:
    for client, name in (("web01", "nightly"), ("web01", "hourly"), ("db01", "nightly")):
        job = StoredJob(storage, client, name)
        job.add(file("/srv/a", "one"))
        job.add(file("/srv/a", "two"))

    outcome = host.reindex()

    assert outcome.changed
    assert without_run(outcome.values) == {**NOTHING, "new": 6, "job_count": 3, "point_count": 6}
    assert sorted(host.points()) == [
        (client, name, seq)
        for client, name in (("db01", "nightly"), ("web01", "hourly"), ("web01", "nightly"))
        for seq in (1, 2)
    ]


def test_an_empty_destination_gives_an_empty_index(host: Host) -> None:
    assert host.reindex().changed
    assert not host.reindex().changed
    assert host.answer() == {"points": [], "truncated": False}


def test_it_tells_what_is_new_and_what_is_gone(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a"))
    job.add(file("/srv/a"))
    host.reindex()
    job.remove(1)
    job.add(file("/srv/a"))

    outcome = host.reindex()

    assert counts(outcome) == (1, 0, 1, 1)
    assert outcome.before == ("web01 nightly 000001 20261102t030000z-000001",)
    assert outcome.after == ("web01 nightly 000003 20261104t030000z-000003",)


def test_the_second_time_nothing_changes_and_no_manifest_is_fetched(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    host.reindex()
    storage.reads.clear()

    outcome = host.reindex()

    assert (outcome.changed, counts(outcome)) == (False, (0, 0, 0, 1))
    assert stored.path not in storage.reads


def test_where_nothing_changed_no_manifest_is_read_neither_there_nor_here(host: Host, storage: FakeStorage) -> None:
    for client in ("web01", "web02"):
        job = StoredJob(storage, client)
        for day in range(5):
            job.add(file("/srv/a", str(day)))
    host.reindex()
    before = host.answer(paths=["/srv"])
    index = host.state.index.read_bytes()
    shutil.rmtree(host.state.directory / "clients")  # the copies of all manifests
    storage.reads.clear()

    outcome = host.reindex()

    assert (outcome.changed, counts(outcome), outcome.warnings) == (False, (0, 0, 0, 10), ())
    assert {path.name for path in storage.reads} == {"job.json"}
    assert host.answer(paths=["/srv"]) == before
    assert not (host.state.directory / "clients").exists()
    assert host.state.index.read_bytes() == index
    assert not host.state.index.with_name("index.new").exists()


def test_of_many_manifests_only_a_new_one_is_read(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    for day in range(5):
        job.add(file("/srv/a", str(day)))
    host.reindex()
    shutil.rmtree(host.state.directory / "clients")
    stored = job.add(file("/srv/a", "new"))
    job.remove(2)
    storage.reads.clear()

    outcome = host.reindex()

    assert counts(outcome) == (1, 0, 1, 4)
    assert {path for path in storage.reads if path.name != "job.json"} == {stored.path}
    assert [v["points"][0]["seq"] for v in host.answer(paths=["/srv/a"])["versions"]] == [6, 5, 4, 3, 1]


@pytest.mark.parametrize("client", [None, "web01"])
def test_everything_is_read_again_if_that_is_asked_for(host: Host, storage: FakeStorage, client: str | None) -> None:
    jobs = [StoredJob(storage, name) for name in ("web01", "web02")]
    stored = {job.client: job.add(file("/srv/a")) for job in jobs}
    host.reindex()
    with closing(sqlite3.connect(host.state.index)) as connection:
        connection.execute("UPDATE versions SET size = 7")  # as nobody sees who looks at no manifest
        connection.commit()
    shutil.rmtree(host.state.directory / "clients")
    storage.reads.clear()

    outcome = host.reindex(client=client, rebuild=True)

    wanted = [job.client for job in jobs] if client is None else [client]
    assert {path for path in storage.reads if path.name != "job.json"} == {stored[name].path for name in wanted}
    assert (outcome.changed, counts(outcome)) == (False, (0, 0, 0, len(wanted)))
    assert [v["bytes"] for v in host.answer(paths=["/srv/a"])["versions"]] == [0, 0 if client is None else 7]


def test_a_restore_point_that_was_published_anew_is_told_as_updated(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a", "one"))
    job.add(file("/srv/a", "two"))
    host.reindex()
    stored = job.publish_anew(1)
    storage.reads.clear()

    outcome = host.reindex()

    assert (outcome.changed, counts(outcome)) == (True, (0, 1, 0, 1))
    assert outcome.after == ("web01 nightly 000001 20261102t030000z-000001 generation 2",)
    assert {path for path in storage.reads if path.name != "job.json"} == {stored.path}
    assert [point["stored_bytes"] for point in host.answer()["points"]] == [0, 4096]
    assert [v["points"][0]["seq"] for v in host.answer(paths=["/srv/a"])["versions"]] == [2, 1]
    assert not host.reindex().changed


def test_a_manifest_of_the_same_name_and_another_size_is_read_again(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a", "one"))
    job.add(file("/srv/a", "two"))
    host.reindex()
    job.spoil(stored.path, 0, storage.files[stored.path] + b"more")

    outcome = host.reindex()

    assert (len(outcome.values["unreadable"]), counts(outcome)) == (1, (0, 0, 1, 1))
    assert host.points() == [("web01", "nightly", 2)]


def test_protection_is_a_change(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a"))
    host.reindex()
    job.protect(1)

    outcome = host.reindex()

    assert (outcome.changed, counts(outcome)) == (True, (0, 1, 0, 0))
    assert outcome.after == ("web01 nightly 000001 20261102t030000z-000001 protected",)


def test_a_job_that_is_gone_goes(host: Host, storage: FakeStorage) -> None:
    StoredJob(storage, "web01").add(file("/srv/a"))
    gone = StoredJob(storage, "web02")
    gone.add(file("/srv/a"))
    host.reindex()
    storage.rename(gone.directory, gone.directory.with_name("elsewhere"))
    storage.delete([gone.directory.with_name("elsewhere") / "job.json"])
    for path in [path for path in storage.files if "elsewhere" in path.parts]:
        storage.delete([path])

    outcome = host.reindex()

    assert (outcome.values["job_count"], counts(outcome)) == (1, (0, 0, 1, 1))


def test_one_client_can_be_reindexed_alone(host: Host, storage: FakeStorage) -> None:
    jobs = {client: StoredJob(storage, client) for client in ("db01", "web01", "web02")}
    for job in jobs.values():
        job.add(file("/srv/a", job.client), other("/srv"))
    host.reindex()
    for job in jobs.values():
        job.add(file("/srv/a", job.client), other("/srv"))

    outcome = host.reindex(client="web01")

    assert without_run(outcome.values) == {**NOTHING, "new": 1, "unchanged": 1, "job_count": 1, "point_count": 2}
    assert sorted(host.points()) == [
        ("db01", "nightly", 1),
        ("web01", "nightly", 1),
        ("web01", "nightly", 2),
        ("web02", "nightly", 1),
    ]
    for client, seqs in (("db01", [1]), ("web01", [2, 1]), ("web02", [1])):
        (version,) = host.answer(client=client, paths=["/srv/a"])["versions"]
        assert [point["seq"] for point in version["points"]] == seqs
        assert host.answer(client=client)["points"][0]["parts"][0]["entries"] == 2


# -- check mode


@pytest.mark.parametrize("has_index", [False, True])
def test_check_mode_tells_the_same_and_touches_nothing(
    tmp_path: Path, storage: FakeStorage, *, has_index: bool
) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a"))
    dry, wet = Host(tmp_path / "dry", storage), Host(tmp_path / "wet", storage)
    if has_index:
        dry.reindex()
        wet.reindex()
    job.add(file("/srv/a"))
    broken = job.add(file("/srv/a"))
    job.spoil(broken.path, broken.size - 8)
    files, before = dict(storage.files), dry.files()

    foretold = dry.reindex(check_mode=True)

    assert (dry.files(), storage.files) == (before, files)
    assert told(foretold) == told(wet.reindex())
    assert foretold.changed


def test_check_mode_leaves_a_damaged_copy_where_it_is(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    host.reindex()
    copy = host.state.job("web01", "nightly").manifests / stored.path.name
    copy.write_bytes(bytes(stored.size))

    outcome = host.reindex(rebuild=True, check_mode=True)

    assert (outcome.changed, outcome.values["unreadable"]) == (False, [])
    assert copy.read_bytes() == bytes(stored.size)


# -- damage


def test_a_damaged_manifest_is_told_and_does_not_stop_the_rest(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    for _day in range(3):
        job.add(file("/srv/a"))
    stored = job.stored(2)
    job.spoil(stored.path, stored.size - 8)

    outcome = host.reindex()

    (sentence,) = outcome.values["unreadable"]
    assert stored.path.name in sentence
    assert outcome.warnings == (sentence,)
    assert host.points() == [("web01", "nightly", 3), ("web01", "nightly", 1)]
    assert host.reindex().values["unreadable"] == [sentence]


def test_what_was_damaged_is_looked_at_again_and_told_again(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    for content in ("one", "two", "three"):
        job.add(file("/srv/a", content))
    stored = job.stored(2)
    whole = storage.files[stored.path]
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)
    first = host.reindex()
    storage.reads.clear()

    second = host.reindex()
    read = {path for path in storage.reads if path.name != "job.json"}
    storage.files[stored.path] = whole
    third = host.reindex()

    (sentence,) = first.values["unreadable"]
    assert (second.values["unreadable"], second.changed, counts(second)) == ([sentence], False, (0, 0, 0, 3))
    assert read == {stored.path}
    assert (third.values["unreadable"], third.warnings, counts(third)) == ([], (), (0, 1, 0, 2))
    versions = host.answer(paths=["/srv/a"])["versions"]
    assert [[point["seq"] for point in version["points"]] for version in versions] == [[3], [2], [1]]


def test_a_manifest_that_tells_of_what_cannot_be_is_damage(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a")._replace(size=-1), file("/srv/b", "more"))
    job.add(file("/srv/a")._replace(kind="no such kind"))
    job.add(file("/srv/a")._replace(digest="no digest"))
    job.add(file("/srv/a"), parts=[Part(FILES, "/srv", -1, 0)])
    job.add(file("/srv/a"))

    outcome = host.reindex()

    assert len(outcome.values["unreadable"]) == 4
    assert [(point["seq"], point["damaged"]) for point in host.answer()["points"]] == [
        (5, False),
        (3, True),
        (2, True),
        (1, True),
    ]
    assert counts(host.reindex()) == (0, 0, 0, 4)


def test_a_manifest_with_a_broken_block_is_indexed_as_damaged(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)

    outcome = host.reindex()

    assert len(outcome.values["unreadable"]) == 1
    (point,) = host.answer(paths=["/srv"])["points"]
    assert (point["damaged"], host.answer(paths=["/srv"])["versions"]) == (True, [])


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"client": 1}', b"\xff"])
def test_a_damaged_job_file_is_told_and_does_not_stop_the_rest(
    host: Host, storage: FakeStorage, content: bytes
) -> None:
    StoredJob(storage, "web01").add(file("/srv/a"))
    broken = StoredJob(storage, "web02")
    broken.add(file("/srv/a"))
    storage.files[broken.directory / "job.json"] = content

    outcome = host.reindex()

    (sentence,) = outcome.values["unreadable"]
    assert str(broken.directory) in sentence
    assert host.points() == [("web01", "nightly", 1)]


def test_restore_points_without_a_job_file_are_damage_and_a_job_that_only_begins_is_none(
    host: Host, storage: FakeStorage
) -> None:
    begun, broken = StoredJob(storage, "web01"), StoredJob(storage, "web02")
    broken.add(file("/srv/a"))
    storage.delete([begun.directory / "job.json", broken.directory / "job.json"])

    (sentence,) = host.reindex().values["unreadable"]

    assert str(broken.directory) in sentence


def test_what_lies_under_the_name_of_something_else_is_damage(host: Host, storage: FakeStorage) -> None:
    one, two = StoredJob(storage, "web01"), StoredJob(storage, "web02")
    stored = one.add(file("/srv/a"))
    two.add(file("/srv/b"))
    storage.files[stored.path] = storage.files[two.stored(1).path]
    storage.files[two.directory / "job.json"] = storage.files[one.directory / "job.json"]

    damaged = host.reindex().values["unreadable"]

    assert ["another restore point" in damaged[0], "another job" in damaged[1]] == [True, True]
    assert host.points() == []


def test_a_copy_that_is_damaged_is_fetched_anew(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    host.reindex()
    copy = host.state.job("web01", "nightly").manifests / stored.path.name
    content = bytearray(copy.read_bytes())
    content[job.reader(stored).trailer.blocks[1].offset + 5] ^= 255
    copy.write_bytes(content)

    assert host.reindex(rebuild=True).values["unreadable"] == []
    assert copy.read_bytes() == storage.files[stored.path]


def _spoil_nothing_but_say_another_version(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA user_version = 1")


def _flip_in_every_page(index: Path) -> None:
    content = bytearray(index.read_bytes())
    for page in range(len(content) // 4096):
        content[4096 * page + 1000] ^= 255
        content[4096 * page + 8 * (page > 0)] ^= 255
    index.write_bytes(content)


SPOILERS: dict[str, Callable[[Path], object]] = {
    "empty": lambda index: index.write_bytes(b""),
    "none": lambda index: index.write_bytes(b"no database at all" * 500),
    "random": lambda index: index.write_bytes(random.Random(1).randbytes(50_000)),
    "cut off": lambda index: os.truncate(index, index.stat().st_size // 2),
    "cut within a page": lambda index: os.truncate(index, index.stat().st_size - 1000),
    "flipped": _flip_in_every_page,
    "of another version": _spoil_nothing_but_say_another_version,
}


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("client", [None, "web01"])
@pytest.mark.parametrize("how", SPOILERS)
def test_an_index_that_is_of_no_use_is_made_anew_and_that_is_told(
    host: Host, storage: FakeStorage, how: str, client: str | None, *, check_mode: bool
) -> None:
    for name in ("web01", "web02"):
        job = StoredJob(storage, name)
        for day in range(3):
            job.add(*(file(f"/srv/{number}", str(day)) for number in range(300)))
    host.reindex()
    whole = host.answer(client=client, paths=["/srv"], limit=3000)
    SPOILERS[how](host.state.index)
    spoiled = host.state.index.read_bytes()

    outcome = host.reindex(client=client, check_mode=check_mode)

    (warning,) = outcome.warnings
    assert str(host.state.index) in warning
    assert "It is replaced." in warning
    assert ("Of other clients it knows nothing" in warning) == (client is not None)
    assert outcome.values["point_count"] == (6 if client is None else 3)
    if check_mode:
        assert host.state.index.read_bytes() == spoiled
    else:
        assert host.answer(client=client, paths=["/srv"], limit=3000) == whole
        assert not host.reindex(client=client).warnings


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_flipped_in_an_index_a_reindex_mends_it_or_rebuilding_does(
    host: Host, storage: FakeStorage, seed: int
) -> None:
    job = StoredJob(storage)
    for day in range(4):
        job.add(*(file(f"/srv/{number}", str(number % (day + 2))) for number in range(150)))
    host.reindex()
    whole = host.answer(paths=["/srv"], limit=1000)
    chance = random.Random(seed)
    content = bytearray(host.state.index.read_bytes())
    for _flip in range(chance.choice([1, 5, 50])):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    host.state.index.write_bytes(content)

    host.reindex()
    host.answer(paths=["/srv"])
    host.reindex(rebuild=True)

    assert host.answer(paths=["/srv"], limit=1000) == whole


# -- what happens meanwhile


class BusyStorage(FakeStorage):
    """A storage on which something happens *when* a manifest is read for the first time."""

    def __init__(self, when: Callable[[], None]) -> None:
        super().__init__()
        self.when: Callable[[], None] | None = when

    @contextmanager
    def open(self, path: RemotePath, offset: int = 0, length: int | None = None) -> Iterator[t.Any]:
        if path.name.endswith(".manifest.gz") and self.when is not None:
            when, self.when = self.when, None
            when()
        with super().open(path, offset, length) as reader:
            yield reader


def test_a_backup_that_ends_meanwhile_is_not_lost(tmp_path: Path) -> None:
    def back_up() -> None:
        job.add(file("/srv/b"))
        fresh = StoredJob(storage, "web02")
        fresh.add(file("/srv/c"))
        update_job(host.state.index, fresh.client, fresh.job, fresh.structure, fresh.points(), fresh.reader)

    storage = BusyStorage(back_up)
    host = Host(tmp_path, storage)
    job = StoredJob(storage)
    job.add(file("/srv/a"))

    host.reindex()

    assert sorted(host.points()) == [("web01", "nightly", 1), ("web01", "nightly", 2), ("web02", "nightly", 1)]


@pytest.mark.parametrize("begins_anew", [False, True])
def test_what_a_backup_of_another_client_notes_meanwhile_is_not_lost(tmp_path: Path, *, begins_anew: bool) -> None:
    happened = []

    def back_up() -> None:
        happened.append(True)
        if begins_anew:
            host.state.index.write_bytes(b"no database at all" * 500)
        other_job.add(file("/srv/b"))
        update_job(
            *(host.state.index, other_job.client, other_job.job, other_job.structure),
            *(other_job.points(), other_job.reader),
        )

    storage = BusyStorage(lambda: None)
    host = Host(tmp_path, storage)
    job, other_job = StoredJob(storage, "web01"), StoredJob(storage, "web02")
    job.add(file("/srv/a"))
    other_job.add(file("/srv/b"))
    host.reindex()
    job.add(file("/srv/a", "new"))
    storage.when = back_up

    outcome = host.reindex(client="web01")

    assert happened
    assert outcome.values["point_count"] == 2
    assert sorted(host.points()) == [
        ("web01", "nightly", 1),
        ("web01", "nightly", 2),
        ("web02", "nightly", 1),
        ("web02", "nightly", 2),
    ]


def test_a_restore_point_that_vanishes_meanwhile_is_no_error(tmp_path: Path) -> None:
    storage = BusyStorage(lambda: job.remove(1, 3))
    host = Host(tmp_path, storage)
    job = StoredJob(storage)
    for _day in range(3):
        job.add(file("/srv/a"))

    outcome = host.reindex()

    assert outcome.values["unreadable"] == []
    assert host.points() == [("web01", "nightly", 2)]


def test_a_copy_that_vanishes_with_its_restore_point_meanwhile_is_no_error(
    host: Host, storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = StoredJob(storage)
    stored = [job.add(file("/srv/a", str(day))) for day in range(3)]
    opened: list[str] = []

    def open_while_a_backup_prunes(copy: Path) -> ManifestReader:
        opened.append(copy.name)
        if len(opened) == 1:
            job.remove(1)
            copy.unlink()
        return open_manifest(copy)

    monkeypatch.setattr(
        "ansible_collections.stowage.ftp_backup.plugins.module_utils.indexing.stored_jobs.open_manifest",
        open_while_a_backup_prunes,
    )
    outcome = host.reindex()

    assert opened[0] == stored[0].path.name
    assert outcome.values["unreadable"] == []
    assert host.points() == [("web01", "nightly", 3), ("web01", "nightly", 2)]


class CutStorage(FakeStorage):
    """A storage to which the way is lost after *listings* listings."""

    listings = 1000

    def list_directory(self, directory: RemotePath) -> list[RemoteEntry]:
        self.listings -= 1
        if self.listings < 0:
            raise InterruptedTransferError("The connection broke.")
        return super().list_directory(directory)


@pytest.mark.parametrize("listings", range(10))
def test_what_fails_leaves_the_old_index_and_nothing_else(tmp_path: Path, listings: int) -> None:
    storage = CutStorage()
    host = Host(tmp_path, storage)
    job = StoredJob(storage)
    job.add(file("/srv/a"))
    host.reindex()
    before = {path: content for path, content in host.files().items() if "manifests" not in path}
    job.add(file("/srv/a"))
    storage.listings = listings

    with pytest.raises(InterruptedTransferError):
        host.reindex()

    assert {path: content for path, content in host.files().items() if "manifests" not in path} == before


def test_two_reindexes_do_not_meet(host: Host) -> None:
    with locked(host.state.directory / "reindex.lock", "held by the test"), pytest.raises(LockedError, match="already"):
        host.reindex()


def test_it_does_not_swap_while_a_backup_writes(
    host: Host, storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex.WRITER_PATIENCE", 0.0)
    StoredJob(storage).add(file("/srv/a"))

    with writer_lock(host.state.index), pytest.raises(LockedError, match="is being written"):
        host.reindex()


def test_a_destination_that_nobody_declared_is_told(host: Host) -> None:
    with pytest.raises(UsageError, match="no destination 'near'"):
        reindex(host.registry, host.state_directory, "near", check_mode=False)
