# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the modules share: a host with something to back up, and a server to put it on."""

from __future__ import annotations

import os
import shutil
import typing as t

import pytest

from .hosts import Host

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.server import FtpServer


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[Callable[[FtpServer], Host]]:
    """Return a function that gives a host that uses a server; afterwards no temporary file may be left on it."""
    hosts: list[Host] = []

    def make(server: FtpServer) -> Host:
        host = Host(tmp_path / f"host{len(hosts)}", server)
        host.temporary.mkdir(parents=True)
        _plant(host.source)
        hosts.append(host)
        return host

    yield make

    assert [path for host in hosts for path in host.temporary.iterdir()] == []


@pytest.fixture
def host(make_host: Callable[[FtpServer], Host], ftp_scratch: FtpServer) -> Host:
    """Return a host that uses the session's Pure-FTPd, and has declared nothing yet."""
    return make_host(ftp_scratch)


@pytest.fixture
def declared(host: Host) -> Host:
    """Return a host with the destination declared."""
    host.do(host.destination())
    return host


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, pure_ftpd_server: FtpServer) -> Iterator[Host]:
    """Return a host with one restore point that all tests of a file share: for those that show that nothing changes."""
    home = tmp_path_factory.mktemp("untouched")
    host = Host(home, pure_ftpd_server.below(home.name))
    _plant(host.source)
    host.do(host.destination())
    host.do(host.backup())
    yield host
    shutil.rmtree(host.server.root)


def _plant(source: Path) -> None:
    """Make a small tree with one of each common thing; its times are whole and old, so that no file looks racy."""
    source.mkdir()
    source.joinpath("empty").touch()
    source.joinpath("a.txt").write_text("Good morning.\n")
    source.joinpath("a link").symlink_to("a.txt")
    source.joinpath("below").mkdir(mode=0o750)
    source.joinpath("below", "b.bin").write_bytes(bytes(range(256)) * 400)
    for path in (*sorted(source.rglob("*"), reverse=True), source):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
