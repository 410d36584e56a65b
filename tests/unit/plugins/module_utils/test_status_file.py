# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run is, as it stands in a file."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.status_file import (
    StatusFile,
    read_status,
    status_kept,
    take_umask,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.watching import Now

if t.TYPE_CHECKING:
    from pathlib import Path


INFINITE = '{"process": 1, "beat": Infinity, "phase": "", "done": 0, "total": 1, "entries": 1, "item": ""}'


class Clock:
    def __init__(self) -> None:
        self.moment = 0.0

    def __call__(self) -> float:
        return self.moment


def of(directory: Path) -> tuple[int, int, Now]:
    status = read_status((directory / "status").read_text("ascii"))
    assert status is not None
    return status


def test_a_run_can_be_followed_from_before_it_begins_until_after_it_has_ended(tmp_path: Path) -> None:
    file = StatusFile(tmp_path, every=1000)
    with file as progress:
        began = of(tmp_path)
        progress.report("uploading", done=3, total=None, entries=2, item="/srv/a\n\udcff")
        file.look()
        middle = of(tmp_path)
    ended = of(tmp_path)

    assert began == (os.getpid(), 1, Now())
    assert middle == (os.getpid(), 2, Now("uploading", 3, None, 2, r"/srv/a\n\xff"))
    assert ended == (0, 3, middle[2])
    assert [path.name for path in tmp_path.iterdir()] == ["status"]


def test_what_has_not_changed_is_written_now_and_then_as_a_sign_of_life(tmp_path: Path) -> None:
    clock = Clock()
    file = StatusFile(tmp_path, every=1000, clock=clock)
    with file as progress:
        progress.report("scanning", entries=1)
        beats = []
        for second in range(13):
            clock.moment = float(second)
            file.look()
            beats.append(of(tmp_path)[1])

    assert beats == [2] * 5 + [3] * 5 + [4] * 3


def test_a_directory_that_is_gone_ends_no_run(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    file = StatusFile(directory, every=1000)
    with file as progress:
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        progress.report("scanning", entries=1)
        file.look()

    assert not directory.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, INFINITE, '{"process": 1}', '{"process": "x", "beat": 1}']
)
def test_what_is_no_status_is_none(text: str) -> None:
    assert read_status(text) is None


def test_a_status_is_one_line_of_ascii(tmp_path: Path) -> None:
    with status_kept(tmp_path) as progress:
        progress.report("uploading", item="/srv/Übersicht\r\n" + "x" * 1000)

    text = (tmp_path / "status").read_bytes()
    assert text.isascii()
    assert len(text.splitlines()) == 1
    assert len(json.loads(text)["item"]) == 300


def test_a_phase_is_printable_and_short_whatever_stands_there() -> None:
    status = read_status(
        json.dumps({"process": 1, "beat": 1, **Now("\x1b[2J" + "x" * 1000)._asdict()}).replace("null", "1")
    )

    assert status is not None
    assert status.now.phase.isprintable()
    assert len(status.now.phase) == 40


def test_files_are_made_as_a_shell_of_the_user_makes_them(tmp_path: Path) -> None:
    (tmp_path / "umask").write_text("0077\n", "ascii")
    before = os.umask(0o022)
    try:
        take_umask(tmp_path)
        (tmp_path / "made").touch()
    finally:
        os.umask(before)

    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [None, "", "u=rwx"])
def test_a_run_does_not_begin_in_a_directory_that_was_given_up(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "umask").write_text(text, "ascii")

    with pytest.raises(LocalError, match="Cannot use"):
        take_umask(tmp_path)


def test_a_file_system_without_locks_fails_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)

    with status_kept(tmp_path) as progress:
        progress.report("scanning", entries=1)

    assert of(tmp_path)[2].entries == 1


def test_without_its_directory_a_run_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="Cannot use"), status_kept(tmp_path / "none"):
        pytest.fail("it has begun")


def test_what_dead_runs_left_goes_once_nobody_can_want_it_any_more(tmp_path: Path) -> None:
    names = ("ftp_backup-ours", "ftp_backup-old", "ftp_backup-alive", "ftp_backup-new", "j1.2")
    ours, old, alive, new, foreign = (tmp_path / name for name in names)
    for path in (ours, old, alive, new, foreign):
        path.mkdir()
        (path / "status").touch()
    for path in (ours, old, alive, foreign):
        for aged in (path / "status", path):
            os.utime(aged, (time.time() - 7200,) * 2)
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)

    with status_kept(ours):
        pass
    os.close(held)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(set(names) - {"ftp_backup-old"})


def test_a_link_that_somebody_has_laid_there_is_not_followed(tmp_path: Path) -> None:
    elsewhere, ours = tmp_path / "elsewhere", tmp_path / "runs" / "ftp_backup-ours"
    ours.mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    for path in (elsewhere / "precious", elsewhere):
        os.utime(path, (0, 0))
    (tmp_path / "runs" / "ftp_backup-link").symlink_to(elsewhere)

    with status_kept(ours):
        pass

    assert (elsewhere / "precious").exists()
