# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How signals end a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.stopping import StoppedError, stoppable


@pytest.mark.parametrize(
    ("number", "exit_code", "words"),
    [
        (signal.SIGINT, 130, "Interrupted"),
        (signal.SIGTERM, 143, "Stopped by SIGTERM"),
        (signal.SIGHUP, 129, "Stopped by SIGHUP"),
    ],
)
def test_a_signal_ends_the_block(number: signal.Signals, exit_code: int, words: str) -> None:
    with pytest.raises(StoppedError) as told, stoppable():
        signal.raise_signal(number)

    assert told.value.exit_code == exit_code
    assert told.value.words == words


def test_a_second_signal_lets_the_run_end_in_peace(capfd: pytest.CaptureFixture[str]) -> None:
    def be_stopped_twice() -> None:
        with stoppable(), ExitStack() as cleaning_up:
            cleaning_up.callback(signal.raise_signal, signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        be_stopped_twice()

    assert "the run is ending already" in capfd.readouterr().err


def test_a_third_signal_ends_the_process() -> None:
    child = os.fork()
    if not child:
        with stoppable():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)
        os._exit(0)

    _pid, status = os.waitpid(child, 0)

    assert os.WTERMSIG(status) == signal.SIGTERM


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as stopper:
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert stopper.stopped is None


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before


def test_a_way_out_that_leads_nowhere_is_given_up() -> None:
    program = f"""
import os, signal, sys, threading
sys.path[:0] = {sys.path!r}
from ansible_collections.stowage.ftp_backup.plugins.module_utils import stopping
stopping._LONGEST = 1
with stopping.stoppable():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except stopping.StoppedError:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
"""

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 143
    assert "is given up" in ended.stderr
