# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""What the lines of a .gitignore exclude, byte for byte as in git.

Source: https://git-scm.com/docs/gitignore. What that leaves open is as git does it: what may stand between brackets,
that ``[[:space:]]`` has neither ``\v`` nor ``\f``, and that a carriage return at the end of a line does not count. What
git does against it is not: in ``a**/b`` the stars are as good as one, though before version 2.52 git finds ``ab`` and
``a/x/b`` as well. A byte order mark is passed over at the beginning of a file, and here are only lines.

All patterns of a kind are one regular expression, which tries the last one first. It must never go back to try all that
the wildcards could match, and how that is done is told in ``globs.py``. What is a glob there is another language: it is
of characters, has no brackets, and means what lies below as well.
"""

from __future__ import annotations

import re
import string
import typing as t
from itertools import count, dropwhile, groupby
from operator import attrgetter

from .errors import UsageError
from .native.entries import path_bytes

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_STAR, _ANY_DEPTH, _ANY_NAMES, _ONE = "[^/]*", ".*", "(?:.*?/)?", "[^/]"
_NOTHING = "(?!)"
_NO_NAMES = {"", ".", ".."}
# Two stars or more are another wildcard only where they are a whole component.
_PIECE = re.compile(r"(?P<whole>(?<![^/])\*\*+(?:/|(?=\\/|\Z)))|\*+|\?|\[[!^]?|\\.|[^\\]", re.DOTALL)
_MEMBER = re.compile(r"\[:(?P<set>[^]]*):]|(?P<first>\\.|[^\\])(?:-(?P<last>\\.|[^]\\]))?", re.DOTALL)
_CONTROL = "".join(map(chr, range(32))) + "\x7f"
_VISIBLE = string.ascii_letters + string.digits + string.punctuation
_SETS = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": _CONTROL,
    "digit": string.digits,
    "graph": _VISIBLE,
    "lower": string.ascii_lowercase,
    "print": _VISIBLE + " ",
    "punct": string.punctuation,
    "space": " \t\n\r",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}


class IgnoreRules:
    """What *lines* exclude below a directory; the last pattern that matches decides.

    *futile* are the lines whose patterns can match nothing. They are no error in git, but hardly what was meant.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        groups = count()
        futile: list[str] = []
        patterns: list[_Pattern] = []
        for line in lines:
            text = _text_of(line)
            try:
                patterns += [_parse(text, groups)] if text else []
            except _FutileError:
                futile.append(line)
        is_negated = attrgetter("is_negated")
        # To include what nothing has excluded yet has no effect. So even runs exclude, and odd ones include.
        runs = [list(run) for _kind, run in groupby(dropwhile(is_negated, patterns), is_negated)]
        self.futile = tuple(futile)
        self._is_empty = not runs
        self._matchers = _matchers(runs, is_directory=False), _matchers(runs, is_directory=True)

    def __bool__(self) -> bool:
        return not self._is_empty

    def excludes(self, relative: bytes, *, is_directory: bool) -> bool:
        """Tell whether the path *relative* is excluded, given that no directory above it is.

        Where one is, nothing below it can be included any more, whatever this says. A symbolic link is no directory.
        """
        names, paths = self._matchers[is_directory]
        return max(names.last_run(relative, relative.rfind(b"/") + 1), paths.last_run(relative, 0)) % 2 == 0


class _FutileError(Exception):
    """The pattern can match nothing."""


class _Pattern(t.NamedTuple):
    """A regular expression, of the whole path where it *is_anchored*, else of the name."""

    expression: str
    is_negated: bool
    is_anchored: bool
    needs_directory: bool


class _Matcher:
    """Runs of regular expressions, of which the last one with a match counts."""

    def __init__(self, runs: Sequence[Sequence[str]]) -> None:
        branches = {number: f"(?:{'|'.join(run)})(?P<run{number}>)" for number, run in enumerate(runs) if run}
        expression = "|".join(reversed(list(branches.values()))) or _NOTHING
        compiled = re.compile(expression.encode("latin-1"), re.DOTALL)
        self._match = compiled.match
        self._runs: dict[int | None, int] = {compiled.groupindex[f"run{number}"]: number for number in branches}

    def last_run(self, path: bytes, start: int) -> int:
        """Return the number of the last run that matches *path* from *start* on, -1 if none does."""
        found = self._match(path, start)
        return self._runs[found.lastindex] if found else -1


