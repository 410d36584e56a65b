# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a run on a host is looked at, and what is said of it when."""

from __future__ import annotations

import random

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.watching import Now
from ansible_collections.stowage.ftp_backup.plugins.module_utils.words import width_of
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.polling import (
    PATIENCE,
    Contact,
    Crowd,
    Lines,
    Pauses,
    title_of,
)

MIB = 1024 * 1024
TITLE = "[web01] backup 'web sites'"
HALF = Now("uploading", 30 * MIB, 100 * MIB, 12, "/srv/www/index.php")


def lines(crowd: Crowd | None = None, *, width: int = 120, is_secret: bool = False) -> Lines:
    return Lines(TITLE, crowd or Crowd(), 0, width=width, is_secret=is_secret)


def told_of_a_run(length: int, crowd: Crowd, began: float = 0) -> list[float]:
    """Return the moments at which a run of *length* seconds has a line, if it is looked at twice a second."""
    watched = Lines(TITLE, crowd, began, width=120)
    moments = [began + number / 2 for number in range(2 * length)]
    return [moment for moment in moments if watched.look(Now("uploading", int(moment * 1000), 10**9), moment)]


def test_a_line_tells_all_that_is_known() -> None:
    watched = lines()
    watched.look(Now("uploading", 10 * MIB, 100 * MIB, 12, "/srv/www/a"), 0)

    assert watched.look(HALF, 10) == (
        f"{TITLE}: uploading 30 %, 30.0 MiB of 100.0 MiB, 2.0 MiB/s, 35 s left: /srv/www/index.php"
    )


def test_a_line_of_a_secret_task_has_no_names_and_no_sizes() -> None:
    assert lines(is_secret=True).look(HALF, 10) == f"{TITLE}: uploading 30 %"
    assert lines(is_secret=True).look(Now("scanning", 0, None, 7, "/srv"), 10) == f"{TITLE}: scanning"


@pytest.mark.parametrize("width", range(80, 180, 7))
def test_a_line_is_as_wide_as_it_may_be_and_keeps_the_end_of_the_path(width: int) -> None:
    line = lines(width=width).look(HALF._replace(item="/srv/文件/" + "x" * 200 + "/end"), 10)

    assert line is not None
    assert width - 1 <= width_of(line) <= width
    assert line.endswith("x/end")


def test_what_a_terminal_could_obey_is_written_out() -> None:
    line = Lines("[web01] backup 'a\x1b[2J'", Crowd(), 0, width=200).look(HALF._replace(item="/srv/a\nb\udcff"), 10)

    assert line is not None
    assert r"'a\x1b[2J'" in line
    assert line.endswith(r"/srv/a\nb\xff")


def test_a_short_run_has_no_line() -> None:
    assert told_of_a_run(2, Crowd()) == []


def test_a_run_has_a_line_soon_and_then_some_seconds_apart() -> None:
    moments = told_of_a_run(30, Crowd())

    assert moments[0] == 2.0
    assert all(3.0 <= after - before <= 5.0 for before, after in zip(moments, moments[1:]))


def test_a_long_run_has_lines_that_become_rarer_but_never_end() -> None:
    moments = told_of_a_run(3 * 3600, Crowd())

    apart = [after - before for before, after in zip(moments, moments[1:])]
    assert apart == sorted(apart)
    assert 55.0 <= max(apart) <= 60.0
    assert len(moments) < 300


@pytest.mark.parametrize("size", [1, 2, 10, 50, 500])
def test_all_hosts_together_have_some_lines_a_second_at_most(size: int) -> None:
    beginnings = random.Random(size)
    for spread in (0, 5, size / 3, 100):  # how long it takes until each has begun
        moments = sorted(
            moment
            for position in range(size)
            for moment in told_of_a_run(300, Crowd(size, position), beginnings.random() * spread)
        )

        assert max(len([other for other in moments if moment <= other < moment + 1]) for moment in moments) <= 5
        assert len(moments) >= min(size, 10)


def test_looks_that_were_all_held_up_do_not_all_print_at_once() -> None:
    watched = [lines(Crowd(50, position)) for position in range(50)]
    printed = []
    for step in range(160):  # not quite a round
        moment = 60 + step / 10
        printed += [moment for one in watched if one.look(HALF._replace(done=step), moment)]

    assert 45 <= len(printed) <= 50
    assert max(len([other for other in printed if moment <= other < moment + 1]) for moment in printed) <= 4


