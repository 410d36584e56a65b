# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index answers what is asked of it, a page at a time."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.catalog import reading
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.index_file import writer_lock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    DATABASE,
    FILES,
    Part,
    Problem,
    dump_path,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.part_globs import PartGlob
from tests.unit.indexing_host import Host
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_job import StoredJob, file, other

if t.TYPE_CHECKING:
    from pathlib import Path

PARTS = (Part(FILES, "/srv", 2, 7), Part(DATABASE, "shop", 1, 4))


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def host(tmp_path: Path, storage: FakeStorage) -> Host:
    return Host(tmp_path, storage)


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
            "account": None,
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
            "part_count": 1,
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
        "account": None,
        "job": "nightly",
        "client": "web01",
        "kind": "file",
        "bytes": 3,
        "mtime": "2025-11-22T02:53:20.123456Z",
        "digest": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "target": None,
        "point_count": 2,
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


# -- one restore point of each job


@pytest.fixture
def three_days(host: Host, storage: FakeStorage) -> Host:
    """A host with a restore point of 2, 3 and 4 November, each with another content of one file, and one dump."""
    job = StoredJob(storage)
    for content in ("one", "two", "three"):
        job.add(file("/srv/a", content), file("/srv/b"), file(dump_path(DATABASE, "shop"), "rows"), parts=PARTS)
    host.reindex()
    return host


@pytest.mark.parametrize(
    ("point", "seq"),
    [
        ("latest", 3),
        ("20261103t030000z-000002", 2),
        ("2026-11-04", 3),
        ("2026-11-03", 2),
        ("2026-11-03T03:00:00Z", 2),
        ("2026-11-03T02:59:59Z", 1),
        ("2026-11-03T04:59:59+02:00", 1),
        ("2026-11-03T05:00:00+02:00", 2),
        ("9999-12-31T23:59:59-14:00", 3),
    ],
)
def test_one_restore_point_is_meant_by_the_words_of_a_restore(three_days: Host, point: str, seq: int) -> None:
    answer = three_days.answer(point=point, paths=["/srv/a"], parts=[PartGlob("**"), PartGlob("/**")])

    assert [found["seq"] for found in answer["points"]] == [seq]
    assert [[showing["seq"] for showing in found["points"]] for found in answer["versions"]] == [[seq]]
    assert [[showing["seq"] for showing in found["points"]] for found in answer["parts"]] == [[3, 2, 1], [seq]]
    assert not answer["truncated"]


def test_of_each_job_one_restore_point_is_meant(three_days: Host, storage: FakeStorage) -> None:
    other_job = StoredJob(storage, "db01")
    other_job.add(file("/srv/a", "db"))
    three_days.reindex()

    answer = three_days.answer(point="2026-11-03", paths=["/srv/a"])

    assert [(point["client"], point["seq"]) for point in answer["points"]] == [("web01", 2), ("db01", 1)]
    assert [(version["client"], version["points"][0]["seq"]) for version in answer["versions"]] == [
        ("db01", 1),
        ("web01", 2),
    ]
    page = three_days.answer(point="2026-11-03", limit=1, offset=1)
    assert ([point["client"] for point in page["points"]], page["truncated"]) == (["db01"], False)


