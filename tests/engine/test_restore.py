# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that meet something: what was there already, damage on the server, obstacles on the host, and their end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import typing as t
import zlib
from pathlib import Path, PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    LocalError,
    UnreachableError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import fetch, manifest
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Rules
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring import deciding
from tests.engine.site import NAME
from tests.engine.tidy import manifests_of
from tests.engine.trees import make_tree, tree_of
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Option, Site

IN_PLACE = Path("/")
STORED = b"stored content"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give files away.")


def bring_back(site: Site, target: Path = IN_PLACE, *, check_mode: bool = False, **options: Option) -> Outcome:
    wish = Wish(NAME, "nightly", target, **options)
    return restore(site.registry, site.host, wish, check_mode=check_mode, shows=True)


def bring_back_in_vain(site: Site, target: Path = IN_PLACE, **options: Option) -> BackupError:
    """Return the error of a restore that must fail."""
    with pytest.raises(BackupError) as raised:
        bring_back(site, target, **options)
    return raised.value


def below(site: Site, target: Path) -> Path:
    """Return where the tree of *site* lies once it is restored into *target*."""
    return target / site.source.relative_to("/")


def lose_volumes(site: Site, slot: str = "s01") -> None:
    for volume in site.job.glob(f"{slot}/*/*"):
        volume.unlink()


def break_block(path: Path, number: int) -> None:
    """Spoil the gzip member *number* of a manifest; the first holds its header."""
    content = bytearray(path.read_bytes())
    start = 0
    for _member in range(number):
        unpacker = zlib.decompressobj(31)
        unpacker.decompress(bytes(content[start:]))
        start = len(content) - len(unpacker.unused_data)
    content[start + 20] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def two_names(site: Site) -> Site:
    """A site with a restore point of one file with the names `a` and `b`."""
    site.source.mkdir()
    (site.source / "a").write_bytes(STORED)
    (site.source / "b").hardlink_to(site.source / "a")
    site.back_up()
    return site


# -- hard links


def test_all_names_of_a_file_that_was_changed_in_place_get_what_is_stored(two_names: Site) -> None:
    (two_names.source / "a").write_bytes(b"ransomware!!!!")

    bring_back(two_names)

    assert [(two_names.source / name).read_bytes() for name in "ab"] == [STORED, STORED]
    assert (two_names.source / "a").samefile(two_names.source / "b")
    assert not bring_back(two_names).changed


def test_all_names_stay_one_file_when_everything_is_written_anew(two_names: Site) -> None:
    bring_back(two_names, overwrite="always")

    assert (two_names.source / "a").samefile(two_names.source / "b")
    assert (two_names.source / "a").stat().st_nlink == 2


def test_an_other_name_that_is_there_is_left_when_nothing_may_be_overwritten(two_names: Site) -> None:
    (two_names.source / "a").unlink()
    (two_names.source / "b").unlink()
    (two_names.source / "b").write_bytes(b"the user's new file")

    bring_back(two_names, overwrite="never")

    assert (two_names.source / "a").read_bytes() == STORED
    assert (two_names.source / "b").read_bytes() == b"the user's new file"


def test_no_name_is_linked_to_a_file_that_was_left_as_it_is(two_names: Site) -> None:
    (two_names.source / "a").unlink()
    (two_names.source / "b").unlink()
    (two_names.source / "a").write_bytes(b"the user's new file")

    bring_back(two_names, overwrite="never")

    assert (two_names.source / "a").read_bytes() == b"the user's new file"
    assert (two_names.source / "b").read_bytes() == STORED


def test_a_name_is_linked_to_a_file_that_was_left_and_is_what_is_stored(two_names: Site) -> None:
    (two_names.source / "b").unlink()

    outcome = bring_back(two_names, overwrite="never")

    assert (two_names.source / "a").samefile(two_names.source / "b")
    assert outcome.values["restored"]["links"] == 1


def test_no_name_is_linked_to_a_stale_file_when_its_first_name_could_not_be_had(two_names: Site) -> None:
    (two_names.source / "b").unlink()
    (two_names.source / "a").write_bytes(b"old and wrong")
    lose_volumes(two_names)

    error = bring_back_in_vain(two_names)

    assert not (two_names.source / "b").exists()
    assert (two_names.source / "a").read_bytes() == b"old and wrong"
    assert isinstance(error, DamageError)
    assert str(error).startswith("2 things could not be restored")


