# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module returned, held against what its RETURN says: no key less, none more, each of its type and form."""

from __future__ import annotations

import ast
import re
import typing as t
from functools import cache
from pathlib import Path

import yaml

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Documentation = Mapping[str, dict[str, t.Any]]

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
# What Ansible itself adds to a result, whatever the module.
ANSIBLES_OWN = frozenset(
    ("changed", "failed", "msg", "diff", "warnings", "deprecations", "invocation", "exception", "censored")
)
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
_REFERENCE = re.compile(r"the keys of RV\(stowage\.ftp_backup\.(?P<module>\w+)#module:(?P<key>\w+)\)")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_FINE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z|@-?\d+")
_TIMES = ("created", "ended", "started", "verified_at")
_COUNTED_IN_BYTES = re.compile(r"bytes|bytes_.*|.*_bytes")
_SPANS = ("duration", "age", "timeout")


@cache
def documentation_of(module: str) -> Documentation:
    """Return what RETURN of the *module* says, with all keys that it shares with others in their places."""
    return {key: _resolved(value) for key, value in _written(module).items()}


@cache
def _written(module: str) -> Documentation:
    tree = ast.parse(MODULES.joinpath(f"{module}.py").read_text("utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "RETURN":
            return t.cast("Documentation", yaml.safe_load(ast.literal_eval(statement.value)))
    raise AssertionError(f"The module {module} has no RETURN.")


def _resolved(value: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the documentation of one *value*, with the keys of another one that it refers to."""
    contains = dict(value.get("contains", {}))
    reference = _REFERENCE.search(text_of(value))
    if reference is not None:
        contains = {**_written(reference["module"])[reference["key"]]["contains"], **contains}
    resolved = {key: _resolved(below) for key, below in contains.items()}
    return {**value, "contains": resolved} if resolved else value


def text_of(value: Mapping[str, t.Any]) -> str:
    """Return the description of a value, and when it is returned, as one text."""
    description = value["description"]
    sentences = description if isinstance(description, list) else [description]
    return " ".join([*sentences, str(value.get("returned", ""))])


def assert_documented(module: str, values: Mapping[str, t.Any]) -> None:
    """Show that *values*, which is the result of *module* as Ansible has it, is as the documentation says."""
    complaints = list(complaints_of(documentation_of(module), values))
    assert not complaints, f"{module} does not return what it documents: {'; '.join(complaints)}"


def complaints_of(documented: Documentation, values: Mapping[str, t.Any]) -> Iterator[str]:
    """Yield what is wrong with *values*, the result of a module of which this is *documented*."""
    own = {key: value for key, value in values.items() if key not in ANSIBLES_OWN and not _is_ansibles(key)}
    is_failure = bool(values.get("failed", False))
    if is_failure and "failure" not in own:
        if own:
            yield f"it failed without a failure and with {', '.join(own)}"
        return  # Ansible itself has refused the options
    yield from _of_keys(documented, own, "", is_failure=is_failure)


def _is_ansibles(key: str) -> bool:
    return key.startswith(("_ansible_", "ansible_"))


def _of_keys(documented: Documentation, values: Mapping[str, t.Any], place: str, *, is_failure: bool) -> Iterator[str]:
    for key in values.keys() - documented.keys():
        yield f"{place}{key} is not documented"
    for key, value in documented.items():
        if key in values:
            if not _may_be_there(value["returned"], is_failure=is_failure):
                yield f"{place}{key} is there in a {'failure' if is_failure else 'success'}"
            yield from of_value(value, values[key], f"{place}{key}")
        elif _must_be_there(value["returned"], is_failure=is_failure):
            yield f"{place}{key} is missing"


def _must_be_there(returned: str, *, is_failure: bool) -> bool:
    if returned == "failure":
        return is_failure
    if returned.startswith("success"):
        return not is_failure and (returned == "success" or returned.startswith("success, and"))
    return returned == "always" or returned.startswith("always,")


def _may_be_there(returned: str, *, is_failure: bool) -> bool:
    if returned == "failure":
        return is_failure
    return not (is_failure and returned == "success")


def of_value(documented: Mapping[str, t.Any], value: object, place: str) -> Iterator[str]:
    """Yield what is wrong with *value*, of which this is *documented*."""
    if value is None:
        if "V(null)" not in text_of(documented):
            yield f"{place} is null, which is not documented"
        return
    kind = documented["type"]
    if not _is_a(value, _TYPES[kind]):
        yield f"{place} is no {kind}: {value!r}"
    elif isinstance(value, dict):
        if "contains" in documented:
            yield from _of_keys(documented["contains"], value, f"{place}.", is_failure=False)
    elif isinstance(value, list):
        for item in value:
            yield from of_value({**documented, "type": documented["elements"]}, item, f"{place}[]")
    else:
        yield from _of_form(documented, value, place)


def _is_a(value: object, *kinds: type) -> bool:
    """Tell whether *value* is of one of *kinds*; true and false are no numbers."""
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _of_form(documented: Mapping[str, t.Any], value: object, place: str) -> Iterator[str]:
    """Yield what is wrong with the form of a time, a size or a time span."""
    name = place.rpartition(".")[2].removesuffix("[]")
    text = text_of(documented)
    if name in _TIMES or ("UTC" in text and name != "mtime"):
        if not (isinstance(value, str) and _TIME.fullmatch(value)):
            yield f"{place} is no time in ISO 8601 and UTC: {value!r}"
    elif name == "mtime":
        if not (isinstance(value, str) and _FINE_TIME.fullmatch(value)):
            yield f"{place} is no time of a file: {value!r}"
    elif _COUNTED_IN_BYTES.fullmatch(name):
        if not (_is_a(value, int) and t.cast("int", value) >= 0):
            yield f"{place} is no number of bytes: {value!r}"
    elif name in _SPANS:
        if not (_is_a(value, int, float) and t.cast("float", value) >= 0):
            yield f"{place} is no number of seconds: {value!r}"
        if "second" not in text:
            yield f"{place} is not documented as a number of seconds"
