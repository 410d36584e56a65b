# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README shows is what the scenario `readme` of Molecule plays on real hosts."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "playbooks" / "examples"
SCENARIO = ROOT / "extensions" / "molecule" / "readme"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    return BLOCK.findall(ROOT.joinpath("README.md").read_text("utf-8"))


def pieces(block: str) -> list[str]:
    """Return the tasks or plays of *block*, or itself if it is neither, without their indentation."""
    return [piece.strip("\n") for piece in re.split(r"\n\n(?=- )", dedent(block))]


def is_part_of_one(piece: str) -> bool:
    """Tell whether an example has *piece*, at whatever depth."""
    for example in EXAMPLES.glob("*.yml"):
        text = example.read_text("utf-8")
        for depth in (0, 2, 4):
            indented = "\n".join(" " * depth + line if line else line for line in piece.splitlines())
            if f"\n{indented}\n" in text:
                return True
    return False


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.strip().splitlines()[0].strip())
def test_each_example_of_the_readme_is_a_part_of_a_playbook(block: str) -> None:
    assert [piece for piece in pieces(block) if not is_part_of_one(piece)] == []


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.yml")))
def test_each_such_playbook_is_played_by_the_scenario(example: str) -> None:
    played = "".join(path.read_text("utf-8") for path in SCENARIO.glob("*.yml"))

    assert f"import_playbook: ../../../playbooks/examples/{example}\n" in played
