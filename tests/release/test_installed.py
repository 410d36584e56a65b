# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users install works from a directory of its own: modules, roles, playbooks, filters, and what tells of them."""

from __future__ import annotations

import json
import typing as t

import yaml

from release.checkout import list_documented

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.server import FtpServer

    from .conftest import Installed

#: What the playbooks have left undone: one module by itself, and what the filter says.
PLAY = """
- name: Look at what is there
  hosts: all
  gather_facts: false
  tasks:
    - name: List the restore points
      stowage.ftp_backup.backup_info:
        destination: Storage
        job: web sites
        config_directory: "{{ destination_config_directory }}"
        state_directory: "{{ destination_state_directory }}"
      register: found

    - name: Check what was found
      ansible.builtin.assert:
        that:
          - found.points | length == 1
          - "'web sites' | stowage.ftp_backup.slug is match('web')"
"""


def documented(installed: Installed) -> dict[str, list[str]]:
    """Return the names of what users call by name, by kind."""
    files = (path.relative_to(installed.place).as_posix() for path in installed.place.rglob("*"))
    names: dict[str, list[str]] = {}
    for kind, name in sorted(list_documented(files)):
        names.setdefault(kind, []).append(f"stowage.ftp_backup.{name}")
    return names


def test_everything_that_is_called_by_name_is_told_of(installed: Installed) -> None:
    names = documented(installed)

    assert sorted(names) == ["filter", "module", "role"]
    for kind, wanted in names.items():
        told = json.loads(installed.run("ansible-doc", "--json", "--type", kind, *wanted))
        assert sorted(told) == wanted
        for content in told.values():
            assert content.get("doc") or content["entry_points"]["main"]["options"]


def test_every_playbook_that_users_get_can_be_called(installed: Installed) -> None:
    playbooks = sorted(path.stem for path in installed.place.glob("playbooks/*.yml"))

    said = installed.run("ansible-playbook", "--syntax-check", *(f"stowage.ftp_backup.{name}" for name in playbooks))

    assert {"backup", "restore"} <= set(playbooks)
    assert "demo" not in playbooks  # it needs the FTP server of the tests
    for name in playbooks:
        assert f"playbook: {installed.place / 'playbooks' / name}.yml\n" in said


def test_it_backs_up_and_restores(
    installed: Installed, running_server: Callable[[str], FtpServer], tmp_path: Path
) -> None:
    server, source, target = running_server("embedded"), tmp_path / "srv", tmp_path / "restored"
    source.mkdir()
    source.joinpath("page.html").write_text("Hello.\n")
    directories = {
        f"{role}_{kind}_directory": str(tmp_path / kind)
        for role in ("destination", "backup", "restore")
        for kind in ("config", "state")
    }
    variables = {
        **directories,
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_remote_tmp": str(tmp_path / "tmp"),
        "destination_destinations": [
            {
                "name": "Storage",
                "host": server.host,
                "port": server.port,
                "username": server.username,
                "password": server.password,
                "ca_path": str(server.ca_path),
                "directory": "installed",
            }
        ],
        "backup_jobs": [{"job": "web sites", "destination": "Storage", "paths": [str(source)]}],
    }
    inventory, play = tmp_path / "inventory.yml", tmp_path / "look.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"web01": variables}}}))
    play.write_text(PLAY)

    installed.run("ansible-playbook", "-i", inventory, "stowage.ftp_backup.backup", play)
    wish = {"job": "web sites", "target": str(target)}
    installed.run("ansible-playbook", "-i", inventory, "stowage.ftp_backup.restore", "-e", json.dumps(wish))

    assert target.joinpath(source.relative_to("/"), "page.html").read_text() == "Hello.\n"
    assert server.root.joinpath("installed").is_dir()
