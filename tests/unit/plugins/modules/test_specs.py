# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules between options, as AnsibleModule itself applies them."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from tests.unit.plugins.modules.specs import MODULES, imported, options_of, spec_of

DESTINATION: dict[str, object] = {"name": "NAS", "host": "nas", "username": "backup", "password": "secret"}
BACKUP: dict[str, object] = {"destination": "NAS", "job": "etc", "paths": ["/etc"]}
RESTORE: dict[str, object] = {"destination": "NAS", "job": "etc", "target": "/restored"}
REINDEX: dict[str, object] = {"destination": "NAS"}
RESTORE_POINT: dict[str, object] = {"destination": "NAS", "job": "etc", "point": "latest"}


def _refusal(name: str, arguments: dict[str, object], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the sentence with which AnsibleModule refuses *arguments*."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        imported(name).main()
    return str(json.loads(capsys.readouterr().out)["msg"])


def _without(arguments: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in arguments.items() if name not in names}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_supports_check_mode(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spec_of(name, monkeypatch)["supports_check_mode"] is True


@pytest.mark.parametrize("name", MODULES)
def test_every_module_finds_configuration_and_state_in_the_same_places(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = spec_of(name, monkeypatch)["argument_spec"]

    assert options["config_directory"] == {"type": "path", "default": "/etc/ftp_backup"}
    assert options["state_directory"] == {"type": "path", "default": "/var/lib/ftp_backup"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("destination", DESTINATION),
        ("destination", {**_without(DESTINATION, "password"), "password_file": "/root/password"}),
        ("destination", {"name": "NAS", "state": "absent"}),
        ("destination_info", {}),
        ("backup", BACKUP),
        ("backup", {**BACKUP, "exclude": ["*.tmp"], "structure": "deduplicated", "verify": "readback"}),
        ("backup_info", REINDEX),
        ("job_info", {}),
        ("job_info", {**REINDEX, "client": "web01", "max_age": "2d", "points": 7}),
        ("reindex", REINDEX),
        ("restore", RESTORE),
        ("restore", {**_without(RESTORE, "target"), "in_place": True}),
        ("restore_point", RESTORE_POINT),
        ("verify", REINDEX),
        ("verify", {**REINDEX, "job": "etc", "client": "web01", "sample": 10, "max_duration": "2h"}),
    ],
)
def test_what_is_enough_is_taken(name: str, arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(name, arguments, monkeypatch)

    assert arguments.items() <= options.items()


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("destination", _without(DESTINATION, "name"), "missing required arguments: name"),
        ("destination", _without(DESTINATION, "host"), "state is present but all of the following are missing: host"),
        (
            "destination",
            _without(DESTINATION, "username"),
            "state is present but all of the following are missing: username",
        ),
        (
            "destination",
            _without(DESTINATION, "password"),
            "state is present but any of the following are missing: password, password_file",
        ),
        (
            "destination",
            {**DESTINATION, "password_file": "/root/password"},
            "parameters are mutually exclusive: password|password_file",
        ),
        ("backup", _without(BACKUP, "destination"), "missing required arguments: destination"),
        ("backup", _without(BACKUP, "job"), "missing required arguments: job"),
        ("backup", _without(BACKUP, "paths"), "one of the following is required: paths, databases"),
        (
            "backup",
            {**BACKUP, "retention": {"first": 1}},
            "module: retention.first. Supported parameters include: daily, hourly, last,",
        ),
        ("backup_info", {}, "missing required arguments: destination"),
        ("reindex", {}, "missing required arguments: destination"),
        ("restore", _without(RESTORE, "job"), "one of the following is required: job, account"),
        (
            "restore",
            _without(RESTORE, "target"),
            "It is not said where to: give a target, or say in_place: true.",
        ),
        ("restore", {**RESTORE, "in_place": True}, "parameters are mutually exclusive: target|in_place"),
        ("restore_point", _without(RESTORE_POINT, "job"), "missing required arguments: job"),
        ("restore_point", _without(RESTORE_POINT, "point"), "missing required arguments: point"),
        ("verify", {}, "missing required arguments: destination"),
        ("verify", {**REINDEX, "on_damage": "heal"}, "value of on_damage must be one of: fail, warn, got: heal"),
    ],
)
def test_what_is_too_little_or_contradicts_itself_is_refused(
    name: str, arguments: dict[str, object], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in _refusal(name, arguments, capsys)


def test_the_password_is_kept_from_logs_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    options = spec_of("destination", monkeypatch)["argument_spec"]

    assert [name for name, option in options.items() if option.get("no_log")] == ["password"]


@pytest.mark.parametrize("name", [name for name in MODULES if name != "destination"])
def test_no_other_module_is_given_a_password(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, dict[str, t.Any]] = spec_of(name, monkeypatch)["argument_spec"]

    assert not [option for option in options if "pass" in option]
