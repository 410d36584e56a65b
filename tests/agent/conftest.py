# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the command share: a host with something to back up, and a server to put it on."""

from __future__ import annotations

import os
import tempfile
import typing as t
from pathlib import Path

import pytest

from .hosts import Host

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.server import FtpServer


@pytest.fixture
def bare_host(running_server: Callable[[str], FtpServer], tmp_path: Path) -> Host:
    """A host that knows no destination and has no job yet, with a tree at its source."""
    server = running_server("embedded")
    scratch = Path(tempfile.mkdtemp(prefix="agent-", dir=server.root))
    host = Host(tmp_path / "host", server.below(scratch.name))
    host.source.mkdir(parents=True)
    (host.source / "index.html").write_text("<p>Welcome</p>\n", encoding="utf-8")
    (host.source / "data.bin").write_bytes(os.urandom(100_000))
    (host.source / "conf").mkdir()
    (host.source / "conf" / "site.conf").write_text("listen 80\n", encoding="utf-8")
    return host


@pytest.fixture
def host(bare_host: Host) -> Host:
    """The same host with a destination and one job."""
    bare_host.declare()
    bare_host.job()
    return bare_host
