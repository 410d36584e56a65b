# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user reads when something is refused: a sentence, and what has to hold of each."""

from __future__ import annotations

import re
import typing as t

from .hosts import Host

if t.TYPE_CHECKING:
    from .running import Result, Task
    from .snapshots import Snapshot

# What the far side said is quoted, and may hold sentences of its own.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\([^()]*\)")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+[A-Z]")
_LONGEST = 600  # without the way to the test's own directory
_ADVICE = 1  # one sentence says what happened; a second one may say what to do


def refusal(host: Host, task: Task, kind: str, *named: object) -> Result:
    """Run *task*, which must be refused in a sentence with all of *named* in it, and touch nothing.

    *kind* is that of the error, empty where Ansible itself refuses the options. Why a backup failed is recorded.
    """
    seen = _unrecorded if task.module == "backup" else Host.seen
    before = seen(host)
    result = host.call(task)
    assert seen(host) == before
    assert_sentence(host, result, kind, *named)
    return result


def _unrecorded(host: Host) -> Snapshot:
    """Return all that a backup could change, but for the records of what became of it and the directories above."""
    above = {host.state, *(path for path in host.state.glob("*") if path.is_dir())}
    records = [path for directory in above for path in directory.glob("records-*")]
    return {
        path: what
        for path, what in host.seen().items()
        if path not in above and not any(path == one or one in path.parents for one in records)
    }


def assert_sentence(host: Host, result: Result, kind: str, *named: object, changed: bool = False) -> None:
    """Show that *result* is a failure, told in a sentence with all of *named* in it and without the password.

    It has *changed* something, or not.
    """
    assert result.failed, result.values
    assert result.changed == changed
    assert "Traceback" not in result.output
    assert host.server.password not in result.output
    message = result.msg
    assert result.kind == kind, message
    missing = [str(what) for what in named if str(what) not in message]
    assert not missing, f"{missing} not in: {message}"
    message = message.replace(str(host.home), "")
    if kind:
        assert_one_sentence(message)
    else:
        assert len(message) <= _LONGEST, message
        assert message.isprintable(), message


def assert_one_sentence(message: str) -> None:
    """Show that *message* is a printable sentence of bearable length, perhaps with a second one that gives advice."""
    assert len(message) <= _LONGEST, message
    assert message.isprintable(), message
    assert re.search(r"[.?]$", message), message
    assert len(_NEXT_SENTENCE.findall(_QUOTED.sub("", message))) <= _ADVICE, message
