# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the server can be had back without this collection: with curl, and with what lies beside the backups."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import typing as t
from contextlib import suppress

import pytest

from tests.engine.child import Strike
from tests.engine.tidy import manifests_of, points_of
from tests.engine.trees import BIG_FILE, Tree, change_tree, contents_of, make_tree, tree_of

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.site import Site


#: What stands in the commands that put one file together by its checksums.
_FINDING_ONE = ("> sums", "> digests")


class Visitor:
    """Somebody with curl and a shell, in a directory of their own, who knows the login and nothing else."""

    def __init__(self, site: Site, home: Path) -> None:
        home.mkdir()
        self._server = site.server
        self.home = home
        self._url = f"ftp://{site.server.host}:{site.server.port}{site.server.directory}"
        login = f'machine {site.server.host} login {site.server.username} password "{site.server.password}"\n'
        (home / ".netrc").write_text(login)
        (home / ".netrc").chmod(0o600)
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "CURL_CA_BUNDLE": str(site.server.ca_path)}

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=self.home, env=self._environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def curl(self, *arguments: str | Path) -> str:
        return self.run("curl", "--silent", "--show-error", "--ssl-reqd", "--netrc", *arguments)

    def download(self, path: str, target: Path) -> None:
        self.curl("--output", target, f"{self._url}/{path}")

    def mirror(self, path: str, target: Path) -> None:
        """Download the directory *path* without a lock: names with a dot are files here, all others directories."""
        target.mkdir()
        listed = self.curl("--list-only", f"{self._url}/{path}/").split()
        names = [name for name in listed if name not in (".", "..", "lock")]
        files = [name for name in names if "." in name]
        for name in files:
            self.download(f"{path}/{name}", target / name)
        for name in set(names) - set(files):
            self.mirror(f"{path}/{name}", target / name)

    def follow(self, commands: list[str], **names: str) -> str:
        """Run the *commands* of readme.txt in one shell, with real *names* in the place of its example's."""
        script = "\n".join(["set -e", *commands])
        for name, value in names.items():
            script, count = re.subn(rf"^ *{name}=.*$", f"{name}={value}", script, flags=re.MULTILINE)
            assert count == 1
        return self.run("bash", "-c", script)

    def url_of(self, path: str) -> str:
        return f"{self._url}/{path}"


@pytest.fixture
def visitor(site: Site, tmp_path: Path) -> Visitor:
    if shutil.which("curl") is None:
        pytest.skip("There is no curl on this machine.")
    return Visitor(site, tmp_path / "visitor")


def job_path(site: Site) -> str:
    return site.job.relative_to(site.server.root).as_posix()


def restored_tree(visitor: Visitor, site: Site, target: str) -> Tree:
    return tree_of(visitor.home / target / site.source.relative_to("/"))


def make_larger_tree(site: Site) -> None:
    """Make a tree that also has a file in several segments, its copy, a sparse file and an access control list."""
    make_tree(site.source, big=9_000_000)
    shutil.copyfile(site.source / BIG_FILE, site.source / "copy of it")
    with (site.source / "image").open("wb") as file:
        file.seek(1_000_000)
        file.write(b"between two holes")
        file.truncate(3_000_000)
    acl = [(0x01, 6, -1), (0x02, 4, 1234), (0x04, 4, -1), (0x10, 4, -1), (0x20, 0, -1)]
    with suppress(OSError):  # not every file system has them
        packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *each) for each in acl)
        os.setxattr(site.source / "text", "system.posix_acl_access", packed)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"compression": "none"},
        {"compression": "zstd"},
        {"structure": "full"},
        {"structure": "deduplicated"},
    ],
)
def test_every_point_is_brought_back_by_the_program_that_lies_beside_the_backups(
    site: Site, visitor: Visitor, options: dict[str, t.Any]
) -> None:
    make_larger_tree(site)
    trees = []
    for number in (1, 2, 3):
        site.back_up(last=2, **options)
        trees.append(tree_of(site.source))
        change_tree(site.source, number)
    visitor.mirror(job_path(site), visitor.home / "job")
    visitor.download("recover.py", visitor.home / "recover.py")

    listed = visitor.run(sys.executable, "-I", "recover.py", "job")
    for seq in (2, 3):
        target = f"restored-{seq}"
        visitor.run(sys.executable, "-I", "recover.py", "job", "--point", str(seq), "--target", target)
        assert restored_tree(visitor, site, target) == trees[seq - 1]
        image = visitor.home / target / site.source.relative_to("/") / "image"
        assert image.stat().st_blocks * 512 < 1_000_000

    for point in points_of(site.job):
        assert point.run in listed


