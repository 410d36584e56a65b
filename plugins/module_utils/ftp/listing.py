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

_TRUNCATED = re.compile(r"truncated(?: to (\d+))?", re.IGNORECASE)
_DOS_LINE = re.compile(
    r"\d{2}-\d{2}-(?:\d{2}|\d{4})\s+\d{2}:\d{2}(?:\s?[AP]M)?\s+(?:(?P<directory><DIR>)|(?P<size>[\d,.]+))\s+(?P<name>.+)",
    re.IGNORECASE,
)
_UNIX_LINE = re.compile(
    r"(?P<type>[-dlbcps])[-rwxsStTl]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+"
    r"[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4}) (?P<name>.+)"
)


def parse_mlsd(text: str) -> Iterator[RemoteEntry]:
    """Yield the files and directories of an MLSD listing; links and the directory itself are left out."""
    for line in _lines(text):
        facts_text, separator, name = line.partition(" ")
        facts = dict(fact.lower().split("=", 1) for fact in facts_text.split(";") if "=" in fact)
        size = facts.get("size", "0")
        if not separator or not facts or not size.isdecimal():
            raise RefusedError(f"A line of the server's MLSD listing cannot be read: {line!r}.")
        kind = facts.get("type", "")
        name = _bare(name)
        if kind in ("file", "dir") and name:
            yield RemoteEntry(name, kind == "dir", int(size) if kind == "file" else 0)


def parse_list(text: str) -> Iterator[RemoteEntry]:
    """Yield the files and directories of a LIST listing in the Unix or the DOS form; links are left out."""
    for line in _lines(text):
        if line.startswith("total "):
            continue
        found = _UNIX_LINE.fullmatch(line)
        dos = None if found else _DOS_LINE.fullmatch(line)
        if dos is not None:
            is_kept, is_directory, name = True, bool(dos["directory"]), dos["name"]
            size = 0 if is_directory else int(re.sub(r"\D", "", dos["size"]))
        elif found is not None:
            is_kept, is_directory, name = found["type"] in "-d", found["type"] == "d", found["name"]
            size = 0 if is_directory else int(found["size"])
        else:
            raise RefusedError(f"A line of the server's listing cannot be read: {line!r}.")
        name = _bare(name)
        if is_kept and name:
            yield RemoteEntry(name, is_directory, size)


def parse_nlst(text: str) -> Iterator[str]:
    """Yield the names of an NLST listing; some servers put the directory before each."""
    for line in _lines(text):
        name = _bare(line)
        if name:
            yield name


def is_dos_form(text: str) -> bool:
    """Tell whether a LIST listing has the form that Windows gives it."""
    return any(_DOS_LINE.fullmatch(line) for line in _lines(text))


def _bare(name: str) -> str:
    """Return *name* without the directory some servers put before it; empty for a directory's own names."""
    last = name.rsplit("/", 1)[-1]
    return "" if last in (".", "..") else last


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty; a name may hold what splitlines() takes for the end of one."""
    return [line for line in (line.rstrip("\r") for line in text.split("\n")) if line.strip()]


def limit_in(reply: Reply) -> int | None:
    """Return after how many entries the words after a listing say that it was cut, 0 where they give no number."""
    found = _TRUNCATED.search(reply.text)
    return int(found[1] or 0) if found else None


def refuse_truncated(reply: Reply, directory: str) -> None:
    """Raise if the words after a listing say that it was cut; Pure-FTPd says so in its 226 alone."""
    if limit_in(reply) is not None:
        raise RefusedError(
            f"The server cut its listing of {directory} ('{reply}'): raise its limit, in Pure-FTPd LimitRecursion.",
            code=reply.code,
        )
