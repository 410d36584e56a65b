# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The works that are measured, and the order: every contestant in turn does each work, round after round."""

from __future__ import annotations

import os
import shutil
import sys
import typing as t
from dataclasses import dataclass

from .contestants import Contestant, Place
from .measure import FailedError, Figure, measure, run, shortened
from .trees import Fingerprint, fingerprint, only_file, rest

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.servers.server import FtpServer

    from .measure import Command
    from .networks import Network
    from .trees import Tree

_Result = t.TypeVar("_Result")

FULL = "full backup"
UNCHANGED = "nothing changed"
CHANGED = "one per cent changed"
RESTORE_ALL = "restore all"
RESTORE_ONE = "restore one file"
WORKS = (FULL, UNCHANGED, CHANGED, RESTORE_ALL, RESTORE_ONE)


@dataclass(frozen=True)
class Failure:
    """Why there is no figure."""

    reason: str


@dataclass(frozen=True)
class Measurement:
    """What one contestant's work cost in one round of a course."""

    course: str
    turn: int
    work: str
    contestant: str
    result: Figure | Failure


class Race:
    """Contestants that back up one tree over one network, each with a directory of its own on the server."""

    def __init__(
        self,
        contestants: Sequence[Contestant],
        course: str,
        tree: Tree,
        network: Network,
        server: FtpServer,
        scratch: Path,
    ) -> None:
        self._contestants = contestants
        self._course = course
        self._tree = tree
        self._network = network
        self._server = server
        self._scratch = scratch
        self._source = scratch / "source"
        self._current = Fingerprint(0, 0, "")
        self._failures: dict[str, Failure] = {}

    def make_tree(self) -> Fingerprint:
        """Make the tree that is backed up."""
        self._source.mkdir()
        self._tree.make(self._source)
        self._current = self._rested()
        return self._current

    def round(self, turn: int) -> list[Measurement]:
        """Let everybody do every work once, from an empty server on; who begins changes from round to round."""
        self._failures.clear()
        first = turn % len(self._contestants)
        order = [*self._contestants[first:], *self._contestants[:first]]
        for contestant in order:
            self._attempt(contestant, self._prepare)

        measurements = []
        for work, deed in self._deeds().items():
            if work == CHANGED:
                self._change(turn)
            for contestant in order:
                result = self._attempt(contestant, deed)
                measurements.append(Measurement(self._course, turn, work, contestant.name, result))
                print(f"round {turn}: {work}: {contestant.name}: {_told(result)}", file=sys.stderr, flush=True)
        return measurements

    def _deeds(self) -> dict[str, Callable[[Contestant], Figure]]:
        return {
            FULL: self._back_up,
            UNCHANGED: self._back_up,
            CHANGED: self._back_up,
            RESTORE_ALL: self._restore_all,
            RESTORE_ONE: self._restore_one,
        }

    def _attempt(self, contestant: Contestant, deed: Callable[[Contestant], _Result]) -> _Result | Failure:
        """Do *deed*; who has failed once in a round has nothing to go on with."""
        if contestant.name not in self._failures:
            try:
                return deed(contestant)
            except FailedError as error:
                self._failures[contestant.name] = Failure(shortened(str(error)))
        return self._failures[contestant.name]

    # -- the works

    def _prepare(self, contestant: Contestant) -> None:
        place = self._place(contestant)
        owner = self._server.root.stat()
        for directory in (place.server.root, place.state):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        os.chown(place.server.root, owner.st_uid, owner.st_gid)
        for command in contestant.prepare(place):
            run(command, self._scratch, self._network.listen)

    def _back_up(self, contestant: Contestant) -> Figure:
        return self._measure(contestant.back_up(self._place(contestant)))

    def _restore_all(self, contestant: Contestant) -> Figure:
        target = self._empty_target()
        place = self._place(contestant)
        figure = self._measure(contestant.restore_all(place, target))
        found = fingerprint(contestant.restored_tree(place, target))
        if found != self._current:
            message = f"It restored {found.files} files of {found.bytes} bytes, and not the tree that was backed up."
            raise FailedError(message)
        return figure

    def _restore_one(self, contestant: Contestant) -> Figure:
        target, path = self._empty_target(), self._tree.sample
        figure = self._measure(contestant.restore_one(self._place(contestant), path, target))
        if only_file(target).read_bytes() != (self._source / path).read_bytes():
            message = f"It restored {path} with another content than it has."
            raise FailedError(message)
        return figure

    # -- what they need

    def _measure(self, command: Command) -> Figure:
        return measure(command, self._scratch, self._network)

    def _change(self, turn: int) -> None:
        self._tree.change(self._source, turn)
        self._current = self._rested()

    def _rested(self) -> Fingerprint:
        rest()
        return fingerprint(self._source)

    def _place(self, contestant: Contestant) -> Place:
        name = f"contestant{self._contestants.index(contestant)}"
        return Place(self._source, self._server.below(name), self._scratch / "state" / name)

    def _empty_target(self) -> Path:
        target = self._scratch / "target"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        return target


def _told(result: Figure | Failure) -> str:
    return f"{result.seconds:.2f} s" if isinstance(result, Figure) else result.reason
