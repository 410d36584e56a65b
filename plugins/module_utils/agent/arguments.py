# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar of the command: what can be said, and the help for those who do not know it by heart."""

from __future__ import annotations

import argparse
import os
import typing as t
from pathlib import Path

from ..errors import UsageError
from ..version import VERSION
from .runs import KINDS
from .settings import CONFIG_DIRECTORY, STATE_DIRECTORY, Directories
from .terminal import PROGRAM

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONFIG_VARIABLE, STATE_VARIABLE = "FTP_BACKUP_CONFIG_DIRECTORY", "FTP_BACKUP_STATE_DIRECTORY"
_DIRECTORIES = (
    ("--config-directory", CONFIG_VARIABLE, CONFIG_DIRECTORY),
    ("--state-directory", STATE_VARIABLE, STATE_DIRECTORY),
)
_VALUED = [option for option, _variable, _default in _DIRECTORIES]

EXIT_CODES = """\
exit codes:
  0    done, or there was nothing to do
  1    failed
  2    wrong usage: an option, a job file, or something that is not there
  3    done, but something is missing: a partial restore point, or what was warned about in a restore
  4    another run is at work on it
  5    the server cannot be reached, is busy, or broke the connection: the same may work later
  129, 130, 143   stopped by SIGHUP, by Ctrl-C, by SIGTERM
"""

_MAIN = f"""\
commands:
  list         what there is: jobs, destinations, restore points
  find         versions of files, and how to bring each back
  backup       make sure that a job has a fresh restore point
  restore      bring back a restore point, or parts of it
  reindex      find out what lies on a destination
  verify       check what is stored, down to every byte
  scheduled    what a timer runs: backup or reindex, then metrics and ping
  failed       what tells of a failed timer
  check-job, check-reindex, check-settings    check a file that the others read

examples:
  {PROGRAM} list                                   jobs, their newest restore points and their state
  {PROGRAM} find 'nginx.conf'                      versions of a file, with the command that restores each
  {PROGRAM} backup 'web sites'                     back up now, unless there is a fresh restore point
  {PROGRAM} restore 'web sites' /srv/www/shop --target /root/restored
  {PROGRAM} restore 'web sites' --in-place --check  tell what would change

'{PROGRAM} COMMAND --help' tells more of each.

{EXIT_CODES}"""

_EXAMPLES = {
    "list": f"""\
examples:
  {PROGRAM} list
  {PROGRAM} list 'web sites'
  {PROGRAM} list --destination 'Provider storage' --client web02
""",
    "find": f"""\
A GLOB is an absolute path, which means itself and everything below it; * and ? match within a name, ** across
directories, and a backslash takes the meaning from what follows. One that does not begin with a slash is looked for
in all directories. Quote it, or the shell takes it.

examples:
  {PROGRAM} find nginx.conf
  {PROGRAM} find '/etc/nginx/**/*.conf' --job 'web sites'
  {PROGRAM} find /srv/www/shop --at 2026-11-17
  {PROGRAM} find --part 'database:shop*'
""",
    "backup": f"""\
A NAME is that of a job of this host; without any, the only job there is. A failed one does not stop the others.

examples:
  {PROGRAM} backup 'web sites'
  {PROGRAM} backup 'web sites' --force       make one even if the last one is fresh
  {PROGRAM} backup --all --check             tell what would be done
""",
    "restore": f"""\
NAME is a job of this host, and tells destination, job and client. Without it give --destination with --job, or with
--account for a backup that cPanel made; then all words are PATHs.

A PATH means itself and everything below it; wildcards are those of 'find'. Without PATH and --part everything comes
back. Passwords of database servers are read from a file, --server-option-file, and never stand on a command line.

examples:
  {PROGRAM} restore 'web sites' /srv/www/shop --target /root/restored
  {PROGRAM} restore 'web sites' --point 2026-11-17 --in-place --check
  {PROGRAM} restore 'web sites' --in-place --delete-extra
  {PROGRAM} restore shop --part database:shop --load --into shop_yesterday --server-option-file /root/.my.cnf
  {PROGRAM} restore --destination 'cPanel backups' --account bob --part mailbox:info@example.com --target /root/bob
""",
    "reindex": f"""\
examples:
  {PROGRAM} reindex 'cPanel backups'
  {PROGRAM} reindex --all
  {PROGRAM} reindex 'Provider storage' --rebuild      read everything again
""",
    "verify": f"""\
A NAME is that of a job of this host. With --destination, everything of this host there is verified, or what --client
and --job say.

examples:
  {PROGRAM} verify 'web sites'
  {PROGRAM} verify --all --sample 10 --max-duration 4h
  {PROGRAM} verify --destination 'Provider storage' --all-clients
""",
    "scheduled": "Ends with the exit code of the run, whatever becomes of the metrics and the ping.\n",
    "failed": "Runs the command on_failure of agent.json, which finds FTP_BACKUP_UNIT, FTP_BACKUP_KIND, FTP_BACKUP_NAME"
    "\nand FTP_BACKUP_MESSAGE in its environment.\n",
    "check-job": "",
    "check-reindex": "",
    "check-settings": "",
}


