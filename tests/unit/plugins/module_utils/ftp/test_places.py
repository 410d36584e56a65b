# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for connections that all processes of a host share.

Two objects with one directory stand for two processes: the kernel's locks belong to an open file, not to a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.places import Anywhere, HostPlaces, places_at

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.places import Place

DOOMED = """
import sys, time
from pathlib import Path
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.places import HostPlaces
places = HostPlaces(Path(sys.argv[1]), 1)
print(places.take() is not None, flush=True)
time.sleep(60)
"""


def taken(places: HostPlaces, count: int) -> list[Place]:
    got = [places.take() for _number in range(count)]
    places.give_up()
    return [place for place in got if place is not None]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_there_are_as_many_places_as_are_allowed_however_many_ask(tmp_path: Path, limit: int) -> None:
    crowd = [HostPlaces(tmp_path, limit) for _number in range(4)]

    got = [place for places in crowd for place in taken(places, 3)]

    assert len(got) == limit
    got.pop().free()
    assert len(taken(crowd[0], 3)) == 1


def test_without_a_limit_there_is_always_one_more_and_no_more_files_than_were_needed(tmp_path: Path) -> None:
    first = taken(HostPlaces(tmp_path, 0), 30)
    second = taken(HostPlaces(tmp_path, 0), 30)
    assert (len(first), len(second)) == (30, 30)

    for place in (*first, *second):
        place.free()
    for _run in range(5):
        for place in taken(HostPlaces(tmp_path, 0), 4):
            place.free()
    assert len(list(tmp_path.glob("place-*"))) == 60


def test_places_are_given_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    (place,) = taken(HostPlaces(tmp_path, 1), 1)
    first, second, latecomer = (HostPlaces(tmp_path, 1) for _number in range(3))
    assert [first.take(), second.take()] == [None, None]

    place.free()

    assert second.take() is None
    assert latecomer.take() is None
    got = first.take()
    assert got is not None
    got.free()
    assert latecomer.take() is None
    assert second.take() is not None


def test_who_gives_up_lets_the_next_one_in(tmp_path: Path) -> None:
    (place,) = taken(HostPlaces(tmp_path, 1), 1)
    first, second = HostPlaces(tmp_path, 1), HostPlaces(tmp_path, 1)
    assert [first.take(), second.take()] == [None, None]
    place.free()

    first.give_up()

    assert second.take() is not None


def test_it_is_known_whether_anybody_else_waits(tmp_path: Path) -> None:
    owner, other = HostPlaces(tmp_path, 1), HostPlaces(tmp_path, 1)
    taken(owner, 1)
    assert not owner.are_wanted()

    other.take()

    assert owner.are_wanted()
    assert not other.are_wanted()
    other.give_up()
    assert not owner.are_wanted()


@pytest.mark.parametrize("what", ["a place", "a turn"])
def test_the_dead_have_neither_places_nor_turns(tmp_path: Path, what: str) -> None:
    owner = HostPlaces(tmp_path, 1)
    places = taken(owner, 1) if what == "a turn" else []
    doomed = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with doomed:
        assert doomed.stdout is not None
        assert doomed.stdout.readline() == f"{what == 'a place'}\n"
        assert owner.are_wanted() == (what == "a turn")
        assert owner.take() is None
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()

    for place in places:
        place.free()
    assert owner.take() is not None
    assert list(tmp_path.glob("waiting-*")) == []


def test_a_server_that_takes_fewer_narrows_it_for_all_until_none_is_taken(tmp_path: Path) -> None:
    first, second = HostPlaces(tmp_path, 4), HostPlaces(tmp_path, 4)
    places = taken(first, 2)

    assert second.narrow() == 2
    assert taken(second, 1) == []

    places.pop().free()
    assert len(taken(second, 2)) == 1
    for place in places:
        place.free()


def test_after_a_while_one_more_is_tried_again(tmp_path: Path) -> None:
    clock = [time.time()]
    first, second = (HostPlaces(tmp_path, 4, clock=lambda: clock[0]) for _number in range(2))
    taken_first = taken(first, 2)
    assert second.narrow() == 2
    assert taken(second, 1) == []

    clock[0] += 700

    assert len(taken(second, 1)) == 1
    assert len(taken_first) == 2


def test_nobody_else_to_wait_for_narrows_nothing(tmp_path: Path) -> None:
    places = HostPlaces(tmp_path, 4)

    assert places.narrow() == 0
    assert len(taken(places, 9)) == 4


def seen(directory: Path) -> Sequence[tuple[str, int, int]]:
    return sorted(
        (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in (directory, *directory.iterdir())
    )


def test_who_may_not_write_sees_the_places_and_leaves_no_trace(tmp_path: Path) -> None:
    (place,) = taken(HostPlaces(tmp_path, 1), 1)
    before = seen(tmp_path)
    reader = places_at(tmp_path, 1, may_write=False)

    assert reader.take() is None
    place.free()
    assert reader.take() is not None
    assert seen(tmp_path) == before


def test_who_may_not_write_comes_after_all_who_wait(tmp_path: Path) -> None:
    (place,) = taken(HostPlaces(tmp_path, 1), 1)
    waiting, reader = HostPlaces(tmp_path, 1), HostPlaces(tmp_path, 1, may_write=False)
    assert waiting.take() is None
    place.free()

    assert reader.take() is None
    assert waiting.take() is not None


def test_where_nothing_may_be_made_there_are_places_anywhere(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    obstacle = tmp_path / "file"
    obstacle.touch()

    assert isinstance(places_at(missing, 1, may_write=False), Anywhere)
    assert not missing.exists()
    assert isinstance(places_at(obstacle / "below", 1, may_write=True), Anywhere)
