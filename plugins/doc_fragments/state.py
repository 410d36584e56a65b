# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Where a host keeps what it knows.
    DOCUMENTATION = r"""
options:
  config_directory:
    description:
      - The directory on the host that holds the declared destinations, with their passwords, and the host's identity.
      - Another one makes an installation of its own, for a user without privileges or for a test.
    type: path
    default: /etc/ftp_backup
  state_directory:
    description:
      - The directory on the host for what can be found again on the destinations, which is locks, the index and copies
        of manifests.
    type: path
    default: /var/lib/ftp_backup
"""
