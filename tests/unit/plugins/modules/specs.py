# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module asks of AnsibleModule: the options, and the rules between them."""

from __future__ import annotations

import importlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

if t.TYPE_CHECKING:
    from types import ModuleType

    import pytest

MODULES = (
    "agent",
    "backup",
    "backup_info",
    "destination",
    "destination_info",
    "job_info",
    "reindex",
    "restore",
    "restore_point",
    "verify",
)


class SpecSeen(Exception):  # noqa: N818 - it ends the module in time, and is no error
    """Carries what a module gave to AnsibleModule."""

    def __init__(self, given: dict[str, t.Any]) -> None:
        super().__init__()
        self.given = given


class OptionsTaken(Exception):  # noqa: N818 - the same
    """Carries the options that AnsibleModule has made of the arguments."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        super().__init__()
        self.params = params


def imported(name: str) -> ModuleType:
    return importlib.import_module(f"ansible_collections.stowage.ftp_backup.plugins.modules.{name}")


def spec_of(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """Return the arguments with which the module called *name* makes its AnsibleModule."""

    def show(**given: object) -> t.NoReturn:
        raise SpecSeen(given)

    module = imported(name)
    monkeypatch.setattr(module, "AnsibleModule", show)
    try:
        module.main()
    except SpecSeen as seen:
        return seen.given
    raise AssertionError(name)


def options_of(name: str, arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """Return the options that the real AnsibleModule makes of *arguments*, which it must not refuse."""
    module = imported(name)

    def take(**given: t.Any) -> t.NoReturn:  # noqa: ANN401 - whatever AnsibleModule takes
        raise OptionsTaken(AnsibleModule(**given).params)

    monkeypatch.setattr(module, "AnsibleModule", take)
    with patch_module_args(arguments):
        try:
            module.main()
        except OptionsTaken as taken:
            return taken.params
    raise AssertionError(name)
