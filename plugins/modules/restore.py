#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Bring back a restore point or parts of it
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Brings back a whole restore point, or some of its parts or paths, to a directory of your choice or to where it all
    came from. Databases come back as dumps, or are loaded into a server.
  - What is already as it should be is not fetched. A file appears under its name only when it is complete and checked.
  - Holes of sparse files, hard links, POSIX ACLs, capabilities and other extended attributes come back, too, as far as
    the target can have them. A warning says if it could not.
  - Nothing outside of the target is ever touched, and no symbolic link in it is followed.
  - From a destination with O(stowage.ftp_backup.destination#module:engine=cpanel) it brings back an O(account), whole
    or in parts, which M(stowage.ftp_backup.reindex) must have found. From an archive without compression only what is
    wanted is fetched, from a compressed one all of it in one pass, and nothing of either is staged on this host.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
  - stowage.ftp_backup.watched
  - stowage.ftp_backup.job
attributes:
  check_mode:
    support: full
    details:
      - The restore point is compared with what lies in the target, and nothing is written.
      - The destination must be declared already; M(stowage.ftp_backup.destination) declares none in check mode.
  diff_mode:
    support: full
    details:
      - It lists what is created, changed (size, mode, owner, time) and deleted, by path, the first 1000, and how many
        more there are.
  idempotent:
    support: full
    details:
      - With O(overwrite=always) every run restores everything.
options:
  job:
    description:
      - The job whose restore point is wanted.
      - Either this or O(account) is needed.
    type: str
  account:
    description:
      - The account whose backup is wanted, on a destination with backups that cPanel made.
      - O(in_place) and O(delete_extra) are not possible with it, since what such an account had has no place here.
      - Each kind of parts comes to a directory of its own below O(target), and the home directory to C(TARGET/files).
        Links that lead out of the target are skipped, with a warning, and so are devices.
    type: str
  rebuild:
    description:
      - With O(account), what is brought back instead of files.
      - With V(cpmove) it is the archive of the whole account as cPanel's own restore takes it, byte for byte as cPanel
        made it, called C(TARGET/cpmove-ACCOUNT.tar.gz) or C(.tar). It is read to its end and checked to lack nothing
        that is needed.
    type: str
    choices:
      - cpmove
  point:
    description:
      - The restore point - V(latest), the id of one, or a date such as V(2026-11-22) or V(2026-11-22T03:00:00Z), which
        means the newest one that is not after it.
      - A bare date is the end of that day. Times are UTC unless they carry an offset.
      - V(latest) and dates pass over restore points that are damaged, with a warning.
    type: str
    default: latest
  paths:
    description:
      - What to bring back, as absolute paths. Without it, everything is.
      - A path means itself and everything below it. V(*) and V(?) match within a name, V(**) across directories, and a
        backslash takes the meaning from what follows.
      - With O(account) they are relative to its home directory, and the slash in front may be left out.
    type: list
    elements: str
    default: []
  parts:
    description:
      - What to bring back, as parts of the restore point, which M(stowage.ftp_backup.backup_info) lists. Without it and
        O(paths), everything is.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description:
          - The kind of the part. Of V(files) there is one for each path that was backed up, of V(database) one for each
            database, and of V(database_users) one for each server.
          - With O(account) there are V(files), V(database), V(database_user), V(mailbox), V(mail_domain),
            V(mailing_list), V(domain), V(dns_zone), V(certificate), V(cron), V(ftp_account) and V(settings).
        type: str
        default: files
      name:
        description:
          - The name of the part, which is the path that was backed up if O(parts[].kind=files). Without it, all parts
            of the kind are meant.
        type: str
      into:
        description:
          - With O(load=true), the name of the database to load it into, or of the file if it is one of SQLite. Without
            it, it is the name that it had.
        type: str
  target:
    description:
      - The directory below which everything is put under its full path, so V(/etc/hosts) comes to C(TARGET/etc/hosts).
      - Dumps come to C(TARGET/parts:/database/NAME), unless they are loaded. Those of MySQL and MariaDB are SQL, those
        of PostgreSQL are for C(pg_restore), and those of SQLite are databases.
      - Either this or O(in_place) is needed, unless databases are all that is wanted and O(load=true).
    type: path
  in_place:
    description:
      - Whether to bring everything back to where it came from.
    type: bool
    default: false
  load:
    description:
      - Whether to load databases into a server, straight from the destination.
      - A database is loaded aside and gets its name at the end. What fails on the way leaves what was there.
      - Users and grants are loaded only if their part is one of O(parts). Who is there already keeps the password.
        Those of PostgreSQL are loaded before the databases, which belong to them, and those of MySQL and MariaDB after
        them, since grants name tables.
    type: bool
    default: false
  replace:
    description:
      - With O(load=true), whether to replace a database that has something in it. Without it such a one is refused,
        before anything is written.
    type: bool
    default: false
  server:
    description:
      - With O(load=true), how to log in to the server.
    type: dict
    suboptions:
      host:
        description:
          - The server's name or address. Without it and O(server.socket), the client programs take their own
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
  overwrite:
    description:
      - What to do with a file that is there already.
      - With V(changed) it is replaced unless it is equal, which means the same type, size and time of modification, or
        the same content with O(checksum=true). Where only its mode, owner or time differ, those are set, and its
        extended attributes with them; nothing looks for these alone.
      - With V(always) it is replaced in any case.
      - With V(never) it is left as it is.
    type: str
    choices:
      - changed
      - always
      - never
    default: changed
  delete_extra:
    description:
      - Whether to delete what lies in the target and not in the restore point, after everything was restored.
      - It holds for what the restore point covers, which is what lies below the paths that were backed up, and with
        O(paths) or O(parts) only for directories that these mean.
      - What the restore point cannot tell of stays. That is whatever was excluded from the backup or could not be read
        for it, other file systems that are mounted there, and sockets.
      - If anything could not be restored, nothing is deleted.
    type: bool
    default: false
  owner:
    description:
      - Who owns what is restored. Only root can give files away; for anybody else it is always V(current).
      - With V(keep) the owner's and group's numbers are those of the backup.
      - With V(map) their names are, where this host knows them.
      - With V(current) it is the user who restores.
    type: str
    choices:
      - keep
      - map
      - current
    default: keep
  checksum:
    description:
      - Whether to compare files by their content, which reads them, and not by size and time of modification.
    type: bool
    default: false
seealso:
  - module: stowage.ftp_backup.backup
  - module: stowage.ftp_backup.backup_info
"""

EXAMPLES = r"""
- name: Bring back one file as it was on Tuesday, to look at it first
  stowage.ftp_backup.restore:
    destination: Provider storage
    job: web sites
    point: "2026-11-17"
    paths:
      - /srv/www/shop/config.php
    target: /root/restored

- name: Make the web sites what they were, without anything that has come since
  stowage.ftp_backup.restore:
    destination: Provider storage
    job: web sites
    parts:
      - name: /srv/www
    in_place: true
    delete_extra: true
  # Look first at what would become of each path: ansible-playbook --check --diff

- name: Bring back one mailbox of an account that cPanel has backed up
  stowage.ftp_backup.restore:
    destination: cPanel backups
    account: bob
    parts:
      - kind: mailbox
        name: info@example.com
    target: /root/restored

- name: Load a database of that account into this host's server, with its user and the old password
  stowage.ftp_backup.restore:
    destination: cPanel backups
    account: bob
    parts:
      - kind: database
        name: bob_shop
      - kind: database_user
        name: bob_shop
    load: true
    server:
      option_file: /root/.my.cnf

- name: Look at yesterday's database beside today's
  stowage.ftp_backup.restore:
    destination: Provider storage
    job: shop
    point: "2026-11-21"
    parts:
      - kind: database
        name: shop
        into: shop_yesterday
    load: true
    server:
      option_file: /root/.my.cnf

- name: Bring everything back to where it came from
  stowage.ftp_backup.restore:
    destination: Provider storage
    job: web sites
    in_place: true
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
  description: The restore point, with the keys of RV(stowage.ftp_backup.backup#module:point).
  returned: success
  type: dict
  contains:
    facts:
      description: Versions and settings of the account and of the server that it was on, texts by their names.
      type: dict
      returned: where cPanel made the backup
      sample:
        cpanel_version: "11.110.0.18"
restored:
  description:
    - How many things were created, replaced or given other metadata, by their kind, how many databases were loaded, and
      how many things were deleted.
  returned: success
  type: dict
  contains:
    files:
      description: How many files.
      type: int
      returned: always
      sample: 18
    directories:
      description: How many directories.
      type: int
      returned: always
      sample: 3
    links:
      description: How many symbolic links.
      type: int
      returned: always
      sample: 0
    others:
      description: How many other things, such as devices.
      type: int
      returned: always
      sample: 1
    databases:
      description: How many databases were loaded.
      type: int
      returned: always
      sample: 0
    deleted:
      description: How many things were deleted, since the restore point does not hold them.
      type: int
      returned: always
      sample: 0
bytes:
  description: The size of the files whose content was restored, and of the dumps that were loaded.
  returned: success
  type: int
  sample: 734003200
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run_watched
from ..module_utils.options.restore import SPEC, perform
from ..module_utils.options.shared import WATCHED_OPTIONS


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(WATCHED_OPTIONS), supports_check_mode=True)
    shows = module._diff  # noqa: SLF001 - a module has no other way to learn of it
    run_watched(module, "restore", partial(perform, module.params, check_mode=module.check_mode, shows=shows))


if __name__ == "__main__":
    main()
