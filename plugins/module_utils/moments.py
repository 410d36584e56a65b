# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How users say which restore point they mean: the latest, an id, or a date that it is not after."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from .errors import UsageError

LATEST = "latest"
UNDATED = datetime(1970, 1, 1, tzinfo=timezone.utc)  # the date of what tells none: it is older than all that do
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_id(point: str) -> bool:
    """Tell whether *point* means one restore point, and no other will do; cPanel's begin with dates, and are paths."""
    return point != LATEST and ("/" in point or not _DATE.match(point))


def parse_date(text: str) -> datetime:
    """Return the moment that *text* names (ISO 8601, UTC without an offset); a bare date is the end of its day."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise UsageError(
            f"The point {text!r} is neither 'latest' nor an id nor a date such as 2026-11-22T03:00:00Z."
        ) from error
    if _DATE.fullmatch(text):
        moment += timedelta(days=1, seconds=-1)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def utc_text(moment: datetime) -> str:
    """Return *moment* in ISO 8601, UTC, whole seconds; such texts are in the order of the moments."""
    with suppress(OverflowError):  # an offset that leads out of the calendar, at whose ends nothing ever was
        moment = moment.astimezone(timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
