# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds results against their documentation finds what it is for; and the documentation is whole and in step."""

from __future__ import annotations

import importlib
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import BackupError

from .documented import MODULES, complaints_of, documentation_of, of_value, text_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    Values = dict[str, t.Any]

PACKAGE = "ansible_collections.stowage.ftp_backup.plugins.module_utils"
NAMES = sorted(path.stem for path in MODULES.glob("*.py"))
COMMON = ("destination", "bytes_sent", "bytes_received", "duration")
ABOUT_ONE_DESTINATION = [name for name in NAMES if name not in ("agent", "job_info")]
OF_NO_ERROR = {"stopped", "killed"}  # a signal is none
NEVER_TOLD = {"backup"}  # the kind of the one base, of which nothing is raised


def _leaf(kind: str, returned: str = "always", description: str = "It.", **more: object) -> Values:
    return {"type": kind, "returned": returned, "description": description, **more}


DOCUMENTED: Values = {
    "point": _leaf(
        "dict",
        "success, and failure of kind V(partial)",
        contains={
            "id": _leaf("str"),
            "bytes": _leaf("int"),
            "created": _leaf("str"),
            "account": _leaf("str", description="It, or V(null)."),
            "names": _leaf("list", elements="str"),
            "problems": _leaf("list", elements="dict", contains={"path": _leaf("str")}),
        },
    ),
    "duration": _leaf("float", "success", "How many seconds."),
    "server": _leaf("dict", "when it was asked", contains={"quota": _leaf("dict", "when it tells", contains={})}),
    "failure": _leaf("dict", "failure", contains={"kind": _leaf("str"), "code": _leaf("int", "when it said one")}),
}
POINT: Values = {
    "id": "x",
    "bytes": 0,
    "created": "2026-11-22T03:00:00Z",
    "account": None,
    "names": ["x"],
    "problems": [{"path": "/a"}],
}
SUCCESS: Values = {"changed": True, "point": POINT, "duration": 0.1, "invocation": {}, "_ansible_no_log": False}
FAILURE: Values = {"failed": True, "msg": "No.", "failure": {"kind": "usage"}}


@pytest.mark.parametrize(
    "values",
    [
        SUCCESS,
        FAILURE,
        {**FAILURE, "point": POINT},
        {"failed": True, "msg": "missing required arguments: job"},
        {**SUCCESS, "server": {}, "warnings": ["x"], "diff": {"before": {}, "after": {}}},
    ],
)
def test_a_result_as_it_is_documented_passes(values: Values) -> None:
    assert list(complaints_of(DOCUMENTED, values)) == []


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({**SUCCESS, "colour": "red"}, "colour is not documented"),
        ({**SUCCESS, "point": {**POINT, "colour": "red"}}, "point.colour is not documented"),
        ({**SUCCESS, "point": {**POINT, "problems": [{"path": "/", "why": "x"}]}}, "point.problems[].why is not docu"),
        ({"changed": True, "point": POINT}, "duration is missing"),
        ({"changed": True, "duration": 0.1}, "point is missing"),
        ({**SUCCESS, "point": {key: POINT[key] for key in POINT if key != "id"}}, "point.id is missing"),
        ({**SUCCESS, "point": {**POINT, "problems": [{}]}}, "point.problems[].path is missing"),
        ({**SUCCESS, "duration": 1}, "duration is no float"),
        ({**SUCCESS, "duration": -0.1}, "duration is no number of seconds"),
        ({**SUCCESS, "point": {**POINT, "bytes": 1.0}}, "point.bytes is no int"),
        ({**SUCCESS, "point": {**POINT, "bytes": True}}, "point.bytes is no int"),
        ({**SUCCESS, "point": {**POINT, "bytes": -1}}, "point.bytes is no number of bytes"),
        ({**SUCCESS, "point": {**POINT, "id": None}}, "point.id is null"),
        ({**SUCCESS, "point": {**POINT, "id": 3}}, "point.id is no str"),
        ({**SUCCESS, "point": {**POINT, "names": [3]}}, "point.names[] is no str"),
        ({**SUCCESS, "point": {**POINT, "problems": {}}}, "point.problems is no list"),
        ({**SUCCESS, "point": {**POINT, "created": "2026-11-22 03:00:00"}}, "point.created is no time"),
        ({**SUCCESS, "point": {**POINT, "created": "2026-11-22T03:00:00+01:00"}}, "point.created is no time"),
        ({**SUCCESS, "failure": {"kind": "usage"}}, "failure is there in a success"),
        ({**FAILURE, "duration": 0.1}, "duration is there in a failure"),
        ({**FAILURE, "failure": {}}, "failure.kind is missing"),
        ({**FAILURE, "failure": {"kind": "login", "code": "530"}}, "failure.code is no int"),
        ({"failed": True, "msg": "No.", "point": POINT}, "it failed without a failure"),
    ],
)
def test_a_result_that_is_not_as_it_is_documented_is_found(values: Values, complaint: str) -> None:
    assert [told for told in complaints_of(DOCUMENTED, values) if told.startswith(complaint)], values


