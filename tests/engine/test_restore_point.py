# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points that are removed or protected, on a real server: the others stay whole, whatever happens meanwhile."""

from __future__ import annotations

import random
import shutil
import signal
import typing as t
import zlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import MIN_VOLUME
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    DamageError,
    ForeignError,
    LockedError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import Question, list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import manifest as format_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.damage import Damage, read_damage, write_damage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.lock import JobLock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_point import (
    LATEST,
    Which,
    ensure_absent,
    ensure_present,
)
from tests.engine import restore_point_child
from tests.engine.child import Strike
from tests.engine.site import NAME, Run
from tests.engine.tidy import assert_tidy, manifests_of, points_of
from tests.engine.trees import change_tree, make_tree, tree_of
from tests.outcomes import told, without_run

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Option, Site
    from tests.engine.trees import Tree

JOB = "nightly"
KIB = 1024
NOBODY = "20200101t000000z-abcdef"
STRUCTURES = ("incremental", "full", "deduplicated")
STOPPED_BEFORE_COMMIT = Strike(pattern=r"^RNFR [^\n]*manifest", number=signal.SIGSTOP)

# Root reads whatever the mode says, unless it is run without these.
AS_ONE_WHO_MAY_NOT_READ_ALL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@dataclass
class Past:
    """A job whose backups have these *options*, and the tree at each of its restore points, by their ids in order."""

    site: Site
    options: dict[str, Option]
    trees: dict[str, Tree] = field(default_factory=dict)

    @property
    def runs(self) -> list[str]:
        return list(self.trees)

    def back_up(self, **options: Option) -> dict[str, t.Any]:
        outcome = self.site.back_up(**{**self.options, **options})
        assert outcome.warnings == ()
        point: dict[str, t.Any] = outcome.values["point"]
        self.trees[point["id"]] = tree_of(self.site.source)
        return point

    def assert_holds(self, *runs: str) -> None:
        """Assert that the job has the restore points *runs*, each of them whole, and nothing else on the server."""
        assert [point.run for point in points_of(self.site.job)] == list(runs)
        assert indexed(self.site) == list(runs)
        assert_tidy(self.site.job)
        for run in runs:
            assert self.site.restored(run) == self.trees[run]


def past_of(site: Site, structure: str = "incremental", count: int = 3, **options: Option) -> Past:
    """Back up a tree *count* times: each time it has changed, and has a file that fills a volume and is there once."""
    make_tree(site.source, big=0)
    past = Past(site, {"structure": structure, "last": 7, "volume_size": MIN_VOLUME, **options})
    for number in range(count):
        if number:
            change_tree(site.source, number)
        for_once = site.source / "0 for once"
        for_once.write_bytes(random.Random(number).randbytes(MIN_VOLUME))
        past.back_up()
        for_once.unlink()
    return past


def indexed(site: Site, *, only_protected: bool = False) -> list[str]:
    """Return the restore points that the host's index knows, oldest first."""
    outcome = list_backups(
        *(site.registry, site.home / "var", NAME, Question(limit=1000)),
        now=datetime.now(timezone.utc),
    )
    return [point["id"] for point in reversed(outcome.values["points"]) if point["protected"] or not only_protected]


def absent(site: Site, point: str, *, job: str = JOB, force: bool = False, check_mode: bool = False) -> Outcome:
    return ensure_absent(site.registry, site.host, Which(NAME, job, point), force=force, check_mode=check_mode)


def present(
    site: Site, point: str, *, job: str = JOB, protected: bool | None = None, check_mode: bool = False
) -> Outcome:
    which = Which(NAME, job, point)
    return ensure_present(site.registry, site.host, which, protected=protected, check_mode=check_mode)


def start(
    site: Site,
    point: str,
    strike: Strike,
    *,
    protected: bool | None = None,
    force: bool = False,
    state: str = "var",
) -> Run:
    """Start a change as a process that does *strike* to itself; it removes the point unless it is to be protected."""
    places = site.home / "etc", site.home / state
    return Run(restore_point_child.start(*places, Which(NAME, JOB, point), strike, protected=protected, force=force))


def kill(site: Site, point: str, pattern: str, *, protected: bool | None = None, force: bool = False) -> None:
    """Start a change that is killed right before it writes what *pattern* is found in."""
    with start(site, point, Strike(pattern=pattern), protected=protected, force=force) as run:
        assert run.wait() == -signal.SIGKILL


def seen(*places: Path) -> dict[Path, tuple[int, bytes]]:
    """Return the time and the content of all that lies in *places*."""
    found = (path for place in places for path in place.rglob("*"))
    return {path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in found}


