# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Globs on absolute paths: which paths they match, and below which directory all of these lie.

``*`` and ``?`` stay within one component, ``**`` is any number of them, and ``\\`` quotes the character behind it.
Whatever a glob matches, what lies below that is meant as well.
"""

from __future__ import annotations

import re
import typing as t
from itertools import takewhile

from .errors import UsageError
from .native.entries import path_bytes, path_text

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_ANY_DEPTH = "**"
_TOKEN = re.compile(r"\*\*|\\?.", re.DOTALL)
_WILDCARDS = {_ANY_DEPTH: ".*", "*": "[^/]*", "?": "[^/]"}


class PathFilter:
    """The paths that any of some globs matches; without globs there are none.

    *literal_prefix* is the deepest path that all of them are or lie below, empty where that is the root.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        parsed = [_components_of(glob) for glob in globs]
        self._matches = re.compile("|".join(map(_pattern, parsed)) if parsed else r"(?!)", re.DOTALL).fullmatch
        levels = takewhile(lambda names: len(set(names)) == 1, zip(*map(_literal_components, parsed)))
        self.literal_prefix = b"".join(b"/" + path_bytes(names[0]) for names in levels)

    def matches(self, path: bytes) -> bool:
        """Tell whether any of the globs matches *path*; a byte that is no UTF-8 counts as one character."""
        return self._matches(path_text(path)) is not None


def _components_of(glob: str) -> list[list[str]]:
    """Return the components of *glob*, each as its characters, which may be quoted, and wildcards."""
    if not glob.startswith("/"):
        raise UsageError(f"The path {glob!r} is not absolute.")
    components = [_TOKEN.findall(component) for component in glob.split("/") if component]
    for component in components:
        if component[-1] == "\\":
            raise UsageError(f"The path {glob!r} has a '\\' that quotes nothing.")
        if component in ([".", "."], ["."]):
            raise UsageError(f"The path {glob!r} has '.' or '..' among its components, which no stored path has.")
    return components


def _pattern(components: list[list[str]]) -> str:
    """Return the regular expression of one glob; a ``**`` that is a whole component may also be no component."""
    if not components:
        return "/.*"
    above = ["(?:/.*)?" if tokens == [_ANY_DEPTH] else "/" + _component_pattern(tokens) for tokens in components[:-1]]
    return "".join(above) + "/" + _component_pattern(components[-1]) + "(?:/.*)?"


def _component_pattern(tokens: list[str]) -> str:
    return "".join(_WILDCARDS.get(token) or re.escape(token[-1]) for token in tokens)


def _literal_components(components: list[list[str]]) -> list[str]:
    """Return the leading components that have no wildcard, without their quotes."""
    literal = []
    for tokens in components:
        if not _WILDCARDS.keys().isdisjoint(tokens):
            break
        literal.append("".join(token[-1] for token in tokens))
    return literal
