# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this checkout is, what git knows of it, and a clean copy of that.

Everything that users get is made of such a copy, so what else lies in a checkout never reaches them.
"""

from __future__ import annotations

import shutil
import subprocess
import typing as t
from pathlib import Path, PurePosixPath

if t.TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
#: The home directory of programs that write to one unasked.
HOME = CACHE / "home"
#: What Ansible calls the collection, as directories.
COLLECTION = Path("ansible_collections/stowage/ftp_backup")
#: The kinds of plugins that users call by name and read about, and where they lie.
DOCUMENTED = {"modules": "module", "filter": "filter"}


class ReleaseError(Exception):
    """Something stands in the way; ``str(error)`` is the whole sentence."""


def listed_files(root: Path = ROOT) -> list[Path]:
    """Return what git knows or would add of the checkout *root*."""
    listed = subprocess.run(
        # A checkout of another user's, as in many containers, is no danger to a mere list.
        ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [root / name for name in sorted(set(filter(None, listed.split("\0"))))]


def make_copy(place: Path, root: Path = ROOT) -> Path:
    """Make of *place* a directory of collections that holds a clean copy of *root*; return where in it that is."""
    shutil.rmtree(place, ignore_errors=True)
    copy = place / COLLECTION
    for source in listed_files(root):
        target = copy / source.relative_to(root)
        if source.is_symlink() or source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return copy


def list_documented(names: Iterable[str]) -> set[tuple[str, str]]:
    """Return kind and name of what users call by name, of all that *names* the files of a collection."""
    found = set()
    for path in map(PurePosixPath, names):
        top, *rest = path.parts
        if top == "plugins" and len(rest) == 2 and rest[0] in DOCUMENTED and path.suffix == ".py":
            found.add((DOCUMENTED[rest[0]], path.stem))
        elif top == "roles" and len(rest) > 1:
            found.add(("role", rest[0]))
    return found
