#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: destination
short_description: Declare an FTP destination for backups
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Declares, changes or forgets one FTP destination on the host, after proving that it works.
  - The other modules of this collection name it by O(name).
  - The declaration, with the password, is kept below O(config_directory), readable by its owner only. One that is
    damaged counts as that of another destination, with a warning.
  - A destination that is declared elsewhere, which is another O(host), O(port), O(username) or O(directory), has no
    index yet; M(stowage.ftp_backup.reindex) makes it.
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.state
attributes:
  check_mode:
    support: full
    details:
      - The server is connected to, logged in to and judged; nothing is written there or on the host.
      - Nothing is declared then, so what follows in the same play and needs the destination fails where it is new.
  diff_mode:
    support: full
    details:
      - It lists the options before and after. Of the password it shows only that it is set, changed or unchanged.
  idempotent:
    support: full
options:
  name:
    description:
      - A name to recognize the destination by.
      - At most 40 printable characters, any but V(/).
    type: str
    required: true
  state:
    description:
      - With V(present) the destination is declared as the other options say.
      - With V(absent) it is forgotten; the backups on the server stay where they are.
    type: str
    choices:
      - present
      - absent
    default: present
  engine:
    description:
      - Who makes the backups there.
      - With V(native) it is this collection.
      - With V(cpanel) it is cPanel, whose backups of accounts M(stowage.ftp_backup.reindex) finds,
        M(stowage.ftp_backup.backup_info) lists, and M(stowage.ftp_backup.restore) brings back, whole or in parts.
        Nothing is ever written there, so a login without the permission to write is enough, and
        M(stowage.ftp_backup.backup), M(stowage.ftp_backup.restore_point) and M(stowage.ftp_backup.verify) are refused.
      - It is fixed once the destination is declared.
    type: str
    choices:
      - native
      - cpanel
    default: native
  directory:
    description:
      - Where the backups go, relative to the directory in which the login starts.
      - It is made when O(validate=true). No other program should write there; a directory in which other users can
        write is warned about, where the server tells its mode.
    type: str
    default: .
  host:
    description:
      - The name or address of the FTP server. Needed with O(state=present).
      - The server's certificate must be made out to it.
    type: str
  port:
    description:
      - The port of the FTP server.
    type: int
    default: 21
  username:
    description:
      - The user to log in with. Needed with O(state=present).
      - Make one for backups alone; do not use V(root).
    type: str
  password:
    description:
      - The password of O(username). It is kept on the host, readable by its owner only.
    type: str
  password_file:
    description:
      - A file on the host whose first line is the password. It is read anew by every run.
    type: path
  timeout:
    description:
      - How many seconds to wait for a connection, for a reply, and for the next byte of a transfer.
      - From V(1) to V(3600).
    type: int
    default: 30
  max_retries:
    description:
      - How many failed attempts to connect make a run fail, with V(0) for no limit.
      - A wrong password, an untrusted certificate and a refusal are never tried again.
      - A server that takes no more connections at the moment uses none of them up. It is waited for, for an hour at
        most, or without end with V(0).
      - While O(validate=true) proves the destination, nothing but a busy server is waited for, and for five minutes.
      - At most V(1000).
    type: int
    default: 5
  max_connections:
    description:
      - How many connections this host may have open to the destination at the same time, with V(0) for no limit.
      - All runs that use the same O(state_directory) share them, and wait for one another.
      - A server that takes fewer lowers the number for a run, which then says so in a warning.
      - At most V(100).
    type: int
    default: 4
  tls:
    description:
      - Whether the connections are secured by explicit TLS (C(AUTH TLS)).
      - A server that refuses TLS is never talked to in plain text unless this is V(false).
    type: bool
    default: true
  passive:
    description:
      - Whether this host opens the data connections, which works through firewalls and NAT.
      - With V(false) the server opens them, to a port of this host that is another one each time.
    type: bool
    default: true
  bandwidth_limit:
    description:
      - How many bytes a second a run may send and receive, over all of its connections together.
      - V(0) for no limit, and at least V(1024) otherwise.
    type: int
    default: 0
  validate_certs:
    description:
      - Whether the server's certificate must be signed by a trusted authority and made out to O(host).
      - Set to V(false) only together with O(certificate_fingerprints).
    type: bool
    default: true
  ca_path:
    description:
      - A file on the host with the certificates to trust, in PEM form, instead of those of the system.
    type: path
  certificate_fingerprints:
    description:
      - SHA-256 fingerprints of server certificates, in hexadecimal digits with or without colons.
      - If there are any, the server must show one of them, besides what O(validate_certs) demands.
    type: list
    elements: str
    default: []
  accept_unidentified_server:
    description:
      - Whether to use a server that does not tell on which system it runs. Servers hosted on Windows do not work.
      - With V(true), O(validate=true) tries how the server treats names, and still refuses one that behaves like
        Windows. In check mode nothing is tried.
    type: bool
    default: false
  read_only:
    description:
      - Whether nothing is ever written there. M(stowage.ftp_backup.restore), M(stowage.ftp_backup.reindex) and
        M(stowage.ftp_backup.backup_info) work as ever, a login without the permission to write is enough, and
        M(stowage.ftp_backup.verify) notes nowhere what it finds. M(stowage.ftp_backup.backup) and
        M(stowage.ftp_backup.restore_point) are refused.
      - The directory must be there already.
    type: bool
    default: false
  validate:
    description:
      - Whether to prove that the destination works before it is declared - connect, log in, judge the server, make the
        directory, and write, rename, lock, read and delete there. With O(read_only=true) or O(engine=cpanel) nothing is
        made and written.
      - Otherwise the files V(readme.txt), V(recover.py) and V(destination.json) are put there if they are missing.
    type: bool
    default: true
