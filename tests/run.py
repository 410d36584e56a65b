# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks and tests of the collection, add up what they say, and end with one line.

Usage: tests/run.py [step or group ...]; without any, all of them in turn.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import traceback
import typing as t
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
HOME = CACHE / "home"
COPY = CACHE / "copy" / "ansible_collections" / "stowage" / "ftp_backup"
#: Where the plugins have the name that tests import them by.
PLUGINS = Path(".collections/ansible_collections/stowage/ftp_backup/plugins")

#: The Pythons that modules promise to run on.
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")

#: What users get; an archive that holds anything else at its top has caught a file of the work on the collection.
SHIPPED = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "COPYING", "FILES.json", "LICENSES", "MANIFEST.json", "README.md"),
    *("changelogs", "docs", "meta", "playbooks", "plugins", "roles"),
}


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
    print("$", *command, flush=True)
    try:
        return subprocess.run(command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        print(error, flush=True)
        return 127


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


def listed_files() -> list[Path]:
    """Return what git knows or would add."""
    listed = subprocess.run(
        # A checkout of another user's, as in many containers, is no danger to a mere list.
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in sorted(set(filter(None, listed.split("\0"))))]


def make_copy() -> Path:
    """Copy what git knows or would add to a tree that is named as Ansible names collections, and return its place."""
    shutil.rmtree(COPY, ignore_errors=True)
    for source in listed_files():
        target = COPY / source.relative_to(ROOT)
        if source.is_symlink() or source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    # ansible-test asks the nearest repository above for its files, and ours ignores the copy.
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)
    return COPY


