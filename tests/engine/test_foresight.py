# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode tells of a backup is what the run then does, with the same reasons, whatever its job has."""

from __future__ import annotations

import errno
import os
import re
import shutil
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import collect, dumps, scan
from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.commands import Command
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Database
from ansible_collections.stowage.ftp_backup.plugins.module_utils.dumps import Source
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError, ShrunkError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Rules
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_point import Which, ensure_present
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy
from tests.engine.child import Strike
from tests.engine.databases import MemoryServer
from tests.engine.site import NAME
from tests.engine.trees import make_tree

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Option, Site

STRUCTURES = ("incremental", "full", "deduplicated")
START = datetime(2026, 11, 2, 3, tzinfo=timezone.utc)
_RUN = re.compile(r"\d{8}t\d{6}z-[0-9a-f]{6}")
_OF_ONE_RUN = ("id", "pool", "bytes_sent", "duration")


@dataclass
class Seer:
    """A site whose clock stands still, and on which every backup is foretold before it is made."""

    site: Site
    hours: float = 0
    start: datetime = START

    @property
    def now(self) -> Site:
        moment = self.start + timedelta(hours=self.hours)
        return replace(self.site, now=lambda: moment)

    def foretell(self, **options: Option) -> Outcome:
        return back_up(self.now.registry, self.now.host, self.site.request(**options), check_mode=True)

    def back_up(self, **options: Option) -> Outcome:
        """Foretell a backup and make it, see that both tell the same, and return what was made."""
        request = self.site.request(**options)
        before = _stored(self.site)
        foretold = back_up(self.now.registry, self.now.host, request, check_mode=True)
        assert _stored(self.site) == before
        done = back_up(self.now.registry, self.now.host, request, check_mode=False)
        assert _promises(foretold) == _promises(done)
        return done

    def back_up_alone(self, **options: Option) -> Outcome:
        """Make a backup that nobody has foretold."""
        return back_up(self.now.registry, self.now.host, self.site.request(**options), check_mode=False)

    def fail(self, error: type[BackupError], **options: Option) -> str:
        """Foretell a backup and make it, see that both fail with the same sentence, and return that."""
        request = self.site.request(**options)
        said = []
        for check_mode in (True, False):
            with pytest.raises(error) as raised:
                back_up(self.now.registry, self.now.host, request, check_mode=check_mode)
            said.append(str(raised.value))
        assert said[0] == said[1]
        return said[0]

    def protect(self, point: str) -> None:
        ensure_present(
            self.now.registry, self.now.host, Which(NAME, "nightly", point), protected=True, check_mode=False
        )


@pytest.fixture
def seer(site: Site) -> Seer:
    """A host with a small tree."""
    make_tree(site.source, big=0)
    return Seer(site)


def _stored(site: Site) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in site.server.root.rglob("*")}


def _promises(outcome: Outcome) -> dict[str, t.Any]:
    """Return what may be built on of an outcome: all but the id of the new run, and what came of its being done."""
    values = outcome.values
    new = values["point"]["id"] if outcome.changed else ""
    lines = [line.replace(new, "NEW") if new else line for line in (*(outcome.before or ()), *(outcome.after or ()))]
    point = {key: value for key, value in values["point"].items() if not (outcome.changed and key in _OF_ONE_RUN)}
    slot = values["point"]["pool"] if values["point"]["structure"] == "incremental" else ""
    warnings = [_RUN.sub("RUN", warning) for warning in outcome.warnings]
    told = {key: values[key] for key in ("reason", "changes", "pruned", "kept")}
    return {"changed": outcome.changed, "point": point, "slot": slot, "lines": lines, "warnings": warnings, **told}


def _reasons(outcome: Outcome) -> dict[int, str]:
    """Return by their number why restore points stay."""
    return {kept["seq"]: kept["reason"] for kept in outcome.values["kept"]}


def _gone(outcome: Outcome) -> dict[int, str]:
    return {pruned["seq"]: pruned["reason"] for pruned in outcome.values["pruned"]}


def _counts(outcome: Outcome) -> tuple[int, int, int, int]:
    changes = outcome.values["changes"]
    return changes["new"], changes["changed"], changes["unchanged"], changes["gone"]


