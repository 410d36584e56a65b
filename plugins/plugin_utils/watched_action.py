# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module in the background on its host, and tells meanwhile how far it has come.

On the host there is one directory for the run, for its user only, below the directory that Ansible has for ``async``::

    ~/.ansible_async/ftp_backup-…/
        umask           that of a shell there, for the module: async_wrapper sets another
        status          where the run is, written by the module: status_file.py
        j….…            the result, written by Ansible's async_wrapper, which also starts the module

It goes when the result was fetched. What a controller that died has left there, the next watched run removes.

The module knows nothing of the controller, and runs to its end whatever becomes of that: only who interrupts Ansible
has it ended, by a signal that the module takes as it does everywhere.
"""

from __future__ import annotations

import json
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

from ..module_utils.status_file import BEGINNING, FILE, UMASK, VARIABLE, Status, read_status
from .interruption import Interruption
from .polling import BEATS_WITHIN, PATIENCE, Contact, Crowd, Lines, Pauses, title_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Result = dict[str, t.Any]

_FOR_EVER = 10 * 365 * 86400  # seconds: async_wrapper wants a limit, beyond which it kills
_NO_ANSWER, _NO_LEAVE = 60.0, 30.0  # seconds after which a look counts as lost, and what only tidies up
_TRIES = 3  # to learn from a host whether a run has begun there
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
    "The run has ended without a result: it was killed, the host was restarted meanwhile, or its disk is full. Its lock"
    " on the storage, if it is still there, is taken over by the next run of this host."
)
_SILENT = (
    "The run has told nothing for {minutes:.0f} minutes, and nothing is seen of it: it was killed, the host was"
    " restarted, or its disk is full. What it has left is in {path} on the host. Its lock on the storage, if it is"
    " still there, is taken over by the next run of this host once it has ended."
)
_UNREADABLE = (
    "The run has ended, but its result cannot be read: the disk of the host may have been full. What there is of it is"
    " in {path} on the host."
)
_JOB = re.compile(r"<job>(j\d+\.\d+)")


class _LostLook(Exception):  # noqa: N818 - it may be tried again, and mostly is
    """The host could not be asked, or did not answer in time."""


class _NoAnswer(BaseException):
    """A look takes too long."""


class _Run(t.NamedTuple):
    """A run on the host: its directory, the id of the job in it, what its command line has that no other one has.

    *facts* are what was found out about the host to start it.
    """

    path: str
    job: str
    proof: str
    facts: Result

    @property
    def quoted(self) -> str:
        return shlex.quote(self.path)


class _Look(t.NamedTuple):
    """What a look at the host has shown; *is_alive* is None where nobody can tell."""

    status: Status | None
    has_result: bool
    is_alive: bool | None


class WatchedAction(NormalAction):
    """An action that runs the module of its name, and is heard of meanwhile."""

    #: The options by which a run is told from others, the first that is given.
    named_by: tuple[str, ...] = ()

    _payload: str | None = None  # the directory of the module's own file on the host, as long as it is there

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
        host = self._host(variables)
        path = None
        with self._less_than_failing(), self._limited(_NO_ANSWER):
            path = self._make_directory()
        if path is None:
            Display().v(f"<{host}> The host has no place to tell the progress, so none is told.")
            return None
        told: Result = {}
        lost: AnsibleConnectionFailure | None = None
        reason: object = None
        try:
            self._payload = str(self._make_tmp_path())
        except AnsibleError as error:  # also where the host has no such place, which a plain run may not need
            self._discard(path)
            Display().v(f"<{host}> The run starts in the foreground, not in the background: {error}")
            return None
        proof = self._payload.rstrip("/").rpartition("/")[2]
        try:
            with self._limited(PATIENCE):
                told = self._launch(path, variables)
            reason = told.get("msg") or told.get("module_stderr")
        except AnsibleConnectionFailure as error:
            lost = error
        except (AnsibleError, _NoAnswer) as error:
            reason = str(error) or "it took too long"
        except BaseException:  # such as the end of the time that the task has
            with suppress(_LostLook):
                job = self._job_in(path, tries=1)
                if job is None:
                    self._discard(path)
                else:
                    self._end(_Run(path, job, proof, {}))
                    self._tidy(self._remove_payload)
            raise
        job = None if told.get("failed") else told.get("ansible_job_id")
        try:
            job = job or self._job_in(path)  # what has started it may have been unable to say so
        except _LostLook as error:
            raise AnsibleConnectionFailure(
                f"The connection was lost while the run was started. If it was, it goes on in {path} on the host."
            ) from (lost or error)
        if job is not None:
            return _Run(path, str(job), proof, dict(told.get("ansible_facts") or {}))
        self._discard(path)
        if lost is not None:
            raise lost
        Display().v(
            f"<{host}> The run starts in the foreground, not in the background: {reason or 'there is no reason given'}"
        )
        return None

    @contextmanager
    def _less_than_failing(self) -> Iterator[None]:
        """Leave the block where a host refuses what only progress needs."""
        try:
            yield
        except AnsibleConnectionFailure:
            raise
        except (AnsibleError, _NoAnswer) as error:
            Display().vv(f"The host refuses: {error}")

    def _launch(self, path: str, variables: Result) -> Result:
        """Return what async_wrapper says, which is to start the module and leave word in *path*."""
        shell = self._connection._shell  # noqa: SLF001 - plugins of Ansible have it from there
        before = shell.get_option("async_dir") if shell.has_option("async_dir") else None
        environment = self._task.environment
        self._task.environment = [*(environment or []), {VARIABLE: path}]
        self._task.async_val = _FOR_EVER
        shell.set_option("async_dir", path)
        try:
            return t.cast("Result", self._execute_module(task_vars=variables, wrap_async=True))
        finally:
            shell.set_option("async_dir", before)
            shell.tmpdir = None  # it is the run's, and whatever else is started has another
            self._task.async_val = 0
            self._task.environment = environment
            self._cleanup_remote_tmp = True

    def _job_in(self, path: str, tries: int = _TRIES) -> str | None:
        """Return the id of the run that has begun in *path*, if any has."""
        command = f"cd {shlex.quote(path)} && for job in j*; do printf '<job>%s\\n' \"$job\"; done; echo '<listed>'"
        for number in range(tries):
            with suppress(_LostLook):
                lines = self._asked(lambda: self._command(command)).splitlines()
                if "<listed>" in lines:
                    return next((found[1] for found in map(_JOB.fullmatch, lines) if found), None)
            if number + 1 < tries:
                time.sleep(_LOST_PAUSE)
        raise _LostLook

    def _discard(self, path: str) -> None:
        """Leave nothing on the host; if against all signs a run begins there yet, it will not without *path*."""
        self._tidy(lambda: self._command(f"rm -rf {shlex.quote(path)}"))
        self._tidy(self._remove_payload)

    def _tidy(self, deed: Callable[[], str]) -> None:
        """Do on the host what nothing else depends on."""
        try:
            self._asked(deed, _NO_LEAVE)
        except _LostLook as lost:
            Display().vv(f"Something may be left on the host: {lost.__cause__ or 'there was no answer'}")

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
            f"mask=$(umask) && umask 077 && mkdir -p {above} && cd {above} && mkdir {name} && cd {name}"
            f' && echo "$mask" > {UMASK} && printf \'%s%s\\n\' {shlex.quote(mark)} "$PWD"'
        )
        return next((line[len(mark) :] for line in said.splitlines() if line.startswith(f"{mark}/")), None)

    def _command(self, command: str) -> str:
        """Return what *command* of the shell prints, run by the user of the task."""
        said = self._low_level_execute_command(command)
        return str(said["stdout"])

    def _look(self, run: _Run, process: int, seconds: float = _NO_ANSWER) -> _Look:
        """Ask the host where the run is, which was *process* when last seen, or 0."""
        lines = self._asked(lambda: self._command(_question(run, process)), seconds).splitlines()
        told = {mark: line[len(mark) :] for line in lines for mark in ("<status>", "<result>") if line.startswith(mark)}
        if "<result>" not in told:
            raise _LostLook
        head = told["<result>"]
        is_alive = True if "<alive>" in lines else False if "<gone>" in lines else None
        return _Look(read_status(told.get("<status>", "")), bool(head) and head != _IS_RUNNING, is_alive)

    def _asked(self, ask: Callable[[], str], seconds: float = _NO_ANSWER) -> str:
        try:
            with self._limited(seconds):
                return ask()
        except (AnsibleError, OSError) as error:
            raise _LostLook from error
        except _NoAnswer as error:
            if self._connection.transport == "ssh":
                with suppress(AnsibleError, OSError, _NoAnswer), self._limited(_NO_LEAVE):
                    self._connection.reset()  # a connection that the way has forgotten never answers again
            raise _LostLook from error

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        """Raise _NoAnswer if the block takes longer; where the time of the task is over before, that one counts."""
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        if 0 < left <= seconds or threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(_number: int, _frame: object) -> None:
            raise _NoAnswer

        began = time.monotonic()
        before = signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - began)))

    def _fetch(self, run: _Run) -> Result:
        """Return the result of the module, and leave nothing of the run on the host once it is known."""
        job = f"{run.quoted}/{shlex.quote(run.job)}"
        said = self._asked(lambda: self._command(f"printf '<fetched>'; cat {job}; printf '\\n</fetched>\\n'"))
        text, end, _rest = said.rpartition("<fetched>")[2].rpartition("\n</fetched>")
        if not end:
            raise _LostLook
        told = self._parsed(text)
        if told is None:
            return {"failed": True, "msg": _UNREADABLE.format(path=run.path), "failure": {"kind": "local"}}
        self._tidy(lambda: self._command(f"rm -rf {run.quoted}"))
        if "cmd" in told and "msg" in told and "invocation" not in told:
            told = _without_result(told)
        told = {name: value for name, value in told.items() if name not in _ADDED}
        return {**told, "ansible_facts": {**told.get("ansible_facts", {}), **run.facts}} if run.facts else told

    def _parsed(self, text: str) -> Result | None:
        """Return the result of a module that *text* is, as Ansible itself reads it; None if it is none."""
        try:
            if not isinstance(json.loads(text), dict):
                return None
        except (ValueError, RecursionError):
            return None
        said = {"rc": 0, "stdout": text, "stdout_lines": [], "stderr": "", "stderr_lines": []}
        told: t.Any = self._parse_returned_data(said, "legacy")
        if isinstance(told, dict):
            return {
                name: value
                for name, value in told.items()
                if (value or name not in ("warnings", "deprecations"))
                and (name == "_ansible_parsed" or not name.startswith("_ansible_"))
            }
        told.remove_internal_keys()  # a class of its own since ansible-core 2.21
        return t.cast("Result", told.as_result_dict(for_round_trip=True))

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
        finally:
            self._tidy(self._remove_payload)

    def _watched(self, run: _Run, variables: Result, interruption: Interruption) -> Result:
        crowd = self._crowd(variables)
        title = self._title(variables)
        began = time.monotonic()
        width = max(_columns(), _LEAST_WIDTH)
        lines = Lines(title, crowd, began, width=width, is_secret=bool(self._task.no_log))
        pauses, contact = Pauses(crowd), Contact(began)
        process = 0
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
                if look.has_result:
                    told = self._fetch(run)
                    self._say(contact.hear(time.monotonic()), lines)
                    return told
                if look.status is not None:
                    self._asked(self._remove_payload)
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
            self._say(contact.hear(moment), lines)
            process = 0 if look.status is None else look.status.process
            if contact.is_dead(None if look.status is None else look.status.beat, moment, is_alive=look.is_alive):
                return self._given_up(run, look)
            self._say(contact.miss(moment), lines)
            if look.status is not None:
                self._say_line(lines.look(look.status.now, moment))
            pause = max(_LEAST_PAUSE, lines.pause(pauses.next(), moment))

    def _given_up(self, run: _Run, look: _Look) -> Result:
        """Return the result of a run that has none; only what certainly runs no more is removed."""
        message = _SILENT.format(minutes=BEATS_WITHIN / 60, path=run.path)
        if look.is_alive is False:
            message = _DEAD
            self._tidy(lambda: self._command(f"rm -rf {run.quoted}"))
        return {"failed": True, "msg": message, "failure": {"kind": "killed"}}

    def _end(self, run: _Run) -> None:
        """Have the run end cleanly, wait until it has, and leave nothing of it on the host.

        A host that does not answer meanwhile, or is too slow for whoever waits for us, ends it by itself or later. What
        has the number of the run's process is told to end only if that is certainly the run.
        """
        deadline = time.monotonic() + _WAY_OUT
        is_told, process = False, 0
        beats = set()
        while time.monotonic() < deadline:
            with suppress(_LostLook):
                look = self._look(run, process, _left(deadline))
                if look.has_result or look.is_alive is False:
                    self._discard(run.path)
                    return
                before, process = process, 0
                if look.status is not None:
                    process = look.status.process
                    beats.add(look.status.beat)
                is_ours = len(beats) > 1 or (look.is_alive and process == before)
                if is_ours and process > 1 and not is_told:
                    self._asked(partial(self._command, f"kill -TERM {process}"), _left(deadline))
                    is_told = True
            time.sleep(_WAY_OUT_PAUSE)

    def _remove_payload(self) -> str:
        """Remove the file that the module was, with its options, once it has read them."""
        if self._payload is not None:
            self._remove_tmp_path(self._payload)
            self._payload = None
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
        if self._task.run_once:
            return Crowd()
        hosts = list(variables.get("ansible_play_batch") or [])
        host = variables.get("inventory_hostname")
        limits = (len(hosts), context.CLIARGS.get("forks"), self._task.throttle)
        size = min((int(limit) for limit in limits if limit), default=1)
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


def _question(run: _Run, process: int) -> str:
    """Return the command of the shell that tells where *run* is.

    What *process* is now is told by its command line: by its number another program may be known by now.
    """
    command = (
        f"printf '<status>%s\\n' \"$(cat {run.quoted}/{FILE} 2>/dev/null)\";"
        " printf '<result>%s\\n'"
        f' "$(dd if={run.quoted}/{shlex.quote(run.job)} bs={len(_IS_RUNNING)} count=1 2>/dev/null)"'
    )
    if process <= 1:
        return command
    line = f"{{ tr '\\000' ' ' < /proc/{process}/cmdline || ps -ww -o args= -p {process}; }} 2>/dev/null"
    return (
        f"{command}; if kill -0 {process} 2>/dev/null; then"
        f" {line} | grep -q -F -e {shlex.quote(run.proof)} && echo '<alive>'; else echo '<gone>'; fi"
    )


def _left(deadline: float) -> float:
    return max(1.0, deadline - time.monotonic())


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