def find_pythons() -> dict[str, Path]:
    """Find an interpreter for each of PYTHONS that really starts and can make virtual environments."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    of_pyenv = list(versions.glob("*/bin/python3.*")) if os.access(versions, os.R_OK | os.X_OK) else []
    found: dict[str, Path] = {}
    for version in PYTHONS:
        on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
        ours = [Path(sys.executable)] if version == "{}.{}".format(*sys.version_info) else []
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
    return check("antsibull-docs", "lint-collection-docs", "--plugin-docs", ".", cwd=make_copy(), environment=OWN_HOME)


def shell_scripts() -> Count:
    """Check every shell script, also those without a suffix, which ansible-test does not look at."""
    scripts = [path for path in listed_files() if path.is_file() and path.read_bytes()[:64].startswith(SHELLS)]
    return check("shellcheck", *scripts)


def changelog() -> Count:
    return check("antsibull-changelog", "lint")


def archive() -> Count:
    """Build what users would install and look at what is in it."""
    place = CACHE / "build"
    shutil.rmtree(place, ignore_errors=True)
    if call("ansible-galaxy", "collection", "build", "--output-path", place, cwd=make_copy()) != 0:
        return FAILED
    (built,) = place.iterdir()
    with tarfile.open(built) as tar:
        stray = {name.split("/")[0] for name in tar.getnames()} - SHIPPED
    if stray:
        print("The archive must not hold these; name them in galaxy.yml's build_ignore:", *sorted(stray), flush=True)
    return FAILED if stray else PASSED


def types() -> Count:
    return check(
        "mypy", PLUGINS, *(name for name in ("tests", "benchmarks", "playbooks") if list(ROOT.glob(f"{name}/**/*.py")))
    )


def types_on_hosts() -> Count:
    """Check what runs on managed hosts for the oldest Python among them."""
    return check("mypy", "--python-version", PYTHONS[0], PLUGINS / "module_utils", PLUGINS / "modules")


def sanity() -> Count:
    """Run all of ansible-test sanity, with a home of its own so that nothing outside the checkout is written."""
    if shutil.which("shellcheck") is None:
        print("ansible-test passes shell scripts unseen where shellcheck is not installed.", flush=True)
        return FAILED
    write_pip_bootstrap(HOME)
    pythons = CACHE / "pythons"
    shutil.rmtree(pythons, ignore_errors=True)
    pythons.mkdir(parents=True)
    for version, interpreter in find_pythons().items():
        (pythons / f"python{version}").symlink_to(interpreter.resolve())
    path = os.pathsep.join([str(Path(sys.executable).parent), str(pythons), os.environ["PATH"]])
    environment = {**OWN_HOME, "PATH": path, "PIP_QUIET": "1"}
    return check("ansible-test", "sanity", "--color", "no", cwd=make_copy(), environment=environment)


def write_pip_bootstrap(home: Path) -> None:
    """Lay the script by which ansible-test gets pip where it looks before it downloads one: Python brings pip along."""
    source = Path(find_package("ansible_test"), "_internal", "python_requirements.py").read_text(encoding="utf-8")
    for version in re.findall(r"pip='([\d.]+)'", source):
        script = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import ensurepip\n\nensurepip.bootstrap()\n", encoding="utf-8")


def units() -> Count:
    return pytest(sys.executable, "pytest")


def matrix(version: str) -> Count:
    """Run the unit tests on one Python, with no more of Ansible around than a managed host gets."""
    interpreter = find_pythons().get(version)
    if interpreter is None:
        print(f"SKIPPED: Python {version} is not on this machine, so the unit tests did not run on it.", flush=True)
        return SKIPPED

    python = CACHE / "matrix" / version / "bin" / "python"
    pins = ROOT / "requirements" / "matrix.txt"
    stamp = python.parent.parent / "installed.txt"
    if not stamp.exists() or stamp.read_bytes() != pins.read_bytes():
        install = ("-m", "pip", "install", "-qq", "--disable-pip-version-check", "--requirement", pins)
        if call(interpreter, "-m", "venv", "--clear", python.parent.parent) or call(python, *install):
            return FAILED
        shutil.copy(pins, stamp)
    return pytest(python, f"matrix-{version}", "tests/unit", environment={"PYTHONPATH": str(make_managed_host())})


def make_managed_host() -> Path:
    """Lay out what ansible-core sends to a managed host, which runs on older Pythons than ansible-core does."""
    place = CACHE / "managed-host"
    shutil.rmtree(place, ignore_errors=True)
    (place / "ansible").mkdir(parents=True)
    (place / "ansible" / "__init__.py").write_text(f"__version__ = '{distribution_version('ansible-core')}'\n")
    (place / "ansible" / "module_utils").symlink_to(find_package("ansible") / "module_utils")
    return place


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
    yield Step("mypy", "types", types)
    yield Step(f"mypy-{PYTHONS[0]}", "types", types_on_hosts)
    yield Step("pytest", "units", units)
    for version in PYTHONS:
        yield Step(f"units-{version}", "matrix", partial(matrix, version))
    yield Step("ansible-test", "sanity", sanity)


def main(names: list[str]) -> int:
    """Run the steps that *names* choose, all of them whatever fails, and return the exit code."""
    steps = list(list_steps())
    unknown = set(names) - {step.name for step in steps} - {step.group for step in steps}
    if unknown:
        print("There is no step or group named", *sorted(unknown), file=sys.stderr)
        return 2

    total, lines = Count(), []
    for step in steps:
        if names and step.name not in names and step.group not in names:
            continue
        print(f"\n=== {step.name}", flush=True)
        start = time.monotonic()
        try:
            count = step.run()
        except Exception:  # noqa: BLE001 - the other steps still run, and this one has failed
            traceback.print_exc()
            count = FAILED
        total += count
        state = "FAILED" if count.failed else "ok" if count.passed else "SKIPPED"
        lines.append(f"{state:8}{step.name:16}{time.monotonic() - start:6.0f} s   {count}")

    print("\n=== Summary", *lines, "", total, sep="\n", flush=True)
    if total.skipped and os.environ.get(NO_SKIPS):
        print(f"What was skipped has failed, because {NO_SKIPS} is set.", file=sys.stderr)
        return 1
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
