# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module in the order check, do, do again: what is foretold comes true, and then all is as it is."""

from __future__ import annotations

import os
import re
import typing as t

import pytest

from .hosts import CLIENT, DESTINATION, JOB
from .snapshots import contents

if t.TYPE_CHECKING:
    from pathlib import Path

    from .hosts import Host
    from .running import Result, Task

SIZE = 14 + 256 * 400

# What only a run that is done knows, or what is drawn anew by every run.
_OF_ONE_RUN = ("id", "created", "bytes_sent", "duration")


def _check_do_again(host: Host, task: Task) -> tuple[Result, Result, Result]:
    """Return the results of the three runs, having shown that check mode touched nothing."""
    before = host.seen()
    foretold = host.do(task.in_check_mode(), diff=True)
    assert host.seen() == before
    return foretold, host.do(task, diff=True), host.do(task, diff=True)


def _check_do_again_by_ansible(host: Host, task: Task) -> tuple[Result, Result, Result]:
    before = host.seen()
    (foretold,) = host.play(task.in_check_mode(), diff=True)
    assert host.seen() == before
    done, again = host.play(task, task, diff=True)
    return foretold, done, again


def _promised(result: Result) -> tuple[bool, dict[str, t.Any], list[tuple[int, str]]]:
    """Return what check mode promises of a backup."""
    point = {key: value for key, value in result.values["point"].items() if key not in _OF_ONE_RUN}
    return result.changed, point, [(gone["seq"], gone["reason"]) for gone in result.values["pruned"]]


def _is_ok(result: Result) -> bool:
    return not result.failed and not result.changed


def _differing(result: Result) -> set[str]:
    """Return the options whose lines differ in the diff."""
    before, after = map(set, result.diff)
    return {line.partition(":")[0] for line in before ^ after}


def _shown(result: Result) -> dict[str, t.Any]:
    """Return what the server showed of itself, without the time of day and the number of users in its greeting."""
    server: dict[str, t.Any] = result.values["server"]
    return {**server, "banner": re.sub(r"\d+", "N", server["banner"])}


# What of a server can only be known by writing there, which check mode does not do.
_TRIED_BY_WRITING = {
    *("session_reuse", "pipelined_login", "absolute_paths", "rename", "exclusive_mkdir", "restart", "site_chmod"),
    "time_skew",
}


def _kept(host: Host) -> dict[Path, str]:
    """Return the content of every file of host and server, but for locks, which tell who held them last."""
    files = contents(host.config, host.state, host.target, host.server.root)
    return {path: digest for path, digest in files.items() if not path.name.endswith("lock")}


# -- destination


def test_a_destination_is_foretold_then_declared_then_ok(host: Host) -> None:
    foretold, done, again = _check_do_again_by_ansible(host, host.destination())

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    for key in ("destination", "diff"):
        assert foretold.values[key] == done.values[key], key
    seen, tried = _shown(foretold), _shown(done)
    assert {key for key in seen if seen[key] != tried[key]} == _TRIED_BY_WRITING
    assert {seen[key] for key in _TRIED_BY_WRITING} == {None}
    assert None not in {tried[key] for key in _TRIED_BY_WRITING}
    assert {path.name for path in contents(host.server.root)} == {"destination.json", "readme.txt", "recover.py"}


def test_a_directory_that_is_missing_is_made_but_not_in_check_mode(host: Host) -> None:
    inside = host.server.directory.relative_to("/") / "a" / "b"
    foretold, done, again = _check_do_again(host, host.destination(directory=str(inside)))

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    assert host.server.root.joinpath("a", "b", "readme.txt").exists()


def test_declaring_the_same_again_leaves_every_file_as_it_is(declared: Host) -> None:
    before = _kept(declared)

    assert _is_ok(declared.do(declared.destination()))
    assert _kept(declared) == before


def test_a_changed_option_is_foretold_then_kept_then_ok(declared: Host) -> None:
    foretold, done, again = _check_do_again(declared, declared.destination(timeout=11, max_connections=2))

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    assert foretold.values["diff"] == done.values["diff"]
    assert _differing(done) == {"timeout", "max_connections"}
    assert _differing(again) == set()


def test_another_password_is_a_change_whose_diff_tells_neither(declared: Host) -> None:
    task = declared.destination(password="another one", validate=False)
    foretold, done, again = _check_do_again(declared, task)

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    assert _differing(done) == {"password"}
    assert not any(
        secret in result.output
        for secret in ("another one", declared.server.password)
        for result in (foretold, done, again)
    )


