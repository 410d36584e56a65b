# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who answer where an FTP server was expected: scripted listeners, and one that never answers at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t
from dataclasses import dataclass, field

from tests.servers.server import LOOPBACK

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SECONDS = 30
_MORE_THAN_THE_BACKLOG = 4


@dataclass(frozen=True)
class Stranger:
    """A listener, all who came to it, by their ports, and every line that anybody said to it."""

    port: int
    heard: list[bytes] = field(default_factory=list)
    guests: list[int] = field(default_factory=list)

    def has_heard(self, word: bytes) -> bool:
        return any(word in line for line in self.heard)


@contextlib.contextmanager
def stranger(
    greeting: bytes = b"", answers: Sequence[bytes] = (), *, outburst: bytes = b"", hangs_up: bool = False
) -> Iterator[Stranger]:
    """Say *greeting* to whoever connects, then one of *answers* to each line, then nothing more, but listen on.

    What is heard after that, though it be no line, is met with an *outburst*, if there is one; or the other *hangs_up*.
    """
    with socket.create_server((LOOPBACK, 0)) as listener:
        found = Stranger(listener.getsockname()[1])

        def receive(guest: socket.socket) -> None:
            found.guests.append(guest.getpeername()[1])
            with guest.makefile("rb") as lines:
                guest.sendall(greeting)
                for answer in answers:
                    found.heard.append(lines.readline())
                    guest.sendall(answer)
                if outburst and lines.peek():
                    guest.sendall(outburst)
                if not hangs_up:
                    found.heard.extend(lines)

        thread = threading.Thread(target=_receive_all, args=(listener, receive), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _receive_all(listener: socket.socket, receive: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):  # the listener was shut down
        while True:
            guest, _address = listener.accept()
            guest.settimeout(_SECONDS)
            with guest, contextlib.suppress(OSError):  # the guest is gone
                receive(guest)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Return a port that answers to nobody: its queue is full, and nobody takes from it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        for _number in range(_MORE_THAN_THE_BACKLOG):
            guest = stack.enter_context(socket.socket())
            guest.settimeout(0)
            guest.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
