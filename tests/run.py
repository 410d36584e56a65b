# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks and tests of the collection, add up what they say, and end with one line.

Usage: python -m tests.run [step or group ...]; without any, all of them.

Two lanes run side by side: pytest, which takes longer than all else together, is shown as it goes, and the other steps
run in turn beside it, each shown whole when it has ended. Steps that all belong into one lane just run in turn.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
import typing as t
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from release.checkout import CACHE, HOME, ROOT, listed_files, make_copy

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COPIES = CACHE / "copy"
#: Where the plugins have the name that tests import them by.
PLUGINS = Path(".collections/ansible_collections/stowage/ftp_backup/plugins")

#: The Pythons that modules promise to run on.
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
#: The one that runs this, and on which the step `pytest` runs the unit tests.
OWN = "{}.{}".format(*sys.version_info[:2])


@dataclass(frozen=True)
class Count:
    """How many tests ended in which way; a check is one test."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


PASSED = Count(passed=1)
FAILED = Count(failed=1)
SKIPPED = Count(skipped=1)


@dataclass(frozen=True)
class Step:
    """One thing to run, alone by its name or with its group."""

    name: str
    group: str
    run: Callable[[], Count]


@dataclass(frozen=True)
class Result:
    """How a step ended, and how long it took."""

    count: Count
    seconds: float

    @property
    def state(self) -> str:
        """Return the one word for it."""
        return "FAILED" if self.count.failed else "ok" if self.count.passed else "SKIPPED"


#: What runs the pages of the documentation.
PAGES = "tests/documentation/test_pages.py"

#: The group that has a lane of its own when others run as well.
LONGEST = "units"

#: How a shell script begins.
SHELLS = (b"#!/usr/bin/env bash\n", b"#!/bin/bash\n", b"#!/bin/sh\n")

#: For programs that write to the home directory unasked.
OWN_HOME = {"HOME": str(HOME)}

#: What would make the same command run fewer tests, or judge them by other rules, on another developer's machine.
FOREIGN = {"PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONWARNINGS"}

#: Where it is set, as in continuous integration, what was skipped is a failure.
NO_SKIPS = "TESTS_MUST_ALL_RUN"


def call(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> int:
    """Run *command* with its output on ours and return its exit code; a program that is not there is a failure."""
    variables = {name: value for name, value in os.environ.items() if name not in FOREIGN} | dict(environment or {})
    say("$", *command)
    lane = LANE.get()
    try:
        if lane is not None:
            return lane.call(command, cwd, variables)
        return subprocess.run(command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        say(error)
        return 127


def say(*words: object) -> None:
    """Print *words* as a line of the step that runs."""
    lane = LANE.get()
    if lane is None:
        print(*words, flush=True)
    else:
        lane.write((" ".join(map(str, words)) + "\n").encode(errors="surrogateescape"))


class Commands:
    """The commands of all lanes, each in a session of its own, so that it can be ended with all that it started.

    Without a terminal, too: none of them may read what is typed.
    """

    #: How long a command may take to clear up when it is interrupted, in seconds.
    patience = 5.0
    #: How long the last of a command's output may take once it has ended, in seconds.
    patience_with_output = 5.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_over = False

    def run(
        self, command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str], write: Callable[[bytes], None]
    ) -> int:
        """Run *command*, give what it says to *write* as it comes, and return its exit code."""
        with self._lock:
            self._stop_if_over()
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
        reader = threading.Thread(target=_read, args=(process, write), daemon=True)
        reader.start()
        code = process.wait()
        # What a command has left behind may hold the pipe for ever.
        reader.join(self.patience_with_output)
        with self._lock:
            self._stop_if_over()
            self._running.remove(process)
        return code

    def end(self) -> None:
        """Interrupt every command as a terminal would, kill what has not ended after a while, and start no more."""
        with self._lock:
            self._is_over = True
        deadline = time.monotonic() + self.patience
        self._signal(signal.SIGINT)
        try:
            for process in self._running:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _stop_if_over(self) -> None:
        if self._is_over:
            raise KeyboardInterrupt


def _read(process: subprocess.Popen[bytes], write: Callable[[bytes], None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        while content := os.read(process.stdout.fileno(), 1 << 16):
            write(content)


class Screen:
    """What two lanes print on: one as it goes, the other whole texts that come between the lines of the first."""

    def __init__(self, stream: t.BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._is_amid_line = False
        self._waiting = b""

    def write_as_it_goes(self, content: bytes) -> None:
        """Print *content* at once, and what has waited for the end of a line."""
        with self._lock:
            lines, newline, rest = content.rpartition(b"\n")
            if newline:
                self._put(lines + newline + self._waiting)
                self._waiting = b""
            self._put(rest)

    def write_whole(self, text: bytes) -> None:
        """Print *text* as soon as no line is unfinished."""
        with self._lock:
            self._waiting += text if text.endswith(b"\n") else text + b"\n"
            if not self._is_amid_line:
                self._put(self._waiting)
                self._waiting = b""

    def finish_line(self) -> None:
        """End the line that may be unfinished."""
        if self._is_amid_line:
            self.write_as_it_goes(b"\n")

    def _put(self, content: bytes) -> None:
        if content:
            self._stream.write(content)
            self._stream.flush()
            self._is_amid_line = not content.endswith(b"\n")


@dataclass(frozen=True)
class Lane:
    """Where a step runs, and what takes what it says, while another runs beside it."""

    commands: Commands
    write: Callable[[bytes], None]

    def call(self, command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str]) -> int:
        """Run *command* and return its exit code."""
        return self.commands.run(command, cwd, variables, self.write)


#: The lane of the step that this thread runs; without one, everything goes straight to our own output.
LANE: ContextVar[Lane | None] = ContextVar("LANE", default=None)


def check(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> Count:
    """Run *command* as one test."""
    return PASSED if call(*command, cwd=cwd, environment=environment) == 0 else FAILED


def pytest(
    python: Path | str, report_name: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Count:
    """Run pytest and count by its own report; a run that fails without a failed test counts as one."""
    report = CACHE / "reports" / f"{report_name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    code = call(python, "-m", "pytest", f"--junit-xml={report}", *arguments, environment=environment)

    count = read_report(report) if report.exists() else Count()
    if code != 0 and count.failed == 0:
        count += FAILED
    return count


def read_report(report: Path) -> Count:
    """Add up the tests of a JUnit file."""
    count = Count()
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        outcomes = {child.tag for child in case}
        count += FAILED if outcomes & {"failure", "error"} else SKIPPED if "skipped" in outcomes else PASSED
    return count


def make_own_copy() -> Path:
    """Lay a clean copy of this checkout where Ansible finds the collection, and return its place."""
    copy = make_copy(COPIES)
    # ansible-test asks the nearest repository above for its files, and ours ignores the copy.
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    return copy


def find_pythons() -> dict[str, Path]:
    """Find an interpreter for each of PYTHONS that really starts and can make virtual environments."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    of_pyenv = list(versions.glob("*/bin/python3.*")) if os.access(versions, os.R_OK | os.X_OK) else []
    found: dict[str, Path] = {}
    for version in PYTHONS:
        on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
        ours = [Path(sys.executable)] if version == OWN else []
        in_pyenv = sorted(path for path in of_pyenv if path.name == f"python{version}")
        for candidate in [*ours, *on_path, *in_pyenv]:
            if candidate.is_file() and is_python(candidate, version):
                found[version] = candidate
                break
    return found


