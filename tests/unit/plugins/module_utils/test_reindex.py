# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reindex finds what lies on the destination, and touches the old index only when it has a better one."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.catalog import reading, update_job
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    InterruptedTransferError,
    LockedError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.index_file import writer_lock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Problem
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import locked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_job import StoredJob, file, other

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import ManifestReader
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path as RemotePath
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import RemoteEntry, Storage

FAR = Destination("far", "ftp.example.com", "backup", max_connections=2)
NOW = datetime(2026, 11, 22, 4, tzinfo=timezone.utc)


class Host:
    """A host that has declared one destination, which *storage* stands for."""

    def __init__(self, directory: Path, storage: Storage) -> None:
        self.state_directory = directory / "state"
        self.storage = storage
        self.registry = FileRegistry(directory / "config")
        self.registry.put(FAR)

    @property
    def state(self) -> DestinationState:
        return DestinationState(self.state_directory, FAR.name, FAR.place)

    @contextmanager
    def _open(
        self, destination: Destination, mark: str, state: DestinationState, *, may_write: bool, warm: int = 0
    ) -> Iterator[Storage]:
        assert (destination, bool(mark), warm > 0) == (FAR, True, True)
        assert state.directory == self.state.directory
        assert isinstance(may_write, bool)
        yield self.storage

    def reindex(self, *, client: str | None = None, check_mode: bool = False) -> Outcome:
        return reindex(
            self.registry,
            self.state_directory,
            FAR.name,
            client=client,
            check_mode=check_mode,
            open_storage=self._open,
        )

    def answer(
        self, client: str | None = None, job: str | None = None, paths: Sequence[str] = (), limit: int = 100
    ) -> dict[str, t.Any]:
        outcome = list_backups(
            self.registry, self.state_directory, FAR.name, client=client, job=job, paths=paths, limit=limit, now=NOW
        )
        assert not outcome.changed
        return outcome.values

    def points(self) -> list[tuple[str, str, int]]:
        return [(point["client"], point["job"], point["seq"]) for point in self.answer()["points"]]

    def files(self) -> dict[str, bytes]:
        """Return all that lies in the state directory, with its content."""
        paths = sorted(path for path in self.state_directory.rglob("*") if path.is_file())
        return {str(path.relative_to(self.state_directory)): path.read_bytes() for path in paths}


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def host(tmp_path: Path, storage: FakeStorage) -> Host:
    return Host(tmp_path, storage)


def counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.values["new"], outcome.values["gone"], outcome.values["unchanged"]


def test_a_host_that_never_saw_the_destination_finds_everything(host: Host, storage: FakeStorage) -> None:
    for client, name in (("web01", "nightly"), ("web01", "hourly"), ("db01", "nightly")):
        job = StoredJob(storage, client, name)
        job.add(file("/srv/a", "one"))
        job.add(file("/srv/a", "two"))

    outcome = host.reindex()

    assert outcome.changed
    assert outcome.values == {"new": 6, "gone": 0, "unchanged": 0, "damaged": [], "jobs": 3, "points": 6}
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

    assert counts(outcome) == (1, 1, 1)
    assert outcome.before == {"points": ["web01 nightly 000001 20261102t030000z-000001"]}
    assert outcome.after == {"points": ["web01 nightly 000003 20261104t030000z-000003"]}


