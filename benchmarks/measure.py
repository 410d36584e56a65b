# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands and tells what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SECONDS_TO_END = 1800
_LONGEST_COMPLAINT = 200
_STOPWATCH = Path(__file__).with_name("stopwatch.py")


@dataclass(frozen=True)
class Command:
    """A command line, and what its environment has beyond ours.

    One that *tells_time* prints the seconds that count itself, as JSON in its last line.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    tells_time: bool = False


@dataclass(frozen=True)
class Figure:
    """What a command cost: seconds, of one clock and of all processors; bytes of memory and over the network."""

    seconds: float
    processor: float
    memory: int
    carried: int = 0


class FailedError(Exception):
    """A contestant did not do its work: ``str(error)`` is the last thing it said."""


def measure(command: Command, scratch: Path, bytes_carried: Callable[[], int]) -> Figure:
    """Run *command* on a quiet disk and return what it cost; raises FailedError."""
    os.sync()
    before = bytes_carried()
    figure = run(command, scratch)
    return replace(figure, carried=bytes_carried() - before)


def run(command: Command, scratch: Path) -> Figure:
    """Run *command* with its output in files below *scratch*; raises FailedError."""
    report, output, complaints = (scratch / name for name in ("report", "output", "complaints"))
    report.unlink(missing_ok=True)
    with output.open("wb") as stdout, complaints.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_STOPWATCH), str(report), *command.words],
            env=_environment(command),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        _wait(process)
    if process.returncode != 0:
        raise FailedError(_last_line(complaints) or f"{command.words[0]} could not be run.")
    seconds, processor, memory, code = map(float, report.read_text("ascii").split())
    if code != 0:
        raise FailedError(_last_line(complaints) or _last_line(output) or f"It ended with {code:.0f}.")
    if command.tells_time:
        seconds = json.loads(_last_line(output))["seconds"]
    return Figure(seconds, processor, int(memory))


def _environment(command: Command) -> dict[str, str]:
    """Return our environment, without what leads other programs' Python to our modules, and *command*'s own."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**ours, **command.environment}


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end; if that is given up, leave nothing behind that *process* has started."""
    try:
        process.wait(_SECONDS_TO_END)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise FailedError(f"It did not end within {_SECONDS_TO_END} s.") from error
        raise


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def shortened(complaint: str) -> str:
    """Return *complaint* in a length that a table bears."""
    return complaint if len(complaint) <= _LONGEST_COMPLAINT else f"{complaint[:_LONGEST_COMPLAINT]}…"
