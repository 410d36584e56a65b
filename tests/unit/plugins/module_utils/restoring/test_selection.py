# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a restore point, by paths and by parts."""

from __future__ import annotations

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Part
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart, selection_of

THERE = [Part("files", name, 1, 1) for name in ("/srv/a*b", "/srv/c?\\d", "/etc")]


def test_without_paths_and_parts_everything_is_wanted() -> None:
    selection = selection_of((), (), THERE)

    assert selection.is_everything
    assert selection.matches(b"/whatever")
    assert selection.literal_prefix == b""


def test_a_part_is_its_path_and_what_lies_below_it_whatever_characters_it_has() -> None:
    selection = selection_of((), [WantedPart("files", "/srv/a*b"), WantedPart("files", "/srv/c?\\d")], THERE)

    wanted = [b"/srv/a*b", b"/srv/a*b/x", b"/srv/c?\\d/x"]
    assert [
        path for path in (*wanted, b"/srv/aXb", b"/srv/cX\\d", b"/etc", b"/srv") if selection.matches(path)
    ] == wanted
    assert selection.literal_prefix == b"/srv"


@pytest.mark.parametrize("part", [WantedPart("files", "/var"), WantedPart("database", "/etc")])
def test_a_part_that_is_not_there_is_refused_with_those_that_are(part: WantedPart) -> None:
    with pytest.raises(UsageError) as raised:
        selection_of((), [part], THERE)

    assert str(part) in str(raised.value)
    assert "files '/etc'" in str(raised.value)


def test_of_many_parts_the_first_are_named() -> None:
    many = [Part("files", f"/{number}", 1, 1) for number in range(1000)]

    with pytest.raises(UsageError, match=r"files '/19' and 980 more\.$"):
        selection_of((), [WantedPart("files", "/x")], many)


def test_a_restore_point_without_parts_has_none() -> None:
    with pytest.raises(UsageError, match="there are none"):
        selection_of((), [WantedPart("files", "/x")], [])
