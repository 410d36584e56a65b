# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command says and where: results on standard output, warnings, errors and progress on standard error."""

from __future__ import annotations

import io
import json
import sys
import typing as t
from contextlib import suppress
from dataclasses import dataclass

from ..errors import LocalError
from ..words import printable, sendable

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROGRAM = "ftp-backup"


@dataclass
class Terminal:
    """Standard output and standard error, and how much is said there.

    Whoever reads standard output may go away, as ``head`` does: what is left to say is then said to nobody.
    """

    out: t.TextIO
    err: t.TextIO
    is_quiet: bool = False
    is_json: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether only errors are told to people."""
        return self.is_quiet or self.is_json

    def say(self, *lines: str) -> None:
        """Tell *lines* of a result, each on a line of its own whatever it holds."""
        if not self.is_silent:
            self._write("".join(f"{printable(line)}\n" for line in lines))

    def show(self, lines: Iterable[str]) -> None:
        """Tell lines that nobody asked to be spared."""
        self._write("".join(f"{printable(line)}\n" for line in lines))

    def document(self, values: Mapping[str, object]) -> None:
        """Tell the one JSON document there is, where that is what is wanted."""
        if self.is_json:
            self._write(f"{json.dumps(sendable(dict(values)), indent=2)}\n")

    def warn(self, sentence: str) -> None:
        """Tell a warning."""
        if not self.is_silent:
            self.tell(f"{PROGRAM}: warning: {sentence}")

    def fail(self, sentence: str) -> None:
        """Tell an error."""
        self.tell(f"{PROGRAM}: {sentence}")

    def tell(self, line: str) -> None:
        """Tell *line* on standard error; where that is gone, there is nobody to be told."""
        with suppress(OSError, ValueError):
            self.err.write(f"{printable(line)}\n")
            self.err.flush()

    def _write(self, text: str) -> None:
        try:
            with suppress(BrokenPipeError):
                self.out.write(text)
                self.out.flush()
        except OSError as error:
            raise LocalError(f"Cannot write to standard output: {error.strerror or error}.") from error


def standard_terminal() -> Terminal:
    """Return the streams of this process, able to write any text in any locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return Terminal(sys.stdout, sys.stderr)
