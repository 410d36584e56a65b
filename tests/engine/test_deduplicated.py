# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deduplicated job on a real server: content stands once, volumes are emptied, and every restore point restores."""

from __future__ import annotations

import random
import shutil
import typing as t
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.damage import Damage, write_damage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.choosing import PointChooser
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy
from tests.engine.child import Strike
from tests.engine.site import NAME
from tests.engine.tidy import assert_tidy, manifests_of, points_of
from tests.engine.trees import change_tree, make_tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import StoredPoint
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.choosing import Surveyed
    from tests.engine.site import Option, Site
    from tests.engine.trees import Tree

KIB = 1024
DEDUPLICATED: dict[str, t.Any] = {"structure": "deduplicated", "compression": "none"}


def fill(directory: Path, chance: random.Random, files: int, size: int = 8 * KIB) -> None:
    """Write *files* files of *size* bytes that nothing else has."""
    directory.mkdir(exist_ok=True)
    for number in range(files):
        (directory / f"{number:03d}").write_bytes(chance.randbytes(size))


def volumes_of(site: Site) -> list[Path]:
    return sorted(site.job.glob("pool/v*/*"))


def stored_size(site: Site) -> int:
    return sum(volume.stat().st_size for volume in volumes_of(site))


def live_size(site: Site) -> int:
    """Return how many bytes of content the restore points name, each segment counted once."""
    live: dict[tuple[str, int, int], int] = {}
    for manifest in manifests_of(site.job):
        for entry in open_manifest(manifest).entries():
            live.update({(place.volume, place.offset, place.start): place.size for place in entry.places})
    return sum(live.values())


def kept(site: Site, trees: dict[str, Tree]) -> None:
    """Assert that every restore point that is there is the tree of its time."""
    assert_tidy(site.job)
    for point in points_of(site.job):
        assert site.restored(point.run) == trees[point.run]


def backed_up(site: Site, trees: dict[str, Tree], **options: Option) -> dict[str, t.Any]:
    outcome = site.back_up(**{**DEDUPLICATED, **options})
    assert outcome.warnings == ()
    point: dict[str, t.Any] = outcome.values["point"]
    trees[point["id"]] = tree_of(site.source)
    return point


def about_to_be_emptied(site: Site, trees: dict[str, Tree]) -> dict[str, t.Any]:
    """Back up twice, and return the second point, little of whose volumes is needed once the first one goes."""
    fill(site.source, random.Random(1), 100)
    backed_up(site, trees, retention=Policy(last=2))
    for path in sorted(site.source.iterdir())[5:]:
        path.unlink()
    second = backed_up(site, trees, retention=Policy(last=2))
    (site.source / "000").unlink()
    return second


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_points_of_one_pool_cost_their_changes_and_each_restores(site: Site, compression: str) -> None:
    trees: dict[str, Tree] = {}
    make_tree(site.source)
    points = [backed_up(site, trees, compression=compression)]

    for number in range(3):
        change_tree(site.source, number)
        points.append(backed_up(site, trees, compression=compression))

    assert all(later["bytes_sent"] < points[0]["bytes_sent"] / 2 for later in points[1:])
    assert {point["pool"] for point in points} == {"pool"}
    kept(site, trees)


def test_content_that_lies_elsewhere_already_is_not_sent_again(site: Site) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 50)
    backed_up(site, trees)
    shutil.copytree(site.source, site.source / "copy")
    (site.source / "000").rename(site.source / "renamed")

    point = backed_up(site, trees)

    assert point["bytes_sent"] < 20 * KIB
    kept(site, trees)


def test_content_that_comes_twice_in_one_run_is_sent_once(site: Site) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 50)
    shutil.copytree(site.source, site.source / "copy")

    point = backed_up(site, trees)

    assert point["bytes"] == 100 * 8 * KIB
    assert point["bytes_sent"] < 60 * 8 * KIB
    kept(site, trees)


def test_a_lost_table_is_made_anew_from_the_manifests(site: Site) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 50)
    backed_up(site, trees)
    site.forget()
    (site.source / "000").rename(site.source / "renamed")

    point = backed_up(site, trees)

    assert point["bytes_sent"] < 20 * KIB
    kept(site, trees)