def is_python(candidate: Path, version: str) -> bool:
    """Tell whether *candidate* is that version: a shim of pyenv may stand for an interpreter that is not there."""
    question = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def ansible_lint() -> Count:
    return check("ansible-lint", "--offline", "--profile", "production")


def documentation() -> Count:
    HOME.mkdir(parents=True, exist_ok=True)
    copy = make_own_copy()
    return check("antsibull-docs", "lint-collection-docs", "--plugin-docs", ".", cwd=copy, environment=OWN_HOME)


def shell_scripts() -> Count:
    """Check every shell script, also those without a suffix, which ansible-test does not look at."""
    scripts = [path for path in listed_files() if path.is_file() and path.read_bytes()[:64].startswith(SHELLS)]
    return check("shellcheck", *scripts)


def changelog() -> Count:
    return check("antsibull-changelog", "lint")


def archive() -> Count:
    """Build what users would install and look at what is in it."""
    return check(sys.executable, "-m", "release.archive")


def galaxy_importer() -> Count:
    """Have Galaxy's own importer judge what users would install."""
    return check(sys.executable, "-m", "release.import_archive")


def site() -> Count:
    """Build the reference and the guides as a site."""
    return check(sys.executable, "-m", "release.build_site")


def types() -> Count:
    beside = ("tests", "release", "benchmarks", "playbooks")
    return check("mypy", PLUGINS, *(name for name in beside if list(ROOT.glob(f"{name}/**/*.py"))))


def types_on_hosts() -> Count:
    """Check what runs on managed hosts for the oldest Python among them."""
    return check("mypy", "--python-version", PYTHONS[0], PLUGINS / "module_utils", PLUGINS / "modules")


