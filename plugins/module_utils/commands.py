# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own commands before and after a backup: how they are run and stopped, and what a failing one means.

The rule: those before run in order, and the first that fails ends the run before anything is read. Those after run in
the end, all of them, whatever happened in between, for they may have to undo what those before did. What one of them
fails with never hides the error of the run itself.

Each runs in a session of its own, which also is a group of processes: what does not end in time, or is interrupted, is
ended with all that it has started. Only what makes itself a daemon escapes, as it may be meant to. A command line may
hold a password, and stands in no sentence.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
import typing as t
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from .endings import ending_of
from .errors import CommandError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PRE, POST = "pre_commands", "post_commands"
OUTCOME = "FTP_BACKUP_OUTCOME"
MADE, FAILED = "made", "failed"

_SHELL = "/bin/sh"
_KEPT = 2000  # bytes of what a command has said
_SHOWN = 300  # characters of it
_HIDDEN = b"********"
_SECRETIVE = 8  # characters from which on a line of the command is hidden where the command says it itself
_CHUNK = 64 * 1024
# Seconds: between looks whether a command has ended; for what goes on in the background and holds its output; and for
# a group of processes to end after SIGTERM, and after SIGKILL.
_LOOK, _LONGEST_LOOK = 0.001, 0.05
_AFTERWARDS = 1.0
_GRACE = 10.0
_LAST_GRACE = 5.0


@dataclass(frozen=True)
class Command:
    """One command, which the shell runs as *line*; it is stopped after *timeout*."""

    line: str = field(repr=False)
    timeout: timedelta = timedelta(hours=1)


class Commands:
    """The commands around one run, which see *variables* in their environment.

    *failures* are the sentences on those after the run that failed. When the run itself failed, its error is what is
    raised, and they are left to be told.
    """

    def __init__(self, pre: Sequence[Command], post: Sequence[Command], variables: Mapping[str, str]) -> None:
        self._pre = pre
        self._post = post
        self._variables = dict(variables)
        self._outcome = FAILED
        self._consequence = "No restore point was made."
        self.failures: list[str] = []

    def tell_made(self, consequence: str) -> None:
        """Note that the restore point was made; *consequence* is the sentence that says so beside a failure.

        From here on the commands after the run are told so, even if the run goes on to fail.
        """
        self._outcome = MADE
        self._consequence = consequence

    @contextmanager
    def surrounding(self) -> Iterator[None]:
        """Run what comes before, the block, and what comes after.

        Raises CommandError if one before fails, or one after fails and the block does not.
        """
        failures: list[str] = []
        with ExitStack() as last:
            for number, command in reversed(list(enumerate(self._post, 1))):
                last.callback(self._run_after, number, command)
            failures += self._run_before()
            if not failures:
                yield
        failures += self.failures
        if failures:
            raise CommandError(" ".join([*failures, self._consequence]))

    def _run_before(self) -> list[str]:
        """Run the commands before, up to the first that fails; return the sentence on it, if there is one."""
        for number, command in enumerate(self._pre, 1):
            failure = run(command, self._variables)
            if failure is not None:
                return [_sentence(number, PRE, failure)]
        return []

    def _run_after(self, number: int, command: Command) -> None:
        failure = run(command, {**self._variables, OUTCOME: self._outcome})
        if failure is not None:
            self.failures.append(_sentence(number, POST, failure))


