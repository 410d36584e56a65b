# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page of the documentation is run, block by block, and does and says what it tells."""

from __future__ import annotations

import subprocess
import typing as t

import pytest

from tests.documentation.hosts import HERE, INVENTORY, ROOT
from tests.documentation.pages import list_pages, read_page, slug_of
from tests.documentation.playing import Playing

if t.TYPE_CHECKING:
    from tests.documentation.hosts import Hosts

PAGES = [path.relative_to(ROOT).as_posix() for path in list_pages(ROOT)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [pytest.param(name, id=slug_of(name)) for name in PAGES])
def test_a_page_is_what_happens(name: str, hosts: Hosts) -> None:
    page = read_page(ROOT, ROOT / name)
    playing = Playing(page, hosts, hosts.cache / "pages" / page.slug)

    problems = playing.perform(INVENTORY, HERE / "pages" / page.slug)

    assert not problems, "\n\n".join([*problems, f"All that was printed: {playing.directory / 'transcript.txt'}"])


@pytest.mark.timeout(1800)
def test_the_demo_brings_everything_back_and_leaves_nothing() -> None:
    ended = subprocess.run(
        [ROOT / "playbooks" / "demo" / "run"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
    assert "The server and all files of this demo are gone again." in ended.stdout
    assert " failed=0 " in ended.stdout
