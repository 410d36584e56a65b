# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that lie or are damaged: each has its outcome, nothing is written beside the target, and the rest is had."""

from __future__ import annotations

import stat
import typing as t

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError
from tests.cpanel.expected import Statements
from tests.cpanel.hostile import CASES, USER, traces
from tests.cpanel.hosting import Customer, hand_over

if t.TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cpanel.hostile import Case

DAY = "2026-11-22/accounts"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the cases that are long with --soak only."""
    if "case" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("--soak")
        metafunc.parametrize("case", [case for case in CASES.values() if is_full or not case.is_long], ids=str)


def test_a_hostile_or_damaged_backup_does_no_harm_and_gives_what_it_has(
    customer: Customer, tmp_path: Path, case: Case
) -> None:
    path = customer.top / DAY / case.file_name
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        case.write(file)
    hand_over(customer.server)
    (tmp_path / "beside").mkdir()
    before = set(traces())

    indexed = customer.reindex()
    points = list(customer.points())
    target = tmp_path / "beside" / "target"
    said = ""
    if points:
        try:
            customer.restore(points[0]["account"], target)
        except BackupError as error:
            said = str(error)

    if case.is_damaged is not None:
        assert (bool(indexed.values["unreadable"]), [point["damaged"] for point in points]) == (
            case.is_damaged,
            [case.is_damaged],
        ), (indexed.values["unreadable"], said)
    listed = {part["name"] for point in points for part in point["parts"]}
    assert not case.whole or listed, (indexed.values["unreadable"], said)
    for place, content in case.present.items():
        found = (target / place.decode("utf-8", "surrogateescape")).read_bytes()
        assert content.is_met_by(found) if isinstance(content, Statements) else found == content, (place, said)
    for place, mode in case.modes.items():
        assert stat.S_IMODE((target / place.decode()).lstat().st_mode) == mode, place
    for place in case.absent:
        assert not (target / place.decode("utf-8", "surrogateescape")).is_symlink(), place
    assert set(traces()) == before
    assert {entry.name for entry in (tmp_path / "beside").iterdir()} <= {"target"}
    assert "\n" not in said
    assert all("\n" not in sentence for sentence in indexed.values["unreadable"])


def test_what_is_wrong_is_told_by_a_sentence_that_names_the_backup(customer: Customer) -> None:
    case = CASES["cut in content"] if "cut in content" in CASES else next(c for c in CASES.values() if c.is_damaged)
    path = customer.top / DAY / case.file_name
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        case.write(file)
    hand_over(customer.server)

    (sentence,) = customer.reindex().values["unreadable"]

    assert sentence.startswith(f"The backup {DAY}/{case.file_name} is damaged: ")
    (point,) = customer.points(account=USER)
    assert point["problems"][0] == {"path": "", "problem": sentence}
