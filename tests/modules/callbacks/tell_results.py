# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell each task's result, as callbacks get it, in a line of JSON: what Ansible prints lacks the diff and more."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase

if t.TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult

DOCUMENTATION = r"""
name: tell_results
type: aggregate
short_description: Append each result to the file that TELL_RESULTS_FILE names
description:
  - For the tests of this collection only.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "tell_results"

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        _tell(result, failed=False)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Ansible's signature
        _tell(result, failed=True)


def _tell(result: CallbackTaskResult, *, failed: bool) -> None:
    values = {**result.result, "failed": failed, "_ansible_action": result.task.action}
    with Path(os.environ["TELL_RESULTS_FILE"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(values, default=str) + "\n")
