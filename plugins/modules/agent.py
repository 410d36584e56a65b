#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: agent
short_description: Put the backup engine on the host as a command
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Installs the command C(ftp-backup), which lists, finds, makes, restores and verifies backups on the host itself, by
    the same code as the modules and with the same destinations, jobs and index.
  - It needs nothing there but the Python that Ansible uses, which it is then run by.
  - The role P(stowage.ftp_backup.agent#role) uses it, and adds jobs and timers.
  - A new version is written beside the old one and takes its place by one rename, so the command works at any moment.
    A command that is at work meanwhile ends with the version it began with, which goes the next time this module runs;
    a warning tells so.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - It shows the beginning of the SHA-256, the mode and the owner of each file.
  idempotent:
    support: full
    details:
      - What was changed by hand, and what an installation left that was killed, is put right.
options:
  state:
    description:
      - With V(present) the command is there, in the version of this collection.
      - With V(absent) it is gone, and so is what it was made of. What was declared and the backups stay.
      - A command that is at work then may fail; stop it first.
    type: str
    choices:
      - present
      - absent
    default: present
  library_directory:
    description:
      - Where the Python package that the command runs is kept. The directory above must be there.
      - Nobody but its owner may be able to write there or above.
    type: path
    default: /usr/local/lib/ftp-backup
  command:
    description:
      - The command itself. Its directory must be there. A file that was not written by this module is never replaced.
    type: path
    default: /usr/local/bin/ftp-backup
  config_directory:
    description:
      - The directory on the host that holds the declared destinations, with their passwords, and the host's identity.
      - The command uses it unless its own options or its environment tell otherwise.
    type: path
    default: /etc/ftp_backup
  state_directory:
    description:
      - The directory on the host for what can be found again on the destinations, which is locks, the index and copies
        of manifests.
      - The command uses it unless its own options or its environment tell otherwise.
    type: path
    default: /var/lib/ftp_backup
seealso:
  - module: stowage.ftp_backup.backup
"""

EXAMPLES = r"""
- name: Put the command ftp-backup on the host
  stowage.ftp_backup.agent:

- name: Put it where an administrator without root keeps programs
  stowage.ftp_backup.agent:
    library_directory: ~/lib/ftp-backup
    command: ~/bin/ftp-backup
    config_directory: ~/.config/ftp_backup
    state_directory: ~/.local/state/ftp_backup

- name: Remove it; backups and declared destinations stay
  stowage.ftp_backup.agent:
    state: absent
"""

RETURN = r"""
command:
  description: The command.
  returned: success
  type: str
  sample: /usr/local/bin/ftp-backup
library_directory:
  description: Where the package is that it runs.
  returned: success
  type: str
  sample: /usr/local/lib/ftp-backup
python:
  description: The Python it is run by.
  returned: success
  type: str
  sample: /usr/bin/python3
version:
  description: The version of this collection.
  returned: success
  type: str
  sample: 0.1.0
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.agent_options import SPEC, perform
from ..module_utils.module import run


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    run(module, lambda: perform(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
