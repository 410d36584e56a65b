# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change every single byte that a job has on the server, one at a time, and restore.

What has to hold of each: whoever restores is told, unless nothing that is needed was hit. Nothing is lost but what lies
in the frame of a volume or in the block of a manifest that was hit, and nothing wrong ever gets its name.

The bytes are those that a real server was given. They are changed and read in memory, as there are many of them.
"""

from __future__ import annotations

import random
import shutil
import typing as t
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import restore as restoring
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import order_key
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import open_manifest
from tests.engine.site import NAME
from tests.engine.tidy import manifests_of, points_of
from tests.engine.trees import Tree, tree_of
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
    from tests.engine.site import Option, Site

pytestmark = pytest.mark.timeout(3600)  # with --soak each of them takes minutes

_SAMPLED = 13  # one of so many bytes
_SMALL_BLOCK = 700
_PATHS_TOLD = 5


def make_small_tree(top: Path) -> None:
    """Make a tree with one of each kind at *top*, in few bytes."""
    chance = random.Random(5)
    (top / "a/empty").mkdir(parents=True)
    (top / "b").mkdir()
    (top / "a/text").write_text("all work and no play\n" * 30)
    (top / "a/bytes").write_bytes(chance.randbytes(300))
    (top / "a/again").write_bytes((top / "a/bytes").read_bytes())
    (top / "a/nothing").touch()
    (top / "b/other name").hardlink_to(top / "a/text")
    (top / "b/link").symlink_to("../a/text")


def change_small_tree(top: Path) -> None:
    chance = random.Random(6)
    (top / "a/bytes").write_bytes(chance.randbytes(200))
    (top / "c").write_bytes(chance.randbytes(100))


class Stored:
    """A job's files as the server has them, any byte of which can be changed, and its newest restore point."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.run = points_of(site.job)[-1].run
        self.tree = tree_of(site.source)
        self.storage = FakeStorage()
        for path in sorted(site.server.root.rglob("*")):
            remote = PurePosixPath(path.relative_to(site.server.root))
            if path.is_dir():
                self.storage.directories.add(remote)
            else:
                self.storage.files[remote] = path.read_bytes()
        self.manifest = PurePosixPath(manifests_of(site.job)[-1].relative_to(site.server.root))
        self._reader = open_manifest(manifests_of(site.job)[-1])
        self._entries = list(self._reader.entries())

    @contextmanager
    def flipped(self, path: PurePosixPath, offset: int) -> Iterator[None]:
        """Have another byte at *offset* of *path* for as long as the block lasts."""
        content = self.storage.files[path]
        changed = bytearray(content)
        changed[offset] ^= 1 + offset * 37 % 255
        self.storage.files[path] = bytes(changed)
        yield
        self.storage.files[path] = content

    def hit_in_volume(self, path: PurePosixPath, offset: int) -> set[bytes]:
        """Return what has content in the frame of the volume *path* that the byte at *offset* lies in."""
        return {
            self._name(entry)
            for entry in self._entries
            for place in entry.places
            if path.name in place.volume and place.offset <= offset < place.offset + place.length
        }

    def hit_in_manifest(self, offset: int) -> set[bytes] | None:
        """Return what the block of entries tells that the byte at *offset* lies in; None if it is another block."""
        blocks = self._reader.trailer.blocks
        for number, block in enumerate(blocks[1:], 1):
            if block.offset <= offset < block.offset + block.length:
                behind = order_key(blocks[number + 1].first) if number + 1 < len(blocks) else None
                return {
                    self._name(entry)
                    for entry in self._entries
                    if order_key(block.first) <= order_key(entry.path)
                    and (behind is None or order_key(entry.path) < behind)
                }
        return None

    def _name(self, entry: Entry) -> bytes:
        """Return the name that *entry* has in the tree."""
        top = bytes(self.site.source)
        return entry.path[len(top) + 1 :] or b"."

    def restored(self, target: Path) -> tuple[Tree, str | None]:
        """Restore into *target*; return what lies there then, and the sentence of a failure."""
        wish = restoring.Wish(NAME, "nightly", target, point=self.run)
        said = None
        try:
            restoring.restore(self.site.registry, self.site.host, wish, check_mode=False)
        except DamageError as error:
            said = str(error)
        top = target / self.site.source.relative_to("/")
        tree = tree_of(top) if top.exists() else {}
        shutil.rmtree(target, ignore_errors=True)
        return tree, said


def assert_is_right(tree: Tree, wanted: Tree, lost: set[bytes], said: str | None) -> None:
    """Assert that *tree* has all that is *wanted* but for what is *lost*, and that this was said."""
    missing = wanted.keys() - tree.keys()
    assert tree.keys() <= wanted.keys()
    assert missing <= lost
    for name in tree.keys() - lost:
        assert tree[name]._replace(names=()) == wanted[name]._replace(names=())
    for name in tree.keys() & lost:  # a directory is made all the same for what lies in it
        assert (tree[name].digest, tree[name].size) == (wanted[name].digest, wanted[name].size)
    if said is None:
        assert tree == wanted


@pytest.fixture(
    params=[("deduplicated", "none"), ("incremental", "gzip"), ("deduplicated", "zstd")], ids=lambda param: param[1]
)
def stored(request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Two runs into one pool, the manifests in small blocks; restores read what is stored from memory."""
    structure, compression = request.param
    options: dict[str, Option] = {"structure": structure, "compression": compression, "last": 1}
    monkeypatch.setattr(manifest, "_BLOCK", _SMALL_BLOCK)
    make_small_tree(site.source)
    site.back_up(**options)
    change_small_tree(site.source)
    site.back_up(**options)
    site.forget()
    stored = Stored(site)

    @contextmanager
    def in_memory(*_arguments: object, **_options: object) -> Iterator[FakeStorage]:
        yield stored.storage

    monkeypatch.setattr(restoring, "open_storage", in_memory)
    return stored


def test_a_byte_that_flips_in_a_volume_costs_no_more_than_its_frame(
    stored: Stored, tmp_path: Path, *, soak: bool
) -> None:
    volumes = [path for path in stored.storage.files if path.parent.name == "v00"]
    assert len(volumes) == 2
    untold = 0
    for volume in volumes:
        for offset in range(0, len(stored.storage.files[volume]), 1 if soak else _SAMPLED):
            lost = stored.hit_in_volume(volume, offset)

            with stored.flipped(volume, offset):
                tree, said = stored.restored(tmp_path / "target")

            assert_is_right(tree, stored.tree, lost, said)
            assert (said is None) or stored.tree.keys() - tree.keys() == lost
            if said is not None and len(lost) <= _PATHS_TOLD:
                assert all(f"{stored.site.source}/{name.decode()}" in said for name in lost)
            untold += said is None and bool(lost)
    # Without compression a frame is content alone; others have bits that mean nothing.
    assert untold == 0 or volumes[0].suffix != ".tar"


def test_a_byte_that_flips_in_a_manifest_costs_no_more_than_its_block(
    stored: Stored, tmp_path: Path, *, soak: bool
) -> None:
    assert len(open_manifest(manifests_of(stored.site.job)[-1]).trailer.blocks) > 3
    for offset in range(0, len(stored.storage.files[stored.manifest]), 1 if soak else _SAMPLED):
        lost = stored.hit_in_manifest(offset)

        with stored.flipped(stored.manifest, offset):
            tree, said = stored.restored(tmp_path / "target")

        if lost is not None:
            assert said is not None
            assert_is_right(tree, stored.tree, lost, said)
        else:  # the header, the trailer or the footer
            assert said is None
            assert tree == stored.tree