def test_a_run_that_stands_still_is_told_of_once_a_minute() -> None:
    watched = lines()
    moments = [moment for moment in range(200) if watched.look(HALF, moment)]

    assert moments == [2, 65, 128, 193]


def test_nothing_is_told_before_a_run_tells_something() -> None:
    assert lines().look(Now(), 100) is None


def test_looks_stay_rare_as_long_as_there_is_nothing_to_say_and_come_in_time_for_a_turn() -> None:
    watched = lines()  # its first line is due after two seconds

    assert watched.pause(2.0, 1.5) == 0.5
    assert watched.pause(2.0, 2.0) == 2.0
    assert watched.pause(2.0, 1000.0) == 2.0


def test_pauses_grow_to_a_limit_that_grows_with_the_hosts() -> None:
    alone, among_many = Pauses(Crowd()), Pauses(Crowd(50, 3))

    assert alone.next() == 0.2
    assert [alone.next() for _number in range(20)][-1] == 2.0
    assert [among_many.next() for _number in range(20)][-1] == 5.0


# -- whether the host answers


def test_one_lost_look_is_not_worth_a_word() -> None:
    contact = Contact(0)

    assert contact.lose(10) is None
    assert contact.hear(15) is None


def test_a_lost_connection_is_told_once_and_so_is_its_return() -> None:
    contact = Contact(0)
    contact.hear(10)

    told = [contact.lose(moment) for moment in (20, 30, 40, 50)]

    assert told == [None, "the host has not answered for 20 s, trying again; the run goes on there", None, None]
    assert contact.hear(60) == "the host answers again, after 50 s"
    assert contact.hear(61) is None


def test_a_host_that_never_answers_is_given_up_in_the_end() -> None:
    contact = Contact(0)
    contact.hear(100)

    contact.lose(101)

    assert not contact.is_given_up(100 + PATIENCE - 1)
    assert contact.is_given_up(100 + PATIENCE)


def test_a_run_lives_as_long_as_its_beat_grows_or_its_process_is_there() -> None:
    contact = Contact(0)

    assert not any(contact.is_dead(beat, beat * 5, is_alive=True) for beat in range(1000))
    assert not contact.is_dead(999, 5100, is_alive=True)


def test_a_run_whose_process_is_gone_is_dead_once_a_result_would_have_come() -> None:
    contact = Contact(0)

    assert not contact.is_dead(7, 10, is_alive=False)
    assert not contact.is_dead(7, 19, is_alive=False)
    assert contact.is_dead(7, 20, is_alive=False)


def test_a_run_whose_process_is_there_is_never_dead_and_once_told_to_be_silent() -> None:
    contact = Contact(0)
    contact.is_dead(7, 10, is_alive=True)

    told = []
    for moment in range(20, 100_000, 10):
        assert not contact.is_dead(7, moment, is_alive=True)
        told += [sentence for sentence in [contact.miss(moment)] if sentence is not None]

    assert told == ["the run lives, but has not told for 3 min 00 s where it is; the disk there may be full"]
    assert not contact.is_dead(7, 100_010, is_alive=None)  # to look for it may fail now and then


def test_a_run_without_a_beat_is_dead_where_nobody_sees_its_process() -> None:
    contact = Contact(0)
    contact.is_dead(7, 10, is_alive=None)

    assert not contact.is_dead(7, 189, is_alive=None)
    assert contact.is_dead(7, 190, is_alive=None)


def test_while_the_host_did_not_answer_no_beat_could_be_heard() -> None:
    contact = Contact(0)
    contact.is_dead(7, 10, is_alive=True)
    for moment in range(20, 200, 10):
        contact.lose(moment)
    contact.hear(200)

    assert not contact.is_dead(7, 201, is_alive=True)


# -- what a line begins with


@pytest.mark.parametrize(
    ("names", "label", "title"),
    [
        (["web sites"], None, "[web01] backup 'web sites'"),
        ([None, "NAS"], None, "[web01] backup 'NAS'"),
        ([], None, "[web01] backup"),
        (["web sites"], "web sites", "[web01] backup 'web sites'"),
        (["web sites"], "first", "[web01] backup 'web sites' (first)"),
        (["web sites"], 3, "[web01] backup 'web sites' (3)"),
        (["web sites"], {"password": "secret"}, "[web01] backup 'web sites'"),
    ],
)
def test_a_title_names_the_run_and_no_more(names: list[object], label: object, title: str) -> None:
    assert title_of("web01", "backup", names, label) == title
