# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import an archive as Galaxy would, by galaxy-importer. Usage: python -m release.import_archive [archive].

Without an archive, one is built. galaxy-importer ends well whatever it warns of, and Galaxy shows users what it found.
So an import is clean only if it warned of nothing and found everything: each plugin with its documentation, and each
role with its README.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from pathlib import Path

from release.archive import PLACE, build
from release.checkout import HOME, ROOT, ReleaseError, list_documented

#: Galaxy's own settings, as far as they work without a network; nothing of the machine's may soften them.
SETTINGS = ROOT / "release" / "galaxy-importer.cfg"
FOREIGN = "GALAXY_IMPORTER_"

#: How galaxy-importer begins a line that is no mere news.
COMPLAINTS = ("WARNING", "ERROR", "CRITICAL")
LINTED = "...ansible-lint run complete"
DONE = "Importer processing completed successfully"


def import_archive(archive: Path) -> None:
    """Import *archive*, print what galaxy-importer says, and raise ReleaseError unless it is clean."""
    HOME.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment |= {"HOME": str(HOME), "GALAXY_IMPORTER_CONFIG": str(SETTINGS)}
    with tempfile.TemporaryDirectory(prefix="ftp-backup-") as scratch:
        process = subprocess.run(
            [sys.executable, "-m", "galaxy_importer.main", str(archive.resolve())],
            cwd=scratch,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        sys.stdout.write(process.stdout)
        result = Path(scratch, "importer_result.json")
        found = json.loads(result.read_text("utf-8")) if result.exists() else None

    complaints = judge_log(process.stdout, process.returncode)
    if not complaints:
        complaints = judge_result(found, archive)
    if complaints:
        raise ReleaseError("\n".join(["The archive is not clean for Galaxy:", *complaints]))


def judge_log(log: str, exit_code: int) -> list[str]:
    """Return what in galaxy-importer's *log* speaks against the archive."""
    lines = log.splitlines()
    complaints = [line for line in lines if line.startswith(COMPLAINTS)]
    complaints += [f"It never said: {line}" for line in (LINTED, DONE) if line not in lines]
    if exit_code != 0:
        complaints.append(f"It ended with exit code {exit_code}.")
    return complaints


def judge_result(found: t.Any, archive: Path) -> list[str]:  # noqa: ANN401 - JSON
    """Return what galaxy-importer has not *found* of all that *archive* brings to be called by name."""
    if found is None:
        return ["It left no result."]
    read = {
        (content["content_type"], content["content_name"])
        for content in found["docs_blob"]["contents"]
        if content["doc_strings"] or content["readme_html"]
    }
    with tarfile.open(archive) as tar:
        unread = list_documented(tar.getnames()) - read
    return [f"It found no documentation of the {kind} {name}." for kind, name in sorted(unread)]


def main(arguments: list[str]) -> int:
    """Import an archive and tell what is wrong with it."""
    try:
        import_archive(Path(*arguments) if arguments else build(PLACE))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
