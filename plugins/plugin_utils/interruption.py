# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a worker of Ansible learns that it should end, and ends something else first."""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import typing as t

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TAKEN = 3


class Interruption:
    """Takes the signals by which Ansible ends its workers while the block runs; *number* is the one that came.

    It only takes note: whoever is in the block looks, waits by :meth:`wait`, and ends when all is in order. Then the
    signal does what it would have done. Where a person has pressed Ctrl-C, Ansible sends two more of its own behind it
    and waits for us; a fourth one does at once what it would have done.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._count = 0
        self._before: dict[int, t.Any] = {}
        self._controller = os.getppid()
        self._hears, self._tells = -1, -1

    def __enter__(self) -> Interruption:  # noqa: PYI034 - Self is of Python 3.11
        self._hears, self._tells = os.pipe()
        if threading.current_thread() is threading.main_thread():  # others are told nothing, and may not listen
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._hears)
        os.close(self._tells)
        if self.number is not None:
            signal.raise_signal(self.number)

    def _take(self, number: int, _frame: object) -> None:
        self._count += 1
        if self.number is None:
            self.number = number
            os.write(self._tells, b"!")
        elif self._count > _TAKEN:
            signal.signal(number, self._before[number])
            signal.raise_signal(number)

    def wait(self, seconds: float) -> None:
        """Wait, unless a signal comes or has come."""
        poller = select.poll()
        poller.register(self._hears, select.POLLIN)
        poller.poll(max(0, math.ceil(seconds * 1000)))

    @property
    def has_lost_controller(self) -> bool:
        """Tell whether the process is gone that reads what this one has to say."""
        return os.getppid() != self._controller
