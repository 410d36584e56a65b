# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module agent installs is this collection's own command."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent_options import SPEC, perform
from ansible_collections.stowage.ftp_backup.plugins.module_utils.version import VERSION


@pytest.fixture
def params(tmp_path: Path) -> dict[str, t.Any]:
    """Return the options for an agent whose every directory is below *tmp_path*."""
    places = ("library_directory", "command", "config_directory", "state_directory")
    return SPEC.checked({place: str(tmp_path / place) for place in places})


def said(params: dict[str, t.Any], *arguments: str) -> str:
    ended = subprocess.run([params["command"], *arguments], capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout


def test_the_command_is_that_of_this_collection_and_uses_its_own_directories(params: dict[str, t.Any]) -> None:
    outcome = perform(params, check_mode=False)
    job = {
        "version": 1,
        "name": "web sites",
        "backup": {"destination": "NAS", "job": "web sites", "paths": ["/srv/www"]},
        "agent": {},
    }
    jobs = Path(params["config_directory"], "jobs")
    jobs.mkdir(parents=True)
    (jobs / "web-sites-ec76b858.json").write_text(json.dumps(job))

    assert outcome.values["command"] == params["command"]
    assert VERSION in said(params, "--version")
    assert "web sites" in said(params, "list")


def test_what_was_installed_is_removed(params: dict[str, t.Any], tmp_path: Path) -> None:
    perform(params, check_mode=False)

    outcome = perform({**params, "state": "absent"}, check_mode=False)

    assert outcome.changed
    assert list(tmp_path.iterdir()) == []
