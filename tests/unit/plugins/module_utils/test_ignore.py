# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lines of a .gitignore exclude: what its documentation promises, and what git does."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ignore import IgnoreRules
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import path_text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    Tree = dict[bytes, bool]  # paths, a directory before what lies in it, and whether each is a directory


def tree_of(*paths: str) -> Tree:
    """Return *paths* and the directories above them; those with a slash at the end are directories as well."""
    tree: Tree = {}
    for path in paths:
        names = path.rstrip("/").split("/")
        for end in range(1, len(names)):
            tree["/".join(names[:end]).encode()] = True
        tree["/".join(names).encode()] = path.endswith("/")
    return tree


def excluded(lines: Iterable[str], tree: Tree) -> list[bytes]:
    """Return what *lines* exclude of *tree* when it is walked through from the top."""
    rules = IgnoreRules(lines)
    found: dict[bytes, None] = {}
    for path, is_directory in tree.items():
        if path.rpartition(b"/")[0] in found or rules.excludes(path, is_directory=is_directory):
            found[path] = None
    return list(found)


@pytest.mark.parametrize(
    ("line", "paths", "others"),
    [
        # no slash but at the end: a name at any depth
        ("core", ["core", "core/", "a/b/core"], ["cores", "a/score", "a/core.d/"]),
        ("cache/", ["cache/", "www/cache/"], ["cache", "www/cache"]),
        ("*.log", ["a.log", ".log", "var/b.log", "c.log/", "d.log/a"], ["a.log.1", "alog"]),
        # a slash elsewhere: the path from the root on
        ("/core", ["core", "core/"], ["a/core"]),
        ("var/cache", ["var/cache", "var/cache/"], ["srv/var/cache", "var/cache2", "cache"]),
        ("/var/cache/", ["var/cache/"], ["var/cache", "srv/var/cache/"]),
        ("var/*.log", ["var/a.log", "var/.log"], ["var/a/b.log", "a.log", "srv/var/a.log"]),
        ("*/cache", ["a/cache"], ["cache", "a/b/cache"]),
        # one character
        ("?", ["a", "b/", "x/y"], ["ab"]),
        ("a?b", ["a.b", "x/a*b"], ["ab", "a..b"]),
        ("var?log", ["var.log"], ["var/log"]),
        ("*", ["a", "a/b", ".c"], []),
        ("*a*b*c", ["abc", "xabaac", "x/aabcc"], ["acb", "a/b/c"]),
        # characters between brackets
        ("[a-c]1", ["a1", "b1", "x/c1"], ["d1", "-1", "1"]),
        ("[ac-]1", ["a1", "c1", "-1"], ["b1"]),
        ("[!a-c]1", ["d1", "-1"], ["a1", "1"]),
        ("[^a-c]1", ["d1", "^1"], ["b1"]),
        ("[a^!]1", ["a1", "^1", "!1"], ["b1"]),
        ("[]a]1", ["]1", "a1"], ["[1"]),
        ("[!]a]1", ["[1"], ["]1", "a1"]),
        (r"[\]x]1", ["]1", "x1"], ["\\1"]),
        (r"[\\x]1", ["\\1", "x1"], ["]1"]),
        (r"[a-\c]1", ["b1"], ["\\1", "-1"]),
        ("[a-c-e]1", ["b1", "-1", "e1"], ["d1"]),
        ("[--0]1", ["-1", ".1", "01"], ["11"]),
        ("[c-a]1", ["c1"], ["a1", "b1", "-1"]),
        ("[[:digit:]_]1", ["01", "91", "_1"], ["a1", ":1", "d1"]),
        ("[![:space:]]1", ["a1"], [" 1", "\t1"]),
        ("[[:d]1", ["[1", ":1", "d1"], ["11"]),
        ("[a-[:]1", ["a1", ":1"], ["b1", "[1"]),
        ("[*?]1", ["*1", "?1"], ["a1"]),
        ("a[/]b", [], ["a/b", "ab", "a[/]b"]),
        ("a/[!x]b", ["a/bb"], ["a/b", "a/xb"]),
        # any number of directories
        ("**/logs", ["logs", "a/logs", "a/b/logs/"], ["logs2", "a/xlogs"]),
        ("**/logs/debug.log", ["logs/debug.log", "a/logs/debug.log"], ["logs/x/debug.log", "debug.log"]),
        ("logs/**", ["logs/a", "logs/a/b"], ["logs/", "x/logs/a"]),
        ("logs/**/", ["logs/a/"], ["logs/", "logs/b"]),
        ("logs/**/debug", ["logs/debug", "logs/a/debug", "logs/a/b/debug"], ["logs/xdebug", "x/logs/debug"]),
        ("/**/x", ["x", "a/b/x"], ["ax"]),
        ("/**", ["a", "a/b"], []),
        ("**", ["a", "a/b"], []),
        ("**/", ["a/", "a/b"], ["c"]),
        ("/a/***/x", ["a/x", "a/b/c/x"], ["a/bx"]),
        ("**/**/x", ["x", "a/b/x"], ["ax"]),
        (r"**\/x", ["a/x", "a/b/x"], ["x"]),
        ("**/a*b/c", ["ab/c", "ab/x/ab/c", "x/a/axb/c"], ["a/b/c", "ab/x/c"]),
        ("a/**/b*/**/c", ["a/b/c", "a/x/by/x/c"], ["a/c", "a/xb/c"]),
        ("**/a/**/b/**/c", ["x/a/b/a/c", "a/b/c"], ["x/b/a/c"]),
        # stars beside something else are as good as one
        ("a**", ["a", "ab", "x/ab"], ["ba"]),
        ("**b", ["b", "ab", "x/ab"], ["ba"]),
        ("x/a**b", ["x/ab", "x/aab"], ["x/a/b", "x/a/c/b"]),
        ("a**/b", ["a/b", "ac/b"], ["ab", "b", "a/x/b", "ax/x/b"]),
        ("/a**", ["a", "ab/c"], ["x/a"]),
        # what is meant as it stands
        (r"\!a", ["!a"], ["a", "\\!a"]),
        (r"\#a", ["#a"], ["a"]),
        ("a#", ["a#"], ["a"]),
        ("a!", ["a!"], ["a"]),
        (r"\*", ["*"], ["a", "\\*"]),
        (r"a\?", ["a?"], ["ab"]),
        (r"\a\b", ["ab"], ["\\a\\b"]),
        (r"a\\", ["a\\"], ["a"]),
        (r"a\\*", ["a\\", "a\\b"], ["a*"]),
        (r"a\[b]", ["a[b]"], ["ab"]),
        (r"var\/a", ["var/a"], ["x/var/a"]),
        ("a.b+(c|d)$", ["a.b+(c|d)$"], ["axb+(c|d)$", "a.bb+c"]),
        ("{a,b}", ["{a,b}"], ["a", "b"]),
        # spaces
        ("a  ", ["a"], ["a ", "a  "]),
        (r"a\  ", ["a "], ["a", "a  "]),
        (r"a\\ ", ["a\\"], ["a\\ ", "a "]),
        (" a", [" a"], ["a"]),
        ("a b", ["a b"], ["a", "ab"]),
        ("a/ ", ["a/"], ["a"]),
        ("a\t", ["a\t"], ["a"]),
        ("a\r", ["a"], ["a\r"]),
        # bytes
        ("A", ["A"], ["a"]),
        ("ä*", ["ä", "äb"], ["ö", "a"]),
        ("??", ["ä", "ab"], ["a"]),
        ("a*b", ["a\nb", "a\n\nb"], ["a\nb\n", "\na\nb"]),
    ],
)
def test_a_pattern_excludes_what_it_says(line: str, paths: list[str], others: list[str]) -> None:
    trees = {path: tree_of(path) for path in [*paths, *others]}

    chosen = [path for path, tree in trees.items() if list(tree)[-1] in excluded([line], tree)]

    assert chosen == paths


