# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs with a past, right before a run in which everything happens that can; and how to return to that moment.

A `History` knows which tree each restore point must hold, and which restore points must be there.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ansible_collections.stowage.ftp_backup.plugins.module_utils.copying import CHECKPOINT_EVERY
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.damage import Damage, write_damage
from tests.engine.child import Strike
from tests.engine.tidy import assert_tidy, job_directories, points_of
from tests.engine.trees import Tree, change_tree, make_tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.site import Option, Run, Site

KIB = 1024
_BIG = 1_500_000  # larger than what is sent at once, so that a kill can cut it
_FILE = 4 * KIB


@dataclass
class History:
    """A job of a *site* whose runs have these *options*, and whose last restore points stay: as many as *last* says.

    *checkpoint_every* is how many bytes lie between two checkpoints of a run that is to be killed.
    """

    site: Site
    options: dict[str, Option]
    checkpoint_every: int = CHECKPOINT_EVERY
    trees: dict[str, Tree] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)

    def run(self, site: Site | None = None, **options: Option) -> dict[str, t.Any]:
        """Back up as it should end, at another *site* if there is one; return the restore point."""
        outcome = (site or self.site).back_up(**{**self.options, **options})
        point: dict[str, t.Any] = outcome.values["point"]
        self.learn()
        assert outcome.warnings == ()
        assert point["complete"]
        return point

    def start(self, strike: Strike, site: Site | None = None, **options: Option) -> Run:
        """Start a run in a process of its own, which does *strike* to itself, at another *site* if there is one."""
        return (site or self.site).start(
            strike, **{"checkpoint_every": self.checkpoint_every, **self.options, **options}
        )

    def learn(self) -> None:
        """Learn what each restore point that was not there before must hold: the tree as it is now."""
        now: Tree | None = None
        for run, seq in self.listed().items():
            if run not in self.trees:
                now = now or tree_of(self.site.source)
                self.trees[run] = now
                self.seqs[run] = seq

    def listed(self) -> dict[str, int]:
        """Return the restore points that are there, by their run, with their numbers."""
        if not job_directories(self.site.server.root):
            return {}
        return {point.run: point.seq for point in points_of(self.site.job)}

    def required(self) -> set[str]:
        """Return the restore points that no run may have let go: the last ones of all that there ever were."""
        return set(sorted(self.seqs, key=lambda run: self.seqs[run])[-self.options["last"] :])

    def assert_nothing_is_lost(self) -> None:
        """Assert that no restore point went that should be there, and that each one that is there restores."""
        self.learn()
        listed = self.listed()
        assert self.required() <= listed.keys()
        for run in listed:
            assert self.site.restored(run) == self.trees[run]

    def assert_next_run_mends_all(self, site: Site | None = None, **options: Option) -> None:
        """Assert that a run ends well and leaves only the last restore points, and nothing that none of them names."""
        self.run(site, **options)

        assert_tidy(self.site.job)
        assert self.listed().keys() == self.required()
        self.assert_nothing_is_lost()


@dataclass
class Snapshot:
    """The server's disk, the host's own files and what is known of a job, to return to as often as need be."""

    history: History
    copy: Path

    def __post_init__(self) -> None:
        self.copy.mkdir()
        for name, place in self._places.items():
            (self.copy / name).mkdir()
            _copy(place, self.copy / name)

    @property
    def _places(self) -> dict[str, Path]:
        return {"server": self.history.site.server.root, "home": self.history.site.home}

    def bring_back(self) -> History:
        """Make everything as it was but for the tree, which nobody changes; return what was known then."""
        for name, place in self._places.items():
            for inside in place.iterdir():
                shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
            _copy(self.copy / name, place)
        history = self.history
        return replace(history, trees=dict(history.trees), seqs=dict(history.seqs))


