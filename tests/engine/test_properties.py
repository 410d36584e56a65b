# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random trees, random changes and random wishes over many runs, which a seed repeats.

What has to hold after each run:

- every restore point that is there equals what the tree was when it was made, metadata included, and what had holes
  takes no more room than it did,
- the last ones are there, as many as retention keeps whatever their age,
- nothing lies on the server that no restore point names,
- the volumes of a deduplicated job hold at most twice what was live in them before the run, and what the run has added.
"""

from __future__ import annotations

import os
import random
import stat
import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Rules, path_bytes
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy
from tests.engine.child import Strike
from tests.engine.test_rotation import AS_ONE_WHO_MAY_NOT_READ_ALL
from tests.engine.tidy import assert_tidy, manifests_of, points_of
from tests.engine.trees import Tree, room_of, tree_of
from tests.engine.wild import LEFT_OUT, Wilderness, is_left_out

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.site import Option, Site

pytestmark = pytest.mark.timeout(3600)  # with --soak all of them take minutes

_SEEDS_SAMPLED, _RUNS_SAMPLED = 5, 7
_SEEDS_IN_FULL, _RUNS_IN_FULL = 40, 16
_CHANGES = (0, 1, 5, 25, 60)
_SLACK = 128 * 1024  # what a file system may round a file up by
_STRUCTURES = ("deduplicated", "incremental", "full")
_COMPRESSIONS = ("none", "gzip", "zstd")
_POLICIES = (
    Policy(last=1),
    Policy(last=2),
    Policy(last=3),
    Policy(last=1, daily=3),
    Policy(last=2, hourly=2, weekly=1),
)
_IN_THE_FUTURE = "is dated in the future"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tell more and longer stories with --soak."""
    if "seed" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("--soak")
        count = _SEEDS_IN_FULL if is_full else _SEEDS_SAMPLED
        length = _RUNS_IN_FULL if is_full else _RUNS_SAMPLED
        metafunc.parametrize(("seed", "length"), [(seed, length) for seed in range(count)])


class Kept(t.NamedTuple):
    """What a restore point must hold: the tree, but for what is *unread*, and how much room files took."""

    tree: Tree
    room: dict[bytes, int]
    unread: frozenset[bytes] = frozenset()


@dataclass
class Content:
    """How many bytes the volumes of a pool hold, by volume, and how many of all of them restore points name."""

    held: dict[str, int] = field(default_factory=dict)
    live: int = 0


def content_of(job: Path) -> Content:
    """Return what lies in the pool of a deduplicated *job*, each segment counted once."""
    content = Content()
    live: dict[tuple[str, int, int], int] = {}
    for path in manifests_of(job):
        manifest = open_manifest(path)
        content.held.update({name: use.content for name, use in manifest.trailer.volumes.items()})
        for entry in manifest.entries():
            live.update({(place.volume, place.offset, place.start): place.size for place in entry.places})
    content.live = sum(live.values())
    return content


def _but_for(unread: frozenset[bytes], tree: Tree) -> Tree:
    """Return *tree* without what could not be read, whose names may have been others before."""
    if not unread:
        return tree
    hidden = tuple(name + b"/" for name in unread)
    return {
        name: node._replace(names=())
        for name, node in tree.items()
        if name not in unread and not name.startswith(hidden)
    }


