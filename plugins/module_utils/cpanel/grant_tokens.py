# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that an archive has about users, taken apart into words, names and texts.

The reader of dumps refuses a whole dump for what it does not understand; here, that costs the statement or the line.
A statement ends with a semicolon, or where another one begins on a new line. No text and no name goes over a line's
end, for none does where they are written.

Source: the chapters on comments, literals and identifiers of the manuals of MariaDB, MySQL and PostgreSQL.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .member_lines import LONGEST_LINE

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .member_lines import Notes

WORD, NAME, TEXT, BYTES, SIGN = "word", "name", "text", "bytes", "sign"

_MOST_STATEMENTS = 100_000
_MOST_LINES = 100_000
_MOST_TOKENS = 5000  # of one statement
_BEGINNINGS = frozenset(("GRANT", "REVOKE", "CREATE", "ALTER", "DROP", "SET", "FLUSH"))
_WORD = r"(?P<word>[0-9A-Za-z_$\u0080-\U0010ffff]+)"
_REST = r"(?P<space>[ \t\v\f\r]+)|(?P<end>\n)"
_ESCAPE = re.compile(r"\\(.)|''|\"\"", re.DOTALL)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


class MisreadError(ValueError):
    """A statement is not understood; the text says why, without anything that stands in it."""


class Token(t.NamedTuple):
    """A piece of a statement; *value* is what it means, bytes as surrogates where they are no UTF-8."""

    kind: str
    value: str


@dataclass(frozen=True)
class Dialect:
    """How a server reads text: *pattern* knows its pieces, *opened* what begins a comment that it executes."""

    pattern: re.Pattern[str]
    opened: re.Pattern[str]
    has_backslashes: bool


MYSQL_DIALECT = Dialect(
    re.compile(
        rf"{_REST}|(?P<line>#[^\n]*|--(?=[\x00-\x20]|\Z)[^\n]*)|(?P<comment>/\*)"
        r"|[xX]'(?P<hex>(?:[0-9A-Fa-f]{2})*)'|0[xX](?P<number>(?:[0-9A-Fa-f]{2})+)(?![0-9A-Za-z_$])"
        rf"|{_WORD}|`(?P<name>[^`\n]*(?:``[^`\n]*)*)`"
        r"|'(?P<text>[^'\\\n]*(?:(?:\\[^\n]|'')[^'\\\n]*)*)'"
        r'|"(?P<double>[^"\\\n]*(?:(?:\\[^\n]|"")[^"\\\n]*)*)"'
        r"|(?P<broken>['\"`])|(?P<sign>.)",
        re.DOTALL,
    ),
    re.compile(r"/\*M?!"),
    has_backslashes=True,
)
POSTGRESQL_DIALECT = Dialect(
    re.compile(
        rf"{_REST}|(?P<line>--[^\n]*|\\(?:un)?restrict [^\n]*)|(?P<comment>/\*)"
        rf"|{_WORD}|\"(?P<name>[^\"\n]*(?:\"\"[^\"\n]*)*)\""
        r"|'(?P<text>[^'\n]*(?:''[^'\n]*)*)'"
        r"|(?P<broken>['\"])|(?P<sign>.)",
        re.DOTALL,
    ),
    re.compile(r"(?!)"),
    has_backslashes=False,
)


@dataclass
class Statement:
    """The *tokens* of a statement that begins in a *line*; *why* it cannot be one, if so."""

    line: int = 0
    tokens: list[Token] = field(default_factory=list, repr=False)
    why: str = ""


def statements_in(member: bytes, content: bytes, dialect: Dialect, notes: Notes) -> Iterator[Statement]:
    """Yield the statements of *member* that can be taken apart, and note the others."""
    scanner = _Scanner(content.decode("utf-8", "surrogateescape"), dialect)
    for count, statement in enumerate(scanner.statements(), 1):
        if count > _MOST_STATEMENTS:
            notes.add_line(member, statement.line, "there are too many statements, and so are all that follow")
            return
        if statement.why:
            notes.add_line(member, statement.line, statement.why)
        elif statement.tokens:
            yield statement


