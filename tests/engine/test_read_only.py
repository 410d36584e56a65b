# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Destinations that are only read: all that does not write works there, and nothing else is even tried."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import MissingError, RefusedError, UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.history import Question, list_backups
from ansible_collections.stowage.ftp_backup.plugins.module_utils.reindex import reindex
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restore_point import Which, ensure_absent
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import Request as Check
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import verify
from tests.engine.site import NAME
from tests.engine.trees import make_tree, tree_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage
    from tests.engine.site import Site


@pytest.fixture
def reader(site: Site, tmp_path: Path) -> Iterator[Site]:
    """A host that may only read what another one has stored, and whose server lets nobody write either."""
    make_tree(site.source)
    site.back_up(compression="none")
    reader = replace(site, home=tmp_path / "reader")
    reader.home.mkdir()
    everything = [site.server.root, *site.server.root.rglob("*")]
    modes = [(path, path.stat().st_mode) for path in everything]
    for path, mode in modes:
        path.chmod(mode & 0o555)
    reader.declare(read_only=True)
    yield reader
    for path, mode in modes:
        path.chmod(mode)


def seen(site: Site) -> list[tuple[str, int, int]]:
    found = sorted(site.server.root.rglob("*"))
    return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in found]


def test_what_others_have_stored_is_found_and_restored(reader: Site) -> None:
    before = seen(reader)

    outcome = reindex(reader.registry, reader.home / "var", NAME, check_mode=False)
    now = datetime.now(timezone.utc)
    listed = list_backups(reader.registry, reader.home / "var", NAME, Question(), now=now)

    assert outcome.values["point_count"] == len(listed.values["points"]) == 1
    assert reader.restored() == tree_of(reader.source)
    assert seen(reader) == before


def test_a_verification_tells_what_it_finds_and_notes_it_nowhere(reader: Site) -> None:
    (volume,) = reader.server.root.rglob("*.tar")
    content = bytearray(volume.read_bytes())
    content[5000] ^= 1
    volume.write_bytes(content)
    before = seen(reader)

    outcome = verify(reader.registry, reader.host, Check(NAME, fails_on_damage=False), check_mode=False)

    assert outcome.values["damaged_files"] != []
    assert any("is recorded nowhere: read_only: true" in warning for warning in outcome.warnings)
    assert seen(reader) == before


def test_what_would_write_is_refused(reader: Site) -> None:
    before = seen(reader)

    with pytest.raises(UsageError, match=r"'offsite' was declared with read_only: true, so nothing is written there"):
        reader.back_up()
    with pytest.raises(UsageError, match="read_only: true"):
        ensure_absent(
            reader.registry,
            reader.host,
            Which(NAME, "nightly", "20261122t030000z-1f9c2a"),
            force=False,
            check_mode=False,
        )

    assert seen(reader) == before


WRITES: list[Callable[[Storage, PurePosixPath], object]] = [
    lambda storage, path: storage.ensure_directories([path]),
    lambda storage, path: storage.take_directory(path),
    lambda storage, path: storage.write(path, lambda: [b"x"]),
    lambda storage, path: storage.stage(path, lambda: [b"x"]),
    lambda storage, path: storage.publish(path, path, lambda: [b"x"]),
    lambda storage, path: storage.rename(path, path),
    lambda storage, path: storage.delete([path]),
    lambda storage, path: storage.remove_directories([path]),
]


def test_no_deed_that_writes_comes_to_the_server(site: Site) -> None:
    make_tree(site.source)
    site.back_up()
    site.declare(read_only=True)
    before = seen(site)

    with site.storage() as storage:
        for write in WRITES:
            with pytest.raises(RefusedError, match="read_only: true, so clients is not touched there"):
                write(storage, PurePosixPath("clients"))

    assert seen(site) == before


def test_a_directory_that_is_not_there_is_not_made(site: Site) -> None:
    away = site.server.root.with_name("away")
    site.server.root.rename(away)
    try:
        with pytest.raises(MissingError, match=r"There is no directory \S+ on 127\.0\.0\.1"):
            site.declare(read_only=True)

        assert not site.server.root.exists()
    finally:
        away.rename(site.server.root)
