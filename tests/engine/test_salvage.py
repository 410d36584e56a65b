# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests whose header, trailer or footer is damaged: a restore reads what is left, and says what it cannot know."""

from __future__ import annotations

import gzip
import json
import typing as t
from functools import partial

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import manifest as manifests
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.salvage import SalvagedManifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from tests.engine.site import NAME
from tests.engine.tidy import manifests_of
from tests.engine.trees import change_tree, make_tree, tree_of

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Header, Trailer
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Site

FOOTER = manifests.FOOTER_SIZE


def runs_of(site: Site) -> list[str]:
    """Return the ids of the restore points, by the names of their manifests."""
    return [path.name.split("-", 1)[1].split(".")[0] for path in manifests_of(site.job)]


class Parts(t.NamedTuple):
    """Where in a manifest what is: offset and end of the header, of each block of entries, and of the trailer."""

    header: tuple[int, int]
    blocks: tuple[tuple[int, int], ...]
    trailer: tuple[int, int]
    footer: tuple[int, int]


def parts_of(manifest: Path) -> Parts:
    size = manifest.stat().st_size
    header, *blocks = [(block.offset, block.offset + block.length) for block in open_manifest(manifest).trailer.blocks]
    return Parts(header, tuple(blocks), (blocks[-1][1], size - FOOTER), (size - FOOTER, size))


