# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One limit on what is moved, in virtual time."""

from __future__ import annotations

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.bandwidth import Bandwidth


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("limit", [1024, 50_000, 10_000_000])
def test_what_is_moved_takes_the_time_that_the_limit_gives_it(limit: int) -> None:
    time = Time()
    bandwidth = Bandwidth(limit, clock=time.clock, pause=time.pause)

    for _piece in range(10 * limit // bandwidth.piece):
        bandwidth.spend(bandwidth.piece)

    assert time.now - 1000 == pytest.approx(10, rel=0.01)


def test_nothing_is_saved_up_for_a_burst_while_nothing_is_moved() -> None:
    time = Time()
    bandwidth = Bandwidth(1000, clock=time.clock, pause=time.pause)
    time.now += 60
    before = time.now

    bandwidth.spend(5000)

    assert time.now - before == pytest.approx(5)


def test_without_a_limit_nobody_waits() -> None:
    bandwidth = Bandwidth(0, pause=lambda _seconds: pytest.fail("there is no limit"))

    bandwidth.spend(10**12)

    assert not bandwidth.is_limited


@pytest.mark.parametrize("limit", [1024, 5_000, 10**6, 10**10])
def test_a_piece_is_small_enough_that_connections_take_turns(limit: int) -> None:
    piece = Bandwidth(limit).piece

    assert piece <= 256 * 1024
    assert piece <= max(1024, limit / 10)