@pytest.mark.parametrize(
    ("lines", "paths", "expected"),
    [
        (["*.log", "!keep.log"], ["a.log", "keep.log", "x/keep.log"], ["a.log"]),
        (["!keep.log", "*.log"], ["a.log", "keep.log"], ["a.log", "keep.log"]),
        (["*.log", "!keep.log", "/keep.log"], ["keep.log", "x/keep.log"], ["keep.log"]),
        (["/*", "!/srv"], ["etc/a", "srv/a"], ["etc", "etc/a"]),
        (["srv/", "!srv/keep"], ["srv/keep"], ["srv", "srv/keep"]),
        (["srv/*", "!srv/keep"], ["srv/keep", "srv/a"], ["srv/a"]),
        (["srv/**", "!**/", "!*.txt"], ["srv/a/b.txt", "srv/a/c"], ["srv/a/c"]),
        (["cache", "!cache/"], ["cache", "x/cache/a"], ["cache"]),
        (["*", "!a", "a", "!/a", "*a"], ["a", "b"], ["a", "b"]),
        (["*", "!a", "a", "!/a"], ["a", "b", "x/a"], ["b", "x", "x/a"]),
        (["*", "!!a"], ["!a", "a"], ["a"]),
        (["*", r"!\!a"], ["!a", "a"], ["a"]),
        (["*", "!#a"], ["#a", "a"], ["a"]),
        (["*", "!a "], ["a", "a "], ["a "]),
        (["a", "b/"], ["a", "b", "x/b/c"], ["a", "x/b", "x/b/c"]),
    ],
)
def test_the_last_pattern_that_matches_decides(lines: list[str], paths: list[str], expected: list[str]) -> None:
    assert excluded(lines, tree_of(*paths)) == [path.encode() for path in expected]


