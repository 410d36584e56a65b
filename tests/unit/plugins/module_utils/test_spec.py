# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options are checked without Ansible as Ansible checks them."""

from __future__ import annotations

import json
import typing as t
from importlib import import_module
from itertools import product

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.options import backup, destination, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.spec import Spec
from tests.unit.plugins.modules.specs import MODULES

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.spec import Option

    Values = dict[str, t.Any]

PACKAGE = "ansible_collections.stowage.ftp_backup.plugins.module_utils.options"
SECRET = "hunter2"
ODD_WORDS = [
    "",
    "x",
    "a,b",
    "a, b",
    ",",
    "None",
    "True",
    "ä",
    " 7 ",
    "yes",
    " OFF ",
    "t",
    "~/x",
    "$HOME/x",
    "${NOBODY_SET_IT}",
]
ODD_NUMBERS = ["5", "1.5", "5.0", "1e3", "1_000", "-0", "٣", "0x10", "NaN", "sNaN", "inf"]
ODD_VALUES: list[t.Any] = [None, True, False, 0, 1, -3, 1.0, 1.5, 0.0, 1e30, float("inf"), float("nan")]
ODD: list[t.Any] = [*ODD_WORDS, *ODD_NUMBERS, *ODD_VALUES]
CONTAINERS: list[t.Any] = [[], ["a", "b"], [None], [[]], {}, {"x": 1}]
GOOD: dict[str, list[t.Any]] = {
    "str": ["x", "web sites", "5", 5, True],
    "path": ["/srv", "~/x", "$HOME"],
    "int": [1, 7, "7", 3.0],
    "float": [1, 0.5, "7", "1e3"],
    "bool": [True, False, "no", 1, "Yes"],
}
#: With an option of each type, and each rule where a specification of ours lacks it.
MADE_UP = Spec(
    options={
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "size": {"type": "float", "default": 0.5},
        "kinds": {"type": "list", "elements": "str", "choices": ["a", "b"]},
        "ports": {"type": "list", "elements": "int"},
        "anything": {"type": "list"},
        "free": {"type": "dict"},
        "inner": {
            "type": "dict",
            "options": {
                "a": {"type": "bool"},
                "b": {"type": "int"},
                "deep": {
                    "type": "list",
                    "elements": "dict",
                    "options": {"c": {"type": "str", "required": True}, "d": {"type": "str", "no_log": True}},
                },
            },
            "required_if": [("a", True, ["b"])],
            "required_one_of": [("a", "deep")],
        },
    },
    required_if=[("state", "absent", ["size", "kinds"], True), ("size", 1.0, ("ports", "free"))],
    required_one_of=[("kinds", "ports", "inner")],
    mutually_exclusive=[("kinds", "ports"), ("free", "anything")],
    required_by={"free": ["inner"]},
)


def spec_of(module: str) -> Spec:
    # What installs the command, and what asks it for its jobs, stands above it, and so above the options that it takes.
    above = module in {"agent", "job_info"}
    name = f"{PACKAGE.rpartition('.')[0]}.{module}_options" if above else f"{PACKAGE}.{module}"
    spec: Spec = import_module(name).SPEC
    return spec


SPECS = {**{module: spec_of(module) for module in MODULES}, "made up": MADE_UP}


@st.composite
def some(draw: st.DrawFn, option: Option) -> t.Any:  # noqa: ANN401 - an option's value can be anything
    """Return a value for *option*, which fits more often than not."""
    kind = option["type"]
    if draw(st.integers(0, 24)) == 0:
        return draw(st.sampled_from(ODD if kind in ("str", "path") else ODD + CONTAINERS))
    if kind == "list":
        element = {**option, "type": option.get("elements", "str")}
        return draw(st.lists(some(element), max_size=2))
    if kind == "dict":
        found = draw(some_of(Spec.of_suboptions(option)) if "options" in option else st.just({"x": [1, None]}))
        return json.dumps(found) if draw(st.integers(0, 9)) == 0 else found
    if option.get("no_log"):
        return SECRET
    return draw(st.sampled_from(option.get("choices", GOOD[kind])))


@st.composite
def some_of(draw: st.DrawFn, spec: Spec) -> Values:
    wanted = {draw(st.sampled_from(list(names))) for names in spec.required_one_of}
    for _name, _value, needed, *is_any in spec.required_if:
        wanted.update([draw(st.sampled_from(list(needed)))] if any(is_any) else needed)
    share = draw(st.sampled_from([0, 1, 3, 6]))
    given = {
        name: draw(some(option))
        for name, option in spec.options.items()
        if draw(st.integers(0, 19)) < (19 if option.get("required") or name in wanted else share)
    }
    return given | ({"no_such_option": 1} if draw(st.integers(0, 49)) == 0 else {})