class HelpAskedFor(Exception):  # noqa: N818 - it is no error
    """Help or the version was asked for: this is the text."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong with the arguments, so that it is told as all else is."""

    def error(self, message: str) -> t.NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See '{self.prog} --help'.")

    def print_help(self, file: object = None) -> None:
        del file
        raise HelpAskedFor(self.format_help())


def _parser(program: str, description: str, epilog: str = "") -> _Parser:
    parser = _Parser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    general = parser.add_argument_group("general options")
    general.add_argument(
        "--config-directory",
        type=Path,
        metavar="D",
        default=argparse.SUPPRESS,
        help=f"where the host keeps its jobs and destinations; else ${CONFIG_VARIABLE}, else {CONFIG_DIRECTORY}",
    )
    general.add_argument(
        "--state-directory",
        type=Path,
        metavar="D",
        default=argparse.SUPPRESS,
        help=f"where it keeps what it knows of them; else ${STATE_VARIABLE}, else {STATE_DIRECTORY}",
    )
    general.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document, and nothing else"
    )
    general.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help="print errors only")
    return parser


def _whose(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--destination", metavar="D", help=f"{what} this destination")
    parser.add_argument("--client", metavar="C", help="of this client")
    parser.add_argument("--job", metavar="J", help="of this job")


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a job of this host, whose restore points are listed")
    _whose(parser, "restore points on")
    parser.add_argument("--account", metavar="A", help="of this account, where cPanel made the backups")
    parser.add_argument("--limit", type=int, metavar="N", default=100, help="list no more than this (100)")


def _find(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("globs", nargs="*", metavar="GLOB", help="what to look for")
    _whose(parser, "look on")
    parser.add_argument("--account", metavar="A", help="of this account, where cPanel made the backups")
    parser.add_argument(
        "--at", metavar="DATE", help="only as it was then: a date, a time in UTC, the id of a restore point, or latest"
    )
    parser.add_argument(
        "--part", action="append", default=[], metavar="KIND[:NAME]", help="look for parts, such as database:shop*"
    )
    parser.add_argument("--limit", type=int, metavar="N", default=100, help="list no more versions than this (100)")


def _backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="a job of this host")
    parser.add_argument("--all", action="store_true", help="all jobs of this host")
    parser.add_argument("--force", action="store_true", help="make a restore point even if there is a fresh one")
    _check(parser)


def _restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="NAME PATH", help="a job of this host, then what to bring back")
    parser.add_argument("--destination", metavar="D", help="without NAME: where the backup lies")
    parser.add_argument("--job", metavar="J", help="without NAME: the job")
    parser.add_argument("--client", metavar="C", help="the client whose job it is; else this host")
    parser.add_argument("--account", metavar="A", help="the account, where cPanel made the backup")
    parser.add_argument(
        "--point", metavar="P", default="latest", help="latest (as it is without), an id, or a date: not after that"
    )
    parser.add_argument(
        "--part", action="append", default=[], metavar="KIND[:NAME]", help="bring back a part, such as database:shop"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--target", metavar="DIR", help="put everything below this directory, under its full path")
    where.add_argument("--in-place", action="store_true", help="put everything back where it came from")
    parser.add_argument(
        "--overwrite",
        choices=["changed", "always", "never"],
        default="changed",
        help="which files that are there to replace (changed)",
    )
    parser.add_argument("--delete-extra", action="store_true", help="delete what the restore point does not hold")
    parser.add_argument(
        "--owner", choices=["keep", "map", "current"], default="keep", help="owners by number, by name, or you (keep)"
    )
    parser.add_argument("--checksum", action="store_true", help="compare files by content, not by size and time")
    parser.add_argument("--rebuild", choices=["cpmove"], help="bring back the archive of the whole --account")
    databases = parser.add_argument_group("databases")
    databases.add_argument("--load", action="store_true", help="load databases into a server, not into files")
    databases.add_argument("--replace", action="store_true", help="replace a database that has something in it")
    databases.add_argument("--into", metavar="NAME", help="load the database of the one --part under this name")
    databases.add_argument("--server-option-file", metavar="FILE", help="a file of options, as /root/.my.cnf is one")
    databases.add_argument(
        "--server-host", metavar="HOST", help="the server's name or address, if it has no socket here"
    )
    databases.add_argument("--server-port", type=int, metavar="N", help="the server's port")
    databases.add_argument(
        "--server-socket", metavar="PATH", help="the server's socket, if it is not where it always is"
    )
    databases.add_argument("--server-user", metavar="USER", help="who logs in")
    databases.add_argument("--server-programs", metavar="DIR", help="where the client programs are")
    databases.add_argument("--run-as", metavar="USER", help="who runs the client programs, such as postgres")
    _check(parser)


def _reindex(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="DESTINATION", help="a destination of this host")
    parser.add_argument("--all", action="store_true", help="all destinations of this host")
    parser.add_argument("--client", metavar="C", help="only what this client has there")
    parser.add_argument("--rebuild", action="store_true", help="read again what is in the index already")
    _check(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="a job of this host")
    parser.add_argument("--all", action="store_true", help="all jobs of this host")
    _whose(parser, "what lies on")
    parser.add_argument("--all-clients", action="store_true", help="with --destination, the jobs of all clients")
    parser.add_argument("--sample", type=int, metavar="N", default=100, help="read N of a hundred volumes (100)")
    parser.add_argument("--max-duration", metavar="SPAN", help="end after this, such as 4h; the next time goes on")
    parser.add_argument(
        "--on-damage", choices=["fail", "warn"], default="fail", help="what it means if something is lost (fail)"
    )
    parser.add_argument("--check", action="store_true", help="read, but record nothing")


def _scheduled(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, help="what to do")
    parser.add_argument("name", metavar="SLUG", help="of which job or destination: the name of its file, or its own")


def _failed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("unit", metavar="UNIT", help="the unit that failed")


def _check_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="only tell what would be done")


