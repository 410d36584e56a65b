# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module documents and what it asks of AnsibleModule are the same."""

from __future__ import annotations

import importlib
import typing as t

import pytest

from tests.unit.plugins.modules.specs import MODULES, imported, spec_of

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed, so no documentation could be read")

_SAME = ("type", "elements", "choices", "default", "required")


def _documented(name: str) -> dict[str, t.Any]:
    """Return the module's documentation with the options of its fragments."""
    documentation: dict[str, t.Any] = yaml.safe_load(imported(name).DOCUMENTATION)
    options: dict[str, t.Any] = {}
    for fragment in documentation.get("extends_documentation_fragment", []):
        _namespace, _collection, file, *section = fragment.split(".")
        path = f"ansible_collections.stowage.ftp_backup.plugins.doc_fragments.{file}"
        text = getattr(importlib.import_module(path).ModuleDocFragment, (section or ["documentation"])[0].upper())
        options.update(yaml.safe_load(text).get("options", {}))
    return {**documentation, "options": {**options, **documentation.get("options", {})}}


def _compared(options: dict[str, dict[str, t.Any]], suboptions: str) -> dict[str, dict[str, t.Any]]:
    """Return of each option what documentation and specification have in common."""
    return {
        name: {
            **{key: option[key] for key in _SAME if key in option and not (key == "required" and not option[key])},
            **({"options": _compared(option[suboptions], suboptions)} if suboptions in option else {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_types_choices_and_defaults_are_documented_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = _compared(_documented(name)["options"], "suboptions")

    assert documented == _compared(spec_of(name, monkeypatch)["argument_spec"], "options")


@pytest.mark.parametrize("name", MODULES)
def test_every_option_is_described_in_sentences(name: str) -> None:
    for option in _documented(name)["options"].values():
        for option_or_sub in (option, *option.get("suboptions", {}).values()):
            assert all(line.endswith(".") for line in option_or_sub["description"])


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_options_that_there_are(name: str) -> None:
    options = _documented(name)["options"]
    tasks = yaml.safe_load(imported(name).EXAMPLES)
    used = [task[f"stowage.ftp_backup.{name}"] or {} for task in tasks if f"stowage.ftp_backup.{name}" in task]

    assert used
    for arguments in used:
        assert arguments.keys() <= options.keys()


@pytest.mark.parametrize("name", MODULES)
def test_everything_returned_is_described(name: str) -> None:
    def check(values: dict[str, t.Any]) -> None:
        for value in values.values():
            assert {"description", "returned", "type"} <= value.keys()
            check(value.get("contains", {}))

    check(yaml.safe_load(imported(name).RETURN))
