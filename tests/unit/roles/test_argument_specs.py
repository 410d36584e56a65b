# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role takes every option of its module, describes it as the module does, and hands it on."""

from __future__ import annotations

import re
import typing as t

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed, so no argument specs could be read")

# The options come with PyYAML as well, so this has to wait until it is known to be there.
from tests.unit.roles.module_options import (  # noqa: E402
    PASSED,
    ROLES,
    SAID_ONCE,
    Passed,
    options_for_role,
    options_of_module,
    spec_file,
)

of_each_role = pytest.mark.parametrize("passed", PASSED, ids=[passed.role for passed in PASSED])


def _options(role: str) -> dict[str, dict[str, t.Any]]:
    specs = yaml.safe_load(spec_file(role).read_text(encoding="utf-8"))
    options: dict[str, dict[str, t.Any]] = specs["argument_specs"]["main"]["options"]
    return options


def _tasks_of(passed: Passed) -> list[dict[str, t.Any]]:
    """Return what the tasks of the role give to the module."""
    files = sorted((ROLES / passed.role / "tasks").glob("*.yml"))
    tasks = [task for file in files for task in yaml.safe_load(file.read_text(encoding="utf-8"))]
    name = f"stowage.ftp_backup.{passed.module}"
    return [task[name] for task in tasks if name in task]


@of_each_role
def test_a_role_describes_every_option_as_the_module_does(passed: Passed) -> None:
    described = _options(passed.role)[passed.option]["options"]

    own = {name: described.pop(name) for name in passed.own}

    # After a change of the module: python -m tests.unit.roles.module_options
    assert described == options_for_role(passed)
    assert all(option["description"] for option in own.values())


@of_each_role
def test_a_role_hands_every_option_on(passed: Passed) -> None:
    tasks = _tasks_of(passed)

    assert [task.keys() for task in tasks] == [options_of_module(passed.module).keys() | set(SAID_ONCE)]
    for name, value in tasks[0].items():
        given = f"{passed.role}_{name}" if name in SAID_ONCE else rf"(__\w+\.|\.get\('){name}"
        assert re.search(rf"{given}\b", value), name


@of_each_role
def test_what_is_not_given_is_left_to_the_module(passed: Passed) -> None:
    options = options_of_module(passed.module)
    (task,) = _tasks_of(passed)

    for name, option in options.items():
        assert ("omit" in task[name]) == (not option.get("required", False)), name


@of_each_role
def test_defaults_are_those_that_are_described(passed: Passed) -> None:
    defaults = yaml.safe_load((ROLES / passed.role / "defaults" / "main.yml").read_text(encoding="utf-8"))

    assert defaults == {name: option["default"] for name, option in _options(passed.role).items()}


@of_each_role
def test_directories_of_a_role_are_those_of_the_modules(passed: Passed) -> None:
    defaults = yaml.safe_load((ROLES / passed.role / "defaults" / "main.yml").read_text(encoding="utf-8"))

    for name in SAID_ONCE:
        assert defaults[f"{passed.role}_{name}"] == _state_options()[name]["default"]


def _state_options() -> dict[str, dict[str, t.Any]]:
    return options_of_module("backup", without=())


@of_each_role
def test_every_variable_of_a_role_is_in_its_readme(passed: Passed) -> None:
    readme = (ROLES / passed.role / "README.md").read_text(encoding="utf-8")

    assert [name for name in _options(passed.role) if f"`{name}`" not in readme] == []


@of_each_role
def test_no_secret_is_looped_over(passed: Passed) -> None:
    """Ansible shows the items of a loop when it fails, so a loop over what holds passwords goes over positions."""
    files = sorted((ROLES / passed.role / "tasks").glob("*.yml"))
    tasks = [task for file in files for task in yaml.safe_load(file.read_text(encoding="utf-8"))]
    loops = [task["loop"] for task in tasks if passed.option in str(task.get("loop", ""))]

    assert loops
    assert [loop for loop in loops if not re.search(r"range\(|map\(attribute=", loop)] == []
