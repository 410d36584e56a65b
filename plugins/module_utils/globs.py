# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Globs on absolute paths: which paths they match, and below which directory all of these lie.

``*`` and ``?`` stay within one component, ``**`` is any number of them, and ``\\`` quotes the character behind it.
Whatever a glob matches, what lies below that is meant as well.

A regular expression that goes back to try all that its wildcards could match takes for ever on a glob with many of
them. That is never needed: where what follows a wildcard fits first, the rest fits, if it fits anywhere. So each
wildcard and what follows it, up to the next one of its kind, stand in a group that is left once and for all.
"""

from __future__ import annotations

import re
import typing as t
from itertools import chain, count, takewhile

from .errors import UsageError
from .native.entries import order_key, path_bytes, path_text

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_ANY_DEPTH = "**"
_ANY_NAMES = "**/"
_ANY_TEXT = "*"
_ONE = "?"
_END = ""
_LITERALS = 20
_TOKEN = re.compile(r"\*\*+|\\?.", re.DOTALL)
_WILDCARDS = {_ANY_DEPTH, _ANY_TEXT, _ONE}
# `(?<=/)`: what goes on behind any number of names is a name. The end: what lies below is meant as well.
_PATTERNS = {_ANY_DEPTH: ".*?", _ANY_NAMES: ".*?(?<=/)", _ANY_TEXT: "[^/]*?", _ONE: "[^/]", _END: r"(?=/|\Z)"}


class Stretch(t.NamedTuple):
    """Paths at and below *prefix*, empty for the root, that have one of *literals* in them, if there are any."""

    prefix: bytes
    literals: tuple[bytes, ...]


class PathFilter:
    """The paths that any of some globs matches; without globs there are none.

    *literal_prefix* is the deepest path that all of them are or lie below, empty where that is the root. *globs* are as
    they were given. *stretches* are where all of them lie, in the order of manifests.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = tuple(globs)
        parsed = [_components_of(glob) for glob in globs]
        groups = count()
        patterns = [_pattern(components, groups) for components in parsed]
        self._matches = re.compile("|".join(patterns) if patterns else r"(?!)", re.DOTALL).match
        levels = takewhile(lambda names: len(set(names)) == 1, zip(*map(_literal_components, parsed)))
        self.literal_prefix = b"".join(b"/" + path_bytes(names[0]) for names in levels)
        self.stretches = _merged(map(_stretch, parsed))

    def matches(self, path: bytes) -> bool:
        """Tell whether any of the globs matches *path*; a byte that is no UTF-8 counts as one character."""
        return self._matches(path_text(path)) is not None


def _components_of(glob: str) -> list[list[str]]:
    """Return the components of *glob*, each as its characters, which may be quoted, and wildcards.

    More than two stars are as good as two.
    """
    if not glob.startswith("/"):
        raise UsageError(f"The path {glob!r} is not absolute.")
    found = [_TOKEN.findall(component) for component in glob.split("/") if component]
    components = [[_ANY_DEPTH if token.startswith(_ANY_DEPTH) else token for token in tokens] for tokens in found]
    for component in components:
        if component[-1] == "\\":
            raise UsageError(f"The path {glob!r} has a '\\' that quotes nothing.")
        if component in ([".", "."], ["."]):
            raise UsageError(f"The path {glob!r} has '.' or '..' among its components, which no stored path has.")
    return components


def _pattern(components: list[list[str]], groups: Iterator[int]) -> str:
    """Return the regular expression of one glob; a ``**`` that is a whole component may also be no component."""
    if not components:
        return "/"
    tokens = ["/"]
    for component in components[:-1]:
        tokens += [_ANY_NAMES] if component == [_ANY_DEPTH] else [*component, "/"]
    tokens += [*components[-1], _END]
    pattern = ""
    for deep, part in _split(tokens, (_ANY_DEPTH, _ANY_NAMES)):
        within = "".join(_left_once(star, _text(text), groups) for star, text in _split(part, (_ANY_TEXT,)))
        pattern += _left_once(deep, within, groups)
    return pattern


def _split(tokens: list[str], wildcards: Collection[str]) -> Iterator[tuple[str | None, list[str]]]:
    """Yield what stands before the first of *wildcards*, with None, and then each of them with what follows it."""
    starts = [number for number, token in enumerate(tokens) if token in wildcards]
    yield None, tokens[: starts[0]] if starts else tokens
    for start, end in zip(starts, [*starts[1:], len(tokens)]):
        yield tokens[start], tokens[start + 1 : end]


def _left_once(wildcard: str | None, pattern: str, groups: Iterator[int]) -> str:
    """Return the regular expression of *wildcard* and what follows it, as Python 3.11 would write ``(?>…)``."""
    if wildcard is None:
        return pattern
    name = f"g{next(groups)}"
    return f"(?=(?P<{name}>{_PATTERNS[wildcard]}{pattern}))(?P={name})"


def _text(tokens: list[str]) -> str:
    return "".join(_PATTERNS.get(token) or re.escape(token[-1]) for token in tokens)


def _literal_components(components: list[list[str]]) -> list[str]:
    """Return the leading components that have no wildcard, without their quotes."""
    literal = []
    for tokens in components:
        if not _WILDCARDS.isdisjoint(tokens):
            break
        literal.append("".join(token[-1] for token in tokens))
    return literal


def _stretch(components: list[list[str]]) -> Stretch:
    """Return where the paths that one glob matches lie, and a text that is in all of them, a long one."""
    prefix = b"".join(b"/" + path_bytes(name) for name in _literal_components(components))
    runs = [""]
    for component in components:
        runs[-1] += "/"
        for token in component:
            if token in _WILDCARDS:
                runs.append("")
            else:
                runs[-1] += token[-1]
    telling = [run for run in runs[1:] if run not in ("", "/")] or runs[:1]  # the first one is in most paths there
    literal = path_bytes(max(telling, key=len))
    return Stretch(prefix, (literal,) if literal else ())


def _merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """Return *stretches* in order, with those that lie within others taken into them."""
    merged: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: order_key(stretch.prefix)):
        above = merged[-1] if merged else None
        if above is None or not (stretch.prefix + b"/").startswith(above.prefix + b"/"):
            merged.append(stretch)
            continue
        both = (above.literals, stretch.literals)
        literals = tuple(dict.fromkeys(chain(*both))) if all(both) else ()
        merged[-1] = Stretch(above.prefix, literals if len(literals) <= _LITERALS else ())
    return tuple(merged)
