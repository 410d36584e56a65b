# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a page of what was gathered of the backups of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plugin_utils.report.given import fleet_from, moment_of
from ..plugin_utils.report.page import page_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCUMENTATION = r"""
name: report_page
short_description: Make a page of how the backups of a fleet stand
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Makes one HTML page of what M(stowage.ftp_backup.job_info) has told of each host, those that could not be reached
    among them. The role P(stowage.ftp_backup.report#role) gathers that, and writes the page.
  - The page needs nothing but itself. It has no script and asks for nothing from the network, and its own policy
    forbids both. What hosts have told is only text in it.
  - The same input at the same time makes the same page.
options:
  _input:
    description:
      - What was gathered of each host.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description:
          - The name of the host.
        type: str
        required: true
      result:
        description:
          - What C(register) has kept of M(stowage.ftp_backup.job_info) there, also where that has failed or the host
            could not be reached; nothing where it was not tried.
        type: dict
      reindexed:
        description:
          - What C(register) has kept of each M(stowage.ftp_backup.reindex) that came before. Failed ones are told.
        type: list
        elements: dict
      remembered:
        description:
          - What was kept as O(_input[].result) an earlier time, when the host did tell something. It is shown, with
            its time, where there is nothing newer.
        type: dict
      expected:
        description:
          - The jobs that the host should have, as the option O(stowage.ftp_backup.job_info#module:jobs) takes them.
            They are told of a host that tells nothing itself.
        type: list
        elements: dict
  title:
    description:
      - What stands above all.
    type: str
    default: Backup report
  notes:
    description:
      - Sentences on the report itself, which stand below its summary.
    type: list
    elements: str
    default: []
  now:
    description:
      - The time that ages are counted to, in ISO 8601 and UTC. Without it, it is the time of the controller.
    type: str
"""

EXAMPLES = r"""
- name: Write a page without the role
  ansible.builtin.copy:
    content: "{{ gathered | stowage.ftp_backup.report_page(title='Backups of the web servers') }}"
    dest: report.html
    mode: "0600"
  vars:
    gathered:
      - host: web01
        result: "{{ hostvars.web01.jobs_of_host }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The page.
  type: str
  sample: "<!DOCTYPE html>..."
"""


def report_page(
    gathered: object, title: str = "Backup report", notes: Sequence[str] = (), now: str | None = None
) -> str:
    """Return the page of what was *gathered*."""
    moment = moment_of(now)
    return page_of(fleet_from(gathered, moment, "report_page"), str(title), moment, notes=[str(note) for note in notes])


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"report_page": report_page}