class Story:
    """A job whose tree and whose options change at random."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.chance = random.Random(seed)
        self.structure = _STRUCTURES[seed % len(_STRUCTURES)]
        self.roots = self.chance.choice([("",), ("",), ("one", "two", "two-beside")])
        has_large = self.chance.random() < 0.3
        self.wilderness = Wilderness(site.source, self.roots, self.chance, has_large=has_large)
        self.kept: dict[str, Kept] = {}
        self.newest = ""
        self.hours = 0.0
        self.last = 1
        self.wilderness.change(60)

    # -- runs

    def run(self) -> None:
        """Change the tree, and back it up in a way that may differ from the one before."""
        self.wilderness.change(self.chance.choice(_CHANGES))
        self.hours += self.chance.choice((0, 1, 30, 30, 200, -100))
        before, there = (content_of(self.site.job), self.countable()) if self.kept else (Content(), [])
        options = self._options()
        unreadable = self.wilderness.readable_file() if self.chance.random() < 0.15 else None
        if unreadable is None:
            self._run_well(options)
        else:
            self._run_without(unreadable, options)
        assert_tidy(self.site.job)
        assert {*there[max(0, len(there) + 1 - self.last) :], self.newest} <= set(self.listed())
        if self.structure == "deduplicated":
            self._assert_pool_is_within_bounds(before)

    def _options(self) -> dict[str, Option]:
        chance = self.chance
        policy = chance.choice(_POLICIES)
        if self.structure == "incremental":
            policy = Policy(last=policy.last)
        self.last = policy.last or 0
        return {
            "structure": self.structure,
            "compression": chance.choice(_COMPRESSIONS),
            "retention": policy,
            "checksum": chance.random() < 0.2,
            "reads_back": chance.random() < 0.2,
            "volume_size": chance.choice((1, 32)) * 1024 * 1024,
            "rules": Rules(exclude=LEFT_OUT if chance.random() < 0.3 else ()),
            "paths": tuple(str(self.site.source / root) for root in self.roots),
        }

    def _run_well(self, options: dict[str, Option]) -> None:
        wanted, room = self._now(options), room_of(self.site.source)

        outcome = self.site.later(hours=self.hours).back_up(**options)

        assert [warning for warning in outcome.warnings if _IN_THE_FUTURE not in warning] == []
        assert outcome.values["point"]["complete"]
        self._keep(outcome.values["point"], Kept(wanted, room))

    def _run_without(self, unreadable: Path, options: dict[str, Option]) -> None:
        """Back up as one who may not read one of the files, nor others that the tree may have."""
        mode = unreadable.stat().st_mode
        unreadable.chmod(0)
        wanted, room = self._now(options), room_of(self.site.source)

        with self.site.start(Strike(), AS_ONE_WHO_MAY_NOT_READ_ALL, **options) as run:
            result = run.result()

        unreadable.chmod(mode & 0o7777)
        point = result["point"]
        problems = [
            os.path.relpath(path_bytes(problem["path"]), bytes(self.site.source)) for problem in point["problems"]
        ]
        self._keep(point, Kept(wanted, room, frozenset(problems)))

    def _now(self, options: dict[str, Option]) -> Tree:
        """Return the tree as the next restore point must hold it."""
        return self._within(tree_of(self.site.source), is_rule=bool(options["rules"].exclude))

    def _within(self, tree: Tree, *, is_rule: bool = False) -> Tree:
        """Return what of *tree* lies below the roots, and is not left out by a rule; sockets always are."""
        roots = [os.fsencode(root) for root in self.roots]

        def stays(name: bytes) -> bool:
            if roots == [b""]:
                return not is_rule or not is_left_out(name)
            root, _slash, rest = name.partition(b"/")
            return root in roots and not (is_rule and rest and is_left_out(rest))

        return {
            name: node._replace(names=tuple(other for other in node.names if stays(other)))
            for name, node in tree.items()
            if stays(name) and node.kind != stat.S_IFSOCK
        }

    def _keep(self, point: dict[str, t.Any], kept: Kept) -> None:
        self.kept[point["id"]] = kept
        self.newest = point["id"]

    # -- what has to hold

    def assert_restores(self, runs: t.Iterable[str]) -> None:
        for run in runs:
            kept = self.kept[run]
            with self.site.restoring(run) as top:
                restored, room = self._within(tree_of(top)), room_of(top)
            read = _but_for(kept.unread, kept.tree)
            assert _but_for(kept.unread, restored) == read
            assert {name for name in read.keys() & room.keys() if room[name] > kept.room[name] + _SLACK} == set()

    def listed(self) -> list[str]:
        return [point.run for point in sorted(points_of(self.site.job), key=lambda point: point.seq)]

    def countable(self) -> list[str]:
        """Return the restore points that retention counts: in a ring, the newest of each slot."""
        points = sorted(points_of(self.site.job), key=lambda point: point.seq)
        newest = {point.pool if self.structure == "incremental" else point.run: point.run for point in points}
        return [point.run for point in points if point.run in newest.values()]

    def _assert_pool_is_within_bounds(self, before: Content) -> None:
        """Emptying is planned by what is live before the run, which then adds what it sends under its own id."""
        after = content_of(self.site.job)
        added = sum(size for name, size in after.held.items() if self.newest in name)
        assert sum(after.held.values()) <= 2 * before.live + added


def test_every_restore_point_is_the_tree_of_its_time(site: Site, seed: int, length: int) -> None:
    story = Story(site, seed)

    for number in range(length):
        story.run()
        listed = story.listed()
        story.assert_restores({listed[-1], story.chance.choice(listed)} if number < length - 1 else listed)