def test_an_other_name_gets_the_content_for_itself_when_the_first_is_blocked(two_names: Site) -> None:
    source = two_names.source
    (source / "c").hardlink_to(source / "b")
    two_names.back_up()
    for name in "abc":
        (source / name).unlink()
    (source / "a/mine").mkdir(parents=True)

    error = bring_back_in_vain(two_names)

    assert (source / "b").read_bytes() == STORED
    assert (source / "b").samefile(source / "c")
    assert (source / "a/mine").is_dir()
    assert isinstance(error, LocalError)
    assert str(error).startswith("One thing could not be restored")


# -- what was there already


def replaced_directory(site: Site) -> Path:
    """Back up a directory with a file in it, remove it, and return where it was."""
    directory = site.source / "d"
    directory.mkdir(parents=True)
    (directory / "f").write_bytes(STORED)
    (directory / "link").symlink_to("f")
    (directory / "empty").touch()
    (site.source / "z").write_bytes(b"beside it")
    site.back_up()
    shutil.rmtree(directory)
    return directory


def test_a_file_is_not_lost_for_a_directory_that_nothing_could_be_fetched_for(site: Site) -> None:
    directory = replaced_directory(site)
    directory.write_bytes(b"the user's file")
    lose_volumes(site)

    bring_back_in_vain(site)

    assert directory.read_bytes() == b"the user's file"


def test_a_link_is_not_lost_for_a_directory_that_nothing_could_be_fetched_for(site: Site, tmp_path: Path) -> None:
    directory = replaced_directory(site)
    (tmp_path / "larger disk").mkdir()
    directory.symlink_to(tmp_path / "larger disk")
    lose_volumes(site)

    error = bring_back_in_vain(site)

    assert directory.is_symlink()
    assert list((tmp_path / "larger disk").iterdir()) == []
    assert isinstance(error, DamageError)


def test_a_file_is_not_lost_for_a_directory_whose_entries_are_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_BLOCK", 1)
    directory = replaced_directory(site)
    directory.write_bytes(b"the user's file")
    for number in (5, 4):
        break_block(manifests_of(site.job)[0], number)
    site.forget()

    bring_back_in_vain(site)

    assert directory.read_bytes() == b"the user's file"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_in_the_way_of_a_directory_goes_once_content_has_come(site: Site, tmp_path: Path, kind: str) -> None:
    directory = replaced_directory(site)
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        directory.write_bytes(b"the user's file")
    else:
        directory.symlink_to(tmp_path / "elsewhere")
    foretold = bring_back(site, check_mode=True)

    outcome = bring_back(site)

    assert not directory.is_symlink()
    assert (directory / "f").read_bytes() == STORED
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert outcome.values["restored"] == foretold.values["restored"]
    assert not bring_back(site).changed


def test_what_is_in_the_way_of_an_empty_directory_goes(site: Site) -> None:
    (site.source / "empty").mkdir(parents=True)
    site.back_up()
    (site.source / "empty").rmdir()
    (site.source / "empty").write_bytes(b"a file")

    bring_back(site)

    assert (site.source / "empty").is_dir()


@needs_root
@pytest.mark.parametrize("is_known_here", [True, False])
def test_directories_above_what_is_selected_are_as_they_were(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, is_known_here: bool
) -> None:
    monkeypatch.setattr(manifest, "_BLOCK", 1)  # each entry is in a block of its own
    (site.source / "secret/x").mkdir(parents=True)
    (site.source / "secret/x/file").write_bytes(STORED)
    (site.source / "secret").chmod(0o700)
    os.chown(site.source / "secret", 1234, 4321)
    (site.source / "beside").mkdir()
    site.back_up()
    if not is_known_here:
        site.forget()
    target = site.home / "restored"

    outcome = bring_back(site, target, paths=(f"{site.source}/secret/x",))

    status = (below(site, target) / "secret").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o700, 1234, 4321)
    assert status.st_mtime_ns == (site.source / "secret").stat().st_mtime_ns
    assert (below(site, target) / "secret/x/file").read_bytes() == STORED
    assert not (below(site, target) / "beside").exists()
    assert outcome.values["restored"]["directories"] == 3
    assert not bring_back(site, target, paths=(f"{site.source}/secret/x",)).changed


