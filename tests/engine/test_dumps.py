# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases in restore points: what stands there of which dump, and how it comes back, whatever the server is."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import dumps
from ansible_collections.stowage.ftp_backup.plugins.module_utils.backup import Request, back_up
from ansible_collections.stowage.ftp_backup.plugins.module_utils.commands import Command
from ansible_collections.stowage.ftp_backup.plugins.module_utils.dumps import Source, quoted
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    CommandError,
    DamageError,
    DatabaseError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import streaming
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore import Wish, restore
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring import loading
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.loading import Load
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from ansible_collections.stowage.ftp_backup.plugins.module_utils.retention import Policy
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import Request as Check
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import verify
from tests.engine.databases import MemoryServer
from tests.engine.site import NAME
from tests.engine.tidy import assert_tidy, points_of
from tests.engine.trees import make_tree

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.servers import Login
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from tests.engine.site import Option, Site

SHOP = random.Random(1).randbytes(11_000_000)  # several segments
SMALL = b"-- a dump\nINSERT INTO stock VALUES (1, 'tea');\n"
ALL = Source("mysql")
SPARED = replace(ALL, is_required=False)
STRUCTURES = ("incremental", "full", "deduplicated")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> MemoryServer:
    """The server that every host reaches, whatever it asks for."""
    server = MemoryServer({"shop": SHOP, "blog": SMALL})

    def server_of(_kind: str, _login: Login, _scratch: Path, _path: str | None = None) -> MemoryServer:
        return server

    monkeypatch.setattr(dumps, "server_of", server_of)
    monkeypatch.setattr(loading, "server_of", server_of)
    return server


def backed_up(site: Site, *sources: Source, check_mode: bool = False, **options: Option) -> Outcome:
    """Back up databases alone, unless *options* have paths."""
    request = Request(NAME, "nightly", force=True, allow_shrink=True, databases=sources or (ALL,))
    return back_up(site.registry, site.host, replace(request, **options), check_mode=check_mode)


def brought_back(site: Site, target: Path | None, *, check_mode: bool = False, **options: Option) -> Outcome:
    return restore(site.registry, site.host, Wish(NAME, "nightly", target, **options), check_mode=check_mode)


