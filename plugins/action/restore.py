# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells how far a restore has come, while its module runs."""

from __future__ import annotations

from ..plugin_utils.watched_action import WatchedAction


class ActionModule(WatchedAction):
    """The action of the module ``restore``."""

    named_by = ("job", "account")
