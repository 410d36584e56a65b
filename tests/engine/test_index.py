# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of a destination on a real server: backups keep it, a reindex makes it anew, others ask it meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
import typing as t
from contextlib import closing
from datetime import datetime, timezone
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LockedError, RefusedError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import Question, list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.index_file import UnusableIndexError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy
from tests.engine import reindex_child
from tests.engine.child import Strike
from tests.engine.site import NAME, Site
from tests.engine.test_deduplicated import about_to_be_emptied, backed_up
from tests.engine.tidy import manifests_of
from tests.outcomes import without_run

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.trees import Tree

AT_A_MANIFEST = Strike(pattern=r"^RETR [^\n]*manifest", number=signal.SIGSTOP)
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
EVERYTHING = Question(paths=("/",), limit=10_000)


def remake(site: Site, *, client: str | None = None, rebuild: bool = False, check_mode: bool = False) -> Outcome:
    var = site.home / "var"
    return reindex(site.registry, var, NAME, client=client, rebuild=rebuild, check_mode=check_mode)


def ask(site: Site, question: Question = EVERYTHING) -> dict[str, t.Any]:
    return without_run(list_backups(site.registry, site.home / "var", NAME, question, now=NOW).values)


def runs(site: Site) -> list[str]:
    return [point["id"] for point in ask(site)["points"]]


def index_of(site: Site) -> Path:
    (index,) = site.home.glob("var/*/index-*.sqlite")
    return index


def forget_copies(site: Site) -> None:
    for clients in site.home.glob("var/*/clients"):
        shutil.rmtree(clients)


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return time and content of all files below *root*."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture
def past(site: Site) -> Site:
    """A site with three restore points, each with another content of one file."""
    site.declare(max_connections=20)  # so that a run that stands still keeps no other one waiting
    site.source.mkdir()
    (site.source / "always").write_text("the same")
    for number in range(3):
        (site.source / "diary").write_text(f"day {number}")
        site.back_up()
    return site


@pytest.fixture
def other_host(past: Site, tmp_path: Path) -> Site:
    """A host that knows nothing but where the destination is."""
    return past.as_other_host(tmp_path / "other")


# -- what it tells


@pytest.mark.parametrize("structure", ["incremental", "full", "deduplicated"])
def test_a_reindex_on_another_host_knows_what_the_backups_noted(site: Site, tmp_path: Path, structure: str) -> None:
    chance = random.Random(1)
    site.source.mkdir()
    for number in range(6):
        for name in range(20):
            if chance.random() < 0.5:
                (site.source / f"file{name}").write_bytes(chance.randbytes(20_000))
        site.back_up(structure=structure, last=3, compression="none")
        assert not remake(site).changed, number
    other_host = site.as_other_host(tmp_path / "other")

    outcome = remake(other_host)

    assert (outcome.values["new"], outcome.values["unreadable"], outcome.warnings) == (3, [], ())
    assert ask(other_host) == ask(site)
    assert len(ask(site)["versions"]) > 21


def test_restore_points_that_were_published_anew_are_indexed_as_they_are_now(site: Site, tmp_path: Path) -> None:
    trees: dict[str, Tree] = {}
    about_to_be_emptied(site, trees)
    other_host = site.as_other_host(tmp_path / "other")
    remake(other_host)

    for last in (2, 3):
        backed_up(site, trees, retention=Policy(last=last))
    outcome = remake(other_host)

    assert any(".g2.manifest" in path.name for path in manifests_of(site.job))
    assert outcome.values["updated"] == 1
    assert ask(other_host) == ask(site)
    assert not remake(site, rebuild=True).changed


def test_a_reindex_sees_what_other_clients_have_stored(past: Site, other_host: Site) -> None:
    other_host.source.joinpath("diary").write_text("of another client")
    client = Site(past.server, other_host.home, past.source, "web02")
    client.back_up("weekly", client="web02")

    outcome = remake(past)

    assert (outcome.values["new"], outcome.values["unchanged"], outcome.values["job_count"]) == (1, 3, 2)
    versions = ask(past, Question(client="web02", paths=(str(past.source / "diary"),)))["versions"]
    assert [(version["job"], version["bytes"]) for version in versions] == [("weekly", 17)]


def test_where_nothing_changed_no_manifest_is_read(past: Site) -> None:
    remake(past)
    before = ask(past)
    forget_copies(past)
    for manifest in manifests_of(past.job):
        manifest.write_bytes(bytes(manifest.stat().st_size))  # whoever reads one finds damage

    outcome = remake(past)

    assert (outcome.changed, outcome.values["unchanged"], outcome.values["unreadable"]) == (False, 3, [])
    assert ask(past) == before
    assert len(remake(past, rebuild=True).values["unreadable"]) == 3


def test_a_destination_that_nobody_can_write_to_is_reindexed_and_left_as_it_was(past: Site, other_host: Site) -> None:
    root = past.server.root
    directories = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for directory in directories:
        directory.chmod(0o555)
    try:
        with pytest.raises(RefusedError), other_host.storage() as storage:
            storage.write(PurePosixPath("proof"), lambda: [b"it can be written"])
        before = contents(root)

        outcome = remake(other_host)

        assert (outcome.values["new"], outcome.warnings) == (3, ())
        assert contents(root) == before
    finally:
        for directory in directories:
            directory.chmod(0o755)
    assert runs(other_host) == runs(past)


