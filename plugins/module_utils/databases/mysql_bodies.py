# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the body of a trigger, routine or event ends, so that nothing behind it is executed as another statement.

A client sends such a body whole, and the server executes whatever statements it finds in what it was sent. So here each
semicolon must be one within the body: only the statements that hold others are told apart, for in any other statement a
semicolon is its end. What could be read in two ways is refused.

Source: the grammar of stored programs, sql/sql_yacc.yy of MariaDB and of MySQL.
"""

from __future__ import annotations

import typing as t

from .mysql_tokens import NAME, SIGN, TEXT, WORD, words_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .mysql_tokens import Token

_DEEPEST = 100
_LOOPS = ("LOOP", "WHILE", "REPEAT", "FOR")
_OPENERS = ("BEGIN", "IF", "CASE", *_LOOPS)
# Behind them a word is an operand, END too; behind any other word it cannot be one.
_BEFORE_OPERANDS = words_of(
    "ALL AND ANY AS BETWEEN BINARY BY CASE COLLATE DISTINCT DIV ELSE ELSEIF ESCAPE EXISTS FROM IF IN INTERVAL IS LIKE"
    " MOD NOT ON OR REGEXP RLIKE SELECT SOME SOUNDS THEN UNTIL USING WHEN WHERE WHILE XOR MEMBER OF GLOBAL SESSION"
    " LOCAL OFFSET LIMIT SET TO INTO CAST CONVERT SEPARATOR HAVING VALUES"
)


class Body:
    """The *tokens* of one statement of a stored program; *refuse* raises, with the reason."""

    def __init__(self, tokens: Sequence[Token], refuse: Callable[[str], t.NoReturn]) -> None:
        self._tokens = tokens
        self._refuse = refuse
        self._place = 0

    def require_single(self) -> None:
        """Raise unless the tokens are one statement and nothing behind it."""
        if not self._tokens:
            self._refuse("defines something without a body")
        self._statement(0)
        if self._is_sign(b";"):
            self._place += 1
        if self._place < len(self._tokens):
            self._refuse("goes on behind the body of what it defines")

    # what comes next

    def _word(self, ahead: int = 0) -> str:
        place = self._place + ahead
        return self._tokens[place].word if place < len(self._tokens) else ""

    def _is_sign(self, sign: bytes, ahead: int = 0) -> bool:
        place = self._place + ahead
        return place < len(self._tokens) and self._tokens[place].kind == SIGN and self._tokens[place].text == sign

    def _take(self, *words: str) -> None:
        for word in words:
            if self._word() != word:
                self._refuse("defines something whose body cannot be followed to its end")
            self._place += 1

    def _take_if(self, *words: str) -> bool:
        is_there = self._word() in words
        self._place += is_there
        return is_there

    # statements

    def _statement(self, depth: int) -> None:
        if depth > _DEEPEST:
            self._refuse("defines something whose statements lie too deep within one another")
        is_labelled = self._is_sign(b":", 1) and not self._is_sign(b"=", 2)
        if is_labelled:
            self._place += 2
        word = self._word()
        if word not in _OPENERS:
            if is_labelled:
                self._refuse("defines something with a label before what can have none")
            if word == "DECLARE" and self._word(2) == "HANDLER":
                self._handler(depth)
            else:
                self._simple()
            return
        self._place += 1
        if word == "BEGIN":
            self._block(depth)
        elif word == "IF":
            self._if(depth)
        elif word == "CASE":
            self._case(depth)
        else:
            self._loop(word, depth)
        if word in ("BEGIN", *_LOOPS) and self._place < len(self._tokens) and not self._is_sign(b";"):
            self._label()

    def _block(self, depth: int) -> None:
        if self._take_if("NOT"):
            self._take("ATOMIC")
        self._statements(depth, "END")
        self._take("END")

    def _if(self, depth: int) -> None:
        self._expression("THEN")
        self._branches(depth, "ELSEIF", "THEN")
        self._take("END", "IF")

    def _case(self, depth: int) -> None:
        if self._word() != "WHEN":
            self._expression("WHEN")
            self._place -= 1
        self._take("WHEN")
        self._expression("THEN")
        self._branches(depth, "WHEN", "THEN")
        self._take("END", "CASE")

    def _label(self) -> None:
        if self._tokens[self._place].kind not in (WORD, NAME):
            self._refuse("goes on behind the body of what it defines")
        self._place += 1

    def _loop(self, word: str, depth: int) -> None:
        if word in ("WHILE", "FOR"):
            self._expression("DO")
        self._statements(depth, "UNTIL" if word == "REPEAT" else "END")
        if word == "REPEAT":
            self._take("UNTIL")
            self._expression("END")
            self._place -= 1
        self._take("END", word)

    def _branches(self, depth: int, other: str, opener: str) -> None:
        while True:
            self._statements(depth, other, "ELSE", "END")
            if self._take_if("ELSE"):
                self._statements(depth, "END")
                return
            if not self._take_if(other):
                return
            self._expression(opener)

    def _statements(self, depth: int, *ends: str) -> None:
        """Pass over statements, each with its semicolon, up to one of the words *ends* where one could begin."""
        while self._word() not in ends:
            if self._place >= len(self._tokens):
                self._refuse("defines something whose body has no end")
            self._statement(depth + 1)
            if not self._is_sign(b";"):
                self._refuse("defines something whose body cannot be followed to its end")
            self._place += 1

    def _handler(self, depth: int) -> None:
        self._take("DECLARE")
        self._place += 1
        self._take("HANDLER", "FOR")
        while True:
            if self._take_if("SQLSTATE"):
                self._take_if("VALUE")
                if self._place >= len(self._tokens) or self._tokens[self._place].kind != TEXT:
                    self._refuse("defines something whose body cannot be followed to its end")
            elif self._take_if("NOT") and self._word() != "FOUND":
                self._refuse("defines something whose body cannot be followed to its end")
            self._place += 1
            if not self._is_sign(b","):
                break
            self._place += 1
        self._statement(depth + 1)

    def _simple(self) -> None:
        """Pass over a statement that holds no others, up to its semicolon."""
        begin = self._place
        while self._place < len(self._tokens) and not self._is_sign(b";"):
            self._place += 1
        if self._place == begin:
            self._refuse("defines something with an empty statement in its body")

    def _expression(self, end: str) -> None:
        """Pass over an expression and the word *end* behind it; in brackets nothing ends it."""
        brackets = 0
        cases = 0
        begin = self._place
        while self._place < len(self._tokens) and not self._is_sign(b";") and brackets >= 0 and cases >= 0:
            brackets += self._is_sign(b"(") - self._is_sign(b")")
            word = "" if brackets else self._word()
            if word == "END" and not self._is_behind_operand(begin):
                break
            self._place += 1
            if word == end and not cases:
                return
            cases += (word == "CASE") - (word == "END")
        self._refuse("defines something whose body cannot be followed to its end")

    def _is_behind_operand(self, begin: int) -> bool:
        """Tell whether a word here cannot be an operand itself, because there is one right before it."""
        if self._place == begin:
            return False
        before = self._tokens[self._place - 1]
        if before.kind == SIGN:
            return before.text == b")"
        return before.word not in _BEFORE_OPERANDS
