# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is stopped in the middle, a terminal that watches, and a reader that goes away."""

from __future__ import annotations

import os
import pty
import signal
import struct
import termios
import time
import typing as t
from fcntl import ioctl

import pytest

from tests.run import PYTHONS, find_pythons

from .hosts import JOB, SECONDS, Said
from .test_deeds import points_on

if t.TYPE_CHECKING:
    from .hosts import Host


@pytest.fixture
def slow_host(host: Host) -> Host:
    """A host whose backup takes minutes, unless it is stopped."""
    host.declare(bandwidth_limit=20_000)
    (host.source / "large.bin").write_bytes(os.urandom(4 * 1024 * 1024))
    host.job(compression="none")
    return host


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "Interrupted"),
        (signal.SIGTERM, 143, "Stopped by SIGTERM"),
        (signal.SIGHUP, 129, "Stopped by SIGHUP"),
    ],
)
def test_a_backup_that_is_stopped_leaves_everything_in_order(
    slow_host: Host, number: signal.Signals, code: int, words: str
) -> None:
    said = slow_host.interrupt(number, "backup", JOB)

    assert said.code == code
    assert said.out == ""
    assert said.err.splitlines()[-1] == (
        f"ftp-backup: web sites: {words}. The next run goes on from the last checkpoint, if there is one; older"
        " restore points are as they were."
    )
    assert "Traceback" not in said.err
    assert points_on(slow_host) == []
    assert list(slow_host.server.root.rglob("lock/*")) == []
    slow_host.declare()
    assert " made in " in slow_host.do("backup", JOB).line


def test_a_restore_that_is_stopped_says_that_it_can_go_on(slow_host: Host) -> None:
    slow_host.declare()
    slow_host.do("backup", JOB)
    slow_host.declare(bandwidth_limit=20_000)

    said = slow_host.interrupt(signal.SIGINT, "restore", JOB, "--target", str(slow_host.target))

    assert said.code == 130
    assert "the same command again goes on from there" in said.err
    slow_host.declare()
    slow_host.do("restore", JOB, "--target", str(slow_host.target))
    assert (
        slow_host.restored(slow_host.source / "large.bin").read_bytes() == (slow_host.source / "large.bin").read_bytes()
    )
    assert [path.name for path in slow_host.target.rglob("*.tmp")] == []


def test_a_document_tells_that_the_run_was_stopped(slow_host: Host) -> None:
    with slow_host.start("backup", JOB, "--json") as process:
        _wait_for_upload(slow_host)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)

    said = Said(process.returncode, out.decode(), err.decode())
    assert said.code == 130
    assert said.document["failure"] == {"kind": "stopped"}


def _wait_for_upload(host: Host) -> None:
    """Wait until the first file is being sent."""
    deadline = time.monotonic() + SECONDS
    while not list(host.server.root.rglob("*.tmp")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Watched:
    """The command on a terminal of its own, with *columns*; what it says there is collected."""

    def __init__(self, host: Host, *words: str, columns: int = 100) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = host.start(*words, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.said = b""

    def read_until(self, text: bytes) -> None:
        """Take what is said until *text* stands in it."""
        while text not in self.said:
            assert self._read(), self.said

    def read_all(self) -> None:
        while self._read():
            pass
        os.close(self._master)
        self.process.wait(timeout=SECONDS)

    def _read(self) -> bool:
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # so ends a terminal that nobody has open any more
            return False
        self.said += chunk
        return bool(chunk)


def test_a_terminal_shows_a_bar_within_its_width_and_nothing_of_it_stays(slow_host: Host) -> None:
    slow_host.declare(bandwidth_limit=2_000_000)
    watched = Watched(slow_host, "backup", JOB, columns=70)
    watched.read_until(b"uploading")
    watched.read_all()

    *drawn, last = watched.said.decode().split("\r")
    bars = [line for line in drawn if line.startswith("uploading")]
    assert any("%" in line and "[" in line and "MiB" in line for line in bars), watched.said
    assert all(len(line) < 70 for line in drawn if line.startswith(("scanning", "uploading", "finishing")))
    shown = [line.rstrip("\r") for line in watched.said.decode().split("\n")]
    assert shown[-2].split("\r")[-1].startswith("web sites: restore point ")
    assert last == "\n"
    assert watched.process.returncode == 0


def test_ctrl_c_on_a_terminal_ends_the_run_and_clears_the_bar(slow_host: Host) -> None:
    watched = Watched(slow_host, "backup", JOB)
    watched.read_until(b"uploading")
    watched.process.send_signal(signal.SIGINT)
    watched.read_all()

    assert watched.process.returncode == 130
    last = watched.said.decode().rstrip().split("\r")[-1]
    assert last.startswith("ftp-backup: web sites: Interrupted. ")


def test_a_terminal_that_goes_away_ends_the_run_cleanly(slow_host: Host) -> None:
    watched = Watched(slow_host, "backup", JOB)
    watched.read_until(b"uploading")
    os.close(watched._master)
    watched.process.send_signal(signal.SIGHUP)

    assert watched.process.wait(timeout=SECONDS) == 129
    slow_host.declare()
    slow_host.do("backup", JOB)


@pytest.mark.parametrize("words", [("list",), ("find", "index.html"), ("backup", JOB), ("list", "--json"), ("--help",)])
def test_a_reader_that_goes_away_is_no_error(host: Host, words: tuple[str, ...]) -> None:
    host.do("backup", JOB)
    reading, writing = os.pipe()
    os.close(reading)

    with host.start(*words, stdout=writing) as process:
        os.close(writing)
        _out, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0
    assert b"roken" not in err
    assert b"Traceback" not in err


def test_an_output_that_is_full_is_told(host: Host) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        said = host.run("list", stdout=full)

    assert said.code == 1
    assert said.error == "Cannot write to standard output: No space left on device."


def test_every_python_that_is_promised_runs_it(host: Host, each_python: str) -> None:
    said = host.run("backup", JOB, python=[each_python])
    listed = host.run("list", python=[each_python])
    helped = host.run("restore", "--help", python=[each_python])
    wrong = host.run("restore", JOB, "--target", python=[each_python])

    assert said.code == 0, said
    assert said.line.startswith("web sites: restore point ")
    assert (listed.code, helped.code, wrong.code) == (0, 0, 2)
    assert "Traceback" not in wrong.err


@pytest.fixture(params=PYTHONS)
def each_python(request: pytest.FixtureRequest) -> str:
    found = find_pythons().get(request.param)
    if found is None:
        pytest.skip(f"Python {request.param} is not on this machine, so the command was not run by it.")
    return str(found)
