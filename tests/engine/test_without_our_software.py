# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the server can be had back without this collection: with curl, and with what lies beside the backups."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing as t

import pytest

from tests.engine.tidy import manifests_of, points_of
from tests.engine.trees import Tree, change_tree, contents_of, make_tree, tree_of

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.site import Site


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
        """Download the directory *path*: names with a dot are files here, all others directories."""
        target.mkdir()
        names = [name for name in self.curl("--list-only", f"{self._url}/{path}/").split() if name not in (".", "..")]
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


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"compression": "none"}, {"structure": "full"}])
def test_every_point_is_brought_back_by_the_program_that_lies_beside_the_backups(
    site: Site, visitor: Visitor, options: dict[str, t.Any]
) -> None:
    make_tree(site.source, big=9_000_000)
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

    for point in points_of(site.job):
        assert point.run in listed


@pytest.mark.parametrize("compressions", [("gzip", "gzip"), ("none", "none"), ("gzip", "none")])
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


def commands_of_way_b(readme: str, compressions: set[str]) -> list[str]:
    """Return what *readme* says to type for curl and tar: each paragraph that four spaces begin is one command.

    What unpacks volumes of other kinds is left out, and so are the two that only show something to a reader.
    """
    way_b = readme[readme.index("\nWAY B") :]
    paragraphs = [part for part in way_b.split("\n\n") if part.startswith("    ")]
    commands = [part for part in paragraphs if not any(sign in part for sign in (" machine ", "less", "a large file"))]
    unpacking = [command for command in commands if "tar -x" in command]
    (wanted,) = (
        command
        for command in unpacking
        if {"gzip": "'*.tar.gz'", "none": "'*.tar'"}.get("".join(compressions), "case $v") in command
    )
    assert any("curl" in command for command in commands)
    return [command for command in commands if command == wanted or command not in unpacking]
