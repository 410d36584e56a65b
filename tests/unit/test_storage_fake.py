# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage in memory is one."""

from __future__ import annotations

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import RefusedError
from tests.unit.storage_contract import BOX, FILE, StorageContract, write
from tests.unit.storage_fake import FakeStorage


class TestFakeStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> FakeStorage:
        return FakeStorage()


def test_nothing_is_renamed_onto_a_name_that_exists() -> None:
    storage = FakeStorage()
    write(storage, FILE)
    write(storage, BOX / "other")

    with pytest.raises(RefusedError):
        storage.rename(FILE, BOX / "other")
