# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time: on one host, between hosts, and after runs that died or stood still."""

from __future__ import annotations

import itertools
import random
import re
import signal
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import jobs
from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    ForeignError,
    InterruptedTransferError,
    LockedError,
    StorageError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.lock import JobLock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import Host, Identity, JobState
from tests.engine.child import Strike
from tests.engine.clocks import Clock, hurried_lock
from tests.engine.histories import PASTS, History, deduplicated, fill
from tests.engine.site import Site
from tests.engine.tidy import assert_tidy, points_of
from tests.engine.trees import make_tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage
    from tests.servers.server import FtpServer

JOB = PurePosixPath("job")
OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"
STOPPED_BEFORE_COMMIT = Strike(pattern=r"^RNFR [^\n]*manifest", number=signal.SIGSTOP)


def never(_seconds: float) -> None:
    pytest.fail("there was nothing to wait for")


def run_id(number: int) -> str:
    return f"20260101t000000z-{number:06x}"


@pytest.fixture
def sites(each_server: FtpServer, tmp_path: Path) -> Site:
    """A host whose destination is declared, on each server."""
    (tmp_path / "host").mkdir()
    site = Site(each_server, tmp_path / "host", tmp_path / "srv")
    site.declare(max_connections=20)
    return site


@pytest.fixture
def storage(sites: Site) -> Iterator[Storage]:
    """An opened storage with the directory of a job."""
    with sites.storage() as storage:
        storage.ensure_directories([JOB])
        yield storage


def lock_of(storage: Storage, owner: str, number: int, clock: Clock | None = None) -> JobLock:
    """Return the lock of a run that never waits, unless it has a *clock*."""
    if clock is None:
        return JobLock(storage, JOB, owner, run_id(number), pause=never)
    return JobLock(storage, JOB, owner, run_id(number), clock=clock, pause=clock.pause)


def names_in(storage: Storage, directory: PurePosixPath) -> list[str]:
    return sorted(entry.name for entry in storage.list_directory(directory))


# the lock itself, on each server


def test_a_lock_is_one_directory_inside_another_and_goes_without_a_trace(storage: Storage) -> None:
    lock = lock_of(storage, OURS, 1)

    lock.acquire()
    lock.prove()
    lock.beat()
    lock.prove()

    assert names_in(storage, JOB / "lock") == [f"{OURS}.{run_id(1)}.1"]
    lock.release()
    assert storage.list_directory(JOB) == []


def test_the_lock_of_a_dead_run_of_this_host_is_taken_over_at_once(storage: Storage) -> None:
    lock_of(storage, OURS, 1).acquire()

    second = lock_of(storage, OURS, 2)
    second.acquire()

    second.prove()
    assert second.took_over
    assert names_in(storage, JOB) == ["lock"]


def test_a_foreign_lock_that_lives_is_respected(storage: Storage) -> None:
    living = lock_of(storage, THEIRS, 1)
    living.acquire()
    clock = Clock(living.beat)

    with pytest.raises(LockedError, match=f"run {run_id(1)} of another host .client id {THEIRS}.*sign of life"):
        lock_of(storage, OURS, 2, clock).acquire()

    assert clock.now < 60
    living.prove()


def test_a_foreign_lock_that_stands_still_for_ten_minutes_is_taken_over(storage: Storage) -> None:
    dead = lock_of(storage, THEIRS, 1)
    dead.acquire()
    clock = Clock()
    lock = lock_of(storage, OURS, 2, clock)

    lock.acquire()

    assert 600 <= clock.now < 660
    lock.prove()
    with pytest.raises(LockedError, match="no longer that of this run"):
        dead.prove()


def test_an_empty_lock_is_taken_over_after_ten_minutes_as_well(storage: Storage) -> None:
    storage.ensure_directories([JOB / "lock"])
    clock = Clock()
    lock = lock_of(storage, OURS, 2, clock)

    lock.acquire()

    assert 600 <= clock.now < 660
    lock.prove()


def test_a_foreign_lock_that_is_given_back_is_taken_without_taking_over(storage: Storage) -> None:
    living = lock_of(storage, THEIRS, 1)
    living.acquire()
    lock = lock_of(storage, OURS, 2, Clock(living.release))

    lock.acquire()

    lock.prove()
    assert not lock.took_over