def test_the_second_time_nothing_changes_and_no_manifest_is_fetched(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    host.reindex()
    storage.reads.clear()

    outcome = host.reindex()

    assert (outcome.changed, counts(outcome)) == (False, (0, 0, 1))
    assert stored.path not in storage.reads


def test_protection_is_a_change(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a"))
    host.reindex()
    job.protect(1)

    outcome = host.reindex()

    assert (outcome.changed, counts(outcome)) == (True, (0, 0, 1))
    assert outcome.after == {"points": ["web01 nightly 000001 20261102t030000z-000001 protected"]}


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

    assert (outcome.values["jobs"], counts(outcome)) == (1, (0, 1, 1))


def test_one_client_can_be_reindexed_alone(host: Host, storage: FakeStorage) -> None:
    jobs = {client: StoredJob(storage, client) for client in ("db01", "web01", "web02")}
    for job in jobs.values():
        job.add(file("/srv/a", job.client), other("/srv"))
    host.reindex()
    for job in jobs.values():
        job.add(file("/srv/a", job.client), other("/srv"))

    outcome = host.reindex(client="web01")

    assert outcome.values == {"new": 1, "gone": 0, "unchanged": 1, "damaged": [], "jobs": 1, "points": 2}
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
    assert foretold == wet.reindex()
    assert foretold.changed


def test_check_mode_leaves_a_damaged_copy_where_it_is(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    host.reindex()
    copy = host.state.job("web01", "nightly").manifests / stored.path.name
    copy.write_bytes(bytes(stored.size))

    outcome = host.reindex(check_mode=True)

    assert (outcome.changed, outcome.values["damaged"]) == (False, [])
    assert copy.read_bytes() == bytes(stored.size)


# -- damage


def test_a_damaged_manifest_is_told_and_does_not_stop_the_rest(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    for _day in range(3):
        job.add(file("/srv/a"))
    stored = job.stored(2)
    job.spoil(stored.path, stored.size - 8)

    outcome = host.reindex()

    (sentence,) = outcome.values["damaged"]
    assert stored.path.name in sentence
    assert outcome.warnings == (sentence,)
    assert host.points() == [("web01", "nightly", 3), ("web01", "nightly", 1)]
    assert host.reindex().values["damaged"] == [sentence]


def test_a_manifest_with_a_broken_block_is_indexed_as_damaged(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    stored = job.add(file("/srv/a"))
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)

    outcome = host.reindex()

    assert len(outcome.values["damaged"]) == 1
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

    (sentence,) = outcome.values["damaged"]
    assert str(broken.directory) in sentence
    assert host.points() == [("web01", "nightly", 1)]


def test_restore_points_without_a_job_file_are_damage_and_a_job_that_only_begins_is_none(
    host: Host, storage: FakeStorage
) -> None:
    begun, broken = StoredJob(storage, "web01"), StoredJob(storage, "web02")
    broken.add(file("/srv/a"))
    storage.delete([begun.directory / "job.json", broken.directory / "job.json"])

    (sentence,) = host.reindex().values["damaged"]

    assert str(broken.directory) in sentence


def test_what_lies_under_the_name_of_something_else_is_damage(host: Host, storage: FakeStorage) -> None:
    one, two = StoredJob(storage, "web01"), StoredJob(storage, "web02")
    stored = one.add(file("/srv/a"))
    two.add(file("/srv/b"))
    storage.files[stored.path] = storage.files[two.stored(1).path]
    storage.files[two.directory / "job.json"] = storage.files[one.directory / "job.json"]

    damaged = host.reindex().values["damaged"]

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

    assert host.reindex().values["damaged"] == []
    assert copy.read_bytes() == storage.files[stored.path]


@pytest.mark.parametrize("client", [None, "web01"])
def test_an_index_that_is_damaged_is_replaced_and_told(host: Host, storage: FakeStorage, client: str | None) -> None:
    StoredJob(storage).add(file("/srv/a"))
    host.state.directory.mkdir(parents=True)
    host.state.index.write_bytes(b"no database at all" * 500)

    outcome = host.reindex(client=client)

    assert (outcome.changed, counts(outcome)) == (True, (1, 0, 0))
    assert "It is replaced." in outcome.warnings[0]
    assert host.points() == [("web01", "nightly", 1)]


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


def test_a_restore_point_that_vanishes_meanwhile_is_no_error(tmp_path: Path) -> None:
    storage = BusyStorage(lambda: job.remove(1, 3))
    host = Host(tmp_path, storage)
    job = StoredJob(storage)
    for _day in range(3):
        job.add(file("/srv/a"))

    outcome = host.reindex()

    assert outcome.values["damaged"] == []
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
        "ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex.open_manifest", open_while_a_backup_prunes
    )
    outcome = host.reindex()

    assert opened[0] == stored[0].path.name
    assert outcome.values["damaged"] == []
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


# -- what the index answers


def test_without_an_index_nothing_is_answered_but_what_to_do(host: Host) -> None:
    with pytest.raises(UsageError, match="run reindex"):
        host.answer()


def test_restore_points_are_told_by_the_words_of_a_backup(host: Host, storage: FakeStorage) -> None:
    StoredJob(storage).add(file("/srv/a", "seven b"), problems=[Problem("/srv/x", "Permission denied")])
    host.reindex()

    assert host.answer()["points"] == [
        {
            "id": "20261102t030000z-000001",
            "seq": 1,
            "job": "nightly",
            "client": "web01",
            "pool": "s01",
            "structure": "incremental",
            "created": "2026-11-02T03:00:00Z",
            "age": (20 * 24 + 1) * 3600,
            "complete": False,
            "protected": False,
            "damaged": False,
            "entries": 1,
            "bytes": 7,
            "stored_bytes": 0,
            "problem_count": 1,
            "problems": [{"path": "/srv/x", "problem": "Permission denied"}],
            "parts": [{"kind": "files", "name": "/srv", "entries": 1, "bytes": 7}],
        }
    ]


def test_versions_are_told_with_the_restore_points_that_show_them(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a", "one", mtime=1763780000123456789), other("/srv/link", "l", target=b"a"))
    job.add(file("/srv/a", "one", mtime=1763780000123456789))
    host.reindex()

    version, link = host.answer(paths=["/srv/*"])["versions"]

    assert version == {
        "path": "/srv/a",
        "job": "nightly",
        "client": "web01",
        "kind": "file",
        "size": 3,
        "mtime": "2025-11-22T02:53:20.123456Z",
        "digest": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "target": None,
        "points": [
            {"id": "20261103t030000z-000002", "seq": 2, "created": "2026-11-03T03:00:00Z"},
            {"id": "20261102t030000z-000001", "seq": 1, "created": "2026-11-02T03:00:00Z"},
        ],
    }
    assert (link["kind"], link["target"], link["digest"]) == ("symlink", "a", None)


def test_a_time_beyond_the_calendar_is_told_in_seconds(host: Host, storage: FakeStorage) -> None:
    StoredJob(storage).add(file("/srv/a", mtime=10**12 * 10**9), file("/srv/b", mtime=-(10**9)))
    host.reindex()

    assert [version["mtime"] for version in host.answer(paths=["/srv"])["versions"]] == [
        "@1000000000000",
        "1969-12-31T23:59:59.000000Z",
    ]


def test_what_the_limit_leaves_out_is_told(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    for number in range(3):
        job.add(file("/srv/a", str(number)))
    host.reindex()

    def shape(values: dict[str, t.Any]) -> tuple[int, int, bool]:
        return len(values["points"]), len(values.get("versions", ())), values["truncated"]

    assert shape(host.answer(limit=2)) == (2, 0, True)
    assert shape(host.answer(limit=3)) == (3, 0, False)
    assert shape(host.answer(limit=2, paths=["/srv/a"])) == (2, 2, True)
    assert shape(host.answer(limit=3, paths=["/srv/a"])) == (3, 3, False)
    assert shape(host.answer(job="hourly")) == (0, 0, False)
    with pytest.raises(UsageError, match="limit"):
        host.answer(limit=0)


def test_it_is_answered_without_the_destination(host: Host, storage: FakeStorage) -> None:
    StoredJob(storage).add(file("/srv/a"))
    host.reindex()
    storage.reads.clear()

    host.answer(paths=["/srv"])

    assert storage.reads == []


def test_an_index_can_be_read_while_it_is_updated(host: Host, storage: FakeStorage) -> None:
    StoredJob(storage).add(file("/srv/a"))
    host.reindex()

    with writer_lock(host.state.index), reading(host.state.index) as catalog:
        assert len(list(catalog.points())) == 1