def test_a_date_passes_over_damaged_restore_points_and_an_id_does_not(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    job.add(file("/srv/a", "one"))
    stored = job.add(file("/srv/a", "two"))
    job.spoil(stored.path, job.reader(stored).trailer.blocks[1].offset + 5)
    host.reindex()

    (by_date,) = host.answer(point="2026-11-30")["points"]
    by_id = host.answer(point=stored.run, paths=["/srv"])

    assert by_date["seq"] == 1
    assert ([point["seq"] for point in by_id["points"]], by_id["versions"]) == ([2], [])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {"point": "2026-11-01", "job": "nightly"},
            "There is no restore point of 'nightly' until 2026-11-01T23:59:59Z; the oldest is of 2026-11-02T03:00:00Z.",
        ),
        (
            {"point": "0001-01-01T00:00:00+14:00", "client": "web01"},
            "There is no restore point of the client 'web01' until 0001-01-01T00:00:00Z; the oldest is of 2026-11-02",
        ),
        (
            {"point": "20261103t030000z-000009"},
            "There is no restore point '20261103t030000z-000009' of any job in the index of 'far'.",
        ),
        (
            {"point": "20261103t030000z-000002", "client": "web01", "job": "hourly"},
            "There is no restore point '20261103t030000z-000002' of 'hourly' of the client 'web01' in the index",
        ),
        ({"point": "latest", "job": "hourly"}, "There is no restore point of 'hourly' in the index of 'far'."),
        ({"point": "2026-11-03", "job": "hourly"}, "There is no restore point of 'hourly' in the index of 'far'."),
    ],
)
def test_where_no_restore_point_is_meant_a_sentence_says_so(
    three_days: Host, asked: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UsageError) as raised:
        three_days.answer(**asked)

    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize("point", ["2026-13-01", "2026-11-03T25:00:00Z", "2026-11-03 noon"])
def test_what_only_looks_like_a_date_is_refused_before_anything_is_looked_at(host: Host, point: str) -> None:
    with pytest.raises(UsageError, match="neither 'latest' nor an id nor a date"):
        host.answer(point=point)


# -- parts


def test_versions_of_parts_are_told_with_the_restore_points_that_show_them(three_days: Host) -> None:
    answer = three_days.answer(parts=[PartGlob("sh*", DATABASE)])

    assert answer["parts"] == [
        {
            "kind": "database",
            "name": "shop",
            "account": None,
            "job": "nightly",
            "client": "web01",
            "entries": 1,
            "bytes": 4,
            "point_count": 3,
            "points": [
                {"id": "20261104t030000z-000003", "seq": 3, "created": "2026-11-04T03:00:00Z"},
                {"id": "20261103t030000z-000002", "seq": 2, "created": "2026-11-03T03:00:00Z"},
                {"id": "20261102t030000z-000001", "seq": 1, "created": "2026-11-02T03:00:00Z"},
            ],
        }
    ]
    assert "versions" not in answer


def test_paths_never_mean_a_dump(three_days: Host) -> None:
    versions = three_days.answer(paths=["/**"])["versions"]

    assert {version["path"] for version in versions} == {"/srv/a", "/srv/b"}


# -- pages


def test_pages_put_together_are_the_whole_answer(three_days: Host) -> None:
    asked: dict[str, t.Any] = {"paths": ["/srv"], "parts": [PartGlob("**"), PartGlob("/**")]}
    whole = three_days.answer(**asked)

    pages = [three_days.answer(**asked, limit=2, offset=offset) for offset in (0, 2, 4)]

    assert [page["truncated"] for page in pages] == [True, False, False]
    for name, count in (("points", 3), ("versions", 4), ("parts", 4)):
        assert len(whole[name]) == count
        assert [item for page in pages for item in page[name]] == whole[name]


def test_however_much_is_asked_for_an_answer_stays_small(host: Host, storage: FakeStorage) -> None:
    job = StoredJob(storage)
    parts = [Part(DATABASE, f"db{number:04d}", 1, 1) for number in range(1005)]
    problems = [Problem(f"/srv/{number}", "Permission denied") for number in range(30)]
    for _day in range(12):
        job.add(file("/srv/a"), parts=parts, problems=problems)
    host.reindex()

    def shape(limit: int) -> tuple[int, int, int]:
        answer = host.answer(paths=["/srv/a"], limit=limit)
        point, version = answer["points"][0], answer["versions"][0]
        assert (point["part_count"], point["problem_count"], version["point_count"]) == (1005, 30, 12)
        return len(point["parts"]), len(point["problems"]), len(version["points"])

    assert shape(100) == (1000, 20, 12)
    assert shape(1000) == (100, 20, 12)
    assert shape(10_000) == (10, 10, 10)


@pytest.mark.parametrize(
    "asked", [{"limit": 0}, {"limit": 10_001}, {"limit": -1}, {"offset": -1}, {"offset": 10**9 + 1}]
)
def test_a_page_that_cannot_be_is_refused(host: Host, asked: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"(limit|offset) is .*, and must be from"):
        host.answer(**asked)
