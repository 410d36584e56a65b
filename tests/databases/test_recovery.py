# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that lost everything but the login of its storage: one playbook brings its site and its database back."""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import asdict

import pytest

from tests.databases.engines import MariaDbEngine, PostgreSqlEngine
from tests.modules.hosts import Host
from tests.modules.running import ROOT, play_book

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.databases.engines import Engine
    from tests.servers.server import FtpServer

PLAYBOOK = ROOT / "playbooks" / "recover_site.yml"
DATABASE, USER, PASSWORD = "shop site", "shopkeeper", "ein Geheimnis"


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_host_that_lost_all_but_the_login_of_its_storage_has_its_site_and_its_database_back(
    request: pytest.FixtureRequest, ftp_scratch: FtpServer, tmp_path: Path, kind: str
) -> None:
    old, new = engines_of(request, kind)
    site = tmp_path / "srv" / "shop"
    (site / "templates").mkdir(parents=True)
    (site / "index.php").write_text("<?php echo 'Grün'; ?>\n", encoding="utf-8")
    (site / "templates" / "page.html").symlink_to("../index.php")
    old.make_site(DATABASE, USER, PASSWORD)
    lost = host_in(tmp_path / "lost", ftp_scratch)
    back_up(lost, site, old)
    shutil.rmtree(site)
    shutil.rmtree(lost.home)

    results = play_book(
        host_in(tmp_path / "new", ftp_scratch).home, PLAYBOOK, variables_of(tmp_path / "new", ftp_scratch, new)
    )

    assert not results[-1].failed, results[-1].output
    assert "failed=0" in results[-1].output
    assert (site / "index.php").read_text(encoding="utf-8") == "<?php echo 'Grün'; ?>\n"
    assert (site / "templates" / "page.html").read_text(encoding="utf-8") == "<?php echo 'Grün'; ?>\n"
    assert new.words(DATABASE, USER, PASSWORD) == ["Grün", "Tee"]
    assert f"database {DATABASE}" in results[-1].output
    for secret in (ftp_scratch.password, str(new.login().password)):
        assert secret not in results[-1].output


def engines_of(request: pytest.FixtureRequest, kind: str) -> list[Engine]:
    """Return two servers of a *kind* that know nothing of one another, nor of other tests."""
    make = request.getfixturevalue(f"make_{kind}")
    return [MariaDbEngine(make()) if kind == "mariadb" else PostgreSqlEngine(make()) for _machine in range(2)]


def host_in(home: Path, server: FtpServer) -> Host:
    home.mkdir()
    return Host(home, server)


def server_options(engine: Engine) -> dict[str, object]:
    return {name: value for name, value in asdict(engine.login()).items() if value is not None}


def back_up(host: Host, site: Path, engine: Engine) -> None:
    host.do(host.destination())
    databases = [{"type": engine.kind, "name": [DATABASE], **server_options(engine)}]
    result = host.do(host.backup(job="site", paths=[str(site)], databases=databases))
    assert result.values["point"]["complete"]


def variables_of(home: Path, server: FtpServer, engine: Engine) -> dict[str, object]:
    return {
        "config_directory": str(home / "etc"),
        "state_directory": str(home / "var"),
        "storage_host": server.host,
        "storage_port": server.port,
        "storage_username": server.username,
        "storage_password": server.password,
        "storage_directory": str(server.directory.relative_to("/")),
        "storage_ca_path": str(server.ca_path),
        "lost_client": "web01",
        "database_server": server_options(engine),
    }
