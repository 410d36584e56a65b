# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to this machine that is lost for as long as a file is there: a fault that nobody can order."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = r"""
name: lossy
short_description: Work on this machine, unless the file is there that LOSSY_FILE names
description:
  - For the tests of this collection only.
extends_documentation_fragment:
  - connection_pipelining
"""


class Connection(LocalConnection):
    transport = "lossy"

    def exec_command(self, *arguments: t.Any, **options: t.Any) -> tuple[int, bytes, bytes]:  # noqa: ANN401 - passed on
        if Path(os.environ["LOSSY_FILE"]).exists():
            raise AnsibleConnectionFailure("the wire was cut by a test")
        told: tuple[int, bytes, bytes] = super().exec_command(*arguments, **options)
        return told
