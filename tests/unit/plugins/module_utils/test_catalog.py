# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index says what the restore points of a job say."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import typing as t
from contextlib import closing, suppress

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import catalog as catalog_module
from ansible_collections.stowage.ftp_backup.plugins.module_utils import tables
from ansible_collections.stowage.ftp_backup.plugins.module_utils.answers import Version, Whose
from ansible_collections.stowage.ftp_backup.plugins.module_utils.catalog import Catalog, making, reading, update_job
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError, LockedError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.globs import PathFilter
from ansible_collections.stowage.ftp_backup.plugins.module_utils.index_file import (
    UnusableIndexError,
    replace_index,
    writer_lock,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    DATABASE,
    DATABASE_USERS,
    FILES,
    HARD_LINK,
    SYMLINK,
    Entry,
    Part,
    Problem,
    dump_path,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import ManifestReader
from ansible_collections.stowage.ftp_backup.plugins.module_utils.part_globs import PartFilter, PartGlob
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_job import StoredJob, file, other

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import StoredPoint


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "state" / "far-1a2b3c4d" / "index.sqlite"


@pytest.fixture
def job() -> StoredJob:
    return StoredJob(FakeStorage())


def update(index: Path, job: StoredJob) -> tuple[str, ...]:
    return update_job(index, job.client, job.job, job.structure, job.points(), job.reader)


def versions(index: Path, *globs: str) -> list[Version]:
    with reading(index) as catalog:
        return list(catalog.versions(PathFilter(globs or ["/**"])))


def shown(index: Path, *globs: str) -> list[tuple[str, list[int]]]:
    """Return path and restore points of each version."""
    return [(v.path.decode(), [point.seq for point in v.points]) for v in versions(index, *globs)]


def seqs(index: Path) -> list[int]:
    with reading(index) as catalog:
        return [point.seq for point in catalog.points()]


def rows(index: Path) -> int:
    """Return how many versions are kept, whether they can be seen or not."""
    with closing(sqlite3.connect(index)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM versions").fetchone()
    return int(count)


# -- restore points and versions


def test_a_restore_point_is_told_with_all_that_is_known_of_it(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "seven b"), other("/srv"), problems=[Problem("/srv/x", "Permission denied")])
    job.protect(1)

    update(index, job)

    with reading(index) as catalog:
        (point,) = catalog.points()
        (part,) = catalog.parts(point)
    assert (point.client, point.job, point.structure, point.pool) == ("web01", "nightly", "incremental", "s01")
    assert (point.run, point.seq, point.created.isoformat()) == (
        "20261102t030000z-000001",
        1,
        "2026-11-02T03:00:00+00:00",
    )
    assert (point.is_complete, point.is_protected, point.is_damaged) == (False, True, False)
    assert (point.entries, point.size, point.stored_size) == (2, 7, 0)
    assert (point.problem_count, point.problems) == (1, (Problem("/srv/x", "Permission denied"),))
    assert (part.kind, part.name, part.entries, part.size) == ("files", "/srv", 2, 7)


def test_what_does_not_change_is_kept_once(index: Path, job: StoredJob) -> None:
    for _day in range(3):
        job.add(other("/srv"), file("/srv/a"))
        update(index, job)

    assert shown(index) == [("/srv", [3, 2, 1]), ("/srv/a", [3, 2, 1])]
    assert rows(index) == 2


def test_each_change_of_a_file_is_a_version(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"), file("/srv/b"))
    job.add(file("/srv/a", "two"), file("/srv/b"))
    job.add(file("/srv/a", "two", mtime=2 * 10**18), file("/srv/b"))
    job.add(file("/srv/b"))
    job.add(file("/srv/a", "one"), file("/srv/b"))

    update(index, job)

    assert shown(index) == [
        ("/srv/a", [5]),
        ("/srv/a", [3]),
        ("/srv/a", [2]),
        ("/srv/a", [1]),
        ("/srv/b", [5, 4, 3, 2, 1]),
    ]


def test_versions_come_in_the_order_of_manifests_for_names_of_any_bytes(index: Path, job: StoredJob) -> None:
    paths = [b"/srv", b"/srv/a", b"/srv/a/b", b"/srv/a-b", b"/srv/a\xff\xfe", b"/srv/\xc3\xa4"]
    job.add(*(file(path) for path in paths))

    update(index, job)

    assert [version.path for version in versions(index)] == sorted(paths, key=lambda path: path.split(b"/"))


def test_only_what_is_asked_for_is_found(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"), file("/srv/a/x"), file("/srv/a-b"), file("/srv/b.txt"), file("/etc/b.txt"))

    update(index, job)

    assert [path for path, _points in shown(index, "/srv/a")] == ["/srv/a", "/srv/a/x"]
    assert [path for path, _points in shown(index, "/**/b.txt")] == ["/etc/b.txt", "/srv/b.txt"]


def test_the_target_of_a_symbolic_link_is_its_content(index: Path, job: StoredJob) -> None:
    job.add(other("/srv/link", SYMLINK, target=b"a"))
    job.add(other("/srv/link", SYMLINK, target=b"b"))

    update(index, job)

    assert [(version.kind, version.content) for version in versions(index)] == [("l", b"b"), ("l", b"a")]


def test_a_file_is_the_same_whether_its_name_is_the_first_of_its_links_or_not(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"), file("/srv/b", kind=HARD_LINK, target=b"/srv/a"))
    job.add(file("/srv/b"))

    update(index, job)

    assert shown(index) == [("/srv/a", [1]), ("/srv/b", [2, 1])]


@pytest.mark.parametrize("mtime", [2**63 * 999, 2**63 * 2000, -(2**63 * 2000), -1])
def test_no_time_is_too_far_away(index: Path, job: StoredJob, mtime: int) -> None:
    job.add(file("/srv/a", mtime=mtime))
    job.add(file("/srv/a", mtime=mtime))

    update(index, job)

    assert shown(index) == [("/srv/a", [2, 1])]


def test_jobs_and_clients_do_not_mix(index: Path) -> None:
    storage = FakeStorage()
    for client, name in (("web01", "nightly"), ("web01", "hourly"), ("web02", "nightly")):
        job = StoredJob(storage, client, name)
        job.add(file("/srv/a", f"{client} {name}"))
        update(index, job)

    with reading(index) as catalog:
        assert [(point.client, point.job) for point in catalog.points(Whose("web01"))] == [
            ("web01", "hourly"),
            ("web01", "nightly"),
        ]
        assert [point.client for point in catalog.points(Whose(job="nightly"))] == ["web01", "web02"]
        assert [v.client for v in catalog.versions(PathFilter(["/srv/a"]), Whose("web02"))] == ["web02"]
        assert len(list(catalog.points(limit=2))) == 2


def test_restore_points_of_one_job_come_by_their_number_whatever_a_clock_said(index: Path, job: StoredJob) -> None:
    for _day in range(3):
        job.add(file("/srv/a"))

    update(index, job)

    with closing(sqlite3.connect(index)) as connection:
        connection.execute("UPDATE points SET created = '2031-01-01T00:00:00Z' WHERE seq = 1")
        connection.commit()
    with reading(index) as catalog:
        assert [point.seq for point in catalog.points(Whose("web01", "nightly"))] == [3, 2, 1]
        assert [point.seq for point in catalog.points(Whose("web01"))] == [1, 3, 2]


# -- what comes and goes


def test_versions_go_with_the_last_restore_point_that_shows_them(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"), file("/srv/b"))
    job.add(file("/srv/a", "two"), file("/srv/b"))
    job.add(file("/srv/a", "three"), file("/srv/b"))
    update(index, job)

    job.remove(2)
    update(index, job)
    assert shown(index) == [("/srv/a", [3]), ("/srv/a", [1]), ("/srv/b", [3, 1])]

    job.remove(1)
    update(index, job)
    assert shown(index) == [("/srv/a", [3]), ("/srv/b", [3])]
    assert rows(index) == 2


def test_the_newest_restore_point_may_go_as_well(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"), file("/srv/b"))
    job.add(file("/srv/a", "two"))
    update(index, job)

    job.remove(2)
    update(index, job)
    assert shown(index) == [("/srv/a", [1]), ("/srv/b", [1])]

    job.add(file("/srv/a", "one"), file("/srv/b"))
    update(index, job)
    assert shown(index) == [("/srv/a", [2, 1]), ("/srv/b", [2, 1])]


def test_a_job_may_lose_all_its_restore_points(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"))
    update(index, job)

    job.remove(1)
    update(index, job)

    assert (seqs(index), rows(index)) == ([], 0)


def test_a_restore_point_that_turns_up_between_others_finds_its_place(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"), seq=1)
    job.add(file("/srv/a", "three"), seq=3)
    update(index, job)

    job.add(file("/srv/a", "two"), seq=2)
    update(index, job)

    assert shown(index) == [("/srv/a", [3]), ("/srv/a", [2]), ("/srv/a", [1])]


def test_protection_comes_and_goes(index: Path, job: StoredJob) -> None:
    stored = job.add(file("/srv/a"))

    def is_protected() -> bool:
        update(index, job)
        with reading(index) as catalog:
            return next(catalog.points()).is_protected

    assert not is_protected()
    job.protect(1)
    assert is_protected()
    job.storage.delete([stored.path.with_name("000001.keep")])
    assert not is_protected()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_each_restore_point_shows_just_what_its_manifest_says(
    index: Path, job: StoredJob, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "_BATCH", 3)
    chance = random.Random(seed)
    wanted: dict[int, set[tuple[bytes, str]]] = {}
    for _step in range(25):
        if wanted and chance.random() < 0.35:
            gone = chance.sample(sorted(wanted), min(len(wanted), chance.randint(1, 2)))
            job.remove(*gone)
            for seq in gone:
                del wanted[seq]
        if chance.random() < 0.8:
            entries = [file(f"/srv/{n}", str(chance.randint(0, 2))) for n in range(10) if chance.random() < 0.7]
            seq = job.add(*entries).seq
            wanted[seq] = {(entry.path, entry.digest) for entry in entries}
        if chance.random() < 0.7:
            update(index, job)
    update(index, job)

    found: dict[int, set[tuple[bytes, str]]] = {seq: set() for seq in seqs(index)}
    kept = versions(index)
    for version in kept:
        for point in version.points:
            found[point.seq].add((version.path, version.content.hex()))
    assert found == wanted
    assert len(kept) == rows(index)
    assert len({(v.path, v.points) for v in kept}) == len(kept)


def test_a_manifest_that_says_nothing_new_is_not_read(index: Path, job: StoredJob) -> None:
    entries = [file("/srv/a"), file("/srv/b")]
    job.add(*entries)
    job.add(*entries)
    update(index, job)
    stored = job.add(*entries)
    points = job.points()
    job.storage.reads.clear()

    update_job(index, job.client, job.job, job.structure, points, job.reader)

    assert job.storage.reads == [stored.path, stored.path]  # the tail and the header; not the block of entries
    assert shown(index) == [("/srv/a", [3, 2, 1]), ("/srv/b", [3, 2, 1])]


def test_a_ring_recognises_what_its_slot_held_even_as_that_goes(index: Path, job: StoredJob) -> None:
    first = [file("/srv/a", "one")]
    job.add(*first)
    job.add(file("/srv/a", "two"))
    update(index, job)

    job.add(*first)  # it says what the first one says, but not what the one before it says
    job.remove(1)
    update(index, job)

    assert shown(index) == [("/srv/a", [3]), ("/srv/a", [2])]


# -- restore points that are published anew


def test_of_a_restore_point_that_was_published_anew_only_what_is_about_it_is_read(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"), problems=[Problem("/srv/x", "Permission denied")])
    job.add(file("/srv/a", "two"))
    update(index, job)
    stored = job.publish_anew(1)
    points = job.points()
    entries = job.reader(stored).trailer.blocks[1]
    read: list[int] = []

    def reader(wanted: StoredPoint) -> ManifestReader:
        assert wanted == stored

        def read_at(offset: int, length: int) -> bytes:
            read.append(offset)
            return job.storage.read(stored.path, offset, length)

        return ManifestReader(read_at, stored.size, stored.path.name)

    assert update_job(index, job.client, job.job, job.structure, points, reader) == ()

    with reading(index) as catalog:
        second, first = catalog.points()
    assert (first.generation, first.stored_size, first.problem_count) == (2, 4096, 1)
    assert (second.generation, second.stored_size) == (1, 0)
    assert shown(index) == [("/srv/a", [2]), ("/srv/a", [1])]
    assert read.count(entries.offset) == 1  # to prove it, and not to take entries from it


def test_another_generation_with_a_broken_block_is_told_and_counts_as_damaged(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"))
    job.add(file("/srv/a", "two"))
    update(index, job)
    stored = job.publish_anew(1)
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)

    (sentence,) = update(index, job)

    assert stored.path.name in sentence
    assert shown(index) == [("/srv/a", [2])]
    assert update(index, job) == ()


def test_a_damaged_restore_point_that_is_published_anew_is_read_and_so_are_those_after_it(
    index: Path, job: StoredJob
) -> None:
    job.add(file("/srv/a", "one"))
    stored = job.add(file("/srv/a", "two"))
    job.add(file("/srv/a", "three"))
    whole = job.storage.files[stored.path]
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)
    update(index, job)
    job.storage.files[stored.path] = whole
    job.publish_anew(2)

    assert update(index, job) == ()

    assert shown(index) == [("/srv/a", [3]), ("/srv/a", [2]), ("/srv/a", [1])]


def test_a_manifest_of_another_size_is_read_again(index: Path, job: StoredJob) -> None:
    stored = job.add(file("/srv/a", "one"))
    update(index, job)
    job.remove(1)
    again = job.add(*(file(f"/srv/{number}") for number in range(50)))
    job.storage.rename(again.path, stored.path)

    update(index, job)

    assert job.stored(1).size != stored.size
    assert len(versions(index)) == 50


# -- parts


def part(name: str, entries: int = 1, size: int = 3, *, kind: str = DATABASE) -> Part:
    return Part(kind, name, entries, size)


def dump(name: str, content: str) -> Entry:
    return file(dump_path(DATABASE, name), content)


def shown_parts(index: Path, *globs: PartGlob) -> list[tuple[str, str, list[int]]]:
    """Return kind, name and restore points of each version of a part."""
    with reading(index) as catalog:
        found = list(catalog.part_versions(PartFilter(globs or [PartGlob("**"), PartGlob("/**")])))
    assert all(version.point_count == len(version.points) for version in found)
    return [(v.part.kind, v.part.name, [point.seq for point in v.points]) for v in found]


def test_a_version_of_a_part_lasts_as_long_as_nothing_in_it_changes(index: Path, job: StoredJob) -> None:
    parts = [part("shop"), part("wiki"), part("/srv/www", kind=FILES), part("/srv/www/a", kind=FILES)]
    first = [file("/srv/www/a/x", "one"), file("/srv/www/b", "one"), dump("shop", "one"), dump("wiki", "one")]
    job.add(*first, parts=parts)
    job.add(*first, parts=parts)
    job.add(first[0], file("/srv/www/b", "two"), dump("shop", "two"), first[3], parts=parts)
    job.add(file("/srv/www/a/x", "two"), file("/srv/www/b", "two"), dump("shop", "two"), first[3], parts=parts)

    update(index, job)

    assert shown_parts(index) == [
        ("database", "shop", [4, 3]),
        ("database", "shop", [2, 1]),
        ("database", "wiki", [4, 3, 2, 1]),
        ("files", "/srv/www", [4]),
        ("files", "/srv/www", [3]),
        ("files", "/srv/www", [2, 1]),
        ("files", "/srv/www/a", [4]),
        ("files", "/srv/www/a", [3, 2, 1]),
    ]


def test_versions_of_parts_are_the_same_however_often_the_index_is_updated_in_between(
    index: Path, job: StoredJob
) -> None:
    for content in ("one", "one", "two", "two", "two", "one"):
        job.add(dump("shop", content), file("/srv/a", "always"), parts=[part("shop")])
        update(index, job)
        assert update(index, job) == ()
    job.remove(1, 4)

    update(index, job)

    assert shown_parts(index) == [
        ("database", "shop", [6]),
        ("database", "shop", [5, 3]),
        ("database", "shop", [2]),
    ]


def test_a_part_that_comes_back_is_another_version(index: Path, job: StoredJob) -> None:
    job.add(dump("shop", "one"), parts=[part("shop")])
    job.add(dump("shop", "one"), parts=[])
    job.add(dump("shop", "one"), parts=[part("shop")])

    update(index, job)

    assert shown_parts(index) == [("database", "shop", [3]), ("database", "shop", [1])]


def test_a_damaged_restore_point_shows_no_version_of_a_part(index: Path, job: StoredJob) -> None:
    for content in ("one", "two", "one"):
        job.add(dump("shop", content), parts=[part("shop")])
    stored = job.stored(2)
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)

    update(index, job)

    assert shown_parts(index) == [("database", "shop", [3, 1])]


def test_a_part_of_the_root_changes_with_every_file_and_with_no_dump(index: Path, job: StoredJob) -> None:
    parts = [part("/", kind=FILES), part("shop")]
    job.add(file("/srv/a", "one"), dump("shop", "one"), parts=parts)
    job.add(file("/srv/a", "one"), dump("shop", "two"), parts=parts)
    job.add(file("/srv/a", "two"), dump("shop", "two"), parts=parts)

    update(index, job)

    assert shown_parts(index) == [
        ("database", "shop", [3, 2]),
        ("database", "shop", [1]),
        ("files", "/", [3]),
        ("files", "/", [2, 1]),
    ]


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        (PartGlob("shop"), ["shop", "shop"]),
        (PartGlob("shop", "database"), ["shop"]),
        (PartGlob("sh*", "database"), ["shop", "shout"]),
        (PartGlob("*"), ["main/shop", "shop", "shout", "shop"]),
        (PartGlob("main/*"), ["main/shop"]),
        (PartGlob("**/shop"), ["main/shop", "shop", "shop"]),
        (PartGlob("shop", "files"), []),
        (PartGlob("/srv/*"), ["/srv/a*", "/srv/shop"]),
        (PartGlob("/srv/a*"), ["/srv/a*"]),
        (PartGlob("/srv/a\\*"), ["/srv/a*"]),
        (PartGlob("/shop"), []),
        (PartGlob("/"), ["/srv/a*", "/srv/shop"]),
    ],
)
def test_only_parts_that_are_asked_for_are_found(index: Path, job: StoredJob, glob: PartGlob, names: list[str]) -> None:
    parts = [part(name) for name in ("shop", "shout", "main/shop")] + [part("shop", kind=DATABASE_USERS)]
    job.add(parts=[*parts, *(part(name, kind=FILES) for name in ("/srv/shop", "/srv/a*"))])

    update(index, job)

    assert [name for _kind, name, _points in shown_parts(index, glob)] == names


def test_a_part_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        PartFilter([PartGlob("")])


@pytest.mark.parametrize("glob", ["/**", "/", "/**/shop", "/parts:/**", "/database/shop", "/?arts:/**"])
def test_no_path_ever_means_a_dump(index: Path, job: StoredJob, glob: str) -> None:
    job.add(file("/srv/a"), dump("shop", "one"), dump("main/wiki", "one"), parts=[])

    update(index, job)

    assert rows(index) == 3
    assert {path for path, _points in shown(index, glob)} <= {"/srv/a"}


def test_no_more_than_the_newest_hundred_restore_points_of_a_version_are_listed(index: Path, job: StoredJob) -> None:
    for _day in range(103):
        job.add(file("/srv/a"), dump("shop", "one"), parts=[part("shop")])

    update(index, job)

    (version,) = versions(index)
    with reading(index) as catalog:
        (of_part,) = catalog.part_versions(PartFilter([PartGlob("shop")]))
    for found in (version, of_part):
        assert found.point_count == 103
        assert [point.seq for point in found.points] == list(range(103, 3, -1))


# -- one restore point of each job


def test_the_newest_restore_point_of_each_job_is_one_that_is_not_damaged(index: Path) -> None:
    storage = FakeStorage()
    jobs = [StoredJob(storage, "web01", name) for name in ("daily", "hourly", "weekly")]
    for job, days in zip(jobs, (3, 2, 1)):
        for day in range(days):
            job.add(file("/srv/a", str(day)))
    for job in jobs[1:]:  # of the second job the newest one is damaged, of the third one the only one
        stored = job.points()[-1].stored
        job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)
    for job in jobs:
        update(index, job)

    with reading(index) as catalog:
        found = [(point.job, point.seq, point.is_damaged) for point in catalog.newest_points()]
    assert found == [("daily", 3, False), ("hourly", 1, False), ("weekly", 1, True)]


def test_only_what_one_restore_point_shows_is_found(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"), dump("shop", "one"), parts=[part("shop")])
    job.add(file("/srv/a", "two"), file("/srv/b"), dump("shop", "two"), parts=[part("shop")])
    job.add(file("/srv/a", "two"), dump("shop", "two"), parts=[part("shop")])
    update(index, job)

    def at(seq: int) -> list[list[int]]:
        with reading(index) as catalog:
            ((job_id, *_names),) = catalog.jobs()
            found = catalog.versions(PathFilter(["/**"]), at={job_id: seq})
            parts = catalog.part_versions(PartFilter([PartGlob("*")]), at={job_id: seq})
            shown = [[point.seq for point in version.points] for version in found]
            shown += [[point.seq for point in version.points] for version in parts]
            assert list(catalog.versions(PathFilter(["/**"]), at={})) == []
            assert list(catalog.part_versions(PartFilter([PartGlob("*")]), at={})) == []
        return shown

    assert at(1) == [[1], [1]]
    assert at(2) == [[3, 2], [2], [3, 2]]
    assert at(3) == [[3, 2], [3, 2]]


# -- globs find the same by ranges and literals as by looking at everything


@pytest.mark.parametrize("seed", range(10))
def test_globs_find_what_they_match_and_nothing_else(index: Path, job: StoredJob, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "ab", "a-b", "a.b", "ä", "*", "logs"]
    paths = {"/" + "/".join(chance.choices(names, k=chance.randint(1, 4))) for _number in range(200)}
    job.add(*map(file, sorted(paths)))
    update(index, job)
    pieces = [*names[:-2], "\\*", "**", "*", "?", "a*", "*b", "**b", "lo?s", "lo**s"]

    for _try in range(60):
        globs = [
            "/" + "/".join(chance.choices(pieces, k=chance.randint(1, 4))) for _glob in range(chance.randint(1, 4))
        ]
        wanted = PathFilter(globs)
        expected = sorted(
            (path.encode() for path in paths if wanted.matches(path.encode())), key=lambda path: path.split(b"/")
        )
        assert [version.path for version in versions(index, *globs)] == expected, globs


# -- damage


def test_a_manifest_with_a_broken_block_is_told_and_stops_nothing(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a", "one"))
    stored = job.add(file("/srv/a", "two"))
    job.add(file("/srv/a", "three"))
    block = job.reader(stored).trailer.blocks[1]
    job.spoil(stored.path, block.offset + 5)

    (sentence,) = update(index, job)

    assert stored.path.name in sentence
    assert shown(index) == [("/srv/a", [3]), ("/srv/a", [1])]
    with reading(index) as catalog:
        assert [point.is_damaged for point in catalog.points()] == [False, True, False]
    assert update(index, job) == ()


def test_entries_out_of_order_are_damage(index: Path, job: StoredJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.stored_job.order_key", lambda path: bytes(255 - byte for byte in path))
    job.add(file("/srv/a"), file("/srv/b"))

    (sentence,) = update(index, job)

    assert "/srv/a is out of order" in sentence
    assert versions(index) == []


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_an_index_that_is_none_is_begun_anew_and_told(index: Path, job: StoredJob, content: bytes) -> None:
    index.parent.mkdir(parents=True)
    index.write_bytes(content)
    job.add(file("/srv/a"))

    (sentence,) = update(index, job)

    assert "reindex" in sentence
    assert shown(index) == [("/srv/a", [1])]


def test_an_index_that_is_damaged_inside_is_begun_anew_and_told(index: Path, job: StoredJob) -> None:
    job.add(*(file(f"/srv/{n}") for n in range(2000)))
    update(index, job)
    whole = index.read_bytes()
    index.write_bytes(whole[:4096] + random.Random(1).randbytes(len(whole) - 4096))
    job.add(file("/srv/a"))

    with pytest.raises(LocalError, match="index"):
        versions(index)
    (sentence,) = update(index, job)

    assert "damaged" in sentence
    assert seqs(index) == [2, 1]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_flipped_in_an_index_every_question_gets_an_answer_or_a_sentence(
    index: Path, job: StoredJob, seed: int
) -> None:
    for day in range(4):
        entries = [file(f"/srv/{n}", str(n % (day + 2))) for n in range(150)]
        job.add(*entries, parts=[part("shop"), part("/srv", kind=FILES)])
    update(index, job)
    chance = random.Random(seed)
    content = bytearray(index.read_bytes())
    if seed % 4 == 0:
        del content[chance.randrange(len(content)) :]
    else:
        for _flip in range(chance.choice([1, 5, 50])):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    index.write_bytes(content)
    everything = PartFilter([PartGlob("**"), PartGlob("/**")])
    questions: list[Callable[[Catalog], object]] = [
        lambda catalog: [catalog.parts(point) for point in catalog.points()],
        lambda catalog: list(catalog.newest_points()),
        lambda catalog: catalog.oldest(),
        lambda catalog: list(catalog.versions(PathFilter(["/**"]))),
        lambda catalog: list(catalog.versions(PathFilter(["/**/12"]), at={1: 2})),
        lambda catalog: list(catalog.part_versions(everything)),
    ]

    for question in questions:
        with suppress(LocalError), reading(index) as catalog:
            question(catalog)
    job.add(file("/srv/a"))
    update(index, job)

    with suppress(UnusableIndexError):  # what an update does not need may still be damaged
        assert 5 in seqs(index)


def test_the_sentence_on_a_value_that_nobody_wrote_says_what_to_do(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"))
    update(index, job)
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("UPDATE versions SET content = 7")
        connection.commit()

    with pytest.raises(UnusableIndexError, match="is damaged: it holds what nobody wrote; reindex makes it anew"):
        versions(index)


def test_an_index_of_another_version_is_begun_anew_and_told(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"))
    update(index, job)
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(LocalError, match="another version"):
        versions(index)
    (sentence,) = update(index, job)

    assert "another version" in sentence
    assert shown(index) == [("/srv/a", [1])]


def test_a_failure_in_between_leaves_the_index_as_it_was(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"))
    update(index, job)
    job.add(file("/srv/b"))
    points = job.points()
    job.add(file("/srv/c"))
    job.remove(2)

    def reader(stored: StoredPoint) -> ManifestReader:
        raise LookupError(stored)

    with pytest.raises(LookupError):
        update_job(index, job.client, job.job, job.structure, points, reader)

    assert shown(index) == [("/srv/a", [1])]


# -- the file


def test_only_its_owner_can_read_the_index_and_nothing_lies_beside_it(index: Path, job: StoredJob) -> None:
    old_mask = os.umask(0)
    try:
        job.add(file("/srv/a"))
        update(index, job)
    finally:
        os.umask(old_mask)

    assert sorted(path.name for path in index.parent.iterdir()) == ["index.lock", "index.sqlite"]
    assert [path.stat().st_mode & 0o777 for path in (index, index.parent, index.parent.parent)] == [0o600, 0o700, 0o700]


def test_two_do_not_write_at_once(index: Path) -> None:
    with writer_lock(index), pytest.raises(LockedError, match="is being written"), writer_lock(index, patience=0.1):
        pass

    with writer_lock(index, patience=0):
        pass


def test_a_lock_of_a_dead_run_is_free(index: Path) -> None:
    index.parent.mkdir(parents=True)
    descriptor = os.open(index.with_name("index.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)  # the kernel does so for whoever dies

    with writer_lock(index, patience=0):
        pass


def test_a_reader_sees_one_state_whatever_is_put_in_its_place(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"))
    update(index, job)

    with reading(index) as catalog:
        before = list(catalog.points())
        new = index.with_name("index.new")
        with making(new):
            pass
        replace_index(index, new)
        assert list(catalog.points()) == before

    assert seqs(index) == []


def test_the_journal_of_a_killed_run_is_not_played_into_another_index(index: Path, job: StoredJob) -> None:
    job.add(file("/srv/a"))
    update(index, job)
    journal = index.with_name("index.sqlite-journal")
    journal.write_bytes(b"half of something")
    new = index.with_name("index.new")
    with making(new):
        pass

    replace_index(index, new)

    assert not journal.exists()
    assert seqs(index) == []


def test_an_index_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LookupError), making(tmp_path / "index.new") as catalog, catalog.transaction():
        raise LookupError

    assert list(tmp_path.iterdir()) == []


def test_a_python_without_sqlite_is_told_in_a_sentence(
    index: Path, job: StoredJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "sqlite3", None)

    with pytest.raises(LocalError, match="sqlite3"):
        update(index, job)
    assert not index.exists()
