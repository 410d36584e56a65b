# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where figures come from: the machine, its kernel, and the programs on it."""

from __future__ import annotations

import os
import platform
import subprocess
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterable


def surroundings(programs: Iterable[str]) -> dict[str, object]:
    """Return what should be known beside the figures; of *programs*, their versions."""
    return {
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "congestion control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text("ascii").strip(),
        "python": platform.python_version(),
        "programs": {name: version_of(name) for name in programs},
    }


def version_of(program: str) -> str | None:
    """Return the first line that *program* tells of its version, or None if it is not installed."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip().partition("\n")[0]
