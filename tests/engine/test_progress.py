# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tell how far they have come, so that it can be drawn; and who is told can end them, which leaves no trace."""

from __future__ import annotations

import threading
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import copy_meter
from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.lock import JobLock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import (
    FINISHING,
    PRUNING,
    READING,
    RESTORING,
    SCANNING,
    UPLOADING,
    VERIFYING,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import Request, verify
from tests.engine.site import NAME
from tests.engine.tidy import assert_tidy, job_directories, manifests_of
from tests.engine.trees import BIG, BIG_FILE, change_tree, make_tree, tree_of
from tests.engine.watching import Interrupter, Watcher

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Option, Site
    from tests.engine.trees import Tree
    from tests.engine.watching import Told

STRUCTURES = ("incremental", "full", "deduplicated")
MIB = 1024 * 1024


def content_of(tree: Tree) -> int:
    """Return how much content there is in *tree*, that of a file with several names once."""
    return sum(node.size for name, node in tree.items() if name == node.names[:1][0]) if tree else 0


def files_size(top: Path) -> int:
    """Return how much content lies at and below *top*."""
    tree = {name: node for name, node in tree_of(top).items() if node.names}
    return content_of(tree)


def bring_back(site: Site, target: Path, **options: Option) -> Outcome:
    return restore(site.registry, site.host, Wish(NAME, "nightly", target, **options), check_mode=False)


def rebuild_index(site: Site) -> Outcome:
    return reindex(site.registry, site.home / "var", NAME, rebuild=True, check_mode=False, progress=site.progress)


def verify_all(site: Site) -> Outcome:
    return verify(site.registry, site.host, Request(NAME), check_mode=False)


# backup


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_first_backup_tells_how_much_of_all_content_is_stored(site: Site, structure: str) -> None:
    make_tree(site.source)
    watcher = Watcher()

    point = site.watched_by(watcher).back_up(structure=structure).values["point"]

    watcher.assert_sound()
    assert watcher.phases == [SCANNING, UPLOADING, FINISHING]
    assert watcher.last(UPLOADING).done == files_size(site.source)
    assert watcher.last(UPLOADING).entries == watcher.last(FINISHING).entries == point["entries"]
    assert watcher.last(FINISHING).item == point["id"]


def test_how_much_there_is_is_told_before_the_first_piece_is_stored(site: Site) -> None:
    site.source.mkdir()
    (site.source / "page").write_bytes(b"x" * 100)
    watcher = Watcher()

    site.watched_by(watcher).back_up()

    assert next((told.done, told.total) for told in watcher.of(UPLOADING) if told.total is not None) == (0, 100)


def test_what_is_being_stored_is_told_piece_by_piece(site: Site) -> None:
    make_tree(site.source)
    watcher = Watcher()

    site.watched_by(watcher).back_up(compression="none")

    dones = [told.done for told in watcher.of(UPLOADING)]
    assert max(after - before for before, after in zip(dones, dones[1:])) <= 9 * MIB
    assert str(site.source / BIG_FILE) in {told.item for told in watcher.of(UPLOADING)}


@pytest.mark.parametrize("structure", ["incremental", "deduplicated"])
def test_what_is_found_unchanged_is_not_counted_as_to_be_sent(site: Site, structure: str) -> None:
    make_tree(site.source)
    point = site.back_up(structure=structure, last=1).values["point"]
    site.back_up(structure=structure, last=1)  # what had changed too lately to be sure is read once more
    watcher = Watcher()

    site.watched_by(watcher).back_up(structure=structure, last=1)

    watcher.assert_sound()
    assert watcher.phases == [SCANNING, FINISHING, PRUNING]
    assert watcher.last(SCANNING).entries == point["entries"]


def test_of_a_changed_tree_only_what_must_be_read_counts(site: Site) -> None:
    make_tree(site.source)
    site.back_up(structure="deduplicated", last=1)
    site.back_up(structure="deduplicated", last=1)  # what had changed too lately to be sure is read once more
    (site.source / "new").write_bytes(b"new content")
    (site.source / "text").write_text("some work\n")
    watcher = Watcher()

    site.watched_by(watcher).back_up(structure="deduplicated", last=1)

    watcher.assert_sound()
    assert watcher.phases == [SCANNING, UPLOADING, FINISHING, PRUNING]
    assert watcher.last(UPLOADING).done == len(b"new content") + len("some work\n")
    assert (watcher.last(PRUNING).entries, watcher.last(PRUNING).item) == (1, "nightly")


def test_content_that_is_stored_already_is_read_and_then_done(site: Site) -> None:
    make_tree(site.source)
    first = site.back_up(structure="deduplicated").values
    site.back_up(structure="deduplicated")  # what had changed too lately to be sure is read once more
    (site.source / BIG_FILE).rename(site.source / "renamed.img")
    (site.source / "renamed.img").touch()
    watcher = Watcher()

    second = site.watched_by(watcher).back_up(structure="deduplicated").values

    watcher.assert_sound()
    assert watcher.last(UPLOADING).done == BIG
    assert second["bytes_sent"] < first["bytes_sent"] // 100


def test_how_much_there_is_is_known_before_a_large_part_of_it_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_meter, "WORTH_A_LOOK", MIB)
    site.source.mkdir()
    for number in range(8):
        with (site.source / f"{number}").open("wb") as file:
            file.truncate(1)
            for _piece in range(5):
                file.write(bytes([number]) * (5 * MIB))
    watcher = Watcher()

    site.watched_by(watcher).back_up(volume_size=4 * MIB)

    watcher.assert_sound()
    total = files_size(site.source)
    known = [told for told in watcher.of(UPLOADING) if told.total is not None]
    assert {told.total for told in known} == {total}
    assert known[0].done < total // 2


