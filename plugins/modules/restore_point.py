#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_point
short_description: Protect or remove a restore point
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Protects a restore point, so that no later backup lets it go, takes the protection off again, or removes a restore
    point whatever the retention of its job says.
  - What is removed is the restore point with all on the server that no other restore point of the job needs. Every
    other one can be restored as before. A run that is killed meanwhile costs nothing else either; the next run finishes
    what it had begun.
  - Only the host that the job belongs to can do this, unless O(foreign=true), and not while a backup of the job is
    running.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
  - stowage.ftp_backup.job
attributes:
  check_mode:
    support: full
    details:
      - What the job has is read, and nothing is written on the server or the host.
      - The destination must be declared already; M(stowage.ftp_backup.destination) declares none in check mode.
  diff_mode:
    support: full
    details:
      - It lists the restore points of the job before and after, and why one goes.
  idempotent:
    support: full
options:
  job:
    description:
      - The job whose restore point is meant.
    type: str
    required: true
  point:
    description:
      - The id of the restore point, as M(stowage.ftp_backup.backup) and M(stowage.ftp_backup.backup_info) return it.
      - With O(state=present) it can be V(latest), which is the newest one that can be read. What is removed must be
        named by its id.
    type: str
    required: true
  state:
    description:
      - Whether the restore point is to be there. With V(present) it must be there already, since only a backup can make
        one.
      - With V(absent) it is removed. This is refused while it is protected, and while the description of any restore
        point of the job is damaged, because it cannot be told then what the others need.
    type: str
    choices:
      - present
      - absent
    default: present
  protected:
    description:
      - Whether the restore point is kept for ever, whatever the retention of its job says. Without this option, that
        stays as it is.
      - In a job with O(stowage.ftp_backup.backup#module:structure=incremental) a protected restore point occupies its
        slot, and the others take turns in the slots that are left. Once all are protected, the next backup fails; the
        task warns of that.
      - Cannot be used with O(state=absent).
    type: bool
  force:
    description:
      - Whether to remove the restore point even if the job then has no other one that is complete and whole, as far as
        is known.
      - It also takes it to give up a restore point whose manifest cannot be read. While there is one, nothing else is
        removed from the job, for what it needs cannot be told. Once it is gone, what it left is removed as well.
      - It does not remove what is protected.
      - Has a meaning only with O(state=absent).
    type: bool
    default: false
  foreign:
    description:
      - Whether the job may belong to another host, which O(client) names. That is for a host that prunes what others
        have stored with logins that cannot delete, see the role P(stowage.ftp_backup.server#role).
      - What the other host has noted to be removed or replaced is not carried out; while such notes lie there, the task
        fails and names them. What a broken run of that host has left stays.
    type: bool
    default: false
seealso:
  - module: stowage.ftp_backup.backup
  - module: stowage.ftp_backup.backup_info
"""

EXAMPLES = r"""
- name: Take a backup before an upgrade
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: web sites
    paths:
      - /srv/www
    force: true
  register: before_upgrade

- name: Keep it for ever
  stowage.ftp_backup.restore_point:
    destination: Provider storage
    job: web sites
    point: "{{ before_upgrade.point.id }}"
    protected: true

- name: Let it go with the others again
  stowage.ftp_backup.restore_point:
    destination: Provider storage
    job: web sites
    point: 20261122t030000z-1f9c2a
    protected: false

- name: Prune what a host that can only upload has stored, from another host and with another login
  stowage.ftp_backup.restore_point:
    destination: Storage of the till, to prune
    client: till
    job: till
    point: 20261015t030000z-4be9d1
    state: absent
    foreign: true

- name: Remove a restore point that holds what must not be kept
  stowage.ftp_backup.restore_point:
    destination: Provider storage
    job: web sites
    point: 20261115t030000z-77ab01
    state: absent
"""

RETURN = r"""
destination:
  description: The name of the destination.
  returned: success
  type: str
  sample: Provider storage
bytes_sent:
  description: How many bytes the data connections of the run have sent.
  returned: success
  type: int
  sample: 1048576
bytes_received:
  description: How many bytes the data connections of the run have received, listings among them.
  returned: success
  type: int
  sample: 40960
duration:
  description: How many seconds the run took.
  returned: success
  type: float
  sample: 3.2
point:
  description:
    - The restore point, with the keys of RV(stowage.ftp_backup.backup#module:point). One that was removed is described
      as it was.
    - It is V(null) with O(state=absent) if there was no such restore point, or its manifest could not be read.
  returned: success
  type: dict
pruned:
  description:
    - The restore points that were removed, with the reason. Others than the one that was asked for are among them if a
      run was broken off that had begun to remove them.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the restore point.
      type: str
      returned: always
      sample: 20261115t030000z-77ab01
    seq:
      description: Its sequence number in the job.
      type: int
      returned: always
      sample: 35
    reason:
      description: Why it was removed.
      type: str
      returned: always
      sample: asked for
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run
from ..module_utils.options.restore_point import SPEC, perform


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    run(module, lambda: perform(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
