# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of the transport notice when a behaviour is taken out of it: a few each time, all of them with --soak."""

from __future__ import annotations

import typing as t

import pytest

from tests.transport.behaviours_of_connections import CONNECTIONS
from tests.transport.behaviours_of_data import DATA
from tests.transport.taken_out import copy_of_project, run_tests, take_out

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.transport.taken_out import Behaviour

BEHAVIOURS = (*CONNECTIONS, *DATA)
_TESTS_FAILED = 1
_ONE_IN = 13

pytestmark = pytest.mark.timeout(600)


def test_every_number_has_a_behaviour_that_can_be_taken_out() -> None:
    assert {behaviour.number for behaviour in BEHAVIOURS} == {f"T{number:02d}" for number in range(1, 31)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take out every behaviour with --soak, and one in some otherwise."""
    if "behaviour" in metafunc.fixturenames:
        taken = BEHAVIOURS if metafunc.config.getoption("--soak") else BEHAVIOURS[::_ONE_IN]
        metafunc.parametrize("behaviour", taken, ids=str)


def test_what_is_taken_out_stands_in_the_code_once(tmp_path: Path) -> None:
    for number, behaviour in enumerate(BEHAVIOURS):
        take_out(behaviour, copy_of_project(tmp_path / str(number)))


def test_what_is_taken_out_is_missed(behaviour: Behaviour, tmp_path: Path) -> None:
    project = copy_of_project(tmp_path / "project")
    take_out(behaviour, project)

    code, output = run_tests(project, behaviour.selection)

    assert code == _TESTS_FAILED, output
