# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that cannot be: each is refused in a sentence, and no restore point suffers."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
import threading
import typing as t

import pytest
from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped] # it has no annotations

from tests.servers.server import LOOPBACK

from . import running
from .hosts import CLIENT, DESTINATION, JOB
from .refusals import assert_sentence, refusal
from .snapshots import contents
from .strangers import stranger

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import MakeServer
    from tests.servers.server import FtpServer

    from .hosts import Host

    MakeHost = Callable[[FtpServer], Host]

_MEGABYTE = 1024 * 1024


def _noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)


# -- options


@pytest.mark.parametrize("module", ["backup", "restore", "restore_point", "reindex", "backup_info"])
def test_a_destination_nobody_declared(untouched: Host, module: str) -> None:
    task = getattr(untouched, module)(destination="Nowhere")

    refusal(untouched, task, "usage", "'Nowhere'", f"'{DESTINATION}'")


def test_a_destination_where_there_are_none(host: Host) -> None:
    refusal(host, host.backup(), "usage", f"'{DESTINATION}'", "none")


def test_a_path_that_does_not_exist(untouched: Host) -> None:
    missing = untouched.source / "missing"
    refusal(
        untouched, untouched.backup(paths=[str(untouched.source), str(missing)]), "usage", missing, "does not exist"
    )


@pytest.mark.parametrize("path", ["srv", "../srv", "two words"])
def test_a_relative_path(untouched: Host, path: str) -> None:
    refusal(untouched, untouched.backup(paths=[path]), "usage", path, "not absolute")


def test_an_empty_path(untouched: Host) -> None:
    refusal(untouched, untouched.backup(paths=[str(untouched.source), ""]), "usage", "''")


def test_a_path_that_is_a_symbolic_link(untouched: Host) -> None:
    link = untouched.source / "a link"
    refusal(untouched, untouched.backup(paths=[str(link)]), "usage", link, "symbolic link", "a.txt")


