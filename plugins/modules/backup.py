#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Make sure that a fresh restore point exists
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Backs up paths of the host to a destination, unless a complete restore point of the job is young enough, and
    removes those restore points that O(retention) lets go.
  - A restore point exists from one moment to the next, when everything that it needs is on the server and was checked
    there. A run that is killed at any moment costs no restore point; the next run removes what it left.
  - One run at a time works on a job, on this host and on all others.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
  - stowage.ftp_backup.job
attributes:
  check_mode:
    support: full
    details:
      - The paths are compared with what the server has, and nothing is written there or on the host.
      - RV(point.bytes_sent) is then the size of the files that would be read, before compression.
      - The destination must be declared already; M(stowage.ftp_backup.destination) declares none in check mode.
  diff_mode:
    support: full
    details:
      - It lists the restore points of the job before and after, each with the reason why it stays or goes.
  idempotent:
    support: full
    details:
      - While a complete restore point of the same O(paths) is younger than O(max_age), the task is V(ok).
      - With O(force=true) every run makes one.
options:
  job:
    description:
      - What the backup is called. At most 40 printable characters, any but V(/).
    type: str
    required: true
  paths:
    description:
      - The files and directories to back up, as absolute paths, each with everything below it.
      - Double slashes, those at the end, C(.) and C(..) make no other path.
    type: list
    elements: path
    required: true
  structure:
    description:
      - How restore points share storage. It cannot be changed once the job exists.
      - With V(incremental) the first runs make independent full copies in as many slots as O(retention.last) says. Each
        later run takes the slot with the oldest restore point and sends only what changed since that one.
      - With V(full) every run is complete by itself.
    type: str
    choices:
      - incremental
      - full
    default: incremental
  compression:
    description:
      - How new content is compressed. What is on the server stays as it is.
    type: str
    choices:
      - gzip
      - none
    default: gzip
  retention:
    description:
      - Which restore points are kept.
      - The latest complete one is always kept, and so are protected ones.
    type: dict
    suboptions:
      last:
        description:
          - How many of the latest restore points are kept.
          - V(7) with O(structure=incremental) if it is not given; with O(structure=full) everything is kept then.
          - From V(1) to V(750).
        type: int
  max_age:
    description:
      - How old a restore point may be to count as fresh, as a number with V(s), V(m), V(h), V(d) or V(w).
    type: str
    default: 12h
  force:
    description:
      - Whether to make a restore point even if there is a fresh one.
    type: bool
    default: false
  adopt:
    description:
      - Whether to go on with a job that another host has made under the same O(client), because this host takes
        its place.
    type: bool
    default: false
seealso:
  - module: stowage.ftp_backup.backup_info
  - module: stowage.ftp_backup.restore
"""

EXAMPLES = r"""
- name: Keep the web sites of the last seven days
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: web sites
    paths:
      - /srv/www
      - /etc/nginx

- name: Take a full copy before an upgrade
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: before upgrades
    structure: full
    paths:
      - /etc
    retention:
      last: 3
    force: true
"""

RETURN = r"""
point:
  description: The restore point that was made, or the fresh one that was found.
  returned: success
  type: dict
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
    complete:
      description: Whether everything could be read.
      type: bool
      returned: always
      sample: true
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
    bytes_sent:
      description: How many bytes the run uploaded; V(0) if a fresh restore point was found.
      type: int
      returned: always
      sample: 1048576
    duration:
      description: How many seconds the run took; V(0) if a fresh restore point was found, and in check mode.
      type: float
      returned: always
      sample: 3.2
    problems:
      description: What could not be read, the first 20.
      type: list
      elements: dict
      returned: always
      sample:
        - path: /srv/www/private.key
          problem: Permission denied
pruned:
  description: The restore points that were removed, with the reason.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261115t030000z-77ab01
      seq: 35
      reason: its slot s03 holds a newer one, 42
failure:
  description: What kind of error ended the module, and the code of the server's reply if there was one.
  returned: failure
  type: dict
  sample:
    kind: space
    code: 552
"""

from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.backup import Request, back_up, parse_age
from ..module_utils.module import JOB_OPTIONS, run
from ..module_utils.registry import FileRegistry, Host

if TYPE_CHECKING:
    from ..module_utils.outcome import Outcome


def without_detours(path: str) -> str:
    """Return *path* as it is called in a restore point: one that is written otherwise asks for nothing else."""
    return f"/{normpath(path).lstrip('/')}" if path.startswith("/") else path


def manage(module: AnsibleModule) -> Outcome:
    params = module.params
    config_directory = Path(params["config_directory"])
    request = Request(
        destination=params["destination"],
        job=params["job"],
        client=params["client"],
        paths=tuple({without_detours(path): None for path in params["paths"]}),
        structure=params["structure"],
        compression=params["compression"],
        last=(params["retention"] or {}).get("last"),
        max_age=parse_age(params["max_age"]),
        force=params["force"],
        adopt=params["adopt"],
    )
    host = Host(config_directory, Path(params["state_directory"]))
    return back_up(FileRegistry(config_directory), host, request, check_mode=module.check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **JOB_OPTIONS,
            "job": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "path", "required": True},
            "structure": {"type": "str", "choices": ["incremental", "full"], "default": "incremental"},
            "compression": {"type": "str", "choices": ["gzip", "none"], "default": "gzip"},
            "retention": {"type": "dict", "options": {"last": {"type": "int"}}},
            "max_age": {"type": "str", "default": "12h"},
            "force": {"type": "bool", "default": False},
            "adopt": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, lambda: manage(module))


if __name__ == "__main__":
    main()
