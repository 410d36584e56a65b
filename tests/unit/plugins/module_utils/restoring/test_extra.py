# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deleted from a target because the restore point does not hold it, and what never is."""

from __future__ import annotations

import os
import socket
import subprocess
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring import target as targets
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from tests.unit.restores import MEASURED, Restores, restores_in
from tests.unit.stored_content import MTIME, Json, Value, entry, link

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome

HELD = {"a", "a/one", "a/b", "a/b/two", "a-c", "l"}
TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# This directory holds a cache.\n"


@pytest.fixture
def restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restores:
    return restores_in(tmp_path, monkeypatch)


def lay(restores: Restores, *more: Json, rules: Json | None = None, trailer: Json | None = None) -> None:
    """Lay a restore point of HELD and *more*."""
    job = restores.job
    files = [job.file(f"/srv/{name}", name.encode()) for name in ("a/one", "a/b/two", "a-c")]
    head = job.header_of(job.run, job.seq)
    entries = [entry("/srv"), entry("/srv/a"), entry("/srv/a/b"), *files, link("/srv/l", "a"), *more]
    job.add(entries, header={"rules": {**head["rules"], **(rules or {})}}, trailer=trailer)


def plant(restores: Restores, *names: str) -> None:
    """Put files below ``/srv`` in the target, and directories where a name ends with a slash."""
    for name in names:
        path = restores.srv / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"extra")


def deleted(restores: Restores, **options: Value) -> Outcome:
    """Restore with deletion, and see that check mode had told the same and that nothing is left to do then."""
    foretold = restores.bring_back(check_mode=True, delete_extra=True, **options)
    outcome = restores.bring_back(delete_extra=True, **options)
    assert {**foretold.values, **MEASURED} == {**outcome.values, **MEASURED}
    assert (foretold.before, foretold.after) == (outcome.before, outcome.after)
    assert foretold.changed == outcome.changed
    assert not restores.bring_back(delete_extra=True, **options).changed
    return outcome


def test_what_the_restore_point_does_not_hold_goes_and_directories_look_as_they_did(restores: Restores) -> None:
    lay(restores)
    restores.bring_back()
    plant(restores, "0", "a/b/x", "a/b/deep/er/file", "a/z", "a.b", "a/empty/", "zz/")
    (restores.srv / "a/link").symlink_to("/nowhere")
    os.mkfifo(restores.srv / "a/fifo")

    outcome = deleted(restores)

    assert restores.names() == HELD
    assert outcome.values["restored"]["deleted"] == 11
    assert outcome.before is not None
    assert f"{str(restores.srv / 'a/b/x').removeprefix(str(restores.target))}  extra: goes" in outcome.before
    for directory in ("", "a", "a/b"):
        assert (restores.srv / directory).stat().st_mtime_ns == MTIME


def test_without_being_asked_nothing_is_deleted(restores: Restores) -> None:
    lay(restores)
    plant(restores, "x")

    assert restores.bring_back().values["restored"]["deleted"] == 0
    assert (restores.srv / "x").exists()


@pytest.mark.parametrize("has_above", [False, True])
def test_what_lies_beside_the_paths_of_the_restore_point_is_none_of_its_business(
    restores: Restores, *, has_above: bool
) -> None:
    lay(restores, *([entry("/")] if has_above else []))
    plant(restores, "x")
    (restores.target / "etc").mkdir(parents=True)
    (restores.target / "etc/mine").touch()
    (restores.target / "mine").touch()

    deleted(restores)

    assert restores.names() == HELD
    assert (restores.target / "etc/mine").exists()
    assert (restores.target / "mine").exists()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"paths": ("/srv/a/b",)}, {"x", "a/x"}),
        ({"paths": ("/srv/a/*",)}, {"x", "a/x"}),
        ({"paths": ("/srv/a/one",)}, {"x", "a/x", "a/b/x"}),
        ({"paths": ("/srv/a/b/x", "/srv/a/one")}, {"x", "a/x", "a/b/x"}),
        ({"paths": ("/srv/a",)}, {"x"}),
        ({"parts": (WantedPart("files", "/srv"),)}, set()),
    ],
)
def test_only_directories_that_are_wanted_themselves_are_swept(
    restores: Restores, options: dict[str, Value], left: set[str]
) -> None:
    lay(restores)
    restores.bring_back()
    plant(restores, "x", "a/x", "a/b/x")

    deleted(restores, **options)

    assert restores.names() == HELD | left