def test_a_file_that_grows_while_it_is_read_lets_the_total_grow(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_meter, "WORTH_A_LOOK", 1)
    site.source.mkdir()
    for name in ("a", "b"):
        (site.source / name).write_bytes(bytes(20 * MIB))
    grown = threading.Event()

    class Growing(Watcher):
        def report(self, phase: str, **values: t.Any) -> None:  # noqa: ANN401 - whatever the seam has
            super().report(phase, **values)
            if values.get("total") == 40 * MIB and not grown.is_set():
                grown.set()
                with (site.source / "b").open("ab") as file:
                    file.write(bytes(10 * MIB))

    watcher = Growing()

    site.watched_by(watcher).back_up()

    watcher.assert_sound()
    assert grown.is_set()
    assert watcher.last(UPLOADING).total == 50 * MIB


def test_check_mode_tells_what_it_scans(site: Site) -> None:
    make_tree(site.source)
    watcher = Watcher()

    watched = site.watched_by(watcher)
    point = back_up(watched.registry, watched.host, site.request(), check_mode=True).values["point"]

    watcher.assert_sound()
    assert watcher.phases == [SCANNING]
    assert watcher.last(SCANNING).entries == point["entries"]


# the others


def test_a_restore_tells_how_much_of_the_content_is_there(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    site.back_up()
    watcher = Watcher()

    outcome = bring_back(site.watched_by(watcher), tmp_path / "target")

    watcher.assert_sound()
    assert watcher.phases == [RESTORING]
    assert watcher.last(RESTORING).done == outcome.values["bytes"] == files_size(site.source)
    assert watcher.last(RESTORING).entries == outcome.values["restored"]["files"]
    assert watcher.of(RESTORING)[1].total == watcher.last(RESTORING).total


def test_a_restore_of_what_is_there_already_has_nothing_to_bring(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    site.back_up()
    bring_back(site, tmp_path / "target")
    watcher = Watcher()

    bring_back(site.watched_by(watcher), tmp_path / "target")

    watcher.assert_sound()
    assert watcher.last(RESTORING) == (RESTORING, 0, 0, 0, "")


def test_a_restore_of_some_paths_counts_them_alone(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    site.back_up()
    watcher = Watcher()

    bring_back(site.watched_by(watcher), tmp_path / "target", paths=(f"{site.source}/docs",))

    watcher.assert_sound()
    assert watcher.last(RESTORING).done == files_size(site.source / "docs")
    assert {told.total for told in watcher.of(RESTORING)[1:]} == {files_size(site.source / "docs")}


def test_a_reindex_tells_how_many_restore_points_were_read(site: Site) -> None:
    make_tree(site.source)
    for number in (1, 2, 3):
        site.back_up()
        change_tree(site.source, number)
    watcher, again = Watcher(), Watcher()

    rebuild_index(site.watched_by(watcher))
    reindex(site.registry, site.home / "var", NAME, check_mode=False, progress=again)

    watcher.assert_sound()
    last = watcher.last(READING)
    assert (last.done, last.entries) == (sum(path.stat().st_size for path in manifests_of(site.job)), 3)
    again.assert_sound()
    assert (again.last(READING).done, again.last(READING).entries) == (0, 0)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_verification_tells_how_much_of_the_volumes_was_read(site: Site, compression: str) -> None:
    make_tree(site.source)
    for job in ("nightly", "weekly"):
        site.back_up(job, compression=compression, volume_size=4 * MIB)
    watcher = Watcher()

    verified = verify_all(site.watched_by(watcher)).values["verified"]

    watcher.assert_sound()
    last = watcher.last(VERIFYING)
    assert (last.done, last.entries) == (verified["bytes"], verified["volumes"])


# interruptions


def interrupted(deed: Callable[[Site], object], site: Site, is_time: Callable[[Told], bool]) -> Interrupter:
    """Do *deed*, which must be ended by a watcher, and see that all of its threads have ended."""
    watcher = Interrupter(KeyboardInterrupt(), is_time)
    before = set(threading.enumerate())

    with pytest.raises(KeyboardInterrupt):
        deed(site.watched_by(watcher))

    left = [thread for thread in set(threading.enumerate()) - before if not thread.daemon]
    assert left == []
    return watcher


def left_on_server(site: Site) -> list[str]:
    """Return the files and locks of all jobs that belong to no restore point."""
    found = [path for job in job_directories(site.server.root) for path in job.rglob("*")]
    return [str(path) for path in found if path.name == "lock" or path.suffix in (".tmp", ".gone")]


MOMENTS: dict[str, Callable[[Told], bool]] = {
    "when it begins": lambda _told: True,
    "when the first content is read": lambda told: told.phase == UPLOADING,
    "while it is uploaded": lambda told: told.phase == UPLOADING and told.done > 3 * MIB,
    "when all is uploaded": lambda told: told.phase == UPLOADING and 0 < told.done == told.total,
    "before it is published": lambda told: told.phase == FINISHING,
}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_backup_that_is_interrupted_leaves_nothing_half_made(site: Site, structure: str, moment: str) -> None:
    make_tree(site.source)
    site.back_up(structure=structure, last=2)
    before = tree_of(site.source)
    change_tree(site.source, 1)
    (site.source / "more.img").write_bytes(bytes(range(256)) * (20 * 1024))
    there = set(job_directories(site.server.root)[0].rglob("*"))

    interrupted(lambda site: site.back_up(structure=structure, last=2), site, MOMENTS[moment])

    assert left_on_server(site) == []
    assert {path for path in site.job.rglob("*") if path.is_file()} == {path for path in there if path.is_file()}
    assert site.restored() == before
    site.back_up(structure=structure, last=2)
    assert_tidy(site.job)
    assert site.restored() == tree_of(site.source)


def test_an_interruption_after_the_restore_point_was_made_costs_nothing_of_it(site: Site) -> None:
    make_tree(site.source)
    site.back_up(structure="full", last=1)
    change_tree(site.source, 1)

    interrupted(lambda site: site.back_up(structure="full", last=1), site, lambda told: told.phase == PRUNING)

    assert left_on_server(site) == []
    assert site.restored() == tree_of(site.source)


@pytest.mark.parametrize(
    "is_time",
    [
        lambda _told: True,
        lambda told: told.done > 0,
        lambda told: told.done > 10 * MIB,
        lambda told: told.entries > 3,
        lambda told: 0 < told.done == told.total,
    ],
    ids=["begun", "some content", "half", "some files", "all content"],
)
def test_a_restore_that_is_interrupted_leaves_each_file_whole_or_not_there(
    site: Site, tmp_path: Path, is_time: Callable[[Told], bool]
) -> None:
    make_tree(site.source)
    site.back_up()
    target = tmp_path / "target"

    interrupted(lambda site: bring_back(site, target), site, is_time)

    wanted = tree_of(site.source)
    top = target / site.source.relative_to("/")
    for name, node in tree_of(top).items() if top.exists() else ():
        assert node._replace(names=()) == wanted[name]._replace(names=()) or name == b".", name
    assert list(target.rglob(".ftp-backup-*")) == []
    bring_back(site, target)
    assert tree_of(top) == wanted


def test_a_verification_that_is_interrupted_ends_at_once_and_can_go_on(site: Site) -> None:
    make_tree(site.source)
    site.back_up(compression="none", volume_size=2 * MIB)

    interrupted(verify_all, site, lambda told: told.done > 3 * MIB)

    assert left_on_server(site) == []
    assert verify_all(site).values["whole"]


def test_a_reindex_that_is_interrupted_leaves_the_index_as_it_was(site: Site) -> None:
    make_tree(site.source)
    site.back_up()
    index = next((site.home / "var").rglob("index-*.sqlite"))
    before = index.read_bytes()

    interrupted(rebuild_index, site, lambda told: told.entries > 0)

    assert index.read_bytes() == before
    assert [path.name for path in index.parent.glob("index.new*")] == []
    rebuild_index(site)


def interrupt_once(monkeypatch: pytest.MonkeyPatch, name: str, *, is_done_first: bool) -> list[str]:
    """Have the deed *name* of a lock interrupted the first time, before or after it is done; return what was done."""
    deed = getattr(JobLock, name)
    struck: list[str] = []

    def interrupted_deed(lock: JobLock, *arguments: object) -> object:
        struck.append(name)
        if len(struck) > 1:
            return deed(lock, *arguments)
        if is_done_first:
            deed(lock, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(JobLock, name, interrupted_deed)
    return struck


@pytest.mark.parametrize(("deed", "is_done_first"), [("_take", True), ("_give_back", True), ("_give_back", False)])
def test_a_lock_is_given_back_though_taking_it_or_giving_it_back_is_interrupted(
    site: Site, monkeypatch: pytest.MonkeyPatch, deed: str, *, is_done_first: bool
) -> None:
    make_tree(site.source, big=MIB)
    site.back_up()
    struck = interrupt_once(monkeypatch, deed, is_done_first=is_done_first)

    with pytest.raises(KeyboardInterrupt):
        site.back_up()

    assert struck
    assert left_on_server(site) == []