def test_directories_above_what_is_selected_stay_as_they_are_if_they_are_there(site: Site) -> None:
    (site.source / "d").mkdir(parents=True)
    (site.source / "d/file").write_bytes(STORED)
    site.back_up()
    target = site.home / "restored"
    (below(site, target) / "d").mkdir(parents=True)
    (below(site, target) / "d").chmod(0o750)

    bring_back(site, target, paths=(f"{site.source}/d/file",))

    assert stat.S_IMODE((below(site, target) / "d").stat().st_mode) == 0o750


# -- all of it


@pytest.mark.parametrize("window", [1, 7])
def test_a_tree_comes_back_the_same_however_small_the_windows_are(
    site: Site, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(deciding, "_ENOUGH", window)
    monkeypatch.setattr(deciding, "_MOST", window)
    make_tree(site.source)
    site.back_up()
    foretold = bring_back(site, site.home / "restored", check_mode=True)

    outcome = bring_back(site, site.home / "restored")

    assert tree_of(below(site, site.home / "restored")) == tree_of(site.source)
    assert outcome.values["restored"] == foretold.values["restored"]
    assert not bring_back(site, site.home / "restored").changed


def test_what_was_left_out_of_the_backup_survives_the_deletion_of_what_is_extra(site: Site) -> None:
    (site.source / "cache").mkdir(parents=True)
    (site.source / "cache/CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55")
    for name in ("file", "debug.log", "cache/entry"):
        (site.source / name).write_bytes(STORED)
    site.back_up(rules=Rules(exclude=("*.log",), caches=True))
    for name in ("new", "new.log", "cache/new"):
        (site.source / name).write_bytes(b"since then")
    foretold = bring_back(site, delete_extra=True, check_mode=True)
    assert (site.source / "new").exists()

    outcome = bring_back(site, delete_extra=True)

    assert outcome.values["restored"] == foretold.values["restored"]
    assert outcome.values["restored"]["deleted"] == 1
    assert outcome.before is not None
    assert [line for line in outcome.before if line.endswith("  extra: goes")] == [f"{site.source}/new  extra: goes"]
    left = {"cache", "cache/CACHEDIR.TAG", "cache/entry", "cache/new", "debug.log", "file", "new.log"}
    assert {str(path.relative_to(site.source)) for path in site.source.rglob("*")} == left
    assert not bring_back(site, delete_extra=True).changed


def test_a_sparse_file_comes_back_with_its_holes(site: Site) -> None:
    site.source.mkdir()
    with (site.source / "disk").open("wb") as file:
        for offset in (0, 5_000_000, 40_000_000):
            file.seek(offset)
            file.write(os.urandom(70_000))
        file.truncate(100_000_000)
    site.back_up()
    target = site.home / "restored"

    bring_back(site, target)

    restored = below(site, target) / "disk"
    assert restored.read_bytes() == (site.source / "disk").read_bytes()
    assert restored.stat().st_blocks <= (site.source / "disk").stat().st_blocks + 64


# -- damage on the server


def two_points(site: Site) -> None:
    site.source.mkdir()
    for text in (b"one", b"two!"):
        (site.source / "file").write_bytes(text)
        site.back_up()


def test_latest_passes_over_a_restore_point_whose_manifest_is_damaged_in_the_middle(site: Site) -> None:
    two_points(site)
    break_block(manifests_of(site.job)[1], 1)
    site.forget()

    outcome = bring_back(site)

    assert outcome.values["point"]["seq"] == 1
    assert (site.source / "file").read_bytes() == b"one"
    assert manifests_of(site.job)[1].name in outcome.warnings[0]


@pytest.mark.parametrize("paths", [(), ("file",)])
def test_latest_passes_over_a_restore_point_whose_volumes_are_missing(site: Site, paths: tuple[str, ...]) -> None:
    two_points(site)
    (volume,) = site.job.glob("s02/*/*")
    volume.unlink()

    outcome = bring_back(site, site.home / "t", paths=tuple(f"{site.source}/{path}" for path in paths))

    assert outcome.values["point"]["seq"] == 1
    assert (below(site, site.home / "t") / "file").read_bytes() == b"one"
    (warning,) = outcome.warnings
    assert volume.name in warning
    assert "missing" in warning


def test_latest_passes_over_a_restore_point_whose_volume_is_cut_off(site: Site) -> None:
    two_points(site)
    (volume,) = site.job.glob("s02/*/*")
    os.truncate(volume, 100)

    assert bring_back(site).values["point"]["seq"] == 1


def test_where_no_restore_point_is_whole_the_newest_gives_what_it_has(site: Site) -> None:
    two_points(site)
    (site.source / "empty").touch()
    (site.source / "other").write_bytes(b"in another volume")
    site.back_up()
    for slot in ("s01", "s02", "s03"):
        lose_volumes(site, slot)
    target = site.home / "restored"

    error = bring_back_in_vain(site, target)

    assert isinstance(error, DamageError)
    assert [path.name for path in below(site, target).iterdir()] == ["empty"]


def test_a_damaged_block_of_a_manifest_costs_only_what_is_in_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_BLOCK", 1)
    site.source.mkdir()
    for name in "abc":
        (site.source / name).write_bytes(STORED + name.encode())
    point = site.back_up().values["point"]["id"]
    break_block(manifests_of(site.job)[0], 3)
    site.forget()
    target = site.home / "restored"

    error = bring_back_in_vain(site, target, point=point)

    assert sorted(path.name for path in below(site, target).iterdir()) == ["a", "c"]
    assert isinstance(error, DamageError)
    assert f"{site.source}/b" in str(error)


def test_a_point_that_holds_nothing_that_matches_is_no_answer_for_a_damaged_one(site: Site) -> None:
    site.source.mkdir()
    (site.source / "old").write_bytes(b"old")
    site.back_up()
    (site.source / "new").write_bytes(b"new")
    site.back_up()
    lose_volumes(site, "s02")

    error = bring_back_in_vain(site, site.home / "restored", paths=(f"{site.source}/new",))

    assert not isinstance(error, UsageError)
    assert "new" in str(error)


# -- obstacles on the host


def test_what_lies_below_a_link_is_named_and_everything_else_is_restored(site: Site, tmp_path: Path) -> None:
    directory = replaced_directory(site)
    (tmp_path / "larger disk").mkdir()
    directory.symlink_to(tmp_path / "larger disk")
    (site.source / "z").unlink()

    error = bring_back_in_vain(site, overwrite="never")

    assert (site.source / "z").read_bytes() == b"beside it"
    assert list((tmp_path / "larger disk").iterdir()) == []
    assert isinstance(error, LocalError)
    assert str(directory / "f") in str(error)


def test_a_failure_that_can_be_foretold_fails_in_check_mode_as_well(site: Site, tmp_path: Path) -> None:
    replaced_directory(site).symlink_to(tmp_path)
    (site.source / "z").unlink()

    with pytest.raises(LocalError, match="link or no directory"):
        bring_back(site, overwrite="never", check_mode=True)

    assert not (site.source / "z").exists()


def test_a_file_that_cannot_be_read_for_comparison_is_restored(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.source.mkdir()
    for name in "ab":
        (site.source / name).write_bytes(STORED)
    site.back_up()
    really_open = os.open

    def refuse(path: bytes | str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == b"a" and not flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    (site.source / "a").write_bytes(b"other  content")
    (site.source / "b").unlink()
    bring_back(site, checksum=True)

    assert [(site.source / name).read_bytes() for name in "ab"] == [STORED, STORED]


@needs_root
@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_what_cannot_be_given_its_owner_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    site.source.mkdir()
    path = site.source / "thing"
    path.write_bytes(STORED) if kind == "file" else os.mkfifo(path)
    os.chown(path, 70000, 70000)
    site.back_up()
    target = site.home / "restored"

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fchown" if kind == "file" else "chown", refuse)
    (below(site, target)).mkdir(parents=True)
    before = _open_descriptors()
    error = bring_back_in_vain(site, target, paths=(str(path),))

    assert isinstance(error, LocalError)
    assert list(below(site, target).iterdir()) == []
    assert _open_descriptors() <= before


def _open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


_RESTORE_AND_DIE = """
import json, os, signal, sys
from pathlib import Path
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry, Host
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.target import Target
name, home, client = json.loads(sys.argv[1])
Target.finish_file = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
host = Host(Path(home, "etc"), Path(home, "var"), name=lambda: client)
restore(FileRegistry(host.config_directory), host, Wish(name, "nightly", Path("/")), check_mode=False)
"""


def test_what_a_killed_restore_left_is_removed_by_the_next_one_and_nothing_else_is(site: Site) -> None:
    site.source.mkdir()
    (site.source / "file").write_bytes(STORED)
    site.back_up()
    before = tree_of(site.source)
    (site.source / "file").unlink()
    killed = subprocess.run(
        [sys.executable, "-c", _RESTORE_AND_DIE, json.dumps([NAME, str(site.home), site.client])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = site.source.iterdir()
    head, _process, number = left.name.rsplit("-", 2)
    host = head.rsplit("-", 1)[1]
    living = [
        site.source / f"{head}-{os.getpid()}-{number}",
        site.source / left.name.replace(host, "00000000"),
        site.source / f"{left.name}-mine",
    ]
    for path in living:
        path.touch()

    bring_back(site)

    assert not left.exists()
    assert all(path.exists() for path in living)
    for path in living:
        path.unlink()
    bring_back(site)
    assert tree_of(site.source) == before


def test_a_tree_that_is_very_deep_comes_back(site: Site) -> None:
    site.source.mkdir()
    descriptor = os.open(site.source, os.O_RDONLY)
    for _level in range(700):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)
    target = site.home / "restored"
    try:
        site.back_up()

        outcome = bring_back(site, target)
    finally:
        subprocess.run(["rm", "-rf", site.source, target], check=True)

    assert outcome.values["restored"] == {
        "files": 1,
        "directories": 701,
        "links": 0,
        "others": 0,
        "databases": 0,
        "deleted": 0,
    }


def test_a_system_without_extended_attributes_restores_the_rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(site.source, big=0)
    os.setxattr(site.source / "text", "user.comment", b"there is one")
    site.back_up()
    monkeypatch.delattr(os, "setxattr")

    bring_back(site, site.home / "restored")

    assert (below(site, site.home / "restored") / "text").exists()


# -- how it is told


def test_what_failed_on_the_host_alone_is_told_as_such(site: Site) -> None:
    site.source.mkdir()
    (site.source / "file").write_bytes(STORED)
    site.back_up()
    target = site.home / "restored"
    (below(site, target) / "file/inside").mkdir(parents=True)

    error = bring_back_in_vain(site, target)

    assert isinstance(error, LocalError)
    assert str(error).startswith("One thing could not be restored, everything else was: ")


def test_what_failed_on_the_way_is_told_by_its_class(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.source.mkdir()
    (site.source / "file").write_bytes(STORED)
    site.back_up()

    def refuse(_storage: FtpStorage, path: PurePosixPath, _offset: int = 0, _length: int | None = None) -> t.NoReturn:
        raise InterruptedTransferError(f"Cannot download {path}: the transfer broke (reset).")

    monkeypatch.setattr(FtpStorage, "open", refuse)
    error = bring_back_in_vain(site, site.home / "restored")

    assert isinstance(error, InterruptedTransferError)


class AwayStorage(FakeStorage):
    """A storage that answers with *error*, and counts how often it is asked."""

    def __init__(self, error: BackupError) -> None:
        super().__init__()
        self.attempts = 0
        self._error = error

    def open(self, path: PurePosixPath, offset: int = 0, length: int | None = None) -> t.NoReturn:  # noqa: ARG002 - it is a storage's
        self.attempts += 1
        raise self._error


class Failures(list[BackupError]):
    """A sink that gets nothing."""

    def put(self, piece: fetch.Piece, content: memoryview) -> None:
        raise AssertionError(f"{piece} came from nowhere: {content!r}")

    def fail(self, _piece: fetch.Piece, reason: BackupError) -> None:
        self.append(reason)


WANTED = {f"v00/{number}.tar.gz": [fetch.Piece(0, 10, 0, 10, "", number, 0)] for number in range(1000)}


def test_a_server_that_is_away_is_waited_for_once_and_not_for_each_volume() -> None:
    error = UnreachableError("Cannot connect to ftp.example.com:21: Connection refused.")
    error.is_final = True  # as the pool of connections says, once it has tried enough
    storage = AwayStorage(error)
    failures = Failures()

    fetch.fetch(storage, PurePosixPath("s01"), WANTED, failures, 4)

    assert storage.attempts <= 4  # each thread may already have been waiting
    assert len(failures) == len(WANTED)
    assert {type(failure) for failure in failures} == {UnreachableError}


def test_a_data_connection_that_fails_costs_only_its_own_volume() -> None:
    storage = AwayStorage(UnreachableError("Cannot download s01/v00/7.tar.gz: cannot open the data connection."))
    failures = Failures()

    fetch.fetch(storage, PurePosixPath("s01"), {"v00/7.tar.gz": WANTED["v00/7.tar.gz"]}, failures, 1)

    assert storage.attempts > 1
    assert len(failures) == 1
