# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage stops no backup and costs no more than it must: manifests, their copies on the host, notes and volumes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import typing as t
import zlib
from contextlib import contextmanager
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError, InterruptedTransferError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import ManifestCache, list_points
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from tests.engine.child import Strike
from tests.engine.site import NAME
from tests.engine.test_locking import STOPPED_BEFORE_COMMIT
from tests.engine.test_order_of_deeds import DEAD_RUN, files_of, put
from tests.engine.test_rotation import AS_ONE_WHO_MAY_NOT_READ_ALL
from tests.engine.tidy import assert_tidy, manifests_of, points_of
from tests.engine.trees import change_tree, make_tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import StoredPoint
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Reader, Storage
    from tests.engine.site import Option, Site


def copies_of(site: Site) -> list[Path]:
    """Return the host's own copies of manifests, oldest first."""
    return sorted((site.home / "var").rglob("*.manifest.gz"), key=lambda path: path.name)


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


def damage_entries(manifest: Path) -> None:
    """Break the first block of entries, which comes behind that of the header."""
    header = zlib.decompressobj(31)
    content = manifest.read_bytes()
    header.decompress(content)
    flip(manifest, len(content) - len(header.unused_data) + 20)


def damage_footer(manifest: Path) -> None:
    flip(manifest, -20)


def foretold(site: Site, **options: Option) -> Outcome:
    return back_up(site.registry, site.host, site.request(**options), check_mode=True)


# copies on the host


@pytest.mark.parametrize("damage", [damage_entries, damage_footer])
def test_a_damaged_copy_is_fetched_anew_and_the_backup_goes_on_from_it(
    site: Site, damage: t.Callable[[Path], None]
) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    size = sum(path.stat().st_size for path in site.job.rglob("*.tar.gz"))
    (copy,) = copies_of(site)
    damage(copy)

    outcome = site.back_up(last=1)

    assert outcome.warnings == ()
    assert outcome.values["bytes_sent"] < size / 2
    assert site.restored() == tree_of(site.source)
    assert_tidy(site.job)


@pytest.mark.parametrize("damage", [damage_entries, damage_footer])
def test_a_damaged_copy_never_makes_restore_bring_back_older_data(site: Site, damage: t.Callable[[Path], None]) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    change_tree(site.source, 1)
    site.back_up()
    copy = copies_of(site)[-1]
    damage(copy)
    damaged = copy.read_bytes()

    outcome = restore(site.registry, site.host, Wish(NAME, "nightly", site.home / "back"), check_mode=False)

    assert tree_of(site.home / "back" / site.source.relative_to("/")) == tree_of(site.source)
    assert outcome.warnings == ()
    assert copy.read_bytes() == damaged, "a restore leaves the state of the host as it is"


def test_a_copy_in_the_state_directory_that_is_damaged_is_replaced_beside_it(site: Site, tmp_path: Path) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    (copy,) = copies_of(site)
    damage_entries(copy)

    with site.storage() as storage:
        cache = ManifestCache(tmp_path / "scratch", copy.parent)
        stored = point_of(site, storage)
        assert cache.path_of(stored) == copy
        cache.reader(storage, stored).prove()

    assert cache.path_of(stored) == tmp_path / "scratch" / copy.name
    with pytest.raises(DamageError):
        ManifestCache(copy.parent).whole(t.cast("Storage", Unreachable()), stored)


# a block of entries that is damaged on the storage


def test_a_damaged_base_is_sent_anew_told_and_rotated_out_like_any_other(site: Site) -> None:
    make_tree(site.source, big=0)
    for number in (1, 2):
        site.back_up(last=2)
        change_tree(site.source, number)
    damage_entries(manifests_of(site.job)[0])
    site.forget()

    dry = foretold(site, last=2)
    outcomes = [site.back_up(last=2) for _number in range(3)]

    assert len(outcomes[0].warnings) == 1
    assert "is damaged from byte" in outcomes[0].warnings[0]
    assert "sent anew" in outcomes[0].warnings[0]
    assert dry.warnings == outcomes[0].warnings
    assert dry.values["pruned"] == outcomes[0].values["pruned"]
    assert [point["seq"] for point in outcomes[0].values["pruned"]] == [1]
    assert [outcome.warnings for outcome in outcomes[1:]] == [(), ()]
    assert_tidy(site.job)
    for point in points_of(site.job):
        assert site.restored(point.run) == tree_of(site.source)


