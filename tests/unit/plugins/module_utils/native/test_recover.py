# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection writes can be brought back by recover.py alone, and by tar as readme.txt says."""

from __future__ import annotations

import ast
import gzip
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import typing as t
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names, recover
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    Entry,
    Header,
    Place,
    Rules,
    entry_lines,
    order_key,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import (
    FOOTER_SIZE,
    ManifestReader,
    ManifestWriter,
    VolumeSize,
    footer,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import JobFile
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.readme import README
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import (
    MEMORY_BUDGET,
    SUFFIXES,
    Budget,
    Packer,
    PendingPlace,
    Volume,
)

RECOVER = Path(recover.__file__)
MTIME = 1_763_780_000_123_456_789
STARTED = datetime(2026, 11, 22, 3, 0, 0, tzinfo=timezone.utc)
MIB = 1024 * 1024
WHOLE_FILE_LIMIT = 8 * MIB

#: More than one segment of what no compression makes smaller.
NOISE = random.Random(1).randbytes(9 * MIB + 123)

#: As uneven as cuts by content can be.
SEGMENT_SIZES = (3 * MIB + 1, 1, 8 * MIB, MIB, 513)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give files away and make devices.")
needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="There is no tar on this machine.")
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="There is no zstd on this machine.")

COMPRESSIONS = ("gzip", "none", pytest.param("zstd", marks=needs_zstd))

#: Imports first: the interpreter may lie where nobody else may look.
AS_NOBODY = """
import locale, os, sys  # argparse wants to know the language when it starts
sys.path.insert(0, sys.argv[1])
import recover
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(recover.main(sys.argv[2:]))
"""

#: Each entry with the content of its file, if it has one of its own; in segments where it matters which.
Content = t.Union[bytes, Sequence[bytes], None]
Contents = Iterable[tuple[Entry, Content]]

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


class Job:
    """A job's directory as it would be downloaded, written by the collection's own writers."""

    def __init__(self, directory: Path, structure: str = "incremental") -> None:
        self.directory = directory
        self.structure = structure
        (directory / "points" / "202611").mkdir(parents=True)
        directory.joinpath("job.json").write_bytes(JobFile("web01", "nightly", "c0ffee", structure).to_json())
        self._runs = 0
        self._known: dict[str, PendingPlace] = {}

    def add(
        self, contents: Contents, compression: str = "gzip", *, complete: bool = True, rules: Rules | None = None
    ) -> Path:
        """Add a restore point, in a slot of its own unless the job is deduplicated, and return its manifest."""
        header = self._next_header(rules or Rules())
        path = names.manifest_path(self.directory, header.seq, header.run)  # type: ignore[arg-type] # a local path does as well
        return self._write(Path(path), header, contents, compression, complete=complete)

    def add_checkpoint(self, contents: Contents, number: int = 1) -> Path:
        """Add how far another run has come."""
        header = self._next_header(Rules())
        path = names.checkpoint_path(self.directory, header.run, number)  # type: ignore[arg-type] # the same
        return self._write(Path(path), header, contents, "gzip", complete=False)

    def _next_header(self, rules: Rules) -> Header:
        self._runs += 1
        run = names.run_id(STARTED.replace(day=self._runs), f"{self._runs:06x}")
        pool = "pool" if self.structure == "deduplicated" else names.slot_name(self._runs)
        return Header(run, self._runs, "web01", "nightly", self.structure, pool, STARTED, ("/srv",), "", "0.1.0", rules)

    def _write(self, path: Path, header: Header, contents: Contents, compression: str, *, complete: bool) -> Path:
        volumes: list[Volume] = []
        packer = Packer(
            compression,
            lambda number: f"v00/{header.run}-{number:06d}{SUFFIXES[compression]}",
            volumes.append,
            budget=Budget(MEMORY_BUDGET),
            volume_size=MIB,
        )
        waiting = [(entry, list(self._packed(entry, content, packer))) for entry, content in contents]
        packer.close_volume()
        packer.stop()
        for volume in volumes:
            stored = self.directory / header.pool / volume.name
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(b"".join(volume.chunks()))
        write_manifest(path, header, _settled(waiting), complete=complete)
        return path

    def _packed(self, entry: Entry, content: Content, packer: Packer) -> Iterator[PendingPlace]:
        """Yield the places of the segments; in a deduplicated job, what is there already is not packed again."""
        segments = _pieces(content)
        for part, segment in enumerate(segments, 1):
            digest = hashlib.sha256(segment).hexdigest()
            place = self._known.get(digest)
            if place is None:
                is_numbered = len(segments) > 1 or entry.extents
                place = packer.add(entry, segment, digest, part if is_numbered else 0)
            if self.structure == "deduplicated":
                self._known[digest] = place
            yield place

    def volumes(self) -> list[Path]:
        return sorted(self.directory.glob("*/v00/*"))


def _settled(waiting: Sequence[tuple[Entry, list[PendingPlace]]]) -> Iterator[Entry]:
    """Yield the entries with their places, hard links with those of their first names."""
    places: dict[bytes, tuple[Place, ...]] = {}
    for entry, pending in waiting:
        places[entry.path] = tuple(place.place(with_digest=len(pending) > 1) for place in pending)
        yield entry._replace(places=places[entry.target if entry.kind == "h" else entry.path])


def write_manifest(path: Path, header: Header, entries: Iterable[Entry], *, complete: bool = True) -> None:
    """Write what the collection would write of volumes that lie there; one that is missing has the size 3."""
    live: Counter[str] = Counter()
    pool = path.parent.parent.parent / header.pool
    with path.open("wb") as file:
        writer = ManifestWriter(file.write, header)
        for entry in entries:
            writer.add(entry)
            for place in entry.places:
                live[place.volume] += place.size
        sizes = {name: (pool / name).stat().st_size if (pool / name).is_file() else 3 for name in live}
        volumes = {name: VolumeSize(size, live[name]) for name, size in sizes.items()}
        writer.finish(complete=complete, problems=(), parts=(), volumes=volumes)


def publish_anew(manifest: Path, generation: int) -> Path:
    """Write the next generation of *manifest*, with all its content in volumes of other names, and return it."""
    reader = _reader(manifest)
    header = reader.header
    job = manifest.parent.parent.parent
    moved = {name: name.replace(header.run, f"{header.run[:-6]}{generation:06x}") for name in reader.trailer.volumes}
    for old, new in moved.items():
        shutil.copyfile(job / header.pool / old, job / header.pool / new)
    path = Path(names.manifest_path(job, header.seq, header.run, generation))  # type: ignore[arg-type] # the same
    entries = [
        entry._replace(places=tuple(place._replace(volume=moved[place.volume]) for place in entry.places))
        for entry in reader.entries()
    ]
    write_manifest(path, replace(header, generation=generation), entries)
    return path


def _pieces(content: Content) -> Sequence[bytes]:
    if not isinstance(content, bytes):
        return content or []
    if len(content) <= WHOLE_FILE_LIMIT:
        return [content] if content else []
    pieces, sizes = [], itertools.cycle(SEGMENT_SIZES)
    while content:
        size = next(sizes)
        pieces.append(content[:size])
        content = content[size:]
    return pieces


def digest_of(content: Content) -> str:
    digests = [hashlib.sha256(piece).digest() for piece in _pieces(content)]
    return digests[0].hex() if len(digests) == 1 else hashlib.sha256(b"".join(digests)).hexdigest()


def entry_of(path: bytes, kind: str = "f", mode: int = 0o644, target: bytes = b"") -> Entry:
    return Entry(path, kind, mode, os.getuid(), os.getgid(), "", "", MTIME, target=target)


def file_of(path: bytes, content: bytes | Sequence[bytes], mode: int = 0o644) -> tuple[Entry, bytes | Sequence[bytes]]:
    size = sum(map(len, _pieces(content)))
    return entry_of(path, mode=mode)._replace(size=size, digest=digest_of(content)), content


def sparse_file_of(path: bytes, size: int, *extents: tuple[int, bytes]) -> tuple[Entry, list[bytes]]:
    """Return a file of *size* bytes with some content at some offsets; each piece is two segments."""
    content = b"".join(piece for _offset, piece in extents)
    segments = [content[: len(content) // 3], content[len(content) // 3 :]] if content else []
    entry = entry_of(path)._replace(size=size, digest=digest_of(segments))
    places = tuple((offset, len(piece)) for offset, piece in extents)
    return entry._replace(extents=places or ((0, 0),)), segments


def other_name_of(entry: Entry, path: bytes) -> tuple[Entry, None]:
    return entry._replace(path=path, kind="h", target=entry.path), None


def scanned(tree: Path) -> Iterator[tuple[Entry, bytes | None]]:
    """Yield what lies in *tree*, in order, as if that were the root of a host."""
    top = os.fsencode(tree)
    found = [top, *(os.path.join(way, name) for way, *below in os.walk(top) for names in below for name in names)]  # noqa: PTH118 - these names are bytes
    first_names: dict[int, Entry] = {}
    for path in sorted(found, key=order_key):
        status = os.lstat(path)
        kind = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}.get(stat.S_IFMT(status.st_mode), "f")
        target = os.readlink(path) if kind == "l" else b""  # noqa: PTH115 - the same
        entry = entry_of(path[len(top) :] or b"/", kind, stat.S_IMODE(status.st_mode), target)
        entry = entry._replace(mtime=status.st_mtime_ns)
        if kind != "f":
            yield entry, None
            continue
        content = Path(os.fsdecode(path)).read_bytes()
        entry = entry._replace(size=len(content), digest=digest_of(content))
        first = first_names.setdefault(status.st_ino, entry)
        yield (entry, content) if first is entry else other_name_of(first, entry.path)


def recovered(
    job: Job, *words: object, code: int = 0, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program as somebody would who has nothing else, and expect it to end with *code*."""
    command = [sys.executable, "-I", "-S", str(RECOVER), str(job.directory), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, errors="replace")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def snapshot(tree: Path) -> dict[bytes, tuple[object, ...]]:
    """Return everything there is to know of what lies in *tree*."""
    top = os.fsencode(tree)
    first_names: dict[int, bytes] = {}
    found: dict[bytes, tuple[object, ...]] = {}
    for directory, below, files in os.walk(top):
        for name in [b".", *below, *files]:
            path = os.path.join(directory, name)  # noqa: PTH118 - these names are bytes
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)  # noqa: PTH115 - the same
            first = None if stat.S_ISDIR(status.st_mode) else first_names.setdefault(status.st_ino, path[len(top) :])
            owner = (status.st_uid, status.st_gid)
            found[path[len(top) :]] = (status.st_mode, owner, status.st_mtime_ns, content, first)
    return found


def _damage(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with everything that is hard."""
    tree = tmp_path / "tree"
    (tree / "srv" / "a").mkdir(parents=True)
    (tree / "srv" / "empty").mkdir(mode=0o711)
    srv = os.fsencode(tree / "srv")
    contents = {
        b"/a/b.txt": b"below",
        b"/a-b": b"after a/, not before",
        b"/empty.txt": b"",
        b"/large": NOISE,
        b"/large text": b"all the same line\n" * 600_000,
        b"/latin \xe9\xff": b"a name that is not UTF-8",
        b"/new\nline": b"a name of two lines",
        b"/" + b"long" * 60: b"a name beyond ustar",
        "/größe".encode(): b"a name beyond ASCII",
        b"/setuid": b"#!/bin/sh\n",
    }
    for number, (name, content) in enumerate(contents.items()):
        Path(os.fsdecode(srv + name)).write_bytes(content)
        os.utime(srv + name, ns=(MTIME, MTIME + number))
    (tree / "srv" / "setuid").chmod(0o4751)
    os.link(srv + b"/a/b.txt", srv + b"/second name")
    (tree / "srv" / "link").symlink_to("/nowhere at all")
    os.mkfifo(srv + b"/fifo", 0o620)
    for directory in ("srv/a", "srv/empty", "srv", "."):
        os.utime(tree / directory, ns=(MTIME, MTIME - 10**9))
    return tree


class TestListing:
    def test_every_restore_point_is_listed_with_what_a_choice_needs(self, job: Job) -> None:
        job.add([file_of(b"/srv/a", b"one")])
        second = job.add([file_of(b"/srv/a", b"two"), file_of(b"/srv/b", b"b")], complete=False)
        second.with_name("000002.keep").touch()

        lines = recovered(job).stdout.splitlines()

        assert lines[0].split() == ["SEQ", "ID", "DATE", "POOL", "STRUCTURE", "ENTRIES", "BYTES", "STATE"]
        first, last = (line.split(maxsplit=7) for line in lines[1:])
        date = "2026-11-22T03:00:00Z"
        assert first == ["1", "20261101t030000z-000001", date, "s01", "incremental", "1", "3", "complete"]
        assert last == ["2", "20261102t030000z-000002", date, "s02", "incremental", "2", "4", "partial, protected"]

    def test_a_missing_volume_makes_its_restore_point_a_damaged_one(self, job: Job) -> None:
        job.add([file_of(b"/srv/a", b"one")])
        job.add([file_of(b"/srv/a", b"two")])
        job.volumes()[0].unlink()

        listed = recovered(job, code=1)

        first, last = listed.stdout.splitlines()[1:]
        assert first.endswith("complete, DAMAGED")
        assert last.endswith("complete")
        assert "20261101t030000z-000001-000000.tar.gz is missing" in listed.stderr

    def test_an_empty_manifest_is_listed_as_damaged(self, job: Job) -> None:
        job.add([file_of(b"/srv/a", b"one")]).write_bytes(b"")

        assert recovered(job, code=1).stdout.splitlines()[1].endswith("unknown, DAMAGED")

    def test_another_format_is_not_guessed_at(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        manifest.write_bytes(gzip.compress(b'{"format":2,"run":"r"}\n'))

        assert "format 2" in recovered(job, code=1).stderr
        assert "format 2" in recovered(job, "--point", "1", "--target", target, code=2).stderr

    def test_of_several_generations_the_highest_counts(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        for generation in (2, 10):
            publish_anew(manifest, generation)
        for volume in job.volumes()[:-1]:
            volume.unlink()

        listed = recovered(job)
        recovered(job, "--point", "1", "--target", target)

        assert listed.stdout.splitlines()[1:] == [listed.stdout.splitlines()[-1]]
        assert listed.stdout.endswith("  complete\n")
        assert listed.stderr == ""
        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_a_damaged_generation_is_passed_over_with_a_warning(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        newer = publish_anew(manifest, 2)
        newer.write_bytes(newer.read_bytes()[:-10])

        listed = recovered(job)
        restored = recovered(job, "--point", "latest", "--target", target)

        warning = f"{newer.name} is passed over for {manifest.name}: the end of its manifest is damaged"
        assert listed.stdout.endswith("  complete\n")
        assert warning in listed.stderr
        assert f"Warning: {warning}" in restored.stderr
        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_a_generation_whose_volumes_were_not_downloaded_is_passed_over(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        publish_anew(manifest, 2)
        job.volumes()[-1].unlink()

        done = recovered(job, "--point", "latest", "--target", target)

        assert "000002-000000.tar.gz is missing" in done.stderr
        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_if_no_generation_is_whole_the_highest_that_can_be_read_counts(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/%d" % number, bytes([number]) * MIB) for number in range(2)], "none")
        publish_anew(manifest, 2)
        publish_anew(manifest, 3).write_bytes(b"")
        for volume in (*job.volumes()[:2], job.volumes()[2]):
            volume.unlink()

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert f"3.manifest.gz is passed over for {manifest.name[:-12]}.g2.manifest.gz" in done.stderr
        assert [path.name for path in (target / "srv").iterdir()] == ["1"]

    def test_checkpoints_are_no_restore_points(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/a", b"one")])
        job.add_checkpoint([file_of(b"/srv/a", b"two")])

        listed = recovered(job)
        recovered(job, "--point", "latest", "--target", target)

        assert len(listed.stdout.splitlines()) == 2
        assert "checkpoint" not in listed.stderr
        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_a_job_whose_first_run_never_ended_has_its_checkpoint(self, job: Job, target: Path) -> None:
        job.add_checkpoint([file_of(b"/srv/a", b"one")], number=1)
        job.add_checkpoint([file_of(b"/srv/a", b"one"), file_of(b"/srv/b", b"two")], number=2)

        listed = recovered(job)
        refused = recovered(job, "--point", "latest", "--target", target, code=2)
        done = recovered(job, "--point", "checkpoint", "--target", target)

        assert len(listed.stdout.splitlines()) == 1
        assert "--point checkpoint" in listed.stderr
        assert "--point checkpoint" in refused.stderr
        assert "this is not complete" in done.stderr
        assert [(target / "srv" / name).read_bytes() for name in "ab"] == [b"one", b"two"]

    def test_a_checkpoint_that_is_not_there_is_refused(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/a", b"one")])

        recovered(job, "--point", "checkpoint", "--target", target, code=2)

    def test_what_was_left_out_on_purpose_is_told(self, job: Job, target: Path) -> None:
        job.add([], rules=Rules(("*.tmp", "/cache"), one_file_system=True, caches=True, marker=".nobackup"))

        told = recovered(job, "--point", "1", "--target", target).stderr

        assert re.findall("Left out on purpose: (.*)", told) == [
            "what matches *.tmp",
            "what matches /cache",
            "other file systems",
            "caches that say so by a CACHEDIR.TAG",
            "directories with a file .nobackup",
        ]

    def test_what_is_known_to_be_broken_is_mentioned_and_not_needed(self, job: Job) -> None:
        job.add([file_of(b"/srv/a", b"one")])
        (job.directory / "s01" / "damage.json").write_text("no JSON at all", encoding="ascii")

        listed = recovered(job)

        assert f"{job.directory}/s01/damage.json tells where" in listed.stderr
        assert listed.stdout.endswith("  complete\n")

    def test_of_many_missing_volumes_some_are_named_and_the_rest_is_counted(self, job: Job) -> None:
        job.add([file_of(b"/srv/%03d" % number, b"%d" % number * MIB) for number in range(30)], "none")
        shutil.rmtree(job.directory / "s01")

        told = recovered(job, code=1).stderr.splitlines()

        assert len([line for line in told if line.endswith(".tar is missing")]) == 20
        assert told[-1].endswith(": 10 more volumes are missing or do not have their size")

    def test_what_is_no_job_is_refused(self, job: Job) -> None:
        shutil.rmtree(job.directory / "points")

        assert "job.json" in recovered(job, code=2).stderr

    def test_a_restore_without_a_target_is_refused(self, job: Job) -> None:
        assert "--target" in recovered(job, "--point", "latest", code=2).stderr

    def test_an_unknown_restore_point_is_refused(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/a", b"one")])

        assert "no restore point called 7" in recovered(job, "--point", "7", "--target", target, code=2).stderr
        assert not target.exists()


class TestWholeRestore:
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_everything_comes_back_as_it_was(self, job: Job, tree: Path, target: Path, compression: str) -> None:
        job.add(scanned(tree), compression)

        done = recovered(job, "--point", "latest", "--target", target)

        assert snapshot(target) == snapshot(tree)
        assert done.stdout.startswith("Restored 17 entries with ")
        assert (target / "srv" / "second name").samefile(target / "srv" / "a" / "b.txt")

    def test_a_second_restore_over_the_first_gives_the_same(self, job: Job, tree: Path, target: Path) -> None:
        job.add(scanned(tree))
        recovered(job, "--point", "1", "--target", target)
        (target / "srv" / "large").write_bytes(b"changed since")

        recovered(job, "--point", "1", "--target", target)

        assert snapshot(target) == snapshot(tree)

    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_segments_have_any_length(self, job: Job, target: Path, compression: str) -> None:
        chance = random.Random(8)
        segments = [chance.randbytes(size) for size in (1, 8 * MIB, 511, 512, 1, 2 * MIB + 7)]
        job.add([file_of(b"/srv/a", segments), file_of(b"/srv/b", b"behind")], compression)

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a").read_bytes() == b"".join(segments)
        assert (target / "srv" / "b").read_bytes() == b"behind"

    def test_restore_points_that_share_one_pool_come_back(self, tmp_path: Path, target: Path) -> None:
        job = Job(tmp_path / "job", "deduplicated")
        chance = random.Random(9)
        shared = [chance.randbytes(size) for size in (MIB, 3, 2 * MIB)]
        first = {b"/srv/a": [*shared, b"a"], b"/srv/b": [b"b", *reversed(shared)], b"/srv/c": shared[:1]}
        second = {b"/srv/a": [shared[1], b"new"] * 3, b"/srv/d": first[b"/srv/b"]}
        job.add([file_of(*item) for item in first.items()])
        before = len(job.volumes())
        job.add([file_of(*item) for item in second.items()])

        for number, contents in ((1, first), (2, second)):
            recovered(job, "--point", number, "--target", target / str(number))

            restored = {path.name: path.read_bytes() for path in (target / str(number) / "srv").iterdir()}
            assert restored == {path[5:].decode(): b"".join(segments) for path, segments in contents.items()}
        assert len(job.volumes()) == before + 1

    @pytest.mark.parametrize(
        "extents",
        [
            [(MIB, b"in the middle"), (2 * MIB + 1, b"and once more")],
            [(0, b"at the beginning" * 1000), (3 * MIB, b"and later")],
            [(4 * MIB - 10, b"at the end")],
            [(512, b"with no"), (519, b" hole between")],
            [],
        ],
    )
    def test_a_sparse_file_comes_back_as_one(self, job: Job, target: Path, extents: list[tuple[int, bytes]]) -> None:
        job.add([sparse_file_of(b"/srv/image", 4 * MIB, *extents), file_of(b"/srv/j", b"behind")])
        expected = bytearray(4 * MIB)
        for offset, piece in extents:
            expected[offset : offset + len(piece)] = piece

        recovered(job, "--point", "1", "--target", target)

        restored = target / "srv" / "image"
        assert restored.read_bytes() == expected
        assert restored.stat().st_blocks * 512 <= MIB // 2

    def test_a_file_without_a_map_is_not_made_sparse(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/zeros", bytes(MIB))])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "zeros").stat().st_blocks * 512 >= MIB

    def test_extended_attributes_come_back(self, job: Job, tmp_path: Path, target: Path) -> None:
        _require_xattr(tmp_path, "user.probe", b"")
        entry, content = file_of(b"/srv/a", b"one")
        job.add([(entry._replace(xattrs=(("user.k", b"\0\xff"),)), content)])

        recovered(job, "--point", "1", "--target", target)

        assert os.getxattr(target / "srv" / "a", "user.k") == b"\0\xff"

    def test_an_extended_attribute_that_cannot_be_set_is_no_failure(self, job: Job, target: Path) -> None:
        entry, content = file_of(b"/srv/a", b"one")
        job.add([(entry._replace(xattrs=(("nonsense.k", b"v"),)), content)])

        assert "1 extended attributes" in recovered(job, "--point", "1", "--target", target).stderr
        assert (target / "srv" / "a").read_bytes() == b"one"

    @needs_root
    @pytest.mark.parametrize("kind", ["f", "d", "l", "p", "c", "b"])
    def test_extended_attributes_come_back_on_every_kind(
        self, job: Job, tmp_path: Path, target: Path, kind: str
    ) -> None:
        _require_xattr(tmp_path, "trusted.probe", b"")
        entry = file_of(b"/srv/x", b"")[0] if kind == "f" else entry_of(b"/srv/x", kind, target=b"a")
        job.add([file_of(b"/srv/a", b"one"), (entry._replace(xattrs=(("trusted.k", b"v"),), device=(1, 3)), None)])

        recovered(job, "--point", "1", "--target", target)

        assert os.getxattr(target / "srv" / "x", "trusted.k", follow_symlinks=False) == b"v"
        assert "trusted.k" not in os.listxattr(target / "srv" / "a")

    @pytest.mark.parametrize("kind", ["f", "d", "p"])
    def test_access_control_lists_come_back(self, job: Job, tmp_path: Path, target: Path, kind: str) -> None:
        acl = _acl(user=6, named=4, group=0, mask=6)
        _require_xattr(tmp_path, ACCESS, acl)
        entry = file_of(b"/srv/x", b"")[0] if kind == "f" else entry_of(b"/srv/x", kind)
        job.add([(entry._replace(mode=0o660, xattrs=((ACCESS, acl),)), None)])

        recovered(job, "--point", "1", "--target", target)

        assert os.getxattr(target / "srv" / "x", ACCESS) == acl
        assert stat.S_IMODE((target / "srv" / "x").stat().st_mode) == 0o660

    @pytest.mark.parametrize("kind", ["f", "d", "p"])
    def test_without_its_access_control_list_the_group_gets_what_it_had(
        self, job: Job, target: Path, kind: str
    ) -> None:
        acl = _acl(user=6, named=4, group=4, mask=6)[:-8]  # no kernel takes it: the others are missing
        entry = file_of(b"/srv/x", b"")[0] if kind == "f" else entry_of(b"/srv/x", kind)
        job.add([(entry._replace(mode=0o660, xattrs=((ACCESS, acl),)), None)])

        recovered(job, "--point", "1", "--target", target)

        assert stat.S_IMODE((target / "srv" / "x").stat().st_mode) == 0o640

    def test_nobody_gets_rights_from_the_directory_that_is_restored_into(
        self, job: Job, tmp_path: Path, target: Path
    ) -> None:
        acl = _acl(user=7, named=7, group=7, mask=7)
        _require_xattr(tmp_path, ACCESS, acl)
        target.mkdir()
        os.setxattr(target, DEFAULT, acl)
        job.add([(entry_of(b"/srv", "d", 0o750), None), file_of(b"/srv/a", b"one", 0o640)])

        recovered(job, "--point", "1", "--target", target)

        for path, mode in ((target / "srv", 0o750), (target / "srv" / "a", 0o640)):
            assert not {ACCESS, DEFAULT} & set(os.listxattr(path))
            assert stat.S_IMODE(path.stat().st_mode) == mode

    @needs_root
    def test_capabilities_and_set_id_bits_outlast_the_change_of_the_owner(self, job: Job, target: Path) -> None:
        capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # net_raw, effective
        entry, content = file_of(b"/srv/ping", b"#!/bin/sh\n", 0o4755)
        job.add([(entry._replace(uid=54321, gid=54322, xattrs=(("security.capability", capability),)), content)])

        recovered(job, "--point", "1", "--target", target)

        status = (target / "srv" / "ping").stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (54321, 54322, 0o4755)
        assert os.getxattr(target / "srv" / "ping", "security.capability") == capability

    @needs_root
    @pytest.mark.parametrize(("option", "expected"), [([], (1, 2)), (["--numeric"], (54321, 54322))])
    def test_owners_are_found_by_name_unless_numbers_are_wanted(
        self, job: Job, target: Path, option: list[str], expected: tuple[int, int]
    ) -> None:
        entries = [
            (entry_of(b"/srv", "d"), None),
            file_of(b"/srv/a", b"one"),
            (entry_of(b"/srv/l", "l", target=b"a"), None),
        ]
        owned = [
            (entry._replace(uid=54321, gid=54322, user="daemon", group="bin"), content) for entry, content in entries
        ]
        job.add(owned)

        recovered(job, "--point", "1", "--target", target, *option)

        for path in (target / "srv", target / "srv" / "a", target / "srv" / "l"):
            status = path.lstat()
            assert (status.st_uid, status.st_gid) == expected

    @needs_root
    def test_devices_come_back(self, job: Job, target: Path) -> None:
        character, block = entry_of(b"/null", "c"), entry_of(b"/x", "b")
        job.add([(character._replace(device=(1, 3)), None), (block._replace(device=(7, 9)), None)])

        recovered(job, "--point", "1", "--target", target)

        null, disk = (target / "null").stat(), (target / "x").stat()
        assert (stat.S_ISCHR(null.st_mode), null.st_rdev) == (True, os.makedev(1, 3))
        assert (stat.S_ISBLK(disk.st_mode), disk.st_rdev) == (True, os.makedev(7, 9))

    @needs_root
    def test_somebody_else_gets_the_content_and_no_rights_of_the_owner(self, tmp_path: Path) -> None:
        nobody = 65534
        with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own directories are closed to others
            place = Path(name)
            job = Job(place / "job")
            job.add([file_of(b"/srv/a", b"one", 0o4755)])
            for path in (place, *place.rglob("*")):
                os.chown(path, nobody, nobody)

            command = [sys.executable, "-I", "-c", AS_NOBODY, str(RECOVER.parent), str(job.directory)]
            subprocess.run([*command, "--point", "1", "--target", str(place / "target")], check=True, cwd=tmp_path)

            restored = (place / "target" / "srv" / "a").stat()
            assert (stat.S_IMODE(restored.st_mode), restored.st_uid) == (0o755, nobody)

    def test_latest_passes_over_a_damaged_one(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/a", b"old but whole")])
        job.add([file_of(b"/srv/a", b"new")])
        job.volumes()[1].unlink()

        recovered(job, "--point", "latest", "--target", target)

        assert (target / "srv" / "a").read_bytes() == b"old but whole"

    def test_a_file_with_thousands_of_places_has_several_lines_and_comes_back(self, job: Job, target: Path) -> None:
        entry, content = file_of(b"/srv/a", b"one")
        manifest = job.add([(entry, content)])
        volume = Place(f"v00/{job.volumes()[0].name}", 0, job.volumes()[0].stat().st_size, 512, 3, entry.digest)
        digest = hashlib.sha256(bytes.fromhex(entry.digest) * 13_000).hexdigest()
        patched = entry._replace(size=39_000, digest=digest, places=(volume,) * 13_000)
        _replace_entries(manifest, [patched])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a").read_bytes() == b"one" * 13_000

    @needs_zstd
    @pytest.mark.skipif(recover.zstd_of_python() is not None, reason="This Python unpacks zstd itself.")
    def test_volumes_of_zstd_are_unpacked_by_the_program_if_there_is_nothing_else(
        self, job: Job, tmp_path: Path, target: Path
    ) -> None:
        _turn_into_zstd(job, [file_of(b"/srv/a", b"one"), file_of(b"/srv/b", b"two")])
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": _directory_of_a_library_that_is_none(tmp_path)}

        recovered(job, "--point", "1", "--target", target, environment=environment)

        assert (target / "srv" / "b").read_bytes() == b"two"

    @needs_zstd
    @pytest.mark.skipif(recover.zstd_of_python() is not None, reason="This Python unpacks zstd itself.")
    def test_without_zstd_volumes_of_zstd_are_refused_in_one_sentence(
        self, job: Job, tmp_path: Path, target: Path
    ) -> None:
        _turn_into_zstd(job, [file_of(b"/srv/a", b"one")])
        environment = {"PATH": "/nowhere", "LD_LIBRARY_PATH": _directory_of_a_library_that_is_none(tmp_path)}

        done = recovered(job, "--point", "1", "--target", target, code=2, environment=environment)

        assert done.stderr.splitlines()[-1].endswith("install the program zstd and run this again.")

    @needs_zstd
    def test_a_damaged_frame_of_zstd_costs_what_comes_behind(self, job: Job, target: Path) -> None:
        chance = random.Random(5)
        _turn_into_zstd(job, [file_of(b"/srv/%s" % name, chance.randbytes(400_000)) for name in (b"a", b"b")])
        _damage(next(job.directory.glob("*/*/*.tar.zst")), 600_000)

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "\n/srv/b: " in done.stderr
        assert [path.name for path in (target / "srv").iterdir()] == ["a"]

    def test_the_program_stands_alone(self) -> None:
        tree = ast.parse(RECOVER.read_text(encoding="utf-8"))

        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {f"{'.' * n.level}{n.module}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}

        packages = {path.partition(".")[0] for path in imported}
        assert packages >= {"json", "zlib"}
        assert not packages & {"", "ansible", "ansible_collections", "pickle", "marshal", "shelve"}
        if sys.version_info >= (3, 10):
            assert packages <= sys.stdlib_module_names


def _directory_of_a_library_that_is_none(parent: Path) -> str:
    (parent / "libzstd.so.1").write_bytes(b"no library")
    return str(parent)


def _zstd_frame(content: bytes) -> bytes:
    command = ["zstd", "-q", "-c", f"--stream-size={len(content)}"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


@needs_zstd
class TestWaysToUnpackZstd:
    @staticmethod
    def ways() -> dict[str, recover.Unzstd]:
        found = {way.__name__: way() for way in recover.ZSTD_WAYS}
        ways = {name: unpack for name, unpack in found.items() if unpack is not None}
        assert "zstd_of_program" in ways
        return ways

    def test_all_that_are_here_give_the_same(self) -> None:
        content = random.Random(6).randbytes(300_000) + bytes(3_000_000) + b"end"

        unpacked = {name: unpack(_zstd_frame(content)) for name, unpack in self.ways().items()}

        assert {name for name, found in unpacked.items() if found != content} == set()

    def test_what_comes_before_damage_is_there(self) -> None:
        content = random.Random(7).randbytes(1_000_000)
        frame = _zstd_frame(content)[:500_000]

        unpacked = {name: unpack(frame) for name, unpack in self.ways().items()}

        assert {name for name, found in unpacked.items() if len(found) < 100_000} == set()
        assert all(content.startswith(found) for found in unpacked.values())

    @pytest.mark.parametrize("frame", [b"", b"nothing of that kind", b"\x28\xb5\x2f\xfd"])
    def test_what_is_no_frame_holds_nothing(self, frame: bytes) -> None:
        assert {name: unpack(frame) for name, unpack in self.ways().items()} == dict.fromkeys(self.ways(), b"")

    def test_a_frame_that_unpacks_to_far_too_much_is_not_taken_whole(self) -> None:
        frame = _zstd_frame(bytes(65 * MIB))

        assert {name: len(unpack(frame)) for name, unpack in self.ways().items()} == dict.fromkeys(
            self.ways(), 64 * MIB
        )


def _turn_into_zstd(job: Job, contents: Contents) -> None:
    """Add a restore point whose volumes have one frame of zstd for each file."""
    manifest = job.add(contents, "none")
    reader = _reader(manifest)
    (plain,) = job.volumes()
    packed, entries, content = b"", [], plain.read_bytes()
    for entry in reader.entries():
        (place,) = entry.places
        segment = content[place.offset : place.offset + place.length]
        frame = _zstd_frame(b"head" + segment)
        entries.append(
            entry._replace(places=(Place(f"v00/{plain.stem}.tar.zst", len(packed), len(frame), 4, place.size),))
        )
        packed += frame
    plain.with_suffix(".tar.zst").write_bytes(packed)
    write_manifest(manifest, reader.header, entries)


def _replace_entries(manifest: Path, entries: Iterable[Entry]) -> None:
    """Write *manifest* again with other *entries*."""
    write_manifest(manifest, _reader(manifest).header, entries)


def _reader(manifest: Path) -> ManifestReader:
    content = manifest.read_bytes()
    return ManifestReader(lambda offset, length: content[offset : offset + length], len(content), manifest.name)


def _require_xattr(directory: Path, name: str, value: bytes) -> None:
    probe = directory / "probe"
    probe.touch()
    try:
        os.setxattr(probe, name, value)
    except (OSError, AttributeError):
        pytest.skip(f"The file system of the tests keeps no {name}.")


def _acl(*, user: int, named: int, group: int, mask: int) -> bytes:
    """Return an ACL as its attribute holds it: of the user, of one called 1234, of the group, the mask, of others."""
    entries = [(0x01, user, -1), (0x02, named, 1234), (0x04, group, -1), (0x10, mask, -1), (0x20, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


class TestHardLinks:
    def test_all_names_of_a_file_are_one_again(self, job: Job, target: Path) -> None:
        first, content = file_of(b"/srv/a", b"one")
        others = [other_name_of(first, b"/srv/%d" % number) for number in range(5)]
        job.add([(first, content), *others])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a").stat().st_nlink == 6

    def test_all_names_of_a_sparse_file_are_one_again(self, job: Job, target: Path) -> None:
        first, content = sparse_file_of(b"/srv/a", MIB, (4096, b"one"), (300_000, b"two"))
        job.add([(first, content), other_name_of(first, b"/srv/b")])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a").samefile(target / "srv" / "b")

    @pytest.mark.parametrize("offset", [0, 5000, MIB - 1])
    def test_a_sparse_file_with_something_in_its_holes_is_another(self, job: Job, target: Path, offset: int) -> None:
        first, content = sparse_file_of(b"/srv/a", MIB, (4096, b"one"), (300_000, b"two"))
        job.add([(first, content), other_name_of(first, b"/srv/b")])
        recovered(job, "--point", "1", "--target", target)
        expected = (target / "srv" / "a").read_bytes()
        (target / "srv" / "b").unlink()
        with (target / "srv" / "a").open("r+b") as file:
            file.seek(offset)
            file.write(b"x")
        os.utime(target / "srv" / "a", ns=(MTIME, MTIME))

        recovered(job, "--point", "1", "--target", target, "--path", "/srv/b")

        assert (target / "srv" / "b").read_bytes() == expected

    def test_names_whose_first_one_is_not_wanted_are_one_again(self, job: Job, target: Path) -> None:
        first, content = file_of(b"/a", b"one")
        job.add([(first, content), other_name_of(first, b"/srv/b"), other_name_of(first, b"/srv/c")])

        recovered(job, "--point", "1", "--target", target, "--path", "/srv")

        assert (target / "srv" / "b").read_bytes() == b"one"
        assert (target / "srv" / "b").samefile(target / "srv" / "c")

    def test_a_name_of_other_content_is_not_linked(self, job: Job, target: Path) -> None:
        first, content = file_of(b"/srv/a", b"one")
        second, other = file_of(b"/srv/b", b"two")
        manifest = job.add([(first, content), other_name_of(first, b"/srv/aa"), (second, other)])
        *entries, last = _reader(manifest).entries()
        _replace_entries(manifest, [*entries, last._replace(kind="h", target=b"/srv/a")])

        recovered(job, "--point", "1", "--target", target)

        assert [(target / "srv" / name).read_bytes() for name in ("a", "aa", "b")] == [b"one", b"one", b"two"]

    def test_a_directory_that_is_finished_can_still_be_linked_from(self, job: Job, target: Path) -> None:
        first, content = file_of(b"/srv/a/first", b"one")
        directories = [(entry_of(b"/srv/%s" % name, "d", 0o500), None) for name in (b"a", b"b")]
        job.add([directories[0], (first, content), directories[1], other_name_of(first, b"/srv/b/second")])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a" / "first").samefile(target / "srv" / "b" / "second")
        for name in "ab":
            status = (target / "srv" / name).stat()
            assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o500, MTIME)


class TestPaths:
    @pytest.mark.parametrize(
        ("globs", "expected"),
        [
            (["/srv/a/b.txt"], {"srv/a/b.txt"}),
            (["/srv/a"], {"srv/a/b.txt", "srv/a/c/d.txt"}),
            (["/srv/*.txt"], {"srv/top.txt"}),
            (["/**/*.txt"], {"srv/top.txt", "srv/a/b.txt", "srv/a/c/d.txt"}),
            (["/srv/**.txt"], {"srv/top.txt", "srv/a/b.txt", "srv/a/c/d.txt"}),
            (["/srv/?/b.*", "/srv/top.txt"], {"srv/a/b.txt", "srv/top.txt"}),
            (["/srv/\\*"], {"srv/*"}),
            (["/"], {"srv/top.txt", "srv/a/b.txt", "srv/a/c/d.txt", "srv/*"}),
        ],
    )
    def test_a_glob_brings_back_what_it_matches_and_what_lies_below(
        self, job: Job, target: Path, globs: list[str], expected: set[str]
    ) -> None:
        paths = [b"/srv/*", b"/srv/a/b.txt", b"/srv/a/c/d.txt", b"/srv/top.txt"]
        job.add([file_of(path, path) for path in paths])

        recovered(job, "--point", "1", "--target", target, *(word for glob in globs for word in ("--path", glob)))

        assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == expected

    @pytest.mark.parametrize(
        ("glob", "path", "does_match"),
        [
            ("/***/x", "/x", True),
            ("/a*****b", "/a/1/2b", True),
            ("/**/**/x", "/a/b/x", True),
            ("/**/a*b/c", "/ab/x/ab/c", True),
            ("/*a*/b", "/xx/a/b", False),
            ("/" + "*" * 60 + ".conf", "/" + "a" * 200 + "/a" * 200, False),
            ("/" + "*a" * 60 + ".conf", "/" + "a" * 200 + "/a" * 200, False),
            ("/" + "**a" * 60 + ".conf", "/" + "a" * 200 + "/a" * 200, False),
            ("/" + "**/" * 60 + "*.conf", "/" + "a" * 200 + "/a" * 200, False),
        ],
    )
    def test_a_glob_of_many_stars_comes_to_an_end(self, glob: str, path: str, does_match: bool) -> None:  # noqa: FBT001 - it is data
        assert recover.Selection([glob]).has(path.encode()) is does_match

    def test_the_directories_above_come_back_as_they_were(self, job: Job, tree: Path, target: Path) -> None:
        job.add(scanned(tree))

        recovered(job, "--point", "1", "--target", target, "--path", "/srv/a/b.txt")

        wanted, all_of_it = snapshot(target), snapshot(tree)
        assert set(wanted) == {b"/.", b"/srv", b"/srv/.", b"/srv/a", b"/srv/a/.", b"/srv/a/b.txt"}
        assert {path: facts[:4] for path, facts in wanted.items()} == {path: all_of_it[path][:4] for path in wanted}

    def test_a_second_name_alone_comes_back_with_the_content(self, job: Job, tree: Path, target: Path) -> None:
        job.add(scanned(tree))

        recovered(job, "--point", "1", "--target", target, "--path", "/srv/second name")

        assert (target / "srv" / "second name").read_bytes() == b"below"

    def test_a_second_name_is_not_linked_to_a_file_that_only_looks_alike(
        self, job: Job, tree: Path, target: Path
    ) -> None:
        job.add(scanned(tree))
        (target / "srv" / "a").mkdir(parents=True)
        (target / "srv" / "a" / "b.txt").write_bytes(b"other")
        os.utime(target / "srv" / "a" / "b.txt", ns=(MTIME, MTIME))

        recovered(job, "--point", "1", "--target", target, "--path", "/srv/second name")

        assert (target / "srv" / "second name").read_bytes() == b"below"

    def test_a_glob_that_matches_nothing_is_told(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/a", b"one")])

        assert "nothing" in recovered(job, "--point", "1", "--target", target, "--path", "/home", code=1).stderr

    def test_a_glob_that_is_not_absolute_is_refused(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/a", b"one")])

        assert "slash" in recovered(job, "--point", "1", "--target", target, "--path", "srv", code=2).stderr


class TestDamage:
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_a_damaged_byte_costs_its_files_and_no_others(self, job: Job, target: Path, compression: str) -> None:
        chance = random.Random(2)
        contents = {b"/srv/%d" % number: chance.randbytes(600_000) for number in range(5)}
        job.add([file_of(*item) for item in contents.items()], compression)
        _damage(job.volumes()[1], 300_000)

        done = recovered(job, "--point", "1", "--target", target, code=1)

        named = re.findall(r"^(/srv/\d): ", done.stderr, re.MULTILINE)
        assert len(named) == 1
        for path, content in contents.items():
            restored = target / path.decode()[1:]
            assert not restored.exists() if path.decode() in named else restored.read_bytes() == content
        assert not list(target.rglob("*.tmp"))

    def test_a_damaged_piece_of_a_large_file_costs_that_file(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/large", NOISE), file_of(b"/srv/small", b"small")], "none")
        _damage(job.volumes()[1], MIB)

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "\n/srv/large: its content in the volume" in done.stderr
        assert [path.name for path in (target / "srv").iterdir()] == ["small"]

    def test_a_missing_volume_costs_its_files(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/%d" % number, bytes([number]) * MIB) for number in range(3)], "none")
        job.volumes()[1].unlink()

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "\n/srv/1: the volume v00/20261101t030000z-000001-000001.tar is missing" in done.stderr
        assert sorted(path.name for path in (target / "srv").iterdir()) == ["0", "2"]

    def test_a_volume_that_is_cut_off_costs_what_is_gone(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/%d" % number, random.Random(number).randbytes(700_000)) for number in range(2)])
        (volume,) = job.volumes()
        volume.write_bytes(volume.read_bytes()[:-1000])

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "\n/srv/1: the volume" in done.stderr
        assert [path.name for path in (target / "srv").iterdir()] == ["0"]

    def test_a_damaged_block_of_the_manifest_costs_its_entries(self, job: Job, target: Path) -> None:
        manifest = job.add(_many_links())
        blocks = _reader(manifest).trailer.blocks
        assert len(blocks) == 4
        _damage(manifest, blocks[2].offset + blocks[2].length // 2)

        done = recovered(job, "--point", "1", "--target", target, code=1)

        lost = f"all entries are lost from {blocks[2].first.decode()} on, up to {blocks[3].first.decode()}"
        assert lost in done.stderr
        expected = {entry.path for entry, _content in _many_links()}
        expected -= {path for path in expected if blocks[2].first <= path < blocks[3].first}
        assert _links_below(target) == expected

    def test_a_damaged_header_costs_nothing(self, job: Job, target: Path) -> None:
        _damage(job.add([file_of(b"/srv/a", b"one")]), 20)

        recovered(job, "--point", "1", "--target", target, code=1)

        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_a_damaged_footer_costs_nothing(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        _damage(manifest, manifest.stat().st_size - FOOTER_SIZE + 17)

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_a_damaged_trailer_costs_nothing_but_trust(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one"), file_of(b"/srv/b", b"two")])
        _damage(manifest, manifest.stat().st_size - FOOTER_SIZE - 20)

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "no trailer" in done.stderr
        assert [(target / "srv" / name).read_bytes() for name in "ab"] == [b"one", b"two"]

    def test_a_manifest_that_is_cut_off_gives_what_is_left(self, job: Job, target: Path) -> None:
        manifest = job.add(_many_links())
        blocks = _reader(manifest).trailer.blocks
        manifest.write_bytes(manifest.read_bytes()[: blocks[3].offset + 100])

        recovered(job, "--point", "1", "--target", target, code=1)

        assert _links_below(target) == {entry.path for entry, _content in _many_links() if entry.path < blocks[3].first}

    def test_blocks_behind_a_damaged_one_are_found_without_a_trailer(self, job: Job, target: Path) -> None:
        manifest = job.add(_many_links())
        blocks = _reader(manifest).trailer.blocks
        _damage(manifest, manifest.stat().st_size - FOOTER_SIZE - 20)
        _damage(manifest, blocks[1].offset + 1000)

        recovered(job, "--point", "1", "--target", target, code=1)

        assert _links_below(target) == {
            entry.path for entry, _content in _many_links() if entry.path >= blocks[2].first
        }

    def test_a_block_that_unpacks_to_far_too_much_counts_as_damaged(self, job: Job, target: Path) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        trailer = _reader(manifest).trailer
        content = manifest.read_bytes()
        bomb = gzip.compress(bytes(65 * MIB), 1)
        manifest.write_bytes(content[: trailer.blocks[1].offset] + bomb + content[trailer.blocks[1].offset :])

        recovered(job, "--point", "1", "--target", target, code=1)

        assert not (target / "srv").exists()

    def test_a_place_that_does_not_hold_the_size_is_damage(self, job: Job, target: Path) -> None:
        entry, content = file_of(b"/srv/a", b"one")
        job.add([(entry._replace(size=4), content)])

        assert "3 bytes instead of 4" in recovered(job, "--point", "1", "--target", target, code=1).stderr


def _many_links() -> list[tuple[Entry, None]]:
    """Return entries for several blocks that need no content."""
    return [(entry_of(b"/srv/%06d" % n, "l", 0o777, target=b"x" * 300), None) for n in range(6000)]


def _links_below(target: Path) -> set[bytes]:
    return {b"/srv/" + os.fsencode(path.name) for path in (target / "srv").iterdir()}


class TestHostility:
    @pytest.mark.parametrize(
        "path",
        [
            b"../x",
            b"/../x",
            b"/srv/../../x",
            b"//x",
            b"/srv//x",
            b"/./x",
            b"/srv/x/",
            b"x",
            b"/srv/a\0b",
            b"parts:",
            b"",
        ],
    )
    def test_a_path_that_could_lead_out_is_refused(self, job: Job, tmp_path: Path, target: Path, path: bytes) -> None:
        job.add([file_of(path, b"hostile"), file_of(b"/srv/good", b"good")])

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "so it is refused" in done.stderr
        assert [found for found in tmp_path.rglob("*") if found.is_file() and found.read_bytes() == b"hostile"] == []
        assert (target / "srv" / "good").read_bytes() == b"good"

    @pytest.mark.parametrize("kind", ["d", "l", "p"])
    def test_a_path_that_could_lead_out_is_refused_for_every_kind(self, job: Job, target: Path, kind: str) -> None:
        job.add([(entry_of(b"/../x", kind, target=b"y"), None)])

        assert "refused" in recovered(job, "--point", "1", "--target", target, code=1).stderr
        assert [path.name for path in target.parent.iterdir() if path.name == "x"] == []

    def test_a_link_that_was_planted_in_the_target_is_not_followed(
        self, job: Job, tmp_path: Path, target: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        target.mkdir()
        (target / "srv").symlink_to(outside)
        job.add([(entry_of(b"/srv", "d", 0o700), None), file_of(b"/srv/a", b"one"), file_of(b"/b", b"two")])

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert list(outside.iterdir()) == []
        assert stat.S_IMODE(outside.stat().st_mode) != 0o700
        assert "\n/srv: srv in the target is no directory, and no link is followed" in done.stderr
        assert "\n/srv/a: srv in the target is no directory" in done.stderr
        assert (target / "b").read_bytes() == b"two"

    def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
        self, job: Job, tmp_path: Path, target: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.write_bytes(b"precious")
        (target / "srv").mkdir(parents=True)
        (target / "srv" / "a").symlink_to(outside)
        job.add([file_of(b"/srv/a", b"one")])

        recovered(job, "--point", "1", "--target", target)

        assert outside.read_bytes() == b"precious"
        assert not (target / "srv" / "a").is_symlink()

    def test_a_link_of_the_manifest_itself_is_not_followed(self, job: Job, tmp_path: Path, target: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        link = entry_of(b"/srv", "l", 0o777, target=os.fsencode(outside))
        job.add([(link, None), file_of(b"/srv/a", b"one")])

        recovered(job, "--point", "1", "--target", target, code=1)

        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize("source", [b"/../outside", b"/planted", b"/", b""])
    def test_a_hard_link_reaches_nothing_outside(self, job: Job, tmp_path: Path, target: Path, source: bytes) -> None:
        outside = tmp_path / "outside"
        outside.write_bytes(b"one")
        os.utime(outside, ns=(MTIME, MTIME))
        target.mkdir()
        (target / "planted").symlink_to(outside)
        entry, content = file_of(b"/srv/a", b"one")
        other = entry._replace(path=b"/srv/b", kind="f")
        manifest = job.add([(entry, content), (other, content)])
        first, second = _reader(manifest).entries()
        _replace_entries(manifest, [first, second._replace(kind="h", target=source)])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "b").read_bytes() == b"one"
        assert outside.stat().st_nlink == 1

    @pytest.mark.parametrize("name", ["../../../outside.tar", "/etc/passwd", "v00/../../outside.tar", "v00/x"])
    def test_a_volume_lies_in_the_job_and_nowhere_else(self, job: Job, target: Path, name: str) -> None:
        entry, _content = file_of(b"/srv/a", b"one")
        _replace_entries(job.add([]), [entry._replace(places=(Place(name, 0, 3, 0, 3),))])
        job.directory.parent.joinpath("outside.tar").write_bytes(b"one")

        recovered(job, "--point", "1", "--target", target, code=1)

        assert not (target / "srv").exists()

    @pytest.mark.parametrize(
        "extents",
        [
            ((-1, 3),),
            ((0, -3), (0, 6)),
            ((0, 2), (1, 1)),
            ((500, 1), (0, 2)),
            ((998, 3),),
            ((0, 2**70),),
            ((0, 2),),
            ((0, 4),),
            ((0, 2), (500, 2)),
            ((0,),),
            ((0, 1.5), (5, 1.5)),
            ((0, "3"),),
            ((None, None),),
        ],
    )
    def test_a_map_that_cannot_be_right_costs_its_file(
        self, job: Job, target: Path, extents: tuple[tuple[int, int], ...]
    ) -> None:
        entry, content = sparse_file_of(b"/srv/a", 1000, (0, b"one"))
        manifest = job.add([(entry, content), file_of(b"/srv/b", b"two")])
        first, second = _reader(manifest).entries()
        _replace_entries(manifest, [first._replace(extents=extents), second])

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "\n/srv/a: " in done.stderr
        assert [path.name for path in (target / "srv").iterdir()] == ["b"]

    @pytest.mark.parametrize("kind", ["", "x", "lc", "cb"])
    def test_an_unknown_kind_is_refused(self, job: Job, target: Path, kind: str) -> None:
        job.add([(entry_of(b"/srv/a", kind, target=b"b")._replace(device=(1, 3)), None)])

        assert "not known" in recovered(job, "--point", "1", "--target", target, code=1).stderr
        assert list((target / "srv").glob("*") if (target / "srv").exists() else []) == []

    def test_content_without_a_checksum_is_not_taken(self, job: Job, target: Path) -> None:
        entry, content = file_of(b"/srv/a", b"one")
        job.add([(entry._replace(digest=""), content)])

        assert "checksum" in recovered(job, "--point", "1", "--target", target, code=1).stderr
        assert not (target / "srv" / "a").exists()

    @pytest.mark.parametrize("place", [(0, 3, 0, 0), (0, 3, -1, 3), (-1, 3, 0, 3), (0, 2**40, 0, 3), (0, 3, 2**40, 3)])
    def test_a_place_that_cannot_be_right_costs_its_file(
        self, job: Job, target: Path, place: tuple[int, int, int, int]
    ) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one"), file_of(b"/srv/b", b"two")])
        first, second = _reader(manifest).entries()
        wrong = Place(first.places[0].volume, *place)
        _replace_entries(manifest, [first._replace(places=(wrong,)), second])

        done = recovered(job, "--point", "1", "--target", target, code=1)

        assert "\n/srv/a: its line in the manifest cannot be read" in done.stderr
        assert (target / "srv" / "b").read_bytes() == b"two"

    @pytest.mark.parametrize("rules", [[], {"exclude": 5}, "none"])
    def test_rules_that_cannot_be_read_cost_the_header_and_nothing_else(
        self, job: Job, target: Path, rules: object
    ) -> None:
        manifest = job.add([file_of(b"/srv/a", b"one")])
        reader = _reader(manifest)
        entries = list(reader.entries())
        line = {**json.loads(reader.header.to_line()), "rules": rules}
        with manifest.open("wb") as file:
            file.write(gzip.compress(json.dumps(line).encode("ascii")))
            for entry in entries:
                file.write(gzip.compress(b"".join(entry_lines(entry, 6000))))

        recovered(job, "--point", "1", "--target", target, code=1)

        assert (target / "srv" / "a").read_bytes() == b"one"

    def test_a_block_that_no_file_could_hold_costs_its_entries(self, job: Job, target: Path) -> None:
        manifest = job.add(_many_links())
        trailer = _reader(manifest).trailer
        blocks = (*trailer.blocks[:2], trailer.blocks[2]._replace(offset=2**63 - 1), *trailer.blocks[3:])
        end = trailer.blocks[-1].offset + trailer.blocks[-1].length
        line = gzip.compress(replace(trailer, blocks=blocks).to_line())
        manifest.write_bytes(manifest.read_bytes()[:end] + line + footer(end, 0))

        recovered(job, "--point", "1", "--target", target, code=1)

        lost = {entry.path for entry, _content in _many_links()} - _links_below(target)
        assert lost == {path for path in lost if blocks[2].first <= path < blocks[3].first} != set()

    def test_a_fifo_gets_its_mode_whatever_the_umask(self, job: Job, target: Path) -> None:
        job.add([(entry_of(b"/srv/fifo", "p", 0o666), None)])

        recovered(job, "--point", "1", "--target", target)

        assert stat.S_IMODE((target / "srv" / "fifo").stat().st_mode) == 0o666

    def test_names_cannot_command_the_terminal(self, job: Job, target: Path) -> None:
        job.add([file_of(b"/srv/\x1b[2J\n\xff", b"one")])
        job.volumes()[0].unlink()

        assert "\n/srv/\\x1b[2J\\n\\xff: " in recovered(job, "--point", "1", "--target", target, code=1).stderr


def shell_of(beginning: str) -> str:
    """Return the command of the readme that begins so, as it stands there."""
    return README[README.index(f"\n    {beginning}") + 1 :].partition("\n\n")[0]


def run_in_shell(script: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    assignments = "".join(f"{name}={value}\n" for name, value in variables.items())
    command = ["sh", "-eu", "-c", assignments + script]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)


@needs_tar
class TestTarAlone:
    WAYS = (
        ("gzip", "find \"$slot\" -name '*.tar.gz'"),
        ("none", "find \"$slot\" -name '*.tar' "),
        ("gzip", "find \"$slot\" -name '*.tar*'"),
        ("none", "find \"$slot\" -name '*.tar*'"),
        pytest.param("zstd", "find \"$slot\" -name '*.tar*'", marks=needs_zstd),
    )

    @pytest.mark.parametrize(("compression", "beginning"), WAYS)
    def test_the_volumes_of_a_slot_are_one_archive(
        self, job: Job, tree: Path, compression: str, beginning: str
    ) -> None:
        job.add(scanned(tree), compression)
        assert len(job.volumes()) > 2
        (job.directory / "restored").mkdir()

        run_in_shell(shell_of(beginning), job.directory, slot="s01")
        run_in_shell(shell_of("find restored"), job.directory)

        restored = job.directory / "restored" / "srv"
        contents = {os.fsencode(path.name): path.read_bytes() for path in (tree / "srv").iterdir() if path.is_file()}
        whole = {name for name, content in contents.items() if content and name != b"second name"}
        assert {name for name in whole if (restored / os.fsdecode(name)).read_bytes() != contents[name]} == set()
        assert (restored / "a" / "b.txt").read_bytes() == b"below"
        assert (restored / "large").stat().st_mtime == MTIME // 10**9

    def test_the_check_of_a_joined_file_prints_what_the_manifest_says(self, job: Job) -> None:
        entry, content = file_of(b"/srv/a large file", NOISE)
        job.add([(entry, content)])
        (job.directory / "restored").mkdir()
        run_in_shell(shell_of("find \"$slot\" -name '*.tar.gz'"), job.directory, slot="s01")

        printed = run_in_shell(shell_of("name='restored/srv/a large file'"), job.directory).stdout

        assert printed.split()[0] == entry.digest

    @pytest.mark.parametrize(
        "path", ["/srv/a file of many parts", "/srv/same as a", "/srv/image", "/srv/small", "/srv/old"]
    )
    def test_a_single_file_of_a_pool_is_found_by_its_checksums(self, tmp_path: Path, path: str) -> None:
        job = Job(tmp_path / "job", "deduplicated")
        chance = random.Random(10)
        parts = [chance.randbytes(size) for size in (MIB, 3, 2 * MIB)]
        contents: dict[str, bytes | list[bytes]] = {
            "/srv/a file of many parts": [*parts, b"end"],
            "/srv/image": [b"one", b"two"],
            "/srv/old": b"version one",
            "/srv/same as a": [*parts, b"end"],
            "/srv/small": b"small",
        }
        entries = [file_of(name.encode("ascii"), content) for name, content in contents.items()]
        entries[1] = sparse_file_of(b"/srv/image", MIB, (0, b"one"), (4096, b"two"))
        manifest = job.add(entries)
        job.add([file_of(b"/srv/a file of many parts", [b"other", parts[0]]), file_of(b"/srv/old", b"version two")])
        shutil.copyfile(manifest, job.directory / "manifest.gz")
        (job.directory / "restored").mkdir()
        unpack = shell_of("find \"$slot\" -name '*.tar.gz'").replace("tar -x", "tar -x --backup=numbered")

        run_in_shell(unpack, job.directory, slot="pool")
        run_in_shell(shell_of("find restored -type f"), job.directory)
        find = shell_of("path=").replace("/srv/a file of many parts", path)
        told = run_in_shell(find, job.directory).stderr

        content = contents[path]
        assert (job.directory / "found").read_bytes() == (content if isinstance(content, bytes) else b"".join(content))
        assert told == ""

    def test_of_a_sparse_file_there_is_what_lies_between_its_holes(self, job: Job) -> None:
        job.add([sparse_file_of(b"/srv/image", MIB, (4096, b"one"), (300_000, b"two"))])
        (job.directory / "restored").mkdir()

        run_in_shell(shell_of("find \"$slot\" -name '*.tar.gz'"), job.directory, slot="s01")
        run_in_shell(shell_of("find restored"), job.directory)

        pieces = {path.name: path.read_bytes() for path in (job.directory / "restored" / "srv").iterdir()}
        assert pieces == {"image.sparse-000001": b"on", "image.sparse-000002": b"etwo"}

    def test_joining_leaves_a_file_that_is_there(self, tmp_path: Path) -> None:
        restored = tmp_path / "restored"
        restored.mkdir()
        for name in ("a b", "a b.part-000001", "c d.part-000001", "c d.part-000002"):
            (restored / name).write_text(name, encoding="ascii")
        (restored / "c d.part-000001").chmod(0o600)

        told = run_in_shell(shell_of("find restored"), tmp_path).stdout

        assert told == "is there already: restored/a b\n"
        assert (restored / "a b").read_text(encoding="ascii") == "a b"
        assert (restored / "c d").read_text(encoding="ascii") == "c d.part-000001c d.part-000002"
        assert stat.S_IMODE((restored / "c d").stat().st_mode) == 0o600


def test_the_readme_is_ascii_and_fits_a_terminal() -> None:
    assert README.isascii()
    assert [line for line in README.splitlines() if len(line) > 96] == []


def test_the_order_of_the_test_data_is_that_of_manifests(tree: Path) -> None:
    paths = [order_key(entry.path) for entry, _content in scanned(tree)]

    assert paths == sorted(paths)
