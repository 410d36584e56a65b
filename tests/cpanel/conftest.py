# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the cPanel engine share: a host with a destination on a real Pure-FTPd, over TLS."""

from __future__ import annotations

import typing as t

import pytest

from tests.cpanel.hosting import Customer

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.server import FtpServer


@pytest.fixture
def customer(ftp_scratch: FtpServer, tmp_path: Path) -> Customer:
    """A host whose destination is declared; what lies there is still to be put."""
    (tmp_path / "host").mkdir()
    customer = Customer(ftp_scratch, tmp_path / "host")
    customer.declare()
    return customer
