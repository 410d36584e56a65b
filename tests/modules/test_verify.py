# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module verify, as users call it."""

from __future__ import annotations

import random
import sqlite3
import time
import typing as t
from contextlib import closing

import pytest

from . import running
from .hosts import CLIENT, DESTINATION, JOB
from .refusals import assert_one_sentence, assert_sentence, refusal
from .snapshots import contents

if t.TYPE_CHECKING:
    from pathlib import Path

    from .hosts import Host
    from .running import Task

_SECONDS = 60


def verify(host: Host, **changes: object) -> Task:
    return host._task("verify", {"destination": DESTINATION, "client": CLIENT}, changes)


def volumes_of(host: Host) -> list[Path]:
    return sorted(path for path in host.server.root.rglob("*.tar*") if path.is_file())


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def backed_up(declared: Host) -> Host:
    """Return a host with one restore point, and nothing else in the slot."""
    declared.do(declared.backup(retention={"last": 1}))
    return declared


def test_what_is_whole_is_ok_again_and_again(backed_up: Host) -> None:
    before, stored = backed_up.seen(), contents(backed_up.server.root)

    foretold = backed_up.do(verify(backed_up).in_check_mode())
    assert backed_up.seen() == before
    done, again = backed_up.do(verify(backed_up)), backed_up.do(verify(backed_up))

    for result in (foretold, done, again):
        assert not result.changed
        assert result.values["whole"] is True
        assert result.values["verified"]["manifests"] == 1
        assert result.values["verified"]["volumes"] == len(volumes_of(backed_up))
    assert contents(backed_up.server.root) == stored


def test_damage_fails_the_task_is_recorded_and_heals_with_the_next_backup(backed_up: Host) -> None:
    flip(volumes_of(backed_up)[0], 800)

    found, healed, whole = backed_up.play(
        verify(backed_up, on_damage="warn"),
        backed_up.backup(retention={"last": 1}, force=True),
        verify(backed_up),
    )

    assert found.changed
    assert (found.values["whole"], found.values["damaged_file_count"]) == (False, 1)
    (finding,) = found.values["damaged_files"]
    assert (finding["client"], finding["job"], finding["recorded"]) == (CLIENT, JOB, True)
    assert finding["paths"] != []
    assert all(path.startswith(str(backed_up.source)) for path in finding["paths"])
    assert healed.values["bytes_sent"] > 0
    assert whole.values["whole"] is True


def test_damage_is_told_in_a_sentence_with_all_that_was_found(backed_up: Host) -> None:
    flip(volumes_of(backed_up)[0], 800)

    result = backed_up.call(verify(backed_up))

    assert_sentence(backed_up, result, "damage", repr(DESTINATION), repr(JOB), "1 restore point lacks", changed=True)
    assert (result.values["whole"], result.warnings) == (False, [])
    assert result.values["damaged_files"][0]["recorded"] is True
    assert not backed_up.call(verify(backed_up)).changed


def test_the_diff_lists_what_is_recorded(backed_up: Host) -> None:
    volume = volumes_of(backed_up)[0]
    flip(volume, 800)

    foretold = backed_up.call(verify(backed_up, on_damage="warn").in_check_mode(), diff=True)
    done = backed_up.call(verify(backed_up, on_damage="warn"), diff=True)

    before, after = done.diff
    assert before == []
    assert f"{CLIENT} {JOB} s01/v00/{volume.name}" in after[0]
    assert foretold.diff == done.diff
    assert foretold.warnings == done.warnings
    for warning in done.warnings:
        assert_one_sentence(warning)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"job": "weekly"}, "'weekly'"),
        ({"sample": 0}, "sample"),
        ({"all_clients": True}, "all_clients"),
        ({"max_duration": "soon"}, "max_duration"),
        ({"destination": "elsewhere"}, "'elsewhere'"),
    ],
)
def test_what_cannot_be_verified_is_refused(untouched: Host, changes: dict[str, object], named: str) -> None:
    refusal(untouched, verify(untouched, **changes), "usage", named)


def test_a_verification_that_is_killed_is_gone_on_with(declared: Host) -> None:
    chance = random.Random(1)
    for number in range(12):
        (declared.source / f"large {number}").write_bytes(chance.randbytes(1024 * 1024))
    declared.do(declared.backup(volume_size="1M", compression="none"))
    declared.do(declared.destination(bandwidth_limit=2 * 1024 * 1024, max_connections=1))
    count = len(volumes_of(declared))

    process = running.start(declared.home, verify(declared))
    deadline = time.monotonic() + _SECONDS
    while seen_by(declared) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    seen = seen_by(declared)
    declared.do(declared.destination(bandwidth_limit=0))
    rest = declared.do(verify(declared))
    again = declared.do(verify(declared))

    assert 3 <= seen < count
    assert rest.values["verified"]["volumes"] == count - seen
    assert again.values["verified"]["volumes"] == count
    assert not list(declared.state.rglob("verifying"))


def seen_by(host: Host) -> int:
    """Return how many volumes the host knows to have been read."""
    for path in host.state.rglob("verified-*.sqlite"):
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                ((count,),) = connection.execute("SELECT count(*) FROM seen")
                return int(count)
        except sqlite3.OperationalError:
            return 0
    return 0
