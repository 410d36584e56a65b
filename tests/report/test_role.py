# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role describes what it takes, hands on what `job_info` takes, and a play writes and tells what it should."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.stowage.ftp_backup.plugins.filter.report_memory import FilterModule, report_memory
from ansible_collections.stowage.ftp_backup.plugins.module_utils.job_info_options import SPEC
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.report.gathered import IN_ORDER, NO_JOBS, STATES
from tests.modules.running import COLLECTIONS, environment

_ROLE = Path("roles/report")


def _yaml(name: str) -> t.Any:  # noqa: ANN401 - whatever the file holds
    return yaml.safe_load(_ROLE.joinpath(name).read_text("utf-8"))


def _options() -> dict[str, dict[str, t.Any]]:
    return t.cast("dict[str, dict[str, t.Any]]", _yaml("meta/argument_specs.yml")["argument_specs"]["main"]["options"])


def test_defaults_are_those_that_are_described() -> None:
    assert _yaml("defaults/main.yml") == {name: option["default"] for name, option in _options().items()}


def test_every_variable_is_in_the_readme() -> None:
    readme = _ROLE.joinpath("README.md").read_text("utf-8")

    assert [name for name in _options() if f"| `{name}` |" not in readme] == []


def test_targets_are_what_the_module_takes_as_jobs() -> None:
    described = _options()["report_targets"]["options"]
    taken = SPEC.options["jobs"]["options"]

    assert {name: (option["type"], option.get("required", False)) for name, option in described.items()} == {
        name: (option["type"], option.get("required", False)) for name, option in taken.items()
    }


def test_every_state_that_is_not_in_order_can_fail_the_play() -> None:
    assert _options()["report_fail_on"]["choices"] == [s for s in STATES if s not in IN_ORDER or s == NO_JOBS]


# As an administrator may have it who logs in to all hosts as somebody else; here nobody can become root.
_BECOMING = {
    "ansible_become": True,
    "ansible_become_method": "sudo",
    "ansible_become_exe": "/nowhere/sudo",
    "ansible_become_user": "nobody",
}


def _play(
    home: Path,
    inventory: dict[str, t.Any],
    *more: str,
    code: int = 0,
    playbook: str = "stowage.ftp_backup.report",
) -> str:
    """Play the playbook and return what it printed."""
    everything = {"all": {"hosts": inventory, "vars": _BECOMING}}
    home.joinpath("inventory.json").write_text(json.dumps(everything), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", playbook, *more],
        cwd=home,
        env={**environment(home), "ANSIBLE_HOME": str(home / "ansible"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def _here(home: Path) -> dict[str, t.Any]:
    """Return the variables of a host that is this one, without a destination."""
    return {
        "ansible_become": False,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "report_config_directory": str(home / "etc"),
        "report_state_directory": str(home / "var"),
    }


def test_a_play_writes_the_page_and_remembers_a_host_that_is_lost(tmp_path: Path) -> None:
    here = {
        **_here(tmp_path),
        "report_memory": "memory.json",
        "backup_jobs": [{"destination": "NAS", "job": "shop", "databases": [{"password": "of a database"}]}],
    }
    lost = {**here, "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}

    foretold = _play(tmp_path, {"web01": here}, "--check")
    assert not tmp_path.joinpath("backup-report.html").exists()
    first = _play(tmp_path, {"web01": here}, "--diff")
    page = tmp_path.joinpath("backup-report.html")
    text = page.read_text("utf-8")
    then = _play(tmp_path, {"web01": lost}, "-e", '{"report_fail_on": ["unreachable"]}', code=2)

    assert "1 of 1 host needs attention." in foretold
    assert "web01, shop: There is no destination 'NAS' on this host; declared are: none." in first
    assert page.stat().st_mode & 0o777 == tmp_path.joinpath("memory.json").stat().st_mode & 0o777 == 0o600
    assert "<bdi>shop</bdi>" in text
    assert "of a database" not in text + first + foretold + then + tmp_path.joinpath("memory.json").read_text("utf-8")
    assert "<tbody>" not in first
    assert "What stands here of its jobs is what it told at 20" in page.read_text("utf-8")
    assert "Connection refused" in page.read_text("utf-8")


_IN_BATCHES = """
- hosts: all
  serial: 1
  gather_facts: false
  roles:
    - stowage.ftp_backup.report
"""


def test_with_serial_the_last_batch_has_all_hosts_and_nothing_can_fail_for_those_not_asked_yet(tmp_path: Path) -> None:
    tmp_path.joinpath("batches.yml").write_text(_IN_BATCHES, encoding="utf-8")
    hosts = {"web01": _here(tmp_path), "web02": _here(tmp_path)}

    refused = _play(tmp_path, hosts, "-e", '{"report_fail_on": ["missing"]}', code=2, playbook="batches.yml")
    assert not tmp_path.joinpath("backup-report.html").exists()
    _play(tmp_path, hosts, playbook="batches.yml")
    together = _play(tmp_path, hosts, "-e", '{"report_fail_on": ["missing"]}')

    page = tmp_path.joinpath("backup-report.html").read_text("utf-8")
    assert "report_fail_on judges all hosts together, which a play with serial does not have" in refused
    assert "Not gathered" not in page
    assert page.count("<li><bdi>web0") == 2
    assert "2 hosts have no jobs." in together


def test_a_memory_that_was_cut_off_is_told_and_made_anew(tmp_path: Path) -> None:
    memory, page = tmp_path / "memory.json", tmp_path / "backup-report.html"
    host = {"web01": {**_here(tmp_path), "report_memory": "memory.json"}}
    sentence = f"What was kept of earlier reports in {memory} cannot be read, so nothing is known from before."

    memory.write_text('{"web01": {"ti', encoding="utf-8")
    printed = _play(tmp_path, host)
    told = page.read_text("utf-8")
    _play(tmp_path, host)

    assert sentence in printed
    assert sentence in told
    assert list(json.loads(memory.read_text("utf-8"))) == ["web01"]
    assert "cannot be read" not in page.read_text("utf-8")


@pytest.mark.parametrize("text", ["", "[]", "null", '{"web01"', "9" * 5000, "[" * 200_000, None])
def test_what_is_no_json_object_holds_nothing(text: str | None) -> None:
    assert report_memory(text) == {"hosts": {}, "readable": False}


def test_what_was_kept_is_read_as_it_was_kept() -> None:
    kept = {"web01": {"jobs": [], "time": "2026-11-26T06:30:00Z"}}

    assert FilterModule().filters()["report_memory"](json.dumps(kept)) == {"hosts": kept, "readable": True}
