# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that is built once, and the same content as a repository that releases can be made in."""

from __future__ import annotations

import os
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from release.archive import build
from release.checkout import make_copy

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """The archive, installed where nothing else is."""

    collections: Path
    elsewhere: Path

    @property
    def place(self) -> Path:
        return self.collections / "ansible_collections" / "stowage" / "ftp_backup"

    def run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run a program of Ansible's that must succeed, in a directory of its own, and return what it said."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
            "ANSIBLE_HOME": str(self.elsewhere / "ansible"),
            "ANSIBLE_NOCOLOR": "true",
            "HOME": str(self.elsewhere),
        }
        process = subprocess.run(
            [*command],
            cwd=self.elsewhere,
            env={**clean, **own, **(environment or {})},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        assert process.returncode == 0, process.stdout
        return process.stdout


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("archive") / "built")


@pytest.fixture(scope="session")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the archive as a user without a network does."""
    found = Installed(tmp_path_factory.mktemp("collections"), tmp_path_factory.mktemp("elsewhere"))
    said = found.run("ansible-galaxy", "collection", "install", "--offline", "-p", found.collections, archive)
    assert "was installed successfully" in said
    return found


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one commit, which holds what this checkout does."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Release Manager")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "release@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    root = make_copy(tmp_path / "repository")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=All of it")
    return root


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout
