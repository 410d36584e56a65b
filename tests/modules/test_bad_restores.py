# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that cannot be, and questions the index has no answer to: each is refused in a sentence."""

from __future__ import annotations

import os
import typing as t

import pytest

from .hosts import CLIENT, DESTINATION, JOB
from .refusals import assert_sentence, refusal
from .snapshots import contents, snapshot

if t.TYPE_CHECKING:
    from .hosts import Host


@pytest.fixture
def backed_up(declared: Host) -> Host:
    """Return a host with one restore point."""
    declared.do(declared.backup())
    return declared


# -- which restore point


def test_a_job_that_never_was(untouched: Host) -> None:
    refusal(untouched, untouched.restore(job="mail"), "usage", "'mail'", repr(CLIENT), repr(DESTINATION))


def test_a_client_that_never_was(untouched: Host) -> None:
    refusal(untouched, untouched.restore(client="web02"), "usage", "'web02'", repr(JOB), repr(DESTINATION))


def test_a_destination_without_any_backup(declared: Host) -> None:
    refusal(declared, declared.restore(), "usage", repr(JOB), repr(DESTINATION))


@pytest.mark.parametrize("point", ["20200101t000000z-abcdef", "last", "Latest", "", "42", "../x", "yesterday"])
def test_a_point_that_is_not_there(untouched: Host, point: str) -> None:
    refusal(untouched, untouched.restore(point=point), "usage", repr(JOB), repr(point))


@pytest.mark.parametrize("date", ["2020-01-01", "2020-01-01T03:00:00Z", "2020-01-01T03:00:00+02:00"])
def test_a_date_before_the_first_restore_point(untouched: Host, date: str) -> None:
    refusal(untouched, untouched.restore(point=date), "usage", repr(JOB), date)


@pytest.mark.parametrize(
    "date", ["2026-02-30", "2026-13-01", "2026-11-22 at noon", "2026-11-22T25:00:00Z", "9999-12-32"]
)
def test_a_date_that_is_in_no_calendar(untouched: Host, date: str) -> None:
    refusal(untouched, untouched.restore(point=date), "usage", date)


@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_date_at_the_end_of_the_calendar_is_a_date_like_any_other(backed_up: Host, date: str) -> None:
    result = backed_up.call(backed_up.restore(point=date))

    if date.startswith("9999"):
        assert not result.failed, result.msg
    else:
        assert_sentence(backed_up, result, "usage", date)


# -- which paths


@pytest.mark.parametrize("path", ["/nowhere", "/srv/*.none", "/**/nothing"])
def test_paths_that_match_nothing(untouched: Host, path: str) -> None:
    refusal(untouched, untouched.restore(paths=[path]), "usage", path)


@pytest.mark.parametrize("path", ["srv", "", "./srv", "*", "/srv/../etc", "/srv/a\\"])
def test_a_path_that_no_glob_can_be(untouched: Host, path: str) -> None:
    refusal(untouched, untouched.restore(paths=[path]), "usage", repr(path))


def test_a_part_that_is_not_there_is_told_with_those_that_are(untouched: Host) -> None:
    part = {"name": "/nowhere"}
    refusal(untouched, untouched.restore(parts=[part]), "usage", "files '/nowhere'", repr(str(untouched.source)))


def test_both_paths_and_parts(untouched: Host) -> None:
    task = untouched.restore(paths=["/srv"], parts=[{"name": "/srv"}])
    refusal(untouched, task, "", "mutually exclusive", "paths|parts")


# -- where to


@pytest.mark.parametrize("target", ["restored", "../restored"])
def test_a_relative_target(untouched: Host, target: str) -> None:
    refusal(untouched, untouched.restore(target=target), "usage", target, "absolute")
    assert not untouched.home.joinpath(target).exists()


def test_a_target_that_is_a_file(backed_up: Host) -> None:
    backed_up.target.write_text("a file\n")
    refusal(backed_up, backed_up.restore(), "local", backed_up.target, "directory")


def test_a_target_that_cannot_be_made(backed_up: Host) -> None:
    backed_up.target.write_text("a file\n")
    target = backed_up.target / "below"
    refusal(backed_up, backed_up.restore(target=str(target)), "local", target, "directory")


def test_neither_target_nor_in_place(untouched: Host) -> None:
    refusal(untouched, untouched.restore(target=None), "usage", "not said where to", "in_place: true")


def test_both_target_and_in_place(untouched: Host) -> None:
    refusal(untouched, untouched.restore(in_place=True), "", "mutually exclusive", "target|in_place")


def test_a_directory_in_place_of_a_file_stays_and_everything_else_is_restored(backed_up: Host) -> None:
    in_the_way = backed_up.restored(backed_up.source / "a.txt")
    in_the_way.mkdir(parents=True)
    in_the_way.joinpath("kept").write_text("mine\n")
    result = backed_up.call(backed_up.restore())

    assert_sentence(backed_up, result, "local", backed_up.source / "a.txt", "directory")
    assert in_the_way.joinpath("kept").read_text() == "mine\n"
    restored = backed_up.restored(backed_up.source)
    assert restored.joinpath("below", "b.bin").read_bytes() == bytes(range(256)) * 400
    assert not [path for path in contents(backed_up.target) if ".ftp-backup-" in path.name]


def test_a_link_in_the_target_is_not_followed(backed_up: Host) -> None:
    outside = backed_up.home / "outside"
    outside.mkdir()
    place = backed_up.restored(backed_up.source)
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    before = snapshot(outside)
    result = backed_up.call(backed_up.restore(paths=[str(backed_up.source / "a.txt")]))

    assert snapshot(outside) == before
    assert result.failed
    assert_sentence(backed_up, result, "local", backed_up.source.relative_to("/"), "link")


def test_a_directory_that_is_a_link_now_becomes_a_directory_again(backed_up: Host) -> None:
    outside = backed_up.home / "outside"
    outside.mkdir()
    below = backed_up.restored(backed_up.source) / "below"
    below.parent.mkdir(parents=True)
    below.symlink_to(outside)
    before = snapshot(outside)
    backed_up.do(backed_up.restore())

    assert snapshot(outside) == before
    assert not below.is_symlink()
    assert below.joinpath("b.bin").exists()


# -- what does not belong there


def test_what_is_extra_goes_only_where_everything_else_came_back(backed_up: Host) -> None:
    backed_up.do(backed_up.restore())
    extra = backed_up.restored(backed_up.source) / "extra"
    extra.write_text("mine\n")
    in_the_way = backed_up.restored(backed_up.source) / "empty"
    in_the_way.unlink()
    in_the_way.joinpath("mine").mkdir(parents=True)
    result = backed_up.call(backed_up.restore(delete_extra=True))

    assert_sentence(backed_up, result, "local", backed_up.source / "empty", "Nothing was deleted")
    assert extra.exists()


def test_what_is_extra_is_foretold_then_deleted_then_ok(backed_up: Host) -> None:
    task = backed_up.restore(delete_extra=True, parts=[{"name": str(backed_up.source)}])
    backed_up.do(task)
    extra = backed_up.restored(backed_up.source) / "below" / "extra"
    extra.write_text("mine\n")
    foretold = backed_up.call(task.in_check_mode(), diff=True)
    assert extra.exists()
    done, again = backed_up.call(task, diff=True), backed_up.call(task)

    assert not extra.exists()
    for key in ("changed", "restored", "bytes", "diff"):
        assert foretold.values[key] == done.values[key], key
    assert done.values["restored"]["deleted"] == 1
    assert f"{backed_up.source / 'below' / 'extra'}  extra: goes" in done.diff[0]
    assert not again.changed


# -- what lies on the server


def test_a_volume_that_is_gone_is_named_and_what_needs_no_volume_is_restored(backed_up: Host) -> None:
    (volume,) = backed_up.server.root.rglob("*.tar.gz")
    volume.unlink()
    result = backed_up.call(backed_up.restore())

    assert_sentence(backed_up, result, "damage", backed_up.source / "a.txt", volume.name)
    assert backed_up.restored(backed_up.source / "empty").exists()
    assert not backed_up.restored(backed_up.source / "a.txt").exists()


def test_a_volume_that_was_altered_is_named_and_no_wrong_byte_is_restored(backed_up: Host) -> None:
    (volume,) = backed_up.server.root.rglob("*.tar.gz")
    content = bytearray(volume.read_bytes())
    content[len(content) // 2] ^= 0xFF
    volume.write_bytes(content)
    result = backed_up.call(backed_up.restore())

    assert_sentence(backed_up, result, "damage", volume.name)
    for path, digest in contents(backed_up.target).items():
        assert digest in contents(backed_up.source).values(), path


def test_a_manifest_that_was_cut_short_is_passed_over_with_a_warning(backed_up: Host) -> None:
    backed_up.do(backed_up.backup(force=True))
    second = max(backed_up.server.root.rglob("*.manifest.gz"))
    os.truncate(second, second.stat().st_size // 2)
    for copy in backed_up.state.rglob(second.name):
        copy.unlink()
    result = backed_up.do(backed_up.restore())

    assert result.values["point"]["seq"] == 1
    assert len(result.warnings) == 1
    assert second.name in result.warnings[0]


def test_a_job_file_that_is_damaged(backed_up: Host) -> None:
    (path,) = backed_up.server.root.rglob("job.json")
    path.write_text("{")
    for task in (backed_up.restore(), backed_up.backup(force=True).in_check_mode()):
        refusal(backed_up, task, "damage", "job.json", "damaged")


# -- the index


def test_an_index_that_was_never_made(declared: Host) -> None:
    refusal(declared, declared.backup_info(), "usage", repr(DESTINATION), "reindex")


def test_an_index_that_is_damaged_is_made_anew_by_reindex(backed_up: Host) -> None:
    (index,) = backed_up.state.rglob("*.sqlite")
    index.write_bytes(b"Good morning.\n" * 1000)
    result = backed_up.call(backed_up.backup_info())

    assert result.failed
    assert_sentence(backed_up, result, "local", index, "reindex")
    backed_up.do(backed_up.reindex())
    assert [point["seq"] for point in backed_up.do(backed_up.backup_info()).values["points"]] == [1]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing(untouched: Host, limit: int) -> None:
    refusal(untouched, untouched.backup_info(limit=limit), "usage", "limit", limit)


def test_a_question_about_a_relative_path(untouched: Host) -> None:
    refusal(untouched, untouched.backup_info(paths=["srv"]), "usage", "'srv'", "absolute")


def test_a_server_that_is_gone_leaves_the_index_as_it_was(backed_up: Host) -> None:
    known = backed_up.do(backed_up.backup_info()).values["points"]
    backed_up.do(backed_up.destination(port=1, validate=False, max_retries=1))
    result = backed_up.call(backed_up.reindex())

    assert_sentence(backed_up, result, "unreachable", f"{backed_up.server.host}:1", "Connection refused")
    backed_up.do(backed_up.destination())  # the index is that of a place, and port 1 is another one
    after = backed_up.do(backed_up.backup_info()).values["points"]
    assert [point["id"] for point in after] == [point["id"] for point in known]
