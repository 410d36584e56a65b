# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run is stopped: the first signal ends it cleanly, and only the third one gives up at once.

A signal becomes an exception in the main thread, so that locks are given back and temporary files removed on the way
out, by the same code that does so after an error. Such an exception can come at any moment, once in some hundreds of
times between the taking of a lock of ours and the block that gives it back; and a server may be slow to take leave. So
the way out has a limit. Beyond it the run ends as if it had been killed, which costs nothing that is stored.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import typing as t
from contextlib import contextmanager, suppress

from .progress import FINISHING, PRUNING

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2
_LONGEST = 60  # seconds for the way out
_RESUMED = {
    "backup": "The next run goes on from the last checkpoint, if there is one; older restore points are as they were.",
    "restore": "Every file that was restored is whole; the same command again goes on from there.",
    "reindex": "The index is as it was.",
    "verify": "The next verification goes on from there.",
}
_MADE = "The restore point was made; older ones that were to go may still be there, until the next run."
_PERHAPS = (
    "The restore point was about to come into being, so it may be there already: reindex tells. The next run goes on"
    " from where this one was; older restore points are as they were."
)
_PATIENCE = b"\nftp-backup: the run is ending already; once more ends it at once, and leaves its lock on the storage.\n"


class StoppedError(KeyboardInterrupt):
    """The run was stopped by the signal *number*; it is no error of the program, so nothing else catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell makes of a program that was ended by that signal."""
        return 128 + self.number

    @property
    def words(self) -> str:
        """What has happened, as the beginning of a sentence."""
        return "Interrupted" if self.number == signal.SIGINT else f"Stopped by {signal.Signals(self.number).name}"


def remains(command: str, phase: str) -> str:
    """Return what is left of a run of *command* that was stopped in *phase*, in a sentence or two."""
    if command == "backup" and phase in (FINISHING, PRUNING):
        return _MADE if phase == PRUNING else _PERHAPS
    return _RESUMED[command]


class _Limit:
    """Ends this process if it does not come to its own end in time, as *stopper* was told to.

    It listens to a pipe, since a handler of signals can write to one whatever it has interrupted.
    """

    def __init__(self, stopper: Stopper) -> None:
        self._stopper = stopper
        self._hears, self._tells = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="limit", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Let the time run."""
        os.write(self._tells, b"!")

    def close(self) -> None:
        """End nothing any more."""
        os.close(self._tells)
        self._thread.join()
        os.close(self._hears)

    def _watch(self) -> None:
        if not os.read(self._hears, 1) or select.select([self._hears], [], [], _LONGEST)[0]:
            return
        with suppress(OSError):
            self._stopper.give_up(f"the run did not end within {_LONGEST} s, and is given up.")
        os._exit(self._stopper.stopped.exit_code if self._stopper.stopped is not None else 1)


def _say(sentence: str) -> None:
    os.write(_STDERR, f"\nftp-backup: {sentence}\n".encode())


class Stopper:
    """Takes the signals that end a program; *stopped* is what the first one raised.

    *give_up* is told why this process is about to end in the middle of its way out.
    """

    def __init__(self, give_up: Callable[[str], None] = _say) -> None:
        self.give_up = give_up
        self.stopped: StoppedError | None = None
        self.limit: _Limit | None = None
        self._count = 0

    def take(self, number: int, _frame: object) -> None:
        """Handle the signal *number*."""
        self._count += 1
        if self.stopped is None:
            self.stopped = StoppedError(number)
            if self.limit is not None:
                self.limit.begin()
            raise self.stopped
        if self._count > 2:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        with suppress(OSError):
            os.write(_STDERR, _PATIENCE)


@contextmanager
def stoppable(give_up: Callable[[str], None] = _say) -> Iterator[Stopper]:
    """Have signals end the block; one that whoever started us ignores, as nohup does, stays ignored."""
    stopper = Stopper(give_up)
    stopper.limit = limit = _Limit(stopper)
    before = {}
    try:
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stopper.take)
        yield stopper
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        limit.close()