class _Command(t.NamedTuple):
    """What a command is for, and the function that tells its parser what can be said."""

    description: str
    usage: str
    build: Callable[[argparse.ArgumentParser], None]


COMMANDS: Mapping[str, _Command] = {
    "list": _Command(
        "List jobs and destinations, or the restore points of one.",
        "[NAME | --destination D [--client C] [--job J | --account A]]",
        _list,
    ),
    "find": _Command(
        "List versions of files, and the command that brings each back.",
        "GLOB... [--at DATE] [--destination D] [--client C] [--job J | --account A]",
        _find,
    ),
    "backup": _Command(
        "Make sure that jobs have a fresh restore point.", "[NAME... | --all] [--force] [--check]", _backup
    ),
    "restore": _Command(
        "Bring back a restore point, or parts of it.",
        "NAME [PATH...] (--target DIR | --in-place) [--point P] [option...]",
        _restore,
    ),
    "reindex": _Command(
        "Make the index say what lies on a destination.", "[DESTINATION... | --all] [--rebuild] [--check]", _reindex
    ),
    "verify": _Command(
        "Check what is stored, down to every byte.", "[NAME... | --all | --destination D] [option...]", _verify
    ),
    "scheduled": _Command("Do what a timer asks for, and tell of it.", "(backup | reindex) SLUG", _scheduled),
    "failed": _Command("Tell of a timer's run that failed.", "UNIT", _failed),
    "check-job": _Command("Check a job file.", "FILE", _check_file),
    "check-reindex": _Command("Check the file of a destination that a timer reindexes.", "FILE", _check_file),
    "check-settings": _Command("Check a file of settings, as agent.json is one.", "FILE", _check_file),
}


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Return what *argv* says; *command* is None if it says nothing. General options may stand anywhere.

    Raises UsageError, and HelpAskedFor.
    """
    before, name, rest = _split(argv)
    main = _parser(PROGRAM, "Back up to FTP storage, and bring it back.", _MAIN)
    main.usage = f"{PROGRAM} [general options] COMMAND ..."
    main.add_argument("--version", action="store_true", help="print the version")
    general = vars(main.parse_args(before))
    if general.pop("version"):
        raise HelpAskedFor(f"{PROGRAM} {VERSION}")
    if name is None:
        return _with_defaults({**general, "command": None})
    if name == "help":
        return parsed([*rest[:1], "--help"])
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(f"There is no command {name!r}; there are {', '.join(COMMANDS)}. See '{PROGRAM} --help'.")
    parser = _parser(f"{PROGRAM} {name}", command.description, _EXAMPLES[name])
    parser.usage = f"%(prog)s {command.usage}"
    command.build(parser)
    values = vars(parser.parse_intermixed_args(rest, argparse.Namespace()))
    return _with_defaults({**general, **values, "command": name})


def _split(argv: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Return what stands before the command, the command, and what stands behind it."""
    start = 0
    while start < len(argv) and argv[start].startswith("-"):
        start += 2 if argv[start] in _VALUED else 1
    name = argv[start] if start < len(argv) else None
    return list(argv[:start]), name, list(argv[start + 1 :])


def wants_json(argv: Sequence[str]) -> bool:
    """Tell whether *argv*, which may make no sense, asks for JSON."""
    before = argv[: list(argv).index("--")] if "--" in argv else argv
    return "--json" in before


def _with_defaults(values: dict[str, t.Any]) -> argparse.Namespace:
    return argparse.Namespace(**{"json": False, "quiet": False, **values})


def directories_of(arguments: argparse.Namespace) -> Directories:
    """Return which directories are meant: by an option, by the environment, or those that are always meant."""
    words: list[str] = []
    found = []
    for option, variable, default in _DIRECTORIES:
        told = getattr(arguments, option[2:].replace("-", "_"), None)
        meant = Path(os.path.abspath(told or os.environ.get(variable) or default))  # noqa: PTH100 - follows no link
        words += [option, str(meant)] if told else []
        found.append(meant)
    return Directories(found[0], found[1], tuple(words))
