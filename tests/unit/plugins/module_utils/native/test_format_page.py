# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of ``docs/format.md`` name each key that is written, with its type, and readers hold to the page.

A writer made from the page alone stands here, too: what it writes, both readers of the project must read.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
import typing as t
import zlib
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.postgresql_statements import facts_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names, recover
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    Block,
    Entry,
    Header,
    Part,
    Place,
    Problem,
    Rules,
    Trailer,
    VolumeUse,
    entry_lines,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import ManifestReader
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import JobFile

PAGE = Path(__file__).resolve().parents[5].joinpath("docs", "format.md").read_text("utf-8")
VOLUME = "v00/20261122t030000z-1f9c2a-000000.tar"
CONTENT = b"hello world"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PLACE = Place(VOLUME, 512, len(CONTENT), 0, len(CONTENT))

Values = dict[str, t.Any]

TYPES: dict[str, t.Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
    "list of text": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "list of objects": lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
    "list of 3 numbers": lambda value: isinstance(value, list) and [type(item) for item in value] == [int] * 3,
}


def has_type(value: object, type_: str) -> bool:
    return any(TYPES[one](value) for one in re.split(r", or | or ", type_))


def rows_after(sentence: str) -> list[list[str]]:
    """Return the cells of the first table behind *sentence*, without its head."""
    assert PAGE.count(sentence) == 1, sentence
    table = PAGE.partition(sentence)[2].partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.split("\n")[2:]]


def keys_after(sentence: str) -> dict[str, list[str]]:
    """Return the keys that the first table behind *sentence* names, each with the other cells of its row."""
    return {key: row[1:] for row in rows_after(sentence) for key in re.findall(r"`([^`]+)`", row[0])}


def types_after(sentence: str) -> dict[str, str]:
    return {key: row[0] for key, row in keys_after(sentence).items()}


def require_as_documented(values: Values, documented: dict[str, str]) -> None:
    assert set(values) == set(documented)
    wrong = {key: value for key, value in values.items() if not has_type(value, documented[key])}
    assert wrong == {}


HEADER = "### The header"
RULES = "so that nobody takes it for gone:"
ENTRIES = "in brackets which may have it."
TRAILER = "### The trailer"
JOB = "`job.json` is a JSON object:"
DESTINATION = "`destination.json` is a JSON object:"

header = Header(
    run="20261122t030000z-1f9c2a",
    seq=42,
    client="web01",
    job="nightly",
    structure="incremental",
    pool="s03",
    started=datetime(2026, 11, 22, 3, tzinfo=timezone.utc),
    paths=("/srv",),
    definition="0" * 64,
    tool="0.1.0",
)


def test_the_header_has_the_keys_of_the_page() -> None:
    values = json.loads(header.to_line())

    require_as_documented(values, types_after(HEADER))
    require_as_documented(values["rules"], types_after(RULES))
    require_as_documented(Rules(marker=".nobackup").to_json(), types_after(RULES))


def test_the_trailer_has_the_keys_of_the_page() -> None:
    trailer = Trailer(
        entries=1,
        size=11,
        complete=True,
        problems=(Problem("/srv/secret", "Permission denied"),),
        parts=(Part("files", "/srv", 1, 11),),
        volumes={VOLUME: VolumeUse(1, 1024, 11, 11, 7)},
        blocks=(Block(0, 10, b"", DIGEST),),
    )

    values = json.loads(trailer.to_line())["trailer"]

    require_as_documented(values, types_after(TRAILER))
    assert len(values["volumes"][VOLUME]) == len(rows_after("Of a volume it tells five numbers:")) == 5
    lists = {key: re.findall(r"`\[([^`]+)\]`", row[2]) for key, row in keys_after(TRAILER).items()}
    for key in ("problems", "parts", "blocks"):
        assert [len(values[key][0])] == [len(names_.split(", ")) for names_ in lists[key]]


