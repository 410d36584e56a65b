# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores window by window: however small the windows are, what comes of it is the same."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import resource
import stat
import subprocess
import tempfile
import typing as t
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring import deciding
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.selection import WantedPart
from tests.unit.restores import MEASURED, Restores, restores_in
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_content import MTIME, Value, attributes, entry, hard_link, link

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.windows import Window
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Reader

MIB = 1024 * 1024


@pytest.fixture
def restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restores:
    return restores_in(tmp_path, monkeypatch)


@pytest.fixture(params=[1, 3, 1000])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have windows end after so many things, and at twice as many at the latest."""
    limit: int = request.param
    monkeypatch.setattr(deciding, "_ENOUGH", limit)
    monkeypatch.setattr(deciding, "_MOST", 2 * limit)
    return limit


def foretold_and_done(restores: Restores, **options: Value) -> Outcome:
    """Restore, and see that check mode had told the same."""
    foretold = restores.bring_back(check_mode=True, **options)
    done = restores.bring_back(**options)
    assert foretold.changed == done.changed
    assert {**foretold.values, **MEASURED} == {**done.values, **MEASURED}
    for dry, wet in ((foretold.before, done.before), (foretold.after, done.after)):
        assert dry == wet
    return done


def of_everything(restores: Restores) -> dict[str, bytes]:
    """Lay a restore point that has a bit of everything, and return the content of its files."""
    job, chance = restores.job, random.Random(1)
    contents = {f"d{n % 7}/e{n % 3}/{n:03d}": chance.randbytes(chance.randrange(1, 3000)) for n in range(60)}
    contents["d1/empty"] = b""
    contents["large"] = chance.randbytes(200_000)
    entries = [entry("/srv"), *(entry(f"/srv/d{n}", m=0o700 + n) for n in range(7))]
    entries += [entry(f"/srv/d{n}/e{m}", mt=n + m) for n in range(7) for m in range(3)]
    for number, (name, content) in enumerate(sorted(contents.items())):
        volume = job.volume(number % 3, ".tar" if number % 3 == 2 else ".tar.gz")
        entries.append(job.file(f"/srv/{name}", content, volume, segment=10_000))
    first = next(values for values in entries if values["p"].endswith("/000"))
    entries += [hard_link(f"/srv/{name}", first) for name in ("d5/name", "d6/e1/name", "zz")]
    contents.update(dict.fromkeys(("d5/name", "d6/e1/name", "zz"), contents["d0/e0/000"]))
    entries += [link("/srv/d3/link", "large"), entry("/srv/d4/fifo", "p"), entry("/srv/d6/none")]
    job.add(entries, a_block=9)
    return contents


def assert_right(restores: Restores, contents: dict[str, bytes]) -> None:
    found = {str(p.relative_to(restores.srv)) for p in restores.srv.rglob("*") if stat.S_ISREG(p.lstat().st_mode)}
    assert found == contents.keys()
    for name, content in contents.items():
        assert (restores.srv / name).read_bytes() == content, name
    assert (restores.srv / "zz").samefile(restores.srv / "d0/e0/000")
    assert (restores.srv / "zz").stat().st_nlink == 4
    for number in range(7):
        directory = restores.srv / f"d{number}"
        assert (stat.S_IMODE(directory.stat().st_mode), directory.stat().st_mtime_ns) == (0o700 + number, MTIME)
        assert (directory / "e2").stat().st_mtime_ns == number + 2


@pytest.mark.parametrize("overwrite", ["changed", "always", "never"])
def test_everything_comes_back_to_an_empty_target(restores: Restores, window: int, overwrite: str) -> None:
    assert window
    contents = of_everything(restores)

    done = foretold_and_done(restores, overwrite=overwrite)

    assert_right(restores, contents)
    # /srv, d0 to d6, three in each, and `none`
    counts = {"files": 62, "directories": 30, "links": 3, "others": 2, "databases": 0, "deleted": 0}
    assert done.values["restored"] == counts
    if overwrite != "always":
        assert not foretold_and_done(restores, overwrite=overwrite).changed


@pytest.mark.parametrize("checksum", [False, True])
def test_only_what_is_another_comes_back_and_nothing_else_is_touched(
    restores: Restores, window: int, *, checksum: bool
) -> None:
    assert window
    contents = of_everything(restores)
    restores.bring_back()
    (restores.srv / "d2/e2/002").write_bytes(b"another")
    (restores.srv / "d5/name").unlink()
    (restores.srv / "d5/name").write_bytes(b"another")
    (restores.srv / "d3/link").unlink()
    (restores.srv / "d1").chmod(0o755)
    (restores.srv / "large").chmod(0o600)
    untouched = {path: path.stat().st_ctime_ns for path in (restores.srv / "d6", restores.srv / "d4/e0", restores.srv)}

    done = foretold_and_done(restores, checksum=checksum)

    assert_right(restores, contents)
    assert {path: path.stat().st_ctime_ns for path in untouched} == untouched
    assert done.values["restored"] == {
        "files": 2,
        "directories": 3,
        "links": 1,
        "others": 1,
        "databases": 0,
        "deleted": 0,
    }
    assert not foretold_and_done(restores, checksum=checksum).changed


def test_all_names_of_a_file_that_was_changed_in_place_are_linked_anew(restores: Restores, window: int) -> None:
    assert window
    contents = of_everything(restores)
    restores.bring_back()
    (restores.srv / "zz").write_bytes(b"another")

    done = foretold_and_done(restores)

    assert_right(restores, contents)
    assert done.values["restored"]["links"] == 3


@pytest.mark.parametrize("overwrite", ["changed", "always", "never"])
def test_names_whose_first_one_is_not_wanted_become_one_file(restores: Restores, window: int, overwrite: str) -> None:
    """As of trees that share unchanged files, of which two are wanted and not the oldest."""
    job = restores.job
    assert window
    firsts = [job.file(f"/srv/a/{n}", b"content %d" % n) for n in range(20)]
    others = [hard_link(f"/srv/{tree}/{n}", first) for tree in "bc" for n, first in enumerate(firsts)]
    job.add([entry("/srv"), *(entry(f"/srv/{tree}") for tree in "abc"), *firsts, *others])
    paths = ("/srv/b", "/srv/c")

    done = foretold_and_done(restores, paths=paths, overwrite=overwrite)

    assert sorted(path.name for path in restores.srv.iterdir()) == ["b", "c"]
    for number in range(20):
        assert (restores.srv / f"c/{number}").read_bytes() == b"content %d" % number
        assert (restores.srv / f"c/{number}").samefile(restores.srv / f"b/{number}")
    assert (done.values["restored"]["files"], done.values["restored"]["links"]) == (20, 20)
    if overwrite != "always":
        assert not foretold_and_done(restores, paths=paths, overwrite=overwrite).changed


def test_names_of_a_file_whose_volume_is_missing_are_told_and_not_linked_to_anything(
    restores: Restores, window: int
) -> None:
    assert window
    job = restores.job
    first = job.file("/srv/a", b"content", job.volume(7))
    job.add([entry("/srv"), first, *(hard_link(f"/srv/{name}", first) for name in "bcde"), job.file("/srv/z", b"z")])
    restores.srv.mkdir(parents=True)
    (restores.srv / "a").write_bytes(b"another")
    storage = restores.storage()
    storage.delete([path for path in storage.files if path.name.endswith("000007.tar.gz")])

    sentence = restores.bring_back_in_vain(storage=storage)

    assert sentence.startswith("5 things could not be restored, everything else was: /srv/a, /srv/b, /srv/c")
    assert restores.names() == {"a", "z"}
    assert (restores.srv / "a").read_bytes() == b"another"


def test_no_window_is_larger_than_it_may_be(restores: Restores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_ENOUGH", 20)
    monkeypatch.setattr(deciding, "_MOST", 50)
    weights: list[int] = []
    really_ended = deciding.Decider._ended

    def ended(decider: deciding.Decider) -> Window:
        window = really_ended(decider)
        weights.append(window.weight)
        assert len(window.files) <= 52
        return window

    monkeypatch.setattr(deciding.Decider, "_ended", ended)
    job = restores.job
    files = [job.file(f"/srv/{n:04d}", b"%d" % n, job.volume(n // 30)) for n in range(1000)]
    job.add([entry("/srv"), *files])

    restores.bring_back()
    restores.bring_back()

    assert max(weights) <= 52
    assert len(weights) > 20
    assert weights[-1] == 0, "what is equal already has no weight"


# -- what is in the way


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_in_the_way_of_a_directory_stays_where_no_content_comes_however_late_that_shows(
    restores: Restores, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(deciding, "_ENOUGH", 5)
    monkeypatch.setattr(deciding, "_MOST", 5)
    job = restores.job
    empty = [job.file(f"/srv/d/{n:03d}") for n in range(100)]
    job.add([entry("/srv"), entry("/srv/d"), *empty, job.file("/srv/d/z", b"content")])
    restores.srv.mkdir(parents=True)
    (restores.srv / "d").write_bytes(b"mine") if kind == "file" else (restores.srv / "d").symlink_to("/nowhere")
    lost = restores.storage()
    lost.delete([path for path in lost.files if ".tar" in path.name])

    restores.bring_back_in_vain(storage=lost)
    assert (restores.srv / "d").is_symlink() if kind == "link" else (restores.srv / "d").read_bytes() == b"mine"

    foretold_and_done(restores)
    assert len(restores.names()) == 102


def test_what_is_in_the_way_of_a_directory_without_content_goes(restores: Restores, window: int) -> None:
    assert window
    job = restores.job
    job.add([entry("/srv"), entry("/srv/d"), entry("/srv/d/e"), job.file("/srv/d/f"), link("/srv/d/g", "f")])
    restores.srv.mkdir(parents=True)
    (restores.srv / "d").write_bytes(b"mine")

    foretold_and_done(restores)

    assert restores.names() == {"d", "d/e", "d/f", "d/g"}


def test_a_directory_in_the_way_of_something_else_is_foretold_and_costs_only_that(
    restores: Restores, window: int
) -> None:
    assert window
    job = restores.job
    first = job.file("/srv/a", b"content")
    job.add([entry("/srv"), first, hard_link("/srv/b", first), hard_link("/srv/c", first), link("/srv/d", "a")])
    for name in "ad":
        (restores.srv / name / "mine").mkdir(parents=True)

    sentence = restores.bring_back_in_vain(check_mode=True)
    assert sentence.startswith("2 things cannot be restored, everything else can")
    sentence = restores.bring_back_in_vain()

    assert sentence.startswith("2 things could not be restored, everything else was")
    assert "is a directory where a file is to be restored" in sentence
    assert (restores.srv / "b").read_bytes() == b"content"
    assert (restores.srv / "b").samefile(restores.srv / "c")


# -- a target that takes no more


@pytest.fixture
def small_disk(restores: Restores) -> Iterator[Path]:
    """A file system of 2 MiB where the target is."""
    restores.target.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", str(restores.target)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("Nothing may be mounted here.")
    yield restores.target
    subprocess.run(["umount", str(restores.target)], check=True)


def test_a_full_disk_ends_a_restore_and_leaves_nothing_unfinished(
    restores: Restores, small_disk: Path, window: int
) -> None:
    assert window
    job, chance = restores.job, random.Random(1)
    contents = {f"{n:02d}": chance.randbytes(300_000) for n in range(20)}
    files = [job.file(f"/srv/d/{name}", content, job.volume(int(name) // 4)) for name, content in contents.items()]
    job.add([entry("/srv", m=0o750), entry("/srv/d", m=0o751), *files])

    sentence = restores.bring_back_in_vain()

    found = {path.name: path.read_bytes() for path in (small_disk / "srv/d").iterdir()}
    assert found.items() <= contents.items()
    assert 0 < len(found) < 7
    count = "1 file was" if len(found) == 1 else f"{len(found)} files were"
    assert sentence.startswith(
        f"The target {small_disk} is full: {count} restored, each of them whole, and nothing more"
    )
    assert stat.S_IMODE((small_disk / "srv").stat().st_mode) == 0o750
    assert stat.S_IMODE((small_disk / "srv/d").stat().st_mode) == 0o751

    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    restores.bring_back()
    assert {path.name: path.read_bytes() for path in (small_disk / "srv/d").iterdir()} == contents


def test_nothing_more_is_fetched_for_a_full_disk(restores: Restores, monkeypatch: pytest.MonkeyPatch) -> None:
    job, chance = restores.job, random.Random(1)
    files = [job.file(f"/srv/{n:02d}", chance.randbytes(MIB), job.volume(n)) for n in range(40)]
    job.add([entry("/srv"), *files])
    storage = restores.storage()

    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "pwrite", refuse)
    sentence = restores.bring_back_in_vain(storage=storage)

    assert "is full, since the quota of its owner is used up: 0 files were restored" in sentence
    assert storage.bytes_received < 12 * MIB
    assert list(restores.srv.iterdir()) == []


def test_a_file_system_that_became_read_only_is_told_once(restores: Restores, monkeypatch: pytest.MonkeyPatch) -> None:
    job = restores.job
    job.add([entry("/srv"), *(link(f"/srv/{n}", "x") for n in range(5))])

    def refuse(*_arguments: object, **_options: object) -> t.NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "symlink", refuse)
    sentence = restores.bring_back_in_vain()

    assert sentence.startswith(f"The target {restores.target} cannot be written to any more")


def test_what_had_failed_before_a_disk_was_full_is_told_as_well(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = restores.job
    job.add([entry("/srv"), job.file("/srv/a", b"a", job.volume(1)), link("/srv/b", "a")])
    storage = restores.storage()
    storage.delete([path for path in storage.files if ".tar" in path.name])

    def refuse(*_arguments: object, **_options: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "symlink", refuse)
    sentence = restores.bring_back_in_vain(storage=storage)

    assert (
        "0 files were restored, each of them whole, and nothing more is; before that, one thing could not" in sentence
    )
    assert "/srv/a" in sentence


def test_more_files_may_be_begun_than_can_be_open(restores: Restores) -> None:
    job = restores.job
    files = [job.file(f"/srv/{n:03d}", b"%03d" % n, job.volume(0)) for n in range(500)]
    for number, values in enumerate(files):
        more = job.file("/srv/more", b"%03d and more" % number, job.volume(1))
        at = [[*values["at"][0], values["h"]], [*more["at"][0], more["h"]]]
        whole = hashlib.sha256(bytes.fromhex(values["h"]) + bytes.fromhex(more["h"])).hexdigest()
        values.update(at=at, h=whole, s=values["s"] + more["s"])
    job.add([entry("/srv"), *files])
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, usual[1]))

    try:
        replace(restores, connections=1).bring_back()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)

    for number in range(500):
        assert (restores.srv / f"{number:03d}").read_bytes() == b"%03d%03d and more" % (number, number)


# -- sparse files


def sparse(restores: Restores, size: int = 64 * MIB) -> bytes:
    """Lay a restore point of one sparse file, and return its content without the holes."""
    content = random.Random(1).randbytes(50_000)
    extents = [[4096, 20_000], [size // 2, 29_000], [size - 5000, 1000]]
    restores.job.add([entry("/srv"), restores.job.file("/srv/disk", content, segment=15_000, map=extents, s=size)])
    return content


def test_a_sparse_file_has_its_content_in_the_right_places_and_its_holes_back(restores: Restores) -> None:
    content = sparse(restores)

    foretold_and_done(restores)

    whole = (restores.srv / "disk").read_bytes()
    assert len(whole) == 64 * MIB
    assert whole[4096:24_096] + whole[32 * MIB :][:29_000] + whole[-5000:-4000] == content
    assert whole.count(0) >= 64 * MIB - 50_000
    assert (restores.srv / "disk").stat().st_blocks * 512 < MIB
    for checksum in (False, True):
        assert not foretold_and_done(restores, checksum=checksum).changed


def test_what_was_written_into_a_hole_is_found_by_its_checksum(restores: Restores) -> None:
    sparse(restores)
    restores.bring_back()
    with (restores.srv / "disk").open("r+b") as file:
        file.seek(20 * MIB)
        file.write(b"x")
    os.utime(restores.srv / "disk", ns=(0, MTIME))

    assert not restores.bring_back().changed
    assert foretold_and_done(restores, checksum=True).values["restored"]["files"] == 1
    assert b"x" not in (restores.srv / "disk").read_bytes()[20 * MIB :][:1000]


def test_a_file_of_nothing_but_a_hole_comes_back(restores: Restores) -> None:
    restores.job.add([entry("/srv"), restores.job.file("/srv/hole", map=[[0, 0]], s=10 * MIB)])

    foretold_and_done(restores)

    assert (restores.srv / "hole").stat().st_size == 10 * MIB
    assert (restores.srv / "hole").stat().st_blocks == 0


# -- attributes


def test_attributes_of_all_kinds_come_back_and_what_is_inherited_does_not_stay(restores: Restores, window: int) -> None:
    assert window
    acl = bytes.fromhex("0200000001000700ffffffff02000600e803000004000500ffffffff10000700ffffffff20000500ffffffff")
    job = restores.job
    inherits = attributes(system__posix_acl_default=acl, user__a=b"d")
    entries = [entry("/srv", m=0o775), entry("/srv/d", m=0o775, **inherits), entry("/srv/d/e", m=0o700)]
    entries += [job.file("/srv/d/e/plain", b"1"), job.file("/srv/d/f", b"2", **attributes(user__b=b"\0"))]
    entries += [entry("/srv/d/fifo", "p", **attributes(system__posix_acl_access=acl)), link("/srv/d/l", "f")]
    entries[-2]["m"] = 0o775
    job.add(entries)

    restores.bring_back()

    found = {}
    for path in restores.srv.rglob("*"):
        names = os.listxattr(path, follow_symlinks=False)
        found[path.name] = {name for name in names if not name.startswith("security.")}
    assert found == {
        "d": {"system.posix_acl_default", "user.a"},
        "e": set(),
        "plain": set(),
        "f": {"user.b"},
        "fifo": {"system.posix_acl_access"},
        "l": set(),
    }
    assert os.getxattr(restores.srv / "d", "system.posix_acl_default") == acl
    assert stat.S_IMODE((restores.srv / "d/e").stat().st_mode) == 0o700


def test_what_the_target_cannot_have_is_one_warning(restores: Restores) -> None:
    job = restores.job
    files = [job.file(f"/srv/{n}", b"%d" % n, **attributes(user__large=bytes(100_000))) for n in range(3)]
    job.add([entry("/srv"), *files])

    (warning,) = restores.bring_back().warnings

    assert warning.startswith("3 things were restored without all of the extended attributes")


# -- what is wanted


def test_parts_bring_back_what_lies_below_their_paths(restores: Restores) -> None:
    job = restores.job
    files = [job.file(f"/{top}/file", top.encode()) for top in ("etc", "srv", "var")]
    tops = [entry(f"/{top}") for top in ("etc", "srv", "var")]
    job.add([*tops, *files], header={"paths": ["/etc", "/srv", "/var"]})
    parts = (WantedPart("files", "/srv"), WantedPart("files", "/etc"))

    foretold_and_done(restores, parts=parts)

    assert sorted(path.name for path in restores.target.iterdir()) == ["etc", "srv"]
    assert "files '/var'" in restores.bring_back_in_vain(parts=(WantedPart("files", "/home"),))
    with pytest.raises(UsageError, match="not both"):
        restores.bring_back(parts=parts, paths=("/srv",))


def many_blocks(restores: Restores, count: int = 3000) -> None:
    job = restores.job
    directories = [entry(f"/srv/d{n:04d}") for n in range(count)]
    files = [job.file(f"/srv/d{n:04d}/file", b"content %d" % n, job.volume(n // 100)) for n in range(count)]
    job.add([entry("/srv"), *directories, *files], a_block=300)


def test_one_file_takes_no_more_of_the_storage_than_what_tells_of_it(restores: Restores) -> None:
    many_blocks(restores)
    storage = restores.storage()
    manifest = next(len(content) for path, content in storage.files.items() if path.name.endswith(".manifest.gz"))

    outcome = restores.bring_back(storage=storage, paths=("/srv/d1500/file",))

    assert (restores.srv / "d1500/file").read_bytes() == b"content 1500"
    assert (restores.srv / "d1500").stat().st_mtime_ns == MTIME
    volumes = [path for path in storage.reads if ".tar" in path.name]
    assert len(volumes) == 1
    assert manifest > 150_000
    assert outcome.values["bytes_received"] < 100_000
    # job.json, both ends of the manifest, the blocks of the file and of the directory above, and a frame
    assert len(storage.reads) <= 6


def test_globs_that_need_much_of_a_manifest_fetch_all_of_it_at_once(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.choosing._FEW", 1000)
    many_blocks(restores)
    storage = restores.storage()

    restores.bring_back(storage=storage, paths=("/srv/*/fil?",))

    assert len(restores.names()) == 6000
    assert sum(path.name.endswith(".manifest.gz") for path in storage.reads) <= 3


class Renewing(FakeStorage):
    """A storage on which a restore point is published anew when its manifest is about to be read."""

    @contextmanager
    def open(self, path: PurePosixPath, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        if path in self.files and path.name.endswith("1.manifest.gz"):
            anew = path.with_name(path.name.replace(".manifest.gz", ".g2.manifest.gz"))
            self.files[anew] = self.files.pop(path)
        with super().open(path, offset, length) as reader:
            yield reader


@pytest.mark.parametrize("paths", [(), ("/srv/d0007",)])
def test_a_restore_point_that_is_published_anew_meanwhile_is_found_again(
    restores: Restores, paths: tuple[str, ...]
) -> None:
    many_blocks(restores, 10)
    storage = Renewing()
    storage.files, storage.directories = restores.storage().files, restores.storage().directories

    restores.bring_back(storage=storage, paths=paths)

    assert (restores.srv / "d0007/file").read_bytes() == b"content 7"


def test_a_copy_of_the_manifest_that_is_removed_meanwhile_is_read_to_its_end(
    restores: Restores, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_blocks(restores)
    scratch = restores.home / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    removed: list[Path] = []
    really_ended = deciding.Decider._ended

    def ended(decider: deciding.Decider) -> Window:
        for path in scratch.rglob("*.manifest.gz"):
            removed.append(path)
            path.unlink()
        return really_ended(decider)

    monkeypatch.setattr(deciding, "_ENOUGH", 50)
    monkeypatch.setattr(deciding, "_MOST", 50)
    monkeypatch.setattr(deciding.Decider, "_ended", ended)
    restores.bring_back()

    assert len(removed) == 1
    assert len(restores.names()) == 6000
    assert list(scratch.iterdir()) == []