seealso:
  - module: stowage.ftp_backup.destination_info
  - module: stowage.ftp_backup.backup
"""

EXAMPLES = r"""
- name: Declare the storage that came with the server
  stowage.ftp_backup.destination:
    name: Provider storage
    host: backup.example.com
    username: web01
    password: "{{ vault_ftp_password }}"
    directory: backups

- name: Declare a NAS with a certificate of its own
  stowage.ftp_backup.destination:
    name: NAS in the cellar
    host: nas.example.com
    port: 2121
    username: backup
    password_file: /root/nas.password
    validate_certs: false
    certificate_fingerprints:
      - 4f:3a:9d:0c:71:be:52:8e:66:0f:a1:94:d7:38:c5:2b:e9:40:7d:13:5c:aa:86:f2:0b:59:e4:31:97:cd:68:12

- name: Declare storage behind a thin line, on a server that has to open the data connections itself
  stowage.ftp_backup.destination:
    name: Branch office
    host: ftp.branch.example.com
    username: backup
    password: "{{ vault_branch_password }}"
    passive: false
    max_connections: 2
    bandwidth_limit: 500000

- name: Declare a server that does not tell its system, but is known to run on Unix
  stowage.ftp_backup.destination:
    name: Old storage
    host: old.example.com
    username: backup
    password: "{{ vault_old_password }}"
    accept_unidentified_server: true

- name: Forget a destination; its backups stay on the server
  stowage.ftp_backup.destination:
    name: NAS in the cellar
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
declaration:
  description:
    - The destination as it is declared, without the password, with the keys of
      RV(stowage.ftp_backup.destination_info#module:destinations).
    - With O(state=absent), the one that was forgotten, and V(null) where there was none. Of one whose declaration was
      damaged, no more than the name is known.
  returned: success
  type: dict
server:
  description: What the server shows of itself.
  returned: when O(state=present) and O(validate=true)
  type: dict
  contains:
    banner:
      description: The greeting.
      type: str
      returned: always
      sample: 220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------
    syst:
      description: The answer to C(SYST).
      type: str
      returned: always
      sample: "215 UNIX Type: L8"
    feat:
      description: The features that the server lists.
      type: list
      elements: str
      returned: always
      sample: [EPSV, MLSD, SIZE]
    pwd:
      description: The directory in which the login starts.
      type: str
      returned: always
      sample: /
    verdict:
      description: Whether the server is hosted on V(unix), or V(unidentified); one on V(windows) is refused.
      type: str
      returned: always
      sample: unix
    rule:
      description:
        - The number of the rule that decided the verdict.
        - V(1), it runs on Windows. V(2), it is a product that runs nowhere else. V(3), it is known to run on Unix.
          V(4), nobody knows.
      type: int
      returned: always
      sample: 3
    evidence:
      description: The observation that decided the verdict.
      type: str
      returned: always
      sample: the greeting names a Unix server
    tls_version:
      description: The version of TLS on the control connection, or V(null) without TLS.
      type: str
      returned: always
      sample: TLSv1.3
    certificate_fingerprint:
      description:
        - The SHA-256 fingerprint of the server's certificate, or V(null) without TLS.
        - It is what O(certificate_fingerprints) takes.
      type: str
      returned: always
      sample: 4f3a9d0c71be528e660fa194d738c52be9407d135caa86f20b59e43197cd6812
    session_reuse:
      description: Whether a data connection resumed the TLS session of the control connection.
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    passive_form:
      description: How data connections are opened, V(EPSV), V(PASV) or V(active).
      type: str
      returned: always
      sample: EPSV
    listing_form:
      description: How directories are listed, V(MLSD) or V(LIST).
      type: str
      returned: always
      sample: MLSD
    listing_limit:
      description: After how many entries the server said that it cut a listing.
      type: int
      returned: always, V(null) where it cut none
      sample: null
    pipelined_login:
      description: Whether commands may follow the password before it was answered, which saves a round trip.
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    absolute_paths:
      description: Whether the server takes absolute paths. Otherwise directories are entered step by step.
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    rename:
      description: Whether a file can be renamed.
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    exclusive_mkdir:
      description: Whether a directory can be made only once, on which the lock of a job rests.
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    restart:
      description: Whether a download can begin in the middle of a file.
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    mfmt:
      description: Whether the server lists C(MFMT), which sets the time of a file.
      type: bool
      returned: always
      sample: true
    site_chmod:
      description: Whether the server knows C(SITE CHMOD).
      type: bool
      returned: always, V(null) where it was not tried
      sample: true
    time_skew:
      description: How many seconds the server's clock is ahead of the host's. No decision rests on it.
      type: int
      returned: always, V(null) where it was not tried
      sample: 0
    quota:
      description: The C(used) bytes and the C(limit), where the server told them.
      type: dict
      returned: always, V(null) where the server told none
      contains:
        used:
          description: How many bytes are used.
          type: int
          returned: always
          sample: 734003200
        limit:
          description: How many bytes may be used.
          type: int
          returned: always
          sample: 107374182400
    connections:
      description: How many connections were open at the same time meanwhile.
      type: int
      returned: always
      sample: 1
    probes:
      description: How an unidentified server behaved, one sign of Windows each.
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run
from ..module_utils.options.destination import SPEC, perform


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    run(module, lambda: perform(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
