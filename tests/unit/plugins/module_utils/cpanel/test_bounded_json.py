# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON of strangers: what is within the limits is read, and nothing of the rest is shown."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.bounded_json import read_json
from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.limits import LIMITS


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_depth_is_counted_before_anything_is_read() -> None:
    assert read_json(nested(LIMITS.json_depth))

    for depth in (LIMITS.json_depth + 1, 10_000, 1_000_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            read_json(nested(depth))


def test_there_may_be_only_so_many_lists_and_maps() -> None:
    assert read_json(b"[" + b",".join([b"{}"] * 100_000) + b"]")

    with pytest.raises(ValueError, match="too many parts"):
        read_json(b"[" + b",".join([b"{}"] * 200_000) + b"]")


def test_brackets_in_a_text_are_none() -> None:
    text = '[{"\\' * 10_000

    assert read_json(json.dumps({"a": text}).encode()) == {"a": text}


def test_numbers_stay_text_however_long_they_are() -> None:
    digits = "9" * 1_000_000

    assert read_json(f"[{digits}, -1.5e999, NaN]".encode()) == [digits, "-1.5e999", "NaN"]


def test_what_is_larger_than_a_member_may_be_is_not_read() -> None:
    with pytest.raises(ValueError, match="too large"):
        read_json(b" " * (LIMITS.metadata_member + 1))


@pytest.mark.parametrize("content", [b"", b"{", b"]", b"hunter2", b"\xff", b'"open', b'{"a": hunter2}'])
def test_what_is_no_json_is_told_without_a_word_of_it(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\Ait is no JSON\Z") as refused:
        read_json(content)

    assert refused.value.__context__ is None


@given(st.binary() | st.text(alphabet='[]{}":,\\ 1eE.-ntu').map(str.encode))
def test_nothing_but_a_reason_is_raised(content: bytes) -> None:
    with suppress(ValueError):
        read_json(content)
