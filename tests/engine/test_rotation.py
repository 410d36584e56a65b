# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention on a real server: which restore points there are after each run, what was sent, and that each restores."""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from tests.engine.child import Strike
from tests.engine.tidy import assert_tidy, points_of, sent_by
from tests.engine.trees import Tree, bytes_to_send, change_tree, contents_of, make_tree, tree_of

if t.TYPE_CHECKING:
    from tests.engine.site import Option, Site

_A_LINE_OF_A_MANIFEST = 500
_REST = 8192

# Root reads whatever the mode says, unless it is run without these.
AS_ONE_WHO_MAY_NOT_READ_ALL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@dataclass
class Story:
    """A job whose tree changes from run to run, and a memory of the tree at each."""

    site: Site
    trees: dict[str, Tree] = field(default_factory=dict)

    def run(self, **options: Option) -> dict[str, t.Any]:
        """Back up the tree as it is now and return the restore point, with how much was sent."""
        outcome = self.site.back_up(**options)
        point: dict[str, t.Any] = outcome.values["point"]
        self.trees[point["id"]] = tree_of(self.site.source)
        assert outcome.warnings == ()
        assert point["complete"]
        return point

    def assert_holds(self, *runs: str) -> None:
        """Assert that the job has the restore points *runs* and nothing else, and that each is the tree of its time."""
        assert [point.run for point in points_of(self.site.job)] == list(runs)
        assert_tidy(self.site.job)
        for run in runs:
            assert self.site.restored(run) == self.trees[run]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_ring_of_three_sends_only_changes_from_the_fourth_run_on_and_each_point_restores(
    site: Site, compression: str
) -> None:
    make_tree(site.source)
    story = Story(site)
    points: list[dict[str, t.Any]] = []
    for number in range(7):
        if number:
            change_tree(site.source, number)
        before = story.trees[points[-3]["id"]] if number >= 3 else {}
        point = story.run(last=3, compression=compression)
        points.append(point)

        after = story.trees[point["id"]]
        least, most = bytes_to_send(before, after)
        rest = len(after) * _A_LINE_OF_A_MANIFEST + _REST
        assert point["pool"] == ("s01", "s02", "s03")[number % 3]
        assert least * 0.9 < sent_by(site.job, point["id"]) < most * 1.01 + rest
        assert point["bytes_sent"] < most * 1.01 + rest
        assert number < 3 or most < 0.5 * sum(node.size for node in after.values())
        story.assert_holds(*[known["id"] for known in points[-3:]])


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_full_points_stand_alone_and_the_last_two_stay(site: Site, compression: str) -> None:
    make_tree(site.source, big=9_000_000)
    story = Story(site)
    runs: list[str] = []
    for number in range(4):
        if number:
            change_tree(site.source, number)
        point = story.run(structure="full", last=2, compression=compression)
        runs.append(point["id"])

        least, _most = bytes_to_send({}, story.trees[point["id"]])
        assert sent_by(site.job, point["id"]) > 0.9 * least
        story.assert_holds(*runs[-2:])


def test_without_a_retention_every_full_point_stays(site: Site) -> None:
    make_tree(site.source, big=0)
    story = Story(site)

    runs = [story.run(structure="full", last=None)["id"] for _number in range(4)]

    story.assert_holds(*runs)


def test_a_ring_shrinks_to_one_and_grows_again(site: Site) -> None:
    make_tree(site.source, big=0)
    story = Story(site)
    runs = []
    held = []
    for number, last in enumerate((3, 3, 3, 1, 3, 3, 3, 2)):
        if number:
            change_tree(site.source, number)
        runs.append(story.run(last=last)["id"])
        held.append(len(points_of(site.job)))
        story.assert_holds(*runs[-held[-1] :])

    assert held == [1, 2, 3, 1, 2, 3, 3, 2]


def test_a_changed_compression_applies_to_new_volumes_of_a_slot(site: Site) -> None:
    make_tree(site.source, big=9_000_000)
    story = Story(site)
    runs = []
    for number, compression in enumerate(("none", "gzip", "none", "gzip")):
        if number:
            change_tree(site.source, number)
        runs.append(story.run(last=2, compression=compression)["id"])
        story.assert_holds(*runs[-2:])


def test_partial_points_never_rotate_over_the_last_complete_one(site: Site) -> None:
    make_tree(site.source, big=0)
    story = Story(site)
    complete = story.run(last=1)["id"]
    secret = site.source / "etc/secret"
    secret.chmod(0)

    for number in (1, 2, 3):
        change_tree(site.source, number)
        with site.start(Strike(), AS_ONE_WHO_MAY_NOT_READ_ALL, last=1) as run:
            result = run.result()
        assert not result["point"]["complete"]
        assert [problem["path"] for problem in result["point"]["problems"]] == [str(secret)]
        assert [point.is_complete for point in points_of(site.job)] == [True, False]
        assert site.restored(complete) == story.trees[complete]
        assert_tidy(site.job)

    secret.chmod(0o600)
    story.assert_holds(story.run(last=1)["id"])


def test_what_cannot_be_read_is_kept_from_the_slots_earlier_point(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    before = tree_of(site.source)
    (site.source / "etc/secret").write_bytes(b"another secret")
    (site.source / "etc/secret").chmod(0)
    (site.source / "text").write_bytes(b"readable")

    with site.start(Strike(), AS_ONE_WHO_MAY_NOT_READ_ALL, last=1) as run:
        run.result()

    restored = site.restored()
    assert restored[b"etc/secret"].digest == before[b"etc/secret"].digest
    assert restored[b"text"] == tree_of(site.source)[b"text"]


def test_a_directory_that_cannot_be_read_makes_the_point_partial_and_costs_nothing_else(site: Site) -> None:
    make_tree(site.source, big=0)
    (site.source / "etc/secret").chmod(0o644)
    (site.source / "docs").chmod(0)

    with site.start(Strike(), AS_ONE_WHO_MAY_NOT_READ_ALL) as run:
        result = run.result()

    assert [problem["path"] for problem in result["point"]["problems"]] == [str(site.source / "docs")]
    there = tree_of(site.source)
    assert site.restored() == {name: node for name, node in there.items() if not name.startswith(b"docs/")}


def test_a_fresh_point_makes_a_run_unnecessary_unless_it_is_of_another_definition(site: Site) -> None:
    make_tree(site.source, big=0)
    first = site.back_up().values["point"]

    again = site.back_up(force=False)
    other = site.back_up(force=False, paths=(str(site.source / "docs"),))

    assert (again.changed, again.values["point"]["id"]) == (False, first["id"])
    assert (other.changed, other.values["point"]["seq"]) == (True, 2)


def test_a_tree_that_is_emptied_still_makes_a_point(site: Site) -> None:
    make_tree(site.source, big=0)
    story = Story(site)
    runs = [story.run(last=2)["id"]]
    shutil.rmtree(site.source)
    site.source.mkdir()

    runs += [story.run(last=2)["id"] for _number in range(2)]

    story.assert_holds(*runs[-2:])
    assert contents_of(story.trees[runs[-1]]) == {}


def test_a_structure_cannot_be_changed_in_place(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up()

    with pytest.raises(UsageError, match="structure"):
        site.back_up(structure="full")