# -- meanwhile


@pytest.mark.parametrize("client", [None, "web01"])
def test_a_backup_that_commits_during_a_reindex_is_not_lost(past: Site, client: str | None) -> None:
    index_of(past).unlink()
    forget_copies(past)
    with reindex_child.start(past, AT_A_MANIFEST, client) as run:
        run.wait_until_stopped()
        (past.source / "diary").write_text("written meanwhile")
        fresh = past.back_up().values["point"]["id"]
        weekly = past.back_up("weekly").values["point"]["id"]
        run.go_on()
        said = run.result()

    assert (said["point_count"], said["unreadable"]) == (5, [])
    assert {fresh, weekly} < set(runs(past))
    assert len(runs(past)) == 5
    assert not remake(past).changed


def test_the_old_index_answers_during_a_reindex(past: Site, other_host: Site) -> None:
    remake(other_host)
    old = ask(other_host)
    past.back_up()
    with reindex_child.start(other_host, AT_A_MANIFEST) as run:
        run.wait_until_stopped()

        assert ask(other_host) == old

        run.go_on()
        assert run.result()["new"] == 1
    assert len(runs(other_host)) == 4


def test_of_two_reindexes_at_once_the_second_one_is_refused_in_a_sentence(past: Site) -> None:
    index_of(past).unlink()
    forget_copies(past)
    with reindex_child.start(past, AT_A_MANIFEST) as run:
        run.wait_until_stopped()

        with pytest.raises(LockedError, match=rf"'{NAME}' is already being reindexed on this host, by process \d+\.$"):
            remake(past)
        foretold = remake(past, check_mode=True)

        run.go_on()
        said = run.result()
    assert (foretold.values["new"], said["new"]) == (3, 3)
    assert not remake(past).changed


def test_whoever_asks_again_and_again_gets_whole_answers_while_reindexes_and_backups_go_on(past: Site) -> None:
    known = {frozenset(runs(past))}
    done = threading.Event()
    seen: list[frozenset[str]] = []
    failures: list[Exception] = []

    def ask_on() -> None:
        while not done.is_set():
            try:
                seen.append(frozenset(runs(past)))
            except (sqlite3.Error, LookupError, RuntimeError, OSError) as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=ask_on) for _number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            (past.source / "diary").write_text(f"and day {number}")
            past.back_up()
            known.add(frozenset(runs(past)))
            remake(past, rebuild=True)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert failures == []
    assert seen
    assert set(seen) <= known


@pytest.mark.parametrize("deed", [1, 5, 10, 15, 20, 25, 30, 35, 40])
def test_a_reindex_that_is_killed_leaves_the_old_index_or_the_new_one(past: Site, other_host: Site, deed: int) -> None:
    remake(other_host)
    old = runs(other_host)
    past.back_up()

    with reindex_child.start(other_host, Strike(at=deed)) as run:
        code = run.wait()

    assert code in (0, -signal.SIGKILL)
    assert runs(other_host) in (old, runs(past))
    assert remake(other_host).values["point_count"] == 4
    assert runs(other_host) == runs(past)
    assert not [path.name for path in index_of(other_host).parent.iterdir() if path.name.startswith("index.new")]


# -- an index that is of no use


def _flip(index: Path) -> None:
    chance = random.Random(1)
    content = bytearray(index.read_bytes())
    for _number in range(len(content) // 10):
        content[chance.randrange(len(content))] ^= 255
    index.write_bytes(content)


def _make_older(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA user_version = 1")


SPOILERS: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut off": lambda index: os.truncate(index, index.stat().st_size // 2),
    "random": lambda index: index.write_bytes(random.Random(1).randbytes(50_000)),
    "older": _make_older,
}


@pytest.fixture(params=SPOILERS)
def spoiled(past: Site, request: pytest.FixtureRequest) -> Site:
    """A site with three restore points in two jobs, whose index is of no use."""
    past.back_up("weekly")
    SPOILERS[request.param](index_of(past))
    return past


def test_whoever_asks_an_index_of_no_use_is_told_to_reindex(spoiled: Site) -> None:
    with pytest.raises(UnusableIndexError, match=r"^The index \S+ is .*; reindex makes it anew\.$"):
        ask(spoiled)


def test_a_backup_begins_an_index_of_no_use_anew_and_says_so(spoiled: Site) -> None:
    outcome = spoiled.back_up()

    (warning,) = outcome.warnings
    assert str(index_of(spoiled)) in warning
    assert "It was begun anew with the job 'nightly' alone: reindex finds all others again." in warning
    assert len(runs(spoiled)) == 4
    assert remake(spoiled).values["new"] == 1
    assert len(runs(spoiled)) == 5


def test_a_reindex_makes_an_index_of_no_use_anew_and_says_so(spoiled: Site, tmp_path: Path) -> None:
    outcome = remake(spoiled)

    (warning,) = outcome.warnings
    assert warning.startswith(f"The index {index_of(spoiled)} is ")
    assert warning.endswith("It is replaced.")
    assert (outcome.changed, outcome.values["point_count"]) == (True, 4)
    fresh = spoiled.as_other_host(tmp_path / "other")
    remake(fresh)
    assert ask(spoiled) == ask(fresh)