@pytest.mark.parametrize("line", ["", "   ", "\r", "#", "# a", "#a", "!"])
def test_a_line_without_a_pattern_excludes_nothing(line: str) -> None:
    rules = IgnoreRules([line])

    assert not rules
    assert not any(rules.excludes(path, is_directory=True) for path in (b"a", b"#", b"# a", b"#a", b"!", b" ", b"   "))


def test_no_lines_exclude_nothing() -> None:
    rules = IgnoreRules([])

    assert not rules
    assert not rules.excludes(b"a/b", is_directory=False)


def test_to_include_what_nothing_excludes_is_no_rule() -> None:
    assert not IgnoreRules(["!a", "!/b/"])
    assert IgnoreRules(["!a", "b"])


def test_bytes_that_are_no_utf8_count_one_by_one() -> None:
    tree = {b"\xff": False, b"\xff\xfe.txt": False, b"a\xe4": False, b"\xc3\xa4": False}

    assert excluded([path_text(b"\xff")], tree) == [b"\xff"]
    assert excluded(["?"], tree) == [b"\xff"]
    assert excluded(["*.txt"], tree) == [b"\xff\xfe.txt"]
    assert excluded([path_text(b"?[\xe0-\xef]")], tree) == [b"a\xe4"]
    assert excluded(["ä"], tree) == [b"\xc3\xa4"]


@pytest.mark.parametrize("line", ["a\nb", "a\n", "\0", "#\n"])
def test_what_cannot_be_one_line_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="line break or a null byte"):
        IgnoreRules(["*.log", line])


def test_a_surrogate_that_stands_for_no_byte_is_refused() -> None:
    with pytest.raises(UsageError, match="a character that no path has"):
        IgnoreRules(["a\ud800"])


FUTILE = [
    *["[", "a[b", "[]", "[!]", "[a-", "[z-", "a[\\]", "[[:digit:]", "[[:digits:]]", "[[::]]", "a\\", "a\\/", "!a\\"],
    *["/", "//", "a//b", "a//", "//a", "!/", "./a", "a/./b", "a/.", "../a", "a/../b", "..", ".", "./"],
]


@pytest.mark.parametrize("line", FUTILE)
def test_a_pattern_that_can_match_nothing_is_told_and_excludes_nothing(line: str) -> None:
    paths = ["a", "b", "ab", "a/b", "[", "[]", "[a-", "a[b", "a\\", "a\\/", "0", "[[:digit:]", "./a", "[[::]]", "s]"]
    rules = IgnoreRules(["x", line])

    assert rules.futile == (line,)
    assert excluded(["x", line], tree_of(*paths)) == []


