# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that hold what an account's metadata says of one mailbox, one FTP account or one user of databases.

They are made from members that hold the lines of all of them, and only in memory: a listing tells of such a file which
members it is made of, and no more. A line is kept byte for byte.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ..databases.servers import POSTGRESQL
from ..native.entries import Problem, path_text
from .grants import database_users
from .member_lines import Notes, domain_name, file_name, lines_of

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

DATABASE_USER, MAILBOX, FTP_ACCOUNT = "database_user", "mailbox", "ftp_account"  # kinds of parts
FTP_LOGINS = b"proftpdpasswd"
OF_MAILBOXES = re.compile(rb"homedir/etc/([^/]+)/(passwd|shadow|quota)", re.DOTALL)

_LOGS = b"_logs"  # what may log in only to fetch logs, and is no account
_LONGEST_NAME = 255  # bytes of a component of a path


@dataclass(frozen=True)
class Generated:
    """The file *rest* of the part *kind*, *name*; *sources* are the members that it is made of."""

    kind: str
    name: str
    rest: str
    content: bytes = field(repr=False)
    sources: tuple[bytes, ...]
    notes: tuple[Problem, ...] = ()


class OwnLine(t.NamedTuple):
    """The line that *member* has of *name*, and the other members that say that it is."""

    member: bytes
    name: str
    line: bytes
    others: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"OwnLine({self.member!r}, {self.name!r})"


def generated_files(members: Mapping[bytes, bytes], databases: Collection[str]) -> list[Generated]:
    """Return all files that are made from *members*, in the order of their kinds, names and paths.

    *databases* are those that the backup holds dumps of. What of the members is left out is told where the account is
    read; the notes here are on what was made.
    """
    files = list(_of_database_users(members, databases))
    unsaid = Notes()  # see above
    files += [
        Generated(FTP_ACCOUNT, own.name, "proftpdpasswd", own.line, (own.member,)) for own in ftp_lines(members, unsaid)
    ]
    for own in mailbox_lines(members, unsaid):
        rest = path_text(own.member.rpartition(b"/")[2])
        files.append(Generated(MAILBOX, own.name, rest, own.line, (own.member, *own.others)))
    return sorted(files, key=lambda file: (file.kind, file.name, file.rest))


def _of_database_users(members: Mapping[bytes, bytes], databases: Collection[str]) -> Iterator[Generated]:
    for user in database_users(members, databases).users:
        rest = f"{user.name}.psql.sql" if user.kind == POSTGRESQL else f"{user.name}.sql"
        notes = tuple(Problem(path_text(user.sources[0]), note) for note in user.notes)
        if file_name(rest) is not None and file_name(user.name) is not None:
            yield Generated(DATABASE_USER, user.name, rest, user.statements, user.sources, notes)


def ftp_lines(members: Mapping[bytes, bytes], notes: Notes) -> Iterator[OwnLine]:
    """Yield the lines of FTP accounts, the first of each."""
    yield from _first_lines(FTP_LOGINS, members.get(FTP_LOGINS, b""), notes, _unchanged)


def mailbox_lines(members: Mapping[bytes, bytes], notes: Notes) -> Iterator[OwnLine]:
    """Yield the lines of mailboxes, which are called ``local@domain``; of each in a member the first.

    A mailbox is called by its directory where that has another name than its login (libcpmove reads it so).
    """
    for member in sorted(members):
        found = OF_MAILBOXES.fullmatch(member)
        if found is None:
            continue
        domain = domain_name(found[1])
        if domain is None:
            notes.add(member, "it is left out: its directory is not called as a domain")
            continue
        passwd = b"homedir/etc/%s/passwd" % found[1]
        boxes = _boxes(passwd, members.get(passwd, b""), found[1])

        for own in _first_lines(member, members[member], notes, partial(_address, boxes, domain)):
            local = own.line.partition(b":")[0].decode()
            is_elsewhere = local in boxes and member != passwd
            yield own._replace(others=(passwd,)) if is_elsewhere else own


def _boxes(passwd: bytes, content: bytes, domain: bytes) -> dict[str, str]:
    """Return the logins whose mailbox has another name, and that."""
    boxes: dict[str, str] = {}
    for _number, line in lines_of(passwd, content, Notes()):
        fields = line.split(b":")
        local = file_name(fields[0])
        above, _slash, last = fields[5].rstrip(b"/").rpartition(b"/") if len(fields) > 6 else (b"", b"", b"")
        box = file_name(last)
        if local is not None and box is not None and box != local and above.endswith(b"/mail/" + domain):
            boxes.setdefault(local, box)
    return boxes


def _address(boxes: Mapping[str, str], domain: str, local: str) -> str | None:
    return file_name(f"{boxes.get(local, local)}@{domain}")


def _unchanged(name: str) -> str | None:
    return name


def _first_lines(
    member: bytes, content: bytes, notes: Notes, name_of: t.Callable[[str], str | None]
) -> Iterator[OwnLine]:
    """Yield the lines of *member* that begin with a name and a colon, the first of each name."""
    seen: set[str] = set()
    for number, line in lines_of(member, content, notes):
        raw, colon, _rest = line.partition(b":")
        if colon and raw.endswith(_LOGS):
            continue
        plain = file_name(raw)
        name = name_of(plain) if colon and plain is not None else None
        if name is None:
            notes.add_line(member, number, "it does not begin with a name that can be one")
        elif name in seen:
            notes.add_line(member, number, "there is one of that name before")
        else:
            seen.add(name)
            yield OwnLine(member, name, line)
