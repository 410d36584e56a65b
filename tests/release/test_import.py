# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An import by galaxy-importer is clean only if it complains of nothing and has found everything."""

from __future__ import annotations

import shutil
import typing as t

import pytest

from release.checkout import ReleaseError
from release.import_archive import import_archive, judge_log, judge_result

if t.TYPE_CHECKING:
    from pathlib import Path

LOG = """Importing with galaxy-importer 0.4.44
Loading module backup
Linting collection via ansible-lint 26.10.1...
...ansible-lint run complete
Collection loading complete
Importer processing completed successfully
"""


def test_a_log_of_mere_news_is_clean() -> None:
    assert judge_log(LOG, 0) == []


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: ansible-lint not found, skipping lint of collection",
        "WARNING: No changelog found.",
        "ERROR: Timeout on call to ansible-lint",
    ],
)
def test_a_complaint_is_told_although_the_import_ended_well(line: str) -> None:
    assert judge_log(LOG.replace("Collection", f"{line}\nCollection"), 0) == [line]


def test_what_was_left_out_is_told() -> None:
    assert judge_log(LOG.replace("...ansible-lint run complete\n", ""), 0) == [
        "It never said: ...ansible-lint run complete"
    ]
    assert judge_log(LOG, 1) == ["It ended with exit code 1."]


def test_what_was_not_found_is_told(archive: Path) -> None:
    found = [
        {"content_type": "module", "content_name": "backup", "doc_strings": {"doc": "…"}, "readme_html": None},
        {"content_type": "module", "content_name": "restore", "doc_strings": {}, "readme_html": None},
    ]

    said = judge_result({"docs_blob": {"contents": found}}, archive)

    assert "It found no documentation of the module restore." in said
    assert "It found no documentation of the module backup." not in said
    assert "It found no documentation of the role agent." in said
    assert "It found no documentation of the filter slug." in said


def test_an_archive_that_is_not_what_its_name_says_is_refused(archive: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "stowage-ftp_backup-9.9.9.tar.gz"
    shutil.copy(archive, renamed)

    with pytest.raises(ReleaseError, match=r"(?s)not clean for Galaxy.*did not match metadata.*exit code 1"):
        import_archive(renamed)
