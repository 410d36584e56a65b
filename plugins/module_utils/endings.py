# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a program has ended, in words."""

from __future__ import annotations

import signal


def ending_of(code: int) -> str:
    """Return what the return *code* of a process tells, as it goes on behind the name of its program."""
    return f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
