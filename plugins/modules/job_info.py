#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_info
short_description: Tell how the backups of each job stand
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Tells of each job how old its newest good restore point is, and may be, what is wrong if something is, how its size
    has developed, and what is known of its last failure, verification and restore.
  - It answers from what the host keeps, without a connection. The host's own backups keep that up to date; what other
    hosts have stored since, and what was removed elsewhere, is found by M(stowage.ftp_backup.reindex).
  - These are the jobs of this host that the index of a destination has, all accounts of cPanel, those that the command
    C(ftp-backup) on the host was told of, and those in O(jobs). A job that should be there and has no restore point is
    told as well.
  - The role P(stowage.ftp_backup.report#role) makes a page of what it tells of a fleet.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.attributes.info_module
  - stowage.ftp_backup.state
options:
  destination:
    description:
      - The only destination to look at. Without it, all are looked at that are declared on the host.
    type: str
  client:
    description:
      - The client whose jobs are meant, which is the name of a host on the destination.
      - Without it, it is the host itself, under the name that it had when it made its first backup.
    type: str
  all_clients:
    description:
      - Whether the jobs of all clients in the index are meant. O(client) cannot be given then.
    type: bool
    default: false
  max_age:
    description:
      - How old the newest good restore point of a job may be, as a whole number with C(s), C(m), C(h), C(d) or C(w),
        where nothing else says so. Good is one that is complete and not damaged.
      - What O(jobs[].max_age) says of a job counts more, and so does C(stale_after) of a job that the command
        C(ftp-backup) was told of.
      - Without it, it is C(36h). For a job of the command it is three times its own C(max_age) then, if that is more.
    type: str
  jobs:
    description:
      - Jobs that should have backups, and how old these may be.
    type: list
    elements: dict
    default: []
    suboptions:
      destination:
        description:
          - The destination of the job.
        type: str
        required: true
      client:
        description:
          - The client of the job. Without it, it is the host itself.
        type: str
      job:
        description:
          - The name of the job. Either this or O(jobs[].account) is needed.
        type: str
      account:
        description:
          - The account, where cPanel makes the backups.
        type: str
      max_age:
        description:
          - How old its newest good restore point may be.
        type: str
  points:
    description:
      - How many restore points of each job are listed at most, the newest ones. From V(1) to V(1000).
      - They are fewer where there are very many jobs, so that no answer has more than about 50000 of them.
    type: int
    default: 60
seealso:
  - module: stowage.ftp_backup.backup_info
  - module: stowage.ftp_backup.reindex
  - module: stowage.ftp_backup.verify
"""

EXAMPLES = r"""
- name: Look how the backups of this host stand
  stowage.ftp_backup.job_info:
  register: result

- name: Be sure that each job has a good restore point that is young enough
  ansible.builtin.assert:
    that: result.jobs | rejectattr('state', 'eq', 'fresh') | length == 0
    fail_msg: "{{ result.jobs | rejectattr('state', 'eq', 'fresh') | map(attribute='reason') | join(' ') }}"

- name: Expect a job that makes backups once a week
  stowage.ftp_backup.job_info:
    destination: Provider storage
    jobs:
      - destination: Provider storage
        job: archive
        max_age: 8d
"""

RETURN = r"""
time:
  description: When this was told, in UTC.
  returned: success
  type: str
  sample: "2026-11-26T12:18:29Z"
client:
  description: The client whose jobs are meant; with O(all_clients=true) the one that this host is.
  returned: success
  type: str
  sample: web01
destinations:
  description: The destinations that were looked at, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the destination, or of the file where a damaged declaration tells none.
      type: str
      returned: always
      sample: Provider storage
    engine:
      description: Who makes the backups there, V(native) or V(cpanel); V(null) where no declaration can be read.
      type: str
      returned: always
      sample: native
    host:
      description: The name or address of the FTP server, V(null) in the same cases.
      type: str
      returned: always
      sample: backup.example.com
    failure:
      description:
        - What kept the host from telling what lies there, with the keys of
          RV(stowage.ftp_backup.backup#module:failure), and V(null) if nothing did.
      type: dict
      returned: always
      contains:
        msg:
          description: The sentence.
          type: str
          returned: always
          sample: This host has no index of the destination 'Provider storage'.
jobs:
  description: The jobs and the accounts of cPanel, by destination, client and name.
  returned: success
  type: list
  elements: dict
  contains:
    destination:
      description: The destination.
      type: str
      returned: always
      sample: Provider storage
    client:
      description: The client, V(null) of an account of cPanel.
      type: str
      returned: always
      sample: web01
    job:
      description: The job, V(null) of an account of cPanel.
      type: str
      returned: always
      sample: web sites
    account:
      description: The account of cPanel, V(null) of a job.
      type: str
      returned: always
      sample: null
    structure:
      description: The structure of the job, V(cpanel) of an account, V(null) where there is no restore point.
      type: str
      returned: always
      sample: incremental
    state:
      description:
        - How the job stands.
        - V(fresh) - the newest good restore point is young enough, and there is no later one that is not good.
        - V(partial) - the newest restore point lacks what could not be read, but a good one is young enough, or there
          is no good one at all.
        - V(damaged) - the same of what is damaged, or the last verification has found damage, and no good restore point
          was made since.
        - V(overdue) - the newest good restore point is older than RV(jobs[].max_age).
        - V(never) - there is no restore point.
        - V(unknown) - the host cannot tell, as RV(jobs[].reason) says.
      type: str
      returned: always
      sample: overdue
    reason:
      description: Why that is so, in a sentence or two.
      type: str
      returned: always
      sample: The newest complete restore point is 3 d old, and 36 h is the limit.
    max_age:
      description: How many seconds old the newest good restore point may be.
      type: int
      returned: always
      sample: 129600
    age:
      description: How many seconds old it is; V(null) where there is none, or it has no date.
      type: int
      returned: always
      sample: 273600
    point:
      description: The newest good restore point, with the keys of RV(jobs[].points), or V(null).
      type: dict
      returned: always
      contains:
        id:
          description: The id of the restore point, which begins with the time of its run.
          type: str
          returned: always
          sample: 20261126t030000z-1f9c2a
        seq:
          description: Its sequence number in the job; the highest one is the latest.
          type: int
          returned: always
          sample: 42
        created:
          description: When its run started, in UTC; V(null) where cPanel has made it and tells no date.
          type: str
          returned: always
          sample: "2026-11-26T03:00:00Z"
        complete:
          description: Whether everything could be read when it was made.
          type: bool
          returned: always
          sample: true
        damaged:
          description: Whether some of its entries could not be read for the index.
          type: bool
          returned: always
          sample: false
        protected:
          description: Whether it is kept whatever the retention says.
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
        bytes_sent:
          description: How many bytes its run has sent, V(null) where this host has not made it or does not remember.
          type: int
          returned: always
          sample: 4194304
        problem_count:
          description: How many things could not be read when it was made.
          type: int
          returned: always
          sample: 0
    newest:
      description: The newest restore point, whether it is good or not, with the same keys, or V(null).
      type: dict
      returned: always
      contains:
        id:
          description: The id of the restore point, which begins with the time of its run.
          type: str
          returned: always
          sample: 20261126t030000z-1f9c2a
        seq:
          description: Its sequence number in the job; the highest one is the latest.
          type: int
          returned: always
          sample: 42
        created:
          description: When its run started, in UTC; V(null) where cPanel has made it and tells no date.
          type: str
          returned: always
          sample: "2026-11-26T03:00:00Z"
        complete:
          description: Whether everything could be read when it was made.
          type: bool
          returned: always
          sample: true
        damaged:
          description: Whether some of its entries could not be read for the index.
          type: bool
          returned: always
          sample: false
        protected:
          description: Whether it is kept whatever the retention says.
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
        bytes_sent:
          description: How many bytes its run has sent, V(null) where this host has not made it or does not remember.
          type: int
          returned: always
          sample: 4194304
        problem_count:
          description: How many things could not be read when it was made.
          type: int
          returned: always
          sample: 0
    oldest:
      description: When the oldest restore point was made, in UTC; V(null) where that is not known.
      type: str
      returned: always
      sample: "2026-10-12T03:00:00Z"
    point_count:
      description: How many restore points there are.
      type: int
      returned: always
      sample: 7
    stored_bytes:
      description:
        - How many bytes all of them need on the destination at least.
        - It is exact but for deduplicated jobs, whose restore points share one pool. Of that, only the largest is
          counted.
      type: int
      returned: always
      sample: 1761607680
    points:
      description: The newest restore points, newest first, up to O(points).
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: The id of the restore point, which begins with the time of its run.
          type: str
          returned: always
          sample: 20261126t030000z-1f9c2a
        seq:
          description: Its sequence number in the job; the highest one is the latest.
          type: int
          returned: always
          sample: 42
        created:
          description: When its run started, in UTC; V(null) where cPanel has made it and tells no date.
          type: str
          returned: always
          sample: "2026-11-26T03:00:00Z"
        complete:
          description: Whether everything could be read when it was made.
          type: bool
          returned: always
          sample: true
        damaged:
          description: Whether some of its entries could not be read for the index.
          type: bool
          returned: always
          sample: false
        protected:
          description: Whether it is kept whatever the retention says.
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
        bytes_sent:
          description: How many bytes its run has sent, V(null) where this host has not made it or does not remember.
          type: int
          returned: always
          sample: 4194304
        problem_count:
          description: How many things could not be read when it was made.
          type: int
          returned: always
          sample: 0
    last_failure:
      description: Why the last run of a backup on this host has failed; V(null) if it has not, or that is not known.
      type: dict
      returned: always
      contains:
        ended:
          description: When it ended, in UTC.
          type: str
          returned: always
          sample: "2026-11-26T03:00:12Z"
        kind:
          description: The kind of the error, V(null) where only its sentence is known.
          type: str
          returned: always
          sample: login
        msg:
          description: The sentence that it ended with.
          type: str
          returned: always
          sample: "Cannot log in to backup.example.com:21 as 'web01': the server answered '530 Login failed'."
    last_verification:
      description: What the last M(stowage.ftp_backup.verify) on this host has found; V(null) if there was none.
      type: dict
      returned: always
      contains:
        ended:
          description: When it ended with this job, in UTC.
          type: str
          returned: always
          sample: "2026-11-22T05:11:40Z"
        whole:
          description: Whether no restore point was found to lack anything.
          type: bool
          returned: always
          sample: true
        sample:
          description: How many of a hundred volumes were to be read.
          type: int
          returned: always
          sample: 100
        manifests:
          description: How many manifests were read and proved.
          type: int
          returned: always
          sample: 7
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
          description: How many volumes were left for the next verification, because its time was over.
          type: int
          returned: always
          sample: 0
        damaged_file_count:
          description: How many files on the destination were found damaged and cost some restore point something.
          type: int
          returned: always
          sample: 0
        msg:
          description: The sentence on the first of them, or V(null).
          type: str
          returned: always
          sample: null
    last_restore:
      description:
        - What the last M(stowage.ftp_backup.restore) on this host has brought back that went well, which proves that it
          can be; V(null) if there was none.
      type: dict
      returned: always
      contains:
        ended:
          description: When it ended, in UTC.
          type: str
          returned: always
          sample: "2026-11-20T14:02:51Z"
        id:
          description: The id of the restore point.
          type: str
          returned: always
          sample: 20261120t030000z-7b60d1
        created:
          description: When that restore point was made, in UTC, or V(null).
          type: str
          returned: always
          sample: "2026-11-20T03:00:00Z"
        entries:
          description: How many files, directories and other things were brought back.
          type: int
          returned: always
          sample: 18190
        bytes:
          description: The size of these files.
          type: int
          returned: always
          sample: 731906048
        whole:
          description: Whether all of the restore point was asked for.
          type: bool
          returned: always
          sample: true
troubles:
  description: What is wrong on the host besides, such as a declaration of a job that cannot be read, a sentence each.
  returned: success
  type: list
  elements: str
  sample:
    - "The file /etc/ftp_backup/jobs/mailboxes-1f2e3d4c.json is no job: 'backup' has no options."
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.job_info_options import SPEC, perform
from ..module_utils.module import run


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    run(module, lambda: perform(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