def run(command: Command, variables: Mapping[str, str]) -> str | None:
    """Run *command* with *variables* beside the environment of this process; return how it failed, if it did.

    It reads nothing, and its output is thrown away but for its end. Once the command has ended, what it has left in
    the background stays, but is not listened to any longer. Whatever is raised here meanwhile ends all of it.
    """
    try:
        process = subprocess.Popen(
            [_SHELL, "-c", command.line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: a NUL stands somewhere
        return f"could not be run: {getattr(error, 'strerror', None) or error}"
    with closing(_Child(process, command.line)) as child:
        if not child.ends_within(command.timeout.total_seconds()):
            return f"did not end within {_span(command.timeout)} and was stopped{child.told()}"
    code = process.returncode
    if code == 0:
        return None
    return f"{ending_of(code)}{child.told()}"


class _Child:
    """A command that runs, with the end of what it says."""

    def __init__(self, process: subprocess.Popen[bytes], line: str) -> None:
        self._process = process
        self._secrets = _secrets(line)
        # So much more that a secret which is cut at the beginning does not reach into what is shown.
        self._limit = _KEPT + max(map(len, self._secrets), default=0)
        self._said = b""
        self._pipe = t.cast("t.BinaryIO", process.stdout)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)

    def ends_within(self, seconds: float) -> bool:
        """Listen until the command has ended, and tell whether it did so by itself; if not, it is stopped."""
        try:
            has_ended = self._listen_until(self._has_ended, seconds)
            if has_ended:
                self._listen_until(self._is_silent, _AFTERWARDS)
        except BaseException:
            self._stop()
            raise
        if not has_ended:
            self._stop()
        return has_ended

    def close(self) -> None:
        self._selector.close()
        self._pipe.close()

    def told(self) -> str:
        """Return the last of what the command has said, on one line and after a colon, or nothing."""
        said = self._said
        for secret in self._secrets:
            said = said.replace(secret, _HIDDEN)
        words = _words(said[-_KEPT:])
        for secret in self._secrets:
            words = words.replace(_words(secret), _HIDDEN.decode())
        if len(words) > _SHOWN:
            words = f"... {words[4 - _SHOWN :].lstrip()}"
        return f": {words}" if words else ""

    def _listen_until(self, is_over: Callable[[], bool], seconds: float) -> bool:
        """Take what the command says until *is_over*, for *seconds* at most; tell whether it is."""
        deadline = time.monotonic() + seconds
        look = _LOOK
        while not is_over():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._listen(min(look, left))
            look = min(2 * look, _LONGEST_LOOK)
        return True

    def _listen(self, seconds: float) -> None:
        if self._selector.select(seconds):  # which sleeps if nobody is left to listen to
            chunk = os.read(self._pipe.fileno(), _CHUNK)
            if chunk:
                self._said = (self._said + chunk)[-self._limit :]
            else:
                self._selector.unregister(self._pipe)

    def _is_silent(self) -> bool:
        """Tell whether nobody is left who could say anything."""
        return not self._selector.get_map()

    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def _is_gone(self) -> bool:
        """Tell whether nothing is left of the command's group of processes."""
        if not self._has_ended():
            return False
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def _stop(self) -> None:
        is_gone = False
        try:
            self._send(signal.SIGTERM)
            is_gone = self._listen_until(self._is_gone, _GRACE)
        finally:
            if not is_gone:
                self._send(signal.SIGKILL)
                self._listen_until(self._is_gone, _LAST_GRACE)
        self._listen_until(self._is_silent, _AFTERWARDS)  # its last words may have come with its end

    def _send(self, number: signal.Signals) -> None:
        # What runs as another user by now may be out of our reach.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _sentence(number: int, which: str, failure: str) -> str:
    return f"The command {number} of {which} {failure.rstrip('.')}."


def _words(text: bytes) -> str:
    """Return *text* on one line, without anything that a terminal could obey."""
    letters = text.decode("utf-8", "replace")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in letters).split())


def _secrets(line: str) -> list[bytes]:
    """Return what of a command is not to be shown where it says it itself, as shells do of what they cannot read."""
    pieces = {piece.strip() for piece in (line, *line.splitlines())}
    found = [piece.encode("utf-8", "surrogateescape") for piece in pieces if len(piece) >= _SECRETIVE]
    return sorted(found, key=len, reverse=True)


def _span(span: timedelta) -> str:
    """Return *span* as a text, in the largest unit of which it is a multiple."""
    seconds = span.total_seconds()
    unit, length = "second", 1
    if seconds % 60 == 0:
        unit, length = ("minute", 60) if seconds % 3600 else ("hour", 3600)
    count = seconds / length
    return f"{count:g} {unit}{'' if count == 1 else 's'}"
