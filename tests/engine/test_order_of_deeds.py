# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be deleted and when: only what an explicit list names, and never what another restore point needs."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError, InterruptedTransferError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import commit
from tests.engine.child import Strike
from tests.engine.tidy import assert_tidy, manifests_of, points_of
from tests.engine.trees import change_tree, make_tree, tree_of

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Chunks, Storage
    from tests.engine.site import Site

DEAD_RUN = "20200101t000000z-0dead0"
RUN = "20260101t000000z-abcdef"


def files_of(directory: Path) -> set[Path]:
    return {path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}


def put(path: Path, content: bytes = b"content") -> Path:
    """Lay a file on the server's disk as its FTP user would have."""
    made = [path, *(parent for parent in path.parents if not parent.exists())]
    owner = next(parent for parent in path.parents if parent.exists()).stat()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for new in made:
        os.chown(new, owner.st_uid, owner.st_gid)
    return path


# damage stops deletion


def test_a_damaged_manifest_stops_all_deletion_in_the_job_until_it_is_mended(site: Site) -> None:
    make_tree(site.source, big=0)
    for number in (1, 2):
        site.back_up(last=2)
        change_tree(site.source, number)
    manifest = manifests_of(site.job)[0]
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-40])
    before = files_of(site.job)

    outcomes = [site.back_up(last=2) for _number in range(3)]

    assert before <= files_of(site.job)
    for outcome in outcomes:
        assert outcome.values["pruned"] == []
        assert any("Nothing is deleted" in warning and manifest.name in warning for warning in outcome.warnings)
    manifest.write_bytes(whole)
    mended = site.back_up(last=2)
    assert mended.warnings == ()
    assert len(points_of(site.job)) == 2
    assert_tidy(site.job)
    assert site.restored() == tree_of(site.source)


@pytest.mark.parametrize("place", ["header", "trailer", "footer"])
def test_a_manifest_with_a_flipped_byte_stops_all_deletion(site: Site, place: str) -> None:
    make_tree(site.source, big=0)
    for _number in range(2):
        site.back_up(last=2)
    manifest = manifests_of(site.job)[1]
    content = bytearray(manifest.read_bytes())
    content[{"header": 30, "trailer": len(content) - 60, "footer": len(content) - 20}[place]] ^= 0x55
    manifest.write_bytes(content)
    site.forget()
    before = files_of(site.job)

    outcome = site.back_up(last=1)

    assert before <= files_of(site.job)
    assert outcome.values["pruned"] == []
    assert any(manifest.name in warning for warning in outcome.warnings)
    assert site.restored() == tree_of(site.source)


