# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way once on each Python that managed hosts may have."""

from __future__ import annotations

import typing as t

import pytest

from tests.run import PYTHONS, find_pythons

from .running import Task

if t.TYPE_CHECKING:
    from pathlib import Path

    from .hosts import Host


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    return find_pythons()


@pytest.mark.parametrize("version", PYTHONS)
def test_all_modules_work_on_this_python(host: Host, pythons: dict[str, Path], version: str) -> None:
    python = pythons.get(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine, so no module was run by it.")
    changed = host.source / "a.txt"
    change = Task("ansible.builtin.lineinfile", {"path": str(changed), "line": "Good evening."})
    declared, first, _changed, second, fresh, reindexed, listed, restored, again = host.play(
        *(host.destination(), host.backup(), change, host.backup(max_age="0s"), host.backup()),
        *(host.reindex(), host.backup_info(paths=[str(changed)]), host.restore(), host.restore()),
        python=python,
    )

    assert declared.values["server"]["verdict"] == "unix"
    assert (first.values["point"]["seq"], second.values["point"]["seq"]) == (1, 2)
    assert [result.changed for result in (first, second, fresh)] == [True, True, False]
    assert (reindexed.values["new"], reindexed.values["unchanged"]) == (0, 2)
    assert [point["seq"] for point in listed.values["points"]] == [2, 1]
    assert [version["bytes"] for version in listed.values["versions"]] == [28, 14]
    assert [result.changed for result in (restored, again)] == [True, False]
    assert host.restored(changed).read_text() == "Good morning.\nGood evening.\n"
    assert again.warnings == []
