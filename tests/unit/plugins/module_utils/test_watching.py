# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run is, as it is told in words."""

from __future__ import annotations

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.watching import Now, Pace, facts_of, log_line

MIB = 1024 * 1024


def test_a_total_of_nothing_is_no_division_by_zero() -> None:
    assert Now("uploading", 0, 0).share is None
    assert facts_of(Now("uploading", 0, 0), None) == []


def test_more_than_all_is_all() -> None:
    assert Now("uploading", 11, 10).share == 1.0


def test_the_rate_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    for second in range(100):
        pace.look(Now("uploading", second * 1000), second)

    rate = pace.look(Now("uploading", 99_000 + 50_000), 100)

    assert rate == pytest.approx((149_000 - 90_000) / 10)


def test_a_new_phase_has_a_rate_of_its_own() -> None:
    pace = Pace()
    pace.look(Now("uploading", 0), 0)
    pace.look(Now("uploading", 1000), 1)

    assert pace.look(Now("verifying", 5_000_000), 2) is None


def test_what_stands_still_has_no_rate() -> None:
    pace = Pace()
    pace.look(Now("uploading", 5), 0)

    assert pace.look(Now("uploading", 5), 20) is None


def test_a_log_line_is_a_sentence_without_a_bar() -> None:
    line = log_line(Now("uploading", 30 * MIB, 100 * MIB, 12, "/srv/a\nb"), 1.0 * MIB)

    assert line == r"uploading 30 %, 30.0 MiB of 100.0 MiB, 1.0 MiB/s, 1 min 10 s left: /srv/a\nb"
