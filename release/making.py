# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release, up to the point where it leaves this machine. Usage: python -m release.making VERSION [--dry].

Everything is done in a clone: the version set, the changelog written of its fragments, the commit, the tag, the
archive, and its import. Only when all of that has gone well does the clone's commit become the branch's, so whatever
fails, and whenever it is interrupted, this checkout is as it was. A dry run ends just before that.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

from release.archive import build
from release.checkout import ROOT, ReleaseError
from release.import_archive import import_archive

if t.TYPE_CHECKING:
    from collections.abc import Callable

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
#: Where the version stands, each time once.
PLACES = {
    "galaxy.yml": re.compile(r"^(version: )\S+$", re.MULTILINE),
    "plugins/module_utils/version.py": re.compile(r'^(VERSION = ")[^"]+(?="$)', re.MULTILINE),
}
CHANGELOG = "changelogs/changelog.yaml"
FRAGMENTS = "changelogs/fragments"
#: The archives of releases, one a version, in a place that git ignores.
RELEASES = ".cache/release"


@dataclass(frozen=True)
class Release:
    """A version of the checkout *root*, which stands on the branch *branch*."""

    root: Path
    branch: str
    version: str

    @property
    def tag(self) -> str:
        """Return the tag that says where it is."""
        return f"v{self.version}"


def check(root: Path, version: str) -> Release:
    """Return the release that *root* is ready for, or raise ReleaseError."""
    if not VERSION.fullmatch(version):
        _refuse(f"A version is three numbers such as 1.2.0, not {version!r}: make release VERSION=1.2.0")
    if _git(root, "status", "--porcelain"):
        _refuse("There are changes that are not committed. A release holds what is committed and nothing else.")
    branch = _git(root, "branch", "--show-current")
    if not branch:
        _refuse("No branch is checked out, so there is none that could be released from.")

    release = Release(root, branch, version)
    if _git(root, "tag", "--list", release.tag):
        _refuse(f"The tag {release.tag} exists: this version is released already.")
    released = yaml.safe_load(root.joinpath(CHANGELOG).read_text("utf-8"))["releases"]
    newest = max(released, key=_numbers, default="0.0.0")
    if _numbers(version) <= _numbers(newest):
        _refuse(f"{version} does not come after {newest}, which is released already.")
    if not list(root.joinpath(FRAGMENTS).glob("*.y*ml")):
        _refuse(f"There is nothing to tell users: {FRAGMENTS} is empty.")
    return release


def make(release: Release, *, dry: bool, judge: Callable[[Path], None] = import_archive) -> Path | None:
    """Make *release*, whose archive *judge* may refuse, and return that archive, or None of a dry run."""
    cache = release.root / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="release-", dir=cache) as scratch:
        clone = Path(scratch, "clone")
        _git(release.root, "clone", "--quiet", "--branch", release.branch, str(release.root), str(clone))
        commit(release, clone)
        built = build(Path(scratch, "built"), clone)
        judge(built)
        if dry:
            print(_git(clone, "show", "--stat", "--format=%s%d", "HEAD"))
            return None

        adopt(release, clone)
        archive = release.root / RELEASES / built.name
        archive.parent.mkdir(exist_ok=True)
        shutil.move(built, archive)
        return archive


def commit(release: Release, clone: Path) -> None:
    """Commit and tag in *clone* what a release changes."""
    for name, pattern in PLACES.items():
        path = clone / name
        text, count = pattern.subn(rf"\g<1>{release.version}", path.read_text("utf-8"))
        if count != 1:
            _refuse(f"{name} does not say the version once, but {count} times.")
        path.write_text(text, "utf-8")

    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    _run(clone, "antsibull-changelog", "lint")
    _run(clone, "antsibull-changelog", "release", "--version", release.version, "--date", today)
    _git(clone, "add", "--all")
    _git(clone, "commit", "--quiet", f"--message=Release {release.version}", who=_identity(release.root))
    message = f"--message=stowage.ftp_backup {release.version}"
    _git(clone, "tag", "--annotate", message, release.tag, who=_identity(release.root))


def adopt(release: Release, clone: Path) -> None:
    """Make the commit and the tag of *clone* those of the checkout, both or none."""
    tag = f"refs/tags/{release.tag}"
    _git(release.root, "fetch", "--quiet", str(clone), f"{tag}:{tag}")
    try:
        if _git(release.root, "branch", "--show-current") != release.branch:
            _refuse(f"The branch {release.branch} is no longer checked out.")
        _git(release.root, "merge", "--quiet", "--ff-only", release.tag)
    except BaseException:
        _git(release.root, "tag", "--delete", release.tag)
        raise


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _identity(root: Path) -> dict[str, str]:
    """Return who commits in *root*, as git takes it from the environment: a clone does not know it."""
    found = re.fullmatch(r"(.*) <(.*)> \d+ \S+", _git(root, "var", "GIT_COMMITTER_IDENT"))
    if found is None:
        _refuse("git does not say who commits here.")
    return {
        f"GIT_{role}_{what}": text
        for role in ("AUTHOR", "COMMITTER")
        for what, text in zip(("NAME", "EMAIL"), found.groups())
    }


def _git(directory: Path, *arguments: str, who: dict[str, str] | None = None) -> str:
    """Return what git says, or raise ReleaseError with what it complains of."""
    environment = {**os.environ, **(who or {})}
    process = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, check=False, capture_output=True, text=True
    )
    if process.returncode != 0:
        _refuse(f"git {arguments[0]} failed: {process.stderr.strip() or process.stdout.strip()}")
    return process.stdout.strip()


def _run(directory: Path, *command: str) -> None:
    if subprocess.run(command, cwd=directory, check=False).returncode != 0:
        _refuse(f"{' '.join(command[:2])} failed; what it said stands above.")


def _refuse(message: str) -> t.NoReturn:
    raise ReleaseError(message)


def main(arguments: list[str]) -> int:
    """Make the release and tell how to publish it."""
    parser = argparse.ArgumentParser(prog="make release", description="Make a release, and publish nothing.")
    parser.add_argument("version", help="three numbers")
    parser.add_argument("--dry", action="store_true", help="do everything, and leave nothing of it")
    wanted = parser.parse_args(arguments)
    try:
        release = check(ROOT, wanted.version)
        archive = make(release, dry=wanted.dry)
    except ReleaseError as error:
        print(error, "Nothing was released, and nothing has changed.", sep="\n", file=sys.stderr)
        return 1
    if archive is None:
        print(f"All is well: make release VERSION={release.version} would commit this, and tag it {release.tag}.")
    else:
        print(
            f"{release.version} is committed, tagged {release.tag}, and built. Nothing has left this machine yet.",
            "To publish it:",
            f"  git push --atomic origin {release.branch} {release.tag} && "
            f"ansible-galaxy collection publish {archive.relative_to(ROOT)}",
            sep="\n",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
