# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options something takes: told to AnsibleModule, or checked as it would where it is not at hand.

A specification is written as AnsibleModule takes it. Where options stand in a file on the host, :meth:`Spec.checked`
takes and refuses the same values as AnsibleModule, and makes the same parameters of them. It refuses a little more:

- a list or a mapping where text is wanted, of which AnsibleModule makes text such as ``['a']``;
- text such as ``a=b`` where a mapping is wanted, other than JSON;
- whole numbers of more than a hundred digits, and infinite ones, at which AnsibleModule breaks.
"""

from __future__ import annotations

import json
import os
import typing as t
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal

from .errors import UsageError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    #: One option, as AnsibleModule's ``argument_spec`` has it.
    Option = Mapping[str, t.Any]

_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})
_RULES = ("required_if", "required_one_of", "mutually_exclusive", "required_by")
_DIGITS = 100  # a few bytes of text can name a number that fills all memory
_SHOWN = 60  # characters of a value in a sentence


@dataclass(frozen=True)
class Spec:
    """The options by their names, and the rules between them, which mean what they mean to AnsibleModule."""

    options: Mapping[str, Option]
    required_if: Sequence[Sequence[t.Any]] = ()
    required_one_of: Sequence[Sequence[str]] = ()
    mutually_exclusive: Sequence[Sequence[str]] = ()
    required_by: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def for_module(self, more: Mapping[str, Option] | None = None) -> dict[str, t.Any]:
        """Return it as arguments of AnsibleModule, which may change them; *more* are options of the module alone."""
        options = {**self.options, **(more or {})}
        return deepcopy({"argument_spec": options, **{rule: getattr(self, rule) for rule in _RULES}})

    def checked(self, values: Mapping[str, object]) -> dict[str, t.Any]:
        """Return all options with their values or defaults, each of its type.

        Raise UsageError with the first that cannot be as it is, and what it should be; a secret is in no sentence.
        """
        return _checked(self, values, "")

    @classmethod
    def of_suboptions(cls, option: Option) -> Spec:
        """Return what an option takes that is a mapping, or a list of them."""
        return cls(option["options"], **{rule: option[rule] for rule in _RULES if rule in option})


def _checked(spec: Spec, values: Mapping[str, object], above: str) -> dict[str, t.Any]:
    """Return what *values* come to; *above* is where they lie, such as ``databases[0].``."""
    unknown = sorted(str(name) for name in values if name not in spec.options)
    if unknown:
        known = ", ".join(sorted(spec.options))
        raise UsageError(f"There is no option {_shortened(above + unknown[0])}; there are: {known}.")
    _require_alone(spec, values, above)

    params = dict(values)
    for name, option in spec.options.items():
        if name not in params and option.get("default") is not None:
            params[name] = deepcopy(option["default"])
        if name in params:
            params[name] = _converted(params[name], option, above + name)
        elif option.get("required"):
            raise UsageError(f"The option {above}{name} is missing; it {_expectation(option)}.")
    _require_company(spec, params, above)

    return {name: _with_suboptions(params.get(name), option, above + name) for name, option in spec.options.items()}


def _with_suboptions(value: t.Any, option: Option, path: str) -> t.Any:  # noqa: ANN401 - an option's value can be anything
    if value is None or "options" not in option:
        return value
    inner = Spec.of_suboptions(option)
    if isinstance(value, list):
        return [_checked(inner, element, f"{path}[{number}].") for number, element in enumerate(value)]
    return _checked(inner, value, f"{path}.")


# -- the rules between options: one that is null was given, but for required_by


def _require_alone(spec: Spec, values: Mapping[str, object], above: str) -> None:
    for names in spec.mutually_exclusive:
        given = [name for name in names if name in values]
        if len(given) > 1:
            raise UsageError(f"The options {_listed(given, 'and', above)} cannot be given together.")


def _require_company(spec: Spec, params: Mapping[str, object], above: str) -> None:
    for names in spec.required_one_of:
        if not any(name in params for name in names):
            raise UsageError(f"One of the options {_listed(names, 'or', above)} is needed.")
    for name, value, needed, *is_any in spec.required_if:
        missing = [other for other in needed if other not in params]
        if name not in params or params[name] != value or not missing:
            continue
        if not any(is_any):
            raise UsageError(f"With {above}{name}={value}, give {_listed(missing, 'and', above)}, too.")
        if len(missing) == len(needed):
            raise UsageError(f"With {above}{name}={value}, give {_listed(missing, 'or', above)}, too.")
    for name, needed in spec.required_by.items():
        missing = [other for other in needed if params.get(other) is None]
        if params.get(name) is not None and missing:
            raise UsageError(f"With {above}{name}, give {_listed(missing, 'and', above)}, too.")


def _listed(names: Iterable[str], conjunction: str, above: str) -> str:
    *others, last = [above + name for name in names]
    return f"{', '.join(others)} {conjunction} {last}" if others else last


# -- one value


def _converted(value: object, option: Option, path: str) -> t.Any:  # noqa: ANN401 - the same
    """Return *value* as the type of *option* has it, and only if it is one of the choices, or holds only such."""
    converted = None
    if value is not None or option.get("required") or option.get("default") is not None:
        converted = _read(value, option, path)
    if "elements" in option and converted is not None:
        element = {**option, "type": option["elements"]}
        converted = [_read(one, element, f"{path}[{number}]") for number, one in enumerate(converted)]
    for one in converted if isinstance(converted, list) else [converted]:
        if "choices" in option and one not in option["choices"]:
            raise _refusal(None if value is None else one, option, path)
    return converted


def _read(value: object, option: Option, path: str) -> t.Any:  # noqa: ANN401 - the same
    try:
        return _TYPES[option["type"]].read(value)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise _refusal(value, option, path) from error


def _refusal(value: object, option: Option, path: str) -> UsageError:
    """Return what *value* is answered with; it is not shown where it is a secret, or may hold some."""
    is_shown = value is None or (isinstance(value, (str, int, float)) and "options" not in option)
    told = _shown(value) if is_shown and not option.get("no_log") else "what was given"
    return UsageError(f"The option {path} {_expectation(option)}, and not {told}.")


def _expectation(option: Option) -> str:
    if "choices" in option:
        return f"can be {', '.join(map(str, option['choices']))}"
    return f"takes {_TYPES[option['type']].expected}"


def _shown(value: object) -> str:
    return _shortened(repr(value)) if isinstance(value, str) else json.dumps(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _as_text(value: object) -> str:
    if isinstance(value, (dict, list)):
        raise TypeError
    return "" if value is None else str(value)


def _as_path(value: object) -> str:
    return os.path.expanduser(os.path.expandvars(_as_text(value)))  # noqa: PTH111 - what begins with ~ is no Path yet


def _as_whole_number(value: object) -> int:
    if isinstance(value, int):
        return value
    if not isinstance(value, (str, float)):
        raise TypeError
    number = Decimal(value)
    if number.adjusted() >= _DIGITS or number != int(number):
        raise ValueError
    return int(number)


def _as_number(value: object) -> float:
    if not isinstance(value, (str, int, float)):
        raise TypeError
    return float(value)


def _as_flag(value: object) -> bool:
    word = value.lower().strip() if isinstance(value, str) else value
    if word == 1 or word in _TRUE:
        return True
    if word == 0 or word in _FALSE:
        return False
    raise ValueError


def _as_list(value: object) -> list[t.Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return value.split(",")
    if isinstance(value, (int, float)):
        return [str(value)]
    raise TypeError


def _as_mapping(value: object) -> dict[str, t.Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise TypeError
    return found


@dataclass(frozen=True)
class _Type:
    """How a value of a type is read, and what is expected of one that cannot be."""

    #: It raises ArithmeticError, TypeError or ValueError.
    read: Callable[[object], t.Any]
    expected: str


_TYPES = {
    "str": _Type(_as_text, "text"),
    "path": _Type(_as_path, "a path"),
    "int": _Type(_as_whole_number, "a whole number"),
    "float": _Type(_as_number, "a number"),
    "bool": _Type(_as_flag, "true or false"),
    "list": _Type(_as_list, "a list"),
    "dict": _Type(_as_mapping, "options of its own"),
}
