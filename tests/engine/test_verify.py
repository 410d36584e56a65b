# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification finds damaged on a real server, the next backup heals."""

from __future__ import annotations

import random
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import Request, verify
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verifying.findings import DamageFoundError
from tests.engine.site import NAME
from tests.engine.test_damage import flip
from tests.engine.test_locking import STOPPED_BEFORE_COMMIT
from tests.engine.tidy import assert_tidy, manifests_of, points_of
from tests.engine.trees import change_tree, make_tree, tree_of
from tests.outcomes import told

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Option, Site

COMPRESSIONS = ("gzip", "zstd", "none")


def verified(site: Site, *, check_mode: bool = False, **options: Option) -> Outcome:
    request = replace(Request(NAME, fails_on_damage=False), **options)
    return verify(site.registry, site.host, request, check_mode=check_mode)


def volumes_of(site: Site) -> list[Path]:
    """Return the volumes on the server's disk, in order."""
    return sorted(path for path in site.job.rglob("*.tar*") if path.is_file())


def notes_of(site: Site) -> list[Path]:
    return sorted(site.job.rglob("*damage.json"))


def damaged(outcome: Outcome) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", outcome.values["damaged_files"])


@pytest.mark.parametrize("structure", ["incremental", "full", "deduplicated"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_backups_have_stored_is_whole(site: Site, structure: str, compression: str) -> None:
    make_tree(site.source)
    for number in (1, 2, 3):
        site.back_up(structure=structure, compression=compression, last=2)
        change_tree(site.source, number)

    outcome = verified(site)

    assert damaged(outcome) == []
    assert (outcome.values["whole"], outcome.changed, outcome.warnings) == (True, False, ())
    assert outcome.values["verified"]["manifests"] == len(manifests_of(site.job))
    assert outcome.values["verified"]["bytes"] == sum(path.stat().st_size for path in volumes_of(site))


def test_in_a_ring_what_is_damaged_is_sent_again_into_its_slot(site: Site) -> None:
    make_tree(site.source, big=0)
    for _number in (1, 2):
        site.back_up(last=2)
    damaged_volume = volumes_of(site)[0]
    flip(damaged_volume, damaged_volume.stat().st_size // 2)

    outcome = verified(site)
    (finding,) = damaged(outcome)
    healed = site.back_up(last=2)

    assert outcome.changed
    assert finding["recorded"]
    assert [point["seq"] for point in finding["points"]] == [1]
    assert finding["entries"] > 0
    assert healed.values["bytes_sent"] > 0
    assert verified(site).values["whole"]
    assert notes_of(site) == []
    assert site.restored() == tree_of(site.source)
    assert site.restored(points_of(site.job)[0].run) == tree_of(site.source)
    assert_tidy(site.job)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_only_what_is_damaged_is_sent_again_and_what_is_left_of_it_is_no_matter(site: Site, compression: str) -> None:
    make_tree(site.source, big=0)
    for number in range(6):
        (site.source / f"noise {number}").write_bytes(random.Random(number).randbytes(700_000))
    site.back_up(last=1, compression=compression)
    volume = max(volumes_of(site), key=lambda path: path.stat().st_size)
    before = volume.stat().st_size
    flip(volume, before // 2)

    found = verified(site)
    healed = site.back_up(last=1, compression=compression)
    after = verified(site)

    assert damaged(found)[0]["entries"] == 1
    assert 0 < healed.values["bytes_sent"] < before / 3
    assert volume.exists()
    assert (damaged(after), after.values["whole"], after.warnings) == ([], True, ())
    assert notes_of(site) == []
    assert site.restored() == tree_of(site.source)
    assert_tidy(site.job)


def test_of_full_copies_the_next_one_is_whole_and_the_damaged_one_goes_with_time(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(structure="full", last=2)
    flip(volumes_of(site)[0], 2000)
    verified(site)

    site.back_up(structure="full", last=2)
    between = verified(site)
    site.back_up(structure="full", last=2)

    assert [point["seq"] for point in damaged(between)[0]["points"]] == [1]
    assert not between.changed
    assert verified(site).values["whole"]
    assert notes_of(site) == []
    assert_tidy(site.job)


def test_in_a_deduplicated_job_older_restore_points_heal_as_well(site: Site) -> None:
    make_tree(site.source, big=0)
    trees = []
    for number in (1, 2):
        site.back_up(structure="deduplicated")
        trees.append(tree_of(site.source))
        (site.source / f"new {number}").write_text(f"number {number}\n" * 100)
    damaged_volume = max(volumes_of(site), key=lambda path: path.stat().st_size)
    flip(damaged_volume, damaged_volume.stat().st_size // 2)
    found = verified(site)

    site.back_up(structure="deduplicated")

    assert [point["seq"] for point in damaged(found)[0]["points"]] == [1, 2]
    assert damaged(verified(site)) == []
    assert notes_of(site) == []
    assert [site.restored(point.run) for point in points_of(site.job)[:2]] == trees


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_byte_that_flips_anywhere_on_the_server_is_found(site: Site, compression: str) -> None:
    make_tree(site.source, big=0)
    site.back_up(compression=compression)
    chance = random.Random(compression)

    for path in (*volumes_of(site), *manifests_of(site.job)):
        size = path.stat().st_size
        for offset in (0, size - 1, *(chance.randrange(size) for _number in range(8))):
            flip(path, offset)
            outcome = verified(site, check_mode=True)
            flip(path, offset)

            assert not outcome.values["whole"], f"{path.name} at {offset}"
            assert damaged(outcome)[0]["file"] == str(path.relative_to(site.job))
    assert verified(site).values["whole"]


def test_damage_in_a_job_that_is_being_backed_up_is_recorded_later(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=2)
    flip(volumes_of(site)[0], 2000)
    with site.start(STOPPED_BEFORE_COMMIT, last=2) as run:
        run.wait_until_stopped()

        meanwhile = verified(site)

        assert damaged(meanwhile)[0]["recorded"] is False
        assert "the next verification does that" in meanwhile.warnings[-1]
        assert notes_of(site) == []
        run.go_on()
        run.result()

    assert damaged(verified(site))[0]["recorded"] is True
    assert notes_of(site) != []


def test_another_host_finds_the_damage_and_records_nothing(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    flip(volumes_of(site)[0], 2000)
    other = site.as_other_host(tmp_path / "other")

    outcome = verified(other, client="web01")

    assert damaged(outcome)[0]["recorded"] is False
    assert not outcome.changed
    assert notes_of(site) == []


def test_a_volume_that_is_gone_heals(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    volumes_of(site)[0].unlink()

    with pytest.raises(DamageFoundError, match="is missing"):
        verified(site, fails_on_damage=True)
    site.back_up(last=1)

    assert verified(site).values["whole"]
    assert notes_of(site) == []
    assert site.restored() == tree_of(site.source)


def test_check_mode_leaves_no_trace_on_the_server_or_on_the_host(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    flip(volumes_of(site)[0], 2000)
    before = {path: path.read_bytes() for top in (site.job, site.home) for path in top.rglob("*") if path.is_file()}

    foretold = verified(site, check_mode=True)

    after = {path: path.read_bytes() for top in (site.job, site.home) for path in top.rglob("*") if path.is_file()}
    assert after == before
    assert told(foretold) == told(verified(site))


def test_what_was_found_stays_known_while_only_samples_are_read(site: Site) -> None:
    make_tree(site.source)
    site.back_up(volume_size=1024 * 1024)
    volumes = volumes_of(site)
    assert len(volumes) > 10
    flip(volumes[3], 2000)
    verified(site)

    sampled = verified(site, sample=10)

    assert damaged(sampled)[0]["file"] == str(volumes[3].relative_to(site.job))
    assert not sampled.changed
    assert names.run_of(volumes[3].name) is not None


def test_a_healed_job_is_fresh_again_without_another_verification(site: Site) -> None:
    make_tree(site.source, big=0)
    for number in range(6):
        (site.source / f"noise {number}").write_bytes(random.Random(number).randbytes(700_000))
    site.back_up(last=1)
    volume = max(volumes_of(site), key=lambda path: path.stat().st_size)
    flip(volume, volume.stat().st_size // 2)
    verified(site)

    healed = site.back_up(last=1, force=False)
    again = site.back_up(last=1, force=False)

    assert healed.changed
    assert not again.changed
    assert again.warnings == ()
