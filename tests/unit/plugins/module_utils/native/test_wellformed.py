# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries, headers and trailers a restore follows: those of the format, and no others."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    Block,
    Entry,
    Header,
    Part,
    Place,
    Problem,
    Rules,
    Trailer,
    VolumeUse,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.wellformed import (
    is_path,
    require_entry,
    require_manifest,
)

VOLUME = "v00/20261122t030000z-1f9c2a-000000.tar.gz"
PLAIN = "v00/20261122t030000z-1f9c2a-000001.tar"
VOLUMES = {VOLUME: VolumeUse(9, 1000, 99, 99), PLAIN: VolumeUse(1, 1000, 9, 9)}
PLACE = Place(VOLUME, 0, 400, 512, 7)
FILE = Entry(b"/srv/file", "f", 0o644, 0, 0, "root", "root", 10**18, 7, "d" * 64, places=(PLACE,))
OTHER = Entry(b"/srv/other", "d", 0o755, 0, 0, "root", "root", -1)
HALVES = tuple(PLACE._replace(size=size, digest=hashlib.sha256(b"%d" % size).hexdigest()) for size in (3, 4))
WHOLE = hashlib.sha256(b"".join(bytes.fromhex(place.digest) for place in HALVES)).hexdigest()


@pytest.mark.parametrize(
    "entry",
    [
        FILE,
        FILE._replace(kind="h", path=b"/srv/name", target=b"/srv/file"),
        FILE._replace(size=0, places=()),
        FILE._replace(places=HALVES, digest=WHOLE),
        FILE._replace(size=10**12, extents=((0, 3), (10**6, 4))),
        FILE._replace(size=10**12, extents=((0, 0),), places=()),
        FILE._replace(places=(Place(PLAIN, 512, 7, 0, 7),)),
        FILE._replace(xattrs=(("user.comment", b"\0"),)),
        OTHER,
        OTHER._replace(kind="l", target=b"\xff"),
        OTHER._replace(kind="c", device=(1, 3)),
        OTHER._replace(kind="p"),
    ],
)
def test_what_the_format_allows_is_followed(entry: Entry) -> None:
    require_entry(entry, VOLUMES)


WRONG: list[tuple[Entry, dict[str, t.Any]]] = [
    (OTHER, {"kind": "x"}),
    (OTHER, {"kind": ["d"]}),
    (OTHER, {"mode": 0o10000}),
    (OTHER, {"mode": "0755"}),
    (OTHER, {"uid": -1}),
    (OTHER, {"gid": 2**32 - 1}),
    (OTHER, {"user": None}),
    (OTHER, {"group": 7}),
    (OTHER, {"mtime": 2**63}),
    (OTHER, {"mtime": 1.5}),
    (OTHER, {"xattrs": (("no namespace", b""),)}),
    (OTHER, {"xattrs": (("user.\0", b""),)}),
    (OTHER, {"xattrs": (("user.\ud800", b""),)}),
    (OTHER, {"kind": "l"}),
    (OTHER, {"kind": "l", "target": b"a\0b"}),
    (OTHER, {"kind": "b"}),
    (OTHER, {"kind": "b", "device": (-1, 0)}),
    (OTHER, {"kind": "b", "device": ("1", 0)}),
    (FILE, {"size": -1}),
    (FILE, {"size": 2**63}),
    (FILE, {"size": "7"}),
    (FILE, {"size": 8}),
    (FILE, {"digest": None}),
    (FILE, {"kind": "h", "target": b"/srv/later"}),
    (FILE, {"kind": "h", "target": b"../etc/passwd"}),
    (FILE, {"places": HALVES}),
    (FILE, {"places": HALVES[::-1], "digest": WHOLE}),
    (FILE, {"extents": ((0, 7),), "size": 6}),
    (FILE, {"extents": ((0, 6),)}),
    (FILE, {"extents": ((-7, 7),)}),
    (FILE, {"extents": ((0, 4), (3, 3)), "size": 20}),
    (FILE, {"extents": ((10, 4), (0, 3)), "size": 20}),
    (FILE, {"extents": ((0, 7), (2**70, 0)), "size": 20}),
    (FILE, {"extents": (("0", 7),), "size": 20}),
    (FILE, {"extents": ((0, 7), *(((7 + n, 0)) for n in range(6000))), "size": 10**6}),
]


