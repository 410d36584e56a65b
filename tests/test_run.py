# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that run side by side can be told apart, count as if they ran in turn, and end together."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
import typing as t
from functools import partial
from pathlib import Path

import pytest

from release.checkout import ROOT
from tests import run
from tests.run import (
    FAILED,
    PASSED,
    PYTHONS,
    SKIPPED,
    Commands,
    Count,
    Screen,
    Step,
    call,
    check,
    main,
    run_side_by_side,
    say,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable

#: Lets a test decide in which order commands go on.
UNTIL = """
import pathlib, sys, time
def until(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
"""

#: A command with a child that does not care about interrupts.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
place = pathlib.Path(sys.argv[1])
deaf = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(); time.sleep(120)"
with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
    process.stdout.read(1)
    place.with_suffix(".new").write_text(str(process.pid))
    place.with_suffix(".new").rename(place)
    try:
        time.sleep(120)
    finally:
        place.with_suffix(".cleared").touch()
"""

SIDE_BY_SIDE = f"""
import signal, sys
from tests.run import Commands, Step, check, run_side_by_side
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
Commands.patience = 2.0
names = ("units", "matrix", "sanity")
steps = [
    Step(name, name, lambda name=name: check(sys.executable, "-c", {STUBBORN!r}, f"{{sys.argv[1]}}/{{name}}"))
    for name in names
]
run_side_by_side(steps[:1], steps[1:], sys.stdout.buffer)
"""


def python(code: str) -> Count:
    return check(sys.executable, "-c", UNTIL + textwrap.dedent(code))


def steps(*runs: Callable[[], Count], group: str = "matrix") -> list[Step]:
    return [Step(f"{group}-{number}", group, step) for number, step in enumerate(runs)]


def test_a_whole_text_comes_after_the_line_that_has_begun() -> None:
    stream = io.BytesIO()
    screen = Screen(stream)

    screen.write_whole(b"one\n")
    screen.write_as_it_goes(b"a..")
    screen.write_whole(b"two")
    screen.write_whole(b"three\n")
    screen.write_as_it_goes(b".")
    assert stream.getvalue() == b"one\na..."

    screen.write_as_it_goes(b"a\nb\nc")
    assert stream.getvalue() == b"one\na...a\nb\ntwo\nthree\nc"
    screen.finish_line()
    screen.finish_line()
    assert stream.getvalue() == b"one\na...a\nb\ntwo\nthree\nc\n"


def test_what_runs_beside_is_shown_whole_between_the_lines_of_what_is_shown_as_it_goes(tmp_path: Path) -> None:
    begun, told = (str(tmp_path / name) for name in ("begun", "told"))
    shown = f"""
    print("first line, ", end="", flush=True)
    pathlib.Path({begun!r}).touch()
    until({told!r})
    print("to its end", flush=True)
    """
    beside = f"""
    print("from beside", flush=True)
    until({begun!r})
    print("an error", file=sys.stderr)
    """

    def tell() -> Count:
        Path(told).touch()
        say("told")
        return SKIPPED

    stream = io.BytesIO()
    results = run_side_by_side(
        steps(partial(python, shown), group="units"), steps(partial(python, beside), tell), stream
    )

    assert {name: result.count for name, result in results.items()} == {
        "units-0": PASSED,
        "matrix-0": PASSED,
        "matrix-1": SKIPPED,
    }
    lines = [line for line in stream.getvalue().decode().splitlines() if line]
    assert "first line, to its end" in lines
    at = lines.index("from beside")
    assert lines[at + 1 : at + 3] == ["an error", "=== end of matrix-0"]
    at = lines.index("told")
    assert lines[at - 1 : at + 2] == ["=== matrix-1: SKIPPED after 0 s", "told", "=== end of matrix-1"]


def test_other_steps_run_whatever_fails() -> None:
    def broken() -> Count:
        message = "This step is broken."
        raise ValueError(message)

    def missing() -> Count:
        return PASSED if call("/nowhere/program") == 127 else FAILED

    stream = io.BytesIO()
    results = run_side_by_side(
        steps(broken, missing, group="units"), steps(broken, partial(python, "sys.exit(3)"), missing), stream
    )

    assert [results[f"units-{number}"].count for number in range(2)] == [FAILED, PASSED]
    assert [results[f"matrix-{number}"].count for number in range(3)] == [FAILED, FAILED, PASSED]
    assert stream.getvalue().count(b"ValueError: This step is broken.") == 2


def test_a_lane_that_cannot_go_on_ends_the_other_one() -> None:
    def impossible() -> Count:
        message = "Something is not installed."
        raise SystemExit(message)

    endless = partial(python, "until('/nowhere')")
    with pytest.raises(SystemExit, match="not installed"):
        run_side_by_side(steps(endless, group="units"), steps(impossible), io.BytesIO())


def test_what_a_command_leaves_behind_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commands, "patience_with_output", 0.5)
    leave = "import subprocess; print(subprocess.Popen(['sleep', '120']).pid, flush=True)"
    stream = io.BytesIO()

    results = run_side_by_side(steps(partial(python, leave), group="units"), steps(lambda: PASSED), stream)

    assert results["units-0"].count == PASSED
    (left,) = (int(line) for line in stream.getvalue().splitlines() if line.isdigit())
    assert is_running(left)
    os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_both_lanes_and_all_that_they_started(tmp_path: Path, number: signal.Signals) -> None:
    files = [tmp_path / name for name in ("units", "matrix")]
    both = subprocess.Popen(
        [sys.executable, "-c", SIDE_BY_SIDE, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with both:
        while both.poll() is None and not all(file.exists() for file in files):
            time.sleep(0.01)
        both.send_signal(number)
        try:
            _output, errors = both.communicate(timeout=60)
        finally:
            both.kill()

    assert both.returncode == (-signal.SIGINT if number == signal.SIGINT else 128 + number), errors
    assert all(file.with_suffix(".cleared").exists() for file in files)
    assert not [file for file in files if is_running(int(file.read_text()))]
    assert not (tmp_path / "sanity").exists()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_only_steps_of_two_lanes_run_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ok = partial(python, "print('a word')")
    listed = [Step("ruff", "lint", ok), Step("pytest", "units", ok), Step("units-3.9", "matrix", lambda: SKIPPED)]
    monkeypatch.setattr(run, "list_steps", lambda: iter(listed))
    monkeypatch.setattr(run, "list_steps_on_request", lambda: iter([Step("molecule", "molecule", lambda: FAILED)]))
    monkeypatch.delenv(run.NO_SKIPS, raising=False)

    assert main(["lint", "matrix"]) == 0
    assert b"=== end of" not in capfdbinary.readouterr().out
    assert main([]) == 0
    told = capfdbinary.readouterr().out.decode()
    assert "=== end of ruff" in told
    assert [line.split()[:2] for line in told.partition("=== Summary\n")[2].splitlines()[:3]] == [
        ["ok", "ruff"],
        ["ok", "pytest"],
        ["SKIPPED", "units-3.9"],
    ]
    assert told.endswith("\n2 passed, 0 failed, 1 skipped\n")

    monkeypatch.setenv(run.NO_SKIPS, "1")
    assert main([]) == 1


def test_the_ends_of_the_matrix_run_always_and_what_lies_between_when_it_is_asked_for() -> None:
    always = [step.name for step in run.list_steps() if step.group == "matrix"]
    on_request = [step.name for step in run.list_steps_on_request() if step.group == "matrix"]

    ends = {f"units-{version}" for version in (PYTHONS[0], PYTHONS[-1])} - {f"units-{run.OWN}"}
    assert set(always) == ends
    assert sorted([*always, *on_request]) == sorted(f"units-{version}" for version in PYTHONS if version != run.OWN)
