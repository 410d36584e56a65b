# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that the pages share, made once a session."""

from __future__ import annotations

import os
import typing as t

import pytest

from tests.documentation.hosts import ROOT, Hosts, borrowed, why_unavailable

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    """Return the hosts of the pages; they stay afterwards where DOCUMENTATION_HOSTS_STAY is set."""
    why = why_unavailable()
    if why:
        pytest.skip(why)
    cache = ROOT / ".cache" / f"documentation{os.environ.get('MOLECULE_HOSTS', '')}"
    with borrowed(cache, stay=bool(os.environ.get("DOCUMENTATION_HOSTS_STAY"))) as made:
        yield made
