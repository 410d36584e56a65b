# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a dump of MySQL, taken apart as the server does: into statements, and these into words, names and texts.

Rows are passed on as they come, for a statement of them may be as large as a packet of the server's. All others are
held whole, up to a limit. What client and server might read in different ways is refused: a backslash outside of a
text, letters of a character set in which a byte of a letter can look like a quote or a backslash, a comment that only
some versions execute within another one.

Source: sql/sql_lex.cc of MariaDB and of MySQL, and the chapters on comments, literals and SQL modes of their manuals.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..storage import Buffer

WORD, NAME, TEXT, SIGN = "word", "name", "text", "sign"
_OPEN, _CLOSE = "open", "close"  # of a comment that versions from a certain one on execute

STATEMENT_LIMIT = 2 * 1024 * 1024  # bytes of one that holds no rows: a table of 8192 partitions takes half of it
_FILL = 256 * 1024
_LONGEST_WORD = 64  # bytes of one among rows, but for numbers in hexadecimal

_SPACE = rb"[ \t\n\v\f\r]+"
_TEXT = rb"'[^'\\]*(?:\\.[^'\\]*)*'"
_PLAIN_TEXT = rb"'[^']*'"
_QUOTED = rb"`(?:[^`]|``)*`"
#: A comment, but for one that is executed; two dashes begin one only before a space or a control character.
_LINE = rb"#[^\n]*|--(?=[\x00-\x20\x7f]|\Z)[^\n]*"
_SANDBOX = re.compile(rb"/\*M?!999999\\- enable the sandbox mode \*/")
_DELIMITER = re.compile(rb"DELIMITER[ \t]+(\S+)[ \t]*(?:\r?\n|\Z)", re.IGNORECASE)
_SPACES = re.compile(_SPACE)
_WHOLE_LINE = re.compile(_LINE)
_COMMENT_BEGINS = re.compile(rb"/\*(?!M?!)")
_COMMENT = re.compile(rb"/\*(?!M?!).*?\*/", re.DOTALL)
_TOLD = re.compile(rb"-- Host: [^\n]*? Database: ([^\r\n]+)")
_DELIMITERS = (b";", b";;", b"//")
_TAIL = re.compile(rb"[0-9A-Za-z_.+\-]{0,%d}\Z" % _LONGEST_WORD)
_HEX = re.compile(rb"[0-9A-Fa-f]*")
_IN_TEXT = re.compile(rb"[^'\\]*(?:\\.[^'\\]*)*", re.DOTALL)
_IN_PLAIN_TEXT = re.compile(rb"[^']*")
# Nothing but literals: no name, no function, no operator, no comment.
_ROWS = rb"""
    (?:[ \t\n\r(),]+
    |(?P<hex>0[xX][0-9A-Fa-f]*)
    |-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?
    |-?\.[0-9]+(?:[eE][+-]?[0-9]+)?
    |%s
    |NULL|DEFAULT|TRUE|FALSE
    |_[a-z][a-z0-9]*
    |[xXbBnN](?=')
    )*
"""


def words_of(text: str) -> frozenset[str]:
    """Return the words of a *text*."""
    return frozenset(text.split())


class Token(t.NamedTuple):
    """A piece of a statement that lies at *start* in its text; *is_versioned*: only some versions execute it."""

    kind: str
    text: bytes
    start: int
    is_versioned: bool

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """The word in capitals, or nothing if it is none."""
        return self.text.decode("ascii", "replace").upper() if self.kind == WORD else ""

    @property
    def name(self) -> str:
        """The name or word as it is meant."""
        if self.kind == NAME:
            quote = self.text[:1]
            return self.text[1:-1].replace(quote * 2, quote).decode("utf-8", "surrogateescape")
        return self.text.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Statement:
    """A statement: its *text*, and in *tokens* all of it but spaces and comments.

    *marks* tells where in the text the signs begin and end that make a comment one that is executed. One that
    *has_rows* ends before its rows.
    """

    number: int
    text: bytes
    tokens: Sequence[Token]
    marks: Sequence[tuple[int, int]] = ()
    has_rows: bool = False

    @property
    def is_versioned(self) -> bool:
        """Tell whether all of it is within comments that only some versions execute."""
        return all(token.is_versioned for token in self.tokens)

    def part(self, start: int, end: int) -> bytes:
        """Return the text from *start* to *end* as it is."""
        return self.text[start:end]

    def plain(self, start: int, end: int) -> bytes:
        """Return the text from *start* to *end* without the signs that make a comment one that is executed."""
        pieces = []
        for mark, behind in self.marks:
            if mark >= end:
                break
            if behind > start:
                pieces.append(self.text[start : max(mark, start)])
                start = behind
        return b" ".join([*pieces, self.text[start:end]])


