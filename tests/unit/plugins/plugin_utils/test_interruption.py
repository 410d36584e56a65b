# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a worker of Ansible learns that it should end, and ends something else first."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.interruption import Interruption


class Ended(Exception):  # noqa: N818 - what a signal does here
    pass


@pytest.fixture(autouse=True)
def handlers() -> object:
    """Signals that raise, as the handlers of others."""

    def end(_number: int, _frame: object) -> None:
        raise Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_the_block_has_ended(number: signal.Signals) -> None:
    done = []

    def be_interrupted() -> None:
        with Interruption() as interruption:
            for following in (number, signal.SIGTERM, signal.SIGTERM):  # as Ansible sends them
                signal.raise_signal(following)
            done.append(interruption.number)

    with pytest.raises(Ended):
        be_interrupted()

    assert done == [number]


def test_a_fourth_signal_does_what_it_would_have_done() -> None:
    counted = []

    def be_interrupted() -> None:
        with Interruption():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGTERM, signal.SIGTERM):
                counted.append(number)
                signal.raise_signal(number)

    with pytest.raises(Ended):
        be_interrupted()

    assert len(counted) == 4


def test_a_signal_ends_a_wait_and_every_later_one() -> None:
    began = time.monotonic()

    def be_interrupted() -> None:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
            interruption.wait(60)
            interruption.wait(60)

    with pytest.raises(Ended):
        be_interrupted()

    assert time.monotonic() - began < 30


def test_a_process_with_many_files_waits_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def far(ends: tuple[int, int]) -> tuple[int, int]:
        moved = fcntl.fcntl(ends[0], fcntl.F_DUPFD, 1100), fcntl.fcntl(ends[1], fcntl.F_DUPFD, 1100)
        for end in ends:
            os.close(end)
        return moved

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("more files than these are not allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    pipe = os.pipe
    monkeypatch.setattr(os, "pipe", lambda: far(pipe()))

    with Interruption() as interruption:
        interruption.wait(0.01)
        assert interruption.number is None
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_is_left_behind() -> None:
    def here() -> tuple[object, int]:
        return signal.getsignal(signal.SIGINT), len(list(Path("/proc/self/fd").iterdir()))

    before = here()

    with Interruption() as interruption:
        interruption.wait(0)

    assert here() == before
    assert not interruption.has_lost_controller


def test_an_orphan_knows_that_it_is_one() -> None:
    hears, tells = os.pipe()
    parent = os.fork()
    if not parent:
        if not os.fork():
            with Interruption() as interruption:
                os.write(tells, b"!")
                deadline = time.monotonic() + 30
                while not interruption.has_lost_controller and time.monotonic() < deadline:
                    time.sleep(0.01)
                os.write(tells, str(interruption.has_lost_controller).encode())
                os._exit(0)
        os.read(hears, 1)
        os._exit(0)
    os.waitpid(parent, 0)

    assert os.read(hears, 100) == b"True"
