# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers list: MLSD (RFC 3659, 7) and the Unix form of LIST."""

from __future__ import annotations

import re
import typing as t

from ..errors import RefusedError
from ..storage import RemoteEntry

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .replies import Reply

_UNIX_LINE = re.compile(
    r"(?P<type>[-dlbcps])[-rwxsStTl]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+"
    r"[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4}) (?P<name>.+)"
)


def parse_mlsd(text: str) -> Iterator[RemoteEntry]:
    """Yield the files and directories of an MLSD listing; links and the directory itself are left out."""
    for line in _lines(text):
        facts_text, separator, name = line.partition(" ")
        if not separator:
            raise RefusedError(f"A line of the server's MLSD listing cannot be read: {line!r}.")
        facts = dict(fact.lower().split("=", 1) for fact in facts_text.split(";") if "=" in fact)
        kind = facts.get("type", "")
        if kind in ("file", "dir") and name not in (".", ".."):
            yield RemoteEntry(name, kind == "dir", int(facts.get("size", 0)) if kind == "file" else 0)


def parse_list(text: str) -> Iterator[RemoteEntry]:
    """Yield the files and directories of a LIST listing in the Unix form; links are left out."""
    for line in _lines(text):
        if line.startswith("total "):
            continue
        found = _UNIX_LINE.fullmatch(line)
        if found is None:
            raise RefusedError(f"A line of the server's listing cannot be read: {line!r}.")
        name = found["name"]
        if found["type"] in "-d" and name not in (".", ".."):
            is_directory = found["type"] == "d"
            yield RemoteEntry(name, is_directory, 0 if is_directory else int(found["size"]))


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty; a name may hold what splitlines() takes for the end of one."""
    return [line for line in (line.rstrip("\r") for line in text.split("\n")) if line.strip()]


def refuse_truncated(reply: Reply, directory: str) -> None:
    """Raise if the words after a listing say that it was cut; Pure-FTPd says so in its 226 alone."""
    if "truncated" in reply.text.lower():
        raise RefusedError(
            f"The server cut its listing of {directory} ('{reply}'): raise its limit, in Pure-FTPd LimitRecursion.",
            code=reply.code,
        )
