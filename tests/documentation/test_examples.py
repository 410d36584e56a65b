# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of every module are tasks that Ansible takes, with options that the module takes."""

from __future__ import annotations

import os
import subprocess
import typing as t

import pytest
import yaml

from tests.documentation.examples import judge, list_tasks
from tests.documentation.hosts import ROOT
from tests.documentation.pages import is_play
from tests.unit.plugins.modules.specs import MODULES, imported, spec_of

if t.TYPE_CHECKING:
    from pathlib import Path

SPEC: dict[str, t.Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "count": {"type": "int"},
        "state": {"type": "str", "choices": ["present", "absent"]},
        "parts": {"type": "list", "elements": "dict", "options": {"kind": {"type": "str", "required": True}}},
    },
    "mutually_exclusive": [("count", "parts")],
    "supports_check_mode": True,
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_the_options_of_its_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = list(list_tasks(yaml.safe_load(imported(name).EXAMPLES)))
    specs = {module: spec_of(module, monkeypatch) for module in {module for _task, module, _given in tasks}}

    refused = {task: judge(specs[module], given) for task, module, given in tasks if judge(specs[module], given)}

    assert name in specs
    assert refused == {}


def test_ansible_takes_the_examples_of_all_modules(tmp_path: Path) -> None:
    plays = []
    for name in MODULES:
        examples = yaml.safe_load(imported(name).EXAMPLES)
        whole = [item for item in examples if is_play(item)]
        plays += whole or [{"name": name, "hosts": "localhost", "tasks": examples}]
    playbook = tmp_path / "examples.yml"
    playbook.write_text(yaml.safe_dump(plays, sort_keys=False))

    ended = subprocess.run(
        ["ansible-playbook", "--syntax-check", str(playbook)],
        env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"name": "a", "count": "{{ number }}", "state": "{{ state }}"}, "", id="right"),
        pytest.param({"name": "a", "parts": [{"kind": "{{ kind }}"}]}, "", id="right-inside"),
        pytest.param({}, "missing required arguments: name", id="missing"),
        pytest.param({"name": "a", "names": "b"}, "names", id="unknown"),
        pytest.param({"name": "a", "count": "many"}, "cannot be converted to an int", id="another-type"),
        pytest.param({"name": "a", "state": "gone"}, "value of state must be one of", id="no-choice"),
        pytest.param({"name": "a", "count": 1, "parts": []}, "mutually exclusive", id="against-a-rule"),
        pytest.param({"name": "a", "parts": [{}]}, "missing required arguments: kind", id="missing-inside"),
    ],
)
def test_an_example_that_is_wrong_is_refused(given: dict[str, object], words: str) -> None:
    said = " ".join(judge(SPEC, given))

    assert words in said
    assert bool(said) == bool(words)


def test_tasks_are_found_wherever_they_stand_with_what_they_inherit() -> None:
    play = {
        "hosts": "all",
        "module_defaults": {"group/stowage.ftp_backup.data": {"destination": "storage"}},
        "tasks": [
            {"name": "one", "block": [{"name": "two", "stowage.ftp_backup.verify": {"job": "a"}}]},
            {"name": "three", "stowage.ftp_backup.destination_info": None},
            {"name": "four", "ansible.builtin.ping": None},
        ],
    }

    assert list(list_tasks([play])) == [
        ("two", "verify", {"destination": "storage", "job": "a"}),
        ("three", "destination_info", {}),
    ]
