# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset of YAML that cPanel writes, and everything else of YAML, which is left alone."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.yaml_subset import read_yaml

MAIN = b"""---
addon_domains:
  example.net: shop.example.com
  'example.org': "blog.example.com"
main_domain: example.com # the first one
parked_domains: []
sub_domains:
- shop.example.com
- my_blog.example.com
"""


def test_what_cpanel_writes_is_read_as_yaml_reads_it() -> None:
    document = read_yaml(MAIN)

    assert document.values == yaml.safe_load(MAIN)
    assert document.misread == {}


def test_values_of_another_kind_than_asked_for_are_as_good_as_none() -> None:
    document = read_yaml(b"text: a\nlist:\n  - b\nmap:\n  c: d\n")

    assert (document.text("list"), document.names("map"), document.pairs("text")) == ("", [], {})
    assert (document.text("text"), document.names("list"), document.pairs("map")) == ("a", ["b"], {"c": "d"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"''", ""),
        (b"~", ""),
        (b"'it''s'", "it's"),
        (b'"a\\tb\\x41\\u00e9\\\\"', "a\tbA\xe9\\"),
        (b"'# no comment' # one", "# no comment"),
        (b"http://example.com:80/#x", "http://example.com:80/#x"),
        (b"-1", "-1"),
        ("grün".encode(), "grün"),
        (b"{}", {}),
    ],
)
def test_scalars_are_what_they_mean(text: bytes, value: object) -> None:
    assert read_yaml(b"key: " + text + b"\n").values == {"key": value}


@pytest.mark.parametrize(
    "text",
    [
        b"&anchor x",
        b"*alias",
        b"!!python/object/apply:os.system [id]",
        b"|\n  block",
        b">\n  folded",
        b"[a, b]",
        b"{a: b}",
        b"[" * 10_000,
        b"%x",
        b"@x",
        b"'open",
        b'"open',
        b'"\\q"',
        b"a: b",
        b"a\n  b",
        b"\n  - a\n  b: c",
        b"\n  - a\n    - b",
        b"\n  a: b\n  a: c",
    ],
)
def test_what_is_beyond_the_subset_costs_its_key_and_no_other(text: bytes) -> None:
    document = read_yaml(b"before: 1\nkey: " + text + b"\nbehind: 2\n")

    assert document.values == {"before": "1", "behind": "2"}
    assert document.misread == {"key": 2}


def test_a_list_of_maps_costs_only_itself() -> None:
    document = read_yaml(b"customlog:\n  -\n    format: combined\n    target: /x\ndocumentroot: /home/bob/x\n")

    assert document.values == {"documentroot": "/home/bob/x"}


def test_of_a_key_that_stands_there_twice_the_first_counts() -> None:
    document = read_yaml(b"key: a\nother: b\nkey: c\n")

    assert document.values == {"key": "a", "other": "b"}
    assert document.misread == {"key": 3}


def test_only_the_first_document_is_read() -> None:
    assert read_yaml(b"---\na: b\n---\na: c\nd: e\n").values == {"a": "b"}


@pytest.mark.parametrize("line", [b"\xff", b"a\0b: c", b"\tkey: x", b"x" * 100_000])
def test_nothing_is_read_behind_a_line_that_is_no_text(line: bytes) -> None:
    document = read_yaml(b"before: 1\n" + line + b"\nbehind: 2\n")

    assert document.values == {"before": "1"}
    assert document.misread == {"": 2}


def test_a_line_of_ten_million_bytes_is_passed_over() -> None:
    assert read_yaml(b"a: '" + b"''" * 5_000_000).values == {}


@given(st.binary() | st.text(alphabet="ab:-#'\"\\ \n\t[]{}&*!|>%~", max_size=200).map(str.encode))
def test_whatever_stands_there_something_is_understood_or_not(content: bytes) -> None:
    document = read_yaml(content)

    assert all(isinstance(value, (str, list, dict)) for value in document.values.values())


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=20)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z.]{0,9}", fullmatch=True), PRINTABLE, max_size=5))
def test_what_a_writer_of_yaml_quotes_is_read_back(values: dict[str, str]) -> None:
    content = "".join("{}: '{}'\n".format(key, value.replace("'", "''")) for key, value in values.items())

    assert read_yaml(content.encode()).values == values
