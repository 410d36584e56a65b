# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What can be watched while it runs.
    DOCUMENTATION = r"""
options:
  progress:
    description:
      - Whether the output of Ansible tells meanwhile how far the run has come, if it takes longer than some seconds.
      - A run that is watched goes on where the connection to the host is lost, and is watched again once it is back.
        Where Ansible is interrupted, the run is ended cleanly.
      - With C(async), which looks at the run itself, nothing is told.
    type: bool
    default: true
"""
