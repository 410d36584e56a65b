# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of an account comes in the order of its places, with the directories above it and nothing else."""

from __future__ import annotations

import io
import typing as t
from datetime import datetime, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.listing import (
    Listing,
    ListingWriter,
    Origin,
    header_of,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    DIRECTORY,
    FILE,
    Entry,
    Part,
    order_key,
    path_text,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.account_selection import (
    account_selection,
    part_of,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.account_selection import (
        AccountSelection,
    )

PATHS = (
    b"/",
    b"/a",
    b"/a*c",
    b"/a*c/1",
    b"/abc",
    b"/abc/1",
    b"/b",
    b"/b/c",
    b"/b/c/1",
    b"/b/d",
    b"/b/d/1",
    b"parts:/database/shop/shop.sql",
    b"parts:/database_user/shop/shop.sql",
    b"parts:/files/a",
    b"parts:/mailbox/info@harbour.example/passwd",
)


def listing_of() -> Listing:
    """Return a listing of the PATHS: those that end with a digit or lie in parts are files."""
    origin = Origin("harbour.tar", "tar", "", "mark")
    file = io.BytesIO()
    header = header_of("harbour", "harbour", datetime(2026, 11, 22, tzinfo=timezone.utc), origin)
    writer = ListingWriter(file.write, header, origin)
    for path in sorted(PATHS, key=order_key):
        kind = FILE if path[-1:].isdigit() or path.startswith(b"parts:") else DIRECTORY
        writer.add(Entry(path, kind, 0o755, 0, 0, "", "", 0))
    parts = tuple(Part(*part, 1, 0) for part in sorted({part_of(path) for path in PATHS}))
    writer.finish(complete=True, problems=(), parts=parts, volumes={})
    content = file.getvalue()
    return Listing(lambda offset, length: content[offset : offset + length], len(content), "harbour")


def places_of(selection: AccountSelection, listing: Listing) -> list[str]:
    return [path_text(entry.path) for entry in selection.entries(listing)]


def selection_of(*paths: str, parts: tuple[WantedPart, ...] = (), cut: tuple[str, ...] = ()) -> AccountSelection:
    return account_selection(paths, parts, listing_of().trailer.parts, cut)


def test_all_of_it_comes_in_the_order_of_the_places() -> None:
    listing = listing_of()

    places = places_of(selection_of(), listing)

    assert len(places) == len(PATHS)
    assert places == sorted(places, key=lambda place: order_key(place.encode()))


def test_databases_are_wanted_without_their_users() -> None:
    places = places_of(selection_of(parts=(WantedPart("database", None),)), listing_of())

    assert places == ["/database/shop/shop.sql"]


@pytest.mark.parametrize(
    ("glob", "places"),
    [
        ("b/c", ["/files", "/files/b", "/files/b/c", "/files/b/c/1"]),
        ("b/*/1", ["/files", "/files/b", "/files/b/c", "/files/b/c/1", "/files/b/d", "/files/b/d/1"]),
        ("/b/d/1", ["/files", "/files/b", "/files/b/d", "/files/b/d/1"]),
        ("a\\*c", ["/files", "/files/a*c", "/files/a*c/1"]),
        ("a*c/1", ["/files", "/files/a*c", "/files/a*c/1", "/files/abc", "/files/abc/1"]),
        ("nothing", []),
    ],
)
def test_paths_bring_the_directories_above_them_and_no_others(glob: str, places: list[str]) -> None:
    assert places_of(selection_of(glob), listing_of()) == places


def test_a_part_that_was_cut_is_wanted_only_by_its_name() -> None:
    cut = ("files//", "database/shop")

    everything = selection_of(cut=cut)
    named = selection_of(parts=(WantedPart("database", "shop"),), cut=cut)
    of_its_kind = selection_of(parts=(WantedPart("database", None),), cut=cut)

    assert everything.left == tuple(sorted(cut))
    assert not {("files", "/"), ("database", "shop")} & everything.parts
    assert not named.left
    assert named.parts == {("database", "shop")}
    assert of_its_kind.left == ("database/shop",)
    assert not of_its_kind.parts


def test_a_part_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"of that kind there are 'shop'\."):
        selection_of(parts=(WantedPart("database", "blog"),))
