# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page of the documentation asks to be done: its blocks, in order, and the marks before them.

A mark is a comment on the line before a block, such as ``<!-- file: backup.yml -->``; docs/README of the tests,
`tests/documentation/README.md`, tells all of them. What cannot be understood is an error, so that no block is passed
over unseen.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import typing as t
from dataclasses import dataclass, field
from xml.etree import ElementTree

import yaml
from markdown_it import MarkdownIt

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from markdown_it.token import Token

#: Languages of blocks that are written as a file, or looked at for their syntax.
DATA = ("json", "ini", "toml", "python", "sh", "sql", "xml")
#: Languages of blocks that are only shown.
SHOWN = ("text", "")
MARKS = ("file", "host", "fails", "not run")

_MARK = re.compile(r"<!--\s*(?P<name>[a-z ]+?)\s*:\s*(?P<value>.*?)\s*-->", re.DOTALL)
_COMMENT = re.compile(r"\s*(?:<!--.*?-->\s*)+", re.DOTALL)
_PROMPT = re.compile(r"(?:(?P<host>[a-z][a-z0-9-]*)(?P<who>[#$])|\$) (?P<command>.*)")
_LOOKS_LIKE_COMMAND = re.compile(r"\s*(?:\$ |# ansible|ftp-backup [a-z]|ansible(?:-[a-z]+)? |[a-z][a-z0-9]*[0-9][#$] )")


class PageError(Exception):
    """A page says something that cannot be run: the sentence names the line."""


@dataclass(frozen=True)
class Block:
    """One block of a page, as it stands there."""

    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Deed:
    """What is done for one block, the first line of which is *line* of the page."""

    line: int
    #: A part of what must be said when it fails, or None if it must end well.
    fails: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Play(Deed):
    """Play *text*, which is a whole playbook."""

    text: str


@dataclass(frozen=True)
class WriteFile(Deed):
    """Write *text* as the file *name* in the page's directory."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a console block, and what it prints; None where the page shows nothing of it."""

    line: int
    host: str | None
    as_root: bool
    command: str
    output: tuple[str, ...] | None


@dataclass(frozen=True)
class Console(Deed):
    """Run *commands* in turn."""

    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Page:
    """All that is done for a page, and why some of its blocks are not run."""

    name: str
    deeds: tuple[Deed, ...]
    not_run: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Return the name that the page has in the names of tests and directories."""
        return slug_of(self.name)


def slug_of(name: str) -> str:
    """Return ``docs_restore`` for ``docs/restore.md``."""
    return name.removesuffix(".md").replace("/", "_")


def list_pages(root: Path) -> list[Path]:
    """Return the pages that are run, in the order of their names."""
    return sorted([root / "README.md", *root.glob("docs/*.md"), *root.glob("roles/*/README.md")])


def read_page(root: Path, path: Path) -> Page:
    """Read the page at *path*, which lies below *root*."""
    return plan_page(path.relative_to(root).as_posix(), path.read_text("utf-8"))


def plan_page(name: str, text: str) -> Page:
    """Return what the page *name* with *text* asks for; raise a PageError that lists all that cannot be understood."""
    deeds: list[Deed] = []
    not_run: list[str] = []
    errors: list[str] = []
    try:
        blocks = list(read_blocks(text))
    except PageError as error:
        raise PageError(f"{name}:{error}") from error
    for block in blocks:
        try:
            if "not run" in block.marks:
                not_run.append(_reason(block))
            else:
                deeds.extend(_deeds_of(block))
        except PageError as error:
            errors.append(f"{name}:{block.line}: {error}")
    if errors:
        raise PageError("\n".join(errors))
    return Page(name, tuple(deeds), tuple(not_run))


def read_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of *text* with the marks that stand before each; a mark before anything else is an error."""
    marks: dict[str, str] = {}
    for token in MarkdownIt().enable("table").parse(text):
        if token.type == "html_block" and _COMMENT.fullmatch(token.content):
            marks |= _marks_of(token)
        elif token.type in {"fence", "code_block"}:
            yield Block(_line_of(token), token.info.strip(), token.content, marks)
            marks = {}
        elif marks:
            message = f"{_line_of(token)}: A mark stands before something that is no block: {', '.join(marks)}."
            raise PageError(message)
    if marks:
        message = f"{len(text.splitlines())}: A mark stands at the end, before no block."
        raise PageError(message)


