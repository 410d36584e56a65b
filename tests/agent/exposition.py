# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads Prometheus' text format as strictly as a collector does that has no mercy.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import re
import typing as t

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP (?P<name>{_NAME}) (?P<help>(?:[^\\]|\\\\|\\n)+)")
_TYPE = re.compile(rf"# TYPE (?P<name>{_NAME}) (?P<type>counter|gauge|histogram|summary|untyped)")
_SAMPLE = re.compile(rf"(?P<name>{_NAME})\{{(?P<labels>[^\n]*)\}} (?P<value>-?[0-9]+(?:\.[0-9]+)?)")
_LABEL = re.compile(r'(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\\n]|\\\\|\\"|\\n)*)"(?P<rest>,|\Z)')
_ESCAPE = re.compile(r'\\(["\\n])')


class Sample(t.NamedTuple):
    """One value with its labels."""

    value: float
    labels: dict[str, str]


def parse(text: str) -> dict[str, Sample]:
    """Return the sample of each metric in *text*, which has one of each, under its HELP and TYPE."""
    assert text.endswith("\n")
    assert "\r" not in text
    found: dict[str, Sample] = {}
    lines = text[:-1].split("\n")
    assert len(lines) % 3 == 0, lines
    for helped, typed, sampled in zip(lines[::3], lines[1::3], lines[2::3]):
        help_line, type_line, sample = _HELP.fullmatch(helped), _TYPE.fullmatch(typed), _SAMPLE.fullmatch(sampled)
        assert help_line, helped
        assert type_line, typed
        assert sample, sampled
        assert help_line["name"] == type_line["name"] == sample["name"]
        assert type_line["type"] == "gauge"
        assert sample["name"] not in found
        found[sample["name"]] = Sample(float(sample["value"]), _labels(sample["labels"]))
    return found


def _labels(text: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _LABEL.match(text, position)
        assert found, text[position:]
        assert found["label"] not in labels
        labels[found["label"]] = _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], found["value"])
        position = found.end()
    return labels
