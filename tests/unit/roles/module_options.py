# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options of a module stand in the argument specs of a role, and how they are described there.

Usage, in the top directory: python -m tests.unit.roles.module_options

It writes the options anew into the roles' `meta/argument_specs.yml`, after those of a module have changed. What a role
has besides is left as it is.
"""

from __future__ import annotations

import ast
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

ROLES = Path("roles")
PLUGINS = Path("plugins")

#: The options that a role says once for all.
SAID_ONCE = ("config_directory", "state_directory")

#: The options, of whatever module, that no output may show.
SECRET = ("password",)


@dataclass(frozen=True)
class Passed:
    """One option of a role that is a list of what a module takes."""

    role: str
    option: str
    module: str
    #: The options of an element that are the role's own.
    own: tuple[str, ...] = ()


PASSED = (
    Passed("destination", "destination_destinations", "destination", own=("ca_certificate",)),
    Passed("backup", "backup_jobs", "backup"),
    Passed("restore", "restore_wishes", "restore"),
)


def spec_file(role: str) -> Path:
    return ROLES / role / "meta" / "argument_specs.yml"


def options_of_module(name: str, without: tuple[str, ...] = SAID_ONCE) -> dict[str, dict[str, t.Any]]:
    """Return the options that the module called *name* documents, *without* those that a role says once."""
    documentation = _documentation(PLUGINS / "modules" / f"{name}.py")
    options: dict[str, dict[str, t.Any]] = {}
    for fragment in documentation["extends_documentation_fragment"]:
        options.update(_documentation(PLUGINS / "doc_fragments" / f"{fragment.split('.')[2]}.py")["options"])
    options.update(documentation["options"])
    return {option: values for option, values in options.items() if option not in without}


def _documentation(file: Path) -> dict[str, t.Any]:
    """Return what the one assignment to DOCUMENTATION in *file* says."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            found: dict[str, t.Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise LookupError(file)


def options_for_role(passed: Passed) -> dict[str, dict[str, t.Any]]:
    """Return the options of the module as the argument specs of the role have them."""
    return _all_for_role(passed, options_of_module(passed.module))


def _all_for_role(passed: Passed, options: dict[str, dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    return {
        name: {**_for_role(passed, values), **({"no_log": True} if name in SECRET else {})}
        for name, values in options.items()
    }


def _for_role(passed: Passed, values: dict[str, t.Any]) -> dict[str, t.Any]:
    changed = {key: value for key, value in values.items() if key not in {"suboptions", "version_added"}}
    changed["description"] = [_referring(passed, line) for line in values["description"]]
    if "suboptions" in values:
        changed["options"] = _all_for_role(passed, values["suboptions"])
    return changed


def _referring(passed: Passed, line: str) -> str:
    """Return *line* with its references to options and results leading where these are, seen from the role."""
    line = re.sub(
        r"\bO\(([^)#]+)\)",
        lambda found: f"O({passed.role}_{found[1]})" if found[1] in SAID_ONCE else f"O({passed.option}[].{found[1]})",
        line,
    )
    return re.sub(r"\bRV\(([^)#]+)\)", rf"RV(stowage.ftp_backup.{passed.module}#module:\1)", line)


class _Dumper(yaml.SafeDumper):
    """Writes lists indented, and says everything anew instead of referring to it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as it is called
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as it is called
        return True


def write(passed: Passed) -> None:
    """Bring the options of the module into the argument specs of the role."""
    file = spec_file(passed.role)
    specs = yaml.safe_load(file.read_text(encoding="utf-8"))
    option = specs["argument_specs"]["main"]["options"][passed.option]
    own = {name: option.get("options", {})[name] for name in passed.own}
    option["options"] = {**options_for_role(passed), **own}
    text = yaml.dump(specs, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    file.write_text(f"---\n{text}", encoding="utf-8")


if __name__ == "__main__":
    for wanted in PASSED:
        write(wanted)