def files_below(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def database(name: str) -> WantedPart:
    return WantedPart("database", name)


# -- dumps in restore points


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_dumps_come_back_as_files_that_only_their_owner_reads(
    site: Site, server: MemoryServer, tmp_path: Path, structure: str, compression: str
) -> None:
    make_tree(site.source)
    outcome = backed_up(site, structure=structure, compression=compression, paths=(str(site.source),))

    brought_back(site, tmp_path / "restored")

    found = files_below(tmp_path / "restored" / "parts:")
    assert found == {"database/shop": SHOP, "database/blog": SMALL, "database_users/mysql": server.users}
    assert (tmp_path / "restored/parts:/database/shop").stat().st_mode & 0o777 == 0o600
    assert outcome.warnings == ()
    assert outcome.values["point"]["complete"]
    assert server.left_open == 0
    assert_tidy(site.job)


@pytest.mark.parametrize("structure", ["incremental", "deduplicated"])
def test_of_a_dump_only_what_changed_is_sent_again(site: Site, server: MemoryServer, structure: str) -> None:
    options: dict[str, Option] = {"structure": structure, "compression": "none", "retention": Policy(last=1)}
    first = backed_up(site, **options)
    server.contents["shop"] = SHOP[:6_000_000] + b"one more row" + SHOP[6_000_000:]

    second = backed_up(site, **options)
    third = backed_up(site, **options)

    assert first.values["bytes_sent"] > len(SHOP)
    assert second.values["bytes_sent"] < len(SHOP) * 0.8
    assert third.values["bytes_sent"] < 10_000


def test_a_dump_that_says_the_same_keeps_its_time(site: Site, server: MemoryServer, tmp_path: Path) -> None:
    backed_up(site, retention=Policy(last=1))
    brought_back(site, tmp_path / "before")
    server.contents["blog"] += b"more"
    backed_up(site, retention=Policy(last=1))
    brought_back(site, tmp_path / "after")

    times = [
        [(tmp_path / when / "parts:/database" / name).stat().st_mtime_ns for when in ("before", "after")]
        for name in ("shop", "blog")
    ]
    assert times[0][0] == times[0][1]
    assert times[1][0] < times[1][1]


def test_parts_are_named_by_kind_and_name_and_counted(site: Site, server: MemoryServer) -> None:
    server.contents = {"shop": SMALL, "a/b %": SMALL, "..": SMALL, "näh": SMALL}

    backed_up(site, replace(ALL, label="Old"), replace(ALL, names=("shop",), users=False))

    users = len(server.users)
    assert trailer_of(site)["parts"] == [
        ["database", "Old/%2E%2E", 1, len(SMALL)],
        ["database", "Old/a%2Fb %25", 1, len(SMALL)],
        ["database", "Old/näh", 1, len(SMALL)],
        ["database", "Old/shop", 1, len(SMALL)],
        ["database", "shop", 1, len(SMALL)],
        ["database_users", "Old", 1, users],
    ]
    assert trailer_of(site)["bytes"] == 5 * len(SMALL) + users


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ((ALL, ALL), "Two of the databases would be called 'parts:/database/blog': give one of them a label"),
        ((ALL, replace(ALL, label="blog")), "Two of the databases would be called 'parts:/database/blog/blog'"),
        ((replace(ALL, label="a/b"),), "The label 'a/b' of databases is none"),
        ((replace(ALL, label=".."),), "The label '..' of databases is none"),
        ((replace(ALL, names=()),), "name is empty"),
        ((replace(ALL, path="/srv/x.db"),), "those of the type sqlite have a path"),
        ((Source("sqlite"),), "those of the type sqlite have a path"),
        ((Source("sqlite", path="x.db"),), "The path 'x.db' of a database is not absolute"),
    ],
)
def test_databases_that_could_not_be_told_apart_are_refused(
    site: Site, server: MemoryServer, sources: tuple[Source, ...], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        backed_up(site, *sources)

    assert server.left_open == 0
    assert not list(site.server.root.glob("clients/*/*/*/points/*/*"))


def test_what_is_excluded_is_not_dumped_and_what_is_not_there_is_told(site: Site, server: MemoryServer) -> None:
    server.contents.update(test_1=SMALL, test_2=SMALL)
    backed_up(site, replace(ALL, exclude=("test_*", "s?op"), users=False))

    assert [part[1] for part in trailer_of(site)["parts"]] == ["blog"]
    with pytest.raises(
        DatabaseError, match="There is no database 'wiki' on the mysql server; there are 'blog', 'shop'"
    ):
        backed_up(site, replace(ALL, names=("wiki", "blog")))


def test_quoting_is_for_what_cannot_stand_in_a_name_alone() -> None:
    assert [quoted(name) for name in ("shop", "a b", "a/b", "100%", ".", "..", ".hidden", "x\n")] == [
        *("shop", "a b", "a%2Fb", "100%25", "%2E", "%2E%2E", ".hidden", "x%0A"),
    ]


def test_databases_belong_to_the_definition_and_the_way_to_log_in_does_not() -> None:
    without = Request(NAME, "nightly", ("/srv",))
    one = replace(without, databases=(ALL,))
    other_login = replace(ALL, login=replace(ALL.login, username="root", password="secret", programs="/opt/bin"))

    assert one.definition != without.definition
    assert replace(without, databases=(other_login,)).definition == one.definition
    assert replace(without, databases=(replace(ALL, exclude=("x",)),)).definition != one.definition
    elsewhere = replace(ALL, login=replace(ALL.login, host="db2"))
    assert replace(without, databases=(elsewhere,)).definition != one.definition
    assert "secret" not in repr(replace(without, databases=(other_login,)))


def test_a_dump_that_stands_still_keeps_nobody_from_uploading(site: Site, server: MemoryServer, tmp_path: Path) -> None:
    server.stands_still = 3

    backed_up(site)

    brought_back(site, tmp_path / "restored")
    assert (tmp_path / "restored/parts:/database/shop").read_bytes() == SHOP


def test_what_a_server_tells_of_a_dump_is_a_warning(site: Site, server: MemoryServer) -> None:
    server.told = ["Of shop, one table is no InnoDB."]

    outcome = backed_up(site, replace(ALL, names=("shop",), users=False))

    assert outcome.warnings == ("Of shop, one table is no InnoDB.",)


def test_check_mode_tells_the_same_point_and_writes_nothing(site: Site, server: MemoryServer) -> None:
    make_tree(site.source)
    server.contents["shop"] = SMALL
    paths = (str(site.source),)
    before = sorted(site.server.root.rglob("*"))

    foretold = backed_up(site, check_mode=True, paths=paths).values["point"]

    assert sorted(site.server.root.rglob("*")) == before
    assert not (site.home / "var" / "index.sqlite").exists()
    made = backed_up(site, paths=paths).values["point"]
    assert [foretold[key] for key in ("seq", "entries", "bytes", "complete")] == [
        made[key] for key in ("seq", "entries", "bytes", "complete")
    ]


# -- dumps that fail


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("end", [0, 70_000, 10_900_000])
def test_a_dump_that_breaks_off_is_in_no_restore_point(
    site: Site, server: MemoryServer, structure: str, end: int
) -> None:
    server.failing["shop"] = end

    with pytest.raises(DatabaseError, match=r"The dump of 'shop' broke off\. No restore point was made\."):
        backed_up(site, structure=structure)

    assert points_of(site.job) == []
    assert server.left_open == 0
    server.failing.clear()
    backed_up(site, structure=structure)
    assert_tidy(site.job)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_dump_that_breaks_off_never_replaces_a_good_one(
    site: Site, server: MemoryServer, tmp_path: Path, structure: str
) -> None:
    options: dict[str, Option] = {"structure": structure, "retention": Policy(last=1)}
    good = backed_up(site, **options).values["point"]["id"]
    server.contents = {"shop": SHOP[::-1], "blog": b"changed"}
    server.failing["shop"] = 9_000_000

    with pytest.raises(DatabaseError):
        backed_up(site, **options)

    assert [point.run for point in points_of(site.job)] == [good]
    brought_back(site, tmp_path / "restored")
    assert (tmp_path / "restored/parts:/database/shop").read_bytes() == SHOP


@pytest.mark.parametrize("structure", ["incremental", "deduplicated"])
def test_where_it_may_fail_a_dump_stays_as_it_was_last_in_a_partial_point(
    site: Site, server: MemoryServer, tmp_path: Path, structure: str
) -> None:
    options: dict[str, Option] = {"structure": structure, "retention": Policy(last=2)}
    for _run in range(2):
        backed_up(site, SPARED, **options)
    server.contents = {"shop": SHOP[::-1], "blog": b"changed"}
    server.failing["shop"] = 9_000_000

    outcome = backed_up(site, SPARED, **options)

    point = outcome.values["point"]
    assert not point["complete"]
    assert point["problems"] == [{"path": "parts:/database/shop", "problem": "The dump of 'shop' broke off."}]
    assert "is partial: one thing could not be read as it should" in outcome.warnings[-1]
    brought_back(site, tmp_path / "restored", point=point["id"])
    assert files_below(tmp_path / "restored/parts:/database") == {"shop": SHOP, "blog": b"changed"}
    assert any(known.is_complete for known in points_of(site.job))


def test_a_dump_that_never_was_is_missing_in_a_partial_point(site: Site, server: MemoryServer) -> None:
    server.failing["shop"] = 9_000_000

    point = backed_up(site, SPARED).values["point"]

    assert not point["complete"]
    assert [part[1] for part in trailer_of(site)["parts"]] == ["blog", "mysql"]
    assert_tidy(site.job)


def test_of_a_server_that_is_down_everything_stays_as_it_was(site: Site, server: MemoryServer, tmp_path: Path) -> None:
    options: dict[str, Option] = {"retention": Policy(last=1), "structure": "deduplicated"}
    backed_up(site, SPARED, **options)
    server.is_down = True

    foretold = backed_up(site, SPARED, check_mode=True, **options)
    outcome = backed_up(site, SPARED, **options)

    reason = "The server cannot be reached: connection refused."
    point = outcome.values["point"]
    assert point["problems"] == [{"path": "parts:/database/mysql", "problem": reason}]
    assert [foretold.values["point"][key] for key in ("entries", "bytes", "complete", "problems")] == [
        point[key] for key in ("entries", "bytes", "complete", "problems")
    ]
    server.is_down = False
    brought_back(site, tmp_path / "restored", point=point["id"])
    assert files_below(tmp_path / "restored/parts:/database") == {"shop": SHOP, "blog": SMALL}


def test_a_required_server_that_is_down_ends_the_run_before_anything_is_sent(site: Site, server: MemoryServer) -> None:
    make_tree(site.source)
    server.is_down = True

    with pytest.raises(DatabaseError, match=r"^The server cannot be reached: connection refused\.$"):
        backed_up(site, paths=(str(site.source),))

    assert points_of(site.job) == []
    assert not list(site.job.rglob("*.tar*"))


def test_a_database_that_is_gone_is_gone_from_the_next_point(site: Site, server: MemoryServer) -> None:
    options: dict[str, Option] = {"retention": Policy(last=1)}
    backed_up(site, **options)
    del server.contents["blog"]

    outcome = backed_up(site, **options)

    assert outcome.values["point"]["complete"]
    assert [part[1] for part in trailer_of(site)["parts"]] == ["shop", "mysql"]


# -- bringing them back


def test_a_database_is_loaded_under_its_own_or_another_name(site: Site, server: MemoryServer) -> None:
    backed_up(site)
    server.contents.clear()

    outcome = brought_back(site, None, load=Load(), parts=(database("shop"),))
    other = Load(names={database("shop"): "shop_copy"})
    brought_back(site, None, load=other, parts=(database("shop"), database("blog")))

    assert server.contents == {"shop": SHOP, "shop_copy": SHOP, "blog": SMALL}
    assert outcome.changed
    assert outcome.values["restored"]["databases"] == 1
    assert outcome.values["bytes"] == len(SHOP)
    assert server.loaded_users == []


def test_what_is_there_is_replaced_only_where_that_was_said(site: Site, server: MemoryServer) -> None:
    backed_up(site)
    server.contents = {"shop": b"the shop of today"}

    with pytest.raises(DatabaseError, match="The database 'shop' is not empty"):
        brought_back(site, None, load=Load(), parts=(database("blog"), database("shop")))
    refused = dict(server.contents)
    brought_back(site, None, load=Load(replace=True), parts=(database("blog"), database("shop")))

    assert refused == {"shop": b"the shop of today"}
    assert server.contents == {"shop": SHOP, "blog": SMALL}


def test_users_are_loaded_only_where_they_are_named(site: Site, server: MemoryServer, tmp_path: Path) -> None:
    backed_up(site)
    server.contents.clear()

    brought_back(site, tmp_path / "restored", load=Load())
    unnamed = list(server.loaded_users)
    brought_back(site, None, load=Load(), parts=(WantedPart("database_users", "mysql"),))

    assert unnamed == []
    assert server.contents == {"shop": SHOP, "blog": SMALL}
    assert server.loaded_users == [server.users]


@pytest.mark.parametrize(
    ("kind", "order"),
    [("postgresql", ["users", "blog", "shop"]), ("mysql", ["blog", "shop", "users"])],
)
def test_users_come_before_what_belongs_to_them_and_after_what_their_grants_name(
    site: Site, server: MemoryServer, kind: str, order: list[str]
) -> None:
    backed_up(site, Source(kind))
    server.contents.clear()
    server.loads.clear()

    brought_back(site, None, load=Load(), parts=(WantedPart("database"), WantedPart("database_users")))

    assert server.loads == order


def test_a_kind_alone_means_all_parts_of_that_kind(site: Site, server: MemoryServer) -> None:
    backed_up(site)
    server.contents.clear()

    brought_back(site, None, load=Load(), parts=(WantedPart("database_users"), WantedPart("database")))

    assert server.contents == {"shop": SHOP, "blog": SMALL}
    assert server.loaded_users == [server.users]
    with pytest.raises(UsageError, match="has no part of the kind files; there are database 'blog'"):
        brought_back(site, site.home / "restored", parts=(WantedPart("files"),))


def test_with_everything_files_come_to_the_target_and_databases_into_the_server(
    site: Site, server: MemoryServer, tmp_path: Path
) -> None:
    make_tree(site.source)
    backed_up(site, paths=(str(site.source),))
    server.contents.clear()

    outcome = brought_back(site, tmp_path / "restored", load=Load())

    assert (tmp_path / "restored" / site.source.relative_to("/")).is_dir()
    assert not (tmp_path / "restored/parts:").exists()
    assert server.contents == {"shop": SHOP, "blog": SMALL}
    assert outcome.values["restored"]["databases"] == 2


def test_check_mode_loads_nothing_and_finds_what_stands_in_the_way(site: Site, server: MemoryServer) -> None:
    backed_up(site)
    there = dict(server.contents)

    foretold = brought_back(site, None, load=Load(replace=True), parts=(database("shop"),), check_mode=True)
    with pytest.raises(DatabaseError, match="not empty"):
        brought_back(site, None, load=Load(), parts=(database("shop"),), check_mode=True)

    assert foretold.changed
    assert foretold.values["restored"]["databases"] == 1
    assert server.contents == there


def test_content_that_is_damaged_is_loaded_nowhere(site: Site, server: MemoryServer) -> None:
    backed_up(site, compression="none")
    (volume,) = site.job.rglob("*.tar")
    content = bytearray(volume.read_bytes())
    content[5_000_000] ^= 1
    volume.write_bytes(content)
    server.contents.clear()

    with pytest.raises(DamageError, match="is not what was stored"):
        brought_back(site, None, load=Load(), parts=(database("shop"),))

    assert server.contents == {}


def test_a_dump_of_many_stretches_comes_in_order(
    site: Site, server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_STRETCH", 1)
    backed_up(site)
    server.contents.clear()

    brought_back(site, None, load=Load(), parts=(database("shop"),))

    assert server.contents == {"shop": SHOP}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"parts": (database("wiki"),), "load": Load()}, "has no part database 'wiki'; there are database 'blog', "),
        ({"parts": (database("shop"),)}, "It is not said where to"),
        ({"load": Load()}, "It is not said where to"),
        ({"paths": ("/nowhere",), "target": Path("/x"), "load": Load()}, "nothing that matches /nowhere"),
        (
            {
                "parts": (database("shop"), database("blog")),
                "load": Load(names={database("blog"): "shop"}),
            },
            "Both 'database/blog' and 'database/shop' would be loaded as 'shop'",
        ),
        (
            {
                "parts": (WantedPart("database_users", "mysql"),),
                "load": Load(names={WantedPart("database_users", "mysql"): "x"}),
            },
            "can be loaded under no other name than its own",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    site: Site, server: MemoryServer, options: dict[str, t.Any], sentence: str
) -> None:
    backed_up(site)
    server.contents.clear()

    with pytest.raises(UsageError, match=sentence):
        brought_back(site, options.pop("target", None), **options)

    assert server.contents == {}


