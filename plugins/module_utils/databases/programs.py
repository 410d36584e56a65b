# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client programs of database servers: how they are found and run, and what one that fails has said.

They get a session of their own, and end with the block that uses them: what reads a dump or feeds a load and fails
leaves none of them behind. If this process is killed, one that dumps finds nobody to write to, and one that loads finds
the end of its input; whoever loads must see to it that this is no success.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import typing as t
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..endings import ending_of
from ..errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..storage import Buffer

_SHOWN = 500  # letters of what a program says, from its beginning and its end
_ANSWER_LIMIT = 64 * 1024 * 1024
_PATIENCE = 3600.0  # seconds without a byte: a dump may wait for a lock, but not for ever
_LOOK = 60.0
_GRACE = 5.0
_F_SETPIPE_SZ = 1031
_PIPE = 1024 * 1024
_INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Programs:
    """The client programs for one server, which *what* names in sentences; *secrets* must not be told on.

    *directory* and *run_as* are those of a :class:`~.servers.Login`. *descriptors* are files that they get opened.
    """

    what: str
    directory: str | None = None
    run_as: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    descriptors: tuple[int, ...] = ()

    def find(self, *names: str) -> str:
        """Return the path of the first of *names* that there is; they are names of one program."""
        for name in names:
            path = shutil.which(name, path=self.directory)
            if path is not None:
                return path
        where = f"the directory {self.directory}" if self.directory is not None else "the PATH of this host"
        raise DatabaseError(
            f"{self.what} needs the program {' or '.join(names)}, which is not in {where}: install the client programs"
            " of the server."
        )

    @contextmanager
    def reading(self, command: Sequence[str], deed: str) -> Iterator[Output]:
        """Run *command* and give what it writes; *deed*, which ended well or not, begins the sentence on it."""
        with self._running(command, deed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
            yield Output(child)

    @contextmanager
    def writing(self, command: Sequence[str], deed: str) -> Iterator[Input]:
        """Run *command*, which reads what is written to what this gives; it must have ended well with the block."""
        with self._running(command, deed, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
            given = Input(child)
            yield given
            given.end()

    def answer(self, command: Sequence[str], deed: str, given: bytes = b"") -> bytes:
        """Return what *command* writes once it has read what is *given*, both of which fit into memory."""
        stdin = subprocess.PIPE if given else subprocess.DEVNULL
        with self._running(command, deed, stdin=stdin, stdout=subprocess.PIPE) as child:
            feeder = threading.Thread(target=child.feed, args=(given,), daemon=True)
            feeder.start()
            try:
                return _read_all(Output(child), f"{deed}: the answer of {child.name} has no end.")
            finally:
                child.kill_if_fed(feeder)

    def answer_of(self, command: Sequence[str], deed: str, given: t.BinaryIO) -> bytes:
        """Return what *command* writes, which fits into memory, once it has read of the file *given* what it wants."""
        given.flush()
        given.seek(0)
        with self._running(command, deed, stdin=given.fileno(), stdout=subprocess.PIPE) as child:
            return _read_all(Output(child), f"{deed}: the answer of {child.name} has no end.")

    def run(self, command: Sequence[str], deed: str, given: t.BinaryIO) -> None:
        """Run *command*, which reads the file *given* from its beginning: also if this process is killed meanwhile."""
        given.flush()
        given.seek(0)
        with self._running(command, deed, stdin=given.fileno(), stdout=subprocess.DEVNULL) as child:
            child.require_success()

    @contextmanager
    def talking(self, command: Sequence[str], deed: str) -> Iterator[tuple[Input, Output]]:
        """Run *command* and give what it reads and what it writes until the block ends; how it ends does not count."""
        with self._running(command, deed, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            yield Input(child), Output(child)

    @contextmanager
    def _running(self, command: Sequence[str], deed: str, *, stdin: int, stdout: int) -> Iterator[_Child]:
        with ExitStack() as files:
            try:
                complaints = files.enter_context(tempfile.TemporaryFile())
                _append_only(complaints.fileno())
                process = subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=complaints,
                    env=self._variables(),
                    bufsize=0,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=self.descriptors,
                    **self._user(),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise DatabaseError(f"{deed}: {command[0]} cannot be run: {_reason(error)}.") from error
            child = _Child(process, complaints, deed, Path(command[0]).name, self.secrets)
            try:
                yield child
            finally:
                child.stop()

    def _variables(self) -> dict[str, str]:
        """Return what the programs see of the environment: no variable of ours may lead them to another server."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        if self.run_as is not None:
            inherited.pop("HOME", None)
        return {**inherited, "LC_ALL": "C.UTF-8", **self.environment}

    def _user(self) -> dict[str, t.Any]:
        if self.run_as is None:
            return {}
        try:
            user = pwd.getpwnam(self.run_as)
        except KeyError as error:
            raise DatabaseError(
                f"{self.what} is to be reached as the user {self.run_as!r}, whom this host lacks."
            ) from error
        if os.geteuid() == user.pw_uid:
            return {}
        if os.geteuid() != 0:
            raise DatabaseError(
                f"{self.what} is to be reached as the user {self.run_as!r}, which only root can become."
            )
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": os.getgrouplist(user.pw_name, user.pw_gid)}


class _Child:
    """A program that runs."""

    def __init__(
        self, process: subprocess.Popen[bytes], complaints: t.BinaryIO, deed: str, name: str, secrets: tuple[str, ...]
    ) -> None:
        self.process = process
        self.name = name
        self._complaints = complaints
        self._deed = deed
        self._secrets = secrets
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a user may have used up what the kernel grants
                    _enlarge(pipe.fileno())

    def feed(self, given: bytes) -> None:
        """Write all that is *given*, as far as the program takes it, and end its input."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError), self.process.stdin as pipe:
                _write_all(pipe, given)

    def kill_if_fed(self, feeder: threading.Thread) -> None:
        """See the *feeder* to its end; of a program that was not read to its own, it would wait for it for ever."""
        if feeder.is_alive() and self.process.poll() is None:
            self._send(signal.SIGKILL)
        feeder.join()

    def require_success(self) -> None:
        """Wait for the end, and raise unless it was a good one."""
        code = self.process.wait()
        if code:
            how = ending_of(code)
            words = self._words()
            stop = "" if words.endswith(("?", "!")) else "."
            raise DatabaseError(f"{self._deed}: {self.name} {how}{f' and said: {words}' if words else ''}{stop}")

    def require_interest(self) -> None:
        """Raise that the program reads no more, or what it said when it ended badly."""
        self.require_success()
        raise DatabaseError(f"{self._deed}: {self.name} ended before it had read everything.")

    def require_patience(self, waited: float) -> None:
        """Raise if nothing has come for too many seconds."""
        if waited >= _PATIENCE:
            raise DatabaseError(f"{self._deed}: {self.name} did nothing for {_PATIENCE / 60:.0f} minutes.")

    def _words(self) -> str:
        """Return what the program complained of, on one line, and of much only the beginning and the end."""
        text = self.complaints
        for secret in self._secrets:
            text = text.replace(secret, "********")
        text = " ".join(text.split()).rstrip(".")
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"

    @property
    def complaints(self) -> str:
        """All that the program complained of, up to a limit."""
        self._complaints.seek(0)
        return self._complaints.read(_ANSWER_LIMIT).decode("utf-8", "replace")

    def stop(self) -> None:
        """End the program and what it has started, if it is still there."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(OSError):
                    pipe.close()
        if self.process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)
            try:
                self.process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                continue
            return

    def _send(self, number: signal.Signals) -> None:
        # What runs as another user by now may be out of our reach.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Output:
    """What a program writes."""

    def __init__(self, child: _Child) -> None:
        self._child = child
        self._pipe = t.cast("t.Any", child.process.stdout)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._waited = 0.0

    def wait(self, seconds: float) -> bool:
        """Wait up to some *seconds* for something to read, and tell whether there is; raise after too many of them."""
        ready = self._poll.poll(seconds * 1000)
        self._waited = 0.0 if ready else self._waited + seconds
        self._child.require_patience(self._waited)
        return bool(ready)

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into *view* and return how many; 0 only once the program has ended well."""
        while not self.wait(_LOOK):
            continue
        count = int(self._pipe.readinto(view))
        if not count:
            self._child.require_success()
        return count

    @property
    def complaints(self) -> str:
        """What the program has written beside that so far."""
        return self._child.complaints


class Input:
    """What a program reads."""

    def __init__(self, child: _Child) -> None:
        self._child = child
        self._pipe = t.cast("t.Any", child.process.stdin)

    def write(self, content: Buffer) -> None:
        """Give the program *content*; raise what it said if it takes nothing more."""
        try:
            _write_all(self._pipe, content)
        except BrokenPipeError:
            self._child.require_interest()

    def end(self) -> None:
        """Tell the program that nothing follows, and raise unless it ends well."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._child.require_success()

    @property
    def complaints(self) -> str:
        """What the program has said so far."""
        return self._child.complaints


def _read_all(output: Output, excess: str) -> bytes:
    """Return all of *output*; raise the sentence *excess* if it is more than fits into memory."""
    content = bytearray()
    view = memoryview(bytearray(_PIPE))
    while count := output.read_into(view):
        content += view[:count]
        if len(content) > _ANSWER_LIMIT:
            raise DatabaseError(excess)
    return bytes(content)


def _write_all(pipe: t.IO[bytes], content: Buffer) -> None:
    view = memoryview(content)
    while view:
        view = view[pipe.write(view) :]


def _append_only(descriptor: int) -> None:
    """Have whoever shares a file write at its end, wherever the others have read; they have one place between them."""
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)


def _enlarge(descriptor: int) -> None:
    """Have a pipe hold as much as the kernel lets everybody have, where there is such a thing."""
    fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _PIPE)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


@contextmanager
def shown(content: bytes, user: str | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the path of a file with *content* for one program, and what it must get opened for it.

    The file is in memory where the kernel has such files. Only the owner reads it, as the programs demand.
    """
    owner = pwd.getpwnam(user).pw_uid if user is not None and os.geteuid() == 0 else -1
    has_memory = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
    with _memory_file() if has_memory else tempfile.NamedTemporaryFile() as file:
        os.fchmod(file.fileno(), 0o600)
        os.fchown(file.fileno(), owner, -1)
        file.write(content)
        file.flush()
        if has_memory:
            yield f"/proc/self/fd/{file.fileno()}", (file.fileno(),)
        else:
            yield file.name, ()


def _memory_file() -> t.IO[bytes]:
    return os.fdopen(os.memfd_create("options", os.MFD_CLOEXEC), "wb")
