# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module in the background on its host, and tells meanwhile how far it has come.

On the host there is one directory for the run, for its user only, below the directory that Ansible has for ``async``::

    ~/.ansible_async/ftp_backup-…/
        status          where the run is, written by the module: status_file.py
        j….…            the result, written by Ansible's async_wrapper, which also starts the module

It goes when the result was fetched. What a controller that died has left there, the next watched run removes.

The module knows nothing of the controller, and runs to its end whatever becomes of that: only who interrupts Ansible
has it ended, by a signal that the module takes as it does everywhere.
"""

from __future__ import annotations

import re
import secrets
import shlex
import signal
import threading
import time
import typing as t
from contextlib import contextmanager, suppress
from functools import partial

from ansible import constants as C  # noqa: N812 - as everybody calls it
from ansible import context
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display
from ansible.utils.vars import merge_hash

from ..module_utils.status_file import BEGINNING, FILE, VARIABLE, Status, read_status
from .interruption import Interruption
from .polling import PATIENCE, Contact, Crowd, Lines, Pauses, title_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Result = dict[str, t.Any]

_FOR_EVER = 10 * 365 * 86400  # seconds: async_wrapper wants a limit, beyond which it kills
_NO_ANSWER = 60.0  # seconds after which a look counts as lost
_LEAST_PAUSE, _LOST_PAUSE = 0.2, 5.0
_WAY_OUT = 60.0  # seconds for a run to end that was told to, as it has itself; Ansible waits for us meanwhile
_WAY_OUT_PAUSE = 0.2
_LEAST_WIDTH = 120
#: The callbacks that print for people. Whatever another one prints on standard output may be a document for programs.
_FOR_PEOPLE = re.compile(r"(ansible\.builtin\.)?(default|minimal|oneline)")
#: What async_wrapper and async_status add to the result of a module.
_ADDED = ("ansible_job_id", "started", "finished", "results_file", "stderr", "stderr_lines")
_IS_RUNNING = '{"started": true'
_GOES_ON = (
    "The run goes on there without being watched, and holds the lock of its job until it ends; another run of the job"
    " is refused until then."
)
_DEAD = (
    "The run has ended without a result: it was killed, or the host was restarted meanwhile. Its lock on the storage,"
    " if it is still there, is taken over by the next run of this host."
)


class _LostLook(Exception):  # noqa: N818 - it may be tried again, and mostly is
    """The host could not be asked, or did not answer in time."""


class _NoAnswer(BaseException):
    """A look takes too long."""


class _Run(t.NamedTuple):
    """What is on the host for a run: the directory, the id of the job in it, and where the module's own file is."""

    path: str
    job: str
    payload: str | None

    @property
    def quoted(self) -> str:
        return shlex.quote(self.path)


class _Look(t.NamedTuple):
    """What a look at the host has shown."""

    status: Status | None
    has_result: bool
    is_alive: bool