# -- what stays


def test_what_the_rules_left_out_stays_and_so_do_the_directories_around_it(restores: Restores) -> None:
    lay(restores, rules={"exclude": ["*.log", "!keep.log", "/a/tmp/", "cache/"]})
    plant(restores, "x.log", "a/keep.log", "a/tmp/y", "a/b/tmp/y", "new/deep/x.log", "new/deep/y", "cache/z", "a/cache")

    deleted(restores)

    assert restores.names() == HELD | {"x.log", "a/tmp", "a/tmp/y", "new", "new/deep", "new/deep/x.log"} | {
        "cache",
        "cache/z",
    }


def test_what_lies_in_caches_and_marked_directories_stays(restores: Restores) -> None:
    lay(restores, rules={"caches": True, "marker": ".nobackup"})
    restores.bring_back()
    plant(restores, "a/b/x", "c/x", "d/x", "d/.nobackup", "e/f/.nobackup", "e/g", "fake/CACHEDIR.TAG", "fake/x")
    for directory in ("a/b", "c"):
        (restores.srv / directory / "CACHEDIR.TAG").write_bytes(TAG)

    deleted(restores)

    kept = {"a/b/x", "a/b/CACHEDIR.TAG", "c", "c/x", "c/CACHEDIR.TAG", "d", "d/x", "d/.nobackup", "e", "e/f"}
    assert restores.names() == HELD | kept | {"e/f/.nobackup"}


def test_caches_go_where_the_rules_did_not_leave_them_out(restores: Restores) -> None:
    lay(restores)
    plant(restores, "c/x", "d/.nobackup")
    (restores.srv / "c/CACHEDIR.TAG").write_bytes(TAG)

    deleted(restores)

    assert restores.names() == HELD


def test_what_could_not_be_read_back_then_stays(restores: Restores) -> None:
    problems = [
        ["/srv/a/secret", "Permission denied"],
        ["/srv/a/b", "Permission denied"],
        ["/srv/n/p", "Permission denied"],
    ]
    lay(restores, trailer={"complete": False, "problems": problems})
    plant(restores, "a/secret", "a/b/x", "n/p/q", "n/x", "a/x")

    deleted(restores)

    assert restores.names() == HELD | {"a/secret", "a/b/x", "n", "n/p", "n/p/q"}


def test_nothing_goes_where_the_restore_point_does_not_tell_all_that_could_not_be_read(restores: Restores) -> None:
    problems = [[f"/srv/p{number}", "Permission denied"] for number in range(1000)]
    lay(restores, trailer={"complete": False, "problems": problems})
    plant(restores, "x")

    outcome = deleted(restores)

    assert (restores.srv / "x").exists()
    assert len(outcome.warnings) == 2
    assert outcome.warnings[1].startswith("Nothing was deleted")


def test_a_socket_stays(restores: Restores) -> None:
    lay(restores)
    plant(restores, "run/x")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(".", os.O_RDONLY)
        os.chdir(restores.srv / "run")
        listening.bind("s")
        os.fchdir(here)
        os.close(here)

    deleted(restores)

    assert restores.names() == HELD | {"run", "run/s"}


