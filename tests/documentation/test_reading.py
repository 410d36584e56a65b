# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page says what is run, and what cannot be understood is refused with its line."""

from __future__ import annotations

import pytest
import yaml

from tests.documentation.pages import Command, Console, Deed, PageError, Play, WriteFile, list_unplayed, plan_page

TASK = "- name: Ping\n  ansible.builtin.ping:\n"
PLAY = "- name: Ping all\n  hosts: all\n  tasks: []\n"


def block(language: str, text: str, *marks: str) -> str:
    return "".join(f"<!-- {mark} -->\n" for mark in marks) + f"```{language}\n{text}```\n\n"


def plan(*blocks: str) -> tuple[Deed, ...]:
    return plan_page("docs/page.md", "# Title\n\nSome words.\n\n" + "".join(blocks)).deeds


def test_plays_are_a_playbook_as_they_stand_there() -> None:
    assert plan(block("yaml", PLAY)) == (Play(5, PLAY),)


def test_tasks_get_a_play_around_them() -> None:
    (deed,) = plan(block("yaml", TASK, "host: databases"))

    assert isinstance(deed, Play)
    (play,) = yaml.safe_load(deed.text)
    assert (play["hosts"], play["become"], play["tasks"]) == ("databases", True, yaml.safe_load(TASK))


def test_a_block_in_a_list_is_a_block() -> None:
    assert len(plan("1. First:\n\n   ```yaml\n   - name: Ping\n     ansible.builtin.ping:\n   ```\n")) == 1


def test_a_file_is_written_and_not_played() -> None:
    assert plan(block("yaml", "a: 1\n", "file: group_vars/web.yml")) == (WriteFile(6, "group_vars/web.yml", "a: 1\n"),)


def test_a_file_may_hold_what_is_encrypted() -> None:
    assert len(plan(block("yaml", "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n", "file: vault.yml"))) == 1


def test_commands_stand_with_what_they_print() -> None:
    text = "$ one \\\n    --more\nsaid\n\nagain\nweb01# two\nweb02$ three\n"

    assert plan(block("console", text, "fails: some words")) == (
        Console(
            6,
            commands=(
                Command(7, None, as_root=False, command="one \\\n    --more", output=("said", "", "again")),
                Command(12, "web01", as_root=True, command="two", output=None),
                Command(13, "web02", as_root=False, command="three", output=None),
            ),
            fails="some words",
        ),
    )


def test_what_is_not_run_is_counted_with_its_reason() -> None:
    page = plan_page("docs/page.md", block("console", "$ order a server\n", "not run: it costs money"))

    assert (page.deeds, page.not_run, page.slug) == ((), ("it costs money",), "docs_page")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param(block("yaml", "a: 1\n"), "neither plays nor tasks", id="variables-of-no-file"),
        pytest.param(block("yaml", "a: [\n"), "no YAML", id="broken-yaml"),
        pytest.param(block("yaml", "a: [\n", "file: a.yml"), "no YAML", id="broken-yaml-in-a-file"),
        pytest.param(block("yaml", PLAY + TASK), "side by side", id="plays-and-tasks"),
        pytest.param(block("yaml", PLAY, "host: web01"), "say themselves", id="a-host-for-plays"),
        pytest.param(block("json", "{", "file: a.json"), "no json", id="broken-json"),
        pytest.param(block("json", "{"), "no json", id="broken-json-that-is-shown"),
        pytest.param(block("python", "def\n"), "no python", id="broken-python"),
        pytest.param(block("ini", "[a\n"), "no ini", id="broken-ini"),
        pytest.param(block("sh", "if true\n"), "no sh", id="broken-shell"),
        pytest.param(block("xml", "<a>\n"), "no xml", id="broken-xml"),
        pytest.param(block("bash", "true\n"), "no language 'bash'", id="a-language-nobody-knows"),
        pytest.param(block("text", "$ rm -r /\n"), "looks like a command", id="a-command-that-is-only-shown"),
        pytest.param("Words:\n\n    ansible-playbook site.yml\n", "looks like a command", id="an-indented-command"),
        pytest.param("Words:\n\n    web01# ls\n", "looks like a command", id="an-indented-command-on-a-host"),
        pytest.param(block("console", "said\n$ command\n"), "begins with a command", id="output-of-no-command"),
        pytest.param(block("console", ""), "begins with a command", id="an-empty-console"),
        pytest.param(block("console", "$ one \\\n"), "goes on after the end", id="half-a-command"),
        pytest.param(block("console", "$ one\n", "not run:"), "not why", id="no-reason"),
        pytest.param(block("console", "$ one\n", "fails:"), "not with which words", id="fails-somehow"),
        pytest.param(block("console", "$ one\n", "hosts: db01"), "no mark 'hosts'", id="a-mark-misspelt"),
        pytest.param(block("json", "{}", "fails: words"), "yaml and console", id="data-that-fail"),
        pytest.param(block("yaml", PLAY, "file: a.yml", "fails: words"), "does not fail", id="a-file-that-fails"),
        pytest.param(block("text", "words\n", "file: ../a"), "no name of a file", id="a-file-outside"),
        pytest.param("<!-- file: a -->\n\nWords.\n\n" + block("text", "words\n"), "no block", id="a-mark-before-words"),
        pytest.param(block("text", "words\n") + "<!-- file: a -->\n", "no block", id="a-mark-at-the-end"),
    ],
)
def test_what_cannot_be_understood_is_an_error(page: str, words: str) -> None:
    with pytest.raises(PageError, match=words) as raised:
        plan(page)

    assert str(raised.value).startswith("docs/page.md:")


def test_a_comment_is_no_mark() -> None:
    assert len(plan(block("console", "$ one\n", "Not a mark, but a comment: it is for people."))) == 1


def test_all_errors_of_a_page_are_told_at_once() -> None:
    with pytest.raises(PageError) as raised:
        plan(block("bash", "true\n"), block("yaml", "a: 1\n"))

    assert len(str(raised.value).splitlines()) == 2


def test_an_example_that_no_page_plays_is_found() -> None:
    others = [PLAY.replace("all", name) for name in ("web", "storage", "databases")]
    page = plan_page(
        "docs/page.md",
        block("yaml", PLAY)
        + block("yaml", others[0], "file: played.yml")
        + block("yaml", others[1], "file: shown.yml")
        + block("console", "$ ansible-playbook played.yml\n"),
    )

    assert list_unplayed(["---\n" + PLAY, *others], [page]) == others[1:]


def test_an_example_of_tasks_that_pages_play_is_played() -> None:
    page = plan_page("docs/page.md", block("yaml", TASK))
    played = "- name: Ping\n  hosts: web\n  tasks:\n    - name: Ping\n      ansible.builtin.ping:\n"
    other = played.replace("name: Ping\n      ", "name: Pong\n      ")

    assert list_unplayed([played, other], [page]) == [other]