@pytest.mark.usefixtures("server")
def test_where_everything_came_from_is_no_place_for_dumps(site: Site) -> None:
    make_tree(site.source)
    backed_up(site, paths=(str(site.source),))

    outcome = brought_back(site, Path("/"), check_mode=True)

    assert any("Databases were left out, the first is blog" in warning for warning in outcome.warnings)
    assert not Path("/parts:").exists()
    assert outcome.values["restored"]["databases"] == 0


@pytest.mark.usefixtures("server")
def test_deleting_what_is_extra_leaves_dumps_alone(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    backed_up(site, paths=(str(site.source),))
    brought_back(site, tmp_path / "restored")
    extra = tmp_path / "restored" / site.source.relative_to("/") / "extra"
    extra.touch()

    outcome = brought_back(site, tmp_path / "restored", delete_extra=True)

    assert not extra.exists()
    assert outcome.values["restored"]["deleted"] == 1
    assert set(files_below(tmp_path / "restored/parts:")) == {"database/shop", "database/blog", "database_users/mysql"}


# -- what else reads restore points


@pytest.mark.usefixtures("server")
def test_paths_never_mean_dumps(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    backed_up(site, paths=(str(site.source),))

    brought_back(site, tmp_path / "restored", paths=("/**",))

    assert not (tmp_path / "restored/parts:").exists()


def test_verification_reads_dumps_and_names_them(site: Site, server: MemoryServer) -> None:
    backed_up(site, compression="none")
    whole = verify(site.registry, site.host, Check(NAME, fails_on_damage=False), check_mode=False)
    (volume,) = site.job.rglob("*.tar")
    content = bytearray(volume.read_bytes())
    content[5_000_000] ^= 1
    volume.write_bytes(content)

    outcome = verify(site.registry, site.host, Check(NAME, fails_on_damage=False), check_mode=False)
    backed_up(site, compression="none")
    server.contents.clear()
    brought_back(site, None, load=Load(), parts=(database("shop"),))

    assert whole.values["damaged_files"] == []
    assert "parts:/database/shop" in str(outcome.values["damaged_files"])
    assert server.contents == {"shop": SHOP}


@pytest.mark.usefixtures("server")
def test_recover_restores_dumps_without_this_collection(site: Site, tmp_path: Path) -> None:
    backed_up(site)

    program = site.server.root / "recover.py"
    command = [
        sys.executable,
        "-I",
        str(program),
        str(site.job),
        "--point",
        "latest",
        "--target",
        str(tmp_path / "restored"),
    ]
    subprocess.run(command, check=True, capture_output=True)

    assert files_below(tmp_path / "restored/parts:/database") == {"shop": SHOP, "blog": SMALL}


@pytest.mark.usefixtures("server")
def test_a_manifest_without_header_and_trailer_still_gives_dumps(site: Site, tmp_path: Path) -> None:
    backed_up(site)
    manifest = next(iter(site.job.glob("points/*/*.manifest.gz")))
    content = bytearray(manifest.read_bytes())
    content[12:20] = bytes(8)
    content[-60:] = bytes(60)
    manifest.write_bytes(content)
    site.forget()

    with pytest.raises(DamageError, match="everything else was"):
        brought_back(site, tmp_path / "restored")

    assert files_below(tmp_path / "restored/parts:/database") == {"shop": SHOP, "blog": SMALL}


# -- the user's own commands


def test_commands_run_around_the_backup_and_may_make_its_paths(site: Site, tmp_path: Path) -> None:
    snapshot, log = tmp_path / "snapshot", tmp_path / "log"
    before = Command(f"mkdir {snapshot} && echo content > {snapshot}/file; echo before $FTP_BACKUP_JOB >> {log}")
    after = Command(f"rm -r {snapshot}; echo after $FTP_BACKUP_OUTCOME $FTP_BACKUP_RUN >> {log}")
    request = Request(NAME, "nightly", (str(snapshot),), pre_commands=(before,), post_commands=(after,))

    outcome = back_up(site.registry, site.host, request, check_mode=False)
    again = back_up(site.registry, site.host, request, check_mode=False)

    assert log.read_text() == f"before nightly\nafter made {outcome.values['point']['id']}\n"
    assert not again.changed
    brought_back(site, tmp_path / "restored")
    assert files_below(tmp_path / "restored") == {f"{snapshot.relative_to('/')}/file": b"content\n"}


def test_a_command_before_that_fails_leaves_no_restore_point(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    log = tmp_path / "log"
    commands: dict[str, Option] = {
        "pre_commands": (Command("echo no snapshot >&2; exit 3"), Command(f"echo never >> {log}")),
        "post_commands": (Command(f"echo $FTP_BACKUP_OUTCOME >> {log}"),),
    }

    with pytest.raises(CommandError, match=r"The command 1 of pre_commands ended with 3: no snapshot\. No restore"):
        site.back_up(**commands)

    assert log.read_text() == "failed\n"
    assert points_of(site.job) == []


def test_a_command_after_that_fails_takes_no_restore_point_away(site: Site) -> None:
    make_tree(site.source)

    with pytest.raises(CommandError, match=r"The command 1 of post_commands ended with 1\. The restore point \S+ was"):
        site.back_up(post_commands=(Command("false"),))

    assert len(points_of(site.job)) == 1
    site.back_up()
    assert_tidy(site.job)


def test_commands_after_run_when_the_backup_fails_and_their_failure_is_told_beside_it(
    site: Site, server: MemoryServer, tmp_path: Path
) -> None:
    server.failing["shop"] = 0
    thaw = Command(f"touch {tmp_path}/thawed; exit 1")

    with pytest.raises(DatabaseError, match=r"No restore point was made\. The command 1 of post_commands ended with 1"):
        backed_up(site, post_commands=(thaw,))

    assert (tmp_path / "thawed").exists()


def test_check_mode_runs_no_command_and_says_so(site: Site, tmp_path: Path) -> None:
    make_tree(site.source)
    touch = Command(f"touch {tmp_path}/run")
    paths = (str(site.source), str(tmp_path / "snapshot"))
    request = site.request(paths=paths, pre_commands=(touch,), post_commands=(touch,))

    outcome = back_up(site.registry, site.host, request, check_mode=True)

    assert not (tmp_path / "run").exists()
    assert any("pre_commands are not run in check mode" in warning for warning in outcome.warnings)
    assert outcome.values["point"]["complete"]


def trailer_of(site: Site) -> dict[str, t.Any]:
    """Return the trailer of the newest manifest on the server's disk."""
    newest = max(site.job.glob("points/*/*.manifest.gz"))
    trailer: dict[str, t.Any] = json.loads(gzip.decompress(newest.read_bytes()).splitlines()[-1])["trailer"]
    return trailer
