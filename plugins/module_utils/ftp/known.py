# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a server before it is asked, and what sessions learn of it on the way."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass


def digest_of_greeting(text: str) -> str:
    """Return what tells a greeting from that of another server; time of day and number of users may differ."""
    return hashlib.sha256(re.sub(r"\d+", "0", text).encode("latin-1", "replace")).hexdigest()[:16]


@dataclass
class Known:
    """What the sessions of one run share; with another *greeting* than this one nothing of it holds any more.

    *features* and *home* are what FEAT and PWD said. *pipelines_login*: commands may follow the password unanswered.
    *quick_tls*: a handshake that offers one curve works. *extended_passive*: EPSV works. *restarts*: REST works before
    RETR. *absolute_paths*: paths from PWD's root work, if that was tried.
    """

    greeting: str = ""
    features: frozenset[str] = frozenset()
    home: str = ""
    pipelines_login: bool = False
    quick_tls: bool = False
    extended_passive: bool = True
    restarts: bool = True
    absolute_paths: bool | None = None
