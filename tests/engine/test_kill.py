# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a backup with SIGKILL at moments spread over all of its run; nothing that was safe before may be lost.

The moments are counted by `child.Deeds`: each is right before one write to the server or one change of the host's
files, and a larger piece of data is cut in its middle. What has to hold after each:

- every restore point that the run found, or made, and that is still listed, restores to the tree of its time,
- the next run succeeds, takes the dead run's lock at once, and leaves nothing that no manifest names.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from tests.engine.child import Strike
from tests.engine.site import NAME
from tests.engine.tidy import assert_tidy, job_directories, points_of
from tests.engine.trees import Tree, change_tree, make_tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.site import Option, Site

    Count = Callable[[int], int]

pytestmark = pytest.mark.timeout(3600)  # with --soak each of them takes minutes

_SAMPLED, _IN_FULL = 20, 200
_BIG = 3_000_000
_BEFORE_VOLUMES_GO = r"^DELE [^\n]*\.tar\.gz"


@dataclass
class Snapshot:
    """The server's disk and the host's own files at one moment, to return to as often as need be."""

    site: Site
    copy: Path

    def __post_init__(self) -> None:
        self.copy.mkdir()
        _copy(self.site.server.root, self.copy / "server")
        _copy(self.site.home, self.copy / "home")

    def bring_back(self) -> None:
        for inside in self.site.server.root.iterdir():
            shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
        _copy(self.copy / "server", self.site.server.root)
        shutil.rmtree(self.site.home)
        _copy(self.copy / "home", self.site.home)


@pytest.fixture
def count_of_moments(pytestconfig: pytest.Config) -> Count:
    """Return how many moments are tried where so many are sampled."""
    return lambda sampled: _IN_FULL if pytestconfig.getoption("--soak") else sampled


def _copy(source: Path, target: Path) -> None:
    """Copy with owners, modes and times, by other means than ours."""
    subprocess.run(["cp", "-a", "--", f"{source}/.", target], check=True)


def moments(count: int, wanted: int) -> list[int]:
    """Return *wanted* numbers from 1 to *count*, the first and the last among them, at even distances."""
    return sorted({1 + round(number * (count - 1) / max(1, wanted - 1)) for number in range(wanted)})


def deeds_of(site: Site, **options: Option) -> int:
    """Return how many deeds a run has that nobody kills."""
    with site.start(Strike(), **options) as run:
        return int(run.result()["deeds"])


def assert_nothing_is_lost(site: Site, trees: dict[int, Tree], required: set[int]) -> None:
    """Assert that at least the points *required* are there, by number, and that each that is there restores."""
    points = points_of(site.job) if job_directories(site.server.root) else []
    assert required <= {point.seq for point in points}
    for point in points:
        assert site.restored(point.run) == trees[point.seq]


def assert_next_run_mends_all(site: Site, trees: dict[int, Tree], **options: Option) -> None:
    outcome = site.back_up(**options)

    assert outcome.values["point"]["complete"]
    assert outcome.warnings == ()
    assert_tidy(site.job)
    trees = {**trees, outcome.values["point"]["seq"]: tree_of(site.source)}
    assert len(points_of(site.job)) == min(options["last"], outcome.values["point"]["seq"])
    assert_nothing_is_lost(site, trees, {outcome.values["point"]["seq"]})


def test_a_rotating_run_can_be_killed_at_any_moment(site: Site, tmp_path: Path, count_of_moments: Count) -> None:
    options: dict[str, Option] = {"last": 2}
    make_tree(site.source, big=_BIG)
    trees = {}
    for seq in (1, 2):
        site.back_up(**options)
        trees[seq] = tree_of(site.source)
        change_tree(site.source, seq)
    trees[3] = tree_of(site.source)
    before = Snapshot(site, tmp_path / "copy")
    count = deeds_of(site, **options)

    for moment in moments(count, count_of_moments(_SAMPLED)):
        before.bring_back()
        _kill(site, moment, count, **options)
        listed = {point.seq for point in points_of(site.job)}
        assert 1 in listed or 3 in listed
        assert_nothing_is_lost(site, trees, {2})
        assert_next_run_mends_all(site, {**trees, 4: trees[3]}, **options)


def test_a_first_run_can_be_killed_at_any_moment(site: Site, tmp_path: Path, count_of_moments: Count) -> None:
    options: dict[str, Option] = {"last": 2, "compression": "none"}
    make_tree(site.source, big=_BIG)
    tree = tree_of(site.source)
    before = Snapshot(site, tmp_path / "copy")
    count = deeds_of(site, **options)

    for moment in moments(count, count_of_moments(6)):
        before.bring_back()
        _kill(site, moment, count, **options)
        assert_nothing_is_lost(site, {1: tree}, set())
        assert_next_run_mends_all(site, {1: tree}, **options)


