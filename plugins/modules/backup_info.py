#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List restore points and versions of files
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Tells which restore points a destination has and, with O(paths), which versions of files they hold.
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
  paths:
    description:
      - What to list the versions of, as absolute paths. Without it, no versions are listed.
      - A path means itself and everything below it. V(*) and V(?) match within a name, V(**) across directories, and a
        backslash takes the meaning from what follows.
    type: list
    elements: str
    default: []
  limit:
    description:
      - How many restore points are listed at most, and how many versions. RV(truncated) tells whether there are more.
      - From V(1) to V(1000000).
    type: int
    default: 100
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
"""

RETURN = r"""
points:
  description:
    - The restore points. Those of one job, where O(client) and O(job) are given, come by their sequence number, highest
      first; those of several jobs come by the time they were made, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the restore point, which begins with the time of its run.
      type: str
      returned: always
      sample: 20261122t030000z-1f9c2a
    seq:
      description: Its sequence number in the job; the highest one is the latest.
      type: int
      returned: always
      sample: 42
    job:
      description: The job.
      type: str
      returned: always
      sample: web sites
    client:
      description: The client name of the host.
      type: str
      returned: always
      sample: web01
    pool:
      description: The slot or archive in which its content lies.
      type: str
      returned: always
      sample: s03
    structure:
      description: The structure of the job.
      type: str
      returned: always
      sample: incremental
    created:
      description: When its run started, in UTC.
      type: str
      returned: always
      sample: "2026-11-22T03:00:00Z"
    age:
      description: How many seconds ago that was.
      type: int
      returned: always
      sample: 30600
    complete:
      description: Whether everything could be read when it was made.
      type: bool
      returned: always
      sample: true
    protected:
      description: Whether it is kept whatever the retention says.
      type: bool
      returned: always
      sample: false
    damaged:
      description: Whether some of its entries could not be read for the index; RV(versions) does not count on it then.
      type: bool
      returned: always
      sample: false
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
    stored_bytes:
      description: The size of the volumes that it needs on the destination, which it may share with other ones.
      type: int
      returned: always
      sample: 251658240
    problem_count:
      description: How many things could not be read when it was made.
      type: int
      returned: always
      sample: 1
    problems:
      description: What could not be read, the first 20.
      type: list
      elements: dict
      returned: always
      sample:
        - path: /srv/www/private.key
          problem: Permission denied
    parts:
      description: What it consists of, with how many entries and bytes each part has.
      type: list
      elements: dict
      returned: always
      sample:
        - kind: files
          name: /srv/www
          entries: 18211
          bytes: 734003200
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
    job:
      description: The job.
      type: str
      returned: always
      sample: web sites
    client:
      description: The client name of the host.
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
    size:
      description: Its size in bytes.
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
        - The SHA-256 of its content, if it is a file. Of one that is stored in several segments, that of their
          digests.
      type: str
      returned: always
      sample: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
    target:
      description: Where it points to, if it is a symbolic link.
      type: str
      returned: always
      sample: null
    points:
      description: The restore points that have this version, newest first.
      type: list
      elements: dict
      returned: always
      sample:
        - id: 20261122t030000z-1f9c2a
          seq: 42
          created: "2026-11-22T03:00:00Z"
truncated:
  description: Whether O(limit) left something out.
  returned: success
  type: bool
  sample: false
failure:
  description: What kind of error ended the module.
  returned: failure
  type: dict
  sample:
    kind: usage
"""

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.history import list_backups
from ..module_utils.module import JOB_OPTIONS, run
from ..module_utils.registry import FileRegistry

if TYPE_CHECKING:
    from ..module_utils.outcome import Outcome


def answer(module: AnsibleModule) -> Outcome:
    params = module.params
    return list_backups(
        FileRegistry(Path(params["config_directory"])),
        Path(params["state_directory"]),
        params["destination"],
        client=params["client"],
        job=params["job"],
        paths=params["paths"],
        limit=params["limit"],
        now=datetime.now(timezone.utc),
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **JOB_OPTIONS,
            "job": {"type": "str"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "limit": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    run(module, lambda: answer(module))


if __name__ == "__main__":
    main()
