# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What accounts that only upload have stored is sealed, whatever they have made of the tree meanwhile."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SEALER = Path(__file__).resolve().parents[3] / "roles" / "server" / "files" / "ftp_seal.py"
ACCOUNT = 12345
KEEPER = 12346
GROUP = 12347
OPEN = (ACCOUNT, 0o640)
SEALED = (KEEPER, 0o640)
SEALED_DIRECTORY = (KEEPER, 0o1770)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give files to another user, as the sealer does"
)


def load() -> ModuleType:
    """Read the program of the role, which is no part of a package, anew: a test may change it."""
    spec = importlib.util.spec_from_file_location("ftp_seal", SEALER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Storage:
    """The directories of some accounts, and the program that seals them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.list = place / "sealed.json"
        self.program = load()

    def account(self, name: str) -> Path:
        """Make the directory of an account as the role does."""
        top = self.place / name
        top.mkdir()
        os.chown(top, KEEPER, GROUP)
        top.chmod(0o1770)
        return top

    def directory(self, path: Path) -> Path:
        """Make *path*, and what leads to it, as an account does."""
        if not path.exists():
            self.directory(path.parent)
            path.mkdir(mode=0o750)
            os.chown(path, ACCOUNT, ACCOUNT)
        return path

    def file(self, path: Path, mode: int = 0o640, owner: int = ACCOUNT) -> Path:
        """Make *path*, and what leads to it, as an account does."""
        self.directory(path.parent)
        path.write_text("content", "utf-8")
        os.chown(path, owner, ACCOUNT)
        path.chmod(mode)
        return path

    def seal(self, *tops: Path, after: int = -60) -> int:
        """Look once, as the timer does; by default as if all were old enough."""
        directories = {top.name: str(top) for top in tops}
        sealed = {"keeper": KEEPER, "group": GROUP, "after": after, "directories": directories}
        self.list.write_text(json.dumps(sealed), "utf-8")
        code: int = self.program.main([str(self.list)])
        return code

    def watch(self, name: str, before: Callable[[object], None]) -> None:
        """Call *before* with the first argument of each call that the program makes of os.*name*."""
        real = getattr(os, name)

        def watched(first: object, *others: object, **named: object) -> object:
            before(first)
            return real(first, *others, **named)

        self.program.os = _Os(**{name: watched})  # type: ignore[attr-defined]  # a module's names can be any


class _Os:
    """The module os but for some of its functions."""

    def __init__(self, **others: Callable[..., object]) -> None:
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


class Killed(BaseException):
    """The end of the program at a place of our choice."""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def seen(path: Path) -> tuple[int, int]:
    """Return the owner and the mode of *path*."""
    status = path.lstat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


def test_a_file_that_is_old_enough_is_sealed_with_the_directories_that_hold_it(storage: Storage) -> None:
    top = storage.account("till")
    file = storage.file(top / "job" / "point" / "volume")
    lock = storage.directory(top / "job" / "lock")

    assert storage.seal(top) == 0

    assert seen(file) == SEALED
    assert seen(file.parent) == seen(file.parent.parent) == SEALED_DIRECTORY
    assert file.stat().st_gid == file.parent.stat().st_gid == GROUP
    assert seen(lock) == (ACCOUNT, 0o750)


def test_what_is_young_or_passing_is_left_alone(storage: Storage) -> None:
    top, other = storage.account("till"), storage.account("shop")
    young = storage.file(top / "job" / "volume")
    passing = [storage.file(other / "job" / name) for name in ("volume.tmp", "a.checkpoint.gz", ".ftpquota")]

    assert storage.seal(top, after=3600) == 0
    assert storage.seal(other) == 0

    assert [seen(path) for path in (young, *passing)] == [OPEN] * 4
    assert seen(young.parent) == seen(passing[0].parent) == (ACCOUNT, 0o750)


@pytest.mark.parametrize("function", ["stat", "open"])
def test_a_file_that_vanishes_stops_nothing(storage: Storage, function: str) -> None:
    top, other = storage.account("till"), storage.account("shop")
    files = [storage.file(top / "job" / f"volume{number}") for number in range(3)]
    beyond = storage.file(other / "volume")

    def rename(name: object) -> None:
        if name == "volume1" and files[1].exists():
            files[1].rename(files[1].with_name("final"))

    storage.watch(function, rename)
    assert storage.seal(top, other) == 0

    assert seen(files[0]) == seen(files[2]) == seen(beyond) == SEALED
    assert seen(files[0].parent) == SEALED_DIRECTORY


def test_a_file_that_another_takes_the_place_of_is_left_to_the_next_look(storage: Storage) -> None:
    top = storage.account("till")
    file = storage.file(top / "volume")
    secret = storage.file(storage.place / "secret", owner=0)

    def replace(name: object) -> None:
        if name == "volume" and file.stat().st_nlink == 1:
            file.unlink()
            os.link(secret, file)

    storage.watch("open", replace)
    assert storage.seal(top) == 0

    assert seen(secret) == (0, 0o640)


def test_directories_too_deep_stop_nothing_and_are_told(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    top, other = storage.account("till"), storage.account("shop")
    beside = storage.file(top / "job" / "volume")
    deepest_that_is_reached = storage.file(top.joinpath(*"d" * 32, "volume"))
    beyond = storage.file(other / "volume")
    place = os.open(top.joinpath(*"d" * 32), os.O_RDONLY)
    for _level in range(1100):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)

    try:
        assert storage.seal(top, other) == 1
    finally:
        # Whoever tidies up, pytest included, may go down by calling itself.
        subprocess.run(["mv", top.joinpath(*"d" * 33), storage.place / "deep"], check=True)
        subprocess.run(["rm", "-rf", storage.place / "deep"], check=True)

    assert seen(beside) == seen(deepest_that_is_reached) == seen(beyond) == SEALED
    assert seen(beside.parent) == seen(deepest_that_is_reached.parent) == SEALED_DIRECTORY
    assert "More than 32 levels deep" in capsys.readouterr().err


def test_an_account_that_cannot_be_sealed_does_not_stop_the_others(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = storage.place / "missing"
    link = storage.place / "link"
    link.symlink_to(storage.directory(storage.place / "elsewhere"))
    elsewhere = storage.file(storage.place / "elsewhere" / "volume")
    other = storage.account("shop")
    file = storage.file(other / "volume")

    assert storage.seal(missing, link, other) == 1

    assert seen(file) == SEALED
    assert seen(elsewhere) == OPEN
    assert f"'{missing}' is not sealed: No such file or directory.\n" in capsys.readouterr().err


def test_a_file_that_cannot_be_sealed_does_not_stop_the_others(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    top, other = storage.account("till"), storage.account("shop")
    stubborn = storage.file(top / "job" / "bad\nname")
    beside = [storage.file(top / "job" / name) for name in ("a", "z")]
    beyond = storage.file(other / "volume")

    def refuse(name: object) -> None:
        if name == "bad\nname":
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    storage.watch("open", refuse)
    assert storage.seal(top, other) == 1

    assert seen(stubborn) == OPEN
    assert [seen(path) for path in (*beside, beyond)] == [SEALED] * 3
    assert seen(stubborn.parent) == SEALED_DIRECTORY
    assert r"bad\nname' is not sealed: " in capsys.readouterr().err


def test_only_some_of_many_problems_are_told_in_words(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    top = storage.account("till")
    for number in range(30):
        storage.file(top / f"volume{number}")

    def refuse(name: object) -> None:
        if str(name).startswith("volume"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    storage.watch("open", refuse)
    assert storage.seal(top) == 1

    told = capsys.readouterr().err.splitlines()
    assert len(told) == 11
    assert told[-1].startswith("Neither are 20 more in ")


@pytest.mark.parametrize("owner", [ACCOUNT, KEEPER])
def test_a_file_that_all_may_write_is_closed(storage: Storage, owner: int) -> None:
    top = storage.account("till")
    file = storage.file(top / "job" / "volume", 0o666, owner)

    assert storage.seal(top) == 0

    assert seen(file) == SEALED
    assert seen(file.parent) == SEALED_DIRECTORY


@pytest.mark.parametrize("killed_at", range(1, 6))
def test_what_a_look_that_was_killed_has_left_is_made_up_for(storage: Storage, killed_at: int) -> None:
    top = storage.account("till")
    file = storage.file(top / "job" / "volume", 0o666)
    calls = 0

    def kill(_descriptor: object) -> None:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise Killed

    # It takes five of these: three for the file, two for its directory.
    storage.program.os = _Os(**{name: _killing(name, kill) for name in ("fchown", "fchmod")})  # type: ignore[attr-defined]  # as above
    with pytest.raises(Killed):
        storage.seal(top)
    # Whoever may write to all of its files at any time loses nothing by the seal.
    assert killed_at == 1 or seen(file)[1] == 0o640
    storage.program.os = os  # type: ignore[attr-defined]  # as above
    assert storage.seal(top, after=3600 if killed_at > 2 else -60) == 0

    assert seen(file) == SEALED
    assert seen(file.parent) == SEALED_DIRECTORY


def _killing(name: str, kill: Callable[[object], None]) -> Callable[..., None]:
    real = getattr(os, name)

    def watched(descriptor: int, *others: int) -> None:
        kill(descriptor)
        real(descriptor, *others)

    return watched


def test_links_and_pipes_are_left_as_they_are(storage: Storage) -> None:
    top = storage.account("till")
    outside = storage.file(storage.place / "outside", 0o666)
    of_keeper = storage.file(storage.place / "of-keeper", 0o666, KEEPER)
    folder = storage.directory(storage.place / "folder")
    within = storage.file(folder / "within", 0o666)
    os.link(outside, top / "hard")
    os.link(of_keeper, top / "hard-of-keeper")
    (top / "soft").symlink_to(outside)
    (top / "soft-directory").symlink_to(folder)
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "pipe", 0o600)
    os.chown(top / "pipe", ACCOUNT, GROUP)
    left = [outside, of_keeper, folder, within, *top.iterdir()]
    before = [seen(path) for path in left]

    assert storage.seal(top) == 0

    assert [seen(path) for path in left] == before


def test_a_sealed_file_in_a_sealed_directory_resists_the_account(storage: Storage) -> None:
    top = storage.account("till")
    file = storage.file(top / "job" / "volume", 0o666)
    for path in (storage.place, *list(storage.place.parents)[:-1]):
        # pytest's own directories are private.
        path.chmod(path.stat().st_mode | 0o011)
    assert storage.seal(top) == 0

    attempts = {
        "write": f"open({str(file)!r}, 'ab')",
        "remove": f"os.remove({str(file)!r})",
        "rename": f"os.rename({str(file)!r}, {str(file) + '2'!r})",
        "rename directory": f"os.rename({str(file.parent)!r}, {str(file.parent) + '2'!r})",
        "mode": f"os.chmod({str(file)!r}, 0o666)",
    }
    ended = {name: _as_account(deed) for name, deed in attempts.items()}

    assert {name: said.splitlines()[-1].split(":")[0] for name, said in ended.items()} == dict.fromkeys(
        attempts, "PermissionError"
    )
    assert _as_account(f"open({str(file)!r}).read(); open({str(file) + '-more'!r}, 'x')") == ""


def _as_account(deed: str) -> str:
    """Run *deed* with the rights of the account, and return what it complained of."""
    program = f"import os; os.setgroups([]); os.setgid({GROUP}); os.setuid({ACCOUNT}); {deed}"
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False).stderr


def test_a_second_look_changes_nothing(storage: Storage) -> None:
    top = storage.account("till")
    file = storage.file(top / "job" / "volume")
    assert storage.seal(top) == 0
    paths = [file, file.parent, top]
    before = [path.stat().st_ctime_ns for path in paths]

    assert storage.seal(top) == 0

    assert [path.stat().st_ctime_ns for path in paths] == before


def test_the_program_waits_for_the_role(storage: Storage) -> None:
    top = storage.account("till")
    storage.file(top / "volume")
    storage.seal(top, after=3600)
    fcntl = pytest.importorskip("fcntl")
    lock = os.open(storage.place, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    with subprocess.Popen([sys.executable, "-I", str(SEALER), str(storage.list)]) as program:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(0.5)
        is_waiting = program.poll() is None
        os.close(lock)

    assert is_waiting
    assert program.returncode == 0
