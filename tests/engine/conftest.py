# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the engine share: a host with a destination on a real Pure-FTPd."""

from __future__ import annotations

import typing as t

import pytest

from tests.engine.site import Site

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.server import FtpServer


@pytest.fixture
def site(ftp_scratch: FtpServer, tmp_path: Path) -> Site:
    """A host whose destination is declared and whose tree is still to be made."""
    (tmp_path / "host").mkdir()
    site = Site(ftp_scratch, tmp_path / "host", tmp_path / "srv")
    site.declare()
    return site
