# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths a glob matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.globs import PathFilter


@pytest.mark.parametrize(
    ("glob", "path", "does_match"),
    [
        ("/srv/www", "/srv/www", True),
        ("/srv/www", "/srv/www/a/b", True),
        ("/srv/www", "/srv/www2", False),
        ("/srv/www", "/srv", False),
        ("/srv/www/", "/srv/www/a", True),
        ("//srv//www", "/srv/www", True),
        ("/", "/", True),
        ("/", "/srv/www", True),
        ("/srv/*", "/srv/a", True),
        ("/srv/*", "/srv/.a", True),
        ("/srv/*", "/srv/a/b", True),
        ("/srv/*", "/srv", False),
        ("/srv/*.html", "/srv/.html", True),
        ("/srv/*.html", "/srv/a.htm", False),
        ("/srv/?", "/srv/é", True),
        ("/srv/?", "/srv/ab", False),
        ("/srv?www", "/srv/www", False),
        ("/srv/**", "/srv/a/b", True),
        ("/srv/**", "/srv", False),
        ("/srv/**/x", "/srv/x", True),
        ("/srv/**/x", "/srv/a/b/x", True),
        ("/srv/**/x", "/srv/ax", False),
        ("/**/x", "/x", True),
        ("/srv/a**b", "/srv/a/1/2b", True),
        ("/srv/***", "/srv/a/b", True),
        ("/srv/***/x", "/srv/x", True),
        ("/srv/a*****b", "/srv/a/1/2b", True),
        ("/srv/**/**/x", "/srv/x", True),
        ("/**/a*b/**/c", "/ab/axb/c/c", True),
        ("/**/a*b/c", "/ab/x/ab/c", True),
        ("/*a*/b", "/xax/b", True),
        ("/*a*/b", "/xx/a/b", False),
        (r"/srv/\**/x", "/srv/*a/x", True),
        ("/**", "/srv", True),
        (r"/srv/\*", "/srv/*", True),
        (r"/srv/\*", "/srv/a", False),
        (r"/srv/\*", "/srv/*/below", True),
        (r"/srv/a\\b", "/srv/a\\b", True),
        ("/srv/[a]", "/srv/a", False),
        ("/srv/a.b", "/srv/axb", False),
        ("/srv/a\nb*", "/srv/a\nb\nc", True),
    ],
)
def test_a_glob_matches_what_it_says(glob: str, path: str, does_match: bool) -> None:  # noqa: FBT001 - it is data
    assert PathFilter([glob]).matches(path.encode()) is does_match


def test_a_byte_that_is_no_utf8_counts_as_one_character() -> None:
    assert PathFilter(["/srv/?"]).matches(b"/srv/\xff")
    assert PathFilter(["/srv/*.txt"]).matches(b"/srv/\xff\xfe.txt")
    assert PathFilter([b"/srv/\xff".decode("utf-8", "surrogateescape")]).matches(b"/srv/\xff/below")


@pytest.mark.parametrize(
    "glob",
    [
        "/" + "*" * 60 + ".conf",
        "/" + "*a" * 60 + ".conf",
        "/" + "**a" * 60 + ".conf",
        "/" + "**/" * 60 + "*.conf",
        "/" + "**/*a*/" * 60 + "*.conf",
    ],
)
def test_a_glob_of_many_stars_comes_to_an_end(glob: str) -> None:
    assert not PathFilter([glob]).matches(b"/" + b"a" * 200 + b"/a" * 200)


PIECES = st.sampled_from(["a", "b", "*", "**", "***", "?", r"\*", "/", "/**/"])
CHARACTERS = st.sampled_from(["a", "b", "*", "/"])


@given(st.lists(PIECES, max_size=9), st.lists(CHARACTERS, max_size=9))
@settings(max_examples=1000)
def test_a_glob_matches_what_a_plain_search_finds(pieces: list[str], characters: list[str]) -> None:
    names = [name for name in "".join(characters).split("/") if name]
    path = "/" + "/".join(names)
    components = [component for component in "".join(pieces).split("/") if component]
    tokens: list[str] = []
    for component in components[:-1]:
        found = re.findall(r"\*\*+|\\?.", component)
        tokens += ["/**"] if re.fullmatch(r"\*\*+", component) else ["/", *found]
    tokens += ["/", *re.findall(r"\*\*+|\\?.", components[-1])] if components else []

    assert PathFilter(["/" + "".join(pieces)]).matches(path.encode()) is _is_found(tuple(tokens), path)


def _is_found(tokens: tuple[str, ...], path: str) -> bool:
    """Tell the same as a filter by trying everything."""
    if not tokens:
        return path == "" or path.startswith("/")
    first, rest = tokens[0], tokens[1:]
    if first == "/**":  # no component, or some: what follows begins with a slash
        return any(_is_found(rest, path[end:]) for end in range(len(path)) if end == 0 or path.startswith("/"))
    if first.startswith("**"):
        return any(_is_found(rest, path[end:]) for end in range(len(path) + 1))
    if first == "*":
        length = len(path.partition("/")[0])
        return any(_is_found(rest, path[end:]) for end in range(length + 1))
    fits = path != "" and (path[0] != "/" if first == "?" else path[0] == first[-1])
    return fits and _is_found(rest, path[1:])


def test_several_globs_match_what_any_of_them_matches() -> None:
    chosen = PathFilter(["/etc/*.conf", "/srv/www"])

    assert [chosen.matches(path) for path in (b"/etc/a.conf", b"/srv/www/a", b"/srv/a.conf")] == [True, True, False]


def test_no_glob_matches_nothing() -> None:
    assert not PathFilter([]).matches(b"/")
    assert PathFilter([]).literal_prefix == b""


@pytest.mark.parametrize(
    ("globs", "prefix"),
    [
        (["/srv/www/a.txt"], b"/srv/www/a.txt"),
        (["/srv/www/*.txt"], b"/srv/www"),
        (["/srv/**/x"], b"/srv"),
        (["/*/x"], b""),
        (["/"], b""),
        (["/srv/www", "/srv/www2"], b"/srv"),
        (["/srv/www", "/srv/www/a"], b"/srv/www"),
        (["/srv", "/etc"], b""),
        ([r"/srv/\*\?/*"], b"/srv/*?"),
        (["/srv/ä/*"], "/srv/ä".encode()),
    ],
)
def test_the_literal_prefix_is_what_all_matches_lie_below(globs: list[str], prefix: bytes) -> None:
    assert PathFilter(globs).literal_prefix == prefix


@pytest.mark.parametrize("glob", ["srv/www", "", "*", "/srv/a\\", "/srv/../etc", "/srv/./a"])
def test_a_glob_that_can_match_nothing_is_refused(glob: str) -> None:
    with pytest.raises(UsageError, match="The path"):
        PathFilter([glob])
