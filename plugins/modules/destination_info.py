#!/usr/bin/python
# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: destination_info
short_description: List the declared FTP destinations
version_added: 0.1.0
author:
  - The stowage.ftp_backup contributors (@stowage)
description:
  - Lists the destinations that are declared on the host, never with a password.
  - A declaration that is damaged does not fail the module unless O(name) asks for it; of such a destination there are
    no more than RV(destinations[].name) and RV(destinations[].failure).
extends_documentation_fragment:
  - stowage.ftp_backup.attributes
  - stowage.ftp_backup.attributes.info_module
  - stowage.ftp_backup.state
options:
  name:
    description:
      - The destination to describe. Without it, all of them are.
    type: str
  probe:
    description:
      - Whether to connect to each server and tell what it shows of itself. Nothing is written there.
      - What can only be tried by writing is what it was when the destination was declared, if it is the same server.
      - What stands in the way of one does not fail the module; its RV(destinations[].failure) says why.
    type: bool
    default: false
seealso:
  - module: stowage.ftp_backup.destination
"""

EXAMPLES = r"""
- name: List all destinations
  stowage.ftp_backup.destination_info:
  register: result

- name: Ask one server what it is
  stowage.ftp_backup.destination_info:
    name: Provider storage
    probe: true
"""

RETURN = r"""
destination:
  description:
    - The name of the destination.
    - V(null) where all were asked for.
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
destinations:
  description: The declared destinations, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the destination, or of the file where a damaged declaration tells none.
      type: str
      returned: always
      sample: Provider storage
    host:
      description: The name or address of the FTP server.
      type: str
      returned: when its declaration could be read
      sample: backup.example.com
    port:
      description: The port of the FTP server.
      type: int
      returned: when its declaration could be read
      sample: 21
    username:
      description: The user to log in with.
      type: str
      returned: when its declaration could be read
      sample: web01
    password_file:
      description: The file that holds the password, or V(null) where the declaration holds it.
      type: str
      returned: when its declaration could be read
      sample: null
    directory:
      description: Where the backups go, relative to the directory in which the login starts.
      type: str
      returned: when its declaration could be read
      sample: backups
    timeout:
      description: How many seconds are waited for the server.
      type: int
      returned: when its declaration could be read
      sample: 30
    max_retries:
      description: How many failed attempts to connect make a run fail.
      type: int
      returned: when its declaration could be read
      sample: 5
    max_connections:
      description: How many connections a run may have open at the same time.
      type: int
      returned: when its declaration could be read
      sample: 4
    tls:
      description: Whether the connections are secured by explicit TLS.
      type: bool
      returned: when its declaration could be read
      sample: true
    passive:
      description: Whether this host opens the data connections.
      type: bool
      returned: when its declaration could be read
      sample: true
    bandwidth_limit:
      description: How many bytes a second a run may move, or V(0).
      type: int
      returned: when its declaration could be read
      sample: 0
    accept_unidentified_server:
      description: Whether a server is used that does not tell its system.
      type: bool
      returned: when its declaration could be read
      sample: false
    read_only:
      description: Whether nothing is ever written there.
      type: bool
      returned: when its declaration could be read
      sample: false
    engine:
      description: Who makes the backups there, V(native) or V(cpanel).
      type: str
      returned: when its declaration could be read
      sample: native
    validate_certs:
      description: Whether the server's certificate is verified.
      type: bool
      returned: when its declaration could be read
      sample: true
    ca_path:
      description: The file with the certificates that are trusted, or V(null) for those of the system.
      type: str
      returned: when its declaration could be read
      sample: null
    certificate_fingerprints:
      description: The fingerprints of which the server must show one, if there are any.
      type: list
      elements: str
      returned: when its declaration could be read
      sample: []
    server:
      description: What the server shows of itself, with the keys of RV(stowage.ftp_backup.destination#module:server).
      type: dict
      returned: when O(probe=true) and the server could be reached
    failure:
      description:
        - Why the declaration could not be read, or the server could not be asked, with the keys of
          RV(stowage.ftp_backup.backup#module:failure).
      type: dict
      returned: when one of the two is so
      contains:
        msg:
          description: The sentence.
          type: str
          returned: always
          sample: "Cannot connect to backup.example.com:21: Connection refused."
failure:
  description: Why the module failed, with the keys of RV(stowage.ftp_backup.backup#module:failure).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module import run
from ..module_utils.options.destination_info import SPEC, perform


def main() -> None:
    module = AnsibleModule(**SPEC.for_module(), supports_check_mode=True)
    run(module, lambda: perform(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
