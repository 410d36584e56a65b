# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a tree to entries: what changed is packed, what did not is taken over, and trouble stays where it is."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import stat
import time
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.changes import compare
from ansible_collections.stowage.ftp_backup.plugins.module_utils.collect import Collector
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.damage import Condition
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import digest_of_segments
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import MEMORY_BUDGET, Budget, Packer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import UNKNOWN, Found, is_below, scan

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Entry
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import Volume

MIB = 1024 * 1024
NOISE = random.Random(3).randbytes(12 * MIB)
NOTHING: frozenset[str] = frozenset()


class Pool:
    """Runs over one tree, with all the volumes they made."""

    def __init__(self, top: Path) -> None:
        self._top = os.fsencode(top)
        self.volumes: dict[str, bytes] = {}
        self.problems: list[bytes] = []
        self.runs = 0
        self.clock: Callable[[], float] = time.monotonic

    def run(self, base: t.Sequence[Entry] = (), absent: frozenset[str] = NOTHING) -> list[Entry]:
        return self.run_with(list(self.found()), base, absent)

    def found(self) -> t.Iterator[Found]:
        return scan([self._top], lambda path, _why: self.problems.append(path))

    def run_with(
        self, found: t.Iterable[Found], base: t.Sequence[Entry] = (), absent: frozenset[str] = NOTHING
    ) -> list[Entry]:
        self.runs += 1
        prefix = f"v00/{self.runs}"
        started: list[Volume] = []
        entries: list[Entry] = []
        budget = Budget(MEMORY_BUDGET)
        packer = Packer("none", lambda number: f"{prefix}-{number}.tar", started.append, budget, clock=self.clock)
        condition = Condition(absent)
        collector = Collector(packer, entries.append, lambda path, _why: self.problems.append(path), condition)
        for change in compare(iter(found), iter(base), condition):
            collector.collect(change)
        collector.settle()
        packer.stop()
        self.volumes.update({volume.name: b"".join(map(bytes, volume.chunks())) for volume in started})
        return entries

    def content(self, entry: Entry) -> bytes:
        """Return what the places of *entry* hold, once each is found right."""
        pieces = []
        for place in entry.places:
            piece = self.volumes[place.volume][place.offset : place.offset + place.length]
            assert hashlib.sha256(piece).hexdigest() == (place.digest or entry.digest)
            pieces.append(piece)
        return b"".join(pieces)

    def sent(self) -> int:
        return sum(len(content) for name, content in self.volumes.items() if name.startswith(f"v00/{self.runs}-"))


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    (tmp_path / "top").mkdir()
    return Pool(tmp_path / "top")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "top"


def named(entries: list[Entry], name: str) -> Entry:
    (entry,) = (entry for entry in entries if os.path.basename(entry.path) == os.fsencode(name))  # noqa: PTH119 - bytes
    return entry


def after(found: t.Iterable[Found], path: Path, deed: Callable[[], object]) -> t.Iterator[Found]:
    """Yield what is *found*, and do the *deed* once what is at *path* was taken."""
    for item in found:
        yield item
        if item.path == os.fsencode(path):
            deed()


def closed(found: t.Iterable[Found], directory: Path) -> t.Iterator[Found]:
    """Yield what is *found* as if *directory* could not be looked into."""
    path = os.fsencode(directory)
    for item in found:
        if item.path == path:
            yield item._replace(is_closed=True)
        elif not is_below(item.path, path):
            yield item


def put_link_in_place_of(directory: Path, target: Path) -> None:
    directory.rename(target.with_name("away"))
    directory.symlink_to(target)


def wait_until_calm(top: Path) -> None:
    """Wait until no file below *top* was changed so recently that it has to be read again."""
    newest = max(status.st_ctime_ns for status in (path.lstat() for path in top.rglob("*")))
    while time.time_ns() - newest < 60 * 10**6:
        pass


def test_what_is_read_is_what_the_places_hold(pool: Pool, top: Path) -> None:
    contents = {"empty": b"", "small": b"content", "large": NOISE, "medium": NOISE[: 3 * MIB]}
    for name, content in contents.items():
        (top / name).write_bytes(content)

    entries = pool.run()

    for name, content in contents.items():
        entry = named(entries, name)
        assert (pool.content(entry), entry.size) == (content, len(content))
    assert len(named(entries, "large").places) > 1
    assert all(place.digest for place in named(entries, "large").places)
    assert [place.digest for place in named(entries, "medium").places] == [""]