@pytest.mark.parametrize(("entry", "changes"), WRONG)
def test_an_entry_that_is_not_of_the_format_is_damage(entry: Entry, changes: dict[str, t.Any]) -> None:
    with pytest.raises(DamageError, match="its entry is damaged: there is no such"):
        require_entry(entry._replace(**changes), VOLUMES)


@pytest.mark.parametrize(
    "changes",
    [
        {"volume": "v00/20261122t030000z-1f9c2a-000009.tar.gz"},
        {"volume": ["v00"]},
        {"offset": -1},
        {"offset": 601},
        {"offset": "0"},
        {"length": 2**60},
        {"length": -400},
        {"start": -1},
        {"start": 2**24},
        {"size": 0},
        {"size": 2**60},
        {"volume": PLAIN},
        {"digest": 7},
    ],
)
def test_a_place_that_cannot_be_is_damage(changes: dict[str, t.Any]) -> None:
    place = PLACE._replace(**changes)

    with pytest.raises(DamageError):
        require_entry(FILE._replace(places=(place,), size=place.size), VOLUMES)


@pytest.mark.parametrize("path", [b"/", b"/srv", b"/srv/...", b"/srv/\xff\n", b"/.a/b."])
def test_a_path_that_leads_down_is_one(path: bytes) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path", [b"", b"srv", b"//", b"/srv/", b"/srv//a", b"/.", b"/..", b"/srv/../a", b"/srv/./a", b"/a\0b", b"/srv/.."]
)
def test_a_path_that_leads_elsewhere_is_none(path: bytes) -> None:
    assert not is_path(path)


STARTED = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
HEADER = Header(
    "20261122t030000z-1f9c2a", 42, "web01", "nightly", "incremental", "s03", STARTED, ("/srv",), "d", "0.1.0"
)
TRAILER = Trailer(
    2,
    7,
    complete=True,
    problems=(Problem("/srv/secret", "Permission denied"),),
    parts=(Part("files", "/srv", 2, 7),),
    volumes=VOLUMES,
    blocks=(Block(0, 100, b"", "d"), Block(100, 100, b"/srv", "d")),
)


def test_a_manifest_of_the_format_is_followed() -> None:
    require_manifest("manifest", HEADER, TRAILER, 1000)


@pytest.mark.parametrize(
    "changes",
    [
        {"pool": "../../s01"},
        {"pool": "points"},
        {"pool": "full-" + "x" * 200},
        {"run": "../x"},
        {"run": None},
        {"seq": "42"},
        {"generation": 2**70},
        {"client": 7},
        {"paths": ("srv",)},
        {"paths": ("/srv/../etc",)},
        {"paths": ("/\ud800",)},
        {"paths": (7,)},
        {"rules": Rules(exclude=(7,))},  # type: ignore[arg-type]  # what stands in a manifest may be anything
        {"rules": Rules(marker=7)},  # type: ignore[arg-type]  # the same
    ],
)
def test_a_header_that_is_not_of_the_format_is_damage(changes: dict[str, t.Any]) -> None:
    with pytest.raises(DamageError, match="The manifest manifest is damaged"):
        require_manifest("manifest", replace(HEADER, **changes), TRAILER, 1000)


@pytest.mark.parametrize(
    "changes",
    [
        {"entries": -1},
        {"entries": 10**400},
        {"size": "7"},
        {"complete": "yes"},
        {"problems": (Problem("/srv", 7),)},  # type: ignore[arg-type]  # what stands in a manifest may be anything
        {"parts": (Part("files", "/srv", -1, 7),)},
        {"volumes": {"../../etc/passwd": VolumeUse(1, 1, 1, 1)}},
        {"volumes": {"v00/../x.tar": VolumeUse(1, 1, 1, 1)}},
        {"volumes": {VOLUME: VolumeUse(1, 2**64, 1, 1)}},
        {"blocks": (Block(0, 2**60, b"", "d"),)},
        {"blocks": (Block(-1, 5, b"", "d"),)},
        {"blocks": (*TRAILER.blocks, Block(200, 9, b"/etc", "d"))},
    ],
)
def test_a_trailer_that_is_not_of_the_format_is_damage(changes: dict[str, t.Any]) -> None:
    with pytest.raises(DamageError, match="The manifest manifest is damaged"):
        require_manifest("manifest", HEADER, replace(TRAILER, **changes), 1000)
