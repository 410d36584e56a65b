# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sizes, ages, names, tables and command lines are written."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.globs import PathFilter
from ansible_collections.stowage.ftp_backup.plugins.module_utils.words import (
    age_text,
    command_text,
    glob_of,
    printable,
    sendable,
    shortened,
    size_text,
    span_text,
    table,
    width_of,
)

ODD = "\x1b]0;owned\x07 \r\n\t\x7f\x9b31m \u202eexe.txt \udcff"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (999 * 1024, "999.0 KiB"),
        (1023 * 1024, "1.0 MiB"),
        (734003200, "700.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (12345 * 1024**5, "12,345.0 PiB"),
    ],
)
def test_a_size_has_the_unit_in_which_it_is_read_best(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (100_000, "27 h"), (172_800, "2 d"), (1e9, "11574 d")],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.9, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (5000, "1 h 23 min")],
)
def test_a_span_says_how_long_to_wait(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


def test_nothing_that_a_terminal_could_obey_is_printed() -> None:
    shown = printable(ODD)

    assert shown == r"\x1b]0;owned\x07 \r\n\t\x7f\x9b31m \u202eexe.txt \xff"
    assert shown.isprintable()


def test_what_can_be_printed_is_left_as_it_is() -> None:
    assert printable("grün 文件 … 'ok'") == "grün 文件 … 'ok'"


def test_json_holds_names_as_the_modules_return_them() -> None:
    assert sendable({"path": "a\udcff", "list": ("b", 1, None)}) == {"path": r"a\udcff", "list": ["b", 1, None]}


def test_a_table_stands_straight_whatever_its_names_are() -> None:
    lines = table(("NAME", "SIZE"), [("文件", "1 B"), ("x\n", "100 B")], right=(1,))

    assert lines == ["NAME   SIZE", "文件    1 B", r"x\n   100 B"]
    assert {width_of(line) for line in lines} == {11}


def test_a_combining_accent_takes_no_column() -> None:
    assert width_of("e\u0301") == 1


def test_what_is_too_long_keeps_its_end() -> None:
    assert shortened("/srv/www/shop/index.php", 14) == "...p/index.php"
    assert shortened("short", 5) == "short"
    assert width_of(shortened("文" * 20, 10)) <= 10
    assert shortened("longer", 2) == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to read the command line")
@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", "$HOME `x` *", "\udcff\udcfe", ODD, "a\\b\n'", "", "-x"]
)
def test_a_shell_reads_a_command_line_as_it_was_meant(word: str) -> None:
    line = command_text(["printf", "%s", word])

    assert line.isprintable()
    assert subprocess.run(["bash", "-c", line], check=True, capture_output=True).stdout == word.encode(
        "utf-8", "surrogateescape"
    )


@pytest.mark.parametrize("path", ["/srv/a*b", "/srv/what?", "/srv/back\\slash", "/srv/[x]", "/srv/**/y", "/srv/\udcff"])
def test_the_glob_of_a_path_matches_that_path_alone(path: str) -> None:
    matches = PathFilter([glob_of(path)]).matches

    assert matches(path.encode("utf-8", "surrogateescape"))
    assert not matches(b"/srv/aXb")
    assert not matches(b"/srv/whatX")
    assert not matches(b"/srv/a/y")
