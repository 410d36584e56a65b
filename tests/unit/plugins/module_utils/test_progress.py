# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a meter tells can be drawn as a bar, whatever the threads do that share it."""

from __future__ import annotations

import threading
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import READING, SILENT, Meter
from tests.engine.watching import Interrupter, Watcher

if t.TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_phase_is_told_from_its_beginning_to_its_end() -> None:
    watcher = Watcher()

    with Meter(watcher, READING, 10) as meter:
        meter.add(4, item="first")
        meter.add(6, entries=1)

    assert watcher.told == [
        (READING, 0, 10, 0, ""),
        (READING, 4, 10, 0, "first"),
        (READING, 10, 10, 1, "first"),
        (READING, 10, 10, 1, "first"),
    ]


def test_a_phase_that_failed_is_not_told_to_be_complete() -> None:
    watcher = Watcher()

    def fail() -> None:
        with Meter(watcher, READING, 10) as meter:
            meter.add(4)
            raise LocalError("no more")

    with pytest.raises(LocalError):
        fail()

    assert watcher.last(READING) == (READING, 4, 10, 0, "")


def test_what_comes_unexpectedly_lets_the_total_grow() -> None:
    watcher = Watcher()

    with Meter(watcher, READING, 10) as meter:
        meter.add(12)
        meter.expect_more(5)
        meter.add(1)

    assert [(told.done, told.total) for told in watcher.told] == [(0, 10), (12, 12), (13, 15), (13, 13)]
    watcher.assert_sound()


def test_a_total_that_nobody_knows_is_none_until_the_end() -> None:
    watcher = Watcher()

    with Meter(watcher, READING) as meter:
        meter.add(3)

    assert [told.total for told in watcher.told] == [None, None, 3]


def test_many_entries_are_told_together() -> None:
    watcher = Watcher()

    with Meter(watcher, READING) as meter:
        for _number in range(10_000):
            meter.add(entries=1)

    assert len(watcher.told) < 100
    assert watcher.last(READING).entries == 10_000


def test_many_threads_tell_one_after_the_other_and_never_less_than_before() -> None:
    watcher = Watcher()
    count, each = 8, 500

    with Meter(watcher, READING, count * each) as meter:

        def count_up() -> None:
            for _time in range(each):
                meter.add(1)

        threads = [threading.Thread(target=count_up) for _thread in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    watcher.assert_sound()
    assert watcher.last(READING).done == count * each


def test_pieces_count_once_whoever_takes_them_asks_for_the_next() -> None:
    watcher = Watcher()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        assert watcher.last(READING).done == 3
        yield b"three"

    with Meter(watcher, READING, 8) as meter:
        assert list(meter.through(pieces(), item="both")) == [b"one", b"three"]

    assert watcher.last(READING) == (READING, 8, 8, 0, "both")


def test_what_is_raised_by_who_is_told_reaches_who_tells_and_the_next_can_tell_again() -> None:
    watcher = Interrupter(KeyboardInterrupt(), lambda told: told.done == 1)
    meter = Meter(watcher, READING, 2)

    for _time in range(2):
        with pytest.raises(KeyboardInterrupt):
            meter.add(1)

    assert watcher.last(READING).done == 2


def test_where_nobody_listens_nothing_is_counted() -> None:
    with Meter(SILENT, READING, 5) as meter:
        meter.add(5, entries=1)

    assert (meter.is_silent, meter.done, meter.entries) == (True, 0, 0)
