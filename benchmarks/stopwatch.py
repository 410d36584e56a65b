# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command, and write how long it took and what it used to a file.

Usage: python stopwatch.py REPORT COMMAND [ARGUMENT ...]

A process of its own, as small as can be: Linux counts the memory of whoever starts a program into the program's peak.
"""

import os
import sys
import time

report, *command = sys.argv[1:]
started = time.monotonic()
pid = os.posix_spawnp(command[0], command, os.environ)
_pid, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - started
processor = usage.ru_utime + usage.ru_stime
with open(report, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would cost memory and time
    file.write(f"{seconds} {processor} {usage.ru_maxrss * 1024} {os.waitstatus_to_exitcode(status)}")
