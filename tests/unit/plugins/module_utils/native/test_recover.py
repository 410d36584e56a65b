# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection writes can be brought back by recover.py alone, and by tar as readme.txt says."""

from __future__ import annotations

import ast
import gzip
import hashlib
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import typing as t
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names, recover
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry, Header, Place, order_key
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.manifest import (
    FOOTER_SIZE,
    ManifestReader,
    ManifestWriter,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.points import JobFile
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.readme import README
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import (
    MEMORY_BUDGET,
    SEGMENT_SIZE,
    SUFFIXES,
    WHOLE_FILE_LIMIT,
    Budget,
    Packer,
    Volume,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import scan

RECOVER = Path(recover.__file__)
MTIME = 1_763_780_000_123_456_789
STARTED = datetime(2026, 11, 22, 3, 0, 0, tzinfo=timezone.utc)
MIB = 1024 * 1024

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give files away and make devices.")
needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="There is no tar on this machine.")
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="There is no zstd on this machine.")

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

#: Each entry with the content of its file, if it has one of its own.
Contents = Iterable[tuple[Entry, t.Optional[bytes]]]


class Job:
    """A job's directory as it would be downloaded, written by the collection's own writers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "points" / "202611").mkdir(parents=True)
        directory.joinpath("job.json").write_bytes(JobFile("web01", "nightly", "c0ffee", "incremental").to_json())
        self._last = 0

    def add(self, contents: Contents, compression: str = "gzip", *, complete: bool = True) -> Path:
        """Add a restore point in a slot of its own and return its manifest."""
        self._last += 1
        run = names.run_id(STARTED.replace(day=self._last), f"{self._last:06x}")
        slot = names.slot_name(self._last)
        volumes: list[Volume] = []
        packer = Packer(
            compression,
            lambda number: f"v00/{run}-{number:06d}{SUFFIXES[compression]}",
            volumes.append,
            budget=Budget(MEMORY_BUDGET),
            volume_size=MIB,
        )
        settled = _packed(contents, packer)
        stored = {volume.name: self._put(slot, volume.name, b"".join(volume.chunks())) for volume in volumes}
        header = Header(run, self._last, "web01", "nightly", "incremental", slot, STARTED, ("/srv",), "", "0.1.0")
        path = names.manifest_path(self.directory, self._last, run)  # type: ignore[arg-type] # a local path does as well
        return self._write(Path(path), header, settled, stored, complete=complete)

    def _put(self, slot: str, name: str, content: bytes) -> int:
        path = self.directory / slot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.write_bytes(content)

    def _write(
        self, path: Path, header: Header, entries: list[Entry], stored: dict[str, int], *, complete: bool
    ) -> Path:
        with path.open("wb") as file:
            writer = ManifestWriter(file.write, header)
            for entry in entries:
                writer.add(entry)
            writer.finish(complete=complete, problems=(), parts=(), stored=stored)
        return path

    def volumes(self) -> list[Path]:
        return sorted(self.directory.glob("s*/v00/*"))


def _packed(contents: Contents, packer: Packer) -> list[Entry]:
    """Pack all *contents* and return the entries with their places, hard links with those of their first names."""
    waiting = [(entry, [packer.add(*segment) for segment in _segments(entry, content)]) for entry, content in contents]
    packer.close_volume()
    packer.stop()
    places = {
        entry.path: tuple(place.place(with_digest=len(pending) > 1) for place in pending) for entry, pending in waiting
    }
    return [
        entry._replace(places=places[entry.target if entry.kind == "h" else entry.path]) for entry, _pending in waiting
    ]


def _segments(entry: Entry, content: bytes | None) -> Iterator[tuple[Entry, bytes, str, int]]:
    pieces = _pieces(content or b"")
    for part, piece in enumerate(pieces, 1):
        yield entry, piece, hashlib.sha256(piece).hexdigest(), part if len(pieces) > 1 else 0


def _pieces(content: bytes) -> list[bytes]:
    step = SEGMENT_SIZE if len(content) > WHOLE_FILE_LIMIT else len(content) or 1
    return [content[start : start + step] for start in range(0, len(content), step)]


def digest_of(content: bytes) -> str:
    digests = [hashlib.sha256(piece).digest() for piece in _pieces(content)]
    return digests[0].hex() if len(digests) == 1 else hashlib.sha256(b"".join(digests)).hexdigest()


def entry_of(path: bytes, kind: str = "f", mode: int = 0o644, target: bytes = b"") -> Entry:
    return Entry(path, kind, mode, os.getuid(), os.getgid(), "", "", MTIME, target=target)


def file_of(path: bytes, content: bytes, mode: int = 0o644) -> tuple[Entry, bytes]:
    return entry_of(path, mode=mode)._replace(size=len(content), digest=digest_of(content)), content


def scanned(tree: Path) -> Iterator[tuple[Entry, bytes | None]]:
    """Yield what lies in *tree* as if that were the root of a host."""
    first_names: dict[str, Entry] = {}
    top = os.fsencode(tree)
    for found in scan([top], lambda path, problem: pytest.fail(f"{path!r}: {problem}")):
        entry = found.entry
        seen = entry._replace(path=entry.path[len(top) :] or b"/")
        if entry.kind != "f":
            yield seen, None
            continue
        content = Path(os.fsdecode(entry.path)).read_bytes()
        seen = seen._replace(digest=digest_of(content))
        first = first_names.setdefault(entry.inode, seen)
        is_other_name = found.links > 1 and first is not seen
        yield (seen._replace(kind="h", target=first.path), None) if is_other_name else (seen, content)


def recovered(
    job: Job, *words: object, code: int = 0, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program as somebody would who has nothing else, and expect it to end with *code*."""
    command = [sys.executable, "-I", str(RECOVER), str(job.directory), *map(str, words)]
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
    chance = random.Random(1)
    tree = tmp_path / "tree"
    (tree / "srv" / "a").mkdir(parents=True)
    (tree / "srv" / "empty").mkdir(mode=0o711)
    srv = os.fsencode(tree / "srv")
    contents = {
        b"/a/b.txt": b"below",
        b"/a-b": b"after a/, not before",
        b"/empty.txt": b"",
        b"/large": chance.randbytes(9 * MIB + 123),
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
    @pytest.mark.parametrize("compression", ["gzip", "none"])
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

    def test_extended_attributes_come_back(self, job: Job, tmp_path: Path, target: Path) -> None:
        probe = tmp_path / "probe"
        probe.touch()
        try:
            os.setxattr(probe, "user.probe", b"")
        except (OSError, AttributeError):
            pytest.skip("The file system of the tests keeps no extended attributes.")
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
        job.add([(entry, content)])
        volume = Place(f"v00/{job.volumes()[0].name}", 0, job.volumes()[0].stat().st_size, 512, 3, entry.digest)
        digest = hashlib.sha256(bytes.fromhex(entry.digest) * 13_000).hexdigest()
        patched = entry._replace(size=39_000, digest=digest, places=(volume,) * 13_000)
        header = Header("r", 1, "web01", "nightly", "incremental", "s01", STARTED, (), "", "")
        with next(job.directory.glob("points/*/*.gz")).open("wb") as file:
            writer = ManifestWriter(file.write, header)
            writer.add(patched)
            writer.finish(complete=True, problems=(), parts=(), stored={volume.volume: volume.length})

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "a").read_bytes() == b"one" * 13_000

    @needs_zstd
    def test_volumes_of_zstd_are_unpacked_by_the_program(self, job: Job, target: Path) -> None:
        _turn_into_zstd(job, [file_of(b"/srv/a", b"one"), file_of(b"/srv/b", b"two")])

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "b").read_bytes() == b"two"

    @needs_zstd
    def test_without_zstd_volumes_of_zstd_are_refused_in_one_sentence(self, job: Job, target: Path) -> None:
        _turn_into_zstd(job, [file_of(b"/srv/a", b"one")])

        done = recovered(job, "--point", "1", "--target", target, code=2, environment={"PATH": "/nowhere"})

        assert done.stderr.splitlines()[-1].endswith("install the program zstd and run this again.")

    def test_the_program_stands_alone(self) -> None:
        tree = ast.parse(RECOVER.read_text(encoding="utf-8"))

        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {f"{'.' * n.level}{n.module}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}

        packages = {path.partition(".")[0] for path in imported}
        assert packages >= {"json", "zlib"}
        assert not packages & {"", "ansible", "ansible_collections", "pickle", "marshal", "shelve"}
        if sys.version_info >= (3, 10):
            assert packages <= sys.stdlib_module_names


def _turn_into_zstd(job: Job, contents: Contents) -> None:
    """Add a restore point whose volumes have one frame of zstd for each file."""
    manifest = job.add(contents, "none")
    reader = _reader(manifest)
    (plain,) = job.volumes()
    packed, entries, content = b"", [], plain.read_bytes()
    for entry in reader.entries():
        (place,) = entry.places
        segment = content[place.offset : place.offset + place.length]
        frame = subprocess.run(["zstd", "-q", "-c"], input=b"head" + segment, capture_output=True, check=True).stdout
        entries.append(
            entry._replace(places=(Place(f"v00/{plain.stem}.tar.zst", len(packed), len(frame), 4, place.size),))
        )
        packed += frame
    plain.with_suffix(".tar.zst").write_bytes(packed)
    with manifest.open("wb") as file:
        writer = ManifestWriter(file.write, reader.header)
        for entry in entries:
            writer.add(entry)
        writer.finish(complete=True, problems=(), parts=(), stored={entries[0].places[0].volume: len(packed)})


def _reader(manifest: Path) -> ManifestReader:
    content = manifest.read_bytes()
    return ManifestReader(lambda offset, length: content[offset : offset + length], len(content), manifest.name)


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
    @pytest.mark.parametrize("compression", ["gzip", "none"])
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
        large = random.Random(3).randbytes(9 * MIB)
        job.add([file_of(b"/srv/large", large), file_of(b"/srv/small", b"small")], "none")
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
        reader = _reader(manifest)
        with manifest.open("wb") as file:
            writer = ManifestWriter(file.write, reader.header)
            for found in list(reader.entries()):
                writer.add(found if found.path == b"/srv/a" else found._replace(kind="h", target=source))
            stored = {name: use.stored for name, use in reader.trailer.volumes.items()}
            writer.finish(complete=True, problems=(), parts=(), stored=stored)

        recovered(job, "--point", "1", "--target", target)

        assert (target / "srv" / "b").read_bytes() == b"one"
        assert outside.stat().st_nlink == 1

    @pytest.mark.parametrize("name", ["../../../outside.tar", "/etc/passwd", "v00/../../outside.tar", "v00/x"])
    def test_a_volume_lies_in_the_job_and_nowhere_else(self, job: Job, target: Path, name: str) -> None:
        entry, _content = file_of(b"/srv/a", b"one")
        job.add([])
        header = Header("r", 1, "web01", "nightly", "incremental", "s01", STARTED, (), "", "")
        with next(job.directory.glob("points/*/*.gz")).open("wb") as file:
            writer = ManifestWriter(file.write, header)
            writer.add(entry._replace(places=(Place(name, 0, 3, 0, 3),)))
            writer.finish(complete=True, problems=(), parts=(), stored={name: 3})
        job.directory.parent.joinpath("outside.tar").write_bytes(b"one")

        recovered(job, "--point", "1", "--target", target, code=1)

        assert not (target / "srv").exists()

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
    WAYS: t.ClassVar[Sequence[tuple[str, str]]] = [
        ("gzip", "find \"$slot\" -name '*.tar.gz'"),
        ("none", "find \"$slot\" -name '*.tar' "),
        ("gzip", "find \"$slot\" -name '*.tar*'"),
        ("none", "find \"$slot\" -name '*.tar*'"),
    ]

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
        content = random.Random(4).randbytes(9 * MIB)
        entry, _content = file_of(b"/srv/a large file", content)
        job.add([(entry, content)])
        (job.directory / "restored").mkdir()
        run_in_shell(shell_of("find \"$slot\" -name '*.tar.gz'"), job.directory, slot="s01")

        printed = run_in_shell(shell_of("name='restored/srv/a large file'"), job.directory).stdout

        assert printed.split()[0] == entry.digest

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
