# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``ftp-backup``: the same engine as the modules', for a person on the host and for its timers."""

from __future__ import annotations

import sys
import typing as t

from ..errors import BackupError, LocalError, UsageError
from ..stopping import StoppedError, stoppable
from . import results
from .arguments import HelpAskedFor, directories_of, parsed, wants_json
from .deeds import Call, back_up, bring_back, check_what_is_stored, make_index_anew
from .failures import tell_failure
from .listing import find, list_what_there_is, show_overview
from .scheduled import run_scheduled
from .settings import read_job, read_reindexing, read_settings
from .terminal import PROGRAM, standard_terminal

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..stopping import Stopper
    from .terminal import Terminal

Declaration = t.TypeVar("Declaration")

_COMMONEST = (
    "",
    "What is done most often:",
    f"  {PROGRAM} list NAME                        its restore points",
    f"  {PROGRAM} find FILE                        versions of a file, and how to bring each back",
    f"  {PROGRAM} backup NAME                      back up now",
    f"  {PROGRAM} restore NAME PATH --target DIR   bring something back, to look at it first",
    f"'{PROGRAM} --help' tells of all the rest.",
)


def main(argv: Sequence[str]) -> int:
    """Do what *argv* says, and return the exit code: see ``--help``."""
    terminal = standard_terminal()
    terminal.is_json = wants_json(argv)
    try:
        with stoppable() as stopper:
            return _done(argv, terminal, stopper)
    except BackupError as error:
        return _told(terminal, results.of_error(error))
    except StoppedError as stopped:
        values = {"failed": True, "msg": stopped.words, "failure": {"kind": "stopped"}}
        return _told(terminal, results.Result(stopped.exit_code, stopped.words, values))
    except PermissionError as error:
        return _told(terminal, results.of_error(_not_permitted(error)))


def _told(terminal: Terminal, result: results.Result) -> int:
    """Tell why nothing came of it, and return the exit code."""
    terminal.fail(result.summary)
    terminal.document(result.values)
    return result.exit_code


def _not_permitted(error: PermissionError) -> LocalError:
    where = f" {error.filename}" if error.filename else ""
    return LocalError(f"This user may not use{where}: run it as root, or with directories of your own.")


def _done(argv: Sequence[str], terminal: Terminal, stopper: Stopper) -> int:
    try:
        arguments = parsed(argv)
    except HelpAskedFor as asked:
        terminal.show(str(asked).splitlines())
        return results.DONE
    terminal.is_json, terminal.is_quiet = arguments.json, arguments.quiet
    call = Call(arguments, directories_of(arguments), terminal, stopper)
    if arguments.command in _CHECKS:
        return _CHECKS[arguments.command](call)
    call.directories.require_readable()
    if arguments.command is None:
        return show_overview(call, *_COMMONEST)
    return _DEEDS[arguments.command](call)


def _check_job(call: Call) -> int:
    """Check a job file."""
    job = _checked(call, read_job)
    call.terminal.say(f"{job.name}: the job file can be used.")
    call.terminal.document({"changed": False, "name": job.name, "slug": job.slug})
    return results.DONE


def _check_reindex(call: Call) -> int:
    """Check the file of a destination that a timer reindexes."""
    reindexing = _checked(call, read_reindexing)
    call.terminal.say(f"{reindexing.name}: the file can be used.")
    call.terminal.document({"changed": False, "name": reindexing.name, "slug": reindexing.slug})
    return results.DONE


def _check_settings(call: Call) -> int:
    """Check a file of settings."""
    _checked(call, read_settings)
    call.terminal.say("The settings can be used.")
    call.terminal.document({"changed": False})
    return results.DONE


def _checked(call: Call, read: Callable[[Path], Declaration]) -> Declaration:
    """Return what the file declares; whatever is wrong with it is wrong usage."""
    try:
        return read(call.arguments.file)
    except LocalError as error:
        raise UsageError(str(error)) from error


_CHECKS: Mapping[str, Callable[[Call], int]] = {
    "check-job": _check_job,
    "check-reindex": _check_reindex,
    "check-settings": _check_settings,
}
_DEEDS: Mapping[str, Callable[[Call], int]] = {
    "list": list_what_there_is,
    "find": find,
    "backup": back_up,
    "restore": bring_back,
    "reindex": make_index_anew,
    "verify": check_what_is_stored,
    "scheduled": run_scheduled,
    "failed": tell_failure,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