def test_a_manifest_of_a_newer_format_stops_all_deletion(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    newer = put(manifests_of(site.job)[0].with_name(f"000002-{RUN}.manifest.gz"), b"\x1f\x8b\x08 something new")

    outcome = site.back_up(last=1)

    assert outcome.values["point"]["seq"] == 3
    assert outcome.values["pruned"] == []
    assert any(newer.name in warning for warning in outcome.warnings)
    assert len(manifests_of(site.job)) == 3


def test_latest_passes_over_a_damaged_point_and_says_so(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    before = tree_of(site.source)
    change_tree(site.source, 1)
    site.back_up()
    manifest = manifests_of(site.job)[1]
    manifest.write_bytes(manifest.read_bytes()[:-1])

    assert site.restored() == before


# damage heals


@pytest.mark.parametrize("damage", ["gone", "shorter", "longer"])
def test_a_volume_that_the_base_lacks_is_sent_again(site: Site, damage: str) -> None:
    make_tree(site.source, big=9_000_000)
    site.back_up(last=1)
    volume = max(site.job.rglob("*.tar.gz"), key=lambda path: path.stat().st_size)
    if damage == "gone":
        volume.unlink()
    else:
        os.truncate(volume, volume.stat().st_size + (-1 if damage == "shorter" else 1))

    site.back_up(last=1)

    assert site.restored() == tree_of(site.source)
    assert_tidy(site.job)


# a prune that was killed


def test_what_a_killed_prune_noted_is_finished_by_the_next_run(site: Site) -> None:
    options: dict[str, t.Any] = {"structure": "full", "last": 1}
    make_tree(site.source, big=0)
    site.back_up(**options)
    site.kill_run(Strike(pattern=r"^DELE [^\n]*\.tar"), **options)
    assert list(site.job.rglob("*.gone"))
    assert len(points_of(site.job)) == 1
    assert len(list(site.job.rglob("*.tar.gz"))) == 2

    site.back_up(**options)

    assert_tidy(site.job)


def test_a_note_whose_manifest_is_still_there_is_carried_out(site: Site) -> None:
    make_tree(site.source, big=0)
    for _number in range(2):
        site.back_up(last=3)
    path = manifests_of(site.job)[0]
    going, staying = points_of(site.job)
    volumes = [*map(str, going.volumes), *map(str, staying.volumes)]
    note = json.dumps({"points": [str(path.relative_to(site.job))], "volumes": volumes}).encode()
    put(path.with_name("000001.gone"), note)

    site.back_up(last=3)

    assert [point.seq for point in points_of(site.job)] == [2, 3]
    assert_tidy(site.job)
    assert site.restored(staying.run) == tree_of(site.source)


@pytest.mark.parametrize("point", ["job.json", "points/../job.json", "points/202611/000001.keep", "/etc/passwd"])
def test_a_note_deletes_nothing_but_manifests_and_volumes(site: Site, point: str) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=3)
    note = put(
        manifests_of(site.job)[0].with_name("000001.gone"), json.dumps({"points": [point], "volumes": []}).encode()
    )

    (warning,) = site.back_up(last=3).warnings

    assert "which is no manifest" in warning
    assert note.exists()
    assert (site.job / "job.json").exists()


def test_a_note_never_deletes_what_another_point_needs(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    (point,) = points_of(site.job)
    unneeded = f"s01/v00/{DEAD_RUN}-000000.tar.gz"
    put(site.job / unneeded)
    note = json.dumps({"points": [], "volumes": [*map(str, point.volumes), unneeded]}).encode()
    put(manifests_of(site.job)[0].with_name("000000.gone"), note)

    site.back_up(last=2)

    assert len(points_of(site.job)) == 2
    assert_tidy(site.job)
    assert site.restored(point.run) == tree_of(site.source)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"not json",
        b'{"volumes": 7}',
        b'{"volumes": ["../../../../readme.txt"]}',
        b'{"volumes": ["job.json"]}',
        b'{"volumes": ["s01/v00/../../job.json"]}',
        b'{"volumes": ["points/202611/000001-20260101t000000z-abcdef.manifest.gz"]}',
    ],
)
def test_a_damaged_note_deletes_nothing_and_stops_no_backup(site: Site, note: bytes) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=2)
    put(manifests_of(site.job)[0].with_name("000000.gone"), note)
    before = files_of(site.server.root)

    outcome = site.back_up(last=2)

    assert {path for path in before if path.suffix != ".gone"} <= files_of(site.server.root)
    assert any("000000.gone" in warning for warning in outcome.warnings)
    assert site.restored() == tree_of(site.source)


# a manifest that was published and is withdrawn


class Losing:
    """A storage that loses the file *victim* on the server's disk while a manifest is published."""

    def __init__(self, storage: Storage, victim: Path) -> None:
        self._storage = storage
        self._victim = victim

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    def publish(self, staged: PurePosixPath, path: PurePosixPath, chunks: Chunks) -> None:
        self._storage.publish(staged, path, chunks)
        self._victim.unlink()


def test_a_manifest_whose_volume_is_missing_right_after_is_withdrawn(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=3)
    (tmp_path / "manifest").write_bytes(b"a manifest" * 1000)
    volume = put(site.job / "s02/v00" / f"{RUN}-000000.tar.gz")
    job = PurePosixPath(site.job.relative_to(site.server.root))
    path = job / "points/202601" / f"000002-{RUN}.manifest.gz"
    volumes = {f"v00/{volume.name}": volume.stat().st_size}

    with site.storage() as storage:
        losing = t.cast("Storage", Losing(storage, volume))
        publication = commit.Publication(losing, tmp_path / "manifest", path)
        publication.stage(makes_month=True)
        with pytest.raises(InterruptedTransferError, match=f"withdrawn.*{volume.name}"):
            publication.publish(job / "s02", volumes, lambda: None)

    assert len(manifests_of(site.job)) == 1
    assert site.back_up(last=3).values["point"]["seq"] == 2
    assert site.restored() == tree_of(site.source)


