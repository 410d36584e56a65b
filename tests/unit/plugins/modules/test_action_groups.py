# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection tells Ansible beside its modules: which of them share options, and which files it brings."""

from __future__ import annotations

import re
import typing as t
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.plugins.modules.specs import MODULES, spec_of

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed, so no metadata could be read")

_ROOT = Path(__file__).resolve().parents[4]
_WITHOUT_A_DESTINATION = {"agent", "destination", "destination_info"}


def _read(path: str) -> dict[str, t.Any]:
    content: dict[str, t.Any] = yaml.safe_load(_ROOT.joinpath(path).read_text("utf-8"))
    return content


def test_all_modules_are_tested() -> None:
    assert sorted(MODULES) == sorted(path.stem for path in _ROOT.glob("plugins/modules/*.py"))


def test_every_module_stands_in_the_action_groups_whose_options_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = _read("meta/runtime.yml")["action_groups"]

    assert {name: sorted(modules) for name, modules in groups.items()} == {
        "all": sorted(MODULES),
        "data": sorted(set(MODULES) - _WITHOUT_A_DESTINATION),
        "watched": [name for name in sorted(MODULES) if "progress" in spec_of(name, monkeypatch)["argument_spec"]],
    }


def test_every_module_that_can_be_watched_has_an_action() -> None:
    watched = _read("meta/runtime.yml")["action_groups"]["watched"]

    assert sorted(path.stem for path in _ROOT.glob("plugins/action/*.py")) == watched


def test_what_a_playbook_names_beside_it_is_shipped_with_it() -> None:
    ignored = _read("galaxy.yml")["build_ignore"]
    named = {
        f"playbooks/{name}"
        for playbook in _ROOT.glob("playbooks/*.yml")
        for name in re.findall(r"[\w-]+/[\w/-]+\.ya?ml", playbook.read_text("utf-8"))
    }

    assert named
    for path in named:
        assert _ROOT.joinpath(path).is_file()
        parents = [str(parent) for parent in Path(path).parents]
        assert not [pattern for pattern in ignored for part in (path, *parents) if fnmatch(part, pattern)]