def test_a_damaged_point_is_never_the_complete_one_that_stays_instead_of_a_good_one(site: Site) -> None:
    make_tree(site.source, big=0)
    for _number in range(2):
        site.back_up(last=2)
    good = tree_of(site.source)
    damage_entries(manifests_of(site.job)[1])
    site.forget()
    (site.source / "etc/secret").write_bytes(b"another secret")
    (site.source / "etc/secret").chmod(0)

    for _number in range(3):
        with site.start(Strike(), AS_ONE_WHO_MAY_NOT_READ_ALL, last=2) as run:
            assert not run.result()["point"]["complete"]

        assert {1, 2} <= {int(path.name[:6]) for path in manifests_of(site.job)}, "damage makes nothing go either"
    first = names.run_of(manifests_of(site.job)[0].name)
    assert first is not None
    assert site.restored(first) == good

    (site.source / "etc/secret").chmod(0o600)
    for _number in range(2):
        site.back_up(last=2)
    assert len(points_of(site.job)) == 2
    assert_tidy(site.job)


# fetching a manifest


class Unreachable:
    """A storage that must not be asked for anything."""

    def open(self, path: PurePosixPath) -> t.NoReturn:
        raise DamageError(f"{path} was asked for")


class Breaking:
    """A storage from which the first *times* transfers break after some bytes, or just end there."""

    def __init__(self, storage: Storage, times: int, *, is_told: bool) -> None:
        self._storage = storage
        self._times = times
        self._is_told = is_told

    @contextmanager
    def open(self, path: PurePosixPath) -> Iterator[Reader]:
        self._times -= 1
        with self._storage.open(path) as reader:
            yield reader if self._times < 0 else t.cast("Reader", self._Broken(reader, is_told=self._is_told))

    class _Broken:
        def __init__(self, reader: Reader, *, is_told: bool) -> None:
            self._reader = reader
            self._is_told = is_told
            self._rest = 100

        def read(self, size: int) -> memoryview:
            if not self._rest and self._is_told:
                raise InterruptedTransferError("The transfer broke.")
            content = self._reader.read(min(size, self._rest))
            self._rest = 0
            return content


def point_of(site: Site, storage: Storage) -> StoredPoint:
    (point,) = list_points(storage, PurePosixPath(site.job.relative_to(site.server.root))).points
    return point


@pytest.mark.parametrize("is_told", [True, False])
def test_a_transfer_of_a_manifest_that_breaks_is_tried_again(site: Site, tmp_path: Path, *, is_told: bool) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    pauses: list[float] = []

    with site.storage() as storage:
        cache = ManifestCache(tmp_path / "copies", pause=pauses.append)
        read = cache.read(t.cast("Storage", Breaking(storage, 3, is_told=is_told)), point_of(site, storage))

    assert read.trailer.complete
    assert len(pauses) == 3
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [manifests_of(site.job)[0].name]


@pytest.mark.parametrize(("is_told", "error"), [(True, InterruptedTransferError), (False, DamageError)])
def test_a_manifest_that_never_comes_whole_is_given_up_and_leaves_no_copy(
    site: Site, tmp_path: Path, *, is_told: bool, error: type[Exception]
) -> None:
    make_tree(site.source, big=0)
    site.back_up()

    with site.storage() as storage:
        cache = ManifestCache(tmp_path / "copies", pause=lambda _seconds: None)
        stored = point_of(site, storage)
        with pytest.raises(error):
            cache.read(t.cast("Storage", Breaking(storage, 4, is_told=is_told)), stored)
        assert not cache.has(stored)