class WatchedAction(NormalAction):
    """An action that runs the module of its name, and is heard of meanwhile."""

    #: The options by which a run is told from others, the first that is given.
    named_by: tuple[str, ...] = ()

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Return the result of the module, as if nobody had watched it."""
        told: Result | None = None
        if self._is_wanted():
            result = super(NormalAction, self).run(tmp, task_vars)
            with Interruption() as interruption:
                started = self._start(task_vars or {})
                if started is not None:
                    told = merge_hash(result, self._watch(started, task_vars or {}, interruption))
        return t.cast("Result", super().run(tmp, task_vars)) if told is None else told

    def _is_wanted(self) -> bool:
        """Tell whether this task can be watched, and should."""
        if self._task.async_val or self._connection.always_pipeline_modules:
            return False
        return bool(boolean(self._task.args.get("progress", True), strict=False))

    # -- what is done on the host

    def _start(self, variables: Result) -> _Run | None:
        """Start the module in the background; return None if that cannot be done here, and nothing was started."""
        path = self._make_directory()
        if path is None:
            Display().v(f"<{self._host(variables)}> The host has no place to tell the progress, so none is told.")
            return None
        shell = self._connection._shell  # noqa: SLF001 - plugins of Ansible have it from there
        before = shell.get_option("async_dir") if shell.has_option("async_dir") else None
        self._make_tmp_path()
        payload = shell.tmpdir
        environment = self._task.environment
        self._task.environment = [*(environment or []), {VARIABLE: path}]
        self._task.async_val = _FOR_EVER
        shell.set_option("async_dir", path)
        try:
            told = self._execute_module(task_vars=variables, wrap_async=True)
        finally:
            shell.set_option("async_dir", before)
            self._task.async_val = 0
            self._task.environment = environment
            self._cleanup_remote_tmp = True
        if told.get("ansible_job_id") and not told.get("failed"):
            return _Run(path, str(told["ansible_job_id"]), payload)
        reason = told.get("msg") or told.get("module_stderr") or "there is no reason given"
        Display().v(f"<{self._host(variables)}> The run starts in the foreground, not in the background: {reason}")
        self._remove_tmp_path(payload)
        self._command(f"rm -rf {shlex.quote(path)}")
        return None

    def _make_directory(self) -> str | None:
        """Make the directory of the run, and return its path."""
        configured = self.get_shell_option("async_dir", default="~/.ansible_async")
        if configured.startswith("~/"):
            above = '"$HOME"/' + shlex.quote(configured[2:])
        elif configured.startswith("~"):
            above = shlex.quote(self._remote_expand_user(configured))
        else:
            above = shlex.quote(configured)
        name = BEGINNING + secrets.token_hex(8)
        mark = f"<{name}>"
        said = self._command(
            f"umask 077 && mkdir -p {above} && cd {above} && mkdir {name} && cd {name}"
            f' && echo {shlex.quote(mark)}"$PWD"'
        )
        return next((line[len(mark) :] for line in said.splitlines() if line.startswith(f"{mark}/")), None)

    def _command(self, command: str) -> str:
        """Return what *command* of the shell prints, run by the user of the task."""
        said = self._low_level_execute_command(command)
        return str(said["stdout"])

    def _look(self, run: _Run, process: int) -> _Look:
        """Ask the host where the run is."""
        path = run.quoted
        alive = f"kill -0 {process} 2>/dev/null && echo '<alive>'" if process > 1 else "echo '<alive>'"
        command = (
            f'echo "<status>$(cat {path}/{FILE} 2>/dev/null)";'
            f' echo "<result>$(dd if={path}/{shlex.quote(run.job)} bs={len(_IS_RUNNING)} count=1 2>/dev/null)";'
            f" {alive}"
        )
        lines = self._asked(lambda: self._command(command)).splitlines()
        told = {mark: line[len(mark) :] for line in lines for mark in ("<status>", "<result>") if line.startswith(mark)}
        if "<result>" not in told:
            raise _LostLook
        head = told["<result>"]
        return _Look(read_status(told.get("<status>", "")), bool(head) and head != _IS_RUNNING, "<alive>" in lines)

    def _asked(self, ask: Callable[[], str]) -> str:
        try:
            with self._limited(_NO_ANSWER):
                return ask()
        except (AnsibleError, OSError) as error:
            raise _LostLook from error
        except _NoAnswer as error:
            if self._connection.transport == "ssh":
                with suppress(AnsibleError, OSError):
                    self._connection.reset()  # a connection that the way has forgotten never answers again
            raise _LostLook from error

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        """Raise _NoAnswer if the block takes longer; where the task has a limit of its own, that one counts."""
        if self._task.timeout or threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(_number: int, _frame: object) -> None:
            raise _NoAnswer

        before = signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _fetch(self, run: _Run, variables: Result) -> Result:
        """Return the result of the module, and leave nothing of the run on the host."""
        arguments = {"jid": run.job, "mode": "status", "_async_dir": run.path}
        try:
            told: Result = self._execute_module(
                module_name="ansible.legacy.async_status", module_args=arguments, task_vars=variables
            )
            self._remove_tmp_path(self._connection._shell.tmpdir)  # noqa: SLF001 - the same
            self._command(f"rm -rf {run.quoted}")
        except AnsibleConnectionFailure as error:
            raise _LostLook from error
        if "cmd" in told and "msg" in told and "invocation" not in told:
            return _without_result(told)
        return {name: value for name, value in told.items() if name not in _ADDED}

    # -- watching

    def _watch(self, run: _Run, variables: Result, interruption: Interruption) -> Result:
        """Return the result of *run*, or nothing if it was interrupted; whatever else cuts this short ends it, too."""
        try:
            return self._watched(run, variables, interruption)
        except AnsibleError:
            raise
        except BaseException:  # such as the end of the time that the task has
            self._end(run)
            raise

    def _watched(self, run: _Run, variables: Result, interruption: Interruption) -> Result:
        crowd = self._crowd(variables)
        title = self._title(variables)
        began = time.monotonic()
        width = max(_columns(), _LEAST_WIDTH)
        lines = Lines(title, crowd, began, width=width, is_secret=bool(self._task.no_log))
        pauses, contact = Pauses(crowd), Contact(began)
        payload, process = run.payload, 0
        pause = pauses.next()
        while True:
            interruption.wait(pause)
            if interruption.number is not None:
                self._end(run)
                return {}
            if interruption.has_lost_controller:
                raise AnsibleError(f"{title}: Ansible has ended meanwhile. {_GOES_ON}")
            try:
                look = self._look(run, process)
                if payload is not None and look.status is not None:
                    self._asked(partial(self._remove_payload, payload))
                    payload = None
                self._say(contact.hear(time.monotonic()), lines)
                if look.has_result:
                    return self._fetch(run, variables)
            except _LostLook as lost:
                moment = time.monotonic()
                Display().vv(f"{title}: a look at the run was lost: {lost.__cause__ or 'there was no answer'}")
                self._say(contact.lose(moment), lines)
                if contact.is_given_up(moment):
                    raise AnsibleConnectionFailure(
                        f"The host has not answered for {PATIENCE / 60:.0f} minutes, while it ran {title}. {_GOES_ON}"
                        f" How far it has come stands in {run.path}/{FILE} on the host."
                    ) from lost
                pause = _LOST_PAUSE
                continue
            moment = time.monotonic()
            process = 0 if look.status is None else look.status.process
            if contact.is_dead(None if look.status is None else look.status.beat, moment, is_alive=look.is_alive):
                self._command(f"rm -rf {run.quoted}")
                return {"failed": True, "msg": _DEAD, "failure": {"kind": "killed"}}
            if look.status is not None:
                self._say_line(lines.look(look.status.now, moment))
            pause = max(_LEAST_PAUSE, min(pauses.next(), lines.due - moment))

    def _end(self, run: _Run) -> None:
        """Have the run end cleanly, wait until it has, and leave nothing of it on the host.

        A host that does not answer meanwhile, or is too slow for whoever waits for us, ends it by itself or later.
        """
        deadline = time.monotonic() + _WAY_OUT
        is_told, process = False, 0
        while time.monotonic() < deadline:
            with suppress(_LostLook):
                look = self._look(run, process)
                if look.has_result or not look.is_alive:
                    self._asked(lambda: self._command(f"rm -rf {run.quoted}"))
                    self._asked(partial(self._remove_payload, run.payload))
                    return
                process = 0 if look.status is None else look.status.process
                if process > 1 and not is_told:
                    self._asked(partial(self._command, f"kill -TERM {process}"))
                    is_told = True
            time.sleep(_WAY_OUT_PAUSE)

    def _remove_payload(self, payload: str | None) -> str:
        """Remove the file that the module was, with its options; it has read them by now."""
        self._remove_tmp_path(payload)
        return ""

    # -- what is said

    def _say(self, sentence: str | None, lines: Lines) -> None:
        self._say_line(None if sentence is None else lines.say(sentence))

    def _say_line(self, line: str | None) -> None:
        if line is not None:
            Display().display(
                line, stderr=_FOR_PEOPLE.fullmatch(str(C.config.get_config_value("DEFAULT_STDOUT_CALLBACK"))) is None
            )

    def _crowd(self, variables: Result) -> Crowd:
        """Return how many hosts are at this task at once, as far as that can be told."""
        hosts = [] if self._task.run_once else list(variables.get("ansible_play_batch") or [])
        host = variables.get("inventory_hostname")
        limits = (len(hosts), context.CLIARGS.get("forks"), self._task.throttle)
        size = max(1, min(int(limit) for limit in limits if limit))
        return Crowd(size, hosts.index(host) if host in hosts else 0)

    def _host(self, variables: Result) -> str:
        host = str(variables.get("inventory_hostname", ""))
        return f"{host} -> {self._task.delegate_to}" if self._task.delegate_to else host

    def _title(self, variables: Result) -> str:
        module = str(self._task.action).rpartition(".")[2]
        names = (self._task.args.get(name) for name in self.named_by)
        return title_of(self._host(variables), module, names, self._label(variables), is_secret=bool(self._task.no_log))

    def _label(self, variables: Result) -> object:
        """Return what Ansible calls the item of a loop that this is about."""
        control = self._task.loop_control
        if self._task.loop is None or control is None:
            return None
        if control.label is None:
            return variables.get(control.loop_var or "item")
        with suppress(AnsibleError):  # who wrote the label is told so by Ansible itself
            return self._templar.template(control.label)
        return None


def _columns() -> int:
    display: t.Any = Display()  # its annotations have it that there are none
    return int(display.columns or 0)


def _without_result(told: Result) -> Result:
    """Return what Ansible says where a module ended without a result, of what async_wrapper says then."""
    return {
        "failed": True,
        "msg": "The module ended without a result; see module_stdout and module_stderr.",
        "module_stdout": told.get("data", told.get("outdata", "")),
        "module_stderr": told.get("stderr", ""),
    }