def _copy(source: Path, target: Path) -> None:
    """Copy with owners, modes and times, by other means than ours."""
    subprocess.run(["cp", "-a", "--", f"{source}/.", target], check=True)


def fill(directory: Path, seed: int, files: int, size: int = _FILE) -> None:
    """Write *files* files of *size* bytes that nothing else has."""
    chance = random.Random(seed)
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (directory / f"{number:03d}").write_bytes(chance.randbytes(size))


def pool_of(site: Site) -> PurePosixPath:
    """Return the pool of the one deduplicated job, as its storage knows it."""
    return PurePosixPath(site.job.relative_to(site.server.root)) / "pool"


# what went before


def first_run(site: Site) -> History:
    """Nothing: the job is new."""
    make_tree(site.source, big=_BIG)
    return History(site, {"last": 2, "compression": "none"})


def ring(site: Site) -> History:
    """A ring whose slots are all in use."""
    make_tree(site.source, big=_BIG)
    history = History(site, {"last": 2})
    for number in (1, 2):
        history.run()
        change_tree(site.source, number)
    return history


def full(site: Site) -> History:
    """A full copy that the next one replaces."""
    make_tree(site.source, big=_BIG)
    history = History(site, {"structure": "full", "last": 1})
    history.run()
    change_tree(site.source, 1)
    return history


def interrupted(site: Site) -> History:
    """A run that was killed when the manifest it replaced was gone, and the volumes were not."""
    history = full(site)
    with history.start(Strike(pattern=r"^DELE [^\n]*\.tar\.gz")) as run:
        assert run.wait() == -signal.SIGKILL
    history.learn()
    return history


def deduplicated(site: Site) -> History:
    """A pool in which the next run sends, lets a restore point go with its volumes, and empties a volume.

    That means: of what is live in it some is on the host, and some must be read from the volume.
    """
    source = site.source
    history = History(site, {"structure": "deduplicated", "compression": "none", "last": 2})
    fill(source / "a", 1, 60)
    fill(source / "b", 2, 3)
    history.run()
    shutil.rmtree(source / "a")
    fill(source / "only in the second", 3, 20)
    history.run()
    shutil.rmtree(source / "only in the second")
    fill(source / "c", 4, 8)
    history.run()
    (source / "b/000").unlink()
    fill(source / "d", 5, 4)
    return history


def healing(site: Site) -> History:
    """A pool of which a volume is said to be broken, so that all that it holds is to be sent again.

    In truth it is whole, so every restore point must restore at any moment.
    """
    history = deduplicated(site)
    last = points_of(site.job)[-1]
    (volume,) = [name for name in last.volumes if last.run in name.name]  # the host still has all that is in it
    with site.storage() as storage:
        write_damage(storage, pool_of(site), Damage(volumes=frozenset({str(volume.relative_to("pool"))})))
    return history


def with_checkpoints(structure: str) -> Callable[[Site], History]:
    """Return a past in which a run was killed behind its second checkpoint."""

    def arrange(site: Site) -> History:
        options = {"structure": structure, "compression": "none", "last": 2}
        history = History(site, options, checkpoint_every=32 * KIB)
        fill(site.source / "a", 1, 20)
        history.run()
        history.run()
        fill(site.source / "b", 2, 30)
        with history.start(Strike(pattern=r"^RNFR [^\n]*manifest\.gz")) as run:
            assert run.wait() == -signal.SIGKILL
        assert list(site.job.glob("points/*/*.checkpoint.gz"))
        fill(site.source / "c", 3, 10)
        return history

    return arrange


PASTS: dict[str, Callable[[Site], History]] = {
    "first run": first_run,
    "ring": ring,
    "ring with checkpoints": with_checkpoints("incremental"),
    "full": full,
    "full with checkpoints": with_checkpoints("full"),
    "interrupted": interrupted,
    "deduplicated": deduplicated,
    "deduplicated with checkpoints": with_checkpoints("deduplicated"),
    "healing": healing,
}
