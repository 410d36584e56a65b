# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little of YAML that cPanel writes as ``userdata``: a map of scalars, of lists of scalars and of maps of scalars.

The standard library reads no YAML, and an account's settings need none of what makes it dangerous. So there are no
anchors, aliases, tags, blocks or flow collections but the empty ones, and nothing lies deeper than two levels: what is
of such a kind is not understood, and the other keys are.

Source: YAML 1.1 at yaml.org, chapters 8 to 10.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Value = t.Union[str, "list[str]", "dict[str, str]"]

LONGEST_LINE = 64 * 1024
_MOST_LINES = 200_000
_QUOTED_KEY = re.compile(r"""('[^']*(?:''[^']*)*'|"[^"\\]*") *:(?:\s+|$)""")
_SINGLE = re.compile(r"'([^']*(?:''[^']*)*)'\s*(?:\s#.*)?")
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"\s*(?:\s#.*)?')
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"', "/": "/", " ": " "}
_COMMENT = re.compile(r"\s#.*")
_NO_PLAIN = tuple("&*!|>%@`{}[],?'\"")


class _MisreadError(ValueError):
    """What stands there is of a kind that is not understood."""


@dataclass(frozen=True)
class Document:
    """What was understood, by key; *misread* has the number of the line where it was not, "" for what has no key."""

    values: dict[str, Value]
    misread: dict[str, int]

    def text(self, key: str) -> str:
        """Return the scalar *key*, "" if there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def names(self, key: str) -> list[str]:
        """Return the list *key*, empty if there is none."""
        value = self.values.get(key)
        return value if isinstance(value, list) else []

    def pairs(self, key: str) -> dict[str, str]:
        """Return the map *key*, empty if there is none."""
        value = self.values.get(key)
        return value if isinstance(value, dict) else {}


class _Line(t.NamedTuple):
    number: int
    indent: int
    text: str


def read_yaml(content: bytes) -> Document:
    """Return what *content* says, as far as it is understood; nothing is raised."""
    document = Document({}, {})
    key, block = "", t.cast("list[_Line]", [])
    number = 0
    for line in _lines(content, document):
        if not line.indent and not _is_item(line.text):
            _take_block(document, key, number, block)
            key, number, block = _begin(document, line)
        else:
            block.append(line)
    _take_block(document, key, number, block)
    return document


def _lines(content: bytes, document: Document) -> Iterator[_Line]:
    """Yield the lines that say something; the first of those that cannot be read ends it all."""
    is_begun = False
    for number, raw in enumerate(content.split(b"\n", _MOST_LINES), 1):
        try:
            text = raw.decode() if len(raw) <= LONGEST_LINE else ""
        except UnicodeDecodeError:
            text = ""
        if number > _MOST_LINES or (raw and not text) or "\0" in text or "\t" in text[: len(text) - len(text.lstrip())]:
            document.misread.setdefault("", number)
            return
        text = text.rstrip()
        body = text.lstrip(" ")
        if body in ("---", "...") and text == body:
            if is_begun:
                return  # another document
            continue
        if body and not body.startswith("#"):
            is_begun = True
            yield _Line(number, len(text) - len(body), body)


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _begin(document: Document, line: _Line) -> tuple[str, int, list[_Line]]:
    """Take the key that begins in *line*, and return it with what is its value so far."""
    try:
        key, rest = _pair(line.text)
    except _MisreadError:
        document.misread.setdefault("", line.number)
        return "", line.number, []
    if key in document.values or key in document.misread:
        document.misread.setdefault(key, line.number)  # the first one counts
        return "", line.number, []
    block = [line._replace(indent=-1, text=rest)] if rest else []
    return key, line.number, block


def _take_block(document: Document, key: str, number: int, block: list[_Line]) -> None:
    """Add what *block*, the lines below *key*, says."""
    if not key:
        return
    try:
        document.values[key] = _value(block)
    except _MisreadError:
        document.misread[key] = number


def _value(block: list[_Line]) -> Value:
    if not block:
        return ""
    if block[0].indent < 0:
        if len(block) > 1:
            raise _MisreadError
        return _inline(block[0].text)
    if len({line.indent for line in block}) > 1:
        raise _MisreadError
    if all(_is_item(line.text) for line in block):
        return [_scalar(line.text[1:].strip()) for line in block]
    pairs: dict[str, str] = {}
    for line in block:
        key, rest = _pair(line.text)
        if key in pairs:
            raise _MisreadError
        pairs[key] = _scalar(rest)
    return pairs


def _inline(text: str) -> Value:
    empty = _COMMENT.sub("", text)
    if empty == "[]":
        return []
    return {} if empty == "{}" else _scalar(text)


def _pair(text: str) -> tuple[str, str]:
    """Return the key and what stands behind it."""
    if text.startswith(("'", '"')):
        found = _QUOTED_KEY.match(text)
        if found is None:
            raise _MisreadError
        return _scalar(found[1]), text[found.end() :]
    place = text.find(": ")
    if place < 0:
        place = len(text) - 1 if text.endswith(":") else 0
    key = text[:place].rstrip()
    if not key or key.startswith((*_NO_PLAIN, "#")) or _is_item(key) or " #" in key:
        raise _MisreadError
    return key, text[place + 1 :].strip()


def _scalar(text: str) -> str:
    if text.startswith("'"):
        found = _SINGLE.fullmatch(text)
        if found is not None:
            return found[1].replace("''", "'")
    elif text.startswith('"'):
        found = _DOUBLE.fullmatch(text)
        if found is not None:
            return _ESCAPE.sub(_unescaped, found[1])
    else:
        plain = "" if text.startswith("#") else _COMMENT.sub("", text)
        if not plain.startswith(_NO_PLAIN) and not _is_item(plain) and ": " not in plain and not plain.endswith(":"):
            return "" if plain in ("~", "null") else plain
    raise _MisreadError


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape not in _ESCAPES:
        raise _MisreadError
    return _ESCAPES[escape]
