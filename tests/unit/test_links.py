# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links between pages lead somewhere, and each page is found from ``docs/index.md``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "benchmarks/*.md", "extensions/molecule/*.md")
    for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def text_of(page: str) -> str:
    """Return what stands on *page* outside of its blocks of code."""
    return _BLOCK.sub("", ROOT.joinpath(page).read_text("utf-8"))


def anchors_of(page: str) -> set[str]:
    """Return the anchors of the headings of *page*, as GitHub and others make them."""
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in _HEADING.findall(text_of(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def links_of(page: str) -> list[str]:
    return [link for link in _LINK.findall(text_of(page)) if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    wrong = []
    for link in links_of(page):
        name, _hash, anchor = link.partition("#")
        target = ROOT.joinpath(page).parent.joinpath(name).resolve() if name else ROOT / page
        is_page = target.suffix == ".md" and target.is_file()
        if not target.exists() or (
            anchor and is_page and anchor not in anchors_of(target.relative_to(ROOT).as_posix())
        ):
            wrong.append(link)

    assert wrong == []


def test_the_index_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for link in links_of("docs/index.md")}
    wanted = {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"}
    wanted |= {f"../{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("roles/*/README.md")}

    assert sorted(wanted - linked) == []