def test_a_lock_that_was_given_back_and_taken_by_a_third_is_the_thirds(storage: Storage) -> None:
    first, third = lock_of(storage, THEIRS, 1), lock_of(storage, "a" * 16, 3)
    first.acquire()

    class HandedOn:
        """A storage on which the third takes the lock right after it was seen to be free."""

        def __getattr__(self, name: str) -> object:
            return getattr(storage, name)

        def has_directory(self, directory: PurePosixPath) -> bool:
            answer = storage.has_directory(directory)
            if not answer and directory == JOB / "lock":
                third.acquire()
            return answer

    clock = Clock(first.release)
    handed_on: t.Any = HandedOn()
    lock = JobLock(
        handed_on, JOB, OURS, run_id(2), clock=clock, pause=lambda s: clock.pause(s) if clock.now == 0 else third.beat()
    )

    with pytest.raises(LockedError):
        lock.acquire()

    third.prove()


def test_of_two_that_find_a_lock_dead_only_one_takes_it_over(storage: Storage) -> None:
    lock_of(storage, THEIRS, 1).acquire()
    faster = lock_of(storage, OURS, 2, Clock())
    times = itertools.chain([0.0, 0.0], itertools.repeat(700.0))

    def now() -> float:
        """Look at the clock; what the slower one reads last is that time is up, and just then the other acts."""
        moment = next(times)
        if moment > 0 and not faster.took_over:
            faster.acquire()
        return moment

    def let_it_live(_seconds: float) -> None:
        if faster.took_over:
            faster.beat()

    slower = JobLock(storage, JOB, "a" * 16, run_id(3), clock=now, pause=let_it_live)
    with pytest.raises(LockedError):
        slower.acquire()

    faster.prove()


def test_of_sixteen_threads_exactly_one_takes_the_lock(storage: Storage) -> None:
    taken: list[JobLock] = []
    start = threading.Barrier(16)

    def let_it_live(_seconds: float) -> None:
        for lock in taken:
            lock.beat()

    def try_to_take(number: int) -> str:
        lock = JobLock(storage, JOB, f"{number:016x}", run_id(number), clock=lambda: 0.0, pause=let_it_live)
        start.wait()
        try:
            lock.acquire()
        except LockedError:
            return "refused"
        taken.append(lock)
        return "taken"

    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(try_to_take, range(16)))

    assert sorted(outcomes) == ["refused"] * 15 + ["taken"]
    taken[0].prove()


# steps that fail half-way


class Failing:
    """A storage of which one *deed* fails once, by raising or returning *end*, after it did as much as *done* says."""

    def __init__(
        self, storage: Storage, deed: str, end: BackupError | object, *, done: Callable[[t.Any], t.Any]
    ) -> None:
        self._storage = storage
        self._deed = deed
        self._end: BackupError | object | None = end
        self._done = done

    def __getattr__(self, name: str) -> object:
        real = getattr(self._storage, name)
        return real if name != self._deed or self._end is None else self._fail

    def _fail(self, *arguments: object) -> object:
        end, self._end = self._end, None
        done = self._done(arguments)
        if done is not None:
            getattr(self._storage, self._deed)(*done)
        if isinstance(end, BackupError):
            raise end
        return end


def marked_lock(storage: object, state: JobState, number: int, clock: Clock) -> JobLock:
    """Return the lock of a run of this host, which notes in *state* that the lock may stand empty."""
    real = t.cast("Storage", storage)
    return JobLock(real, JOB, OURS, run_id(number), marked=state.marked, clock=clock, pause=clock.pause)


def assert_is_taken_at_once(storage: Storage, state: JobState) -> None:
    clock = Clock()
    lock = marked_lock(storage, state, 9, clock)
    lock.acquire()
    assert clock.now < 10
    lock.prove()
    lock.release()
    assert names_in(storage, JOB) == []


@pytest.fixture
def state(tmp_path: Path) -> JobState:
    (tmp_path / "state").mkdir()
    return JobState(tmp_path / "state")