def judged_by_ansible(spec: Spec, values: Values) -> Values | None:
    try:
        result = ArgumentSpecValidator(**spec.for_module()).validate(values)
    except (
        ArithmeticError,
        AttributeError,
        TypeError,
    ):  # it breaks at some values, such as a list of numbers for dicts
        return None
    return None if result.error_messages else dict(result.validated_parameters)


def judged_by_us(spec: Spec, values: Values) -> Values | None:
    try:
        return spec.checked(values)
    except UsageError:
        return None


def typed(value: object) -> object:
    """Return *value* so that what is only equal, such as 1 and True, or is never, such as NaN, can be compared."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("name", SPECS)
def test_what_ansible_takes_is_taken_and_means_the_same(name: str) -> None:
    spec, taken = SPECS[name], []

    @given(some_of(spec))
    @settings(max_examples=200)
    def compare(values: Values) -> None:
        before = typed(values)
        by_ansible = judged_by_ansible(spec, values)
        taken.append(by_ansible is not None)
        assert typed(judged_by_us(spec, values)) == typed(by_ansible)
        assert typed(values) == before

    compare()
    assert len(taken) / 20 < sum(taken) < len(taken), "the values are too odd, or not odd enough"


@pytest.mark.parametrize("elements", [None, "str", "path", "int", "float", "bool", "dict"])
@pytest.mark.parametrize("value", [*ODD, *CONTAINERS], ids=repr)
def test_each_odd_value_is_taken_or_refused_as_by_ansible(elements: str | None, value: object) -> None:
    ways: list[tuple[Values, object]] = [
        ({"type": "list", "elements": elements} if elements else {"type": "list"}, value)
    ]
    if elements is not None and not (elements in ("str", "path") and isinstance(value, (dict, list))):
        ways.append(({"type": elements}, value))
        ways.append(({"type": "list", "elements": elements}, [value]))

    for option, given_value in ways:
        if elements in ("str", "path") and isinstance(given_value, list) and [] in given_value:
            continue  # no text: see below
        for variant in ({}, {"required": True}, {"default": 1}):
            spec = Spec(options={"x": {**option, **variant}})
            values = {"x": given_value}
            assert typed(judged_by_us(spec, values)) == typed(judged_by_ansible(spec, values)), (spec, values)


@pytest.mark.parametrize(
    "rules",
    [
        {"mutually_exclusive": [("a", "b")]},
        {"required_one_of": [("a", "b"), ("b", "c")]},
        {"required_if": [("a", "x", ["b", "c"])]},
        {"required_if": [("a", "x", ["b", "c"], True), ("b", None, ["c"])]},
        {"required_by": {"a": ["b", "c"]}},
    ],
    ids=repr,
)
def test_rules_ask_for_what_is_missing_or_null_as_with_ansible(rules: dict[str, t.Any]) -> None:
    spec = Spec(options={name: {"type": "str"} for name in "abc"}, **rules)
    judgements = set()

    for chosen in product(["left out", None, "x", "y"], repeat=3):
        values = {name: value for name, value in zip("abc", chosen) if value != "left out"}
        by_ansible = judged_by_ansible(spec, values)
        assert judged_by_us(spec, values) == by_ansible, values
        judgements.add(by_ansible is None)

    assert judgements == {True, False}


@pytest.mark.parametrize("value", CONTAINERS, ids=repr)
@pytest.mark.parametrize("kind", ["str", "path"])
def test_what_is_no_text_is_not_taken_for_it(kind: str, value: object) -> None:
    assert judged_by_us(Spec(options={"x": {"type": kind}}), {"x": value}) is None
    assert judged_by_us(Spec(options={"x": {"type": "list", "elements": kind}}), {"x": [value]}) is None


@pytest.mark.parametrize("value", ["a=b", "{'a': 'b'}"])
def test_a_mapping_is_read_from_no_other_text_than_json(value: str) -> None:
    assert judged_by_us(Spec(options={"x": {"type": "dict"}}), {"x": value}) is None


@pytest.mark.parametrize("value", ["1e100", "1e999999999", "9" * 101, 1e300])
def test_a_number_that_would_fill_the_memory_is_refused_at_once(value: object) -> None:
    assert judged_by_us(Spec(options={"x": {"type": "int"}}), {"x": value}) is None


def test_what_is_made_of_a_specification_is_not_shared_with_it() -> None:
    spec = Spec(options={"x": {"type": "list", "default": []}})

    spec.for_module()["argument_spec"]["x"]["default"].append("y")
    spec.checked({})["x"].append("y")
    assert spec.checked({}) == {"x": []}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"destination": "d"}, "The option job is missing; it takes text."),
        ({"destination": "d", "job": "j"}, "One of the options paths or databases is needed."),
        (
            {"destination": "d", "job": "j", "databases": [{}]},
            "The option databases[0].type is missing; it can be mysql, postgresql, sqlite.",
        ),
        (
            {"destination": "d", "job": "j", "databases": [{"type": "mysql"}, {"type": "sqlite"}]},
            "With databases[1].type=sqlite, give databases[1].path, too.",
        ),
        (
            {"destination": "d", "job": "j", "databases": [{"type": "oracle"}]},
            "The option databases[0].type can be mysql, postgresql, sqlite, and not 'oracle'.",
        ),
        (
            {"destination": "d", "job": "j", "paths": ["/"], "retention": {"last": "many"}},
            "The option retention.last takes a whole number, and not 'many'.",
        ),
        (
            {"destination": "d", "job": "j", "paths": ["/"], "force": 2},
            "The option force takes true or false, and not 2.",
        ),
        (
            {"destination": "d", "job": "j", "paths": ["/"], "structure": None},
            "The option structure can be incremental, full, deduplicated, and not null.",
        ),
        (
            {"destination": "d", "job": "j", "databases": [{"type": "mysql", "host": "h", "socket": "/s"}]},
            "The options databases[0].host and databases[0].socket cannot be given together.",
        ),
        ({"destination": "d", "job": "j", "paths": {"a": 1}}, "The option paths takes a list, and not what was given."),
        (
            {"destination": "d", "job": "j", "paths": ["/", ["a"]]},
            "The option paths[1] takes a path, and not what was given.",
        ),
        (
            {"destination": "d", "job": "j", "databases": [{"type": "x" * 100}]},
            f"The option databases[0].type can be mysql, postgresql, sqlite, and not '{'x' * 56}....",
        ),
    ],
)
def test_what_is_wrong_is_told_by_the_name_of_the_option(values: Values, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        backup.SPEC.checked(values)

    assert str(caught.value) == sentence


def test_an_option_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(UsageError) as caught:
        backup.SPEC.checked({"destination": "d", "job": "j", "paths": ["/"], "retention": {"first": 1}})

    assert str(caught.value) == (
        "There is no option retention.first; there are: daily, hourly, last, monthly, weekly, within, yearly."
    )


@pytest.mark.parametrize(
    ("spec", "values", "sentence"),
    [
        (
            restore.SPEC,
            {"destination": "d", "account": "bob", "rebuild": "cpmove"},
            "With rebuild, give target, too.",
        ),
        (
            restore.SPEC,
            {"destination": "d", "job": "j", "parts": [{"into": "shop"}]},
            "With parts[0].into, give parts[0].name, too.",
        ),
        (destination.SPEC, {"name": "n"}, "With state=present, give host and username, too."),
        (
            destination.SPEC,
            {"name": "n", "host": "h", "username": "u"},
            "With state=present, give password or password_file, too.",
        ),
    ],
)
def test_what_is_needed_by_another_option_is_told(spec: Spec, values: Values, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.checked(values)

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("databases", "sentence"),
    [
        (
            [{"type": "mysql", "password": {"x": SECRET}}],
            "The option databases[0].password takes text, and not what was given.",
        ),
        ([f"password={SECRET}"], "The option databases[0] takes options of its own, and not what was given."),
        (SECRET, "The option databases[0] takes options of its own, and not what was given."),
        ({"password": SECRET}, "The option databases takes a list, and not what was given."),
    ],
)
def test_a_secret_is_in_no_sentence(databases: object, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        backup.SPEC.checked({"destination": "d", "job": "j", "databases": databases})

    assert str(caught.value) == sentence


def test_a_secret_with_choices_is_in_no_sentence() -> None:
    spec = Spec(options={"pin": {"type": "str", "choices": ["a"], "no_log": True}})

    with pytest.raises(UsageError) as caught:
        spec.checked({"pin": SECRET})

    assert str(caught.value) == "The option pin can be a, and not what was given."