@pytest.mark.parametrize("kind", "fdlhcbp")
def test_an_entry_has_the_keys_of_the_page(kind: str) -> None:
    documented = keys_after(ENTRIES)
    always = {key for key, row in documented.items() if row[1] == "all" or f"`{kind}`" in re.sub(r"\(.*\)", "", row[1])}
    never = {key for key, row in documented.items() if "all" not in row[1] and f"`{kind}`" not in row[1]}
    has_content = kind in "fh"
    bare = Entry(
        b"/srv/b",
        kind,
        0o644,
        0,
        0,
        "root",
        "root",
        -5,
        target=b"/srv/a" if kind in "lh" else b"",
        device=(8, 1) if kind in "cb" else None,
        places=(PLACE,) if has_content else (),
    )
    rich = bare._replace(
        xattrs=(("user.k", b"v"),),
        is_stale=has_content,
        is_racy=has_content,
        extents=((0, 11),) if has_content else (),
        facts='{"type":"sqlite","source":"sqlite","name":"shop"}' if kind == "f" else "",
    )

    for entry, keys in ((bare, always), (rich, documented.keys() - never)):
        [line] = entry_lines(entry, 6000)
        require_as_documented(json.loads(line), {key: documented[key][0] for key in keys})


def test_a_place_has_the_numbers_of_the_page() -> None:
    documented = [row[0] for row in rows_after("says where the content of a segment lies:")]

    assert documented == list(Place._fields)


def test_the_files_of_a_job_and_of_a_destination_have_the_keys_of_the_page() -> None:
    require_as_documented(
        json.loads(JobFile("web01", "nightly", "0123456789abcdef", "full").to_json()), types_after(JOB)
    )
    assert types_after(DESTINATION) == {"format": "number", "name": "text", "tool": "text"}


def test_a_dump_of_postgresql_has_the_keys_of_the_page() -> None:
    rows = rows_after("and then, with the type")
    documented = {key: row[2] for row in rows if row[0] == "`postgresql`" for key in re.findall(r"`([^`]+)`", row[1])}
    columns = {"datlocprovider": "i", "datcollate": "C", "datctype": "C", "datconnlimit": -1}
    answer = {
        "version": "15.5",
        "columns": columns,
        "encoding": "UTF8",
        "owner": "shop",
        "tablespace": None,
        "comment": None,
        "public": True,
        "settings": [[None, "work_mem=4MB"]],
        "roles": ["shop"],
        "privileges": [["shop", None, "CONNECT", False]],
        "tablespaces": [],
    }

    facts = facts_of(answer)

    require_as_documented({key: value for key, value in facts.items() if key != "type"}, documented)


def joined(block: str) -> list[Values]:
    """Return the JSON lines of an example, in which a line may be broken."""
    return [json.loads(line) for line in re.sub(r"\n +", "", block.replace("<digest>", DIGEST)).split("\n") if line]


def test_the_examples_of_the_page_have_no_other_keys() -> None:
    blocks = [block for block in re.findall(r"(?ms)^```\n(\{.*?)```$", PAGE) if '"points"' not in block]
    (found_header,), entries, (trailer,) = map(joined, blocks)

    require_as_documented(found_header, types_after(HEADER))
    require_as_documented(trailer["trailer"], types_after(TRAILER))
    documented = keys_after(ENTRIES)
    for entry in entries:
        assert entry.keys() <= documented.keys()
        assert all(has_type(value, documented[key][0]) for key, value in entry.items())


def test_names_are_made_as_the_page_says() -> None:
    assert f"`web01` becomes `{names.slug('web01')}`" in PAGE
    assert f"    {names.slug('nightly')}/ " in PAGE
    assert str(names.job_directory("web01", "nightly")) == "clients/1f/web01-1f94fe44/nightly-2a3b62b5"


def made_from_the_page(header_values: Values, entries: list[Values], more: Values) -> bytes:
    """Return a manifest with these values, made of nothing but what ``docs/format.md`` tells."""
    members = [gzip.compress(json.dumps(header_values).encode() + b"\n")]
    members.append(gzip.compress(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)))
    blocks, offset = [], 0
    for member, first in zip(members, ("", entries[0]["p"])):
        blocks.append([offset, len(member), first, hashlib.sha256(member).hexdigest()])
        offset += len(member)
    trailer = {
        "entries": len(entries),
        "bytes": sum(entry["s"] for entry in entries if entry.get("t") == "f"),
        "complete": True,
        "problems": [],
        "parts": [["files", "/srv", len(entries), 11]],
        "volumes": {VOLUME: [1, 1024, 11, 11, 0]},
        "blocks": blocks,
        **more,
    }
    members.append(gzip.compress(json.dumps({"trailer": trailer}).encode() + b"\n", 9))
    footer = bytes.fromhex("1f8b0804 00000000 00ff 1000 4642 0c00")
    footer += struct.pack("<Q", offset) + struct.pack("<I", zlib.crc32(members[-1])) + bytes.fromhex("0300") + bytes(8)
    assert len(footer) == 38
    return b"".join(members) + footer


