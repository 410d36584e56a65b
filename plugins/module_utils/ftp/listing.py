# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers list: MLSD (RFC 3659, 7) and the Unix form of LIST."""

from __future__ import annotations

import calendar
import re
import time
import typing as t

from ..errors import RefusedError
from ..storage import DIRECTORY, FILE, LINK, OTHER, RemoteDetails, RemoteEntry

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .replies import Reply

_TRUNCATED = re.compile(r"truncated(?: to (\d+))?", re.IGNORECASE)
_DOS_LINE = re.compile(
    r"(?P<modified>\d{2}-\d{2}-(?:\d{2}|\d{4})\s+\d{2}:\d{2}(?:\s?[AP]M)?)\s+"
    r"(?:(?P<directory><DIR>)|(?P<size>[\d,.]+))\s+(?P<name>.+)",
    re.IGNORECASE,
)
_UNIX_LINE = re.compile(
    r"(?P<type>[-dlbcps])(?P<mode>[-rwxsStTl]{9})[.+@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+"
    r"(?P<modified>[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4})) (?P<name>.+)"
)
_ITSELF = re.compile(r"\s\.\r?$", re.MULTILINE)
_MODE = re.compile(r"[0-7]{1,6}")
_TIME = re.compile(r"(\d{14})(?:\.\d*)?")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_KINDS = {"-": FILE, "d": DIRECTORY, "l": LINK, "file": FILE, "dir": DIRECTORY}
_LINK_TYPES = ("os.unix=slink", "os.unix=symlink")
_ARROW = " -> "


def parse_mlsd(text: str) -> Iterator[RemoteDetails]:
    """Yield what an MLSD listing tells of all but the directory itself and the one above it."""
    for line in _lines(text):
        facts_text, separator, name = line.partition(" ")
        pairs = (fact.split("=", 1) for fact in facts_text.split(";") if "=" in fact)
        facts = {fact.lower(): value for fact, value in pairs}
        size = facts.get("size", "0")
        if not separator or not facts or not size.isdecimal():
            raise RefusedError(f"A line of the server's MLSD listing cannot be read: {line!r}.")
        type_ = facts.get("type", "").lower()
        name = _bare(name)
        if not name or type_ in ("cdir", "pdir"):
            continue
        kind = LINK if type_.startswith(_LINK_TYPES) else _KINDS.get(type_, OTHER)
        mode, modified = facts.get("unix.mode", ""), facts.get("modify", "")
        yield RemoteDetails(
            name,
            kind,
            size=int(size) if kind == FILE else 0,
            mode=int(mode, 8) & 0o7777 if _MODE.fullmatch(mode) else None,
            modified=modified,
            mtime=seconds_of(modified),
            target=facts["type"].partition(":")[2] if kind == LINK else "",
        )


def parse_list(text: str) -> Iterator[RemoteDetails]:
    """Yield what a LIST listing in the Unix or the DOS form tells of all but the directory itself and the one above."""
    for line in _lines(text):
        if line.startswith("total "):
            continue
        found = _UNIX_LINE.fullmatch(line)
        dos = None if found else _DOS_LINE.fullmatch(line)
        if dos is not None:
            size = 0 if dos["directory"] else int(re.sub(r"\D", "", dos["size"]))
            kind = DIRECTORY if dos["directory"] else FILE
            details = RemoteDetails(_bare(dos["name"]), kind, size=size, modified=dos["modified"])
        elif found is not None:
            details = _details_in(found)
        else:
            raise RefusedError(f"A line of the server's listing cannot be read: {line!r}.")
        if details.name:
            yield details


def _details_in(line: re.Match[str]) -> RemoteDetails:
    kind = _KINDS.get(line["type"], OTHER)
    name, target = _aimed(line["name"], int(line["size"])) if kind == LINK else (line["name"], "")
    return RemoteDetails(
        _bare(name),
        kind,
        size=int(line["size"]) if kind == FILE else 0,
        mode=_mode_of(line["mode"]),
        modified=" ".join(line["modified"].split()),
        mtime=_day_of(line["modified"]),
        target=target,
    )


def _aimed(text: str, size: int) -> tuple[str, str]:
    """Return the name of a link and where it leads; arrows may be in both, and the size is that of the target."""
    pieces = text.split(_ARROW)
    halves = [(_ARROW.join(pieces[:n]), _ARROW.join(pieces[n:])) for n in range(1, len(pieces))] or [(text, "")]
    fitting = [half for half in halves if len(half[1].encode("utf-8", "surrogateescape")) == size]
    return (fitting or halves)[0]


def _mode_of(text: str) -> int:
    """Return the permissions that stand in *text* as ``ls`` shows them, such as ``rwxr-sr-t``."""
    mode = 0
    for position, letter in enumerate(text):
        mode |= (letter not in "-ST") << (8 - position)
        mode |= (letter in "sStT") << (11 - position // 3)
    return mode


def _day_of(modified: str) -> int | None:
    """Return when the day began that LIST tells of, if it tells the year."""
    month, day, year = modified.split()
    number, rest = divmod(_MONTHS.find(month), 3)
    if ":" in year or rest or not 1 <= int(day) <= 31 or int(year) < 1970:
        return None
    return calendar.timegm((int(year), number + 1, int(day), 0, 0, 0))


def seconds_of(modified: str) -> int | None:
    """Return the seconds since 1970 of a time as RFC 3659, 2.3, has it, in UTC; None if it is none."""
    found = _TIME.fullmatch(modified)
    try:
        return calendar.timegm(time.strptime(found[1], "%Y%m%d%H%M%S")) if found else None
    except ValueError:
        return None


def entries_of(details: Iterable[RemoteDetails]) -> list[RemoteEntry]:
    """Return the files and directories among *details*; all else is left out."""
    return [RemoteEntry(one.name, one.kind == DIRECTORY, one.size) for one in details if one.kind in (FILE, DIRECTORY)]


def shows_itself(text: str) -> bool:
    """Tell whether a LIST listing has the name of the directory itself: then it has all that begin with a dot."""
    return _ITSELF.search(text) is not None


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
