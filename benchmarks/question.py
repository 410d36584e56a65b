# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an index one question in a process of its own, and print the seconds of the call alone and how much it answers.

Usage: python -m benchmarks.question REQUEST, which is the JSON that a host of ours writes.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import Question, list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.part_globs import PartGlob
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import FileRegistry


def main(text: str) -> None:
    """Ask what *text* asks."""
    request = json.loads(text)
    destination, asked = request["options"]["destination"], request["options"]["question"]
    parts = tuple(PartGlob(name) for name in asked.get("parts", ()))
    question = Question(**{**asked, "paths": tuple(asked.get("paths", ())), "parts": parts})
    registry, state_directory = FileRegistry(Path(request["config_directory"])), Path(request["state_directory"])
    now = datetime.now(timezone.utc)
    started = time.monotonic()
    values = list_backups(registry, state_directory, destination, question, now=now).values
    seconds = time.monotonic() - started
    answers = {name: len(found) for name, found in values.items() if isinstance(found, list)}
    print(json.dumps({"seconds": seconds, "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1])