class _Scanner:
    """Goes through *text* once."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self._text = text
        self._dialect = dialect
        self._place = 0
        self._line = 1
        self._is_new_line = True
        self._may_be_long = True
        self._current = Statement(1)

    def statements(self) -> Iterator[Statement]:
        """Yield all statements, also empty ones and those that cannot be one."""
        while self._place < len(self._text):
            if self._may_be_long and self._skip_long_line():
                continue
            self._may_be_long = False
            found = t.cast("re.Match[str]", self._dialect.pattern.match(self._text, self._place))
            kind = t.cast("str", found.lastgroup)
            if self._ends_before(kind, found):
                yield self._taken()
            self._is_new_line = self._is_new_line and kind == "space"
            self._place = found.end()
            if kind == "end":
                self._line += 1
                self._is_new_line = self._may_be_long = True
                if self._line > _MOST_LINES:
                    self._refuse("there are too many lines, and so are all that follow")
                    break
            elif kind == "comment":
                self._skip_comment(found.start())
            elif kind == "broken":
                self._refuse("a quote in it is not ended")
                self._skip_line()
            elif kind == "sign" and found.group() == ";":
                yield self._taken()
            elif kind not in ("space", "line"):
                self._add(kind, found[kind])
        yield self._taken()

    def _ends_before(self, kind: str, found: re.Match[str]) -> bool:
        """Tell whether another statement begins here, though the one before was not ended."""
        if not (self._is_new_line and kind == "word" and (self._current.tokens or self._current.why)):
            return False
        return found["word"].upper() in _BEGINNINGS

    def _taken(self) -> Statement:
        statement, self._current = self._current, Statement(self._line)
        return statement

    def _refuse(self, why: str) -> None:
        if not self._current.tokens and not self._current.why:
            self._current.line = self._line
        self._current.why = self._current.why or why

    def _add(self, kind: str, value: str) -> None:
        if not self._current.tokens:
            self._current.line = self._current.line if self._current.why else self._line
        if len(self._current.tokens) >= _MOST_TOKENS:
            self._refuse("it is too long")
            return
        if kind in ("hex", "number"):
            token = Token(BYTES, bytes.fromhex(value).decode("utf-8", "surrogateescape"))
        elif kind == "name":
            quote = "`" if self._dialect.has_backslashes else '"'
            token = Token(NAME, value.replace(quote * 2, quote))
        elif kind in ("text", "double"):
            token = Token(TEXT, self._meant(value, "'" if kind == "text" else '"'))
        else:
            token = Token(WORD if kind == "word" else SIGN, value)
        self._current.tokens.append(token)

    def _meant(self, value: str, quote: str) -> str:
        if not self._dialect.has_backslashes:
            return value.replace(quote * 2, quote)

        def one(found: re.Match[str]) -> str:
            if found[1] is None:
                return quote if found.group() == quote * 2 else found.group()
            return _ESCAPES.get(found[1], found[1])

        return _ESCAPE.sub(one, value)

    def _skip_long_line(self) -> bool:
        """Pass over the line that begins here if it is longer than any that could be meant."""
        end = self._text.find("\n", self._place, self._place + LONGEST_LINE)
        if end >= 0 or len(self._text) - self._place <= LONGEST_LINE:
            return False
        self._refuse("it is too long")
        self._skip_line()
        return True

    def _skip_line(self) -> None:
        """Go to the end of the line."""
        end = self._text.find("\n", self._place)
        self._place = len(self._text) if end < 0 else end
        self._may_be_long = False

    def _skip_comment(self, start: int) -> None:
        """Go behind the comment that begins at *start*; what a server would execute in one is not understood."""
        if self._dialect.opened.match(self._text, start):
            self._refuse("a comment in it is one that is executed")
        end = self._text.find("*/", self._place)
        if end < 0:
            self._refuse("a comment is not ended")
            end = len(self._text)
        self._line += self._text.count("\n", self._place, end)
        self._place = min(end + 2, len(self._text))
        self._may_be_long = True


class Cursor:
    """Reads one *statement*; *subject* is what a note says first of it.

    *demand* is what it asks of connections, *has_limits*: it also says how much a user may do.
    """

    def __init__(self, statement: Statement) -> None:
        self._tokens = statement.tokens
        self._place = 0
        self.subject = ""
        self.demand = ""
        self.has_limits = False

    @property
    def is_at_end(self) -> bool:
        return self._place >= len(self._tokens)

    def word(self) -> str:
        """Return the word that comes next in capitals, "" if it is none."""
        token = self._next()
        return token.value.upper() if token is not None and token.kind == WORD else ""

    def skip(self) -> None:
        """Pass over what comes next."""
        self._place += 1

    def take(self, *words: str) -> bool:
        """Pass over *words* if they come next, and tell whether they do."""
        ahead = self._tokens[self._place : self._place + len(words)]
        if [token.value.upper() if token.kind == WORD else "" for token in ahead] != [*words]:
            return False
        self._place += len(words)
        return True

    def require(self, *words: str) -> None:
        """Pass over *words*, which must come next."""
        if not self.take(*words):
            raise MisreadError("it is not understood")

    def take_sign(self, sign: str) -> bool:
        """Pass over *sign* if it comes next, and tell whether it does."""
        if self._next() != Token(SIGN, sign):
            return False
        self._place += 1
        return True

    def require_sign(self, sign: str) -> None:
        """Pass over *sign*, which must come next."""
        if not self.take_sign(sign):
            raise MisreadError("what it grants privileges on is not understood")

    def name(self, kinds: tuple[str, ...], why: str) -> str:
        """Return the name that comes next, of one of *kinds*; raise *why* if there is none."""
        token = self._next()
        if token is None or token.kind not in kinds:
            raise MisreadError(why)
        self._place += 1
        return token.value

    def secret(self) -> bytes:
        """Return the text or the bytes that come next."""
        return self.name((TEXT, BYTES), "how it logs in is not understood").encode("utf-8", "surrogateescape")

    def peek_behind(self, word: str) -> str:
        """Return the name that stands behind the next *word*, "" if there is none."""
        ahead = self._tokens[self._place :]
        for token, following in zip(ahead, ahead[1:]):
            if token.kind == WORD and token.value.upper() == word:
                return "" if following.kind == SIGN else following.value
        return ""

    def _next(self) -> Token | None:
        return None if self.is_at_end else self._tokens[self._place]
