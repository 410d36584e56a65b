# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of destinations, clients and jobs with every odd character: each works from end to end, or is refused."""

from __future__ import annotations

import typing as t
import unicodedata

import pytest

from .hosts import DESTINATION
from .refusals import refusal
from .snapshots import contents

if t.TYPE_CHECKING:
    from .hosts import Host

GOOD = (
    *(" around it ", "  ", 'it\'s "quoted"', "100%s %(x)s {{ 1 + 1 }}", "$HOME `id` $(id) ;&|#", "a\\b:c*?[a-z]"),
    *("..", ".hidden", "-rf", "~root", "CON", "büro — naïve", unicodedata.normalize("NFD", "büro"), "仕事", "مرحبا"),
    *("🦆 backup", "\u00ff" * 40, "x" * 40),
)
BAD = (
    *("", "/", "../up", "a\tb", "a\nb", "a\0b", "\x1b[31mred", "\x85", "a\u202eb", "a\u2028b", "a\u200bb", "a\u00a0b"),
    *("x" * 41, "ü" * 41),
)


@pytest.mark.parametrize("name", GOOD)
def test_a_name_works_from_end_to_end(host: Host, name: str) -> None:
    host.do(host.destination(name=name))
    made = host.do(host.backup(destination=name, job=name, client=name))
    (listed,) = host.do(host.backup_info(destination=name, job=name, client=name)).values["points"]
    host.do(host.restore(destination=name, job=name, client=name))

    assert (made.values["point"]["job"], made.values["point"]["client"]) == (name, name)
    assert listed["id"] == made.values["point"]["id"]
    restored = host.restored(host.source)
    assert {path.relative_to(restored): digest for path, digest in contents(restored).items()} == {
        path.relative_to(host.source): digest for path, digest in contents(host.source).items()
    }
    assert all(path.name.isascii() and not path.name.startswith((".", "-", "~")) for path in contents(host.server.root))


@pytest.mark.parametrize("name", BAD)
def test_a_job_name_is_refused(untouched: Host, name: str) -> None:
    refusal(untouched, untouched.backup(job=name, force=True), "usage", "job name", repr(name))


@pytest.mark.parametrize("name", BAD)
def test_a_destination_name_is_refused(untouched: Host, name: str) -> None:
    refusal(untouched, untouched.destination(name=name), "usage", "destination name", repr(name))


@pytest.mark.parametrize("name", ["", "a/b", "a\nb"])
@pytest.mark.parametrize("module", ["backup", "restore", "restore_point", "reindex"])
def test_a_client_name_is_refused(untouched: Host, module: str, name: str) -> None:
    task = getattr(untouched, module)(client=name)
    refusal(untouched, task, "usage", "client name", repr(name))


def test_names_that_differ_only_in_case_or_in_their_normal_form_are_others(host: Host) -> None:
    names = ("büro", "BÜRO", unicodedata.normalize("NFD", "büro"), "Büro")
    for name in names:
        host.do(host.destination(name=name))

    listed = host.do(host.destination_info()).values["destinations"]
    assert {found["name"] for found in listed} == set(names)


def test_jobs_of_the_same_readable_name_do_not_meet(declared: Host) -> None:
    ids = [declared.do(declared.backup(job=job)).values["point"]["id"] for job in ("a b", "a-b", "a_b", "A B")]

    points = declared.do(declared.backup_info(destination=DESTINATION)).values["points"]
    assert {point["id"] for point in points} == set(ids)
    assert {point["seq"] for point in points} == {1}
