# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the engine is put on a host as a command, and how it goes again.

::

    LIBRARY/ftp_backup              a link to the package below, replaced by one rename
    LIBRARY/versions/NAME/ftp_backup/…   one version, written aside and never changed afterwards
    COMMAND                         a small script, written last, that starts what the link leads to

A command that runs holds the kernel's lock on the directory of its version, so that the modules which it has not
imported yet are there when it wants them; a version that is not current goes as soon as nobody holds it.
"""

from __future__ import annotations

import fcntl
import os
import py_compile
import secrets
import shutil
import stat
import sys
import typing as t
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path, PurePosixPath

from .errors import LocalError, UsageError, told_as
from .outcome import Outcome
from .private_files import is_alive, locked
from .version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from importlib.machinery import ModuleSpec

PACKAGE = "ftp_backup"
#: What only works where Ansible is.
LEFT_OUT = "module.py"
_BEGINNING = "__init__.py"
_MARK = "# The command of the collection stowage.ftp_backup; its module agent has written it, and writes it anew."
_SCRIPT = """\
#!{python} -IS
{mark}
import fcntl
import os
import sys


def hold(link):
    \"\"\"Return where the current version is, which stays there until this process ends.\"\"\"
    for _ in range(100):
        version = os.path.dirname(os.path.realpath(link))
        try:
            held = os.open(version, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_SH)
        except OSError as error:
            reason = error
        else:
            if os.path.dirname(os.path.realpath(link)) == version and os.path.isdir(link):
                return version
            os.close(held)
            reason = "it is being replaced"
    sys.exit(f"ftp-backup: {{link}} cannot be used, {{reason}}. Install the agent again.")


sys.path.insert(0, hold({link!r}))
{environment}
from {entry} import {function}  # noqa: E402