def the_header() -> Values:
    return {
        "format": 1,
        "run": "20261122t030000z-1f9c2a",
        "seq": 1,
        "client": "web01",
        "job": "nightly",
        "structure": "full",
        "pool": "full-20261122t030000z-1f9c2a",
        "started": "2026-11-22T03:00:00Z",
        "paths": ["/srv"],
        "definition": "0" * 64,
        "tool": "another program",
        "generation": 1,
        "encryption": None,
        "rules": {"exclude": [], "one_file_system": False, "caches": False, "marker": None},
    }


def the_entries() -> list[Values]:
    shared = {"m": 0o644, "u": 0, "g": 0, "un": "root", "gn": "root", "mt": 1_763_780_000_123_456_789}
    content = {"s": 11, "h": DIGEST, "ino": "1:2", "ct": 5, "at": [[VOLUME, 512, 11, 0, 11]]}
    return [{"p": "/srv", "t": "d", **shared, "m": 0o755}, {"p": "/srv/a.txt", "t": "f", **shared, **content}]


def read(manifest: bytes) -> tuple[Header, list[Entry]]:
    reader = ManifestReader(lambda offset, length: manifest[offset : offset + length], len(manifest), "one")
    return reader.header, list(reader.entries())


def recovered(manifest: bytes, job: Path) -> list[recover.Entry]:
    """Return what the other reader finds; that it complains of anything is a failure."""
    path = job / "000001-20261122t030000z-1f9c2a.manifest.gz"
    path.write_bytes(manifest)
    found = recover.Manifest(path)
    report = recover.Report()
    entries = list(found.entries(report))
    assert (found.notes, report.losses, found.header is None) == ([], 0, False)
    return entries


def test_both_readers_read_what_is_written_by_the_page_alone(tmp_path: Path) -> None:
    manifest = made_from_the_page(the_header(), the_entries(), {})

    found, entries = read(manifest)

    assert (found.client, found.paths, [entry.path for entry in entries]) == (
        "web01",
        ("/srv",),
        [b"/srv", b"/srv/a.txt"],
    )
    assert entries[1].places == (PLACE,)
    assert [entry.path for entry in recovered(manifest, tmp_path)] == [b"/srv", b"/srv/a.txt"]


def test_both_readers_pass_over_keys_that_they_do_not_know(tmp_path: Path) -> None:
    strange: Values = {"later": {"deep": [1]}}
    values = the_header()
    values["rules"] = {**values["rules"], **strange}
    known = made_from_the_page(the_header(), the_entries(), {})
    manifest = made_from_the_page({**values, **strange}, [{**entry, **strange} for entry in the_entries()], strange)

    assert read(manifest) == read(known)
    assert recovered(manifest, tmp_path) == recovered(known, tmp_path)


@pytest.mark.parametrize("key", [key for key, row in keys_after(HEADER).items() if key != "encryption"])
def test_a_header_without_what_is_always_there_is_damaged(key: str) -> None:
    values = the_header()
    del values[key]

    with pytest.raises(DamageError):
        read(made_from_the_page(values, the_entries(), {}))


@pytest.mark.parametrize("key", [key for key, row in keys_after(ENTRIES).items() if row[1] == "all"])
def test_an_entry_without_what_is_always_there_is_damaged(key: str) -> None:
    [directory, file] = the_entries()
    manifest = made_from_the_page(the_header(), [directory, {k: v for k, v in file.items() if k != key}], {})

    with pytest.raises(DamageError):
        read(manifest)


@pytest.mark.parametrize(
    "values", [{"format": 2}, {"encryption": {"with": "age"}}], ids=lambda values: next(iter(values))
)
def test_both_readers_refuse_what_comes_later(values: Values, tmp_path: Path) -> None:
    manifest = made_from_the_page({**the_header(), **values}, the_entries(), {})
    path = tmp_path / "000001-20261122t030000z-1f9c2a.manifest.gz"
    path.write_bytes(manifest)

    with pytest.raises(DamageError, match="which this version"):
        read(manifest)
    assert recover.Manifest(path).is_unknown