def test_a_lock_that_was_given_back_by_half_does_not_stall_the_same_host(storage: Storage, state: JobState) -> None:
    gone = UnreachableError("The network went away.")
    failing = Failing(storage, "remove_directories", gone, done=lambda arguments: ([arguments[0][0]],))
    first = marked_lock(failing, state, 1, Clock())
    first.acquire()

    first.release()

    assert names_in(storage, JOB) == ["lock"]
    assert names_in(storage, JOB / "lock") == []
    assert_is_taken_at_once(storage, state)


def test_a_lock_that_the_server_refused_to_remove_does_not_stall_the_same_host(
    storage: Storage, state: JobState
) -> None:
    refusing = Failing(storage, "remove_directories", [True, False], done=lambda arguments: ([arguments[0][0]],))
    first = marked_lock(refusing, state, 1, Clock())
    first.acquire()

    first.release()

    assert names_in(storage, JOB) == ["lock"]
    assert_is_taken_at_once(storage, state)


def test_a_lock_that_was_taken_by_half_does_not_stall_the_same_host(storage: Storage, state: JobState) -> None:
    gone = UnreachableError("The network went away.")
    failing = Failing(storage, "ensure_directories", gone, done=lambda _arguments: None)

    with pytest.raises(UnreachableError):
        marked_lock(failing, state, 1, Clock()).acquire()

    assert names_in(storage, JOB / "lock") == []
    assert_is_taken_at_once(storage, state)


@pytest.mark.parametrize("deed", ["take_directory", "ensure_directories"])
@pytest.mark.parametrize("was_done", [True, False])
def test_a_run_whose_reply_was_lost_while_it_took_the_lock_takes_it_soon(
    storage: Storage, deed: str, *, was_done: bool
) -> None:
    lost = InterruptedTransferError("The reply was lost.")
    failing: t.Any = Failing(storage, deed, lost, done=lambda arguments: arguments if was_done else None)
    clock = Clock()

    lock = JobLock(failing, JOB, OURS, run_id(1), clock=clock, pause=clock.pause)
    lock.acquire()

    assert clock.now < 10
    lock.prove()
    lock.release()
    assert names_in(storage, JOB) == []


def test_a_run_that_was_refused_does_not_take_a_foreign_empty_lock_for_its_own(
    storage: Storage, state: JobState
) -> None:
    living = lock_of(storage, THEIRS, 1)
    living.acquire()
    with pytest.raises(LockedError):
        marked_lock(storage, state, 2, Clock(living.beat)).acquire()
    living.release()
    storage.ensure_directories([JOB / "lock"])
    clock = Clock()

    marked_lock(storage, state, 3, clock).acquire()

    assert clock.now >= 600


@pytest.mark.parametrize("was_done", [True, False])
def test_signs_of_life_go_on_after_one_whose_reply_was_lost(storage: Storage, *, was_done: bool) -> None:
    lost = InterruptedTransferError("The reply was lost.")
    failing: t.Any = Failing(storage, "rename", lost, done=lambda arguments: arguments if was_done else None)
    lock = JobLock(failing, JOB, OURS, run_id(1), pause=never)
    lock.acquire()

    with nullcontext() if was_done else pytest.raises(InterruptedTransferError):
        lock.beat()
    lock.beat()
    lock.beat()

    assert names_in(storage, JOB / "lock") == [f"{OURS}.{run_id(1)}.{3 if was_done else 2}"]
    lock.prove()


def test_a_sign_of_life_of_a_lock_that_was_lost_is_an_error(storage: Storage) -> None:
    lost = lock_of(storage, THEIRS, 1)
    lost.acquire()
    lock_of(storage, OURS, 2, Clock()).acquire()

    for _number in range(2):
        with pytest.raises(StorageError):
            lost.beat()

    assert names_in(storage, JOB / "lock") == [f"{OURS}.{run_id(2)}.0"]


# runs


def test_a_second_run_on_the_same_host_is_refused_while_the_first_goes_on(site: Site) -> None:
    make_tree(site.source, big=0)
    with site.start(STOPPED_BEFORE_COMMIT) as run:
        run.wait_until_stopped()

        with pytest.raises(LockedError) as refusal:
            site.back_up()
        assert site.back_up("other").changed
        recorded = list(site.home.glob("var/*/records-*/*/nightly*/backup.json"))

        run.go_on()
        result = run.result()
    assert recorded == []
    assert len(list(site.home.glob("var/*/records-*/*/nightly*/backup.json"))) == 1
    assert re.fullmatch(r"The job 'nightly' is already being backed up on this host.*\d+.*", str(refusal.value))
    assert result["point"]["seq"] == 1
    assert site.restored() == tree_of(site.source)


