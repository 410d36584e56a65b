# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of progress share: hosts on this machine."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

import pytest

from .fleet import Fleet

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.server import FtpServer


@pytest.fixture
def fleet(running_server: Callable[[str], FtpServer], tmp_path: Path) -> Iterator[Fleet]:
    """Return hosts that are none yet, on whose behalf nothing may be left anywhere in the end."""
    server = running_server("embedded")
    scratch = Path(tempfile.mkdtemp(prefix="progress-", dir=server.root))
    fleet = Fleet(tmp_path, server.below(scratch.name))

    yield fleet

    assert fleet.leftovers() == []
    assert fleet.locks == []
