# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points that were made to do harm: nothing outside of the target is touched, and a sentence tells of each."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import os
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import footer
from tests.unit.restores import Restores, restores_in
from tests.unit.stored_content import MTIME, Json, LaidJob, Value, entry, hard_link, link

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = b"good content"
RUN = "20261101t030000z-000001"
STRANGE: tuple[Value, ...] = (
    None,
    "x",
    "",
    "\ud800",
    "\0",
    -1,
    2**70,
    1.5,
    True,
    [],
    {},
    [[]],
    ["x"],
    {"x": 1},
    [2**70],
)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the target that must look the same afterwards."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "file").write_bytes(b"precious")
    before = [_seen(path) for path in (directory, directory / "file")]
    yield directory
    assert [path.name for path in directory.iterdir()] == ["file"]
    assert [_seen(path) for path in (directory, directory / "file")] == before


def _seen(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = path.read_bytes() if path.is_file() else b""
    return status.st_mode, status.st_ino, status.st_nlink, status.st_mtime_ns, status.st_uid, content


@pytest.fixture
def restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: Path) -> Restores:
    assert outside.exists()
    return restores_in(tmp_path, monkeypatch)


# -- paths


@pytest.mark.parametrize(
    "path",
    [
        "/srv/../../outside/new",
        "../outside/new",
        "/../outside/file",
        "outside",
        "//srv/a",
        "/srv/a/",
        "/srv/./a",
        "",
        "/\0",
    ],
)
@pytest.mark.parametrize("kind", ["f", "d", "l", "p"])
def test_a_path_that_leads_elsewhere_costs_only_itself(restores: Restores, path: str, kind: str) -> None:
    job = restores.job
    bad = job.file(path, b"evil") if kind == "f" else entry(path, kind, to="x")
    job.add([entry("/srv"), bad, job.file("/srv/zz", GOOD)], in_order=True)

    sentence = restores.bring_back_in_vain()

    assert "One thing could not be restored" in sentence
    assert "no restore may follow" in sentence
    assert restores.names() == {"zz"}


def test_nothing_is_restored_through_a_link_that_the_manifest_itself_has(restores: Restores, outside: Path) -> None:
    job = restores.job
    below = [job.file("/srv/trap/file", b"evil"), job.file("/srv/trap/new", b"evil"), entry("/srv/trap/sub")]
    job.add([entry("/srv"), link("/srv/trap", str(outside)), *below, job.file("/srv/zz", GOOD)])

    sentence = restores.bring_back_in_vain()

    assert sentence.startswith("3 things could not be restored")
    assert (restores.srv / "trap").is_symlink()
    assert (restores.srv / "zz").read_bytes() == GOOD


def test_nothing_is_restored_through_a_link_that_stands_twice(restores: Restores, outside: Path) -> None:
    job = restores.job
    entries = [entry("/srv"), link("/srv/d", str(outside)), entry("/srv/d"), job.file("/srv/d/file", b"evil")]
    job.add([*entries, job.file("/srv/zz", GOOD)], in_order=True)

    restores.bring_back_in_vain()
    restores.bring_back_in_vain()

    assert (restores.srv / "zz").read_bytes() == GOOD


def test_no_name_is_linked_to_what_lies_outside(restores: Restores, outside: Path) -> None:
    job = restores.job
    (restores.srv).mkdir(parents=True)
    (restores.srv / "a").symlink_to(outside / "file")
    first = job.file("/srv/a", b"precious")
    names = [
        hard_link(f"/srv/n{number}", {**first, "p": p}) for number, p in enumerate(("/srv/../../outside/file", "x"))
    ]
    job.add([entry("/srv"), *names, hard_link("/srv/z", first)])

    sentence = restores.bring_back_in_vain()

    assert sentence.startswith("2 things could not be restored")
    assert (restores.srv / "z").read_bytes() == b"precious"
    assert not (restores.srv / "z").is_symlink()


def test_what_does_not_stand_in_order_or_stands_twice_is_not_restored(restores: Restores) -> None:
    job = restores.job
    good = [job.file(f"/srv/{name}", name.encode()) for name in "bdf"]
    wrong = [job.file("/srv/d", b"again"), job.file("/srv/a", b"too late"), entry("/srv")]
    job.add([entry("/srv"), *good[:2], *wrong, good[2]], in_order=True)

    sentence = restores.bring_back_in_vain()

    assert sentence.startswith("3 things could not be restored")
    assert "does not stand where it belongs" in sentence
    assert {path.name: path.read_bytes() for path in restores.srv.iterdir()} == {"b": b"b", "d": b"d", "f": b"f"}


# -- devices


