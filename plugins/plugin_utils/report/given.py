# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks give to the filters of the report."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ansible.errors import AnsibleFilterError, AnsibleTypeError

from .gathered import fleet_of

if TYPE_CHECKING:
    from .gathered import Fleet


def fleet_from(gathered: object, now: datetime, name: str) -> Fleet:
    """Return the facts of what was *gathered* for the filter called *name*; raise AnsibleTypeError for no such list."""
    hosts = list(gathered) if isinstance(gathered, (list, tuple)) else None
    if hosts is None or not all(isinstance(host, dict) and isinstance(host.get("host"), str) for host in hosts):
        raise AnsibleTypeError(f"The filter {name} takes a list of what was gathered, each with the name of its host.")
    return fleet_of(hosts, now)


def moment_of(text: str | None) -> datetime:
    """Return the time that *text* names, which is UTC without an offset; that of the controller for None."""
    if text is None:
        return datetime.now(timezone.utc)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (AttributeError, OverflowError, ValueError) as error:
        raise AnsibleFilterError(f"The time {text!r} cannot be read: give one such as 2026-11-26T12:00:00Z.") from error
