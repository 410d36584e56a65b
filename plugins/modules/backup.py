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
  - stowage.ftp_backup.watched
  - stowage.ftp_backup.job
attributes:
  check_mode:
    support: full
    details:
      - The paths are compared with what the server has, and nothing is written there or on the host.
      - RV(bytes_sent) is then the size of the files that would be read, before compression.
      - The destination must be declared already; M(stowage.ftp_backup.destination) declares none in check mode.
  diff_mode:
    support: full
    details:
      - It lists the restore points of the job before and after, each with the reason why it is made, stays or goes, and
        tells below what has changed and how much that is.
  idempotent:
    support: full
    details:
      - While a complete restore point of the same definition is younger than O(max_age), the task is V(ok). The
        definition is O(paths), O(exclude), O(one_file_system), O(exclude_caches), O(exclude_marker) and, without how
        to log in, O(databases).
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
      - Either this or O(databases) is needed.
    type: list
    elements: path
  databases:
    description:
      - Databases to back up beside O(paths). Each becomes a part of the restore point, of the kind C(database), which
        M(stowage.ftp_backup.restore) brings back as a dump or loads into a server.
      - Every dump is as the database was at one moment, and is streamed to the destination. It needs the client
        programs of the server on the host; SQLite needs none.
      - A dump stands in the restore point only if its program ended well.
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - What kind of server it is. V(mysql) is MariaDB, too.
          - Dumps of MySQL and MariaDB have triggers, routines and events. Those of tables that are not InnoDB may not
            be of one moment, which is warned about. Their server ends a dump that nobody reads for its
            C(net_write_timeout), which is 60 seconds if nobody has set another one; a destination that stands still for
            longer costs the dump.
          - Dumps of PostgreSQL are archives for C(pg_restore), without compression of their own, so that what has not
            changed is found again.
          - A database of V(sqlite) is copied on the host first, which takes as much space in O(state_directory).
        type: str
        choices:
          - mysql
          - postgresql
          - sqlite
        required: true
      name:
        description:
          - Which databases, V(all) for all that are not the server's own. It has no meaning for V(sqlite).
        type: list
        elements: str
        default:
          - all
      exclude:
        description:
          - Which databases to leave out, as globs such as V(test_*).
        type: list
        elements: str
        default: []
      path:
        description:
          - The file of the database, if it is one of V(sqlite).
        type: path
      users:
        description:
          - Whether to keep who may log in, with passwords as the server has them, roles and grants. They become a part
            of the kind C(database_users).
        type: bool
        default: true
      label:
        description:
          - What tells these databases from those of other servers. The parts of V(mysql) and V(postgresql) are called
            C(LABEL/DATABASE) then, and C(DATABASE) without it; that of V(sqlite) is called C(LABEL), and by the name of
            its file without it.
          - Databases of several servers whose names may be the same need one.
        type: str
      on_failure:
        description:
          - What a dump means that cannot be made. With V(fail) there is no restore point, and the run fails.
          - With V(partial) the restore point is partial, see O(on_problem). The dump stays in it as it was in the one
            that this run started from, if it was there.
        type: str
        choices:
          - fail
          - partial
        default: fail
      host:
        description:
          - The server's name or address. Without it and O(databases[].socket), the client programs take their own
            default, which is a socket of this host.
        type: str
      port:
        description:
          - The server's port.
        type: int
      socket:
        description:
          - The server's socket. Of PostgreSQL it is the directory in which the socket lies.
        type: path
      username:
        description:
          - Who logs in.
        type: str
      password:
        description:
          - The password. It reaches the client programs in a file or an environment that only they can read.
        type: str
      option_file:
        description:
          - A file on the host from which the client programs take what is not given here. Of MySQL and MariaDB it is a
            file of options, such as V(/root/.my.cnf), and of PostgreSQL a file of passwords, such as V(/root/.pgpass).
        type: path
      programs:
        description:
          - The directory of the client programs. Without it they are found on the C(PATH).
        type: path
      run_as:
        description:
          - The user of the host who runs the client programs, which only root can choose. With V(postgres) a local
            PostgreSQL lets its superuser in without a password.
        type: str
  pre_commands:
    description:
      - Commands of your own that the shell of the host runs before anything is read, in order. None is run if a fresh
        restore point is found, or in check mode.
      - The first that fails ends the run, and there is no restore point.
      - They find C(FTP_BACKUP_JOB), C(FTP_BACKUP_CLIENT), C(FTP_BACKUP_DESTINATION) and C(FTP_BACKUP_RUN), which is the
        id of the restore point, in their environment.
    type: list
    elements: dict
    default: []
    suboptions:
      command:
        description:
          - What the shell runs.
        type: str
        required: true
      timeout:
        description:
          - How long it may take, as a number with V(s), V(m), V(h), V(d) or V(w). After that it is stopped with all
            that it has started, and has failed.
        type: str
        default: 1h
  post_commands:
    description:
      - Commands of your own that run at the end, in order, each whatever happened before. That holds if one of
        O(pre_commands) or the backup failed, too.
      - They also find C(FTP_BACKUP_OUTCOME), which is C(made) or C(failed).
      - If one fails, the task fails. A restore point that was made stays.
    type: list
    elements: dict
    default: []
    suboptions:
      command:
        description:
          - What the shell runs.
        type: str
        required: true
      timeout:
        description:
          - How long it may take, as with O(pre_commands[].timeout).
        type: str
        default: 1h
  structure:
    description:
      - How restore points share storage. It cannot be changed once the job exists.
      - With V(incremental) the first runs make independent full copies in as many slots as O(retention.last) says. Each
        later run takes the slot with the oldest restore point and sends only what changed since that one.
      - With V(full) every run is complete by itself.
      - With V(deduplicated) all restore points share one pool, and a run sends only content that the pool does not
        hold, wherever it lay. Many restore points so cost about one full copy and the changes.
    type: str
    choices:
      - incremental
      - full
      - deduplicated
    default: incremental
  compression:
    description:
      - How new content is compressed. What is on the server stays as it is.
      - What cannot be compressed is stored as it is.
      - V(zstd) is faster than V(gzip) and saves more. It needs C(libzstd) or the program C(zstd) on every host that
        backs up or restores.
    type: str
    choices:
      - gzip
      - zstd
      - none
    default: gzip
  exclude:
    description:
      - What to leave out, as the lines of a C(.gitignore) that lies in each of the O(paths). See
        U(https://git-scm.com/docs/gitignore).
      - A pattern without a slash, or with one only at its end, is a name at any depth. V(*.log) leaves out all files
        and directories with such names. With a slash at the end it is a directory; V(cache/) is no file and no symbolic
        link.
      - A pattern with a slash at its beginning or in the middle begins at the path that is backed up, not at the root
        of the host. With O(paths=/srv/www), V(/cache) means C(/srv/www/cache), and V(/srv/www/cache) means nothing.
      - V(*) and V(?) stay within one name, V([a-z]) is one of these characters, and V(**) as a whole component is any
        number of directories. Upper and lower case differ, and V(?) is one byte.
      - The last pattern that matches decides, and one that begins with V(!) takes back what earlier ones left out.
        Nothing can be taken back below a directory that is left out. So V(/uploads/*) and then V(!/uploads/keep) keeps
        C(uploads/keep), while V(/uploads/) and then the same keeps nothing.
      - The O(paths) themselves are never left out.
      - A pattern that can match nothing, like V(./cache) or one whose V([) is never closed, is warned about.
    type: list
    elements: str
    default: []
  one_file_system:
    description:
      - Whether to leave out what other file systems hold that are mounted below O(paths). The directories they are
        mounted on are kept, empty.
    type: bool
    default: false
  exclude_caches:
    description:
      - Whether to leave out what lies in directories that programs have marked as caches, by a file C(CACHEDIR.TAG)
        with its signature (see U(https://bford.info/cachedir/)). That file is kept.
    type: bool
    default: true
  exclude_marker:
    description:
      - The name of a file, such as V(.nobackup), whose directory is left out, but for that file.
    type: str
  retention:
    description:
      - Which restore points are kept. Each rule keeps some, and what no rule keeps is removed after the next run.
      - Without any rule everything is kept, except with O(structure=incremental), where only O(retention.last) applies.
      - Protected restore points, the latest complete one and the latest of all are always kept.
      - Hours, days, weeks, months and years are those of UTC, and weeks begin on Monday. A period without a restore
        point does not count. Of each period the newest complete restore point is kept; if all of its restore points are
        partial, the newest of these. Such periods take no place from those with complete ones.
      - A restore point that is dated in the future, because a clock was wrong, is removed by none of the rules that ask
        when it was made, and takes no place in them.
    type: dict
    suboptions:
      last:
        description:
          - How many of the latest restore points are kept, whenever they were made. Partial ones count as well.
          - With O(structure=incremental) it is the number of slots, V(7) if it is not given. A larger one adds slots, a
            smaller one empties those with the oldest restore points after the next run.
          - From V(1) to V(750).
        type: int
      hourly:
        description:
          - Of how many of the newest hours that have restore points one is kept, from V(1) to V(10000).
        type: int
      daily:
        description:
          - Of how many of the newest days that have restore points one is kept, from V(1) to V(10000).
        type: int
      weekly:
        description:
          - Of how many of the newest weeks that have restore points one is kept, from V(1) to V(10000).
        type: int
      monthly:
        description:
          - Of how many of the newest months that have restore points one is kept, from V(1) to V(10000).
        type: int
      yearly:
        description:
          - Of how many of the newest years that have restore points one is kept, from V(1) to V(10000).
        type: int
      within:
        description:
          - Up to which age all restore points are kept, as a number with V(s), V(m), V(h), V(d) or V(w).
          - After a pause that is longer than this, only the latest ones are left of it. O(retention.last) beside it
            keeps more.
        type: str
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
  allow_shrink:
    description:
      - Whether to go on although O(paths) and O(databases) hold less than half of the entries or bytes of the last
        restore point.
      - Without it such a run fails before its restore point exists, because a disk that is not mounted looks like that.
    type: bool
    default: false
  on_problem:
    description:
      - What to do when something changed while it was read, vanished, or could not be read. The restore point is made
        in any case; it is partial, and lists what is missing. Of what could not be read, it keeps what an earlier run
        has read.
      - With V(warn) the task warns, and with V(fail) it fails afterwards.
      - A partial restore point never takes the place of the last complete one, and never counts as fresh.
    type: str
    choices:
      - warn
      - fail
    default: warn
  checksum:
    description:
      - Whether to find what changed by reading all files, and not by size, times and inode.
    type: bool
    default: false
  volume_size:
    description:
      - How large the files on the server are to be about, before compression, in bytes or with a unit such as V(64M).
      - From V(1M) to V(1G). Volumes that do not fit into memory together are kept in O(state_directory) until they are
        uploaded, four of them at most.
    type: str
    default: 32M
  verify:
    description:
      - How to see that what was uploaded is there. With V(size) every file's size on the server is compared.
      - With V(readback) every file is fetched back, too, and compared to the last byte before the restore point exists.
    type: str
    choices:
      - size
      - readback
    default: size
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
  # What it would do, and why, is told beforehand by: ansible-playbook --check --diff

- name: Keep much history in little space
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: home directories
    structure: deduplicated
    paths:
      - /home
    exclude:
      - "*.tmp"
      - /*/Downloads/
    retention:
      daily: 14
      weekly: 8
      monthly: 12

- name: Keep a site with its database and those who may use it
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: shop
    structure: deduplicated
    paths:
      - /srv/www/shop
    databases:
      - type: mysql
        name: shop
        option_file: /root/.my.cnf
      - type: postgresql
        exclude:
          - test_*
        run_as: postgres
    retention:
      daily: 14

- name: Back up a file system as it is at one moment
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: mail
    paths:
      - /mnt/snapshot
    pre_commands:
      - command: lvcreate --snapshot --name snapshot --size 5G vg0/mail && mount -o ro /dev/vg0/snapshot /mnt/snapshot
        timeout: 5m
    post_commands:
      - command: umount /mnt/snapshot; lvremove --yes vg0/snapshot

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

- name: Back up without telling meanwhile how far it has come
  stowage.ftp_backup.backup:
    destination: Provider storage
    job: web sites
    paths:
      - /srv/www
    progress: false
"""

RETURN = r"""
destination:
  description: The name of the destination.
  returned: success, and failure of kind V(partial)
  type: str
  sample: Provider storage
bytes_sent:
  description:
    - How many bytes the data connections of the run have sent.
    - In check mode, how many it would have sent at most.
  returned: success, and failure of kind V(partial)
  type: int
  sample: 1048576
bytes_received:
  description: How many bytes the data connections of the run have received, listings among them.
  returned: success, and failure of kind V(partial)
  type: int
  sample: 40960
duration:
  description: How many seconds the run took.
  returned: success, and failure of kind V(partial)
  type: float
  sample: 3.2
point:
  description: The restore point that was made, or the fresh one that was found.
  returned: success, and failure of kind V(partial)
  type: dict
  contains:
    id:
      description:
        - The id of the restore point, which begins with the time of its run.
        - Of a backup that cPanel made, its path without the ending.
      type: str
      returned: always
      sample: 20261122t030000z-1f9c2a
    seq:
      description: Its sequence number in the job; the highest one is the latest.
      type: int
      returned: always
      sample: 42
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
    pool:
      description: The slot or archive in which its content lies; of a backup that cPanel made, its path.
      type: str
      returned: always
      sample: s03
    structure:
      description: The structure of the job; V(cpanel) where cPanel made the backup.
      type: str
      returned: always
      sample: incremental
    created:
      description:
        - When its run started, in UTC.
        - Of a backup that cPanel made, the date of its directory or in its name, and V(null) where there is none.
      type: str
      returned: always
      sample: "2026-11-22T03:00:00Z"
    complete:
      description: Whether everything could be read as it should when it was made.
      type: bool
      returned: always
      sample: true
    protected:
      description: Whether it is kept whatever the retention says.
      type: bool
      returned: always
      sample: false
    damaged:
      description: Whether some of its entries cannot be read any more.
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
    bytes_sent:
      description: How many bytes the run that made it has sent, as RV(bytes_sent), or V(0) if a fresh one was found.
      type: int
      returned: by this module alone
      sample: 1048576
    duration:
      description: How many seconds the run that made it took, or V(0.0) if a fresh restore point was found.
      type: float
      returned: by this module alone
      sample: 3.2
    problem_count:
      description: How many things vanished, changed while they were read, or could not be read, up to 1000.
      type: int
      returned: always
      sample: 1
    problems:
      description: The first 20 of these things.
      type: list
      elements: dict
      returned: always
      contains:
        path:
          description: What it is, as a path on the host; C(parts:/kind/name) for a database or another part.
          type: str
          returned: always
          sample: /srv/www/private.key
        problem:
          description: What was in the way.
          type: str
          returned: always
          sample: Permission denied
reason:
  description: Why a restore point was made, or why none was.
  returned: success, and failure of kind V(partial)
  type: str
  sample: the newest complete one is 26 h old, and max_age is 12h
changes:
  description:
    - What of the tree and of the databases has changed since RV(changes.base). In check mode it is the same.
    - With a fresh restore point nobody has looked, so everything is V(0).
  returned: success, and failure of kind V(partial)
  type: dict
  contains:
    base:
      description: The id of the restore point that was compared with, V(null) if all of it was sent anew.
      type: str
      returned: always
      sample: 20261114t030000z-0b77c2
    new:
      description: How many entries it does not have.
      type: int
      returned: always
      sample: 12
    changed:
      description:
        - How many entries are others than there. Of a file that is told by size, times and inode. One that was changed
          while it was being backed up, or right before that, is read again and counts, and so does every database.
      type: int
      returned: always
      sample: 3
    unchanged:
      description: How many entries are as they are there.
      type: int
      returned: always
      sample: 18196
    gone:
      description: How many entries of it are not there any more.
      type: int
      returned: always
      sample: 4
    bytes:
      description:
        - How much content the new and changed files and the databases have, which is what is read and, before
          compression, the most that is uploaded. In check mode, the size of a database is what its server estimates.
      type: int
      returned: always
      sample: 1572864
pruned:
  description: The restore points that were removed, with the reason; in check mode those that would be.
  returned: success, and failure of kind V(partial)
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
      sample: its slot s03 holds a newer one, 42
kept:
  description: The restore points that stay beside RV(point), oldest first, with the reason; the newest 200 of them.
  returned: success, and failure of kind V(partial)
  type: list
  elements: dict
  contains:
    id:
      description: The id of the restore point.
      type: str
      returned: always
      sample: 20261116t030000z-5e21ba
    seq:
      description: Its sequence number in the job.
      type: int
      returned: always
      sample: 36
    reason:
      description: Why it stays.
      type: str
      returned: always
      sample: number 7 of the last 7
failure:
  description:
    - Why the module failed. All modules of this collection tell it in the same way, beside C(msg), the sentence.
    - A failure after all work was done, of kind V(partial) or V(damage), comes with what a success would have returned.
  returned: failure
  type: dict
  contains:
    kind:
      description:
        - What kind of error it was.
        - V(usage), an option cannot work as it was given.
        - V(local), the host's own files, directories or state are in the way.
        - V(unreachable), no connection could be made.
        - V(trust), TLS was refused, or the server's certificate is not to be trusted.
        - V(login), the server does not let this user in.
        - V(busy), the server takes no more connections at the moment.
        - V(interrupted), a connection or a transfer broke; the same may work a moment later.
        - V(space), no space or no quota is left on the server.
        - V(missing), there is no such file or directory on the server, or none that this user may see.
        - V(refused), the server says no, and will say no again.
        - V(storage), the server did something else that it should not.
        - V(database), a database server, or the client program that speaks to it, did not do what was asked.
        - V(command), a command of yours, before or after the backup, failed.
        - V(damage), what is stored is not what was stored once.
        - V(abandoned), the work was given up for a reason that is told elsewhere.
        - V(shrunk), the tree has lost so much since the last restore point that something must be missing.
        - V(partial), a restore point was made, and lacks what could not be read.
        - V(locked), another run is at work on the job.
        - V(foreign), the job belongs to another host.
        - V(stopped), the run was stopped by a signal, and ended cleanly.
        - V(killed), a run that was watched has ended without a result.
      type: str
      returned: always
      sample: space
    code:
      description: The code of the server's reply.
      type: int
      returned: when it was a reply that told the error
      sample: 552
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run_watched
from ..module_utils.options.backup import SPEC, perform
from ..module_utils.options.shared import WATCHED_OPTIONS


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(WATCHED_OPTIONS), supports_check_mode=True)
    run_watched(module, "backup", partial(perform, module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