def test_patterns_that_can_match_are_not_told() -> None:
    assert IgnoreRules(["a", "", "# [", "[/./]", "a[.]", "..a", ".a/*", "[]]", r"\[", r"a\\"]).futile == ()


@pytest.mark.parametrize(
    "line",
    [
        "*" * 60 + "b",
        "*a" * 60 + "b",
        "?*" * 60 + "b",
        "[ab]*" * 60 + "[c-d]",
        "/" + "*a" * 60 + "b",
        "**/" * 60 + "b",
        "**/a/" * 60 + "b",
        "**/*a*/" * 60 + "b",
        r"**\/" * 60 + "b",
        "a/**/*a*a/" * 60 + "**/*a*b",
    ],
)
def test_a_pattern_of_many_stars_comes_to_an_end(line: str) -> None:
    rules = IgnoreRules([line])

    assert not rules.excludes(b"a" * 200 + b"/aaa" * 200 + b"/" + b"a" * 200, is_directory=True)
    assert not rules.excludes(b"a" * 200, is_directory=True)


@pytest.mark.parametrize(
    "line", ["[[:" * 2000, "[" * 5000, "\\" * 5001, " " * 5000 + "\\", "*" * 5000 + "[", "[a-" * 2000]
)
def test_a_long_pattern_is_soon_understood(line: str) -> None:
    assert IgnoreRules([line]).futile == (line,)


# What follows compares with git, on trees and patterns of few bytes, so that they often meet.

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="There is no git on this machine.")

PIECES = [
    *[b"a", b"b", b"c", b"a", b"b", b"/", b"/", b"*", b"*", b"**", b"***", b"?", b"**/", b"/**", b"/**/"],
    *[b"\\", b"\\*", b"\\/", b"\\ ", b" ", b"#", b"!", b"^", b"-", b".", b":", b"\xff", b"\xc3\xa9", b"\r", b"\t"],
    *[b"[a-c]", b"[!a]", b"[^b]", b"[", b"]", b"[]a]", b"[!]a]", b"[-a]", b"[a-]", b"[c-a]", b"[a-b-c]", b"[*--]"],
    *[b"[a-", b"[\\", b"[\\]-a]", b"[a/b]", b"[\x80-\xff]", b"[[-b]", b"[[:-b]", b"[a-[:alpha:]"],
    *[b"[[:alpha:]]", b"[^[:punct:]a]", b"[[:a:]]", b"[[:a]", b"[[::]]", b"[[:]"],
]
NAMED_SETS = [
    *["alnum", "alpha", "blank", "cntrl", "digit", "graph"],
    *["lower", "print", "punct", "space", "upper", "xdigit"],
]
ODD_BYTES = b"aaaabbbcc*?[]!-:\\ #\n\r^.\xff\xc3\xa9"
SPECIAL = b"*?[]\\!# "
# Before 2.52 git forgets what stands before the first stars, so that they look like a whole component.
MISREAD = re.compile(rb"!?(?!!)[^*?[\\]*[^*?[\\/]\*\*")


def make_tree(chance: random.Random, alphabet: bytes, widths: Sequence[int]) -> Tree:
    """Return a tree with so many names in each directory; half of them are directories themselves."""
    tree: Tree = {}
    above = [b""]
    for width in widths:
        found = {
            directory + bytes(chance.choices(alphabet, k=chance.choice([1, 1, 1, 2, 2, 3])))
            for directory in above
            for _number in range(width)
        }
        level = sorted(path for path in found if path.rpartition(b"/")[2] not in (b".", b".."))
        tree.update((path, chance.random() < 0.5) for path in level)
        above = [path + b"/" for path in level if tree[path]]
    return tree


