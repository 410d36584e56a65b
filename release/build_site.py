# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation as HTML pages for a browser, without a network. Usage: python -m release.build_site.

The reference of each module, filter and role is made by antsibull-docs, of the same text that `ansible-doc` shows. The
guides are the Markdown pages of the repository, under the paths that they have there, so their links hold in both.
A warning is an error: a link that leads nowhere, an option that is not there, a module without a page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from release.checkout import CACHE, HOME, ROOT, ReleaseError, list_documented, make_copy

#: Where the site is when it is whole.
SITE = CACHE / "site"
#: Sphinx's settings, and the page that all others hang on.
SETTINGS = ROOT / "release" / "site"
NAME = "stowage.ftp_backup"


def build_site(site: Path) -> None:
    """Put the site in place of what *site* holds; if there is a warning, leave that alone and raise ReleaseError."""
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ftp-backup-") as scratch:
        collections, built = Path(scratch, "collections"), Path(scratch, "site")
        source = make_copy(collections)
        shutil.copy(SETTINGS / "index.md", source)
        reference = source / "reference"
        reference.mkdir(mode=0o755)

        environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "HOME": str(HOME)}
        options = ["--use-current", "--squash-hierarchy", "--fail-on-error", f"--dest-dir={reference}"]
        _run(["antsibull-docs", "collection", *options, NAME], environment)

        options = ["-b", "html", "-q", "-W", "--keep-going", "-c", str(SETTINGS), "-d", str(Path(scratch, "doctrees"))]
        _run([sys.executable, "-m", "sphinx", *options, str(source), str(built)], environment)

        missing = [page for page in list_pages(source) if not Path(built, "reference", page).is_file()]
        if missing:
            message = f"The reference lacks pages: {', '.join(missing)}"
            raise ReleaseError(message)

        shutil.rmtree(site, ignore_errors=True)
        site.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, site)


def list_pages(collection: Path) -> list[str]:
    """Return the names of the pages that the reference of *collection* must have."""
    names = (path.relative_to(collection).as_posix() for path in collection.rglob("*") if path.is_file())
    return [f"{name}_{kind}.html" for kind, name in sorted(list_documented(names))]


def _run(command: list[str], environment: dict[str, str]) -> None:
    """Run *command*, or raise ReleaseError."""
    if subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode != 0:
        message = f"The site could not be built; what {Path(command[0]).name} said stands above."
        raise ReleaseError(message)


def main() -> int:
    """Build it and tell where it is."""
    try:
        build_site(SITE)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The documentation: {SITE / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
