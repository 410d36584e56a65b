# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells playbooks in a few lines how the backups of a fleet stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..plugin_utils.report.given import fleet_from, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
name: report_summary
short_description: Tell in a few lines how the backups of a fleet stand
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Tells of the same input as P(stowage.ftp_backup.report_page#filter) what matters most, for a playbook to build on.
options:
  _input:
    description:
      - What was gathered of each host, as P(stowage.ftp_backup.report_page#filter) takes it.
    type: list
    elements: dict
    required: true
  now:
    description:
      - The time that clocks of hosts are compared with, in ISO 8601 and UTC. Without it, it is the time of the
        controller.
    type: str
"""

EXAMPLES = r"""
- name: Tell who needs attention
  ansible.builtin.debug:
    msg: "{{ [told.summary] + told.lines }}"
  vars:
    told: "{{ gathered | stowage.ftp_backup.report_summary }}"
"""

RETURN = r"""
_value:
  description: What there is to say.
  type: dict
  contains:
    summary:
      description: One sentence on all of it.
      type: str
      returned: always
      sample: 3 of 42 hosts need attention.
    lines:
      description: A line on each job and each host that needs attention, the worst host first.
      type: list
      elements: str
      returned: always
      sample:
        - "web02, shop: The newest complete restore point is 3 d old, and 36 h is the limit."
    states:
      description:
        - How many there are of each state, the worst first. These are states of jobs, but for hosts that told of none.
        - A host where something is wrong beside its jobs, such as a declaration that cannot be read, counts as
          V(unknown) as well, since nobody knows whether it has told of all.
      type: dict
      returned: always
      sample:
        unreachable: 1
        overdue: 2
        fresh: 80
    hosts:
      description: The worst state of each host, the worst first.
      type: dict
      returned: always
      sample:
        web03: unreachable
        web02: overdue
        web01: fresh
    fingerprint:
      description: It changes with anything that was told, other than that time has passed.
      type: str
      returned: always
      sample: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
"""


def report_summary(gathered: object, now: str | None = None) -> dict[str, Any]:
    """Return what matters most of what was *gathered*."""
    fleet = fleet_from(gathered, moment_of(now), "report_summary")
    return {
        "summary": fleet.summary,
        "lines": fleet.lines(),
        "states": fleet.counts(),
        "hosts": {host.name: host.state for host in fleet.hosts},
        "fingerprint": fleet.fingerprint(),
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"report_summary": report_summary}