def test_another_host_under_the_same_client_name_is_refused_unless_it_adopts(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    other = site.as_other_host(tmp_path / "other")

    with pytest.raises(ForeignError, match="adopt: true"):
        other.back_up()
    assert len(points_of(site.job)) == 1

    assert other.back_up(adopt=True).values["point"]["seq"] == 2
    assert other.back_up().values["point"]["seq"] == 3
    with pytest.raises(ForeignError, match="adopt: true"):
        site.back_up()
    assert_tidy(site.job)
    for point in points_of(site.job):
        assert site.restored(point.run) == tree_of(site.source)


def test_a_run_whose_lock_was_taken_over_commits_nothing_and_says_so(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    before = tree_of(site.source)
    (site.source / "text").write_bytes(b"changed")
    with site.start(Strike(pattern=r"^STOR [^\n]*manifest", number=signal.SIGSTOP)) as run:
        run.wait_until_stopped()
        clock = Clock()
        with site.as_other_host(tmp_path / "other").storage() as storage:
            directory = PurePosixPath(site.job.relative_to(site.server.root))
            other = JobLock(storage, directory, THEIRS, run_id(1), clock=clock, pause=clock.pause)
            other.acquire()

            run.go_on()
            result = run.result()

            other.prove()
            other.release()
    assert result["kind"] == "locked"
    assert "taken over" in result["msg"]
    assert "Nothing was committed" in result["msg"]
    assert [point.seq for point in points_of(site.job)] == [1]
    assert site.restored() == before
    assert site.back_up().values["point"]["seq"] == 2
    assert_tidy(site.job)


def test_a_run_takes_the_lock_of_a_dead_run_of_this_host_over_at_once(site: Site) -> None:
    make_tree(site.source, big=0)
    site.kill_run(STOPPED_BEFORE_COMMIT._replace(number=signal.SIGKILL))
    assert list(site.job.glob("lock/*"))

    outcome = site.back_up()

    assert outcome.values["duration"] < 300  # a lock that is not known to be dead is waited for 600 seconds
    assert_tidy(site.job)


def test_every_refusal_is_one_sentence_without_a_password(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    other = site.as_other_host(tmp_path / "other")

    with pytest.raises(BackupError) as refusal:
        other.back_up()

    assert site.server.password not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_run_whose_lock_was_taken_over_after_its_commit_removes_nothing_and_says_so(
    site: Site, tmp_path: Path
) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    with site.start(Strike(pattern=r"(?:^|\n)RETR [^\n]*manifest\.gz\r", number=signal.SIGSTOP), last=1) as run:
        run.wait_until_stopped()  # it has published its manifest and is about to read it back
        clock = Clock()
        with site.as_other_host(tmp_path / "other").storage() as storage:
            directory = PurePosixPath(site.job.relative_to(site.server.root))
            other = JobLock(storage, directory, THEIRS, run_id(1), clock=clock, pause=clock.pause)
            other.acquire()

            run.go_on()
            result = run.result()

            other.release()
    assert result["point"]["seq"] == 2
    assert result["pruned"] == []
    assert any("none was removed" in warning for warning in result["warnings"])
    assert [point.seq for point in points_of(site.job)] == [1, 2]


def test_a_run_whose_files_were_swept_by_who_took_its_lock_says_that_it_was_lost(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    before = tree_of(site.source)
    with site.start(STOPPED_BEFORE_COMMIT, last=1) as run:
        run.wait_until_stopped()
        clock = Clock()
        with site.as_other_host(tmp_path / "other").storage() as storage:
            directory = PurePosixPath(site.job.relative_to(site.server.root))
            other = JobLock(storage, directory, THEIRS, run_id(1), clock=clock, pause=clock.pause)
            other.acquire()
            for staged in site.job.glob("points/*/*.tmp"):
                staged.unlink()

            run.go_on()
            result = run.result()

            other.release()
    assert result["kind"] == "locked"
    assert "was taken over. The run was broken off" in result["msg"]
    assert [point.seq for point in points_of(site.job)] == [1]
    assert site.restored() == before


# one host with several state directories, and its first runs


def test_a_living_run_is_not_taken_over_by_one_with_another_state_directory(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    other = replace(site.host, state_directory=tmp_path / "other")
    with site.start(STOPPED_BEFORE_COMMIT) as run:
        run.wait_until_stopped()

        with pytest.raises(LockedError, match=r"already being backed up on this host, by run \S+\.$"):
            back_up(site.registry, other, site.request(), check_mode=False)

        run.go_on()
        assert run.result()["point"]["seq"] == 1
    assert back_up(site.registry, other, site.request(), check_mode=False).values["point"]["seq"] == 2
    assert_tidy(site.job)


def test_a_dead_run_with_another_state_directory_is_taken_over_at_once(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    other = replace(site.host, state_directory=tmp_path / "other")
    site.kill_run(STOPPED_BEFORE_COMMIT._replace(number=signal.SIGKILL))
    assert len(list((site.home / "etc/runs").iterdir())) == 1

    outcome = back_up(site.registry, other, site.request(), check_mode=False)

    assert outcome.values["duration"] < 300
    assert list((site.home / "etc/runs").iterdir()) == []
    assert_tidy(site.job)


def test_a_run_goes_on_where_it_cannot_tell_that_it_lives(site: Site) -> None:
    make_tree(site.source, big=0)
    (site.home / "etc/runs").write_bytes(b"a file in the way")

    for number in (1, 2):
        assert site.back_up().values["point"]["seq"] == number


def test_two_first_runs_at_once_are_of_one_host(site: Site) -> None:
    make_tree(site.source, big=0)
    both = threading.Barrier(2, timeout=60)

    class NewHost(Host):
        """A host whose runs ask who they are at the same moment."""

        def client_of(self, wanted: str | None) -> tuple[Identity, str, bool]:
            answer = super().client_of(wanted)
            both.wait()
            return answer

    host = NewHost(site.host.config_directory, site.host.state_directory, name=site.host.name)

    def run(job: str) -> bool:
        return back_up(site.registry, host, site.request(job), check_mode=False).changed

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, ("etc", "home"))) == [True, True]

    for job in ("etc", "home"):
        assert site.back_up(job).values["point"]["seq"] == 2


# runs that stand still while another host takes their lock over, and go on afterwards


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let runs stand still everywhere with --soak, and elsewhere where it is dangerous; race more often, too."""
    is_full = metafunc.config.getoption("--soak")
    if "moment" in metafunc.fixturenames:
        every = [(stop, moment) for stop in (_NAMING, *STOPS_OF_EMPTYING) for moment in ("finish_removals", "sweep")]
        metafunc.parametrize(("stop", "moment"), every if is_full else _SAMPLED_WAKINGS)
    elif "stop" in metafunc.fixturenames:
        metafunc.parametrize(("past", "stop"), list(_stops()) if is_full else _SAMPLED_STOPS)
    if "race" in metafunc.fixturenames:
        metafunc.parametrize("race", range(30 if is_full else 2))


def stopped_before(pattern: str, skipped: int = 0) -> Strike:
    return Strike(pattern=pattern, number=signal.SIGSTOP, skipped=skipped)


def bring_back(history: History) -> None:
    """Put into the tree what only restore points and volumes have that are about to go."""
    fill(history.site.source / "only in the second", 3, 20)
    fill(history.site.source / "b", 2, 3)


_NAMING = "before the manifest gets its name"
STOPS = {
    "before a volume is uploaded": stopped_before(r"^STOR [^\n]*\.tar"),
    "before a checkpoint gets its name": stopped_before(r"^RNFR [^\n]*checkpoint"),
    "before the manifest is staged": stopped_before(r"^STOR [^\n]*\.manifest"),
    _NAMING: STOPPED_BEFORE_COMMIT,
    "before the manifest is proved": stopped_before(r"(^|\n)RETR [^\n]*\.manifest"),
    "before it is noted what is to go": stopped_before(r"^STOR [^\n]*\.gone"),
    "before the note gets its name": stopped_before(r"^RNFR [^\n]*\.gone"),
    "before an old manifest goes": stopped_before(r"^DELE [^\n]*\.manifest"),
    "before its volumes go": stopped_before(r"^DELE [^\n]*\.tar"),
    "before the note goes": stopped_before(r"^DELE [^\n]*\.gone"),
}
STOPS_OF_EMPTYING = {
    "before a volume is emptied": stopped_before(r"^STOR [^\n]*\.tar", 1),
    "before it is noted what is emptied": stopped_before(r"^STOR [^\n]*\.gone", 1),
    "before a restore point is published anew": stopped_before(r"^RNFR [^\n]*\.g2\.manifest"),
    "before what is published anew is proved": stopped_before(r"(^|\n)RETR [^\n]*\.g2\.manifest"),
    "before the older generation goes": stopped_before(r"^DELE [^\n]*\.manifest", 1),
    "before what was emptied goes": stopped_before(r"^DELE [^\n]*\.tar", 1),
    "before the note of that goes": stopped_before(r"^DELE [^\n]*\.gone", 1),
}


_SAMPLED_STOPS = [
    ("ring", _NAMING),
    ("full", "before its volumes go"),
    ("deduplicated", "before a volume is uploaded"),
    ("deduplicated", "before an old manifest goes"),
    ("deduplicated", "before what was emptied goes"),
    ("deduplicated with checkpoints", "before a checkpoint gets its name"),
]
_SAMPLED_WAKINGS = [
    (_NAMING, "sweep"),
    ("before a restore point is published anew", "finish_removals"),
    ("before what was emptied goes", "finish_removals"),
]


def _stops() -> Iterator[tuple[str, str]]:
    """Yield each past with each stop that its next run comes to."""
    for stop in STOPS:
        if "checkpoint" in stop:
            yield from ((past, stop) for past in PASTS if past.endswith("with checkpoints"))
            continue
        if "note" not in stop and "volumes" not in stop:
            yield "ring", stop
        yield "full", stop
        yield "deduplicated", stop
    for stop in STOPS_OF_EMPTYING:
        yield "deduplicated", stop


def test_a_run_that_stood_still_and_is_woken_costs_no_restore_point(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: str, stop: str
) -> None:
    monkeypatch.setattr(jobs, "JobLock", hurried_lock)
    history = PASTS[past](site)
    with history.start({**STOPS, **STOPS_OF_EMPTYING}[stop]) as run:
        run.wait_until_stopped()
        history.learn()
        other = site.as_other_host(tmp_path / "other")
        bring_back(history)

        history.run(other, adopt=True)
        history.assert_nothing_is_lost()
        run.go_on()
        result = run.result()

    assert "point" in result or result["kind"] == "locked"
    history.assert_nothing_is_lost()
    history.run(other)
    history.assert_next_run_mends_all(other)


def test_a_run_that_stood_still_may_wake_when_the_other_one_knows_what_there_is(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str, moment: str
) -> None:
    monkeypatch.setattr(jobs, "JobLock", hurried_lock)
    history = deduplicated(site)
    with history.start({**STOPS, **STOPS_OF_EMPTYING}[stop]) as run:
        run.wait_until_stopped()
        history.learn()
        other = site.as_other_host(tmp_path / "other")
        bring_back(history)
        deed = getattr(jobs.OpenJob, moment)

        def wake_first(*arguments: object, **options: object) -> object:
            run.go_on()
            run.wait()
            return deed(*arguments, **options)

        monkeypatch.setattr(jobs.OpenJob, moment, wake_first)
        history.run(other, adopt=True)
        monkeypatch.undo()

    history.assert_nothing_is_lost()
    history.run(other)
    history.assert_next_run_mends_all(other)


# two hosts at once


def test_of_two_hosts_that_race_for_a_job_none_costs_the_other_a_restore_point(
    site: Site, tmp_path: Path, race: int
) -> None:
    chance = random.Random(race)
    history = PASTS[("deduplicated", "ring", "full")[race % 3]](site)
    other = site.as_other_host(tmp_path / "other")

    with history.start(Strike(), beat=0.1) as first:
        time.sleep(chance.random() * 0.8)
        with history.start(Strike(), other, beat=0.1, adopt=True) as second:
            results = [first.result(), second.result()]

    assert any("point" in result for result in results)
    assert {result["kind"] for result in results if "point" not in result} <= {"locked", "foreign"}
    history.assert_nothing_is_lost()
    history.run(other, adopt=True)
    history.assert_next_run_mends_all(other)
