# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a release is one command: it releases what is committed, whole or not at all, and sends nothing anywhere."""

from __future__ import annotations

import re
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest

from release import making
from release.checkout import ReleaseError
from release.import_archive import import_archive

from .conftest import git

VERSION = "7.1.0"  # comes after whatever this checkout is


def state(root: Path) -> tuple[str, ...]:
    """Return all that a release could change, and what of it could be left lying about."""
    refs = git(root, "for-each-ref")
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if ".git" not in path.parts)
    objects = git(root, "count-objects", "-v")
    return (refs, git(root, "status", "--porcelain", "--ignored"), objects, *files)


def make(root: Path, judge: t.Callable[[Path], None], *, dry: bool = False) -> Path | None:
    return making.make(making.check(root, VERSION), dry=dry, judge=judge)


def test_a_release_is_a_commit_a_tag_and_an_archive(repository: Path) -> None:
    seen: list[str] = []

    archive = make(repository, lambda built: seen.append(built.name))

    assert archive is not None
    assert seen == [archive.name]
    assert archive.relative_to(repository) == Path(f".cache/release/stowage-ftp_backup-{VERSION}.tar.gz")
    assert (
        git(repository, "log", "--format=%s|%an|%D")
        == f"Release {VERSION}|Release Manager|HEAD -> main, tag: v{VERSION}\nAll of it|Release Manager|\n"
    )
    assert git(repository, "status", "--porcelain") == ""
    assert not list(repository.glob("changelogs/fragments/*"))
    with tarfile.open(archive) as tar:
        told = {name: tar.extractfile(name) for name in ("CHANGELOG.md", "plugins/module_utils/version.py")}
        texts = {name: member.read().decode() for name, member in told.items() if member is not None}
    assert re.search(rf"^## v{VERSION}$", texts["CHANGELOG.md"].replace("\\", ""), re.MULTILINE)
    assert f'\nVERSION = "{VERSION}"\n' in texts["plugins/module_utils/version.py"]


def test_a_dry_run_leaves_nothing(repository: Path, *, soak: bool) -> None:
    repository.joinpath(".cache").mkdir()
    before = state(repository)
    judged: list[str] = []

    def judge(archive: Path) -> None:
        judged.append(archive.name)
        if soak:  # `make test` has a step for it
            import_archive(archive)

    assert make(repository, judge, dry=True) is None

    assert judged == [f"stowage-ftp_backup-{VERSION}.tar.gz"]
    assert state(repository) == before


def test_what_ends_it_in_the_middle_leaves_all_as_it_was(repository: Path) -> None:
    repository.joinpath(".cache").mkdir()
    before = state(repository)

    def interrupt(_archive: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(repository, interrupt)

    assert state(repository) == before


def test_a_branch_that_went_on_meanwhile_is_not_released(repository: Path, tmp_path: Path) -> None:
    release, clone = making.check(repository, VERSION), tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    git(clone, "commit", "--quiet", "--allow-empty", "--message=Release")
    git(clone, "tag", release.tag)
    git(repository, "commit", "--quiet", "--allow-empty", "--message=One more")

    with pytest.raises(ReleaseError, match="git merge failed"):
        making.adopt(release, clone)

    assert git(repository, "tag") == ""
    assert git(repository, "log", "-1", "--format=%s") == "One more\n"


def change(root: Path) -> None:
    root.joinpath("README.md").write_text("Other words.\n")


def add(root: Path) -> None:
    root.joinpath("notes.txt").touch()


def leave_the_branch(root: Path) -> None:
    git(root, "checkout", "--quiet", "--detach")


def tag(root: Path) -> None:
    git(root, "tag", f"v{VERSION}")


def release_a_later_one(root: Path) -> None:
    changelog = root / "changelogs" / "changelog.yaml"
    changelog.write_text("ancestor: null\nreleases:\n  7.10.0: {release_date: '2026-01-01'}\n")
    git(root, "commit", "--quiet", "--all", "--message=Release 7.10.0")


def change_nothing_for_users(root: Path) -> None:
    git(root, "rm", "-r", "--quiet", "changelogs/fragments")
    git(root, "commit", "--quiet", "--message=Forget it")


def test_what_is_no_release_is_refused_by_one_sentence(repository: Path) -> None:
    start = git(repository, "rev-parse", "HEAD").strip()
    cases = {
        change: "not committed",
        add: "not committed",
        leave_the_branch: "No branch is checked out",
        tag: "v7.1.0 exists",
        release_a_later_one: "does not come after 7.10.0",
        change_nothing_for_users: "is empty",
    }
    for spoil, sentence in cases.items():
        spoil(repository)

        with pytest.raises(ReleaseError, match=sentence):
            making.check(repository, VERSION)

        git(repository, "checkout", "--quiet", "--force", "-B", "main", start)
        git(repository, "clean", "--quiet", "--force")
        if spoil is tag:
            git(repository, "tag", "--delete", f"v{VERSION}")

    for version in ("", "1.2", "v1.2.0", "1.02.0", "1.2.0-beta", "1.2.0\n"):
        with pytest.raises(ReleaseError, match="three numbers"):
            making.check(repository, version)
    assert making.check(repository, VERSION).branch == "main"


def test_the_command_says_why_and_that_nothing_has_changed(repository: Path) -> None:
    command = ["make", "--silent", "--assume-old=.venv/dev.installed", "release", "VERSION=1.2"]

    ended = subprocess.run(command, cwd=repository, check=False, capture_output=True, text=True)

    assert ended.returncode != 0
    assert "A version is three numbers such as 1.2.0, not '1.2'" in ended.stderr
    assert "Nothing was released, and nothing has changed." in ended.stderr
    assert git(repository, "status", "--porcelain") == ""
