# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the archive that users install, and look at what is in it. Usage: python -m release.archive [directory]."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from release.checkout import CACHE, ROOT, ReleaseError, make_copy

#: Where the archive lies when nothing else is said.
PLACE = CACHE / "build"

#: What users get; an archive that holds anything else at its top has caught a file of the work on the collection.
SHIPPED = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "COPYING", "FILES.json", "LICENSES", "MANIFEST.json", "README.md"),
    *("changelogs", "docs", "meta", "playbooks", "plugins", "roles"),
}


def build(place: Path, root: Path = ROOT) -> Path:
    """Build the archive of the checkout *root* as the only file in *place*, and return it; raise ReleaseError."""
    shutil.rmtree(place, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="ftp-backup-") as scratch:
        copy = make_copy(Path(scratch), root)
        command = ["ansible-galaxy", "collection", "build", "--output-path", str(place.resolve())]
        if subprocess.run(command, cwd=copy, check=False).returncode != 0:
            message = "The archive could not be built; what ansible-galaxy said stands above."
            raise ReleaseError(message)
    (built,) = place.iterdir()

    if stray := find_stray(built):
        message = f"The archive must not hold these; name them in galaxy.yml's build_ignore: {', '.join(sorted(stray))}"
        raise ReleaseError(message)
    return built


def find_stray(archive: Path) -> set[str]:
    """Return the names at the top of *archive* that users have no use for."""
    with tarfile.open(archive) as tar:
        return {name.split("/")[0] for name in tar.getnames()} - SHIPPED


def main(arguments: list[str]) -> int:
    """Build it and print where it lies."""
    try:
        print(build(Path(*arguments) if arguments else PLACE))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