def test_a_destination_is_foretold_as_forgotten_then_forgotten_then_ok_and_its_backups_stay(declared: Host) -> None:
    declared.do(declared.backup())
    stored = contents(declared.server.root)
    task = declared.destination(state="absent", host=None, username=None, password=None)
    foretold, done, again = _check_do_again(declared, task)

    assert (foretold.changed, done.changed, again.changed) == (True, True, False)
    assert done.values["declaration"]["name"] == DESTINATION
    assert foretold.values["diff"] == done.values["diff"]
    assert done.diff[1] == []
    assert contents(declared.config / "destinations") == {}
    assert contents(declared.server.root) == stored


def test_of_a_destination_that_is_forgotten_is_returned_what_is_shown_of_it(declared: Host) -> None:
    (shown,) = declared.do(declared.destination_info()).values["destinations"]
    task = declared.destination(state="absent", host=None, username=None, password=None)

    assert declared.do(task).values["declaration"] == shown
    assert declared.do(task).values["declaration"] is None


def test_destinations_are_listed_and_probed_and_nothing_changes(declared: Host) -> None:
    before = declared.seen()
    listed, probed = declared.play(declared.destination_info(), declared.destination_info(probe=True), verbosity=3)

    assert _is_ok(listed)
    assert _is_ok(probed)
    assert [found["name"] for found in listed.values["destinations"]] == [DESTINATION]
    assert "password" not in listed.values["destinations"][0]
    assert probed.values["destinations"][0]["server"]["verdict"] == "unix"
    assert declared.server.password not in listed.output
    assert declared.seen() == before


def test_a_probe_tells_of_each_server_that_cannot_be_asked_why(declared: Host) -> None:
    declared.do(declared.destination(name="Gone", port=1, validate=False))
    result = declared.do(declared.destination_info(probe=True))

    gone, other = result.values["destinations"]
    assert gone["failure"] == {
        "kind": "unreachable",
        "msg": f"Cannot connect to {declared.server.host}:1: Connection refused.",
    }
    assert "server" not in gone
    assert other["server"]["verdict"] == "unix"


# -- backup


def test_a_backup_is_foretold_then_made_then_ok_while_it_is_fresh(declared: Host) -> None:
    foretold, done, again = _check_do_again_by_ansible(declared, declared.backup())

    assert _promised(foretold) == _promised(done)
    assert done.changed
    point = done.values["point"]
    assert (point["seq"], point["pool"], point["structure"]) == (1, "s01", "incremental")
    assert (point["client"], point["job"], point["complete"]) == (CLIENT, JOB, True)
    assert (point["entries"], point["bytes"]) == (6, SIZE)
    assert _is_ok(again)
    assert again.values["point"] == {**point, "bytes_sent": 0, "duration": 0}
    assert (done.values["bytes_sent"] > 0, again.values["bytes_sent"]) == (True, 0)
    assert point["bytes_sent"] == done.values["bytes_sent"]


def test_a_fresh_restore_point_is_found_and_every_file_stays_as_it_is(declared: Host) -> None:
    declared.do(declared.backup())
    before = _kept(declared)
    foretold, again = declared.do(declared.backup().in_check_mode()), declared.do(declared.backup())

    assert _is_ok(foretold)
    assert _is_ok(again)
    assert foretold.values["point"] == again.values["point"]
    assert _kept(declared) == before


def test_a_restore_point_older_than_max_age_is_not_fresh(declared: Host) -> None:
    declared.do(declared.backup())

    assert declared.do(declared.backup(max_age="0s").in_check_mode()).changed
    assert declared.do(declared.backup(max_age="0s")).changed


def test_a_restore_point_of_other_paths_is_not_fresh(declared: Host) -> None:
    declared.do(declared.backup())
    foretold, done, again = _check_do_again(declared, declared.backup(paths=[str(declared.source / "below")]))

    assert _promised(foretold) == _promised(done)
    assert done.changed
    assert _is_ok(again)


@pytest.mark.parametrize("ending", ["/", "//", "/.", "/below/.."])
def test_the_same_paths_written_otherwise_are_as_fresh(declared: Host, ending: str) -> None:
    declared.do(declared.backup())
    task = declared.backup(paths=[f"/{declared.source}{ending}", str(declared.source)])

    assert _is_ok(declared.do(task.in_check_mode()))
    assert _is_ok(declared.do(task))


