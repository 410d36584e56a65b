# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FTP storage does what every storage does, on each server."""

from __future__ import annotations

import os
import typing as t
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.connections import open_pool
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import MissingError, RefusedError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.paths import checked_directory, root_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.pool import Patience
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage, ReadOnlyStorage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import DestinationState
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import DIRECTORY, LINK
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import FILE as A_FILE
from tests.engine.site import NAME, Site
from tests.transport.reach import MARK, line_to
from tests.unit.storage_contract import BOX, CONTENT, FILE, StorageContract, write

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Buffer, Storage
    from tests.servers.server import FtpServer


@pytest.fixture
def storage(each_server: FtpServer, tmp_path: Path) -> Iterator[Storage]:
    (tmp_path / "host").mkdir()
    site = Site(each_server, tmp_path / "host", tmp_path / "srv")
    site.declare()
    with site.storage() as storage:
        yield storage


@pytest.fixture
def impatient(each_server: FtpServer, tmp_path: Path) -> Iterator[Storage]:
    """A storage that must do everything at the first attempt."""
    (tmp_path / "host").mkdir()
    site = Site(each_server, tmp_path / "host", tmp_path / "srv")
    site.declare()
    destination = site.registry.get(NAME)
    assert destination is not None
    state = DestinationState(tmp_path / "var", destination.name)
    with open_pool(destination, Patience(1), state, may_write=True) as pool:
        yield FtpStorage(
            pool, destination.directory, "20260101t000000z-abcdef", pause=lambda _seconds: pytest.fail("it failed once")
        )


class TestFtpStorage(StorageContract):
    """The whole contract; the fixture is the module's."""


def test_slices_of_all_sizes_leave_the_connection_in_step(storage: Storage) -> None:
    content = bytes(range(256)) * 20_000
    write(storage, FILE, content)

    for number in range(12):
        start, length = 401_000 * number, (1_000, 100_000, 3_000_000)[number % 3]
        assert storage.read(FILE, start, length) == content[start : start + length]
        assert storage.sizes([FILE, BOX / "missing"]) == [len(content), None]


def test_what_gives_up_in_the_middle_leaves_nothing_and_the_next_write_works(storage: Storage) -> None:
    storage.ensure_directories([BOX])

    def broken() -> Iterator[Buffer]:
        yield CONTENT
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.write(FILE, broken)

    assert storage.sizes([FILE]) == [None]
    assert write(storage, FILE) == len(CONTENT)
    assert storage.read(FILE) == CONTENT


@pytest.mark.parametrize("name", ["f", "a-name-as-long-as-names-of-ours-may-be-" + "x" * 25])
def test_more_questions_and_deletions_than_a_window_are_answered_in_order(impatient: Storage, name: str) -> None:
    storage = impatient
    storage.ensure_directories([BOX])
    paths = [BOX / f"{name}{number:03d}" for number in range(120)]
    for path in paths[::8]:
        write(storage, path, b"four")

    expected: list[int | None] = [4 if number % 8 == 0 else None for number in range(120)]
    assert storage.sizes(paths) == expected
    storage.delete(paths)
    assert storage.sizes(paths) == [None] * 120


def test_a_session_survives_the_end_of_a_directory_that_it_looked_for(impatient: Storage) -> None:
    other = PurePosixPath("other")
    impatient.ensure_directories([BOX])
    assert impatient.has_directory(BOX)

    impatient.rename(BOX, other)
    assert impatient.list_directory(other) == []
    assert impatient.has_directory(other)
    impatient.remove_directories([other])

    assert impatient.list_directory(other) == []
    assert impatient.list_directory(other) == []


def test_what_is_missing_is_told_at_once_every_time(impatient: Storage) -> None:
    impatient.ensure_directories([BOX])

    for _attempt in range(50):
        with pytest.raises(MissingError):
            impatient.read(BOX / "missing")
        assert impatient.list_directory(BOX / "missing") == []


FOREIGN = [".htaccess", "Gr\xfcn", "\udcfc", "a b", " led", "a[b]", "x*y?", "a -> b", "A;b=c;", "-rf", "~", "100%"]


