#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List restore points, their parts and versions of files
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Tells which restore points a destination has and, with O(paths) and O(parts), which versions of files and of parts
    they hold.
  - It answers from the index that the host keeps, without a connection. The host's own backups keep the index up to
    date; what other hosts have stored since is found by M(stowage.ftp_backup.reindex). So is everything, once a
    destination was declared elsewhere.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.attributes.info_module
  - stowage.ftp_backup.state
  - stowage.ftp_backup.job
options:
  client:
    description:
      - The client whose restore points are listed. Without it, those of all clients in the index are.
    type: str
  job:
    description:
      - The job whose restore points are listed. Without it, those of all jobs are.
    type: str
  account:
    description:
      - The account of cPanel whose restore points are listed, on a destination with backups that cPanel made. Without
        it, those of all accounts are.
    type: str
  point:
    description:
      - The restore point to list of each job, by the words of M(stowage.ftp_backup.restore) - V(latest), the id of one,
        or a date such as V(2026-11-22) or V(2026-11-22T03:00:00Z), which means the newest one that is not after it.
      - A bare date is the end of that day. Times are UTC unless they carry an offset.
      - V(latest) and dates pass over restore points that are damaged, unless a job has no others.
      - With it, RV(versions) and RV(parts) are those that this restore point has, whichever others have them as well.
      - Without it, all restore points are listed. Where no job has one that is meant, the module fails.
    type: str
  paths:
    description:
      - What to list the versions of, as absolute paths. Without it, no versions are listed.
      - A path means itself and everything below it. V(*) and V(?) match within a name, V(**) across directories, and a
        backslash takes the meaning from what follows.
      - Dumps of databases have no path; O(parts) is for them.
      - In backups that cPanel made, paths are relative to the home directory of the account, and the slash in front may
        be left out. What does not lie in it has no path; O(parts) is for it.
    type: list
    elements: str
    default: []
  parts:
    description:
      - What parts to list the versions of. Without it, no versions of parts are listed.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description:
          - The kind of the parts, such as V(files) or V(database). Without it, parts of any kind are listed.
        type: str
      name:
        description:
          - The name of the part, or a glob by the rules of O(paths). A part V(files) has the path that was backed up.
          - V(**) means all parts whose names do not begin with a slash, V(/**) those whose names do.
        type: str
        required: true
  limit:
    description:
      - How many restore points are listed at most, how many versions, and how many versions of parts. RV(truncated)
        tells whether there are more.
      - From V(1) to V(10000). What is listed within each of them is less where this is more than V(100), so that no
        answer has more than 100000 of that.
    type: int
    default: 100
  offset:
    description:
      - How many restore points to pass over before the first one that is listed, and how many versions and versions of
        parts. With it, what O(limit) leaves out is listed by the next tasks.
    type: int
    default: 0
seealso:
  - module: stowage.ftp_backup.backup
  - module: stowage.ftp_backup.reindex
  - module: stowage.ftp_backup.restore
"""

EXAMPLES = r"""
- name: List the restore points of a job
  stowage.ftp_backup.backup_info:
    destination: Provider storage
    client: web01
    job: web sites
  register: result

- name: Be sure that the latest restore point is from today
  ansible.builtin.assert:
    that:
      - result.points | length > 0
      - result.points[0].complete
      - result.points[0].age < 86400

- name: List all versions of a configuration, and the restore points that have them
  stowage.ftp_backup.backup_info:
    destination: Provider storage
    paths:
      - /etc/nginx/**/*.conf

- name: Find out how the configuration was a week ago
  stowage.ftp_backup.backup_info:
    destination: Provider storage
    client: web01
    job: web sites
    point: "2026-11-15"
    paths:
      - /etc/nginx

- name: List what the latest good backup of an account of cPanel consists of
  stowage.ftp_backup.backup_info:
    destination: cPanel backups
    account: bob
    point: latest

- name: List all versions of the dumps of the shop's databases
  stowage.ftp_backup.backup_info:
    destination: Provider storage
    client: web01
    parts:
      - kind: database
        name: shop*
"""

RETURN = r"""
destination:
  description: The name of the destination.
  returned: success
  type: str
  sample: Provider storage
bytes_sent:
  description:
    - How many bytes the data connections of the run have sent.
    - It is V(0), since nothing but the index is asked.
  returned: success
  type: int
  sample: 1048576
bytes_received:
  description:
    - How many bytes the data connections of the run have received, listings among them.
    - It is V(0), since nothing but the index is asked.
  returned: success
  type: int
  sample: 40960
duration:
  description: How many seconds the run took.
  returned: success
  type: float
  sample: 3.2
points:
  description:
    - The restore points. Those of one job, where O(client) and O(job) are given, come by their sequence number, highest
      first; those of several jobs come by the time they were made, newest first.
    - Each has the keys of RV(stowage.ftp_backup.backup#module:point), and more. RV(versions) does not count on damaged
      ones.
  returned: success
  type: list
  elements: dict
  contains:
    age:
      description: How many seconds ago that was, V(null) if it is not known.
      type: int
      returned: always
      sample: 30600
    stored_bytes:
      description: The size of the volumes that it needs on the destination, which it may share with other ones.
      type: int
      returned: always
      sample: 251658240
    part_count:
      description: How many parts it consists of.
      type: int
      returned: always
      sample: 1
    parts:
      description: What it consists of, with how many entries and bytes each part has; the first 1000 at most.
      type: list
      elements: dict
      returned: always
      contains:
        kind:
          description: The kind of the part.
          type: str
          returned: always
          sample: files
        name:
          description: Its name.
          type: str
          returned: always
          sample: /srv/www
        entries:
          description: How many files, directories and other things it holds.
          type: int
          returned: always
          sample: 18211
        bytes:
          description: The size of all its files.
          type: int
          returned: always
          sample: 734003200
versions:
  description: The versions of files, by client, job and path, newest first.
  returned: when O(paths) is given
  type: list
  elements: dict
  contains:
    path:
      description: The path on the host.
      type: str
      returned: always
      sample: /etc/nginx/nginx.conf
    account:
      description: The account of cPanel, or V(null) where this collection made the backup.
      type: str
      returned: always
      sample: null
    job:
      description: The job, or V(null) where cPanel made the backup.
      type: str
      returned: always
      sample: web sites
    client:
      description: The client name of the host, or V(null) where cPanel made the backup.
      type: str
      returned: always
      sample: web01
    kind:
      description:
        - What it is, which is one of V(file), V(directory), V(symlink), V(character_device), V(block_device) and
          V(fifo).
      type: str
      returned: always
      sample: file
    bytes:
      description: Its size.
      type: int
      returned: always
      sample: 1482
    mtime:
      description:
        - When its content was changed last, in UTC.
        - Where no calendar reaches so far, C(@) and the seconds since 1970.
      type: str
      returned: always
      sample: "2026-11-20T09:31:02.481927Z"
    digest:
      description:
        - The SHA-256 of its content, if it is a file, else V(null). Of one that is stored in several segments, that of
          their digests.
      type: str
      returned: always
      sample: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
    target:
      description: Where it points to, if it is a symbolic link, else V(null).
      type: str
      returned: always
      sample: null
    point_count:
      description: How many restore points have this version.
      type: int
      returned: always
      sample: 12
    points:
      description: The restore points that have this version, newest first, up to 100 of them.
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: The id of the restore point.
          type: str
          returned: always
          sample: 20261122t030000z-1f9c2a
        seq:
          description: Its sequence number in the job.
          type: int
          returned: always
          sample: 42
        created:
          description: When its run started, in UTC, or V(null) where that is not known.
          type: str
          returned: always
          sample: "2026-11-22T03:00:00Z"
parts:
  description:
    - The versions of parts, by client, job, kind and name, newest first. A version lasts as long as nothing in the part
      changes.
  returned: when O(parts) is given
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the part.
      type: str
      returned: always
      sample: database
    name:
      description: Its name.
      type: str
      returned: always
      sample: shop
    account:
      description: The account of cPanel, or V(null) where this collection made the backup.
      type: str
      returned: always
      sample: null
    job:
      description: The job, or V(null) where cPanel made the backup.
      type: str
      returned: always
      sample: web sites
    client:
      description: The client name of the host, or V(null) where cPanel made the backup.
      type: str
      returned: always
      sample: web01
    entries:
      description: How many files, directories and other things it holds.
      type: int
      returned: always
      sample: 1
    bytes:
      description: The size of all its files.
      type: int
      returned: always
      sample: 73400320
    point_count:
      description: How many restore points have this version.
      type: int
      returned: always
      sample: 3
    points:
      description: The restore points that have this version, newest first, up to 100 of them.
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: The id of the restore point.
          type: str
          returned: always
          sample: 20261122t030000z-1f9c2a
        seq:
          description: Its sequence number in the job.
          type: int
          returned: always
          sample: 42
        created:
          description: When its run started, in UTC, or V(null) where that is not known.
          type: str
          returned: always
          sample: "2026-11-22T03:00:00Z"
truncated:
  description: Whether there is more behind what is listed, which a higher O(limit) or O(offset) would show.
  returned: success
  type: bool
  sample: false
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run
from ..module_utils.options.backup_info import SPEC, perform


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    run(module, lambda: perform(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