def test_what_rotates_out_of_a_ring_is_foretold_and_told(declared: Host) -> None:
    task = declared.backup(force=True, retention={"last": 2})
    for _number in range(2):
        declared.do(task)
    declared.source.joinpath("a.txt").write_text("Good evening.\n")
    foretold, done, _again = _check_do_again(declared, task)

    assert _promised(foretold) == _promised(done)
    assert [gone["seq"] for gone in done.values["pruned"]] == [1]
    assert done.values["point"]["pool"] == "s01"
    for result in (foretold, done):
        before, after = result.diff
        assert [line[:6] for line in before] == ["000001", "000002"]
        assert [line[:6] for line in after] == ["000002", "000003"]
        verdicts = [line.split("  ")[-1].partition(":")[0] for line in (*before, *after)]
        assert verdicts == ["goes", "stays", "stays", "made"]


def test_full_copies_that_retention_lets_go_are_foretold_and_told(declared: Host) -> None:
    task = declared.backup(structure="full", force=True, retention={"last": 1})
    declared.do(task)
    foretold, done, _again = _check_do_again(declared, task)

    for result in (foretold, done):
        assert [gone["seq"] for gone in result.values["pruned"]] == [1]
        point = result.values["point"]
        assert point.pop("pool") == f"full-{point['id']}"
    assert _promised(foretold) == _promised(done)


def test_a_hard_link_is_foretold_as_it_will_be_counted(declared: Host) -> None:
    os.link(declared.source / "a.txt", declared.source / "z.txt")
    foretold, done, _again = _check_do_again(declared, declared.backup())

    assert _promised(foretold) == _promised(done)


def test_what_is_foretold_of_a_first_run_needs_no_state_of_the_host(declared: Host) -> None:
    foretold, done, _again = _check_do_again(declared, declared.backup(client=None))

    assert _promised(foretold) == _promised(done)


# -- restore


def test_a_restore_is_foretold_then_done_then_ok(declared: Host) -> None:
    declared.do(declared.backup())
    foretold, done, again = _check_do_again_by_ansible(declared, declared.restore())

    for key in ("changed", "point", "restored", "bytes", "diff"):
        assert foretold.values[key] == done.values[key], key
    assert done.values["restored"]["files"] == 3
    assert done.values["bytes"] == SIZE
    assert done.diff[0] == []
    assert f"{declared.source / 'a.txt'}  file, {(declared.source / 'a.txt').stat().st_size} B" in done.diff[1]
    assert _is_ok(again)
    assert again.values["bytes"] == 0
    assert declared.restored(declared.source / "below" / "b.bin").read_bytes() == bytes(range(256)) * 400


def test_a_second_restore_touches_nothing(declared: Host) -> None:
    declared.do(declared.backup())
    declared.do(declared.restore())
    before = declared.seen()

    assert _is_ok(declared.do(declared.restore()))
    assert declared.seen() == before


def test_what_was_lost_or_altered_is_foretold_and_brought_back_in_place(declared: Host) -> None:
    declared.do(declared.backup())
    original = contents(declared.source)
    altered, lost = declared.source / "a.txt", declared.source / "below" / "b.bin"
    altered.write_text("Good night.\n")
    lost.unlink()
    foretold, done, again = _check_do_again(declared, declared.restore(target=None, in_place=True))

    for key in ("changed", "restored", "bytes", "diff"):
        assert foretold.values[key] == done.values[key], key
    assert done.values["restored"]["files"] == 2
    assert any(line.startswith(f"{altered}  size 12 B, mtime ") for line in done.diff[0])
    assert any(line.startswith(f"{altered}  size 14 B, mtime ") for line in done.diff[1])
    assert f"{lost}  file, 100.0 KiB" in done.diff[1]
    assert _is_ok(again)
    assert contents(declared.source) == original


def test_overwrite_never_leaves_what_is_there_and_foretells_it(declared: Host) -> None:
    declared.do(declared.backup())
    declared.source.joinpath("a.txt").write_text("Good night.\n")
    task = declared.restore(target=None, in_place=True, overwrite="never")
    foretold, done, again = _check_do_again(declared, task)

    assert [_is_ok(result) for result in (foretold, done, again)] == [True, True, True]
    assert declared.source.joinpath("a.txt").read_text() == "Good night.\n"


# -- the index


def test_the_index_made_anew_tells_the_same(declared: Host) -> None:
    declared.do(declared.backup())
    first = declared.do(declared.backup_info())
    foretold, done, again = _check_do_again(declared, declared.reindex())
    second = declared.do(declared.backup_info())

    assert foretold.changed == done.changed
    assert _is_ok(again)
    assert _without_age(first) == _without_age(second)
    assert [point["seq"] for point in first.values["points"]] == [1]


def _without_age(result: Result) -> list[dict[str, t.Any]]:
    return [{**point, "age": None} for point in result.values["points"]]