def _settle(site: Site) -> None:
    """Make all files older than the last second, so that what a backup has seen of them is trusted."""
    for path in site.source.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            os.utime(path, ns=(status.st_mtime_ns - 10**10, status.st_mtime_ns - 10**10))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_story_of_a_job_is_told_beforehand(seer: Seer, structure: str) -> None:
    options: dict[str, t.Any] = {"structure": structure, "retention": Policy(last=2), "force": False}
    first = seer.back_up(**options)
    assert first.values["reason"] == "it is the first one of the job"
    assert _counts(first) == (first.values["point"]["entries"], 0, 0, 0)
    assert first.values["changes"]["base"] is None

    seer.hours = 3
    fresh = seer.back_up(**options)
    assert not fresh.changed
    assert fresh.values["reason"] == "the newest complete one is 3 h old, and max_age is 12h"
    assert fresh.summary == (f"No restore point is made: {fresh.values['reason']}.",)

    seer.hours = 26
    old = seer.back_up(**options)
    assert old.values["reason"] == "the newest complete one is 26 h old, and max_age is 12h"

    forced = seer.back_up(**{**options, "force": True})
    assert forced.values["reason"] == "force: true asks for one"
    assert list(_gone(forced)) == [1]
    assert list(_reasons(forced)) == [2]

    excluding = seer.back_up(**{**options, "rules": Rules(exclude=("*.log",))})
    assert excluding.values["reason"] == "the definition of the job has changed: exclude"
    assert excluding.before is not None
    assert all("of another definition" in line for line in excluding.before)
    moved = seer.back_up(**{**options, "paths": (str(seer.site.source / "etc"),)})
    assert moved.values["reason"] == "the definition of the job has changed: paths, exclude"

    seer.protect(moved.values["point"]["id"])
    seer.protect(excluding.values["point"]["id"])
    if structure == "incremental":
        assert "Every slot of the ring holds a protected" in seer.fail(UsageError, last=2, force=True)
    else:
        beside = seer.back_up(**options)
        assert _reasons(beside) == {4: "protected", 5: "protected"}


@pytest.mark.parametrize("structure", ["incremental", "deduplicated"])
def test_what_is_new_changed_unchanged_and_gone_is_counted_beforehand(seer: Seer, structure: str) -> None:
    site, options = seer.site, {"structure": structure, "last": 1}
    for number in range(5):
        (site.source / f"kept{number}").write_bytes(b"k" * 100)
        (site.source / f"gone{number}").write_bytes(b"g" * 100)
    (site.source / "way" / "down").mkdir(parents=True)
    _settle(site)
    entries = seer.back_up(**options).values["point"]["entries"]
    base = seer.back_up(**options)
    assert _counts(base)[0] == 0
    assert _counts(base)[3] == 0
    for number in range(3):
        (site.source / f"gone{number}").unlink()
        (site.source / f"kept{number}").write_bytes(b"K" * 1000)
    (site.source / "new").write_bytes(b"n" * 5000)
    (site.source / "hole").touch()
    os.truncate(site.source / "hole", 50_000_000)
    os.link(site.source / "new", site.source / "newer")
    _settle(site)

    done = seer.back_up(**options)

    new, changed, unchanged, gone = _counts(done)
    assert (new, gone) == (3, 3)
    assert new + changed + unchanged == done.values["point"]["entries"] == entries
    assert 3 <= changed <= entries
    assert 3 * 1000 + 5000 <= done.values["changes"]["bytes"] < 1_000_000
    assert done.values["changes"]["base"] == base.values["point"]["id"]
    again = seer.back_up(**options)
    assert _counts(again)[0] == _counts(again)[3] == 0


def test_what_cannot_be_read_is_told_beforehand(seer: Seer, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = seer.site.source / "etc" / "secret"
    seer.back_up(last=1)
    secret.write_bytes(b"another one")
    (seer.site.source / "etc" / "secret.new").write_bytes(b"never read")
    opened = scan.open_found

    def refuse(path: bytes, root: bytes, inode: str, *flags: int) -> tuple[int, os.stat_result]:
        if b"/secret" in path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, root, inode, *flags)

    monkeypatch.setattr(scan, "open_found", refuse)
    monkeypatch.setattr(collect, "open_found", refuse)
    partial = seer.back_up(last=1)

    assert not partial.values["point"]["complete"]
    assert _counts(partial)[0] == 0
    assert sum(_counts(partial)[:3]) == partial.values["point"]["entries"]
    assert _reasons(partial) == {1: "the latest complete one"}
    assert partial.after is not None
    assert ", partial  made: force: true asks for one" in partial.after[-1]
    assert seer.back_up(last=1, force=False, max_age=timedelta(0)).values["reason"].startswith("the newest complete")


