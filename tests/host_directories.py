# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host that a test plays has its things, all of it below one directory."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class HostDirectories:
    """The directories of a host below *home*."""

    home: Path

    @property
    def config(self) -> Path:
        return self.home / "etc"

    @property
    def state(self) -> Path:
        return self.home / "var"

    @property
    def source(self) -> Path:
        return self.home / "srv"

    @property
    def target(self) -> Path:
        return self.home / "restored"

    def restored(self, path: Path) -> Path:
        """Return where what was at *path* lies below the target."""
        return self.target / path.relative_to("/")
