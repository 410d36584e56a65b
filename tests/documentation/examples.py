# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks that a module shows as its examples, and what AnsibleModule would say about each of them."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ModuleArgumentSpecValidator

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COLLECTION = "stowage.ftp_backup"
Spec = dict[str, t.Any]
#: What stands for a value that only a run of Ansible knows.
_SOME = {"int": 1, "float": 1.0, "bool": True, "list": [], "dict": {}, "path": "/some/path"}


def list_tasks(
    tasks: Sequence[dict[str, t.Any]], defaults: Mapping[str, Spec] | None = None
) -> Iterator[tuple[str, str, Spec]]:
    """Yield the name, the module and the options of each task of ours in *tasks*, which may be plays or blocks."""
    for task in tasks:
        inherited = {**(defaults or {}), **task.get("module_defaults", {})}
        for inner in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from list_tasks(task.get(inner, []), inherited)
        for key, given in task.items():
            module = key.removeprefix(f"{COLLECTION}.")
            if module != key:
                yield task.get("name", ""), module, {**_defaults_of(module, inherited), **(given or {})}


def _defaults_of(module: str, defaults: Mapping[str, Spec]) -> Spec:
    groups = [f"group/{COLLECTION}.all"]
    if module not in {"destination", "destination_info", "agent"}:
        groups.append(f"group/{COLLECTION}.data")
    return {key: value for name in (*groups, f"{COLLECTION}.{module}") for key, value in defaults.get(name, {}).items()}


def judge(spec: Spec, given: Spec) -> list[str]:
    """Return what AnsibleModule, made with *spec*, would say about the options *given*."""
    rules = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
    options = spec["argument_spec"]
    validator = ModuleArgumentSpecValidator(options, **{rule: spec[rule] for rule in rules if rule in spec})
    result = validator.validate({name: _rendered(value, options.get(name, {})) for name, value in given.items()})
    return list(result.error_messages)


def _rendered(value: object, option: Spec) -> object:
    """Return *value* with something of the right type for each template in it."""
    if isinstance(value, str) and "{{" in value:
        return option["choices"][0] if "choices" in option else _SOME.get(option.get("type", "str"), "something")
    if isinstance(value, dict):
        inner = option.get("options", {})
        return {key: _rendered(item, inner.get(key, {})) for key, item in value.items()}
    if isinstance(value, list):
        element = {"type": option.get("elements", "str"), "options": option.get("options", {})}
        return [_rendered(item, element) for item in value]
    return value
