# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only door to AnsibleModule: how an outcome or an error ends a module."""

from __future__ import annotations

import typing as t

from .errors import BackupError

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.module_utils.basic import AnsibleModule

    from .outcome import Outcome


def run(module: AnsibleModule, action: Callable[[], Outcome]) -> t.NoReturn:
    """Call *action* and end the module with its outcome, or with its error."""
    try:
        outcome = action()
    except BackupError as error:
        failure = {"kind": error.kind, **error.details()}
        module.fail_json(msg=str(_sendable(str(error))), failure=_sendable(failure))

    for warning in outcome.warnings:
        module.warn(str(_sendable(warning)))
    result: dict[str, object] = {**outcome.values, "changed": outcome.changed}
    if outcome.before is not None or outcome.after is not None:
        result["diff"] = {"before": outcome.before or {}, "after": outcome.after or {}}
    module.exit_json(**{key: _sendable(value) for key, value in result.items()})


def _sendable(value: object) -> object:
    """Return *value* with what is not UTF-8 in a file's name written out; Ansible refuses a result that holds it."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sendable(item) for item in value]
    return value