def sanity() -> Count:
    """Run all of ansible-test sanity, with a home of its own so that nothing outside the checkout is written."""
    if shutil.which("shellcheck") is None:
        say("ansible-test passes shell scripts unseen where shellcheck is not installed.")
        return FAILED
    write_pip_bootstrap(HOME)
    pythons = CACHE / "pythons"
    shutil.rmtree(pythons, ignore_errors=True)
    pythons.mkdir(parents=True)
    for version, interpreter in find_pythons().items():
        (pythons / f"python{version}").symlink_to(interpreter.resolve())
    path = os.pathsep.join([str(Path(sys.executable).parent), str(pythons), os.environ["PATH"]])
    environment = {**OWN_HOME, "PATH": path, "PIP_QUIET": "1"}
    return check("ansible-test", "sanity", "--color", "no", cwd=make_own_copy(), environment=environment)


def write_pip_bootstrap(home: Path) -> None:
    """Lay the script by which ansible-test gets pip where it looks before it downloads one: Python brings pip along."""
    source = Path(find_package("ansible_test"), "_internal", "python_requirements.py").read_text(encoding="utf-8")
    for version in re.findall(r"pip='([\d.]+)'", source):
        script = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import ensurepip\n\nensurepip.bootstrap()\n", encoding="utf-8")


def units() -> Count:
    """Run all of pytest by two workers, for the half of its time it waits; a file is one worker's, with its servers."""
    return pytest(sys.executable, "pytest", "--numprocesses=2", "--dist=loadfile", f"--ignore={PAGES}")


def pages() -> Count:
    """Run what stands in the pages of the documentation, on hosts of their own, which take root and podman."""
    # Nothing that pytest keeps is shared with the pytest that may run beside this one.
    cache = f"--override-ini=cache_dir={CACHE / 'pytest-pages'}"
    return pytest(sys.executable, "pages", "--numprocesses=0", cache, PAGES)


def matrix(version: str) -> Count:
    """Run the unit tests on one Python, with no more of Ansible around than a managed host gets."""
    interpreter = find_pythons().get(version)
    if interpreter is None:
        say(f"SKIPPED: Python {version} is not on this machine, so the unit tests did not run on it.")
        return SKIPPED

    python = CACHE / "matrix" / version / "bin" / "python"
    pins = ROOT / "requirements" / "matrix.txt"
    stamp = python.parent.parent / "installed.txt"
    if not stamp.exists() or stamp.read_bytes() != pins.read_bytes():
        install = ("-m", "pip", "install", "-qq", "--disable-pip-version-check", "--requirement", pins)
        if call(interpreter, "-m", "venv", "--clear", python.parent.parent) or call(python, *install):
            return FAILED
        shutil.copy(pins, stamp)
    # What pytest and hypothesis keep is not shared with the pytest that may run beside this one.
    own = python.parent.parent
    environment = {"PYTHONPATH": str(make_managed_host()), "HYPOTHESIS_STORAGE_DIRECTORY": str(own / "hypothesis")}
    cache = f"--override-ini=cache_dir={own / 'pytest'}"
    return pytest(python, f"matrix-{version}", cache, "tests/unit", environment=environment)


def make_managed_host() -> Path:
    """Lay out what ansible-core sends to a managed host, which runs on older Pythons than ansible-core does."""
    place = CACHE / "managed-host"
    shutil.rmtree(place, ignore_errors=True)
    (place / "ansible").mkdir(parents=True)
    (place / "ansible" / "__init__.py").write_text(f"__version__ = '{distribution_version('ansible-core')}'\n")
    (place / "ansible" / "module_utils").symlink_to(find_package("ansible") / "module_utils")
    return place


def molecule() -> Count:
    """Run all scenarios of Molecule; each is one test, and one that lacks a playbook is none."""
    place = ROOT / "extensions" / "molecule"
    scenarios = sorted(path.parent for path in place.glob("*/molecule.yml") if path.parent.name != "default")
    for scenario in scenarios:
        for playbook in ("converge.yml", "verify.yml"):
            if not (scenario / playbook).is_file():
                say(f"The scenario {scenario.name} has no {playbook}.")
                return FAILED
    if os.geteuid() != 0 or shutil.which("podman") is None:
        say("SKIPPED: the scenarios of Molecule need root and podman.")
        return Count(skipped=len(scenarios))
    code = call("molecule", "test", "--all", environment={"COLUMNS": "160"})
    return FAILED if code else Count(passed=len(scenarios))