@pytest.fixture
def foreign(each_server: FtpServer) -> Iterator[Storage]:
    """A storage of which others have filled the directory ``box``."""
    box = each_server.root / "box"
    for directory in (box, box / "In.[side]", box / ".dots"):
        directory.mkdir()
        for name in FOREIGN:
            (directory / name).write_bytes(b"four")
            (directory / name).chmod(0o644)
            os.utime(directory / name, (1_600_000_000, 1_600_000_000))
    with line_to(each_server) as line:
        yield ReadOnlyStorage(
            line.pool,
            str(each_server.directory.relative_to("/")),
            MARK,
            pause=lambda _seconds: pytest.fail("it failed"),
        )


@pytest.mark.parametrize("directory", [BOX / "In.[side]", BOX / ".dots"])
def test_what_others_have_named_is_listed_measured_and_read(
    each_server: FtpServer, foreign: Storage, directory: PurePosixPath
) -> None:
    if each_server.pid == os.getpid():  # pyftpdlib does not show the bytes of a name that is not UTF-8
        (each_server.root / directory / "\udcfc").unlink()
    names = [path.name for path in (each_server.root / directory).iterdir()]
    paths = [directory / name for name in names]

    details = foreign.list_details(directory, thorough=True)

    assert {(one.name, one.kind, one.size, one.mtime) for one in details} == {
        (name, A_FILE, 4, 1_600_000_000) for name in names
    }
    assert {one.mode for one in details} in ({0o644}, {None})
    assert len(details) == len(names) >= len(FOREIGN) - 1
    assert foreign.marks([*paths, BOX / "None"]) == ["4 20200913122640"] * len(paths) + [None]
    assert [foreign.read(path) for path in paths] == [b"four"] * len(paths)
    assert foreign.list_directory(directory) == []


@pytest.mark.parametrize("each_server", ["pure_ftpd", "proftpd", "vsftpd"], indirect=True)
def test_links_are_listed_with_what_they_lead_to(each_server: FtpServer, foreign: Storage) -> None:
    """pyftpdlib shows what a link leads to as if it were there itself."""
    for name, target in (("www", "public_html"), ("logs", "/var/log/Apache 2"), ("a -> c", "a b"), (".in", "a b")):
        (each_server.root / "box" / "In.[side]" / name).symlink_to(target)

    details = foreign.list_details(BOX / "In.[side]", thorough=True)

    assert {(one.name, one.target) for one in details if one.kind == LINK} == {
        ("www", "public_html"),
        ("logs", "/var/log/Apache 2"),
        ("a -> c", "a b"),
        (".in", "a b"),
    }


def test_directories_are_listed_with_what_is_known_of_them(foreign: Storage) -> None:
    found = {one.name: one for one in foreign.list_details(BOX) if one.kind == DIRECTORY}

    assert set(found) == {"In.[side]", ".dots"}
    assert {one.mode for one in found.values()} in ({0o755}, {None})
    assert foreign.list_details(BOX / "None") == foreign.list_details(BOX / "No[ne]") == []


@pytest.mark.parametrize("path", ["..", "a/../b", "/etc", "a\nDELE b", "a\rb", "a\0b", "a/" * 3000])
def test_a_foreign_name_that_leads_astray_is_never_asked_for(foreign: Storage, path: str) -> None:
    with pytest.raises(RefusedError, match="cannot be asked for"):
        foreign.marks([PurePosixPath(path)])


@pytest.mark.parametrize("directory", ["..", "a/../b", "a\r\nDELE b", "a\0b", "a\nb"])
def test_a_directory_that_leads_elsewhere_is_refused(directory: str) -> None:
    with pytest.raises(UsageError):
        checked_directory(directory)


def test_an_absolute_directory_outside_of_the_login_is_refused() -> None:
    assert root_of("/home/backup", PurePosixPath("/home/backup/a")) == PurePosixPath("/home/backup/a")
    with pytest.raises(UsageError):
        root_of("/home/backup", PurePosixPath("/etc"))
