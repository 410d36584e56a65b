# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names in statements of MySQL: what names its own database, so that a dump can be loaded under another name.

The server writes a view over several databases, the default of a sequence, and whatever a user once wrote in front of a
trigger, with the database's own name. In the bodies of triggers, routines and events it stays as it was written.
"""

from __future__ import annotations

import re

from .mysql_client import identifier

_PLAIN = rb"(?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\w$\x80-\xff]+)"
_QUOTED = rb"`(?:[^`]|``)+`"
_SANDBOX = re.compile(rb"\A/\*M!999999\\- enable the sandbox mode \*/ *\n")
_TRIGGER = re.compile(
    rb"""
    ^(/\*!50003\ CREATE\*/\ (?:/\*!50017\ DEFINER=[^\n]*?\*/\ )?/\*!50003\ TRIGGER\s+(?:IF\s+NOT\s+EXISTS\s+)?)
    (?:%(name)s\s*\.\s*)?(%(name)s)
    (\s+(?:BEFORE|AFTER)\s+(?:INSERT|UPDATE|DELETE)\s+ON\s+)
    (?:%(name)s\s*\.\s*)?(%(name)s)
    """
    % {b"name": _PLAIN},
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_VIEW = re.compile(rb"^/\*!50001 VIEW .*$", re.MULTILINE)


def without_sandbox(dump: bytes) -> bytes:
    """Return *dump* without the order at its beginning that programs other than MariaDB's newest take for an error."""
    return _SANDBOX.sub(b"", dump, count=1)


def with_short_triggers(dump: bytes) -> bytes:
    """Return *dump* with no database before the names of its triggers and of their tables.

    There it would be the one in which the trigger is made, whichever one is loaded.
    """
    return _TRIGGER.sub(rb"\1\2\3\4", dump)


def with_short_sequences(line: bytes, database: str) -> bytes:
    """Return the *line* of a table's definition with no *database* before the sequences in it."""
    if not line.startswith(b"  `") or b"val(" not in line:
        return line
    return re.sub(rb"\b((?:next|last|set)val\()%s\." % re.escape(identifier(database).encode()), rb"\1", line)


def with_moved_views(dump: bytes, old: str, new: str) -> bytes:
    """Return *dump* with *new* for the database *old* in the definitions of views, where it is a database.

    As the server writes them that is before a table behind FROM or JOIN, before a table and a column, and before a
    function; a name before a column alone is that of a table.
    """
    if old == new:
        return dump
    return _VIEW.sub(lambda view: with_moved_names(view.group(), old, new), dump)


def with_moved_names(view: bytes, old: str, new: str) -> bytes:
    """Return the definition of a *view* with *new* for the database *old*, as :func:`with_moved_views` does."""
    own = re.escape(identifier(old).encode())
    place = re.compile(
        rb"'(?:[^'\\]|\\.|'')*'"
        rb"|(?P<before>\b(?:from|join) \(*)%(own)s\.(?=%(name)s)"
        rb"|(?<![.`])%(own)s\.(?=%(name)s(?:\.|\())" % {b"own": own, b"name": _QUOTED},
        re.DOTALL,
    )
    qualifier = identifier(new).encode() + b"."

    def moved(found: re.Match[bytes]) -> bytes:
        if found.group().startswith(b"'"):
            return found.group()
        return (found.group("before") or b"") + qualifier

    return place.sub(moved, view)
