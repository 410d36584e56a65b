# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page shows is compared with what is printed: by form what differs from run to run, by the letter what not."""

from __future__ import annotations

import pytest

from tests.documentation.output import compare, says

LISTED = """\
JOB        DESTINATION       NEWEST RESTORE POINT  AGE     SIZE  POINTS  STATE
web sites  Provider storage  2026-11-26T12:00:39Z  1 s  2.9 MiB       2  good
"""
PLAYED = """\
TASK [Back up] *****************************************************************
changed: [web01]
ok: [web02]

PLAY RECAP *********************************************************************
web01                      : ok=1    changed=1    unreachable=0    failed=0
"""
MORE = "[web01] backup 'web sites': scanning 10 entries\n"
WATCHED = PLAYED.replace("changed:", "[web01] backup 'web sites': uploading 40 %, 1 MiB of 2 MiB\nchanged:")


def differs(shown: str, printed: str) -> bool:
    return compare(shown.splitlines(), printed.splitlines()) is not None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param(LISTED, LISTED.replace("12:00:39", "07:12:01").replace("1 s", "2 min 03 s"), id="time-and-age"),
        pytest.param(LISTED, LISTED.replace("2.9 MiB", "997 B"), id="size"),
        pytest.param(LISTED, LISTED.replace("  ", "      "), id="width"),
        pytest.param("point 20261126t120039z-c7e477", "point 20270101t000000z-000000", id="point"),
        pytest.param(
            "41 %, 12.0 MiB of 28.6 MiB, 410.0 KiB/s, 41 s left",
            "9 %, 1 B of 9 GiB, 7 B/s, 1 h 02 min left",
            id="progress",
        ),
        pytest.param("at 10.88.0.7:2121", "at 127.0.0.1:40123", id="address-and-port"),
        pytest.param('"bytes_sent": 1024,', '"bytes_sent": 7,', id="figure-with-its-name"),
        pytest.param("bytes: 300, entries: 4", "bytes: 4, entries: 4", id="figure-in-a-sentence"),
        pytest.param("Pure-FTPd 1.0.50", "Pure-FTPd 1.0.51", id="version"),
        pytest.param("of 2026-11-26", "of 2026-01-01", id="date"),
        pytest.param(
            PLAYED,
            PLAYED.replace("ok: [web02]\n", "").replace("changed:", "ok: [web02]\nchanged:"),
            id="order-of-hosts",
        ),
        pytest.param(WATCHED, WATCHED.replace("[web01]", f"{MORE}[web01]", 1), id="more-progress"),
        pytest.param(PLAYED, PLAYED.replace("changed:", f"{MORE}changed:"), id="progress-that-is-not-shown"),
        pytest.param("first\n...\nlast\n", "first\nlast\n", id="nothing-left-out"),
        pytest.param("first\n...\nlast\n", "first\nsecond\nlast\nthird\nlast\n", id="lines-left-out"),
        pytest.param("a long ...\n", "a long line\n", id="end-of-a-line-left-out"),
    ],
)
def test_what_may_differ_does_not_matter(shown: str, printed: str) -> None:
    assert not differs(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param(LISTED, LISTED.replace("good", "stale"), id="word"),
        pytest.param(LISTED, LISTED.replace("     2  ", "     3  "), id="count"),
        pytest.param(LISTED, LISTED + "and more\n", id="line-more"),
        pytest.param(LISTED + "and more\n", LISTED, id="line-less"),
        pytest.param(LISTED, LISTED.replace("2.9 MiB", "-"), id="no-size"),
        pytest.param(PLAYED, PLAYED.replace("changed: [web01]", "ok: [web01]"), id="another-outcome"),
        pytest.param(PLAYED, PLAYED.replace("changed=1", "changed=0"), id="recap"),
        pytest.param("a\nb\n", "b\na\n", id="order"),
        pytest.param(WATCHED, PLAYED, id="no-progress"),
        pytest.param(WATCHED, WATCHED.replace("[web01] b", "[web02] b"), id="progress-of-another-host"),
        pytest.param("first\n...\nlast\n", "first\nsecond\n", id="nothing-after-the-gap"),
        pytest.param("first\n...\n", "second\n", id="nothing-before-the-gap"),
        pytest.param("a long ...\n", "a longer line\n", id="end-of-another-line"),
        pytest.param("4 entries", "5 entries", id="a-number-that-is-none-of-those"),
        pytest.param("said", "", id="nothing"),
    ],
)
def test_what_may_not_differ_is_told(shown: str, printed: str) -> None:
    assert differs(shown, printed)


def test_the_difference_names_both_lines() -> None:
    told = compare(["one", "two"], ["one", "three"])

    assert told is not None
    assert {"-two", "+three"} <= set(told.splitlines())


def test_a_failure_is_found_however_its_lines_are_broken() -> None:
    assert says("[ERROR]: it has no\n    fresh restore point", "no fresh restore point")
    assert not says("[ERROR]: it has a fresh restore point", "no fresh restore point")