def test_what_a_killed_run_left_of_a_copy_goes_and_that_of_a_living_one_stays(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    directory = copies_of(site)[0].parent
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = directory / f"000009-{DEAD_RUN}.manifest.gz.{dead.pid}.tmp"
    living = directory / f"000009-{DEAD_RUN}.manifest.gz.1.tmp"
    for path in (left, living):
        path.write_bytes(b"half a manifest")

    site.back_up()

    assert not left.exists()
    assert living.exists()


# volumes


def test_a_fresh_point_that_lacks_a_volume_does_not_count_as_fresh(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up()
    volume = next(site.job.rglob("*.tar.gz"))
    volume.unlink()

    dry = foretold(site, force=False)
    outcome = site.back_up(force=False)

    assert (outcome.changed, outcome.values["point"]["seq"]) == (True, 2)
    assert len(outcome.warnings) == 1
    assert volume.name in outcome.warnings[0]
    assert "does not count as fresh" in outcome.warnings[0]
    assert (dry.changed, dry.warnings) == (outcome.changed, outcome.warnings)
    assert not site.back_up(force=False).changed
    assert site.restored() == tree_of(site.source)


# notes


def test_leftovers_are_swept_once_a_damaged_note_is_gone(site: Site) -> None:
    make_tree(site.source, big=0)
    site.back_up(last=1)
    note = put(manifests_of(site.job)[0].with_name("000000.gone"), b"{")
    leftover = put(site.job / "s01/v00" / f"{DEAD_RUN}-000000.tar.gz")
    noted = put(site.job / "s01/v00" / f"{DEAD_RUN}-000001.tar.gz")
    volumes = json.dumps({"points": [], "volumes": [f"s01/v00/{noted.name}"]}).encode()
    other = put(note.with_name("000000000.gone"), volumes)
    site.forget()

    outcome = site.back_up(last=1)

    assert {path.relative_to(site.job) for path in (leftover, noted, other)} <= files_of(site.job)
    assert [point["seq"] for point in outcome.values["pruned"]] == [1]
    (warning,) = outcome.warnings
    assert "000000.gone on the storage is damaged. Until it is removed, what it means to delete stays" in warning
    note.unlink()
    assert site.back_up(last=1).warnings == ()
    assert_tidy(site.job)


# on the host


def test_check_mode_foretells_what_cannot_be_read_and_that_it_keeps_the_last_complete_point(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(site.source, big=0)
    site.back_up(structure="full", last=1)
    locked = site.source / "nobody's"
    locked.write_bytes(b"secret")
    really_open = os.open

    def refuse(path: str | bytes | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.fsencode(path) == os.fsencode(locked):
            raise PermissionError(errno.EACCES, "Permission denied")
        return really_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    request = site.request(structure="full", last=1)
    foretold, done = (back_up(site.registry, site.host, request, check_mode=mode).values for mode in (True, False))

    told = ("complete", "entries", "bytes", "problems")
    assert [foretold["point"][key] for key in told] == [done["point"][key] for key in told]
    assert done["point"]["problems"] == [{"path": str(locked), "problem": "Permission denied"}]
    assert foretold["pruned"] == done["pruned"] == []


# months


@pytest.mark.parametrize("days", [0, 31])
@pytest.mark.parametrize("strike", [STOPPED_BEFORE_COMMIT, Strike(pattern=r"^STOR [^\n]*manifest")])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_month_of_a_killed_run_goes_with_what_it_left(
    site: Site, strike: Strike, days: int, *, is_first: bool
) -> None:
    make_tree(site.source, big=0)
    if not is_first:
        site.later(days=-62).back_up(last=1)
    site.kill_run(strike._replace(number=signal.SIGKILL), last=1)
    assert list(site.job.glob("points/*"))

    site.later(days=days).back_up(last=1)

    assert_tidy(site.job)