def damage(manifest: Path) -> None:
    """Leave nothing of *manifest* from which it could be read what it names."""
    manifest.write_bytes(manifest.read_bytes()[:-40])


def marks_of(site: Site) -> list[str]:
    return sorted(path.name for path in site.job.glob("points/*/*.keep"))


# -- removing


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_point_between_two_goes_with_what_only_it_needs_and_the_two_stay_whole(site: Site, structure: str) -> None:
    past = past_of(site, structure)
    first, second, third = points_of(site.job)
    before = set(site.job.rglob("*.tar*"))

    outcome = absent(site, second.run)

    needed = first.volumes.keys() | third.volumes.keys()
    gone = {PurePosixPath(path.relative_to(site.job)) for path in before - set(site.job.rglob("*.tar*"))}
    assert gone == second.volumes.keys() - needed
    assert gone
    assert (outcome.changed, outcome.warnings) == (True, ())
    assert outcome.values["point"]["id"] == second.run
    assert outcome.values["pruned"] == [{"id": second.run, "seq": 2, "reason": "asked for"}]
    past.assert_holds(first.run, third.run)


def test_points_of_one_pool_share_what_stays(site: Site) -> None:
    past_of(site, "deduplicated")
    first, second, third = points_of(site.job)
    shared = second.volumes.keys() & (first.volumes.keys() | third.volumes.keys())

    absent(site, second.run)

    assert shared
    assert all((site.job / volume).exists() for volume in shared)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_backups_go_on_after_any_point_was_removed(site: Site, structure: str, position: int) -> None:
    past = past_of(site, structure, last=3)
    removed = past.runs[position]
    absent(site, removed)
    change_tree(site.source, 5)

    new = past.back_up()

    past.assert_holds(*[run for run in past.runs if run != removed])
    assert new["seq"] == (3 if position == 2 else 4)


def test_content_that_went_with_a_point_is_sent_again_when_it_comes_back(site: Site) -> None:
    past = Past(site, {"structure": "deduplicated", "compression": "none"})
    site.source.mkdir()
    (site.source / "always").write_bytes(random.Random(1).randbytes(50 * KIB))
    past.back_up()
    (site.source / "for once").write_bytes(random.Random(2).randbytes(50 * KIB))
    second = past.back_up()
    (site.source / "for once").unlink()
    past.back_up()
    absent(site, second["id"])
    (site.source / "again").write_bytes(random.Random(2).randbytes(50 * KIB))

    last = past.back_up()

    assert 50 * KIB < last["bytes_sent"] < 100 * KIB
    past.assert_holds(*[run for run in past.runs if run != second["id"]])


def test_the_slot_of_a_removed_point_is_used_first(site: Site) -> None:
    past = past_of(site, last=3)
    absent(site, past.runs[1])

    assert past.back_up()["pool"] == "s02"


def test_copies_of_the_manifest_go_as_well(site: Site) -> None:
    past = past_of(site)

    absent(site, past.runs[1])

    copies = [path.name for path in site.home.glob("var/**/manifests/*")]
    assert sorted(copies) == [path.name for path in manifests_of(site.job)]


def test_a_point_that_is_not_there_is_absent_already(site: Site) -> None:
    past = past_of(site, count=2)
    before = seen(site.server.root, site.home)

    outcome = absent(site, NOBODY)

    assert (outcome.changed, without_run(outcome.values)) == (False, {"point": None, "pruned": []})
    assert seen(site.server.root, site.home) == before
    past.assert_holds(*past.runs)


def test_month_and_pool_go_with_the_last_point_in_them(site: Site) -> None:
    past = past_of(site, "full", count=1)
    later = Past(site.later(days=40), past.options)
    later.back_up()

    absent(site, past.runs[0])

    assert len(list(site.job.glob("points/*"))) == 1
    assert len(list(site.job.glob("full-*"))) == 1


# -- the last one


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_only_point_goes_by_force_alone_and_then_a_backup_begins_anew(site: Site, structure: str) -> None:
    past = past_of(site, structure, count=1)
    (run,) = past.runs

    with pytest.raises(UsageError, match=f"Without the restore point {run} .*has no restore point: .*force: true"):
        absent(site, run)
    past.assert_holds(run)
    assert absent(site, run, force=True).changed

    assert points_of(site.job) == []
    assert indexed(site) == []
    assert_tidy(site.job)
    assert past.back_up()["seq"] == 1
    past.assert_holds(past.runs[-1])


