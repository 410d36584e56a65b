# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only door to AnsibleModule: how an outcome or an error ends a module."""

from __future__ import annotations

import json
import os
import typing as t
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from .errors import BackupError
from .progress import SILENT
from .status_file import VARIABLE, status_kept, take_umask
from .stopping import StoppedError, remains, stoppable
from .watching import Remembering

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ansible.module_utils.basic import AnsibleModule

    from .outcome import Outcome
    from .progress import Progress

_STDOUT = 1


def run(module: AnsibleModule, action: Callable[[], Outcome]) -> t.NoReturn:
    """Call *action* and end the module with its outcome, or with its error."""
    try:
        outcome = action()
    except BackupError as error:
        _fail(module, error)
    _exit(module, outcome)


def run_watched(module: AnsibleModule, command: str, action: Callable[..., Outcome]) -> t.NoReturn:
    """Call *action* with a ``progress`` that whoever started this module may look at, and end the module as run does.

    Signals end it cleanly; *command* is what the command ``ftp-backup`` calls such a run.
    """
    with stoppable(partial(_give_up, command)) as stopper:
        phase = ""
        try:
            with _watched() as watched:
                progress = Remembering(watched)
                try:
                    outcome = action(progress=progress)
                finally:
                    phase = progress.phase
        except BackupError as error:
            if stopper.stopped is None:
                _fail(module, error)
            _fail_stopped(module, stopper.stopped, remains(command, phase))
        except StoppedError as stopped:
            _fail_stopped(module, stopped, remains(command, phase))
    _exit(module, outcome)


def _watched() -> AbstractContextManager[Progress]:
    directory = os.environ.pop(VARIABLE, "")
    if not directory:
        return nullcontext(SILENT)
    take_umask(Path(directory))
    return status_kept(Path(directory))


def _fail(module: AnsibleModule, error: BackupError) -> t.NoReturn:
    failure = {"kind": error.kind, **error.details()}
    result = {} if error.outcome is None else _told(module, error.outcome)
    module.fail_json(msg=str(_sendable(str(error))), **result, failure=_sendable(failure))


def _fail_stopped(module: AnsibleModule, stopped: StoppedError, remaining: str) -> t.NoReturn:
    module.fail_json(msg=f"{stopped.words}. {remaining}", failure={"kind": "stopped"})


def _give_up(command: str, sentence: str) -> None:
    """Write the result of a module that is about to end in the middle of something, where it cannot be asked to."""
    told = f"The {command} was stopped, but {sentence} Its lock on the storage stays until it counts as stale."
    os.write(_STDOUT, json.dumps({"failed": True, "msg": told, "failure": {"kind": "stopped"}}).encode("ascii"))


def _exit(module: AnsibleModule, outcome: Outcome) -> t.NoReturn:
    module.exit_json(**_told(module, outcome))


def _told(module: AnsibleModule, outcome: Outcome) -> dict[str, t.Any]:
    """Return what a result holds of *outcome*, and have its warnings told."""
    for warning in outcome.warnings:
        module.warn(str(_sendable(warning)))
    result: dict[str, object] = {**outcome.values, "changed": outcome.changed}
    diff = outcome.diff()
    if diff is not None:
        result["diff"] = diff
    return {key: _sendable(value) for key, value in result.items()}


def _sendable(value: object) -> object:
    """Return *value* with what is not UTF-8 in a file's name written out; Ansible refuses a result that holds it."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sendable(item) for item in value]
    return value
