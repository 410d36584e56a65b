# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing what a page asks for, on hosts, and telling where it says something else than what happens."""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import dataclass, field

from tests.documentation.output import compare, says
from tests.documentation.pages import Command, Console, Deed, Page, Play, WriteFile

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.documentation.hosts import Ended


class Place(t.Protocol):
    """Where commands run: containers, or in the tests of this file something smaller."""

    def reset(self) -> None:
        """Make all hosts what every page begins with."""

    def on_host(self, name: str, command: str, *, as_root: bool) -> Ended:
        """Run *command* on the host *name*."""

    def on_controller(self, command: str, directory: Path) -> Ended:
        """Run *command* in *directory*."""


@dataclass
class Playing:
    """One page while it is played: its directory, and all that was printed, in `transcript.txt` there."""

    page: Page
    place: Place
    directory: Path
    transcript: list[str] = field(default_factory=list)

    def perform(self, inventory: Path, own: Path) -> list[str]:
        """Do everything the page asks for, and return what was wrong; the first failure of a deed ends it.

        *inventory* holds what lies in the page's directory from the beginning; *own* is where the page's `before.yml`
        and `after.yml` are, if it has any.
        """
        if not self.page.deeds and not own.exists():
            return []
        self.place.reset()
        lay_out(self.page, inventory, self.directory)
        try:
            return list(self._problems(own))
        finally:
            (self.directory / "transcript.txt").write_text("".join(self.transcript), "utf-8")

    def _problems(self, own: Path) -> Iterator[str]:
        for problem in self._around(own / "before.yml"):
            yield problem
            return
        for deed in self.page.deeds:
            failed = False
            for problem, is_last in self._do(deed):
                yield f"{self.page.name}:{problem}"
                failed |= is_last
            if failed:
                return
        yield from self._around(own / "after.yml")

    def _around(self, playbook: Path) -> Iterator[str]:
        if playbook.is_file():
            ended = self._control(f"ansible-playbook {playbook}")
            if ended.code:
                yield f"{playbook} ended with {ended.code}:\n{_last_of(ended)}"

    def _do(self, deed: Deed) -> Iterator[tuple[str, bool]]:
        """Do *deed*; yield each problem and whether the rest of the page would make no sense after it."""
        if isinstance(deed, WriteFile):
            path = self.directory / deed.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(deed.text, "utf-8")
        elif isinstance(deed, Play):
            playbook = self.directory / f"line-{deed.line}.yml"
            playbook.write_text(deed.text, "utf-8")
            ended = self._control(f"ansible-playbook {playbook.name}")
            yield from _judge_end(deed.line, "The playbook", ended, deed.fails)
        elif isinstance(deed, Console):
            yield from self._run_all(deed)
        else:
            message = f"There is no way to do {deed}."
            raise TypeError(message)

    def _run_all(self, console: Console) -> Iterator[tuple[str, bool]]:
        for command in console.commands:
            ended = self._run(command)
            fails = console.fails if command is console.commands[-1] else None
            problems = list(_judge_end(command.line, command.command, ended, fails))
            yield from problems
            difference = compare(command.output, ended.printed.splitlines()) if command.output is not None else None
            if difference is not None:
                yield f"{command.line}: {command.command} prints something else:\n{difference}", False
            if problems:
                return

    def _run(self, command: Command) -> Ended:
        if command.host is None:
            return self._control(command.command)
        ended = self.place.on_host(command.host, command.command, as_root=command.as_root)
        self._note(f"{command.host}{'#' if command.as_root else '$'} {command.command}", ended)
        return ended

    def _control(self, command: str) -> Ended:
        ended = self.place.on_controller(command, self.directory)
        self._note(f"$ {command}", ended)
        return ended

    def _note(self, command: str, ended: Ended) -> None:
        code = f"(ended with {ended.code})\n" if ended.code else ""
        self.transcript.append(f"{command}\n{ended.printed}{code}\n")


def _judge_end(line: int, what: str, ended: Ended, fails: str | None) -> Iterator[tuple[str, bool]]:
    if fails is None:
        if ended.code:
            yield f"{line}: {what} ended with {ended.code}:\n{_last_of(ended)}", True
    elif not ended.code:
        yield f"{line}: {what} ended well, and the page says that it fails.", True
    elif not says(ended.printed, fails):
        yield f"{line}: {what} failed as the page says, but did not say {fails!r}:\n{_last_of(ended)}", False


def _last_of(ended: Ended) -> str:
    """Return what a person wants to see at first; all of it stands in the transcript."""
    return "\n".join(line[:400] for line in ended.printed.splitlines()[-40:])


def lay_out(page: Page, inventory: Path, directory: Path) -> None:
    """Make *directory* what a page begins with: empty but for the inventory.

    A page that writes files below `inventory/` has a directory of that name, and what lies in it is the inventory.
    """
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    files = [deed.name for deed in page.deeds if isinstance(deed, WriteFile)]
    if any(name.startswith("inventory/") for name in files):
        shutil.copytree(inventory, directory / "inventory")
        (directory / "inventory" / "inventory").rename(directory / "inventory" / "hosts.yml")
    else:
        shutil.copytree(inventory, directory, dirs_exist_ok=True)
    if "ansible.cfg" not in files:
        (directory / "ansible.cfg").write_text("[defaults]\ninventory = inventory\n")