def partial_point(site: Site, **options: Option) -> str:
    """Make a restore point that lacks something and return its id."""
    (site.source / "etc/secret").chmod(0)
    with site.start(Strike(), AS_ONE_WHO_MAY_NOT_READ_ALL, **options) as run:
        point: dict[str, t.Any] = run.result()["point"]
    (site.source / "etc/secret").chmod(0o600)
    assert not point["complete"]
    return str(point["id"])


def test_a_partial_point_does_not_stand_for_the_last_complete_one_and_goes_itself_without_force(site: Site) -> None:
    past = past_of(site, count=1)
    (complete,) = past.runs
    partial = partial_point(site)

    with pytest.raises(UsageError, match="no complete restore point that is whole"):
        absent(site, complete)
    assert absent(site, partial).changed

    past.assert_holds(complete)


@pytest.mark.parametrize("victim", ["volume", "manifest", "noted"])
def test_a_point_with_damage_does_not_stand_for_the_last_one_that_is_whole(site: Site, victim: str) -> None:
    past = past_of(site, count=2)
    whole, broken = past.runs
    if victim == "volume":
        next(site.job.glob("s02/v00/*")).unlink()
    elif victim == "manifest":
        manifest = manifests_of(site.job)[1]
        content = bytearray(manifest.read_bytes())
        content[len(content) // 2] ^= 0x55  # in the middle of the entries
        manifest.write_bytes(content)
        site.forget()
    else:
        volume = next(site.job.glob("s02/v00/*"))
        with site.storage() as storage:
            pool = PurePosixPath(site.job.relative_to(site.server.root)) / "s02"
            write_damage(storage, pool, Damage(volumes=frozenset({f"v00/{volume.name}"})))

    with pytest.raises(UsageError, match=f"Without the restore point {whole}"):
        absent(site, whole)
    assert absent(site, broken).changed

    past.assert_holds(whole)


# -- protecting


@pytest.mark.parametrize("structure", STRUCTURES)
def test_retention_never_lets_a_protected_point_go_until_the_protection_is_taken_off(
    site: Site, structure: str
) -> None:
    past = past_of(site, structure, count=2, last=2)
    first = past.runs[0]
    present(site, first, protected=True)
    for number in (3, 4, 5):
        change_tree(site.source, number)
        past.back_up()

    assert points_of(site.job)[0].run == first
    assert site.restored(first) == past.trees[first]
    assert indexed(site, only_protected=True) == [first]
    present(site, first, protected=False)
    past.back_up()
    past.back_up()
    past.assert_holds(*past.runs[-2:])


def test_rotation_passes_over_the_slot_of_a_protected_point(site: Site) -> None:
    past = past_of(site, count=2, last=2)
    present(site, past.runs[0], protected=True)

    pools = [past.back_up()["pool"] for _number in range(3)]

    assert pools == ["s02"] * 3
    assert [point.run for point in points_of(site.job)] == [past.runs[0], past.runs[-1]]


def test_a_point_that_is_published_anew_stays_protected(site: Site) -> None:
    past = Past(site, {"structure": "deduplicated", "compression": "none", "last": 1})
    site.source.mkdir()
    for number in range(40):
        (site.source / f"{number}").write_bytes(random.Random(number).randbytes(8 * KIB))
    past.back_up()
    for number in range(2, 40):
        (site.source / f"{number}").unlink()
    second = past.back_up(last=2)["id"]
    present(site, second, protected=True)
    (site.source / "0").unlink()

    for _number in range(3):
        past.back_up()

    assert any(".g2." in path.name for path in manifests_of(site.job))
    assert [point.run for point in points_of(site.job)] == [second, past.runs[-1]]
    assert site.restored(second) == past.trees[second]


def test_what_is_protected_or_not_already_is_left_as_it_is(site: Site) -> None:
    past = past_of(site, count=2)
    first = past.runs[0]

    changes = []
    for protected in (None, False, True, True, None, False, False):
        before = seen(site.server.root, site.home)
        outcome = present(site, first, protected=protected)
        changes.append(outcome.changed)
        assert (seen(site.server.root, site.home) == before) is not outcome.changed
        assert (len(marks_of(site)) == 1) is outcome.values["point"]["protected"]

    assert changes == [False, False, True, False, False, True, False]
    past.assert_holds(*past.runs)


def test_the_latest_point_can_be_protected_by_that_name(site: Site) -> None:
    past = past_of(site, count=2)

    outcome = present(site, LATEST, protected=True)

    assert (outcome.values["point"]["id"], outcome.values["point"]["protected"]) == (past.runs[1], True)
    assert marks_of(site) == ["000002.keep"]


def test_a_mark_that_somebody_has_laid_there_by_other_means_counts(site: Site) -> None:
    past = past_of(site, count=2)
    manifests_of(site.job)[0].with_name("000001.keep").touch()

    assert not present(site, past.runs[0], protected=True).changed
    with pytest.raises(UsageError, match="protected"):
        absent(site, past.runs[0])


def test_a_protected_point_is_not_removed_until_the_protection_is_taken_off(site: Site) -> None:
    past = past_of(site, count=2)
    first, second = past.runs
    present(site, first, protected=True)

    for force in (False, True):
        with pytest.raises(UsageError, match=f"{first} .*is protected: .*protected: false"):
            absent(site, first, force=force)
    present(site, first, protected=False)
    absent(site, first)

    past.assert_holds(second)


def test_a_ring_that_is_full_of_protected_points_is_told_before_the_next_backup_fails(site: Site) -> None:
    past = past_of(site, count=2, last=2)

    first = present(site, past.runs[0], protected=True)
    second = present(site, past.runs[1], protected=True)
    again = present(site, past.runs[1], protected=True)

    assert first.warnings == ()
    assert "The next backup fails unless its retention.last is larger than 2." in second.warnings[0]
    assert again.warnings == second.warnings
    with pytest.raises(UsageError, match="Every slot of the ring holds a protected restore point"):
        past.back_up()
    assert past.back_up(last=3)["pool"] == "s03"
    assert present(site, past.runs[0], protected=False).warnings == ()


@pytest.mark.parametrize("structure", ["full", "deduplicated"])
def test_only_a_ring_can_be_full_of_protected_points(site: Site, structure: str) -> None:
    past = past_of(site, structure, count=1)

    assert present(site, past.runs[0], protected=True).warnings == ()


# -- what is foretold


@pytest.mark.parametrize("structure", STRUCTURES)
def test_check_mode_tells_the_same_and_touches_nothing(site: Site, structure: str) -> None:
    past = past_of(site, structure)
    first, second, _third = past.runs
    changes: list[Callable[..., Outcome]] = [
        partial(present, site, first, protected=True),
        partial(present, site, first),
        partial(absent, site, second),
        partial(absent, site, second),
        partial(present, site, first, protected=False),
    ]

    for change in changes:
        before = seen(site.server.root, site.home)
        foretold = change(check_mode=True)
        assert seen(site.server.root, site.home) == before
        assert told(foretold) == told(change())


def test_check_mode_refuses_the_same(site: Site) -> None:
    past = past_of(site, count=2)
    present(site, past.runs[0], protected=True)

    with pytest.raises(UsageError, match="is protected"):
        absent(site, past.runs[0], check_mode=True)
    with pytest.raises(UsageError, match="no restore point with the id"):
        present(site, NOBODY, protected=True, check_mode=True)


def test_the_diff_shows_the_points_of_the_job(site: Site) -> None:
    first, second = past_of(site, count=2).runs

    protected = present(site, first, protected=True)
    removed = absent(site, second, force=True)

    assert protected.before is not None
    assert protected.after is not None
    assert [line.split("  ")[0] for line in protected.before] == [f"000001 {first}", f"000002 {second}"]
    assert protected.after == (f"{protected.before[0]}, protected", protected.before[1])
    assert removed.before == (protected.after[0], f"{protected.after[1]}  goes: asked for")
    assert removed.after == protected.after[:1]


# -- refusals


def test_a_point_that_is_not_there_cannot_be_protected(site: Site) -> None:
    first, second = past_of(site, count=2).runs

    with pytest.raises(UsageError, match=f"no restore point with the id '{NOBODY}'; there are {first} to {second}"):
        present(site, NOBODY, protected=True)


def test_the_latest_point_is_not_removed_by_that_name(site: Site) -> None:
    past = past_of(site, count=2)

    with pytest.raises(UsageError, match="give its id"):
        absent(site, LATEST)

    past.assert_holds(*past.runs)


@pytest.mark.parametrize("point", ["", "2", "2026-11-22", "20261399t030000z-1f9c2a", "20261122t030000z-1f9c2a.g2"])
def test_what_is_no_id_is_refused_and_not_absent(site: Site, point: str) -> None:
    past_of(site, count=1)

    with pytest.raises(UsageError, match="is not the id of a restore point"):
        absent(site, point)


def test_a_job_that_is_not_there_is_told(site: Site) -> None:
    past_of(site, count=1)

    with pytest.raises(UsageError, match="There is no job 'weekly' of client 'web01'"):
        absent(site, NOBODY, job="weekly")


def test_a_manifest_that_cannot_be_read_stops_every_removal_and_is_named(site: Site) -> None:
    past = past_of(site)
    manifest = manifests_of(site.job)[1]
    manifest.write_bytes(manifest.read_bytes()[:-40])
    before = seen(site.server.root)

    for run in (past.runs[0], past.runs[2]):
        with pytest.raises(
            DamageError, match=f"{manifest.name} .*Nothing else is deleted in the job 'nightly'.*{run} stays"
        ):
            absent(site, run, force=True)
    with pytest.raises(DamageError, match=f"{manifest.name} .*{past.runs[1]} .* cannot be told: .* say force: true"):
        absent(site, past.runs[1])

    assert seen(site.server.root) == before


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_manifest_that_cannot_be_read_can_be_given_up_and_the_others_stay_whole(site: Site, structure: str) -> None:
    past = past_of(site, structure)
    first, second, third = points_of(site.job)
    before = set(site.job.rglob("*.tar*"))
    damage(manifests_of(site.job)[1])
    foretold = absent(site, second.run, force=True, check_mode=True)

    outcome = absent(site, second.run, force=True)

    gone = {PurePosixPath(path.relative_to(site.job)) for path in before - set(site.job.rglob("*.tar*"))}
    assert gone == second.volumes.keys() - (first.volumes.keys() | third.volumes.keys())
    assert gone
    assert (outcome.changed, outcome.warnings) == (True, ())
    assert without_run(outcome.values) == {
        "point": None,
        "pruned": [{"id": second.run, "seq": 2, "reason": "asked for"}],
    }
    shown = outcome.before or ()
    assert f"000002 {second.run}  cannot be read  goes: asked for" in shown
    assert list(shown) == sorted(shown)
    assert (foretold.changed, foretold.before) == (True, outcome.before)
    assert without_run(foretold.values) == without_run(outcome.values)
    past.assert_holds(first.run, third.run)
    change_tree(site.source, 5)
    new = past.back_up()
    past.assert_holds(first.run, third.run, new["id"])


def test_of_two_that_cannot_be_read_the_second_takes_with_it_what_the_first_left(site: Site) -> None:
    past = past_of(site, "full")
    before = set(site.job.rglob("*.tar*"))
    for manifest in manifests_of(site.job)[1:]:
        damage(manifest)

    first = absent(site, past.runs[1], force=True)

    assert set(site.job.rglob("*.tar*")) == before
    assert [path.name for path in manifests_of(site.job)][1:] == [f"000003-{past.runs[2]}.manifest.gz"]
    assert "000003" in first.warnings[0]
    assert absent(site, past.runs[2], force=True).warnings == ()
    past.assert_holds(past.runs[0])


def test_who_gives_up_what_is_protected_takes_the_protection_off_before(site: Site) -> None:
    past = past_of(site, count=2)
    present(site, past.runs[0], protected=True)
    damage(manifests_of(site.job)[0])
    before = seen(site.server.root)

    with pytest.raises(UsageError, match=f"{past.runs[0]} .* is protected"):
        absent(site, past.runs[0], force=True)

    assert seen(site.server.root) == before


def test_what_is_left_of_a_point_given_up_goes_with_the_next_run_if_this_one_is_killed(site: Site) -> None:
    past = past_of(site, "full")
    damage(manifests_of(site.job)[1])
    kill(site, past.runs[1], r"^DELE [^\n]*\.tar", force=True)
    assert len(manifests_of(site.job)) == 2

    new = past.back_up()

    past.assert_holds(past.runs[0], past.runs[2], new["id"])


def test_beside_a_manifest_that_cannot_be_read_another_point_can_be_protected_but_not_its_own(site: Site) -> None:
    past = past_of(site)
    manifest = manifests_of(site.job)[1]
    manifest.write_bytes(manifest.read_bytes()[:-40])

    outcome = present(site, past.runs[0], protected=True)

    assert marks_of(site) == ["000001.keep"]
    assert any(manifest.name in warning for warning in outcome.warnings)
    with pytest.raises(DamageError, match=manifest.name):
        present(site, past.runs[1], protected=True)


def test_the_job_of_another_host_is_refused_until_it_is_adopted(site: Site, tmp_path: Path) -> None:
    past = past_of(site, count=2)
    first, second = past.runs
    other = site.as_other_host(tmp_path / "other")
    before = seen(site.server.root)

    for change in (absent, present):
        with pytest.raises(ForeignError, match=r"belongs to another host .*adopt: true"):
            change(other, first)
    assert {path for path in seen(site.server.root) if path not in before} == set()
    other.back_up(**past.options, adopt=True)

    assert absent(other, first).changed
    with pytest.raises(ForeignError):
        absent(site, second)


def foreign(site: Site, point: str, *, check_mode: bool = False) -> Outcome:
    which = Which(NAME, JOB, point, foreign=True)
    return ensure_absent(site.registry, site.host, which, force=False, check_mode=check_mode)


@pytest.mark.parametrize("structure", ["full", "deduplicated"])
def test_another_host_prunes_what_it_is_allowed_to_and_the_job_stays_whose_it_is(
    site: Site, tmp_path: Path, structure: str
) -> None:
    past = past_of(site, structure, count=3)
    other = site.as_other_host(tmp_path / "other")
    foretold = foreign(other, past.runs[0], check_mode=True)

    outcome = foreign(other, past.runs[0])

    assert outcome.changed
    assert without_run(foretold.values) == without_run(outcome.values)
    assert [point["id"] for point in outcome.values["pruned"]] == [past.runs[0]]
    assert [point.run for point in points_of(site.job)] == past.runs[1:]
    past.back_up()
    past.assert_holds(*past.runs[1:])


def test_another_host_obeys_no_note_that_was_perhaps_planted(site: Site, tmp_path: Path) -> None:
    past = past_of(site, "full", count=3)
    other = site.as_other_host(tmp_path / "other")
    manifests = manifests_of(site.job)
    kill(site, past.runs[1], r"DELE ")
    (note,) = site.job.rglob("*.gone")
    before = seen(site.server.root)

    with pytest.raises(UsageError, match=rf"{note.name} .*nothing is changed"):
        foreign(other, past.runs[0])
    with pytest.raises(UsageError, match=rf"{note.name} .*nothing is changed"):
        foreign(other, past.runs[0], check_mode=True)

    assert all(manifest.exists() for manifest in manifests)
    assert {path for path in before if "lock" not in path.parts} <= set(seen(site.server.root))


def test_another_host_removes_nothing_beside_a_manifest_that_took_anothers_place(site: Site, tmp_path: Path) -> None:
    past = past_of(site, "deduplicated", count=2)
    other = site.as_other_host(tmp_path / "other")
    first, second = manifests_of(site.job)
    planted = second.with_name(second.name.replace(".manifest", ".g2.manifest"))
    planted.write_bytes(second.read_bytes())

    with pytest.raises(UsageError, match=r"nothing is changed"):
        foreign(other, past.runs[0])

    assert first.exists()
    assert second.exists()


@pytest.mark.parametrize("prefix", ["./", "../pool/", ""])
def test_a_planted_manifest_takes_nothing_with_it_that_others_need(site: Site, tmp_path: Path, prefix: str) -> None:
    past_of(site, "deduplicated", count=2)
    other = site.as_other_host(tmp_path / "other")
    good = manifests_of(site.job)
    newest = good[-1]
    content, trailer = newest.read_bytes(), open_manifest(newest).trailer
    start = format_of.trailer_offset(content[-format_of.FOOTER_SIZE :], len(content))
    assert start is not None
    planted = replace(trailer, volumes={prefix + name: use for name, use in trailer.volumes.items()})
    end = format_of._member(planted.to_line())
    run = "20200101t000000z-abcdef"
    newest.with_name(f"000001-{run}.manifest.gz").write_bytes(
        content[:start] + end + format_of.footer(start, zlib.crc32(end))
    )
    volumes = sorted(site.job.rglob("*.tar*"))

    with pytest.raises(DamageError, match=f"000001-{run}"):
        foreign(other, run)
    with pytest.raises(DamageError, match=f"000001-{run}"):
        absent(site, run)

    assert sorted(site.job.rglob("*.tar*")) == volumes
    assert [path for path in good if not path.exists()] == []


# -- one at a time


def test_while_a_backup_of_this_host_runs_nothing_is_removed_or_protected(site: Site) -> None:
    past = past_of(site, count=2)
    first = past.runs[0]
    other = replace(site.host, state_directory=site.home / "elsewhere")
    with site.start(STOPPED_BEFORE_COMMIT, **past.options) as run:
        run.wait_until_stopped()

        with pytest.raises(LockedError, match=r"^The job 'nightly' is already being backed up on this host.*\d+\.$"):
            absent(site, first)
        with pytest.raises(LockedError, match=r"already being backed up on this host, by run \S+\.$"):
            ensure_present(site.registry, other, Which(NAME, JOB, first), protected=True, check_mode=False)

        run.go_on()
        assert run.result()["point"]["seq"] == 3
    assert [point.seq for point in points_of(site.job)] == [1, 2, 3]
    assert_tidy(site.job)


@pytest.mark.parametrize("protected", [None, True])
def test_a_change_whose_lock_was_taken_over_meanwhile_changes_nothing(site: Site, *, protected: bool | None) -> None:
    past = past_of(site, count=2)
    strike = Strike(pattern=r"^STOR [^\n]*\.(gone|keep)", number=signal.SIGSTOP)
    moment = 0.0

    def pause(seconds: float) -> None:
        nonlocal moment
        moment += seconds

    with start(site, past.runs[0], strike, protected=protected) as run:
        run.wait_until_stopped()
        with site.storage() as storage:
            directory = PurePosixPath(site.job.relative_to(site.server.root))
            lock = JobLock(storage, directory, "f" * 16, NOBODY, clock=lambda: moment, pause=pause)
            lock.acquire()

            run.go_on()
            result = run.result()

            lock.prove()
            lock.release()
    if protected is None:
        assert (result["kind"], result["msg"].count("changed no restore point")) == ("locked", 1)
        past.assert_holds(*past.runs)
    else:  # to protect costs nobody anything: that the lock is lost while the mark is written is no trouble
        assert marks_of(site) == ["000001.keep"]


# -- kills

_STEPS_OF_A_REMOVAL = {
    "before the lock says whose it is": r"^MKD [^\n]*/lock/",
    "before it is noted what is to go": r"^STOR [^\n]*\.gone",
    "before the note gets its name": r"^RNFR [^\n]*\.gone",
    "before the manifest goes": r"^DELE [^\n]*manifest\.gz",
    "before the volumes go": r"^DELE [^\n]*\.tar\.gz",
    "before the note goes": r"^DELE [^\n]*\.gone",
    "before the lock is given back": r"^RMD [^\n]*lock",
}


@pytest.mark.parametrize("mends", ["the same again", "a backup"])
@pytest.mark.parametrize("step", _STEPS_OF_A_REMOVAL.values(), ids=_STEPS_OF_A_REMOVAL.keys())
def test_a_removal_can_be_killed_at_each_step(site: Site, step: str, mends: str) -> None:
    past = past_of(site, "deduplicated")
    first, second, third = past.runs
    kill(site, second, step)
    for point in points_of(site.job):
        assert site.restored(point.run) == past.trees[point.run]

    new = [past.back_up()["id"]] if mends == "a backup" else []
    absent(site, second)

    past.assert_holds(first, third, *new)


@pytest.mark.parametrize(
    ("protected", "step"),
    [
        pytest.param(True, r"^STOR [^\n]*\.keep", id="before the mark is sent"),
        pytest.param(True, r"^RNFR [^\n]*\.keep", id="before the mark gets its name"),
        pytest.param(True, r"^RMD [^\n]*lock", id="after the mark got its name"),
        pytest.param(False, r"^DELE [^\n]*\.keep", id="before the mark goes"),
        pytest.param(False, r"^RMD [^\n]*lock", id="after the mark went"),
    ],
)
def test_a_protection_can_be_killed_at_each_step(site: Site, step: str, *, protected: bool) -> None:
    past = past_of(site, count=2)
    present(site, past.runs[0], protected=not protected)
    kill(site, past.runs[0], step, protected=protected)

    present(site, past.runs[0], protected=protected)

    assert indexed(site, only_protected=True) == past.runs[: int(protected)]
    present(site, past.runs[0], protected=False)
    past.assert_holds(*past.runs)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_removal_can_be_killed_at_any_moment(site: Site, tmp_path: Path, structure: str, *, soak: bool) -> None:
    past = past_of(site, structure)
    first, second, third = past.runs
    places = {"server": site.server.root, "home": site.home}
    for name, place in places.items():
        shutil.copytree(place, tmp_path / name, symlinks=True)
    with start(site, second, Strike()) as run:
        count = int(run.result()["deeds"])
    wanted = count if soak else 8

    for number in range(wanted):
        for name, place in places.items():
            restored_to(place, tmp_path / name)
        with start(site, second, Strike(at=1 + number * (count - 1) // (wanted - 1))) as run:
            assert run.wait() in (0, -signal.SIGKILL)
        for point in points_of(site.job):
            assert site.restored(point.run) == past.trees[point.run]
        absent(site, second)
        past.assert_holds(first, third)


# -- what dead runs have left


def test_what_a_dead_run_had_begun_to_remove_goes_first_and_is_foretold_and_told(site: Site) -> None:
    past = past_of(site, "full", count=3, last=3)
    first, second, third = past.runs
    kill(site, first, r"^DELE [^\n]*manifest\.gz")
    assert [point.run for point in points_of(site.job)] == past.runs

    foretold = absent(site, second, check_mode=True)
    outcome = absent(site, second)

    assert told(foretold) == told(outcome)
    assert [(gone["id"], gone["reason"]) for gone in outcome.values["pruned"]] == [
        (first, "a run that was broken off had begun to remove it"),
        (second, "asked for"),
    ]
    past.assert_holds(third)


def test_a_point_that_a_dead_run_had_begun_to_remove_counts_as_gone(site: Site) -> None:
    past = past_of(site, "full", count=2)
    first, second = past.runs
    kill(site, first, r"^DELE [^\n]*manifest\.gz")

    with pytest.raises(UsageError, match=f"there are {second}"):
        present(site, first, protected=True)
    with pytest.raises(UsageError, match="Without the restore point"):
        absent(site, second)
    assert absent(site, first).changed

    past.assert_holds(second)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_a_killed_backup_has_sent_serves_the_next_one_also_after_a_removal(site: Site, structure: str) -> None:
    past = Past(site, {"structure": structure, "compression": "none", "last": 2})
    site.source.mkdir()
    for number in range(60):
        (site.source / f"{number:02d}").write_bytes(random.Random(number).randbytes(8 * KIB))
    past.back_up()
    past.back_up()
    for number in range(40):
        (site.source / f"new {number:02d}").write_bytes(random.Random(1000 + number).randbytes(8 * KIB))
    site.kill_run(Strike(pattern=r"^RNFR [^\n]*manifest\.gz"), checkpoint_every=64 * KIB, **past.options)
    assert list(site.job.glob("points/*/*.checkpoint.gz"))

    absent(site, past.runs[0])
    last = past.back_up()

    assert last["bytes_sent"] < 30 * 8 * KIB
    past.assert_holds(*past.runs[1:])


def test_what_was_found_damaged_is_not_listed_any_more_once_it_is_gone(site: Site) -> None:
    past = past_of(site, "deduplicated")
    first, second, third = points_of(site.job)
    only = min(second.volumes.keys() - first.volumes.keys() - third.volumes.keys())
    shared = min(first.volumes.keys() & third.volumes.keys())
    damage = Damage(volumes=frozenset(str(volume.relative_to("pool")) for volume in (only, shared)))
    pool = PurePosixPath(site.job.relative_to(site.server.root)) / "pool"
    with site.storage() as storage:
        write_damage(storage, pool, damage)

        absent(site, past.runs[1], force=True)

        assert read_damage(storage, pool).volumes == {str(shared.relative_to("pool"))}


def test_what_killed_runs_have_left_is_swept(site: Site) -> None:
    past = past_of(site, count=2)
    change_tree(site.source, 7)
    site.kill_run(Strike(pattern=r"^RNFR [^\n]*manifest\.gz"), **past.options)
    assert len(list(site.job.glob("points/*/*.tmp"))) == 1

    absent(site, past.runs[0])

    past.assert_holds(past.runs[1])


def test_what_a_dead_run_with_another_state_directory_has_left_is_swept(site: Site) -> None:
    past = past_of(site)
    with start(site, past.runs[0], Strike(pattern=r"^RNFR [^\n]*\.gone"), state="elsewhere") as run:
        assert run.wait() == -signal.SIGKILL
    assert len(list(site.job.glob("points/*/*.tmp"))) == 1

    absent(site, past.runs[1])

    past.assert_holds(past.runs[0], past.runs[2])


def test_a_damaged_note_stops_no_removal_and_is_told(site: Site) -> None:
    past = past_of(site, count=2)
    note = manifests_of(site.job)[0].with_name("000009.gone")
    note.write_bytes(b"not json")

    foretold = absent(site, past.runs[0], check_mode=True)
    outcome = absent(site, past.runs[0])

    assert told(foretold) == told(outcome)
    assert any(note.name in warning for warning in outcome.warnings)
    assert [point.run for point in points_of(site.job)] == past.runs[1:]
    note.unlink()
    past.assert_holds(past.runs[1])


def restored_to(place: Path, copy: Path) -> None:
    """Make *place* what it was when *copy* was made of it."""
    owner = place.stat()
    for inside in place.iterdir():
        shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
    shutil.copytree(copy, place, symlinks=True, dirs_exist_ok=True)
    for path in place.rglob("*"):
        shutil.chown(path, owner.st_uid, owner.st_gid)