def _line_of(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def _marks_of(token: Token) -> dict[str, str]:
    marks = {match["name"]: " ".join(match["value"].split()) for match in _MARK.finditer(token.content)}
    strange = [name for name in marks if name not in MARKS]
    if strange:
        message = f"{_line_of(token)}: There is no mark {strange[0]!r}, only {', '.join(MARKS)}."
        raise PageError(message)
    return marks


def _reason(block: Block) -> str:
    if set(block.marks) != {"not run"}:
        message = "What is not run takes no other mark."
        raise PageError(message)
    if not block.marks["not run"]:
        message = "It says `not run` and not why."
        raise PageError(message)
    return block.marks["not run"]


def _deeds_of(block: Block) -> list[Deed]:
    fails = block.marks.get("fails")
    if fails == "":
        message = "It says `fails` and not with which words."
        raise PageError(message)
    if "host" in block.marks and (block.language != "yaml" or "file" in block.marks):
        message = "The mark `host` is for tasks that are run at once."
        raise PageError(message)
    if "file" in block.marks:
        if fails is not None:
            message = "A file does not fail; what reads it does."
            raise PageError(message)
        return [_file(block)]
    if block.language == "yaml":
        return [_play(block, fails)]
    if block.language == "console":
        return [Console(block.line, commands=tuple(read_commands(block)), fails=fails)]
    if fails is not None:
        message = "The mark `fails` is for what is run: yaml and console."
        raise PageError(message)
    if block.language in DATA:
        check_syntax(block.language, block.text)
        return []
    if block.language in SHOWN:
        _refuse_commands(block)
        return []
    message = f"There is no language {block.language!r}, only yaml, console, text, {', '.join(DATA)}."
    raise PageError(message)


def _file(block: Block) -> WriteFile:
    name = block.marks["file"]
    if not name or name.startswith(("/", "~")) or ".." in name.split("/"):
        message = f"{name!r} is no name of a file below the page's directory."
        raise PageError(message)
    if block.language == "yaml":
        _load(block.text)
    elif block.language in DATA:
        check_syntax(block.language, block.text)
    return WriteFile(block.line, name, block.text)


def _load(text: str) -> object:
    try:
        # A tag such as !vault is Ansible's own; what it makes of it is seen when it is played.
        yaml.compose(text, Loader=yaml.SafeLoader)
        return yaml.load(text, Loader=_Tagless)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        message = f"It is no YAML: {error}"
        raise PageError(message) from error


class _Tagless(yaml.SafeLoader):
    """Reads what has a tag of Ansible's as if it had none."""


def _plain(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_Tagless.add_multi_constructor("!", _plain)


def _play(block: Block, fails: str | None) -> Play:
    content = _load(block.text)
    if not isinstance(content, list) or not content or not all(isinstance(item, dict) for item in content):
        message = (
            "What is neither plays nor tasks is no playbook; "
            "a mark such as `<!-- file: group_vars/web.yml -->` says where it belongs."
        )
        raise PageError(message)
    if all(is_play(item) for item in content):
        if "host" in block.marks:
            message = "Plays say themselves on which hosts they are played."
            raise PageError(message)
        return Play(block.line, block.text, fails=fails)
    if any(is_play(item) for item in content):
        message = "Plays and tasks stand side by side."
        raise PageError(message)
    indented = "".join(f"    {line}" if line.strip() else line for line in block.text.splitlines(keepends=True))
    host = block.marks.get("host", "web01")
    if not host:
        message = "The mark `host` names none."
        raise PageError(message)
    name = f"- name: Tasks of line {block.line}\n  hosts: {json.dumps(host)}\n"
    return Play(block.line, f"{name}  gather_facts: false\n  become: true\n  tasks:\n{indented}", fails=fails)


def is_play(item: dict[str, object]) -> bool:
    """Tell whether *item* of a playbook is a play, or takes in another playbook."""
    return "hosts" in item or any(key.split(".")[-1] == "import_playbook" for key in item)


def read_commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block, each with the output that follows it."""
    lines = list(enumerate(block.text.splitlines(), block.line + 1))
    if not lines or not _PROMPT.fullmatch(lines[0][1]):
        message = "A console begins with a command: `$ …`, `web01# …` or `web01$ …`."
        raise PageError(message)
    while lines:
        number, line = lines.pop(0)
        match = _PROMPT.fullmatch(line)
        assert match is not None
        command = match["command"]
        while command.endswith("\\"):
            if not lines:
                message = "The last command goes on after the end of the block."
                raise PageError(message)
            command += "\n" + lines.pop(0)[1]
        output = []
        while lines and not _PROMPT.fullmatch(lines[0][1]):
            output.append(lines.pop(0)[1])
        shown = tuple(output) if any(part.strip() for part in output) else None
        yield Command(number, match["host"], match["who"] == "#", command, shown)


def check_syntax(language: str, text: str) -> None:
    """Raise a PageError if *text* is not what *language* says, as far as there is a parser."""
    try:
        if language == "json":
            json.loads(text)
        elif language == "python":
            ast.parse(text)
        elif language == "xml":
            ElementTree.fromstring(text)  # noqa: S314 - our own pages
        elif language == "ini":
            parser = configparser.ConfigParser(allow_no_value=True, interpolation=None, strict=False)
            parser.read_string(text if text.lstrip().startswith("[") else f"[top]\n{text}")
        elif language == "sh":
            _check_shell(text)
    except (ValueError, SyntaxError, ElementTree.ParseError, configparser.Error) as error:
        message = f"It is no {language}: {error}"
        raise PageError(message) from error


def _check_shell(text: str) -> None:
    ended = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ValueError(ended.stderr.strip())


def _refuse_commands(block: Block) -> None:
    for number, line in enumerate(block.text.splitlines(), block.line):
        if _LOOKS_LIKE_COMMAND.match(line):
            message = (
                f"It looks like a command that nothing runs, make it a console: {line.strip()} (about line {number})"
            )
            raise PageError(message)


def list_unplayed(examples: Sequence[str], pages: Sequence[Page]) -> list[str]:
    """Return those of the playbooks *examples* (their texts) that no page plays as they stand there.

    A page plays what it shows as a playbook or as tasks, and what it writes as a file that one of its commands names.
    An example of tasks alone is played as well if each of them is a task that some page plays.
    """
    playbooks = [_load(text) for page in pages for text in _played_by(page)]
    tasks = [task for playbook in playbooks if isinstance(playbook, list) for task in _tasks_of(playbook)]
    return [
        example
        for example in examples
        if _load(example) not in playbooks and not _consists_of(t.cast("list[dict[str, t.Any]]", _load(example)), tasks)
    ]


def _tasks_of(playbook: list[dict[str, t.Any]]) -> list[object]:
    return [task for play in playbook for task in play.get("tasks") or []]


def _consists_of(playbook: list[dict[str, t.Any]], tasks: list[object]) -> bool:
    own = _tasks_of(playbook)
    return bool(own) and not any("roles" in play for play in playbook) and all(task in tasks for task in own)


def _played_by(page: Page) -> Iterator[str]:
    consoles = [deed for deed in page.deeds if isinstance(deed, Console) and deed.fails is None]
    words = {word for console in consoles for command in console.commands for word in command.command.split()}
    yield from (deed.text for deed in page.deeds if isinstance(deed, Play) and deed.fails is None)
    files = (deed for deed in page.deeds if isinstance(deed, WriteFile))
    yield from (file.text for file in files if file.name.endswith((".yml", ".yaml")) and file.name in words)
