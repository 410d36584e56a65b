# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads for playbooks what was kept of an earlier report, whatever has become of the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
name: report_memory
short_description: Read what was kept of an earlier report
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Reads the file in which the role P(stowage.ftp_backup.report#role) keeps what each host has told last. What cannot
    be read, such as a file that was cut off because the disk was full, holds nothing, and is no error.
options:
  _input:
    description:
      - The text of the file.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Tell which hosts have told something before
  ansible.builtin.debug:
    msg: "{{ (lookup('ansible.builtin.file', 'memory.json') | stowage.ftp_backup.report_memory).hosts.keys() }}"
"""

RETURN = r"""
_value:
  description: What was kept.
  type: dict
  contains:
    hosts:
      description: What each host has told last, by its name, as it was kept. Nothing where the text cannot be read.
      type: dict
      returned: always
      sample:
        web01:
          time: "2026-11-26T06:30:00Z"
          jobs: []
    readable:
      description: Whether the text is a JSON object.
      type: bool
      returned: always
      sample: true
"""


def report_memory(text: object) -> dict[str, Any]:
    """Return what *text* holds of each host, and whether it is readable."""
    try:
        hosts = json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        hosts = None
    return {"hosts": hosts if isinstance(hosts, dict) else {}, "readable": isinstance(hosts, dict)}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"report_memory": report_memory}