def spoil(manifest: Path, *stretches: tuple[int, int]) -> None:
    """Write something else into the middle half of each of *stretches*."""
    content = bytearray(manifest.read_bytes())
    for start, end in stretches:
        for at in range(start + (end - start) // 4, end - (end - start) // 4):
            content[at] ^= 0x5A
    manifest.write_bytes(content)


def restored(site: Site, point: str, *, paths: tuple[str, ...] = (), delete_extra: bool = False) -> Outcome:
    wish = Wish(NAME, "nightly", site.home / "back", point=point, paths=paths, delete_extra=delete_extra)
    return restore(site.registry, site.host, wish, check_mode=False)


@pytest.fixture
def stored(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A ring of two restore points with manifests of several blocks, of which this host has no copies."""
    monkeypatch.setattr(manifests, "_BLOCK", 700)
    make_tree(site.source, big=0)
    site.back_up(last=2)
    change_tree(site.source, 1)
    site.back_up(last=2)
    site.forget()
    return site


HIT = {
    "header": lambda parts: [parts.header],
    "trailer": lambda parts: [parts.trailer],
    "footer": lambda parts: [parts.footer],
    "header and footer": lambda parts: [parts.header, parts.footer],
}


@pytest.mark.parametrize("hit", HIT)
@pytest.mark.parametrize("structure", ["incremental", "full", "deduplicated"])
def test_what_the_entries_tell_is_restored(
    site: Site, structure: str, hit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "_BLOCK", 700)
    make_tree(site.source, big=0)
    site.back_up(structure=structure)
    change_tree(site.source, 1)
    site.back_up(structure=structure)
    site.forget()
    newest = manifests_of(site.job)[-1]
    spoil(newest, *HIT[hit](parts_of(newest)))

    outcome = restored(site, runs_of(site)[-1])

    assert tree_of(site.home / "back" / site.source.relative_to("/")) == tree_of(site.source)
    (warning,) = outcome.warnings
    lost = hit.replace(" and footer", "")
    assert ("could be read all the same" if lost == "footer" else f"the {lost} cannot be read any more") in warning
    assert outcome.values["point"]["job"] == "nightly"
    assert outcome.values["point"]["structure"] == structure


def test_of_all_that_is_lost_only_entries_are_named_as_missing(stored: Site) -> None:
    newest = manifests_of(stored.job)[-1]
    parts = parts_of(newest)
    spoil(newest, parts.trailer, parts.footer, parts.blocks[2])

    with pytest.raises(DamageError, match="could not be restored, everything else was"):
        restored(stored, runs_of(stored)[-1])

    tree, back = tree_of(stored.source), tree_of(stored.home / "back" / stored.source.relative_to("/"))
    assert len(back) > len(tree) / 2
    assert {name: entry for name, entry in back.items() if tree[name].digest != entry.digest} == {}


def test_where_header_and_trailer_are_lost_nobody_can_tell_whether_entries_are(stored: Site) -> None:
    newest = manifests_of(stored.job)[-1]
    parts = parts_of(newest)
    spoil(newest, parts.header, parts.trailer)

    with pytest.raises(DamageError, match=r"^One thing could not be restored, everything else was: / and what follows"):
        restored(stored, runs_of(stored)[-1])

    assert tree_of(stored.home / "back" / stored.source.relative_to("/")) == tree_of(stored.source)


def test_a_whole_restore_point_is_preferred_to_a_newer_one_that_has_lost_its_trailer(stored: Site) -> None:
    newest = manifests_of(stored.job)[-1]
    spoil(newest, parts_of(newest).trailer)

    outcome = restored(stored, "latest")

    assert outcome.values["point"]["seq"] == 1
    assert "A newer restore point was passed over" in outcome.warnings[0]


def test_where_none_is_whole_the_newest_serves(stored: Site) -> None:
    for manifest in manifests_of(stored.job):
        spoil(manifest, parts_of(manifest).trailer)

    outcome = restored(stored, "latest")

    assert outcome.values["point"]["seq"] == 2
    assert "No restore point is whole" in outcome.warnings[0]
    assert "the trailer cannot be read any more" in outcome.warnings[1]
    assert tree_of(stored.home / "back" / stored.source.relative_to("/")) == tree_of(stored.source)


@pytest.mark.parametrize("hit", HIT)
def test_one_file_can_be_had(stored: Site, hit: str) -> None:
    newest = manifests_of(stored.job)[-1]
    spoil(newest, *HIT[hit](parts_of(newest)))
    file = next(path for path in sorted(stored.source.rglob("*")) if path.is_file() and path.stat().st_size)

    outcome = restored(stored, runs_of(stored)[-1], paths=(str(file),))

    assert outcome.values["restored"]["files"] == 1
    assert (stored.home / "back" / file.relative_to("/")).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("hit", ["header", "trailer"])
def test_nothing_is_deleted_where_nobody_can_tell_what_is_extra(stored: Site, hit: str) -> None:
    newest = manifests_of(stored.job)[-1]
    spoil(newest, *HIT[hit](parts_of(newest)))
    extra = stored.home / "back" / stored.source.relative_to("/") / "extra"
    extra.parent.mkdir(parents=True)
    extra.touch()

    with pytest.raises(DamageError, match=f"the {hit} cannot be read any more.*Nothing was restored"):
        restored(stored, runs_of(stored)[-1], delete_extra=True)

    assert list(extra.parent.iterdir()) == [extra]


def test_without_its_footer_alone_everything_is_known(stored: Site) -> None:
    newest = manifests_of(stored.job)[-1]
    spoil(newest, parts_of(newest).footer)
    extra = stored.home / "back" / stored.source.relative_to("/") / "extra"
    extra.parent.mkdir(parents=True)
    extra.touch()

    outcome = restored(stored, runs_of(stored)[-1], delete_extra=True)

    assert not extra.exists()
    assert outcome.values["restored"]["deleted"] == 1


# what is read


def no_guess(_trailer: Trailer) -> Header:
    raise AssertionError("the header is there")


def _keep(damaged: list[DamageError], _first: bytes, error: DamageError) -> None:
    damaged.append(error)


def salvaged(content: bytes) -> SalvagedManifest:
    return SalvagedManifest(lambda at, length: content[at : at + length], len(content), "m.manifest.gz", no_guess)


def test_what_is_counted_is_what_the_trailer_told(stored: Site) -> None:
    newest = manifests_of(stored.job)[-1]
    told = open_manifest(newest).trailer
    spoil(newest, parts_of(newest).trailer)

    reader = salvaged(newest.read_bytes())

    counted = reader.trailer
    assert (counted.entries, counted.size, counted.parts) == (told.entries, told.size, told.parts)
    assert counted.volumes.keys() == told.volumes.keys()
    assert all(counted.volumes[name].stored <= use.stored for name, use in told.volumes.items())
    assert [(block.offset, block.first) for block in counted.blocks[1:]] == [
        (block.offset, block.first) for block in told.blocks[1:]
    ]
    assert reader.unknown == "trailer"
    assert len(list(reader.entries())) == told.entries


def test_what_was_cut_off_may_have_been_more_entries(stored: Site) -> None:
    newest = manifests_of(stored.job)[-1]
    parts = parts_of(newest)
    content = newest.read_bytes()

    for end in (parts.blocks[1][1] - 1, parts.blocks[1][1] + 1, parts.trailer[0] + 5):
        reader = salvaged(content[:end])
        damaged: list[DamageError] = []
        entries = list(reader.entries(on_damage=partial(_keep, damaged)))

        assert len(damaged) == 1
        assert 0 < len(entries) < len(list(salvaged(content).entries()))


@pytest.mark.parametrize("volume", ["../../../job.json", "/etc/passwd", "", 1, [], None])
def test_what_is_no_name_of_a_volume_is_looked_for_nowhere(stored: Site, volume: object) -> None:
    newest = manifests_of(stored.job)[-1]
    place = [volume, 0, 812, 512, 11]
    file = {"p": "/srv/a", "t": "f", "m": 420, "u": 0, "g": 0, "un": "", "gn": "", "mt": 0, "s": 11, "h": "0" * 64}
    newest.write_bytes(gzip.compress(json.dumps({**file, "ino": "1:1", "ct": 0, "at": [place]}).encode() + b"\n"))

    with pytest.raises(DamageError, match="is damaged"):
        restored(stored, runs_of(stored)[-1])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x1f\x8b\x08" * 50_000, id="marks of members"),
        pytest.param(gzip.compress(b"\n"), id="no JSON"),
        pytest.param(gzip.compress(b"[1]\n"), id="no object"),
        pytest.param(gzip.compress(b'{"p":1}\n'), id="no path"),
        pytest.param(gzip.compress(b'{"p":"/"}\n'), id="no entry"),
        pytest.param(gzip.compress(b"[" * 100_000), id="depth"),
        pytest.param(gzip.compress(bytes(65 * 1024 * 1024)), id="more than a block may hold"),
    ],
)
def test_of_what_is_no_manifest_nothing_can_be_read(content: bytes) -> None:
    with pytest.raises(DamageError, match=r"m\.manifest\.gz is damaged"):
        salvaged(content)


def test_roots_that_nobody_tells_are_not_guessed_without_end() -> None:
    lines = b"".join(
        b'{"p":"/%05d","t":"d","m":493,"u":0,"g":0,"un":"","gn":"","mt":0}\n' % number for number in range(20_000)
    )

    with pytest.raises(DamageError, match="/10000 lies below none"):
        salvaged(gzip.compress(lines))