def test_a_full_run_can_be_killed_at_any_moment(site: Site, tmp_path: Path, count_of_moments: Count) -> None:
    options: dict[str, Option] = {"structure": "full", "last": 1}
    make_tree(site.source, big=_BIG)
    site.back_up(**options)
    tree = tree_of(site.source)
    before = Snapshot(site, tmp_path / "copy")
    count = deeds_of(site, **options)

    for moment in moments(count, count_of_moments(6)):
        before.bring_back()
        _kill(site, moment, count, **options)
        assert points_of(site.job)
        assert_nothing_is_lost(site, {1: tree, 2: tree}, set())
        assert_next_run_mends_all(site, {1: tree, 2: tree}, **options)


def test_a_run_that_mends_can_be_killed_as_well(site: Site, tmp_path: Path, count_of_moments: Count) -> None:
    options: dict[str, Option] = {"structure": "full", "last": 1}
    make_tree(site.source, big=_BIG)
    site.back_up(**options)
    tree = tree_of(site.source)
    change_tree(site.source, 1)
    changed = tree_of(site.source)
    site.kill_run(Strike(pattern=_BEFORE_VOLUMES_GO), **options)
    before = Snapshot(site, tmp_path / "copy")
    count = deeds_of(site, **options)

    for moment in moments(count, count_of_moments(8)):
        before.bring_back()
        _kill(site, moment, count, **options)
        trees = {1: tree, 2: changed, 3: changed, 4: changed}
        assert_nothing_is_lost(site, trees, set())
        assert_next_run_mends_all(site, trees, **options)


def test_a_run_can_be_killed_while_it_takes_a_dead_runs_lock_over(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    tree = tree_of(site.source)
    site.kill_run(Strike(pattern="^STOR "), last=1)

    site.kill_run(Strike(pattern=r"^RNFR [^\n]*/lock/"), last=1)
    site.kill_run(Strike(pattern="^STOR "), last=1)

    assert_nothing_is_lost(site, {1: tree}, {1})
    assert_next_run_mends_all(site, {1: tree}, last=1)


def test_a_run_can_be_killed_while_it_clears_an_empty_lock_away(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    tree = tree_of(site.source)
    site.kill_run(Strike(pattern=r"^MKD [^\n]*/lock/"), last=1)

    site.kill_run(Strike(pattern=r"^(MLSD|RMD) [^\n]*/lock-"), last=1)

    assert_nothing_is_lost(site, {1: tree}, {1})
    assert_next_run_mends_all(site, {1: tree}, last=1)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"^MKD [^\n]*/lock/", id="before the lock says whose it is"),
        pytest.param(r"^RNFR [^\n]*manifest\.gz", id="before the manifest gets its name"),
        pytest.param(r"^SIZE [^\n]*manifest\.gz\r\nEPSV", id="after the manifest got its name"),
        pytest.param(r"^STOR [^\n]*\.gone", id="before it is noted what is to go"),
        pytest.param(r"^DELE [^\n]*manifest\.gz", id="before the old manifest goes"),
        pytest.param(_BEFORE_VOLUMES_GO, id="before its volumes go"),
        pytest.param(r"^DELE [^\n]*\.gone", id="before the note goes"),
        pytest.param(r"^RMD [^\n]*lock", id="before the lock is given back"),
    ],
)
def test_a_run_can_be_killed_at_each_step_of_its_end(site: Site, pattern: str) -> None:
    options: dict[str, Option] = {"structure": "full", "last": 1}
    make_tree(site.source, big=0)
    site.back_up(**options)
    trees = {1: tree_of(site.source)}
    change_tree(site.source, 1)
    trees[2] = trees[3] = tree_of(site.source)

    site.kill_run(Strike(pattern=pattern), **options)

    assert_nothing_is_lost(site, trees, set())
    assert points_of(site.job)
    assert_next_run_mends_all(site, trees, **options)


def test_another_job_goes_on_while_the_lock_of_a_dead_run_stands(site: Site) -> None:
    make_tree(site.source, big=0)
    site.kill_run(Strike(pattern="^STOR "), last=1)

    assert site.back_up("other").changed
    assert site.registry.get(NAME) is not None


def _kill(site: Site, moment: int, count: int, **options: Option) -> None:
    """Run a backup that is killed at the *moment*; threads make a run of *count* deeds longer or shorter by a few."""
    with site.start(Strike(at=moment), **options) as run:
        assert run.wait() == -signal.SIGKILL or (run.wait() == 0 and moment > count - 5)