def test_a_tree_that_has_shrunk_is_refused_beforehand(seer: Seer) -> None:
    seer.back_up(allow_shrink=False)
    for path in sorted(seer.site.source.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    assert "less than half" in seer.fail(ShrunkError, allow_shrink=False)


def test_what_commands_make_first_is_not_taken_for_lost(seer: Seer, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    make = Command(f"cp -a {seer.site.source} {snapshot}")
    options: dict[str, t.Any] = {"paths": (str(snapshot),), "pre_commands": (make,), "allow_shrink": False}
    seer.back_up_alone(**options)
    shutil.rmtree(snapshot)

    foretold = seer.foretell(**options)
    made = seer.back_up_alone(**options)

    assert any("pre_commands are not run in check mode" in warning for warning in foretold.warnings)
    assert foretold.values["point"]["seq"] == made.values["point"]["seq"] == 2


def test_a_database_of_which_its_server_tells_little_is_not_taken_for_lost(
    seer: Seer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = MemoryServer({"shop": b"s" * 1_000_000})
    monkeypatch.setattr(dumps, "server_of", lambda *_whatever: server)
    seer.back_up_alone(databases=(Source("mysql"),), allow_shrink=False)
    monkeypatch.setattr(server, "databases", lambda: [Database("shop", 10)])

    foretold = seer.foretell(databases=(Source("mysql"),), allow_shrink=False)

    assert foretold.values["point"]["seq"] == 2


def test_a_job_that_is_taken_over_is_told_beforehand(seer: Seer, tmp_path: Path) -> None:
    seer.back_up()
    other = Seer(seer.site.as_other_host(tmp_path / "other"), hours=2)

    fresh = other.back_up(adopt=True, force=False)

    assert fresh.changed
    assert fresh.before is not None
    assert fresh.after is not None
    assert (fresh.before[0], fresh.after[0]) == ("the job is another host's", "the job is this host's")
    made = Seer(seer.site.as_other_host(tmp_path / "third"), hours=2).back_up(adopt=True)
    assert (made.before or ())[0] == "the job is another host's"
    assert (made.after or ())[0] == "the job is this host's"


@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_heals_is_told_beforehand(seer: Seer, structure: str) -> None:
    options: dict[str, t.Any] = {"structure": structure, "force": False, "last": 1}
    broken = seer.back_up(**options).values["point"]["id"]
    for volume in seer.site.job.rglob("*.tar*"):
        volume.unlink()

    healed = seer.back_up(**options)

    assert healed.values["reason"] == f"healing: content of the newest complete one, {broken}, is damaged or missing"
    assert healed.values["changes"]["bytes"] > 0


def test_where_one_cannot_be_read_nothing_goes_and_that_is_told_beforehand(seer: Seer) -> None:
    seer.back_up(last=1)
    (manifest,) = seer.site.job.glob("points/*/*.manifest.gz")
    seer.back_up(last=3)
    manifest.write_bytes(manifest.read_bytes()[:-40])
    seer.site.forget()
    seer.site.declare()

    done = seer.back_up(last=1)

    assert _gone(done) == {}
    assert all("one of the job cannot be read" in reason for reason in _reasons(done).values())
    assert list(_reasons(done)) == [1, 2]
    assert done.after is not None
    assert "cannot be read" in done.after[0]


def test_databases_are_told_beforehand_by_the_sizes_that_their_server_estimates(
    seer: Seer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = MemoryServer({"shop": b"s" * 5000, "blog": b"b" * 100})
    monkeypatch.setattr(dumps, "server_of", lambda *_whatever: server)
    spared = Source("mysql", is_required=False)
    first = seer.back_up(last=1, databases=(spared,))
    server.contents = {"shop": b"S" * 6000, "crm": b""}

    foretold = seer.foretell(last=1, databases=(spared,))
    second = seer.back_up(last=1, databases=(spared,))

    assert _counts(first)[0] == first.values["point"]["entries"]
    new, _changed, _unchanged, gone = _counts(second)
    assert (new, gone) == (1, 1)
    assert second.values["changes"]["bytes"] >= 6000
    told = "Of databases, by their servers' estimates: crm unknown, shop 5.9 KiB, mysql users 18 B."
    assert told in foretold.summary
    server.is_down = True
    missed = seer.back_up(last=1, databases=(spared,))
    assert not missed.values["point"]["complete"]
    assert _counts(missed)[0] == _counts(missed)[3] == 0
    assert _counts(seer.back_up(last=1))[3] == 3


@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_a_run_has_left_that_was_killed_is_told_beforehand(seer: Seer, structure: str) -> None:
    seer.start = datetime.now(timezone.utc)
    options: dict[str, t.Any] = {"structure": structure, "last": 1}
    (seer.site.source / "big").write_bytes(os.urandom(300_000))
    _settle(seer.site)
    seer.site.kill_run(Strike(pattern=r"^RNFR [^\n]*manifest\.gz"), checkpoint_every=64 * 1024, **options)
    seer.start = datetime.now(timezone.utc)

    resumed = seer.back_up(**options)

    assert "What a run that was broken off has sent already counts as unchanged." in resumed.summary
    assert resumed.values["changes"]["base"] is None
    assert _counts(resumed)[2] > 0
    seer.site.kill_run(Strike(pattern=r"^DELE [^\n]*(\.tar|manifest)"), **options)
    seer.start = datetime.now(timezone.utc)
    assert _reasons(seer.back_up(**options)) == {}


def test_many_restore_points_are_not_all_listed(seer: Seer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.stowage.ftp_backup.plugins.module_utils.foresight.KEPT_SHOWN", 2)
    *_older, done = [seer.back_up(structure="deduplicated") for _number in range(4)]

    assert [kept["seq"] for kept in done.values["kept"]] == [2, 3]
    assert done.after is not None
    assert [line[:6] for line in done.after] == ["... an", "000002", "000003", "000004"]
    assert done.after[0] == "... and 1 older ones that stay"
