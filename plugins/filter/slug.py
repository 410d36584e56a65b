# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells playbooks how files of a name are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible.errors import AnsibleTypeError

from ..module_utils.native.names import slug

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
name: slug
short_description: Tell how files of a name are called
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Returns the name of the files that belong to a job or a destination, on the host as well as on the storage.
  - Two names never have the same one.
options:
  _input:
    description:
      - The name of a job, a destination, or a client.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Run the job as its timer would
  ansible.builtin.systemd_service:
    name: "ftp-backup-backup@{{ 'web sites' | stowage.ftp_backup.slug }}.service"
    state: started
"""

RETURN = r"""
_value:
  description: Small letters, digits, dots, dashes and underscores; it ends with eight hexadecimal digits.
  type: str
  sample: web-sites-ec76b858
"""


def slug_of(name: object) -> str:
    """Return what files of *name* are called."""
    if not isinstance(name, str):
        raise AnsibleTypeError(f"The filter slug takes the name of something, and not {type(name).__name__}.")
    return slug(name)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[[object], str]]:
        return {"slug": slug_of}