# -- the documentation itself


def _everything(documented: Values, place: str = "") -> Iterator[tuple[str, Values]]:
    """Yield every value that is documented, with its place."""
    for key, value in documented.items():
        yield f"{place}{key}", value
        yield from _everything(value.get("contains", {}), f"{place}{key}.")


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_type_and_a_sample_of_it(name: str) -> None:
    for place, value in _everything(dict(documentation_of(name))):
        described = value["description"]
        assert all(line.endswith(".") for line in ([described] if isinstance(described, str) else described)), place
        assert {"type", "returned"} <= value.keys(), place
        assert ("elements" in value) == (value["type"] == "list"), place
        is_open = "by their names" in text_of(value)
        if "dict" in (value["type"], value.get("elements")) and not is_open:
            assert value["contains"], place
        else:
            assert "sample" in value, place
        if "sample" in value and value["sample"] is not None:
            assert list(of_value(value, value["sample"], place)) == []


@pytest.mark.parametrize("name", ABOUT_ONE_DESTINATION)
def test_every_module_that_has_to_do_with_destinations_tells_the_same_of_its_run(name: str) -> None:
    pattern, documented = documentation_of("reindex"), documentation_of(name)
    for key in COMMON:
        assert (documented[key]["type"], documented[key]["returned"].startswith("success")) == (
            pattern[key]["type"],
            True,
        )
        assert text_of({**pattern[key], "returned": ""}).strip() in text_of(documented[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_every_failure_has_the_same_keys(name: str) -> None:
    failure = documentation_of(name)["failure"]

    assert failure["returned"] == "failure"
    assert failure["contains"] == documentation_of("backup")["failure"]["contains"]


def test_what_has_one_name_is_the_same_kind_of_thing_in_all_modules() -> None:
    types: dict[str, dict[str, str]] = {}
    for name in NAMES:
        for place, value in _everything(dict(documentation_of(name))):
            kind = f"{value['type']} of {value['elements']}" if value["type"] == "list" else value["type"]
            types.setdefault(place.rpartition(".")[2], {}).setdefault(kind, f"{name}: {place}")

    assert {key: places for key, places in types.items() if len(places) > 1} == {}


def test_a_restore_point_has_the_same_keys_wherever_it_is_told_of() -> None:
    pattern = documentation_of("backup")["point"]["contains"]
    others = [
        *(documentation_of(name)["point"] for name in ("restore", "restore_point")),
        documentation_of("backup_info")["points"],
    ]

    for other in others:
        assert pattern.items() <= other["contains"].items()


def _kinds() -> set[str]:
    """Return the kinds of all errors that there are in what modules are made of."""
    below = MODULES.with_name("module_utils")
    for path in below.rglob("*.py"):
        name = ".".join(path.relative_to(below).with_suffix("").parts)
        importlib.import_module(f"{PACKAGE}.{name}")
    kinds, classes = set(), [BackupError]
    while classes:
        error = classes.pop()
        kinds.add(error.kind)
        classes += error.__subclasses__()
    return (kinds | OF_NO_ERROR) - NEVER_TOLD


def test_every_kind_of_failure_is_documented_and_none_that_there_is_not() -> None:
    described = documentation_of("backup")["failure"]["contains"]["kind"]["description"]
    told = [line.split("V(")[1].split(")")[0] for line in described if line.startswith("V(")]

    assert len(told) == len(set(told))
    assert set(told) == _kinds()


def test_the_page_has_every_kind_of_failure_and_what_every_run_tells() -> None:
    page = MODULES.parents[1].joinpath("docs", "return_values.md").read_text("utf-8")
    rows = [line.split("|")[1].strip().strip("`") for line in page.splitlines() if line.startswith("| `")]

    assert {*COMMON, *_kinds()} <= set(rows)
    assert len(rows) == len(set(rows))
