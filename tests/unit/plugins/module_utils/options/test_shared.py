# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the values of shared options mean."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.text.formatters import human_to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.options.shared import size_of

UNITS = [
    "",
    "B",
    "b",
    "byte",
    "bYte",
    "BB",
    *"KkMmGgTtPEZy",
    "KB",
    "kb",
    "Kb",
    "mB",
    "MegaByte",
    "zetabyte",
    "GiB",
    "Q",
]


def read_by_ansible(text: str) -> int | None:
    try:
        return int(human_to_bytes(text))
    except ValueError:
        return None


def read_by_us(text: str) -> int | None:
    try:
        return size_of(text, "volume_size")
    except UsageError:
        return None


@pytest.mark.parametrize(
    "number", ["1", "64", "1.5", ".5", "0.0009765625", "5.", "007", "1e3", "-1", "1,5", "1.2.3", ""]
)
@pytest.mark.parametrize("unit", [*UNITS, " M", "\tMB\n", " "])
def test_a_size_is_read_as_ansible_reads_it(number: str, unit: str) -> None:
    assert read_by_us(number + unit) == read_by_ansible(number + unit)


@given(st.text("0123456789.,- \nBbKkMmyte٣", max_size=9))
@settings(max_examples=1000)
def test_any_text_is_read_as_a_size_or_refused_as_by_ansible(text: str) -> None:
    assert read_by_us(text) == read_by_ansible(text)


@pytest.mark.parametrize("size", ["much", "64 MiB", "", "9" * 400])
def test_what_is_no_size_is_told_with_one_that_is(size: str) -> None:
    with pytest.raises(UsageError) as caught:
        size_of(size, "volume_size")

    assert str(caught.value) == (
        f"The volume_size {size!r} cannot be read: give a number of bytes, or one such as 64M."
    )
