# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run comes to that ends otherwise than it should."""

from __future__ import annotations

import argparse
import io
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.deeds import Call
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.settings import Directories
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.terminal import Terminal
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import FINISHING, PRUNING, UPLOADING
from ansible_collections.stowage.ftp_backup.plugins.module_utils.stopping import StoppedError, Stopper

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.results import Result
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import Progress


def call_with(stopper: Stopper) -> Call:
    terminal = Terminal(io.StringIO(), io.StringIO())
    return Call(argparse.Namespace(), Directories(Path("/nowhere"), Path("/nowhere")), terminal, stopper)


def test_an_error_that_comes_of_being_stopped_is_not_the_error_of_the_run() -> None:
    stopper = Stopper()

    def deed(_progress: Progress) -> Result:
        with pytest.raises(StoppedError):
            stopper.take(signal.SIGTERM, None)
        raise LocalError("The lock was lost.")

    with pytest.raises(StoppedError) as told:
        call_with(stopper).run("nightly", "backup", deed)

    assert told.value.exit_code == 143
    assert told.value.words.startswith("nightly: Stopped by SIGTERM. ")


def test_an_error_that_nobody_asked_for_is_the_result() -> None:
    def deed(_progress: Progress) -> Result:
        raise LocalError("The disk is full.")

    result = call_with(Stopper()).run("nightly", "backup", deed)

    assert (result.exit_code, result.summary) == (1, "The disk is full.")


@pytest.mark.parametrize(
    ("command", "phase", "words"),
    [
        ("backup", UPLOADING, "goes on from the last checkpoint"),
        ("backup", FINISHING, "may be there already: reindex tells"),
        ("backup", PRUNING, "The restore point was made"),
        ("restore", "restoring", "the same command again goes on from there"),
        ("reindex", "reading", "The index is as it was."),
        ("verify", "verifying", "The next verification goes on from there."),
    ],
)
def test_who_stops_a_run_is_told_what_there_is_of_it(command: str, phase: str, words: str) -> None:
    stopper = Stopper()

    def deed(progress: Progress) -> Result:
        progress.report(phase)
        stopper.take(signal.SIGINT, None)
        raise AssertionError

    with pytest.raises(StoppedError) as told:
        call_with(stopper).run("nightly", command, deed)

    assert words in told.value.words