@pytest.mark.parametrize("spoiled", [b"", b"no table at all", b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_table_is_made_anew(site: Site, spoiled: bytes) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 20)
    backed_up(site, trees)
    (table,) = site.home.glob("var/**/pool.sqlite")
    table.write_bytes(spoiled)
    fill(site.source / "more", random.Random(2), 2)

    point = backed_up(site, trees)

    assert point["bytes_sent"] < 40 * KIB
    kept(site, trees)


def test_sparse_volumes_are_emptied_and_older_points_published_anew(site: Site) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 100)
    backed_up(site, trees, retention=Policy(last=2))
    first = volumes_of(site)
    for path in sorted(site.source.iterdir())[5:]:
        path.unlink()
    fill(site.source / "new", random.Random(2), 20)
    backed_up(site, trees, retention=Policy(last=2))
    (site.source / "000").unlink()  # the one before still needs it: it is read from the volume that goes
    backed_up(site, trees, retention=Policy(last=2))

    backed_up(site, trees, retention=Policy(last=2))

    assert not set(first) & set(volumes_of(site))
    assert stored_size(site) < 2 * live_size(site) + 64 * KIB
    kept(site, trees)


def test_a_restore_whose_volumes_are_emptied_meanwhile_goes_on_with_the_new_ones(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: dict[str, Tree] = {}
    second = about_to_be_emptied(site, trees)
    choose = PointChooser.choose
    chosen: list[str] = []

    def choose_and_lose(chooser: PointChooser, stored: Sequence[StoredPoint]) -> tuple[Surveyed, tuple[str, ...]]:
        found = choose(chooser, stored)
        chosen.append(found[0].point.stored.path.name)
        if len(chosen) == 1:
            for last in (2, 3):
                backed_up(site, trees, retention=Policy(last=last))
        return found

    monkeypatch.setattr(PointChooser, "choose", choose_and_lose)
    outcome = restore(site.registry, site.host, Wish(NAME, "nightly", site.home / "back"), check_mode=False)

    assert [name.split(".")[1] for name in chosen] == ["manifest", "g2"]
    assert outcome.values["point"]["id"] == second["id"]
    assert outcome.values["restored"]["files"] == 5
    assert tree_of(site.home / "back" / site.source.relative_to("/")) == trees[second["id"]]


def test_an_older_point_that_was_published_anew_keeps_its_id_and_number(site: Site) -> None:
    trees: dict[str, Tree] = {}
    second = about_to_be_emptied(site, trees)

    for last in (2, 3):
        backed_up(site, trees, retention=Policy(last=last))

    assert any(".g2.manifest" in path.name for path in manifests_of(site.job))
    assert second["id"] in [point.run for point in points_of(site.job)]
    kept(site, trees)


@pytest.mark.parametrize("seed", range(4))
def test_the_pool_stays_within_twice_what_is_live_and_one_run(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    trees: dict[str, Tree] = {}
    site.source.mkdir()
    for number in range(12):
        fill(site.source / f"{number % 5}", chance, chance.randrange(5, 60))
        for path in sorted(site.source.glob("*/*")):
            if chance.random() < 0.3:
                path.unlink()
        point = backed_up(site, trees, retention=Policy(last=chance.choice([1, 2, 4])))
        assert stored_size(site) < 2.2 * live_size(site) + point["bytes_sent"] + 64 * KIB
    kept(site, trees)


def test_damage_that_was_found_is_healed_in_older_points_too(site: Site) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 20)
    backed_up(site, trees)
    fill(site.source / "more", random.Random(2), 2)
    backed_up(site, trees)
    victim = volumes_of(site)[0]
    victim.write_bytes(bytes(victim.stat().st_size))
    with site.storage() as storage:
        pool = PurePosixPath(site.job.relative_to(site.server.root)) / "pool"
        write_damage(storage, pool, Damage(volumes=frozenset({f"v00/{victim.name}"})))

    backed_up(site, trees)

    assert not victim.exists()
    assert not list(site.job.glob("pool/damage.json"))
    kept(site, trees)


@pytest.mark.parametrize("structure", ["deduplicated", "full", "incremental"])
def test_a_run_that_is_killed_after_a_checkpoint_leaves_little_to_be_sent_again(site: Site, structure: str) -> None:
    trees: dict[str, Tree] = {}
    fill(site.source, random.Random(1), 100)
    strike = Strike(pattern=r"^RNFR [^\n]*manifest\.gz")
    site.kill_run(strike, checkpoint_every=64 * KIB, structure=structure, compression="none")
    assert list(site.job.glob("points/*/*.checkpoint.gz"))

    point = backed_up(site, trees, structure=structure)

    assert point["bytes_sent"] < 20 * 8 * KIB
    assert not list(site.job.glob("points/*/*.checkpoint.gz"))
    kept(site, trees)
