# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy starts from, and what could not be taken into it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .native.entries import Problem, path_text
from .native.manifest import VolumeSize

if t.TYPE_CHECKING:
    from .native.damage import Condition
    from .native.points import ReadPoint
    from .storage import Path as RemotePath

_PROBLEMS_KEPT = 1000


class Problems:
    """What could not be taken into a restore point: how much, and the first of it."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Problem] = []

    def note(self, path: bytes, problem: str) -> None:
        self.count += 1
        if len(self.first) < _PROBLEMS_KEPT:
            self.first.append(Problem(path_text(path), problem))


@dataclass(frozen=True)
class Basis:
    """What a copy starts from: manifests whose unchanged files it takes over, the first one before the others.

    *points* are all those whose volumes lie in the pool, *condition* is what is known of these, and *months* are the
    directories for manifests that are there.
    """

    pool: str
    manifests: tuple[ReadPoint, ...]
    points: tuple[ReadPoint, ...]
    condition: Condition
    months: frozenset[RemotePath] = frozenset()

    @property
    def volumes(self) -> dict[str, VolumeSize]:
        return {
            name: VolumeSize(use.stored, use.content, use.checksum)
            for point in (*self.points, *self.manifests)
            for name, use in point.trailer.volumes.items()
        }