def test_a_first_run_that_was_cut_off_is_brought_back_as_far_as_its_checkpoint(site: Site, visitor: Visitor) -> None:
    make_tree(site.source, big=9_000_000)
    site.kill_run(Strike(pattern=r"^RNFR [^\n]*manifest\.gz"), checkpoint_every=1024 * 1024)
    visitor.mirror(job_path(site), visitor.home / "job")
    visitor.download("recover.py", visitor.home / "recover.py")

    command = [sys.executable, "-I", "recover.py", "job", "--point", "checkpoint", "--target", "restored"]
    visitor.run(*command)

    found = contents_of(restored_tree(visitor, site, "restored"))
    there = contents_of(tree_of(site.source))
    assert BIG_FILE.encode() in found
    assert found.items() <= there.items()


@pytest.mark.parametrize("compressions", [("gzip", "gzip"), ("none", "none"), ("gzip", "none"), ("zstd", "gzip")])
def test_what_the_readme_says_about_curl_and_tar_brings_the_contents_back(
    site: Site, visitor: Visitor, compressions: tuple[str, str]
) -> None:
    make_tree(site.source, big=9_000_000)
    site.back_up(last=1, compression=compressions[0])
    change_tree(site.source, 1)
    site.later(hours=1).back_up(last=1, compression=compressions[1])
    visitor.download("readme.txt", visitor.home / "readme.txt")
    commands = commands_of_way_b((visitor.home / "readme.txt").read_text(), set(compressions))

    visitor.follow(
        commands,
        job=visitor.url_of(job_path(site)),
        manifest=manifests_of(site.job)[0].relative_to(site.job).as_posix(),
        slot=points_of(site.job)[0].pool,
    )

    found = contents_of(restored_tree(visitor, site, "restored"))
    there = tree_of(site.source)
    wanted = {name: digest for name, digest in contents_of(there).items() if len(there[name].names) == 1}
    assert wanted.items() <= found.items()


@pytest.mark.parametrize("name", [BIG_FILE, "copy of it", "etc/changeling", "docs/20.txt"])
def test_what_the_readme_says_about_checksums_finds_a_file_of_a_pool(site: Site, visitor: Visitor, name: str) -> None:
    make_larger_tree(site)
    site.back_up(structure="deduplicated")
    change_tree(site.source, 1)
    site.later(hours=1).back_up(structure="deduplicated")
    visitor.download("readme.txt", visitor.home / "readme.txt")
    readme = (visitor.home / "readme.txt").read_text()
    commands = [
        command.replace("tar -x", "tar -x --backup=numbered") for command in commands_of_way_b(readme, {"gzip"})
    ]
    finding = [part for part in readme.split("\n\n") if any(sign in part for sign in _FINDING_ONE)]

    visitor.follow(
        [*commands, *(part for part in finding if part.startswith("    "))],
        job=visitor.url_of(job_path(site)),
        manifest=manifests_of(site.job)[-1].relative_to(site.job).as_posix(),
        slot="pool",
        path=shlex.quote(str(site.source / name)),
    )

    assert (visitor.home / "found").read_bytes() == (site.source / name).read_bytes()


def commands_of_way_b(readme: str, compressions: set[str]) -> list[str]:
    """Return what *readme* says to type for curl and tar: each paragraph that four spaces begin is one command.

    What unpacks volumes of other kinds is left out, and so is what only shows something to a reader, or finds one file.
    """
    way_b = readme[readme.index("\nWAY B") :]
    paragraphs = [part for part in way_b.split("\n\n") if part.startswith("    ")]
    signs = (" machine ", "less", "a large file", *_FINDING_ONE)
    commands = [part for part in paragraphs if not any(sign in part for sign in signs)]
    unpacking = [command for command in commands if "tar -x" in command]
    (wanted,) = (
        command
        for command in unpacking
        if {"gzip": "'*.tar.gz'", "none": "'*.tar'"}.get("".join(compressions), "case $v") in command
    )
    assert any("curl" in command for command in commands)
    return [command for command in commands if command == wanted or command not in unpacking]
