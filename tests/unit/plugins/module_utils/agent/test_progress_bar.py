# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of how far a run has come."""

from __future__ import annotations

import io
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.progress_bar import (
    Bar,
    Log,
    bar_line,
    watched,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.terminal import Terminal
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import SILENT
from ansible_collections.stowage.ftp_backup.plugins.module_utils.watching import Now
from ansible_collections.stowage.ftp_backup.plugins.module_utils.words import width_of

MIB = 1024 * 1024


class Screen(io.StringIO):
    """A terminal of 80 columns that shows what stands in its last line."""

    def isatty(self) -> bool:
        return True

    def line(self) -> str:
        """Return what a person sees."""
        shown: list[str] = []
        column = 0
        for character in self.getvalue():
            if character == "\r":
                column = 0
                continue
            shown[column : column + 1] = [character]
            column += 1
        return "".join(shown).rstrip()


def test_a_bar_tells_all_that_is_known() -> None:
    line = bar_line(Now("uploading", 30 * MIB, 100 * MIB, 12, "/srv/www/index.php"), 2.0 * MIB, 110)

    assert line == (
        "uploading   30%  [######--------------]  30.0 MiB of 100.0 MiB  2.0 MiB/s  35 s left  /srv/www/index.php"
    )


@pytest.mark.parametrize("width", range(1, 130))
def test_a_bar_is_never_wider_than_the_terminal(width: int) -> None:
    now = Now("uploading", 30 * MIB, 100 * MIB, 12, "/srv/文件/" + "x" * 200)

    assert width_of(bar_line(now, 2.0 * MIB, width)) <= width


def test_a_bar_without_a_total_has_no_per_cent() -> None:
    line = bar_line(Now("scanning", 0, None, 1234, "/srv/a\x1b[2Jb"), None, 80)

    assert line == r"scanning   1,234 entries  /srv/a\x1b[2Jb"


def test_a_log_tells_each_phase_once_however_often_it_is_reported() -> None:
    told: list[str] = []
    with Log(told.append, "nightly", every=1000) as progress:
        for phase in ("scanning", "uploading", "scanning", "uploading", "pruning"):
            progress.report(phase, done=1, total=2)

    assert told == ["nightly: scanning", "nightly: uploading", "nightly: pruning"]


def test_a_bar_is_gone_in_the_end() -> None:
    screen = Screen()
    drawn = Bar(screen, every=1000)
    drawn.report("uploading", done=1, total=2, item="/srv/index.html")
    drawn.look()
    assert screen.line().startswith("uploading   50%")

    drawn.end()

    assert screen.line() == ""
    assert screen.getvalue().endswith("\r")


def test_a_shorter_bar_leaves_nothing_of_a_longer_one() -> None:
    screen = Screen()
    drawn = Bar(screen, every=1000)
    drawn.report("uploading", done=1, total=2, item="/srv/" + "x" * 30)
    drawn.look()
    drawn.report("pruning")
    drawn.look()

    assert screen.line() == "pruning"


def test_a_terminal_that_is_gone_ends_no_run() -> None:
    screen = Screen()
    drawn = Bar(screen, every=0.001)
    with drawn as progress:
        progress.report("uploading", done=1, total=2)
        screen.close()
        drawn.look()

    assert drawn.now.done == 1


@pytest.mark.parametrize("quiet", [{"is_quiet": True}, {"is_json": True}])
def test_nobody_is_told_who_wants_to_hear_nothing(quiet: dict[str, bool]) -> None:
    screen = Screen()
    terminal = Terminal(io.StringIO(), screen, **quiet)

    with watched(terminal, "nightly") as progress:
        progress.report("uploading", done=1, total=2)
        told = t.cast("t.Any", progress)._progress

    assert told is SILENT
    assert screen.getvalue() == ""
