# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the pages without running them."""

from __future__ import annotations

import pytest

from tests.documentation.hosts import HERE, ROOT
from tests.documentation.pages import list_pages, list_unplayed, read_page, slug_of

PAGES = [path.relative_to(ROOT).as_posix() for path in list_pages(ROOT)]
EXAMPLES = ROOT / "playbooks" / "examples"
LISTED = HERE / "not_run.txt"


@pytest.mark.parametrize("name", [pytest.param(name, id=slug_of(name)) for name in PAGES])
def test_every_block_of_a_page_is_one_that_can_be_run(name: str) -> None:
    assert read_page(ROOT, ROOT / name).name == name


def test_no_more_blocks_are_left_out_than_are_listed() -> None:
    lines = [line.split() for line in LISTED.read_text("utf-8").splitlines() if not line.startswith("#")]

    pages = [read_page(ROOT, ROOT / name) for name in PAGES]

    assert {page.name: len(page.not_run) for page in pages if page.not_run} == {name: int(n) for name, n in lines}


def test_each_example_that_users_get_is_played_by_a_page() -> None:
    examples = {path.read_text("utf-8"): path.name for path in sorted(EXAMPLES.glob("*.yml"))}

    unplayed = list_unplayed(list(examples), [read_page(ROOT, ROOT / name) for name in PAGES])

    assert [examples[text] for text in unplayed] == []


def test_what_belongs_to_a_page_belongs_to_one_that_is_there() -> None:
    assert {path.name for path in HERE.glob("pages/*")} <= {slug_of(name) for name in PAGES}
