# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share holds for all of them: two processes of one run know the tests by the same names."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("value", "name"), [(b"\x1f\x8b\x08\x00", "rest"), (b"two\nlines", "rest"), (b"plain", None)])
def test_what_a_test_packs_is_not_in_its_name(pytestconfig: pytest.Config, value: bytes, name: str | None) -> None:
    assert pytestconfig.hook.pytest_make_parametrize_id(config=pytestconfig, val=value, argname="rest") == name
