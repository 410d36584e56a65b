# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and restores through a server that misbehaves at random, which a seed repeats.

What has to hold of each deed, whatever the server does meanwhile:

- it ends, either well or with one clear sentence,
- what it restores is what was backed up, byte for byte, or it fails,
- every restore point that was there before is still there, and whole, unless the rotation let it go,
- once the server behaves again, the next run succeeds and leaves nothing that no manifest names.
"""

from __future__ import annotations

import random
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import connections, copying, jobs
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp import control, data
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.pool import Patience
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage
from tests.engine.clocks import hurried_lock
from tests.engine.histories import PASTS, Snapshot
from tests.engine.site import Site
from tests.engine.tidy import assert_tidy, points_of
from tests.engine.trees import BIG_FILE, Tree, make_tree, tree_of
from tests.modules.refusals import assert_one_sentence
from tests.servers.faults import (
    ANY,
    CONNECT,
    PURE_FTPD_QUOTA,
    Answer,
    BadEpsv,
    CutData,
    DataOnlyAfter,
    DeadPort,
    Drop,
    EarlySuccess,
    Extra,
    Fault,
    FlipByte,
    FullDisk,
    IgnoreRest,
    Late,
    LoseTail,
    LostRename,
    LyingAddress,
    NoCloseNotify,
    RefuseData,
    Silence,
    Split,
    StallData,
    Swallow,
    Truncated,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Serve
    from tests.servers.faults import Action, End
    from tests.servers.scripted import ScriptedServer

_SERIES_IN_FULL, _FAULTS_A_SERIES = 10, 20
_SERIES_SAMPLED, _FAULTS_SAMPLED = 2, 7
_REPLIES_SAMPLED, _COMMANDS_OF_LOGINS = 4, 18
_SECONDS = 120.0
_PATIENCE = 2.0
_LAST = 3
_BIG = 400_000

pytestmark = pytest.mark.timeout(3600)  # with --soak a series takes minutes

_ENDS: tuple[End, ...] = ("fin", "rst", "clean")
_TALK = ("MKD", "SIZE", "RNFR", "RNTO", "DELE", "RMD", "MLST", "EPSV", "REST", "USER", "PASS", "TYPE", "PBSZ", "PROT")
_DATA = ("STOR", "RETR", "MLSD")


def _of_any_reply(chance: random.Random) -> Action:
    return chance.choice(
        [
            *(Drop(before=True), Drop(before=False), Drop(before=True, rst=True), Drop(before=False, rst=True)),
            *(Silence(), Late(0.2), Split(), Swallow(), Extra("226 Unasked.")),
            *(
                Answer("500 What?"),
                Answer("421 Timeout."),
                Answer("426 Late."),
                Answer("450 Not now."),
                Answer(b"\xff\0\r\n"),
            ),
            *(Answer("550-Nö\n550 r\xe9serv\xe9"), Answer(b"2\n"), Answer("200 Fine."), Answer("x" * 20_000)),
        ]
    )


def _of_an_upload(chance: random.Random) -> Action:
    count = chance.choice((0, 1, 1000, 100_000))
    return chance.choice(
        [
            *(CutData(count, how=how, reply=reply) for how in _ENDS for reply in ("226 Done.", None)),
            *(
                CutData(count, reply="426 Broken."),
                CutData(count, reply="451 Local error."),
                LoseTail(1),
                LoseTail(500),
            ),
            *(
                FullDisk(count),
                FullDisk(count, keeps_partial=True),
                FullDisk(count, 452),
                FullDisk(count, text=PURE_FTPD_QUOTA),
            ),
            *(
                RefuseData("425 No."),
                RefuseData("522 Reuse!"),
                StallData(count),
                NoCloseNotify(),
                NoCloseNotify(closes=True),
            ),
            *(EarlySuccess(), DataOnlyAfter(0.2)),
        ]
    )


def _of_a_download(chance: random.Random) -> Action:
    count = chance.choice((0, 1, 1000, 100_000))
    return chance.choice(
        [
            *(CutData(count, how=how, reply=reply) for how in _ENDS for reply in ("226 Done.", None)),
            *(CutData(count, reply="426 Broken."), FlipByte(count), IgnoreRest(), StallData(count), EarlySuccess()),
            *(RefuseData("425 No."), NoCloseNotify(), NoCloseNotify(closes=True), DataOnlyAfter(0.2)),
        ]
    )


def _of_a_port(chance: random.Random) -> Action:
    ports: list[Action] = [DeadPort(), BadEpsv(), Answer("522 No."), LyingAddress()]
    return chance.choice(ports)


def draw(chance: random.Random) -> Fault:
    """Return a fault that strikes some time during the next deed, once, twice, or every time."""
    verb = chance.choice((*_TALK, *_DATA, *_DATA, *_DATA, CONNECT))
    kinds: dict[str, list[Callable[[random.Random], Action]]] = {
        "STOR": [_of_an_upload, _of_an_upload, _of_any_reply],
        "RETR": [_of_a_download, _of_a_download, _of_any_reply],
        "MLSD": [_of_a_download, lambda chance: Truncated(chance.randrange(3)), _of_any_reply],
        "EPSV": [_of_a_port, _of_any_reply],
        "RNTO": [lambda _chance: LostRename(), _of_any_reply],
        "SIZE": [lambda _chance: Answer("213 7"), _of_any_reply],
        CONNECT: [lambda _chance: Answer("421 Too many connections (3) from this IP"), _of_any_reply],
    }
    what = chance.choice(kinds.get(verb, [_of_any_reply]))(chance)
    return Fault(verb, what, after=chance.choice((0, 0, 1, 2, 3, 5, 9)), times=chance.choice((1, 1, 1, 2, 5, 0)))


def _change(top: Path, number: int) -> None:
    """Change the tree at *top* a little: a file each that is new, other, longer, and gone."""
    docs, chance = top / "docs", random.Random(number)
    (docs / f"new {number}").write_bytes(chance.randbytes(20_000))
    (docs / f"{number % 30:02d}.txt").write_bytes(chance.randbytes(25_000))
    with (docs / f"{(number + 7) % 30:02d}.txt").open("ab") as file:
        file.write(b"appended")
    (docs / f"new {number - 2}").unlink(missing_ok=True)
    if number % 4 == 0:
        (top / BIG_FILE).write_bytes(chance.randbytes(_BIG))


class Series:
    """One host and a server, with what every restore point must hold."""

    def __init__(self, site: Site, server: ScriptedServer) -> None:
        self.site = site
        self.server = server
        self.trees: dict[str, Tree] = {}
        self.number = 0

    def back_up(self) -> str | None:
        """Change the tree and back it up; return the sentence of a failure."""
        self.number += 1
        _change(self.site.source, self.number)
        wanted = tree_of(self.site.source)
        said = self._ended(lambda: self.site.back_up(last=_LAST).values["point"])
        # A run whose last reply was lost may have made its restore point all the same.
        for point in points_of(self.site.job):
            self.trees.setdefault(point.run, wanted)
        if isinstance(said, str):
            return said
        assert said["complete"]
        assert said["id"] in self.trees
        return None

    def restore(self, chance: random.Random) -> str | None:
        """Restore one of the points there are; return the sentence of a failure."""
        run = chance.choice([point.run for point in points_of(self.site.job)])
        restored = self._ended(lambda: self.site.restored(run))
        if isinstance(restored, str):
            return restored
        assert restored == self.trees[run]
        return None

    def _ended(self, deed: Callable[[], t.Any]) -> t.Any:  # noqa: ANN401 # whatever the deed gives, or a sentence
        """Return what *deed* gives or the sentence it fails with; fail if it hangs."""
        with ThreadPoolExecutor(1) as threads:
            ending = threads.submit(deed)
            failure = ending.exception(timeout=_SECONDS)
        if not isinstance(failure, BackupError):
            return ending.result()
        assert_one_sentence(str(failure))
        assert self.site.server.password not in str(failure)
        return str(failure)

    def assert_all_is_there(self, before: set[str]) -> None:
        """Assert that of the restore points *before*, those that no rotation let go are there and restore."""
        now = [point.run for point in points_of(self.site.job)]
        made = [run for run in now if run not in before]
        assert len(before - set(now)) <= max(0, len(before) + len(made) - _LAST)
        for run in now:
            assert self.site.restored(run) == self.trees[run]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no pause between two attempts take any time, and no patience with one reply much more than with others."""
    waited: list[float] = []
    monkeypatch.setattr(connections, "FtpStorage", partial(FtpStorage, pause=lambda _seconds: None))
    # What is waited for a server that stays busy counts all the same, or there would be no end to it.
    patience = partial(Patience, pause=waited.append, clock=lambda: sum(waited))
    monkeypatch.setattr(connections, "Patience", patience)
    monkeypatch.setattr(control, "_LOGIN_SECONDS", _PATIENCE)
    monkeypatch.setattr(data, "_FINAL_REPLY_TIMEOUT", _PATIENCE)
    monkeypatch.setattr(data, "_FAREWELL_TIMEOUT", _PATIENCE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run more and longer series with --soak."""
    if "seed" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("--soak")
        count = _SERIES_IN_FULL if is_full else _SERIES_SAMPLED
        length = _FAULTS_A_SERIES if is_full else _FAULTS_SAMPLED
        metafunc.parametrize(("seed", "length"), [(seed, length) for seed in range(count)])


@pytest.mark.usefixtures("unhurried")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_fault_costs_a_restore_point_or_brings_back_wrong_data(
    seed: int, length: int, serve: Serve, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    server = serve()
    (tmp_path / "host").mkdir()
    site = Site(server.facts, tmp_path / "host", tmp_path / "srv")
    site.declare(timeout=1, max_retries=4)
    make_tree(site.source, big=_BIG)
    series = Series(site, server)
    assert series.back_up() is None

    for number in range(length):
        before = {point.run for point in points_of(site.job)}
        fault = draw(chance)
        server.plan(fault)
        print(f"{number}: {str(fault)[:300]}")  # noqa: T201 - which fault it was is what a failure must tell
        said = series.back_up() if number % 3 else series.restore(chance)
        server.forget_faults()
        print("->", said or "it ended well")  # noqa: T201 - the same
        series.assert_all_is_there(before)
        if number % 5 == 4 or number == length - 1:
            assert series.back_up() is None
            assert_tidy(site.job)


# replies that are lost, one by one


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("past", ["deduplicated", "deduplicated with checkpoints", "ring", "full"])
@pytest.mark.parametrize("times", [pytest.param(1, id="one reply"), pytest.param(0, id="this and all later replies")])
def test_a_lost_reply_to_any_command_costs_no_restore_point(
    past: str, times: int, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, soak: bool
) -> None:
    """Let the server do what it is told, and close the connection before it says so."""
    server = serve()
    (tmp_path / "host").mkdir()
    site = Site(server.facts, tmp_path / "host", tmp_path / "srv")
    site.declare(timeout=1, max_retries=4)
    before = Snapshot(PASTS[past](site), tmp_path / "copy")
    monkeypatch.setattr(jobs, "JobLock", hurried_lock)
    monkeypatch.setattr(copying, "CHECKPOINT_EVERY", before.history.checkpoint_every)
    heard = len(server.heard)
    site.back_up(**before.history.options)
    count = len(server.heard) - heard
    chance = random.Random(past)

    for number in range(count) if soak else sorted(chance.sample(range(_COMMANDS_OF_LOGINS, count), _REPLIES_SAMPLED)):
        print(f"the reply to {number} of {count} commands is lost")  # noqa: T201 - a failure must tell which one it was
        history = before.bring_back()
        server.plan(Fault(ANY, Drop(before=False), after=number, times=times))
        with suppress(BackupError):
            site.back_up(**history.options)
        server.forget_faults()
        history.assert_nothing_is_lost()
        history.assert_next_run_mends_all()