def test_a_manifest_is_not_published_once_the_lock_is_lost(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    (tmp_path / "manifest").write_bytes(b"a manifest")
    job = PurePosixPath(site.job.relative_to(site.server.root))

    def prove() -> None:
        raise DamageError("lost")

    path = job / "points/202601" / f"000002-{RUN}.manifest.gz"
    with site.storage() as storage:
        publication = commit.Publication(storage, tmp_path / "manifest", path)
        publication.stage(makes_month=True)
        with pytest.raises(DamageError):
            publication.publish(job / "s02", {}, prove)

    assert len(manifests_of(site.job)) == 1


# the sweep


def test_the_sweep_takes_the_leftovers_of_its_own_job_and_nothing_else(site: Site) -> None:
    make_tree(site.source, big=0)
    for job in ("nightly", "weekly"):
        site.back_up(job, last=2)
    (nightly,) = site.server.root.glob("clients/*/*/nightly-*")
    (weekly,) = site.server.root.glob("clients/*/*/weekly-*")
    leftovers = (
        f"s01/v00/{DEAD_RUN}-000007.tar.gz",
        f"s02/v03/{DEAD_RUN}-000008.tar",
        f"full-{DEAD_RUN}/v00/{DEAD_RUN}-000000.tar.gz",
        f"s01/v00/{DEAD_RUN}-000009.tar.gz.{DEAD_RUN}-3.tmp",
        f"points/202001/000009-{DEAD_RUN}.manifest.gz.{DEAD_RUN}-4.tmp",
        f"job.json.{DEAD_RUN}-1.tmp",
    )
    strangers = (
        "notes.txt",
        "s01/v00/photo.jpg",
        "s01/v00/archive.tar.gz",
        "points/202002/000001.txt",
        "my stuff/a.tmp",
    )
    for directory in (nightly, weekly):
        for name in (*leftovers, *strangers):
            put(directory / name)
    weekly_before = files_of(weekly)
    needed = {path for point in points_of(nightly) for path in point.volumes}
    site.forget()

    site.back_up("nightly", last=2)

    after = files_of(nightly)
    assert not {Path(name) for name in leftovers} & after
    assert {Path(name) for name in strangers} <= after
    assert {Path(path) for path in needed} <= after
    assert files_of(weekly) == weekly_before
    for stranger in strangers:
        (nightly / stranger).unlink()
    shutil.rmtree(nightly / "my stuff")
    (nightly / "points/202002").rmdir()
    assert_tidy(nightly)


def test_nothing_is_swept_while_a_manifest_is_damaged(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=3)
    site.back_up(last=3)
    manifest = manifests_of(site.job)[1]
    manifest.write_bytes(manifest.read_bytes()[:100])
    needed = set(site.job.rglob("*.tar.gz"))
    site.forget()

    site.back_up(last=3)

    assert needed <= set(site.job.rglob("*.tar.gz"))


# months


def test_months_whose_restore_points_are_gone_are_gone_as_well(site: Site) -> None:
    make_tree(site.source, big=0)
    for month in range(4):
        site.later(days=31 * month).back_up(last=1)

    (manifest,) = manifests_of(site.job)
    assert list(site.job.glob("points/*")) == [manifest.parent]


def test_a_point_dated_in_the_future_is_told_and_does_not_count_as_fresh(site: Site) -> None:
    make_tree(site.source, big=0)
    site.later(days=400).back_up()

    outcome = site.back_up(force=False)

    assert (outcome.changed, outcome.values["point"]["seq"]) == (True, 2)
    assert any("future" in warning for warning in outcome.warnings)
    assert site.restored() == tree_of(site.source)


def test_a_host_that_lost_its_state_still_finds_the_fresh_point(site: Site) -> None:
    make_tree(site.source, big=0)
    first = site.back_up().values["point"]
    site.forget()

    again = site.back_up(force=False)

    assert not again.changed
    assert again.values["point"]["id"] == first["id"]
    assert_tidy(site.job)
