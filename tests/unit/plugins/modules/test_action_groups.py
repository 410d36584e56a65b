# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection tells Ansible beside its modules: which of them share options."""

from __future__ import annotations

import typing as t
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
