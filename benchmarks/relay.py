# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay that makes a server on this machine far away: it carries packets between two TUN devices, each in its time.

The devices stand in two networks of their own, so TCP goes from end to end: it begins slowly and waits for its
acknowledgements as over any long line. The relay gives latency alone: no loss, and no limit on what is carried.

As a program: ``python -m benchmarks.relay ROUND_TRIP DESCRIPTOR DESCRIPTOR``, with the descriptors of the devices; it
prints a line when it is ready, and ends with its standard input.
"""

from __future__ import annotations

import os
import select
import sys
import time
import typing as t
from collections import deque
from contextlib import suppress

if t.TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest packet that a device gives, with the header that tells how it is to be cut.
_PACKET = 64 * 1024 + 64


class Relay:
    """Carries packets between *near* and *far*, which takes so many seconds there and back."""

    def __init__(self, near: int, far: int, round_trip: float) -> None:
        self._other = {near: far, far: near}
        self._seconds = round_trip / 2
        # What is on its way: when it arrives, where, and what it is. All take the same time, so the first is due first.
        self._way: deque[tuple[float, int, bytes]] = deque()

    def carry_until(self, stop: int) -> None:
        """Carry all that comes until *stop* can be read."""
        for descriptor in self._other:
            os.set_blocking(descriptor, False)
        while True:
            ready, _writable, _odd = select.select([*self._other, stop], [], [], self._wait())
            if stop in ready:
                return
            for descriptor in ready:
                self._depart(descriptor)
            self._arrive()

    def _wait(self) -> float | None:
        return max(0.0, self._way[0][0] - time.monotonic()) if self._way else None

    def _depart(self, descriptor: int) -> None:
        due = time.monotonic() + self._seconds
        self._way.extend((due, self._other[descriptor], packet) for packet in _packets(descriptor))

    def _arrive(self) -> None:
        while self._way and self._way[0][0] <= time.monotonic():
            _due, descriptor, packet = self._way.popleft()
            os.write(descriptor, packet)


def _packets(descriptor: int) -> Iterator[bytes]:
    """Yield what *descriptor* has now, not so much that nobody else has a turn."""
    with suppress(BlockingIOError):
        for _number in range(64):
            yield os.read(descriptor, _PACKET)


def main(round_trip: str, near: str, far: str) -> None:
    """Carry packets between the two descriptors until standard input ends."""
    print("ready", flush=True)
    Relay(int(near), int(far), float(round_trip)).carry_until(sys.stdin.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
