# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of real servers on their way through a real FTP server and back."""

from __future__ import annotations

import sqlite3
import threading
import typing as t
from contextlib import closing
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.dumps import Source
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.cuts import MAX_SEGMENT
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.loading import Load
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from tests.databases.engines import MariaDbEngine, PostgreSqlEngine
from tests.engine.site import NAME, Site
from tests.engine.tidy import assert_tidy, points_of

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.databases.engines import Engine
    from tests.engine.site import Option
    from tests.servers.server import FtpServer

LARGE = "large"
KINDS = ("mariadb", "postgresql")


@pytest.fixture
def site(ftp_scratch: FtpServer, tmp_path: Path) -> Site:
    """A host whose destination is declared."""
    (tmp_path / "host").mkdir()
    site = Site(ftp_scratch, tmp_path / "host", tmp_path / "srv")
    site.declare()
    return site


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest) -> Engine:
    """The session's server of each kind."""
    server = request.getfixturevalue(request.param)
    return MariaDbEngine(server) if request.param == "mariadb" else PostgreSqlEngine(server)


def source_of(engine: Engine, *names: str, **options: Option) -> Source:
    return Source(engine.kind, names, login=engine.login(), users=False, **options)


def backed_up(site: Site, *sources: Source, **options: Option) -> Outcome:
    request = Request(NAME, "nightly", force=True, allow_shrink=True, databases=sources)
    return back_up(site.registry, site.host, replace(request, **options), check_mode=False)


def loaded(site: Site, login: Login, name: str, *, replaces: bool = False, into: str | None = None) -> Outcome:
    part = WantedPart("database", name)
    load = Load(login, replaces, {part: into} if into is not None else {})
    return restore(site.registry, site.host, Wish(NAME, "nightly", None, parts=(part,), load=load), check_mode=False)


def name_of_part(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


@pytest.mark.parametrize("structure", ["incremental", "deduplicated"])
def test_a_database_comes_back_under_its_own_and_another_name(site: Site, engine: Engine, structure: str) -> None:
    engine.fill()
    before = engine.portrait(engine.rich)
    backed_up(site, source_of(engine, engine.rich), structure=structure)
    part = name_of_part(engine.rich)

    loaded(site, engine.login(), part, into="its copy")
    engine.drop(engine.rich)
    loaded(site, engine.login(), part)

    assert engine.portrait(engine.rich) == before
    assert engine.portrait("its copy") == before
    assert not [name for name in engine.names() if name.startswith("ftp_backup_")]
    engine.drop("its copy")


def test_a_database_that_did_not_change_is_not_sent_again(site: Site, engine: Engine) -> None:
    engine.make_large(LARGE)
    first = backed_up(site, source_of(engine, LARGE), structure="deduplicated", compression="none")

    again = backed_up(site, source_of(engine, LARGE), structure="deduplicated", compression="none")

    assert first.values["bytes_sent"] > 40_000_000
    # What tells when a dump was made costs the segment that it lies in.
    assert again.values["bytes_sent"] < MAX_SEGMENT + 1_000_000
    assert_tidy(site.job)


def test_a_dump_whose_program_is_killed_halfway_is_in_no_restore_point(site: Site, engine: Engine) -> None:
    engine.make_large(LARGE)
    good = backed_up(site, source_of(engine, LARGE)).values["point"]["id"]
    site.declare(bandwidth_limit=2_000_000)  # so that the dump waits for the upload
    is_over = threading.Event()
    killer = threading.Thread(target=kill_when_it_dumps, args=(engine, is_over))
    killer.start()
    try:
        with pytest.raises(DatabaseError, match=r"was ended by SIGKILL\. No restore point was made\."):
            backed_up(site, source_of(engine, LARGE), structure="incremental", compression="none")
    finally:
        is_over.set()
        killer.join()

    assert [point.run for point in points_of(site.job)] == [good]
    site.declare()
    engine.drop(LARGE)
    loaded(site, engine.login(), LARGE)
    backed_up(site, source_of(engine, LARGE))
    assert_tidy(site.job)


def kill_when_it_dumps(engine: Engine, is_over: threading.Event) -> None:
    while not is_over.wait(0.05):
        if engine.kill_dumper():
            return


@pytest.mark.parametrize(
    "changes",
    [{"password": "wrong"}, {"port": 1}, {"programs": "/nowhere"}],
    ids=["wrong-password", "server-down", "no-programs"],
)
def test_a_server_that_cannot_be_had_is_told_in_one_sentence_and_costs_nothing(
    site: Site, engine: Engine, changes: dict[str, t.Any]
) -> None:
    engine.make_large(LARGE)
    backed_up(site, source_of(engine, LARGE))
    login = engine.login(**changes)

    with pytest.raises(DatabaseError) as dumping:
        backed_up(site, replace(source_of(engine, LARGE), login=login))
    with pytest.raises(DatabaseError) as loading:
        loaded(site, login, LARGE, into="never")

    for error in (dumping.value, loading.value):
        assert "\n" not in str(error)
        assert str(error).endswith((".", "?"))
        assert "wrong" not in str(error).replace("wrong password", "")
        assert str(engine.login().password) not in str(error)
    assert "never" not in engine.names()
    assert len(points_of(site.job)) == 1


def test_servers_of_all_kinds_stand_in_one_restore_point(
    site: Site, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engines: list[Engine] = [
        MariaDbEngine(request.getfixturevalue("mariadb")),
        PostgreSqlEngine(request.getfixturevalue("postgresql")),
    ]
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("CREATE TABLE t (word TEXT); INSERT INTO t VALUES ('Tee');")
    for engine in engines:
        engine.make_large(LARGE)
    sources = [source_of(engine, LARGE, label=engine.kind) for engine in engines]

    backed_up(site, *sources, Source("sqlite", path=str(file)))
    loaded(site, engines[1].login(), f"postgresql/{LARGE}", into="copy")
    loaded(site, engines[0].login(), "app.db", into=str(tmp_path / "copy.db"))

    assert engines[1].portrait("copy") == engines[1].portrait(LARGE)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT word FROM t").fetchall() == [("Tee",)]
    engines[1].drop("copy")