sys.exit({function}(sys.argv[1:]))
"""
_TITLE = "the command on this host"
_SHEBANG_LENGTH = 127
_PATIENCE = 60.0


@dataclass(frozen=True)
class Agent:
    """Where the command and what it needs are, who runs it, and what its environment holds if it does not say so."""

    library_directory: Path
    command: Path
    python: str
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def link(self) -> Path:
        return self.library_directory / PACKAGE

    @property
    def versions(self) -> Path:
        return self.library_directory / "versions"

    def script(self, entry: Callable[..., int]) -> str:
        """Return the text of the command, which calls *entry*, a function of the package that this module is in."""
        beginning = __name__.rpartition(".")[0]
        return _SCRIPT.format(
            python=self.python,
            mark=_MARK,
            link=str(self.link),
            entry=f"{PACKAGE}{entry.__module__[len(beginning) :]}",
            function=entry.__name__,
            environment="".join(f"os.environ.setdefault({name!r}, {value!r})\n" for name, value in self.environment),
        )


def read_sources(spec: ModuleSpec) -> dict[str, bytes]:
    """Return the sources beside and below the module that *spec* describes, by path, without LEFT_OUT.

    They are what Ansible has sent with its module, in a zip file, or the files of the collection itself.
    """
    directory = Path(spec.origin or "").parent
    archive = getattr(spec.loader, "archive", None)
    with told_as(f"Cannot read what is in {directory}"):
        if archive is not None:
            found = dict(_in_archive(Path(archive), directory))
        else:
            found = {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*.py")}
    return {path: content for path, content in found.items() if path != LEFT_OUT}


def _in_archive(archive: Path, directory: Path) -> Iterator[tuple[str, bytes]]:
    beginning = f"{directory.relative_to(archive).as_posix()}/"
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if name.startswith(beginning) and name.endswith(".py"):
                yield name[len(beginning) :], opened.read(name)


def stable_python(executable: str) -> str:
    """Return the name of the running interpreter that lasts longest: ``python3`` where that is the same one."""
    general = Path(executable).with_name("python3")
    with suppress(OSError):
        if general.samefile(executable):
            executable = str(general)
    if not executable.startswith("/") or any(mark.isspace() for mark in executable):
        raise UsageError(f"The command cannot be started by the Python {executable!r}: its path must have no spaces.")
    if len(f"#!{executable} -IS") > _SHEBANG_LENGTH:
        raise UsageError(f"The command cannot be started by the Python {executable!r}: its path is too long.")
    return executable


def ensure_present(
    agent: Agent,
    sources: Mapping[str, bytes],
    entry: Callable[..., int],
    *,
    check_mode: bool,
    chance: Callable[[], str] = lambda: secrets.token_hex(4),
) -> Outcome:
    """Make *sources* the package that the command of *agent* runs, beginning with the function *entry*."""
    _check(agent)
    package, script = _with_beginnings(sources), agent.script(entry)
    wanted_package = _facts_of_package(package)
    wanted_command = {str(agent.command): _fact(script.encode("utf-8"), 0o755, os.geteuid())}
    with told_as(f"Cannot look at what is in {agent.library_directory}"):
        found_package, found_command = _found_package(agent), _found_command(agent)
        leftovers = _leftovers(agent)
        replaced = _current(agent) if found_package and found_package != wanted_package else None
        in_use = _in_use([*leftovers, *([str(replaced)] if replaced else [])])
    before = {**found_package, **found_command, **leftovers}
    after = {**wanted_package, **wanted_command, **in_use}
    changed = before != after
    if changed and not check_mode:
        with _alone(agent):
            if found_package != wanted_package:
                _install(agent, package, f"{VERSION}-{chance()}")
            if found_command != wanted_command:
                _replace(agent.command, lambda aside: _write(aside, script.encode("utf-8"), 0o755))
            _tidy(agent)
    return Outcome(changed, _values(agent), _lines(before), _lines(after), _warnings(in_use), _TITLE)


def ensure_absent(agent: Agent, *, check_mode: bool) -> Outcome:
    """Make the command of *agent*, and what it runs, gone; a command that is at work loses what it has not read yet."""
    with told_as(f"Cannot look at what is in {agent.library_directory}"):
        is_ours = _is_ours(agent.command)
        found_command = _found_command(agent) if is_ours else {}
        before = {**_found_package(agent), **found_command, **_leftovers(agent), **_remains(agent)}
    if before and not check_mode:
        with _alone(agent), told_as(f"Cannot remove what is in {agent.library_directory}"):
            if is_ours:
                agent.command.unlink(missing_ok=True)
            if agent.link.is_symlink():
                agent.link.unlink()
            for path in map(Path, _leftovers(agent)):
                _remove(path)
            if agent.versions.is_dir():
                agent.versions.rmdir()
            _lock(agent).unlink(missing_ok=True)
            with suppress(OSError):  # what else is in there is not ours
                agent.library_directory.rmdir()
    return Outcome(bool(before), _values(agent), _lines(before), (), title=_TITLE)


def _lines(facts: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{path}: {fact}" for path, fact in sorted(facts.items()))


def _check(agent: Agent) -> None:
    """Raise unless the agent can be where it is wanted."""
    for option, path in (("library_directory", agent.library_directory), ("command", agent.command)):
        if not path.is_absolute():
            raise UsageError(f"The {option} {path} is not an absolute path.")
        if not path.parent.is_dir():
            raise LocalError(f"The {option} {path} cannot be made: there is no directory {path.parent}.")
    with told_as(f"Cannot look at {agent.command}"):
        if os.path.lexists(agent.command) and not _is_ours(agent.command):
            raise LocalError(f"The file {agent.command} is there already and was not written by this collection.")
        if os.path.lexists(agent.link) and not agent.link.is_symlink():
            raise LocalError(f"{agent.link} is there already and was not made by this collection.")


def _is_ours(command: Path) -> bool:
    """Tell whether *command* is a script of ours."""
    if command.is_symlink() or not command.is_file():
        return False
    return _MARK.encode("utf-8") in command.read_bytes()


def _with_beginnings(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return *sources* with an empty beginning for each package; a package without one is found more slowly."""
    directories = {parent for path in sources for parent in PurePosixPath(path).parents}
    return {**sources, **{(directory / _BEGINNING).as_posix(): b"" for directory in directories}}


def _fact(content: bytes, mode: int, owner: int) -> str:
    return f"{sha256(content).hexdigest()[:16]} {mode:04o} {owner}"


def _facts_of_package(package: Mapping[str, bytes]) -> dict[str, str]:
    """Return how *package* should be found."""
    owner = os.geteuid()
    facts = {f"{PACKAGE}/{path}": _fact(content, 0o644, owner) for path, content in package.items()}
    return {**facts, "compiled for": str(sys.implementation.cache_tag)}


def _found_package(agent: Agent) -> dict[str, str]:
    """Return how the package to which the link leads is found."""
    if not agent.link.is_dir():
        return {}
    files = sorted(agent.link.rglob("*.py"))
    facts = {f"{PACKAGE}/{path.relative_to(agent.link).as_posix()}": _fact_of_file(path) for path in files}
    if all(Path(cache_from_source(str(path))).is_file() for path in files):
        facts["compiled for"] = str(sys.implementation.cache_tag)
    return facts


def _found_command(agent: Agent) -> dict[str, str]:
    return {str(agent.command): _fact_of_file(agent.command)} if agent.command.is_file() else {}