@dataclass
class Reading:
    """What the server would make of quotes and letters at this place of the dump."""

    has_ansi_quotes: bool = False
    has_backslashes: bool = True
    is_utf8: bool = True


@dataclass
class _Cursor:
    """What of a statement is read: up to *place* in the buffer, within how many executed comments."""

    place: int
    tokens: list[Token] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    is_versioned: bool = False


class StatementReader:
    """The statements of the dump *content*, read with what *reading* says at each; *deed* begins a refusal."""

    def __init__(self, content: Iterable[Buffer], reading: Reading, deed: str) -> None:
        self.number = 0
        self._pieces = iter(content)
        self._reading = reading
        self._deed = deed
        self._buffer = b""
        self._place = 0
        self._is_whole = False
        self._delimiter = b";"
        self._patterns: dict[tuple[bool, bool], re.Pattern[bytes]] = {}
        #: The database that a comment at the beginning names, as the program that dumped was told it.
        self.told_database: str | None = None

    def __iter__(self) -> Iterator[Statement]:
        """Yield the statements; of one that has rows, :meth:`rows` must be read before the next is asked for."""
        while self._skip_between():
            self.number += 1
            yield self._statement()

    def refuse(self, why: str) -> t.NoReturn:
        """Raise that the statement read last is not loaded."""
        raise DatabaseError(f"{self._deed}: the statement {self.number} of the dump {why}.")

    # between statements

    def _skip_between(self) -> bool:
        """Pass over spaces, comments and what sets the delimiter, and tell whether a statement follows."""
        while True:
            self._require(_LONGEST_WORD * 4)
            found = (
                _SPACES.match(self._buffer, self._place)
                or _SANDBOX.match(self._buffer, self._place)
                or self._whole_line()
                or self._whole_comment()
            )
            if found is not None:
                self._place = found.end()
            elif self._buffer.startswith(self._delimiter, self._place):
                self._place += len(self._delimiter)  # an empty statement
            else:
                command = _DELIMITER.match(self._buffer, self._place)
                if command is None:
                    return self._place < len(self._buffer)
                if command.group(1) not in _DELIMITERS:
                    self.number += 1
                    self.refuse("sets a delimiter that no dumping program sets")
                self._delimiter = command.group(1)
                self._place = command.end()

    def _whole_line(self) -> re.Match[bytes] | None:
        found = _WHOLE_LINE.match(self._buffer, self._place)
        while found is not None and found.end() == len(self._buffer) and self._fill_on():
            found = _WHOLE_LINE.match(self._buffer, self._place)
        if found is not None and self.told_database is None:
            told = _TOLD.match(found.group())
            self.told_database = told and told.group(1).decode("utf-8", "surrogateescape")
        return found

    def _whole_comment(self) -> re.Match[bytes] | None:
        if _COMMENT_BEGINS.match(self._buffer, self._place) is None:
            return None
        found = _COMMENT.match(self._buffer, self._place)
        while found is None and self._fill_on():
            found = _COMMENT.match(self._buffer, self._place)
        return found

    # a statement

    def _statement(self) -> Statement:
        cursor = _Cursor(self._place)
        while self._add_token(cursor):
            if _begins_rows(cursor.tokens):
                return self._taken(cursor, has_rows=True)
            self._require_limit(cursor.place - self._place)
        if cursor.is_versioned:
            self.refuse("ends within a comment that is executed")
        statement = self._taken(cursor, has_rows=False)
        self._place += len(self._delimiter)
        return statement

    def _taken(self, cursor: _Cursor, *, has_rows: bool) -> Statement:
        begin = self._place
        self._place = cursor.place
        return Statement(
            self.number,
            self._buffer[begin : cursor.place],
            [token._replace(start=token.start - begin) for token in cursor.tokens],
            [(start - begin, end - begin) for start, end in cursor.marks],
            has_rows=has_rows,
        )

    def _add_token(self, cursor: _Cursor) -> bool:
        """Add what comes next to *cursor*, and return whether the statement goes on."""
        while True:
            if self._buffer.startswith(self._delimiter, cursor.place):
                # What comes next may make it another one, such as two signs instead of one.
                return False
            found = self._pattern().match(self._buffer, cursor.place)
            is_sure = found is not None and found.end() < len(self._buffer)
            if (is_sure and found is not None and found.lastgroup != "broken") or not self._refill(cursor):
                break
        if found is None or found.lastgroup == "broken":
            if found is None:
                raise DatabaseError(f"{self._deed}: the dump lacks its end: its last statement is not ended.")
            raise DatabaseError(f"{self._deed}: the dump lacks its end, or a quote in statement {self.number}.")
        self._take_token(cursor, t.cast("str", found.lastgroup), found)
        return True

    def _take_token(self, cursor: _Cursor, kind: str, found: re.Match[bytes]) -> None:
        text = found.group()
        if kind == _OPEN:
            if cursor.is_versioned:
                self.refuse("has a comment that is executed within another one")
            cursor.is_versioned = True
            cursor.marks.append((found.start(), found.end()))
        elif kind == _CLOSE:
            if not cursor.is_versioned:
                self.refuse("ends a comment that it has not begun")
            cursor.is_versioned = False
            cursor.marks.append((found.start(), found.end()))
        elif kind in (WORD, NAME, TEXT, SIGN):
            self._require_plain(kind, text)
            if cursor.is_versioned and kind in (NAME, TEXT) and (b"*/" in text or b"/*" in text):
                # Who does not execute the comment looks for its end, and not for quotes.
                self.refuse("has the signs of a comment in a text within a comment that is executed")
            cursor.tokens.append(Token(kind, text, found.start(), cursor.is_versioned))
        cursor.place = found.end()

    def _require_plain(self, kind: str, text: bytes) -> None:
        if b"\\" in text and kind != TEXT:
            self.refuse("has a backslash outside of a text")
        if kind in (WORD, SIGN) and not text.isascii() and not self._reading.is_utf8:
            self.refuse("has letters outside of quotes in a character set other than UTF-8")

    def _pattern(self) -> re.Pattern[bytes]:
        reading = self._reading
        key = (reading.has_ansi_quotes, reading.has_backslashes)
        if key not in self._patterns:
            text = _TEXT if reading.has_backslashes else _PLAIN_TEXT
            double = text.replace(b"'", b'"')
            name = rb'%s|"(?:[^"]|"")*"' % _QUOTED if reading.has_ansi_quotes else _QUOTED
            text = text if reading.has_ansi_quotes else rb"%s|%s" % (text, double)
            self._patterns[key] = re.compile(
                rb"(?P<space>%(space)s|%(line)s|/\*(?!M?!).*?\*/)"
                rb"|(?P<open>/\*M?!(?:[0-9]{5,6}(?![0-9]))?)|(?P<close>\*/)"
                rb"|(?P<word>[0-9A-Za-z_$\x80-\xff]+)|(?P<name>%(name)s)|(?P<text>%(text)s)"
                rb"|(?P<broken>['\"`]|/\*)|(?P<sign>.)"
                % {b"space": _SPACE, b"line": _LINE, b"name": name, b"text": text},
                re.DOTALL,
            )
        return self._patterns[key]

    # rows

    def rows(self) -> Iterator[bytes]:
        """Yield the rows of the statement that was yielded last, nothing else than literals; refuse anything else."""
        text = _TEXT if self._reading.has_backslashes else _PLAIN_TEXT
        pattern = re.compile(_ROWS % text, re.DOTALL | re.VERBOSE)
        while True:
            begin = self._place
            found = t.cast("re.Match[bytes]", pattern.match(self._buffer, begin))
            end = found.end()
            if not self._is_whole and len(self._buffer) - end < _LONGEST_WORD:
                if found.end("hex") == end == len(self._buffer):
                    yield self._buffer[begin:end]
                    self._place = end
                    yield from self._rest_of_hex()
                    continue
                end -= len(
                    t.cast("re.Match[bytes]", _TAIL.search(self._buffer, max(begin, end - _LONGEST_WORD), end))[0]
                )
                yield self._buffer[begin:end]
                self._place = end
                self._fill()
                continue
            yield self._buffer[begin:end]
            self._place = end
            if self._buffer.startswith(self._delimiter, end):
                self._place = end + len(self._delimiter)
                return
            if self._buffer[end : end + 1] == b"'":
                yield from self._long_text()
            elif end == len(self._buffer):
                raise DatabaseError(f"{self._deed}: the dump lacks its end: its last rows are not ended.")
            else:
                self.refuse("has something else than literals among its rows")

    def _rest_of_hex(self) -> Iterator[bytes]:
        while True:
            found = t.cast("re.Match[bytes]", _HEX.match(self._buffer, self._place))
            yield found.group()
            self._place = found.end()
            if self._place < len(self._buffer) or not self._fill():
                return

    def _long_text(self) -> Iterator[bytes]:
        """Yield a text that is longer than what was read."""
        pattern = _IN_TEXT if self._reading.has_backslashes else _IN_PLAIN_TEXT
        yield b"'"
        self._place += 1
        while True:
            found = t.cast("re.Match[bytes]", pattern.match(self._buffer, self._place))
            yield found.group()
            self._place = found.end()
            if self._buffer.startswith(b"'", self._place):
                yield b"'"
                self._place += 1
                return
            if not self._fill():
                raise DatabaseError(f"{self._deed}: the dump lacks its end: its last text is not ended.")

    # the buffer

    def _require(self, size: int) -> None:
        """Have that many bytes in the buffer, if there are."""
        while len(self._buffer) - self._place < size and self._fill():
            continue

    def _refill(self, cursor: _Cursor) -> bool:
        """Read on, and move what *cursor* tells with the buffer."""
        before = self._place
        if not self._fill_on():
            return False
        moved = before - self._place
        cursor.place -= moved
        cursor.tokens = [token._replace(start=token.start - moved) for token in cursor.tokens]
        cursor.marks = [(start - moved, end - moved) for start, end in cursor.marks]
        return True

    def _fill(self) -> bool:
        """Read on, and return whether there was anything; what lies before the place is gone then."""
        pieces = [self._buffer[self._place :]]
        size = 0
        while size < _FILL:
            piece = next(self._pieces, None)
            if piece is None:
                self._is_whole = True
                break
            size += len(piece)
            pieces.append(bytes(piece))
        if size:
            self._buffer = b"".join(pieces)
            self._place = 0
        return size > 0

    def _fill_on(self) -> bool:
        """Read on because what begins at the place does not end in the buffer."""
        self._require_limit(len(self._buffer) - self._place)
        return self._fill()

    def _require_limit(self, size: int) -> None:
        if size > STATEMENT_LIMIT:
            self.refuse(f"is longer than {STATEMENT_LIMIT // 1024 // 1024} MiB without rows in it")


