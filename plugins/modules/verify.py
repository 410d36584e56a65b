#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Check what is stored, down to every byte
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Reads what lies on a destination, sees whether it is what was stored there, and tells which files of which restore
    points are lost where it is not.
  - Every manifest is read from the destination and proved, and every volume must be there with its size. Of the volumes
    themselves, as many are read as O(sample) says, each byte of them.
  - Damaged content is recorded on the destination, and the next M(stowage.ftp_backup.backup) of the job sends again
    what the host still has of it. Restore points of a job with C(structure=full) stay as they are, and the next one is
    whole.
  - What was recorded and is found whole again, or is needed no more, is struck out.
  - A verification that was broken off is gone on with by the next one of the same O(job) and O(client). What it had
    read is not read again.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
  - stowage.ftp_backup.watched
  - stowage.ftp_backup.job
attributes:
  check_mode:
    support: full
    details:
      - Everything is read and proved just the same, but nothing is recorded, on the destination or on the host.
      - The destination must be declared already; M(stowage.ftp_backup.destination) declares none in check mode.
  diff_mode:
    support: full
    details:
      - It lists what is recorded as damaged on the destination, before and after.
  idempotent:
    support: full
    details:
      - It reads again each time, and changes something only when the damage that it finds is another one.
options:
  job:
    description:
      - The only job to verify.
      - Without it, all jobs of the client are verified.
    type: str
  all_clients:
    description:
      - Whether to verify the jobs of all clients. Neither O(client) nor O(job) can be given then.
      - What is damaged in a job of another host is told, but recorded only when it is verified on its own host.
    type: bool
    default: false
  sample:
    description:
      - How many of a hundred volumes to read, of each job at least one. Manifests and sizes are always checked in full.
      - Those are read first that were not read for the longest time, or were found damaged. So ten times V(10) read
        everything once.
    type: int
    default: 100
  max_duration:
    description:
      - How long volumes are read before the verification ends for this time, as a number with V(s), V(m), V(h), V(d) or
        V(w). The next one goes on there, and RV(verified.volumes_left) tells how much is left.
      - Volumes that are being read are read to their end. Manifests and sizes of all jobs are checked in any case.
    type: str
  on_damage:
    description:
      - What to do when something is lost. It is recorded in any case.
      - With V(fail) the task fails afterwards, and with V(warn) it warns.
      - Damage that costs nothing, such as in content that no restore point needs any more, is only warned about.
    type: str
    choices:
      - fail
      - warn
    default: fail
seealso:
  - module: stowage.ftp_backup.backup
  - module: stowage.ftp_backup.restore
"""

EXAMPLES = r"""
- name: Read all backups of the host
  stowage.ftp_backup.verify:
    destination: Provider storage

- name: Read all backups of all hosts once in ten nights, in the small hours
  stowage.ftp_backup.verify:
    destination: Provider storage
    all_clients: true
    sample: 10
    max_duration: 4h

- name: Look after the web sites
  stowage.ftp_backup.verify:
    destination: Provider storage
    job: web sites
    on_damage: warn
  register: verification

- name: Send again what is damaged
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: web sites
    paths:
      - /srv/www
  when: not verification.whole

- name: Read a tenth of all volumes in the background, without telling how far it has come
  stowage.ftp_backup.verify:
    destination: Provider storage
    sample: 10
    progress: false
  async: 36000
  poll: 0
"""

RETURN = r"""
destination:
  description: The name of the destination.
  returned: success, and failure of kind V(damage) after everything was verified
  type: str
  sample: Provider storage
bytes_sent:
  description: How many bytes the data connections of the run have sent.
  returned: success, and failure of kind V(damage) after everything was verified
  type: int
  sample: 1048576
bytes_received:
  description: How many bytes the data connections of the run have received, listings among them.
  returned: success, and failure of kind V(damage) after everything was verified
  type: int
  sample: 40960
duration:
  description: How many seconds the run took.
  returned: success, and failure of kind V(damage) after everything was verified
  type: float
  sample: 3.2
whole:
  description:
    - Whether nothing is damaged, as far as is known. Of volumes that were not read this time, that is what was found
      when they were.
  returned: success, and failure of kind V(damage) after everything was verified
  type: bool
  sample: false
verified:
  description: How much was verified.
  returned: success, and failure of kind V(damage) after everything was verified
  type: dict
  contains:
    manifests:
      description: How many manifests were read and proved, those of unfinished runs among them.
      type: int
      returned: always
      sample: 14
    volumes:
      description: How many volumes were read to their last byte.
      type: int
      returned: always
      sample: 812
    bytes:
      description: The size of these volumes.
      type: int
      returned: always
      sample: 27246198784
    volumes_left:
      description: How many volumes are left for the next verification to go on with, because O(max_duration) was over.
      type: int
      returned: always
      sample: 0
damaged_files:
  description: The damaged files on the destination, those that cost something first, and 100 at most.
  returned: success, and failure of kind V(damage) after everything was verified
  type: list
  elements: dict
  contains:
    client:
      description: The client.
      type: str
      returned: always
      sample: web01
    job:
      description: The job.
      type: str
      returned: always
      sample: web sites
    file:
      description: The file, as its path below the directory of the job.
      type: str
      returned: always
      sample: s03/v00/20261122t030000z-1f9c2a-000017.tar.gz
    flaws:
      description: What is wrong with it, the first 20.
      type: list
      elements: str
      returned: always
      sample:
        - at byte 812, the content there is not what was stored
    frames:
      description:
        - Where in a volume the content is that is lost, the first 100 places. The list is empty where all of the file
          is lost, or nothing.
      type: list
      elements: dict
      returned: always
      contains:
        offset:
          description: At which byte of the file it begins.
          type: int
          returned: always
          sample: 812
        length:
          description: How many bytes it has.
          type: int
          returned: always
          sample: 40960
    points:
      description: The restore points that lack something for it.
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
        entries:
          description: How many of its entries are lost; V(null) where that cannot be told.
          type: int
          returned: always
          sample: 3
    entries:
      description: How many entries of all these restore points are lost; V(null) where that cannot be told.
      type: int
      returned: always
      sample: 3
    paths:
      description: Their paths, the first 100. Those in a damaged part of a manifest cannot be told.
      type: list
      elements: str
      returned: always
      sample:
        - /srv/www/index.html
    recorded:
      description: Whether it is recorded on the destination, so that the next backup heals it.
      type: bool
      returned: always
      sample: true
damaged_file_count:
  description: How many damaged files there are.
  returned: success, and failure of kind V(damage) after everything was verified
  type: int
  sample: 1
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run_watched
from ..module_utils.options.shared import WATCHED_OPTIONS
from ..module_utils.options.verify import SPEC, perform


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(WATCHED_OPTIONS), supports_check_mode=True)
    run_watched(module, "verify", partial(perform, module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