def _matchers(runs: Sequence[Sequence[_Pattern]], *, is_directory: bool) -> tuple[_Matcher, _Matcher]:
    """Return what matches names, and what matches whole paths."""
    meant = [[pattern for pattern in run if is_directory or not pattern.needs_directory] for run in runs]
    of_names = [[pattern.expression for pattern in run if not pattern.is_anchored] for run in meant]
    of_paths = [[pattern.expression for pattern in run if pattern.is_anchored] for run in meant]
    return _Matcher(of_names), _Matcher(of_paths)


def _text_of(line: str) -> str:
    """Return the pattern of *line*, each byte as one character; it is empty if there is none."""
    if "\n" in line or "\0" in line:
        raise UsageError(f"The pattern {line!r} cannot be used: it has a line break or a null byte.")
    try:
        text = path_bytes(line).decode("latin-1")
    except UnicodeEncodeError as error:
        raise UsageError(f"The pattern {line!r} cannot be used: it has a character that no path has.") from error
    if text.startswith("#"):
        return ""
    text = text.removesuffix("\r")
    trimmed = text.rstrip(" ")
    backslashes = len(trimmed) - len(trimmed.rstrip("\\"))
    return text[: len(trimmed) + backslashes % 2]


def _parse(text: str, groups: Iterator[int]) -> _Pattern:
    is_negated = text.startswith("!")
    needs_directory = text.endswith("/")
    path = text[is_negated : len(text) - needs_directory]
    is_anchored = "/" in path
    path = path[path.startswith("/") :]
    if "[" not in path and not _NO_NAMES.isdisjoint(path.split("/")):  # a slash between brackets parts no names
        raise _FutileError
    return _Pattern(_expression(list(_tokens(path)), groups), is_negated, is_anchored, needs_directory)


def _tokens(path: str) -> Iterator[str]:
    """Yield the regular expressions of the wildcards and bytes of a pattern."""
    position = 0
    while position < len(path):
        found = _PIECE.match(path, position)
        if found is None:  # a backslash, and nothing behind it
            raise _FutileError
        piece, position = found[0], found.end()
        if piece.startswith("["):
            members, position = _members(path, position)
            yield _one_of(members, is_negated=len(piece) == 2)
        elif found["whole"]:
            yield _ANY_NAMES if piece.endswith("/") else _ANY_DEPTH
        else:
            yield {"*": _STAR, "?": _ONE}.get(piece[0]) or re.escape(piece[-1])


def _members(path: str, position: int) -> tuple[set[int], int]:
    """Return the bytes in the brackets that were opened before *position*, and where these end.

    Whatever comes first is a member, even what would close them.
    """
    members: set[int] = set()
    while True:
        found = _MEMBER.match(path, position)
        if found is None:  # they are never closed
            raise _FutileError
        members.update(_meant(found))
        position = found.end()
        if path.startswith("]", position):
            return members, position + 1


def _meant(member: re.Match[str]) -> Iterable[int]:
    """Return the bytes that a character, a range or a named set means."""
    if member["first"] is None:
        if member["set"] not in _SETS:
            raise _FutileError
        return _SETS[member["set"]].encode("ascii")
    first = ord(member["first"][-1])
    last = ord(member["last"][-1]) if member["last"] else first
    return range(first, max(first, last) + 1)  # in git, even a range that runs backwards has its first character


def _one_of(members: set[int], *, is_negated: bool) -> str:
    chosen = set(range(256)) - members if is_negated else members
    escapes = "".join(f"\\x{byte:02x}" for byte in sorted(chosen - {ord("/")}))
    return f"[{escapes}]" if escapes else _NOTHING


def _expression(tokens: list[str], groups: Iterator[int]) -> str:
    """Return the regular expression of a whole pattern.

    Each wildcard stands with what follows it, up to the next one that reaches as far, in a group that is left once and
    for all; behind the last one nothing else can fail. It is written from its end on: *text* is what follows the next
    wildcard, *name* what comes behind that up to one that crosses slashes, and *rest* all from there on.
    """
    text, name, rest = r"\Z", "", ""
    for token in reversed(tokens):
        if token == _STAR:
            name = (_left_once(token, text, groups) if name or rest else token + text) + name
            text = ""
        elif token in (_ANY_DEPTH, _ANY_NAMES):
            rest = (_left_once(token, text + name, groups) if rest else token + text + name) + rest
            text = name = ""
        else:
            text = token + text
    return text + name + rest


def _left_once(wildcard: str, pattern: str, groups: Iterator[int]) -> str:
    """Return *wildcard*, as short as it can be, and *pattern* as Python 3.11 would write them: ``(?>…)``."""
    group = f"g{next(groups)}"
    return f"(?=(?P<{group}>{wildcard}?{pattern}))(?P={group})"