def _fact_of_file(path: Path) -> str:
    status = path.stat()
    return _fact(path.read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid)


def _remains(agent: Agent) -> dict[str, str]:
    """Return what else of ours is there, also where a removal was killed: the library itself, if all in it is ours."""
    ours = [path for path in (agent.link, agent.versions, _lock(agent)) if os.path.lexists(path)]
    if agent.library_directory.is_dir() and set(agent.library_directory.iterdir()) <= {*ours, *_asides(agent.link)}:
        ours.append(agent.library_directory)
    return {str(path): "there" for path in ours}


def _current(agent: Agent) -> Path | None:
    """Return the version to which the link leads."""
    return agent.link.resolve().parent if agent.link.is_symlink() else None


def _leftovers(agent: Agent) -> dict[str, str]:
    """Return what older versions, and installations that were killed, have left."""
    current = _current(agent)
    versions = list(agent.versions.iterdir()) if agent.versions.is_dir() else []
    found = [path for path in versions if current is None or path.resolve() != current]
    return {str(path): "left over" for path in (*found, *_asides(agent.link), *_asides(agent.command))}


def _asides(path: Path) -> Iterator[Path]:
    """Yield what dead processes have written aside of *path*."""
    beginning = f".{path.name}."
    for aside in path.parent.iterdir() if path.parent.is_dir() else ():
        number = aside.name[len(beginning) :]
        if aside.name.startswith(beginning) and number.isdecimal() and not is_alive(int(number)):
            yield aside


def _in_use(leftovers: Iterable[str]) -> dict[str, str]:
    """Return those of the *leftovers* that a command which runs still needs."""
    return {path: "left over" for path in leftovers if not _is_idle(Path(path))}


def _is_idle(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return True
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _warnings(in_use: Mapping[str, str]) -> tuple[str, ...]:
    if not in_use:
        return ()
    return (f"A command is at work that began with an older version: {', '.join(sorted(in_use))} goes the next time.",)


def _lock(agent: Agent) -> Path:
    return agent.library_directory / ".lock"


@contextmanager
def _alone(agent: Agent) -> Iterator[None]:
    """Be the only one that changes what is in the library."""
    with told_as(f"Cannot make the directory {agent.library_directory}"):
        _make_directory(agent.library_directory)
    with locked(_lock(agent), f"What is in {agent.library_directory} is being changed", _PATIENCE):
        yield


def _make_directory(path: Path) -> None:
    """Make *path*, which all may enter and only its owner may change, whatever the umask says."""
    if not path.is_dir():
        path.mkdir(mode=0o755)
        path.chmod(0o755)


def _install(agent: Agent, package: Mapping[str, bytes], name: str) -> None:
    """Put *package* into a version called *name*, and make it the current one."""
    version = agent.versions / name
    with told_as(f"Cannot write {version}"):
        _make_directory(agent.versions)
        _make_directory(version)
        for path, content in sorted(package.items()):
            file = version / PACKAGE / path
            for directory in reversed(list(PurePosixPath(PACKAGE, path).parents)[:-1]):
                _make_directory(version / directory)
            _write(file, content, 0o644)
            _compile(file, agent.link / path)
        _replace(agent.link, lambda aside: aside.symlink_to(version.joinpath(PACKAGE).relative_to(agent.link.parent)))


def _compile(file: Path, shown: Path) -> None:
    """Put what Python makes of *file* beside it; in the words of an error it is called *shown*.

    The file is never changed, so Python need not ask each time whether it was.
    """
    compiled, mode = Path(cache_from_source(str(file))), py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(str(file), str(compiled), str(shown), doraise=True, invalidation_mode=mode)
    except py_compile.PyCompileError as error:
        raise LocalError(f"The Python {sys.executable} cannot compile {shown}: {error.exc_value}.") from error
    compiled.parent.chmod(0o755)
    compiled.chmod(0o644)
    with compiled.open("rb") as written:
        os.fsync(written.fileno())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write the new file *path*, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    """Have *make* make something aside, and give it the name *path*."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with told_as(f"Cannot write {path}"):
        aside.unlink(missing_ok=True)
        try:
            make(aside)
            aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise


def _tidy(agent: Agent) -> None:
    """Remove the leftovers that nobody uses."""
    with told_as(f"Cannot remove what older versions have left in {agent.library_directory}"):
        for path in map(Path, _leftovers(agent)):
            if _is_idle(path):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _values(agent: Agent) -> dict[str, t.Any]:
    return {
        "command": str(agent.command),
        "library_directory": str(agent.library_directory),
        "python": agent.python,
        "version": VERSION,
    }