def _begins_rows(tokens: Sequence[Token]) -> bool:
    return bool(tokens) and tokens[-1].word == "VALUES" and tokens[0].word in ("INSERT", "REPLACE")


class Words:
    """The tokens of a statement, taken one after the other."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._place = 0

    @property
    def at_end(self) -> bool:
        return self._place >= len(self._tokens)

    @property
    def word(self) -> str:
        return self.word_at(0)

    @property
    def before(self) -> str:
        """The word that was taken last."""
        return self.word_at(-1)

    @property
    def is_quoted(self) -> bool:
        return not self.at_end and self._tokens[self._place].kind == NAME

    def word_at(self, ahead: int) -> str:
        place = self._place + ahead
        return self._tokens[place].word if 0 <= place < len(self._tokens) else ""

    def is_sign(self, sign: str, ahead: int = 0) -> bool:
        place = self._place + ahead
        return place < len(self._tokens) and self._tokens[place][:2] == (SIGN, sign.encode())

    def take(self, *words: str) -> bool:
        """Take *words* if they come next, all or none."""
        if any(self.word_at(ahead) != word for ahead, word in enumerate(words)):
            return False
        self._place += len(words)
        return True

    def take_sign(self, sign: str) -> bool:
        is_there = self.is_sign(sign)
        self._place += is_there
        return is_there

    def step(self) -> Token | None:
        """Take whatever comes next."""
        token = None if self.at_end else self._tokens[self._place]
        self._place += 1
        return token

    def name(self) -> str:
        """Take a name, and return it; nothing if there is none."""
        if self.at_end or self._tokens[self._place].kind not in (WORD, NAME):
            return ""
        self._place += 1
        return self._tokens[self._place - 1].name

    def text(self) -> str:
        """Take a plain text in quotes, and return it; nothing if there is none."""
        if self.at_end or self._tokens[self._place].kind != TEXT or b"\\" in self._tokens[self._place].text:
            return ""
        self._place += 1
        return self._tokens[self._place - 1].text[1:-1].decode("utf-8", "surrogateescape")

    def text_as_it_is(self) -> str:
        """Take a text, which may be of several pieces, and return it with its quotes."""
        pieces = []
        while not self.at_end and self._tokens[self._place].kind == TEXT:
            pieces.append(self._tokens[self._place].text.decode("utf-8", "surrogateescape"))
            self._place += 1
        return "".join(pieces)

    def rest(self) -> Sequence[Token]:
        return self._tokens[self._place :]

    def start(self, end: int) -> int:
        """Return where the rest begins, or *end* if nothing is left."""
        return end if self.at_end else self._tokens[self._place].start
