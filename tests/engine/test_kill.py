# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a backup with SIGKILL at moments spread over all of its run; nothing that was safe before may be lost.

The moments are counted by `child.Deeds`: each is right before one write to the server or one change of the host's
files, and a larger piece of data is cut in its middle. What has to hold after each:

- every restore point that the run found, or made, is there unless retention lets it go, and restores to the tree of
  its time,
- the next run succeeds, takes the dead run's lock at once, and leaves nothing that no manifest names.
"""

from __future__ import annotations

import itertools
import random
import signal
import typing as t

import pytest

from tests.engine.child import Strike
from tests.engine.histories import PASTS, History, Snapshot, deduplicated, fill, full, healing
from tests.engine.site import NAME
from tests.engine.tidy import job_directories, points_of
from tests.engine.trees import make_tree

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.site import Site

pytestmark = pytest.mark.timeout(3600)  # with --soak each of them takes minutes

_SAMPLED, _IN_FULL = 3, 24
_CHAINS_IN_FULL = 60
_SAMPLED_CHAINS = ("deduplicated", "ring", "healing")
_LONGEST_CHAIN = 3
_END = 8  # threads make a run longer or shorter by a few deeds


def moments(count: int, wanted: int, chance: random.Random) -> list[int]:
    """Return *wanted* numbers from 1 to *count*, one of each of as many parts of equal length."""
    borders = [round(number * count / wanted) for number in range(wanted + 1)]
    return [chance.randint(before + 1, max(before + 1, after)) for before, after in zip(borders, borders[1:])]


def deeds_of(history: History) -> int:
    """Return how many deeds the next run has when nobody kills it."""
    with history.start(Strike()) as run:
        result = run.result()
    assert result["point"]["complete"], result
    return int(result["deeds"])


def kill(history: History, moment: int, *, surely: bool = True) -> None:
    """Run a backup that is killed at the *moment*, if it comes so far."""
    with history.start(Strike(at=moment)) as run:
        assert run.wait() == -signal.SIGKILL or (run.wait() == 0 and not surely)


def kill_before(history: History, pattern: str) -> None:
    """Run a backup that is killed before it first sends what *pattern* is found in."""
    with history.start(Strike(pattern=pattern)) as run:
        assert run.wait() == -signal.SIGKILL


@pytest.mark.parametrize("past", PASTS)
def test_a_run_can_be_killed_at_any_moment(site: Site, tmp_path: Path, past: str, *, soak: bool) -> None:
    before = Snapshot(PASTS[past](site), tmp_path / "copy")
    count = deeds_of(before.history)

    for moment in moments(count, _IN_FULL if soak else _SAMPLED, random.Random(past)):
        print(f"killed at {moment} of {count}")  # noqa: T201 - a failure must tell which moment it was
        history = before.bring_back()
        kill(history, moment, surely=moment <= count - _END)
        history.assert_nothing_is_lost()
        history.assert_next_run_mends_all()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run more chains with --soak."""
    if "seed" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("--soak")
        chains = itertools.islice(itertools.cycle(PASTS), _CHAINS_IN_FULL) if is_full else _SAMPLED_CHAINS
        metafunc.parametrize(("past", "seed"), [(past, seed) for seed, past in enumerate(chains)])


def test_runs_can_be_killed_one_after_the_other(site: Site, past: str, seed: int) -> None:
    chance = random.Random(seed)
    history = PASTS[past](site)

    for number in range(chance.randint(2, _LONGEST_CHAIN)):
        moment = chance.choice([chance.randint(1, 150), chance.randint(40, 150)])
        print(f"{past}: killed at {moment}")  # noqa: T201 - a failure must tell which moment it was
        kill(history, moment, surely=False)
        history.assert_nothing_is_lost()
        fill(site.source / f"added {number}", 100 + number, 2)

    history.assert_next_run_mends_all()


# exact moments


_TAKING_THE_LOCK = r"^MKD [^\n]*/lock/"
_PUBLISHING = r"^RNFR [^\n]*manifest\.gz"
_PUBLISHED = r"^(?:SIZE [^\n]*\.tar(\.gz)?\r\n)+\Z"
_NOTING = r"^STOR [^\n]*\.gone"
_REMOVING_MANIFESTS = r"^DELE [^\n]*manifest\.gz"
_REMOVING_VOLUMES = r"^DELE [^\n]*\.tar(\.gz)?"
_REMOVING_THE_NOTE = r"^DELE [^\n]*\.gone"
_RELEASING = r"^RMD [^\n]*lock"


@pytest.mark.parametrize("past", [full, deduplicated], ids=["full", "deduplicated"])
@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(_TAKING_THE_LOCK, id="before the lock says whose it is"),
        pytest.param(_PUBLISHING, id="before the manifest gets its name"),
        pytest.param(_PUBLISHED, id="after the manifest got its name"),
        pytest.param(_NOTING, id="before it is noted what is to go"),
        pytest.param(_REMOVING_MANIFESTS, id="before the old manifest goes"),
        pytest.param(_REMOVING_VOLUMES, id="before its volumes go"),
        pytest.param(_REMOVING_THE_NOTE, id="before the note goes"),
        pytest.param(_RELEASING, id="before the lock is given back"),
    ],
)
def test_a_run_can_be_killed_at_each_step_of_its_end(site: Site, past: Callable[[Site], History], pattern: str) -> None:
    history = past(site)

    kill_before(history, pattern)

    history.assert_nothing_is_lost()
    assert points_of(site.job)
    history.assert_next_run_mends_all()


@pytest.mark.parametrize("past", [deduplicated, healing], ids=["deduplicated", "healing"])
@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"^RNFR [^\n]*\.g2\.manifest\.gz", id="before the new generation gets its name"),
        pytest.param(r"^DELE [^\n]*00000\d-[^.\n]*\.manifest\.gz", id="before the old generation goes"),
    ],
)
def test_a_run_can_be_killed_while_it_publishes_anew(site: Site, past: Callable[[Site], History], pattern: str) -> None:
    history = past(site)

    kill_before(history, pattern)

    history.assert_nothing_is_lost()
    history.assert_next_run_mends_all()


def test_a_run_can_be_killed_while_it_takes_a_dead_runs_lock_over(site: Site) -> None:
    history = _small(site)
    kill_before(history, "^STOR ")

    kill_before(history, r"^RNFR [^\n]*/lock/")
    kill_before(history, "^STOR ")

    history.assert_nothing_is_lost()
    history.assert_next_run_mends_all()


def test_a_run_can_be_killed_while_it_clears_an_empty_lock_away(site: Site) -> None:
    history = _small(site)
    kill_before(history, _TAKING_THE_LOCK)

    kill_before(history, r"^(MLSD|RMD) [^\n]*/lock-")

    history.assert_nothing_is_lost()
    history.assert_next_run_mends_all()


def test_another_job_goes_on_while_the_lock_of_a_dead_run_stands(site: Site) -> None:
    make_tree(site.source, big=0)
    site.kill_run(Strike(pattern="^STOR "), last=1)

    assert site.back_up("other").changed
    assert site.registry.get(NAME) is not None
    assert len(job_directories(site.server.root)) == 2


def _small(site: Site) -> History:
    make_tree(site.source, big=0)
    history = History(site, {"last": 1})
    history.run()
    return history