def make_line(chance: random.Random, paths: list[bytes]) -> bytes:
    if chance.random() < 0.4:
        line = b"".join(chance.choices(PIECES, k=chance.randint(1, 7)))
    else:
        names = chance.choice(paths).split(b"/")
        line = b"/".join(disguised(chance, name) for name in names[chance.choice([0, 0, -1]) :])
        line = chance.choice([b"", b"", b"/", b"**/"]) + line + chance.choice([b"", b"", b"/", b"/**", b" "])
    line = chance.choice([b"", b"", b"!"]) + line.replace(b"\n", b"?")
    return re.sub(rb"\*+", b"*", line) if MISREAD.match(line) else line


def disguised(chance: random.Random, name: bytes) -> bytes:
    """Return a pattern that matches *name*, or nearly."""
    if chance.random() < 0.15:
        return chance.choice([b"**", b"*", b"***"])
    pattern = b""
    for character in (bytes([byte]) for byte in name):
        quoted = b"\\" + character if character in SPECIAL and chance.random() < 0.8 else character
        ways = [b"?", b"*", b"*" + quoted, b"**" + quoted, b"[%s]" % quoted, b"[!%s]" % quoted, b"\\" + character]
        pattern += chance.choice(ways) if chance.random() < 0.4 else quoted
    return pattern


class Repository:
    """A repository of git in which nothing is but *tree*."""

    def __init__(self, top: Path, tree: Tree) -> None:
        self._top = top
        self._tree = tree
        self._git("init", "--quiet", "--template=")
        for path, is_directory in tree.items():
            place = top / os.fsdecode(path)
            if is_directory:
                place.mkdir()
            else:
                place.touch()

    def ignored(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return what git ignores with *lines* as its .gitignore."""
        (self._top / ".gitignore").write_bytes(b"".join(line + b"\n" for line in lines))
        options = ["--no-index", "-z", "--stdin", "--verbose", "--non-matching"]
        asked = [b"./" + path for path in self._tree]  # a path that begins with a colon would ask for something else
        told = self._git("check-ignore", *options, stdin=b"\0".join(asked)).split(b"\0")
        assert told[3::4] == asked
        return [path for path, pattern in zip(self._tree, told[2::4]) if pattern and not pattern.startswith(b"!")]

    def _git(self, *words: str, stdin: bytes = b"") -> bytes:
        alone = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self._top), "GIT_DIR": str(self._top / ".git")}
        environment = {"PATH": os.environ["PATH"], **alone}
        done = subprocess.run(
            ["git", *words], cwd=self._top, env=environment, input=stdin, stdout=subprocess.PIPE, check=False
        )
        assert done.returncode in (0, 1)  # 1: nothing is ignored
        return done.stdout


@needs_git
@pytest.mark.parametrize(
    ("seed", "alphabet", "widths"),
    [
        pytest.param(1, ODD_BYTES, (40, 8, 4), id="odd names"),
        pytest.param(2, ODD_BYTES, (40, 8, 4), id="more odd names"),
        pytest.param(3, b"ab", (6, 4, 4, 4, 3), id="deep directories"),
    ],
)
def test_git_ignores_the_same(tmp_path: Path, seed: int, alphabet: bytes, widths: tuple[int, ...]) -> None:
    chance = random.Random(seed)
    tree = make_tree(chance, alphabet, widths)
    repository = Repository(tmp_path, tree)
    files = [[make_line(chance, list(tree)) for _line in range(chance.choice([1, 1, 2, 3, 6]))] for _file in range(200)]

    for lines in files:
        assert excluded(map(path_text, lines), tree) == repository.ignored(lines), lines


@needs_git
def test_git_has_the_same_bytes_in_each_named_set(tmp_path: Path) -> None:
    tree = {b"a" + bytes([byte]): False for byte in range(1, 256) if byte != ord("/")}
    repository = Repository(tmp_path, tree)

    for name in NAMED_SETS:
        line = f"a[[:{name}:]]"
        assert excluded([line], tree) == repository.ignored([line.encode()]), line


@needs_git
def test_git_finds_nothing_for_patterns_that_can_match_nothing(tmp_path: Path) -> None:
    tree = make_tree(random.Random(4), ODD_BYTES, (40, 8, 4))
    repository = Repository(tmp_path, tree)

    assert repository.ignored([line.removeprefix("!").encode() for line in FUTILE]) == []