def find_package(name: str) -> Path:
    """Find the folder of an installed package without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        message = f"{name} is not installed; run this by make, which installs it."
        raise SystemExit(message)
    return Path(spec.origin).parent


def list_steps() -> Iterator[Step]:
    yield Step("ruff-check", "lint", lambda: check("ruff", "check"))
    yield Step("ruff-format", "lint", lambda: check("ruff", "format", "--check"))
    yield Step("yamllint", "lint", lambda: check("yamllint", "--strict", "."))
    yield Step("ansible-lint", "lint", ansible_lint)
    yield Step("documentation", "lint", documentation)
    yield Step("shellcheck", "lint", shell_scripts)
    yield Step("changelog", "lint", changelog)
    yield Step("archive", "lint", archive)
    yield Step("galaxy-importer", "lint", galaxy_importer)
    yield Step("site", "lint", site)
    yield Step("mypy", "types", types)
    yield Step(f"mypy-{PYTHONS[0]}", "types", types_on_hosts)
    yield Step("pytest", "units", units)
    yield from (step_on(version) for version in (PYTHONS[0], PYTHONS[-1]) if version != OWN)
    yield Step("ansible-test", "sanity", sanity)
    yield Step("pages", "pages", pages)


def list_steps_on_request() -> Iterator[Step]:
    """Yield what runs only when it is asked for: what takes hosts of its own, or long and seldom finds a thing."""
    yield from (step_on(version) for version in PYTHONS[1:-1] if version != OWN)
    yield Step("molecule", "molecule", molecule)


def step_on(version: str) -> Step:
    """Return the step that runs the unit tests on one Python."""
    return Step(f"units-{version}", "matrix", partial(matrix, version))


def run_step(step: Step) -> Result:
    """Run *step*, whatever it raises."""
    start = time.monotonic()
    try:
        count = step.run()
    except Exception:  # noqa: BLE001 - the other steps still run, and this one has failed
        say(traceback.format_exc())
        count = FAILED
    return Result(count, time.monotonic() - start)


def run_in_turn(steps: Sequence[Step]) -> dict[str, Result]:
    """Run *steps* one after another, with their output on ours, and return the results by name."""
    results = {}
    for step in steps:
        print(f"\n=== {step.name}", flush=True)
        results[step.name] = run_step(step)
    return results


def run_side_by_side(shown: Sequence[Step], beside: Sequence[Step], stream: t.BinaryIO) -> dict[str, Result]:
    """Run *shown* in turn and print them as they go, and *beside* in turn at the same time, each printed at its end."""
    screen, commands = Screen(stream), Commands()
    names = ", ".join(step.name for step in beside)
    screen.write_whole(f"Side by side, each shown whole when it has ended: {names}".encode())
    with _orderly_ends(), ThreadPoolExecutor(2) as threads:
        try:
            lanes = [
                threads.submit(_run_shown, shown, screen, commands),
                threads.submit(_run_beside, beside, screen, commands),
            ]
            done = wait(lanes, return_when=FIRST_EXCEPTION).done
            return {name: result for lane in done for name, result in lane.result().items()}
        except BaseException:
            commands.end()
            raise


def _run_shown(steps: Sequence[Step], screen: Screen, commands: Commands) -> dict[str, Result]:
    results = {}
    LANE.set(Lane(commands, screen.write_as_it_goes))
    for step in steps:
        say(f"\n=== {step.name}")
        results[step.name] = run_step(step)
        screen.finish_line()
    return results


def _run_beside(steps: Sequence[Step], screen: Screen, commands: Commands) -> dict[str, Result]:
    results = {}
    for step in steps:
        said = bytearray()
        LANE.set(Lane(commands, said.extend))
        result = results[step.name] = run_step(step)
        head = f"\n=== {step.name}: {result.state} after {result.seconds:.0f} s\n"
        screen.write_whole(head.encode() + said.rstrip(b"\n") + f"\n=== end of {step.name}\n".encode())
    return results


@contextmanager
def _orderly_ends() -> Iterator[None]:
    """Let signals that end this program raise, as Ctrl-C does, so that no command outlives it."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def main(names: list[str]) -> int:
    """Run the steps that *names* choose, all of them whatever fails, and return the exit code."""
    steps = [*list_steps(), *(list_steps_on_request() if names else ())]
    unknown = set(names) - {step.name for step in steps} - {step.group for step in steps}
    if unknown:
        print("There is no step or group named", *sorted(unknown), file=sys.stderr)
        return 2

    chosen = [step for step in steps if not names or step.name in names or step.group in names]
    longest = [step for step in chosen if step.group == LONGEST]
    others = [step for step in chosen if step.group != LONGEST]
    side_by_side = longest and others
    results = run_side_by_side(longest, others, sys.stdout.buffer) if side_by_side else run_in_turn(chosen)

    total, lines = Count(), []
    for step in chosen:
        result = results[step.name]
        total += result.count
        lines.append(f"{result.state:8}{step.name:16}{result.seconds:6.0f} s   {result.count}")

    print("\n=== Summary", *lines, "", total, sep="\n", flush=True)
    if total.skipped and os.environ.get(NO_SKIPS):
        print(f"What was skipped has failed, because {NO_SKIPS} is set.", file=sys.stderr)
        return 1
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