def test_a_path_that_is_a_socket(declared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    path = declared.source / "socket"
    monkeypatch.chdir(path.parent)  # the address of a socket is at most 107 bytes long
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(path.name)
    refusal(declared, declared.backup(paths=[str(path)]), "usage", path)


def test_no_paths(untouched: Host) -> None:
    refusal(untouched, untouched.backup(paths=[]), "usage", "paths", "empty")


@pytest.mark.parametrize("last", [0, -1])
@pytest.mark.parametrize("structure", ["incremental", "full"])
def test_a_retention_that_keeps_nothing(untouched: Host, structure: str, last: int) -> None:
    refusal(untouched, untouched.backup(structure=structure, retention={"last": last}), "usage", "retention.last", last)


@pytest.mark.parametrize("age", ["", "soon", "12", "-1h", "1.5h", "12h30m", "1y", "h", "9" * 30 + "w"])
def test_a_max_age_that_is_none(untouched: Host, age: str) -> None:
    refusal(untouched, untouched.backup(max_age=age), "usage", repr(age))


def test_a_max_age_older_than_the_calendar_is_as_good_as_for_ever(declared: Host) -> None:
    task = declared.backup(max_age="9999999d")
    declared.do(task)

    assert not declared.do(task).changed


def test_options_that_ansible_itself_refuses(untouched: Host) -> None:
    for changes, named in (
        ({"structure": "differential"}, ["structure", "incremental, full, deduplicated"]),
        ({"compression": "zip"}, ["compression", "gzip, zstd, none"]),
        ({"on_problem": "ignore"}, ["on_problem", "warn, fail"]),
        ({"verify": "none"}, ["verify", "size, readback"]),
        ({"retention": {"first": 1}}, ["retention", "first"]),
        ({"paths": None}, ["paths"]),
    ):
        refusal(untouched, untouched.backup(**changes), "", *named)


def test_another_structure_for_a_job_that_exists(declared: Host) -> None:
    declared.do(declared.backup())
    stored = contents(declared.server.root)
    for force in (False, True):
        result = declared.call(declared.backup(structure="full", force=force))
        assert_sentence(declared, result, "usage", repr(JOB), "incremental", "full")
        refusal(declared, declared.backup(structure="full", force=force).in_check_mode(), "usage", repr(JOB))

    assert contents(declared.server.root) == stored


# -- the server


def test_a_server_that_hangs_up_on_everybody_is_asked_no_more_often_than_max_retries_says(declared: Host) -> None:
    with stranger(hangs_up=True) as server:
        declared.do(declared.destination(port=server.port, validate=False, max_retries=1))
        result = declared.call(declared.backup())

    assert_sentence(declared, result, "interrupted", f"{LOOPBACK}:{server.port}", "closed the connection")
    connections_at_once = 3
    assert 1 <= len(server.guests) <= connections_at_once


def test_a_destination_without_write_permission(declared: Host) -> None:
    stored = contents(declared.server.root)
    declared.server.root.chmod(0o555)
    result = declared.call(declared.backup())

    assert_sentence(declared, result, "refused", declared.server.host, "clients", "Permission denied")
    assert contents(declared.server.root) == stored


def test_a_full_server_keeps_the_earlier_restore_point_and_nothing_of_the_run(
    make_host: MakeHost, make_pure_ftpd: MakeServer
) -> None:
    host = make_host(make_pure_ftpd(quota_megabytes=3))
    host.do(host.destination())
    task = host.backup(compression="none", force=True)
    first = host.do(task).values["point"]
    stored = _without_quota_file(host)
    host.source.joinpath("big").write_bytes(_noise(5 * _MEGABYTE))
    result = host.call(task)

    assert_sentence(host, result, "space", host.server.host, "552", "Quota exceeded")
    assert result.values["failure"]["code"] == 552
    assert _without_quota_file(host) == stored
    restored = host.do(host.restore())
    assert restored.values["point"]["id"] == first["id"]
    host.source.joinpath("big").unlink()
    assert host.do(task).values["point"]["seq"] == 2


def _without_quota_file(host: Host) -> dict[Path, str]:
    """Return what is stored, without the file in which Pure-FTPd counts."""
    return {path: digest for path, digest in contents(host.server.root).items() if path.name != ".ftpquota"}


# -- two at a time


class _Gate:
    """Holds back every upload of a volume until it is opened."""

    def __init__(self) -> None:
        self.has_come = threading.Event()
        self._is_open = threading.Event()

    def open(self) -> None:
        self._is_open.set()

    def handler(self) -> type:
        """Return a handler for the embedded server; its loop goes on to serve everybody else."""
        gate = self

        def store(self: TLS_FTPHandler, file: str, mode: str = "w") -> object:
            if ".tar" in file and not gate._is_open.is_set():
                gate.has_come.set()
                return self.ioloop.call_later(0.05, self.ftp_STOR, file, mode)
            return TLS_FTPHandler.ftp_STOR(self, file, mode)

        return type("Gated", (TLS_FTPHandler,), {"ftp_STOR": store})


@pytest.fixture
def gate() -> Iterator[_Gate]:
    gate = _Gate()
    yield gate
    gate.open()


def test_a_second_run_of_the_same_job_is_refused_while_one_is_at_work(
    make_host: MakeHost, make_embedded: MakeServer, gate: _Gate
) -> None:
    host = make_host(make_embedded(handler=gate.handler()))
    host.do(host.destination())
    first = running.start(host.home, host.backup())
    assert gate.has_come.wait(30)
    second = host.call(host.backup(force=True))
    gate.open()
    ended = running.ended(first)

    assert_sentence(host, second, "locked", repr(JOB), first.pid)
    assert not ended.failed
    found = host.do(host.backup()).values["point"]
    assert found == {**ended.values["point"], "bytes_sent": 0, "duration": 0}


def test_another_job_and_check_mode_do_not_wait_for_one_that_is_at_work(
    make_host: MakeHost, make_embedded: MakeServer, gate: _Gate
) -> None:
    host = make_host(make_embedded(handler=gate.handler()))
    host.do(host.destination())
    first = running.start(host.home, host.backup())
    assert gate.has_come.wait(30)
    foretold = host.do(host.backup().in_check_mode())
    empty = host.home / "empty"
    empty.mkdir()
    other = host.do(host.backup(job="another", paths=[str(empty)]))
    gate.open()
    ended = running.ended(first)

    assert foretold.values["point"]["seq"] == other.values["point"]["seq"] == 1
    assert not ended.failed


def test_a_run_that_was_killed_hinders_nobody(make_host: MakeHost, make_embedded: MakeServer, gate: _Gate) -> None:
    host = make_host(make_embedded(handler=gate.handler()))
    host.do(host.destination())
    first = running.start(host.home, host.backup())
    assert gate.has_come.wait(30)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    gate.open()
    result = host.do(host.backup())

    assert result.values["point"]["seq"] == 1
    assert not [path for path in contents(host.server.root) if path.name.endswith(".tmp")]


# -- whose job it is


def test_another_host_under_the_same_client_name_is_refused(declared: Host, make_host: MakeHost) -> None:
    declared.do(declared.backup())
    stored = contents(declared.server.root)
    other = make_host(declared.server)
    other.do(other.destination())

    refusal(other, other.backup().in_check_mode(), "foreign", repr(JOB), repr(CLIENT), "adopt: true")
    refusal(other, other.backup(), "foreign", repr(JOB), repr(CLIENT), repr(DESTINATION), "adopt: true")
    assert contents(other.server.root) == stored
    assert other.do(other.backup(client="web02")).values["point"]["client"] == "web02"
    assert other.do(other.backup(client=None, force=True)).values["point"]["client"] == "web02"
    assert declared.do(declared.backup(force=True)).values["point"]["seq"] == 2


def test_a_rebuilt_host_goes_on_once_it_adopts_the_job(declared: Host, make_host: MakeHost) -> None:
    declared.do(declared.backup())
    rebuilt = make_host(declared.server)
    rebuilt.do(rebuilt.destination())
    foretold = rebuilt.do(rebuilt.backup(adopt=True).in_check_mode())
    done = rebuilt.do(rebuilt.backup(adopt=True))

    assert foretold.values["point"]["seq"] == done.values["point"]["seq"] == 2
    result = declared.call(declared.backup(force=True))
    assert_sentence(declared, result, "foreign", repr(JOB), "adopt: true")


def test_a_job_is_adopted_while_its_restore_point_is_fresh_and_that_is_a_change(declared: Host) -> None:
    first = declared.do(declared.backup()).values["point"]
    (declared.config / "client.json").unlink()
    task = declared.backup(adopt=True)
    before = declared.seen()
    foretold = declared.do(task.in_check_mode())
    assert declared.seen() == before
    done, again = declared.do(task), declared.do(declared.backup())

    assert [result.changed for result in (foretold, done, again)] == [True, True, False]
    assert [result.values["point"]["id"] for result in (foretold, done, again)] == [first["id"]] * 3


# -- the host's own files


def test_a_state_directory_that_is_a_file(declared: Host) -> None:
    stored = contents(declared.server.root)
    shutil.rmtree(declared.state)
    declared.state.write_text("a file\n")
    result = declared.call(declared.backup())

    assert_sentence(declared, result, "local", declared.state)
    assert declared.state.read_text() == "a file\n"
    assert contents(declared.server.root) == stored


@pytest.mark.parametrize("written", ["{", "[]", "{}", '{"id": "0"}'])
def test_an_identity_that_is_damaged(declared: Host, written: str) -> None:
    path = declared.config / "client.json"
    path.write_text(written)
    refusal(declared, declared.backup(client=None), "local", path)


def test_a_file_that_cannot_be_read_makes_the_restore_point_partial_and_is_named(declared: Host) -> None:
    unreadable = "/proc/self/mem"
    result = declared.do(declared.backup(paths=[str(declared.source), unreadable]))

    assert result.changed
    assert result.values["point"]["complete"] is False
    assert result.values["point"]["problems"] == [{"path": unreadable, "problem": "Input/output error"}]
    assert len(result.warnings) == 1
    assert unreadable in result.warnings[0]
    assert "partial" in declared.do(declared.restore()).warnings[0]
    assert declared.do(declared.backup()).changed, "a partial restore point is never fresh"