def test_what_did_not_change_is_not_read_again(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(b"content")
    wait_until_calm(top)
    found = list(pool.found())
    first = pool.run_with(found)
    (top / "file").rename(top / "elsewhere")
    os.mkfifo(top / "file")  # whoever opened it now would find no content
    base = [entry._replace(is_racy=False) for entry in first]

    second = pool.run_with(found, base)

    assert named(second, "file") == named(base, "file")
    assert pool.sent() == 0


def test_metadata_alone_sends_nothing(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(NOISE)
    first = pool.run()
    (top / "file").chmod(0o600)
    os.utime(top / "file", (0, 0))

    second = pool.run(first)

    assert pool.sent() == 0
    assert named(second, "file").mode == 0o600
    assert pool.content(named(second, "file")) == NOISE


def test_a_change_inside_of_a_large_file_sends_a_piece_of_it(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(NOISE)
    first = pool.run()
    changed = NOISE[: 6 * MIB] + b"change" + NOISE[6 * MIB + 6 :]
    (top / "file").write_bytes(changed)

    second = pool.run(first)

    assert pool.content(named(second, "file")) == changed
    assert 0 < pool.sent() < 9 * MIB


@pytest.mark.parametrize(("before", "after"), [(12, 3), (3, 12), (9, 10), (1, 0), (0, 1)])
def test_a_file_may_grow_and_shrink_between_runs(pool: Pool, top: Path, before: int, after: int) -> None:
    (top / "file").write_bytes(NOISE[: before * MIB])
    first = pool.run()
    (top / "file").write_bytes(NOISE[: after * MIB])

    second = pool.run(first)

    assert pool.content(named(second, "file")) == NOISE[: after * MIB]
    assert named(second, "file").size == after * MIB


def test_a_file_that_changed_after_it_was_found_is_taken_as_it_is_and_read_again_next_time(
    pool: Pool, top: Path
) -> None:
    (top / "file").write_bytes(b"short")
    wait_until_calm(top)
    found = list(pool.found())
    (top / "file").write_bytes(b"much longer than before")

    (entry,) = (entry for entry in pool.run_with(found) if entry.kind == "f")

    assert pool.content(entry) == b"much longer than before"
    assert entry.size == len(b"much longer than before")
    assert entry.is_racy


def test_a_racy_file_is_read_again_and_not_sent_again(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(b"content")
    first = [entry._replace(is_racy=True) for entry in pool.run()]
    wait_until_calm(top)

    second = pool.run(first)

    assert pool.sent() == 0
    assert not named(second, "file").is_racy


def test_a_change_that_left_size_and_mtime_alone_is_found(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(b"before")
    wait_until_calm(top)
    first = pool.run()
    mtime = (top / "file").stat().st_mtime_ns
    (top / "file").write_bytes(b"after!")
    os.utime(top / "file", ns=(mtime, mtime))

    assert pool.content(named(pool.run(first), "file")) == b"after!"


def test_hard_links_hold_their_content_once_at_the_first_name(pool: Pool, top: Path) -> None:
    (top / "b").write_bytes(b"content")
    for name in ("a", "c"):
        os.link(top / "b", top / name)

    entries = pool.run()

    first, *others = (named(entries, name) for name in "abc")
    assert [first.kind, *(entry.kind for entry in others)] == ["f", "h", "h"]
    assert {entry.target for entry in others} == {first.path}
    assert {entry.places for entry in others} == {first.places}
    assert len(first.places) == 1


def test_a_name_whose_inode_number_was_that_of_another_file_is_a_file_of_its_own(pool: Pool, top: Path) -> None:
    (top / "a").write_bytes(b"content")
    (top / "b").write_bytes(b"something else")
    directory, first, other = pool.found()
    fields = [list(t.cast("os.stat_result", found.status)) for found in (first, other)]
    for values in fields:
        values[stat.ST_NLINK] = 2
        values[stat.ST_INO] = fields[0][stat.ST_INO]

    entries = pool.run_with(
        [directory, *(found._replace(status=os.stat_result(values)) for found, values in zip((first, other), fields))]
    )

    assert pool.content(named(entries, "b")) == b"something else"


def test_a_name_that_is_found_after_a_change_through_another_is_read_for_itself(pool: Pool, top: Path) -> None:
    for directory in ("1", "2"):
        (top / directory).mkdir()
    (top / "1/a").write_bytes(b"before")
    os.link(top / "1/a", top / "2/b")
    wait_until_calm(top)

    entries = pool.run_with(after(pool.found(), top / "1/a", lambda: (top / "1/a").write_bytes(b"after!")))

    assert pool.content(named(entries, "a")) == b"before"
    assert pool.content(named(entries, "b")) == b"after!"


def test_when_the_first_of_hard_links_goes_the_second_takes_its_place_and_nothing_is_sent(
    pool: Pool, top: Path
) -> None:
    (top / "a").write_bytes(b"content")
    os.link(top / "a", top / "b")
    first = pool.run()
    (top / "a").unlink()

    second = pool.run(first)

    assert named(second, "b").kind == "f"
    assert pool.content(named(second, "b")) == b"content"
    assert pool.sent() == 0


def test_content_in_an_absent_volume_is_sent_again(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(b"content")
    wait_until_calm(top)
    first = pool.run()
    absent = frozenset(place.volume for place in named(first, "file").places)

    second = pool.run(first, absent)

    assert pool.sent() > 0
    assert not absent & {place.volume for place in named(second, "file").places}


def test_a_file_that_is_replaced_by_something_else_after_it_was_found_is_told(pool: Pool, top: Path) -> None:
    for name in ("directory", "fifo", "gone", "link", "stays"):
        (top / name).write_bytes(b"content")
    found = list(pool.found())
    for name in ("directory", "fifo", "gone", "link"):
        (top / name).unlink()
    (top / "directory").mkdir()
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("/etc/passwd")

    entries = pool.run_with(found)

    assert [os.path.basename(path) for path in pool.problems] == [b"directory", b"fifo", b"gone", b"link"]  # noqa: PTH119 - bytes
    assert [entry.path for entry in entries if entry.kind == "f"] == [os.fsencode(top / "stays")]


def test_what_cannot_be_read_now_is_kept_from_the_base_and_marked(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(b"content")
    first = pool.run()
    (top / "file").write_bytes(b"changed")
    found = list(pool.found())
    (top / "file").unlink()
    (top / "file").mkdir()

    kept = named(pool.run_with(found, first), "file")

    assert kept.is_stale
    assert pool.content(kept) == b"content"
    assert pool.problems == [os.fsencode(top / "file")]


def test_what_lies_below_a_directory_that_cannot_be_read_is_kept_from_the_base_and_marked(
    pool: Pool, top: Path
) -> None:
    (top / "d/inner").mkdir(parents=True)
    for name in ("c", "d/file", "d/inner/file", "d-e", "z"):
        (top / name).write_bytes(os.fsencode(name))
    os.link(top / "c", top / "d/second name of c")
    (top / "d/link").symlink_to("file")
    wait_until_calm(top)
    first = pool.run()

    second = pool.run_with(closed(pool.found(), top / "d"), first)

    assert [entry.path for entry in second] == [entry.path for entry in first]
    below = {os.path.relpath(entry.path, os.fsencode(top / "d")): entry for entry in second}
    assert {name: entry.kind for name, entry in below.items() if not name.startswith(b"..")} == {
        b".": "d",
        b"file": "f",
        b"inner": "d",
        b"inner/file": "f",
        b"link": "l",
        b"second name of c": "f",
    }
    assert {name for name, entry in below.items() if entry.is_stale} == {b"file", b"inner/file", b"second name of c"}
    assert pool.content(below[b"inner/file"]) == b"d/inner/file"
    assert pool.content(below[b"second name of c"]) == b"c"
    assert pool.sent() == 0


def test_what_was_kept_below_a_directory_is_read_again_once_that_can_be_done(pool: Pool, top: Path) -> None:
    (top / "d").mkdir()
    (top / "d/file").write_bytes(b"content")
    first = pool.run()
    second = pool.run_with(closed(pool.found(), top / "d"), first)

    third = pool.run(second)

    assert named(second, "file").is_stale
    assert not named(third, "file").is_stale
    assert pool.content(named(third, "file")) == b"content"


def test_nothing_is_kept_below_a_directory_that_is_no_more(pool: Pool, top: Path) -> None:
    (top / "d").mkdir()
    (top / "d/file").write_bytes(b"content")
    first = pool.run()

    second = pool.run_with(after(pool.found(), top, lambda: shutil.rmtree(top / "d")), first)

    assert [entry.path for entry in second] == [os.fsencode(top)]
    assert pool.problems == [os.fsencode(top / "d")]


def test_what_lies_in_an_absent_volume_is_not_kept_below_a_directory_that_cannot_be_read(pool: Pool, top: Path) -> None:
    (top / "d").mkdir()
    (top / "d/file").write_bytes(b"content")
    first = pool.run()
    absent = frozenset(place.volume for place in named(first, "file").places)
    directories = [item._replace(is_closed=item.path != os.fsencode(top)) for item in pool.found()][:2]

    second = pool.run_with(directories, first, absent)

    assert [entry.path for entry in second] == [os.fsencode(top), os.fsencode(top / "d")]


def test_what_cannot_be_looked_at_is_kept_with_all_below_it(pool: Pool, top: Path) -> None:
    (top / "d").mkdir()
    for name in ("d/file", "e"):
        (top / name).write_bytes(b"content")
    first = pool.run()
    directory, *_others = pool.found()
    unknown = [Found(os.fsencode(top / name), UNKNOWN, None, os.fsencode(top), is_closed=True) for name in "def"]

    second = pool.run_with([directory, *unknown], first)

    assert [entry.path for entry in second] == [entry.path for entry in first]
    assert [pool.content(entry) for entry in second if entry.is_stale] == [b"content", b"content"]


# what changes while it is read


def test_a_file_that_replaced_another_after_that_was_found_comes_with_its_own_metadata(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(b"before")
    found = list(pool.found())
    (top / "new").write_bytes(b"after!")
    (top / "new").chmod(0o600)
    os.utime(top / "new", ns=(0, 1_700_000_000_123_456_789))
    (top / "new").rename(top / "file")

    entry = named(pool.run_with(found), "file")

    status = (top / "file").stat()
    assert pool.content(entry) == b"after!"
    assert (entry.mode, entry.mtime, entry.ctime) == (0o600, 1_700_000_000_123_456_789, status.st_ctime_ns)
    assert entry.inode == f"{status.st_dev}:{status.st_ino}"


def test_a_file_that_grows_as_fast_as_it_is_read_is_taken_as_long_as_it_was(pool: Pool, top: Path) -> None:
    (top / "file").write_bytes(NOISE)
    wait_until_calm(top)

    def grow() -> float:
        if (top / "file").stat().st_size < 8 * len(NOISE):
            with (top / "file").open("ab") as file:
                file.write(NOISE)
        return 0

    found = list(pool.found())
    pool.clock = grow  # which is asked for each segment
    (entry,) = (entry for entry in pool.run_with(found) if entry.kind == "f")

    assert entry.size == len(pool.content(entry)) <= 2 * len(NOISE)
    assert entry.is_racy


@pytest.mark.parametrize("size", [4, 10 * MIB])
def test_a_file_that_is_cut_while_it_is_read_is_taken_as_far_as_it_goes_and_read_again(
    pool: Pool, top: Path, size: int
) -> None:
    (top / "file").write_bytes(NOISE)
    wait_until_calm(top)

    def cut() -> float:
        os.truncate(top / "file", size)
        return 0

    found = list(pool.found())
    pool.clock = cut
    entry = named(pool.run_with(found), "file")

    assert NOISE.startswith(pool.content(entry))
    assert entry.size == len(pool.content(entry))
    assert entry.is_racy


def test_a_link_that_takes_the_place_of_a_directory_leads_nobody_to_the_files_of_others(
    pool: Pool, top: Path, tmp_path: Path
) -> None:
    for directory in (top / "a/b", tmp_path / "others/b"):
        directory.mkdir(parents=True)
    (top / "a/b/file").write_bytes(b"own")
    (tmp_path / "others/b/file").write_bytes(b"secret")
    found = list(pool.found())
    put_link_in_place_of(top / "a", tmp_path / "others")

    entries = pool.run_with(found)

    assert [entry.path for entry in entries] == [os.fsencode(top)]
    assert pool.problems == [os.fsencode(top / path) for path in ("a", "a/b", "a/b/file")]
    assert pool.sent() == 0


def test_links_above_what_is_backed_up_are_followed_to_a_file_that_replaced_another(tmp_path: Path) -> None:
    top = tmp_path / "link/top"
    (tmp_path / "real/top/d").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (top / "d/file").write_bytes(b"before")
    (top / "d/new").write_bytes(b"after")
    pool = Pool(top)
    found = [item for item in pool.found() if not item.path.endswith(b"/new")]
    (top / "d/new").rename(top / "d/file")

    entries = pool.run_with(found)

    assert pool.content(named(entries, "file")) == b"after"
    assert pool.problems == []


def test_an_upload_does_not_stand_open_while_a_large_file_is_read_whose_segments_are_known(
    pool: Pool, top: Path
) -> None:
    (top / "b").write_bytes(3 * NOISE)
    first = pool.run()
    os.utime(top / "b")
    for name in ("a", "c"):
        (top / name).write_bytes(b"new")
    seconds = itertools.count()
    pool.clock = lambda: float(next(seconds))

    second = pool.run(first)

    assert pool.content(named(second, "b")) == 3 * NOISE
    assert {place.volume for place in named(second, "b").places} <= {place.volume for place in named(first, "b").places}
    volumes = [named(second, name).places[0].volume for name in "ac"]
    assert len(set(volumes)) == 2


def test_the_digest_of_several_segments_is_that_of_their_digests() -> None:
    one, other = hashlib.sha256(b"1"), hashlib.sha256(b"2")

    assert digest_of_segments([one.hexdigest()]) == one.hexdigest()
    both = hashlib.sha256(one.digest() + other.digest()).hexdigest()
    assert digest_of_segments([one.hexdigest(), other.hexdigest()]) == both
