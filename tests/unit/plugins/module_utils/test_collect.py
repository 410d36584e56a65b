# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a tree to entries: what changed is packed, what did not is taken over, and trouble stays where it is."""

from __future__ import annotations

import hashlib
import os
import random
import time
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.collect import Collector, compare, digest_of
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volumes import MEMORY_BUDGET, Budget, Packer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.scan import Found, scan

if t.TYPE_CHECKING:
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

    def run(self, base: t.Sequence[Entry] = (), absent: frozenset[str] = NOTHING) -> list[Entry]:
        return self.run_with(list(self.found()), base, absent)

    def found(self) -> t.Iterator[Found]:
        return scan([self._top], lambda path, _why: self.problems.append(path))

    def run_with(
        self, found: list[Found], base: t.Sequence[Entry] = (), absent: frozenset[str] = NOTHING
    ) -> list[Entry]:
        self.runs += 1
        prefix = f"v00/{self.runs}"
        started: list[Volume] = []
        entries: list[Entry] = []
        packer = Packer("none", lambda number: f"{prefix}-{number}.tar", started.append, Budget(MEMORY_BUDGET))
        collector = Collector(packer, entries.append, lambda path, _why: self.problems.append(path), absent)
        for change in compare(iter(found), iter(base), absent):
            collector.collect(change)
        collector.finish()
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
    first = pool.run()
    (top / "file").rename(top / "elsewhere")
    os.mkfifo(top / "file")  # whoever opened it now would find no content
    base = [entry._replace(is_racy=False) for entry in first]
    found = [Found(entry._replace(digest="", places=()), 1) for entry in first]

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


def test_the_digest_of_several_segments_is_that_of_their_digests() -> None:
    one, other = hashlib.sha256(b"1"), hashlib.sha256(b"2")

    assert digest_of([one.hexdigest()]) == one.hexdigest()
    assert digest_of([one.hexdigest(), other.hexdigest()]) == hashlib.sha256(one.digest() + other.digest()).hexdigest()
