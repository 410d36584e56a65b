# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take one behaviour out of the transport, in a copy of it, and see which tests notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
TRANSPORT = Path("plugins/module_utils/ftp")
_SECONDS = 280
# Its tests have the numbers of all behaviours in their names, too.
_ITSELF = "tests/transport/test_taken_out.py"


@dataclass(frozen=True)
class Behaviour:
    """What the transport does about *number*, one of T01 to T30, and the change that takes it out.

    In *file*, below the transport's folder, *present* stands once, and *absent* takes its place. The tests that must
    notice have the number in their names, or what *tests* says, as pytest's ``-k`` takes it.
    """

    number: str
    what: str
    file: str
    present: str
    absent: str
    tests: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.what}"

    @property
    def selection(self) -> str:
        return self.tests or self.number.lower()


def copy_of_project(place: Path) -> Path:
    """Copy what the tests of the transport need to *place*, and return it."""
    for name in ("plugins", "tests"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", place)
    package = place / ".collections" / "ansible_collections" / "stowage"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "ftp_backup").symlink_to(place)
    (place / ".cache").mkdir()
    (ROOT / ".cache" / "servers").mkdir(parents=True, exist_ok=True)
    (place / ".cache" / "servers").symlink_to(ROOT / ".cache" / "servers")
    return place


def take_out(behaviour: Behaviour, project: Path) -> None:
    """Make the copy *project* of the transport lack *behaviour*."""
    path = project / TRANSPORT / behaviour.file
    text = path.read_text("utf-8")
    assert text.count(behaviour.present) == 1, f"{behaviour}: not once in {behaviour.file}: {behaviour.present!r}"
    path.write_text(text.replace(behaviour.present, behaviour.absent), "utf-8")


def run_tests(project: Path, selection: str, files: Sequence[str] = ("tests/transport",)) -> tuple[int, str]:
    """Run the tests of the copy *project* that *selection* names, until one fails; return the exit code and output."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", f"--ignore={_ITSELF}", "-k", selection, *files],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout
