# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores in the order in which content comes: whatever comes, and however, files are whole or as they were."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import random
import signal
import stat
import typing as t
from contextlib import closing
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.cpanel.source import open_source
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    DamageError,
    InterruptedTransferError,
    LocalError,
    MissingError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import (
    Entry,
    Place,
    digest_of_segments,
    path_text,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import order_key as key_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.progress import RESTORING, SILENT, Meter
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring import streamed
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.comparison import Comparison
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.differences import Differences
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.failures import Failures
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.owners import owner_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.streamed import (
    StreamedRestoration,
    stays_below,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.target import Target
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.windows import Tally
from tests.unit.storage_fake import FakeStorage

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.stretches import Lose, Source, Stretch, Take

Value = t.Any  # what may stand in an entry, and in the options of tests
MTIME = 1_700_000_000_000_000_000
MARK = "20261126t030000z-0000aa"
SEGMENT = 1000


class Archive:
    """Content that lies one behind the other, as in an archive; a source of it as well.

    It comes in pieces of *piece* bytes. *brought* has what was asked for, *lost* why some of it cannot be had, by where
    it begins, and *watch* is called before each piece.
    """

    reads_all = False

    def __init__(self, piece: int = 300) -> None:
        self.content = bytearray(b"head" * 100)
        self.brought: list[Stretch] = []
        self.lost: dict[int, BackupError] = {}
        self.watch: Callable[[], None] = lambda: None
        self._piece = piece

    def put(self, content: bytes, volume: str = "") -> list[Place]:
        """Lay *content* behind what is there, and return where its segments lie, each with its digest."""
        places = []
        for start in range(0, len(content), SEGMENT):
            segment = content[start : start + SEGMENT]
            digest = hashlib.sha256(segment).hexdigest()
            places.append(Place(volume, len(self.content), len(segment), 0, len(segment), digest))
            self.content += segment
        self.content += bytes(37)
        return places

    def bring(self, stretches: Iterator[Stretch], take: Take, lose: Lose) -> None:
        buffer = bytearray(self._piece)
        for stretch in stretches:
            self.brought.append(stretch)
            content = self.content[stretch.offset : stretch.offset + stretch.size]
            lost = self.lost.get(stretch.offset)
            for start in range(0, len(content) // 2 if lost else len(content), self._piece):
                self.watch()
                piece = content[start : start + self._piece]
                buffer[:] = bytes(self._piece)  # what was given before is gone
                buffer[: len(piece)] = piece
                take(stretch, memoryview(buffer)[: len(piece)])
            if lost is not None:
                lose(stretch, lost)


class Forgetful(Archive):
    def bring(self, stretches: Iterator[Stretch], take: Take, lose: Lose) -> None:
        """Bring nothing, and tell nobody."""


def entry(path: str, kind: str, mode: int, **values: Value) -> Entry:
    return Entry(os.fsencode(path), kind, mode, os.geteuid(), os.getegid(), "", "", MTIME, **values)


def directory(path: str, mode: int = 0o755) -> Entry:
    return entry(path, "d", mode)


def link(path: str, target: str) -> Entry:
    return entry(path, "l", 0o777, target=os.fsencode(target))


def file(path: str, places: list[Place], mode: int = 0o644, **values: Value) -> Entry:
    digest = digest_of_segments([place.digest for place in places]) if places else hashlib.sha256(b"").hexdigest()
    if len(places) == 1:
        places = [places[0]._replace(digest="")]
    size = sum(place.size for place in places)
    return entry(path, "f", mode, **{"size": size, "digest": digest, "places": tuple(places), **values})


def generated(path: str, content: bytes, sources: Mapping[str, list[Place]]) -> Entry:
    facts = {
        "generated": "lines",
        "from": {
            name: [[place.volume, place.offset, place.size] for place in found] for name, found in sources.items()
        },
    }
    values = {"size": len(content), "digest": hashlib.sha256(content).hexdigest(), "facts": json.dumps(facts)}
    return entry(path, "f", 0o600, **values)


def join_members(_entry: Entry, members: Mapping[str, bytes]) -> bytes:
    return b"".join(members.values())


class Restored(t.NamedTuple):
    """What came of a restore: *failed* is empty where nothing did."""

    counts: dict[str, int]
    size: int
    created: list[str]
    replaced: list[str]
    failed: str
    warnings: tuple[str, ...]


class Restores:
    """Restores what is in an *archive* to the *root*."""

    def __init__(self, scratch: Path) -> None:
        self.root = scratch / "target"
        self.scratch = scratch / "scratch"
        self.scratch.mkdir()
        self.archive = Archive()
        self.source: Source | None = None
        self.generate: Callable[[Entry, Mapping[str, bytes]], bytes] = join_members

    def restore(
        self, entries: Iterable[Entry], overwrite: str = "changed", *, checksum: bool = False, check_mode: bool = False
    ) -> Restored:
        failures, tally = Failures(), Tally(Differences())
        with closing(Target(self.root, MARK, owner_of("current"))) as target:
            restoration = StreamedRestoration(
                target,
                Comparison(target, checksum=checksum),
                failures,
                tally,
                Meter(SILENT, RESTORING),
                self.scratch,
                overwrite=overwrite,
                check_mode=check_mode,
            )
            warnings = restoration.run(iter(entries), self.source or self.archive, self.generate)
        failed = str(failures.told("failed")) if failures.count else ""
        counts = {what: count for what, count in tally.counts.items() if count}
        assert tally.differences is not None
        created, replaced = (
            [path_text(difference.path) for difference in sort]
            for sort in (tally.differences.created, tally.differences.changed)
        )
        return Restored(counts, tally.size, created, replaced, failed, warnings)

    def foretold_and_done(self, entries: Iterable[Entry], **options: Value) -> Restored:
        """Restore, and see that check mode had told the same and touched nothing."""
        entries, before = list(entries), shape_of(self.root)
        foretold = self.restore(entries, check_mode=True, **options)
        assert (self.archive.brought, shape_of(self.root)) == ([], before)
        done = self.restore(entries, **options)
        assert foretold == done
        assert not list(self.scratch.iterdir())
        return done

    def leftovers(self) -> list[Path]:
        return list(self.root.rglob(".ftp-backup-*"))


def shape_of(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of all that lies at *root* and below."""
    found = {}
    for path in sorted([root, *root.rglob("*")]) if root.exists() else []:
        status = path.lstat()
        is_file, is_link = stat.S_ISREG(status.st_mode), stat.S_ISLNK(status.st_mode)
        content = path.read_bytes() if is_file else os.fsencode(path.readlink()) if is_link else b""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return found


@pytest.fixture
def restores(tmp_path: Path) -> Restores:
    return Restores(tmp_path)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: key_of(entry.path))


def of_everything(archive: Archive) -> tuple[list[Entry], dict[str, bytes]]:
    """Lay a bit of everything, in another order than that of its entries; return them, and the content of files."""
    chance = random.Random(1)
    names = [f"files/d{n % 7}/e{n % 3}/{n:03d}" for n in range(60)]
    contents = {name: chance.randbytes(chance.randrange(1, 2 * SEGMENT)) for name in names}
    contents["files/large"] = chance.randbytes(9 * SEGMENT + 5)
    laid = list(contents)
    chance.shuffle(laid)
    places = {name: archive.put(contents[name]) for name in laid}
    entries = [file(f"/{name}", places[name], 0o600 + n % 8) for n, name in enumerate(sorted(contents))]
    shared = {f"files/d{n}/shared": contents["files/large"] for n in range(5)}
    entries += [file(f"/{name}", places["files/large"]) for name in shared]
    # The dump is strung together from two pieces that lie apart.
    create, dump = archive.put(b"CREATE DATABASE shop;\n"), archive.put(b"INSERT\n" * 400)
    entries.append(file("/database/shop/shop.sql", [*create, *dump]))
    entries += [directory("/files", 0o711), *(directory(f"/files/d{n}", 0o700 + n) for n in range(7))]
    entries += [directory(f"/files/d{n}/e{m}", 0o750) for n in range(7) for m in range(3)]
    entries += [file("/files/d1/empty", []), link("/files/d3/www", "../d1/e1"), directory("/files/none")]
    contents.update(shared)
    contents["database/shop/shop.sql"] = b"CREATE DATABASE shop;\n" + b"INSERT\n" * 400
    contents["files/d1/empty"] = b""
    return in_order(entries), contents


def assert_right(root: Path, entries: Iterable[Entry], contents: Mapping[str, bytes]) -> None:
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if stat.S_ISREG(p.lstat().st_mode)}
    assert found == contents
    for wanted in entries:
        status = os.lstat(os.fsencode(root) + wanted.path)
        assert status.st_mtime_ns == MTIME, wanted.path
        assert wanted.kind == "l" or stat.S_IMODE(status.st_mode) == wanted.mode, wanted.path


# -- what is right


@pytest.mark.parametrize("overwrite", ["changed", "always", "never"])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_everything_comes_back_to_an_empty_target(
    restores: Restores, monkeypatch: pytest.MonkeyPatch, overwrite: str, batch: int
) -> None:
    monkeypatch.setattr(streamed, "_BATCH", batch)
    entries, contents = of_everything(restores.archive)

    done = restores.foretold_and_done(entries, overwrite=overwrite)

    assert_right(restores.root, entries, contents)
    assert (done.failed, done.warnings) == ("", ())
    assert done.counts == {"files": len(contents), "directories": 30, "others": 1}
    assert done.size == sum(map(len, contents.values()))
    assert len(done.created) == 99
    if overwrite != "always":
        restores.archive.brought.clear()
        assert restores.foretold_and_done(entries, overwrite=overwrite).counts == {}


@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_everything_comes_back_from_an_archive_on_a_storage(restores: Restores, form: str, side_by_side: int) -> None:
    entries, contents = of_everything(restores.archive)
    storage, path = FakeStorage(), PurePosixPath("2026-11-20/accounts/shop")
    stored = bytes(restores.archive.content)
    storage.files[path] = gzip.compress(stored, 1) if form == "tar.gz" else stored
    restores.source = open_source(storage, path, form, side_by_side)

    assert restores.foretold_and_done(entries).failed == ""

    assert_right(restores.root, entries, contents)
    assert storage.reads == [path]


def test_everything_comes_back_from_a_directory_on_a_storage(restores: Restores) -> None:
    storage, path = FakeStorage(), PurePosixPath("2026-11-20/accounts/shop")
    contents = {f"{number:03d}": b"content %d" % number * number * 100 for number in range(40)}
    storage.directories |= {*path.parents, path}
    storage.files |= {path / "homedir" / name: content for name, content in contents.items()}
    storage.files[path / "homedir/007"] += b"!"
    entries = [
        entry(
            f"/{name}",
            "f",
            0o600,
            size=len(content),
            places=(Place(f"homedir/{name}", 0, len(content), 0, len(content)),),
        )
        for name, content in contents.items()
    ]
    restores.source = open_source(storage, path, "directory", 3)

    done = restores.restore(entries)

    assert done.failed == (
        "One thing failed: /007 (it is not what it was when the backup was indexed: it was changed since; run reindex)."
    )
    del contents["007"]
    assert_right(restores.root, [entry for entry in entries if entry.path != b"/007"], contents)


def test_content_is_asked_for_in_the_order_in_which_it_lies_and_once(restores: Restores) -> None:
    entries, _contents = of_everything(restores.archive)

    restores.restore(entries)

    brought = restores.archive.brought
    assert brought == sorted(set(brought))
    assert {(place.offset, place.size) for wanted in entries for place in wanted.places} == {
        (stretch.offset, stretch.size) for stretch in brought
    }


@pytest.mark.parametrize("checksum", [False, True])
def test_only_what_is_another_comes_back_and_nothing_else_is_touched(restores: Restores, *, checksum: bool) -> None:
    entries, contents = of_everything(restores.archive)
    restores.restore(entries)
    restores.archive.brought.clear()
    untouched = (restores.root / "files/d1/e1/001").stat()
    (restores.root / "files/d2/e2/002").write_bytes(b"another")
    (restores.root / "files/d3/shared").unlink()
    (restores.root / "files/d0/e0/000").chmod(0o604)
    (restores.root / "files/d4/own").write_bytes(b"mine")

    done = restores.foretold_and_done(entries, checksum=checksum)

    assert done.created == ["/files/d3/shared"]
    assert sorted(done.replaced) == ["/files/d0/e0/000", "/files/d2/e2/002", "/files/d3", "/files/d4"]
    assert {stretch.size for stretch in restores.archive.brought} < {
        SEGMENT,
        5,
        len(contents["files/d2/e2/002"]),
        1,
    } | {len(contents["files/d2/e2/002"]) % SEGMENT}
    assert_right(restores.root, entries, {**contents, "files/d4/own": b"mine"})
    after = (restores.root / "files/d1/e1/001").stat()
    assert (after.st_ino, after.st_ctime_ns) == (untouched.st_ino, untouched.st_ctime_ns)


def test_content_of_the_same_size_and_time_is_another_by_its_checksum(restores: Restores) -> None:
    wanted = file("/file", restores.archive.put(b"right"))
    restores.restore([wanted])
    (restores.root / "file").write_bytes(b"wrong")
    os.utime(restores.root / "file", ns=(MTIME, MTIME))
    restores.archive.brought.clear()

    assert restores.foretold_and_done([wanted]).counts == {}
    assert restores.foretold_and_done([wanted], checksum=True).counts == {"files": 1}
    assert (restores.root / "file").read_bytes() == b"right"


def test_what_is_there_is_never_overwritten_if_so_asked(restores: Restores) -> None:
    entries = [
        directory("/a", 0o700),
        file("/a/new", restores.archive.put(b"new")),
        file("/a/old", restores.archive.put(b"new")),
        link("/a/there", "new"),
        directory("/new", 0o711),
    ]
    (restores.root / "a").mkdir(parents=True)
    (restores.root / "a").chmod(0o755)
    (restores.root / "a/old").write_bytes(b"old")
    (restores.root / "a/there").write_bytes(b"no link")

    done = restores.foretold_and_done(entries, overwrite="never")

    assert (done.counts, done.failed) == ({"files": 1, "directories": 1}, "")
    assert (restores.root / "a/old").read_bytes() == b"old"
    assert (restores.root / "a/there").read_bytes() == b"no link"
    assert stat.S_IMODE((restores.root / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((restores.root / "new").stat().st_mode) == 0o711


def test_directories_are_dressed_the_deepest_first_since_one_may_bar_the_way(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    dressed: list[bytes] = []
    dress = Target.dress

    def noted(target: Target, wanted: Entry) -> None:
        dressed.append(wanted.path)
        dress(target, wanted)

    monkeypatch.setattr(Target, "dress", noted)
    restores.restore([directory("/a", 0o500), directory("/a/b", 0), directory("/a/b/c", 0o500), directory("/d")])

    assert dressed == [b"/d", b"/a/b/c", b"/a/b", b"/a"]


def test_what_stands_above_without_an_entry_is_for_us_alone(restores: Restores) -> None:
    previous = os.umask(0)
    try:
        restores.restore([file("/database/shop/shop.sql", restores.archive.put(b"dump"))])
    finally:
        os.umask(previous)

    assert [stat.S_IMODE((restores.root / path).stat().st_mode) for path in ("database", "database/shop")] == [
        0o700
    ] * 2


def test_a_directory_is_for_us_alone_until_its_content_is_there(restores: Restores) -> None:
    seen = []
    restores.archive.watch = lambda: seen.append(stat.S_IMODE((restores.root / "a").stat().st_mode))

    restores.restore([directory("/a", 0o755), file("/a/file", restores.archive.put(b"content"))])

    assert seen == [0o700]
    assert stat.S_IMODE((restores.root / "a").stat().st_mode) == 0o755


def test_a_sparse_file_keeps_its_holes(restores: Restores) -> None:
    content = random.Random(2).randbytes(3 * SEGMENT)
    extents = ((4096, 2500), (100_000, 500))
    entries = [
        file("/hollow", [], size=50_000, extents=((50_000, 0),)),
        file("/sparse", restores.archive.put(content), size=1_000_000, extents=extents),
    ]

    assert restores.foretold_and_done(entries).failed == ""

    found = (restores.root / "sparse").read_bytes()
    assert found[4096:6596] + found[100_000:100_500] == content
    assert len(found) == 1_000_000
    assert found.count(0) >= 1_000_000 - len(content)
    assert (restores.root / "hollow").read_bytes() == bytes(50_000)


def test_a_place_without_length_is_asked_of_nobody(restores: Restores) -> None:
    wanted = file("/file", [])._replace(places=(Place("homedir/file", 0, 0, 0, 0),), digest="")

    assert restores.restore([wanted]).counts == {"files": 1}
    assert (restores.root / "file").read_bytes() == b""
    assert restores.archive.brought == []


def test_content_without_a_digest_is_taken_as_it_comes(restores: Restores) -> None:
    wanted = file("/file", restores.archive.put(b"whatever"))._replace(digest="")

    assert restores.foretold_and_done([wanted]).failed == ""
    assert (restores.root / "file").read_bytes() == b"whatever"


# -- many files at a time


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it is counted while it is open itself


@pytest.mark.parametrize("most", [1, 4])
def test_many_files_are_in_the_making_and_few_of_them_are_open(
    restores: Restores, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(streamed, "_OPEN_FILES", most)
    firsts = [restores.archive.put(b"first %02d" % number) for number in range(50)]
    seconds = [restores.archive.put(b"second %02d" % number) for number in range(50)]
    entries = [file(f"/{n:02d}", [*firsts[n], *seconds[n]]) for n in range(50)]
    counts: list[int] = []
    restores.archive.watch = lambda: counts.append(open_files())

    assert restores.restore(entries).failed == ""

    assert max(counts) - min(counts) <= most
    for number in range(50):
        assert (restores.root / f"{number:02d}").read_bytes() == b"first %02dsecond %02d" % (number, number)
    assert restores.leftovers() == []


def test_any_number_of_files_may_have_the_same_content(restores: Restores) -> None:
    content = random.Random(3).randbytes(2 * SEGMENT + 1)
    places = restores.archive.put(content)

    done = restores.foretold_and_done([file(f"/{number:04d}", places) for number in range(700)])

    assert done.counts == {"files": 700}
    assert len(restores.archive.brought) == 3
    assert {path.read_bytes() for path in restores.root.iterdir()} == {content}
    assert len(list(restores.root.iterdir())) == 700


def test_a_file_may_have_the_same_content_twice(restores: Restores) -> None:
    places = restores.archive.put(b"again ")

    assert restores.restore([file("/file", [*places, *places])]).failed == ""
    assert (restores.root / "file").read_bytes() == b"again again "


# -- what cannot be had


def test_content_that_is_another_costs_its_files_only(restores: Restores) -> None:
    archive = restores.archive
    good, bad, long = archive.put(b"good"), archive.put(b"bad"), archive.put(bytes(9 * SEGMENT))
    entries = [
        file("/a", bad),
        file("/b", good),
        file("/c", bad),
        file("/d", long),
        file("/e", [*good, *bad]),
        directory("/f", 0o700),
    ]
    restores.root.mkdir()
    (restores.root / "a").write_bytes(b"as it was")
    archive.content[bad[0].offset] ^= 1
    archive.content[long[1].offset] ^= 1

    done = restores.restore(entries)

    assert done.failed == (
        "4 things failed: /a, /c, /e, /d (its content is not what it was when the backup was indexed: it was changed"
        " since, or is damaged; run reindex)."
    )
    assert (done.counts, done.size, done.created) == ({"files": 1, "directories": 1}, 4, ["/b", "/f"])
    assert {path: content for path, (_mode, _time, content) in shape_of(restores.root).items() if content} == {
        "a": b"as it was",
        "b": b"good",
    }
    # What only a file wanted that was given up is not brought any more.
    assert long[8].offset not in [stretch.offset for stretch in archive.brought]


def test_content_that_cannot_be_had_costs_its_files_only(restores: Restores) -> None:
    archive = restores.archive
    good, half, long = archive.put(b"good"), archive.put(b"h" * SEGMENT), archive.put(bytes(3 * SEGMENT))
    archive.lost = {half[0].offset: InterruptedTransferError("it broke"), long[2].offset: DamageError("it is cut off")}

    done = restores.restore([file("/a", half), file("/b", good), file("/c", long), file("/d", half)])

    assert done.failed == "3 things failed: /a, /d (it broke); /c (it is cut off)."
    assert done.counts == {"files": 1}
    assert [path.name for path in restores.root.iterdir()] == ["b"]


def test_what_a_source_forgets_is_a_failure(restores: Restores) -> None:
    restores.archive = Forgetful()

    done = restores.restore([file("/a", restores.archive.put(b"a"))])

    assert done.failed == "One thing failed: /a (its content did not come)."
    assert done.counts == {}


@pytest.mark.parametrize("error", [MissingError("The backup is gone."), KeyboardInterrupt("The backup is gone.")])
def test_where_nothing_more_can_be_had_files_are_whole_or_not_there(
    restores: Restores, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(streamed, "_OPEN_FILES", 1)
    entries, contents = of_everything(restores.archive)

    def vanish() -> None:
        if len(restores.archive.brought) >= 40 and restores.leftovers():
            raise error

    restores.archive.watch = vanish
    with pytest.raises(type(error), match="The backup is gone"):
        restores.restore(entries)

    found = shape_of(restores.root)
    files = {path: content for path, (mode, _time, content) in found.items() if stat.S_ISREG(mode)}
    assert 10 < len(files) < len(contents)
    assert files.items() <= contents.items()
    assert restores.leftovers() == []
    assert [stat.S_IMODE(found[f"files/d{n}"][0]) for n in range(7)] == [0o700 + n for n in range(7)]
    restores.archive.watch = lambda: None
    assert restores.restore(entries).failed == ""
    assert_right(restores.root, entries, contents)


def test_a_restore_that_is_killed_leaves_files_whole_and_the_next_one_goes_on(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "_OPEN_FILES", 2)
    entries, contents = of_everything(restores.archive)

    def kill() -> None:
        if len(restores.archive.brought) >= 40 and restores.leftovers():
            os.kill(os.getpid(), signal.SIGKILL)

    restores.archive.watch = kill
    child = os.fork()
    if not child:
        try:
            restores.restore(entries)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL

    assert restores.leftovers() != []
    for path in restores.root.rglob("[!.]*"):
        assert not path.is_file() or path.read_bytes() == contents[str(path.relative_to(restores.root))]
    restores.archive.watch = lambda: None
    restores.archive.brought.clear()
    assert restores.restore(entries).failed == ""
    assert_right(restores.root, entries, contents)
    assert len(restores.archive.brought) < len({place.offset for wanted in entries for place in wanted.places})


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full, since"), (errno.EROFS, "cannot be written to any more")],
)
def test_a_target_that_takes_nothing_more_ends_it(
    restores: Restores, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    archive = restores.archive
    entries = [directory("/d", 0o711)]
    entries += [file(f"/d/{n}", archive.put(b"%d" % n * SEGMENT * 2)) for n in range(9)]
    archive.content[entries[1].places[0].offset] ^= 1
    write = os.pwrite

    def refusing(descriptor: int, content: memoryview, position: int) -> int:
        if (restores.root / "d/2").exists():
            raise OSError(number, os.strerror(number))
        return write(descriptor, content, position)

    monkeypatch.setattr(os, "pwrite", refusing)
    with pytest.raises(LocalError) as raised:
        restores.restore(entries)

    told = str(raised.value)
    assert told.startswith(f"The target {restores.root} {words}")
    assert (
        ": 2 files were restored, each of them whole, and nothing more is; before that, one thing could not be" in told
    )
    assert told.endswith("A restore that is begun again goes on from there.")
    assert sorted(path.name for path in (restores.root / "d").iterdir()) == ["1", "2"]
    assert stat.S_IMODE((restores.root / "d").stat().st_mode) == 0o711
    assert archive.brought[-1].offset <= entries[4].places[0].offset


def test_a_target_that_takes_no_directory_any_more_ends_it_before_anything_is_brought(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    restores.root.mkdir()
    monkeypatch.setattr(os, "mkdir", refusing)
    with pytest.raises(LocalError, match="is full: 0 files were restored"):
        restores.restore([directory("/d"), file("/d/file", restores.archive.put(b"content"))])

    assert restores.archive.brought == []


def test_a_root_that_cannot_be_made_is_told_once(restores: Restores) -> None:
    restores.root.write_bytes(b"a file")

    with pytest.raises(LocalError, match=f"The target {restores.root} cannot be used: "):
        restores.restore([directory("/d"), file("/d/file", restores.archive.put(b"content"))])


# -- what is in the way


def test_a_directory_makes_room_for_nothing(restores: Restores) -> None:
    entries = [
        file("/file", restores.archive.put(b"content")),
        link("/link", "file"),
        generated("/made", b"", {}),
    ]
    for name in ("file", "link", "made"):
        (restores.root / name).mkdir(parents=True)

    done = restores.foretold_and_done(entries)

    assert done.failed == (
        f"3 things failed: /file (Below {restores.root}, file is a directory where a file is to be restored);"
        f" /link (Below {restores.root}, link is a directory where a file is to be restored);"
        f" /made (Below {restores.root}, made is a directory where a file is to be restored)."
    )
    assert (done.counts, restores.archive.brought) == ({}, [])


@pytest.mark.parametrize("is_link", [False, True])
def test_nothing_makes_room_for_a_directory_and_nothing_is_written_through_it(
    restores: Restores, tmp_path: Path, *, is_link: bool
) -> None:
    entries = [
        directory("/d", 0o700),
        file("/d/file", restores.archive.put(b"content")),
        directory("/d/sub", 0o700),
        file("/e/file", restores.archive.put(b"other")),
        file("/f", restores.archive.put(b"content")),
    ]
    outside = tmp_path / "outside"
    outside.mkdir()
    restores.root.mkdir()
    for name in ("d", "e"):
        if is_link:
            (restores.root / name).symlink_to(outside)
        else:
            (restores.root / name).write_bytes(b"in the way")

    done = restores.foretold_and_done(entries)

    assert done.failed == (
        f"4 things failed: /d, /d/file, /d/sub (Below {restores.root}, d is a link or no directory: nothing is written"
        f" through it); /e/file (Below {restores.root}, e is a link or no directory: nothing is written through it)."
    )
    assert done.counts == {"files": 1}
    assert list(outside.iterdir()) == []
    assert (restores.root / "d").is_symlink() == is_link


def test_a_link_is_replaced_by_a_file_and_not_followed(restores: Restores, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    restores.root.mkdir()
    (restores.root / "file").symlink_to(tmp_path / "outside")

    done = restores.foretold_and_done([file("/file", restores.archive.put(b"content"))])

    assert done.replaced == ["/file"]
    assert (restores.root / "file").read_bytes() == b"content"
    assert not (restores.root / "file").is_symlink()
    assert (tmp_path / "outside").read_bytes() == b"precious"


# -- entries that no restore may follow


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (entry("/b", "c", 0o600, device=(1, 3)), "it is a device, a FIFO or another name of a file"),
        (entry("/b", "b", 0o600, device=(1, 3)), "it is a device, a FIFO or another name of a file"),
        (entry("/b", "p", 0o600), "it is a device, a FIFO or another name of a file"),
        (entry("/b", "h", 0o600, target=b"/a"), "it is a device, a FIFO or another name of a file"),
        (entry("/b", "?", 0o600), "it is a device, a FIFO or another name of a file"),
        (entry("/../b", "f", 0o600), "no restore may follow that path"),
        (entry("/b/./c", "f", 0o600), "no restore may follow that path"),
        (entry("b", "f", 0o600), "no restore may follow that path"),
        (entry("/A", "f", 0o600), "its entry does not stand where it belongs"),
        (entry("/a", "f", 0o600), "its entry does not stand where it belongs"),
        (entry("/a/b", "f", 0o600), "it lies below what is no directory"),
        (entry("/b", "l", 0o777), "there is no such target"),
        (entry("/b", "f", 0o100600), "there is no such mode"),
        (entry("/b", "f", 0o600)._replace(uid=2**32), "there is no such owner"),
        (entry("/b", "f", 0o600)._replace(mtime=2**63), "there is no such time"),
        (entry("/b", "f", 0o600, size=5), "its content is not as long as it should be"),
        (entry("/b", "f", 0o600, size=5, extents=((3, 4),)), "there is no such map"),
    ],
)
def test_an_entry_that_cannot_be_costs_itself_only(restores: Restores, wanted: Entry, reason: str) -> None:
    places = restores.archive.put(b"content")

    done = restores.foretold_and_done([file("/a", places), wanted, file("/c", places)])

    assert done.failed.startswith("One thing failed: ")
    assert reason in done.failed
    assert done.created == ["/a", "/c"]
    assert sorted(path.name for path in restores.root.rglob("*")) == ["a", "c"]


def test_content_that_is_also_a_part_of_another_is_not_believed(restores: Restores) -> None:
    (place,) = restores.archive.put(b"some content")
    half = place._replace(offset=place.offset + 6, length=6, size=6)

    done = restores.restore([file("/a", [place]), file("/b", [half])])

    assert "One thing failed: /b (its entry is damaged: a part of its content is also that of another)" in done.failed
    assert done.created == ["/a"]


# -- symbolic links


@pytest.mark.parametrize(
    ("path", "target", "stays"),
    [
        (b"/files/www", b"public_html", True),
        (b"/files/www", b"./public_html//x/", True),
        (b"/files/a/b", b"../../other", True),
        (b"/files/a/b", b"..", True),
        (b"/files/a/b", b"../..", True),
        (b"/files/a/b", b"../../..", False),
        (b"/files/a/b", b"./../.././..", False),
        (b"/link", b"..", False),
        (b"/link", b".", True),
        (b"/files/access-logs", b"/etc/apache2/logs/domlogs/user", False),
        (b"/files/link", b"/files/other", False),
        # Behind another link, nobody knows where `..` leads.
        (b"/files/a/m", b"up/../../..", False),
        (b"/files/a/m", b"up/..", False),
        (b"/files/a/m", b"..x/...", True),
    ],
)
def test_a_link_stays_below_the_root_if_it_only_goes_down_after_it_went_up(
    path: bytes, target: bytes, *, stays: bool
) -> None:
    assert stays_below(path, target) == stays


def test_links_that_lead_out_are_left_out_and_told(restores: Restores) -> None:
    entries = [directory("/d"), *(link(f"/d/{n}", "/etc/passwd") for n in range(7)), link("/d/good", "x")]

    done = restores.foretold_and_done(entries)

    assert done.failed == ""
    assert done.warnings == (
        "7 symbolic links were left out, because they lead out of the target: d/0, d/1, d/2, d/3, d/4 and 2 more.",
    )
    assert done.counts == {"directories": 1, "others": 1}
    assert os.listdir(restores.root / "d") == ["good"]  # noqa: PTH208 - names are enough
    assert restores.foretold_and_done(entries[:2]).warnings == (
        "One symbolic link was left out, because they lead out of the target: d/0.",
    )


def test_links_come_last(restores: Restores) -> None:
    seen = []
    restores.archive.watch = lambda: seen.append(os.path.lexists(restores.root / "a"))

    done = restores.foretold_and_done([link("/a", "b"), file("/b", restores.archive.put(b"content"))])

    assert seen == [False]
    assert (restores.root / "a").read_bytes() == b"content"
    assert done.counts == {"files": 1, "others": 1}


# -- generated content


def test_content_is_made_of_members_that_come_once_with_all_else(restores: Restores) -> None:
    archive = restores.archive
    passwd, file_places = archive.put(b"p" * 2500), archive.put(b"file")
    grants = archive.put(b"GRANT")
    asked: list[dict[str, bytes]] = []

    def generate(entry: Entry, members: Mapping[str, bytes]) -> bytes:
        asked.append(dict(members))
        return entry.path + members["mysql.sql"][:1]

    restores.generate = generate
    entries = [
        generated("/a", b"/aG", {"mysql.sql": grants}),
        generated("/b", b"/bG", {"mysql.sql": grants, "etc/passwd": passwd, "empty": []}),
        file("/c", passwd),
        file("/d", file_places),
    ]

    done = restores.foretold_and_done(entries)

    assert (done.counts, done.failed) == ({"files": 4}, "")
    assert done.size == 3 + 3 + 2500 + 4
    assert asked == [{"mysql.sql": b"GRANT"}, {"mysql.sql": b"GRANT", "etc/passwd": b"p" * 2500, "empty": b""}]
    assert [(restores.root / name).read_bytes() for name in "abc"] == [b"/aG", b"/bG", b"p" * 2500]
    assert stat.S_IMODE((restores.root / "a").stat().st_mode) == 0o600
    brought = archive.brought
    assert brought == sorted(set(brought))
    brought.clear()
    assert restores.foretold_and_done(entries, checksum=True).counts == {}


def test_generated_content_is_compared_with_what_is_there(restores: Restores) -> None:
    wanted = generated("/a", b"line", {"m": restores.archive.put(b"line")})
    restores.restore([wanted])
    (restores.root / "a").write_bytes(b"LINE")
    os.utime(restores.root / "a", ns=(MTIME, MTIME))
    (restores.root / "a").chmod(0o644)
    restores.archive.brought.clear()

    assert restores.foretold_and_done([wanted]).counts == {"files": 1}
    assert (restores.root / "a").read_bytes() == b"LINE"
    assert stat.S_IMODE((restores.root / "a").stat().st_mode) == 0o600
    assert restores.foretold_and_done([wanted], checksum=True).replaced == ["/a"]
    assert (restores.root / "a").read_bytes() == b"line"


def test_content_that_cannot_be_made_costs_itself_only(restores: Restores) -> None:
    archive = restores.archive
    lost, there = archive.put(b"lost"), archive.put(b"there")
    archive.lost = {lost[0].offset: InterruptedTransferError("it broke")}

    def generate(entry: Entry, members: Mapping[str, bytes]) -> bytes:
        if entry.path == b"/c":
            raise DamageError("nobody can read it")
        return b"".join(members.values())

    restores.generate = generate
    entries = [
        generated("/a", b"lostthere", {"lost": lost, "there": there}),
        generated("/b", b"other", {"there": there}),
        generated("/c", b"there", {"there": there}),
        generated("/d", b"there", {"there": there}),
        generated("/e", b"the", {"there": there}),
    ]

    done = restores.restore(entries)

    assert done.failed == (
        "4 things failed: /a (it broke); /b, /e (its content is not what it was when the backup was indexed: it was"
        " changed since, or is damaged; run reindex); /c (nobody can read it)."
    )
    assert (done.counts, done.size, done.created) == ({"files": 1}, 5, ["/d"])
    assert [path.name for path in restores.root.iterdir()] == ["d"]


def test_what_content_is_made_of_is_kept_only_as_far_as_memory_may_hold_it(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "_MEMBERS_SIZE", 10)
    archive = restores.archive
    small, large = archive.put(b"small"), archive.put(b"larger")
    entries = [
        generated("/a", b"small", {"small": small}),
        generated("/b", b"larger", {"large": large}),
        generated("/c", b"small", {"small": small}),
    ]

    done = restores.foretold_and_done(entries)

    assert done.failed == (
        "One thing failed: /b (what it is made of is larger than 10 bytes, together with that of others)."
    )
    assert done.created == ["/a", "/c"]
