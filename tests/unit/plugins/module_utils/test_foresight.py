# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which a backup is foretold, and the lines of a diff."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import foresight
from ansible_collections.stowage.ftp_backup.plugins.module_utils.changes import ANOTHER, AS_IT_WAS, NEW, Change, Counts
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry, Header, Rules
from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import LINES_SHOWN, Outcome, bounded
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Slot, Verdict

NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
RULES = Rules(exclude=("*.log",))
FILE = Entry(b"/srv/file", "f", 0o644, 0, 0, "", "", 0, 10)


def header(hours: float = 0, seq: int = 1) -> Header:
    started = NOW - timedelta(hours=hours)
    run = f"{started:%Y%m%dt%H%M%Sz}-00000{seq}"
    return Header(run, seq, "web01", "nightly", "incremental", "s01", started, ("/etc", "/srv"), "d", "1", RULES)


@pytest.mark.parametrize(
    ("hours", "max_age", "reason"),
    [
        (26, timedelta(hours=12), "the newest complete one is 26 h old, and max_age is 12h"),
        (0.5, timedelta(minutes=30), "the newest complete one is 30 min old, and max_age is 30m"),
        (240, timedelta(days=7), "the newest complete one is 10 d old, and max_age is 7d"),
        (-1, timedelta(hours=12), "the newest complete one is dated in the future"),
    ],
)
def test_why_another_one_is_made_is_told_with_both_ages(hours: float, max_age: timedelta, reason: str) -> None:
    assert foresight.why_stale(header(hours), NOW, max_age) == reason


@pytest.mark.parametrize(
    ("paths", "rules", "differing"),
    [
        (["/srv", "/etc"], RULES, "databases"),
        (["/srv/", "/etc", "/srv/www"], RULES, "databases"),
        (["/srv"], RULES, "paths"),
        (["/srv", "/etc"], Rules(), "exclude"),
        (["/home"], Rules(one_file_system=True, caches=True, marker=".nobackup"),
         "paths, exclude, one_file_system, exclude_caches, exclude_marker"),
    ],
)  # fmt: skip
def test_what_of_a_definition_has_changed_is_named_as_the_options_are(
    paths: list[str], rules: Rules, differing: str
) -> None:
    told = foresight.why_redefined(header(), paths, rules)

    assert told == f"the definition of the job has changed: {differing}"


def test_where_one_is_made_is_told_before_and_after() -> None:
    told = foresight.told_place(8, Slot("s02", None), None, "why", would=True)
    assert told == "The restore point 000008 would be made in the slot s02, which is free: why."
    told = foresight.told_place(8, Slot("s02", None), None, "why", would=False)
    assert told == "The restore point 000008 was made in the slot s02, which was free: why."
    assert foresight.told_place(8, Slot("pool", None), None, "why", would=True) == (
        "The restore point 000008 would be made: why."
    )


def test_one_that_was_to_go_and_stays_tells_both() -> None:
    verdicts = [
        Verdict(1, stays=False, reason="old"),
        Verdict(2, stays=False, reason="old"),
        Verdict(3, stays=True, reason="new"),
    ]

    reasons = foresight.reasons_of(verdicts, {1}, "another run has the job")

    assert reasons == {1: "old", 2: "another run has the job (else it goes: old)", 3: "new"}


@pytest.mark.parametrize(
    ("looks", "stays", "left"),
    [(NEW, False, (0, 1, 1, 1)), (ANOTHER, True, (1, 0, 2, 1)), (ANOTHER, False, (1, 0, 1, 2)),
     (AS_IT_WAS, False, (1, 1, 0, 2))],
)  # fmt: skip
def test_what_cannot_be_had_is_counted_as_what_becomes_of_it(
    *, looks: int, stays: bool, left: tuple[int, int, int, int]
) -> None:
    counts = Counts(1, 1, 1, 1)

    counts.lose(Change(None, FILE, is_same=False, looks=looks), stays=stays)

    assert (counts.new, counts.changed, counts.unchanged, counts.gone) == left


def test_a_dump_counts_by_whether_there_was_one() -> None:
    counts = Counts(gone=3)
    counts.count_dump(None, 100)
    counts.count_dump(FILE, 10)
    counts.count_dump(FILE, None)

    assert counts == Counts(new=1, changed=1, unchanged=1, gone=1, size=110)


# -- the diff


def test_a_diff_is_text_with_headers_and_holds_nothing_that_a_terminal_obeys() -> None:
    outcome = Outcome(
        changed=True,
        values={},
        before=("a\x1b[2J",),
        after=("b\n", "\udcff"),
        title="the \x07 bell",
        summary=("All is told.",),
    )

    assert outcome.diff() == {
        "before_header": "the \\x07 bell",
        "after_header": "the \\x07 bell",
        "before": "a\\x1b[2J\n",
        "after": "b\\n\n\\xff\n",
        "prepared": "All is told.\n",
    }
    assert outcome.told() == ("-a\x1b[2J", "+b\n", "+\udcff", "All is told.")
    assert Outcome(changed=False, values={}).diff() is None


def test_of_many_lines_the_rest_is_counted() -> None:
    lines = list(bounded([str(number) for number in range(LINES_SHOWN + 5)]))

    assert (len(lines), lines[-1]) == (LINES_SHOWN + 1, "... and 5 more")
    assert list(bounded(["a"])) == ["a"]
