# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page that is wrong fails: tried with pages that are, on this machine alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documentation.hosts import INVENTORY, Ended
from tests.documentation.pages import plan_page
from tests.documentation.playing import Playing

# Plays a page, with what belongs to it in a directory, and returns what was wrong.
ProblemsOf = Callable[..., list[str]]


class ThisMachine:
    """Runs everything here, whatever host is meant, and says on which it would have been."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def on_host(self, name: str, command: str, *, as_root: bool) -> Ended:
        return self._run(f"echo on {name} as {'root' if as_root else 'somebody'}; {command}", Path.cwd())

    def on_controller(self, command: str, directory: Path) -> Ended:
        return self._run(command, directory)

    def _run(self, command: str, directory: Path) -> Ended:
        variables = os.environ | {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", "LC_ALL": "C.UTF-8"}
        ended = subprocess.run(
            ["bash", "-c", f"exec 2>&1; {command}"],
            cwd=directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout)


@pytest.fixture
def problems_of(tmp_path: Path) -> ProblemsOf:
    """Return a function that plays a page and returns what was wrong with it."""

    def play(text: str, own: Path = tmp_path / "own") -> list[str]:
        place = ThisMachine()
        problems = Playing(plan_page("docs/page.md", text), place, tmp_path / "page").perform(INVENTORY, own)
        assert place.resets == (1 if "```console" in text or "```yaml" in text else 0)
        return problems

    return play


def console(text: str, mark: str = "") -> str:
    return f"{mark}\n```console\n{text}```\n\n"


PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that: {condition}
        fail_msg: It does not hold.
"""


def playbook(condition: str, mark: str = "") -> str:
    return f"{mark}\n```yaml{PLAY.format(condition=condition)}```\n\n"


def test_a_page_that_is_right_has_no_problems(problems_of: ProblemsOf, tmp_path: Path) -> None:
    page = (
        "<!-- file: files/a -->\n```text\ncontent\n```\n\n"
        + console(
            "$ cat files/a && \\\n  ls inventory\ncontent\ninventory\nweb01# true\non web01 as root\nweb02$ true\n"
        )
        + console("$ true\n$ echo it is gone; false\nit is gone\n", "<!-- fails: it is gone -->")
        + playbook("1 == 1")
        + playbook("1 == 2", "<!-- fails: It does not hold. -->")
    )

    assert problems_of(page) == []
    assert "$ cat files/a" in (tmp_path / "page" / "transcript.txt").read_text()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param(console("$ echo one\ntwo\n"), "docs/page.md:3: echo one prints something else:", id="output"),
        pytest.param(console("$ no-such-command\n"), "docs/page.md:3: no-such-command ended with 127", id="command"),
        pytest.param(console("web01# false\n"), "docs/page.md:3: false ended with 1", id="command-on-a-host"),
        pytest.param(
            console("$ false\n$ false\n", "<!-- fails: x -->"), "docs/page.md:3: false ended", id="not-the-last"
        ),
        pytest.param(console("$ true\n", "<!-- fails: x -->"), "the page says that it fails", id="it-does-not-fail"),
        pytest.param(console("$ echo y; false\n", "<!-- fails: x -->"), "did not say 'x'", id="it-fails-otherwise"),
        pytest.param(playbook("1 == 2"), "docs/page.md:2: The playbook ended with 2", id="play"),
        pytest.param(playbook("1 == 1", "<!-- fails: x -->"), "the page says that it fails", id="play-does-not-fail"),
    ],
)
def test_a_page_that_is_wrong_has_one(problems_of: ProblemsOf, page: str, words: str) -> None:
    (problem,) = problems_of(page)

    assert words in problem


def test_a_page_of_words_costs_nothing(problems_of: ProblemsOf, tmp_path: Path) -> None:
    assert problems_of("Words.\n\n```text\nand more\n```\n") == []
    assert not (tmp_path / "page").exists()


def test_after_a_command_that_failed_nothing_more_is_run(problems_of: ProblemsOf, tmp_path: Path) -> None:
    assert len(problems_of(console("$ false\n$ touch later\n") + console("$ touch later\n"))) == 1
    assert not (tmp_path / "page" / "later").exists()


def test_after_other_output_the_rest_is_run(problems_of: ProblemsOf) -> None:
    assert len(problems_of(console("$ echo one\ntwo\n") + console("$ echo three\nfour\n"))) == 2


@pytest.mark.parametrize("name", ["before.yml", "after.yml"])
def test_what_a_page_takes_for_granted_must_hold(problems_of: ProblemsOf, tmp_path: Path, name: str) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / name).write_text(PLAY.format(condition="1 == 2"))

    (problem,) = problems_of(console("$ true\n"), own)

    assert "It does not hold." in problem


def test_a_page_with_an_inventory_of_its_own_has_the_passwords_beside_it(
    problems_of: ProblemsOf, tmp_path: Path
) -> None:
    page = "<!-- file: inventory/host_vars/web01.yml -->\n```yaml\na: 1\n```\n" + console(
        "$ cat inventory/group_vars/all/vault.yml\n"
    )

    assert problems_of(page) == []
    assert {path.name for path in (tmp_path / "page" / "inventory").iterdir()} == {
        "hosts.yml",
        "group_vars",
        "host_vars",
    }
