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
import time
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from .memory import Descendants, processes
from .wire import NOTHING, Traffic

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .networks import Network

_SECONDS_TO_END = 3600
_SECONDS_BETWEEN_LOOKS = 0.02
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
    """What a command cost: seconds, of one clock and of all processors; bytes of memory; what went over the network.

    *memory* is the most that all its processes held together when they were looked at, or the peak of the largest one
    if that is more. *carried* is all that the network's device saw in both directions, with all headers.
    """

    seconds: float
    processor: float
    memory: int
    traffic: Traffic = NOTHING
    carried: int = 0


class FailedError(Exception):
    """A contestant did not do its work: ``str(error)`` is the last thing it said."""


def measure(command: Command, scratch: Path, network: Network) -> Figure:
    """Run *command* on a quiet disk and return what it cost; raises FailedError."""
    os.sync()
    traffic, carried = network.traffic(), network.bytes_carried()
    figure = run(command, scratch, network.listen)
    return replace(figure, traffic=network.traffic() - traffic, carried=network.bytes_carried() - carried)


def run(command: Command, scratch: Path, look: Callable[[], None]) -> Figure:
    """Run *command* with its output in files below *scratch*, and call *look* often; raises FailedError."""
    report, output, complaints = (scratch / name for name in ("report", "output", "complaints"))
    report.unlink(missing_ok=True)
    older = set(processes())
    with output.open("wb") as stdout, complaints.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_STOPWATCH), str(report), *command.words],
            env=_environment(command, scratch),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        family = Descendants(process.pid, older)
        _wait(process, family, look)
    if process.returncode != 0:
        raise FailedError(_last_line(complaints) or f"{command.words[0]} could not be run.")
    seconds, processor, memory, code = map(float, report.read_text("ascii").split())
    if code != 0:
        raise FailedError(_last_line(complaints) or _last_line(output) or f"It ended with {code:.0f}.")
    if command.tells_time:
        seconds = json.loads(_last_line(output))["seconds"]
    return Figure(seconds, processor, max(int(memory), family.peak))


def _environment(command: Command, scratch: Path) -> dict[str, str]:
    """Return our environment with *command*'s own, and *scratch* for what is temporary.

    What leads other programs' Python to our modules is left out.
    """
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**ours, "TMPDIR": str(scratch), **command.environment}


def _wait(process: subprocess.Popen[bytes], family: Descendants, look: Callable[[], None]) -> None:
    """Wait for the end; if that is given up, leave nothing behind that *process* has started."""
    deadline = time.monotonic() + _SECONDS_TO_END
    try:
        while process.poll() is None:
            family.look()
            look()
            if time.monotonic() > deadline:
                raise FailedError(f"It did not end within {_SECONDS_TO_END} s.")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def shortened(complaint: str) -> str:
    """Return *complaint* in a length that a table bears."""
    return complaint if len(complaint) <= _LONGEST_COMPLAINT else f"{complaint[:_LONGEST_COMPLAINT]}…"
