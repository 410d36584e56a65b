# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Whose backups are meant, and where they lie.
    DOCUMENTATION = r"""
options:
  destination:
    description:
      - The name of the destination, as M(stowage.ftp_backup.destination) has declared it on the host.
    type: str
    required: true
  client:
    description:
      - The client whose backups are meant, which is the name of a host on the destination.
      - Without it, it is the host itself, under the name that it had when it made its first backup.
    type: str
"""
