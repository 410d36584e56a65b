#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: reindex
short_description: Rebuild the index of a destination
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Rebuilds the index that a host keeps of a destination from what lies there, and from nothing else. A host that has
    never seen the destination needs no more than its declaration.
  - Run it on a new host, after the state directory was lost, or to see what other hosts have stored. The host's own
    backups keep the index up to date by themselves.
  - It begins with what the index holds already, so what did not change is not read again. An index that is damaged, or
    that another version of this collection has made, is of no use; it is told in a warning, and all is read.
  - Until everything has been read, the old index stays in place; a backup that ends meanwhile is not lost. Nothing is
    ever written to the destination.
  - What is damaged is told as a warning and in RV(unreadable), and stops nothing else.
  - On a destination with O(stowage.ftp_backup.destination#module:engine=cpanel) it finds the backups of accounts that
    cPanel has left there, wherever cPanel is known to put them, and reads each archive once, in one pass, several side
    by side, without a copy on this host. One whose name, size and time stay is not read again. Schedule it after
    cPanel's own backup; an archive that is still being written stays in the index as it was.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
  - stowage.ftp_backup.watched
  - stowage.ftp_backup.job
attributes:
  check_mode:
    support: full
    details:
      - The destination is read just the same, but nothing of it is kept.
      - The destination must be declared already; M(stowage.ftp_backup.destination) declares none in check mode.
  diff_mode:
    support: full
    details:
      - It lists the restore points that the index loses, gets, or tells something else about.
  idempotent:
    support: full
options:
  client:
    description:
      - The only client to look at. Of all others, the index keeps what it has.
      - Without it, everything on the destination is looked at.
      - Backups that cPanel made have no client.
    type: str
  rebuild:
    description:
      - Whether to read everything again, though the index seems to be fine. Manifests that were fetched once are not
        fetched again; archives that cPanel made are.
    type: bool
    default: false
seealso:
  - module: stowage.ftp_backup.backup_info
"""

EXAMPLES = r"""
- name: Find out what lies on the destination
  stowage.ftp_backup.reindex:
    destination: Provider storage

- name: Learn of the backups of one host
  stowage.ftp_backup.reindex:
    destination: Provider storage
    client: web01

- name: Find the backups that cPanel has left
  stowage.ftp_backup.reindex:
    destination: cPanel backups

- name: Trust nothing that this host knows of the destination
  stowage.ftp_backup.reindex:
    destination: Provider storage
    rebuild: true
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
new:
  description: How many restore points were found that the index did not have.
  returned: success
  type: int
  sample: 2
gone:
  description: How many restore points the index had that are there no more.
  returned: success
  type: int
  sample: 1
updated:
  description:
    - How many restore points the index had already, and tells something else about now. They are protected now or no
      more, or damaged or no more, or were published anew when their content was moved.
  returned: success
  type: int
  sample: 1
unchanged:
  description: How many restore points were found as the index had them.
  returned: success
  type: int
  sample: 12
unreadable:
  description:
    - What cannot be read, in a sentence each. Where only some entries of a restore point are concerned, it stands in
      the index as a damaged one, and is looked at again the next time.
  returned: success
  type: list
  elements: str
  sample:
    - The manifest 000042-20261122t030000z-1f9c2a.manifest.gz has no footer, it is cut off or damaged.
job_count:
  description: How many jobs there are, or accounts of cPanel.
  returned: success
  type: int
  sample: 2
point_count:
  description: How many restore points there are, without those that cannot be read at all.
  returned: success
  type: int
  sample: 14
ignored:
  description: What lies there and is no backup of an account, and why, up to 1000 of it.
  returned: success, on a destination with backups that cPanel made
  type: list
  elements: dict
  contains:
    path:
      description: Where it lies, below the directory of the destination.
      type: str
      returned: always
      sample: 2021-02-20/system
    reason:
      description: Why it is no backup of an account.
      type: str
      returned: always
      sample: backups of the server itself
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run_watched
from ..module_utils.options.reindex import SPEC, perform
from ..module_utils.options.shared import WATCHED_OPTIONS


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(WATCHED_OPTIONS), supports_check_mode=True)
    run_watched(module, "reindex", partial(perform, module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
