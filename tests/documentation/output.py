# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing what a page shows with what was printed: times, sizes and the like by form, all else by the letter."""

from __future__ import annotations

import difflib
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_SOME_PROGRESS = "<progress>"
#: A line that stands for any number of lines, and the end of a line that stands for its rest.
GAP = "..."

_NUMBER = r"\d+(?:[.,]\d+)*"
_UNIT = r"(?:[KMGT]i?)?B(?:ytes?)?"
_SPAN = rf"{_NUMBER} ?(?:days?|d|hours?|h|min(?:utes?)?|m|s|sec(?:onds?)?)\b"
_DAY = r"\d{4}-\d\d-\d\d"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# In this order: what is larger comes first.
FORMS: tuple[tuple[str, str], ...] = (
    ("<time>", rf"\b{_DAY}[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z| UTC|[+-]\d\d:?\d\d)?\b"),
    ("<time>", rf"\b(?:[A-Z][a-z]{{2}},? )?{_MONTH} +\d{{1,2}}(?: \d{{4}})?,? \d\d:\d\d(?::\d\d)?(?: \d{{4}})?\b"),
    ("<point>", r"\b\d{8}t\d{6}z-[0-9a-f]{6}\b"),
    ("<date>", rf"\b{_DAY}\b"),
    ("<fingerprint>", r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,}\b"),
    ("<digest>", r"\b[0-9a-f]{32,}\b"),
    ("<unit>", r"(?<=-)[0-9a-f]{8}(?=\.(?:service|timer|json|prom)\b)"),
    ("<address>", r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    ("<rate>", rf"\b{_NUMBER} ?{_UNIT}/s\b"),
    ("<size>", rf"\b{_NUMBER} ?{_UNIT}\b"),
    ("<clock>", r"\b\d{1,2}:\d\d:\d\d(?:\.\d+)?\b"),
    ("<clock>", r"\b\d\d:\d\d\b"),
    ("<duration>", rf"\b{_NUMBER} ?(?:ms|milliseconds?)\b"),
    ("<duration>", rf"\b(?:{_SPAN}[, ]*(?:and )?)*{_SPAN}"),
    ("<percent>", rf"\b{_NUMBER} ?(?:%|per cent\b)"),
    ("<version>", r"\bv?\d+\.\d+\.\d+(?:[-.+][0-9A-Za-z.+~-]+)?\b"),
    ("<port>", r"(?<=[a-z>]:)\d{2,5}\b"),
    ("<port>", r"(?<=\bport )\d{2,5}\b"),
)
_FORMS = tuple((name, re.compile(pattern)) for name, pattern in FORMS)
# Figures whose name says that they differ from run to run: "bytes_sent": 1024.
_NAMED = re.compile(
    r"""(?P<name>["']?\b(?:\w+_)?(?:bytes(?:_\w+)?|size|duration|seconds|age|rate|port|mtime|timestamp)\b["']?\s*[:=]\s*)"""
    r"""-?\d+(?:\.\d+)?(?:e[+-]?\d+)?\b"""
)
_STARS = re.compile(r"\*{3,}|-{4,}|={4,}")
_OF_A_HOST = re.compile(r"(?:ok|changed|skipping|failed|fatal|included|unreachable)?:? ?\[[\w.-]+\](?!.*=> *\{$)")
# What a run says of itself meanwhile: how often and at what figures depends on how fast it is.
_PROGRESS = re.compile(r"(?P<who>\[[\w.-]+\] (?:backup|restore|reindex|verify)\b(?: '[^']*')?): .*")
_RECAP = re.compile(r"[\w.-]+ : ok=\d+ ")


def form_of(line: str) -> str:
    """Return *line* with everything that differs from run to run replaced by its kind."""
    text = _STARS.sub(lambda match: match[0][:3], " ".join(line.split()))
    progress = _PROGRESS.fullmatch(text)
    if progress:
        return f"{progress['who']}: {_SOME_PROGRESS}"
    text = _NAMED.sub(lambda match: f"{match['name']}<figure>", text)
    for name, pattern in _FORMS:
        text = pattern.sub(name, text)
    return text


def forms_of(lines: Sequence[str]) -> list[str]:
    """Return the forms of *lines* without empty ones; what each host says stands in the order of the hosts.

    Of the lines of progress of one run, one is left.
    """
    ordered = _in_order([form for form in map(form_of, lines) if form])
    return [
        form for form, before in zip(ordered, ["", *ordered], strict=False) if form != before or not _is_progress(form)
    ]


def _is_progress(form: str) -> bool:
    return form.endswith(f": {_SOME_PROGRESS}")


def _in_order(lines: list[str]) -> list[str]:
    ordered: list[str] = []
    group: list[str] = []
    for line in [*lines, ""]:
        if _OF_A_HOST.match(line) or _RECAP.match(line):
            group.append(line)
            continue
        ordered += sorted(group)
        group = []
        if line:
            ordered.append(line)
    return ordered


def is_matched(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Tell whether *printed* is what the page has *shown*, both as `forms_of` returns them.

    Progress that is printed and not shown does not matter: a fast machine has none. What is shown must be printed.
    """
    # The lines of *printed* after which the part of *shown* that was looked at can have ended.
    ends = _with_progress({0}, printed)
    for line in shown:
        if line == GAP:
            ends = set(range(min(ends), len(printed) + 1)) if ends else ends
        else:
            ends = {end + 1 for end in ends if end < len(printed) and _is_line_matched(line, printed[end])}
            ends = _with_progress(ends, printed)
    return len(printed) in ends


def _with_progress(ends: set[int], printed: Sequence[str]) -> set[int]:
    """Return *ends*, and where the lines of progress end that begin there."""
    beyond = set(ends)
    for end in ends:
        while end < len(printed) and _is_progress(printed[end]):
            end += 1  # noqa: PLW2901 - it walks on
            beyond.add(end)
    return beyond


def _is_line_matched(shown: str, printed: str) -> bool:
    if shown.endswith(f" {GAP}"):
        return printed.startswith(shown[: -len(GAP)])
    return shown == printed


def compare(shown: Sequence[str], printed: Sequence[str]) -> str | None:
    """Return in which lines the page and the program differ, or None if they don't."""
    wanted, got = forms_of(shown), forms_of(printed)
    if is_matched(wanted, got):
        return None
    return "\n".join(difflib.unified_diff(wanted, got, "the page", "what was printed", lineterm="", n=2))


def says(printed: str, part: str) -> bool:
    """Tell whether *part* stands in *printed*, however the lines of either are broken."""
    return " ".join(form_of(part).split()) in " ".join(form_of(" ".join(printed.split())).split())
