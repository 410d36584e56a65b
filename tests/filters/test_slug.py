# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks call files as the engine does."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleTypeError

from ansible_collections.stowage.ftp_backup.plugins.filter import slug as plugin
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.names import slug

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed, so no documentation could be read")


@pytest.mark.parametrize("name", ["web sites", "Ünïcode", "../x"])
def test_the_filter_says_what_the_engine_says(name: str) -> None:
    told = plugin.FilterModule().filters()["slug"](name)

    assert told == slug(name)


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(AnsibleTypeError, match="takes the name of something, and not list"):
        plugin.slug_of(["web sites"])


def test_the_sample_is_what_the_filter_returns_for_the_example() -> None:
    returned = yaml.safe_load(plugin.RETURN)["_value"]["sample"]

    assert returned == plugin.slug_of("web sites")