def test_devices_are_refused_to_an_ordinary_user_and_the_rest_is_restored(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = restores.job
    devices = [entry("/srv/disk", "b", dev=[8, 0]), entry("/srv/mem", "c", dev=[1, 1])]
    job.add([entry("/srv"), *devices, job.file("/srv/zz", GOOD)])
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    sentence = restores.bring_back_in_vain()

    assert "/srv/disk, /srv/mem (only root can make devices)" in sentence
    assert restores.names() == {"zz"}


# -- contents


@pytest.mark.parametrize(
    ("extents", "size"),
    [
        ([[-5, 12]], 100),
        ([[0, -1], [0, 13]], 100),
        ([[0, 6], [3, 6]], 100),
        ([[50, 6], [0, 6]], 100),
        ([[0, 12]], 11),
        ([[2**62, 12]], 100),
        ([[0, 2**70]], 2**71),
        ([[0, 0]] * 6001 + [[0, 12]], 100),
        ([[0, 11]], 100),
        ([["0", 12]], 100),
        ([], 100),
    ],
)
def test_a_map_that_cannot_be_costs_only_its_file(restores: Restores, extents: list[Value], size: int) -> None:
    job = restores.job
    bad = job.file("/srv/bad", GOOD, map=extents, s=size)
    job.add([entry("/srv"), bad, job.file("/srv/zz", GOOD)], trailer={"bytes": 0})

    sentence = restores.bring_back_in_vain()

    assert "/srv/bad" in sentence
    assert restores.names() == {"zz"}


def test_a_sparse_file_of_enormous_size_takes_no_room(restores: Restores) -> None:
    job = restores.job
    job.add([entry("/srv"), job.file("/srv/huge", GOOD, map=[[2**43, len(GOOD)]], s=2**43 + 1000)])

    restores.bring_back()

    assert (restores.srv / "huge").stat().st_size == 2**43 + 1000
    assert (restores.srv / "huge").stat().st_blocks < 1000


@pytest.mark.parametrize(
    ("index", "value"),
    [
        *[(0, "v00/none.tar.gz"), (0, "../../../etc"), (0, 7)],
        *[(1, -1), (1, 2**60)],
        *[(2, 2**60), (2, -1), (2, "9")],
        *[(3, -512), (3, 2**60)],
        *[(4, 2**60), (4, 0), (4, -1), (4, None)],
    ],
)
def test_a_place_that_cannot_be_costs_only_its_file(restores: Restores, index: int, value: object) -> None:
    job = restores.job
    bad = job.file("/srv/bad", GOOD)
    bad["at"][0][index] = value
    job.add([entry("/srv"), bad, job.file("/srv/zz", GOOD)])

    sentence = restores.bring_back_in_vain()

    assert "/srv/bad" in sentence
    assert restores.names() == {"zz"}


def test_content_that_unpacks_to_more_than_a_frame_may_hold_is_no_content(restores: Restores) -> None:
    job = restores.job
    volume = job.volume()
    bomb = gzip.compress(bytes(64 * 1024 * 1024), 9, mtime=0)
    offset = len(volume.stored)
    volume.stored += bomb
    bad = {**job.file("/srv/bad"), "s": 7, "at": [[volume.name, offset, len(bomb), 0, 7]]}
    job.add([entry("/srv"), bad, job.file("/srv/zz", GOOD)])

    sentence = restores.bring_back_in_vain()

    assert "/srv/bad" in sentence
    assert restores.names() == {"zz"}


def test_a_file_whose_digest_is_not_that_of_its_segments_is_not_restored(restores: Restores) -> None:
    job = restores.job
    bad = job.file("/srv/bad", b"one" + b"two", segment=3)
    bad["at"].reverse()
    job.add([entry("/srv"), bad, job.file("/srv/zz", GOOD)])

    restores.bring_back_in_vain()

    assert restores.names() == {"zz"}


# -- fields of any type


def test_fields_of_any_type_cost_no_more_than_their_own_entries(restores: Restores) -> None:
    """Each strange entry lies in a block of its own, since what is no JSON of an entry at all costs its block."""
    job = restores.job
    whole = {**job.file("/srv/x", b"ab", segment=1), "x": {"user.a": "YQ=="}, "map": [[0, 2]]}
    others = [entry("/srv/x"), link("/srv/x", "there"), entry("/srv/x", "c", dev=[1, 3])]
    kinds = [whole, hard_link("/srv/x", whole), *others]
    strange: list[Json] = []
    for fields in kinds:
        for key in fields.keys() - {"p"}:
            for value in STRANGE:
                path = f"/srv/{len(strange):05d}"
                strange.append({**copy.deepcopy(fields), key: value, "p": path})
    good = [job.file(f"/srv/{number:05d}g", GOOD) for number in range(0, len(strange), 50)]
    job.add([entry("/srv"), *strange, *good], a_block=1, trailer={"bytes": 0})

    sentence = restores.bring_back_in_vain(point=job.run)

    assert "could not be restored, everything else was" in sentence
    assert all((restores.srv / values["p"][5:]).read_bytes() == GOOD for values in good)


def test_a_strange_path_costs_no_more_than_its_block(restores: Restores) -> None:
    job = restores.job
    entries = [entry("/srv"), entry("/srv/0")]
    for number, path in enumerate(STRANGE):
        entries += [entry(f"/srv/{number + 1:02d}"), {**job.file("/srv/x", b"evil"), "p": path}]
    job.add([*entries, job.file("/srv/zz", GOOD)], a_block=2, in_order=True)

    restores.bring_back_in_vain(point=job.run)

    assert (restores.srv / "zz").read_bytes() == GOOD


HEADS = ("run", "seq", "pool", "paths", "rules", "generation", "started", "client", "encryption", "format")
TAILS = ("entries", "bytes", "complete", "problems", "parts", "volumes", "blocks")
NO_BLOCKS = [[[start, length, "", "x"]] for start, length in ((0, 2**60), (-1, 1), (0, 10**400), ("0", 1))]


def test_a_header_or_trailer_of_any_type_is_passed_over(restores: Restores) -> None:
    job = restores.job
    entries = [entry("/srv"), job.file("/srv/zz", GOOD)]
    job.add(entries)
    good = job.run
    job.begin()
    strange: list[tuple[Json, Json]] = [({key: value}, {}) for key in HEADS for value in STRANGE]
    strange += [({}, {key: value}) for key in TAILS for value in (*STRANGE, [])]
    strange += [({}, {"blocks": value}) for value in NO_BLOCKS]

    used = []
    for header, trailer in strange:
        manifest = job.add(entries, header=header, trailer={"parts": [], **trailer})
        used.append(restores.bring_back(paths=("/srv/zz",)).values["point"]["id"])
        manifest.unlink()

    assert used.count(good) > len(used) * 0.7


def nested(where: str) -> bytes:
    """Return a manifest of which one block is JSON that nobody can read."""
    deep = gzip.compress(b"[" * 1_000_000, 1, mtime=0)
    head = gzip.compress(json.dumps(LaidJob.header_of(RUN, 1)).encode())
    block = gzip.compress(json.dumps(entry("/srv")).encode())
    head, block = (deep if where == "header" else head), (deep if where == "entry" else block)
    blocks = [[0, len(head), "", _digest(head)], [len(head), len(block), "/srv", _digest(block)]]
    tail = {"entries": 1, "bytes": 0, "complete": True, "problems": [], "parts": [], "volumes": {}, "blocks": blocks}
    last = deep if where == "trailer" else gzip.compress(json.dumps({"trailer": tail}).encode())
    return head + block + last + footer(len(head) + len(block), 0)


def _digest(member: bytes) -> str:
    return hashlib.sha256(member).hexdigest()


@pytest.mark.parametrize("paths", [(), ("/srv",)])
@pytest.mark.parametrize("point", ["latest", RUN])
def test_json_that_is_nested_too_deep_is_damage(restores: Restores, paths: tuple[str, ...], point: str) -> None:
    manifest = restores.job.add([entry("/srv")])
    manifest.write_bytes(nested("entry"))

    assert "damaged" in restores.bring_back_in_vain(paths=paths, point=point)


@pytest.mark.parametrize("where", ["header", "trailer"])
@pytest.mark.parametrize("paths", [(), ("/srv",)])
@pytest.mark.parametrize("point", ["latest", RUN])
def test_a_header_or_trailer_that_is_nested_too_deep_costs_no_entry(
    restores: Restores, where: str, paths: tuple[str, ...], point: str
) -> None:
    manifest = restores.job.add([entry("/srv")])
    manifest.write_bytes(nested(where))

    outcome = restores.bring_back(paths=paths, point=point)

    assert restores.srv.is_dir()
    assert f"the {where} cannot be read any more" in outcome.warnings[-1]


def test_the_same_problem_of_many_entries_is_one_sentence(restores: Restores) -> None:
    job = restores.job
    bad = [{**job.file(f"/srv/{number:04d}", b"x"), "m": "rwx"} for number in range(500)]
    job.add([entry("/srv"), *bad])

    sentence = restores.bring_back_in_vain()

    assert sentence.startswith("500 things could not be restored, everything else was: /srv/0000, ")
    assert len(sentence) < 500


def test_times_at_the_ends_of_what_there_is_come_back_or_are_told(restores: Restores) -> None:
    job = restores.job
    times = (-(2**63), 2**63 - 1, -1, 0, MTIME)
    job.add([entry("/srv"), *(job.file(f"/srv/{n}", GOOD, mt=time) for n, time in enumerate(times))])

    try:
        restores.bring_back()
    except DamageError as error:
        pytest.fail(str(error))

    assert restores.names() == set("01234")