@pytest.fixture
def mounted(restores: Restores) -> Iterator[Path]:
    """Two places in the target where something is mounted, the second from the same file system."""
    plant(restores, "a/disk/", "bound/")
    other = restores.home / "other"
    other.mkdir()
    (other / "x").touch()
    places = [restores.srv / "a/disk", restores.srv / "bound"]
    commands = [["mount", "-t", "tmpfs", "tmpfs", str(places[0])], ["mount", "--bind", str(other), str(places[1])]]
    if any(subprocess.run(command, check=False, capture_output=True).returncode != 0 for command in commands):
        pytest.skip("Nothing may be mounted here.")
    (places[0] / "x").touch()
    yield other
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("is_held", [False, True])
def test_other_file_systems_are_never_entered(restores: Restores, mounted: Path, *, is_held: bool) -> None:
    more = [entry("/srv/a/disk"), entry("/srv/bound")] if is_held else []
    lay(restores, *more)
    plant(restores, "a/x")

    deleted(restores)

    assert restores.names() == HELD | {"a/disk", "a/disk/x", "bound", "bound/x"}
    assert (mounted / "x").exists()


def test_no_link_is_followed(restores: Restores, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "file").touch()
    lay(restores)
    restores.bring_back()
    (restores.srv / "trap").symlink_to(outside)
    (restores.srv / "a/b/two").unlink()
    (restores.srv / "a/b").rmdir()
    (restores.srv / "a/b").symlink_to(outside)

    deleted(restores)

    assert restores.names() == HELD
    assert sorted(path.name for path in outside.iterdir()) == ["file", "inner"]


def test_a_link_that_was_left_where_a_directory_belongs_is_not_swept(restores: Restores, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    restores.job.add([entry("/srv"), entry("/srv/d")])
    restores.srv.mkdir(parents=True)
    (restores.srv / "d").symlink_to(outside)

    deleted(restores, overwrite="never")

    assert (outside / "file").exists()
    assert (restores.srv / "d").is_symlink()


def test_what_this_program_needs_itself_stays(restores: Restores) -> None:
    """In place, the state of the host and what the run has put aside may well lie in what is swept."""
    job = restores.job
    home = str(restores.home)
    parents = [str(path) for path in restores.home.parents][::-1]
    job.add([*map(entry, parents), entry(home), entry(f"{home}/var")], header={"paths": [home]})
    (restores.home / "extra").touch()
    (restores.home / "var").mkdir()
    (restores.home / "var/index").touch()

    restores.bring_back(delete_extra=True, target=type(restores.home)("/"), paths=(home,))

    assert not (restores.home / "extra").exists()
    assert (restores.home / "var/index").exists()
    assert (restores.home / "etc").exists()


def test_what_another_restore_is_writing_stays(restores: Restores) -> None:
    lay(restores)
    writing = targets.Target(restores.target, "20260101t000000z-abcdef", lambda _entry: None)
    descriptor, temporary = writing.start_file(b"/srv/x/new")

    restores.bring_back(delete_extra=True)

    assert restores.names() == HELD | {"x", f"x/{os.fsdecode(temporary)}"}
    writing.drop_file(b"/srv/x/new", descriptor, temporary)
    writing.close()


# -- when something goes wrong


def test_nothing_is_deleted_if_anything_could_not_be_restored(restores: Restores) -> None:
    lay(restores)
    plant(restores, "x", "a-c/mine")

    sentence = restores.bring_back_in_vain(delete_extra=True)

    assert sentence.endswith("Nothing was deleted.")
    assert (restores.srv / "x").exists()


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(restores: Restores, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(restores)
    plant(restores, "d/x", "d/y", "z")
    really_unlink = os.unlink

    def refuse(path: bytes, *, dir_fd: int | None = None) -> None:
        if path == b"x":
            raise PermissionError(1, "Operation not permitted")
        really_unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    sentence = restores.bring_back_in_vain(delete_extra=True)

    assert sentence == "One thing could not be deleted, everything was restored: /srv/d/x (Operation not permitted)."
    assert restores.names() == HELD | {"d", "d/x"}


def test_a_tree_that_is_very_deep_goes(restores: Restores) -> None:
    lay(restores)
    restores.bring_back()
    here = os.open(restores.srv, os.O_RDONLY)
    for _level in range(1500):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    outcome = restores.bring_back(delete_extra=True)

    assert outcome.values["restored"]["deleted"] == 1500
    assert restores.names() == HELD
