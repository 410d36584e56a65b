# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on the command tells what the command can do, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent import metrics
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.arguments import (
    COMMANDS,
    CONFIG_VARIABLE,
    EXIT_CODES,
    STATE_VARIABLE,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.settings import read_job, read_settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command.md").read_text(encoding="utf-8")
FILES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_each_command(command: str) -> None:
    assert re.search(rf"^\| `{command}[ `]", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", metrics.HELP)
def test_the_page_has_each_metric(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_page_has_each_exit_code_as_the_help_tells_it() -> None:
    for code in range(6):
        (sentence,) = re.findall(rf"^\| {code} \| (.*) \|$", PAGE, re.MULTILINE)
        assert f"\n  {code}    {sentence}\n" in EXIT_CODES


def test_the_page_names_the_variables() -> None:
    assert CONFIG_VARIABLE in PAGE
    assert STATE_VARIABLE in PAGE


def test_the_files_on_the_page_can_be_used(tmp_path: Path) -> None:
    job, settings = tmp_path / "job.json", tmp_path / "agent.json"
    job.write_text(FILES[0], encoding="utf-8")
    settings.write_text(FILES[1], encoding="utf-8")

    assert read_job(job).name == "web sites"
    assert read_settings(settings).on_failure is not None
