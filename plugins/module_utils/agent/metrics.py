# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells of a scheduled run in a file that Prometheus' node_exporter reads, in its text format.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/. One file a job, and the same words of help in
all of them, which node_exporter insists on. Removing the file removes the job.
"""

from __future__ import annotations

import os
import secrets
import typing as t
from contextlib import suppress

from ..errors import told_as

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .runs import Run

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
HELP = {
    "last_run_timestamp_seconds": "When the last scheduled run ended, in seconds since 1970.",
    "last_run_success": "Whether the last scheduled run went well.",
    "last_success_timestamp_seconds": "When a scheduled run went well last, in seconds since 1970.",
    "last_run_duration_seconds": "How long the last scheduled run took.",
    "restore_point_created_timestamp_seconds": "When the run of the newest restore point that is known began.",
    "restore_point_complete": "Whether everything could be read for the newest restore point that is known.",
    "restore_point_bytes": "The size of all files of the newest restore point that is known.",
    "restore_point_entries": "How many entries the newest restore point that is known has.",
    "sent_bytes": "How many bytes the last scheduled run has sent.",
    "problems": "How many things could not be read for the newest restore point that is known.",
}


def text_of(run: Run) -> str:
    """Return what the file says of *run*, which has ended."""
    labels = {"kind": run.kind, "name": run.name, "destination": run.destination}
    if run.job:
        labels["job"] = run.job
    told = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    lines = []
    for name, value in _samples(run):
        lines.append(f"# HELP ftp_backup_{name} {HELP[name]}")
        lines.append(f"# TYPE ftp_backup_{name} gauge")
        lines.append(f"ftp_backup_{name}{{{told}}} {value}")
    return "".join(f"{line}\n" for line in lines)


def _samples(run: Run) -> Iterator[tuple[str, str]]:
    yield "last_run_timestamp_seconds", _number(run.ended or run.started)
    yield "last_run_success", _number(not run.is_failure)
    if run.last_success is not None:
        yield "last_success_timestamp_seconds", _number(run.last_success)
    yield "last_run_duration_seconds", _number(run.duration)
    if run.point is not None:
        yield "restore_point_created_timestamp_seconds", _number(run.point.created)
        yield "restore_point_complete", _number(run.point.is_complete)
        yield "restore_point_bytes", _number(run.point.size)
        yield "restore_point_entries", _number(run.point.entries)
        yield "problems", _number(run.point.problems)
    if run.job:
        yield "sent_bytes", _number(run.sent)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def _escaped(value: str) -> str:
    """Return *value* as the value of a label."""
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _remove_leftovers(path: Path) -> None:
    """Remove what runs that were killed have left aside of *path*."""
    for aside in list(path.parent.glob(f".{path.name}.*.tmp")):
        with suppress(OSError):
            aside.unlink()


def write_metrics(directory: Path, run: Run) -> None:
    """Write the file of *run*, whole or not at all: whoever collects it may look at any moment.

    The directory may be another user's, who can put anything there: what is written to is new, and ours.
    """
    path = directory / f"ftp_backup_{run.kind}_{run.slug}.prom"
    aside = directory / f".{path.name}.{secrets.token_hex(8)}.tmp"  # not called .prom, so nobody collects it
    with told_as(f"Cannot write the metrics to {path}"):
        _remove_leftovers(path)
        try:
            descriptor = os.open(aside, _NEW, 0o644)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(descriptor, 0o644)  # whatever the umask: the collector is another user
                file.write(text_of(run))
            aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise
