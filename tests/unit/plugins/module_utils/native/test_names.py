# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names on the storage."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names

REMOTE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
# The surrogates are those that stand for bytes that are not UTF-8; Python makes no others of names.
ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=60
)
RUN = "20261122t030000z-1f9c2a"


@given(ANY_TEXT)
def test_a_slug_is_a_remote_name_that_is_not_too_long(name: str) -> None:
    assert REMOTE_NAME.fullmatch(names.slug(name))
    assert len(names.slug(name)) <= 33


@given(ANY_TEXT, ANY_TEXT)
def test_distinct_names_have_distinct_slugs(one: str, other: str) -> None:
    assert (names.slug(one) == names.slug(other)) == (one == other)


@pytest.mark.parametrize(
    "pair", [("web01", "Web01"), ("a b", "a-b"), ("x" * 40, "x" * 41), ("\xe9", "e\u0301"), ("", " "), ("..", ".")]
)
def test_names_that_look_alike_do_not_meet(pair: tuple[str, str]) -> None:
    assert names.slug(pair[0]) != names.slug(pair[1])


def test_every_odd_character_alone_makes_a_remote_name() -> None:
    odd = [chr(code) for code in [*range(0x180), 0x2028, 0xFEFF, 0x1F600, 0xDC80, 0xDCFF]]

    slugs = {names.slug(character) for character in odd}

    assert len(slugs) == len(odd)
    assert all(REMOTE_NAME.fullmatch(slug) for slug in slugs)


@given(ANY_TEXT, ANY_TEXT)
def test_no_path_is_deeper_or_longer_than_servers_like(client: str, job: str) -> None:
    directory = names.job_directory(client, job)
    manifest = names.manifest_path(directory, 999_999_999, RUN)
    volume = directory / f"full-{RUN}" / "v99" / f"{RUN}-000017.tar.gz.{RUN}-1234.tmp"

    for path in (manifest, volume):
        assert len(path.parts) <= 8
        assert len(str(path)) <= 200
        assert all(REMOTE_NAME.fullmatch(part) for part in path.parts)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),  # noqa: DTZ001 - hypothesis takes naive bounds
    st.integers(-14, 14),
)
def test_the_id_of_a_run_tells_when_it_started_wherever_that_was(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(hours=offset)))

    run = names.run_id(aware, "1f9c2a")

    assert names.started_of(run) == aware
    assert REMOTE_NAME.fullmatch(run)


@given(st.integers(1, 10**9))
def test_a_manifests_name_tells_its_number_and_run(seq: int) -> None:
    path = names.manifest_path(PurePosixPath("job"), seq, RUN)

    assert names.parse_manifest_name(path.name) == (seq, RUN, 1)
    assert names.run_of(path.name) == RUN
    assert names.gone_path(path, seq).name == f"{seq:06d}.gone"


@pytest.mark.parametrize(
    "moment",
    [
        "20261399t990000z",
        "20260229t030000z",
        "20261122t240000z",
        "20261122t036000z",
        "20261122t030060z",
        "00001122t030000z",
    ],
)
def test_a_manifest_of_a_moment_that_never_was_is_none(moment: str) -> None:
    assert names.parse_manifest_name(f"000042-{moment}-1f9c2a.manifest.gz") is None
    assert names.parse_manifest_name(f"000042-{RUN}.manifest.gz") == (42, RUN, 1)


@pytest.mark.parametrize(
    ("name", "run", "is_temporary"),
    [
        (f"{RUN}-000017.tar", RUN, False),
        (f"{RUN}-000017.tar.gz", RUN, False),
        (f"{RUN}-000017.tar.zst", RUN, False),
        (f"{RUN}-000017.tar.gz.{RUN}-3.tmp", RUN, True),
        (f"job.json.{RUN}-1.tmp", RUN, True),
        (f"{RUN}-17.tar.gz", None, False),
        ("notes.txt", None, False),
        ("archive.tar.gz", None, False),
        ("a.tmp", None, False),
        (f"{RUN}", None, False),
    ],
)
def test_only_our_own_names_are_taken_for_ours(name: str, run: str | None, is_temporary: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (names.run_of(name), names.is_temporary(name)) == (run, is_temporary)


def test_slots_and_pools_are_told_from_everything_else() -> None:
    assert [names.slot_name(number) for number in (1, 99, 100)] == ["s01", "s99", "s100"]
    assert [names.slot_number(name) for name in ("s01", "s100", "s1", "points", "sxx")] == [1, 100, None, None, None]
    pools = ("s01", "s100", f"full-{RUN}", "pool")
    others = ("points", "lock", "job.json", "s1", "my stuff", "src")
    assert [names.is_pool(name) for name in (*pools, *others)] == [True] * 4 + [False] * 6
