# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a stranger's statement is not copied as it is: collations that the server lacks, and the database of a name.

Everything else of what is copied stays as it is, byte by byte.
"""

from __future__ import annotations

import typing as t

from .mysql_collations import nearest_collation
from .mysql_phrases import is_plain
from .mysql_tokens import NAME, WORD

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .mysql_phrases import Phrases
    from .mysql_tokens import Token


class Edits:
    """What is changed in the statements of one dump, for a server that knows the *collations*."""

    def __init__(self, collations: frozenset[str]) -> None:
        self.replaced: dict[str, str] = {}  # collations, by those that are not there
        self.count = 0  # of the places in which one was replaced
        self._collations = collations

    def known(self, collation: str) -> str:
        """Return *collation*, or the one that the server has in its place."""
        if collation.lower() in self._collations:
            return collation
        new = nearest_collation(collation.lower(), self._collations)
        if new is None:
            return collation
        self.replaced[collation] = new
        self.count += 1
        return new

    def body(self, words: Phrases) -> bytes:
        """Return the rest of a statement as it is, but for collations."""
        statement = words.statement
        return self.edited(words.rest(), words.here(), len(statement.text), statement.plain).strip()

    def edited(
        self,
        tokens: Sequence[Token],
        begin: int,
        end: int,
        copy: Callable[[int, int], bytes],
        require_own: Callable[[str], None] | None = None,
    ) -> bytes:
        """Return what *copy* gives of a statement from *begin* to *end*, with collations that the server knows.

        With *require_own*, which refuses all databases but the dump's own, that before a name is left out.
        """
        pieces = []
        place = begin
        for number, token in enumerate(tokens):
            if require_own is not None and _is_qualified(tokens, number):
                require_own(tokens[number - 1].name)
                pieces.append(copy(place, tokens[number - 1].start))
                place = token.end
            new = self._collation_of(tokens, number)
            if new is not None:
                pieces += [copy(place, token.start), new]
                place = token.end
        return b"".join([*pieces, copy(place, end)])

    def _collation_of(self, tokens: Sequence[Token], number: int) -> bytes | None:
        """Return the collation that is to stand in the place of a token, or None if it may stay."""
        before = number - 1
        if before >= 0 and tokens[before].text == b"=":
            before -= 1
        if before < 0 or tokens[before].word != "COLLATE":
            return None
        old = tokens[number].text.decode("utf-8", "replace").strip("'\"`")
        new = self.known(old) if is_plain(old) else old
        return None if new == old else new.encode()


def _is_qualified(tokens: Sequence[Token], number: int) -> bool:
    """Tell whether a token is the dot between two names, and none within a number."""
    if tokens[number].text != b"." or not 0 < number < len(tokens) - 1:
        return False
    behind = tokens[number + 1]
    return _is_name(tokens[number - 1]) and behind.kind in (WORD, NAME)


def _is_name(token: Token) -> bool:
    return token.kind == NAME or (token.kind == WORD and not token.text.isdigit())
